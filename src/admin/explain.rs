//! `POST /api/sso/explain`: what would become of a request at a site, and why. The request is judged as one
//! that came; nothing is used up, and nobody signed in. No answer holds a credential, or a value of a claim.

use serde_json::{Map, Value};

use crate::admin::explain_issuer;
use crate::admin::imagined::{Imagined, Shown};
use crate::admin::{member, read_json, reject_unknown, require};
use crate::answer::Answer;
use crate::answer::denial::Denial;
use crate::answer::reading::Lead;
use crate::ask::ctx::{Ctx, Purpose};
use crate::ask::{asked, route, source};
use crate::authn::{self, report};
use crate::http::path::RequestPath;
use crate::http::request::Parts;
use crate::judge::{self, Judgement};
use crate::model::api_token::{ApiToken, Scope};
use crate::platform::port::NoBody;
use crate::rules::{self, Asked, Subject};
use crate::site::config::Config;
use crate::site::mount::Served;
use crate::site::{Site, Source};

const MEMBERS: [&str; 11] = [
    "issuer",
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
    reject_unknown(&body, &MEMBERS)?;
    if let Some(issuer) = member::<String>(&body, "issuer")? {
        reject_unknown(&body, &["issuer"])?;
        return explain_issuer::explain(ctx.world, &issuer).await;
    }
    let named = match member::<String>(&body, "site")? {
        None => None,
        Some(name) => Some(ctx.world.config.site_named(&name).ok_or(Denial::NotFound)?),
    };
    let config = &ctx.world.config;
    let request = Imagined::read(&body, named.as_ref().unwrap_or(ctx.site))?;
    let site = match &named {
        Some(site) => site,
        None => request.site(config, ctx.site),
    };
    let source = member(&body, "source")?.unwrap_or(Source::Bearer);
    let token = member::<String>(&body, "token")?;
    let shown = token
        .as_deref()
        .map(|credential| Shown { source, credential });
    let host = request.host(site)?;
    let refused = |denial: &Denial| {
        let credential = shown.map_or("none", |_| "ignored: the path is refused first");
        rejected(&request, config, site, &host, denial, credential)
    };
    let mut told = match request.resolve(config, site, &host) {
        Err(denial @ Denial::InvalidField(_)) => return Err(denial),
        Err(denial) => refused(&denial)?,
        Ok((path, Some(_))) => {
            let credential = shown.map_or("none", |_| "ignored: no rule applies");
            at_own_endpoint(site, &path, credential)
        }
        Ok((path, None)) => {
            let parts = request.head(site, &host, &path, shown)?;
            match asked::asked(site, &parts, &host, &path) {
                Err(denial) => refused(&denial)?,
                Ok((asked, rule)) => {
                    let presented = source::present(&parts, site);
                    let dry = Ctx {
                        purpose: Purpose::Explain,
                        site,
                        parts: &parts,
                        path: &path,
                        received: &NoBody,
                        asked,
                        rule,
                        also: &[],
                        presented: &presented,
                        ..*ctx
                    };
                    let mut told = judged(&dry, shown).await?;
                    told.insert(READINGS.to_owned(), readings(site, &parts, &host, &path));
                    told
                }
            }
        }
    };
    name(&mut told, site, &host, &request);
    Ok(Answer::json(200, &Value::Object(told)))
}

/// What the rules of `site` say of `request` for a hypothetical caller; `caller` says in the answer who that is.
///
/// # Errors
/// [`Denial::InvalidField`] for a host of another site.
pub fn by_rules(
    request: &Imagined,
    config: &Config,
    site: &Site,
    subject: Option<&Subject<'_>>,
    caller: &str,
) -> Result<Map<String, Value>, Denial> {
    let host = request.host(site)?;
    let mut told = match request.resolve(config, site, &host) {
        Err(denial @ Denial::InvalidField(_)) => return Err(denial),
        Err(denial) => rejected(request, config, site, &host, &denial, caller)?,
        Ok((path, Some(_))) => at_own_endpoint(site, &path, caller),
        Ok((path, None)) => {
            let parts = request.head(site, &host, &path, None)?;
            match asked::asked(site, &parts, &host, &path) {
                Err(denial) => rejected(request, config, site, &host, &denial, caller)?,
                Ok((asked, _)) => {
                    let mut told = of_rules(site, &asked, subject, &path);
                    told.insert("credential".to_owned(), caller.into());
                    told.insert(READINGS.to_owned(), readings(site, &parts, &host, &path));
                    told
                }
            }
        }
    };
    name(&mut told, site, &host, request);
    Ok(told)
}

