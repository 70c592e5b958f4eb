//! The validated configuration: sites and what belongs to them. Nothing here reads a setting.

pub mod attribute;
pub mod config;
pub mod cors;
pub mod disclosure;
pub mod gateway;
pub mod issuer;
pub mod label_studio;
pub mod mount;
pub mod profile;
pub mod provider;
pub mod tenant;
pub mod translate;
pub mod words;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Deserialize;

use crate::http::reserved::Reserved;
use crate::jose::hmac::HmacAlgorithm;
use crate::model::claim::leads_through;
use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;
use crate::rules::requirement::{Provided, Requirement};
use crate::rules::{Rule, Rules};
use attribute::Attribute;
use cors::Cors;
use gateway::Gateway;
use issuer::Issuer;
use mount::Neighbours;
use profile::Profile;
use provider::Provider;
use tenant::Tenants;
use translate::{Place, Translation};
use words::Brand;

/// A validated site.
#[derive(Debug)]
pub struct Site {
    /// The binding's name after `EDGEWARD_SITE_`, in lower case.
    pub name: String,
    /// Its place among all sites, from 1.
    pub number: u16,
    /// In their canonical form.
    pub hosts: Vec<String>,
    /// The path below which the site lives at each of its hosts, as `/studio`; empty for a whole host.
    pub mount: String,
    /// Its first host and its mount, as people know the site.
    pub address: String,
    /// How its pages look.
    pub brand: Brand,
    /// The path below which our own endpoints live, within the mount.
    pub endpoints: String,
    /// What the other sites at its hosts keep in cookies.
    pub neighbours: Neighbours,
    /// Scheme and authority of the origin. The gateway has none.
    pub upstream: Option<String>,
    /// The path at the origin that stands for the mount, as `/app`; may be empty.
    pub base: String,
    /// Of the SSO gateway, which is a site without an origin.
    pub gateway: Option<Gateway>,
    /// The `Host` header that the origin receives.
    pub host_header: HostHeader,
    /// Whether the public name and the upstream's are translated where the origin sees its own.
    pub translate: bool,
    /// Which paths the origin is sent.
    pub paths: Paths,
    /// The `aud` of this site's tokens.
    pub audience: String,
    /// By issuer, how long a token may be used as a link at any site that accepts it.
    pub link_ages: BTreeMap<String, Seconds>,
    /// In order of precedence.
    pub sources: Vec<Source>,
    pub rules: Rules,
    pub cors: Option<Cors>,
    pub login: Option<Login>,
    /// By which of the gateway's methods people sign in here; by any, if there is none. Each rule asks for one of them.
    pub methods: Vec<String>,
    /// Where a browser is sent after signing out.
    pub logout_url: Option<String>,
    /// Whether the open WebSocket of a signed-in user is closed when its request would no longer pass.
    pub close_websockets: bool,
    /// Other origins whose pages may act with this site's cookies.
    pub trusted_origins: Vec<String>,
    /// Origins that may frame Edgeward's pages and those of the origin.
    pub frame_ancestors: Vec<String>,
    /// Whether frames are sent to the sign-in page too, instead of being shown a button for it.
    pub login_in_frames: bool,
    /// What a request over plain http gets at a public host.
    pub http: PlainHttp,
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1).
    pub hsts: Option<String>,
    /// Whether a session makes way for a token of another user or of a later sign-in.
    pub newer_sign_in: bool,
    /// Whether a token for an unknown address creates a user.
    pub auto_create_users: bool,
    /// Edgeward's own cookie.
    pub session: Session,
    /// The most bytes of JSON of what a token adds that its cookies have room for; of the gateway, also those of its sites.
    pub room: usize,
    /// Edgeward's SSO tokens.
    pub sso_token: SsoToken,
    pub sso_cookie: Option<SsoCookie>,
    pub query: Option<Query>,
    pub presets: Vec<Preset>,
    pub custom_headers: Vec<(String, Attribute)>,
    /// Whether one of them is the provider's access token.
    pub sends_access_token: bool,
    /// What stands between the roles in a header.
    pub groups_separator: char,
    pub separator_in_groups: SeparatorInGroups,
    /// The signed assertion for the origin.
    pub assertion: Option<Assertion>,
    /// A fixed header for the origin, by name.
    pub upstream_credential: Option<(String, UpstreamCredential)>,
    /// The application behind the site, if it needs special treatment.
    pub profile: Option<Profile>,
    /// Whether tokens that Edgeward issues are accepted, besides those of the issuers.
    pub own_tokens: bool,
    /// Other issuers whose tokens the site accepts.
    pub issuers: Vec<Rc<Issuer>>,
    /// The providers at whose pages people sign in here; at a site that uses the gateway, those of the gateway.
    pub providers: Vec<Rc<Provider>>,
    pub token_headers: Vec<TokenHeader>,
    pub tenants: Option<Tenants>,
    /// Those that this site adds, as configured.
    pub reserved_headers: Vec<String>,
    /// Headers that clients may send to this origin although other sites reserve them.
    pub client_headers: Vec<String>,
    /// All that clients may not send to this site, besides the fixed ones.
    pub reserved: Reserved,
    /// The claims of other issuers' tokens that rules, headers and assertion are about.
    pub used_claims: Vec<Box<str>>,
}

