//! Claims by name or dotted path, and the claims that an issuer's token brought. Knows no signature
//! and no user.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::model::user::Role;
use crate::platform::shelf::Weigh;

/// The path of a claim: its name, or nested names separated by dots. Paths come from the configuration, which is read once
/// and lives as long as the isolate, so an error or a line in the log can name one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClaimPath(&'static str);

impl ClaimPath {
    /// Parses a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fine = !text.is_empty()
            && text.len() <= 256
            && !text.chars().any(|c| c.is_control() || c.is_whitespace());
        fine.then(|| Self(String::leak(text.to_owned())))
    }

    /// The path as text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The value at this path. The whole path is tried as one name first: names may contain dots,
    /// as those that are URLs do (RFC 7519 §4.2).
    #[must_use]
    pub fn find(self, claims: &Map<String, Value>) -> Option<&Value> {
        find(claims, self.0)
    }
}

/// Where a token says a list of words: in a claim (`roles`); in a member of each object of a list (`roles[*].name`), or in
/// the items themselves (`roles[*]`); or in the names of an object's members (`keys(roles)`). The path may begin with `$.`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListPath {
    text: &'static str,
    claim: ClaimPath,
    form: ListForm,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ListForm {
    /// A list of texts, or one text with spaces between its words (RFC 6749 §3.3).
    Words,
    /// The items of a list.
    Items,
    /// A member of each item of a list.
    Members(ClaimPath),
    /// The names of an object's members that are `true` or an object. Those that are `false` or `null` say no.
    Keys,
}

/// The words that a token says.
#[derive(Debug, Eq, PartialEq)]
pub struct Said<'a> {
    pub words: Vec<&'a str>,
    /// Whether something there is no word.
    pub unreadable: bool,
}

impl ListPath {
    /// Parses a path or a projection.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let whole = ClaimPath::parse(text)?;
        let below_root = |text: &str| ClaimPath::parse(text.strip_prefix("$.").unwrap_or(text));
        let keys = text.strip_prefix("keys(");
        let (claim, form) = if let Some(path) = keys.and_then(|rest| rest.strip_suffix(')')) {
            (below_root(path)?, ListForm::Keys)
        } else if let Some((list, member)) = text.split_once("[*]") {
            let form = match member.strip_prefix('.') {
                None if member.is_empty() => ListForm::Items,
                None => return None,
                Some(member) => ListForm::Members(ClaimPath::parse(member)?),
            };
            (below_root(list)?, form)
        } else {
            (below_root(text)?, ListForm::Words)
        };
        let parts = [Some(claim), form.member()];
        let once = parts
            .into_iter()
            .flatten()
            .all(|part| !part.0.contains("[*]"));
        once.then_some(Self {
            text: whole.0,
            claim,
            form,
        })
    }

    /// The path as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.text
    }

    /// The claim that it reads.
    #[must_use]
    pub const fn claim(self) -> ClaimPath {
        self.claim
    }

    /// The words that `claims` say there; `None` if the claim is missing or `null`.
    #[must_use]
    pub fn read(self, claims: &Map<String, Value>) -> Option<Said<'_>> {
        let value = self.claim.find(claims).filter(|value| !value.is_null())?;
        let words: Option<Vec<Option<&str>>> = match (self.form, value) {
            (ListForm::Words, Value::String(text)) => {
                Some(text.split_ascii_whitespace().map(Some).collect())
            }
            (ListForm::Words | ListForm::Items, Value::Array(items)) => {
                Some(items.iter().map(Value::as_str).collect())
            }
            (ListForm::Members(member), Value::Array(items)) => {
                let members = items.iter().map(Value::as_object);
                Some(members.map(|item| member.find(item?)?.as_str()).collect())
            }
            (ListForm::Keys, Value::Object(members)) => {
                let named = members
                    .iter()
                    .filter(|(_, value)| !matches!(value, Value::Bool(false) | Value::Null));
                let is_yes = |value: &Value| *value == Value::Bool(true) || value.is_object();
                Some(
                    named
                        .map(|(name, value)| is_yes(value).then_some(name.as_str()))
                        .collect(),
                )
            }
            _ => None,
        };
        let unreadable = words
            .as_ref()
            .is_none_or(|words| words.iter().any(Option::is_none));
        let words = words.into_iter().flatten().flatten().collect();
        Some(Said { words, unreadable })
    }
}

