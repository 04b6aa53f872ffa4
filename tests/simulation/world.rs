//! A world: an engine, everybody who uses it, and its clock, all out of one seed.
//!
//! There is one timeline, of true time. Everybody has a next moment on it; the earliest is lived, and its
//! owner draws the next. The engine's clock follows true time, but for an offset that the clock's faults
//! change, and while it stands still.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::AddAssign;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use duewheel::{Engine, Lease, Outcome, Router, Timestamp};

use crate::calls::{Call, place};
use crate::clients::{self, Client};
use crate::desk::{Desk, Mood, lock};
use crate::dice::Dice;
use crate::follower::Follower;
use crate::ledger::Ledger;
use crate::model::{Model, Settings};
use crate::requests::Facts;
use crate::trace::Trace;

/// 2026-01-05T09:00:00+02:00.
const NINE_MS: u64 = 1_767_596_400_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Whoever has a moment on the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Actor {
    Poller,
    Client(usize),
    Operator(u32),
    /// A lease that is completed.
    Completer(usize),
    Moods,
    Clock,
    Watcher,
}

/// How the engine is driven.
#[derive(Clone, Copy, Debug)]
struct Driving {
    /// Between polls where nothing wakes up earlier.
    interval_ms: u64,
    /// Whether it polls when the engine wants to be polled.
    is_prompt: bool,
    /// The usual budget; 0 for any.
    budget: usize,
    /// In percent: how often it stays away for long.
    outages: u64,
}

/// What a world came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) events: u64,
    pub(crate) commands: u64,
    pub(crate) inside: u64,
    /// Requests that ended routed, cancelled, and so on.
    pub(crate) ended: [u64; Outcome::ALL.len()],
    pub(crate) trace_hash: u64,
}

impl AddAssign for Summary {
    /// Sums; there is no trace to many worlds.
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.commands += other.commands;
        self.inside += other.inside;
        for (sum, ended) in self.ended.iter_mut().zip(other.ended) {
            *sum += ended;
        }
        self.trace_hash = 0;
    }
}

pub(crate) struct World {
    dice: Dice,
    facts: Arc<Mutex<Facts>>,
    engine: Arc<Engine>,
    desk: Arc<Desk>,
    model: Model,
    ledger: Ledger,
    clients: Vec<Client>,
    driving: Driving,
    /// Moments to come: true time in milliseconds, a number that tells equal ones apart, whose they are.
    timeline: BinaryHeap<Reverse<(u64, u64, Actor)>>,
    moments: u64,
    promised: Vec<Lease>,
    true_ms: u64,
    now: Timestamp,
    /// Of the engine's clock from true time.
    offset_ms: i64,
    stands_still: bool,
    grain_ms: u64,
    trace: Trace,
    events: u64,
}

impl World {
    pub(crate) fn new(seed: u64, trace: Trace) -> Self {
        Self::of(Dice::new(seed, 1), Dice::new(seed, 2), seed, trace)
    }

    /// A world in which the throws are written down: for everybody in one script, for the router in another.
    pub(crate) fn scripted(everybody: &[u8], router: &[u8], trace: Trace) -> Self {
        let (dice, routers) = (Dice::scripted(everybody, 1), Dice::scripted(router, 2));
        Self::of(dice, routers, 0, trace)
    }

