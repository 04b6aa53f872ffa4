//! The model's poll.

use std::cmp::Reverse;

use duewheel::{
    Disposition, ExhaustedRule, Media, MissedPolicy, Outcome, ProcessingCondition, ScheduleData,
    Timestamp,
};

use super::command::{Command, Consulted};
use super::recovery::CRASH_REDELIVERIES_AT_ONCE;
use super::{Model, Outside, Place};

/// What a poll is to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    pub(crate) examined: usize,
    pub(crate) released: usize,
    pub(crate) more: bool,
}

impl Model {
    /// Releases what is due.
    pub(crate) fn poll(
        &mut self,
        now: Timestamp,
        budget: usize,
        outside: &mut impl Outside,
    ) -> Polled {
        self.unordered(|model| model.run_poll(now, budget, outside))
    }

    fn run_poll(&mut self, now: Timestamp, budget: usize, outside: &mut impl Outside) -> Polled {
        if self.polls.last().is_some_and(|last| now < *last) {
            let lines = self.locations.iter_mut().filter_map(|at| at.line.as_mut());
            lines.for_each(|line| line.step_back(now));
            // No gap reaches over a step back, and none from before it counts any more.
            self.stepped_back = self.polls.len() + 1;
        }
        for location in &mut self.locations {
            location.look_at_line();
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
            let Some((_, id)) = head else {
                if self.batch.is_empty() {
                    break;
                }
                // What the router sends back to now is taken up by this poll.
                self.hand_over(now, outside);
                continue;
            };
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
            let first = &self.requests[&id];
            let line = (first.place == Place::InLine).then_some(first.location);
            polled.released += usize::from(self.examine(id, now, outside));
            if let Some(location) = line {
                self.locations[location as usize].look_at_line();
            }
        }
        // Without budget left.
        self.hand_over(now, outside);
        self.settle_looks(now, outside);
        if polled.more {
            self.looked_ahead = self.looked_ahead.max(Some(now));
        } else {
            self.looked_ahead = None;
            self.caught_up = self.polls.len();
        }
        polled
    }

    /// A poll that has not come to its end may or may not have looked at requests whose look is due after the
    /// first that is left: what the engine shows of them decides.
    pub(crate) fn settle_looks(&mut self, now: Timestamp, outside: &impl Outside) {
        for id in self.looks_until(now) {
            if outside.seen(id) != self.status(id) {
                self.look(id, now);
            }
        }
    }

    /// Whether it would show, once the clock went on to `next` or stepped back to it, what polls that ran out
    /// of budget have looked at. (Where it would, a poll that does not is due first.)
    pub(crate) fn would_show(&self, now: Timestamp, next: Timestamp) -> bool {
        let Some(ahead) = self.looked_ahead else {
            return false;
        };
        let uncertain = self.looks_until(ahead);
        next < now && !uncertain.is_empty()
            || uncertain.into_iter().any(|id| {
                let pending = &self.requests[&id];
                // When it began to cool down is not seen.
                pending.has_expired(next) || pending.gives_way(next) || pending.cooling
            })
    }

