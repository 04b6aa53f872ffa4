//! The operations, and the pair of engine and model that they are applied to. What a store adds to both is in
//! `lives.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    Completion, Consultation, Engine, EngineBuilder, InteractionRequest, Lease, LocationId, Media,
    Pace, Receipt, RequestId, RequestState, ScheduleError, ScheduleErrorReason, Timestamp,
};

use crate::lives::{Home, Life, lsn};
use crate::model::command::{Command, number};
use crate::model::schedules::Schedule;
use crate::model::{Intake, Model, Settings};
use crate::script::{Desk, Following, Standing, desk};

/// 2026-01-05T09:00:00+02:00.
const NINE: u64 = 1_767_596_400_000;
pub(crate) const IDS: u64 = 40;
pub(crate) const LOCATIONS: u32 = 3;
pub(crate) const PENDING_MAX: usize = 30;

/// How the clock moves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Millis(u64),
    Back(u64),
    /// To the next time at which something happens.
    Next,
    /// To a little before the end of time, or to where it started.
    End(bool),
}

#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) location: u32,
    pub(crate) media: bool,
    pub(crate) priority: u8,
    pub(crate) schedule: Option<Schedule>,
}

/// Which of the leases given out, counted from the last; and a lease that was not given out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pick {
    Given(u8),
    Forged { id: u64, attempt: u32, epoch: u32 },
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Schedule(u64, Content),
    ScheduleBatch(Vec<(u64, Content)>),
    Again {
        id: u64,
        changed: bool,
    },
    Cancel(u64),
    CancelBatch(Vec<u64>),
    /// To another schedule; 1 past the revision it has, where a revision is named.
    Reschedule(u64, Schedule, Option<u32>),
    Complete(Pick, Completion),
    Hold(u32),
    Resume(u32, Option<Pace>),
    CancelLocation(u32),
    MoveLocation(u32, u32),
    List(u32, usize),
    Poll {
        budget: usize,
        drain: bool,
    },
    Clock(Step),
    Stand(Standing),
    Report,
    Strangers,
    /// Of an engine with a store.
    Life(Life),
}

/// An engine and its model, and what the caller of both remembers.
pub(crate) struct Pair {
    pub(crate) engine: Engine,
    pub(crate) desk: Arc<Desk>,
    pub(crate) standing: Standing,
    pub(crate) model: Model,
    pub(crate) now: Timestamp,
    leases: Vec<Lease>,
    /// The number in the order of intake of each request.
    pub(crate) positions: BTreeMap<u64, u64>,
    /// Every command so far.
    pub(crate) commands: Vec<Command>,
    pub(crate) remember: Duration,
    pub(crate) home: Option<Home>,
}

impl Pair {
    pub(crate) fn new(shards: usize, remember: Duration) -> Self {
        let desk = desk();
        let engine = settings(shards, remember)
            .hash_key(7)
            .build(Arc::clone(&desk) as Arc<dyn duewheel::Router>)
            .unwrap();
        enter_locations(&engine);
        Self::of(engine, desk, remember, None)
    }

    pub(crate) fn of(
        engine: Engine,
        desk: Arc<Desk>,
        remember: Duration,
        home: Option<Home>,
    ) -> Self {
        let settings = Settings {
            pending_max: PENDING_MAX,
            remember,
            is_durable: home.is_some(),
            ..Settings::default()
        };
        let mut pair = Self {
            engine,
            desk,
            standing: Standing::default(),
            model: Model::new(LOCATIONS as usize, settings),
            now: Timestamp::from_millis(NINE),
            leases: Vec::new(),
            positions: BTreeMap::new(),
            commands: Vec::new(),
            remember,
            home,
        };
        pair.stand(Standing {
            consultation: Consultation {
                expected_wait: Some(Duration::from_secs(50)),
                open: true,
                ..Consultation::default()
            },
            panics: false,
        });
        pair
    }

