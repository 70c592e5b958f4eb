//! The one table of refusals: every reason to refuse a request, and what the client is told. No
//! other file chooses a status or a public text. Public texts are vague on purpose; the log has
//! the precise reason.

use crate::answer::reading::Lead;
use crate::http::outside::Rule;
use crate::http::path::PathError;
use crate::jose::error::TokenError;
use crate::memory::provider::ProviderCause;
use crate::model::api_token::Scope;
use crate::model::user::{Email, UserId};
use crate::passkey::PasskeyError;
use crate::platform::port::{BodyRead, Fault};
use crate::platform::time::Seconds;
use crate::rules::step_up::StepUp;
use crate::rules::{Failing, Refusal, Rule as SiteRule};
use crate::site::words::Words;

/// Why a request was denied or could not be served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Denial {
    /// No site has this host.
    UnknownHost,
    /// None of our endpoints has this path.
    UnknownEndpoint,
    /// The head of the request cannot be parsed.
    Malformed,
    /// No server reads the path, or it is too long.
    Path(PathError),
    /// Two readings of the path lead to different rules, or one to an endpoint of ours.
    AmbiguousPath(Lead, Lead),
    /// The `Destination` of a COPY or MOVE leads to an endpoint of ours, or servers read it in
    /// different ways.
    Destination,
    /// A request over plain http at a public host, other than GET and HEAD.
    HttpsRequired,
    /// A method that is never forwarded.
    MethodRefused,
    /// One of our endpoints does not support this method. Holds those that it supports.
    MethodNotAllowed(&'static str),
    /// The caller must sign in first.
    SignInRequired,
    /// The presented credential was not accepted.
    Credential(TokenError),
    /// A rule of the site denies this caller.
    Refused(Refusal),
    /// A rule wants the caller, who is signed in, to sign in once more.
    SignInAgain(Refusal, Box<StepUp>),
    /// Somebody else has signed in where a person was to sign in once more.
    OtherUser,
    /// A rule answers 404 to hide that the path exists.
    Hidden,
    /// A rule answers 403 and gives no reason.
    Withheld,
    /// A browser prefetched a single-use link, which opens only when somebody follows it.
    Speculative,
    /// A page of another origin used this site's cookies.
    CrossOrigin,
    /// An API token is required, and none was presented.
    AuthenticationRequired,
    /// The API token is unknown, revoked or expired.
    InvalidApiToken,
    /// The API token lacks a scope.
    ScopeMissing(Scope),
    /// The API token's `issue_for` does not cover this user.
    OutsideLimit,
    /// An API token tried to change itself.
    OwnApiToken,
    /// There are too many API tokens to find all descendants of one.
    TooManyApiTokens,
    RateLimited,
    /// One person signs in or out, or changes a password or passkey, too often.
    TooManyActs,
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTooSlow,
    InvalidJson,
    /// The body has no email address.
    EmailRequired,
    InvalidEmail,
    /// This member of the body, or this query parameter, is invalid.
    InvalidField(&'static str),
    /// This member of the body is a URL that breaks a rule.
    InvalidUrl(&'static str, Rule),
    /// The body has a member, or the query a parameter, with this name, which the call does not know.
    UnknownField(String),
    /// We did not issue this cursor.
    InvalidCursor,
    /// No user, token or key has this id.
    NotFound,
    UserExists,
    /// No user has this address, and the site does not create users. With the status that its callers
    /// expect.
    UserNotFound(Email, u16),
    UserDisabled,
    /// The name or the password of a sign-in is wrong, or the account cannot sign in.
    WrongPassword,
    /// Too many attempts to sign in; another one is possible after this time.
    SignInDelayed(Seconds),
    /// The new password is the current one.
    SamePassword,
    /// A passkey could not be used, added or changed.
    Passkey(PasskeyError),
    /// The form was made for another browser, or long ago.
    FormExpired,
    /// The sign-in or the link has expired or was used.
    SignInOver,
    /// The sign-in was begun in another browser.
    SignInElsewhere,
    /// A provider leads a browser back that has not signed out here.
    SignOutElsewhere,
    /// The provider of this name has not answered a sign-in as it should.
    Provider(String, ProviderCause),
    /// The provider of this name, or the person there, has declined.
    ProviderDeclined(String),
    /// The provider of this name has signed somebody in who may not sign in here.
    ProviderAccount(String, TokenError),
    /// What the provider of this name has sent is no logout token for us.
    LogoutToken(String, TokenError),
    /// The user may not enter this service.
    ServiceRefused,
    /// The user has a password already, and the call was not to replace it.
    PasswordExists,
    /// There are as many services as there can be.
    TooManyServices,
    /// No gateway is configured.
    NoGateway,
    /// Nobody adds the counters of the isolates up.
    NoMetrics,
    /// No object finds users.
    NoDirectory,
    /// The application allows this to everybody, the site only to its admins.
    AdminOnly,
    /// The user's account at the origin may not be used; the text says why.
    AccountRefused(&'static str),
    /// The configuration has errors.
    Misconfigured,
    OriginUnreachable,
    /// Edgeward itself or the platform failed.
    Fault(Fault),
}

/// Every [`Row::code`]. A test compares it with the rows of all denials.
pub const CODES: [&str; 49] = [
    "USER_NOT_FOUND",
    "account_refused",
    "admin_only",
    "ambiguous_path",
    "authentication_required",
    "bad_request",
    "cross_origin",
    "forbidden",
    "form_expired",
    "https_required",
    "insufficient_scope",
    "invalid_api_token",
    "invalid_cursor",
    "invalid_json",
    "invalid_request",
    "method_not_allowed",
    "misconfigured",
    "no_directory",
    "no_gateway",
    "no_metrics",
    "not_ahead",
    "not_found",
    "origin_unreachable",
    "other_user",
    "own_token",
    "passkey_invalid",
    "password_exists",
    "path_too_long",
    "payload_too_large",
    "provider_failed",
    "rate_limited",
    "request_timeout",
    "same_password",
    "service_refused",
    "sign_in_again",
    "sign_in_declined",
    "sign_in_elsewhere",
    "sign_in_over",
    "sign_out_elsewhere",
    "temporarily_unavailable",
    "token_expired",
    "token_invalid",
    "token_missing",
    "too_many_services",
    "too_many_tokens",
    "unknown_tenant",
    "user_disabled",
    "user_exists",
    "wrong_password",
];

/// What the client is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// RFC 9110 §15.
    pub status: u16,
    /// Stable, for programs.
    pub code: &'static str,
    /// The heading of the page, in English.
    pub title: &'static str,
    /// For people and programs, in English.
    pub text: &'static str,
    /// The name of title and text among the texts of the pages; empty if only programs read them.
    pub key: &'static str,
    pub challenge: Challenge,
    /// Whether signing in may help.
    pub sign_in_helps: bool,
    /// Whether a rule denied the request of a caller who is signed in.
    pub by_rule: bool,
}

/// The challenge in `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Challenge {
    None,
    /// A credential is required, and none was presented.
    Required,
    /// The presented credential is not accepted.
    InvalidToken,
    /// The presented credential is valid but does not allow this.
    InsufficientScope,
    /// The presented credential is of a sign-in that is too old, or of another kind (RFC 9470 §3). With its `max_age`.
    InsufficientSignIn(Option<u32>),
}

impl Row {
    /// The heading of the page, in the language of `words`.
    #[must_use]
    pub fn title_in<'a>(&self, words: Words<'a>) -> &'a str {
        let own = words.find(&["error_", self.key, "_title"].concat());
        own.unwrap_or(self.title)
    }

    /// What the page says, in the language of `words`.
    #[must_use]
    pub fn text_in<'a>(&self, words: Words<'a>) -> &'a str {
        words
            .find(&["error_", self.key].concat())
            .unwrap_or(self.text)
    }

    /// The value of `WWW-Authenticate`. It has no `error` if no credential was presented (RFC 6750
    /// §3.1). Our own code goes into a parameter `code`, which §3 allows.
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let error = match self.challenge {
            Challenge::None => return None,
            Challenge::Required => "",
            Challenge::InvalidToken => " error=\"invalid_token\",",
            Challenge::InsufficientScope => " error=\"insufficient_scope\",",
            Challenge::InsufficientSignIn(_) => " error=\"insufficient_user_authentication\",",
        };
        let code = self.code;
        let mut challenge = format!("Bearer realm=\"edgeward\",{error} code=\"{code}\"");
        if let Challenge::InsufficientSignIn(Some(age)) = self.challenge {
            challenge = format!("{challenge}, max_age=\"{age}\"");
        }
        Some(challenge)
    }
}

