//! The in-memory platform.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use edgeward::platform::algorithm::Algorithm;
use edgeward::platform::digest::sha256;
use edgeward::platform::port::{
    Background, BodyRead, Check, Clock, Counter, Crypto, Entropy, Fault, Fetch, Incoming, KeyPage,
    KeyPair, Kv, Letter, Limit, Mail, Monitor, Once, Outgoing, Pending, Platform, Received,
    SealedKey, Sender,
};
use edgeward::platform::time::{Seconds, Timestamp};

use super::audit::MemoryAudit;
use super::crypto;
use super::directory::MemoryDirectory;
use super::outbox::MemoryOutbox;
use super::passwords::MemoryPasswords;
use super::records::MemoryRecords;
use super::shared::{Fate, KV_LAG, Lag, Shared, Verb, later};

/// What one location remembers of the store, with the moment it was read.
pub type Location = Rc<RefCell<HashMap<String, (Option<String>, Timestamp)>>>;

/// The platform of an isolate at `location`.
pub fn platform(shared: &Rc<Shared>, location: &Location, seed: u64) -> Platform {
    Platform {
        kv: Box::new(MemoryKv {
            shared: Rc::clone(shared),
            seen: Rc::clone(location),
        }),
        once: Box::new(MemoryOnce(Rc::clone(shared))),
        records: Box::new(MemoryRecords(Rc::clone(shared))),
        outbox: Box::new(MemoryOutbox(Rc::clone(shared))),
        audit: Box::new(MemoryAudit(Rc::clone(shared))),
        directory: Box::new(MemoryDirectory(Rc::clone(shared))),
        mail: Box::new(MemoryMail(Rc::clone(shared))),
        monitor: Box::new(MemoryMonitor),
        crypto: Box::new(NativeCrypto(Rc::clone(shared), Seeded::new(seed ^ 1 << 40))),
        entropy: Box::new(Seeded::new(seed)),
        limit: Box::new(MemoryLimit(Rc::clone(shared))),
        fetch: Box::new(MemoryFetch(Rc::clone(shared))),
        background: Box::new(MemoryBackground(Rc::clone(shared))),
        clock: Box::new(MemoryClock(Rc::clone(shared))),
        passwords: Box::new(MemoryPasswords(
            Rc::clone(shared),
            Seeded::new(seed ^ 1 << 41),
        )),
    }
}

/// Nothing is summed up here: tests/edge has the real objects.
struct MemoryMonitor;

impl Monitor for MemoryMonitor {
    fn is_bound(&self) -> bool {
        true
    }

    fn sums<'a>(&'a self, _: &'a str, _: &'a str) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async { Ok(String::new()) })
    }

    fn parts<'a>(&'a self, _: &'a str) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async { Ok("kv\n".to_owned()) })
    }
}

struct MemoryMail(Rc<Shared>);

impl Mail for MemoryMail {
    fn is_bound(&self) -> bool {
        self.0.mail.borrow().is_some()
    }

    fn send<'a>(&'a self, letter: &'a Letter) -> Pending<'a, Result<(), Fault>> {
        let fate = self.0.call(Verb::Mail, "");
        later(move || {
            let mut sent = self.0.mail.borrow_mut();
            match (fate, sent.as_mut()) {
                (Fate::Good, Some(sent)) => {
                    sent.push(letter.clone());
                    Ok(())
                }
                _ => Err(Fault::Mail),
            }
        })
    }
}

struct MemoryClock(Rc<Shared>);

impl Clock for MemoryClock {
    fn now(&self) -> Timestamp {
        self.0.now.get()
    }
}

struct MemoryBackground(Rc<Shared>);

impl Background for MemoryBackground {
    fn spawn(&self, work: Pending<'static, ()>) {
        self.0.tasks.borrow_mut().push(work);
    }

    fn admit(&self) -> Result<(), Fault> {
        if self.0.full.get() {
            return Err(Fault::Overloaded);
        }
        Ok(())
    }

    fn pause(&self, _: u32) -> Pending<'_, Result<(), Fault>> {
        match self.admit() {
            Ok(()) => later(|| Ok(())),
            Err(fault) => Box::pin(std::future::ready(Err(fault))),
        }
    }
}

struct MemoryKv {
    shared: Rc<Shared>,
    seen: Location,
}

impl MemoryKv {
    fn look(&self, key: &str) -> Option<String> {
        let now = self.shared.now.get();
        match self.shared.lag.get() {
            Lag::None => return self.shared.value(key),
            Lag::Wild => return self.shared.wild_value(key),
            Lag::Elsewhere | Lag::Everywhere => {}
        }
        let mut seen = self.seen.borrow_mut();
        match seen.get(key) {
            Some((value, read_at)) if now < *read_at + KV_LAG => value.clone(),
            _ => {
                let value = self.shared.value(key);
                seen.insert(key.to_owned(), (value.clone(), now));
                value
            }
        }
    }

