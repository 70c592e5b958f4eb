//! The JSON schema of our settings in wrangler.toml, generated from the tables that are read.
//! Only with the feature `schema`: none of it is in the Worker.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::config::gateway::RawGateway;
use crate::config::issuer::RawIssuer;
use crate::config::provider::{OF_ISSUER, RawProvider};
use crate::config::raw::{RawEdgeward, RawSite};
use crate::config::reader::{GATEWAY, GLOBAL, ISSUER, PROVIDER, RULES, SITE};
use crate::config::rules::RawRule;

/// Generates the schema (draft 7, which editors support). It covers our variables; everything else
/// is left to wrangler.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let global = generator.subschema_for::<RawEdgeward>();
    let site = generator.subschema_for::<RawSite>();
    let gateway = generator.subschema_for::<RawGateway>();
    let issuer = generator.subschema_for::<RawIssuer>();
    let rules = generator.subschema_for::<Vec<RawRule>>();
    let provider = generator.subschema_for::<RawProvider>();
    let mut definitions = generator.take_definitions(true);
    // A provider's table has those settings of an issuer as well.
    let of_issuer = definitions
        .get("RawIssuer")
        .and_then(|issuer| issuer["properties"].as_object())
        .cloned()
        .unwrap_or_default();
    let own = definitions
        .get_mut("RawProvider")
        .and_then(|provider| provider["properties"].as_object_mut());
    let shared = of_issuer
        .into_iter()
        .filter(|(name, _)| OF_ISSUER.contains(&name.as_str()));
    if let Some(own) = own {
        own.extend(shared);
    }
    definitions.insert(
        "vars".into(),
        json!({
            "type": "object",
            "properties": { GLOBAL: global, GATEWAY: gateway },
            "patternProperties": {
                format!("^{SITE}[A-Z0-9_]+$"): site,
                format!("^{RULES}[A-Z0-9_]+$"): rules,
                format!("^{ISSUER}[A-Z0-9_]+$"): issuer,
                format!("^{PROVIDER}[A-Z0-9_]+$"): provider,
            },
        }),
    );
    let vars = json!({ "vars": { "$ref": "#/definitions/vars" } });
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The settings of Edgeward in wrangler.toml",
        "description": "Printed by `npm run admin -- schema`.",
        "type": "object",
        "properties": {
            "vars": { "$ref": "#/definitions/vars" },
            "env": {
                "type": "object",
                "additionalProperties": { "type": "object", "properties": vars },
            },
        },
        "definitions": definitions,
    })
}
