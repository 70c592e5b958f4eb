//! Label Studio, unmodified, from 1.17 on. It takes `Authorization: Bearer` with an access token of
//! its own kind on every path, pages too. So a request needs no session there, no cookie crosses in
//! either direction, and its own forms for signing in are never reached.
//!
//! `mint`: the access token is signed here with the origin's `SECRET_KEY`. `pat`: the origin issues
//! it for a personal access token that Edgeward keeps for each user.

pub mod account;
mod calls;
mod pat;
mod place;

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::answer::denial::{self, Denial};
use crate::authn;
use crate::authn::principal::Principal;
use crate::config::raw::{Reader, table};
use crate::config::site::Source;
use crate::config::{Bindings, Site, secret};
use crate::http::query;
use crate::jose::hmac::{HmacAlgorithm, Keyring, hex};
use crate::memory::world::World;
use crate::model::user::{Role, User};
use crate::origin::{AnswerRules, Told};
use crate::platform::port::{Body, Entropy, Sender};
use crate::platform::time::{Seconds, Timestamp};
use crate::profile::Verdict;
use crate::profile::label_studio::place::{Place, place};
use crate::sign_in::account::Reply;
use crate::sign_in::arrive::{ReturnTo, Visit};

/// `X-Api-Key` wins over `Authorization` there; `Origin` makes it refuse what we let through: it
/// knows only its own name.
pub(super) const RESERVED: [&str; 3] = ["authorization", "x-api-key", "origin"];
pub(super) const SETS: [&str; 1] = ["authorization"];

/// How long a minted token lives.
const MINTED: Seconds = Seconds(60);
/// For how long it is sent again. The origin allows its clock no difference at all; what is left of
/// the lifetime is how far it may be ahead of ours. Behind, it may be as far as it likes: there is
/// no `iat`.
const REUSED: Seconds = Seconds(15);
/// The longest body of an exchange that is read.
const MAX_EXCHANGE: usize = 16 * 1024;
/// How long a browser and the edge keep a file whose address changes with its content.
const VERSIONED: Seconds = Seconds(86_400);
/// How long they keep another one before they ask again.
const UNVERSIONED: Seconds = Seconds(300);

/// The settings of a site in front of Label Studio.
#[derive(Debug)]
pub struct LabelStudio {
    mode: Mode,
    /// The organization that users become members of.
    organization: u64,
    /// Who may do what Label Studio lets every member do: roles, and `staff` and `superuser`.
    admins: Vec<Role>,
}

enum Mode {
    Mint {
        key: Keyring,
        /// As whom users are made.
        admin: u64,
    },
    Pat {
        /// The admin's personal access token.
        admin: String,
    },
}

/// Shows no secret.
impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mint { .. } => "Mint",
            Self::Pat { .. } => "Pat",
        })
    }
}

table! {
    /// `label_studio`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["mode", "secret", "admins"])))]
    pub struct RawLabelStudio {
        /// How Edgeward comes by access tokens for its users.
        mode: Field<ModeName>,
        /// The name of the Worker secret with `SECRET_KEY`, or with an admin's personal access token.
        secret: Field<String>,
        /// With `mint`: the number of the user as whom users are made.
        admin_user: Field<u32>,
        /// The number of the organization that users join.
        organization: Field<u32>,
        /// Who may do what only admins shall: roles, `staff`, `superuser`.
        admins: Field<Vec<String>>,
    }
}

/// `label_studio.mode`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// It signs them.
    Mint,
    /// Label Studio issues them.
    Pat,
}

