//! A hierarchical timing wheel for millions of timers.
//!
//! # How it is built
//!
//! What an operation on ten million timers costs is memory latency, so the wheel is laid out by who
//! must be looked at when:
//!
//! ```text
//!  Handle ──> Entries           the slab: due time, generation, arming number, value  entries.rs
//!                ^
//!                │ entry index + arming number
//!             Record            16 bytes for one arming of one timer: what is moved    chunks.rs
//!                │
//!     due < cursor ──> Late     a heap by (due, intake)                                late.rs
//!     due >= cursor ─> Levels   11 levels of 64 slots, lists of chunks of records      levels.rs
//!                        │         what is done about slots before their time          upkeep.rs
//!                        │ when the cursor enters a slot
//!                        v
//!                       Run     a few thousand records, sorted, fired from the end     run.rs
//! ```
//!
//! Scheduling writes an entry and appends a record to a slot; cascading streams records and touches
//! no entry; cancelling touches one entry and leaves the record behind as *stale*, to be swept
//! before such records outnumber the live ones of their slot.
//!
//! # What always holds
//!
//! - **The cursor is the tick being worked on.** A timer due at the cursor is on level 0, and may
//!   be added after that tick was drained; nothing computes the tick after the cursor; "nothing
//!   pending" is a state and not a time. The cursor never passes the `now` of an `advance`, and is
//!   moved past a slot's first tick only by opening that slot.
//! - A record is live if and only if its arming number equals its entry's, and each timer has
//!   exactly one live record.
//! - Of records due at one tick, late ones were taken in before those in the run, and those in the
//!   run before those on the levels. Each of the three keeps its own in order of intake, so merging
//!   their heads, ties in that order, gives the order of the whole.
//! - The slot charged for a cancelled timer is a function of cursor and due time alone. Counts of
//!   stale records may be too high, never too low. The record of a cancelled timer may be in the
//!   run (or, after the clock stepped back, in the heap) rather than in the slot its due time
//!   names: every place it may be in is charged, which costs an early compaction now and then and
//!   needs no memory.
//! - `quiet` and `next` are never later than the first due time, so an `advance` before them has
//!   nothing to do.
//!
//! # Decisions
//!
//! - **Arming numbers in record and entry**, and entries reused at once. The alternative, a bitmap
//!   of cancelled entries that may not be reused until their record was swept, costs memory under
//!   churn and ties the slab to the sweep.
//! - **A clock that stepped back** by more than [`STEP_BACK`] ticks moves the cursor back
//!   ([`Levels::rebase`]): everything below the level at which the two cursors part shares one slot
//!   there, so lists are joined and no record is moved. Within that distance the heap takes the few
//!   timers concerned, which spares a clock that trembles the joining and opening again. What
//!   already is in the run or the heap stays: both are merged by due time and do not depend on the
//!   cursor.
//! - **`next_due` is the bound that lets `advance` return at once**: lowered by each `schedule`,
//!   recomputed by each `advance` that had something to do. It costs nothing to ask, and nothing to
//!   keep.
//! - **An empty wheel forgets its stale records** as a whole.

mod chunks;
mod entries;
mod firing;
mod handle;
mod invariants;
mod late;
mod levels;
mod run;
mod upkeep;

use std::fmt;

pub use handle::Handle;

use chunks::{Chunks, Record};
use entries::Entries;
use late::Late;
use levels::Levels;
use run::Run;

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
#[must_use = "`more` says whether something due was left for want of budget"]
pub struct Advance {
    /// Number of timers that fired.
    pub fired: usize,
    /// Whether a timer due at or before `now` is left.
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
/// Costs are amortised, and bounded for one call unless the method says otherwise. *n* is the
/// number of timers. Memory is proportional to the most timers ever pending at once, whatever the
/// pattern of cancels: what a cancelled timer leaves behind never outnumbers by much what is
/// pending, and is reused.
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
    /// Before this tick, `advance` has nothing to do. Not after `next`.
    quiet: u64,
    /// Not after the first due time; `u64::MAX` where nothing is pending.
    next: u64,
    entries: Entries<T>,
    run: Run,
    late: Late,
    levels: Levels,
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
    /// many waits for no fresh page. More than 2^31 count as 2^31.
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
    /// If 2^31 timers are pending.
    #[inline]
    pub fn schedule(&mut self, due: u64, value: T) -> Handle {
        let (handle, record) = self.entries.insert(due, value);
        self.insert(record);
        handle
    }

    /// Cancels a timer and returns its value at once; `None` if the handle is inert. Constant; for
    /// a timer due before the [`cursor`](Self::cursor), constant on average only.
    #[inline]
    pub fn cancel(&mut self, handle: Handle) -> Option<T> {
        let (due, value) = self.entries.remove(handle)?;
        if self.entries.len() == 0 {
            self.forget_records();
        } else {
            self.charge(due);
        }
        Some(value)
    }

