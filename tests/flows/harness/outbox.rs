//! In-memory queues of events: what `src/edge/outbox.js` answers, without its clock. Nothing is
//! delivered unless a test plays the receivers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use edgeward::platform::port::{Fault, Outbox, OutboxCall, Pending, QueuedEvent};
use serde_json::{Value, json};

use super::shared::{Fate, Shared, Verb, later};

/// Whether the receiver of a service takes an event.
pub type Receiver = Box<dyn Fn(&str, &QueuedEvent) -> bool>;

/// The queue of one service.
#[derive(Default)]
struct Queue {
    version: Option<u64>,
    is_disabled: bool,
    is_removed: bool,
    waiting: Vec<QueuedEvent>,
    /// Every id that was ever pushed.
    known: BTreeSet<String>,
}

/// All queues.
#[derive(Default)]
pub struct Outboxes {
    queues: RefCell<BTreeMap<String, Queue>>,
    /// What every queue was told, in order: the service, and the call as it crosses to JavaScript.
    /// Without what only asks.
    pub told: RefCell<Vec<(String, Value)>>,
    /// What receivers took, in order.
    pub delivered: RefCell<Vec<(String, QueuedEvent)>>,
    /// Plays the receivers.
    pub receiver: RefCell<Option<Receiver>>,
    /// No queue answers anybody, writers of records included.
    pub are_down: Cell<bool>,
}

impl Outboxes {
    /// The calls of one service, in order.
    pub fn told(&self, service: &str) -> Vec<Value> {
        let told = self.told.borrow();
        let mine = told.iter().filter(|(to, _)| to == service);
        mine.map(|(_, call)| call.clone()).collect()
    }

    /// The events that wait for one service, in order.
    pub fn waiting(&self, service: &str) -> Vec<QueuedEvent> {
        let queues = self.queues.borrow();
        queues
            .get(service)
            .map_or_else(Vec::new, |queue| queue.waiting.clone())
    }

    /// Tries to deliver all that waits, as alarms would. An event that is not taken holds up those
    /// after it of its user.
    pub fn deliver_all(&self) {
        let services: Vec<String> = self.queues.borrow().keys().cloned().collect();
        for service in services {
            self.deliver(&service, |_| true);
        }
    }

    fn deliver(&self, service: &str, is_meant: impl Fn(&QueuedEvent) -> bool) {
        let queues = self.queues.borrow();
        if queues.get(service).is_some_and(|queue| queue.is_disabled) {
            return;
        }
        drop(queues);
        let mut held_up = BTreeSet::new();
        for event in self.waiting(service) {
            if !is_meant(&event) || held_up.contains(&event.user) {
                continue;
            }
            let receiver = self.receiver.borrow();
            let is_taken = receiver
                .as_ref()
                .is_some_and(|takes| takes(service, &event));
            drop(receiver);
            if !is_taken {
                held_up.insert(event.user.clone());
                continue;
            }
            if let Some(queue) = self.queues.borrow_mut().get_mut(service) {
                queue.waiting.retain(|other| other.id != event.id);
            }
            self.delivered
                .borrow_mut()
                .push((service.to_owned(), event));
        }
    }

    /// Does what a call asks for, and answers as the queue does; `None` if it does not answer.
    pub fn call(&self, service: &str, call: &OutboxCall) -> Option<Value> {
        if self.are_down.get() {
            return None;
        }
        if !matches!(call, OutboxCall::List { .. } | OutboxCall::Status) {
            let crossed = serde_json::to_value(call).unwrap();
            self.told.borrow_mut().push((service.to_owned(), crossed));
        }
        let mut queues = self.queues.borrow_mut();
        let queue = queues.entry(service.to_owned()).or_default();
        Some(match call {
            OutboxCall::Configure {
                version, enabled, ..
            } => {
                if queue.version.is_none_or(|known| known < *version) {
                    queue.version = Some(*version);
                    queue.is_disabled = !enabled;
                }
                json!({})
            }
            OutboxCall::Credentials { .. } => json!({}),
            OutboxCall::Push { .. } if queue.is_removed => json!({ "queued": 0 }),
            OutboxCall::Push { events } => {
                for event in events {
                    queue.add(event);
                }
                json!({ "queued": events.len() })
            }
            OutboxCall::Deliver { .. } if queue.is_removed => {
                json!({ "delivered": false, "refused": "the service was removed" })
            }
            OutboxCall::Deliver { event, .. } => {
                queue.add(event);
                drop(queues);
                self.deliver(service, |other| other.user == event.user);
                let waits = self.waiting(service);
                let is_delivered = waits.iter().all(|other| other.id != event.id);
                if is_delivered {
                    json!({ "delivered": true })
                } else {
                    json!({ "delivered": false, "refused": "not taken" })
                }
            }
            OutboxCall::List { dead: true, .. } => json!({ "events": [], "cursor": null }),
            OutboxCall::List { dead: false, .. } => {
                let shown = queue.waiting.iter().map(|event| {
                    json!({
                        "id": event.id, "kind": event.kind, "created_at": 0, "attempts": 0,
                        "next_at": null, "last_status": null, "last_error": null,
                    })
                });
                json!({ "events": shown.collect::<Vec<_>>(), "cursor": null })
            }
            OutboxCall::Status => json!({
                "waiting": queue.waiting.len(), "dead": 0, "oldest_at": null, "last_success_at": null,
                "disabled_by_receiver": false, "blocked": null,
            }),
            OutboxCall::Discard { waiting: true, id } => {
                let before = queue.waiting.len();
                queue
                    .waiting
                    .retain(|event| id.as_ref().is_some_and(|id| *id != event.id));
                json!({ "count": before - queue.waiting.len() })
            }
            OutboxCall::Resend { .. } | OutboxCall::Discard { .. } => json!({ "count": 0 }),
            OutboxCall::Remove => {
                *queue = Queue {
                    is_removed: true,
                    ..Queue::default()
                };
                json!({})
            }
        })
    }
}

impl Queue {
    fn add(&mut self, event: &QueuedEvent) {
        if self.known.insert(event.id.clone()) {
            self.waiting.push(event.clone());
        }
    }
}

pub struct MemoryOutbox(pub Rc<Shared>);

impl Outbox for MemoryOutbox {
    fn call<'a>(
        &'a self,
        service: &'a str,
        call: &'a OutboxCall,
    ) -> Pending<'a, Result<Value, Fault>> {
        let fate = self.0.call(Verb::Outbox, service);
        later(move || {
            if !matches!(fate, Fate::Good) {
                return Err(Fault::Outbox);
            }
            self.0.outboxes.call(service, call).ok_or(Fault::Outbox)
        })
    }
}
