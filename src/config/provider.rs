//! `OpenID` Connect providers as they are written: a preset, the client that we are there, and the settings of an issuer,
//! which are read as those of any other issuer.

mod client;

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::issuer::{self, RawIssuer};
use crate::config::named::Tables;
use crate::config::provider::client::RawClient;
use crate::config::reader::{Bindings, Field, Members, PROVIDER, Reader, Texts, table};
use crate::http::host::canonical_host;
use crate::http::query;
use crate::model::claim::ClaimPath;
use crate::platform::time::Seconds;
use crate::site::issuer::{KeySource, RequiredClaim, TENANT_ID, UserIdentity};
use crate::site::provider::{IfRefused, ORGANIZATIONS, Offline, Provider};

/// Stands for the place of a provider whose settings do not say it.
const UNKNOWN: &str = "https://unknown.example/";

/// The settings of an issuer that a provider has as well. The others follow from the preset and from the flow.
pub const OF_ISSUER: [&str; 19] = [
    "issuer",
    "discovery_url",
    "tenant_ids",
    "algorithms",
    "leeway",
    "required_claims",
    "claims",
    "defaults",
    "unverified_email_reason",
    "email_verified_as_text",
    "numbers_as_text",
    "email_domains",
    "create_users",
    "grant_roles",
    "grant_staff",
    "keep_claims",
    "loopback_origin",
    "keys_ttl",
    "keys_stale",
];

table! {
    /// `EDGEWARD_PROVIDER_…`. Has the settings of an issuer that say what its tokens may state as well.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["preset", "client_id"])))]
    pub struct RawProvider {
        /// Which provider it is; `oidc` for any that speaks `OpenID` Connect.
        pub(super) preset: Field<Preset>,
        /// For `auth0`, `okta` and `keycloak`: its host.
        pub(super) domain: Field<String>,
        /// For `keycloak`: the realm.
        pub(super) realm: Field<String>,
        /// For `entra`: the id of the tenant; `tenant_ids` for several.
        pub(super) tenant: Field<String>,
        /// For `github`: the organisations of which a person must be a member of one.
        pub(super) organizations: Field<Vec<String>>,
        /// For `apple`: the id of the team.
        pub(super) team_id: Field<String>,
        /// The id of the key with which the client signs (`kid`).
        pub(super) key_id: Field<String>,
        /// For `google`: the organisations, by their main domain, whose accounts may sign in.
        pub(super) hd: Field<Texts>,
        /// The id of the client that was registered there.
        pub(super) client_id: Field<String>,
        /// How the client authenticates to the token endpoint.
        pub(super) client_auth: Field<RawClientAuth>,
        /// What is asked for, besides `openid`.
        pub(super) scopes: Field<Vec<String>>,
        /// What the button on the sign-in page says.
        pub(super) label: Field<String>,
        /// Whether an address that it says is verified identifies a user that other providers or an admin have made.
        pub(super) email_authoritative: Field<bool>,
        /// `access_token` if the roles are only in the access token, as with Keycloak.
        pub(super) roles_from: Field<RolesFrom>,
        /// Whether claims that the ID token lacks are asked for at the userinfo endpoint.
        pub(super) userinfo: Field<bool>,
        /// Whether sessions are renewed at the provider, so that they end with the person's account there.
        pub(super) offline: Field<bool>,
        /// What becomes of a session that the provider does not renew, with `offline`.
        pub(super) if_refused: Field<IfRefused>,
        /// Whether a sign-out here signs people out there as well, if the provider has an `end_session_endpoint`.
        pub(super) sign_out_at_provider: Field<bool>,
        /// How many seconds ago a person may have signed in there at the most.
        pub(super) max_age: Field<u32>,
    }
}

/// Which provider it is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Any that speaks `OpenID` Connect.
    Oidc,
    /// Google.
    Google,
    /// Microsoft Entra ID.
    Entra,
    /// Keycloak.
    Keycloak,
    /// Auth0.
    Auth0,
    /// Okta.
    Okta,
    /// GitHub, or a GitHub Enterprise Server.
    Github,
    /// Sign in with Apple.
    Apple,
}

/// `client_auth`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawClientAuth {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt`: the secret is a private key (PKCS #8), for ES256 or RS256.
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
    /// A public client, without a secret.
    None,
}

/// `roles_from`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RolesFrom {
    /// The ID token, and the userinfo endpoint if that is asked.
    IdToken,
    /// The access token as well: a JWT by the same keys.
    AccessToken,
}

