//! The settings of the SSO gateway, as they are written.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::config::named::Tables;
use crate::config::raw::{RawSession, RawUnauthenticated};
use crate::config::reader::{Bindings, Field, Reader, table};
use crate::config::{mounts, provider, rules, site};
use crate::http::reserved::Reserved;
use crate::model::service::{Identity, ServiceId};
use crate::model::user::Email;
use crate::site::gateway::{Brand, Gateway, TEXTS};
use crate::site::mount::{ENDPOINTS, Neighbours};
use crate::site::provider::Provider;
use crate::site::{HostHeader, Paths, SeparatorInGroups, Site, Source};

/// The name of the gateway among the sites.
pub const NAME: &str = "gateway";
/// Data URLs above this size would make every page slow.
const MAX_LOGO: usize = 32 * 1024;
const MAX_TEXT: usize = 500;

table! {
    /// `EDGEWARD_GATEWAY`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(extend("required" = ["hosts"])))]
    pub struct RawGateway {
        /// The public hosts of the gateway; nothing else is served there.
        pub(super) hosts: Field<Vec<String>>,
        /// What services call a user: `email` or `username`.
        pub(super) identity: Field<Identity>,
        /// The name at the top of each page; defaults to the first host.
        pub(super) name: Field<String>,
        /// The logo: an https URL, or a `data:` URL of an image.
        pub(super) logo: Field<String>,
        /// The colour of buttons and links: `#rrggbb`.
        pub(super) accent: Field<String>,
        /// The language of the pages (BCP 47).
        pub(super) language: Field<String>,
        /// Texts in place of the English ones.
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
    let name = reader.with_default("name", raw.name, first_host.clone());
    let shown = |text: &str| !text.trim().is_empty() && text.len() <= MAX_TEXT;
    reader.check(
        "name",
        hosts.is_none() || shown(&name),
        "must have 1 to 500 bytes",
    );
    let logo = reader.optional("logo", raw.logo);
    reader.check(
        "logo",
        logo.as_deref().is_none_or(is_logo),
        "must be an https URL, or a data: URL of an image, in base64 and at most 32 KB long",
    );
    let accent = reader.optional("accent", raw.accent);
    reader.check(
        "accent",
        accent.as_deref().is_none_or(is_readable_colour),
        "must be #rrggbb, with a contrast of at least 4.5 to white (WCAG 2.2, 1.4.3)",
    );
    let language = reader.with_default("language", raw.language, "en".to_owned());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    reader.check(
        "language",
        !language.is_empty() && language.len() <= 35 && language.bytes().all(plain),
        "is not a language tag",
    );
    let texts = reader.with_default("texts", raw.texts, BTreeMap::new());
    for (name, text) in &texts {
        let mut reader = reader.table("texts");
        let is_known = TEXTS.iter().any(|(known, _)| known == name);
        reader.check(name, is_known, "no such text");
        reader.check(name, text.len() <= MAX_TEXT, "must have at most 500 bytes");
    }
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
        endpoints: ENDPOINTS.to_owned(),
        neighbours: Neighbours::default(),
        upstream: None,
        base: String::new(),
        gateway: Some(Gateway {
            identity,
            brand: Brand {
                name,
                logo,
                accent,
                language,
                texts,
            },
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

fn is_logo(url: &str) -> bool {
    let plain = url
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"\"'<>;, ".contains(&b));
    let data = url
        .strip_prefix("data:image/")
        .is_some_and(|rest| url.len() <= MAX_LOGO && rest.contains("base64,"));
    data || (plain && url.len() <= 2048 && url.starts_with("https://"))
}

/// Whether white text on `colour` can be read: a contrast of 4.5 (WCAG 2.2, relative luminance).
fn is_readable_colour(colour: &str) -> bool {
    let is_hex = |digits: &&str| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let Some(digits) = colour.strip_prefix('#').filter(is_hex) else {
        return false;
    };
    let channel = |at: usize| -> Option<f64> {
        let value = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
        let value = f64::from(value) / 255.0;
        Some(if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        })
    };
    let (Some(red), Some(green), Some(blue)) = (channel(0), channel(2), channel(4)) else {
        return false;
    };
    let luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    1.05 / (luminance + 0.05) >= 4.5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_that_white_text_can_be_read_on_are_taken() {
        for fine in ["#000000", "#0b57d0", "#767676"] {
            assert!(is_readable_colour(fine), "{fine}");
        }
        for bad in [
            "", "#fff", "#ffffff", "#777777", "red", "#12345g", "#+1+2+3", "#ffd700",
        ] {
            assert!(!is_readable_colour(bad), "{bad}");
        }
    }

    #[test]
    fn a_logo_is_loaded_from_https_or_is_in_the_page() {
        assert!(is_logo("https://cdn.example.com/logo.svg"));
        assert!(is_logo("data:image/svg+xml;base64,PHN2Zy8+"));
        for bad in [
            "http://cdn.example.com/logo.svg",
            "https://cdn.example.com/a;b",
            "javascript:alert(1)",
            "data:text/html;base64,PHN2Zy8+",
            "//cdn.example.com/logo.svg",
        ] {
            assert!(!is_logo(bad), "{bad}");
        }
    }
}
