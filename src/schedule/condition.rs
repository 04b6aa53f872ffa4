//! [`ProcessingCondition`] and the [`Consultation`] it is judged on.

use std::time::Duration;

use crate::ids::millis_ceil;

/// The router's answer to "how do things stand for this request, now?". Processing conditions are judged
/// on it, and the threshold wait time is compared with it.
///
/// The default says: no wait, no agent ready, an empty queue, closed, good for the whole poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consultation {
    /// Expected wait of a request that entered the queue now; `None` is unbounded (nobody works).
    pub expected_wait: Option<Duration>,
    /// Agents that could take a request at once.
    pub agents_ready: u32,
    /// Requests that wait in the queue.
    pub queue_length: u32,
    /// Whether the location is open.
    pub open: bool,
    /// For how many releases that rest on it this answer holds, through their condition or their threshold
    /// wait time, after which the router is asked again; 0 counts as 1. `None`: for the rest of the poll.
    pub good_for: Option<u32>,
}

/// What must hold at a processing time for the request to be released there.
///
/// # JSON
/// `"always"`, `"open"`, `{"wait_below": "60s"}`, `{"agents_ready": 2}`, `{"queue_below": 10}`,
/// `{"all": [..]}`, `{"any": [..]}`, `{"not": ..}`, the dots being conditions again. A duration is a string in jiff's
/// friendly or ISO 8601 form (a day is 24 h; fractions of a millisecond round up).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProcessingCondition {
    /// No condition.
    #[default]
    Always,
    /// The expected wait is below this. An unbounded wait never is.
    WaitBelow(Duration),
    /// At least so many agents are ready.
    AgentsReady(u32),
    /// Fewer than so many requests wait in the queue.
    QueueBelow(u32),
    /// The location is open.
    Open,
    /// Each of these holds; true of an empty list.
    All(Box<[ProcessingCondition]>),
    /// At least one of these holds; false of an empty list.
    Any(Box<[ProcessingCondition]>),
    /// This does not hold.
    Not(Box<ProcessingCondition>),
}

impl ProcessingCondition {
    /// How many levels a condition may have: 1 for one without others inside. A deeper one is refused where a
    /// schedule is built or read, so that judging it needs little stack.
    pub const NESTING_MAX: usize = 32;

    /// Whether the condition holds under `consultation`.
    #[must_use]
    pub fn holds(&self, consultation: &Consultation) -> bool {
        match self {
            Self::Always => true,
            Self::WaitBelow(limit) => consultation.expected_wait.is_some_and(|wait| wait < *limit),
            Self::AgentsReady(least) => consultation.agents_ready >= *least,
            Self::QueueBelow(limit) => consultation.queue_length < *limit,
            Self::Open => consultation.open,
            Self::All(conditions) => conditions
                .iter()
                .all(|condition| condition.holds(consultation)),
            Self::Any(conditions) => conditions
                .iter()
                .any(|condition| condition.holds(consultation)),
            Self::Not(condition) => !condition.holds(consultation),
        }
    }

    /// The conditions directly inside this one.
    pub(crate) fn inner(&self) -> &[Self] {
        match self {
            Self::All(conditions) | Self::Any(conditions) => conditions,
            Self::Not(condition) => std::slice::from_ref(condition),
            _ => &[],
        }
    }

    /// Levels, counted up to one more than `most`, so that the recursion is bounded too.
    pub(crate) fn nesting(&self, most: usize) -> usize {
        if most == 0 {
            return 1;
        }
        1 + self
            .inner()
            .iter()
            .map(|condition| condition.nesting(most - 1))
            .max()
            .unwrap_or(0)
    }

    /// Conditions in the whole tree, this one included. Only for a tree of known nesting.
    pub(crate) fn nodes(&self) -> usize {
        1 + self.inner().iter().map(Self::nodes).sum::<usize>()
    }

    /// Rounds durations up to whole milliseconds. Only for a tree of known nesting.
    pub(super) fn round_up(&mut self) {
        match self {
            Self::WaitBelow(limit) => *limit = Duration::from_millis(millis_ceil(*limit)),
            Self::All(conditions) | Self::Any(conditions) => {
                conditions.iter_mut().for_each(Self::round_up)
            }
            Self::Not(condition) => condition.round_up(),
            _ => {}
        }
    }
}
