//! Firing: late records, run and levels merged at the head.

use super::{Advance, Fired, STEP_BACK, Wheel};

/// What a call of `advance` with a budget may do besides firing: records it may deal out, sort or
/// drop until it leaves the rest to the next call. It may overdraw this by one run.
const WORK: usize = if cfg!(fuzzing) { 24 } else { 1024 };

/// Records a call may still move or drop.
pub(super) struct Work {
    left: usize,
}

impl Work {
    /// What goes with a budget of timers; without a budget, whatever it takes.
    const fn for_budget(budget: usize) -> Self {
        Self {
            left: budget.saturating_mul(4).saturating_add(WORK),
        }
    }

    #[inline]
    pub(super) const fn spend(&mut self, records: usize) {
        self.left = self.left.saturating_sub(records);
    }

    #[inline]
    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// What comes first.
enum Head {
    /// Nothing live is due by `now`.
    Nothing,
    /// A late record.
    Late,
    /// The run, up to and including a tick.
    Run { until: u64 },
    /// That would take more work than this call has left.
    Unknown,
}

impl<T> Wheel<T> {
    /// The part of `advance` that is taken when there may be something to do.
    #[inline(never)]
    pub(super) fn fire_due(
        &mut self,
        now: u64,
        budget: usize,
        mut sink: impl FnMut(Fired<T>),
    ) -> Advance {
        // Should the sink panic, the next call starts from here again. The bound on what is due stays
        // true as it is: timers only leave.
        self.floor = u64::MAX;
        if now < self.cursor.saturating_sub(STEP_BACK) {
            self.levels.rebase(self.cursor, now, &mut self.chunks);
            self.cursor = now;
        }
        let mut work = Work::for_budget(budget);
        let mut fired = 0;
        let more = loop {
            let head = self.head(now, &mut work);
            if let Head::Nothing = head {
                // Every slot that begins by now was opened, so the cursor may move there.
                self.cursor = self.cursor.max(now);
                break false;
            }
            if fired == budget {
                break true;
            }
            match head {
                Head::Late => fired += usize::from(self.fire_late(&mut sink)),
                Head::Run { until } => fired += self.fire_run(until, budget - fired, &mut sink),
                Head::Nothing | Head::Unknown => break true,
            }
        };
        let young = self.youth();
        let (chunks, entries) = (&mut self.chunks, &self.entries);
        let unfinished = self.levels.upkeep(young, chunks, entries);
        self.plan_sweep();
        self.next = self.bound();
        if !unfinished {
            self.floor = self.cursor.saturating_sub(STEP_BACK);
        }
        Advance { fired, more }
    }

    /// Opens slots until what comes first is known.
    fn head(&mut self, now: u64, work: &mut Work) -> Head {
        loop {
            let late = self.late.head(&self.entries, work);
            let run = self.run.head(&self.entries, work);
            if work.is_spent() {
                return Head::Unknown;
            }
            let due = match (late, run) {
                (Some(late), Some(run)) => Some(late.min(run)),
                (late, run) => late.or(run),
            };
            let first = self.levels.first(self.cursor);
            if let Some(first) = first
                && first.base <= now
                // On level 0 the slot is one tick and loses ties; a slot above must be opened
                // before the cursor comes to its base.
                && due.is_none_or(|due| first.base < due || (first.base == due && first.level > 0))
            {
                let (run, chunks) = (&mut self.run, &mut self.chunks);
                if self.levels.open(first, run, work, chunks, &self.entries) {
                    self.cursor = self.cursor.max(first.base);
                }
                continue;
            }
            return match due {
                None => Head::Nothing,
                Some(due) if due > now => Head::Nothing,
                Some(due) if late == Some(due) => Head::Late,
                Some(_) => {
                    let mut until = now;
                    if let Some(first) = first {
                        until = until.min(if first.level == 0 {
                            first.base
                        } else {
                            first.base - 1
                        });
                    }
                    if let Some(late) = late {
                        // The run's head is due before the late one, which therefore is not due at
                        // 0.
                        until = until.min(late - 1);
                    }
                    Head::Run { until }
                }
            };
        }
    }

    fn fire_late(&mut self, sink: &mut impl FnMut(Fired<T>)) -> bool {
        let Some(record) = self.late.pop() else {
            return false;
        };
        let Some((handle, value)) = self.entries.fire(record) else {
            return false;
        };
        self.cursor = self.cursor.max(record.due);
        sink(Fired {
            handle,
            due: record.due,
            value,
        });
        true
    }

    /// Fires from the run until the tick or the budget is reached; returns how many.
    fn fire_run(&mut self, until: u64, budget: usize, sink: &mut impl FnMut(Fired<T>)) -> usize {
        let mut fired = 0;
        while fired < budget
            && let Some(record) = self.run.pop_due(until, &self.entries)
        {
            let Some((handle, value)) = self.entries.fire(record) else {
                continue;
            };
            self.cursor = self.cursor.max(record.due);
            fired += 1;
            sink(Fired {
                handle,
                due: record.due,
                value,
            });
        }
        fired
    }

    /// A lower bound of the first due time, as good as can be had without loading entries.
    fn bound(&self) -> u64 {
        if self.entries.len() == 0 {
            return u64::MAX;
        }
        let mut bound = u64::MAX;
        for due in [self.late.next(), self.run.next()].into_iter().flatten() {
            bound = bound.min(due);
        }
        if let Some(first) = self.levels.first(self.cursor)
            && first.base < bound
        {
            bound = bound.min(self.levels.earliest(first, &self.chunks));
        }
        bound
    }
}
