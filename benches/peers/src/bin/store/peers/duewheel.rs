//! duewheel's engine with a store in a directory.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, Durability, Engine, FileOptions, InteractionRequest, LocationId,
    RequestId, Router, RoutingCommand, ScheduleData, ScheduleErrorReason, Store, Timestamp,
};

use crate::peer::{Answer, Beat, DurablePeer, Promise};
use crate::request::{self, DAY, Due, Request};

/// Where the day begins on the engine's clock. Nothing is due before.
const MORNING: u64 = 100 * 365 * DAY;

/// Requests that one poll examines.
const BUDGET: usize = 1 << 16;

/// Requests that may be pending: more than can be asked for.
const PENDING_MAX: usize = 1 << 25;

/// After so long the engine hands over what need not be durable.
const HANDED_OVER_AFTER: u64 = 1000;

pub(crate) struct Duewheel {
    engine: Engine,
    desk: Arc<Desk>,
    promise: Promise,
    beat: Option<Beat>,
    /// The time of the last release.
    now: u64,
    /// The time of the last poll that released nothing.
    before_morning: u64,
}

/// Takes every command.
#[derive(Default)]
struct Desk(Mutex<Vec<RoutingCommand>>);

impl Router for Desk {
    fn consult(&self, _request: &duewheel::DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        self.lock().push(command);
        Disposition::Routed
    }
}

impl Desk {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<RoutingCommand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Duewheel {
    /// Does what was promised before a call returns, where it is time for it.
    fn keep_promise(&mut self) -> Answer<()> {
        match &mut self.beat {
            Some(beat) => {
                if beat.is_over() {
                    self.flush()?;
                }
            }
            // Nobody waits for completions by themselves.
            None => self.engine.flush()?,
        }
        Ok(())
    }
}

impl DurablePeer for Duewheel {
    const NAME: &'static str = "duewheel";

    fn open(directory: &Path, promise: Promise) -> Answer<Self> {
        let store = Store::open(directory.join("store"), FileOptions::default())?;
        let durability = match promise {
            Promise::Returned => Durability::Sync,
            Promise::Within(every) => Durability::Interval(every),
            Promise::HandedOver(_) => Durability::NoSync,
        };
        let desk = Arc::new(Desk::default());
        let engine = Engine::builder()
            .store(store)
            .durability(durability)
            .max_pending(PENDING_MAX)
            // Steps may be long, and nothing is to count as missed.
            .grace(Duration::from_millis(2 * DAY))
            .build(Arc::clone(&desk) as Arc<dyn Router>)?;
        for number in 0..request::LOCATIONS {
            let location = engine.directory().enter(&number.to_string())?;
            if location != LocationId::from_index(number) {
                return Err("locations are numbered otherwise".into());
            }
        }
        let recovery = engine.recovery().ok_or("an engine without a store")?;
        let polled_until = recovery.polled_until.map_or(0, Timestamp::as_millis);
        Ok(Self {
            engine,
            desk,
            promise,
            beat: promise.beat(),
            now: polled_until.max(MORNING),
            before_morning: MORNING - DAY,
        })
    }

    fn schedule(&mut self, batch: &[Request]) -> Answer<usize> {
        let requests = batch.iter().map(|request| {
            let due = Timestamp::from_millis(MORNING + request.due);
            let id = RequestId::uuid(request.id);
            InteractionRequest::new(id, LocationId::from_index(request.location))
                .with_payload(&request.payload[..])
                .with_schedule(ScheduleData::at(due))
        });
        let now = Timestamp::from_millis(self.now);
        let mut taken = 0;
        for answer in self.engine.schedule_batch(requests.collect(), now) {
            match answer {
                Ok(receipt) => taken += usize::from(!receipt.duplicate),
                Err(error) => match error.reason {
                    ScheduleErrorReason::Conflict { .. } => {}
                    _ => return Err(error.into()),
                },
            }
        }
        self.keep_promise()?;
        Ok(taken)
    }

    fn cancel(&mut self, ids: &[u128]) -> Answer<usize> {
        let ids: Vec<RequestId> = ids.iter().map(|&id| RequestId::uuid(id)).collect();
        let now = Timestamp::from_millis(self.now);
        let mut cancelled = 0;
        for answer in self.engine.cancel_batch(&ids, now) {
            match answer {
                Ok(answer) => cancelled += usize::from(!answer.already),
                Err(duewheel::CancelError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.keep_promise()?;
        Ok(cancelled)
    }

    fn release(&mut self, now: u64, mut visit: impl FnMut(Due<'_>)) -> Answer<()> {
        self.now = MORNING + now;
        loop {
            let poll = self.engine.poll(Timestamp::from_millis(self.now), BUDGET)?;
            for command in self.desk.lock().drain(..) {
                visit(Due {
                    id: command.id.value(),
                    location: command.location.index(),
                    due: command.due.as_millis() - MORNING,
                    payload: &command.payload,
                });
            }
            if !poll.more {
                break;
            }
        }
        self.keep_promise()
    }

    fn flush(&mut self) -> Answer<()> {
        match self.promise {
            Promise::Returned | Promise::Within(_) => self.engine.flush()?,
            Promise::HandedOver(_) => {
                // A poll does it, once by its clock it is time.
                self.before_morning += HANDED_OVER_AFTER;
                let now = Timestamp::from_millis(self.before_morning);
                let _ = self.engine.poll(now, 0)?;
            }
        }
        Ok(())
    }

    fn load(&mut self, _visit: impl FnMut(Due<'_>)) -> Answer<usize> {
        Ok(self.engine.pending())
    }

    fn tidy(&mut self) -> Answer<()> {
        let _ = self.engine.snapshot()?;
        Ok(())
    }
}
