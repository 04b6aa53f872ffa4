//! The naive model of the engine: every request in one map, every rule as the documents have it, every
//! search a walk over all of it. This file holds the requests and the commands on them; `release.rs` the
//! poll, `locations.rs` the commands on whole locations, `recovery.rs` what a store keeps of it and gives back,
//! `compare.rs` holds an engine against it.
//!
//! The model cannot know what the router answers, nor what it does to the engine from inside its calls; it
//! asks [`Outside`].

// Shared by `#[path]`: each of its users leaves some of it unused.
#![allow(dead_code)]

pub(crate) mod command;
mod compare;
mod locations;
pub(crate) mod pace;
mod pending;
pub(crate) mod recovery;
mod release;
pub(crate) mod schedules;

use std::collections::BTreeMap;
use std::time::Duration;

use duewheel::{
    CancelError, Cancelled, CompleteError, Completion, Consultation, Disposition,
    InteractionRequest, Lease, LocationId, Media, Outcome, RequestId, RequestState, RequestStatus,
    RescheduleError, ScheduleData, ScheduleErrorReason, Timestamp,
};

use command::{Command, Consulted, number};
use pace::Line;
use pending::{Pending, Place};
use recovery::Journal;

/// The world around the engine, as far as the model does not know it.
pub(crate) trait Outside {
    /// What the router says; `None`: it panics. Whatever it does to the engine meanwhile it does to the model.
    fn consult(&mut self, model: &mut Model, asked: Consulted) -> Option<Consultation>;

    /// What becomes of commands handed over at once, one answer each; `None`: it panicked.
    fn route(&mut self, model: &mut Model, commands: Vec<Command>) -> Vec<Option<Disposition>>;

    /// Where answers rest on a store: all that has happened so far is about to be made durable.
    fn sync(&mut self, _: &Model) {}

    /// What the engine shows of a request.
    fn seen(&self, id: u64) -> Option<RequestStatus>;
}

/// What the engine was set up with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) pending_max: usize,
    pub(crate) payload_bytes_max: usize,
    pub(crate) grace: Duration,
    pub(crate) remember: Duration,
    /// Ended requests that a shard remembers at most.
    pub(crate) remembered_share: usize,
    pub(crate) route_batch: usize,
    /// The engine has a store, and answers wait for it.
    pub(crate) is_durable: bool,
}

/// Commands gathered at most where the store is waited for before they are handed over.
const GATHER_MAX: usize = 256;

impl Settings {
    fn gather_max(&self) -> usize {
        match self.is_durable {
            true => self.route_batch.max(GATHER_MAX),
            false => self.route_batch,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pending_max: usize::MAX,
            payload_bytes_max: 64 * 1024,
            grace: Duration::from_secs(60),
            remember: Duration::MAX,
            remembered_share: usize::MAX,
            route_batch: 1,
            is_durable: false,
        }
    }
}

/// A request that ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) submitted: InteractionRequest,
    pub(crate) status: RequestStatus,
    pub(crate) at: Timestamp,
    /// The engine was told a time by which it may have forgotten it.
    pub(crate) past_span: bool,
    /// How many requests had ended before, at least: a poll, or a command on a location, may end requests in
    /// another order than the model's.
    pub(crate) ended_before: usize,
}

/// What an intake is to be answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Intake {
    Accepted,
    Duplicate {
        state: RequestState,
        outcome: Option<Outcome>,
    },
}

#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) held_since: Option<Timestamp>,
    pub(crate) line: Option<Line>,
    /// When the next of those in line may go, as far as the poll has looked: a pace that changes while it runs
    /// counts from the next poll on, or from the location's next turn.
    pub(crate) opens: Timestamp,
}

impl Default for Location {
    fn default() -> Self {
        Self {
            held_since: None,
            line: None,
            opens: Timestamp::EPOCH,
        }
    }
}

impl Location {
    pub(crate) fn look_at_line(&mut self) {
        self.opens = self.line.map_or(Timestamp::EPOCH, Line::opens);
    }
}

