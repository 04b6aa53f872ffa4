//! A world: an engine with a store on a disk that crashes and fails, and those who use it, all out of one seed. The
//! process ends again and again, in good order and not, and each end is followed by another life.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use duewheel::{
    BuildError, CancelError, CompleteError, Completion, Consultation, Disposition, DueRequest,
    Durability, Engine, FileOptions, InteractionRequest, Lease, LocationError, LocationId,
    PollError, RescheduleError, Router, RoutingCommand, ScheduleData, ScheduleErrorReason, Store,
    Timestamp,
};

use super::ledger::{Fact, Ledger};
use crate::dice::Dice;
use crate::disk::{Fault, SimulatedDisk};

/// 2026-01-05T09:00:00+02:00.
const NINE_MS: u64 = 1_767_596_400_000;
const LOCATIONS: u32 = 3;
const SEGMENT_BYTES: u64 = 8 * 1024;

/// What a world came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) events: u64,
    pub(crate) lives: u64,
    pub(crate) commands: u64,
    pub(crate) redelivered: u64,
    pub(crate) failures: u64,
}

struct Desk {
    dice: Mutex<Dice>,
    heard: Mutex<Vec<(RoutingCommand, Disposition)>>,
}

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match dice.weighted(&[5, 2, 3, 1]) {
            0 => Disposition::Routed,
            1 => Disposition::Busy { retry_after: None },
            2 => Disposition::Accepted {
                lease_for: Duration::from_secs(dice.pick(&[1, 30, 300])),
            },
            _ => Disposition::Rejected("nobody speaks that".into()),
        };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((command, answer.clone()));
        answer
    }
}

