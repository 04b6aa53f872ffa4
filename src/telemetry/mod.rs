#![doc = include_str!("names.md")]
//!
//! # How it is built
//!
//! * [`tell!`] tells an event where no lock is held.
//! * [`note!`] adds one to [`News`] where a lock is held. News are told when they are dropped, or told by name, which
//!   is after the lock was released: they travel with what the lock's holder may not drop either (`Trash`).
//! * [`Span`]s go around calls that are made with no lock held.
//!
//! This module lies below the engine and knows ids, locations and times alone: no payload can get here.
//!
//! With both features off, the macros come to `if false { .. }`, which type-checks their arguments and leaves no code
//! even without optimisation; [`News`] and [`Span`] are empty types that nothing is done to.

#[cfg(any(feature = "tracing", feature = "metrics"))]
mod event;
#[cfg(feature = "metrics")]
mod meter;
#[cfg(feature = "tracing")]
mod trace;

#[cfg(any(feature = "tracing", feature = "metrics"))]
pub(crate) use event::Event;
#[cfg(feature = "metrics")]
pub use meter::describe_metrics;

use crate::ids::{LocationId, RequestId, Timestamp};

/// Whether anything is told at all, for what would have to be worked out first.
pub(crate) const IS_ON: bool = cfg!(any(feature = "tracing", feature = "metrics"));

/// Tells an event at once. No lock may be held.
macro_rules! tell {
    ($event:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        #[cfg(any(feature = "tracing", feature = "metrics"))]
        $crate::telemetry::tell_now(&$crate::telemetry::Event::$event { $($field $(: $value)?),* });
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        if false {
            let _unused = ($($crate::telemetry::argument!($field $(: $value)?),)*);
        }
    }};
}

/// Adds an event to news, to be told when no lock is held.
macro_rules! note {
    ($news:expr, $event:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        #[cfg(any(feature = "tracing", feature = "metrics"))]
        $news.add($crate::telemetry::Event::$event { $($field $(: $value)?),* });
        #[cfg(not(any(feature = "tracing", feature = "metrics")))]
        if false {
            let _unused = (&$news, $($crate::telemetry::argument!($field $(: $value)?),)*);
        }
    }};
}

/// The value of a field, in its long or short form.
#[cfg(not(any(feature = "tracing", feature = "metrics")))]
macro_rules! argument {
    ($field:ident: $value:expr) => {
        $value
    };
    ($field:ident) => {
        $field
    };
}

#[cfg(not(any(feature = "tracing", feature = "metrics")))]
pub(crate) use argument;
pub(crate) use {note, tell};

/// Events that happened under a lock. Dropping them tells them, so they must outlive the lock's guard.
#[derive(Default)]
pub(crate) struct News {
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    events: Vec<Event>,
}

impl News {
    /// Remembers an event, where anybody may want to know of it.
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    pub(crate) fn add(&mut self, event: Event) {
        #[cfg(not(feature = "metrics"))]
        if !trace::may_want(&event) {
            return;
        }
        self.events.push(event);
    }

    /// Tells what happened so far. No lock may be held.
    #[inline]
    pub(crate) fn tell(&mut self) {
        #[cfg(any(feature = "tracing", feature = "metrics"))]
        for event in self.events.drain(..) {
            tell_now(&event);
        }
    }
}

#[cfg(any(feature = "tracing", feature = "metrics"))]
impl Drop for News {
    fn drop(&mut self) {
        self.tell();
    }
}

#[cfg(any(feature = "tracing", feature = "metrics"))]
pub(crate) fn tell_now(event: &Event) {
    quietly(|| {
        #[cfg(feature = "tracing")]
        trace::tell(event);
        #[cfg(feature = "metrics")]
        meter::count(event);
    });
}

/// Calls a subscriber or recorder, whose panic is nobody else's.
#[cfg(any(feature = "tracing", feature = "metrics"))]
fn quietly<R>(call: impl FnOnce() -> R) -> Option<R> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Some(result),
        Err(panic) => {
            // It may panic itself when it is dropped: it is leaked, as rare as it is.
            std::mem::forget(panic);
            None
        }
    }
}

/// A span that was entered; dropping it leaves it. No lock may be held at either.
#[must_use]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    entered: Option<tracing::span::EnteredSpan>,
}

impl Span {
    /// A poll begins.
    #[inline]
    pub(crate) fn poll(now: Timestamp, budget: usize) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _unused = (now, budget);
        Self {
            #[cfg(feature = "tracing")]
            entered: quietly(|| trace::poll(now, budget)),
        }
    }

    /// The router is consulted.
    #[inline]
    pub(crate) fn consult(id: RequestId, location: LocationId) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _unused = (id, location);
        Self {
            #[cfg(feature = "tracing")]
            entered: quietly(|| trace::consult(id, location)),
        }
    }

    /// The router is given a command.
    #[inline]
    pub(crate) fn route(id: RequestId, location: LocationId, attempt: u32) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _unused = (id, location, attempt);
        Self {
            #[cfg(feature = "tracing")]
            entered: quietly(|| trace::route(id, location, attempt).entered()),
        }
    }

    /// The router is given several commands.
    #[inline]
    pub(crate) fn route_batch(commands: usize) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _unused = commands;
        Self {
            #[cfg(feature = "tracing")]
            entered: quietly(|| trace::route_batch(commands)),
        }
    }

    /// The poll has done this much.
    #[inline]
    pub(crate) fn polled(&self, examined: usize, released: usize, more: bool, blocked: bool) {
        #[cfg(not(feature = "tracing"))]
        let _unused = (examined, released, more, blocked);
        #[cfg(feature = "tracing")]
        if let Some(span) = &self.entered {
            quietly(|| trace::polled(span, examined, released, more, blocked));
        }
    }
}

#[cfg(feature = "tracing")]
impl Drop for Span {
    fn drop(&mut self) {
        quietly(|| drop(self.entered.take()));
    }
}

/// The span of a future, which is entered whenever that is polled. No lock may be held then.
#[cfg(feature = "tokio")]
pub(crate) struct FutureSpan {
    #[cfg(feature = "tracing")]
    span: Option<tracing::Span>,
}

#[cfg(feature = "tokio")]
impl FutureSpan {
    /// The async router is given a command.
    #[inline]
    pub(crate) fn route(id: RequestId, location: LocationId, attempt: u32) -> Self {
        #[cfg(not(feature = "tracing"))]
        let _unused = (id, location, attempt);
        Self {
            #[cfg(feature = "tracing")]
            span: quietly(|| trace::route(id, location, attempt)),
        }
    }

    /// Makes a call inside the span.
    #[inline]
    pub(crate) fn within<R>(&self, call: impl FnOnce() -> R) -> R {
        #[cfg(feature = "tracing")]
        let _inside = Inside(self.span.as_ref().and_then(|span| quietly(|| span.enter())));
        call()
    }
}

#[cfg(all(feature = "tokio", feature = "tracing"))]
impl Drop for FutureSpan {
    fn drop(&mut self) {
        quietly(|| drop(self.span.take()));
    }
}

#[cfg(all(feature = "tokio", feature = "tracing"))]
struct Inside<'a>(Option<tracing::span::Entered<'a>>);

#[cfg(all(feature = "tokio", feature = "tracing"))]
impl Drop for Inside<'_> {
    fn drop(&mut self) {
        quietly(|| drop(self.0.take()));
    }
}
