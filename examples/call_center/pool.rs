//! The simulated agent pool: the router of this example.
//!
//! One queue, in front of all agents: lifted requests first, then by priority, then in the order in which they
//! joined. An agent takes one call at a time; of the idle ones the longest idle is next. An agent whose shift ends
//! finishes the call at hand and takes no further one. A command is answered `Routed` as soon as it stands in
//! the queue, as a telephone switch would; what becomes of it there is the pool's to count.
//!
//! Who is in the queue when nobody is on shift any more and nobody comes that day ends as unserved, and so does
//! who joins it after that; *that day* is the staff's, which lasts until 03:00. As long as somebody still comes,
//! the queue waits for them.
//!
//! # What `consult` says
//!
//! The truth, because a simulation can know it: the expected wait of somebody who joined the back of the queue
//! now is found by playing the queue forward over the agents on shift and those still to come that day, with the
//! service times that the calls will take and the ends of the shifts. It is unbounded (`None`) with nobody on
//! shift, and where the agents will have left before the queue is through. It is good for one request: the next
//! one finds a longer queue, and one free agent must not release ten thousand.
//!
//! The pool reads no clock: [`Pool::advance`] moves it, and calls are connected by [`Pool::connect`], once
//! everybody of that instant stands in the queue.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, DueRequest, LocationId, Media, Priority, RequestId, Router,
    RoutingCommand, Timestamp,
};
use jiff::civil::Date;
use parking_lot::Mutex;

use crate::book::{Book, Joined};
use crate::hours::OpeningHours;
use crate::roster::{Roster, ServiceTimes};
use crate::zone::Zone;

/// The pool, shared by the engine, which routes to it, and the replay, which moves its time.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    hours: OpeningHours,
}

/// How a request in the queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) id: RequestId,
    pub(crate) location: LocationId,
    pub(crate) scheduled: bool,
    pub(crate) ahead: bool,
    pub(crate) media: Media,
    /// From joining the queue to the connection; `None`: unserved.
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    zone: Zone,
    agents: Vec<Agent>,
    roster: Roster,
    times: ServiceTimes,
    /// The first of the roster's shifts that has not begun.
    next_shift: usize,
    /// Shifts that have not begun, by day.
    to_come: BTreeMap<Date, usize>,
    on_shift: BTreeSet<usize>,
    /// Agents on shift without a call, by since when.
    idle: BTreeSet<(Timestamp, usize)>,
    /// Ends of calls and of shifts.
    changes: BinaryHeap<Reverse<(Timestamp, Change)>>,
    queue: BTreeMap<Place, Waiting>,
    joined: u64,
    ends: Vec<End>,
    /// Commands that the engine sent, those again included that had been sent before.
    told: u64,
    /// Where it is run durably.
    book: Option<Book>,
    book_error: Option<io::Error>,
    /// Changes and shift starts that came to pass.
    events: u64,
}

/// At one instant calls end before shifts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    CallEnds(usize),
    ShiftEnds(usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Agent {
    on_shift_until: Timestamp,
    busy_until: Option<Timestamp>,
}

/// A place in the queue: lifted, priority, order of joining.
type Place = (Reverse<bool>, Reverse<Priority>, u64);

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: RequestId,
    location: LocationId,
    scheduled: bool,
    media: Media,
    since: Timestamp,
    takes: Duration,
}

impl Pool {
    /// A pool before its first shift.
    pub(crate) fn new(
        roster: Roster,
        times: ServiceTimes,
        hours: OpeningHours,
        zone: Zone,
    ) -> Self {
        let mut to_come = BTreeMap::new();
        for shift in &roster.shifts {
            *to_come.entry(shift.day).or_default() += 1;
        }
        let state = State {
            now: Timestamp::EPOCH,
            zone,
            agents: vec![Agent::default(); roster.names.len()],
            roster,
            times,
            next_shift: 0,
            to_come,
            on_shift: BTreeSet::new(),
            idle: BTreeSet::new(),
            changes: BinaryHeap::new(),
            queue: BTreeMap::new(),
            joined: 0,
            ends: Vec::new(),
            told: 0,
            book: None,
            book_error: None,
            events: 0,
        };
        Self {
            state: Mutex::new(state),
            hours,
        }
    }

