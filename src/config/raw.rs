//! The settings of the Worker and of a site, as they are written. The comments become descriptions
//! in the JSON schema.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::label_studio::RawLabelStudio;
use crate::config::reader::{Field, table};
use crate::jose::hmac::HmacAlgorithm;
use crate::site::config::{Log, LogAddress, LogPath};

table! {
    /// `EDGEWARD`.
    pub struct RawEdgeward {
        /// The `iss` of every token that Edgeward issues.
        pub(super) issuer: Field<String>,
        /// How many seconds an isolate may use what it has read about a user: 1 to 60.
        pub(super) user_cache: Field<u32>,
        /// For how many days the audit log of a month is kept after its end: 1 to 3650.
        pub(super) audit_days: Field<u32>,
        /// What is logged.
        pub(super) log: Field<Log>,
        /// What the log tells of a path, which may hold personal data.
        pub(super) log_path: Field<LogPath>,
        /// What the log tells of a client's address.
        pub(super) log_address: Field<LogAddress>,
    }
}

table! {
    /// `EDGEWARD_SITE_…`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["hosts", "upstream", "sources"])))]
    pub struct RawSite {
        /// The public hosts: `host` or `host:port`; each followed by the same path, as `host/studio`, for a
        /// site below one.
        pub(super) hosts: Field<Vec<String>>,
        /// The origin: `https://host` or `https://host:port`, with a path if the application lives
        /// below one; `http://` to loopback hosts only.
        pub(super) upstream: Field<String>,
        /// The name at the top of each page; defaults to the first of `hosts`.
        pub(super) name: Field<String>,
        /// The logo: an https URL, or a `data:` URL of an image.
        pub(super) logo: Field<String>,
        /// The colour of buttons: `#rrggbb`.
        pub(super) accent: Field<String>,
        /// Where people get help: an https URL, or an e-mail address.
        pub(super) contact: Field<String>,
        /// The language of the pages (BCP 47); that of the browser, if it is left out.
        pub(super) language: Field<String>,
        /// Texts of the pages in place of ours, by name.
        pub(super) texts: Field<BTreeMap<String, String>>,
        /// The path, within the site, below which Edgeward's own endpoints live.
        pub(super) endpoints: Field<String>,
        /// Allows `http://` to any origin.
        pub(super) upstream_plaintext: Field<bool>,
        /// The `Host` header that the origin receives.
        pub(super) host_header: Field<crate::site::HostHeader>,
        /// Whether headers that name the public origin name the upstream's to the origin, and the other
        /// way round. Only with `host_header = "rewrite"`.
        pub(super) translate: Field<bool>,
        /// Which paths the origin is sent: each as it came if all servers read it alike, as far as
        /// rules tell; or only those without ambiguous bytes, in their canonical form.
        pub(super) paths: Field<crate::site::Paths>,
        /// Whether the origin tells upper from lower case in paths; rules then do as well.
        pub(super) path_case: Field<crate::site::PathCase>,
        /// The `aud` of this site's tokens; defaults to the first of `hosts`.
        pub(super) audience: Field<String>,
        /// Where credentials are accepted, in order of precedence.
        pub(super) sources: Field<Vec<crate::site::Source>>,
        /// What an anonymous client gets where signing in is required. Without `rules`, also who is
        /// allowed.
        pub(super) unauthenticated: Field<RawUnauthenticated>,
        /// Who may do what. The first rule that matches decides; if none matches, everyone is
        /// denied.
        pub(super) rules: Field<Vec<Field<crate::config::rules::RawRule>>>,
        /// Which pages of other origins may read responses.
        pub(super) cors: Field<RawCors>,
        /// Where browsers sign in instead of at `login_url`: at the SSO gateway, or at one of `providers`.
        pub(super) login: Field<RawLogin>,
        /// With `login = "gateway"`: which of its methods count here, as `amr` of a rule names them; all, if it is left out.
        pub(super) amr: Field<Vec<String>>,
        /// Your application's sign-in page.
        pub(super) login_url: Field<String>,
        /// The query parameter of `login_url` that receives the URL to return to.
        pub(super) return_parameter: Field<String>,
        /// Where a browser is sent after signing out.
        pub(super) logout_url: Field<String>,
        /// Whether an open WebSocket is closed once the request that opened it would no longer pass.
        pub(super) close_websockets: Field<bool>,
        /// Other origins whose pages may act with this site's cookies.
        pub(super) trusted_origins: Field<Vec<String>>,
        /// Origins that may show pages of this site in a frame.
        pub(super) frame_ancestors: Field<Vec<String>>,
        /// Whether a page in a frame leads to the sign-in page too, instead of showing a button that opens it in the whole
        /// window. For sign-in pages that may be framed.
        pub(super) login_in_frames: Field<bool>,
        /// What a request over plain http gets at a public host: a redirect to https, or the same as over https.
        pub(super) http: Field<crate::site::PlainHttp>,
        /// The value of `Strict-Transport-Security`, or `off`.
        pub(super) hsts: Field<String>,
        /// Whether a token of another user or of a later sign-in takes precedence over the session.
        pub(super) newer_sign_in: Field<bool>,
        /// Whether a token for an unknown address creates a user.
        pub(super) auto_create_users: Field<bool>,
        /// Edgeward's own cookie.
        pub(super) session: Field<RawSession>,
        /// The SSO tokens that Edgeward issues.
        pub(super) sso_token: Field<RawSsoToken>,
        /// The cookie in which your application hands over a token.
        pub(super) sso_cookie: Field<RawSsoCookie>,
        /// The query parameter in which your application hands over a token.
        pub(super) query: Field<RawQuery>,
        /// Predefined sets of headers that tell the origin who is asking.
        pub(super) identity_headers: Field<Vec<crate::site::Preset>>,
        /// More such headers: the name, and the property of the user.
        pub(super) custom_headers: Field<BTreeMap<String, Field<crate::site::attribute::Attribute>>>,
        /// The character between roles in a header.
        pub(super) groups_separator: Field<String>,
        /// If a role contains that character: whether it is percent-encoded there, or the header is not sent.
        pub(super) separator_in_groups: Field<crate::site::SeparatorInGroups>,
        /// More headers that clients may not send: names, or prefixes followed by `*`.
        pub(super) reserved_headers: Field<Vec<String>>,
        /// Headers that clients may send to this origin, of those that are reserved unless named here.
        pub(super) client_headers: Field<Vec<String>>,
        /// The signed assertion for the origin.
        pub(super) assertion: Field<RawAssertion>,
        /// A fixed header for the origin.
        pub(super) upstream_credential: Field<RawUpstreamCredential>,
        /// The origin is Label Studio; Edgeward creates its users and signs them in.
        pub(super) label_studio: Field<RawLabelStudio>,
        /// Whether tokens that Edgeward issues itself are accepted, besides those of the issuers.
        pub(super) own_tokens: Field<bool>,
        /// Other issuers whose tokens are accepted: their names in lower case.
        pub(super) issuers: Field<Vec<String>>,
        /// The providers at which people sign in, with `login = "provider"`: their names in lower case.
        pub(super) providers: Field<Vec<String>>,
        /// Headers that carry tokens.
        pub(super) token_headers: Field<Vec<RawTokenHeader>>,
        /// Isolated groups of issuers and users.
        pub(super) tenants: Field<crate::config::tenant::RawTenants>,
    }
}

