//! Verify: each file of a store read to its end, and the judgement of a recovery.

use serde::Serialize;

use super::{StoreInspector, as_damage, malformed_block, malformed_frame};
use crate::persistence::error::{Damage, StoreError};
use crate::persistence::file::journal::inspect::{Event, SegmentReport, SegmentRole, inspect};
use crate::persistence::file::journal::{FileJournal, JournalOptions};
use crate::persistence::file::manifest;
use crate::persistence::file::names::FileName;
use crate::persistence::file::snapshots::manifest_numbers;
use crate::persistence::journal::{Journal, Lsn, Positions, TornTail};
use crate::persistence::snapshots::{Manifest, SnapshotStore};

/// What there is of a store, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyReport {
    /// The store's identity, 32 hexadecimal digits. Its key is told nowhere.
    pub store: String,
    /// The segments of the journal, in order.
    pub segments: Vec<SegmentState>,
    /// The snapshots, the newest first.
    pub snapshots: Vec<SnapshotState>,
    /// What a recovery would find.
    pub recovery: RecoveryOutlook,
}

impl VerifyReport {
    /// Nothing is wrong with any file, and a recovery would succeed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.recovery.obstacle.is_none() && self.damage().next().is_none()
    }

    /// All that is wrong, file by file.
    pub fn damage(&self) -> impl Iterator<Item = &Damage> {
        let segments = self.segments.iter().flat_map(|segment| &segment.damage);
        let snapshots = self.snapshots.iter().flat_map(|snapshot| &snapshot.damage);
        segments.chain(snapshots)
    }
}

/// A segment of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentState {
    /// Its number.
    pub number: u64,
    /// The file's name.
    pub file: String,
    /// The file's bytes.
    pub bytes: u64,
    /// `closed`, `last`, `ahead` (nothing was written to it), or `unknown` (what it follows on cannot be read).
    pub role: &'static str,
    /// The number of its first record, or of the one that was to be; 0 where that is not known.
    pub first: Lsn,
    /// The number of its last record that can be read; of the last before it, where it has none.
    pub last: Lsn,
    /// The epoch of its writer; 0 where that is not known.
    pub epoch: u32,
    /// Frames that can be read.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of them on the disk.
    pub frame_bytes: u64,
    /// Bytes behind its end that were written and never made durable: no damage.
    pub torn_bytes: u64,
    /// What is wrong with it.
    pub damage: Vec<Damage>,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SnapshotState {
    /// Its number.
    pub number: u64,
    /// The manifest's name.
    pub file: String,
    /// Chunks that it names.
    pub chunks: usize,
    /// Bytes of its chunks.
    pub bytes: u64,
    /// Records in its chunks that can be read.
    pub records: u64,
    /// All records up to this one are in it.
    pub floor: Lsn,
    /// The last record known when it was made.
    pub last: Lsn,
    /// What is wrong with the manifest or with its chunks.
    pub damage: Vec<Damage>,
    /// Some of that is no damage that was found, but something that this program cannot read.
    pub is_strange: bool,
    #[serde(skip)]
    pub(super) manifest: Option<Manifest>,
}

/// What a recovery would find, which goes back to an older snapshot where the newest is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecoveryOutlook {
    /// The snapshot it would begin with.
    pub snapshot: Option<u64>,
    /// The last record it would find.
    pub last: Lsn,
    /// What was written at the end and never made durable, which it would give up.
    pub torn: Option<TornTail>,
    /// Why it would refuse the store: the first reason there is. `None` where it would succeed.
    pub obstacle: Option<String>,
}

