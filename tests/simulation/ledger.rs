//! The ledger: what the engine promises, checked on what was said to it and heard from it alone. It knows
//! nothing of the model, and no more of the engine than a customer with a good memory would.
//!
//! Where something may have happened unseen (a lease ran out, a lifespan ended), it gives the benefit of the
//! doubt; the model does not.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use duewheel::{
    Completion, Disposition, InteractionRequest, Outcome, Position, ProcessingCondition, Report,
    RescheduleError, ScheduleData, Timestamp,
};

use crate::calls::{Answer, Call, Made};
use crate::desk::{Heard, Inside};
use crate::model::Intake;
use crate::model::command::{Command, number};

/// One accepted request.
#[derive(Debug)]
struct Life {
    order: u64,
    priority: u8,
    position: Position,
    /// `None`: it may have been moved, or not.
    location: Option<u32>,
    /// Its schedule's first time, and its end.
    first: Timestamp,
    not_after: Option<Timestamp>,
    /// A single time without a condition, or none: it is released in order of that time.
    is_plain: bool,
    /// The attempt that was heard of last.
    attempt: u32,
    /// Consultations that panicked since.
    consult_panics: u32,
    /// At the router, which is not known to have said how it went; when its lease ends, if it is accepted.
    out: Option<Option<Timestamp>>,
    /// Nobody has said yet how the attempt went, be its lease over or not.
    is_open: bool,
    /// A failed attempt is not repeated before.
    again: Timestamp,
    /// An earlier attempt may have been acted on, for all that is known; or surely not.
    must_be_marked: bool,
    may_be_marked: bool,
    ended: Option<Outcome>,
    /// With its location, or not.
    may_be_cancelled: bool,
}

/// Releases of a location at a pace.
struct Paced {
    interval_us: u128,
    releases: Vec<Timestamp>,
}

#[derive(Default)]
pub(crate) struct Ledger {
    lives: BTreeMap<u64, Life>,
    held: BTreeSet<u32>,
    paced: BTreeMap<u32, Paced>,
    accepted: u64,
    ended: BTreeMap<Outcome, u64>,
    last_poll: Option<Timestamp>,
    /// The last plain first release of this poll.
    last_plain: Option<(Timestamp, Reverse<u8>, u64)>,
    /// The router has changed something from inside in this poll.
    changed_inside: bool,
    pub(crate) commands: u64,
    pub(crate) inside: u64,
}

impl Life {
    fn take_schedule(&mut self, schedule: &ScheduleData) {
        let times = schedule.times();
        self.first = times[0].at();
        self.not_after = schedule.not_after();
        self.is_plain = times.len() == 1 && *times[0].condition() == ProcessingCondition::Always;
        self.again = Timestamp::EPOCH;
        self.out_is_over();
    }

    /// Whether it is surely at the router.
    fn is_out(&self, now: Timestamp) -> bool {
        self.out
            .is_some_and(|lease| lease.is_none_or(|end| now < end))
    }

    /// Nobody said how its attempt went, and it goes on: the lease ran out.
    fn out_is_over(&mut self) {
        if self.out.take().is_some() {
            self.must_be_marked = true;
            self.may_be_marked = true;
        }
    }
}

impl Ledger {
    /// A call was made, and answered so.
    pub(crate) fn made(&mut self, made: &Made, now: Timestamp) {
        match (&made.call, &made.answer) {
            (Call::Schedule(request), Answer::Scheduled(answers)) => {
                self.scheduled(std::slice::from_ref(request), answers, &made.positions, now);
            }
            (Call::ScheduleBatch(requests), Answer::Scheduled(answers)) => {
                self.scheduled(requests, answers, &made.positions, now);
            }
            (_, Answer::Cancelled(answers)) => {
                for cancelled in answers.iter().flatten() {
                    let life = self.lives.get_mut(&number(cancelled.id)).unwrap();
                    if cancelled.already {
                        let was_cancelled = life.ended == Some(Outcome::Cancelled);
                        assert!(was_cancelled || life.may_be_cancelled, "{cancelled:?}");
                    } else {
                        assert!(!life.is_out(now), "{cancelled:?}, and it is out");
                        self.end(number(cancelled.id), Outcome::Cancelled);
                    }
                }
            }
            (Call::Reschedule(id, schedule, _), Answer::Rescheduled(Ok(()))) => {
                let life = self.lives.get_mut(id).unwrap();
                assert_eq!(life.ended, None, "rescheduled after its end");
                assert!(!life.is_out(now), "rescheduled while it is out");
                assert_eq!(made.positions, [(*id, life.position)]);
                life.take_schedule(schedule);
            }
            (
                Call::Reschedule(_, _, expected),
                Answer::Rescheduled(Err(RescheduleError::Revision { found, .. })),
            ) => assert_ne!(Some(*found), *expected),
            (Call::Complete(lease, completion), Answer::Completed(Ok(_))) => {
                let id = number(lease.id());
                self.completed(id, lease.attempt(), completion, now);
            }
            (Call::Hold(location), Answer::Counted(Ok(in_flight))) => {
                self.held.insert(*location);
                let out = self.lives.values().filter(|life| life.is_out(now));
                let here = out.filter(|life| life.location == Some(*location)).count();
                assert!(here <= *in_flight, "{here} are out, hold says {in_flight}");
            }
            (Call::Resume(location, pace), Answer::Counted(Ok(_))) => {
                self.held.remove(location);
                self.paced.remove(location);
                if let Some(pace) = pace {
                    let interval_us = 1_000_000_u128.div_ceil(pace.releases_per_second().into());
                    let paced = Paced {
                        interval_us,
                        releases: Vec::new(),
                    };
                    self.paced.insert(*location, paced);
                }
            }
            (Call::CancelLocation(location), Answer::Changed(Ok(change))) => {
                *self.ended.entry(Outcome::Cancelled).or_default() += change.changed as u64;
                // Each of those that were there and not out has ended, cancelled or expired.
                for life in self.lives.values_mut() {
                    let here = life.location == Some(*location);
                    life.may_be_cancelled |= here || life.location.is_none();
                    if here && life.out.is_none() {
                        life.ended.get_or_insert(Outcome::Cancelled);
                    }
                }
            }
            (Call::MoveLocation(from, to), Answer::Changed(Ok(_))) => {
                for life in self.lives.values_mut() {
                    if life.location == Some(*from) && !life.is_out(now) {
                        life.location = life.out.is_none().then_some(*to);
                    }
                }
            }
            _ => {}
        }
    }

