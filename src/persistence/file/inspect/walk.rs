//! The walk through a journal that says what of it can be kept.
//!
//! Each frame names the checksum of the one before it, so a damage between two frames that still follow on each other
//! has cost nothing. Where they do not, records are missing. If snapshots know all of these, the journal is kept from
//! behind them on. Else it is cut in front of them:
//!
//! Most records say what has changed, and take what the customer gave, and the names of locations, from records before
//! them. Behind a gap it is not known any more which of them these are. Whatever was built from such records would be
//! a state that never was; cut in front of the gap, it is the state of an earlier moment.

use super::malformed_frame;
use super::plan::{LostRange, LostRecord};
use crate::ids::Timestamp;
use crate::persistence::error::Damage;
use crate::persistence::file::journal::inspect::Event;
use crate::persistence::file::names::FileName;
use crate::persistence::journal::{Frame, Lsn, Positions};

/// A segment and a byte in it.
pub(super) type At = (u64, u64);

/// What stands before this byte of a segment is no frame.
const BODY: u64 = 1024;

/// What of a journal can be kept.
#[derive(Default)]
pub(super) struct Walk {
    positions: Positions,
    floor: Lsn,
    /// The last record and the checksum of the last frame.
    link: Option<(Lsn, u32)>,
    /// Damages since then.
    pending: Vec<Pending>,
    /// All records up to this one are missing.
    pub(super) begin: Option<Lsn>,
    /// The first frame that can be kept, the number of its first record, and the last frame.
    pub(super) kept: Option<(At, Lsn, At)>,
    last_kept: Option<Lsn>,
    /// Where it is cut.
    pub(super) cut: Option<At>,
    pub(super) lost: Vec<LostRecord>,
    pub(super) unreadable: Vec<LostRange>,
    /// A number that no record seen is above.
    pub(super) highest: Lsn,
    pub(super) epoch: u32,
    pub(super) polled_until: Option<Timestamp>,
    pub(super) is_damaged: bool,
    /// What this program cannot read.
    pub(super) strange: Option<Damage>,
}

struct Pending {
    at: At,
    told: Option<Lsn>,
}

impl Walk {
    /// Through the journal behind these positions, which a snapshot knows.
    pub(super) fn behind(positions: &Positions) -> Self {
        Self {
            positions: positions.clone(),
            floor: positions.floor(),
            ..Self::default()
        }
    }

    /// The last record that was seen, or that was before the journal's beginning.
    fn last(&self) -> Lsn {
        self.link.map_or(self.floor, |(last, _)| last)
    }

