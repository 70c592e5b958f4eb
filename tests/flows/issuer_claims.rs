//! What tokens of other issuers look like in the field: claims that are required, missing, of odd forms, or many; keys that
//! share a name; names of algorithms. The rows J1 to J11 are reports from the field.

use edgeward::platform::algorithm::{Algorithm, KeyType};
use serde_json::{Value, json};

use crate::harness::crypto::Private;
use crate::harness::issuer::{ISS, JWKS, Stage, by_bearer, reason, table, with_issuer};
use crate::harness::request::{Seen, get, open};
use crate::harness::{Edge, SSO, claims_of};

/// What the log says besides the line of the request.
fn notes(seen: &Seen) -> Vec<String> {
    let notes = seen.outcome.notes.iter();
    notes.map(|note| note.reason.clone().unwrap()).collect()
}

/// Configuration errors of an edge with this issuer and this site.
fn errors(issuer: &Value, site: &Value) -> Vec<String> {
    let found = edgeward::config::parse(&with_issuer(issuer, site)).err();
    let found = found.unwrap_or_default().into_iter();
    found
        .map(|error| format!("{}: {}", error.path, error.error))
        .collect()
}

#[test]
fn sec_19_a_required_value_is_checked_before_anybody_is_made_or_let_in() {
    for required in [
        json!({"token_type": "access"}),
        json!([{"token_type": "access"}]),
        json!({"token_type": ["access", "other"]}),
    ] {
        let issuer = json!({"required_claims": required});
        let stage = Stage::new(&issuer, &json!({"unauthenticated": "pass"}));
        let isolate = stage.isolate();
        let send =
            |value: Value| isolate.send(&by_bearer(&stage.token(&json!({"token_type": value}))));
        for bad in [
            json!("refresh"),
            json!("secure"),
            json!("one_time"),
            json!("temporary"),
            json!("ACCESS"),
            json!(""),
            json!(true),
            json!(["access"]),
            json!({"access": 1}),
            json!("*"),
        ] {
            let seen = send(bad.clone());
            assert_eq!(seen.status(), 401, "{bad}");
            assert_eq!(
                reason(&seen),
                "the token's claim token_type has a value that is not accepted"
            );
        }
        for missing in [json!(null), json!({})] {
            let seen = isolate.send(&by_bearer(&stage.token(&json!({"t": missing}))));
            assert_eq!(
                reason(&seen),
                "the token lacks a required claim: token_type"
            );
        }
        assert_eq!(
            stage
                .edge
                .shared
                .count(crate::harness::shared::Verb::KvWrite),
            1,
            "the keys, and no user"
        );
        assert!(send(json!("access")).is_forwarded());
    }
}

