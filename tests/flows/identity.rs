//! What clients cannot tell an origin.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::harness::request::{OriginSaw, Req, get, open, req};
use crate::harness::{Edge, bindings, site};
use crate::origin::{ANNA, place};

/// The one spelling that CGI and its kin make of a name.
fn folded(name: &str) -> String {
    let one = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    name.chars().map(one).collect()
}

/// Names that say who is asking, how the request came, or what is to be done with it.
const PROTECTED: [&str; 29] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-for",
    "x-forwarded-uri",
    "x-forwarded-prefix",
    "x-forwarded-port",
    "remote-user",
    "remote-email",
    "remote-name",
    "remote-groups",
    "x-remote-user",
    "x-auth-request-user",
    "x-edgeward-assertion",
    "x-staff",
    "x-user",
    "x-original-url",
    "x-rewrite-url",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "x-http-method-override",
    "x-method-override",
    "connection",
    "proxy-authorization",
];

/// What we tell about anna.
fn told_of_anna(name: &str, id: &str) -> Option<String> {
    let value = match name {
        "x-forwarded-user" => id,
        "x-forwarded-email" | "remote-email" | "remote-user" => ANNA,
        "x-forwarded-groups" | "remote-groups" => "editor,team:a",
        "x-forwarded-preferred-username" => "anna",
        "remote-name" => "Anna",
        "x-staff" => "true",
        _ => return None,
    };
    Some(value.to_owned())
}

fn assert_nothing_forged(origin: &OriginSaw, id: Option<&str>) -> Result<(), TestCaseError> {
    for (name, value) in &origin.headers {
        let protected = PROTECTED.contains(&folded(name).as_str());
        prop_assert!(!protected || !value.contains("forged"), "{name}: {value}");
        prop_assert!(!protected || *name == folded(name), "{name}");
        if let Some(expected) = id.and_then(|id| told_of_anna(name, id)) {
            prop_assert_eq!(value, &expected);
        }
    }
    let told = |name: &str| origin.header(name).is_some();
    for name in [
        "x-forwarded-user",
        "remote-user",
        "x-staff",
        "x-edgeward-assertion",
    ] {
        prop_assert_eq!(told(name), id.is_some(), "{}", name);
    }
    prop_assert!(!told("connection") && !told("x-real-ip") && !told("x-http-method-override"));
    Ok(())
}

fn odd_spelling(name: &'static str) -> impl Strategy<Value = String> {
    let choices = proptest::collection::vec(0_u8..6, name.len());
    choices.prop_map(move |choices| {
        let odd = |(c, choice): (char, u8)| match (c, choice) {
            ('-', 0 | 1) => '_',
            ('-', 2) => '.',
            (c, 3) => c.to_ascii_uppercase(),
            (c, _) => c,
        };
        name.chars().zip(choices).map(odd).collect()
    })
}

fn a_header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        3 => proptest::sample::select(&PROTECTED[..]).prop_flat_map(odd_spelling),
        1 => "[a-z][a-z0-9_.-]{0,12}",
    ];
    (name, "[!-+.-~]{0,8}").prop_map(|(name, value)| (name, format!("forged {value}")))
}

