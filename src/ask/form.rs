//! A form that a browser has sent to one of our own pages.

use crate::answer::denial::{self, Denial};
use crate::ask::ctx::Ctx;
use crate::http::query;
use crate::platform::port::Sender;

/// In bytes.
const MAX: usize = 16 * 1024;

/// The fields of a form (`application/x-www-form-urlencoded`).
pub struct Form(String);

impl Form {
    /// Reads the body of the request. Nobody has been verified yet.
    ///
    /// # Errors
    /// [`Denial::BodyTooLarge`], [`Denial::BodyTooSlow`], [`Denial::InvalidField`] if it is not text, or a fault.
    pub async fn read(ctx: &Ctx<'_>) -> Result<Self, Denial> {
        let body = denial::body_bytes(ctx.received.read(MAX, Sender::Anybody).await?)?;
        let text = String::from_utf8(body).map_err(|_| Denial::InvalidField("body"))?;
        Ok(Self(text))
    }

    /// The fields of a query.
    #[must_use]
    pub fn of_query(ctx: &Ctx<'_>) -> Self {
        Self(ctx.parts.query().unwrap_or_default().to_owned())
    }

    /// The fields of the query of a URL of ours.
    #[must_use]
    pub fn of_url(url: &str) -> Self {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        Self(query.to_owned())
    }

    /// The first value of a field; `None` if it is absent.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        query::take(&self.0, name).values.into_iter().next()
    }

    /// The first value of a field; an empty text if it is absent.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        self.field(name).unwrap_or_default()
    }
}
