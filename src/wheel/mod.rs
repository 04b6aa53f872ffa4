//! A hierarchical timing wheel for millions of timers.
//!
//! # How it is built
//!
//! What an operation on ten million timers costs is memory latency, so the wheel is laid out by who
//! must be looked at when:
//!
//! ```text
//!  Handle ──> Entries           the slab: stamp, birth, value; 16 bytes a `u64`    entries.rs
//!                ^                 which entry is used next                         vacancies.rs
//!                │ entry number + stamp
//!             Record            16 bytes for one arming of one timer: what is moved chunks.rs
//!                │
//!     due < cursor ──> Late     a tree by (due, intake)                             late.rs
//!     due >= cursor ─> Levels   11 levels of 64 slots,                              levels.rs
//!                        │         each two lists of chunks of records              slots.rs
//!                        │ when the cursor enters a slot
//!                        v
//!                       Run     a few thousand records, sorted, fired from the end  run.rs
//!
//!  what cancelled timers leave behind goes by                                       sweep.rs
//! ```
//!
//! Scheduling writes an entry and appends a record to a slot; cascading streams records and touches
//! no entry; cancelling touches one entry, and nothing that depends on what it finds there, and
//! leaves the record behind as *stale*, to be swept in steps.
//!
//! # What always holds
//!
//! - **The cursor is the tick being worked on.** A timer due at the cursor is on level 0, and may
//!   be added after that tick was drained; nothing computes the tick after the cursor; "nothing
//!   pending" is a state and not a time. The cursor never passes the `now` of an `advance`, and is
//!   moved past a slot's first tick only by opening that slot.
//! - A record is live if and only if its stamp equals its entry's, and each timer has exactly one
//!   live record. All other records are stale, and their number is that of all less that of the
//!   timers.
//! - Of records due at one tick, late ones were taken in before those in the run, and those in the
//!   run before those on the levels. Each of the three keeps its own in order of intake, so merging
//!   their heads, ties in that order, gives the order of the whole.
//! - `next` is never later than the first due time, so an `advance` before it has nothing to fire.
//!
//! # Decisions
//!
//! - **A stamp in record and entry**, and entries reused at once. The alternative, a bitmap of
//!   cancelled entries that may not be reused until their record was swept, costs memory under
//!   churn and ties the slab to the sweep.
//! - **The due time is in the record alone.** The entry is half as large without it, a cancel needs
//!   no due time where nothing is counted by slot, and callers that want it know it.
//! - **A clock that stepped back** by more than [`STEP_BACK`] ticks moves the cursor back
//!   ([`Levels::rebase`]): everything below the level at which the two cursors part shares one slot
//!   there, so lists are joined and no record is moved. Within that distance the tree takes the few
//!   timers concerned, which spares a clock that trembles the joining and opening again. What
//!   already is in the run or late stays: both are merged by due time and do not depend on the
//!   cursor.
//! - **`next_due` is the bound that lets `advance` return at once**: lowered by each `schedule`,
//!   recomputed by each `advance` that had something to do. It costs nothing to ask, and nothing to
//!   keep.

mod chunks;
mod entries;
mod firing;
mod handle;
mod invariants;
mod late;
mod levels;
mod run;
mod slots;
mod sweep;
mod vacancies;

use std::fmt;

pub use handle::Handle;

use chunks::{Chunks, Record};
use entries::Entries;
use late::Late;
use levels::Levels;
use run::Run;
use sweep::Sweep;

/// How many ticks `now` may lie before the cursor until the cursor is moved back.
const STEP_BACK: u64 = if cfg!(fuzzing) { 16 } else { 4096 };

/// A timer that fell due, or was drained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fired<T> {
    /// The handle the timer had. It is inert already.
    pub handle: Handle,
    /// The tick it was due at.
    pub due: u64,
    /// What was scheduled.
    pub value: T,
}

/// What an [`advance`](Wheel::advance) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "`more` says whether something due may be left for want of budget"]
pub struct Advance {
    /// Number of timers that fired.
    pub fired: usize,
    /// Whether a timer due at or before `now` is left, or may be: call again. Never true of a call
    /// without a budget.
    pub more: bool,
}

