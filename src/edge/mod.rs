//! The Worker: takes the snapshot of a request, asks the core, and streams. Decides nothing.
//!
//! The export is synchronous and polls the core's future once. For every request whose credential
//! this isolate has seen before, the future is ready, and the origin's promise is returned as it is.

mod bindings;
mod passwords;
mod platform;
mod sending;
mod waiting;

use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use self::sending::Beside;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::{Request, Response};

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::Event;
use crate::answer::logged;
use crate::answer::metrics;
use crate::answer::page::Ways;
use crate::ask::ctx;
use crate::http::request::Parts;
use crate::memory::world::World;
use crate::origin::response;
use crate::pipeline::watch::Watched;
use crate::pipeline::{self, Action, Outcome};
use crate::platform::digest::hex;
use crate::platform::port::{BodyRead, Entropy as _, Fault, Pending, Received, Sender};
use crate::platform::time::Timestamp;
use crate::site::Site;
use crate::site::config::ConfigError;
use crate::site::disclosure::Disclosure;

/// For an answer of which nobody notes how long it took.
const NOT_TIMED: f64 = 0.0;

thread_local! {
    static WORLD: OnceCell<Option<Rc<World>>> = const { OnceCell::new() };
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
    static REQUEST_PREFIX: OnceCell<String> = const { OnceCell::new() };
}

/// Runs once per instance.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
    let unreachable = Closure::<dyn Fn(Request, String, f64) -> Response>::new(unreachable);
    bindings::when_unreachable(unreachable.as_ref().unchecked_ref());
    let refused =
        Closure::<dyn Fn(String, u16, String)>::new(|whom: String, status, location: String| {
            if let Some(world) = current_world() {
                crate::profile::note_refusal(&world, &whom, status, &location);
            }
        });
    bindings::when_refused(refused.as_ref().unchecked_ref());
    let named = Closure::<dyn Fn(String) -> u32>::new(|name: String| disclosure_of(&name));
    bindings::when_named(named.as_ref().unchecked_ref());
    let answered =
        Closure::<dyn Fn(String, String) -> Option<String>>::new(|url: String, headers: String| {
            response_changes(&url, &headers)
        });
    bindings::when_answered(
        answered.as_ref().unchecked_ref(),
        response::COOKIE,
        &response::NAMING.join("\n"),
    );
    // The closures live as long as the instance.
    answered.forget();
    named.forget();
    unreachable.forget();
    refused.forget();
}

/// Handles one request. `head` is what `head.js` read, `now` in milliseconds since 1970. Returns a
/// response or the promise of the origin's. If the core itself has to wait, it returns a pair: a
/// promise of a list with either of these, and the id for [`abandon`]. A request that would have to
/// wait is refused unless it is `admitted`.
#[wasm_bindgen]
#[expect(
    clippy::needless_pass_by_value,
    reason = "an exported function owns what JavaScript passes"
)]
pub fn fetch(request: Request, head: JsValue, env: JsValue, now: f64, admitted: bool) -> JsValue {
    let Some(world) = world(&env) else {
        return misconfigured(&head).into();
    };
    let begun = now;
    let now = timestamp(now);
    let Ok(parts) = Parts::from_snapshot(bindings::snapshot(&head)) else {
        return refuse(&request, &Denial::Malformed, begun).into();
    };
    let request = Rc::new(IncomingRequest(request));
    let received = Rc::<IncomingRequest>::clone(&request);
    let request_id = request_id(&parts);
    let before = if parts.authority().is_ascii() {
        parts.scheme().len() + "://".len() + parts.authority().len()
    } else {
        0
    };
    let mut outcome: Pin<Box<dyn Future<Output = Outcome>>> =
        Box::pin(pipeline::handle(world, parts, received, request_id, now));
    match waiting::first_poll(admitted, || poll_now(outcome.as_mut())) {
        Poll::Ready(outcome) => carry_out(&request.0, &head, outcome, before, begun),
        Poll::Pending => {
            let (id, held) = waiting::hold(outcome);
            // A list keeps the promise inside it from being awaited here: a client that has gone needs
            // no response of the origin.
            let promise = future_to_promise(async move {
                let result = match held.await {
                    Some(outcome) => carry_out(&request.0, &head, outcome, before, begun),
                    None => refuse(&request.0, &Denial::Fault(Fault::TimeLimit), begun).into(),
                };
                Ok(js_sys::Array::of1(&result).into())
            });
            js_sys::Array::of2(&promise, &id.into()).into()
        }
    }
}

