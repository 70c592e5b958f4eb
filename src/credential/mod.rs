//! What our own credentials and those of other issuers say, once their signature matched.

pub mod session;
pub mod sso_token;
pub mod stray;
