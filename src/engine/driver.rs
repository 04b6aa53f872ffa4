//! Threads for those who ask: one that polls, and any number that dispatch.
//!
//! Nothing here waits without a bound. A shutdown has a timeout, dropping [`Running`] is a shutdown with five
//! seconds, and neither waits for the thread it is called on: one of the engine's own that is inside the
//! router, or one that is inside a poll made by hand. A thread that is still inside the router when the time
//! is up is left behind, with a hold on the engine until it comes out.
//!
//! A thread that dies says so at once: [`Running::is_alive`], [`Engine::panics`], and whoever was given to
//! [`EngineBuilder::on_thread_panic`](super::EngineBuilder::on_thread_panic). What it had taken to route goes back (`taken.rs`).

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::Engine;
use super::config::ConfigError;
use super::delivery::caught;
use super::dispatch::Dispatch;
use super::error::{PollError, StartError};
use super::keeper::Keeper;
use super::panics::Panics;
use super::replies::Poll;
use super::wakeup::Ticket;
use crate::clock::Clock;
use crate::ids::Timestamp;
use crate::report::ReportOptions;
use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering};
use crate::telemetry::tell;

/// The longest sleep, so that a step of the system's clock is noticed: two wake-ups a second.
pub(super) const SLEEP_MAX: Duration = Duration::from_millis(500);

/// How long the driver waits for a poll that somebody else runs.
pub(super) const BUSY_WAIT: Duration = Duration::from_millis(1);

/// How long dropping a [`Running`] waits for its threads.
const DROP_WAIT: Duration = Duration::from_secs(5);

/// How an engine is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct DriverOptions {
    /// Threads that call the router. 0, the default, calls it on the polling thread, which keeps the
    /// order of release over all locations; with workers it holds per location.
    pub workers: usize,
    /// Released commands that may wait for the workers; default 1024, 0 counts as 1. What is due
    /// beyond waits in order, by location: when all places are taken, those that come free go to the
    /// locations in turn. Some 40 bytes each.
    pub dispatch_max: usize,
    /// Of these, commands of one location that may wait, from 1. Default `None`: `dispatch_max` divided by one
    /// more than there are workers, and at least 1. What is due at the location beyond waits in order, and
    /// stops no other. A greater share lets a few locations whose router calls never return keep the places of
    /// all others, although there are workers left to serve these.
    pub location_dispatch_max: Option<usize>,
    /// Commands of one location that may be at the router at once, from 1. Default `None`: one fewer than there
    /// are workers, and at least 1, so that one slow location leaves a worker to the others. So that `n` slow
    /// ones do, it is to be at most (`workers` - 1) / `n`. With 1, the order within a location is that of the
    /// router's calls too; else these may overlap.
    pub location_in_flight_max: Option<usize>,
    /// Requests examined by one poll at most; default 1024, 0 counts as 1.
    pub poll_budget: usize,
}

impl Default for DriverOptions {
    fn default() -> Self {
        Self {
            workers: 0,
            dispatch_max: 1024,
            location_dispatch_max: None,
            location_in_flight_max: None,
            poll_budget: 1024,
        }
    }
}

impl DriverOptions {
    fn check(&self) -> Result<(), ConfigError> {
        for (setting, value) in [
            ("location_dispatch_max", self.location_dispatch_max),
            ("location_in_flight_max", self.location_in_flight_max),
        ] {
            ConfigError::check(value != Some(0), setting, "0", "at least 1")?;
        }
        Ok(())
    }
}

/// How to shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Take nothing in any more, and stop when everything that is due has ended: released, at its location's
    /// pace where it has one, and its attempt completed or its lease run out. What lies in the future is
    /// left, retries too, and so is what is on hold or waits for its condition to be judged again.
    Drain,
    /// Stop at once: what is being routed may end, nothing more is released, and what waited for a worker is
    /// taken back.
    Stop,
}

/// What a shutdown left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ShutdownReport {
    /// Requests that have not ended.
    pub pending: usize,
    /// Those of them whose attempt has not ended.
    pub in_flight: usize,
    /// Those of them that had fallen due by the clock, and were not released. After a drain that came to its end
    /// that is what is on hold.
    pub due: usize,
    /// Whether the time ran out first: threads may still be inside the router.
    pub timed_out: bool,
    /// What the panics said that ended a thread of the engine since it was started. A drain ends early where
    /// nobody is left to do it. The router's own panics are caught, and counted in the report.
    pub panics: Vec<String>,
}

