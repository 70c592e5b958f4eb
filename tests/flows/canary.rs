//! SEC-63 and SEC-66: what must never be exposed is searched for in every log line, response,
//! header for an origin, key and record of a site's whole life.

use std::cell::RefCell;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::jose::jws::Kind;
use edgeward::model::api_token::Scope;
use edgeward::pipeline::Action;
use edgeward::platform::algorithm::Algorithm;
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{claims_at, table};
use crate::harness::request::{Req, Seen, get, open, req};
use crate::harness::shared::{Trouble, Verb};
use crate::harness::{
    Edge, Isolate, KEY_SECRET, OWN, SESSION_SECRET, SSO, TOKEN_SECRET, bindings, claims_of,
    tampered,
};

const ORIGIN_SECRET: &str = "Basic b3JpZ2luOmNhbmFyeS1wYXNzd29yZA==";
const ISSUER_SECRET: &str = "c8Wq2LxR5vNz7TbK1mYp4HsJ6dGf9EuAoXiQ3ZrVtCyDkPnB0hMjUwSeFaGlIgOq";
const EMAIL: &str = "canary-address@example.com";

/// An isolate that keeps what it says, by who hears it.
struct Watched {
    edge: Edge,
    isolate: Isolate,
    log: RefCell<String>,
    answers: RefCell<String>,
    cookies: RefCell<String>,
    origin: RefCell<String>,
}

