//! The router of those who route asynchronously.

use std::future::Future;

use super::{Disposition, DueRequest, RoutingCommand};
use crate::schedule::Consultation;
use crate::sync::Arc;

/// The embedder's routing system, where taking a command to a resource means waiting: for a free agent, for
/// an answer over the network. [`EngineBuilder::build_async`](crate::EngineBuilder::build_async) makes an
/// engine of it.
///
/// ```
/// use duewheel::{AsyncRouter, Consultation, Disposition, DueRequest, RoutingCommand};
///
/// struct Desk {
///     agents: tokio::sync::Semaphore,
/// }
///
/// impl AsyncRouter for Desk {
///     fn consult(&self, _: &DueRequest) -> Consultation {
///         Consultation {
///             agents_ready: self.agents.available_permits() as u32,
///             ..Consultation::default()
///         }
///     }
///
///     async fn route(&self, command: RoutingCommand) -> Disposition {
///         let Ok(_agent) = self.agents.acquire().await else {
///             return Disposition::Rejected("the desk is closed".into());
///         };
///         println!("connecting {}", command.id);
///         Disposition::Routed
///     }
/// }
/// ```
pub trait AsyncRouter: Send + Sync {
    /// What the routing system knows now, as [`Router::consult`](crate::Router::consult).
    ///
    /// Not async, on purpose: it is asked in the middle of a poll, where everything that is due waits for the
    /// answer, and the answer of the one decides on the next. Answer from what is at hand: a counter, a number
    /// that a task of yours keeps up to date. Must not block.
    fn consult(&self, request: &DueRequest) -> Consultation;

    /// Takes the command to a contact-centre resource. The future is a task of its own, of which a bounded
    /// number are in flight at once; a panic in it is one failed attempt.
    ///
    /// It may be dropped at any `await`, where the engine's run is dropped or its shutdown's time is up. A
    /// resource may have the request by then, so the attempt is not taken back: its
    /// [lease](crate::EngineBuilder::lease) runs on, may be [completed](crate::Engine::complete), and else
    /// ends in one failed attempt and a [redelivery](RoutingCommand::redelivery).
    fn route(&self, command: RoutingCommand) -> impl Future<Output = Disposition> + Send;
}

impl<R: AsyncRouter> AsyncRouter for Arc<R> {
    fn consult(&self, request: &DueRequest) -> Consultation {
        (**self).consult(request)
    }

    fn route(&self, command: RoutingCommand) -> impl Future<Output = Disposition> + Send {
        (**self).route(command)
    }
}
