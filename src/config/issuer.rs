//! Other issuers as they are written: whose tokens a site accepts, how they are verified, and what
//! they may state.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::config::named::Tables;
use crate::config::reader::{Bindings, Field, ISSUER, Reader, Texts, table};
use crate::config::secret::{self, NameError};
use crate::config::unbound;
use crate::config::verification::{self, RawVerification};
use crate::http::host::{fetchable_host, is_loopback, origin};
use crate::jose::json::StrictObject;
use crate::jose::key::{KeyError, PublicKey};
use crate::model::claim::{ClaimPath, ListPath};
use crate::model::user::subject::Printable;
use crate::model::user::{Email, Role, parse_domain};
use crate::platform::algorithm::{Algorithm, KeyType};
use crate::platform::time::Seconds;
use crate::site::issuer::{
    Defaults, Document, Issuer, IssuerName, KeySource, Mapping, RemoteKeys, RequiredClaim,
    SharedSecrets, TENANT_ID, UserIdentity,
};

/// The longest table of an issuer, in bytes.
const MAX_TABLE: usize = 5 * 1024;
const DAY: u32 = 86_400;

table! {
    /// `EDGEWARD_ISSUER_…`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["issuer", "audience", "algorithms"])))]
    pub struct RawIssuer {
        /// The `iss` of its tokens; compared exactly. With `tenant_ids`, `{tenantid}` in it stands for one of them.
        pub(super) issuer: Field<String>,
        /// For Entra ID: the ids of the tenants whose tokens are accepted.
        pub(super) tenant_ids: Field<Vec<String>>,
        /// One of these must be in `aud`.
        pub(super) audience: Field<Texts>,
        /// The accepted signature algorithms.
        pub(super) algorithms: Field<Vec<Algorithm>>,
        /// The tolerated difference between its clock and ours, in seconds.
        pub(super) leeway: Field<u32>,
        /// The `typ` that its tokens must have.
        pub(super) typ: Field<String>,
        /// The longest accepted lifetime in seconds.
        pub(super) max_lifetime: Field<u32>,
        /// Required claims, by name or dotted path: names; or a table of names with the value, or the list of
        /// values, of which it must be one; or a list of both.
        pub(super) required_claims: Field<RequiredClaims>,
        /// The names of Worker secrets with shared secrets, any of which may match.
        pub(super) secret: Field<Texts>,
        /// The encoding of these secrets.
        pub(super) secret_encoding: Field<SecretEncoding>,
        /// The URL of its key set.
        pub(super) jwks_url: Field<String>,
        /// The URL of its discovery document.
        pub(super) discovery_url: Field<String>,
        /// A public key: PEM, DER in base64, or a JWK.
        pub(super) public_key: Field<Value>,
        /// The URL of such a key.
        pub(super) public_key_url: Field<String>,
        /// For local development: the only loopback origin that may be asked.
        pub(super) loopback_origin: Field<String>,
        /// How many seconds fetched keys are fresh.
        pub(super) keys_ttl: Field<u32>,
        /// How many seconds they are used if the issuer cannot be reached.
        pub(super) keys_stale: Field<u32>,
        /// How many seconds to wait before asking again.
        pub(super) keys_cooldown: Field<u32>,
        /// The endpoint that says whose an API key is.
        pub(super) verify: Field<RawVerification>,
        /// The claims from which the user's properties are read.
        pub(super) claims: Field<BTreeMap<String, String>>,
        /// What is assumed if a claim is missing.
        pub(super) defaults: Field<BTreeMap<String, Texts>>,
        /// Why addresses that the issuer does not mark as verified can be trusted.
        pub(super) unverified_email_reason: Field<String>,
        /// Whether the text `"true"` marks an address as verified, like the boolean.
        pub(super) email_verified_as_text: Field<bool>,
        /// Whether whole numbers stand for texts, in `sub` and in the claims of tenant and workspace.
        pub(super) numbers_as_text: Field<bool>,
        /// What identifies its users: `email`, or `subject` for its `sub`, with an address if there is one.
        pub(super) identity: Field<UserIdentity>,
        /// For users without an e-mail address: their `sub` at this domain becomes the address.
        pub(super) subject_domain: Field<String>,
        /// The domains of the e-mail addresses that it may name; defaults to any.
        pub(super) email_domains: Field<Vec<String>>,
        /// Whether a token for an unknown user creates the user.
        pub(super) create_users: Field<bool>,
        /// The roles that it may grant.
        pub(super) grant_roles: Field<Vec<String>>,
        /// Whether it may say who is staff.
        pub(super) grant_staff: Field<bool>,
        /// The claims that a session keeps; defaults to those that rules, headers and assertion of its site are about.
        pub(super) keep_claims: Field<Vec<String>>,
        /// Why tokens without `iss`, `aud` or `iat` can be trusted, which are accepted then.
        pub(super) unbound_tokens_reason: Field<String>,
        /// With `unbound_tokens_reason`: every claim that a token may have.
        pub(super) only_claims: Field<Vec<String>>,
    }
}

