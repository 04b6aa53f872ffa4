//! Commands on one request: schedule, cancel, reschedule, status.

use super::Engine;
use super::error::{CancelError, RescheduleError, ScheduleError, ScheduleErrorReason};
use super::memory::{Ended, Memory};
use super::pending::Pending;
use super::replies::{Cancelled, Position, Receipt, RequestStatus};
use super::shard::{Known, Shard};
use super::trash::Trash;
use crate::ids::{RequestId, Timestamp};
use crate::lifecycle::Why;
use crate::lifecycle::{Outcome, RequestState};
use crate::persistence::Lsn;
use crate::persistence::record::Change;
use crate::request::InteractionRequest;
use crate::schedule::ScheduleData;
use crate::sync::{Arc, Ordering};
use crate::telemetry::{News, note};

/// Bytes of payload and customer that a store takes of one request, at most.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// What of a request can be worked out before its shard is locked.
pub(super) struct Arrival {
    pub(super) place: usize,
    pub(super) hash: u64,
    fingerprint: u64,
}

impl Engine {
    /// Takes a request in. One with schedule data falls due at its first processing time, one without at
    /// the next poll; a time that is past already is due at once.
    ///
    /// Idempotent: the same id with the same content, as submitted, is answered with the original receipt
    /// and the present state, also after the request has ended and while it is remembered.
    ///
    /// O(1), one shard lock. Many requests at once go faster through
    /// [`schedule_batch`](Self::schedule_batch).
    ///
    /// With a store under [`Durability::Sync`](crate::Durability::Sync) it waits until the request is durable.
    ///
    /// # Errors
    /// [`ScheduleError`], which hands the request back; nothing was changed, but where it says that this is not known.
    pub fn schedule(
        &self,
        mut request: InteractionRequest,
        now: Timestamp,
    ) -> Result<Receipt, ScheduleError> {
        let mut news = News::default();
        let mut rests_on = Lsn(0);
        let taken = self.arrival(&request).and_then(|arrival| {
            let mut shard = self.shards[arrival.place].lock();
            let reserve = || {
                self.reserve(1)?;
                Ok(self
                    .rules
                    .counts
                    .next_intake
                    .fetch_add(1, Ordering::Relaxed))
            };
            let taken = self.take_in(&mut shard, &mut request, &arrival, now, reserve, &mut news);
            rests_on = shard.commit();
            taken
        });
        if let Ok((_, Some(due))) = taken {
            self.wakeup.notify_due(due);
        }
        let settled = self.settle_log(rests_on);
        match taken {
            Ok(_) if settled.is_err() => Err(self.indeterminate(request)),
            Ok((receipt, _)) => Ok(receipt),
            Err(reason) => {
                // That another request has its id may be forgotten again, too.
                let reason = settled.map_or(ScheduleErrorReason::Unavailable, |()| reason);
                note_refused(&request, &reason, &mut news);
                Err(ScheduleError {
                    request: Box::new(request),
                    reason,
                })
            }
        }
    }

    /// Checks what can be checked of a request by itself, and says where it goes.
    pub(super) fn arrival(
        &self,
        request: &InteractionRequest,
    ) -> Result<Arrival, ScheduleErrorReason> {
        if !self.directory.contains(request.location) {
            return Err(ScheduleErrorReason::UnknownLocation(request.location));
        }
        if self.usable().is_err() {
            return Err(ScheduleErrorReason::Unavailable);
        }
        let (mut bytes, mut bytes_max) = (request.payload.len(), self.settings.payload_bytes_max);
        if bytes <= bytes_max && self.durable.is_some() {
            // What is written of a request is one record, whatever was set up.
            bytes += request
                .customer
                .as_ref()
                .map_or(0, |customer| customer.len());
            bytes_max = RECORD_BYTES_MAX;
        }
        if bytes > bytes_max {
            return Err(ScheduleErrorReason::PayloadTooLarge { bytes, bytes_max });
        }
        let [key0, key1] = self.rules.hash_key;
        let fingerprint = request.fingerprint(u128::from(key1) << 64 | u128::from(key0));
        let (place, hash) = self.place(request.id);
        self.log_name(request.location);
        Ok(Arrival {
            place,
            hash,
            fingerprint: fingerprint as u64,
        })
    }

