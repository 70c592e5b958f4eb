//! Any path: what is sent stays as it is, in its strict form no server finds another path, and a return
//! address stays on its site.
#![no_main]

use edgeward::ask::return_to::ReturnTo;
use edgeward::http::path::RequestPath;
use edgeward::http::request::Parts;
use libfuzzer_sys::fuzz_target;

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
    if let Some(to) = ReturnTo::parse_local(text, &here) {
        let rest = to
            .as_str()
            .strip_prefix("https://site.example/")
            .expect("a URL of the site");
        assert!(!rest.starts_with('/') && to.as_str().bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(to.local(), format!("/{rest}"));
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