/// All there is.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) requests: BTreeMap<u64, Pending>,
    pub(crate) ended: BTreeMap<u64, Ended>,
    pub(crate) locations: Vec<Location>,
    /// The times of all polls.
    pub(crate) polls: Vec<Timestamp>,
    /// How many of them had run when the clock had last stepped back, the one that saw it included.
    pub(crate) stepped_back: usize,
    /// How many had run when all that was due had been seen: no gap before that matters any more.
    pub(crate) caught_up: usize,
    /// A poll at that time ran out of budget, and none since has not: what was due by then was looked at
    /// or was not.
    pub(crate) looked_ahead: Option<Timestamp>,
    /// Requests that have ended; and that had when the operation began that runs and ends them in an order that the
    /// model does not know.
    ends: usize,
    ends_at_start: Option<usize>,
    pub(crate) settings: Settings,
    pub(crate) closed: bool,
    next_intake: u64,
    /// Released, and not handed over yet.
    pub(crate) batch: Vec<Command>,
    /// What the router said in this poll, by location and response media.
    pub(crate) answers: Vec<((u32, Media), Consultation)>,
    pub(crate) outcomes: BTreeMap<(u32, Outcome, Option<String>), u64>,
    pub(crate) released: u64,
    pub(crate) latest_ms: u64,
    pub(crate) panics: u64,
    /// That of the leases it mints; with a store, those of the epochs before are good too.
    pub(crate) epoch: u32,
    pub(crate) journal: Option<Box<Journal>>,
}

impl Model {
    pub(crate) fn new(locations: usize, settings: Settings) -> Self {
        Self {
            requests: BTreeMap::new(),
            ended: BTreeMap::new(),
            locations: vec![Location::default(); locations],
            polls: Vec::new(),
            stepped_back: 0,
            caught_up: 0,
            looked_ahead: None,
            ends: 0,
            ends_at_start: None,
            settings,
            closed: false,
            next_intake: 1,
            batch: Vec::new(),
            answers: Vec::new(),
            outcomes: BTreeMap::new(),
            released: 0,
            latest_ms: 0,
            panics: 0,
            epoch: 1,
            journal: None,
        }
    }

    /// The engine is told `now`: what ended long before may be forgotten.
    pub(crate) fn tell(&mut self, now: Timestamp) {
        for ended in self.ended.values_mut() {
            let end = ended.at.checked_add(self.settings.remember);
            ended.past_span |= end.is_some_and(|end| end <= now);
        }
    }

    /// Whether the engine may have forgotten a request that ended.
    pub(crate) fn may_be_forgotten(&self, id: u64) -> bool {
        let share = self.settings.remembered_share;
        let remembers = share > 0 && !self.settings.remember.is_zero();
        let ended = self.ended.get(&id);
        !remembers
            || ended.is_none_or(|ended| ended.past_span || self.ends - ended.ended_before > share)
    }

    /// Does what ends requests in an order of the engine's own.
    pub(crate) fn unordered<R>(&mut self, operation: impl FnOnce(&mut Self) -> R) -> R {
        let outer = self.ends_at_start;
        self.ends_at_start = outer.or(Some(self.ends));
        let result = operation(self);
        self.ends_at_start = outer;
        result
    }

    /// The engine has forgotten this request, as it may.
    pub(crate) fn forget(&mut self, id: u64) {
        assert!(self.may_be_forgotten(id), "request {id} was forgotten");
        self.ended.remove(&id);
    }

    /// The end of a request, while it counts.
    pub(crate) fn remembered(&self, id: u64, now: Timestamp) -> Option<&Ended> {
        let ended = self.ended.get(&id)?;
        let end = ended.at.checked_add(self.settings.remember);
        end.is_none_or(|end| now < end).then_some(ended)
    }

