//! Headers that a client may not send to an origin.

/// Prefixes of header names that convey identity or how a request arrived. `X_PREFIXES` follow
/// `x-`; `PREFIXES` stand alone.
const X_PREFIXES: [&str; 14] = [
    "forwarded-",
    "remote-",
    "auth-request-",
    "edgeward-",
    "authentik-",
    "pomerium-",
    "webauth-",
    "original-",
    "authenticated-",
    "ssl-",
    "goog-authenticated-",
    "goog-iap-",
    "ms-client-principal",
    "accel-",
];
const PREFIXES: [&str; 4] = ["remote-", "cf-access-", "oidc-claim-", "ssl-client-"];

/// Names of the same kind, names that override the method or move the path (gunicorn takes `SCRIPT_NAME` from a header), names
/// that choose the file which a proxy sends (Rack's and Plack's `X-Sendfile-Type`), and hop-by-hop headers (RFC 9110
/// §7.6.1), which could remove an identity header.
const X_NAMES: [&str; 27] = [
    "forwarded",
    "real-ip",
    "auth-user",
    "auth-username",
    "auth-email",
    "auth-groups",
    "user-name",
    "proxyuser-ip",
    "scheme",
    "url-scheme",
    "authenticated",
    "client-ip",
    "cluster-client-ip",
    "host",
    "rewrite-url",
    "user",
    "user-id",
    "user-email",
    "email",
    "username",
    "groups",
    "http-method-override",
    "http-method",
    "method-override",
    "script-name",
    "request-uri",
    "sendfile-type",
];
const NAMES: [&str; 14] = [
    "forwarded",
    "auth-user",
    "true-client-ip",
    "client-ip",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "script-name",
    "path-info",
    "path-translated",
    "request-uri",
];

/// Reserved names that no setting lets through: servers and frameworks take from them where a request came from, which method
/// or URL it has, or which of its headers are dropped.
const ALWAYS_RESERVED: [&str; 24] = [
    "x-real-ip",
    "x-proxyuser-ip",
    "x-scheme",
    "x-url-scheme",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-original-uri",
    "x-original-path",
    "x-original-host",
    "x-original-method",
    "x-original-proto",
    "x-original-scheme",
    "x-original-for",
    "x-original-forwarded-for",
    "x-original-remote-addr",
    "x-script-name",
    "x-request-uri",
    "x-sendfile-type",
];
const ALWAYS_RESERVED_PREFIXES: [&str; 5] = [
    "x-forwarded",
    "x-edgeward-",
    "x-remote-",
    "x-ssl-",
    "x-accel-",
];

/// Why a setting cannot let a header of clients through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotLetThrough {
    /// It reaches the origin without a setting.
    NotReserved,
    /// It is reserved at every site.
    Always,
}

/// Whether a setting may let clients send `name`.
///
/// # Errors
/// Why not.
pub fn check_let_through(name: &str) -> Result<(), NotLetThrough> {
    let folded = fold(name);
    if !Reserved::default().contains(name) {
        return Err(NotLetThrough::NotReserved);
    }
    let is_fixed = !folded.starts_with("x-")
        || ALWAYS_RESERVED.contains(&folded.as_str())
        || ALWAYS_RESERVED_PREFIXES
            .iter()
            .any(|prefix| folded.starts_with(prefix));
    if is_fixed {
        return Err(NotLetThrough::Always);
    }
    Ok(())
}

/// The header with an API token that acts as a user.
pub const API_KEY: &str = "x-api-key";

/// Whether some server reads `name` as [`API_KEY`].
#[must_use]
pub fn is_api_key(name: &str) -> bool {
    name == API_KEY || (name.len() == API_KEY.len() && fold(name) == API_KEY)
}

/// The names and prefixes that a site reserves in addition to the fixed ones, and the fixed ones that it does not reserve.
#[derive(Debug, Default)]
pub struct Reserved {
    names: Vec<String>,
    prefixes: Vec<String>,
    let_through: Vec<String>,
}

