//! Commands on a whole location: hold, resume, cancel, move, list.
//!
//! Each walks the location's page shard by shard, a bounded number of lines a lock, so that it costs what
//! the location holds and stops nobody else for long.

use super::Engine;
use super::book::Page;
use super::entry::Phase;
use super::error::{LocationError, UnknownLocation};
use super::intake::status_of;
use super::location::Pace;
use super::replies::{Held, ListCursor, LocationChange, LocationPage, Resumed};
use super::shard::Shard;
use super::trash::Trash;
use crate::ids::{LocationId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};
use crate::lifecycle::{Rule, Why};
use crate::persistence::Lsn;
use crate::persistence::record::Change;
use crate::sync::Arc;
use crate::telemetry::tell;

/// Requests visited while a shard is locked: few enough, where each is some cache misses, that nobody waits for
/// long.
const WALK_STEP: usize = 64;
/// Chunks of a page looked at while a shard is locked.
const CHUNK_STEP: usize = 256;

impl Engine {
    /// Stops a location's releases. Its requests park as they fall due; their lifespans go on. Commands
    /// released already may still go out: the answer says how many. A hold that stands keeps its
    /// beginning.
    ///
    /// O(shards).
    ///
    /// # Errors
    /// A location that the directory does not know; with a store, where its journal fails.
    pub fn hold(&self, location: LocationId, now: Timestamp) -> Result<Held, LocationError> {
        self.known(location)?;
        let ((), rests_on) = self.change_rule(location, || self.controls.of(location).hold(now))?;
        let in_flight = self
            .shards
            .iter()
            .filter_map(|cell| {
                let shard = cell.lock();
                let page = shard.book.page(location)?;
                Some(page.count(RequestState::Released) + page.count(RequestState::Routing))
            })
            .sum::<u32>();
        let in_flight = in_flight as usize;
        tell!(Held {
            location,
            in_flight
        });
        self.settle_location(location, rests_on)?;
        Ok(Held { in_flight })
    }

    /// Starts a location's releases again, at most at `pace` where one is given, else at the engine's
    /// [`default_pace`](super::EngineBuilder::default_pace) where there is one, until the next `resume`
    /// says otherwise. What fell due meanwhile goes out from the next poll on, by its original processing
    /// time, unless the hold covered that time and the grace after it: then its missed policy decides.
    ///
    /// O(what the location holds).
    ///
    /// # Errors
    /// A location that the directory does not know; with a store, where its journal fails.
    pub fn resume(
        &self,
        location: LocationId,
        pace: Option<Pace>,
        now: Timestamp,
    ) -> Result<Resumed, LocationError> {
        self.known(location)?;
        let (held_since, rule) =
            self.change_rule(location, || self.controls.of(location).resume(pace))?;
        self.line_news.pace_changed(location);
        let mut held = 0;
        let walked = self.walk(location, |shard, index, trash| {
            if shard.pending(index).phase == Phase::Held {
                held += 1;
                shard.unpark(index, held_since, now, trash);
            }
        });
        tell!(Resumed {
            location,
            held,
            pace: pace
                .or(self.settings.default_pace)
                .map_or(0, Pace::releases_per_second)
        });
        self.wakeup.notify_due(now);
        self.settle_location(location, rule.max(walked))?;
        Ok(Resumed { held })
    }

    /// Cancels every request of a location that was not released yet.
    ///
    /// O(what the location holds). A request taken in meanwhile may or may not be among them.
    ///
    /// # Errors
    /// A location that the directory does not know; with a store, where its journal fails.
    pub fn cancel_location(
        &self,
        location: LocationId,
        now: Timestamp,
    ) -> Result<LocationChange, LocationError> {
        self.known(location)?;
        self.usable()?;
        let mut change = LocationChange::default();
        let rests_on = self.walk(location, |shard, index, trash| {
            let pending = shard.pending(index);
            if pending.is_released() {
                change.too_late += 1;
            } else if pending.has_expired(now) {
                change.too_late += 1;
                shard.expire(index, now, trash);
            } else {
                change.changed += 1;
                let why = Why::Rule(Rule::Location);
                shard.end(index, Outcome::Cancelled, why, now, trash);
            }
        });
        tell!(LocationCancelled {
            location,
            changed: change.changed,
            too_late: change.too_late
        });
        self.settle_location(location, rests_on)?;
        Ok(change)
    }

