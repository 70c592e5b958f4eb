//! Tokens in the wrong place, and tokens signed with something that is not a shared secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::jose::hmac::{HmacAlgorithm, Keyring};
use edgeward::jose::jws::{self, Kind};
use edgeward::model::api_token::Scope;
use serde_json::json;

use crate::harness::request::{get, req};
use crate::harness::shared::Verb;
use crate::harness::{Edge, Isolate, OWN, SSO, claims_of};

fn edge() -> (Edge, Isolate, String) {
    let edge = Edge::new(&json!({
        "sources": ["session", "sso_cookie", "query", "bearer", "header", "api_key"],
        "token_headers": [{"name": "X-Token"}],
        "query": {"single_use": false, "user_switch": "replace"},
    }));
    let isolate = edge.isolate();
    let api_token = edge.api_token(&[Scope::Admin]);
    (edge, isolate, api_token)
}

#[test]
#[expect(clippy::too_many_lines, reason = "two tables")]
fn sec_19_a_token_of_one_kind_is_nothing_in_the_place_of_another() {
    let (_, isolate, api_token) = edge();
    let sso = isolate.issue(&api_token, "anna@b.c");
    let session = isolate.sign_in(&api_token, "anna@b.c");
    let seen = isolate.send(&get("/").cookie(&session));
    let assertion = seen
        .origin()
        .header("x-edgeward-assertion")
        .unwrap()
        .to_owned();
    let session = session.split_once('=').unwrap().1.to_owned();
    let (_, robot) = isolate.admin(
        &api_token,
        "POST",
        "/api/sso/users",
        &json!({"email": "robot@b.c"}),
    );
    let acting = json!({"name": "robot", "acts_as": robot["id"], "expires_in": 3600});
    let (_, acting) = isolate.admin(&api_token, "POST", "/api/sso/tokens", &acting);
    let acting = acting["token"].as_str().unwrap().to_owned();
    let keys = &isolate.world.config.keys;
    let crossed = |kind, ring: &Keyring, like: &str| {
        jws::sign(kind, HmacAlgorithm::Hs256, ring, &claims_of(like))
    };
    let kinds = [
        ("sso", sso.clone()),
        ("session", session.clone()),
        ("assertion", assertion),
        ("api token", api_token.clone()),
        ("acting api token", acting),
        // The right type with the other purpose's secret, and the other way round.
        (
            "sso by the session secret",
            crossed(Kind::Sso, &keys.session, &sso),
        ),
        (
            "session by the token secret",
            crossed(Kind::Session, &keys.token, &session),
        ),
        (
            "session by the key secret",
            crossed(Kind::Session, &keys.key, &session),
        ),
        (
            "sso claims as a session",
            crossed(Kind::Session, &keys.session, &sso),
        ),
        (
            "session claims as a token",
            crossed(Kind::Sso, &keys.token, &session),
        ),
        (
            "assertion by the token secret",
            crossed(Kind::Assertion, &keys.token, &sso),
        ),
    ];
    // What was a link counts nowhere else, and the other way round.
    let [link, asked] = [(), ()].map(|()| isolate.issue(&api_token, "anna@b.c"));
    for (kind, token) in &kinds {
        let [link, asked] = match *kind {
            "sso" => [&link, &asked],
            _ => [token, token],
        };
        let form = format!("token={asked}&return_to=%2F");
        let body = json!({"email": "a@b.c"});
        for (place, request, takes) in [
            (
                "session cookie",
                get("/").cookie(&format!("{OWN}={token}")),
                &["session"][..],
            ),
            (
                "sso cookie",
                get("/").cookie(&format!("{SSO}={token}")),
                &["sso"],
            ),
            ("link", get(&format!("/?token={link}")), &["sso"]),
            (
                "bearer",
                get("/").bearer(token),
                &["sso", "acting api token"],
            ),
            ("token header", get("/").header("x-token", token), &["sso"]),
            (
                "api key",
                get("/").header("x-api-key", token),
                &["acting api token"],
            ),
            (
                "me",
                get("/api/sso/me").bearer(token),
                &["sso", "acting api token"],
            ),
            (
                "me by cookie",
                get("/api/sso/me").cookie(&format!("{OWN}={token}")),
                &["session"][..],
            ),
            (
                "switch",
                req("POST", "/api/sso/switch").body(form.as_bytes()),
                &["sso"],
            ),
            (
                "token call",
                req("POST", "/api/sso/token").api_token(token).json(&body),
                &["api token", "acting api token"],
            ),
            (
                "admin call",
                get("/api/sso/users").bearer(token),
                &["api token", "acting api token"],
            ),
            (
                "admin call by cookie",
                get("/api/sso/users").cookie(&format!("{OWN}={token}")),
                &[],
            ),
            (
                "admin call by link",
                get(&format!("/api/sso/users?token={token}")),
                &[],
            ),
        ] {
            let seen = isolate.send(&request);
            let accepted = seen.status() != 401;
            let acts = ["api key", "bearer", "me"].contains(&place);
            if accepted && *kind == "acting api token" && !acts {
                // The token is known there, but has no scope.
                assert_eq!(seen.status(), 403, "{place}");
            }
            assert_eq!(
                accepted,
                takes.contains(kind),
                "{kind} as {place}: {}",
                seen.status()
            );
        }
    }
}