    /// The last record that is kept, or that was before the journal's beginning.
    pub(super) fn kept_last(&self) -> Lsn {
        self.last_kept.or(self.begin).unwrap_or(self.floor)
    }

    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Bound {
                segment,
                follows,
                previous,
                next,
                epoch,
                polled_until,
            } => {
                self.epoch = self.epoch.max(*epoch);
                self.saw(Lsn(next.0.saturating_sub(1)));
                if self.link.is_none() || *follows <= self.floor {
                    self.restart(*segment, *follows, *previous);
                }
                self.bound(*segment, *follows);
                if self.cut.is_none() {
                    self.polled_until = polled_until.or(self.polled_until);
                }
            }
            Event::Frame {
                at,
                previous,
                checksum,
                frame,
            } => {
                self.epoch = self.epoch.max(frame.epoch);
                self.saw(frame.last());
                if malformed_frame(frame).is_some() {
                    self.damaged(*at, Some(frame.last()));
                } else {
                    self.frame(*at, *previous, frame);
                    let last = self.last().max(frame.last());
                    self.link = Some((last, *checksum));
                }
            }
            Event::Damage {
                at,
                damage,
                told,
                is_strange,
            } => {
                self.damaged(*at, *told);
                if *is_strange && self.strange.is_none() {
                    self.strange = Some((*damage).clone());
                }
            }
            Event::Torn { highest, .. } => self.saw(*highest),
        }
    }

    fn saw(&mut self, lsn: Lsn) {
        self.highest = self.highest.max(lsn);
    }

    fn damaged(&mut self, at: At, told: Option<Lsn>) {
        self.is_damaged = true;
        self.saw(told.unwrap_or_default());
        self.pending.push(Pending { at, told });
    }

    /// The journal is read from the last segment on that says that snapshots know all before it: as in a recovery.
    fn restart(&mut self, segment: u64, follows: Lsn, previous: u32) {
        self.link = Some((follows, previous));
        self.begin = Some(follows);
        self.kept = None;
        self.last_kept = None;
        self.cut = None;
        self.lost.clear();
        self.unreadable.clear();
        self.pending.retain(|pending| pending.at >= (segment, 0));
    }

    /// A segment says which record was the last before it.
    fn bound(&mut self, segment: u64, follows: Lsn) {
        if self.cut.is_none() && follows == self.last() {
            // So the damages before it have cost no record.
            self.pending.retain(|pending| pending.at >= (segment, BODY));
        } else if follows <= self.kept_last() {
            // A repair that was cut short: what it has written anew is still in its old place.
            self.pending.retain(|pending| pending.at != (segment, 0));
        }
    }

    fn frame(&mut self, at: At, previous: u32, frame: &Frame<'_>) {
        let before = Lsn(frame.base.0.saturating_sub(1));
        let (last, checksum) = *self.link.get_or_insert((before, previous));
        self.begin.get_or_insert(before);
        let damage = self.pending.iter().map(|pending| pending.at).min();
        self.pending.retain(|pending| pending.at > at);
        let follows = before == last || (before > last && checksum == previous);
        if !follows {
            let place = damage.unwrap_or(at);
            if before > last && before <= self.floor && self.cut.is_none() {
                self.begin = Some(before);
                self.kept = None;
                self.last_kept = None;
            } else {
                self.cut.get_or_insert(place);
                self.missing(place, last, Some(before));
            }
        }
        if self.cut.is_some() {
            self.lose(frame);
            return;
        }
        self.polled_until = frame.polled_until.or(self.polled_until);
        let (first, base) = self
            .kept
            .map_or((at, frame.base), |(first, base, _)| (first, base));
        self.kept = Some((first, base, at));
        self.last_kept = Some(frame.last());
    }

    /// The frame stands behind the cut.
    fn lose(&mut self, frame: &Frame<'_>) {
        let positions = &self.positions;
        let kept = self.kept_last();
        let records = frame.views().flatten().filter_map(|record| {
            let lsn = record.lsn()?;
            let known = positions.of(record.stream().into());
            (lsn > known.max(kept)).then(|| LostRecord {
                lsn,
                kind: record.kind(),
                id: record.id(),
                location: record.location(),
            })
        });
        self.lost.extend(records);
    }

    /// The records behind `after`, up to `last`, cannot be read.
    fn missing(&mut self, at: At, after: Lsn, last: Option<Lsn>) {
        let first = after.max(self.floor).next();
        if last.is_none_or(|last| last >= first) {
            self.unreadable.push(LostRange {
                file: FileName::Journal(at.0).to_string(),
                offset: at.1,
                first,
                last,
            });
        }
    }

    /// The journal ends. `is_short`: it does not go as far as it must.
    pub(super) fn end(&mut self, is_short: bool) {
        let after = self.last();
        let open = self.pending.iter().map(|pending| pending.at).min();
        let told = self.pending.iter().map(|pending| pending.told).max();
        match (open, told.flatten()) {
            (Some(at), Some(told)) if self.pending.len() == 1 => {
                self.cut.get_or_insert(at);
                self.missing(at, after, Some(told));
            }
            (Some(at), _) => {
                self.cut.get_or_insert(at);
                self.missing(at, after, None);
            }
            (None, _) if is_short => {
                let at = self.kept.map_or((1, 0), |(_, _, last)| last);
                self.cut.get_or_insert(at);
                self.missing(at, after, None);
            }
            (None, _) => {}
        }
    }
}
