//! What the documents must cover, from the tables that the core itself uses. The tests of the
//! documents read it, so they depend on no source file.

use edgeward::answer::{denial, metrics};
use edgeward::ask::route;
use edgeward::config::{RESOURCES, SECRETS};
use edgeward::http::reserved;
use edgeward::store;
use serde_json::{Value, json};

/// The facts.
pub fn facts() -> Value {
    json!({
        "codes": denial::CODES.as_slice(),
        "paths": route::PATHS.as_slice(),
        "key_families": store::FAMILIES,
        "locks": store::LOCKS,
        "reserved_headers": reserved::fixed().collect::<Vec<_>>(),
        "secrets": SECRETS,
        "resources": RESOURCES.as_slice(),
        "metrics": metrics::FAMILIES,
    })
}
