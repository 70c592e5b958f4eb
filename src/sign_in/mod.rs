//! Arriving, being sent to sign in, and the account.

pub mod account;
pub mod arrive;