/// What the judgement of `ctx` comes to, and what the rules say of it.
///
/// # Errors
/// [`Denial::InvalidField`] for a text that a client cannot present as one credential.
async fn judged(ctx: &Ctx<'_>, shown: Option<Shown<'_>>) -> Result<Map<String, Value>, Denial> {
    let site = ctx.site;
    let (verified, ignored) = match shown {
        None => (None, "none"),
        Some(Shown { source, .. }) if !site.takes(source) => {
            let why = "ignored: the site does not take credentials from this source";
            (None, why)
        }
        Some(Shown { source, credential }) => match *ctx.presented.of(source).collect::<Vec<_>>() {
            [] => (None, "ignored: not a credential that this source can have"),
            [found] if found == credential => {
                (Some(authn::verify(ctx, source, credential).await), "")
            }
            _ => return Err(Denial::InvalidField("token")),
        },
    };
    let principal = verified
        .as_ref()
        .and_then(|verified| verified.as_ref().ok());
    let subject = principal.map(|principal| principal.subject(ctx.now));
    let mut told = of_rules(site, &ctx.asked, subject.as_ref(), ctx.path);
    let credential = match &verified {
        Some(Ok(_)) => "accepted".into(),
        Some(Err(error)) => format!("refused: {error}"),
        None => ignored.to_owned(),
    };
    told.insert("credential".to_owned(), credential.into());
    if let (Some(verified), Some(Shown { source, credential })) = (&verified, shown) {
        let (described, issuer) = report::describe(ctx, source, credential);
        let error = verified.as_ref().err().copied();
        let checks = report::outcomes(&described, issuer, error);
        told.insert("presented".to_owned(), to_json(&described));
        told.insert("checks".to_owned(), to_json(&checks));
    }
    if let Some(principal) = principal {
        let is_new = principal.verified().would_create();
        let user = (!is_new).then(|| principal.user().id.as_str());
        told.insert("user".to_owned(), user.into());
        if is_new {
            told.insert("creates_user".to_owned(), true.into());
        }
    }
    let (passes_as, refusal) = match judge::judge(ctx).await.1 {
        Ok(Judgement::Answered(_)) => (Some("anonymous"), None),
        Ok(Judgement::Passes(judged)) => match judged.grant().principal() {
            Some(_) => (Some("principal"), None),
            None => (Some("anonymous"), None),
        },
        Err(denial) => (None, Some(denial)),
    };
    told.insert("granted".to_owned(), refusal.is_none().into());
    told.insert("as".to_owned(), passes_as.map_or(Value::Null, Value::from));
    // A refusal that precedes the rule replaces the rule's own.
    let by_rule = matches!(refusal, Some(Denial::SignInRequired));
    match refusal {
        Some(denial) if !by_rule => {
            told.insert("refusal".to_owned(), denial.reason().into());
        }
        Some(_) => {}
        None => {
            told.insert("refusal".to_owned(), Value::Null);
        }
    }
    Ok(told)
}

fn to_json(told: &impl serde::Serialize) -> Value {
    serde_json::to_value(told).unwrap_or_default()
}

/// A path of Edgeward's own. No rule applies, and nothing reaches an origin.
fn at_own_endpoint(site: &Site, path: &RequestPath<'_>, credential: &str) -> Map<String, Value> {
    let mut told = rules::object([
        ("path", public(site, path)),
        ("credential", credential.into()),
        (
            "demands",
            "one of Edgeward's own endpoints: no rule applies".into(),
        ),
        ("passed_over", Value::Array(Vec::new())),
    ]);
    for member in ["rule", "name", "granted", "as", "refusal", "requirements"] {
        told.insert(member.to_owned(), Value::Null);
    }
    told
}

fn of_rules(
    site: &Site,
    asked: &Asked<'_>,
    subject: Option<&Subject<'_>>,
    path: &RequestPath<'_>,
) -> Map<String, Value> {
    let mut told = rules::explain(&site.rules, asked, subject);
    told.insert("path".to_owned(), public(site, path));
    told
}

/// A path within `site` as clients ask for it.
fn public(site: &Site, path: &RequestPath<'_>) -> Value {
    [&site.mount, path.as_str()].concat().into()
}

/// A request that is refused for its path, with the readings that are not judged alike.
///
/// # Errors
/// [`Denial::InvalidField`] for what no head can hold.
fn rejected(
    request: &Imagined,
    config: &Config,
    site: &Site,
    host: &str,
    denial: &Denial,
    credential: &str,
) -> Result<Map<String, Value>, Denial> {
    let mut told = rules::object([
        ("path", Value::Null),
        ("credential", credential.into()),
        ("granted", false.into()),
        ("refusal", denial.reason().into()),
    ]);
    if matches!(denial, Denial::AmbiguousPath(..)) {
        let path = RequestPath::parse(request.path()).map_err(Denial::Path)?;
        told.insert("path".to_owned(), path.as_str().into());
        let served = config.served(host, "https").ok_or(Denial::UnknownHost)?;
        let shared = served.find_of_all(&path).is_err();
        let local = path.clone().below(site.mount.len(), &site.base);
        let list = match local {
            Ok(local) if !shared => {
                let parts = request.head(site, host, &local, None)?;
                readings(site, &parts, host, &local)
            }
            _ => sites_of(served, &path),
        };
        told.insert(READINGS.to_owned(), list);
    }
    Ok(told)
}

/// The member with the readings of the path.
const READINGS: &str = "readings";

/// Each reading of a path whose readings do not stay at one site, and the site.
fn sites_of(served: &Served, path: &RequestPath<'_>) -> Value {
    let all = path.readings().map(|reading| {
        let lead = served.find(reading);
        let lead = lead.map_or(Lead::NoSite, |site| Lead::Site(site.name.clone()));
        Value::Object(rules::object([
            ("path", String::from_utf8_lossy(reading).into()),
            ("leads_to", lead.to_string().into()),
        ]))
    });
    Value::Array(all.collect())
}

/// Each reading of `path`, and where it leads.
fn readings(site: &Site, parts: &Parts, host: &str, path: &RequestPath<'_>) -> Value {
    let all = asked::leads(site, parts, parts.method(), host, path).map(|(reading, lead)| {
        let reading = String::from_utf8_lossy(reading);
        let lead = match route::endpoint_of(site, &reading) {
            Some(_) => Lead::Endpoint,
            None => lead,
        };
        Value::Object(rules::object([
            ("path", reading.into()),
            ("leads_to", lead.to_string().into()),
        ]))
    });
    Value::Array(all.collect())
}

fn name(told: &mut Map<String, Value>, site: &Site, host: &str, request: &Imagined) {
    for (name, value) in [
        ("site", site.name.as_str()),
        ("host", host),
        ("method", &request.method),
    ] {
        told.insert(name.to_owned(), value.into());
    }
}
