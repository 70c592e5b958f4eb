//! The ports, implemented for a shell: the store through `wrangler kv`, one process per call.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use edgeward::platform::algorithm::Algorithm;
use edgeward::platform::port::{
    Attempt, Attempted, Audit, AuditCall, Background, Change, Changed, Check, Clock, Counter,
    Crypto, Entropy, Fault, Fetch, Incoming, KeyPage, KeyPair, Kv, Letter, Limit, Mail, Monitor,
    NewPassword, Once, Outbox, OutboxCall, Outgoing, PasswordHash, Passwords, Pending, Platform,
    Records, SealedKey,
};
use edgeward::platform::time::{Seconds, Timestamp};

const BINDING: &str = "EDGEWARD_KV";

/// How to run wrangler for one deployment.
#[derive(Clone)]
pub struct Wrangler {
    command: Vec<String>,
    remote: bool,
    env: Option<String>,
}

impl Wrangler {
    /// Runs the command in `EDGEWARD_WRANGLER`, a JSON list of the program and its first arguments.
    pub fn new(remote: bool, env: Option<&str>) -> Result<Self, String> {
        let text = std::env::var("EDGEWARD_WRANGLER").map_err(|_| {
            "start this through `npm run admin -- …`, which knows where wrangler is".to_owned()
        })?;
        let command: Vec<String> = serde_json::from_str(&text)
            .map_err(|error| format!("EDGEWARD_WRANGLER is not a JSON list: {error}"))?;
        let env = env
            .map(str::to_owned)
            .or_else(|| (!remote).then(|| "local".to_owned()));
        Ok(Self {
            command,
            remote,
            env,
        })
    }

    /// Whether this is the deployment at Cloudflare.
    pub const fn is_remote(&self) -> bool {
        self.remote
    }

    /// Runs `wrangler` with `args`, gives it `input`, and returns what it printed.
    pub fn run(&self, args: &[&str], input: Option<&str>) -> Result<String, String> {
        let (program, first) = self
            .command
            .split_first()
            .ok_or("EDGEWARD_WRANGLER is empty")?;
        let mut command = Command::new(program);
        command.args(first).args(args);
        // An empty name means the top level; without it, wrangler asks which environment to use.
        command.args(["--env", self.env.as_deref().unwrap_or("")]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| format!("wrangler could not be started: {error}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin
                .write_all(input.unwrap_or_default().as_bytes())
                .map_err(|error| error.to_string())?;
        }
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let said = format!("{}{}", text(&output.stderr), text(&output.stdout));
        Err(format!(
            "`wrangler {}` failed:\n{}",
            args.join(" "),
            said.trim()
        ))
    }

    fn kv(&self, args: &[&str], input: Option<&str>) -> Result<String, String> {
        let place = if self.remote { "--remote" } else { "--local" };
        self.run(&[args, &["--binding", BINDING, place]].concat(), input)
    }

    /// The platform on top of this wrangler. Writes are held back until [`ShellKv::flush`].
    pub fn platform(&self) -> Result<(Platform, std::rc::Rc<ShellKv>), String> {
        let kv = std::rc::Rc::new(ShellKv::open(self.clone())?);
        let platform = Platform {
            kv: Box::new(SharedKv(std::rc::Rc::clone(&kv))),
            once: Box::new(Unreachable),
            records: Box::new(Unreachable),
            outbox: Box::new(Unreachable),
            audit: Box::new(Unreachable),
            mail: Box::new(Unreachable),
            monitor: Box::new(Unreachable),
            crypto: Box::new(NoCrypto),
            entropy: Box::new(SystemEntropy),
            limit: Box::new(NoLimit),
            fetch: Box::new(NoFetch),
            background: Box::new(NoBackground),
            passwords: Box::new(Unreachable),
            clock: Box::new(SystemClock),
        };
        Ok((platform, kv))
    }
}

/// The time of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "a shell around the core has to provide the time"
)]
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The store. Lists the names of all keys once, so that looking up a missing key costs no process;
/// holds changes back and writes them together.
pub struct ShellKv {
    wrangler: Wrangler,
    names: RefCell<BTreeSet<String>>,
    changes: RefCell<BTreeMap<String, Option<String>>>,
    error: RefCell<Option<String>>,
}

