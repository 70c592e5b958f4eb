//! The tables of settings of the Worker and of a site, as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::label_studio::RawLabelStudio;
use crate::config::reader::{Field, table};
use crate::jose::hmac::HmacAlgorithm;
use crate::site::config::Log;

table! {
    /// `EDGEWARD`.
    pub struct RawEdgeward {
        /// `iss` of every token.
        pub(super) issuer: Field<String>,
        /// How many seconds an isolate may go on with what it knows of a user, 1 to 60.
        pub(super) user_cache: Field<u32>,
        /// What is logged.
        pub(super) log: Field<Log>,
    }
}

table! {
    /// `EDGEWARD_SITE_…`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["hosts", "upstream", "sources"])))]
    pub struct RawSite {
        /// The public hosts, `host` or `host:port`.
        pub(super) hosts: Field<Vec<String>>,
        /// The origin, `https://host` or `https://host:port`; `http://` only to this machine.
        pub(super) upstream: Field<String>,
        /// Allows `http://` to any origin.
        pub(super) upstream_plaintext: Field<bool>,
        /// The `Host` that the origin sees.
        pub(super) host_header: Field<crate::site::HostHeader>,
        /// `aud` of this site's tokens; without it, the first host.
        pub(super) audience: Field<String>,
        /// Where credentials are looked for, in this order.
        pub(super) sources: Field<Vec<crate::site::Source>>,
        /// What a client gets that is not signed in and would have to be. Without rules: who passes.
        pub(super) unauthenticated: Field<RawUnauthenticated>,
        /// Who may do what; the first rule that matches decides, and none lets nobody pass.
        pub(super) rules: Field<Vec<Field<crate::config::rules::RawRule>>>,
        /// Which pages of other origins may read answers.
        pub(super) cors: Field<RawCors>,
        /// Your application's sign-in page.
        pub(super) login_url: Field<String>,
        /// The query parameter of `login_url` that gets the address to return to.
        pub(super) return_parameter: Field<String>,
        /// Where a browser goes after signing out.
        pub(super) logout_url: Field<String>,
        /// Origins whose pages may act with this site's cookies.
        pub(super) trusted_origins: Field<Vec<String>>,
        /// Who may show pages of this site in a frame.
        pub(super) frame_ancestors: Field<Vec<String>>,
        /// Whether a token for an unknown address makes a user.
        pub(super) auto_create_users: Field<bool>,
        /// Edgeward's own cookie.
        pub(super) session: Field<RawSession>,
        /// SSO tokens.
        pub(super) sso_token: Field<RawSsoToken>,
        /// The cookie in which your application hands a token over.
        pub(super) sso_cookie: Field<RawSsoCookie>,
        /// The link in which your application hands a token over.
        pub(super) query: Field<RawQuery>,
        /// Sets of headers that tell the origin who is asking.
        pub(super) identity_headers: Field<Vec<crate::site::Preset>>,
        /// More such headers: name and field.
        pub(super) custom_headers: Field<BTreeMap<String, crate::site::attribute::Attribute>>,
        /// More headers that clients may not send: names, or beginnings of names with `*` after them.
        pub(super) reserved_headers: Field<Vec<String>>,
        /// The signed assertion for the origin.
        pub(super) assertion: Field<RawAssertion>,
        /// A fixed header for the origin.
        pub(super) upstream_credential: Field<RawUpstreamCredential>,
        /// The origin is Label Studio: its users are made and signed in there.
        pub(super) label_studio: Field<RawLabelStudio>,
        /// Other issuers whose tokens count: their names, in small letters.
        pub(super) issuers: Field<Vec<String>>,
        /// Headers in which tokens come.
        pub(super) token_headers: Field<Vec<RawTokenHeader>>,
        /// Groups of issuers and users that are kept apart.
        pub(super) tenants: Field<crate::config::tenant::RawTenants>,
    }
}