impl Site {
    /// Whether an issuer of the site says whose API keys are.
    #[must_use]
    pub fn takes_keys_of_others(&self) -> bool {
        let mut issuers = self.all_issuers().iter();
        self.takes(Source::ApiKey) && issuers.any(|issuer| issuer.verification.is_some())
    }
}

/// A header that carries tokens.
#[derive(Debug)]
pub struct TokenHeader {
    /// In lower case.
    pub name: String,
    /// The text before the token; may be empty.
    pub prefix: String,
}

impl TokenHeader {
    /// The token in a header value; `None` if the value has another form.
    #[must_use]
    pub fn token<'a>(&self, value: &'a str) -> Option<&'a str> {
        let value = value.trim();
        let (head, token) = value.split_at_checked(self.prefix.len())?;
        let token = token.trim();
        (head.eq_ignore_ascii_case(&self.prefix) && !token.is_empty()).then_some(token)
    }
}

/// The value of a fixed header. Its `Debug` output does not show it.
pub struct UpstreamCredential(pub String);

impl std::fmt::Debug for UpstreamCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamCredential")
    }
}

/// Where a credential may be presented.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Edgeward's own cookie.
    Session,
    /// A cookie that the application sets.
    SsoCookie,
    /// A query parameter.
    Query,
    /// `Authorization: Bearer`.
    Bearer,
    /// A header that the site names.
    Header,
    /// `x-api-key` or `Authorization`, with an API token that acts as a user, or a key that an issuer verifies.
    ApiKey,
}

impl Source {
    /// Its name, as in the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::SsoCookie => "sso_cookie",
            Self::Query => "query",
            Self::Bearer => "bearer",
            Self::Header => "header",
            Self::ApiKey => "api_key",
        }
    }
}

/// The `Host` header that the origin receives.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum HostHeader {
    /// The upstream's host.
    Rewrite,
    /// The public host.
    Preserve,
}

/// Which paths the origin is sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Paths {
    /// Every path as it came, if all its readings lead to the same rule.
    Unchanged,
    /// Only paths that all servers read alike, in their canonical form.
    Strict,
}

/// What a request over plain http gets at a public host.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PlainHttp {
    /// A redirect to https, or a refusal.
    Redirect,
    /// The same as over https.
    Serve,
}

/// Whether the origin tells upper from lower case in paths.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PathCase {
    /// It does.
    Matters,
    /// It does not.
    Ignored,
}

/// The `SameSite` attribute (RFC 6265bis §4.1.2.7).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// `Strict`.
    Strict,
    /// `Lax`.
    Lax,
    /// `None`.
    None,
}

/// What a link for another user does while somebody is signed in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UserSwitch {
    /// Asks first, unless the link was followed on this site itself.
    Confirm,
    /// Switches.
    Replace,
}

/// What a link from another site does while nobody is signed in and this site did not send the
/// browser to sign in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StrangerLink {
    /// Asks first.
    Ask,
    /// Signs in.
    Allow,
}

/// A predefined set of identity headers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// `x-forwarded-user`, `-email`, `-groups`, `-preferred-username`.
    XForwarded,
    /// `remote-user`, `-email`, `-name`, `-groups`. The first is the e-mail address: usernames are
    /// not unique.
    Remote,
}

/// What becomes of a header with roles if one of them contains the separator.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SeparatorInGroups {
    /// The separator is percent-encoded in the role.
    #[default]
    Encode,
    /// The header is not sent.
    Refuse,
}

/// Where a browser is sent to sign in.
#[derive(Debug)]
pub enum Login {
    /// The application's sign-in page.
    Page {
        url: String,
        /// The query parameter with the URL to return to.
        return_parameter: String,
    },
    /// The sign-in page of the SSO gateway.
    Gateway,
    /// The page of a provider, or a page of the site that lists them.
    Provider,
}

