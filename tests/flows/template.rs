//! What is written down: the template of a deployment, and how the source may be written.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// All source files below `directory`, without those that hold tests only.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs")
            && path.file_name().is_some_and(|n| n != "tests.rs")
        {
            files.push(path);
        }
    }
    files
}

/// The file's text up to its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The last name of an expression: `secret` of `&self.secret`, `hash` of `token.hash()`.
fn last_name(expression: &str) -> &str {
    let bare = expression
        .trim_end_matches("()")
        .trim_end_matches(['?', ')']);
    let start = bare.rfind(|c: char| !(c.is_alphanumeric() || c == '_'));
    start.map_or(bare, |at| &bare[at + 1..])
}

/// What must be compared in constant time, by what it is called here.
const SECRETS: [&str; 14] = [
    "secret",
    "secrets",
    "bytes",
    "signature",
    "mac",
    "hash",
    "digest",
    "sha256",
    "stored",
    "reveal",
    "plain",
    "checksum",
    "password",
    "as_bytes",
];

#[test]
fn sec_13_no_secret_is_compared_with_the_equals_sign() {
    // A secret from the configuration against the list of published ones, when an isolate starts.
    let allowed = ["PUBLISHED.lines().any(|known| known == secret)"];
    let mut looked_at = 0;
    for path in sources(&root().join("src")) {
        for line in code(&path).lines() {
            let line = line.split("//").next().unwrap();
            for operator in [" == ", " != "] {
                for (at, _) in line.match_indices(operator) {
                    looked_at += 1;
                    let stops = |c: char| " ,;{}|".contains(c);
                    let left = line[..at].rsplit(stops).next().unwrap();
                    let right = line[at + 4..].split(stops).next().unwrap();
                    let named = [left, right].map(last_name);
                    let fine = !named.iter().any(|name| SECRETS.contains(name));
                    let known = allowed.iter().any(|text| line.contains(text));
                    assert!(fine || known, "{}: {}", path.display(), line.trim());
                }
            }
        }
    }
    assert!(looked_at > 50);
    // The scan would find one.
    assert!(
        ["self.secret", "&hash", "token.reveal()", "x.signature?"]
            .map(last_name)
            .iter()
            .all(|n| SECRETS.contains(n))
    );
}

#[test]
fn sec_17_no_private_key_of_an_asymmetric_algorithm_is_used_in_wasm() {
    // The Worker has no crate that could: what can is for tests alone.
    let manifest = read("Cargo.toml");
    let (shipped, _) = manifest.split_once("[dev-dependencies]").unwrap();
    for name in [
        "rsa", "ring", "p256", "p384", "p521", "ecdsa", "ed25519", "openssl", "aws-lc",
    ] {
        let named = shipped
            .lines()
            .any(|line| line.starts_with(name) || line.contains(&format!("\"{name}")));
        assert!(!named, "{name}");
    }
    // Signing is a verb of WebCrypto, and a key pair comes from it whole.
    let glue = read("src/edge/crypto.js");
    assert!(glue.contains("crypto.subtle.sign(") && glue.contains("crypto.subtle.generateKey("));
}

#[test]
fn sec_72_nothing_in_the_source_may_panic_on_input() {
    let manifest = read("Cargo.toml");
    for lint in [
        "expect_used",
        "indexing_slicing",
        "panic",
        "todo",
        "unwrap_used",
        "allow_attributes",
    ] {
        assert!(manifest.contains(&format!("\n{lint} = \"warn\"")), "{lint}");
    }
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    let mut exceptions = Vec::new();
    for path in sources(&root().join("src")) {
        let code = code(&path);
        assert!(
            !code.contains("#[allow(") && !code.contains("#![allow("),
            "{}",
            path.display()
        );
        for lint in [
            "unwrap_used",
            "expect_used",
            "indexing_slicing",
            "clippy::panic",
        ] {
            if code.contains(lint) {
                exceptions.push(path.strip_prefix(root()).unwrap().display().to_string());
            }
        }
    }
    exceptions.dedup();
    // Without random numbers nothing may go on.
    exceptions.retain(|path| path != "src/edge/platform.rs");
    assert_eq!(exceptions, [""; 0]);
}

#[test]
fn nothing_outside_the_shell_names_the_worker_or_asks_for_the_time() {
    for path in sources(&root().join("src")) {
        let name = path
            .strip_prefix(root().join("src"))
            .unwrap()
            .display()
            .to_string();
        if name.starts_with("edge") || name.starts_with("bin") {
            continue;
        }
        let code = code(&path);
        let lines = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            for foreign in [
                "worker::",
                "wasm_bindgen",
                "js_sys",
                "web_sys",
                "SystemTime",
                "Instant::",
                "getrandom",
            ] {
                assert!(!line.contains(foreign), "{name}: {line}");
            }
            // A profile reads the cookies of an origin's answer to itself; `origin/response` takes some off.
            let elsewhere = [
                "http/reserved",
                "origin/response",
                "profile/label_studio/calls",
            ];
            let writes_cookies = line.contains("\"set-cookie\"")
                && !elsewhere.iter().any(|file| name.starts_with(file));
            assert!(!writes_cookies, "{name}: {line}");
        }
    }
}

#[test]
fn sec_69_the_template_opens_no_second_way_to_the_worker() {
    let template = read("wrangler.toml");
    let top = template.split("\n[").next().unwrap();
    assert!(top.contains("\nworkers_dev = false") && top.contains("\npreview_urls = false"));
    let deployed = template.split("\n[env.local").next().unwrap();
    assert!(!deployed.contains("workers_dev = true") && !deployed.contains("preview_urls = true"));
    // No invocation log, which would hold every query, is switched on.
    assert!(deployed.contains("invocation_logs = false"));
}
