//! Tokens of other issuers: verified with the issuer's keys, then read into what they say of a user.
//! What an issuer may say is limited by its configuration.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::authn::jwks;
use crate::credential::foreign::ForeignClaims;
use crate::jose::error::TokenError;
use crate::jose::jws::{UntrustedJws, VerifiedJws};
use crate::jose::jwt;
use crate::memory::world::World;
use crate::model::claim::{ClaimPath, Granted, KeptClaims};
use crate::model::user::subject::IssuerSubject;
use crate::model::user::{Email, Name, User, UserId, Username, is_same_domain};
use crate::people;
use crate::platform::algorithm::Algorithm;
use crate::platform::digest::{hex, sha256};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::{Issuer, KeySource, RemoteKeys, UserIdentity};
use crate::site::tenant::Tenancy;
use crate::site::{Site, Source};

/// The longest that what a session carries may be, in bytes of JSON: with the rest, and in base64,
/// the cookie stays below 3.5 KB.
const MAX_CARRIED: usize = 2200;
/// The most roles or scopes that are looked at.
const MAX_LIST: usize = 200;

/// Claims that are about the token and not about the person.
const REGISTERED: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Verifies `credential` and reads it.
///
/// # Errors
/// Any [`TokenError`] of form, key, signature and claims.
pub async fn read(
    world: &World,
    site: &Site,
    tenancy: Tenancy<'_>,
    credential: &str,
    now: Timestamp,
) -> Result<ForeignClaims, TokenError> {
    let token = UntrustedJws::parse(credential)?;
    let issuer = match tenancy.issuers(site) {
        [] => return Err(TokenError::Type),
        [only] => only,
        many => many
            .iter()
            .find(|one| token.claims_to_be_of(&one.issuer))
            .ok_or(TokenError::Issuer)?,
    };
    let algorithm = token.algorithm_among(&issuer.algorithms, issuer.typ.as_deref())?;
    let verified = match &issuer.keys {
        KeySource::Secrets(secrets) => token.verified_by_secret(algorithm, &secrets.0)?,
        KeySource::Fixed(keys) => {
            let key = token
                .key_in(keys, algorithm)
                .ok_or(TokenError::UnknownKey)?;
            let crypto = &*world.platform.crypto;
            token.verified_by(algorithm, key, crypto).await?
        }
        KeySource::Remote(remote) => {
            by_published_key(world, issuer, remote, &token, algorithm, now).await?
        }
    };
    let claims = verified.into_claims()?;
    // Without the signature: of one by ECDSA there is always a second that is as good.
    let signed = credential
        .rsplit_once('.')
        .map_or(credential, |(signed, _)| signed);
    let id = hex(&sha256(signed.as_bytes()));
    judge(site, tenancy, issuer, claims, id, now)
}

/// What `issuer` says of a user, as far as it may say that, in the tenant that the request is in.
///
/// # Errors
/// Any [`TokenError`] of the claims.
pub(super) fn judge(
    site: &Site,
    tenancy: Tenancy<'_>,
    issuer: &Rc<Issuer>,
    claims: Map<String, Value>,
    id: String,
    now: Timestamp,
) -> Result<ForeignClaims, TokenError> {
    let foreign = check(issuer, claims, id, now)?;
    if let Tenancy::ByClaim(tenants) = tenancy {
        let group = foreign.granted.tenant.as_deref();
        let group = group.and_then(|name| tenants.named(name));
        if !group.is_some_and(|group| group.issuers.iter().any(|one| Rc::ptr_eq(one, issuer))) {
            return Err(TokenError::OtherTenant);
        }
        let tenant = group.map(|group| group.name.clone());
        return carried(site, ForeignClaims { tenant, ..foreign });
    }
    // An issuer that serves several tenants says for which of them a token is.
    let said = foreign.granted.tenant.as_deref();
    let other = said.zip(site.tenants.as_ref());
    if let (Tenancy::In(group), Some((said, tenants))) = (tenancy, other)
        && tenants
            .named(said)
            .is_some_and(|other| other.name != group.name)
    {
        return Err(TokenError::OtherTenant);
    }
    let tenant = tenancy.name().cloned();
    carried(site, ForeignClaims { tenant, ..foreign })
}

/// Where sessions are, what a token says must fit into one, so that rules hold for it as well.
fn carried(site: &Site, foreign: ForeignClaims) -> Result<ForeignClaims, TokenError> {
    let granted = &*foreign.granted;
    // What is far too long is not written out to be measured.
    let fits = || {
        granted.claims.length() <= MAX_CARRIED
            && serde_json::to_string(granted).is_ok_and(|text| text.len() <= MAX_CARRIED)
    };
    if site.takes(Source::Session) && !fits() {
        return Err(TokenError::ClaimsTooLong);
    }
    Ok(foreign)
}

