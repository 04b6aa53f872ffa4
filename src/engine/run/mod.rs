//! The engine on a tokio runtime: feature `tokio`.
//!
//! An [`AsyncEngine`] is an [`Engine`] whose router is an [`AsyncRouter`], and which is driven by a future
//! instead of threads. That it is a type of its own is on purpose. An engine has one router, given when it is
//! built, and its polls consult it; one that takes a second router when it is run would have two that must
//! agree, and one that takes either would have to say at run time that it cannot be driven so. Here
//! [`Engine::start`] is not to be had and `run` cannot be forgotten: nobody else routes.
//!
//! * **One task drives** (`turning.rs`): it polls in bounded steps with a `yield_now` between, starts route
//!   tasks, and sleeps until the next wake-up by the engine's bell (`wakeup.rs`): an intake that is due
//!   earlier wakes it, and else a timer. It never polls to see whether something has come.
//! * **A released command is a task** (`task.rs`), at most [`RunOptions::in_flight_max`] at once, which takes
//!   its turn through the same dispatch as a worker's thread would (`dispatch.rs`): fair over the locations,
//!   hold and lifespan looked at once more right before the router is called.
//! * **Between runs the dispatch stands closed**: a poll by hand lets leases and lifespans run out, and
//!   releases nothing, because nobody would route it.
//!
//! # Dropping the run
//!
//! Every future here may be dropped at any point. What waits for a task goes back as if it had not been
//! released. A route that had begun is dropped too, and its attempt is left to its lease: whoever has the
//! lease may complete it, and when it runs out that is one failed attempt, marked as a redelivery. Taking the
//! attempt back at once would be quicker and might ring a customer twice.

mod task;
mod turning;

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending};
use std::ops::Deref;
use std::panic::resume_unwind;
use std::time::Duration;

use super::Engine;
use super::config::{BuildError, EngineBuilder};
use super::driver::{DriverOptions, Shutdown, ShutdownReport};
use super::error::StartError;
use crate::clock::Clock;
use crate::router::{AsyncRouter, Disposition, DueRequest, Router, RoutingCommand};
use crate::schedule::Consultation;
use crate::sync::Arc;

use task::Caught;
use turning::Turning;

/// How an [`AsyncEngine`] is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RunOptions {
    /// Futures of [`AsyncRouter::route`] at once; default 256, 0 counts as 1.
    pub in_flight_max: usize,
    /// Of those for one location; default one fewer than all, so that a location whose routing is slow cannot
    /// take all. 0 counts as 1. With 1, a location's commands are routed one after the other, in order.
    pub in_flight_per_location_max: Option<usize>,
    /// Released commands that may wait for their turn; default 1024, 0 counts as 1. What is due beyond waits
    /// in order.
    pub dispatch_max: usize,
    /// Of those for one location; default `dispatch_max` divided by one more than `in_flight_max`, and at least
    /// 1. 0 counts as 1. See [`DriverOptions::location_dispatch_max`].
    pub location_dispatch_max: Option<usize>,
    /// Requests examined by one poll at most, after which other tasks have their turn; default 256, 0 counts
    /// as 1.
    pub poll_budget: usize,
    /// How long a shutdown waits at most; default 30 s.
    pub shutdown_timeout: Duration,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            in_flight_max: 256,
            in_flight_per_location_max: None,
            dispatch_max: 1024,
            location_dispatch_max: None,
            poll_budget: 256,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

/// An [`Engine`] that routes asynchronously, on a tokio runtime. Cloning it is another hold on the same engine.
///
/// It is an engine to all who take requests in, cancel, complete or report (it derefs to one), and is driven by
/// [`run`](Self::run) or [`run_until`](Self::run_until) alone: while neither does, a [poll](Engine::poll)
/// releases nothing, and is [blocked](crate::Poll::blocked).
///
/// ```
/// use std::sync::Arc;
/// use duewheel::{
///     AsyncRouter, Clock, Consultation, Disposition, DueRequest, Engine, InteractionRequest,
///     RoutingCommand, RunOptions, ScheduleData, Shutdown, SystemClock,
/// };
///
/// struct Desk;
///
/// impl AsyncRouter for Desk {
///     fn consult(&self, _: &DueRequest) -> Consultation {
///         Consultation::default()
///     }
///     async fn route(&self, _: RoutingCommand) -> Disposition {
///         tokio::task::yield_now().await;
///         Disposition::Routed
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(SystemClock);
/// let engine = Engine::builder().build_async(Desk)?;
/// let (stop, stopped) = tokio::sync::oneshot::channel();
/// let run = tokio::spawn(engine.run_until(clock.clone(), RunOptions::default(), async {
///     let _ = stopped.await;
///     Shutdown::Drain
/// }));
///
/// let location = engine.directory().enter("AA0101")?;
/// let request = InteractionRequest::new(12.into(), location)
///     .with_schedule(ScheduleData::at(clock.now()));
/// engine.schedule(request, clock.now())?;
/// let _ = stop.send(());
/// let report = run.await??;
/// assert_eq!((report.pending, report.timed_out), (0, false));
/// # Ok(())
/// # }
/// ```
pub struct AsyncEngine<R> {
    engine: Arc<Engine>,
    router: Arc<R>,
}

