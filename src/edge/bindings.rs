//! Bindings for the JavaScript files beside this one.

use std::cell::RefCell;

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};

use crate::config::reader::Bindings;

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    #[wasm_bindgen(js_name = whenUnreachable)]
    pub fn when_unreachable(answer: &Function);
    #[wasm_bindgen(js_name = whenRefused)]
    pub fn when_refused(listener: &Function);
    #[wasm_bindgen(js_name = whenAnswered)]
    pub fn when_answered(listener: &Function, always: &str, translated: &str);
    pub fn rendering(text: &str) -> JsValue;
    #[wasm_bindgen(js_name = callerHeaders)]
    pub fn caller_headers(text: &str) -> JsValue;
    pub fn forward(
        request: &Request,
        head: &JsValue,
        rendering: &JsValue,
        caller_headers: &JsValue,
        flags: u32,
        before: u32,
        from: u32,
        until: u32,
        own: &JsValue,
        through: &JsValue,
        begun: f64,
    ) -> Promise;
    pub fn answer(
        status: u16,
        shared: &str,
        own: &str,
        body: &str,
        site: u16,
        begun: f64,
    ) -> Response;
    #[wasm_bindgen(js_name = bindings)]
    fn raw_bindings(env: &JsValue) -> Array;
    pub fn log(line: &str);
    #[wasm_bindgen(js_name = logRequest)]
    pub fn log_request(line: &str, request: &Request, begun: f64);
}

#[wasm_bindgen(module = "/src/edge/head.js")]
extern "C" {
    #[wasm_bindgen(js_name = whenNamed)]
    pub fn when_named(answer: &Function);
    #[wasm_bindgen(js_name = readAll)]
    pub fn read_all(request: &Request) -> JsValue;
    #[wasm_bindgen(js_name = encodeInto)]
    fn encode_into(head: &JsValue, buffer: &mut [u8]) -> i32;
    #[wasm_bindgen(js_name = toText)]
    fn to_text(head: &JsValue) -> String;
}

#[wasm_bindgen(module = "/src/edge/body.js")]
extern "C" {
    #[wasm_bindgen(js_name = readBody)]
    pub fn read_body(request: &Request, limit: u32, anybody: bool) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/crypto.js")]
extern "C" {
    pub fn generate(algorithm: &str) -> Promise;
    pub fn sign(algorithm: &str, secret: &[u8], sealed: &[u8], message: &[u8]) -> Promise;
    pub fn verify(algorithm: &str, key: &[u8], message: &[u8], signature: &[u8]) -> Promise;
    pub fn seal(key: &[u8], plain: &[u8]) -> Promise;
    pub fn open(key: &[u8], sealed: &[u8]) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/outgoing.js")]
extern "C" {
    pub fn outgoing(
        method: &str,
        url: &str,
        headers: &str,
        body: Option<&str>,
        limit: u32,
        timeout: u32,
    ) -> Promise;
    pub fn pause(milliseconds: u32) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/once.js")]
extern "C" {
    pub fn acquire(namespace: &JsValue, key: &str, value: &str, expires: f64) -> Promise;
    pub fn release(namespace: &JsValue, key: &str) -> Promise;
    pub fn replace(
        namespace: &JsValue,
        key: &str,
        held: &str,
        value: &str,
        expires: f64,
    ) -> Promise;
    pub fn changed(namespace: &JsValue, key: &str, held: &str, patience: f64) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/waiting.js")]
extern "C" {
    pub fn hold(promise: &Promise, id: u32) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/records.js")]
extern "C" {
    #[wasm_bindgen(js_name = readRecord)]
    pub fn read_record(namespace: &JsValue, key: &str) -> Promise;
    #[wasm_bindgen(js_name = readKeptRecord)]
    pub fn read_kept_record(namespace: &JsValue, key: &str) -> Promise;
    #[wasm_bindgen(js_name = changeRecord)]
    pub fn change_record(namespace: &JsValue, change: &str) -> Promise;
    #[wasm_bindgen(js_name = keepRecord)]
    pub fn keep_record(namespace: &JsValue, key: &str) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/outboxes.js")]
extern "C" {
    #[wasm_bindgen(js_name = callOutbox)]
    pub fn call_outbox(namespace: &JsValue, service: &str, call: &str) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/counters.js")]
extern "C" {
    pub fn sums(env: &JsValue, families: &str, build: &str) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/parts.js")]
extern "C" {
    pub fn parts(env: &JsValue, origins: &str) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/audits.js")]
extern "C" {
    #[wasm_bindgen(js_name = callAudit)]
    pub fn call_audit(namespace: &JsValue, log: &str, call: &str) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/directories.js")]
extern "C" {
    #[wasm_bindgen(js_name = callDirectory)]
    pub fn call_directory(namespace: &JsValue, call: &str) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/mail.js")]
extern "C" {
    #[wasm_bindgen(js_name = sendMail)]
    pub fn send_mail(binding: &JsValue, letter: &str) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/passwords.js")]
extern "C" {
    /// Here and below, an empty `output` means that there is no hash.
    #[wasm_bindgen(js_name = attemptPassword)]
    pub fn attempt_password(
        namespace: &JsValue,
        attempt: &str,
        salt: &[u8],
        output: &[u8],
    ) -> Promise;
    #[wasm_bindgen(js_name = hashPassword)]
    pub fn hash_password(namespace: &JsValue, order: &str, salt: &[u8], output: &[u8]) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/assets.js")]
extern "C" {
    /// What answers in the origin's place for a static file, which is cached for `seconds`.
    #[wasm_bindgen(js_name = fromCache)]
    pub fn from_cache(request: &Request, prefix: &str, seconds: u32) -> JsValue;
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 16 * 1024]);
}

/// The text of `head`, which `head.js` read. JavaScript writes it into an existing buffer: to pass a
/// string would cost a loop over its characters and an allocation.
pub fn snapshot(head: &JsValue) -> String {
    BUFFER.with_borrow_mut(|buffer| {
        let written = usize::try_from(encode_into(head, buffer)).ok();
        let bytes = written.and_then(|written| buffer.get(..written));
        match bytes.map(str::from_utf8) {
            Some(Ok(text)) => text.to_owned(),
            _ => to_text(head),
        }
    })
}

/// The variables and secrets of the Worker.
pub fn configuration(env: &JsValue) -> Bindings {
    let flat: Vec<String> = raw_bindings(env)
        .iter()
        .filter_map(|item| item.as_string())
        .collect();
    flat.chunks_exact(2)
        .filter_map(|pair| match pair {
            [name, value] => Some((name.clone(), value.clone())),
            _ => None,
        })
        .collect()
}
