//! The lowest rooms of Edgeward, which know no site, no user and no token: the platform as traits, and the head of a request.
//!
//! They are a crate of their own because every request goes through them: it is compiled for speed, and what stands above
//! it for size. The crate `edgeward` exports them under the names of their rooms.

pub mod http;
pub mod platform;