    /// Lives through what stands in its book, and goes on writing there.
    pub(crate) fn relive(&self, book: Book, joined: &[Joined]) {
        for same in joined.chunk_by(|one, next| one.at == next.at) {
            let at = same[0].at;
            while let Some(event) = self.next_event().filter(|event| *event < at) {
                self.advance(event);
                self.connect();
            }
            self.advance(at);
            for joined in same {
                self.state.lock().join(joined);
            }
            self.connect();
        }
        self.state.lock().book = Some(book);
    }

    /// What kept it from writing its book, where anything did.
    pub(crate) fn book_error(&self) -> Option<io::Error> {
        self.state.lock().book_error.take()
    }

    /// Commands that the engine sent.
    pub(crate) fn told(&self) -> u64 {
        self.state.lock().told
    }

    /// When something next happens in the pool by itself.
    pub(crate) fn next_event(&self) -> Option<Timestamp> {
        self.state.lock().next_event()
    }

    /// Lets everything happen that happens by itself up to `now`. Nobody is connected by it.
    pub(crate) fn advance(&self, now: Timestamp) {
        let mut state = self.state.lock();
        while let Some(at) = state.next_event().filter(|at| *at <= now) {
            state.now = at;
            state.step();
        }
        state.now = now;
    }

    /// Connects who waits with who is idle, and sends away who waits for nobody.
    pub(crate) fn connect(&self) {
        let mut state = self.state.lock();
        while let (Some((&place, &waiting)), Some(&(since, agent))) =
            (state.queue.first_key_value(), state.idle.first())
        {
            state.queue.remove(&place);
            state.idle.remove(&(since, agent));
            let (now, until) = (state.now, state.now.saturating_add(waiting.takes));
            debug_assert!(state.agents[agent].busy_until.is_none());
            state.agents[agent].busy_until = Some(until);
            state
                .changes
                .push(Reverse((until, Change::CallEnds(agent))));
            state.end(place, waiting, Some(now));
        }
        if !state.queue.is_empty() && state.nobody_comes() {
            for (place, waiting) in std::mem::take(&mut state.queue) {
                state.end(place, waiting, None);
            }
        }
    }

    /// Whether nobody waits and nobody is on a call.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        state.queue.is_empty() && state.agents.iter().all(|agent| agent.busy_until.is_none())
    }

    /// How everything routed here ended, and how many events that took.
    pub(crate) fn finish(&self) -> (Vec<End>, u64) {
        let mut state = self.state.lock();
        (std::mem::take(&mut state.ends), state.events)
    }
}

impl Router for Pool {
    fn consult(&self, request: &DueRequest) -> Consultation {
        let state = self.state.lock();
        // Who has joined but is not connected yet has the first claim on who is idle.
        let (idle, queued) = (state.idle.len(), state.queue.len());
        let count = |agents_or_calls: usize| u32::try_from(agents_or_calls).unwrap_or(u32::MAX);
        Consultation {
            expected_wait: state.expected_wait(),
            agents_ready: count(idle.saturating_sub(queued)),
            queue_length: count(queued.saturating_sub(idle)),
            open: self.hours.is_open(request.now),
            good_for: Some(1),
        }
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let mut state = self.state.lock();
        debug_assert_eq!(command.released, state.now);
        let id = command.id.value();
        let takes = if command.scheduled {
            let service = String::from_utf8_lossy(&command.payload);
            state.times.drawn(id, &service)
        } else {
            state.times.recorded(id)
        };
        let joined = Joined {
            at: command.released,
            id: command.id,
            location: command.location,
            scheduled: command.scheduled,
            ahead: command.ahead,
            priority: command.priority.0,
            media: command.response_media,
            takes,
        };
        state.told += 1;
        if let Some(book) = &mut state.book {
            // It stands in the queue already, or was served: the engine had not heard of that when it stopped.
            if book.knows(command.id) {
                return Disposition::Routed;
            }
            if let Err(error) = book.write(&joined) {
                state.book_error.get_or_insert(error);
                return Disposition::Busy { retry_after: None };
            }
        }
        state.join(&joined);
        Disposition::Routed
    }
}

