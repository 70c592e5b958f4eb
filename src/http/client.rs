//! Whom rate limits count as one client.

use std::fmt;
use std::net::IpAddr;

use crate::http::request::Parts;
use crate::platform::shelf::Weigh;

/// A client as rate limits count it: an IPv4 address, or the /64 network of an IPv6 address, which
/// is the least that one customer has (RFC 6177 §2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Client {
    /// IPv6 addresses without the half that the client chooses.
    Address(IpAddr),
    /// Without a valid address; all such clients count as one.
    Unknown,
}

impl Client {
    /// The client of a request, as the CDN saw it. Clients cannot set this header.
    #[must_use]
    pub fn of(parts: &Parts) -> Self {
        parts
            .header("cf-connecting-ip")
            .map_or(Self::Unknown, Self::parse)
    }

    /// Parses an address in any textual form (RFC 4291 §2.2, RFC 4007 §11).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let without_zone = text.split('%').next().unwrap_or_default();
        match without_zone
            .trim()
            .parse()
            .map(|ip: IpAddr| ip.to_canonical())
        {
            Ok(IpAddr::V6(v6)) => Self::Address(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            Ok(v4 @ IpAddr::V4(_)) => Self::Address(v4),
            Err(_) => Self::Unknown,
        }
    }
}

/// The key of the rate limiter.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(v4 @ IpAddr::V4(_)) => v4.fmt(f),
            Self::Address(v6 @ IpAddr::V6(_)) => write!(f, "{v6}/64"),
            Self::Unknown => f.write_str("local"),
        }
    }
}

impl Weigh for Client {
    fn heap(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_78_attempts_are_counted_together_however_the_address_is_written() {
        for (text, counted) in [
            ("192.0.2.1", "192.0.2.1"),
            (" 192.0.2.1 ", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:C000:0201", "192.0.2.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2:FFFF:FFFF:FFFF:FFFF", "2001:db8:1:2::/64"),
            ("2001:0db8:0001:0002:0:0:0:9", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("::1", "::/64"),
            ("", "local"),
            ("192.0.2", "local"),
            ("192.0.2.1, 192.0.2.2", "local"),
            ("x", "local"),
        ] {
            assert_eq!(Client::parse(text).to_string(), counted, "{text:?}");
        }
    }
}
