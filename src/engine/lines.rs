//! Requests that are due and wait in their location's line.
//!
//! A location that cannot take a request which is otherwise ready gets a line: a set in the order of
//! release, kept by the poll. Only the head of a line is examined again, and only when its gate has opened:
//!
//! | gate | the line waits for | and opens |
//! |---|---|---|
//! | `Open` | nothing | |
//! | `Token` | a token of its location's pace | at a known time |
//! | `Room` | room in its location's own dispatch queue | when a worker says so |
//! | `Turn` | its turn at a place, all of dispatch being full | when the turns before it have been served |
//!
//! The heads of open lines compete with those of the ready heaps, so that the order is the same as without
//! a line. The lines that wait for their turn are served one release each, in the order in which they began to
//! wait; a location keeps its turn until it has released something. When the first line opens for a token
//! is a wake-up of the engine: one a location, however long the line is. The lines that wait for dispatch
//! have none: a worker rings (`news.rs`).
//!
//! A request that ends, is rescheduled or moves away leaves its key behind. It is found stale at the head, or
//! by the sweep of a line that has doubled: until it has gone round, whoever is put in has a few keys that stand
//! there looked at. So a line's length is bounded by what stands in it at once, and no call has to tidy a long one.

use std::collections::BTreeSet;
use std::ops::Bound;

use hashbrown::{HashMap, HashSet};

use super::shard::ReadyKey;
use crate::ids::{LocationId, Timestamp};

/// Lines up to this length are not swept.
const SWEEP_MIN: usize = 64;

/// Keys looked at for each that is put in: with one, a line of stale keys would go on growing as fast as it
/// is swept. With four, a line grows by a third at most while it is.
const SWEEP_STEP: usize = 4;

/// A request in a line, and its shard.
pub(super) type Lined = (ReadyKey, usize);

/// What a line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// A token, which comes at this time.
    Token(Timestamp),
    Room,
    Turn,
}

impl Gate {
    /// What is waited for, as it is told.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "nothing",
            Self::Token(_) => "pace",
            Self::Room => "room",
            Self::Turn => "turn",
        }
    }

    /// When it opens, where that is known.
    pub(super) fn opens(self) -> Option<Timestamp> {
        match self {
            Self::Token(opens) => Some(opens),
            Self::Open | Self::Room | Self::Turn => None,
        }
    }
}

/// The lines of all locations that have one.
#[derive(Default)]
pub(super) struct Lines {
    by_location: HashMap<LocationId, Line>,
    /// The heads of open lines.
    open: BTreeSet<(Lined, LocationId)>,
    /// When the lines that wait for a token open.
    closed: BTreeSet<(Timestamp, LocationId)>,
    /// The lines that wait for their turn, by their tickets.
    turns: BTreeSet<(u64, LocationId)>,
    next_ticket: u64,
    /// Locations whose dispatch queue is full, as far as the poll was told, whether they have a line or not.
    full: HashSet<LocationId>,
    /// Lines that wait for room.
    roomless: usize,
}

#[derive(Default)]
struct Line {
    waiting: BTreeSet<Lined>,
    place: Place,
    /// Since when it waits for a turn, while it does and until it has had one.
    ticket: Option<u64>,
    /// Where the sweep goes on, while there is one.
    swept: Option<Lined>,
    /// The length after the last.
    swept_len: usize,
}

/// In which of the sets the line stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Nowhere,
    Open(Lined),
    Closed(Timestamp),
    Room,
    Turn(u64),
}

impl Lines {
    /// The first of all open lines' heads.
    pub(super) fn first(&self) -> Option<(LocationId, ReadyKey)> {
        let ((key, _), location) = self.open.first()?;
        Some((*location, *key))
    }

    /// The line whose turn it is, and its head.
    pub(super) fn first_turn(&self) -> Option<(LocationId, ReadyKey)> {
        let &(_, location) = self.turns.first()?;
        let (key, _) = self.by_location.get(&location)?.waiting.first()?;
        Some((location, *key))
    }

    pub(super) fn any_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Whether anything waits for dispatch.
    pub(super) fn any_wait_for_dispatch(&self) -> bool {
        self.any_turns() || self.roomless > 0
    }

    /// Takes the head of a line, live or stale. The line then stands nowhere until it is
    /// [placed](Self::place).
    pub(super) fn take_head(&mut self, location: LocationId) -> Option<Lined> {
        self.displace(location);
        self.by_location.get_mut(&location)?.waiting.pop_first()
    }

