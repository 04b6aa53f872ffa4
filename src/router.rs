//! The embedder's side: the routing system that duewheel consults when a request falls due, and hands
//! routing commands to.
//!
//! A release goes through two calls, both outside every lock, so that either may call back into the
//! engine:
//!
//! 1. [`Router::consult`]: what does the routing system know *now*? The processing condition and the
//!    threshold wait time are judged on the answer. The decision is late on purpose: it is taken at due
//!    time, never at submit time.
//! 2. [`Router::route`]: take this [`RoutingCommand`] to a contact-centre resource. The answer is a
//!    [`Disposition`].
//!
//! Delivery is at least once. A command names its [`Lease`], and says whether an earlier attempt may
//! have been acted on ([`RoutingCommand::redelivery`]). A panic in either call is caught and counts as
//! one failed attempt.

#[cfg(feature = "tokio")]
mod asynchronous;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{LocationId, Media, ParseRequestIdError, Priority, RequestId, Timestamp};
use crate::schedule::{Consultation, ScheduleData};
use crate::sync::Arc;

#[cfg(feature = "tokio")]
pub use asynchronous::AsyncRouter;

/// The embedder's routing system.
///
/// Implementations are shared by every thread that polls or dispatches. Any method of the engine may be called
/// from inside; [`Engine::poll`](crate::Engine::poll) then answers `Busy` where the caller is a poll.
pub trait Router: Send + Sync {
    /// What the routing system knows now: expected wait, agents ready, queue length, and how many
    /// conditional releases the answer is good for.
    ///
    /// Asked at most once a (location, response media) and poll, unless
    /// [`Consultation::good_for`] runs out. Not asked for non-scheduled interactions.
    ///
    /// What was released before has been handed over by then, but for two cases: to dispatch workers, who may not have come
    /// to it, and with a store under [`Durability::Sync`](crate::Durability::Sync), where only a request with a condition
    /// or a threshold wait time is worth a wait for the disk.
    ///
    /// Asked by the poll itself, with dispatch workers too, because what is released next depends on the answer:
    /// everything that is due waits for it. So answer from what is at hand, and never block here.
    fn consult(&self, request: &DueRequest) -> Consultation;

    /// Takes the command to a contact-centre resource.
    fn route(&self, command: RoutingCommand) -> Disposition;

    /// [`consult`](Self::consult) for several requests at once, one answer a request, in order. The
    /// engine itself asks one at a time, because each answer may be out of date after the next route.
    fn consult_batch(&self, requests: &[DueRequest]) -> Vec<Consultation> {
        requests
            .iter()
            .map(|request| self.consult(request))
            .collect()
    }

    /// [`route`](Self::route) for several commands at once, one disposition a command, in order.
    fn route_batch(&self, commands: Vec<RoutingCommand>) -> Vec<Disposition> {
        commands
            .into_iter()
            .map(|command| self.route(command))
            .collect()
    }
}

impl<R: Router + ?Sized> Router for Arc<R> {
    fn consult(&self, request: &DueRequest) -> Consultation {
        (**self).consult(request)
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        (**self).route(command)
    }

    fn consult_batch(&self, requests: &[DueRequest]) -> Vec<Consultation> {
        (**self).consult_batch(requests)
    }

    fn route_batch(&self, commands: Vec<RoutingCommand>) -> Vec<Disposition> {
        (**self).route_batch(commands)
    }
}

/// A request that has fallen due, as [`Router::consult`] sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DueRequest {
    /// The request.
    pub id: RequestId,
    /// Where it is to be handled.
    pub location: LocationId,
    /// The media by which it came.
    pub request_media: Media,
    /// The media by which it would be answered if it were released now.
    pub response_media: Media,
    /// Its priority; larger is more urgent.
    pub priority: Priority,
    /// The processing time at hand.
    pub due: Timestamp,
    /// The time of the poll.
    pub now: Timestamp,
    /// The number that the attempt would have, from 1.
    pub attempt: u32,
}

/// What the router is told to do: connect this request's customer with a resource.
///
/// `Debug` shows neither the customer nor the payload.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct RoutingCommand {
    /// The request.
    pub id: RequestId,
    /// Where it is to be handled.
    pub location: LocationId,
    /// The media by which it came.
    pub request_media: Media,
    /// The media of the answer at this moment.
    pub response_media: Media,
    /// Its priority; larger is more urgent.
    pub priority: Priority,
    /// Who asked, as the request said.
    pub customer: Option<Arc<str>>,
    /// The embedder's own data, shared with the engine so that a retry still has it.
    pub payload: Arc<[u8]>,
    /// Whether the request came with schedule data; a non-scheduled interaction did not.
    pub scheduled: bool,
    /// Whether it goes ahead of non-scheduled interactions: the expected wait exceeded the request's
    /// threshold wait time when the router was consulted.
    pub ahead: bool,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Whether an earlier attempt of this request may have been acted on: its lease ran out, or the
    /// router panicked.
    pub redelivery: bool,
    /// The processing time that released it (for a non-scheduled interaction, its intake).
    pub due: Timestamp,
    /// When it was released, by the engine's clock.
    pub released: Timestamp,
    /// Names this attempt in [`Engine::complete`](crate::Engine::complete).
    pub lease: Lease,
}

