//! Edgeward's cookies: created, renewed and cleared here. The only file that writes `Set-Cookie`
//! (RFC 6265bis §4.1).

use std::rc::Rc;

use cookie::time::{Duration, OffsetDateTime};
use cookie::{Cookie, CookieBuilder};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::credential::attempt;
use crate::credential::browser::Browser;
use crate::jose::error::TokenError;
use crate::jose::hmac::HmacAlgorithm;
use crate::jose::jws::{self, Kind, UntrustedJws};
use crate::jose::jwt::{self, Expected};
use crate::model::audit::Written;
use crate::model::claim::{Granted, Reading};
use crate::model::proof::{MAX_METHODS, OF_PROVIDER, Proof};
use crate::model::user::UserId;
use crate::platform::digest::random_text;
use crate::platform::port::Entropy;
use crate::platform::shelf::Weigh;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::config::Config;
use crate::site::issuer::Issuer;
use crate::site::provider::Provider;
use crate::site::{SameSite, Site, SsoCookie};

/// The claim with the second in which the token was issued that opened the session.
const TOKEN_ISSUED_AT: &str = "token_iat";

/// The claim with what another issuer's token added.
const GRANTED: &str = "ext";

/// The claim with how and when the user has signed in.
const PROOF: &str = "auth";

/// The claims of the session cookie.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionClaims {
    /// The session's id, new for each sign-in.
    pub id: String,
    pub user: UserId,
    /// When the user signed in, to the millisecond.
    pub began_at: Timestamp,
    /// When the token that opened it was issued. A session ends with the sign-ins that end that token: an isolate
    /// that had not heard of a sign-out yet may have opened it after that.
    pub token_issued_at: Option<Timestamp>,
    /// When this cookie was issued.
    pub issued_at: Timestamp,
    /// When this cookie expires: the idle limit, or the absolute one if that is earlier.
    pub expires_at: Timestamp,
    /// What the token that opened the session added, if it was another issuer's.
    pub granted: Option<Rc<Granted>>,
    /// Whether its provider has just renewed it, so that a new cookie is due.
    pub is_renewed: bool,
    /// How and when the user has signed in; `None` if nobody says so, and in sessions of earlier versions.
    pub proof: Option<Rc<Proof>>,
}

impl Weigh for SessionClaims {
    fn heap(&self) -> usize {
        self.id.heap() + self.user.heap() + self.granted.heap() + self.proof.heap()
    }
}

/// The value of a `Set-Cookie` header. Only this file creates it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetCookie(String);

impl SetCookie {
    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cookie's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('=').map_or("", |(name, _)| name)
    }

    /// Whether browsers keep it partitioned by the top-level site, separate from an unpartitioned
    /// one of the same name.
    #[must_use]
    pub fn is_partitioned(&self) -> bool {
        self.0.split("; ").any(|part| part == "Partitioned")
    }

    /// Its `Domain`; a browser keeps one with it and one without it as two cookies of one name.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.0
            .split("; ")
            .find_map(|part| part.strip_prefix("Domain="))
    }

    /// Whether both concern the same cookie, so that a browser keeps the later value.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.is_partitioned() == other.is_partitioned()
            && self.domain() == other.domain()
    }
}

/// Whether `cookie` opens or renews a session rather than clearing a cookie.
#[must_use]
pub fn opens(cookie: &SetCookie, site: &Site) -> bool {
    let value = cookie.0.split_once('=').map_or("", |(_, rest)| rest);
    cookie.name() == site.session.cookie && !value.starts_with(';')
}

/// What opens a session, besides the user.
#[derive(Clone, Copy, Default)]
pub struct OpenedBy<'a> {
    /// When the token was issued, if it is one.
    pub token_issued_at: Option<Timestamp>,
    pub granted: Option<&'a Rc<Granted>>,
    pub proof: Option<&'a Rc<Proof>>,
}

/// Opens a session for `user` with a new id and full lifetimes, once the audit log has its row.
#[must_use]
pub fn open(
    _: &Written,
    config: &Config,
    site: &Site,
    user: &UserId,
    by: OpenedBy<'_>,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> (SessionClaims, SetCookie) {
    let claims = SessionClaims {
        id: random_text(entropy),
        user: user.clone(),
        began_at: now,
        token_issued_at: by.token_issued_at,
        issued_at: now,
        expires_at: now + site.session.idle,
        granted: by.granted.map(Rc::clone),
        proof: by.proof.map(Rc::clone),
        is_renewed: false,
    };
    let cookie = write(config, site, &claims, now);
    (claims, cookie)
}

