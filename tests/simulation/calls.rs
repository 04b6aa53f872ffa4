//! Calls of the engine: made, and foretold by the model. The same from outside and from inside the router.

use std::fmt;

use duewheel::{
    CancelError, Cancelled, CompleteError, Completion, Engine, InteractionRequest, Lease,
    LocationChange, LocationError, LocationId, Pace, Position, RequestId, RequestState,
    RequestStatus, RescheduleError, ScheduleData, ScheduleErrorReason, Timestamp, UnknownLocation,
};

use crate::model::command::number;
use crate::model::{Intake, Model};

#[derive(Clone, Debug)]
pub(crate) enum Call {
    Schedule(Box<InteractionRequest>),
    ScheduleBatch(Vec<InteractionRequest>),
    Cancel(u64),
    CancelBatch(Vec<u64>),
    Reschedule(u64, ScheduleData, Option<u32>),
    Complete(Lease, Completion),
    Status(u64),
    Hold(u32),
    Resume(u32, Option<Pace>),
    CancelLocation(u32),
    MoveLocation(u32, u32),
    List(u32, usize),
    /// From inside the router only: a poll in a poll.
    Poll,
}

/// What the engine answered, as far as the model can foretell it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Scheduled(Vec<Result<Intake, ScheduleErrorReason>>),
    Cancelled(Vec<Result<Cancelled, CancelError>>),
    Rescheduled(Result<(), RescheduleError>),
    Completed(Result<RequestState, CompleteError>),
    Status(Option<RequestStatus>),
    Counted(Result<usize, LocationError>),
    Changed(Result<LocationChange, LocationError>),
    Listed(Result<Vec<RequestStatus>, UnknownLocation>),
    Busy,
}

/// A call that was made, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    /// The positions of accepted and repeated intakes, and of reschedules.
    pub(crate) positions: Vec<(u64, Position)>,
}

impl Call {
    pub(crate) fn make(self, engine: &Engine, now: Timestamp) -> Made {
        let mut positions = Vec::new();
        let answer = self.answer(engine, now, &mut positions);
        Made {
            call: self,
            answer,
            positions,
        }
    }

    fn answer(
        &self,
        engine: &Engine,
        now: Timestamp,
        positions: &mut Vec<(u64, Position)>,
    ) -> Answer {
        let mut taken = |request: &InteractionRequest, answered| match answered {
            Ok(receipt) => {
                let receipt: duewheel::Receipt = receipt;
                assert_eq!(receipt.id, request.id);
                positions.push((number(receipt.id), receipt.position));
                Ok(match receipt.duplicate {
                    true => Intake::Duplicate {
                        state: receipt.state,
                        outcome: receipt.outcome,
                    },
                    false => Intake::Accepted,
                })
            }
            Err(error) => {
                let error: duewheel::ScheduleError = error;
                assert_eq!(*error.request, *request, "handed back");
                Err(error.reason)
            }
        };
        match self {
            Self::Schedule(request) => {
                let answered = engine.schedule((**request).clone(), now);
                Answer::Scheduled(vec![taken(request, answered)])
            }
            Self::ScheduleBatch(requests) => {
                let answered = engine.schedule_batch(requests.clone(), now);
                assert_eq!(answered.len(), requests.len());
                let answered = requests.iter().zip(answered);
                Answer::Scheduled(answered.map(|(r, answer)| taken(r, answer)).collect())
            }
            Self::Cancel(id) => Answer::Cancelled(vec![engine.cancel((*id).into(), now)]),
            Self::CancelBatch(ids) => {
                let ids: Vec<RequestId> = ids.iter().map(|&id| id.into()).collect();
                let answered = engine.cancel_batch(&ids, now);
                assert_eq!(answered.len(), ids.len());
                Answer::Cancelled(answered)
            }
            Self::Reschedule(id, schedule, revision) => {
                let answered = engine.reschedule((*id).into(), schedule.clone(), *revision, now);
                Answer::Rescheduled(answered.map(|receipt| {
                    assert_eq!(receipt.state, RequestState::Scheduled);
                    positions.push((*id, receipt.position));
                }))
            }
            Self::Complete(lease, completion) => {
                Answer::Completed(engine.complete(lease, completion.clone(), now))
            }
            Self::Status(id) => Answer::Status(engine.status((*id).into())),
            Self::Hold(at) => {
                Answer::Counted(engine.hold(place(*at), now).map(|held| held.in_flight))
            }
            Self::Resume(at, pace) => {
                let resumed = engine.resume(place(*at), *pace, now);
                Answer::Counted(resumed.map(|resumed| resumed.held))
            }
            Self::CancelLocation(at) => Answer::Changed(engine.cancel_location(place(*at), now)),
            Self::MoveLocation(from, to) => {
                Answer::Changed(engine.move_location(place(*from), place(*to), now))
            }
            Self::List(at, limit) => Answer::Listed(list(engine, place(*at), *limit)),
            Self::Poll => {
                let polled = engine.poll(now, usize::MAX);
                polled.expect_err("one poll runs at a time");
                Answer::Busy
            }
        }
    }

