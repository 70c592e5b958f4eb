//! Why a credential was rejected. Errors hold no part of a token.

use crate::platform::port::Fault;

/// Why a presented credential was rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`crate::jose::jws::MAX_LENGTH`].
    #[error("the token is too long")]
    TooLong,
    /// Not three parts of unpadded base64url (RFC 7515 §7.1).
    #[error("the token is not in compact form")]
    NotCompact,
    /// The header is not a JSON object of the expected shape, or has a duplicate member.
    #[error("the token's header is malformed")]
    Header,
    /// `crit` is present, and no extension is supported (RFC 7515 §4.1.11).
    #[error("the token has an unsupported critical header")]
    Critical,
    /// `typ` is not the expected one (RFC 8725 §3.11).
    #[error("the token is of another type")]
    Type,
    /// `alg` is not the algorithm of the key (RFC 8725 §3.1).
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// No key has this `kid`.
    #[error("the token's key is unknown")]
    UnknownKey,
    #[error("the token's signature does not match")]
    Signature,
    /// The claims are not a JSON object or have a duplicate member.
    #[error("the token's claims are malformed")]
    Claims,
    /// Holds the claim's name.
    #[error("the token lacks a required claim: {0}")]
    MissingClaim(&'static str),
    /// The claim of this name is of the wrong type or form.
    #[error("the token's claim {0} is malformed")]
    ClaimForm(&'static str),
    /// The claim of this name has none of the values that the issuer's settings accept.
    #[error("the token's claim {0} has a value that is not accepted")]
    ClaimValue(&'static str),
    /// The issuer's `only_claims` does not list one of its claims; the log names it.
    #[error("the token has a claim that only_claims of its issuer does not list")]
    UnlistedClaim,
    /// The site accepts tokens of its issuers only.
    #[error("the token was issued by Edgeward, and the site has own_tokens = false")]
    OwnToken,
    /// `exp` has passed (RFC 7519 §4.1.4). Returned only after the signature matched.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future (RFC 7519 §4.1.5).
    #[error("the token is not valid yet")]
    NotYet,
    /// `exp` − `iat` exceeds the maximum.
    #[error("the token's lifetime exceeds the maximum")]
    Lifetime,
    /// `iss` is not the expected one (RFC 8725 §3.8).
    #[error("the token is from another issuer")]
    Issuer,
    /// The site has several issuers, and `iss` is none of theirs.
    #[error("the token's iss is that of no issuer of this site")]
    UnknownIssuer,
    /// The issuer has an address of a domain for which it does not speak.
    #[error("the token's address is of a domain outside email_domains")]
    EmailDomain,
    /// `aud` does not name this site (RFC 8725 §3.9).
    #[error("the token is for another audience")]
    Audience,
    /// The token may still be valid elsewhere: a link has a shorter lifetime.
    #[error("the link is too old")]
    LinkTooOld,
    /// The link was used before, or its token was used elsewhere first.
    #[error("the link has been used")]
    LinkUsed,
    /// The token appeared in a URL, so it is accepted nowhere else.
    #[error("the token was used in a link and is not accepted elsewhere")]
    OnlyLink,
    /// Or no longer exists.
    #[error("the token's user does not exist")]
    UnknownUser,
    #[error("the token's user is disabled")]
    DisabledUser,
    /// By signing out, or because all sessions of the user were ended.
    #[error("the session was ended")]
    Ended,
    /// The issuer has not verified the address (`OpenID` Connect Core 1.0 §5.1).
    #[error("the token's e-mail address is not verified")]
    EmailUnverified,
    #[error("the credential belongs to another tenant")]
    OtherTenant,
    /// The request names a tenant that the site does not have.
    #[error("the request names an unknown tenant")]
    UnknownTenant,
    /// The site tells tenants apart by the request, and this one names none.
    #[error("the request names no tenant")]
    NoTenant,
    /// A credential of ours where an issuer would be asked whose it is.
    #[error("the api key was issued by Edgeward and is sent to no issuer")]
    OwnCredential,
    /// The kept claims do not fit into a session.
    #[error("the token's claims are too long for a session; list fewer in keep_claims")]
    ClaimsTooLong,
    /// An API token that is unknown, revoked or expired, or that acts as nobody.
    #[error("the api token is unknown, ended, or acts as nobody")]
    ApiToken,
    /// Too many invalid API tokens came from this address.
    #[error("too many invalid api tokens from this address")]
    TooManyAttempts,
    /// Several credentials of one source were presented with different contents.
    #[error("two credentials contradict each other")]
    Conflict,
    /// It could not be verified.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl TokenError {
    /// Whether the credential was valid once and has ended, by the clock or by decision. It then
    /// counts as absent, and its cookie is cleared; any other error stops the request.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Ended)
    }
}
