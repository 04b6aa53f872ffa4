//! Many requests, several shards, and another number of shards than before.

use super::*;
use crate::request::InteractionRequest;
use crate::schedule::ScheduleData;

const REQUESTS: u32 = 3_000;

/// Many requests, each with three records in a journal, some of which end.
fn many() -> MemoryStore {
    let mut hand = Hand::new();
    hand.opened(8, Durability::Sync);
    for index in 0..5 {
        hand.named(index, &format!("L{index}"));
    }
    let image = |number, due| RequestImage {
        location: place(number % 5),
        ..plain(number, due)
    };
    for number in 1..=REQUESTS {
        hand.request(Change::Accepted, image(number, 1_000));
        if number % 100 == 0 {
            hand.write(None, false);
        }
    }
    for number in 1..=REQUESTS {
        let moved = RequestImage {
            contents: Contents::Kept,
            ..image(number, 10_000 + u64::from(number))
        };
        hand.request(Change::Rescheduled, moved);
    }
    for number in (1..=REQUESTS).step_by(3) {
        hand.ended(EndedImage {
            location: place(number % 5),
            ..routed(number, 5_000)
        });
    }
    hand.crash(Some(6_000))
}

fn check(engine: &Engine, desk: &Desk, pending: usize) {
    assert_eq!(engine.pending(), pending);
    assert_eq!(routed_count(engine), 1_000);
    let next = engine.next_wakeup().unwrap();
    assert!(next <= at(10_002), "{next:?}");
    let _ = engine.poll(at(10_101), usize::MAX).unwrap();
    let expected: Vec<u128> = (1..=101).filter(|n| n % 3 != 1).collect();
    assert_eq!(desk.ids(), expected);
    engine.check_invariants();
}

#[test]
fn shards_are_put_together_by_several_threads() {
    for shards in [1, 2, 8] {
        let desk = Arc::<Desk>::default();
        let engine = try_recover(settings().shards(shards), &many(), &desk).unwrap();
        let before = engine.recovery().unwrap().shards_before;
        assert_eq!(before, (shards != 8).then_some(8));
        check(&engine, &desk, 2_000);
    }
}

#[test]
fn another_number_of_shards_begins_with_a_snapshot() {
    let memory = many();
    let engine = try_recover(settings().shards(8), &memory, &Arc::default()).unwrap();
    let snapshot = engine.snapshot().unwrap();
    assert_eq!((snapshot.number, snapshot.shards_written), (1, 8));
    drop(engine);
    for (number, shards) in (2..).zip([2, 32, 1, 8]) {
        let desk = Arc::<Desk>::default();
        let engine = try_recover(settings().shards(shards), &memory, &desk).unwrap();
        let report = engine.recovery().unwrap();
        assert!(report.shards_before.is_some());
        assert_eq!(report.snapshot, Some(number - 1));
        assert_eq!(memory.snapshots()[0].number, number);
        assert_eq!(memory.snapshots()[0].shards as usize, shards);
        assert_eq!(engine.status(id(1)).unwrap().outcome, Some(Outcome::Routed));
        let others = number as usize - 2;
        assert_eq!(engine.pending(), 2_000 + others);
        assert_eq!(routed_count(&engine), 1_000);
        let another = 5_000 + number as u32;
        let again = InteractionRequest::new(id(another), place(4));
        let again = again.with_schedule(ScheduleData::at(at(20_000)));
        let _ = engine.schedule(again, at(7_000)).unwrap();
        engine.check_invariants();
    }
    let desk = Arc::<Desk>::default();
    let engine = try_recover(settings().shards(8), &memory, &desk).unwrap();
    assert_eq!(engine.recovery().unwrap().shards_before, None);
    check(&engine, &desk, 2_004);
}

#[test]
fn progress_is_told_on_the_thread_that_builds() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let memory = many();
    let engine = try_recover(settings().shards(8), &memory, &Arc::default()).unwrap();
    engine.snapshot().unwrap();
    drop(engine);
    let here = std::thread::current().id();
    let teller = Arc::clone(&seen);
    let settings = settings().shards(8).on_recovery(move |progress| {
        assert_eq!(std::thread::current().id(), here);
        teller.lock().push(progress);
    });
    let engine = try_recover(settings, &memory, &Arc::default()).unwrap();
    assert_eq!(
        engine.recovery().unwrap().snapshot_records,
        3_000 + 5 + 1 + 8 * 5
    );
    let seen = seen.lock();
    let phases: Vec<_> = seen.iter().map(|progress| progress.phase).collect();
    assert!(phases.contains(&crate::engine::RecoveryPhase::Snapshot));
    assert!(phases.contains(&crate::engine::RecoveryPhase::Timers));
    let last = seen.last().unwrap();
    assert_eq!(last.snapshot_records, last.snapshot_records_total);
}
