//! A hypothetical request, for `explain`.

use std::net::IpAddr;
use std::rc::Rc;

use serde_json::Value;

use crate::admin::member;
use crate::answer::denial::Denial;
use crate::ask::route::{self, Endpoint};
use crate::http::host::canonical_host;
use crate::http::path::RequestPath;
use crate::http::query;
use crate::http::request::Parts;
use crate::http::reserved::API_KEY;
use crate::site::config::Config;
use crate::site::tenant::TenantSource;
use crate::site::{Site, Source};

/// A credential, and where the request carries it.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) source: Source,
    pub(super) credential: &'a str,
}

/// A request as an admin describes it.
pub struct Imagined {
    host: Option<String>,
    path: String,
    pub(super) method: String,
    preflight: bool,
    address: Option<IpAddr>,
    country: Option<String>,
    tenant: Option<String>,
}

impl Imagined {
    /// Reads one from its members, if given: `host`, `path`, `method`, `preflight`, `address`, `country` and `tenant`. Without
    /// a path it is for the first page of `site`.
    ///
    /// # Errors
    /// [`Denial::InvalidField`].
    pub fn read(body: &Value, site: &Site) -> Result<Self, Denial> {
        let address: Option<String> = member(body, "address")?;
        let address = match address {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| Denial::InvalidField("address"))?),
        };
        let line = |name: &'static str| -> Result<Option<String>, Denial> {
            let text: Option<String> = member(body, name)?;
            // A line break would end the header that it is put into.
            if text
                .as_deref()
                .is_some_and(|text| text.chars().any(char::is_control))
            {
                return Err(Denial::InvalidField(name));
            }
            Ok(text)
        };
        Ok(Self {
            host: line("host")?,
            path: member(body, "path")?.unwrap_or_else(|| site.root_path()),
            method: line("method")?.unwrap_or_else(|| "GET".to_owned()),
            preflight: member(body, "preflight")?.unwrap_or(false),
            address,
            country: line("country")?,
            tenant: line("tenant")?,
        })
    }

    /// The host of `site` that it is for: its first, unless it names another one.
    ///
    /// # Errors
    /// [`Denial::InvalidField`] for a host of another site.
    pub(super) fn host(&self, site: &Site) -> Result<String, Denial> {
        match &self.host {
            None => Ok(site.hosts.first().cloned().unwrap_or_default()),
            Some(host) => canonical_host(host, "https")
                .filter(|host| site.hosts.contains(host))
                .ok_or(Denial::InvalidField("host")),
        }
    }

    /// Its path without the query, which decides nothing.
    pub(super) fn path(&self) -> &str {
        self.path.split(['?', '#']).next().unwrap_or_default()
    }

    /// What it asks for at `site`: the path within it, and the endpoint if it is one of ours.
    ///
    /// # Errors
    /// Why the path is refused; [`Denial::InvalidField`] if it is another site's.
    pub(super) fn resolve(
        &self,
        config: &Config,
        site: &Site,
        host: &str,
    ) -> Result<(RequestPath<'_>, Option<Endpoint>), Denial> {
        let served = config.served(host, "https").ok_or(Denial::UnknownHost)?;
        let (found, path) = route::place(served, self.path()).map_err(|(denial, _)| denial)?;
        if found.name != site.name {
            return Err(Denial::InvalidField("path"));
        }
        route::resolve_at(site, path)
    }

    /// The site that it is for if it names none: that of its host and path, `at` if no other fits.
    pub(super) fn site<'a>(&self, config: &'a Config, at: &'a Rc<Site>) -> &'a Rc<Site> {
        let Ok(host) = self.host(at) else {
            return at;
        };
        let served = config.served(&host, "https");
        let found = served.and_then(|served| served.find(self.path().as_bytes()));
        found.unwrap_or(at)
    }

    /// Its head, with the credential where a client carries it. Cookies and links are sent as from a page of the site
    /// itself, so that the origin check passes.
    ///
    /// # Errors
    /// [`Denial::InvalidField`] for what no head can hold.
    pub(super) fn head(
        &self,
        site: &Site,
        host: &str,
        path: &RequestPath<'_>,
        shown: Option<Shown<'_>>,
    ) -> Result<Parts, Denial> {
        let mut url = ["https://", host, &site.mount, path.as_str()].concat();
        let origin = ["https://", host].concat();
        let address = self.address.map(|address| address.to_string());
        let mut headers: Vec<(&str, &str)> = Vec::new();
        headers.extend(address.as_deref().map(|text| ("cf-connecting-ip", text)));
        headers.extend(self.country.as_deref().map(|text| ("cf-ipcountry", text)));
        if let (Some(tenants), Some(tenant)) = (&site.tenants, &self.tenant)
            && let TenantSource::Header(name) = &tenants.by
        {
            headers.push((name, tenant));
        }
        let mut method = self.method.as_str();
        if self.preflight {
            headers.push(("origin", &origin));
            headers.push(("access-control-request-method", method));
            method = "OPTIONS";
        }
        let mut carried = Vec::new();
        if let Some(Shown { source, credential }) = shown {
            if credential.chars().any(char::is_control) {
                return Err(Denial::InvalidField("token"));
            }
            let cookie = |name: &str| ("cookie", format!("{name}={credential}"));
            match source {
                Source::Session => carried.push(cookie(&site.session.cookie)),
                Source::SsoCookie => {
                    carried.extend(site.sso_cookie.iter().map(|sso| cookie(&sso.name)));
                }
                Source::Query => {
                    if let Some(settings) = &site.query {
                        let value = query::encode(credential);
                        url = format!("{url}?{}={value}", query::encode(&settings.parameter));
                    }
                }
                Source::Bearer => carried.push(("authorization", format!("Bearer {credential}"))),
                Source::Header => carried.extend(site.token_headers.first().map(|header| {
                    let value = format!("{}{credential}", header.prefix);
                    (header.name.as_str(), value)
                })),
                Source::ApiKey => carried.push((API_KEY, credential.to_owned())),
            }
            if matches!(source, Source::Session | Source::SsoCookie | Source::Query) {
                headers.push(("sec-fetch-site", "same-origin"));
                headers.push(("sec-fetch-mode", "navigate"));
            }
        }
        headers.extend(carried.iter().map(|(name, value)| (*name, value.as_str())));
        Parts::new(method, &url, &headers).map_err(|_| Denial::InvalidField("path"))
    }
}