    pub(crate) fn schedule(
        &mut self,
        request: &InteractionRequest,
        now: Timestamp,
    ) -> Result<Intake, ScheduleErrorReason> {
        if request.location.index() as usize >= self.locations.len() {
            return Err(ScheduleErrorReason::UnknownLocation(request.location));
        }
        let (bytes, bytes_max) = (request.payload.len(), self.settings.payload_bytes_max);
        if bytes > bytes_max {
            return Err(ScheduleErrorReason::PayloadTooLarge { bytes, bytes_max });
        }
        let id = number(request.id);
        let known = match (self.requests.get(&id), self.remembered(id, now)) {
            (Some(pending), _) => Some((&pending.submitted, pending.state(), None)),
            (None, Some(ended)) => {
                let outcome = ended.status.outcome;
                Some((&ended.submitted, RequestState::Completed, outcome))
            }
            (None, None) => None,
        };
        if let Some((submitted, state, outcome)) = known {
            return if submitted == request {
                Ok(Intake::Duplicate { state, outcome })
            } else {
                Err(ScheduleErrorReason::Conflict { state })
            };
        }
        if self.closed {
            return Err(ScheduleErrorReason::Closed);
        }
        let pending_max = self.settings.pending_max;
        if self.requests.len() >= pending_max {
            return Err(ScheduleErrorReason::Full { pending_max });
        }
        let mut pending = Pending {
            submitted: request.clone(),
            location: request.location.index(),
            schedule: None,
            intake: self.next_intake,
            accepted: now,
            polls_before: self.polls.len(),
            at_hand: 0,
            due: now,
            releasable: now,
            place: Place::Ready,
            attempts: 0,
            attempts_before: 0,
            revision: 1,
            judged: false,
            decided: false,
            cleared: false,
            redelivery: false,
            open_attempt: 0,
            in_doubt: false,
            redeliveries: 0,
            cooling: false,
        };
        pending.wait();
        if let Some(schedule) = &request.schedule {
            pending.set_schedule(schedule.clone(), now, self.polls.len());
        }
        self.next_intake += 1;
        self.requests.insert(id, pending);
        self.log(id);
        Ok(Intake::Accepted)
    }

    pub(crate) fn cancel(&mut self, id: u64, now: Timestamp) -> Result<Cancelled, CancelError> {
        let name = RequestId::from(id);
        let too_late = |state| CancelError::TooLate { id: name, state };
        let Some(pending) = self.requests.get(&id) else {
            return match self.remembered(id, now) {
                None => Err(CancelError::Unknown(name)),
                Some(ended) if ended.status.outcome == Some(Outcome::Cancelled) => Ok(Cancelled {
                    id: name,
                    already: true,
                }),
                Some(_) => Err(too_late(RequestState::Completed)),
            };
        };
        if pending.is_released() {
            return Err(too_late(pending.state()));
        }
        if pending.has_expired(now) {
            self.expire(id, now);
            return Err(too_late(RequestState::Completed));
        }
        self.end(id, Outcome::Cancelled, None, now);
        Ok(Cancelled {
            id: name,
            already: false,
        })
    }

    pub(crate) fn reschedule(
        &mut self,
        id: u64,
        schedule: ScheduleData,
        expected: Option<u32>,
        now: Timestamp,
    ) -> Result<(), RescheduleError> {
        let name = RequestId::from(id);
        let too_late = |state| RescheduleError::TooLate { id: name, state };
        let polls = self.polls.len();
        let remembered = self.remembered(id, now).is_some();
        let Some(pending) = self.requests.get_mut(&id) else {
            return Err(match remembered {
                true => too_late(RequestState::Completed),
                false => RescheduleError::Unknown(name),
            });
        };
        if pending.is_released() {
            return Err(too_late(pending.state()));
        }
        if pending.has_expired(now) {
            self.expire(id, now);
            return Err(too_late(RequestState::Completed));
        }
        if let Some(expected) = expected.filter(|&expected| expected != pending.revision) {
            return Err(RescheduleError::Revision {
                id: name,
                expected,
                found: pending.revision,
            });
        }
        pending.set_schedule(schedule, now, polls);
        pending.revision += 1;
        self.log(id);
        Ok(())
    }

