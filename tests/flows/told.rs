//! What is told of a credential that is refused: one reason in the log, and each check to an admin who asks.

use edgeward::answer::event::{Event, EventKind};
use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use edgeward::platform::algorithm::{Algorithm, KeyType};
use edgeward::site::Source;
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{ISS, JWKS, Stage, by_bearer, reason, table};
use crate::harness::request::Seen;
use crate::harness::{Isolate, tampered};

fn explained(isolate: &Isolate, admin: &str, token: &str) -> Value {
    let question = json!({"path": "/x", "token": token, "source": "bearer"});
    let (status, told) = isolate.admin(admin, "POST", "/api/sso/explain", &question);
    assert_eq!(status, 200, "{told}");
    told
}

/// The check that failed; every one before it passed, and none behind it was reached.
fn failing(told: &Value) -> Option<String> {
    let checks = told["checks"].as_array().unwrap();
    let failed = checks.iter().position(|check| check["passed"] == false);
    for (index, check) in checks.iter().enumerate() {
        let expected = match failed {
            None => json!(true),
            Some(at) if index < at => json!(true),
            Some(at) if index == at => json!(false),
            Some(_) => Value::Null,
        };
        assert_eq!(check["passed"], expected, "{told}");
        assert_eq!(check.get("because").is_some(), failed == Some(index));
    }
    failed.map(|at| checks[at]["check"].as_str().unwrap().to_owned())
}

fn stage() -> Stage {
    let two = json!({"issuer": "https://two.example", "jwks_url": "https://two.example/jwks"});
    let settings = json!({
        "required_claims": {"token_type": "access"},
        "email_domains": ["b.c"],
        "max_lifetime": 600,
    });
    let mut stage = Stage::new(&settings, &json!({"issuers": ["id", "two"]}));
    stage
        .edge
        .bindings
        .insert("EDGEWARD_ISSUER_TWO".into(), table(&two));
    stage
}

/// Tokens that are refused, and by which check.
fn negative(stage: &Stage, isolate: &Isolate) -> Vec<(String, &'static str)> {
    let now = stage.edge.now().seconds();
    let with = |changes: Value| {
        let mut all = json!({"token_type": "access"});
        let members = all.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        stage.claims(&all)
    };
    let signed = |changes: Value| {
        let header = json!({"kid": "k1"});
        stage.key.token(Algorithm::EdDsa, &header, &with(changes))
    };
    let under = |header: Value| stage.key.token(Algorithm::EdDsa, &header, &with(json!({})));
    let theirs = Private::new(KeyType::Ed25519, "attacker");
    let theirs = theirs.token(Algorithm::EdDsa, &json!({"kid": "k1"}), &with(json!({})));
    let curve = Private::new(KeyType::P256, "curve");
    let curve = curve.token(Algorithm::Es256, &json!({"kid": "k1"}), &with(json!({})));
    let own = json!({"sub": "usr_0123456789abcdefghijkl", "exp": now + 60, "iat": now});
    vec![
        (
            signed(json!({"iss": "https://three.example"})),
            "issuer_found",
        ),
        (signed(json!({"iss": null})), "issuer_found"),
        (under(json!({"kid": "k1", "crit": ["x"]})), "form"),
        (under(json!({"kid": "k1", "typ": "at+jwt"})), "typ"),
        (curve, "alg"),
        (under(json!({"kid": "k2"})), "key"),
        (theirs, "signature"),
        (tampered(&signed(json!({}))), "signature"),
        (signed(json!({"aud": "other"})), "aud"),
        (signed(json!({"aud": null})), "aud"),
        (signed(json!({"exp": null})), "times"),
        (signed(json!({"iat": "now"})), "times"),
        (signed(json!({"token_type": null})), "required_claims"),
        (signed(json!({"email": 5, "exp": now + 700})), "lifetime"),
        (signed(json!({"token_type": "refresh"})), "required_claims"),
        (signed(json!({"exp": now + 700})), "lifetime"),
        (signed(json!({"nbf": now + 100})), "not_before"),
        (
            signed(json!({"iat": now - 400, "exp": now - 100})),
            "expiry",
        ),
        (signed(json!({"email": null})), "identity"),
        (signed(json!({"email": 5})), "identity"),
        (signed(json!({"email_verified": false})), "identity"),
        (signed(json!({"email": "anna@evil.example"})), "identity"),
        (signed(json!({"email": "gone@b.c"})), "user"),
        (isolate.forge(Kind::Session, &own), "typ"),
        (isolate.forge(Kind::Sso, &own), "iss"),
    ]
}

