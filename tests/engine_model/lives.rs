//! An engine with a store, whose process ends again and again: in good order, by a crash between two operations or
//! in the middle of one, or because its journal fails. After each end it is built anew from the store, and must be
//! what the model says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use duewheel::{
    CancelError, CompleteError, Completion, Engine, InteractionRequest, LocationError, MemoryStore,
    Pace, PollError, Position, RescheduleError, Router, ScheduleErrorReason, SnapshotError,
    StoreIdentity, Timestamp, Unavailable,
};

use crate::model::Model;
use crate::model::command::number;
use crate::model::recovery::Journal;
use crate::model::schedules::Schedule;
use crate::operations::{Content, IDS, PENDING_MAX, Pair, Pick, enter_locations, place, settings};
use crate::script::{Death, Desk, Following, desk};

/// How often the time of the last poll is written at least.
const HEARTBEAT_MS: u64 = 10_000;

/// What happens to an engine with a store.
#[derive(Clone, Debug)]
pub(crate) enum Life {
    /// What is not durable is lost. It is built again with so many shards.
    Crash {
        shards: usize,
    },
    /// The same, right after a call: what that has answered must not be lost.
    CrashAfter(During),
    /// It ends in good order.
    Close {
        shards: usize,
    },
    Snapshot,
    /// A poll, in which the store crashes while the router is told of the command of this number, from 1.
    CrashInPoll {
        budget: usize,
        command: u32,
    },
    /// The journal fails while it is used for the time of this number, from 1: for the first
    /// time, if it is no poll.
    Fault {
        fault: Fault,
        call: u32,
        during: During,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Append,
    /// What was appended is lost.
    Sync,
    /// What was appended is there all the same.
    SyncThatLies,
}

/// The call in which the journal fails.
#[derive(Clone, Debug)]
pub(crate) enum During {
    Poll(usize),
    Schedule(u64, Content),
    ScheduleBatch(Vec<(u64, Content)>),
    Cancel(u64),
    CancelBatch(Vec<u64>),
    Reschedule(u64, Schedule),
    Complete(Pick, Completion),
    Hold(u32),
    Resume(u32, Option<Pace>),
    CancelLocation(u32),
    MoveLocation(u32, u32),
    Snapshot,
}

/// Where an engine's requests are kept.
pub(crate) struct Home {
    memory: MemoryStore,
    shards: usize,
    /// The time of the last poll that came to its end, and of the last that the store told of.
    polled: Option<Timestamp>,
    told: Option<Timestamp>,
}

/// Where a position stands: the stream, and the number in the order of intake.
fn parts(position: Position) -> (u32, u64) {
    let json = serde_json::to_value(position).unwrap();
    let part = |name: &str| json[name].as_u64().unwrap();
    (u32::try_from(part("stream")).unwrap(), part("lsn"))
}

pub(crate) fn lsn(position: Position) -> u64 {
    parts(position).1
}

impl Home {
    fn build(&self, remember: Duration, desk: &Arc<Desk>) -> Engine {
        let router = Arc::clone(desk) as Arc<dyn Router>;
        let settings = settings(self.shards, remember).store(self.memory.store());
        settings.build(router).unwrap()
    }

    /// Which shard each request belongs to, as another engine with the same key and as many shards says.
    fn shard_of(&self) -> BTreeMap<u64, u32> {
        let scout = settings(self.shards, Duration::ZERO)
            .max_pending(IDS as usize)
            .hash_key(self.memory.store().identity().hash_key)
            .build(desk());
        let scout = scout.unwrap();
        enter_locations(&scout);
        let stream = |id: u64| {
            let request = InteractionRequest::new(id.into(), place(0));
            let receipt = scout.schedule(request, Timestamp::EPOCH).unwrap();
            parts(receipt.position).0
        };
        (0..IDS).map(|id| (id, stream(id))).collect()
    }
}

impl Pair {
    /// A pair whose engine has a store.
    pub(crate) fn at_home(shards: usize, remember: Duration) -> Self {
        let memory = MemoryStore::new(StoreIdentity {
            uuid: 1,
            hash_key: 7,
        });
        let home = Home {
            memory,
            shards,
            polled: None,
            told: None,
        };
        let desk = desk();
        let engine = home.build(remember, &desk);
        enter_locations(&engine);
        let journal = Journal::new(home.shard_of());
        let mut pair = Self::of(engine, desk, remember, Some(home));
        pair.model.journal = Some(Box::new(journal));
        pair
    }

