//! The commit buffer with real threads, over a journal that waits, fails and panics on demand.

#![cfg(all(test, not(any(loom, shuttle))))]

mod failure;
mod rounds;
mod unattended;

use std::time::Duration;

use super::{Commit, Undurable};
use crate::ids::Timestamp;
use crate::persistence::journal::{Durability, Lsn};
use crate::sync::{Arc, thread};

const INTERVAL: Durability = Durability::Interval(Duration::from_secs(5));

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_767_596_400_000 + seconds * 1_000)
}

/// Appends one record and waits for it, aside.
fn call(commit: &Arc<Commit>) -> thread::JoinHandle<(Lsn, Result<(), Undurable>)> {
    let commit = Arc::clone(commit);
    thread::spawn(move || {
        let lsn = commit.append(b"r", 1);
        (lsn, commit.settle(lsn))
    })
}

/// Waits until so many records are appended.
fn until_appended(commit: &Commit, last: u64) {
    while commit.appended() < Lsn(last) {
        thread::yield_now();
    }
}
