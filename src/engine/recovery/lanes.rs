//! Threads for a recovery: some that share jobs, and some that put records in while another reads them.
//!
//! Records go from who reads to who puts in by *lanes*, one for each thread, in batches of some hundred: copies of their
//! bytes, which are given back and filled again. A lane holds a few batches and then lets the reader wait.
//!
//! Under a model checker, whose threads are dear, all is done by the calling thread.

use std::collections::VecDeque;

use crate::persistence::StoreError;
#[cfg(not(any(loom, shuttle)))]
use crate::sync::{AtomicBool, AtomicUsize, Ordering, thread};
use crate::sync::{Condvar, Mutex};

/// Batches that may wait in a lane.
const WAITING_MAX: usize = 8;

/// Threads that a recovery may use.
pub(super) fn threads() -> usize {
    #[cfg(not(any(loom, shuttle)))]
    {
        thread::available_parallelism().map_or(1, usize::from)
    }
    #[cfg(any(loom, shuttle))]
    {
        1
    }
}

/// Does jobs 0 to `count` - 1, some at once; the calling thread is one of those that do. `job` is told whether it is.
///
/// # Errors
/// That of a job that failed; some others are not done then.
#[cfg(not(any(loom, shuttle)))]
pub(super) fn share(
    count: usize,
    job: impl Fn(usize, bool) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let work = |is_caller| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count || failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let done = job(number, is_caller);
            if done.is_err() {
                failed.store(true, Ordering::Relaxed);
                return done;
            }
        }
    };
    thread::scope(|scope| {
        let others = threads().min(count).saturating_sub(1);
        let others: Vec<_> = (0..others).map(|_| scope.spawn(|| work(false))).collect();
        let mut result = work(true);
        for other in others {
            match other.join() {
                Ok(done) => result = result.and(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

#[cfg(any(loom, shuttle))]
pub(super) fn share(
    count: usize,
    job: impl Fn(usize, bool) -> Result<(), StoreError> + Sync,
) -> Result<(), StoreError> {
    (0..count).try_for_each(|number| job(number, true))
}

/// Records of one shard, on their way to it.
#[derive(Default)]
pub(super) struct Batch {
    /// Encoded, one after the other.
    pub(super) bytes: Vec<u8>,
    /// Of each the hash of its request's id, and its number.
    pub(super) marks: Vec<(u64, u64)>,
}

impl Batch {
    pub(super) fn emptied(mut self) -> Self {
        self.bytes.clear();
        self.marks.clear();
        self
    }
}

/// The way to one thread.
#[derive(Default)]
pub(super) struct Lane {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    /// With the numbers of their shards.
    waiting: VecDeque<(usize, Batch)>,
    spare: Vec<Batch>,
    /// Nothing more comes.
    closed: bool,
    /// Nothing more is taken.
    left: bool,
    failure: Option<StoreError>,
}

impl Lane {
    /// Sends a batch, and gives an empty one for it; waits where many wait already. `None`: nobody takes it any more.
    pub(super) fn send(&self, place: usize, batch: Batch) -> Option<Batch> {
        let mut state = self.state.lock();
        while state.waiting.len() >= WAITING_MAX && !state.left {
            self.emptied.wait(&mut state);
        }
        if state.left {
            return None;
        }
        state.waiting.push_back((place, batch));
        let spare = state.spare.pop();
        drop(state);
        self.filled.notify_one();
        Some(spare.unwrap_or_default())
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    /// Takes all that comes, until the lane is closed or something fails.
    #[cfg_attr(any(loom, shuttle), expect(dead_code, reason = "there is one thread"))]
    pub(super) fn take_all(&self, mut take: impl FnMut(usize, &Batch) -> Result<(), StoreError>) {
        // Also where something panics: who sends must not wait for ever.
        let leaving = Leaving(self);
        loop {
            let mut state = self.state.lock();
            while state.waiting.is_empty() && !state.closed {
                self.filled.wait(&mut state);
            }
            let Some((place, batch)) = state.waiting.pop_front() else {
                break;
            };
            drop(state);
            self.emptied.notify_one();
            if let Err(error) = take(place, &batch) {
                self.state.lock().failure = Some(error);
                break;
            }
            self.state.lock().spare.push(batch.emptied());
        }
        drop(leaving);
    }

    /// What failed where it was taken.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.state.lock().failure.take()
    }
}

/// Tells a lane's sender that nobody takes from it any more.
struct Leaving<'a>(&'a Lane);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.state.lock().left = true;
        self.0.emptied.notify_one();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn batch(number: u64) -> Batch {
        Batch {
            bytes: vec![0; 3],
            marks: vec![(number, number)],
        }
    }

    #[test]
    fn a_lane_hands_everything_over_in_order() {
        let lane = Lane::default();
        let mut seen = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..100 {
                    let spare = lane.send(7, batch(number)).unwrap();
                    assert!(spare.bytes.is_empty() && spare.marks.is_empty());
                }
                lane.close();
            });
            lane.take_all(|place, batch| {
                seen.push((place, batch.marks[0].0));
                Ok(())
            });
        });
        assert_eq!(seen, (0..100).map(|n| (7, n)).collect::<Vec<_>>());
        assert!(lane.failure().is_none());
    }

    #[test]
    fn a_lane_that_nobody_takes_from_any_more_lets_nobody_wait() {
        let lane = Lane::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                lane.take_all(|_, _| Err(StoreError::damaged("here", 1, "this", "that")));
            });
            let mut sent = 0;
            while lane.send(0, batch(0)).is_some() {
                sent += 1;
                assert!(sent < 1_000);
            }
        });
        assert!(lane.failure().is_some());
    }

    #[test]
    fn jobs_are_all_done_and_one_that_fails_is_told() {
        let done = Mutex::new(vec![0; 50]);
        share(50, |number, _| {
            done.lock()[number] += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(*done.lock(), [1; 50]);
        let fails = |number, _| match number {
            7 => Err(StoreError::damaged("here", 7, "this", "that")),
            _ => Ok(()),
        };
        assert!(matches!(share(50, fails), Err(StoreError::Damaged(_))));
    }
}
