//! The directory of users in memory. How words are folded and found fast is tested with the real one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use edgeward::platform::port::{Directory, DirectoryCall, Fault, Listed, Pending};
use serde_json::{Value, json};

use super::shared::{Fate, Shared, Verb, later};

/// What it knows of each user, with the round of a rebuild that has seen the user.
#[derive(Default)]
pub struct Entries {
    users: RefCell<BTreeMap<String, (Listed, u64)>>,
    round: Cell<u64>,
    built: Cell<Option<u64>>,
    /// What was searched for last.
    pub searched: RefCell<Option<Value>>,
}

impl Entries {
    /// As the real one: an older version replaces no newer one.
    pub fn put(&self, user: &Listed, round: Option<u64>) {
        let mut users = self.users.borrow_mut();
        let round = round.unwrap_or_else(|| self.round.get());
        match users.get_mut(&user.id) {
            Some((known, seen)) => {
                *seen = round.max(*seen);
                let returns = match known.text {
                    None => user.made,
                    Some(_) => user.version == known.version,
                };
                if user.version > known.version || returns {
                    *known = user.clone();
                }
            }
            None => {
                users.insert(user.id.clone(), (user.clone(), round));
            }
        }
    }

    /// Forgets everything, as a lost object.
    pub fn lose(&self) {
        self.users.borrow_mut().clear();
        self.built.set(None);
    }

    /// The users that it knows, but for those who are gone.
    pub fn ids(&self) -> Vec<String> {
        let users = self.users.borrow();
        let there = users.values().filter(|(user, _)| user.text.is_some());
        there.map(|(user, _)| user.id.clone()).collect()
    }

    fn call(&self, call: &DirectoryCall<'_>, now: u64) -> Value {
        match call {
            DirectoryCall::Search {
                tenant,
                text,
                after,
                limit,
            } => {
                *self.searched.borrow_mut() = Some(json!([tenant, text, limit]));
                let asked = text.to_lowercase();
                let asked: Vec<&str> = asked.split_whitespace().collect();
                if asked.is_empty() {
                    return json!({});
                }
                let users = self.users.borrow();
                let fits = |user: &Listed| {
                    let text = user.text.clone().unwrap_or_default().to_lowercase();
                    let words: Vec<&str> = text.split_whitespace().collect();
                    asked
                        .iter()
                        .all(|asked| words.iter().any(|word| word.starts_with(asked)))
                };
                let after = after.as_deref().unwrap_or_default();
                let found: Vec<&Listed> = users
                    .values()
                    .map(|(user, _)| user)
                    .filter(|user| user.tenant == *tenant && user.id.as_str() > after)
                    .filter(|user| fits(user))
                    .collect();
                let limit = usize::try_from(*limit).unwrap();
                let next = (found.len() > limit).then(|| found[limit - 1].id.clone());
                let shown: Vec<Value> = found
                    .iter()
                    .take(limit)
                    .map(
                        |user| json!({ "id": user.id, "version": user.version, "text": user.text }),
                    )
                    .collect();
                json!({ "users": shown, "next": next, "built": self.built.get() })
            }
            DirectoryCall::Begin => {
                self.round.set(self.round.get() + 1);
                json!({ "round": self.round.get() })
            }
            DirectoryCall::Put { users, round, gone } => {
                for user in users {
                    self.put(user, Some(*round));
                }
                let mut all = self.users.borrow_mut();
                all.retain(|id, (_, seen)| !gone.contains(id) || *seen >= *round);
                json!({})
            }
            DirectoryCall::Stale { round, limit } => {
                let users = self.users.borrow();
                let stale = users
                    .values()
                    .filter(|(user, seen)| seen < round && user.text.is_some());
                let ids: Vec<&str> = stale
                    .map(|(user, _)| user.id.as_str())
                    .take(*limit)
                    .collect();
                json!({ "ids": ids })
            }
            DirectoryCall::Finish => {
                self.built.set(Some(now));
                json!({})
            }
        }
    }
}

pub struct MemoryDirectory(pub Rc<Shared>);

impl Directory for MemoryDirectory {
    fn is_bound(&self) -> bool {
        !self.0.has_no_directory.get()
    }

    fn call<'a>(&'a self, call: &'a DirectoryCall<'a>) -> Pending<'a, Result<Value, Fault>> {
        let fate = self.0.call(Verb::Directory, "");
        later(move || match fate {
            Fate::Fails => Err(Fault::Directory),
            _ => Ok(self.0.entries.call(call, self.0.now.get().millis())),
        })
    }
}
