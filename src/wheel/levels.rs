//! The levels: where a record waits, and what happens when its slot's time comes.
//!
//! Level *l* has one slot for each value of a tick's *l*-th digit, six bits each; a record waits on
//! the level of the **highest digit in which its due time differs from the cursor**, in the slot of
//! its own digit there. From that follow:
//!
//! - every `u64` has a place; nothing wraps, nothing is clamped;
//! - what waits on a lower level is due before anything on a higher one, and on one level a lower
//!   slot comes first, so the first slot is found by two bit scans;
//! - on a level above 0 the cursor's own slot is empty (but see below);
//! - the place is a pure function of cursor and due time, and stays the same while the cursor moves
//!   within its own slot of every level;
//! - all records of one tick are always in one slot, in order of intake, since they move together.
//!
//! The cursor enters a slot by [`Levels::open`]: up to [`RUN`] records go straight into the sorted
//! run, more are dealt out to the next lower level, which is empty at that time.
//!
//! **Dealing out ahead.** A slot of millions would make the call that opens it long. So a slot with
//! more records than a run takes is dealt out in steps, from its head, into a row of its own, which
//! takes the lower level's place when the slot is opened: before its time by `advance` and by
//! inserts that take a new chunk, and when time jumps into it by as many calls of `advance` as it
//! takes. What is young is left for later, as most of it may soon be cancelled. Until the slot is
//! opened, new records go to its own tail, behind everything dealt out, so the order of intake is
//! kept. Between two calls that open a slot, the cursor may stand at its first tick while what is
//! due there is one level down and not at the bottom yet: [`Levels::ground`].

use super::chunks::{Chunks, Record, Taken};
use super::entries::Entries;
use super::firing::Work;
use super::run::Run;
use super::slots::{DIGIT, Row, SLOTS, Slot, digit};

/// Levels that 64 bits take at six bits each; the last has four bits, 16 slots.
pub(super) const LEVELS: usize = 11;

/// Most records of a slot that are sorted into the run rather than dealt out to a lower level.
/// Sorting 4096 records on 18 bits takes two passes over memory that fits into the cache, so levels
/// fall away; longer runs stop fitting.
// Small when fuzzed: short scripts must come to what many timers do.
pub(super) const RUN: usize = if cfg!(fuzzing) { 48 } else { 4096 };

/// Most records of the first slot that [`Levels::earliest`] looks through.
const SCAN: usize = if cfg!(fuzzing) { 8 } else { 128 };

/// Chunks dealt out ahead by an insert that takes a new one, and by one call of `advance`.
const STEP: usize = 2;
const STRIDE: usize = if cfg!(fuzzing) { 1 } else { 8 };

/// The level and slot of a due time that is not before the cursor.
#[inline]
const fn place(cursor: u64, due: u64) -> (usize, usize) {
    let level = (63 - ((cursor ^ due) | 1).leading_zeros()) / DIGIT;
    (level as usize, digit(due, level as usize))
}

/// The slot that comes first, and the first tick of its range.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub(super) level: usize,
    index: usize,
    pub(super) base: u64,
}

/// A slot that is being dealt out ahead of its time.
pub(super) struct Split {
    pub(super) level: usize,
    pub(super) index: usize,
    /// Slots of the next lower level.
    pub(super) row: Box<Row>,
}

/// All levels. Their records are in an arena that the caller has.
pub(super) struct Levels {
    pub(super) rows: Box<[Row]>,
    /// One bit a level with occupied slots.
    pub(super) occupied: u16,
    /// The level on which what is nearest waits. Above 0 only while a slot is entered in steps: the
    /// levels below are empty then, and what belongs there is in, and goes to, the cursor's own
    /// slot of this level, whose index is 0.
    pub(super) ground: usize,
    /// Few: only slots with more records than a run takes, and of those the first of each level as
    /// it was when the dealing began.
    pub(super) splits: Vec<Split>,
}

