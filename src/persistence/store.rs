//! [`Store`]: the journal and the snapshots of one engine.

use std::fmt;

use super::journal::Journal;
use super::snapshots::SnapshotStore;
use crate::sync::Arc;

/// What a store was given when it was made, and keeps for good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Tells this store from every other.
    pub uuid: u128,
    /// The key of the hashes by which shards are chosen and repeated intake is recognised.
    pub hash_key: u128,
}

/// Not the key: who knows it can crowd one shard.
impl fmt::Debug for StoreIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreIdentity")
            .field("uuid", &format_args!("{:032x}", self.uuid))
            .finish_non_exhaustive()
    }
}

/// The journal and the snapshots of one engine, opened and held by nobody else.
#[derive(Clone)]
pub struct Store {
    pub(crate) identity: StoreIdentity,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
}

impl Store {
    /// A store of adapters of your own.
    #[must_use]
    pub fn new(
        identity: StoreIdentity,
        journal: Arc<dyn Journal>,
        snapshots: Arc<dyn SnapshotStore>,
    ) -> Self {
        Self {
            identity,
            journal,
            snapshots,
        }
    }

    /// What it was given when it was made.
    #[must_use]
    pub fn identity(&self) -> StoreIdentity {
        self.identity
    }

    /// Its journal. Of an engine's store it is the engine's alone.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.journal
    }

    /// Its snapshots. Of an engine's store they are the engine's alone.
    #[must_use]
    pub fn snapshots(&self) -> &Arc<dyn SnapshotStore> {
        &self.snapshots
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
