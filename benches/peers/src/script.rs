//! What happens in the workloads: due times, order of cancels, and the steps of the two churns.
//!
//! Everything random is decided here, before anything is timed and the same for every peer. That
//! goes for which timer a churn cancels as well: as timers fire exactly at their due tick, the
//! script knows which are alive at each step, and the timed loop looks nothing up but the handle.

use std::ops::RangeInclusive;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::workload::DAY;

/// In W4, so many steps to a tick.
const CHURN_STEPS_A_TICK: usize = 10;

/// In W5, a timeout lasts so many ticks...
const TIMEOUT: RangeInclusive<u32> = 30_000..=300_000;

/// ... and 5 in 100 come to its end. The others are cancelled after so many ticks on average.
const TIMEOUT_WAIT: usize = 200;

/// What one timeout started in every tick comes to: so many cancels awaited at any time, and so
/// many timers pending with those that last, 165 thousand ticks on average.
const TIMEOUTS_AWAITED: usize = TIMEOUT_WAIT * 95 / 100;
const TIMEOUTS_PENDING: usize = TIMEOUTS_AWAITED + 165_000 * 5 / 100;

/// `timers` due times, uniform over the ticks after `from` up to a day.
pub(crate) fn due_times(timers: usize, from: u64) -> Vec<u64> {
    let mut random = Pcg64Mcg::seed_from_u64(1);
    (0..timers)
        .map(|_| random.random_range(from + 1..=DAY))
        .collect()
}

pub(crate) fn shuffle<T>(handles: &mut [T]) {
    handles.shuffle(&mut Pcg64Mcg::seed_from_u64(2));
}

/// What a step of a churn does with the handle of the timer it schedules, besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Forgets it.
    Forget,
    /// Keeps it in a new place.
    Keep,
    /// Keeps it in the place of a timer that it cancels.
    Cancel,
    /// Keeps it in the place of a timer that fired.
    Reuse,
}

/// Schedules a timer, and maybe cancels another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Ticks from now until the timer is due.
    pub(crate) delay: u32,
    /// Where the handle goes.
    pub(crate) place: u32,
    pub(crate) act: Act,
}

/// A script of steps.
#[derive(Debug, Default)]
pub(crate) struct Churn {
    /// What happened before tick 0, to be done at tick 0: no timer of it fired by then.
    pub(crate) set_up: Vec<Step>,
    pub(crate) steps: Vec<Step>,
    /// The first of the steps that is timed.
    pub(crate) timed_from: usize,
    pub(crate) steps_a_tick: usize,
    /// How many places handles need.
    pub(crate) places: usize,
    /// How many timers fire.
    pub(crate) fires: usize,
    /// The most timers ever pending at once.
    pub(crate) peak: usize,
}

/// W4: each step schedules a timer, log-uniform over 1 s to 24 h, and cancels a random live one on
/// a coin flip.
///
/// The timers pending at the start are what such a churn leaves: begun at some time in the past,
/// neither fired nor cancelled since. As many steps as are timed go before.
pub(crate) fn churn(timers: usize) -> Churn {
    let mut random = Pcg64Mcg::seed_from_u64(4);
    let steps = 2 * timers.clamp(100_000, 2_000_000);
    let life = |random: &mut Pcg64Mcg| {
        let exponent = random.random_range(0.0..(DAY as f64 / 1_000.0).ln());
        1_000.0 * f64::exp(exponent)
    };
    // A timer is cancelled every other step.
    let mean_wait = 2.0 * timers as f64 / CHURN_STEPS_A_TICK as f64;
    let mut simulation = Simulation::new(CHURN_STEPS_A_TICK, steps);
    for _ in 0..timers {
        let left = loop {
            let age = -mean_wait * f64::ln(1.0 - random.random_range(0.0..1.0));
            let left = life(&mut random) - age;
            if left > 0.0 {
                break left;
            }
        };
        simulation.schedule(left.ceil() as u32);
    }
    simulation.begin();
    for _ in 0..steps {
        let delay = life(&mut random) as u32;
        if random.random_range(0..2) == 0 {
            let victim = random.random_range(0..simulation.live.len());
            simulation.cancel_and_schedule(simulation.live[victim], delay);
        } else {
            simulation.schedule(delay);
        }
    }
    simulation.finish(steps / 2)
}

