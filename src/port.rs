//! The platform's verbs, as traits. The Worker answers them with Workers KV, a Durable Object and
//! `WebCrypto`; the admin command with wrangler; native tests with memory.
//!
//! Time is not a port: `now` is a value. What is synchronous on every platform is a plain function
//! or a synchronous method; only what must wait returns [`Pending`].

use std::future::Future;
use std::pin::Pin;

use crate::time::{Seconds, Timestamp};

/// Something that has still to happen. Not `Send`: an isolate has one thread.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Everything that the core may ask of the platform.
pub struct Platform {
    /// The key-value store.
    pub kv: Box<dyn Kv>,
    /// What must happen at most once.
    pub once: Box<dyn Once>,
    /// Asymmetric signatures and encryption at rest.
    pub crypto: Box<dyn Crypto>,
    /// Random bytes.
    pub entropy: Box<dyn Entropy>,
    /// How often a caller may call.
    pub limit: Box<dyn Limit>,
    /// Requests of our own.
    pub fetch: Box<dyn Fetch>,
}

/// Our own failure, or the platform's: never the caller's doing. Each becomes a 5xx.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The key-value store did not answer.
    #[error("the key-value store failed")]
    Kv,
    /// A stored record could not be read.
    #[error("a stored record is not readable")]
    Record,
    /// The Durable Object did not answer.
    #[error("the once-store failed")]
    Once,
    /// `WebCrypto` refused.
    #[error("a cryptographic operation failed")]
    Crypto,
    /// A stored private key is sealed with a secret that is no longer configured.
    #[error("a signing key is sealed with a key secret that is not configured")]
    SealedWithUnknownSecret,
    /// The rate limiter did not answer.
    #[error("the rate limiter failed")]
    Limit,
    /// The body of a request broke off.
    #[error("the request body could not be read")]
    Body,
    /// Another server did not answer in time, or with more than was asked for.
    #[error("another server did not answer as it should")]
    Fetch,
    /// The application behind a site did not do what its profile needs; the text says what.
    #[error("the application at the origin: {0}")]
    Application(&'static str),
}

/// A key-value store that is read often and may be up to a minute behind.
pub trait Kv {
    /// The value under `key`, if there is one.
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>>;
    /// Puts `value` under `key`, until `expires` if given.
    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Option<Timestamp>,
    ) -> Pending<'a, Result<(), Fault>>;
    /// Removes `key`. Removing what is not there is no error.
    fn delete<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>>;
    /// Keys that begin with `prefix`, at most `limit`, from `cursor` on.
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<&'a str>,
        limit: u32,
    ) -> Pending<'a, Result<KeyPage, Fault>>;
}

/// One page of keys.
#[derive(Clone, Debug, Default)]
pub struct KeyPage {
    /// The keys, prefix included.
    pub keys: Vec<String>,
    /// Where the next page begins; `None` on the last one.
    pub cursor: Option<String>,
}

/// A place where the first to come wins, everywhere at once.
pub trait Once {
    /// Claims `key` with `value` for `hold`. Returns the value that holds the claim: `value` itself
    /// when this call won, the winner's otherwise.
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>>;
    /// Gives `key` up before its time.
    fn release<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>>;
    /// As [`Once::claim`], and takes the claim over when `held` holds it.
    fn replace<'a>(
        &'a self,
        key: &'a str,
        held: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>>;
    /// Waits until `held` does not hold `key` any more, at most for `patience`. Returns what holds
    /// it then, if anything.
    fn changed<'a>(
        &'a self,
        key: &'a str,
        held: &'a str,
        patience: Seconds,
    ) -> Pending<'a, Result<Option<String>, Fault>>;
}

/// A request of our own to another server. Redirects are not followed.
pub struct Outgoing<'a> {
    /// The method.
    pub method: &'a str,
    /// The absolute URL.
    pub url: &'a str,
    /// The headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, if there is one.
    pub body: Option<&'a str>,
    /// An answer whose body is longer than this many bytes is a fault.
    pub limit: usize,
    /// An answer that is not there, whole, after so many milliseconds is a fault.
    pub timeout: u32,
}

/// What another server answered.
pub struct Incoming {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case. Each `set-cookie` stands by itself.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Requests of our own.
pub trait Fetch {
    /// Sends `request` and gives the whole answer.
    fn fetch<'a>(&'a self, request: Outgoing<'a>) -> Pending<'a, Result<Incoming, Fault>>;
}

/// A fresh ES256 key pair (RFC 7518 §3.4).
pub struct KeyPair {
    /// The private key, PKCS #8.
    pub private: Vec<u8>,
    /// The public point's coordinates, base64url (RFC 7518 §6.2.1).
    pub x: String,
    /// See `x`.
    pub y: String,
}

/// What `WebCrypto` does for us. RSA and EC private operations never run in Wasm.
pub trait Crypto {
    /// Makes an ES256 key pair.
    fn generate(&self) -> Pending<'_, Result<KeyPair, Fault>>;
    /// Signs `message` with ES256; the signature is r and s in 64 bytes (RFC 7518 §3.4).
    fn sign<'a>(
        &'a self,
        private: &'a [u8],
        message: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>>;
    /// Encrypts with AES-256-GCM. The result begins with the 12 bytes of nonce.
    fn seal<'a>(
        &'a self,
        key: &'a [u8; 32],
        plain: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>>;
    /// Undoes [`Crypto::seal`].
    fn open<'a>(
        &'a self,
        key: &'a [u8; 32],
        sealed: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>>;
}

/// Random bytes from the platform's generator.
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Which counter a call counts against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counter {
    /// Authenticated calls of the admin API, by API token.
    Calls,
    /// Failed authentications at the admin API, by client address.
    Failures,
}

/// A rate limiter.
pub trait Limit {
    /// Counts one call for `key`; `false` when it is over the limit.
    fn allow<'a>(&'a self, counter: Counter, key: &'a str) -> Pending<'a, Result<bool, Fault>>;
}

/// The body of a request to one of our own endpoints. Bodies that are forwarded never come here.
pub trait Body {
    /// The whole body, or `None` when it is longer than `limit` bytes.
    fn read(&self, limit: usize) -> Pending<'_, Result<Option<Vec<u8>>, Fault>>;
}
