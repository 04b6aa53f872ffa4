//! [`StoreInspector`]: a store looked at from outside, while no engine has it.
//!
//! | module | says |
//! |---|---|
//! | `verify` | what files there are, what is wrong with each, and whether a recovery would succeed |
//! | `dump` | every record, in order |
//! | `stats` | how many of what |
//! | `plan`, `walk` | what a repair would do, and what would be lost |
//! | `repair` | does it |
//!
//! Nothing here runs by itself, and nothing but `repair` writes, save for the word in `LOCK` of who has the store. Of
//! what customers gave nothing is told: see [`RecordView`].

mod dump;
mod plan;
mod repair;
mod stats;
mod verify;
mod walk;

use std::path::Path;

pub use self::dump::DumpItem;
pub use self::plan::{LostRange, LostRecord, RepairPlan, SetAside};
pub use self::stats::{LocationTally, StoreStats, Tally};
pub use self::verify::{RecoveryOutlook, SegmentState, SnapshotState, VerifyReport};
use super::directory;
use super::disk::DirectoryDisk;
use super::options::FileOptions;
use super::snapshots::FileSnapshots;
use crate::persistence::disk::Disk;
use crate::persistence::error::{Damage, StoreError};
use crate::persistence::journal::Frame;
use crate::persistence::record::RecordView;
use crate::persistence::snapshots::ChunkBlock;
use crate::sync::Arc;

/// A store in a directory, held so that nobody else has it meanwhile, to be verified, shown and repaired.
///
/// All of it reads the whole store, or a large part: time grows with the bytes on the disk. Memory does not, but that
/// [`stats`](Self::stats) takes some for each request and [`repair_plan`](Self::repair_plan) for each record that
/// would be lost.
pub struct StoreInspector {
    /// Of the store, to be read.
    disk: Arc<dyn Disk>,
    /// The same, to be written.
    writable: Arc<dyn Disk>,
    uuid: u128,
    snapshots: FileSnapshots,
}

impl StoreInspector {
    /// Takes a store that is there. Writes nothing but, in `LOCK`, who has it.
    ///
    /// # Errors
    /// As [`Store::open`](crate::Store::open). Where `STORE` is damaged nothing else can be told: the store's identity
    /// is in it, by which all other checksums are made, and the key by which shards are chosen.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::on_disk(Arc::new(DirectoryDisk::open_existing(path)?))
    }

    /// As [`open`](Self::open), of a directory behind a file layer of your own.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn on_disk(disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let options = FileOptions::new().read_only(true);
        let (identity, held) = directory::open(Arc::clone(&disk), &options)?;
        Ok(Self {
            snapshots: FileSnapshots::open(Arc::clone(&held), identity.uuid)?,
            disk: held,
            writable: disk,
            uuid: identity.uuid,
        })
    }
}

/// An error about one file as a damage of it; the second is whether it is none that was found, but something that this
/// program cannot read. Errors of other kinds are those of the whole store.
fn as_damage(error: StoreError, file: &str) -> Result<(Damage, bool), StoreError> {
    match error {
        StoreError::Damaged(damage) => Ok((damage, false)),
        error @ (StoreError::Mismatch { .. } | StoreError::Unavailable { .. }) => {
            let damage = Damage {
                place: file.to_owned(),
                offset: 0,
                found: error.to_string(),
                expected: "a file that this program can read".to_owned(),
            };
            Ok((damage, true))
        }
        error => Err(error),
    }
}

/// Why a frame's records cannot be read, where they cannot, though they are as they were written.
fn malformed_frame(frame: &Frame<'_>) -> Option<String> {
    malformed(frame.views(), frame.count)
}

/// As [`malformed_frame`], of a block of a chunk.
fn malformed_block(block: &ChunkBlock<'_>) -> Option<String> {
    malformed(block.views(), block.count)
}

fn malformed<'a>(
    views: impl Iterator<Item = Result<RecordView<'a>, StoreError>>,
    expected: u32,
) -> Option<String> {
    let mut count = 0_u64;
    for view in views {
        match view {
            Ok(_) => count += 1,
            Err(StoreError::Damaged(damage)) => return Some(damage.found),
            Err(error) => return Some(error.to_string()),
        }
    }
    (count != u64::from(expected)).then(|| format!("{count} records"))
}
