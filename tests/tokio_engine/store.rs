//! An engine with a store, driven by a task: no task waits for the store itself.

use duewheel::{Durability, Engine, MemoryStore, Outcome, RunOptions, Shutdown, StoreIdentity};
use tokio::time::timeout;

use crate::support::{Centre, PATIENCE, RuntimeClock, at, centre_with};

fn centre(memory: &MemoryStore) -> Centre {
    let settings = Engine::builder().store(memory.store());
    centre_with(settings.durability(Durability::Sync))
}

async fn drain(centre: &Centre) -> duewheel::ShutdownReport {
    let signal = async { Shutdown::Drain };
    let run = centre
        .engine
        .run_until(RuntimeClock::new(), RunOptions::default(), signal);
    timeout(PATIENCE, run).await.unwrap().unwrap()
}

fn memory() -> MemoryStore {
    MemoryStore::new(StoreIdentity {
        uuid: 1,
        hash_key: 7,
    })
}

#[tokio::test]
async fn what_was_routed_by_tasks_is_known_after_a_crash() {
    let memory = memory();
    let first = centre(&memory);
    for id in 0..100 {
        first.schedule(id, at(0));
    }
    let report = drain(&first).await;
    assert_eq!((report.pending, report.timed_out), (0, false));
    assert_eq!(first.desk.ids().len(), 100);
    memory.crash();
    let second = centre(&memory);
    for id in 0..100 {
        assert_eq!(second.status(id).outcome, Some(Outcome::Routed), "{id}");
    }
    let _ = drain(&second).await;
    assert!(second.desk.commands().is_empty());
}

#[tokio::test]
async fn a_release_that_may_be_forgotten_is_told_to_nobody() {
    let memory = memory();
    let first = centre(&memory);
    first.schedule(1, at(0));
    memory.fail_append_at(1);
    let report = drain(&first).await;
    assert_eq!(report.pending, 1);
    assert!(first.desk.commands().is_empty());
    memory.crash();
    let second = centre(&memory);
    let _ = drain(&second).await;
    assert_eq!(second.desk.ids(), [1]);
}
