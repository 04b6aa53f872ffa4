//! What every peer is asked to do.

use crate::workload::Workload;

/// What cancelling means to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The timer is taken out, its value given back, its memory reused.
    Removing,
    /// The timer is marked; value and memory stay until its time comes.
    Marking,
    /// No peer: it does nothing, and shows what the harness costs.
    Floor,
}

/// In which order the timers of one advance fire, as far as a peer promises or shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By due tick, and at one tick in order of intake.
    Intake,
    /// By due tick.
    Due,
    /// In any order; an advance by one tick at a time still gives order by due tick.
    Any,
    /// Timers fire some ticks before or after their time: not to be compared where any fire.
    Coarse,
}

/// What a cancel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// Taken out; this was its value.
    Removed(u64),
    /// Marked, so that it will not fire.
    Marked,
    /// Nothing: the timer was gone.
    Gone,
}

impl From<Option<u64>> for Cancelled {
    #[inline]
    fn from(value: Option<u64>) -> Self {
        value.map_or(Self::Gone, Self::Removed)
    }
}

/// A timer structure with its time at tick 0, under virtual time of one tick a millisecond.
///
/// Called statically and inlined, so that it costs nothing. The workloads keep to what all peers
/// have in common: due times after the last advance and within 24 hours of it, and no handle used
/// after its timer fired, but for [`release`](Self::release).
pub(crate) trait Peer: Sized {
    /// What a timer is cancelled by.
    type Handle;

    const NAME: &'static str;
    const KIND: Kind;
    const ORDER: Order;

    fn new() -> Self;

    fn schedule(&mut self, due: u64, value: u64) -> Self::Handle;

    /// Schedules a timer that will not be cancelled.
    #[inline]
    fn schedule_forget(&mut self, due: u64, value: u64) {
        let handle = self.schedule(due, value);
        self.release(handle);
    }

    fn cancel(&mut self, handle: Self::Handle) -> Cancelled;

    /// Gives up a handle, whether its timer fired or not.
    #[inline]
    fn release(&mut self, _handle: Self::Handle) {}

    /// Passes the value of every timer due at or before `now` to `fire`.
    fn advance(&mut self, now: u64, fire: impl FnMut(u64));

    /// Whether the peer can do a workload with so many timers; the reason if not.
    fn can_do(_workload: Workload, _timers: usize) -> Result<(), &'static str> {
        Ok(())
    }
}