    fn change(&self, key: &str, value: Option<(String, Option<Timestamp>)>) {
        let now = self.shared.now.get();
        if self.shared.lag.get() == Lag::Elsewhere {
            let value = value.as_ref().map(|(value, _)| value.clone());
            self.seen.borrow_mut().insert(key.to_owned(), (value, now));
        }
        self.shared.put(key, value);
    }
}

impl Kv for MemoryKv {
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        let fate = self.shared.call(Verb::KvRead, key);
        later(move || match fate {
            Fate::Good => Ok(self.look(key)),
            Fate::Reads(text) => Ok(self.look(key).map(|_| text.to_owned())),
            Fate::Fails => Err(Fault::Kv),
        })
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Option<Timestamp>,
    ) -> Pending<'a, Result<(), Fault>> {
        let fate = self.shared.call(Verb::KvWrite, key);
        later(move || {
            if matches!(fate, Fate::Fails) {
                return Err(Fault::Kv);
            }
            // What Workers KV refuses.
            let now = self.shared.now.get();
            assert!(key.len() <= 512, "a key of {} bytes", key.len());
            assert!(
                expires.is_none_or(|end| end >= now + Seconds(60)),
                "an expiry less than a minute ahead"
            );
            self.change(key, Some((value.to_owned(), expires)));
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        let fate = self.shared.call(Verb::KvDelete, key);
        later(move || {
            if matches!(fate, Fate::Fails) {
                return Err(Fault::Kv);
            }
            self.change(key, None);
            Ok(())
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<&'a str>,
        limit: u32,
    ) -> Pending<'a, Result<KeyPage, Fault>> {
        let fate = self.shared.call(Verb::KvList, prefix);
        later(move || {
            if matches!(fate, Fate::Fails) {
                return Err(Fault::Kv);
            }
            let values = self.shared.values.borrow();
            let mut keys: Vec<String> = values
                .keys()
                .filter(|key| key.starts_with(prefix))
                .filter(|key| cursor.is_none_or(|after| key.as_str() > after))
                .cloned()
                .collect();
            let limit = usize::try_from(limit).unwrap();
            let more = keys.len() > limit;
            keys.truncate(limit);
            let cursor = keys.last().filter(|_| more).cloned();
            Ok(KeyPage {
                keys,
                cursor,
                ..KeyPage::default()
            })
        })
    }
}

struct MemoryOnce(Rc<Shared>);

impl MemoryOnce {
    fn take<'a>(
        &'a self,
        key: &'a str,
        replaced: Option<&'a str>,
        value: &'a str,
        end: Timestamp,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>> {
        let fate = self.0.call(Verb::Acquire, key);
        later(move || match fate {
            Fate::Fails => Err(Fault::Once),
            Fate::Reads(text) => Ok(text.to_owned()),
            Fate::Good => {
                let mut claims = self.0.claims.borrow_mut();
                if let Some((held, _)) = claims.get(key).filter(|(_, end)| now < *end)
                    && replaced != Some(held.as_str())
                {
                    return Ok(held.clone());
                }
                claims.insert(key.to_owned(), (value.to_owned(), end));
                Ok(value.to_owned())
            }
        })
    }
}

impl Once for MemoryOnce {
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>> {
        self.take(key, None, value, now + hold, now)
    }

    fn release<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        let fate = self.0.call(Verb::Release, key);
        later(move || {
            if matches!(fate, Fate::Fails) {
                return Err(Fault::Once);
            }
            self.0.claims.borrow_mut().remove(key);
            Ok(())
        })
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        held: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>> {
        self.take(key, Some(held), value, now + hold, now)
    }

    fn changed<'a>(
        &'a self,
        key: &'a str,
        held: &'a str,
        _: Seconds,
    ) -> Pending<'a, Result<Option<String>, Fault>> {
        let fate = self.0.call(Verb::Changed, key);
        Box::pin(async move {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Once);
            }
            // Lets other requests proceed.
            for _ in 0..1000 {
                let now = self.0.now.get();
                let claim = self.0.claims.borrow().get(key).cloned();
                match claim.filter(|(_, end)| now < *end) {
                    Some((value, _)) if value == held => later(|| ()).await,
                    claim => return Ok(claim.map(|(value, _)| value)),
                }
            }
            Ok(Some(held.to_owned()))
        })
    }
}

/// Other servers, as a test plays them.
struct MemoryFetch(Rc<Shared>);

