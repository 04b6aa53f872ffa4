//! An engine with a steady population, and those who use it.

// Shared by benches of which not each uses all.
#![allow(dead_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, DueRequest, Engine, EngineBuilder, InteractionRequest, RequestId,
    Router, RoutingCommand, ScheduleData, Timestamp,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::life::Batches;
use crate::places::{Places, Spread};
use crate::stopwatch::Span;

/// Milliseconds of a day, over which due times are uniform.
const DAY: u64 = 86_400_000;

/// 2026-01-05T07:00:00Z.
const BEGIN: u64 = 1_767_596_400_000;

/// Requests that one call of `poll` examines at most; the driver's default.
pub(crate) const BUDGET: usize = 1024;

/// An operation to measure. `prepare` and `run` are called by turns; only `run` is timed.
pub(crate) trait Workload: Sync {
    type Script: Send;

    /// Decides on the operations of one thread.
    fn prepare(&self, hand: &mut Hand, shared: &Shared, plan: Plan) -> Self::Script;

    /// Does them, and says how many it did: where time alone decides on that, a few more or fewer.
    fn run(&self, shared: &Shared, script: Self::Script) -> usize;
}

/// What is to be done.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// By each thread.
    pub(crate) operations: usize,
    pub(crate) threads: usize,
}

/// Takes what comes.
struct Desk;

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        Disposition::Routed
    }
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    places: Places,
    population: usize,
    /// Virtual microseconds since the beginning.
    elapsed_us: AtomicU64,
}

impl Shared {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN + self.elapsed_us.load(Ordering::Relaxed) / 1_000)
    }

    /// The time when so many more lives have gone by.
    fn after(&self, lives: usize) -> Timestamp {
        let elapsed_us = self.elapsed_us.load(Ordering::Relaxed) + self.span_us(lives);
        Timestamp::from_millis(BEGIN + elapsed_us / 1_000)
    }

    /// Has so much time pass as so many lives take.
    pub(crate) fn pass(&self, lives: usize) -> Timestamp {
        let span_us = self.span_us(lives);
        self.elapsed_us.fetch_add(span_us, Ordering::Relaxed);
        self.now()
    }

    /// How long so many lives take where the population is steady.
    ///
    /// Half of all lives are cancelled: at a rate `c` by request, so that the chance of a request to reach its
    /// due time is `(1 - exp(-c * day)) / (c * day) = 1/2`, and `c * day = 1.594`. Cancels are half of all
    /// lives, so a life takes `1 / (2 * c * population)`.
    fn span_us(&self, lives: usize) -> u64 {
        let day_us = DAY as f64 * 1_000.0;
        (lives as f64 * day_us / (2.0 * 1.594 * self.population as f64)) as u64
    }

    /// Releases all that is due.
    fn catch_up(&self) {
        while self
            .engine
            .poll(self.now(), BUDGET)
            .expect("nobody polls")
            .more
        {}
    }
}

/// A pending request, as its owner knows it.
#[derive(Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) id: RequestId,
    pub(crate) due: u64,
}

/// One caller, with requests of its own.
pub(crate) struct Hand {
    pub(crate) random: Pcg64Mcg,
    pub(crate) pending: Vec<Pending>,
    /// Ids count up from here; no two hands have one in common.
    next_id: u64,
}

impl Hand {
    fn new(number: u64) -> Self {
        Self {
            random: Pcg64Mcg::seed_from_u64(number),
            pending: Vec::new(),
            next_id: number << 48,
        }
    }

    /// A time in the 24 hours after so many more lives.
    pub(crate) fn draw_due(&mut self, shared: &Shared, lives: usize) -> u64 {
        shared.after(lives).as_millis() + self.random.random_range(1..=DAY)
    }

    /// A new request to be taken in after so many more lives, which counts as pending from here on.
    pub(crate) fn request(&mut self, shared: &Shared, lives: usize) -> InteractionRequest {
        let id = RequestId::from(self.next_id);
        self.next_id += 1;
        let due = self.draw_due(shared, lives);
        self.pending.push(Pending { id, due });
        let location = shared.places.draw(&mut self.random);
        let schedule = ScheduleData::at(Timestamp::from_millis(due));
        InteractionRequest::new(id, location).with_schedule(schedule)
    }

    /// A random pending request, which counts as ended from here on.
    pub(crate) fn victim(&mut self) -> Pending {
        let place = self.random.random_range(0..self.pending.len());
        self.pending.swap_remove(place)
    }

    /// The same for several, which are to be cancelled before they fall due, after so many more lives.
    pub(crate) fn victims(
        &mut self,
        shared: &Shared,
        count: usize,
        lives: usize,
    ) -> Vec<RequestId> {
        let (now, then) = (shared.now().as_millis(), shared.after(lives).as_millis());
        let mut victims = Vec::with_capacity(count);
        while victims.len() < count {
            let victim = self.victim();
            if victim.due > then {
                victims.push(victim.id);
            } else {
                // It is released meanwhile.
                debug_assert!(victim.due > now, "a request that is pending");
            }
        }
        victims
    }