/// A hierarchical timing wheel: holds values until their due tick, millions of them, any `u64`
/// tick.
///
/// The wheel has no clock. Time is a count of ticks that the caller passes to
/// [`advance`](Self::advance); a tick may be anything, and due times may lie anywhere, at
/// `u64::MAX` or before the present. Timers fire **in order of their due tick, and at one tick in
/// order of intake**, whatever the budget of each advance; a [`reschedule`](Self::reschedule)
/// counts as a new intake. Nothing fires early.
///
/// Costs are bounded for each call unless the method says otherwise: no call moves more than some
/// thousand records of 16 bytes, and most move one. Memory is proportional to the most timers ever
/// pending at once, whatever the pattern of cancels: what cancelled timers leave behind, 16 bytes
/// each, is never much more than one and a half times what is pending, and is reused.
///
/// ```
/// use duewheel::Wheel;
///
/// let mut wheel = Wheel::starting_at(1_000);
/// let call = wheel.schedule(1_500, "call back");
/// let mail = wheel.schedule(1_200, "send a mail");
/// assert_eq!(wheel.cancel(mail), Some("send a mail"));
/// assert!(wheel.reschedule(call, 1_300));
///
/// let mut fired = Vec::new();
/// let advance = wheel.advance(1_400, usize::MAX, |timer| fired.push((timer.due, timer.value)));
/// assert_eq!(fired, [(1_300, "call back")]);
/// assert!(!advance.more);
/// ```
pub struct Wheel<T> {
    /// The tick being worked on.
    cursor: u64,
    /// From this tick on and before `next`, `advance` has nothing to do: as far before the cursor
    /// as the clock may step back, or no tick at all while there is work that is not due.
    floor: u64,
    /// Not after the first due time; `u64::MAX` where nothing is pending.
    next: u64,
    entries: Entries<T>,
    run: Run,
    late: Late,
    levels: Levels,
    chunks: Chunks,
    sweep: Sweep,
}

