//! The longest that an operation of the engine keeps its caller, while others use the engine; printed as Markdown.
//!
//! A driver runs in real time ([`Engine::start`] by the system's clock) and releases tens of thousands of requests
//! a second, as so many fall due. Beside it callers schedule, cancel, reschedule and ask, each call timed by itself.
//! In alternation with some milliseconds of that each caller runs an idle loop for just as long, in which there is
//! nothing between the two readings of the clock: what it shows is the clock's own cost, and how long the machine
//! (its scheduler, its hypervisor) stops a thread that does nothing while all the others run. An operation is longer
//! than a round of the idle loop and so is hit more often; therefore beside the calls that took long stands how many
//! stops the idle loop met in as much time. Nothing is asserted on time.
//!
//! The phases, in one engine:
//!
//! 1. growth from empty to all requests, uniform over a day;
//! 2. turnover: for each new request an old one is cancelled, until the idempotency memory is full, which is bounded
//!    to as many records as there are requests;
//! 3. the mixed load by one caller and the driver: of seven calls two schedule (one request due within seconds, one
//!    within a day), one cancels, two reschedule and two ask;
//! 4. the same while a third thread, now and then, has a report made, a location listed to its end, and a location
//!    put on hold and taken off again;
//! 5. the mixed load by four callers on however many cores there are.
//!
//! ```text
//! cargo bench --bench engine_worst_case
//! DUEWHEEL_WORST_CASE_REQUESTS=1000000 DUEWHEEL_WORST_CASE_SECONDS=5 cargo bench --bench engine_worst_case
//! ```
//!
//! As with criterion, `--test` or the lack of `--bench` asks for a short run that only shows that it works, and a
//! name that is not part of `engine_worst_case` for none.

#[path = "engine/places.rs"]
mod places;
#[path = "timing/mod.rs"]
mod timing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use duewheel::{
    Clock, Consultation, Disposition, DriverOptions, DueRequest, Engine, InteractionRequest,
    LocationId, RequestId, Router, RoutingCommand, ScheduleData, Shutdown, SystemClock, Timestamp,
};
use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use places::{Places, Spread};
use timing::{Call, Stopwatch, TURN, longer_than, quantile, verdict};

/// Milliseconds of an hour and a day.
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

const REQUESTS: usize = 5_000_000;
const REQUESTS_TRIED: usize = 10_000;

/// How long the mixed load lasts.
const SECONDS: usize = 20;

/// A location is on hold for so long.
const HOLD: Duration = Duration::from_millis(20);

/// What should hold at five million requests with one caller and one driver.
const P999_TARGET: Duration = Duration::from_micros(20);
const P9999_TARGET: Duration = Duration::from_micros(200);

fn main() {
    let (requests, span) = match Call::of("engine_worst_case") {
        Call::Measure => {
            let seconds = timing::number("DUEWHEEL_WORST_CASE_SECONDS", SECONDS);
            (REQUESTS, Duration::from_secs(seconds as u64))
        }
        Call::Try => (REQUESTS_TRIED, Duration::from_millis(100)),
        Call::Skip => return,
    };
    let requests = timing::number("DUEWHEEL_WORST_CASE_REQUESTS", requests);
    assert!(requests >= 1_000, "every caller has requests of its own");

    println!("# Worst cases of the engine's operations, {requests} requests pending\n");
    println!(
        "Nanoseconds. The driver polls in real time with {:?}. Beside its calls each caller ran \
         an idle loop for as long, in turns of {} ms. Waits: how many of all lock acquisitions, the driver's \
         included, had to wait.\n",
        DriverOptions::default(),
        TURN.as_millis()
    );
    let desk = Arc::new(Desk::default());
    let engine = Engine::builder()
        // The mixed load adds those that are due soon, the more the quicker the engine is.
        .max_pending(2 * requests + 5_000_000)
        .remember(Duration::from_secs(24 * 60 * 60), requests)
        .build(Arc::clone(&desk) as Arc<dyn Router>);
    let engine = Arc::new(engine.expect("settings within their ranges"));
    let hall = Hall {
        places: Places::new(&engine, Spread::Zipf),
        driven: Arc::clone(&engine),
        desk,
        stop: AtomicBool::new(false),
    };
    let running = engine
        .start(Arc::new(SystemClock), DriverOptions::default())
        .expect("a thread for the driver");

    let mut one = vec![Caller::new(0)];
    hall.phase("Growth from empty, one caller", &mut one, |caller| {
        for _ in 0..requests {
            caller.schedule(&hall, HOUR..=HOUR + DAY);
        }
    });
    hall.phase(
        "Turnover, until the memory is full, one caller",
        &mut one,
        |caller| {
            for _ in 0..requests + requests / 10 {
                caller.cancel(&hall);
                caller.schedule(&hall, HOUR..=HOUR + DAY);
            }
        },
    );
    let stop_after = |span| {
        let deadline = Instant::now() + span;
        move || Instant::now() >= deadline
    };
    let mixed = |caller: &mut Caller| {
        let over = stop_after(span);
        while !over() {
            caller.mix(&hall);
        }
    };
    // Until as many fall due as are scheduled.
    for caller in &mut one {
        let over = stop_after(span.min(2 * SOON));
        while !over() {
            caller.mix(&hall);
        }
        caller.stopwatch.forget();
    }
    hall.phase("Mixed load, one caller", &mut one, mixed);
    hall.phase_observed(
        "Mixed load, one caller, and now and then reports, listings and holds by another thread",
        &mut one,
        mixed,
    );
    let mut four = one.remove(0).split();
    hall.phase("Mixed load, four callers", &mut four, mixed);

    let left = running.shutdown(Shutdown::Stop, Duration::from_secs(60));
    assert!(left.panics.is_empty() && !left.timed_out, "{left:?}");
    engine.check_invariants();
}

