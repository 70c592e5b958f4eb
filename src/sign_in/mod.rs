//! Signing in with a token, the redirect to the sign-in page, and the endpoints of an account.

pub mod account;
pub mod arrive;
pub mod back_channel;
pub mod browsing;
pub mod by_gateway;
pub mod by_provider;
pub mod opened;
pub mod provider_sign_out;
pub mod refuse;
pub mod sign_out;
