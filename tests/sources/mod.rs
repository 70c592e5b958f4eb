//! The source files of the crate, for tests that read them. The standard library alone: such a test is compiled without
//! cargo as well.

use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files below `folder`, without tests.
pub fn files(folder: &Path) -> Vec<PathBuf> {
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
