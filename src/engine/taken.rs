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
    attempt_left: bool,
    place_left: bool,
}

impl<E: Deref<Target = Engine>, D: Deref<Target = Dispatch>> Taken<E, D> {
    pub(super) fn new(engine: E, dispatch: D, location: LocationId, attempt: Attempt) -> Self {
        Self {
            engine,
            dispatch,
            location,
            attempt,
            attempt_left: true,
            place_left: true,
        }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// The attempt was settled, and its place is all there is to give back.
    #[cfg(feature = "tokio")]
    pub(super) fn settled(mut self) {
        self.attempt_left = false;
    }

    /// The attempt was settled, and whoever took it gives back its place.
    pub(super) fn defuse(mut self) {
        self.attempt_left = false;
        self.place_left = false;
    }
}

impl<E: Deref<Target = Engine>, D: Deref<Target = Dispatch>> Drop for Taken<E, D> {
    fn drop(&mut self) {
        if self.attempt_left {
            self.engine.take_back(vec![self.attempt]);
        }
        if self.place_left {
            self.dispatch.done(self.location);
            self.engine.wakeup.notify_end();
        }
    }
}
