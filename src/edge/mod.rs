//! The Worker: takes the snapshot of a request, asks the core, and streams. Decides nothing.
//!
//! The export is synchronous. The core's future is polled once; when it is ready, as it is for
//! every request whose credential this isolate has seen, the origin's promise is handed back as it
//! is, and nothing was waited for.

mod bindings;
mod platform;
mod waiting;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use js_sys::JsString;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;
use web_sys::{Request, Response};

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::event::{Event, Name};
use crate::http::headers::{HeaderChange, HeaderChanges};
use crate::http::request::{Parts, RAY, WITHHELD};
use crate::memory::world::World;
use crate::origin::Forward;
use crate::origin::strip;
use crate::pipeline;
use crate::pipeline::repeat;
use crate::pipeline::repeat::Repeat;
use crate::pipeline::{Action, Outcome};
use crate::platform::digest::hex;
use crate::platform::port::{Body, BodyRead, Entropy as _, Fault, Pending, Sender};
use crate::platform::shelf;
use crate::platform::shelf::{Shelf, Weigh};
use crate::platform::time::Timestamp;
use crate::site::config::ConfigError;

/// What [`again`] says.
const AGAIN: u32 = 1;
const UNCACHED: u32 = 2;
const UNNAMED: u32 = 4;

thread_local! {
    static WORLD: OnceCell<Option<Rc<World>>> = const { OnceCell::new() };
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
    static REQUEST_PREFIX: OnceCell<String> = const { OnceCell::new() };
    static STANDING: RefCell<Shelf<*const HeaderChanges, Crossed>> =
        RefCell::new(Shelf::new(shelf::STANDING));
    static REPEATS: RefCell<Shelf<u32, Rc<Repeat>>> = RefCell::new(Shelf::new(shelf::REPEATS));
    static LAST_REPEAT: Cell<u32> = const { Cell::new(0) };
}

/// Runs once per instance.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
    bindings::withhold(&WITHHELD.join("\n"), RAY);
    // The numbers by which an earlier instance knew its repetitions mean others here.
    bindings::forget();
    let unreachable =
        Closure::<dyn Fn(Request, String) -> Response>::new(|request: Request, error: String| {
            unreachable(&request, &error)
        });
    bindings::when_unreachable(unreachable.as_ref().unchecked_ref());
    let refused =
        Closure::<dyn Fn(String, u16, String)>::new(|whom: String, status, location: String| {
            if let Some(world) = WORLD.with(|world| world.get().cloned().flatten()) {
                crate::profile::refused(&world, &whom, status, &location);
            }
        });
    bindings::when_refused(refused.as_ref().unchecked_ref());
    let withheld = Closure::<dyn Fn(String, String, String) -> Option<String>>::new(
        |name: String, value: String, url: String| withheld(&name, &value, &url),
    );
    bindings::when_withheld(withheld.as_ref().unchecked_ref());
    // They live as long as the instance.
    withheld.forget();
    unreachable.forget();
    refused.forget();
}

/// One request, whose `head` is what `head.js` read, at `now` in milliseconds since 1970. Gives a
/// response, or the promise of the origin's; or, when the core itself has still to wait for something,
/// a list: the promise of a list of that one thing, and the number for [`abandon`]. With `keep` it is
/// remembered for [`again`], if it may be. Without `admitted` it is refused if it would have to wait.
#[wasm_bindgen]
#[expect(
    clippy::needless_pass_by_value,
    reason = "an exported function owns what JavaScript passes"
)]
pub fn fetch(
    request: Request,
    head: JsValue,
    env: JsValue,
    now: f64,
    keep: bool,
    admitted: bool,
) -> JsValue {
    let Some(world) = world(&env) else {
        return misconfigured(&head).into();
    };
    let now = timestamp(now);
    let Ok(parts) = Parts::from_snapshot(bindings::snapshot(&head)) else {
        return answer(&Answer::refusal(&Denial::Malformed)).into();
    };
    let request = Rc::new(Received(request));
    let body = Rc::<Received>::clone(&request);
    let request_id = request_id(&parts);
    let mut outcome: Pin<Box<dyn Future<Output = Outcome>>> =
        Box::pin(pipeline::handle(world, parts, body, request_id, now));
    // A future that is woken before it is polled again loses nothing: the second poll looks anew.
    let polled = waiting::first_poll(admitted, || {
        let mut context = Context::from_waker(Waker::noop());
        outcome.as_mut().poll(&mut context)
    });
    match polled {
        Poll::Ready(outcome) => carry_out(&request.0, &head, outcome, keep),
        Poll::Pending => {
            let (id, held) = waiting::hold(outcome);
            // The origin's response is not waited for here: who has gone needs none.
            let promise = future_to_promise(async move {
                let result = match held.await {
                    Some(outcome) => carry_out(&request.0, &head, outcome, keep),
                    None => answer(&Answer::refusal(&Denial::Fault(Fault::TimeLimit))).into(),
                };
                Ok(js_sys::Array::of1(&result).into())
            });
            js_sys::Array::of2(&promise, &id.into()).into()
        }
    }
}