impl EngineBuilder {
    /// Checks the settings and makes an engine that routes asynchronously. Commands are never handed over in
    /// batches: [`route_batch`](Self::route_batch) is without effect.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn build_async<R: AsyncRouter + 'static>(
        self,
        router: R,
    ) -> Result<AsyncEngine<R>, BuildError> {
        let router = Arc::new(router);
        let engine = self.build(Arc::new(Consults(Arc::clone(&router))))?;
        let closed = engine.open_dispatch(&DriverOptions::default());
        closed.close();
        *engine.dispatch.write() = Some(closed);
        Ok(AsyncEngine {
            engine: Arc::new(engine),
            router,
        })
    }
}

impl<R: AsyncRouter + 'static> AsyncEngine<R> {
    /// The router.
    #[must_use]
    pub fn router(&self) -> &Arc<R> {
        &self.router
    }

    /// Drives the engine by a clock until the future is dropped, which stops it at once: nothing more is
    /// released, what waited for its turn is taken back, and routes that had begun are dropped and left to
    /// their leases. The engine can be run again.
    ///
    /// The clock's [`real_time_until`](Clock::real_time_until) is real time by the runtime's timer, which may
    /// be paused in tests. A panic of the clock comes out of the future, and is in [`Engine::panics`] too.
    ///
    /// # Errors
    /// [`StartError::Running`]: it is driven already.
    ///
    /// # Panics
    /// Outside a tokio runtime, and in one without its timer.
    pub fn run(
        &self,
        clock: Arc<dyn Clock>,
        options: RunOptions,
    ) -> impl Future<Output = Result<Infallible, StartError>> + Send + use<R> {
        let run = self.run_until(clock, options, pending());
        async move {
            let _ = run.await?;
            unreachable!("a run ends by a signal, and this has none")
        }
    }

    /// [`run`](Self::run) until `signal` says how to shut down. [`Shutdown::Drain`] takes nothing in any more
    /// and ends when everything due has ended; [`Shutdown::Stop`] releases nothing more. Both wait for routes
    /// that have begun, and no longer than [`RunOptions::shutdown_timeout`]; routes that are left are then
    /// dropped. To count what is left takes a look at everything that is pending, off the runtime's workers.
    ///
    /// # Errors
    /// [`StartError::Running`]: it is driven already.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    pub fn run_until<S>(
        &self,
        clock: Arc<dyn Clock>,
        options: RunOptions,
        signal: S,
    ) -> impl Future<Output = Result<ShutdownReport, StartError>> + Send + use<R, S>
    where
        S: Future<Output = Shutdown> + Send,
    {
        let engine = self.clone();
        async move {
            let turning = Turning::begin(engine.clone(), clock, options)?;
            match Caught::new(turning.until(signal)).await {
                Ok(report) => Ok(report),
                Err(panic) => {
                    engine.panics.note(&*panic);
                    resume_unwind(panic)
                }
            }
        }
    }
}

impl<R> AsyncEngine<R> {
    /// The engine alone, for what is done for it elsewhere.
    fn shared(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }
}

impl<R> Clone for AsyncEngine<R> {
    fn clone(&self) -> Self {
        Self {
            engine: Arc::clone(&self.engine),
            router: Arc::clone(&self.router),
        }
    }
}

impl<R> Deref for AsyncEngine<R> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}

impl<R> fmt::Debug for AsyncEngine<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncEngine").field(&self.engine).finish()
    }
}

/// What the engine's polls ask. They hand what they release to the dispatch, so that this never routes.
struct Consults<R>(Arc<R>);

impl<R: AsyncRouter> Router for Consults<R> {
    fn consult(&self, request: &DueRequest) -> Consultation {
        self.0.consult(request)
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        debug_assert!(false, "{command:?} went past the dispatch");
        Disposition::Busy { retry_after: None }
    }
}
