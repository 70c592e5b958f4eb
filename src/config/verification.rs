//! The endpoint of an issuer that says whose an API key is, as it is written.

use serde::Deserialize;

use crate::config::issuer;
use crate::config::reader::{Bindings, Field, Reader, table};
use crate::config::secret;
use crate::platform::time::Seconds;
use crate::site::issuer::{Form, Verification};

table! {
    /// `verify` of an issuer.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["url", "form"])))]
    pub struct RawVerification {
        /// The URL of the endpoint.
        pub(super) url: Field<String>,
        /// How it is asked.
        pub(super) form: Field<RawForm>,
        /// For introspection: the client's id.
        pub(super) client_id: Field<String>,
        /// For introspection: the name of the Worker secret with the client's secret.
        pub(super) client_secret: Field<String>,
        /// How many seconds an answer counts.
        pub(super) ttl: Field<u32>,
    }
}

/// How an endpoint is asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawForm {
    /// As USSO's SDK does, with the key as `api_key` in JSON.
    Usso,
    /// By RFC 7662.
    Introspection,
}

/// Validates the table; errors go to `reader`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    field: Field<RawVerification>,
    loopback: Option<&str>,
    bindings: &Bindings,
) -> Option<Verification> {
    let raw = reader.optional("verify", field)?;
    let mut reader = reader.table("verify");
    reader.reject_unknown(&raw.unknown);
    let url = reader.required("url", raw.url);
    issuer::check_fetchable(&mut reader, "url", url.as_ref(), loopback);
    let ttl = reader.with_default("ttl", raw.ttl, 60);
    reader.check(
        "ttl",
        (1..=600).contains(&ttl),
        "must be from 1 to 600 seconds: a key that is revoked works for so long",
    );
    let (has_id, has_secret) = (raw.client_id.is_given(), raw.client_secret.is_given());
    let form = match reader.required("form", raw.form)? {
        RawForm::Usso => {
            reader.check(
                "client_id",
                !has_id && !has_secret,
                "has no meaning with form = \"usso\": remove client_id and client_secret",
            );
            Form::Usso
        }
        RawForm::Introspection => {
            let id = reader.required("client_id", raw.client_id);
            let name = reader.required("client_secret", raw.client_secret);
            let (id, name) = (id?, name?);
            let Ok(secret) = secret::named(bindings, &name) else {
                reader.error(
                    "client_secret",
                    "must name a secret of this Worker that is not one of Edgeward's own; set it with `wrangler secret put`",
                );
                return None;
            };
            reader.check("client_id", !id.is_empty(), "must not be empty");
            let error = "names an empty secret: set it with `wrangler secret put`";
            reader.check("client_secret", !secret.is_empty(), error);
            Form::Introspection(secret::basic(&id, secret))
        }
    };
    Some(Verification {
        url: url?,
        form,
        ttl: Seconds(ttl),
        loopback: loopback.map(str::to_owned),
    })
}
