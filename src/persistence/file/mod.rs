//! The file adapters: a store in a directory.
//!
//! | module | knows |
//! |---|---|
//! | `disk`, `held` | the operating system's directory, and that it is nobody else's meanwhile |
//! | `names` | what each file is, by its name |
//! | `directory`, `options` | what makes a directory a store, and what may be chosen of it |
//! | `sealed` | small files that are there as a whole or not at all |
//! | `journal` | segments of frames |
//! | `inspect` | what is wrong with a store, and how it is repaired |
//! | `snapshots`, `chunk`, `manifest` | images of streams, and which of them make a snapshot |
//! | `spare` | room that the journal lends to a snapshot on a full disk |

mod chunk;
mod directory;
mod disk;
mod held;
mod inspect;
mod journal;
mod manifest;
mod names;
mod options;
mod sealed;
mod snapshots;
mod spare;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

use std::path::Path;

pub use self::disk::DirectoryDisk;
pub use self::inspect::{
    DumpItem, LocationTally, LostRange, LostRecord, RecoveryOutlook, RepairPlan, SegmentState,
    SetAside, SnapshotState, StoreInspector, StoreStats, Tally, VerifyReport,
};
use self::journal::FileJournal;
pub use self::options::FileOptions;
use self::snapshots::FileSnapshots;
use super::disk::Disk;
use super::error::StoreError;
use super::store::Store;
use crate::sync::Arc;

impl Store {
    /// Opens the store in a directory, and makes it where there is none: the directory too, for its owner alone, where
    /// the one that it is to be in is there. An empty directory is taken. The store is held until the last clone of
    /// what is returned is dropped; where the process ends before, nothing is left to be cleared away.
    ///
    /// A directory that lets others in is closed to them. Names in it that are none of a store's stay.
    ///
    /// # Errors
    /// - [`StoreError::Locked`] where another has it, and [`StoreError::Foreign`] where there is something else.
    /// - [`StoreError::Damaged`] where what makes it a store cannot be read, or is missing while other parts are there.
    /// - [`StoreError::Mismatch`] where it is of a format of another version, or has another
    ///   [`hash_key`](FileOptions::hash_key), and where an option is out of its range.
    /// - [`StoreError::Unavailable`] and [`StoreError::Full`] as the operating system says.
    pub fn open(path: impl AsRef<Path>, options: FileOptions) -> Result<Self, StoreError> {
        options.check()?;
        let disk = if options.read_only {
            DirectoryDisk::open_existing(path)?
        } else {
            DirectoryDisk::open(path)?
        };
        Self::on_disk(Arc::new(disk), options)
    }

    /// As [`open`](Self::open), of a directory behind a file layer of your own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn on_disk(disk: Arc<dyn Disk>, options: FileOptions) -> Result<Self, StoreError> {
        options.check()?;
        let (identity, disk) = directory::open(disk, &options)?;
        let journal = FileJournal::open(Arc::clone(&disk), identity.uuid, options.journal)?;
        let snapshots = FileSnapshots::borrowing(disk, identity.uuid, journal.spare())?;
        Ok(Self::new(identity, Arc::new(journal), Arc::new(snapshots)))
    }
}

/// How an error names what was done, and to which file of which directory.
fn trying(doing: &str, disk: &dyn Disk, name: &str) -> String {
    let place = disk.place();
    if name.is_empty() {
        format!("{doing} {place}")
    } else {
        format!("{doing} {place}/{name}")
    }
}
