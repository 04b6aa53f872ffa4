//! A store in memory, for tests and for those who want no files.
//!
//! [`MemoryStore`] is the thing itself, what a directory is for the file adapters: it can be opened again and again,
//! each time as another process would, and it can crash, fail and be full when a test asks for it. `journal.rs` and
//! `snapshots.rs` are the two traits over what it holds.
//!
//! What is appended is copied once; what is read back is shared, and no lock is held while it is visited.

mod journal;
mod snapshots;
mod tests;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io;

use self::journal::{MemoryJournal, StoredFrame};
use self::snapshots::{MemorySnapshots, StoredChunk};
use super::error::StoreError;
use super::journal::{Lsn, Room};
use super::snapshots::Manifest;
use super::store::{Store, StoreIdentity};
use crate::sync::{Arc, Mutex};

/// A store in memory: for tests, and for those who want no files. Clones share what is in it.
///
/// Its content lives as long as a clone of it, or a [`Store`] opened on it, does. It takes the memory of what is in
/// it, and gives that back as snapshots let the journal be trimmed.
///
/// ```
/// use duewheel::{MemoryStore, StoreIdentity};
///
/// let identity = StoreIdentity { uuid: 1, hash_key: 2 };
/// let store = MemoryStore::new(identity);
/// assert_eq!(store.store().identity(), identity);
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    identity: StoreIdentity,
    content: Arc<Mutex<Content>>,
}

/// What is in a store, shared by all that have it open.
#[derive(Default)]
struct Content {
    /// Counts the crashes: who opened the store before the last is dead.
    life: u64,
    /// The greatest epoch that ever began to write.
    epoch: u32,
    /// The number above which no record ever was.
    highest: Lsn,
    /// In order of their numbers.
    frames: Vec<Arc<StoredFrame>>,
    /// So many of the frames are durable: the first ones.
    durable: usize,
    /// Newest first, two at most.
    manifests: Vec<Manifest>,
    chunks: BTreeMap<u64, Arc<StoredChunk>>,
    /// The number of the last chunk.
    chunk: u64,
    appends: u64,
    syncs: u64,
    faults: Faults,
}

/// What a test has asked for.
#[derive(Default)]
struct Faults {
    /// The append that fails, counted down; 0 for none.
    append_in: u64,
    /// The wait that fails, counted down; 0 for none.
    sync_in: u64,
    full: bool,
}

/// Counts down to a fault, and tells whether it is there.
fn strikes(countdown: &mut u64) -> bool {
    let strikes = *countdown == 1;
    *countdown = countdown.saturating_sub(1);
    strikes
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new(identity: StoreIdentity) -> Self {
        Self {
            identity,
            content: Arc::default(),
        }
    }

    /// Opens it, as another process would. Who has it open already goes on until the new one begins to write: from
    /// then on its calls fail with [`StoreError::Stale`].
    #[must_use]
    pub fn store(&self) -> Store {
        let life = self.content.lock().life;
        let journal = MemoryJournal::new(Arc::clone(&self.content), life);
        let snapshots = MemorySnapshots::new(Arc::clone(&self.content), life);
        Store::new(self.identity, Arc::new(journal), Arc::new(snapshots))
    }

    /// Forgets what was not made durable, as a power cut does, and the faults asked for. Who has it open can do
    /// nothing with it any more.
    pub fn crash(&self) {
        let mut content = self.content.lock();
        let content = &mut *content;
        content.life += 1;
        content.frames.truncate(content.durable);
        content.faults.append_in = 0;
        content.faults.sync_in = 0;
    }

    /// Lets an append to the journal fail: the next for 1, the one after it for 2; 0 for none.
    pub fn fail_append_at(&self, nth: u64) {
        self.content.lock().faults.append_in = nth;
    }

    /// Lets a wait for the journal fail: the next for 1, the one after it for 2; 0 for none. What was appended is not
    /// durable then.
    pub fn fail_sync_at(&self, nth: u64) {
        self.content.lock().faults.sync_in = nth;
    }

    /// What the journal says of its room. [`Room::Ample`] at first.
    pub fn set_room(&self, room: Room) {
        self.content.lock().faults.full = room == Room::Reserved;
    }

    /// Frames that are in the journal now.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.content.lock().frames.len()
    }

    /// Appends to the journal so far, failed ones too.
    #[must_use]
    pub fn appends(&self) -> u64 {
        self.content.lock().appends
    }

    /// Waits for the journal so far, failed ones too.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.content.lock().syncs
    }

    /// The snapshots that are there now, newest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Manifest> {
        self.content.lock().manifests.clone()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.content.lock();
        f.debug_struct("MemoryStore")
            .field("identity", &self.identity)
            .field("epoch", &content.epoch)
            .field("frames", &content.frames.len())
            .field("durable_frames", &content.durable)
            .field("snapshots", &content.manifests.len())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A new store in memory, of a random identity: for tests, and for those who want no files. What it keeps is gone
    /// with it; to open it again, or to let it fail, make a [`MemoryStore`].
    #[must_use]
    pub fn memory() -> Self {
        let identity = StoreIdentity {
            uuid: random(),
            hash_key: random(),
        };
        MemoryStore::new(identity).store()
    }
}

/// From the keys that the standard library draws for its hash tables.
fn random() -> u128 {
    let keys = RandomState::new();
    u128::from(keys.hash_one(0_u8)) << 64 | u128::from(keys.hash_one(1_u8))
}

impl Content {
    /// Fails for those who opened the store before it crashed.
    fn alive(&self, life: u64, what: &str) -> Result<(), StoreError> {
        if self.life == life {
            return Ok(());
        }
        let crashed = io::Error::other("the store has crashed since it was opened");
        Err(StoreError::from_io(what, crashed))
    }

    /// Fails for a writer after whom another has begun.
    fn current(&self, epoch: u32) -> Result<(), StoreError> {
        if self.epoch > epoch {
            return Err(StoreError::Stale {
                epoch,
                newer: self.epoch,
            });
        }
        Ok(())
    }
}
