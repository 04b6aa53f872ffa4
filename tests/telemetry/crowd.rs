//! What is told of requests that come, wait and go out in numbers: batches, lines, and a run on a runtime.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use duewheel::{
    AsyncRouter, Clock, Consultation, Disposition, DriverOptions, DueRequest, Engine,
    InteractionRequest, LocationId, ManualClock, Router, RoutingCommand, RunOptions, ScheduleData,
    Shutdown, Timestamp,
};

use crate::capture::Ears;
use crate::centre::at;
use crate::heard;

const PATIENCE: Duration = Duration::from_secs(60);

/// Routes at once, or when its gate has opened.
#[derive(Default)]
struct Desk {
    closed: Mutex<bool>,
    opens: Condvar,
}

impl Desk {
    fn close(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opens.notify_all();
    }
}

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        let closed = self.closed.lock().unwrap();
        drop(self.opens.wait_while(closed, |closed| *closed).unwrap());
        Disposition::Routed
    }
}

fn engine(desk: &Arc<Desk>) -> (Arc<Engine>, [LocationId; 2]) {
    let builder = Engine::builder().shards(2).payload_bytes_max(16);
    let engine = Arc::new(builder.build(Arc::clone(desk) as Arc<dyn Router>).unwrap());
    let places = ["AA0101", "AA0102"].map(|name| engine.directory().enter(name).unwrap());
    (engine, places)
}

fn request(id: u64, location: LocationId) -> InteractionRequest {
    InteractionRequest::new(id.into(), location).with_schedule(ScheduleData::at(at(100)))
}

/// Requests of which some are taken in, some are known, and some are refused, each for a reason of its own.
fn requests(here: LocationId) -> Vec<InteractionRequest> {
    let mut requests: Vec<_> = (1..=40).map(|id| request(id, here)).collect();
    requests.push(request(1, here));
    requests.push(InteractionRequest::new(2.into(), here));
    requests.push(request(41, LocationId::from_index(99)));
    requests.push(request(42, here).with_payload([7; 17]));
    requests
}

#[test]
fn batches_tell_what_single_calls_tell() {
    let told = [false, true].map(|in_batches| {
        let ears = Ears::default();
        let (engine, [here, _]) = engine(&Arc::default());
        // Where a batch told anything under its lock, this would hang.
        let asked = Arc::clone(&engine);
        ears.0.hook(move |_| {
            for id in 1..=42_u64 {
                let _status = asked.status(id.into());
            }
        });
        heard(&ears, || {
            let ids: Vec<_> = (1..=20_u64).chain([1, 77]).map(Into::into).collect();
            let (mut taken, mut cancelled) = (0, 0);
            if in_batches {
                let answers = engine.schedule_batch(requests(here), at(0));
                taken += answers.iter().filter(|answer| answer.is_ok()).count();
                let answers = engine.cancel_batch(&ids, at(1));
                cancelled += answers.iter().filter(|answer| answer.is_ok()).count();
            } else {
                for request in requests(here) {
                    taken += usize::from(engine.schedule(request, at(0)).is_ok());
                }
                for id in ids {
                    cancelled += usize::from(engine.cancel(id, at(1)).is_ok());
                }
            }
            assert_eq!((taken, cancelled), (41, 21), "one of each is a repetition");
            // None is left to be accepted.
            engine.close();
            let _refused = engine.schedule_batch(vec![request(43, here)], at(2));
        });
        let lives: Vec<_> = (1..=43).map(|id| ears.0.of(id)).collect();
        let metrics = ears.0.metrics.lock().unwrap().clone();
        (lives, metrics)
    });
    let [(single, counted), (batched, counted_batched)] = told;
    assert_eq!(single, batched);
    assert_eq!(counted, counted_batched);
    assert_eq!(
        batched[0],
        [
            "accepted scheduled=true due_ms=1000100",
            "duplicate state=scheduled",
            "completed outcome=cancelled reason=none attempts=0",
        ]
    );
    assert_eq!(batched[40], ["refused reason=unknown_location"]);
    assert_eq!(batched[41], ["refused reason=payload_too_large"]);
    assert_eq!(batched[42], ["refused reason=closed"]);
}