/// Whether the connection that a request has opened may stay open, judged at `now`; `head` is what `head.js` read when it
/// opened. 0: it may; 1: it must be closed; 2: that cannot be told at the moment. If the core has to wait: a pair of the
/// promise of one of these in a list, and the id for [`abandon`].
#[wasm_bindgen]
#[expect(
    clippy::needless_pass_by_value,
    reason = "an exported function owns what JavaScript passes"
)]
pub fn watch(head: JsValue, now: f64, admitted: bool) -> JsValue {
    const UNKNOWN: u32 = 2;
    let Some(world) = current_world() else {
        return UNKNOWN.into();
    };
    let Ok(parts) = Parts::from_snapshot(bindings::snapshot(&head)) else {
        return UNKNOWN.into();
    };
    let request_id = request_id(&parts);
    let now = timestamp(now);
    let mut watched: Pin<Box<dyn Future<Output = Watched>>> =
        Box::pin(async move { pipeline::watch::watch(world, parts, &request_id, now).await });
    let told = |watched: Option<Watched>| match watched {
        Some(Watched::Holds) => 0,
        Some(Watched::Ended(event)) => {
            bindings::log(&event.line());
            1
        }
        Some(Watched::Unknown) | None => UNKNOWN,
    };
    match waiting::first_poll(admitted, || poll_now(watched.as_mut())) {
        Poll::Ready(watched) => told(Some(watched)).into(),
        Poll::Pending => {
            let (id, held) = waiting::hold(watched);
            let promise = future_to_promise(async move {
                Ok(js_sys::Array::of1(&told(held.await).into()).into())
            });
            js_sys::Array::of2(&promise, &id.into()).into()
        }
    }
}

/// Polls `future` once. That needs no waker: a second poll checks again whatever has happened since.
fn poll_now<T>(future: Pin<&mut dyn Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Takes what was counted since the last call, for `counters.js`. `None` before the first request, and if nothing can be served.
#[wasm_bindgen]
#[must_use]
pub fn counters(forwarded: &[u32], panics: u32) -> Option<String> {
    let world = current_world()?;
    let tally = &world.cache.tally;
    Some(metrics::take(&world.config, tally, forwarded, panics))
}

/// The size of this instance's memory in bytes, which never shrinks.
#[wasm_bindgen(js_name = memorySize)]
#[must_use]
pub fn memory_size() -> usize {
    core::arch::wasm32::memory_size(0) * 65_536
}

/// Drops the waiting request with this id. Its client gets a refusal if it is still there.
#[wasm_bindgen]
pub fn abandon(id: u32) {
    waiting::abandon(id);
}

fn timestamp(now: f64) -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds since 1970, far below 2^53"
    )]
    Timestamp::from_millis(now as u64)
}

fn carry_out(
    request: &Request,
    head: &JsValue,
    outcome: Outcome,
    before: usize,
    begun: f64,
) -> JsValue {
    if let Some(world) = current_world() {
        outcome.count(&world.cache.tally);
    }
    if let Some(event) = &outcome.event {
        bindings::log_request(&event.line(), request, begun);
    }
    for event in &outcome.notes {
        bindings::log(&event.line());
    }
    match outcome.action {
        Action::Answer(mut own) => {
            let cookies = outcome
                .cookies
                .iter()
                .map(|cookie| ("set-cookie", cookie.as_str().to_owned()));
            own.headers.extend(cookies);
            answer(&own, outcome.site, begun).into()
        }
        Action::Forward(forward) => {
            let beside = Beside {
                cookies: &outcome.cookies,
                hsts: outcome.hsts.as_deref(),
                line: outcome.forwarded.as_ref().map(Event::line),
            };
            sending::send(
                request,
                head,
                before,
                &forward,
                &beside,
                outcome.site,
                begun,
            )
        }
    }
}

