//! The run: the nearest records, sorted, and fired from the end.
//!
//! When the cursor enters a slot of at most a few thousand records, they are sorted by (due,
//! intake) and drained from here instead of sinking level by level through mostly empty slots. The
//! order is descending, so that the next to fire is the last and is popped. Timers scheduled into
//! the run's range later go to the wheel's lower levels, which costs their insert nothing, and are
//! merged in when the cursor enters *their* slot. Of records due at one tick, those in the run were
//! taken in before those in the wheel, always: whatever is in the run was in one slot with
//! everything of its tick that was there at the time.
//!
//! Records here are always checked before they fire. The records of timers that were cancelled in
//! the meantime are swept with all others.

use super::chunks::Record;
use super::entries::Entries;
use super::firing::Work;

/// Entries touched ahead of their firing. Independent loads overlap, so two dozen cost little more
/// than one; many more would only displace what was touched first.
const TOUCH: usize = 24;

/// Up to this many records, a comparison sort beats the fixed cost of a radix sort.
const FEW: usize = if cfg!(fuzzing) { 8 } else { 64 };

/// Widest digit of the radix sort: 512 counters, and two passes for the 18 bits of a slot on level
/// 3.
const DIGIT_MAX: u32 = 9;

/// Most passes that beat a comparison sort at the size of a run.
const PASSES_MAX: u32 = 4;

/// The sorted run.
pub(super) struct Run {
    /// Descending by (due, intake).
    records: Vec<Record>,
    /// How many at the end were touched.
    touched: usize,
    /// Records on their way in, in order of intake; otherwise empty, and kept for its memory. So is
    /// `scratch`.
    staged: Vec<Record>,
    scratch: Vec<Record>,
}

impl Run {
    pub(super) const fn new() -> Self {
        Self {
            records: Vec::new(),
            touched: 0,
            staged: Vec::new(),
            scratch: Vec::new(),
        }
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.records.len()
    }

    /// Due time of the last record, live or not.
    #[inline]
    pub(super) fn next(&self) -> Option<u64> {
        self.records.last().map(|record| record.due)
    }

    /// Due time of the first record to fire, a live one as far as the work allows; drops what is
    /// stale before it.
    #[inline]
    pub(super) fn head<T>(&mut self, entries: &Entries<T>, work: &mut Work) -> Option<u64> {
        while let Some(&record) = self.records.last() {
            self.touch(entries);
            if entries.is_live(record) || work.is_spent() {
                return Some(record.due);
            }
            self.pop();
            work.spend(1);
        }
        None
    }

    /// Takes the last record if it is due at or before `limit`, live or not.
    #[inline]
    pub(super) fn pop_due<T>(&mut self, limit: u64, entries: &Entries<T>) -> Option<Record> {
        let record = *self.records.last()?;
        if record.due > limit {
            return None;
        }
        self.touch(entries);
        self.pop();
        Some(record)
    }

    /// Drops every stale record.
    #[cold]
    pub(super) fn compact<T>(&mut self, entries: &Entries<T>) {
        self.records.retain(|&record| entries.is_live(record));
        self.touched = 0;
    }

    /// Takes records in, in order of intake, for the next [`merge_staged`](Self::merge_staged).
    #[inline]
    pub(super) fn stage(&mut self, records: &[Record]) {
        self.staged.extend_from_slice(records);
    }

    /// Sorts the staged records, which agree in all but the lowest `bits` bits of their due times,
    /// and merges them in; at one tick they come after what is here.
    pub(super) fn merge_staged(&mut self, bits: u32) {
        self.sort_staged(bits);
        let Some(last) = self.staged.last() else {
            return;
        };
        // Only the end of the run can come before the last of the staged.
        let mut old = self.records.len();
        let start = self.records.partition_point(|record| record.due > last.due);
        if start == old {
            self.records.extend(self.staged.iter().rev());
        } else {
            let mut at = old + self.staged.len();
            self.records.resize(at, *last);
            let mut staged = self.staged.iter().copied().peekable();
            // From the end, the earliest first: the place to write never passes what is still to be
            // read.
            while let Some(&record) = staged.peek() {
                at -= 1;
                if old > start && self.records[old - 1].due <= record.due {
                    old -= 1;
                    self.records[at] = self.records[old];
                } else {
                    self.records[at] = record;
                    staged.next();
                }
            }
        }
        self.staged.clear();
        self.touched = 0;
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.touched = 0;
    }

