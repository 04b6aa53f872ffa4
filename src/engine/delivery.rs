//! From a released attempt to its end: the router's answer, its completion, its failure.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Engine;
use super::entry::{Entry, Phase, reason};
use super::error::CompleteError;
use super::poll::Attempt;
use super::shard::{Shard, Trash};
use crate::ids::Timestamp;
use crate::lifecycle::{Outcome, RequestState};
use crate::router::{Completion, Disposition, Lease, RoutingCommand};
use crate::sync::{Arc, Ordering};
use crate::telemetry::{News, Span, note, tell};

/// Bytes of a router's reason that are kept.
const REASON_BYTES_MAX: usize = 256;

impl Engine {
    /// Tells how an accepted attempt ended. Valid from the moment [`Router::route`] is called (the
    /// disposition that it then returns is ignored), until it is settled by this or by the router's answer
    /// or a newer attempt is released: it wins over a lease that ran out, as long as the request has
    /// neither ended nor gone out again.
    ///
    /// O(1), one shard lock.
    ///
    /// # Errors
    /// [`CompleteError::Stale`] for a lease that was settled or superseded, and for one of another epoch;
    /// [`CompleteError::Unknown`] where its request never was, or is forgotten.
    ///
    /// [`Router::route`]: crate::Router::route
    pub fn complete(
        &self,
        lease: &Lease,
        completion: Completion,
        now: Timestamp,
    ) -> Result<RequestState, CompleteError> {
        let id = lease.id();
        let completion = match completion {
            Completion::Rejected(why) => Completion::Rejected(bounded(why)),
            other => other,
        };
        let (place, hash) = self.place(id);
        let mut trash = Trash::new();
        let mut shard = self.shards[place].lock();
        let Some(index) = shard.find(id, hash) else {
            return Err(match shard.ended(id, hash, now) {
                None => CompleteError::Unknown(id),
                Some(_) => CompleteError::Stale {
                    id,
                    state: RequestState::Completed,
                },
            });
        };
        let entry = shard.entry(index);
        let phase = entry.phase();
        let is_open = lease.attempt() == entry.open_attempt && entry.open_attempt != 0;
        // A newer attempt that waits for its worker is released already.
        if !is_open || lease.epoch() != self.settings.epoch || phase == Phase::Released {
            return Err(CompleteError::Stale {
                id,
                state: phase.state(),
            });
        }
        if phase.is_before_release() && entry.has_expired(now) {
            // Its lifespan ended after its lease; no poll has seen it yet.
            shard.expire(index, now, &mut trash);
            return Err(CompleteError::Stale {
                id,
                state: RequestState::Completed,
            });
        }
        shard.entry_mut(index).open_attempt = 0;
        match completion {
            Completion::Routed => shard.end(index, Outcome::Routed, None, now, &mut trash),
            Completion::Rejected(why) => {
                shard.end(index, Outcome::Rejected, Some(why), now, &mut trash);
            }
            Completion::Busy { retry_after } if phase == Phase::Routing => {
                shard.fail_attempt(index, reason::BUSY, retry_after, now, &mut trash);
            }
            // The attempt has failed already, by its lease: this is the same failure.
            Completion::Busy { .. } => {}
        }
        let left = shard.entries.get(index).filter(|entry| entry.id == id);
        let state = left.map_or(RequestState::Completed, |entry| entry.phase().state());
        let timer = shard.timer_of(index);
        drop(shard);
        self.notify_settled(timer);
        Ok(state)
    }

    /// The command of an attempt that was counted.
    pub(super) fn command(&self, entry: &Entry, ahead: bool, now: Timestamp) -> RoutingCommand {
        RoutingCommand {
            id: entry.id,
            location: entry.location,
            request_media: entry.media,
            response_media: entry.response_media(now),
            priority: entry.priority,
            customer: entry.customer.clone(),
            payload: entry.payload.clone(),
            scheduled: entry.schedule.is_some(),
            ahead,
            attempt: entry.attempts,
            redelivery: entry.redelivery,
            due: entry.due,
            released: now,
            lease: Lease::new(entry.id, entry.attempts, self.settings.epoch),
        }
    }

    /// Calls the router, with no lock held, and settles what it answers. `clock` is read once it has
    /// answered.
    pub(super) fn route(
        &self,
        attempt: Attempt,
        command: RoutingCommand,
        clock: impl Fn() -> Timestamp,
    ) {
        let span = Span::route(command.id, command.location, command.attempt);
        let answer = caught(|| self.router.route(command));
        drop(span);
        self.settle(attempt, answer, clock());
    }

    /// [`route`](Self::route) for a batch. An answer that the router leaves out is a panic of the router.
    pub(super) fn route_many(
        &self,
        attempts: &[Attempt],
        commands: Vec<RoutingCommand>,
        now: Timestamp,
    ) {
        let span = Span::route_batch(commands.len());
        let answers = caught(|| self.router.route_batch(commands));
        drop(span);
        let mut answers = answers.unwrap_or_default().into_iter();
        for &attempt in attempts {
            self.settle(attempt, answers.next(), now);
        }
    }