/// `site` and `begun`: for which site how long it took is noted, if it is a request's.
fn answer(answer: &Answer, site: u16, begun: f64) -> Response {
    let (mut shared, mut own) = (String::with_capacity(256), String::new());
    for (name, value) in &answer.headers {
        let lines = if is_shared(name) {
            &mut shared
        } else {
            &mut own
        };
        lines.push_str(name);
        lines.push('\n');
        lines.extend(value.chars().filter(|c| !c.is_control()));
        lines.push('\n');
    }
    bindings::answer(answer.status, &shared, &own, &answer.body, site, begun)
}

/// Whether many answers have this header with the same value, so that JavaScript keeps what it makes of it. No
/// value of these comes from a request.
fn is_shared(name: &str) -> bool {
    matches!(
        name,
        "allow"
            | "cache-control"
            | "content-security-policy"
            | "content-type"
            | "referrer-policy"
            | "retry-after"
            | "strict-transport-security"
            | "vary"
            | "www-authenticate"
            | "x-content-type-options"
            | "x-frame-options"
    )
}

/// The first line that an isolate logs.
const STARTED: &str = concat!(
    "{\"event\":\"started\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\"}"
);

/// The world of this isolate, made at its first request. `None` if the configuration has errors,
/// which are logged once.
fn world(env: &JsValue) -> Option<Rc<World>> {
    WORLD.with(|world| {
        world
            .get_or_init(|| {
                bindings::log(STARTED);
                let mut errors = Vec::new();
                let platform = platform::platform(env, &mut errors);
                let config = crate::config::parse(&bindings::configuration(env));
                match (config, platform) {
                    (Ok(config), Some(platform)) if errors.is_empty() => {
                        log_list("notes", &config.notes);
                        Some(Rc::new(World::new(config, platform)))
                    }
                    (config, _) => {
                        errors.extend(config.err().unwrap_or_default());
                        log_list("misconfigured", &errors);
                        None
                    }
                }
            })
            .clone()
    })
}

fn log_list(event: &str, errors: &[ConfigError]) {
    if errors.is_empty() {
        return;
    }
    let errors: Vec<_> = errors
        .iter()
        .map(|error| serde_json::json!({ "path": error.path, "error": error.error }))
        .collect();
    bindings::log(&serde_json::json!({ "event": event, "errors": errors }).to_string());
}

/// The answer to every request while the configuration has errors, including health checks.
fn misconfigured(head: &JsValue) -> Response {
    let denial = Denial::Misconfigured;
    match Parts::from_snapshot(bindings::snapshot(head)) {
        Ok(parts) => refusal(&denial, &parts, None, &request_id(&parts), NOT_TIMED),
        Err(_) => answer(&Answer::refusal(&denial, &own_request_id()), 0, NOT_TIMED),
    }
}

/// How much the core wants to know of the header `name`: 0 nothing, 1 that it is present, 2 its value
/// as well. 3 if that is not known yet: then this request passes every value.
fn disclosure_of(name: &str) -> u32 {
    let Some(world) = current_world() else {
        return 3;
    };
    match world.config.disclosures.for_name(name) {
        Disclosure::Nothing => 0,
        Disclosure::Name => 1,
        Disclosure::Value => 2,
    }
}

/// What changes of the headers of an origin's response to the request for `url`. `None` if the instance that has
/// sent the request is gone, so that it is not known which cookies are ours.
fn response_changes(url: &str, headers: &str) -> Option<String> {
    let world = current_world()?;
    let parts = Parts::new("GET", url, &[]).ok()?;
    let config = &world.config;
    let site = config.site(parts.authority(), parts.scheme(), parts.path());
    let names = site
        .as_ref()
        .and_then(|site| site.translation(parts.scheme(), parts.authority()));
    Some(response::changes(headers, names.as_ref(), |name| {
        config.disclosures.is_own_cookie(name)
    }))
}

/// The world, unless no request has made one yet.
fn current_world() -> Option<Rc<World>> {
    WORLD.with(|world| world.get().cloned().flatten())
}

