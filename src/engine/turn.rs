//! What becomes of a request whose turn it is, one after the other:
//!
//! 1. its lifespan, and its location's hold;
//! 2. with dispatch workers, whether they have room for it: the router is not asked before it could go;
//! 3. for scheduled requests, what the router's consultation says: does the processing condition hold?
//!    does the expected wait exceed the threshold wait time?
//! 4. its location's pace;
//! 5. release: the attempt is counted and its lease minted, and the command goes to the router, or to the
//!    dispatch workers' queue.

use std::time::Duration;

use super::Engine;
use super::cell::ShardGuard;
use super::delivery::caught;
use super::dispatch::Room;
use super::entry::{Flags, Phase};
use super::lines::{Gate, Lined};
use super::pending::Verdict;
use super::poll::{Attempt, Polling};
use super::shard::Shard;
use crate::ids::{LocationId, Media};
use crate::lifecycle::{Rule, Why};
use crate::persistence::record::Change;
use crate::router::DueRequest;
use crate::sync::Ordering;
use crate::telemetry::{News, Span, note, tell};

/// Releases whose lateness is recorded together.
const LATENESS_STEP: usize = 128;

/// What becomes of a request that is examined.
enum Decision {
    /// It waits, is parked or has ended.
    Settled,
    /// The router must be asked first.
    Consult(DueRequest),
    /// It waits in its location's line, for this.
    StandInLine(Gate),
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
        if shard.pending(index).is_overtaken(self.now) {
            shard.wait(index);
            self.fires_left -= 1;
            return;
        }
        self.poll.examined += 1;
        let intake = shard.pending(index).intake;
        let mut decision = self.decide(&mut shard, index);
        if let Decision::Consult(_) = decision
            && !self.poller().batch.is_empty()
            // Where that takes a wait for the disk, only for an answer that decides something.
            && (shard.pending(index).rests_on_answer() || !engine.is_sync())
        {
            drop(shard);
            // The answer must know of what was released before; and the router, told of that, may cancel, move
            // or hold this one.
            self.route_batch();
            shard = engine.shards[place].lock();
            if !shard.is_examining(index, intake) {
                return;
            }
            if self.failed {
                // Nothing is released any more, so nobody is to be asked.
                shard.wait(index);
                return;
            }
            decision = self.decide(&mut shard, index);
        }
        if let Decision::Consult(due) = decision {
            drop(shard);
            let span = Span::consult(due.id, due.location);
            let answer = caught(|| engine.router.consult(&due));
            drop(span);
            if answer.is_none() {
                engine.router_panics.fetch_add(1, Ordering::Relaxed);
                tell!(RouterPanicked { call: "consult" });
            }
            shard = engine.shards[place].lock();
            if !shard.is_examining(index, intake) {
                return;
            }
            decision = match answer {
                Some(consultation) => {
                    let key = (due.location, due.response_media);
                    self.poller().consultations.insert(key, consultation);
                    self.decide(&mut shard, index)
                }
                None => {
                    shard.count_release(index);
                    shard.fail_attempt(index, Rule::Panic, None, self.now, &mut self.trash);
                    Decision::Settled
                }
            };
        }
        let ahead = match decision {
            Decision::Release { ahead } => ahead,
            Decision::StandInLine(gate) => {
                let location = shard.pending(index).location;
                note!(
                    self.trash.news,
                    InLine {
                        id: shard.entry(index).id(),
                        location,
                        gate: gate.as_str(),
                        opens: gate.opens(),
                    }
                );
                let key = shard.stand_in_line(index);
                drop(shard);
                self.trash.news.tell();
                self.stand_in_line(location, (key, place), gate);
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
        match &self.dispatch {
            Some(_) => shard.set_phase(index, Phase::Released),
            None => shard.start_routing(index),
        }
        shard.log(Change::Released, index);
        let intent = shard.commit();
        let pending = shard.pending(index);
        let attempt = Attempt {
            place,
            index,
            intake: pending.intake,
            number: pending.attempts(),
            intent,
        };
        let location = pending.location;
        let late = self.now.saturating_duration_since(pending.late_from());
        note!(
            self.trash.news,
            Released {
                id: pending.id(),
                location,
                attempt: attempt.number,
                ahead,
                due: pending.due,
                late
            }
        );
        let command = match &self.dispatch {
            Some(_) => None,
            None => Some(engine.command(&shard, index, ahead, self.now)),
        };
        drop(shard);
        self.trash.news.tell();
        self.note_lateness(location, late);
        if let Some(command) = command {
            // It may have taken the token that the head of the line was to have.
            self.place_line(location);
            self.poller().batch.push((attempt, command));
            self.intents = self.intents.max(intent);
            if self.poller().batch.len() >= engine.gather_max {
                self.route_batch();
            }
        } else {
            self.dispatch(location, attempt, ahead);
        }
    }

    /// Hands a released attempt to the workers. It takes a place, of its location's share too, and its
    /// location's turn.
    fn dispatch(&mut self, location: LocationId, attempt: Attempt, ahead: bool) {
        let dispatch = self.dispatch.as_ref().expect("a command was not made");
        match dispatch.push(location, attempt, ahead) {
            Ok(Room::Left) => {}
            Ok(Room::Full) => self.poller().lines.set_full(location),
            // It has ended since the poll began.
            Err(attempt) => self.engine.take_back(vec![attempt]),
        }
        self.places = self.places.saturating_sub(1);
        self.turn = None;
        self.poller().lines.had_its_turn(location);
        self.place_line(location);
    }

    /// What becomes of a request whose turn it is. On `Release` its attempt is counted already.
    fn decide(&mut self, shard: &mut Shard, index: u32) -> Decision {
        let now = self.now;
        let pending = shard.pending(index);
        if pending.has_expired(now) {
            shard.expire(index, now, &mut self.trash);
            return Decision::Settled;
        }
        let control = shard.control(pending.location);
        if control.is_held() {
            shard.park(index, &mut self.trash.news);
            return Decision::Settled;
        }
        if self.dispatch.is_some()
            && let gate @ (Gate::Room | Gate::Turn) = self.gate(pending.location, control)
        {
            return Decision::StandInLine(gate);
        }
        let location = pending.location;
        let mut ahead = false;
        let mut rests_on = None;
        if pending.is_scheduled() {
            let key = (pending.location, pending.response_media(now));
            let Some(&consultation) = self.poller().consultations.get(&key) else {
                return Decision::Consult(DueRequest {
                    id: pending.id(),
                    location: pending.location,
                    request_media: pending.media,
                    response_media: key.1,
                    priority: pending.priority,
                    due: pending.due,
                    now,
                    attempt: pending.next_attempt(),
                });
            };
            let conditional = pending.is_conditional();
            let threshold = pending.threshold_wait();
            rests_on = pending.rests_on_answer().then_some(key);
            let fails = conditional && !pending.condition().holds(&consultation);
            if conditional {
                note!(
                    self.trash.news,
                    Judged {
                        id: pending.id(),
                        location: pending.location,
                        holds: !fails
                    }
                );
            }
            if fails {
                let revision = pending.revision();
                match shard.pending_mut(index).condition_failed(now) {
                    // Exhausted: it is released anyway.
                    Verdict::Due => {}
                    Verdict::Later => {
                        shard.wait(index);
                        // To judge a condition again changes nothing that must outlive the process.
                        if shard.pending(index).revision() != revision {
                            shard.log(Change::Rescheduled, index);
                        }
                        return Decision::Settled;
                    }
                    Verdict::Ended(outcome, rule) => {
                        shard.end(index, outcome, Why::Rule(rule), now, &mut self.trash);
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
        if let Err(opens) = shard.control(location).take_token(now) {
            return Decision::StandInLine(Gate::Token(opens));
        }
        if let Some(key) = rests_on {
            self.use_up(key);
        }
        let mut pending = shard.pending_mut(index);
        pending.set_flag(Flags::CLEARED, true);
        pending.set_flag(Flags::EXAMINED, true);
        shard.count_release(index);
        Decision::Release { ahead }
    }

    /// Puts a request into its location's line, which waits for this.
    fn stand_in_line(&mut self, location: LocationId, lined: Lined, gate: Gate) {
        let (engine, now) = (self.engine, self.now);
        let lines = &mut self.poller().lines;
        lines.add(location, lined, |(key, place)| {
            engine.shards[*place].lock().stands_in_line(location, key)
        });
        lines.place(location, gate, now);
    }

    /// Remembers how late a release was. Lateness is recorded for some releases together: each location has
    /// counters of its own, and so the waits for memory overlap.
    fn note_lateness(&mut self, location: LocationId, late: Duration) {
        let noted = &mut self.poller().lateness;
        noted.push((location, late));
        if noted.len() >= LATENESS_STEP {
            self.record_lateness();
        }
    }

    /// Records the lateness of the releases since the last time.
    pub(super) fn record_lateness(&mut self) {
        let engine = self.engine;
        let noted = &mut self.poller().lateness;
        if !noted.is_empty() {
            engine.lateness.lock().record_all(noted);
            noted.clear();
        }
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

    /// Hands over what was released, with no lock held. Where answers wait for the store, so does this, once for
    /// all that was gathered: the router is told of nothing that may be forgotten.
    pub(super) fn route_batch(&mut self) {
        if self.poller().batch.is_empty() {
            return;
        }
        let engine = self.engine;
        let mut batch = std::mem::take(&mut self.poller().batch);
        if engine.settle_log(self.intents).is_err() {
            self.failed = true;
            engine.take_back_routing(batch.drain(..).map(|(attempt, _)| attempt));
        }
        // Nothing can have come between where nothing was waited for.
        let at_once = batch.len() == 1 && !engine.is_sync();
        let mut commands = batch.drain(..);
        while commands.len() > 0 {
            let some = commands.by_ref().take(engine.settings.route_batch);
            // One that had to wait may have ended, or meet a hold.
            let some = some.filter(|(attempt, _)| at_once || engine.may_still_go(*attempt));
            if at_once || engine.settings.route_batch == 1 {
                for (attempt, command) in some {
                    engine.route(attempt, command, || self.now);
                }
                continue;
            }
            let (attempts, commands): (Vec<_>, Vec<_>) = some.unzip();
            if !attempts.is_empty() {
                engine.route_many(&attempts, commands, self.now);
            }
        }
        drop(commands);
        self.poller().batch = batch;
    }
}

impl Shard {
    /// Whether a request that was left alone with the router is still the one, and still being examined.
    fn is_examining(&self, index: u32, intake: u64) -> bool {
        let entry = self.store.entry(index);
        entry.is_some_and(|e| e.intake == intake && e.phase == Phase::Examining)
    }
}

impl Engine {
    /// Whether a command that waited for its batch is still to be handed over. Where it meets a hold, it is as if it had
    /// not been released; where a completion came first, of the lease that its attempt had before a crash, it has
    /// ended.
    fn may_still_go(&self, attempt: Attempt) -> bool {
        let index = attempt.index;
        let mut news = News::default();
        let mut shard = self.shards[attempt.place].lock();
        if shard.phase_of(attempt) != Some(Phase::Routing) {
            return false;
        }
        let page = shard.book.page(shard.pending(index).location);
        let held = page.is_some_and(|page| page.control.is_held());
        if held {
            shard.take_attempt_back(index, &mut news);
            shard.park(index, &mut news);
            shard.log(Change::Returned, index);
        }
        !held
    }

    /// Commands that were released, and that nobody is told of because the journal has failed.
    #[cold]
    fn take_back_routing(&self, attempts: impl Iterator<Item = Attempt>) {
        for attempt in attempts {
            let mut news = News::default();
            let mut shard = self.shards[attempt.place].lock();
            if shard.phase_of(attempt) == Some(Phase::Routing) {
                shard.take_attempt_back(attempt.index, &mut news);
                shard.wait(attempt.index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Timestamp;
    use crate::persistence::Lsn;
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
        shard.pending_mut(index).count_attempt();
        shard.start_routing(index);
        let attempt = Attempt {
            place,
            index,
            intake: shard.pending(index).intake,
            number: 1,
            intent: Lsn(0),
        };
        drop(shard);
        assert!(engine.may_still_go(attempt));
        engine.hold(here, now).unwrap();
        assert!(!engine.may_still_go(attempt));
        assert!(
            !engine.may_still_go(attempt),
            "it is not at the router any more"
        );
        engine.check_invariants();
        let status = engine.status(id).unwrap();
        assert_eq!((status.state.as_str(), status.attempts), ("held", 0));
    }
}