    /// Gives a timer another due tick, in place: handle and value stay. Returns false if the handle
    /// is inert.
    ///
    /// Among timers of one tick it comes last, as if it had just been scheduled, even where the
    /// tick is the old one. Costs what [`schedule`](Self::schedule) and [`cancel`](Self::cancel)
    /// cost.
    #[inline]
    pub fn reschedule(&mut self, handle: Handle, due: u64) -> bool {
        if self.entries.arming_is_exhausted(handle) {
            self.restart_arming(handle);
        }
        let Some((old, record)) = self.entries.rearm(handle, due) else {
            return false;
        };
        self.charge(old);
        self.insert(record);
        true
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

    /// The tick a timer is due at, or `None` if the handle is inert. Constant.
    #[inline]
    #[must_use]
    pub fn due(&self, handle: Handle) -> Option<u64> {
        self.entries.due(handle)
    }

    /// Fires what is due at or before `now`, in order, `budget` timers at most, by passing each to
    /// `sink`.
    ///
    /// Cost is proportional to the timers that fire, never to the ticks passed; a call before
    /// [`next_due`](Self::next_due) is a comparison. `now` may be the same as in the last call,
    /// which fires what was added since, or earlier, where the clock stepped back; time is what the
    /// caller says it is, and a timer fires if it is due by the `now` of this call.
    ///
    /// Slots of very many timers are dealt out ahead of their time, a bounded number of records a call.
    /// Where time jumps into such a slot before that is done, the call deals out the rest of it.
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
        if now < self.quiet && now >= self.cursor.saturating_sub(STEP_BACK) {
            return Advance {
                fired: 0,
                more: false,
            };
        }
        self.fire_due(now, budget, sink)
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
    /// cost of a heap.
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
        self.entries.iter()
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
        // From here on no record is trusted, so that each timer can go without a word to the place
        // its record is in.
        self.levels.distrust();
        self.run.distrust();
        self.late.distrust();
        Drain {
            wheel: self,
            position: 0,
        }
    }

    /// Number of records held, those of cancelled timers included; for tests of the bound on them.
    #[doc(hidden)]
    #[must_use]
    pub fn records(&self) -> usize {
        self.run.len() + self.late.len() + self.levels.records()
    }

    fn from_parts(cursor: u64, entries: Entries<T>, chunks: Chunks) -> Self {
        Self {
            cursor,
            quiet: u64::MAX,
            next: u64::MAX,
            entries,
            run: Run::new(),
            late: Late::new(),
            levels: Levels::new(chunks),
        }
    }

    #[inline]
    fn insert(&mut self, record: Record) {
        self.next = self.next.min(record.due);
        self.quiet = self.quiet.min(record.due);
        if record.due < self.cursor {
            self.late.insert(record);
        } else {
            self.levels.insert(self.cursor, record, &self.entries);
        }
    }

    /// Counts a record of this due time as stale wherever it may be.
    #[inline]
    fn charge(&mut self, due: u64) {
        if self.late.may_hold(due) {
            self.late.charge(&self.entries);
        }
        self.run.charge(due, &self.entries);
        if due >= self.cursor {
            self.levels.charge(self.cursor, due, &self.entries);
        }
    }

    /// Drops all records; every one is stale, as no timer is left.
    fn forget_records(&mut self) {
        debug_assert!(
            self.entries.len() == 0,
            "a timer without a record would never fire"
        );
        self.levels.clear();
        self.run.clear();
        self.late.clear();
        (self.quiet, self.next) = (u64::MAX, u64::MAX);
    }

    /// Makes room for more reschedules of a timer that has come to the end of its arming numbers:
    /// without stale records anywhere, they can start anew.
    #[cold]
    fn restart_arming(&mut self, handle: Handle) {
        self.levels.sweep_all(&self.entries);
        self.run.compact(&self.entries);
        self.late.compact(&self.entries);
        self.entries.restart_arming(handle);
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

/// Takes out every timer, entry by entry. A drain that is leaked leaves a wheel that works, with
/// records to sweep.
struct Drain<'a, T> {
    wheel: &'a mut Wheel<T>,
    position: usize,
}

impl<T> Iterator for Drain<'_, T> {
    type Item = Fired<T>;

    fn next(&mut self) -> Option<Fired<T>> {
        let (position, handle, due, value) = self.wheel.entries.take_from(self.position)?;
        self.position = position;
        Some(Fired { handle, due, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.wheel.len(), Some(self.wheel.len()))
    }
}

impl<T> Drop for Drain<'_, T> {
    fn drop(&mut self) {
        self.by_ref().for_each(drop);
        self.wheel.forget_records();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_at_the_end_of_its_arming_numbers_can_still_be_rescheduled() {
        for due in [7, 5_000, 1 << 40] {
            let mut wheel = Wheel::starting_at(10);
            let others: Vec<Handle> = (0..100).map(|other| wheel.schedule(due, other)).collect();
            let handle = wheel.schedule(due, 1_000);
            // As if it had been rescheduled four thousand million times, the last time just now.
            let (handle, record) = wheel.entries.renumber(handle, 1, u32::MAX - 2);
            wheel.charge(due);
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
