//! The settings of the SSO gateway, as they are written.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::brand::{self, RawBrand};
use crate::config::named::Tables;
use crate::config::raw::{RawSession, RawUnauthenticated};
use crate::config::reader::{Bindings, Field, Reader, table};
use crate::config::{mounts, provider, rules, site};
use crate::http::reserved::Reserved;
use crate::model::service::{Identity, ServiceId};
use crate::model::user::Email;
use crate::site::gateway::Gateway;
use crate::site::mount::{ENDPOINTS, Neighbours};
use crate::site::provider::Provider;
use crate::site::{HostHeader, Paths, SeparatorInGroups, Site, Source};

/// The name of the gateway among the sites.
pub const NAME: &str = "gateway";

table! {
    /// `EDGEWARD_GATEWAY`.
    #[cfg_attr(feature = "schema", schemars(extend("required" = ["hosts"])))]
    pub struct RawGateway {
        /// The public hosts of the gateway; nothing else is served there.
        pub(super) hosts: Field<Vec<String>>,
        /// What services call a user: `email` or `username`.
        pub(super) identity: Field<Identity>,
        /// The name at the top of each page; defaults to the first host.
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
        /// Origins that may show the gateway's pages in a frame.
        pub(super) frame_ancestors: Field<Vec<String>>,
        /// What a request over plain http gets at a public host: a redirect to https, or the same as over https.
        pub(super) http: Field<crate::site::PlainHttp>,
        /// The value of `Strict-Transport-Security`, or `off`.
        pub(super) hsts: Field<String>,
        /// The gateway's own cookie.
        pub(super) session: Field<RawSession>,
        /// The providers at which people may sign in, by their names in lower case.
        pub(super) providers: Field<Vec<String>>,
        /// Whether people may sign in with a password.
        pub(super) passwords: Field<bool>,
        /// Allows services on `http` and on private hosts. For development only.
        pub(super) development: Field<bool>,
        /// The id of the service that receives the links to set a password. Its dialect must be `webhook`.
        pub(super) link_service: Field<String>,
        /// The address from which links to set a password are mailed, by the binding `EDGEWARD_EMAIL`.
        pub(super) mail_from: Field<String>,
        /// Lets people sign in with passkeys.
        pub(super) passkeys: Field<RawPasskeys>,
    }
}

table! {
    /// `passkeys` of the gateway.
    pub struct RawPasskeys {
        /// Where passkeys are valid: a host of the gateway, or a domain above one; defaults to the first host. Passkeys of
        /// another rp id cannot be used.
        pub(super) rp_id: Field<String>,
    }
}