    /// Applies an operation to both, compares what they answer, and checks both.
    pub(crate) fn apply(&mut self, operation: &Operation) {
        let now = self.now;
        if !matches!(operation, Operation::Clock(_) | Operation::Stand(_)) {
            self.model.tell(now);
        }
        match operation {
            Operation::Schedule(id, content) => self.schedule(*id, content),
            Operation::ScheduleBatch(requests) => self.schedule_batch(requests),
            Operation::Again { id, changed } => self.again(*id, *changed),
            Operation::Cancel(id) => {
                let expected = self.model.cancel(*id, now);
                assert_eq!(self.engine.cancel((*id).into(), now), expected);
            }
            Operation::CancelBatch(ids) => {
                let expected: Vec<_> = ids.iter().map(|&id| self.model.cancel(id, now)).collect();
                let ids: Vec<RequestId> = ids.iter().map(|&id| id.into()).collect();
                assert_eq!(self.engine.cancel_batch(&ids, now), expected);
            }
            Operation::Reschedule(id, schedule, past) => self.reschedule(*id, schedule, *past),
            Operation::Complete(pick, completion) => self.complete(*pick, completion),
            Operation::Hold(location) => {
                let expected = self.model.hold(*location, now);
                let held = self.engine.hold(place(*location), now).unwrap();
                assert_eq!(held.in_flight, expected);
            }
            Operation::Resume(location, pace) => {
                let expected = self.model.resume(*location, *pace, now);
                let resumed = self.engine.resume(place(*location), *pace, now).unwrap();
                assert_eq!(resumed.held, expected);
            }
            Operation::CancelLocation(location) => {
                let expected = self.model.cancel_location(*location, now);
                let change = self.engine.cancel_location(place(*location), now);
                assert_eq!(change, Ok(expected));
            }
            Operation::MoveLocation(from, to) => {
                let expected = self.model.move_location(*from, *to, now);
                let change = self.engine.move_location(place(*from), place(*to), now);
                assert_eq!(change, Ok(expected));
            }
            Operation::List(location, limit) => self.list(*location, *limit),
            Operation::Poll { budget, drain } => self.poll(*budget, *drain),
            Operation::Clock(step) => self.clock(*step),
            Operation::Stand(standing) => self.stand(*standing),
            Operation::Report => self.model.compare_report(&self.engine, self.now),
            Operation::Strangers => self.strangers(),
            Operation::Life(life) => self.live(life),
        }
        self.check();
    }

    fn schedule(&mut self, id: u64, content: &Content) {
        let request = self.request(id, content);
        self.submit(request);
    }

    fn schedule_batch(&mut self, requests: &[(u64, Content)]) {
        let requests: Vec<InteractionRequest> = requests
            .iter()
            .map(|(id, content)| self.request(*id, content))
            .collect();
        let expected: Vec<_> = requests
            .iter()
            .map(|request| self.model.schedule(request, self.now))
            .collect();
        let answered = self.engine.schedule_batch(requests.clone(), self.now);
        assert_eq!(answered.len(), requests.len());
        for ((request, answered), expected) in requests.iter().zip(answered).zip(expected) {
            self.check_intake(request, answered, expected);
        }
    }

    pub(crate) fn request(&self, id: u64, content: &Content) -> InteractionRequest {
        let mut request = InteractionRequest::new(id.into(), place(content.location))
            .with_media(if content.media {
                Media::Email
            } else {
                Media::Voice
            })
            .with_priority(content.priority)
            .with_customer(format!("customer {id}"))
            .with_payload(id.to_le_bytes().to_vec());
        if let Some(schedule) = &content.schedule {
            request = request.with_schedule(schedule.build(self.now));
        }
        request
    }

