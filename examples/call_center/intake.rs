//! The service access point: every record becomes a JSON message, and what `JsonAccessPoint` detects in it
//! decides where it goes.
//!
//! Deferrable calls carry schedule data in their message and are detected as scheduled; all others carry none and
//! are detected as immediate. Of the immediate ones only AGENT calls go to the engine: a phantom and a caller who
//! hung up before the queue are read, detected and counted like the others, but ask for nothing.
//!
//! A record that the access point refuses (a nameless line, say) is a bad line like any other.

use std::sync::Arc;

use duewheel::{
    AccessError, AccessPoint, Detection, Directory, InteractionRequest, JsonAccessPoint,
    LocationId, Timestamp,
};
use serde_json::{Value, json};

use crate::calls::{Call, Class};
use crate::hours::{CallBack, OpeningHours};
use crate::records::{Record, RecordError};
use crate::zone::Zone;

/// The access point with what it needs to know of the centre.
#[derive(Debug)]
pub(crate) struct Intake {
    access: JsonAccessPoint,
    hours: OpeningHours,
    zone: Zone,
    calls: Vec<Call>,
    submissions: Vec<Submission>,
    locations: Vec<(LocationId, Class)>,
    skipped: u64,
}

/// Everything the records say.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) calls: Vec<Call>,
    /// What goes to the engine, by time; at one time by arrival, then line.
    pub(crate) submissions: Vec<Submission>,
    /// Location and class of every record that was read.
    pub(crate) classes: Vec<(LocationId, Class)>,
    pub(crate) skipped: u64,
}

/// A request on its way to the engine.
#[derive(Debug)]
pub(crate) struct Submission {
    /// AGENT and TT: at arrival; a caller who hung up: then.
    pub(crate) at: Timestamp,
    pub(crate) arrival: Timestamp,
    pub(crate) line: u64,
    pub(crate) class: Class,
    pub(crate) request: InteractionRequest,
}

impl Intake {
    pub(crate) fn new(directory: Arc<Directory>, hours: OpeningHours, zone: Zone) -> Self {
        Self {
            access: JsonAccessPoint::new(directory),
            hours,
            zone,
            calls: Vec::new(),
            submissions: Vec::new(),
            locations: Vec::new(),
            skipped: 0,
        }
    }

    /// Takes one record in.
    ///
    /// # Errors
    /// What is wrong with the line; nothing of it is kept then.
    pub(crate) fn take(&mut self, record: Record) -> Result<(), RecordError> {
        let call = Call::new(record, &self.zone)?;
        let plan = match call.class.is_deferrable() {
            true => Some(self.hours.call_back(call.left).ok_or_else(|| RecordError {
                line: call.record.line,
                column: "date".into(),
                value: call.record.date.to_string(),
                expected: "a date with an opening after it".into(),
            })?),
            false => None,
        };
        let message = message(&call.record, plan.as_ref()).to_string();
        let detection = self
            .access
            .detect(message.as_bytes())
            .map_err(|error| refused(&call.record, &error))?;
        self.locations
            .push((detection.request().location, call.class));
        let at = match (&detection, call.class) {
            (Detection::Scheduled(_), _) => Some(call.left),
            (Detection::Immediate(_), Class::Agent) => Some(call.arrival),
            (Detection::Immediate(_), _) => None,
        };
        if let Some(at) = at {
            self.submissions.push(Submission {
                at,
                arrival: call.arrival,
                line: call.record.line,
                class: call.class,
                request: detection.into_request(),
            });
        }
        self.calls.push(call);
        Ok(())
    }

    /// Counts a line that was passed over.
    pub(crate) fn skip(&mut self) {
        self.skipped += 1;
    }

    pub(crate) fn finish(mut self) -> Day {
        self.submissions
            .sort_by_key(|submission| (submission.at, submission.arrival, submission.line));
        Day {
            calls: self.calls,
            submissions: self.submissions,
            classes: self.locations,
            skipped: self.skipped,
        }
    }
}

/// The record as a message to the access point.
fn message(record: &Record, plan: Option<&CallBack>) -> Value {
    let mut message = json!({
        "id": record.line,
        "location": record.location,
        "media": "voice",
        "priority": record.priority,
        "payload": record.service,
    });
    if !matches!(record.customer.as_str(), "" | "0") {
        message["customer"] = json!(record.customer);
    }
    if let Some(plan) = plan {
        message["schedule"] = schedule(plan);
    }
    message
}

fn schedule(plan: &CallBack) -> Value {
    let times = match plan.second {
        Some(second) => json!([
            {"at": plan.first, "condition": {"wait_below": "60s"}},
            {"at": second},
        ]),
        None => json!([{"at": plan.first}]),
    };
    let answers: Vec<Value> = plan
        .answers
        .iter()
        .map(|(from, until, media)| json!({"from": from, "until": until, "media": media}))
        .collect();
    json!({
        "times": times,
        "not_after": plan.closing,
        "response_media": answers,
        "threshold_wait": "120s",
    })
}

/// What the access point found wrong, in the words of the record.
#[cold]
fn refused(record: &Record, error: &AccessError) -> RecordError {
    let column = match error.path() {
        "location" => "vru+line",
        "customer" => "customer_id",
        "priority" => "priority",
        "payload" => "type",
        _ => "date",
    };
    RecordError {
        line: record.line,
        column: column.into(),
        value: error.value().to_owned(),
        expected: error.expected().to_owned().into(),
    }
}