    pub(crate) fn live(&mut self, life: &Life) {
        if self.model.requests.values().any(|pending| pending.cooling) {
            self.look_at_all_due();
        }
        match life {
            Life::Crash { shards } => {
                self.engine.flush().unwrap();
                self.model.sync();
                self.memory().crash();
                self.build_again(*shards, None);
            }
            Life::CrashAfter(during) => {
                self.model.tell(self.now);
                match during {
                    During::Poll(budget) => self.poll(*budget, false),
                    during => self.call(during),
                }
                self.memory().crash();
                self.model.sync();
                let shards = self.home.as_ref().unwrap().shards;
                self.build_again(shards, None);
            }
            Life::Close { shards } => {
                self.engine.seal().unwrap();
                assert_eq!(self.engine.poll(self.now, 1), Err(PollError::Unavailable));
                self.model.sync();
                let home = self.home.as_ref().unwrap();
                let polled = home.polled.or(home.told);
                self.build_again(*shards, None);
                let report = self.engine.recovery().unwrap();
                assert!(report.clean);
                assert_eq!(report.polled_until, polled);
            }
            Life::Snapshot => self.snapshot(),
            Life::CrashInPoll { budget, command } => self.crash_in_poll(*budget, *command),
            Life::Fault {
                fault,
                call,
                during,
            } => self.fault(*fault, *call, during),
        }
    }

    fn memory(&self) -> MemoryStore {
        self.home.as_ref().unwrap().memory.clone()
    }

    /// The end of a process, and the begin of the next. `died_at`: when a poll was going on.
    fn build_again(&mut self, shards: usize, died_at: Option<Timestamp>) {
        let home = self.home.as_mut().unwrap();
        let is_other = home.shards != shards;
        home.shards = shards;
        self.engine = home.build(self.remember, &self.desk);
        enter_locations(&self.engine);
        let report = self.engine.recovery().unwrap().clone();
        assert!(!report.overdue_are_suspect);
        assert!(report.epoch > self.model.epoch);
        self.check_last_poll(report.polled_until);
        let view = Following::new(self.standing, &self.engine);
        self.model
            .recover(report.polled_until, report.epoch, died_at, &view);
        if is_other {
            let shard_of = self.home.as_ref().unwrap().shard_of();
            self.model.spread_anew(shard_of);
            if report.snapshot.is_some() {
                self.model.snapshot();
            }
        }
        assert_eq!(report.pending as usize, self.model.requests.len());
        let in_doubt = self.model.requests.values().filter(|p| p.in_doubt);
        assert_eq!(report.in_doubt as usize, in_doubt.count());
        self.check();
        self.model.compare_report(&self.engine, self.now);
    }

    /// The store tells when the last poll was, or another not long before.
    fn check_last_poll(&mut self, found: Option<Timestamp>) {
        let home = self.home.as_mut().unwrap();
        match (home.polled, found) {
            (Some(polled), Some(found)) => {
                let apart = polled.as_millis().abs_diff(found.as_millis());
                assert!(apart < HEARTBEAT_MS, "{found} is told, {polled} it was");
            }
            (None, found) => assert_eq!(found, home.told),
            (Some(polled), None) => panic!("nothing is told, {polled} it was"),
        }
        home.told = found;
        home.polled = None;
    }

    /// Notes that a poll came to its end.
    pub(crate) fn note_polled(&mut self) {
        if let Some(home) = &mut self.home {
            // The last millisecond is not told of.
            home.polled = Some(self.now.min(Timestamp::from_millis(u64::MAX - 1)));
        }
    }

    fn snapshot(&mut self) {
        self.look_at_all_due();
        let report = self.engine.snapshot().unwrap();
        assert_eq!(report.trim_error, None);
        self.model.snapshot();
        assert_eq!(self.memory().snapshots()[0].number, report.number);
    }

    /// What is written into a snapshot must be known: after a poll that ran out of budget nobody could tell what it
    /// has looked at.
    fn look_at_all_due(&mut self) {
        if self.model.looked_ahead.is_some() {
            self.poll(usize::MAX, true);
        }
    }

    fn crash_in_poll(&mut self, budget: usize, command: u32) {
        self.model.tell(self.now);
        self.desk.crash_at(command, &self.memory());
        let _ = self.engine.poll(self.now, budget);
        let spared = self.desk.spare();
        let died = self.follow_poll(budget, Death::Command(command));
        assert_eq!(died.is_none(), spared);
        match died {
            Some(model) => {
                self.model = model;
                let shards = self.home.as_ref().unwrap().shards;
                self.build_again(shards, Some(self.now));
            }
            None => self.note_polled(),
        }
    }

