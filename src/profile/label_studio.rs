//! Label Studio, unmodified, from version 1.17 on. It accepts its own access tokens in
//! `Authorization: Bearer` on every path, including pages. So a request needs no session there, no
//! cookie crosses in either direction, and nobody reaches its own sign-in forms.
//!
//! Mode `mint`: Edgeward signs the access token with the origin's `SECRET_KEY`. Mode `pat`: the
//! origin issues it for a personal access token that Edgeward keeps for each user.

pub mod account;
mod calls;
mod pat;

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::answer::denial::{self, Denial};
use crate::answer::reply::Reply;
use crate::ask::ctx::Ctx;
use crate::authn;
use crate::authn::principal::Principal;
use crate::http::path::RequestPath;
use crate::http::query;
use crate::jose::hmac::{HmacAlgorithm, Keyring};
use crate::memory::world::World;
use crate::model::user::User;
use crate::origin::{ResponseRules, Told};
use crate::platform::digest::hex;
use crate::platform::port::{Entropy, Sender};
use crate::platform::time::{Seconds, Timestamp};
use crate::profile::Verdict;
use crate::site::label_studio::LabelStudio;
use crate::site::label_studio::place::{Place, place};
use crate::site::{Site, Source};

/// The lifetime of a minted token.
const MINTED: Seconds = Seconds(60);
/// How long a minted token is reused. The origin allows no clock skew, so the rest of the lifetime is
/// how far its clock may be ahead of ours. It may be behind by any amount, since there is no `iat`.
const REUSED: Seconds = Seconds(15);
/// In bytes.
const MAX_EXCHANGE: usize = 16 * 1024;
/// How long browser and edge cache a file whose URL changes with its content.
const VERSIONED: Seconds = Seconds(86_400);
/// How long they cache any other file.
const UNVERSIONED: Seconds = Seconds(300);

/// The SDK takes every JWT for a personal access token and exchanges it for an access token before
/// its first call. An SSO token already is an access token, so it is returned as it is. No other
/// credential is exchanged here.
pub(super) async fn exchange(ctx: &Ctx<'_>) -> Result<Answer, Denial> {
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let body = denial::body_bytes(ctx.received.read(MAX_EXCHANGE, Sender::Anybody).await?)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| Denial::InvalidJson)?;
    let token = body
        .get("refresh")
        .and_then(Value::as_str)
        .filter(|_| ctx.site.takes(Source::Bearer))
        .ok_or(Denial::SignInRequired)?;
    authn::verify(ctx, Source::Bearer, token).await?;
    Ok(Answer::json(200, &json!({ "access": token })))
}

/// Whether a response may mean that the origin did not accept the user: 401, a redirect to its
/// sign-in form, or the 500 that it answers to a user without an organization.
pub(super) fn may_refuse_user(status: u16, location: &str) -> bool {
    matches!(status, 401 | 500) || (matches!(status, 301 | 302) && location.contains("/user/login"))
}

pub(super) async fn gate(
    settings: &LabelStudio,
    ctx: &Ctx<'_>,
    principal: Option<&Principal>,
) -> Result<Verdict, Denial> {
    // The configuration lets no anonymous caller pass on a site with this profile.
    let principal = principal.ok_or(Denial::SignInRequired)?;
    let path = String::from_utf8_lossy(ctx.path.reading());
    let place = place(ctx.parts.method(), &path);
    match place {
        Place::Asset => return Ok(Verdict::Forward(asset(ctx))),
        Place::AdminOnly if !settings.is_admin(principal.user()) => {
            return Err(Denial::AdminOnly);
        }
        Place::SignIn => {
            return Box::pin(already_signed_in(settings, ctx, principal)).await;
        }
        _ => {}
    }
    let (account, headers) =
        account::credential(settings, ctx.world, ctx.site, principal, ctx.now).await?;
    if let Place::Account(id) = place
        && id != account.id
        && !settings.is_admin(principal.user())
    {
        return Err(Denial::AdminOnly);
    }
    Ok(Verdict::Forward(Told {
        headers: Some(headers),
        response: ResponseRules {
            asset: None,
            whom: Some(Rc::clone(&account.whom)),
        },
    }))
}

/// The id of a user's account, which is created if there is none.
pub(super) async fn provision(
    settings: &LabelStudio,
    world: &World,
    site: &Site,
    user: &Rc<User>,
    now: Timestamp,
) -> Result<u64, Denial> {
    let account = account::ensure(settings, world, site, user, true, now).await?;
    Ok(account.id)
}

/// Answers a request for the origin's sign-in form, which nobody needs. The user may be here because
/// the origin no longer accepts their account: it is checked, and the user sent back to where they
/// came from.
async fn already_signed_in(
    settings: &LabelStudio,
    ctx: &Ctx<'_>,
    principal: &Principal,
) -> Result<Verdict, Denial> {
    let world = ctx.world;
    world
        .cache
        .doubt_account(&ctx.site.name, principal.user().id.as_str());
    account::credential(settings, ctx.world, ctx.site, principal, ctx.now).await?;
    let next = ctx
        .parts
        .query()
        .map(|query| query::take(query, "next").values)
        .and_then(|values| values.into_iter().next())
        .and_then(|next| ctx.read_return_to(&next))
        .filter(|next| {
            let path = next.local().split('?').next().unwrap_or_default();
            let path = path.get(ctx.site.mount.len()..).unwrap_or_default();
            // Not to the admin area either: it redirects non-admins to the sign-in form.
            let leads_away = |reading: &[u8]| {
                matches!(
                    place("GET", &String::from_utf8_lossy(reading)),
                    Place::SignIn | Place::SignOut | Place::AdminOnly
                )
            };
            RequestPath::parse(path).is_ok_and(|path| !path.readings().any(leads_away))
        });
    let next = next.map_or_else(|| ctx.site.root_path(), |next| next.as_str().to_owned());
    Ok(Verdict::Reply(Reply::from(Answer::see_other(next))))
}

fn asset(ctx: &Ctx<'_>) -> Told {
    let path = String::from_utf8_lossy(ctx.path.reading());
    let query = ctx.parts.query().unwrap_or_default();
    let keep = if is_versioned(&path, query) {
        VERSIONED
    } else {
        UNVERSIONED
    };
    Told {
        headers: None,
        response: ResponseRules {
            asset: Some(keep),
            whom: None,
        },
    }
}

/// Whether the URL changes with the content: `?v=…`, or a hash in the name (`main.3f2a9c1b.js`).
fn is_versioned(path: &str, query: &str) -> bool {
    let named = path.rsplit('/').next().unwrap_or_default();
    let hash = |part: &str| part.len() >= 8 && part.bytes().all(|b| b.is_ascii_hexdigit());
    named.split(['.', '-']).any(hash) || query.split('&').any(|pair| pair.starts_with("v="))
}

/// An access token for user `id` as `djangorestframework-simplejwt` makes it, but without `iat`.
fn mint(key: &Keyring, id: u64, entropy: &dyn Entropy, now: Timestamp) -> String {
    let mut jti = [0_u8; 16];
    entropy.fill(&mut jti);
    let claims = json!({
        "token_type": "access",
        "exp": (now + MINTED).seconds(),
        "jti": hex(&jti),
        "user_id": id.to_string(),
    });
    let mut token = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let signature = key.sign(HmacAlgorithm::Hs256, token.as_bytes());
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

#[cfg(test)]
mod tests;
