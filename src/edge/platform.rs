//! The ports, answered by the Workers runtime.

use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::kv::KvStore;
use worker::{Env, RateLimiter};

use super::bindings;
use crate::config::ConfigError;
use crate::port::{
    Counter, Crypto, Entropy, Fault, Fetch, Incoming, KeyPage, KeyPair, Kv, Limit, Once, Outgoing,
    Pending, Platform,
};
use crate::time::{Seconds, Timestamp};

/// The platform of `env`; what is not bound goes to `errors`.
pub fn platform(env: &JsValue, errors: &mut Vec<ConfigError>) -> Option<Platform> {
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
    let once = js_sys::Reflect::get(&env, &"EDGEWARD_ONCE".into())
        .ok()
        .filter(JsValue::is_object);
    if once.is_none() {
        missing("EDGEWARD_ONCE");
    }
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
        crypto: Box::new(WebCrypto),
        entropy: Box::new(WebEntropy),
        limit: Box::new(RateLimit {
            calls: calls?,
            failures: failures?,
        }),
        fetch: Box::new(WebFetch),
    })
}

struct WorkersKv(KvStore);

impl Kv for WorkersKv {
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async move { self.0.get(key).text().await.map_err(|_| Fault::Kv) })
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        expires: Option<Timestamp>,
    ) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            let mut put = self.0.put(key, value).map_err(|_| Fault::Kv)?;
            if let Some(expires) = expires {
                put = put.expiration(expires.seconds());
            }
            put.execute().await.map_err(|_| Fault::Kv)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move { self.0.delete(key).await.map_err(|_| Fault::Kv) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        cursor: Option<&'a str>,
        limit: u32,
    ) -> Pending<'a, Result<KeyPage, Fault>> {
        Box::pin(async move {
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
            Ok(KeyPage {
                keys: page.keys.into_iter().map(|key| key.name).collect(),
                cursor,
            })
        })
    }
}

struct DurableOnce(JsValue);

impl Once for DurableOnce {
    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        hold: Seconds,
        now: Timestamp,
    ) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async move {
            let winner = settled(bindings::claim(&self.0, key, value, end(now, hold))).await;
            winner
                .ok()
                .and_then(|winner| winner.as_string())
                .ok_or(Fault::Once)
        })
    }

    fn release<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            settled(bindings::release(&self.0, key))
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
            let expires = end(now, hold);
            let winner = settled(bindings::replace(&self.0, key, held, value, expires)).await;
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
            let patience = f64::from(patience.0) * 1000.0;
            settled(bindings::changed(&self.0, key, held, patience))
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
fn end(now: Timestamp, hold: Seconds) -> f64 {
    (now + hold).millis() as f64
}

struct WebFetch;

impl Fetch for WebFetch {
    fn fetch<'a>(&'a self, request: Outgoing<'a>) -> Pending<'a, Result<Incoming, Fault>> {
        let mut head = format!("{}\n{}", request.method, request.url);
        for (name, value) in request.headers {
            for line in [name, value] {
                head.push('\n');
                head.extend(line.chars().filter(|c| !c.is_control()));
            }
        }
        let limit = u32::try_from(request.limit).unwrap_or(u32::MAX);
        let answer = bindings::call(&head, request.body, limit, request.timeout);
        Box::pin(async move {
            let answer: Array = settled(answer)
                .await
                .ok()
                .and_then(|answer| answer.dyn_into().ok())
                .ok_or(Fault::Fetch)?;
            let text = |at| answer.get(at).as_string().ok_or(Fault::Fetch);
            let lines = text(1)?;
            let mut lines = lines.split('\n');
            let mut headers = Vec::new();
            while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
                headers.push((name.to_owned(), value.to_owned()));
            }
            Ok(Incoming {
                status: text(0)?.parse().map_err(|_| Fault::Fetch)?,
                headers,
                body: answer
                    .get(2)
                    .dyn_into::<Uint8Array>()
                    .map_err(|_| Fault::Fetch)?
                    .to_vec(),
            })
        })
    }
}

struct WebCrypto;

impl Crypto for WebCrypto {
    fn generate(&self) -> Pending<'_, Result<KeyPair, Fault>> {
        Box::pin(async move {
            let pair: Array = settled(bindings::generate())
                .await
                .ok()
                .and_then(|pair| pair.dyn_into().ok())
                .ok_or(Fault::Crypto)?;
            let private = pair
                .get(0)
                .dyn_into::<Uint8Array>()
                .map_err(|_| Fault::Crypto)?
                .to_vec();
            let x = pair.get(1).as_string().ok_or(Fault::Crypto)?;
            let y = pair.get(2).as_string().ok_or(Fault::Crypto)?;
            Ok(KeyPair { private, x, y })
        })
    }

    fn sign<'a>(
        &'a self,
        private: &'a [u8],
        message: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(bytes(bindings::sign(private, message)))
    }

    fn seal<'a>(
        &'a self,
        key: &'a [u8; 32],
        plain: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(bytes(bindings::seal(key, plain)))
    }

    fn open<'a>(
        &'a self,
        key: &'a [u8; 32],
        sealed: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(bytes(bindings::open(key, sealed)))
    }
}

async fn bytes(promise: Promise) -> Result<Vec<u8>, Fault> {
    let value = settled(promise).await.map_err(|()| Fault::Crypto)?;
    value
        .dyn_into::<Uint8Array>()
        .map(|bytes| bytes.to_vec())
        .map_err(|_| Fault::Crypto)
}

/// What a promise came to. A rejection's text may hold what we passed in, so it is dropped.
pub async fn settled(promise: Promise) -> Result<JsValue, ()> {
    JsFuture::from(promise).await.map_err(|_| ())
}

/// The runtime's generator.
pub struct WebEntropy;

impl Entropy for WebEntropy {
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "the one place for it; without randomness nothing may go on"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the runtime has a random number generator");
    }
}

struct RateLimit {
    calls: RateLimiter,
    failures: RateLimiter,
}

impl Limit for RateLimit {
    fn allow<'a>(&'a self, counter: Counter, key: &'a str) -> Pending<'a, Result<bool, Fault>> {
        let limiter = match counter {
            Counter::Calls => &self.calls,
            Counter::Failures => &self.failures,
        };
        Box::pin(async move {
            let outcome = limiter
                .limit(key.to_owned())
                .await
                .map_err(|_| Fault::Limit)?;
            Ok(outcome.success)
        })
    }
}
