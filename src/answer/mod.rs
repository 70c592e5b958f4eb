//! Our own answers: JSON, pages and redirects. No cache may store one unless its headers say so.

pub mod denial;
pub mod event;
pub mod gateway_page;
pub mod logged;
pub mod mail;
pub mod metrics;
pub mod page;
pub mod reading;
pub mod reply;

use serde_json::{Value, json};

use crate::answer::denial::{Denial, Row};
use crate::http::reserved::REQUEST_ID;
use crate::site::Site;
use crate::site::words::Words;

/// An answer of our own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        let mut answer = Self::empty(status);
        answer
            .headers
            .push(("content-type", "application/json".into()));
        answer.body = value.to_string();
        answer
    }

    /// An answer without a body, with the headers that all our answers have.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: vec![
                ("cache-control", "no-store".into()),
                ("vary", "Cookie, Authorization".into()),
                ("x-content-type-options", "nosniff".into()),
                ("referrer-policy", "no-referrer".into()),
            ],
            body: String::new(),
        }
    }

    /// A redirect that turns any method into GET (RFC 9110 §15.4.4).
    #[must_use]
    pub fn see_other(location: String) -> Self {
        let mut answer = Self::empty(303);
        answer.headers.push(("location", location));
        answer
    }

    /// A redirect that keeps the method (RFC 9110 §15.4.9).
    #[must_use]
    pub fn moved(location: String) -> Self {
        let mut answer = Self::empty(308);
        answer.headers.push(("location", location));
        answer
    }

    /// A page with a content security policy (CSP Level 3): it loads nothing but what `policy` names.
    #[must_use]
    pub fn page(status: u16, html: String, policy: &page::Policy<'_>) -> Self {
        let ancestors = match (policy.frames, policy.anywhere) {
            ([], true) => "*".to_owned(),
            ([], false) => "'none'".to_owned(),
            (frames, _) => frames.join(" "),
        };
        let further = |source: Option<&str>| source.map_or_else(String::new, |s| format!(" {s}"));
        let form = further(policy.form_to);
        let images = policy
            .images
            .map_or_else(String::new, |source| format!("img-src {source}; "));
        let script = if policy.script {
            "script-src 'self'; connect-src 'self'; "
        } else {
            ""
        };
        let mut answer = Self::empty(status);
        answer
            .headers
            .push(("content-type", "text/html; charset=utf-8".into()));
        answer.headers.push((
            "content-security-policy",
            format!(
                "default-src 'none'; style-src {}; {images}{script}form-action 'self'{form}; base-uri 'none'; \
                 frame-ancestors {ancestors}",
                policy.style,
            ),
        ));
        if policy.frames.is_empty() && !policy.anywhere {
            answer.headers.push(("x-frame-options", "DENY".into()));
        }
        answer.body = html;
        answer
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Replaces a header.
    #[must_use]
    pub fn replacing(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.with(name, value)
    }

    /// A refusal for programs: text and code of the row, the request's id, and the invalid field if there is one.
    #[must_use]
    pub fn refusal(denial: &Denial, request_id: &str) -> Self {
        let row = denial.row();
        let mut body = json!({ "error": row.text, "code": row.code, "request_id": request_id });
        if let (Some(field), Some(members)) = (denial.field(), body.as_object_mut()) {
            members.insert("field".into(), json!(field));
            if let Some(rule) = denial.rule() {
                members.insert("rule".into(), json!(format!("the URL {rule}")));
            }
        }
        let answer = Self::json(row.status, &body).for_row(denial, &row);
        answer.with(REQUEST_ID, request_id)
    }

    /// A refusal of `POST /api/sso/token`, in the shape that its existing clients expect.
    #[must_use]
    pub fn token_refusal(denial: &Denial) -> Self {
        let row = denial.row();
        let body = match denial {
            Denial::UserNotFound(email, _) => json!({
                "success": false,
                "error": format!("{}: {}", row.text, email.as_str()),
                "error_code": row.code,
                "email": email.as_str(),
            }),
            _ => json!({ "error": row.text }),
        };
        Self::json(row.status, &body).for_row(denial, &row)
    }

    /// A refusal for people.
    #[must_use]
    pub fn refusal_page(
        denial: &Denial,
        site: Option<&Site>,
        words: Words<'_>,
        request_id: &str,
        ways: page::Ways,
    ) -> Self {
        let row = denial.row();
        let frame = page::Frame {
            title: row.title_in(words),
            code: row.code,
            request_id,
            site,
            words,
        };
        let message = page::Message {
            lead: row.text_in(words),
            ways,
            ..page::Message::default()
        };
        page::message(row.status, &frame, message).for_row(denial, &row)
    }

    fn for_row(mut self, denial: &Denial, row: &Row) -> Self {
        if let Some(challenge) = row.challenge() {
            self.headers.push(("www-authenticate", challenge));
        }
        if let Denial::MethodNotAllowed(allow) = denial {
            self.headers.push(("allow", (*allow).into()));
        }
        if row.status == 429 {
            let seconds = denial.retry_after().unwrap_or(60);
            self.headers.push(("retry-after", seconds.to_string()));
        }
        self
    }
}
