//! Sweeping: how the records of timers that were cancelled or rescheduled go.
//!
//! A cancel leaves its timer's record behind, wherever it is. As every timer has exactly one live
//! record, the number of stale ones is known without counting: what is held less what is pending.
//! They go in three ways, none of which does more than a few chunks at a time:
//!
//! - **With the timers that come.** Most timers that are cancelled at all are cancelled young. So a
//!   slot that takes a new chunk looks through the first of those that it has not looked through
//!   yet, if enough timers came to the wheel since that was begun; what is live in it counts as old
//!   from then on. Where that finds little it is left for a while. (The weak generational
//!   hypothesis of garbage collectors: Ungar, "Generation Scavenging", 1984.)
//! - **In passes** over the whole wheel, slot by slot, young and old. One begins when there are
//!   one and a half times as many stale records as timers, and each cancel and reschedule takes a
//!   step of it until it is done. So a wheel never holds many more than five records for two timers.
//! - When their time comes: nothing fires unless it is live.

use super::Wheel;
use super::chunks::{CHUNK, Chunks};
use super::entries::Entries;
use super::levels::{LEVELS, Levels};
use super::slots::{Row, SLOTS};

/// Stale records that are not worth a pass, however few the timers.
const SLACK: usize = if cfg!(fuzzing) { 4 } else { 512 };

/// Chunks a step of a pass looks through.
const STEP: usize = 1;

/// A chunk is left alone until as many others were begun as one in so many of the timers would
/// fill, and some more.
const YOUNG: usize = 8;
const SOME: usize = if cfg!(fuzzing) { 2 } else { 32 };

/// How many chances are let go after a look that found little.
const REST: u32 = 32;

/// The state of sweeping.
pub(super) struct Sweep {
    pass: Option<Pass>,
    /// How many records may still go stale until there is something to do; never 0.
    allowance: usize,
    /// How many more chances to look at the young are let go.
    rest: u32,
}

/// A pass under way: where it is.
struct Pass {
    /// The row, counting those dealt out ahead after the levels, and the slot.
    row: usize,
    index: usize,
    /// Whether it has begun with that slot.
    entered: bool,
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self {
            pass: None,
            allowance: 1,
            rest: 0,
        }
    }

    /// How many more records may go stale in a wheel of so many records and timers before a pass
    /// begins. With each, the timers may be one less, and the limit two or three.
    const fn plan(&mut self, records: usize, timers: usize) {
        let room = limit(timers).saturating_sub(records);
        self.allowance = if self.pass.is_some() {
            1
        } else {
            1 + room * 2 / 5
        };
    }
}

/// Most records of a wheel of so many timers before a pass begins.
const fn limit(timers: usize) -> usize {
    2 * timers + timers / 2 + SLACK
}

impl<T> Wheel<T> {
    /// Notes that a record went stale, and does what is due about it.
    #[inline]
    pub(super) fn note_stale(&mut self) {
        self.sweep.allowance -= 1;
        if self.sweep.allowance == 0 {
            self.sweep_step();
            self.plan_sweep();
        }
    }

    /// Looks anew when there will be something to do; for when timers went without a word.
    pub(super) fn plan_sweep(&mut self) {
        self.sweep.plan(self.records(), self.entries.len());
    }

    /// The age up to which a list is young.
    pub(super) fn youth(&self) -> usize {
        SOME + self.entries.len() / (CHUNK * YOUNG)
    }

    /// Looks through what is no longer young of a slot that has just taken a new chunk.
    pub(super) fn sweep_young(&mut self, level: usize, index: usize, young: usize) {
        let slot = &mut self.levels.rows[level].slots[index];
        // Two, so that a backlog shrinks.
        for _ in 0..2 {
            if self.chunks.age(&slot.young) <= young {
                return;
            }
            if self.sweep.rest > 0 {
                self.sweep.rest -= 1;
                return;
            }
            if let Some((seen, dropped)) = slot.sweep(&mut self.chunks, &self.entries)
                && dropped * 2 < seen
            {
                self.sweep.rest = REST;
            }
        }
    }

    /// Takes a step of the pass under way, or begins one if it is time.
    #[cold]
    #[inline(never)]
    fn sweep_step(&mut self) {
        if self.entries.len() == 0 {
            // All there is on the levels and in the run is stale.
            self.levels.clear(&mut self.chunks);
            self.run.clear();
        }
        let mut pass = match self.sweep.pass.take() {
            Some(pass) => pass,
            None if self.records() > limit(self.entries.len()) => Pass::new(),
            None => return,
        };
        let chunks = pass.step(&mut self.levels, &mut self.chunks, &self.entries);
        if chunks > 0 || !self.late.sweep(STEP * CHUNK, &self.entries) {
            self.sweep.pass = Some(pass);
        } else {
            self.run.compact(&self.entries);
        }
    }

    /// Drops every stale record at once. For the one occasion in thousands of millions of
    /// reschedules of a timer that asks for it.
    #[cold]
    pub(super) fn sweep_all(&mut self) {
        let mut pass = Pass::new();
        while pass.step(&mut self.levels, &mut self.chunks, &self.entries) > 0 {}
        self.run.compact(&self.entries);
        while !self.late.sweep(CHUNK, &self.entries) {}
        self.late.sweep(usize::MAX, &self.entries);
        self.sweep.pass = None;
        self.plan_sweep();
    }
}

impl Pass {
    const fn new() -> Self {
        Self {
            row: 0,
            index: 0,
            entered: false,
        }
    }

    /// Looks through the next few chunks; how many. 0 where all slots are done.
    fn step<T>(&mut self, levels: &mut Levels, chunks: &mut Chunks, entries: &Entries<T>) -> usize {
        let mut done = 0;
        while done < STEP
            && let Some(row) = levels.row_mut(self.row)
        {
            if !self.find_slot(row) {
                continue;
            }
            let slot = &mut row.slots[self.index];
            if !std::mem::replace(&mut self.entered, true) {
                slot.rejuvenate(chunks);
            }
            done += usize::from(slot.sweep(chunks, entries).is_some());
            if slot.young.is_empty() {
                levels.note_swept(self.row, self.index);
                self.index += 1;
                self.entered = false;
            }
        }
        done
    }

    /// Moves on to the next slot of the row that is occupied, or to the next row.
    fn find_slot(&mut self, row: &Row) -> bool {
        let ahead = if self.index < SLOTS {
            row.occupied & u64::MAX << self.index
        } else {
            0
        };
        if ahead == 0 {
            (self.row, self.index, self.entered) = (self.row + 1, 0, false);
            return false;
        }
        let index = ahead.trailing_zeros() as usize;
        if index != self.index {
            (self.index, self.entered) = (index, false);
        }
        true
    }
}

impl Levels {
    /// The rows of the levels, then those dealt out ahead.
    fn row_mut(&mut self, number: usize) -> Option<&mut Row> {
        if number < LEVELS {
            self.rows.get_mut(number)
        } else {
            let split = self.splits.get_mut(number - LEVELS)?;
            Some(&mut split.row)
        }
    }

    /// Clears the marks of a slot that a pass may have emptied.
    fn note_swept(&mut self, row: usize, index: usize) {
        if row < LEVELS {
            self.note_emptied(row, index);
        } else if let Some(row) = self.row_mut(row)
            && row.slots[index].is_empty()
        {
            row.occupied &= !(1 << index);
        }
    }
}
