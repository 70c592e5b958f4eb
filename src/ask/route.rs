//! Host and path → what is asked for: one of our own endpoints, or a site's origin. Knows no
//! credentials.

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::answer::reading::Lead;
use crate::http::path::{Misplaced, PathError, RequestPath};
use crate::http::query;
use crate::http::request::Parts;
use crate::site::config::Config;
use crate::site::mount::{ENDPOINTS, Served};
use crate::site::{Paths, Site};

/// What a request asks for.
pub enum Target<'a> {
    /// A path of the site's application.
    Site {
        /// The site.
        site: Rc<Site>,
        /// The path.
        path: RequestPath<'a>,
    },
    /// One of our own endpoints, at a site.
    Own {
        /// The site.
        site: Rc<Site>,
        /// The path.
        path: RequestPath<'a>,
        /// The endpoint.
        endpoint: Endpoint,
    },
}

/// Our own endpoints. They come before every rule and are never forwarded. Their paths are within a site, and
/// those below `/api/sso` below the site's `endpoints` instead, with the keys beside them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `/api/sso/token`
    Token,
    /// The admin API.
    Admin(AdminEndpoint),
    /// `/api/sso/me`
    Me,
    /// `/api/sso/logout`, and where the application of a site with a profile signs people out
    Logout,
    /// `/api/sso/switch`
    Switch,
    /// Where programs of the application of a site with a profile exchange a credential
    Exchange,
    /// `/api/sso/health`
    Health,
    /// `/.well-known/jwks.json`
    KeySet,
    /// `/.well-known/assertion-key.pem`
    SigningKeyPem,
    /// `/api/sso/arrive`, where a browser comes back from the gateway
    Arrive,
    /// `/api/sso/login`, the list of providers at which people sign in
    Login,
    /// `/api/sso/login/{name}`, the way to one
    LoginAt(String),
    /// `/api/sso/callback/{name}`, where a browser comes back from it
    Callback(String),
    /// `/api/sso/logged-out/{name}`, where a browser comes back from it after a sign-out
    LoggedOut(String),
    /// `/api/sso/backchannel/{name}`, where a provider tells that somebody has signed out there
    BackChannel(String),
    /// A page of the gateway
    Gateway(GatewayPage),
    /// A call of a service to the gateway
    Service(ServiceCall),
    /// The mount of a site without a slash behind it
    Mount,
    /// Anything else below `/api/sso`, and at the gateway.
    Unknown,
}

impl Endpoint {
    /// Whether people end their sessions here.
    #[must_use]
    pub const fn is_sign_out(&self) -> bool {
        matches!(self, Self::Logout | Self::Gateway(GatewayPage::Logout))
    }
}

/// The pages of the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GatewayPage {
    /// `/`
    Root,
    /// `/login/`
    Login,
    /// `/logout/`
    Logout,
    /// `/welcome/`
    Welcome,
    /// `/account/`
    Account,
    /// `/password/`, where a password is changed, or set by a link
    Password,
    /// `/passkey/`, which tells a browser what to ask an authenticator
    Passkey,
    /// `/passkey.js`
    PasskeyScript,
}

/// The calls of services to the gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServiceCall {
    /// `/sso/obtain/`
    Obtain,
    /// `/sso/get/`
    Get,
    /// `/sso/make_used/`
    MakeUsed,
    /// `/sso/deauthenticate/`
    Deauthenticate,
}