    pub(crate) fn complete(
        &mut self,
        lease: &Lease,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<RequestState, CompleteError> {
        let id = number(lease.id());
        let stale = |state| {
            Err(CompleteError::Stale {
                id: lease.id(),
                state,
            })
        };
        let remembered = self.remembered(id, now).is_some();
        let Some(pending) = self.requests.get_mut(&id) else {
            return match remembered {
                true => stale(RequestState::Completed),
                false => Err(CompleteError::Unknown(lease.id())),
            };
        };
        let epochs = match self.settings.is_durable {
            true => 1..=self.epoch,
            false => self.epoch..=self.epoch,
        };
        let is_open = lease.attempt() != 0 && lease.attempt() == pending.open_attempt;
        if !is_open || !epochs.contains(&lease.epoch()) {
            return stale(pending.state());
        }
        if !pending.is_released() && pending.has_expired(now) {
            self.expire(id, now);
            return stale(RequestState::Completed);
        }
        pending.open_attempt = 0;
        match completion {
            Completion::Routed => self.end(id, Outcome::Routed, None, now),
            Completion::Rejected(why) => self.end(id, Outcome::Rejected, Some(why), now),
            Completion::Busy { retry_after } if pending.is_released() => {
                pending.settle_doubt();
                self.fail(id, "busy", *retry_after, now);
            }
            // Its lease ran out: it has failed already.
            Completion::Busy { .. } => self.log(id),
        }
        Ok(self
            .requests
            .get(&id)
            .map_or(RequestState::Completed, Pending::state))
    }

    pub(crate) fn status(&self, id: u64) -> Option<RequestStatus> {
        let Some(pending) = self.requests.get(&id) else {
            return self.ended.get(&id).map(|ended| ended.status.clone());
        };
        Some(RequestStatus {
            id: pending.id(),
            location: LocationId::from_index(pending.location),
            state: pending.state(),
            outcome: None,
            reason: None,
            due: pending.due,
            attempts: pending.attempts,
            revision: pending.revision,
            durable: self.settings.is_durable,
        })
    }

    pub(crate) fn expire(&mut self, id: u64, now: Timestamp) {
        let why = match self.requests[&id].in_doubt {
            true => "in_doubt",
            false => "not_after",
        };
        self.end(id, Outcome::Expired, Some(why), now);
    }

    pub(crate) fn end(&mut self, id: u64, outcome: Outcome, why: Option<&str>, now: Timestamp) {
        let mut status = self.status(id).unwrap();
        let pending = self.requests.remove(&id).unwrap();
        status.state = RequestState::Completed;
        status.outcome = Some(outcome);
        status.reason = why.map(Into::into);
        let line = (pending.location, outcome, why.map(str::to_owned));
        *self.outcomes.entry(line).or_default() += 1;
        let ended_before = self.ends_at_start.unwrap_or(self.ends);
        self.ends += 1;
        let ended = Ended {
            submitted: pending.submitted,
            status,
            at: now,
            past_span: false,
            ended_before,
        };
        self.ended.insert(id, ended);
        self.log_end(id);
    }

    /// An attempt failed: again after a while, or never.
    pub(crate) fn fail(
        &mut self,
        id: u64,
        why: &str,
        retry_after: Option<Duration>,
        now: Timestamp,
    ) {
        let pending = self.requests.get_mut(&id).unwrap();
        let failures = pending.attempts - pending.attempts_before;
        let retry = pending.retry();
        if pending.has_expired(now) {
            self.expire(id, now);
        } else if failures < retry.attempts() {
            let delay = retry_after.unwrap_or_else(|| retry.delay(failures, 0));
            // Never early: the clock may have stepped back since the attempt was released.
            pending.releasable = now.saturating_add(delay).max(pending.due);
            pending.wait();
            self.log(id);
        } else {
            self.end(id, Outcome::DeadLettered, Some(why), now);
        }
    }
}
