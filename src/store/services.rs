//! Services of the gateway by id, and their ids by the hash of a token. Reads use the key-value store; changes go through
//! the writers of the records.

use crate::model::service::{Service, ServiceId, hash_token};
use crate::platform::port::{Change, Changed, Fault, Kv, Notification, Records};
use crate::platform::time::Timestamp;
use crate::store::{decode, encode, hashed_key};

pub(super) const RECORD: &str = "service:";
pub(super) const TOKEN: &str = "service_token:";

/// The most services of a deployment: each change of a user is told to all of them.
pub const MAX: usize = 100;

/// Services in the key-value store, which may be up to a minute behind.
pub struct Services<'a>(pub &'a dyn Kv);

impl Services<'_> {
    /// The service with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find(&self, id: &ServiceId) -> Result<Option<Service>, Fault> {
        match self.0.read(&record_key(id)).await? {
            Some(text) => decode(&text).map(Some),
            None => Ok(None),
        }
    }

    /// The service with this token, if the token is valid at `now`.
    ///
    /// # Errors
    /// A [`Fault`] of the store.
    pub async fn find_by_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Option<Service>, Fault> {
        let hash = hash_token(token);
        let Some(id) = self.0.read(&token_key(&hash)).await? else {
            return Ok(None);
        };
        let id = ServiceId::parse(&id).ok_or(Fault::Record)?;
        let service = self.find(&id).await?;
        Ok(service.filter(|service| service.has_token(&hash, now)))
    }

    /// All services, the oldest first.
    ///
    /// # Errors
    /// A [`Fault`] of the store; [`Fault::Record`] if any record is malformed: a service that is overlooked is not told
    /// that a user was signed out.
    pub async fn all(&self) -> Result<Vec<Service>, Fault> {
        let mut services: Vec<Service> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self.0.list(RECORD, cursor.as_deref(), 1000).await?;
            let texts = page.keys.iter().map(|key| self.0.read(key));
            let texts = futures_util::future::try_join_all(texts).await?;
            // Some may have been deleted since the keys were listed.
            for text in texts.into_iter().flatten() {
                services.push(decode(&text)?);
            }
            cursor = page.cursor;
            if cursor.is_none() {
                services.sort_by(|a, b| {
                    (a.created_at, a.id.as_str()).cmp(&(b.created_at, b.id.as_str()))
                });
                return Ok(services);
            }
        }
    }
}

/// The record of a service as its writer holds it.
pub struct HeldService {
    pub service: Service,
    text: String,
}

/// The writers of services' records.
pub struct ServiceRecords<'a>(pub &'a dyn Records);

impl ServiceRecords<'_> {
    /// The current record of the service with this id.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn read(&self, id: &ServiceId) -> Result<Option<HeldService>, Fault> {
        let Some(text) = self.0.read(&record_key(id)).await? else {
            return Ok(None);
        };
        let service = decode(&text)?;
        Ok(Some(HeldService { service, text }))
    }

    /// Creates a service together with the look-up of its token: both or neither. Returns whether the token was free.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn create(
        &self,
        service: &Service,
        notify: Vec<Notification>,
    ) -> Result<bool, Fault> {
        let record = Change {
            key: record_key(&service.id),
            to: Some(encode(service)?),
            fresh: true,
            notify,
            ..Change::default()
        };
        self.point_token(service, record).await
    }

    /// Replaces `old` with `service`. A token that is new is found from then on, one that is gone no longer. Returns
    /// whether `old` was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn replace(
        &self,
        old: &HeldService,
        service: &Service,
        notify: Vec<Notification>,
    ) -> Result<bool, Fault> {
        let kept = |hash: &str| service.tokens.iter().any(|token| token.is(hash));
        let gone = old
            .service
            .tokens
            .iter()
            .filter(|token| !kept(&token.sha256));
        let record = Change {
            key: record_key(&service.id),
            from: Some(old.text.clone()),
            to: Some(encode(service)?),
            then: gone
                .map(|token| forget_token(&token.sha256, service))
                .collect(),
            notify,
            ..Change::default()
        };
        let known = |hash: &str| old.service.tokens.iter().any(|token| token.is(hash));
        if service
            .tokens
            .first()
            .is_some_and(|token| !known(&token.sha256))
        {
            return self.point_token(service, record).await;
        }
        Ok(self.0.change(&record).await? == Changed::Done)
    }

    /// Deletes a service and the look-up of its tokens. Returns whether `old` was still current.
    ///
    /// # Errors
    /// A [`Fault`] of the writer.
    pub async fn remove(
        &self,
        old: &HeldService,
        notify: Vec<Notification>,
    ) -> Result<bool, Fault> {
        let tokens = old.service.tokens.iter();
        let change = Change {
            key: record_key(&old.service.id),
            from: Some(old.text.clone()),
            then: tokens
                .map(|token| forget_token(&token.sha256, &old.service))
                .collect(),
            notify,
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }

    /// Points the newest token to the service, together with the change of its `record`.
    async fn point_token(&self, service: &Service, record: Change) -> Result<bool, Fault> {
        let Some(newest) = service.tokens.first() else {
            return Ok(self.0.change(&record).await? == Changed::Done);
        };
        let change = Change {
            key: token_key(&newest.sha256),
            to: Some(service.id.as_str().to_owned()),
            needs: Some(Box::new(record)),
            ..Change::default()
        };
        Ok(self.0.change(&change).await? == Changed::Done)
    }
}

fn forget_token(hash: &str, service: &Service) -> Change {
    Change {
        key: token_key(hash),
        from: Some(service.id.as_str().to_owned()),
        ..Change::default()
    }
}

fn record_key(id: &ServiceId) -> String {
    hashed_key(RECORD, id.as_str())
}

/// A token's hash is in hexadecimal already.
fn token_key(hash: &str) -> String {
    format!("{TOKEN}{hash}")
}
