//! What a crash leaves open: attempts of which nobody heard how they went, and releases of which nobody knows.
//!
//! # In doubt
//!
//! A request that was released when the process ended, and had not ended, is *in doubt*: the router may have had its
//! command, or not. It is handed over again at the first poll, under the number of the same attempt, marked as a
//! redelivery: so a crash spends no attempt, and not the last one either.
//!
//! | while it waits | |
//! |---|---|
//! | phase | Waiting, Ready, InLine, Examining or Held, as any other that waits |
//! | public state | Released: it stays out of reach of cancel, reschedule, and the commands on its location |
//! | due | at the tick that released it: never early, whatever the clock does |
//! | missed policy, condition | judged already |
//! | its location's hold, pace, and room in dispatch | hold for it as for any other |
//! | a completion of its lease | counts; as busy it is a failed attempt |
//! | its not-after | ends it as expired, for the reason `in_doubt` |
//!
//! A request that takes the process down with it, time and again, is slowed down: handed over so many times under one
//! number ([`CRASH_REDELIVERIES_AT_ONCE`]), it waits for its retry policy's backoff first. It never becomes a
//! dead letter by crashes alone.
//!
//! # Suspicion
//!
//! What was not made durable before it was acted on may be lost after an unclean stop: a release too, and its end. So a
//! request that was recovered from such a store, and is overdue by the first poll, may have been acted on; when that
//! is seen it is marked as a possible redelivery. To know these takes no pass over all of them: they are those with an
//! intake number up to the highest recovered whose timer is due by the first poll's time. Until a poll has seen all of
//! these, the store says that it was not written under `Sync`, and is not closed in good order.

use super::Engine;
use super::entry::Flags;
use super::pending::{Pending, PendingMut};
use super::rules::spread_of;
use super::shard::Shard;
use crate::ids::Timestamp;

/// Times that an attempt in doubt is handed over again without waiting.
pub(super) const CRASH_REDELIVERIES_AT_ONCE: u32 = 8;

impl PendingMut<'_> {
    /// It waits for its retry policy's backoff, once, before it is handed over again.
    pub(super) fn cool_down(&mut self, now: Timestamp) {
        self.set_flag(Flags::COOLING, false);
        let view = self.view();
        let waits = view
            .redeliveries()
            .saturating_sub(CRASH_REDELIVERIES_AT_ONCE - 1);
        let random = spread_of(view.id(), view.redeliveries());
        let again = now.saturating_add(view.retry().delay(waits, random));
        let again = again.max(view.eligible());
        self.course().eligible = again;
    }
}

impl Shard {
    /// A release counts its attempt; one that was in doubt keeps its number, and is handed over again.
    pub(super) fn count_release(&mut self, index: u32) {
        if !self.pending(index).is_in_doubt() {
            self.pending_mut(index).count_attempt();
            return;
        }
        self.settle_doubt(index);
        let mut pending = self.pending_mut(index);
        pending.set_flag(Flags::REDELIVERY, true);
        let course = pending.course();
        course.redeliveries = course.redeliveries.saturating_add(1);
    }

    /// It is in doubt no longer: it is handed over again, or somebody knows how it went.
    pub(super) fn settle_doubt(&mut self, index: u32) {
        self.set_in_doubt(index, false);
    }

    /// Nobody was told of the attempt released last: where that was in doubt before, it is again. Says whether it
    /// was.
    pub(super) fn put_in_doubt_again(&mut self, index: u32) -> bool {
        if self.pending(index).redeliveries() == 0 {
            return false;
        }
        self.pending_mut(index).course().redeliveries -= 1;
        self.set_in_doubt(index, true);
        true
    }

    fn set_in_doubt(&mut self, index: u32, in_doubt: bool) {
        let entry = self.entry_mut(index);
        if entry.flags.has(Flags::IN_DOUBT) == in_doubt {
            return;
        }
        let (location, before) = (entry.location, entry.state());
        entry.flags.set(Flags::IN_DOUBT, in_doubt);
        if !in_doubt {
            entry.flags.set(Flags::COOLING, false);
        }
        let after = entry.state();
        self.book.change(location, before, after);
        self.counted.in_doubt += if in_doubt { 1 } else { -1 };
    }
}

impl Engine {
    /// Whether a lease of this epoch is this engine's, or one of those whose store it has.
    pub(super) fn is_own_epoch(&self, epoch: u32) -> bool {
        let own = self.settings.epoch;
        match self.settings.store {
            None => epoch == own,
            Some(_) => (1..=own).contains(&epoch),
        }
    }

    /// A poll has seen all that was overdue, and what may have been acted on is marked. Until then the store says
    /// that it is not, whoever closes it.
    pub(super) fn settle_suspicion(&self) {
        if let Some(durable) = &self.durable {
            durable.commit.set_unsettled(false);
            durable.control.log(&self.opened());
        }
    }
}

/// Which requests may have been acted on before the engine was recovered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspicion {
    /// The highest number in the order of intake that was recovered.
    intake_max: u64,
    /// When the first poll was.
    until: Timestamp,
}

impl Suspicion {
    /// At the first poll, of requests with numbers up to this.
    pub(super) fn new(intake_max: u64, first_poll: Timestamp) -> Self {
        Self {
            intake_max,
            until: first_poll,
        }
    }

    /// Whether it holds for a request whose timer fires.
    #[inline]
    pub(super) fn holds_for(&self, pending: Pending<'_>) -> bool {
        pending.intake <= self.intake_max && pending.waits_until() <= self.until
    }
}
