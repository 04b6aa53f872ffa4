//! The levels: where a record waits, and what happens when its slot's time comes.
//!
//! Level *l* has one slot for each value of a tick's *l*-th digit, six bits each; a record waits on
//! the level of the **highest digit in which its due time differs from the cursor**, in the slot of
//! its own digit there. From that follow:
//!
//! - every `u64` has a place; nothing wraps, nothing is clamped;
//! - what waits on a lower level is due before anything on a higher one, and on one level a lower
//!   slot comes first, so the first slot is found by two bit scans;
//! - on a level above 0 the cursor's own slot is empty;
//! - the place is a pure function of cursor and due time, and stays the same while the cursor moves
//!   within its own slot of every level, so a cancel knows the slot without having been told;
//! - all records of one tick are always in one slot, in order of intake, since they move together.
//!
//! The cursor enters a slot by [`Levels::open`]: up to [`RUN`] records go straight into the sorted
//! run, more are dealt out to the next lower level, which is empty at that time. What is done about
//! slots before their time comes is in `upkeep`.

use super::chunks::{Chunks, List, Record};
use super::entries::Entries;
use super::run::Run;
use super::upkeep::Sweep;

/// Bits a digit, and so slots a level: one word of occupancy.
const DIGIT: u32 = 6;
pub(super) const SLOTS: usize = 1 << DIGIT;

/// Levels that 64 bits take at six bits each; the last has four bits, 16 slots.
pub(super) const LEVELS: usize = 11;

/// Most records of a slot that are sorted into the run rather than dealt out to a lower level.
/// Sorting 4096 records on 18 bits takes two passes over memory that fits into the cache, so levels
/// fall away; longer runs stop fitting.
// Small when fuzzed: short scripts must come to what many timers do.
pub(super) const RUN: usize = if cfg!(fuzzing) { 48 } else { 4096 };

/// Most records of the first slot that [`Levels::earliest`] looks through.
const SCAN: usize = if cfg!(fuzzing) { 8 } else { 128 };

/// The level and slot of a due time that is not before the cursor.
#[inline]
pub(super) const fn place(cursor: u64, due: u64) -> (usize, usize) {
    let level = (63 - ((cursor ^ due) | 1).leading_zeros()) / DIGIT;
    (level as usize, digit(due, level as usize))
}

#[inline]
pub(super) const fn digit(due: u64, level: usize) -> usize {
    (due >> (DIGIT * level as u32)) as usize & (SLOTS - 1)
}

/// A slot: its records in order of intake, and how many of them may be stale (never too few).
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) list: List,
    pub(super) stale: u32,
}

impl Slot {
    const EMPTY: Self = Self {
        list: List::EMPTY,
        stale: 0,
    };
}

/// The slots of one level.
pub(super) struct Row {
    pub(super) slots: [Slot; SLOTS],
    /// One bit a slot that holds records, here or dealt out ahead.
    pub(super) occupied: u64,
}

impl Row {
    pub(super) const EMPTY: Self = Self {
        slots: [Slot::EMPTY; SLOTS],
        occupied: 0,
    };
}

/// The slot that comes first, and the first tick of its range.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub(super) level: usize,
    index: usize,
    pub(super) base: u64,
}

/// All levels, and the arena their records are in.
pub(super) struct Levels {
    pub(super) chunks: Chunks,
    pub(super) rows: Box<[Row]>,
    /// One bit a level with occupied slots.
    pub(super) occupied: u16,
    /// By level: which slot, if any, is being dealt out ahead of its time, and the row its records
    /// are dealt to, which becomes the next lower level's when the slot is opened.
    pub(super) split: [Option<u8>; LEVELS],
    pub(super) ahead: [Option<Box<Row>>; LEVELS],
    /// The one large slot that is being compacted step by step.
    pub(super) sweep: Option<Sweep>,
}

impl Levels {
    pub(super) fn new(chunks: Chunks) -> Self {
        Self {
            chunks,
            rows: (0..LEVELS).map(|_| Row::EMPTY).collect(),
            occupied: 0,
            split: [None; LEVELS],
            ahead: [const { None }; LEVELS],
            sweep: None,
        }
    }

