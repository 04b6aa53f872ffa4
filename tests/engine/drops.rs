//! Promise 7: what a user gave is dropped outside every lock. An allocator calls back into the engine
//! whenever a payload of a telling size is freed: a lock held then would be met by the same thread.

#![allow(unsafe_code)] // An allocator is an unsafe trait.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use duewheel::{Disposition, Engine, ScheduleData};

use crate::support::{Centre, at, centre_with, run, secs};

/// No other allocation of these tests has this size.
const PAYLOAD_BYTES: usize = 54_321;

static DROPS: AtomicUsize = AtomicUsize::new(0);
static WATCHED: OnceLock<Centre> = OnceLock::new();

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Watching;

#[global_allocator]
static ALLOCATOR: Watching = Watching;

// SAFETY: every call goes on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if (PAYLOAD_BYTES..PAYLOAD_BYTES + 64).contains(&layout.size()) && !INSIDE.replace(true) {
            DROPS.fetch_add(1, Ordering::SeqCst);
            if let Some(centre) = WATCHED.get() {
                // Takes the one shard's lock, a control's and the lateness book's.
                let _ = centre.engine.status(1.into());
                let _ = centre.engine.hold(centre.here, at(0));
                let _ = centre.engine.resume(centre.here, None, at(0));
                let _ = centre.engine.report(at(0));
            }
            INSIDE.set(false);
        }
        // SAFETY: the caller keeps the contract, which is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Fails by name where a lock is met, instead of hanging.
fn within(limit: Duration, what: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(what);
    let deadline = Instant::now() + limit;
    while !thread.is_finished() {
        assert!(
            Instant::now() < deadline,
            "a payload was dropped under a lock"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    thread.join().unwrap();
}

#[test]
fn payloads_are_dropped_once_and_outside_every_lock() {
    within(Duration::from_secs(60), || {
        let settings = Engine::builder()
            .shards(1)
            .payload_bytes_max(PAYLOAD_BYTES)
            .max_pending(8);
        let centre = WATCHED.get_or_init(|| centre_with(settings));
        let with_payload = |id: u128, schedule: ScheduleData| {
            centre
                .immediate(id)
                .with_schedule(schedule)
                .with_payload(vec![7_u8; PAYLOAD_BYTES])
        };
        // The vector that a payload is made from is freed as it becomes one.
        let dropped = |what: &str, expected: usize, run: &dyn Fn()| {
            let before = DROPS.load(Ordering::SeqCst);
            run();
            centre.desk.take();
            assert_eq!(DROPS.load(Ordering::SeqCst) - before, expected, "{what}");
        };
        let due = |seconds| ScheduleData::at(at(seconds));
        let limited = |from, until| {
            ScheduleData::builder()
                .time(at(from))
                .not_after(at(until))
                .build()
                .unwrap()
        };
        let schedule = |id, schedule: &ScheduleData, now| {
            centre.schedule(with_payload(id, schedule.clone()), at(now));
        };
        dropped("routed", 2, &|| {
            schedule(10, &due(10), 0);
            run(centre, at(0), at(10));
        });
        dropped("cancelled", 2, &|| {
            schedule(11, &due(20), 10);
            centre.engine.cancel(11.into(), at(10)).map(drop).unwrap();
        });
        dropped("a location cancelled", 4, &|| {
            schedule(12, &due(20), 10);
            schedule(13, &due(20), 10);
            centre.engine.cancel_location(centre.here, at(10)).unwrap();
        });
        dropped("expired", 2, &|| {
            schedule(14, &limited(30, 40), 10);
            centre.poll(at(40));
        });
        dropped("a duplicate", 3, &|| {
            schedule(15, &due(100), 40);
            assert!(
                centre
                    .engine
                    .schedule(with_payload(15, due(100)), at(40))
                    .unwrap()
                    .duplicate
            );
        });
        dropped("refused, by the caller", 2, &|| {
            let error = centre
                .engine
                .schedule(with_payload(15, due(101)), at(40))
                .unwrap_err();
            drop(error);
        });
        dropped("dead-lettered", 3, &|| {
            centre.desk.answer(|_| Disposition::Busy {
                retry_after: Some(secs(1)),
            });
            schedule(16, &due(50), 40);
            run(centre, at(40), at(130));
        });
    });
}
