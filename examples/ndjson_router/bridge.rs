//! The router on the other side of the bridge: whoever reads the output.

use std::sync::Arc;
use std::time::Duration;

use duewheel::{Consultation, Directory, Disposition, DueRequest, Router, RoutingCommand};

use crate::events::{Output, Route};

/// Prints every routing command as an event and answers as it was told to.
pub(crate) struct BridgeRouter {
    output: Arc<Output>,
    directory: Arc<Directory>,
    consultation: Consultation,
    answer: Answer,
}

/// What becomes of a command once it is printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// It is routed.
    Routed,
    /// Its reader says so with `complete`, as long as the lease runs.
    Leased(Duration),
}

impl BridgeRouter {
    pub(crate) fn new(
        output: Arc<Output>,
        directory: Arc<Directory>,
        consultation: Consultation,
        answer: Answer,
    ) -> Self {
        Self {
            output,
            directory,
            consultation,
            answer,
        }
    }
}

impl Router for BridgeRouter {
    fn consult(&self, _request: &DueRequest) -> Consultation {
        self.consultation
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        let location = self
            .directory
            .name(command.location)
            .expect("a routed request's location has a name");
        // Flushed before the engine hears of it: a crash in between repeats the command, it does
        // not lose it.
        self.output.lock().print(&Route {
            event: "route",
            id: command.id,
            location: &location,
            due: command.due,
            released: command.released,
            response_media: command.response_media,
            ahead: command.ahead,
            attempt: command.attempt,
            redelivery: command.redelivery,
            lease: &command.lease,
        });
        match self.answer {
            Answer::Routed => Disposition::Routed,
            Answer::Leased(lease_for) => Disposition::Accepted { lease_for },
        }
    }
}