/// The answer if the origin cannot be reached.
#[expect(
    clippy::needless_pass_by_value,
    reason = "JavaScript passes what the function owns"
)]
fn unreachable(request: Request, error: String, begun: f64) -> Response {
    refuse_whole(
        &request,
        &Denial::OriginUnreachable,
        begun,
        |event, site| {
            let reason = event.reason.unwrap_or_default();
            Event {
                upstream: site.and_then(|site| site.upstream.clone()),
                reason: Some(logged::text(
                    &format!("{reason}: {error}"),
                    logged::MAX_TEXT,
                )),
                ..event
            }
        },
    )
}

/// Refuses a request of which nothing is at hand but what the runtime has: it is read once more.
fn refuse(request: &Request, denial: &Denial, begun: f64) -> Response {
    refuse_whole(request, denial, begun, |event, _| event)
}

fn refuse_whole(
    request: &Request,
    denial: &Denial,
    begun: f64,
    with: impl FnOnce(Event, Option<&Site>) -> Event,
) -> Response {
    let status = denial.row().status;
    let parts = Parts::from_snapshot(bindings::snapshot(&bindings::read_all(request)));
    let (Ok(parts), Some(world)) = (parts, current_world()) else {
        let request_id = own_request_id();
        let event = Event {
            request_id: request_id.clone(),
            ..Event::default()
        };
        let event = event.denied(denial, status);
        count(0, &event);
        bindings::log_request(&event.line(), request, begun);
        return answer(&Answer::refusal(denial, &request_id), 0, begun);
    };
    let request_id = request_id(&parts);
    let config = &world.config;
    let site = config.site(parts.authority(), parts.scheme(), parts.path());
    let site = site.as_deref();
    let event = Event::about(&config.log, &parts, site, parts.path(), &request_id);
    let event = with(event.denied(denial, status), site);
    count(site.map_or(0, |site| site.number), &event);
    bindings::log_request(&event.line(), request, begun);
    refusal(denial, &parts, site, &request_id, begun)
}

/// Counts a refusal.
fn count(site: u16, event: &Event) {
    if let Some(world) = current_world() {
        metrics::count(&world.cache.tally, site, Some(event), true);
    }
}

/// A refusal as the client prefers it.
fn refusal(
    denial: &Denial,
    parts: &Parts,
    site: Option<&Site>,
    request_id: &str,
    begun: f64,
) -> Response {
    let refusal = if parts.wants_page() {
        // These parts are the whole head.
        let words = ctx::words(site, parts, None);
        let ways = Ways::on(denial.row().status, words, site, parts.is_read());
        Answer::refusal_page(denial, site, words, request_id, ways)
    } else {
        Answer::refusal(denial, request_id)
    };
    answer(&refusal, site.map_or(0, |site| site.number), begun)
}

/// The request's id: Cloudflare's, which no client can choose there, or one of our own.
fn request_id(parts: &Parts) -> String {
    parts.ray().map_or_else(own_request_id, str::to_owned)
}

/// An id for a request without one from the CDN.
fn own_request_id() -> String {
    let number = REQUESTS.get().wrapping_add(1);
    REQUESTS.set(number);
    REQUEST_PREFIX.with(|prefix| {
        let prefix = prefix.get_or_init(|| {
            let mut bytes = [0_u8; 6];
            platform::WebEntropy.fill(&mut bytes);
            hex(&bytes)
        });
        format!("{prefix}-{number}")
    })
}

struct IncomingRequest(Request);

impl Received for IncomingRequest {
    fn whole_head(&self) -> Option<String> {
        Some(bindings::snapshot(&bindings::read_all(&self.0)))
    }

    fn read(&self, limit: usize, sender: Sender) -> Pending<'_, Result<BodyRead, Fault>> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Box::pin(async move {
            if !waiting::is_admitted() {
                return Err(Fault::Overloaded);
            }
            let promise = bindings::read_body(&self.0, limit, sender == Sender::Anybody);
            let body = platform::resolve(promise).await.map_err(|()| Fault::Body)?;
            Ok(match body.dyn_into::<js_sys::Uint8Array>() {
                Ok(bytes) => BodyRead::Whole(bytes.to_vec()),
                Err(other) => match other.as_string().as_deref() {
                    Some("long") => BodyRead::TooLong,
                    Some("slow") => BodyRead::TooSlow,
                    _ => return Err(Fault::Overloaded),
                },
            })
        })
    }
}
