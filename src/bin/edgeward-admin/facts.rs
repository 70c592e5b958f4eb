//! What the documents must cover, from the tables that the core itself uses. The tests of the
//! documents read it, so they depend on no source file.

use edgeward::answer::denial;
use edgeward::ask::route;
use edgeward::config::{RESOURCES, SECRETS};
use edgeward::http::reserved;
use edgeward::store;
use serde_json::json;

/// Prints the facts as JSON.
pub fn print() {
    let facts = json!({
        "codes": denial::CODES.as_slice(),
        "paths": route::PATHS.as_slice(),
        "key_families": store::FAMILIES,
        "locks": store::LOCKS,
        "reserved_headers": reserved::fixed().collect::<Vec<_>>(),
        "secrets": SECRETS,
        "resources": RESOURCES,
    });
    println!("{facts}");
}
