//! Scopes in USSO's form, `action:path?filter`, with wildcards and privilege levels. Matched
//! against the caller's scopes as the Python package `usso` does (`check_access`); a test compares
//! both.

use std::borrow::Cow;

use crate::http::query;

/// An access that a rule requires: `update:media/files?workspace_id=w1`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    text: Box<str>,
    level: u8,
    path: Box<[Box<str>]>,
    filters: Box<[(Box<str>, Box<str>)]>,
}

/// The level of `read`, which unknown actions of a caller's scope have too.
const READ: u8 = 10;

/// The level of `action`; `None` if it is unknown.
fn level(action: &str) -> Option<u8> {
    Some(match action {
        "none" => 0,
        "read" => READ,
        "create" => 20,
        "update" => 30,
        "delete" => 40,
        "manage" => 50,
        "admin" => 60,
        "owner" | "*" => 90,
        "superadmin" => 100,
        _ => return None,
    })
}

impl Access {
    /// Parses an access. `None` if the action is unknown, so that a typing error does not turn
    /// `delete` into `read`. The default action is `read`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let scope = ParsedScope::of(text);
        let level = match scope.action {
            "" => READ,
            action => level(action)?,
        };
        let mut filters: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in scope.filters() {
            if !filters.iter().any(|(known, _)| **known == *name) {
                filters.push((name.into(), value.into()));
            }
        }
        Some(Self {
            text: text.into(),
            level,
            path: scope.parts().map(Into::into).collect(),
            filters: filters.into(),
        })
    }

    /// As it was configured.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a caller with `scope` has this access.
    #[must_use]
    pub fn is_covered_by(&self, scope: &str) -> bool {
        // Parsed like the others, an empty scope would mean reading everything.
        if scope.is_empty() {
            return false;
        }
        let held = ParsedScope::of(scope);
        let held_level = match held.action {
            "" => READ,
            action => level(action).unwrap_or(READ),
        };
        held_level >= self.level && self.is_within(&held) && self.satisfies(&held)
    }

    /// Whether the paths match. They are compared from the right, as far as the shorter one goes.
    /// If the scope has wildcards, its remaining parts must be wildcards too.
    fn is_within(&self, held: &ParsedScope<'_>) -> bool {
        let mut held_parts = held.parts().rev();
        let mut wanted_parts = self.path.iter().rev();
        let (Some(held_last), Some(wanted_last)) = (held_parts.next(), wanted_parts.next()) else {
            return false;
        };
        if !fits(wanted_last, held_last) {
            return false;
        }
        let mut wild = held_last.contains('*');
        for wanted in wanted_parts {
            let Some(part) = held_parts.next() else {
                return true;
            };
            if &**wanted != "*" && !fits(wanted, part) {
                return false;
            }
            wild |= part.contains('*');
        }
        !wild || held_parts.all(|part| part == "*")
    }

    /// Whether every filter of the scope is among the required ones, with a matching value.
    fn satisfies(&self, held: &ParsedScope<'_>) -> bool {
        held.filters().enumerate().all(|(index, (name, pattern))| {
            // If a name is repeated, its first value counts.
            let repeated = held
                .filters()
                .take(index)
                .any(|(earlier, _)| earlier == name);
            let wanted = self.filters.iter().find(|(known, _)| **known == *name);
            repeated || wanted.is_some_and(|(_, value)| fits(value, &pattern))
        })
    }
}

/// The parts of a scope.
struct ParsedScope<'a> {
    action: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> ParsedScope<'a> {
    fn of(text: &'a str) -> Self {
        let (head, query) = text.split_once('?').unwrap_or((text, ""));
        let (action, path) = head.split_once(':').unwrap_or(("", head));
        Self {
            action,
            path,
            query,
        }
    }

    /// The segments of the path; an empty one matches any.
    fn parts(&self) -> impl DoubleEndedIterator<Item = &'a str> + use<'a> {
        self.path
            .split('/')
            .map(|part| if part.is_empty() { "*" } else { part })
    }

    /// Decoded names and values; filters without a value are ignored.
    fn filters(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        self.query.split('&').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (!value.is_empty()).then(|| (decoded(name), decoded(value)))
        })
    }
}

