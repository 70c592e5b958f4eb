//! Every reason for which we say no, and what the client is told: the one table. Only here is a
//! status or a public text chosen. Texts are vague on purpose; the precise reason is in the log.

use crate::http::path::PathError;
use crate::jose::error::TokenError;
use crate::model::api_token::Scope;
use crate::model::user::Email;
use crate::platform::port::{BodyRead, Fault};
use crate::rules::{Failing, Refusal};

/// Why a request was turned down, or could not be served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Denial {
    /// No site has this host.
    UnknownHost,
    /// None of our endpoints has this path.
    UnknownEndpoint,
    /// The head of the request is not readable.
    Malformed,
    /// The path can be read in more than one way.
    Path(PathError),
    /// A method that is never forwarded.
    MethodRefused,
    /// One of our endpoints does not take this method; these it takes.
    MethodNotAllowed(&'static str),
    /// Somebody has to sign in first.
    SignInRequired,
    /// A credential was presented and is not accepted.
    Credential(TokenError),
    /// A rule of the site turns down whoever is asking.
    Refused(Refusal),
    /// A rule answers 404 to hide that the path exists.
    Hidden,
    /// A rule says no more than that it is forbidden.
    Withheld,
    /// A browser asked ahead for what a link opens once somebody follows it.
    Speculative,
    /// A page of another origin acted with this site's cookies.
    CrossOrigin,
    /// An API token is needed and none was presented.
    AuthenticationRequired,
    /// The API token is unknown, revoked or expired.
    InvalidApiToken,
    /// The API token lacks a scope.
    ScopeMissing(Scope),
    /// The API token is limited to other users.
    OutsideLimit,
    /// An API token would change itself.
    OwnApiToken,
    /// There are too many API tokens to look for those that one has made.
    TooManyApiTokens,
    /// Too many calls.
    RateLimited,
    /// The body is too long.
    BodyTooLarge,
    /// The body did not come in time.
    BodyTooSlow,
    /// The body is no JSON.
    InvalidJson,
    /// The body has no address.
    EmailRequired,
    /// The address is none.
    InvalidEmail,
    /// A member of the body, or a parameter, is wrong.
    InvalidField(&'static str),
    /// The body has a member that this call does not take: its name.
    UnknownField(String),
    /// The cursor is none of ours.
    InvalidCursor,
    /// No user, token or key has this id.
    NotFound,
    /// There is a user with this address already.
    UserExists,
    /// There is no user with this address, and none is made.
    UserNotFound(Email),
    /// The user is disabled.
    UserDisabled,
    /// The application lets everybody do this, and the site only its admins.
    AdminOnly,
    /// The user's account at the origin may not be used; the text says why.
    AccountRefused(&'static str),
    /// The configuration has errors.
    Misconfigured,
    /// The origin did not answer.
    OriginUnreachable,
    /// We failed.
    Fault(Fault),
}

/// Every [`Row::code`]. A test holds the rows of all denials against it.
pub const CODES: [&str; 29] = [
    "USER_NOT_FOUND",
    "account_refused",
    "admin_only",
    "authentication_required",
    "bad_request",
    "cross_origin",
    "forbidden",
    "insufficient_scope",
    "invalid_api_token",
    "invalid_cursor",
    "invalid_json",
    "invalid_request",
    "method_not_allowed",
    "misconfigured",
    "not_ahead",
    "not_found",
    "origin_unreachable",
    "own_token",
    "path_too_long",
    "payload_too_large",
    "rate_limited",
    "request_timeout",
    "temporarily_unavailable",
    "token_expired",
    "token_invalid",
    "token_missing",
    "too_many_tokens",
    "user_disabled",
    "user_exists",
];

/// What the client is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// The status (RFC 9110 §15).
    pub status: u16,
    /// The stable code, for programs.
    pub code: &'static str,
    /// The title of the page, for people.
    pub title: &'static str,
    /// The text, for both.
    pub text: &'static str,
    /// What `WWW-Authenticate` says.
    pub challenge: Challenge,
    /// Whether signing in may help.
    pub sign_in_helps: bool,
    /// Whether a rule of the site says so, to whom signing in is not enough.
    pub by_rule: bool,
}

/// What `WWW-Authenticate` says (RFC 9110 §11.6.1, RFC 6750 §3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Challenge {
    /// Nothing.
    None,
    /// That a credential is needed.
    Required,
    /// That the one presented is not accepted.
    InvalidToken,
    /// That the one presented is good, and not for this.
    InsufficientScope,
}

impl Row {
    /// The value of `WWW-Authenticate`. Where nothing was presented it has no `error` (RFC 6750
    /// §3.1); our own code stands in a parameter of its own, which the RFC leaves room for (§3).
    #[must_use]
    pub fn challenge(&self) -> Option<String> {
        let error = match self.challenge {
            Challenge::None => return None,
            Challenge::Required => "",
            Challenge::InvalidToken => " error=\"invalid_token\",",
            Challenge::InsufficientScope => " error=\"insufficient_scope\",",
        };
        let code = self.code;
        Some(format!("Bearer realm=\"edgeward\",{error} code=\"{code}\""))
    }
}

