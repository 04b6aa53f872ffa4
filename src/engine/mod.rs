//! The engine: takes requests in, keeps them by due time and location, releases them to the router.
//!
//! # Order of calls
//!
//! The engine is driven from outside. It reads no clock, starts no thread and does no I/O by itself;
//! every input takes `now`:
//!
//! * inputs: [`schedule`](Engine::schedule), [`cancel`](Engine::cancel),
//!   [`reschedule`](Engine::reschedule), [`complete`](Engine::complete) and the commands on locations,
//!   from any thread at any time, from inside the router's calls too;
//! * [`poll`](Engine::poll), whenever [`next_wakeup`](Engine::next_wakeup) has come: the only place where
//!   anything is released;
//! * getters: [`status`](Engine::status), [`list_location`](Engine::list_location),
//!   [`report`](Engine::report).
//!
//! [`start`](Engine::start) does the polling on a thread of its own, for those who ask; an `AsyncEngine`
//! (feature `tokio`) does it in a task.
//!
//! # Who holds what
//!
//! Locks, in the order in which they may be taken together: a shard's, then a location control's.
//! Nothing else is ever held together, and none is held while the router runs or while something that
//! a user gave is dropped. The state of the poll (`poll.rs`) is not locked but taken: there is one, and who
//! finds it gone is told [`PollError::Busy`]. The journal's buffer has a lock that may be taken under a shard's, for a
//! memory copy; nothing is written, and nobody waits for the disk, while any other lock is held.

mod batch;
mod book;
mod cell;
mod config;
mod control;
mod delivery;
mod dispatch;
mod doubt;
mod driver;
mod due;
mod durable;
mod endings;
mod entry;
mod error;
mod gaps;
mod image;
mod index;
mod intake;
mod keeper;
mod lines;
mod location;
mod locations;
mod memory;
#[cfg(all(test, loom))]
mod models;
mod news;
mod observe;
mod outbox;
mod panics;
mod pending;
mod poll;
mod recovery;
mod replies;
mod rules;
#[cfg(feature = "tokio")]
mod run;
mod settle;
mod shard;
mod slab;
mod snapshot;
mod store;
mod table;
mod taken;
mod trash;
mod turn;
mod wakeup;

use std::fmt;

use crossbeam_utils::CachePadded;

pub use config::{BuildError, ConfigError, EngineBuilder};
pub use driver::{DriverOptions, Running, Shutdown, ShutdownReport};
pub use error::{
    CancelError, CompleteError, LocationError, PollError, RescheduleError, ScheduleError,
    ScheduleErrorReason, StartError, Unavailable, UnknownLocation,
};
pub use location::Pace;
pub use recovery::{RecoveryPhase, RecoveryProgress, RecoveryReport};
pub use replies::{
    Cancelled, Contention, Held, ListCursor, LocationChange, LocationPage, Poll, Position, Receipt,
    RequestStatus, Resumed,
};
#[cfg(feature = "tokio")]
pub use run::{AsyncEngine, RunOptions};
pub use snapshot::{SnapshotError, SnapshotReport};

use cell::ShardCell;
use dispatch::Dispatch;
use driver::PollingThread;
use durable::Durable;
use location::Controls;
use news::LineNews;
use outbox::Outbox;
use panics::Panics;
use poll::Poller;
use recovery::{Recovered, Site};
use rules::{Rules, place_of};
use wakeup::Wakeup;

use crate::clock::Clock;
use crate::directory::Directory;
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::report::LatenessBook;
use crate::router::Router;
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, RwLock, Weak};
use crate::telemetry::tell;

/// Commands that a poll gathers at most where it waits for the store before it hands them over.
const GATHER_MAX: usize = 256;

