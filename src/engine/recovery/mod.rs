//! Recovery: an engine's shards, out of its store.
//!
//! 1. The newest snapshot that reads well. Its control chunk goes first (names, holds, paces), then the shards' chunks,
//!    some at once. Where a chunk turns out damaged all starts over with the snapshot before: the journal is kept as
//!    far back as that. Without any the journal must begin at the beginning.
//! 2. The journal behind it, in order. A record says all that is to be known of its request, so the last one decides.
//! 3. Every request gets its line in its location's book and its timer.
//! 4. The journal is opened under an epoch and record numbers above all that were ever seen.
//!
//! # Another number of shards
//!
//! Records are put in where their requests belong *now*; which stream they were written to says only whether the
//! snapshot has them already. Streams are numbered otherwise from here on, so a snapshot of everything is taken before
//! anything is appended. What is remembered of several former shards stands in one behind the other, so that some of it
//! is kept for longer than its span; it is not answered by for longer.
//!
//! # What is in doubt
//!
//! See `doubt.rs`, and for what was missed while nothing ran, `gaps.rs`: the store tells when the last poll was.

mod control;
mod lanes;
mod load;
mod replay;
mod report;
mod restore;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub(super) use report::RecoveryObserver;
pub use report::{RecoveryPhase, RecoveryProgress, RecoveryReport};

use self::control::Control;
use self::lanes::share;
use self::load::Loaded;
use self::restore::Restored;
use super::cell::ShardCell;
use super::config::{BuildError, EngineBuilder};
use super::durable::Durable;
use super::location::Controls;
use super::rules::{Rules, place_of};
use super::snapshot::Snapshots;
use crate::clock::Stopwatch;
use crate::directory::Directory;
use crate::ids::{RequestId, Timestamp};
use crate::persistence::commit::Commit;
use crate::persistence::{
    Durability, FoundSnapshots, JournalTail, Lsn, Manifest, Store, StoreError,
};
use crate::sync::{Arc, Mutex, Ordering};

/// What a recovery works with.
pub(super) struct Site<'a> {
    pub(super) settings: &'a EngineBuilder,
    pub(super) store: &'a Store,
    pub(super) rules: &'a Arc<Rules>,
    pub(super) directory: &'a Directory,
}

/// What an engine is made of that comes out of a store.
pub(super) struct Recovered {
    pub(super) shards: Box<[ShardCell]>,
    pub(super) controls: Controls,
    pub(super) durable: Durable,
    /// When the last poll was, as far as the store tells.
    pub(super) last_poll: Option<Timestamp>,
    /// Where what is overdue may have been acted on: up to which number in the order of intake.
    pub(super) suspects_up_to: Option<u64>,
    pub(super) epoch: u32,
    /// A snapshot of everything is to be taken before anything is appended.
    pub(super) needs_snapshot: bool,
}

impl Site<'_> {
    /// The shard of a request, and the hash it goes by.
    fn place(&self, id: RequestId) -> (usize, u64) {
        let hash = self.rules.hash(id);
        (place_of(hash, self.settings.shards), hash)
    }

    fn tell(&self, progress: RecoveryProgress) {
        if let Some(observer) = &self.settings.recovery_observer {
            observer.tell(progress);
        }
    }
}

/// Reads a store back and opens its journal for writing.
///
/// # Errors
/// [`BuildError`]: nothing was written then, but maybe that a writer with a greater epoch has come.
pub(super) fn recover(site: &Site<'_>) -> Result<Recovered, BuildError> {
    let watch = Stopwatch::start();
    let found = site.store.snapshots.find()?;
    let mut report = RecoveryReport {
        snapshots_bad: found.bad.iter().map(ToString::to_string).collect(),
        ..RecoveryReport::default()
    };
    let (mut loaded, manifest) = load(site, &found, &mut report)?;
    report.snapshot_time = watch.elapsed();

    let nothing = Manifest::default();
    let base = manifest.unwrap_or(&nothing);
    let had_snapshots = !found.good.is_empty() || !found.bad.is_empty();
    let whole = manifest.is_none() && had_snapshots;
    let tail = replay::replay(site, &mut loaded, &base.positions, whole)?;
    report.journal_time = watch.elapsed().saturating_sub(report.snapshot_time);

    let last_poll = tail.polled_until.or(base.polled_until);
    let next = next_lsn(&found, &tail);
    let restored = finish(site, &mut loaded, &tail, last_poll, Lsn(next.0 - 1))?;
    let Loaded { control, .. } = loaded;
    let epoch = epoch_after(site, &found, &tail, &control)?;
    let intake_max = restored.iter().map(|shard| shard.intake_max).max();
    let intake_max = intake_max.unwrap_or(0);
    let next_intake = intake_max.saturating_add(1);
    let next_intake = next_intake.max(base.next_intake).max(control.next_intake);
    let is_another = |shards: u32| shards as usize != restored.len();
    let is_resharded = manifest.is_some_and(|manifest| is_another(manifest.shards));
    let before = control.shards.or(manifest.map(|manifest| manifest.shards));
    let is_suspicious = !tail.closed && control.durability.is_some_and(|d| d != Durability::Sync);

    let rules = site.rules;
    let pending: usize = restored.iter().map(|shard| shard.shard.store.len()).sum();
    let remembered: usize = restored.iter().map(|shard| shard.shard.memory.len()).sum();
    let in_doubt: usize = restored.iter().map(|shard| shard.in_doubt).sum();
    rules.counts.pending.store(pending, Ordering::Release);
    rules
        .counts
        .next_intake
        .store(next_intake.max(1), Ordering::Release);
    site.store.journal.begin(epoch, next)?;
    let journal = Arc::clone(&site.store.journal);
    let commit = Commit::new(journal, site.settings.durability, epoch, next);
    commit.set_unsettled(is_suspicious);
    fill_in(&mut report, &tail);
    report.pending = pending as u64;
    report.remembered = remembered as u64;
    report.in_doubt = in_doubt as u64;
    report.locations = u64::from(control.named);
    report.overdue_are_suspect = is_suspicious;
    report.shards_before = before.filter(|&shards| is_another(shards));
    report.polled_until = last_poll;
    report.epoch = epoch;
    report.time = watch.elapsed();
    let unchanged = restored
        .iter()
        .map(|restored| (!restored.is_changed).then_some(restored.shard.last_lsn))
        .collect();
    let durable = Durable::new(
        site.store.clone(),
        commit,
        report,
        Snapshots::after(&found, manifest, unchanged, site.store.journal.bytes()),
    );
    Ok(Recovered {
        shards: restored
            .into_iter()
            .map(|restored| ShardCell::of(restored.shard))
            .collect(),
        controls: control.controls,
        durable,
        last_poll,
        needs_snapshot: is_resharded,
        suspects_up_to: is_suspicious.then_some(intake_max),
        epoch,
    })
}