/// Counts what comes.
#[derive(Default)]
struct Desk {
    routed: AtomicU64,
}

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, _: RoutingCommand) -> Disposition {
        self.routed.fetch_add(1, Ordering::Relaxed);
        Disposition::Routed
    }
}

/// What all threads share.
struct Hall {
    driven: Arc<Engine>,
    places: Places,
    desk: Arc<Desk>,
    /// Ends the observer.
    stop: AtomicBool,
}

impl Hall {
    fn phase(&self, name: &str, callers: &mut [Caller], work: impl Fn(&mut Caller) + Sync) {
        let before = (self.driven.contention(), self.routed(), Instant::now());
        thread::scope(|scope| {
            for caller in &mut *callers {
                let work = &work;
                scope.spawn(move || {
                    caller.stopwatch.begin_turn();
                    work(caller);
                    caller.stopwatch.finish();
                });
            }
        });
        let after = (self.driven.contention(), self.routed(), Instant::now());

        println!("## {name}\n");
        let (first, others) = callers.split_first_mut().expect("at least one caller");
        for other in others {
            first.stopwatch.add(&other.stopwatch);
            other.stopwatch.forget();
        }
        first.stopwatch.print();
        for (name, histogram) in first.stopwatch.timed() {
            print_verdict(name, histogram, first.stopwatch.idle_loop());
        }
        first.stopwatch.forget();
        let taken = after.0.acquisitions - before.0.acquisitions;
        let waits = after.0.waits - before.0.waits;
        let seconds = (after.2 - before.2).as_secs_f64();
        println!(
            "- waits: {waits} of {taken} lock acquisitions, {:.4} %\n- {:.0} releases a second, {} pending\n",
            100.0 * waits as f64 / taken as f64,
            (after.1 - before.1) as f64 / seconds,
            self.driven.pending(),
        );
    }

    /// A phase beside which another thread looks at the whole.
    fn phase_observed(
        &self,
        name: &str,
        callers: &mut [Caller],
        work: impl Fn(&mut Caller) + Sync,
    ) {
        thread::scope(|scope| {
            let observer = scope.spawn(|| self.observe());
            self.phase(name, callers, work);
            self.stop.store(true, Ordering::Relaxed);
            let stopwatch = observer.join().expect("no panic");
            println!("The other thread:\n");
            stopwatch.print();
        });
    }

    fn observe(&self) -> Stopwatch {
        let mut stopwatch = Stopwatch::new(&Look::NAMES);
        let mut random = Pcg64Mcg::seed_from_u64(7);
        loop {
            stopwatch.time_alone(Look::Report as usize, || {
                let report = self.driven.report(SystemClock.now());
                assert!(report.pending > 0);
            });
            for _ in 0..10 {
                let location = self.places.draw(&mut random);
                self.list(&mut stopwatch, location);
                self.hold(&mut stopwatch, location);
                if self.stop.load(Ordering::Relaxed) {
                    return stopwatch;
                }
                thread::sleep(HOLD);
            }
        }
    }

    fn list(&self, stopwatch: &mut Stopwatch, location: LocationId) {
        let mut from = None;
        loop {
            let page = stopwatch.time_alone(Look::List as usize, || {
                self.driven.list_location(location, from, 100)
            });
            from = page.expect("a known location").next;
            if from.is_none() {
                return;
            }
        }
    }

    fn hold(&self, stopwatch: &mut Stopwatch, location: LocationId) {
        let held = stopwatch.time_alone(Look::Hold as usize, || {
            self.driven.hold(location, SystemClock.now())
        });
        assert!(held.is_ok());
        thread::sleep(HOLD);
        let resumed = stopwatch.time_alone(Look::Resume as usize, || {
            self.driven.resume(location, None, SystemClock.now())
        });
        assert!(resumed.is_ok());
    }

