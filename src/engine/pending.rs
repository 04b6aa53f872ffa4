//! A pending request seen as a whole, and the rules of its schedule that need nothing but itself and `now`.

use std::time::Duration;

use super::entry::{Course, Entry, Flags, Phase, Plan};
use super::slab::Slab;
use crate::ids::{Media, Timestamp};
use crate::lifecycle::Outcome;
use crate::lifecycle::Rule;
use crate::schedule::{
    ExhaustedRule, MissedPolicy, ProcessingCondition, RetryPolicy, ScheduleData,
};

/// What became of a request that was looked at.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Its turn has come, as far as its schedule says.
    Due,
    /// Not before `eligible`, which was moved.
    Later,
    /// It ended.
    Ended(Outcome, Rule),
}

/// A pending request: its entry, which gives all that every request has, and its course where it has one.
#[derive(Clone, Copy)]
pub(super) struct Pending<'a> {
    entry: &'a Entry,
    course: Option<&'a Course>,
}

impl std::ops::Deref for Pending<'_> {
    type Target = Entry;

    #[inline]
    fn deref(&self) -> &Entry {
        self.entry
    }
}

impl<'a> Pending<'a> {
    #[inline]
    pub(super) fn new(entry: &'a Entry, courses: &'a Slab<Course>) -> Self {
        let course = match entry.plan() {
            Plan::Course(course) => courses.get(course),
            Plan::Immediate | Plan::Plain(_) => None,
        };
        Self { entry, course }
    }

    /// Its course, where its life is not the plain one.
    pub(super) fn course(&self) -> Option<&'a Course> {
        self.course
    }

    /// When it became releasable, or will: the tick it is ordered by.
    #[inline]
    pub(super) fn eligible(&self) -> Timestamp {
        self.course.map_or(self.entry.due, |course| course.eligible)
    }

    /// From when on its release is late.
    pub(super) fn late_from(&self) -> Timestamp {
        // A plain one was taken in no later than its time.
        self.course.map_or(self.entry.due, |course| {
            course.eligible.max(course.accepted)
        })
    }

    #[inline]
    pub(super) fn revision(&self) -> u32 {
        self.course.map_or(1, |course| course.revision)
    }

    #[inline]
    pub(super) fn attempts(&self) -> u32 {
        self.course.map_or(0, |course| course.attempts)
    }

    #[inline]
    pub(super) fn open_attempt(&self) -> u32 {
        self.course.map_or(0, |course| course.open_attempt)
    }

    /// How often the attempt at hand was handed over again because it was in doubt.
    #[inline]
    pub(super) fn redeliveries(&self) -> u32 {
        self.course.map_or(0, |course| course.redeliveries)
    }

    #[inline]
    pub(super) fn is_in_doubt(&self) -> bool {
        self.entry.flags.has(Flags::IN_DOUBT)
    }

    pub(super) fn is_scheduled(&self) -> bool {
        match self.entry.plan() {
            Plan::Immediate => false,
            Plan::Plain(_) => true,
            Plan::Course(_) => self.schedule().is_some(),
        }
    }

    /// Its schedule, where that has more to it than one unconditional time.
    #[inline]
    fn schedule(&self) -> Option<&'a ScheduleData> {
        self.course?.schedule.as_ref()
    }

    /// Its schedule, put together again where it is plain.
    pub(super) fn to_schedule(self) -> Option<ScheduleData> {
        match self.entry.plan() {
            Plan::Immediate => None,
            Plan::Plain(offset) => Some(ScheduleData::from_plain(self.entry.due, offset)),
            Plan::Course(_) => self.schedule().cloned(),
        }
    }

    pub(super) fn not_after(&self) -> Option<Timestamp> {
        self.schedule()?.not_after()
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.not_after().is_some_and(|end| end <= now)
    }

    /// The condition of the processing time at hand; a non-scheduled interaction has none.
    pub(super) fn condition(&self) -> &'a ProcessingCondition {
        match (self.schedule(), self.course) {
            (Some(schedule), Some(course)) => schedule.times()[course.step as usize].condition(),
            _ => &ProcessingCondition::Always,
        }
    }

    /// Whether the condition of the processing time at hand is still to be judged.
    pub(super) fn is_conditional(&self) -> bool {
        !self.entry.flags.has(Flags::CLEARED) && *self.condition() != ProcessingCondition::Always
    }

    /// Whether what the router answers to a consultation decides whether it is released, or how.
    pub(super) fn rests_on_answer(&self) -> bool {
        self.is_conditional() || self.threshold_wait().is_some()
    }

    pub(super) fn response_media(&self, now: Timestamp) -> Media {
        self.schedule()
            .and_then(|schedule| schedule.response_media_at(now))
            .unwrap_or(self.entry.media)
    }

    pub(super) fn threshold_wait(&self) -> Option<Duration> {
        self.schedule()?.threshold_wait()
    }

    pub(super) fn missed_policy(&self) -> MissedPolicy {
        self.schedule()
            .map_or(MissedPolicy::Release, ScheduleData::missed)
    }

    /// What ends it at its not-after: nobody knows how it went at a router that nobody heard.
    pub(super) fn expiry_rule(&self) -> Rule {
        let is_queued_again = self.entry.phase == Phase::Released && self.redeliveries() > 0;
        if self.is_in_doubt() || is_queued_again {
            Rule::InDoubt
        } else {
            Rule::NotAfter
        }
    }

    pub(super) fn retry(&self) -> RetryPolicy {
        self.schedule()
            .map_or_else(RetryPolicy::default, |schedule| schedule.retry().clone())
    }

    fn next_time(&self) -> Option<Timestamp> {
        let times = self.schedule()?.times();
        times
            .get(self.course?.step as usize + 1)
            .map(|time| time.at())
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
        self.schedule()?;
        let takes_over = !self.entry.flags.has(Flags::CLEARED)
            && *self.condition() != ProcessingCondition::Always;
        let next = self.next_time().filter(|_| takes_over);
        next.into_iter().chain(self.not_after()).min()
    }

    /// Until when it waits: for `eligible`, or for what overtakes it where that is earlier.
    pub(super) fn waits_until(&self) -> Timestamp {
        let eligible = self.eligible();
        let overtaken = self.overtaken_at();
        overtaken.map_or(eligible, |time| time.min(eligible))
    }

    pub(super) fn is_overtaken(&self, now: Timestamp) -> bool {
        self.overtaken_at().is_some_and(|time| time <= now)
    }

    /// The backoff to wait after a failed attempt, or `None` after the last.
    pub(super) fn backoff(&self, random: u64) -> Option<Duration> {
        let retry = self.retry();
        let before = self.course.map_or(0, |course| course.attempts_before);
        let failures = self.attempts() - before;
        (failures < retry.attempts()).then(|| retry.delay(failures, random))
    }

    /// What the attempt that is released next is numbered.
    pub(super) fn next_attempt(&self) -> u32 {
        let further = u32::from(!self.is_in_doubt());
        self.attempts().saturating_add(further)
    }
}