    /// The same request once more, or another one by its id.
    fn again(&mut self, id: u64, changed: bool) {
        let known = self
            .model
            .requests
            .get(&id)
            .map(|pending| &pending.submitted);
        let ended = self.model.ended.get(&id).map(|ended| &ended.submitted);
        if let Some(request) = known.or(ended) {
            let mut request = request.clone();
            if changed {
                request.priority.0 ^= 1;
            }
            self.submit(request);
        }
    }

    fn submit(&mut self, request: InteractionRequest) {
        let expected = self.model.schedule(&request, self.now);
        let answered = self.engine.schedule(request.clone(), self.now);
        self.check_intake(&request, answered, expected);
    }

    pub(crate) fn check_intake(
        &mut self,
        request: &InteractionRequest,
        answered: Result<Receipt, ScheduleError>,
        expected: Result<Intake, ScheduleErrorReason>,
    ) {
        let id = number(request.id);
        match (answered, expected) {
            (Ok(receipt), Ok(intake)) => {
                assert_eq!(receipt.id, request.id);
                let lsn = lsn(receipt.position);
                if !receipt.duplicate {
                    self.positions.insert(id, lsn);
                }
                assert_eq!(*self.positions.entry(id).or_insert(lsn), lsn);
                let answered = match receipt.duplicate {
                    true => Intake::Duplicate {
                        state: receipt.state,
                        outcome: receipt.outcome,
                    },
                    false => Intake::Accepted,
                };
                assert_eq!(answered, intake);
            }
            (Err(error), Err(reason)) => {
                assert_eq!(error.reason, reason);
                assert_eq!(*error.request, *request, "handed back");
            }
            (answered, expected) => panic!("{answered:?}, expected {expected:?}"),
        }
    }

    fn reschedule(&mut self, id: u64, schedule: &Schedule, past: Option<u32>) {
        let schedule = schedule.build(self.now);
        let revision = self.model.status(id).map_or(1, |status| status.revision);
        let revision = past.map(|past| revision + past);
        let expected = self
            .model
            .reschedule(id, schedule.clone(), revision, self.now);
        let answered = self
            .engine
            .reschedule(id.into(), schedule, revision, self.now);
        if let Ok(receipt) = &answered {
            let lsn = lsn(receipt.position);
            assert_eq!(*self.positions.entry(id).or_insert(lsn), lsn);
            assert_eq!(receipt.state, RequestState::Scheduled);
        }
        assert_eq!(answered.map(|_| ()), expected);
    }

    fn complete(&mut self, pick: Pick, completion: &Completion) {
        let Some(lease) = self.lease(pick) else {
            return;
        };
        let expected = self.model.complete(&lease, completion, self.now);
        let answered = self.engine.complete(&lease, completion.clone(), self.now);
        assert_eq!(answered, expected, "{lease}");
    }

    pub(crate) fn lease(&self, pick: Pick) -> Option<Lease> {
        Some(match pick {
            Pick::Given(back) => {
                let given = self.leases.len();
                self.leases[given.checked_sub(1 + usize::from(back))?]
            }
            Pick::Forged { id, attempt, epoch } => {
                format!("{id}/{attempt}/{epoch}").parse().unwrap()
            }
        })
    }

    fn list(&self, location: u32, limit: usize) {
        let mut listed = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .engine
                .list_location(place(location), from, limit)
                .unwrap();
            assert!(page.requests.len() <= limit.max(1));
            listed.extend(page.requests);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        listed.sort_by_key(|status| status.id);
        assert_eq!(listed, self.model.list(location));
    }

    pub(crate) fn note_commands(&mut self, commands: Vec<Command>) {
        let leases = commands.iter().map(|told| told.lease.parse::<Lease>());
        self.leases.extend(leases.map(Result::unwrap));
        self.commands.extend(commands);
    }

