//! Runs a program under many schedules, and a contact centre for it: an engine, its clock, and a router that counts.

use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    Clock, Consultation, Disposition, DriverOptions, DueRequest, Engine, InteractionRequest,
    LocationId, ManualClock, RequestId, RequestStatus, RetryPolicy, Router, RoutingCommand,
    Running, ScheduleData, Timestamp,
};
use shuttle::rand::Rng;
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Scheduler, UrwRandomScheduler,
};
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Condvar, Mutex};
use shuttle::{Config, MaxSteps, Runner};

/// Schedules for each scheduler.
const SCHEDULES: usize = 1_000;

/// Preemptions that the second scheduler places: most faults need no more than two or three.
const PREEMPTIONS: usize = 3;

const SEED: u64 = 9_444_936;

/// A lock-up shows as a program of endless steps; the longest here takes a few thousand.
const STEPS_MAX: usize = 200_000;

/// A poll that releases a request takes about a hundred steps.
const HEAD_START: usize = 150;

/// The engine's frames are larger than shuttle's stacks are.
const STACK_BYTES: usize = 512 * 1024;

/// Runs a program under schedules that choose evenly at each step, under schedules of few preemptions, and under
/// schedules that weigh threads by what they have left to do.
pub(crate) fn explore(program: impl Fn() + Send + Sync + 'static) {
    let program = Arc::new(program);
    if let Ok(schedule) = std::env::var("DUEWHEEL_SCHEDULE") {
        run(ReplayScheduler::new_from_encoded(&schedule), &program);
        return;
    }
    let count = std::env::var("DUEWHEEL_SCHEDULES").map_or(SCHEDULES, |count| {
        count.parse().expect("a count of schedules")
    });
    run(RandomScheduler::new_from_seed(SEED, count), &program);
    run(
        PctScheduler::new_from_seed(SEED, PREEMPTIONS, count),
        &program,
    );
    run(UrwRandomScheduler::new_from_seed(SEED, count), &program);
}

fn run(scheduler: impl Scheduler + 'static, program: &Arc<impl Fn() + Send + Sync + 'static>) {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    config.silence_warnings = true;
    let program = Arc::clone(program);
    Runner::new(scheduler, config).run(move || program());
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_596_400_000 + seconds * 1_000)
}

pub(crate) const NEVER: Duration = Duration::MAX;

type Answer = Box<dyn Fn(&RoutingCommand) -> Disposition + Send + Sync>;

/// Notes what it is told to route, and tells who waits for that.
pub(crate) struct Desk {
    answer: Answer,
    commands: Mutex<Vec<RoutingCommand>>,
    came: Condvar,
}

impl Desk {
    /// Waits until so many commands came in all.
    pub(crate) fn wait_for(&self, commands: usize) {
        let mut came = self.commands.lock().unwrap();
        while came.len() < commands {
            came = self.came.wait(came).unwrap();
        }
    }

    /// Ids and attempts in the order in which they came.
    pub(crate) fn routed(&self) -> Vec<(u128, u32)> {
        let commands = self.commands.lock().unwrap();
        let names = commands.iter().map(|it| (it.id.value(), it.attempt));
        names.collect()
    }

    /// How often a request came.
    pub(crate) fn count(&self, id: u128) -> usize {
        self.routed().iter().filter(|(it, _)| *it == id).count()
    }

    pub(crate) fn command(&self, index: usize) -> RoutingCommand {
        self.commands.lock().unwrap()[index].clone()
    }
}

impl Desk {
    /// A moment in which others may do something. (Not a yield, which tells the scheduler to let them.)
    fn pause(&self) {
        drop(self.commands.lock().unwrap());
    }
}

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        self.pause();
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        self.commands.lock().unwrap().push(command.clone());
        self.came.notify_all();
        let answer = (self.answer)(&command);
        self.pause();
        answer
    }
}

/// An engine with two shards, its router, its clock, and a location.
#[derive(Clone)]
pub(crate) struct Centre {
    pub(crate) engine: Arc<Engine>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) here: LocationId,
}

/// One whose router routes everything.
pub(crate) fn centre() -> Centre {
    centre_that(|_| Disposition::Routed)
}

pub(crate) fn centre_that(
    answer: impl Fn(&RoutingCommand) -> Disposition + Send + Sync + 'static,
) -> Centre {
    let desk = Arc::new(Desk {
        answer: Box::new(answer),
        commands: Mutex::default(),
        came: Condvar::new(),
    });
    let settings = Engine::builder()
        .shards(2)
        .max_pending(4)
        .lease(Duration::from_secs(10))
        // The same shards in every run, so that a schedule can be replayed.
        .hash_key(7);
    let router = Arc::clone(&desk) as Arc<dyn Router>;
    let engine = Arc::new(settings.build(router).unwrap());
    let here = engine.directory().enter("AA0101").unwrap();
    let clock = Arc::new(ManualClock::new(at(0)));
    Centre {
        engine,
        desk,
        clock,
        here,
    }
}

impl Centre {
    pub(crate) fn immediate(&self, id: u128) -> InteractionRequest {
        InteractionRequest::new(RequestId::integer(id), self.here)
    }

    /// One that is tried at most twice, a millisecond apart.
    pub(crate) fn request(&self, id: u128, due: Timestamp) -> InteractionRequest {
        let millisecond = Duration::from_millis(1);
        let retry = RetryPolicy::new(2, millisecond, millisecond, 0.0).unwrap();
        let schedule = ScheduleData::builder().time(due).retry(retry);
        self.immediate(id).with_schedule(schedule.build().unwrap())
    }

    pub(crate) fn schedule(&self, request: InteractionRequest) {
        let _receipt = self.engine.schedule(request, self.clock.now()).unwrap();
    }

    pub(crate) fn start(&self, workers: usize) -> Running {
        self.start_with(DriverOptions {
            workers,
            ..DriverOptions::default()
        })
    }

    pub(crate) fn start_with(&self, options: DriverOptions) -> Running {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        self.engine.start(clock, options).unwrap()
    }

    /// Polls until nothing more is due, with nobody else about.
    pub(crate) fn poll(&self, now: Timestamp) -> usize {
        let poll = self.engine.poll(now, 1_000).unwrap();
        assert!(!poll.more);
        self.engine.check_invariants();
        poll.released
    }

    pub(crate) fn status(&self, id: u128) -> RequestStatus {
        self.engine.status(RequestId::integer(id)).unwrap()
    }
}

/// Runs a part of the program in a thread of its own, which begins sooner or later.
pub(crate) fn aside<R: Send + 'static>(
    centre: &Centre,
    part: impl FnOnce(&Centre) -> R + Send + 'static,
) -> shuttle::thread::JoinHandle<R> {
    let centre = centre.clone();
    shuttle::thread::spawn(move || {
        hesitate();
        part(&centre)
    })
}

/// Lets others go ahead by up to [`HEAD_START`] steps: before a call of a few steps, so that it meets a poll of many
/// at its end as often as at its beginning.
pub(crate) fn hesitate() {
    let moment = AtomicBool::new(false);
    let mut random = shuttle::rand::thread_rng();
    // Two short calls meet where neither waits for long.
    let most = HEAD_START / [1, 10, HEAD_START][random.gen_range(0..3)];
    let steps = random.gen_range(0..most);
    for _ in 0..steps {
        moment.load(Ordering::SeqCst);
    }
}
