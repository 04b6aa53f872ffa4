//! Commands on many requests at once.
//!
//! What a command costs is waiting for memory: the id's slot in the index, then the entry, then its page. In
//! a batch the requests of one shard are taken together, and everything that they will need is loaded first,
//! so that the waits overlap; the lock is taken once for some dozen of them.

use std::hint::black_box;

use super::Engine;
use super::error::{CancelError, ScheduleError, ScheduleErrorReason};
use super::index::tag_of;
use super::intake::{Arrival, note_refused};
use super::replies::{Cancelled, Receipt};
use super::shard::Shard;
use super::slab::NONE;
use super::trash::Trash;
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::persistence::Lsn;
use crate::request::InteractionRequest;
use crate::sync::Ordering;
use crate::telemetry::News;

/// Requests sorted by shard at a time.
const CHUNK: usize = 256;

/// Requests a lock: few enough that who waits for it does not wait for long.
const LOCK_STEP: usize = 16;

impl Engine {
    /// [`schedule`](Self::schedule) for many requests, one answer a request, in order. They are taken in in
    /// order, too: that is their order of release at one tick and priority. Not atomic: a poll meanwhile may
    /// release the first ones.
    ///
    /// While it runs, it may reserve room for all of them, so that near `max_pending` another thread's
    /// request may be refused although some of these turn out to be repetitions.
    ///
    /// O(requests), one shard lock for up to 16 of them.
    pub fn schedule_batch(
        &self,
        mut requests: Vec<InteractionRequest>,
        now: Timestamp,
    ) -> Vec<Result<Receipt, ScheduleError>> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut rests_on = Lsn(0);
        for chunk in requests.chunks_mut(CHUNK) {
            if self.reserve(chunk.len()).is_ok() {
                rests_on = rests_on.max(self.schedule_chunk(chunk, now, &mut answers));
            } else {
                // Which of them there is room for must be found out one by one.
                for request in chunk {
                    let placeholder = InteractionRequest::new(request.id, request.location);
                    let request = std::mem::replace(request, placeholder);
                    answers.push(self.schedule(request, now));
                }
            }
        }
        // One wait for all.
        if self.settle_log(rests_on).is_err() {
            for (answer, request) in answers.iter_mut().zip(requests) {
                if answer.is_ok() {
                    *answer = Err(self.indeterminate(request));
                }
            }
        }
        answers
    }

    /// Takes in requests for which there is room. Returns the number of the last record that the answers rest on.
    fn schedule_chunk(
        &self,
        requests: &mut [InteractionRequest],
        now: Timestamp,
        answers: &mut Vec<Result<Receipt, ScheduleError>>,
    ) -> Lsn {
        let first = answers.len();
        let mut rests_on = Lsn(0);
        let mut news = News::default();
        let mut arrivals = [const { None::<Arrival> }; CHUNK];
        for (request, arrival) in requests.iter_mut().zip(&mut arrivals) {
            answers.push(match self.arrival(request) {
                Ok(good) => {
                    *arrival = Some(good);
                    // To be replaced by what its shard says.
                    Ok(Receipt::nothing(request.id))
                }
                Err(reason) => Err(refused(request, reason, &mut news)),
            });
        }
        let intake = requests.len() as u64;
        let intake = self
            .rules
            .counts
            .next_intake
            .fetch_add(intake, Ordering::Relaxed);
        let mut taken = 0;
        let mut earliest = None::<Timestamp>;
        let place = |number: usize| arrivals[number].as_ref().map(|arrival| arrival.place);
        by_shard(requests.len(), place, |place, numbers| {
            let mut shard = self.shards[place].lock();
            let arriving = |number: &u16| {
                let number = usize::from(*number);
                Some((arrivals[number].as_ref()?, requests[number].location))
            };
            shard.touch_arriving(numbers.iter().filter_map(arriving));
            for &number in numbers {
                let number = usize::from(number);
                let Some(arrival) = &arrivals[number] else {
                    continue;
                };
                let request = &mut requests[number];
                let lsn = intake + number as u64;
                answers[first + number] =
                    match self.take_in(&mut shard, request, arrival, now, || Ok(lsn), &mut news) {
                        Ok((receipt, due)) => {
                            taken += usize::from(due.is_some());
                            earliest = earliest.into_iter().chain(due).min();
                            Ok(receipt)
                        }
                        Err(reason) => Err(refused(request, reason, &mut news)),
                    };
            }
            rests_on = rests_on.max(shard.commit());
            drop(shard);
            news.tell();
        });
        let unused = requests.len() - taken;
        self.rules
            .counts
            .pending
            .fetch_sub(unused, Ordering::AcqRel);
        if let Some(due) = earliest {
            self.wakeup.notify_due(due);
        }
        rests_on
    }

    /// [`cancel`](Self::cancel) for many requests, one answer a request, in order. Not atomic.
    ///
    /// O(requests), one shard lock for up to 16 of them.
    pub fn cancel_batch(
        &self,
        ids: &[RequestId],
        now: Timestamp,
    ) -> Vec<Result<Cancelled, CancelError>> {
        let mut answers = Vec::with_capacity(ids.len());
        if self.usable().is_err() {
            answers.resize(ids.len(), Err(CancelError::Unavailable));
            return answers;
        }
        let mut rests_on = Lsn(0);
        let mut trash = Trash::new();
        for chunk in ids.chunks(CHUNK) {
            let first = answers.len();
            answers.extend(chunk.iter().map(|&id| Err(CancelError::Unknown(id))));
            let mut places = [(0, 0); CHUNK];
            for (place, &id) in places.iter_mut().zip(chunk) {
                *place = self.place(id);
            }
            by_shard(
                chunk.len(),
                |number| Some(places[number].0),
                |place, numbers| {
                    let mut shard = self.shards[place].lock();
                    shard.touch_leaving(numbers.iter().map(|&n| places[usize::from(n)].1));
                    for &number in numbers {
                        let number = usize::from(number);
                        let (id, hash) = (chunk[number], places[number].1);
                        answers[first + number] = shard.cancel(id, hash, now, &mut trash);
                    }
                    rests_on = rests_on.max(shard.commit());
                    drop(shard);
                    trash.clear();
                },
            );
        }
        // One wait for all.
        if self.settle_log(rests_on).is_err() {
            for (answer, &id) in answers.iter_mut().zip(ids) {
                *answer = Err(CancelError::Indeterminate(id));
            }
        }
        answers
    }
}

