//! [`CentreOf`]: an engine with its router, driven by hand.

use std::sync::{Arc, Mutex};

use duewheel::{
    BuildError, CancelError, CompleteError, Completion, Consultation, Disposition, DueRequest,
    Engine, FileOptions, InteractionRequest, LocationError, LocationId, PollError, RequestId,
    RescheduleError, Router, RoutingCommand, ScheduleData, ScheduleErrorReason, SnapshotError,
    Store, StoreError,
};

use crate::disk::SimulatedDisk;
use crate::inhabitant::{Inhabitant, Trouble, broken};
use crate::promises::{Answer, Done, LEASE, Promises, answer};

/// One whose segments a few records fill.
pub(crate) type Centre = CentreOf<{ 4 << 10 }>;

/// One whose segments have room to lend.
pub(crate) type Lender = CentreOf<LARGE>;

pub(crate) const LARGE: u64 = 32 << 20;

const LOCATIONS: [&str; 2] = ["north", "south"];

/// Polls in which everything must come to its end, ten minutes apart.
const POLLS_MAX: u32 = 200;

/// What a script is made of. Requests are numbered as they are handed in, and a number too large counts from the
/// beginning again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Schedule {
        due_s: u64,
        payload: usize,
    },
    /// So many at once.
    Batch(u64),
    Cancel(u64),
    /// To so many seconds from now.
    Reschedule(u64, u64),
    Hold(usize),
    Resume(usize),
    CancelLocation(usize),
    /// After so many seconds.
    Poll(u64),
    /// What the router has accepted first and not ended.
    Complete,
    Snapshot,
    Flush,
    /// Until nothing is pending.
    Drain,
}

/// Remembers what it was told.
#[derive(Default)]
pub(crate) struct Desk(Mutex<Vec<RoutingCommand>>);

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let id = u64::try_from(command.id.value()).unwrap_or(u64::MAX);
        let answer = answer(id, command.attempt);
        self.0.lock().unwrap().push(command);
        match answer {
            Answer::Routed => Disposition::Routed,
            Answer::Busy => Disposition::Busy { retry_after: None },
            Answer::Accepted => Disposition::Accepted { lease_for: LEASE },
        }
    }
}

pub(crate) struct CentreOf<const SEGMENT_BYTES: u64> {
    engine: Engine,
    desk: Arc<Desk>,
    locations: [LocationId; 2],
}

impl<const SEGMENT_BYTES: u64> Inhabitant for CentreOf<SEGMENT_BYTES> {
    type Step = Step;
    type Ledger = Promises;

    fn open(disk: &SimulatedDisk, promises: &mut Promises) -> Result<Self, Trouble> {
        let options = FileOptions::new().segment_bytes(SEGMENT_BYTES);
        let store = Store::on_disk(Arc::new(disk.clone()), options)?;
        let desk = Arc::new(Desk::default());
        let engine = Engine::builder().shards(2).store(store);
        let engine = match engine.build(desk.clone()) {
            Ok(engine) => engine,
            Err(BuildError::Store(error)) => return Err(error.into()),
            Err(error) => broken!("{error}"),
        };
        let locations = LOCATIONS.map(|name| engine.directory().enter(name).unwrap());
        let centre = Self {
            engine,
            desk,
            locations,
        };
        promises.life += 1;
        centre.check(promises)?;
        Ok(centre)
    }

    fn perform(&mut self, step: &Step, promises: &mut Promises) -> Result<(), Trouble> {
        match *step {
            Step::Schedule { due_s, payload } => self.schedule(due_s, payload, promises),
            Step::Batch(requests) => self.batch(requests, promises),
            Step::Cancel(id) => self.cancel(id, promises),
            Step::Reschedule(id, due_s) => self.reschedule(id, due_s, promises),
            Step::Hold(location) => self.hold(location, promises),
            Step::Resume(location) => self.resume(location, promises),
            Step::CancelLocation(location) => self.cancel_location(location, promises),
            Step::Poll(seconds) => {
                promises.now_s += seconds;
                self.poll(promises)
            }
            Step::Complete => self.complete(promises),
            Step::Snapshot => match self.engine.snapshot() {
                Ok(_) => Ok(()),
                // The ones before are as they were.
                Err(SnapshotError::Store(StoreError::Full { .. })) => Ok(()),
                Err(SnapshotError::Store(error)) => Err(error.into()),
                Err(error) => broken!("{error}"),
            },
            Step::Flush => match self.engine.flush() {
                Ok(()) => {
                    promises.settle();
                    Ok(())
                }
                Err(_) => Err(self.failure()),
            },
            Step::Drain => self.drain(promises),
        }
    }

    fn aftermath() -> Vec<Step> {
        let take = |due_s| Step::Schedule { due_s, payload: 50 };
        vec![
            take(1),
            Step::Poll(1),
            Step::Snapshot,
            take(30),
            Step::Drain,
        ]
    }
}

