//! Any text as a credential: nobody gets in by it; and any claims, signed with the right secret: only
//! those that are for this site and still valid are taken.
#![no_main]

use std::collections::BTreeMap;
use std::rc::Rc;

use edgeward::credential::{session, sso_token};
use edgeward::jose::hmac::HmacAlgorithm;
use edgeward::jose::jws;
use edgeward::jose::jws::{Kind, UntrustedJws};
use edgeward::model::api_token::PlainApiToken;
use edgeward::platform::time::{Seconds, Timestamp};
use edgeward::site::Site;
use edgeward::site::config::Config;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_seconds(1_780_000_000);

thread_local! {
    static WORLD: (Config, Rc<Site>) = world();
}

/// A configuration with secrets for development only.
fn world() -> (Config, Rc<Site>) {
    let site = json!({
        "hosts": ["site.example"],
        "upstream": "https://origin.example",
        "sources": ["session", "bearer"],
        "unauthenticated": "deny",
    });
    let bindings = BTreeMap::from([
        (
            "EDGEWARD_SESSION_SECRET_1".into(),
            "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu".into(),
        ),
        (
            "EDGEWARD_TOKEN_SECRET_1".into(),
            "Zx81mQw0eRt5yUi7oPa3sDf6gHj9kLzX".into(),
        ),
        (
            "EDGEWARD_KEY_SECRET_1".into(),
            "Vb4nMq2wEr8tYu1iOp5aSd7fGh0jKl3z".into(),
        ),
        ("EDGEWARD_SITE_APP".into(), site.to_string()),
    ]);
    let config = edgeward::config::parse(&bindings).expect("a good configuration");
    let site = config.site("site.example", "https", "/").expect("its site");
    (config, site)
}

fuzz_target!(|text: &str| {
    WORLD.with(|(config, site)| {
        assert!(sso_token::read(config, site, text, NOW).is_err());
        assert!(session::read(config, site, text, NOW).is_err());
        if let Ok(token) = UntrustedJws::parse(text) {
            assert_eq!(text.bytes().filter(|byte| *byte == b'.').count(), 2);
            let _ = token.names_our_kind();
        }
        if let Some(token) = PlainApiToken::parse(text) {
            assert_eq!((token.reveal(), text.len()), (text, 53));
        }
        if let Ok(claims) = serde_json::from_str::<Value>(text) {
            signed(config, site, &claims);
        }
    });
});

fn signed(config: &Config, site: &Site, claims: &Value) {
    let sign = |kind, ring| jws::sign(kind, HmacAlgorithm::Hs256, ring, claims);
    let sso = sign(Kind::Sso, &config.keys.token);
    if let Ok(read) = sso_token::read(config, site, &sso, NOW) {
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("edgeward"), &json!(read.user.as_str()))
        );
        assert_eq!(claims["user_id"], claims["sub"]);
        assert!(read.expires_at > NOW && read.expires_at <= read.issued_at + Seconds(900));
        assert!(read.issued_at <= NOW + Seconds(5) && !read.id.is_empty());
    }
    let own = sign(Kind::Session, &config.keys.session);
    if let Ok(read) = session::read(config, site, &own, NOW) {
        assert!(read.expires_at > NOW && session::ends_at(site, &read) > NOW);
    }
    // Of the wrong kind, it is nothing.
    assert!(session::read(config, site, &sso, NOW).is_err());
    assert!(sso_token::read(config, site, &own, NOW).is_err());
}
