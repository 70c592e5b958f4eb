//! The rooms of `src/` stand on each other: a file names its own room and lower ones, and no higher one.

#[cfg(test)]
mod sources;

#[cfg(test)]
mod layering {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::sources::files;

    /// The rooms, lowest first: the folders of `src/`.
    const ROOMS: &[&str] = &[
        "platform",
        "http",
        "jose",
        "passkey",
        "model",
        "rules",
        "store",
        "site",
        "credential",
        "memory",
        "answer",
        "people",
        "ask",
        "authn",
        "access",
        "origin",
        "sign_in",
        "profile",
        "judge",
        "gateway",
        "admin",
        "pipeline",
        "config",
        "edge",
    ];

    #[test]
    fn no_room_knows_a_higher_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut upward = BTreeSet::new();
        for file in files(&root) {
            let module = module_of(&root, &file);
            if matches!(&*module, "base" | "lib") {
                continue;
            }
            upward.extend(higher(&module, &fs::read_to_string(&file).unwrap()));
        }
        assert!(upward.is_empty(), "these point up: {upward:#?}");
    }

    #[test]
    fn what_points_up_is_found() {
        let cases: &[(&str, &str, &[&str])] = &[
            (
                "platform/shelf",
                "use crate::http::path::RequestPath;",
                &["platform/shelf names http/path"],
            ),
            (
                "rules/claim",
                "use crate::{model::claim, edge::{self, glue}};",
                &["rules/claim names edge", "rules/claim names edge/glue"],
            ),
            (
                "origin",
                "fn sends() { super::pipeline::deliver::run() }",
                &["origin names pipeline/deliver/run"],
            ),
            (
                "judge",
                "use crate::judge::other; use crate::access::grant; use super::authn;",
                &[],
            ),
        ];
        for (module, text, expected) in cases {
            let found = higher(module, text);
            assert!(found.iter().eq(*expected), "{module}: {text}: {found:?}");
        }
    }

    #[test]
    fn every_way_to_name_a_module_is_read() {
        let root = Path::new("src");
        let cases: &[(&str, &str, &[&str])] = &[
            (
                "a.rs",
                "use crate::{a::{b, c}, d::e};",
                &["a/b", "a/c", "d/e"],
            ),
            (
                "a.rs",
                "use crate::{\n    a::{self, b::C},\n    d::*,\n};",
                &["a", "a/b", "d"],
            ),
            (
                "a.rs",
                "fn f() -> crate::w::V { crate::x::y(1) + crate::z::NUMBER }",
                &["w", "x/y", "z"],
            ),
            ("a/mod.rs", "use super::b::c;", &["b/c"]),
            ("a/mod.rs", "use super::{b::{c, D}, e};", &["b", "b/c", "e"]),
            ("a/b.rs", "super::c::call()", &["a/c/call"]),
            ("a/b.rs", "use super::*;", &["a"]),
            (
                "a/b/c.rs",
                "use super::super::d; use super::e;",
                &["a/b/e", "a/d"],
            ),
            (
                "a.rs",
                "// crate::b\nfn f() {} // crate::c\n#[cfg(test)]\nmod tests { use crate::d; }",
                &[],
            ),
            ("a.rs", "use other_crate::b; pub(super) fn f() {}", &[]),
        ];
        for (file, text, expected) in cases {
            let found = named(&module_of(root, &root.join(file)), text);
            assert!(found.iter().eq(*expected), "{file}: {text}: {found:?}");
        }
    }

    /// What a file names of rooms above its own.
    fn higher(module: &str, text: &str) -> BTreeSet<String> {
        let own = floor_of(module);
        named(module, text)
            .iter()
            .filter(|name| floor_of(name) > own)
            .map(|name| format!("{module} names {name}"))
            .collect()
    }

    /// The floor of the room that a module is in.
    fn floor_of(module: &str) -> usize {
        let room = room_of(module);
        ROOMS
            .iter()
            .position(|known| *known == room)
            .unwrap_or_else(|| panic!("{module} is in no room: name it in ROOMS"))
    }

    fn room_of(module: &str) -> &str {
        module.split('/').next().unwrap_or_default()
    }

    /// `src/jose/jws.rs` is `jose/jws`, and `src/jose/mod.rs` is `jose`.
    fn module_of(root: &Path, file: &Path) -> String {
        let path = file.strip_prefix(root).unwrap().with_extension("");
        let path = path.to_str().unwrap();
        path.strip_suffix("/mod").unwrap_or(path).to_owned()
    }

    /// The modules of this crate that a file names outside its comments and tests, `jose/jws` for
    /// `crate::jose::jws::Header` and, in `jose/jwt`, for `super::jws::Header`. Functions are taken for modules.
    fn named(module: &str, text: &str) -> BTreeSet<String> {
        let text = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        let code: String = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" ");
        let mut found = BTreeSet::new();
        for (at, _) in code.match_indices("crate::") {
            if begins_word(&code, at) {
                expand("", &code[at + "crate::".len()..], &mut found);
            }
        }
        for (at, _) in code.match_indices("super::") {
            if begins_word(&code, at) && !code[..at].ends_with("super::") {
                let (parent, rest) = above(module, &code[at..]);
                expand(parent, rest, &mut found);
            }
        }
        found
    }

    fn begins_word(code: &str, at: usize) -> bool {
        !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    /// The module that each `super::` before a path leads to, and the path behind them.
    fn above<'a, 'b>(module: &'a str, path: &'b str) -> (&'a str, &'b str) {
        let (mut module, mut path) = (module, path);
        while let Some(rest) = path.strip_prefix("super::") {
            module = module.rsplit_once('/').map_or("", |(parent, _)| parent);
            path = rest;
        }
        (module, path)
    }

    /// Takes the paths of a use tree apart, as far as they name modules.
    fn expand(prefix: &str, text: &str, found: &mut BTreeSet<String>) {
        let text = text.trim_start();
        if let Some(group) = text.strip_prefix('{') {
            for item in items(group) {
                expand(prefix, item, found);
            }
            return;
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        let (word, rest) = text.split_at(end.unwrap_or(text.len()));
        let is_module = word.starts_with(|c: char| c.is_ascii_lowercase()) && word != "self";
        if !is_module {
            found.extend((!prefix.is_empty()).then(|| prefix.to_owned()));
            return;
        }
        let path = if prefix.is_empty() {
            word.to_owned()
        } else {
            format!("{prefix}/{word}")
        };
        match rest.strip_prefix("::") {
            Some(rest) => expand(&path, rest, found),
            None => found.extend([path]),
        }
    }

    /// The items of a group, whose brace is open.
    fn items(group: &str) -> Vec<&str> {
        let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    found.push(&group[start..at]);
                    return found;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    found.push(&group[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        found
    }
}
