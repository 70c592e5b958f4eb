//! The in-memory ports behave as the real ones: both run through the same steps
//! (`tests/edge/records.test.mjs` and `tests/edge/passwords.test.mjs` run the real ones).

use std::rc::Rc;

use edgeward::platform::port::{
    Attempt, Attempted, Change, Changed, DirectoryCall, Listed, NewPassword, Notification,
    Outbox as _, OutboxCall, Passwords as _, QueuedEvent, Records as _,
};
use edgeward::platform::time::Timestamp;
use serde_json::{Value, json};

use crate::harness::outbox::MemoryOutbox;
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
        in_lists: value["in_lists"] == true,
        entry: None,
        order: value["order"].as_u64(),
        older_than: value["older_than"].as_u64(),
        notify: value["notify"]
            .as_array()
            .map_or_else(Vec::new, |list| list.iter().map(notification_of).collect()),
    }
}

fn notification_of(value: &Value) -> Notification {
    let call = match value["call"]["call"].as_str().unwrap() {
        "push" => OutboxCall::Push {
            events: value["call"]["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(event_of)
                .collect(),
        },
        "remove" => OutboxCall::Remove,
        other => panic!("the contract has no call {other}"),
    };
    Notification {
        service: value["service"].as_str().unwrap().into(),
        call,
    }
}

fn event_of(value: &Value) -> QueuedEvent {
    let text = |name: &str| value[name].as_str().unwrap().to_owned();
    QueuedEvent {
        id: text("id"),
        user: text("user"),
        kind: text("kind"),
        body: value["body"].clone(),
        until: None,
    }
}

/// The ids of the events that wait for a service.
fn waiting(shared: &Rc<Shared>, service: &str) -> Value {
    let outbox = MemoryOutbox(Rc::clone(shared));
    let all = OutboxCall::List {
        dead: false,
        cursor: None,
        limit: 100,
    };
    let page = run(outbox.call(service, &all)).0.unwrap();
    let events = page["events"].as_array().unwrap();
    events.iter().map(|event| event["id"].clone()).collect()
}

#[test]
fn the_writers_in_memory_keep_the_contract_of_the_real_ones() {
    let cases: Vec<Value> = serde_json::from_str(RECORDS).unwrap();
    let shared = Rc::new(Shared::default());
    let records = MemoryRecords(Rc::clone(&shared));
    for case in cases {
        for step in case["steps"].as_array().unwrap() {
            let found = if let Some(change) = step.get("change") {
                match run(records.change(&change_of(change))).0.unwrap() {
                    Changed::Done => json!("done"),
                    Changed::Holds(value) => json!({ "holds": value }),
                }
            } else if let Some(key) = step["kept"].as_str() {
                json!(run(records.read_kept(key)).0.unwrap())
            } else if let Some(service) = step["events"].as_str() {
                waiting(&shared, service)
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
        in_lists: true,
        entry: Some(Listed {
            id: "u".into(),
            tenant: String::new(),
            version: 3,
            text: None,
            made: true,
        }),
        order: Some(1),
        older_than: Some(2),
        notify: vec![Notification {
            service: "s".into(),
            call: OutboxCall::Remove,
        }],
    };
    let empty = json!({"key": "", "from": null, "to": null});
    let crossed = json!({
        "key": "a", "from": "1", "to": "2", "needs": empty, "then": [empty], "keep": true, "fresh": true,
        "in_lists": true, "entry": {"id": "u", "tenant": "", "version": 3, "text": null, "made": true}, "order": 1, "older_than": 2, "notify": [{"service": "s", "call": {"call": "remove"}}],
    });
    assert_eq!(serde_json::to_value(change).unwrap(), crossed);
}

#[test]
fn a_call_of_the_directory_crosses_with_the_names_that_it_reads() {
    let user = Listed {
        id: "u".into(),
        tenant: "acme".into(),
        version: 3,
        text: Some("a@b.c\na@b.c\n\n".into()),
        made: false,
    };
    let calls = [
        (
            DirectoryCall::Search {
                tenant: "acme",
                text: "a",
                after: Some("A\nu".into()),
                limit: 5,
            },
            json!({"call": "search", "tenant": "acme", "text": "a", "after": "A\nu", "limit": 5}),
        ),
        (DirectoryCall::Begin, json!({"call": "begin"})),
        (
            DirectoryCall::Put {
                users: vec![user],
                round: 2,
                gone: vec!["v".into()],
            },
            json!({"call": "put", "round": 2, "gone": ["v"], "users": [
                {"id": "u", "tenant": "acme", "version": 3, "text": "a@b.c\na@b.c\n\n"},
            ]}),
        ),
        (
            DirectoryCall::Stale { round: 2, limit: 9 },
            json!({"call": "stale", "round": 2, "limit": 9}),
        ),
        (DirectoryCall::Finish, json!({"call": "finish"})),
    ];
    for (call, crossed) in calls {
        assert_eq!(serde_json::to_value(call).unwrap(), crossed);
    }
}

#[test]
fn a_call_of_an_outbox_crosses_with_the_names_that_it_reads() {
    let event = event_of(&json!({"id": "msg_1", "user": "00", "kind": "k", "body": {"type": "k"}}));
    let crossed_event = json!({"id": "msg_1", "user": "00", "kind": "k", "body": {"type": "k"}});
    let calls = [
        (
            OutboxCall::Configure {
                version: 3,
                url: "https://a.example/".into(),
                enabled: true,
                dialect: "fields",
            },
            json!({"call": "configure", "version": 3, "url": "https://a.example/", "enabled": true, "dialect": "fields"}),
        ),
        (
            OutboxCall::Credentials {
                token: Some("new".into()),
                secret: None,
                until: 5,
            },
            json!({"call": "credentials", "token": "new", "secret": null, "until": 5}),
        ),
        (
            OutboxCall::Push {
                events: vec![event.clone()],
            },
            json!({"call": "push", "events": [crossed_event]}),
        ),
        (
            OutboxCall::Deliver {
                event,
                patience: 3000,
            },
            json!({"call": "deliver", "event": crossed_event, "patience": 3000}),
        ),
        (
            OutboxCall::List {
                dead: true,
                cursor: Some("7".into()),
                limit: 20,
            },
            json!({"call": "list", "dead": true, "cursor": "7", "limit": 20}),
        ),
        (OutboxCall::Status, json!({"call": "status"})),
        (
            OutboxCall::Resend { id: None },
            json!({"call": "resend", "id": null}),
        ),
        (
            OutboxCall::Discard {
                waiting: true,
                id: Some("msg_1".into()),
            },
            json!({"call": "discard", "waiting": true, "id": "msg_1"}),
        ),
        (OutboxCall::Remove, json!({"call": "remove"})),
    ];
    for (call, crossed) in calls {
        assert_eq!(serde_json::to_value(call).unwrap(), crossed);
    }
}

#[test]
fn a_credential_is_not_shown_by_debug() {
    let call = OutboxCall::Credentials {
        token: Some("very-secret".into()),
        secret: Some("very-secret".into()),
        until: 5,
    };
    let service = "s".into();
    let shown = format!("{:?}", Notification { service, call });
    assert!(!shown.contains("very-secret"), "{shown}");
}

/// What the queues in memory do for a test that plays the receivers.
#[test]
fn events_in_memory_wait_for_the_receiver_in_order_per_user() {
    let shared = Rc::new(Shared::default());
    let outbox = MemoryOutbox(Rc::clone(&shared));
    let event =
        |id: &str, user: &str| event_of(&json!({"id": id, "user": user, "kind": "k", "body": {}}));
    let push = OutboxCall::Push {
        events: vec![event("1", "a"), event("2", "b"), event("3", "a")],
    };
    let deliver = |id: &str| OutboxCall::Deliver {
        event: event(id, "a"),
        patience: 1000,
    };
    run(outbox.call("s", &push)).0.unwrap();
    let answer = run(outbox.call("s", &deliver("4"))).0.unwrap();
    assert_eq!(answer["delivered"], false);
    *shared.outboxes.receiver.borrow_mut() = Some(Box::new(|_, event| event.id != "1"));
    shared.outboxes.deliver_all();
    assert_eq!(waiting(&shared, "s"), json!(["1", "3", "4"]));
    *shared.outboxes.receiver.borrow_mut() = Some(Box::new(|_, _| true));
    let answer = run(outbox.call("s", &deliver("5"))).0.unwrap();
    assert_eq!(answer, json!({"delivered": true}));
    let delivered = shared.outboxes.delivered.borrow();
    let ids: Vec<&str> = delivered
        .iter()
        .map(|(_, event)| event.id.as_str())
        .collect();
    assert_eq!(ids, ["2", "1", "3", "4", "5"]);
    assert_eq!(shared.outboxes.told("s").len(), 3);
}

#[test]
fn a_queue_that_is_down_gets_what_follows_a_change_later() {
    let shared = Rc::new(Shared::default());
    let records = MemoryRecords(Rc::clone(&shared));
    let change = change_of(&json!({"key": "user:a", "to": "1", "notify": [
        {"service": "s", "call": {"call": "push", "events": [{"id": "1", "user": "a", "kind": "k", "body": {}}]}},
    ]}));
    shared.outboxes.are_down.set(true);
    assert_eq!(run(records.change(&change)).0.unwrap(), Changed::Done);
    shared.outboxes.are_down.set(false);
    assert_eq!(waiting(&shared, "s"), json!([]));
    shared.carry();
    assert_eq!(waiting(&shared, "s"), json!(["1"]));
}

#[test]
fn sec_56_attempts_in_memory_keep_the_contract_of_the_real_ones() {
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
    let hash = |password: &str| run(passwords.hash("u", password, None)).0.unwrap();
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
    let again = |password: &str| run(passwords.hash("u", password, Some(&first))).0.unwrap();
    assert_eq!(again("correct horse"), NewPassword::Unchanged);
    assert!(matches!(again("Correct horse"), NewPassword::Hashed(_)));
    assert_eq!(hash("7 bytes"), NewPassword::TooShort);
    assert!(matches!(hash("8 bytes."), NewPassword::Hashed(_)));
    assert_eq!(hash(&"x".repeat(1025)), NewPassword::TooLong);
    assert_eq!(hash("Password1"), NewPassword::Common);
}
