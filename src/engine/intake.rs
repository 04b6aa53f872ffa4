//! Commands on one request: schedule, cancel, reschedule, status.

use super::Engine;
use super::entry::{Entry, Phase};
use super::error::{CancelError, RescheduleError, ScheduleError, ScheduleErrorReason};
use super::memory::Ended;
use super::replies::{Cancelled, Position, Receipt, RequestStatus};
use super::shard::{Shard, Trash};
use crate::ids::{RequestId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};
use crate::request::InteractionRequest;
use crate::schedule::ScheduleData;
use crate::sync::Ordering;
use crate::telemetry::{News, note, tell};

impl Engine {
    /// Takes a request in. One with schedule data falls due at its first processing time, one without at
    /// the next poll; a time that is past already is due at once.
    ///
    /// Idempotent: the same id with the same content, as submitted, is answered with the original receipt
    /// and the present state, also after the request has ended and while it is remembered.
    ///
    /// O(1), one shard lock.
    ///
    /// # Errors
    /// [`ScheduleError`], which hands the request back; nothing was changed.
    pub fn schedule(
        &self,
        request: InteractionRequest,
        now: Timestamp,
    ) -> Result<Receipt, ScheduleError> {
        let refuse = |request: InteractionRequest, reason: ScheduleErrorReason| {
            tell!(Refused {
                id: request.id,
                location: request.location,
                reason: reason.kind()
            });
            Err(ScheduleError {
                request: Box::new(request),
                reason,
            })
        };
        if !self.directory.contains(request.location) {
            let reason = ScheduleErrorReason::UnknownLocation(request.location);
            return refuse(request, reason);
        }
        let (bytes, bytes_max) = (request.payload.len(), self.settings.payload_bytes_max);
        if bytes > bytes_max {
            return refuse(
                request,
                ScheduleErrorReason::PayloadTooLarge { bytes, bytes_max },
            );
        }
        let [key0, key1] = self.rules.hash_key;
        let fingerprint = request.fingerprint(u128::from(key1) << 64 | u128::from(key0));
        let control = self.controls.of(request.location);
        let (place, hash) = self.place(request.id);

        let mut news = News::default();
        let mut shard = self.shards[place].lock();
        if let Some((known, receipt)) = receipt_of_known(&shard, place, request.id, hash, now) {
            drop(shard);
            return match known == fingerprint {
                true => {
                    tell!(Duplicate {
                        id: receipt.id,
                        location: request.location,
                        state: receipt.state
                    });
                    Ok(receipt)
                }
                false => refuse(
                    request,
                    ScheduleErrorReason::Conflict {
                        state: receipt.state,
                    },
                ),
            };
        }
        // Under the lock: see `close`.
        if self.closed.load(Ordering::Acquire) {
            drop(shard);
            return refuse(request, ScheduleErrorReason::Closed);
        }
        let pending_max = self.settings.pending_max;
        let reserved =
            self.rules
                .pending
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |pending| {
                    (pending < pending_max).then_some(pending + 1)
                });
        if reserved.is_err() {
            drop(shard);
            return refuse(request, ScheduleErrorReason::Full { pending_max });
        }
        shard.book.open(request.location, &control);
        let lsn = self.next_intake.fetch_add(1, Ordering::Relaxed);
        let id = request.id;
        let entry = Entry::new(request, fingerprint, lsn, now);
        let due = entry.eligible;
        note!(
            news,
            Accepted {
                id,
                location: entry.location,
                scheduled: entry.schedule.is_some(),
                due
            }
        );
        shard.insert(entry, hash);
        drop(shard);
        news.tell();
        self.wakeup.notify_due(due);
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

    /// [`schedule`](Self::schedule) for many requests, one answer a request, in order.
    pub fn schedule_batch(
        &self,
        requests: Vec<InteractionRequest>,
        now: Timestamp,
    ) -> Vec<Result<Receipt, ScheduleError>> {
        requests
            .into_iter()
            .map(|request| self.schedule(request, now))
            .collect()
    }