/// Edgeward's own cookie.
#[derive(Debug)]
pub struct Session {
    pub cookie: String,
    /// The name of the cookie that records from where somebody was sent to sign in.
    pub trip: String,
    /// The name of the cookie with the browser's id.
    pub browser: String,
    /// The name of the cookie that proves that a user has signed in here before.
    pub device: String,
    /// What the names of the cookies begin with that hold sign-ins at a provider which are under way.
    pub attempts: String,
    pub same_site: SameSite,
    pub partitioned: bool,
    /// Ends after this time without a request.
    pub idle: Seconds,
    /// Ends after this time in any case.
    pub absolute: Seconds,
}

impl Session {
    /// How old a session's cookie is when it is renewed, and how often a provider is asked that renews sessions.
    #[must_use]
    pub const fn renewal_interval(&self) -> Seconds {
        Seconds(self.idle.0 / 2)
    }
}

/// Edgeward's SSO tokens.
#[derive(Debug)]
pub struct SsoToken {
    /// `exp` − `iat` of tokens that we issue.
    pub lifetime: Seconds,
    /// The longest `exp` − `iat` that we accept.
    pub max_lifetime: Seconds,
    pub algorithm: HmacAlgorithm,
    /// The claim with the user's id, in addition to `sub`.
    pub user_id_claim: String,
    /// The status of the answer if no user has the address: 404 or 422.
    pub unknown_user_status: u16,
}

/// The application's cookie, with the attributes that the application gives it.
#[derive(Debug)]
pub struct SsoCookie {
    pub name: String,
    pub path: String,
    pub domain: Option<String>,
    pub secure: bool,
    pub http_only: bool,
    pub same_site: SameSite,
    pub partitioned: bool,
    /// Whether it stays until it expires, instead of being cleared once a session is open.
    pub keep: bool,
}

/// A query parameter.
#[derive(Debug)]
pub struct Query {
    pub parameter: String,
    /// How long after `iat` a link works.
    pub max_age: Seconds,
    /// Whether a link opens one session only.
    pub single_use: bool,
    pub user_switch: UserSwitch,
    pub stranger_link: StrangerLink,
}

/// The signed assertion for the origin.
#[derive(Debug)]
pub struct Assertion {
    pub header: String,
    /// The `aud` claim.
    pub audience: String,
    pub lifetime: Seconds,
    pub algorithm: Algorithm,
    /// Claims of other issuers' tokens that it repeats.
    pub claims: Vec<String>,
    pub subject: AssertionSubject,
    /// The text before it in its header.
    pub prefix: String,
}

/// What an assertion calls its subject.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AssertionSubject {
    /// The id of the user's record.
    #[serde(rename = "user_id")]
    UserId,
    /// The user's address.
    #[serde(rename = "email")]
    Email,
    /// The `sub` of the issuer's token.
    #[serde(rename = "claim:sub")]
    Claim,
}

impl Site {
    /// The path of our own endpoint `name` as a browser asks for it.
    #[must_use]
    pub fn own_path(&self, name: &str) -> String {
        [&self.mount, &self.endpoints, "/", name].concat()
    }

    /// The path of the site's first page.
    #[must_use]
    pub fn root_path(&self) -> String {
        [&self.mount, "/"].concat()
    }

    /// Scheme, authority and base path of the origin.
    #[must_use]
    pub fn upstream_url(&self) -> String {
        [self.upstream.as_deref().unwrap_or_default(), &self.base].concat()
    }

    /// The names of the cookies in which the site keeps what it knows of a browser.
    pub fn cookie_names(&self) -> impl Iterator<Item = &str> {
        let session = &self.session;
        [
            &session.cookie,
            &session.trip,
            &session.browser,
            &session.device,
        ]
        .into_iter()
        .map(String::as_str)
    }