    /// Puts a request into its location's line, which is to be [placed](Self::place) then, and looks at a few
    /// that stand there. O(log the line's length).
    pub(super) fn add(
        &mut self,
        location: LocationId,
        lined: Lined,
        is_live: impl Fn(&Lined) -> bool,
    ) {
        let line = self.by_location.entry(location).or_default();
        line.waiting.insert(lined);
        if line.swept.is_none() && line.waiting.len() <= SWEEP_MIN.max(2 * line.swept_len) {
            return;
        }
        for _ in 0..SWEEP_STEP {
            let from = line.swept.map_or(Bound::Unbounded, Bound::Excluded);
            line.swept = line.waiting.range((from, Bound::Unbounded)).next().copied();
            let Some(swept) = line.swept else {
                line.swept_len = line.waiting.len();
                return;
            };
            if !is_live(&swept) {
                line.waiting.remove(&swept);
            }
        }
    }

    /// Places a line at its gate. One whose head's tick lies ahead, because the clock has stepped back, opens
    /// no earlier than that.
    pub(super) fn place(&mut self, location: LocationId, gate: Gate, now: Timestamp) {
        let Some(line) = self.by_location.get_mut(&location) else {
            return;
        };
        let Some(&head) = line.waiting.first() else {
            self.displace(location);
            self.by_location.remove(&location);
            return;
        };
        let tick = head.0.tick;
        let place = match gate {
            Gate::Token(opens) if opens.max(tick) > now => Place::Closed(opens.max(tick)),
            _ if tick > now => Place::Closed(tick),
            Gate::Open | Gate::Token(_) => Place::Open(head),
            Gate::Room => Place::Room,
            Gate::Turn => Place::Turn(*line.ticket.get_or_insert_with(|| {
                self.next_ticket += 1;
                self.next_ticket
            })),
        };
        if line.place == place {
            return;
        }
        self.displace(location);
        match place {
            Place::Nowhere => {}
            Place::Open(head) => drop(self.open.insert((head, location))),
            Place::Closed(opens) => drop(self.closed.insert((opens, location))),
            Place::Room => self.roomless += 1,
            Place::Turn(ticket) => drop(self.turns.insert((ticket, location))),
        }
        if let Some(line) = self.by_location.get_mut(&location) {
            line.place = place;
        }
    }

    /// Something of this location was released: where it waits for a turn again, it is the last.
    pub(super) fn had_its_turn(&mut self, location: LocationId) {
        if let Some(line) = self.by_location.get_mut(&location) {
            line.ticket = None;
            debug_assert!(!matches!(line.place, Place::Turn(_)), "it was served");
        }
    }

    /// The locations whose lines were to open by now, which are to be placed anew.
    pub(super) fn take_opening(&mut self, now: Timestamp) -> Option<LocationId> {
        let &(opens, location) = self.closed.first()?;
        if opens > now {
            return None;
        }
        self.displace(location);
        Some(location)
    }

    pub(super) fn set_full(&mut self, location: LocationId) {
        self.full.insert(location);
    }

    pub(super) fn set_roomy(&mut self, location: LocationId) {
        self.full.remove(&location);
    }

    pub(super) fn is_full(&self, location: LocationId) -> bool {
        self.full.contains(&location)
    }

    /// Dispatch is another, or none, from now on: nothing is known of its queues, and no turns are kept. All
    /// lines are to be placed anew.
    pub(super) fn forget_dispatch(&mut self) {
        self.full.clear();
        for line in self.by_location.values_mut() {
            line.ticket = None;
        }
    }

    pub(super) fn has(&self, location: LocationId) -> bool {
        self.by_location.contains_key(&location)
    }

    pub(super) fn locations(&self) -> Vec<LocationId> {
        self.by_location.keys().copied().collect()
    }