/// The bytes of a body.
///
/// # Errors
/// [`Denial::BodyTooLarge`] or [`Denial::BodyTooSlow`].
pub fn whole(body: BodyRead) -> Result<Vec<u8>, Denial> {
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
            Self::UnknownHost | Self::Hidden => no(
                404,
                "not_found",
                "Not found",
                "Nothing is served at this address.",
            ),
            Self::UnknownEndpoint => {
                no(404, "not_found", "Not found", "There is no such endpoint.")
            }
            Self::NotFound => no(404, "not_found", "Not found", "There is no such record."),
            Self::Path(PathError::TooLong) => no(
                414,
                "path_too_long",
                "Address too long",
                "This address is too long.",
            ),
            Self::Malformed | Self::Path(_) => no(
                400,
                "bad_request",
                "Bad request",
                "This URL is ambiguous and was not accepted.",
            ),
            Self::MethodRefused | Self::MethodNotAllowed(_) => no(
                405,
                "method_not_allowed",
                "Method not allowed",
                "Method not allowed",
            ),
            Self::SignInRequired => Row {
                challenge: Challenge::Required,
                sign_in_helps: true,
                ..no(
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
            Self::Withheld => forbidden(),
            // The browser throws it away and asks anew when the link is followed.
            Self::Speculative => no(
                503,
                "not_ahead",
                "Not available for prefetch",
                "This link is opened when somebody follows it.",
            ),
            Self::CrossOrigin => no(
                403,
                "cross_origin",
                "Not from here",
                "This request came from another site, which may not make it.",
            ),
            Self::AuthenticationRequired => Row {
                challenge: Challenge::Required,
                ..no(
                    401,
                    "authentication_required",
                    "Authentication required",
                    "Authentication required",
                )
            },
            Self::InvalidApiToken => Row {
                challenge: Challenge::InvalidToken,
                ..no(
                    401,
                    "invalid_api_token",
                    "Invalid API token",
                    "Invalid API token",
                )
            },
            Self::OwnApiToken => no(
                403,
                "own_token",
                "Not allowed for this token",
                "An API token cannot change itself. Use another one.",
            ),
            Self::TooManyApiTokens => no(
                409,
                "too_many_tokens",
                "Too many tokens",
                "There are too many API tokens to find those that this one created. This token is revoked; revoke the others one by one.",
            ),
            Self::ScopeMissing(_) | Self::OutsideLimit => Row {
                title: "Admin privileges required",
                ..insufficient_scope("Admin privileges required")
            },
            Self::RateLimited => rate_limited(),
            Self::BodyTooSlow => no(
                408,
                "request_timeout",
                "Too slow",
                "The request did not arrive in time.",
            ),
            Self::BodyTooLarge => no(
                413,
                "payload_too_large",
                "Too large",
                "The request body is too large",
            ),
            Self::InvalidJson => no(400, "invalid_json", "Invalid JSON", "Invalid JSON"),
            Self::EmailRequired => no(400, "invalid_request", "Email required", "Email required"),
            Self::InvalidEmail => no(400, "invalid_request", "Invalid email", "Invalid email"),
            Self::InvalidField(_) | Self::UnknownField(_) => no(
                400,
                "invalid_request",
                "Invalid request",
                "A member of the request is not valid",
            ),
            Self::InvalidCursor => no(
                400,
                "invalid_cursor",
                "Invalid cursor",
                "The cursor is not valid",
            ),
            Self::UserExists => no(
                409,
                "user_exists",
                "User exists",
                "A user with this email exists",
            ),
            Self::UserNotFound(_) => no(422, "USER_NOT_FOUND", "User not found", "User not found"),
            Self::UserDisabled => user_disabled(),
            Self::AdminOnly => no(
                403,
                "admin_only",
                "Not allowed",
                "Only an administrator may do this.",
            ),
            Self::AccountRefused(_) => no(
                403,
                "account_refused",
                "No access",
                "This application does not let you in. Ask whoever manages it.",
            ),
            Self::Misconfigured => no(
                500,
                "misconfigured",
                "Not in service",
                "This site is not set up correctly. Its operator finds the reason in the log.",
            ),
            Self::OriginUnreachable => no(
                502,
                "origin_unreachable",
                "Not available right now",
                "The application does not answer. Please try again in a moment.",
            ),
            Self::Fault(_) => unavailable(),
        }
    }

    /// What a rule's refusal comes to: `absence` where somebody would have to be signed in.
    #[must_use]
    pub fn of_rule(refusal: Refusal, absence: Self) -> Self {
        match refusal.failing {
            Failing::SignIn => absence,
            Failing::Denied | Failing::Requirement(_) => Self::Refused(refusal),
        }
    }

    /// The member of the request that is wrong.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::InvalidField(name) => Some(name),
            Self::UnknownField(name) => Some(name),
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
            Self::MethodRefused => "a method that is not forwarded".into(),
            Self::MethodNotAllowed(_) => "method not allowed".into(),
            Self::SignInRequired => "no credential".into(),
            Self::Credential(error) => error.to_string(),
            Self::Refused(refusal) => refusal.to_string(),
            Self::Hidden | Self::Withheld => "a rule of the site".into(),
            Self::Speculative => "a link that a browser asked for ahead".into(),
            Self::CrossOrigin => "cross-origin request".into(),
            Self::AuthenticationRequired => "no api token".into(),
            Self::InvalidApiToken => "api token unknown, revoked or expired".into(),
            Self::ScopeMissing(scope) => format!("api token lacks scope {scope}"),
            Self::OutsideLimit => "api token is limited to other users".into(),
            Self::OwnApiToken => "api token would change itself".into(),
            Self::TooManyApiTokens => "too many api tokens to search for descendants".into(),
            Self::RateLimited => "rate limited".into(),
            Self::BodyTooLarge => "body too large".into(),
            Self::BodyTooSlow => "body did not come in time".into(),
            Self::InvalidJson => "body is no json".into(),
            Self::EmailRequired => "email missing".into(),
            Self::InvalidEmail => "email malformed".into(),
            Self::InvalidField(name) => format!("invalid {name}"),
            Self::UnknownField(_) => "a member that the call does not take".into(),
            Self::InvalidCursor => "invalid cursor".into(),
            Self::NotFound => "no such record".into(),
            Self::UserExists => "user exists".into(),
            Self::UserNotFound(_) => "user unknown and not created".into(),
            Self::UserDisabled => "user disabled".into(),
            Self::AdminOnly => "for admins of the site only".into(),
            Self::AccountRefused(reason) => format!("account at the origin: {reason}"),
            Self::Misconfigured => "misconfigured".into(),
            Self::OriginUnreachable => "the origin did not answer".into(),
            Self::Fault(fault) => fault.to_string(),
        }
    }
}