/// The encoding of a shared secret.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    /// The text itself.
    Text,
    /// Base64url, as in a JWK.
    Base64url,
}

/// `required_claims`.
#[derive(Debug, Default)]
pub struct RequiredClaims(Vec<RequiredClaim>);

impl<'de> Deserialize<'de> for RequiredClaims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = match Value::deserialize(deserializer)? {
            Value::Array(items) => items,
            Value::Object(table) => vec![Value::Object(table)],
            // Reported below, like anything else of the wrong kind.
            _ => vec![Value::Null],
        };
        let mut all = Vec::new();
        for item in items {
            match item {
                Value::String(name) => all.push((name, None)),
                Value::Object(members) => {
                    all.extend(members.into_iter().map(|(name, value)| (name, Some(value))));
                }
                _ => {
                    return Err(D::Error::custom(
                        "must be names of claims, or tables such as { token_type = \"access\" }",
                    ));
                }
            }
        }
        let required = all.into_iter().map(|(name, value)| {
            let path = ClaimPath::parse(&name)
                .ok_or_else(|| D::Error::custom(format!("{name:?} is not the name of a claim")))?;
            let values = match value {
                Some(Value::Array(values)) => Some(values),
                value => value.map(|value| vec![value]),
            };
            let is_plain = |value: &Value| !matches!(value, Value::Null | Value::Array(_) | Value::Object(_));
            let fine = |values: &Vec<Value>| !values.is_empty() && values.iter().all(is_plain);
            if values.as_ref().is_none_or(fine) {
                Ok(RequiredClaim { path, values })
            } else {
                Err(D::Error::custom(format!(
                    "{name}: must be a text, a number or a boolean, or a list of at least one of them"
                )))
            }
        });
        required.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for RequiredClaims {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RequiredClaims".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let value = serde_json::json!({ "type": ["string", "number", "boolean"] });
        let values = serde_json::json!({ "anyOf": [value, { "type": "array", "items": value, "minItems": 1 }] });
        let table = serde_json::json!({ "type": "object", "additionalProperties": values });
        let name = serde_json::json!({ "type": "string", "minLength": 1 });
        schemars::json_schema!({ "anyOf": [table, { "type": "array", "items": { "anyOf": [name, table] } }] })
    }
}

/// The names under `claims`, each with the claim that is read by default.
const MAPPED: [(&str, &str); 10] = [
    ("email", "email"),
    ("email_verified", "email_verified"),
    ("username", "preferred_username"),
    ("first_name", "given_name"),
    ("last_name", "family_name"),
    ("roles", "roles"),
    ("staff", "staff"),
    ("scopes", "scope"),
    ("tenant", "tenant_id"),
    ("workspace", "workspace_id"),
];

