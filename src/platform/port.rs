//! The platform's verbs, as traits. The Worker answers them with Workers KV, two Durable Objects and
//! `WebCrypto`; the admin command with wrangler; native tests with memory.
//!
//! Time is not a port: `now` is a value. What is synchronous on every platform is a plain function
//! or a synchronous method; only what must wait returns [`Pending`].

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use crate::platform::algorithm::Algorithm;
use crate::platform::time::{Seconds, Timestamp};

/// Something that has still to happen. Not `Send`: an isolate has one thread.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Everything that the core may ask of the platform.
pub struct Platform {
    /// The key-value store.
    pub kv: Box<dyn Kv>,
    /// What must happen at most once.
    pub once: Box<dyn Once>,
    /// The one writer of each record.
    pub records: Box<dyn Records>,
    /// Asymmetric signatures and encryption at rest.
    pub crypto: Box<dyn Crypto>,
    /// Random bytes.
    pub entropy: Box<dyn Entropy>,
    /// How often a caller may call.
    pub limit: Box<dyn Limit>,
    /// Requests of our own.
    pub fetch: Box<dyn Fetch>,
    /// What is done later.
    pub background: Box<dyn Background>,
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
    /// The Durable Object `Once` did not answer.
    #[error("the once-store failed")]
    Once,
    /// The Durable Object that orders the changes of a record did not answer.
    #[error("the writer of a record failed")]
    Writer,
    /// Others changed a record at every attempt to change it.
    #[error("a record was changed by others at every attempt")]
    Contended,
    /// So many requests wait at this moment that no further one may begin to.
    #[error("too many requests are waiting in this isolate")]
    Overloaded,
    /// A request waited longer than any may.
    #[error("the request took longer than the limit")]
    TimeLimit,
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
    /// Another server did not answer as it should.
    #[error("a request to another server failed")]
    Fetch,
    /// An issuer's keys cannot be had: it is down, or what it publishes is refused.
    #[error("an issuer's keys cannot be had")]
    IssuerKeys,
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
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>>;
    /// Gives `key` up before its time.
    fn release<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>>;
    /// As [`Once::acquire`], and takes the claim over when `held` holds it.
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

/// The one writer of each record. [`Kv`] may be a minute behind, so a record that is read there,
/// changed and written back would undo every change of that minute. A change made here is compared
/// with the newest value, survives the runtime, and is carried to the key-value store and kept until
/// that shows it. Readers stay on [`Kv`].
pub trait Records {
    /// The newest value under `key`, from wherever it was changed.
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>>;
    /// Makes a change, unless its key holds something else than the change expects.
    fn change<'a>(&'a self, change: &'a Change) -> Pending<'a, Result<Changed, Fault>>;
    /// Never forgets the value under `key` from here on, so that a store that shows nothing is not
    /// believed.
    fn keep<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>>;
}

/// A change of one record, and what belongs to it in others.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Change {
    /// The record's key.
    pub key: String,
    /// What it must hold for the change to be made; `None` is nothing.
    pub from: Option<String>,
    /// What it holds after; `None` removes it.
    pub to: Option<String>,
    /// A change without which this one is not made: both are, or neither, also when the runtime is
    /// killed between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Box<Change>>,
    /// Changes that follow this one, sooner or later. One whose key holds something else by then is
    /// left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Change>,
    /// As [`Records::keep`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// The position of the new value among those that one holder writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// The change is made only while the key's `order` is lower, so that giving up an address does
    /// not undo its later return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<u64>,
    /// The key is random and new, so no look-up is needed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
}

/// What became of a [`Change`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changed {
    /// It was made.
    Done,
    /// It was not: the key holds this, or it is the change that it needs that was not made.
    Holds(Option<String>),
}

/// A fresh key pair.
pub struct KeyPair {
    /// The private key, PKCS #8.
    pub private: Vec<u8>,
    /// The public key, `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    pub public: Vec<u8>,
}

/// A signature that is to be checked. The algorithm is that of the key, not of the token.
#[derive(Clone, Copy)]
pub struct Check<'a> {
    /// How it was made.
    pub algorithm: Algorithm,
    /// The public key, `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    pub key: &'a [u8],
    /// What was signed.
    pub message: &'a [u8],
    /// The signature, in the form that JWS gives it (RFC 7518 §3).
    pub signature: &'a [u8],
}

/// A private key as the store has it.
#[derive(Clone, Copy)]
pub struct SealedKey<'a> {
    /// What [`Crypto::seal`] sealed it with.
    pub secret: &'a [u8; 32],
    /// What came of that; inside is PKCS #8 (RFC 5958).
    pub sealed: &'a [u8],
}

/// What `WebCrypto` does for us: everything asymmetric. Private operations never run in Wasm.
pub trait Crypto {
    /// Makes a key pair for ES256, RS256 or `EdDSA`.
    fn generate(&self, algorithm: Algorithm) -> Pending<'_, Result<KeyPair, Fault>>;
    /// Opens `private` and signs `message` with it; the signature is in the form that JWS gives it
    /// (RFC 7518 §3). The platform may go on with a key that it has opened before.
    fn sign<'a>(
        &'a self,
        algorithm: Algorithm,
        private: SealedKey<'a>,
        message: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>>;
    /// Whether a signature is good. A key that the platform refuses has signed nothing.
    fn verify<'a>(&'a self, check: Check<'a>) -> Pending<'a, Result<bool, Fault>>;
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
    /// API tokens that are not good, at the admin API and at sites, by client address.
    Failures,
}

/// A rate limiter.
pub trait Limit {
    /// Counts one call for `key`; `false` when it is over the limit.
    fn allow<'a>(&'a self, counter: Counter, key: &'a str) -> Pending<'a, Result<bool, Fault>>;
}

/// The body of a request to one of our own endpoints. Bodies that are forwarded never come here.
pub trait Body {
    /// The request's head with every header, as [`crate::http::request::Parts::from_snapshot`] reads it; `None`
    /// where the core was told all of it at first.
    fn whole_head(&self) -> Option<String>;

    /// The whole body, if it has at most `limit` bytes and comes in time.
    fn read(&self, limit: usize, sender: Sender) -> Pending<'_, Result<BodyRead, Fault>>;
}

/// Who sends a body. Whoever sends one slowly makes us hold the request meanwhile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// A caller whose credential was verified.
    Verified,
    /// Anybody: the credential is in the body. Few of these are read at once.
    Anybody,
}

/// What became of a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BodyRead {
    /// This is all of it.
    Whole(Vec<u8>),
    /// It is longer than the limit.
    TooLong,
    /// It did not come in time.
    TooSlow,
}

/// A request of our own to another server. Redirects are not followed.
pub struct Outgoing<'a> {
    /// The method.
    pub method: &'a str,
    /// The whole URL.
    pub url: &'a str,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: Option<&'a str>,
    /// Answers longer than this are a fault.
    pub limit: usize,
    /// Milliseconds.
    pub timeout: u32,
}

/// The answer to a request of our own, whatever its status.
pub struct Incoming {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Requests of our own.
pub trait Fetch {
    /// Sends one; a fault when there is no answer in time or the answer is too long.
    fn fetch<'a>(&'a self, request: Outgoing<'a>) -> Pending<'a, Result<Incoming, Fault>>;
}

/// What is done later.
pub trait Background {
    /// Goes on with `work` after the answer to this request.
    fn spawn(&self, work: Pending<'static, ()>);
    /// Lets other requests of this isolate go on for a while.
    fn pause(&self, milliseconds: u32) -> Pending<'_, ()>;
}
