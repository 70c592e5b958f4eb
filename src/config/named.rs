//! Settings that name tables of another kind.

use std::rc::Rc;

use crate::config::reader::{Field, Reader};

/// The tables of one kind.
pub(super) struct Tables<T> {
    pub(super) read: Vec<Rc<T>>,
    /// The names of those that have errors, which are reported where they are.
    pub(super) failed: Vec<String>,
}

impl<T> Tables<T> {
    /// Adds what was read of the table `name`.
    pub(super) fn add(&mut self, name: String, read: Option<Rc<T>>) {
        match read {
            Some(read) => self.read.push(read),
            None => self.failed.push(name),
        }
    }

    /// Resolves the names in `setting`. `None` if a name has no table, which is reported here, or one with errors: what
    /// depends on the tables cannot be judged then.
    pub(super) fn named(
        &self,
        (setting, field): (&str, Field<Vec<String>>),
        (kind, prefix): (&str, &str),
        name_of: fn(&T) -> &str,
        reader: &mut Reader<'_>,
    ) -> Option<Vec<Rc<T>>> {
        let mut found: Option<Vec<Rc<T>>> = Some(Vec::new());
        for name in reader.with_default(setting, field, Vec::new()) {
            let table = self.read.iter().find(|table| name_of(table) == name);
            let twice = |table: &Rc<T>| {
                let mut known = found.iter().flatten();
                known.any(|other| Rc::ptr_eq(other, table))
            };
            match table {
                Some(table) if twice(table) => {
                    reader.error(setting, format!("names {name:?} twice"));
                }
                Some(table) => {
                    if let Some(found) = &mut found {
                        found.push(Rc::clone(table));
                    }
                }
                None => {
                    found = None;
                    let lower = name.to_ascii_lowercase();
                    let mut known = self.read.iter().map(|table| name_of(table));
                    let is_known = |name: &String| self.failed.contains(name);
                    if name != lower && (known.any(|known| known == lower) || is_known(&lower)) {
                        let error = format!("{name:?} must be written in lower case: {lower:?}");
                        reader.error(setting, error);
                    } else if !is_known(&name) {
                        let binding = name.to_ascii_uppercase();
                        let error = format!(
                            "{name:?} is no {kind}: the table {prefix}{binding} is missing"
                        );
                        reader.error(setting, error);
                    }
                }
            }
        }
        found
    }
}
