//! API tokens of a deployment that nobody can call yet, over what the scripts have read of its store.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::task::{Context, Poll, Waker};

use edgeward::admin::api_tokens::{self, NewApiToken};
use edgeward::answer::denial::Denial;
use edgeward::model::api_token::{ApiTokenId, IssueFor, Scope};
use edgeward::model::user::{Name, Role, UserId};
use edgeward::platform::port::{Entropy, Fault, KeyPage, Kv, Pending};
use edgeward::platform::time::{Seconds, Timestamp};
use edgeward::store::api_tokens::ApiTokens;
use serde::Deserialize;
use serde_json::{Value, json};

/// Ten years.
const MAX_LIFETIME: u32 = 315_360_000;

/// A new API token, by the names of the command's options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    acts_as: Option<String>,
    expires_in: Option<u32>,
    #[serde(default)]
    email_domains: Vec<String>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Makes an API token: `{ token, id, key, value }`, the last two for the store.
pub fn create(given: Create, now: Timestamp) -> Result<Value, String> {
    let (plain, token) = api_tokens::make(&SystemEntropy, given.checked()?, now);
    let (key, value) = ApiTokens::record(&token).map_err(|fault| fault.to_string())?;
    Ok(json!({ "token": plain.reveal(), "id": token.id.as_str(), "key": key, "value": value }))
}

impl Create {
    fn checked(self) -> Result<NewApiToken, String> {
        let name = Name::parse(&self.name)
            .filter(|name| !name.as_str().is_empty())
            .ok_or("--name: it is empty, longer than 200 bytes, or has control characters")?;
        let scope = |text: String| {
            text.parse::<Scope>()
                .map_err(|_| format!("--scope: there is no scope {text}"))
        };
        let role = |text: String| {
            Role::parse(&text).ok_or(
                "--role: visible characters and, between them, spaces; at most 100 bytes"
                    .to_owned(),
            )
        };
        let acts_as = match self.acts_as {
            None => None,
            Some(id) => Some(
                UserId::parse(&id).ok_or("--acts-as: not a user's id; `user list` shows them")?,
            ),
        };
        if !self
            .expires_in
            .is_none_or(|seconds| (1..=MAX_LIFETIME).contains(&seconds))
        {
            return Err(format!("--expires-in takes 1 to {MAX_LIFETIME} seconds"));
        }
        let roles: Vec<Role> = self.roles.into_iter().map(role).collect::<Result<_, _>>()?;
        Ok(NewApiToken {
            name,
            scopes: self
                .scopes
                .into_iter()
                .map(scope)
                .collect::<Result<_, _>>()?,
            issue_for: IssueFor {
                email_domains: (!self.email_domains.is_empty()).then_some(self.email_domains),
                roles: (!roles.is_empty()).then_some(roles),
            },
            expires_in: self.expires_in.map(Seconds),
            acts_as,
            created_by: "shell".into(),
        })
    }
}

/// What is known of a store: the names of all its keys, and some values. A script that is told `{ wanted }` reads those keys and
/// asks again.
#[derive(Deserialize)]
pub struct Store {
    names: BTreeSet<String>,
    values: BTreeMap<String, String>,
    #[serde(skip)]
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    wanted: BTreeSet<String>,
    changes: Vec<Value>,
}

impl Store {
    /// What `told` says; the keys whose values are missing instead, if there are any.
    fn or_wanted(&self, told: Result<Value, Denial>) -> Result<Value, String> {
        let seen = self.seen.borrow();
        if seen.wanted.is_empty() {
            return told.map_err(|denial| denial.reason());
        }
        Ok(json!({ "wanted": seen.wanted }))
    }
}

/// `{ tokens }`, or `{ wanted }`.
pub fn list(store: &Store) -> Result<Value, String> {
    let told = ready(async {
        let tokens = ApiTokens(store);
        let mut views = Vec::new();
        for token in tokens.page(None, u32::MAX).await?.records {
            views.push(api_tokens::view(&token, tokens.last_used(&token.id).await?));
        }
        Ok(json!({ "tokens": views }))
    });
    store.or_wanted(told)
}

/// Which API token to revoke, and where.
#[derive(Deserialize)]
pub struct Revoke {
    id: String,
    with_children: bool,
    #[serde(flatten)]
    store: Store,
}