/// Reads the table of issuer `name`; errors go to `reader`. `ours` is our own `iss`.
pub(super) fn read_table(
    name: &str,
    text: &str,
    ours: &str,
    bindings: &Bindings,
    reader: &mut Reader<'_>,
) -> Option<Rc<Issuer>> {
    let raw: RawIssuer = reader.object(text)?;
    check_length(text, reader);
    read(name, raw, ours, bindings, reader).map(Rc::new)
}

/// Validates the settings of issuer `name`.
#[expect(
    clippy::too_many_lines,
    reason = "one paragraph for each setting, in the order of the table"
)]
pub(super) fn read(
    name: &str,
    raw: RawIssuer,
    ours: &str,
    bindings: &Bindings,
    reader: &mut Reader<'_>,
) -> Option<Issuer> {
    reader.reject_unknown(&raw.unknown);
    let issuer = reader.required("issuer", raw.issuer);
    let is_ours = issuer.as_deref() == Some(ours);
    reader.check("issuer", !is_ours, "is the issuer of Edgeward's own tokens");
    let empty = issuer.as_deref() == Some("");
    reader.check("issuer", !empty, "must not be empty");
    let tenants_given = raw.tenant_ids.is_given();
    let none_listed = matches!(&raw.tenant_ids, Field::Given(ids) if ids.is_empty());
    reader.check("tenant_ids", !none_listed, "must list at least one tenant");
    let tenant_ids = each(
        reader,
        "tenant_ids",
        raw.tenant_ids,
        parse_tenant_id,
        "a tenant that can be trusted: the UUID of one tenant, in lower case, and not that of personal accounts, which anybody can have",
    );
    let names = issuer.as_deref().map_or_else(Vec::new, |issuer| {
        read_names(issuer, tenants_given, &tenant_ids, reader)
    });
    let audience = reader.required("audience", raw.audience).map(|list| list.0);
    let fine = |list: &Vec<String>| !list.is_empty() && list.iter().all(|one| !one.is_empty());
    reader.check(
        "audience",
        audience.as_ref().is_none_or(fine),
        "must name at least one audience",
    );
    let algorithms = reader.required("algorithms", raw.algorithms);
    reader.check(
        "algorithms",
        algorithms.as_ref().is_none_or(|list| !list.is_empty()),
        "must name at least one algorithm",
    );
    let leeway = reader.with_default("leeway", raw.leeway, 30);
    reader.check("leeway", leeway <= 300, "must be at most 300 seconds");
    let typ = reader
        .optional("typ", raw.typ)
        .map(|t| t.to_ascii_lowercase());
    let max_lifetime = reader.with_default("max_lifetime", raw.max_lifetime, DAY);
    reader.check(
        "max_lifetime",
        (1..=30 * DAY).contains(&max_lifetime),
        "must be from 1 second to 30 days",
    );
    let required_claims = reader.optional("required_claims", raw.required_claims);
    let required_claims = required_claims.map_or_else(Vec::new, |required| required.0);

    let loopback = reader.optional("loopback_origin", raw.loopback_origin);
    let loopback = loopback.and_then(|text| {
        let found = origin(&text, true).filter(|origin| {
            origin
                .split_once("://")
                .is_some_and(|(_, host)| is_loopback(host))
        });
        if found.is_none() {
            reader.error(
                "loopback_origin",
                "must be a loopback origin, such as http://127.0.0.1:9000",
            );
        }
        found
    });
    let ttl = reader.with_default("keys_ttl", raw.keys_ttl, 600);
    reader.check(
        "keys_ttl",
        (60..=DAY).contains(&ttl),
        "must be from 60 seconds to a day",
    );
    let stale = reader.with_default("keys_stale", raw.keys_stale, DAY);
    reader.check(
        "keys_stale",
        (ttl..=7 * DAY).contains(&stale),
        "must be from keys_ttl to 7 days",
    );
    let cooldown = reader.with_default("keys_cooldown", raw.keys_cooldown, 10);
    reader.check(
        "keys_cooldown",
        (1..=600).contains(&cooldown),
        "must be from 1 to 600 seconds",
    );
    let sources = [
        ("secret", raw.secret.is_given()),
        ("jwks_url", raw.jwks_url.is_given()),
        ("discovery_url", raw.discovery_url.is_given()),
        ("public_key", raw.public_key.is_given()),
        ("public_key_url", raw.public_key_url.is_given()),
    ];
    let has_one_source = sources.iter().filter(|(_, given)| *given).count() == 1;
    if !has_one_source {
        reader.error(
            "secret",
            "exactly one of secret, jwks_url, discovery_url, public_key and public_key_url is required",
        );
    }
    let encoding =
        reader.with_default("secret_encoding", raw.secret_encoding, SecretEncoding::Text);
    let secrets = reader.optional("secret", raw.secret).and_then(|names| {
        read_secrets(&names.0, encoding, algorithms.as_deref(), bindings, reader)
    });
    let fixed = reader
        .optional("public_key", raw.public_key)
        .and_then(|value| match read_key(&value) {
            Ok(key) => Some(key),
            Err(error) => {
                reader.error("public_key", error.to_string());
                None
            }
        });
    let remote = [
        ("jwks_url", raw.jwks_url, Document::KeySet),
        ("discovery_url", raw.discovery_url, Document::Discovery),
        ("public_key_url", raw.public_key_url, Document::Key),
    ]
    .into_iter()
    .find_map(|(name, field, document)| {
        let url = reader.optional(name, field)?;
        check_fetchable(reader, name, Some(&url), loopback.as_deref());
        Some(RemoteKeys {
            issuer: issuer.clone().unwrap_or_default(),
            url,
            document,
            ttl: Seconds(ttl),
            stale: Seconds(stale),
            cooldown: Seconds(cooldown),
            loopback: loopback.clone(),
        })
    });
    // Without a key, or with two, nothing can be said of the algorithms.
    if has_one_source {
        check_algorithms(reader, algorithms.as_deref(), sources[0].1, fixed.as_ref());
    }
    let keys = secrets
        .map(|list| KeySource::Secrets(SharedSecrets(list)))
        .or(fixed.map(|key| KeySource::Fixed(key.into())))
        .or(remote.map(KeySource::Remote));

    let verifies = raw.verify.is_given();
    let verification = verification::read(reader, raw.verify, loopback.as_deref(), bindings);
    let grant_roles = each(
        reader,
        "grant_roles",
        raw.grant_roles,
        Role::parse,
        "the name of a role",
    );
    let grant_staff = reader.with_default("grant_staff", raw.grant_staff, false);
    let claims = read_mapping(reader, raw.claims);
    let defaults = read_defaults(reader, raw.defaults, &grant_roles);
    let reason = reader.optional("unverified_email_reason", raw.unverified_email_reason);
    reader.check(
        "unverified_email_reason",
        reason.as_deref().is_none_or(|text| text.trim().len() >= 10),
        "must explain why unverified addresses of this issuer can be trusted",
    );
    let email_verified_as_text =
        reader.with_default("email_verified_as_text", raw.email_verified_as_text, false);
    reader.check(
        "email_verified_as_text",
        !email_verified_as_text || reason.is_none(),
        "has no meaning with unverified_email_reason, which accepts addresses that are not verified; remove one of them",
    );
    let numbers_as_text = reader.with_default("numbers_as_text", raw.numbers_as_text, false);
    let subject_domain = reader.optional("subject_domain", raw.subject_domain);
    reader.check(
        "subject_domain",
        subject_domain
            .as_ref()
            .is_none_or(|domain| Email::parse(&format!("a@{domain}")).is_some()),
        "is not a domain",
    );
    let identity = reader.with_default("identity", raw.identity, UserIdentity::Email);
    let by_subject = identity == UserIdentity::Subject;
    reader.check(
        "identity",
        !by_subject || subject_domain.is_none(),
        "subject and subject_domain exclude each other: the one makes users without an address, the other makes addresses",
    );
    reader.check(
        "identity",
        !by_subject
            || issuer
                .as_deref()
                .is_none_or(|text| Printable::parse(text).is_some()),
        "subject needs an issuer of at most 255 visible characters",
    );
    let excluded = [
        ("jwks_url", sources[1].1),
        ("discovery_url", sources[2].1),
        ("public_key_url", sources[4].1),
        ("verify", verifies),
        ("tenant_ids", tenants_given),
    ];
    let by_sub = by_subject || subject_domain.is_some();
    let address = claims.as_ref().map(|claims| claims.email.as_str());
    let table = unbound::Table {
        excluded: excluded
            .into_iter()
            .filter_map(|(name, given)| given.then_some(name))
            .collect(),
        max_lifetime: Seconds(max_lifetime),
        required: &required_claims,
        roles: &grant_roles,
        staff: grant_staff,
        claims: claims.as_ref(),
        identified_by: if by_sub { Some("sub") } else { address },
    };
    let only_claims = unbound::read(reader, raw.unbound_tokens_reason, raw.only_claims, &table);
    let email_domains = raw.email_domains.is_given().then(|| {
        each(
            reader,
            "email_domains",
            raw.email_domains,
            parse_domain,
            "a domain in lower case",
        )
    });
    Some(Issuer {
        name: name.to_owned(),
        issuer: issuer?,
        names,
        audience: audience?,
        algorithms: algorithms?,
        leeway: Seconds(leeway),
        typ,
        max_lifetime: Seconds(max_lifetime),
        required_claims,
        keys: keys?,
        verification,
        claims: claims?,
        defaults,
        email_verified: reason.is_none(),
        email_verified_as_text,
        numbers_as_text,
        identity,
        subject_domain,
        email_domains,
        create_users: reader.with_default("create_users", raw.create_users, false),
        grant_roles,
        grant_staff,
        keep_claims: reader.optional("keep_claims", raw.keep_claims),
        only_claims,
    })
}

