//! One error an operation family; an error of intake hands the request back.

use super::config::ConfigError;
use crate::ids::{LocationId, RequestId};
use crate::lifecycle::RequestState;
use crate::persistence::commit::Undurable;
use crate::request::InteractionRequest;

/// Why a request was not taken in. Nothing was changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("request {}: {reason}", request.id)]
pub struct ScheduleError {
    /// The request, as it was given.
    pub request: Box<InteractionRequest>,
    /// What stood against it.
    pub reason: ScheduleErrorReason,
}

/// What stood against an intake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleErrorReason {
    /// As many requests are pending as the engine was set up for.
    #[error("{pending_max} requests are pending, which is the maximum")]
    Full {
        /// The maximum.
        pending_max: usize,
    },
    /// The id is in use, or remembered, for a request of other content.
    #[error("the id is taken by a request of other content, which is {state}")]
    Conflict {
        /// The state of the other request.
        state: RequestState,
    },
    /// The location is not in the engine's directory.
    #[error("location {0:?} is not in the directory")]
    UnknownLocation(LocationId),
    /// The payload is larger than the engine was set up for.
    #[error("a payload of {bytes} bytes: expected at most {bytes_max}")]
    PayloadTooLarge {
        /// Its size.
        bytes: usize,
        /// The maximum.
        bytes_max: usize,
    },
    /// The engine is shutting down.
    #[error("the engine takes nothing in any more")]
    Closed,
    /// The store has no room for more; what is left of it is kept for the ends of what was taken in.
    #[error("the store has no room for further requests")]
    StorageFull,
    /// The engine's journal has failed: see [`Engine::store_error`](super::Engine::store_error).
    #[error("the journal has failed: nothing is taken in")]
    Unavailable,
    /// The journal failed while this request was waiting for it: the request may or may not be there when the store
    /// is opened again. To hand it in again then is safe, under the same id.
    #[error("the journal failed meanwhile: whether the request was taken in is not known")]
    Indeterminate,
}

impl ScheduleErrorReason {
    /// The name by which it is told and counted.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Conflict { .. } => "conflict",
            Self::UnknownLocation(_) => "unknown_location",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::Closed => "closed",
            Self::StorageFull => "storage_full",
            Self::Unavailable => "unavailable",
            Self::Indeterminate => "indeterminate",
        }
    }
}

/// Why a request was not cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// No request of this id is pending or remembered.
    #[error("request {0} is unknown")]
    Unknown(RequestId),
    /// It was released first, or has ended otherwise.
    #[error("request {id} is {state}: too late to cancel it")]
    TooLate {
        /// The request.
        id: RequestId,
        /// Its state.
        state: RequestState,
    },
    /// The engine's journal has failed: see [`Engine::store_error`](super::Engine::store_error).
    #[error("the journal has failed: nothing is cancelled")]
    Unavailable,
    /// The journal failed while the answer was waiting for it: it may or may not be cancelled when the store is opened
    /// again.
    #[error("the journal failed meanwhile: whether request {0} is cancelled is not known")]
    Indeterminate(RequestId),
}

/// Why a request was not rescheduled. Its schedule was not changed, but where that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RescheduleError {
    /// No request of this id is pending or remembered.
    #[error("request {0} is unknown")]
    Unknown(RequestId),
    /// It was released first, or has ended.
    #[error("request {id} is {state}: too late to reschedule it")]
    TooLate {
        /// The request.
        id: RequestId,
        /// Its state.
        state: RequestState,
    },
    /// Its schedule was changed since the caller looked.
    #[error("request {id} is at revision {found}: expected {expected}")]
    Revision {
        /// The request.
        id: RequestId,
        /// The revision the caller named.
        expected: u32,
        /// The revision it has.
        found: u32,
    },
    /// The engine's journal has failed: see [`Engine::store_error`](super::Engine::store_error).
    #[error("the journal has failed: nothing is rescheduled")]
    Unavailable,
    /// The journal failed while the answer was waiting for it: it may or may not have the new schedule when the store
    /// is opened again.
    #[error("the journal failed meanwhile: whether request {0} was rescheduled is not known")]
    Indeterminate(RequestId),
}

/// Why a completion was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// No request of this id is pending or remembered.
    #[error("request {0} is unknown")]
    Unknown(RequestId),
    /// The lease was settled, or a newer attempt was released since, or it is another epoch's.
    #[error("the lease of request {id} is stale: the request is {state}")]
    Stale {
        /// The request.
        id: RequestId,
        /// Its state.
        state: RequestState,
    },
    /// The engine's journal has failed: see [`Engine::store_error`](super::Engine::store_error).
    #[error("the journal has failed: nothing is completed")]
    Unavailable,
    /// The journal failed while the answer was waiting for it: it may or may not be completed when the store is opened
    /// again.
    #[error("the journal failed meanwhile: whether request {0} is completed is not known")]
    Indeterminate(RequestId),
}

/// Why a command on a location was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// The directory does not know it.
    #[error(transparent)]
    Unknown(#[from] UnknownLocation),
    /// The engine's journal has failed: see [`Engine::store_error`](super::Engine::store_error).
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The journal failed while the answer was waiting for it: some, all or nothing of the command may be there when
    /// the store is opened again.
    #[error(
        "the journal failed meanwhile: what became of the command on location {0:?} is not known"
    )]
    Indeterminate(LocationId),
}

/// The engine's journal has failed: what would change anything is refused, and nothing is released. What made it fail
/// says [`Engine::store_error`](super::Engine::store_error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal has failed")]
pub struct Unavailable;

impl From<Undurable> for Unavailable {
    fn from(_: Undurable) -> Self {
        Self
    }
}

/// A location that the directory does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("location {0:?} is not in the directory")]
pub struct UnknownLocation(pub LocationId);

/// Why a poll released nothing, or nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// Another poll is running, be it further up this thread's stack.
    #[error("another poll is running")]
    Busy,
    /// The engine's journal has failed: see [`Engine::store_error`](super::Engine::store_error).
    #[error("the journal has failed: nothing is released")]
    Unavailable,
}

impl From<Unavailable> for PollError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// Why the driver was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The engine has a driver already.
    #[error("the engine is driven already")]
    Running,
    /// An option is out of its range.
    #[error(transparent)]
    Options(#[from] ConfigError),
    /// The operating system gave no thread.
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}