/// A cookie for the same session with a new idle lifetime, once half of the previous one has
/// passed. Never exceeds the absolute lifetime.
#[must_use]
pub fn renew(
    config: &Config,
    site: &Site,
    claims: &SessionClaims,
    now: Timestamp,
) -> Option<SetCookie> {
    if claims.is_renewed {
        return Some(write(config, site, claims, now));
    }
    if renewed_by(site, claims).is_some() || !is_due(site, claims, now) {
        return None;
    }
    let renewed = renewed(site, claims, claims.granted.as_ref(), now);
    Some(write(config, site, &renewed, now))
}

/// The same session with a new idle lifetime, and with what was granted last.
#[must_use]
pub fn renewed(
    site: &Site,
    claims: &SessionClaims,
    granted: Option<&Rc<Granted>>,
    now: Timestamp,
) -> SessionClaims {
    SessionClaims {
        issued_at: now,
        expires_at: renewed_until(site, claims, now),
        granted: granted.map(Rc::clone),
        is_renewed: true,
        ..claims.clone()
    }
}

/// The provider without which a session is not renewed.
#[must_use]
pub fn renewed_by<'a>(site: &'a Site, claims: &SessionClaims) -> Option<&'a Rc<Provider>> {
    let granted = claims.granted.as_ref()?;
    granted.tokens.as_ref()?;
    let provider = site.provider_of(&granted.issuer);
    provider.filter(|provider| provider.offline.is_some())
}

/// Whether [`renew`] returns a cookie.
fn is_due(site: &Site, claims: &SessionClaims, now: Timestamp) -> bool {
    now >= claims.issued_at + site.session.renewal_interval()
        && renewed_until(site, claims, now).seconds() > claims.expires_at.seconds()
}

fn renewed_until(site: &Site, claims: &SessionClaims, now: Timestamp) -> Timestamp {
    (now + site.session.idle).min(ends_at(site, claims))
}

/// When the session ends at the latest.
#[must_use]
pub fn ends_at(site: &Site, claims: &SessionClaims) -> Timestamp {
    claims.began_at + site.session.absolute
}

