//! What is done about slots before their time comes, in bounded steps: compaction and dealing out
//! ahead.
//!
//! **Compaction.** A slot more than half of whose records may be stale is compacted: its records
//! are read out chunk by chunk, and those still live are appended to a list that reuses the same
//! chunks. Each stale record pays for the check of two, so compaction costs a cancel a constant. A
//! small slot is done at once; a large one becomes *the* slot under sweep, and every cancel does a
//! step of it. Other large slots wait their turn; in that time the whole wheel takes in at most one
//! stale record for every `STEP * CHUNK` records it holds.
//!
//! **Dealing out ahead.** A slot with more records than a run takes is dealt out to the next lower
//! level when the cursor enters it; a slot of millions would make that one call long. So the first
//! such slot of each level is dealt out before its time, from its head, into a row of its own,
//! `ahead`, which takes the lower level's place when the slot is opened. New records go to the
//! slot's own tail, behind everything dealt out, so the order of intake is kept. The steps are done
//! by `advance`, and by every insert that takes a new chunk.
//!
//! While a slot is being dealt out, a cancelled record may be in the slot or in the row ahead: both
//! are charged. A count of stale records may be too high, never too low.

use super::chunks::{CHUNK, List};
use super::entries::Entries;
use super::levels::{LEVELS, Levels, RUN, Row, SLOTS, Slot, deal, digit};

/// Fewest stale records that are worth a compaction.
const WORTHWHILE: u32 = if cfg!(fuzzing) { 2 } else { 16 };

/// Most records of a slot that is compacted at once.
const AT_ONCE: usize = if cfg!(fuzzing) { CHUNK } else { 16 * CHUNK };

/// Chunks a step of compaction, and a step of dealing out that an insert pays for.
const STEP: usize = if cfg!(fuzzing) { 1 } else { 2 };

/// Chunks dealt out by one call of `advance`.
const STRIDE: usize = if cfg!(fuzzing) { 1 } else { 16 };

/// Records that dealing out ahead leaves in the slot, so that it does not chase single records.
const REST: usize = if cfg!(fuzzing) { CHUNK / 2 } else { 4 * CHUNK };

/// Names a slot: of a level, or of the row that a slot of that level is dealt out to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    ahead: bool,
    level: usize,
    index: usize,
}

impl Place {
    #[inline]
    pub(super) const fn main(level: usize, index: usize) -> Self {
        Self {
            ahead: false,
            level,
            index,
        }
    }

    const fn ahead(level: usize, index: usize) -> Self {
        Self {
            ahead: true,
            level,
            index,
        }
    }
}

/// A compaction under way. The slot's own list holds what is not yet checked.
pub(super) struct Sweep {
    place: Place,
    /// What was checked, and comes before the slot's own list.
    kept: List,
    /// Stale records that may have been there at the start; the slot counts those that came since.
    doubt: u32,
}

impl Sweep {
    pub(super) const fn kept(&self) -> &List {
        &self.kept
    }

    pub(super) const fn doubt(&self) -> usize {
        self.doubt as usize
    }
}

impl Slot {
    /// Counts one stale record, if the slot holds any records; true where it is time to compact.
    #[inline]
    pub(super) fn charge(&mut self) -> bool {
        if self.list.is_empty() {
            return false;
        }
        self.stale = self.stale.saturating_add(1);
        self.is_overdue()
    }

    #[inline]
    fn is_overdue(&self) -> bool {
        self.stale >= WORTHWHILE && self.stale as usize * 2 > self.list.len()
    }
}

impl Levels {
    /// Charges the slot of the row ahead that a record of a slot being dealt out may be in.
    #[cold]
    pub(super) fn charge_ahead<T>(&mut self, level: usize, due: u64, entries: &Entries<T>) {
        let index = digit(due, level - 1);
        if self.ahead[level]
            .as_mut()
            .is_some_and(|row| row.slots[index].charge())
        {
            self.compact(Place::ahead(level, index), entries);
        }
    }