/// The tenant that all personal Microsoft accounts are in: anybody can have one.
const PERSONAL_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The id of a tenant of Entra ID: a UUID in lower case.
pub(super) fn parse_tenant_id(text: &str) -> Option<String> {
    let mut groups = text.split('-').map(str::len);
    let shaped = [8, 4, 4, 4, 12]
        .into_iter()
        .all(|length| groups.next() == Some(length));
    let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-';
    let fine = shaped && groups.next().is_none() && text.bytes().all(plain);
    (fine && text != PERSONAL_ACCOUNTS).then(|| text.to_owned())
}

/// Every `iss` that tokens may have: the one that is written, or one for each tenant.
fn read_names(
    issuer: &str,
    tenants_given: bool,
    tenant_ids: &[String],
    reader: &mut Reader<'_>,
) -> Vec<IssuerName> {
    let is_template = issuer.matches(TENANT_ID).count() == 1;
    if is_template != tenants_given {
        reader.error(
            "tenant_ids",
            "is required with {tenantid} in issuer, once, and allowed with it only",
        );
    }
    if !is_template {
        return vec![IssuerName {
            iss: issuer.to_owned(),
            tenant_id: None,
        }];
    }
    let names = tenant_ids.iter().map(|id| IssuerName {
        iss: issuer.replace(TENANT_ID, id),
        tenant_id: Some(id.clone()),
    });
    names.collect()
}