/// Copies only if there is something to decode.
fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains(['%', '+']) {
        Cow::Owned(query::decode(text))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether `text` matches a shell pattern: `*`, `?`, `[a-z]`, `[!a-z]` (as Python's `fnmatch`).
fn fits(text: &str, pattern: &str) -> bool {
    let (mut text, mut pattern) = (text, pattern);
    // The last `*` and what it matches so far; earlier ones need not be tried again.
    let mut retry: Option<(&str, &str)> = None;
    loop {
        let advanced = match pattern.chars().next() {
            None if text.is_empty() => return true,
            None => None,
            Some('*') => {
                pattern = pattern.get(1..).unwrap_or_default();
                retry = Some((text, pattern));
                continue;
            }
            Some(_) => text
                .chars()
                .next()
                .and_then(|c| Some((one(c, pattern)?, text.get(c.len_utf8()..)?))),
        };
        if let Some((rest_of_pattern, rest_of_text)) = advanced {
            (pattern, text) = (rest_of_pattern, rest_of_text);
            continue;
        }
        let Some((from, after_star)) = retry else {
            return false;
        };
        let mut shorter = from.chars();
        if shorter.next().is_none() {
            return false;
        }
        text = shorter.as_str();
        pattern = after_star;
        retry = Some((text, pattern));
    }
}

/// The rest of `pattern`, if its first item matches `c`.
fn one(c: char, pattern: &str) -> Option<&str> {
    let mut rest = pattern.chars();
    let first = rest.next()?;
    let rest = rest.as_str();
    if first == '['
        && let Some((set, after)) = set_of(rest)
    {
        return is_in(c, set).then_some(after);
    }
    (first == '?' || first == c).then_some(rest)
}

/// The content of a set, and the pattern after it. A `]` that comes first belongs to the set.
fn set_of(text: &str) -> Option<(&str, &str)> {
    let skipped = usize::from(text.starts_with('!'));
    let first = skipped + usize::from(text.get(skipped..)?.starts_with(']'));
    let end = first + text.get(first..)?.find(']')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn is_in(c: char, set: &str) -> bool {
    let (negated, mut items) = match set.strip_prefix('!') {
        Some(rest) => (true, rest.chars()),
        None => (false, set.chars()),
    };
    let mut found = false;
    while let Some(low) = items.next() {
        let mut ahead = items.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(high)) => {
                items = ahead;
                found |= (low..=high).contains(&c);
            }
            _ => found |= low == c,
        }
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_paths_and_filters_are_all_asked() {
        let covers = |held: &str, wanted: &str| Access::parse(wanted).unwrap().is_covered_by(held);
        for (held, wanted, expected) in [
            ("read:media/files", "read:media/files", true),
            ("manage:media/files", "delete:media/files", true),
            ("read:media/files", "update:media/files", false),
            ("*:*", "superadmin:a", false),
            ("superadmin:*", "superadmin:a", true),
            ("owner:a", "*:a", true),
            ("media/files", "media/files", true),
            ("none:a", "read:a", false),
            ("odd:a", "read:a", true),
            ("odd:a", "create:a", false),
            ("read:files", "read:media/files", true),
            ("read:media/files", "read:files", true),
            ("read:*/files", "read:files", true),
            ("read:x/*", "read:files", false),
            ("read:media//x", "read:media/files/x", true),
            ("read:m*a/f[hi]les", "read:media/files", true),
            ("read:a?user_id=1", "read:a", false),
            ("read:a?user_id=1", "read:a?user_id=1", true),
            ("read:a?user_id=1", "read:a?user_id=2", false),
            ("read:a?user_id=*", "read:a?user_id=2&x=y", true),
            ("read:a", "read:a?user_id=2", true),
            ("read:a?x=", "read:a", true),
            ("read:a?x=%61", "read:a?x=a", true),
            ("read:a?x=1&x=2", "read:a?x=1", true),
            ("read:a?x=1&x=2", "read:a?x=2", false),
            ("", "read:a", false),
        ] {
            assert_eq!(covers(held, wanted), expected, "{held} ⊇ {wanted}");
        }
        assert_eq!(Access::parse("delte:a"), None);
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (text, pattern, expected) in [
            ("abc", "a*c", true),
            ("abcbc", "a*bc", true),
            ("abc", "?b?", true),
            ("é", "?", true),
            ("b", "[a-c]", true),
            ("b", "[!a-c]", false),
            ("]", "[]]", true),
            ("x", "[!]]", true),
            ("[", "[", true),
            ("[a", "[a", true),
            ("-", "[a-]", true),
            ("b", "[c-a]", false),
            ("", "*", true),
            ("", "?", false),
            ("A", "a", false),
        ] {
            assert_eq!(fits(text, pattern), expected, "{text} {pattern}");
        }
    }
}
