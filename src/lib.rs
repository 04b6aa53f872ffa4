//! duewheel holds interaction requests that customers want handled later, millions of them, and consults
//! the router when one falls due.
//!
//! For authors of contact-centre routers. A request enters through a service access point
//! ([`JsonAccessPoint`], or an [`AccessPoint`] of your own), which tells by its schedule data whether it is
//! deferrable. The [`Engine`] keeps it by due time and location, judges its [`ProcessingCondition`] on what
//! your [`Router`] says when its time comes, and hands the router a [`RoutingCommand`].
//!
//! | To | see |
//! |---|---|
//! | describe a request and its schedule | [`InteractionRequest`], [`ScheduleData`] |
//! | read requests from JSON | [`JsonAccessPoint`] |
//! | connect a routing system | [`Router`], [`Disposition`], [`Completion`] |
//! | drive the engine | [`Engine`]: by [`Engine::poll`] alone, or by [`Engine::start`] |
//! | drive it from a tokio runtime | `AsyncEngine` and `AsyncRouter`, with the feature `tokio` |
//! | see what is going on | [`Engine::status`], [`Engine::report`] |
//! | use the timing wheel on its own | [`Wheel`] |
//!
//! Times are [`Timestamp`]s, whole milliseconds since the Unix epoch; every input takes `now`, and the
//! engine never reads a clock itself.
//!
//! # Features
//!
//! None is on by default, and none changes what the engine does.
//!
//! | feature | adds |
//! |---|---|
//! | `tokio` | `AsyncEngine`, which is driven by a task and routes through an `AsyncRouter` |
//! | `tracing` | spans and events of the state machine |
//! | `metrics` | counters, gauges and a histogram of lateness |
//!
#![doc = include_str!("telemetry/names.md")]
#![forbid(unsafe_code)]

mod access;
mod clock;
mod directory;
mod engine;
mod ids;
mod lifecycle;
mod persistence;
mod report;
mod request;
mod router;
mod schedule;
mod sync;
mod telemetry;
mod wheel;
mod wire;

pub use access::{
    AccessError, AccessErrorKind, AccessPoint, Detection, JsonAccessPoint, JsonLimits,
};
pub use clock::{Clock, ClockObserver, ManualClock, SystemClock};
pub use directory::{Directory, DirectoryError};
#[cfg(feature = "tokio")]
pub use engine::{AsyncEngine, RunOptions};
pub use engine::{
    BuildError, CancelError, Cancelled, CompleteError, ConfigError, Contention, DriverOptions,
    Engine, EngineBuilder, Held, ListCursor, LocationChange, LocationError, LocationPage, Pace,
    Poll, PollError, Position, Receipt, RecoveryPhase, RecoveryProgress, RecoveryReport,
    RequestStatus, RescheduleError, Resumed, Running, ScheduleError, ScheduleErrorReason, Shutdown,
    ShutdownReport, SnapshotError, SnapshotReport, StartError, Unavailable, UnknownLocation,
};
pub use ids::{
    LocationId, Media, ParseMediaError, ParseRequestIdError, ParseTimestampError, Priority,
    RequestId, Timestamp,
};
pub use lifecycle::{Outcome, RequestState};
#[doc(hidden)]
pub use persistence::check_records;
pub use persistence::{
    ChunkBlock, ChunkRef, ChunkWriter, Damage, DirectoryDisk, Disk, DiskFile, DiskLock, DumpItem,
    Durability, FileOptions, FoundSnapshots, Frame, Journal, JournalTail, LocationTally, LostRange,
    LostRecord, Lsn, Manifest, MemoryStore, OpenMode, Positions, RecordView, RecoveryOutlook,
    RepairPlan, Room, SegmentState, SetAside, SnapshotState, SnapshotStore, Store, StoreError,
    StoreIdentity, StoreInspector, StoreStats, Tally, TornTail, VerifyReport,
};
pub use report::{Forecast, Lateness, LocationReport, Overdue, ReasonCount, Report, ReportOptions};
pub use request::InteractionRequest;
#[cfg(feature = "tokio")]
pub use router::AsyncRouter;
pub use router::{
    Completion, Disposition, DueRequest, Lease, ParseLeaseError, Router, RoutingCommand,
};
pub use schedule::{
    Consultation, ExhaustedRule, MediaWindow, MissedPolicy, ParseDurationError, PointInTime,
    PointInTimeError, ProcessingCondition, ProcessingTime, RetryPolicy, ScheduleData,
    ScheduleDataBuilder, ScheduleDataError, parse_duration,
};
#[cfg(feature = "metrics")]
pub use telemetry::describe_metrics;
pub use wheel::{Advance, Fired, Handle, Wheel};

// Strategies for schedules are shared with the integration tests, which know the crate by its name.
#[cfg(test)]
extern crate self as duewheel;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
