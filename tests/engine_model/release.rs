//! The model's poll, and the commands on whole locations.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use duewheel::{
    Consultation, Disposition, ExhaustedRule, LocationChange, Media, MissedPolicy, Outcome, Pace,
    ProcessingCondition, RequestStatus, Timestamp,
};

use crate::model::{EPOCH, GRACE, Location, Model, Place};
use crate::pace::Line;
use crate::script::{Command, Consulted, disposition};

/// What a poll is to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    pub(crate) examined: usize,
    pub(crate) released: usize,
    pub(crate) more: bool,
}

impl Model {
    /// Releases what is due. A poll that runs out of budget may or may not have looked at requests whose
    /// look is due after the first that was left; `seen` says what the engine shows of them.
    pub(crate) fn poll(
        &mut self,
        now: Timestamp,
        budget: usize,
        seen: impl Fn(u64) -> Option<RequestStatus>,
    ) -> Polled {
        if self.polls.last().is_some_and(|last| now < *last) {
            let lines = self.locations.iter_mut().filter_map(|at| at.line.as_mut());
            lines.for_each(|line| line.step_back(now));
            // No gap reaches over a step back, and none from before it counts any more.
            self.stepped_back = self.polls.len() + 1;
        }
        self.polls.push(now);
        self.answers.clear();
        let mut polled = Polled::default();
        loop {
            let head = self.head(now);
            // Without a head the earliest event may make one.
            let horizon = head.map_or_else(|| self.first_event(now), |(tick, _)| tick);
            // One at a time: the first may be the head then, and the others lie behind it.
            let looks = self.looks_until(horizon).into_iter();
            if let Some(first) = looks.min_by_key(|&id| self.event(id)) {
                self.look(first, now);
                continue;
            }
            let Some((_, id)) = head else { break };
            let first = self.requests.get_mut(&id).unwrap();
            if first.has_expired(now) || !first.is_retried() && first.gives_way(now) {
                // It waited for its turn until its end or its next time came.
                first.wait();
                continue;
            }
            if polled.examined >= budget {
                polled.more = true;
                break;
            }
            polled.examined += 1;
            polled.released += usize::from(self.examine(id, now));
        }
        for id in self.looks_until(now) {
            if seen(id) != self.status(id) {
                self.look(id, now);
            }
        }
        polled
    }

    /// Requests that a poll at `now` may have looked at or not.
    pub(crate) fn are_uncertain(&self, now: Timestamp) -> bool {
        !self.looks_until(now).is_empty()
    }

    /// Whether one of them is overtaken by `next`.
    pub(crate) fn would_show(&self, now: Timestamp, next: Timestamp) -> bool {
        let uncertain = self.looks_until(now);
        uncertain.into_iter().any(|id| {
            let pending = &self.requests[&id];
            pending.has_expired(next) || pending.gives_way(next)
        })
    }

    /// The first request whose turn it is: by tick, then due time, priority and intake.
    fn head(&self, now: Timestamp) -> Option<(Timestamp, u64)> {
        let in_line = self.requests.values().filter(|p| p.place == Place::InLine);
        let lines: BTreeSet<u32> = in_line.map(|pending| pending.location).collect();
        let mut open = lines;
        open.retain(|&at| {
            let line = self.locations[at as usize].line;
            line.is_none_or(|line| line.opens() <= now)
        });
        let ready = self.requests.iter().filter(|(_, pending)| {
            let has_turn = match pending.place {
                Place::Ready => true,
                Place::InLine => open.contains(&pending.location),
                _ => false,
            };
            has_turn && pending.releasable <= now
        });
        ready
            .min_by_key(|(_, pending)| {
                let priority = Reverse(pending.submitted.priority);
                (pending.releasable, pending.due, priority, pending.intake)
            })
            .map(|(&id, pending)| (pending.releasable, id))
    }

    /// When something happens to a request by itself.
    pub(crate) fn event(&self, id: u64) -> Option<Timestamp> {
        let pending = &self.requests[&id];
        let gives_way = !pending.is_retried() && pending.condition() != ProcessingCondition::Always;
        let next = pending.next_time().filter(|_| gives_way);
        let overtaken = next.into_iter().chain(pending.not_after()).min();
        match pending.place {
            Place::Waiting { look } => overtaken.into_iter().chain([look]).min(),
            Place::InLine => overtaken,
            Place::Parked => pending.not_after(),
            Place::Routing { until } => Some(until),
            Place::Ready => None,
        }
    }

