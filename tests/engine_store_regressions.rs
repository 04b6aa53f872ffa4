//! What broke once in an engine with a store, by name.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use duewheel::{
    Completion, Consultation, Disposition, DueRequest, Engine, EngineBuilder, Frame,
    InteractionRequest, Journal, JournalTail, Lease, LocationId, Lsn, MemoryStore, PollError,
    Positions, ProcessingCondition, RequestState, Room, Router, RoutingCommand, ScheduleData,
    Store, StoreError, StoreIdentity, Timestamp,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_596_400_000 + seconds * 1_000)
}

type Inside = Box<dyn Fn(&Engine, &RoutingCommand) + Send + Sync>;

/// Accepts everything, and does something in the engine while it is told of it.
#[derive(Default)]
struct Desk {
    engine: Mutex<Weak<Engine>>,
    inside: Mutex<Option<Inside>>,
    told: Mutex<Vec<RoutingCommand>>,
    asked: Mutex<Vec<DueRequest>>,
}

impl Router for Desk {
    fn consult(&self, request: &DueRequest) -> Consultation {
        self.asked.lock().unwrap().push(request.clone());
        Consultation {
            good_for: Some(1),
            ..Consultation::default()
        }
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let engine = self.engine.lock().unwrap().upgrade();
        if let (Some(engine), Some(inside)) = (engine, &*self.inside.lock().unwrap()) {
            inside(&engine, &command);
        }
        self.told.lock().unwrap().push(command);
        Disposition::Accepted {
            lease_for: Duration::from_secs(60),
        }
    }
}

impl Desk {
    fn told(&self) -> Vec<String> {
        let told = self.told.lock().unwrap();
        let lease = |command: &RoutingCommand| command.lease.to_string();
        told.iter().map(lease).collect()
    }
}

struct House {
    memory: MemoryStore,
    desk: Arc<Desk>,
    engine: Arc<Engine>,
    here: LocationId,
    there: LocationId,
}

fn house() -> House {
    let memory = MemoryStore::new(StoreIdentity {
        uuid: 1,
        hash_key: 7,
    });
    let desk = Arc::default();
    open(memory, desk, Engine::builder().shards(1))
}

fn open(memory: MemoryStore, desk: Arc<Desk>, settings: EngineBuilder) -> House {
    let router = Arc::clone(&desk) as Arc<dyn Router>;
    let engine = settings.store(memory.store()).build(router).unwrap();
    let engine = Arc::new(engine);
    *desk.engine.lock().unwrap() = Arc::downgrade(&engine);
    let enter = |name| engine.directory().enter(name).unwrap();
    House {
        here: enter("AA0101"),
        there: enter("AA0102"),
        memory,
        desk,
        engine,
    }
}

impl House {
    fn schedule(&self, id: u64, location: LocationId, now: Timestamp) {
        let request = InteractionRequest::new(id.into(), location).with_payload(vec![1, 2, 3]);
        let receipt = self.engine.schedule(request, now).unwrap();
        assert!(!receipt.duplicate);
    }

    fn state(&self, id: u64) -> RequestState {
        self.engine.status(id.into()).unwrap().state
    }

    /// What is not durable is lost, and the engine is built again.
    fn crash(self, settings: EngineBuilder) -> Self {
        self.memory.crash();
        open(self.memory, self.desk, settings)
    }
}

#[test]
fn a_request_was_lost_whose_id_one_still_remembered_had() {
    let hour = Duration::from_secs(3_600);
    let settings = || Engine::builder().shards(1).remember(hour, 1_000);
    let house = house().crash(settings());
    house.schedule(1, house.here, at(0));
    let _ = house.engine.cancel(1.into(), at(0)).unwrap();
    // Past its span, and not forgotten yet.
    house.schedule(1, house.there, at(3_600));
    let _ = house.engine.snapshot().unwrap();
    let house = house.crash(settings());
    assert_eq!(house.engine.pending(), 1);
    assert_eq!(house.state(1), RequestState::Scheduled);
    let status = house.engine.status(1.into()).unwrap();
    assert_eq!(status.location, house.there);
}

#[test]
fn a_release_that_a_hold_took_back_made_the_store_unreadable() {
    let house = house();
    let there = house.there;
    house.schedule(1, house.here, at(0));
    house.schedule(2, there, at(0));
    let inside: Inside = Box::new(move |engine, command| {
        let _ = engine.hold(there, command.released).unwrap();
    });
    *house.desk.inside.lock().unwrap() = Some(inside);
    let _ = house.engine.poll(at(1), 10).unwrap();
    assert_eq!(house.desk.told(), ["1/1/1"]);
    assert_eq!(house.state(2), RequestState::Held);
    let house = house.crash(Engine::builder().shards(1));
    assert_eq!(house.engine.pending(), 2);
    assert_eq!(house.engine.status(2.into()).unwrap().attempts, 0);
}