#[test]
fn sec_29_no_identity_header_of_a_client_reaches_an_origin() {
    let place = place(&json!({"unauthenticated": "pass"}));
    let me = place.isolate.me(&place.session).unwrap();
    let id = me["user"]["id"].as_str().unwrap();
    let headers = proptest::collection::vec(a_header(), 0..12);
    let config = ProptestConfig::with_cases(400);
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        .run(&headers, |headers| {
            let with = |request: Req| {
                let add = |r: Req, (name, value): &(String, String)| match name.as_str() {
                    // These are credentials, or decide what kind of request it is.
                    "authorization" | "cookie" | "upgrade" | "accept" | "origin" => r,
                    name => r.header(name, value),
                };
                headers.iter().fold(request, add)
            };
            let saw = |request: Req| place.isolate.send(&with(request)).origin();
            assert_nothing_forged(&saw(get("/")), None)?;
            assert_nothing_forged(&saw(open("/")), None)?;
            for signed_in in [
                get("/").cookie(&place.session),
                get("/").bearer(&place.token),
                open("/").cookie(&place.session),
            ] {
                assert_nothing_forged(&saw(signed_in), Some(id))?;
            }
            // Headers that are the application's arrive as they were sent.
            for (name, value) in headers.iter().filter(|(name, _)| name.starts_with('q')) {
                let origin = saw(get("/"));
                let arrived = origin.header(name).unwrap_or_default();
                prop_assert!(arrived.split(", ").any(|v| v == value), "{}", name);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn sec_28_every_spelling_is_removed_on_public_and_on_protected_paths() {
    for unauthenticated in ["pass", "deny"] {
        let place = place(&json!({"unauthenticated": unauthenticated}));
        let requests = [
            get("/").cookie(&place.session),
            req("POST", "/a/b").bearer(&place.token),
        ];
        for request in requests
            .into_iter()
            .chain((unauthenticated == "pass").then(|| open("/public")))
        {
            for name in [
                "X_Forwarded_User",
                "x.forwarded.user",
                "x-forwarded_user",
                "X_STAFF",
                "x_edgeward_assertion",
                "Remote_User",
            ] {
                let seen = place.isolate.send(&request.clone().header(name, "root"));
                let origin = seen.origin();
                assert!(
                    !origin.headers.iter().any(|(_, value)| value == "root"),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn sec_28_a_site_s_identity_headers_are_reserved_at_every_site_that_may_share_its_origin() {
    let mut bindings = bindings(&json!({"custom_headers": {"x-who": "email"}}));
    let open_site = json!({"hosts": ["open.example"], "unauthenticated": "pass", "custom_headers": null, "assertion": null, "identity_headers": []});
    bindings.insert("EDGEWARD_SITE_OPEN".into(), site(&open_site));
    let isolate = Edge::with(bindings).isolate();
    let seen = isolate.send(
        &get("/")
            .at("open.example")
            .header("x_who", "root")
            .header("x-edgeward-assertion", "root"),
    );
    assert!(
        !seen
            .origin()
            .headers
            .iter()
            .any(|(_, value)| value == "root")
    );
}

#[test]
fn a_site_s_own_settings_reserve_nothing_at_the_origin_of_another_site() {
    let mut bindings = bindings(&json!({"custom_headers": {"x-who": "email"}}));
    let elsewhere = json!({
        "hosts": ["open.example"], "unauthenticated": "pass", "custom_headers": null, "assertion": null,
        "identity_headers": [], "upstream": "https://chat.example:8443",
        "client_headers": ["X-User-Id", "x-auth-user", "x-original-filename"],
    });
    bindings.insert("EDGEWARD_SITE_OPEN".into(), site(&elsewhere));
    let isolate = Edge::with(bindings).isolate();
    let sent = [
        ("x-who", "v1"),
        ("x-user-id", "v2"),
        ("x-auth-user", "v3"),
        ("x-original-filename", "v4"),
        ("x-request-id", "v5"),
    ];
    let reserved = [
        ("x-user-name", "v6"),
        ("x-original-url", "v7"),
        ("x_forwarded_user", "v8"),
    ];
    let with = |host: &str| {
        let all = sent.iter().chain(&reserved);
        all.fold(get("/").at(host), |request, (name, value)| {
            request.header(name, value)
        })
    };
    let origin = isolate.send(&with("open.example")).origin();
    for (name, value) in sent {
        assert_eq!(origin.header(name), Some(value), "{name}");
    }
    for (name, _) in reserved {
        assert_eq!(origin.header(name), None, "{name}");
    }
}

#[test]
fn sec_28_a_header_that_carries_identity_is_not_left_to_clients() {
    let errors = |first: &Value, second: &Value| {
        let mut bindings = bindings(first);
        let mut other = json!({"hosts": ["open.example"], "custom_headers": null, "assertion": null, "identity_headers": []});
        other
            .as_object_mut()
            .unwrap()
            .extend(second.as_object().unwrap().clone());
        bindings.insert("EDGEWARD_SITE_OPEN".into(), site(&other));
        let errors = edgeward::config::parse(&bindings).err().unwrap_or_default();
        errors
            .into_iter()
            .map(|error| error.path)
            .collect::<Vec<_>>()
    };
    let here = "EDGEWARD_SITE_OPEN.client_headers";
    let plain = json!({});
    for (first, second) in [
        (
            &plain,
            json!({"client_headers": ["x-user-id"], "custom_headers": {"X-User-Id": "id"}}),
        ),
        (
            &plain,
            json!({"client_headers": ["x-user"], "reserved_headers": ["x-us*"]}),
        ),
        (
            &plain,
            json!({"client_headers": ["x-user"], "reserved_headers": ["X_User"]}),
        ),
        // Another site with the same origin believes it.
        (
            &json!({"custom_headers": {"x-user-id": "id"}}),
            json!({"client_headers": ["x-user-id"]}),
        ),
        (
            &json!({"reserved_headers": ["x-authentik-*"]}),
            json!({"client_headers": ["x-authentik-username"]}),
        ),
        (
            &json!({"sources": ["session", "header"], "token_headers": [{"name": "x-auth-user"}]}),
            json!({"client_headers": ["x-auth-user"]}),
        ),
        (&plain, json!({"client_headers": ["x-forwarded-user"]})),
        (&plain, json!({"client_headers": ["x-original-url"]})),
        (&plain, json!({"client_headers": ["connection"]})),
        (&plain, json!({"client_headers": ["x-user*"]})),
        (&plain, json!({"client_headers": ["x-filename"]})),
    ] {
        assert_eq!(errors(first, &second), [here], "{second}");
    }
    let elsewhere = json!({"client_headers": ["x-user-id"], "upstream": "https://other.example"});
    assert_eq!(
        errors(&json!({"custom_headers": {"x-user-id": "id"}}), &elsewhere),
        [""; 0]
    );
    // One origin, whatever the port and the case of its name.
    let same = json!({"client_headers": ["x-user-id"], "upstream": "https://ORIGIN.example:8443"});
    assert_eq!(
        errors(&json!({"custom_headers": {"x-user-id": "id"}}), &same),
        [here]
    );
}

#[test]
fn sec_30_connection_takes_no_header_away() {
    let place = place(&json!({}));
    let listed = "close, x-forwarded-user, remote-user, x-edgeward-assertion";
    let request = get("/").cookie(&place.session);
    let request = request
        .header("connection", listed)
        .header("te", "trailers")
        .header("keep-alive", "x");
    let origin = place.isolate.send(&request).origin();
    assert!(
        origin.header("x-forwarded-user").is_some()
            && origin.header("x-edgeward-assertion").is_some()
    );
    for name in ["connection", "te", "keep-alive"] {
        assert_eq!(origin.header(name), None, "{name}");
    }
}
