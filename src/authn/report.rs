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
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
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

const OF_OWN_TOKEN: &[Check] = &[
    Check::Tenant,
    Form,
    Accepted,
    Typ,
    Alg,
    Key,
    Signature,
    ClaimsForm,
    Iss,
    Aud,
    Times,
    Identity,
    Lifetime,
    NotBefore,
    Expiry,
    Use,
    User,
];
const OF_ISSUER_TOKEN: &[Check] = &[
    Check::Tenant,
    Form,
    IssuerFound,
    Typ,
    Alg,
    Key,
    Signature,
    ClaimsForm,
    OnlyClaims,
    Iss,
    Aud,
    Times,
    RequiredClaims,
    Lifetime,
    NotBefore,
    Expiry,
    Identity,
    OwnTenant,
    Use,
    User,
];
const OF_API_TOKEN: &[Check] = &[Check::Tenant, Lookup, Expiry, User];
const OF_ISSUER_KEY: &[Check] = &[
    Check::Tenant,
    Form,
    Lookup,
    Iss,
    Aud,
    Times,
    RequiredClaims,
    Lifetime,
    NotBefore,
    Expiry,
    Identity,
    OwnTenant,
    Use,
    User,
];

impl Kind {
    /// The checks of a credential of this kind, in their order.
    #[must_use]
    pub const fn checks(self) -> &'static [Check] {
        match self {
            Self::Session | Self::SsoToken => OF_OWN_TOKEN,
            Self::IssuerToken => OF_ISSUER_TOKEN,
            Self::ApiToken => OF_API_TOKEN,
            Self::IssuerKey => OF_ISSUER_KEY,
        }
    }
}

/// How a check ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CheckOutcome {
    pub check: Check,
    /// `null` for a check that was not reached.
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
        TokenError::Issuer => Iss,
        TokenError::Audience => Aud,
        TokenError::MissingClaim(name) | TokenError::ClaimForm(name) => of_claim(name),
        TokenError::ClaimValue(_) => RequiredClaims,
        TokenError::Lifetime => Lifetime,
        TokenError::NotYet => NotBefore,
        TokenError::Expired => Expiry,
        TokenError::EmailUnverified | TokenError::EmailDomain => Identity,
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

/// What `credential` says of itself. Nothing of that is verified.
#[must_use]
pub fn describe(ctx: &Ctx<'_>, source: Source, credential: &str) -> Described {
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
    let issuer = issuer_of(ctx, kind, credential);
    let (alg, typ, kid) = token.as_ref().map_or((None, None, None), |token| {
        let (alg, typ, kid) = token.named();
        (Some(alg), typ, kid)
    });
    // Only what is of a token; an API key may have any text.
    let is_token = matches!(kind, Kind::Session | Kind::SsoToken | Kind::IssuerToken);
    let shown = |text: Option<&str>| text.filter(|_| is_token).map(bounded);
    Described {
        source,
        kind,
        issuer: issuer.map(|issuer| issuer.name.clone()),
        alg: shown(alg),
        typ: shown(typ),
        kid: shown(kid),
    }
}

/// The issuer with whose keys `credential` is verified, or which is asked whose it is.
#[must_use]
pub fn issuer_of<'a>(ctx: &'a Ctx<'_>, kind: Kind, credential: &str) -> Option<&'a Issuer> {
    let (site, tenancy) = (&**ctx.site, ctx.presented.tenancy);
    match kind {
        Kind::IssuerToken => {
            let token = UntrustedJws::parse(credential).ok()?;
            foreign::issuer_of(site, tenancy, &token)
                .ok()
                .map(|issuer| &**issuer)
        }
        Kind::IssuerKey => {
            let mut issuers = tenancy.issuers(site).iter();
            let found = issuers.find(|issuer| issuer.verification.is_some());
            found.map(|issuer| &**issuer)
        }
        Kind::Session | Kind::SsoToken | Kind::ApiToken => None,
    }
}

/// The credential that `denial` is about, if there is exactly one that it can be about.
#[must_use]
pub fn of_refusal(ctx: &Ctx<'_>, denial: &Denial) -> Option<Described> {
    if !matches!(denial, Denial::Credential(_) | Denial::Fault(_)) {
        return None;
    }
    let source = ctx.presented.refused.get()?;
    let credential = ctx.presented.only(source)?;
    Some(describe(ctx, source, credential))
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
