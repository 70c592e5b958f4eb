//! The platform's services as traits. The Worker implements them with Workers KV, Durable
//! Objects and `WebCrypto`; the commands implement only the key-value
//! store (shell/src/tokens.rs); native tests all of them in memory.
//!
//! Time is an argument, `now`, the moment of the request. [`Clock`] is only for a moment that must come after something
//! that the request has waited for. Whatever is synchronous on every platform is a plain
//! function or a synchronous method; only what must wait returns [`Pending`].

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use crate::platform::algorithm::Algorithm;
pub use crate::platform::mail::{Letter, Mail};
pub use crate::platform::monitor::Monitor;
pub use crate::platform::passwords::{
    Attempt, Attempted, Kdf, NewPassword, PasswordHash, Passwords,
};
use crate::platform::time::{Seconds, Timestamp};

/// A future. Not `Send`: an isolate has one thread.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Every service that the core may use.
pub struct Platform {
    pub kv: Box<dyn Kv>,
    pub once: Box<dyn Once>,
    pub records: Box<dyn Records>,
    pub crypto: Box<dyn Crypto>,
    pub entropy: Box<dyn Entropy>,
    pub limit: Box<dyn Limit>,
    pub fetch: Box<dyn Fetch>,
    pub background: Box<dyn Background>,
    pub passwords: Box<dyn Passwords>,
    pub clock: Box<dyn Clock>,
    pub outbox: Box<dyn Outbox>,
    pub audit: Box<dyn Audit>,
    pub directory: Box<dyn Directory>,
    pub mail: Box<dyn Mail>,
    pub monitor: Box<dyn Monitor>,
}

/// A failure of Edgeward or the platform, never of the caller. Each becomes a 5xx.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("the key-value store failed")]
    Kv,
    #[error("a stored record is malformed")]
    Record,
    /// The Durable Object `Once` did not respond.
    #[error("the once-store failed")]
    Once,
    /// The Durable Object that serialises the changes of a record did not respond.
    #[error("the writer of a record failed")]
    Writer,
    /// Every attempt to change a record lost against another writer.
    #[error("every attempt to change a record conflicted with another writer")]
    Contended,
    /// Too many requests are waiting; another one must not start to.
    #[error("too many requests are waiting in this isolate")]
    Overloaded,
    #[error("the request took longer than the limit")]
    TimeLimit,
    /// The Durable Object that queues the events of a service did not respond.
    #[error("the event queue of a service failed")]
    Outbox,
    /// The Durable Object that keeps the audit log did not respond, or is not bound.
    #[error("the audit log failed")]
    Audit,
    /// One person has as many rows in the audit log as an hour may have.
    #[error("one person signs in or out too often")]
    AuditLimit,
    /// The Durable Object that finds users did not respond.
    #[error("the directory of users failed")]
    Directory,
    #[error("a cryptographic operation failed")]
    Crypto,
    /// A stored private key is encrypted with a secret that is no longer configured.
    #[error("a signing key is encrypted with a key secret that is not configured")]
    SealedWithUnknownSecret,
    #[error("the rate limiter failed")]
    Limit,
    /// The Durable Object that checks and hashes passwords did not respond, or is not bound.
    #[error("the password store did not respond")]
    Passwords,
    #[error("a mail was not sent")]
    Mail,
    /// The Durable Object that adds up the counters did not respond.
    #[error("the counters could not be read")]
    Metrics,
    #[error("the request body could not be read")]
    Body,
    #[error("a request to another server failed")]
    Fetch,
    #[error("another server did not answer in time")]
    FetchTimeout,
    #[error("the answer of another server is too long")]
    FetchTooLong,
    /// An issuer's keys are unavailable: it is down, or its key set was rejected.
    #[error("an issuer's keys are unavailable")]
    IssuerKeys,
    /// An issuer does not say whose an API key is: its endpoint is down, or its answer was rejected.
    #[error("an issuer did not say whose an api key is")]
    Verification,
    /// The application behind a site did not do what its profile needs; the text says what.
    #[error("the application at the origin: {0}")]
    Application(&'static str),
}

