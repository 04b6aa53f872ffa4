//! The poll: the only place where anything is released.
//!
//! A poll moves what is due from the wheels into their shards' ready heaps, in bounded steps, and releases
//! the smallest of the heaps' heads, over and over, until nothing due is left or the budget is used up.
//! A head is released only when no wheel holds anything due at its tick or before it; so the order is by
//! tick, then priority, then intake, over all shards and whatever the budget.
//!
//! Examining a request:
//!
//! 1. its lifespan, and its location's hold;
//! 2. for scheduled requests, what the router's consultation says: does the processing condition hold?
//!    does the expected wait exceed the threshold wait time?
//! 3. its location's pace;
//! 4. release: the attempt is counted and its lease minted, and the command goes to the router, or to the
//!    dispatch workers' queue.

use hashbrown::HashMap;

use super::Engine;
use super::delivery::caught;
use super::dispatch::Dispatch;
use super::entry::{Phase, Verdict, reason};
use super::error::Busy;
use super::gaps::Gaps;
use super::replies::Poll;
use super::shard::{ReadyKey, Shard, Trash};
use crate::ids::{LocationId, Media, Timestamp};
use crate::router::{DueRequest, RoutingCommand};
use crate::schedule::{Consultation, ProcessingCondition};
use crate::sync::{Arc, AtomicBool, Ordering};

/// Timers fired while a shard is locked: some 30 us.
const FIRE_STEP: usize = 128;

/// Timers that a poll may fire beyond its budget, so that polls with a budget of one get along.
const FIRE_MIN: usize = 4096;

/// What one poll leaves for the next.
pub(super) struct Poller {
    /// Each shard's head of the ready heap. Only a poll touches the heaps, so that these stay true.
    heads: Box<[Option<ReadyKey>]>,
    gaps: Gaps,
    /// What the router said in this poll.
    consultations: HashMap<(LocationId, Media), Consultation>,
    batch: Vec<(Attempt, RoutingCommand)>,
}

impl Poller {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            heads: vec![None; shards].into(),
            gaps: Gaps::default(),
            consultations: HashMap::new(),
            batch: Vec::new(),
        }
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
        let taken = self.poller.lock().take();
        let mut polling = Polling {
            engine: self,
            dispatch: self.dispatch.read().clone(),
            poller: Some(taken.ok_or(Busy)?),
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
        Ok(poll)
    }
}

/// A poll that runs.
struct Polling<'a> {
    engine: &'a Engine,
    dispatch: Option<Arc<Dispatch>>,
    /// There until the end.
    poller: Option<Box<Poller>>,
    now: Timestamp,
    budget: usize,
    stop: &'a AtomicBool,
    fires_left: usize,
    poll: Poll,
    trash: Trash,
}

/// Gives the poller back, also when something panics.
impl Drop for Polling<'_> {
    fn drop(&mut self) {
        *self.engine.poller.lock() = self.poller.take();
    }
}

/// What becomes of a request that is examined.
enum Decision {
    /// It waits, is parked or has ended.
    Settled,
    /// The router must be asked first.
    Consult(DueRequest),
    /// It is released; whether ahead of non-scheduled interactions.
    Release { ahead: bool },
}

