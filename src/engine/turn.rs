//! What becomes of a request whose turn it is, one after the other:
//!
//! 1. its lifespan, and its location's hold;
//! 2. for scheduled requests, what the router's consultation says: does the processing condition hold?
//!    does the expected wait exceed the threshold wait time?
//! 3. its location's pace;
//! 4. release: the attempt is counted and its lease minted, and the command goes to the router, or to the
//!    dispatch workers' queue.

use super::Engine;
use super::cell::ShardGuard;
use super::delivery::caught;
use super::entry::{Phase, Verdict, reason};
use super::lines::Lined;
use super::poll::{Attempt, Polling};
use super::shard::Shard;
use crate::ids::{LocationId, Media, Timestamp};
use crate::router::DueRequest;
use crate::schedule::ProcessingCondition;
use crate::sync::{Arc, Ordering};
use crate::telemetry::{News, Span, note, tell};

/// What becomes of a request that is examined.
enum Decision {
    /// It waits, is parked or has ended.
    Settled,
    /// The router must be asked first.
    Consult(DueRequest),
    /// Its location's pace has no token before this time.
    StandInLine(Timestamp),
    /// It is released; whether ahead of non-scheduled interactions.
    Release { ahead: bool },
}

impl<'e> Polling<'e> {
    /// Examines a request that was taken out of its heap or line; `None` where its key was stale.
    pub(super) fn examine_entry(
        &mut self,
        place: usize,
        taken: Option<u32>,
        mut shard: ShardGuard<'e>,
    ) {
        let engine = self.engine;
        let Some(index) = taken else {
            // It was cancelled or rescheduled.
            self.fires_left -= 1;
            return;
        };
        if shard.entry(index).is_overtaken(self.now) {
            shard.wait(index);
            self.fires_left -= 1;
            return;
        }
        self.poll.examined += 1;
        let mut decision = self.decide(&mut shard, index);
        if let Decision::Consult(due) = decision {
            let intake = shard.entry(index).intake;
            drop(shard);
            // The answer must know of what was released before.
            self.route_batch();
            let span = Span::consult(due.id, due.location);
            let answer = caught(|| engine.router.consult(&due));
            drop(span);
            if answer.is_none() {
                engine.router_panics.fetch_add(1, Ordering::Relaxed);
                tell!(RouterPanicked { call: "consult" });
            }
            shard = engine.shards[place].lock();
            let still_here = shard
                .entries
                .get(index)
                .is_some_and(|e| e.intake == intake && e.phase() == Phase::Examining);
            if !still_here {
                return;
            }
            decision = match answer {
                Some(consultation) => {
                    let key = (due.location, due.response_media);
                    self.poller().consultations.insert(key, consultation);
                    self.decide(&mut shard, index)
                }
                None => {
                    shard.entry_mut(index).attempts += 1;
                    shard.fail_attempt(index, reason::PANIC, None, self.now, &mut self.trash);
                    Decision::Settled
                }
            };
        }
        let ahead = match decision {
            Decision::Release { ahead } => ahead,
            Decision::StandInLine(opens) => {
                let location = shard.entry(index).location;
                note!(
                    self.trash.news,
                    InLine {
                        id: shard.entry(index).id,
                        location,
                        opens
                    }
                );
                let key = shard.stand_in_line(index);
                drop(shard);
                self.trash.news.tell();
                self.stand_in_line(location, (key, place), opens);
                return;
            }
            Decision::Consult(_) => {
                // Its location was moved while the router was asked, and the answer is the former
                // one's: it takes its turn again, which the budget bounds.
                shard.wait(index);
                return;
            }
            Decision::Settled => {
                drop(shard);
                self.trash.clear();
                return;
            }
        };
        self.poll.released += 1;
        let entry = shard.entry(index);
        let attempt = Attempt {
            place,
            index,
            intake: entry.intake,
            number: entry.attempts,
        };
        let location = entry.location;
        let late = self
            .now
            .saturating_duration_since(entry.eligible.max(entry.accepted));
        note!(
            self.trash.news,
            Released {
                id: entry.id,
                location,
                attempt: attempt.number,
                ahead,
                due: entry.due,
                late
            }
        );
        let command = match &self.dispatch {
            Some(_) => {
                shard.set_phase(index, Phase::Released);
                None
            }
            None => {
                shard.start_routing(index);
                Some(engine.command(shard.entry(index), ahead, self.now))
            }
        };
        drop(shard);
        self.trash.news.tell();
        // It may have taken the token that the head of the line was to have.
        self.place_line(location);
        engine.lateness.lock().record(location, late);
        match (command, &self.dispatch) {
            (Some(command), _) => {
                self.poller().batch.push((attempt, command));
                if self.poller().batch.len() >= engine.settings.route_batch {
                    self.route_batch();
                }
            }
            (None, Some(dispatch)) => {
                if let Err(attempt) = dispatch.push(location, attempt, ahead) {
                    engine.take_back(vec![attempt]);
                }
            }
            (None, None) => unreachable!("a command is made where nothing dispatches"),
        }
    }

