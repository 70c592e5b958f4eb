//! The texts of the pages: each is used, and whatever the code names is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// The sources, with whatever can name a text.
fn sources(folder: &Path, all: &mut String) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, all)?;
        } else if path
            .extension()
            .is_some_and(|kind| kind == "rs" || kind == "html")
        {
            all.push_str(&fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[test]
fn every_text_is_used_and_every_name_is_one_of_a_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let english = fs::read_to_string(root.join("www/texts/en.txt")).unwrap();
    let names: BTreeSet<&str> = english
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" =").map(|(name, _)| name))
        .collect();
    let mut code = String::new();
    sources(&root.join("src"), &mut code).unwrap();
    sources(&root.join("www"), &mut code).unwrap();
    for name in &names {
        // Those of refusals are named by the rows; a test of the rows goes through them.
        let is_used = name.starts_with("error_") || code.contains(&format!("\"{name}\""));
        assert!(is_used, "nothing says {name}");
    }
    let mut calls = 0;
    for call in [
        "words.text(\"",
        "visit.text(\"",
        "text_with(\"",
        "words.with(\"",
    ] {
        for rest in code.split(call).skip(1) {
            let name = rest.split('"').next().unwrap_or_default();
            assert!(names.contains(name), "no text is named {name}");
            calls += 1;
        }
    }
    assert!(calls > 100, "{calls} calls were found");
}
