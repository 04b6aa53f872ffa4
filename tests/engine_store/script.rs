//! Random scripts over one store: crashes, snapshots and other numbers of shards between commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use duewheel::{
    Completion, Durability, Engine, InteractionRequest, Lease, LocationId, MissedPolicy, Outcome,
    Pace, ProcessingCondition, RequestId, RequestState, ScheduleData,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::support::{House, LOCATIONS, Seen, at, seen};

const IDS: u64 = 60;

struct Script {
    house: House,
    engine: Option<Engine>,
    random: Pcg64Mcg,
    now: u64,
    shards: usize,
    /// Leases that the router was given and that may be completed.
    leases: Vec<Lease>,
    /// Requests whose cancel was answered.
    cancelled: BTreeSet<u64>,
    /// The last attempt at each request that the router was told of.
    attempts: BTreeMap<u64, u32>,
    /// In flight when the process ended, or routed with nothing durable of how that went.
    open: BTreeSet<u64>,
}

impl Script {
    fn new(seed: u64, durability: Durability) -> Self {
        let house = House::new(durability);
        let engine = house.open(4);
        Self {
            house,
            engine: Some(engine),
            random: Pcg64Mcg::seed_from_u64(seed),
            now: 1_000,
            shards: 4,
            leases: Vec::new(),
            cancelled: BTreeSet::new(),
            attempts: BTreeMap::new(),
            open: BTreeSet::new(),
        }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.random_range(0..end)
    }

    fn location(&mut self) -> LocationId {
        let number = self.below(LOCATIONS.into());
        LocationId::from_index(u32::try_from(number).unwrap())
    }

    fn schedule(&mut self) -> ScheduleData {
        let due = self.now + self.below(8_000);
        let builder = match self.below(4) {
            0 => return ScheduleData::at(at(due)),
            1 => ScheduleData::builder()
                .time_if(at(due), ProcessingCondition::AgentsReady(1))
                .time(at(due + 4_000))
                .recheck(Duration::from_millis(700)),
            2 => ScheduleData::builder()
                .time(at(due))
                .not_after(at(due + 6_000)),
            _ => ScheduleData::builder()
                .time(at(due))
                .missed(MissedPolicy::NextDay),
        };
        builder.build().unwrap()
    }

    fn step(&mut self) {
        self.now += self.below(400);
        let now = at(self.now);
        let number = self.below(IDS);
        let id = RequestId::from(number);
        match self.below(20) {
            0..6 => {
                let location = self.location();
                let mut request = InteractionRequest::new(id, location);
                if self.below(3) > 0 {
                    request = request
                        .with_customer(format!("customer {number}"))
                        .with_payload(number.to_le_bytes());
                }
                if self.below(5) > 0 {
                    request = request.with_schedule(self.schedule());
                }
                let _ = self.engine().schedule(request, now);
            }
            6..8 => {
                if self.engine().cancel(id, now).is_ok() {
                    self.cancelled.insert(number);
                }
            }
            8..10 => {
                let schedule = self.schedule();
                let _ = self.engine().reschedule(id, schedule, None, now);
            }
            10..14 => self.poll(),
            14..16 => {
                if let Some(lease) = self.leases.pop() {
                    let completion = match self.below(3) {
                        0 => Completion::Busy { retry_after: None },
                        1 => Completion::Rejected("later".into()),
                        _ => Completion::Routed,
                    };
                    if self.engine().complete(&lease, completion, now).is_ok() {
                        // Somebody has said how it went.
                        let number = u64::try_from(lease.id().value()).unwrap();
                        self.open.remove(&number);
                    }
                }
            }
            16 => {
                let location = self.location();
                let _ = self.engine().hold(location, now).unwrap();
            }
            17 => {
                let location = self.location();
                let pace = Pace::per_second(self.below(3) as u32);
                let _ = self.engine().resume(location, pace, now).unwrap();
            }
            18 => {
                let (from, to) = (self.location(), self.location());
                let _ = self.engine().move_location(from, to, now).unwrap();
            }
            _ => {
                if self.below(4) == 0 {
                    let location = self.location();
                    let _ = self.engine().cancel_location(location, now).unwrap();
                } else {
                    self.engine().snapshot().unwrap();
                }
            }
        }
        self.engine().check_invariants();
    }

