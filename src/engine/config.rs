//! How an engine is set up: bounds, spans, shards.

use std::time::Duration;

use super::Engine;
use super::book::REQUESTS_MAX;
use super::location::Pace;
use super::panics::PanicObserver;
use super::recovery::{RecoveryObserver, RecoveryProgress};
use crate::directory::Directory;
use crate::persistence::{Durability, Store, StoreError};
use crate::router::Router;
use crate::sync::Arc;

/// Sets up an [`Engine`]; every setting has a default, and [`build`](Self::build) checks them once.
#[derive(Clone, Debug)]
#[must_use]
pub struct EngineBuilder {
    pub(super) shards: usize,
    pub(super) pending_max: usize,
    pub(super) payload_bytes_max: usize,
    pub(super) grace: Duration,
    pub(super) remember: Duration,
    pub(super) remembered_max: usize,
    pub(super) lease: Duration,
    pub(super) route_batch: usize,
    pub(super) epoch: u32,
    pub(super) directory: Option<Arc<Directory>>,
    pub(super) hash_key: Option<u128>,
    pub(super) panic_observer: Option<PanicObserver>,
    pub(super) default_pace: Option<Pace>,
    pub(super) store: Option<Store>,
    pub(super) durability: Durability,
    pub(super) snapshot_every: (u64, Duration),
    pub(super) recovery_observer: Option<RecoveryObserver>,
}

/// A setting out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {value}: expected {expected}")]
pub struct ConfigError {
    setting: &'static str,
    value: String,
    expected: &'static str,
}

impl ConfigError {
    /// Whether a setting is good, or what it should have been.
    pub(super) fn check(
        good: bool,
        setting: &'static str,
        value: impl Into<String>,
        expected: &'static str,
    ) -> Result<(), Self> {
        if good {
            return Ok(());
        }
        Err(Self {
            setting,
            value: value.into(),
            expected,
        })
    }

    /// The name of the setting.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

/// Why no engine was built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory given numbers a location otherwise than the store.
    #[error("location {number}: the directory given has {given}: the store has {stored:?}")]
    Directory {
        /// The location's number in the store.
        number: u32,
        /// What the directory given has there, or for the store's name, in words.
        given: String,
        /// Its name in the store.
        stored: String,
    },
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            shards: 8,
            pending_max: 10_000_000,
            payload_bytes_max: 64 * 1024,
            grace: Duration::from_secs(60),
            remember: Duration::from_secs(24 * 60 * 60),
            remembered_max: 10_000_000,
            lease: Duration::from_secs(300),
            route_batch: 1,
            epoch: 1,
            directory: None,
            hash_key: None,
            panic_observer: None,
            default_pace: None,
            store: None,
            durability: Durability::Sync,
            snapshot_every: (256 << 20, Duration::from_secs(600)),
            recovery_observer: None,
        }
    }
}

impl EngineBuilder {
    /// Shards, a power of two from 1 to 1024; default 8. More shards let more threads take requests in
    /// at once; each costs some 23 KB, with its first requests 0.4 MB of memory that is set aside and touched as the
    /// need arises, and a little time in every poll.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// Pending requests at most, from 1 to 2^28 (268 million); default 10 million. Intake beyond it is refused
    /// and hands the request back. A pending request takes at most 128 bytes beside its payload and
    /// customer, where each location holds a thousand or more; a location takes some 200 bytes a shard.
    pub fn max_pending(mut self, requests: usize) -> Self {
        self.pending_max = requests;
        self
    }

