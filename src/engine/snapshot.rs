//! Snapshots while callers go on.
//!
//! A shard is walked some requests at a time, each step under its lock, and written in between: nobody waits for a
//! whole shard. Why what the steps saw is enough, although it is of different moments, stands in
//! `persistence/mod.rs`; what follows from it here is the order of things:
//!
//! * a shard's *position* is the number of the last record of any shard, read under its lock before the first step;
//! * pending requests are walked before remembered ones, so that one that ends in between is seen as ended last;
//! * all that there is after the position's moment is in the journal too, so a walk ends where the shard ended then;
//! * totals are written location by location, each with the number of the shard's last record when it was seen, by
//!   which recovery tells whether an end in the journal is among them.
//!
//! A shard of which nothing was recorded since its chunk was begun keeps the chunk, and only its position moves up. A
//! snapshot is published once everything that it may hold is durable. The journal is then dropped below the snapshot
//! *before* it, so that either of the two can be recovered from.

use serde::Serialize;

use super::Engine;
use super::book::Page;
use super::durable::Durable;
use super::image::ended_image;
use super::shard::Shard;
use crate::ids::{LocationId, Timestamp};
use crate::persistence::commit::Undurable;
use crate::persistence::record::{Change, Record, encode, encode_ended, encode_request};
use crate::persistence::{
    ChunkBlock, ChunkRef, ChunkWriter, FoundSnapshots, Lsn, Manifest, Positions, StoreError,
};

/// Requests, or places where there may be one, visited while a shard is locked.
const STEP: u32 = 64;
/// Bytes beyond which a step takes no further request.
const STEP_BYTES: usize = 64 * 1024;
/// Locations whose totals are read while a shard is locked.
const PAGES_STEP: u32 = 16;

/// What a snapshot consists of, and what it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SnapshotReport {
    /// Its number, from 1.
    pub number: u64,
    /// Shards that were written.
    pub shards_written: usize,
    /// Shards that had not changed since the snapshot before.
    pub shards_kept: usize,
    /// Records written.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Bytes that the journal has left.
    pub journal_bytes: u64,
    /// What kept the journal from being shortened; the snapshot is good all the same.
    pub trim_error: Option<String>,
}

/// Why no snapshot was taken. The ones before are as they were.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The engine has no store.
    #[error("the engine has no store")]
    NoStore,
    /// Another snapshot is being taken.
    #[error("another snapshot is being taken")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one snapshot leaves for the next.
pub(super) struct Snapshots {
    /// The number of the newest.
    newest: u64,
    /// Where the newest stands that is known to be good.
    positions: Option<Positions>,
    /// By shard, the chunk that is as the shard was.
    kept: Vec<Option<Kept>>,
    /// Bytes that the journal had after the newest.
    journal_bytes: u64,
    /// The last record before the newest was published.
    last: Lsn,
}

/// What was written of a shard.
#[derive(Clone)]
struct Kept {
    /// `None` where there was nothing to write.
    chunk: Option<ChunkRef>,
    /// The number of the shard's last record when it was begun.
    last_lsn: u64,
}

impl Snapshots {
    /// After a recovery from this snapshot, where there was one. `unchanged`: by shard, its last record's number
    /// where nothing came after its chunk.
    pub(super) fn after(
        found: &FoundSnapshots,
        from: Option<&Manifest>,
        unchanged: Vec<Option<u64>>,
        journal_bytes: u64,
    ) -> Self {
        let chunks = from.filter(|from| from.shards as usize == unchanged.len());
        let kept = unchanged.iter().enumerate().map(|(place, &last_lsn)| {
            let (manifest, last_lsn) = (chunks?, last_lsn?);
            let mut chunks = manifest.chunks.iter();
            let chunk = chunks.find(|chunk| chunk.stream as usize == place + 1);
            Some(Kept {
                chunk: chunk.cloned(),
                last_lsn,
            })
        });
        Self {
            newest: found.highest,
            positions: from.map(|from| from.positions.clone()),
            kept: kept.collect(),
            journal_bytes,
            last: from.map_or(Lsn(0), |from| from.last),
        }
    }
}

/// Gives what a snapshot leaves back, also where something fails or panics: then nothing of it stays.
struct Taking<'a> {
    durable: &'a Durable,
    is_published: bool,
    snapshots: Option<Snapshots>,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        if !self.is_published {
            self.durable.store.snapshots.abandon();
        }
        *self.durable.snapshots.lock() = self.snapshots.take();
    }
}

