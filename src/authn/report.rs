//! What is told of a credential that was presented: in the log when it is refused, and to an admin who asks. Decides nothing:
//! whether it counts is for [`mod@crate::authn::verify`] alone, and each check's outcome follows from what that gives.

use serde::Serialize;

use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::authn::foreign;
use crate::credential::stray;
use crate::jose::error::TokenError;
use crate::jose::jws::UntrustedJws;
use crate::model::api_token;
use crate::platform::port::Fault;
use crate::site::Source;
use crate::site::issuer::Issuer;

/// The longest text of others in a line of the log, in characters.
const MAX_TEXT: usize = 64;

/// What an unverified credential says of itself, bounded and without a part that counts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Described {
    /// Where it was presented.
    pub source: Source,
    pub kind: Kind,
    /// The issuer with whose keys it is verified, by its name in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub typ: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
}

/// As what a credential is verified.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The value of our own cookie.
    Session,
    /// A token that `POST /api/sso/token` made.
    SsoToken,
    /// A token of another issuer.
    IssuerToken,
    /// An API token of ours.
    ApiToken,
    /// An API key whose issuer says whose it is.
    IssuerKey,
}

/// A check of a credential. The order is that in which [`mod@crate::authn::verify`] makes them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// The request is in a tenant of the site.
    Tenant,
    /// Its length, and the form of its parts and of its header.
    Form,
    /// The issuer's answer, or our own list of API tokens.
    Lookup,
    /// The site takes tokens of this kind.
    Accepted,
    /// An issuer of the site has this `iss`.
    IssuerFound,
    Typ,
    Alg,
    /// A key fits `kid` and `alg`.
    Key,
    Signature,
    ClaimsForm,
    /// The issuer's `only_claims` has every claim.
    OnlyClaims,
    Iss,
    Aud,
    /// `exp`, `iat` and `nbf` are there and well formed.
    Times,
    RequiredClaims,
    Lifetime,
    /// `nbf` and `iat` have come.
    NotBefore,
    Expiry,
    /// The claims that say who the user is.
    Identity,
    OwnTenant,
    /// The link, or the session, is young enough and not ended.
    Use,
    User,
}

use Check::{
    Accepted, Alg, Aud, ClaimsForm, Expiry, Form, Identity, Iss, IssuerFound, Key, Lifetime,
    Lookup, NotBefore, OnlyClaims, OwnTenant, RequiredClaims, Signature, Times, Typ, Use, User,
};

/// Of each token, whoever signed it, up to its claims.
const OF_TOKEN: &[Check] = &[Typ, Alg, Key, Signature, ClaimsForm];
/// Of what a token or an answer says.
const OF_PLACE: &[Check] = &[Iss, Aud, Times];
const OF_TIME: &[Check] = &[Lifetime, NotBefore, Expiry];
const OF_USER: &[Check] = &[Use, User];

impl Kind {
    /// The checks of a credential of this kind, in their order.
    #[must_use]
    pub fn checks(self) -> Vec<Check> {
        let parts: &[&[Check]] = match self {
            Self::Session | Self::SsoToken => &[
                &[Check::Tenant, Form, Accepted],
                OF_TOKEN,
                OF_PLACE,
                &[Identity],
                OF_TIME,
                OF_USER,
            ],
            Self::IssuerToken => &[
                &[Check::Tenant, Form, IssuerFound],
                OF_TOKEN,
                &[OnlyClaims],
                OF_PLACE,
                &[RequiredClaims],
                OF_TIME,
                &[Identity, OwnTenant],
                OF_USER,
            ],
            Self::ApiToken => &[&[Check::Tenant, Lookup, Expiry, User]],
            Self::IssuerKey => &[
                &[Check::Tenant, Form, Lookup],
                OF_PLACE,
                &[RequiredClaims],
                OF_TIME,
                &[Identity, OwnTenant],
                OF_USER,
            ],
        };
        parts.concat()
    }
}

/// How a check ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CheckOutcome {
    pub check: Check,
    /// `null` for a check that was not reached, or not made: no link is used up to tell of it.
    pub passed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Each check of a credential, as the result of its verification says they ended. Without a failing check among those of
/// its kind, all that can be said is that one failed.
#[must_use]
pub fn outcomes(
    described: &Described,
    issuer: Option<&Issuer>,
    error: Option<TokenError>,
) -> Vec<CheckOutcome> {
    let checks = described.kind.checks();
    let failed = error.map(|error| (failed_check(described.kind, issuer, error), error));
    let at = failed.map(|(failed, _)| checks.iter().position(|check| *check == failed));
    let each = checks.iter().enumerate().map(|(index, check)| {
        let passed = match at {
            None if *check == Use && described.source == Source::Query => None,
            None => Some(true),
            Some(Some(at)) if index < at => Some(true),
            Some(Some(at)) if index == at => Some(false),
            Some(_) => None,
        };
        let error = failed.filter(|_| passed == Some(false));
        CheckOutcome {
            check: *check,
            passed,
            because: error.map(|(_, error)| error.to_string()),
        }
    });
    each.collect()
}