/// The bytes of a body that was read whole.
///
/// # Errors
/// [`Denial::BodyTooLarge`] or [`Denial::BodyTooSlow`].
pub fn body_bytes(body: BodyRead) -> Result<Vec<u8>, Denial> {
    match body {
        BodyRead::Whole(bytes) => Ok(bytes),
        BodyRead::TooLong => Err(Denial::BodyTooLarge),
        BodyRead::TooSlow => Err(Denial::BodyTooSlow),
    }
}

impl Denial {
    /// This denial's row.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table, a row for each denial")]
    pub fn row(&self) -> Row {
        match self {
            Self::UnknownHost | Self::Hidden => row(
                404,
                "not_found",
                "Not found",
                "Nothing is served at this address.",
            ),
            Self::UnknownEndpoint => named(
                "unknown_endpoint",
                row(404, "not_found", "Not found", "There is no such endpoint."),
            ),
            Self::NotFound => for_programs(row(
                404,
                "not_found",
                "Not found",
                "There is no such record.",
            )),
            Self::Path(PathError::TooLong) => row(
                414,
                "path_too_long",
                "Address too long",
                "This address is too long.",
            ),
            Self::AmbiguousPath(..) | Self::Path(PathError::Readings) => row(
                400,
                "ambiguous_path",
                "Bad request",
                "This URL can be read in different ways and was not accepted.",
            ),
            Self::Malformed | Self::Path(_) | Self::Destination => row(
                400,
                "bad_request",
                "Bad request",
                "This URL is ambiguous and was not accepted.",
            ),
            Self::HttpsRequired => row(
                400,
                "https_required",
                "Not secure",
                "This site is reached over https only.",
            ),
            Self::MethodRefused | Self::MethodNotAllowed(_) => row(
                405,
                "method_not_allowed",
                "Method not allowed",
                "Method not allowed",
            ),
            Self::SignInRequired => Row {
                challenge: Challenge::Required,
                sign_in_helps: true,
                ..row(
                    401,
                    "token_missing",
                    "Please sign in",
                    "You need to sign in to open this page.",
                )
            },
            Self::Credential(error) => credential(*error),
            Self::Refused(refusal) => Row {
                by_rule: true,
                ..refused(*refusal)
            },
            Self::SignInAgain(_, wanted) => Row {
                challenge: Challenge::InsufficientSignIn(wanted.max_age),
                sign_in_helps: true,
                ..row(
                    401,
                    "sign_in_again",
                    "Please sign in again",
                    "This page asks for a sign-in that is more recent, or of another kind, than yours.",
                )
            },
            Self::OtherUser => row(
                403,
                "other_user",
                "Signed in as somebody else",
                "You were to sign in once more, as the same person. You are still signed in as before.",
            ),
            Self::Withheld => forbidden(),
            // The browser drops this answer and asks again when somebody follows the link.
            Self::Speculative => for_programs(row(
                503,
                "not_ahead",
                "Not available for prefetch",
                "This link opens only when somebody follows it.",
            )),
            Self::CrossOrigin => row(
                403,
                "cross_origin",
                "Cross-site request refused",
                "This request came from a page of another site, which is not allowed to make it.",
            ),
            Self::AuthenticationRequired => Row {
                challenge: Challenge::Required,
                ..for_programs(row(
                    401,
                    "authentication_required",
                    "Authentication required",
                    "Authentication required",
                ))
            },
            Self::InvalidApiToken => Row {
                challenge: Challenge::InvalidToken,
                ..for_programs(row(
                    401,
                    "invalid_api_token",
                    "Invalid API token",
                    "Invalid API token",
                ))
            },
            Self::OwnApiToken => for_programs(row(
                403,
                "own_token",
                "Not allowed for this token",
                "An API token cannot change itself. Use another one.",
            )),
            Self::TooManyApiTokens => for_programs(row(
                409,
                "too_many_tokens",
                "Too many tokens",
                "There are too many API tokens to find those that this one created. This token is revoked; revoke the others one by one.",
            )),
            Self::ScopeMissing(_) | Self::OutsideLimit => Row {
                title: "Admin privileges required",
                key: "",
                ..insufficient_scope("Admin privileges required")
            },
            Self::RateLimited | Self::TooManyActs | Self::SignInDelayed(_) => rate_limited(),
            Self::BodyTooSlow => row(
                408,
                "request_timeout",
                "Request timed out",
                "The request did not arrive in time.",
            ),
            Self::BodyTooLarge => row(
                413,
                "payload_too_large",
                "Too large",
                "The request body is too large",
            ),
            Self::InvalidJson => {
                for_programs(row(400, "invalid_json", "Invalid JSON", "Invalid JSON"))
            }
            Self::EmailRequired => for_programs(row(
                400,
                "invalid_request",
                "Email required",
                "Email required",
            )),
            Self::InvalidEmail => for_programs(row(
                400,
                "invalid_request",
                "Invalid email",
                "Invalid email",
            )),
            Self::InvalidField(_) | Self::InvalidUrl(..) | Self::UnknownField(_) => {
                for_programs(row(
                    400,
                    "invalid_request",
                    "Invalid request",
                    "A field of the request is not valid",
                ))
            }
            Self::InvalidCursor => for_programs(row(
                400,
                "invalid_cursor",
                "Invalid cursor",
                "The cursor is not valid",
            )),
            Self::UserExists => for_programs(row(
                409,
                "user_exists",
                "User exists",
                "A user with this email exists",
            )),
            Self::UserNotFound(_, status) => for_programs(row(
                *status,
                "USER_NOT_FOUND",
                "User not found",
                "User not found",
            )),
            Self::UserDisabled | Self::ProviderAccount(_, TokenError::DisabledUser) => {
                user_disabled()
            }
            Self::WrongPassword => row(
                403,
                "wrong_password",
                "Not signed in",
                "The name or the password is not right.",
            ),
            Self::SamePassword => for_programs(row(
                400,
                "same_password",
                "Same password",
                "The new password is the current one.",
            )),
            Self::Passkey(_) => for_programs(row(
                400,
                "passkey_invalid",
                "Please try again",
                "The passkey was not accepted.",
            )),
            Self::FormExpired => row(
                403,
                "form_expired",
                "Please try again",
                "This page was open for too long.",
            ),
            Self::SignInOver => row(
                410,
                "sign_in_over",
                "Expired",
                "This sign-in has expired or was used already.",
            ),
            Self::SignInElsewhere => row(
                403,
                "sign_in_elsewhere",
                "Begun elsewhere",
                "This sign-in was begun in another browser, or it is over.",
            ),
            Self::SignOutElsewhere => row(
                403,
                "sign_out_elsewhere",
                "Begun elsewhere",
                "This sign-out was begun in another browser, or it is over.",
            ),
            Self::Provider(..) => row(
                502,
                "provider_failed",
                "Sign-in is not available right now",
                "The sign-in service did not answer as it should. Please try again in a moment.",
            ),
            Self::ProviderDeclined(_) => row(
                403,
                "sign_in_declined",
                "Not signed in",
                "The sign-in was cancelled, or the sign-in service has refused it.",
            ),
            Self::LogoutToken(..) => for_programs(row(
                400,
                "invalid_request",
                "Invalid request",
                "The logout token is not valid",
            )),
            Self::ProviderAccount(..) => named(
                "account_unusable",
                row(
                    403,
                    "account_refused",
                    "No access",
                    "This account cannot be used to sign in here. Try another one, or ask the administrator of this site.",
                ),
            ),
            Self::ServiceRefused => row(
                403,
                "service_refused",
                "No access",
                "You may not open this application.",
            ),
            Self::PasswordExists => for_programs(row(
                409,
                "password_exists",
                "Password exists",
                "The user has a password already",
            )),
            Self::TooManyServices => for_programs(row(
                409,
                "too_many_services",
                "Too many services",
                "There are as many services as there can be. Delete one first.",
            )),
            Self::NoGateway => for_programs(row(
                409,
                "no_gateway",
                "No gateway",
                "No SSO gateway is configured. Add a table [vars.EDGEWARD_GATEWAY].",
            )),
            Self::NoMetrics => for_programs(row(
                409,
                "no_metrics",
                "No metrics",
                "Nothing is counted. Bind the Durable Object EDGEWARD_METRICS.",
            )),
            Self::NoDirectory => for_programs(row(
                409,
                "no_directory",
                "No directory",
                "Users cannot be searched. Bind the Durable Object EDGEWARD_DIRECTORY.",
            )),
            Self::AdminOnly => row(
                403,
                "admin_only",
                "Not allowed",
                "Only administrators may do this.",
            ),
            Self::AccountRefused(_) => row(
                403,
                "account_refused",
                "No access",
                "The application does not accept your account. Ask its administrator.",
            ),
            Self::Misconfigured => row(
                500,
                "misconfigured",
                "Not in service",
                "This site is not set up correctly. The reason is in the operator's log.",
            ),
            Self::OriginUnreachable => row(
                502,
                "origin_unreachable",
                "Not available right now",
                "The application did not respond. Please try again in a moment.",
            ),
            Self::Fault(_) => unavailable(),
        }
    }