impl LabelStudio {
    /// Checks `raw`; what is wrong goes to `reader`.
    pub fn read(reader: &mut Reader<'_>, raw: RawLabelStudio, bindings: &Bindings) -> Option<Self> {
        reader.unknown(&raw.unknown);
        let mode = reader.required("mode", raw.mode);
        let value = reader
            .required("secret", raw.secret)
            .and_then(|name| read_secret(reader, &name, mode, bindings));
        let admin_given = raw.admin_user.is_given();
        let admin = reader.maybe("admin_user", raw.admin_user);
        reader.check(
            "admin_user",
            mode != Some(ModeName::Mint) || admin_given,
            "is required with mode = \"mint\": the number of the user as whom users are made",
        );
        reader.check(
            "admin_user",
            mode != Some(ModeName::Pat) || !admin_given,
            "is for mode = \"mint\" only: a personal access token says whose it is",
        );
        let organization = reader.or("organization", raw.organization, 1);
        let admins: Option<Vec<Role>> = reader.required("admins", raw.admins).and_then(|names| {
            names
                .iter()
                .map(|name| Role::parse(name))
                .collect::<Option<_>>()
                .or_else(|| {
                    reader.error("admins", "names something that is no role");
                    None
                })
        });
        let value = value?;
        let mode = match mode? {
            ModeName::Mint => Mode::Mint {
                key: Keyring::new([(1, value.into_bytes())])?,
                admin: u64::from(admin?),
            },
            ModeName::Pat => Mode::Pat { admin: value },
        };
        Some(Self {
            mode,
            organization: u64::from(organization),
            admins: admins?,
        })
    }

    fn is_admin(&self, user: &User) -> bool {
        self.admins.iter().any(|admin| {
            user.roles.contains(admin)
                || (user.staff && admin.as_str() == "staff")
                || (user.superuser && admin.as_str() == "superuser")
        })
    }
}

fn read_secret(
    reader: &mut Reader<'_>,
    name: &str,
    mode: Option<ModeName>,
    bindings: &Bindings,
) -> Option<String> {
    if name.starts_with("EDGEWARD") {
        reader.error(
            "secret",
            "names a secret of Edgeward itself, which no origin may have",
        );
        return None;
    }
    let value = bindings.get(name).map(|value| value.trim());
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        reader.error(
            "secret",
            "names no secret of this Worker; set it with `wrangler secret put`",
        );
        return None;
    };
    let error = match mode? {
        ModeName::Mint => secret::weakness(value)
            .map(|_| "is no random text of at least 32 bytes; give Label Studio such a SECRET_KEY"),
        ModeName::Pat => (value.split('.').count() != 3).then_some(
            "is no personal access token of Label Studio (three parts with dots between)",
        ),
    };
    if let Some(error) = error {
        reader.error("secret", error);
        return None;
    }
    Some(value.to_owned())
}

/// Whether the application signs people out at `path`.
pub(super) fn signs_out(path: &str) -> bool {
    place("GET", path) == Place::SignOut
}

/// Whether Label Studio's SDK asks for an access token at `path`.
pub(super) fn exchanges(path: &str) -> bool {
    path.trim_end_matches('/')
        .eq_ignore_ascii_case("/api/token/refresh")
}

/// The SDK takes every JWT for a personal access token, and exchanges it before it calls. An SSO
/// token is an access token already, so it is what it gets; nothing else is exchanged here.
pub(super) async fn exchange(
    world: &World,
    visit: &Visit<'_>,
    body: &dyn Body,
) -> Result<Answer, Denial> {
    if visit.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let body = denial::whole(body.read(MAX_EXCHANGE, Sender::Anybody).await?)?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| Denial::InvalidJson)?;
    let token = body
        .get("refresh")
        .and_then(Value::as_str)
        .filter(|_| visit.site.takes(Source::Bearer))
        .ok_or(Denial::SignInRequired)?;
    let at = authn::Place {
        site: visit.site,
        tenancy: visit.presented.tenancy,
        now: visit.now,
        counts: true,
        client: None,
    };
    authn::verify(world, at, Source::Bearer, token).await?;
    Ok(Answer::json(200, &json!({ "access": token })))
}