/// Reads the newest snapshot that reads well, or none where there is none and never was.
fn load<'a, 'f>(
    site: &Site<'a>,
    found: &'f FoundSnapshots,
    report: &mut RecoveryReport,
) -> Result<(Loaded<'a>, Option<&'f Manifest>), BuildError> {
    for manifest in &found.good {
        match Loaded::snapshot(site, manifest) {
            Ok(loaded) => {
                report.snapshot = Some(manifest.number);
                report.snapshot_records = loaded.records;
                report.snapshot_bytes = loaded.bytes;
                return Ok((loaded, Some(manifest)));
            }
            Err(BuildError::Store(StoreError::Damaged(damage))) => {
                let number = manifest.number;
                let bad = format!("snapshot {number}: {damage}");
                report.snapshots_bad.push(bad);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((Loaded::nothing(site), None))
}

/// Gives every request its line and its timer, shard by shard, some at once.
fn finish(
    site: &Site<'_>,
    loaded: &mut Loaded<'_>,
    tail: &JournalTail,
    last_poll: Option<Timestamp>,
    last: Lsn,
) -> Result<Vec<Restored>, StoreError> {
    let shards = std::mem::take(&mut loaded.shards);
    let count = shards.len();
    let shards: Vec<_> = shards
        .into_iter()
        .map(|shard| Mutex::new((Some(shard), None)))
        .collect();
    let controls = &loaded.control.controls;
    let records = loaded.records;
    share(count, |number, is_caller| {
        let Some(shard) = shards[number].lock().0.take() else {
            return Ok(());
        };
        let shard = shard.into_inner();
        let restored = shard.finish(site.directory, controls, last_poll, last.0)?;
        shards[number].lock().1 = Some(restored);
        if is_caller {
            site.tell(RecoveryProgress {
                phase: RecoveryPhase::Timers,
                snapshot_records: records,
                snapshot_records_total: records,
                journal_records: tail.records,
            });
        }
        Ok(())
    })?;
    Ok(shards
        .into_iter()
        .filter_map(|shard| shard.into_inner().1)
        .collect())
}

/// A number above all that were ever seen.
fn next_lsn(found: &FoundSnapshots, tail: &JournalTail) -> Lsn {
    let manifests = found.good.iter().flat_map(|manifest| {
        let positions = manifest.positions.0.iter().copied();
        let chunks = manifest.chunks.iter().map(|chunk| chunk.as_of);
        positions.chain(chunks).chain([manifest.last])
    });
    let highest = manifests.chain([tail.highest, tail.last]).max();
    highest.unwrap_or_default().next()
}

/// An epoch above all that were ever seen.
fn epoch_after(
    site: &Site<'_>,
    found: &FoundSnapshots,
    tail: &JournalTail,
    control: &Control<'_>,
) -> Result<u32, StoreError> {
    let manifests = found.good.iter().map(|manifest| manifest.epoch);
    let seen = manifests.chain([tail.epoch, control.epoch]).max();
    let next = seen.unwrap_or(0).checked_add(1);
    let next = next.ok_or_else(|| StoreError::Mismatch {
        what: "the store's epoch".to_owned(),
        found: u32::MAX.to_string(),
        expected: "one that leaves room for another".to_owned(),
    })?;
    Ok(next.max(site.settings.epoch))
}

fn fill_in(report: &mut RecoveryReport, tail: &JournalTail) {
    report.journal_frames = tail.frames;
    report.journal_records = tail.records;
    report.journal_bytes = tail.bytes;
    report.clean = tail.closed;
    if let Some(torn) = &tail.torn {
        report.torn_bytes = torn.bytes;
        report.torn_at = Some((torn.place.clone(), torn.offset));
    }
}
