//! What always holds, checked against the whole structure. For tests: costs time linear in
//! everything.

use std::collections::HashMap;

use super::Wheel;
use super::chunks::{List, Record};
use super::entries::Entries;
use super::levels::{LEVELS, Levels, Row, SLOTS, digit, place};

impl<T> Wheel<T> {
    /// Panics unless the wheel is consistent. For tests, in release builds too; linear in all the
    /// wheel holds.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        self.entries.check_invariants();
        self.run.check_invariants(&self.entries);
        self.late.check_invariants(&self.entries);
        let mut records = Vec::new();
        self.levels
            .check_invariants(self.cursor, &self.entries, &mut records);
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
        assert!(
            self.quiet <= self.next,
            "quiet no longer than nothing is due"
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
            let before = live.insert(record.entry, record.due);
            assert!(
                before.is_none(),
                "entry {} has two live records",
                record.entry
            );
        }
        assert_eq!(live.len(), self.len(), "each timer has a live record");
        for (handle, due, _) in self.iter() {
            let recorded = live.get(&handle.index());
            assert_eq!(
                recorded,
                Some(&due),
                "the record of {handle:?} has its due time"
            );
        }
    }
}

impl Levels {
    /// Number of records in all slots.
    pub(super) fn records(&self) -> usize {
        let rows = self
            .rows
            .iter()
            .chain(self.ahead.iter().flatten().map(|row| &**row));
        let in_slots: usize = rows
            .flat_map(|row| &row.slots)
            .map(|slot| slot.list.len())
            .sum();
        in_slots + self.sweep.as_ref().map_or(0, |sweep| sweep.kept().len())
    }

    /// Panics unless every record is in its place, marks and counts agree, and no chunk is lost.
    /// Collects the records.
    fn check_invariants<T>(&self, cursor: u64, entries: &Entries<T>, records: &mut Vec<Record>) {
        let mut chunks = 0;
        if let Some(sweep) = &self.sweep {
            chunks += self.chunks.chunks_of(sweep.kept());
            records.extend(self.chunks.iter(sweep.kept()));
        }
        for level in 0..LEVELS {
            let row = &self.rows[level];
            assert_eq!(
                self.occupied >> level & 1 == 1,
                row.occupied != 0,
                "the mark of level {level}"
            );
            chunks += self.check_row(row, level, self.split[level], entries, records, |record| {
                assert_eq!(
                    place(cursor, record.due).0,
                    level,
                    "{record:?} is on its level, cursor {cursor}"
                );
            });
            let Some(ahead) = &self.ahead[level] else {
                continue;
            };
            let Some(split) = self.split[level] else {
                assert_eq!(
                    ahead.occupied, 0,
                    "the row ahead of level {level} is not in use"
                );
                continue;
            };
            chunks += self.check_row(ahead, level - 1, None, entries, records, |record| {
                assert_eq!(
                    place(cursor, record.due),
                    (level, usize::from(split)),
                    "{record:?} is ahead in its row"
                );
            });
        }
        assert_eq!(
            chunks,
            self.chunks.in_use(),
            "every chunk is in a list or free"
        );
    }

    /// Checks the slots of one row; returns the number of chunks they take.
    fn check_row<T>(
        &self,
        row: &Row,
        level: usize,
        split: Option<u8>,
        entries: &Entries<T>,
        records: &mut Vec<Record>,
        check: impl Fn(Record),
    ) -> usize {
        let mut chunks = 0;
        for index in 0..SLOTS {
            let slot = &row.slots[index];
            let list: &List = &slot.list;
            let occupied = row.occupied >> index & 1 == 1;
            assert_eq!(
                occupied,
                !list.is_empty() || split == Some(index as u8),
                "the mark of slot {level}/{index}"
            );
            let start = records.len();
            records.extend(self.chunks.iter(list));
            assert_eq!(
                records.len() - start,
                list.len(),
                "the length of slot {level}/{index}"
            );
            let mut stale = 0;
            for &record in &records[start..] {
                assert_eq!(digit(record.due, level), index, "{record:?} is in its slot");
                check(record);
                stale += usize::from(!entries.is_live(record));
            }
            let swept = self
                .sweep
                .as_ref()
                .filter(|sweep| self.is_under(sweep, row, index));
            let counted = slot.stale as usize + swept.map_or(0, |sweep| sweep.doubt());
            assert!(
                stale <= counted,
                "{stale} stale records in slot {level}/{index}, {counted} counted"
            );
            chunks += self.chunks.chunks_of(list);
        }
        chunks
    }
}
