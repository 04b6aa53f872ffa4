//! A released attempt that somebody took out of the dispatch to route it, and gives back whatever happens:
//! a worker's thread may die of its clock, and a future may be dropped half-way.

use std::ops::Deref;

use super::Engine;
use super::dispatch::Dispatch;
use super::poll::Attempt;
use crate::ids::LocationId;

/// An attempt taken, and its location's place in the dispatch. Dropping it frees the place.
///
/// Where the router was not called yet, the attempt goes back too, as if it had not been released. Where it
/// was called and did not answer, a resource may have it: its lease runs on, and ends it.
pub(super) struct Taken<E: Deref<Target = Engine>, D: Deref<Target = Dispatch>> {
    engine: E,
    dispatch: D,
    location: LocationId,
    attempt: Attempt,
    settled: bool,
}

impl<E: Deref<Target = Engine>, D: Deref<Target = Dispatch>> Taken<E, D> {
    pub(super) fn new(engine: E, dispatch: D, location: LocationId, attempt: Attempt) -> Self {
        Self {
            engine,
            dispatch,
            location,
            attempt,
            settled: false,
        }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Nothing of it is left to give back but its place.
    pub(super) fn settled(mut self) {
        self.settled = true;
    }
}

impl<E: Deref<Target = Engine>, D: Deref<Target = Dispatch>> Drop for Taken<E, D> {
    fn drop(&mut self) {
        if !self.settled {
            self.engine.take_back(vec![self.attempt]);
        }
        self.dispatch.done(self.location);
        self.engine.wakeup.notify_end();
    }
}