    /// The denial for the refusal of `rule`: `absence` if it wants a caller who is signed in. `user`: who that is.
    #[must_use]
    pub fn of_rule(
        refusal: Refusal,
        absence: Self,
        rule: &SiteRule,
        user: Option<&UserId>,
    ) -> Self {
        match (refusal.failing, user) {
            (Failing::SignIn, _) => absence,
            (Failing::SignInAgain(_), Some(user)) => {
                Self::SignInAgain(refusal, Box::new(StepUp::of(rule, user.clone())))
            }
            _ => Self::Refused(refusal),
        }
    }

    /// In how many seconds to try again, where that is known better than by the status.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::SignInDelayed(seconds) => Some(seconds.0),
            // An hour at most.
            Self::TooManyActs => Some(600),
            _ => None,
        }
    }

    /// Its name among the faults in metrics.
    #[must_use]
    pub fn fault(&self) -> &'static str {
        match self {
            Self::Fault(fault) | Self::Credential(TokenError::Fault(fault)) => fault.kind(),
            other => other.row().code,
        }
    }

    /// If it ends a sign-in: the method, and how.
    #[must_use]
    pub const fn sign_in(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::WrongPassword => ("password", "refused"),
            Self::SignInDelayed(_) => ("password", "delayed"),
            Self::Passkey(_) => ("passkey", "refused"),
            Self::Provider(..) => ("provider", "failed"),
            Self::ProviderDeclined(_) | Self::ProviderAccount(..) => ("provider", "refused"),
            _ => return None,
        })
    }

    /// The field of the request that is invalid.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::InvalidField(name) | Self::InvalidUrl(name, _) => Some(name),
            Self::UnknownField(name) => Some(name),
            _ => None,
        }
    }

    /// The rule that a URL breaks.
    #[must_use]
    pub const fn rule(&self) -> Option<Rule> {
        match self {
            Self::InvalidUrl(_, rule) => Some(*rule),
            _ => None,
        }
    }

    /// The precise reason, for the log. Holds no value that a client sent.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::UnknownHost => "unknown host".into(),
            Self::UnknownEndpoint => "unknown endpoint".into(),
            Self::Malformed => "malformed request".into(),
            Self::Path(error) => error.to_string(),
            Self::AmbiguousPath(one, other) => {
                format!("servers read the path in different ways: {one}, or {other}")
            }
            Self::Destination => {
                "Destination is ambiguous, or leads to an endpoint of Edgeward".into()
            }
            Self::HttpsRequired => "plain http".into(),
            Self::MethodRefused => "method is never forwarded".into(),
            Self::MethodNotAllowed(_) => "method not allowed".into(),
            Self::SignInRequired => "no credential".into(),
            Self::Credential(error) => error.to_string(),
            Self::Refused(refusal) | Self::SignInAgain(refusal, _) => refusal.to_string(),
            Self::OtherUser => "somebody else has signed in".into(),
            Self::Hidden | Self::Withheld => "denied by a rule of the site".into(),
            Self::Speculative => "prefetch of a single-use link".into(),
            Self::CrossOrigin => "cross-origin request".into(),
            Self::AuthenticationRequired => "no api token".into(),
            Self::InvalidApiToken => "api token unknown, revoked or expired".into(),
            Self::ScopeMissing(scope) => format!("api token lacks scope {scope}"),
            Self::OutsideLimit => "api token is limited to other users".into(),
            Self::OwnApiToken => "api token tried to change itself".into(),
            Self::TooManyApiTokens => "too many api tokens to search for descendants".into(),
            Self::RateLimited => "rate limited".into(),
            Self::TooManyActs => {
                "one person has too many rows of the last hour in the audit log".into()
            }
            Self::BodyTooLarge => "body too large".into(),
            Self::BodyTooSlow => "body did not arrive in time".into(),
            Self::InvalidJson => "body is not json".into(),
            Self::EmailRequired => "email missing".into(),
            Self::InvalidEmail => "email malformed".into(),
            Self::InvalidField(name) => format!("invalid {name}"),
            Self::InvalidUrl(name, rule) => format!("invalid {name}: the URL {rule}"),
            Self::UnknownField(_) => "unknown field in the body or the query".into(),
            Self::InvalidCursor => "invalid cursor".into(),
            Self::NotFound => "no such record".into(),
            Self::UserExists => "user exists".into(),
            Self::UserNotFound(..) => "user unknown and not created".into(),
            Self::UserDisabled => "user disabled".into(),
            Self::WrongPassword => "wrong name or password".into(),
            Self::SignInDelayed(_) => "too many attempts to sign in".into(),
            Self::SamePassword => "the new password is the current one".into(),
            Self::Passkey(error) => format!("passkey: {error}"),
            Self::FormExpired => "form of another browser".into(),
            Self::SignInOver => "sign-in expired or used".into(),
            Self::SignInElsewhere => "sign-in of another browser".into(),
            Self::SignOutElsewhere => "sign-out of another browser".into(),
            Self::Provider(name, cause) => format!("provider {name}: {cause}"),
            Self::ProviderDeclined(name) => {
                format!("provider {name}: the person or the provider has declined")
            }
            Self::LogoutToken(name, error) => format!("provider {name}: logout token: {error}"),
            Self::ProviderAccount(name, error) => format!("provider {name}: {error}"),
            Self::ServiceRefused => "user may not enter the service".into(),
            Self::PasswordExists => "the user has a password".into(),
            Self::TooManyServices => "too many services".into(),
            Self::NoGateway => "no gateway is configured".into(),
            Self::NoMetrics => "no metrics are configured".into(),
            Self::NoDirectory => "no directory of users is bound".into(),
            Self::AdminOnly => "only for admins of the site".into(),
            Self::AccountRefused(reason) => format!("account at the origin: {reason}"),
            Self::Misconfigured => "misconfigured".into(),
            Self::OriginUnreachable => "the origin did not answer".into(),
            Self::Fault(fault) => fault.to_string(),
        }
    }
}