#[test]
fn sec_104_each_check_that_explain_tells_is_the_one_that_refuses_the_request() {
    let stage = stage();
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let good = stage.token(&json!({"token_type": "access"}));
    assert!(isolate.send(&by_bearer(&good)).is_forwarded());
    let gone = stage.token(&json!({"token_type": "access", "email": "gone@b.c"}));
    assert!(isolate.send(&by_bearer(&gone)).is_forwarded());
    let users = "/api/sso/users?email=gone%40b.c";
    let (_, found) = isolate.admin(&admin, "GET", users, &Value::Null);
    let user = format!(
        "/api/sso/users/{}",
        found["users"][0]["id"].as_str().unwrap()
    );
    isolate.admin(&admin, "PATCH", &user, &json!({"active": false}));
    for (token, check) in negative(&stage, &isolate) {
        let told = explained(&isolate, &admin, &token);
        assert_eq!(failing(&told).as_deref(), Some(check), "{told}");
        let seen = isolate.send(&by_bearer(&token));
        assert!(!seen.is_forwarded(), "{check}");
        let refused = format!("refused: {}", reason(&seen));
        assert_eq!(told["credential"], json!(refused), "{check}");
        assert_eq!(told["granted"], false);
        let failed = told["checks"].as_array().unwrap();
        let failed = failed.iter().find(|check| check["passed"] == false);
        assert_eq!(failed.unwrap()["because"], json!(reason(&seen)), "{check}");
        // Neither the log nor the answer holds a part of the token.
        let event = seen.outcome.event.as_ref().unwrap().line();
        for part in token.split('.') {
            assert!(!event.contains(part) && !told.to_string().contains(part));
        }
    }
    let told = explained(&isolate, &admin, &good);
    assert_eq!(failing(&told), None);
    assert_eq!(
        (&told["credential"], &told["granted"]),
        (&json!("accepted"), &json!(true))
    );
    let presented = json!({
        "source": "bearer", "kind": "issuer_token", "issuer": "id",
        "alg": "EdDSA", "kid": "k1",
    });
    let mut shown = told["presented"].clone();
    shown.as_object_mut().unwrap().remove("typ");
    assert_eq!(shown, presented);
}

#[test]
fn sec_104_of_two_faults_explain_tells_the_one_that_is_checked_first() {
    let stage = stage();
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let now = stage.edge.now().seconds();
    // In the order of the checks, so that each pair shows the order of two.
    let faults = [
        ("aud", json!({"aud": "other"})),
        ("times", json!({"nbf": "now"})),
        ("required_claims", json!({"token_type": "refresh"})),
        ("lifetime", json!({"exp": now + 700})),
        ("not_before", json!({"nbf": now + 100})),
        ("identity", json!({"email_verified": false})),
    ];
    for (first, (check, one)) in faults.iter().enumerate() {
        for (_, other) in faults.iter().skip(first + 1) {
            let mut all = json!({"token_type": "access"});
            let members = all.as_object_mut().unwrap();
            members.extend(other.as_object().unwrap().clone());
            members.extend(one.as_object().unwrap().clone());
            let told = explained(&isolate, &admin, &stage.token(&all));
            assert_eq!(failing(&told).as_deref(), Some(*check), "{told}");
        }
    }
}

#[test]
fn sec_104_the_log_names_issuer_source_and_a_bounded_kid() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let own = isolate.forge(Kind::Sso, &json!({"sub": "x"}));
    let line = |kid: &str| {
        let header = json!({"kid": kid});
        let token = stage
            .key
            .token(Algorithm::EdDsa, &header, &stage.claims(&json!({})));
        let seen = isolate.send(&by_bearer(&token));
        seen.outcome.event.expect("an event")
    };
    let event = line("k9");
    assert_eq!(event.issuer.as_deref(), Some("id"));
    assert_eq!(event.source, Some(Source::Bearer));
    assert_eq!(event.kid.as_deref(), Some("k9"));
    assert_eq!(event.reason.as_deref(), Some("the token's key is unknown"));
    let long = line(&"k".repeat(250)).kid.unwrap();
    assert_eq!(long, format!("{}...", "k".repeat(64)));
    assert_eq!(line("a\nb\u{202e} c").kid.as_deref(), Some("a?b??c"));
    let short = own.len() <= 256;
    assert!(short, "fits into a kid");
    assert_eq!(line(&own).kid.as_deref(), Some("(a credential)"));
}

