use std::borrow::Cow;
use std::rc::Rc;

use super::*;
use crate::ask::source::{self, Presented};
use crate::authn::principal::Principal;
use crate::config::tests::site;
use crate::credential::sso_token::SsoClaims;
use crate::credential::verified::{Claims, Verified};
use crate::http::cookies::Remainder;
use crate::http::headers::HeaderChange;
use crate::memory::cache::Cache;
use crate::model::user::{Email, Role, User, UserId, Username};
use crate::platform::time::Timestamp;
use crate::rules::{Asked, Demand, Reaction, Rule};
use crate::site::Source;

fn user() -> User {
    let id = UserId::parse("usr_0123456789abcdefghijkl").unwrap();
    let user = User::new(
        id,
        Email::parse("anna@example.com").unwrap(),
        Timestamp::default(),
    );
    User {
        username: Username::parse("anna").unwrap(),
        roles: vec![
            Role::parse("editor").unwrap(),
            Role::parse("owner").unwrap(),
        ],
        ..user
    }
}

fn principal(user: User) -> Principal {
    let claims = SsoClaims {
        user: user.id.clone(),
        id: "jti".into(),
        issued_at: Timestamp::default(),
        expires_at: Timestamp::from_seconds(600),
    };
    Principal::of_test(
        Rc::new(user),
        Source::Bearer,
        Rc::new(Verified::new(Claims::Sso(claims))),
    )
}

fn grant(principal: Option<Principal>) -> Grant {
    let rule = Rule::of_everything(Demand::Anonymous(None), Reaction::Deny);
    let path = RequestPath::parse("/").unwrap();
    let asked = Asked::of_our_own("site.example", &path);
    crate::access::grant::decide(&rule, &asked, principal, Timestamp::from_seconds(0))
        .unwrap_or_else(|_| panic!("everybody passes"))
}

thread_local! {
    static SIGNED: Rc<str> = "signed".into();
}

fn prepared(
    settings: &str,
    url: &str,
    headers: &[(&str, &str)],
    principal: Option<Principal>,
) -> Forward {
    let site = site(settings);
    let parts = Parts::new("GET", url, headers).unwrap();
    let path = RequestPath::parse(parts.path()).unwrap();
    let presented = Presented {
        clean_query: parts.query().map(Cow::Borrowed),
        ..source::present(&parts, &site)
    };
    let signed: Option<Rc<str>> = principal.as_ref().map(|_| SIGNED.with(Rc::clone));
    let context = Context {
        access_token: None,
        assertion: signed.as_ref(),
        request_id: "r-1",
        told: None,
        cache: &Cache::default(),
    };
    prepare(
        &grant(principal),
        &site,
        &parts,
        &path,
        &presented,
        &context,
    )
}

fn changes(forward: &Forward) -> Vec<String> {
    let line = |change| match change {
        HeaderChange::Remove(name) => format!("- {name}"),
        HeaderChange::Set(name, value) => format!("{name}: {value}"),
        HeaderChange::Copy(name, from) => format!("{name} = {from}"),
        HeaderChange::Rebase(name, length, by) => format!("{name} / {length} = {by}"),
    };
    forward.all_changes().map(line).collect()
}

/// What the origin gets of the `Cookie` header `cookie`.
fn cookies_of(forward: &Forward, cookie: &str) -> Option<String> {
    let is_removed = forward
        .all_changes()
        .any(|change| change == HeaderChange::Remove("cookie"));
    forward.cookies().apply_to(cookie).filter(|_| !is_removed)
}

const ALL: &str = r#"{"identity_headers": ["x-forwarded", "remote"], "custom_headers": {"X-Full": "name"}, "assertion": {}}"#;

#[test]
fn the_client_s_headers_go_first_and_ours_come_after() {
    let headers = [
        ("accept", "*/*"),
        ("x-forwarded-user", "root"),
        ("x_full", "Root"),
        ("cookie", "a=1; __Host-edgeward=x; b=2"),
        ("authorization", "Bearer x"),
        ("cf-connecting-ip", "203.0.113.9"),
    ];
    let forward = prepared(
        ALL,
        "https://site.example/a?b",
        &headers,
        Some(principal(user())),
    );
    assert_eq!(
        changes(&forward),
        [
            "- x-forwarded-user",
            "- x_full",
            "- authorization",
            "x-forwarded-for = cf-connecting-ip",
            "x-forwarded-host: site.example",
            "x-forwarded-proto: https",
            "x-request-id: r-1",
            "x-forwarded-user: usr_0123456789abcdefghijkl",
            "x-forwarded-email: anna@example.com",
            "x-forwarded-groups: editor,owner",
            "x-forwarded-preferred-username: anna",
            "remote-user: anna@example.com",
            "remote-email: anna@example.com",
            "remote-name: anna",
            "remote-groups: editor,owner",
            "x-full: anna",
            "x-edgeward-assertion: signed",
        ]
    );
    let left = cookies_of(&forward, "a=1; __Host-edgeward=x; b=2");
    assert_eq!(left.as_deref(), Some("a=1; b=2"));
    assert_eq!(forward.url(), "https://origin.example/a?b");
    assert!(forward.identified());
}

