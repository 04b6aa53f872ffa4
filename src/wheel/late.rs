//! Timers due before the cursor: overdue when they were scheduled, or scheduled while the clock
//! stood still or had stepped back.
//!
//! They have no place on the levels, which begin at the cursor, and wait in a tree by (due,
//! intake): a tree, because it never moves more than a node at a time, however many are late, and
//! can be swept in steps. A record that is late when it is taken in is due before everything in the
//! run and on the levels; only after the cursor was moved back may others be due with it or before
//! it, and then at one tick the late ones were taken in first. So at the head of the wheel late
//! records win ties.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::chunks::Record;
use super::entries::Entries;
use super::firing::Work;

/// Due time and order of intake.
type Key = (u64, u64);

/// The late records.
pub(super) struct Late {
    records: BTreeMap<Key, Record>,
    /// Number of the next record taken in.
    intake: u64,
    /// The last record that the sweep under way has come past.
    swept: Option<Key>,
}

impl Late {
    pub(super) const fn new() -> Self {
        Self {
            records: BTreeMap::new(),
            intake: 0,
            swept: None,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    #[cold]
    pub(super) fn insert(&mut self, record: Record) {
        self.records.insert((record.due, self.intake), record);
        self.intake += 1;
    }

    /// Due time of the first record, live or not.
    #[inline]
    pub(super) fn next(&self) -> Option<u64> {
        Some(self.records.first_key_value()?.1.due)
    }

    /// Due time of the first record, a live one as far as the work allows; drops what is stale
    /// before it.
    #[inline]
    pub(super) fn head<T>(&mut self, entries: &Entries<T>, work: &mut Work) -> Option<u64> {
        while let Some((_, &record)) = self.records.first_key_value() {
            if entries.is_live(record) || work.is_spent() {
                return Some(record.due);
            }
            self.records.pop_first();
            work.spend(1);
        }
        None
    }

    /// Takes the first record out, live or not.
    pub(super) fn pop(&mut self) -> Option<Record> {
        self.records.pop_first().map(|(_, record)| record)
    }

    /// Goes on with the sweep: drops what is stale of the next `limit` records. True when it has
    /// come to the end, and the next will begin anew.
    pub(super) fn sweep<T>(&mut self, limit: usize, entries: &Entries<T>) -> bool {
        let from = self.swept.map_or(Bound::Unbounded, Bound::Excluded);
        let mut seen = 0;
        let mut stale = Vec::new();
        for (&key, &record) in self.records.range((from, Bound::Unbounded)).take(limit) {
            seen += 1;
            self.swept = Some(key);
            if !entries.is_live(record) {
                stale.push(key);
            }
        }
        for key in stale {
            self.records.remove(&key);
        }
        let done = seen < limit;
        if done {
            self.swept = None;
        }
        done
    }

    /// The records, by due time and intake.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.records.values().copied()
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
            .map(|record| (record.due, record.entry()))
            .collect();
        assert_eq!(order, [(3, 1), (3, 3), (4, 4), (5, 0), (5, 2)]);
    }

    #[test]
    fn a_sweep_in_steps_drops_what_is_stale_and_nothing_else() {
        let mut entries = Entries::new();
        let mut late = Late::new();
        for due in 0..1_000 {
            let (handle, record) = entries.insert(due, ());
            late.insert(record);
            if due % 10 != 0 {
                entries.remove(handle);
            }
        }
        let mut steps = 1;
        while !late.sweep(64, &entries) {
            steps += 1;
        }
        assert_eq!((late.len(), steps), (100, 1_000 / 64 + 1));
        assert!(late.records().all(|record| entries.is_live(record)));
    }
}
