//! The poll: the only place where anything is released.
//!
//! A poll moves what is due from the wheels into their shards' ready heaps, in bounded steps, and releases
//! the smallest of the heaps' heads and of those of the open lines, over and over, until nothing due is left
//! or the budget is used up. A head is released only when no wheel holds anything due at its tick or before
//! it; so the order is by tick, then priority, then intake, over all shards and whatever the budget.
//!
//! What its location or dispatch has no room for is put into the location's line and no longer stands in the
//! way. The poll is never stopped by dispatch: it goes on to the other locations, leases run out, lifespans
//! end. Lines that wait for their turn at a place are served while places are free, each before whatever
//! stands in the heaps with a greater key: so the order within a location holds.
//!
//! What becomes of a request whose turn it is stands in `turn.rs`; who waits for what, in `lines.rs`.

use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::Engine;
use super::cell::ShardCell;
use super::dispatch::Dispatch;
use super::doubt::Suspicion;
use super::due::FIRE_STEP;
use super::entry::Phase;
use super::error::PollError;
use super::gaps::Gaps;
use super::lines::{Gate, Lines};
use super::location::LocationControl;
use super::replies::Poll;
use super::shard::ReadyKey;
use super::trash::Trash;
use crate::ids::{LocationId, Media, Timestamp};
use crate::persistence::Lsn;
use crate::router::RoutingCommand;
use crate::schedule::Consultation;
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::telemetry::{Span, tell};

/// Timers that a poll may fire beyond its budget, so that polls with a budget of one get along.
const FIRE_MIN: usize = 4096;

/// Steps that a poll takes at most to bring a shard's wheel up to the present, each under its own lock.
const UPKEEP_STEPS: usize = 16;

/// What one poll leaves for the next.
pub(super) struct Poller {
    /// Each shard's head of the ready heap. Only a poll touches the heaps, so that these stay true.
    heads: Box<[Option<ReadyKey>]>,
    /// Requests that wait for their location's pace, or for room in dispatch.
    pub(super) lines: Lines,
    /// The dispatch that the lines know of.
    dispatch: Option<Arc<Dispatch>>,
    gaps: Gaps,
    /// The highest recovered number in the order of intake, until the first poll; where that is to be suspicious.
    suspects_up_to: Option<u64>,
    suspicion: Option<Suspicion>,
    /// What the router said in this poll.
    pub(super) consultations: HashMap<(LocationId, Media), Consultation>,
    pub(super) batch: Vec<(Attempt, RoutingCommand)>,
    /// Empty between polls: memory for the locations whose pace was changed.
    paced: HashSet<LocationId>,
    /// How late releases were, to be recorded.
    pub(super) lateness: Vec<(LocationId, Duration)>,
}

impl Poller {
    /// `last_poll`: of a recovered engine, when the last poll was that its store tells of.
    pub(super) fn new(
        shards: usize,
        last_poll: Option<Timestamp>,
        suspects_up_to: Option<u64>,
    ) -> Self {
        Self {
            heads: vec![None; shards].into(),
            lines: Lines::default(),
            dispatch: None,
            gaps: Gaps::after(last_poll),
            suspects_up_to,
            suspicion: None,
            consultations: HashMap::new(),
            batch: Vec::new(),
            paced: HashSet::new(),
            lateness: Vec::new(),
        }
    }

    pub(super) fn check_invariants(&self, shards: &[ShardCell]) {
        let mut found = HashSet::new();
        self.lines.check_invariants(|location, (key, place)| {
            if shards[*place].lock().stands_in_line(location, key) {
                assert!(found.insert((*place, key.index)), "it stands in line once");
            }
        });
        let count = |phase| {
            shards
                .iter()
                .map(|cell| cell.lock().count(phase))
                .sum::<usize>()
        };
        assert_eq!(
            found.len(),
            count(Phase::InLine),
            "every request in line has its key in its own location's"
        );
        assert_eq!(count(Phase::Examining), 0, "no poll runs");
    }
}

/// Names a released attempt inside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) place: usize,
    pub(super) index: u32,
    pub(super) intake: u64,
    pub(super) number: u32,
    /// The record that says it was released: durable before the router is told, where answers wait.
    pub(super) intent: Lsn,
}

