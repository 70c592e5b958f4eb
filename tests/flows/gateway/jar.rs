//! A browser: cookies by host, and the forms of the pages that it has open.

use std::collections::BTreeMap;

use super::{GATEWAY, form, hidden};
use crate::harness::Isolate;
use crate::harness::request::{Seen, open, req};

pub struct Jar<'a> {
    pub isolate: &'a Isolate,
    pub cookies: BTreeMap<(String, String), String>,
    /// The hidden fields of the page that is open.
    pub fields: Vec<(String, String)>,
    /// Whether the next navigation comes from another site.
    pub is_led: bool,
}

impl<'a> Jar<'a> {
    pub fn new(isolate: &'a Isolate) -> Self {
        Self {
            isolate,
            cookies: BTreeMap::new(),
            fields: Vec::new(),
            is_led: false,
        }
    }

    /// Opens a page.
    pub fn open(&mut self, host: &str, path: &str) -> Seen {
        let from = if self.is_led { "cross-site" } else { "none" };
        self.is_led = false;
        let mut request = open(path).at(host).header("sec-fetch-site", from);
        for ((at, name), value) in &self.cookies {
            if at == host {
                request = request.cookie(&format!("{name}={value}"));
            }
        }
        let seen = self.isolate.send(&request);
        self.keep(host, &seen);
        seen
    }

    /// Follows a redirect to anywhere that Edgeward serves.
    pub fn follow(&mut self, seen: &Seen, from: &str) -> Seen {
        let location = seen.header("location").expect("a redirect").to_owned();
        let (host, path) = match location.strip_prefix("https://") {
            Some(rest) => rest.split_at(rest.find('/').unwrap()),
            None => (from, location.as_str()),
        };
        self.is_led = host != from;
        self.open(host, path)
    }

    /// The same browser, whose requests come to another isolate.
    pub fn moved<'b>(&self, isolate: &'b Isolate) -> Jar<'b> {
        let mut moved = Jar::new(isolate);
        moved.cookies.clone_from(&self.cookies);
        moved
    }

    /// Opens the sign-in page and submits its form.
    pub fn sign_in(&mut self, name: &str, password: &str) -> Seen {
        self.open(GATEWAY, "/login/");
        let fields = [("username", name), ("password", password)];
        self.submit(GATEWAY, "/login/", &fields)
    }

    /// Submits the form of the page that is open.
    pub fn submit(&mut self, host: &str, path: &str, fields: &[(&str, &str)]) -> Seen {
        let mut all: Vec<(&str, &str)> = fields.to_vec();
        let hidden = self.fields.clone();
        all.extend(
            hidden
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        self.post(host, path, &all, "same-origin")
    }

    /// Sends a form from a page of `site`, as `Sec-Fetch-Site` says it.
    pub fn post(&mut self, host: &str, path: &str, fields: &[(&str, &str)], site: &str) -> Seen {
        let request = req("POST", path)
            .at(host)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-site", site)
            .header("accept", "text/html");
        let mut request = form(request, fields);
        for ((at, name), value) in &self.cookies {
            if at == host {
                request = request.cookie(&format!("{name}={value}"));
            }
        }
        let seen = self.isolate.send(&request);
        self.keep(host, &seen);
        seen
    }

    fn keep(&mut self, host: &str, seen: &Seen) {
        for cookie in &seen.outcome.cookies {
            let (pair, attributes) = cookie.as_str().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let key = (host.to_owned(), name.to_owned());
            if value.is_empty() || attributes.contains("Max-Age=0") {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
        let names = [
            "csrf",
            "sso",
            "return_to",
            "state",
            "token",
            "user",
            "max_age",
            "amr",
        ];
        let found = names
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), hidden(seen, name)?)));
        self.fields = found.collect();
    }
}
