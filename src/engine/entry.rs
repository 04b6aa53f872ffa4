//! One pending request, and the rules of its schedule that need nothing but itself and `now`.

use std::time::Duration;

use crate::ids::{LocationId, Media, Priority, RequestId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};
use crate::request::InteractionRequest;
use crate::schedule::{MissedPolicy, ProcessingCondition, RetryPolicy, ScheduleData};
use crate::sync::Arc;
use crate::wheel::Handle;

/// Where an entry is, finer than [`RequestState`].
///
/// | phase | public state | wheel timer | elsewhere |
/// |---|---|---|---|
/// | `Waiting` | Scheduled | at `eligible`, or where its next processing time or its not-after overtakes it | |
/// | `Ready` | Scheduled | none: expiry is judged when examined | in the ready heap |
/// | `InLine` | Scheduled | where its next processing time or its not-after overtakes it | in its location's line |
/// | `Examining` | Scheduled | none | being consulted upon by the one poll that runs |
/// | `Held` | Held | at not-after | |
/// | `Released` | Released | none | in a dispatch queue |
/// | `Routing` | Routing | at the lease's end, where there is one | at the router |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Waiting,
    Ready,
    InLine,
    Examining,
    Held,
    Released,
    Routing,
}

impl Phase {
    pub(super) fn state(self) -> RequestState {
        match self {
            Self::Waiting | Self::Ready | Self::InLine | Self::Examining => RequestState::Scheduled,
            Self::Held => RequestState::Held,
            Self::Released => RequestState::Released,
            Self::Routing => RequestState::Routing,
        }
    }

    /// Whether cancel, reschedule and expiry still find it.
    pub(super) fn is_before_release(self) -> bool {
        !matches!(self, Self::Released | Self::Routing)
    }
}

/// What became of an entry that was looked at.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Its turn has come, as far as its schedule says.
    Due,
    /// Not before `eligible`, which was moved.
    Later,
    /// It ended.
    Ended(Outcome, &'static str),
}

pub(super) mod reason {
    pub(crate) const NOT_AFTER: &str = "not_after";
    pub(crate) const MISSED: &str = "missed";
    pub(crate) const EXHAUSTED: &str = "exhausted";
    pub(crate) const BUSY: &str = "busy";
    pub(crate) const LEASE: &str = "lease_ran_out";
    pub(crate) const PANIC: &str = "router_panicked";
    pub(crate) const LOCATION: &str = "location_cancelled";
}

/// One pending request.
pub(super) struct Entry {
    pub(super) id: RequestId,
    pub(super) fingerprint: u128,
    pub(super) schedule: Option<ScheduleData>,
    pub(super) customer: Option<Arc<str>>,
    pub(super) payload: Arc<[u8]>,
    /// The order of intake over all shards.
    pub(super) intake: u64,
    pub(super) accepted: Timestamp,
    /// The processing time at hand.
    pub(super) due: Timestamp,
    /// When it became releasable, or will: the tick it is ordered by.
    pub(super) eligible: Timestamp,
    pub(super) timer: Option<Handle>,
    /// The tick that timer is due at.
    pub(super) armed: Timestamp,
    /// Its line in the location book.
    pub(super) stamp: u64,
    pub(super) location: LocationId,
    pub(super) revision: u32,
    /// Attempts released so far; never goes back, because leases are named by it.
    pub(super) attempts: u32,
    /// The value of `attempts` when the schedule was last set: the retry policy counts from there.
    pub(super) attempts_before: u32,
    /// The attempt that [`Engine::complete`](super::Engine::complete) may still settle: the last that the
    /// router was told of, until it or a completion says how it went. 0 for none.
    pub(super) open_attempt: u32,
    /// Which of the processing times is at hand.
    pub(super) step: u32,
    pub(super) media: Media,
    pub(super) priority: Priority,
    phase: Phase,
    /// The processing time at hand was judged for being missed.
    pub(super) judged: bool,
    /// Something was decided on the processing time at hand: a hold that begins later did not miss it.
    pub(super) examined: bool,
    /// Its condition has held once: a retry does not judge it again.
    pub(super) cleared: bool,
    /// An earlier attempt may have been acted on.
    pub(super) redelivery: bool,
}

