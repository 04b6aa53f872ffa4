//! Requests that are due and wait for their location's pace.
//!
//! A location whose pace has no token for a request that is otherwise ready gets a line: a heap in the order
//! of release, kept by the poll. A line is *open* while its location has a token; the heads of open lines
//! compete with those of the ready heaps, so that the order is the same as without a pace. A line that is
//! closed knows when it opens, and the first to open is a wake-up of the engine: one a location, however
//! long the line is.
//!
//! A request that ends, is rescheduled or moves away leaves its key behind, which is found stale at the head,
//! or by the compaction of a line that has doubled.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use hashbrown::{HashMap, HashSet};

use super::shard::ReadyKey;
use crate::ids::{LocationId, Timestamp};
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Lines shorter than this are not worth compacting.
const COMPACT_MIN: usize = 64;

/// A request in a line, and its shard.
pub(super) type Lined = (ReadyKey, usize);

/// The lines of all paced locations.
#[derive(Default)]
pub(super) struct Lines {
    by_location: HashMap<LocationId, Line>,
    /// The heads of open lines.
    open: BTreeSet<(Lined, LocationId)>,
    /// When the closed lines open.
    closed: BTreeSet<(Timestamp, LocationId)>,
}

#[derive(Default)]
struct Line {
    waiting: BinaryHeap<Reverse<Lined>>,
    place: Place,
    /// The length after the last compaction.
    compacted: usize,
}

/// In which of the sets the line stands.
#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Nowhere,
    Open(Lined),
    Closed(Timestamp),
}

impl Lines {
    /// The first of all open lines' heads.
    pub(super) fn first(&self) -> Option<(LocationId, ReadyKey)> {
        let ((key, _), location) = self.open.first()?;
        Some((*location, *key))
    }

    /// Takes the head of a line, live or stale. The line then stands nowhere until it is
    /// [placed](Self::place).
    pub(super) fn take_head(&mut self, location: LocationId) -> Option<Lined> {
        self.displace(location);
        let Reverse(lined) = self.by_location.get_mut(&location)?.waiting.pop()?;
        Some(lined)
    }

    /// Puts a request into its location's line, and says whether the line should be compacted.
    pub(super) fn add(&mut self, location: LocationId, lined: Lined) -> bool {
        let line = self.by_location.entry(location).or_default();
        line.waiting.push(Reverse(lined));
        line.waiting.len() > COMPACT_MIN.max(2 * line.compacted)
    }

    /// Keeps what is live, and each request once.
    pub(super) fn compact(&mut self, location: LocationId, is_live: impl Fn(&Lined) -> bool) {
        self.displace(location);
        let Some(line) = self.by_location.get_mut(&location) else {
            return;
        };
        let mut waiting = std::mem::take(&mut line.waiting).into_vec();
        waiting.retain(|Reverse(lined)| is_live(lined));
        waiting.sort_unstable();
        waiting.dedup();
        line.compacted = waiting.len();
        line.waiting = waiting.into();
    }

    /// Says when a location has its next token, which opens its line, or does at once.
    pub(super) fn place(&mut self, location: LocationId, opens: Timestamp, now: Timestamp) {
        self.displace(location);
        let Some(line) = self.by_location.get_mut(&location) else {
            return;
        };
        let Some(&Reverse(head)) = line.waiting.peek() else {
            self.by_location.remove(&location);
            return;
        };
        if opens <= now {
            line.place = Place::Open(head);
            self.open.insert((head, location));
        } else {
            line.place = Place::Closed(opens);
            self.closed.insert((opens, location));
        }
    }

    /// Opens the lines whose time has come.
    pub(super) fn open_up(&mut self, now: Timestamp) {
        while let Some(&(opens, location)) = self.closed.first()
            && opens <= now
        {
            self.place(location, opens, now);
        }
    }

    pub(super) fn has(&self, location: LocationId) -> bool {
        self.by_location.contains_key(&location)
    }

    pub(super) fn locations(&self) -> Vec<LocationId> {
        self.by_location.keys().copied().collect()
    }

    /// When a poll next has something to do with a line: it opens, or it is open and its head's tick comes
    /// (which lies ahead where the clock has stepped back).
    pub(super) fn next_event(&self) -> Option<Timestamp> {
        let open = self.open.first().map(|((key, _), _)| key.tick);
        let closed = self.closed.first().map(|(opens, _)| *opens);
        open.into_iter().chain(closed).min()
    }