/// The scheduling engine. Shared by reference or `Arc`; every method takes `&self`.
///
/// ```
/// use duewheel::{
///     Consultation, Disposition, DueRequest, Engine, InteractionRequest, Router, RoutingCommand,
///     ScheduleData, Timestamp,
/// };
///
/// struct Desk;
///
/// impl Router for Desk {
///     fn consult(&self, _: &DueRequest) -> Consultation {
///         Consultation::default()
///     }
///     fn route(&self, _: RoutingCommand) -> Disposition {
///         Disposition::Routed
///     }
/// }
///
/// let engine = Engine::new(Desk);
/// let now = Timestamp::from_millis(1_000);
/// let due = Timestamp::from_millis(61_000);
/// let location = engine.directory().enter("AA0101")?;
/// let request = InteractionRequest::new(12.into(), location).with_schedule(ScheduleData::at(due));
/// engine.schedule(request, now)?;
///
/// assert_eq!(engine.poll(Timestamp::from_millis(60_999), 100)?.released, 0);
/// assert_eq!(engine.poll(due, 100)?.released, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Engine {
    router: Arc<dyn Router>,
    directory: Arc<Directory>,
    rules: Arc<Rules>,
    settings: EngineBuilder,
    shards: Box<[ShardCell]>,
    controls: Controls,
    line_news: Arc<LineNews>,
    closed: AtomicBool,
    /// Commands that a poll gathers before it hands them over.
    gather_max: usize,
    /// Gone while a poll runs. Apart, as are the others that a poll writes, from what every call reads.
    poller: CachePadded<Mutex<Option<Box<Poller>>>>,
    lateness: CachePadded<Mutex<LatenessBook>>,
    polling_thread: CachePadded<PollingThread>,
    router_panics: AtomicU64,
    panics: Arc<Panics>,
    /// There while dispatch workers run.
    dispatch: RwLock<Option<Arc<Dispatch>>>,
    wakeup: Arc<Wakeup>,
    driven: AtomicBool,
    /// Clocks that ring this engine's bell already.
    observed: Mutex<Vec<Weak<dyn Clock>>>,
    /// There where the engine has a store.
    durable: Option<Durable>,
}

impl Engine {
    /// An engine with the default settings.
    #[must_use]
    pub fn new(router: impl Router + 'static) -> Self {
        Self::assemble(EngineBuilder::default(), Arc::new(router), None)
    }

    /// Settings to build an engine with.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Makes an engine of settings that were checked already: reads its store back, where it has one.
    fn make(settings: EngineBuilder, router: Arc<dyn Router>) -> Result<Self, BuildError> {
        let Some(store) = settings.store.clone() else {
            return Ok(Self::assemble(settings, router, None));
        };
        let mut settings = settings;
        let directory = settings.directory.get_or_insert_default();
        let directory = Arc::clone(directory);
        let rules = Arc::new(Rules::new(store.identity.hash_key, settings.grace));
        let recovered = recovery::recover(&Site {
            settings: &settings,
            store: &store,
            rules: &rules,
            directory: &directory,
        })?;
        let needs_snapshot = recovered.needs_snapshot;
        let engine = Self::assemble(settings, router, Some((rules, recovered)));
        engine.open_store(needs_snapshot)?;
        Ok(engine)
    }

    /// Puts together what was made already.
    fn assemble(
        mut settings: EngineBuilder,
        router: Arc<dyn Router>,
        recovered: Option<(Arc<Rules>, Recovered)>,
    ) -> Self {
        let (rules, shards, controls, poller, durable): (_, Box<[ShardCell]>, _, _, _);
        if let Some((shared, recovered)) = recovered {
            settings.epoch = recovered.epoch;
            rules = shared;
            shards = recovered.shards;
            controls = recovered.controls;
            poller = Poller::new(shards.len(), recovered.last_poll, recovered.suspects_up_to);
            durable = Some(recovered.durable);
        } else {
            let key = settings.hash_key.unwrap_or_else(random_key);
            rules = Arc::new(Rules::new(key, settings.grace));
            let remembered_max = settings.remembered_max.div_ceil(settings.shards);
            shards = (0..settings.shards)
                .map(|_| ShardCell::new(Arc::clone(&rules), settings.remember, remembered_max))
                .collect();
            controls = Controls::new(settings.default_pace);
            poller = Poller::new(settings.shards, None, None);
            durable = None;
        }
        let mut gather_max = settings.route_batch;
        if let Some(Durable { commit, .. }) = &durable {
            for (place, cell) in shards.iter().enumerate() {
                let outbox = Outbox::new(Arc::clone(commit), place as u16 + 1);
                cell.lock().outbox = Some(Box::new(outbox));
            }
            if commit.is_sync() {
                // One wait for many.
                gather_max = gather_max.max(GATHER_MAX);
            }
        }
        Self {
            router,
            directory: settings.directory.clone().unwrap_or_default(),
            rules,
            poller: CachePadded::new(Mutex::new(Some(Box::new(poller)))),
            polling_thread: CachePadded::default(),
            panics: Arc::new(Panics::new(settings.panic_observer.clone())),
            controls,
            settings,
            shards,
            line_news: Arc::default(),
            closed: AtomicBool::new(false),
            gather_max,
            lateness: CachePadded::default(),
            router_panics: AtomicU64::new(0),
            dispatch: RwLock::new(None),
            wakeup: Arc::default(),
            driven: AtomicBool::new(false),
            observed: Mutex::default(),
            durable,
        }
    }

