//! Claims by name or dotted path, and what an issuer's token has brought of them. Knows no signature
//! and no user.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::model::user::Role;
use crate::platform::shelf::Weigh;

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
    #[serde(rename = "c", default, skip_serializing_if = "KeptClaims::is_empty")]
    pub claims: KeptClaims,
}

impl Weigh for Granted {
    fn heap(&self) -> usize {
        self.issuer.heap()
            + self.roles.heap()
            + self.scopes.heap()
            + self.tenant.heap()
            + self.workspace.heap()
            + self.claims.heap()
    }
}

/// Claims as the isolate keeps them: their JSON as one text. As a tree they would take up to sixty
/// times as much, and whoever signs them chooses how much. Taken apart when something asks for one
/// ([`Reading`]); what came of that is remembered where it is asked for at every request.
#[derive(Clone, Debug, Default)]
pub struct KeptClaims {
    /// Empty when there is none.
    text: Box<str>,
    /// For which of [`NUMBERS`] it is known whether a rule's claim fits, and for which it does.
    judged: Cell<(u64, u64)>,
}

/// What rules want of claims is remembered for so many of them; others are looked at each time.
pub const NUMBERS: u8 = 64;

impl KeptClaims {
    /// Keeps `claims`.
    #[must_use]
    pub fn new(claims: &Map<String, Value>) -> Self {
        if claims.is_empty() {
            return Self::default();
        }
        Self {
            // A map of JSON values can always be written.
            text: serde_json::to_string(claims).unwrap_or_default().into(),
            judged: Cell::default(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// How many bytes of JSON they are.
    #[must_use]
    pub fn length(&self) -> usize {
        self.text.len()
    }

    /// The claims, taken apart. What was written from a tree is always read as one.
    fn members(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// What was found out about them is no part of them.
impl PartialEq for KeptClaims {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for KeptClaims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeptClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|claims| Self::new(&claims))
    }
}

impl Weigh for KeptClaims {
    fn heap(&self) -> usize {
        self.text.heap()
    }
}

/// The claims of a caller as one request reads them: taken apart at most once, and not before
/// something asks.
#[derive(Clone, Debug, Default)]
pub struct Reading<'a> {
    kept: Option<&'a KeptClaims>,
    members: OnceCell<Cow<'a, Map<String, Value>>>,
}

impl<'a> Reading<'a> {
    /// Of what is kept of a caller's claims, if anything is.
    #[must_use]
    pub const fn new(kept: Option<&'a KeptClaims>) -> Self {
        Self {
            kept,
            members: OnceCell::new(),
        }
    }

    /// The claims.
    pub fn members(&self) -> &Map<String, Value> {
        self.members.get_or_init(|| {
            let members = self.kept.map(KeptClaims::members);
            Cow::Owned(members.unwrap_or_default())
        })
    }

    /// What `judge` says of the claims; remembered with them under `number`, which stands for one
    /// question of the site whose credential this is.
    pub fn judged(
        &self,
        number: Option<u8>,
        judge: impl FnOnce(&Map<String, Value>) -> bool,
    ) -> bool {
        let Some((kept, number)) = self.kept.zip(number.filter(|number| *number < NUMBERS)) else {
            return judge(self.members());
        };
        let (mut known, mut fit) = kept.judged.get();
        let bit = 1_u64 << number;
        if known & bit == 0 {
            known |= bit;
            if judge(self.members()) {
                fit |= bit;
            }
            kept.judged.set((known, fit));
        }
        fit & bit != 0
    }
}

/// Of claims that are no caller's.
impl<'a> From<&'a Map<String, Value>> for Reading<'a> {
    fn from(members: &'a Map<String, Value>) -> Self {
        Self {
            kept: None,
            members: OnceCell::from(Cow::Borrowed(members)),
        }
    }
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

    #[test]
    fn kept_claims_are_read_as_they_were_and_travel_as_an_object() {
        let claims = json!({"a": [1, 2.5, -3, null, true], "b": {"c.d": "é\"\\\n"}, "z": 1e30});
        let members = claims.as_object().unwrap();
        let kept = KeptClaims::new(members);
        assert_eq!(Reading::new(Some(&kept)).members(), members);
        assert_eq!(json!(kept), claims);
        assert_eq!(serde_json::from_value::<KeptClaims>(claims).unwrap(), kept);
        assert!(Reading::new(None).members().is_empty());
        assert!(KeptClaims::new(&Map::new()).is_empty());
        assert!(serde_json::from_value::<KeptClaims>(json!([1])).is_err());
    }

    #[test]
    fn a_question_is_asked_once_and_no_answer_is_taken_for_another_s() {
        let kept = KeptClaims::new(json!({"a": 1}).as_object().unwrap());
        for (number, answer) in [(0, true), (1, false), (63, true)] {
            let reading = Reading::new(Some(&kept));
            assert_eq!(reading.judged(Some(number), |_| answer), answer);
            let again = Reading::new(Some(&kept));
            assert_eq!(again.judged(Some(number), |_| unreachable!()), answer);
            assert!(again.members.get().is_none(), "nothing was taken apart");
        }
        for number in [None, Some(64), Some(255)] {
            for answer in [true, false] {
                assert_eq!(Reading::new(Some(&kept)).judged(number, |_| answer), answer);
            }
        }
    }
}
