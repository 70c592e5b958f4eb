use std::rc::Rc;

use proptest::prelude::*;

use super::*;

/// A value of a given length that can grow.
struct Thing {
    text: String,
    growth: Growth,
}

impl Thing {
    fn new(length: usize) -> Rc<Self> {
        Rc::new(Self {
            text: "x".repeat(length),
            growth: Growth::default(),
        })
    }
}

impl Weigh for Thing {
    fn heap(&self) -> usize {
        self.text.heap()
    }

    fn attach(&self, scale: Option<&Scale>) {
        self.growth.attach(scale);
    }
}

const SMALL: Share = Share::new(16, 8);

fn shelf() -> Shelf<u32, Rc<Thing>> {
    Shelf::new(SMALL)
}

#[derive(Clone, Debug)]
enum Operation {
    Put(u32, usize),
    Get(u32),
    Pop(u32),
    Grow(u32, usize),
}

fn steps() -> impl Strategy<Value = Vec<Operation>> {
    let step = (0_u32..40, 0_usize..1500, 0..4).prop_map(|(key, size, which)| match which {
        0 => Operation::Get(key),
        1 => Operation::Pop(key),
        2 => Operation::Grow(key, size),
        _ => Operation::Put(key, size),
    });
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn sec_78_whatever_is_put_away_and_grows_the_sum_is_in_bounds_and_true(steps in steps()) {
        let mut shelf = shelf();
        let mut things: Vec<(u32, Rc<Thing>)> = Vec::new();
        for step in steps {
            match step {
                Operation::Put(key, size) => {
                    let thing = Thing::new(size);
                    things.push((key, Rc::clone(&thing)));
                    shelf.put(key, thing);
                }
                Operation::Get(key) => drop(shelf.get(&key).cloned()),
                Operation::Pop(key) => shelf.pop(&key),
                // Evicted values may grow too; their growth is not counted any more.
                Operation::Grow(key, size) => things
                    .iter()
                    .filter(|(known, _)| *known == key)
                    .for_each(|(_, thing)| thing.growth.set(size)),
            }
            let _ = shelf.get(&u32::MAX);
            prop_assert!(shelf.weight() <= SMALL.bytes);
            prop_assert!(shelf.entries.len() <= SMALL.number.get());
            let there: usize = shelf
                .entries
                .iter()
                .map(|(_, (thing, weight))| weight + thing.growth.bytes())
                .sum();
            prop_assert_eq!(shelf.weight(), there);
        }
        for key in 0..40 {
            shelf.pop(&key);
        }
        prop_assert_eq!(shelf.weight(), 0);
        for (_, thing) in things {
            thing.growth.set(1000);
        }
        prop_assert_eq!(shelf.weight(), 0);
    }
}

#[test]
fn sec_78_those_go_first_that_were_not_used_for_the_longest() {
    let mut shelf = shelf();
    let mut room = 0;
    shelf.put(0, Thing::new(700));
    let each = shelf.weight();
    while shelf.weight() + each <= SMALL.bytes {
        room += 1;
        shelf.put(room, Thing::new(700));
    }
    assert!(room > 2 && shelf.get(&0).is_some());
    shelf.put(room + 1, Thing::new(700));
    assert!(shelf.get(&0).is_some() && shelf.get(&(room + 1)).is_some());
    assert!(shelf.get(&1).is_none() && shelf.get(&2).is_some());
}

#[test]
fn sec_78_one_that_is_too_heavy_pushes_nothing_out_and_leaves_nothing_stale() {
    let mut shelf = shelf();
    shelf.put(1, Thing::new(10));
    shelf.put(2, Thing::new(10));
    let before = shelf.weight();
    shelf.put(3, Thing::new(SMALL.most_of_one()));
    assert_eq!(shelf.weight(), before);
    // The old value of its key is gone.
    shelf.put(2, Thing::new(SMALL.most_of_one()));
    assert!(shelf.get(&1).is_some() && shelf.get(&2).is_none() && shelf.get(&3).is_none());
}

#[test]
fn sec_78_all_shares_together_are_the_budget_and_no_more() {
    let sum: usize = PARTS.iter().map(|share| share.bytes).sum();
    assert!(sum <= BUDGET && sum > BUDGET / 10 * 9, "{sum}");
}
