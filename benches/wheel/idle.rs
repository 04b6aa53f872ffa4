//! What is asked of the wheel between timers: ticks at which nothing is due, and when to wake up.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use duewheel::Wheel;

use crate::{DAY, draw, measure, populations, seeded};

/// So many operations to an iteration: one is over too soon for a clock.
const OPERATIONS: usize = 1_000;

/// A wheel whose timers are due uniformly over a day.
struct Waiting {
    wheel: Wheel<u64>,
    now: u64,
    dues: Vec<u64>,
}

impl Waiting {
    /// The day begins at tick `from`.
    fn new(population: usize, from: u64) -> Self {
        let mut waiting = Self {
            wheel: Wheel::new(),
            now: 0,
            dues: vec![0; population],
        };
        draw(&mut waiting.dues, from + 1..=from + DAY, &mut seeded(3));
        waiting.schedule();
        waiting
    }

    fn schedule(&mut self) {
        for &due in &self.dues {
            let _ = self.wheel.schedule(due, due);
        }
    }

    /// Ticks of the day before.
    fn tick(&mut self) -> Duration {
        if self.now + OPERATIONS as u64 > DAY {
            // Nothing was due, so the same day may begin again.
            self.now = 0;
            self.wheel = Wheel::new();
            self.schedule();
        }
        let mut fired = 0;
        let start = Instant::now();
        for _ in 0..OPERATIONS {
            self.now += 1;
            let advance = self
                .wheel
                .advance(black_box(self.now), usize::MAX, |timer| {
                    black_box(timer);
                });
            fired += advance.fired;
        }
        let time = start.elapsed();
        assert_eq!(fired, 0, "fired a day early");
        time
    }

    /// Advances to the next due time until so many timers fired, each of which is scheduled for the
    /// same time of the next day.
    fn follow(&mut self, timers: usize) -> Duration {
        // Hundreds of timers share a tick with the largest populations.
        let mut again = Vec::with_capacity(timers);
        let mut fired = 0;
        let start = Instant::now();
        while fired < timers {
            self.now = self.wheel.next_due().expect("timers are pending");
            let advance = self
                .wheel
                .advance(self.now, usize::MAX, |timer| again.push(timer.value + DAY));
            fired += advance.fired;
            for due in again.drain(..) {
                let _ = self.wheel.schedule(due, due);
            }
        }
        start.elapsed()
    }
}

/// Milliseconds of a hundred years.
const CENTURY: u64 = 36_525 * DAY;

/// A wheel whose timers are due at the end of time, while centuries pass.
struct Ages {
    wheel: Wheel<u64>,
    now: u64,
    population: u64,
}

impl Ages {
    fn new(population: usize) -> Self {
        let mut ages = Self {
            wheel: Wheel::new(),
            now: 0,
            population: population as u64,
        };
        ages.schedule();
        ages
    }

    fn schedule(&mut self) {
        for number in 0..self.population {
            let _ = self.wheel.schedule(u64::MAX - number, number);
        }
    }

    /// Centuries without a timer but the one at their end.
    fn pass(&mut self) -> Duration {
        if self.now > u64::MAX / 2 {
            (self.wheel, self.now) = (Wheel::new(), 0);
            self.schedule();
        }
        let mut fired = 0;
        let start = Instant::now();
        for _ in 0..OPERATIONS {
            self.now += CENTURY;
            let _ = self.wheel.schedule(self.now, 0);
            let advance = self
                .wheel
                .advance(black_box(self.now), usize::MAX, |timer| {
                    black_box(timer);
                });
            fired += advance.fired;
        }
        let time = start.elapsed();
        assert_eq!(fired, OPERATIONS, "one a century");
        time
    }
}

/// One timer scheduled a century ahead, and the advance that fires it.
pub(crate) fn century(criterion: &mut Criterion) {
    measure(
        criterion,
        "advance/empty-century",
        populations(),
        |_| OPERATIONS,
        Ages::new,
        Ages::pass,
    );
}

pub(crate) fn nothing_due(criterion: &mut Criterion) {
    measure(
        criterion,
        "advance/nothing-due",
        populations(),
        |_| OPERATIONS,
        |population| Waiting::new(population, DAY),
        Waiting::tick,
    );
}

pub(crate) fn next_due(criterion: &mut Criterion) {
    measure(
        criterion,
        "next_due/asked",
        populations(),
        |_| OPERATIONS,
        |population| Waiting::new(population, 0),
        |waiting| {
            let start = Instant::now();
            for _ in 0..OPERATIONS {
                let _ = black_box(black_box(&waiting.wheel).next_due());
            }
            start.elapsed()
        },
    );
    // By the timer: asking, advancing there, and scheduling it anew.
    measure(
        criterion,
        "next_due/followed",
        populations(),
        |_| OPERATIONS,
        |population| {
            let mut waiting = Waiting::new(population, 0);
            let _ = waiting.follow(population);
            waiting
        },
        |waiting| waiting.follow(OPERATIONS),
    );
}
