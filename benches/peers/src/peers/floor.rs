//! No peer: its figures are what the loops, the script and the handles cost, and are in all others.

use crate::peer::{Cancelled, Kind, Order, Peer};
use crate::workload::Workload;

pub(crate) struct Floor;

impl Peer for Floor {
    type Handle = u64;

    const NAME: &'static str = "(harness)";
    const KIND: Kind = Kind::Floor;
    const ORDER: Order = Order::Coarse;

    fn new() -> Self {
        Self
    }

    #[inline]
    fn schedule(&mut self, due: u64, value: u64) -> u64 {
        due ^ value
    }

    #[inline]
    fn cancel(&mut self, handle: u64) -> Cancelled {
        Cancelled::Removed(handle)
    }

    #[inline]
    fn advance(&mut self, _now: u64, _fire: impl FnMut(u64)) {}

    fn can_do(workload: Workload, _timers: usize) -> Result<(), &'static str> {
        match workload {
            Workload::W3 | Workload::W3j => Err("nothing fires"),
            _ => Ok(()),
        }
    }
}