/// W5: timeouts of 30 s to 5 min, of which 95 in 100 are cancelled within about 200 ticks.
///
/// It is set up as it is after five minutes and more: what was started at each tick of the past and
/// is not due yet is scheduled, oldest first, and cancelled if it has been. That is what counts for
/// those that only mark: they hold most of it still.
pub(crate) fn timeouts(timers: usize) -> Churn {
    let mut random = Pcg64Mcg::seed_from_u64(5);
    let steps_a_tick = (timers / TIMEOUTS_PENDING).max(1);
    let steps = timers.clamp(100_000, 2_000_000);
    let mut simulation = Simulation::new(steps_a_tick, steps);
    let mut rounds = Rounds::new(steps_a_tick * TIMEOUTS_AWAITED);
    for age in (1..*TIMEOUT.end()).rev() {
        for _ in 0..steps_a_tick {
            let delay = random.random_range(TIMEOUT);
            if delay > age {
                start_timeout(&mut simulation, &mut rounds, delay - age, &mut random);
            }
        }
    }
    simulation.begin();
    for _ in 0..steps {
        let delay = random.random_range(TIMEOUT);
        start_timeout(&mut simulation, &mut rounds, delay, &mut random);
    }
    simulation.finish(0)
}

/// Starts a timeout, and cancels the one whose cancel has been awaited in the place it takes.
fn start_timeout(
    simulation: &mut Simulation,
    rounds: &mut Rounds,
    delay: u32,
    random: &mut Pcg64Mcg,
) {
    if random.random_range(0..100) < 5 {
        simulation.schedule_forget(delay);
    } else if simulation.live.len() < rounds.places.len() {
        simulation.schedule(delay);
    } else {
        simulation.cancel_and_schedule(rounds.next(random), delay);
    }
}

/// All places in turn, each round in another order: a timeout waits for its cancel one round on
/// average, two at most.
struct Rounds {
    places: Vec<u32>,
    at: usize,
}

impl Rounds {
    fn new(places: usize) -> Self {
        Self {
            places: (0..places as u32).collect(),
            at: 0,
        }
    }

    fn next(&mut self, random: &mut Pcg64Mcg) -> u32 {
        if self.at == 0 {
            self.places.shuffle(random);
        }
        let place = self.places[self.at];
        self.at = (self.at + 1) % self.places.len();
        place
    }
}

/// Follows a script, to know which timers are alive.
struct Simulation {
    churn: Churn,
    /// Timers that fire while the steps last, by tick: place, and the number of the timer there.
    due: Vec<Vec<(u32, u32)>>,
    /// The timer whose handle is in each place: a number that its successor there does not share.
    owners: Vec<u32>,
    /// Places of the live timers that are not forgotten, and where each stands in that list.
    live: Vec<u32>,
    positions: Vec<u32>,
    /// Places of timers that fired.
    free: Vec<u32>,
    pending: usize,
    /// Whether ticks pass.
    begun: bool,
    now: u64,
}

/// The place of a forgotten timer.
const NOWHERE: u32 = u32::MAX;

impl Simulation {
    fn new(steps_a_tick: usize, steps: usize) -> Self {
        Self {
            due: vec![Vec::new(); steps / steps_a_tick + 1],
            owners: Vec::new(),
            live: Vec::new(),
            positions: Vec::new(),
            free: Vec::new(),
            pending: 0,
            begun: false,
            now: 0,
            churn: Churn {
                steps_a_tick,
                ..Churn::default()
            },
        }
    }

    /// Ends the setting up: time begins.
    fn begin(&mut self) {
        self.churn.set_up = std::mem::take(&mut self.churn.steps);
        self.begun = true;
    }