    /// The directory that this engine's locations are numbered by.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Requests that have not ended.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.rules.counts.pending.load(Ordering::Acquire)
    }

    /// Requests that were released and whose attempt has not ended, as far as is known: after a crash also those that
    /// are to be handed over again.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.at_work() + self.rules.in_doubt.load(Ordering::SeqCst)
    }

    /// Requests that are at the router or on their way there: those in flight but for the ones in doubt, whose end
    /// nobody can wait for.
    fn at_work(&self) -> usize {
        self.rules.in_flight.load(Ordering::SeqCst)
    }

    /// What the last 16 panics said that ended a thread of this engine, oldest first, 1024 bytes of each: its
    /// clock panicked, or a drop of something that the embedder gave. The router's panics are not among them:
    /// they are caught, and counted in the [`report`](Self::report).
    #[must_use]
    pub fn panics(&self) -> Vec<String> {
        self.panics.messages()
    }

    /// The earliest time at which a poll has something to do, or a time before it: a poll then finds
    /// nothing due, and the next answer is later. `None` where nothing will ever fall due by itself.
    /// O(shards), with a short lock for each shard that holds nothing.
    #[must_use]
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let events = self.shards.iter().filter_map(ShardCell::next_event);
        events.chain(self.line_news.next_event()).min()
    }

    /// How often the shards' locks were taken so far, and how often somebody had to wait for one. Where two threads
    /// often do, more [`shards`](EngineBuilder::shards) help. O(shards), a short lock each, which is not counted.
    #[must_use]
    pub fn contention(&self) -> Contention {
        let mut sum = Contention::default();
        for cell in &self.shards {
            let counted = cell.contention();
            sum.acquisitions += counted.acquisitions;
            sum.waits += counted.waits;
        }
        sum
    }

    /// Refuses further intake, for good: once this has returned, nothing new is accepted. A repeated intake is
    /// still answered, and what is pending goes on.
    pub fn close(&self) {
        let closed_before = self.closed.swap(true, Ordering::AcqRel);
        // An intake that was not refused yet holds its shard's lock until what it took in is published.
        for cell in &self.shards {
            drop(cell.lock());
        }
        if !closed_before {
            tell!(Closed {});
        }
    }

    /// The number of a request's shard, and the hash it was chosen by.
    fn place(&self, id: RequestId) -> (usize, u64) {
        let hash = self.rules.hash(id);
        (place_of(hash, self.shards.len()), hash)
    }

    /// A number above all that were given out in the order of intake.
    fn next_intake(&self) -> u64 {
        self.rules.counts.next_intake.load(Ordering::Acquire)
    }

    fn known(&self, location: LocationId) -> Result<(), UnknownLocation> {
        if self.directory.contains(location) {
            Ok(())
        } else {
            Err(UnknownLocation(location))
        }
    }

    /// Checks every structure of the engine, one shard at a time.
    ///
    /// # Panics
    /// Where something is wrong with duewheel itself.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        for cell in &self.shards {
            cell.lock().check_invariants();
        }
        if let Some(poller) = self.poller.lock().as_ref() {
            poller.check_invariants(&self.shards);
        }
        if let Some(dispatch) = self.dispatch.read().clone() {
            dispatch.check_invariants();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("shards", &self.shards.len())
            .field("pending", &self.pending())
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// 128 bits from the standard library's own seeds.
fn random_key() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(0_u8));
    half() << 64 | half()
}