    fn first_event(&self, now: Timestamp) -> Timestamp {
        let events = self.requests.keys().filter_map(|&id| self.event(id));
        events.min().map_or(now, |event| event.min(now))
    }

    fn looks_until(&self, horizon: Timestamp) -> Vec<u64> {
        let due = |id: &u64| self.event(*id).is_some_and(|event| event <= horizon);
        self.requests.keys().copied().filter(due).collect()
    }

    fn look(&mut self, id: u64, now: Timestamp) {
        let pending = self.requests.get_mut(&id).unwrap();
        match pending.place {
            Place::Waiting { .. } | Place::InLine => self.sight(id, None, now),
            Place::Parked => self.expire(id, now),
            Place::Routing { .. } => {
                pending.redelivery = true;
                self.fail(id, "lease_ran_out", None, now);
            }
            Place::Ready => unreachable!(),
        }
    }

    /// Its time has come, or its hold (since then) is over: which time applies, and was it missed?
    fn sight(&mut self, id: u64, held_since: Option<Timestamp>, now: Timestamp) {
        loop {
            let pending = &self.requests[&id];
            if pending.has_expired(now) {
                return self.expire(id, now);
            }
            let missed = if pending.place == Place::Parked {
                held_since.is_some_and(|since| since <= pending.due)
                    && pending.due.saturating_add(GRACE) <= now
            } else {
                self.was_not_polled(id)
            };
            let pending = self.requests.get_mut(&id).unwrap();
            if !pending.is_retried() && pending.gives_way(now) {
                pending.turn_to(pending.at_hand + 1);
                continue;
            }
            let is_judged = pending.judged || pending.is_retried();
            pending.judged |= !pending.is_retried();
            if is_judged || pending.due <= pending.accepted || !missed {
                break;
            }
            let policy = pending.schedule.as_ref().unwrap().missed();
            match (policy, pending.next_time()) {
                (MissedPolicy::Release, _) => break,
                (_, Some(_)) => pending.turn_to(pending.at_hand + 1),
                (MissedPolicy::Expire, None) => {
                    return self.end(id, Outcome::Expired, Some("missed"), now);
                }
                (MissedPolicy::NextDay, None) => return self.next_day(id, "missed", now),
            }
            if pending.due > now {
                return pending.wait();
            }
        }
        let pending = self.requests.get_mut(&id).unwrap();
        if pending.place == Place::Parked {
            pending.wait();
        } else {
            pending.place = Place::Ready;
        }
    }

    /// Whether no poll ran from the time at hand until its grace was over.
    fn was_not_polled(&self, id: u64) -> bool {
        let pending = &self.requests[&id];
        // A gap may be from before the clock stepped back.
        let is_over = self
            .polls
            .last()
            .is_some_and(|now| pending.due.saturating_add(GRACE) < *now);
        is_over
            && (pending.polls_before.max(self.stepped_back)..self.polls.len()).any(|at| {
                let until = self.polls[at];
                let since = at.checked_sub(1).map(|before| self.polls[before]);
                since.is_none_or(|since| since < pending.due)
                    && pending.due.saturating_add(GRACE) < until
            })
    }

    fn next_day(&mut self, id: u64, why: &str, now: Timestamp) {
        let pending = self.requests.get_mut(&id).unwrap();
        let schedule = pending.schedule.as_ref().unwrap();
        let Some(moved) = schedule.next_day(pending.at_hand, now) else {
            return self.end(id, Outcome::Expired, Some(why), now);
        };
        let ahead = moved.times().iter().position(|time| time.at() > now);
        pending.schedule = Some(moved);
        pending.attempts_before = pending.attempts;
        pending.revision += 1;
        pending.turn_to(ahead.unwrap_or(0));
        pending.wait();
    }