/// Validates the table of provider `name`; errors go to `reader`. `ours` is our own `iss`.
#[expect(
    clippy::too_many_lines,
    reason = "one field of the provider after another"
)]
pub(super) fn read(
    name: &str,
    text: &str,
    ours: &str,
    bindings: &Bindings,
    reader: &mut Reader<'_>,
) -> Option<Rc<Provider>> {
    let raw: RawProvider = reader.object(text)?;
    issuer::check_length(text, reader);
    let mut members = Members::new();
    for (setting, value) in raw.unknown {
        if OF_ISSUER.contains(&setting.as_str()) {
            members.insert(setting, value);
        } else {
            reader.error(
                &setting,
                match setting.as_str() {
                    "client_secret" => {
                        "is no setting: the secret does not belong in this file; it is the Worker secret EDGEWARD_PROVIDER_<NAME>_SECRET"
                    }
                    _ => "no such setting",
                },
            );
        }
    }
    let preset = reader.required("preset", raw.preset);
    let place = Place {
        domain: raw.domain,
        realm: raw.realm,
        tenant: raw.tenant,
    };
    if let Some(preset) = preset {
        place.settle(preset, &mut members, reader);
    }
    // Where that has failed, it was reported; the other settings are looked at all the same.
    default_to(&mut members, "issuer", json!(UNKNOWN));
    default_to(&mut members, "discovery_url", json!(UNKNOWN));
    let client_id = reader.required("client_id", raw.client_id);
    let is_empty = client_id.as_deref() == Some("");
    reader.check("client_id", !is_empty, "must not be empty");
    let client = RawClient {
        name,
        id: client_id.as_deref().unwrap_or_default(),
        how: raw.client_auth,
        team: raw.team_id,
        kid: raw.key_id,
    };
    let authentication = client::read(client, preset, bindings, reader);
    for (setting, is_given) in [
        ("max_age", raw.max_age.is_given()),
        ("userinfo", raw.userinfo.is_given()),
        ("roles_from", raw.roles_from.is_given()),
        ("algorithms", members.contains_key("algorithms")),
        ("offline", raw.offline.is_true()),
        ("sign_out_at_provider", raw.sign_out_at_provider.is_true()),
    ] {
        reader.check(
            setting,
            !(is_given && preset == Some(Preset::Github)),
            "is not for preset = \"github\": GitHub is no OpenID provider",
        );
    }
    let organizations = client::read_organizations(preset, raw.organizations, reader);
    let mut scope = read_scope(reader, raw.scopes, preset, organizations.is_some());
    let label = read_label(reader, name, raw.label);
    let offline = reader.with_default("offline", raw.offline, false);
    let sign_out = reader.with_default("sign_out_at_provider", raw.sign_out_at_provider, false);
    reader.check(
        "if_refused",
        offline || !raw.if_refused.is_given(),
        "is of use with offline = true only",
    );
    let if_refused = reader.with_default("if_refused", raw.if_refused, IfRefused::EndSession);
    let ways: &[_] = match preset {
        // Without it, Google gives a refresh token at the first sign-in only.
        Some(Preset::Google) => &[("access_type", "offline"), ("prompt", "consent")],
        // Core 1.0 §11.
        Some(Preset::Oidc) => &[("prompt", "consent")],
        _ => &[],
    };
    let by_scope = !matches!(
        preset,
        Some(Preset::Google | Preset::Apple | Preset::Github)
    );
    if offline && by_scope && !scope.contains(" offline_access") {
        scope.push_str(" offline_access");
    }
    let authoritative = reader.with_default("email_authoritative", raw.email_authoritative, false);
    reader.check(
        "unverified_email_reason",
        !authoritative || !members.contains_key("unverified_email_reason"),
        "cannot be combined with email_authoritative: an address identifies somebody only if the provider has verified it",
    );
    let max_age = reader.optional("max_age", raw.max_age);
    reader.check(
        "max_age",
        max_age.is_none_or(|age| age <= 30 * 86_400),
        "must be at most 30 days",
    );
    reader.check(
        "max_age",
        max_age.is_none() || preset != Some(Preset::Google),
        "is not for preset = \"google\", which does not say when somebody has signed in",
    );
    let hosted = reader.optional("hd", raw.hd);
    reader.check(
        "hd",
        hosted.is_none() || preset == Some(Preset::Google),
        "is for preset = \"google\"",
    );
    let userinfo = reader.with_default("userinfo", raw.userinfo, false);
    let roles_from = reader.with_default("roles_from", raw.roles_from, RolesFrom::IdToken);
    members.insert(
        "audience".into(),
        // If it is missing, that is reported already.
        json!(client_id.as_deref().unwrap_or("-")),
    );
    let algorithms = json!(["RS256", "ES256", "PS256", "EdDSA"]);
    default_to(&mut members, "algorithms", algorithms);
    // As text, because that is how the tables of other issuers are read: another way would be as much code once more.
    let mut issuer_settings: RawIssuer = reader.object(&Value::Object(members).to_string())?;
    issuer_settings.identity = Field::Given(if authoritative {
        UserIdentity::Email
    } else {
        UserIdentity::Subject
    });
    let mut issuer = issuer::read(name, issuer_settings, ours, bindings, reader)?;
    if let Some(Texts(domains)) = hosted {
        let values = domains.into_iter().map(Value::String).collect();
        issuer.required_claims.push(required("hd", Some(values))?);
    }
    if organizations.is_some() {
        issuer.required_claims.push(required(ORGANIZATIONS, None)?);
    }
    let bound = match &issuer.keys {
        KeySource::Remote(remote) => remote.stale,
        KeySource::Secrets(_) | KeySource::Fixed(_) => Seconds(0),
    };
    Some(Rc::new(Provider {
        issuer: Rc::new(issuer),
        label,
        client_id: client_id?,
        authentication: authentication?,
        scope,
        max_age: max_age.map(Seconds),
        userinfo,
        access_token_claims: roles_from == RolesFrom::AccessToken,
        sign_out,
        offline: offline.then_some(Offline {
            fields: ways,
            if_refused,
            bound,
        }),
        github: (preset == Some(Preset::Github)).then(|| organizations.unwrap_or_default()),
        form_post: preset == Some(Preset::Apple),
    }))
}

