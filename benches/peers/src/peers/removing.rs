//! General ordered structures, keyed by (due, intake): `BTreeMap`, crossbeam's `SkipMap` and
//! priority-queue.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use crossbeam_skiplist::SkipMap;
use foldhash::fast::FixedState;
use priority_queue::PriorityQueue;

use crate::peer::{Cancelled, Kind, Order, Peer};

/// Due tick, and number of intake.
type DueKey = (u64, u64);

pub(crate) struct Tree {
    timers: BTreeMap<DueKey, u64>,
    taken_in: u64,
}

impl Peer for Tree {
    type Handle = DueKey;

    const NAME: &'static str = "BTreeMap";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Intake;

    fn new() -> Self {
        Self {
            timers: BTreeMap::new(),
            taken_in: 0,
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> DueKey {
        let key = (due, self.taken_in);
        self.taken_in += 1;
        self.timers.insert(key, value);
        key
    }

    #[inline]
    fn cancel(&mut self, handle: DueKey) -> Cancelled {
        self.timers.remove(&handle).into()
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        while let Some(first) = self.timers.first_entry() {
            if first.key().0 > now {
                break;
            }
            fire(first.remove());
        }
    }
}

pub(crate) struct Skip {
    timers: SkipMap<DueKey, u64>,
    taken_in: u64,
}

impl Peer for Skip {
    type Handle = DueKey;

    const NAME: &'static str = "SkipMap";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Intake;

    fn new() -> Self {
        Self {
            timers: SkipMap::new(),
            taken_in: 0,
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> DueKey {
        let key = (due, self.taken_in);
        self.taken_in += 1;
        self.timers.insert(key, value);
        key
    }

    #[inline]
    fn cancel(&mut self, handle: DueKey) -> Cancelled {
        self.timers
            .remove(&handle)
            .map(|timer| *timer.value())
            .into()
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        while let Some(first) = self.timers.front() {
            if first.key().0 > now {
                break;
            }
            fire(*first.value());
            first.remove();
        }
    }
}

/// Known to the queue by its number alone.
struct Item {
    number: u64,
    value: u64,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Item {}

impl Hash for Item {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

impl Borrow<u64> for Item {
    fn borrow(&self) -> &u64 {
        &self.number
    }
}

pub(crate) struct Indexed {
    timers: PriorityQueue<Item, Reverse<DueKey>, FixedState>,
    taken_in: u64,
}

impl Peer for Indexed {
    type Handle = u64;

    const NAME: &'static str = "priority-queue";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Intake;

    fn new() -> Self {
        Self {
            timers: PriorityQueue::with_hasher(FixedState::default()),
            taken_in: 0,
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> u64 {
        let number = self.taken_in;
        self.taken_in += 1;
        self.timers
            .push(Item { number, value }, Reverse((due, number)));
        number
    }

    #[inline]
    fn cancel(&mut self, handle: u64) -> Cancelled {
        self.timers
            .remove(&handle)
            .map(|(item, _)| item.value)
            .into()
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        while let Some((_, Reverse((due, _)))) = self.timers.peek() {
            if *due > now {
                break;
            }
            if let Some((item, _)) = self.timers.pop() {
                fire(item.value);
            }
        }
    }
}