/// A pending request, to be changed.
pub(super) struct PendingMut<'a> {
    pub(super) entry: &'a mut Entry,
    pub(super) courses: &'a mut Slab<Course>,
}

impl PendingMut<'_> {
    pub(super) fn view(&self) -> Pending<'_> {
        Pending::new(self.entry, self.courses)
    }

    /// Its course; from now on it is not plain any more.
    pub(super) fn course(&mut self) -> &mut Course {
        let schedule = match self.entry.plan() {
            Plan::Course(course) => {
                return self
                    .courses
                    .get_mut(course)
                    .expect("the course of a pending request is kept");
            }
            Plan::Immediate => None,
            Plan::Plain(offset) => Some(ScheduleData::from_plain(self.entry.due, offset)),
        };
        let course = self.courses.insert(Course {
            schedule,
            // It was taken in no later than its time, and that is all that is asked of this.
            accepted: Timestamp::EPOCH,
            eligible: self.entry.due,
            revision: 1,
            attempts: 0,
            attempts_before: 0,
            open_attempt: 0,
            step: 0,
            redeliveries: 0,
        });
        self.entry.set_plan(Plan::Course(course));
        self.courses
            .get_mut(course)
            .expect("it was inserted just now")
    }

    pub(super) fn set_flag(&mut self, flag: Flags, value: bool) {
        self.entry.flags.set(flag, value);
    }

    fn has_flag(&self, flag: Flags) -> bool {
        self.entry.flags.has(flag)
    }

    /// Sets the schedule of a request that was accepted with it now; returns the former one. A time already
    /// past is due at once, and was not missed.
    pub(super) fn set_schedule(
        &mut self,
        schedule: ScheduleData,
        now: Timestamp,
    ) -> Option<ScheduleData> {
        let course = self.course();
        let former = course.schedule.replace(schedule);
        course.accepted = now;
        course.attempts_before = course.attempts;
        self.set_step(0);
        while self.view().next_takes_over(now) {
            let step = self.course().step;
            self.set_step(step + 1);
        }
        let is_due = self.entry.due <= now;
        self.set_flag(Flags::JUDGED, is_due);
        former
    }

    /// Counts a change of its schedule.
    pub(super) fn revise(&mut self) {
        let course = self.course();
        course.revision = course.revision.saturating_add(1);
    }

    fn set_step(&mut self, step: u32) {
        let course = self.course();
        let schedule = course.schedule.as_ref();
        let schedule = schedule.expect("only a schedule has steps");
        let due = schedule.times()[step as usize].at();
        course.step = step;
        course.eligible = due;
        self.entry.due = due;
        for flag in [Flags::JUDGED, Flags::EXAMINED, Flags::CLEARED] {
            self.set_flag(flag, false);
        }
    }

    /// Its time has come: which processing time applies, and was it missed? `missed` says whether
    /// nothing ran from a time to its grace's end.
    pub(super) fn sight(&mut self, now: Timestamp, missed: impl Fn(Timestamp) -> bool) -> Verdict {
        if self.view().has_expired(now) {
            return Verdict::Ended(Outcome::Expired, self.view().expiry_rule());
        }
        if self.has_flag(Flags::COOLING) {
            self.cool_down(now);
            return Verdict::Later;
        }
        if self.has_flag(Flags::CLEARED) || self.has_flag(Flags::IN_DOUBT) {
            return Verdict::Due;
        }
        loop {
            if self.view().next_takes_over(now) {
                let step = self.course().step;
                self.set_step(step + 1);
                continue;
            }
            if self.has_flag(Flags::JUDGED) {
                return Verdict::Due;
            }
            self.set_flag(Flags::JUDGED, true);
            let view = self.view();
            let accepted = view.course.map_or(Timestamp::EPOCH, |c| c.accepted);
            if view.due <= accepted || !missed(view.due) {
                return Verdict::Due;
            }
            match (view.missed_policy(), view.next_time()) {
                (MissedPolicy::Release, _) => return Verdict::Due,
                // A request that has another time to come is not given up: the missed one is passed over.
                (_, Some(next)) => {
                    let step = self.course().step;
                    self.set_step(step + 1);
                    if next > now {
                        return Verdict::Later;
                    }
                }
                (MissedPolicy::Expire, None) => {
                    return Verdict::Ended(Outcome::Expired, Rule::Missed);
                }
                (MissedPolicy::NextDay, None) => return self.next_day(now, Rule::Missed),
            }
        }
    }

    /// The condition at hand does not hold: later, the exhausted rule, or (`Due`) release anyway.
    pub(super) fn condition_failed(&mut self, now: Timestamp) -> Verdict {
        self.set_flag(Flags::EXAMINED, true);
        let view = self.view();
        let schedule = view.schedule().expect("only a schedule has conditions");
        if let Some(next) = view.next_time() {
            // Where the next time comes first, it takes over when it is seen to have come.
            let eligible = now.saturating_add(schedule.recheck()).min(next);
            self.course().eligible = eligible;
            return Verdict::Later;
        }
        match schedule.exhausted() {
            ExhaustedRule::Release => Verdict::Due,
            ExhaustedRule::Expire => Verdict::Ended(Outcome::Expired, Rule::Exhausted),
            ExhaustedRule::NextDay => self.next_day(now, Rule::Exhausted),
        }
    }

    /// The whole schedule moves on by days, so that the time at hand lies ahead again.
    fn next_day(&mut self, now: Timestamp, why: Rule) -> Verdict {
        let course = self.course();
        let schedule = course.schedule.as_ref();
        let schedule = schedule.expect("only a schedule has days");
        let Some(moved) = schedule.next_day(course.step as usize, now) else {
            return Verdict::Ended(Outcome::Expired, why);
        };
        let first_ahead = moved
            .times()
            .iter()
            .position(|time| time.at() > now)
            .unwrap_or(0);
        course.schedule = Some(moved);
        course.attempts_before = course.attempts;
        self.set_step(u32::try_from(first_ahead).unwrap_or(0));
        self.revise();
        Verdict::Later
    }

    /// An attempt is released: counts it.
    pub(super) fn count_attempt(&mut self) {
        let course = self.course();
        course.attempts = course.attempts.saturating_add(1);
        course.redeliveries = 0;
    }

    /// The router is told of the attempt released last: from now on its lease is good.
    pub(super) fn open_attempt(&mut self) {
        let course = self.course();
        course.open_attempt = course.attempts;
    }

    /// The attempt at the router was settled: its lease is good no longer.
    pub(super) fn close_attempt(&mut self) {
        self.course().open_attempt = 0;
    }

    /// Nobody was told of the attempt released last: it is as if it had not been. Before the first, the
    /// condition is judged again, because by the next release the answer may be an old one.
    pub(super) fn take_attempt_back(&mut self) {
        let course = self.course();
        course.attempts -= 1;
        if course.open_attempt > course.attempts {
            course.open_attempt = 0;
        }
        if course.attempts <= course.attempts_before {
            self.set_flag(Flags::CLEARED, false);
        }
    }

    /// It fell due on hold: where nothing was decided on it yet, it may be missed meanwhile.
    pub(super) fn meet_hold(&mut self) {
        if !self.has_flag(Flags::EXAMINED) {
            self.set_flag(Flags::JUDGED, false);
        }
    }
}
