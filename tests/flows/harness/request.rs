//! A request as a client sends it, and its outcome.

use edgeward::http::headers::HeaderChange;
use edgeward::http::request::Parts;
use edgeward::pipeline::{Action, Outcome};
use edgeward::site::config::Config;
use edgeward::site::disclosure::{self, Disclosure};
use serde_json::Value;

/// A request.
#[derive(Clone, Debug)]
pub struct Req {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A request to `path` of the default site.
pub fn req(method: &str, path: &str) -> Req {
    Req {
        method: method.into(),
        url: format!("https://site.example{path}"),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// A program asks for `path`.
pub fn get(path: &str) -> Req {
    req("GET", path)
}

/// A person's browser opens `path`.
pub fn open(path: &str) -> Req {
    get(path)
        .header("sec-fetch-mode", "navigate")
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

impl Req {
    /// Adds a header. One that is there already is joined as the Fetch standard does.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let separator = ", ";
        match self.headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => {
                known.push_str(separator);
                known.push_str(value);
            }
            None => self.headers.push((name, value.to_owned())),
        }
        self
    }

    /// Adds a cookie, `name=value`, to the one `Cookie` header.
    pub fn cookie(mut self, pair: &str) -> Self {
        match self.headers.iter_mut().find(|(name, _)| name == "cookie") {
            Some((_, known)) => {
                known.push_str("; ");
                known.push_str(pair);
                self
            }
            None => self.header("cookie", pair),
        }
    }

    pub fn header_value(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn api_token(self, token: &str) -> Self {
        self.header("authorization", &format!("Token {token}"))
    }

    pub fn at(mut self, host: &str) -> Self {
        let (_, path) = self.url.split_at(self.url[8..].find('/').unwrap() + 8);
        self.url = format!("https://{host}{path}");
        self
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("content-type", "application/json")
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// The head with as much of each header as `told` says.
    pub fn snapshot(&self, told: impl Fn(&str, &str) -> Disclosure) -> String {
        let mut text = format!("{}\n{}", self.method, self.url);
        for (name, value) in &self.headers {
            let value = match told(name, value) {
                Disclosure::Nothing => continue,
                Disclosure::Name => "",
                Disclosure::Value => value,
            };
            for line in ["\n", name, "\n", value] {
                text.push_str(line);
            }
        }
        text
    }

    /// What the platform tells the core at first, as `read` in `src/edge/head.js` does.
    pub fn parts(&self, config: &Config) -> Parts {
        let text = self.snapshot(|name, value| {
            if disclosure::may_hold_a_credential(name, value) {
                Disclosure::Value
            } else {
                config.disclosures.for_name(name)
            }
        });
        Parts::from_snapshot(text).unwrap()
    }
}

/// The outcome of a request.
pub struct Seen {
    pub request: Req,
    pub outcome: Outcome,
    /// How often the core was polled; 1 when it waited for nothing.
    pub polls: usize,
}

/// The request that an origin got.
#[derive(Debug)]
pub struct OriginSaw {
    pub url: String,
    pub headers: Vec<(String, String)>,
}

impl OriginSaw {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Seen {
    /// The status that we answered; 0 when the request was forwarded.
    pub fn status(&self) -> u16 {
        match &self.outcome.action {
            Action::Forward(_) => 0,
            Action::Answer(answer) => answer.status,
        }
    }

    pub fn is_forwarded(&self) -> bool {
        matches!(self.outcome.action, Action::Forward(_))
    }

    pub fn body(&self) -> &str {
        match &self.outcome.action {
            Action::Forward(_) => "",
            Action::Answer(answer) => &answer.body,
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|_| panic!("no JSON: {}", self.body()))
    }

    /// Status and `code` or, for the token endpoint, `error`.
    pub fn refusal(&self) -> (u16, String) {
        let body = self.json();
        let text = body.get("code").or(body.get("error")).unwrap();
        (self.status(), text.as_str().unwrap().to_owned())
    }

    /// A header of our own answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        match &self.outcome.action {
            Action::Forward(_) => None,
            Action::Answer(answer) => answer
                .headers
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.as_str()),
        }
    }

    /// The `Set-Cookie` lines for the cookie `name`. There are never two for one form of it.
    pub fn set_cookies(&self, name: &str) -> Vec<&str> {
        let all = self.outcome.cookies.iter();
        let all: Vec<_> = all.filter(|cookie| cookie.name() == name).collect();
        let forms = all
            .iter()
            .map(|cookie| (cookie.is_partitioned(), cookie.domain()));
        let forms: std::collections::HashSet<_> = forms.collect();
        assert_eq!(forms.len(), all.len(), "one form of {name} twice");
        all.into_iter()
            .map(edgeward::credential::session::SetCookie::as_str)
            .collect()
    }

    /// The `Set-Cookie` line for the cookie `name`: what opens a session before what clears another
    /// form of it.
    pub fn set_cookie(&self, name: &str) -> Option<&str> {
        let all = self.set_cookies(name);
        let clears = |line: &&str| line.starts_with(&format!("{name}=;"));
        let opens = all.iter().find(|line| !clears(line));
        opens.or(all.first()).copied()
    }

    /// The pair `name=value` of our own session cookie, if one was opened or renewed.
    pub fn session(&self) -> Option<String> {
        let line = self.set_cookie("__Host-edgeward")?;
        let pair = line.split(';').next().unwrap();
        (!pair.ends_with('=')).then(|| pair.to_owned())
    }

    /// Whether the cookie `name` was cleared.
    pub fn clears(&self, name: &str) -> bool {
        self.set_cookie(name).is_some_and(|line| {
            line.starts_with(&format!("{name}=;")) && line.contains("Max-Age=0")
        })
    }

    /// The request that went to the origin, with our changes made as the Worker's glue makes them.
    pub fn origin(&self) -> OriginSaw {
        let Action::Forward(forward) = &self.outcome.action else {
            panic!("answered {}: {}", self.status(), self.body());
        };
        let mut headers = self.request.headers.clone();
        for (_, value) in headers.iter_mut().filter(|(name, _)| name == "cookie") {
            *value = forward.cookies().apply_to(value).unwrap();
        }
        for change in forward.all_changes() {
            match change {
                HeaderChange::Remove(name) => headers.retain(|(known, _)| known != name),
                HeaderChange::Rebase(name, length, by) => {
                    let (_, value) = headers.iter_mut().find(|(known, _)| known == name).unwrap();
                    value.replace_range(..length, by);
                }
                HeaderChange::Set(name, value) | HeaderChange::Copy(name, value) => {
                    let value = match change {
                        HeaderChange::Copy(_, from) => self.request.header_value(from).unwrap(),
                        _ => value,
                    };
                    match headers.iter_mut().find(|(known, _)| known == name) {
                        Some((_, known)) => value.clone_into(known),
                        None => headers.push((name.to_owned(), value.to_owned())),
                    }
                }
            }
        }
        OriginSaw {
            url: forward.url().to_owned(),
            headers,
        }
    }
}