impl<T> Wheel<T> {
    /// An empty wheel whose time starts at tick 0.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(0)
    }

    /// An empty wheel whose time starts at `tick`.
    ///
    /// Timers due before it are accepted all the same. A wheel that starts far from the first ticks
    /// it is advanced to works as well; the start only saves it some sorting.
    #[must_use]
    pub fn starting_at(tick: u64) -> Self {
        Self::from_parts(tick, Entries::new(), Chunks::new())
    }

    /// An empty wheel at tick 0 with memory for `timers` timers, touched already: scheduling that
    /// many waits for no fresh page. More than 2^30 count as 2^30.
    ///
    /// # Panics
    /// Where the memory is not to be had, as `Vec::with_capacity`.
    #[must_use]
    pub fn with_capacity(timers: usize) -> Self {
        Self::from_parts(
            0,
            Entries::with_capacity(timers),
            Chunks::with_capacity(timers.min(entries::LIMIT)),
        )
    }

    /// Schedules `value` for tick `due`. Constant, but for a timer due before the
    /// [`cursor`](Self::cursor): logarithmic in the number of such timers.
    ///
    /// A timer that is due already fires at the next [`advance`](Self::advance).
    ///
    /// # Panics
    /// If 2^30 timers are pending.
    #[inline]
    pub fn schedule(&mut self, due: u64, value: T) -> Handle {
        let (handle, record) = self.entries.insert(due, value);
        self.insert(record);
        handle
    }

    /// Cancels a timer and returns its value at once; `None` if the handle is inert. Constant.
    #[inline]
    pub fn cancel(&mut self, handle: Handle) -> Option<T> {
        let value = self.entries.remove(handle)?;
        self.note_stale();
        Some(value)
    }

    /// Gives a timer another due tick, in place: handle and value stay. Returns false if the handle
    /// is inert.
    ///
    /// Among timers of one tick it comes last, as if it had just been scheduled, even where the
    /// tick is the old one. Costs what [`schedule`](Self::schedule) and [`cancel`](Self::cancel)
    /// cost; once in 2^31 reschedules of one timer, linear.
    #[inline]
    pub fn reschedule(&mut self, handle: Handle, due: u64) -> bool {
        if self.entries.is_exhausted(handle) {
            self.restart(handle);
        }
        let Some(record) = self.entries.rearm(handle, due) else {
            return false;
        };
        self.insert(record);
        self.note_stale();
        true
    }

    /// The handle of the timer in an entry, if there is one: for who keeps a handle's index alone, four
    /// bytes instead of eight, and knows that its timer is pending.
    #[inline]
    pub(crate) fn handle_at(&self, index: u32) -> Option<Handle> {
        self.entries.handle_at(index)
    }

    /// The value of a timer, or `None` if the handle is inert. Constant.
    #[inline]
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<&T> {
        self.entries.get(handle)
    }

    /// The value of a timer, to change it in place, or `None` if the handle is inert. Constant.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        self.entries.get_mut(handle)
    }

    /// Fires what is due at or before `now`, in order, `budget` timers at most, by passing each to
    /// `sink`.
    ///
    /// Cost is proportional to the timers that fire, never to the ticks passed; a call before
    /// [`next_due`](Self::next_due) is a comparison. `now` may be the same as in the last call,
    /// which fires what was added since, or earlier, where the clock stepped back; time is what the
    /// caller says it is, and a timer fires if it is due by the `now` of this call.
    ///
    /// A budget bounds the whole call: where time jumps into a slot of very many timers that are not
    /// sorted yet, or much of what is due was cancelled, a call may say that there is more having
    /// fired fewer than it might have, or none; so call until it says there is none. Without a
    /// budget (`usize::MAX`), a call does whatever it takes.
    ///
    /// The sink may panic: timers passed to it are gone, all others remain.
    ///
    /// ```
    /// use duewheel::Wheel;
    ///
    /// let mut wheel = Wheel::new();
    /// for name in ["first", "second", "third"] {
    ///     let _ = wheel.schedule(10, name);
    /// }
    /// let mut fired = Vec::new();
    /// let mut polls = 0;
    /// while wheel.advance(10, 2, |timer| fired.push(timer.value)).more {
    ///     polls += 1;
    /// }
    /// assert_eq!((fired, polls), (vec!["first", "second", "third"], 1));
    /// ```
    #[inline]
    pub fn advance(&mut self, now: u64, budget: usize, sink: impl FnMut(Fired<T>)) -> Advance {
        if now < self.next && now >= self.floor {
            return Advance {
                fired: 0,
                more: false,
            };
        }
        self.fire_due(now, budget, sink)
    }

    /// Brings the wheel up to `now` where nothing is due by then; says whether to call again, for there
    /// is more to do. Fires nothing.
    ///
    /// Timers are placed by how far they are from the [`cursor`](Self::cursor), the fewer in a slot
    /// the nearer. A wheel that nothing fired from for long, or that was empty, has its cursor far
    /// behind, and all that comes in one slot: it is dealt out when the first of them falls due, all
    /// at once. A call now and then keeps that from happening. It is a comparison where there is
    /// nothing to do; else it moves some thousand records at most.
    ///
    /// ```
    /// let mut wheel = duewheel::Wheel::new();
    /// while wheel.keep_up(1_767_596_400_000) {}
    /// assert_eq!(wheel.cursor(), 1_767_596_400_000);
    /// # wheel.schedule(1, ());
    /// ```
    pub fn keep_up(&mut self, now: u64) -> bool {
        let is_idle = now < self.next || self.is_empty();
        let is_idle = is_idle && now >= self.cursor;
        let is_behind = now > self.cursor || self.floor == u64::MAX;
        if !is_idle || !is_behind {
            return false;
        }
        let advance = self.fire_due(now, 0, |_| {});
        advance.more || self.floor == u64::MAX
    }

    /// A lower bound of the tick the next timer is due at; `None` if and only if nothing is
    /// pending. Constant.
    ///
    /// It is never later than the next due tick, and usually it is that tick. It is earlier where
    /// the timer it came from was cancelled or rescheduled since, or where more than a hundred or
    /// so timers share the first slot of the wheel. Advancing to it always makes progress: either
    /// something fires or the bound rises, to the exact tick within a few such steps, and one more for
    /// each slot on the way that holds nothing but what was cancelled.
    #[inline]
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        (self.entries.len() > 0).then_some(self.next)
    }

    /// The tick being worked on: the last `now` of an [`advance`](Self::advance) that had something
    /// to do, or an earlier tick if it left something. Timers due before it are accepted, at the
    /// cost of a tree.
    #[must_use]
    pub const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Number of timers pending.
    #[inline]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no timer is pending.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Every pending timer with its due tick, **in no particular order**. Linear in the most timers
    /// ever pending at once.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, u64, &T)> {
        let waiting = self.levels.slots();
        let waiting = waiting.flat_map(|slot| slot.records(&self.chunks));
        let near = self.run.records().iter().copied();
        let records = self.late.records().chain(near).chain(waiting);
        records.filter_map(|record| {
            let (handle, value) = self.entries.timer(record)?;
            Some((handle, record.due, value))
        })
    }

    /// Drops every timer; handles become inert, memory and cursor stay. Linear in the most timers
    /// ever pending at once.
    pub fn clear(&mut self) {
        self.drain().for_each(drop);
    }

    /// Takes out every timer, **in no particular order** (for theirs, [`advance`](Self::advance) to
    /// `u64::MAX`). What the iterator has not yielded when it is dropped is dropped with it. Memory
    /// and cursor stay. Linear in the most timers ever pending at once.
    pub fn drain(&mut self) -> impl Iterator<Item = Fired<T>> {
        Drain {
            wheel: self,
            taken: Vec::new(),
        }
    }

    /// Number of records held, those of cancelled timers included; for tests of the bound on them.
    #[doc(hidden)]
    #[must_use]
    pub fn records(&self) -> usize {
        self.run.len() + self.late.len() + self.chunks.held()
    }

    fn from_parts(cursor: u64, entries: Entries<T>, chunks: Chunks) -> Self {
        Self {
            cursor,
            floor: cursor.saturating_sub(STEP_BACK),
            next: u64::MAX,
            entries,
            run: Run::new(),
            late: Late::new(),
            levels: Levels::new(),
            chunks,
            sweep: Sweep::new(),
        }
    }

    #[inline]
    fn insert(&mut self, record: Record) {
        self.next = self.next.min(record.due);
        if record.due < self.cursor {
            self.late.insert(record);
        } else if self.levels.insert(self.cursor, record, &mut self.chunks) {
            self.note_growth(record.due);
        }
    }

    /// Does what is due about the slot of a due time that has just taken a new chunk.
    #[cold]
    #[inline(never)]
    fn note_growth(&mut self, due: u64) {
        let (level, index) = self.levels.place(self.cursor, due);
        let young = self.youth();
        self.sweep_young(level, index, young);
        self.levels
            .note_growth(level, index, young, &mut self.chunks, &self.entries);
    }

    /// Makes room for more reschedules of a timer that has come to the end of its stamps: where no
    /// record of its entry is left, they can start anew.
    #[cold]
    fn restart(&mut self, handle: Handle) {
        self.sweep_all();
        self.entries.restart(handle);
        self.sweep_all();
    }

    /// Takes some timers out, a chunk or so of records; false where none is left.
    fn take_some(&mut self, taken: &mut Vec<Fired<T>>) -> bool {
        let records = self.late.pop().or_else(|| self.run.pop());
        let mut fire = |record: Record| {
            let due = record.due;
            let timer = self.entries.fire(record);
            taken.extend(timer.map(|(handle, value)| Fired { handle, due, value }));
        };
        if let Some(record) = records {
            fire(record);
        } else if let Some(chunk) = self.levels.take(&mut self.chunks) {
            chunk.records().iter().copied().for_each(fire);
        } else {
            return false;
        }
        true
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Wheel<T> {
    /// Figures only; values are the caller's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len())
            .field("cursor", &self.cursor)
            .field("next_due", &self.next_due())
            .field("records", &self.records())
            .finish_non_exhaustive()
    }
}

