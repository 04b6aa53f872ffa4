//! The router: notes how late it is called, and is slow or blocks at one location.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use duewheel::{
    Consultation, Disposition, DueRequest, LocationId, Router, RoutingCommand, Timestamp,
};
use hdrhistogram::Histogram;

/// What the router does at the one location that is unlike the others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    None,
    /// Every call takes this long.
    Slow(Duration),
    /// Every so many calls, one takes this long.
    Blocks {
        every: u64,
        span: Duration,
    },
}

/// The router.
pub(crate) struct Desk {
    location: LocationId,
    trouble: Trouble,
    calls_there: AtomicU64,
    routed: AtomicU64,
    /// Lateness in microseconds, at all other locations and at the one.
    late_us: [Mutex<Histogram<u64>>; 2],
}

impl Desk {
    pub(crate) fn new(location: LocationId, trouble: Trouble) -> Self {
        Self {
            location,
            trouble,
            calls_there: AtomicU64::new(0),
            routed: AtomicU64::new(0),
            late_us: [(); 2].map(|()| Mutex::new(histogram())),
        }
    }

    /// Calls that have begun.
    pub(crate) fn routed(&self) -> u64 {
        self.routed.load(Ordering::Relaxed)
    }

    /// Lateness in microseconds, at all other locations and at the one with the trouble.
    pub(crate) fn lateness_us(&self) -> [Histogram<u64>; 2] {
        [0, 1].map(|group| self.late_us[group].lock().expect("nobody panics").clone())
    }

    fn trouble(&self) {
        match self.trouble {
            Trouble::None => {}
            Trouble::Slow(span) => thread::sleep(span),
            Trouble::Blocks { every, span } => {
                let call = self.calls_there.fetch_add(1, Ordering::Relaxed);
                // Not with the first, so that a short run sees both.
                if call % every == every / 2 {
                    thread::sleep(span);
                }
            }
        }
    }
}

impl Router for Desk {
    fn consult(&self, _due: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let late_us = since_us(command.due);
        let is_there = command.location == self.location;
        self.late_us[usize::from(is_there)]
            .lock()
            .expect("nobody panics")
            .saturating_record(late_us);
        self.routed.fetch_add(1, Ordering::Relaxed);
        if is_there {
            self.trouble();
        }
        Disposition::Routed
    }
}

/// A microsecond to an hour, to two digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("bounds that a histogram can have")
}

/// Microseconds since an instant, by the system's clock; 0 before it.
fn since_us(instant: Timestamp) -> u64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let late = now.saturating_sub(Duration::from_millis(instant.as_millis()));
    u64::try_from(late.as_micros()).unwrap_or(u64::MAX)
}