    fn of(mut dice: Dice, routers: Dice, hash_key: u64, trace: Trace) -> Self {
        let ids = dice.pick(&[8, 40, 120]);
        let locations = u32::try_from(dice.between(1, 4)).unwrap();
        let shards = dice.pick(&[1, 1, 2, 8]);
        let remembered_max = dice.pick(&[1_000_000, 1_000_000, 16, 3, 0]);
        let settings = Settings {
            pending_max: dice.pick(&[5, 12, 1_000]),
            payload_bytes_max: dice.pick(&[0, 16]),
            grace: Duration::from_secs(dice.pick(&[60, 60, 0, 5, 1_800])),
            remember: Duration::from_secs(dice.pick(&[24 * 3_600, 60, 600, 0])),
            remembered_share: usize::div_ceil(remembered_max, shards),
            route_batch: dice.pick(&[1, 1, 2, 4, 16]),
            is_durable: false,
        };
        let grain_ms = dice.pick(&[1, 1, 1_000]);
        let facts = Arc::new(Mutex::new(Facts {
            grain_ms,
            ids,
            locations,
            payload_bytes_max: settings.payload_bytes_max,
            submitted: Default::default(),
            leases: Vec::new(),
        }));
        let desk = Desk::new(routers, Arc::clone(&facts));
        let engine = Engine::builder()
            .shards(shards)
            .max_pending(settings.pending_max)
            .payload_bytes_max(settings.payload_bytes_max)
            .grace(settings.grace)
            .remember(settings.remember, remembered_max)
            .lease(Duration::from_secs(1))
            .route_batch(settings.route_batch)
            .hash_key(hash_key.into())
            .build(Arc::clone(&desk) as Arc<dyn Router>)
            .unwrap();
        let engine = Arc::new(engine);
        desk.serve(&engine);
        for location in 0..locations {
            engine.directory().enter(&format!("L{location}")).unwrap();
        }
        let driving = Driving {
            interval_ms: dice.pick(&[1_000, 5_000, 20_000]),
            is_prompt: dice.chance(50),
            budget: dice.pick(&[0, 0, 1, 3, usize::MAX]),
            outages: dice.pick(&[0, 1, 5]),
        };
        let clients = dice.between(1, 5);
        let ids_each = (ids / clients).max(1);
        let clients = (0..clients)
            .map(|client| {
                let first = (client * ids_each).min(ids - 1);
                Client::new(first..first + ids_each, &mut dice)
            })
            .collect();
        let now = Timestamp::from_millis(NINE_MS);
        trace.line(now, &format!("{shards} shards, {settings:?}, {driving:?}"));
        let mut world = Self {
            dice,
            facts,
            engine,
            desk,
            model: Model::new(locations as usize, settings),
            ledger: Ledger::default(),
            clients,
            driving,
            timeline: BinaryHeap::new(),
            moments: 0,
            promised: Vec::new(),
            true_ms: 0,
            now,
            offset_ms: 0,
            stands_still: false,
            grain_ms,
            trace,
            events: 0,
        };
        world.populate(locations);
        world
    }

    fn populate(&mut self, locations: u32) {
        let clients = (0..self.clients.len()).map(Actor::Client);
        let operators = (0..locations).map(Actor::Operator);
        let others = [Actor::Poller, Actor::Moods, Actor::Clock, Actor::Watcher];
        for actor in clients.chain(operators).chain(others) {
            self.come_again(actor);
        }
    }

    fn come_in(&mut self, actor: Actor, delay_ms: u64) {
        self.moments += 1;
        let at_ms = (self.true_ms + delay_ms).next_multiple_of(self.grain_ms);
        let moment = (at_ms, self.moments, actor);
        self.timeline.push(Reverse(moment));
    }

    fn come_again(&mut self, actor: Actor) {
        let mean_ms = match actor {
            Actor::Poller => return self.come_in(actor, 0),
            Actor::Client(client) => self.clients[client].mean_ms,
            Actor::Operator(_) => 60_000,
            Actor::Completer(_) => return,
            Actor::Moods => 45_000,
            Actor::Clock => 120_000,
            Actor::Watcher => 30_000,
        };
        let delay_ms = self.dice.delay_ms(mean_ms);
        self.come_in(actor, delay_ms);
    }

