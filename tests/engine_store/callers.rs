//! Callers on several threads while snapshots are taken, and a crash in the end.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use duewheel::{
    Durability, Engine, InteractionRequest, LocationId, Outcome, RequestId, RequestState,
    ScheduleData,
};

use crate::support::{House, at};

const CALLERS: u64 = 3;
const EACH: u64 = 1_500;

/// What a caller was told of each of its requests last.
type Told = BTreeMap<u64, Answer>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    TakenIn,
    Rescheduled,
    Cancelled,
}

fn call(engine: &Engine, caller: u64, told: &Mutex<Told>, done: &AtomicU64) {
    let mut mine = Told::new();
    for number in 0..EACH {
        let number = number * CALLERS + caller;
        let id = RequestId::from(number);
        let location = LocationId::from_index((number % 5) as u32);
        let due = 1_000_000 + number;
        let request = InteractionRequest::new(id, location)
            .with_payload(number.to_le_bytes())
            .with_schedule(ScheduleData::at(at(due)));
        let _ = engine.schedule(request, at(0)).unwrap();
        mine.insert(number, Answer::TakenIn);
        // One of before, which a snapshot may be at just now.
        let former = number - number / 2 / CALLERS * CALLERS;
        let id = RequestId::from(former);
        if number.is_multiple_of(3) && engine.cancel(id, at(0)).is_ok() {
            mine.insert(former, Answer::Cancelled);
        } else if number % 3 == 1 {
            let later = ScheduleData::at(at(2_000_000 + former));
            if engine.reschedule(id, later, None, at(0)).is_ok() {
                mine.insert(former, Answer::Rescheduled);
            }
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    told.lock().unwrap().append(&mut mine);
}

#[test]
fn snapshots_among_callers_hold_what_these_were_told() {
    for round in 0..3 {
        let house = House::new(Durability::Sync);
        let engine = house.open(4);
        let (told, done) = (Mutex::default(), AtomicU64::new(0));
        let over = AtomicBool::new(false);
        let snapshots = thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| {
                    let (engine, told, done) = (&engine, &told, &done);
                    scope.spawn(move || call(engine, caller, told, done))
                })
                .collect();
            let taker = scope.spawn(|| {
                let mut snapshots = 0;
                while !over.load(Ordering::Relaxed) {
                    engine.snapshot().unwrap();
                    snapshots += 1;
                }
                snapshots
            });
            for caller in callers {
                caller.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
            taker.join().unwrap()
        });
        assert!(snapshots > 0);
        assert_eq!(done.into_inner(), CALLERS * EACH);
        house.crash(engine);
        // Another number of shards, sometimes.
        let engine = house.open([4, 2, 4][round]);
        let report = engine.recovery().unwrap();
        assert_eq!(report.snapshot, Some(snapshots));
        let mut pending = 0;
        for (number, answer) in told.into_inner().unwrap() {
            let status = engine.status(RequestId::from(number)).unwrap();
            match answer {
                Answer::Cancelled => assert_eq!(status.outcome, Some(Outcome::Cancelled)),
                Answer::TakenIn => assert_eq!(status.due, at(1_000_000 + number)),
                Answer::Rescheduled => assert_eq!(status.due, at(2_000_000 + number)),
            }
            pending += usize::from(status.state == RequestState::Scheduled);
        }
        assert_eq!(engine.pending(), pending);
        let outcomes = engine.report(at(0)).outcomes;
        let cancelled = CALLERS * EACH - pending as u64;
        assert_eq!(outcomes[&Outcome::Cancelled], cancelled);
        let _ = engine.poll(at(3_000_000), usize::MAX).unwrap();
        for command in house.desk.take() {
            let number = u64::try_from(command.id.value()).unwrap();
            assert_eq!(&*command.payload, number.to_le_bytes());
        }
        engine.check_invariants();
    }
}
