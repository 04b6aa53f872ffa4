//! How an engine is set up: bounds, spans, shards.

use std::time::Duration;

use super::Engine;
use super::book::REQUESTS_MAX;
use super::location::Pace;
use super::panics::PanicObserver;
use crate::directory::Directory;
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

    /// The fencing epoch that leases carry; default 1.
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
    /// random. It changes nothing that can be seen from outside.
    pub fn hash_key(mut self, key: u128) -> Self {
        self.hash_key = Some(key);
        self
    }

    /// Is told at once what a panic said that ended a thread of the engine: its clock panicked, or dropping
    /// the last hold on the router did. Called on that thread, with no lock held. Beside this,
    /// [`Engine::panics`] remembers it.
    pub fn on_thread_panic(mut self, observer: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.panic_observer = Some(PanicObserver::new(observer));
        self
    }

    /// Checks the settings and makes the engine.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn build(self, router: Arc<dyn Router>) -> Result<Engine, ConfigError> {
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
        Ok(Engine::assemble(self, router))
    }
}