    /// Applies the router's answer, unless the attempt was settled meanwhile. `None`: it panicked. An answer
    /// that comes after the attempt's lease ran out still counts where it is final, as a completion would.
    fn settle(&self, attempt: Attempt, answer: Option<Disposition>, now: Timestamp) {
        let mut trash = Trash::new();
        let mut replaced = None;
        if answer.is_none() {
            self.router_panics.fetch_add(1, Ordering::Relaxed);
            tell!(RouterPanicked { call: "route" });
        }
        let answer = match answer {
            Some(Disposition::Rejected(why)) => Some(Disposition::Rejected(bounded(why))),
            other => other,
        };
        let mut shard = self.shards[attempt.place].lock();
        let phase = shard.phase_of(attempt).filter(|_| {
            // A completion that came first has settled it, whatever it said.
            shard.entry(attempt.index).open_attempt == attempt.number
        });
        let Some(phase) = phase else {
            drop(shard);
            // The answer may hold something of the user's.
            drop(answer);
            return;
        };
        let index = attempt.index;
        note!(
            trash.news,
            Answered {
                id: shard.entry(index).id,
                location: shard.entry(index).location,
                attempt: attempt.number,
                disposition: name_of(answer.as_ref()),
            }
        );
        if let Some(Disposition::Busy { .. } | Disposition::Reschedule(_)) = &answer {
            shard.entry_mut(index).open_attempt = 0;
        }
        match answer {
            // Its lifespan ended after its lease; no poll has seen it yet.
            _ if phase.is_before_release() && shard.entry(index).has_expired(now) => {
                shard.expire(index, now, &mut trash);
            }
            Some(Disposition::Routed) => shard.end(index, Outcome::Routed, None, now, &mut trash),
            Some(Disposition::Rejected(why)) => {
                shard.end(index, Outcome::Rejected, Some(why), now, &mut trash);
            }
            // It comes after the lease ran out, which was this same failure.
            _ if phase != Phase::Routing => {}
            Some(Disposition::Busy { retry_after }) => {
                shard.fail_attempt(index, reason::BUSY, retry_after, now, &mut trash);
            }
            Some(Disposition::Reschedule(schedule)) => {
                replaced = shard.replace_schedule(index, schedule, now);
                shard.note_rescheduled(index, "router", &mut trash.news);
            }
            Some(Disposition::Accepted { lease_for }) => {
                shard.arm(index, now.saturating_add(lease_for));
            }
            None => {
                shard.entry_mut(index).redelivery = true;
                shard.fail_attempt(index, reason::PANIC, None, now, &mut trash);
            }
        }
        let timer = shard.timer_of(index);
        drop(shard);
        // Whatever the answer held, and was not taken from it, goes here.
        drop(replaced);
        self.notify_settled(timer);
    }

    /// An attempt was settled: its request may have ended, or be due at `timer` now.
    fn notify_settled(&self, timer: Option<Timestamp>) {
        if let Some(timer) = timer {
            self.wakeup.notify_due(timer);
        }
        self.wakeup.notify_end();
    }
}

/// Calls the router, with no lock held; `None` where it panics. What the panic carried is dropped here, where
/// no lock is held either, and may panic itself.
pub(super) fn caught<R>(call: impl FnOnce() -> R) -> Option<R> {
    let panic = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => return Some(answer),
        Err(panic) => panic,
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // There is an end to it: this one is leaked.
        std::mem::forget(second);
    }
    None
}

/// The name of the router's answer; `None`: it panicked.
fn name_of(answer: Option<&Disposition>) -> &'static str {
    match answer {
        Some(Disposition::Routed) => "routed",
        Some(Disposition::Busy { .. }) => "busy",
        Some(Disposition::Reschedule(_)) => "reschedule",
        Some(Disposition::Rejected(_)) => "rejected",
        Some(Disposition::Accepted { .. }) => "accepted",
        None => "panicked",
    }
}

/// A reason is remembered for as long as its request is, so it may not be of any length.
fn bounded(why: Arc<str>) -> Arc<str> {
    if why.len() <= REASON_BYTES_MAX {
        return why;
    }
    Arc::from(&why[..why.floor_char_boundary(REASON_BYTES_MAX)])
}

impl Shard {
    /// When the request at `index`, if there is one, is next looked at.
    fn timer_of(&self, index: u32) -> Option<Timestamp> {
        let entry = self.entries.get(index)?;
        entry.timer.map(|_| entry.armed)
    }

    /// The attempt released last is taken back, because nobody was told of it.
    pub(super) fn note_taken_back(&self, index: u32, news: &mut News) {
        note!(
            news,
            TakenBack {
                id: self.entry(index).id,
                location: self.entry(index).location,
                attempt: self.entry(index).attempts,
            }
        );
    }

    /// The request is parked, because its location is on hold.
    pub(super) fn note_parked(&self, index: u32, news: &mut News) {
        note!(
            news,
            Parked {
                id: self.entry(index).id,
                location: self.entry(index).location,
            }
        );
    }

    /// The request has another schedule.
    pub(super) fn note_rescheduled(&self, index: u32, by: &'static str, news: &mut News) {
        note!(
            news,
            Rescheduled {
                id: self.entry(index).id,
                location: self.entry(index).location,
                by,
                due: self.entry(index).eligible,
                revision: self.entry(index).revision,
            }
        );
    }

    /// The phase of an attempt's request, where it is pending and no newer attempt was released.
    pub(super) fn phase_of(&self, attempt: Attempt) -> Option<Phase> {
        let entry = self.entries.get(attempt.index)?;
        let is_latest = entry.intake == attempt.intake && entry.attempts == attempt.number;
        is_latest.then(|| entry.phase())
    }
}