/// Whether an answer says that the origin did not know whom the request was from: it refuses, leads
/// to its sign-in form, or fails as it does for a user without an organization.
pub(super) fn speaks_of_identity(status: u16, location: &str) -> bool {
    matches!(status, 401 | 500) || (matches!(status, 301 | 302) && location.contains("/user/login"))
}

pub(super) async fn judge(
    settings: &LabelStudio,
    world: &World,
    visit: &Visit<'_>,
    principal: Option<&Principal>,
) -> Result<Verdict, Denial> {
    // A site of this profile lets nobody pass who is not signed in.
    let principal = principal.ok_or(Denial::SignInRequired)?;
    let place = place(visit.parts.method(), visit.path.as_str());
    match place {
        Place::Asset => return Ok(Verdict::Forward(asset(visit))),
        Place::AdminOnly if !settings.is_admin(principal.user()) => {
            return Err(Denial::AdminOnly);
        }
        Place::SignIn => {
            return Box::pin(already_signed_in(settings, world, visit, principal)).await;
        }
        _ => {}
    }
    let (account, headers) =
        account::credential(settings, world, visit.site, principal, visit.now).await?;
    if let Place::Account(id) = place
        && id != account.id
        && !settings.is_admin(principal.user())
    {
        return Err(Denial::AdminOnly);
    }
    Ok(Verdict::Forward(Told {
        headers: Some(headers),
        answer: AnswerRules {
            asset: None,
            whom: Some(Rc::clone(&account.whom)),
        },
    }))
}

/// A user's account, made if there is none.
pub(super) async fn provision(
    settings: &LabelStudio,
    world: &World,
    site: &Site,
    user: &Rc<User>,
    now: Timestamp,
) -> Result<u64, Denial> {
    let account = account::known_or_made(settings, world, site, user, true, now).await?;
    Ok(account.id)
}

/// Nobody needs the origin's sign-in form. Whoever was led there because the origin did not know
/// them any more has their account looked at, and goes back to where they came from.
async fn already_signed_in(
    settings: &LabelStudio,
    world: &World,
    visit: &Visit<'_>,
    principal: &Principal,
) -> Result<Verdict, Denial> {
    world
        .cache
        .doubt_account(&visit.site.name, principal.user().id.as_str());
    account::credential(settings, world, visit.site, principal, visit.now).await?;
    let next = visit
        .parts
        .query()
        .map(|query| query::take(query, "next").values)
        .and_then(|values| values.into_iter().next())
        .and_then(|next| ReturnTo::parse_local(&next, visit.parts))
        .filter(|next| {
            let path = next.local().split('?').next().unwrap_or_default();
            // Not to the admin area either: it redirects non-admins to the sign-in form.
            !matches!(
                place("GET", path),
                Place::SignIn | Place::SignOut | Place::AdminOnly
            )
        });
    let next = next.map_or_else(|| "/".to_owned(), |next| next.as_str().to_owned());
    Ok(Verdict::Reply(Reply::from(Answer::see_other(next))))
}

fn asset(visit: &Visit<'_>) -> Told {
    let path = visit.path.as_str();
    let query = visit.parts.query().unwrap_or_default();
    let keep = if is_versioned(path, query) {
        VERSIONED
    } else {
        UNVERSIONED
    };
    Told {
        headers: None,
        answer: AnswerRules {
            asset: Some(keep),
            whom: None,
        },
    }
}

/// Whether the address changes with the content: `?v=…`, or a hash in the name (`main.3f2a9c1b.js`).
fn is_versioned(path: &str, query: &str) -> bool {
    let named = path.rsplit('/').next().unwrap_or_default();
    let hash = |part: &str| part.len() >= 8 && part.bytes().all(|b| b.is_ascii_hexdigit());
    named.split(['.', '-']).any(hash) || query.split('&').any(|pair| pair.starts_with("v="))
}

/// An access token for user `id`, as `djangorestframework-simplejwt` makes it, but without `iat`.
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
