//! What always holds, checked against the whole structure. For tests: costs time linear in
//! everything.

use std::collections::HashMap;

use super::Wheel;
use super::chunks::{Chunks, Record};
use super::levels::{LEVELS, Levels};
use super::slots::{Row, SLOTS, digit};

impl<T> Wheel<T> {
    /// Panics unless the wheel is consistent. For tests, in release builds too; linear in all the
    /// wheel holds.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.entries.check_invariants();
        self.run.check_invariants();
        let mut records = Vec::new();
        self.levels
            .check_invariants(self.cursor, &self.chunks, &mut records);
        assert_eq!(records.len(), self.chunks.held(), "records on the levels");
        records.extend(self.run.records());
        records.extend(self.late.records());
        self.check_one_record_each(&records);
        assert_eq!(records.len(), self.records(), "records counted");
        assert!(
            self.run
                .records()
                .iter()
                .all(|record| record.due >= self.cursor),
            "the run is not before the cursor"
        );
        if let Some(first) = self.iter().map(|(_, due, _)| due).min() {
            assert!(
                self.next <= first,
                "next_due is {}, but a timer is due at {first}",
                self.next
            );
        } else {
            assert!(self.next_due().is_none(), "nothing is pending");
        }
    }

    fn check_one_record_each(&self, records: &[Record]) {
        let mut live: HashMap<u32, u64> = HashMap::new();
        for record in records
            .iter()
            .filter(|&&record| self.entries.is_live(record))
        {
            let before = live.insert(record.entry(), record.due);
            assert!(
                before.is_none(),
                "entry {} has two live records",
                record.entry()
            );
        }
        assert_eq!(live.len(), self.len(), "each timer has a live record");
    }
}

impl Levels {
    /// Panics unless every record is in its place, marks and counts agree, and no chunk is lost.
    /// Collects the records.
    fn check_invariants(&self, cursor: u64, chunks: &Chunks, records: &mut Vec<Record>) {
        let mut in_use = 0;
        let own = digit(cursor, self.ground);
        assert!(
            self.ground == 0 || (own == 0 && self.rows[self.ground].occupied & 1 == 1),
            "the ground is where the cursor is"
        );
        for level in 0..LEVELS {
            let row = &self.rows[level];
            assert_eq!(
                self.occupied >> level & 1 == 1,
                row.occupied != 0,
                "the mark of level {level}"
            );
            let is_split = |index| {
                let splits = &mut self.splits.iter();
                splits.any(|split| (split.level, split.index) == (level, index))
            };
            in_use += check_row(row, level, is_split, chunks, records, |record| {
                assert_eq!(
                    self.place(cursor, record.due).0,
                    level,
                    "{record:?} is on its level, cursor {cursor}"
                );
            });
        }
        for split in &self.splits {
            let (level, index) = (split.level, split.index);
            in_use += check_row(
                &split.row,
                level - 1,
                |_| false,
                chunks,
                records,
                |record| {
                    assert_eq!(
                        self.place(cursor, record.due),
                        (level, index),
                        "{record:?} is ahead in its row"
                    );
                },
            );
        }
        assert_eq!(in_use, chunks.in_use(), "every chunk is in a list or free");
    }
}

/// Checks the slots of one row; returns the number of chunks they take.
fn check_row(
    row: &Row,
    level: usize,
    is_split: impl Fn(usize) -> bool,
    chunks: &Chunks,
    records: &mut Vec<Record>,
    check: impl Fn(Record),
) -> usize {
    let mut in_use = 0;
    for index in 0..SLOTS {
        let slot = &row.slots[index];
        let occupied = row.occupied >> index & 1 == 1;
        assert_eq!(
            occupied,
            !slot.is_empty() || is_split(index),
            "the mark of slot {level}/{index}"
        );
        let start = records.len();
        records.extend(slot.records(chunks));
        assert_eq!(
            records.len() - start,
            slot.len(),
            "the length of slot {level}/{index}"
        );
        for &record in &records[start..] {
            assert_eq!(digit(record.due, level), index, "{record:?} is in its slot");
            check(record);
        }
        in_use += chunks.chunks_of(&slot.old) + chunks.chunks_of(&slot.young);
    }
    in_use
}
