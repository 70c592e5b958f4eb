//! What is kept of people and API tokens, and what tokens claim of people.

pub mod api_token;
pub mod claim;
pub mod user;
