//! The naive model: every request in one map, every rule as the documents have it, every search a walk
//! over all of it. This half holds the requests and the commands on them; `release.rs` holds the poll.

use std::collections::BTreeMap;
use std::time::Duration;

use duewheel::{
    CancelError, Cancelled, CompleteError, Completion, Consultation, InteractionRequest, Lease,
    LocationId, Media, Outcome, ProcessingCondition, RequestId, RequestState, RequestStatus,
    RescheduleError, RetryPolicy, ScheduleData, ScheduleErrorReason, Timestamp,
};

use crate::pace::Line;
use crate::script::{Command, Consulted, Standing, number};

/// As the engine's default.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
pub(crate) const EPOCH: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// Its next look is due at `look` (or at its lifespan's end).
    Waiting { look: Timestamp },
    /// Looked at, its turn is to come.
    Ready,
    /// Due, and waiting for its location's pace.
    InLine,
    /// Fallen due on hold.
    Parked,
    /// At the router, which has accepted it until then.
    Routing { until: Timestamp },
}

/// A pending request.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) submitted: InteractionRequest,
    pub(crate) location: u32,
    pub(crate) schedule: Option<ScheduleData>,
    pub(crate) intake: u64,
    /// When its schedule was set, and how many polls had run by then.
    pub(crate) accepted: Timestamp,
    pub(crate) polls_before: usize,
    /// Which processing time is at hand, and when that is.
    pub(crate) at_hand: usize,
    pub(crate) due: Timestamp,
    /// When it became releasable: at its time, and again at a recheck or a retry.
    pub(crate) releasable: Timestamp,
    pub(crate) place: Place,
    pub(crate) attempts: u32,
    /// Attempts before the schedule was set, which its retry policy does not count.
    pub(crate) attempts_before: u32,
    pub(crate) revision: u32,
    /// The time at hand was judged for being missed.
    pub(crate) judged: bool,
    /// Something was decided at the time at hand.
    pub(crate) decided: bool,
    /// It was released at the time at hand: a retry asks for no condition.
    pub(crate) cleared: bool,
    pub(crate) redelivery: bool,
    /// The attempt that a completion may still settle; 0 for none.
    pub(crate) open_attempt: u32,
}

impl Pending {
    pub(crate) fn id(&self) -> RequestId {
        self.submitted.id
    }

    pub(crate) fn state(&self) -> RequestState {
        match self.place {
            Place::Waiting { .. } | Place::Ready | Place::InLine => RequestState::Scheduled,
            Place::Parked => RequestState::Held,
            Place::Routing { .. } => RequestState::Routing,
        }
    }

    pub(crate) fn is_released(&self) -> bool {
        matches!(self.place, Place::Routing { .. })
    }

    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.not_after().is_some_and(|end| end <= now)
    }

    pub(crate) fn not_after(&self) -> Option<Timestamp> {
        self.schedule.as_ref().and_then(ScheduleData::not_after)
    }

    pub(crate) fn condition(&self) -> ProcessingCondition {
        self.schedule
            .as_ref()
            .map_or(ProcessingCondition::Always, |schedule| {
                schedule.times()[self.at_hand].condition().clone()
            })
    }

    pub(crate) fn next_time(&self) -> Option<Timestamp> {
        let times = self.schedule.as_ref()?.times();
        times.get(self.at_hand + 1).map(|time| time.at())
    }

    /// A conditional time gives way to the next one when that comes; an unconditional one is only late.
    pub(crate) fn gives_way(&self, now: Timestamp) -> bool {
        self.condition() != ProcessingCondition::Always
            && self.next_time().is_some_and(|next| next <= now)
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.schedule
            .as_ref()
            .map_or_else(RetryPolicy::default, |schedule| schedule.retry().clone())
    }

    /// It was released at the time at hand, which decides until it ends.
    pub(crate) fn is_retried(&self) -> bool {
        self.cleared
    }

    pub(crate) fn response_media(&self, now: Timestamp) -> Media {
        let windowed = self.schedule.as_ref().and_then(|schedule| {
            let mut windows = schedule.media_windows().iter();
            windows.find(|window| window.from() <= now && now < window.until())
        });
        windowed.map_or(self.submitted.media, |window| window.media())
    }

    /// Takes a schedule as if the request had come with it now.
    pub(crate) fn set_schedule(&mut self, schedule: ScheduleData, now: Timestamp, polls: usize) {
        self.schedule = Some(schedule);
        self.accepted = now;
        self.polls_before = polls;
        self.attempts_before = self.attempts;
        self.turn_to(0);
        while self.gives_way(now) {
            self.turn_to(self.at_hand + 1);
        }
        self.wait();
    }

    /// Another processing time is at hand.
    pub(crate) fn turn_to(&mut self, at_hand: usize) {
        let schedule = self.schedule.as_ref().unwrap();
        self.at_hand = at_hand;
        self.due = schedule.times()[at_hand].at();
        self.releasable = self.due;
        (self.judged, self.decided, self.cleared) = (false, false, false);
    }

    pub(crate) fn wait(&mut self) {
        self.place = Place::Waiting {
            look: self.releasable,
        };
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
}