    /// Compacts a slot, or sees to it that it is compacted.
    #[cold]
    pub(super) fn compact<T>(&mut self, place: Place, entries: &Entries<T>) {
        if self
            .sweep
            .as_ref()
            .is_some_and(|sweep| sweep.place == place)
        {
            return;
        }
        let dealt_out = self.is_dealt_out(place);
        let idle = self.sweep.is_none();
        let Some(slot) = self.slot_mut(place) else {
            return;
        };
        if slot.list.len() <= AT_ONCE {
            let mut list = std::mem::replace(&mut slot.list, List::EMPTY);
            slot.stale = 0;
            let mut kept = List::EMPTY;
            self.check_chunks(&mut list, &mut kept, usize::MAX, entries);
            self.put_back(place, kept);
        } else if dealt_out {
            // Dealing out leaves stale records behind as well.
            self.deal_ahead(place.level, 2 * STEP, entries);
        } else if idle {
            let doubt = std::mem::take(&mut slot.stale);
            self.sweep = Some(Sweep {
                place,
                kept: List::EMPTY,
                doubt,
            });
        }
    }

    /// Goes on with the compaction under way.
    pub(super) fn sweep_step<T>(&mut self, entries: &Entries<T>) {
        let Some(Sweep {
            place,
            mut kept,
            doubt,
        }) = self.sweep.take()
        else {
            return;
        };
        let Some(slot) = self.slot_mut(place) else {
            return;
        };
        let mut list = std::mem::replace(&mut slot.list, List::EMPTY);
        self.check_chunks(&mut list, &mut kept, STEP, entries);
        if list.is_empty() {
            self.put_back(place, kept);
            self.sweep_next();
        } else {
            if let Some(slot) = self.slot_mut(place) {
                slot.list = list;
            }
            self.sweep = Some(Sweep { place, kept, doubt });
        }
    }

    /// Compacts everything at once. For the one occasion in 2^32 reschedules of a timer that asks
    /// for it.
    #[cold]
    pub(super) fn sweep_all<T>(&mut self, entries: &Entries<T>) {
        self.settle_any();
        for place in self.places() {
            let Some(slot) = self.slot_mut(place) else {
                continue;
            };
            let mut list = std::mem::replace(&mut slot.list, List::EMPTY);
            slot.stale = 0;
            let mut kept = List::EMPTY;
            self.check_chunks(&mut list, &mut kept, usize::MAX, entries);
            self.put_back(place, kept);
        }
    }

    /// Calls off the compaction under way, if it is one of this slot or of the row it is dealt out
    /// to.
    pub(super) fn settle(&mut self, level: usize, index: usize) {
        let concerned = self.sweep.as_ref().is_some_and(|sweep| {
            sweep.place.level == level && (sweep.place.ahead || sweep.place.index == index)
        });
        if concerned {
            self.settle_any();
        }
    }

    /// Calls off the compaction under way: what was kept goes back in front of what was not yet
    /// checked.
    pub(super) fn settle_any(&mut self) {
        let Some(Sweep {
            place,
            mut kept,
            doubt,
        }) = self.sweep.take()
        else {
            return;
        };
        let Some(slot) = self.slot_mut(place) else {
            return;
        };
        slot.stale = slot.stale.saturating_add(doubt);
        let mut rest = std::mem::replace(&mut slot.list, List::EMPTY);
        self.chunks.join(&mut kept, &mut rest);
        if let Some(slot) = self.slot_mut(place) {
            slot.list = kept;
        }
    }

    /// Assumes every record to be stale; for when many timers go without a charge each.
    pub(super) fn distrust(&mut self) {
        self.settle_any();
        for place in self.places() {
            if let Some(slot) = self.slot_mut(place) {
                slot.stale = slot.list.len() as u32;
            }
        }
    }

    /// Whether some of the slot's records are not in its own list.
    pub(super) fn is_divided(&self, level: usize, index: usize) -> bool {
        self.split[level] == Some(index as u8)
            || self
                .sweep
                .as_ref()
                .is_some_and(|sweep| sweep.place == Place::main(level, index))
    }

    /// What an insert that took a new chunk does for the slots' future.
    #[cold]
    pub(super) fn upkeep_at_growth<T>(&mut self, level: usize, index: usize, entries: &Entries<T>) {
        if self.rows[level].slots[index].list.len() > RUN {
            self.look_ahead();
        }
        self.deal_ahead_anywhere(STEP, entries);
        self.sweep_step(entries);
    }

    /// What an advance does for the slots' future; true where there is more to do.
    pub(super) fn upkeep<T>(&mut self, entries: &Entries<T>) -> bool {
        self.look_ahead();
        self.deal_ahead_anywhere(STRIDE, entries)
    }