impl Engine {
    /// Takes a snapshot, while callers go on: the next recovery starts from here, and the journal is shortened. Only
    /// shards in which something has changed since the last one are written.
    ///
    /// O(what those shards hold), on this thread. A shard's lock is held for some dozen requests at a time.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn snapshot(&self) -> Result<SnapshotReport, SnapshotError> {
        let durable = self.durable.as_ref().ok_or(SnapshotError::NoStore)?;
        let taken = self.take_snapshot(durable, true)?;
        taken.ok_or(SnapshotError::Busy)
    }

    /// Whether the journal has no room for intake, or has grown by as many bytes since the last snapshot as it may, or that
    /// is so long ago as it may be and something was recorded since. `last` is when it was looked for one last. Cheap;
    /// `false` without a store, and while a snapshot is taken.
    pub(super) fn snapshot_is_due(&self, last: Timestamp, now: Timestamp) -> bool {
        let Some(durable) = &self.durable else {
            return false;
        };
        let (bytes_max, span) = self.settings.snapshot_every;
        let bytes = durable.store.journal.bytes();
        let appended = durable.commit.appended();
        let snapshots = durable.snapshots.lock();
        snapshots.as_ref().is_some_and(|snapshots| {
            let has_grown = bytes.saturating_sub(snapshots.journal_bytes) >= bytes_max;
            let is_old = now.saturating_duration_since(last) >= span;
            !self.has_room() || snapshots.last < appended && (has_grown || is_old)
        })
    }

    /// `None` where another is being taken. `marks`: whether it writes down in the journal that there is a snapshot.
    pub(super) fn take_snapshot(
        &self,
        durable: &Durable,
        marks: bool,
    ) -> Result<Option<SnapshotReport>, StoreError> {
        let Some(snapshots) = durable.snapshots.lock().take() else {
            return Ok(None);
        };
        let mut taking = Taking {
            durable,
            is_published: false,
            snapshots: Some(snapshots),
        };
        let taken = taking.snapshots.as_mut();
        let taken = taken.map(|snapshots| self.write_snapshot(durable, snapshots, marks));
        taking.is_published = matches!(taken, Some(Ok(_)));
        taken.transpose()
    }

    fn write_snapshot(
        &self,
        durable: &Durable,
        snapshots: &mut Snapshots,
        marks: bool,
    ) -> Result<SnapshotReport, StoreError> {
        let mut report = SnapshotReport::default();
        let mut manifest = Manifest {
            number: snapshots.newest + 1,
            epoch: self.settings.epoch,
            shards: self.shards.len() as u32,
            ..Manifest::default()
        };
        let (position, chunk) = self.write_control(durable)?;
        manifest.positions.0.push(position);
        report.note(&chunk);
        manifest.chunks.push(chunk);
        let mut kept = Vec::with_capacity(self.shards.len());
        for place in 0..self.shards.len() {
            let former = snapshots.kept.get(place).and_then(Option::as_ref);
            let (position, now) = self.write_shard(durable, place, former, &mut report)?;
            manifest.positions.0.push(position);
            manifest.chunks.extend(now.chunk.clone());
            kept.push(Some(now));
        }
        // What it may hold must not be lost, or it would hold what never was.
        let flushed = durable.commit.flush();
        manifest.last = flushed.map_err(|Undurable| durable.failure())?;
        manifest.next_intake = self.next_intake();
        let polled = durable.commit.last_polled();
        manifest.polled_until = polled.or(durable.recovery.polled_until);
        durable.store.snapshots.publish(&manifest)?;

        let before = snapshots.positions.replace(manifest.positions.clone());
        snapshots.newest = manifest.number;
        snapshots.kept = kept;
        report.number = manifest.number;
        if let Some(before) = before {
            let trimmed = durable.store.journal.trim(&before);
            report.trim_error = trimmed.err().map(|error| error.to_string());
        }
        snapshots.last = manifest.last;
        if marks {
            let mark = Record::Marked {
                manifest: manifest.number,
                floor: manifest.positions.floor(),
            };
            // By itself it is nothing that another snapshot would have to tell.
            let lsn = durable.control.log(&mark);
            if lsn == snapshots.last.next() {
                snapshots.last = lsn;
            }
        }
        snapshots.journal_bytes = durable.store.journal.bytes();
        report.journal_bytes = snapshots.journal_bytes;
        Ok(report)
    }

    /// Writes what belongs to no request: who writes, the names of locations, holds and paces. What is recorded of
    /// these was applied before, so the position comes first.
    fn write_control(&self, durable: &Durable) -> Result<(Lsn, ChunkRef), StoreError> {
        let position = durable.commit.appended();
        let mut chunk = Chunk::begin(durable, 0)?;
        chunk.add(|bytes| encode(0, &self.opened(), bytes));
        for index in 0..self.directory.len() as u32 {
            let location = LocationId::from_index(index);
            if let Some(name) = self.directory.name(location) {
                let record = Record::Named {
                    location,
                    name: &name,
                };
                chunk.add(|bytes| encode(0, &record, bytes));
            }
            if chunk.is_full() {
                chunk.put(durable.commit.appended())?;
            }
        }
        for location in self.controls.ruled() {
            let (held_since, pace) = self.controls.of(location).image();
            let record = Record::Ruled {
                location,
                held_since,
                pace,
            };
            chunk.add(|bytes| encode(0, &record, bytes));
            if chunk.is_full() {
                chunk.put(durable.commit.appended())?;
            }
        }
        chunk.put(durable.commit.appended())?;
        Ok((position, chunk.writer.finish()?))
    }

    /// Writes a shard, unless it is as it was when `former` was written. Returns its position, too.
    fn write_shard(
        &self,
        durable: &Durable,
        place: usize,
        former: Option<&Kept>,
        report: &mut SnapshotReport,
    ) -> Result<(Lsn, Kept), StoreError> {
        let cell = &self.shards[place];
        let shard = cell.lock();
        let position = durable.commit.appended();
        let last_lsn = shard.last_lsn;
        if let Some(former) = former.filter(|former| former.last_lsn == last_lsn) {
            report.shards_kept += 1;
            return Ok((position, former.clone()));
        }
        let entries = shard.store.end();
        let remembered = shard.memory.sequences();
        let pages = shard.book.pages();
        drop(shard);
        report.shards_written += 1;
        let stream = place as u32 + 1;
        if entries == 0 && remembered.is_empty() && pages == 0 {
            let kept = Kept {
                chunk: None,
                last_lsn,
            };
            return Ok((position, kept));
        }
        let mut chunk = Chunk::begin(durable, stream)?;
        let mut at = 0;
        while at < entries {
            let shard = cell.lock();
            at = shard.write_entries(at..entries.min(at + STEP), &mut chunk);
            let as_of = Lsn(shard.last_lsn);
            drop(shard);
            chunk.put(as_of)?;
        }
        let mut at = remembered.start;
        while at < remembered.end {
            let shard = cell.lock();
            let until = remembered.end.min(at + u64::from(STEP));
            for sequence in at..until {
                if let Some(ended) = shard.memory.kept(sequence) {
                    let image = ended_image(ended, &shard.memory);
                    chunk.add(|bytes| encode_ended(stream as u16, &image, bytes));
                }
            }
            at = until;
            let as_of = Lsn(shard.last_lsn);
            drop(shard);
            chunk.put(as_of)?;
        }
        let mut at = 0;
        while at < pages {
            let shard = cell.lock();
            let until = pages.min(at + PAGES_STEP);
            for page in (at..until).filter_map(|number| shard.book.page_at(number)) {
                chunk.add_totals(page);
            }
            at = until;
            let as_of = Lsn(shard.last_lsn);
            drop(shard);
            chunk.put(as_of)?;
        }
        let written = chunk.writer.finish()?;
        report.note(&written);
        let kept = Kept {
            chunk: Some(written),
            last_lsn,
        };
        Ok((position, kept))
    }
}

