//! The head of a request: URL, path, query, headers, cookies. Knows no site.

pub mod accept;
pub mod client;
pub mod cookies;
pub mod cursor;
pub mod headers;
pub mod host;
pub mod outside;
pub mod path;
pub mod query;
pub mod request;
pub mod reserved;