fn required(name: &str, values: Option<Vec<Value>>) -> Option<RequiredClaim> {
    let path = ClaimPath::parse(name)?;
    Some(RequiredClaim { path, values })
}

/// What the button says.
fn read_label(reader: &mut Reader<'_>, name: &str, field: Field<String>) -> String {
    let mut usual = name.to_owned();
    if let Some(first) = usual.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let label = reader.with_default("label", field, format!("Sign in with {usual}"));
    reader.check(
        "label",
        !label.trim().is_empty() && label.len() <= 100,
        "must have 1 to 100 bytes",
    );
    label
}

/// The value of `scope`.
fn read_scope(
    reader: &mut Reader<'_>,
    field: Field<Vec<String>>,
    preset: Option<Preset>,
    organizations: bool,
) -> String {
    let usual = client::usual_scopes(preset, organizations);
    let scopes = usual.iter().map(|scope| (*scope).to_owned()).collect();
    let scopes = reader.with_default("scopes", field, scopes);
    // RFC 6749 §3.3.
    let is_scope = |scope: &String| {
        let plain = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        !scope.is_empty() && scope.bytes().all(plain)
    };
    reader.check(
        "scopes",
        scopes.iter().all(is_scope),
        "must be names without spaces",
    );
    let others = scopes.into_iter().filter(|scope| scope != "openid");
    let first = (preset != Some(Preset::Github)).then(|| "openid".to_owned());
    let scope: Vec<String> = first.into_iter().chain(others).collect();
    scope.join(" ")
}

fn default_to(members: &mut Members, name: &str, value: Value) {
    if !members.contains_key(name) {
        members.insert(name.to_owned(), value);
    }
}

/// What says where a provider is, besides its issuer.
struct Place {
    domain: Field<String>,
    realm: Field<String>,
    tenant: Field<String>,
}

