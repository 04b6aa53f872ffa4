//! Dispatch workers: routing off the polling thread.
//!
//! Released attempts wait in a queue per location. Workers serve the locations that have something
//! waiting in turn, one attempt a turn, and never take more of one location at once than its cap: one less
//! than there are workers (at least one), so that a location whose router calls are slow cannot take all
//! of them. The order of release holds within a location; with a cap above one its calls overlap.
//!
//! The queues together are bounded. When they are full the poll releases nothing more, and what is due
//! waits in order where it is.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::Engine;
use super::entry::Phase;
use super::poll::Attempt;
use super::shard::Trash;
use crate::clock::Clock;
use crate::ids::LocationId;
use crate::sync::{Condvar, Mutex};
use crate::telemetry::News;

/// Released attempts on their way to the workers.
pub(super) struct Dispatch {
    queues: Mutex<Queues>,
    ready: Condvar,
    waiting_max: usize,
    in_flight_max: usize,
}

#[derive(Default)]
struct Queues {
    locations: HashMap<LocationId, Queue>,
    /// Locations that have something waiting and are below their cap, in order of service.
    turns: VecDeque<LocationId>,
    waiting: usize,
    closed: bool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Attempt, bool)>,
    in_flight: usize,
    has_turn: bool,
}

impl Dispatch {
    pub(super) fn new(workers: usize, waiting_max: usize) -> Self {
        Self {
            queues: Mutex::default(),
            ready: Condvar::new(),
            waiting_max: waiting_max.max(1),
            in_flight_max: workers.saturating_sub(1).max(1),
        }
    }

    /// Whether nothing more is taken, for the present or for good.
    pub(super) fn is_full(&self) -> bool {
        let queues = self.queues.lock();
        queues.closed || queues.waiting >= self.waiting_max
    }

    /// Queues a released attempt; `ahead` as the poll decided. Hands it back once closed.
    pub(super) fn push(
        &self,
        location: LocationId,
        attempt: Attempt,
        ahead: bool,
    ) -> Result<(), Attempt> {
        let mut queues = self.queues.lock();
        if queues.closed {
            return Err(attempt);
        }
        queues.waiting += 1;
        let queue = queues.locations.entry(location).or_default();
        queue.waiting.push_back((attempt, ahead));
        queues.offer_turn(location, self.in_flight_max);
        drop(queues);
        self.ready.notify_one();
        Ok(())
    }

    /// The next attempt in turn, waiting for one; `None` once the dispatch is closed.
    fn take(&self) -> Option<(LocationId, Attempt, bool)> {
        let mut queues = self.queues.lock();
        loop {
            if queues.closed {
                return None;
            }
            if let Some(location) = queues.turns.pop_front() {
                let queue = queues
                    .locations
                    .get_mut(&location)
                    .expect("a turn has a queue");
                queue.has_turn = false;
                let (attempt, ahead) = queue.waiting.pop_front().expect("a turn has an attempt");
                queue.in_flight += 1;
                queues.waiting -= 1;
                queues.offer_turn(location, self.in_flight_max);
                return Some((location, attempt, ahead));
            }
            self.ready.wait(&mut queues);
        }
    }

    /// An attempt taken is settled.
    fn done(&self, location: LocationId) {
        let mut queues = self.queues.lock();
        let queue = queues
            .locations
            .get_mut(&location)
            .expect("a taken attempt has a queue");
        queue.in_flight -= 1;
        if queue.in_flight == 0 && queue.waiting.is_empty() {
            queues.locations.remove(&location);
        } else {
            queues.offer_turn(location, self.in_flight_max);
        }
        drop(queues);
        self.ready.notify_one();
    }

    /// Sends the workers home; what still waits is handed back.
    pub(super) fn close(&self) -> Vec<Attempt> {
        let mut queues = self.queues.lock();
        queues.closed = true;
        queues.turns.clear();
        queues.waiting = 0;
        let waiting = queues
            .locations
            .values_mut()
            .flat_map(|queue| queue.waiting.drain(..));
        let left = waiting.map(|(attempt, _)| attempt).collect();
        drop(queues);
        self.ready.notify_all();
        left
    }
}

impl Queues {
    fn offer_turn(&mut self, location: LocationId, in_flight_max: usize) {
        let Some(queue) = self.locations.get_mut(&location) else {
            return;
        };
        if !queue.has_turn && !queue.waiting.is_empty() && queue.in_flight < in_flight_max {
            queue.has_turn = true;
            self.turns.push_back(location);
        }
    }
}

impl Engine {
    /// What a worker's thread does until the dispatch is closed.
    pub(super) fn work(&self, dispatch: &Dispatch, clock: &dyn Clock) {
        while let Some((location, attempt, ahead)) = dispatch.take() {
            // There is room in the queue.
            self.wakeup.notify_end();
            self.dispatch_one(attempt, ahead, clock);
            dispatch.done(location);
            self.wakeup.notify_end();
        }
    }

    /// Whether the workers' queue, where there is one, takes nothing more.
    pub(super) fn dispatch_is_full(&self) -> bool {
        let dispatch = self.dispatch.read().clone();
        dispatch.is_some_and(|dispatch| dispatch.is_full())
    }

    /// Routes a released attempt, unless its location was put on hold or its lifespan ended since.
    fn dispatch_one(&self, attempt: Attempt, ahead: bool, clock: &dyn Clock) {
        let now = clock.now();
        let index = attempt.index;
        let mut trash = Trash::new();
        let mut shard = self.shards[attempt.place].lock();
        if shard.phase_of(attempt) != Some(Phase::Released) {
            return;
        }
        if shard.entry(index).has_expired(now) {
            shard.expire(index, now, &mut trash);
            return;
        }
        let page = shard.book.page(shard.entry(index).location);
        if page.is_some_and(|page| page.control.is_held()) {
            shard.note_taken_back(index, &mut trash.news);
            shard.note_parked(index, &mut trash.news);
            shard.entry_mut(index).take_attempt_back();
            shard.park(index);
            return;
        }
        shard.start_routing(index);
        shard.arm(index, now.saturating_add(self.settings.lease));
        let command = self.command(shard.entry(index), ahead, now);
        drop(shard);
        self.wakeup
            .notify_due(now.saturating_add(self.settings.lease));
        self.route(attempt, command, || clock.now());
    }

    /// Attempts that no worker will take any more wait for the next poll again.
    pub(super) fn take_back(&self, attempts: Vec<Attempt>) {
        for attempt in attempts {
            let mut news = News::default();
            let mut shard = self.shards[attempt.place].lock();
            if shard.phase_of(attempt) == Some(Phase::Released) {
                shard.note_taken_back(attempt.index, &mut news);
                shard.entry_mut(attempt.index).take_attempt_back();
                shard.wait(attempt.index);
            }
        }
    }
}
