//! Serves commands, one after the other, under a virtual clock or the system's.
//!
//! Under virtual time there is one thread, and `advance` alone polls. In real time a driver polls
//! beside the input; a command and its reply then hold the output, so that what a command causes is
//! printed after its reply. That cannot lock up: the engine waits for no router while it serves a
//! command.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    CancelError, Clock, CompleteError, Completion, DriverOptions, Engine, InteractionRequest,
    JsonAccessPoint, Lease, LocationError, LocationId, Pace, RequestId, RescheduleError, Running,
    ScheduleData, ScheduleErrorReason, Shutdown, SnapshotError, StartError, SystemClock, Timestamp,
};

use crate::commands::{Command, CompletedAs, Failure, Reason};
use crate::events::{Body, Output, Reply, Status, note};
use crate::lines::{LINE_BYTES_MAX, Line};

/// Requests examined by one poll; the loop goes on while there is more.
const POLL_BUDGET: usize = 4096;

/// One conversation, from the first line to the end of the input.
pub(crate) struct Session {
    engine: Arc<Engine>,
    access_point: JsonAccessPoint,
    output: Arc<Output>,
    time: Time,
    line: u64,
}

/// The clock that commands are stamped with.
enum Time {
    Virtual { now: Timestamp },
    Real { driver: Running },
}

impl Session {
    /// Time stands still but for `advance`.
    pub(crate) fn in_virtual_time(
        engine: Arc<Engine>,
        output: Arc<Output>,
        start: Timestamp,
    ) -> Self {
        Self::new(engine, output, Time::Virtual { now: start })
    }

    /// Starts the driver, which routes what falls due whether or not input comes.
    pub(crate) fn in_real_time(
        engine: Arc<Engine>,
        output: Arc<Output>,
    ) -> Result<Self, StartError> {
        let driver = engine.start(Arc::new(SystemClock), DriverOptions::default())?;
        Ok(Self::new(engine, output, Time::Real { driver }))
    }

    fn new(engine: Arc<Engine>, output: Arc<Output>, time: Time) -> Self {
        let access_point = JsonAccessPoint::new(engine.directory().clone());
        Self {
            engine,
            access_point,
            output,
            time,
            line: 0,
        }
    }

    /// Serves one line and prints its reply. A blank line is counted and has none.
    pub(crate) fn serve(&mut self, line: &Line<'_>) {
        self.line += 1;
        let command = match line {
            Line::Read(text) if text.trim_ascii().is_empty() => return,
            Line::Read(text) => Command::parse(text, &self.access_point),
            Line::TooLong => Err(Failure::new(
                Reason::Invalid,
                format_args!("the line is longer than {LINE_BYTES_MAX} bytes"),
            )),
        };
        let output = Arc::clone(&self.output);
        match self.time {
            Time::Virtual { .. } => {
                let result = command.and_then(|command| self.execute(command));
                output.lock().print(&Reply::new(self.line, result));
            }
            Time::Real { .. } => {
                let mut output = output.lock();
                let result = command.and_then(|command| self.execute(command));
                output.print(&Reply::new(self.line, result));
                output.release();
            }
        }
    }

    /// At the end of the input: routes what is already due, leaves the rest, and says how much that is.
    ///
    /// # Errors
    /// Where the store failed.
    pub(crate) fn finish(self) -> Result<usize, Box<dyn Error>> {
        let now = match self.time {
            Time::Virtual { now } => now,
            Time::Real { driver } => {
                // Not `Drain`, which would wait for leases. A reader that is slow may take its time.
                let _report = driver.shutdown(Shutdown::Stop, Duration::MAX);
                SystemClock.now()
            }
        };
        poll_all(&self.engine, now);
        if self.engine.seal().is_err() {
            let error = self.engine.store_error();
            return Err(error.map_or_else(|| "the store has failed".into(), Into::into));
        }
        Ok(self.engine.pending())
    }

    fn now(&self) -> Timestamp {
        match &self.time {
            Time::Virtual { now } => *now,
            Time::Real { .. } => SystemClock.now(),
        }
    }

    fn execute(&mut self, command: Command) -> Result<Body, Failure> {
        match command {
            Command::Schedule(request) => self.schedule(request),
            Command::Cancel { id } => self.cancel(id),
            Command::Reschedule { id, schedule } => self.reschedule(id, schedule),
            Command::Hold { location } => self.hold(location),
            Command::Resume { location, pace } => self.resume(location, pace),
            Command::Complete { lease, outcome } => self.complete(&lease, outcome),
            Command::Status { id } => self.status(id),
            Command::Report => Ok(Body::Report {
                report: Box::new(self.engine.report(self.now())),
            }),
            Command::Snapshot => self.snapshot(),
            Command::Advance { to } => self.advance(to),
        }
    }

    fn schedule(&self, request: InteractionRequest) -> Result<Body, Failure> {
        let id = request.id;
        match self.engine.schedule(request, self.now()) {
            Ok(receipt) => Ok(Body::Accepted { id: receipt.id }),
            Err(error) => {
                let reason = match error.reason {
                    ScheduleErrorReason::Conflict { .. } => Reason::Conflict,
                    ScheduleErrorReason::Full { .. } | ScheduleErrorReason::StorageFull => {
                        Reason::Full
                    }
                    ScheduleErrorReason::Unavailable => Reason::Unavailable,
                    ScheduleErrorReason::Indeterminate => Reason::Indeterminate,
                    _ => Reason::Invalid,
                };
                Err(Failure::new(reason, error).of(id))
            }
        }
    }

