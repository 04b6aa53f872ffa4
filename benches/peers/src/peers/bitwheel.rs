//! bitwheel: gears of slots of fixed capacity; a timer stays where it was put, and fires when its
//! gear comes to its slot, which may be early by that gear's granularity.
//!
//! So it takes part only where nothing fires: cancelling a timer after it fired is undefined
//! behaviour in its slots (`SlotGuard::remove` of a vacant entry), and it may fire right after it
//! was scheduled. A delay of 262144 ticks is for the gear whose slots are as long, and the slot of
//! its due tick may begin with the next tick.

use std::time::{Duration, Instant};

use bitwheel::timer::{BitWheel, Timer, TimerHandle};

use crate::peer::{Cancelled, Kind, Order, Peer};
use crate::workload::Workload;

/// Timers a slot holds. All slots are allocated at once: 320 of them, 32 bytes a timer.
const SLOT_CAPACITY: usize = 32_768;

/// Most timers that W1 may ask for: a slot of the top gear is 4.7 hours and takes a fifth of them.
const MOST_A_DAY: usize = 150_000;

struct Value(u64);

impl Timer for Value {
    type Context = Vec<u64>;

    fn fire(&mut self, fired: &mut Vec<u64>) {
        fired.push(self.0);
    }
}

/// Five gears of 64 slots, 1 ms: 298 hours.
pub(crate) struct Bitwheel {
    wheel: Box<BitWheel<Value, 5, 1, SLOT_CAPACITY, 3>>,
    epoch: Instant,
    fired: Vec<u64>,
}

impl Bitwheel {
    #[inline]
    fn instant(&self, tick: u64) -> Instant {
        self.epoch + Duration::from_millis(tick)
    }
}

impl Peer for Bitwheel {
    type Handle = TimerHandle;

    const NAME: &'static str = "bitwheel";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Coarse;

    fn new() -> Self {
        let epoch = Instant::now();
        Self {
            wheel: BitWheel::boxed_with_epoch(epoch),
            epoch,
            fired: Vec::new(),
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> TimerHandle {
        self.wheel
            .insert(self.instant(due), Value(value))
            .expect("`can_do` admits no more timers than the slots hold")
    }

    #[inline]
    fn cancel(&mut self, handle: TimerHandle) -> Cancelled {
        self.wheel.cancel(handle).map(|Value(value)| value).into()
    }

    #[inline]
    fn advance(&mut self, now: u64, fire: impl FnMut(u64)) {
        let now = self.instant(now);
        self.wheel.poll(now, &mut self.fired);
        self.fired.drain(..).for_each(fire);
    }

    fn can_do(workload: Workload, timers: usize) -> Result<(), &'static str> {
        match workload {
            Workload::W1 | Workload::W1r | Workload::W2 if timers > MOST_A_DAY => {
                Err("more timers than its slots hold")
            }
            Workload::W1 | Workload::W1r | Workload::W2 => Ok(()),
            Workload::W3 | Workload::W3j | Workload::W3e | Workload::W4 => {
                Err("timers fire early, by up to 4.7 hours")
            }
            Workload::W5 => Err("timers fire early, by up to 4.4 minutes and before their cancel"),
        }
    }
}
