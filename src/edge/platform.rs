//! The ports, implemented by the Workers runtime.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::kv::KvStore;
use worker::{Env, RateLimiter};

use crate::edge::passwords::DurableAttempts;
use crate::edge::{bindings, waiting};
use crate::platform::algorithm::Algorithm;
use crate::platform::port::{
    Audit, AuditCall, Background, Change, Changed, Check, Clock, Counter, Crypto, Directory,
    DirectoryCall, Entropy, Fault, Fetch, Incoming, KeyPage, KeyPair, Kv, Letter, Limit, Mail,
    Monitor, Once, Outbox, OutboxCall, Outgoing, Pending, Platform, Records, SealedKey,
};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::config::ConfigError;

/// The platform of `env`. Missing bindings are added to `errors`.
pub fn platform(env: &JsValue, errors: &mut Vec<ConfigError>) -> Option<Platform> {
    let bindings = env.clone();
    let env: Env = env.clone().unchecked_into();
    let mut missing = |name: &str| {
        let error = "is not bound; see wrangler.toml".to_owned();
        errors.push(ConfigError {
            path: name.to_owned(),
            error,
        });
    };
    let kv = env
        .kv("EDGEWARD_KV")
        .map_err(|_| missing("EDGEWARD_KV"))
        .ok();
    let mut object = |name: &str| {
        let found = js_sys::Reflect::get(&env, &name.into()).ok();
        let found = found.filter(JsValue::is_object);
        if found.is_none() {
            missing(name);
        }
        found
    };
    let once = object("EDGEWARD_ONCE");
    let records = object("EDGEWARD_RECORD");
    // Without a gateway nothing needs these.
    let has_gateway = js_sys::Reflect::has(&env, &"EDGEWARD_GATEWAY".into()) == Ok(true);
    let mut of_gateway = |name: &str| {
        let found = js_sys::Reflect::get(&env, &name.into()).unwrap_or_default();
        if has_gateway && !found.is_object() {
            missing(name);
        }
        found
    };
    let outbox = of_gateway("EDGEWARD_OUTBOX");
    let attempts = Some(of_gateway("EDGEWARD_ATTEMPTS")).filter(JsValue::is_object);
    of_gateway("EDGEWARD_SIGN_IN_LIMIT");
    // Without it, requests go on to origins. What needs a row is refused.
    let audit = js_sys::Reflect::get(&env, &"EDGEWARD_AUDIT".into()).unwrap_or_default();
    let directory = js_sys::Reflect::get(&env, &"EDGEWARD_DIRECTORY".into()).unwrap_or_default();
    let email = js_sys::Reflect::get(&env, &"EDGEWARD_EMAIL".into()).unwrap_or_default();
    let sign_ins = env.rate_limiter("EDGEWARD_SIGN_IN_LIMIT").ok();
    let calls = env
        .rate_limiter("EDGEWARD_LIMIT")
        .map_err(|_| missing("EDGEWARD_LIMIT"))
        .ok();
    let failures = env
        .rate_limiter("EDGEWARD_FAILURE_LIMIT")
        .map_err(|_| missing("EDGEWARD_FAILURE_LIMIT"))
        .ok();
    Some(Platform {
        kv: Box::new(WorkersKv(kv?)),
        once: Box::new(DurableOnce(once?)),
        records: Box::new(DurableRecords(records?)),
        crypto: Box::new(WebCrypto),
        entropy: Box::new(WebEntropy),
        limit: Box::new(RateLimit {
            calls: calls?,
            failures: failures?,
            sign_ins,
        }),
        fetch: Box::new(WebFetch),
        background: Box::new(AfterAnswer),
        clock: Box::new(WallClock),
        outbox: Box::new(DurableOutbox(outbox)),
        audit: Box::new(DurableAudit(audit)),
        directory: Box::new(DurableDirectory(directory)),
        mail: Box::new(BoundMail(email)),
        passwords: Box::new(DurableAttempts(attempts)),
        monitor: Box::new(BoundMonitor(bindings)),
    })
}

/// Refuses an operation that would make a request wait that may not wait.
pub fn check_admitted() -> Result<(), Fault> {
    if waiting::is_admitted() {
        Ok(())
    } else {
        Err(Fault::Overloaded)
    }
}

struct WorkersKv(KvStore);