    /// The first request whose turn it is: by tick, then due time, priority and intake.
    fn head(&self, now: Timestamp) -> Option<(Timestamp, u64)> {
        let ready = self.requests.iter().filter(|(_, pending)| {
            let has_turn = match pending.place {
                Place::Ready => true,
                Place::InLine => self.locations[pending.location as usize].opens <= now,
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
            Place::Routing { until } => until,
            Place::Ready | Place::Examining => None,
        }
    }

    /// When something is next to happen by itself.
    pub(crate) fn next_event(&self, now: Timestamp) -> Option<Timestamp> {
        let ids = self.requests.iter();
        ids.filter_map(|(&id, pending)| match pending.place {
            Place::Ready => Some(pending.releasable),
            Place::InLine => {
                let line = self.locations[pending.location as usize].line;
                let opens = line
                    .map_or(now, |line| line.opens())
                    .max(pending.releasable)
                    .max(now);
                self.event(id).into_iter().chain([opens]).min()
            }
            _ => self.event(id),
        })
        .min()
    }

    fn first_event(&self, now: Timestamp) -> Timestamp {
        let events = self.requests.keys().filter_map(|&id| self.event(id));
        events.min().map_or(now, |event| event.min(now))
    }

    pub(super) fn looks_until(&self, horizon: Timestamp) -> Vec<u64> {
        let due = |id: &u64| self.event(*id).is_some_and(|event| event <= horizon);
        self.requests.keys().copied().filter(due).collect()
    }

    pub(super) fn look(&mut self, id: u64, now: Timestamp) {
        let pending = self.requests.get_mut(&id).unwrap();
        match pending.place {
            Place::Waiting { .. } | Place::InLine => self.sight(id, None, now),
            Place::Parked => self.expire(id, now),
            Place::Routing { .. } => {
                pending.redelivery = true;
                self.fail(id, "lease_ran_out", None, now);
            }
            Place::Ready | Place::Examining => unreachable!("nothing happens to it by itself"),
        }
    }

    /// Its time has come, or its hold (since then) is over: which time applies, and was it missed?
    pub(super) fn sight(&mut self, id: u64, held_since: Option<Timestamp>, now: Timestamp) {
        loop {
            let pending = &self.requests[&id];
            if pending.has_expired(now) {
                return self.expire(id, now);
            }
            if pending.cooling {
                return self.cool_down(id, now);
            }
            let missed = if pending.place == Place::Parked {
                held_since.is_some_and(|since| since <= pending.due)
                    && pending.due.saturating_add(self.settings.grace) <= now
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
                pending.wait();
                return self.log(id);
            }
        }
        let pending = self.requests.get_mut(&id).unwrap();
        if pending.place == Place::Parked {
            pending.wait();
        } else {
            pending.place = Place::Ready;
        }
    }

    /// It was handed over so often without anybody hearing how that went that it waits for a while.
    fn cool_down(&mut self, id: u64, now: Timestamp) {
        let pending = self.requests.get_mut(&id).unwrap();
        pending.cooling = false;
        let waits = pending.redeliveries + 1 - CRASH_REDELIVERIES_AT_ONCE;
        let again = now.saturating_add(pending.retry().delay(waits, 0));
        pending.releasable = again.max(pending.releasable);
        pending.wait();
        self.log(id);
    }

    /// Whether no poll ran from the time at hand until its grace was over.
    fn was_not_polled(&self, id: u64) -> bool {
        let pending = &self.requests[&id];
        // A gap may be from before the clock stepped back.
        let since = pending.polls_before.max(self.stepped_back);
        let is_over = self
            .polls
            .last()
            .is_some_and(|now| pending.due.saturating_add(self.settings.grace) < *now);
        is_over
            && (since.max(self.caught_up)..self.polls.len()).any(|at| {
                let until = self.polls[at];
                let since = at.checked_sub(1).map(|before| self.polls[before]);
                since.is_none_or(|since| since < pending.due)
                    && pending.due.saturating_add(self.settings.grace) < until
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
        self.log(id);
    }

    /// Takes the turn of a request, and says whether it was released.
    fn examine(&mut self, id: u64, now: Timestamp, outside: &mut impl Outside) -> bool {
        let pending = self.requests.get_mut(&id).unwrap();
        let intake = pending.intake;
        pending.place = Place::Examining;
        let mut released = self.decide(id, now);
        let waits = self.settings.is_durable;
        if released.is_none() && !self.batch.is_empty() && (self.rests_on_answer(id) || !waits) {
            // The router is asked, and what was released before is handed over first, so that it knows of it; where that
            // waits for the store, only for an answer that decides something.
            self.hand_over(now, outside);
            if !self.is_examining(id, intake) {
                return false;
            }
            released = self.decide(id, now);
        }
        if let Some(released) = released {
            self.hand_over_if_full(now, outside);
            return released;
        }
        let asked = self.due_request(id, now);
        let key = (asked.location, asked.response_media);
        let answer = outside.consult(self, asked);
        self.panics += u64::from(answer.is_none());
        if !self.is_examining(id, intake) {
            return false;
        }
        let Some(answer) = answer else {
            self.requests.get_mut(&id).unwrap().count_attempt();
            self.fail(id, "router_panicked", None, now);
            return false;
        };
        self.answers.retain(|(other, _)| *other != key);
        self.answers.push((key, answer));
        let released = self.decide(id, now).unwrap_or_else(|| {
            // It was moved meanwhile, and nobody was asked of its new location.
            self.requests.get_mut(&id).unwrap().wait();
            false
        });
        self.hand_over_if_full(now, outside);
        released
    }

    /// Whether it has a condition that is still to be judged, or a threshold wait time.
    fn rests_on_answer(&self, id: u64) -> bool {
        let pending = &self.requests[&id];
        let has_threshold = |schedule: &ScheduleData| schedule.threshold_wait().is_some();
        let conditional = !pending.cleared && pending.condition() != ProcessingCondition::Always;
        conditional || pending.schedule.as_ref().is_some_and(has_threshold)
    }

    /// Whether it was neither cancelled nor rescheduled nor completed from inside the router.
    fn is_examining(&self, id: u64, intake: u64) -> bool {
        let pending = self.requests.get(&id);
        pending.is_some_and(|p| p.intake == intake && p.place == Place::Examining)
    }

    /// What becomes of a request whose turn it is; `None` where the router is to be asked.
    fn decide(&mut self, id: u64, now: Timestamp) -> Option<bool> {
        let pending = self.requests.get_mut(&id).unwrap();
        let location = pending.location;
        let at = location as usize;
        if pending.has_expired(now) {
            self.expire(id, now);
            return Some(false);
        }
        if self.locations[at].held_since.is_some() {
            pending.place = Place::Parked;
            // A hold that covers what was not decided yet can make it missed.
            pending.judged &= pending.decided;
            return Some(false);
        }
        let mut ahead = false;
        let mut rests_on = None;
        if let Some(schedule) = &pending.schedule {
            let threshold = schedule.threshold_wait();
            let key = (location, pending.response_media(now));
            let known = self.answers.iter().find(|(other, _)| *other == key);
            let &(_, consultation) = known?;
            let condition = pending.condition();
            let conditional = !pending.cleared && condition != ProcessingCondition::Always;
            rests_on = (conditional || threshold.is_some()).then_some(key);
            let holds = condition.holds(&consultation);
            if conditional && !holds && !self.condition_failed(id, now) {
                return Some(false);
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
            self.locations[at].look_at_line();
            return Some(false);
        }
        if let Some(key) = rests_on {
            self.use_up(key);
        }
        self.locations[at].look_at_line();
        self.release(id, ahead, now);
        Some(true)
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
        pending.count_attempt();
        (pending.decided, pending.cleared) = (true, true);
        pending.open_attempt = pending.attempts;
        pending.place = Place::Routing { until: None };
        let late = now.saturating_duration_since(pending.releasable.max(pending.accepted));
        self.released += 1;
        self.latest_ms = self.latest_ms.max(u64::try_from(late.as_millis()).unwrap());
        let command = self.command(id, ahead, now);
        self.batch.push(command);
        self.log(id);
    }

    fn hand_over_if_full(&mut self, now: Timestamp, outside: &mut impl Outside) {
        if self.batch.len() >= self.settings.gather_max() {
            self.hand_over(now, outside);
        }
    }

    /// Hands over what was released, and applies what the router answers.
    fn hand_over(&mut self, now: Timestamp, outside: &mut impl Outside) {
        let commands = std::mem::take(&mut self.batch);
        if commands.is_empty() {
            return;
        }
        if self.settings.is_durable {
            outside.sync(self);
            self.sync();
        }
        let attempt = |told: &Command| (told.id, self.requests[&told.id].intake, told.attempt);
        let attempts: Vec<(u64, u64, u32)> = commands.iter().map(attempt).collect();
        let alone = commands.len() == 1;
        let mut left = commands.into_iter().zip(attempts).peekable();
        while left.peek().is_some() {
            let some = left.by_ref().take(self.settings.route_batch);
            let (commands, attempts): (Vec<_>, Vec<_>) = some
                .filter(|&(_, attempt)| alone || self.may_still_go(attempt))
                .unzip();
            if commands.is_empty() {
                continue;
            }
            let answers = outside.route(self, commands);
            assert_eq!(answers.len(), attempts.len());
            for ((id, intake, attempt), answer) in attempts.into_iter().zip(answers) {
                self.panics += u64::from(answer.is_none());
                let pending = self.requests.get(&id);
                // A completion that came first has settled it.
                if pending.is_some_and(|p| p.intake == intake && p.open_attempt == attempt) {
                    self.settle(id, answer, now);
                }
            }
        }
    }

    /// Whether a command that waited for its batch is still to be handed over. Where it meets a hold, it is as if it
    /// had not been released.
    fn may_still_go(&mut self, (id, intake, attempt): (u64, u64, u32)) -> bool {
        let pending = self.requests.get_mut(&id);
        let Some(pending) = pending.filter(|p| p.intake == intake && p.open_attempt == attempt)
        else {
            return false;
        };
        if self.locations[pending.location as usize]
            .held_since
            .is_none()
        {
            return true;
        }
        if pending.redeliveries > 0 {
            pending.redeliveries -= 1;
            pending.in_doubt = true;
        } else {
            pending.attempts -= 1;
            pending.open_attempt = 0;
            pending.cleared &= pending.attempts > pending.attempts_before;
        }
        pending.place = Place::Parked;
        pending.judged &= pending.decided;
        self.log(id);
        false
    }

    fn settle(&mut self, id: u64, answer: Option<Disposition>, now: Timestamp) {
        let polls = self.polls.len();
        let pending = self.requests.get_mut(&id).unwrap();
        match answer {
            None => {
                pending.redelivery = true;
                self.fail(id, "router_panicked", None, now);
            }
            Some(Disposition::Accepted { lease_for }) => {
                let until = now.saturating_add(lease_for);
                pending.place = Place::Routing { until: Some(until) };
            }
            Some(Disposition::Busy { retry_after }) => {
                pending.open_attempt = 0;
                self.fail(id, "busy", retry_after, now);
            }
            Some(Disposition::Reschedule(schedule)) => {
                pending.open_attempt = 0;
                pending.set_schedule(schedule, now, polls);
                pending.revision += 1;
                self.log(id);
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
            attempt: pending.next_attempt(),
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
            lease: format!("{id}/{}/{}", pending.attempts, self.epoch),
        }
    }
}
