//! Who calls the engine: clients each in their own way, operators of locations, and the router from inside.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use duewheel::{Completion, Engine, Pace, Timestamp};

use crate::calls::Call;
use crate::dice::Dice;
use crate::requests::{self, Facts};

/// A client's way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Brings requests in by the batch, and takes them back by the batch.
    Importer,
    /// Changes its mind: reschedules, cancels, asks.
    Nervous,
    /// Says everything twice, and not always the same.
    Repeating,
    /// Changes what it saw a while ago.
    Stale,
    /// Is there now.
    WalkIn,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) way: Way,
    ids: Range<u64>,
    next: u64,
    pub(crate) mean_ms: u64,
    /// The revisions that it knows of.
    revisions: BTreeMap<u64, u32>,
}

impl Client {
    pub(crate) fn new(ids: Range<u64>, dice: &mut Dice) -> Self {
        let way = dice.pick(&[
            Way::Importer,
            Way::Nervous,
            Way::Repeating,
            Way::Stale,
            Way::WalkIn,
        ]);
        Self {
            way,
            next: ids.start,
            ids,
            mean_ms: dice.pick(&[500, 5_000, 5_000, 40_000]),
            revisions: BTreeMap::new(),
        }
    }

    fn any(&self, dice: &mut Dice) -> u64 {
        self.ids.start + dice.below(self.ids.end - self.ids.start)
    }

    fn fresh(&mut self) -> u64 {
        let id = self.next;
        self.next = if id + 1 < self.ids.end {
            id + 1
        } else {
            self.ids.start
        };
        id
    }

    /// What it does next.
    pub(crate) fn call(
        &mut self,
        dice: &mut Dice,
        facts: &mut Facts,
        engine: &Engine,
        now: Timestamp,
    ) -> Call {
        match self.way {
            Way::Importer => match dice.chance(75) {
                true => {
                    let count = dice.between(1, 10);
                    let requests = (0..count).map(|_| {
                        let id = match dice.chance(90) {
                            true => self.fresh(),
                            false => self.any(dice),
                        };
                        facts.request(dice, id, now)
                    });
                    Call::ScheduleBatch(requests.collect())
                }
                false => {
                    let count = dice.between(0, 8);
                    Call::CancelBatch((0..count).map(|_| self.any(dice)).collect())
                }
            },
            Way::Nervous => {
                let id = self.any(dice);
                match dice.weighted(&[4, 4, 3, 1]) {
                    0 => submit(dice, facts, self.fresh(), now),
                    1 => Call::Reschedule(
                        id,
                        requests::schedule(dice, facts.grain_ms).build(now),
                        None,
                    ),
                    2 => Call::Cancel(id),
                    _ => Call::Status(id),
                }
            }
            Way::Repeating => {
                let id = self.any(dice);
                let changed = dice.chance(25);
                match facts.again(id, changed) {
                    Some(request) if dice.chance(60) => Call::Schedule(request.into()),
                    _ => submit(dice, facts, self.fresh(), now),
                }
            }
            Way::Stale => {
                let id = self.any(dice);
                if dice.chance(40) {
                    return submit(dice, facts, self.fresh(), now);
                }
                let seen = engine.status(id.into()).map_or(1, |status| status.revision);
                let known = *self.revisions.entry(id).or_insert(seen);
                if dice.chance(30) {
                    self.revisions.insert(id, seen);
                }
                Call::Reschedule(
                    id,
                    requests::schedule(dice, facts.grain_ms).build(now),
                    Some(known),
                )
            }
            Way::WalkIn => {
                let id = self.fresh();
                let mut request = facts.request(dice, id, now);
                request.schedule = None;
                facts.submitted.insert(id, request.clone());
                Call::Schedule(request.into())
            }
        }
    }
}

fn submit(dice: &mut Dice, facts: &mut Facts, id: u64, now: Timestamp) -> Call {
    Call::Schedule(facts.request(dice, id, now).into())
}

/// What the operator of a location does next.
pub(crate) fn operate(dice: &mut Dice, facts: &Facts, location: u32) -> Call {
    match dice.weighted(&[6, 9, 1, 3, 1]) {
        0 => Call::Hold(location),
        1 => Call::Resume(location, pace(dice)),
        2 => Call::CancelLocation(location),
        3 => Call::MoveLocation(location, facts.location(dice)),
        _ => Call::List(location, usize::try_from(dice.below(5)).unwrap()),
    }
}

fn pace(dice: &mut Dice) -> Option<Pace> {
    let per_second = match dice.weighted(&[5, 4, 1, 1]) {
        0 => return None,
        1 => dice.between(1, 3),
        2 => dice.between(10, 100),
        _ => dice.between(900, 3_000),
    };
    Pace::per_second(u32::try_from(per_second).unwrap())
}

pub(crate) fn completion(dice: &mut Dice) -> Completion {
    match dice.below(5) {
        0 | 1 => Completion::Routed,
        2 => Completion::Rejected("hung up".into()),
        3 => Completion::Busy { retry_after: None },
        _ => Completion::Busy {
            retry_after: Some(Duration::from_millis(dice.delay_ms(10_000))),
        },
    }
}

/// What the router calls from inside its own calls.
pub(crate) fn inside(dice: &mut Dice, facts: &mut Facts, now: Timestamp) -> Call {
    let id = facts.id(dice);
    match dice.weighted(&[2, 6, 2, 6, 4, 7, 4, 4, 1, 3, 1, 1]) {
        0 => Call::Status(id),
        1 => Call::Cancel(id),
        2 => Call::CancelBatch((0..3).map(|_| facts.id(dice)).collect()),
        3 => submit(dice, facts, id, now),
        4 => Call::Reschedule(
            id,
            requests::schedule(dice, facts.grain_ms).build(now),
            None,
        ),
        5 => Call::Complete(facts.lease(dice), completion(dice)),
        6 => Call::Hold(facts.location(dice)),
        7 => Call::Resume(facts.location(dice), pace(dice)),
        8 => Call::CancelLocation(facts.location(dice)),
        9 => Call::MoveLocation(facts.location(dice), facts.location(dice)),
        10 => Call::List(facts.location(dice), 3),
        _ => Call::Poll,
    }
}
