//! A requirement on a claim, found by its dotted path, with the semantics of the permission check
//! of `more-sso-auth`; a test compares both. Paths there start below the claim `permissions`, here
//! at the claims themselves.

use serde_json::{Map, Number, Value};

use crate::model::claim::Reading;

/// A requirement on a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRequirement {
    path: Box<str>,
    value: Option<Value>,
    /// Its number among the claim requirements of the site.
    number: Option<u8>,
}

impl ClaimRequirement {
    /// Requires the claim at `path`, non-empty names separated by dots, to match `value` or,
    /// without one, to be true.
    #[must_use]
    pub fn new(path: &str, value: Option<Value>) -> Option<Self> {
        path.split('.').all(|name| !name.is_empty()).then(|| Self {
            path: path.into(),
            value,
            number: None,
        })
    }

    /// The path of the claim.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Numbers it among the claim requirements of the site.
    pub const fn set_number(&mut self, number: Option<u8>) {
        self.number = number;
    }

    /// Whether a caller's claims meet the requirement; evaluated once for each credential if it has
    /// a number.
    #[must_use]
    pub fn holds(&self, claims: &Reading<'_>) -> bool {
        claims.evaluated(self.number, |members| self.fits(members))
    }

    /// Whether the claims match. A claim `"*"` matches every value. If either side is a list, one
    /// common value suffices. Without a value, the claim must be true in the sense of Python, and
    /// not a list.
    #[must_use]
    pub fn fits(&self, claims: &Map<String, Value>) -> bool {
        let Some(found) = self.find(claims) else {
            return false;
        };
        match (found, &self.value) {
            (Value::String(star), _) if star == "*" => true,
            (Value::Null, _) | (Value::Array(_), None) => false,
            (Value::Array(items), Some(Value::Array(wanted))) => {
                wanted.iter().any(|value| contains(items, value))
            }
            (Value::Array(items), Some(wanted)) => contains(items, wanted),
            (found, Some(Value::Array(wanted))) if !found.is_object() => contains(wanted, found),
            (found, Some(wanted)) => equal(found, wanted),
            (found, None) => is_true(found),
        }
    }

    /// Whether the claim is present.
    #[must_use]
    pub fn is_present(&self, claims: &Map<String, Value>) -> bool {
        self.find(claims).is_some_and(|found| !found.is_null())
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let mut names = self.path.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |found, name| found.as_object()?.get(name))
    }
}

fn contains(items: &[Value], value: &Value) -> bool {
    items.iter().any(|item| equal(item, value))
}

/// Python's `==`: numbers compare by value, and `True` equals 1.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Bool(a), Value::Number(b)) | (Value::Number(b), Value::Bool(a)) => {
            same_number(&Number::from(u8::from(*a)), b)
        }
        (a, b) => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => a.as_f64() == b.as_f64(),
        _ => false,
    }
}

/// The number as an integer, if it is whole: `1.0` is 1.
fn integer(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    let value = number.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number within the range checked first"
    )]
    let whole = (value.fract() == 0.0 && value.abs() < 1e38).then_some(value as i128);
    whole
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_stars_and_truth_mean_what_they_mean_there() {
        for (claims, path, value, expected) in [
            (
                json!({"p": {"role": "admin"}}),
                "p.role",
                json!("admin"),
                true,
            ),
            (
                json!({"p": {"role": "user"}}),
                "p.role",
                json!("admin"),
                false,
            ),
            (
                json!({"p": {"role": "user"}}),
                "p.role",
                json!(["user", "x"]),
                true,
            ),
            (
                json!({"p": {"role": ["a", "b"]}}),
                "p.role",
                json!("b"),
                true,
            ),
            (
                json!({"p": {"role": ["a", "b"]}}),
                "p.role",
                json!(["x", "a"]),
                true,
            ),
            (
                json!({"p": {"role": ["a", "b"]}}),
                "p.role",
                json!(["x"]),
                false,
            ),
            (json!({"p": {"role": ["a"]}}), "p.role", json!(null), false),
            (json!({"p": {"role": "*"}}), "p.role", json!("x"), true),
            (json!({"p": {"role": ["*"]}}), "p.role", json!("x"), false),
            (json!({"p": "*"}), "p.role", json!("x"), false),
            (json!({"p": {"on": true}}), "p.on", json!(null), true),
            (json!({"p": {"on": false}}), "p.on", json!(null), false),
            (json!({"p": {"on": 0}}), "p.on", json!(null), false),
            (json!({"p": {"on": {}}}), "p.on", json!(null), false),
            (json!({"p": {"on": 1}}), "p.on", json!(true), true),
            (json!({"p": {"n": 1.0}}), "p.n", json!(1), true),
            (json!({"p": {"n": "1"}}), "p.n", json!(1), false),
            (json!({"p": {"n": null}}), "p.n", json!(null), false),
            (json!({}), "p.n", json!("x"), false),
            (json!({"p": {"x": {"a": 1}}}), "p.x", json!(["x"]), false),
            (
                json!({"p": {"x": {"a": 1}}}),
                "p.x",
                json!({"a": true}),
                true,
            ),
        ] {
            let wanted = Some(value.clone()).filter(|value| !value.is_null());
            let claim = ClaimRequirement::new(path, wanted).unwrap();
            let fits = claim.fits(claims.as_object().unwrap());
            assert_eq!(fits, expected, "{claims} {path} {value}");
        }
        for bad in ["", ".", "a.", ".a", "a..b"] {
            assert!(ClaimRequirement::new(bad, None).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn large_numbers_are_not_rounded_together() {
        assert!(!equal(
            &json!(9_007_199_254_740_993_u64),
            &json!(9_007_199_254_740_992_u64)
        ));
        assert!(equal(&json!(-1), &json!(-1.0)) && !equal(&json!(1.5), &json!(1)));
    }
}