impl Kv for WorkersKv {
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            self.0.get(key).text().await.map_err(|_| Fault::Kv)
        })
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Option<Timestamp>,
    ) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let mut put = self.0.put(key, value).map_err(|_| Fault::Kv)?;
            if let Some(expires) = expires {
                put = put.expiration(expires.seconds());
            }
            put.execute().await.map_err(|_| Fault::Kv)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            check_admitted()?;
            self.0.delete(key).await.map_err(|_| Fault::Kv)
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<&'a str>,
        limit: u32,
    ) -> Pending<'a, Result<KeyPage, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let mut list = self
                .0
                .list()
                .prefix(prefix.to_owned())
                .limit(u64::from(limit));
            if let Some(cursor) = cursor {
                list = list.cursor(cursor.to_owned());
            }
            let page = list.execute().await.map_err(|_| Fault::Kv)?;
            let cursor = page
                .cursor
                .filter(|cursor| !page.list_complete && !cursor.is_empty());
            let mut found = KeyPage {
                cursor,
                ..KeyPage::default()
            };
            for key in page.keys {
                found.keys.push(key.name);
                let shown = match key.metadata {
                    Some(serde_json::Value::String(value)) => Some(value),
                    _ => None,
                };
                found.shown.push(shown);
            }
            Ok(found)
        })
    }
}

struct DurableRecords(JsValue);

impl Records for DurableRecords {
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            resolve(bindings::read_record(&self.0, key))
                .await
                .map(|value| value.as_string())
                .map_err(|()| Fault::Writer)
        })
    }

    fn read_kept<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            resolve(bindings::read_kept_record(&self.0, key))
                .await
                .map(|value| value.as_string())
                .map_err(|()| Fault::Writer)
        })
    }

    fn change<'a>(&'a self, change: &'a Change) -> Pending<'a, Result<Changed, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let text = serde_json::to_string(change).map_err(|_| Fault::Writer)?;
            let outcome = resolve(bindings::change_record(&self.0, &text))
                .await
                .map_err(|()| Fault::Writer)?;
            Ok(if outcome == JsValue::TRUE {
                Changed::Done
            } else {
                Changed::Holds(outcome.as_string())
            })
        })
    }

    fn keep<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            check_admitted()?;
            resolve(bindings::keep_record(&self.0, key))
                .await
                .map(|_| ())
                .map_err(|()| Fault::Writer)
        })
    }
}

struct DurableOutbox(JsValue);

impl Outbox for DurableOutbox {
    fn call<'a>(
        &'a self,
        service: &'a str,
        call: &'a OutboxCall,
    ) -> Pending<'a, Result<serde_json::Value, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            if !self.0.is_object() {
                return Err(Fault::Outbox);
            }
            let text = serde_json::to_string(call).map_err(|_| Fault::Outbox)?;
            let answer = resolve(bindings::call_outbox(&self.0, service, &text))
                .await
                .map_err(|()| Fault::Outbox)?;
            let answer = answer.as_string().ok_or(Fault::Outbox)?;
            serde_json::from_str(&answer).map_err(|_| Fault::Outbox)
        })
    }
}

struct DurableAudit(JsValue);

impl Audit for DurableAudit {
    fn call<'a>(
        &'a self,
        log: &'a str,
        call: &'a AuditCall,
    ) -> Pending<'a, Result<serde_json::Value, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            if !self.0.is_object() {
                return Err(Fault::Audit);
            }
            let text = serde_json::to_string(call).map_err(|_| Fault::Audit)?;
            let answer = resolve(bindings::call_audit(&self.0, log, &text)).await;
            let answer = answer.ok().and_then(|answer| answer.as_string());
            serde_json::from_str(&answer.ok_or(Fault::Audit)?).map_err(|_| Fault::Audit)
        })
    }
}

/// The binding of the directory, if there is one.
struct DurableDirectory(JsValue);

impl Directory for DurableDirectory {
    fn is_bound(&self) -> bool {
        self.0.is_object()
    }

    fn call<'a>(
        &'a self,
        call: &'a DirectoryCall<'a>,
    ) -> Pending<'a, Result<serde_json::Value, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let text = serde_json::to_string(call).map_err(|_| Fault::Directory)?;
            let answer = resolve(bindings::call_directory(&self.0, &text)).await;
            let answer = answer.ok().and_then(|answer| answer.as_string());
            serde_json::from_str(&answer.ok_or(Fault::Directory)?).map_err(|_| Fault::Directory)
        })
    }
}

