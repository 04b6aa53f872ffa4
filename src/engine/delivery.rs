//! From a released attempt to its end: the router's answer, its completion, its failure.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Engine;
use super::entry::{Flags, Phase};
use super::error::CompleteError;
use super::poll::Attempt;
use super::shard::Shard;
use super::trash::Trash;
use crate::ids::Timestamp;
use crate::lifecycle::{Outcome, RequestState};
use crate::lifecycle::{Rule, Why};
use crate::persistence::Lsn;
use crate::persistence::record::Change;
use crate::request::no_payload;
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
    /// [`CompleteError::Unknown`] where its request never was, or is forgotten; with a store, where its journal fails.
    ///
    /// [`Router::route`]: crate::Router::route
    pub fn complete(
        &self,
        lease: &Lease,
        completion: Completion,
        now: Timestamp,
    ) -> Result<RequestState, CompleteError> {
        let id = lease.id();
        self.usable().map_err(|_| CompleteError::Unavailable)?;
        let mut rests_on = Lsn(0);
        let answer = self.complete_attempt(lease, completion, now, &mut rests_on);
        let settled = self.settle_log(rests_on);
        settled.map_err(|_| CompleteError::Indeterminate(id))?;
        answer
    }

    /// [`complete`](Self::complete), without waiting for the record that the answer rests on.
    fn complete_attempt(
        &self,
        lease: &Lease,
        completion: Completion,
        now: Timestamp,
        rests_on: &mut Lsn,
    ) -> Result<RequestState, CompleteError> {
        let id = lease.id();
        let completion = match completion {
            Completion::Rejected(why) => Completion::Rejected(bounded(why)),
            other => other,
        };
        let (place, hash) = self.place(id);
        let mut trash = Trash::new();
        let mut shard = self.shards[place].lock();
        *rests_on = shard.commit();
        let Some(index) = shard.find(id, hash) else {
            return Err(match shard.remembers(id, hash, now) {
                false => CompleteError::Unknown(id),
                true => CompleteError::Stale {
                    id,
                    state: RequestState::Completed,
                },
            });
        };
        let pending = shard.pending(index);
        let (phase, state) = (pending.phase, pending.state());
        let open_attempt = pending.open_attempt();
        let is_open = lease.attempt() == open_attempt && open_attempt != 0;
        // A newer attempt that waits for its worker is released already.
        let is_superseded = phase == Phase::Released && pending.attempts() != open_attempt;
        if !is_open || !self.is_own_epoch(lease.epoch()) || is_superseded {
            return Err(CompleteError::Stale { id, state });
        }
        // Of one in doubt nobody knew how it went; here somebody does.
        if !pending.is_released() && pending.has_expired(now) {
            // Its lifespan ended after its lease; no poll has seen it yet.
            shard.expire(index, now, &mut trash);
            *rests_on = shard.commit();
            return Err(CompleteError::Stale {
                id,
                state: RequestState::Completed,
            });
        }
        let was_released = pending.is_released();
        shard.pending_mut(index).close_attempt();
        match completion {
            Completion::Routed => shard.end(index, Outcome::Routed, Why::Plain, now, &mut trash),
            Completion::Rejected(why) => {
                shard.end(index, Outcome::Rejected, Why::Told(why), now, &mut trash);
            }
            Completion::Busy { retry_after } if was_released => {
                shard.settle_doubt(index);
                shard.fail_attempt(index, Rule::Busy, retry_after, now, &mut trash);
            }
            // The attempt has failed already, by its lease: this is the same failure. But its lease is settled.
            Completion::Busy { .. } => shard.log(Change::Examined, index),
        }
        let left = shard.store.entry(index).filter(|entry| entry.id() == id);
        let state = left.map_or(RequestState::Completed, |entry| entry.state());
        let until = shard.waits_until(index);
        *rests_on = shard.commit();
        drop(shard);
        self.notify_settled(until);
        Ok(state)
    }

    /// The command of an attempt that was counted.
    pub(super) fn command(
        &self,
        shard: &Shard,
        index: u32,
        ahead: bool,
        now: Timestamp,
    ) -> RoutingCommand {
        let pending = shard.pending(index);
        let contents = shard.store.contents(index);
        let (id, attempt) = (pending.id(), pending.attempts());
        RoutingCommand {
            id,
            location: pending.location,
            request_media: pending.media,
            response_media: pending.response_media(now),
            priority: pending.priority,
            customer: contents.and_then(|contents| contents.customer.clone()),
            payload: contents.map_or_else(no_payload, |contents| Arc::clone(&contents.payload)),
            scheduled: pending.is_scheduled(),
            ahead,
            attempt,
            redelivery: pending.flags.has(Flags::REDELIVERY),
            due: pending.due,
            released: now,
            lease: Lease::new(id, attempt, self.settings.epoch),
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
    pub(super) fn settle(&self, attempt: Attempt, answer: Option<Disposition>, now: Timestamp) {
        let mut trash = Trash::new();
        let mut replaced = None;
        let mut lease_end = None;
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
            shard.pending(attempt.index).open_attempt() == attempt.number
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
                id: shard.entry(index).id(),
                location: shard.entry(index).location,
                attempt: attempt.number,
                disposition: name_of(answer.as_ref()),
            }
        );
        if let Some(Disposition::Busy { .. } | Disposition::Reschedule(_)) = &answer {
            shard.pending_mut(index).close_attempt();
        }
        match answer {
            // Its lifespan ended after its lease; no poll has seen it yet.
            _ if phase.is_before_release() && shard.pending(index).has_expired(now) => {
                shard.expire(index, now, &mut trash);
            }
            Some(Disposition::Routed) => {
                shard.end(index, Outcome::Routed, Why::Plain, now, &mut trash);
            }
            Some(Disposition::Rejected(why)) => {
                shard.end(index, Outcome::Rejected, Why::Told(why), now, &mut trash);
            }
            // It comes after the lease ran out, which was this same failure.
            _ if phase != Phase::Routing => {}
            Some(Disposition::Busy { retry_after }) => {
                shard.fail_attempt(index, Rule::Busy, retry_after, now, &mut trash);
            }
            Some(Disposition::Reschedule(schedule)) => {
                let news = &mut trash.news;
                replaced = shard.replace_schedule(index, schedule, "router", now, news);
            }
            Some(Disposition::Accepted { lease_for }) => {
                let end = now.saturating_add(lease_for);
                shard.arm(index, end);
                lease_end = Some(end);
            }
            None => {
                let mut pending = shard.pending_mut(index);
                pending.set_flag(Flags::REDELIVERY, true);
                shard.fail_attempt(index, Rule::Panic, None, now, &mut trash);
            }
        }
        let until = lease_end.or_else(|| shard.waits_until(index));
        drop(shard);
        // Whatever the answer held, and was not taken from it, goes here.
        drop(replaced);
        self.notify_settled(until);
    }

    /// An attempt was settled: its request may have ended, or there is something to do for it at `until`.
    pub(super) fn notify_settled(&self, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.wakeup.notify_due(until);
        }
        self.wakeup.notify_end();
    }
}

