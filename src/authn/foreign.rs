//! Tokens of other issuers: verified with the issuer's keys, then read into what they say of a user.
//! What an issuer may say is limited by its configuration.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::authn::{binding, jwks};
use crate::credential::foreign::ForeignClaims;
use crate::jose::error::TokenError;
use crate::jose::jws::{UntrustedJws, VerifiedJws};
use crate::jose::jwt;
use crate::memory::cache::Note;
use crate::memory::world::World;
use crate::model::claim::{ClaimPath, Granted, KeptClaims, as_text};
use crate::model::proof::{OF_ISSUER, OF_PROVIDER, Proof};
use crate::model::user::subject::IssuerSubject;
use crate::model::user::{Email, Name, User, UserId, Username, is_same_domain};
use crate::people;
use crate::platform::algorithm::Algorithm;
use crate::platform::digest::{hex, sha256};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::Site;
use crate::site::issuer::{Issuer, KeySource, RemoteKeys, UserIdentity, is_of_any};
use crate::site::tenant::Tenancy;

/// The most scopes that are read.
const MAX_SCOPES: usize = 200;

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
    let issuer = issuer_of(site, tenancy, &token)?;
    let typ = issuer.typ.as_deref();
    let claims = verified(world, issuer, &token, typ, now).await?;
    judge(world, site, tenancy, issuer, claims, id_of(credential), now)
}

/// The name of a token: a hash of what is signed. Without the signature: of one by ECDSA there is always a second that is
/// as good.
pub(super) fn id_of(credential: &str) -> String {
    let signed = credential
        .rsplit_once('.')
        .map_or(credential, |(signed, _)| signed);
    hex(&sha256(signed.as_bytes()))
}

/// The claims of a token of `issuer`, once its `typ` and its signature have matched.
///
/// # Errors
/// Any [`TokenError`] of form, key and signature.
pub(super) async fn verified(
    world: &World,
    issuer: &Rc<Issuer>,
    token: &UntrustedJws<'_>,
    typ: Option<&str>,
    now: Timestamp,
) -> Result<Map<String, Value>, TokenError> {
    let algorithm = token.algorithm_among(&issuer.algorithms, typ)?;
    let verified = match &issuer.keys {
        KeySource::Secrets(secrets) => token.verified_by_secret(algorithm, &secrets.0)?,
        KeySource::Fixed(keys) => {
            let crypto = &*world.platform.crypto;
            token.verified_by_one_of(algorithm, keys, crypto).await?
        }
        KeySource::Remote(remote) => {
            by_published_key(world, issuer, remote, token, algorithm, now).await?
        }
    };
    verified.into_claims()
}

/// The issuer whose keys a token is verified with.
///
/// # Errors
/// [`TokenError::Type`] where no issuer's tokens are taken, [`TokenError::UnknownIssuer`].
pub(super) fn issuer_of<'a>(
    site: &'a Site,
    tenancy: Tenancy<'a>,
    token: &UntrustedJws<'_>,
) -> Result<&'a Rc<Issuer>, TokenError> {
    match tenancy.issuers(site) {
        [] => Err(TokenError::Type),
        [only] => Ok(only),
        many => many
            .iter()
            .find(|one| is_of_any(std::iter::once(&***one), token))
            .ok_or(TokenError::UnknownIssuer),
    }
}