impl ListForm {
    const fn member(self) -> Option<ClaimPath> {
        match self {
            Self::Members(member) => Some(member),
            Self::Words | Self::Items | Self::Keys => None,
        }
    }
}

/// A claim as text: a text, or a whole number where `numbers` says so.
#[must_use]
pub fn as_text(value: &Value, numbers: bool) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if numbers && (number.is_u64() || number.is_i64()) => {
            Some(Cow::Owned(number.to_string()))
        }
        _ => None,
    }
}

/// Whether the claim `name` is at `path` or on the way to it.
#[must_use]
pub fn leads_through(path: &str, name: &str) -> bool {
    let rest = path.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// What a token of another issuer adds to the user's record: what rules and origins may use, within
/// what the issuer may grant. A session opened by the token carries it on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Granted {
    /// The issuer's name in the configuration, not its `iss`.
    #[serde(rename = "i")]
    pub issuer: String,
    /// Only roles that the issuer may grant.
    #[serde(rename = "r", default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Set only if the issuer may grant it.
    #[serde(rename = "st", default, skip_serializing_if = "is_false")]
    pub staff: bool,
    #[serde(rename = "sc", default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The id of the record with the tokens that a provider has given. Never from a token.
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// All other claims that are kept.
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
            + self.tokens.heap()
            + self.claims.heap()
    }
}

/// Claims as an isolate caches them: as JSON text. A parsed tree would take up to sixty times the
/// memory, and whoever signs the token chooses how much that is. They are parsed when something
/// needs one ([`Reading`]); the results of rules that ask at every request are cached with them.
#[derive(Clone, Debug, Default)]
pub struct KeptClaims {
    /// Empty if there are no claims.
    text: Box<str>,
    /// Two bit sets over [`NUMBERS`]: which claim requirements have been evaluated, and which of
    /// these are met.
    evaluated: Cell<(u64, u64)>,
}

/// The number of claim requirements of a site whose results are cached; others are evaluated each
/// time.
pub const NUMBERS: u8 = 64;

impl KeptClaims {
    /// Serialises `claims`.
    #[must_use]
    pub fn new(claims: &Map<String, Value>) -> Self {
        if claims.is_empty() {
            return Self::default();
        }
        Self {
            // A map of JSON values can always be serialised.
            text: serde_json::to_string(claims).unwrap_or_default().into(),
            evaluated: Cell::default(),
        }
    }

    /// Whether there are no claims.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The length of their JSON in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.text.len()
    }

    /// Parses the claims. What was serialised from a tree can always be parsed.
    fn members(&self) -> Map<String, Value> {
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// Cached results are not part of the claims.
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

/// A caller's claims within one request: parsed on first use, and at most once.
#[derive(Clone, Debug, Default)]
pub struct Reading<'a> {
    kept: Option<&'a KeptClaims>,
    members: OnceCell<Cow<'a, Map<String, Value>>>,
}

impl<'a> Reading<'a> {
    /// Reads the cached claims of a caller, if there are any.
    #[must_use]
    pub const fn new(kept: Option<&'a KeptClaims>) -> Self {
        Self {
            kept,
            members: OnceCell::new(),
        }
    }

    /// The parsed claims.
    pub fn members(&self) -> &Map<String, Value> {
        self.members.get_or_init(|| {
            let members = self.kept.map(KeptClaims::members);
            Cow::Owned(members.unwrap_or_default())
        })
    }