/// `{ id, name, children, changes }`, or `{ wanted }`. Only the revocation key is written, which overrides every record: a
/// record that was read here must not be written back, since it may be a minute old.
pub fn revoke(given: &Revoke, now: Timestamp) -> Result<Value, String> {
    let store = &given.store;
    let id = ApiTokenId::parse(&given.id).ok_or("not an API token's id")?;
    let told = ready(async {
        let tokens = ApiTokens(store);
        let token = tokens.find(&id).await?.ok_or(Denial::NotFound)?;
        let all = tokens.page(None, u32::MAX).await?.records;
        let children = api_tokens::family(&all, &id, now);
        tokens.revoke(&id, now).await?;
        if given.with_children {
            for child in &children {
                tokens.revoke(&child.id, now).await?;
            }
        }
        let children: Vec<&str> = children.iter().map(|token| token.id.as_str()).collect();
        Ok(json!({
            "id": id.as_str(),
            "name": token.name.as_str(),
            "children": children,
            "changes": store.seen.borrow().changes,
        }))
    });
    store.or_wanted(told)
}

/// Polls a future once: over a store that never waits, it is ready at once.
fn ready(future: impl Future<Output = Result<Value, Denial>>) -> Result<Value, Denial> {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Fault::Kv.into()),
    }
}

impl Kv for Store {
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<String>, Fault>> {
        let read = match self.values.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None if self.names.contains(key) => {
                self.seen.borrow_mut().wanted.insert(key.to_owned());
                Err(Fault::Kv)
            }
            None => Ok(None),
        };
        Box::pin(async { read })
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _: Option<Timestamp>,
    ) -> Pending<'a, Result<(), Fault>> {
        let change = json!({ "key": key, "value": value });
        self.seen.borrow_mut().changes.push(change);
        Box::pin(async { Ok(()) })
    }

    /// No function deletes.
    fn delete<'a>(&'a self, _: &'a str) -> Pending<'a, Result<(), Fault>> {
        Box::pin(async { Err(Fault::Kv) })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        _: Option<&'a str>,
        _: u32,
    ) -> Pending<'a, Result<KeyPage, Fault>> {
        let keys = self.names.range(prefix.to_owned()..);
        let keys = keys
            .take_while(|name| name.starts_with(prefix))
            .cloned()
            .collect();
        let page = KeyPage {
            keys,
            ..KeyPage::default()
        };
        Box::pin(async { Ok(page) })
    }
}

/// The operating system's generator; in Node that of Web Crypto.
struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        clippy::expect_used,
        reason = "a shell around the core has to provide randomness, and cannot continue without"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system has a random number generator");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str) -> Value {
        let given = json!({ "name": name, "scopes": ["admin"] });
        create(
            serde_json::from_value(given).unwrap(),
            Timestamp::from_millis(1_000),
        )
        .unwrap()
    }

    #[test]
    fn a_store_is_read_key_by_key_until_a_token_can_be_revoked() {
        let records = [made("a"), made("b")];
        let key = |record: &Value| record["key"].as_str().unwrap().to_owned();
        let names: Vec<String> = records.iter().map(key).collect();
        let mut values = serde_json::Map::new();
        let mut asked = 0;
        let told = loop {
            let given = json!({ "id": records[0]["id"], "with_children": false, "names": names, "values": values });
            let told = revoke(
                &serde_json::from_value(given).unwrap(),
                Timestamp::from_millis(2_000),
            )
            .unwrap();
            let Some(wanted) = told.get("wanted") else {
                break told;
            };
            asked += 1;
            for key in wanted.as_array().unwrap() {
                let record = records.iter().find(|record| record["key"] == *key).unwrap();
                values.insert(key.as_str().unwrap().to_owned(), record["value"].clone());
            }
        };
        assert!(asked > 0 && values.len() == 2, "{asked}: {values:?}");
        let id = records[0]["id"].as_str().unwrap();
        assert_eq!(
            told["changes"],
            json!([{ "key": format!("api_token_revoked:{id}"), "value": "2000" }])
        );
        assert_eq!(told["name"], "a");
    }

    #[test]
    fn what_no_api_token_may_have_is_refused() {
        for given in [
            json!({ "name": "" }),
            json!({ "name": "n", "scopes": ["root"] }),
            json!({ "name": "n", "acts_as": "x" }),
            json!({ "name": "n", "expires_in": 0 }),
            json!({ "name": "n", "roles": ["a\tb"] }),
        ] {
            let asked = create(
                serde_json::from_value(given.clone()).unwrap(),
                Timestamp::from_millis(0),
            );
            assert!(
                asked.as_ref().is_err_and(|error| error.starts_with("--")),
                "{given}: {asked:?}"
            );
        }
    }
}