    /// Where browsers send the site's own cookies. `__Host-` allows the whole host only (RFC 6265bis
    /// §4.1.3.2).
    #[must_use]
    pub fn cookie_path(&self) -> Cow<'static, str> {
        if self.mount.is_empty() || self.session.cookie.starts_with("__Host-") {
            return Cow::Borrowed("/");
        }
        Cow::Owned(self.mount.clone())
    }

    /// The headers that tell this site's origin who is asking, or that the request comes from
    /// Edgeward.
    pub(crate) fn identity_headers(&self) -> impl Iterator<Item = &str> {
        let custom = self
            .custom_headers
            .iter()
            .map(|(header, _)| header.as_str());
        // `Authorization` is what the site sets there only if the site itself says so: at another one with the same
        // origin it is between client and origin.
        let assertion = self.assertion_header();
        let both = assertion.into_iter().chain(self.credential_header());
        custom.chain(both.filter(|header| *header != "authorization"))
    }

    fn assertion_header(&self) -> Option<&str> {
        self.assertion
            .as_ref()
            .map(|assertion| assertion.header.as_str())
    }

    fn credential_header(&self) -> Option<&str> {
        self.upstream_credential
            .as_ref()
            .map(|(header, _)| header.as_str())
    }

    /// Reserves `names` and the headers of this site's own fixed credential and assertion. Those may be
    /// `Authorization`, which at another site is between client and origin.
    pub(crate) fn reserve(&mut self, names: &[String]) {
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        names.extend(self.credential_header());
        names.extend(self.assertion_header());
        names.extend(self.reserved_headers.iter().map(String::as_str));
        let own: &[&str] = self.profile.as_ref().map_or(&[], Profile::reserved);
        names.extend(own);
        self.reserved = Reserved::new(names).letting_through(&self.client_headers);
    }

    /// All issuers that the site accepts, in any tenant.
    #[must_use]
    pub fn all_issuers(&self) -> &[Rc<Issuer>] {
        self.tenants
            .as_ref()
            .map_or(&self.issuers, |tenants| &tenants.issuers)
    }

    /// The issuers whose tokens open sessions here: those of tokens that are presented, and the providers.
    pub fn speakers(&self) -> impl Iterator<Item = &Rc<Issuer>> {
        let providers = self.providers.iter().map(|provider| &provider.issuer);
        self.all_issuers().iter().chain(providers)
    }

    /// The providers at which people sign in at this very site; none where they do so at the gateway.
    #[must_use]
    pub fn own_providers(&self) -> &[Rc<Provider>] {
        let here = self.gateway.is_some() || matches!(self.login, Some(Login::Provider));
        if here { &self.providers } else { &[] }
    }

    /// The provider of this name among these.
    #[must_use]
    pub fn own_provider(&self, name: &str) -> Option<&Rc<Provider>> {
        let mut providers = self.own_providers().iter();
        providers.find(|provider| provider.name() == name)
    }

    /// The provider whose tokens have this issuer's name; at a site of the gateway, people sign in with it there.
    #[must_use]
    pub fn provider_of(&self, issuer: &str) -> Option<&Rc<Provider>> {
        let mut providers = self.providers.iter();
        providers.find(|provider| provider.name() == issuer)
    }

    /// What the issuers of this site, taken together, can state about a caller. Edgeward itself
    /// states only what is in the user's record.
    #[must_use]
    pub fn provides(&self) -> Provided {
        let others = self.speakers().next().is_some();
        Provided {
            scopes: others,
            claims: others,
            tenant: others || self.tenants.is_some(),
            workspace: others,
            sign_ins: others || matches!(self.login, Some(Login::Gateway)),
        }
    }

    /// Whether rules, headers or the assertion are about the claim of this name, or about a part of it.
    #[must_use]
    pub fn uses_claim(&self, name: &str) -> bool {
        self.used_claims
            .iter()
            .any(|path| leads_through(path, name))
    }

    /// Whether the origin knows its callers by the `sub` of their issuer.
    #[must_use]
    pub fn tells_subject(&self) -> bool {
        let assertion = self.assertion.as_ref();
        assertion.is_some_and(|assertion| assertion.subject == AssertionSubject::Claim)
    }

    /// Finds out which claims rules, headers and assertion are about.
    pub(crate) fn find_used_claims(&mut self) {
        let headers = self.custom_headers.iter();
        let in_headers = headers.filter_map(|(_, attribute)| match attribute {
            Attribute::Claim(path) => Some(path.as_str()),
            _ => None,
        });
        let rules = self.rules.iter();
        let in_rules = rules.filter_map(Rule::requirement);
        let in_rules = in_rules.flat_map(Requirement::claims);
        let assertion = self.assertion.iter();
        let in_assertion = assertion.flat_map(|assertion| &assertion.claims);
        let subject = self.tells_subject().then_some("sub");
        let used = in_headers
            .chain(in_rules)
            .chain(in_assertion.map(String::as_str))
            .chain(subject)
            .map(Into::into)
            .collect();
        self.used_claims = used;
    }

    /// Whether headers that say the public name get the upstream's, and the other way round.
    #[must_use]
    pub fn translates(&self) -> bool {
        self.translate && self.host_header == HostHeader::Rewrite
    }

    /// The names between which the headers of a request at `scheme://authority` and its response are translated;
    /// `None` where the site wants none.
    #[must_use]
    pub fn translation<'a>(
        &'a self,
        scheme: &'a str,
        authority: &'a str,
    ) -> Option<Translation<'a>> {
        let upstream = self.upstream.as_deref().filter(|_| self.translates())?;
        let public = Place::new(scheme, authority, &self.mount);
        let upstream = Place::at(upstream, &self.base)?;
        Some(Translation::between(public, upstream))
    }

    /// Whether the site accepts credentials from `source`.
    #[must_use]
    pub fn takes(&self, source: Source) -> bool {
        self.sources.contains(&source)
    }
}