impl Watched {
    fn new() -> Self {
        let credential = json!({"header": "x-origin-key", "secret": "ORIGIN_SECRET"});
        let settings = json!({
            "sources": ["session", "sso_cookie", "query", "bearer", "header", "api_key"],
            "token_headers": [{"name": "X-Token"}],
            "issuers": ["id"],
            "upstream_credential": credential,
            "query": {"single_use": false, "user_switch": "confirm"},
        });
        let mut bindings = bindings(&settings);
        bindings.insert("ORIGIN_SECRET".into(), ORIGIN_SECRET.into());
        let issuer = json!({"algorithms": ["HS256"], "jwks_url": null, "secret": "ISSUER_SECRET"});
        bindings.insert("EDGEWARD_ISSUER_ID".into(), table(&issuer));
        bindings.insert("ISSUER_SECRET".into(), ISSUER_SECRET.into());
        bindings.insert("EDGEWARD".into(), r#"{"log":"all"}"#.into());
        let edge = Edge::with(bindings);
        Self {
            isolate: edge.isolate(),
            edge,
            log: RefCell::default(),
            answers: RefCell::default(),
            cookies: RefCell::default(),
            origin: RefCell::default(),
        }
    }

    fn send(&self, request: &Req) -> Seen {
        let seen = self.isolate.send(request);
        let outcome = &seen.outcome;
        let events = outcome.event.iter().chain(&outcome.forwarded);
        for event in events.chain(&outcome.notes) {
            writeln!(self.log.borrow_mut(), "{}", event.line()).unwrap();
        }
        for cookie in &seen.outcome.cookies {
            writeln!(self.cookies.borrow_mut(), "{}", cookie.as_str()).unwrap();
        }
        match &seen.outcome.action {
            Action::Answer(answer) => {
                writeln!(self.answers.borrow_mut(), "{answer:?}").unwrap();
            }
            Action::Forward(_) => {
                writeln!(self.origin.borrow_mut(), "{:?}", seen.origin()).unwrap();
            }
        }
        seen
    }
}

/// A token of the other issuer.
fn foreign_token(watched: &Watched) -> String {
    let said = json!({"email": "canary-foreign@example.com", "name": "canary"});
    let claims = claims_at(watched.edge.now().seconds(), &said);
    Private::Secret(ISSUER_SECRET.into()).token(Algorithm::Hs256, &json!({}), &claims)
}

/// Sends each of `tokens` in each place where a token may be.
fn everywhere(watched: &Watched, tokens: [&String; 4]) {
    for token in tokens {
        let good = watched.send(&get("/a").bearer(token)).is_forwarded();
        assert_eq!(good, token == tokens[0] || token == tokens[2]);
        for request in [
            get("/a").header("x-token", token),
            get("/a").header("x-api-key", token),
            open("/a").cookie(&format!("{SSO}={token}")),
            get("/a").cookie(&format!("{OWN}={token}")),
            get(&format!("/a?token={token}&x=1")),
            open(&format!("/a?token={token}&x=1")),
        ] {
            watched.send(&request);
        }
    }
}

fn when_everything_breaks(watched: &Watched, session: &str, api_token: &str) {
    for verb in Verb::ALL {
        watched.edge.shared.make(Trouble::Every(verb));
        watched.edge.wait(61);
        for request in [
            get("/a").cookie(session),
            open("/a").cookie(session),
            get("/api/sso/users").api_token(api_token),
        ] {
            watched.send(&request);
        }
    }
    watched.edge.shared.make(Trouble::None);
    watched.edge.wait(61);
}

/// Every request that means anything, with every credential in every place.
fn life(watched: &Watched) -> (Vec<(&'static str, String)>, String) {
    let api_token = watched.edge.api_token(&[Scope::Admin]);
    let call = |method: &str, path: &str, body: &Value| {
        watched.edge.wait(2);
        watched.send(&req(method, path).api_token(&api_token).json(body))
    };
    // Issued and opened out of sight: these answers are there to hand them out.
    let token = watched.isolate.issue(&api_token, EMAIL);
    let other = watched.isolate.issue(&api_token, "other@example.com");
    let session = watched.isolate.sign_in(&api_token, EMAIL);
    let session_value = session.split_once('=').unwrap().1.to_owned();
    let new = json!({"name": "x", "scopes": ["users:read"]});
    let made = watched
        .isolate
        .admin(&api_token, "POST", "/api/sso/tokens", &new)
        .1;
    let second = made["token"].as_str().unwrap().to_owned();
    let acting = json!({"name": "z", "acts_as": claims_of(&token)["sub"], "expires_in": 3600});
    let acting = watched
        .isolate
        .admin(&api_token, "POST", "/api/sso/tokens", &acting)
        .1;
    let acting = acting["token"].as_str().unwrap().to_owned();

    let sso = format!("{SSO}={token}");
    let bad = tampered(&token);
    let foreign = foreign_token(watched);
    let bad_foreign = tampered(&foreign);
    let switch = format!("token={bad}&return_to=%2F{bad}");
    for request in [
        get("/a").cookie(&session),
        open("/a").cookie(&session).cookie(&sso),
        get(&format!("/a?token={token}&x=1")),
        open(&format!("/a?token={token}&x=1")),
        open(&format!("/a?token={bad}&secret=canary-query")),
        get("/a").bearer(&token),
        get("/a").bearer(&bad),
        get("/a").header("x-api-key", &acting),
        get("/a").header("x-api-key", &format!("{}000000", &acting[..47])),
        get("/a")
            .header("authorization", &format!("Token {second}"))
            .cookie(&session),
        get("/a").cookie(&format!("{SSO}={bad}")),
        open("/a").cookie(&format!("{OWN}={session_value}A")),
        get("/a%00?secret=canary-query").cookie(&session),
        get("/api/sso/x?secret=canary-query").cookie(&session),
        get("/api/sso/me").cookie(&session),
        open("/api/sso/logout").cookie(&session),
        req("POST", "/api/sso/switch").body(switch.as_bytes()),
        req("POST", "/a")
            .cookie(&session)
            .header("origin", "https://evil.example"),
        get("/api/sso/users").api_token(&format!("{}000000", &second[..47])),
        get("/api/sso/users").api_token("canary-api-token"),
        req("POST", "/api/sso/token")
            .api_token(&second)
            .json(&json!({"email": EMAIL})),
        get("/.well-known/jwks.json"),
    ] {
        watched.send(&request);
    }
    everywhere(watched, [&foreign, &bad_foreign, &token, &bad]);
    let id = claims_of(&token)["sub"].as_str().unwrap().to_owned();
    let user = format!("/api/sso/users/{id}");
    let made = format!("/api/sso/tokens/{}", made["id"].as_str().unwrap());
    for (method, path, body) in [
        ("GET", "/api/sso/users", Value::Null),
        ("GET", user.as_str(), Value::Null),
        (
            "PATCH",
            user.as_str(),
            json!({"password": "canary-password"}),
        ),
        ("GET", "/api/sso/tokens", Value::Null),
        ("GET", made.as_str(), Value::Null),
        ("PATCH", made.as_str(), json!({"name": "y"})),
        ("GET", "/api/sso/keys", Value::Null),
        ("POST", "/api/sso/keys/rotate", Value::Null),
        ("POST", "/api/sso/token", json!({"email": "canary-bad@@x"})),
    ] {
        call(method, path, &body);
    }
    when_everything_breaks(watched, &session, &api_token);
    watched.send(&req("POST", "/api/sso/logout").cookie(&session));
    let secrets = vec![
        ("session secret", SESSION_SECRET.to_owned()),
        ("token secret", TOKEN_SECRET.to_owned()),
        ("key secret", KEY_SECRET.to_owned()),
        ("API token", api_token),
        ("second API token", second),
        ("acting API token", acting),
        ("SSO token", token),
        ("other SSO token", other),
        ("bad SSO token", bad),
        ("issuer's secret", ISSUER_SECRET.to_owned()),
        ("foreign token", foreign),
        ("bad foreign token", bad_foreign),
        ("session", session_value),
        ("query", "canary-query".into()),
        ("invented API token", "canary-api-token".into()),
        ("password", "canary-password".into()),
    ];
    (secrets, id)
}

/// Paths that hold what no line may show, each credential among them, and a client's address.
fn in_paths(watched: &Watched, secrets: &[(&'static str, String)]) {
    let admin = watched.edge.api_token(&[Scope::Admin]);
    let session = watched.isolate.sign_in(&admin, EMAIL);
    for path in [
        "/reset/MQ/canary-c4x2ab7f3d1a9bcd0e/",
        "/people/canary-address@example.com/edit",
    ] {
        assert!(watched.send(&get(path).cookie(&session)).is_forwarded());
    }
    let credentials = secrets
        .iter()
        .filter(|(_, secret)| secret.starts_with("eyJ") || secret.starts_with("ewt_"));
    for (_, credential) in credentials {
        watched.send(&get(&format!("/a/{credential}")));
        watched.send(&get(&format!("/a/{credential}/b")).at("canary.example"));
    }
    watched.send(&get("/b").header("cf-connecting-ip", "203.0.113.77"));
}

/// Whether `text` holds `secret`, or the part of a token that is worth something.
fn shows(text: &str, secret: &str) -> bool {
    let signature = secret
        .rsplit_once('.')
        .map_or(secret, |(_, signature)| signature);
    text.contains(secret) || text.contains(signature)
}

#[test]
fn sec_63_no_secret_is_in_a_log_line_an_answer_or_a_request_to_the_origin() {
    let watched = Watched::new();
    let (secrets, id) = life(&watched);
    in_paths(&watched, &secrets);
    let (log, answers) = (watched.log.borrow(), watched.answers.borrow());
    let (cookies, origin) = (watched.cookies.borrow(), watched.origin.borrow());
    let lines = [&log, &origin, &answers].map(|text| text.lines().count());
    assert!(lines[0] > 40 && lines[1] > 3 && lines[2] > 30, "{lines:?}");
    for (name, secret) in &secrets {
        assert!(!shows(&log, secret), "{name} in the log");
        assert!(!shows(&origin, secret), "{name} at the origin");
        // A person's own address bar may keep a query that is the application's.
        assert!(
            !shows(&answers, secret) || *name == "query",
            "{name} in an answer"
        );
        assert!(!shows(&cookies, secret), "{name} in a cookie");
    }
    // The log finds people by their id; it holds no email address, no client's whole address and no query.
    let log = log.replace("canary.example", "");
    for private in [EMAIL, "canary", "?", "203.0.113.77", "https://", "Mozilla"] {
        assert!(!log.contains(private), "{private} in the log");
    }
    assert!(log.contains(&id) || !log.contains("usr_"));
    // The fixed credential is for the origin alone.
    assert!(origin.contains(ORIGIN_SECRET));
    assert!(!answers.contains(ORIGIN_SECRET) && !log.contains(ORIGIN_SECRET));
}

#[test]
fn sec_63_the_store_holds_no_secret_and_no_private_key_in_the_clear() {
    let watched = Watched::new();
    let (secrets, _) = life(&watched);
    let values = watched.edge.shared.values.borrow();
    let stored = format!("{values:?}");
    for (name, secret) in &secrets {
        assert!(!shows(&stored, secret), "{name}");
    }
    let keys: Value = serde_json::from_str(&values["signing_keys"].0).unwrap();
    for key in keys["keys"].as_array().unwrap() {
        let sealed = URL_SAFE_NO_PAD
            .decode(key["sealed"].as_str().unwrap())
            .unwrap();
        // What every private key of this sort has in it: the id of its curve, and its public point.
        let curve = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        let public = key["public"].as_str().unwrap();
        let public = URL_SAFE_NO_PAD.decode(public).unwrap();
        let point = &public[public.len() - 64..];
        for part in [&curve[..], point] {
            assert!(!sealed.windows(part.len()).any(|window| window == part));
        }
    }
}

/// A fixed prefix, and a hash.
fn is_our_key(key: &str) -> bool {
    let (family, rest) = key.split_once(':').unwrap_or((key, ""));
    let named = family.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let hashed = rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    named && hashed && matches!(rest.len(), 0 | 32 | 64)
}

/// An edge that was told every nasty thing at every place where a client says something.
fn told_nasty_things() -> Edge {
    let edge = Edge::new(&json!({}));
    let isolate = edge.isolate();
    let admin = edge.api_token(&[Scope::Admin]);
    let long = "x".repeat(600);
    let nasty = [
        "user:",
        "../x",
        "a/b",
        "user_email:x",
        "a:b:c",
        "..",
        "%00",
        "signing_keys",
        "é\u{202e}",
        &long,
    ];
    let now = edge.now().seconds();
    for text in nasty {
        edge.wait(2);
        let escaped = edgeward::http::query::encode(text);
        let address = format!("{text}@example.com");
        for body in [
            json!({"email": text}),
            json!({"email": address}),
            json!({"email": "a@b.c", "username": text, "first_name": text}),
        ] {
            isolate.admin(&admin, "POST", "/api/sso/token", &body);
            isolate.admin(&admin, "POST", "/api/sso/users", &body);
        }
        isolate.admin(
            &admin,
            "GET",
            &format!("/api/sso/users?email={escaped}%40b.c"),
            &Value::Null,
        );
        for path in [
            format!("/api/sso/users/{text}"),
            format!("/api/sso/users/{escaped}"),
            format!("/api/sso/tokens/{escaped}"),
            format!("/api/sso/users/usr_{escaped}"),
        ] {
            for method in ["GET", "DELETE"] {
                isolate.send(&req(method, &path).api_token(&admin));
            }
        }
        isolate.send(&get("/api/sso/users").api_token(text));
        isolate.send(&get("/").bearer(text));
        // Claims of a token that was really signed with our secret.
        let user = isolate.issue(&admin, "known@example.com");
        let mut claims = claims_of(&user);
        claims["jti"] = json!(text);
        for (name, value) in [("sub", json!(text)), ("user_id", json!(text))] {
            let mut other = claims.clone();
            other[name] = value;
            isolate.send(&get("/").bearer(&isolate.forge(Kind::Sso, &other)));
        }
        isolate.send(&open(&format!(
            "/?token={}",
            isolate.forge(Kind::Sso, &claims)
        )));
        let session = json!({"iss": "edgeward", "aud": "site.example", "sub": claims["sub"], "jti": text, "iat": now, "exp": now + 3600, "began": now * 1000});
        let session = format!("{OWN}={}", isolate.forge(Kind::Session, &session));
        isolate.send(&get("/").cookie(&session));
        isolate.send(&req("POST", "/api/sso/logout").cookie(&session));
    }
    edge
}

#[test]
fn sec_66_no_key_is_made_of_what_a_client_said() {
    let edge = told_nasty_things();
    let calls = edge.shared.calls.borrow();
    let store = [Verb::KvRead, Verb::KvWrite, Verb::KvDelete, Verb::KvList];
    let keys: Vec<&str> = calls
        .iter()
        .filter(|c| store.contains(&c.verb))
        .map(|c| c.key.as_str())
        .collect();
    assert!(keys.len() > 100);
    for key in keys {
        assert!(is_our_key(key), "{key}");
    }
    for family in [
        "user:",
        "user_email:",
        "api_token:",
        "api_token_used:",
        "session_ended:",
    ] {
        assert!(
            calls
                .iter()
                .any(|call| call.key.starts_with(family) && call.key.len() > family.len()),
            "{family}"
        );
    }
}

#[test]
fn sec_66_no_claim_is_made_on_what_a_client_said() {
    let edge = told_nasty_things();
    let calls = edge.shared.calls.borrow();
    let claims: Vec<&str> = calls
        .iter()
        .filter(|call| matches!(call.verb, Verb::Acquire | Verb::Release))
        .map(|call| call.key.as_str())
        .collect();
    assert!(claims.iter().any(|key| key.starts_with("link:")));
    for key in claims {
        let (_, last) = key.rsplit_once(':').unwrap();
        let hashed = last.len() == 64 && last.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(hashed, "{key}");
    }
}