table! {
    /// `cors`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["origins", "credentials"])))]
    pub struct RawCors {
        /// The origins whose pages may read responses: `https://host` or `https://host:port`.
        pub(super) origins: Field<Vec<String>>,
        /// Whether their requests may carry cookies.
        pub(super) credentials: Field<bool>,
        /// The methods they may use.
        pub(super) methods: Field<Vec<String>>,
        /// The headers they may send.
        pub(super) headers: Field<Vec<String>>,
        /// The response headers that they may read.
        pub(super) expose: Field<Vec<String>>,
        /// How many seconds a browser may cache a preflight.
        pub(super) max_age: Field<u32>,
    }
}

/// `unauthenticated`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawUnauthenticated {
    /// Refuse the request.
    Deny,
    /// Redirect browsers to the application's sign-in page.
    Login,
    /// Forward the request as anonymous.
    Pass,
}

/// `login`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawLogin {
    /// The SSO gateway, `EDGEWARD_GATEWAY`.
    Gateway,
    /// The site's `providers`.
    Provider,
}

table! {
    /// `session`.
    pub struct RawSession {
        /// The name of the cookie; begins with `__Host-`, at a site below a path also with `__Secure-`.
        pub(super) cookie: Field<String>,
        /// The `SameSite` attribute.
        pub(super) same_site: Field<crate::site::SameSite>,
        /// The `Partitioned` attribute.
        pub(super) partitioned: Field<bool>,
        /// Seconds without a request after which the session ends.
        pub(super) idle: Field<u32>,
        /// Seconds after which the session ends in any case.
        pub(super) absolute: Field<u32>,
    }
}