    /// Whether anything may be another after it.
    pub(crate) fn changes(&self) -> bool {
        !matches!(self, Self::Status(_) | Self::List(..) | Self::Poll)
    }
}

fn list(
    engine: &Engine,
    location: LocationId,
    limit: usize,
) -> Result<Vec<RequestStatus>, UnknownLocation> {
    let mut listed = Vec::new();
    let mut from = None;
    loop {
        let page = engine.list_location(location, from, limit)?;
        assert!(page.requests.len() <= limit.max(1));
        listed.extend(page.requests);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    listed.sort_by_key(|status| status.id);
    Ok(listed)
}

impl Made {
    /// Has the model do the same, and compares what it says to it.
    pub(crate) fn follow(&self, model: &mut Model, now: Timestamp) {
        model.tell(now);
        let foretold = self.foretold(model, now);
        assert_eq!(self.answer, foretold, "{}", self.call);
    }

    fn foretold(&self, model: &mut Model, now: Timestamp) -> Answer {
        let locations = u32::try_from(model.locations.len()).unwrap();
        let known = |at: u32| match at < locations {
            true => Ok(at),
            false => Err(LocationError::Unknown(UnknownLocation(place(at)))),
        };
        match &self.call {
            Call::Schedule(request) => Answer::Scheduled(vec![model.schedule(request, now)]),
            Call::ScheduleBatch(requests) => {
                let taken = requests.iter().map(|request| model.schedule(request, now));
                Answer::Scheduled(taken.collect())
            }
            Call::Cancel(id) => Answer::Cancelled(vec![model.cancel(*id, now)]),
            Call::CancelBatch(ids) => Answer::Cancelled(self.cancelled(ids, model, now)),
            Call::Reschedule(id, schedule, revision) => {
                Answer::Rescheduled(model.reschedule(*id, schedule.clone(), *revision, now))
            }
            Call::Complete(lease, completion) => {
                Answer::Completed(model.complete(lease, completion, now))
            }
            Call::Status(id) => Answer::Status(model.status(*id)),
            Call::Hold(at) => Answer::Counted(known(*at).map(|at| model.hold(at, now))),
            Call::Resume(at, pace) => {
                Answer::Counted(known(*at).map(|at| model.resume(at, *pace, now)))
            }
            Call::CancelLocation(at) => {
                Answer::Changed(known(*at).map(|at| model.cancel_location(at, now)))
            }
            Call::MoveLocation(from, to) => {
                let both = known(*from).and_then(|from| Ok((from, known(*to)?)));
                Answer::Changed(both.map(|(from, to)| model.move_location(from, to, now)))
            }
            Call::List(at, _) => Answer::Listed(match known(*at) {
                Ok(at) => Ok(model.list(at)),
                Err(_) => Err(UnknownLocation(place(*at))),
            }),
            Call::Poll => Answer::Busy,
        }
    }

    /// What ends within a batch may have the engine forget an older one of the same batch.
    fn cancelled(
        &self,
        ids: &[u64],
        model: &mut Model,
        now: Timestamp,
    ) -> Vec<Result<Cancelled, CancelError>> {
        let Answer::Cancelled(answered) = &self.answer else {
            return Vec::new();
        };
        let foretold = ids.iter().zip(answered).map(|(&id, answered)| {
            let unknown = matches!(answered, Err(CancelError::Unknown(_)));
            if unknown && !model.requests.contains_key(&id) && model.remembered(id, now).is_some() {
                model.forget(id);
            }
            model.cancel(id, now)
        });
        foretold.collect()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schedule(request) => show(request, f),
            Self::ScheduleBatch(requests) => {
                write!(f, "a batch of {}:", requests.len())?;
                requests.iter().try_for_each(|request| {
                    f.write_str("\n        ")?;
                    show(request, f)
                })
            }
            Self::Reschedule(id, schedule, revision) => {
                write!(f, "reschedule {id}, revision {revision:?}: ")?;
                show_schedule(schedule, f)
            }
            other => write!(f, "{other:?}"),
        }
    }
}

fn show(request: &InteractionRequest, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "schedule {} at L{}, {:?}, priority {}: ",
        request.id,
        request.location.index(),
        request.media,
        request.priority.0,
    )?;
    match &request.schedule {
        Some(schedule) => show_schedule(schedule, f),
        None => f.write_str("now"),
    }
}

fn show_schedule(schedule: &ScheduleData, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for time in schedule.times() {
        write!(f, "{} {:?}, ", time.at(), time.condition())?;
    }
    if let Some(end) = schedule.not_after() {
        write!(f, "until {end}, ")?;
    }
    write!(
        f,
        "recheck {:?}, {:?}, missed {:?}, {} attempts",
        schedule.recheck(),
        schedule.exhausted(),
        schedule.missed(),
        schedule.retry().attempts()
    )
}

pub(crate) fn place(location: u32) -> LocationId {
    LocationId::from_index(location)
}
