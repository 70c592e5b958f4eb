//! Signed tokens as bytes: envelope, registered claims, keys (RFC 7515, 7517, 7518, 7519). Knows no
//! user and no site.

pub mod der;
pub mod error;
pub mod hmac;
pub mod json;
pub mod jws;
pub mod jwt;
pub mod key;
