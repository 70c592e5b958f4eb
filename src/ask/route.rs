//! Host and path → what is asked for: one of our own endpoints, or a site's origin. Knows no
//! credentials.

use std::rc::Rc;

use crate::answer::denial::Denial;
use crate::http::path::{CanonicalPath, PathError};
use crate::http::request::Parts;
use crate::site::Site;
use crate::site::config::Config;

/// What a request asks for. A path is the canonical one, by which everything is judged.
pub enum Target<'a> {
    /// A path of the site's application.
    Site {
        /// The site.
        site: Rc<Site>,
        /// The path.
        path: CanonicalPath<'a>,
    },
    /// One of our own endpoints, at a site.
    Own {
        /// The site.
        site: Rc<Site>,
        /// The path.
        path: CanonicalPath<'a>,
        /// The endpoint.
        endpoint: Endpoint,
    },
}

/// Our own endpoints. They come before every rule and are never forwarded.
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
    /// Anything else below `/api/sso`.
    Unknown,
}

/// The endpoints of the admin API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AdminEndpoint {
    /// `/api/sso/users`
    Users,
    /// `/api/sso/users/bulk`
    UsersBulk,
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
}

/// The path of each of our endpoints, with `{id}` in the place of an id.
pub const PATHS: [&str; 17] = [
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
];

/// Finds the target of `parts`.
///
/// # Errors
/// [`Denial::UnknownHost`] or [`Denial::Path`].
pub fn route<'a>(
    config: &Config,
    parts: &'a Parts,
) -> Result<Target<'a>, (Denial, Option<Rc<Site>>)> {
    let site = config
        .site(parts.authority(), parts.scheme())
        .ok_or((Denial::UnknownHost, None))?;
    match resolve(&site, parts.path()) {
        Ok((path, Some(endpoint))) => Ok(Target::Own {
            site,
            path,
            endpoint,
        }),
        Ok((path, None)) => Ok(Target::Site { site, path }),
        Err(error) => Err((Denial::Path(error), Some(site))),
    }
}

/// Resolves `path` at `site`: its canonical form, and the endpoint if it is one of ours.
///
/// # Errors
/// [`PathError`].
pub fn resolve<'a>(
    site: &Site,
    path: &'a str,
) -> Result<(CanonicalPath<'a>, Option<Endpoint>), PathError> {
    let path = CanonicalPath::parse(path)?;
    let endpoint = endpoint_of(site, &path);
    if endpoint.is_none() && !site.rules.can_judge(&path) {
        return Err(PathError::TooLong);
    }
    Ok((path, endpoint))
}

fn endpoint_of(site: &Site, path: &CanonicalPath<'_>) -> Option<Endpoint> {
    match &site.profile {
        Some(profile) if profile.signs_out(path.as_str()) => Some(Endpoint::Logout),
        Some(profile) if profile.exchanges(path.as_str()) => Some(Endpoint::Exchange),
        _ => endpoint(path.as_str()),
    }
}

fn endpoint(path: &str) -> Option<Endpoint> {
    if path == "/.well-known/jwks.json" {
        return Some(Endpoint::KeySet);
    }
    if path == "/.well-known/assertion-key.pem" {
        return Some(Endpoint::SigningKeyPem);
    }
    // Some servers do not tell case apart; no spelling of our own prefix reaches an origin.
    let head = path.get(..8)?;
    if !head.eq_ignore_ascii_case("/api/sso") {
        return None;
    }
    let rest = path.get(8..)?;
    if !rest.is_empty() && !rest.starts_with('/') {
        return None;
    }
    Some(if head == "/api/sso" {
        own(rest)
    } else {
        Endpoint::Unknown
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
        ["users"] => Endpoint::Admin(AdminEndpoint::Users),
        ["users", "bulk"] => Endpoint::Admin(AdminEndpoint::UsersBulk),
        ["users", id] if !id.is_empty() => Endpoint::Admin(AdminEndpoint::User((*id).into())),
        ["users", id, "logout"] => Endpoint::Admin(AdminEndpoint::UserLogout((*id).into())),
        ["tokens"] => Endpoint::Admin(AdminEndpoint::ApiTokens),
        ["tokens", id] if !id.is_empty() => Endpoint::Admin(AdminEndpoint::ApiToken((*id).into())),
        ["tokens", id, "revoke"] => Endpoint::Admin(AdminEndpoint::ApiTokenRevoke((*id).into())),
        ["keys"] => Endpoint::Admin(AdminEndpoint::SigningKeys),
        ["keys", "rotate"] => Endpoint::Admin(AdminEndpoint::SigningKeysRotate),
        ["explain"] => Endpoint::Admin(AdminEndpoint::Explain),
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
            },
            // The profile says where this one is.
            Endpoint::Exchange | Endpoint::Unknown => return None,
        })
    }

    #[test]
    fn the_list_of_paths_has_every_endpoint() {
        for (number, path) in PATHS.into_iter().enumerate() {
            let found = endpoint(&path.replace("{id}", "x"));
            assert_eq!(found.as_ref().and_then(path_of), Some((number, path)));
        }
        assert_eq!(PATHS.len(), 17, "as many as `path_of` has");
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
            assert_eq!(endpoint(path), Some(Endpoint::Unknown), "{path}");
        }
        assert_eq!(endpoint("/api/sso/token"), Some(Endpoint::Token));
        assert_eq!(
            endpoint("/api/sso/users/bulk"),
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
            assert_eq!(endpoint(path), None, "{path}");
        }
    }
}
