//! A hundred thousand timers due at one tick, a minute ahead, while the population is pending
//! uniformly over a day. A timer of the population that fires on the way is scheduled for the same
//! time of the next day.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use duewheel::Wheel;

use crate::{DAY, draw, extreme_populations, measure, seeded};

const BURST: usize = 100_000;

/// Ticks from the burst's intake to its due tick.
const AHEAD: u64 = 60_000;

/// The value of the burst's timers; others carry another.
const OF_BURST: u64 = u64::MAX;

struct Bursts {
    wheel: Wheel<u64>,
    now: u64,
    /// Due times of the others that fired, for the next day.
    others: Vec<u64>,
}

impl Bursts {
    fn new(population: usize) -> Self {
        let mut dues = vec![0; population];
        draw(&mut dues, 1..=DAY, &mut seeded(2));
        let mut bursts = Self {
            wheel: Wheel::new(),
            now: 0,
            others: Vec::with_capacity(population),
        };
        for due in dues {
            let _ = bursts.wheel.schedule(due, 0);
        }
        // Memory for the burst has been used as well.
        let _ = bursts.schedule();
        let _ = bursts.expire(usize::MAX);
        bursts
    }

    fn schedule(&mut self) -> Duration {
        let due = self.now + AHEAD;
        let start = Instant::now();
        for _ in 0..BURST {
            let _ = black_box(self.wheel.schedule(due, OF_BURST));
        }
        start.elapsed()
    }

    fn expire(&mut self, budget: usize) -> Duration {
        let due = self.now + AHEAD;
        let early = self.advance(due - 1, usize::MAX);
        assert_eq!(early, 0, "the burst fired before its tick");
        let start = Instant::now();
        let fired = self.advance(due, budget);
        let time = start.elapsed();
        assert_eq!(fired, BURST, "the burst is not over");
        for due in self.others.drain(..) {
            let _ = self.wheel.schedule(due, 0);
        }
        time
    }

    /// Fires what is due; how many of the burst.
    fn advance(&mut self, now: u64, budget: usize) -> usize {
        self.now = now;
        let mut of_burst = 0;
        let others = &mut self.others;
        let mut more = true;
        while more {
            let advance = self.wheel.advance(now, budget, |timer| {
                if black_box(timer.value) == OF_BURST {
                    of_burst += 1;
                } else {
                    others.push(timer.due + DAY);
                }
            });
            more = advance.more;
        }
        of_burst
    }
}

pub(crate) fn schedule(criterion: &mut Criterion) {
    measure(
        criterion,
        "schedule/burst",
        extreme_populations(),
        |_| BURST,
        Bursts::new,
        |bursts| {
            let time = bursts.schedule();
            let _ = bursts.expire(usize::MAX);
            time
        },
    );
}

pub(crate) fn expire(criterion: &mut Criterion) {
    for (name, budget) in [
        ("expire/burst-one-advance", usize::MAX),
        ("expire/burst-budget-64", 64),
    ] {
        measure(
            criterion,
            name,
            extreme_populations(),
            |_| BURST,
            Bursts::new,
            |bursts| {
                let _ = bursts.schedule();
                bursts.expire(budget)
            },
        );
    }
}
