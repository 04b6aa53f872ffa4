//! A working day out of nothing: some 2,000 calls with the shape of a real centre.
//!
//! A Monday, 07:00 to midnight: a morning rise, a plateau from ten to five, an evening slope (the profile, the
//! services' shares, their median times and spreads are rounded from a month of a bank's call centre). Calls pass the
//! voice unit, queue for sixteen agents on overlapping shifts, and are served in order of arrival, or hang up when
//! their patience ends; some leave a message asking to be called back. The result is records like those of a file,
//! with line numbers as if there were one, so that everything after this is the same for both.

use jiff::civil::{Date, date};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::records::{ClockTime, Ending, Record};

const CALLS: usize = 2_000;

/// A Monday.
const DAY: Date = date(2026, 1, 5);

/// Share of the day's calls by half hour, from 07:00 on.
const PROFILE: [u32; 34] = [
    17, 24, 37, 59, 50, 60, 64, 62, 59, 55, 47, 48, 65, 56, 58, 58, 57, 58, 60, 58, 52, 44, 44, 40,
    35, 32, 28, 31, 29, 34, 30, 23, 24, 17,
];

/// A service's code, its share in a thousand calls, its median seconds, and how far times spread: the standard
/// deviation of their logarithm.
const SERVICES: [(&str, u32, f64, f64); 6] = [
    ("PS", 643, 117.0, 0.95),
    ("NW", 228, 60.0, 0.95),
    ("NE", 82, 177.0, 0.95),
    ("TT", 33, 25.0, 1.2),
    ("IN", 9, 155.0, 1.0),
    ("PE", 5, 140.0, 1.0),
];

/// Agents and their hours.
const AGENTS: [(&str, f64, f64); 16] = [
    ("ALMA", 7.0, 14.5),
    ("BORIS", 7.0, 15.0),
    ("CARLA", 7.3, 14.8),
    ("DANA", 8.0, 16.0),
    ("EITAN", 8.0, 15.8),
    ("FLORA", 8.5, 16.5),
    ("GAL", 8.8, 16.8),
    ("HADAS", 10.0, 18.0),
    ("IRIS", 11.0, 18.5),
    ("JONAS", 13.0, 21.0),
    ("KEREN", 14.0, 22.0),
    ("LIOR", 15.3, 23.2),
    ("MAYA", 16.0, 23.0),
    ("NOAM", 16.0, 24.0),
    ("OFRA", 17.0, 24.0),
    ("PAVEL", 18.5, 24.0),
];

/// The day of this seed.
pub(crate) fn working_day(seed: u64) -> Vec<Record> {
    let mut day = Generator {
        random: Pcg64Mcg::seed_from_u64(seed),
        free_at: AGENTS.map(|(_, from, _)| hours(from)),
    };
    let mut arrivals: Vec<i32> = (0..CALLS).map(|_| day.arrival()).collect();
    arrivals.sort_unstable();
    // The header is line 1.
    (2..)
        .zip(arrivals)
        .map(|(line, entry)| day.call(line, entry))
        .collect()
}

struct Generator {
    random: Pcg64Mcg,
    /// When each agent is done with the calls so far.
    free_at: [i32; AGENTS.len()],
}

impl Generator {
    fn arrival(&mut self) -> i32 {
        let half_hour = self.pick(&PROFILE) as i32;
        hours(7.0) + half_hour * 1800 + self.below(1800) as i32
    }

    /// One call from its arrival on; calls are made in order of arrival, for they queue.
    fn call(&mut self, line: u64, entry: i32) -> Record {
        let (service, _, median, spread) =
            SERVICES[self.pick(&SERVICES.map(|(_, share, ..)| share))];
        let vru_time = 3 + self.exponential(7.0);
        let mut record = Record {
            line,
            location: format!("AA{:02}{:02}", 1 + self.below(6), 1 + self.below(4)),
            customer: match self.below(100) {
                0..60 => "0".to_owned(),
                _ => (2_000_000 + self.below(60_000_000)).to_string(),
            },
            priority: self.pick(&[59, 14, 27]) as u8,
            service: service.to_owned(),
            date: DAY,
            vru_entry: ClockTime(entry),
            vru_time,
            q_start: ClockTime::ZERO,
            q_exit: ClockTime::ZERO,
            q_time: 0,
            ending: Ending::Hang,
            ser_start: ClockTime::ZERO,
            ser_exit: ClockTime::ZERO,
            ser_time: 0,
            server: None,
        };
        match self.below(1000) {
            0..8 => record.ending = Ending::Phantom,
            8..60 => {}
            _ => {
                let patience = 1 + self.exponential(if service == "NW" { 90.0 } else { 240.0 });
                let seconds = (median * (spread * self.normal()).exp()).round() as i32;
                self.queue(
                    &mut record,
                    entry + vru_time,
                    patience,
                    seconds.clamp(1, 3600),
                );
            }
        }
        record
    }

    /// The call waits for the first agent who can take it, or for as long as its patience lasts.
    fn queue(&mut self, record: &mut Record, ready: i32, patience: i32, seconds: i32) {
        let first_free = (0..AGENTS.len())
            .filter(|agent| self.free_at[*agent].max(ready) < hours(AGENTS[*agent].2))
            .min_by_key(|agent| (self.free_at[*agent].max(ready), self.free_at[*agent]));
        let Some(agent) = first_free else {
            return;
        };
        let connected = self.free_at[agent].max(ready);
        let waits = connected - ready;
        let waited = waits.min(patience);
        if waited > 0 {
            record.q_start = time(ready);
            record.q_exit = time(ready + waited);
            record.q_time = waited.unsigned_abs();
        }
        if waits > patience {
            return;
        }
        record.ending = Ending::Agent;
        record.ser_start = time(connected);
        record.ser_exit = time(connected + seconds);
        record.ser_time = seconds.unsigned_abs();
        record.server = Some(AGENTS[agent].0.to_owned());
        self.free_at[agent] = connected + seconds;
    }

    /// An index, with a probability in proportion to its weight.
    fn pick(&mut self, weights: &[u32]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            match rest.checked_sub(*weight) {
                Some(left) => rest = left,
                None => return index,
            }
        }
        unreachable!("the rest is below the sum of the weights")
    }

    fn below(&mut self, bound: u32) -> u32 {
        // The high bits of a product: even to one part in four thousand million, which will do.
        ((u64::from(self.random.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// From 0 to just below 1.
    fn unit(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> i32 {
        (-mean * (1.0 - self.unit()).ln()).round() as i32
    }

    /// Standard normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

fn hours(hours: f64) -> i32 {
    (hours * 3600.0).round() as i32
}

/// Seconds of the day as a clock shows them; past midnight it begins anew.
fn time(seconds: i32) -> ClockTime {
    ClockTime(seconds % (24 * 3600))
}