impl From<Fault> for Denial {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<TokenError> for Denial {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Fault(fault) => Self::Fault(fault),
            error => Self::Credential(error),
        }
    }
}

fn credential(error: TokenError) -> Row {
    let expired = "Your sign-in has expired. Please sign in again.";
    let invalid = "Your sign-in could not be accepted. Please sign in again.";
    let link = "This link does not work any more. Please go back and follow a new one.";
    let refused = |code, text| Row {
        challenge: Challenge::InvalidToken,
        sign_in_helps: true,
        ..no(401, code, "Please sign in again", text)
    };
    match error {
        TokenError::Expired | TokenError::Ended => refused("token_expired", expired),
        TokenError::LinkTooOld => refused("token_expired", link),
        TokenError::LinkUsed => refused("token_invalid", link),
        TokenError::TooLong
        | TokenError::NotCompact
        | TokenError::Header
        | TokenError::Critical
        | TokenError::Type
        | TokenError::Algorithm
        | TokenError::UnknownKey
        | TokenError::Signature
        | TokenError::Claims
        | TokenError::MissingClaim
        | TokenError::NotYet
        | TokenError::Lifetime
        | TokenError::Issuer
        | TokenError::Audience
        | TokenError::UnknownUser
        | TokenError::EmailUnverified
        | TokenError::OtherTenant
        | TokenError::ClaimsTooLong
        | TokenError::ApiToken
        | TokenError::OnlyLink
        | TokenError::Conflict => refused("token_invalid", invalid),
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
    let mut row = no(403, "insufficient_scope", "Not allowed", text);
    row.challenge = Challenge::InsufficientScope;
    row
}

const fn forbidden() -> Row {
    no(
        403,
        "forbidden",
        "Not allowed",
        "You may not open this. If you should, ask whoever manages this site.",
    )
}

const fn user_disabled() -> Row {
    no(
        403,
        "user_disabled",
        "Account disabled",
        "This account is disabled. Ask whoever manages it.",
    )
}

const fn rate_limited() -> Row {
    no(
        429,
        "rate_limited",
        "Too many requests",
        "Too many requests. Try again in a minute.",
    )
}

const fn unavailable() -> Row {
    no(
        503,
        "temporarily_unavailable",
        "Not available right now",
        "Please try again in a moment.",
    )
}

const fn no(status: u16, code: &'static str, title: &'static str, text: &'static str) -> Row {
    Row {
        status,
        code,
        title,
        text,
        challenge: Challenge::None,
        sign_in_helps: false,
        by_rule: false,
    }
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
