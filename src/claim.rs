//! Claims by name or dotted path, and what an issuer's token has brought of them. Knows no signature
//! and no user.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::user::Role;

/// Where a claim is: its name, or the names on the way to it with dots between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// Reads a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fine = !text.is_empty()
            && text.len() <= 256
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        fine.then(|| Self(text.to_owned()))
    }

    /// What is there. A name is taken whole before it is taken apart: names may hold dots, as those
    /// that are URLs do (RFC 7519 §4.2).
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        find(claims, &self.0)
    }
}

fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// What a token of another issuer has brought beyond who it is about: what rules and origins may
/// know, within what the issuer may grant. A session that it opens carries this on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Granted {
    /// The issuer's name in the configuration.
    #[serde(rename = "i")]
    pub issuer: String,
    /// Roles, those alone that the issuer may grant.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Whether the issuer, which may, says that this is staff.
    #[serde(rename = "st", default, skip_serializing_if = "is_false")]
    pub staff: bool,
    /// Scopes.
    #[serde(rename = "sc", default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The tenant that the token names.
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The workspace.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Every other claim that is kept, as it was.
    #[serde(rename = "c", default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_found_by_its_whole_name_before_its_parts() {
        let claims = json!({
            "email": "a@b.c",
            "realm_access": {"roles": ["x"], "deep": {"er": 1}},
            "https://b.example/roles": ["y"],
            "a.b": 1,
            "a": {"b": 2, "c.d": 3},
        });
        let claims = claims.as_object().unwrap();
        let find = |path: &str| ClaimPath::parse(path).unwrap().find(claims).cloned();
        assert_eq!(find("email"), Some(json!("a@b.c")));
        assert_eq!(find("realm_access.roles"), Some(json!(["x"])));
        assert_eq!(find("realm_access.deep.er"), Some(json!(1)));
        assert_eq!(find("https://b.example/roles"), Some(json!(["y"])));
        assert_eq!(find("a.b"), Some(json!(1)));
        assert_eq!(find("a.c.d"), Some(json!(3)));
        for nowhere in ["x", "email.x", "realm_access.roles.0", "a.", ".a", "a..b"] {
            assert_eq!(find(nowhere), None, "{nowhere}");
        }
        assert!(ClaimPath::parse("").is_none() && ClaimPath::parse("a b").is_none());
    }
}
