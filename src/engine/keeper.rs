//! The threads that keep a store while an engine is driven: one writes what nobody waits for, one takes snapshots.
//!
//! They exist only after [`Engine::start`]; an engine that is polled by hand writes in its polls, and takes a snapshot
//! when [`Engine::snapshot`] is called.

use std::time::Duration;

use super::Engine;
use crate::clock::Clock;
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};

/// How often it is looked whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tells the keeping threads to stop.
#[derive(Default)]
pub(super) struct Keeper {
    stopped: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Keeper {
    /// Has the threads stop soon.
    pub(super) fn stop(&self, engine: &Engine) {
        self.stopped.store(true, Ordering::SeqCst);
        let lock = self.lock.lock();
        self.changed.notify_all();
        drop(lock);
        if let Some(durable) = &engine.durable {
            durable.commit.stop_serving();
        }
    }

    /// What the thread that writes does.
    pub(super) fn write(&self, engine: &Engine) {
        if let Some(durable) = &engine.durable
            && !self.stopped.load(Ordering::SeqCst)
        {
            durable.commit.serve(&self.stopped);
        }
    }

    /// What the thread that takes snapshots does.
    pub(super) fn take_snapshots(&self, engine: &Engine, clock: &dyn Clock) {
        let mut last = clock.now();
        while !self.stopped.load(Ordering::SeqCst) && engine.usable().is_ok() {
            let now = clock.now();
            if engine.snapshot_is_due(last, now) {
                last = now;
                // One that fails is tried again when it is due again; the journal keeps all that it would have had.
                let _ = engine.snapshot();
            }
            let mut lock = self.lock.lock();
            if !self.stopped.load(Ordering::SeqCst) {
                self.changed.wait_for(&mut lock, LOOK_EVERY);
            }
        }
    }
}
