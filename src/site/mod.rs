//! What is configured, checked: sites and what belongs to them. Nothing here reads a setting.

pub mod attribute;
pub mod config;
pub mod cors;
pub mod disclosure;
pub mod issuer;
pub mod label_studio;
pub mod place;
pub mod profile;
pub mod tenant;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::http::reserved::Reserved;
use crate::jose::hmac::HmacAlgorithm;
use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;
use crate::rules::Rules;
use crate::rules::requirement::Provided;
use attribute::Attribute;
use cors::Cors;
use issuer::Issuer;
use profile::Profile;
use tenant::Tenants;

/// A site, checked.
#[derive(Debug)]
pub struct Site {
    /// The binding's name after `EDGEWARD_SITE_`, in lower case.
    pub name: String,
    /// Canonical public hosts.
    pub hosts: Vec<String>,
    /// Scheme and authority of the origin.
    pub upstream: String,
    /// The `Host` that the origin sees.
    pub host_header: HostHeader,
    /// `aud` of this site's tokens.
    pub audience: String,
    /// For how long a token of each issuer may be used as a link, at any site that takes it.
    pub link_ages: BTreeMap<String, Seconds>,
    /// Where credentials are looked for, in this order.
    pub sources: Vec<Source>,
    /// Who may pass.
    pub rules: Rules,
    /// Which pages of other origins may read answers.
    pub cors: Option<Cors>,
    /// Where the application signs people in.
    pub login: Option<Login>,
    /// Where a browser goes after signing out.
    pub logout_url: Option<String>,
    /// Other origins whose pages may act with this site's cookies.
    pub trusted_origins: Vec<String>,
    /// Origins that may frame our own pages and the origin's.
    pub frame_ancestors: Vec<String>,
    /// Whether a token for an unknown address makes a user.
    pub auto_create_users: bool,
    /// Our own cookie.
    pub session: Session,
    /// SSO tokens.
    pub sso_token: SsoToken,
    /// The cookie in which an application hands over an SSO token.
    pub sso_cookie: Option<SsoCookie>,
    /// The query parameter in which it does.
    pub query: Option<Query>,
    /// Sets of identity headers.
    pub presets: Vec<Preset>,
    /// Identity headers by name.
    pub custom_headers: Vec<(String, Attribute)>,
    /// The signed assertion.
    pub assertion: Option<Assertion>,
    /// A fixed header for the origin.
    pub upstream_credential: Option<(String, UpstreamCredential)>,
    /// What the application behind it is, where that matters.
    pub profile: Option<Profile>,
    /// Issuers other than us whose tokens are taken.
    pub issuers: Vec<Rc<Issuer>>,
    /// Headers in which tokens come.
    pub token_headers: Vec<TokenHeader>,
    /// Groups of issuers and users that are kept apart.
    pub tenants: Option<Tenants>,
    /// Headers that a client may not send, besides those of all sites.
    pub reserved_headers: Vec<String>,
    /// Headers that a client may not send.
    pub reserved: Reserved,
}

/// A header in which a token comes.
#[derive(Debug)]
pub struct TokenHeader {
    /// Its name, in lower case.
    pub name: String,
    /// What stands before the token.
    pub prefix: String,
}

impl TokenHeader {
    /// The token in the header's value; `None` when the value is something else.
    #[must_use]
    pub fn token<'a>(&self, value: &'a str) -> Option<&'a str> {
        let value = value.trim();
        let (head, token) = value.split_at_checked(self.prefix.len())?;
        let token = token.trim();
        (head.eq_ignore_ascii_case(&self.prefix) && !token.is_empty()).then_some(token)
    }
}

/// The value of a fixed header. Its `Debug` does not show it.
pub struct UpstreamCredential(pub String);

impl std::fmt::Debug for UpstreamCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamCredential")
    }
}

/// Where a credential can be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, serde::Serialize)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Our own cookie.
    Session,
    /// The application's cookie.
    SsoCookie,
    /// The query parameter.
    Query,
    /// `Authorization: Bearer`.
    Bearer,
    /// A header that the site names.
    Header,
    /// `x-api-key`, with an API token of ours that acts as a user.
    ApiKey,
}

/// The `Host` that the origin sees.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostHeader {
    /// The upstream's.
    Rewrite,
    /// The public one.
    Preserve,
}

/// The `SameSite` attribute (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// `Strict`.
    Strict,
    /// `Lax`.
    Lax,
    /// `None`.
    None,
}

/// What a link of another user does while someone is signed in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UserSwitch {
    /// Asks first, unless the link was followed on this site itself.
    Confirm,
    /// Switches.
    Replace,
}

