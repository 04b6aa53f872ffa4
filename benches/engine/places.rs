//! How requests spread over locations; shared by the engine's benches, of which not each uses all.

#![allow(dead_code)]

use std::fmt;

use duewheel::{Engine, LocationId};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

const LOCATIONS: usize = 10_000;

/// How requests spread over the locations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// All alike.
    Uniform,
    /// The n-th has a share of 1/n.
    Zipf,
    /// One has nine of ten, the others share the rest alike.
    Lopsided,
}

impl Spread {
    pub(crate) const ALL: [Self; 3] = [Self::Uniform, Self::Zipf, Self::Lopsided];

    fn weight(self, number: usize) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::Zipf => 1.0 / (number + 1) as f64,
            Self::Lopsided if number == 0 => 9.0 * (LOCATIONS - 1) as f64,
            Self::Lopsided => 1.0,
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
            Self::Lopsided => "one-with-90-percent",
        })
    }
}

/// The locations, and what part of all requests lies before the end of each one's share.
pub(crate) struct Places {
    locations: Vec<LocationId>,
    ends: Vec<f64>,
}

impl Places {
    /// Enters the locations in the engine's directory.
    pub(crate) fn new(engine: &Engine, spread: Spread) -> Self {
        let directory = engine.directory();
        let enter = |number| {
            directory
                .enter(&format!("L{number:04}"))
                .expect("a new name")
        };
        let mut sum = 0.0;
        let sums = (0..LOCATIONS).map(|number| {
            sum += spread.weight(number);
            sum
        });
        let mut ends: Vec<f64> = sums.collect();
        ends.iter_mut().for_each(|end| *end /= sum);
        Self {
            locations: (0..LOCATIONS).map(enter).collect(),
            ends,
        }
    }

    pub(crate) fn draw(&self, random: &mut Pcg64Mcg) -> LocationId {
        let at = random.random_range(0.0..1.0);
        let number = self.ends.partition_point(|&end| end <= at);
        self.locations[number.min(LOCATIONS - 1)]
    }
}