/// The endpoints of the admin API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AdminEndpoint {
    /// `/api/sso/users`
    Users,
    /// `/api/sso/users/bulk`
    UsersBulk,
    /// `/api/sso/users/reindex`
    UsersReindex,
    /// `/api/sso/users/{id}`
    User(String),
    /// `/api/sso/users/{id}/logout`
    UserLogout(String),
    /// `/api/sso/tokens`
    ApiTokens,
    /// `/api/sso/tokens/{id}`
    ApiToken(String),
    /// `/api/sso/tokens/{id}/revoke`
    ApiTokenRevoke(String),
    /// `/api/sso/keys`
    SigningKeys,
    /// `/api/sso/keys/rotate`
    SigningKeysRotate,
    /// `/api/sso/explain`
    Explain,
    /// `/api/sso/users/{id}/password`
    UserPassword(String),
    /// `/api/sso/users/{id}/password-link`
    UserPasswordLink(String),
    /// `/api/sso/users/{id}/sessions`
    UserSessions(String),
    /// `/api/sso/services`
    Services,
    /// `/api/sso/services/{id}`
    Service(String),
    /// `/api/sso/services/{id}/rotate`
    ServiceRotate(String),
    /// `/api/sso/services/{id}/events`
    ServiceEvents(String),
    /// `/api/sso/services/{id}/events/resend`
    ServiceEventsResend(String),
    /// `/api/sso/audit`
    Audit,
    /// `/api/sso/audit/export`
    AuditExport,
    /// `/api/sso/audit/verify`
    AuditVerify,
    /// `/api/sso/backup`
    Backup,
    /// `/api/sso/backup/restore`
    BackupRestore,
    /// `/api/sso/services/{id}/events/discard`
    ServiceEventsDiscard(String),
    /// `/api/sso/metrics`
    Metrics,
    /// `/api/sso/health?deep`
    Health,
}

/// The path of each of our endpoints where a site has the default for `endpoints`, with `{id}` in the place of an id.
pub const PATHS: [&str; 39] = [
    "/api/sso/token",
    "/api/sso/me",
    "/api/sso/logout",
    "/api/sso/switch",
    "/api/sso/health",
    "/.well-known/jwks.json",
    "/.well-known/assertion-key.pem",
    "/api/sso/users",
    "/api/sso/users/bulk",
    "/api/sso/users/{id}",
    "/api/sso/users/{id}/logout",
    "/api/sso/tokens",
    "/api/sso/tokens/{id}",
    "/api/sso/tokens/{id}/revoke",
    "/api/sso/keys",
    "/api/sso/keys/rotate",
    "/api/sso/explain",
    "/api/sso/users/{id}/password",
    "/api/sso/users/{id}/password-link",
    "/api/sso/users/{id}/sessions",
    "/api/sso/services",
    "/api/sso/services/{id}",
    "/api/sso/services/{id}/rotate",
    "/api/sso/services/{id}/events",
    "/api/sso/services/{id}/events/resend",
    "/api/sso/services/{id}/events/discard",
    "/api/sso/arrive",
    "/api/sso/login",
    "/api/sso/login/{id}",
    "/api/sso/callback/{id}",
    "/api/sso/backchannel/{id}",
    "/api/sso/logged-out/{id}",
    "/api/sso/metrics",
    "/api/sso/audit",
    "/api/sso/audit/export",
    "/api/sso/audit/verify",
    "/api/sso/backup",
    "/api/sso/backup/restore",
    "/api/sso/users/reindex",
];

/// The path of each page and each call of the gateway, but for the script of its pages. They are found without the last slash
/// too.
pub const GATEWAY_PATHS: [&str; 11] = [
    "/",
    "/login/",
    "/logout/",
    "/welcome/",
    "/account/",
    "/password/",
    "/passkey/",
    "/sso/obtain/",
    "/sso/get/",
    "/sso/make_used/",
    "/sso/deauthenticate/",
];

/// Why a request has no target, and the site as far as it is known.
pub type Missed = (Denial, Option<Rc<Site>>);

