//! The rooms of `src/` stand on each other: a file names its own room and lower ones, and no higher one.
//!
//! A room is a purpose, not yet always a folder: `ROOMS` says which files belong to which. What still
//! points up is listed in `EXCEPTIONS`, which may only shrink: an exception that nothing needs any more
//! fails the test as well.

#[cfg(test)]
mod layering {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The rooms, lowest first, each with the modules that are in it. The longest name decides: `token/jws`
    /// is not in the room of `token`.
    const ROOMS: &[(&str, &[&str])] = &[
        ("platform", &["port", "time", "memory"]),
        ("http", &["request", "path", "query", "origin/reserved"]),
        (
            "jose",
            &[
                "token/alg",
                "token/algorithm",
                "token/der",
                "token/error",
                "token/json",
                "token/jws",
                "token/jwt",
                "token/key",
            ],
        ),
        ("model", &["user", "claim", "token/api_token"]),
        ("rules", &["access"]),
        ("store", &["store"]),
        (
            "credential",
            &["session", "token/issue", "token/link", "token/stray"],
        ),
        (
            "memory",
            &[
                "world",
                "cache",
                "own_changes",
                "token/jwks",
                "token/attempts",
            ],
        ),
        ("answer", &["denial", "answer", "page", "event"]),
        ("people", &["people"]),
        ("ask", &["route", "asked", "token/source"]),
        ("authn", &["token", "token/issuer", "principal"]),
        ("guard", &["cors", "same_origin"]),
        ("origin", &["origin", "token/assertion"]),
        ("sign_in", &["login", "account"]),
        ("profile", &["profile"]),
        ("admin", &["admin"]),
        ("pipeline", &["gateway", "outcome"]),
        ("config", &["config"]),
        ("edge", &["edge"]),
    ];

    /// What still points up: the file, and the module that it names.
    const EXCEPTIONS: &[(&str, &str)] = &[
        ("access", "principal"),
        ("account", "config"),
        ("admin", "config"),
        ("admin/explain", "config"),
        ("admin/issue", "config"),
        ("answer", "config"),
        ("asked", "config"),
        ("asked", "cors"),
        ("cache", "origin"),
        ("cache", "profile"),
        ("cache", "token/issuer"),
        ("cors", "config"),
        ("event", "config"),
        ("gateway", "config"),
        ("login", "config"),
        ("origin", "config"),
        ("origin/mutate", "config"),
        ("origin/rewrite", "config"),
        ("origin/strip", "config"),
        ("origin/told", "config"),
        ("outcome", "config"),
        ("page", "config"),
        ("port", "token/algorithm"),
        ("principal", "config"),
        ("profile", "config"),
        ("profile/label_studio", "config"),
        ("profile/label_studio/account", "config"),
        ("profile/label_studio/calls", "config"),
        ("profile/label_studio/pat", "config"),
        ("route", "config"),
        ("same_origin", "config"),
        ("session", "config"),
        ("token", "config"),
        ("token/api_token", "store"),
        ("token/api_token", "world"),
        ("token/assertion", "config"),
        ("token/issue", "config"),
        ("token/issuer", "config"),
        ("token/jwks", "config"),
        ("token/link", "cache"),
        ("token/link", "config"),
        ("token/link", "principal"),
        ("token/link", "world"),
        ("token/source", "config"),
        ("token/source", "login"),
        ("world", "config"),
    ];

    #[test]
    fn no_room_knows_a_higher_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeSet::new();
        for file in files(&root) {
            let module = module_of(&root, &file);
            if module == "lib" || module.starts_with("bin/") {
                continue;
            }
            let own = floor_of(&module);
            let text = fs::read_to_string(&file).unwrap();
            let names = named(&text);
            let upward = names.iter().filter(|name| floor_of(name) > own);
            found.extend(upward.map(|name| (module.clone(), home_of(name).1.to_owned())));
        }
        let allowed = EXCEPTIONS
            .iter()
            .map(|(file, name)| ((*file).to_owned(), (*name).to_owned()))
            .collect::<BTreeSet<_>>();
        let list = |pairs: Vec<&(String, String)>| {
            let lines = pairs
                .iter()
                .map(|(file, name)| format!("    (\"{file}\", \"{name}\"),"));
            lines.collect::<Vec<_>>().join("\n")
        };
        let new = list(found.difference(&allowed).collect());
        assert!(new.is_empty(), "these point up:\n{new}");
        let gone = list(allowed.difference(&found).collect());
        assert!(
            gone.is_empty(),
            "these do not point up any more; delete them from EXCEPTIONS:\n{gone}"
        );
    }

    /// The floor of the room that a module is in.
    fn floor_of(module: &str) -> usize {
        home_of(module).0
    }

    /// The floor of a module's room, and the name by which it is in there.
    fn home_of(module: &str) -> (usize, &'static str) {
        let is_within = |name: &str| {
            let rest = module.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        ROOMS
            .iter()
            .enumerate()
            .flat_map(|(floor, (_, names))| names.iter().map(move |name| (floor, *name)))
            .filter(|(_, name)| is_within(name))
            .max_by_key(|(_, name)| name.len())
            .unwrap_or_else(|| panic!("{module} is in no room: name it in ROOMS"))
    }

    /// The Rust files below a folder, without tests.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_stem().is_some_and(|name| name == "tests") {
                continue;
            }
            if path.is_dir() {
                found.extend(files(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
        found
    }

    /// `src/token/jws.rs` is `token/jws`.
    fn module_of(root: &Path, file: &Path) -> String {
        let path = file.strip_prefix(root).unwrap().with_extension("");
        path.to_str().unwrap().to_owned()
    }

    /// The modules of this crate that a file names outside its comments and tests, `token/jws` for
    /// `crate::token::jws::sign`.
    fn named(text: &str) -> BTreeSet<String> {
        let text = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
        let code: String = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" ");
        let mut found = BTreeSet::new();
        for rest in code.split("crate::").skip(1) {
            expand("", rest, &mut found);
        }
        found
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