/// The memory that this instance has, in bytes: it never shrinks.
#[wasm_bindgen(js_name = memorySize)]
#[must_use]
pub fn memory_size() -> usize {
    core::arch::wasm32::memory_size(0) * 65_536
}

/// Drops what waits under this number: it is answered with a refusal, if anybody is there still.
#[wasm_bindgen]
pub fn abandon(id: u32) {
    waiting::abandon(id);
}

/// Whether a request may be sent as the one was that was remembered as `id`, whose head it has: 0 if
/// it has to go the whole way, else [`AGAIN`], with [`UNCACHED`] if the CDN is to be told to keep out,
/// and [`UNNAMED`] if the origin has to be told the request's name. `asked`: its URL and, on a line of
/// its own, the name that the CDN gave it; a string of JavaScript, because what crosses before a call
/// begins would be lost if the call found its instance dead and began in another.
#[wasm_bindgen]
#[must_use]
pub fn again(id: u32, asked: &JsString, now: f64) -> u32 {
    let asked = String::from(asked);
    let (url, ray) = asked.split_once('\n').unwrap_or((&asked, ""));
    let repeat = REPEATS.with_borrow_mut(|repeats| repeats.get(&id).map(Rc::clone));
    let world = WORLD.with(|world| world.get().cloned().flatten());
    let (Some(repeat), Some(world)) = (repeat, world) else {
        return 0;
    };
    let Some(again) = repeat::again(&world, &repeat, url, ray, timestamp(now)) else {
        return 0;
    };
    let mut verdict = AGAIN;
    if again.uncached() {
        verdict |= UNCACHED;
    }
    if repeat.is_unnamed() {
        verdict |= UNNAMED;
    }
    verdict
}

fn timestamp(now: f64) -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds since 1970, far below 2^53"
    )]
    Timestamp::from_millis(now as u64)
}

/// Remembers `repeat`; gives the lines by which JavaScript learns of it: the number by which it asks
/// [`again`], how much of a URL is replaced, and by what.
fn remember(repeat: Repeat) -> Option<String> {
    let id = LAST_REPEAT.get().checked_add(1)?;
    LAST_REPEAT.set(id);
    let lines = format!("*{id}\n{}\n{}\n", repeat.prefix().len(), repeat.base());
    REPEATS.with_borrow_mut(|repeats| repeats.put(id, Rc::new(repeat)));
    Some(lines)
}

fn carry_out(request: &Request, head: &JsValue, outcome: Outcome, keep: bool) -> JsValue {
    if let Some(event) = outcome.event {
        bindings::log(&event.line());
    }
    match outcome.action {
        Action::Answer(mut own) => {
            let cookies = outcome
                .cookies
                .iter()
                .map(|cookie| ("set-cookie", cookie.as_str().to_owned()));
            own.headers.extend(cookies);
            answer(&own).into()
        }
        Action::Forward(forward) => {
            let mut plan = String::with_capacity(
                forward.url().len() + forward.changes().as_lines().len() + 64,
            );
            plan.push_str(forward.url());
            plan.push_str(match (forward.identified(), forward.uncached()) {
                (true, true) => "\nu\n",
                (true, false) => "\ni\n",
                (false, _) => "\n\n",
            });
            plan.push_str(forward.resolve_override().unwrap_or_default());
            plan.push('\n');
            if let Some(line) = outcome.repeat.filter(|_| keep).and_then(remember) {
                plan.push_str(&line);
            }
            plan.push_str(forward.changes().as_lines());
            for line in forward.answer().lines() {
                plan.push('~');
                plan.push_str(line);
                plan.push('\n');
            }
            for cookie in &outcome.cookies {
                plan.push('=');
                plan.push_str(cookie.as_str());
                plan.push('\n');
            }
            let rules = forward.rules();
            if let Some(rules) = rules {
                plan.push_str(&rules.line());
            }
            let standing = standing_headers(&forward);
            match rules.and_then(|rules| rules.asset) {
                Some(keep) => {
                    bindings::forward_file(request, head, &plan, &standing, keep.0).into()
                }
                None => bindings::forward(request, head, &plan, &standing).into(),
            }
        }
    }
}

