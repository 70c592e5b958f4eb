//! Whether it is allowed: the grant, the origin of the page, other origins' pages.

pub mod cors;
pub mod grant;
pub mod same_origin;
