//! The configuration as it is written, before anything is checked.
//!
//! A [`Field`] takes whatever JSON is there, so that one wrong field does not hide the others.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ConfigError;
use crate::profile::label_studio::RawLabelStudio;
use crate::token::alg::HmacAlgorithm;

/// A setting as written: not there, of the right type, or not.
#[derive(Debug, Default)]
pub enum Field<T> {
    /// Not written.
    #[default]
    Absent,
    /// Written, of the right type.
    Given(T),
    /// Written, of another type; the text says which was expected.
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

impl<T> Field<T> {
    /// Whether anything is written, right or wrong.
    pub const fn is_given(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}

/// Members that no setting has.
pub type Unknown = BTreeMap<String, Value>;

/// What is logged.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// Sign-ins, sign-outs, denials, faults and admin calls.
    Notable,
    /// Every request as well.
    All,
}

/// `EDGEWARD`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawEdgeward {
    pub(super) issuer: Field<String>,
    pub(super) user_cache: Field<u32>,
    pub(super) log: Field<Log>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `EDGEWARD_SITE_…`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawSite {
    pub(super) hosts: Field<Vec<String>>,
    pub(super) upstream: Field<String>,
    pub(super) upstream_plaintext: Field<bool>,
    pub(super) host_header: Field<super::site::HostHeader>,
    pub(super) audience: Field<String>,
    pub(super) sources: Field<Vec<super::site::Source>>,
    pub(super) unauthenticated: Field<RawUnauthenticated>,
    pub(super) login_url: Field<String>,
    pub(super) return_parameter: Field<String>,
    pub(super) logout_url: Field<String>,
    pub(super) trusted_origins: Field<Vec<String>>,
    pub(super) frame_ancestors: Field<Vec<String>>,
    pub(super) auto_create_users: Field<bool>,
    pub(super) session: Field<RawSession>,
    pub(super) sso_token: Field<RawSsoToken>,
    pub(super) sso_cookie: Field<RawSsoCookie>,
    pub(super) query: Field<RawQuery>,
    pub(super) identity_headers: Field<Vec<super::site::Preset>>,
    pub(super) custom_headers: Field<BTreeMap<String, crate::principal::Attribute>>,
    pub(super) assertion: Field<RawAssertion>,
    pub(super) upstream_credential: Field<RawUpstreamCredential>,
    pub(super) label_studio: Field<RawLabelStudio>,
    pub(super) issuers: Field<Vec<String>>,
    pub(super) token_headers: Field<Vec<RawTokenHeader>>,
    pub(super) tenants: Field<super::tenant::RawTenants>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `unauthenticated`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum RawUnauthenticated {
    /// Refuse.
    Deny,
    /// Send a browser to the application's sign-in page.
    Login,
    /// Forward as anonymous.
    Pass,
}

/// `session`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawSession {
    pub(super) cookie: Field<String>,
    pub(super) same_site: Field<super::site::SameSite>,
    pub(super) partitioned: Field<bool>,
    pub(super) idle: Field<u32>,
    pub(super) absolute: Field<u32>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `sso_token`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawSsoToken {
    pub(super) lifetime: Field<u32>,
    pub(super) max_lifetime: Field<u32>,
    pub(super) algorithm: Field<HmacAlgorithm>,
    pub(super) user_id_claim: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `sso_cookie`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawSsoCookie {
    pub(super) name: Field<String>,
    pub(super) path: Field<String>,
    pub(super) domain: Field<String>,
    pub(super) secure: Field<bool>,
    pub(super) http_only: Field<bool>,
    pub(super) same_site: Field<super::site::SameSite>,
    pub(super) partitioned: Field<bool>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `query`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawQuery {
    pub(super) parameter: Field<String>,
    pub(super) max_age: Field<u32>,
    pub(super) single_use: Field<bool>,
    pub(super) user_switch: Field<super::site::UserSwitch>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `assertion`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawAssertion {
    pub(super) header: Field<String>,
    pub(super) audience: Field<String>,
    pub(super) lifetime: Field<u32>,
    pub(super) algorithm: Field<crate::token::algorithm::Algorithm>,
    pub(super) claims: Field<Vec<String>>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// One of `token_headers`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawTokenHeader {
    pub(super) name: Field<String>,
    pub(super) prefix: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// `upstream_credential`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawUpstreamCredential {
    pub(super) header: Field<String>,
    pub(super) secret: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// Takes settings out of a raw table and notes what is wrong with them.
pub struct Reader<'a> {
    path: String,
    errors: &'a mut Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    /// A reader of what is at `path`.
    pub fn new(path: &str, errors: &'a mut Vec<ConfigError>) -> Self {
        Self {
            path: path.to_owned(),
            errors,
        }
    }

    /// A reader of the table `name` in this one.
    pub fn within(&mut self, name: &str) -> Reader<'_> {
        Reader {
            path: format!("{}.{name}", self.path),
            errors: self.errors,
        }
    }

    /// The whole table, from JSON text.
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

    /// Notes an error of member `name`.
    pub fn error(&mut self, name: &str, error: impl Into<String>) {
        self.errors.push(ConfigError {
            path: format!("{}.{name}", self.path),
            error: error.into(),
        });
    }

    /// Notes `error` unless `holds`.
    pub fn check(&mut self, name: &str, holds: bool, error: &str) {
        if !holds {
            self.error(name, error);
        }
    }

    /// Notes every member that is no setting.
    pub fn unknown(&mut self, unknown: &Unknown) {
        for name in unknown.keys() {
            self.error(name, "no such setting");
        }
    }

    /// A setting that may be absent.
    pub fn maybe<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        match field {
            Field::Absent => None,
            Field::Given(value) => Some(value),
            Field::Wrong(error) => {
                self.error(name, error);
                None
            }
        }
    }

    /// A setting with a default.
    pub fn or<T>(&mut self, name: &str, field: Field<T>, default: T) -> T {
        self.maybe(name, field).unwrap_or(default)
    }

    /// A setting that must be there.
    pub fn required<T>(&mut self, name: &str, field: Field<T>) -> Option<T> {
        if matches!(field, Field::Absent) {
            self.error(name, "is required");
        }
        self.maybe(name, field)
    }
}
