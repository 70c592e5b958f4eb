//! The meaning of Label Studio's paths. They are compared in canonical form, ignoring case, a
//! trailing slash, and the suffix by which its API selects a format (`/api/users.json`).

/// The kind of a request to Label Studio.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// A file that is the same for everyone.
    Asset,
    /// A form that would open a session of Label Studio's own.
    SignIn,
    /// Ends such a session.
    SignOut,
    /// An action that Label Studio allows to every member and Edgeward to admins only.
    AdminOnly,
    /// Changes the account with this number.
    Account(u64),
    Ordinary,
}

/// Folders with public files only.
const ASSETS: [&str; 4] = ["static", "react-app", "label-studio-frontend", "dm"];

/// Classifies a request.
#[must_use]
pub fn place(method: &str, path: &str) -> Place {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let Some(first) = segments.next() else {
        return Place::Ordinary;
    };
    let is = |segment: &str, name: &str| segment.eq_ignore_ascii_case(name);
    let second = segments.next().unwrap_or_default();
    let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
    if is(first, "api") {
        return api(reads, method, second, segments.next(), segments.next());
    }
    if matches!(method, "GET" | "HEAD") && ASSETS.contains(&first) {
        return Place::Asset;
    }
    if is(first, "logout") && second.is_empty() {
        return Place::SignOut;
    }
    if is(first, "user") && (begins(second, "login") || begins(second, "signup")) {
        return Place::SignIn;
    }
    if is(first, "admin") || is(first, "api-auth") {
        return if begins(second, "login") {
            Place::SignIn
        } else if begins(second, "logout") {
            Place::SignOut
        } else {
            Place::AdminOnly
        };
    }
    if is(first, "django-rq") {
        return Place::AdminOnly;
    }
    Place::Ordinary
}

fn api(reads: bool, method: &str, name: &str, third: Option<&str>, fourth: Option<&str>) -> Place {
    let name = stem(name);
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    // Everyone with an invitation link becomes a member. The organization's record contains the
    // link's token.
    if is("invite") || (is("organizations") && third.is_some() && fourth.is_none()) {
        return Place::AdminOnly;
    }
    if reads {
        return Place::Ordinary;
    }
    // These disable all tokens, set how long sessions last, and change who is a member.
    if is("jwt") || is("session-policy") || is("organizations") {
        return Place::AdminOnly;
    }
    if !is("users") {
        return Place::Ordinary;
    }
    let id = third
        .map(stem)
        .filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
    match (id.and_then(|id| id.parse().ok()), method, fourth) {
        (Some(id), "PATCH", None) | (Some(id), _, Some(_)) => Place::Account(id),
        _ => Place::AdminOnly,
    }
}

/// Strips the format suffix of a segment.
fn stem(segment: &str) -> &str {
    segment.split_once('.').map_or(segment, |(stem, _)| stem)
}

fn begins(segment: &str, prefix: &str) -> bool {
    segment
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::path::RequestPath;

    /// What the path is for a server that normalises it. Whether another reading is something else is
    /// asked too, and then the path is refused (see [`crate::ask::asked`]).
    fn of(method: &str, path: &str) -> Place {
        let place_of = |reading: &[u8]| place(method, &String::from_utf8_lossy(reading));
        let strict = RequestPath::parse_strictly(path).unwrap();
        let found = place(method, strict.as_str());
        let all = RequestPath::parse(path).unwrap();
        assert!(
            all.readings().any(|reading| place_of(reading) == found),
            "{method} {path}"
        );
        found
    }

    #[test]
    fn sec_73_what_only_admins_may_is_told_in_every_spelling() {
        for (method, path) in [
            ("POST", "/api/jwt/settings"),
            ("POST", "/api/jwt/settings/"),
            ("PUT", "//api//jwt/./settings"),
            ("GET", "/api/invite"),
            ("GET", "/api/invite/"),
            ("POST", "/api/invite/reset-token"),
            ("GET", "/api/%69nvite"),
            ("GET", "/API/Invite"),
            ("POST", "/api/users"),
            ("POST", "/api/users/"),
            ("POST", "/api/users.json"),
            ("POST", "/api/users.json/"),
            ("POST", "/api/x/../users"),
            ("DELETE", "/api/users/3/"),
            ("PUT", "/api/users/3/"),
            ("PATCH", "/api/users/"),
            ("PATCH", "/api/users/%EF%BC%93/"),
            ("PATCH", "/api/users/+3/"),
            ("PATCH", "/api/users/-3/"),
            ("PATCH", "/api/users/99999999999999999999999/"),
            ("PATCH", "/api/session-policy/"),
            ("PATCH", "/api/organizations/1"),
            ("GET", "/api/organizations/1"),
            ("GET", "/api/organizations/1/"),
            ("HEAD", "/api/organizations/1.json"),
            ("POST", "/api/organizations/"),
            ("DELETE", "/api/organizations/1/memberships/3/"),
            ("GET", "/admin/"),
            ("GET", "/admin"),
            ("POST", "/admin/users/user/3/password/"),
            ("GET", "/django-rq/"),
            ("BREW", "/api/users"),
        ] {
            assert_eq!(of(method, path), Place::AdminOnly, "{method} {path}");
        }
    }

    #[test]
    fn one_account_is_named_in_every_spelling() {
        for (method, path) in [
            ("PATCH", "/api/users/3"),
            ("PATCH", "/api/users/3/"),
            ("PATCH", "/api/users/03/"),
            ("PATCH", "/api/users/3.json"),
            ("PATCH", "/api/users/%33/"),
            ("POST", "/api/users/3/avatar/"),
            ("DELETE", "/api/users/3/avatar"),
            ("POST", "/api/users/3/avatar.json"),
        ] {
            assert_eq!(of(method, path), Place::Account(3), "{method} {path}");
        }
    }

    #[test]
    fn sec_73_the_forms_for_signing_in_and_out_are_told_in_every_spelling() {
        for path in [
            "/user/login",
            "/user/login/",
            "/user/login/x",
            "/USER/Login/",
            "/user/signup/",
            "/user/%6Cogin/",
            "/admin/login/",
            "/admin/login",
            "/api-auth/login/",
        ] {
            assert_eq!(of("GET", path), Place::SignIn, "{path}");
            assert_eq!(of("POST", path), Place::SignIn, "{path}");
        }
        for path in [
            "/logout",
            "/logout/",
            "/Logout",
            "/admin/logout/",
            "/api-auth/logout/",
        ] {
            assert_eq!(of("GET", path), Place::SignOut, "{path}");
        }
    }

    #[test]
    fn what_members_do_every_day_is_ordinary_and_files_are_files() {
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/projects/"),
            ("GET", "/user/account/"),
            ("GET", "/api/users"),
            ("GET", "/api/users/3/"),
            ("GET", "/api/jwt/settings"),
            ("GET", "/api/current-user/whoami"),
            ("POST", "/api/token/"),
            ("POST", "/api/projects/1/import"),
            ("PATCH", "/api/current-user/hotkeys/"),
            ("GET", "/data/upload/1/a.png"),
            ("GET", "/api/userspace"),
            ("POST", "/static/x"),
        ] {
            assert_eq!(of(method, path), Place::Ordinary, "{method} {path}");
        }
        for path in [
            "/static/js/a.js",
            "/react-app/main.js",
            "/dm/x",
            "/label-studio-frontend/y",
        ] {
            assert_eq!(of("GET", path), Place::Asset, "{path}");
        }
    }
}