impl Entry {
    pub(super) fn new(
        request: InteractionRequest,
        fingerprint: u128,
        intake: u64,
        now: Timestamp,
    ) -> Self {
        let mut entry = Self {
            id: request.id,
            fingerprint,
            schedule: None,
            customer: request.customer,
            payload: request.payload,
            intake,
            accepted: now,
            due: now,
            eligible: now,
            timer: None,
            armed: now,
            stamp: 0,
            location: request.location,
            revision: 1,
            attempts: 0,
            attempts_before: 0,
            open_attempt: 0,
            step: 0,
            media: request.media,
            priority: request.priority,
            phase: Phase::Waiting,
            judged: true,
            examined: false,
            cleared: false,
            redelivery: false,
        };
        if let Some(schedule) = request.schedule {
            entry.set_schedule(schedule, now);
        }
        entry
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Only the shard calls this, because the book counts phases.
    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Replaces the schedule, as if the request had been accepted with it now. A time already past is
    /// due at once, and was not missed.
    pub(super) fn set_schedule(&mut self, schedule: ScheduleData, now: Timestamp) {
        self.schedule = Some(schedule);
        self.accepted = now;
        self.attempts_before = self.attempts;
        self.set_step(0);
        while self.next_takes_over(now) {
            self.set_step(self.step + 1);
        }
        self.judged = self.due <= now;
    }

    fn set_step(&mut self, step: u32) {
        let schedule = self.schedule.as_ref().expect("only a schedule has steps");
        self.step = step;
        self.due = schedule.times()[step as usize].at();
        self.eligible = self.due;
        self.judged = false;
        self.examined = false;
        self.cleared = false;
    }

    pub(super) fn not_after(&self) -> Option<Timestamp> {
        self.schedule.as_ref()?.not_after()
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.not_after().is_some_and(|end| end <= now)
    }

    /// The condition of the processing time at hand; a non-scheduled interaction has none.
    pub(super) fn condition(&self) -> &ProcessingCondition {
        match &self.schedule {
            Some(schedule) => schedule.times()[self.step as usize].condition(),
            None => &ProcessingCondition::Always,
        }
    }

    pub(super) fn response_media(&self, now: Timestamp) -> Media {
        self.schedule
            .as_ref()
            .and_then(|schedule| schedule.response_media_at(now))
            .unwrap_or(self.media)
    }

    pub(super) fn threshold_wait(&self) -> Option<Duration> {
        self.schedule.as_ref()?.threshold_wait()
    }

    pub(super) fn missed_policy(&self) -> MissedPolicy {
        self.schedule
            .as_ref()
            .map_or(MissedPolicy::Release, ScheduleData::missed)
    }

    pub(super) fn retry(&self) -> RetryPolicy {
        self.schedule
            .as_ref()
            .map_or_else(RetryPolicy::default, |schedule| schedule.retry().clone())
    }

    fn next_time(&self) -> Option<Timestamp> {
        let times = self.schedule.as_ref()?.times();
        times.get(self.step as usize + 1).map(|time| time.at())
    }

    /// A later processing time takes over when it comes, unless the one at hand is due without a
    /// condition: that one is merely late.
    fn next_takes_over(&self, now: Timestamp) -> bool {
        *self.condition() != ProcessingCondition::Always
            && self.next_time().is_some_and(|next| next <= now)
    }

    /// When something else decides about a request that waits for its turn: the end of its lifespan, or its
    /// next processing time, which then goes by its own tick.
    pub(super) fn overtaken_at(&self) -> Option<Timestamp> {
        let takes_over = !self.cleared && *self.condition() != ProcessingCondition::Always;
        let next = self.next_time().filter(|_| takes_over);
        next.into_iter().chain(self.not_after()).min()
    }

    pub(super) fn is_overtaken(&self, now: Timestamp) -> bool {
        self.overtaken_at().is_some_and(|time| time <= now)
    }

    /// Its time has come: which processing time applies, and was it missed? `missed` says whether
    /// nothing ran from a time to its grace's end.
    pub(super) fn sight(&mut self, now: Timestamp, missed: impl Fn(Timestamp) -> bool) -> Verdict {
        if self.has_expired(now) {
            return Verdict::Ended(Outcome::Expired, reason::NOT_AFTER);
        }
        if self.cleared {
            return Verdict::Due;
        }
        loop {
            if self.next_takes_over(now) {
                self.set_step(self.step + 1);
                continue;
            }
            if self.judged {
                return Verdict::Due;
            }
            self.judged = true;
            if self.due <= self.accepted || !missed(self.due) {
                return Verdict::Due;
            }
            match (self.missed_policy(), self.next_time()) {
                (MissedPolicy::Release, _) => return Verdict::Due,
                // A request that has another time to come is not given up: the missed one is passed over.
                (_, Some(next)) => {
                    self.set_step(self.step + 1);
                    if next > now {
                        return Verdict::Later;
                    }
                }
                (MissedPolicy::Expire, None) => {
                    return Verdict::Ended(Outcome::Expired, reason::MISSED);
                }
                (MissedPolicy::NextDay, None) => return self.next_day(now, reason::MISSED),
            }
        }
    }

    /// The condition at hand does not hold: later, the exhausted rule, or (`Due`) release anyway.
    pub(super) fn condition_failed(&mut self, now: Timestamp) -> Verdict {
        self.examined = true;
        let schedule = self
            .schedule
            .as_ref()
            .expect("only a schedule has conditions");
        if let Some(next) = self.next_time() {
            // Where the next time comes first, it takes over when it is seen to have come.
            self.eligible = now.saturating_add(schedule.recheck()).min(next);
            return Verdict::Later;
        }
        use crate::schedule::ExhaustedRule;
        match schedule.exhausted() {
            ExhaustedRule::Release => Verdict::Due,
            ExhaustedRule::Expire => Verdict::Ended(Outcome::Expired, reason::EXHAUSTED),
            ExhaustedRule::NextDay => self.next_day(now, reason::EXHAUSTED),
        }
    }

    /// The whole schedule moves on by days, so that the time at hand lies ahead again.
    fn next_day(&mut self, now: Timestamp, why: &'static str) -> Verdict {
        let schedule = self.schedule.as_ref().expect("only a schedule has days");
        let Some(moved) = schedule.next_day(self.step as usize, now) else {
            return Verdict::Ended(Outcome::Expired, why);
        };
        let first_ahead = moved
            .times()
            .iter()
            .position(|time| time.at() > now)
            .unwrap_or(0);
        self.schedule = Some(moved);
        self.attempts_before = self.attempts;
        self.set_step(u32::try_from(first_ahead).unwrap_or(0));
        self.revision = self.revision.saturating_add(1);
        Verdict::Later
    }

    /// Nobody was told of the attempt released last: it is as if it had not been. Before the first, the
    /// condition is judged again, because by the next release the answer may be an old one.
    pub(super) fn take_attempt_back(&mut self) {
        self.attempts -= 1;
        self.cleared &= self.attempts > self.attempts_before;
    }

    /// Counts a failed attempt: the backoff to wait, or `None` after the last.
    pub(super) fn backoff(&self, random: u64) -> Option<Duration> {
        let retry = self.retry();
        let failures = self.attempts - self.attempts_before;
        (failures < retry.attempts()).then(|| retry.delay(failures, random))
    }
}