    /// Lives the world to its end.
    pub(crate) fn live(mut self) -> Summary {
        let moments = self.dice.pick(&[60, 200, 400]);
        for _ in 0..moments {
            if self.dice.is_spent() {
                break;
            }
            let Some(Reverse((at_ms, _, actor))) = self.timeline.pop() else {
                break;
            };
            self.true_ms = at_ms;
            self.follow_true_time();
            self.act(actor);
            self.check();
        }
        self.drain();
        let report = self.engine.report(self.now);
        Summary {
            ended: Outcome::ALL.map(|outcome| report.outcomes[&outcome]),
            events: self.events,
            commands: self.ledger.commands,
            inside: self.ledger.inside,
            trace_hash: self.trace.hash(),
        }
    }

    fn act(&mut self, actor: Actor) {
        self.events += 1;
        let facts = Arc::clone(&self.facts);
        match actor {
            Actor::Poller => return self.poll_in_turn(),
            Actor::Client(client) => {
                let (dice, facts) = (&mut self.dice, &mut *lock(&facts));
                let client = &mut self.clients[client];
                let call = client.call(dice, facts, &self.engine, self.now);
                let who = format!("{:?}", client.way);
                self.call(&who, call);
            }
            Actor::Operator(location) => {
                let call = clients::operate(&mut self.dice, &lock(&facts), location);
                self.call("operator", call);
            }
            Actor::Completer(promise) => {
                let lease = match self.dice.chance(90) {
                    true => self.promised[promise],
                    false => lock(&facts).lease(&mut self.dice),
                };
                let completion = clients::completion(&mut self.dice);
                self.call("completer", Call::Complete(lease, completion));
            }
            Actor::Moods => {
                let locations = lock(&facts).locations;
                let location = self.dice.below(locations.into()) as u32;
                let mood = Mood::draw(&mut self.dice);
                self.trace
                    .line(self.now, &format!("L{location} is in {mood:?}"));
                self.desk.set_mood(location, mood);
            }
            Actor::Clock => self.disturb_clock(),
            Actor::Watcher => self.watch(),
        }
        self.come_again(actor);
    }

    fn call(&mut self, who: &str, call: Call) {
        let made = call.make(&self.engine, self.now);
        let line = format!("{who}: {} -> {:?}", made.call, made.answer);
        self.trace.line(self.now, &line);
        self.ledger.made(&made, self.now);
        made.follow(&mut self.model, self.now);
    }

    fn watch(&mut self) {
        self.model.compare_report(&self.engine, self.now);
        self.ledger.check(&self.engine.report(self.now));
        // Late in the day nothing more is taken in.
        if self.events > 200 && self.dice.chance(20) {
            self.trace.line(self.now, "the engine is closed");
            self.engine.close();
            self.model.closed = true;
        }
    }

    // ---- polls ----

    fn poll_in_turn(&mut self) {
        let budget = match self.driving.budget {
            0 => self.dice.pick(&[0, 1, 2, 8, usize::MAX]),
            budget => budget,
        };
        let more = self.poll(budget);
        let delay_ms = if self.dice.chance(self.driving.outages) {
            self.dice.delay_ms(HOUR_MS)
        } else if more {
            // At once, or after others had their say.
            self.dice.pick(&[0, 1, 100])
        } else {
            let interval_ms = self.dice.between(1, self.driving.interval_ms);
            let wakeup = self.engine.next_wakeup().filter(|_| self.driving.is_prompt);
            let until_ms = wakeup.map(|at| at.saturating_duration_since(self.now).as_millis());
            until_ms.map_or(interval_ms, |ms| {
                u64::try_from(ms).unwrap().min(interval_ms)
            })
        };
        self.come_in(Actor::Poller, delay_ms);
    }