/// The names that every site reserves; one that ends with `*` is a prefix.
pub fn fixed() -> impl Iterator<Item = String> {
    let families = X_PREFIXES.iter().map(|name| format!("x-{name}*"));
    let names = X_NAMES.iter().map(|name| format!("x-{name}"));
    families
        .chain(PREFIXES.iter().map(|name| format!("{name}*")))
        .chain(names)
        .chain(NAMES.iter().map(|&name| name.to_owned()))
}

/// Headers that carry an essential part of a request or of its credentials. So do those of
/// [`is_of_the_message`].
const NEEDED: [&str; 16] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cf-connecting-ip",
    "cf-ray",
    "content-encoding",
    "content-type",
    "if-match",
    "if-none-match",
    "origin",
    "range",
    "sec-fetch-site",
    "sec-websocket-key",
    "sec-websocket-version",
    "user-agent",
];

impl Reserved {
    /// Adds what `other` reserves; what it lets through stays reserved. A list built by this method alone has no duplicates.
    pub fn add(&mut self, other: &Self) {
        let lists = [
            (&mut self.names, &other.names),
            (&mut self.prefixes, &other.prefixes),
        ];
        for (own, others) in lists {
            for name in others {
                if let Err(place) = own.binary_search(name) {
                    own.insert(place, name.clone());
                }
            }
        }
    }

    /// Reserves `names`; one that ends with `*` is a prefix.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut reserved = Self::default();
        for name in names {
            match name.strip_suffix('*') {
                Some(prefix) => reserved.prefixes.push(fold(prefix)),
                None => reserved.names.push(fold(name)),
            }
        }
        reserved
    }

    /// The same, but that of the fixed names these are not reserved. What the site itself reserves stays so.
    #[must_use]
    pub fn letting_through(mut self, names: &[String]) -> Self {
        self.let_through = names.iter().map(|name| fold(name)).collect();
        self
    }

    /// Whether it reserves a header that every site needs.
    #[must_use]
    pub fn takes_what_is_needed(&self) -> bool {
        MESSAGE.iter().chain(&NEEDED).any(|name| self.is_own(name))
    }

    /// Whether `name` is among the names and prefixes that were added to the fixed ones.
    #[must_use]
    pub fn is_added(&self, name: &str) -> bool {
        self.is_own(&fold(name))
    }

    fn is_own(&self, name: &str) -> bool {
        self.names.iter().any(|reserved| reserved == name)
            || self
                .prefixes
                .iter()
                .any(|prefix| name.starts_with(prefix.as_str()))
    }

    /// Whether `name` is reserved, in any spelling that a server may treat as the same.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        // Names arrive in lower case; only one with other characters needs a folded copy.
        let plain = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if plain {
            return self.contains_folded(name);
        }
        let folded = fold(name);
        // The CDN overwrites its own headers, but only in their proper spelling.
        folded.starts_with("cf-") || self.contains_folded(&folded)
    }

    fn contains_folded(&self, name: &str) -> bool {
        // Most names are not reserved, so compare each with as few as possible.
        let fixed = match name.strip_prefix("x-") {
            Some(rest) => {
                X_NAMES.contains(&rest) || X_PREFIXES.iter().any(|prefix| rest.starts_with(prefix))
            }
            None => NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
        };
        (fixed && !self.let_through.iter().any(|known| known == name)) || self.is_own(name)
    }
}

/// Folds the spellings of a name that CGI, WSGI, PHP and others treat as one: they replace every
/// character but letters and digits with `_`.
#[must_use]
pub fn fold(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

/// Headers of the message itself: its framing, its connection and its cookies.
const MESSAGE: [&str; 12] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "cookie",
    "set-cookie",
    "proxy-connection",
    "expect",
];

/// Whether `name` belongs to the message itself, so that no setting may set it.
#[must_use]
pub fn is_of_the_message(name: &str) -> bool {
    MESSAGE.contains(&name)
}

/// The headers that say how a request arrived. A client's own are never forwarded.
pub const SET_ALWAYS: [&str; 3] = ["x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"];

/// The header with the id of a request. A client may choose its own.
pub const REQUEST_ID: &str = "x-request-id";