/// What a link does that a page of another site led to, while nobody is signed in and nobody was sent
/// to sign in from here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StrangerLink {
    /// Asks first.
    Ask,
    /// Signs in.
    Allow,
}

/// A known set of identity headers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// `x-forwarded-user`, `-email`, `-groups`, `-preferred-username`.
    XForwarded,
    /// `remote-user`, `-email`, `-name`, `-groups`. The first is the address: a username is nobody's
    /// alone.
    Remote,
}

/// The application's sign-in page.
#[derive(Debug)]
pub struct Login {
    /// Its URL.
    pub url: String,
    /// The parameter that tells it where to return to.
    pub return_parameter: String,
}

/// Our own cookie.
#[derive(Debug)]
pub struct Session {
    /// Its name.
    pub cookie: String,
    /// The name of the one that notes where somebody was sent to sign in from.
    pub trip: String,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Partitioned`.
    pub partitioned: bool,
    /// Ends after this long without a request.
    pub idle: Seconds,
    /// Ends after this long in any case.
    pub absolute: Seconds,
}

/// SSO tokens.
#[derive(Debug)]
pub struct SsoToken {
    /// `exp` − `iat` of those we issue.
    pub lifetime: Seconds,
    /// The longest we accept.
    pub max_lifetime: Seconds,
    /// Their algorithm.
    pub algorithm: HmacAlgorithm,
    /// The claim that holds the user's id besides `sub`.
    pub user_id_claim: String,
}

/// The application's cookie, as the application sets it.
#[derive(Debug)]
pub struct SsoCookie {
    /// Its name.
    pub name: String,
    /// `Path`.
    pub path: String,
    /// `Domain`.
    pub domain: Option<String>,
    /// `Secure`.
    pub secure: bool,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Partitioned`.
    pub partitioned: bool,
}

/// The query parameter.
#[derive(Debug)]
pub struct Query {
    /// Its name.
    pub parameter: String,
    /// For how long after `iat` a link works.
    pub max_age: Seconds,
    /// Whether a link opens one session only.
    pub single_use: bool,
    /// What a link of another user does.
    pub user_switch: UserSwitch,
    /// What a link that another site led to does.
    pub stranger_link: StrangerLink,
}

/// The signed assertion.
#[derive(Debug)]
pub struct Assertion {
    /// Its header.
    pub header: String,
    /// Its `aud`.
    pub audience: String,
    /// Its lifetime.
    pub lifetime: Seconds,
    /// What it is signed with.
    pub algorithm: Algorithm,
    /// Claims of other issuers that it repeats.
    pub claims: Vec<String>,
}

impl Site {
    /// The headers in which this site's origin is told who is asking, or that it is us.
    pub(crate) fn identity_headers(&self) -> impl Iterator<Item = &str> {
        let custom = self
            .custom_headers
            .iter()
            .map(|(header, _)| header.as_str());
        let assertion = self
            .assertion
            .as_ref()
            .map(|assertion| assertion.header.as_str());
        let credential = self
            .credential_header()
            .filter(|header| *header != "authorization");
        custom.chain(assertion).chain(credential)
    }

    fn credential_header(&self) -> Option<&str> {
        self.upstream_credential
            .as_ref()
            .map(|(header, _)| header.as_str())
    }

    /// Reserves `names`, and the header of this site's own fixed credential: `Authorization` too,
    /// which at another site is between client and origin.
    pub(crate) fn reserve(&mut self, names: &[String]) {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.extend(self.credential_header());
        names.extend(self.reserved_headers.iter().map(String::as_str));
        let own: &[&str] = self.profile.as_ref().map_or(&[], Profile::reserved);
        names.extend(own);
        self.reserved = Reserved::new(names);
    }

    /// All issuers whose tokens are taken, in whatever tenant.
    #[must_use]
    pub fn all_issuers(&self) -> &[Rc<Issuer>] {
        self.tenants
            .as_ref()
            .map_or(&self.issuers, |tenants| &tenants.issuers)
    }

    /// What the issuers of this site can say of a caller, all together. Of ourselves, only what is in
    /// the user's record.
    #[must_use]
    pub fn provides(&self) -> Provided {
        let others = !self.all_issuers().is_empty();
        Provided {
            scopes: others,
            claims: others,
            tenant: others || self.tenants.is_some(),
            workspace: others,
        }
    }

    /// Whether credentials are looked for in `source`.
    #[must_use]
    pub fn takes(&self, source: Source) -> bool {
        self.sources.contains(&source)
    }
}