/// An engine that is being driven. Dropping it stops the threads, as
/// [`shutdown`](Self::shutdown)([`Shutdown::Stop`]) with five seconds' patience; the engine stays and can be
/// polled or started again, and [remembers](Engine::panics) what a panic said.
#[must_use = "dropping it stops the threads"]
pub struct Running {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    dispatch: Option<Arc<Dispatch>>,
    keeper: Arc<Keeper>,
    workers: usize,
    threads: Vec<JoinHandle<()>>,
    ended: bool,
}

/// What the threads and their owner tell each other.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Polls begun by the driver.
    polls: AtomicU64,
    /// The time of the last of them.
    polled: AtomicU64,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    /// The number of the driver's last poll, where it left nothing due and nothing in flight.
    idle_at: Option<u64>,
    /// The journal has failed: nothing is released any more.
    failed: bool,
    driver_exited: bool,
    workers_exited: usize,
    keepers_exited: usize,
    panics: Vec<String>,
}

/// What a thread of the engine does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Job {
    Drive,
    Dispatch,
    Keep,
}

/// The thread that a poll runs on. It is to be known because nobody may wait for a poll from inside it.
#[derive(Default)]
pub(super) struct PollingThread(Mutex<Option<ThreadId>>);

impl PollingThread {
    pub(super) fn enter(&self) {
        *self.0.lock() = Some(thread::current().id());
    }

    pub(super) fn leave(&self) {
        *self.0.lock() = None;
    }

    /// Whether the caller is inside a poll, which called the router.
    pub(super) fn is_here(&self) -> bool {
        *self.0.lock() == Some(thread::current().id())
    }
}

impl Engine {
    /// Drives the engine by a clock, on a thread that polls and `workers` threads that dispatch, until the
    /// answer is shut down or dropped.
    ///
    /// # Errors
    /// [`StartError`]: an option is out of its range, it is driven already, or there was no thread to be had.
    pub fn start(
        self: &Arc<Self>,
        clock: Arc<dyn Clock>,
        options: DriverOptions,
    ) -> Result<Running, StartError> {
        options.check()?;
        if self.driven.swap(true, Ordering::AcqRel) {
            return Err(StartError::Running);
        }
        let dispatch = (options.workers > 0).then(|| self.open_dispatch(&options));
        *self.dispatch.write() = dispatch.clone();
        let ticket = self.wakeup.take_over();
        let mut running = Running {
            engine: Arc::clone(self),
            clock: Arc::clone(&clock),
            shared: Arc::default(),
            dispatch: dispatch.clone(),
            keeper: Arc::default(),
            workers: options.workers,
            threads: Vec::new(),
            ended: false,
        };
        tell!(Started {
            by: "threads",
            workers: options.workers
        });
        self.observe(&clock);
        for number in 0..options.workers {
            let (engine, clock) = (Arc::clone(self), Arc::clone(&clock));
            let dispatch = Arc::clone(dispatch.as_ref().expect("workers have a dispatch"));
            let name = format!("duewheel-dispatch-{number}");
            running.spawn(&name, Job::Dispatch, move |_| {
                engine.work(&dispatch, &*clock);
            })?;
        }
        if self.durable.is_some() {
            let (engine, keeper) = (Arc::clone(self), Arc::clone(&running.keeper));
            running.spawn("duewheel-journal", Job::Keep, move |_| {
                keeper.write(&engine);
            })?;
            let (engine, keeper) = (Arc::clone(self), Arc::clone(&running.keeper));
            let clock = Arc::clone(&clock);
            running.spawn("duewheel-snapshots", Job::Keep, move |_| {
                keeper.take_snapshots(&engine, &*clock);
            })?;
        }
        let engine = Arc::clone(self);
        running.spawn("duewheel-driver", Job::Drive, move |shared| {
            engine.drive(&*clock, options, ticket, shared);
        })?;
        Ok(running)
    }

    pub(super) fn open_dispatch(&self, options: &DriverOptions) -> Arc<Dispatch> {
        Arc::new(Dispatch::new(options, &self.line_news, &self.wakeup))
    }

    /// Has the clock ring the bell whenever it is moved. Once a clock, because it never lets go of an
    /// observer.
    pub(super) fn observe(&self, clock: &Arc<dyn Clock>) {
        let this = Arc::downgrade(clock);
        let known = {
            let mut observed = self.observed.lock();
            observed.retain(|clock| clock.strong_count() > 0);
            observed.iter().any(|clock| clock.ptr_eq(&this))
        };
        if known {
            return;
        }
        let bell = Arc::clone(&self.wakeup);
        clock.on_change(Box::new(move || bell.ring()));
        self.observed.lock().push(this);
    }

