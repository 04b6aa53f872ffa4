//! What the engine as a whole knows of a location: whether it is held, and its pace.
//!
//! A control's lock is a leaf: it is taken under a shard's lock for a few instructions, and nothing is
//! taken under it. Two flags tell without the lock that there is nothing to ask.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::ids::{LocationId, Timestamp};
use crate::sync::{Arc, AtomicU8, Mutex, Ordering, RwLock};

/// At most so many releases a second, evenly spread to the microsecond: between two releases lie 1 s divided by
/// the pace, rounded up (so that a pace of more than a million is one of a million).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pace(NonZeroU32);

impl Pace {
    /// `releases` a second, from 1; `None` for 0, which would be a hold.
    #[must_use]
    pub fn per_second(releases: u32) -> Option<Self> {
        NonZeroU32::new(releases).map(Self)
    }

    /// Releases a second.
    #[must_use]
    pub fn releases_per_second(self) -> u32 {
        self.0.get()
    }
}

const HELD: u8 = 1;
const PACED: u8 = 2;

/// Hold and pace of one location.
#[derive(Default)]
pub(super) struct LocationControl {
    flags: AtomicU8,
    rules: Mutex<Rules>,
}

#[derive(Default)]
struct Rules {
    held_since: Option<Timestamp>,
    pace: Option<Bucket>,
}

impl LocationControl {
    /// Stops releases; a hold that stands keeps its beginning.
    pub(super) fn hold(&self, now: Timestamp) {
        let mut rules = self.rules.lock();
        rules.held_since.get_or_insert(now);
        self.publish(&rules);
    }

    /// Starts releases again, and says since when they were held.
    pub(super) fn resume(&self, pace: Option<Pace>) -> Option<Timestamp> {
        let mut rules = self.rules.lock();
        rules.pace = pace.map(Bucket::new);
        let since = rules.held_since.take();
        self.publish(&rules);
        since
    }

    pub(super) fn is_held(&self) -> bool {
        self.flags.load(Ordering::Acquire) & HELD != 0
    }

    /// The time of the next release that the pace has room for, reserved by this call; `now` or earlier
    /// where it may go at once.
    pub(super) fn reserve(&self, now: Timestamp) -> Timestamp {
        if self.flags.load(Ordering::Acquire) & PACED == 0 {
            return now;
        }
        match &mut self.rules.lock().pace {
            Some(bucket) => bucket.reserve(now),
            None => now,
        }
    }

    pub(super) fn snapshot(&self) -> (bool, Option<Pace>) {
        let rules = self.rules.lock();
        (
            rules.held_since.is_some(),
            rules.pace.as_ref().map(|bucket| bucket.pace),
        )
    }

    fn publish(&self, rules: &Rules) {
        let held = if rules.held_since.is_some() { HELD } else { 0 };
        let paced = if rules.pace.is_some() { PACED } else { 0 };
        self.flags.store(held | paced, Ordering::Release);
    }
}

/// A token bucket of depth one in its virtual-scheduling form (the "generic cell rate algorithm" of
/// ITU-T I.371): it keeps the time of the next token instead of a count of tokens.
struct Bucket {
    pace: Pace,
    /// The next token's time, in microseconds since the epoch.
    next_us: u128,
}

impl Bucket {
    fn new(pace: Pace) -> Self {
        Self { pace, next_us: 0 }
    }

    fn reserve(&mut self, now: Timestamp) -> Timestamp {
        let now_us = u128::from(now.as_millis()) * 1_000;
        let interval_us = 1_000_000_u128.div_ceil(u128::from(self.pace.0.get()));
        let slot_us = self.next_us.max(now_us);
        self.next_us = slot_us + interval_us;
        let slot_ms = slot_us.div_ceil(1_000);
        Timestamp::from_millis(u64::try_from(slot_ms).unwrap_or(u64::MAX))
    }
}

/// The controls of all locations, by number.
#[derive(Default)]
pub(super) struct Controls {
    controls: RwLock<Vec<Arc<LocationControl>>>,
}

impl Controls {
    /// The control of a location that the directory knows, made at its first use.
    pub(super) fn of(&self, location: LocationId) -> Arc<LocationControl> {
        let index = location.index() as usize;
        if let Some(control) = self.controls.read().get(index) {
            return Arc::clone(control);
        }
        let mut controls = self.controls.write();
        if controls.len() <= index {
            controls.resize_with(index + 1, Arc::default);
        }
        Arc::clone(&controls[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_pace_spreads_releases_evenly_and_saves_nothing_up() {
        let mut bucket = Bucket::new(Pace::per_second(4).unwrap());
        let slots: Vec<u64> = (0..4)
            .map(|_| bucket.reserve(at(1_000)).as_millis())
            .collect();
        assert_eq!(slots, [1_000, 1_250, 1_500, 1_750]);
        assert_eq!(bucket.reserve(at(9_000)), at(9_000));
        assert_eq!(bucket.reserve(at(9_000)), at(9_250));
    }

    #[test]
    fn a_pace_of_more_than_one_a_millisecond_keeps_its_rate() {
        let mut bucket = Bucket::new(Pace::per_second(5_000).unwrap());
        let last = (0..5_001)
            .map(|_| bucket.reserve(at(1_000)))
            .last()
            .unwrap();
        assert_eq!(last, at(2_000));
    }

    #[test]
    fn a_pace_at_the_end_of_time_saturates() {
        let mut bucket = Bucket::new(Pace::per_second(1).unwrap());
        for _ in 0..3 {
            assert_eq!(bucket.reserve(Timestamp::MAX), Timestamp::MAX);
        }
    }

    #[test]
    fn a_repeated_hold_keeps_its_beginning() {
        let control = LocationControl::default();
        control.hold(at(5));
        control.hold(at(9));
        assert!(control.is_held());
        assert_eq!(control.resume(None), Some(at(5)));
        assert!(!control.is_held());
        assert_eq!(control.resume(None), None);
    }
}