impl<const SEGMENT_BYTES: u64> CentreOf<SEGMENT_BYTES> {
    /// Why the engine does no more.
    fn failure(&self) -> Trouble {
        match self.engine.store_error() {
            Some(error) => Trouble::Store(error),
            None => Trouble::Broken("the engine refuses, and its store is well".to_owned()),
        }
    }

    /// Holds all that the engine knows against what was promised.
    fn check(&self, promises: &Promises) -> Result<(), Trouble> {
        self.engine.check_invariants();
        for id in promises.entries.keys() {
            let status = self.engine.status(RequestId::from(*id));
            promises.check_status(*id, status.as_ref())?;
        }
        Ok(())
    }

    fn request(&self, due_s: u64, payload: usize, promises: &mut Promises) -> InteractionRequest {
        let id = promises.entries.len() as u64;
        let due = promises.after(due_s);
        let location = usize::try_from(id % 3 % 2).unwrap();
        let entry = promises.entry(id);
        // Whatever comes of it, it may be there.
        entry.taken = Done::Perhaps;
        entry.dues.insert(due);
        entry.location = location;
        InteractionRequest::new(RequestId::from(id), self.locations[location])
            .with_payload(vec![id as u8; payload])
            .with_schedule(ScheduleData::at(due))
    }

    fn schedule(&self, due_s: u64, payload: usize, promises: &mut Promises) -> Result<(), Trouble> {
        let request = self.request(due_s, payload, promises);
        let taken = self.engine.schedule(request, promises.now());
        self.taken(taken, promises)
    }

    fn batch(&self, requests: u64, promises: &mut Promises) -> Result<(), Trouble> {
        let batch = (0..requests).map(|place| self.request(5 + place, 80, promises));
        let batch = batch.collect::<Vec<_>>();
        let mut outcome = Ok(());
        for taken in self.engine.schedule_batch(batch, promises.now()) {
            outcome = outcome.and(self.taken(taken, promises));
        }
        outcome
    }

    fn taken(
        &self,
        taken: Result<duewheel::Receipt, duewheel::ScheduleError>,
        promises: &mut Promises,
    ) -> Result<(), Trouble> {
        let error = match taken {
            Ok(receipt) => {
                promises.entry(number(receipt.id)).taken = Done::Yes;
                promises.settle();
                return Ok(());
            }
            Err(error) => error,
        };
        let id = number(error.request.id);
        match error.reason {
            ScheduleErrorReason::Indeterminate => Err(self.failure()),
            ScheduleErrorReason::Unavailable => {
                promises.entry(id).taken = Done::No;
                Err(self.failure())
            }
            // It goes on with what it has.
            ScheduleErrorReason::StorageFull => {
                promises.entry(id).taken = Done::No;
                Ok(())
            }
            reason => broken!("request {id} is refused: {reason:?}"),
        }
    }

    /// One of those handed in.
    fn one(id: u64, promises: &Promises) -> Option<u64> {
        id.checked_rem(promises.entries.len() as u64)
    }

    fn cancel(&self, id: u64, promises: &mut Promises) -> Result<(), Trouble> {
        let Some(id) = Self::one(id, promises) else {
            return Ok(());
        };
        let before = promises.entries[&id].clone();
        promises.entry(id).cancelled = before.cancelled.max(Done::Perhaps);
        match self.engine.cancel(RequestId::from(id), promises.now()) {
            Ok(_) => {
                if before.ended == Done::Yes || before.taken == Done::No {
                    broken!("request {id} is cancelled: {before:?}");
                }
                let entry = promises.entry(id);
                entry.cancelled = Done::Yes;
                entry.taken = Done::Yes;
                if before.cancelled == Done::No {
                    promises.settle();
                }
            }
            Err(CancelError::Indeterminate(_)) => return Err(self.failure()),
            Err(error) => {
                promises.entry(id).cancelled = before.cancelled;
                match error {
                    CancelError::Unavailable => return Err(self.failure()),
                    CancelError::Unknown(_) if before.taken < Done::Yes => {}
                    CancelError::TooLate { .. } if !before.routes.is_empty() => {}
                    // Released, and nobody told yet.
                    CancelError::TooLate { .. }
                        if before.dues.iter().any(|due| *due <= promises.now()) => {}
                    error => broken!("{error}: {before:?}"),
                }
            }
        }
        Ok(())
    }

