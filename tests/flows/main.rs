//! The core from a request's head to what becomes of it, over a platform in memory.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod issue;