pub(crate) struct World {
    dice: Dice,
    disk: SimulatedDisk,
    durability: Durability,
    desk: Arc<Desk>,
    engine: Option<Engine>,
    ledger: Ledger,
    now: Timestamp,
    next_id: u64,
    leases: Vec<Lease>,
    summary: Summary,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(Dice::new(seed, 1), Dice::new(seed, 2))
    }

    /// A world in which the throws are written down.
    pub(crate) fn scripted(everybody: &[u8], router: &[u8]) -> Self {
        Self::of(Dice::scripted(everybody, 1), Dice::scripted(router, 2))
    }

    fn of(mut dice: Dice, routers: Dice) -> Self {
        let durability = match dice.below(5) {
            0 => Durability::NoSync,
            1 => Durability::Interval(Duration::from_secs(5)),
            _ => Durability::Sync,
        };
        let disk = SimulatedDisk::new(dice.below(1 << 16));
        let mut world = Self {
            dice,
            disk,
            durability,
            desk: Arc::new(Desk {
                dice: Mutex::new(routers),
                heard: Mutex::default(),
            }),
            engine: None,
            ledger: Ledger::new(durability == Durability::Sync),
            now: Timestamp::from_millis(NINE_MS),
            next_id: 1,
            leases: Vec::new(),
            summary: Summary::default(),
        };
        world.begin();
        world
    }

    /// Lives the world to its end.
    pub(crate) fn live(mut self) -> Summary {
        let events = self.dice.pick(&[40, 100, 200]);
        for _ in 0..events {
            if self.dice.is_spent() {
                break;
            }
            self.summary.events += 1;
            self.act();
            if self.engine().store_error().is_some() {
                self.summary.failures += 1;
                self.check_refusals();
                self.end_badly();
            }
        }
        self.drain();
        self.summary.commands = self.ledger.commands;
        self.summary.redelivered = self.ledger.redelivered;
        self.summary
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an engine between two lives")
    }

    // ---- lives ----

    /// Opens the store and builds the engine, which must be possible where nothing fails meanwhile.
    /// Says whether it was at once.
    fn begin(&mut self) -> bool {
        self.summary.lives += 1;
        let first = self.build();
        let at_once = first.is_ok();
        let engine = first.unwrap_or_else(|_| {
            let image = self.disk.crash(&mut self.dice);
            self.disk = SimulatedDisk::from_image(&image, self.dice.below(1 << 16));
            self.build().unwrap()
        });
        for location in 0..LOCATIONS {
            let entered = engine.directory().enter(&format!("L{location}"));
            assert_eq!(entered.unwrap(), place(location));
        }
        engine.check_invariants();
        self.ledger.recovered(&engine);
        self.engine = Some(engine);
        at_once
    }

    fn build(&mut self) -> Result<Engine, BuildError> {
        let options = FileOptions::new().segment_bytes(SEGMENT_BYTES).hash_key(7);
        let store = Store::on_disk(Arc::new(self.disk.clone()), options)?;
        let settings = Engine::builder()
            .shards(self.dice.pick(&[1, 2, 2, 2]))
            .store(store)
            .durability(self.durability);
        settings.build(Arc::clone(&self.desk) as Arc<dyn Router>)
    }

    /// The power fails, or the process is killed.
    fn end_badly(&mut self) {
        if self.dice.chance(50) {
            let image = self.disk.crash(&mut self.dice);
            // What the dead engine still writes goes nowhere.
            self.disk.fail_power_after(0);
            self.engine = None;
            let seed = self.dice.below(1 << 16);
            self.disk = SimulatedDisk::from_image(&image, seed);
        } else {
            let disk = self.disk.kill(&mut self.dice);
            self.engine = None;
            self.disk = disk;
        }
        self.ledger.crashed();
        self.begin();
    }

    fn end_in_good_order(&mut self) {
        if self.engine().seal().is_ok() {
            self.ledger.all_is_sure();
            self.engine = None;
            let at_once = self.begin();
            let report = self.engine().recovery().unwrap();
            assert!(!at_once || report.clean || report.overdue_are_suspect);
        }
    }

    /// Something is to go wrong with the disk soon.
    fn plan_a_fault(&mut self) {
        let operation = self.disk.operations() + self.dice.between(1, 12);
        match self.dice.below(4) {
            0 => self.disk.fail_power_after(operation),
            1 => self.disk.plan(operation, Fault::NoRoom),
            2 => self.disk.plan(operation, Fault::Short),
            _ => self.disk.plan(operation, Fault::Error),
        }
    }

    /// After the journal has failed everything that would change something is refused.
    fn check_refusals(&self) {
        let (engine, now) = (self.engine(), self.now);
        let request = InteractionRequest::new(u64::MAX.into(), place(0));
        let refused = engine.schedule(request, now).unwrap_err();
        assert_eq!(refused.reason, ScheduleErrorReason::Unavailable);
        assert_eq!(engine.cancel(1.into(), now), Err(CancelError::Unavailable));
        assert_eq!(engine.poll(now, 10), Err(PollError::Unavailable));
    }

    // ---- what happens ----

    /// What an answer that says "done" is worth.
    fn done(&self) -> Fact {
        match self.durability {
            Durability::Sync => Fact::Sure,
            _ => Fact::Yes,
        }
    }

    fn act(&mut self) {
        match self.dice.weighted(&[30, 6, 4, 8, 3, 30, 20, 3, 3, 3, 4, 2]) {
            0 => self.schedule(),
            1 => self.cancel(),
            2 => self.reschedule(),
            3 => self.complete(),
            4 => self.rule(),
            5 => self.poll(),
            6 => {
                let step_ms = self.dice.delay_ms(20_000);
                self.now = self.now.saturating_add(Duration::from_millis(step_ms));
            }
            7 => {
                if self.engine().snapshot().is_ok() {
                    self.ledger.all_is_sure();
                }
            }
            8 => {
                if self.engine().flush().is_ok() {
                    self.ledger.all_is_sure();
                }
            }
            9 => self.end_badly(),
            10 => self.plan_a_fault(),
            _ => self.end_in_good_order(),
        }
    }

    fn some_id(&mut self) -> Option<u64> {
        let last = self.next_id.checked_sub(1).filter(|&last| last > 0)?;
        let back = self.dice.below(last.min(30));
        Some(last - back)
    }

    fn schedule(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        let location = self.dice.below(LOCATIONS.into()) as u32;
        let mut request = InteractionRequest::new(id.into(), place(location))
            .with_payload(vec![id as u8; self.dice.pick(&[0, 10, 900])]);
        let mut due = self.now;
        if self.dice.chance(70) {
            let ahead_ms = self.dice.delay_ms(60_000);
            due = self.now.saturating_add(Duration::from_millis(ahead_ms));
            request = request.with_schedule(ScheduleData::at(due));
        }
        let accepted = match self.engine().schedule(request, self.now) {
            Ok(receipt) => {
                assert!(!receipt.duplicate);
                self.done()
            }
            Err(error) => match error.reason {
                ScheduleErrorReason::Indeterminate => Fact::Unknown,
                ScheduleErrorReason::StorageFull | ScheduleErrorReason::Unavailable => Fact::No,
                reason => panic!("request {id}: {reason}"),
            },
        };
        self.ledger.made(id, due, accepted);
    }

    fn cancel(&mut self) {
        let Some(id) = self.some_id() else { return };
        if !self.ledger.knows(id) {
            return;
        }
        let answer = match self.engine().cancel(id.into(), self.now) {
            Ok(_) => self.done(),
            Err(CancelError::Indeterminate(_)) => Fact::Unknown,
            Err(_) => return,
        };
        self.ledger.cancelled(id, answer);
    }

    fn reschedule(&mut self) {
        let Some(id) = self.some_id() else { return };
        if !self.ledger.knows(id) {
            return;
        }
        let ahead_ms = self.dice.delay_ms(60_000);
        let due = self.now.saturating_add(Duration::from_millis(ahead_ms));
        let schedule = ScheduleData::at(due);
        let answer = match self
            .engine()
            .reschedule(id.into(), schedule, None, self.now)
        {
            Ok(_) => self.done(),
            Err(RescheduleError::Indeterminate(_)) => Fact::Unknown,
            Err(_) => return,
        };
        self.ledger.moved(id, due, answer);
    }

    fn complete(&mut self) {
        let given = self.leases.len() as u64;
        if given == 0 {
            return;
        }
        let back = self.dice.below(given.min(10));
        let lease = self.leases[(given - 1 - back) as usize];
        let ends = self.dice.chance(70);
        let completion = match ends {
            true => Completion::Routed,
            false => Completion::Busy { retry_after: None },
        };
        let answer = match self.engine().complete(&lease, completion, self.now) {
            Ok(_) => self.done(),
            Err(CompleteError::Indeterminate(_)) => Fact::Unknown,
            Err(_) => return,
        };
        let id = u64::try_from(lease.id().value()).unwrap();
        self.ledger.completed(id, ends, answer);
    }

    fn rule(&mut self) {
        let location = self.dice.below(LOCATIONS.into()) as u32;
        let held = self.dice.chance(50);
        let (engine, now) = (self.engine(), self.now);
        let answered = match held {
            true => engine.hold(place(location), now).map(|_| ()),
            false => engine.resume(place(location), None, now).map(|_| ()),
        };
        let answer = match answered {
            Ok(()) => self.done(),
            Err(LocationError::Indeterminate(_)) => Fact::Unknown,
            Err(_) => return,
        };
        self.ledger.ruled(location, held, answer);
    }

    fn poll(&mut self) {
        let budget = self.dice.pick(&[1, 3, 1_000]);
        let polled = self.engine().poll(self.now, budget);
        let mut heard = self
            .desk
            .heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (command, answer) in heard.drain(..) {
            self.ledger.heard(&command, &answer, self.now);
            self.leases.push(command.lease);
        }
        drop(heard);
        if polled.is_err() {
            assert!(self.engine().store_error().is_some(), "{polled:?}");
        } else if self.durability == Durability::Sync && self.engine().store_error().is_none() {
            // What nobody waits for is made durable at its end.
            self.ledger.all_is_sure();
        }
    }

    /// Nothing fails any more, the clock runs on, and everything comes to its end.
    fn drain(&mut self) {
        self.end_badly();
        for location in 0..LOCATIONS {
            let _ = self
                .engine()
                .resume(place(location), None, self.now)
                .unwrap();
            self.ledger.ruled(location, false, Fact::Sure);
        }
        for _ in 0..10_000 {
            self.poll();
            assert_eq!(
                self.engine().store_error().map(|error| error.to_string()),
                None
            );
            let Some(next) = self.engine().next_wakeup() else {
                break;
            };
            self.now = self.now.max(next);
        }
        assert_eq!(self.engine().pending(), 0, "all of it has ended");
        self.engine().check_invariants();
        self.ledger.check_end();
        self.end_in_good_order();
        assert_eq!(self.engine().pending(), 0, "and stays so");
    }
}

fn place(location: u32) -> LocationId {
    LocationId::from_index(location)
}