/// The check that an error comes from.
fn failed_check(kind: Kind, issuer: Option<&Issuer>, error: TokenError) -> Check {
    let is_looked_up = matches!(kind, Kind::ApiToken | Kind::IssuerKey);
    let of_claim = |name: &str| match name {
        "iss" | "tid" => Iss,
        "aud" => Aud,
        "exp" | "iat" | "nbf" => Times,
        name if issuer.is_some_and(|issuer| issuer.requires(name)) => RequiredClaims,
        _ => Identity,
    };
    match error {
        TokenError::UnknownTenant | TokenError::NoTenant => Check::Tenant,
        TokenError::TooLong
        | TokenError::NotCompact
        | TokenError::Header
        | TokenError::Critical
        | TokenError::OwnCredential => Form,
        TokenError::ApiToken | TokenError::TooManyAttempts => Lookup,
        TokenError::OwnToken => Accepted,
        TokenError::UnknownIssuer => IssuerFound,
        TokenError::Type => Typ,
        TokenError::Algorithm => Alg,
        TokenError::UnknownKey | TokenError::Fault(Fault::IssuerKeys) => Key,
        TokenError::Signature | TokenError::Fault(Fault::Crypto) => Signature,
        TokenError::Claims => ClaimsForm,
        TokenError::UnlistedClaim => OnlyClaims,
        TokenError::Issuer | TokenError::ClaimForm("iss" | "tid") => Iss,
        TokenError::Audience | TokenError::ClaimForm("aud") => Aud,
        TokenError::ClaimForm("exp" | "iat" | "nbf") => Times,
        TokenError::MissingClaim(name) => of_claim(name),
        TokenError::ClaimValue(_) => RequiredClaims,
        TokenError::Lifetime => Lifetime,
        TokenError::NotYet => NotBefore,
        TokenError::Expired => Expiry,
        TokenError::ClaimForm(_) | TokenError::EmailUnverified | TokenError::EmailDomain => {
            Identity
        }
        TokenError::LinkTooOld
        | TokenError::LinkUsed
        | TokenError::OnlyLink
        | TokenError::ClaimsTooLong
        | TokenError::Ended
        | TokenError::Conflict => Use,
        TokenError::OtherTenant if matches!(kind, Kind::IssuerToken | Kind::IssuerKey) => OwnTenant,
        TokenError::Fault(_) if is_looked_up => Lookup,
        TokenError::UnknownUser
        | TokenError::DisabledUser
        | TokenError::OtherTenant
        | TokenError::Fault(_) => User,
    }
}

/// What `credential` says of itself, of which nothing is verified; and the issuer with whose keys it is, or which is asked
/// whose it is.
#[must_use]
pub fn describe<'a>(
    ctx: &'a Ctx<'_>,
    source: Source,
    credential: &str,
) -> (Described, Option<&'a Issuer>) {
    let (site, tenancy) = (ctx.site, ctx.presented.tenancy);
    let token = UntrustedJws::parse(credential).ok();
    let is_ours = token.as_ref().is_some_and(UntrustedJws::names_our_kind);
    let kind = match source {
        Source::Session => Kind::Session,
        Source::ApiKey if credential.starts_with(api_token::PREFIX) => Kind::ApiToken,
        Source::ApiKey => Kind::IssuerKey,
        _ if !is_ours && !tenancy.issuers(site).is_empty() => Kind::IssuerToken,
        _ => Kind::SsoToken,
    };
    let issuer = match kind {
        Kind::IssuerToken => {
            let found = token
                .as_ref()
                .map(|one| foreign::issuer_of(site, tenancy, one));
            found.and_then(Result::ok)
        }
        Kind::IssuerKey => {
            let mut issuers = tenancy.issuers(site).iter();
            issuers.find(|issuer| issuer.verification.is_some())
        }
        Kind::Session | Kind::SsoToken | Kind::ApiToken => None,
    };
    let issuer = issuer.map(|issuer| &**issuer);
    let (alg, typ, kid) = token.as_ref().map_or((None, None, None), |token| {
        let (alg, typ, kid) = token.named();
        (Some(alg), typ, kid)
    });
    // Only what is of a token; an API key may have any text.
    let is_token = matches!(kind, Kind::Session | Kind::SsoToken | Kind::IssuerToken);
    let shown = |text: Option<&str>| text.filter(|_| is_token).map(bounded);
    let described = Described {
        source,
        kind,
        issuer: issuer.map(|issuer| issuer.name.clone()),
        alg: shown(alg),
        typ: shown(typ),
        kid: shown(kid),
    };
    (described, issuer)
}

/// The credential that `denial` is about, if there is exactly one that it can be about.
#[must_use]
pub fn of_refusal(ctx: &Ctx<'_>, denial: &Denial) -> Option<Described> {
    if !matches!(denial, Denial::Credential(_) | Denial::Fault(_)) {
        return None;
    }
    let source = ctx.presented.refused.get()?;
    let credential = ctx.presented.only(source)?;
    let (described, _) = describe(ctx, source, credential);
    Some(described)
}

/// A text of others as the log may hold it: at most 64 characters, none but printable ASCII, and nothing that would count.
#[must_use]
pub fn bounded(text: &str) -> String {
    if stray::is_in(text) {
        return "(a credential)".to_owned();
    }
    let mut shown: String = text
        .chars()
        .take(MAX_TEXT)
        .map(|c| if c.is_ascii_graphic() { c } else { '?' })
        .collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        shown.push_str("...");
    }
    shown
}
