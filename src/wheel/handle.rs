//! Handles: the public names of timers.

use std::fmt;
use std::num::NonZeroU32;

/// Names one scheduled timer of one [`Wheel`](super::Wheel); 8 bytes, and so is an
/// `Option<Handle>`.
///
/// A handle stays valid until its timer fires, is cancelled, or leaves by `clear` or `drain`; from
/// then on it is inert: every call with it finds nothing, for good, because the number of the life in
/// it is never used again. A handle given to another wheel than its own names an unrelated timer or none.
/// The order of handles means nothing; it is there for use in ordered collections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a timer can be cancelled or rescheduled only by its handle"]
pub struct Handle {
    index: u32,
    birth: NonZeroU32,
}

impl Handle {
    #[inline]
    pub(super) const fn new(index: u32, birth: NonZeroU32) -> Self {
        Self { index, birth }
    }

    /// The entry's number, below 2^30. [`Wheel::handle_at`](super::Wheel::handle_at) makes a handle of it again.
    #[inline]
    pub(crate) const fn index(self) -> u32 {
        self.index
    }

    /// Which of the entry's lives is meant.
    #[inline]
    pub(super) const fn birth(self) -> NonZeroU32 {
        self.birth
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.index, self.birth)
    }
}
