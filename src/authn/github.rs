//! Who has signed in at GitHub, which speaks OAuth 2.0 without `OpenID` Connect: asked by its API with the access token, and
//! said in the claims that an ID token would have. The token is forgotten after that.

use serde_json::{Map, Value};

use crate::authn::provider::Response;
use crate::authn::provider_calls::{self, USERINFO};
use crate::jose::json::StrictObject;
use crate::memory::issuer_keys::KeysCause;
use crate::memory::provider::{Endpoints, ProviderCause};
use crate::memory::world::World;
use crate::platform::port::Incoming;
use crate::platform::time::{Seconds, Timestamp};
use crate::site::issuer::RemoteKeys;
use crate::site::provider::ORGANIZATIONS;

/// How the configured URL ends, whose beginning says where GitHub is.
const DISCOVERY: &str = "/.well-known/openid-configuration";
const EMAILS: &str = "list of addresses";
const MEMBERSHIP: &str = "membership";

/// The endpoints, which GitHub has no document of.
pub(super) fn endpoints(remote: &RemoteKeys) -> Endpoints {
    let base = remote.url.strip_suffix(DISCOVERY).unwrap_or(&remote.url);
    let api = match base {
        "https://github.com" => "https://api.github.com".to_owned(),
        // GitHub Enterprise Server.
        other => [other, "/api/v3"].concat(),
    };
    Endpoints {
        authorization: [base, "/login/oauth/authorize"].concat(),
        token: [base, "/login/oauth/access_token"].concat(),
        userinfo: Some(api),
        end_session: None,
        says_iss: false,
    }
}

/// What GitHub says of the person whose access token this is. `organizations`: whether the person is in these.
///
/// # Errors
/// Why GitHub has not answered as it should.
pub(super) async fn claims(
    world: &World,
    response: &Response<'_>,
    token: &str,
    organizations: &[String],
    now: Timestamp,
) -> Result<Map<String, Value>, ProviderCause> {
    let user = get(world, response, token, USERINFO, "/user").await?;
    let user = provider_calls::object(USERINFO, &user)?;
    // Names are given to others when they are free; the number stays.
    let id = user.get("id").and_then(Value::as_u64);
    let id = id.filter(|id| *id > 0);
    let id = id.ok_or(ProviderCause::Form(USERINFO))?;
    let issuer = &response.provider.issuer;
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    put("iss", issuer.issuer.as_str().into());
    put("aud", response.provider.client_id.as_str().into());
    put("sub", id.to_string().into());
    put("iat", now.seconds().into());
    put("exp", (now + Seconds(60)).seconds().into());
    for (from, to) in [("login", "preferred_username"), ("name", "name")] {
        if let Some(value @ Value::String(_)) = user.get(from) {
            put(to, value.clone());
        }
    }
    let addresses = get(world, response, token, EMAILS, "/user/emails?per_page=100").await?;
    if let Some(address) = primary(&addresses)? {
        put("email", address.into());
        put("email_verified", true.into());
    }
    let mut all = Vec::new();
    for organization in organizations {
        let path = ["/user/memberships/orgs/", organization].concat();
        let membership = get(world, response, token, MEMBERSHIP, &path).await?;
        // The organisation does not know the person, or does not let us ask.
        if matches!(membership.status, 403 | 404) && !is_limited(&membership) {
            continue;
        }
        let membership = provider_calls::object(MEMBERSHIP, &membership)?;
        // Who was invited, and has not accepted, is pending.
        if membership.get("state").and_then(Value::as_str) == Some("active") {
            all.push(Value::from(organization.as_str()));
        }
    }
    if !all.is_empty() {
        put(ORGANIZATIONS, Value::Array(all));
    }
    Ok(claims)
}

/// Whether GitHub has turned the call down because there were too many.
fn is_limited(answer: &Incoming) -> bool {
    let header = |name: &str| {
        let mut headers = answer.headers.iter();
        headers.find(|(known, _)| known == name)
    };
    header("retry-after").is_some()
        || header("x-ratelimit-remaining").is_some_and(|(_, left)| left == "0")
}

/// The address that is the person's primary one, if it is verified.
fn primary(answer: &Incoming) -> Result<Option<String>, ProviderCause> {
    if answer.status != 200 {
        return Err(ProviderCause::Endpoint(
            EMAILS,
            KeysCause::Status(answer.status),
        ));
    }
    let list: Result<Vec<StrictObject>, _> = serde_json::from_slice(&answer.body);
    let list = list.map_err(|_| ProviderCause::Form(EMAILS))?;
    let yes = Some(&Value::Bool(true));
    let mut good = list
        .iter()
        .map(|one| &one.0)
        .filter(|one| one.get("primary") == yes && one.get("verified") == yes);
    let address = good.next().and_then(|one| one.get("email")?.as_str());
    Ok(address.map(str::to_owned))
}

async fn get(
    world: &World,
    response: &Response<'_>,
    token: &str,
    what: &'static str,
    path: &str,
) -> Result<Incoming, ProviderCause> {
    let base = response.endpoints.userinfo.as_deref().unwrap_or_default();
    let url = [base, path].concat();
    provider_calls::get(world, response.provider, what, &url, token).await
}