    fn schedule_forget(&mut self, delay: u32) {
        self.step(delay, NOWHERE, Act::Forget);
    }

    fn schedule(&mut self, delay: u32) {
        let (place, act) = if let Some(place) = self.free.pop() {
            (place, Act::Reuse)
        } else {
            let place = self.owners.len() as u32;
            self.owners.push(0);
            self.positions.push(0);
            (place, Act::Keep)
        };
        self.positions[place as usize] = self.live.len() as u32;
        self.live.push(place);
        self.step(delay, place, act);
    }

    /// Cancels the timer of `place`, which is live, and schedules another in its place.
    fn cancel_and_schedule(&mut self, place: u32, delay: u32) {
        self.pending -= 1;
        self.step(delay, place, Act::Cancel);
    }

    fn step(&mut self, delay: u32, place: u32, act: Act) {
        if place != NOWHERE {
            self.owners[place as usize] += 1;
        }
        self.expect(self.now + u64::from(delay), place);
        self.pending += 1;
        self.churn.peak = self.churn.peak.max(self.pending);
        self.churn.steps.push(Step { delay, place, act });
        if self.begun
            && self
                .churn
                .steps
                .len()
                .is_multiple_of(self.churn.steps_a_tick)
        {
            self.tick();
        }
    }

    fn expect(&mut self, due: u64, place: u32) {
        if let Some(timers) = self.due.get_mut(due as usize) {
            let owner = self.owners.get(place as usize).copied().unwrap_or(0);
            timers.push((place, owner));
        }
    }

    fn tick(&mut self) {
        self.now += 1;
        for (place, owner) in std::mem::take(&mut self.due[self.now as usize]) {
            if place == NOWHERE {
                self.pending -= 1;
                self.churn.fires += 1;
            } else if self.owners[place as usize] == owner {
                self.pending -= 1;
                self.churn.fires += 1;
                let position = self.positions[place as usize] as usize;
                self.live.swap_remove(position);
                if let Some(&moved) = self.live.get(position) {
                    self.positions[moved as usize] = position as u32;
                }
                self.free.push(place);
            }
        }
    }

    /// Ends the script, of which about `warm_up` steps, whole ticks, are not timed.
    fn finish(mut self, warm_up: usize) -> Churn {
        self.churn.timed_from = warm_up - warm_up % self.churn.steps_a_tick;
        self.churn.places = self.owners.len();
        self.churn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long each cancelled timer waited for it, in steps, and how many there are.
    fn waits(steps: &[Step], places: usize) -> Vec<usize> {
        let mut begun = vec![0; places];
        let mut waits = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            if step.act == Act::Forget {
                continue;
            }
            let before = std::mem::replace(&mut begun[step.place as usize], number);
            if step.act == Act::Cancel {
                waits.push(number - before);
            }
        }
        waits
    }

    #[test]
    fn timeouts_rarely_fire() {
        let timers = 100_000;
        let churn = timeouts(timers);
        let waits = waits(&churn.steps, churn.places);
        let steps = churn.steps.len();
        assert!((steps * 94 / 100..steps * 96 / 100).contains(&waits.len()));
        assert!((steps * 4 / 100..steps * 6 / 100).contains(&churn.fires));
        assert!((timers * 9 / 10..timers * 11 / 10).contains(&churn.peak));
        let mean = waits.iter().sum::<usize>() / waits.len() / churn.steps_a_tick;
        assert!((180..220).contains(&mean), "{mean} ticks to a cancel");
    }

    #[test]
    fn churn_is_steady() {
        let timers = 1_000_000;
        let churn = churn(timers);
        let cancels = waits(&churn.steps, churn.places).len();
        let steps = churn.steps.len();
        assert!((steps * 49 / 100..steps * 51 / 100).contains(&cancels));
        let left = timers + steps - cancels - churn.fires;
        assert!(
            (timers * 8 / 10..timers * 12 / 10).contains(&left),
            "{left} of {timers} are left"
        );
        assert!(churn.peak < timers * 12 / 10);
    }
}
