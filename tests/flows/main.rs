//! The core from a request's head to what becomes of it, over a platform in memory.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod anything;
#[cfg(test)]
mod arrive;
#[cfg(test)]
mod assertion;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod combinations;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod earlier;
#[cfg(test)]
mod every_setting;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod handover;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hot;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod issue;
#[cfg(test)]
mod issuer_claims;
#[cfg(test)]
mod issuer_keys;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod label_studio;
#[cfg(test)]
mod late;
#[cfg(test)]
mod links;
#[cfg(test)]
mod logged;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod mounts;
#[cfg(test)]
mod moved;
#[cfg(test)]
mod one_path;
#[cfg(test)]
mod origin;
#[cfg(test)]
mod others_key;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod readings;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod refusal;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod revocation;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod session;
#[cfg(test)]
mod sign_out;
#[cfg(test)]
mod subjects;
#[cfg(test)]
mod template;
#[cfg(test)]
mod tenants;
#[cfg(test)]
mod told;
#[cfg(test)]
mod unbound;
#[cfg(test)]
mod users;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod work;
