//! What our own credentials and those of other issuers say, once their signature matched.

pub mod foreign;
pub mod origin_account;
pub mod session;
pub mod sso_token;
pub mod stray;
pub mod verified;
