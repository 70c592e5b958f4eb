//! The rooms of `src/` stand on each other: a file names its own room and lower ones, and no higher one.

#[cfg(test)]
mod layering {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The rooms, lowest first: the folders of `src/`.
    const ROOMS: &[&str] = &[
        "platform",
        "http",
        "jose",
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
            if module == "lib" || module.starts_with("bin/") {
                continue;
            }
            let own = floor_of(&module);
            let text = fs::read_to_string(&file).unwrap();
            let names = named(&text);
            let higher = names.iter().filter(|name| floor_of(name) > own);
            upward.extend(higher.map(|name| format!("{module} names {name}")));
        }
        assert!(upward.is_empty(), "these point up: {upward:#?}");
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
        let path = path.to_str().unwrap();
        path.strip_suffix("/mod").unwrap_or(path).to_owned()
    }

    /// The modules of this crate that a file names outside its comments and tests, `token/jws` for
    /// `crate::jose::jws::sign`.
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
