//! One operation at a time on a whole population, due uniformly over a day.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use duewheel::{Handle, Wheel};
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::fresh::in_fresh_memory;
use crate::{DAY, cancel_all, draw, fill, measure, populations, seeded};

/// Fresh memory for a cold wheel. A wheel that takes more finds it, but perhaps not fresh.
const COLD_BYTES_A_TIMER: usize = 256;

/// A wheel and room for what is scheduled in it.
struct Day {
    random: Pcg64Mcg,
    wheel: Wheel<u64>,
    now: u64,
    dues: Vec<u64>,
    handles: Vec<Handle>,
}

impl Day {
    fn new(population: usize) -> Self {
        let mut day = Self {
            random: seeded(1),
            wheel: Wheel::new(),
            now: 0,
            dues: vec![0; population],
            handles: Vec::with_capacity(population),
        };
        // Its memory has been used before, and is found as cancels in random order leave it.
        day.fill();
        day.cancel_all();
        day
    }

    /// A wheel in which the population is pending, each timer after some reschedules.
    fn pending(population: usize) -> Self {
        let mut day = Self::new(population);
        day.fill();
        for _ in 0..2 {
            let _ = day.reschedule();
        }
        day
    }

    fn draw(&mut self) {
        draw(
            &mut self.dues,
            self.now + 1..=self.now + DAY,
            &mut self.random,
        );
    }

    fn fill(&mut self) {
        self.draw();
        fill(&mut self.wheel, &self.dues, &mut self.handles);
    }

    fn cancel_all(&mut self) {
        cancel_all(&mut self.wheel, &mut self.handles, &mut self.random);
    }

    fn reschedule(&mut self) -> Duration {
        self.draw();
        self.handles.shuffle(&mut self.random);
        let start = Instant::now();
        for (&handle, &due) in self.handles.iter().zip(&self.dues) {
            let _ = black_box(self.wheel.reschedule(handle, due));
        }
        start.elapsed()
    }
}

pub(crate) fn schedule(criterion: &mut Criterion) {
    measure(
        criterion,
        "schedule/day-cold",
        populations(),
        |population| population,
        Day::new,
        |day| {
            day.draw();
            in_fresh_memory(day.dues.len() * COLD_BYTES_A_TIMER, || {
                let start = Instant::now();
                let mut wheel = Wheel::new();
                fill(&mut wheel, &day.dues, &mut day.handles);
                start.elapsed()
            })
        },
    );
    measure(
        criterion,
        "schedule/day-warm",
        populations(),
        |population| population,
        Day::new,
        |day| {
            day.draw();
            let start = Instant::now();
            fill(&mut day.wheel, &day.dues, &mut day.handles);
            let time = start.elapsed();
            day.cancel_all();
            time
        },
    );
}

pub(crate) fn cancel(criterion: &mut Criterion) {
    measure(
        criterion,
        "cancel/day-shuffled",
        populations(),
        |population| population,
        Day::new,
        |day| {
            day.fill();
            day.handles.shuffle(&mut day.random);
            let start = Instant::now();
            for &handle in &day.handles {
                black_box(day.wheel.cancel(handle));
            }
            start.elapsed()
        },
    );
}

pub(crate) fn reschedule(criterion: &mut Criterion) {
    measure(
        criterion,
        "reschedule/day-shuffled",
        populations(),
        |population| population,
        Day::pending,
        Day::reschedule,
    );
}

pub(crate) fn expire(criterion: &mut Criterion) {
    // In one call, and in calls a second apart.
    for (name, step) in [
        ("expire/day-one-advance", DAY),
        ("expire/day-by-seconds", 1_000),
    ] {
        measure(
            criterion,
            name,
            populations(),
            |population| population,
            Day::new,
            |day| {
                day.fill();
                let evening = day.now + DAY;
                let mut fired = 0;
                let start = Instant::now();
                while day.now < evening {
                    day.now += step;
                    let advance = day.wheel.advance(day.now, usize::MAX, |timer| {
                        black_box(timer);
                    });
                    fired += advance.fired;
                }
                let time = start.elapsed();
                assert_eq!(fired, day.dues.len(), "not all fired by the evening");
                time
            },
        );
    }
}