    fn drive(&self, clock: &dyn Clock, options: DriverOptions, ticket: Ticket, shared: &Shared) {
        while !shared.stop.load(Ordering::Acquire) {
            let number = shared.polls.fetch_add(1, Ordering::SeqCst) + 1;
            let now = clock.now();
            shared.polled.store(now.as_millis(), Ordering::Relaxed);
            let budget = options.poll_budget.max(1);
            let poll = match self.poll_until(now, budget, &shared.stop) {
                Ok(poll) => poll,
                Err(error) => {
                    let wait = match error {
                        PollError::Busy => BUSY_WAIT,
                        PollError::Unavailable => {
                            shared.set_failed();
                            SLEEP_MAX
                        }
                    };
                    if let Some(sleep) = self.wakeup.lie_down(ticket, Timestamp::MAX, true) {
                        sleep.wait(wait);
                    }
                    continue;
                }
            };
            let Some(plan) = self.plan(&poll, clock) else {
                continue;
            };
            shared.set_idle(plan.idle.then_some(number));
            let timeout = plan.timeout.unwrap_or(SLEEP_MAX);
            let Some(sleep) = self.wakeup.lie_down(ticket, plan.until, plan.ends_matter) else {
                continue;
            };
            if !shared.stop.load(Ordering::SeqCst) && self.may_sleep(&plan) {
                sleep.wait(timeout);
            }
        }
    }

    /// Until when to sleep after a poll; `None` where something is due.
    pub(super) fn plan(&self, poll: &Poll, clock: &dyn Clock) -> Option<Plan> {
        if poll.more || poll.next_wakeup.is_some_and(|next| next <= clock.now()) {
            return None;
        }
        let in_flight = self.at_work();
        // What waits for dispatch makes a poll due when there is room.
        let until = poll.next_wakeup.unwrap_or(Timestamp::MAX);
        let timeout = clock.real_time_until(until);
        Some(Plan {
            until,
            timeout: timeout.map(|timeout| timeout.min(SLEEP_MAX)),
            // To who drains the engine: an attempt that ends otherwise leaves nothing to a poll, or rings by itself.
            ends_matter: in_flight > 0 && self.closed.load(Ordering::SeqCst),
            in_flight,
            // Who stands in line, for a pace or for room, is due.
            idle: !poll.blocked && in_flight == 0 && self.line_news.next_event().is_none(),
        })
    }

    /// Whether nothing has come between a plan and the sleep that was published by it.
    pub(super) fn may_sleep(&self, plan: &Plan) -> bool {
        let earlier = self.next_wakeup().is_some_and(|found| found < plan.until);
        let ended = plan.ends_matter && self.at_work() != plan.in_flight;
        !earlier && !ended
    }

    /// Pending requests that had fallen due by `now` and were not released. O(pending), in steps, as the report
    /// that it is read off.
    pub(super) fn count_due(&self, now: Timestamp) -> usize {
        const MILLISECOND: Duration = Duration::from_millis(1);
        let options = ReportOptions {
            horizon: MILLISECOND,
            interval: MILLISECOND,
        };
        let forecast = self.report_with(now, &options).forecast;
        let due = forecast.overdue + forecast.intervals.first().copied().unwrap_or_default();
        usize::try_from(due).unwrap_or(usize::MAX)
    }
}

/// What a driver does after a poll that left nothing to do.
pub(super) struct Plan {
    pub(super) until: Timestamp,
    /// In real time, where it moves the clock; no longer than [`SLEEP_MAX`].
    pub(super) timeout: Option<Duration>,
    pub(super) ends_matter: bool,
    pub(super) in_flight: usize,
    /// Nothing is due and nothing in flight.
    pub(super) idle: bool,
}

