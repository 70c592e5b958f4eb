//! An edge in memory: isolates with their own memories, at locations that share one key-value
//! store, one clock and one place where the first to come wins.

pub mod audit;
pub mod crypto;
pub mod directory;
pub mod disclosure;
pub mod issuer;
pub mod keys;
pub mod outbox;
pub mod passwords;
pub mod ports;
pub mod records;
pub mod request;
pub mod shared;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use edgeward::admin::api_tokens::{self, NewApiToken};
use edgeward::jose::hmac::HmacAlgorithm;
use edgeward::jose::jws::{self, Kind};
use edgeward::memory::world::World;
use edgeward::model::api_token::{IssueFor, Scope};
use edgeward::model::user::Name;
use edgeward::pipeline::{self, Outcome};
use edgeward::platform::time::{Seconds, Timestamp};
use edgeward::site::disclosure::Disclosure;
use edgeward::store::api_tokens::ApiTokens;
use serde_json::{Value, json};

use ports::{Location, MemoryBody, Seeded, platform};
use request::{Req, Seen, get, open, req};
use shared::Shared;

/// When every test begins.
pub const START: Timestamp = Timestamp::from_seconds(1_780_000_000);
pub const SESSION_SECRET: &str = "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu";
pub const TOKEN_SECRET: &str = "Zx81mQw0eRt5yUi7oPa3sDf6gHj9kLzX";
pub const KEY_SECRET: &str = "Vb4nMq2wEr8tYu1iOp5aSd7fGh0jKl3z";
pub const SSO: &str = "ls_auth_token";
pub const OWN: &str = "__Host-edgeward";

/// The bindings with good secrets and one site named `app`, `settings` laid over the defaults.
pub fn bindings(settings: &Value) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("EDGEWARD_SESSION_SECRET_1".into(), SESSION_SECRET.into()),
        ("EDGEWARD_TOKEN_SECRET_1".into(), TOKEN_SECRET.into()),
        ("EDGEWARD_KEY_SECRET_1".into(), KEY_SECRET.into()),
        ("EDGEWARD_SITE_APP".into(), site(settings)),
    ])
}

