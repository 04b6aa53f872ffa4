//! The engine's protocols under loom: every interleaving, and every value that the memory model lets a load give.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --lib models
//! ```
//!
//! The engine is the real one, and what sleeps is its driver, or what the driver calls. loom lets no timeout end,
//! so that a sleeper that nobody wakes is a deadlock, which it reports.
//! Longer programs are the other checker's, which takes no account of the order of memory: see
//! tests/interleavings.

use std::time::Duration;

use loom::model::Builder;

use super::driver::Plan;
use super::wakeup::Ticket;
use super::{DriverOptions, Engine, Running, Shutdown};
use crate::clock::ManualClock;
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::request::InteractionRequest;
use crate::router::{Completion, Disposition, DueRequest, Lease, Router, RoutingCommand};
use crate::schedule::{Consultation, ScheduleData};
use crate::sync::{Arc, Condvar, Mutex, thread};

/// Never ends.
const LONG: Duration = Duration::from_secs(3_600);

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Answers everything alike, and tells who waits for that.
struct Desk {
    answer: Disposition,
    routed: Mutex<usize>,
    came: Condvar,
}

impl Desk {
    fn wait_for(&self, commands: usize) {
        let mut routed = self.routed.lock();
        while *routed < commands {
            self.came.wait(&mut routed);
        }
    }
}

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        *self.routed.lock() += 1;
        self.came.notify_all();
        self.answer.clone()
    }
}

fn engine_that(answer: Disposition) -> (Arc<Engine>, Arc<Desk>, LocationId) {
    let desk = Arc::new(Desk {
        answer,
        routed: Mutex::new(0),
        came: Condvar::new(),
    });
    let engine = Engine::builder().shards(1).hash_key(7);
    let router = Arc::clone(&desk) as Arc<dyn Router>;
    let engine = Arc::new(engine.build(router).unwrap());
    let here = engine.directory().enter("AA0101").unwrap();
    (engine, desk, here)
}

/// One whose router accepts everything, for a long time.
fn engine() -> (Arc<Engine>, LocationId) {
    let (engine, _, here) = engine_that(Disposition::Accepted { lease_for: LONG });
    (engine, here)
}

fn schedule(engine: &Engine, here: LocationId, id: u128, due: u64) {
    let request = InteractionRequest::new(RequestId::integer(id), here)
        .with_schedule(ScheduleData::at(at(due)));
    let _receipt = engine.schedule(request, at(0)).unwrap();
}

/// Runs a program in every way there is, or in every way with at most so many preemptions.
fn check(preemptions: Option<usize>, program: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.max_branches = 10_000;
    builder.preemption_bound = preemptions;
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&runs);
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        program();
    });
    println!("{} runs", runs.load(std::sync::atomic::Ordering::Relaxed));
}

/// Polls, and plans as the driver does where nothing is due.
fn plan(engine: &Engine) -> Plan {
    let poll = engine.poll(at(0), 10).unwrap();
    let clock = ManualClock::new(at(0));
    engine.plan(&poll, &clock).expect("nothing is due")
}

/// Sleeps as the driver does.
fn sleep(engine: &Engine, ticket: Ticket, plan: &Plan) {
    let sleep = engine
        .wakeup
        .lie_down(ticket, plan.until, plan.ends_matter)
        .expect("the ticket is good");
    if engine.may_sleep(plan) {
        sleep.wait(LONG);
    }
}

/// Sleeps, and polls and sleeps again, until it knows of what is due at `due`.
fn sleep_until(engine: &Engine, due: Timestamp) {
    let ticket = engine.wakeup.take_over();
    loop {
        let plan = plan(engine);
        if plan.until <= due {
            break;
        }
        sleep(engine, ticket, &plan);
    }
}

/// Starts the driver by a clock that stands.
fn start(engine: &Arc<Engine>, workers: usize) -> Running {
    let options = DriverOptions {
        workers,
        dispatch_max: 1,
        ..DriverOptions::default()
    };
    let clock = Arc::new(ManualClock::new(at(0)));
    engine.start(clock, options).unwrap()
}

/// Runs a part of the program in a thread of its own.
fn aside(engine: &Arc<Engine>, part: impl FnOnce(&Engine) + 'static) -> thread::JoinHandle<()> {
    let engine = Arc::clone(engine);
    thread::spawn(move || part(&engine))
}

#[test]
fn no_sleep_goes_past_what_is_taken_in_meanwhile() {
    check(None, || {
        let (engine, here) = engine();
        schedule(&engine, here, 1, 100);
        let intake = aside(&engine, move |engine| schedule(engine, here, 2, 50));
        sleep_until(&engine, at(50));
        intake.join().unwrap();
    });
}

#[test]
fn no_sleep_goes_past_what_either_of_two_intakes_takes_in() {
    check(Some(3), || {
        let (engine, here) = engine();
        schedule(&engine, here, 1, 100);
        let intakes = [2, 3].map(|id| {
            aside(&engine, move |engine| {
                schedule(engine, here, u128::from(id), id * 20);
            })
        });
        sleep_until(&engine, at(40));
        for intake in intakes {
            intake.join().unwrap();
        }
    });
}

