//! What the engine answers.

use serde::{Deserialize, Serialize};

use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};
use crate::sync::Arc;

/// Where an accepted request stands in the engine's order of intake. Opaque: comparable within one
/// stream, storable, and good for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub(super) stream: u32,
    pub(super) lsn: u64,
}

/// What an intake or a reschedule answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[must_use]
pub struct Receipt {
    /// The request.
    pub id: RequestId,
    /// Its place in the order of intake; the original one for a repeated intake.
    pub position: Position,
    /// Its state at the moment of the answer.
    pub state: RequestState,
    /// How it ended, where it has.
    pub outcome: Option<Outcome>,
    /// Whether the same request had been taken in before.
    pub duplicate: bool,
}

impl Receipt {
    /// What stands in a batch's answers until the answer is known.
    pub(super) fn nothing(id: RequestId) -> Self {
        Self {
            id,
            position: Position { stream: 0, lsn: 0 },
            state: RequestState::Scheduled,
            outcome: None,
            duplicate: false,
        }
    }
}

/// A cancelled request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The request.
    pub id: RequestId,
    /// Whether it had been cancelled before.
    pub already: bool,
}

/// What is known of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestStatus {
    /// The request.
    pub id: RequestId,
    /// Its location.
    pub location: LocationId,
    /// Where it is in its life.
    pub state: RequestState,
    /// How it ended, where it has.
    pub outcome: Option<Outcome>,
    /// Why it ended so, where there is more to say than the outcome.
    pub reason: Option<Arc<str>>,
    /// The processing time at hand, or the last there was (for a non-scheduled interaction, its intake).
    pub due: Timestamp,
    /// Attempts released so far.
    pub attempts: u32,
    /// Counts the changes of its schedule, from 1.
    pub revision: u32,
    /// Whether all of this survives a crash. Never without a store. `false` may also mean that something else in the
    /// same shard is not durable yet.
    pub durable: bool,
}

/// A location on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Commands released already, which may still go out.
    pub in_flight: usize,
}

/// A location taken off hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Requests that had fallen due on hold.
    pub held: usize,
}

/// What a command on a whole location did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocationChange {
    /// Requests changed.
    pub changed: usize,
    /// Requests left as they are, because they had been released or had expired.
    pub too_late: usize,
}

/// Where a listing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    pub(super) shard: usize,
    /// The chunk of the location's page, and the line in it, that come next.
    pub(super) chunk: usize,
    pub(super) line: u32,
}

impl ListCursor {
    pub(super) const START: Self = Self {
        shard: 0,
        chunk: 0,
        line: 0,
    };
}

/// A part of a location's listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocationPage {
    /// Pending requests of the location.
    pub requests: Vec<RequestStatus>,
    /// Where the listing goes on; `None` at its end.
    pub next: Option<ListCursor>,
}

/// What a poll did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Poll {
    /// Requests examined, at most the budget.
    pub examined: usize,
    /// Requests released to the router, or to its dispatch workers.
    pub released: usize,
    /// Something due is left, for want of budget: poll again at once.
    pub more: bool,
    /// Something due is left, because the dispatch workers' queue has no place for it, or its location's
    /// share of the queue has none. It waits in order, and makes a poll due when there is room; other locations go on.
    pub blocked: bool,
    /// When a poll next has something to do by itself, or earlier. (Room in dispatch comes at no known time;
    /// [`Engine::next_wakeup`](super::Engine::next_wakeup) says so when it has come.)
    pub next_wakeup: Option<Timestamp>,
}

/// How the engine's shard locks were taken, by whatever took them: callers, polls, reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contention {
    /// How often a lock was taken.
    pub acquisitions: u64,
    /// How often of these somebody else had it, so that the taker had to wait.
    pub waits: u64,
}