#[test]
fn sec_29_an_unknown_attribute_of_a_user_gives_no_header() {
    let bare = User {
        username: Username::default(),
        roles: Vec::new(),
        ..user()
    };
    let headers = [("x-forwarded-groups", "root"), ("remote-user", "root")];
    let forward = prepared(
        ALL,
        "https://site.example/",
        &headers,
        Some(principal(bare)),
    );
    let changes = changes(&forward);
    assert!(
        changes.contains(&"- x-forwarded-groups".to_owned())
            && changes.contains(&"- remote-user".to_owned())
    );
    assert!(
        !changes
            .iter()
            .any(|line| line.starts_with("x-forwarded-groups:"))
    );
}

#[test]
fn an_anonymous_caller_has_no_identity_and_no_assertion() {
    let headers = [("remote-user", "root"), ("x-edgeward-assertion", "forged")];
    let forward = prepared(ALL, "http://site.example/", &headers, None);
    assert_eq!(
        changes(&forward),
        [
            "- remote-user",
            "- x-edgeward-assertion",
            "x-forwarded-host: site.example",
            "x-forwarded-proto: http",
            "x-request-id: r-1",
        ]
    );
    assert!(!forward.identified() && !forward.uncached());
}

#[test]
fn a_cookie_header_of_ours_alone_is_removed_and_one_without_ours_is_not_touched() {
    for (cookie, change) in [
        ("__Host-edgeward=x", Some("- cookie")),
        ("ls_auth_token=x; __Host-edgeward=y", Some("- cookie")),
        ("a=1;b=2 ;  c", None),
        ("", None),
    ] {
        let forward = prepared("{}", "https://site.example/", &[("cookie", cookie)], None);
        let changes = changes(&forward);
        let found = changes.iter().find(|line| line.contains("cookie"));
        assert_eq!(found.map(String::as_str), change, "{cookie}");
    }
}

#[test]
fn the_cdn_is_told_to_bypass_its_cache_where_it_would_use_it_by_default() {
    for (path, uncached) in [
        ("/a", false),
        ("/", false),
        ("/a.b/c", false),
        ("/c.js", true),
        ("/a/b.tar.gz", true),
        ("/.x", true),
    ] {
        let url = format!("https://site.example{path}");
        assert_eq!(
            prepared("{}", &url, &[], Some(principal(user()))).uncached(),
            uncached,
            "{path}"
        );
        assert!(!prepared("{}", &url, &[], None).uncached(), "{path}");
    }
}

#[test]
fn the_path_is_the_one_that_was_judged() {
    let to = |url: &str| prepared("{}", url, &[], None).url().to_owned();
    assert_eq!(
        to("https://site.example/a/../b//c%7e"),
        "https://origin.example/b//c%7e"
    );
    assert_eq!(to("https://site.example"), "https://origin.example/");
    assert_eq!(to("https://site.example/?"), "https://origin.example/");
    assert_eq!(
        to("https://site.example/?%zz=+&&"),
        "https://origin.example/?%zz=+&&"
    );
    let preserved = r#"{"host_header": "preserve", "upstream": "http://127.0.0.1:8788"}"#;
    let forward = prepared(preserved, "https://site.example:8443/a", &[], None);
    assert_eq!(forward.url(), "http://site.example:8788/a");
    assert_eq!(forward.resolve_override(), Some("127.0.0.1"));
    assert_eq!(
        prepared("{}", "https://site.example/", &[], None).resolve_override(),
        None
    );
}