/// Hands a request back; what stays in its place is to be dropped.
#[cold]
fn refused(
    request: &mut InteractionRequest,
    reason: ScheduleErrorReason,
    news: &mut News,
) -> ScheduleError {
    note_refused(request, &reason, news);
    let placeholder = InteractionRequest::new(request.id, request.location);
    ScheduleError {
        request: Box::new(std::mem::replace(request, placeholder)),
        reason,
    }
}

/// Calls `visit` for each shard with the numbers below `count` that `place` puts there, in order, some at a
/// time; those that it puts nowhere are left out. At most [`CHUNK`] numbers.
fn by_shard(
    count: usize,
    place: impl Fn(usize) -> Option<usize>,
    mut visit: impl FnMut(usize, &[u16]),
) {
    // The place in the high bits, so that sorting keeps the order within it.
    let mut keys = [0_u32; CHUNK];
    let mut end = 0;
    for number in 0..count.min(CHUNK) {
        if let Some(place) = place(number) {
            keys[end] = (place as u32) << 16 | number as u32;
            end += 1;
        }
    }
    let keys = &mut keys[..end];
    keys.sort_unstable();
    let mut numbers = [0_u16; LOCK_STEP];
    for same in keys.chunk_by(|one, other| one >> 16 == other >> 16) {
        for step in same.chunks(LOCK_STEP) {
            for (number, key) in numbers.iter_mut().zip(step) {
                *number = *key as u16;
            }
            visit((step[0] >> 16) as usize, &numbers[..step.len()]);
        }
    }
}

impl Shard {
    /// Loads what these arrivals will need into the cache.
    fn touch_arriving<'a>(
        &self,
        arrivals: impl Iterator<Item = (&'a Arrival, LocationId)> + Clone,
    ) {
        let mut sum = 0;
        for (arrival, location) in arrivals.clone() {
            sum ^= self.index.touch(tag_of(arrival.hash)) ^ self.book.touch_page(location);
        }
        for (_, location) in arrivals {
            sum ^= self.book.touch_open(location);
        }
        black_box(sum);
    }

    /// Loads what the ends of these requests will need into the cache: first where they are, then their
    /// entries, then what is found through those.
    fn touch_leaving(&self, hashes: impl Iterator<Item = u64> + Clone) {
        let touched = hashes.clone().map(|hash| self.index.touch(tag_of(hash)));
        black_box(touched.fold(0, |sum, touched| sum ^ touched));
        let mut entries = [NONE; LOCK_STEP];
        let mut count = 0;
        for (entry, hash) in entries.iter_mut().zip(hashes) {
            let place = self.index.candidate(tag_of(hash));
            *entry = place.and_then(|place| place.entry()).unwrap_or(NONE);
            count += 1;
        }
        let entries = &entries[..count];
        let sum = entries
            .iter()
            .fold(0, |sum, &entry| sum ^ self.store.touch(entry));
        black_box(sum);
        let mut sum = 0;
        for entry in entries.iter().filter_map(|&entry| self.store.entry(entry)) {
            sum ^= self.book.touch_line(entry.location, entry.line);
            sum ^= u32::from(self.wheel.handle_at(entry.timer).is_some());
        }
        black_box(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_by_shard_and_keep_their_order() {
        let places = [3, 1, 1023, 3, 7, 1, 3];
        let mut visits = Vec::new();
        let place = |number: usize| (number != 4).then(|| places[number]);
        by_shard(places.len(), place, |place, numbers| {
            visits.push((place, numbers.to_vec()));
        });
        let expected = [(1, vec![1, 5]), (3, vec![0, 3, 6]), (1023, vec![2])];
        assert_eq!(visits, expected);
    }

    #[test]
    fn a_lock_is_held_for_some_only() {
        let mut sizes = Vec::new();
        by_shard(CHUNK, |_| Some(5), |_, numbers| sizes.push(numbers.len()));
        assert_eq!(sizes, [LOCK_STEP; CHUNK / LOCK_STEP]);
    }
}
