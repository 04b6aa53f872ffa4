//! What is promised across the ends of a process, checked on what was said to clients and heard by the router alone.
//!
//! A fact is *sure* once it must outlive a crash: under `Sync` when its answer was given, otherwise when a flush, a
//! snapshot or an end in good order said so. At an end that was not in good order what is not sure becomes unknown:
//! it may have been lost.

use std::collections::BTreeMap;

use duewheel::{Disposition, Engine, Outcome, RequestState, RoutingCommand, Timestamp};

/// What is known of something that may have happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fact {
    #[default]
    No,
    /// It has happened, and a crash may undo it.
    Yes,
    /// It has happened for good.
    Sure,
    Unknown,
}

impl Fact {
    fn is_settled(self) -> bool {
        matches!(self, Self::Yes | Self::Sure)
    }

    fn make_sure(&mut self) {
        if *self == Self::Yes {
            *self = Self::Sure;
        }
    }

    fn survive(&mut self) {
        if *self == Self::Yes {
            *self = Self::Unknown;
        }
    }
}

/// One request; its id comes once.
#[derive(Clone, Debug, Default)]
struct Life {
    accepted: Fact,
    cancelled: Fact,
    ended: Fact,
    /// The last attempt that the router was told of has failed, and waits to be tried again.
    failed: Fact,
    /// The earliest time that it may have.
    due: Timestamp,
    was_moved: bool,
    told: u32,
    attempt: u32,
}

#[derive(Default)]
pub(crate) struct Ledger {
    lives: BTreeMap<u64, Life>,
    /// By location, whether it is held.
    held: BTreeMap<u32, Fact>,
    /// The router is told of nothing that a crash may undo.
    is_sync: bool,
    pub(crate) commands: u64,
    pub(crate) redelivered: u64,
}

impl Ledger {
    pub(crate) fn new(is_sync: bool) -> Self {
        Self {
            is_sync,
            ..Self::default()
        }
    }

    fn life(&mut self, id: u64) -> &mut Life {
        self.lives.get_mut(&id).expect("a request that was made")
    }

    /// Whether it is there, as far as is known.
    pub(crate) fn knows(&self, id: u64) -> bool {
        let life = self.lives.get(&id);
        life.is_some_and(|life| life.accepted != Fact::No)
    }

    pub(crate) fn made(&mut self, id: u64, due: Timestamp, accepted: Fact) {
        let life = Life {
            accepted,
            due,
            ..Life::default()
        };
        assert!(self.lives.insert(id, life).is_none());
    }

    /// A reschedule was answered; where the answer is not known, both times may be its.
    pub(crate) fn moved(&mut self, id: u64, due: Timestamp, answer: Fact) {
        let life = self.life(id);
        life.was_moved = true;
        life.due = if answer == Fact::Sure {
            due
        } else {
            life.due.min(due)
        };
    }

    pub(crate) fn cancelled(&mut self, id: u64, answer: Fact) {
        let life = self.life(id);
        if !life.cancelled.is_settled() {
            life.cancelled = answer;
        }
    }

    /// A completion was answered: the end of a request, or a failed attempt.
    pub(crate) fn completed(&mut self, id: u64, ends: bool, answer: Fact) {
        let life = self.life(id);
        let fact = if ends {
            &mut life.ended
        } else {
            &mut life.failed
        };
        if !fact.is_settled() {
            *fact = answer;
        }
    }

    pub(crate) fn ruled(&mut self, location: u32, held: bool, answer: Fact) {
        let fact = match (answer, held) {
            (Fact::Unknown, _) => Fact::Unknown,
            (answer, true) => answer,
            (_, false) => Fact::No,
        };
        self.held.insert(location, fact);
    }

