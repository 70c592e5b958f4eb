//! The gateway's own pages: signing in, the account, the password. Their texts are those of the [`Brand`].

use askama::Template;

use crate::answer::Answer;
use crate::answer::page::{self, Frame, Look};
use crate::model::service::Identity;
use crate::platform::time::Timestamp;
use crate::site::gateway::{Brand, Gateway};

/// A way to sign in. The page shows all that the gateway offers, in order.
pub enum Method<'a> {
    Password(PasswordFields<'a>),
}

/// The fields of a sign-in with a password.
pub struct PasswordFields<'a> {
    name_label: &'a str,
    name_type: &'a str,
    name: &'a str,
    label: &'a str,
    submit: &'a str,
}

impl<'a> PasswordFields<'a> {
    /// The fields, with the name that was entered before.
    #[must_use]
    pub fn new(gateway: &'a Gateway, name: &'a str) -> Self {
        let brand = &gateway.brand;
        let (name_label, name_type) = match gateway.identity {
            Identity::Email => (brand.text("email"), "email"),
            Identity::Username => (brand.text("username"), "text"),
        };
        Self {
            name_label,
            name_type,
            name,
            label: brand.text("password"),
            submit: brand.text("sign_in"),
        }
    }
}

/// The content of the sign-in page.
pub struct SignIn<'a> {
    pub lead: &'a str,
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
    title: &'a str,
    lead: &'a str,
    error: Option<&'a str>,
    is_wrong: bool,
    fields: Vec<(&'static str, String)>,
    methods: Vec<Method<'a>>,
    code: &'a str,
    request_id: &'a str,
    look: Look<'a>,
}

/// Renders the sign-in page.
#[must_use]
pub fn sign_in(status: u16, frame: &Frame<'_>, content: SignIn<'_>) -> Answer {
    let page = SignInPage {
        title: frame.title,
        lead: content.lead,
        error: content.error,
        is_wrong: content.is_wrong,
        fields: content.fields,
        methods: content.methods,
        code: frame.code,
        request_id: frame.request_id,
        look: Look::of(frame.site),
    };
    page::finish(status, &page, frame.site, content.form_to)
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
    title: &'a str,
    lead: &'a str,
    error: Option<&'a str>,
    is_unfit: bool,
    fields: Vec<(&'static str, String)>,
    account: &'a str,
    current_label: Option<&'a str>,
    new_label: &'a str,
    rule: &'a str,
    submit: &'a str,
    code: &'a str,
    request_id: &'a str,
    look: Look<'a>,
}

/// Renders the page on which a password is changed or set.
#[must_use]
pub fn password(status: u16, frame: &Frame<'_>, brand: &Brand, content: Password<'_>) -> Answer {
    let page = PasswordPage {
        title: frame.title,
        lead: content.lead,
        error: content.error,
        is_unfit: content.is_unfit,
        fields: content.fields,
        account: content.account,
        current_label: content.asks_current.then(|| brand.text("current_password")),
        new_label: brand.text("new_password"),
        rule: brand.text("password_rule"),
        submit: frame.title,
        code: frame.code,
        request_id: frame.request_id,
        look: Look::of(frame.site),
    };
    page::finish(status, &page, frame.site, content.form_to)
}

/// A session in the list of the account page.
pub struct SessionRow {
    pub id: String,
    pub site: String,
    pub browser: String,
    pub opened_at: Timestamp,
    pub is_this: bool,
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
    pub csrf: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    title: &'a str,
    notice: Option<&'a str>,
    signed_in_as: &'a str,
    account: &'a str,
    applications_title: &'a str,
    no_applications: &'a str,
    applications: Vec<(String, String)>,
    sessions_title: &'a str,
    sessions: Vec<SessionRow>,
    is_first: bool,
    next: Option<String>,
    more_sessions: &'a str,
    first_sessions: &'a str,
    since: &'a str,
    this_session: &'a str,
    end_session: &'a str,
    end_all: &'a str,
    change_password: &'a str,
    csrf: String,
    code: &'a str,
    request_id: &'a str,
    look: Look<'a>,
}

/// Renders the account page.
#[must_use]
pub fn account(frame: &Frame<'_>, brand: &Brand, content: Account<'_>) -> Answer {
    let page = AccountPage {
        title: frame.title,
        notice: content.notice,
        signed_in_as: brand.text("signed_in_as"),
        account: content.account,
        applications_title: brand.text("applications"),
        no_applications: brand.text("no_applications"),
        applications: content.applications,
        sessions_title: brand.text("sessions"),
        sessions: content.sessions,
        is_first: content.is_first,
        next: content.next,
        more_sessions: brand.text("more_sessions"),
        first_sessions: brand.text("first_sessions"),
        since: brand.text("since"),
        this_session: brand.text("this_session"),
        end_session: brand.text("end_session"),
        end_all: brand.text("end_all"),
        change_password: brand.text("change_password"),
        csrf: content.csrf,
        code: frame.code,
        request_id: frame.request_id,
        look: Look::of(frame.site),
    };
    page::finish(200, &page, frame.site, None)
}