    /// Takes the turn of a request, and says whether it was released.
    fn examine(&mut self, id: u64, now: Timestamp) -> bool {
        let pending = self.requests.get_mut(&id).unwrap();
        let location = pending.location;
        let at = location as usize;
        if pending.has_expired(now) {
            self.expire(id, now);
            return false;
        }
        if self.locations[at].held_since.is_some() {
            pending.place = Place::Parked;
            // A hold that covers what was not decided yet can make it missed.
            pending.judged &= pending.decided;
            return false;
        }
        let mut ahead = false;
        let mut rests_on_answer = false;
        if pending.schedule.is_some() {
            let Some(consultation) = self.consult(id, now) else {
                return false;
            };
            let pending = &self.requests[&id];
            let condition = pending.condition();
            let threshold = pending.schedule.as_ref().unwrap().threshold_wait();
            let conditional = !pending.cleared && condition != ProcessingCondition::Always;
            rests_on_answer = conditional || threshold.is_some();
            let holds = condition.holds(&consultation);
            if conditional && !holds && !self.condition_failed(id, now) {
                return false;
            }
            ahead = threshold.is_some_and(|threshold| match consultation.expected_wait {
                Some(wait) => wait > threshold,
                None => true,
            });
        }
        let pending = self.requests.get_mut(&id).unwrap();
        if let Some(line) = &mut self.locations[at].line
            && !line.goes(now)
        {
            pending.place = Place::InLine;
            return false;
        }
        if rests_on_answer {
            self.use_up((location, self.requests[&id].response_media(now)));
        }
        self.release(id, ahead, now);
        true
    }

    /// What the router says, once a location, response media and poll; `None`: it panicked.
    fn consult(&mut self, id: u64, now: Timestamp) -> Option<Consultation> {
        let pending = &self.requests[&id];
        let (at, media) = (pending.location, pending.response_media(now));
        if let Some((_, answer)) = self.answers.iter().find(|(key, _)| *key == (at, media)) {
            return Some(*answer);
        }
        let answer = self.standing.consult(id, at);
        match answer {
            Some(consultation) => self.answers.push(((at, media), consultation)),
            None => self.panics += 1,
        }
        let due_request = self.due_request(id, now);
        self.consulted.push(due_request);
        if answer.is_none() {
            self.requests.get_mut(&id).unwrap().attempts += 1;
            self.fail(id, "router_panicked", None, now);
        }
        answer
    }

    fn use_up(&mut self, key: (u32, Media)) {
        for (_, answer) in self.answers.iter_mut().filter(|(other, _)| *other == key) {
            answer.good_for = answer.good_for.map(|good_for| good_for.saturating_sub(1));
        }
        self.answers
            .retain(|(other, answer)| *other != key || answer.good_for != Some(0));
    }

    /// Whether it is released although its condition does not hold.
    fn condition_failed(&mut self, id: u64, now: Timestamp) -> bool {
        let pending = self.requests.get_mut(&id).unwrap();
        pending.decided = true;
        let schedule = pending.schedule.clone().unwrap();
        if let Some(next) = pending.next_time() {
            pending.releasable = now.saturating_add(schedule.recheck()).min(next);
            pending.wait();
            return false;
        }
        match schedule.exhausted() {
            ExhaustedRule::Release => return true,
            ExhaustedRule::Expire => self.end(id, Outcome::Expired, Some("exhausted"), now),
            ExhaustedRule::NextDay => self.next_day(id, "exhausted", now),
        }
        false
    }

    fn release(&mut self, id: u64, ahead: bool, now: Timestamp) {
        let pending = self.requests.get_mut(&id).unwrap();
        pending.attempts += 1;
        (pending.decided, pending.cleared) = (true, true);
        pending.open_attempt = pending.attempts;
        let attempt = pending.attempts;
        let late = now.saturating_duration_since(pending.releasable.max(pending.accepted));
        self.released += 1;
        self.latest_ms = self.latest_ms.max(u64::try_from(late.as_millis()).unwrap());
        let command = self.command(id, ahead, now);
        self.commands.push(command);
        let polls = self.polls.len();
        let pending = self.requests.get_mut(&id).unwrap();
        match disposition(id, attempt, now) {
            None => {
                self.panics += 1;
                pending.redelivery = true;
                self.fail(id, "router_panicked", None, now);
            }
            Some(Disposition::Accepted { lease_for }) => {
                let until = now.saturating_add(lease_for);
                pending.place = Place::Routing { until };
            }
            Some(Disposition::Busy { retry_after }) => {
                pending.open_attempt = 0;
                self.fail(id, "busy", retry_after, now);
            }
            Some(Disposition::Reschedule(schedule)) => {
                pending.open_attempt = 0;
                pending.set_schedule(schedule, now, polls);
                pending.revision += 1;
            }
            Some(Disposition::Rejected(why)) => self.end(id, Outcome::Rejected, Some(&why), now),
            Some(Disposition::Routed) => self.end(id, Outcome::Routed, None, now),
        }
    }