    /// Moves every request of a location that was not released yet to another, whose hold and pace apply
    /// to them from then on. They keep their times and their order of intake.
    ///
    /// O(what the location holds). A request taken in meanwhile may or may not be among them.
    ///
    /// # Errors
    /// A location that the directory does not know; with a store, where its journal fails.
    pub fn move_location(
        &self,
        from: LocationId,
        to: LocationId,
        now: Timestamp,
    ) -> Result<LocationChange, LocationError> {
        self.known(from)?;
        self.known(to)?;
        self.usable()?;
        self.log_name(to);
        let mut change = LocationChange::default();
        if from == to {
            return Ok(change);
        }
        let control = self.controls.of(to);
        let rests_on = self.walk(from, |shard, index, trash| {
            let pending = shard.pending(index);
            if pending.is_released() {
                change.too_late += 1;
                return;
            }
            if pending.has_expired(now) {
                change.too_late += 1;
                shard.expire(index, now, trash);
                return;
            }
            change.changed += 1;
            shard.book.open(to, || Arc::clone(&control));
            shard.move_to(index, to);
            match shard.pending(index).phase {
                // Whether it waits on is for the new location to say, at the next poll.
                Phase::Held => shard.unpark(index, None, now, trash),
                // It stands in the former location's line.
                Phase::InLine => shard.wait(index),
                _ => {}
            }
            if shard
                .store
                .entry(index)
                .is_some_and(|entry| entry.location == to)
            {
                shard.log(Change::Moved, index);
            }
        });
        tell!(LocationMoved {
            location: from,
            to,
            changed: change.changed,
            too_late: change.too_late
        });
        self.wakeup.notify_due(now);
        self.settle_location(from, rests_on)?;
        Ok(change)
    }

    /// A part of a location's pending requests, at most `limit` (and at least one where there are any),
    /// and where to go on. The order is shard by shard and otherwise means nothing; a request that
    /// arrives or ends during the listing may or may not be in it, every other is in it once.
    ///
    /// O(`limit` + shards + what the location held at its peak, where that is gone).
    ///
    /// # Errors
    /// A location that the directory does not know.
    pub fn list_location(
        &self,
        location: LocationId,
        from: Option<ListCursor>,
        limit: usize,
    ) -> Result<LocationPage, UnknownLocation> {
        self.known(location)?;
        let mut at = from.unwrap_or(ListCursor::START);
        let mut requests = Vec::new();
        while let Some(cell) = self.shards.get(at.shard) {
            let shard = cell.lock();
            let end = shard.book.page(location).map_or(0, Page::end);
            let step = WALK_STEP.min(limit.max(1).saturating_sub(requests.len()));
            shard.list(location, &mut at, step, |index| {
                requests.push(status_of(shard.pending(index)));
            });
            if requests.len() >= limit.max(1) {
                return Ok(LocationPage {
                    requests,
                    next: Some(at),
                });
            }
            if at.chunk >= end {
                at = ListCursor {
                    shard: at.shard + 1,
                    ..ListCursor::START
                };
            }
        }
        Ok(LocationPage {
            requests,
            next: None,
        })
    }

    /// To be called before an answer is given on a command that rests on this record.
    fn settle_location(&self, location: LocationId, rests_on: Lsn) -> Result<(), LocationError> {
        let settled = self.settle_log(rests_on);
        settled.map_err(|_| LocationError::Indeterminate(location))
    }

    /// Visits every request that stands on the location's pages now, some a lock. Returns the number of the last record
    /// of what was done to them.
    fn walk(
        &self,
        location: LocationId,
        mut visit: impl FnMut(&mut Shard, u32, &mut Trash),
    ) -> Lsn {
        let mut rests_on = Lsn(0);
        let mut trash = Trash::new();
        let mut indexes = [0; WALK_STEP];
        for cell in &self.shards {
            let mut at = ListCursor::START;
            let end = cell.lock().book.page(location).map_or(0, Page::end);
            while at.chunk < end {
                let mut shard = cell.lock();
                let mut count = 0;
                shard.list(location, &mut at, WALK_STEP, |index| {
                    indexes[count] = index;
                    count += 1;
                });
                for &index in &indexes[..count] {
                    visit(&mut shard, index, &mut trash);
                }
                rests_on = rests_on.max(shard.commit());
                drop(shard);
                trash.clear();
            }
        }
        rests_on
    }
}

impl Shard {
    /// Calls `visit` with the next requests on a location's page, `step` at most, and moves the cursor past
    /// them: past the page's end where there are no more.
    fn list(
        &self,
        location: LocationId,
        at: &mut ListCursor,
        step: usize,
        mut visit: impl FnMut(u32),
    ) {
        let Some(page) = self.book.page(location) else {
            at.chunk = usize::MAX;
            return;
        };
        let mut left = step;
        for _ in 0..CHUNK_STEP {
            if at.chunk >= page.end() {
                // Also where the page became shorter since the cursor's last look, or a walk would never end.
                at.chunk = usize::MAX;
                return;
            }
            for (line, index) in self.book.lines(page, at.chunk) {
                if line < at.line {
                    continue;
                }
                if left == 0 {
                    return;
                }
                visit(index);
                left -= 1;
                at.line = line + 1;
            }
            (at.chunk, at.line) = (at.chunk + 1, 0);
        }
    }

    /// Enters a request on another location's page, which is open.
    fn move_to(&mut self, index: u32, to: LocationId) {
        let pending = self.pending(index);
        let (line, state) = (pending.line, pending.state());
        self.book.leave(line, state);
        let line = self.book.enter(to, index, state);
        let pending = self.pending_mut(index);
        pending.entry.location = to;
        pending.entry.line = line;
    }
}
