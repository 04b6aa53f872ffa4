//! The poll: the only place where anything is released.
//!
//! A poll moves what is due from the wheels into their shards' ready heaps, in bounded steps, and releases
//! the smallest of the heaps' heads (and of those of the paced locations' open lines), over and over, until nothing due is left or the budget is used up.
//! A head is released only when no wheel holds anything due at its tick or before it; so the order is by
//! tick, then priority, then intake, over all shards and whatever the budget.
//!
//! What becomes of a request whose turn it is stands in `turn.rs`; who waits for a pace, in `lines.rs`.

use hashbrown::HashMap;

use super::Engine;
use super::cell::ShardCell;
use super::dispatch::Dispatch;
use super::entry::Phase;
use super::error::Busy;
use super::gaps::Gaps;
use super::lines::Lines;
use super::replies::Poll;
use super::shard::{ReadyKey, Trash};
use crate::ids::{LocationId, Media, Timestamp};
use crate::router::RoutingCommand;
use crate::schedule::Consultation;
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::telemetry::{Span, tell};

/// Timers fired while a shard is locked: few enough that who waits for the lock does not wait for long.
const FIRE_STEP: usize = 128;

/// Timers that a poll may fire beyond its budget, so that polls with a budget of one get along.
const FIRE_MIN: usize = 4096;

/// What one poll leaves for the next.
pub(super) struct Poller {
    /// Each shard's head of the ready heap. Only a poll touches the heaps, so that these stay true.
    heads: Box<[Option<ReadyKey>]>,
    /// Requests that wait for their location's pace.
    pub(super) lines: Lines,
    gaps: Gaps,
    /// What the router said in this poll.
    pub(super) consultations: HashMap<(LocationId, Media), Consultation>,
    pub(super) batch: Vec<(Attempt, RoutingCommand)>,
}

impl Poller {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            heads: vec![None; shards].into(),
            lines: Lines::default(),
            gaps: Gaps::default(),
            consultations: HashMap::new(),
            batch: Vec::new(),
        }
    }

    pub(super) fn check_invariants(&self, shards: &[ShardCell]) {
        let keys = self.lines.check_invariants();
        let count = |phase| {
            shards
                .iter()
                .map(|cell| cell.lock().count(phase))
                .sum::<usize>()
        };
        assert!(
            keys >= count(Phase::InLine),
            "every request in line has its key"
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
    /// O(shards + what is due, up to the budget); with nothing due no shard that has something pending is locked.
    ///
    /// # Errors
    /// [`Busy`] while another poll runs, be it further up this thread's stack.
    pub fn poll(&self, now: Timestamp, budget: usize) -> Result<Poll, Busy> {
        self.poll_until(now, budget, &AtomicBool::new(false))
    }

    /// [`poll`](Self::poll), which examines nothing more once `stop` is set.
    pub(super) fn poll_until(
        &self,
        now: Timestamp,
        budget: usize,
        stop: &AtomicBool,
    ) -> Result<Poll, Busy> {
        let taken = self.poller.lock().take().ok_or(Busy)?;
        let span = Span::poll(now, budget);
        let mut polling = Polling {
            engine: self,
            dispatch: self.dispatch.read().clone(),
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
        };
        polling.run();
        let mut poll = polling.poll;
        drop(polling);
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
    /// There until the end.
    poller: Option<Box<Poller>>,
    pub(super) now: Timestamp,
    budget: usize,
    stop: &'a AtomicBool,
    pub(super) fires_left: usize,
    pub(super) poll: Poll,
    pub(super) trash: Trash,
}

/// Gives the poller back, also when something panics.
impl Drop for Polling<'_> {
    fn drop(&mut self) {
        *self.engine.poller.lock() = self.poller.take();
    }
}

/// Where the next request comes from: a shard's ready heap, or a paced location's line.
#[derive(Clone, Copy)]
enum Source {
    Shard(usize),
    Line(LocationId),
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
        self.forget();
        self.open_lines(stepped_back);
        loop {
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
                self.poller().gaps.caught_up();
                break;
            };
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
            if self
                .dispatch
                .as_ref()
                .is_some_and(|dispatch| dispatch.is_full())
            {
                // Nothing is released, but leases run out and lifespans end all the same.
                if self.fire_up_to(self.now) {
                    continue;
                }
                self.poll.blocked = true;
                break;
            }
            self.examine(source);
        }
        self.route_batch();
        let next = self.poller().lines.next_event();
        self.engine.line_news.publish(next);
    }

    /// Completed requests past their span are forgotten, a bounded number a poll.
    fn forget(&mut self) {
        for cell in &self.engine.shards {
            if cell.memory_may_forget(self.now) {
                cell.lock().forget(self.now);
            }
        }
    }

    /// Opens the lines of locations whose next token has come. A clock that stepped back, and another pace,
    /// change when that is.
    fn open_lines(&mut self, stepped_back: bool) {
        let mut locations = self.engine.line_news.take_changed();
        if stepped_back {
            self.engine.controls.step_back(self.now);
            locations.extend(self.poller().lines.locations());
        }
        for location in locations {
            self.place_line(location);
        }
        let now = self.now;
        self.poller().lines.open_up(now);
    }

    /// Has a location's line, where there is one, open when the location has its next token.
    pub(super) fn place_line(&mut self, location: LocationId) {
        let (engine, now) = (self.engine, self.now);
        let lines = &mut self.poller().lines;
        if lines.has(location) {
            lines.place(location, engine.controls.of(location).next_token(now), now);
        }
    }

    /// The first of all requests whose turn it is: the heads of the ready heaps and of the open lines.
    fn first_head(&self) -> Option<(Source, ReadyKey)> {
        let poller = self.poller.as_ref()?;
        let heads = poller.heads.iter().enumerate();
        let ready = heads.filter_map(|(place, head)| Some((Source::Shard(place), (*head)?)));
        let lined = poller.lines.first();
        ready
            .chain(lined.map(|(location, key)| (Source::Line(location), key)))
            .min_by_key(|&(_, key)| key)
            // The clock may have stepped back since it became ready.
            .filter(|(_, key)| key.tick <= self.now)
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
            let advance = shard.fire(now, step, &poller.gaps, &mut self.trash);
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
            Source::Line(location) => {
                let engine = self.engine;
                let lines = &mut self.poller().lines;
                let Some((key, place)) = lines.take_head(location) else {
                    return false;
                };
                let mut shard = engine.shards[place].lock();
                let stands = shard.stands_in_line(location, &key);
                let overtaken = stands && shard.entry(key.index).is_overtaken(now);
                if overtaken {
                    shard.wait(key.index);
                }
                drop(shard);
                if stands && !overtaken {
                    lines.add(location, (key, place));
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
            Source::Line(location) => {
                if let Some((key, place)) = self.poller().lines.take_head(location) {
                    let mut shard = engine.shards[place].lock();
                    let taken = shard.take_from_line(location, &key);
                    self.examine_entry(place, taken, shard);
                }
                self.place_line(location);
            }
        }
    }
}