impl Engine {
    /// Releases what is due at `now`, examining at most `budget` requests, in the order of promise: by
    /// due tick, then priority (greater first), then intake.
    ///
    /// Nothing is released before its time by this `now`, whatever earlier polls were told. Beside the
    /// requests it examines, a poll may move up to the greater of `budget` and 4096 requests from their
    /// wheels, and end those whose lifespan is over.
    ///
    /// A budget of 0 examines nothing. Anything that falls due meanwhile, or that the router sends back to now or
    /// before, is taken up by the same poll as long as the budget lasts: a budget of `usize::MAX` may never
    /// return.
    ///
    /// O(shards + what is due, up to the budget); with nothing due no shard that has something pending is
    /// locked, but for a moment once in some four seconds to bring its wheel up to the present.
    ///
    /// # Errors
    /// [`PollError::Busy`] while another poll runs, be it further up this thread's stack; with a store, where its
    /// journal fails.
    pub fn poll(&self, now: Timestamp, budget: usize) -> Result<Poll, PollError> {
        let poll = self.poll_until(now, budget, &AtomicBool::new(false))?;
        if poll.released > 0 && self.dispatch.read().is_some() {
            // A task that routes what was released sleeps by the driver's bell.
            self.wakeup.ring();
        }
        Ok(poll)
    }

    /// [`poll`](Self::poll), which examines nothing more once `stop` is set.
    pub(super) fn poll_until(
        &self,
        now: Timestamp,
        budget: usize,
        stop: &AtomicBool,
    ) -> Result<Poll, PollError> {
        self.usable()?;
        let taken = self.poller.lock().take().ok_or(PollError::Busy)?;
        let span = Span::poll(now, budget);
        self.polling_thread.enter();
        let mut polling = Polling {
            engine: self,
            dispatch: self.dispatch.read().clone(),
            places: 0,
            turn: None,
            poller: Some(taken),
            now,
            budget,
            stop,
            fires_left: budget.max(FIRE_MIN),
            poll: Poll {
                examined: 0,
                released: 0,
                more: false,
                blocked: false,
                next_wakeup: None,
            },
            trash: Trash::new(),
            intents: Lsn(0),
            failed: false,
        };
        polling.run();
        let (mut poll, failed) = (polling.poll, polling.failed);
        drop(polling);
        self.polled(now);
        if failed {
            return Err(PollError::Unavailable);
        }
        poll.next_wakeup = self.next_wakeup();
        span.polled(poll.examined, poll.released, poll.more, poll.blocked);
        tell!(Polled {
            examined: poll.examined,
            pending: self.pending(),
            in_flight: self.in_flight(),
        });
        Ok(poll)
    }
}

/// A poll that runs.
pub(super) struct Polling<'a> {
    pub(super) engine: &'a Engine,
    pub(super) dispatch: Option<Arc<Dispatch>>,
    /// Places that are free in dispatch, at least.
    pub(super) places: usize,
    /// The location whose turn at a place it is.
    pub(super) turn: Option<LocationId>,
    /// There until the end.
    poller: Option<Box<Poller>>,
    pub(super) now: Timestamp,
    budget: usize,
    stop: &'a AtomicBool,
    pub(super) fires_left: usize,
    pub(super) poll: Poll,
    pub(super) trash: Trash,
    /// The last record that says of a gathered command that it was released.
    pub(super) intents: Lsn,
    /// The journal has failed.
    pub(super) failed: bool,
}

/// Gives the poller back, also when something panics.
impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.engine.polling_thread.leave();
        *self.engine.poller.lock() = self.poller.take();
    }
}

/// Where the next request comes from: a shard's ready heap, an open line, or the line whose turn it is.
#[derive(Clone, Copy)]
enum Source {
    Shard(usize),
    Line(LocationId),
    Turn(LocationId),
}

impl<'e> Polling<'e> {
    pub(super) fn poller(&mut self) -> &mut Poller {
        self.poller
            .as_mut()
            .expect("the poller is there until the poll ends")
    }

