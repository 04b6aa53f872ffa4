//! Stats: how much of what there is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::StoreInspector;
use super::verify::newest;
use crate::ids::{LocationId, RequestId};
use crate::persistence::error::StoreError;
use crate::persistence::file::journal::inspect::{Event, inspect};
use crate::persistence::journal::{Lsn, Positions};
use crate::persistence::record::RecordView;
use crate::persistence::snapshots::SnapshotStore;

/// Records, and the bytes that they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// How many.
    pub records: u64,
    /// Their bytes, before they are put into frames.
    pub bytes: u64,
}

/// What there is of one location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LocationTally {
    /// Records of the journal.
    pub records: u64,
    /// Requests that wait at the end.
    pub pending: u64,
    /// Requests that have ended and are remembered.
    pub ended: u64,
}

/// How much of what there is in a store, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoreStats {
    /// The newest snapshot that is whole.
    pub snapshot: Option<u64>,
    /// Its records by kind.
    pub snapshot_kinds: BTreeMap<&'static str, Tally>,
    /// The journal's records by kind.
    pub journal_kinds: BTreeMap<&'static str, Tally>,
    /// By location, by its number.
    pub locations: BTreeMap<u32, LocationTally>,
    /// Requests that wait at the journal's end: the snapshot, and what came after it.
    pub pending: u64,
    /// Requests that have ended and are remembered.
    pub ended: u64,
    /// The first record of the journal; `None` where it has none.
    pub first: Option<Lsn>,
    /// Its last record.
    pub last: Option<Lsn>,
    /// The epochs of its writers.
    pub epochs: BTreeSet<u32>,
    /// Its frames: group commits.
    pub frames: u64,
    /// Bytes of its frames on the disk.
    pub frame_bytes: u64,
    /// Records a frame, on average; 0 where there is none.
    pub records_per_frame: f64,
    /// Bytes on the disk for each byte of records, on average; 0 where there is none.
    pub bytes_per_record_byte: f64,
    /// Places that are damaged, so that more may be missing.
    pub damaged: u64,
}

/// What is known of a request.
struct Last {
    location: Option<LocationId>,
    is_ended: bool,
}

impl StoreInspector {
    /// Counts what there is in the newest whole snapshot and in the journal. What is damaged is left out and counted.
    /// Takes memory for each request.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be told what there is.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats = StoreStats::default();
        let mut requests: HashMap<RequestId, Last> = HashMap::new();
        let snapshots = self.snapshot_states()?;
        stats.damaged = snapshots
            .iter()
            .map(|snapshot| snapshot.damage.len() as u64)
            .sum();
        let mut positions = Positions::default();
        if let Some(manifest) = newest(&snapshots) {
            stats.snapshot = Some(manifest.number);
            positions = manifest.positions.clone();
            for chunk in &manifest.chunks {
                self.snapshots.read(chunk, &mut |block| {
                    for record in block.views().flatten() {
                        count(&mut stats.snapshot_kinds, &record);
                        note(&mut requests, &record);
                    }
                    Ok(())
                })?;
            }
        }
        let segments = inspect(&*self.disk, self.uuid, &mut |event| match event {
            Event::Bound { epoch, .. } => drop(stats.epochs.insert(*epoch)),
            Event::Frame { frame, .. } => {
                stats.epochs.insert(frame.epoch);
                for record in frame.views().flatten() {
                    stats.first = stats.first.or(record.lsn());
                    stats.last = record.lsn().or(stats.last);
                    count(&mut stats.journal_kinds, &record);
                    if let Some(location) = record.location() {
                        stats.locations.entry(location.index()).or_default().records += 1;
                    }
                    let known = positions.of(record.stream().into());
                    if record.lsn().is_some_and(|lsn| lsn > known) {
                        note(&mut requests, &record);
                    }
                }
            }
            Event::Damage { .. } => stats.damaged += 1,
            Event::Torn { .. } => {}
        })?;
        for segment in &segments {
            stats.frames += segment.frames;
            stats.frame_bytes += segment.frame_bytes;
        }
        for last in requests.into_values() {
            let mut nowhere = LocationTally::default();
            let location = match last.location {
                Some(location) => stats.locations.entry(location.index()).or_default(),
                None => &mut nowhere,
            };
            if last.is_ended {
                location.ended += 1;
                stats.ended += 1;
            } else {
                location.pending += 1;
                stats.pending += 1;
            }
        }
        let sums = stats.journal_kinds.values();
        let (records, bytes) = sums.fold((0, 0), |(records, bytes), tally| {
            (records + tally.records, bytes + tally.bytes)
        });
        stats.records_per_frame = ratio(records, stats.frames);
        stats.bytes_per_record_byte = ratio(stats.frame_bytes, bytes);
        Ok(stats)
    }
}

fn count(kinds: &mut BTreeMap<&'static str, Tally>, record: &RecordView<'_>) {
    let tally = kinds.entry(record.kind()).or_default();
    tally.records += 1;
    tally.bytes += record.bytes() as u64;
}

fn note(requests: &mut HashMap<RequestId, Last>, record: &RecordView<'_>) {
    if let Some(id) = record.id() {
        let last = Last {
            location: record.location(),
            is_ended: matches!(record.kind(), "cancelled" | "completed"),
        };
        requests.insert(id, last);
    }
}

fn ratio(of: u64, to: u64) -> f64 {
    if to == 0 { 0.0 } else { of as f64 / to as f64 }
}