    fn due_request(&self, id: u64, now: Timestamp) -> Consulted {
        let pending = &self.requests[&id];
        Consulted {
            id,
            location: pending.location,
            response_media: pending.response_media(now),
            due: pending.due,
            now,
            attempt: pending.attempts + 1,
        }
    }

    fn command(&self, id: u64, ahead: bool, now: Timestamp) -> Command {
        let pending = &self.requests[&id];
        Command {
            id,
            location: pending.location,
            media: [pending.submitted.media, pending.response_media(now)],
            priority: pending.submitted.priority,
            customer: pending.submitted.customer.clone(),
            payload: pending.submitted.payload.clone(),
            scheduled: pending.schedule.is_some(),
            ahead,
            attempt: pending.attempts,
            redelivery: pending.redelivery,
            due: pending.due,
            released: now,
            lease: format!("{id}/{}/{EPOCH}", pending.attempts),
        }
    }

    // ---- whole locations ----

    fn at(&self, location: u32) -> Vec<u64> {
        let here = |id: &u64| self.requests[id].location == location;
        self.requests.keys().copied().filter(here).collect()
    }

    /// Answers how many commands are out.
    pub(crate) fn hold(&mut self, location: u32, now: Timestamp) -> usize {
        let held_since = &mut self.locations[location as usize].held_since;
        held_since.get_or_insert(now);
        let out = self.at(location).into_iter();
        out.filter(|id| self.requests[id].is_released()).count()
    }

    /// Answers how many were parked.
    pub(crate) fn resume(&mut self, location: u32, pace: Option<Pace>, now: Timestamp) -> usize {
        let before = &mut self.locations[location as usize];
        let held_since = before.held_since;
        *before = Location {
            held_since: None,
            line: pace.map(|pace| Line::after(pace, before.line)),
        };
        let mut parked = 0;
        for id in self.at(location) {
            if self.requests[&id].place == Place::Parked {
                parked += 1;
                self.sight(id, held_since, now);
            }
        }
        parked
    }

    /// Ends what has expired of a location and counts what was released; the others are to be changed.
    fn changeable(&mut self, location: u32, now: Timestamp) -> (Vec<u64>, LocationChange) {
        let mut change = LocationChange::default();
        let mut changeable = Vec::new();
        for id in self.at(location) {
            let pending = &self.requests[&id];
            if pending.is_released() {
                change.too_late += 1;
            } else if pending.has_expired(now) {
                change.too_late += 1;
                self.expire(id, now);
            } else {
                changeable.push(id);
            }
        }
        change.changed = changeable.len();
        (changeable, change)
    }

    pub(crate) fn cancel_location(&mut self, location: u32, now: Timestamp) -> LocationChange {
        let (ids, change) = self.changeable(location, now);
        for id in ids {
            self.end(id, Outcome::Cancelled, Some("location_cancelled"), now);
        }
        change
    }

    pub(crate) fn move_location(&mut self, from: u32, to: u32, now: Timestamp) -> LocationChange {
        if from == to {
            return LocationChange::default();
        }
        let (ids, change) = self.changeable(from, now);
        for id in ids {
            let pending = self.requests.get_mut(&id).unwrap();
            pending.location = to;
            if pending.place == Place::InLine {
                pending.wait();
            }
            if pending.place == Place::Parked {
                // The hold it leaves has no say any more.
                self.sight(id, None, now);
            }
        }
        change
    }

    pub(crate) fn list(&self, location: u32) -> Vec<RequestStatus> {
        let here = self.at(location).into_iter();
        here.map(|id| self.status(id).unwrap()).collect()
    }
}
