//! From a line to a command, or to an error that says which part of the line is wrong.
//!
//! The envelope is read as a flat list of fields whose values stay raw text. The request and the
//! schedule inside it go to the access point untouched, which therefore sees their duplicate keys,
//! and knows their limits. Once a line is a JSON object, nothing in it is `bad_json` any more: what
//! is wrong inside is `invalid`, with its path.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use duewheel::{
    AccessError, AccessPoint, InteractionRequest, JsonAccessPoint, Lease, Pace, RequestId,
    ScheduleData, Timestamp, parse_duration,
};
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// One command, complete and checked as far as that goes without the engine.
pub(crate) enum Command {
    Schedule(InteractionRequest),
    Cancel {
        id: RequestId,
    },
    Reschedule {
        id: RequestId,
        schedule: ScheduleData,
    },
    Hold {
        location: String,
    },
    Resume {
        location: String,
        pace: Option<Pace>,
    },
    Complete {
        lease: Lease,
        outcome: CompletedAs,
    },
    Status {
        id: RequestId,
    },
    Report,
    Snapshot,
    Advance {
        to: Timestamp,
    },
}

/// How an attempt under a lease ended.
pub(crate) enum CompletedAs {
    Routed,
    Busy { retry_after: Option<Duration> },
    Rejected,
}

/// Why a command was not served.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    reason: Reason,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<RequestId>,
}

/// The kinds of failure, as printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    BadJson,
    UnknownCommand,
    Invalid,
    Unknown,
    TooLate,
    Conflict,
    Full,
    StaleLease,
    Unavailable,
    Indeterminate,
}

impl Failure {
    pub(crate) fn new(reason: Reason, message: impl fmt::Display) -> Self {
        Self {
            reason,
            message: message.to_string(),
            path: None,
            id: None,
        }
    }

    pub(crate) fn invalid(path: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::new(Reason::Invalid, message).at(path)
    }

    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    pub(crate) fn of(mut self, id: impl Into<Option<RequestId>>) -> Self {
        self.id = self.id.or(id.into());
        self
    }
}

impl Command {
    /// Reads one line that is not blank.
    pub(crate) fn parse(line: &[u8], access_point: &JsonAccessPoint) -> Result<Self, Failure> {
        let text = std::str::from_utf8(line).map_err(|error| {
            Failure::new(
                Reason::BadJson,
                format_args!("the line is not UTF-8: {error}"),
            )
        })?;
        let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| {
            Failure::new(
                Reason::BadJson,
                format_args!("expected one JSON object: {error}"),
            )
        })?;
        fields
            .command(access_point)
            .map_err(|failure| failure.of(fields.request_id()))
    }
}

