//! nexus-timer: levels of linked lists over a slab, addressed by `Instant`.

use std::time::{Duration, Instant};

use nexus_timer::{TimerHandle, Wheel, WheelBuilder};

use crate::peer::{Cancelled, Kind, Order, Peer};

pub(crate) struct NexusTimer {
    wheel: Wheel<u64>,
    epoch: Instant,
    /// What a poll collects.
    fired: Vec<u64>,
}

impl NexusTimer {
    #[inline]
    fn instant(&self, tick: u64) -> Instant {
        self.epoch + Duration::from_millis(tick)
    }
}

impl Peer for NexusTimer {
    type Handle = TimerHandle<u64>;

    const NAME: &'static str = "nexus-timer";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Any;

    fn new() -> Self {
        let epoch = Instant::now();
        // The layout it comes with, seven levels, reaches 4.7 hours; eight reach 37.
        let wheel = WheelBuilder::default()
            .num_levels(8)
            .unbounded(4096)
            .build(epoch)
            .expect("a layout within the builder's limits");
        Self {
            wheel,
            epoch,
            fired: Vec::new(),
        }
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> Self::Handle {
        self.wheel.schedule(self.instant(due), value)
    }

    #[inline]
    fn schedule_forget(&mut self, due: u64, value: u64) {
        self.wheel.schedule_forget(self.instant(due), value);
    }

    #[inline]
    fn cancel(&mut self, handle: Self::Handle) -> Cancelled {
        self.wheel.cancel(handle).into()
    }

    #[inline]
    fn release(&mut self, handle: Self::Handle) {
        self.wheel.free(handle);
    }

    #[inline]
    fn advance(&mut self, now: u64, fire: impl FnMut(u64)) {
        let now = self.instant(now);
        self.wheel.poll_and_rebalance(now, &mut self.fired);
        self.fired.drain(..).for_each(fire);
    }
}