    /// Reserves room for so many requests below `max_pending`.
    pub(super) fn reserve(&self, requests: usize) -> Result<(), ScheduleErrorReason> {
        let pending_max = self.settings.pending_max;
        let room = |pending: usize| pending.checked_add(requests).filter(|&n| n <= pending_max);
        let pending = &self.rules.counts.pending;
        match pending.fetch_update(Ordering::AcqRel, Ordering::Acquire, room) {
            Ok(_) => Ok(()),
            Err(_) => Err(ScheduleErrorReason::Full { pending_max }),
        }
    }

    /// Takes a request into its shard, unless it is known there or `reserve` refuses it; otherwise it gives
    /// the request's place in the order of intake. Leaves a shell of what was taken in, to be dropped without
    /// the lock. Returns when it is to be looked at, too, where it is new.
    #[inline]
    pub(super) fn take_in(
        &self,
        shard: &mut Shard,
        request: &mut InteractionRequest,
        arrival: &Arrival,
        now: Timestamp,
        reserve: impl FnOnce() -> Result<u64, ScheduleErrorReason>,
        news: &mut News,
    ) -> Result<(Receipt, Option<Timestamp>), ScheduleErrorReason> {
        let &Arrival {
            place,
            hash,
            fingerprint,
        } = arrival;
        let id = request.id;
        let receipt = |lsn, state, outcome, duplicate| Receipt {
            id,
            position: Position {
                stream: stream(place),
                lsn,
            },
            state,
            outcome,
            duplicate,
        };
        let known = match shard.known(id, hash) {
            Known::Pending(index) => {
                let pending = shard.pending(index);
                let receipt = receipt(pending.intake, pending.state(), None, true);
                Some((pending.fingerprint, receipt))
            }
            Known::Ended(ended) if shard.memory.remembers(ended, now) => {
                let outcome = Some(ended.outcome);
                let receipt = receipt(ended.intake, RequestState::Completed, outcome, true);
                Some((ended.fingerprint, receipt))
            }
            Known::Ended(_) | Known::Unknown => None,
        };
        match known {
            Some((known, receipt)) if known == fingerprint => {
                note!(
                    news,
                    Duplicate {
                        id,
                        location: request.location,
                        state: receipt.state
                    }
                );
                return Ok((receipt, None));
            }
            Some((_, receipt)) => {
                let state = receipt.state;
                return Err(ScheduleErrorReason::Conflict { state });
            }
            None => {}
        }
        // Under the lock: see `close`.
        if self.closed.load(Ordering::Acquire) {
            return Err(ScheduleErrorReason::Closed);
        }
        if !self.has_room() {
            return Err(ScheduleErrorReason::StorageFull);
        }
        let lsn = reserve()?;
        let location = request.location;
        shard.book.open(location, || self.controls.of(location));
        let (index, due) = shard.insert(request, fingerprint, hash, lsn, now);
        shard.log(Change::Accepted, index);
        note!(
            news,
            Accepted {
                id,
                location,
                scheduled: shard.pending(index).is_scheduled(),
                due: shard.pending(index).eligible(),
            }
        );
        let receipt = receipt(lsn, RequestState::Scheduled, None, false);
        Ok((receipt, Some(due)))
    }

    /// Cancels a request that was not released yet. Idempotent while the request is remembered.
    ///
    /// O(1), one shard lock. Many requests at once go faster through [`cancel_batch`](Self::cancel_batch).
    ///
    /// # Errors
    /// [`CancelError::TooLate`] once it was released, or where it has ended otherwise, be it just now because
    /// its lifespan is over;
    /// [`CancelError::Unknown`] where it never was, or is forgotten; with a store, where its journal fails.
    pub fn cancel(&self, id: RequestId, now: Timestamp) -> Result<Cancelled, CancelError> {
        self.usable().map_err(|_| CancelError::Unavailable)?;
        let (place, hash) = self.place(id);
        let mut trash = Trash::new();
        let mut shard = self.shards[place].lock();
        let answer = shard.cancel(id, hash, now, &mut trash);
        let rests_on = shard.commit();
        drop(shard);
        let settled = self.settle_log(rests_on);
        settled.map_err(|_| CancelError::Indeterminate(id))?;
        answer
    }