    /// Bytes of payload a request at most; default 64 KiB.
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.payload_bytes_max = bytes;
        self
    }

    /// The grace period: a processing time counts as missed when no poll ran from it until this long
    /// after it. Default 60 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// For how long, and for how many at most, completed requests are remembered, so that a repeated
    /// intake or cancel is recognised. Default 24 h and 10 million. Zero of either remembers nothing. Each shard has its even share of the count, so that a shard
    /// which gets more than its share forgets a little earlier.
    pub fn remember(mut self, span: Duration, requests: usize) -> Self {
        self.remember = span;
        self.remembered_max = requests;
        self
    }

    /// How long a dispatch worker's call of [`Router::route`], or the future of an async router, may take
    /// before the attempt counts as failed; from 1 ms, default 300 s. (On the polling thread the call ends when it
    /// returns.)
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Commands handed over by one [`Router::route_batch`] at most, from 1 to 4096. Default 1, which
    /// calls [`Router::route`]. Without dispatch workers only. A batch is handed over before the router is
    /// consulted again, so that its answer knows of it.
    pub fn route_batch(mut self, commands: usize) -> Self {
        self.route_batch = commands;
        self
    }

    /// The pace of every location that [`resume`](Engine::resume) gave none of its own; default none. It bounds
    /// what a location's desks get at once after a stall, a hold or downtime, when all that is overdue goes out oldest
    /// first. Each location has it to itself; what it delays stands in the lateness.
    pub fn default_pace(mut self, pace: Pace) -> Self {
        self.default_pace = Some(pace);
        self
    }

    /// The fencing epoch that leases carry; default 1. An engine with a store takes a greater one where the store
    /// was written under this one already.
    pub fn epoch(mut self, epoch: u32) -> Self {
        self.epoch = epoch;
        self
    }

    /// The directory of location names, to share it with access points; default a new one.
    pub fn directory(mut self, directory: Arc<Directory>) -> Self {
        self.directory = Some(directory);
        self
    }

    /// The key of the hashes that choose a request's shard and recognise a repeated intake; default
    /// random. It changes nothing that can be seen from outside. A store has one of its own, which is then used;
    /// another here is an error.
    pub fn hash_key(mut self, key: u128) -> Self {
        self.hash_key = Some(key);
        self
    }

    /// Where requests are kept so that they outlive the process; default nowhere. [`build`](Self::build) reads back what
    /// is there.
    pub fn store(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// When an answer rests on what is durable, for an engine with a store; default [`Durability::Sync`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// A snapshot is taken when the journal has grown by so many bytes since the last, when that is so long ago and
    /// anything has happened since, and when the journal has no room for intake; default 256 MiB and ten minutes. It is
    /// what the next [`build`](Self::build) reads back first, and the journal before it is dropped: so this bounds how
    /// long that takes, and how much room the store needs beside what is pending. While the engine is
    /// [started](Engine::start); one that is polled by hand calls [`Engine::snapshot`].
    pub fn snapshot_every(mut self, journal_bytes: u64, span: Duration) -> Self {
        self.snapshot_every = (journal_bytes, span);
        self
    }

    /// Is told now and then how far [`build`](Self::build) is with reading a store back, on the thread that builds.
    pub fn on_recovery(
        mut self,
        observer: impl Fn(RecoveryProgress) + Send + Sync + 'static,
    ) -> Self {
        self.recovery_observer = Some(RecoveryObserver::new(observer));
        self
    }

    /// Is told at once what a panic said that ended a thread of the engine: its clock panicked, or dropping
    /// the last hold on the router did. Called on that thread, with no lock held. Beside this,
    /// [`Engine::panics`] remembers it.
    pub fn on_thread_panic(mut self, observer: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.panic_observer = Some(PanicObserver::new(observer));
        self
    }

    /// Checks the settings and makes the engine. One with a store is read back first: O(what is in it), by as many
    /// threads as the machine runs at once, which have ended when this returns.
    ///
    /// # Errors
    /// The first setting that is out of its range; where the store cannot be used, or is damaged; and where the
    /// directory given numbers locations otherwise than the store.
    pub fn build(self, router: Arc<dyn Router>) -> Result<Engine, BuildError> {
        self.check()?;
        Engine::make(self, router)
    }

    fn check(&self) -> Result<(), BuildError> {
        ConfigError::check(
            self.shards.is_power_of_two() && self.shards <= 1024,
            "shards",
            self.shards.to_string(),
            "a power of two from 1 to 1024",
        )?;
        ConfigError::check(
            (1..=REQUESTS_MAX).contains(&self.pending_max),
            "max_pending",
            self.pending_max.to_string(),
            "1 to 268435456",
        )?;
        ConfigError::check(
            self.lease >= Duration::from_millis(1),
            "lease",
            format!("{:?}", self.lease),
            "at least 1 ms",
        )?;
        ConfigError::check(
            (1..=4096).contains(&self.route_batch),
            "route_batch",
            self.route_batch.to_string(),
            "1 to 4096",
        )?;
        let is_other_key = |store: &Store| {
            let key = self.hash_key;
            key.is_some_and(|key| key != store.identity().hash_key)
        };
        if self.store.as_ref().is_some_and(is_other_key) {
            return Err(BuildError::Store(StoreError::Mismatch {
                what: "the hash key".to_owned(),
                found: "another one".to_owned(),
                expected: "the store's, or none".to_owned(),
            }));
        }
        Ok(())
    }
}