/// Finds the target of `parts`.
///
/// # Errors
/// [`Denial::UnknownHost`], [`Denial::Path`] or [`Denial::AmbiguousPath`].
pub fn route<'a>(config: &Config, parts: &'a Parts) -> Result<Target<'a>, Missed> {
    let served = config
        .served(parts.authority(), parts.scheme())
        .ok_or((Denial::UnknownHost, None))?;
    let (site, path) = place(served, parts.path())?;
    match resolve_at(&site, path) {
        Ok((path, Some(endpoint))) => Ok(Target::Own {
            site,
            path,
            endpoint: match endpoint {
                Endpoint::Health if asks_for_depth(parts) => Endpoint::Admin(AdminEndpoint::Health),
                endpoint => endpoint,
            },
        }),
        Ok((path, None)) => Ok(Target::Site { site, path }),
        Err(denial) => Err((denial, Some(site))),
    }
}

/// Whether a request for the health wants to know more than anybody may.
fn asks_for_depth(parts: &Parts) -> bool {
    let query = parts.query().unwrap_or_default();
    !query::take(query, "deep").values.is_empty()
}

/// The site at a host that serves `path`, and the path with its readings, all of which lead to that site.
///
/// # Errors
/// As [`route`].
pub fn place<'a>(served: &Served, path: &'a str) -> Result<(Rc<Site>, RequestPath<'a>), Missed> {
    if let Some(site) = served.whole() {
        return match parse(site, path) {
            Ok(path) => Ok((Rc::clone(site), path)),
            Err(denial) => Err((denial, Some(Rc::clone(site)))),
        };
    }
    let nearest = || served.find(path.as_bytes()).map(Rc::clone);
    let find = |path: &RequestPath<'_>| match served.find_of_all(path) {
        Ok(Some(site)) => Ok(Rc::clone(site)),
        Ok(None) => Err((Denial::UnknownHost, None)),
        Err((one, other)) => {
            let [one, other] = [one, other].map(|name| name.map_or(Lead::NoSite, Lead::Site));
            Err((Denial::AmbiguousPath(one, other), nearest()))
        }
    };
    let whole = RequestPath::parse(path).map_err(|error| (Denial::Path(error), nearest()))?;
    let site = find(&whole)?;
    if site.paths == Paths::Unchanged {
        return Ok((site, whole));
    }
    let strict = parse(&site, path).map_err(|denial| (denial, Some(Rc::clone(&site))))?;
    if !Rc::ptr_eq(&find(&strict)?, &site) {
        let lead = Lead::Site(site.name.clone());
        return Err((Denial::AmbiguousPath(lead, Lead::NoSite), Some(site)));
    }
    Ok((site, strict))
}

fn parse<'a>(site: &Site, path: &'a str) -> Result<RequestPath<'a>, Denial> {
    let path = match site.paths {
        Paths::Unchanged => RequestPath::parse(path),
        Paths::Strict => RequestPath::parse_strictly(path),
    };
    path.map_err(Denial::Path)
}

/// Resolves `path`, which belongs to `site`: the path within the site with its readings, and the endpoint if it is
/// one of ours.
///
/// # Errors
/// [`Denial::Path`], or [`Denial::AmbiguousPath`] if only some readings lead to that endpoint.
pub fn resolve<'a>(
    site: &Site,
    path: &'a str,
) -> Result<(RequestPath<'a>, Option<Endpoint>), Denial> {
    resolve_at(site, parse(site, path)?)
}

/// The same for a path that was read already.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_at<'a>(
    site: &Site,
    path: RequestPath<'a>,
) -> Result<(RequestPath<'a>, Option<Endpoint>), Denial> {
    let is_mount = !site.mount.is_empty() && path.as_str().len() == site.mount.len();
    let path = path
        .below(site.mount.len(), &site.base)
        .map_err(|error| match error {
            Misplaced::Unreadable(error) => Denial::Path(error),
            Misplaced::Outside => {
                Denial::AmbiguousPath(Lead::Site(site.name.clone()), Lead::OutsideUpstream)
            }
        })?;
    if is_mount {
        return Ok((path, Some(Endpoint::Mount)));
    }
    let endpoint = endpoint_of(site, path.as_str());
    if !path.is_plain() {
        let mut readings = path
            .readings()
            .flat_map(|reading| endpoints_of(site, reading));
        let first = readings.next().flatten();
        let other = readings.find(|other| *other != first);
        if let Some(other) = other {
            let (one, other) = leads(first.is_some(), other.is_some());
            return Err(Denial::AmbiguousPath(one, other));
        }
        if first.is_some() != endpoint.is_some() {
            let (one, other) = leads(endpoint.is_some(), first.is_some());
            return Err(Denial::AmbiguousPath(one, other));
        }
    }
    if endpoint.is_none() && !site.rules.can_judge(&path) {
        return Err(Denial::Path(PathError::TooLong));
    }
    Ok((path, endpoint))
}