    /// Gives a request that was not released yet another schedule, in place: it keeps its id, its content
    /// and its place in the order of intake. `expected_revision` guards against a change in between.
    ///
    /// O(1), one shard lock.
    ///
    /// # Errors
    /// [`RescheduleError`]. The schedule was not changed; a request whose lifespan is found to be over ends as
    /// expired.
    pub fn reschedule(
        &self,
        id: RequestId,
        schedule: ScheduleData,
        expected_revision: Option<u32>,
        now: Timestamp,
    ) -> Result<Receipt, RescheduleError> {
        self.usable().map_err(|_| RescheduleError::Unavailable)?;
        let (place, hash) = self.place(id);
        let mut trash = Trash::new();
        let mut replaced = None;
        let mut shard = self.shards[place].lock();
        let answer = shard
            .find_rescheduled(id, hash, expected_revision, now, &mut trash)
            .map(|index| {
                let news = &mut trash.news;
                replaced = shard.replace_schedule(index, schedule, "caller", now, news);
                let pending = shard.pending(index);
                (pending.eligible(), pending.intake)
            });
        let rests_on = shard.commit();
        drop(shard);
        drop(replaced);
        if let Ok((due, _)) = answer {
            self.wakeup.notify_due(due);
        }
        let settled = self.settle_log(rests_on);
        settled.map_err(|_| RescheduleError::Indeterminate(id))?;
        let (_, lsn) = answer?;
        Ok(Receipt {
            id,
            position: Position {
                stream: stream(place),
                lsn,
            },
            state: RequestState::Scheduled,
            outcome: None,
            duplicate: false,
        })
    }

    /// Hands a request back that was taken in, and that may be forgotten because the journal has failed. What was left
    /// of it gets its contents again, unless it has ended since.
    #[cold]
    pub(super) fn indeterminate(&self, mut request: InteractionRequest) -> ScheduleError {
        let (place, hash) = self.place(request.id);
        let shard = self.shards[place].lock();
        if let Some(index) = shard.find(request.id, hash) {
            shard.give_back(index, &mut request);
        }
        drop(shard);
        let reason = ScheduleErrorReason::Indeterminate;
        note_refused(&request, &reason, &mut News::default());
        ScheduleError {
            request: Box::new(request),
            reason,
        }
    }

    /// What is known of a request: while it is pending, and after that until it is forgotten, which polls and
    /// ends of other requests do in steps once its span is over. O(1), one shard lock.
    ///
    /// With a store it waits as every answer does, and says whether what it tells is durable: also after the
    /// journal has failed.
    #[must_use]
    pub fn status(&self, id: RequestId) -> Option<RequestStatus> {
        let (place, hash) = self.place(id);
        let mut shard = self.shards[place].lock();
        let status = match shard.known(id, hash) {
            Known::Pending(index) => Some(status_of(shard.pending(index))),
            Known::Ended(ended) => Some(status_of_ended(ended, &shard.memory)),
            Known::Unknown => None,
        };
        let rests_on = shard.commit();
        drop(shard);
        let mut status = status?;
        status.durable = self.is_durable(id, rests_on);
        Some(status)
    }

    /// Whether what is told of a request is durable, which is waited for where answers wait.
    pub(super) fn is_durable(&self, id: RequestId, rests_on: Lsn) -> bool {
        let Some(durable) = &self.durable else {
            return false;
        };
        match durable.commit.settle(rests_on) {
            Ok(()) => rests_on <= durable.commit.durable(),
            Err(_) => !durable.commit.holds_lost(id),
        }
    }
}

/// A request was not taken in.
#[inline]
pub(super) fn note_refused(
    request: &InteractionRequest,
    reason: &ScheduleErrorReason,
    news: &mut News,
) {
    note!(
        news,
        Refused {
            id: request.id,
            location: request.location,
            reason: reason.kind()
        }
    );
}

pub(super) fn status_of(pending: Pending<'_>) -> RequestStatus {
    RequestStatus {
        id: pending.id(),
        location: pending.location,
        state: pending.state(),
        outcome: None,
        reason: None,
        due: pending.due,
        attempts: pending.attempts(),
        revision: pending.revision(),
        durable: false,
    }
}

fn status_of_ended(ended: &Ended, memory: &Memory) -> RequestStatus {
    RequestStatus {
        id: ended.id(),
        location: ended.location,
        state: RequestState::Completed,
        outcome: Some(ended.outcome),
        reason: memory.why(ended).text(),
        due: ended.due,
        attempts: ended.attempts,
        revision: ended.revision,
        durable: false,
    }
}

/// Streams 1 and up are the shards'; stream 0 is for what belongs to none.
fn stream(place: usize) -> u32 {
    u32::try_from(place + 1).expect("at most 1024 shards")
}

