//! [`SnapshotStore`]: images of shards, and the manifests that make some of them a snapshot.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::journal::{Lsn, Positions};
use crate::ids::Timestamp;

/// A part of a shard's image: what one step of the walk saw.
#[derive(Clone, Copy, Debug)]
pub struct ChunkBlock<'a> {
    /// The number of the shard's last record when this was seen.
    pub as_of: Lsn,
    /// How many records it has.
    pub count: u32,
    /// The records, encoded, one after the other.
    pub records: &'a [u8],
}

/// Names a finished chunk: the image of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRef {
    /// The stream that it is the image of.
    pub stream: u32,
    /// The adapter's number for it, never used twice.
    pub number: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// The greatest `as_of` of its blocks.
    pub as_of: Lsn,
}

/// What a snapshot consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Counts the snapshots of a store, from 1.
    pub number: u64,
    /// The epoch of the writer that made it.
    pub epoch: u32,
    /// Shards of that writer: streams beside stream 0.
    pub shards: u32,
    /// Up to where each stream is in it: `shards` + 1 of them.
    pub positions: Positions,
    /// Its chunks, by stream; a stream that had nothing may have none.
    pub chunks: Vec<ChunkRef>,
    /// A number in the order of intake above all that were given out.
    pub next_intake: u64,
    /// The number of the last record known when it was made.
    pub last: Lsn,
    /// The time of the last poll before it was made.
    pub polled_until: Option<Timestamp>,
}

/// What was found of snapshots.
#[derive(Clone, Debug, Default)]
pub struct FoundSnapshots {
    /// Those that are whole, newest first.
    pub good: Vec<Manifest>,
    /// What is wrong with the others, newest first. What could not be read this time may be good the next time.
    pub bad: Vec<StoreError>,
    /// The greatest number of all of them, the bad ones among them; 0 where there is none.
    pub highest: u64,
}

/// Where images of shards are kept. One writer; reading and writing do not go on at once.
pub trait SnapshotStore: Send + Sync {
    /// The snapshots that there are. Their manifests are whole, and their chunks are there and of the right size;
    /// what is in these is checked when it is read.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be told what there is.
    fn find(&self) -> Result<FoundSnapshots, StoreError>;

    /// Reads a chunk, block by block, each checked before `visit` gets it. An error of its own ends the reading and
    /// is returned. May be called for several chunks at once.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where it is not what was written, also where blocks are missing.
    fn read(
        &self,
        chunk: &ChunkRef,
        visit: &mut dyn FnMut(&ChunkBlock<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;

    /// Begins a chunk, the image of this stream.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin(&self, stream: u32) -> Result<Box<dyn ChunkWriter>, StoreError>;

    /// Makes some finished chunks a snapshot, the newest. Durable, and read back, when it returns; the one before it
    /// is kept too, all older ones and all chunks that neither names are dropped.
    ///
    /// # Errors
    /// [`StoreError`]; the snapshots before are as they were.
    fn publish(&self, manifest: &Manifest) -> Result<(), StoreError>;

    /// Gives up the snapshot that was begun: no more comes of the chunks that were finished since the last publication,
    /// and what they take is given back, as far as that can be done.
    fn abandon(&self);

    /// Bytes kept by snapshots now.
    fn bytes(&self) -> u64;
}

/// A chunk being written. Dropped before it is finished, it leaves nothing that matters.
pub trait ChunkWriter: Send {
    /// Writes a block.
    ///
    /// # Errors
    /// [`StoreError`]; the chunk is then of no use.
    fn put(&mut self, block: &ChunkBlock<'_>) -> Result<(), StoreError>;

    /// Finishes the chunk: durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`]; the chunk is then of no use.
    fn finish(self: Box<Self>) -> Result<ChunkRef, StoreError>;
}
