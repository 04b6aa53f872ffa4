//! Stores to look at, and what a recovery makes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use duewheel::{
    BuildError, Consultation, Disposition, DueRequest, Engine, FileOptions, InteractionRequest,
    RequestId, RequestState, Router, RoutingCommand, ScheduleData, Store, Timestamp,
};

use crate::folder::Folder;

/// Is in every payload and in every customer.
pub(crate) const SECRET: &str = "chrysanthemum";

const START: u64 = 1_767_596_400_000;

struct Desk;

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        Disposition::Routed
    }
}

pub(crate) fn open(folder: &Folder) -> Engine {
    try_open(folder).unwrap()
}

pub(crate) fn try_open(folder: &Folder) -> Result<Engine, BuildError> {
    let options = FileOptions::new().segment_bytes(16 << 10).hash_key(7);
    let store = Store::open(folder.path(), options).unwrap();
    Engine::builder()
        .shards(2)
        .store(store)
        .build(Arc::new(Desk))
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(START + seconds * 1_000)
}

/// Takes requests in, the first of which is due first.
fn take(engine: &Engine, ids: std::ops::Range<u64>, now: u64) {
    for id in ids {
        let name = if id.is_multiple_of(2) {
            "AA0101"
        } else {
            "AA0102"
        };
        let location = engine.directory().enter(name).unwrap();
        let request = InteractionRequest::new(RequestId::from(id), location)
            .with_customer(format!("{SECRET} {id}"))
            .with_payload(format!("{SECRET} {id}").into_bytes())
            .with_schedule(ScheduleData::at(at(1_000 + id)));
        let receipt = engine.schedule(request, at(now)).unwrap();
        assert!(!receipt.duplicate);
    }
}

/// Some requests, of which the first were cancelled and the next routed; no snapshot.
pub(crate) fn without_snapshot() -> Folder {
    let folder = Folder::new();
    let engine = open(&folder);
    take(&engine, 1..80, 0);
    for id in 1..10_u64 {
        engine.cancel(RequestId::from(id), at(1)).unwrap();
    }
    assert!(engine.poll(at(1_020), 1_000).unwrap().released > 0);
    drop(engine);
    // A second writer, and numbers left out between the two.
    let engine = open(&folder);
    take(&engine, 80..120, 1_021);
    drop(engine);
    folder
}

/// As the former, with a snapshot before the end, and with more behind it.
pub(crate) fn with_snapshot() -> Folder {
    let folder = without_snapshot();
    let engine = open(&folder);
    engine.snapshot().unwrap();
    take(&engine, 120..180, 1_022);
    for id in 100..110_u64 {
        engine.cancel(RequestId::from(id), at(1_023)).unwrap();
    }
    assert!(engine.poll(at(1_030), 1_000).unwrap().released > 0);
    drop(engine);
    folder
}

/// As the former, with another snapshot and more behind it.
pub(crate) fn with_two_snapshots() -> Folder {
    let folder = with_snapshot();
    let engine = open(&folder);
    engine.snapshot().unwrap();
    take(&engine, 180..220, 1_031);
    drop(engine);
    folder
}

/// Which requests an engine knows, and whether each has ended.
pub(crate) fn requests(engine: &Engine) -> BTreeMap<u64, bool> {
    (1..300)
        .filter_map(|id| {
            let status = engine.status(RequestId::from(id))?;
            let is_ended = status.state == RequestState::Completed;
            Some((id, is_ended))
        })
        .collect()
}