/// A site with everything on, `settings` laid over it.
pub fn site(settings: &Value) -> String {
    let mut site = json!({
        "hosts": ["site.example"],
        "upstream": "https://origin.example",
        "sources": ["session", "sso_cookie", "query", "bearer"],
        "unauthenticated": "deny",
        "sso_cookie": {"name": SSO},
        "query": {"single_use": true, "user_switch": "confirm"},
        "identity_headers": ["x-forwarded", "remote"],
        "custom_headers": {"x-staff": "staff"},
        "assertion": {},
    });
    let members = site.as_object_mut().unwrap();
    members.extend(settings.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    site.to_string()
}

/// Everything that isolates share.
pub struct Edge {
    pub shared: Rc<Shared>,
    pub bindings: BTreeMap<String, String>,
    isolates: Rc<Cell<u64>>,
}

impl Edge {
    /// With one site, `settings` laid over the defaults; `null` takes a default away.
    pub fn new(settings: &Value) -> Self {
        Self::with(bindings(settings))
    }

    pub fn with(bindings: BTreeMap<String, String>) -> Self {
        let shared = Rc::new(Shared::default());
        shared.now.set(START);
        Self {
            shared,
            bindings,
            isolates: Rc::default(),
        }
    }

    /// The same edge after a deployment with other bindings.
    pub fn deployed(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) -> Self {
        let mut bindings = self.bindings.clone();
        change(&mut bindings);
        Self {
            shared: Rc::clone(&self.shared),
            bindings,
            isolates: Rc::clone(&self.isolates),
        }
    }

    /// An isolate at a location of its own.
    pub fn isolate(&self) -> Isolate {
        self.isolate_at(&Location::default())
    }

    pub fn isolate_at(&self, location: &Location) -> Isolate {
        let seed = self.isolates.get() + 1;
        self.isolates.set(seed);
        let config = edgeward::config::parse(&self.bindings).unwrap();
        Isolate {
            shared: Rc::clone(&self.shared),
            world: Rc::new(World::new(config, platform(&self.shared, location, seed))),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.shared.now.get()
    }

    /// Does what was to be done after answers. Returns how many tasks that were.
    pub fn run_tasks(&self) -> usize {
        let tasks = std::mem::take(&mut *self.shared.tasks.borrow_mut());
        let count = tasks.len();
        for task in tasks {
            run(task);
        }
        count
    }

    pub fn wait(&self, seconds: u32) {
        self.shared.now.set(self.now() + Seconds(seconds));
    }

    /// An API token, put into the store as the shell command does.
    pub fn api_token(&self, scopes: &[Scope]) -> String {
        self.limited_api_token(scopes, IssueFor::default(), None)
    }

    pub fn limited_api_token(
        &self,
        scopes: &[Scope],
        issue_for: IssueFor,
        expires_in: Option<Seconds>,
    ) -> String {
        let seed = self.isolates.get() + 1;
        self.isolates.set(seed);
        let new = NewApiToken {
            name: Name::parse("test").unwrap(),
            scopes: scopes.to_vec(),
            issue_for,
            acts_as: None,
            expires_in,
            created_by: "shell".into(),
        };
        let (plain, record) = api_tokens::make(&Seeded::new(seed), new, self.now());
        let (key, value) = ApiTokens::record(&record).unwrap();
        self.shared.values.borrow_mut().insert(key, (value, None));
        plain.reveal().to_owned()
    }
}

/// One isolate.
#[derive(Clone)]
pub struct Isolate {
    pub shared: Rc<Shared>,
    pub world: Rc<World>,
}

impl Isolate {
    /// Sends a request and waits for what becomes of it. The core is told as much of it as in the Worker:
    /// what it reads of a request to the origin, and every header at our own endpoints.
    pub fn send(&self, request: &Req) -> Seen {
        disclosure::assert_enough(&self.world.config, request);
        let (outcome, polls) = run(self.begin(request));
        Seen {
            request: request.clone(),
            outcome,
            polls,
        }
    }

    /// Begins with a request.
    pub fn begin(&self, request: &Req) -> impl Future<Output = Outcome> + use<> {
        let body = MemoryBody {
            shared: Rc::clone(&self.shared),
            bytes: request.body.clone(),
            whole_head: request.snapshot(|_, _| Disclosure::Value),
        };
        pipeline::handle(
            Rc::clone(&self.world),
            request.parts(&self.world.config),
            Rc::new(body),
            "request-1".into(),
            self.shared.now.get(),
        )
    }

    /// An SSO token for `email` by `POST /api/sso/token`.
    pub fn issue(&self, api_token: &str, email: &str) -> String {
        let call = req("POST", "/api/sso/token")
            .api_token(api_token)
            .json(&json!({ "email": email }));
        let seen = self.send(&call);
        assert_eq!(seen.status(), 200, "{}", seen.body());
        seen.json()["token"].as_str().unwrap().to_owned()
    }

    /// Signs `email` in with the application's cookie; gives our cookie's pair.
    pub fn sign_in(&self, api_token: &str, email: &str) -> String {
        let token = self.issue(api_token, email);
        let seen = self.send(&open("/").cookie(&format!("{SSO}={token}")));
        seen.session().expect("a session")
    }

    /// The user that the credential of `request` stands for, by `/api/sso/me`.
    pub fn me(&self, cookie: &str) -> Option<Value> {
        let seen = self.send(&get("/api/sso/me").cookie(cookie));
        (seen.status() == 200).then(|| seen.json())
    }

    /// An admin call that must be answered with `status`.
    pub fn admin(&self, api_token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let seen = self.send(&req(method, path).api_token(api_token).json(body));
        let body = if seen.body().is_empty() {
            Value::Null
        } else {
            seen.json()
        };
        (seen.status(), body)
    }

    /// A token signed with our own secrets, of any kind and with any claims.
    pub fn forge(&self, kind: Kind, claims: &Value) -> String {
        let keys = match kind {
            Kind::Session => &self.world.config.keys.session,
            Kind::Sso | Kind::Assertion => &self.world.config.keys.token,
        };
        jws::sign(kind, HmacAlgorithm::Hs256, keys, claims)
    }
}

/// The claims of a token, without looking at its signature.
pub fn claims_of(token: &str) -> Value {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

/// `token` with another signature of the same length.
pub fn tampered(token: &str) -> String {
    let at = token.rfind('.').unwrap() + 1;
    let (head, signature) = token.split_at(at);
    let (first, rest) = signature.split_at(1);
    let other = if first == "A" { "B" } else { "A" };
    format!("{head}{other}{rest}")
}

/// Polls once.
pub fn step<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Polls until it is ready; says how often that was.
pub fn run<F: Future>(future: F) -> (F::Output, usize) {
    let mut future = pin!(future);
    for polls in 1..100_000 {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return (output, polls);
        }
    }
    panic!("never ready");
}