impl Shard {
    /// Encodes the requests in some places, as long as there is room, and says where to go on.
    fn write_entries(&self, places: std::ops::Range<u32>, chunk: &mut Chunk) -> u32 {
        self.store.touch_contents(places.clone());
        let stream = chunk.stream as u16;
        for index in places.clone() {
            if chunk.is_full() {
                return index;
            }
            if self.store.entry(index).is_some() {
                let image = self.image_of(index, true);
                chunk.add(|bytes| encode_request(stream, Change::Seen, &image, bytes));
            }
        }
        places.end
    }
}

impl SnapshotReport {
    fn note(&mut self, chunk: &ChunkRef) {
        self.records += chunk.records;
        self.bytes += chunk.bytes;
    }
}

/// A chunk being written: what was seen under a lock gathers here, and is written without it.
struct Chunk {
    writer: Box<dyn ChunkWriter>,
    stream: u32,
    bytes: Vec<u8>,
    count: u32,
}

impl Chunk {
    fn begin(durable: &Durable, stream: u32) -> Result<Self, StoreError> {
        Ok(Self {
            writer: durable.store.snapshots.begin(stream)?,
            stream,
            bytes: Vec::with_capacity(2 * STEP_BYTES),
            count: 0,
        })
    }

    fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        self.count += 1;
    }

    /// How many requests of a location ended, and how.
    fn add_totals(&mut self, page: &Page) {
        for (outcome, why, count) in page.outcomes() {
            let record = Record::Totals {
                location: page.location,
                outcome,
                why: why.clone(),
                count,
            };
            let stream = self.stream as u16;
            self.add(|bytes| encode(stream, &record, bytes));
        }
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= STEP_BYTES
    }

    /// Writes what has gathered, seen when the shard's last record was this.
    fn put(&mut self, as_of: Lsn) -> Result<(), StoreError> {
        if self.count == 0 {
            return Ok(());
        }
        let block = ChunkBlock {
            as_of,
            count: std::mem::take(&mut self.count),
            records: &self.bytes,
        };
        let put = self.writer.put(&block);
        self.bytes.clear();
        put
    }
}
