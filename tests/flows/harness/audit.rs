//! The audit log in memory. The chain and its check are those of the black box.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use edgeward::platform::port::{Audit, AuditCall, Fault, Pending};
use serde_json::{Value, json};

use super::shared::{Fate, Shared, Verb, later};

/// The rows of each log.
#[derive(Default)]
pub struct AuditLogs(RefCell<BTreeMap<String, Vec<Value>>>);

impl AuditLogs {
    /// All rows, of all logs.
    pub fn rows(&self) -> Vec<Value> {
        self.0.borrow().values().flatten().cloned().collect()
    }

    /// The rows about `action`.
    pub fn about(&self, action: &str) -> Vec<Value> {
        let mut rows = self.rows();
        rows.retain(|row| row["action"] == action);
        rows
    }

    pub fn names(&self) -> Vec<String> {
        self.0.borrow().keys().cloned().collect()
    }

    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    fn call(&self, log: &str, call: &AuditCall, now: u64) -> Value {
        let mut logs = self.0.borrow_mut();
        match call {
            AuditCall::Append { rows, ends, .. } => {
                assert!(*ends > now, "rows are forgotten at once");
                let known = logs.entry(log.to_owned()).or_default();
                let first = known.len() + 1;
                for row in rows {
                    let mut row = row.clone();
                    row["seq"] = json!(known.len() + 1);
                    row["at"] = json!(now);
                    known.push(row);
                }
                json!({ "seq": first })
            }
            AuditCall::List {
                newest,
                position,
                limit,
                user,
                actor,
                action,
                from,
                until,
            } => {
                let rows = logs.get(log).cloned().unwrap_or_default();
                let last = rows.len();
                let wants = |row: &Value, name: &str, wanted: &Option<String>| {
                    wanted.as_ref().is_none_or(|text| row[name] == **text)
                };
                let mut found: Vec<Value> = rows
                    .into_iter()
                    .filter(|row| {
                        let (seq, at) = (row["seq"].as_u64().unwrap(), row["at"].as_u64().unwrap());
                        let is_beyond = |position| {
                            if *newest {
                                seq < position
                            } else {
                                seq > position
                            }
                        };
                        position.is_none_or(is_beyond)
                            && (*from..*until).contains(&at)
                            && wants(row, "user", user)
                            && wants(row, "actor", actor)
                            && wants(row, "action", action)
                    })
                    .collect();
                if *newest {
                    found.reverse();
                }
                let limit = usize::try_from(*limit).unwrap();
                let is_more = found.len() > limit;
                found.truncate(limit);
                let next = found
                    .last()
                    .filter(|_| is_more)
                    .map(|row| row["seq"].clone());
                json!({ "rows": found, "next": next, "last": last })
            }
            AuditCall::Verify { .. } => {
                let seq = logs.get(log).map_or(0, Vec::len);
                json!({ "ok": true, "seq": seq, "hash": "00", "done": true })
            }
        }
    }
}

pub struct MemoryAudit(pub Rc<Shared>);

impl Audit for MemoryAudit {
    fn call<'a>(&'a self, log: &'a str, call: &'a AuditCall) -> Pending<'a, Result<Value, Fault>> {
        let fate = self.0.call(Verb::Audit, log);
        later(move || {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Audit);
            }
            let now = self.0.now.get().millis();
            Ok(self.0.audit.call(log, call, now))
        })
    }
}
