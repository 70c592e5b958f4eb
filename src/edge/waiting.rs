//! Pending futures of the core, each with an id by which it can be dropped. That frees a future that
//! the runtime will never wake again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

type Work<T> = Pin<Box<dyn Future<Output = T>>>;

thread_local! {
    static ADMITTED: Cell<bool> = const { Cell::new(true) };
    static LAST: Cell<u32> = const { Cell::new(0) };
    static WAITING: RefCell<BTreeMap<u32, Box<dyn Fn()>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Runs `poll`, the first poll of a request. Unless the request is `admitted`, the ports refuse every
/// operation in it, so a request that would have to wait is refused before it has begun anything.
pub fn first_poll<T>(admitted: bool, poll: impl FnOnce() -> T) -> T {
    ADMITTED.set(admitted);
    let polled = poll();
    ADMITTED.set(true);
    polled
}

/// Whether a port may begin an operation.
pub fn is_admitted() -> bool {
    ADMITTED.get()
}

/// Registers `work` under a new id. The future yields `None` if the work was dropped before it was
/// ready.
pub fn hold<T: 'static>(work: Work<T>) -> (u32, impl Future<Output = Option<T>>) {
    let id = LAST.get().wrapping_add(1);
    LAST.set(id);
    let slot = Rc::new(RefCell::new(Slot {
        work: Some(work),
        waker: None,
    }));
    let held = Rc::clone(&slot);
    let drop_it = move || {
        // Dropping or waking may come back here, so the slot must not be borrowed meanwhile.
        let (work, waker) = {
            let mut slot = held.borrow_mut();
            (slot.work.take(), slot.waker.take())
        };
        drop(work);
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    WAITING.with_borrow_mut(|all| all.insert(id, Box::new(drop_it)));
    (id, Held { id, slot })
}

/// Drops the work with this id, if it is still pending.
pub fn abandon(id: u32) {
    let drop_it = WAITING.with_borrow_mut(|all| all.remove(&id));
    if let Some(drop_it) = drop_it {
        drop_it();
    }
}

struct Slot<T> {
    work: Option<Work<T>>,
    waker: Option<Waker>,
}

struct Held<T> {
    id: u32,
    slot: Rc<RefCell<Slot<T>>>,
}

impl<T> Future for Held<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // Taken out while it is polled, because polling may abandon it.
        let Some(mut work) = self.slot.borrow_mut().work.take() else {
            return Poll::Ready(None);
        };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            let mut slot = self.slot.borrow_mut();
            slot.work = Some(work);
            slot.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        WAITING.with_borrow_mut(|all| all.remove(&self.id));
        polled.map(Some)
    }
}