    /// Cancels a request that was not released yet. Idempotent while the request is remembered.
    ///
    /// O(1), one shard lock.
    ///
    /// # Errors
    /// [`CancelError::TooLate`] once it was released, or where it has ended otherwise, be it just now because
    /// its lifespan is over;
    /// [`CancelError::Unknown`] where it never was, or is forgotten.
    pub fn cancel(&self, id: RequestId, now: Timestamp) -> Result<Cancelled, CancelError> {
        let (place, hash) = self.place(id);
        let mut trash = Trash::new();
        let mut shard = self.shards[place].lock();
        match shard.find_changeable(id, hash, now, &mut trash) {
            Ok(index) => {
                shard.end(index, Outcome::Cancelled, None, now, &mut trash);
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
        let (place, hash) = self.place(id);
        let mut trash = Trash::new();
        let mut shard = self.shards[place].lock();
        let index = match shard.find_changeable(id, hash, now, &mut trash) {
            Ok(index) => index,
            Err(Fixed::Unknown) => return Err(RescheduleError::Unknown(id)),
            Err(fixed) => {
                let state = fixed.state();
                return Err(RescheduleError::TooLate { id, state });
            }
        };
        let entry = shard.entry(index);
        if let Some(expected) = expected_revision.filter(|&expected| expected != entry.revision) {
            return Err(RescheduleError::Revision {
                id,
                expected,
                found: entry.revision,
            });
        }
        let replaced = shard.replace_schedule(index, schedule, now);
        shard.note_rescheduled(index, "caller", &mut trash.news);
        let entry = shard.entry(index);
        let due = entry.eligible;
        let position = Position {
            stream: stream(place),
            lsn: entry.intake,
        };
        drop(shard);
        drop(replaced);
        self.wakeup.notify_due(due);
        Ok(Receipt {
            id,
            position,
            state: RequestState::Scheduled,
            outcome: None,
            duplicate: false,
        })
    }

    /// What is known of a request: while it is pending, and after that until it is forgotten, which polls and
    /// ends of other requests do in steps once its span is over. O(1), one shard lock.
    #[must_use]
    pub fn status(&self, id: RequestId) -> Option<RequestStatus> {
        let (place, hash) = self.place(id);
        let shard = self.shards[place].lock();
        match shard.find(id, hash) {
            Some(index) => Some(status_of(shard.entry(index))),
            None => shard.memory.find(id, hash).map(status_of_ended),
        }
    }
}

pub(super) fn status_of(entry: &Entry) -> RequestStatus {
    RequestStatus {
        id: entry.id,
        location: entry.location,
        state: entry.phase().state(),
        outcome: None,
        reason: None,
        due: entry.due,
        attempts: entry.attempts,
        revision: entry.revision,
    }
}

fn status_of_ended(ended: &Ended) -> RequestStatus {
    RequestStatus {
        id: ended.id,
        location: ended.location,
        state: RequestState::Completed,
        outcome: Some(ended.outcome),
        reason: ended.reason.clone(),
        due: ended.due,
        attempts: ended.attempts,
        revision: ended.revision,
    }
}

/// The fingerprint of a request that is pending or remembered, and the receipt a repeated intake gets.
fn receipt_of_known(
    shard: &Shard,
    place: usize,
    id: RequestId,
    hash: u64,
    now: Timestamp,
) -> Option<(u128, Receipt)> {
    let receipt = |lsn, state, outcome| Receipt {
        id,
        position: Position {
            stream: stream(place),
            lsn,
        },
        state,
        outcome,
        duplicate: true,
    };
    if let Some(index) = shard.find(id, hash) {
        let entry = shard.entry(index);
        return Some((
            entry.fingerprint,
            receipt(entry.intake, entry.phase().state(), None),
        ));
    }
    let ended = shard.ended(id, hash, now)?;
    let receipt = receipt(ended.intake, RequestState::Completed, Some(ended.outcome));
    Some((ended.fingerprint, receipt))
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
    /// A request that was not released yet and whose lifespan is not over. Where it is over and no poll has
    /// seen that yet, the request ends here.
    fn find_changeable(
        &mut self,
        id: RequestId,
        hash: u64,
        now: Timestamp,
        trash: &mut Trash,
    ) -> Result<u32, Fixed> {
        let Some(index) = self.find(id, hash) else {
            return Err(match self.ended(id, hash, now) {
                None => Fixed::Unknown,
                Some(ended) => Fixed::Ended(ended.outcome),
            });
        };
        let entry = self.entry(index);
        if !entry.phase().is_before_release() {
            return Err(Fixed::Released(entry.phase().state()));
        }
        if entry.has_expired(now) {
            self.expire(index, now, trash);
            return Err(Fixed::Ended(Outcome::Expired));
        }
        Ok(index)
    }

    /// An ended request that is still remembered at `now`.
    pub(super) fn ended(&self, id: RequestId, hash: u64, now: Timestamp) -> Option<&Ended> {
        self.memory
            .find(id, hash)
            .filter(|ended| self.memory.remembers(ended, now))
    }

    /// Ends a request whose lifespan is over.
    pub(super) fn expire(&mut self, index: u32, now: Timestamp, trash: &mut Trash) {
        let why = super::entry::reason::NOT_AFTER;
        self.end(index, Outcome::Expired, Some(why.into()), now, trash);
    }

    /// Sets another schedule and waits for it; returns the old one, to be dropped without the lock.
    pub(super) fn replace_schedule(
        &mut self,
        index: u32,
        schedule: ScheduleData,
        now: Timestamp,
    ) -> Option<ScheduleData> {
        debug_assert!(self.entry(index).phase() != Phase::Released);
        let entry = self.entry_mut(index);
        let replaced = entry.schedule.take();
        entry.set_schedule(schedule, now);
        entry.revision = entry.revision.saturating_add(1);
        self.wait(index);
        replaced
    }
}
