//! Timers that come and go, in a steady state.

use std::hint::black_box;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use criterion::Criterion;
use duewheel::{Handle, Wheel};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::{DAY, measure, populations, seeded};

/// At least so many steps to an iteration.
const STEPS: usize = 10_000;

/// Each step schedules a timer, log-uniform over 1 s to 24 h, and cancels a random live one on a
/// coin flip; every tenth step is followed by an advance.
pub(crate) fn steady(criterion: &mut Criterion) {
    measure(
        criterion,
        "churn/log-uniform",
        populations(),
        |_| STEPS,
        |population| {
            let mut churn = Steady::new(population);
            while churn.steps_done < 2 * population.max(STEPS) as u64 {
                let _ = churn.steps();
            }
            churn
        },
        Steady::steps,
    );
}

/// Timeouts of 30 s to 5 min, of which 95 in 100 are cancelled after 200 ticks on average. A step
/// starts one, and cancels one.
///
/// The population is made up to a whole number of timeouts a tick, so there is no smaller one than
/// what one a tick amounts to.
pub(crate) fn timeouts(criterion: &mut Criterion) {
    let mut populations = populations();
    populations.retain(|&population| population >= TIMEOUTS_PENDING);
    measure(
        criterion,
        "churn/timeouts",
        populations,
        |population| {
            let steps_a_tick = population / TIMEOUTS_PENDING;
            ticks_an_iteration(steps_a_tick) * steps_a_tick
        },
        |population| {
            let mut timeouts = Timeouts::new(population / TIMEOUTS_PENDING);
            // From here on what starts at a tick is what comes to its end.
            while timeouts.now < u64::from(*TIMEOUT.end()) {
                let _ = timeouts.ticks();
            }
            timeouts
        },
        Timeouts::ticks,
    );
}

/// Steps between two advances.
const STEPS_AN_ADVANCE: usize = 10;

/// Ticks a timer has to wait for its cancel, on average, where every other timer is cancelled
/// before it fires: the root of `E[exp(-life / wait)] = 1/2`.
const MEAN_WAIT: f64 = 522_526.0;

/// Mean wait times rate of cancels, which is half a step, is the population. So this many ticks by
/// population pass in a step; with others, every population would grow or shrink to that which they
/// suit.
const TICKS_A_STEP_BY_POPULATION: u64 = (MEAN_WAIT / 2.0) as u64;

struct Steady {
    random: Pcg64Mcg,
    wheel: Wheel<u64>,
    now: u64,
    population: u64,
    steps_done: u64,
    script: Vec<Step>,
    /// By place, which is what a timer carries; inert where the place is free.
    handles: Vec<Handle>,
    free: Vec<u64>,
}

struct Step {
    delay: u64,
    /// What part of all places lies before that of the timer to cancel, in 2^32nds.
    victim: Option<u32>,
}

impl Steady {
    /// Pending is what such a churn leaves: begun at some time in the past, neither fired nor
    /// cancelled since.
    fn new(population: usize) -> Self {
        let mut random = seeded(4);
        let mut wheel = Wheel::new();
        let handles = (0..population as u64)
            .map(|place| {
                let left = loop {
                    let age = -MEAN_WAIT * f64::ln(1.0 - random.random_range(0.0..1.0));
                    let left = life(&mut random) - age;
                    if left > 0.0 {
                        break left.ceil() as u64;
                    }
                };
                wheel.schedule(left, place)
            })
            .collect();
        Self {
            random,
            wheel,
            now: 0,
            population: population as u64,
            steps_done: 0,
            script: Vec::with_capacity(STEPS),
            handles,
            free: Vec::new(),
        }
    }

