//! Reads settings as they are written, before anything is validated.
//!
//! A [`Field`] accepts any JSON, so that one wrong setting does not hide the others.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::site::config::ConfigError;

/// The bindings of the Worker: each is JSON (a variable) or text (a secret).
pub type Bindings = BTreeMap<String, String>;

pub(super) const GLOBAL: &str = "EDGEWARD";

pub(super) const ISSUER: &str = "EDGEWARD_ISSUER_";

pub(super) const PROVIDER: &str = "EDGEWARD_PROVIDER_";

/// What follows the name of a provider in the name of its client's secret.
pub(super) const SECRET: &str = "_SECRET";

pub(super) const SITE: &str = "EDGEWARD_SITE_";

pub(super) const GATEWAY: &str = "EDGEWARD_GATEWAY";

pub(super) const RULES: &str = "EDGEWARD_RULES_";

/// A setting as written.
#[derive(Debug, Default)]
pub enum Field<T> {
    #[default]
    Absent,
    Given(T),
    /// Of the wrong type; the text says which was expected.
    Wrong(String),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(match serde_json::from_value(value) {
            Ok(given) => Self::Given(given),
            Err(error) => Self::Wrong(error.to_string()),
        })
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }

    fn _schemars_private_is_option() -> bool {
        true
    }
}

impl Field<bool> {
    /// Whether the setting is present, right and on.
    #[must_use]
    pub const fn is_true(&self) -> bool {
        matches!(self, Self::Given(true))
    }
}

impl<T> Field<T> {
    /// Whether the setting is present, right or wrong.
    pub const fn is_given(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// One text, or a list of texts.
#[derive(Debug, Default)]
pub struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("must be a text or a list of texts");
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(vec![text])),
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()
                .map(Self),
            _ => Err(wrong()),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let text = serde_json::json!({ "type": "string", "minLength": 1 });
        schemars::json_schema!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] })
    }
}

/// The members of a table, by name.
pub type Members = Map<String, Value>;

impl<T: DeserializeOwned> Field<T> {
    /// Removes the setting `name` from a table.
    pub fn take(members: &mut Members, name: &str) -> Self {
        match members.remove(name).map(serde_json::from_value) {
            None => Self::Absent,
            Some(Ok(given)) => Self::Given(given),
            Some(Err(error)) => Self::Wrong(error.to_string()),
        }
    }
}

/// Reads settings and collects their errors.
pub struct Reader<'a> {
    path: String,
    errors: &'a mut Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    /// A reader for the table at `path`.
    pub fn new(path: &str, errors: &'a mut Vec<ConfigError>) -> Self {
        Self {
            path: path.to_owned(),
            errors,
        }
    }

    /// A reader for the nested table `name`.
    pub fn table(&mut self, name: &str) -> Reader<'_> {
        Reader {
            path: format!("{}.{name}", self.path),
            errors: self.errors,
        }
    }

    /// Parses a whole table from JSON text.
    pub fn object<T: DeserializeOwned>(&mut self, text: &str) -> Option<T> {
        match serde_json::from_str(text) {
            Ok(table) => Some(table),
            Err(error) => {
                let path = self.path.clone();
                self.errors.push(ConfigError {
                    path,
                    error: format!("is not a table: {error}"),
                });
                None
            }
        }
    }

    /// Reports an error of the setting `name`.
    pub fn error(&mut self, name: &str, error: impl Into<String>) {
        self.errors.push(ConfigError {
            path: format!("{}.{name}", self.path),
            error: error.into(),
        });
    }

    /// Reports an error of the table as a whole.
    pub fn reject(&mut self, error: impl Into<String>) {
        self.errors.push(ConfigError {
            path: self.path.clone(),
            error: error.into(),
        });
    }

    /// A reader for the binding `path`.
    pub fn at(&mut self, path: &str) -> Reader<'_> {
        Reader::new(path, self.errors)
    }

    /// Reports `error` unless `holds`.
    pub fn check(&mut self, name: &str, holds: bool, error: &str) {
        if !holds {
            self.error(name, error);
        }
    }

    /// Reports every member that is not a setting.
    pub fn reject_unknown(&mut self, unknown: &Members) {
        for name in unknown.keys() {
            self.error(name, "no such setting");
        }
    }

    /// Reads a setting that may be absent.
    pub fn optional<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent => None,
            Field::Given(value) => Some(value),
            Field::Wrong(error) => {
                self.error(name, error);
                None
            }
        }
    }

    /// Reads a setting with a default.
    pub fn with_default<T>(&mut self, name: &str, field: Field<T>, default: T) -> T {
        self.optional(name, field).unwrap_or(default)
    }

    /// Reads a required setting.
    pub fn required<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        if matches!(field, Field::Absent) {
            self.error(name, "is required");
        }
        self.optional(name, field)
    }
}

/// Declares a table of settings: its type, how it is read, and its schema. Members without a field
/// are left in `unknown`. (What serde derives for such a table is several times as large.)
macro_rules! table {
    (
        $(#[$outer:meta])*
        $vis:vis struct $name:ident {
            $($(#[$meta:meta])* $field_vis:vis $field:ident: Field<$type:ty>,)*
        }
    ) => {
        #[derive(Debug, Default)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
        $(#[$outer])*
        $vis struct $name {
            $($(#[$meta])* $field_vis $field: $crate::config::reader::Field<$type>,)*
            #[cfg_attr(feature = "schema", schemars(skip))]
            pub(super) unknown: $crate::config::reader::Members,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut members = $crate::config::reader::Members::deserialize(deserializer)?;
                Ok(Self {
                    $($field: $crate::config::reader::Field::take(&mut members, stringify!($field)),)*
                    unknown: members,
                })
            }
        }
    };
}
pub(crate) use table;
