//! What we answer ourselves: JSON, a page or a redirect. Never kept by any cache unless said so.

pub mod denial;
pub mod event;
pub mod page;
pub mod reply;

use serde_json::{Value, json};

use crate::answer::denial::{Denial, Row};
use crate::platform::port::Entropy;
use crate::site::Site;

/// An answer of our own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
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

    /// No body.
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

    /// A page, with a policy that lets it load nothing and be framed by nobody but `frames`
    /// (Content Security Policy Level 3). `form_to` is where its form may lead besides here, as a
    /// source of that policy.
    #[must_use]
    pub fn page(
        status: u16,
        html: String,
        nonce: &str,
        frames: &[String],
        form_to: Option<&str>,
    ) -> Self {
        let ancestors = if frames.is_empty() {
            "'none'".to_owned()
        } else {
            frames.join(" ")
        };
        let form = form_to.map_or_else(|| "'self'".to_owned(), |origin| format!("'self' {origin}"));
        let mut answer = Self::empty(status);
        answer
            .headers
            .push(("content-type", "text/html; charset=utf-8".into()));
        answer.headers.push((
            "content-security-policy",
            format!(
                "default-src 'none'; style-src 'nonce-{nonce}'; form-action {form}; base-uri 'none'; \
                 frame-ancestors {ancestors}"
            ),
        ));
        if frames.is_empty() {
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

    /// Sets a header that is there already.
    #[must_use]
    pub fn replacing(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.with(name, value)
    }

    /// A refusal for programs: the row's text and code, and what belongs to this denial alone.
    #[must_use]
    pub fn refusal(denial: &Denial) -> Self {
        let row = denial.row();
        let mut body = json!({ "error": row.text, "code": row.code });
        if let (Some(field), Some(members)) = (denial.field(), body.as_object_mut()) {
            members.insert("field".into(), json!(field));
        }
        Self::json(row.status, &body).for_row(denial, &row)
    }

    /// A refusal of `POST /api/sso/token`, in the words that its clients know.
    #[must_use]
    pub fn token_refusal(denial: &Denial) -> Self {
        let row = denial.row();
        let body = match denial {
            Denial::UserNotFound(email) => json!({
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
        request_id: &str,
        action: Option<page::LinkButton>,
        entropy: &dyn Entropy,
    ) -> Self {
        let row = denial.row();
        let frame = page::Frame {
            title: row.title,
            code: row.code,
            request_id,
            site,
        };
        let message = page::Message {
            lead: row.text,
            details: Vec::new(),
            action,
        };
        page::message(row.status, &frame, message, entropy).for_row(denial, &row)
    }

    fn for_row(mut self, denial: &Denial, row: &Row) -> Self {
        if let Some(challenge) = row.challenge() {
            self.headers.push(("www-authenticate", challenge));
        }
        if let Denial::MethodNotAllowed(allow) = denial {
            self.headers.push(("allow", (*allow).into()));
        }
        if row.status == 429 {
            self.headers.push(("retry-after", "60".into()));
        }
        self
    }
}
