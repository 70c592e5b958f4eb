//! Sends a request to the origin: what crosses to JavaScript with each request, and what only once.
//!
//! Two things are kept as JavaScript objects: the header changes that many requests share, found by
//! their whole text, and the headers of a caller, which lie beside the credential. Either is made
//! again from its text if it is missing. What belongs to one request alone crosses each time.

use std::cell::RefCell;

use wasm_bindgen::prelude::*;
use web_sys::Request;

use super::bindings;
use crate::credential::session::SetCookie;
use crate::http::cookies::Remainder;
use crate::origin::Forward;
use crate::platform::shelf::{self, Shelf, Weigh};

const IDENTIFIED: u32 = 1;
const UNCACHED: u32 = 2;
const WATCHED: u32 = 4;
const TRANSLATED: u32 = 8;
/// Above the flags is the number of the site.
const SITE: u32 = 8;

thread_local! {
    static RENDERINGS: RefCell<Shelf<String, Rendering>> =
        RefCell::new(Shelf::new(shelf::RENDERINGS));
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What there is beside a request for an origin, for the way back.
pub struct Beside<'a> {
    /// Cookies for the response.
    pub cookies: &'a [SetCookie],
    /// Told with the cookies.
    pub hsts: Option<&'a str>,
    /// A line for the log, once the origin has answered.
    pub line: Option<String>,
}

/// Header changes as JavaScript has parsed them.
struct Rendering {
    list: JsValue,
    length: usize,
}

impl Weigh for Rendering {
    /// JavaScript's form has as many characters as the text, and counts towards the same 128 MB.
    fn heap(&self) -> usize {
        2 * self.length
    }
}

/// Sends `request`, of which `head` was read, and returns the promise of the response. `before`: the
/// length of scheme and authority in its URL, 0 if that cannot be replaced by position. `site`: its number; `begun`: when it came.
pub fn send(
    request: &Request,
    head: &JsValue,
    before: usize,
    forward: &Forward,
    beside: &Beside<'_>,
    site: u16,
    begun: f64,
) -> JsValue {
    let rendering = rendering(forward);
    let caller_headers = forward
        .caller_headers()
        .map_or(JsValue::UNDEFINED, |caller_headers| {
            caller_headers.crossed(|headers| bindings::caller_headers(headers.as_lines()))
        });
    let mut flags = u32::from(site) << SITE;
    if forward.identified() {
        flags |= IDENTIFIED;
    }
    if forward.uncached() {
        flags |= UNCACHED;
    }
    if forward.watched() {
        flags |= WATCHED;
    }
    if forward.translates() {
        flags |= TRANSLATED;
    }
    let (from, until) = match forward.cookies() {
        Remainder::Without(cut) => (number(cut.start), number(cut.end)),
        Remainder::Whole | Remainder::Nothing | Remainder::Text(_) => (0, 0),
    };
    let (before, own) = own(forward, before, beside);
    let own = own.map_or(JsValue::UNDEFINED, |own| JsValue::from_str(&own));
    let asset = forward.rules().and_then(|rules| rules.asset);
    let through = asset.map_or(JsValue::UNDEFINED, |seconds| {
        bindings::from_cache(request, forward.own_prefix(), seconds.0)
    });
    bindings::forward(
        request,
        head,
        &rendering,
        &caller_headers,
        flags,
        before,
        from,
        until,
        &own,
        &through,
        begun,
    )
    .into()
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// What belongs to this request alone, one line each, and how many characters of its URL the origin's
/// base replaces: 0 if the whole URL crosses.
fn own(forward: &Forward, before: usize, beside: &Beside<'_>) -> (u32, Option<String>) {
    let Beside {
        cookies,
        hsts,
        line,
    } = beside;
    let is_short = forward.is_local() && before > 0;
    let left = match forward.cookies() {
        Remainder::Text(text) => Some(text),
        Remainder::Whole | Remainder::Nothing | Remainder::Without(_) => None,
    };
    let rules = forward.rules();
    let is_plain = is_short
        && left.is_none()
        && rules.is_none()
        && cookies.is_empty()
        && line.is_none()
        && forward.own().as_lines().is_empty();
    if is_plain {
        return (number(before + forward.mount()), None);
    }
    let mut own = String::new();
    if !is_short {
        for line in ["@", forward.url(), "\n"] {
            own.push_str(line);
        }
    }
    if let Some(left) = left {
        for line in ["+cookie\n", left, "\n"] {
            own.push_str(line);
        }
    }
    own.push_str(forward.own().as_lines());
    for line in hsts.iter().flat_map(|hsts| ["^", hsts, "\n"]) {
        own.push_str(line);
    }
    for cookie in *cookies {
        for line in ["=", cookie.as_str(), "\n"] {
            own.push_str(line);
        }
    }
    for line in line.iter().flat_map(|line| ["$", line, "\n"]) {
        own.push_str(line);
    }
    if let Some(rules) = rules {
        own.push_str(&rules.line());
    }
    let replaced = if is_short {
        before + forward.mount()
    } else {
        0
    };
    (number(replaced), Some(own))
}

/// The changes that many requests share, as JavaScript has parsed them.
fn rendering(forward: &Forward) -> JsValue {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        for line in [
            forward.base(),
            "\n",
            forward.resolve_override().unwrap_or_default(),
            "\n",
        ] {
            text.push_str(line);
        }
        text.push_str(forward.changes().as_lines());
        for line in forward.response_changes().lines() {
            text.push('~');
            text.push_str(line);
            text.push('\n');
        }
        RENDERINGS.with_borrow_mut(|known| {
            if let Some(rendering) = known.get(text.as_str()) {
                return rendering.list.clone();
            }
            let list = bindings::rendering(text);
            let rendering = Rendering {
                list: list.clone(),
                length: text.len(),
            };
            known.put(text.clone(), rendering);
            list
        })
    })
}