impl Levels {
    pub(super) fn new() -> Self {
        Self {
            rows: (0..LEVELS).map(|_| Row::EMPTY).collect(),
            occupied: 0,
            ground: 0,
            splits: Vec::new(),
        }
    }

    /// The level and slot of a due time that is not before the cursor.
    #[inline]
    pub(super) fn place(&self, cursor: u64, due: u64) -> (usize, usize) {
        let (level, _) = place(cursor, due);
        let level = level.max(self.ground);
        (level, digit(due, level))
    }

    /// Puts a record into its slot; true where that took a new chunk.
    #[inline]
    pub(super) fn insert(&mut self, cursor: u64, record: Record, chunks: &mut Chunks) -> bool {
        debug_assert!(record.due >= cursor, "a record before the cursor is late");
        let (level, index) = self.place(cursor, record.due);
        let row = &mut self.rows[level];
        row.occupied |= 1 << index;
        self.occupied |= 1 << level;
        chunks.append(&mut row.slots[index].young, record)
    }

    /// The slot whose time comes first.
    #[inline]
    pub(super) fn first(&self, cursor: u64) -> Option<First> {
        if self.occupied == 0 {
            return None;
        }
        let level = self.occupied.trailing_zeros() as usize;
        let index = self.rows[level].occupied.trailing_zeros() as usize;
        let shift = DIGIT * level as u32;
        // The digits above the level are the cursor's; the top level has none above it.
        let above = cursor
            .checked_shr(shift + DIGIT)
            .map_or(0, |digits| digits << (shift + DIGIT));
        Some(First {
            level,
            index,
            base: above | (index as u64) << shift,
        })
    }

    /// A lower bound of what is due in the first slot: exact, as far as stale records count, where
    /// the slot is small.
    pub(super) fn earliest(&self, first: First, chunks: &Chunks) -> u64 {
        let slot = &self.rows[first.level].slots[first.index];
        if slot.len() > SCAN || self.split_of(first.level, first.index).is_some() {
            return first.base;
        }
        let dues = slot.records(chunks).map(|record| record.due);
        dues.min().unwrap_or(first.base)
    }

    /// Empties the first slot, into the run or into the next lower level; the cursor may then move
    /// to the slot's base. False where the work ran out before: call again to go on.
    pub(super) fn open<T>(
        &mut self,
        first: First,
        run: &mut Run,
        work: &mut Work,
        chunks: &mut Chunks,
        entries: &Entries<T>,
    ) -> bool {
        let First { level, index, .. } = first;
        let count = self.rows[level].slots[index].len();
        let fits = count <= RUN && run.len() + count <= 2 * RUN;
        if level == 0 || (fits && self.split_of(level, index).is_none()) {
            work.spend(self.load(level, index, run, chunks));
            self.ground = 0;
            return true;
        }
        self.sink(level, index, work, chunks, entries)
    }

    /// Moves every record below the level of the highest digit in which two cursors differ to the
    /// place it has under the earlier one, which is one and the same slot for all of them: at most
    /// 64 joins of lists a level, however many records.
    pub(super) fn rebase(&mut self, from: u64, to: u64, chunks: &mut Chunks) {
        debug_assert!(to < from, "a cursor is moved back by this, never ahead");
        let (level, index) = place(to, from);
        if level == 0 {
            return;
        }
        // All digits of the cursor up to the ground are 0, so an earlier tick differs above.
        debug_assert!(level > self.ground, "the ground is gathered");
        self.ground = 0;
        let mut gathered = self.rows[level].slots[index];
        debug_assert!(
            gathered.is_empty(),
            "the cursor's own slot is empty above level 0"
        );
        // What was dealt out ahead was taken in before what still is in the slot it came from.
        self.splits.retain_mut(|split| {
            if split.level < level {
                let row = &mut split.row;
                row.for_each_occupied(|slot| gathered.join(chunks, slot));
            }
            split.level >= level
        });
        for lower in 0..level {
            self.rows[lower].for_each_occupied(|slot| gathered.join(chunks, slot));
            self.occupied &= !(1 << lower);
        }
        if !gathered.is_empty() {
            self.rows[level].slots[index] = gathered;
            self.rows[level].occupied |= 1 << index;
            self.occupied |= 1 << level;
        }
    }

