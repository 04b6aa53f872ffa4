//! Timers due before the cursor: overdue when they were scheduled, or scheduled while the clock
//! stood still or had stepped back.
//!
//! They have no place on the levels, which begin at the cursor, and wait in a heap by (due,
//! intake). A record that is late when it is taken in is due before everything in the run and on
//! the levels; only after the cursor was moved back may others be due with it or before it, and
//! then at one tick the late ones were taken in first. So at the head of the wheel late records win
//! ties.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::chunks::Record;
use super::entries::Entries;

/// Fewest stale records worth a compaction.
const WORTHWHILE: usize = if cfg!(fuzzing) { 4 } else { 64 };

/// A record and when it was taken in. The greatest is the first to fire.
struct Item {
    record: Record,
    intake: u64,
}

impl Item {
    const fn key(&self) -> (u64, u64) {
        (self.record.due, self.intake)
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Item {}

/// The heap of late records.
pub(super) struct Late {
    heap: BinaryHeap<Item>,
    /// Number of the next record taken in.
    intake: u64,
    /// Latest due time that was taken in since the heap was empty.
    horizon: u64,
    /// Stale records in the heap; may be too high, never too low.
    stale: usize,
}

impl Late {
    pub(super) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            intake: 0,
            horizon: 0,
            stale: 0,
        }
    }

    /// Takes a record in. Logarithmic.
    #[cold]
    pub(super) fn insert(&mut self, record: Record) {
        if self.heap.is_empty() {
            self.horizon = 0;
        }
        self.horizon = self.horizon.max(record.due);
        self.heap.push(Item {
            record,
            intake: self.intake,
        });
        self.intake += 1;
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether a record of this due time may be here.
    #[inline]
    pub(super) fn may_hold(&self, due: u64) -> bool {
        !self.heap.is_empty() && due <= self.horizon
    }

    /// Due time of the next record, live or not.
    #[inline]
    pub(super) fn next(&self) -> Option<u64> {
        self.heap.peek().map(|item| item.record.due)
    }

    /// Due time of the first live record; drops the stale ones before it.
    #[inline]
    pub(super) fn head<T>(&mut self, entries: &Entries<T>) -> Option<u64> {
        while let Some(item) = self.heap.peek() {
            if entries.is_live(item.record) {
                return Some(item.record.due);
            }
            self.heap.pop();
            self.stale = self.stale.saturating_sub(1);
        }
        None
    }

    /// Takes the first record out.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Record> {
        self.heap.pop().map(|item| item.record)
    }

    /// Counts one record as stale.
    ///
    /// The compaction this may lead to is the one step of the wheel that is not bounded but by what
    /// is late: the heap is rebuilt as a whole. Late timers leave with the next advance, so they
    /// rarely are many, and rarely are cancelled.
    pub(super) fn charge<T>(&mut self, entries: &Entries<T>) {
        self.stale += 1;
        if self.stale >= WORTHWHILE && self.stale * 2 > self.heap.len() {
            self.compact(entries);
        }
    }

    #[cold]
    pub(super) fn compact<T>(&mut self, entries: &Entries<T>) {
        self.heap.retain(|item| entries.is_live(item.record));
        self.stale = 0;
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.stale = 0;
    }

    /// Assumes every record to be stale.
    pub(super) fn distrust(&mut self) {
        self.stale = self.heap.len();
    }

    /// The records, in no order.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.heap.iter().map(|item| item.record)
    }

    /// Panics unless the horizon and the count of stale records hold.
    pub(super) fn check_invariants<T>(&self, entries: &Entries<T>) {
        assert!(
            self.records().all(|record| self.may_hold(record.due)),
            "a late record lies beyond the horizon"
        );
        let stale = self
            .records()
            .filter(|&record| !entries.is_live(record))
            .count();
        assert!(
            stale <= self.stale,
            "{stale} stale late records, {} counted",
            self.stale
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_records_leave_by_due_time_then_intake() {
        let mut entries = Entries::new();
        let mut late = Late::new();
        for due in [5, 3, 5, 3, 4] {
            let (_, record) = entries.insert(due, ());
            late.insert(record);
        }
        let order: Vec<(u64, u32)> = std::iter::from_fn(|| late.pop())
            .map(|record| (record.due, record.entry))
            .collect();
        assert_eq!(order, [(3, 1), (3, 3), (4, 4), (5, 0), (5, 2)]);
    }

    #[test]
    fn stale_late_records_do_not_pile_up() {
        let mut entries = Entries::new();
        let mut late = Late::new();
        for due in 0..10_000 {
            let (handle, record) = entries.insert(due, ());
            late.insert(record);
            if due % 100 != 0 {
                entries.remove(handle);
                late.charge(&entries);
            }
        }
        late.check_invariants(&entries);
        assert!(late.len() < 400, "{} records for 100 timers", late.len());
        assert_eq!(late.head(&entries), Some(0));
    }
}