    fn reschedule(&self, id: u64, due_s: u64, promises: &mut Promises) -> Result<(), Trouble> {
        let Some(id) = Self::one(id, promises) else {
            return Ok(());
        };
        let due = promises.after(due_s);
        let before = promises.entries[&id].clone();
        promises.entry(id).dues.insert(due);
        let schedule = ScheduleData::at(due);
        match self
            .engine
            .reschedule(RequestId::from(id), schedule, None, promises.now())
        {
            Ok(_) => {
                let entry = promises.entry(id);
                entry.dues = [due].into();
                entry.taken = Done::Yes;
                promises.settle();
            }
            Err(RescheduleError::Indeterminate(_)) => return Err(self.failure()),
            Err(error) => {
                promises.entry(id).dues = before.dues;
                if let RescheduleError::Unavailable = error {
                    return Err(self.failure());
                }
            }
        }
        Ok(())
    }

    fn located<T>(&self, answer: Result<T, LocationError>) -> Result<Option<T>, Trouble> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(LocationError::Unavailable(_) | LocationError::Indeterminate(_)) => {
                Err(self.failure())
            }
            Err(error) => broken!("{error}"),
        }
    }

    fn hold(&self, location: usize, promises: &mut Promises) -> Result<(), Trouble> {
        promises.held[location] = None;
        self.located(self.engine.hold(self.locations[location], promises.now()))?;
        promises.held[location] = Some(true);
        Ok(())
    }

    fn resume(&self, location: usize, promises: &mut Promises) -> Result<(), Trouble> {
        promises.held[location] = None;
        let now = promises.now();
        self.located(self.engine.resume(self.locations[location], None, now))?;
        promises.held[location] = Some(false);
        Ok(())
    }

    fn cancel_location(&self, location: usize, promises: &mut Promises) -> Result<(), Trouble> {
        let now = promises.now();
        for entry in promises.entries.values_mut() {
            if entry.location == location && entry.taken > Done::No {
                entry.cancelled = entry.cancelled.max(Done::Perhaps);
            }
        }
        self.located(self.engine.cancel_location(self.locations[location], now))?;
        // Which of them, they say themselves.
        for (id, entry) in &mut promises.entries {
            let status = self.engine.status(RequestId::from(*id));
            if entry.location == location && entry.cancelled == Done::Perhaps {
                let outcome = status.and_then(|status| status.outcome);
                let is_cancelled = outcome == Some(duewheel::Outcome::Cancelled);
                entry.cancelled = if is_cancelled { Done::Yes } else { Done::No };
            }
        }
        Ok(())
    }

    fn poll(&self, promises: &mut Promises) -> Result<(), Trouble> {
        let polled = self.engine.poll(promises.now(), usize::MAX);
        self.hear(promises)?;
        match polled {
            Ok(_) => Ok(()),
            Err(PollError::Unavailable) => Err(self.failure()),
            Err(error) => broken!("{error}"),
        }
    }

    /// Takes note of what the router was told.
    fn hear(&self, promises: &mut Promises) -> Result<(), Trouble> {
        let commands = std::mem::take(&mut *self.desk.0.lock().unwrap());
        for command in commands {
            let location = promises.entries.get(&number(command.id));
            let held = location.and_then(|entry| promises.held[entry.location]);
            if held == Some(true) {
                broken!("{command:?} is given while its location is on hold");
            }
            promises.route(command)?;
        }
        Ok(())
    }

    fn complete(&self, promises: &mut Promises) -> Result<(), Trouble> {
        let open = promises.entries.iter().find_map(|(id, entry)| {
            let last = entry.routes.last()?;
            let accepted = answer(*id, last.command.attempt) == Answer::Accepted;
            (accepted && entry.ended == Done::No).then_some((*id, last.command.lease))
        });
        let Some((id, lease)) = open else {
            return Ok(());
        };
        promises.entry(id).ended = Done::Perhaps;
        let now = promises.now();
        match self.engine.complete(&lease, Completion::Routed, now) {
            Ok(_) => {
                promises.entry(id).ended = Done::Yes;
                promises.settle();
            }
            Err(CompleteError::Unavailable) => {
                promises.entry(id).ended = Done::No;
                return Err(self.failure());
            }
            Err(CompleteError::Indeterminate(_)) => return Err(self.failure()),
            // It has ended otherwise meanwhile: its attempts are spent.
            Err(CompleteError::Stale { .. }) => {}
            Err(error) => broken!("{error}"),
        }
        Ok(())
    }

    fn drain(&self, promises: &mut Promises) -> Result<(), Trouble> {
        for location in 0..LOCATIONS.len() {
            self.resume(location, promises)?;
        }
        for _ in 0..POLLS_MAX {
            self.poll(promises)?;
            let open = self.engine.in_flight();
            for _ in 0..open {
                self.complete(promises)?;
            }
            if self.engine.pending() == 0 {
                self.check(promises)?;
                return promises.check_drained();
            }
            promises.now_s += 600;
        }
        broken!("{} requests stay pending", self.engine.pending());
    }
}

fn number(id: RequestId) -> u64 {
    u64::try_from(id.value()).unwrap_or(u64::MAX)
}
