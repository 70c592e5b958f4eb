//! An address that was reassigned: the user of a token is looked up by the address and not
//! remembered from one token to the next. A session opened by a token lasts for days, so an isolate
//! that used the previous owner for some seconds would sign the new owner in as the previous one.

use edgeward::model::api_token::Scope;
use serde_json::json;

use crate::harness::issuer::{Stage, by_bearer};
use crate::harness::request::{get, open};
use crate::harness::{Isolate, SSO};

const ADDRESS: &str = "anna@b.c";

/// The id of the user that a token stands for.
fn owner(isolate: &Isolate, token: &str) -> String {
    let me = isolate.send(&get("/api/sso/me").bearer(token)).json();
    me["user"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn sec_26_a_new_token_for_an_address_that_moved_is_its_new_owners_at_once() {
    let stage = Stage::new(&json!({}), &json!({"assertion": null}));
    let (here, there) = (stage.isolate(), stage.isolate());
    let admin = stage.edge.api_token(&[Scope::Admin]);
    let numbered = |n: u8| stage.token(&json!({"email": ADDRESS, "jti": n.to_string()}));
    let old = owner(&there, &numbered(1));
    stage.edge.wait(2);
    let path = format!("/api/sso/users/{old}");
    let (status, _) = here.admin(&admin, "PATCH", &path, &json!({"email": "ann@b.c"}));
    assert_eq!(status, 200);
    let (status, made) = here.admin(&admin, "POST", "/api/sso/users", &json!({"email": ADDRESS}));
    assert_eq!(status, 201);
    let new = made["id"].as_str().unwrap();
    assert_ne!(new, old);
    // The other isolate still remembers the old owner's record, with this address.
    assert_eq!(owner(&there, &numbered(2)), new);
    let signed_in = there.send(&open("/").cookie(&format!("{SSO}={}", numbered(3))));
    let session = signed_in.session().unwrap();
    assert_eq!(there.me(&session).unwrap()["user"]["id"], new);
    // So does the isolate itself, for the old owner under the new address.
    let renamed = stage.token(&json!({"email": "ann@b.c", "jti": "4"}));
    assert_eq!(owner(&there, &renamed), old);
    assert!(here.send(&by_bearer(&numbered(5))).is_forwarded());
    assert_eq!(owner(&here, &numbered(6)), new);
}