/// The binding `send_email`, if there is one.
struct BoundMail(JsValue);

impl Mail for BoundMail {
    fn is_bound(&self) -> bool {
        self.0.is_object()
    }

    fn send<'a>(&'a self, letter: &'a Letter) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let text = serde_json::to_string(letter).map_err(|_| Fault::Mail)?;
            let sent = resolve(bindings::send_mail(&self.0, &text)).await;
            sent.map(|_| ()).map_err(|()| Fault::Mail)
        })
    }
}

/// All bindings.
struct BoundMonitor(JsValue);

impl Monitor for BoundMonitor {
    fn is_bound(&self) -> bool {
        js_sys::Reflect::get(&self.0, &"EDGEWARD_METRICS".into())
            .is_ok_and(|bound| bound.is_object())
    }

    fn sums<'a>(&'a self, families: &'a str, build: &'a str) -> Pending<'a, Result<String, Fault>> {
        Box::pin(text_of(bindings::sums(&self.0, families, build)))
    }

    fn parts<'a>(&'a self, origins: &'a str) -> Pending<'a, Result<String, Fault>> {
        Box::pin(text_of(bindings::parts(&self.0, origins)))
    }
}

async fn text_of(promise: Promise) -> Result<String, Fault> {
    let text = resolve(promise).await.map_err(|()| Fault::Metrics)?;
    text.as_string().ok_or(Fault::Metrics)
}

struct DurableOnce(JsValue);

impl Once for DurableOnce {
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let winner = resolve(bindings::acquire(&self.0, key, value, expiry(now, hold))).await;
            winner
                .ok()
                .and_then(|winner| winner.as_string())
                .ok_or(Fault::Once)
        })
    }

    fn release<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            check_admitted()?;
            resolve(bindings::release(&self.0, key))
                .await
                .map(|_| ())
                .map_err(|()| Fault::Once)
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
        Box::pin(async move {
            check_admitted()?;
            let expires = expiry(now, hold);
            let winner = resolve(bindings::replace(&self.0, key, held, value, expires)).await;
            winner
                .ok()
                .and_then(|winner| winner.as_string())
                .ok_or(Fault::Once)
        })
    }

    fn changed<'a>(
        &'a self,
        key: &'a str,
        held: &'a str,
        patience: Seconds,
    ) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let patience = f64::from(patience.0) * 1000.0;
            resolve(bindings::changed(&self.0, key, held, patience))
                .await
                .map(|value| value.as_string())
                .map_err(|()| Fault::Once)
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970, far below 2^53"
)]
fn expiry(now: Timestamp, hold: Seconds) -> f64 {
    (now + hold).millis() as f64
}

struct WebCrypto;

impl Crypto for WebCrypto {
    fn generate(&self, algorithm: Algorithm) -> Pending<'_, Result<KeyPair, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let pair: Array = resolve(bindings::generate(algorithm.name()))
                .await
                .ok()
                .and_then(|pair| pair.dyn_into().ok())
                .ok_or(Fault::Crypto)?;
            let bytes = |at| {
                let item = pair.get(at).dyn_into::<Uint8Array>();
                item.map(|item| item.to_vec()).map_err(|_| Fault::Crypto)
            };
            Ok(KeyPair {
                private: bytes(0)?,
                public: bytes(1)?,
            })
        })
    }

    fn sign<'a>(
        &'a self,
        algorithm: Algorithm,
        private: SealedKey<'a>,
        message: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(bytes(move || {
            bindings::sign(algorithm.name(), private.secret, private.sealed, message)
        }))
    }

    fn verify<'a>(&'a self, check: Check<'a>) -> Pending<'a, Result<bool, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let promise = bindings::verify(
                check.algorithm.name(),
                check.key,
                check.message,
                check.signature,
            );
            let good = resolve(promise).await.map_err(|()| Fault::Crypto)?;
            good.as_bool().ok_or(Fault::Crypto)
        })
    }

    fn seal<'a>(
        &'a self,
        key: &'a [u8; 32],
        plain: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(bytes(|| bindings::seal(key, plain)))
    }

    fn open<'a>(
        &'a self,
        key: &'a [u8; 32],
        sealed: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(bytes(|| bindings::open(key, sealed)))
    }
}

