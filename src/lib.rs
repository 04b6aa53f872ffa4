//! duewheel holds deferrable contact-centre interaction requests, millions of them, and consults the
//! router when one falls due.

mod access;
mod directory;
mod ids;
mod request;
mod schedule;
mod sync;
mod wire;

pub use access::{
    AccessError, AccessErrorKind, AccessPoint, Detection, JsonAccessPoint, JsonLimits,
};
pub use directory::{Directory, DirectoryError};
pub use ids::{
    LocationId, Media, ParseMediaError, ParseRequestIdError, ParseTimestampError, Priority,
    RequestId, Timestamp,
};
pub use request::InteractionRequest;
pub use schedule::{
    Consultation, ExhaustedRule, MediaWindow, MissedPolicy, PointInTime, PointInTimeError,
    ProcessingCondition, ProcessingTime, RetryPolicy, ScheduleData, ScheduleDataBuilder,
    ScheduleDataError,
};
