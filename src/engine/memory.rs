//! The idempotency memory of one shard: requests that ended, remembered for a time so that a repeated
//! intake or cancel gets the right answer.
//!
//! Records lie in order of their end, in segments that are used again, so that nothing is copied to grow and
//! nothing is allocated in the steady state. They are found through the shard's index, which holds their
//! sequence numbers.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

use super::index::{Index, Place};
use super::slab::{NONE, Slab};
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::Outcome;
use crate::lifecycle::{Rule, Why};
use crate::sync::Arc;

/// Records forgotten a call of [`Memory::forget`], so that a shard's lock is never held for long.
const FORGET_STEP: usize = 64;

/// Records a segment.
const SEGMENT: usize = 512;

/// Records that a shard can remember: as many as a place in the index can tell apart.
pub(super) const RECORDS_MAX: usize = (1 << 31) - 1;

/// A request that ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// High and low half: a `u128` would ask for an alignment of 16 bytes.
    id: [u64; 2],
    pub(super) fingerprint: u64,
    pub(super) intake: u64,
    pub(super) due: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) location: LocationId,
    pub(super) attempts: u32,
    pub(super) revision: u32,
    /// Of the hash of its id, what the index goes by.
    tag: u32,
    /// The router's words among [`Memory::told`], or `NONE`.
    told: u32,
    rule: Option<Rule>,
    pub(super) outcome: Outcome,
    is_uuid: bool,
}

/// What is told of a request when it ends.
pub(super) struct End {
    pub(super) id: RequestId,
    pub(super) fingerprint: u64,
    pub(super) intake: u64,
    pub(super) location: LocationId,
    pub(super) due: Timestamp,
    pub(super) attempts: u32,
    pub(super) revision: u32,
    pub(super) outcome: Outcome,
    pub(super) why: Why,
    pub(super) ended: Timestamp,
}

impl Ended {
    pub(super) fn id(&self) -> RequestId {
        let value = u128::from(self.id[0]) << 64 | u128::from(self.id[1]);
        if self.is_uuid {
            RequestId::uuid(value)
        } else {
            RequestId::integer(value)
        }
    }
}

/// Ended requests in order of their end.
pub(super) struct Memory {
    /// The first one may have been used up in part; only the last may grow.
    segments: VecDeque<Vec<Ended>>,
    /// A segment that was used up, to be used again.
    spare: Option<Vec<Ended>>,
    /// The sequence number of the first segment's first record.
    first: u64,
    /// The sequence number of the oldest record kept.
    oldest: u64,
    /// When that one ended, where there is one: asked whenever the shard is unlocked.
    oldest_ended: Timestamp,
    len: usize,
    /// What routers said, which is of any length.
    told: Slab<Arc<str>>,
    span: Duration,
    records_max: usize,
}

