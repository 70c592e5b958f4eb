//! The in-memory ports behave as the real ones: both run through the same steps
//! (`tests/edge/records.test.mjs` runs the real ones).

use std::rc::Rc;

use edgeward::platform::port::{Change, Changed, Records as _};
use serde_json::{Value, json};

use crate::harness::records::MemoryRecords;
use crate::harness::run;
use crate::harness::shared::Shared;

const RECORDS: &str = include_str!("../contracts/records.json");

fn change_of(value: &Value) -> Change {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let then = value["then"].as_array();
    Change {
        key: text("key").unwrap(),
        from: text("from"),
        to: text("to"),
        needs: value.get("needs").map(|needed| Box::new(change_of(needed))),
        then: then.map_or_else(Vec::new, |list| list.iter().map(change_of).collect()),
        keep: value["keep"] == true,
        fresh: value["fresh"] == true,
        order: value["order"].as_u64(),
        older_than: value["older_than"].as_u64(),
    }
}

#[test]
fn the_writers_in_memory_keep_the_contract_of_the_real_ones() {
    let cases: Vec<Value> = serde_json::from_str(RECORDS).unwrap();
    let records = MemoryRecords(Rc::new(Shared::default()));
    for case in cases {
        for step in case["steps"].as_array().unwrap() {
            let found = if let Some(change) = step.get("change") {
                match run(records.change(&change_of(change))).0.unwrap() {
                    Changed::Done => json!("done"),
                    Changed::Holds(value) => json!({ "holds": value }),
                }
            } else if let Some(key) = step["keep"].as_str() {
                run(records.keep(key)).0.unwrap();
                continue;
            } else {
                json!(run(records.read(step["read"].as_str().unwrap())).0.unwrap())
            };
            assert_eq!(found, step["gives"], "{}: {step}", case["name"]);
        }
    }
}

#[test]
fn a_change_crosses_with_the_names_of_the_contract() {
    let change = Change {
        key: "a".into(),
        from: Some("1".into()),
        to: Some("2".into()),
        needs: Some(Box::default()),
        then: vec![Change::default()],
        keep: true,
        fresh: true,
        order: Some(1),
        older_than: Some(2),
    };
    let empty = json!({"key": "", "from": null, "to": null});
    let crossed = json!({
        "key": "a", "from": "1", "to": "2", "needs": empty, "then": [empty], "keep": true, "fresh": true,
        "order": 1, "older_than": 2,
    });
    assert_eq!(serde_json::to_value(change).unwrap(), crossed);
}