/// The algorithms must match the key; a fetched key set is checked when it is used.
fn check_algorithms(
    reader: &mut Reader<'_>,
    algorithms: Option<&[Algorithm]>,
    by_secret: bool,
    fixed: Option<&PublicKey>,
) {
    for algorithm in algorithms.unwrap_or_default() {
        let fits = match fixed {
            Some(key) => key.is_for(*algorithm),
            None => (algorithm.key_type() == KeyType::Secret) == by_secret,
        };
        if !fits {
            reader.error(
                "algorithms",
                format!("{} does not match the key", algorithm.name()),
            );
        }
    }
}

fn read_secrets(
    names: &[String],
    encoding: SecretEncoding,
    algorithms: Option<&[Algorithm]>,
    bindings: &Bindings,
    reader: &mut Reader<'_>,
) -> Option<Vec<Vec<u8>>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    // At least as long as the hash (RFC 7518 §3.2).
    let needed = algorithms.unwrap_or_default().iter().map(|one| match one {
        Algorithm::Hs384 => 48,
        Algorithm::Hs512 => 64,
        _ => 32,
    });
    let needed: usize = needed.max().unwrap_or(32);
    let mut secrets = Vec::new();
    for name in names {
        let value = match secret::named(bindings, name) {
            Ok(value) => value,
            Err(NameError::Own) => {
                reader.error(
                    "secret",
                    "names one of Edgeward's own secrets, which no issuer may share",
                );
                continue;
            }
            Err(NameError::Missing) => {
                reader.error(
                    "secret",
                    format!(
                        "{name} is not a secret of this Worker; {}",
                        secret::HOW_TO_SET
                    ),
                );
                continue;
            }
        };
        let bytes = match encoding {
            SecretEncoding::Text => Some(value.as_bytes().to_vec()),
            SecretEncoding::Base64url => URL_SAFE_NO_PAD.decode(value).ok(),
        };
        let error = match &bytes {
            None => Some("is not base64url".to_owned()),
            Some(bytes) if bytes.len() < needed => Some(format!(
                "is shorter than {needed} bytes, which its algorithm requires"
            )),
            Some(_) => secret::weakness(value).map(|weak| {
                format!("{weak}; whoever guesses it can sign tokens, so the issuer has to change it, and then you here")
            }),
        };
        match error {
            Some(error) => reader.error("secret", format!("{name} {error}")),
            None => secrets.extend(bytes),
        }
    }
    (secrets.len() == names.len() && !names.is_empty()).then_some(secrets)
}

