//! Has the model live through what the router heard and did during a poll, and compares it with what the
//! model says it would have heard.

use std::collections::{BTreeMap, VecDeque};

use duewheel::{Consultation, Disposition, Engine, RequestStatus, Timestamp};

use crate::desk::{Heard, Inside};
use crate::model::command::{Command, Consulted};
use crate::model::{Model, Outside};

/// The world as the model meets it while it polls.
pub(crate) struct Follower<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) log: VecDeque<&'a Heard>,
    /// What the engine showed at the moment that the model is at, where that is not the poll's end.
    seen: Option<&'a BTreeMap<u64, RequestStatus>>,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(engine: &'a Engine, log: &'a [Heard]) -> Self {
        Self {
            engine,
            log: log.iter().collect(),
            seen: None,
        }
    }

    fn live(&mut self, inside: &'a [Inside], model: &mut Model, now: Timestamp) {
        for Inside { seen, made } in inside {
            self.seen = Some(seen);
            model.settle_looks(now, self);
            let ended: Vec<u64> = model.ended.keys().copied().collect();
            for id in ended {
                if !seen.contains_key(&id) && !model.requests.contains_key(&id) {
                    model.forget(id);
                }
            }
            for (&id, status) in seen {
                assert_eq!(Some(status), model.status(id).as_ref(), "request {id}");
            }
            self.seen = None;
            made.follow(model, now);
        }
    }
}

impl Outside for Follower<'_> {
    fn consult(&mut self, model: &mut Model, expected: Consulted) -> Option<Consultation> {
        let Some(Heard::Asked {
            asked,
            inside,
            answer,
        }) = self.log.pop_front()
        else {
            panic!("the router was not asked: {expected:?}");
        };
        assert_eq!(*asked, expected, "a consultation");
        self.live(inside, model, asked.now);
        *answer
    }

    fn route(&mut self, model: &mut Model, expected: Vec<Command>) -> Vec<Option<Disposition>> {
        let Some(Heard::Told {
            commands,
            inside,
            answers,
        }) = self.log.pop_front()
        else {
            panic!("the router was not told: {expected:?}");
        };
        assert_eq!(*commands, expected, "commands");
        self.live(inside, model, commands[0].released);
        answers.clone()
    }

    fn seen(&self, id: u64) -> Option<RequestStatus> {
        match self.seen {
            Some(seen) => seen.get(&id).cloned(),
            None => self.engine.status(id.into()),
        }
    }
}
