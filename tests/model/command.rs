//! What the router is asked and told, in a form that the model can make too.

use std::sync::Arc;

use duewheel::{DueRequest, Media, Priority, RequestId, RoutingCommand, Timestamp};

/// A consultation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Consulted {
    pub(crate) id: u64,
    pub(crate) location: u32,
    pub(crate) response_media: Media,
    pub(crate) due: Timestamp,
    pub(crate) now: Timestamp,
    pub(crate) attempt: u32,
}

impl From<&DueRequest> for Consulted {
    fn from(request: &DueRequest) -> Self {
        Self {
            id: number(request.id),
            location: request.location.index(),
            response_media: request.response_media,
            due: request.due,
            now: request.now,
            attempt: request.attempt,
        }
    }
}

/// A routing command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) id: u64,
    pub(crate) location: u32,
    /// The request's and the response's.
    pub(crate) media: [Media; 2],
    pub(crate) priority: Priority,
    pub(crate) customer: Option<Arc<str>>,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) scheduled: bool,
    pub(crate) ahead: bool,
    pub(crate) attempt: u32,
    pub(crate) redelivery: bool,
    pub(crate) due: Timestamp,
    pub(crate) released: Timestamp,
    pub(crate) lease: String,
}

impl From<RoutingCommand> for Command {
    fn from(command: RoutingCommand) -> Self {
        Self {
            id: number(command.id),
            location: command.location.index(),
            media: [command.request_media, command.response_media],
            priority: command.priority,
            customer: command.customer,
            payload: command.payload,
            scheduled: command.scheduled,
            ahead: command.ahead,
            attempt: command.attempt,
            redelivery: command.redelivery,
            due: command.due,
            released: command.released,
            lease: command.lease.to_string(),
        }
    }
}

/// The tests name requests by small integers.
pub(crate) fn number(id: RequestId) -> u64 {
    u64::try_from(id.value()).expect("ids of the tests are small")
}
