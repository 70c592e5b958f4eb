//! Reads and validates one site: public hosts, or a path at them, in front of one origin.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::ask::source::ATTEMPT;
use crate::config::brand::{self, RawBrand};
use crate::config::named::Tables;
use crate::config::raw::{
    RawAssertion, RawLogin, RawQuery, RawSession, RawSite, RawSsoCookie, RawSsoToken,
    RawTokenHeader, RawUnauthenticated,
};
use crate::config::reader::{Bindings, Field, GATEWAY, Reader};
use crate::config::secret::{self, NameError};
use crate::config::{cors, headers, issuer, label_studio, mounts, provider, rules, tenant};
use crate::http::headers::is_token;
use crate::http::host::{canonical_host, origin};
use crate::http::request::RAY;
use crate::http::reserved::{self, REQUEST_ID, Reserved, SET_ALWAYS};
use crate::jose::hmac::HmacAlgorithm;
use crate::origin::assertion::OWN_CLAIMS;
use crate::origin::mutate::MOUNT_HEADER;
use crate::platform::algorithm::Algorithm;
use crate::platform::time::Seconds;
use crate::rules::Rules;
use crate::site::attribute::{Attribute, headers_of};
use crate::site::issuer::Issuer;
use crate::site::mount::Neighbours;
use crate::site::profile::Profile;
use crate::site::provider::Provider;
use crate::site::{
    Assertion, AssertionSubject, HostHeader, Login, PathCase, Paths, PlainHttp, Preset, Query,
    SameSite, SeparatorInGroups, Session, Site, Source, SsoCookie, SsoToken, StrangerLink,
    TokenHeader, UpstreamCredential,
};

