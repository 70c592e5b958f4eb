//! Why a credential was not accepted. Facts without values: no error holds a part of a token.

use crate::platform::port::Fault;

/// Why a presented credential was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`crate::jose::jws::MAX_LENGTH`].
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of unpadded base64url (RFC 7515 §7.1).
    #[error("the token is not in compact form")]
    NotCompact,
    /// The header is no JSON object of the expected shape, or has a duplicate member.
    #[error("the token's header is not readable")]
    Header,
    /// `crit` is present; we understand none (RFC 7515 §4.1.11).
    #[error("the token has a critical header")]
    Critical,
    /// `typ` is not the one that this place takes (RFC 8725 §3.11).
    #[error("the token is of another type")]
    Type,
    /// `alg` is not the one that the key is for (RFC 8725 §3.1).
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// No configured key has this `kid`.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// The signature does not match.
    #[error("the token's signature does not match")]
    Signature,
    /// The claims are no JSON object, have a duplicate member, or one of the wrong type.
    #[error("the token's claims are not readable")]
    Claims,
    /// A claim that must be there is not.
    #[error("the token lacks a required claim")]
    MissingClaim,
    /// `exp` has passed (RFC 7519 §4.1.4). Said only of a token whose signature matched.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` lies ahead (RFC 7519 §4.1.5).
    #[error("the token is not valid yet")]
    NotYet,
    /// The token lives longer than allowed.
    #[error("the token's lifetime is over the maximum")]
    Lifetime,
    /// `iss` is another (RFC 8725 §3.8).
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` does not name this site (RFC 8725 §3.9).
    #[error("the token is for another audience")]
    Audience,
    /// A link was used after its time.
    #[error("the link is too old")]
    LinkTooOld,
    /// A link was used twice, or its token was used elsewhere before.
    #[error("the link has been used")]
    LinkUsed,
    /// The token was in a URL, and so counts in no other place.
    #[error("the token was in a link, and counts nowhere else")]
    OnlyLink,
    /// The user does not exist (any more).
    #[error("the token's user does not exist")]
    UnknownUser,
    /// The user is disabled.
    #[error("the token's user is disabled")]
    DisabledUser,
    /// The session was ended: a sign-out, or all sessions of the user.
    #[error("the session was ended")]
    Ended,
    /// An address that the issuer has not verified (`OpenID` Connect Core 1.0 §5.1).
    #[error("the token's address is not verified")]
    EmailUnverified,
    /// The credential is of another tenant, or the request is in none.
    #[error("the credential is of another tenant")]
    OtherTenant,
    /// The claims that are kept do not fit into a session.
    #[error("the token's claims are too long for a session; keep_claims can name fewer")]
    ClaimsTooLong,
    /// An API token that is unknown, revoked or over, or that acts for nobody.
    #[error("the api token is unknown, over, or acts as nobody")]
    ApiToken,
    /// Too many API tokens that are not good came from this address.
    #[error("too many wrong api tokens from this address")]
    TooManyAttempts,
    /// The same credential was presented twice, with different contents.
    #[error("two credentials contradict each other")]
    Conflict,
    /// We could not tell.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl TokenError {
    /// Whether the credential was good once and its time is over, by the clock or by decision. Such
    /// a credential counts as absent (and its cookie is cleared); any other error stops the request.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Ended)
    }
}
