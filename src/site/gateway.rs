//! The SSO gateway: the host where people sign in for every site and every service.

use std::collections::BTreeMap;

use crate::model::service::{Identity, ServiceId};
use crate::model::user::Email;

/// The settings of the gateway.
#[derive(Debug)]
pub struct Gateway {
    /// What services call a user.
    pub identity: Identity,
    pub brand: Brand,
    /// Whether people sign in with a password.
    pub passwords: bool,
    /// Whether services may be on `http` and on private hosts.
    pub development: bool,
    /// The service that receives links to set a password.
    pub link_service: Option<ServiceId>,
    /// The sender of mail.
    pub mail_from: Option<Email>,
    /// The rp id of passkeys, if people may have any: a host of the gateway, or a domain above one.
    pub passkeys: Option<String>,
}

/// How the gateway's pages look and what they say.
#[derive(Debug)]
pub struct Brand {
    pub name: String,
    /// An https URL, or a `data:` URL of an image.
    pub logo: Option<String>,
    /// A colour for buttons and links: `#rrggbb`.
    pub accent: Option<String>,
    /// The language of the pages (BCP 47).
    pub language: String,
    /// Texts in place of the English ones, by their names in [`TEXTS`].
    pub texts: BTreeMap<String, String>,
}

impl Brand {
    /// The text named `name`: the deployment's own, or the English one.
    #[must_use]
    pub fn text<'a>(&'a self, name: &'a str) -> &'a str {
        if let Some(text) = self.texts.get(name) {
            return text;
        }
        TEXTS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(name, |(_, text)| text)
    }
}

/// Every text of the gateway's pages that a deployment may replace: its name, and its English form.
pub const TEXTS: [(&str, &str); 71] = [
    ("sign_in", "Sign in"),
    ("sign_in_lead", ""),
    ("continue_to", "to continue to"),
    ("email", "E-mail address"),
    ("username", "Username"),
    ("password", "Password"),
    ("wrong_password", "The name or the password is not right."),
    ("fill_in", "Enter your name and your password."),
    ("wait", "Too many attempts. Try again in {seconds} s."),
    (
        "page_too_old",
        "This page was open for too long. Sign in again.",
    ),
    (
        "request_over",
        "This sign-in has expired or was used already",
    ),
    (
        "request_over_lead",
        "Go back to the application and sign in from there.",
    ),
    (
        "request_elsewhere",
        "This sign-in was begun in another browser",
    ),
    ("not_allowed", "You may not open this application"),
    (
        "not_allowed_lead",
        "Your account has no access to {service}. Ask an administrator for it.",
    ),
    ("signed_in_as", "You are signed in as"),
    ("welcome", "Welcome"),
    ("not_signed_in", "You are not signed in."),
    ("fallback_title", "The application does not answer"),
    (
        "fallback",
        "You are signed in, but {service} does not answer at the moment. Try again in a minute.",
    ),
    ("try_again", "Try again"),
    ("sign_out", "Sign out"),
    ("sign_out_question", "Sign out everywhere?"),
    (
        "sign_out_lead",
        "This ends your sessions at this page, at every site and at every application.",
    ),
    ("stay_signed_in", "Stay signed in"),
    ("signed_out", "Signed out"),
    (
        "signed_out_lead",
        "Your sessions have ended, here, at every site and at every application.",
    ),
    ("sign_in_again", "Sign in again"),
    ("once_more_lead", "Sign in once more"),
    (
        "no_method",
        "This page asks for a sign-in of a certain kind. If you cannot sign in that way, add a passkey on your account page, or ask an administrator.",
    ),
    (
        "other_user",
        "You are signed in as somebody else there. Sign in as the same person, or sign out first.",
    ),
    ("account", "Your account"),
    ("applications", "Applications"),
    (
        "no_applications",
        "There is no application that you may open.",
    ),
    ("sessions", "Where you are signed in"),
    ("more_sessions", "More sessions"),
    ("first_sessions", "Back to the first sessions"),
    ("this_session", "this browser"),
    ("since", "since"),
    ("end_session", "End"),
    ("end_all", "End all sessions"),
    ("change_password", "Change password"),
    ("set_password", "Set your password"),
    (
        "must_change_lead",
        "You need to choose a new password before you go on.",
    ),
    ("current_password", "Current password"),
    ("wrong_current", "The current password is not right."),
    ("new_password", "New password"),
    (
        "password_rule",
        "At least 8 characters, and not one of the most common passwords.",
    ),
    (
        "too_short",
        "The new password is too short. It needs at least 8 characters.",
    ),
    ("too_long", "The new password is too long."),
    (
        "too_common",
        "The new password is one of the most common ones. Choose another one.",
    ),
    (
        "unchanged",
        "That is your current password. Choose another one.",
    ),
    (
        "password_changed",
        "Your password was changed. Your other sessions have ended.",
    ),
    (
        "link_over",
        "This link has expired or was used already. Ask for a new one.",
    ),
    ("passkey_sign_in", "Sign in with a passkey"),
    ("passkey_failed", "The passkey was not accepted. Try again."),
    ("passkeys", "Passkeys"),
    ("passkey_add", "Add a passkey"),
    ("passkey_name", "Name"),
    ("passkey_rename", "Rename"),
    ("passkey_remove", "Remove"),
    ("passkey_synced", "synced"),
    ("passkey_on_device", "on one device"),
    ("passkey_used", "last used"),
    ("passkey_again", "To change your passkeys, sign in again."),
    (
        "passkey_last",
        "This passkey is your last way to sign in. Add another one first.",
    ),
    (
        "passkey_too_many",
        "You have as many passkeys as there can be. Remove one first.",
    ),
    ("link_mail_subject", "Set your password for {name}"),
    (
        "link_mail_lead",
        "Here is a link with which you can set your password for {name}.",
    ),
    ("link_mail_until", "It works once, until {time}."),
    (
        "link_mail_caution",
        "Whoever has this link can set your password. Do not pass it on. If you did not expect this mail, ignore it.",
    ),
];