    fn cancel(&self, id: RequestId) -> Result<Body, Failure> {
        match self.engine.cancel(id, self.now()) {
            Ok(_) => Ok(Body::Cancelled { id }),
            Err(error) => {
                let reason = match &error {
                    CancelError::Unknown(_) => Reason::Unknown,
                    CancelError::TooLate { .. } => Reason::TooLate,
                    CancelError::Unavailable => Reason::Unavailable,
                    CancelError::Indeterminate(_) => Reason::Indeterminate,
                    _ => Reason::Invalid,
                };
                Err(Failure::new(reason, error).of(id))
            }
        }
    }

    fn reschedule(&self, id: RequestId, schedule: ScheduleData) -> Result<Body, Failure> {
        match self.engine.reschedule(id, schedule, None, self.now()) {
            Ok(_) => Ok(Body::Rescheduled { id }),
            Err(error) => {
                let reason = match &error {
                    RescheduleError::Unknown(_) => Reason::Unknown,
                    RescheduleError::TooLate { .. } => Reason::TooLate,
                    RescheduleError::Unavailable => Reason::Unavailable,
                    RescheduleError::Indeterminate(_) => Reason::Indeterminate,
                    _ => Reason::Invalid,
                };
                Err(Failure::new(reason, error).of(id))
            }
        }
    }

    fn hold(&self, location: String) -> Result<Body, Failure> {
        let held = self
            .engine
            .hold(self.location(&location)?, self.now())
            .map_err(of_location)?;
        Ok(Body::Held {
            location,
            in_flight: held.in_flight as u64,
        })
    }

    fn resume(&self, location: String, pace: Option<Pace>) -> Result<Body, Failure> {
        self.engine
            .resume(self.location(&location)?, pace, self.now())
            .map_err(of_location)?;
        Ok(Body::Resumed { location })
    }

    /// A name not seen yet is entered: a location can be held before its first request.
    fn location(&self, name: &str) -> Result<LocationId, Failure> {
        self.engine
            .directory()
            .enter(name)
            .map_err(|error| Failure::invalid("location", format_args!("location: {error}")))
    }

    fn complete(&self, lease: &Lease, outcome: CompletedAs) -> Result<Body, Failure> {
        let completion = match outcome {
            CompletedAs::Routed => Completion::Routed,
            CompletedAs::Busy { retry_after } => Completion::Busy { retry_after },
            CompletedAs::Rejected => Completion::Rejected("rejected by the reader".into()),
        };
        match self.engine.complete(lease, completion, self.now()) {
            Ok(state) => Ok(Body::Completed {
                id: lease.id(),
                state,
            }),
            Err(error) => {
                let reason = match &error {
                    CompleteError::Unknown(_) => Reason::Unknown,
                    CompleteError::Stale { .. } => Reason::StaleLease,
                    CompleteError::Unavailable => Reason::Unavailable,
                    CompleteError::Indeterminate(_) => Reason::Indeterminate,
                    _ => Reason::Invalid,
                };
                Err(Failure::new(reason, error).of(lease.id()))
            }
        }
    }

    fn status(&self, id: RequestId) -> Result<Body, Failure> {
        let Some(status) = self.engine.status(id) else {
            return Err(
                Failure::new(Reason::Unknown, format_args!("no request {id} is known")).of(id),
            );
        };
        let location = self
            .engine
            .directory()
            .name(status.location)
            .expect("a request's location has a name");
        Ok(Body::Status(Status {
            id: status.id,
            location: location.to_string(),
            state: status.state,
            outcome: status.outcome,
            due: status.due,
            attempts: status.attempts,
            revision: status.revision,
        }))
    }

    fn snapshot(&self) -> Result<Body, Failure> {
        match self.engine.snapshot() {
            Ok(taken) => Ok(Body::Snapshot {
                number: taken.number,
                bytes: taken.bytes,
            }),
            Err(SnapshotError::NoStore) => {
                let message = "snapshot goes with --data alone";
                Err(Failure::new(Reason::Invalid, message))
            }
            Err(error) => Err(Failure::new(Reason::Unavailable, error)),
        }
    }

    /// Moves the virtual clock from wake-up to wake-up, so that each request is released at its own
    /// time and not at `to`.
    fn advance(&mut self, to: Timestamp) -> Result<Body, Failure> {
        let Time::Virtual { now } = &mut self.time else {
            return Err(Failure::new(
                Reason::Invalid,
                "advance goes with --virtual-time alone",
            ));
        };
        if to < *now {
            return Err(Failure::invalid(
                "to",
                format_args!("to: {to} lies before the clock's {now}"),
            ));
        }
        poll_all(&self.engine, *now);
        while let Some(wakeup) = self.engine.next_wakeup().filter(|&wakeup| wakeup <= to) {
            // A poll has just dealt with everything up to now; a wake-up that claims otherwise must
            // not stop the clock.
            let next = wakeup.max(now.saturating_add(Duration::from_millis(1)));
            if next > to {
                break;
            }
            *now = next;
            poll_all(&self.engine, *now);
        }
        *now = to;
        poll_all(&self.engine, *now);
        Ok(Body::Advanced { now: to })
    }
}

fn of_location(error: LocationError) -> Failure {
    match error {
        LocationError::Unavailable(_) => Failure::new(Reason::Unavailable, error),
        LocationError::Indeterminate(_) => Failure::new(Reason::Indeterminate, error),
        _ => Failure::invalid("location", error),
    }
}

/// Polls until nothing more is due at `now`.
fn poll_all(engine: &Engine, now: Timestamp) {
    loop {
        match engine.poll(now, POLL_BUDGET) {
            Ok(poll) if poll.more => {}
            Ok(_) => return,
            Err(error) => return note(format_args!("{error}")),
        }
    }
}
