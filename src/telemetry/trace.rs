//! Events and spans for the feature `tracing`.

use std::time::Duration;

use tracing::Span;
use tracing::field::Empty;
use tracing::span::EnteredSpan;
#[cfg(not(feature = "metrics"))]
use tracing::{Level, level_filters::LevelFilter};
use tracing::{debug, info, trace, trace_span, warn};

use super::Event;
use crate::ids::{LocationId, RequestId, Timestamp};
use crate::lifecycle::Outcome;

const REQUEST: &str = "duewheel::request";
const LOCATION: &str = "duewheel::location";
const ENGINE: &str = "duewheel::engine";

/// Whether any subscriber may want an event of this level. Cheap, and true too often rather than too rarely.
#[cfg(not(feature = "metrics"))]
pub(super) fn may_want(event: &Event) -> bool {
    level(event) <= LevelFilter::current()
}

/// The level that `tell` tells an event at.
#[cfg(not(feature = "metrics"))]
fn level(event: &Event) -> Level {
    match event {
        Event::FellDue { .. } | Event::Judged { .. } | Event::InLine { .. } => Level::TRACE,
        Event::LeaseRanOut { .. } | Event::RouterPanicked { .. } | Event::ThreadPanicked {} => {
            Level::WARN
        }
        Event::Completed { outcome, .. } if *outcome == Outcome::DeadLettered => Level::WARN,
        Event::Held { .. }
        | Event::Resumed { .. }
        | Event::LocationCancelled { .. }
        | Event::LocationMoved { .. }
        | Event::Started { .. }
        | Event::Closed {}
        | Event::Stopped { .. } => Level::INFO,
        _ => Level::DEBUG,
    }
}

/// Tells an event to whoever subscribes.
pub(super) fn tell(event: &Event) {
    match *event {
        Event::Accepted {
            id,
            location,
            scheduled,
            due,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), scheduled, due_ms = due.as_millis(), "accepted")
        }
        Event::Duplicate {
            id,
            location,
            state,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), state = state.as_str(), "duplicate")
        }
        Event::Refused {
            id,
            location,
            reason,
        } => debug!(target: REQUEST, request = %id, location = location.index(), reason, "refused"),
        Event::Rescheduled {
            id,
            location,
            by,
            due,
            revision,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), by, due_ms = due.as_millis(), revision, "rescheduled")
        }
        Event::FellDue { id, location, due } => {
            trace!(target: REQUEST, request = %id, location = location.index(), due_ms = due.as_millis(), "fell_due")
        }
        Event::Missed {
            id,
            location,
            due,
            policy,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), due_ms = due.as_millis(), policy, "missed")
        }
        Event::Judged {
            id,
            location,
            holds,
        } => trace!(target: REQUEST, request = %id, location = location.index(), holds, "judged"),
        Event::Parked { id, location } => {
            debug!(target: REQUEST, request = %id, location = location.index(), "parked")
        }
        Event::InLine {
            id,
            location,
            gate,
            opens,
        } => {
            let opens_ms = opens.map(Timestamp::as_millis);
            trace!(target: REQUEST, request = %id, location = location.index(), gate, opens_ms, "in_line")
        }
        Event::Released {
            id,
            location,
            attempt,
            ahead,
            due,
            late,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), attempt, ahead, due_ms = due.as_millis(), late_ms = millis(late), "released")
        }
        Event::TakenBack {
            id,
            location,
            attempt,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), attempt, "taken_back")
        }
        Event::Answered {
            id,
            location,
            attempt,
            disposition,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), attempt, disposition, "answered")
        }
        Event::LeaseRanOut {
            id,
            location,
            attempt,
        } => {
            warn!(target: REQUEST, request = %id, location = location.index(), attempt, "lease_ran_out")
        }
        Event::Retry {
            id,
            location,
            attempt,
            reason,
            again,
        } => {
            debug!(target: REQUEST, request = %id, location = location.index(), attempt, reason, again_ms = again.as_millis(), "retry")
        }
        Event::Completed {
            id,
            location,
            outcome: Outcome::DeadLettered,
            reason,
            attempts,
        } => {
            let outcome = Outcome::DeadLettered.as_str();
            warn!(target: REQUEST, request = %id, location = location.index(), outcome, reason, attempts, "completed");
        }
        Event::Completed {
            id,
            location,
            outcome,
            reason,
            attempts,
        } => {
            let outcome = outcome.as_str();
            debug!(target: REQUEST, request = %id, location = location.index(), outcome, reason, attempts, "completed");
        }
        Event::Held {
            location,
            in_flight,
        } => info!(target: LOCATION, location = location.index(), in_flight, "held"),
        Event::Resumed {
            location,
            held,
            pace,
        } => info!(target: LOCATION, location = location.index(), held, pace, "resumed"),
        Event::LocationCancelled {
            location,
            changed,
            too_late,
        } => {
            info!(target: LOCATION, location = location.index(), changed, too_late, "location_cancelled")
        }
        Event::LocationMoved {
            location,
            to,
            changed,
            too_late,
        } => {
            info!(target: LOCATION, location = location.index(), to = to.index(), changed, too_late, "location_moved")
        }
        Event::Started { by, workers } => info!(target: ENGINE, by, workers, "started"),
        Event::ThreadPanicked {} => warn!(target: ENGINE, "thread_panicked"),
        Event::RouterPanicked { call } => warn!(target: ENGINE, call, "router_panicked"),
        Event::Closed {} => info!(target: ENGINE, "closed"),
        Event::Stopped {
            pending,
            in_flight,
            timed_out,
        } => info!(target: ENGINE, pending, in_flight, timed_out, "stopped"),
        // The span says it.
        Event::Polled { .. } => {}
    }
}

pub(super) fn poll(now: Timestamp, budget: usize) -> EnteredSpan {
    trace_span!(
        target: ENGINE, "poll", now_ms = now.as_millis(), budget,
        examined = Empty, released = Empty, more = Empty, blocked = Empty
    )
    .entered()
}

pub(super) fn polled(
    span: &EnteredSpan,
    examined: usize,
    released: usize,
    more: bool,
    blocked: bool,
) {
    span.record("examined", examined);
    span.record("released", released);
    span.record("more", more);
    span.record("blocked", blocked);
}

pub(super) fn consult(id: RequestId, location: LocationId) -> EnteredSpan {
    trace_span!(target: ENGINE, "consult", request = %id, location = location.index()).entered()
}

pub(super) fn route(id: RequestId, location: LocationId, attempt: u32) -> Span {
    trace_span!(target: ENGINE, "route", request = %id, location = location.index(), attempt)
}

pub(super) fn route_batch(commands: usize) -> EnteredSpan {
    trace_span!(target: ENGINE, "route_batch", commands).entered()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