/// Validates `raw`; errors go to `reader`.
#[expect(
    clippy::too_many_lines,
    reason = "one paragraph for each setting, in the order of the table"
)]
pub(super) fn read(
    name: &str,
    raw: RawSite,
    bindings: &Bindings,
    issuers: &Tables<Issuer>,
    providers: &Tables<Provider>,
    reader: &mut Reader<'_>,
) -> Option<Site> {
    reader.reject_unknown(&raw.unknown);
    let (hosts, mount) = mounts::read_hosts(reader, raw.hosts).unzip();
    let mount = mount.unwrap_or_default();
    let plaintext = reader.with_default("upstream_plaintext", raw.upstream_plaintext, false);
    let upstream = reader.required("upstream", raw.upstream).and_then(|text| {
        let upstream = mounts::read_upstream(&text, plaintext);
        if upstream.is_none() {
            reader.error("upstream", "must be https://host or https://host:port, followed by a path of plain segments if the application lives below one (http:// only for loopback hosts, or with upstream_plaintext = true)");
        }
        upstream
    });
    let (upstream, base) = upstream.unzip();
    let base = base.unwrap_or_default();
    let endpoints = mounts::read_endpoints(reader, raw.endpoints);
    let host_header = reader.with_default("host_header", raw.host_header, HostHeader::Rewrite);
    let translate = reader.with_default("translate", raw.translate, true);
    let paths = reader.with_default("paths", raw.paths, Paths::Unchanged);
    let path_case = reader.with_default("path_case", raw.path_case, PathCase::Matters);
    let first_host = hosts.as_ref().and_then(|hosts| hosts.first());
    let address = [first_host.map_or("", String::as_str), &mount].concat();
    let brand = brand::read(
        RawBrand {
            name: raw.name,
            logo: raw.logo,
            accent: raw.accent,
            contact: raw.contact,
            language: raw.language,
            texts: raw.texts,
        },
        &address,
        reader,
    );
    let audience = reader.with_default("audience", raw.audience, address.clone());
    let sources = read_sources(reader, raw.sources);
    let return_parameter = reader.with_default(
        "return_parameter",
        raw.return_parameter,
        "return_to".to_owned(),
    );
    let names_login = raw.login_url.is_given();
    let login_url = read_url(reader, "login_url", raw.login_url);
    let by = reader.optional("login", raw.login);
    let by_gateway = by == Some(RawLogin::Gateway);
    let by_provider = by == Some(RawLogin::Provider);
    let providers = provider::providers_named(raw.providers, providers, reader);
    reader.check(
        "providers",
        by_provider || providers.as_ref().is_none_or(Vec::is_empty),
        "are for login = \"provider\"; those of the gateway are named in [vars.EDGEWARD_GATEWAY]",
    );
    reader.check(
        "login",
        !by_provider || providers.as_ref().is_none_or(|given| !given.is_empty()),
        "= \"provider\" requires providers",
    );
    reader.check(
        "login",
        !by_provider || !raw.tenants.is_given(),
        "= \"provider\" cannot be combined with tenants",
    );
    reader.check(
        "login",
        by.is_none() || login_url.is_none(),
        "cannot be combined with login_url",
    );
    reader.check(
        "login",
        !by_gateway || bindings.contains_key(GATEWAY),
        "requires a table [vars.EDGEWARD_GATEWAY]",
    );
    reader.check(
        "login",
        !by_gateway || !raw.tenants.is_given(),
        "cannot be combined with tenants: users of tenants do not sign in at the gateway",
    );
    let narrows = raw.amr.is_given();
    let methods = reader.optional("amr", raw.amr).unwrap_or_default();
    reader.check(
        "amr",
        !narrows || (by_gateway && !methods.is_empty()),
        "is for login = \"gateway\", and names at least one of its methods",
    );
    let cors = cors::read(reader, raw.cors);
    let around = rules::Around {
        binding: &name.to_ascii_uppercase(),
        hosts: hosts.as_deref().unwrap_or_default(),
        has_login: names_login || by.is_some(),
        has_cors: cors.is_some(),
        ignores_case: path_case == PathCase::Ignored,
        bindings,
    };
    let open_to_all = matches!(raw.unauthenticated, Field::Given(RawUnauthenticated::Pass));
    let rules = rules::read(reader, raw.rules, raw.unauthenticated, &around);
    let rules = rules.map(|rules| rules.for_methods(&methods));
    let logout_url = read_url(reader, "logout_url", raw.logout_url);
    let close_websockets = reader.with_default("close_websockets", raw.close_websockets, true);
    let trusted_origins = read_origins(reader, "trusted_origins", raw.trusted_origins);
    let frame_ancestors = read_origins(reader, "frame_ancestors", raw.frame_ancestors);
    let login_in_frames = reader.with_default("login_in_frames", raw.login_in_frames, false);
    let (http, hsts) = read_transport(reader, raw.http, raw.hsts);
    let newer_sign_in = reader.with_default("newer_sign_in", raw.newer_sign_in, true);
    let auto_create_users = reader.with_default("auto_create_users", raw.auto_create_users, true);
    let session = read_session(reader, raw.session, name, &mount);
    let sso_token = read_sso_token(reader, raw.sso_token);
    let sso_cookie_given = raw.sso_cookie.is_given();
    let sso_cookie = reader
        .optional("sso_cookie", raw.sso_cookie)
        .and_then(|raw| read_sso_cookie(&mut reader.table("sso_cookie"), raw));
    let query_given = raw.query.is_given();
    let query = read_query(reader, raw.query);
    let has = |source| sources.contains(&source);
    reader.check(
        "login",
        by.is_none() || has(Source::Session),
        "requires the source \"session\"",
    );
    reader.check(
        "sso_cookie",
        !has(Source::SsoCookie) || sso_cookie_given,
        "is required with the source \"sso_cookie\"",
    );
    reader.check(
        "query",
        !has(Source::Query) || query_given,
        "is required with the source \"query\"",
    );
    // The redirect removes the token from the URL, so only a session can authenticate what follows.
    reader.check(
        "sources",
        !has(Source::Query) || has(Source::Session),
        "has \"query\" without \"session\": a redirect removes the token from the URL, so the browser would never be signed in; add \"session\"",
    );
    let same_name = sso_cookie
        .as_ref()
        .is_some_and(|sso| sso.name == session.cookie);
    reader.check(
        "sso_cookie.name",
        !same_name,
        "must differ from session.cookie",
    );
    let presets = reader.with_default("identity_headers", raw.identity_headers, Vec::new());
    let custom_headers = reader
        .optional("custom_headers", raw.custom_headers)
        .unwrap_or_default();
    let custom_headers: Vec<(String, Attribute)> = custom_headers
        .into_iter()
        .filter_map(|(header, attribute)| {
            let mut reader = reader.table("custom_headers");
            let attribute = reader.optional(&header, attribute);
            let header = read_header(&mut reader, &header, &header);
            Some((header?, attribute?))
        })
        .collect();
    let groups_separator =
        reader.with_default("groups_separator", raw.groups_separator, ",".into());
    let mut separator = groups_separator.chars();
    let separator = match (separator.next(), separator.next()) {
        (Some(one), None) if one.is_ascii_punctuation() && one != '%' => one,
        _ => {
            reader.error(
                "groups_separator",
                "must be one character of ASCII punctuation other than %, such as \",\" or \"|\"",
            );
            ','
        }
    };
    let separator_in_groups = reader.with_default(
        "separator_in_groups",
        raw.separator_in_groups,
        SeparatorInGroups::default(),
    );
    let reserved_headers = headers::read_reserved(reader, raw.reserved_headers);
    let client_headers = headers::read_client(reader, raw.client_headers);
    let whole_upstream = [upstream.as_deref().unwrap_or_default(), &base].concat();
    let assertion = read_assertion(reader, raw.assertion, whole_upstream);
    let upstream_credential = reader
        .optional("upstream_credential", raw.upstream_credential)
        .and_then(|raw| {
            let mut reader = reader.table("upstream_credential");
            reader.reject_unknown(&raw.unknown);
            let header = reader
                .required("header", raw.header)
                .and_then(|h| read_header(&mut reader, "header", &h));
            let secret = reader.required("secret", raw.secret)?;
            let error = match secret::named(bindings, &secret) {
                Ok(value) if is_header_value(value) => {
                    return Some((header?, UpstreamCredential(value.to_owned())));
                }
                Err(NameError::Own) => {
                    "names one of Edgeward's own secrets, which must not be sent to an origin"
                        .to_owned()
                }
                Ok(_) | Err(NameError::Missing) => format!(
                    "names no secret of this Worker that can be a header value; {}",
                    secret::HOW_TO_SET
                ),
            };
            reader.error("secret", error);
            None
        });
    let profiled = raw.label_studio.is_given();
    let profile = reader
        .optional("label_studio", raw.label_studio)
        .and_then(|raw| label_studio::read(&mut reader.table("label_studio"), raw, bindings))
        .map(Profile::LabelStudio);
    reader.check(
        "unauthenticated",
        !profiled || !open_to_all,
        "must be \"deny\" or \"login\" with label_studio: anonymous users would get Label Studio's own sign-in form",
    );
    reader.check(
        "rules",
        !profiled || !rules.as_ref().is_some_and(Rules::admit_anonymous),
        "must not allow anonymous requests with label_studio (public, anonymous_ok): they would get Label Studio's own sign-in form",
    );
    let taken = custom_headers
        .iter()
        .map(|(header, _)| ("custom_headers", header.as_str()));
    let taken = taken.chain(
        assertion
            .iter()
            .map(|assertion| ("assertion", assertion.header.as_str())),
    );
    let credential = upstream_credential
        .iter()
        .map(|(header, _)| ("upstream_credential", header.as_str()));
    let sets = profile.iter().flat_map(Profile::sets);
    let set = sets.map(|header| ("label_studio", *header));
    let of_mount = (!mount.is_empty()).then_some(MOUNT_HEADER);
    check_headers(
        reader,
        &presets,
        of_mount,
        set.chain(taken.chain(credential)),
    );
    let all_issuers = issuers;
    let issuers = issuer::issuers_named(raw.issuers, all_issuers, reader);
    let own_tokens = reader.with_default("own_tokens", raw.own_tokens, true);
    let others = [
        (by_gateway, "login = \"gateway\"", "login"),
        (has(Source::ApiKey), "the source \"api_key\"", "sources"),
    ];
    for (given, what, name) in others {
        let error = format!(
            "has {what}, which signs people in without a token of an issuer, so it cannot be combined with own_tokens = false"
        );
        reader.check(name, own_tokens || !given, &error);
    }
    let token_headers = read_token_headers(reader, raw.token_headers);
    reader.check(
        "token_headers",
        has(Source::Header) != token_headers.is_empty(),
        "are required with the source \"header\", and allowed with that source only",
    );
    let grouped = raw.tenants.is_given();
    let tenants = reader.optional("tenants", raw.tenants).and_then(|raw| {
        let hosts = hosts.as_deref().unwrap_or_default();
        tenant::read(raw, hosts, all_issuers, &mut reader.table("tenants"))
    });
    reader.check(
        "issuers",
        tenants.is_none() || issuers.as_ref().is_none_or(Vec::is_empty),
        "must be left out at a site with tenants: name each issuer in `tenants.groups.<tenant>.issuers`",
    );
    let named = if grouped {
        tenants.as_ref().map(|tenants| &tenants.issuers)
    } else {
        issuers.as_ref()
    };
    let all = named.zip(providers.as_ref()).map(|(issuers, providers)| {
        let of_providers = providers.iter().map(|provider| &provider.issuer);
        issuers.iter().chain(of_providers).collect::<Vec<_>>()
    });
    reader.check(
        "own_tokens",
        own_tokens || all.as_ref().is_none_or(|all| !all.is_empty()),
        "must not be false without issuers: nobody could sign in",
    );
    if let Some(all) = &all
        && assertion
            .as_ref()
            .is_some_and(|assertion| assertion.subject == AssertionSubject::Claim)
    {
        check_subject(reader, all, own_tokens);
    }
    reader.check(
        "tenants",
        !grouped || !profiled,
        "cannot be combined with label_studio, which identifies users by their address; users of several tenants may share one",
    );
    let mut site = Site {
        name: name.to_owned(),
        number: 0,
        hosts: hosts?,
        mount,
        address,
        brand,
        endpoints,
        neighbours: Neighbours::default(),
        upstream: Some(upstream?),
        base,
        gateway: None,
        host_header,
        translate,
        paths,
        audience,
        link_ages: BTreeMap::new(),
        sources,
        rules: rules?,
        cors,
        login: match by {
            Some(RawLogin::Gateway) => Some(Login::Gateway),
            Some(RawLogin::Provider) => Some(Login::Provider),
            None => login_url.map(|url| Login::Page {
                url,
                return_parameter,
            }),
        },
        methods,
        logout_url,
        close_websockets,
        trusted_origins,
        frame_ancestors,
        login_in_frames,
        http,
        hsts,
        newer_sign_in,
        auto_create_users,
        session,
        room: 0,
        sso_token,
        sso_cookie,
        query,
        presets,
        sends_access_token: custom_headers
            .iter()
            .any(|(_, attribute)| *attribute == Attribute::AccessToken),
        custom_headers,
        groups_separator: separator,
        separator_in_groups,
        assertion,
        upstream_credential,
        profile,
        own_tokens,
        issuers: issuers.unwrap_or_default(),
        providers: providers.unwrap_or_default(),
        token_headers,
        tenants,
        reserved_headers,
        client_headers,
        reserved: Reserved::default(),
        used_claims: Vec::new(),
    };
    site.find_used_claims();
    Some(site)
}