    /// The records, last to fire first.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Panics unless the run is sorted and its count of stale records holds.
    pub(super) fn check_invariants(&self) {
        assert!(
            self.records.is_sorted_by(|a, b| a.due >= b.due),
            "the run is sorted"
        );
        assert!(self.staged.is_empty(), "nothing is left staged");
        assert!(self.touched <= self.records.len());
    }

    /// Takes the last record out, live or not.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Record> {
        self.touched = self.touched.saturating_sub(1);
        self.records.pop()
    }

    /// Loads the next few entries into the cache, once for each few.
    #[inline]
    fn touch<T>(&mut self, entries: &Entries<T>) {
        if self.touched == 0 {
            self.touch_next(entries);
        }
    }

    #[inline(never)]
    fn touch_next<T>(&mut self, entries: &Entries<T>) {
        self.touched = self.records.len().min(TOUCH);
        let next = &self.records[self.records.len() - self.touched..];
        std::hint::black_box(
            next.iter()
                .fold(0, |sum, &record| sum ^ entries.touch(record)),
        );
    }

    /// Sorts the staged records by due time, ascending; equals keep their order.
    fn sort_staged(&mut self, bits: u32) {
        let passes = bits.div_ceil(DIGIT_MAX);
        if passes == 0 {
            return;
        }
        if self.staged.len() <= FEW || passes > PASSES_MAX {
            self.staged.sort_by_key(|record| record.due);
            return;
        }
        let width = bits.div_ceil(passes);
        for pass in 0..passes {
            radix_pass(&self.staged, &mut self.scratch, pass * width, width);
            std::mem::swap(&mut self.staged, &mut self.scratch);
        }
        self.scratch.clear();
    }
}

/// One stable counting pass on `width` bits from bit `shift`.
fn radix_pass(from: &[Record], to: &mut Vec<Record>, shift: u32, width: u32) {
    let mask = (1 << width) - 1;
    let digit = |record: &Record| (record.due >> shift) as usize & mask;
    let mut positions = [0u32; 1 << DIGIT_MAX];
    for record in from {
        positions[digit(record)] += 1;
    }
    let mut sum = 0;
    for position in &mut positions[..=mask] {
        sum += std::mem::replace(position, sum);
    }
    to.clear();
    to.extend_from_slice(from);
    for record in from {
        let position = &mut positions[digit(record)];
        to[*position as usize] = *record;
        *position += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(due: u64, entry: u32) -> Record {
        Record::new(due, entry, 1)
    }

    fn drain(run: &mut Run) -> Vec<(u64, u32)> {
        run.records
            .drain(..)
            .rev()
            .map(|record| (record.due, record.entry()))
            .collect()
    }

    #[test]
    fn sorting_is_stable_on_every_level_and_size() {
        for bits in (0..=60).step_by(6) {
            for count in [1, 3, FEW as u32, 500, 4096] {
                let base = if bits < 60 { 5 << bits } else { 0 };
                let mask = (1u64 << bits) - 1;
                let mut state = 7u64;
                let records: Vec<Record> = (0..count)
                    .map(|entry| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        // Few different due times, so that ties are common.
                        record(
                            base | ((state >> 40) % 97).wrapping_mul(0x0123_4567_89AB_CDEF) & mask,
                            entry,
                        )
                    })
                    .collect();
                let mut run = Run::new();
                run.stage(&records);
                run.merge_staged(bits);
                let mut expected: Vec<(u64, u32)> =
                    records.iter().map(|r| (r.due, r.entry())).collect();
                expected.sort_unstable();
                assert_eq!(drain(&mut run), expected, "{bits} bits, {count} records");
            }
        }
    }

    #[test]
    fn what_is_merged_in_later_fires_later_at_one_tick() {
        let mut run = Run::new();
        run.stage(&[record(10, 1), record(12, 2), record(12, 3), record(60, 4)]);
        run.merge_staged(6);
        run.stage(&[record(12, 5), record(11, 6), record(12, 7), record(9, 8)]);
        run.merge_staged(6);
        assert_eq!(
            drain(&mut run),
            [
                (9, 8),
                (10, 1),
                (11, 6),
                (12, 2),
                (12, 3),
                (12, 5),
                (12, 7),
                (60, 4)
            ]
        );
    }
}
