//! What is asked of a provider's servers: its discovery document, its token endpoint, and what an access token opens. Knows no
//! browser, and believes no claim.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::authn::{client_assertion, github, jwks};
use crate::http::host::fetchable_host;
use crate::http::query;
use crate::jose::json::StrictObject;
use crate::memory::issuer_keys::KeysCause;
use crate::memory::provider::{Endpoints, ProviderCause};
use crate::memory::turns::{self, TurnKey};
use crate::memory::world::World;
use crate::platform::port::{Incoming, Outgoing};
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::{KeySource, RemoteKeys};
use crate::site::provider::{ClientAuthentication, Provider};

/// How long a provider may take for one answer, in milliseconds.
const TIMEOUT: u32 = 10_000;
/// How long a provider is not asked again after it has failed.
const FAILED_FOR: Seconds = Seconds(2);
/// The longest URL of an endpoint.
const MAX_URL: usize = 1024;

pub(super) const TOKEN: &str = "token endpoint";
pub(super) const USERINFO: &str = "userinfo endpoint";

/// The endpoints of a provider, from memory while they are fresh, or while it cannot be reached and they are not too old.
/// Of the requests of an isolate that need them at once, one asks.
///
/// # Errors
/// Why there are none that may be used.
pub async fn endpoints(
    world: &World,
    provider: &Provider,
    now: Timestamp,
) -> Result<Rc<Endpoints>, ProviderCause> {
    let issuer = &provider.issuer;
    let KeySource::Remote(remote) = &issuer.keys else {
        return Err(ProviderCause::Keys);
    };
    if provider.github.is_some() {
        return Ok(Rc::new(github::endpoints(remote)));
    }
    let memory = &world.cache.issuer_keys;
    let known = |age: Seconds| {
        let known = memory.state(issuer).endpoints;
        let known = known.filter(|(_, asked_at)| now < *asked_at + age);
        known.map(|(endpoints, _)| endpoints)
    };
    let look = || {
        if let Some(fresh) = known(remote.ttl) {
            return Some(Ok(fresh));
        }
        let failed = memory.state(issuer).endpoints_failed;
        let (cause, _) = failed.filter(|(_, at)| now < *at + FAILED_FOR)?;
        Some(known(remote.stale).ok_or(cause))
    };
    let fetch = async || {
        let asked = ask(world, remote).await.map(Rc::new);
        memory.change(issuer, |state| match &asked {
            Ok(endpoints) => {
                state.endpoints = Some((Rc::clone(endpoints), now));
                state.endpoints_failed = None;
            }
            Err(cause) => state.endpoints_failed = Some((*cause, now)),
        });
        Ok(asked.or_else(|cause| known(remote.stale).ok_or(cause)))
    };
    let turn = TurnKey::Endpoints(issuer.name.clone());
    let shared = Box::pin(turns::share(world, turn, look, fetch)).await;
    shared.unwrap_or(Err(ProviderCause::Discovery(KeysCause::Overloaded)))
}

async fn ask(world: &World, remote: &RemoteKeys) -> Result<Endpoints, ProviderCause> {
    let document = jwks::document(world, remote, &remote.url).await;
    let document = document.and_then(|document| jwks::discovery(&document, remote));
    let document = document.map_err(ProviderCause::Discovery)?;
    let loopback = remote.loopback.as_deref();
    let find = |name: &'static str| {
        let url = document.get(name).and_then(Value::as_str);
        let usable = |url: &&str| url.len() <= MAX_URL && fetchable_host(url, loopback).is_some();
        let url = url.filter(usable).map(str::to_owned);
        url.ok_or(ProviderCause::NoEndpoint(name))
    };
    let says_iss = document.get("authorization_response_iss_parameter_supported");
    Ok(Endpoints {
        authorization: find("authorization_endpoint")?,
        token: find("token_endpoint")?,
        userinfo: find("userinfo_endpoint").ok(),
        end_session: find("end_session_endpoint").ok(),
        says_iss: says_iss == Some(&Value::Bool(true)),
    })
}

