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
    /// The engine's, for a location without one of its own.
    default_pace: Option<Pace>,
}

#[derive(Default)]
struct Rules {
    held_since: Option<Timestamp>,
    pace: Option<Bucket>,
    /// The pace is the location's own, not the engine's.
    is_own: bool,
}

impl LocationControl {
    fn new(default_pace: Option<Pace>) -> Self {
        let control = Self {
            default_pace,
            ..Self::default()
        };
        control.resume(None);
        control
    }

    /// Stops releases; a hold that stands keeps its beginning.
    pub(super) fn hold(&self, now: Timestamp) {
        let mut rules = self.rules.lock();
        rules.held_since.get_or_insert(now);
        self.publish(&rules);
    }

    /// Starts releases again, at this pace or at the engine's, and says since when they were held.
    pub(super) fn resume(&self, pace: Option<Pace>) -> Option<Timestamp> {
        let mut rules = self.rules.lock();
        let former = rules.pace.take();
        rules.is_own = pace.is_some();
        let pace = pace.or(self.default_pace);
        rules.pace = pace.map(|pace| Bucket::after(pace, former.as_ref()));
        let since = rules.held_since.take();
        self.publish(&rules);
        since
    }

    /// What is stored of it: since when it is held, and its own pace in releases a second, 0 for none.
    pub(super) fn image(&self) -> (Option<Timestamp>, u32) {
        let rules = self.rules.lock();
        let own = rules.pace.as_ref().filter(|_| rules.is_own);
        let pace = own.map_or(0, |bucket| bucket.pace.releases_per_second());
        (rules.held_since, pace)
    }

    /// Makes it what was stored of it.
    pub(super) fn restore(&self, held_since: Option<Timestamp>, pace: Option<Pace>) {
        self.resume(pace);
        let mut rules = self.rules.lock();
        rules.held_since = held_since;
        self.publish(&rules);
    }

    pub(super) fn is_held(&self) -> bool {
        self.flags.load(Ordering::Acquire) & HELD != 0
    }

    /// Takes the token that a release needs, or says when there will be one.
    pub(super) fn take_token(&self, now: Timestamp) -> Result<(), Timestamp> {
        if self.flags.load(Ordering::Acquire) & PACED == 0 {
            return Ok(());
        }
        match &mut self.rules.lock().pace {
            Some(bucket) => bucket.take(now),
            None => Ok(()),
        }
    }

    /// When there is a token: `now`, or later.
    pub(super) fn next_token(&self, now: Timestamp) -> Timestamp {
        if self.flags.load(Ordering::Acquire) & PACED == 0 {
            return now;
        }
        match &self.rules.lock().pace {
            Some(bucket) => bucket.next(now),
            None => now,
        }
    }

    fn step_back(&self, now: Timestamp) {
        if self.flags.load(Ordering::Acquire) & PACED != 0
            && let Some(bucket) = &mut self.rules.lock().pace
        {
            bucket.step_back(now);
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
    /// A bucket that takes over from a former one: the last release counts against the new pace, so that
    /// setting a pace again grants nothing.
    fn after(pace: Pace, former: Option<&Self>) -> Self {
        let mut bucket = Self { pace, next_us: 0 };
        if let Some(former) = former.filter(|former| former.next_us > 0) {
            let last_us = former.next_us - former.interval_us();
            bucket.next_us = last_us + bucket.interval_us();
        }
        bucket
    }

    fn interval_us(&self) -> u128 {
        1_000_000_u128.div_ceil(u128::from(self.pace.0.get()))
    }

    fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let next = self.next(now);
        if next > now {
            return Err(next);
        }
        // A token is good for the whole of its millisecond, so that a pace above 1000 keeps its rate.
        let now_us = u128::from(now.as_millis()) * 1_000;
        self.next_us = self.next_us.max(now_us.saturating_sub(999)) + self.interval_us();
        Ok(())
    }

    /// A clock that stepped back does not stop the location until it has caught up: the next token is never
    /// more than an interval away.
    fn step_back(&mut self, now: Timestamp) {
        let now_us = u128::from(now.as_millis()) * 1_000;
        self.next_us = self.next_us.min(now_us + self.interval_us());
    }

    fn next(&self, now: Timestamp) -> Timestamp {
        let next_ms = u64::try_from(self.next_us.div_ceil(1_000)).unwrap_or(u64::MAX);
        // At the end of time there is no later.
        Timestamp::from_millis(next_ms).max(now)
    }
}

/// Controls a part of their table.
const PART: usize = 256;

/// Some neighbours among the locations' numbers; none has a control before its first use.
type Part = Box<[Option<Arc<LocationControl>>; PART]>;

/// The controls of all locations, by number, in parts: none is made, and nothing is copied, for the sake of
/// another, because a shard may be locked meanwhile.
pub(super) struct Controls {
    parts: RwLock<Vec<Option<Part>>>,
    default_pace: Option<Pace>,
}

impl Controls {
    pub(super) fn new(default_pace: Option<Pace>) -> Self {
        Self {
            parts: RwLock::default(),
            default_pace,
        }
    }