#[test]
fn required_claims_are_names_values_or_both_and_dotted_paths() {
    let stage = Stage::new(
        &json!({"required_claims": ["phone", {"a.b": [1, true]}]}),
        &json!({}),
    );
    let isolate = stage.isolate();
    let why = |claims: Value| reason(&isolate.send(&by_bearer(&stage.token(&claims))));
    let phone = "the token lacks a required claim: phone";
    let value = "the token's claim a.b has a value that is not accepted";
    for (claims, expected) in [
        (json!({"phone": "+1", "a": {"b": 1}}), ""),
        (json!({"phone": "+1", "a.b": true}), ""),
        (json!({"phone": "+1", "a": {"b": 2}}), value),
        (json!({"phone": "+1", "a": {"b": "1"}}), value),
        (json!({"phone": "", "a": {"b": 1}}), phone),
        (json!({"phone": " ", "a": {"b": 1}}), phone),
        (json!({"a": {"b": 1}}), phone),
    ] {
        assert_eq!(why(claims.clone()), expected, "{claims}");
    }
    for bad in [
        json!("phone"),
        json!([1]),
        json!({"a": null}),
        json!({"a": []}),
        json!({"a": [["x"]]}),
        json!({"a": {"b": "x"}}),
        json!({"a b": "x"}),
    ] {
        let found = errors(&json!({"required_claims": bad}), &json!({}));
        assert!(
            found[0].starts_with("EDGEWARD_ISSUER_ID.required_claims: "),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn sec_82_who_signs_in_without_an_issuer_does_not_where_tokens_of_edgeward_do_not_count() {
    let site = json!({"own_tokens": false, "sources": ["session", "sso_cookie", "bearer"]});
    let stage = Stage::new(&json!({}), &site);
    let admin = stage
        .edge
        .api_token(&[edgeward::model::api_token::Scope::Admin]);
    let isolate = stage.isolate();
    let body = json!({"email": "anna@b.c"});
    let issued = isolate.admin(&admin, "POST", "/api/sso/token", &body).1;
    let seen = isolate.send(&by_bearer(issued["token"].as_str().unwrap()));
    assert_eq!(
        reason(&seen),
        "the token was issued by Edgeward, and the site has own_tokens = false"
    );
    // A session of the time before the setting has ended; one by a token of the issuer counts.
    let before = stage.edge.deployed(|all| {
        let site = json!({"issuers": ["id"]});
        all.insert("EDGEWARD_SITE_APP".into(), crate::harness::site(&site));
    });
    let session = before.isolate().sign_in(&admin, "anna@b.c");
    assert_eq!(isolate.send(&get("/x").cookie(&session)).status(), 401);
    let cookie = format!("{SSO}={}", stage.token(&json!({})));
    let session = isolate.send(&open("/").cookie(&cookie)).session().unwrap();
    assert!(isolate.send(&get("/x").cookie(&session)).is_forwarded());
    for (site, path) in [
        (json!({"own_tokens": false, "issuers": []}), "own_tokens"),
        (
            json!({"own_tokens": false, "sources": ["api_key"]}),
            "sources",
        ),
    ] {
        let found = errors(&json!({}), &site);
        assert!(
            found
                .iter()
                .any(|error| error.starts_with(&format!("EDGEWARD_SITE_APP.{path}: "))),
            "{site}: {found:?}"
        );
    }
}

#[test]
fn sec_82_the_configuration_is_told_which_claim_an_assertion_may_lack() {
    let notes = |issuer: Value, site: Value| {
        let config = edgeward::config::parse(&with_issuer(&issuer, &site)).unwrap();
        let notes = config.notes.iter();
        notes.map(|note| note.error.clone()).collect::<Vec<_>>()
    };
    let site = |own: bool| json!({"own_tokens": own, "assertion": {"claims": ["phone"]}, "sources": ["bearer"]});
    let requires = json!({"required_claims": ["phone"]});
    assert_eq!(notes(requires.clone(), site(false)), [""; 0]);
    for (issuer, site, what) in [
        (json!({}), site(false), "issuer id does not require it"),
        (requires, site(true), "tokens of Edgeward itself have none"),
    ] {
        let found = notes(issuer, site);
        assert!(
            found.len() == 1 && found[0].contains(what) && found[0].contains("phone"),
            "{found:?}"
        );
    }
}

#[test]
fn j1_the_signing_key_is_used_whatever_else_has_its_name() {
    let stage = Stage::new(&json!({"algorithms": ["RS256", "EdDSA"]}), &json!({}));
    let isolate = stage.isolate();
    let wrong = Private::new(KeyType::Ed25519, "older");
    let jwk = |key: &Private| key.jwk(&json!({"kid": "k1", "use": "sig"}));
    let enc =
        json!({"kid": "k1", "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": "AA", "e": "AQAB"});
    let secret = json!({"kid": "k1", "kty": "oct", "k": "c2VjcmV0"});
    let set = json!({"keys": [enc, secret, jwk(&wrong), 1, jwk(&stage.key)]});
    stage.answer(JWKS, 200, &set.to_string());
    assert_eq!(
        reason(&isolate.send(&by_bearer(&stage.token(&json!({}))))),
        ""
    );
    // Only a signature by one of them counts.
    let third = Private::new(KeyType::Ed25519, "third");
    let claims = stage.claims(&json!({}));
    let token = third.token(Algorithm::EdDsa, &json!({"kid": "k1"}), &claims);
    assert_eq!(
        reason(&isolate.send(&by_bearer(&token))),
        "the token's signature does not match"
    );
    // The symmetric key is no secret.
    let token =
        Private::Secret("secret".into()).token(Algorithm::Hs256, &json!({"kid": "k1"}), &claims);
    assert_eq!(
        reason(&isolate.send(&by_bearer(&token))),
        "the token's algorithm is not allowed"
    );
}

#[test]
fn sec_78_at_most_four_keys_of_one_name_are_tried() {
    let stage = Stage::new(&json!({}), &json!({}));
    let names: Vec<String> = (0..6).map(|n| format!("key {n}")).collect();
    let keys: Vec<Private> = names
        .iter()
        .map(|name| Private::new(KeyType::Ed25519, name))
        .collect();
    let all: Vec<(&Private, &str)> = keys.iter().map(|key| (key, "k1")).collect();
    stage.publish(&all);
    let isolate = stage.isolate();
    for (n, key) in keys.iter().enumerate() {
        let claims = stage.claims(&json!({"jti": n.to_string()}));
        let token = key.token(Algorithm::EdDsa, &json!({"kid": "k1"}), &claims);
        let before = stage
            .edge
            .shared
            .count(crate::harness::shared::Verb::Verify);
        assert_eq!(
            isolate.send(&by_bearer(&token)).is_forwarded(),
            n < 4,
            "{n}"
        );
        let tried = stage
            .edge
            .shared
            .count(crate::harness::shared::Verb::Verify)
            - before;
        assert_eq!(tried, (n + 1).min(4), "{n}");
    }
}

#[test]
fn j3_ed25519_has_the_names_of_two_rfcs_and_of_usso() {
    for configured in ["EdDSA", "Ed25519", "EDDSA", "ED25519"] {
        let stage = Stage::new(&json!({"algorithms": [configured]}), &json!({}));
        for published in ["EdDSA", "Ed25519"] {
            let jwk = stage.key.jwk(&json!({"kid": "k1", "alg": published}));
            stage.answer(JWKS, 200, &json!({"keys": [jwk]}).to_string());
            let isolate = stage.isolate();
            for (said, good) in [
                ("EdDSA", true),
                ("Ed25519", true),
                ("EDDSA", true),
                ("ED25519", true),
                ("eddsa", false),
                ("ed25519", false),
                ("Ed448", false),
                ("none", false),
            ] {
                let header = json!({"kid": "k1", "alg": said});
                let claims = stage.claims(&json!({"jti": said}));
                let token = stage.key.token(Algorithm::EdDsa, &header, &claims);
                let seen = isolate.send(&by_bearer(&token));
                assert_eq!(seen.is_forwarded(), good, "{configured} {published} {said}");
            }
        }
    }
    for bad in ["Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"] {
        let found = errors(&json!({"algorithms": [bad]}), &json!({}));
        assert!(
            found[0].contains(&format!("{bad:?} is not supported")),
            "{found:?}"
        );
    }
}

#[test]
fn j4_an_address_that_is_verified_by_a_text_counts_where_the_issuer_says_so() {
    let stage = Stage::new(&json!({"email_verified_as_text": true}), &json!({}));
    let isolate = stage.isolate();
    for (value, good) in [
        (json!("true"), true),
        (json!(true), true),
        (json!("True"), false),
        (json!("false"), false),
        (json!("1"), false),
        (json!(1), false),
        (json!(""), false),
        (json!(["true"]), false),
        (json!(false), false),
        (json!(null), false),
    ] {
        let token = stage.token(&json!({"email_verified": value}));
        assert_eq!(
            isolate.send(&by_bearer(&token)).is_forwarded(),
            good,
            "{value}"
        );
    }
    let both = json!({"email_verified_as_text": true, "unverified_email_reason": "the directory holds checked addresses"});
    assert!(errors(&both, &json!({}))[0].contains("email_verified_as_text"));
}

#[test]
fn j5_numbers_are_no_reason_to_refuse_and_stand_for_texts_where_the_issuer_says_so() {
    let odd = json!({"sub": 4, "jti": 12345, "tenant_id": 7, "workspace_id": 8.5});
    let headers = json!({"custom_headers": {"x-tenant": "tenant", "x-workspace": "workspace"}});
    let plain = Stage::new(&json!({}), &headers);
    let seen = plain.isolate().send(&by_bearer(&plain.token(&odd)));
    assert_eq!(seen.origin().header("x-tenant"), None);
    assert_eq!(
        notes(&seen),
        ["claims of issuer id could not be read and grant nothing: tenant_id, workspace_id"]
    );
    let numbers = json!({"numbers_as_text": true, "subject_domain": "id.example"});
    let stage = Stage::new(&numbers, &headers);
    let isolate = stage.isolate();
    let mut without = odd.clone();
    without["email"] = json!(null);
    let seen = isolate.send(&by_bearer(&stage.token(&without)));
    assert_eq!(seen.origin().header("x-tenant"), Some("7"));
    assert_eq!(seen.origin().header("x-workspace"), None);
    assert_eq!(
        seen.origin().header("x-forwarded-email"),
        Some("4@id.example")
    );
    for bad in [json!(4.5), json!(true), json!([4]), json!({})] {
        without["sub"] = bad.clone();
        let seen = isolate.send(&by_bearer(&stage.token(&without)));
        assert_eq!(reason(&seen), "the token's claim sub is malformed", "{bad}");
    }
    // A number that nobody said is text makes nobody.
    let plain = Stage::new(&json!({"subject_domain": "id.example"}), &json!({}));
    without["sub"] = json!(4);
    let seen = plain.isolate().send(&by_bearer(&plain.token(&without)));
    assert_eq!(reason(&seen), "the token's claim sub is malformed");
}

#[test]
fn sec_20_a_tenant_that_cannot_be_read_is_refused_where_tenants_are_told_apart() {
    let site = json!({"issuers": [], "tenants": {"by": "header", "header": "x-tenant-id", "groups": {"one": {"issuers": ["id"]}, "two": {"issuers": ["id"]}}}});
    let stage = Stage::new(&json!({}), &site);
    let isolate = stage.isolate();
    for (tenant, why) in [
        (json!("one"), ""),
        (json!(2), "the token's claim tenant_id is malformed"),
        (json!(["two"]), "the token's claim tenant_id is malformed"),
        (json!("two"), "the credential belongs to another tenant"),
    ] {
        let request = by_bearer(&stage.token(&json!({"tenant_id": tenant})));
        let seen = isolate.send(&request.header("x-tenant-id", "one"));
        assert_eq!(reason(&seen), why, "{tenant}");
    }
}

#[test]
fn j6_roles_in_objects_and_maps_are_read_by_a_projection_and_others_grant_nothing() {
    let objects = json!([{"name": "editor"}, {"name": "root"}, {"id": 1}]);
    let map = json!({"editor": {"1": "x"}, "root": {}});
    for (path, roles, granted, told) in [
        ("roles", objects.clone(), None, true),
        ("$.roles[*].name", objects.clone(), Some("editor"), true),
        (
            "$.roles[*].name",
            json!([{"name": "editor"}]),
            Some("editor"),
            false,
        ),
        ("keys(roles)", map.clone(), Some("editor"), false),
        ("keys(roles)", objects, None, true),
        ("roles", map, None, true),
        ("roles", json!([1, "editor"]), Some("editor"), true),
        ("roles", json!(5), None, true),
        ("roles", json!(null), Some("viewer"), false),
    ] {
        let issuer = json!({"grant_roles": ["editor", "viewer"], "claims": {"roles": path}, "defaults": {"roles": ["viewer"]}});
        let stage = Stage::new(&issuer, &json!({}));
        let seen = stage
            .isolate()
            .send(&by_bearer(&stage.token(&json!({"roles": roles}))));
        assert_eq!(
            seen.origin().header("x-forwarded-groups"),
            granted,
            "{path} {roles}"
        );
        let line = format!("claims of issuer id could not be read and grant nothing: {path}");
        assert_eq!(
            notes(&seen),
            if told { vec![line] } else { Vec::new() },
            "{path} {roles}"
        );
    }
    for bad in ["roles[0]x[*]y", "keys()", "a[*]b", "a b"] {
        let found = errors(&json!({"claims": {"roles": bad}}), &json!({}));
        assert!(
            found[0].starts_with("EDGEWARD_ISSUER_ID.claims.roles: "),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn j8_a_bearer_token_is_not_refused_for_a_cookie_that_it_does_not_become() {
    let groups: Vec<String> = (0..300).map(|n| format!("group {n}")).collect();
    let issuer = json!({"grant_roles": ["group 299"], "claims": {"roles": "groups"}});
    let used = json!({"custom_headers": {"x-long": "claim:long"}});
    let said = json!({"groups": groups, "other": "x".repeat(400), "long": "y".repeat(300)});
    let stage = Stage::new(&issuer, &used);
    let isolate = stage.isolate();
    let token = stage.token(&said);
    let seen = isolate.send(&by_bearer(&token));
    assert_eq!(
        seen.origin().header("x-forwarded-groups"),
        Some("group 299"),
        "{}",
        reason(&seen)
    );
    assert_eq!(notes(&seen), [""; 0]);
    // A session keeps what the site uses, and opens.
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    let session = seen.session().unwrap();
    assert!(session.len() < 3584);
    // What the site uses and is too long for a cookie is no session, also when the token is known by then.
    let token = stage.token(&json!({"long": "y".repeat(3000)}));
    assert!(isolate.send(&by_bearer(&token)).is_forwarded());
    let seen = isolate.send(&open("/").cookie(&format!("{SSO}={token}")));
    assert!(seen.session().is_none());
    assert_eq!(
        reason(&isolate.send(&get("/x").cookie(&format!("{SSO}={token}")))),
        "the token's claims are too long for a session; list fewer in keep_claims"
    );
}

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "66666666-7777-8888-9999-aaaaaaaaaaaa";

#[test]
fn j9_one_table_takes_the_listed_tenants_of_entra_and_no_other() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let url = "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration";
    let issuer = json!({"issuer": template, "tenant_ids": [TENANT, OTHER], "jwks_url": null, "discovery_url": url});
    let stage = Stage::new(&issuer, &json!({}));
    let discovery = json!({"issuer": template, "jwks_uri": JWKS});
    stage.answer(url, 200, &discovery.to_string());
    let isolate = stage.isolate();
    let iss = |tenant: &str| template.replace("{tenantid}", tenant);
    let third = "bbbbbbbb-2222-3333-4444-555555555555";
    for (iss, tid, good) in [
        (iss(TENANT), json!(TENANT), true),
        (iss(OTHER), json!(OTHER), true),
        (iss(TENANT), json!(OTHER), false),
        (iss(OTHER), json!(TENANT), false),
        (iss(TENANT), json!(null), false),
        (iss(third), json!(third), false),
        (template.into(), json!(TENANT), false),
        (template.into(), json!("{tenantid}"), false),
        (iss("common"), json!("common"), false),
        (ISS.into(), json!(TENANT), false),
    ] {
        let token = stage.token(&json!({"iss": iss, "tid": tid}));
        let seen = isolate.send(&by_bearer(&token));
        assert_eq!(seen.is_forwarded(), good, "{iss} {tid}: {}", reason(&seen));
    }
    // The document of another issuer leads to no keys.
    let single = json!({"issuer": iss(TENANT), "jwks_uri": JWKS});
    let fresh = Stage::new(&issuer, &json!({}));
    fresh.answer(url, 200, &single.to_string());
    let token = fresh.token(&json!({"iss": iss(TENANT), "tid": TENANT}));
    assert_eq!(fresh.isolate().send(&by_bearer(&token)).status(), 503);
    for bad in [
        json!({"issuer": template}),
        json!({"issuer": template, "tenant_ids": []}),
        json!({"issuer": template, "tenant_ids": ["common"]}),
        json!({"issuer": template, "tenant_ids": ["organizations"]}),
        json!({"issuer": template, "tenant_ids": ["consumers"]}),
        json!({"issuer": template, "tenant_ids": ["*"]}),
        json!({"issuer": template, "tenant_ids": ["9188040d-6c67-4c5b-b112-36a304b66dad"]}),
        json!({"issuer": template, "tenant_ids": [TENANT.replace('1', "A")]}),
        json!({"tenant_ids": [TENANT]}),
        json!({"issuer": "https://x/{tenantid}/{tenantid}", "tenant_ids": [TENANT]}),
    ] {
        let found = errors(&bad, &json!({}));
        assert!(
            found[0].starts_with("EDGEWARD_ISSUER_ID.tenant_ids: "),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn sec_31_j11_a_role_has_any_name_and_its_separator_is_escaped() {
    let names = ["Domain Admins", "a,b", "c|d", "50%", "Größe", "e;f'\""];
    let issuer = json!({"grant_roles": names});
    for (separator, expected) in [
        (
            json!(null),
            "Domain Admins,a%2Cb,c|d,50%25,Gr%C3%B6%C3%9Fe,e;f'\"",
        ),
        (
            json!("|"),
            "Domain Admins|a,b|c%7Cd|50%25|Gr%C3%B6%C3%9Fe|e;f'\"",
        ),
        (
            json!(";"),
            "Domain Admins;a,b;c|d;50%25;Gr%C3%B6%C3%9Fe;e%3Bf'\"",
        ),
    ] {
        let mut site = json!({"groups_separator": separator});
        site.as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        let stage = Stage::new(&issuer, &site);
        let seen = stage
            .isolate()
            .send(&by_bearer(&stage.token(&json!({"roles": names}))));
        assert_eq!(seen.origin().header("x-forwarded-groups"), Some(expected));
    }
    for bad in ["", ",,", "%", "a", "\n", "ä", " "] {
        let found = errors(&json!({}), &json!({"groups_separator": bad}));
        assert!(
            found[0].starts_with("EDGEWARD_SITE_APP.groups_separator: "),
            "{bad:?}: {found:?}"
        );
    }
    for bad in ["", " a", "a ", "a\nb", "a\u{200b}b", "a\u{a0}b"] {
        assert!(
            !errors(&json!({"grant_roles": [bad]}), &json!({})).is_empty(),
            "{bad:?}"
        );
    }
}

#[test]
fn sec_31_a_header_with_a_role_that_would_be_read_as_two_is_refused_by_name() {
    let names = ["viewer", "guest,admin", "a|b", "50%"];
    let issuer = json!({"grant_roles": names});
    let site = |separator: &str| {
        json!({
            "groups_separator": separator,
            "separator_in_groups": "refuse",
            "identity_headers": ["x-forwarded"],
            "custom_headers": {"x-roles": "roles", "x-name": "username"},
        })
    };
    for (separator, roles, expected, with_separator) in [
        (",", json!(["viewer", "guest,admin"]), None, 1),
        (",", json!(names), None, 1),
        (",", json!(["guest,admin"]), None, 1),
        ("|", json!(["a|b", "viewer", "50%"]), None, 1),
        (
            "|",
            json!(["viewer", "guest,admin"]),
            Some("viewer|guest,admin"),
            0,
        ),
        (",", json!(["a|b", "50%"]), Some("a|b,50%25"), 0),
        (",", json!([]), None, 0),
    ] {
        let stage = Stage::new(&issuer, &site(separator));
        let isolate = stage.isolate();
        let request = by_bearer(&stage.token(&json!({"roles": roles})));
        let seen = isolate.send(&request);
        for header in ["x-forwarded-groups", "x-roles"] {
            assert_eq!(seen.origin().header(header), expected, "{roles}");
        }
        assert!(
            seen.origin().header("x-name").is_some(),
            "all others are sent"
        );
        let lines = ["x-forwarded-groups", "x-roles"].map(|header| {
            format!(
                "the header {header} is not sent: {with_separator} of {} roles contain the groups_separator",
                roles.as_array().unwrap().len()
            )
        });
        let expected_lines = if with_separator == 0 {
            &lines[..0]
        } else {
            &lines[..]
        };
        assert_eq!(notes(&seen), expected_lines, "{roles}");
        let again = isolate.send(&request);
        assert_eq!(again.origin().header("x-roles"), expected, "{roles}");
        assert_eq!(
            notes(&again),
            [""; 0],
            "one line for each credential, not each request"
        );
    }
    let found = errors(&json!({}), &json!({"separator_in_groups": "keep"}));
    assert!(
        found[0].starts_with("EDGEWARD_SITE_APP.separator_in_groups: "),
        "{found:?}"
    );
}

/// The assertion in a header, without what stands before it.
fn assertion(seen: &Seen, header: &str, prefix: &str) -> Value {
    let origin = seen.origin();
    let value = origin.header(header).unwrap();
    claims_of(value.strip_prefix(prefix).unwrap())
}

#[test]
fn an_assertion_names_its_subject_as_the_site_says() {
    let issuer = json!({"required_claims": ["sub"], "numbers_as_text": true});
    let site = |subject: &str| json!({"own_tokens": false, "sources": ["session", "sso_cookie", "bearer"], "assertion": {"subject": subject}});
    for (subject, expected) in [("email", "anna@b.c"), ("claim:sub", "17")] {
        let stage = Stage::new(&issuer, &site(subject));
        let isolate = stage.isolate();
        let token = stage.token(&json!({"sub": 17}));
        let by_token = isolate.send(&by_bearer(&token));
        let cookie = format!("{SSO}={token}");
        let session = isolate.send(&open("/").cookie(&cookie)).session().unwrap();
        let by_session = stage.isolate().send(&get("/x").cookie(&session));
        for seen in [by_token, by_session] {
            assert_eq!(
                assertion(&seen, "x-edgeward-assertion", "")["sub"],
                expected
            );
        }
    }
    // A session that was opened before the site told the subject does not have it, and has ended.
    let before = Stage::new(&issuer, &site("user_id"));
    let isolate = before.isolate();
    let cookie = format!("{SSO}={}", before.token(&json!({})));
    let session = isolate.send(&open("/").cookie(&cookie)).session().unwrap();
    let later = before.edge.deployed(|all| {
        let mut site = site("claim:sub");
        site["issuers"] = json!(["id"]);
        all.insert("EDGEWARD_SITE_APP".into(), crate::harness::site(&site));
    });
    assert_eq!(
        later.isolate().send(&get("/x").cookie(&session)).status(),
        401
    );
}

#[test]
fn sec_82_the_subject_of_an_issuer_is_told_only_where_no_two_people_share_one() {
    let requires = json!({"required_claims": ["sub"]});
    let site = |more: &Value| {
        let mut site = json!({"own_tokens": false, "sources": ["bearer"], "assertion": {"subject": "claim:sub"}});
        site.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        site
    };
    assert_eq!(errors(&requires, &site(&json!({}))), [""; 0]);
    let template = json!({"required_claims": ["sub"], "issuer": "https://x.example/{tenantid}", "tenant_ids": [TENANT, OTHER]});
    for (issuer, more) in [
        (json!({}), json!({})),
        (requires.clone(), json!({"own_tokens": true})),
        (requires.clone(), json!({"issuers": []})),
        (
            json!({"required_claims": ["sub"], "keep_claims": ["plan"]}),
            json!({}),
        ),
        (template, json!({})),
    ] {
        let found = errors(&issuer, &site(&more));
        assert!(
            found
                .iter()
                .any(|error| error.starts_with("EDGEWARD_SITE_APP.assertion.subject: ")),
            "{issuer} {more}: {found:?}"
        );
    }
    let mut two = with_issuer(&requires, &site(&json!({"issuers": ["id", "second"]})));
    let second = json!({"issuer": "https://second.example", "required_claims": ["sub"]});
    two.insert("EDGEWARD_ISSUER_SECOND".into(), table(&second));
    let found = edgeward::config::parse(&two).err().unwrap();
    assert_eq!(found[0].path, "EDGEWARD_SITE_APP.assertion.subject");
}

#[test]
fn sec_40_an_assertion_in_authorization_takes_the_place_of_what_a_client_sends_at_that_site_alone()
{
    let site = json!({
        "sources": ["session", "bearer"],
        "unauthenticated": "pass",
        "assertion": {"header": "Authorization", "prefix": "Bearer "},
    });
    let mut all = with_issuer(&json!({}), &site);
    let plain = json!({"hosts": ["plain.example"], "upstream": "https://origin.example", "sources": ["session"], "unauthenticated": "pass"});
    all.insert("EDGEWARD_SITE_PLAIN".into(), plain.to_string());
    let stage = Stage {
        edge: Edge::with(all),
        key: Private::new(KeyType::Ed25519, "issuer"),
    };
    stage.publish(&[(&stage.key, "k1")]);
    let isolate = stage.isolate();
    let seen = isolate.send(&by_bearer(&stage.token(&json!({}))));
    assert_eq!(
        assertion(&seen, "authorization", "Bearer ")["email"],
        "anna@b.c"
    );
    for forged in ["Bearer x", "Basic eDp5", "Negotiate YQ==", "x"] {
        let request = get("/x").header("authorization", forged);
        let seen = isolate.send(&request);
        assert!(
            !seen.is_forwarded() || seen.origin().header("authorization").is_none(),
            "{forged}"
        );
    }
    let request = get("/x")
        .at("plain.example")
        .header("authorization", "Basic eDp5");
    let seen = isolate.send(&request);
    assert_eq!(seen.origin().header("authorization"), Some("Basic eDp5"));
    for bad in ["\n", "ä", " x", &"x".repeat(33)] {
        let found = errors(&json!({}), &json!({"assertion": {"prefix": bad}}));
        assert!(
            found[0].starts_with("EDGEWARD_SITE_APP.assertion.prefix: "),
            "{found:?}"
        );
    }
    // Not together with another header that the site sets there.
    let both = json!({"assertion": {"header": "authorization"}, "custom_headers": {"authorization": "email"}});
    assert!(
        errors(&json!({}), &both)
            .iter()
            .any(|error| error.contains("already set"))
    );
}