    fn run(&mut self) {
        let (now, grace) = (self.now, self.engine.settings.grace);
        let poller = self.poller();
        poller.consultations.clear();
        let stepped_back = poller.gaps.polled(now, grace);
        if let Some(intake_max) = poller.suspects_up_to.take() {
            poller.suspicion = Some(Suspicion::new(intake_max, now));
        }
        self.forget();
        self.keep_up();
        self.open_lines(stepped_back);
        loop {
            self.hear_of_room();
            let head = self.first_head();
            let horizon = head.map_or(now, |(_, key)| key.tick);
            if self.fire_up_to(horizon) {
                // Something may have become ready that goes before the head.
                continue;
            }
            if self.fires_left == 0 {
                self.poll.more = true;
                break;
            }
            let Some((source, _)) = head else {
                if !self.poller().batch.is_empty() {
                    // What the router sends back to now is taken up by this poll.
                    self.route_batch();
                    continue;
                }
                self.caught_up();
                if self.has_place_for_a_turn() {
                    continue;
                }
                break;
            };
            if self.failed {
                break;
            }
            if self.stop.load(Ordering::Acquire) {
                self.poll.more = true;
                break;
            }
            if self.poll.examined >= self.budget {
                if self.drop_idle_head(source) {
                    continue;
                }
                self.poll.more = true;
                break;
            }
            self.examine(source);
        }
        self.route_batch();
        self.record_lateness();
        let lines = &self.poller().lines;
        let (next, blocked) = (lines.next_event(), lines.any_wait_for_dispatch());
        self.poll.blocked = blocked;
        // This poll may have taken the word that its dispatch has ended, and cannot act on it; the next one can.
        let is_stale = blocked && !self.has_current_dispatch();
        let next = if is_stale {
            Some(Timestamp::EPOCH)
        } else {
            next
        };
        self.engine.line_news.publish(next);
    }

    /// All that is due was seen.
    fn caught_up(&mut self) {
        let poller = self.poller();
        poller.gaps.caught_up();
        if poller.suspicion.take().is_some() {
            self.engine.settle_suspicion();
        }
    }

    /// Whether this poll releases to the dispatch that is there now.
    fn has_current_dispatch(&self) -> bool {
        let current = self.engine.dispatch.read();
        current.as_ref().map(Arc::as_ptr) == self.dispatch.as_ref().map(Arc::as_ptr)
    }

    /// Completed requests past their span are forgotten, a bounded number a poll.
    fn forget(&mut self) {
        for cell in &self.engine.shards {
            if cell.memory_may_forget(self.now) {
                cell.lock().forget(self.now, &mut self.trash);
                self.trash.clear();
            }
        }
    }

    /// Brings the wheels up to the present where they have stayed behind, a bounded number of steps a poll.
    fn keep_up(&mut self) {
        for cell in &self.engine.shards {
            for _ in 0..UPKEEP_STEPS {
                if !cell.wheel_needs_upkeep(self.now) {
                    break;
                }
                cell.lock().keep_up(self.now);
            }
        }
    }

    /// Opens the lines of locations whose next token has come. A clock that stepped back, another pace and
    /// another dispatch change when that is.
    fn open_lines(&mut self, stepped_back: bool) {
        let empty = std::mem::take(&mut self.poller().paced);
        let mut locations = self.engine.line_news.exchange_paced(empty);
        let known = self.poller().dispatch.as_ref().map(Arc::as_ptr);
        let is_another = known != self.dispatch.as_ref().map(Arc::as_ptr);
        if is_another {
            let dispatch = self.dispatch.clone();
            let poller = self.poller();
            poller.dispatch = dispatch;
            poller.lines.forget_dispatch();
        }
        if stepped_back {
            self.engine.controls.step_back(self.now);
        }
        if stepped_back || is_another {
            locations.extend(self.poller().lines.locations());
        }
        self.hear_of_room();
        for location in locations.drain() {
            self.place_line(location);
        }
        self.poller().paced = locations;
        let now = self.now;
        while let Some(location) = self.poller().lines.take_opening(now) {
            self.place_line(location);
        }
    }

    /// Takes note of what the workers have made room for.
    fn hear_of_room(&mut self) {
        for location in self.engine.line_news.take_roomy() {
            self.poller().lines.set_roomy(location);
            self.place_line(location);
        }
        if self.places == 0
            && let Some(dispatch) = &self.dispatch
        {
            self.places = dispatch.free();
        }
    }

    /// Whether a place came free for a line that waits for its turn. Where none did, a worker rings.
    fn has_place_for_a_turn(&mut self) -> bool {
        self.poller().lines.any_turns()
            && self
                .dispatch
                .as_ref()
                .is_some_and(|dispatch| dispatch.has_place())
    }

    /// Whether a release needs its turn: no place is free, or others wait for one.
    fn is_contended(&mut self) -> bool {
        self.dispatch.is_some() && (self.places == 0 || self.poller().lines.any_turns())
    }

    /// What a location has to wait for before anything of it is released.
    pub(super) fn gate(&mut self, location: LocationId, control: &LocationControl) -> Gate {
        if self.poller().lines.is_full(location) {
            return Gate::Room;
        }
        let opens = control.next_token(self.now);
        if opens > self.now {
            Gate::Token(opens)
        } else if self.turn != Some(location) && self.is_contended() {
            Gate::Turn
        } else {
            Gate::Open
        }
    }

