//! Dispatch workers: routing off the polling thread.
//!
//! Released attempts wait in a queue per location. Workers serve the locations that have something
//! waiting in turn, one attempt a turn, and never have more of one location at the router at once than its
//! cap, so that a location whose router calls are slow cannot take all of them. The order of release holds
//! within a location; with a cap above one its calls overlap.
//!
//! The queues are bounded, each one and all together. The rule of fairness has three parts:
//!
//! * a location whose own queue is full waits in its line (`lines.rs`), and stops no other;
//! * when all places are taken, every location that has something due waits in its line, and the places that
//!   come free go to these lines in turn, one release a turn: who falls due then waits for at most one release
//!   of every other location in line;
//! * as long as a worker is left there is room left: the share of one location is, unless it is set, so small
//!   that as many locations as there are workers may be stuck at the router and leave some to the others.
//!
//! The poll alone puts attempts in. So it can keep to itself which queues are full, is told at each push, and
//! hears of room by the word that a worker leaves (`news.rs`), which makes a poll due.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Engine;
use super::driver::DriverOptions;
use super::entry::Phase;
use super::news::LineNews;
use super::poll::Attempt;
use super::taken::Taken;
use super::trash::Trash;
use super::wakeup::Wakeup;
use crate::clock::Clock;
use crate::ids::{LocationId, Timestamp};
use crate::persistence::record::Change;
use crate::router::RoutingCommand;
use crate::sync::{Arc, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};
use crate::telemetry::News;

/// Queues kept for reuse, so that a location which comes and goes allocates nothing.
const SPARES_MAX: usize = 64;

/// A location's full queue has room again when a share of it is empty, so that its line wakes the poll once for
/// many places.
const ROOM_SHARE: usize = 8;

/// Released attempts on their way to the workers.
pub(super) struct Dispatch {
    queues: Mutex<Queues>,
    ready: Condvar,
    /// Places taken, or `CLOSED`: what is under the lock, for a look without it.
    taken: AtomicUsize,
    limits: Limits,
    news: Arc<LineNews>,
    wakeup: Arc<Wakeup>,
}

/// Places taken once nothing more is taken in.
const CLOSED: usize = usize::MAX;

/// How much is taken in, in all and of one location, and how much of one location is at the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    waiting_max: usize,
    location_waiting_max: usize,
    in_flight_max: usize,
}

#[derive(Default)]
struct Queues {
    locations: HashMap<LocationId, Queue>,
    /// Locations that have something waiting and are below their cap, in order of service.
    turns: VecDeque<LocationId>,
    waiting: usize,
    /// Workers that sleep and were not woken yet.
    sleepers: usize,
    /// A line waits for a place, whosoever.
    place_wanted: bool,
    closed: bool,
    spares: Vec<VecDeque<(Attempt, bool)>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Attempt, bool)>,
    in_flight: usize,
    has_turn: bool,
    /// The poll knows it as full, and waits for word of room.
    full: bool,
}

/// What a push found, or left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Room {
    Left,
    /// The location's queue is full now; there will be word when it has room again.
    Full,
}

impl Limits {
    fn of(options: &DriverOptions) -> Self {
        let waiting_max = options.dispatch_max.max(1);
        let share = waiting_max / options.workers.saturating_add(1);
        let cap = options.workers.saturating_sub(1);
        Self {
            waiting_max,
            location_waiting_max: options.location_dispatch_max.unwrap_or(share).max(1),
            in_flight_max: options.location_in_flight_max.unwrap_or(cap).max(1),
        }
    }
}

impl Dispatch {
    pub(super) fn new(options: &DriverOptions, news: &Arc<LineNews>, wakeup: &Arc<Wakeup>) -> Self {
        Self {
            queues: Mutex::default(),
            ready: Condvar::new(),
            taken: AtomicUsize::new(0),
            limits: Limits::of(options),
            news: Arc::clone(news),
            wakeup: Arc::clone(wakeup),
        }
    }

    /// Places that are free: one atomic load. Only the poll makes them fewer.
    pub(super) fn free(&self) -> usize {
        let taken = self.taken.load(Ordering::Acquire);
        self.limits.waiting_max.saturating_sub(taken)
    }

    /// Whether a place is free. Where none is, there will be word of the next that comes.
    pub(super) fn has_place(&self) -> bool {
        let mut queues = self.queues.lock();
        let has = !queues.closed && queues.waiting < self.limits.waiting_max;
        queues.place_wanted = !has;
        has
    }