/// What `issuer` says of a user, as far as it may say that, in the tenant that the request is in.
///
/// # Errors
/// Any [`TokenError`] of the claims.
pub(super) fn judge(
    world: &World,
    site: &Site,
    tenancy: Tenancy<'_>,
    issuer: &Rc<Issuer>,
    claims: Map<String, Value>,
    id: String,
    now: Timestamp,
) -> Result<ForeignClaims, TokenError> {
    let unlisted = binding::unlisted(issuer, &claims);
    if !unlisted.is_empty() {
        world.cache.note(Note::UnlistedClaims {
            site: site.name.clone(),
            issuer: issuer.name.clone(),
            claims: unlisted,
        });
        return Err(TokenError::UnlistedClaim);
    }
    let (foreign, unreadable) = check(site, issuer, claims, id, now)?;
    if !unreadable.is_empty() {
        world.cache.note(Note::UnreadableClaims {
            site: site.name.clone(),
            issuer: issuer.name.clone(),
            claims: unreadable,
        });
    }
    if let Tenancy::ByClaim(tenants) = tenancy {
        let group = foreign.granted.tenant.as_deref();
        let group = group.and_then(|name| tenants.named(name));
        if !group.is_some_and(|group| group.issuers.iter().any(|one| Rc::ptr_eq(one, issuer))) {
            return Err(TokenError::OtherTenant);
        }
        let tenant = group.map(|group| group.name.clone());
        return Ok(ForeignClaims { tenant, ..foreign });
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
    Ok(ForeignClaims { tenant, ..foreign })
}

/// With the issuer's published keys. If none of them fits, or one without a name does not, the issuer may have changed
/// them.
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
    let error = match token.verified_by_one_of(algorithm, &keys, crypto).await {
        Err(error @ (TokenError::UnknownKey | TokenError::Signature)) => error,
        result => return result,
    };
    let tried = token.keys_in(&keys, algorithm);
    if !tried.is_empty() && tried.iter().all(|key| key.is_named()) {
        return Err(error);
    }
    match Box::pin(jwks::refetch(world, issuer, remote, &keys, now)).await? {
        Some(newer) if !Rc::ptr_eq(&newer, &keys) => {
            token.verified_by_one_of(algorithm, &newer, crypto).await
        }
        _ => Err(error),
    }
}

/// The claims, checked and mapped, and the names of those that the site uses and that cannot be read. Issuer and audience
/// come before time, so that only a token that was for us can be called expired.
fn check(
    site: &Site,
    issuer: &Issuer,
    claims: Map<String, Value>,
    id: String,
    now: Timestamp,
) -> Result<(ForeignClaims, Vec<&'static str>), TokenError> {
    binding::check_place(issuer, &claims)?;
    let latest = now + issuer.leeway;
    let (issued_at, expires_at) = binding::read_times(issuer, &claims)?;
    let not_before = jwt::date(&claims, "nbf")?;
    for required in &issuer.required_claims {
        let name = required.path.as_str();
        match required.path.find(&claims) {
            None | Some(Value::Null) => return Err(TokenError::MissingClaim(name)),
            // Applications that find people by a claim take all who have an empty one for the same person.
            Some(Value::String(text)) if required.values.is_none() && text.trim().is_empty() => {
                return Err(TokenError::MissingClaim(name));
            }
            Some(value) if !required.accepts(value) => return Err(TokenError::ClaimValue(name)),
            Some(_) => {}
        }
    }
    // What does not say when it was issued is taken to be as old as it may be.
    let says_when = claims.contains_key("iat");
    if expires_at > issued_at + issuer.max_lifetime
        || expires_at < issued_at
        || !says_when && issued_at > latest
    {
        return Err(TokenError::Lifetime);
    }
    if issued_at > latest || not_before.is_some_and(|from| from > latest) {
        return Err(TokenError::NotYet);
    }
    let expires_at = expires_at + issuer.leeway;
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    if site.tells_subject() && subject(issuer, &claims)?.is_none() {
        return Err(TokenError::MissingClaim("sub"));
    }
    let known_by = identifying_subject(issuer, &claims)?;
    let says_email = issuer.claims.email.find(&claims).is_some();
    let email = match email(issuer, &claims).and_then(|email| spoken_for(issuer, email)) {
        // A subject does without an address that cannot be trusted.
        Err(_) if known_by.is_some() => None,
        email => Some(email?),
    };
    let name = |path: ClaimPath| {
        let text = path.find(&claims).and_then(Value::as_str)?;
        Name::parse(text).filter(|name| !name.as_str().is_empty())
    };
    // A username that is another address, or an id, could be taken for somebody else.
    let is_own = |name: &Username| {
        let name = name.as_str();
        let is_address = name.contains('@');
        (!is_address || email.is_some() && Email::parse(name) == email) && !name.starts_with("usr_")
    };
    let username = name(issuer.claims.username)
        .and_then(|name| Username::parse(name.as_str()))
        .filter(is_own);
    let names = [
        name(issuer.claims.first_name),
        name(issuer.claims.last_name),
    ];
    let good_until = match &issuer.keys {
        KeySource::Remote(remote) => now + remote.ttl,
        KeySource::Secrets(_) | KeySource::Fixed(_) => expires_at,
    };
    let is_provider = site.provider_of(&issuer.name).is_some();
    let by = if is_provider { OF_PROVIDER } else { OF_ISSUER };
    let proof = Proof::of_claims(&[by, &issuer.name].concat(), &claims, now).map(Rc::new);
    let (granted, for_session, unreadable) = granted(site, issuer, claims)?;
    let foreign = ForeignClaims {
        email,
        says_email,
        subject: known_by,
        tenant: None,
        username,
        names,
        creates: issuer.create_users,
        granted,
        for_session,
        proof,
        id,
        issued_at,
        expires_at,
        max_lifetime: Seconds(issuer.max_lifetime.0 + issuer.leeway.0),
        good_until,
        user: RefCell::default(),
    };
    Ok((foreign, unreadable))
}