    /// Takes in so many new requests, untimed.
    pub(crate) fn take_in(&mut self, shared: &Shared, requests: usize) {
        for _ in 0..requests {
            let request = self.request(shared, 0);
            let receipt = shared.engine.schedule(request, shared.now());
            assert!(!receipt.expect("room for a new request").duplicate);
        }
    }

    /// Cancels so many random requests, untimed.
    pub(crate) fn cancel(&mut self, shared: &Shared, requests: usize) {
        for _ in 0..requests {
            let victim = self.victim().id;
            let cancelled = shared.engine.cancel(victim, shared.now());
            assert!(!cancelled.expect("a pending request").already);
        }
    }

    /// Brings the requests back to so many as they were, now that nothing due is left.
    fn level(&mut self, shared: &Shared, share: usize) {
        let now = shared.now().as_millis();
        self.pending.retain(|request| request.due > now);
        self.take_in(shared, share.saturating_sub(self.pending.len()));
        self.cancel(shared, self.pending.len().saturating_sub(share));
    }
}

/// An engine, and two who use it.
pub(crate) struct Centre {
    shared: Shared,
    hands: [Hand; 2],
    turn: usize,
}

impl Centre {
    /// An engine in its steady state.
    pub(crate) fn in_use(population: usize, spread: Spread) -> Self {
        Self::with(Engine::builder().hash_key(1), population, spread)
    }

    /// An engine of these settings in its steady state.
    pub(crate) fn with(settings: EngineBuilder, population: usize, spread: Spread) -> Self {
        let engine = settings
            .max_pending(2 * population)
            .remember(Duration::from_secs(24 * 60 * 60), population)
            .build(Arc::new(Desk))
            .expect("settings within their ranges");
        let engine = Arc::new(engine);
        let mut centre = Self {
            shared: Shared {
                places: Places::new(&engine, spread),
                engine,
                population,
                elapsed_us: AtomicU64::new(0),
            },
            hands: [Hand::new(1), Hand::new(2)],
            turn: 0,
        };
        centre.level();
        let mut lives = 0;
        while lives < population + population / 10 {
            let _ = centre.iteration(&Batches::BARE, 1);
            lives += Self::operations(population);
        }
        let remembered = centre.shared.engine.report(centre.shared.now()).remembered;
        // Not all shards' shares are used up where requests spread unevenly.
        assert!(
            remembered as usize >= population * 9 / 10,
            "{remembered} remembered"
        );
        centre
    }

    /// Operations of one thread in an iteration: a multiple of every size of batch, and enough to go through
    /// several times what the caches hold.
    pub(crate) fn operations(population: usize) -> usize {
        (population / 10).min(100_000).next_multiple_of(256)
    }

    /// Prepares and does operations by so many threads, and says how long the agreed number of them took.
    pub(crate) fn iteration<W: Workload>(&mut self, workload: &W, threads: usize) -> Duration {
        let operations = Self::operations(self.shared.population);
        let plan = Plan {
            operations,
            threads,
        };
        let shared = &self.shared;
        // Alone, each has its turn, so that their requests stay alike.
        self.turn ^= 1;
        let hands = match threads {
            1 => &mut self.hands[self.turn..=self.turn],
            _ => &mut self.hands[..],
        };
        let scripts: Vec<W::Script> = hands
            .iter_mut()
            .map(|hand| workload.prepare(hand, shared, plan))
            .collect();
        let barrier = Barrier::new(threads);
        let work = |script| {
            barrier.wait();
            Span::of(|| workload.run(shared, script))
        };
        let spans: Vec<(Span, usize)> = thread::scope(|scope| {
            let mut scripts = scripts.into_iter();
            let own = scripts.next().expect("at least one thread");
            let others: Vec<_> = scripts.map(|script| scope.spawn(|| work(script))).collect();
            let own = work(own);
            let others = others
                .into_iter()
                .map(|other| other.join().expect("no panic"));
            others.chain([own]).collect()
        });
        let done: usize = spans.iter().map(|(_, done)| done).sum();
        let time = Span::together(spans.into_iter().map(|(span, _)| span));
        let agreed = threads * operations;
        assert!(
            done * 4 > agreed * 3 && done * 3 < agreed * 4,
            "{done} operations instead of {agreed}"
        );
        self.level();
        time.mul_f64(agreed as f64 / done as f64)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.shared.engine
    }

    /// Takes in so many requests more than there are to be, by batches, until the next iteration has ended.
    pub(crate) fn grow(&mut self, requests: usize) {
        let (shared, hand) = (&self.shared, &mut self.hands[0]);
        for first in (0..requests).step_by(256) {
            let batch = (first..requests.min(first + 256)).map(|_| hand.request(shared, 0));
            let receipts = shared.engine.schedule_batch(batch.collect(), shared.now());
            assert!(receipts.iter().all(Result::is_ok));
        }
    }

    /// Brings the population back to what it is to be.
    fn level(&mut self) {
        self.shared.catch_up();
        let share = self.shared.population / self.hands.len();
        for hand in &mut self.hands {
            hand.level(&self.shared, share);
        }
        let pending = self.shared.engine.pending();
        assert_eq!(pending, share * self.hands.len(), "a steady population");
    }
}