    /// Queues a released attempt; `ahead` as the poll decided. Hands it back once closed.
    pub(super) fn push(
        &self,
        location: LocationId,
        attempt: Attempt,
        ahead: bool,
    ) -> Result<Room, Attempt> {
        let mut queues = self.queues.lock();
        if queues.closed {
            return Err(attempt);
        }
        queues.waiting += 1;
        self.taken.store(queues.waiting, Ordering::Release);
        let queue = queues.open(location);
        queue.waiting.push_back((attempt, ahead));
        queue.full = queue.waiting.len() >= self.limits.location_waiting_max;
        let room = if queue.full { Room::Full } else { Room::Left };
        queues.offer_turn(location, self.limits.in_flight_max);
        let wake = queues.wakes_one();
        drop(queues);
        if wake {
            self.ready.notify_one();
        }
        Ok(room)
    }

    /// The next attempt in turn, waiting for one; `None` once the dispatch is closed. Whoever takes one says
    /// when it is [done](Self::done); a worker that comes back may say so here, for one lock instead of two.
    pub(super) fn take(&self, done: Option<LocationId>) -> Option<(LocationId, Attempt, bool)> {
        let mut queues = self.queues.lock();
        if let Some(location) = done {
            queues.done(location, self.limits.in_flight_max);
        }
        let next = loop {
            if queues.closed {
                return None;
            }
            if let Some(next) = queues.next(self.limits.in_flight_max) {
                break next;
            }
            queues.sleepers += 1;
            self.ready.wait(&mut queues);
        };
        self.tell_of_room(queues, next.0);
        Some(next)
    }

    /// The next attempt in turn, where there is one.
    #[cfg(feature = "tokio")]
    pub(super) fn try_take(&self) -> Option<(LocationId, Attempt, bool)> {
        let mut queues = self.queues.lock();
        let next = queues.next(self.limits.in_flight_max)?;
        self.tell_of_room(queues, next.0);
        Some(next)
    }

    /// An attempt of this location was taken: there is a place.
    fn tell_of_room(&self, mut queues: MutexGuard<'_, Queues>, location: LocationId) {
        self.taken.store(queues.waiting, Ordering::Release);
        let share = (self.limits.location_waiting_max / ROOM_SHARE).max(1);
        let room_mark = self.limits.location_waiting_max - share;
        let queue = queues.open(location);
        let has_room = queue.full && queue.waiting.len() <= room_mark;
        queue.full &= !has_room;
        let has_place = std::mem::take(&mut queues.place_wanted);
        // One wakes the next, where there is more to do than for one.
        let wake = queues.wakes_one();
        drop(queues);
        if wake {
            self.ready.notify_one();
        }
        if has_room || has_place {
            self.leave_word(has_room.then_some(location));
        }
    }

    /// An attempt taken is settled.
    pub(super) fn done(&self, location: LocationId) {
        let mut queues = self.queues.lock();
        queues.done(location, self.limits.in_flight_max);
        let wake = queues.wakes_one();
        drop(queues);
        if wake {
            self.ready.notify_one();
        }
    }

    /// Sends the workers home; what still waits is handed back.
    pub(super) fn close(&self) -> Vec<Attempt> {
        let mut queues = self.queues.lock();
        queues.closed = true;
        queues.turns.clear();
        queues.waiting = 0;
        self.taken.store(CLOSED, Ordering::Release);
        let waiting = queues.locations.values_mut().flat_map(|queue| {
            queue.has_turn = false;
            queue.waiting.drain(..)
        });
        let left = waiting.map(|(attempt, _)| attempt).collect();
        drop(queues);
        self.ready.notify_all();
        // What waits for room is for the poll itself to route from now on.
        self.leave_word(None);
        left
    }

    fn leave_word(&self, location: Option<LocationId>) {
        self.news.room_came(location);
        self.wakeup.notify_due(Timestamp::EPOCH);
    }

    pub(super) fn check_invariants(&self) {
        let queues = self.queues.lock();
        let mut waiting = 0;
        let mut turns = 0;
        for (location, queue) in &queues.locations {
            waiting += queue.waiting.len();
            turns += usize::from(queue.has_turn);
            assert!(
                queue.in_flight > 0 || !queue.waiting.is_empty(),
                "an idle queue was kept"
            );
            assert!(queue.in_flight <= self.limits.in_flight_max);
            assert!(!queue.full || !queue.waiting.is_empty() || queues.closed);
            let may_be_served =
                !queue.waiting.is_empty() && queue.in_flight < self.limits.in_flight_max;
            assert_eq!(queue.has_turn, may_be_served, "{location:?}");
        }
        assert_eq!(waiting, queues.waiting);
        assert!(waiting <= self.limits.waiting_max);
        assert_eq!(turns, queues.turns.len());
        let taken = self.taken.load(Ordering::Acquire);
        assert_eq!(taken, if queues.closed { CLOSED } else { waiting });
    }
}

