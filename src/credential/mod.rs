//! Credentials as data: what our own and those of other issuers state once their signature was
//! verified.

pub mod attempt;
pub mod browser;
pub mod foreign;
pub mod origin_account;
pub mod session;
pub mod sso_token;
pub mod stray;
pub mod verified;
