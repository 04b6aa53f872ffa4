//! What is released under `Sync` waits for the store together.

use std::time::Duration;

use duewheel::{Durability, InteractionRequest, LocationId, ProcessingCondition, ScheduleData};

use crate::support::{House, LOCATIONS, at};

/// The ids that the desk routes at once.
fn ids() -> impl Iterator<Item = u64> {
    (0..60).filter(|id| id % 7 > 3)
}

/// Polls once for requests of every location, all due, and answers how often the store was waited for.
fn syncs(schedule: &ScheduleData) -> u64 {
    let house = House::new(Durability::Sync);
    let engine = house.open(2);
    for id in ids() {
        let location = LocationId::from_index(id as u32 % LOCATIONS);
        let request = InteractionRequest::new(id.into(), location).with_schedule(schedule.clone());
        let _ = engine.schedule(request, at(0)).unwrap();
    }
    let before = house.store.syncs();
    let poll = engine.poll(at(1_000), usize::MAX).unwrap();
    assert_eq!(poll.released, ids().count());
    let told = house.desk.take();
    let told: Vec<u128> = told.iter().map(|command| command.id.value()).collect();
    assert_eq!(
        told,
        ids().map(u128::from).collect::<Vec<_>>(),
        "in the order of intake"
    );
    house.store.syncs() - before
}

#[test]
fn plain_requests_of_many_locations_wait_for_the_store_once() {
    let due = ScheduleData::at(at(1_000));
    // For the intents, and at the poll's end for what became of them.
    assert_eq!(syncs(&due), 2);
}

/// The router is asked about these, and its answer must know of what was released before.
#[test]
fn each_answer_that_decides_waits_for_what_was_released_before_it() {
    let closed = ProcessingCondition::Not(Box::new(ProcessingCondition::Open));
    let conditional = ScheduleData::builder()
        .time_if(at(1_000), closed)
        .build()
        .unwrap();
    assert_eq!(syncs(&conditional), u64::from(LOCATIONS) + 1);
    let threshold = ScheduleData::builder()
        .time(at(1_000))
        .threshold_wait(Duration::from_secs(60))
        .build()
        .unwrap();
    assert_eq!(syncs(&threshold), u64::from(LOCATIONS) + 1);
}