table! {
    /// `cors`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["origins", "credentials"])))]
    pub struct RawCors {
        /// The origins whose pages may read answers, each in full: `https://host` or `https://host:port`.
        pub(super) origins: Field<Vec<String>>,
        /// Whether their requests may carry cookies.
        pub(super) credentials: Field<bool>,
        /// The methods they may use.
        pub(super) methods: Field<Vec<String>>,
        /// The headers they may send.
        pub(super) headers: Field<Vec<String>>,
        /// The headers of answers that they may read.
        pub(super) expose: Field<Vec<String>>,
        /// For how many seconds a browser may go on without asking again.
        pub(super) max_age: Field<u32>,
    }
}

/// `unauthenticated`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RawUnauthenticated {
    /// Refuse.
    Deny,
    /// Send a browser to the application's sign-in page.
    Login,
    /// Forward as anonymous.
    Pass,
}

table! {
    /// `session`.
    pub struct RawSession {
        /// Its name; begins with `__Host-`.
        pub(super) cookie: Field<String>,
        /// Its `SameSite`.
        pub(super) same_site: Field<crate::site::SameSite>,
        /// Its `Partitioned`.
        pub(super) partitioned: Field<bool>,
        /// Seconds after which it ends without a request.
        pub(super) idle: Field<u32>,
        /// Seconds after which it ends in any case.
        pub(super) absolute: Field<u32>,
    }
}

table! {
    /// `sso_token`.
    pub struct RawSsoToken {
        /// How many seconds it lives.
        pub(super) lifetime: Field<u32>,
        /// The longest lifetime that is accepted, in seconds.
        pub(super) max_lifetime: Field<u32>,
        /// The only algorithm that is accepted.
        pub(super) algorithm: Field<HmacAlgorithm>,
        /// The claim with the user's id, besides `sub`.
        pub(super) user_id_claim: Field<String>,
    }
}

table! {
    /// `sso_cookie`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["name"])))]
    pub struct RawSsoCookie {
        /// Its name.
        pub(super) name: Field<String>,
        /// Its `Path`.
        pub(super) path: Field<String>,
        /// Its `Domain`.
        pub(super) domain: Field<String>,
        /// Its `Secure`.
        pub(super) secure: Field<bool>,
        /// Its `HttpOnly`.
        pub(super) http_only: Field<bool>,
        /// Its `SameSite`.
        pub(super) same_site: Field<crate::site::SameSite>,
        /// Its `Partitioned`.
        pub(super) partitioned: Field<bool>,
    }
}

table! {
    /// `query`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["single_use", "user_switch"])))]
    pub struct RawQuery {
        /// The query parameter.
        pub(super) parameter: Field<String>,
        /// For how many seconds after its making a link works.
        pub(super) max_age: Field<u32>,
        /// Whether a link counts only once.
        pub(super) single_use: Field<bool>,
        /// What a link of another user does while somebody is signed in.
        pub(super) user_switch: Field<crate::site::UserSwitch>,
        /// What a link does that another site led to, while nobody is signed in.
        pub(super) stranger_link: Field<crate::site::StrangerLink>,
    }
}

table! {
    /// `assertion`.
    pub struct RawAssertion {
        /// The name of the header.
        pub(super) header: Field<String>,
        /// Its `aud`; without it, the upstream.
        pub(super) audience: Field<String>,
        /// How many seconds it lives.
        pub(super) lifetime: Field<u32>,
        /// What it is signed with: ES256, RS256 or `EdDSA`.
        pub(super) algorithm: Field<crate::platform::algorithm::Algorithm>,
        /// Claims of another issuer's token that it repeats.
        pub(super) claims: Field<Vec<String>>,
    }
}

table! {
    /// One of `token_headers`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["name"])))]
    pub struct RawTokenHeader {
        /// The name of the header.
        pub(super) name: Field<String>,
        /// What stands before the token.
        pub(super) prefix: Field<String>,
    }
}

table! {
    /// `upstream_credential`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["header", "secret"])))]
    pub struct RawUpstreamCredential {
        /// The name of the header.
        pub(super) header: Field<String>,
        /// The name of the Worker secret that is its value.
        pub(super) secret: Field<String>,
    }
}