impl Fault {
    /// Its name in metrics.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Record => "record",
            Self::Once => "once",
            Self::Writer => "writer",
            Self::Contended => "contended",
            Self::Overloaded => "overloaded",
            Self::TimeLimit => "time_limit",
            Self::Outbox => "outbox",
            Self::Crypto => "crypto",
            Self::SealedWithUnknownSecret => "sealed_with_unknown_secret",
            Self::Limit => "limit",
            Self::Passwords => "passwords",
            Self::Mail => "mail",
            Self::Metrics => "metrics",
            Self::Audit | Self::AuditLimit => "audit",
            Self::Directory => "directory",
            Self::Body => "body",
            Self::Fetch => "fetch",
            Self::FetchTimeout => "fetch_timeout",
            Self::FetchTooLong => "fetch_too_long",
            Self::IssuerKeys => "issuer_keys",
            Self::Verification => "verification",
            Self::Application(_) => "application",
        }
    }
}

/// A key-value store for frequent reads, up to a minute behind.
pub trait Kv {
    /// The value of `key`, if there is one.
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>>;
    /// Stores `value` under `key`, until `expires` if given.
    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Option<Timestamp>,
    ) -> Pending<'a, Result<(), Fault>>;
    /// Deletes `key`. Deleting a key that does not exist is not an error.
    fn delete<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>>;
    /// The keys that begin with `prefix`, at most `limit`, starting at `cursor`.
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
    /// Including the prefix.
    pub keys: Vec<String>,
    /// The values of the first keys, as far as the list itself shows them: those that were written with
    /// [`Change::in_lists`] and are short.
    pub shown: Vec<Option<String>>,
    /// Where the next page starts; `None` on the last page.
    pub cursor: Option<String>,
}

/// Leases, coordinated across all isolates: the first request to acquire a key gets it.
pub trait Once {
    /// Acquires the lease on `key` for `hold`, with `value`. Returns the value that holds the
    /// lease: `value` if this call won, otherwise the winner's.
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>>;
    /// Releases `key` before the lease expires.
    fn release<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>>;
    /// Like [`Once::acquire`], but also takes the lease over if `held` holds it.
    fn replace<'a>(
        &'a self,
        key: &'a str,
        held: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>>;
    /// Waits up to `patience` until `held` no longer holds `key`. Returns what holds it then, if
    /// anything.
    fn changed<'a>(
        &'a self,
        key: &'a str,
        held: &'a str,
        patience: Seconds,
    ) -> Pending<'a, Result<Option<String>, Fault>>;
}

/// The single writer of each record. [`Kv`] may be a minute behind, so reading a record there,
/// changing it and writing it back would undo every change of that minute. A change made here is
/// compared with the newest value, survives restarts of the runtime, and is copied to the key-value
/// store until the store shows it. Readers use [`Kv`].
pub trait Records {
    /// The newest value of `key`, wherever it was written.
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>>;
    /// The value that the writer of `key` itself holds, without a look at the key-value store. For records that are written
    /// with [`Change::keep`]: whether there is one changes nothing of the work, and so nothing of the time.
    fn read_kept<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>>;
    /// Makes a change, unless the key holds something other than the change expects.
    fn change<'a>(&'a self, change: &'a Change) -> Pending<'a, Result<Changed, Fault>>;
    /// Keeps the value of `key` until it is removed, so that a key-value store that shows none is
    /// not believed.
    fn keep<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>>;
}

/// A change of one record, with changes of other records that belong to it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Change {
    pub key: String,
    /// The value that the key must hold for the change to be made; `None` means no value.
    pub from: Option<String>,
    /// The new value; `None` deletes the key.
    pub to: Option<String>,
    /// A change that is made together with this one: both or neither, even if the runtime dies in
    /// between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Box<Change>>,
    /// Changes that follow this one eventually. One whose key holds something else by then is
    /// skipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Change>,
    /// Calls of services' event queues that follow this change, in order. Delivered eventually, even if the runtime
    /// dies in between, and usually before the change is answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notification>,
    /// See [`Records::keep`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
    /// The version of the record that caused the change. See `older_than`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// The change is made only while the key's `order` is lower, so that releasing an address does
    /// not undo a later assignment to the same user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<u64>,
    /// The key is random and new, so it need not be looked up first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Lists of the key-value store show the value, if it is short: see [`KeyPage::shown`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_lists: bool,
    /// What the directory of users is told after this change, until it has taken it. Such a change needs no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<Listed>,
}