    /// When a poll next has something to do with a line that no worker rings for.
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
            Place::Room => self.roomless -= 1,
            Place::Turn(ticket) => drop(self.turns.remove(&(ticket, location))),
        }
    }

    /// Checks that every line stands where it is found and nowhere else, and hands every key to `visit`.
    pub(super) fn check_invariants(&self, mut visit: impl FnMut(LocationId, &Lined)) {
        let mut roomless = 0;
        for (&location, line) in &self.by_location {
            for lined in &line.waiting {
                visit(location, lined);
            }
            match line.place {
                Place::Nowhere => panic!("the line of {location:?} is found nowhere"),
                Place::Open(head) => {
                    assert!(self.open.contains(&(head, location)));
                    assert_eq!(line.waiting.first(), Some(&head));
                }
                Place::Closed(opens) => assert!(self.closed.contains(&(opens, location))),
                Place::Room => {
                    assert!(
                        self.full.contains(&location),
                        "a worker rings for {location:?}"
                    );
                    roomless += 1;
                }
                Place::Turn(ticket) => {
                    assert_eq!(line.ticket, Some(ticket));
                    assert!(self.turns.contains(&(ticket, location)));
                    assert!(ticket <= self.next_ticket);
                }
            }
        }
        assert_eq!(roomless, self.roomless);
        let placed = self.open.len() + self.closed.len() + self.turns.len() + self.roomless;
        assert_eq!(
            placed,
            self.by_location.len(),
            "every line stands somewhere once"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;

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

    fn place(number: u32) -> LocationId {
        LocationId::from_index(number)
    }

    fn checked(lines: &Lines) -> usize {
        let mut keys = 0;
        lines.check_invariants(|_, _| keys += 1);
        keys
    }

    #[test]
    fn a_line_whose_head_lies_ahead_does_not_hide_one_that_opens() {
        let (here, there) = (place(0), place(1));
        let mut lines = Lines::default();
        lines.add(here, lined(900, 1), |_| true);
        lines.place(here, Gate::Open, at(10));
        lines.add(there, lined(5, 2), |_| true);
        lines.place(there, Gate::Token(at(20)), at(10));
        assert_eq!(lines.next_event(), Some(at(20)));
        assert_eq!(lines.take_opening(at(19)), None);
        assert_eq!(lines.take_opening(at(20)), Some(there));
        lines.place(there, Gate::Open, at(20));
        assert_eq!(lines.first(), Some((there, lined(5, 2).0)));
        checked(&lines);
    }

    #[test]
    fn a_line_hands_out_its_requests_in_order_and_is_gone_when_empty() {
        let here = place(0);
        let mut lines = Lines::default();
        for index in [3, 1, 2] {
            lines.add(here, lined(u64::from(index), index), |_| true);
            lines.place(here, Gate::Open, at(10));
        }
        for index in 1..=3 {
            assert_eq!(lines.take_head(here), Some(lined(u64::from(index), index)));
        }
        assert_eq!(lines.take_head(here), None);
        lines.place(here, Gate::Open, at(10));
        assert!(!lines.has(here));
        assert_eq!(lines.next_event(), None);
    }

    #[test]
    fn turns_go_round_and_a_line_keeps_its_turn_until_it_released_something() {
        let mut lines = Lines::default();
        for number in 0..3 {
            for index in 0..2 {
                lines.add(place(number), lined(1, 10 * number + index), |_| true);
            }
            lines.place(place(number), Gate::Turn, at(10));
        }
        // The first has no token just then, and comes back before the others.
        lines.place(place(0), Gate::Token(at(20)), at(10));
        assert_eq!(lines.first_turn().unwrap().0, place(1));
        lines.place(place(0), Gate::Turn, at(20));
        let mut served = Vec::new();
        while let Some((location, key)) = lines.first_turn() {
            served.push(key.index);
            lines.take_head(location);
            lines.had_its_turn(location);
            lines.place(location, Gate::Turn, at(20));
            checked(&lines);
        }
        assert_eq!(served, [0, 10, 20, 1, 11, 21]);
    }

    #[test]
    fn a_line_does_not_grow_with_what_has_left_it() {
        let here = place(0);
        let mut lines = Lines::default();
        for index in 0..100_000 {
            // A hundred stand in it at any time.
            let is_live = |(key, _): &Lined| key.index + 100 > index;
            lines.add(here, lined(u64::from(index), index), is_live);
            lines.place(here, Gate::Token(at(u64::MAX)), at(0));
        }
        let keys = checked(&lines);
        assert!(keys <= 300, "{keys}");
    }

    #[test]
    fn a_request_stands_in_a_line_once() {
        let mut lines = Lines::default();
        for _ in 0..1_000 {
            lines.add(place(0), lined(5, 1), |_| true);
            lines.place(place(0), Gate::Room, at(10));
        }
        lines.set_full(place(0));
        assert_eq!(checked(&lines), 1);
    }
}
