//! duewheel's own wheel.

use duewheel::{Handle, Wheel};

use crate::peer::{Cancelled, Kind, Order, Peer};

pub(crate) struct Duewheel(Wheel<u64>);

impl Peer for Duewheel {
    type Handle = Handle;

    const NAME: &'static str = "duewheel";
    const KIND: Kind = Kind::Removing;
    const ORDER: Order = Order::Intake;

    fn new() -> Self {
        Self(Wheel::new())
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> Handle {
        self.0.schedule(due, value)
    }

    #[inline]
    fn cancel(&mut self, handle: Handle) -> Cancelled {
        self.0.cancel(handle).into()
    }

    #[inline]
    fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
        let _ = self.0.advance(now, usize::MAX, |timer| fire(timer.value));
    }
}
