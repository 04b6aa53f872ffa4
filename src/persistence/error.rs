//! What goes wrong with a store, told apart by what its user can do about it.

use std::fmt;
use std::io;

use serde::Serialize;

use crate::sync::Arc;

/// What is wrong with a store. Holds nothing of what customers gave.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another writer has taken the store over; this one must stop.
    #[error("the store was taken over: this writer has epoch {epoch}, another has {newer}")]
    Stale {
        /// This writer's epoch.
        epoch: u32,
        /// The epoch found.
        newer: u32,
    },
    /// An operation failed; what is stored is not known to be damaged.
    #[error("{what}: {source}")]
    Unavailable {
        /// What was tried, and on what.
        what: String,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// There is no room.
    #[error("{what}: no room is left")]
    Full {
        /// What was to be written, and where.
        what: String,
    },
    /// Something that had been durable cannot be read as it was written.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The store is in use.
    #[error("the store is in use by {holder}")]
    Locked {
        /// Who holds it, as it says itself.
        holder: String,
    },
    /// There is something else in the place of a store.
    #[error("{place} holds {found:?}: expected a store of duewheel's, or nothing")]
    Foreign {
        /// Where.
        place: String,
        /// A name that is none of a store's.
        found: String,
    },
    /// A format, or a setting, that does not fit what is stored.
    #[error("{what}: found {found}: expected {expected}")]
    Mismatch {
        /// What does not fit.
        what: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
}

/// Something that had been durable cannot be read as it was written: where, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// The file, or whatever else the adapter keeps things in, by its name.
    pub place: String,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What was found, in words.
    pub found: String,
    /// What was expected, in words.
    pub expected: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            offset,
            found,
            expected,
        } = self;
        write!(
            f,
            "{place} is damaged at byte {offset}: {found}: expected {expected}"
        )
    }
}

impl std::error::Error for Damage {}

impl StoreError {
    /// What an operating system's error means, `what` having been tried.
    pub fn from_io(what: impl Into<String>, error: io::Error) -> Self {
        let what = what.into();
        if Self::is_for_room(&error) {
            return Self::Full { what };
        }
        Self::Unavailable {
            what,
            source: Arc::new(error),
        }
    }

    /// Whether an operating system's error says that there is no room.
    pub(crate) fn is_for_room(error: &io::Error) -> bool {
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }

    /// Something cannot be read as it was written.
    pub fn damaged(
        place: impl Into<String>,
        offset: u64,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self::Damaged(Damage {
            place: place.into(),
            offset,
            found: found.into(),
            expected: expected.into(),
        })
    }
}
