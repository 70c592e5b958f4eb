//! What an isolate remembers, and what every step works with.

pub mod cache;
pub mod own_changes;
pub mod world;