/// `sub` as text, if the token has one.
fn subject<'a>(
    issuer: &Issuer,
    claims: &'a Map<String, Value>,
) -> Result<Option<Cow<'a, str>>, TokenError> {
    let Some(value) = claims.get("sub").filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = as_text(value, issuer.numbers_as_text);
    text.map(Some).ok_or(TokenError::ClaimForm("sub"))
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
    let sub = subject(issuer, claims)?.ok_or(TokenError::MissingClaim("sub"))?;
    let iss = jwt::text(claims, "iss")?;
    let iss = iss.unwrap_or(&issuer.issuer);
    IssuerSubject::parse(iss, &sub)
        .map(Some)
        .ok_or(TokenError::ClaimForm("sub"))
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
        Err(TokenError::EmailDomain)
    }
}

/// The address: said, and said to be verified; or made of `sub` where the operator has given the
/// issuer a domain of its own.
fn email(issuer: &Issuer, claims: &Map<String, Value>) -> Result<Email, TokenError> {
    let path = issuer.claims.email;
    let malformed = TokenError::ClaimForm(path.as_str());
    match (path.find(claims), &issuer.subject_domain) {
        (Some(Value::String(text)), _) => {
            let is_verified = match issuer.claims.email_verified.find(claims) {
                Some(Value::Bool(verified)) => *verified,
                Some(Value::String(text)) => issuer.email_verified_as_text && text == "true",
                _ => false,
            };
            if issuer.email_verified && !is_verified {
                return Err(TokenError::EmailUnverified);
            }
            Email::parse(text).ok_or(malformed)
        }
        (Some(_), _) => Err(malformed),
        (None, Some(domain)) => {
            let subject = subject(issuer, claims)?.ok_or(TokenError::MissingClaim("sub"))?;
            // Two subjects must not become one address.
            let plain =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.+".contains(&b);
            if !subject.bytes().all(plain) {
                return Err(TokenError::ClaimForm("sub"));
            }
            Email::parse(&format!("{subject}@{domain}")).ok_or(TokenError::ClaimForm("sub"))
        }
        (None, None) => Err(TokenError::MissingClaim(path.as_str())),
    }
}