/// Why a request can no longer be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fixed {
    Unknown,
    Released(RequestState),
    Ended(Outcome),
}

impl Fixed {
    fn state(self) -> RequestState {
        match self {
            Self::Released(state) => state,
            Self::Unknown | Self::Ended(_) => RequestState::Completed,
        }
    }
}

impl Shard {
    /// Cancels a request that was not released yet.
    pub(super) fn cancel(
        &mut self,
        id: RequestId,
        hash: u64,
        now: Timestamp,
        trash: &mut Trash,
    ) -> Result<Cancelled, CancelError> {
        match self.find_changeable(id, hash, now, trash) {
            Ok(index) => {
                self.end(index, Outcome::Cancelled, Why::Plain, now, trash);
                Ok(Cancelled { id, already: false })
            }
            Err(Fixed::Ended(Outcome::Cancelled)) => Ok(Cancelled { id, already: true }),
            Err(Fixed::Unknown) => Err(CancelError::Unknown(id)),
            Err(fixed) => Err(CancelError::TooLate {
                id,
                state: fixed.state(),
            }),
        }
    }

    /// A request that was not released yet and whose lifespan is not over. Where it is over and no poll has
    /// seen that yet, the request ends here.
    fn find_changeable(
        &mut self,
        id: RequestId,
        hash: u64,
        now: Timestamp,
        trash: &mut Trash,
    ) -> Result<u32, Fixed> {
        let index = match self.known(id, hash) {
            Known::Pending(index) => index,
            Known::Ended(ended) if self.memory.remembers(ended, now) => {
                return Err(Fixed::Ended(ended.outcome));
            }
            Known::Ended(_) | Known::Unknown => return Err(Fixed::Unknown),
        };
        let pending = self.pending(index);
        if pending.is_released() {
            return Err(Fixed::Released(pending.state()));
        }
        if pending.has_expired(now) {
            self.expire(index, now, trash);
            return Err(Fixed::Ended(Outcome::Expired));
        }
        Ok(index)
    }

    /// A request that may be given another schedule by who has seen this revision of it.
    fn find_rescheduled(
        &mut self,
        id: RequestId,
        hash: u64,
        expected_revision: Option<u32>,
        now: Timestamp,
        trash: &mut Trash,
    ) -> Result<u32, RescheduleError> {
        let index = match self.find_changeable(id, hash, now, trash) {
            Ok(index) => index,
            Err(Fixed::Unknown) => return Err(RescheduleError::Unknown(id)),
            Err(fixed) => {
                let state = fixed.state();
                return Err(RescheduleError::TooLate { id, state });
            }
        };
        let found = self.pending(index).revision();
        match expected_revision {
            Some(expected) if expected != found => Err(RescheduleError::Revision {
                id,
                expected,
                found,
            }),
            _ => Ok(index),
        }
    }

    /// Whether a request ended and is still remembered at `now`.
    pub(super) fn remembers(&self, id: RequestId, hash: u64, now: Timestamp) -> bool {
        match self.known(id, hash) {
            Known::Ended(ended) => self.memory.remembers(ended, now),
            Known::Pending(_) | Known::Unknown => false,
        }
    }

    /// Gives what was left of a pending request its contents again.
    fn give_back(&self, index: u32, request: &mut InteractionRequest) {
        request.schedule = self.pending(index).to_schedule();
        if let Some(contents) = self.store.contents(index) {
            request.customer = contents.customer.clone();
            request.payload = Arc::clone(&contents.payload);
        }
    }

    /// Sets another schedule, told as `by` somebody's, and waits for it; returns the old one, to be dropped without
    /// the lock.
    pub(super) fn replace_schedule(
        &mut self,
        index: u32,
        schedule: ScheduleData,
        by: &'static str,
        now: Timestamp,
        news: &mut News,
    ) -> Option<ScheduleData> {
        debug_assert!(self.pending(index).state() != RequestState::Released);
        let mut pending = self.pending_mut(index);
        let replaced = pending.set_schedule(schedule, now);
        pending.revise();
        self.wait(index);
        self.log(Change::Rescheduled, index);
        note!(
            news,
            Rescheduled {
                id: self.entry(index).id(),
                location: self.entry(index).location,
                by,
                due: self.pending(index).eligible(),
                revision: self.pending(index).revision(),
            }
        );
        replaced
    }
}