/// With the issuer's published keys. When none fits, or the one that has no name does not, the
/// issuer may have changed them.
async fn by_published_key(
    world: &World,
    issuer: &Rc<Issuer>,
    remote: &RemoteKeys,
    token: &UntrustedJws<'_>,
    algorithm: Algorithm,
    now: Timestamp,
) -> Result<VerifiedJws, TokenError> {
    let crypto = &*world.platform.crypto;
    let keys = jwks::current(world, issuer, remote, now).await?;
    let error = match token.key_in(&keys, algorithm) {
        None => TokenError::UnknownKey,
        Some(key) => match token.verified_by(algorithm, key, crypto).await {
            Err(TokenError::Signature) if !key.is_named() => TokenError::Signature,
            result => return result,
        },
    };
    let newer = Box::pin(jwks::refetch(world, issuer, remote, &keys, now)).await?;
    let key = newer
        .as_ref()
        .and_then(|keys| token.key_in(keys, algorithm));
    token
        .verified_by(algorithm, key.ok_or(error)?, crypto)
        .await
}

/// The claims, checked and mapped. Issuer and audience come before time, so that only a token that
/// was for us can be called expired.
fn check(
    issuer: &Issuer,
    claims: Map<String, Value>,
    id: String,
    now: Timestamp,
) -> Result<ForeignClaims, TokenError> {
    let iss = jwt::text(&claims, "iss")?.ok_or(TokenError::MissingClaim)?;
    if iss != issuer.issuer {
        return Err(TokenError::Issuer);
    }
    let mut for_us = false;
    for audience in &issuer.audience {
        for_us |= jwt::names_audience(claims.get("aud"), audience)?;
    }
    if !for_us {
        return Err(TokenError::Audience);
    }
    let expires_at = jwt::date(&claims, "exp")?.ok_or(TokenError::MissingClaim)?;
    let issued_at = jwt::date(&claims, "iat")?.ok_or(TokenError::MissingClaim)?;
    let not_before = jwt::date(&claims, "nbf")?;
    jwt::text(&claims, "sub")?;
    jwt::text(&claims, "jti")?;
    let is_there = |path: &ClaimPath| path.find(&claims).is_some_and(|value| !value.is_null());
    if !issuer.required_claims.iter().all(is_there) {
        return Err(TokenError::MissingClaim);
    }
    if expires_at > issued_at + issuer.max_lifetime || expires_at < issued_at {
        return Err(TokenError::Lifetime);
    }
    let latest = now + issuer.leeway;
    if issued_at > latest || not_before.is_some_and(|from| from > latest) {
        return Err(TokenError::NotYet);
    }
    let expires_at = expires_at + issuer.leeway;
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    let subject = identifying_subject(issuer, &claims)?;
    let email = match email(issuer, &claims).and_then(|email| spoken_for(issuer, email)) {
        // A subject does without an address that cannot be trusted.
        Err(_) if subject.is_some() => None,
        email => Some(email?),
    };
    let name = |path: &ClaimPath| {
        let text = path.find(&claims).and_then(Value::as_str)?;
        Name::parse(text).filter(|name| !name.as_str().is_empty())
    };
    // A username that is another address could be taken for somebody else.
    let is_own =
        |name: &Username| !name.as_str().contains('@') || Email::parse(name.as_str()) == email;
    let username = name(&issuer.claims.username)
        .and_then(|name| Username::parse(name.as_str()))
        .filter(is_own);
    let names = [
        name(&issuer.claims.first_name),
        name(&issuer.claims.last_name),
    ];
    let good_until = match &issuer.keys {
        KeySource::Remote(remote) => now + remote.ttl,
        KeySource::Secrets(_) | KeySource::Fixed(_) => expires_at,
    };
    Ok(ForeignClaims {
        email,
        subject,
        tenant: None,
        username,
        names,
        creates: issuer.create_users,
        granted: Rc::new(granted(issuer, claims)?),
        id,
        issued_at,
        expires_at,
        max_lifetime: Seconds(issuer.max_lifetime.0 + issuer.leeway.0),
        good_until,
        user: RefCell::default(),
    })
}

/// The subject, where that identifies the issuer's users. Another issuer's is somebody else's, so the token's own `iss`
/// counts.
fn identifying_subject(
    issuer: &Issuer,
    claims: &Map<String, Value>,
) -> Result<Option<IssuerSubject>, TokenError> {
    if issuer.identity != UserIdentity::Subject {
        return Ok(None);
    }
    let sub = jwt::text(claims, "sub")?.ok_or(TokenError::MissingClaim)?;
    let iss = jwt::text(claims, "iss")?;
    let iss = iss.unwrap_or(&issuer.issuer);
    IssuerSubject::parse(iss, sub)
        .map(Some)
        .ok_or(TokenError::Claims)
}

