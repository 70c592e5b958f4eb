//! Any path: what is sent stays as it is, in its strict form no server finds another path, and a return
//! address stays on its site.
#![no_main]

use std::collections::BTreeMap;
use std::rc::Rc;

use edgeward::ask::return_to::ReturnTo;
use edgeward::http::path::RequestPath;
use edgeward::http::request::Parts;
use edgeward::site::Site;
use edgeward::site::config::Config;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

thread_local! {
    static WORLD: (Config, Rc<Site>) = world();
}

/// A site, and another one below a path of its host. The secrets are for development only.
fn world() -> (Config, Rc<Site>) {
    let site = |host: &str| {
        json!({
            "hosts": [host],
            "upstream": "https://origin.example",
            "sources": ["session"],
            "unauthenticated": "deny",
        })
    };
    let mut bindings = BTreeMap::from([
        ("EDGEWARD_SITE_APP".into(), site("site.example").to_string()),
        ("EDGEWARD_SITE_B".into(), site("site.example/b").to_string()),
    ]);
    for (name, secret) in [
        ("SESSION", "q3Jb0pXv9sLw2mZr7tKc5nYd8fHg1aEu"),
        ("TOKEN", "Zx81mQw0eRt5yUi7oPa3sDf6gHj9kLzX"),
        ("KEY", "Vb4nMq2wEr8tYu1iOp5aSd7fGh0jKl3z"),
    ] {
        bindings.insert(format!("EDGEWARD_{name}_SECRET_1"), secret.into());
    }
    let config = edgeward::config::parse(&bindings).expect("a good configuration");
    let site = config.site("site.example", "https", "/").expect("its site");
    (config, site)
}

fuzz_target!(|text: &str| {
    if let Ok(sent) = RequestPath::parse(text) {
        let path = sent.as_str();
        assert!(path.starts_with('/') && path.is_ascii());
        assert!(!path.contains(['\\', '?', '#', ' ']));
        assert!(sent.readings().all(|reading| reading.starts_with(b"/")));
        let again = RequestPath::parse(path).expect("what is sent can be sent");
        assert_eq!(again.as_str(), path);
        assert!(again.readings().eq(sent.readings()));
    }
    if let Ok(path) = RequestPath::parse_strictly(text) {
        let path = path.as_str();
        assert!(path.starts_with('/') && path.is_ascii());
        assert!(!path.contains("//") && !path.contains(['\\', ';', '?', '#', ' ']));
        assert!(
            path.split('/')
                .all(|segment| segment != "." && segment != "..")
        );
        let lower = path.to_ascii_lowercase();
        for hidden in ["%2e", "%2f", "%5c", "%00", "%0a", "%0d", "%3b"] {
            assert!(!lower.contains(hidden), "{path}");
        }
        // Decoded once, it holds no escape.
        let twice = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        assert!(!path.split("%25").skip(1).any(twice), "{path}");
        let again = RequestPath::parse_strictly(path).expect("a canonical path is one");
        assert_eq!(again.as_str(), path);
    }
    let here = Parts::new("GET", "https://site.example/a", &[]).expect("a request");
    let to = WORLD.with(|(config, site)| ReturnTo::parse_local(text, &here, site, config));
    if let Some(to) = to {
        let rest = to
            .as_str()
            .strip_prefix("https://site.example/")
            .expect("a URL of the site");
        assert!(!rest.starts_with('/') && to.as_str().bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(to.local(), format!("/{rest}"));
        let of_other = |rest: &str| rest == "b" || rest.starts_with("b/") || rest.starts_with("b?");
        assert!(!of_other(rest), "{rest}");
    }
    if let Ok(parts) = Parts::from_snapshot(text.to_owned()) {
        assert!(!parts.authority().is_empty() && !parts.authority().contains(['/', '?', '@']));
        assert!(!parts.path().contains('?'));
        let _ = (
            parts.is_navigation(),
            parts.is_websocket(),
            parts.headers().count(),
        );
    }
});
