//! The gateway's own pages: signing in, the account, the password. Their texts are those of the [`Words`].

use askama::Template;

use crate::answer::Answer;
use crate::answer::page::{self, Frame, Further, Layout};
use crate::model::service::Identity;
use crate::platform::time::Timestamp;
use crate::site::gateway::Gateway;
use crate::site::words::Words;

/// A way to sign in. The page shows all that the gateway offers, in order.
pub enum Method<'a> {
    Password(PasswordFields<'a>),
    /// The way to a provider.
    Provider {
        label: &'a str,
        href: String,
    },
    Passkey(PasskeyButton<'a>),
}

/// The button of a sign-in with a passkey, which the script shows.
pub struct PasskeyButton<'a> {
    pub label: &'a str,
    pub failed: &'a str,
}

/// The fields of a sign-in with a password.
pub struct PasswordFields<'a> {
    name_label: &'a str,
    name_type: &'a str,
    name: &'a str,
    label: &'a str,
    submit: &'a str,
    /// Whether browsers offer passkeys where the name is typed.
    has_passkeys: bool,
}

impl<'a> PasswordFields<'a> {
    /// The fields, with the name that was entered before.
    #[must_use]
    pub fn new(gateway: &'a Gateway, words: Words<'a>, name: &'a str, has_passkeys: bool) -> Self {
        let (name_label, name_type) = match gateway.identity {
            Identity::Email => (words.text("email"), "email"),
            Identity::Username => (words.text("username"), "text"),
        };
        Self {
            name_label,
            name_type,
            name,
            label: words.text("password"),
            submit: words.text("sign_in"),
            has_passkeys,
        }
    }
}

/// The content of the sign-in page.
pub struct SignIn<'a> {
    pub lead: &'a str,
    /// What to do if no way is of use; may be empty.
    pub note: &'a str,
    pub error: Option<&'a str>,
    /// Whether the error is about what was entered.
    pub is_wrong: bool,
    /// Hidden fields: name and value.
    pub fields: Vec<(&'static str, String)>,
    pub methods: Vec<Method<'a>>,
    /// Where redirects after the form may lead, besides the gateway.
    pub form_to: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage<'a> {
    content: SignIn<'a>,
    has_script: bool,
    layout: Layout<'a>,
}

impl SignIn<'_> {
    /// Whether there is a form besides the ways to providers.
    fn has_form(&self) -> bool {
        let mut methods = self.methods.iter();
        methods.any(|method| !matches!(method, Method::Provider { .. }))
    }
}

/// Renders the sign-in page.
#[must_use]
pub fn sign_in(status: u16, frame: &Frame<'_>, content: SignIn<'_>) -> Answer {
    let form_to = content.form_to;
    let mut methods = content.methods.iter();
    let has_script = methods.any(|method| matches!(method, Method::Passkey(_)));
    let page = SignInPage {
        content,
        has_script,
        layout: Layout::of(frame),
    };
    page::finish_as(status, &page, frame, form_to, scripted(has_script))
}

const fn scripted(has_script: bool) -> Further {
    if has_script {
        Further::Script
    } else {
        Further::Nothing
    }
}

/// The content of the page on which a password is changed or set.
pub struct Password<'a> {
    pub lead: &'a str,
    pub error: Option<&'a str>,
    /// Whether the error is about the new password.
    pub is_unfit: bool,
    pub fields: Vec<(&'static str, String)>,
    /// What the person is called, for password managers.
    pub account: &'a str,
    /// Whether the current password is asked for.
    pub asks_current: bool,
    pub form_to: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    content: Password<'a>,
    current_label: Option<&'a str>,
    new_label: &'a str,
    rule: &'a str,
    submit: &'a str,
    layout: Layout<'a>,
}

/// Renders the page on which a password is changed or set.
#[must_use]
pub fn password(status: u16, frame: &Frame<'_>, content: Password<'_>) -> Answer {
    let form_to = content.form_to;
    let words = frame.words;
    let page = PasswordPage {
        current_label: content.asks_current.then(|| words.text("current_password")),
        new_label: words.text("new_password"),
        rule: words.text("password_rule"),
        submit: frame.title,
        content,
        layout: Layout::of(frame),
    };
    page::finish(status, &page, frame, form_to)
}

/// A session in the list of the account page.
pub struct SessionRow {
    pub id: String,
    pub site: String,
    pub browser: String,
    pub opened_at: Timestamp,
    pub is_this: bool,
}

/// A passkey in the list of the account page.
pub struct PasskeyRow {
    pub id: String,
    pub name: String,
    /// Whether it is synced, since when it is there, and when it was used.
    pub facts: String,
}

/// The passkeys on the account page.
pub struct PasskeyRows {
    pub rows: Vec<PasskeyRow>,
    /// Whether the sign-in is fresh enough to change them.
    pub is_fresh: bool,
    pub rp_id: String,
    /// What authenticators call the user; empty at first.
    pub handle: String,
    /// The ids of those that can be used here.
    pub accepted: String,
}

/// The content of the account page.
pub struct Account<'a> {
    pub notice: Option<&'a str>,
    pub account: &'a str,
    /// Name and URL of each service that the person may enter.
    pub applications: Vec<(String, String)>,
    pub sessions: Vec<SessionRow>,
    /// Whether these are the first ones.
    pub is_first: bool,
    /// The cursor of the next ones.
    pub next: Option<String>,
    /// `None` where the gateway has no passkeys at this host.
    pub passkeys: Option<PasskeyRows>,
    pub csrf: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    content: Account<'a>,
    signed_in_as: &'a str,
    applications_title: &'a str,
    no_applications: &'a str,
    sessions_title: &'a str,
    more_sessions: &'a str,
    first_sessions: &'a str,
    since: &'a str,
    this_session: &'a str,
    end_session: &'a str,
    end_all: &'a str,
    change_password: &'a str,
    layout: Layout<'a>,
}

/// Renders the account page.
#[must_use]
pub fn account(status: u16, frame: &Frame<'_>, content: Account<'_>) -> Answer {
    let further = scripted(content.passkeys.is_some());
    let words = frame.words;
    let page = AccountPage {
        signed_in_as: words.text("signed_in_as"),
        applications_title: words.text("applications"),
        no_applications: words.text("no_applications"),
        sessions_title: words.text("sessions"),
        more_sessions: words.text("more_sessions"),
        first_sessions: words.text("first_sessions"),
        since: words.text("since"),
        this_session: words.text("this_session"),
        end_session: words.text("end_session"),
        end_all: words.text("end_all"),
        change_password: words.text("change_password"),
        content,
        layout: Layout::of(frame),
    };
    page::finish_as(status, &page, frame, None, further)
}
