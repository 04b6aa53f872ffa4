//! Counters, gauges and the lateness histogram for the feature `metrics`.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::Event;

/// Gives the installed recorder the description and unit of every metric, for exporters that show them. Called
/// once, after the recorder was installed; the engine does not call it.
pub fn describe_metrics() {
    let counters = [
        ("duewheel_accepted_total", "Requests taken in."),
        (
            "duewheel_duplicates_total",
            "Repeated intakes of a known request.",
        ),
        (
            "duewheel_refused_total",
            "Requests not taken in, by reason.",
        ),
        (
            "duewheel_rescheduled_total",
            "Requests given another schedule, by whom.",
        ),
        (
            "duewheel_missed_total",
            "Processing times missed, by policy.",
        ),
        (
            "duewheel_conditions_total",
            "Processing conditions judged, by whether they held.",
        ),
        ("duewheel_parked_total", "Requests that fell due on hold."),
        (
            "duewheel_released_total",
            "Attempts released, by whether ahead of non-scheduled interactions.",
        ),
        (
            "duewheel_taken_back_total",
            "Released attempts that never reached the router.",
        ),
        (
            "duewheel_answered_total",
            "Answers of the router, by disposition.",
        ),
        (
            "duewheel_leases_ran_out_total",
            "Attempts whose lease ran out.",
        ),
        (
            "duewheel_retries_total",
            "Failed attempts that another follows, by reason.",
        ),
        (
            "duewheel_completed_total",
            "Requests that ended, by outcome and reason.",
        ),
        (
            "duewheel_router_panics_total",
            "Panics of the router, by call.",
        ),
        (
            "duewheel_thread_panics_total",
            "Panics that ended a thread or a task of the engine's.",
        ),
        ("duewheel_polls_total", "Polls."),
        ("duewheel_examined_total", "Requests examined by polls."),
    ];
    for (name, text) in counters {
        describe_counter!(name, Unit::Count, text);
    }
    describe_gauge!(
        "duewheel_pending",
        Unit::Count,
        "Requests that have not ended."
    );
    describe_gauge!(
        "duewheel_in_flight",
        Unit::Count,
        "Requests released whose attempt has not ended."
    );
    describe_histogram!(
        "duewheel_lateness_seconds",
        Unit::Seconds,
        "From when a request became releasable until it was released."
    );
}

/// Counts an event.
pub(super) fn count(event: &Event) {
    match *event {
        Event::Accepted { .. } => counter!("duewheel_accepted_total").increment(1),
        Event::Duplicate { .. } => counter!("duewheel_duplicates_total").increment(1),
        Event::Refused { reason, .. } => {
            counter!("duewheel_refused_total", "reason" => reason).increment(1);
        }
        Event::Rescheduled { by, .. } => {
            counter!("duewheel_rescheduled_total", "by" => by).increment(1);
        }
        Event::Missed { policy, .. } => {
            counter!("duewheel_missed_total", "policy" => policy).increment(1);
        }
        Event::Judged { holds, .. } => {
            counter!("duewheel_conditions_total", "holds" => truth(holds)).increment(1);
        }
        Event::Parked { .. } => counter!("duewheel_parked_total").increment(1),
        Event::Released { ahead, late, .. } => {
            counter!("duewheel_released_total", "ahead" => truth(ahead)).increment(1);
            histogram!("duewheel_lateness_seconds").record(late.as_secs_f64());
        }
        Event::TakenBack { .. } => counter!("duewheel_taken_back_total").increment(1),
        Event::Answered { disposition, .. } => {
            counter!("duewheel_answered_total", "disposition" => disposition).increment(1);
        }
        Event::LeaseRanOut { .. } => counter!("duewheel_leases_ran_out_total").increment(1),
        Event::Retry { reason, .. } => {
            counter!("duewheel_retries_total", "reason" => reason).increment(1);
        }
        Event::Completed {
            outcome, reason, ..
        } => {
            counter!("duewheel_completed_total", "outcome" => outcome.as_str(), "reason" => reason)
                .increment(1);
        }
        Event::RouterPanicked { call, .. } => {
            counter!("duewheel_router_panics_total", "call" => call).increment(1);
        }
        Event::ThreadPanicked {} => counter!("duewheel_thread_panics_total").increment(1),
        Event::Polled {
            examined,
            pending,
            in_flight,
        } => {
            counter!("duewheel_polls_total").increment(1);
            counter!("duewheel_examined_total").increment(examined as u64);
            // Exact up to 2^53.
            gauge!("duewheel_pending").set(pending as f64);
            gauge!("duewheel_in_flight").set(in_flight as f64);
        }
        Event::FellDue { .. }
        | Event::InLine { .. }
        | Event::Held { .. }
        | Event::Resumed { .. }
        | Event::LocationCancelled { .. }
        | Event::LocationMoved { .. }
        | Event::Started { .. }
        | Event::Closed {}
        | Event::Stopped { .. } => {}
    }
}

fn truth(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
