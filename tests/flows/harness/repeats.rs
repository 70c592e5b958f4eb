//! The shell's memory of requests that can be recognised; and the proof, at every request that any
//! test sends, that one which is sent again gets what it would get the whole way.

use std::cell::RefCell;
use std::rc::Rc;

use edgeward::http::headers::HeaderChanges;
use edgeward::http::request::{RAY, WITHHELD};
use edgeward::memory::world::World;
use edgeward::origin::Again;
use edgeward::pipeline::repeat;
use edgeward::pipeline::repeat::Repeat;
use edgeward::pipeline::{Action, Outcome};
use edgeward::platform::time::Timestamp;

use super::request::Req;

/// A request that was forwarded, and how.
struct Shape {
    head: (String, Vec<(String, String)>),
    repeat: Repeat,
    changes: HeaderChanges,
    standing: Rc<HeaderChanges>,
    resolve_override: Option<String>,
    answer: String,
}

/// What an isolate's shell remembers.
#[derive(Clone, Default)]
pub struct Repeats(Rc<RefCell<Vec<Shape>>>);

impl Repeats {
    /// What the core says of `request` if it begins as one did that was forwarded.
    pub fn again(&self, world: &Rc<World>, request: &Req, now: Timestamp) -> Option<Again> {
        let shapes = self.0.borrow();
        let shape = shapes.iter().find(|shape| shape.head == head(request))?;
        let ray = request.header_value(RAY).unwrap_or_default();
        repeat::again(world, &shape.repeat, &request.url, ray, now)
    }

    /// That `outcome`, which `request` came to the whole way, is what it would have come to at once.
    pub fn assert_same(&self, request: &Req, again: &Again, outcome: &Outcome) {
        let shapes = self.0.borrow();
        let shape = shapes.iter().find(|shape| shape.head == head(request));
        let shape = shape.unwrap();
        let Action::Forward(forward) = &outcome.action else {
            panic!("sent again, though it is refused: {request:?}");
        };
        let rest = request.url.strip_prefix(&shape.repeat.prefix()).unwrap();
        assert_eq!(forward.url(), format!("{}{rest}", shape.repeat.base()));
        assert_eq!(forward.changes(), &shape.changes);
        assert_eq!(forward.standing(), &shape.standing);
        assert_eq!(
            forward.resolve_override(),
            shape.resolve_override.as_deref()
        );
        assert_eq!(forward.answer(), shape.answer);
        assert_eq!(forward.uncached(), again.uncached());
        assert!(forward.identified() && forward.rules().is_none());
        assert!(outcome.cookies.is_empty() && outcome.event.is_none());
    }

    /// Remembers `request`, if the core says that it can be recognised.
    pub fn remember(&self, request: &Req, outcome: &mut Outcome) {
        let (Some(repeat), Action::Forward(forward)) = (outcome.repeat.take(), &outcome.action)
        else {
            return;
        };
        let shape = Shape {
            head: head(request),
            repeat,
            changes: forward.changes().clone(),
            standing: Rc::clone(forward.standing()),
            resolve_override: forward.resolve_override().map(str::to_owned),
            answer: forward.answer().to_owned(),
        };
        let mut shapes = self.0.borrow_mut();
        shapes.retain(|known| known.head != shape.head);
        shapes.push(shape);
    }
}

/// What must be the same, as `read` in `src/edge/head.js` has it: the method, and the headers as far
/// as the core is told of them, but for the one that names a request.
fn head(request: &Req) -> (String, Vec<(String, String)>) {
    let told = request.headers.iter().map(|(name, value)| {
        let withheld = WITHHELD.contains(&name.as_str()) || name == RAY;
        (
            name.clone(),
            if withheld {
                String::new()
            } else {
                value.clone()
            },
        )
    });
    (request.method.clone(), told.collect())
}
