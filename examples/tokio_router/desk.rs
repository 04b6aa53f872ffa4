//! The routing system: a pool of agents, and an async router that waits for one.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use duewheel::{
    AsyncRouter, Clock, Consultation, Disposition, DueRequest, RequestId, RoutingCommand,
    SystemClock,
};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// How long a caller waits for an agent before the desk says that it is busy.
const PATIENCE: Duration = Duration::from_millis(40);

/// When the desk wants to be asked again.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Agents, and what they saw.
pub(crate) struct Desk {
    agents: Semaphore,
    waiting: AtomicU32,
    /// Who was told that the desk is busy, and is to come again.
    put_off: Mutex<HashSet<RequestId>>,
    pub(crate) seen: Seen,
}

/// Counts by the desk itself, to be held against the engine's report.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) commands: AtomicU32,
    pub(crate) connected: AtomicU32,
    pub(crate) busy: AtomicU32,
    pub(crate) early: AtomicU32,
    in_flight: AtomicU32,
    pub(crate) in_flight_most: AtomicU32,
}

impl Desk {
    pub(crate) fn new(agents: usize) -> Self {
        Self {
            agents: Semaphore::new(agents),
            waiting: AtomicU32::new(0),
            put_off: Mutex::default(),
            seen: Seen::default(),
        }
    }

    /// A request that will not come again.
    pub(crate) fn forget(&self, id: RequestId) {
        self.put_off.lock().expect("no panic under it").remove(&id);
    }

    /// Requests that were put off, and are to come again.
    pub(crate) fn put_off(&self) -> usize {
        self.put_off.lock().expect("no panic under it").len()
    }

    /// Waits for an agent, for as long as a caller would.
    async fn agent(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let agent = timeout(PATIENCE, self.agents.acquire()).await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        agent.ok()?.ok()
    }
}

impl AsyncRouter for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation {
            agents_ready: u32::try_from(self.agents.available_permits()).unwrap_or(u32::MAX),
            queue_length: self.waiting.load(Ordering::SeqCst),
            ..Consultation::default()
        }
    }

    async fn route(&self, command: RoutingCommand) -> Disposition {
        let seen = &self.seen;
        seen.commands.fetch_add(1, Ordering::SeqCst);
        if SystemClock.now() < command.due {
            seen.early.fetch_add(1, Ordering::SeqCst);
        }
        let now = seen.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        seen.in_flight_most.fetch_max(now, Ordering::SeqCst);
        let disposition = match self.agent().await {
            Some(agent) => {
                // A short conversation, of which the length is in the payload.
                let talk_ms = command.payload.first().copied().unwrap_or(10);
                sleep(Duration::from_millis(u64::from(talk_ms))).await;
                drop(agent);
                seen.connected.fetch_add(1, Ordering::SeqCst);
                self.forget(command.id);
                Disposition::Routed
            }
            None => {
                seen.busy.fetch_add(1, Ordering::SeqCst);
                let mut put_off = self.put_off.lock().expect("no panic under it");
                put_off.insert(command.id);
                Disposition::Busy {
                    retry_after: Some(RETRY_AFTER),
                }
            }
        };
        seen.in_flight.fetch_sub(1, Ordering::SeqCst);
        disposition
    }
}