table! {
    /// `sso_token`.
    pub struct RawSsoToken {
        /// The lifetime in seconds.
        pub(super) lifetime: Field<u32>,
        /// The longest accepted lifetime in seconds.
        pub(super) max_lifetime: Field<u32>,
        /// The only accepted algorithm.
        pub(super) algorithm: Field<HmacAlgorithm>,
        /// The claim with the user's id, in addition to `sub`.
        pub(super) user_id_claim: Field<String>,
        /// The status of `POST /api/sso/token` for an unknown user: 404 or 422.
        pub(super) unknown_user_status: Field<u16>,
    }
}

table! {
    /// `sso_cookie`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["name"])))]
    pub struct RawSsoCookie {
        /// The name of the cookie.
        pub(super) name: Field<String>,
        /// The `Path` attribute.
        pub(super) path: Field<String>,
        /// The `Domain` attribute.
        pub(super) domain: Field<String>,
        /// The `Secure` attribute.
        pub(super) secure: Field<bool>,
        /// The `HttpOnly` attribute.
        pub(super) http_only: Field<bool>,
        /// The `SameSite` attribute.
        pub(super) same_site: Field<crate::site::SameSite>,
        /// The `Partitioned` attribute.
        pub(super) partitioned: Field<bool>,
        /// Whether the cookie stays until its token has expired or ended, instead of being cleared once a session is open.
        pub(super) keep: Field<bool>,
    }
}

table! {
    /// `query`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["single_use", "user_switch"])))]
    pub struct RawQuery {
        /// The query parameter.
        pub(super) parameter: Field<String>,
        /// How many seconds after it was issued a link works.
        pub(super) max_age: Field<u32>,
        /// Whether a link works only once.
        pub(super) single_use: Field<bool>,
        /// What a link for another user does while somebody is signed in.
        pub(super) user_switch: Field<crate::site::UserSwitch>,
        /// What a link from another site does while nobody is signed in.
        pub(super) stranger_link: Field<crate::site::StrangerLink>,
    }
}

table! {
    /// `assertion`.
    pub struct RawAssertion {
        /// The name of the header.
        pub(super) header: Field<String>,
        /// The `aud` claim; defaults to the upstream.
        pub(super) audience: Field<String>,
        /// The lifetime in seconds.
        pub(super) lifetime: Field<u32>,
        /// The signature algorithm: ES256, RS256 or `EdDSA`.
        pub(super) algorithm: Field<crate::platform::algorithm::Algorithm>,
        /// Claims of another issuer's token that the assertion repeats.
        pub(super) claims: Field<Vec<String>>,
        /// What `sub` is: the id of the user's record, the user's address, or the `sub` of the issuer's token.
        pub(super) subject: Field<crate::site::AssertionSubject>,
        /// The text before the assertion in its header, such as `Bearer `.
        pub(super) prefix: Field<String>,
    }
}

table! {
    /// One of `token_headers`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["name"])))]
    pub struct RawTokenHeader {
        /// The name of the header.
        pub(super) name: Field<String>,
        /// The text before the token.
        pub(super) prefix: Field<String>,
    }
}

table! {
    /// `upstream_credential`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["header", "secret"])))]
    pub struct RawUpstreamCredential {
        /// The name of the header.
        pub(super) header: Field<String>,
        /// The name of the Worker secret with its value.
        pub(super) secret: Field<String>,
    }
}
