//! Every public item in `src/` and `shell/` has a doc comment: modules, functions, methods of traits, types, traits, constants and
//! statics. Fields and variants need none where the name says enough, which rustc's `missing_docs` cannot express.

#[cfg(test)]
mod sources;

#[cfg(test)]
mod documented {
    use std::fs;
    use std::path::Path;

    use super::sources::files;

    const ITEMS: [&str; 9] = [
        "const ", "enum ", "fn ", "mod ", "static ", "struct ", "trait ", "type ", "union ",
    ];

    #[test]
    fn every_public_item_has_a_doc_comment() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = [files(&root.join("src")), files(&root.join("shell/src"))].concat();
        assert!(files.len() > 100, "found only {} files", files.len());
        let mut missing = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(root).unwrap().display();
            let items = undocumented(&text);
            missing.extend(
                items
                    .iter()
                    .map(|(line, item)| format!("{name}:{line}: {item}")),
            );
        }
        assert!(
            missing.is_empty(),
            "without a doc comment:\n{}",
            missing.join("\n")
        );
    }

    #[test]
    fn each_kind_of_item_without_a_doc_comment_is_found() {
        let text = r#"//! A module.

/// Documented.
pub fn one() {}
pub const fn two() {}
#[must_use]
pub struct Three {
    pub field: u8,
}
/// Documented above an attribute of several lines.
#[expect(
    clippy::x,
    reason = "y [z]"
)]
pub const FOUR: [u8; 1] = [4];
pub const FIVE: u8 = 5;
pub(crate) async fn six() {}
fn private() {}
/// A trait.
pub trait Seven {
    /// Documented.
    fn eight(&self);
    fn nine(&self);
}
impl Seven for u8 {
    fn nine(&self) {}
    pub unsafe fn ten(&self) {}
}
unsafe extern "C" {
    pub fn foreign();
}
pub mod eleven;
pub mod twelve {}
pub use one as thirteen;
// No doc comment.
pub static FOURTEEN: u8 = 14;
pub type Fifteen = u8;
#[cfg(test)]
mod tests {
    pub fn helper() {}
}
"#;
        let found: Vec<usize> = undocumented(text)
            .into_iter()
            .map(|(line, _)| line)
            .collect();
        assert_eq!(found, [5, 7, 16, 17, 23, 27, 33, 36, 37]);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_found() {
        assert_eq!(undocumented("use std::fs;\n").len(), 1);
        assert_eq!(undocumented("//! A module.\nuse std::fs;\n").len(), 0);
    }

    /// Lines and items without a doc comment. A module in a file of its own has its doc comment there.
    fn undocumented(text: &str) -> Vec<(usize, &str)> {
        let code = text.split("\n#[cfg(test)]\nmod").next().unwrap_or_default();
        let lines: Vec<&str> = code.lines().collect();
        let mut found = Vec::new();
        if !code.starts_with("//! ") {
            found.push((1, "the module"));
        }
        // The indentation of the trait or of the foreign functions that a line is in.
        let mut open_trait = None;
        let mut open_extern = None;
        for (index, line) in lines.iter().enumerate() {
            let item = line.trim_start();
            let indent = line.len() - item.len();
            let is_method = open_trait.is_some_and(|of| indent == of + 4 && is_item(item));
            let is_public = public(item).is_some_and(is_item);
            // Foreign functions are documented in JavaScript, where they are written.
            if open_extern.is_none()
                && (is_method || is_public)
                && !is_file_module(item)
                && !has_docs(&lines[..index])
            {
                found.push((index + 1, item));
            }
            match open_extern {
                None if item.ends_with("extern \"C\" {") => open_extern = Some(indent),
                Some(of) if indent == of && item == "}" => open_extern = None,
                _ => {}
            }
            match open_trait {
                None if public(item).is_some_and(|item| item.starts_with("trait ")) => {
                    open_trait = Some(indent);
                }
                Some(of) if indent == of && item == "}" => open_trait = None,
                _ => {}
            }
        }
        found
    }

    /// What follows `pub` or `pub(crate)`. The items of one room are its own affair.
    fn public(line: &str) -> Option<&str> {
        let rest = line.strip_prefix("pub")?;
        rest.strip_prefix("(crate)")
            .unwrap_or(rest)
            .strip_prefix(' ')
    }

    fn is_item(mut text: &str) -> bool {
        for qualifier in ["const ", "async ", "unsafe "] {
            // `const` also begins an item of its own.
            if let Some(rest) = text.strip_prefix(qualifier)
                && (rest.starts_with("fn ")
                    || rest.starts_with("unsafe ")
                    || rest.starts_with("async "))
            {
                text = rest;
            }
        }
        ITEMS.iter().any(|item| text.starts_with(item))
    }

    fn is_file_module(line: &str) -> bool {
        public(line).is_some_and(|item| item.starts_with("mod ") && item.ends_with(';'))
    }

    /// Whether a doc comment precedes the item, with nothing but attributes between them.
    fn has_docs(above: &[&str]) -> bool {
        let mut depth = 0_i32;
        for line in above.iter().rev().map(|line| line.trim()) {
            if depth == 0 && line.starts_with("///") {
                return true;
            }
            let count = |bracket| i32::try_from(line.matches(bracket).count()).unwrap();
            depth += count(']') - count('[');
            if depth == 0 && !line.starts_with("#[") {
                return false;
            }
        }
        false
    }
}
