//! What falls due when, and the thread that replaces what was released.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{
    Clock as _, Engine, InteractionRequest, LocationId, ScheduleData, SystemClock, Timestamp,
};
use hdrhistogram::Histogram;

use crate::desk::{self, Desk};

/// Requests in one call of the engine.
const BATCH: u64 = 256;

/// How long the feeder sleeps between its rounds.
const ROUND: Duration = Duration::from_millis(1);

/// Of so many requests one goes to the location with the trouble, where there is one.
pub(crate) const THERE_ONE_IN: u64 = 100;

/// When requests fall due, from a first instant on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pattern {
    /// So many a second, spread evenly over the ticks.
    Even(u64),
    /// So many at one tick, once a second.
    Bursts(u64),
    /// An hour later.
    Later,
}

/// An endless sequence of requests, in order of their due times.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) pattern: Pattern,
    /// Where the first of them falls due.
    pub(crate) from: Timestamp,
    pub(crate) locations: Arc<[LocationId]>,
    /// Whether the first location gets its fixed share, and the others the rest.
    pub(crate) has_trouble: bool,
}

impl Load {
    fn due(&self, number: u64) -> Timestamp {
        let after_ms = match self.pattern {
            Pattern::Even(rate) => number * 1_000 / rate,
            Pattern::Bursts(burst) => number / burst * 1_000,
            Pattern::Later => 3_600_000,
        };
        self.from.saturating_add(Duration::from_millis(after_ms))
    }

    /// How many have fallen due by `now`, that tick included.
    pub(crate) fn due_by(&self, now: Timestamp) -> u64 {
        let Some(ms) = now.as_millis().checked_sub(self.from.as_millis()) else {
            return 0;
        };
        match self.pattern {
            // The first whose due time is a later tick's.
            Pattern::Even(rate) => ((ms + 1) * rate).div_ceil(1_000),
            Pattern::Bursts(burst) => (ms / 1_000 + 1) * burst,
            Pattern::Later => 0,
        }
    }

    fn location(&self, number: u64) -> LocationId {
        let there = self.has_trouble && number.is_multiple_of(THERE_ONE_IN);
        let others = &self.locations[usize::from(self.has_trouble)..];
        match there {
            true => self.locations[0],
            false => others[usize::try_from(number % others.len() as u64).unwrap_or(0)],
        }
    }

    fn request(&self, number: u64) -> InteractionRequest {
        InteractionRequest::new(number.into(), self.location(number))
            .with_customer(number.to_string())
            .with_payload(number.to_be_bytes().repeat(4))
            .with_schedule(ScheduleData::at(self.due(number)))
    }

    /// Takes in the requests from one number up to, but not including, another.
    pub(crate) fn schedule(&self, engine: &Engine, from: u64, until: u64) -> Result<(), String> {
        let mut first = from;
        while first < until {
            let last = until.min(first + BATCH);
            let batch = (first..last).map(|number| self.request(number)).collect();
            for taken in engine.schedule_batch(batch, SystemClock.now()) {
                let _receipt = taken.map_err(|error| error.to_string())?;
            }
            first = last;
        }
        Ok(())
    }

    /// Replaces each request that the router was told of by the next of the sequence, until told to stop.
    pub(crate) fn feed(
        &self,
        engine: &Engine,
        desk: &Desk,
        pending: u64,
        stop: &AtomicBool,
    ) -> Result<(), String> {
        let mut next = pending;
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(ROUND);
            let until = pending + desk.routed();
            self.schedule(engine, next, until)?;
            next = until;
        }
        Ok(())
    }
}

/// Does nothing but sleep, a round at a time, until told to stop. Returns by how many microseconds it woke too
/// late, so weighted as releases are: who is late by 20 ms was also late for each round that it slept through.
pub(crate) fn sleep_only(stop: &AtomicBool) -> Histogram<u64> {
    let round_us = u64::try_from(ROUND.as_micros()).unwrap_or(u64::MAX);
    let mut overslept_us = desk::histogram();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        thread::sleep(ROUND);
        let overslept = begun.elapsed().saturating_sub(ROUND).as_micros();
        let overslept = u64::try_from(overslept).unwrap_or(u64::MAX);
        if overslept_us.record_correct(overslept, round_us).is_err() {
            overslept_us.saturating_record(overslept);
        }
    }
    overslept_us
}
