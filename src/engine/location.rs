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

    /// Whether the pace lets a release go now (`None`), or else its place in the line, which is then kept
    /// for it. `in_line`: it had a place, which has come.
    pub(super) fn turn(&self, now: Timestamp, in_line: bool) -> Option<Timestamp> {
        if self.flags.load(Ordering::Acquire) & PACED == 0 {
            return None;
        }
        self.rules.lock().pace.as_mut()?.turn(now, in_line)
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
///
/// Who finds no token takes the next place in a line, so that the order stays. A place is a time to look
/// again and no token: after a stall many places have passed at once, and still their releases are spread.
struct Bucket {
    pace: Pace,
    /// The next token's time, in microseconds since the epoch.
    next_us: u128,
    /// The next place in the line.
    line_us: u128,
    /// The time it was asked at last.
    asked_us: u128,
}

impl Bucket {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            next_us: 0,
            line_us: 0,
            asked_us: 0,
        }
    }

    fn turn(&mut self, now: Timestamp, in_line: bool) -> Option<Timestamp> {
        let now_us = u128::from(now.as_millis()) * 1_000;
        let interval_us = 1_000_000_u128.div_ceil(u128::from(self.pace.0.get()));
        // A clock that steps back does not stop the location until it has caught up.
        let back_us = self.asked_us.saturating_sub(now_us);
        self.next_us = self.next_us.saturating_sub(back_us);
        self.line_us = self.line_us.saturating_sub(back_us);
        self.asked_us = now_us;
        let behind_us = if in_line { 0 } else { self.line_us };
        if self.next_us.max(behind_us) <= now_us {
            // A token is good for the whole of its millisecond, so that a pace above 1000 keeps its rate.
            self.next_us = self.next_us.max(now_us.saturating_sub(999)) + interval_us;
            return None;
        }
        let place_us = self.next_us.max(self.line_us);
        self.line_us = place_us + interval_us;
        let place_ms = u64::try_from(place_us.div_ceil(1_000)).unwrap_or(u64::MAX);
        // At the end of time there is no later.
        Some(Timestamp::from_millis(place_ms)).filter(|&place| place > now)
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

    /// The times at which `releases` go that are ready at `now`, as the poll would have it.
    fn releases(bucket: &mut Bucket, now: u64, releases: usize) -> Vec<u64> {
        let mut places: Vec<(u64, bool)> = vec![(now, false); releases];
        let mut times = Vec::new();
        while let Some(next) = places.iter().map(|place| place.0).min() {
            let at_index = places.iter().position(|place| place.0 == next).unwrap();
            let (_, in_line) = places.remove(at_index);
            match bucket.turn(at(next), in_line) {
                None => times.push(next),
                Some(place) => places.push((place.as_millis(), true)),
            }
        }
        times
    }

    #[test]
    fn a_pace_spreads_releases_evenly_and_saves_nothing_up() {
        let mut bucket = Bucket::new(Pace::per_second(4).unwrap());
        assert_eq!(
            releases(&mut bucket, 1_000, 4),
            [1_000, 1_250, 1_500, 1_750]
        );
        assert_eq!(releases(&mut bucket, 9_000, 2), [9_000, 9_250]);
    }

    #[test]
    fn a_pace_of_more_than_one_a_millisecond_keeps_its_rate() {
        let mut bucket = Bucket::new(Pace::per_second(5_000).unwrap());
        let times = releases(&mut bucket, 1_000, 5_001);
        assert_eq!(times.last(), Some(&2_000));
    }

    #[test]
    fn places_that_passed_in_a_stall_are_no_tokens() {
        let mut bucket = Bucket::new(Pace::per_second(1).unwrap());
        let mut turns = |now, in_line| bucket.turn(at(now), in_line).map(Timestamp::as_millis);
        assert_eq!(turns(1_000, false), None);
        assert_eq!(turns(1_000, false), Some(2_000));
        assert_eq!(turns(1_000, false), Some(3_000));
        assert_eq!(turns(90_000, true), None);
        assert_eq!(turns(90_000, true), Some(91_000));
    }

    #[test]
    fn a_clock_that_steps_back_does_not_stop_a_paced_location() {
        let mut bucket = Bucket::new(Pace::per_second(1).unwrap());
        assert_eq!(bucket.turn(at(9_000_000), false), None);
        assert_eq!(releases(&mut bucket, 1_000, 2), [2_000, 3_000]);
    }

    #[test]
    fn a_pace_at_the_end_of_time_saturates() {
        let mut bucket = Bucket::new(Pace::per_second(1).unwrap());
        for _ in 0..3 {
            assert_eq!(bucket.turn(Timestamp::MAX, false), None);
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
