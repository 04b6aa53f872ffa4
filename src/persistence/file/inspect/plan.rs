//! [`RepairPlan`]: what a repair would do, said beforehand.

use std::collections::BTreeSet;

use serde::Serialize;

use super::StoreInspector;
use super::verify::{SegmentState, SnapshotState, newest};
use super::walk::{At, Walk};
use crate::ids::{LocationId, RequestId};
use crate::persistence::error::StoreError;
use crate::persistence::file::journal::JournalOptions;
use crate::persistence::file::journal::inspect::inspect;
use crate::persistence::file::journal::rewrite::Start;
use crate::persistence::file::names::FileName;
use crate::persistence::file::trying;
use crate::persistence::journal::{Lsn, Positions};

/// What a repair would do to a store, and what would be lost by it.
///
/// The journal is cut in front of the first records that are missing and that no snapshot knows; what is behind, is
/// lost too, though it can be read: records take what they do not say from those before them, so that only what is in
/// front of a gap is a state that there has been. Where snapshots know all that is missing, nothing is lost. A damaged
/// snapshot costs nothing where the one before it is whole and the journal goes back as far as that.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RepairPlan {
    /// Files that get other names, which nothing opens. Not one is removed.
    pub set_aside: Vec<SetAside>,
    /// The journal is written anew; its last record would be this one.
    pub journal_ends_with: Option<Lsn>,
    /// The records that can be read and would be lost, in order. A request whose acceptance is among them would be
    /// unknown; one whose end is among them would wait again.
    pub lost: Vec<LostRecord>,
    /// The records that cannot be read and would be lost.
    pub unreadable: Vec<LostRange>,
    /// Why nothing can be done. `None` where something can, or need not.
    pub obstacle: Option<String>,
    #[serde(skip)]
    pub(super) rewrite: Option<Rewriting>,
}

/// How the journal is written anew.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rewriting {
    pub(super) start: Start,
    /// The first and the last frame that are kept.
    pub(super) kept: Option<(At, At)>,
    /// The number of the next record after the repair.
    pub(super) next: Lsn,
    pub(super) segment_bytes: u64,
}

/// A file that gets another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// The file.
    pub file: String,
    /// The name that it gets.
    pub to: String,
    /// Why.
    pub reason: String,
}

/// A record that would be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LostRecord {
    /// Its number.
    pub lsn: Lsn,
    /// What it says that happened, as [`RecordView::kind`](crate::RecordView::kind).
    pub kind: &'static str,
    /// The request it is of.
    pub id: Option<RequestId>,
    /// The location it is of, or its request's.
    pub location: Option<LocationId>,
}

/// Records that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostRange {
    /// The file in which they were.
    pub file: String,
    /// Where the damage begins.
    pub offset: u64,
    /// The first that may be missing. Some of them a snapshot may know, and some numbers may never have been used.
    pub first: Lsn,
    /// The last. `None` where nothing tells: then there may be any number of them, and none.
    pub last: Option<Lsn>,
}

impl RepairPlan {
    /// The store is whole: there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set_aside.is_empty() && self.rewrite.is_none() && self.obstacle.is_none()
    }

    /// Something would be lost.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        !self.lost.is_empty() || !self.unreadable.is_empty()
    }
}

impl StoreInspector {
    /// What a repair would do. Writes nothing.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be told what there is.
    pub fn repair_plan(&self) -> Result<RepairPlan, StoreError> {
        let snapshots = self.snapshot_states()?;
        let outlook = self.outlook(&snapshots)?;
        let base = newest(&snapshots);
        let nothing = Positions::default();
        let positions = base.map_or(&nothing, |manifest| &manifest.positions);
        let mut walk = Walk::behind(positions);
        let segments = inspect(&*self.disk, self.uuid, &mut |event| walk.take(event))?;
        let segments: Vec<_> = segments.into_iter().map(SegmentState::of).collect();
        let is_refused = outlook.obstacle.is_some();
        walk.end(is_refused && !walk.is_damaged);

        let mut plan = RepairPlan::default();
        let strange = snapshots.iter().find(|snapshot| snapshot.is_strange);
        let strange = strange.and_then(|snapshot| snapshot.damage.last());
        if let Some(damage) = walk.strange.as_ref().or(strange) {
            let why = "it may be another's; move it away, or use the program that wrote it";
            plan.obstacle = Some(format!("{damage} ({why})"));
            return Ok(plan);
        }
        let mut aside = Aside::new(self)?;
        if walk.is_damaged || is_refused {
            let begin = walk.begin.unwrap_or(positions.floor());
            if begin > positions.floor() {
                let known = positions.floor();
                plan.obstacle = Some(format!(
                    "the journal begins behind record {begin}, and the snapshots that can be read know all only up \
                     to record {known}: what came between is gone"
                ));
                return Ok(plan);
            }
            for segment in &segments {
                aside.segment(segment, walk.cut);
            }
            plan.journal_ends_with = Some(walk.kept_last());
            plan.rewrite = Some(rewriting(&walk, begin, &snapshots, &segments)?);
            plan.lost = walk.lost;
            plan.unreadable = walk.unreadable;
        }
        aside.snapshots(&snapshots);
        plan.set_aside = aside.files;
        Ok(plan)
    }
}