    /// The result of `evaluate` for the claims, cached with them under `number`, which stands for
    /// one requirement of the site that the credential is for.
    pub fn evaluated(
        &self,
        number: Option<u8>,
        evaluate: impl FnOnce(&Map<String, Value>) -> bool,
    ) -> bool {
        let Some((kept, number)) = self.kept.zip(number.filter(|number| *number < NUMBERS)) else {
            return evaluate(self.members());
        };
        let (mut known, mut fit) = kept.evaluated.get();
        let bit = 1_u64 << number;
        if known & bit == 0 {
            known |= bit;
            if evaluate(self.members()) {
                fit |= bit;
            }
            kept.evaluated.set((known, fit));
        }
        fit & bit != 0
    }
}

/// For claims that are not cached.
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
    fn j6_a_list_is_read_by_path_member_or_key() {
        let claims = json!({
            "words": "a b", "list": ["a", "b"], "objects": [{"name": "a", "x": {"y": "c"}}, {"name": "b"}],
            "map": {"a": {"1": "x"}, "b": {}}, "none": null, "number": 1, "said": {"a": true, "b": false, "c": null, "d": {}}, "odd": {"a": true, "b": 0, "c": "", "d": "yes", "e": []}, "mixed": ["a", 1, {"name": "b"}],
            "deep": {"roles": [{"name": "a"}]}, "urn:zitadel:iam:org:project:roles": {"admin": {"1": "x.example"}},
        });
        let claims = claims.as_object().unwrap();
        let read = |path: &str| {
            let said = ListPath::parse(path).unwrap().read(claims)?;
            Some((said.words.join("|"), said.unreadable))
        };
        let fine = |words: &str| Some((words.to_owned(), false));
        let partly = |words: &str| Some((words.to_owned(), true));
        for (path, expected) in [
            ("words", fine("a|b")),
            ("list", fine("a|b")),
            ("$.list", fine("a|b")),
            ("list[*]", fine("a|b")),
            ("$.objects[*].name", fine("a|b")),
            ("objects[*].x.y", partly("c")),
            ("$.deep.roles[*].name", fine("a")),
            ("keys(map)", fine("a|b")),
            // A member that says no names nothing.
            ("keys(said)", fine("a|d")),
            ("keys(odd)", partly("a")),
            ("keys($.map)", fine("a|b")),
            ("keys(urn:zitadel:iam:org:project:roles)", fine("admin")),
            ("none", None),
            ("missing", None),
            ("keys(missing)", None),
            ("number", partly("")),
            ("objects", partly("")),
            ("map", partly("")),
            ("mixed", partly("a")),
            ("mixed[*].name", partly("b")),
            ("words[*]", partly("")),
            ("map[*].name", partly("")),
            ("keys(list)", partly("")),
            ("keys(words)", partly("")),
        ] {
            assert_eq!(read(path), expected, "{path}");
        }
        for bad in [
            "",
            "a b",
            "keys()",
            "[*].a",
            "a[*]b",
            "a[*].",
            "a[*].b[*].c",
            "$.",
            "keys(a[*])",
        ] {
            assert_eq!(ListPath::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn j5_a_number_is_text_only_if_whole_and_where_that_is_said() {
        for (value, plain, numbers) in [
            (json!("4"), Some("4"), Some("4")),
            (json!(4), None, Some("4")),
            (json!(-4), None, Some("-4")),
            (json!(u64::MAX), None, Some("18446744073709551615")),
            (json!(4.0), None, None),
            (json!(true), None, None),
            (json!(null), None, None),
            (json!(["4"]), None, None),
        ] {
            assert_eq!(as_text(&value, false).as_deref(), plain, "{value}");
            assert_eq!(as_text(&value, true).as_deref(), numbers, "{value}");
        }
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
            assert_eq!(reading.evaluated(Some(number), |_| answer), answer);
            let again = Reading::new(Some(&kept));
            assert_eq!(again.evaluated(Some(number), |_| unreachable!()), answer);
            assert!(again.members.get().is_none(), "nothing was taken apart");
        }
        for number in [None, Some(64), Some(255)] {
            for answer in [true, false] {
                assert_eq!(
                    Reading::new(Some(&kept)).evaluated(number, |_| answer),
                    answer
                );
            }
        }
    }
}
