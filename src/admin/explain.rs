//! `POST /api/sso/explain`: what the rules of a site say of a request, and why. The admin command
//! asks the same functions. No answer holds a credential, or a value of a claim.

use serde_json::{Map, Value};

use crate::admin::{member, only, read_json, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::ask::ctx::Ctx;
use crate::authn;
use crate::http::host::canonical_host;
use crate::http::path::{CanonicalPath, PathError};
use crate::memory::world::World;
use crate::model::api_token::{ApiToken, Scope};
use crate::platform::time::Timestamp;
use crate::rules::{self, Asked, Subject};
use crate::site::tenant::Tenancy;
use crate::site::{Site, Source};

const MEMBERS: [&str; 10] = [
    "site",
    "host",
    "path",
    "method",
    "preflight",
    "address",
    "country",
    "token",
    "source",
    "tenant",
];

pub(super) async fn explain(ctx: &Ctx<'_>, caller: &ApiToken) -> Result<Answer, Denial> {
    require(caller, Scope::Admin)?;
    if ctx.parts.method() != "POST" {
        return Err(Denial::MethodNotAllowed("POST"));
    }
    let body = read_json(ctx).await?;
    only(&body, &MEMBERS)?;
    let named = match member::<String>(&body, "site")? {
        None => None,
        Some(name) => Some(ctx.world.config.site_named(&name).ok_or(Denial::NotFound)?),
    };
    let site = named.as_deref().unwrap_or(ctx.site);
    let question = Question::read(&body)?;
    let source = member(&body, "source")?.unwrap_or(Source::Bearer);
    let told = match member::<String>(&body, "token")? {
        None => question.ask(site, None, "none")?,
        Some(token) => {
            question
                .ask_with(ctx.world, site, source, &token, ctx.now)
                .await?
        }
    };
    Ok(Answer::json(200, &Value::Object(told)))
}

/// A request that rules are asked about.
pub struct Question {
    host: Option<String>,
    path: String,
    method: String,
    preflight: bool,
    address: Option<std::net::IpAddr>,
    country: Option<String>,
    tenant: Option<String>,
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
            tenant: member(body, "tenant")?,
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
    ) -> Result<Map<String, Value>, Denial> {
        self.told(site, subject, credential).map(|(told, _)| told)
    }

    /// The same, and whether the rule that decides is public.
    fn told(
        &self,
        site: &Site,
        subject: Option<&Subject<'_>>,
        credential: &str,
    ) -> Result<(Map<String, Value>, bool), Denial> {
        let host = match &self.host {
            None => site.hosts.first().cloned().unwrap_or_default(),
            Some(host) => canonical_host(host, "https")
                .filter(|host| site.hosts.contains(host))
                .ok_or(Denial::InvalidField("host"))?,
        };
        // The query decides nothing.
        let path = self.path.split(['?', '#']).next().unwrap_or_default();
        let mut public = false;
        let parsed = CanonicalPath::parse(path).and_then(|path| {
            let judged = site.rules.can_judge(&path);
            judged.then_some(path).ok_or(PathError::TooLong)
        });
        let mut told = match parsed {
            // Turned down before any rule is asked.
            Err(error) => rules::object([
                ("path", Value::Null),
                ("granted", false.into()),
                ("refusal", error.to_string().into()),
            ]),
            Ok(path) => {
                let asked = Asked {
                    host: &host,
                    path: &path,
                    method: &self.method,
                    preflight: self.preflight,
                    address: self.address,
                    country: self.country.as_deref(),
                };
                public = site.rules.rule_for(&asked).is_public();
                let mut told = rules::explain(&site.rules, &asked, subject);
                told.insert("path".to_owned(), path.as_str().into());
                told
            }
        };
        for (name, value) in [
            ("site", site.name.as_str()),
            ("host", &host),
            ("method", &self.method),
            ("credential", credential),
        ] {
            told.insert(name.to_owned(), value.into());
        }
        Ok((told, public))
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
    ) -> Result<Map<String, Value>, Denial> {
        let host = self
            .host
            .as_deref()
            .or(site.hosts.first().map(String::as_str));
        let host = host.unwrap_or_default();
        let at = authn::Place {
            site,
            tenancy: Tenancy::of_host(site, host, self.tenant.as_deref()),
            now,
            counts: false,
            client: None,
        };
        let principal = match authn::verify(world, at, source, credential).await {
            Ok(principal) => principal,
            // A bad credential ends a request before its rule is asked for a requirement.
            Err(error) => {
                let error = error.to_string();
                let refused = ["refused: ", &error].concat();
                let (mut told, public) = self.told(site, None, &refused)?;
                if !public {
                    told.insert("granted".to_owned(), false.into());
                    told.insert("as".to_owned(), Value::Null);
                    told.insert("refusal".to_owned(), error.into());
                }
                return Ok(told);
            }
        };
        let mut told = self.ask(site, Some(&principal.subject()), "accepted")?;
        told.insert("user".to_owned(), principal.user().id.as_str().into());
        Ok(told)
    }
}