/// Calls the router, with no lock held; `None` where it panics.
pub(super) fn caught<R>(call: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => Some(answer),
        Err(panic) => {
            discard(panic);
            None
        }
    }
}

/// Drops what a panic carried, with no lock held: it may panic itself.
pub(super) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // There is an end to it: this one is leaked.
        std::mem::forget(second);
    }
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
    /// When the request at `index` is next looked at, if there is one and it waits.
    pub(super) fn waits_until(&self, index: u32) -> Option<Timestamp> {
        let pending = self.store.get(index)?;
        (pending.phase == Phase::Waiting).then(|| pending.waits_until())
    }

    /// The attempt released last is as if it had not been, because nobody was told of it.
    pub(super) fn take_attempt_back(&mut self, index: u32, news: &mut News) {
        note!(
            news,
            TakenBack {
                id: self.entry(index).id(),
                location: self.entry(index).location,
                attempt: self.pending(index).attempts(),
            }
        );
        if !self.put_in_doubt_again(index) {
            self.pending_mut(index).take_attempt_back();
        }
    }

    /// The phase of an attempt's request, where it is pending and no newer attempt was released.
    pub(super) fn phase_of(&self, attempt: Attempt) -> Option<Phase> {
        let pending = self.store.get(attempt.index)?;
        let is_latest = pending.intake == attempt.intake && pending.attempts() == attempt.number;
        is_latest.then_some(pending.phase)
    }
}