/// Takes out every timer, chunk by chunk. A drain that is leaked leaks what it has taken and leaves
/// a wheel that works.
struct Drain<'a, T> {
    wheel: &'a mut Wheel<T>,
    taken: Vec<Fired<T>>,
}

impl<T> Iterator for Drain<'_, T> {
    type Item = Fired<T>;

    fn next(&mut self) -> Option<Fired<T>> {
        while self.taken.is_empty() && self.wheel.take_some(&mut self.taken) {}
        self.taken.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.wheel.len() + self.taken.len();
        (left, Some(left))
    }
}

impl<T> Drop for Drain<'_, T> {
    fn drop(&mut self) {
        self.by_ref().for_each(drop);
        self.wheel.plan_sweep();
        self.wheel.next = u64::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_at_the_end_of_its_stamps_can_still_be_rescheduled() {
        for due in [7, 5_000, 1 << 40] {
            let mut wheel = Wheel::starting_at(10);
            let others: Vec<Handle> = (0..100).map(|other| wheel.schedule(due, other)).collect();
            let handle = wheel.schedule(due, 1_000);
            // As if it had been rescheduled four thousand million times, the last time just now.
            let record = wheel.entries.restamp(handle, due, u32::MAX - 1);
            wheel.insert(record);
            wheel.cancel(others[50]);
            wheel.check_invariants();
            for round in 0..4 {
                assert!(wheel.reschedule(handle, due + round % 2));
                wheel.check_invariants();
            }
            let mut fired = Vec::new();
            let advance = wheel.advance(due + 1, usize::MAX, |timer| fired.push(timer.value));
            assert_eq!((advance.fired, fired.last()), (100, Some(&1_000)));
        }
    }
}
