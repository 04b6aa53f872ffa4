//! A router that keeps a ledger, and engines on one store after another crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use duewheel::{
    Consultation, Disposition, DueRequest, Durability, Engine, EngineBuilder, MemoryStore, Outcome,
    RequestId, RequestState, Router, RoutingCommand, StoreIdentity, Timestamp,
};

pub(crate) const LOCATIONS: u32 = 5;

pub(crate) const NINE: u64 = 1_767_596_400_000;

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(NINE + millis)
}

/// What a router was told, in order; it outlives the engines.
#[derive(Default)]
pub(crate) struct Desk {
    told: Mutex<Vec<RoutingCommand>>,
}

impl Desk {
    pub(crate) fn take(&self) -> Vec<RoutingCommand> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl Router for Desk {
    fn consult(&self, request: &DueRequest) -> Consultation {
        Consultation {
            agents_ready: u32::from(request.now.as_millis() % 3_000 < 1_500),
            ..Consultation::default()
        }
    }

    /// The answer depends on the request alone.
    fn route(&self, command: RoutingCommand) -> Disposition {
        let kind = command.id.value() % 7;
        let attempt = command.attempt;
        self.told.lock().unwrap().push(command);
        match kind {
            0 => Disposition::Rejected("not here".into()),
            1 if attempt < 3 => Disposition::Busy {
                retry_after: Some(Duration::from_secs(2)),
            },
            2 | 3 => Disposition::Accepted {
                lease_for: Duration::from_secs(4),
            },
            _ => Disposition::Routed,
        }
    }
}

/// A store, and engines that come and go.
pub(crate) struct House {
    pub(crate) store: MemoryStore,
    pub(crate) desk: Arc<Desk>,
    pub(crate) durability: Durability,
}

impl House {
    pub(crate) fn new(durability: Durability) -> Self {
        let identity = StoreIdentity {
            uuid: 1,
            hash_key: 0x5eed,
        };
        Self {
            store: MemoryStore::new(identity),
            desk: Arc::default(),
            durability,
        }
    }

    pub(crate) fn open(&self, shards: usize) -> Engine {
        self.open_with(Engine::builder().shards(shards))
    }

    pub(crate) fn open_with(&self, settings: EngineBuilder) -> Engine {
        let engine = settings
            .durability(self.durability)
            .store(self.store.store())
            .build(Arc::clone(&self.desk) as Arc<dyn Router>)
            .unwrap();
        // A name that nothing was ever recorded of may be forgotten.
        for index in 0..LOCATIONS {
            engine.directory().enter(&format!("L{index}")).unwrap();
        }
        engine.check_invariants();
        engine
    }

    /// The process is killed and the machine with it: what was not durable is gone.
    pub(crate) fn crash(&self, engine: Engine) {
        self.store.crash();
        drop(engine);
    }
}

/// What is known of a request, in the form in which a crash changes nothing of it: a hold is met again at the next
/// poll, and what was at the router is released again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) state: RequestState,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) location: u32,
    pub(crate) attempts: u32,
    pub(crate) revision: u32,
}

pub(crate) fn seen(engine: &Engine, ids: std::ops::Range<u64>) -> BTreeMap<u64, Seen> {
    let status = |id| Some((id, engine.status(RequestId::from(id))?));
    ids.filter_map(status)
        .map(|(id, status)| {
            let state = match status.state {
                RequestState::Held => RequestState::Scheduled,
                RequestState::Routing => RequestState::Released,
                other => other,
            };
            let seen = Seen {
                state,
                outcome: status.outcome,
                reason: status.reason,
                location: status.location.index(),
                attempts: status.attempts,
                revision: status.revision,
            };
            (id, seen)
        })
        .collect()
}