/// Verifies the value of the session cookie.
///
/// # Errors
/// Any [`TokenError`]. A cookie signed with a secret that is no longer configured is
/// [`TokenError::Ended`]: retiring a secret ends what it signed.
pub fn read(
    config: &Config,
    site: &Site,
    value: &str,
    now: Timestamp,
) -> Result<SessionClaims, TokenError> {
    let verified = UntrustedJws::parse(value)?
        .verify(Kind::Session, HmacAlgorithm::Hs256, &config.keys.session)
        .map_err(|error| {
            if error == TokenError::UnknownKey {
                TokenError::Ended
            } else {
                error
            }
        })?;
    let claims = verified.into_claims()?;
    let expected = Expected {
        issuer: &config.issuer,
        audience: &site.audience,
        max_lifetime: site.session.idle.max(site.session.absolute),
    };
    let registered = jwt::check(&claims, expected, now)?;
    let began_at = began_at(&claims)?;
    let token_issued_at = token_issued_at(&claims)?;
    let claims = SessionClaims {
        id: registered.id,
        user: UserId::parse(&registered.subject).ok_or(TokenError::Claims)?,
        began_at,
        token_issued_at,
        issued_at: registered.issued_at,
        expires_at: registered.expires_at,
        granted: granted(&claims, site)?,
        is_renewed: false,
        proof: proof(&claims),
    };
    if now >= ends_at(site, &claims) {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// Clears the session cookie, with the attributes it was set with.
#[must_use]
pub fn clear(site: &Site) -> SetCookie {
    cleared(own_cookie(site, String::new()))
}

/// Clears the session cookie in both forms that it may have been set in: with and without
/// `Partitioned` it is two cookies of one name, and the setting may have changed.
#[must_use]
pub fn clear_all(site: &Site) -> [SetCookie; 2] {
    [
        clear(site),
        clear_other_form(site, site.session.cookie.clone()),
    ]
}

/// Clears a cookie of ours in the form that it would have if `partitioned` were set the other way.
fn clear_other_form(site: &Site, name: String) -> SetCookie {
    let partitioned = !site.session.partitioned;
    // In a frame of another site, browsers accept such a cookie with `SameSite=None` only.
    let same_site = if partitioned {
        SameSite::None
    } else {
        site.session.same_site
    };
    cleared(named_cookie(
        site,
        name,
        String::new(),
        same_site,
        partitioned,
    ))
}

/// Leaves one of two session cookies of one name: the request does not tell which of them is partitioned. So the good one is
/// written in the form that is configured, and the other form is cleared.
#[must_use]
pub fn keep_only(
    config: &Config,
    site: &Site,
    claims: &SessionClaims,
    now: Timestamp,
) -> [SetCookie; 2] {
    // In this order: to a browser that knows no partitions, both are one cookie.
    [
        clear_other_form(site, site.session.cookie.clone()),
        write(config, site, claims, now),
    ]
}

/// How long a user who was sent to sign in may take until a link brings them back.
const TRIP: Duration = Duration::minutes(10);

/// Records in the browser that it was sent to sign in from `place`. Nobody else can: only this host
/// sets a cookie with that prefix (RFC 6265bis §4.1.3.2), and not in a navigation that another site
/// started.
#[must_use]
pub fn begin_trip(site: &Site, place: &str) -> SetCookie {
    let cookie = trip_cookie(site, place.to_owned()).max_age(TRIP);
    SetCookie(cookie.build().to_string())
}

/// Clears the record of where the browser was sent to sign in from.
#[must_use]
pub fn end_trip(site: &Site) -> SetCookie {
    cleared(trip_cookie(site, String::new()))
}

/// The way back is a navigation from another site, which `Strict` cookies are not sent with.
fn trip_cookie(site: &Site, value: String) -> CookieBuilder<'static> {
    lax_cookie(site, site.session.trip.clone(), value)
}

/// How long a browser keeps its id, and how long a device is known after the last sign-in on it.
const BROWSER: Duration = Duration::days(1);
const DEVICE: Duration = Duration::days(365);

/// Gives the browser an id, see [`crate::credential::browser`]. `presented`: how many it has; of two, one is in the other form.
#[must_use]
pub fn set_browser(site: &Site, browser: &Browser, presented: usize) -> Vec<SetCookie> {
    let name = site.session.browser.clone();
    let id = browser.as_str().to_owned();
    let mut cookies = Vec::new();
    if presented > 1 {
        cookies.push(clear_other_form(site, name.clone()));
    }
    cookies.push(set_lax(site, name, id, BROWSER));
    cookies
}

/// Keeps a sign-in at a provider that is under way, see [`crate::credential::attempt`]. `by_form`: a form of another site's
/// page brings the response, with which only `SameSite=None` is sent.
#[must_use]
pub fn set_attempt(site: &Site, name: &str, value: String, by_form: bool) -> SetCookie {
    let age = Duration::seconds(i64::from(attempt::LIFETIME.0));
    let name = [&site.session.attempts, name].concat();
    if by_form {
        let none = SameSite::None;
        let cookie = named_cookie(site, name, value, none, site.session.partitioned);
        return SetCookie(cookie.max_age(age).build().to_string());
    }
    set_lax(site, name, value, age)
}

/// Clears a sign-in that is over.
#[must_use]
pub fn clear_attempt(site: &Site, name: &str) -> SetCookie {
    let name = [&site.session.attempts, name].concat();
    cleared(lax_cookie(site, name, String::new()))
}

/// Notes that a user has signed in on this device.
#[must_use]
pub fn set_device(site: &Site, proof: String) -> SetCookie {
    set_lax(site, site.session.device.clone(), proof, DEVICE)
}

/// The way to the gateway and back are navigations from other sites, which `Strict` cookies are not sent with.
fn set_lax(site: &Site, name: String, value: String, age: Duration) -> SetCookie {
    let cookie = lax_cookie(site, name, value);
    SetCookie(cookie.max_age(age).build().to_string())
}

/// For a cookie that must arrive with a navigation from another site.
fn lax_cookie(site: &Site, name: String, value: String) -> CookieBuilder<'static> {
    let session = &site.session;
    let same_site = match session.same_site {
        SameSite::Strict => SameSite::Lax,
        other => other,
    };
    named_cookie(site, name, value, same_site, session.partitioned)
}

