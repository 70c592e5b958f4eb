//! The ground: the platform's verbs as traits, the names of algorithms, time as a value, and what is
//! remembered weighed in bytes.

pub mod algorithm;
pub mod digest;
pub mod port;
pub mod shelf;
pub mod time;
