//! The states of a request and the outcomes it can end in.
//!
//! ```text
//!             release              route
//! Scheduled ----------> Released ---------> Routing ----------> Completed(outcome)
//!   |    ^                 |                   |
//!   |    +-----------------+-------------------+   retry, reschedule by the router
//!   |  hold / resume
//!   +-----------> Held
//! ```
//!
//! From `Scheduled` and `Held` a request may also be completed as cancelled or expired. From `Released`
//! on, cancel and reschedule come too late.

mod why;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use why::{Rule, Why};

/// Where a request is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Waiting for its time, for its condition, or for its turn.
    Scheduled,
    /// Fallen due while its location was on hold.
    Held,
    /// Decided upon, on its way to a dispatch worker.
    Released,
    /// Handed to the router, whose answer is awaited.
    Routing,
    /// Ended; the outcome says how.
    Completed,
}

impl RequestState {
    /// The number of states before [`Completed`](Self::Completed).
    pub(crate) const PENDING: usize = 4;

    /// All states, in order of life.
    pub const ALL: [Self; 5] = [
        Self::Scheduled,
        Self::Held,
        Self::Released,
        Self::Routing,
        Self::Completed,
    ];

    /// The state's name, as serde writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Held => "held",
            Self::Released => "released",
            Self::Routing => "routing",
            Self::Completed => "completed",
        }
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a request ended. The order of declaration is part of what is stored: new outcomes go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The router took it to a resource.
    Routed,
    /// Cancelled before its release.
    Cancelled,
    /// Its lifespan ended, or its missed policy or exhausted rule said so.
    Expired,
    /// The router refused it for good.
    Rejected,
    /// Its last attempt failed.
    DeadLettered,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [
        Self::Routed,
        Self::Cancelled,
        Self::Expired,
        Self::Rejected,
        Self::DeadLettered,
    ];

    /// The outcome that is stored as this number, `outcome as u8`.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The outcome's name, as serde writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
