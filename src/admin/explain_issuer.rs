//! What Edgeward understands of an issuer's keys at this moment: the documents are fetched and read as for a token, and
//! nothing of them is kept.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::authn::{jwks, report};
use crate::jose::key::{KeyError, KeySet, PublicKey};
use crate::memory::issuer_keys::KeysCause;
use crate::memory::world::World;
use crate::platform::algorithm::Algorithm;
use crate::site::issuer::{Document, Issuer, KeySource, RemoteKeys};

/// The answer for the issuer or the provider of this name.
///
/// # Errors
/// [`Denial::NotFound`] if no site takes tokens of an issuer of this name, and people sign in nowhere at such a provider.
pub(super) async fn explain(world: &World, name: &str) -> Result<Answer, Denial> {
    let config = &world.config;
    let mut issuers = config.sites().flat_map(|site| site.speakers());
    let issuer = issuers.find(|issuer| issuer.name == name);
    let issuer = Rc::clone(issuer.ok_or(Denial::NotFound)?);
    let mut told = match &issuer.keys {
        KeySource::Secrets(_) => json!({ "keys_from": "secret", "usable": true }),
        KeySource::Fixed(_) => json!({ "keys_from": "public_key", "usable": true }),
        KeySource::Remote(remote) => Box::pin(of_published(world, &issuer, remote)).await,
    };
    let algorithms: Vec<&str> = issuer.algorithms.iter().map(|one| one.name()).collect();
    if let Some(told) = told.as_object_mut() {
        told.insert("issuer".to_owned(), issuer.name.as_str().into());
        let isses: Vec<&str> = issuer.isses().collect();
        told.insert("iss".to_owned(), isses.into());
        told.insert("audience".to_owned(), json!(issuer.audience));
        told.insert("algorithms".to_owned(), algorithms.into());
    }
    Ok(Answer::json(200, &told))
}

async fn of_published(world: &World, issuer: &Issuer, remote: &RemoteKeys) -> Value {
    let from = match remote.document {
        Document::Discovery => "discovery_url",
        Document::KeySet => "jwks_url",
        Document::Key => "public_key_url",
    };
    let failed = |url: &str, cause: KeysCause| {
        json!({
            "keys_from": from, "usable": false,
            "host": jwks::host_for_log(url), "error": cause.to_string(),
        })
    };
    let (uri, document) = match jwks::published(world, remote, None).await {
        Ok(found) => found,
        Err((url, cause)) => return failed(&url, cause),
    };
    let url = uri.as_deref().unwrap_or(&remote.url);
    let read = match remote.document {
        Document::Key => Ok(vec![(None, PublicKey::from_document(&document))]),
        Document::KeySet | Document::Discovery => KeySet::members(&document),
    };
    let members = match read {
        Ok(members) => members,
        Err(error) => return failed(url, KeysCause::Keys(error)),
    };
    let each: Vec<Value> = members
        .iter()
        .map(|(kid, key)| of_key(kid.as_deref(), key.as_ref(), &issuer.algorithms))
        .collect();
    let is_taken = |key: &&Value| key.get("taken") == Some(&Value::Bool(true));
    let fitting = each.iter().filter(is_taken).count();
    json!({
        "keys_from": from,
        "host": jwks::host_for_log(url),
        "usable": fitting > 0,
        "taken": fitting,
        "left_out": each.len() - fitting,
        "keys": each,
    })
}

fn of_key(kid: Option<&str>, key: Result<&PublicKey, &KeyError>, allowed: &[Algorithm]) -> Value {
    let kid = kid.map(report::bounded);
    match key {
        Ok(key) => {
            let fitting: Vec<&str> = allowed
                .iter()
                .filter(|algorithm| key.is_for(**algorithm))
                .map(|algorithm| algorithm.name())
                .collect();
            if fitting.is_empty() {
                let because = format!(
                    "is for {}, which `algorithms` does not list",
                    key.algorithms().join(", ")
                );
                return json!({ "kid": kid, "taken": false, "because": because });
            }
            json!({ "kid": kid, "taken": true, "algorithms": fitting })
        }
        Err(error) => json!({ "kid": kid, "taken": false, "because": error.to_string() }),
    }
}