impl Queues {
    fn open(&mut self, location: LocationId) -> &mut Queue {
        let spares = &mut self.spares;
        self.locations.entry(location).or_insert_with(|| Queue {
            waiting: spares.pop().unwrap_or_default(),
            ..Queue::default()
        })
    }

    fn offer_turn(&mut self, location: LocationId, in_flight_max: usize) {
        let Some(queue) = self.locations.get_mut(&location) else {
            return;
        };
        if !queue.has_turn && !queue.waiting.is_empty() && queue.in_flight < in_flight_max {
            queue.has_turn = true;
            self.turns.push_back(location);
        }
    }

    fn next(&mut self, in_flight_max: usize) -> Option<(LocationId, Attempt, bool)> {
        let location = self.turns.pop_front()?;
        let queue = self
            .locations
            .get_mut(&location)
            .expect("a turn has a queue");
        queue.has_turn = false;
        let (attempt, ahead) = queue.waiting.pop_front().expect("a turn has an attempt");
        queue.in_flight += 1;
        self.waiting -= 1;
        self.offer_turn(location, in_flight_max);
        Some((location, attempt, ahead))
    }

    fn done(&mut self, location: LocationId, in_flight_max: usize) {
        let queue = self
            .locations
            .get_mut(&location)
            .expect("a taken attempt has a queue");
        queue.in_flight -= 1;
        if queue.in_flight > 0 || !queue.waiting.is_empty() {
            self.offer_turn(location, in_flight_max);
        } else if let Some(queue) = self.locations.remove(&location)
            && self.spares.len() < SPARES_MAX
        {
            self.spares.push(queue.waiting);
        }
    }

    /// Whether a sleeper is to be woken now; it no longer counts as one then.
    fn wakes_one(&mut self) -> bool {
        let wakes = self.sleepers > 0 && !self.turns.is_empty();
        self.sleepers -= usize::from(wakes);
        wakes
    }
}

impl Engine {
    /// What a worker's thread does until the dispatch is closed.
    pub(super) fn work(&self, dispatch: &Dispatch, clock: &dyn Clock) {
        let mut done = None;
        while let Some((location, attempt, ahead)) = dispatch.take(done.take()) {
            let taken = Taken::new(self, dispatch, location, attempt);
            self.dispatch_one(attempt, ahead, clock);
            taken.defuse();
            done = Some(location);
        }
    }

    /// Routes a released attempt, unless its location was put on hold or its lifespan ended since.
    fn dispatch_one(&self, attempt: Attempt, ahead: bool, clock: &dyn Clock) {
        if self.settle_log(attempt.intent).is_err() {
            // The router is told of nothing that may be forgotten.
            self.take_back(vec![attempt]);
        } else if let Some(command) = self.start_dispatched(attempt, ahead, clock.now()) {
            self.route(attempt, command, || clock.now());
        }
    }

    /// The command of a released attempt that goes to the router now, by its lease; `None` where its location
    /// was put on hold or its lifespan ended since.
    pub(super) fn start_dispatched(
        &self,
        attempt: Attempt,
        ahead: bool,
        now: Timestamp,
    ) -> Option<RoutingCommand> {
        let index = attempt.index;
        let mut trash = Trash::new();
        let mut shard = self.shards[attempt.place].lock();
        if shard.phase_of(attempt) != Some(Phase::Released) {
            return None;
        }
        if shard.pending(index).has_expired(now) {
            shard.expire(index, now, &mut trash);
            drop(shard);
            self.notify_settled(None);
            return None;
        }
        let page = shard.book.page(shard.pending(index).location);
        if page.is_some_and(|page| page.control.is_held()) {
            shard.take_attempt_back(index, &mut trash.news);
            shard.park(index, &mut trash.news);
            shard.log(Change::Returned, index);
            let until = shard.pending(index).not_after();
            drop(shard);
            self.notify_settled(until);
            return None;
        }
        shard.start_routing(index);
        let lease_end = now.saturating_add(self.settings.lease);
        shard.arm(index, lease_end);
        let command = self.command(&shard, index, ahead, now);
        drop(shard);
        self.wakeup.notify_due(lease_end);
        Some(command)
    }

    /// Attempts that no worker will take to the router any more wait for the next poll again.
    pub(super) fn take_back(&self, attempts: Vec<Attempt>) {
        for attempt in attempts {
            let mut news = News::default();
            let mut shard = self.shards[attempt.place].lock();
            if shard.phase_of(attempt) == Some(Phase::Released) {
                shard.take_attempt_back(attempt.index, &mut news);
                shard.wait(attempt.index);
                shard.log(Change::Returned, attempt.index);
            }
        }
        self.wakeup.notify_due(Timestamp::EPOCH);
    }
}
