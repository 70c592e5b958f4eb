//! Edgeward signs people in at the edge, in front of an application that knows nothing of it.
//!
//! The crate is a pure core and a thin shell. The core takes the head of a request, `now`, and the
//! platform's capabilities as traits ([`platform::port`]), and decides what happens to the request. The shell (`edge`,
//! for `wasm32`, and without the feature `worker` not there) is the Worker: it takes the snapshot, asks the core, and streams.
//!
//! A request goes `Parts → Target → Presented → Principal → Grant → Forward`, and the next step
//! cannot be taken without the one before. [`pipeline`] holds the order.
//!
//! The modules below are rooms, which are layers; `tests/layering.rs` has their order.
//!
//! Invariants: nothing outside `edge` names `worker` or `wasm-bindgen`; only [`credential::session`] writes
//! `Set-Cookie`; only [`answer::denial`] chooses a status; nothing is forwarded without an
//! [`access::grant::Grant`]; no credential is verified outside [`authn`]; no time, randomness or storage
//! is taken from anywhere but the arguments.

pub use edgeward_base::{http, platform};

pub mod access;
pub mod admin;
pub mod answer;
pub mod ask;
pub mod authn;
pub mod config;
pub mod credential;
#[cfg(all(target_arch = "wasm32", feature = "worker"))]
mod edge;
pub mod gateway;
pub mod jose;
pub mod judge;
pub mod memory;
pub mod model;
pub mod origin;
pub mod passkey;
pub mod people;
pub mod pipeline;
pub mod profile;
pub mod rules;
pub mod sign_in;
pub mod site;
pub mod store;