    /// The control of a location that the directory knows, made at its first use.
    pub(super) fn of(&self, location: LocationId) -> Arc<LocationControl> {
        let index = location.index() as usize;
        if let Some(Some(part)) = self.parts.read().get(index / PART)
            && let Some(control) = &part[index % PART]
        {
            return Arc::clone(control);
        }
        let mut parts = self.parts.write();
        if parts.len() <= index / PART {
            parts.resize_with(index / PART + 1, || None);
        }
        let part = parts[index / PART].get_or_insert_with(|| Box::new([const { None }; PART]));
        let new = || Arc::new(LocationControl::new(self.default_pace));
        Arc::clone(part[index % PART].get_or_insert_with(new))
    }

    /// The locations that are held or paced. O(locations).
    pub(super) fn ruled(&self) -> Vec<LocationId> {
        let parts = self.parts.read();
        let ruled = controls(&parts)
            .filter(|(_, control)| control.flags.load(Ordering::Acquire) != 0)
            .filter_map(|(index, _)| u32::try_from(index).ok());
        ruled.map(LocationId::from_index).collect()
    }

    /// The clock has stepped back to `now`: no pace waits for longer than it would have. O(locations).
    pub(super) fn step_back(&self, now: Timestamp) {
        for (_, control) in controls(&self.parts.read()) {
            control.step_back(now);
        }
    }
}

/// All controls that were made, with their locations' numbers.
fn controls(parts: &[Option<Part>]) -> impl Iterator<Item = (usize, &LocationControl)> {
    let parts = parts.iter().enumerate();
    let parts = parts.filter_map(|(number, part)| Some((number, part.as_ref()?)));
    parts.flat_map(|(number, part)| {
        let controls = part.iter().enumerate();
        controls.filter_map(move |(at, control)| Some((number * PART + at, &**control.as_ref()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// The times at which so many releases go that are ready at `now`.
    fn releases(bucket: &mut Bucket, now: u64, count: usize) -> Vec<u64> {
        let mut now = at(now);
        let mut times = Vec::new();
        while times.len() < count {
            match bucket.take(now) {
                Ok(()) => times.push(now.as_millis()),
                Err(next) => now = next,
            }
        }
        times
    }

    fn bucket(releases_per_second: u32) -> Bucket {
        Bucket::after(Pace::per_second(releases_per_second).unwrap(), None)
    }

    #[test]
    fn a_pace_spreads_releases_evenly_and_saves_nothing_up() {
        let mut bucket = bucket(4);
        assert_eq!(
            releases(&mut bucket, 1_000, 4),
            [1_000, 1_250, 1_500, 1_750]
        );
        assert_eq!(releases(&mut bucket, 9_000, 2), [9_000, 9_250]);
    }

    #[test]
    fn a_pace_of_more_than_one_a_millisecond_keeps_its_rate() {
        let times = releases(&mut bucket(5_000), 1_000, 5_001);
        assert_eq!(times.last(), Some(&2_000));
    }

    #[test]
    fn a_clock_that_steps_back_does_not_stop_a_paced_location() {
        let mut bucket = bucket(1);
        assert_eq!(bucket.take(at(9_000_000)), Ok(()));
        bucket.step_back(at(1_000));
        assert_eq!(releases(&mut bucket, 1_000, 2), [2_000, 3_000]);
    }

    #[test]
    fn a_pace_set_again_grants_nothing() {
        let mut bucket = bucket(2);
        assert_eq!(bucket.take(at(1_000)), Ok(()));
        for _ in 0..3 {
            bucket = Bucket::after(bucket.pace, Some(&bucket));
            assert_eq!(bucket.take(at(1_000)), Err(at(1_500)));
        }
        let mut slower = Bucket::after(Pace::per_second(1).unwrap(), Some(&bucket));
        assert_eq!(slower.take(at(1_500)), Err(at(2_000)));
    }

    #[test]
    fn a_pace_at_the_end_of_time_saturates() {
        let mut bucket = bucket(1);
        for _ in 0..3 {
            assert_eq!(bucket.take(Timestamp::MAX), Ok(()));
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