/// Clears the application's cookie, with the attributes that the application gives it; where that is with a `Domain`, also one
/// without, which may be left from before.
#[must_use]
pub fn clear_sso(site: &Site) -> Vec<SetCookie> {
    let Some(sso) = &site.sso_cookie else {
        return Vec::new();
    };
    let domains = [sso.domain.as_deref(), None];
    let count = if sso.domain.is_some() { 2 } else { 1 };
    let forms = domains.into_iter().take(count);
    forms
        .map(|domain| cleared(sso_cookie(sso, String::new(), domain)))
        .collect()
}

/// Leaves one of several of the application's cookies of one name: the request does not tell which of them has a `Domain`. So
/// the good one is written as the application writes it, and the one without `Domain` is cleared. Without a configured
/// `Domain`, nothing is known of the other.
#[must_use]
pub fn keep_only_sso(
    site: &Site,
    token: &str,
    expires_at: Timestamp,
    now: Timestamp,
) -> Vec<SetCookie> {
    let Some(sso) = &site.sso_cookie else {
        return Vec::new();
    };
    let Some(domain) = sso.domain.as_deref() else {
        return Vec::new();
    };
    let age = Duration::seconds(i64::from(expires_at.since(now).0));
    let kept = sso_cookie(sso, token.to_owned(), Some(domain)).max_age(age);
    vec![
        cleared(sso_cookie(sso, String::new(), None)),
        SetCookie(kept.build().to_string()),
    ]
}

fn sso_cookie(sso: &SsoCookie, value: String, domain: Option<&str>) -> CookieBuilder<'static> {
    let cookie = Cookie::build((sso.name.clone(), value))
        .path(sso.path.clone())
        .secure(sso.secure)
        .http_only(sso.http_only)
        .same_site(same_site(sso.same_site))
        .partitioned(sso.partitioned);
    match domain {
        Some(domain) => cookie.domain(domain.to_owned()),
        None => cookie,
    }
}

/// Clears cookies that were presented and will never be valid again: `own` session cookies and,
/// with `sso`, the application's.
#[must_use]
pub fn clear_presented(site: &Site, own: usize, sso: bool) -> Vec<SetCookie> {
    let mut cookies = match own {
        0 => Vec::new(),
        1 => vec![clear(site)],
        // Two with one name are the two forms.
        _ => clear_all(site).into(),
    };
    if sso {
        cookies.extend(clear_sso(site));
    }
    cookies
}

fn write(config: &Config, site: &Site, claims: &SessionClaims, now: Timestamp) -> SetCookie {
    let token = jws::sign(
        Kind::Session,
        HmacAlgorithm::Hs256,
        &config.keys.session,
        &content(&config.issuer, site, claims),
    );
    let lifetime = claims.expires_at.since(now);
    SetCookie(lasting(own_cookie(site, token), lifetime))
}

fn lasting(cookie: CookieBuilder<'_>, age: Seconds) -> String {
    let age = Duration::seconds(i64::from(age.0));
    cookie.max_age(age).build().to_string()
}

fn content(issuer: &str, site: &Site, claims: &SessionClaims) -> Value {
    let mut value = json!({
        "iss": issuer,
        "aud": site.audience,
        "sub": claims.user.as_str(),
        "jti": claims.id,
        "iat": claims.issued_at.seconds(),
        "exp": claims.expires_at.seconds(),
        "began": claims.began_at.millis(),
    });
    if let Some(members) = value.as_object_mut() {
        if let Some(at) = claims.token_issued_at {
            members.insert(TOKEN_ISSUED_AT.into(), at.seconds().into());
        }
        if let Some(granted) = &claims.granted {
            members.insert(GRANTED.into(), json!(**granted));
        }
        if let Some(proof) = &claims.proof {
            members.insert(PROOF.into(), json!(**proof));
        }
    }
    value
}

/// The longest cookie that all browsers keep, with its name and its attributes (RFC 6265 §6.1).
const MAX_COOKIE: usize = 4096;
/// The most bytes of JSON that a session carries on of a token, however much room there is: each request sends it.
const MAX_CARRIED: usize = 2200;