/// Validates `raw`; errors go to `reader`. To the rest of the core, the gateway is a site without an origin.
#[expect(clippy::too_many_lines, reason = "one field of the site after another")]
pub(super) fn read(
    raw: RawGateway,
    bindings: &Bindings,
    providers: &Tables<Provider>,
    reader: &mut Reader<'_>,
) -> Option<Site> {
    reader.reject_unknown(&raw.unknown);
    let hosts = mounts::read_whole_hosts(reader, raw.hosts);
    let first_host = hosts.iter().flatten().next();
    let first_host = first_host.cloned().unwrap_or_default();
    let identity = reader.with_default("identity", raw.identity, Identity::Email);
    let brand = brand::read(
        RawBrand {
            name: raw.name,
            logo: raw.logo,
            accent: raw.accent,
            contact: raw.contact,
            language: raw.language,
            texts: raw.texts,
        },
        &first_host,
        reader,
    );
    let frame_ancestors = site::read_origins(reader, "frame_ancestors", raw.frame_ancestors);
    let (http, hsts) = site::read_transport(reader, raw.http, raw.hsts);
    let session = site::read_session(reader, raw.session, NAME, "");
    let providers = provider::providers_named(raw.providers, providers, reader);
    let passwords = reader.with_default("passwords", raw.passwords, true);
    reader.check(
        "passwords",
        passwords || providers.as_ref().is_none_or(|given| !given.is_empty()),
        "must not be false without providers: nobody could sign in",
    );
    let development = reader.with_default("development", raw.development, false);
    let (link_service, mail_from) = read_ways(raw.link_service, raw.mail_from, reader);
    let passkeys = read_passkeys(raw.passkeys, hosts.as_deref().unwrap_or_default(), reader);
    let around = rules::Around {
        binding: "GATEWAY",
        hosts: hosts.as_deref().unwrap_or_default(),
        has_login: false,
        has_cors: false,
        ignores_case: false,
        bindings,
    };
    let deny = Field::Given(RawUnauthenticated::Deny);
    let rules = rules::read(reader, Field::Absent, deny, &around);
    Some(Site {
        name: NAME.to_owned(),
        number: 0,
        hosts: hosts?,
        mount: String::new(),
        address: first_host.clone(),
        brand,
        endpoints: ENDPOINTS.to_owned(),
        neighbours: Neighbours::default(),
        upstream: None,
        base: String::new(),
        gateway: Some(Gateway {
            identity,
            passwords,
            development,
            link_service,
            mail_from,
            passkeys,
        }),
        host_header: HostHeader::Rewrite,
        translate: false,
        // Its own paths need no other.
        paths: Paths::Strict,
        audience: first_host,
        link_ages: BTreeMap::new(),
        sources: vec![Source::Session],
        rules: rules?,
        cors: None,
        login: None,
        methods: Vec::new(),
        logout_url: None,
        close_websockets: true,
        trusted_origins: Vec::new(),
        frame_ancestors,
        login_in_frames: false,
        http,
        hsts,
        newer_sign_in: true,
        auto_create_users: false,
        session,
        room: 0,
        sso_token: site::read_sso_token(reader, Field::Absent),
        sso_cookie: None,
        query: None,
        presets: Vec::new(),
        custom_headers: Vec::new(),
        sends_access_token: false,
        groups_separator: ',',
        separator_in_groups: SeparatorInGroups::default(),
        assertion: None,
        upstream_credential: None,
        profile: None,
        own_tokens: true,
        issuers: Vec::<Rc<_>>::new(),
        providers: providers.unwrap_or_default(),
        token_headers: Vec::new(),
        tenants: None,
        reserved_headers: Vec::new(),
        client_headers: Vec::new(),
        reserved: Reserved::default(),
        used_claims: Vec::new(),
    })
}

/// The ways to send links to set a password.
fn read_ways(
    link_service: Field<String>,
    mail_from: Field<String>,
    reader: &mut Reader<'_>,
) -> (Option<ServiceId>, Option<Email>) {
    let service = reader.optional("link_service", link_service);
    let service = service.map(|text| ServiceId::parse(&text));
    reader.check(
        "link_service",
        service != Some(None),
        "must be the id of a service: svc_ and 22 characters",
    );
    let from = reader.optional("mail_from", mail_from);
    let from = from.map(|text| Email::parse(&text));
    reader.check(
        "mail_from",
        from != Some(None),
        "must be an e-mail address, without a name",
    );
    (service.flatten(), from.flatten())
}

/// The rp id, if there are passkeys. An address is none (Web Authentication Level 3, §5.1.3), nor is a top-level domain.
fn read_passkeys(
    raw: Field<RawPasskeys>,
    hosts: &[String],
    reader: &mut Reader<'_>,
) -> Option<String> {
    let raw = reader.optional("passkeys", raw)?;
    let names = hosts.iter().filter_map(|host| host.split(':').next());
    let first = names.clone().next().unwrap_or_default().to_owned();
    let mut reader = reader.table("passkeys");
    reader.reject_unknown(&raw.unknown);
    let rp_id = reader.with_default("rp_id", raw.rp_id, first);
    let covers = |host: &str| {
        let below = host.strip_suffix(rp_id.as_str());
        below.is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
    };
    let last = rp_id.rsplit('.').next().unwrap_or_default();
    let is_name = last.bytes().any(|b| b.is_ascii_lowercase());
    let is_domain = rp_id == "localhost" || (rp_id.contains('.') && is_name);
    reader.check(
        "rp_id",
        hosts.is_empty() || (is_domain && names.into_iter().any(covers)),
        "must be a host of the gateway or a domain above one, and not an address",
    );
    Some(rp_id)
}