    fn poll(&mut self) {
        let budget = usize::try_from(self.below(30)).unwrap();
        let _ = self.engine().poll(at(self.now), budget).unwrap();
        self.read_ledger();
    }

    /// What holds of everything that the router is told.
    fn read_ledger(&mut self) {
        for command in self.house.desk.take() {
            let number = u64::try_from(command.id.value()).unwrap();
            assert!(command.due <= command.released, "early: {command:?}");
            assert!(
                !self.cancelled.contains(&number),
                "cancelled, and routed: {command:?}"
            );
            let last = self.attempts.insert(number, command.attempt).unwrap_or(0);
            if self.open.remove(&number) {
                assert!(
                    command.redelivery && command.attempt == last,
                    "not said to be handed over again: {command:?}"
                );
            } else {
                assert_eq!(command.attempt, last + 1, "{command:?}");
            }
            if command.customer.is_some() {
                assert_eq!(
                    (command.customer.as_deref(), &*command.payload),
                    (
                        Some(&*format!("customer {number}")),
                        &number.to_le_bytes()[..]
                    )
                );
            }
            self.leases.push(command.lease);
        }
    }

    fn seen(&self) -> BTreeMap<u64, Seen> {
        seen(self.engine(), 0..IDS)
    }

    /// The process is killed, and another opens the store. `settled`: all that the router answered was made durable.
    fn crash(&mut self, settled: bool) {
        if settled {
            self.engine().flush().unwrap();
        }
        let before = self.seen();
        let outcomes = self.engine().report(at(self.now)).outcomes;
        self.house.crash(self.engine.take().unwrap());
        if self.below(3) == 0 {
            self.shards = 1 << self.below(4);
        }
        self.engine = Some(self.house.open(self.shards));
        let after = self.seen();
        if settled {
            assert_eq!(after, before);
            assert_eq!(self.engine().report(at(self.now)).outcomes, outcomes);
        }
        for (id, seen) in &before {
            let now = after.get(id).expect("what was answered for is there");
            let is_router_s = matches!(
                seen.outcome,
                Some(Outcome::Routed | Outcome::Rejected | Outcome::DeadLettered)
            );
            if seen.outcome.is_some() && !is_router_s {
                assert_eq!(now.outcome, seen.outcome, "of {id}");
            }
            if now.state == RequestState::Released {
                self.open.insert(*id);
            }
        }
        let in_doubt = self.engine().recovery().unwrap().in_doubt;
        let released = after.values();
        let released = released.filter(|seen| seen.state == RequestState::Released);
        assert_eq!(in_doubt, released.count() as u64);
        assert_eq!(self.engine().in_flight() as u64, in_doubt);
    }

    /// Nothing is left in the end but what is conditional and held, and every request was handed over that was not
    /// ended otherwise.
    fn end(&mut self) {
        for index in 0..LOCATIONS {
            let location = LocationId::from_index(index);
            let now = at(self.now);
            let _ = self.engine().resume(location, None, now).unwrap();
        }
        for _ in 0..400 {
            self.now += 1_000;
            let _ = self.engine().poll(at(self.now), 1_000).unwrap();
            self.read_ledger();
            for lease in std::mem::take(&mut self.leases) {
                let now = at(self.now);
                let _ = self.engine().complete(&lease, Completion::Routed, now);
            }
        }
        assert!(self.open.iter().all(|id| {
            let status = self.engine().status(RequestId::from(*id));
            status.is_some_and(|status| status.outcome.is_some())
        }));
        assert_eq!(self.engine().in_flight(), 0);
    }
}

/// Long enough for retries and leases; more on demand.
fn scripts() -> u64 {
    let asked = std::env::var("DUEWHEEL_STORE_SCRIPTS");
    asked.ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

#[test]
fn an_engine_that_crashed_is_the_engine_that_it_was() {
    for seed in 0..scripts() {
        let mut script = Script::new(seed, Durability::Sync);
        for _ in 0..12 {
            for _ in 0..script.below(60) {
                script.step();
            }
            script.crash(true);
        }
        script.end();
    }
}

#[test]
fn a_crash_loses_nothing_that_was_answered_and_hands_over_again_what_is_open() {
    for seed in 0..scripts() {
        let mut script = Script::new(1_000_000 + seed, Durability::Sync);
        for _ in 0..12 {
            for _ in 0..script.below(60) {
                script.step();
            }
            script.crash(false);
        }
        script.end();
    }
}
