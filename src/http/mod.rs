//! The head of a request and its parts: URL, path, query, headers. Knows no site.

pub mod client;
pub mod cookies;
pub mod headers;
pub mod host;
pub mod path;
pub mod query;
pub mod request;
pub mod reserved;
