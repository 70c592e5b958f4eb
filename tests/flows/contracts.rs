//! The in-memory ports behave as the real ones: both run through the same steps
//! (`tests/edge/records.test.mjs` and `tests/edge/passwords.test.mjs` run the real ones).

use std::rc::Rc;

use edgeward::platform::port::{
    Attempt, Attempted, Change, Changed, NewPassword, Passwords as _, Records as _,
};
use edgeward::platform::time::Timestamp;
use serde_json::{Value, json};

use crate::harness::passwords::{MemoryPasswords, hashed};
use crate::harness::ports::Seeded;
use crate::harness::records::MemoryRecords;
use crate::harness::run;
use crate::harness::shared::Shared;

const RECORDS: &str = include_str!("../contracts/records.json");
const ATTEMPTS: &str = include_str!("../contracts/attempts.json");

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

#[test]
fn attempts_in_memory_keep_the_contract_of_the_real_ones() {
    let cases: Vec<Value> = serde_json::from_str(ATTEMPTS).unwrap();
    let right = "the right password";
    let stored = hashed(right);
    for (index, case) in cases.iter().enumerate() {
        let shared = Rc::new(Shared::default());
        let passwords = MemoryPasswords(Rc::clone(&shared), Seeded::new(0));
        for step in case["steps"].as_array().unwrap() {
            shared
                .now
                .set(Timestamp::from_millis(1 + step["at"].as_u64().unwrap()));
            let password = match step["password"].as_str().unwrap() {
                "right" => right.to_owned(),
                "long" => "x".repeat(1025),
                other => other.to_owned(),
            };
            let attempt = Attempt {
                user: &index.to_string(),
                lane: step["lane"].as_str().unwrap(),
                trusted: step["trusted"] == true,
                password: &password,
                hash: (step["unknown"] != true).then_some(&stored),
            };
            for _ in 0..step["times"].as_u64().unwrap_or(1) {
                let given = match run(passwords.attempt(&attempt)).0.unwrap() {
                    Attempted::Right => "right".to_owned(),
                    Attempted::Wrong => "wrong".to_owned(),
                    Attempted::Wait(seconds) => format!("wait {}", seconds.0),
                    Attempted::Busy(seconds) => format!("busy {}", seconds.0),
                };
                assert_eq!(given, step["gives"], "{}: {step}", case["name"]);
            }
        }
    }
}

#[test]
fn a_password_that_was_hashed_in_memory_is_right_and_each_has_a_salt_of_its_own() {
    let shared = Rc::new(Shared::default());
    let passwords = MemoryPasswords(Rc::clone(&shared), Seeded::new(0));
    let hash = |password: &str| run(passwords.hash("u", password)).0.unwrap();
    let (NewPassword::Hashed(first), NewPassword::Hashed(second)) =
        (hash("correct horse"), hash("correct horse"))
    else {
        panic!("not hashed");
    };
    assert_ne!(first.salt, second.salt);
    for (password, expected) in [
        ("correct horse", Attempted::Right),
        ("Correct horse", Attempted::Wrong),
    ] {
        let attempt = Attempt {
            user: "u",
            lane: "l",
            trusted: false,
            password,
            hash: Some(&first),
        };
        assert_eq!(run(passwords.attempt(&attempt)).0, Ok(expected));
    }
    assert_eq!(hash("7 bytes"), NewPassword::TooShort);
    assert!(matches!(hash("8 bytes."), NewPassword::Hashed(_)));
    assert_eq!(hash(&"x".repeat(1025)), NewPassword::TooLong);
    assert_eq!(hash("Password1"), NewPassword::Common);
}