/// The fields of one JSON object in order, duplicates included, values as written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn command(&self, access_point: &JsonAccessPoint) -> Result<Command, Failure> {
        let operation: String = match self.find("op") {
            Some(raw) => scalar(raw).map_err(|error| {
                Failure::new(Reason::UnknownCommand, format_args!("op: {error}")).at("op")
            })?,
            None => return Err(Failure::new(Reason::UnknownCommand, "op: missing").at("op")),
        };
        match operation.as_str() {
            "schedule" => {
                self.only(&["request"])?;
                let detection = access_point.detect(self.raw("request")?.get().as_bytes());
                Ok(Command::Schedule(
                    detection
                        .map_err(|error| refused(&error, "request"))?
                        .into_request(),
                ))
            }
            "cancel" => {
                self.only(&["id"])?;
                Ok(Command::Cancel {
                    id: self.required("id")?,
                })
            }
            "reschedule" => {
                self.only(&["id", "schedule"])?;
                let id = self.required("id")?;
                let schedule = access_point.schedule_data(self.raw("schedule")?.get().as_bytes());
                Ok(Command::Reschedule {
                    id,
                    schedule: schedule.map_err(|error| refused(&error, "schedule"))?,
                })
            }
            "hold" => {
                self.only(&["location"])?;
                Ok(Command::Hold {
                    location: self.required("location")?,
                })
            }
            "resume" => {
                self.only(&["location", "pace"])?;
                Ok(Command::Resume {
                    location: self.required("location")?,
                    pace: self.pace()?,
                })
            }
            "complete" => {
                self.only(&["lease", "outcome", "retry_after"])?;
                let lease: String = self.required("lease")?;
                let lease = lease
                    .parse()
                    .map_err(|error| Failure::invalid("lease", format_args!("lease: {error}")))?;
                Ok(Command::Complete {
                    lease,
                    outcome: self.outcome()?,
                })
            }
            "status" => {
                self.only(&["id"])?;
                Ok(Command::Status {
                    id: self.required("id")?,
                })
            }
            "report" => {
                self.only(&[])?;
                Ok(Command::Report)
            }
            "snapshot" => {
                self.only(&[])?;
                Ok(Command::Snapshot)
            }
            "advance" => {
                self.only(&["to"])?;
                let to: String = self.required("to")?;
                let to = to
                    .parse()
                    .map_err(|error| Failure::invalid("to", format_args!("to: {error}")))?;
                Ok(Command::Advance { to })
            }
            other => Err(Failure::new(
                Reason::UnknownCommand,
                format_args!("op: {:?} is no command", shortened(other)),
            )
            .at("op")),
        }
    }

    fn pace(&self) -> Result<Option<Pace>, Failure> {
        let Some(raw) = self.present("pace") else {
            return Ok(None);
        };
        let pace = scalar(raw).ok().and_then(Pace::per_second);
        pace.map(Some).ok_or_else(|| {
            let found = shortened(raw.get());
            let message = format!(
                "pace: {found}: expected releases a second, a whole number from 1 to 2^32-1"
            );
            Failure::invalid("pace", message)
        })
    }

    fn outcome(&self) -> Result<CompletedAs, Failure> {
        let outcome: String = self.required("outcome")?;
        let retry_after: Option<String> = self.optional("retry_after")?;
        let retry_after = match retry_after {
            Some(text) => Some(parse_duration(&text).map_err(|error| {
                Failure::invalid("retry_after", format_args!("retry_after: {error}"))
            })?),
            None => None,
        };
        match (outcome.as_str(), retry_after) {
            ("busy", retry_after) => Ok(CompletedAs::Busy { retry_after }),
            ("routed", None) => Ok(CompletedAs::Routed),
            ("rejected", None) => Ok(CompletedAs::Rejected),
            ("routed" | "rejected", Some(_)) => Err(Failure::invalid(
                "retry_after",
                "retry_after: goes with the outcome busy alone",
            )),
            (other, _) => {
                let message = format!(
                    "outcome: {:?}; expected routed, busy or rejected",
                    shortened(other)
                );
                Err(Failure::invalid("outcome", message))
            }
        }
    }

    /// Refuses fields that the command does not have, and any that is there twice.
    fn only(&self, names: &[&str]) -> Result<(), Failure> {
        let mut seen = HashSet::new();
        for (name, _) in &self.0 {
            let path = shortened(name);
            if name != "op" && !names.contains(&name.as_str()) {
                return Err(Failure::invalid(
                    path,
                    format_args!("{path}: unknown field"),
                ));
            }
            if !seen.insert(name.as_str()) {
                return Err(Failure::invalid(
                    path,
                    format_args!("{path}: duplicate field"),
                ));
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(field, _)| field == name)
            .map(|&(_, raw)| raw)
    }

    fn raw(&self, name: &str) -> Result<&'a RawValue, Failure> {
        self.find(name)
            .ok_or_else(|| Failure::invalid(name, format_args!("{name}: missing")))
    }

    fn required<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        scalar(self.raw(name)?)
            .map_err(|error| Failure::invalid(name, format_args!("{name}: {error}")))
    }

    fn optional<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.present(name).map(|_| self.required(name)).transpose()
    }

    /// `null` is as good as absent.
    fn present(&self, name: &str) -> Option<&'a RawValue> {
        self.find(name).filter(|raw| raw.get() != "null")
    }

    /// The id that this line is about, where it has one that can be read: an error echoes it.
    fn request_id(&self) -> Option<RequestId> {
        if let Some(id) = self.find("id") {
            return scalar(id).ok();
        }
        if let Some(lease) = self.find("lease") {
            return scalar::<String>(lease)
                .ok()?
                .parse::<Lease>()
                .ok()
                .map(|lease| lease.id());
        }
        let request: Fields<'_> = serde_json::from_str(self.find("request")?.get()).ok()?;
        scalar(request.find("id")?).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// What the access point refused. Its paths start inside the message; `whole` names the message itself.
fn refused(error: &AccessError, whole: &str) -> Failure {
    if error.path().is_empty() {
        let (value, expected) = (error.value(), error.expected());
        return Failure::invalid(whole, format_args!("{whole}: {value}: expected {expected}"));
    }
    Failure::invalid(error.path(), error)
}

/// A value without parts. By way of a [`Value`], whose errors carry no position: it would be one
/// inside the field.
fn scalar<T: DeserializeOwned>(raw: &RawValue) -> Result<T, serde_json::Error> {
    let value: Value = serde_json::from_str(raw.get())?;
    serde_json::from_value(value)
}

/// The beginning of a text, for messages: whoever sent a megabyte does not want it back.
fn shortened(text: &str) -> &str {
    match text.char_indices().nth(100) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