impl Fetch for MemoryFetch {
    fn fetch<'a>(&'a self, request: Outgoing<'a>) -> Pending<'a, Result<Incoming, Fault>> {
        let played = self.0.servers.borrow().is_some();
        let key = if played {
            format!("{} {}", request.method, request.url)
        } else {
            request.url.to_owned()
        };
        let fate = self.0.call(Verb::Fetch, &key);
        later(move || {
            let answer = if let Some(answer) = &*self.0.servers.borrow() {
                answer(&request)
            } else {
                let found = self.0.answers.borrow().get(request.url).cloned();
                found.map(|(status, body)| Incoming {
                    status,
                    headers: Vec::new(),
                    body,
                })
            };
            let answer = answer.filter(|_| matches!(fate, Fate::Good));
            match answer.ok_or(Fault::Fetch)? {
                answer if answer.body.len() > request.limit => Err(Fault::FetchTooLong),
                answer => Ok(answer),
            }
        })
    }
}

/// `WebCrypto`'s verbs, by the native crates.
struct NativeCrypto(Rc<Shared>, Seeded);

impl Crypto for NativeCrypto {
    fn generate(&self, algorithm: Algorithm) -> Pending<'_, Result<KeyPair, Fault>> {
        let fate = self.0.call(Verb::Generate, "");
        later(move || {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Crypto);
            }
            let mut seed = [0_u8; 32];
            self.1.fill(&mut seed);
            Ok(crypto::generate(algorithm, seed))
        })
    }

    fn sign<'a>(
        &'a self,
        algorithm: Algorithm,
        private: SealedKey<'a>,
        message: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        let fate = self.0.call(Verb::Sign, "");
        later(move || {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Crypto);
            }
            let opened = open(private.secret, private.sealed)?;
            Ok(crypto::sign(algorithm, &opened, message))
        })
    }

    fn verify<'a>(&'a self, check: Check<'a>) -> Pending<'a, Result<bool, Fault>> {
        let fate = self.0.call(Verb::Verify, "");
        later(move || {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Crypto);
            }
            Ok(crypto::verify(check))
        })
    }

    fn seal<'a>(
        &'a self,
        key: &'a [u8; 32],
        plain: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        let fate = self.0.call(Verb::Seal, "");
        later(move || {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Crypto);
            }
            let mut sealed = vec![0_u8; 12];
            self.1.fill(&mut sealed);
            let nonce = Nonce::clone_from_slice(&sealed);
            let cipher = Aes256Gcm::new(key.into());
            sealed.extend(cipher.encrypt(&nonce, plain).map_err(|_| Fault::Crypto)?);
            Ok(sealed)
        })
    }

    fn open<'a>(
        &'a self,
        key: &'a [u8; 32],
        sealed: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        let fate = self.0.call(Verb::Open, "");
        later(move || {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Crypto);
            }
            open(key, sealed)
        })
    }
}

fn open(key: &[u8; 32], sealed: &[u8]) -> Result<Vec<u8>, Fault> {
    let (nonce, text) = sealed.split_at_checked(12).ok_or(Fault::Crypto)?;
    let cipher = Aes256Gcm::new(key.into());
    cipher
        .decrypt(Nonce::from_slice(nonce), text)
        .map_err(|_| Fault::Crypto)
}

/// Looks random, but is the same in every run.
pub struct Seeded {
    seed: u64,
    drawn: Cell<u64>,
}

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: Cell::new(0),
        }
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let number = self.drawn.replace(self.drawn.get() + 1);
            let block = sha256(format!("{} {number}", self.seed).as_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

struct MemoryLimit(Rc<Shared>);

impl Limit for MemoryLimit {
    fn allow<'a>(&'a self, counter: Counter, key: &'a str) -> Pending<'a, Result<bool, Fault>> {
        let fate = self.0.call(Verb::Allow, &format!("{counter:?} {key}"));
        later(move || match fate {
            Fate::Fails => Err(Fault::Limit),
            _ => Ok(!self.0.limited.get()),
        })
    }
}

/// The body of one request.
pub struct MemoryBody {
    pub shared: Rc<Shared>,
    pub bytes: Vec<u8>,
    pub whole_head: String,
}

impl Received for MemoryBody {
    fn whole_head(&self) -> Option<String> {
        Some(self.whole_head.clone())
    }

    fn read(&self, limit: usize, _: Sender) -> Pending<'_, Result<BodyRead, Fault>> {
        let fate = self.shared.call(Verb::Body, "");
        later(move || match fate {
            Fate::Fails => Err(Fault::Body),
            _ if self.bytes.len() > limit => Ok(BodyRead::TooLong),
            _ => Ok(BodyRead::Whole(self.bytes.clone())),
        })
    }
}
