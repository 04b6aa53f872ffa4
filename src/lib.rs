//! duewheel holds deferrable contact-centre interaction requests, millions of them, and consults the
//! router when one falls due.

#![forbid(unsafe_code)]

mod access;
mod clock;
mod directory;
mod engine;
mod ids;
mod lifecycle;
mod report;
mod request;
mod router;
mod schedule;
mod sync;
mod wheel;
mod wire;

pub use access::{
    AccessError, AccessErrorKind, AccessPoint, Detection, JsonAccessPoint, JsonLimits,
};
pub use clock::{Clock, ClockObserver, ManualClock, SystemClock};
pub use directory::{Directory, DirectoryError};
pub use engine::{
    Busy, CancelError, Cancelled, CompleteError, ConfigError, DriverOptions, Engine, EngineBuilder,
    Held, ListCursor, LocationChange, LocationPage, Pace, Poll, Position, Receipt, RequestStatus,
    RescheduleError, Resumed, Running, ScheduleError, ScheduleErrorReason, Shutdown,
    ShutdownReport, StartError, UnknownLocation,
};
pub use ids::{
    LocationId, Media, ParseMediaError, ParseRequestIdError, ParseTimestampError, Priority,
    RequestId, Timestamp,
};
pub use lifecycle::{Outcome, RequestState};
pub use report::{Forecast, Lateness, LocationReport, Overdue, ReasonCount, Report, ReportOptions};
pub use request::InteractionRequest;
pub use router::{
    Completion, Disposition, DueRequest, Lease, ParseLeaseError, Router, RoutingCommand,
};
pub use schedule::{
    Consultation, ExhaustedRule, MediaWindow, MissedPolicy, PointInTime, PointInTimeError,
    ProcessingCondition, ProcessingTime, RetryPolicy, ScheduleData, ScheduleDataBuilder,
    ScheduleDataError,
};
pub use wheel::{Advance, Fired, Handle, Wheel};
