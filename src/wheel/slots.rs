//! Slots: the lists of records that wait together, and the rows of them that make a level.

use super::chunks::{Chunks, List, Record, Taken};
use super::entries::Entries;

/// Bits a digit, and so slots a row: one word of occupancy.
pub(super) const DIGIT: u32 = 6;
pub(super) const SLOTS: usize = 1 << DIGIT;

#[inline]
pub(super) const fn digit(due: u64, level: usize) -> usize {
    (due >> (DIGIT * level as u32)) as usize & (SLOTS - 1)
}

/// The records of one slot in order of intake, in two lists: first those that were looked through
/// for stale ones, then those that came since. Most timers that are cancelled are cancelled young,
/// so a sweep of the young finds most of what is stale.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) old: List,
    pub(super) young: List,
}

impl Slot {
    pub(super) const EMPTY: Self = Self {
        old: List::EMPTY,
        young: List::EMPTY,
    };

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.old.len() + self.young.len()
    }

    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.old.is_empty() && self.young.is_empty()
    }

    /// Takes out the first chunk.
    pub(super) fn take(&mut self, chunks: &mut Chunks) -> Option<Taken> {
        let old = chunks.take(&mut self.old);
        old.or_else(|| chunks.take(&mut self.young))
    }

    /// Moves all of another slot behind this one's.
    pub(super) fn join(&mut self, chunks: &mut Chunks, other: &mut Self) {
        chunks.join(&mut self.young, &mut other.old);
        chunks.join(&mut self.young, &mut other.young);
    }

    /// Forgets what was looked through: everything counts as young.
    pub(super) fn rejuvenate(&mut self, chunks: &mut Chunks) {
        let mut young = std::mem::replace(&mut self.young, List::EMPTY);
        self.young = std::mem::replace(&mut self.old, List::EMPTY);
        chunks.join(&mut self.young, &mut young);
    }

    /// Frees all chunks.
    pub(super) fn release(&mut self, chunks: &mut Chunks) {
        chunks.release(&mut self.old);
        chunks.release(&mut self.young);
    }

    /// Looks through the first chunk of the young, and keeps what is live. Returns how many records
    /// it held and how many of them were dropped, or `None` where none is young.
    pub(super) fn sweep<T>(
        &mut self,
        chunks: &mut Chunks,
        entries: &Entries<T>,
    ) -> Option<(usize, usize)> {
        let taken = chunks.take(&mut self.young)?;
        let live = taken.select(|record| entries.may_be_live(record));
        taken.for_each(live, |record| {
            chunks.append(&mut self.old, record);
        });
        let seen = taken.records().len();
        Some((seen, seen - live.count_ones() as usize))
    }

    /// The records, in order of intake.
    pub(super) fn records(&self, chunks: &Chunks) -> impl Iterator<Item = Record> {
        chunks.iter(&self.old).chain(chunks.iter(&self.young))
    }
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

    /// Calls `empty` with every occupied slot, and marks the row as empty.
    pub(super) fn for_each_occupied(&mut self, mut empty: impl FnMut(&mut Slot)) {
        let mut occupied = std::mem::take(&mut self.occupied);
        while occupied != 0 {
            let slot = &mut self.slots[occupied.trailing_zeros() as usize];
            occupied &= occupied - 1;
            empty(slot);
            debug_assert!(slot.is_empty(), "the slot was to be emptied");
        }
    }

    /// Takes out the first chunk of the first occupied slot.
    pub(super) fn take(&mut self, chunks: &mut Chunks) -> Option<Taken> {
        let index = self.occupied.trailing_zeros() as usize;
        let slot = self.slots.get_mut(index)?;
        let taken = slot.take(chunks)?;
        if slot.is_empty() {
            self.occupied &= !(1 << index);
        }
        Some(taken)
    }

    /// Deals the first chunk of a slot of the level above out to this row, which is empty but for
    /// what was dealt out to it. Leaves out what is stale. Returns how many records the chunk held.
    pub(super) fn deal<T>(
        &mut self,
        level: usize,
        from: &mut Slot,
        chunks: &mut Chunks,
        entries: &Entries<T>,
    ) -> usize {
        let Some(taken) = from.take(chunks) else {
            return 0;
        };
        let live = taken.select(|record| entries.may_be_live(record));
        taken.for_each(live, |record| {
            let index = digit(record.due, level);
            let slot = &mut self.slots[index];
            self.occupied |= 1 << index;
            // Old, unless a pass has begun anew with what was dealt out before.
            if slot.young.is_empty() {
                chunks.append(&mut slot.old, record);
            } else {
                chunks.append(&mut slot.young, record);
            }
        });
        taken.records().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_of_the_young_keeps_the_order_of_intake() {
        let mut chunks = Chunks::new();
        let mut entries = Entries::new();
        let mut slot = Slot::EMPTY;
        let mut live = Vec::new();
        for round in 0..3 {
            for due in 0..100 {
                let (handle, record) = entries.insert(round * 100 + due, ());
                chunks.append(&mut slot.young, record);
                if due % 3 == 0 {
                    live.push(round * 100 + due);
                } else {
                    entries.remove(handle);
                }
            }
            if round == 1 {
                slot.rejuvenate(&mut chunks);
            }
            // One chunk is left young.
            for _ in 0..2 {
                slot.sweep(&mut chunks, &entries);
            }
        }
        while slot.sweep(&mut chunks, &entries).is_some() {}
        let dues: Vec<u64> = slot.records(&chunks).map(|record| record.due).collect();
        assert_eq!(dues, live);
        slot.release(&mut chunks);
        assert_eq!((chunks.held(), chunks.in_use()), (0, 0));
    }

    #[test]
    fn dealing_keeps_the_order_of_intake_whatever_is_swept_meanwhile() {
        let mut chunks = Chunks::new();
        let mut entries = Entries::new();
        let mut from = Slot::EMPTY;
        let mut row = Row::EMPTY;
        for value in 0..300 {
            // All of one tick: of one slot wherever they go.
            let (_, record) = entries.insert(64, value);
            chunks.append(&mut from.young, record);
        }
        for step in 0.. {
            if row.deal(0, &mut from, &mut chunks, &entries) == 0 {
                break;
            }
            if step % 2 == 0 {
                from.sweep(&mut chunks, &entries);
            }
            if step % 3 == 0 {
                row.slots[0].rejuvenate(&mut chunks);
            }
        }
        let slot = &row.slots[0];
        let entries: Vec<u32> = slot.records(&chunks).map(Record::entry).collect();
        assert_eq!((entries.len(), entries.is_sorted()), (300, true));
    }
}
