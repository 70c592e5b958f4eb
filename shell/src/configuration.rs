//! What needs a configuration but no deployment: checking it, and explaining its rules. The scripts
//! pass the contents of wrangler.toml.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward::admin::explain;
use edgeward::admin::imagined::Imagined;
use edgeward::config::reader::Bindings;
use edgeward::model::claim::Reading;
use edgeward::model::user::Role;
use edgeward::platform::digest::sha256;
use edgeward::platform::time::Seconds;
use edgeward::rules::Subject;
use edgeward::site::Site;
use edgeward::site::config::{Config, ConfigError};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The variables of one environment, and its secrets as far as they are known here.
#[derive(Deserialize)]
pub struct Given {
    vars: Map<String, Value>,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// Whether these are all, so that none is assumed to be set.
    #[serde(default)]
    complete: bool,
}

/// For each environment its errors, its notes and the names of the secrets that were assumed to be set.
pub fn check(given: BTreeMap<String, Given>) -> Value {
    let list = |errors: &[ConfigError]| -> Value {
        let each = |error: &ConfigError| json!({ "path": error.path, "error": error.error });
        errors.iter().map(each).collect()
    };
    let told: Map<String, Value> = given
        .into_iter()
        .map(|(name, given)| {
            let (bindings, assumed) = bindings(given);
            let (errors, notes) = match edgeward::config::parse(&bindings) {
                Ok(config) => (json!([]), list(&config.notes)),
                Err(errors) => (list(&errors), json!([])),
            };
            (
                name,
                json!({ "errors": errors, "notes": notes, "assumed": assumed }),
            )
        })
        .collect();
    Value::Object(told)
}

/// A configuration, and questions about its rules.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(flatten)]
    given: Given,
    questions: Vec<Value>,
}

/// A list of answers, one per question. A question has a `caller` instead of a token: an object with
/// what rules may require, or null if anonymous.
pub fn explain(Asked { given, questions }: Asked) -> Result<Value, String> {
    let (bindings, _) = bindings(given);
    let config = edgeward::config::parse(&bindings).map_err(|errors| {
        let lines: Vec<String> = errors
            .iter()
            .map(|error| format!("\n  {}: {}", error.path, error.error))
            .collect();
        format!("the configuration has errors:{}", lines.concat())
    })?;
    questions
        .iter()
        .map(|question| answer(&config, question))
        .collect()
}

/// The longest lifetimes in seconds of a session and of an SSO token at any site: `{ session, sso_token }`, or null if the
/// configuration has errors.
pub fn bounds(given: Given) -> Value {
    let (bindings, _) = bindings(given);
    let Ok(config) = edgeward::config::parse(&bindings) else {
        return Value::Null;
    };
    let longest = |of: fn(&Site) -> Seconds| config.sites().map(|site| of(site).0).max();
    let session = longest(|site| site.session.absolute);
    let sso_token = longest(|site| site.sso_token.max_lifetime);
    match (session, sso_token) {
        (Some(session), Some(sso_token)) => json!({ "session": session, "sso_token": sso_token }),
        _ => Value::Null,
    }
}

fn answer(config: &Config, question: &Value) -> Result<Value, String> {
    let name = question.get("site").and_then(Value::as_str);
    let site = match name {
        Some(name) => config.site_named(name),
        None => config.only_site(),
    };
    let site = site.ok_or(match name {
        Some(_) => "there is no such site",
        None => "there is more than one site: name one with --site",
    })?;
    let told = |denial: edgeward::answer::denial::Denial| denial.reason();
    let read = Imagined::read(question, &site).map_err(told)?;
    let caller = match question.get("caller") {
        None | Some(Value::Null) => None,
        Some(caller) => Some(
            HypotheticalCaller::deserialize(caller).map_err(|error| format!("caller: {error}"))?,
        ),
    };
    let subject = caller.as_ref().map(HypotheticalCaller::subject);
    let credential = if subject.is_some() {
        "a caller as described"
    } else {
        "none"
    };
    explain::by_rules(&read, config, &site, subject.as_ref(), credential)
        .map(Value::Object)
        .map_err(told)
}

/// A caller that a deployer makes up to try the rules.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HypotheticalCaller {
    email: Option<String>,
    roles: Vec<Role>,
    scopes: Vec<String>,
    claims: Map<String, Value>,
    tenant: Option<String>,
    workspace: Option<String>,
    issuer: String,
    amr: Vec<String>,
    age: Option<u32>,
}

impl HypotheticalCaller {
    fn subject(&self) -> Subject<'_> {
        Subject {
            email: self.email.as_deref(),
            roles: &self.roles,
            scopes: &self.scopes,
            claims: Reading::from(&self.claims),
            tenant: self.tenant.as_deref(),
            workspace: self.workspace.as_deref(),
            issuer: &self.issuer,
            methods: &self.amr,
            age: self.age.map(Seconds),
        }
    }
}

/// The bindings as the Worker gets them, and the names of the secrets that had to be made up: one of
/// each of our families, and those that settings refer to.
fn bindings(given: Given) -> (Bindings, Vec<String>) {
    let complete = given.complete;
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for family in ["SESSION", "TOKEN", "KEY"] {
        let prefix = format!("EDGEWARD_{family}_SECRET_");
        if !given.secrets.keys().any(|name| name.starts_with(&prefix)) {
            wanted.insert(format!("{prefix}1"));
        }
    }
    for (name, value) in &given.vars {
        if name.starts_with("EDGEWARD") {
            referred(value, false, &mut wanted);
            let is_public = value.get("client_auth").and_then(Value::as_str) == Some("none");
            if name.starts_with("EDGEWARD_PROVIDER_") && !is_public {
                wanted.insert(format!("{name}_SECRET"));
            }
        }
    }
    // A personal access token has three parts, separated by dots.
    let in_parts: BTreeSet<String> = given
        .vars
        .values()
        .filter_map(|table| table.get("label_studio"))
        .filter(|table| table.get("mode").and_then(Value::as_str) == Some("pat"))
        .filter_map(|table| table.get("secret")?.as_str().map(str::to_owned))
        .collect();
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut bindings: Bindings = given
        .vars
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect();
    bindings.extend(given.secrets);
    wanted.retain(|name| !complete && !bindings.contains_key(name));
    for name in &wanted {
        // Long enough for every algorithm.
        let random = URL_SAFE_NO_PAD
            .encode([sha256(name.as_bytes()), sha256(&sha256(name.as_bytes()))].concat());
        let text = if in_parts.contains(name) {
            format!("{random}.{random}.{random}")
        } else {
            random
        };
        bindings.insert(name.clone(), text);
    }
    (bindings, wanted.into_iter().collect())
}

/// The names of secrets in a setting: the values of `secret`, `secrets` and `…_secret`.
fn referred(value: &Value, named: bool, found: &mut BTreeSet<String>) {
    match value {
        // No setting may refer to our own secrets; the parser of the configuration reports that.
        Value::String(name) if named && !name.starts_with("EDGEWARD") => {
            found.insert(name.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| referred(item, named, found)),
        Value::Object(members) => {
            for (name, value) in members {
                let named = name == "secret" || name == "secrets" || name.ends_with("_secret");
                referred(value, named, found);
            }
        }
        _ => {}
    }
}