    fn routed(&self) -> u64 {
        self.desk.routed.load(Ordering::Relaxed)
    }
}

/// What the other thread does.
#[derive(Clone, Copy)]
enum Look {
    Report,
    List,
    Hold,
    Resume,
}

impl Look {
    const NAMES: [&str; 4] = ["report", "list_location, 100 a page", "hold", "resume"];
}

/// What callers do.
#[derive(Clone, Copy)]
enum Operation {
    Schedule,
    Cancel,
    Reschedule,
    Status,
}

impl Operation {
    const NAMES: [&str; 4] = ["schedule", "cancel", "reschedule", "status"];
}

/// In the mixed load every other request falls due within so long.
const SOON: Duration = Duration::from_secs(4);

/// One who uses the engine, with requests of its own.
struct Caller {
    random: Pcg64Mcg,
    /// Pending requests that do not fall due while the bench runs.
    later: Vec<RequestId>,
    next_id: u64,
    stopwatch: Stopwatch,
}

impl Caller {
    fn new(number: u64) -> Self {
        Self {
            random: Pcg64Mcg::seed_from_u64(number),
            later: Vec::new(),
            next_id: number << 48,
            stopwatch: Stopwatch::new(&Operation::NAMES),
        }
    }

    /// This one and three more, its requests dealt out among them.
    fn split(self) -> Vec<Self> {
        let share = self.later.len().div_ceil(4);
        let mut callers: Vec<Self> = (1..=4).map(Self::new).collect();
        for (caller, later) in callers.iter_mut().zip(self.later.chunks(share)) {
            caller.later.extend(later);
        }
        callers
    }

    /// Some of everything, so that the population stays what it is.
    fn mix(&mut self, hall: &Hall) {
        self.schedule(hall, 1..=SOON.as_millis() as u64);
        self.reschedule(hall);
        self.status(hall);
        self.schedule(hall, HOUR..=HOUR + DAY);
        self.cancel(hall);
        self.reschedule(hall);
        self.status(hall);
    }

    /// A request that falls due in so many milliseconds.
    fn schedule(&mut self, hall: &Hall, delays: std::ops::RangeInclusive<u64>) {
        let id = RequestId::from(self.next_id);
        self.next_id += 1;
        let now = SystemClock.now();
        if *delays.start() >= HOUR {
            self.later.push(id);
        }
        let due = later(now, self.random.random_range(delays));
        let location = hall.places.draw(&mut self.random);
        let request = InteractionRequest::new(id, location).with_schedule(ScheduleData::at(due));
        let receipt = self.stopwatch.time(Operation::Schedule as usize, || {
            hall.driven.schedule(request, now)
        });
        assert!(receipt.is_ok());
    }

    fn cancel(&mut self, hall: &Hall) {
        let place = self.random.random_range(0..self.later.len());
        let id = self.later.swap_remove(place);
        let now = SystemClock.now();
        let cancelled = self
            .stopwatch
            .time(Operation::Cancel as usize, || hall.driven.cancel(id, now));
        assert!(cancelled.is_ok());
    }

    fn reschedule(&mut self, hall: &Hall) {
        let id = self.draw();
        let now = SystemClock.now();
        let due = later(now, HOUR + self.random.random_range(0..DAY));
        let schedule = ScheduleData::at(due);
        let receipt = self.stopwatch.time(Operation::Reschedule as usize, || {
            hall.driven.reschedule(id, schedule, None, now)
        });
        assert!(receipt.is_ok());
    }

    fn status(&mut self, hall: &Hall) {
        let id = self.draw();
        let status = self
            .stopwatch
            .time(Operation::Status as usize, || hall.driven.status(id));
        assert!(status.is_some());
    }

    fn draw(&mut self) -> RequestId {
        self.later[self.random.random_range(0..self.later.len())]
    }
}

fn later(now: Timestamp, delay_ms: u64) -> Timestamp {
    now.saturating_add(Duration::from_millis(delay_ms))
}

fn print_verdict(name: &str, histogram: &Histogram<u64>, idle: &Histogram<u64>) {
    let (p999, p9999) = (quantile(histogram, 0.999), quantile(histogram, 0.9999));
    let (long, stops) = longer_than(P9999_TARGET, histogram, idle);
    println!(
        "- {name}: p99.9 under {P999_TARGET:?}: {} ({p999:.1?}); p99.99 under {P9999_TARGET:?}: {} ({p9999:.1?}); \
         {long} calls longer than that, where by the idle loop {stops:.1} are the machine's",
        verdict(p999 < P999_TARGET),
        verdict(p9999 < P9999_TARGET),
    );
}