impl From<Fault> for Denial {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::AuditLimit => Self::TooManyActs,
            fault => Self::Fault(fault),
        }
    }
}

impl From<TokenError> for Denial {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Fault(fault) => fault.into(),
            error => Self::Credential(error),
        }
    }
}

impl From<PasskeyError> for Denial {
    fn from(error: PasskeyError) -> Self {
        Self::Passkey(error)
    }
}

fn credential(error: TokenError) -> Row {
    let expired = "Your sign-in has expired. Please sign in again.";
    let invalid = "Your sign-in was not accepted. Please sign in again.";
    let link = "This link no longer works. Please go back and request a new one.";
    let refused = |code, text| Row {
        challenge: Challenge::InvalidToken,
        sign_in_helps: true,
        ..row(401, code, "Please sign in again", text)
    };
    match error {
        TokenError::Expired | TokenError::Ended => refused("token_expired", expired),
        TokenError::LinkTooOld => named("link", refused("token_expired", link)),
        TokenError::LinkUsed => named("link", refused("token_invalid", link)),
        TokenError::TooLong
        | TokenError::NotCompact
        | TokenError::Header
        | TokenError::Critical
        | TokenError::Type
        | TokenError::Algorithm
        | TokenError::UnknownKey
        | TokenError::Signature
        | TokenError::Claims
        | TokenError::MissingClaim(_)
        | TokenError::ClaimForm(_)
        | TokenError::ClaimValue(_)
        | TokenError::UnlistedClaim
        | TokenError::OwnToken
        | TokenError::NotYet
        | TokenError::Lifetime
        | TokenError::Issuer
        | TokenError::UnknownIssuer
        | TokenError::EmailDomain
        | TokenError::Audience
        | TokenError::UnknownUser
        | TokenError::EmailUnverified
        | TokenError::OtherTenant
        | TokenError::OwnCredential
        | TokenError::ClaimsTooLong
        | TokenError::ApiToken
        | TokenError::OnlyLink
        | TokenError::Conflict => refused("token_invalid", invalid),
        TokenError::UnknownTenant | TokenError::NoTenant => row(
            400,
            "unknown_tenant",
            "Unknown tenant",
            "The request does not name a tenant of this site.",
        ),
        TokenError::DisabledUser => user_disabled(),
        TokenError::TooManyAttempts => rate_limited(),
        TokenError::Fault(_) => unavailable(),
    }
}