    /// Places a location's line, where there is one, at its gate.
    pub(super) fn place_line(&mut self, location: LocationId) {
        if self.poller().lines.has(location) {
            let control = self.engine.controls.of(location);
            let (gate, now) = (self.gate(location, &control), self.now);
            self.poller().lines.place(location, gate, now);
        }
    }

    /// The first of all requests whose turn it is: the heads of the ready heaps, of the open lines, and of the
    /// line whose turn it is at a free place.
    fn first_head(&self) -> Option<(Source, ReadyKey)> {
        let poller = self.poller.as_ref()?;
        // Once a release, so by hand: a chain of iterators takes more instructions (callgrind).
        let mut first = None::<(usize, &ReadyKey)>;
        for (place, head) in poller.heads.iter().enumerate() {
            if let Some(key) = head
                && first.is_none_or(|(_, first)| key < first)
            {
                first = Some((place, key));
            }
        }
        let ready = first.map(|(place, key)| (Source::Shard(place), *key));
        let open = poller.lines.first();
        let open = open.map(|(location, key)| (Source::Line(location), key));
        let turn = poller.lines.first_turn().filter(|_| self.places > 0);
        let turn = turn.map(|(location, key)| (Source::Turn(location), key));
        let lined = open.into_iter().chain(turn);
        let first = ready.into_iter().chain(lined).min_by_key(|&(_, key)| key);
        // The clock may have stepped back since it became ready.
        first.filter(|(_, key)| key.tick <= self.now)
    }

    /// Fires a step of every wheel that holds something due by `horizon`, and says whether any did.
    fn fire_up_to(&mut self, horizon: Timestamp) -> bool {
        let mut any = false;
        let engine = self.engine;
        for (place, cell) in engine.shards.iter().enumerate() {
            if self.fires_left == 0 {
                break;
            }
            if !cell.wheel_may_fire(horizon) {
                continue;
            }
            let step = FIRE_STEP.min(self.fires_left);
            let (now, poller) = (self.now, self.poller.as_mut().expect("a poll runs"));
            let mut shard = cell.lock();
            let (gaps, suspicion) = (&poller.gaps, poller.suspicion);
            let advance = shard.fire(now, step, gaps, suspicion, &mut self.trash);
            poller.heads[place] = shard.head();
            drop(shard);
            self.trash.clear();
            // The wheel bounds its own work, and may have more although it fired less than it might.
            let done = advance.fired.max(usize::from(advance.more));
            self.fires_left -= done;
            any |= done > 0;
        }
        any
    }

    /// Drops the head of a ready heap or line where it was cancelled or rescheduled since, and has it looked
    /// at anew where it was overtaken.
    fn drop_idle_head(&mut self, source: Source) -> bool {
        let now = self.now;
        let dropped = match source {
            Source::Shard(place) => {
                let mut shard = self.engine.shards[place].lock();
                let dropped = shard.drop_idle_head(now);
                self.poller().heads[place] = shard.head();
                dropped
            }
            Source::Line(location) | Source::Turn(location) => {
                let engine = self.engine;
                let lines = &mut self.poller().lines;
                let Some((key, place)) = lines.take_head(location) else {
                    return false;
                };
                let mut shard = engine.shards[place].lock();
                let stands = shard.stands_in_line(location, &key);
                let overtaken = stands && shard.pending(key.index).is_overtaken(now);
                if overtaken {
                    shard.wait(key.index);
                }
                drop(shard);
                if stands && !overtaken {
                    lines.add(location, (key, place), |_| true);
                }
                self.place_line(location);
                !stands || overtaken
            }
        };
        self.fires_left -= usize::from(dropped);
        dropped
    }

    /// Takes the head of a ready heap or line and examines it.
    fn examine(&mut self, source: Source) {
        let engine = self.engine;
        match source {
            Source::Shard(place) => {
                let mut shard = engine.shards[place].lock();
                let taken = shard.take_head();
                self.poller().heads[place] = shard.head();
                self.examine_entry(place, taken, shard);
            }
            Source::Line(location) | Source::Turn(location) => {
                if matches!(source, Source::Turn(_)) {
                    self.turn = Some(location);
                }
                if let Some((key, place)) = self.poller().lines.take_head(location) {
                    let mut shard = engine.shards[place].lock();
                    let taken = shard.take_from_line(location, &key);
                    self.examine_entry(place, taken, shard);
                }
                self.turn = None;
                self.place_line(location);
            }
        }
    }
}
