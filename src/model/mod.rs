//! Users, passwords, API tokens, and the claims of other issuers' tokens, as data.

pub mod api_token;
pub mod audit;
pub mod claim;
pub mod password;
pub mod proof;
pub mod service;
pub mod service_event;
pub mod user;