impl ShellKv {
    fn open(wrangler: Wrangler) -> Result<Self, String> {
        let text = wrangler.kv(&["kv", "key", "list"], None)?;
        let start = text.find('[').ok_or("wrangler listed no keys")?;
        let keys: Vec<serde_json::Value> =
            serde_json::from_str(text.get(start..).unwrap_or_default())
                .map_err(|error| format!("wrangler's list of keys cannot be parsed: {error}"))?;
        let names = keys
            .iter()
            .filter_map(|key| Some(key.get("name")?.as_str()?.to_owned()))
            .collect();
        Ok(Self {
            wrangler,
            names: RefCell::new(names),
            changes: RefCell::default(),
            error: RefCell::default(),
        })
    }

    /// Writes the changes that were held back.
    pub fn flush(&self) -> Result<(), String> {
        let changes = self.changes.take();
        let (puts, deletes): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|(_, value)| value.is_some());
        if !puts.is_empty() {
            let pairs: Vec<_> = puts
                .iter()
                .filter_map(|(key, value)| {
                    Some(serde_json::json!({ "key": key, "value": value.as_ref()? }))
                })
                .collect();
            self.bulk("put", &serde_json::Value::Array(pairs).to_string())?;
        }
        if !deletes.is_empty() {
            let keys: Vec<_> = deletes.into_iter().map(|(key, _)| key).collect();
            self.bulk("delete", &serde_json::json!(keys).to_string())?;
        }
        Ok(())
    }

    /// Wrangler's own message for the last failure; the port can only say that there was one.
    pub fn last_error(&self) -> Option<String> {
        self.error.borrow().clone()
    }

    /// `wrangler kv bulk` reads a file. It contains hashes of API tokens, so it is in a private
    /// folder.
    fn bulk(&self, verb: &str, content: &str) -> Result<(), String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let file = folder.path().join("keys.json");
        std::fs::write(&file, content).map_err(|error| error.to_string())?;
        let file = file.to_string_lossy();
        let force: &[&str] = if verb == "delete" { &["--force"] } else { &[] };
        self.wrangler
            .kv(&[&["kv", "bulk", verb, &file], force].concat(), None)
            .map(|_| ())
    }

    fn get(&self, key: &str) -> Result<Option<String>, Fault> {
        if let Some(change) = self.changes.borrow().get(key) {
            return Ok(change.clone());
        }
        if !self.names.borrow().contains(key) {
            return Ok(None);
        }
        match self.wrangler.kv(&["kv", "key", "get", key, "--text"], None) {
            Ok(value) => Ok(Some(value.trim_end_matches('\n').to_owned())),
            Err(error) => {
                self.error.replace(Some(error));
                Err(Fault::Kv)
            }
        }
    }

    fn change(&self, key: &str, value: Option<String>) {
        match value {
            Some(_) => self.names.borrow_mut().insert(key.to_owned()),
            None => self.names.borrow_mut().remove(key),
        };
        self.changes.borrow_mut().insert(key.to_owned(), value);
    }
}

struct SharedKv(std::rc::Rc<ShellKv>);

impl Kv for SharedKv {
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async move { self.0.get(key) })
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _: Option<Timestamp>,
    ) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.0.change(key, Some(value.to_owned()));
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async move {
            self.0.change(key, None);
            Ok(())
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        _: Option<&'a str>,
        _: u32,
    ) -> Pending<'a, Result<KeyPage, Fault>> {
        Box::pin(async move {
            let names = self.0.names.borrow();
            let keys = names
                .iter()
                .filter(|name| name.starts_with(prefix))
                .cloned()
                .collect();
            Ok(KeyPage { keys, cursor: None })
        })
    }
}

/// A shell cannot reach Durable Objects, so no command may use `Once`, change a record, or
/// check a password.
struct Unreachable;

impl Once for Unreachable {
    fn acquire<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Seconds,
        _: Timestamp,
    ) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async { Err(Fault::Once) })
    }

    fn release<'a>(&'a self, _: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Once) })
    }

    fn replace<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
        _: Seconds,
        _: Timestamp,
    ) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async { Err(Fault::Once) })
    }

    fn changed<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Seconds,
    ) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async { Err(Fault::Once) })
    }
}

