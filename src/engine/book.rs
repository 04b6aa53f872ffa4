//! The location book of one shard: what each location holds, so that listing, holding, cancelling or
//! moving a location costs what the location holds, and not what the engine holds.
//!
//! Each location has a list of `(stamp, entry index)` in order of arrival. An entry that leaves is not
//! taken out of the list; its line goes stale, and a list more than half stale is compacted. A line is
//! live if and only if the entry at its index carries its stamp.

use hashbrown::HashMap;

use super::entry::{Entry, Phase};
use super::location::LocationControl;
use super::slab::Slab;
use crate::ids::LocationId;
use crate::lifecycle::{Outcome, RequestState};
use crate::sync::Arc;

/// Lists shorter than this are not worth compacting.
const COMPACT_MIN: usize = 32;

/// Distinct reasons counted a location; further ones are counted together under [`OTHER`].
const REASONS_MAX: usize = 32;
const OTHER: &str = "other";

/// A line of a location's list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) stamp: u64,
    pub(super) index: u32,
}

/// What one shard knows of one location.
pub(super) struct Page {
    pub(super) location: LocationId,
    pub(super) control: Arc<LocationControl>,
    /// Pending requests by state, in the order of [`RequestState`]; `Completed` is not counted here.
    counts: [u32; RequestState::PENDING],
    lines: Vec<Line>,
    outcomes: Vec<(Outcome, Option<Arc<str>>, u64)>,
}

impl Page {
    pub(super) fn count(&self, state: RequestState) -> u32 {
        self.counts[state as usize]
    }

    pub(super) fn live(&self) -> usize {
        self.counts.iter().map(|&count| count as usize).sum()
    }

    /// Requests completed since the engine started, by outcome and reason.
    pub(super) fn outcomes(&self) -> &[(Outcome, Option<Arc<str>>, u64)] {
        &self.outcomes
    }

    /// The lines whose stamp is greater than `after`, in order of arrival; some may be stale.
    pub(super) fn lines_after(&self, after: u64) -> &[Line] {
        let start = self.lines.partition_point(|line| line.stamp <= after);
        &self.lines[start..]
    }
}

/// The pages of one shard.
pub(super) struct Book {
    pages: Vec<Page>,
    by_location: HashMap<LocationId, u32>,
    /// The stamp given last.
    stamp: u64,
}

impl Book {
    pub(super) fn new() -> Self {
        Self {
            pages: Vec::new(),
            by_location: HashMap::new(),
            stamp: 0,
        }
    }

    /// The stamp given last: lines with a greater one arrive from now on.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }

    pub(super) fn pages(&self) -> &[Page] {
        &self.pages
    }

    pub(super) fn page(&self, location: LocationId) -> Option<&Page> {
        let &page = self.by_location.get(&location)?;
        Some(&self.pages[page as usize])
    }

    /// Enters a location at its first request in this shard.
    pub(super) fn open(&mut self, location: LocationId, control: &Arc<LocationControl>) {
        self.by_location.entry(location).or_insert_with(|| {
            self.pages.push(Page {
                location,
                control: Arc::clone(control),
                counts: [0; RequestState::PENDING],
                lines: Vec::new(),
                outcomes: Vec::new(),
            });
            u32::try_from(self.pages.len() - 1).expect("locations are numbered by u32")
        });
    }

    /// Enters the entry at `index` on its location's page, which must be open. Amortised O(1).
    pub(super) fn enter(&mut self, slab: &mut Slab<Entry>, index: u32) {
        let entry = slab.get_mut(index).expect("the entry to enter exists");
        self.stamp += 1;
        entry.stamp = self.stamp;
        let (location, phase) = (entry.location, entry.phase());
        let page = self.page_mut(location);
        page.counts[phase.state() as usize] += 1;
        page.lines.push(Line {
            stamp: entry.stamp,
            index,
        });
        if page.lines.len() > COMPACT_MIN && page.lines.len() > 2 * page.live() {
            page.lines.retain(|line| {
                slab.get(line.index)
                    .is_some_and(|entry| entry.stamp == line.stamp)
            });
        }
    }

    /// An entry on the page of `location` changes its phase.
    pub(super) fn change(&mut self, location: LocationId, from: Phase, to: Phase) {
        if from.state() == to.state() {
            return;
        }
        let page = self.page_mut(location);
        page.counts[from.state() as usize] -= 1;
        page.counts[to.state() as usize] += 1;
    }

    /// An entry leaves the page of `location`.
    pub(super) fn leave(&mut self, location: LocationId, phase: Phase) {
        let page = self.page_mut(location);
        page.counts[phase.state() as usize] -= 1;
        if page.live() == 0 {
            page.lines = Vec::new();
        }
    }

    /// Counts a completion.
    pub(super) fn complete(
        &mut self,
        location: LocationId,
        outcome: Outcome,
        reason: Option<&Arc<str>>,
    ) {
        let outcomes = &mut self.page_mut(location).outcomes;
        let same = |line: &&mut (Outcome, Option<Arc<str>>, u64)| {
            line.0 == outcome && line.1.as_ref() == reason
        };
        if let Some(line) = outcomes.iter_mut().find(same) {
            line.2 += 1;
        } else if outcomes.len() < REASONS_MAX {
            outcomes.push((outcome, reason.cloned(), 1));
        } else {
            let other = |line: &&mut (Outcome, Option<Arc<str>>, u64)| {
                line.0 == outcome && line.1.as_deref() == Some(OTHER)
            };
            match outcomes.iter_mut().find(other) {
                Some(line) => line.2 += 1,
                None => outcomes.push((outcome, Some(Arc::from(OTHER)), 1)),
            }
        }
    }

    fn page_mut(&mut self, location: LocationId) -> &mut Page {
        let page = self.by_location[&location];
        &mut self.pages[page as usize]
    }

    /// Checks that the counts are those of the entries and that every entry has its one line.
    pub(super) fn check_invariants(&self, slab: &Slab<Entry>) {
        let mut live = 0;
        for page in &self.pages {
            assert!(page.lines.is_sorted_by_key(|line| line.stamp));
            let mut counts = [0; RequestState::PENDING];
            for line in &page.lines {
                let Some(entry) = slab.get(line.index) else {
                    continue;
                };
                if entry.stamp == line.stamp {
                    assert_eq!(entry.location, page.location);
                    counts[entry.phase().state() as usize] += 1;
                }
            }
            assert_eq!(
                counts, page.counts,
                "counts of location {:?}",
                page.location
            );
            live += page.live();
        }
        assert_eq!(live, slab.len(), "every entry stands in the book once");
    }
}