/// A user in the directory.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    pub id: String,
    /// Empty without a tenant.
    pub tenant: String,
    /// That of the record. An older one replaces no newer one.
    pub version: u64,
    /// What a search finds the user by; `None`: the user is gone.
    pub text: Option<String>,
    /// The record was made just now, with an id that may have been there before: a user who is restored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
}

/// A call of the directory of users. A call without another answer answers `{}`.
#[derive(Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum DirectoryCall<'a> {
    /// Users of a tenant (empty: without one) beyond `after`. Answers `{"users": [{"id", "version", "text"}], "next": …,
    /// "built": …}`: `next` is the position to go on from, and `built` when
    /// everybody was put last, in milliseconds since 1970. No `users`: there is nothing to search for.
    Search {
        tenant: &'a str,
        text: &'a str,
        after: Option<String>,
        limit: u32,
    },
    /// Begins a rebuild. Answers `{"round": …}`.
    Begin,
    /// Takes users whom a rebuild has found, and forgets others, but for those who were put since it began.
    Put {
        users: Vec<Listed>,
        round: u64,
        gone: Vec<String>,
    },
    /// Answers `{"ids": […]}`: users whom the rebuild has not come across.
    Stale { round: u64, limit: usize },
    /// The rebuild is complete.
    Finish,
}

/// The directory of users: what a search finds them by. An index, which the writers of records keep up
/// ([`Change::entry`]): nothing is decided by it.
pub trait Directory {
    /// Whether there is one.
    fn is_bound(&self) -> bool;
    /// Calls it. The answer is JSON.
    fn call<'a>(
        &'a self,
        call: &'a DirectoryCall<'a>,
    ) -> Pending<'a, Result<serde_json::Value, Fault>>;
}

/// A call of the event queue of a service that follows a [`Change`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notification {
    /// The service's id.
    pub service: String,
    pub call: OutboxCall,
}

/// The result of a [`Change`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Changed {
    Done,
    /// The change was not made. This is what the key holds; if the conflict is in `needs`, the key
    /// itself may hold what was expected.
    Holds(Option<String>),
}

/// A new key pair.
pub struct KeyPair {
    /// PKCS #8 (RFC 5958).
    pub private: Vec<u8>,
    /// `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    pub public: Vec<u8>,
}

/// A signature to verify. The algorithm is that of the key, not of the token.
#[derive(Clone, Copy)]
pub struct Check<'a> {
    pub algorithm: Algorithm,
    /// `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    pub key: &'a [u8],
    pub message: &'a [u8],
    /// In the form that JWS uses (RFC 7518 §3).
    pub signature: &'a [u8],
}

/// An encrypted private key from the store.
#[derive(Clone, Copy)]
pub struct SealedKey<'a> {
    /// The key that [`Crypto::seal`] encrypted it with.
    pub secret: &'a [u8; 32],
    /// The ciphertext of a PKCS #8 document (RFC 5958).
    pub sealed: &'a [u8],
}

/// Asymmetric cryptography, by `WebCrypto`. Private-key operations never run in Wasm.
pub trait Crypto {
    /// Generates a key pair for ES256, RS256 or `EdDSA`.
    fn generate(&self, algorithm: Algorithm) -> Pending<'_, Result<KeyPair, Fault>>;
    /// Decrypts `private` and signs `message` with it; the signature has the form that JWS uses
    /// (RFC 7518 §3). The platform may keep the decrypted key for later calls.
    fn sign<'a>(
        &'a self,
        algorithm: Algorithm,
        private: SealedKey<'a>,
        message: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>>;
    /// Whether a signature is valid. With a key that the platform rejects, none is.
    fn verify<'a>(&'a self, check: Check<'a>) -> Pending<'a, Result<bool, Fault>>;
    /// Encrypts with AES-256-GCM. The result starts with the 12-byte nonce.
    fn seal<'a>(
        &'a self,
        key: &'a [u8; 32],
        plain: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>>;
    /// Decrypts what [`Crypto::seal`] returned.
    fn open<'a>(
        &'a self,
        key: &'a [u8; 32],
        sealed: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>>;
}

