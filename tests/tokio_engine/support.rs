//! A desk that routes as a test tells it, and a clock of the runtime's own time.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use duewheel::{
    AsyncEngine, AsyncRouter, Clock, Consultation, Disposition, DueRequest, Engine, EngineBuilder,
    InteractionRequest, LocationId, RequestId, RequestState, RequestStatus, RoutingCommand,
    ScheduleData, Timestamp,
};
use tokio::time::Instant;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_767_596_400_000 + millis)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The runtime's time, which a test may pause; counts how often it is looked at.
pub(crate) struct RuntimeClock {
    began: Instant,
    pub(crate) looks: AtomicUsize,
}

impl RuntimeClock {
    /// Shows `at(0)` now.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            looks: AtomicUsize::new(0),
        })
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        self.looks.fetch_add(1, Ordering::Relaxed);
        at(0).saturating_add(Duration::from_millis(
            u64::try_from(self.began.elapsed().as_millis()).unwrap(),
        ))
    }
}

type Routing = Pin<Box<dyn Future<Output = Disposition> + Send>>;
type Answer = Box<dyn Fn(RoutingCommand) -> Routing + Send + Sync>;

/// Remembers the commands it had; answers Routed at once unless told otherwise.
#[derive(Default)]
pub(crate) struct Desk {
    commands: Mutex<Vec<RoutingCommand>>,
    answer: Mutex<Option<Arc<Answer>>>,
    now: AtomicUsize,
    at_once: AtomicUsize,
}

impl Desk {
    pub(crate) fn answer<F>(&self, answer: impl Fn(RoutingCommand) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Disposition> + Send + 'static,
    {
        let answer: Answer = Box::new(move |command| Box::pin(answer(command)));
        *self.answer.lock().unwrap() = Some(Arc::new(answer));
    }

    /// Routes within `time`.
    pub(crate) fn takes(&self, time: Duration) {
        self.answer(move |_| async move {
            tokio::time::sleep(time).await;
            Disposition::Routed
        });
    }

    pub(crate) fn commands(&self) -> Vec<RoutingCommand> {
        self.commands.lock().unwrap().clone()
    }

    pub(crate) fn ids(&self) -> Vec<u128> {
        let commands = self.commands();
        commands.iter().map(|command| command.id.value()).collect()
    }

    /// The most that were being routed at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.at_once.load(Ordering::SeqCst)
    }
}

/// Counts itself out, also where the future is dropped.
struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl AsyncRouter for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    async fn route(&self, command: RoutingCommand) -> Disposition {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        let _inside = Inside(&self.now);
        self.at_once.fetch_max(now, Ordering::SeqCst);
        self.commands.lock().unwrap().push(command.clone());
        let answer = self.answer.lock().unwrap().clone();
        match answer {
            Some(answer) => answer(command).await,
            None => Disposition::Routed,
        }
    }
}

/// An engine, its desk, and a location.
pub(crate) struct Centre {
    pub(crate) engine: AsyncEngine<Arc<Desk>>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) here: LocationId,
}

pub(crate) fn centre() -> Centre {
    centre_with(Engine::builder())
}

pub(crate) fn centre_with(settings: EngineBuilder) -> Centre {
    let desk = Arc::new(Desk::default());
    let engine = settings.build_async(Arc::clone(&desk)).unwrap();
    let here = engine.directory().enter("AA0101").unwrap();
    Centre { engine, desk, here }
}

impl Centre {
    pub(crate) fn schedule(&self, id: u128, due: Timestamp) {
        self.schedule_at(self.here, id, due);
    }

    pub(crate) fn schedule_at(&self, location: LocationId, id: u128, due: Timestamp) {
        let request = InteractionRequest::new(RequestId::integer(id), location)
            .with_schedule(ScheduleData::at(due));
        let receipt = self.engine.schedule(request, at(0)).unwrap();
        assert!(!receipt.duplicate);
    }

    pub(crate) fn status(&self, id: u128) -> RequestStatus {
        self.engine.status(RequestId::integer(id)).unwrap()
    }

    pub(crate) fn state(&self, id: u128) -> RequestState {
        self.status(id).state
    }
}
