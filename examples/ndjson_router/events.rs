//! What the bridge prints: replies and routes as JSON lines, and the one writer that all of them go
//! through.

use std::io::{self, ErrorKind, Stdout, Write as _};
use std::process;

use duewheel::{Lease, Media, Outcome, Report, RequestId, RequestState, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use crate::commands::Failure;

/// The answer to one command. Every command has exactly one.
#[derive(Serialize)]
pub(crate) struct Reply {
    event: &'static str,
    line: u64,
    #[serde(flatten)]
    body: Body,
}

impl Reply {
    pub(crate) fn new(line: u64, result: Result<Body, Failure>) -> Self {
        let body = result.unwrap_or_else(Body::Error);
        Self {
            event: body.event(),
            line,
            body,
        }
    }
}

/// What a reply says beside its name and its line.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Body {
    Accepted {
        id: RequestId,
    },
    Cancelled {
        id: RequestId,
    },
    Rescheduled {
        id: RequestId,
    },
    /// `in_flight` counts the commands of the location that were with the router already.
    Held {
        location: String,
        in_flight: u64,
    },
    Resumed {
        location: String,
    },
    /// `state` is the request's own after the outcome: `completed`, or `scheduled` where another
    /// attempt follows.
    Completed {
        id: RequestId,
        state: RequestState,
    },
    Status(Status),
    Report {
        report: Box<Report>,
    },
    /// The number of the snapshot that was taken, from 1, and the bytes that were written for it.
    Snapshot {
        number: u64,
        bytes: u64,
    },
    Advanced {
        now: Timestamp,
    },
    Error(Failure),
}

/// Where one request stands.
#[derive(Serialize)]
pub(crate) struct Status {
    pub(crate) id: RequestId,
    pub(crate) location: String,
    pub(crate) state: RequestState,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) due: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) revision: u32,
}

impl Body {
    fn event(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Cancelled { .. } => "cancelled",
            Self::Rescheduled { .. } => "rescheduled",
            Self::Held { .. } => "held",
            Self::Resumed { .. } => "resumed",
            Self::Completed { .. } => "completed",
            Self::Status(_) => "status",
            Self::Report { .. } => "report",
            Self::Snapshot { .. } => "snapshot",
            Self::Advanced { .. } => "advanced",
            Self::Error(_) => "error",
        }
    }
}

/// A routing command on its way to whoever reads the output.
#[derive(Serialize)]
pub(crate) struct Route<'a> {
    pub(crate) event: &'static str,
    pub(crate) id: RequestId,
    pub(crate) location: &'a str,
    pub(crate) due: Timestamp,
    pub(crate) released: Timestamp,
    pub(crate) response_media: Media,
    pub(crate) ahead: bool,
    pub(crate) attempt: u32,
    pub(crate) redelivery: bool,
    pub(crate) lease: &'a Lease,
}

/// Standard output, one whole line at a time, whichever thread it comes from.
pub(crate) struct Output {
    stdout: Mutex<Stdout>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self {
            stdout: Mutex::new(io::stdout()),
        }
    }

    /// Takes the output: no other event is printed until the answer is dropped.
    pub(crate) fn lock(&self) -> Printer<'_> {
        Printer {
            stdout: self.stdout.lock(),
        }
    }
}

/// The output, taken.
pub(crate) struct Printer<'a> {
    stdout: MutexGuard<'a, Stdout>,
}

impl Printer<'_> {
    /// Prints one event as one line and flushes it. What cannot be printed ends the process at
    /// once, before the router could answer the engine: nobody has seen the event, so nothing may
    /// count as routed.
    pub(crate) fn print(&mut self, event: &impl Serialize) {
        let mut line =
            serde_json::to_vec(event).expect("events have string keys and no fallible parts");
        line.push(b'\n');
        if let Err(error) = self
            .stdout
            .write_all(&line)
            .and_then(|()| self.stdout.flush())
        {
            if error.kind() == ErrorKind::BrokenPipe {
                process::exit(0);
            }
            note(format_args!("cannot write an event: {error}"));
            process::exit(1);
        }
    }

    /// Gives the output to whoever waits for it. Merely dropped, it could be taken again by the
    /// next line, and the next, while a driver with a route to print waits for the input to pause.
    pub(crate) fn release(self) {
        MutexGuard::unlock_fair(self.stdout);
    }
}

/// Prints one line on standard error; one that is closed is no reason to stop.
pub(crate) fn note(message: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "ndjson_router: {message}");
}
