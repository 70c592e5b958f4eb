//! Edgeward signs people in at the edge, in front of an application that knows nothing of it.
//!
//! The crate is a pure core and a thin shell. The core takes the head of a request, `now`, and the
//! platform's verbs as traits ([`port`]), and says what becomes of the request. The shell (`edge`,
//! for `wasm32` only) is the Worker: it takes the snapshot, asks the core, and streams.
//!
//! A request goes `Parts → Target → Presented → Principal → Grant → Forward`, and the next step
//! cannot be taken without the one before. [`gateway`] holds the order.
//!
//! Invariants: nothing outside `edge` names `worker` or JavaScript; only [`session`] writes
//! `Set-Cookie`; only [`denial`] chooses a status; nothing is forwarded without an
//! [`access::Grant`]; no credential is verified outside [`token`]; no time, randomness or storage
//! is taken from anywhere but the arguments.

pub mod access;
pub mod account;
pub mod admin;
pub mod answer;
pub mod asked;
pub mod cache;
pub mod claim;
pub mod config;
pub mod cors;
pub mod denial;
#[cfg(target_arch = "wasm32")]
mod edge;
pub mod event;
pub mod gateway;
pub mod login;
pub mod memory;
pub mod origin;
pub mod outcome;
pub mod own_changes;
pub mod page;
pub mod path;
pub mod people;
pub mod port;
pub mod principal;
pub mod profile;
pub mod query;
pub mod request;
pub mod route;
pub mod same_origin;
pub mod session;
pub mod store;
pub mod time;
pub mod token;
pub mod user;
pub mod world;