    /// On every level, begins to deal out the first slot if it is too large to be sorted.
    fn look_ahead(&mut self) {
        let mut levels = self.occupied & !1;
        while levels != 0 {
            let level = levels.trailing_zeros() as usize;
            levels &= levels - 1;
            let index = self.rows[level].occupied.trailing_zeros() as usize;
            if self.split[level].is_none() && self.rows[level].slots[index].list.len() > RUN {
                self.settle(level, index);
                self.split[level] = Some(index as u8);
                let row = self.ahead[level].get_or_insert_with(|| Box::new(Row::EMPTY));
                debug_assert_eq!(row.occupied, 0, "a row ahead that is not in use is empty");
            }
        }
    }

    /// Takes a step with the nearest slot that is being dealt out; true where there is more to do.
    fn deal_ahead_anywhere<T>(&mut self, limit: usize, entries: &Entries<T>) -> bool {
        for level in 1..LEVELS {
            if let Some(index) = self.split[level]
                && self.rows[level].slots[usize::from(index)].list.len() >= REST + CHUNK
            {
                self.deal_ahead(level, limit, entries);
                return true;
            }
        }
        false
    }

    fn deal_ahead<T>(&mut self, level: usize, limit: usize, entries: &Entries<T>) {
        let (Some(index), Some(row)) = (self.split[level], &mut self.ahead[level]) else {
            return;
        };
        let slot = &mut self.rows[level].slots[usize::from(index)];
        let chunks = (slot.list.len().saturating_sub(REST) / CHUNK).min(limit);
        deal(&mut self.chunks, slot, row, level - 1, chunks, entries);
    }

    /// Picks the next slot that waits for compaction.
    fn sweep_next(&mut self) {
        let waiting = self.places().find(|&place| {
            !self.is_dealt_out(place) && self.slot(place).is_some_and(Slot::is_overdue)
        });
        if let Some(place) = waiting
            && let Some(slot) = self.slot_mut(place)
        {
            let doubt = std::mem::take(&mut slot.stale);
            self.sweep = Some(Sweep {
                place,
                kept: List::EMPTY,
                doubt,
            });
        }
    }

    /// Whether the slot is one that is being dealt out ahead of its time.
    fn is_dealt_out(&self, place: Place) -> bool {
        !place.ahead && self.split[place.level] == Some(place.index as u8)
    }

    /// Moves the live records of the first chunks of one list to another.
    fn check_chunks<T>(
        &mut self,
        list: &mut List,
        kept: &mut List,
        limit: usize,
        entries: &Entries<T>,
    ) {
        for _ in 0..limit {
            let Some(mut taken) = self.chunks.take(list) else {
                break;
            };
            taken.retain(|record| entries.is_live(record));
            self.chunks.append_all(kept, taken.records());
        }
    }

    /// Gives a slot its compacted list.
    fn put_back(&mut self, place: Place, list: List) {
        let Some(slot) = self.slot_mut(place) else {
            return;
        };
        slot.list = list;
        if !list.is_empty() {
            return;
        }
        slot.stale = 0;
        if place.ahead {
            if let Some(row) = &mut self.ahead[place.level] {
                row.occupied &= !(1 << place.index);
            }
        } else {
            self.note_emptied(place.level, place.index);
        }
    }

    /// Whether this is the slot under sweep.
    pub(super) fn is_under(&self, sweep: &Sweep, row: &Row, index: usize) -> bool {
        let Place {
            ahead,
            level,
            index: swept,
        } = sweep.place;
        let swept_row = if ahead {
            self.ahead[level].as_deref()
        } else {
            self.rows.get(level)
        };
        swept == index && swept_row.is_some_and(|swept_row| std::ptr::eq(swept_row, row))
    }

    /// Every slot there is, those of rows ahead included.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        [false, true].into_iter().flat_map(|ahead| {
            (0..LEVELS).flat_map(move |level| {
                (0..SLOTS).map(move |index| Place {
                    ahead,
                    level,
                    index,
                })
            })
        })
    }

    fn slot(&self, place: Place) -> Option<&Slot> {
        if place.ahead {
            self.ahead[place.level]
                .as_ref()
                .map(|row| &row.slots[place.index])
        } else {
            Some(&self.rows[place.level].slots[place.index])
        }
    }

    fn slot_mut(&mut self, place: Place) -> Option<&mut Slot> {
        if place.ahead {
            self.ahead[place.level]
                .as_mut()
                .map(|row| &mut row.slots[place.index])
        } else {
            Some(&mut self.rows[place.level].slots[place.index])
        }
    }
}