#[test]
fn sec_1_no_form_of_a_published_key_is_a_secret() {
    let (edge, isolate, api_token) = edge();
    let token = isolate.issue(&api_token, "anna@b.c");
    let set = isolate.send(&get("/.well-known/jwks.json")).json();
    let key = &set["keys"][0];
    let (x, y) = (key["x"].as_str().unwrap(), key["y"].as_str().unwrap());
    let mut point = vec![4_u8];
    point.extend(URL_SAFE_NO_PAD.decode(x).unwrap());
    point.extend(URL_SAFE_NO_PAD.decode(y).unwrap());
    let header = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let der = [&header[..], &point].concat();
    let base64 = base64::engine::general_purpose::STANDARD.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
    for secret in [
        key.to_string().into_bytes(),
        set.to_string().into_bytes(),
        x.as_bytes().to_vec(),
        point.clone(),
        der,
        pem.trim_end().as_bytes().to_vec(),
        pem.into_bytes(),
        key["kid"].as_str().unwrap().as_bytes().to_vec(),
        Vec::new(),
    ] {
        for kid in ["1".to_owned(), key["kid"].as_str().unwrap().to_owned()] {
            for kind in [Kind::Sso, Kind::Session] {
                let ring = Keyring::new([(1, secret.clone())]).unwrap();
                let mut forged = jws::signing_input(kind, "HS256", &kid, &claims_of(&token));
                let signature = ring.sign(HmacAlgorithm::Hs256, forged.as_bytes());
                forged.push('.');
                URL_SAFE_NO_PAD.encode_string(signature, &mut forged);
                assert_eq!(isolate.send(&get("/").bearer(&forged)).status(), 401);
                let cookie = format!("{OWN}={forged}");
                assert_eq!(isolate.send(&get("/").cookie(&cookie)).status(), 401);
            }
        }
    }
    assert_eq!(edge.shared.count(Verb::Generate), 1);
}

#[test]
fn sec_2_only_the_site_s_own_algorithm_is_accepted() {
    let all = [
        HmacAlgorithm::Hs256,
        HmacAlgorithm::Hs384,
        HmacAlgorithm::Hs512,
    ];
    for configured in all {
        let edge = Edge::new(&json!({"sso_token": {"algorithm": configured.name()}}));
        let isolate = edge.isolate();
        let token = isolate.issue(&edge.api_token(&[Scope::Admin]), "anna@b.c");
        let claims = claims_of(&token);
        let keys = &isolate.world.config.keys.token;
        for signed in all {
            for named in [
                "HS256", "HS384", "HS512", "none", "ES256", "RS256", "EdDSA", "PS256", "",
            ] {
                let mut token = jws::signing_input(Kind::Sso, named, "1", &claims);
                let signature = keys.sign(signed, token.as_bytes());
                token.push('.');
                URL_SAFE_NO_PAD.encode_string(signature, &mut token);
                let right = signed == configured && named == configured.name();
                let seen = isolate.send(&get("/").bearer(&token));
                assert_eq!(
                    seen.is_forwarded(),
                    right,
                    "{configured:?} {signed:?} {named}"
                );
            }
        }
    }
}