/// The endpoint at a reading, and what it is for a server that folds more letters than others.
fn endpoints_of(site: &Site, reading: &[u8]) -> impl Iterator<Item = Option<Endpoint>> {
    let of = |path: &[u8]| endpoint_of(site, &String::from_utf8_lossy(path));
    let widely = site.rules.fold_widely(reading).map(|folded| of(&folded));
    [Some(of(reading)), widely].into_iter().flatten()
}

/// Where two readings lead that do not lead to the same endpoint.
const fn leads(one_is_ours: bool, other_is_ours: bool) -> (Lead, Lead) {
    match (one_is_ours, other_is_ours) {
        (true, true) => (Lead::Endpoint, Lead::OtherEndpoint),
        (true, false) => (Lead::Endpoint, Lead::Application),
        (false, _) => (Lead::Application, Lead::Endpoint),
    }
}

/// The endpoint at `path`, a reading of a request's path, if it is one of ours.
#[must_use]
pub fn endpoint_of(site: &Site, path: &str) -> Option<Endpoint> {
    match &site.profile {
        Some(profile) if profile.signs_out(path) => Some(Endpoint::Logout),
        Some(profile) if profile.exchanges(path) => Some(Endpoint::Exchange),
        _ if site.gateway.is_some() => {
            endpoint(&site.endpoints, path).or_else(|| Some(at_gateway(path)))
        }
        _ => endpoint(&site.endpoints, path),
    }
}

/// Every path of the gateway is one of ours.
fn at_gateway(path: &str) -> Endpoint {
    match path.strip_suffix('/').unwrap_or(path) {
        "" => Endpoint::Gateway(GatewayPage::Root),
        "/login" => Endpoint::Gateway(GatewayPage::Login),
        "/logout" => Endpoint::Gateway(GatewayPage::Logout),
        // django-sso calls it by either name.
        "/welcome" | "/__welcome" => Endpoint::Gateway(GatewayPage::Welcome),
        "/account" => Endpoint::Gateway(GatewayPage::Account),
        "/password" => Endpoint::Gateway(GatewayPage::Password),
        "/passkey" => Endpoint::Gateway(GatewayPage::Passkey),
        "/passkey.js" => Endpoint::Gateway(GatewayPage::PasskeyScript),
        "/sso/obtain" => Endpoint::Service(ServiceCall::Obtain),
        "/sso/get" => Endpoint::Service(ServiceCall::Get),
        "/sso/make_used" => Endpoint::Service(ServiceCall::MakeUsed),
        "/sso/deauthenticate" => Endpoint::Service(ServiceCall::Deauthenticate),
        _ => Endpoint::Unknown,
    }
}

/// The keys of the default endpoints, where clients look for them.
pub const KEY_SET: &str = "/.well-known/jwks.json";
/// The same for the key as PEM.
pub const SIGNING_KEY: &str = "/.well-known/assertion-key.pem";

/// The paths within a site that its endpoints take, besides those of its profile: each with all below it.
#[must_use]
pub fn taken(endpoints: &str) -> Vec<&str> {
    if endpoints == ENDPOINTS {
        vec![endpoints, KEY_SET, SIGNING_KEY]
    } else {
        vec![endpoints]
    }
}