    /// Has the model live through a poll that may have died, and compares what was heard until then. Returns the
    /// model as it was then, where it did.
    fn follow_poll(&mut self, budget: usize, death: Death) -> Option<Model> {
        let mut scripted = Following::new(self.standing, &self.engine);
        scripted.death = Some(death);
        let mut model = self.model.clone();
        let _ = model.poll(self.now, budget, &mut scripted);
        let Following {
            mut consulted,
            mut commands,
            died,
            ..
        } = scripted;
        let (mut asked, mut told) = (self.desk.take_consulted(), self.desk.take_commands());
        if let Some((_, consultations, until)) = &died {
            consulted.truncate(*consultations);
            commands.truncate(*until);
            asked.truncate(*consultations);
            if matches!(death, Death::Command(_)) {
                // What the dead engine did after that nobody will know.
                told.truncate(*until);
            }
        }
        assert_eq!(asked, consulted);
        assert_eq!(told, commands);
        self.note_commands(told);
        match died {
            Some((model, ..)) => Some(model),
            None => {
                self.model = model;
                None
            }
        }
    }

    // ---- a journal that fails ----

    fn fault(&mut self, fault: Fault, call: u32, during: &During) {
        let memory = self.memory();
        // A batch for which there may be no room waits for each of its requests by itself.
        let call = match during {
            During::Poll(_) => call,
            _ => 1,
        };
        match fault {
            Fault::Append => memory.fail_append_at(call.into()),
            Fault::Sync | Fault::SyncThatLies => memory.fail_sync_at(call.into()),
        }
        let before = self.model.clone();
        self.model.tell(self.now);
        let mut died_at = None;
        if let During::Poll(budget) = during {
            let is_kept = fault == Fault::SyncThatLies;
            died_at = Some(self.now);
            self.fault_in_poll(*budget, call, is_kept);
        } else {
            self.call(during);
            if fault != Fault::SyncThatLies && self.engine.store_error().is_some() {
                self.model = before;
            }
        }
        memory.fail_append_at(0);
        memory.fail_sync_at(0);
        if self.engine.store_error().is_none() {
            if matches!(during, During::Poll(_)) {
                self.note_polled();
            }
            return;
        }
        self.check_refusals();
        if fault == Fault::Sync {
            memory.crash();
        }
        if fault == Fault::SyncThatLies && !matches!(during, During::Poll(_)) {
            self.model.sync();
        }
        let shards = self.home.as_ref().unwrap().shards;
        self.build_again(shards, died_at);
    }

    fn fault_in_poll(&mut self, budget: usize, call: u32, is_kept: bool) {
        let before = self.model.clone();
        let polled = self.engine.poll(self.now, budget);
        let has_failed = self.engine.store_error().is_some();
        let mut scripted = Following::new(self.standing, &self.engine);
        scripted.death = Some(Death::Sync(call));
        let expected = self.model.poll(self.now, budget, &mut scripted);
        let Following {
            consulted,
            commands,
            died,
            synced,
            ..
        } = scripted;
        let (asked, told) = (self.desk.take_consulted(), self.desk.take_commands());
        self.note_commands(told.clone());
        if let Some((died, consultations, until)) = died {
            assert_eq!(polled, Err(PollError::Unavailable));
            assert_eq!(asked, consulted[..consultations]);
            assert_eq!(told, commands[..until]);
            if is_kept {
                self.model = died;
                self.model.sync();
            } else {
                self.model = synced.unwrap_or(before);
            }
            return;
        }
        assert_eq!(asked, consulted);
        assert_eq!(told, commands);
        let polled = polled.unwrap();
        assert_eq!(polled.released, expected.released);
        if !has_failed {
            return;
        }
        // It failed at the very end, when what the router had answered was to be made durable.
        if is_kept {
            self.model.sync();
            self.note_polled();
        } else {
            self.model = synced.unwrap_or(before);
        }
    }