impl State {
    fn next_event(&self) -> Option<Timestamp> {
        let shift = self.roster.shifts.get(self.next_shift);
        let change = self.changes.peek().map(|Reverse((at, _))| *at);
        shift
            .map(|shift| shift.start)
            .into_iter()
            .chain(change)
            .min()
    }

    /// One thing that happens at `now`: changes first, then a shift's start.
    fn step(&mut self) {
        self.events += 1;
        if let Some(&Reverse((at, change))) = self.changes.peek()
            && at <= self.now
        {
            self.changes.pop();
            match change {
                Change::CallEnds(agent) => {
                    self.agents[agent].busy_until = None;
                    if self.on_shift.contains(&agent) {
                        self.idle.insert((self.now, agent));
                    }
                }
                Change::ShiftEnds(agent) => self.shift_ends(agent),
            }
            return;
        }
        let shift = self.roster.shifts[self.next_shift];
        self.next_shift += 1;
        if let Some(count) = self.to_come.get_mut(&shift.day) {
            *count -= 1;
        }
        let agent = &mut self.agents[shift.agent];
        // A service from before 03:00 on may reach into the next day's shift: the two are then one.
        agent.on_shift_until = agent.on_shift_until.max(shift.end);
        self.changes
            .push(Reverse((shift.end, Change::ShiftEnds(shift.agent))));
        if self.on_shift.insert(shift.agent) && agent.busy_until.is_none() {
            self.idle.insert((self.now, shift.agent));
        }
    }

    fn shift_ends(&mut self, agent: usize) {
        if self.agents[agent].on_shift_until > self.now {
            return;
        }
        self.on_shift.remove(&agent);
        self.idle.retain(|(_, idle)| *idle != agent);
    }

    fn join(&mut self, joined: &Joined) {
        let place = (
            Reverse(joined.ahead),
            Reverse(Priority(joined.priority)),
            self.joined,
        );
        self.joined += 1;
        let waiting = Waiting {
            id: joined.id,
            location: joined.location,
            scheduled: joined.scheduled,
            media: joined.media,
            since: joined.at,
            takes: joined.takes,
        };
        self.queue.insert(place, waiting);
    }

    fn end(&mut self, place: Place, waiting: Waiting, connected: Option<Timestamp>) {
        let (Reverse(ahead), ..) = place;
        self.ends.push(End {
            id: waiting.id,
            location: waiting.location,
            scheduled: waiting.scheduled,
            ahead,
            media: waiting.media,
            wait: connected.map(|at| at.saturating_duration_since(waiting.since)),
        });
    }

    /// Nobody is on shift, and nobody comes any more today.
    fn nobody_comes(&self) -> bool {
        self.on_shift.is_empty()
            && self
                .zone
                .business_day(self.now)
                .and_then(|today| self.to_come.get(&today))
                .is_none_or(|count| *count == 0)
    }

    /// See the module's documentation. O(agents + queue * log agents).
    fn expected_wait(&self) -> Option<Duration> {
        if self.on_shift.is_empty() {
            return None;
        }
        if self.idle.len() > self.queue.len() {
            return Some(Duration::ZERO);
        }
        let today = self.zone.business_day(self.now);
        let on_shift = self.on_shift.iter().map(|agent| {
            let agent = &self.agents[*agent];
            let free = agent.busy_until.unwrap_or(self.now);
            (free, agent.on_shift_until)
        });
        let to_come = self.roster.shifts[self.next_shift..]
            .iter()
            .take_while(|shift| Some(shift.day) == today)
            .map(|shift| (shift.start, shift.end));
        let mut free: BinaryHeap<Reverse<(Timestamp, Timestamp)>> = on_shift
            .chain(to_come)
            .filter(|(free, leaves)| free < leaves)
            .map(Reverse)
            .collect();
        for waiting in self.queue.values() {
            let Reverse((at, leaves)) = free.pop()?;
            let done = at.saturating_add(waiting.takes);
            if done < leaves {
                free.push(Reverse((done, leaves)));
            }
        }
        let Reverse((at, _)) = free.pop()?;
        Some(at.saturating_duration_since(self.now))
    }
}
