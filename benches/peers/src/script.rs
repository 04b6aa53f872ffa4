//! What happens in the workloads: due times, order of cancels, and the steps of the two churns.
//!
//! Everything random is decided here, the same for every peer and while no clock runs. That goes
//! for which timer a churn cancels as well: as timers fire exactly at their due tick, the script
//! knows which are alive at each step, and the timed loop looks nothing up but the handle.
//!
//! Both churns begin with nothing pending, and run untimed until structures look as they do in
//! long use: timers fired and were cancelled in all places, and what a structure leaves for later
//! has come due. That is hundreds of millions of steps for ten million timers, so they are drawn
//! piece by piece.

mod simulation;

use std::ops::RangeInclusive;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::workload::DAY;
use simulation::Simulation;

/// In W4, so many steps to a tick.
const CHURN_STEPS_A_TICK: usize = 10;

/// In W4, so many steps for each timer go before those that are timed: until all are pending, which
/// takes the longer the more they are, and then until few are left of the first, and what cancelled
/// ones leave behind has often been swept.
const CHURN_UNTIMED: usize = 8;

/// In W5, a timeout lasts so many ticks...
const TIMEOUT: RangeInclusive<u32> = 30_000..=300_000;

/// ... and 5 in 100 come to its end. The others are cancelled after so many ticks on average.
const TIMEOUT_WAIT: usize = 200;

/// What one timeout started in every tick comes to: so many cancels awaited at any time, and so
/// many timers pending with those that last, 165 thousand ticks on average.
const TIMEOUTS_AWAITED: usize = TIMEOUT_WAIT * 95 / 100;
const TIMEOUTS_PENDING: usize = TIMEOUTS_AWAITED + 165_000 * 5 / 100;

/// W5 goes on for the longest timeout, and a tenth of it, before it is timed. Those that only mark
/// then hold as many timers as they ever will, and what is freed is scattered over all memory.
const TIMEOUTS_UNTIMED: usize = 330_000;

/// W5 is timed for so many ticks: a whole turn of slots of up to a minute. In the ticks of a million
/// steps some wheels would have nothing to move down, or else eight times their share of it.
const TIMEOUTS_TIMED: usize = 1 << 16;

/// So many steps are drawn at a time, about: few enough to stay small beside the structures, and
/// so many that what drawing them does to the caches is soon made good.
const PIECE: usize = 1 << 22;

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

/// A churn, drawn piece by piece.
pub(crate) struct Script {
    plan: Plan,
    random: Pcg64Mcg,
    simulation: Simulation,
    steps_a_tick: usize,
    /// The ticks that go before those that are timed.
    untimed: usize,
    /// All ticks, and how many of them have been drawn.
    ticks: usize,
    drawn: usize,
    ticks_a_piece: usize,
    places: usize,
}

enum Plan {
    /// Keeps so many timers pending.
    Churn { timers: usize },
    /// Cancels in rounds.
    Timeouts { rounds: Rounds },
}

impl Script {
    /// W4: each step schedules a timer, log-uniform over 1 s to 24 h, and cancels a random live one
    /// on a coin flip.
    ///
    /// A fair coin does not keep just any number pending. So none is flipped before the clock
    /// starts: each step that finds enough timers pending cancels one.
    pub(crate) fn churn(timers: usize) -> Self {
        let timed = timers.clamp(100_000, 2_000_000);
        let untimed = (CHURN_UNTIMED * timers).div_ceil(CHURN_STEPS_A_TICK);
        Self::new(
            Plan::Churn { timers },
            4,
            CHURN_STEPS_A_TICK,
            [untimed, timed / CHURN_STEPS_A_TICK],
            timers + timed,
        )
    }

    /// W5: timeouts of 30 s to 5 min, of which 95 in 100 are cancelled within about 200 ticks.
    pub(crate) fn timeouts(timers: usize) -> Self {
        let steps_a_tick = (timers / TIMEOUTS_PENDING).max(1);
        let rounds = Rounds::new(steps_a_tick * TIMEOUTS_AWAITED);
        let places = rounds.places.len();
        Self::new(
            Plan::Timeouts { rounds },
            5,
            steps_a_tick,
            [TIMEOUTS_UNTIMED, TIMEOUTS_TIMED],
            places,
        )
    }

