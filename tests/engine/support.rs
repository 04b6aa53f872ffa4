//! A router that does what a test tells it, and short words for times and requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, DueRequest, Engine, EngineBuilder, InteractionRequest, LocationId,
    Poll, RequestId, RequestState, Router, RoutingCommand, ScheduleData, Timestamp,
};

pub(crate) const NINE: u64 = 1_767_596_400_000; // 2026-01-05T09:00:00+02:00

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(NINE + seconds * 1_000)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

type Answer = Box<dyn Fn(&RoutingCommand) -> Disposition + Send + Sync>;
type Opinion = Box<dyn Fn(&DueRequest) -> Consultation + Send + Sync>;

/// Remembers what it was asked and told; answers Routed and an empty queue unless told otherwise.
#[derive(Default)]
pub(crate) struct Desk {
    commands: Mutex<Vec<RoutingCommand>>,
    consulted: Mutex<Vec<DueRequest>>,
    answer: Mutex<Option<Arc<Answer>>>,
    opinion: Mutex<Option<Arc<Opinion>>>,
}

impl Desk {
    pub(crate) fn answer(
        &self,
        answer: impl Fn(&RoutingCommand) -> Disposition + Send + Sync + 'static,
    ) {
        *self.answer.lock().unwrap() = Some(Arc::new(Box::new(answer)));
    }

    pub(crate) fn opinion(
        &self,
        opinion: impl Fn(&DueRequest) -> Consultation + Send + Sync + 'static,
    ) {
        *self.opinion.lock().unwrap() = Some(Arc::new(Box::new(opinion)));
    }

    pub(crate) fn expects_wait(&self, wait: Option<Duration>) {
        self.opinion(move |_| Consultation {
            expected_wait: wait,
            ..Consultation::default()
        });
    }

    /// The commands since the last look.
    pub(crate) fn take(&self) -> Vec<RoutingCommand> {
        std::mem::take(&mut self.commands.lock().unwrap())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.commands.lock().unwrap().is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.commands.lock().unwrap().len()
    }

    /// Their ids.
    pub(crate) fn take_ids(&self) -> Vec<u128> {
        self.take()
            .iter()
            .map(|command| command.id.value())
            .collect()
    }

    pub(crate) fn take_consulted(&self) -> Vec<DueRequest> {
        std::mem::take(&mut self.consulted.lock().unwrap())
    }
}

impl Router for Desk {
    fn consult(&self, request: &DueRequest) -> Consultation {
        self.consulted.lock().unwrap().push(request.clone());
        let opinion = self.opinion.lock().unwrap().clone();
        opinion.map_or_else(Consultation::default, |opinion| opinion(request))
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        self.commands.lock().unwrap().push(command.clone());
        let answer = self.answer.lock().unwrap().clone();
        answer.map_or(Disposition::Routed, |answer| answer(&command))
    }
}

/// An engine, its desk, and a location.
pub(crate) struct Centre {
    pub(crate) engine: Arc<Engine>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) here: LocationId,
}

pub(crate) fn centre() -> Centre {
    centre_with(Engine::builder())
}

pub(crate) fn centre_with(settings: EngineBuilder) -> Centre {
    let desk = Arc::new(Desk::default());
    let engine = Arc::new(
        settings
            .build(Arc::clone(&desk) as Arc<dyn Router>)
            .unwrap(),
    );
    let here = engine.directory().enter("AA0101").unwrap();
    Centre { engine, desk, here }
}

impl Centre {
    pub(crate) fn immediate(&self, id: u128) -> InteractionRequest {
        InteractionRequest::new(RequestId::integer(id), self.here)
    }

    pub(crate) fn request(&self, id: u128, due: Timestamp) -> InteractionRequest {
        self.immediate(id).with_schedule(ScheduleData::at(due))
    }

    pub(crate) fn schedule(&self, request: InteractionRequest, now: Timestamp) {
        let receipt = self.engine.schedule(request, now).unwrap();
        assert!(!receipt.duplicate);
    }

    /// Polls until nothing more is due, and checks every structure after each poll.
    pub(crate) fn poll(&self, now: Timestamp) -> usize {
        let mut released = 0;
        loop {
            let poll = self.poll_once(now, 1_000);
            released += poll.released;
            if !poll.more {
                return released;
            }
        }
    }

    pub(crate) fn poll_once(&self, now: Timestamp, budget: usize) -> Poll {
        let poll = self.engine.poll(now, budget).unwrap();
        self.engine.check_invariants();
        poll
    }

    pub(crate) fn state(&self, id: u128) -> RequestState {
        self.engine.status(RequestId::integer(id)).unwrap().state
    }

    /// The outcome and its reason.
    pub(crate) fn outcome(&self, id: u128) -> (Option<duewheel::Outcome>, Option<String>) {
        let status = self.engine.status(RequestId::integer(id)).unwrap();
        (
            status.outcome,
            status.reason.map(|reason| reason.to_string()),
        )
    }

    pub(crate) fn due(&self, id: u128) -> Timestamp {
        self.engine.status(RequestId::integer(id)).unwrap().due
    }
}

/// Runs the engine from wake-up to wake-up, as a driver with a perfect clock would, until `until`.
pub(crate) fn run(centre: &Centre, from: Timestamp, until: Timestamp) {
    let mut now = from;
    loop {
        centre.poll(now);
        match centre.engine.next_wakeup() {
            Some(next) if next <= until => {
                assert!(next > now, "a wake-up at {next} after a poll at {now}");
                now = next;
            }
            _ => break,
        }
    }
    centre.poll(until);
}