/// The endpoint of Edgeward's own at `path`, where they are below `prefix`. `None`: the path belongs to the origin.
#[must_use]
pub fn endpoint(prefix: &str, path: &str) -> Option<Endpoint> {
    let is_default = prefix == ENDPOINTS;
    match path {
        KEY_SET if is_default => return Some(Endpoint::KeySet),
        SIGNING_KEY if is_default => return Some(Endpoint::SigningKeyPem),
        _ => {}
    }
    // Some servers do not tell case apart; no spelling of our own prefix reaches an origin.
    let (head, rest) = path.split_at_checked(prefix.len())?;
    if !head.eq_ignore_ascii_case(prefix) || !(rest.is_empty() || rest.starts_with('/')) {
        return None;
    }
    Some(match rest {
        _ if head != prefix => Endpoint::Unknown,
        "/jwks.json" if !is_default => Endpoint::KeySet,
        "/assertion-key.pem" if !is_default => Endpoint::SigningKeyPem,
        _ => own(rest),
    })
}

fn own(rest: &str) -> Endpoint {
    let segments: Vec<&str> = rest.split('/').skip(1).collect();
    match segments.as_slice() {
        ["token"] => Endpoint::Token,
        ["me"] => Endpoint::Me,
        ["logout"] => Endpoint::Logout,
        ["switch"] => Endpoint::Switch,
        ["health"] => Endpoint::Health,
        ["metrics"] => Endpoint::Admin(AdminEndpoint::Metrics),
        ["users"] => Endpoint::Admin(AdminEndpoint::Users),
        ["users", "bulk"] => Endpoint::Admin(AdminEndpoint::UsersBulk),
        ["users", "reindex"] => Endpoint::Admin(AdminEndpoint::UsersReindex),
        ["users", id] if !id.is_empty() => Endpoint::Admin(AdminEndpoint::User((*id).into())),
        ["users", id, "logout"] => Endpoint::Admin(AdminEndpoint::UserLogout((*id).into())),
        ["tokens"] => Endpoint::Admin(AdminEndpoint::ApiTokens),
        ["tokens", id] if !id.is_empty() => Endpoint::Admin(AdminEndpoint::ApiToken((*id).into())),
        ["tokens", id, "revoke"] => Endpoint::Admin(AdminEndpoint::ApiTokenRevoke((*id).into())),
        ["keys"] => Endpoint::Admin(AdminEndpoint::SigningKeys),
        ["keys", "rotate"] => Endpoint::Admin(AdminEndpoint::SigningKeysRotate),
        ["explain"] => Endpoint::Admin(AdminEndpoint::Explain),
        ["arrive"] => Endpoint::Arrive,
        ["login"] => Endpoint::Login,
        ["login", name] => Endpoint::LoginAt((*name).into()),
        ["callback", name] => Endpoint::Callback((*name).into()),
        ["logged-out", name] => Endpoint::LoggedOut((*name).into()),
        ["backchannel", name] => Endpoint::BackChannel((*name).into()),
        ["users", id, "password"] => Endpoint::Admin(AdminEndpoint::UserPassword((*id).into())),
        ["users", id, "password-link"] => {
            Endpoint::Admin(AdminEndpoint::UserPasswordLink((*id).into()))
        }
        ["users", id, "sessions"] => Endpoint::Admin(AdminEndpoint::UserSessions((*id).into())),
        ["audit"] => Endpoint::Admin(AdminEndpoint::Audit),
        ["audit", "export"] => Endpoint::Admin(AdminEndpoint::AuditExport),
        ["audit", "verify"] => Endpoint::Admin(AdminEndpoint::AuditVerify),
        ["backup"] => Endpoint::Admin(AdminEndpoint::Backup),
        ["backup", "restore"] => Endpoint::Admin(AdminEndpoint::BackupRestore),
        ["services"] => Endpoint::Admin(AdminEndpoint::Services),
        ["services", id] if !id.is_empty() => Endpoint::Admin(AdminEndpoint::Service((*id).into())),
        ["services", id, "rotate"] => Endpoint::Admin(AdminEndpoint::ServiceRotate((*id).into())),
        ["services", id, "events"] => Endpoint::Admin(AdminEndpoint::ServiceEvents((*id).into())),
        ["services", id, "events", "resend"] => {
            Endpoint::Admin(AdminEndpoint::ServiceEventsResend((*id).into()))
        }
        ["services", id, "events", "discard"] => {
            Endpoint::Admin(AdminEndpoint::ServiceEventsDiscard((*id).into()))
        }
        _ => Endpoint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new endpoint does not compile until its path stands here, and does not pass until it
    /// stands in [`PATHS`] as well.
    const fn path_of(endpoint: &Endpoint) -> Option<(usize, &'static str)> {
        Some(match endpoint {
            Endpoint::Token => (0, "/api/sso/token"),
            Endpoint::Me => (1, "/api/sso/me"),
            Endpoint::Logout => (2, "/api/sso/logout"),
            Endpoint::Switch => (3, "/api/sso/switch"),
            Endpoint::Health => (4, "/api/sso/health"),
            Endpoint::KeySet => (5, "/.well-known/jwks.json"),
            Endpoint::SigningKeyPem => (6, "/.well-known/assertion-key.pem"),
            Endpoint::Admin(endpoint) => match endpoint {
                AdminEndpoint::Users => (7, "/api/sso/users"),
                AdminEndpoint::UsersBulk => (8, "/api/sso/users/bulk"),
                AdminEndpoint::User(_) => (9, "/api/sso/users/{id}"),
                AdminEndpoint::UserLogout(_) => (10, "/api/sso/users/{id}/logout"),
                AdminEndpoint::ApiTokens => (11, "/api/sso/tokens"),
                AdminEndpoint::ApiToken(_) => (12, "/api/sso/tokens/{id}"),
                AdminEndpoint::ApiTokenRevoke(_) => (13, "/api/sso/tokens/{id}/revoke"),
                AdminEndpoint::SigningKeys => (14, "/api/sso/keys"),
                AdminEndpoint::SigningKeysRotate => (15, "/api/sso/keys/rotate"),
                AdminEndpoint::Explain => (16, "/api/sso/explain"),
                AdminEndpoint::UserPassword(_) => (17, "/api/sso/users/{id}/password"),
                AdminEndpoint::UserPasswordLink(_) => (18, "/api/sso/users/{id}/password-link"),
                AdminEndpoint::UserSessions(_) => (19, "/api/sso/users/{id}/sessions"),
                AdminEndpoint::Services => (20, "/api/sso/services"),
                AdminEndpoint::Service(_) => (21, "/api/sso/services/{id}"),
                AdminEndpoint::ServiceRotate(_) => (22, "/api/sso/services/{id}/rotate"),
                AdminEndpoint::ServiceEvents(_) => (23, "/api/sso/services/{id}/events"),
                AdminEndpoint::ServiceEventsResend(_) => {
                    (24, "/api/sso/services/{id}/events/resend")
                }
                AdminEndpoint::ServiceEventsDiscard(_) => {
                    (25, "/api/sso/services/{id}/events/discard")
                }
                AdminEndpoint::Metrics => (32, "/api/sso/metrics"),
                // Found by its query.
                AdminEndpoint::Health => return None,
                AdminEndpoint::Audit => (33, "/api/sso/audit"),
                AdminEndpoint::AuditExport => (34, "/api/sso/audit/export"),
                AdminEndpoint::AuditVerify => (35, "/api/sso/audit/verify"),
                AdminEndpoint::Backup => (36, "/api/sso/backup"),
                AdminEndpoint::BackupRestore => (37, "/api/sso/backup/restore"),
                AdminEndpoint::UsersReindex => (38, "/api/sso/users/reindex"),
            },
            Endpoint::Arrive => (26, "/api/sso/arrive"),
            Endpoint::Login => (27, "/api/sso/login"),
            Endpoint::LoginAt(_) => (28, "/api/sso/login/{id}"),
            Endpoint::Callback(_) => (29, "/api/sso/callback/{id}"),
            Endpoint::BackChannel(_) => (30, "/api/sso/backchannel/{id}"),
            Endpoint::LoggedOut(_) => (31, "/api/sso/logged-out/{id}"),
            // The profile says where this one is.
            Endpoint::Exchange
            | Endpoint::Mount
            | Endpoint::Unknown
            // At the gateway only, see below.
            | Endpoint::Gateway(_)
            | Endpoint::Service(_) => return None,
        })
    }

    #[test]
    fn the_list_of_paths_has_every_endpoint() {
        for (number, path) in PATHS.into_iter().enumerate() {
            let found = endpoint(ENDPOINTS, &path.replace("{id}", "x"));
            assert_eq!(found.as_ref().and_then(path_of), Some((number, path)));
        }
        assert_eq!(PATHS.len(), 39, "as many as `path_of` has");
    }

    /// A new page or call does not compile until its path stands here.
    const fn gateway_path_of(endpoint: &Endpoint) -> Option<&'static str> {
        Some(match endpoint {
            Endpoint::Gateway(page) => match page {
                GatewayPage::Root => "/",
                GatewayPage::Login => "/login/",
                GatewayPage::Logout => "/logout/",
                GatewayPage::Welcome => "/welcome/",
                GatewayPage::Account => "/account/",
                GatewayPage::Password => "/password/",
                GatewayPage::Passkey => "/passkey/",
                GatewayPage::PasskeyScript => "/passkey.js",
            },
            Endpoint::Service(call) => match call {
                ServiceCall::Obtain => "/sso/obtain/",
                ServiceCall::Get => "/sso/get/",
                ServiceCall::MakeUsed => "/sso/make_used/",
                ServiceCall::Deauthenticate => "/sso/deauthenticate/",
            },
            _ => return None,
        })
    }

    #[test]
    fn every_path_of_the_gateway_is_ours_with_or_without_the_last_slash() {
        for path in GATEWAY_PATHS {
            let without = path.strip_suffix('/').unwrap();
            assert_eq!(gateway_path_of(&at_gateway(path)), Some(path));
            assert_eq!(at_gateway(without), at_gateway(path));
        }
        let script = gateway_path_of(&at_gateway("/passkey.js"));
        assert_eq!(script, Some("/passkey.js"));
        for other in [
            "/LOGIN/",
            "/login//",
            "/login/x",
            "/x",
            "/sso",
            "/sso/get/x",
        ] {
            assert_eq!(at_gateway(other), Endpoint::Unknown, "{other}");
        }
    }

    #[test]
    fn sec_65_nothing_below_our_prefix_reaches_an_origin() {
        for path in [
            "/api/sso",
            "/api/sso/",
            "/api/sso/x",
            "/api/sso/token/",
            "/api/sso/users/",
            "/API/SSO/token",
            "/api/SSO",
            "/api/sso/users/a/b/c",
        ] {
            assert_eq!(endpoint(ENDPOINTS, path), Some(Endpoint::Unknown), "{path}");
        }
        assert_eq!(endpoint(ENDPOINTS, "/api/sso/token"), Some(Endpoint::Token));
        assert_eq!(
            endpoint(ENDPOINTS, "/api/sso/users/bulk"),
            Some(Endpoint::Admin(AdminEndpoint::UsersBulk))
        );
        for path in [
            "/",
            "/api/ssot",
            "/api",
            "/api/sso2/token",
            "/x/api/sso/token",
            "/.well-known/jwks.jsonx",
        ] {
            assert_eq!(endpoint(ENDPOINTS, path), None, "{path}");
        }
    }
}