#[test]
fn an_end_wakes_who_waits_for_it() {
    check(None, || {
        let (engine, here) = engine();
        schedule(&engine, here, 1, 0);
        // What is due next stays the same, so that nothing of the shard's is published.
        schedule(&engine, here, 2, 100);
        assert_eq!(engine.poll(at(0), 10).unwrap().released, 1);
        // Who drains it waits for ends.
        engine.close();
        let ticket = engine.wakeup.take_over();
        let lease = Lease::new(RequestId::integer(1), 1, 1);
        let complete = aside(&engine, move |engine| {
            let _state = engine.complete(&lease, Completion::Routed, at(0)).unwrap();
        });
        loop {
            let plan = plan(&engine);
            if plan.idle {
                break;
            }
            sleep(&engine, ticket, &plan);
        }
        assert_eq!(engine.in_flight(), 0);
        complete.join().unwrap();
    });
}

/// Cancel against release: one of them wins, and the other sees that it did.
#[test]
fn a_request_is_cancelled_or_released() {
    check(None, || {
        let (engine, desk, here) = engine_that(Disposition::Routed);
        schedule(&engine, here, 1, 5);
        let poll = aside(&engine, |engine| {
            let _poll = engine.poll(at(5), 10).unwrap();
        });
        let cancelled = engine.cancel(RequestId::integer(1), at(5)).is_ok();
        poll.join().unwrap();
        assert_eq!(*desk.routed.lock(), usize::from(!cancelled));
        assert_eq!((engine.pending(), engine.in_flight()), (0, 0));
    });
}

/// The end of a lease against its completion: a completion that was accepted ends the request.
#[test]
fn a_completion_wins_over_the_end_of_its_lease() {
    check(None, || {
        let lease_for = Duration::from_millis(10);
        let (engine, desk, here) = engine_that(Disposition::Accepted { lease_for });
        schedule(&engine, here, 1, 0);
        assert_eq!(engine.poll(at(0), 10).unwrap().released, 1);
        let poll = aside(&engine, |engine| {
            // The lease ends, and the retry's half minute.
            let _poll = engine.poll(at(10), 10).unwrap();
            let _poll = engine.poll(at(60_000), 10).unwrap();
        });
        let lease = Lease::new(RequestId::integer(1), 1, 1);
        let completed = engine.complete(&lease, Completion::Routed, at(10)).is_ok();
        poll.join().unwrap();
        let attempts = if completed { 1 } else { 2 };
        assert_eq!(*desk.routed.lock(), attempts);
        assert_eq!(engine.pending(), usize::from(!completed));
    });
}

/// A hold that has returned is seen by every release after it, and has counted every one before.
#[test]
fn a_hold_counts_what_was_released_before_it() {
    check(None, || {
        let (engine, here) = engine();
        schedule(&engine, here, 1, 0);
        let poll = aside(&engine, |engine| {
            let _poll = engine.poll(at(0), 10).unwrap();
        });
        let held = engine.hold(here, at(0)).unwrap().in_flight;
        poll.join().unwrap();
        assert_eq!(engine.in_flight(), held);
    });
}

#[test]
fn close_waits_for_who_was_let_in() {
    check(None, || {
        let (engine, here) = engine();
        let intake = aside(&engine, move |engine| {
            let request = InteractionRequest::new(RequestId::integer(1), here);
            let _refused = engine.schedule(request, at(0));
        });
        engine.close();
        let pending = engine.pending();
        assert_eq!(engine.next_wakeup().is_some(), pending == 1, "published");
        intake.join().unwrap();
        assert_eq!(engine.pending(), pending);
    });
}

/// The whole driver, its clock standing: what is due now is released however the intake meets its falling asleep.
#[test]
fn a_driver_releases_what_is_taken_in_as_it_falls_asleep() {
    check(None, || {
        let (engine, desk, here) = engine_that(Disposition::Routed);
        schedule(&engine, here, 1, 100);
        let running = start(&engine, 0);
        schedule(&engine, here, 2, 0);
        desk.wait_for(1);
        let report = running.shutdown(Shutdown::Stop, Duration::MAX);
        assert!(report.panics.is_empty());
        assert_eq!(report.pending, 1);
    });
}

/// A drain against an intake: what was let in is routed before it returns.
#[test]
fn a_drain_leaves_nothing_that_was_let_in() {
    check(Some(3), || {
        let (engine, desk, here) = engine_that(Disposition::Routed);
        let running = start(&engine, 0);
        let intake = aside(&engine, move |engine| {
            let request = InteractionRequest::new(RequestId::integer(1), here);
            let _refused = engine.schedule(request, at(0));
        });
        let report = running.shutdown(Shutdown::Drain, Duration::MAX);
        assert!(report.panics.is_empty());
        assert_eq!((report.pending, report.in_flight), (0, 0));
        let routed = *desk.routed.lock();
        intake.join().unwrap();
        assert_eq!(engine.pending(), 0);
        assert_eq!(*desk.routed.lock(), routed);
    });
}

/// A worker and a queue with room for one: each that is taken out lets the next in.
#[test]
fn a_worker_is_woken_by_what_is_queued_and_the_driver_by_the_room() {
    check(Some(1), || {
        let (engine, desk, here) = engine_that(Disposition::Routed);
        let running = start(&engine, 1);
        schedule(&engine, here, 1, 0);
        schedule(&engine, here, 2, 0);
        desk.wait_for(2);
        let report = running.shutdown(Shutdown::Stop, Duration::MAX);
        assert!(report.panics.is_empty());
        assert_eq!(report.in_flight, 0);
    });
}