impl Memory {
    pub(super) fn new(span: Duration, records_max: usize) -> Self {
        Self {
            segments: VecDeque::new(),
            spare: None,
            first: 0,
            oldest: 0,
            oldest_ended: Timestamp::EPOCH,
            len: 0,
            told: Slab::new(),
            span,
            records_max: records_max.min(RECORDS_MAX),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// When the oldest record is to be forgotten; at the end of time nothing is any more.
    #[inline]
    pub(super) fn next_forgotten(&self) -> Option<Timestamp> {
        if self.len == 0 {
            return None;
        }
        self.oldest_ended.checked_add(self.span)
    }

    fn note_oldest(&mut self) {
        if let Some(record) = self.record(self.oldest) {
            self.oldest_ended = record.ended;
        }
    }

    /// Forgets what is older than the span, a bounded number of records a call, and says whether more is
    /// left to forget. What a router said goes to `told`, to be dropped when no lock is held.
    pub(super) fn forget(
        &mut self,
        now: Timestamp,
        index: &mut Index,
        told: &mut Vec<Arc<str>>,
    ) -> bool {
        let past = (self.oldest..self.oldest + self.len as u64)
            .take(FORGET_STEP)
            .filter_map(|sequence| self.record(sequence))
            .take_while(|record| !self.remembers(record, now))
            .count();
        self.forget_oldest(past, index, told);
        past == FORGET_STEP
    }

    /// Forgets the oldest, `count` at most. What their slots in the index need is loaded first, so that the
    /// waits overlap.
    fn forget_oldest(&mut self, count: usize, index: &mut Index, told: &mut Vec<Arc<str>>) {
        let last = self.oldest + count.min(self.len) as u64;
        let records = (self.oldest..last).filter_map(|sequence| self.record(sequence));
        black_box(records.fold(0, |sum, record| sum ^ index.touch(record.tag)));
        while self.oldest < last {
            self.forget_one(index, told);
        }
        self.note_oldest();
    }

    fn forget_one(&mut self, index: &mut Index, told: &mut Vec<Arc<str>>) {
        let Some(record) = self.record(self.oldest) else {
            return;
        };
        let (tag, words) = (record.tag, record.told);
        // It is not there where the same id was taken in again after the span.
        index.remove(tag, Place::remembered(self.oldest));
        told.extend(self.told.remove(words));
        self.oldest += 1;
        self.len -= 1;
        if self.oldest - self.first == SEGMENT as u64 {
            self.first = self.oldest;
            if let Some(mut segment) = self.segments.pop_front() {
                segment.clear();
                self.spare = Some(segment);
            }
        }
    }

    /// Remembers a request that stands in the index under `from`, if anywhere, or takes it out there where
    /// nothing is remembered. Where as many are remembered as may be, the oldest few are forgotten.
    pub(super) fn remember(
        &mut self,
        end: End,
        tag: u32,
        from: Option<Place>,
        index: &mut Index,
        told: &mut Vec<Arc<str>>,
    ) {
        if self.records_max == 0 || self.span.is_zero() {
            let removed = from.is_none_or(|from| index.remove(tag, from));
            debug_assert!(removed, "a pending request stands in the index");
            if let Why::Told(words) = end.why {
                told.push(words);
            }
            return;
        }
        if self.len >= self.records_max {
            // Some at once, so that the waits for memory overlap.
            let some = (self.records_max / 64).clamp(1, FORGET_STEP / 2);
            self.forget_oldest(some, index, told);
        }
        let sequence = self.oldest + self.len as u64;
        let place = Place::remembered(sequence);
        match from {
            Some(from) => {
                let replaced = index.replace(tag, from, place);
                debug_assert!(replaced, "a pending request stands in the index");
            }
            None => index.insert(tag, place),
        }
        let (rule, words) = match end.why {
            Why::Plain => (None, NONE),
            Why::Rule(rule) => (Some(rule), NONE),
            Why::Told(words) => (None, self.told.insert(words)),
        };
        let id = end.id.value();
        self.push(Ended {
            id: [(id >> 64) as u64, id as u64],
            fingerprint: end.fingerprint,
            intake: end.intake,
            due: end.due,
            ended: end.ended,
            location: end.location,
            attempts: end.attempts,
            revision: end.revision,
            tag,
            told: words,
            rule,
            outcome: end.outcome,
            is_uuid: end.id.is_uuid(),
        });
    }

    fn push(&mut self, record: Ended) {
        let has_room = self
            .segments
            .back()
            .is_some_and(|last| last.len() < SEGMENT);
        if !has_room {
            let spare = self.spare.take();
            let segment = spare.unwrap_or_else(|| Vec::with_capacity(SEGMENT));
            self.segments.push_back(segment);
        }
        if let Some(last) = self.segments.back_mut() {
            last.push(record);
            self.len += 1;
        }
        if self.len == 1 {
            self.note_oldest();
        }
    }

    /// The record that the index has at this place, where it is remembered.
    #[inline]
    pub(super) fn at(&self, place: Place) -> Option<&Ended> {
        if place.entry().is_some() {
            return None;
        }
        self.record(self.oldest + u64::from(place.after(self.oldest)))
    }

    /// Whether a record that was found is still within the span.
    pub(super) fn remembers(&self, record: &Ended, now: Timestamp) -> bool {
        record
            .ended
            .checked_add(self.span)
            .is_none_or(|end| now < end)
    }

    /// The numbers of the records kept.
    pub(super) fn sequences(&self) -> Range<u64> {
        self.oldest..self.oldest + self.len as u64
    }

    /// The record with this number, where it is kept still.
    pub(super) fn kept(&self, sequence: u64) -> Option<&Ended> {
        self.sequences()
            .contains(&sequence)
            .then(|| self.record(sequence))?
    }

    /// Why it ended.
    pub(super) fn why(&self, record: &Ended) -> Why {
        match (record.rule, self.told.get(record.told)) {
            (Some(rule), _) => Why::Rule(rule),
            (None, Some(words)) => Why::Told(Arc::clone(words)),
            (None, None) => Why::Plain,
        }
    }

    #[inline]
    fn record(&self, sequence: u64) -> Option<&Ended> {
        let place = usize::try_from(sequence - self.first).ok()?;
        self.segments.get(place / SEGMENT)?.get(place % SEGMENT)
    }

    /// Panics unless the records kept are as many as counted, and each that the index has is found there.
    pub(super) fn check_invariants(&self, index: &Index) {
        assert!(self.len <= self.records_max);
        let held: usize = self.segments.iter().map(Vec::len).sum();
        assert_eq!(held as u64, self.len as u64 + self.oldest - self.first);
        if let Some(oldest) = self.record(self.oldest).filter(|_| self.len > 0) {
            assert_eq!(oldest.ended, self.oldest_ended);
        }
        let mut told = 0;
        for sequence in self.oldest..self.oldest + self.len as u64 {
            let record = self.record(sequence).expect("kept records are found");
            told += usize::from(self.told.get(record.told).is_some());
            let place = Place::remembered(sequence);
            if let Some(found) = index.find(record.tag, |other| other == place) {
                assert_eq!(self.at(found).map(Ended::id), Some(record.id()));
            }
        }
        assert_eq!(told, self.told.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some ids share a tag.
    fn tag(id: u128) -> u32 {
        u32::try_from(id % 29).unwrap().wrapping_mul(0x9e37_79b1)
    }

    /// A memory with its index, and requests that end.
    struct Pair {
        memory: Memory,
        index: Index,
        told: Vec<Arc<str>>,
    }

    impl Pair {
        fn new(span_ms: u64, records_max: usize) -> Self {
            Self {
                memory: Memory::new(Duration::from_millis(span_ms), records_max),
                index: Index::new(),
                told: Vec::new(),
            }
        }

        fn end(&mut self, id: u128, at: u64, why: Why) {
            let place = Place::pending(u32::try_from(id).unwrap());
            self.index.insert(tag(id), place);
            let end = End {
                id: RequestId::integer(id),
                fingerprint: u64::try_from(id).unwrap(),
                intake: 0,
                location: LocationId::from_index(0),
                due: Timestamp::EPOCH,
                attempts: 1,
                revision: 1,
                outcome: Outcome::Routed,
                why,
                ended: Timestamp::from_millis(at),
            };
            self.memory
                .remember(end, tag(id), Some(place), &mut self.index, &mut self.told);
            self.index.check_invariants();
            self.memory.check_invariants(&self.index);
        }

        fn find(&self, id: u128) -> Option<&Ended> {
            let is_it = |place| {
                let record = self.memory.at(place);
                record.is_some_and(|record| record.id() == RequestId::integer(id))
            };
            self.memory.at(self.index.find(tag(id), is_it)?)
        }
    }

    #[test]
    fn what_ended_is_remembered_for_the_span_and_no_longer() {
        let mut pair = Pair::new(100, 1_000);
        for n in 0..50 {
            pair.end(n, u64::try_from(n).unwrap(), Why::Plain);
        }
        let now = Timestamp::from_millis(109);
        assert!(!pair.memory.forget(now, &mut pair.index, &mut pair.told));
        pair.memory.check_invariants(&pair.index);
        for n in 0..50_u128 {
            let found = pair.find(n).map(|record| u128::from(record.fingerprint));
            assert_eq!(found, (n > 9).then_some(n));
        }
    }

    #[test]
    fn the_count_is_bounded_and_segments_are_used_again() {
        let mut pair = Pair::new(1_000, 10);
        for n in 0..3 * SEGMENT as u128 {
            pair.end(n, 0, Why::Plain);
            assert!(pair.memory.segments.len() <= 2);
        }
        assert_eq!((pair.memory.len(), pair.index.len()), (10, 10));
        assert!(pair.memory.spare.is_some());
    }

    #[test]
    fn what_the_router_said_is_kept_and_handed_out_when_forgotten() {
        let mut pair = Pair::new(1_000, 2);
        pair.end(0, 0, Why::Told("no".into()));
        pair.end(1, 0, Why::Rule(Rule::Missed));
        let why = |id| pair.find(id).map(|record| pair.memory.why(record));
        assert_eq!(why(0), Some(Why::Told("no".into())));
        assert_eq!(why(1), Some(Why::Rule(Rule::Missed)));
        pair.end(2, 0, Why::Plain);
        assert_eq!(pair.told, ["no".into()]);
        assert!(pair.find(0).is_none());
    }
}