    fn new(
        plan: Plan,
        seed: u64,
        steps_a_tick: usize,
        [untimed, timed]: [usize; 2],
        places: usize,
    ) -> Self {
        Self {
            plan,
            random: Pcg64Mcg::seed_from_u64(seed),
            simulation: Simulation::new(untimed + timed, places),
            steps_a_tick,
            untimed,
            ticks: untimed + timed,
            drawn: 0,
            ticks_a_piece: (PIECE / steps_a_tick).max(1),
            places,
        }
    }

    pub(crate) fn steps_a_tick(&self) -> usize {
        self.steps_a_tick
    }

    /// How many places handles need at most.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// The most timers pending at once, of what has been drawn.
    pub(crate) fn peak(&self) -> usize {
        self.simulation.peak()
    }

    /// How many timers fire, of what has been drawn.
    pub(crate) fn fires(&self) -> usize {
        self.simulation.fires()
    }

    /// Room for the steps of any piece.
    pub(crate) fn room(&self) -> Vec<Step> {
        Vec::with_capacity(self.ticks_a_piece * self.steps_a_tick)
    }

    /// Draws the next piece, whole ticks, in place of what `steps` held; how many of its steps are
    /// not timed. Nothing is left to be drawn after the last piece.
    pub(crate) fn draw(&mut self, steps: &mut Vec<Step>) -> Option<usize> {
        let left = self.ticks - self.drawn;
        // The first piece is the odd one, so that in W4 timed steps follow others of their piece.
        let ticks = match left % self.ticks_a_piece {
            0 => left.min(self.ticks_a_piece),
            odd => odd,
        };
        if ticks == 0 {
            return None;
        }
        steps.clear();
        let untimed = self.untimed.saturating_sub(self.drawn).min(ticks);
        for _ in 0..ticks {
            for _ in 0..self.steps_a_tick {
                let step = self.step();
                steps.push(step);
            }
            self.simulation.tick();
            self.drawn += 1;
        }
        Some(untimed * self.steps_a_tick)
    }