#[test]
fn a_request_that_had_ended_was_handed_over_again() {
    let house = house();
    house.schedule(1, house.here, at(0));
    house.schedule(2, house.there, at(0));
    let _ = house.engine.poll(at(1), 10).unwrap();
    assert_eq!(house.desk.told(), ["1/1/1", "2/1/1"]);
    let house = house.crash(Engine::builder().shards(1));
    let inside: Inside = Box::new(|engine, command| {
        if command.id != 1.into() {
            return;
        }
        let lease: Lease = "2/1/1".parse().unwrap();
        let completed = engine.complete(&lease, Completion::Routed, command.released);
        assert_eq!(completed, Ok(RequestState::Completed));
    });
    *house.desk.inside.lock().unwrap() = Some(inside);
    house.desk.told.lock().unwrap().clear();
    let _ = house.engine.poll(at(2), 10).unwrap();
    assert_eq!(house.desk.told(), ["1/1/2"]);
    assert_eq!(house.state(2), RequestState::Completed);
}

/// A journal in which something happens while it is waited for.
struct Slow {
    journal: Arc<dyn Journal>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

impl Journal for Slow {
    fn replay(
        &self,
        from: &Positions,
        visit: &mut dyn FnMut(&Frame<'_>) -> Result<(), StoreError>,
    ) -> Result<JournalTail, StoreError> {
        self.journal.replay(from, visit)
    }

    fn begin(&self, epoch: u32, next: Lsn) -> Result<(), StoreError> {
        self.journal.begin(epoch, next)
    }

    fn append(&self, frame: &Frame<'_>) -> Result<Lsn, StoreError> {
        self.journal.append(frame)
    }

    fn wait_durable(&self, lsn: Lsn) -> Result<Lsn, StoreError> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        self.journal.wait_durable(lsn)
    }

    fn room(&self) -> Room {
        self.journal.room()
    }

    fn trim(&self, below: &Positions) -> Result<(), StoreError> {
        self.journal.trim(below)
    }

    fn bytes(&self) -> u64 {
        self.journal.bytes()
    }
}

#[test]
fn a_request_that_ended_while_its_release_was_waited_for_was_handed_over() {
    let house = house();
    house.schedule(1, house.here, at(0));
    let _ = house.engine.poll(at(1), 10).unwrap();
    house.memory.crash();
    house.desk.told.lock().unwrap().clear();
    let store = house.memory.store();
    let meanwhile = Arc::<Mutex<Option<Meanwhile>>>::default();
    let slow = Slow {
        journal: Arc::clone(store.journal()),
        meanwhile: Arc::clone(&meanwhile),
    };
    let store = Store::new(
        store.identity(),
        Arc::new(slow),
        Arc::clone(store.snapshots()),
    );
    let router = Arc::clone(&house.desk) as Arc<dyn Router>;
    let engine = Engine::builder().shards(1).store(store).build(router);
    let engine = Arc::new(engine.unwrap());
    // By the lease of before the crash, by somebody else, while the poll waits for its intent.
    let other = Arc::clone(&engine);
    *meanwhile.lock().unwrap() = Some(Box::new(move || {
        let completing = Arc::clone(&other);
        std::thread::spawn(move || {
            let lease: Lease = "1/1/1".parse().unwrap();
            completing.complete(&lease, Completion::Routed, at(2))
        });
        while other.pending() > 0 {
            std::thread::yield_now();
        }
    }));
    let _ = engine.poll(at(2), 10).unwrap();
    assert_eq!(house.desk.told(), [""; 0]);
    let status = engine.status(1.into()).unwrap();
    assert_eq!(status.state, RequestState::Completed);
}

#[test]
fn the_router_was_asked_after_the_journal_had_failed() {
    let house = house();
    house.schedule(1, house.here, at(0));
    let request = InteractionRequest::new(2.into(), house.here);
    // Its answer decides, so what was released before is handed over first.
    let waits = ScheduleData::builder().time_if(at(1), ProcessingCondition::AgentsReady(1));
    let request = request.with_schedule(waits.build().unwrap());
    let _ = house.engine.schedule(request, at(0)).unwrap();
    house.memory.fail_append_at(1);
    let polled = house.engine.poll(at(1), 10);
    assert_eq!(polled.unwrap_err(), PollError::Unavailable);
    assert_eq!(house.desk.told(), [""; 0]);
    assert!(house.desk.asked.lock().unwrap().is_empty());
}