    /// A call in which the journal may fail: what was not made durable is answered as not known.
    fn call(&mut self, during: &During) {
        let (now, engine) = (self.now, &self.engine);
        let failed = || self.engine.store_error().is_some();
        let model = &mut self.model;
        match during {
            During::Poll(_) => unreachable!("it is no call that is answered"),
            During::Schedule(id, content) => {
                let request = self.request(*id, content);
                self.take_in(vec![request], false);
            }
            During::ScheduleBatch(requests) => {
                let request = |(id, content): &(u64, Content)| self.request(*id, content);
                let requests = requests.iter().map(request).collect();
                self.take_in(requests, true);
            }
            During::Cancel(id) => {
                let expected = model.cancel(*id, now);
                let answered = engine.cancel((*id).into(), now);
                match failed() {
                    true => assert_eq!(answered, Err(CancelError::Indeterminate((*id).into()))),
                    false => assert_eq!(answered, expected),
                }
            }
            During::CancelBatch(ids) => {
                let expected: Vec<_> = ids.iter().map(|&id| model.cancel(id, now)).collect();
                let names: Vec<_> = ids.iter().map(|&id| id.into()).collect();
                let answered = engine.cancel_batch(&names, now);
                let unknown = names.iter().map(|&id| Err(CancelError::Indeterminate(id)));
                match failed() {
                    true => assert!(answered.into_iter().eq(unknown)),
                    false => assert_eq!(answered, expected),
                }
            }
            During::Reschedule(id, schedule) => {
                let schedule = schedule.build(now);
                let expected = model.reschedule(*id, schedule.clone(), None, now);
                let answered = engine.reschedule((*id).into(), schedule, None, now);
                let unknown = RescheduleError::Indeterminate((*id).into());
                match failed() {
                    true => assert_eq!(answered, Err(unknown)),
                    false => assert_eq!(answered.map(|_| ()), expected),
                }
            }
            During::Complete(pick, completion) => {
                let Some(lease) = self.lease(*pick) else {
                    return;
                };
                let expected = self.model.complete(&lease, completion, now);
                let answered = self.engine.complete(&lease, completion.clone(), now);
                let unknown = CompleteError::Indeterminate(lease.id());
                match self.engine.store_error() {
                    Some(_) => assert_eq!(answered, Err(unknown)),
                    None => assert_eq!(answered, expected),
                }
            }
            During::Hold(location) => {
                let expected = model.hold(*location, now);
                let answered = engine.hold(place(*location), now);
                let answered = answered.map(|held| held.in_flight);
                expect_at(*location, failed(), answered, expected);
            }
            During::Resume(location, pace) => {
                let expected = model.resume(*location, *pace, now);
                let answered = engine.resume(place(*location), *pace, now);
                let answered = answered.map(|resumed| resumed.held);
                expect_at(*location, failed(), answered, expected);
            }
            During::CancelLocation(location) => {
                let expected = model.cancel_location(*location, now);
                let answered = engine.cancel_location(place(*location), now);
                expect_at(*location, failed(), answered, expected);
            }
            During::MoveLocation(from, to) => {
                let expected = model.move_location(*from, *to, now);
                let answered = engine.move_location(place(*from), place(*to), now);
                expect_at(*from, failed(), answered, expected);
            }
            During::Snapshot => match engine.snapshot() {
                Ok(_) => {
                    assert!(!failed(), "a snapshot holds what may not be durable");
                    // What its shards' images hold must be known.
                    model.snapshot();
                }
                Err(error) => assert!(matches!(error, SnapshotError::Store(_)) && failed()),
            },
        }
    }

    fn take_in(&mut self, mut requests: Vec<InteractionRequest>, together: bool) {
        if self.model.requests.len() + requests.len() > PENDING_MAX {
            // Where there may be no room each is waited for by itself.
            requests.truncate(1);
        }
        let now = self.now;
        let expected: Vec<_> = requests
            .iter()
            .map(|request| self.model.schedule(request, now))
            .collect();
        let answered = match together {
            true => self.engine.schedule_batch(requests.clone(), now),
            false => {
                let one = requests[0].clone();
                vec![self.engine.schedule(one, now)]
            }
        };
        let failed = self.engine.store_error().is_some();
        for ((request, answered), expected) in requests.iter().zip(answered).zip(expected) {
            if !failed {
                self.check_intake(request, answered, expected);
                continue;
            }
            let error = answered.expect_err("it may not be durable");
            assert_eq!(error.request.id, request.id, "handed back");
            match error.reason {
                ScheduleErrorReason::Indeterminate | ScheduleErrorReason::Unavailable => {
                    self.positions.remove(&number(request.id));
                }
                reason => assert_eq!(expected, Err(reason)),
            }
        }
    }

    /// An engine whose journal has failed changes nothing any more, and says so.
    fn check_refusals(&self) {
        let (engine, now) = (&self.engine, self.now);
        let request = InteractionRequest::new((IDS + 2).into(), place(0));
        let refused = engine.schedule(request.clone(), now).unwrap_err();
        assert_eq!(refused.reason, ScheduleErrorReason::Unavailable);
        let refused = engine.schedule_batch(vec![request], now);
        let reason = &refused[0].as_ref().unwrap_err().reason;
        assert_eq!(*reason, ScheduleErrorReason::Unavailable);
        for id in 0..IDS {
            let cancelled = engine.cancel(id.into(), now);
            assert_eq!(cancelled, Err(CancelError::Unavailable));
        }
        let held = engine.hold(place(0), now);
        assert_eq!(held, Err(LocationError::Unavailable(Unavailable)));
        assert_eq!(engine.poll(now, usize::MAX), Err(PollError::Unavailable));
        assert_eq!(engine.seal(), Err(Unavailable));
        assert!(self.desk.take_commands().is_empty());
    }
}

/// What is answered to a command on a location.
fn expect_at<T: PartialEq + std::fmt::Debug>(
    location: u32,
    failed: bool,
    answered: Result<T, LocationError>,
    expected: T,
) {
    let unknown = LocationError::Indeterminate(place(location));
    let expected = if failed { Err(unknown) } else { Ok(expected) };
    assert_eq!(answered, expected);
}