/// How many bytes of JSON what a token adds to a session at `site` may have: so many that with all the rest at its longest the
/// cookie is not too long.
#[must_use]
pub fn room(issuer: &str, site: &Site) -> usize {
    // Random texts and ids have one length, and milliseconds no more digits for 260 years.
    let zeros = random_text(&Zeros);
    let latest = Timestamp::from_millis(9_999_999_999_999);
    let speakers = site.speakers().map(|issuer| issuer.name.len());
    let name = "n".repeat(speakers.max().unwrap_or_default());
    let methods = "m".repeat(MAX_METHODS);
    let proof = Proof {
        methods: vec![[OF_PROVIDER, &name].concat(), methods],
        at: Some(latest),
    };
    let granted = Granted {
        tokens: Some(zeros.clone()),
        ..Granted::default()
    };
    let claims = SessionClaims {
        id: zeros,
        user: UserId::random(&Zeros),
        began_at: latest,
        token_issued_at: Some(latest),
        issued_at: latest,
        expires_at: latest,
        granted: Some(Rc::new(granted)),
        is_renewed: false,
        proof: Some(Rc::new(proof)),
    };
    let content = content(issuer, site, &claims).to_string().len();
    let kid = u32::MAX.to_string();
    let algorithm = HmacAlgorithm::Hs256.name();
    let head = jws::signing_input(Kind::Session, algorithm, &kid, &Value::Null);
    let empty = lasting(own_cookie(site, String::new()), site.session.absolute);
    // The payload `null` has six characters, and a SHA-256 and its dot 44.
    let around = empty.len() + head.len() - 6 + 44;
    let payload = MAX_COOKIE.saturating_sub(around) * 3 / 4;
    payload.saturating_sub(content).min(MAX_CARRIED)
}

/// Random bytes that stand for any others.
struct Zeros;

impl Entropy for Zeros {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn own_cookie(site: &Site, value: String) -> CookieBuilder<'static> {
    let session = &site.session;
    let name = session.cookie.clone();
    named_cookie(site, name, value, session.same_site, session.partitioned)
}

fn named_cookie(
    site: &Site,
    name: String,
    value: String,
    same_site_as: SameSite,
    partitioned: bool,
) -> CookieBuilder<'static> {
    Cookie::build((name, value))
        .path(site.cookie_path())
        .secure(true)
        .http_only(true)
        .same_site(same_site(same_site_as))
        .partitioned(partitioned)
}

fn cleared(cookie: CookieBuilder<'_>) -> SetCookie {
    let cookie = cookie
        .max_age(Duration::ZERO)
        .expires(OffsetDateTime::UNIX_EPOCH);
    SetCookie(cookie.build().to_string())
}

fn same_site(same_site: SameSite) -> cookie::SameSite {
    match same_site {
        SameSite::Strict => cookie::SameSite::Strict,
        SameSite::Lax => cookie::SameSite::Lax,
        SameSite::None => cookie::SameSite::None,
    }
}

/// What the token that opened the session added, within what its issuer may still grant. A session
/// of an issuer that the site no longer accepts has ended.
fn granted(claims: &Map<String, Value>, site: &Site) -> Result<Option<Rc<Granted>>, TokenError> {
    let Some(value) = claims.get(GRANTED) else {
        // A session that no issuer's token has opened.
        return if site.own_tokens {
            Ok(None)
        } else {
            Err(TokenError::Ended)
        };
    };
    let mut granted = Granted::deserialize(value).map_err(|_| TokenError::Claims)?;
    let issuer = site
        .speakers()
        .find(|issuer| issuer.name == granted.issuer)
        .ok_or(TokenError::Ended)?;
    granted = within(granted, issuer);
    // A session of the time before the site told its origin the subject.
    if site.tells_subject()
        && !Reading::new(Some(&granted.claims))
            .members()
            .contains_key("sub")
    {
        return Err(TokenError::Ended);
    }
    Ok(Some(Rc::new(granted)))
}

/// What `issuer` may still grant of what it has granted.
#[must_use]
pub fn within(mut granted: Granted, issuer: &Issuer) -> Granted {
    granted
        .roles
        .retain(|role| issuer.grant_roles.contains(role));
    granted.staff &= issuer.grant_staff;
    granted
}

/// Sessions of earlier versions do not have it.
fn token_issued_at(claims: &Map<String, Value>) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(TOKEN_ISSUED_AT) else {
        return Ok(None);
    };
    let seconds = value.as_u64().ok_or(TokenError::Claims)?;
    Ok(Some(Timestamp::from_seconds(seconds)))
}

/// A session of an earlier version proves nothing.
fn proof(claims: &Map<String, Value>) -> Option<Rc<Proof>> {
    Proof::deserialize(claims.get(PROOF)?).ok().map(Rc::new)
}

fn began_at(claims: &Map<String, Value>) -> Result<Timestamp, TokenError> {
    let millis = claims
        .get("began")
        .and_then(Value::as_u64)
        .ok_or(TokenError::Claims)?;
    Ok(Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests;