    fn poll(&mut self, budget: usize) -> bool {
        self.model.tell(self.now);
        self.ledger.poll_begins(self.now);
        let poll = self.engine.poll(self.now, budget).unwrap();
        let log = self.desk.take_log();
        let line = format!(
            "poll {budget}: examined {}, released {}, more {}",
            poll.examined, poll.released, poll.more
        );
        self.trace.line(self.now, &line);
        log.iter().for_each(|heard| self.trace.heard(heard));
        log.iter()
            .for_each(|heard| self.ledger.heard(heard, self.now));
        let mut follower = Follower::new(&self.engine, &log);
        let foretold = self.model.poll(self.now, budget, &mut follower);
        let left = follower.log.len();
        assert_eq!(left, 0, "calls of the router that were not foretold");
        let polled = (poll.examined, poll.released, poll.more);
        let expected = (foretold.examined, foretold.released, foretold.more);
        assert_eq!(polled, expected, "examined, released, more");
        assert!(!poll.blocked);
        assert_eq!(poll.next_wakeup, self.engine.next_wakeup());
        for (lease, done_ms) in self.desk.take_promises() {
            self.promised.push(lease);
            self.come_in(Actor::Completer(self.promised.len() - 1), done_ms);
        }
        poll.more
    }

    fn poll_dry(&mut self) {
        while self.poll(usize::MAX) {
            self.check();
        }
        self.check();
    }

    // ---- the clock ----

    fn follow_true_time(&mut self) {
        if !self.stands_still {
            let shown_ms = (NINE_MS + self.true_ms).saturating_add_signed(self.offset_ms);
            self.turn_clock_to(Timestamp::from_millis(shown_ms));
        }
    }

    fn turn_clock_to(&mut self, next: Timestamp) {
        // After a poll that ran out of budget nobody can tell what it has looked at. Where that would show from
        // now on, what was due is looked at for certain first.
        if self.model.would_show(self.now, next) {
            self.poll_dry();
        }
        self.now = next;
    }

    fn disturb_clock(&mut self) {
        let dice = &mut self.dice;
        if self.stands_still {
            // It goes on, from where it stood or from where it should be.
            self.stands_still = false;
            if dice.chance(50) {
                let shown_ms = self.now.as_millis() as i64;
                self.offset_ms = shown_ms - (NINE_MS + self.true_ms) as i64;
            }
        } else {
            match dice.weighted(&[4, 3, 2, 1, 4, 2, 3]) {
                0 => self.offset_ms += dice.delay_ms(60_000) as i64,
                1 => self.offset_ms += HOUR_MS as i64,
                2 => self.offset_ms += DAY_MS as i64,
                3 => self.offset_ms += 400 * DAY_MS as i64,
                4 => self.offset_ms -= dice.delay_ms(20_000) as i64,
                5 => self.offset_ms -= dice.delay_ms(DAY_MS) as i64,
                _ => self.stands_still = true,
            }
        }
        let line = format!(
            "clock: {} ms off, still {}",
            self.offset_ms, self.stands_still
        );
        self.trace.line(self.now, &line);
        self.follow_true_time();
    }

    // ---- the end ----

    /// The clock runs on, nothing stands in the way any more, and everything comes to its end.
    fn drain(&mut self) {
        self.trace.line(self.now, "the end begins");
        self.desk.make_friendly();
        let locations = lock(&self.facts).locations;
        for location in 0..locations {
            self.call("operator", Call::Resume(location, None));
        }
        self.poll_dry();
        for _ in 0..10_000 {
            let Some(next) = self.engine.next_wakeup() else {
                break;
            };
            self.turn_clock_to(next.max(self.now));
            self.poll_dry();
        }
        assert_eq!(self.engine.pending(), 0, "all of it has ended");
        assert_eq!(self.engine.next_wakeup(), None);
        self.engine.check_invariants();
        self.watch();
        for location in 0..locations {
            let page = self.engine.list_location(place(location), None, 1).unwrap();
            assert!(page.requests.is_empty());
        }
    }

    /// After each event: everything that can be seen is as the model says.
    fn check(&mut self) {
        if cfg!(debug_assertions) || self.events.is_multiple_of(16) {
            self.engine.check_invariants();
        }
        let ids = lock(&self.facts).ids;
        self.model.compare(&self.engine, self.now, 0..ids);
    }
}
