//! Which URLs Edgeward may send requests of its own to, when they come from a setting or an admin.
//!
//! The judgement is made here alone, by the letter and when the URL is configured. It refuses what
//! parsers read differently, so that whoever sends the request connects to the host that was
//! judged. A public name may still resolve to a private address: workerd's production network
//! reaches none, and whoever runs workerd elsewhere has to keep it from its own network. The queue
//! of events (`edge/post.js`) refuses addresses and plain text once more at each delivery, because
//! its URLs are stored: a stored one may be older than a rule, or than the setting of a gateway in
//! development.

use crate::http::host::canonical_host;

/// The rule that a URL breaks. Reads after "the URL".
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rule {
    #[error("must consist of visible ASCII characters without \\ # \" < >")]
    Characters,
    #[error("must not contain an @")]
    UserInfo,
    #[error("must begin with https://")]
    Https,
    #[error("must name a host, and a port at the most")]
    Host,
    #[error("must name a host, not an IP address")]
    Address,
    #[error("must name a host of the public internet")]
    Private,
    #[error("must use port 443, or one from 1024 on")]
    Port,
    #[error("must not lead to a host that Edgeward serves")]
    Own,
    #[error("must have at most 1,024 bytes, no query, and no % and no dot segment in its path")]
    Base,
}

/// In bytes.
const MAX_BASE: usize = 1024;

/// Top-level names that lead nowhere outside of a network (RFC 6761, RFC 6762, RFC 8375, and what
/// is common without one).
const PRIVATE: [&str; 9] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "lan",
    "intranet",
    "corp",
    "home",
    "arpa",
];

/// The canonical host of a URL that requests may be sent to. `is_own`: whether Edgeward serves a
/// host. `allow_private` is for development: any host, by http too.
///
/// # Errors
/// The first rule that the URL breaks.
pub fn check(
    url: &str,
    is_own: impl Fn(&str) -> bool,
    allow_private: bool,
) -> Result<String, Rule> {
    let host = if allow_private {
        split(url)?.1
    } else {
        let host = public_host(url)?;
        if port(&host).is_some_and(|port| port < 1024) {
            return Err(Rule::Port);
        }
        host
    };
    if is_own(&host) || (!allow_private && is_own(name(&host))) {
        return Err(Rule::Own);
    }
    Ok(host)
}

/// The URL below which somebody else's endpoints are, in its one form: without a slash at the end, and with a path to
/// which others can be appended. The rules are those of [`check`] besides.
///
/// # Errors
/// The first rule that the URL breaks.
pub fn check_base(
    url: &str,
    is_own: impl Fn(&str) -> bool,
    allow_private: bool,
) -> Result<&str, Rule> {
    let url = url.trim_end_matches('/');
    check(url, is_own, allow_private)?;
    let has_dots = url.split('/').any(|segment| matches!(segment, "." | ".."));
    if url.len() > MAX_BASE || has_dots || url.contains(['?', '%']) {
        return Err(Rule::Base);
    }
    Ok(url)
}

/// The canonical host of a URL: https, with a public name, not an address.
///
/// # Errors
/// The first rule that the URL breaks.
pub fn public_host(url: &str) -> Result<String, Rule> {
    let (scheme, host) = split(url)?;
    if scheme != "https" {
        return Err(Rule::Https);
    }
    let name = name(&host);
    let last = name.rsplit('.').next().unwrap_or_default();
    // A last label that starts with a digit makes the whole an address (WHATWG URL, host parsing).
    if name.starts_with('[') || last.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Rule::Address);
    }
    if PRIVATE.contains(&last) || !name.contains('.') {
        return Err(Rule::Private);
    }
    Ok(host)
}

