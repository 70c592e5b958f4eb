//! Checks, for every request that a test sends, that the core decides the same whether it is told
//! of every header or only of those that it needs.

use edgeward::ask::source;
use edgeward::http::request::Parts;
use edgeward::origin::strip;
use edgeward::site::config::Config;
use edgeward::site::disclosure::Disclosure;

use super::request::Req;

/// Which credentials are found in `request`, and what is taken off it, does not depend on the rest.
pub fn assert_enough(config: &Config, request: &Req) {
    let told = request.parts(config);
    let whole = request.snapshot(|_, _| Disclosure::Value);
    let whole = Parts::from_snapshot(whole).unwrap();
    let Some(site) = config.site(told.authority(), told.scheme(), told.path()) else {
        return;
    };
    let found = [&told, &whole].map(|parts| {
        let presented = source::present(parts, &site);
        let stripped = strip::strip(&site, parts, &presented);
        (
            format!("{presented:?}"),
            stripped.changes,
            stripped.own,
            parts.wants_page(),
            parts.is_speculative(),
            parts.is_websocket(),
        )
    });
    assert_eq!(found[0], found[1], "{request:?}");
}