/// Random bytes from the platform's generator.
pub trait Entropy {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// What a rate limit counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counter {
    /// Authenticated admin API calls, by API token.
    Calls,
    /// Invalid API tokens, at the admin API and at sites, by client address.
    Failures,
    /// Attempts to sign in with a password, by client address.
    SignIns,
}

/// A rate limiter.
pub trait Limit {
    /// Counts one call for `key`; `false` if it exceeds the limit.
    fn allow<'a>(&'a self, counter: Counter, key: &'a str) -> Pending<'a, Result<bool, Fault>>;
}

/// What only the platform has of a request to one of Edgeward's own endpoints: its whole head and
/// its body. Forwarded bodies never come here.
pub trait Received {
    /// The request head with every header, in the form of
    /// [`crate::http::request::Parts::from_snapshot`]; `None` if the core already has every header.
    fn whole_head(&self) -> Option<String>;

    /// The whole body, if it has at most `limit` bytes and arrives in time.
    fn read(&self, limit: usize, sender: Sender) -> Pending<'_, Result<BodyRead, Fault>>;
}

/// The body of a request that is only judged and never sent.
pub struct NoBody;

impl Received for NoBody {
    fn whole_head(&self) -> Option<String> {
        None
    }

    fn read(&self, _: usize, _: Sender) -> Pending<'_, Result<BodyRead, Fault>> {
        Box::pin(std::future::ready(Ok(BodyRead::Whole(Vec::new()))))
    }
}

/// Who sends a body. A slow sender occupies the isolate meanwhile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// A caller with a verified credential.
    Verified,
    /// Anyone: the credential is in the body. Only a few of these are read at once.
    Anybody,
}

/// The result of reading a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BodyRead {
    Whole(Vec<u8>),
    TooLong,
    TooSlow,
}

/// An outgoing request. Redirects are not followed.
pub struct Outgoing<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<&'a str>,
    /// The longest response body in bytes; a longer one is a fault.
    pub limit: usize,
    /// In milliseconds.
    pub timeout: u32,
}

