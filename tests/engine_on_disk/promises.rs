//! What an engine was asked and has answered, kept outside of it, and what must hold of it from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use duewheel::{Outcome, RequestState, RequestStatus, RoutingCommand, Timestamp};

use crate::inhabitant::{Trouble, broken};

/// How long the router may take for what it has accepted.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Whether something was done: asked for, and perhaps done, or answered, and so done for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Done {
    #[default]
    No,
    Perhaps,
    Yes,
}

/// What the router said to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Routed,
    Busy,
    Accepted,
}

/// What the router says to an attempt at a request: each of its answers to some.
pub(crate) fn answer(id: u64, attempt: u32) -> Answer {
    match (id % 4, attempt) {
        (1, 1) => Answer::Busy,
        (2, _) | (3, 2..) => Answer::Accepted,
        _ => Answer::Routed,
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) command: RoutingCommand,
    answer: Answer,
    /// In which of the engine's lives.
    life: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) taken: Done,
    pub(crate) cancelled: Done,
    /// It has ended by a completion, or by the router's answer.
    pub(crate) ended: Done,
    /// When it may be due.
    pub(crate) dues: BTreeSet<Timestamp>,
    pub(crate) location: usize,
    pub(crate) routes: Vec<Route>,
}

/// All requests, by number, and the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) now_s: u64,
    /// Counts the times that the store was opened.
    pub(crate) life: u64,
    /// Whether a location is on hold; `None` where that is not known.
    pub(crate) held: [Option<bool>; 2],
}

impl Promises {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000 + self.now_s * 1_000)
    }

    pub(crate) fn after(&self, seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + (self.now_s + seconds) * 1_000)
    }

    pub(crate) fn entry(&mut self, id: u64) -> &mut Entry {
        self.entries.entry(id).or_default()
    }

    /// Something was answered that rests on a record made just now: so all before it is durable too.
    pub(crate) fn settle(&mut self) {
        let life = self.life;
        let is_heard = |route: &Route| route.answer == Answer::Routed && route.life == life;
        for entry in self.entries.values_mut() {
            if entry.routes.last().is_some_and(is_heard) {
                entry.ended = Done::Yes;
            }
        }
    }

    /// The router was given a command.
    pub(crate) fn route(&mut self, command: RoutingCommand) -> Result<(), Trouble> {
        let id = u64::try_from(command.id.value()).unwrap_or(u64::MAX);
        let Some(entry) = self.entries.get_mut(&id) else {
            broken!("{command:?} was never handed in");
        };
        if entry.cancelled == Done::Yes {
            broken!("{command:?} is given although it was cancelled");
        }
        if entry.ended == Done::Yes {
            broken!(
                "{command:?} is given although it has ended: {:?}",
                entry.routes
            );
        }
        if !entry.dues.contains(&command.due) || command.released < command.due {
            broken!("{command:?} is not due, but at one of {:?}", entry.dues);
        }
        if let Some(before) = entry.routes.last() {
            check_again(before, &command)?;
        } else if command.attempt != 1 {
            broken!("{command:?} is the first of its request");
        }
        let answer = answer(id, command.attempt);
        let life = self.life;
        entry.routes.push(Route {
            command,
            answer,
            life,
        });
        // A request that has been routed is known to the engine, whatever the answer to its intake was.
        entry.taken = Done::Yes;
        Ok(())
    }

    /// Holds what the engine knows of a request against this.
    pub(crate) fn check_status(
        &self,
        id: u64,
        status: Option<&RequestStatus>,
    ) -> Result<(), Trouble> {
        let entry = &self.entries[&id];
        let Some(status) = status else {
            if entry.taken == Done::Yes {
                broken!("request {id} is lost: {entry:?}");
            }
            return Ok(());
        };
        if entry.taken == Done::No {
            broken!("{status:?} was never handed in");
        }
        let is_over = status.state == RequestState::Completed;
        let cancelled = status.outcome == Some(Outcome::Cancelled);
        let fits = match (entry.cancelled, entry.ended) {
            (Done::Yes, _) => cancelled,
            (Done::No, Done::Yes) => is_over && !cancelled,
            (Done::Perhaps, Done::Yes) => is_over,
            (Done::No, _) => !cancelled && (!is_over || !entry.routes.is_empty()),
            (Done::Perhaps, _) => true,
        };
        if !fits {
            broken!("{status:?} does not fit {entry:?}");
        }
        if !is_over && entry.routes.is_empty() && !entry.dues.contains(&status.due) {
            broken!("{status:?} is not due at one of {:?}", entry.dues);
        }
        Ok(())
    }

    /// Nothing is pending any more: all that was taken in was routed, or cancelled.
    pub(crate) fn check_drained(&self) -> Result<(), Trouble> {
        for (id, entry) in &self.entries {
            let is_known = entry.taken == Done::Yes && entry.cancelled == Done::No;
            if is_known && entry.routes.is_empty() {
                broken!("request {id} was never routed: {entry:?}");
            }
        }
        Ok(())
    }
}

/// A command after another one of the same request.
fn check_again(before: &Route, command: &RoutingCommand) -> Result<(), Trouble> {
    let failed = match before.answer {
        Answer::Routed => false,
        Answer::Busy => true,
        Answer::Accepted => {
            let out = before.command.released.saturating_add(LEASE);
            command.released >= out && command.redelivery
        }
    };
    let is_same = command.attempt == before.command.attempt && command.redelivery;
    let is_next = command.attempt == before.command.attempt + 1 && failed;
    if !is_same && !is_next {
        broken!("{command:?} comes after {before:?}");
    }
    Ok(())
}
