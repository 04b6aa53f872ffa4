//! Heaps without removal, with marks: the standard library's, and radix-heap.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use radix_heap::RadixHeapMap;

use super::marks::{Marked, Marks, can_hold};
use crate::peer::{Cancelled, Kind, Order, Peer};
use crate::workload::Workload;

/// Below so many cancelled timers, compacting is not worth its while.
const COMPACT_FROM: usize = 64;

/// Ordered by due tick, then number.
struct Dated {
    due: u64,
    timer: Marked,
}

impl Ord for Dated {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.timer.number).cmp(&(other.due, other.timer.number))
    }
}

impl PartialOrd for Dated {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Dated {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Dated {}

/// Compacted when more than half of it is cancelled, as a careful user would.
pub(crate) struct Binary {
    heap: BinaryHeap<Reverse<Dated>>,
    marks: Marks,
    /// Timers in the heap that are cancelled.
    cancelled: usize,
}

impl Binary {
    #[cold]
    fn compact(&mut self) {
        let marks = &self.marks;
        self.heap
            .retain(|Reverse(dated)| marks.is_pending(dated.timer.number));
        self.cancelled = 0;
    }
}

impl Peer for Binary {
    type Handle = u64;

    const NAME: &'static str = "BinaryHeap";
    const KIND: Kind = Kind::Marking;
    const ORDER: Order = Order::Intake;

    fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            marks: Marks::default(),
            cancelled: 0,
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> u64 {
        let number = self.marks.take_in();
        let timer = Marked { number, value };
        self.heap.push(Reverse(Dated { due, timer }));
        number
    }

    #[inline]
    fn cancel(&mut self, handle: u64) -> Cancelled {
        let cancelled = self.marks.cancel(handle);
        if cancelled == Cancelled::Marked {
            self.cancelled += 1;
            if self.cancelled >= COMPACT_FROM && self.cancelled > self.heap.len() / 2 {
                self.compact();
            }
        }
        cancelled
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        while let Some(Reverse(first)) = self.heap.peek() {
            if first.due > now {
                break;
            }
            if let Some(Reverse(Dated { timer, .. })) = self.heap.pop() {
                if self.marks.finish(timer.number) {
                    fire(timer.value);
                } else {
                    self.cancelled -= 1;
                }
            }
        }
    }
}

/// A monotone heap: nothing may be pushed that is due before the last timer popped.
pub(crate) struct Radix {
    heap: RadixHeapMap<Reverse<u64>, Marked>,
    marks: Marks,
}

/// The number of the entry that ends an advance.
const END: u64 = u64::MAX;

impl Peer for Radix {
    type Handle = u64;

    const NAME: &'static str = "radix-heap";
    const KIND: Kind = Kind::Marking;
    const ORDER: Order = Order::Due;

    fn new() -> Self {
        Self {
            heap: RadixHeapMap::new_at(Reverse(0)),
            marks: Marks::default(),
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> u64 {
        let number = self.marks.take_in();
        self.heap.push(Reverse(due), Marked { number, value });
        number
    }

    #[inline]
    fn cancel(&mut self, handle: u64) -> Cancelled {
        self.marks.cancel(handle)
    }

    /// There is no peeking, and popping what is not due would bar whatever is due before it. So an
    /// entry of its own, due just after now, ends the advance: of one key the last pushed is popped
    /// first.
    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        self.heap.push(
            Reverse(now + 1),
            Marked {
                number: END,
                value: 0,
            },
        );
        while let Some((_, Marked { number, value })) = self.heap.pop() {
            if number == END {
                break;
            }
            if self.marks.finish(number) {
                fire(value);
            }
        }
    }

    fn can_do(workload: Workload, timers: usize) -> Result<(), &'static str> {
        can_hold(workload, timers, 1_320)
    }
}