fn refused(refusal: Refusal) -> Row {
    if refusal.is_about_scope() {
        insufficient_scope("You may not do this here.")
    } else {
        forbidden()
    }
}

const fn insufficient_scope(text: &'static str) -> Row {
    let mut row = row(403, "insufficient_scope", "Not allowed", text);
    row.challenge = Challenge::InsufficientScope;
    row
}

const fn forbidden() -> Row {
    row(
        403,
        "forbidden",
        "Not allowed",
        "You do not have access to this page. If you need it, ask the administrator of this site.",
    )
}

const fn user_disabled() -> Row {
    row(
        403,
        "user_disabled",
        "Account disabled",
        "This account is disabled. Ask the administrator of this site.",
    )
}

const fn rate_limited() -> Row {
    row(
        429,
        "rate_limited",
        "Too many requests",
        "Too many requests. Try again in a minute.",
    )
}

const fn unavailable() -> Row {
    row(
        503,
        "temporarily_unavailable",
        "Not available right now",
        "Please try again in a moment.",
    )
}

const fn row(status: u16, code: &'static str, title: &'static str, text: &'static str) -> Row {
    Row {
        status,
        code,
        title,
        text,
        key: code,
        challenge: Challenge::None,
        sign_in_helps: false,
        by_rule: false,
    }
}

/// A row whose texts are named otherwise than its code.
const fn named(key: &'static str, mut row: Row) -> Row {
    row.key = key;
    row
}

/// A row that no page shows.
const fn for_programs(row: Row) -> Row {
    named("", row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_failures_are_5xx_and_refusals_are_4xx() {
        assert_eq!(Denial::Fault(Fault::Kv).row().status, 503);
        assert_eq!(Denial::Misconfigured.row().status, 500);
        assert_eq!(Denial::from(TokenError::Fault(Fault::Kv)).row().status, 503);
        assert_eq!(Denial::Credential(TokenError::Signature).row().status, 401);
        assert_eq!(
            Denial::Credential(TokenError::DisabledUser).row().status,
            403
        );
    }

    #[test]
    fn the_public_text_does_not_tell_how_a_token_is_wrong() {
        let texts: std::collections::HashSet<_> = [
            TokenError::Signature,
            TokenError::UnknownKey,
            TokenError::UnknownUser,
            TokenError::Audience,
        ]
        .into_iter()
        .map(|error| Denial::Credential(error).row().text)
        .collect();
        assert_eq!(texts.len(), 1);
    }
}