/// The response to an outgoing request, whatever its status.
pub struct Incoming {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Outgoing requests.
pub trait Fetch {
    /// Sends a request. A fault if no response arrives in time or it is too long.
    fn fetch<'a>(&'a self, request: Outgoing<'a>) -> Pending<'a, Result<Incoming, Fault>>;
}

/// Work that outlives its request, and pauses.
pub trait Background {
    /// Continues `work` after the response to this request.
    fn spawn(&self, work: Pending<'static, ()>);
    /// Whether a request may begin to wait: what waits in an isolate has a limit. Asked before anything is noted that
    /// others would take for the failure of somebody else.
    ///
    /// # Errors
    /// [`Fault::Overloaded`].
    fn admit(&self) -> Result<(), Fault>;
    /// Yields to other requests of this isolate for a while.
    fn pause(&self, milliseconds: u32) -> Pending<'_, Result<(), Fault>>;
}

/// An event for a service, without the service's token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QueuedEvent {
    /// `msg_…`, the same for every attempt.
    pub id: String,
    /// A hash of the user: events of one user are delivered in order.
    pub user: String,
    /// A newer `update_account` replaces an older one that waits, or an `update_fields`, unless an event stands between
    /// them that it must not overtake; a newer `update_fields` replaces an older one.
    pub kind: String,
    /// A JSON object.
    pub body: serde_json::Value,
    /// When the credential in the body ends, in milliseconds since 1970. Such a body is encrypted wherever it is stored,
    /// and not delivered after that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// A call of the event queue of a service. A call without another answer answers `{}`.
#[derive(Clone, PartialEq, Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum OutboxCall {
    /// The settings of the queue; ignored if `version` is not newer than that of the queue. While a service is disabled,
    /// its events wait, and none is sent.
    Configure {
        version: u64,
        /// The URL that events are posted to. It must have passed [`crate::http::outside::check`]. Whether `http` and
        /// private hosts are allowed, the queue reads from the gateway's settings at each attempt.
        url: String,
        enabled: bool,
        /// `flat`, `fields` or `webhook`.
        dialect: &'static str,
    },
    /// A new token of the service, or a new secret that signs its events. Older ones are used until `until`
    /// (milliseconds since 1970). Both are encrypted before they are stored.
    Credentials {
        token: Option<String>,
        /// `whsec_` and the base64 of 24 to 64 bytes.
        secret: Option<String>,
        until: u64,
    },
    /// Queues events. An event whose id is known is ignored. Answers `{"queued": …}`.
    Push { events: Vec<QueuedEvent> },
    /// Queues an event and delivers it at once, after those before it of the same user. Answers `{"delivered": …}`, and
    /// with `refused` why not; without that, `patience` milliseconds are over. What is not delivered stays in the queue.
    Deliver { event: QueuedEvent, patience: u32 },
    /// A page of waiting or dead events. Answers `{"events": [{"id", "kind", "created_at", "attempts", "next_at",
    /// "last_status", "last_error"}], "cursor": …}`.
    List {
        dead: bool,
        cursor: Option<String>,
        limit: u32,
    },
    /// How many events wait, and since when. Answers `{"waiting", "dead", "oldest_at", "last_success_at",
    /// "disabled_by_receiver", "blocked"}`; `blocked` says why nothing can be delivered, if so.
    Status,
    /// Queues dead events again: one, or all. A receiver that has asked for no more events is sent some again. Answers
    /// `{"count": …}`.
    Resend { id: Option<String> },
    /// Deletes dead events, or those that wait: one, or all. Answers `{"count": …}`.
    Discard { waiting: bool, id: Option<String> },
    /// The service is gone: everything is deleted, and later calls are ignored.
    Remove,
}

impl fmt::Debug for OutboxCall {
    /// Credentials and events are nothing for a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Configure { .. } => "Configure",
            Self::Credentials { .. } => "Credentials",
            Self::Push { .. } => "Push",
            Self::Deliver { .. } => "Deliver",
            Self::List { .. } => "List",
            Self::Status => "Status",
            Self::Resend { .. } => "Resend",
            Self::Discard { .. } => "Discard",
            Self::Remove => "Remove",
        })
    }
}

/// The event queues of services, one for each.
pub trait Outbox {
    /// Calls the queue of the service with this id. The answer is JSON.
    fn call<'a>(
        &'a self,
        service: &'a str,
        call: &'a OutboxCall,
    ) -> Pending<'a, Result<serde_json::Value, Fault>>;
}

/// A call of the log of one month. Positions are numbers of rows, times milliseconds since 1970.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum AuditCall {
    /// Adds rows, all or none. They may be forgotten at `ends`. Answers `{"seq": …}`, the number of the first, or
    /// `{"too_many": true}`: `person`, who wants the rows, has as many of the last hour as one may have.
    Append {
        rows: Vec<serde_json::Value>,
        ends: u64,
        person: Option<String>,
    },
    /// Rows beyond `position` that fit the filter, in the order that is asked for. Answers `{"rows": […], "next": …}`: the
    /// position to go on from, null at the end.
    List {
        newest: bool,
        position: Option<u64>,
        limit: u32,
        user: Option<String>,
        actor: Option<String>,
        action: Option<String>,
        from: u64,
        until: u64,
    },
    /// Checks the chain after the row `seq`, whose hash is `hash`. Answers `{"ok": true, "seq", "hash", "done"}`, or
    /// `{"ok": false, "at", "because"}`.
    Verify { seq: u64, hash: String },
}

/// The audit log: rows that are added and never changed.
pub trait Audit {
    /// Calls the log of this name. The answer is JSON. Added rows are on the disk when it comes.
    fn call<'a>(
        &'a self,
        log: &'a str,
        call: &'a AuditCall,
    ) -> Pending<'a, Result<serde_json::Value, Fault>>;
}

/// The time now, where that of the request is too early.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;
}