    fn scheduled<R: std::borrow::Borrow<InteractionRequest>>(
        &mut self,
        requests: &[R],
        answers: &[Result<Intake, duewheel::ScheduleErrorReason>],
        positions: &[(u64, Position)],
        now: Timestamp,
    ) {
        let mut positions = positions.iter();
        for (request, answer) in requests.iter().zip(answers) {
            let Ok(intake) = answer else { continue };
            let request = request.borrow();
            let &(id, position) = positions.next().unwrap();
            assert_eq!(id, number(request.id));
            if let Intake::Duplicate { .. } = intake {
                assert_eq!(position, self.lives[&id].position, "the original receipt");
                continue;
            }
            self.accepted += 1;
            let mut life = Life {
                order: self.accepted,
                priority: request.priority.0,
                position,
                location: Some(request.location.index()),
                first: now,
                not_after: None,
                is_plain: true,
                attempt: 0,
                consult_panics: 0,
                out: None,
                is_open: false,
                again: Timestamp::EPOCH,
                must_be_marked: false,
                may_be_marked: false,
                ended: None,
                may_be_cancelled: false,
            };
            if let Some(schedule) = &request.schedule {
                life.take_schedule(schedule);
            }
            self.lives.insert(id, life);
        }
    }

    fn end(&mut self, id: u64, outcome: Outcome) {
        let life = self.lives.get_mut(&id).unwrap();
        let before = life.ended.replace(outcome);
        assert_eq!(before, None, "request {id} ends once");
        life.out = None;
        *self.ended.entry(outcome).or_default() += 1;
    }

    fn completed(&mut self, id: u64, attempt: u32, completion: &Completion, now: Timestamp) {
        let life = self.lives.get_mut(&id).unwrap();
        assert_eq!(
            attempt, life.attempt,
            "request {id}: a newer attempt went out"
        );
        assert!(life.is_open, "request {id}: an attempt is completed once");
        life.is_open = false;
        match completion {
            Completion::Routed => self.end(id, Outcome::Routed),
            Completion::Rejected(_) => self.end(id, Outcome::Rejected),
            Completion::Busy { .. } => {
                // Where the lease had run out, somebody may have acted on it.
                life.may_be_marked |= !life.is_out(now);
                life.out = None;
            }
        }
    }

    pub(crate) fn poll_begins(&mut self, now: Timestamp) {
        if self.last_poll.is_some_and(|last| now < last) {
            for paced in self.paced.values_mut() {
                paced.releases.clear();
            }
        }
        self.last_poll = Some(now);
        self.last_plain = None;
        self.changed_inside = false;
        for life in self.lives.values_mut() {
            // A lease that has run out has, whatever the clock shows later.
            if life.out.flatten().is_some_and(|end| end <= now) {
                life.out = Some(Some(Timestamp::EPOCH));
            }
        }
    }