async fn bytes(begin: impl FnOnce() -> Promise) -> Result<Vec<u8>, Fault> {
    check_admitted()?;
    let value = resolve(begin()).await.map_err(|()| Fault::Crypto)?;
    value
        .dyn_into::<Uint8Array>()
        .map(|bytes| bytes.to_vec())
        .map_err(|_| Fault::Crypto)
}

/// The value of a promise. The text of a rejection may contain what we passed in, so it is dropped.
pub async fn resolve(promise: Promise) -> Result<JsValue, ()> {
    JsFuture::from(promise).await.map_err(|_| ())
}

/// The runtime's random number generator.
pub struct WebEntropy;

impl Entropy for WebEntropy {
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "the one place for it; without randomness the Worker must not continue"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the runtime has a random number generator");
    }
}

struct RateLimit {
    calls: RateLimiter,
    failures: RateLimiter,
    /// Only where there is a gateway.
    sign_ins: Option<RateLimiter>,
}

impl Limit for RateLimit {
    fn allow<'a>(&'a self, counter: Counter, key: &'a str) -> Pending<'a, Result<bool, Fault>> {
        let limiter = match counter {
            Counter::Calls => Some(&self.calls),
            Counter::Failures => Some(&self.failures),
            Counter::SignIns => self.sign_ins.as_ref(),
        };
        Box::pin(async move {
            check_admitted()?;
            let limiter = limiter.ok_or(Fault::Limit)?;
            let outcome = limiter
                .limit(key.to_owned())
                .await
                .map_err(|_| Fault::Limit)?;
            Ok(outcome.success)
        })
    }
}

/// What `outgoing` gives for an answer that is too long; any other number is for one that did not come in time.
const ANSWER_TOO_LONG: f64 = 1.0;

struct WebFetch;

impl Fetch for WebFetch {
    fn fetch<'a>(&'a self, request: Outgoing<'a>) -> Pending<'a, Result<Incoming, Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let headers: Vec<&str> = request
                .headers
                .iter()
                .flat_map(|(name, value)| [*name, *value])
                .collect();
            let promise = bindings::outgoing(
                request.method,
                request.url,
                &headers.join("\n"),
                request.body,
                u32::try_from(request.limit).unwrap_or(u32::MAX),
                request.timeout,
            );
            let answer = resolve(promise).await.map_err(|()| Fault::Fetch)?;
            match answer.as_f64() {
                Some(ANSWER_TOO_LONG) => Err(Fault::FetchTooLong),
                Some(_) => Err(Fault::FetchTimeout),
                None => incoming(answer).ok_or(Fault::Fetch),
            }
        })
    }
}

fn incoming(answer: JsValue) -> Option<Incoming> {
    let answer: Array = answer.dyn_into().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a status, from 200 to 599"
    )]
    let status = answer.get(0).as_f64()? as u16;
    let lines = answer.get(1).as_string()?;
    let lines: Vec<&str> = lines.split('\n').collect();
    let headers = lines.chunks_exact(2).filter_map(|pair| match pair {
        [name, value] => Some(((*name).to_owned(), (*value).to_owned())),
        _ => None,
    });
    Some(Incoming {
        status,
        headers: headers.collect(),
        body: answer.get(2).dyn_into::<Uint8Array>().ok()?.to_vec(),
    })
}

struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds since 1970, far below 2^53"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(js_sys::Date::now() as u64)
    }
}

struct AfterAnswer;

impl Background for AfterAnswer {
    fn spawn(&self, work: Pending<'static, ()>) {
        let (id, held) = waiting::hold(work);
        let promise = future_to_promise(async move {
            held.await;
            Ok(JsValue::UNDEFINED)
        });
        // A failure of the instance has been reported where it happened.
        drop(bindings::hold(&promise, id));
    }

    fn admit(&self) -> Result<(), Fault> {
        check_admitted()
    }

    fn pause(&self, milliseconds: u32) -> Pending<'_, Result<(), Fault>> {
        Box::pin(async move {
            check_admitted()?;
            let _ = resolve(bindings::pause(milliseconds)).await;
            Ok(())
        })
    }
}