/// The scheme, https or http, and the canonical host of a URL that every parser reads alike.
///
/// # Errors
/// The first rule that the URL breaks.
pub fn split(url: &str) -> Result<(&str, String), Rule> {
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"\\#\"<>".contains(&b);
    if !url.bytes().all(is_plain) {
        return Err(Rule::Characters);
    }
    if url.contains('@') {
        return Err(Rule::UserInfo);
    }
    let (scheme, rest) = url.split_once("://").ok_or(Rule::Https)?;
    if !matches!(scheme, "https" | "http") {
        return Err(Rule::Https);
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = canonical_host(authority, scheme).ok_or(Rule::Host)?;
    Ok((scheme, host))
}

/// A canonical host without its port.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// The port of a canonical host, unless it is the default one.
fn port(host: &str) -> Option<u16> {
    host.rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// URLs, by the rule that each of them breaks.
    const TRICKS: &[(Rule, &[&str])] = &[
        (
            Rule::Characters,
            &[
                " https://service.example/",
                "https://service.example/ ",
                "\thttps://service.example/",
                "https://service.example/\n",
                "ht\ntps://service.example/",
                "https://service\t.example/",
                "https://service.example\\@127.0.0.1/",
                "https:\\\\service.example/",
                "https://service.example#@127.0.0.1/",
                "https://①②⑦.⓪.⓪.①/",
                "https://１２７.0.0.1/",
                "https://127。0。0。1/",
                "https://sérvice.example/",
                "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
                "https://service.example/\u{0}",
                "https://service.example/\u{202e}",
            ],
        ),
        (
            Rule::UserInfo,
            &[
                "https://user@service.example/",
                "https://user:password@service.example/",
                "https://service.example@127.0.0.1/",
                "https://@service.example/",
                "https://service.example:443@127.0.0.1/",
            ],
        ),
        (
            Rule::Https,
            &[
                "",
                "http://service.example/",
                "HTTPS://service.example/",
                "ftp://service.example/",
                "file:///etc/passwd",
                "//service.example/",
                "https:service.example",
                "https:/service.example/",
                "javascript:alert(1)",
                "data:text/plain,x",
            ],
        ),
        (
            Rule::Host,
            &[
                "https://",
                "https:///service.example/",
                "https://:443/",
                "https://.service.example/",
                "https://service..example/",
                "https://localhost../",
                "https://127.0.0.1../",
                "https://./",
                "https://%31%32%37.0.0.1/",
                "https://service.example:x/",
                "https://service.example:+443/",
                "https://service.example:-1/",
                "https://service.example:65536/",
                "https://service.example:443:80/",
                "https://[::1/",
                "https://[::1]x/",
                "https://[fe80::1%25eth0]/",
                "https://service.example;x/",
                "https://{service.example}/",
            ],
        ),
        (
            Rule::Address,
            &[
                "https://127.0.0.1/",
                "https://127.0.0.1./",
                "https://127.0.0.1:8443/",
                "https://10.0.0.1/",
                "https://8.8.8.8/",
                "https://169.254.169.254/latest/meta-data/",
                "https://2130706433/",
                "https://0177.0.0.1/",
                "https://017700000001/",
                "https://0x7f.0x0.0x0.0x1/",
                "https://0x7f000001/",
                "https://0X7F.1/",
                "https://127.1/",
                "https://127.000.000.001/",
                "https://0/",
                "https://service.example.127/",
                "https://service.example.0x7f/",
                "https://[::1]/",
                "https://[::]/",
                "https://[::ffff:127.0.0.1]/",
                "https://[::ffff:7f00:1]/",
                "https://[64:ff9b::7f00:1]/",
                "https://[fd00::1]:8443/",
            ],
        ),
        (
            Rule::Private,
            &[
                "https://localhost/",
                "https://LOCALHOST./",
                "https://x.localhost/",
                "https://printer.local/",
                "https://vault.internal/",
                "https://metadata.google.internal/",
                "https://router.home.arpa/",
                "https://1.0.0.127.in-addr.arpa/",
                "https://intranet/",
                "https://x.lan/",
                "https://x.localdomain/",
            ],
        ),
        (
            Rule::Port,
            &[
                "https://service.example:22/",
                "https://service.example:80/",
                "https://service.example:0/",
                "https://service.example:025/",
                "https://service.example:1023/",
            ],
        ),
        (
            Rule::Own,
            &[
                "https://site.example/",
                "https://SITE.example./sso/event/",
                "https://site.example:443/",
                "https://site.example:0443/",
                "https://site.example:8443/",
            ],
        ),
    ];

    fn judge(url: &str) -> Result<String, Rule> {
        check(url, |host| host == "site.example", false)
    }

    #[test]
    fn sec_70_public_https_urls_may_be_called() {
        for (url, host) in [
            ("https://service.example/sso/event/", "service.example"),
            ("https://Service.Example:443/x?y=z", "service.example"),
            ("https://service.example./", "service.example"),
            ("https://a.b.example:8443/", "a.b.example:8443"),
            ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
            ("https://10.example/", "10.example"),
        ] {
            assert_eq!(judge(url).as_deref(), Ok(host), "{url}");
        }
    }

    #[test]
    fn sec_70_every_trick_breaks_a_rule() {
        for (rule, urls) in TRICKS {
            for url in *urls {
                assert_eq!(judge(url), Err(*rule), "{url}");
            }
        }
    }

    #[test]
    fn sec_70_a_base_url_has_one_form() {
        let check = |url| check_base(url, |_| false, false);
        for (url, one) in [
            ("https://service.example", "https://service.example"),
            ("https://service.example//", "https://service.example"),
            (
                "https://service.example/a/b/",
                "https://service.example/a/b",
            ),
        ] {
            assert_eq!(check(url), Ok(one));
        }
        let long = format!("https://service.example/{}", "x".repeat(1_024));
        for url in [
            "https://service.example/?a=b",
            "https://service.example?",
            "https://service.example/%2e%2e/",
            "https://service.example/../a",
            "https://service.example/a/./b",
            &long,
        ] {
            assert_eq!(check(url), Err(Rule::Base), "{url}");
        }
        assert_eq!(check("https://127.0.0.1/"), Err(Rule::Address));
    }

    #[test]
    fn sec_70_in_development_any_host_may_be_called_but_by_no_trick() {
        let judge = |url| check(url, |host| host == "localhost:8787", true);
        assert_eq!(
            judge("http://127.0.0.1:9000/sso/event/").as_deref(),
            Ok("127.0.0.1:9000")
        );
        assert_eq!(judge("https://[::1]:80/").as_deref(), Ok("[::1]:80"));
        assert_eq!(
            judge("http://localhost:9000/").as_deref(),
            Ok("localhost:9000")
        );
        for (url, rule) in [
            ("http://localhost:8787/", Rule::Own),
            ("ftp://127.0.0.1/", Rule::Https),
            ("http://a@127.0.0.1/", Rule::UserInfo),
            ("http://127.0.0.1 /", Rule::Characters),
        ] {
            assert_eq!(judge(url), Err(rule), "{url}");
        }
    }

    #[test]
    fn each_rule_says_what_a_url_must_be() {
        assert_eq!(
            Rule::Private.to_string(),
            "must name a host of the public internet"
        );
    }
}