/// The `sub` of a token says who somebody is only together with its issuer.
fn check_subject(reader: &mut Reader<'_>, issuers: &[&Rc<Issuer>], own_tokens: bool) {
    let error = match issuers {
        _ if own_tokens => {
            "requires own_tokens = false: callers with a token of Edgeward have no such claim"
        }
        [only] if only.names.len() > 1 => {
            "requires an issuer without tenant_ids: people of two tenants may have the same sub"
        }
        [only] if !only.requires("sub") => "requires \"sub\" in required_claims of the issuer",
        [only]
            if only
                .keep_claims
                .as_ref()
                .is_some_and(|kept| !kept.iter().any(|name| name == "sub")) =>
        {
            "requires \"sub\" in keep_claims of the issuer, if that is set"
        }
        [_] => return,
        _ => "requires exactly one issuer: people of two issuers may have the same sub",
    };
    reader.error("assertion.subject", format!("= \"claim:sub\" {error}"));
}

/// Rejects a header that is set twice: only the second value would be sent.
fn check_headers<'a>(
    reader: &mut Reader<'_>,
    presets: &[Preset],
    of_mount: Option<&'a str>,
    named: impl Iterator<Item = (&'static str, &'a str)>,
) {
    let ours = presets
        .iter()
        .flat_map(|preset| headers_of(*preset))
        .map(|(header, _)| header);
    let always = SET_ALWAYS.into_iter().chain([REQUEST_ID]).chain(of_mount);
    let mut seen: Vec<&str> = ours.chain(always).collect();
    for (setting, header) in named {
        if seen
            .iter()
            .any(|known| reserved::fold(known) == reserved::fold(header))
        {
            reader.error(
                setting,
                format!("{header} is already set by another setting or by Edgeward"),
            );
        }
        seen.push(header);
    }
}

