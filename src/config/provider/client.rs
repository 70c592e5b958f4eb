//! How the client authenticates at a provider, and what is special to GitHub and Apple.

use std::cell::OnceCell;

use crate::config::provider::{Preset, RawClientAuth};
use crate::config::reader::{Bindings, Field, PROVIDER, Reader, SECRET};
use crate::config::secret;
use crate::platform::algorithm::Algorithm;
use crate::site::UpstreamCredential;
use crate::site::provider::{AssertionKey, ClientAuthentication};

/// The client as it is written.
pub(super) struct RawClient<'a> {
    /// The provider's name.
    pub(super) name: &'a str,
    pub(super) id: &'a str,
    pub(super) how: Field<RawClientAuth>,
    pub(super) team: Field<String>,
    pub(super) kid: Field<String>,
}

pub(super) fn read(
    client: RawClient<'_>,
    preset: Option<Preset>,
    bindings: &Bindings,
    reader: &mut Reader<'_>,
) -> Option<ClientAuthentication> {
    let is_apple = preset == Some(Preset::Apple);
    let is_github = preset == Some(Preset::Github);
    let given = client.how.is_given();
    let usual = if is_github {
        RawClientAuth::Post
    } else {
        RawClientAuth::Basic
    };
    let mut how = reader.with_default("client_auth", client.how, usual);
    let team = reader.optional("team_id", client.team);
    let kid = reader.optional("key_id", client.kid);
    let signs = how == RawClientAuth::PrivateKeyJwt;
    let is_wrong = is_apple && given || is_github && signs;
    reader.check(
        "client_auth",
        !is_wrong,
        "cannot have this value with this preset",
    );
    reader.check(
        "team_id",
        is_apple == team.as_ref().is_some_and(|team| !team.is_empty()),
        "is required for preset = \"apple\", and not allowed with any other preset",
    );
    reader.check(
        "key_id",
        kid.is_some() || !is_apple,
        "is required for preset = \"apple\"",
    );
    reader.check(
        "key_id",
        kid.is_none() || is_apple || signs,
        "is for client_auth = \"private_key_jwt\"",
    );
    if is_apple {
        how = RawClientAuth::PrivateKeyJwt;
    }
    let binding = format!("{PROVIDER}{}{SECRET}", client.name.to_ascii_uppercase());
    let secret = bindings.get(&binding).filter(|secret| !secret.is_empty());
    let mut wrong = |error: String| {
        reader.error("client_auth", error);
        None
    };
    match (how, secret) {
        (RawClientAuth::None, Some(_)) => wrong(format!(
            "is \"none\", but there is a secret {binding}; remove one of them"
        )),
        (RawClientAuth::None, None) => Some(ClientAuthentication::None),
        (RawClientAuth::Basic, Some(secret)) => Some(ClientAuthentication::Basic(secret::basic(
            client.id, secret,
        ))),
        (RawClientAuth::Post, Some(secret)) => Some(ClientAuthentication::Post(
            UpstreamCredential(secret.clone()),
        )),
        (RawClientAuth::PrivateKeyJwt, Some(secret)) => {
            let key = secret::private_key(secret);
            // Apple takes ES256 alone.
            let key = key.filter(|(algorithm, _)| !is_apple || *algorithm == Algorithm::Es256);
            let Some((algorithm, pkcs8)) = key else {
                return wrong(format!(
                    "needs a private key in {binding}, as PEM or base64 (PKCS #8): on the curve P-256, or of RSA where it is not for Apple"
                ));
            };
            Some(ClientAuthentication::Assertion(AssertionKey {
                algorithm,
                pkcs8,
                kid,
                team,
                // These know no other. The issuer is what no other server can pass for.
                for_endpoint: matches!(preset, Some(Preset::Entra | Preset::Okta)),
                sealed: OnceCell::new(),
            }))
        }
        (_, None) => wrong(format!(
            "needs the client's secret {binding}; {}",
            secret::HOW_TO_SET
        )),
    }
}

/// What is asked for, if the table does not say it.
pub(super) fn usual_scopes(preset: Option<Preset>, organizations: bool) -> &'static [&'static str] {
    match (preset, organizations) {
        (Some(Preset::Apple), _) => &["name", "email"],
        (Some(Preset::Github), true) => &["read:user", "user:email", "read:org"],
        (Some(Preset::Github), false) => &["read:user", "user:email"],
        _ => &["profile", "email"],
    }
}

/// The organisations.
pub(super) fn read_organizations(
    preset: Option<Preset>,
    field: Field<Vec<String>>,
    reader: &mut Reader<'_>,
) -> Option<Vec<String>> {
    let is_github = preset == Some(Preset::Github);
    let organizations = reader.optional("organizations", field);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_login = |text: &String| !text.is_empty() && text.len() <= 39 && text.bytes().all(plain);
    let are_good =
        |all: &Vec<String>| is_github && (1..=10).contains(&all.len()) && all.iter().all(is_login);
    reader.check(
        "organizations",
        organizations.as_ref().is_none_or(are_good),
        "is for preset = \"github\": 1 to 10 names of organisations",
    );
    organizations
}