/// Names and values of the headers that a caller's requests have in common, as a list that has
/// crossed already. It is kept together with what it was made from, so nothing else can have come to
/// that address since.
fn standing_headers(forward: &Forward) -> JsValue {
    let standing = forward.standing();
    if !forward.identified() {
        return list_of(standing);
    }
    STANDING.with_borrow_mut(|known| {
        if let Some(crossed) = known.get(&Rc::as_ptr(standing)) {
            return crossed.list.clone();
        }
        let list = list_of(standing);
        let crossed = Crossed {
            headers: Rc::clone(standing),
            list: list.clone(),
        };
        known.put(Rc::as_ptr(standing), crossed);
        list
    })
}

/// Headers, and the list of JavaScript that was made of them.
struct Crossed {
    headers: Rc<HeaderChanges>,
    list: JsValue,
}

impl Weigh for Crossed {
    /// The list has as many characters, of up to two bytes; it counts to the same 128 MB.
    fn heap(&self) -> usize {
        3 * self.headers.heap()
    }
}

fn list_of(headers: &HeaderChanges) -> JsValue {
    let list = js_sys::Array::new();
    for change in headers.iter() {
        if let HeaderChange::Set(name, value) = change {
            list.push(&name.into());
            list.push(&value.into());
        }
    }
    list.into()
}

fn answer(answer: &Answer) -> Response {
    let mut head = answer.status.to_string();
    for (name, value) in &answer.headers {
        head.push('\n');
        head.push_str(name);
        head.push('\n');
        head.extend(value.chars().filter(|c| !c.is_control()));
    }
    bindings::answer(&head, &answer.body)
}

/// The world of this isolate, made at its first request. `None` when the configuration has errors;
/// they are logged once.
fn world(env: &JsValue) -> Option<Rc<World>> {
    WORLD.with(|world| {
        world
            .get_or_init(|| {
                let mut errors = Vec::new();
                let platform = platform::platform(env, &mut errors);
                let config = crate::config::parse(&bindings::configuration(env));
                match (config, platform) {
                    (Ok(config), Some(platform)) => {
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

/// Everything is answered so while the configuration has errors: a health check and a person too.
fn misconfigured(head: &JsValue) -> Response {
    let denial = Denial::Misconfigured;
    match Parts::from_snapshot(bindings::snapshot(head)) {
        Ok(parts) if parts.wants_page() => answer(&Answer::refusal_page(
            &denial,
            None,
            &request_id(&parts),
            None,
            &platform::WebEntropy,
        )),
        _ => answer(&Answer::refusal(&denial)),
    }
}

/// What the origin behind `url` may be told of the header `name`, whose value the core was not told.
fn withheld(name: &str, value: &str, url: &str) -> Option<String> {
    let world = WORLD.with(|world| world.get().cloned().flatten())?;
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let site = world.config.site(authority, scheme)?;
    strip::withheld(&site, name, value).map(Cow::into_owned)
}

/// What a person or a program sees when the origin does not answer.
fn unreachable(request: &Request, error: &str) -> Response {
    let denial = Denial::OriginUnreachable;
    let parts = Parts::from_snapshot(bindings::snapshot(&bindings::read(request)));
    let world = WORLD.with(|world| world.get().cloned().flatten());
    let request_id = parts.as_ref().map(request_id).unwrap_or_default();
    let site = match (&parts, &world) {
        (Ok(parts), Some(world)) => world.config.site(parts.authority(), parts.scheme()),
        _ => None,
    };
    let event = Event {
        event: Name::Fault,
        site: site.as_ref().map(|site| site.name.clone()),
        request_id: request_id.clone(),
        reason: Some(format!("{}: {error}", denial.reason())),
        status: Some(denial.row().status),
        ..Event::default()
    };
    bindings::log(&event.line());
    match (parts, site, world) {
        (Ok(parts), Some(site), Some(world)) if parts.wants_page() => {
            let entropy = &*world.platform.entropy;
            answer(&Answer::refusal_page(
                &denial,
                Some(&site),
                &request_id,
                None,
                entropy,
            ))
        }
        _ => answer(&Answer::refusal(&denial)),
    }
}

/// The request's name: Cloudflare's, which no client can choose there, or one of our own.
fn request_id(parts: &Parts) -> String {
    parts.ray().map_or_else(own_request_id, str::to_owned)
}

/// A name for a request that the CDN gave none.
#[wasm_bindgen(js_name = requestId)]
#[must_use]
pub fn own_request_id() -> String {
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

struct Received(Request);

impl Body for Received {
    fn read(&self, limit: usize, sender: Sender) -> Pending<'_, Result<BodyRead, Fault>> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Box::pin(async move {
            if !waiting::is_admitted() {
                return Err(Fault::Overloaded);
            }
            let promise = bindings::read_body(&self.0, limit, sender == Sender::Anybody);
            let body = platform::settled(promise).await.map_err(|()| Fault::Body)?;
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
