//! What every durable peer is asked to do.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::request::{Due, Request};

/// What a peer answers, or whatever stopped it.
pub(crate) type Answer<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// When what a call has changed will survive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// When the call returns.
    Returned,
    /// At most so long after the call returned, while calls go on.
    Within(Duration),
    /// When the operating system sees fit, which has it at most so long after the call returned,
    /// while calls go on: a kill loses no more than that.
    HandedOver(Duration),
}

impl Promise {
    /// When to do something about it between calls.
    pub(crate) fn beat(self) -> Option<Beat> {
        match self {
            Self::Returned => None,
            Self::Within(every) | Self::HandedOver(every) => Some(Beat::new(every)),
        }
    }
}

/// Requests on disk, by due time and by id.
///
/// Called statically. The same promise holds for every call of one opening.
pub(crate) trait DurablePeer: Sized {
    const NAME: &'static str;

    /// A peer that stores nothing that could be asked for, and shows what the disk costs.
    const IS_FLOOR: bool = false;

    /// Opens what there is in a directory, or makes it in an empty one.
    fn open(directory: &Path, promise: Promise) -> Answer<Self>;

    /// Takes in those whose ids are not there yet, and says how many; the others change nothing.
    fn schedule(&mut self, batch: &[Request]) -> Answer<usize>;

    /// Removes these, and says how many were there.
    fn cancel(&mut self, ids: &[u128]) -> Answer<usize>;

    /// Passes those due at or before `now` to `visit` in order of due time, and removes them.
    fn release(&mut self, now: u64, visit: impl FnMut(Due<'_>)) -> Answer<()>;

    /// Makes everything durable; under [`Promise::HandedOver`], hands it over.
    fn flush(&mut self) -> Answer<()>;

    /// When the first one is due; reads it.
    fn first_due(&mut self) -> Answer<Option<u64>>;

    /// Passes all to `visit` in order of due time, and says how many there are. Who has them in
    /// memory, in that order, already since it was opened passes none.
    fn load(&mut self, visit: impl FnMut(Due<'_>)) -> Answer<usize>;

    /// Whether the peer can keep a promise; the reason if not.
    fn can_keep(_promise: Promise) -> Result<(), &'static str> {
        Ok(())
    }
}

/// Tells when a span of time is over since it last did.
pub(crate) struct Beat {
    every: Duration,
    last: Instant,
}

impl Beat {
    fn new(every: Duration) -> Self {
        Self {
            every,
            last: Instant::now(),
        }
    }

    /// Whether it is over now; then the next begins.
    pub(crate) fn is_over(&mut self) -> bool {
        let now = Instant::now();
        let is_over = now.duration_since(self.last) >= self.every;
        if is_over {
            self.last = now;
        }
        is_over
    }
}
