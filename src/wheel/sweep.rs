//! Sweeping: how the records of timers that were cancelled or rescheduled go.
//!
//! A cancel leaves its timer's record behind, wherever it is. As every timer has exactly one live
//! record, the number of stale ones is known without counting: what is held less what is pending.
//! When they are too many, a **pass** goes through the whole wheel, slot by slot; each cancel and
//! reschedule then takes a step of it, a few chunks, until it is done. So no call does more than a
//! step, and the records of a wheel are never many more than two and a half times its timers.
//!
//! Most passes look only at the **young**: what was taken in since its slot was last looked
//! through. Most timers that are cancelled at all are cancelled young, and what has survived a pass
//! is mostly there to stay: looking at it again would cost a cache miss and find nothing. When that
//! does not hold, a pass finds little, and the next few are **thorough**: they wait until more is
//! stale, and look at everything. It is the weak generational hypothesis of garbage collectors
//! (Ungar, "Generation Scavenging", 1984).

use super::Wheel;
use super::chunks::{CHUNK, Chunks};
use super::entries::Entries;
use super::levels::{LEVELS, Levels};
use super::slots::{Row, SLOTS};

/// Stale records that are not worth a pass, however few the timers.
const SLACK: usize = if cfg!(fuzzing) { 4 } else { 512 };

/// Chunks a step looks through.
const STEP: usize = if cfg!(fuzzing) { 1 } else { 2 };

/// How many passes are thorough after one that found too little among the young.
const THOROUGH: u32 = 4;

/// The state of sweeping.
pub(super) struct Sweep {
    pass: Option<Pass>,
    /// How many passes to come are thorough.
    thorough: u32,
    /// How many records may still go stale until there is something to do; never 0.
    allowance: usize,
}

/// A pass under way.
struct Pass {
    thorough: bool,
    /// Where it is: the row, counting those dealt out ahead after the levels, and the slot.
    row: usize,
    index: usize,
    /// Whether it has begun with that slot.
    entered: bool,
    /// Records looked at, and dropped.
    seen: usize,
    dropped: usize,
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self {
            pass: None,
            thorough: 0,
            allowance: 1,
        }
    }

    /// How many more stale records a wheel of so many records and timers may have until it is time
    /// for a pass: half as many as timers, and for a thorough pass one and a half times as many.
    /// Where more timers go than come, the limit comes nearer with each.
    const fn plan(&mut self, records: usize, timers: usize) {
        let (limit, halves) = if self.thorough > 0 {
            (timers + timers / 2, 5)
        } else {
            (timers / 2, 3)
        };
        let room = (limit + SLACK).saturating_sub(records.saturating_sub(timers));
        self.allowance = if self.pass.is_some() || room == 0 {
            1
        } else {
            1 + room * 2 / halves
        };
    }
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

    /// Takes a step of the pass under way, or begins one if it is time.
    #[cold]
    #[inline(never)]
    fn sweep_step(&mut self) {
        if self.entries.len() == 0 {
            // All there is on the levels and in the run is stale.
            self.levels.clear(&mut self.chunks);
            self.run.clear();
        }
        let Some(mut pass) = self.sweep.pass.take().or_else(|| self.begin_pass()) else {
            return;
        };
        let chunks = pass.step(&mut self.levels, &mut self.chunks, &self.entries);
        if chunks > 0 || !self.late.sweep(STEP * CHUNK, &self.entries) {
            self.sweep.pass = Some(pass);
            return;
        }
        self.run.compact(&self.entries);
        if pass.thorough {
            self.sweep.thorough = self.sweep.thorough.saturating_sub(1);
        } else if pass.dropped * 2 < pass.seen {
            self.sweep.thorough = THOROUGH;
        }
    }

    /// A new pass, if it is time for one.
    fn begin_pass(&mut self) -> Option<Pass> {
        let (records, timers) = (self.records(), self.entries.len());
        self.sweep.plan(records, timers);
        if self.sweep.thorough == 0 && self.sweep.allowance == 1 {
            let old: usize = self.levels.slots().map(|slot| slot.old.len()).sum();
            let (young, stale) = (records - old, records.saturating_sub(timers));
            if young * 2 < stale || young > old {
                // Most of what is stale is old, or to look at the young is no less than to look at
                // most of all.
                self.sweep.thorough = 1;
                self.sweep.plan(records, timers);
            }
        }
        (self.sweep.allowance == 1).then(|| Pass::new(self.sweep.thorough > 0))
    }

    /// Drops every stale record at once. For the one occasion in thousands of millions of
    /// reschedules of a timer that asks for it.
    #[cold]
    pub(super) fn sweep_all(&mut self) {
        let mut pass = Pass::new(true);
        while pass.step(&mut self.levels, &mut self.chunks, &self.entries) > 0 {}
        self.run.compact(&self.entries);
        while !self.late.sweep(CHUNK, &self.entries) {}
        self.late.sweep(usize::MAX, &self.entries);
        self.sweep.pass = None;
        self.plan_sweep();
    }
}

impl Pass {
    const fn new(thorough: bool) -> Self {
        Self {
            thorough,
            row: 0,
            index: 0,
            entered: false,
            seen: 0,
            dropped: 0,
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
            if !std::mem::replace(&mut self.entered, true) && self.thorough {
                slot.rejuvenate(chunks);
            }
            if let Some((seen, dropped)) = slot.sweep(chunks, entries) {
                self.seen += seen;
                self.dropped += dropped;
                done += 1;
            }
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
