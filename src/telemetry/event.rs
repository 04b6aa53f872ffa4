//! What can be told. Plain copies: ids, numbers, and names that the engine itself has.

use std::time::Duration;

use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};

/// Something that happened. `names.md` says when, and by which name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Accepted {
        id: RequestId,
        location: LocationId,
        scheduled: bool,
        due: Timestamp,
    },
    Duplicate {
        id: RequestId,
        location: LocationId,
        state: RequestState,
    },
    Refused {
        id: RequestId,
        location: LocationId,
        reason: &'static str,
    },
    Rescheduled {
        id: RequestId,
        location: LocationId,
        by: &'static str,
        due: Timestamp,
        revision: u32,
    },
    FellDue {
        id: RequestId,
        location: LocationId,
        due: Timestamp,
    },
    Missed {
        id: RequestId,
        location: LocationId,
        due: Timestamp,
        policy: &'static str,
    },
    Judged {
        id: RequestId,
        location: LocationId,
        holds: bool,
    },
    Parked {
        id: RequestId,
        location: LocationId,
    },
    InLine {
        id: RequestId,
        location: LocationId,
        gate: &'static str,
        opens: Option<Timestamp>,
    },
    Released {
        id: RequestId,
        location: LocationId,
        attempt: u32,
        ahead: bool,
        due: Timestamp,
        late: Duration,
    },
    TakenBack {
        id: RequestId,
        location: LocationId,
        attempt: u32,
    },
    Answered {
        id: RequestId,
        location: LocationId,
        attempt: u32,
        disposition: &'static str,
    },
    LeaseRanOut {
        id: RequestId,
        location: LocationId,
        attempt: u32,
    },
    Retry {
        id: RequestId,
        location: LocationId,
        attempt: u32,
        reason: &'static str,
        again: Timestamp,
    },
    Completed {
        id: RequestId,
        location: LocationId,
        outcome: Outcome,
        reason: &'static str,
        attempts: u32,
    },
    RouterPanicked {
        call: &'static str,
    },
    Held {
        location: LocationId,
        in_flight: usize,
    },
    Resumed {
        location: LocationId,
        held: usize,
        pace: u32,
    },
    LocationCancelled {
        location: LocationId,
        changed: usize,
        too_late: usize,
    },
    LocationMoved {
        location: LocationId,
        to: LocationId,
        changed: usize,
        too_late: usize,
    },
    Started {
        by: &'static str,
        workers: usize,
    },
    ThreadPanicked {},
    Closed {},
    Stopped {
        pending: usize,
        in_flight: usize,
        timed_out: bool,
    },
    Polled {
        examined: usize,
        pending: usize,
        in_flight: usize,
    },
}
