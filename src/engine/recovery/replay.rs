//! Replaying the journal behind a snapshot. The calling thread reads the frames and says of each record which shard it
//! belongs to; others put the records in, each for some of the shards.

use super::Site;
use super::lanes::{Batch, Lane, threads};
use super::load::{Counted, Loaded, check_count};
use super::report::{RecoveryPhase, RecoveryProgress};
use super::restore::{Found, Restoring};
use crate::engine::config::BuildError;
use crate::persistence::record::{Malformed, RawRecord, Record, Records};
use crate::persistence::{Frame, JournalTail, Lsn, Positions, StoreError};
use crate::sync::Mutex;

/// Records a batch.
const BATCH_RECORDS: usize = 256;
/// Bytes of a batch beyond which it is sent.
const BATCH_BYTES: usize = 64 * 1024;
/// Records after which progress is told.
const PROGRESS_STEP: u64 = 100_000;

/// Replays what is behind these positions. `whole`: there is no snapshot, so the journal must begin at the beginning.
///
/// # Errors
/// Where a record cannot be read, or cannot be of any request.
pub(super) fn replay(
    site: &Site<'_>,
    loaded: &mut Loaded<'_>,
    positions: &Positions,
    whole: bool,
) -> Result<JournalTail, BuildError> {
    let Loaded {
        control,
        shards,
        counted,
        records,
        ..
    } = loaded;
    let keeper = Keeper { shards, counted };
    let workers = threads().min(shards.len());
    let lanes: Vec<Lane> = (0..workers).map(|_| Lane::default()).collect();
    let snapshot_records = *records;
    let mut reader = Reader {
        site,
        keeper: &keeper,
        lanes: if workers > 1 { &lanes } else { &[] },
        batches: shards.iter().map(|_| Batch::default()).collect(),
        positions,
        records: 0,
        snapshot_records,
        told: 0,
    };
    let mut first = whole;
    let mut failed = None;
    let mut read = || {
        let result = site.store.journal.replay(positions, &mut |frame| {
            if std::mem::take(&mut first) && frame.base > Lsn(1) {
                return Err(StoreError::damaged(
                    "the journal",
                    0,
                    format!("record {} as the first", frame.base),
                    "record 1, or a snapshot with those before",
                ));
            }
            let noted = reader.frame(frame, |record| control.note(record));
            noted.map_err(|error| match error {
                BuildError::Store(error) => error,
                other => {
                    failed = Some(other);
                    StoreError::damaged("", 0, "", "")
                }
            })
        });
        let result = result.and_then(|tail| reader.flush().map(|()| tail));
        for lane in reader.lanes {
            lane.close();
        }
        result
    };
    let result = if workers > 1 {
        with_workers(&lanes, &keeper, read)
    } else {
        read()
    };
    if let Some(error) = failed {
        return Err(error);
    }
    // Where something could not be put in, reading stopped for that.
    if let Some(error) = lanes.iter().find_map(Lane::failure) {
        return Err(error.into());
    }
    Ok(result?)
}

#[cfg(not(any(loom, shuttle)))]
fn with_workers<T>(lanes: &[Lane], keeper: &Keeper<'_>, read: impl FnOnce() -> T) -> T {
    use crate::sync::thread;

    /// Closes the lanes also where reading panics: who takes from them must not wait for ever.
    struct Closing<'a>(&'a [Lane]);
    impl Drop for Closing<'_> {
        fn drop(&mut self) {
            for lane in self.0 {
                lane.close();
            }
        }
    }

    thread::scope(|scope| {
        let closing = Closing(lanes);
        for lane in lanes {
            scope.spawn(|| lane.take_all(|place, batch| keeper.put(place, batch)));
        }
        let read = read();
        drop(closing);
        read
    })
}

#[cfg(any(loom, shuttle))]
fn with_workers<T>(_: &[Lane], _: &Keeper<'_>, read: impl FnOnce() -> T) -> T {
    read()
}