fn read_key(value: &Value) -> Result<PublicKey, KeyError> {
    match value {
        Value::String(text) => PublicKey::from_text(text),
        Value::Object(_) => {
            // Deserialised again, so that duplicate members are found where they can be.
            let jwk: StrictObject =
                serde_json::from_value(value.clone()).map_err(|_| KeyError::Form)?;
            PublicKey::from_jwk(&jwk.0)
        }
        _ => Err(KeyError::Form),
    }
}

/// Rejects the text of a table that no variable can hold.
pub(super) fn check_length(text: &str, reader: &mut Reader<'_>) {
    if text.len() > MAX_TABLE {
        reader.reject("has more than 5 KB, the most that a variable may have");
    }
}

/// Rejects a URL that the Worker must not fetch.
pub(super) fn check_fetchable(
    reader: &mut Reader<'_>,
    name: &str,
    url: Option<&String>,
    loopback: Option<&str>,
) {
    reader.check(
        name,
        url.is_none_or(|url| fetchable_host(url, loopback).is_some()),
        "must be an https URL with a public host name and without a fragment (or at loopback_origin)",
    );
}

/// Parses each text of a list; `what` each of them must be.
fn each<T>(
    reader: &mut Reader<'_>,
    name: &str,
    field: Field<Vec<String>>,
    parse: impl Fn(&str) -> Option<T>,
    what: &str,
) -> Vec<T> {
    let mut found = Vec::new();
    for text in reader.with_default(name, field, Vec::new()) {
        match parse(&text) {
            Some(one) => found.push(one),
            None => reader.error(name, format!("{text:?} is not {what}")),
        }
    }
    found
}