/// Whether `name` is set on every request, so that removing the client's value first is
/// unnecessary.
#[must_use]
pub fn is_set_always(name: &str) -> bool {
    matches!(name, "x-forwarded-host" | "x-forwarded-proto")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_28_every_spelling_that_folds_to_a_reserved_name_is_reserved() {
        let reserved = Reserved::new(["x-staff-id"]);
        for name in [
            "x-forwarded-user",
            "X-Forwarded-User",
            "x_forwarded_user",
            "x-forwarded_user",
            "X_FORWARDED_EMAIL",
            "x.forwarded.groups",
            "x forwarded user",
            "remote_user",
            "Remote-User",
            "x-edgeward-assertion",
            "x_edgeward_assertion",
            "forwarded",
            "x-http-method-override",
            "x_http_method_override",
            "x-original-url",
            "connection",
            "x-staff-id",
            "x_staff_id",
            "X.Staff.Id",
            "cf_connecting_ip",
            "oidc_claim_email",
            "x-ms-client-principal-name",
            "auth-user",
        ] {
            assert!(reserved.contains(name), "{name}");
        }
        for name in [
            "accept",
            "cookie",
            "content-type",
            "x-requested-with",
            "range",
            "x-staff",
            "authorization",
            "user-agent",
        ] {
            assert!(!reserved.contains(name), "{name}");
        }
    }

    #[test]
    fn sec_28_a_site_reserves_names_and_beginnings_of_names_in_every_spelling() {
        let reserved = Reserved::new(["x-tenant-admin", "Vault-*"]);
        for name in [
            "x-tenant-admin",
            "x_tenant_admin",
            "vault-user",
            "VAULT_USER",
            "vault.x",
        ] {
            assert!(reserved.contains(name), "{name}");
        }
        for name in [
            "x-tenant",
            "x-tenant-admins",
            "vaults",
            "vault",
            "a-vault-user",
        ] {
            assert!(!reserved.contains(name), "{name}");
        }
        for needed in [
            "host",
            "Cookie",
            "content-*",
            "coo*",
            "sec-websocket-*",
            "authorization",
        ] {
            assert!(Reserved::new([needed]).takes_what_is_needed(), "{needed}");
        }
        assert!(!reserved.takes_what_is_needed());
    }

    #[test]
    fn sec_28_a_site_lets_through_what_says_nothing_of_how_a_request_arrived() {
        let given = ["x-user-id", "X-Original-Filename"].map(str::to_owned);
        let reserved = Reserved::new(["x-auth-user"]).letting_through(&given);
        for name in ["x-user-id", "x_user_id", "x-original-filename"] {
            assert!(!reserved.contains(name), "{name}");
        }
        for name in ["x-user", "x-email", "x-original-url", "x-auth-user"] {
            assert!(reserved.contains(name), "{name}");
        }
        assert!(
            Reserved::new(["x-user-id"])
                .letting_through(&given)
                .contains("x-user-id")
        );
        for name in [
            "x-user-id",
            "x-auth-user",
            "x-original-filename",
            "x-email",
            "X_Username",
        ] {
            assert_eq!(check_let_through(name), Ok(()), "{name}");
        }
        for name in [
            "x-forwarded-user",
            "x-forwarded-prefix",
            "x_forwarded_for",
            "x-forwarded",
            "x-real-ip",
            "x-original-url",
            "x-http-method-override",
            "x-edgeward-assertion",
            "x-ssl-client-s-dn",
            "x-script-name",
            "SCRIPT_NAME",
            "x-accel-mapping",
            "x-sendfile-type",
            "remote-user",
            "cf-access-jwt-assertion",
            "oidc-claim-email",
            "connection",
            "te",
            "forwarded",
            "cf_connecting_ip",
        ] {
            assert_eq!(
                check_let_through(name),
                Err(NotLetThrough::Always),
                "{name}"
            );
        }
        for name in ["x-filename", "accept", "x-request-id"] {
            assert_eq!(
                check_let_through(name),
                Err(NotLetThrough::NotReserved),
                "{name}"
            );
        }
    }

    #[test]
    fn every_fixed_name_is_reserved_at_every_site() {
        for name in X_NAMES.into_iter().chain(X_PREFIXES) {
            assert!(Reserved::default().contains(&format!("x-{name}")), "{name}");
        }
        for name in NAMES.into_iter().chain(PREFIXES) {
            assert!(Reserved::default().contains(name), "{name}");
        }
    }
}