impl Place {
    /// Adds `issuer` and `discovery_url`, as far as they follow from the preset.
    fn settle(self, preset: Preset, members: &mut Members, reader: &mut Reader<'_>) {
        let takes: &[&str] = match preset {
            Preset::Oidc | Preset::Google | Preset::Apple => &[],
            Preset::Entra => &["tenant"],
            Preset::Keycloak => &["domain", "realm"],
            Preset::Auth0 | Preset::Okta | Preset::Github => &["domain"],
        };
        let mut take = |name: &'static str, field: Field<String>| {
            let given = field.is_given();
            let fits = takes.contains(&name);
            reader.check(name, !given || fits, "is not a setting of this preset");
            reader.optional(name, field).filter(|_| fits)
        };
        let domain = take("domain", self.domain);
        let realm = take("realm", self.realm);
        let tenant = take("tenant", self.tenant);
        let is_tenant = |id: &String| issuer::parse_tenant_id(id).is_some();
        reader.check(
            "tenant",
            tenant.as_ref().is_none_or(is_tenant),
            "must be the id of one tenant: a UUID in lower case, and not that of personal accounts, which anybody can have",
        );
        let is_host = |domain: &String| canonical_host(domain, "https").as_ref() == Some(domain);
        reader.check(
            "domain",
            domain.as_ref().is_none_or(is_host),
            "must be a host in lower case, such as example.eu.auth0.com",
        );
        if domain.as_ref().is_some_and(|domain| !is_host(domain)) {
            return;
        }
        let names_issuer = members.contains_key("issuer");
        let named = |issuer: String| {
            let discovery = discovery_of(&issuer);
            (issuer, discovery)
        };
        let entra = "https://login.microsoftonline.com";
        let several = members.contains_key("tenant_ids");
        let settled = match (preset, domain, realm, tenant) {
            (Preset::Google, ..) => Ok(named("https://accounts.google.com".into())),
            (Preset::Apple, ..) => Ok(named("https://appleid.apple.com".into())),
            (Preset::Github, domain, ..) => {
                let domain = domain.unwrap_or_else(|| "github.com".into());
                Ok(named(format!("https://{domain}")))
            }
            (Preset::Entra, _, _, Some(tenant)) if !several => {
                Ok(named(format!("{entra}/{tenant}/v2.0")))
            }
            (Preset::Entra, _, _, None) if several => {
                // Its document names the issuer with the placeholder, as no other provider's does.
                let (_, discovery) = named(format!("{entra}/organizations/v2.0"));
                Ok((format!("{entra}/{TENANT_ID}/v2.0"), discovery))
            }
            (Preset::Entra, ..) => Err((
                "tenant",
                "or tenant_ids is required, and not both: the id of the tenant, or those of several",
            )),
            (Preset::Keycloak, Some(domain), Some(realm), _) => {
                let realm = query::encode(&realm);
                Ok(named(format!("https://{domain}/realms/{realm}")))
            }
            // Compared byte for byte: this one has a slash at its end.
            (Preset::Auth0, Some(domain), ..) => Ok(named(format!("https://{domain}/"))),
            (Preset::Okta, Some(domain), ..) => Ok(named(format!("https://{domain}"))),
            (Preset::Auth0, None, ..) | (Preset::Keycloak, None, Some(_), _) => {
                Err(("domain", "is required"))
            }
            (Preset::Keycloak, Some(_), None, _) => Err(("realm", "is required")),
            (Preset::Oidc | Preset::Okta | Preset::Keycloak, ..) => {
                settle_by_issuer(preset, members, reader);
                return;
            }
        };
        match settled {
            Err((name, error)) => reader.error(name, error),
            Ok(_) if names_issuer => {
                reader.error("issuer", "follows from the preset; leave it out");
            }
            Ok((issuer, discovery)) => {
                if preset == Preset::Apple {
                    default_to(members, "email_verified_as_text", json!(true));
                }
                members.insert("issuer".into(), json!(issuer));
                default_to(members, "discovery_url", json!(discovery));
            }
        }
    }
}

/// Adds `discovery_url` to the settings of a provider whose issuer is written.
fn settle_by_issuer(preset: Preset, members: &mut Members, reader: &mut Reader<'_>) {
    let names_issuer = members.contains_key("issuer");
    let of = |name: &str| members.get(name).and_then(Value::as_str);
    // Plain http is for a provider on this machine, which `loopback_origin` names.
    let is_there = |issuer: &str| {
        let loopback = of("loopback_origin");
        issuer.starts_with("https://") || loopback.is_some_and(|at| issuer.starts_with(at))
    };
    match of("issuer") {
        Some(_) if of("discovery_url").is_some() => {}
        Some(issuer) if issuer.contains("/.well-known/") => {
            reader.error(
                "issuer",
                "is the URL of the discovery document: write what its member `issuer` says",
            );
        }
        Some(issuer) if is_there(issuer) => {
            let discovery = discovery_of(issuer);
            default_to(members, "discovery_url", json!(discovery));
        }
        Some(_) => reader.error("issuer", "must be an https URL"),
        None if names_issuer => {}
        None => {
            let (name, error) = match preset {
                Preset::Oidc => ("issuer", "is required"),
                Preset::Okta => (
                    "domain",
                    "is required, or issuer for an authorization server of its own",
                ),
                _ => (
                    "domain",
                    "is required with realm, or issuer instead of both",
                ),
            };
            reader.error(name, error);
        }
    }
}

/// Where the discovery document of an issuer is (Discovery 1.0 §4).
fn discovery_of(issuer: &str) -> String {
    let issuer = issuer.trim_end_matches('/');
    format!("{issuer}/.well-known/openid-configuration")
}

/// Resolves the providers that a setting names.
pub(super) fn providers_named(
    field: Field<Vec<String>>,
    providers: &Tables<Provider>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Rc<Provider>>> {
    let of = ("provider", PROVIDER);
    providers.named(("providers", field), of, Provider::name, reader)
}

#[cfg(test)]
mod tests;
