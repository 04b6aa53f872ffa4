//! Long random runs: lives of random steps on a disk that crashes, fails and fills up, and at the end perhaps lies.

use std::env;
use std::ops::Range;

use crate::bare::{Bare, Step};
use crate::broken::live_with_errors;
use crate::dice::Dice;
use crate::disk::{Fault, Moods, SimulatedDisk};
use crate::drive::founded;
use crate::inhabitant::live;
use crate::ledger::Ledger;
use crate::outcome::{Outcome, goes_on, outcome};
use crate::script::random;

const FIRST_SEED: u64 = 1;
const RUNS: u64 = if cfg!(debug_assertions) { 150 } else { 4_000 };

/// Lives of a run at most.
const LIVES: u64 = 8;

/// Steps of a life at most.
const STEPS: u64 = 40;

/// What happened in all runs together.
#[derive(Default)]
struct Tally {
    lives: u64,
    errors: u64,
    lies: u64,
    refused: u64,
}

struct Run {
    dice: Dice,
    disk: SimulatedDisk,
    ledger: Ledger,
    /// The steps of the last life, to tell what went wrong.
    steps: Vec<Step>,
}

impl Run {
    fn of(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, 0),
            disk: founded(seed),
            ledger: Ledger::default(),
            steps: Vec::new(),
        }
    }

    fn broken(&self, seed: u64, why: &str) -> ! {
        panic!(
            "seed {seed}: {why}\n{:?}\n{}\nto see it again:\n    \
             DUEWHEEL_DISK_SEED={seed} cargo test --release --test journal_proof seed",
            self.steps,
            self.disk.trace(),
        )
    }

    /// Up to which operation of a life something may happen to it.
    fn moment(&mut self) -> u64 {
        let far = 1 << self.dice.between(2, 8);
        1 + self.dice.below(far)
    }

    /// Random steps, of which the last may close the store.
    fn throw_steps(&mut self) {
        let steps = self.dice.below(STEPS);
        self.steps = random(&mut self.dice, steps);
        // Whoever closes does no more.
        let closes = self
            .steps
            .iter()
            .position(|step| matches!(step, Step::Close));
        self.steps
            .truncate(closes.map_or(self.steps.len(), |at| at + 1));
    }

    fn live(&mut self) -> Result<u64, String> {
        self.throw_steps();
        let moment = self.moment();
        match self.dice.below(8) {
            0..=2 => self.disk.fail_power_after(moment),
            3 => self.disk.plan(moment, Fault::Error),
            4 => self.disk.plan(moment, Fault::NoRoom),
            5 => self
                .disk
                .set_capacity(Some(self.disk.taken() + moment * 1_024)),
            _ => {}
        }
        if self.dice.chance(30) {
            self.disk.set_moods(Moods::harmless());
        }
        let steps = std::slice::from_ref(&self.steps);
        let errors = live_with_errors(&self.disk, steps, &mut self.ledger)?;
        Ok(errors.into())
    }

    /// The end of a life: of the process, or of the machine.
    fn end(&mut self) {
        self.disk = if self.dice.chance(60) {
            let image = self.disk.crash(&mut self.dice);
            SimulatedDisk::from_image(&image, self.dice.below(u64::MAX))
        } else {
            self.disk.kill(&mut self.dice)
        };
        self.disk.set_capacity(None);
        self.disk.set_moods(Moods::default());
    }

    /// The last life, in which the disk lies once, or a bit flips afterwards.
    fn lie(&mut self) -> Result<Outcome, String> {
        self.throw_steps();
        let moment = self.moment();
        let flips = self.dice.chance(50);
        if !flips {
            let fault = self.dice.pick(&[Fault::Lost, Fault::Misdirected]);
            self.disk.plan(moment, fault);
            self.ledger.has_lost_writes = true;
        }
        // Whatever is seen of it at once is looked at below.
        let steps = std::slice::from_ref(&self.steps);
        let _ = live::<Bare>(&self.disk, steps, &mut self.ledger);
        let intact = self.disk.crash(&mut self.dice);
        let mut image = intact.clone();
        if flips {
            image.flip_any(&mut self.dice);
        }
        self.ledger.is_damaged = true;
        outcome(&image, &intact, &self.ledger)
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut run = Run::of(seed);
    for _ in 0..run.dice.between(1, LIVES) {
        match run.live() {
            Ok(errors) => tally.errors += errors,
            Err(why) => run.broken(seed, &why),
        }
        run.end();
        tally.lives += 1;
    }
    if run.dice.chance(50) {
        let image = run.disk.crash(&mut run.dice);
        if let Err(why) = goes_on(&image, &run.ledger) {
            run.broken(seed, &why);
        }
        return;
    }
    tally.lies += 1;
    match run.lie() {
        Ok(Outcome::Refused(_)) => tally.refused += 1,
        Ok(Outcome::Whole { .. }) => {}
        Err(why) => run.broken(seed, &why),
    }
}

/// The usual ones, or those asked for.
fn seeds() -> Range<u64> {
    if let Ok(seed) = env::var("DUEWHEEL_DISK_SEED") {
        let seed = seed.parse().expect("DUEWHEEL_DISK_SEED is a number");
        return seed..seed + 1;
    }
    let Ok(text) = env::var("DUEWHEEL_DISK_SEEDS") else {
        return FIRST_SEED..FIRST_SEED + RUNS;
    };
    let ends = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.trim().parse().ok()?..to.trim().parse().ok()?));
    ends.expect("DUEWHEEL_DISK_SEEDS is two numbers, from..to")
}

#[test]
fn runs_of_many_seeds_keep_what_was_durable() {
    let mut tally = Tally::default();
    let seeds = seeds();
    let runs = seeds.end - seeds.start;
    for seed in seeds {
        run(seed, &mut tally);
    }
    if runs < RUNS {
        return;
    }
    let Tally {
        lives,
        errors,
        lies,
        refused,
    } = tally;
    assert!(lives > 3 * runs, "{lives} lives");
    assert!(errors > runs / 2, "{errors} errors");
    assert!(lies > runs / 4, "{lies} lies");
    assert!(refused > lies / 10, "{refused} of {lies} refused");
}
