//! A pending request of the model, and the rules of its schedule.

use duewheel::{
    InteractionRequest, Media, ProcessingCondition, RequestId, RequestState, RetryPolicy,
    ScheduleData, Timestamp,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// Its next look is due at `look` (or at its lifespan's end).
    Waiting { look: Timestamp },
    /// Looked at, its turn is to come.
    Ready,
    /// Its turn has come, and the router is being asked.
    Examining,
    /// Due, and waiting for its location's pace.
    InLine,
    /// Fallen due on hold.
    Parked,
    /// At the router, which has accepted it until then; or has not answered.
    Routing { until: Option<Timestamp> },
}

/// A pending request.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) submitted: InteractionRequest,
    pub(crate) location: u32,
    pub(crate) schedule: Option<ScheduleData>,
    pub(crate) intake: u64,
    /// When its schedule was set, and how many polls had run by then.
    pub(crate) accepted: Timestamp,
    pub(crate) polls_before: usize,
    /// Which processing time is at hand, and when that is.
    pub(crate) at_hand: usize,
    pub(crate) due: Timestamp,
    /// When it became releasable: at its time, and again at a recheck or a retry.
    pub(crate) releasable: Timestamp,
    pub(crate) place: Place,
    pub(crate) attempts: u32,
    /// Attempts before the schedule was set, which its retry policy does not count.
    pub(crate) attempts_before: u32,
    pub(crate) revision: u32,
    /// The time at hand was judged for being missed.
    pub(crate) judged: bool,
    /// Something was decided at the time at hand.
    pub(crate) decided: bool,
    /// It was released at the time at hand: a retry asks for no condition.
    pub(crate) cleared: bool,
    pub(crate) redelivery: bool,
    /// The attempt that a completion may still settle; 0 for none.
    pub(crate) open_attempt: u32,
    /// The process ended while it was at the router: its attempt is handed over again.
    pub(crate) in_doubt: bool,
    /// How often the attempt at hand was handed over again because it was in doubt.
    pub(crate) redeliveries: u32,
    /// In doubt so often that it waits for a while, once, before it is handed over again.
    pub(crate) cooling: bool,
}

impl Pending {
    pub(crate) fn id(&self) -> RequestId {
        self.submitted.id
    }

    pub(crate) fn state(&self) -> RequestState {
        match self.place {
            _ if self.in_doubt => RequestState::Released,
            Place::Waiting { .. } | Place::Ready | Place::Examining | Place::InLine => {
                RequestState::Scheduled
            }
            Place::Parked => RequestState::Held,
            Place::Routing { .. } => RequestState::Routing,
        }
    }

    pub(crate) fn is_released(&self) -> bool {
        self.in_doubt || matches!(self.place, Place::Routing { .. })
    }

    /// The number of the attempt that is released next.
    pub(crate) fn next_attempt(&self) -> u32 {
        self.attempts + u32::from(!self.in_doubt)
    }

    /// An attempt is released. One in doubt keeps its number, and is handed over again.
    pub(crate) fn count_attempt(&mut self) {
        self.attempts = self.next_attempt();
        if self.in_doubt {
            self.redelivery = true;
            self.redeliveries += 1;
            self.settle_doubt();
        } else {
            self.redeliveries = 0;
        }
    }

    /// It is in doubt no longer.
    pub(crate) fn settle_doubt(&mut self) {
        (self.in_doubt, self.cooling) = (false, false);
    }

    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.not_after().is_some_and(|end| end <= now)
    }

    pub(crate) fn not_after(&self) -> Option<Timestamp> {
        self.schedule.as_ref().and_then(ScheduleData::not_after)
    }

    pub(crate) fn condition(&self) -> ProcessingCondition {
        self.schedule
            .as_ref()
            .map_or(ProcessingCondition::Always, |schedule| {
                schedule.times()[self.at_hand].condition().clone()
            })
    }

    pub(crate) fn next_time(&self) -> Option<Timestamp> {
        let times = self.schedule.as_ref()?.times();
        times.get(self.at_hand + 1).map(|time| time.at())
    }

    /// A conditional time gives way to the next one when that comes; an unconditional one is only late.
    pub(crate) fn gives_way(&self, now: Timestamp) -> bool {
        self.condition() != ProcessingCondition::Always
            && self.next_time().is_some_and(|next| next <= now)
    }

    pub(crate) fn retry(&self) -> RetryPolicy {
        self.schedule
            .as_ref()
            .map_or_else(RetryPolicy::default, |schedule| schedule.retry().clone())
    }

    /// It was released at the time at hand, which decides until it ends.
    pub(crate) fn is_retried(&self) -> bool {
        self.cleared
    }

    pub(crate) fn response_media(&self, now: Timestamp) -> Media {
        let windowed = self.schedule.as_ref().and_then(|schedule| {
            let mut windows = schedule.media_windows().iter();
            windows.find(|window| window.from() <= now && now < window.until())
        });
        windowed.map_or(self.submitted.media, |window| window.media())
    }

    /// Takes a schedule as if the request had come with it now.
    pub(crate) fn set_schedule(&mut self, schedule: ScheduleData, now: Timestamp, polls: usize) {
        self.schedule = Some(schedule);
        self.accepted = now;
        self.polls_before = polls;
        self.attempts_before = self.attempts;
        self.turn_to(0);
        while self.gives_way(now) {
            self.turn_to(self.at_hand + 1);
        }
        self.wait();
    }

    /// Another processing time is at hand.
    pub(crate) fn turn_to(&mut self, at_hand: usize) {
        let schedule = self.schedule.as_ref().unwrap();
        self.at_hand = at_hand;
        self.due = schedule.times()[at_hand].at();
        self.releasable = self.due;
        (self.judged, self.decided, self.cleared) = (false, false, false);
    }

    pub(crate) fn wait(&mut self) {
        self.place = Place::Waiting {
            look: self.releasable,
        };
    }
}