#[test]
fn who_stands_in_line_is_told_to_wait_for_room_or_for_a_turn() {
    let desk = Arc::new(Desk::default());
    let (engine, [here, elsewhere]) = engine(&desk);
    desk.close(true);
    let clock = Arc::new(ManualClock::new(at(0)));
    let options = DriverOptions {
        workers: 1,
        dispatch_max: 1,
        ..DriverOptions::default()
    };
    let running = engine.start(clock.clone(), options).unwrap();
    // One at the router, one in the queue, one that waits for room there, one of another location.
    for (id, location) in [(1, here), (2, here), (3, here), (4, elsewhere)] {
        let _receipt = engine.schedule(request(id, location), at(0)).unwrap();
    }
    let ears = Ears::default();
    // The driver sleeps, because its clock stands still: the polls are this thread's.
    heard(&ears, || {
        let began = std::time::Instant::now();
        while engine.in_flight() < 2 || ears.0.of(4).len() < 2 {
            let _poll = engine.poll(at(100), 100);
            std::thread::yield_now();
            assert!(began.elapsed() < PATIENCE, "{:?}", ears.0.of(4));
        }
    });
    assert!(ears.0.of(3).contains(&"in_line gate=room".to_owned()));
    assert!(ears.0.of(4).contains(&"in_line gate=turn".to_owned()));
    desk.close(false);
    clock.set(at(100));
    let report = running.shutdown(Shutdown::Drain, PATIENCE);
    assert_eq!((report.pending, report.timed_out), (0, false));
}

/// Yields once on its way.
struct Yields;

impl AsyncRouter for Yields {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    async fn route(&self, _: RoutingCommand) -> Disposition {
        tokio::task::yield_now().await;
        Disposition::Routed
    }
}

/// Stands still, and panics once it is told to.
struct Battery {
    is_empty: AtomicBool,
}

impl Clock for Battery {
    fn now(&self) -> Timestamp {
        assert!(
            !self.is_empty.load(Ordering::SeqCst),
            "the battery is empty"
        );
        at(100)
    }
}

/// A run on this thread that routes one request and drains, and one that ends by a panic of its clock.
pub(crate) fn run_here() {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_time().build().unwrap();
    let builder = Engine::builder().shards(2);
    let engine = builder.build_async(Yields).unwrap();
    let here = engine.directory().enter("AA0101").unwrap();
    let clock = Arc::new(Battery {
        is_empty: AtomicBool::new(false),
    });
    let options = RunOptions {
        in_flight_max: 3,
        ..RunOptions::default()
    };
    let _receipt = engine.schedule(request(901, here), at(0)).unwrap();
    let drain = engine.run_until(clock.clone(), options, async { Shutdown::Drain });
    let report = runtime.block_on(drain).unwrap();
    assert_eq!((report.pending, report.timed_out), (0, false));
    clock.is_empty.store(true, Ordering::SeqCst);
    let run = runtime.spawn(engine.run(clock, options));
    assert!(runtime.block_on(run).unwrap_err().is_panic());
}

#[test]
fn a_run_on_a_runtime_tells_its_beginning_its_routes_and_its_end() {
    let ears = Ears::default();
    heard(&ears, run_here);
    let lines = ears.0.lines.lock().unwrap();
    let is_of_the_run = |line: &&String| {
        let names = ["started", "stopped", "thread_panicked", "+route", "-route"];
        names.iter().any(|name| line.starts_with(name))
    };
    let told: Vec<_> = lines.iter().filter(is_of_the_run).collect();
    assert_eq!(
        told,
        [
            "started by=runtime workers=3",
            "+route request=901 location=0 attempt=1",
            // For the call, and for each of the two times that its future was polled.
            "-route",
            "-route",
            "-route",
            "stopped pending=0 in_flight=0 timed_out=false",
            "started by=runtime workers=3",
            "stopped pending=0 in_flight=0 timed_out=false",
            "thread_panicked",
        ]
    );
    drop(lines);
    let names: BTreeSet<_> = ears.0.of(901).iter().map(|line| first(line)).collect();
    let life = ["accepted", "answered", "completed", "fell_due", "released"];
    assert_eq!(names, life.map(str::to_owned).into());
    assert_eq!(ears.0.metric("duewheel_thread_panics_total"), 1.0);
}

fn first(line: &str) -> String {
    line.split(' ').next().unwrap_or_default().to_owned()
}