/// Exchanges a grant at the token endpoint.
pub(super) async fn redeem(
    world: &World,
    provider: &Provider,
    url: &str,
    grant: &[(&str, &str)],
    now: Timestamp,
) -> Result<Map<String, Value>, ProviderCause> {
    let mut fields = grant.to_vec();
    let mut headers = vec![
        ("accept", "application/json"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let assertion;
    match &provider.authentication {
        ClientAuthentication::Basic(credential) => headers.push(("authorization", &credential.0)),
        ClientAuthentication::Post(secret) => {
            fields.push(("client_id", &provider.client_id));
            fields.push(("client_secret", &secret.0));
        }
        ClientAuthentication::Assertion(key) => {
            let audience = if key.for_endpoint {
                url
            } else {
                &provider.issuer.issuer
            };
            let signed = client_assertion::sign(world, provider, key, audience, now).await;
            assertion = signed.map_err(|_| ProviderCause::ClientKey)?;
            fields.push(("client_id", &provider.client_id));
            if key.team.is_some() {
                fields.push(("client_secret", &assertion));
            } else {
                fields.push(("client_assertion_type", client_assertion::TYPE));
                fields.push(("client_assertion", &assertion));
            }
        }
        ClientAuthentication::None => fields.push(("client_id", &provider.client_id)),
    }
    let body = query::form(&fields);
    let request = Outgoing {
        method: "POST",
        url,
        headers: &headers,
        body: Some(&body),
        limit: jwks::MAX_DOCUMENT,
        timeout: TIMEOUT,
    };
    let answer = send(world, provider, TOKEN, request).await?;
    let said = serde_json::from_slice::<StrictObject>(&answer.body).ok();
    let said = said.as_ref().and_then(|said| said.0.get("error")?.as_str());
    // GitHub's errors have the status 200.
    if answer.status != 200 || said.is_some() {
        let error = known_error(said.unwrap_or_default());
        return Err(ProviderCause::Refused(answer.status, error));
    }
    object(TOKEN, &answer)
}

/// What the userinfo endpoint says of the person whose access token this is (Core 1.0 §5.3).
pub(super) async fn userinfo(
    world: &World,
    provider: &Provider,
    endpoints: &Endpoints,
    access_token: &str,
) -> Result<Map<String, Value>, ProviderCause> {
    let url = endpoints.userinfo.as_deref();
    let url = url.ok_or(ProviderCause::NoEndpoint("userinfo_endpoint"))?;
    let answer = get(world, provider, USERINFO, url, access_token).await?;
    object(USERINFO, &answer)
}

/// The answer to a request with an access token.
pub(super) async fn get(
    world: &World,
    provider: &Provider,
    what: &'static str,
    url: &str,
    access_token: &str,
) -> Result<Incoming, ProviderCause> {
    let authorization = ["Bearer ", access_token].concat();
    let request = Outgoing {
        method: "GET",
        url,
        headers: &[
            ("accept", "application/json"),
            ("authorization", &authorization),
            // GitHub answers nobody without one.
            ("user-agent", "edgeward"),
        ],
        body: None,
        limit: jwks::MAX_DOCUMENT,
        timeout: TIMEOUT,
    };
    send(world, provider, what, request).await
}

async fn send(
    world: &World,
    provider: &Provider,
    what: &'static str,
    request: Outgoing<'_>,
) -> Result<Incoming, ProviderCause> {
    let loopback = match &provider.issuer.keys {
        KeySource::Remote(remote) => remote.loopback.as_deref(),
        KeySource::Secrets(_) | KeySource::Fixed(_) => None,
    };
    let answer = jwks::answer_to(world, loopback, request).await;
    let answer = answer.map_err(|cause| ProviderCause::Endpoint(what, cause))?;
    // A redirect may lead anywhere.
    if (300..400).contains(&answer.status) {
        let cause = KeysCause::Redirect(answer.status);
        return Err(ProviderCause::Endpoint(what, cause));
    }
    Ok(answer)
}

pub(super) fn object(
    what: &'static str,
    answer: &Incoming,
) -> Result<Map<String, Value>, ProviderCause> {
    if answer.status != 200 {
        let cause = KeysCause::Status(answer.status);
        return Err(ProviderCause::Endpoint(what, cause));
    }
    let object: Result<StrictObject, _> = serde_json::from_slice(&answer.body);
    object
        .map(|object| object.0)
        .map_err(|_| ProviderCause::Form(what))
}

/// Whether a provider that has failed so would fail for everybody else too.
#[must_use]
pub fn is_of_everybody(cause: ProviderCause) -> bool {
    use KeysCause::{Connection, Status, Timeout};
    let is_outage = |status| status >= 500 || status == 429;
    match cause {
        ProviderCause::Discovery(_)
        | ProviderCause::NoEndpoint(_)
        | ProviderCause::Keys
        | ProviderCause::Endpoint(_, Timeout | Connection) => true,
        ProviderCause::Endpoint(_, Status(status)) => is_outage(status),
        ProviderCause::Refused(status, error) => {
            is_outage(status) || ["invalid_client", "unauthorized_client"].contains(&error)
        }
        _ => false,
    }
}

/// The error of a provider, if it is one of a standard or of a preset: any other text may be anything.
#[must_use]
pub fn known_error(text: &str) -> &'static str {
    const KNOWN: [&str; 21] = [
        "access_denied",
        "account_selection_required",
        "bad_verification_code",
        "consent_required",
        "incorrect_client_credentials",
        "interaction_required",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "redirect_uri_mismatch",
        "registration_not_supported",
        "request_not_supported",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unmet_authentication_requirements",
        "unsupported_grant_type",
        "unsupported_response_type",
        "user_cancelled_authorize",
    ];
    let known = KNOWN.into_iter().find(|known| *known == text);
    known.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_that_standards_know_are_told() {
        assert_eq!(known_error("access_denied"), "access_denied");
        for other in ["", "ACCESS_DENIED", "x\ny", "<b>"] {
            assert_eq!(known_error(other), "unknown", "{other}");
        }
    }
}