#[test]
fn the_log_says_why_keys_could_not_be_fetched() {
    let discovery = "https://id.example/.well-known/openid-configuration";
    let told = |status: u16, body: &str, found_keys: Option<(u16, &str)>| {
        let settings = json!({"jwks_url": null, "discovery_url": discovery});
        let stage = Stage::new(&settings, &json!({}));
        stage.down();
        if status > 0 {
            stage.answer(discovery, status, body);
        }
        if let Some((status, body)) = found_keys {
            stage.answer(JWKS, status, body);
        }
        let seen = stage.isolate().send(&by_bearer(&stage.token(&json!({}))));
        assert_eq!(seen.status(), 503);
        let event = seen.outcome.event.as_ref().unwrap();
        assert_eq!(event.issuer.as_deref(), Some("id"));
        failure(&seen)
    };
    let found = json!({"issuer": ISS, "jwks_uri": JWKS}).to_string();
    let found = found.as_str();
    let at_issuer = |cause: &str| format!("id.example: {cause}");
    let at_keys = |cause: &str| format!("keys.example: {cause}");
    let redirect =
        "status 302, a redirect, which is not followed; configure the URL that it leads to";
    for (status, body, keys, expected) in [
        (0, "", None, at_issuer("the connection failed")),
        (500, "", None, at_issuer("status 500")),
        (302, "", None, at_issuer(redirect)),
        (200, "<html>", None, at_issuer("the discovery document is not a JSON object, or names a member twice")),
        (200, "{}", None, at_issuer("the discovery document is that of another issuer: its `issuer` is not the configured one")),
        (200, r#"{"issuer":"https://id.example"}"#, None, at_issuer("the discovery document has no `jwks_uri`")),
        (200, r#"{"issuer":"https://id.example","jwks_uri":"http://user:secret@10.0.0.1/x"}"#, None,
            "10.0.0.1: the URL may not be asked: it is no public https address, or one of Edgeward's own sites".to_owned()),
        (200, found, Some((404, "")), at_keys("status 404")),
        (200, found, Some((200, "<html>")), at_keys("the document is not a key set: a JSON object with a list \"keys\"")),
        (200, found, Some((200, r#"{"keys":[]}"#)), at_keys("the document is a key set without a usable key")),
    ] {
        assert_eq!(told(status, body, keys), expected);
    }
    let long = format!("{{\"keys\":[{}1]}}", "1,".repeat(40_000));
    assert_eq!(
        told(200, found, Some((200, &long))),
        at_keys("the document is longer than 64 KB")
    );
}

fn failure(seen: &Seen) -> String {
    let failed = |event: &&Event| event.event == EventKind::IssuerKeysFailed;
    let notes: Vec<&Event> = seen.outcome.notes.iter().filter(failed).collect();
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].issuer.as_deref(), Some("id"));
    notes[0].reason.clone().unwrap()
}

#[test]
fn explain_tells_what_an_issuer_publishes() {
    let stage = Stage::new(&json!({}), &json!({}));
    let isolate = stage.isolate();
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let ask = |name: &str| {
        let question = json!({"issuer": name});
        isolate.admin(&admin, "POST", "/api/sso/explain", &question)
    };
    let curve = Private::new(KeyType::P256, "curve");
    let keys = json!({"keys": [
        stage.key.jwk(&json!({"kid": "k1"})),
        stage.key.jwk(&json!({"kid": "k2", "use": "enc"})),
        curve.jwk(&json!({"kid": "k3"})),
        {"kty": "oct", "k": "c2VjcmV0"},
        "nothing",
    ]});
    stage.answer(JWKS, 200, &keys.to_string());
    let (status, told) = ask("id");
    assert_eq!(status, 200);
    let left_out =
        |kid: Value, because: &str| json!({"kid": kid, "taken": false, "because": because});
    let mut expected = json!({
        "issuer": "id", "iss": [ISS], "audience": ["app"], "algorithms": ["EdDSA"],
        "keys_from": "jwks_url", "host": "keys.example", "usable": true,
        "taken": 1, "left_out": 4,
    });
    expected["keys"] = json!([
        {"kid": "k1", "taken": true, "algorithms": ["EdDSA"]},
        left_out(json!("k2"), "is not for signatures"),
        left_out(json!("k3"), "is for ES256, which `algorithms` does not list"),
        left_out(Value::Null, "is a symmetric key, which must not be published"),
        left_out(Value::Null, "is not a valid public key"),
    ]);
    assert_eq!(told, expected);
    // Nothing of that is kept: the next token asks for itself.
    stage.down();
    let (_, told) = ask("id");
    assert_eq!(
        (&told["usable"], &told["error"]),
        (&json!(false), &json!("the connection failed"))
    );
    assert_eq!(
        isolate.send(&by_bearer(&stage.token(&json!({})))).status(),
        503
    );
    assert_eq!(ask("nobody").0, 404);
    let reader = stage.edge.api_token(&[Scope::TokenIssue]);
    let question = json!({"issuer": "id"});
    let (status, _) = isolate.admin(&reader, "POST", "/api/sso/explain", &question);
    assert_eq!(status, 403);
}