#[test]
fn the_headers_of_a_caller_are_made_once_for_record_and_assertion() {
    let principal = principal(user());
    let at = |url: &str| prepared(ALL, url, &[], Some(principal.clone()));
    let first = at("https://site.example/");
    let caller_headers = first.caller_headers().unwrap();
    for other in ["https://site.example/b", "http://site.example:8443/"] {
        assert!(Rc::ptr_eq(
            caller_headers,
            at(other).caller_headers().unwrap()
        ));
    }
    let made = std::cell::Cell::new(0);
    for _ in 0..2 {
        let length = caller_headers.crossed(|headers| {
            made.set(made.get() + 1);
            headers.as_lines().len()
        });
        assert_eq!(length, caller_headers.headers().as_lines().len());
    }
    assert_eq!(made.get(), 1, "the platform's own form is made once");
    let again: Rc<str> = "signed again".into();
    let newer = mutate::caller_headers(&site(ALL), &principal, Some(&again), &Cache::default());
    assert!(!Rc::ptr_eq(caller_headers, &newer));
    let newer: Vec<_> = newer.headers().iter().collect();
    assert!(newer.contains(&HeaderChange::Set("x-edgeward-assertion", &again)));
    assert!(!newer.contains(&HeaderChange::Set("x-edgeward-assertion", "signed")));
    // An anonymous request gets none of them.
    let anonymous = prepared(ALL, "https://site.example/", &[], None);
    assert!(anonymous.caller_headers().is_none());
}

#[test]
fn shared_changes_depend_neither_on_the_caller_nor_on_header_values() {
    let with = |cookie: &str, address: &str, principal| {
        let headers = [
            ("cookie", cookie),
            ("cf-connecting-ip", address),
            ("x-real-ip", address),
        ];
        let forward = prepared(ALL, "https://site.example/", &headers, principal);
        forward.changes().as_lines().to_owned()
    };
    let one = with(
        "a=1; __Host-edgeward=x",
        "203.0.113.9",
        Some(principal(user())),
    );
    assert_eq!(
        one,
        with("b=2; __Host-edgeward=y; c=3", "203.0.113.10", None)
    );
    assert!(one.contains("-x-real-ip\n") && !one.contains("203.0.113"));
}

#[test]
fn sec_40_a_cut_removes_our_cookie_alone_and_is_not_used_where_bytes_and_characters_differ() {
    for (cookie, left) in [
        ("a=1; __Host-edgeward=x; b=2", Some("a=1; b=2")),
        ("__Host-edgeward=x; a=1", Some("a=1")),
        ("a=1;__Host-edgeward=x", Some("a=1")),
        ("a=1; __Host-edgeward=x; b=2; __Host-edgeward=x", None),
        ("a=\u{e9}; __Host-edgeward=x", None),
        ("__Host-edgeward=x;  a=1; b", Some("a=1; b")),
        (
            "a=__Host; __Host-edgeward=__Host; a=__Host",
            Some("a=__Host; a=__Host"),
        ),
    ] {
        let forward = prepared("{}", "https://site.example/", &[("cookie", cookie)], None);
        let cut = match forward.cookies() {
            Remainder::Without(_) => forward.cookies().apply_to(cookie),
            _ => None,
        };
        assert_eq!(cut.as_deref(), left, "{cookie}");
    }
}

#[test]
fn a_url_is_local_only_if_path_and_query_stay_as_they_came() {
    for (local, is) in [
        ("/a", true),
        ("/a?x=1", true),
        ("/%C3%A9", true),
        ("", false),
        ("/a?", false),
        ("//a", true),
        ("/%61", true),
        ("/a%2Fb;c", true),
        ("/a/../b", false),
        ("/a\\b", false),
        ("/a#b", false),
        ("/a?x#b", false),
    ] {
        let url = format!("https://site.example{local}");
        let forward = prepared("{}", &url, &[], None);
        assert_eq!(forward.is_local(), is, "{local}");
        assert_eq!(forward.base(), "https://origin.example");
        assert!(
            !is || forward.url() == format!("https://origin.example{local}"),
            "{local}"
        );
    }
}

#[test]
fn a_ray_is_the_request_s_id_and_a_client_may_choose_another() {
    for (ray, told) in [("r-1", false), ("no ray", true), ("", true)] {
        for own in [None, Some("the client's")] {
            let own = own.map(|id| ("x-request-id", id));
            let headers: Vec<_> = own.into_iter().chain([("cf-ray", ray)]).collect();
            let forward = prepared("{}", "https://site.example/", &headers, None);
            let changes = changes(&forward);
            let is_told = changes.contains(&"x-request-id: r-1".to_owned());
            assert_eq!(is_told, told && own.is_none(), "{ray}");
            assert!(!changes.contains(&"- x-request-id".to_owned()), "{ray}");
        }
    }
}
