//! What is asked for: host and path to a target, a request as rules see it, and its credentials.

pub mod asked;
pub mod audited;
pub mod ctx;
pub mod form;
pub mod return_to;
pub mod route;
pub mod source;
pub mod webdav;