/// Nobody becomes somebody of a domain for which this issuer does not speak.
fn spoken_for(issuer: &Issuer, email: Email) -> Result<Email, TokenError> {
    let speaks_for = |domains: &Vec<String>| {
        domains
            .iter()
            .any(|one| is_same_domain(one, email.domain()))
    };
    if issuer.email_domains.as_ref().is_none_or(speaks_for) {
        Ok(email)
    } else {
        Err(TokenError::Claims)
    }
}

/// The address: said, and said to be verified; or made of `sub` where the operator has given the
/// issuer a domain of its own.
fn email(issuer: &Issuer, claims: &Map<String, Value>) -> Result<Email, TokenError> {
    match (issuer.claims.email.find(claims), &issuer.subject_domain) {
        (Some(Value::String(text)), _) => {
            let verified = issuer.claims.email_verified.find(claims);
            if issuer.email_verified && verified != Some(&Value::Bool(true)) {
                return Err(TokenError::EmailUnverified);
            }
            Email::parse(text).ok_or(TokenError::Claims)
        }
        (Some(_), _) => Err(TokenError::Claims),
        (None, Some(domain)) => {
            let subject = jwt::text(claims, "sub")?.ok_or(TokenError::MissingClaim)?;
            // Two subjects must not become one address.
            let plain =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.+".contains(&b);
            if !subject.bytes().all(plain) {
                return Err(TokenError::Claims);
            }
            Email::parse(&format!("{subject}@{domain}")).ok_or(TokenError::Claims)
        }
        (None, None) => Err(TokenError::MissingClaim),
    }
}

fn granted(issuer: &Issuer, mut claims: Map<String, Value>) -> Result<Granted, TokenError> {
    let said = words(issuer.claims.roles.find(&claims))?;
    let roles = match said {
        None => issuer.defaults.roles.clone(),
        Some(said) => issuer
            .grant_roles
            .iter()
            .filter(|role| said.iter().any(|one| one == role.as_str()))
            .cloned()
            .collect(),
    };
    let scopes = words(issuer.claims.scopes.find(&claims))?;
    let text = |path: &ClaimPath, default: &Option<String>| match path.find(&claims) {
        None | Some(Value::Null) => Ok(default.clone()),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::Claims),
    };
    let tenant = text(&issuer.claims.tenant, &issuer.defaults.tenant)?;
    let workspace = text(&issuer.claims.workspace, &issuer.defaults.workspace)?;
    let staff = issuer.grant_staff && issuer.claims.staff.find(&claims) == Some(&Value::Bool(true));
    claims.retain(|name, _| match &issuer.keep_claims {
        Some(kept) => kept.contains(name),
        None => !REGISTERED.contains(&name.as_str()),
    });
    Ok(Granted {
        issuer: issuer.name.clone(),
        roles,
        staff,
        scopes: scopes.unwrap_or_else(|| issuer.defaults.scopes.clone()),
        tenant,
        workspace,
        claims: KeptClaims::new(&claims),
    })
}

/// A list of texts, or one text with spaces between its words (RFC 6749 §3.3).
fn words(value: Option<&Value>) -> Result<Option<Vec<String>>, TokenError> {
    let list: Vec<String> = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(list)) => list
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or(TokenError::Claims)?,
        Some(_) => return Err(TokenError::Claims),
    };
    if list.len() > MAX_LIST {
        return Err(TokenError::Claims);
    }
    Ok(Some(list))
}

/// Looks up whose token it is; makes the user on first sight where the issuer may.
///
/// # Errors
/// [`TokenError::UnknownUser`], or a fault.
pub async fn find_user(
    claims: &ForeignClaims,
    world: &World,
    may_create: bool,
    now: Timestamp,
) -> Result<UserId, TokenError> {
    let tenant = claims.tenant.as_ref();
    let handle = claims.handle().ok_or(TokenError::Claims)?;
    let found = people::find_known(world, tenant, handle, now).await?;
    let id = match found {
        Some(user) => user.id.clone(),
        None if claims.creates && may_create => {
            let id = UserId::random(&*world.platform.entropy);
            let mut user = User {
                email: claims.email.clone(),
                ..User::of_subject(id, claims.subject.clone(), now)
            }
            .with_own_username();
            user.tenant.clone_from(&claims.tenant);
            let [first_name, last_name] = claims.names.clone();
            user.username = claims.username.clone().unwrap_or(user.username);
            user.first_name = first_name.unwrap_or_default();
            user.last_name = last_name.unwrap_or_default();
            let user = people::ensure(world, user, now).await?.0;
            let id = user.id.clone();
            world.cache.put_user(&id, Some(user), now);
            id
        }
        None => return Err(TokenError::UnknownUser),
    };
    claims.remember_user(id.clone());
    Ok(id)
}