fn read_sources(reader: &mut Reader<'_>, field: Field<Vec<Source>>) -> Vec<Source> {
    let sources = reader.required("sources", field).unwrap_or_default();
    let mut seen = std::collections::HashSet::new();
    let repeated = sources.iter().any(|source| !seen.insert(*source));
    reader.check("sources", !repeated, "contains a source twice");
    sources
}

fn read_url(reader: &mut Reader<'_>, name: &str, field: Field<String>) -> Option<String> {
    let text = reader.optional(name, field)?;
    let base = text
        .find(['?', '#'])
        .map_or(text.as_str(), |at| text.get(..at).unwrap_or_default());
    let end = base
        .find("://")
        .and_then(|at| base.get(at + 3..)?.find('/').map(|slash| at + 3 + slash));
    let whole = end.map_or(Some(base), |end| base.get(..end));
    let plain = text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains('#');
    if plain
        && whole
            .and_then(|origin_text| origin(origin_text, false))
            .is_some()
    {
        return Some(text);
    }
    reader.error(
        name,
        "must be an https URL without a fragment (http:// only for loopback hosts)",
    );
    None
}

pub(super) fn read_origins(
    reader: &mut Reader<'_>,
    name: &str,
    field: Field<Vec<String>>,
) -> Vec<String> {
    let mut origins = Vec::new();
    for text in reader.optional(name, field).unwrap_or_default() {
        match origin(&text, true) {
            Some(origin) => origins.push(origin),
            None => reader.error(
                name,
                format!("{text:?} is not an origin (https://host or https://host:port)"),
            ),
        }
    }
    origins
}