impl Polling<'_> {
    fn poller(&mut self) -> &mut Poller {
        self.poller
            .as_mut()
            .expect("the poller is there until the poll ends")
    }

    fn run(&mut self) {
        let (now, grace) = (self.now, self.engine.settings.grace);
        let poller = self.poller();
        poller.consultations.clear();
        poller.gaps.polled(now, grace);
        self.forget();
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
            let Some((place, _)) = head else {
                self.poller().gaps.caught_up();
                break;
            };
            if self.stop.load(Ordering::Acquire) {
                self.poll.more = true;
                break;
            }
            if self.poll.examined >= self.budget {
                if self.drop_idle_head(place) {
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
            self.examine(place);
        }
        self.route_batch();
    }

    /// Completed requests past their span are forgotten, a bounded number a poll.
    fn forget(&mut self) {
        for cell in &self.engine.shards {
            if cell.memory_may_forget(self.now) {
                cell.lock().forget(self.now);
            }
        }
    }

    /// The first of all ready requests that is due.
    fn first_head(&self) -> Option<(usize, ReadyKey)> {
        let poller = self.poller.as_ref()?;
        let heads = poller.heads.iter().enumerate();
        heads
            .filter_map(|(place, head)| Some((place, (*head)?)))
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
            let fired = shard.fire(now, step, &poller.gaps, &mut self.trash);
            poller.heads[place] = shard.head();
            drop(shard);
            self.trash.clear();
            self.fires_left -= fired;
            any |= fired > 0;
        }
        any
    }

    /// Drops the head of a shard's ready heap where it was cancelled or rescheduled since, and
    /// has it looked at anew where it was overtaken.
    fn drop_idle_head(&mut self, place: usize) -> bool {
        let now = self.now;
        let mut shard = self.engine.shards[place].lock();
        let dropped = shard.drop_idle_head(now);
        self.poller().heads[place] = shard.head();
        self.fires_left -= usize::from(dropped);
        dropped
    }

    /// Examines the head of a shard's ready heap.
    fn examine(&mut self, place: usize) {
        let engine = self.engine;
        let mut shard = engine.shards[place].lock();
        let taken = shard.take_head();
        self.poller().heads[place] = shard.head();
        let Some(index) = taken else {
            // Stale: it was cancelled or rescheduled.
            self.fires_left -= 1;
            return;
        };
        if shard.entry(index).is_overtaken(self.now) {
            shard.wait(index);
            self.fires_left -= 1;
            return;
        }
        self.poll.examined += 1;
        let mut decision = self.decide(&mut shard, index);
        // Once, as a rule; again where the request was moved to another location meanwhile.
        while let Decision::Consult(due) = decision {
            let intake = shard.entry(index).intake;
            drop(shard);
            // The answer must know of what was released before.
            self.route_batch();
            let answer = caught(|| engine.router.consult(&due));
            if answer.is_none() {
                engine.router_panics.fetch_add(1, Ordering::Relaxed);
            }
            shard = engine.shards[place].lock();
            let still_here = shard
                .entries
                .get(index)
                .is_some_and(|e| e.intake == intake && e.phase() == Phase::Examining);
            if !still_here {
                return;
            }
            decision = match answer {
                Some(consultation) => {
                    let key = (due.location, due.response_media);
                    self.poller().consultations.insert(key, consultation);
                    self.decide(&mut shard, index)
                }
                None => {
                    shard.entry_mut(index).attempts += 1;
                    shard.fail_attempt(index, reason::PANIC, None, self.now, &mut self.trash);
                    Decision::Settled
                }
            };
        }
        let ahead = match decision {
            Decision::Release { ahead } => ahead,
            Decision::Consult(_) => {
                // Its location was moved while the router was asked, and the answer is the former
                // one's: it takes its turn again, which the budget bounds.
                shard.wait(index);
                return;
            }
            Decision::Settled => {
                drop(shard);
                self.trash.clear();
                return;
            }
        };
        self.poll.released += 1;
        let entry = shard.entry(index);
        let attempt = Attempt {
            place,
            index,
            intake: entry.intake,
            number: entry.attempts,
        };
        let location = entry.location;
        let late = self
            .now
            .saturating_duration_since(entry.eligible.max(entry.accepted));
        let command = match &self.dispatch {
            Some(_) => {
                shard.set_phase(index, Phase::Released);
                None
            }
            None => {
                shard.start_routing(index);
                Some(engine.command(shard.entry(index), ahead, self.now))
            }
        };
        drop(shard);
        engine.lateness.lock().record(location, late);
        match (command, &self.dispatch) {
            (Some(command), _) => {
                self.poller().batch.push((attempt, command));
                if self.poller().batch.len() >= engine.settings.route_batch {
                    self.route_batch();
                }
            }
            (None, Some(dispatch)) => {
                if let Err(attempt) = dispatch.push(location, attempt, ahead) {
                    engine.take_back(vec![attempt]);
                }
            }
            (None, None) => unreachable!("a command is made where nothing dispatches"),
        }
    }

    /// What becomes of a request whose turn it is. On `Release` its attempt is counted already.
    fn decide(&mut self, shard: &mut Shard, index: u32) -> Decision {
        let now = self.now;
        let entry = shard.entry(index);
        if entry.has_expired(now) {
            shard.expire(index, now, &mut self.trash);
            return Decision::Settled;
        }
        let page = shard
            .book
            .page(entry.location)
            .expect("a pending request's page is open");
        let control = Arc::clone(&page.control);
        if control.is_held() {
            shard.park(index);
            return Decision::Settled;
        }
        let mut ahead = false;
        let mut rests_on = None;
        if entry.schedule.is_some() {
            let key = (entry.location, entry.response_media(now));
            let Some(&consultation) = self.poller().consultations.get(&key) else {
                return Decision::Consult(DueRequest {
                    id: entry.id,
                    location: entry.location,
                    request_media: entry.media,
                    response_media: key.1,
                    priority: entry.priority,
                    due: entry.due,
                    now,
                    attempt: entry.attempts.saturating_add(1),
                });
            };
            let conditional = !entry.cleared && *entry.condition() != ProcessingCondition::Always;
            let threshold = entry.threshold_wait();
            rests_on = (conditional || threshold.is_some()).then_some(key);
            if conditional && !entry.condition().holds(&consultation) {
                match shard.entry_mut(index).condition_failed(now) {
                    // Exhausted: it is released anyway.
                    Verdict::Due => {}
                    Verdict::Later => {
                        shard.wait(index);
                        return Decision::Settled;
                    }
                    Verdict::Ended(outcome, why) => {
                        shard.end(index, outcome, Some(why.into()), now, &mut self.trash);
                        return Decision::Settled;
                    }
                }
            }
            ahead = threshold.is_some_and(|threshold| {
                consultation
                    .expected_wait
                    .is_none_or(|wait| wait > threshold)
            });
        }
        if let Some(place) = control.turn(now, shard.entry(index).paced) {
            shard.entry_mut(index).paced = true;
            shard.wait_until(index, place);
            return Decision::Settled;
        }
        if let Some(key) = rests_on {
            self.use_up(key);
        }
        let entry = shard.entry_mut(index);
        entry.paced = false;
        entry.cleared = true;
        entry.examined = true;
        entry.attempts = entry.attempts.saturating_add(1);
        Decision::Release { ahead }
    }

    /// A release rests on this answer, by its condition or its threshold wait time: it is good for one fewer.
    fn use_up(&mut self, key: (LocationId, Media)) {
        let consultations = &mut self.poller().consultations;
        let Some(consultation) = consultations.get_mut(&key) else {
            return;
        };
        let Some(good_for) = &mut consultation.good_for else {
            return;
        };
        *good_for = good_for.saturating_sub(1);
        if *good_for == 0 {
            consultations.remove(&key);
        }
    }

    /// Hands over what was released, with no lock held.
    fn route_batch(&mut self) {
        let engine = self.engine;
        let mut batch = std::mem::take(&mut self.poller().batch);
        if batch.len() == 1 {
            for (attempt, command) in batch.drain(..) {
                engine.route(attempt, command, || self.now);
            }
        } else if !batch.is_empty() {
            let (attempts, commands): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            engine.route_many(&attempts, commands, self.now);
        }
        self.poller().batch = batch;
    }
}
