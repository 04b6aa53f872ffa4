//! The idempotency memory of one shard: requests that ended, remembered for a time so that a repeated
//! intake or cancel gets the right answer.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;

use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::Outcome;
use crate::sync::Arc;

/// Records forgotten a call of [`Memory::forget`], so that a shard's lock is never held for long.
const FORGET_STEP: usize = 256;

/// A request that ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) id: RequestId,
    pub(super) fingerprint: u128,
    pub(super) intake: u64,
    pub(super) location: LocationId,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<Arc<str>>,
    pub(super) due: Timestamp,
    pub(super) attempts: u32,
    pub(super) revision: u32,
    pub(super) ended: Timestamp,
}

/// Ended requests in order of their end, found by id.
pub(super) struct Memory {
    records: VecDeque<Ended>,
    /// The sequence number of the oldest record kept; the table holds sequence numbers.
    oldest: u64,
    by_id: HashTable<u64>,
    span: Duration,
    records_max: usize,
}

impl Memory {
    pub(super) fn new(span: Duration, records_max: usize) -> Self {
        Self {
            records: VecDeque::new(),
            oldest: 0,
            by_id: HashTable::new(),
            span,
            records_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// When the oldest record is to be forgotten; at the end of time nothing is any more.
    pub(super) fn next_forgotten(&self) -> Option<Timestamp> {
        self.records.front()?.ended.checked_add(self.span)
    }

    /// Forgets what is older than the span, a bounded number of records a call, and says whether more is
    /// left to forget. `hash` is the hash that [`remember`](Self::remember) was given for an id.
    pub(super) fn forget(&mut self, now: Timestamp, hash: impl Fn(RequestId) -> u64) -> bool {
        for _ in 0..FORGET_STEP {
            if self.next_forgotten().is_none_or(|end| now < end) {
                return false;
            }
            self.forget_oldest(&hash);
        }
        true
    }

    fn forget_oldest(&mut self, hash: impl Fn(RequestId) -> u64) {
        let Some(record) = self.records.pop_front() else {
            return;
        };
        let sequence = self.oldest;
        self.oldest += 1;
        if let Ok(found) = self
            .by_id
            .find_entry(hash(record.id), |&other| other == sequence)
        {
            found.remove();
        }
    }

    pub(super) fn remember(&mut self, record: Ended, hash: impl Fn(RequestId) -> u64) {
        if self.records_max == 0 || self.span.is_zero() {
            return;
        }
        if self.records.len() >= self.records_max {
            self.forget_oldest(&hash);
        }
        let (oldest, id) = (self.oldest, record.id);
        // A record of the same id is past its span already, and makes way.
        let same = |sequence: &u64| self.record(*sequence).id == id;
        if let Some(sequence) = self.by_id.find(hash(id), same).copied()
            && let Ok(found) = self.by_id.find_entry(hash(id), |&other| other == sequence)
        {
            found.remove();
        }
        let sequence = oldest + self.records.len() as u64;
        self.records.push_back(record);
        let records = &self.records;
        self.by_id.insert_unique(hash(id), sequence, |&other| {
            let place = usize::try_from(other - oldest).expect("a kept record has a place");
            hash(records[place].id)
        });
    }

    /// Whether a record that was found is still within the span.
    pub(super) fn remembers(&self, record: &Ended, now: Timestamp) -> bool {
        record
            .ended
            .checked_add(self.span)
            .is_none_or(|end| now < end)
    }

    /// The record of an id that ended and was not forgotten yet.
    pub(super) fn find(&self, id: RequestId, hash: u64) -> Option<&Ended> {
        let sequence = self
            .by_id
            .find(hash, |&sequence| self.record(sequence).id == id)?;
        Some(self.record(*sequence))
    }

    fn record(&self, sequence: u64) -> &Ended {
        let place = usize::try_from(sequence - self.oldest).expect("a kept record has a place");
        &self.records[place]
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.by_id.len() <= self.records.len());
        for &sequence in &self.by_id {
            assert!(sequence - self.oldest < self.records.len() as u64);
        }
        assert!(self.records.len() <= self.records_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(id: RequestId) -> u64 {
        u64::try_from(id.value() % 7).unwrap()
    }

    fn ended(id: u128, at: u64) -> Ended {
        Ended {
            id: RequestId::integer(id),
            fingerprint: id,
            intake: 0,
            location: LocationId::from_index(0),
            outcome: Outcome::Routed,
            reason: None,
            due: Timestamp::EPOCH,
            attempts: 1,
            revision: 1,
            ended: Timestamp::from_millis(at),
        }
    }

    #[test]
    fn what_ended_is_remembered_for_the_span_and_no_longer() {
        let mut memory = Memory::new(Duration::from_millis(100), 1_000);
        for n in 0..50 {
            memory.remember(ended(n, u64::try_from(n).unwrap()), hash);
        }
        assert!(!memory.forget(Timestamp::from_millis(109), hash));
        memory.check_invariants();
        for n in 0..50_u128 {
            let id = RequestId::integer(n);
            let found = memory.find(id, hash(id)).map(|record| record.fingerprint);
            assert_eq!(found, (n > 9).then_some(n));
        }
    }

    #[test]
    fn the_count_is_bounded() {
        let mut memory = Memory::new(Duration::from_secs(1), 10);
        for n in 0..100 {
            memory.remember(ended(n, 0), hash);
            memory.check_invariants();
        }
        assert_eq!(memory.len(), 10);
    }
}