impl StoreInspector {
    /// Reads all files of the store, and judges whether it can be recovered.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be told what there is. What is wrong with a file is no error here.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        let snapshots = self.snapshot_states()?;
        let mut malformed = Vec::new();
        let segments = inspect(&*self.disk, self.uuid, &mut |event| {
            if let Event::Frame { at, frame, .. } = event
                && let Some(found) = malformed_frame(frame)
            {
                malformed.push((at.0, at.1, found, frame.count));
            }
        })?;
        let mut segments: Vec<_> = segments.into_iter().map(SegmentState::of).collect();
        for (number, offset, found, count) in malformed {
            if let Some(segment) = segments.iter_mut().find(|state| state.number == number) {
                segment.damage.push(Damage {
                    place: segment.file.clone(),
                    offset,
                    found,
                    expected: format!("{count} records"),
                });
            }
        }
        let recovery = self.outlook(&snapshots)?;
        Ok(VerifyReport {
            store: format!("{:032x}", self.uuid),
            segments,
            snapshots,
            recovery,
        })
    }

    /// All snapshots, the newest first, each read to its end.
    pub(super) fn snapshot_states(&self) -> Result<Vec<SnapshotState>, StoreError> {
        manifest_numbers(&*self.disk)?
            .into_iter()
            .map(|number| self.snapshot_state(number))
            .collect()
    }

    fn snapshot_state(&self, number: u64) -> Result<SnapshotState, StoreError> {
        let mut state = SnapshotState::new(number);
        let manifest = match manifest::read(&*self.disk, self.uuid, number) {
            Ok(manifest) => manifest,
            Err(error) => {
                state.note(error)?;
                return Ok(state);
            }
        };
        state.chunks = manifest.chunks.len();
        state.bytes = manifest.chunks.iter().map(|chunk| chunk.bytes).sum();
        state.floor = manifest.positions.floor();
        state.last = manifest.last;
        for chunk in &manifest.chunks {
            let name = FileName::Chunk(chunk.number).to_string();
            let read = self.snapshots.read(chunk, &mut |block| {
                state.records += u64::from(block.count);
                match malformed_block(block) {
                    None => Ok(()),
                    Some(found) => Err(StoreError::damaged(
                        name.clone(),
                        0,
                        found,
                        format!("{} records in a block", block.count),
                    )),
                }
            });
            if let Err(error) = read {
                state.note(error)?;
            }
        }
        state.manifest = Some(manifest);
        Ok(state)
    }

    /// What a recovery would find: from the newest snapshot that reads well, all that is behind it.
    pub(super) fn outlook(
        &self,
        snapshots: &[SnapshotState],
    ) -> Result<RecoveryOutlook, StoreError> {
        let base = newest(snapshots);
        let nothing = Positions::default();
        let positions = base.map_or(&nothing, |manifest| &manifest.positions);
        let mut from_the_first = base.is_none() && !snapshots.is_empty();
        let mut outlook = RecoveryOutlook {
            snapshot: base.map(|manifest| manifest.number),
            last: Lsn(0),
            torn: None,
            obstacle: None,
        };
        let options = JournalOptions::default();
        let journal = FileJournal::open(self.disk.clone(), self.uuid, options)?;
        let replayed = journal.replay(positions, &mut |frame| {
            if std::mem::take(&mut from_the_first) && frame.base > Lsn(1) {
                let found = format!("record {} as the first", frame.base);
                let expected = "record 1, for no snapshot can be read";
                return Err(StoreError::damaged("the journal", 0, found, expected));
            }
            outlook.last = frame.last();
            match malformed_frame(frame) {
                None => Ok(()),
                Some(found) => {
                    let place = format!("the frame of record {}", frame.base);
                    let expected = format!("{} records", frame.count);
                    Err(StoreError::damaged(place, 0, found, expected))
                }
            }
        });
        match replayed {
            Ok(tail) => {
                outlook.last = tail.last;
                outlook.torn = tail.torn;
            }
            Err(error) => outlook.obstacle = Some(error.to_string()),
        }
        Ok(outlook)
    }
}

/// The newest snapshot that is whole.
pub(super) fn newest(snapshots: &[SnapshotState]) -> Option<&Manifest> {
    let whole = snapshots.iter().find(|state| state.damage.is_empty())?;
    whole.manifest.as_ref()
}

impl SnapshotState {
    fn new(number: u64) -> Self {
        Self {
            number,
            file: FileName::Manifest(number).to_string(),
            chunks: 0,
            bytes: 0,
            records: 0,
            floor: Lsn(0),
            last: Lsn(0),
            damage: Vec::new(),
            is_strange: false,
            manifest: None,
        }
    }

    fn note(&mut self, error: StoreError) -> Result<(), StoreError> {
        let (damage, is_strange) = as_damage(error, &self.file)?;
        self.damage.push(damage);
        self.is_strange |= is_strange;
        Ok(())
    }
}

impl SegmentState {
    pub(super) fn of(report: SegmentReport) -> Self {
        Self {
            number: report.number,
            file: report.name,
            bytes: report.bytes,
            role: match report.role {
                SegmentRole::Closed => "closed",
                SegmentRole::Last => "last",
                SegmentRole::Ahead => "ahead",
                SegmentRole::Unknown => "unknown",
            },
            first: report.base,
            last: report.last,
            epoch: report.epoch,
            frames: report.frames,
            records: report.records,
            frame_bytes: report.frame_bytes,
            torn_bytes: report.torn_bytes,
            damage: report.damage,
        }
    }
}