    fn steps(&mut self) -> Duration {
        let random = &mut self.random;
        self.script.clear();
        self.script.extend((0..STEPS).map(|_| Step {
            delay: life(random) as u64,
            victim: random.random_bool(0.5).then(|| random.random()),
        }));
        let start = Instant::now();
        for steps in self.script.chunks(STEPS_AN_ADVANCE) {
            for step in steps {
                let place = self.free.pop().unwrap_or(self.handles.len() as u64);
                let handle = self.wheel.schedule(self.now + step.delay, place);
                if let Some(known) = self.handles.get_mut(place as usize) {
                    *known = handle;
                } else {
                    self.handles.push(handle);
                }
                if let Some(part) = step.victim {
                    let mut victim = (u64::from(part) * self.handles.len() as u64) >> 32;
                    // Few places are free, and there a cancel does nothing.
                    while self.wheel.cancel(self.handles[victim as usize]).is_none() {
                        victim = (victim + 1) % self.handles.len() as u64;
                    }
                    self.free.push(victim);
                }
            }
            self.steps_done += steps.len() as u64;
            self.now = self.steps_done * TICKS_A_STEP_BY_POPULATION / self.population;
            let free = &mut self.free;
            let _ = self
                .wheel
                .advance(self.now, usize::MAX, |timer| free.push(timer.value));
        }
        let time = start.elapsed();
        assert!(
            (self.population / 2..=self.population * 2).contains(&(self.wheel.len() as u64)),
            "{} timers pending for {}",
            self.wheel.len(),
            self.population
        );
        time
    }
}

/// How long a timer of the steady churn has to go, in ticks.
fn life(random: &mut Pcg64Mcg) -> f64 {
    let exponent = random.random_range(0.0..(DAY as f64 / 1_000.0).ln());
    1_000.0 * f64::exp(exponent)
}

/// Ticks of a timeout, 165 thousand on average.
const TIMEOUT: RangeInclusive<u32> = 30_000..=300_000;

/// What one timeout started in every tick comes to: so many cancels awaited at any time, and so
/// many timers pending with the 5 in 100 that last.
const TIMEOUTS_AWAITED: usize = 200 * 95 / 100;
const TIMEOUTS_PENDING: usize = TIMEOUTS_AWAITED + 165_000 * 5 / 100;

fn ticks_an_iteration(steps_a_tick: usize) -> usize {
    STEPS.div_ceil(steps_a_tick)
}

struct Timeouts {
    random: Pcg64Mcg,
    wheel: Wheel<u64>,
    now: u64,
    steps_a_tick: usize,
    script: Vec<Timeout>,
    /// Timeouts that await their cancel, by place.
    handles: Vec<Handle>,
    /// All places in turn, each round in another order: a timeout awaits its cancel for one round on
    /// average, two at most.
    places: Vec<u32>,
    at: usize,
}

struct Timeout {
    delay: u32,
    /// Where its handle goes, and that of the timer to cancel is; of one that lasts, nowhere.
    place: Option<u32>,
}

impl Timeouts {
    fn new(steps_a_tick: usize) -> Self {
        let awaited = steps_a_tick * TIMEOUTS_AWAITED;
        let mut wheel = Wheel::new();
        Self {
            random: seeded(5),
            now: 0,
            steps_a_tick,
            script: Vec::new(),
            handles: (0..awaited)
                .map(|_| wheel.schedule(u64::from(*TIMEOUT.start()), 0))
                .collect(),
            wheel,
            places: (0..awaited as u32).collect(),
            at: 0,
        }
    }

    fn ticks(&mut self) -> Duration {
        self.script.clear();
        for _ in 0..ticks_an_iteration(self.steps_a_tick) * self.steps_a_tick {
            let timeout = self.start();
            self.script.push(timeout);
        }
        let start = Instant::now();
        for steps in self.script.chunks(self.steps_a_tick) {
            for step in steps {
                let handle = self.wheel.schedule(self.now + u64::from(step.delay), 0);
                if let Some(place) = step.place {
                    let before = std::mem::replace(&mut self.handles[place as usize], handle);
                    black_box(self.wheel.cancel(before));
                }
            }
            self.now += 1;
            let _ = self.wheel.advance(self.now, usize::MAX, |timer| {
                black_box(timer);
            });
        }
        start.elapsed()
    }

    fn start(&mut self) -> Timeout {
        let delay = self.random.random_range(TIMEOUT);
        if self.random.random_range(0..100) < 5 {
            return Timeout { delay, place: None };
        }
        if self.at == 0 {
            self.places.shuffle(&mut self.random);
        }
        let place = self.places[self.at];
        self.at = (self.at + 1) % self.places.len();
        Timeout {
            delay,
            place: Some(place),
        }
    }
}