    /// Puts a record into its slot.
    #[inline]
    pub(super) fn insert<T>(&mut self, cursor: u64, record: Record, entries: &Entries<T>) {
        debug_assert!(record.due >= cursor, "a record before the cursor is late");
        let (level, index) = place(cursor, record.due);
        let row = &mut self.rows[level];
        row.occupied |= 1 << index;
        self.occupied |= 1 << level;
        if self.chunks.append(&mut row.slots[index].list, record) {
            self.upkeep_at_growth(level, index, entries);
        }
    }

    /// Counts a record of this due time as stale where it may be, and compacts a slot that this
    /// makes more than half stale.
    #[inline]
    pub(super) fn charge<T>(&mut self, cursor: u64, due: u64, entries: &Entries<T>) {
        debug_assert!(due >= cursor, "a record before the cursor is late");
        let (level, index) = place(cursor, due);
        let slot = &mut self.rows[level].slots[index];
        if slot.charge() {
            self.compact(super::upkeep::Place::main(level, index), entries);
        }
        if self.split[level] == Some(index as u8) {
            self.charge_ahead(level, due, entries);
        }
        if self.sweep.is_some() {
            self.sweep_step(entries);
        }
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
    pub(super) fn earliest(&self, first: First) -> u64 {
        let list = &self.rows[first.level].slots[first.index].list;
        if list.len() > SCAN || self.is_divided(first.level, first.index) {
            return first.base;
        }
        self.chunks
            .iter(list)
            .map(|record| record.due)
            .min()
            .unwrap_or(first.base)
    }

    /// Empties the first slot, into the run or into the next lower level. The cursor is at the
    /// slot's base.
    pub(super) fn open<T>(&mut self, first: First, run: &mut Run, entries: &Entries<T>) {
        let First { level, index, .. } = first;
        self.settle(level, index);
        let count = self.rows[level].slots[index].list.len();
        if level == 0 {
            self.load(level, index, RUN, run, entries);
        } else if self.split[level] == Some(index as u8)
            || run.len() + count > 2 * RUN
            || count > RUN
        {
            self.sink(level, index, entries);
        } else {
            self.load(level, index, count, run, entries);
        }
    }

    /// Moves every record below the level of the highest digit in which two cursors differ to the
    /// place it has under the earlier one, which is one and the same slot for all of them: at most
    /// 64 joins of lists a level, however many records.
    pub(super) fn rebase(&mut self, from: u64, to: u64) {
        debug_assert!(to < from, "a cursor is moved back by this, never ahead");
        let (level, index) = place(to, from);
        if level == 0 {
            return;
        }
        self.settle_any();
        let mut gathered = self.rows[level].slots[index];
        debug_assert!(
            gathered.list.is_empty(),
            "the cursor's own slot is empty above level 0"
        );
        gathered.stale = 0;
        for lower in 0..level {
            // What was dealt out ahead was taken in before what still is in the slot it came from.
            if self.split[lower].take().is_some()
                && let Some(row) = &mut self.ahead[lower]
            {
                gather(&mut self.chunks, &mut gathered, row);
            }
            gather(&mut self.chunks, &mut gathered, &mut self.rows[lower]);
            self.occupied &= !(1 << lower);
        }
        if !gathered.list.is_empty() {
            self.rows[level].slots[index] = gathered;
            self.rows[level].occupied |= 1 << index;
            self.occupied |= 1 << level;
        }
    }

    /// Forgets every record.
    pub(super) fn clear(&mut self) {
        self.settle_any();
        for level in 0..LEVELS {
            if self.occupied >> level & 1 == 0 {
                continue;
            }
            if self.split[level].take().is_some()
                && let Some(row) = &mut self.ahead[level]
            {
                release(&mut self.chunks, row);
            }
            release(&mut self.chunks, &mut self.rows[level]);
        }
        self.occupied = 0;
    }

    /// Takes up to `limit` records, rounded up to a chunk, from the head of a slot into the run.
    fn load<T>(
        &mut self,
        level: usize,
        index: usize,
        limit: usize,
        run: &mut Run,
        entries: &Entries<T>,
    ) {
        let slot = &mut self.rows[level].slots[index];
        let suspect = slot.stale > 0;
        let mut loaded = 0;
        while loaded < limit
            && let Some(mut taken) = self.chunks.take(&mut slot.list)
        {
            loaded += taken.records().len();
            if suspect {
                taken.retain(|record| entries.is_live(record));
            }
            run.stage(taken.records());
        }
        self.note_emptied(level, index);
        run.merge_staged(DIGIT * level as u32);
    }

    /// Deals the records of a slot out to the next lower level.
    #[cold]
    fn sink<T>(&mut self, level: usize, index: usize, entries: &Entries<T>) {
        debug_assert_eq!(self.rows[level - 1].occupied, 0, "lower levels come first");
        let (lower, upper) = self.rows.split_at_mut(level);
        let (below, slot) = (&mut lower[level - 1], &mut upper[0].slots[index]);
        if self.split[level] == Some(index as u8) {
            self.split[level] = None;
            if let Some(row) = &mut self.ahead[level] {
                std::mem::swap(below, row);
            }
        }
        deal(
            &mut self.chunks,
            slot,
            below,
            level - 1,
            usize::MAX,
            entries,
        );
        if below.occupied != 0 {
            self.occupied |= 1 << (level - 1);
        }
        self.note_emptied(level, index);
    }

    /// Clears the marks of a slot that may have become empty.
    pub(super) fn note_emptied(&mut self, level: usize, index: usize) {
        let row = &mut self.rows[level];
        if row.slots[index].list.is_empty() && self.split[level] != Some(index as u8) {
            row.slots[index].stale = 0;
            row.occupied &= !(1 << index);
            if row.occupied == 0 {
                self.occupied &= !(1 << level);
            }
        }
    }
}

/// Deals records from the head of a slot out to the row of a level, `limit` chunks at most, leaving
/// the stale ones out.
pub(super) fn deal<T>(
    chunks: &mut Chunks,
    slot: &mut Slot,
    row: &mut Row,
    level: usize,
    limit: usize,
    entries: &Entries<T>,
) {
    for _ in 0..limit {
        let Some(mut taken) = chunks.take(&mut slot.list) else {
            break;
        };
        if slot.stale > 0 {
            taken.retain(|record| entries.is_live(record));
        }
        for &record in taken.records() {
            let index = digit(record.due, level);
            chunks.append(&mut row.slots[index].list, record);
            row.occupied |= 1 << index;
        }
    }
    if slot.list.is_empty() {
        slot.stale = 0;
    }
}

/// Joins every list of a row to one slot.
fn gather(chunks: &mut Chunks, into: &mut Slot, row: &mut Row) {
    for_each_occupied(row, |slot| {
        into.stale += slot.stale;
        chunks.join(&mut into.list, &mut slot.list);
    });
}

fn release(chunks: &mut Chunks, row: &mut Row) {
    for_each_occupied(row, |slot| chunks.release(&mut slot.list));
}

/// Calls `empty` with every occupied slot of a row, and marks the row as empty.
fn for_each_occupied(row: &mut Row, mut empty: impl FnMut(&mut Slot)) {
    let mut occupied = std::mem::take(&mut row.occupied);
    while occupied != 0 {
        let slot = &mut row.slots[occupied.trailing_zeros() as usize];
        occupied &= occupied - 1;
        empty(slot);
        *slot = Slot::EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_a_quarter_of_a_cache_line() {
        assert_eq!(size_of::<Slot>(), 16);
    }

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
                let mut levels = Levels::new(Chunks::new());
                let due = cursor + distance;
                levels.insert(
                    cursor,
                    Record {
                        due,
                        entry: 0,
                        arming: 0,
                    },
                    &Entries::<()>::new(),
                );
                let first = levels.first(cursor).expect("a record is there");
                assert!(first.base <= due && first.base >= cursor);
                assert_eq!(levels.earliest(first), due);
                assert_eq!(place(cursor, due).0, first.level);
            }
        }
    }
}