/// Puts batches into their shards.
struct Keeper<'a> {
    shards: &'a [Mutex<Restoring>],
    counted: &'a Counted,
}

impl Keeper<'_> {
    fn put(&self, place: usize, batch: &Batch) -> Result<(), StoreError> {
        let first = batch.marks.first().map_or(0, |mark| mark.1);
        let damage = |malformed| damage(malformed, Lsn(first));
        let mut found = Vec::with_capacity(batch.marks.len());
        for (raw, &(hash, lsn)) in Records::new(&batch.bytes).zip(&batch.marks) {
            found.push(Found {
                place,
                hash,
                lsn: Lsn(lsn),
                raw: raw.map_err(damage)?,
            });
        }
        let mut shard = self.shards[place].lock();
        shard.is_changed = true;
        shard.put_all(&found, self.counted).map_err(damage)
    }
}

fn damage(malformed: Malformed, lsn: Lsn) -> StoreError {
    malformed.damage(format!("the journal (record {lsn} or one behind it)"), 0)
}

/// Reads frames, and sends their records where they belong.
struct Reader<'a, 'b> {
    site: &'a Site<'b>,
    keeper: &'a Keeper<'a>,
    /// None where the calling thread does all.
    lanes: &'a [Lane],
    /// By shard, what was not sent yet.
    batches: Vec<Batch>,
    positions: &'a Positions,
    records: u64,
    snapshot_records: u64,
    /// Records when progress was told last.
    told: u64,
}

impl Reader<'_, '_> {
    fn frame(
        &mut self,
        frame: &Frame<'_>,
        mut note: impl FnMut(&Record<'_>) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let mut count = 0;
        for raw in Records::new(frame.records) {
            let lsn = Lsn(frame.base.0.saturating_add(u64::from(count)));
            let raw = raw.map_err(|malformed| damage(malformed, lsn))?;
            count += 1;
            if lsn <= self.positions.of(raw.stream().into()) {
                continue;
            }
            match raw.id() {
                Some(id) => {
                    let (place, hash) = self.site.place(id);
                    self.send(place, hash, lsn, &raw)?;
                }
                None => {
                    let record = raw.decode().map_err(|malformed| damage(malformed, lsn))?;
                    note(&record)?;
                }
            }
        }
        let place = || format!("the journal (frame of record {})", frame.base);
        check_count(frame.count, count, &place)?;
        self.records += u64::from(count);
        if self.records - self.told >= PROGRESS_STEP {
            self.told = self.records;
            self.site.tell(RecoveryProgress {
                phase: RecoveryPhase::Journal,
                snapshot_records: self.snapshot_records,
                snapshot_records_total: self.snapshot_records,
                journal_records: self.records,
            });
        }
        Ok(())
    }

    fn send(
        &mut self,
        place: usize,
        hash: u64,
        lsn: Lsn,
        raw: &RawRecord<'_>,
    ) -> Result<(), StoreError> {
        let batch = &mut self.batches[place];
        batch.bytes.extend_from_slice(raw.bytes());
        batch.marks.push((hash, lsn.0));
        if batch.marks.len() >= BATCH_RECORDS || batch.bytes.len() >= BATCH_BYTES {
            self.flush_one(place)?;
        }
        Ok(())
    }

    fn flush_one(&mut self, place: usize) -> Result<(), StoreError> {
        let batch = std::mem::take(&mut self.batches[place]);
        if self.lanes.is_empty() {
            self.keeper.put(place, &batch)?;
            self.batches[place] = batch.emptied();
            return Ok(());
        }
        let lane = &self.lanes[place % self.lanes.len()];
        // Whoever does not take it any more has left word why.
        let stopped = || StoreError::damaged("the journal", 0, "", "");
        self.batches[place] = lane.send(place, batch).ok_or_else(stopped)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        for place in 0..self.batches.len() {
            if !self.batches[place].marks.is_empty() {
                self.flush_one(place)?;
            }
        }
        Ok(())
    }
}