    /// Forgets every record.
    pub(super) fn clear(&mut self, chunks: &mut Chunks) {
        for mut split in self.splits.drain(..) {
            split.row.for_each_occupied(|slot| slot.release(chunks));
        }
        for row in &mut self.rows {
            row.for_each_occupied(|slot| slot.release(chunks));
        }
        (self.occupied, self.ground) = (0, 0);
    }

    /// Takes out a chunk of any slot.
    pub(super) fn take(&mut self, chunks: &mut Chunks) -> Option<Taken> {
        while let Some(split) = self.splits.last_mut() {
            if split.row.occupied == 0 {
                let Split { level, index, .. } = *split;
                self.splits.pop();
                self.note_emptied(level, index);
            } else {
                return split.row.take(chunks);
            }
        }
        if self.occupied == 0 {
            return None;
        }
        let level = self.occupied.trailing_zeros() as usize;
        let taken = self.rows[level].take(chunks);
        if self.rows[level].occupied == 0 {
            self.occupied &= !(1 << level);
        }
        if self.rows[level].occupied & 1 == 0 && level == self.ground {
            self.ground = 0;
        }
        taken
    }

    /// What an insert that took a new chunk does for the slots' future. Lists of an age up to
    /// `young` are left alone.
    pub(super) fn note_growth<T>(
        &mut self,
        level: usize,
        index: usize,
        young: usize,
        chunks: &mut Chunks,
        entries: &Entries<T>,
    ) {
        if self.rows[level].slots[index].len() > RUN {
            self.look_ahead();
        }
        self.deal_ahead(STEP, young, chunks, entries);
    }

    /// What an advance does for the slots' future; true where there is more to do.
    pub(super) fn upkeep<T>(
        &mut self,
        young: usize,
        chunks: &mut Chunks,
        entries: &Entries<T>,
    ) -> bool {
        self.look_ahead();
        self.deal_ahead(STRIDE, young, chunks, entries)
    }

    /// Takes up to [`RUN`] records, rounded up to a chunk, from the head of a slot into the run;
    /// returns how many.
    fn load(&mut self, level: usize, index: usize, run: &mut Run, chunks: &mut Chunks) -> usize {
        let slot = &mut self.rows[level].slots[index];
        let mut loaded = 0;
        while loaded < RUN
            && let Some(taken) = slot.take(chunks)
        {
            loaded += taken.records().len();
            run.stage(taken.records());
        }
        self.note_emptied(level, index);
        run.merge_staged(DIGIT * level as u32);
        loaded
    }

    /// Deals the records of a slot out to the next lower level, which is empty, as far as the work
    /// allows; true where it is done.
    #[cold]
    fn sink<T>(
        &mut self,
        level: usize,
        index: usize,
        work: &mut Work,
        chunks: &mut Chunks,
        entries: &Entries<T>,
    ) -> bool {
        debug_assert_eq!(self.rows[level - 1].occupied, 0, "lower levels come first");
        let split = self.split_of(level, index);
        let split = split.unwrap_or_else(|| self.split(level, index));
        let row = &mut self.splits[split].row;
        let slot = &mut self.rows[level].slots[index];
        while !slot.is_empty() {
            if work.is_spent() {
                return false;
            }
            work.spend(row.deal(level - 1, slot, chunks, entries));
        }
        let mut split = self.splits.swap_remove(split);
        std::mem::swap(&mut self.rows[level - 1], &mut *split.row);
        if self.rows[level - 1].occupied != 0 {
            self.occupied |= 1 << (level - 1);
        }
        self.note_emptied(level, index);
        // The cursor enters at the first slot of the lower level, which is opened next.
        self.ground = (level - 1) * (self.rows[level - 1].occupied & 1) as usize;
        true
    }

