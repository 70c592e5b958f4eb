//! Authorization: the grant, protection against cross-site requests, and CORS.

pub mod cors;
pub mod grant;
pub mod same_origin;
