//! How and when somebody has signed in, as far as their credential proves it. Knows no credential and no rule.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::platform::shelf::Weigh;
use crate::platform::time::Timestamp;

/// With a password at the gateway.
pub const PASSWORD: &str = "password";
/// With a passkey at the gateway.
pub const PASSKEY: &str = "passkey";
/// With a link to set a password.
pub const LINK: &str = "link";
/// What the methods of providers begin with; the provider's name follows, and then what its ID token says in `amr`.
pub const OF_PROVIDER: &str = "provider:";
/// The same for other issuers of tokens.
pub const OF_ISSUER: &str = "issuer:";

/// The most bytes of JSON of the methods of one sign-in, besides the name of who says it: a cookie has to hold them.
pub const MAX_METHODS: usize = 256;

/// A sign-in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Proof {
    /// What others say is named after them, so that nobody can claim what another one has to prove.
    #[serde(rename = "m")]
    pub methods: Vec<String>,
    /// When the person was asked; `None` if nobody says so. A provider may let a browser pass that it still knows.
    #[serde(rename = "at", default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Proof {
    /// Of somebody whom we have asked ourselves.
    #[must_use]
    pub fn own(method: &str, now: Timestamp) -> Self {
        Self {
            methods: vec![method.to_owned()],
            at: Some(now),
        }
    }

    /// What the claims of a verified token say (Core 1.0 §2, RFC 9068 §2.2.1); `None` if that is nothing. `by`: who says it.
    #[must_use]
    pub fn of_claims(by: &str, claims: &Map<String, Value>, now: Timestamp) -> Option<Self> {
        let at = claims.get("auth_time").and_then(Value::as_u64);
        let at = at.map(|seconds| Timestamp::from_seconds(seconds).min(now));
        let said = claims.get("amr").and_then(Value::as_array);
        let is_provider = by.starts_with(OF_PROVIDER);
        if !is_provider && at.is_none() && said.is_none() {
            return None;
        }
        let mut methods = Vec::new();
        let mut length = 0;
        // What JSON writes longer is no name of a method (RFC 8176 §6.1).
        let is_plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        if is_provider {
            methods.push(by.to_owned());
        }
        for method in said.into_iter().flatten().filter_map(Value::as_str) {
            if !method.bytes().all(is_plain) {
                continue;
            }
            length += by.len() + method.len() + r#"":","#.len();
            if length > MAX_METHODS {
                break;
            }
            methods.push([by, ":", method].concat());
        }
        Some(Self { methods, at })
    }
}

impl Weigh for Proof {
    fn heap(&self) -> usize {
        self.methods.heap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(by: &str, claims: &Value) -> Option<Proof> {
        let now = Timestamp::from_seconds(1000);
        Proof::of_claims(by, claims.as_object().unwrap(), now)
    }

    #[test]
    fn sec_115_what_a_provider_says_is_named_after_it() {
        let claims = json!({"amr": ["passkey", "provider:other", 7], "auth_time": 900});
        let proof = read("provider:kc", &claims).unwrap();
        let methods = [
            "provider:kc",
            "provider:kc:passkey",
            "provider:kc:provider:other",
        ];
        assert_eq!(proof.methods, methods);
        assert_eq!(proof.at, Some(Timestamp::from_seconds(900)));
    }

    #[test]
    fn sec_115_what_nobody_says_is_not_known() {
        let silent = read("provider:kc", &json!({})).unwrap();
        assert_eq!((silent.methods.len(), silent.at), (1, None));
        assert_eq!(read("issuer:app", &json!({})), None);
        for bad in [json!("900"), json!(-1), json!(9.5), json!(null)] {
            let proof = read("provider:kc", &json!({"auth_time": bad})).unwrap();
            assert_eq!(proof.at, None, "{bad}");
        }
        // A clock that is ahead makes nothing fresher than now.
        let ahead = read("issuer:app", &json!({"auth_time": 5000})).unwrap();
        assert_eq!(ahead.at, Some(Timestamp::from_seconds(1000)));
        let many: Vec<_> = (0..100).map(|n| format!("m{n}")).collect();
        let long = read("provider:kc", &json!({"amr": many})).unwrap();
        assert!(long.methods.concat().len() <= MAX_METHODS);
    }
}
