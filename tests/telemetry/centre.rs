//! An engine to which everything happens that there is an event for.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use duewheel::{
    Completion, Consultation, Disposition, DriverOptions, DueRequest, Engine, InteractionRequest,
    LocationId, ManualClock, MissedPolicy, Pace, ProcessingCondition, RetryPolicy, Router,
    RoutingCommand, ScheduleData, Shutdown, Timestamp,
};

/// Stands in every payload, customer and text of the router's.
pub(crate) const SECRET: &str = "SECRET";

// Requests, by what becomes of them.
pub(crate) const ROUTED: u64 = 101;
pub(crate) const BUSY: u64 = 102;
pub(crate) const LEASED: u64 = 103;
pub(crate) const REJECTED: u64 = 104;
pub(crate) const PANICKED: u64 = 105;
pub(crate) const SENT_ON: u64 = 106;
pub(crate) const CONDITIONAL: u64 = 107;
pub(crate) const NOT_CONSULTED: u64 = 108;
pub(crate) const EXPIRED: u64 = 109;
pub(crate) const MISSED: u64 = 110;
pub(crate) const CANCELLED: u64 = 111;
pub(crate) const PARKED: u64 = 112;
pub(crate) const PACED: [u64; 2] = [113, 114];
pub(crate) const TAKEN_BACK: u64 = 115;
pub(crate) const MOVED: u64 = 116;
pub(crate) const LOCATION_CANCELLED: u64 = 117;

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + ms)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) struct Desk {
    engine: OnceLock<Weak<Engine>>,
}

impl Router for Desk {
    fn consult(&self, request: &DueRequest) -> Consultation {
        assert!(request.id != NOT_CONSULTED.into(), "{SECRET}");
        Consultation {
            // It is open at the second look.
            open: request.now >= at(400),
            ..Consultation::default()
        }
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let is = |id: u64| command.id == id.into();
        let first = command.attempt == 1;
        if is(BUSY) {
            return Disposition::Busy { retry_after: None };
        }
        if is(LEASED) && first {
            return Disposition::Accepted { lease_for: ms(50) };
        }
        if is(REJECTED) {
            return Disposition::Rejected(SECRET.into());
        }
        if is(SENT_ON) && first {
            return Disposition::Reschedule(ScheduleData::at(at(500)));
        }
        assert!(!is(PANICKED) || !first, "{SECRET}");
        if is(LEASED) {
            // Settled before it returns.
            let engine = self.engine.get().and_then(Weak::upgrade).unwrap();
            let completion = Completion::Routed;
            engine
                .complete(&command.lease, completion, command.released)
                .unwrap();
        }
        Disposition::Routed
    }
}

pub(crate) struct Centre {
    pub(crate) engine: Arc<Engine>,
    pub(crate) here: LocationId,
    pub(crate) elsewhere: LocationId,
}

impl Centre {
    pub(crate) fn new() -> Self {
        let desk = Arc::new(Desk {
            engine: OnceLock::new(),
        });
        let engine = Engine::builder()
            .shards(2)
            .grace(ms(50))
            .payload_bytes_max(64)
            .route_batch(8)
            .build(desk.clone())
            .unwrap();
        let engine = Arc::new(engine);
        desk.engine.set(Arc::downgrade(&engine)).unwrap();
        let enter = |name| engine.directory().enter(name).unwrap();
        let (here, elsewhere) = (enter("AA0101"), enter("AA0102"));
        Self {
            engine,
            here,
            elsewhere,
        }
    }

    pub(crate) fn schedule(&self, id: u64, location: LocationId, schedule: ScheduleData) {
        let request = request(id, location).with_schedule(schedule);
        let _receipt = self.engine.schedule(request, at(0)).unwrap();
    }

