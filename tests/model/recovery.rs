//! What a store keeps of the model, and what comes back of that when the process has ended: every request as it was
//! when something was last written of it.
//!
//! Nothing is written of a look that found a request due, of its place in heap or line, or of a condition that is to
//! be asked again: these start over. A snapshot writes every request of a shard in which anything was written since
//! the last.

use std::collections::{BTreeMap, BTreeSet};

use duewheel::{Outcome, Pace, Timestamp};

use super::pace::Line;
use super::pending::Pending;
use super::{Ended, Location, Model, Outside};

/// Times that an attempt in doubt is handed over again without waiting.
pub(crate) const CRASH_REDELIVERIES_AT_ONCE: u32 = 8;

/// What is written down.
#[derive(Clone, Default)]
struct Written {
    requests: BTreeMap<u64, Pending>,
    ended: BTreeMap<u64, Ended>,
    outcomes: BTreeMap<(u32, Outcome, Option<String>), u64>,
    /// Holds and paces, by location.
    rules: BTreeMap<u32, (Option<Timestamp>, Option<Pace>)>,
    /// Shards of which something was written since the last snapshot.
    changed: BTreeSet<u32>,
}

/// A store, as the model understands it.
#[derive(Clone, Default)]
pub(crate) struct Journal {
    written: Written,
    durable: Written,
    /// The shard of each request.
    shard_of: BTreeMap<u64, u32>,
}

impl Journal {
    pub(crate) fn new(shard_of: BTreeMap<u64, u32>) -> Self {
        Self {
            shard_of,
            ..Self::default()
        }
    }
}

impl Model {
    /// Writes down what a pending request is now.
    pub(crate) fn log(&mut self, id: u64) {
        if let Some(journal) = &mut self.journal {
            let written = &mut journal.written;
            written.requests.insert(id, self.requests[&id].clone());
            written.ended.remove(&id);
            written.changed.insert(journal.shard_of[&id]);
        }
    }

    /// Writes down that a request has ended.
    pub(crate) fn log_end(&mut self, id: u64) {
        if let Some(journal) = &mut self.journal {
            let written = &mut journal.written;
            written.requests.remove(&id);
            written.ended.insert(id, self.ended[&id].clone());
            written.outcomes.clone_from(&self.outcomes);
            written.changed.insert(journal.shard_of[&id]);
        }
    }

    /// Writes down a location's hold and pace.
    pub(crate) fn log_rule(&mut self, location: u32) {
        if let Some(journal) = &mut self.journal {
            let Location {
                held_since, line, ..
            } = &self.locations[location as usize];
            let pace = line.as_ref().map(|line| line.pace);
            journal.written.rules.insert(location, (*held_since, pace));
        }
    }

    /// What was written is durable.
    pub(crate) fn sync(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.durable = journal.written.clone();
        }
    }

    /// A snapshot is taken.
    pub(crate) fn snapshot(&mut self) {
        if let Some(journal) = &mut self.journal {
            let changed = std::mem::take(&mut journal.written.changed);
            for (id, pending) in &self.requests {
                if changed.contains(&journal.shard_of[id]) {
                    journal.written.requests.insert(*id, pending.clone());
                }
            }
        }
        self.sync();
    }

    /// The store's shards are others from here on.
    pub(crate) fn spread_anew(&mut self, shard_of: BTreeMap<u64, u32>) {
        if let Some(journal) = &mut self.journal {
            for kept in [&mut journal.written, &mut journal.durable] {
                kept.changed = shard_of.values().copied().collect();
            }
            journal.shard_of = shard_of;
        }
    }

    /// The process ends, and everything is read back that is durable.
    ///
    /// `last_poll` is the last poll that the store tells of, `epoch` that of the new writer. `died_at`: when a poll
    /// was going on that then did not come to its end; it may have looked at what was due by then, or not, and what is
    /// seen of that decides.
    pub(crate) fn recover(
        &mut self,
        last_poll: Option<Timestamp>,
        epoch: u32,
        died_at: Option<Timestamp>,
        outside: &impl Outside,
    ) {
        let mut before = self.clone();
        self.read_back(last_poll, epoch);
        let Some(died_at) = died_at else { return };
        for id in before.looks_until(died_at) {
            if outside.seen(id) == self.status(id) {
                continue;
            }
            before.look(id, died_at);
            let found = &before.journal.as_ref().unwrap().written;
            let (request, ended) = (found.requests.get(&id), found.ended.get(&id));
            let journal = self.journal.as_mut().unwrap();
            for kept in [&mut journal.written, &mut journal.durable] {
                kept.requests.remove(&id);
                kept.requests
                    .extend(request.map(|request| (id, request.clone())));
                kept.ended.extend(ended.map(|ended| (id, ended.clone())));
                if let (None, Some(ended)) = (request, ended) {
                    let why = ended.status.reason.as_ref().map(ToString::to_string);
                    let line = (
                        ended.status.location.index(),
                        ended.status.outcome.unwrap(),
                        why,
                    );
                    *kept.outcomes.entry(line).or_default() += 1;
                }
                kept.changed.insert(journal.shard_of[&id]);
            }
            self.ends = self.ends.max(before.ends);
            self.read_back(last_poll, epoch);
        }
    }

    fn read_back(&mut self, last_poll: Option<Timestamp>, epoch: u32) {
        let mut journal = self.journal.take().unwrap();
        journal.written = journal.durable.clone();
        let kept = &journal.written;
        self.polls = last_poll.into_iter().collect();
        (self.stepped_back, self.caught_up) = (0, self.polls.len());
        self.looked_ahead = None;
        self.requests = kept.requests.clone();
        for pending in self.requests.values_mut() {
            pending.come_back();
        }
        let known = std::mem::take(&mut self.ended);
        self.ended = kept.ended.clone();
        for (id, ended) in &mut self.ended {
            // One that was forgotten may be remembered again.
            let known = known.get(id).filter(|known| known.at == ended.at);
            ended.past_span = known.is_none_or(|known| known.past_span);
        }
        if let Some(last_poll) = last_poll {
            self.tell(last_poll);
        }
        let kept = &journal.written;
        self.outcomes.clone_from(&kept.outcomes);
        for (number, location) in (0..).zip(&mut self.locations) {
            *location = Location::default();
            if let Some(&(held_since, pace)) = kept.rules.get(&number) {
                location.held_since = held_since;
                location.line = pace.map(|pace| Line::after(pace, None));
                location.look_at_line();
            }
        }
        self.closed = false;
        self.batch.clear();
        self.answers.clear();
        (self.released, self.latest_ms, self.panics) = (0, 0, 0);
        self.epoch = epoch;
        self.journal = Some(journal);
    }
}

impl Pending {
    /// It was read back.
    fn come_back(&mut self) {
        if self.is_released() {
            self.in_doubt = true;
            self.open_attempt = self.attempts;
        }
        self.cooling = self.in_doubt && self.redeliveries >= CRASH_REDELIVERIES_AT_ONCE;
        self.polls_before = 0;
        self.wait();
    }
}
