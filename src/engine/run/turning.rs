//! The task that drives: poll, start route tasks, sleep, in turn, until a signal says how to end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet, spawn_blocking, yield_now};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::super::dispatch::Dispatch;
use super::super::driver::{BUSY_WAIT, DriverOptions, Shutdown, ShutdownReport};
use super::super::error::StartError;
use super::super::keeper::Keeper;
use super::super::taken::Taken;
use super::super::wakeup::{Sleep, Ticket};
use super::{AsyncEngine, RunOptions, task};
use crate::clock::Clock;
use crate::ids::Timestamp;
use crate::router::AsyncRouter;
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::telemetry::tell;

/// How long a shutdown waits for routes that it drops.
const DROP_WAIT: Duration = Duration::from_millis(100);

/// An engine that is being run. Dropping it stops the run.
pub(super) struct Turning<R: AsyncRouter + 'static> {
    engine: AsyncEngine<R>,
    clock: Arc<dyn Clock>,
    options: RunOptions,
    ticket: Ticket,
    dispatch: Arc<Dispatch>,
    tasks: JoinSet<()>,
    keeper: Arc<Keeper>,
    panics: Vec<String>,
    timed_out: bool,
}

impl<R: AsyncRouter + 'static> Turning<R> {
    pub(super) fn begin(
        engine: AsyncEngine<R>,
        clock: Arc<dyn Clock>,
        options: RunOptions,
    ) -> Result<Self, StartError> {
        if engine.driven.swap(true, Ordering::AcqRel) {
            return Err(StartError::Running);
        }
        let in_flight_max = options.in_flight_max.max(1);
        let per_location = options
            .in_flight_per_location_max
            .unwrap_or(in_flight_max - 1)
            .clamp(1, in_flight_max);
        let dispatch = engine.open_dispatch(&DriverOptions {
            workers: in_flight_max,
            dispatch_max: options.dispatch_max,
            location_in_flight_max: Some(per_location),
            location_dispatch_max: options.location_dispatch_max,
            ..DriverOptions::default()
        });
        *engine.dispatch.write() = Some(Arc::clone(&dispatch));
        let turning = Self {
            ticket: engine.wakeup.take_over(),
            engine,
            clock,
            options: RunOptions {
                in_flight_max,
                poll_budget: options.poll_budget.max(1),
                ..options
            },
            dispatch,
            tasks: JoinSet::new(),
            keeper: Arc::default(),
            panics: Vec::new(),
            timed_out: false,
        };
        turning.keep_store();
        tell!(Started {
            by: "runtime",
            workers: in_flight_max
        });
        turning.engine.observe(&turning.clock);
        Ok(turning)
    }

    /// Has the store kept, by threads that may wait for a disk.
    fn keep_store(&self) {
        if self.engine.durable.is_none() {
            return;
        }
        let (engine, keeper) = (self.engine.shared(), Arc::clone(&self.keeper));
        spawn_blocking(move || keeper.write(&engine));
        let (engine, keeper) = (self.engine.shared(), Arc::clone(&self.keeper));
        let clock = Arc::clone(&self.clock);
        spawn_blocking(move || keeper.take_snapshots(&engine, &*clock));
    }

    /// Drives until the signal comes and what it asks for is done, or its time is up.
    pub(super) async fn until(
        mut self,
        signal: impl Future<Output = Shutdown> + Send,
    ) -> ShutdownReport {
        let mut signal = Signal {
            future: pin!(signal),
            said: None,
        };
        let mut deadline = None;
        let mut drained_at = None;
        loop {
            poll_fn(|context| Poll::Ready(signal.poll(context))).await;
            if let Some(how) = signal.said {
                let deadline = *deadline.get_or_insert_with(|| {
                    if how == Shutdown::Drain {
                        self.engine.close();
                    }
                    Instant::now().checked_add(self.options.shutdown_timeout)
                });
                let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
                if how == Shutdown::Stop || is_over || self.engine.usable().is_err() {
                    break;
                }
            }
            let now = self.clock.now();
            let idle = self.turn(now, &mut signal, deadline.flatten()).await;
            if idle && signal.said == Some(Shutdown::Drain) && deadline.is_some() {
                drained_at = Some(now);
                break;
            }
        }
        self.end(deadline.flatten(), drained_at, signal.said).await
    }

    /// One poll and, where it leaves nothing to do, a sleep; says instead of sleeping in a drain whether
    /// nothing is due and nothing in flight.
    async fn turn<S: Future<Output = Shutdown>>(
        &mut self,
        now: Timestamp,
        signal: &mut Signal<'_, S>,
        deadline: Option<Instant>,
    ) -> bool {
        let polled = self
            .engine
            .poll_until(now, self.options.poll_budget, &AtomicBool::new(false));
        self.start_tasks();
        let Ok(poll) = polled else {
            // Somebody polls by hand, or the journal has failed.
            let engine = self.engine.clone();
            if let Some(sleep) = engine.wakeup.lie_down(self.ticket, Timestamp::MAX, true) {
                self.sleep(&sleep, Some(BUSY_WAIT), signal, deadline).await;
            }
            return false;
        };
        let Some(plan) = self.engine.plan(&poll, &*self.clock) else {
            yield_now().await;
            return false;
        };
        if plan.idle && signal.said.is_some() {
            return true;
        }
        let engine = self.engine.clone();
        let lain = engine
            .wakeup
            .lie_down(self.ticket, plan.until, plan.ends_matter);
        if let Some(sleep) = lain
            && engine.may_sleep(&plan)
        {
            self.sleep(&sleep, plan.timeout, signal, deadline).await;
        } else {
            yield_now().await;
        }
        false
    }

    /// Takes commands off the dispatch as long as there is room in flight.
    fn start_tasks(&mut self) {
        while let Some(joined) = self.tasks.try_join_next() {
            self.joined(joined);
        }
        while self.tasks.len() < self.options.in_flight_max
            && let Some((location, attempt, ahead)) = self.dispatch.try_take()
        {
            let dispatch = Arc::clone(&self.dispatch);
            let taken = Taken::new(self.engine.clone(), dispatch, location, attempt);
            let clock = Arc::clone(&self.clock);
            self.tasks
                .spawn(task::route(self.engine.clone(), clock, taken, ahead));
        }
    }

    /// Sleeps until rung, a route ends, the signal comes, or the time is up.
    async fn sleep<S: Future<Output = Shutdown>>(
        &mut self,
        sleep: &Sleep<'_>,
        timeout: Option<Duration>,
        signal: &mut Signal<'_, S>,
        deadline: Option<Instant>,
    ) {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let mut timer = pin!(until.into_iter().chain(deadline).min().map(sleep_until));
        poll_fn(|context| {
            let mut up = sleep.is_rung(context.waker());
            up |= signal.poll(context);
            if let Poll::Ready(Some(joined)) = self.tasks.poll_join_next(context) {
                self.joined(joined);
                up = true;
            }
            if let Some(timer) = timer.as_mut().as_pin_mut() {
                up |= timer.poll(context).is_ready();
            }
            if up { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// A route task has ended. The router's panics do not get here; the clock's do.
    fn joined(&mut self, joined: Result<(), JoinError>) {
        if let Err(error) = joined
            && let Ok(panic) = error.try_into_panic()
        {
            self.panics.push(self.engine.panics.record(panic));
        }
    }

    /// Lets the routes that have begun end, as long as there is time, and says what is left.
    async fn end(
        mut self,
        deadline: Option<Instant>,
        drained_at: Option<Timestamp>,
        how: Option<Shutdown>,
    ) -> ShutdownReport {
        self.release_nothing_more();
        self.timed_out = how == Some(Shutdown::Drain) && drained_at.is_none();
        while !self.tasks.is_empty() {
            let next = self.tasks.join_next();
            let joined = match deadline {
                Some(deadline) => timeout_at(deadline, next).await,
                None => Ok(next.await),
            };
            match joined {
                Ok(Some(joined)) => self.joined(joined),
                Ok(None) => break,
                Err(_) => {
                    self.timed_out = true;
                    break;
                }
            }
        }
        // Those that are left go now, so that the report is of what is left after them. One that blocks its
        // thread, which it should not, does not go.
        let _ = timeout(DROP_WAIT, self.tasks.shutdown()).await;
        let now = drained_at.unwrap_or_else(|| self.clock.now());
        let engine = self.engine.clone();
        let due = spawn_blocking(move || {
            // What the last attempts came to; where that fails, `Engine::store_error` says so.
            let _ = engine.flush();
            engine.count_due(now)
        })
        .await;
        ShutdownReport {
            pending: self.engine.pending(),
            in_flight: self.engine.in_flight(),
            due: due.unwrap_or_else(|_| self.engine.count_due(now)),
            timed_out: self.timed_out,
            panics: std::mem::take(&mut self.panics),
        }
    }

    fn release_nothing_more(&self) {
        let left = self.dispatch.close();
        self.engine.take_back(left);
    }
}

impl<R: AsyncRouter + 'static> Drop for Turning<R> {
    fn drop(&mut self) {
        self.release_nothing_more();
        self.keeper.stop(&self.engine);
        self.tasks.abort_all();
        self.engine.driven.store(false, Ordering::Release);
        tell!(Stopped {
            pending: self.engine.pending(),
            in_flight: self.engine.in_flight(),
            timed_out: self.timed_out
        });
    }
}

/// The embedder's word to shut down, once it has come.
struct Signal<'a, S> {
    future: Pin<&'a mut S>,
    said: Option<Shutdown>,
}

impl<S: Future<Output = Shutdown>> Signal<'_, S> {
    /// Whether it comes now.
    fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if self.said.is_some() {
            return false;
        }
        if let Poll::Ready(how) = self.future.as_mut().poll(context) {
            self.said = Some(how);
        }
        self.said.is_some()
    }
}
