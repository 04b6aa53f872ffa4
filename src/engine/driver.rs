//! Threads for those who ask: one that polls, and any number that dispatch.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use super::Engine;
use super::config::ConfigError;
use super::dispatch::Dispatch;
use super::error::StartError;
use crate::clock::Clock;
use crate::ids::Timestamp;
use crate::sync::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering};

/// The longest sleep, so that a step of the system's clock is noticed: two wake-ups a second.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// How long the driver waits for a poll that somebody else runs.
const BUSY_WAIT: Duration = Duration::from_millis(1);

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
    /// Take nothing in any more, and stop when everything that is due has ended: released, and its attempt
    /// completed. Retries that lie in the future are left.
    Drain,
    /// Stop at once: what is being routed may end, nothing more is released.
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
    /// Whether the time ran out first: threads may still be inside the router.
    pub timed_out: bool,
    /// The messages of panics that ended a thread of the engine. The router's own are caught, and counted
    /// in the report.
    pub panics: Vec<String>,
}

/// An engine that is being driven. Dropping it stops the threads, as
/// [`shutdown`](Self::shutdown)([`Shutdown::Stop`]) with five seconds' patience; the engine stays and can be
/// polled or started again.
#[derive(Debug)]
#[must_use = "dropping it stops the threads"]
pub struct Running {
    engine: Arc<Engine>,
    shared: Arc<Shared>,
    dispatch: Option<Arc<Dispatch>>,
    threads: Vec<JoinHandle<()>>,
    ended: bool,
}

/// What the threads and their owner tell each other.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Polls begun by the driver.
    polls: AtomicU64,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    /// The number of the driver's last poll, where it left nothing due and nothing in flight.
    idle_at: Option<u64>,
    exited: Vec<ThreadId>,
    panics: Vec<String>,
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
        let dispatch = (options.workers > 0)
            .then(|| Arc::new(Dispatch::new(&options, &self.line_news, &self.wakeup)));
        *self.dispatch.write() = dispatch.clone();
        let mut running = Running {
            engine: Arc::clone(self),
            shared: Arc::default(),
            dispatch: dispatch.clone(),
            threads: Vec::new(),
            ended: false,
        };
        self.observe(&clock);
        for number in 0..options.workers {
            let (engine, clock) = (Arc::clone(self), Arc::clone(&clock));
            let dispatch = Arc::clone(dispatch.as_ref().expect("workers have a dispatch"));
            running.spawn(&format!("duewheel-dispatch-{number}"), move |_| {
                engine.work(&dispatch, &*clock);
            })?;
        }
        let engine = Arc::clone(self);
        running.spawn("duewheel-driver", move |shared| {
            engine.drive(&*clock, options, shared)
        })?;
        Ok(running)
    }

    /// Has the clock ring the bell whenever it is moved. Once a clock, because it never lets go of an
    /// observer.
    fn observe(&self, clock: &Arc<dyn Clock>) {
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

    fn drive(&self, clock: &dyn Clock, options: DriverOptions, shared: &Shared) {
        while !shared.stop.load(Ordering::Acquire) {
            let number = shared.polls.fetch_add(1, Ordering::SeqCst) + 1;
            let now = clock.now();
            let budget = options.poll_budget.max(1);
            let Ok(poll) = self.poll_until(now, budget, &shared.stop) else {
                self.wakeup.sleep(Timestamp::MAX, true, BUSY_WAIT, || true);
                continue;
            };
            if poll.more {
                continue;
            }
            let next = poll.next_wakeup;
            if next.is_some_and(|next| next <= clock.now()) {
                continue;
            }
            let in_flight = self.in_flight();
            shared.set_idle((!poll.blocked && in_flight == 0).then_some(number));
            // What waits for dispatch makes a poll due when there is room.
            let until = next.unwrap_or(Timestamp::MAX);
            let timeout = clock
                .real_time_until(until)
                .unwrap_or(SLEEP_MAX)
                .min(SLEEP_MAX);
            let ends_matter = in_flight > 0;
            self.wakeup.sleep(until, ends_matter, timeout, || {
                let stop = shared.stop.load(Ordering::SeqCst);
                let earlier = self.next_wakeup().is_some_and(|found| found < until);
                let ended = ends_matter && self.in_flight() != in_flight;
                !stop && !earlier && !ended
            });
        }
    }
}

impl Running {
    /// The engine that is driven.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Stops the threads within about `timeout`, and says what is left. A thread that is still inside the
    /// router then is left behind; its answer is taken when it comes. From inside the router, by one of
    /// these threads, it waits for no thread.
    pub fn shutdown(mut self, how: Shutdown, timeout: Duration) -> ShutdownReport {
        self.end(how, timeout)
    }

    fn end(&mut self, how: Shutdown, timeout: Duration) -> ShutdownReport {
        self.ended = true;
        let deadline = Instant::now().checked_add(timeout);
        let own = self
            .threads
            .iter()
            .any(|thread| thread.thread().id() == thread::current().id());
        let mut timed_out = false;
        if how == Shutdown::Drain {
            self.engine.close();
            if !own {
                // Only a poll that begins from here on has seen all that was taken in.
                let before = self.shared.polls.load(Ordering::SeqCst);
                self.engine.wakeup.ring();
                timed_out = !self.shared.wait(deadline, |progress| {
                    progress.idle_at.is_some_and(|poll| poll > before)
                        || !progress.panics.is_empty()
                });
            }
        }
        self.shared.stop.store(true, Ordering::Release);
        self.engine.wakeup.ring();
        if let Some(dispatch) = self.dispatch.take() {
            *self.engine.dispatch.write() = None;
            let left = dispatch.close();
            self.engine.take_back(left);
        }
        let threads = std::mem::take(&mut self.threads);
        if !own && !threads.is_empty() {
            let exited = self
                .shared
                .wait(deadline, |progress| progress.exited.len() == threads.len());
            timed_out |= !exited;
        }
        let mut progress = self.shared.progress.lock();
        let panics = std::mem::take(&mut progress.panics);
        drop(progress);
        self.engine.driven.store(false, Ordering::Release);
        ShutdownReport {
            pending: self.engine.pending(),
            in_flight: self.engine.in_flight(),
            timed_out,
            panics,
        }
    }

    fn spawn(
        &mut self,
        name: &str,
        run: impl FnOnce(&Shared) + Send + 'static,
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let result = catch_unwind(AssertUnwindSafe(|| run(&shared)));
                let mut progress = shared.progress.lock();
                progress.exited.push(thread::current().id());
                if let Err(panic) = result {
                    progress.panics.push(message(&*panic));
                }
                drop(progress);
                shared.changed.notify_all();
            })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // A panic's message was printed by the panic hook when it happened.
            let _report = self.end(Shutdown::Stop, DROP_WAIT);
        }
    }
}

impl Shared {
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

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

impl std::fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dispatch")
    }
}
