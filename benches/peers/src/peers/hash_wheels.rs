//! hierarchical_hash_wheel_timer's quad wheel and ora-timer's wheel, which descends from it: four
//! levels of 256 vectors. Neither removes; cancelling is a mark.

use std::time::Duration;

use hierarchical_hash_wheel_timer::wheels::Skip;
use hierarchical_hash_wheel_timer::wheels::quad_wheel::QuadWheelWithOverflow;
use ora_timer::wheel::TimingWheel;

use super::marks::{Marked, Marks, can_hold};
use crate::peer::{Cancelled, Kind, Order, Peer};
use crate::workload::Workload;

pub(crate) struct HashWheelTimer {
    wheel: QuadWheelWithOverflow<Marked>,
    marks: Marks,
    now: u64,
}

impl Peer for HashWheelTimer {
    type Handle = u64;

    const NAME: &'static str = "hash-wheel quad";
    const KIND: Kind = Kind::Marking;
    const ORDER: Order = Order::Due;

    fn new() -> Self {
        Self {
            wheel: QuadWheelWithOverflow::default(),
            marks: Marks::default(),
            now: 0,
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> u64 {
        let number = self.marks.take_in();
        let delay = Duration::from_millis(due - self.now);
        self.wheel
            .insert_with_delay(Marked { number, value }, delay)
            .expect("due after now");
        number
    }

    #[inline]
    fn cancel(&mut self, handle: u64) -> Cancelled {
        self.marks.cancel(handle)
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        while self.now < now {
            let left = u32::try_from(now - self.now).unwrap_or(u32::MAX);
            let skip = match self.wheel.can_skip() {
                Skip::Empty => left,
                Skip::Millis(ticks) => ticks.min(left),
                Skip::None => 0,
            };
            if skip > 0 {
                self.wheel.skip(skip);
                self.now += u64::from(skip);
            } else {
                self.now += 1;
                for Marked { number, value } in self.wheel.tick() {
                    if self.marks.finish(number) {
                        fire(value);
                    }
                }
            }
        }
    }

    fn can_do(workload: Workload, timers: usize) -> Result<(), &'static str> {
        can_hold(workload, timers, 740)
    }
}

pub(crate) struct OraTimer {
    wheel: TimingWheel<Marked>,
    marks: Marks,
    now: u64,
    /// What a tick expires.
    fired: Vec<Marked>,
}

impl Peer for OraTimer {
    type Handle = u64;

    const NAME: &'static str = "ora-timer";
    const KIND: Kind = Kind::Marking;
    const ORDER: Order = Order::Due;

    fn new() -> Self {
        Self {
            wheel: TimingWheel::new(),
            marks: Marks::default(),
            now: 0,
            fired: Vec::new(),
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> u64 {
        let number = self.marks.take_in();
        let delay = Duration::from_millis(due - self.now);
        let expired = self.wheel.insert(Marked { number, value }, delay);
        assert!(expired.is_none(), "due after now");
        number
    }

    #[inline]
    fn cancel(&mut self, handle: u64) -> Cancelled {
        self.marks.cancel(handle)
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        while self.now < now {
            let left = u32::try_from(now - self.now).unwrap_or(u32::MAX);
            // Of an empty wheel it says 0, as of one that is due.
            let skip = match self.wheel.can_skip() {
                0 if self.wheel.is_empty() => left,
                ticks => ticks.min(left),
            };
            if skip > 0 {
                self.wheel.skip(skip);
                self.now += u64::from(skip);
            } else {
                self.now += 1;
                self.wheel.tick_with(&mut self.fired);
                for Marked { number, value } in self.fired.drain(..) {
                    if self.marks.finish(number) {
                        fire(value);
                    }
                }
            }
        }
    }

    fn can_do(workload: Workload, timers: usize) -> Result<(), &'static str> {
        can_hold(workload, timers, 740)
    }
}