    /// The router is told of a command, and answers.
    pub(crate) fn heard(&mut self, command: &RoutingCommand, answer: &Disposition, now: Timestamp) {
        let is_sync = self.is_sync;
        self.commands += 1;
        self.redelivered += u64::from(command.redelivery);
        let id = u64::try_from(command.id.value()).unwrap();
        let held = self.held.get(&command.location.index()).copied();
        assert!(
            !held.is_some_and(Fact::is_settled),
            "{id} of a held location"
        );
        let life = self.life(id);
        assert!(now >= life.due, "{id} was early: {now}, {life:?}");
        assert_ne!(life.accepted, Fact::No, "{id} was never taken in");
        assert!(!life.cancelled.is_settled(), "{id} was cancelled: {life:?}");
        assert!(!life.ended.is_settled(), "{id} had ended: {life:?}");
        let goes_on = command.attempt >= life.attempt.max(1);
        assert!(
            goes_on || !is_sync,
            "{id} goes back to {}: {life:?}",
            command.attempt
        );
        let is_retry = match life.failed {
            Fact::Yes | Fact::Sure => true,
            Fact::Unknown => command.attempt > life.attempt,
            Fact::No => false,
        };
        // A move to an earlier time that was lost: at the later one nobody knows of what happened at the earlier.
        let is_excused = !is_sync && life.was_moved;
        let again = life.told > 0 && !is_retry && !is_excused;
        assert!(
            !again || command.redelivery,
            "{id} is told as if for the first time: {life:?}"
        );
        // Who is told of it knows that it is there.
        life.attempt = command.attempt;
        life.told += 1;
        (life.failed, life.ended) = (Fact::No, Fact::No);
        match answer {
            Disposition::Routed | Disposition::Rejected(_) => life.ended = Fact::Yes,
            Disposition::Busy { .. } => life.failed = Fact::Yes,
            _ => {}
        }
    }

    /// All that has happened outlives a crash from here on.
    pub(crate) fn all_is_sure(&mut self) {
        for life in self.lives.values_mut() {
            life.accepted.make_sure();
            life.cancelled.make_sure();
            life.ended.make_sure();
            life.failed.make_sure();
        }
        self.held.values_mut().for_each(Fact::make_sure);
    }

    /// The process ended, and not in good order.
    pub(crate) fn crashed(&mut self) {
        for life in self.lives.values_mut() {
            life.accepted.survive();
            life.cancelled.survive();
            life.ended.survive();
            life.failed.survive();
        }
        for held in self.held.values_mut() {
            // A resume may be lost as well.
            if *held != Fact::Sure {
                *held = Fact::Unknown;
            }
        }
    }

    /// Whether a recovered engine has all that is sure. What turns out to be lost is forgotten.
    pub(crate) fn recovered(&mut self, engine: &Engine) {
        self.lives.retain(|&id, life| {
            let Some(status) = engine.status(id.into()) else {
                assert_ne!(life.accepted, Fact::Sure, "{id} was lost: {life:?}");
                return false;
            };
            assert_ne!(life.accepted, Fact::No, "{id} was refused, and is there");
            life.accepted = Fact::Sure;
            let outcome = status.outcome;
            let is_cancelled = outcome == Some(Outcome::Cancelled);
            match life.cancelled {
                Fact::Sure => assert!(is_cancelled, "{id} is cancelled no more: {status:?}"),
                Fact::No => assert!(!is_cancelled, "{id} was never cancelled: {status:?}"),
                _ if is_cancelled => life.cancelled = Fact::Sure,
                _ => life.cancelled = Fact::No,
            }
            if life.ended == Fact::Sure {
                assert_eq!(status.state, RequestState::Completed, "{id}: {life:?}");
            }
            let has_ended = status.state == RequestState::Completed;
            assert!(
                !has_ended || is_cancelled || life.told > 0,
                "{id}: {status:?}"
            );
            if has_ended && !is_cancelled {
                life.ended = Fact::Sure;
            }
            true
        });
    }

    /// Everything has come to its end: whatever was not cancelled was told of.
    pub(crate) fn check_end(&self) {
        for (id, life) in &self.lives {
            let is_due = life.accepted == Fact::Sure || life.accepted == Fact::Yes;
            let is_excused = life.cancelled != Fact::No;
            assert!(!is_due || is_excused || life.told > 0, "{id}: {life:?}");
        }
    }
}
