//! A worker that dies of a panic (of the user's clock: the router's are caught) leaves its work to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use duewheel::{
    Clock, ClockObserver, DriverOptions, ManualClock, RequestState, Running, Shutdown, Timestamp,
};

use crate::driver::{PATIENCE, eventually};
use crate::support::{Centre, at, centre};

/// Panics once, at so many looks of workers from now.
struct Bomb {
    clock: ManualClock,
    fuse: AtomicI64,
}

impl Bomb {
    fn laid() -> Arc<Self> {
        Arc::new(Self {
            clock: ManualClock::new(at(0)),
            fuse: AtomicI64::new(i64::MAX),
        })
    }
}

impl Clock for Bomb {
    fn now(&self) -> Timestamp {
        let thread = std::thread::current();
        let is_worker = thread
            .name()
            .is_some_and(|name| name.starts_with("duewheel-dispatch"));
        if is_worker && self.fuse.fetch_sub(1, Ordering::SeqCst) == 1 {
            panic!("the clock blew up");
        }
        self.clock.now()
    }

    fn on_change(&self, observer: ClockObserver) {
        self.clock.on_change(observer);
    }
}

fn drive(centre: &Centre, clock: &Arc<Bomb>) -> Running {
    let options = DriverOptions {
        workers: 2,
        location_in_flight_max: Some(1),
        ..DriverOptions::default()
    };
    centre.engine.start(clock.clone(), options).unwrap()
}

#[test]
fn what_nobody_was_told_of_goes_to_another_at_once_and_so_does_the_locations_share() {
    let centre = centre();
    let clock = Bomb::laid();
    let running = drive(&centre, &clock);
    for id in 0..100 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    // Before the tenth command is made: each takes two looks.
    clock.fuse.store(19, Ordering::SeqCst);
    clock.clock.set(at(10));
    eventually("the other serves them all", || centre.engine.pending() == 0);
    let commands = centre.desk.take();
    assert_eq!(commands.len(), 100);
    assert!(
        commands
            .iter()
            .all(|command| command.attempt == 1 && !command.redelivery)
    );
    let report = running.shutdown(Shutdown::Drain, PATIENCE);
    assert_eq!(report.panics, ["the clock blew up"]);
    centre.engine.check_invariants();
}

#[test]
fn what_the_router_was_told_of_goes_out_again_after_its_lease() {
    let centre = centre();
    let clock = Bomb::laid();
    let running = drive(&centre, &clock);
    for id in 0..100 {
        centre.schedule(centre.request(id, at(10)), at(0));
    }
    // The tenth command's answer is never taken.
    clock.fuse.store(20, Ordering::SeqCst);
    clock.clock.set(at(10));
    eventually("the other serves the rest", || centre.engine.pending() == 1);
    assert_eq!(centre.state(9), RequestState::Routing);
    clock.clock.set(at(1_000));
    eventually("its lease has run out", || {
        centre.state(9) == RequestState::Scheduled
    });
    clock.clock.set(at(2_000));
    eventually("and the last", || centre.engine.pending() == 0);
    let last = centre.desk.take().pop().unwrap();
    assert_eq!(
        (last.id, last.attempt, last.redelivery),
        (9.into(), 2, true)
    );
    let report = running.shutdown(Shutdown::Drain, PATIENCE);
    assert_eq!(report.panics.len(), 1);
    centre.engine.check_invariants();
}