    /// What becomes of a request whose turn it is. On `Release` its attempt is counted already.
    fn decide(&mut self, shard: &mut Shard, index: u32) -> Decision {
        let now = self.now;
        let entry = shard.entry(index);
        if entry.has_expired(now) {
            shard.expire(index, now, &mut self.trash);
            return Decision::Settled;
        }
        let page = shard
            .book
            .page(entry.location)
            .expect("a pending request's page is open");
        let control = Arc::clone(&page.control);
        if control.is_held() {
            shard.note_parked(index, &mut self.trash.news);
            shard.park(index);
            return Decision::Settled;
        }
        let mut ahead = false;
        let mut rests_on = None;
        if entry.schedule.is_some() {
            let key = (entry.location, entry.response_media(now));
            let Some(&consultation) = self.poller().consultations.get(&key) else {
                return Decision::Consult(DueRequest {
                    id: entry.id,
                    location: entry.location,
                    request_media: entry.media,
                    response_media: key.1,
                    priority: entry.priority,
                    due: entry.due,
                    now,
                    attempt: entry.attempts.saturating_add(1),
                });
            };
            let conditional = !entry.cleared && *entry.condition() != ProcessingCondition::Always;
            let threshold = entry.threshold_wait();
            rests_on = (conditional || threshold.is_some()).then_some(key);
            let fails = conditional && !entry.condition().holds(&consultation);
            if conditional {
                note!(
                    self.trash.news,
                    Judged {
                        id: entry.id,
                        location: entry.location,
                        holds: !fails
                    }
                );
            }
            if fails {
                match shard.entry_mut(index).condition_failed(now) {
                    // Exhausted: it is released anyway.
                    Verdict::Due => {}
                    Verdict::Later => {
                        shard.wait(index);
                        return Decision::Settled;
                    }
                    Verdict::Ended(outcome, why) => {
                        shard.end(index, outcome, Some(why.into()), now, &mut self.trash);
                        return Decision::Settled;
                    }
                }
            }
            ahead = threshold.is_some_and(|threshold| {
                consultation
                    .expected_wait
                    .is_none_or(|wait| wait > threshold)
            });
        }
        if let Err(opens) = control.take_token(now) {
            return Decision::StandInLine(opens);
        }
        if let Some(key) = rests_on {
            self.use_up(key);
        }
        let entry = shard.entry_mut(index);
        entry.cleared = true;
        entry.examined = true;
        entry.attempts = entry.attempts.saturating_add(1);
        Decision::Release { ahead }
    }

    /// Puts a request into its location's line, which opens then.
    fn stand_in_line(&mut self, location: LocationId, lined: Lined, opens: Timestamp) {
        let (engine, now) = (self.engine, self.now);
        let lines = &mut self.poller().lines;
        if lines.add(location, lined) {
            lines.compact(location, |(key, place)| {
                engine.shards[*place].lock().stands_in_line(location, key)
            });
        }
        lines.place(location, opens, now);
    }

    /// A release rests on this answer, by its condition or its threshold wait time: it is good for one fewer.
    fn use_up(&mut self, key: (LocationId, Media)) {
        let consultations = &mut self.poller().consultations;
        let Some(consultation) = consultations.get_mut(&key) else {
            return;
        };
        let Some(good_for) = &mut consultation.good_for else {
            return;
        };
        *good_for = good_for.saturating_sub(1);
        if *good_for == 0 {
            consultations.remove(&key);
        }
    }

    /// Hands over what was released, with no lock held.
    pub(super) fn route_batch(&mut self) {
        let engine = self.engine;
        let mut batch = std::mem::take(&mut self.poller().batch);
        if batch.len() == 1 {
            for (attempt, command) in batch.drain(..) {
                engine.route(attempt, command, || self.now);
            }
        } else {
            batch.retain(|(attempt, _)| !engine.park_if_held(*attempt));
            let (attempts, commands): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            if !attempts.is_empty() {
                engine.route_many(&attempts, commands, self.now);
            }
        }
        self.poller().batch = batch;
    }
}

impl Engine {
    /// A command that waited for its batch may meet a hold. Nobody was told of it: it is as if it had not been
    /// released. Says whether it met one.
    fn park_if_held(&self, attempt: Attempt) -> bool {
        let index = attempt.index;
        let mut news = News::default();
        let mut shard = self.shards[attempt.place].lock();
        if shard.phase_of(attempt) != Some(Phase::Routing) {
            return false;
        }
        let page = shard.book.page(shard.entry(index).location);
        let held = page.is_some_and(|page| page.control.is_held());
        if held {
            shard.note_taken_back(index, &mut news);
            shard.note_parked(index, &mut news);
            shard.entry_mut(index).take_attempt_back();
            shard.park(index);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::InteractionRequest;
    use crate::router::{Disposition, Router, RoutingCommand};
    use crate::schedule::Consultation;

    struct Nobody;

    impl Router for Nobody {
        fn consult(&self, _: &DueRequest) -> Consultation {
            Consultation::default()
        }

        fn route(&self, _: RoutingCommand) -> Disposition {
            Disposition::Routed
        }
    }

    #[test]
    fn a_command_that_waits_for_its_batch_meets_a_hold() {
        let engine = Engine::new(Nobody);
        let here = engine.directory().enter("AA0101").unwrap();
        let now = Timestamp::from_millis(1_000);
        let id = 7.into();
        let _ = engine.schedule(InteractionRequest::new(id, here), now);
        let (place, hash) = engine.place(id);
        let mut shard = engine.shards[place].lock();
        let index = shard.find(id, hash).unwrap();
        shard.entry_mut(index).attempts = 1;
        shard.start_routing(index);
        let attempt = Attempt {
            place,
            index,
            intake: shard.entry(index).intake,
            number: 1,
        };
        drop(shard);
        assert!(!engine.park_if_held(attempt));
        engine.hold(here, now).unwrap();
        assert!(engine.park_if_held(attempt));
        engine.check_invariants();
        let status = engine.status(id).unwrap();
        assert_eq!((status.state.as_str(), status.attempts), ("held", 0));
    }
}
