//! `POST /api/sso/explain`: what the rules of a site say of a request, and why. The admin command
//! asks the same functions. No answer holds a credential, or a value of a claim.

use serde_json::{Value, json};

use super::{Call, member, only, require};
use crate::access::{self, Asked, Subject};
use crate::answer::Answer;
use crate::config::Site;
use crate::config::site::{Source, canonical_host};
use crate::denial::Denial;
use crate::path::CanonicalPath;
use crate::time::Timestamp;
use crate::token;
use crate::token::api_token::{ApiToken, Scope};
use crate::world::World;

const MEMBERS: [&str; 9] = [
    "site",
    "host",
    "path",
    "method",
    "preflight",
    "address",
    "country",
    "token",
    "source",
];

pub(super) async fn explain(call: &Call<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if call.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let body = call.json().await?;
    only(&body, &MEMBERS)?;
    let named = match member::<String>(&body, "site")? {
        None => None,
        Some(name) => Some(
            call.world
                .config
                .site_named(&name)
                .ok_or(Denial::NotFound)?,
        ),
    };
    let site = named.as_deref().unwrap_or(call.site);
    let question = Question::read(&body)?;
    let source = member(&body, "source")?.unwrap_or(Source::Bearer);
    let told = match member::<String>(&body, "token")? {
        None => question.ask(site, None, "none")?,
        Some(token) => {
            question
                .ask_with(call.world, site, source, &token, call.now)
                .await?
        }
    };
    Ok(Answer::json(200, &told))
}

/// A request that rules are asked about.
pub struct Question {
    host: Option<String>,
    path: String,
    method: String,
    preflight: bool,
    address: Option<std::net::IpAddr>,
    country: Option<String>,
}

impl Question {
    /// Reads one from its members: `path`, and if given `host`, `method`, `preflight`, `address` and
    /// `country`.
    ///
    /// # Errors
    /// [`Denial::InvalidField`].
    pub fn read(body: &Value) -> Result<Self, Denial> {
        let address: Option<String> = member(body, "address")?;
        let address = match address {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| Denial::InvalidField("address"))?),
        };
        Ok(Self {
            host: member(body, "host")?,
            path: member(body, "path")?.ok_or(Denial::InvalidField("path"))?,
            method: member(body, "method")?.unwrap_or_else(|| "GET".to_owned()),
            preflight: member(body, "preflight")?.unwrap_or(false),
            address,
            country: member(body, "country")?,
        })
    }

    /// What the rules of `site` say for `subject`. `credential`: what became of the one presented.
    ///
    /// # Errors
    /// [`Denial::InvalidField`] for a host of another site.
    pub fn ask(
        &self,
        site: &Site,
        subject: Option<&Subject<'_>>,
        credential: &str,
    ) -> Result<Value, Denial> {
        let host = match &self.host {
            None => site.hosts.first().cloned().unwrap_or_default(),
            Some(host) => canonical_host(host, "https")
                .filter(|host| site.hosts.contains(host))
                .ok_or(Denial::InvalidField("host"))?,
        };
        // The query decides nothing.
        let path = self.path.split(['?', '#']).next().unwrap_or_default();
        let mut told = json!({
            "site": site.name,
            "host": host,
            "method": self.method,
            "credential": credential,
        });
        let more = match CanonicalPath::parse(path) {
            // Turned down before any rule is asked.
            Err(error) => json!({ "path": null, "granted": false, "refusal": error.to_string() }),
            Ok(path) => {
                let asked = Asked {
                    host: &host,
                    path: &path,
                    method: &self.method,
                    preflight: self.preflight,
                    address: self.address,
                    country: self.country.as_deref(),
                };
                let mut told = access::explain(&site.rules, &asked, subject);
                if let Some(members) = told.as_object_mut() {
                    members.insert("path".into(), path.as_str().into());
                }
                told
            }
        };
        if let (Some(members), Value::Object(more)) = (told.as_object_mut(), more) {
            members.extend(more);
        }
        Ok(told)
    }

    /// The same for whoever presents `credential` in `source`. It is verified as it would be in a
    /// request; nothing is used up, and nobody signed in.
    ///
    /// # Errors
    /// As [`Question::ask`].
    pub async fn ask_with(
        &self,
        world: &World,
        site: &Site,
        source: Source,
        credential: &str,
        now: Timestamp,
    ) -> Result<Value, Denial> {
        let principal = match token::verify(world, site, source, credential, now).await {
            Ok(principal) => principal,
            // A bad credential ends a request before its rule is asked for a requirement.
            Err(error) => {
                let mut told = self.ask(site, None, &format!("refused: {error}"))?;
                let public = told
                    .get("demands")
                    .and_then(Value::as_str)
                    .is_some_and(|d| d.starts_with("public"));
                if let (Some(members), false) = (told.as_object_mut(), public) {
                    members.insert("granted".into(), false.into());
                    members.insert("as".into(), Value::Null);
                    members.insert("refusal".into(), error.to_string().into());
                }
                return Ok(told);
            }
        };
        let mut told = self.ask(site, Some(&principal.subject()), "accepted")?;
        if let Some(members) = told.as_object_mut() {
            members.insert("user".into(), principal.user().id.as_str().into());
        }
        Ok(told)
    }
}
