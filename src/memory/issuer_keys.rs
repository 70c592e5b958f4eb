//! The keys of issuers that an isolate has cached, and when each issuer was last asked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::jose::key::{KeyError, KeySet};
use crate::memory::provider::{Endpoints, ProviderCause};
use crate::platform::shelf::{ISSUER_KEYS, Weigh as _};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::{Issuer, RemoteKeys};

/// A fetch that has not returned after this time never will: its request is gone.
pub const LOST_AFTER: Seconds = Seconds(10);

/// The most failures that wait for their lines in the log.
const MAX_FAILURES: usize = 16;

/// Why an issuer's keys could not be fetched, for the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeysFailure {
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The host that was asked, or was not to be asked.
    pub host: String,
    pub cause: KeysCause,
}

/// What went wrong with one document of an issuer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeysCause {
    #[error(
        "the URL may not be asked: it is no public https address, or one of Edgeward's own sites"
    )]
    Address,
    #[error("no answer in time")]
    Timeout,
    #[error("the connection failed")]
    Connection,
    #[error("too many requests are waiting in this isolate")]
    Overloaded,
    /// A redirect is never followed.
    #[error("status {0}, a redirect, which is not followed; configure the URL that it leads to")]
    Redirect(u16),
    #[error("status {0}")]
    Status(u16),
    #[error("the document is longer than 64 KB")]
    TooLong,
    #[error("the discovery document is not a JSON object, or names a member twice")]
    NotJson,
    #[error(
        "the discovery document is that of another issuer: its `issuer` is not the configured one"
    )]
    OtherIssuer,
    #[error("the discovery document has no `jwks_uri`")]
    NoKeySet,
    #[error("the document {0}")]
    Keys(KeyError),
}

/// The keys of all issuers, as an isolate knows them.
#[derive(Default)]
pub struct IssuerKeyMemory {
    states: RefCell<HashMap<String, IssuerState>>,
    /// Issuers whose keys are fetched after the request.
    pub wishes: RefCell<Vec<Rc<Issuer>>>,
    failures: RefCell<Vec<KeysFailure>>,
}

/// The keys of one issuer, and the state of fetching them.
#[derive(Clone, Default)]
pub struct IssuerState {
    /// Of a provider, its endpoints, and when they were asked for.
    pub endpoints: Option<(Rc<Endpoints>, Timestamp)>,
    /// Why they could not be had, and when.
    pub endpoints_failed: Option<(ProviderCause, Timestamp)>,
    /// When it has last failed to renew a session.
    pub renewal_failed: Option<Timestamp>,
    /// When its token endpoint has failed for a sign-in, and how.
    pub sign_in_failed: Option<(Timestamp, ProviderCause)>,
    pub keys: Option<FetchedKeys>,
    /// When the issuer was last asked because of an unknown key.
    pub asked_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    /// When the running fetch started.
    pub under_way: Option<Timestamp>,
}

/// Fetched keys.
#[derive(Clone)]
pub struct FetchedKeys {
    pub keys: Rc<KeySet>,
    /// The URL of the key set, if a discovery document named it.
    pub jwks_uri: Option<Rc<str>>,
    pub fetched_at: Timestamp,
}

impl IssuerState {
    /// Whether a request of this isolate is fetching the keys.
    #[must_use]
    pub fn is_under_way(&self, now: Timestamp) -> bool {
        self.under_way.is_some_and(|began| now < began + LOST_AFTER)
    }

    /// Whether the issuer failed so recently that it is not asked again.
    #[must_use]
    pub fn has_failed(&self, remote: &RemoteKeys, now: Timestamp) -> bool {
        self.failed_at.is_some_and(|at| now < at + remote.cooldown)
    }
}

impl IssuerKeyMemory {
    /// Notes a failure for the log. Each follows a request to an issuer, and those have a cool-down.
    pub fn note_failure(&self, failure: KeysFailure) {
        let mut failures = self.failures.borrow_mut();
        if failures.len() < MAX_FAILURES {
            failures.push(failure);
        }
    }

    /// Takes what was noted for the log.
    #[must_use]
    pub fn take_failures(&self) -> Vec<KeysFailure> {
        std::mem::take(&mut *self.failures.borrow_mut())
    }

    /// A copy of the state of `issuer`.
    pub fn state(&self, issuer: &Issuer) -> IssuerState {
        let states = self.states.borrow();
        states.get(&issuer.name).cloned().unwrap_or_default()
    }

    /// Changes the state of `issuer`.
    pub fn change(&self, issuer: &Issuer, change: impl FnOnce(&mut IssuerState)) {
        let mut states = self.states.borrow_mut();
        if let Some(state) = states.get_mut(&issuer.name) {
            change(state);
        } else {
            let mut state = IssuerState::default();
            change(&mut state);
            states.insert(issuer.name.clone(), state);
        }
    }

    /// Caches the keys of `issuer`. If all keys together weigh too much, those that were fetched
    /// longest ago are dropped; they can be read from the store again.
    pub fn keep(&self, issuer: &Issuer, known: FetchedKeys) {
        self.change(issuer, |state| state.keys = Some(known));
        while self.weight() > ISSUER_KEYS.bytes {
            let mut states = self.states.borrow_mut();
            let others = states.iter_mut().filter(|(name, _)| **name != issuer.name);
            let oldest = others
                .filter_map(|(_, state)| Some((state.keys.as_ref()?.fetched_at, &mut state.keys)))
                .min_by_key(|(fetched_at, _)| *fetched_at);
            match oldest {
                Some((_, keys)) => *keys = None,
                None => return,
            }
        }
    }

    /// The weight of all keys, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let states = self.states.borrow();
        let of = |state: &IssuerState| {
            let keys = state.keys.as_ref();
            let keys = keys.map_or(0, |known| known.keys.heap() + known.jwks_uri.heap());
            keys + state
                .endpoints
                .as_ref()
                .map_or(0, |(known, _)| known.heap())
        };
        states.values().map(of).sum()
    }
}
