//! Promise 4 under contention: one winner each, from two threads.

use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use duewheel::{CancelError, Outcome, RequestId, ScheduleData};

use crate::support::{at, centre};

#[test]
fn cancel_races_release_and_exactly_one_wins() {
    const ROUNDS: u64 = 100_000;
    const BATCH: u64 = 500;
    let centre = centre();
    let routed = Arc::new((0..ROUNDS).map(|_| AtomicUsize::new(0)).collect::<Vec<_>>());
    let seen = Arc::clone(&routed);
    centre.desk.answer(move |command| {
        seen[usize::try_from(command.id.value()).unwrap()].fetch_add(1, Ordering::SeqCst);
        duewheel::Disposition::Routed
    });
    let mut cancelled = 0;
    for batch in 0..ROUNDS / BATCH {
        let ids = batch * BATCH..(batch + 1) * BATCH;
        for id in ids.clone() {
            centre.schedule(centre.request(id.into(), at(10)), at(0));
        }
        let start = Barrier::new(2);
        let verdicts: Vec<Result<_, CancelError>> = thread::scope(|scope| {
            let releasing = scope.spawn(|| {
                start.wait();
                while centre.engine.poll(at(10), 64).unwrap().more {}
            });
            let cancelling = scope.spawn(|| {
                start.wait();
                // From the far end, so that the two meet in the middle.
                ids.clone()
                    .rev()
                    .map(|id| centre.engine.cancel(id.into(), at(10)))
                    .collect()
            });
            releasing.join().unwrap();
            cancelling.join().unwrap()
        });
        while centre.engine.poll(at(10), 64).unwrap().more {}
        for (id, verdict) in ids.rev().zip(verdicts) {
            let routes = routed[usize::try_from(id).unwrap()].load(Ordering::SeqCst);
            let outcome = centre.engine.status(id.into()).unwrap().outcome.unwrap();
            match verdict {
                Ok(_) => assert_eq!((routes, outcome), (0, Outcome::Cancelled), "request {id}"),
                Err(CancelError::TooLate { .. }) => {
                    assert_eq!((routes, outcome), (1, Outcome::Routed), "request {id}");
                }
                Err(error) => panic!("request {id}: {error}"),
            }
            cancelled += usize::from(verdict.is_ok());
        }
        centre.desk.take();
    }
    centre.engine.check_invariants();
    assert!(
        cancelled > 0 && cancelled < usize::try_from(ROUNDS).unwrap(),
        "{cancelled}: no race"
    );
}

#[test]
fn reschedule_races_release_and_exactly_one_wins() {
    let centre = centre();
    for id in 0..2_000_u64 {
        centre.schedule(centre.request(id.into(), at(10)), at(0));
    }
    let moved = thread::scope(|scope| {
        let releasing = scope.spawn(|| while centre.engine.poll(at(10), 16).unwrap().more {});
        let moving = scope.spawn(|| {
            let moved = (0..2_000_u64).rev().filter(|&id| {
                centre
                    .engine
                    .reschedule(id.into(), ScheduleData::at(at(99)), None, at(10))
                    .is_ok()
            });
            moved.count()
        });
        releasing.join().unwrap();
        moving.join().unwrap()
    });
    while centre.engine.poll(at(10), 64).unwrap().more {}
    assert_eq!(centre.desk.take_ids().len(), 2_000 - moved);
    assert_eq!(centre.engine.pending(), moved);
    assert_eq!(centre.poll(at(99)), moved);
}

#[test]
fn duplicate_intake_from_two_threads_is_taken_once() {
    const ROUNDS: u64 = 20_000;
    let centre = centre();
    let start = Barrier::new(2);
    let intake = || {
        start.wait();
        let fresh = (0..ROUNDS).filter(|&id| {
            let receipt = centre
                .engine
                .schedule(centre.request(id.into(), at(10)), at(0))
                .unwrap();
            assert_eq!(receipt.id, RequestId::from(id));
            !receipt.duplicate
        });
        fresh.count()
    };
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(intake);
        let other = scope.spawn(intake);
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one + other, usize::try_from(ROUNDS).unwrap());
    assert_eq!(centre.engine.pending(), one + other);
    centre.engine.check_invariants();
    assert_eq!(centre.poll(at(10)), one + other);
}

#[test]
fn once_close_has_returned_nothing_more_is_accepted() {
    for _ in 0..300 {
        let centre = centre();
        let left = std::thread::scope(|scope| {
            for thread in 0..2 {
                let centre = &centre;
                scope.spawn(move || {
                    let mut ids = (0..).map(|n| n * 2 + thread);
                    let accepted = |id| {
                        let request = centre.request(id, at(10));
                        centre.engine.schedule(request, at(0)).is_ok()
                    };
                    while ids.next().is_some_and(accepted) {}
                });
            }
            while centre.engine.pending() < 20 {
                std::thread::yield_now();
            }
            centre.engine.close();
            centre.engine.pending()
        });
        assert_eq!(centre.engine.pending(), left);
    }
}