impl Running {
    /// The engine that is driven.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Whether all its threads run. A thread that has died has left its message in [`Engine::panics`].
    /// Without the thread that polls nothing is released any more: shut this down, and start the engine again.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let progress = self.shared.progress.lock();
        !progress.driver_exited && progress.workers_exited == 0
    }

    /// Stops the threads within about `timeout`, and says what is left, for which it then looks at everything
    /// that is pending. A thread that is still inside the router then is left behind; its answer is taken
    /// when it comes. From inside the router, by one of these threads or in a poll by hand, it waits for
    /// no thread.
    pub fn shutdown(mut self, how: Shutdown, timeout: Duration) -> ShutdownReport {
        let end = self.end(how, timeout);
        let polled = Timestamp::from_millis(self.shared.polled.load(Ordering::Relaxed));
        let now = match end.drained {
            // Nothing that has fallen due since is what it was to wait for.
            true => polled,
            false => caught(|| self.clock.now()).unwrap_or(polled),
        };
        ShutdownReport {
            pending: self.engine.pending(),
            in_flight: self.engine.in_flight(),
            due: self.engine.count_due(now),
            timed_out: end.timed_out,
            panics: end.panics,
        }
    }

    fn end(&mut self, how: Shutdown, timeout: Duration) -> End {
        self.ended = true;
        let deadline = Instant::now().checked_add(timeout);
        let own = self
            .threads
            .iter()
            .any(|thread| thread.thread().id() == thread::current().id());
        let mut end = End::default();
        if how == Shutdown::Drain {
            self.engine.close();
            // The driver does not get its poll while this thread is inside one.
            if !own && !self.engine.polling_thread.is_here() {
                // Only a poll that begins from here on has seen all that was taken in.
                let before = self.shared.polls.load(Ordering::SeqCst);
                let workers = self.workers;
                self.engine.wakeup.ring();
                let is_idle =
                    |progress: &Progress| progress.idle_at.is_some_and(|poll| poll > before);
                end.timed_out = !self.shared.wait(deadline, |progress| {
                    let nobody_is_left = progress.driver_exited
                        || progress.failed
                        || (workers > 0 && progress.workers_exited == workers);
                    is_idle(progress) || nobody_is_left
                });
                end.drained = is_idle(&self.shared.progress.lock());
            }
        }
        self.shared.stop.store(true, Ordering::Release);
        self.engine.wakeup.ring();
        if let Some(dispatch) = self.dispatch.take() {
            *self.engine.dispatch.write() = None;
            let left = dispatch.close();
            self.engine.take_back(left);
        }
        self.keeper.stop(&self.engine);
        let threads = std::mem::take(&mut self.threads);
        if !own && !threads.is_empty() {
            let exited = self.shared.wait(deadline, |progress| {
                let exited = progress.workers_exited + progress.keepers_exited;
                exited + usize::from(progress.driver_exited) == threads.len()
            });
            end.timed_out |= !exited;
        }
        // What the last attempts came to; where that fails, `Engine::store_error` says so.
        let _ = self.engine.flush();
        let mut progress = self.shared.progress.lock();
        end.panics = std::mem::take(&mut progress.panics);
        drop(progress);
        self.engine.driven.store(false, Ordering::Release);
        tell!(Stopped {
            pending: self.engine.pending(),
            in_flight: self.engine.in_flight(),
            timed_out: end.timed_out
        });
        end
    }

    fn spawn(
        &mut self,
        name: &str,
        job: Job,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        // It may hold the engine longer than anybody else, and drops it before the message is written down.
        let panics: Arc<Panics> = Arc::clone(&self.engine.panics);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(|| run(&shared)));
                let message = result.err().map(|panic| panics.record(panic));
                let mut progress = shared.progress.lock();
                match job {
                    Job::Drive => progress.driver_exited = true,
                    Job::Dispatch => progress.workers_exited += 1,
                    Job::Keep => progress.keepers_exited += 1,
                }
                progress.panics.extend(message);
                drop(progress);
                shared.changed.notify_all();
            })?;
        self.threads.push(thread);
        Ok(())
    }
}

/// How the threads came to their end.
#[derive(Default)]
struct End {
    /// A drain did all it was to do.
    drained: bool,
    timed_out: bool,
    panics: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // The engine remembers what panics said.
            self.end(Shutdown::Stop, DROP_WAIT);
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("engine", &self.engine)
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn set_failed(&self) {
        self.progress.lock().failed = true;
        self.changed.notify_all();
    }

    fn set_idle(&self, idle_at: Option<u64>) {
        self.progress.lock().idle_at = idle_at;
        if idle_at.is_some() {
            self.changed.notify_all();
        }
    }

    /// Waits until `done` holds, and says whether it does.
    fn wait(&self, deadline: Option<Instant>, done: impl Fn(&Progress) -> bool) -> bool {
        let mut progress = self.progress.lock();
        while !done(&progress) {
            match deadline {
                Some(deadline) => {
                    if self.changed.wait_until(&mut progress, deadline).timed_out() {
                        return done(&progress);
                    }
                }
                None => self.changed.wait(&mut progress),
            }
        }
        true
    }
}
