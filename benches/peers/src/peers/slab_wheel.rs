//! slab-wheel: levels of vectors of slab indices, addressed by `Instant`.

use std::time::{Duration, Instant};

use slab_wheel::{Key, Policy, TimingWheel};

use crate::peer::{Cancelled, Kind, Order, Peer};

/// The layout it comes with (`Millis`), with twice the slots on the top level: 37 hours, not 18.
struct Day;

impl Policy for Day {
    const SLOTS: &'static [usize] = &[256, 64, 64, 128];
    const RESOLUTION: &'static [u64] = &[1, 256, 16_384, 1_048_576];
}

pub(crate) struct SlabWheel {
    wheel: TimingWheel<u64, Day>,
    epoch: Instant,
    /// What an advance drains.
    fired: Vec<(Key, u64)>,
}

impl SlabWheel {
    #[inline]
    fn instant(&self, tick: u64) -> Instant {
        self.epoch + Duration::from_millis(tick)
    }
}

impl Peer for SlabWheel {
    type Handle = Key;

    const NAME: &'static str = "slab-wheel";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Any;

    fn new() -> Self {
        let epoch = Instant::now();
        Self {
            wheel: TimingWheel::starting_at(epoch),
            epoch,
            fired: Vec::new(),
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> Key {
        self.wheel.insert(self.instant(due), value)
    }

    #[inline]
    fn cancel(&mut self, handle: Key) -> Cancelled {
        self.wheel.remove(handle).into()
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        self.wheel.advance_to(self.instant(now));
        self.wheel.drain_expired_into(&mut self.fired);
        for (_, value) in self.fired.drain(..) {
            fire(value);
        }
    }
}