    fn displace(&mut self, location: LocationId) {
        let Some(line) = self.by_location.get_mut(&location) else {
            return;
        };
        match std::mem::take(&mut line.place) {
            Place::Nowhere => {}
            Place::Open(head) => drop(self.open.remove(&(head, location))),
            Place::Closed(opens) => drop(self.closed.remove(&(opens, location))),
        }
    }

    /// Checks that every line that is not empty stands where it is found, and counts all keys.
    pub(super) fn check_invariants(&self) -> usize {
        let mut keys = 0;
        for (&location, line) in &self.by_location {
            keys += line.waiting.len();
            match line.place {
                Place::Nowhere => panic!("the line of {location:?} is found nowhere"),
                Place::Open(head) => {
                    assert!(self.open.contains(&(head, location)));
                    assert_eq!(line.waiting.peek(), Some(&Reverse(head)));
                }
                Place::Closed(opens) => assert!(self.closed.contains(&(opens, location))),
            }
        }
        assert_eq!(self.open.len() + self.closed.len(), self.by_location.len());
        keys
    }
}

/// Published while no line waits to open.
const NOTHING: u64 = u64::MAX;
/// Published where a poll is due whatever the clock shows.
const AT_ONCE: u64 = 0;

/// What the poll, which has the lines, and everybody else tell each other of them.
pub(super) struct LineNews {
    /// When a poll next has something to do with a line.
    next_event: AtomicU64,
    /// Locations whose pace was changed since the last poll began.
    changed: Mutex<HashSet<LocationId>>,
}

impl Default for LineNews {
    fn default() -> Self {
        Self {
            next_event: AtomicU64::new(NOTHING),
            changed: Mutex::default(),
        }
    }
}

impl LineNews {
    /// A location has another pace: where anything stands in line, the next poll is due at once, to look at
    /// its line.
    pub(super) fn pace_changed(&self, location: LocationId) {
        let mut changed = self.changed.lock();
        changed.insert(location);
        if self.next_event.load(Ordering::SeqCst) != NOTHING {
            self.next_event.store(AT_ONCE, Ordering::SeqCst);
        }
    }

    /// The locations with another pace.
    pub(super) fn take_changed(&self) -> HashSet<LocationId> {
        std::mem::take(&mut self.changed.lock())
    }

    /// The poll ends, and this is when one next has something to do with a line.
    pub(super) fn publish(&self, next: Option<Timestamp>) {
        let changed = self.changed.lock();
        let next = match next {
            // A pace was changed while the poll ran.
            Some(_) if !changed.is_empty() => AT_ONCE,
            // At the end of time a moment earlier, which is as good.
            Some(next) => next.as_millis().min(NOTHING - 1),
            None => NOTHING,
        };
        self.next_event.store(next, Ordering::SeqCst);
    }

    pub(super) fn next_event(&self) -> Option<Timestamp> {
        let next = self.next_event.load(Ordering::SeqCst);
        (next != NOTHING).then(|| Timestamp::from_millis(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Priority;

    fn lined(tick: u64, index: u32) -> Lined {
        let tick = Timestamp::from_millis(tick);
        let key = ReadyKey {
            tick,
            due: tick,
            priority: Reverse(Priority(0)),
            intake: u64::from(index),
            index,
        };
        (key, 0)
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_open_line_whose_head_lies_ahead_does_not_hide_one_that_opens() {
        let (here, there) = (LocationId::from_index(0), LocationId::from_index(1));
        let mut lines = Lines::default();
        lines.add(here, lined(900, 1));
        lines.place(here, at(10), at(10));
        lines.add(there, lined(5, 2));
        lines.place(there, at(20), at(10));
        assert_eq!(lines.next_event(), Some(at(20)));
        lines.open_up(at(20));
        assert_eq!(lines.first(), Some((there, lined(5, 2).0)));
        lines.check_invariants();
    }

    #[test]
    fn a_line_hands_out_its_requests_in_order_and_is_gone_when_empty() {
        let here = LocationId::from_index(0);
        let mut lines = Lines::default();
        for index in [3, 1, 2] {
            lines.add(here, lined(u64::from(index), index));
            lines.place(here, at(10), at(10));
        }
        lines.compact(here, |(key, _)| key.index != 2);
        lines.place(here, at(10), at(10));
        assert_eq!(lines.take_head(here), Some(lined(1, 1)));
        assert_eq!(lines.take_head(here), Some(lined(3, 3)));
        assert_eq!(lines.take_head(here), None);
        lines.place(here, at(10), at(10));
        assert!(!lines.has(here));
        assert_eq!(lines.next_event(), None);
    }
}
