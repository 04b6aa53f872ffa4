//! Reading a snapshot: its control chunk first, then the shards' chunks, some at once.

use hashbrown::HashMap;

use super::Site;
use super::control::Control;
use super::lanes::share;
use super::report::{RecoveryPhase, RecoveryProgress};
use super::restore::{Found, Restoring};
use crate::engine::config::BuildError;
use crate::engine::shard::Shard;
use crate::ids::LocationId;
use crate::persistence::record::{Malformed, Record, Records};
use crate::persistence::{ChunkBlock, ChunkRef, Lsn, Manifest, StoreError};
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// A record of a request has no fewer bytes.
const RECORD_BYTES_MIN: u64 = 64;

/// Up to which record the totals of a location are known, by stream.
#[derive(Default)]
pub(super) struct Counted(HashMap<u32, HashMap<LocationId, Lsn>>);

impl Counted {
    /// 0 where there are none: none of its requests had ended then.
    pub(super) fn until(&self, stream: u16, location: LocationId) -> Lsn {
        let locations = self.0.get(&u32::from(stream));
        let until = locations.and_then(|locations| locations.get(&location));
        until.copied().unwrap_or_default()
    }
}

/// What was read of a store so far.
pub(super) struct Loaded<'a> {
    pub(super) control: Control<'a>,
    pub(super) shards: Vec<Mutex<Restoring>>,
    pub(super) counted: Counted,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Requests that can be in it, as the settings say.
    requests_max: u64,
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
            counted: Counted::default(),
            records: 0,
            bytes: 0,
            requests_max: settings.pending_max.saturating_add(settings.remembered_max) as u64,
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
        let counted = Mutex::new(HashMap::new());
        loaded.reserve(&chunks);
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
            counted.lock().insert(chunk.stream, totals);
            Ok(())
        })?;
        loaded.counted = Counted(std::mem::take(&mut *counted.lock()));
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
        let damage = |malformed: Malformed| malformed.damage(place(), 0);
        let mut found = Vec::new();
        let mut count = 0;
        for raw in Records::new(block.records) {
            let raw = raw.map_err(damage)?;
            count += 1;
            if let Some(id) = raw.id() {
                let (place, hash) = site.place(id);
                found.push(Found {
                    place,
                    hash,
                    lsn: Lsn(0),
                    raw,
                });
            } else if let Record::Totals {
                location,
                outcome,
                why,
                count,
            } = raw.decode().map_err(damage)?
            {
                totals.insert(location, block.as_of);
                let shard = (chunk.stream as usize).wrapping_sub(1) % self.shards.len();
                let mut shard = self.shards[shard].lock();
                shard.total(location, outcome, &why, count);
            }
        }
        check_count(block.count, count, place)?;
        // Stable: what is of one request stays in order.
        found.sort_by_key(|found| found.place);
        for found in found.chunk_by(|one, other| one.place == other.place) {
            let mut shard = self.shards[found[0].place].lock();
            shard.put_all(found, &self.counted).map_err(damage)?;
        }
        Ok(())
    }

    /// Makes room for what is in these chunks.
    fn reserve(&mut self, chunks: &[&ChunkRef]) {
        // What a file claims is believed as far as it can be.
        let records = chunks
            .iter()
            .map(|chunk| chunk.records.min(chunk.bytes / RECORD_BYTES_MIN));
        let records = records.sum::<u64>().min(self.requests_max);
        for shard in &self.shards {
            shard.lock().reserve(records / self.shards.len() as u64);
        }
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