    /// Takes in a request by which everything happens to somebody.
    pub(crate) fn take_in(&self) {
        let (engine, here) = (&self.engine, self.here);
        let plain = |ms| ScheduleData::at(at(ms));
        let retried = |ms_due| {
            let policy = RetryPolicy::new(2, ms(20), ms(20), 0.0).unwrap();
            let builder = ScheduleData::builder().time(at(ms_due));
            builder.retry(policy).build().unwrap()
        };
        for id in [ROUTED, REJECTED, SENT_ON] {
            self.schedule(id, here, plain(100));
        }
        self.schedule(BUSY, here, retried(100));
        self.schedule(LEASED, here, retried(100));
        self.schedule(NOT_CONSULTED, self.elsewhere, retried(100));
        // By itself: a panic costs all that are in its batch.
        self.schedule(PANICKED, here, retried(110));
        let conditional = ScheduleData::builder()
            .time_if(at(100), ProcessingCondition::Open)
            .time_if(at(400), ProcessingCondition::Open);
        self.schedule(CONDITIONAL, here, conditional.build().unwrap());
        let short = ScheduleData::builder().time(at(900)).not_after(at(950));
        self.schedule(EXPIRED, here, short.build().unwrap());
        let missed = ScheduleData::builder()
            .time(at(800))
            .missed(MissedPolicy::Expire);
        self.schedule(MISSED, here, missed.build().unwrap());
        self.schedule(CANCELLED, here, plain(100));

        // Known already, with this content and with another; refused otherwise.
        let again = request(ROUTED, here).with_schedule(plain(100));
        assert!(engine.schedule(again, at(1)).unwrap().duplicate);
        let refused = [
            request(ROUTED, here),
            request(1, LocationId::from_index(99)),
            request(2, here).with_payload(SECRET.repeat(20).into_bytes()),
        ];
        for request in refused {
            engine.schedule(request, at(1)).unwrap_err();
        }
        let revised = engine.reschedule(CANCELLED.into(), plain(120), None, at(1));
        let _receipt = revised.unwrap();
        engine.cancel(CANCELLED.into(), at(2)).unwrap();
    }

    pub(crate) fn poll(&self, ms: u64) {
        while self.engine.poll(at(ms), 100).unwrap().more {}
    }

    /// Takes them through their lives.
    pub(crate) fn live(&self) {
        for ms in [0, 50, 100, 110, 120, 130, 140, 150, 200, 250, 300] {
            self.poll(ms);
        }
        for ms in [340, 380, 400, 440, 480, 500, 540, 580] {
            self.poll(ms);
        }
        self.rule_locations();
        // Nothing runs for long: some miss their time, and others the end of their lifespan.
        self.poll(2_000);
        self.close();
    }

    /// Holds, paces, moves and cancels; up to 700 ms.
    fn rule_locations(&self) {
        let (engine, elsewhere) = (&self.engine, self.elsewhere);
        let plain = || ScheduleData::at(at(600));
        self.schedule(PARKED, elsewhere, plain());
        for id in PACED {
            self.schedule(id, elsewhere, plain());
        }
        let _held = engine.hold(elsewhere, at(590)).unwrap();
        self.poll(600);
        let pace = Pace::per_second(50);
        let _resumed = engine.resume(elsewhere, pace, at(610)).unwrap();
        for ms in [610, 620, 640, 660, 680] {
            self.poll(ms);
        }
        let _resumed = engine.resume(elsewhere, None, at(690)).unwrap();
        // Two in a batch, held before it goes out by whoever hears of the second's release.
        for id in [TAKEN_BACK - 100, TAKEN_BACK] {
            self.schedule(id, elsewhere, ScheduleData::at(at(690)));
        }
        self.poll(690);

        self.schedule(MOVED, elsewhere, ScheduleData::at(at(3_000)));
        let _moved = engine.move_location(elsewhere, self.here, at(700)).unwrap();
        self.schedule(LOCATION_CANCELLED, elsewhere, ScheduleData::at(at(3_000)));
        let _cancelled = engine.cancel_location(elsewhere, at(700)).unwrap();
    }

    fn close(&self) {
        self.engine.cancel(MOVED.into(), at(2_000)).unwrap();
        let clock = Arc::new(ManualClock::new(at(2_000)));
        let running = self.engine.start(clock, DriverOptions::default()).unwrap();
        let left = running.shutdown(Shutdown::Drain, Duration::from_secs(60));
        assert!(!left.timed_out);
        let late = request(3, self.here);
        self.engine.schedule(late, at(2_001)).unwrap_err();
    }
}

fn request(id: u64, location: LocationId) -> InteractionRequest {
    InteractionRequest::new(id.into(), location)
        .with_customer(SECRET)
        .with_payload(SECRET.as_bytes())
}
