//! pi_cancel_timer 0.2: levels of linked lists over a slot map.
//!
//! The crate does not build with a stable compiler, because of the heap it keeps for timers beyond
//! its wheel. As the wheel reaches 37 hours here, that heap would stay empty: so this is the wheel
//! it is made of, `pi_slot_wheel`, driven as `pi_cancel_timer::Timer` drives it.

use pi_slot_deque::Slot;
use pi_slot_wheel::{Result, TimeoutItem, TimerKey, Wheel};

use crate::peer::{Cancelled, Kind, Order, Peer};

/// 512 ticks, and three levels of 64 slots above them.
type Day = Wheel<u64, 512, 64, 3>;

pub(crate) struct PiCancelTimer {
    timers: Slot<TimerKey, TimeoutItem<u64>>,
    /// Boxed, as its slots are inline.
    wheel: Box<Day>,
    now: u64,
}

impl Peer for PiCancelTimer {
    type Handle = TimerKey;

    const NAME: &'static str = "pi_cancel_timer";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Due;

    fn new() -> Self {
        Self {
            timers: Slot::default(),
            wheel: Box::default(),
            now: 0,
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> TimerKey {
        let delay = (due - self.now) as usize;
        match self.wheel.push(delay, value, &mut self.timers) {
            Result::Ok(key) => key,
            Result::Overflow(..) => unreachable!("the wheel reaches 37 hours"),
        }
    }

    #[inline]
    fn cancel(&mut self, handle: TimerKey) -> Cancelled {
        let Some(node) = self.timers.remove(handle) else {
            return Cancelled::Gone;
        };
        self.wheel
            .get_slot_mut(node.el.index)
            .repair(node.prev(), node.next(), &mut self.timers);
        Cancelled::Removed(node.el.el)
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        loop {
            while let Some(timer) = self.wheel.pop(&mut self.timers) {
                fire(timer.el);
            }
            if self.now >= now {
                break;
            }
            self.now += 1;
            self.wheel.roll(&mut self.timers);
        }
    }
}
