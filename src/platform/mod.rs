//! What everything else builds on: the platform's services as traits, algorithm names, time as a
//! value, hashes, and caches bounded in bytes.

pub mod algorithm;
pub mod digest;
pub mod mail;
pub mod monitor;
pub mod passwords;
pub mod port;
pub mod shelf;
pub mod time;