    /// The router was called in a poll at `now`.
    pub(crate) fn heard(&mut self, heard: &Heard, now: Timestamp) {
        match heard {
            Heard::Asked {
                asked,
                inside,
                answer,
            } => {
                assert_eq!(asked.now, now);
                assert!(asked.due <= now, "asked early: {asked:?}");
                let held = self.held.contains(&asked.location);
                assert!(!held, "asked of a location on hold: {asked:?}");
                let ended = self.lives[&asked.id].ended;
                assert_eq!(ended, None, "asked after its end: {asked:?}");
                self.made_inside(inside, now);
                if answer.is_none() {
                    self.lives.get_mut(&asked.id).unwrap().consult_panics += 1;
                }
            }
            Heard::Told {
                commands,
                inside,
                answers,
            } => {
                for command in commands {
                    self.told(command, now);
                }
                self.made_inside(inside, now);
                for (command, answer) in commands.iter().zip(answers) {
                    let life = &self.lives[&command.id];
                    if life.attempt == command.attempt && life.is_open {
                        self.answered(command.id, answer.as_ref(), now);
                    }
                }
            }
        }
    }

    fn made_inside(&mut self, inside: &[Inside], now: Timestamp) {
        for Inside { made, .. } in inside {
            self.made(made, now);
            self.inside += 1;
            self.changed_inside |= made.call.changes();
        }
    }

    fn told(&mut self, command: &Command, now: Timestamp) {
        self.commands += 1;
        let id = command.id;
        let life = self
            .lives
            .get_mut(&id)
            .expect("what is released was accepted");
        assert_eq!(command.released, now, "{command:?}");
        assert_eq!(life.ended, None, "released after its end: {command:?}");
        assert!(command.due <= now, "released early: {command:?}");
        assert!(life.first <= command.due, "{:?}: {command:?}", life.first);
        assert!(life.again <= now, "repeated early: {command:?}");
        let is_over = life.not_after.is_some_and(|end| end <= now);
        assert!(!is_over, "released after its lifespan: {command:?}");
        assert!(!life.is_out(now), "released twice: {command:?}");
        let attempts = life.attempt + 1..=life.attempt + 1 + life.consult_panics;
        assert!(attempts.contains(&command.attempt), "a gap: {command:?}");
        let location = life.location.replace(command.location);
        assert!(
            location.is_none_or(|location| location == command.location),
            "{location:?}: {command:?}"
        );
        let held = self.held.contains(&command.location);
        assert!(!held, "released on hold: {command:?}");
        life.out_is_over();
        assert!(!life.must_be_marked || command.redelivery, "{command:?}");
        assert!(life.may_be_marked || !command.redelivery, "{command:?}");
        if let Some(paced) = self.paced.get_mut(&command.location) {
            paced.released(now);
        } else if life.is_plain && command.attempt == 1 && !self.changed_inside {
            let key = (command.due, Reverse(life.priority), life.order);
            let last = self.last_plain.replace(key);
            assert!(
                last.is_none_or(|last| last < key),
                "out of order: {command:?}"
            );
        }
        life.attempt = command.attempt;
        life.consult_panics = 0;
        life.again = Timestamp::EPOCH;
        life.out = Some(None);
        life.is_open = true;
    }

    fn answered(&mut self, id: u64, answer: Option<&Disposition>, now: Timestamp) {
        let life = self.lives.get_mut(&id).unwrap();
        match answer {
            Some(Disposition::Routed) => self.end(id, Outcome::Routed),
            Some(Disposition::Rejected(_)) => self.end(id, Outcome::Rejected),
            Some(Disposition::Accepted { lease_for }) => {
                // One of no length may be found over in this very poll.
                let end = match lease_for.is_zero() {
                    true => Timestamp::EPOCH,
                    false => now.saturating_add(*lease_for),
                };
                life.out = Some(Some(end));
            }
            Some(Disposition::Busy { retry_after }) => {
                (life.out, life.is_open) = (None, false);
                life.again = now.saturating_add(retry_after.unwrap_or(Duration::ZERO));
            }
            Some(Disposition::Reschedule(schedule)) => {
                (life.out, life.is_open) = (None, false);
                life.take_schedule(schedule);
            }
            // It panicked: the attempt has failed, and may still be completed.
            None => life.out = Some(Some(Timestamp::EPOCH)),
        }
    }

    /// What the engine reports is what was heard of it.
    pub(crate) fn check(&self, report: &Report) {
        let ended = report.outcomes.values().sum::<u64>();
        assert_eq!(report.pending + ended, self.accepted, "nothing is lost");
        for outcome in [Outcome::Routed, Outcome::Rejected, Outcome::Cancelled] {
            let heard = self.ended.get(&outcome).copied().unwrap_or(0);
            assert_eq!(report.outcomes[&outcome], heard, "{outcome:?}");
        }
    }
}

impl Paced {
    /// In no span since the pace was set are there more releases than the pace allows.
    fn released(&mut self, now: Timestamp) {
        self.releases.push(now);
        let count = self.releases.len();
        for (before, &since) in self.releases.iter().enumerate() {
            let intervals_us = (count - 1 - before) as u128 * self.interval_us;
            let span_ms = now.as_millis() - since.as_millis();
            assert!(
                intervals_us <= u128::from(span_ms) * 1_000 + 999,
                "{} releases in {span_ms} ms, one in {} us is the pace",
                count - before,
                self.interval_us
            );
        }
    }
}
