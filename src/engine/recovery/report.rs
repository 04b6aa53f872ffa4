//! What a recovery tells while it runs, and what it leaves to be read.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::ids::Timestamp;
use crate::sync::Arc;

/// What an engine found in its store, as [`Engine::recovery`](crate::Engine::recovery) tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The number of the snapshot it was read from; `None` where all came out of the journal.
    pub snapshot: Option<u64>,
    /// What is wrong with newer snapshots, or with all there are: one text each, newest first.
    pub snapshots_bad: Vec<String>,
    /// Records read from the snapshot.
    pub snapshot_records: u64,
    /// Bytes of the snapshot's chunks.
    pub snapshot_bytes: u64,
    /// Frames read from the journal.
    pub journal_frames: u64,
    /// Records read from the journal, those that the snapshot holds already among them.
    pub journal_records: u64,
    /// Bytes read from the journal.
    pub journal_bytes: u64,
    /// Bytes at the journal's end that were never made durable, and were left out. Nobody had been told of what is in
    /// them, unless the store was not written under [`Durability::Sync`](crate::Durability::Sync).
    pub torn_bytes: u64,
    /// Where these begin: the file's name, and the byte in it.
    pub torn_at: Option<(String, u64)>,
    /// Whether the store had been closed in good order.
    pub clean: bool,
    /// Pending requests.
    pub pending: u64,
    /// Requests that ended and are remembered.
    pub remembered: u64,
    /// Locations that have a name.
    pub locations: u64,
    /// Pending requests of which nobody heard how their attempt went: they are handed over again at the first poll,
    /// marked as redeliveries.
    pub in_doubt: u64,
    /// Whether every request that is overdue by the first poll is marked as a possible redelivery too, because the
    /// store was not closed in good order and not written under [`Durability::Sync`](crate::Durability::Sync).
    pub overdue_are_suspect: bool,
    /// The shards it was written with, where they are not as many as now.
    pub shards_before: Option<u32>,
    /// The time of the last poll that the store tells of.
    pub polled_until: Option<Timestamp>,
    /// The epoch that this engine writes and mints leases under.
    pub epoch: u32,
    /// Time spent on reading the snapshot.
    pub snapshot_time: Duration,
    /// Time spent on replaying the journal.
    pub journal_time: Duration,
    /// Time spent in all.
    pub time: Duration,
}

/// What a recovery is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecoveryPhase {
    /// Reading a snapshot.
    Snapshot,
    /// Replaying the journal.
    Journal,
    /// Arming timers.
    Timers,
}

/// How far a recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RecoveryProgress {
    /// What it is at.
    pub phase: RecoveryPhase,
    /// Records of the snapshot read so far, of this try at one.
    pub snapshot_records: u64,
    /// Records in that snapshot.
    pub snapshot_records_total: u64,
    /// Records of the journal read so far.
    pub journal_records: u64,
}

/// Is told of progress.
#[derive(Clone)]
pub(in crate::engine) struct RecoveryObserver(Arc<dyn Fn(RecoveryProgress) + Send + Sync>);

impl RecoveryObserver {
    pub(in crate::engine) fn new(
        observer: impl Fn(RecoveryProgress) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(observer))
    }

    pub(super) fn tell(&self, progress: RecoveryProgress) {
        (self.0)(progress);
    }
}

impl fmt::Debug for RecoveryObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryObserver")
    }
}