    /// On every level, begins to deal out the first slot if it is too large to be sorted.
    fn look_ahead(&mut self) {
        let mut levels = self.occupied & !1;
        while levels != 0 {
            let level = levels.trailing_zeros() as usize;
            levels &= levels - 1;
            let index = self.rows[level].occupied.trailing_zeros() as usize;
            if self.rows[level].slots[index].len() > RUN && self.split_of(level, index).is_none() {
                self.split(level, index);
            }
        }
    }

    /// Deals out a few chunks of the nearest slot that has some to be dealt out ahead; true where
    /// there may be more.
    fn deal_ahead<T>(
        &mut self,
        limit: usize,
        young: usize,
        chunks: &mut Chunks,
        entries: &Entries<T>,
    ) -> bool {
        let rows = &mut self.rows;
        let has_some =
            |slot: &Slot, chunks: &Chunks| !slot.old.is_empty() || chunks.age(&slot.young) > young;
        let waiting = self
            .splits
            .iter_mut()
            .filter(|split| has_some(&rows[split.level].slots[split.index], chunks));
        let Some(split) = waiting.min_by_key(|split| (split.level, split.index)) else {
            return false;
        };
        let slot = &mut rows[split.level].slots[split.index];
        for _ in 0..limit {
            if !has_some(slot, chunks) {
                break;
            }
            split.row.deal(split.level - 1, slot, chunks, entries);
        }
        true
    }

    /// Begins to deal a slot out; the number of the split.
    fn split(&mut self, level: usize, index: usize) -> usize {
        self.splits.push(Split {
            level,
            index,
            row: Box::new(Row::EMPTY),
        });
        self.splits.len() - 1
    }

    /// The split of a slot, where there is one.
    fn split_of(&self, level: usize, index: usize) -> Option<usize> {
        let is_it = |split: &Split| (split.level, split.index) == (level, index);
        self.splits.iter().position(is_it)
    }

    /// Clears the marks of a slot that may have become empty.
    pub(super) fn note_emptied(&mut self, level: usize, index: usize) {
        if !self.rows[level].slots[index].is_empty() || self.split_of(level, index).is_some() {
            return;
        }
        let row = &mut self.rows[level];
        row.occupied &= !(1 << index);
        if row.occupied == 0 {
            self.occupied &= !(1 << level);
        }
        if (level, index) == (self.ground, 0) {
            self.ground = 0;
        }
    }

    /// Every slot that may hold records: by level, then those dealt out ahead.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        let ahead = self.splits.iter().map(|split| &*split.row);
        self.rows.iter().chain(ahead).flat_map(|row| {
            (0..SLOTS)
                .filter(|index| row.occupied >> index & 1 == 1)
                .map(|index| &row.slots[index])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_due_time_has_a_place() {
        assert_eq!(place(0, 0), (0, 0));
        assert_eq!(place(0, 63), (0, 63));
        assert_eq!(place(0, 64), (1, 1));
        assert_eq!(place(63, 64), (1, 1));
        assert_eq!(place(0, 1 << 36), (6, 1));
        assert_eq!(place(0, u64::MAX), (10, 15));
        assert_eq!(place(u64::MAX, u64::MAX), (0, 63));
        assert_eq!(place(u64::MAX - 1, u64::MAX), (0, 63));
    }

    #[test]
    fn the_base_of_the_first_slot_is_its_first_tick() {
        for cursor in [0, 5, (1 << 30) - 1, 1 << 36, 1 << 63, u64::MAX - 70_000] {
            for distance in [0, 1, 63, 64, 4096, 65_000] {
                let mut chunks = Chunks::new();
                let mut levels = Levels::new();
                let due = cursor + distance;
                levels.insert(cursor, Record::new(due, 0, 1), &mut chunks);
                let first = levels.first(cursor).expect("a record is there");
                assert!(first.base <= due && first.base >= cursor);
                assert_eq!(levels.earliest(first, &chunks), due);
                assert_eq!(place(cursor, due).0, first.level);
            }
        }
    }
}