/// What a token adds to the user's record; what of that a session keeps, if that is not too long; and the names of the
/// claims that cannot be read. Those grant nothing.
#[expect(clippy::type_complexity, reason = "three results of one reading")]
fn granted(
    site: &Site,
    issuer: &Issuer,
    mut claims: Map<String, Value>,
) -> Result<(Rc<Granted>, Option<Rc<Granted>>, Vec<&'static str>), TokenError> {
    let mut unreadable = Vec::new();
    let roles = match issuer.claims.roles.read(&claims) {
        None => issuer.defaults.roles.clone(),
        Some(said) => {
            if said.unreadable {
                unreadable.push(issuer.claims.roles.as_str());
            }
            let known = issuer.grant_roles.iter();
            // One text is the name of one role before it is a list of words: a part of a name is another role's.
            let text = issuer.claims.roles.claim().find(&claims);
            let text = text.and_then(Value::as_str).unwrap_or_default();
            match known.clone().find(|role| role.as_str() == text) {
                Some(role) => vec![role.clone()],
                None => known
                    .filter(|role| said.words.contains(&role.as_str()))
                    .cloned()
                    .collect(),
            }
        }
    };
    let scopes = match issuer.claims.scopes.read(&claims) {
        None => issuer.defaults.scopes.clone(),
        Some(said) => {
            if said.unreadable || said.words.len() > MAX_SCOPES {
                unreadable.push(issuer.claims.scopes.as_str());
            }
            let words = said.words.into_iter().take(MAX_SCOPES);
            words.map(str::to_owned).collect()
        }
    };
    let mut text = |path: ClaimPath, default: &Option<String>| match path.find(&claims) {
        None | Some(Value::Null) => default.clone(),
        Some(value) => {
            let text = as_text(value, issuer.numbers_as_text);
            if text.is_none() {
                unreadable.push(path.as_str());
            }
            text.map(Cow::into_owned)
        }
    };
    let tenant = text(issuer.claims.tenant, &issuer.defaults.tenant);
    let workspace = text(issuer.claims.workspace, &issuer.defaults.workspace);
    let tenant_claim = issuer.claims.tenant.as_str();
    if site.tenants.is_some() && unreadable.contains(&tenant_claim) {
        return Err(TokenError::ClaimForm(tenant_claim));
    }
    let staff = issuer.grant_staff && issuer.claims.staff.find(&claims) == Some(&Value::Bool(true));
    let kept = issuer.keep_claims.as_ref().map(|names| {
        let mut kept = claims.clone();
        kept.retain(|name, _| names.contains(name));
        KeptClaims::new(&kept)
    });
    claims.retain(|name, _| site.uses_claim(name));
    let granted = Granted {
        issuer: issuer.name.clone(),
        roles,
        staff,
        scopes,
        tenant,
        workspace,
        tokens: None,
        claims: KeptClaims::new(&claims),
    };
    let granted = Rc::new(granted);
    let for_session = match kept {
        None => Rc::clone(&granted),
        Some(claims) => Rc::new(Granted {
            claims,
            ..Granted::clone(&granted)
        }),
    };
    let for_session = fits_session(site, &for_session).then_some(for_session);
    Ok((granted, for_session, unreadable))
}

/// Whether a session at `site` can carry on what a token says, and at each site of the gateway, if it is that.
fn fits_session(site: &Site, granted: &Granted) -> bool {
    // What is far too long is not written out to be measured.
    granted.claims.length() <= site.room
        && serde_json::to_string(granted).is_ok_and(|text| text.len() <= site.room)
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
    let handle = claims.handle().ok_or(TokenError::MissingClaim("sub"))?;
    let found = people::find_known(world, tenant, handle, now).await?;
    let id = match found {
        Some(user) => user.id.clone(),
        None if claims.creates && may_create => {
            let user = new_user(claims, world, now);
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

/// The user that a token makes on first sight. Nobody has the id yet.
pub fn new_user(claims: &ForeignClaims, world: &World, now: Timestamp) -> User {
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
    user
}