fn read_mapping(
    reader: &mut Reader<'_>,
    field: Field<BTreeMap<String, String>>,
) -> Option<Mapping> {
    let mut given = reader.with_default("claims", field, BTreeMap::new());
    let mut reader = reader.table("claims");
    let mut list = |name: &str| {
        let default = MAPPED.iter().find(|(known, _)| *known == name)?.1;
        let text = given.remove(name).unwrap_or_else(|| default.to_owned());
        let path = ListPath::parse(&text);
        reader.check(name, path.is_some(), "is neither the name of a claim nor a projection: \"roles\", \"roles[*].name\" or \"keys(roles)\"");
        path.or_else(|| ListPath::parse(default))
    };
    let (roles, scopes) = (list("roles")?, list("scopes")?);
    let mut of = |name: &str| {
        let default = MAPPED.iter().find(|(known, _)| *known == name)?.1;
        let text = given.remove(name).unwrap_or_else(|| default.to_owned());
        let path = ClaimPath::parse(&text);
        reader.check(name, path.is_some(), "is not the name of a claim");
        path.or_else(|| ClaimPath::parse(default))
    };
    let mapping = Mapping {
        email: of("email")?,
        email_verified: of("email_verified")?,
        username: of("username")?,
        first_name: of("first_name")?,
        last_name: of("last_name")?,
        roles,
        staff: of("staff")?,
        scopes,
        tenant: of("tenant")?,
        workspace: of("workspace")?,
    };
    for name in given.keys() {
        reader.error(name, "no such setting");
    }
    Some(mapping)
}

fn read_defaults(
    reader: &mut Reader<'_>,
    field: Field<BTreeMap<String, Texts>>,
    may_grant: &[Role],
) -> Defaults {
    let given = reader.with_default("defaults", field, BTreeMap::new());
    let mut reader = reader.table("defaults");
    let mut defaults = Defaults::default();
    for (name, values) in given {
        let mut values = values.0;
        match (name.as_str(), values.len()) {
            ("roles", _) => {
                for value in values {
                    match may_grant.iter().find(|role| role.as_str() == value) {
                        Some(role) => defaults.roles.push(role.clone()),
                        None => reader.error("roles", format!("{value} is not in grant_roles")),
                    }
                }
            }
            ("scopes", _) => defaults.scopes = values,
            ("tenant", 1) => defaults.tenant = values.pop(),
            ("workspace", 1) => defaults.workspace = values.pop(),
            ("tenant" | "workspace", _) => reader.error(&name, "must be one text"),
            _ => reader.error(&name, "no such setting"),
        }
    }
    defaults
}

/// Resolves the issuers that a setting names.
pub(super) fn issuers_named(
    field: Field<Vec<String>>,
    issuers: &Tables<Issuer>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Rc<Issuer>>> {
    fn name_of(issuer: &Issuer) -> &str {
        &issuer.name
    }
    let found = issuers.named(("issuers", field), ("issuer", ISSUER), name_of, reader)?;
    check_distinct(&found, reader, "issuers");
    Some(found)
}

/// Rejects two issuers with the same `iss`, which could not be told apart.
pub(super) fn check_distinct(issuers: &[Rc<Issuer>], reader: &mut Reader<'_>, name: &str) {
    let mut seen = std::collections::HashSet::new();
    let mut names = issuers.iter().flat_map(|issuer| issuer.isses());
    let distinct = names.all(|name| seen.insert(name));
    reader.check(
        name,
        distinct,
        "contains two issuers with the same `issuer`",
    );
    // Neither learns the keys of the other.
    let verifying = issuers
        .iter()
        .filter(|issuer| issuer.verification.is_some());
    reader.check(
        name,
        verifying.count() <= 1,
        "contains two issuers with `verify`; nothing would tell whose a key is",
    );
}

#[cfg(test)]
mod tests;