    pub(crate) fn poll(&mut self, budget: usize, drain: bool) {
        self.model.tell(self.now);
        for _ in 0..10_000 {
            let budget = if drain { budget.max(1) } else { budget };
            let poll = self.engine.poll(self.now, budget).unwrap();
            let mut scripted = Following::new(self.standing, &self.engine);
            let expected = self.model.poll(self.now, budget, &mut scripted);
            assert_eq!(self.desk.take_consulted(), scripted.consulted);
            let commands = self.desk.take_commands();
            assert_eq!(commands, scripted.commands);
            self.note_commands(commands);
            let answered = (poll.examined, poll.released, poll.more);
            assert_eq!(
                answered,
                (expected.examined, expected.released, expected.more)
            );
            assert!(!poll.blocked);
            self.note_polled();
            assert_eq!(poll.next_wakeup, self.engine.next_wakeup());
            if !poll.more || !drain {
                return;
            }
            self.check();
        }
        panic!("a drain comes to an end");
    }

    fn clock(&mut self, step: Step) {
        let next = match step {
            Step::Millis(millis) => self.now.saturating_add(Duration::from_millis(millis)),
            Step::Back(millis) => self.now.saturating_sub(Duration::from_millis(millis)),
            Step::Next => self
                .model
                .next_event(self.now)
                .unwrap_or(self.now)
                .max(self.now),
            Step::End(true) => Timestamp::from_millis(u64::MAX - 100_000),
            Step::End(false) => Timestamp::from_millis(NINE),
        };
        // A poll that ran out of budget may have looked at a request or not. Where it then is overtaken, or the
        // clock steps back, that would show.
        if self.model.would_show(self.now, next) {
            // What this poll sees of them counts; after the step back nobody could tell.
            self.poll(usize::MAX, true);
        }
        self.now = next;
    }

    fn stand(&mut self, standing: Standing) {
        self.desk.set(standing);
        self.standing = standing;
    }

    pub(crate) fn full_report(&self) -> duewheel::Report {
        self.engine.report(self.now)
    }

    /// What nobody knows is an error that names it.
    fn strangers(&self) {
        let (nowhere, now) = (place(LOCATIONS), self.now);
        let listed = duewheel::UnknownLocation(nowhere);
        let unknown = duewheel::LocationError::Unknown(listed);
        assert_eq!(self.engine.hold(nowhere, now), Err(unknown));
        assert_eq!(self.engine.resume(nowhere, None, now), Err(unknown));
        assert_eq!(self.engine.cancel_location(nowhere, now), Err(unknown));
        assert_eq!(
            self.engine.move_location(place(0), nowhere, now),
            Err(unknown)
        );
        assert_eq!(
            self.engine.move_location(nowhere, place(0), now),
            Err(unknown)
        );
        assert_eq!(self.engine.list_location(nowhere, None, 1), Err(listed));
        let request = InteractionRequest::new(1.into(), nowhere);
        let refused = self.engine.schedule(request, now).unwrap_err();
        assert_eq!(
            refused.reason,
            ScheduleErrorReason::UnknownLocation(nowhere)
        );
        assert_eq!(self.engine.status((IDS + 1).into()), None);
    }

    /// Compares all that can be seen, and lets the engine look over its own structures.
    pub(crate) fn check(&mut self) {
        self.engine.check_invariants();
        self.model.compare(&self.engine, self.now, 0..IDS);
        // Whoever is told of something waits for it.
        self.model.sync();
    }
}

/// How every engine of these tests is set up.
pub(crate) fn settings(shards: usize, remember: Duration) -> EngineBuilder {
    Engine::builder()
        .shards(shards)
        .max_pending(PENDING_MAX)
        .remember(remember, 1_000_000)
}

/// Names the locations, always in the same order.
pub(crate) fn enter_locations(engine: &Engine) {
    for location in 0..LOCATIONS {
        let entered = engine.directory().enter(&format!("L{location}"));
        assert_eq!(entered.unwrap(), place(location));
    }
}

pub(crate) fn place(location: u32) -> LocationId {
    LocationId::from_index(location)
}
