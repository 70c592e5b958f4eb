//! JSON objects without duplicate members, so that no two parsers of one token see different values
//! (RFC 8725 §2.6; RFC 7515 §4: "the Header Parameter names within the JOSE Header MUST be
//! unique").

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

/// A JSON object without duplicate members at any depth.
#[derive(Clone, Debug, PartialEq)]
pub struct StrictObject(pub Map<String, Value>);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Strict::Refuse)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(D::Error::custom("not an object")),
        }
    }
}

/// A JSON object in which every object with a duplicate member, at any depth but its own, is `null`: one malformed item
/// of a list is then left out, and takes no other down.
#[derive(Clone, Debug, PartialEq)]
pub struct StrictItems(pub Map<String, Value>);

impl<'de> Deserialize<'de> for StrictItems {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(Strict::LeaveOut)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(D::Error::custom("not an object without duplicate members")),
        }
    }
}

/// What becomes of an object with a duplicate member.
#[derive(Clone, Copy)]
enum Strict {
    Refuse,
    LeaveOut,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate members")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        let mut twice = false;
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            twice |= members.insert(name, value).is_some();
            if twice && matches!(self, Self::Refuse) {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(if twice {
            Value::Null
        } else {
            Value::Object(members)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parses(text: &str) -> bool {
        serde_json::from_str::<StrictObject>(text).is_ok()
    }

    #[test]
    fn an_item_with_a_duplicate_member_is_left_out_alone() {
        let items = |text: &str| serde_json::from_str::<StrictItems>(text).ok();
        let of = |text| Value::Object(items(text).unwrap().0).to_string();
        assert_eq!(
            of(r#"{"k":[{"a":1},{"a":1,"a":2,"b":3},{"b":{"c":1,"c":2}}]}"#),
            r#"{"k":[{"a":1},null,{"b":null}]}"#
        );
        for bad in [r#"{"k":[],"k":[]}"#, "[]", "null", r#"{"k":[}"#] {
            assert_eq!(items(bad), None, "{bad}");
        }
    }

    #[test]
    fn sec_12_duplicate_members_are_refused_at_every_depth() {
        assert!(parses(
            r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}],"d":null,"e":1.5,"f":-1,"g":true}"#
        ));
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":"b","a":"c"}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
            r#"[{"a":1}]"#,
            r#""a""#,
            "null",
            r#"{"a":1} x"#,
        ] {
            assert!(!parses(text), "{text}");
        }
    }
}