    fn step(&mut self) -> Step {
        let random = &mut self.random;
        let simulation = &mut self.simulation;
        match &mut self.plan {
            Plan::Churn { timers } => {
                let exponent = random.random_range(0.0..(DAY as f64 / 1_000.0).ln());
                let delay = (1_000.0 * f64::exp(exponent)) as u32;
                let cancels = if self.drawn < self.untimed {
                    simulation.pending() >= *timers
                } else {
                    random.random_range(0..2) == 0
                };
                if cancels {
                    let victim = random.random_range(0..simulation.live().len());
                    simulation.cancel_and_schedule(simulation.live()[victim], delay)
                } else {
                    simulation.schedule(delay)
                }
            }
            Plan::Timeouts { rounds } => {
                let delay = random.random_range(TIMEOUT);
                if random.random_range(0..100) < 5 {
                    simulation.schedule_forget(delay)
                } else if simulation.live().len() < rounds.places.len() {
                    simulation.schedule(delay)
                } else {
                    simulation.cancel_and_schedule(rounds.next(random), delay)
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a script comes to, found without following who is alive.
    #[derive(Default)]
    struct Story {
        /// In the timed part: steps, cancels, and the ticks that the cancelled timers waited.
        steps: usize,
        cancels: usize,
        waited: usize,
        /// In all.
        fires: usize,
    }

    /// Reads a script to its end.
    ///
    /// # Panics
    /// If it cancels a timer that fired, or takes the place of one that did not.
    fn read(script: &mut Script) -> Story {
        let mut story = Story::default();
        // For each place the ticks of intake and when due; the due ticks of the others.
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut forgotten = Vec::new();
        let mut steps = script.room();
        let mut number = 0;
        while let Some(untimed) = script.draw(&mut steps) {
            assert_eq!(steps.len() % script.steps_a_tick(), 0);
            for (at, step) in steps.iter().enumerate() {
                let now = number / script.steps_a_tick();
                number += 1;
                story.steps += usize::from(at >= untimed);
                let timer = (now, now + step.delay as usize);
                if step.act == Act::Forget {
                    forgotten.push(timer.1);
                    continue;
                }
                if step.act == Act::Keep {
                    assert_eq!(step.place as usize, places.len());
                    places.push(timer);
                    continue;
                }
                let (taken_in, due) = std::mem::replace(&mut places[step.place as usize], timer);
                assert_eq!(
                    step.act == Act::Cancel,
                    due > now,
                    "step {number}: {step:?}"
                );
                if due <= now {
                    story.fires += 1;
                } else if at >= untimed {
                    story.cancels += 1;
                    story.waited += now - taken_in;
                }
            }
        }
        let end = number / script.steps_a_tick();
        let dues = forgotten
            .into_iter()
            .chain(places.into_iter().map(|(_, due)| due));
        story.fires += dues.filter(|&due| due <= end).count();
        story
    }

    #[test]
    fn timeouts_rarely_fire() {
        let timers = 17_000;
        let mut script = Script::timeouts(timers);
        let story = read(&mut script);
        assert_eq!(story.steps, TIMEOUTS_TIMED * script.steps_a_tick());
        assert!((story.steps * 94 / 100..story.steps * 96 / 100).contains(&story.cancels));
        assert_eq!(story.fires, script.fires());
        assert!((timers * 9 / 10..timers * 11 / 10).contains(&script.peak()));
        let mean = story.waited / story.cancels;
        assert!((180..220).contains(&mean), "{mean} ticks to a cancel");
    }

    #[test]
    fn timeouts_are_steady_when_timed() {
        let mut script = Script::timeouts(17_000);
        let mut steps = script.room();
        let mut fires = Vec::new();
        // One piece holds all of so few.
        assert!(TIMEOUTS_UNTIMED + TIMEOUTS_TIMED < script.ticks_a_piece);
        for _ in 0..TIMEOUTS_UNTIMED + TIMEOUTS_TIMED {
            for _ in 0..script.steps_a_tick {
                steps.push(script.step());
            }
            script.simulation.tick();
            fires.push(script.fires());
        }
        let begun = TIMEOUTS_UNTIMED * script.steps_a_tick;
        let lasting = steps[begun..].iter().filter(|step| step.act == Act::Forget);
        let fired = fires.last().copied().unwrap_or(0) - fires[TIMEOUTS_UNTIMED];
        let lasting = lasting.count();
        assert!(
            (lasting * 9 / 10..lasting * 11 / 10).contains(&fired),
            "{fired} fire and {lasting} more will"
        );
    }

    #[test]
    fn churn_is_steady_until_it_is_timed() {
        let timers = 30_000;
        let mut script = Script::churn(timers);
        let story = read(&mut script);
        assert_eq!(story.steps, 100_000);
        assert!((story.steps * 49 / 100..story.steps * 51 / 100).contains(&story.cancels));
        assert_eq!(story.fires, script.fires());

        let mut script = Script::churn(timers);
        let ramp = 2 * timers / CHURN_STEPS_A_TICK;
        for tick in 0..script.untimed {
            for _ in 0..script.steps_a_tick {
                script.step();
            }
            script.simulation.tick();
            script.drawn += 1;
            let pending = script.simulation.pending();
            assert!(pending <= timers);
            assert!(
                tick < ramp || pending > timers * 99 / 100,
                "{pending} at {tick}"
            );
        }
    }

    #[test]
    fn pieces_add_up() {
        let mut script = Script::churn(10_000);
        script.ticks_a_piece = 1_700;
        let mut steps = script.room();
        let mut pieces = Vec::new();
        while let Some(untimed) = script.draw(&mut steps) {
            pieces.push((untimed, steps.len() - untimed));
        }
        // 80 thousand steps untimed, 100 thousand timed.
        let mut expected = vec![(10_000, 0)];
        expected.extend([(17_000, 0); 4]);
        expected.push((2_000, 15_000));
        expected.extend([(0, 17_000); 5]);
        assert_eq!(pieces, expected);
    }
}