/// What an intake is to be answered.
#[derive(Debug, PartialEq)]
pub(crate) enum Intake {
    Accepted,
    Duplicate {
        state: RequestState,
        outcome: Option<Outcome>,
    },
}

#[derive(Clone, Default)]
pub(crate) struct Location {
    pub(crate) held_since: Option<Timestamp>,
    pub(crate) line: Option<Line>,
}

/// All there is.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) requests: BTreeMap<u64, Pending>,
    pub(crate) ended: BTreeMap<u64, Ended>,
    pub(crate) locations: Vec<Location>,
    pub(crate) standing: Standing,
    /// The times of all polls.
    pub(crate) polls: Vec<Timestamp>,
    /// How many of them had run when the clock had last stepped back, the one that saw it included.
    pub(crate) stepped_back: usize,
    pending_max: usize,
    remember: Duration,
    next_intake: u64,
    pub(crate) consulted: Vec<Consulted>,
    pub(crate) commands: Vec<Command>,
    /// What the router said in this poll, by location and response media.
    pub(crate) answers: Vec<((u32, Media), Consultation)>,
    pub(crate) outcomes: BTreeMap<(u32, Outcome, Option<String>), u64>,
    pub(crate) released: u64,
    pub(crate) latest_ms: u64,
    pub(crate) panics: u64,
}

impl Model {
    pub(crate) fn new(locations: usize, pending_max: usize, remember: Duration) -> Self {
        Self {
            requests: BTreeMap::new(),
            ended: BTreeMap::new(),
            locations: vec![Location::default(); locations],
            standing: Standing::default(),
            polls: Vec::new(),
            stepped_back: 0,
            pending_max,
            remember,
            next_intake: 1,
            consulted: Vec::new(),
            commands: Vec::new(),
            answers: Vec::new(),
            outcomes: BTreeMap::new(),
            released: 0,
            latest_ms: 0,
            panics: 0,
        }
    }

    /// The engine is told `now`: what ended long before may be forgotten.
    pub(crate) fn tell(&mut self, now: Timestamp) {
        for ended in self.ended.values_mut() {
            let end = ended.at.checked_add(self.remember);
            ended.past_span |= end.is_some_and(|end| end <= now);
        }
    }

    /// The end of a request, while it counts.
    fn remembered(&self, id: u64, now: Timestamp) -> Option<&Ended> {
        let ended = self.ended.get(&id)?;
        let end = ended.at.checked_add(self.remember);
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
        let pending_max = self.pending_max;
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
        };
        pending.wait();
        if let Some(schedule) = &request.schedule {
            pending.set_schedule(schedule.clone(), now, self.polls.len());
        }
        self.next_intake += 1;
        self.requests.insert(id, pending);
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
        if lease.epoch() != EPOCH || lease.attempt() == 0 || lease.attempt() != pending.open_attempt
        {
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
                self.fail(id, "busy", *retry_after, now);
            }
            // Its lease ran out: it has failed already.
            Completion::Busy { .. } => {}
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
        })
    }

    pub(crate) fn expire(&mut self, id: u64, now: Timestamp) {
        self.end(id, Outcome::Expired, Some("not_after"), now);
    }

    pub(crate) fn end(&mut self, id: u64, outcome: Outcome, why: Option<&str>, now: Timestamp) {
        let mut status = self.status(id).unwrap();
        let pending = self.requests.remove(&id).unwrap();
        status.state = RequestState::Completed;
        status.outcome = Some(outcome);
        status.reason = why.map(Into::into);
        let line = (pending.location, outcome, why.map(str::to_owned));
        *self.outcomes.entry(line).or_default() += 1;
        let ended = Ended {
            submitted: pending.submitted,
            status,
            at: now,
            past_span: false,
        };
        self.ended.insert(id, ended);
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
        } else {
            self.end(id, Outcome::DeadLettered, Some(why), now);
        }
    }
}