/// What a browser is told to prefer to plain http for a year.
const HSTS: &str = "max-age=31536000";

/// Reads `http` and `hsts`.
pub(super) fn read_transport(
    reader: &mut Reader<'_>,
    http: Field<PlainHttp>,
    hsts: Field<String>,
) -> (PlainHttp, Option<String>) {
    let http = reader.with_default("http", http, PlainHttp::Redirect);
    let usual = match http {
        PlainHttp::Redirect => HSTS,
        PlainHttp::Serve => "off",
    };
    let hsts = reader.with_default("hsts", hsts, usual.to_owned());
    if hsts == "off" {
        return (http, None);
    }
    reader.check(
        "hsts",
        is_hsts(&hsts),
        "must be \"off\", or max-age=… in seconds, then optionally ; includeSubDomains, then optionally ; preload, which requires includeSubDomains and max-age=31536000 or more",
    );
    reader.check(
        "hsts",
        http == PlainHttp::Redirect,
        "cannot be combined with http = \"serve\": browsers would not use http any more",
    );
    (http, Some(hsts))
}

/// Whether `text` is a value of `Strict-Transport-Security` (RFC 6797 §6.1), as strict as the preload list wants it.
fn is_hsts(text: &str) -> bool {
    let mut parts = text.split(';').map(str::trim);
    let seconds = parts.next().and_then(|part| part.strip_prefix("max-age="));
    let digits =
        |text: &&str| (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let Some(seconds) = seconds
        .filter(digits)
        .and_then(|text| text.parse::<u64>().ok())
    else {
        return false;
    };
    let rest: Vec<&str> = parts.collect();
    match rest.as_slice() {
        [] | ["includeSubDomains"] => true,
        ["includeSubDomains", "preload"] => seconds >= 31_536_000,
        _ => false,
    }
}

/// `name` and `mount` are the site's. Browsers send the cookies of a host's other sites along, so those of a site
/// below a path have its name in theirs.
pub(super) fn read_session(
    reader: &mut Reader<'_>,
    field: Field<RawSession>,
    name: &str,
    mount: &str,
) -> Session {
    const MONTH: u32 = 30 * 86_400;
    let raw = reader.with_default("session", field, RawSession::default());
    let mut reader = reader.table("session");
    reader.reject_unknown(&raw.unknown);
    let is_whole = mount.is_empty();
    let default = if is_whole {
        "__Host-edgeward".to_owned()
    } else {
        format!("__Secure-edgeward-{name}")
    };
    let cookie = reader.with_default("cookie", raw.cookie, default);
    let fits = cookie.starts_with("__Host-") || (!is_whole && cookie.starts_with("__Secure-"));
    reader.check(
        "cookie",
        fits && is_token(&cookie),
        if is_whole {
            "must be a cookie name that begins with __Host- (RFC 6265bis §4.1.3.2)"
        } else {
            "must be a cookie name that begins with __Secure- or __Host- (RFC 6265bis §4.1.3)"
        },
    );
    let same_site = reader.with_default("same_site", raw.same_site, SameSite::Lax);
    let partitioned = reader.with_default("partitioned", raw.partitioned, false);
    reader.check(
        "partitioned",
        !partitioned || same_site == SameSite::None,
        "requires same_site = \"none\"",
    );
    let idle = reader.with_default("idle", raw.idle, 8 * 3600);
    let absolute = reader.with_default("absolute", raw.absolute, 12 * 3600);
    reader.check(
        "idle",
        (60..=absolute).contains(&idle),
        "must be at least 60 seconds and at most session.absolute",
    );
    reader.check("absolute", absolute <= MONTH, "must be at most 30 days");
    Session {
        trip: format!("{cookie}-trip"),
        browser: format!("{cookie}-browser"),
        device: format!("{cookie}-device"),
        attempts: format!("{cookie}-signin-"),
        cookie,
        same_site,
        partitioned,
        idle: Seconds(idle),
        absolute: Seconds(absolute),
    }
}

pub(super) fn read_sso_token(reader: &mut Reader<'_>, field: Field<RawSsoToken>) -> SsoToken {
    const TAKEN: [&str; 11] = [
        "iss",
        "aud",
        "sub",
        "exp",
        "nbf",
        "iat",
        "jti",
        "email",
        "username",
        "first_name",
        "last_name",
    ];
    let raw = reader.with_default("sso_token", field, RawSsoToken::default());
    let mut reader = reader.table("sso_token");
    reader.reject_unknown(&raw.unknown);
    let lifetime = reader.with_default("lifetime", raw.lifetime, 600);
    let max_lifetime = reader.with_default("max_lifetime", raw.max_lifetime, 900);
    reader.check(
        "lifetime",
        (10..=max_lifetime).contains(&lifetime),
        "must be at least 10 seconds and at most sso_token.max_lifetime",
    );
    reader.check(
        "max_lifetime",
        max_lifetime <= 86_400,
        "must be at most a day",
    );
    let algorithm = reader.with_default("algorithm", raw.algorithm, HmacAlgorithm::Hs256);
    let user_id_claim =
        reader.with_default("user_id_claim", raw.user_id_claim, "user_id".to_owned());
    let free = !user_id_claim.is_empty() && !TAKEN.contains(&user_id_claim.as_str());
    reader.check(
        "user_id_claim",
        free,
        "must not be empty or the name of another claim",
    );
    let unknown_user_status =
        reader.with_default("unknown_user_status", raw.unknown_user_status, 422);
    reader.check(
        "unknown_user_status",
        [404, 422].contains(&unknown_user_status),
        "must be 404 or 422",
    );
    SsoToken {
        lifetime: Seconds(lifetime),
        max_lifetime: Seconds(max_lifetime),
        algorithm,
        user_id_claim,
        unknown_user_status,
    }
}

fn read_sso_cookie(reader: &mut Reader<'_>, raw: RawSsoCookie) -> Option<SsoCookie> {
    reader.reject_unknown(&raw.unknown);
    let name = reader.required("name", raw.name);
    reader.check(
        "name",
        name.as_deref().is_none_or(is_token),
        "is not a cookie name",
    );
    let path = reader.with_default("path", raw.path, "/".to_owned());
    reader.check(
        "path",
        path.starts_with('/') && is_attribute(&path),
        "must begin with /",
    );
    let domain = reader.optional("domain", raw.domain);
    reader.check(
        "domain",
        domain
            .as_deref()
            .is_none_or(|d| canonical_host(d, "https").is_some() && !d.contains(':')),
        "is not a domain",
    );
    let secure = reader.with_default("secure", raw.secure, true);
    let http_only = reader.with_default("http_only", raw.http_only, true);
    let same_site = reader.with_default("same_site", raw.same_site, SameSite::Lax);
    let partitioned = reader.with_default("partitioned", raw.partitioned, false);
    reader.check(
        "same_site",
        same_site != SameSite::None || secure,
        "\"none\" requires secure = true",
    );
    reader.check(
        "partitioned",
        !partitioned || secure,
        "requires secure = true",
    );
    let keep = reader.with_default("keep", raw.keep, false);
    Some(SsoCookie {
        name: name?,
        path,
        domain,
        secure,
        http_only,
        same_site,
        partitioned,
        keep,
    })
}

fn read_query(reader: &mut Reader<'_>, field: Field<RawQuery>) -> Option<Query> {
    let raw = reader.optional("query", field)?;
    let mut reader = reader.table("query");
    reader.reject_unknown(&raw.unknown);
    let parameter = reader.with_default("parameter", raw.parameter, "token".to_owned());
    reader.check(
        "parameter",
        is_token(&parameter) && parameter != ATTEMPT,
        "is not a valid parameter name",
    );
    let max_age = reader.with_default("max_age", raw.max_age, 300);
    reader.check(
        "max_age",
        (1..=300).contains(&max_age),
        "must be from 1 to 300 seconds",
    );
    let single_use = reader.required("single_use", raw.single_use);
    let user_switch = reader.required("user_switch", raw.user_switch);
    let stranger_link = reader.with_default("stranger_link", raw.stranger_link, StrangerLink::Ask);
    Some(Query {
        parameter,
        max_age: Seconds(max_age),
        single_use: single_use?,
        user_switch: user_switch?,
        stranger_link,
    })
}

fn read_assertion(
    reader: &mut Reader<'_>,
    field: Field<RawAssertion>,
    upstream: String,
) -> Option<Assertion> {
    let raw = reader.optional("assertion", field)?;
    let mut reader = reader.table("assertion");
    reader.reject_unknown(&raw.unknown);
    let header = reader.with_default("header", raw.header, "x-edgeward-assertion".to_owned());
    let header = read_header(&mut reader, "header", &header);
    let audience = reader.with_default("audience", raw.audience, upstream);
    let lifetime = reader.with_default("lifetime", raw.lifetime, 300);
    reader.check(
        "lifetime",
        (60..=900).contains(&lifetime),
        "must be from 60 to 900 seconds",
    );
    let algorithm = reader.with_default("algorithm", raw.algorithm, Algorithm::Es256);
    reader.check(
        "algorithm",
        matches!(
            algorithm,
            Algorithm::Es256 | Algorithm::Rs256 | Algorithm::EdDsa
        ),
        "must be ES256, RS256 or EdDSA",
    );
    let claims = reader.with_default("claims", raw.claims, Vec::new());
    let free = |name: &String| !OWN_CLAIMS.contains(&name.as_str());
    reader.check(
        "claims",
        claims.iter().all(free),
        "must not contain a claim that Edgeward sets itself",
    );
    let subject = reader.with_default("subject", raw.subject, AssertionSubject::UserId);
    let prefix = reader.with_default("prefix", raw.prefix, String::new());
    reader.check(
        "prefix",
        prefix.len() <= 32
            && prefix.bytes().all(|b| (b' '..0x7f).contains(&b))
            && !prefix.starts_with(' '),
        "must be at most 32 printable ASCII characters, and not begin with a space",
    );
    Some(Assertion {
        subject,
        prefix,
        header: header?,
        audience,
        lifetime: Seconds(lifetime),
        algorithm,
        claims,
    })
}

fn read_token_headers(
    reader: &mut Reader<'_>,
    field: Field<Vec<RawTokenHeader>>,
) -> Vec<TokenHeader> {
    let mut headers: Vec<TokenHeader> = Vec::new();
    for raw in reader.with_default("token_headers", field, Vec::new()) {
        let mut reader = reader.table("token_headers");
        reader.reject_unknown(&raw.unknown);
        let name = reader.required("name", raw.name);
        let name = name.and_then(|name| read_header(&mut reader, "name", &name));
        reader.check(
            "name",
            name.as_deref().is_none_or(may_decide),
            "cannot be used here: Edgeward ignores this header in its decisions",
        );
        let prefix = reader.with_default("prefix", raw.prefix, String::new());
        reader.check("prefix", prefix.is_ascii(), "must be ASCII");
        headers.extend(name.map(|name| TokenHeader { name, prefix }));
    }
    headers
}

/// Reads the name of a header that Edgeward sets for the origin: in lower case, and not one of the
/// message itself.
fn read_header(reader: &mut Reader<'_>, name: &str, header: &str) -> Option<String> {
    let header = header.to_ascii_lowercase();
    let fit = is_token(&header) && !reserved::is_of_the_message(&header);
    reader.check(name, fit, "is not a header that can be set");
    fit.then_some(header)
}

/// Headers that say nothing about the caller: headers of the message, of what the client supports,
/// and trace ids.
const SAY_NOTHING: [&str; 42] = [
    "accept-encoding",
    "accept-language",
    "baggage",
    "cache-control",
    "cdn-loop",
    "cf-ew-via",
    "cf-visitor",
    "content-length",
    "content-type",
    "device-memory",
    "dnt",
    "downlink",
    "ect",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "pragma",
    "priority",
    "range",
    "referer",
    "rtt",
    "save-data",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-user",
    "sec-gpc",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "upgrade-insecure-requests",
    "user-agent",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-csrftoken",
    "x-csrf-token",
    "x-requested-with",
];

/// Whether decisions may depend on the header `name`. The CDN's request id decides nothing either.
pub(super) fn may_decide(name: &str) -> bool {
    !SAY_NOTHING.contains(&name) && name != RAY
}

/// Whether `text` may be a cookie attribute's value (RFC 6265bis §4.1.1).
fn is_attribute(text: &str) -> bool {
    text.bytes().all(|b| (b' '..0x7f).contains(&b) && b != b';')
}

fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (b' '..0x7f).contains(&b)) && text.trim() == text
}
