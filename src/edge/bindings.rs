//! The functions of the JavaScript files beside this one.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use web_sys::{Request, Response};

use crate::config::Bindings;

#[wasm_bindgen(module = "/src/edge/glue.js")]
extern "C" {
    #[wasm_bindgen(js_name = whenUnreachable)]
    pub fn when_unreachable(answer: &Function);
    pub fn snapshot(request: &Request) -> String;
    pub fn forward(request: &Request, plan: &str) -> Promise;
    pub fn answer(head: &str, body: &str) -> Response;
    #[wasm_bindgen(js_name = readBody)]
    pub fn read_body(request: &Request, limit: u32) -> Promise;
    #[wasm_bindgen(js_name = bindings)]
    fn raw_bindings(env: &JsValue) -> Array;
    pub fn log(line: &str);
}

#[wasm_bindgen(module = "/src/edge/crypto.js")]
extern "C" {
    pub fn generate() -> Promise;
    pub fn sign(private: &[u8], message: &[u8]) -> Promise;
    pub fn seal(key: &[u8], plain: &[u8]) -> Promise;
    pub fn open(key: &[u8], sealed: &[u8]) -> Promise;
}

#[wasm_bindgen(module = "/src/edge/once.js")]
extern "C" {
    pub fn claim(namespace: &JsValue, key: &str, value: &str, expires: f64) -> Promise;
    pub fn release(namespace: &JsValue, key: &str) -> Promise;
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