impl fmt::Debug for RoutingCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutingCommand")
            .field("id", &self.id)
            .field("location", &self.location)
            .field("request_media", &self.request_media)
            .field("response_media", &self.response_media)
            .field("priority", &self.priority)
            .field("payload_bytes", &self.payload.len())
            .field("scheduled", &self.scheduled)
            .field("ahead", &self.ahead)
            .field("redelivery", &self.redelivery)
            .field("due", &self.due)
            .field("released", &self.released)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// The router's answer to a [`RoutingCommand`].
#[derive(Clone, Debug, PartialEq)]
pub enum Disposition {
    /// A resource has it; the request is completed.
    Routed,
    /// No resource takes it now: one failed attempt. It is released again after `retry_after`, or where
    /// that is `None` after its retry policy's backoff.
    Busy {
        /// When to try again, from now.
        retry_after: Option<Duration>,
    },
    /// Not now, but by this schedule. Not a failed attempt.
    Reschedule(ScheduleData),
    /// Never: the request is completed as rejected, for this reason, of which 256 bytes are kept.
    Rejected(Arc<str>),
    /// The router has it and will say how it went through
    /// [`Engine::complete`](crate::Engine::complete). Where it does not within `lease_for`, that is one
    /// failed attempt.
    Accepted {
        /// How long the engine waits for the completion, from now.
        lease_for: Duration,
    },
}

/// How an accepted attempt ended, told to [`Engine::complete`](crate::Engine::complete).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// A resource had it.
    Routed,
    /// No resource took it: one failed attempt, as [`Disposition::Busy`].
    Busy {
        /// When to try again, from now.
        retry_after: Option<Duration>,
    },
    /// It was refused for good, for this reason, of which 256 bytes are kept.
    Rejected(Arc<str>),
}

/// Names one attempt at one request: `(id, attempt, epoch)`.
///
/// Minted by the engine, stable across restarts. Written as `id/attempt/epoch`, for example
/// `12/1/1`, by `Display` and serde alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    id: RequestId,
    attempt: u32,
    epoch: u32,
}

impl Lease {
    pub(crate) fn new(id: RequestId, attempt: u32, epoch: u32) -> Self {
        Self { id, attempt, epoch }
    }

    /// The request.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// The attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The fencing epoch of the engine that released it.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.id, self.attempt, self.epoch)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no [`Lease`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLeaseError {
    /// Not three parts, or a part that is no number.
    #[error("{0:?} is not a lease: expected `id/attempt/epoch`, as a route gave it")]
    Form(String),
    /// The request id in it is none.
    #[error(transparent)]
    Id(#[from] ParseRequestIdError),
}

impl FromStr for Lease {
    type Err = ParseLeaseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || ParseLeaseError::Form(text.chars().take(80).collect());
        let mut parts = text.split('/');
        let (Some(id), Some(attempt), Some(epoch), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed());
        };
        Ok(Self {
            id: id.parse()?,
            attempt: attempt.parse().map_err(|_| malformed())?,
            epoch: epoch.parse().map_err(|_| malformed())?,
        })
    }
}

impl Serialize for Lease {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lease {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_reads_back_as_it_is_written() {
        for id in [
            RequestId::integer(12),
            RequestId::uuid(0x0b0e_7a52_6c8e_4d8a_9f0e_1d2c_3b4a_5f60),
        ] {
            let lease = Lease::new(id, 3, 7);
            assert_eq!(lease.to_string().parse::<Lease>(), Ok(lease));
        }
        assert_eq!(
            Lease::new(RequestId::integer(12), 1, 1).to_string(),
            "12/1/1"
        );
    }

    #[test]
    fn what_is_no_lease_is_named() {
        for text in ["", "12", "12/1", "12/1/1/1", "12/x/1", "12/1/-1"] {
            let error = text.parse::<Lease>().unwrap_err();
            assert_eq!(error, ParseLeaseError::Form(text.to_owned()));
            assert!(error.to_string().contains("id/attempt/epoch"));
        }
        assert!(matches!(
            "zz/1/1".parse::<Lease>(),
            Err(ParseLeaseError::Id(_))
        ));
    }
}
