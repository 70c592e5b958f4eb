//! What an isolate keeps between requests, and what every step works with.

pub mod attempts;
pub mod cache;
pub mod issuer_keys;
pub mod own_changes;
pub mod provider;
pub mod refusals;
pub mod services;
pub mod tally;
pub mod turns;
pub mod world;