impl Records for Unreachable {
    fn read<'a>(&'a self, _: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async { Err(Fault::Writer) })
    }

    fn read_kept<'a>(&'a self, _: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        Box::pin(async { Err(Fault::Writer) })
    }

    fn change<'a>(&'a self, _: &'a Change) -> Pending<'a, Result<Changed, Fault>> {
        Box::pin(async { Err(Fault::Writer) })
    }

    fn keep<'a>(&'a self, _: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Writer) })
    }
}

impl Outbox for Unreachable {
    fn call<'a>(
        &'a self,
        _: &'a str,
        _: &'a OutboxCall,
    ) -> Pending<'a, Result<serde_json::Value, Fault>> {
        Box::pin(async { Err(Fault::Outbox) })
    }
}

impl Audit for Unreachable {
    fn call<'a>(
        &'a self,
        _: &'a str,
        _: &'a AuditCall,
    ) -> Pending<'a, Result<serde_json::Value, Fault>> {
        Box::pin(async { Err(Fault::Audit) })
    }
}

impl Mail for Unreachable {
    fn is_bound(&self) -> bool {
        false
    }

    fn send<'a>(&'a self, _: &'a Letter) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Mail) })
    }
}

impl Monitor for Unreachable {
    fn is_bound(&self) -> bool {
        false
    }

    fn sums<'a>(&'a self, _: &'a str, _: &'a str) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async { Err(Fault::Metrics) })
    }

    fn parts<'a>(&'a self, _: &'a str) -> Pending<'a, Result<String, Fault>> {
        Box::pin(async { Err(Fault::Metrics) })
    }
}

impl Passwords for Unreachable {
    fn attempt<'a>(&'a self, _: &'a Attempt<'a>) -> Pending<'a, Result<Attempted, Fault>> {
        Box::pin(async { Err(Fault::Passwords) })
    }

    fn hash<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: Option<&'a PasswordHash>,
    ) -> Pending<'a, Result<NewPassword, Fault>> {
        Box::pin(async { Err(Fault::Passwords) })
    }
}

/// No command signs or encrypts; only the Worker does.
struct NoCrypto;

impl Crypto for NoCrypto {
    fn generate(&self, _: Algorithm) -> Pending<'_, Result<KeyPair, Fault>> {
        Box::pin(async { Err(Fault::Crypto) })
    }

    fn sign<'a>(
        &'a self,
        _: Algorithm,
        _: SealedKey<'a>,
        _: &'a [u8],
    ) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(async { Err(Fault::Crypto) })
    }

    fn verify<'a>(&'a self, _: Check<'a>) -> Pending<'a, Result<bool, Fault>> {
        Box::pin(async { Err(Fault::Crypto) })
    }

    fn seal<'a>(&'a self, _: &'a [u8; 32], _: &'a [u8]) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(async { Err(Fault::Crypto) })
    }

    fn open<'a>(&'a self, _: &'a [u8; 32], _: &'a [u8]) -> Pending<'a, Result<Vec<u8>, Fault>> {
        Box::pin(async { Err(Fault::Crypto) })
    }
}

/// No command calls another server.
struct NoFetch;

impl Fetch for NoFetch {
    fn fetch<'a>(&'a self, _: Outgoing<'a>) -> Pending<'a, Result<Incoming, Fault>> {
        Box::pin(async { Err(Fault::Fetch) })
    }
}

/// A command leaves no work for later.
struct NoBackground;

impl Background for NoBackground {
    fn spawn(&self, _: Pending<'static, ()>) {}

    fn admit(&self) -> Result<(), Fault> {
        Ok(())
    }

    fn pause(&self, _: u32) -> Pending<'_, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

/// The time of this machine, as the port gives it.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// The operating system's generator.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "a shell around the core has to provide randomness, and cannot continue without"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has a random number generator");
    }
}

/// Anybody who can run a command here already has wrangler's rights.
struct NoLimit;

impl Limit for NoLimit {
    fn allow<'a>(&'a self, _: Counter, _: &'a str) -> Pending<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(true) })
    }
}
