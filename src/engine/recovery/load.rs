//! Reading a snapshot: its control chunk first, then the shards' chunks, some at once.

use hashbrown::HashMap;

use super::Site;
use super::control::Control;
use super::lanes::share;
use super::report::{RecoveryPhase, RecoveryProgress};
use super::restore::{Found, Restoring, Subject};
use crate::engine::config::BuildError;
use crate::engine::shard::Shard;
use crate::ids::LocationId;
use crate::persistence::record::{Record, Records};
use crate::persistence::{ChunkBlock, ChunkRef, Lsn, Manifest, StoreError};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// By stream, up to which record a location's totals are known.
pub(super) type Counted = Vec<HashMap<LocationId, Lsn>>;

/// What was read of a store so far.
pub(super) struct Loaded<'a> {
    pub(super) control: Control<'a>,
    pub(super) shards: Vec<Mutex<Restoring>>,
    pub(super) counted: Counted,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl<'a> Loaded<'a> {
    /// Nothing, for what the journal says from its beginning.
    pub(super) fn nothing(site: &Site<'a>) -> Self {
        let settings = site.settings;
        let remembered_max = settings.remembered_max.div_ceil(settings.shards);
        let shard = || Shard::new(Arc::clone(site.rules), settings.remember, remembered_max);
        Self {
            control: Control::new(site.directory, settings.default_pace),
            shards: (0..settings.shards)
                .map(|_| Mutex::new(Restoring::new(shard())))
                .collect(),
            counted: Vec::new(),
            records: 0,
            bytes: 0,
        }
    }

    /// What a snapshot says.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a chunk is not what was written.
    pub(super) fn snapshot(site: &Site<'a>, manifest: &Manifest) -> Result<Self, BuildError> {
        let mut loaded = Self::nothing(site);
        let (control, chunks) = manifest
            .chunks
            .iter()
            .partition::<Vec<_>, _>(|chunk| chunk.stream == 0);
        for chunk in control {
            loaded.control_chunk(site, chunk)?;
        }
        let total = manifest.chunks.iter().map(|chunk| chunk.records).sum();
        let counted: Counted = (0..=manifest.shards).map(|_| HashMap::new()).collect();
        let counted = Mutex::new(counted);
        let read = AtomicU64::new(loaded.records);
        share(chunks.len(), |number, is_caller| {
            let chunk = chunks[number];
            let mut totals = HashMap::new();
            let mut block_number = 0;
            site.store.snapshots.read(chunk, &mut |block| {
                let place = || format!("chunk {} (block {block_number})", chunk.number);
                loaded.block(site, chunk, block, &mut totals, &place)?;
                block_number += 1;
                let records = u64::from(block.count);
                let records = read.fetch_add(records, Ordering::Relaxed) + records;
                if is_caller {
                    site.tell(RecoveryProgress {
                        phase: RecoveryPhase::Snapshot,
                        snapshot_records: records,
                        snapshot_records_total: total,
                        journal_records: 0,
                    });
                }
                Ok(())
            })?;
            if let Some(counted) = counted.lock().get_mut(chunk.stream as usize) {
                *counted = totals;
            }
            Ok(())
        })?;
        loaded.counted = std::mem::take(&mut *counted.lock());
        loaded.records = read.load(Ordering::Relaxed);
        loaded.bytes = manifest.chunks.iter().map(|chunk| chunk.bytes).sum();
        Ok(loaded)
    }

    fn control_chunk(&mut self, site: &Site<'_>, chunk: &ChunkRef) -> Result<(), BuildError> {
        let mut failed = None;
        let read = site.store.snapshots.read(chunk, &mut |block| {
            let place = || format!("chunk {}", chunk.number);
            let mut count = 0;
            for raw in Records::new(block.records) {
                let raw = raw.map_err(|malformed| malformed.damage(place(), 0))?;
                let record = raw.decode();
                let record = record.map_err(|malformed| malformed.damage(place(), 0))?;
                if let Err(error) = self.control.note(&record) {
                    failed = Some(error);
                    return Err(StoreError::damaged(place(), 0, "", ""));
                }
                count += 1;
            }
            self.records += u64::from(count);
            check_count(block.count, count, &place)
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(read?),
        }
    }

    /// Puts in what a step of a snapshot saw.
    fn block(
        &self,
        site: &Site<'_>,
        chunk: &ChunkRef,
        block: &ChunkBlock<'_>,
        totals: &mut HashMap<LocationId, Lsn>,
        place: &impl Fn() -> String,
    ) -> Result<(), StoreError> {
        let mut found = Vec::with_capacity((block.count as usize).min(block.records.len()));
        let mut count = 0;
        for raw in Records::new(block.records) {
            let raw = raw.map_err(|malformed| malformed.damage(place(), 0))?;
            let record = raw.decode();
            let record = record.map_err(|malformed| malformed.damage(place(), 0))?;
            count += 1;
            let subject = match record {
                Record::Request(_, image) => Subject::Pending(image),
                Record::Ended(image) => Subject::Ended {
                    image,
                    // It is among the totals.
                    counts: false,
                },
                Record::Totals {
                    location,
                    outcome,
                    why,
                    count,
                } => {
                    totals.insert(location, block.as_of);
                    let shard = (chunk.stream as usize).wrapping_sub(1) % self.shards.len();
                    let mut shard = self.shards[shard].lock();
                    shard.total(location, outcome, &why, count);
                    continue;
                }
                _ => continue,
            };
            found.push(site.found(subject));
        }
        check_count(block.count, count, place)?;
        self.put_all(found)
            .map_err(|found| StoreError::damaged(place(), 0, found, "a request"))
    }

    /// Puts records in where they belong, in order.
    fn put_all(&self, mut found: Vec<Found<'_>>) -> Result<(), &'static str> {
        let is_sorted = found.is_sorted_by_key(|found| found.place);
        if !is_sorted {
            // Stable: what is of one request stays in order.
            found.sort_by_key(|found| found.place);
        }
        while let Some(place) = found.first().map(|found| found.place) {
            let end = found.partition_point(|found| found.place <= place);
            let rest = found.split_off(end);
            self.shards[place].lock().put_all(found)?;
            found = rest;
        }
        Ok(())
    }
}

/// Whether as many records were read as there should be.
pub(super) fn check_count(
    expected: u32,
    found: u32,
    place: &impl Fn() -> String,
) -> Result<(), StoreError> {
    if found == expected {
        return Ok(());
    }
    Err(StoreError::damaged(
        place(),
        0,
        format!("{found} records"),
        format!("{expected} of them"),
    ))
}