fn rewriting(
    walk: &Walk,
    begin: Lsn,
    snapshots: &[SnapshotState],
    segments: &[SegmentState],
) -> Result<Rewriting, StoreError> {
    let manifests = || snapshots.iter().filter_map(|state| state.manifest.as_ref());
    let known = manifests().flat_map(|manifest| {
        let positions = manifest.positions.0.iter().copied();
        let chunks = manifest.chunks.iter().map(|chunk| chunk.as_of);
        positions.chain(chunks).chain([manifest.last])
    });
    let highest = known.chain([walk.highest, begin]).max().unwrap_or_default();
    // Where nothing tells how many records there were: each had more than a byte.
    let is_open = walk.unreadable.iter().any(|range| range.last.is_none());
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let highest = Lsn(highest.0.saturating_add(if is_open { bytes } else { 0 }));
    let epoch = manifests().map(|manifest| manifest.epoch).max();
    let epoch = epoch.unwrap_or(0).max(walk.epoch);
    let epoch = epoch.checked_add(1).ok_or_else(|| StoreError::Mismatch {
        what: "the store's epoch".to_owned(),
        found: epoch.to_string(),
        expected: "one that leaves room for another".to_owned(),
    })?;
    let largest = segments.iter().map(|segment| segment.bytes).max();
    Ok(Rewriting {
        start: Start {
            follows: begin,
            next: walk.kept.map_or(highest.next(), |(_, base, _)| base),
            epoch,
            polled_until: walk.polled_until,
        },
        kept: walk.kept.map(|(first, _, last)| (first, last)),
        next: highest.next(),
        segment_bytes: largest.unwrap_or(JournalOptions::default().segment_bytes),
    })
}

/// What is set aside.
struct Aside {
    names: BTreeSet<String>,
    files: Vec<SetAside>,
}

impl Aside {
    fn new(inspector: &StoreInspector) -> Result<Self, StoreError> {
        let disk = &*inspector.disk;
        let listing = |error| StoreError::from_io(trying("listing", disk, ""), error);
        Ok(Self {
            names: disk.list().map_err(listing)?.into_iter().collect(),
            files: Vec::new(),
        })
    }

    /// Gives a file that is there a name that no other has, once.
    fn file(&mut self, file: &str, reason: String) {
        let is_done = self.files.iter().any(|aside| aside.file == file);
        if is_done || !self.names.contains(file) {
            return;
        }
        let mut to = format!("damaged-{file}");
        let mut number = 1_u64;
        while !self.names.insert(to.clone()) {
            number += 1;
            to = format!("damaged-{file}-{number}");
        }
        self.files.push(SetAside {
            file: file.to_owned(),
            to,
            reason,
        });
    }

    fn segment(&mut self, segment: &SegmentState, cut: Option<At>) {
        let reason = match segment.damage.first() {
            Some(damage) => damage.to_string(),
            None if cut.is_some_and(|(number, _)| segment.number > number) => {
                "it is behind what is missing".to_owned()
            }
            None => "what it holds is written anew, or is in snapshots".to_owned(),
        };
        self.file(&segment.file, reason);
    }

    /// The damaged ones, with the chunks that no other one names.
    fn snapshots(&mut self, snapshots: &[SnapshotState]) {
        let chunks = |state: &SnapshotState| {
            let manifest = state.manifest.iter();
            let chunks = manifest.flat_map(|manifest| &manifest.chunks);
            chunks.map(|chunk| chunk.number).collect::<Vec<_>>()
        };
        let (whole, damaged): (Vec<_>, Vec<_>) = snapshots
            .iter()
            .partition(|snapshot| snapshot.damage.is_empty());
        let wanted: BTreeSet<u64> = whole.into_iter().flat_map(chunks).collect();
        for snapshot in damaged {
            let Some(damage) = snapshot.damage.first() else {
                continue;
            };
            self.file(&snapshot.file, damage.to_string());
            for number in chunks(snapshot) {
                if !wanted.contains(&number) {
                    let name = FileName::Chunk(number).to_string();
                    let own = snapshot.damage.iter().find(|damage| damage.place == name);
                    let reason = own.map_or_else(
                        || format!("it is a part of {}", snapshot.file),
                        ToString::to_string,
                    );
                    self.file(&name, reason);
                }
            }
        }
    }
}
