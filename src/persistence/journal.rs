//! [`Journal`]: frames of records, appended in order, made durable, read back, and dropped when they are in snapshots.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::ids::Timestamp;

/// The number of a record: one more than that of the record before it, over all streams. The first has number 1; 0
/// stands before it. After each opening of a store some numbers may be left out.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The number of the record after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// For each stream the number up to which its records are known: stream 0, then one for each shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Positions(pub Vec<Lsn>);

impl Positions {
    /// The number up to which every stream's records are known; 0 where there is no stream.
    #[must_use]
    pub fn floor(&self) -> Lsn {
        self.0.iter().copied().min().unwrap_or_default()
    }

    /// That of one stream. Of one that it does not name all records up to the lowest are known: there were other
    /// shards then, and nothing was written for these since.
    #[must_use]
    pub fn of(&self, stream: u32) -> Lsn {
        let known = self.0.get(stream as usize).copied();
        known.unwrap_or_else(|| self.floor())
    }
}

/// When an answer of the engine's rests on what is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Durability {
    /// An answer is given once all it rests on is durable, and the router is told of nothing before. A receipt
    /// means "on disk".
    #[default]
    Sync,
    /// What has happened is made durable at least this often; answers do not wait.
    Interval(Duration),
    /// What has happened is written, and made durable when the operating system sees fit; answers do not wait.
    NoSync,
}

/// Records that are appended together: one group commit.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The number of its first record; where it has none, the number that the next record will have.
    pub base: Lsn,
    /// How many records it has, each with the number after the one before. None in a frame that only carries word of
    /// what is below.
    pub count: u32,
    /// The writer's epoch.
    pub epoch: u32,
    /// Everything up to this record was durable when the frame was made.
    pub synced: Lsn,
    /// The time of the last poll, where there was one.
    pub polled_until: Option<Timestamp>,
    /// Nothing follows: the writer has closed the store in good order.
    pub closing: bool,
    /// The records, encoded, one after the other.
    pub records: &'a [u8],
}

impl Frame<'_> {
    /// The number of its last record; where it has none, that of the last record before it.
    #[must_use]
    pub fn last(&self) -> Lsn {
        Lsn((self.base.0 + u64::from(self.count)).saturating_sub(1))
    }
}

/// Whether there is room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Ample,
    /// What is left is kept for the ends of what was taken in: no further intake.
    Reserved,
}

/// What was at a journal's end when it was read back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalTail {
    /// The number of the last record that is there; 0 where there is none.
    pub last: Lsn,
    /// A number that no record ever written is above: of damaged and torn ones too, as far as they can be read. At
    /// least `last`.
    pub highest: Lsn,
    /// The greatest epoch of any frame; 0 where there is none.
    pub epoch: u32,
    /// The time of the last poll that a frame tells of.
    pub polled_until: Option<Timestamp>,
    /// The last frame was a closing one, and nothing was written after it; also where there is no frame.
    pub closed: bool,
    /// Frames read.
    pub frames: u64,
    /// Records read.
    pub records: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What was written and never made durable: its records are given up, nobody had been told of them.
    pub torn: Option<TornTail>,
}

/// The end of a journal that was written when the process or the machine stopped, and never made durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TornTail {
    /// The file, by its name.
    pub place: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Bytes from there to the last that is not zero.
    pub bytes: u64,
}

/// A log of frames, with one writer.
///
/// # Order of calls
/// [`replay`](Self::replay), once or several times; then [`begin`](Self::begin), once; then
/// [`append`](Self::append) and [`wait_durable`](Self::wait_durable), by one thread at a time, with
/// [`trim`](Self::trim) at any time beside them. A call out of order is an error.
///
/// # Errors
/// An error of `append` or `wait_durable` is the last: what was not durable may or may not become so, and every later
/// call of either fails too. Nothing is tried again, because a second sync may answer "done" for what the first has
/// lost.
pub trait Journal: Send + Sync {
    /// Reads all frames back that hold a record behind the stream's position, and maybe others, in order of their
    /// numbers. `visit` gets each, and an error of its own ends the reading and is returned.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where something that had been durable cannot be read. What was written and never made
    /// durable is no error: it is left out, and described in the answer.
    fn replay(
        &self,
        from: &Positions,
        visit: &mut dyn FnMut(&Frame<'_>) -> Result<(), StoreError>,
    ) -> Result<JournalTail, StoreError>;

    /// Opens the journal for appending, as the writer of this epoch, whose first record will have the number `next`.
    /// Both are above all that were ever used. Who wrote before is fenced off from here on. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Stale`] where a greater epoch is known.
    fn begin(&self, epoch: u32, next: Lsn) -> Result<(), StoreError>;

    /// Appends a frame behind the last one, and returns the number of its last record. It is not durable yet, but
    /// in order: where it turns out durable, all before it are.
    ///
    /// # Errors
    /// [`StoreError`], the last.
    fn append(&self, frame: &Frame<'_>) -> Result<Lsn, StoreError>;

    /// Waits until everything up to `lsn` is durable, and says up to where everything is. A frame without records
    /// that was appended behind `lsn` is durable then too.
    ///
    /// # Errors
    /// [`StoreError`], the last.
    fn wait_durable(&self, lsn: Lsn) -> Result<Lsn, StoreError>;

    /// Whether there is room for further intake. Cheap: asked at every intake.
    fn room(&self) -> Room;

    /// Drops what holds only records that are at or below their streams' positions.
    ///
    /// # Errors
    /// [`StoreError`]; what could not be dropped stays, and nothing else comes of it.
    fn trim(&self, below: &Positions) -> Result<(), StoreError>;

    /// Bytes kept by the journal now.
    fn bytes(&self) -> u64;
}
