//! Commands on a whole location: hold, resume, cancel, move, list.
//!
//! Each walks the location's page shard by shard, a bounded number of lines a lock, so that it costs what
//! the location holds and stops nobody else for long.

use super::Engine;
use super::book::Line;
use super::entry::{Phase, reason};
use super::error::UnknownLocation;
use super::intake::status_of;
use super::location::Pace;
use super::replies::{Held, ListCursor, LocationChange, LocationPage, Resumed};
use super::shard::{Shard, Trash};
use crate::ids::{LocationId, Timestamp};
use crate::lifecycle::{Outcome, RequestState};
use crate::sync::Arc;
use crate::telemetry::tell;

/// Lines walked while a shard is locked: few enough, where each is a cache miss, that nobody waits for long.
const WALK_STEP: usize = 128;

impl Engine {
    /// Stops a location's releases. Its requests park as they fall due; their lifespans go on. Commands
    /// released already may still go out: the answer says how many. A hold that stands keeps its
    /// beginning.
    ///
    /// O(shards).
    ///
    /// # Errors
    /// A location that the directory does not know.
    pub fn hold(&self, location: LocationId, now: Timestamp) -> Result<Held, UnknownLocation> {
        self.known(location)?;
        self.controls.of(location).hold(now);
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
        Ok(Held { in_flight })
    }

    /// Starts a location's releases again, at most at `pace` where one is given, until the next `resume`
    /// says otherwise. What fell due meanwhile goes out from the next poll on, by its original processing
    /// time, unless the hold covered that time and the grace after it: then its missed policy decides.
    ///
    /// O(what the location holds).
    ///
    /// # Errors
    /// A location that the directory does not know.
    pub fn resume(
        &self,
        location: LocationId,
        pace: Option<Pace>,
        now: Timestamp,
    ) -> Result<Resumed, UnknownLocation> {
        self.known(location)?;
        let held_since = self.controls.of(location).resume(pace);
        self.line_news.pace_changed(location);
        let mut held = 0;
        self.walk(location, |shard, index, trash| {
            if shard.entry(index).phase() == Phase::Held {
                held += 1;
                shard.unpark(index, held_since, now, trash);
            }
        });
        tell!(Resumed {
            location,
            held,
            pace: pace.map_or(0, Pace::releases_per_second)
        });
        self.wakeup.notify_due(now);
        Ok(Resumed { held })
    }

    /// Cancels every request of a location that was not released yet.
    ///
    /// O(what the location holds). A request taken in meanwhile may or may not be among them.
    ///
    /// # Errors
    /// A location that the directory does not know.
    pub fn cancel_location(
        &self,
        location: LocationId,
        now: Timestamp,
    ) -> Result<LocationChange, UnknownLocation> {
        self.known(location)?;
        let mut change = LocationChange::default();
        let why: Arc<str> = Arc::from(reason::LOCATION);
        self.walk(location, |shard, index, trash| {
            let entry = shard.entry(index);
            if !entry.phase().is_before_release() {
                change.too_late += 1;
            } else if entry.has_expired(now) {
                change.too_late += 1;
                shard.expire(index, now, trash);
            } else {
                change.changed += 1;
                shard.end(
                    index,
                    Outcome::Cancelled,
                    Some(Arc::clone(&why)),
                    now,
                    trash,
                );
            }
        });
        tell!(LocationCancelled {
            location,
            changed: change.changed,
            too_late: change.too_late
        });
        Ok(change)
    }

    /// Moves every request of a location that was not released yet to another, whose hold and pace apply
    /// to them from then on. They keep their times and their order of intake.
    ///
    /// O(what the location holds). A request taken in meanwhile may or may not be among them.
    ///
    /// # Errors
    /// A location that the directory does not know.
    pub fn move_location(
        &self,
        from: LocationId,
        to: LocationId,
        now: Timestamp,
    ) -> Result<LocationChange, UnknownLocation> {
        self.known(from)?;
        self.known(to)?;
        let mut change = LocationChange::default();
        if from == to {
            return Ok(change);
        }
        let control = self.controls.of(to);
        self.walk(from, |shard, index, trash| {
            let entry = shard.entry(index);
            if !entry.phase().is_before_release() {
                change.too_late += 1;
                return;
            }
            if entry.has_expired(now) {
                change.too_late += 1;
                shard.expire(index, now, trash);
                return;
            }
            change.changed += 1;
            shard.book.open(to, &control);
            shard.move_to(index, to);
            match shard.entry(index).phase() {
                // Whether it waits on is for the new location to say, at the next poll.
                Phase::Held => shard.unpark(index, None, now, trash),
                // It stands in the former location's line.
                Phase::InLine => shard.wait(index),
                _ => {}
            }
        });
        tell!(LocationMoved {
            location: from,
            to,
            changed: change.changed,
            too_late: change.too_late
        });
        self.wakeup.notify_due(now);
        Ok(change)
    }

    /// A part of a location's pending requests, at most `limit` (and at least one where there are any),
    /// and where to go on. The order is shard by shard, by arrival at the location; a request that
    /// arrives or ends during the listing may or may not be in it, every other is in it once.
    ///
    /// O(`limit` + shards + stale lines passed over).
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
        let mut at = from.unwrap_or(ListCursor { shard: 0, stamp: 0 });
        let mut requests = Vec::new();
        while let Some(cell) = self.shards.get(at.shard) {
            let shard = cell.lock();
            let Some(page) = shard.book.page(location) else {
                at = ListCursor {
                    shard: at.shard + 1,
                    stamp: 0,
                };
                continue;
            };
            let lines = page.lines_after(at.stamp);
            let step = lines.len().min(WALK_STEP);
            for line in &lines[..step] {
                if requests.len() >= limit.max(1) {
                    return Ok(LocationPage {
                        requests,
                        next: Some(at),
                    });
                }
                at.stamp = line.stamp;
                if let Some(entry) = shard.entries.get(line.index)
                    && entry.stamp == line.stamp
                {
                    requests.push(status_of(entry));
                }
            }
            if step == lines.len() {
                at = ListCursor {
                    shard: at.shard + 1,
                    stamp: 0,
                };
            }
        }
        Ok(LocationPage {
            requests,
            next: None,
        })
    }

    /// Visits every request that stands on the location's pages now, some lines a lock.
    fn walk(&self, location: LocationId, mut visit: impl FnMut(&mut Shard, u32, &mut Trash)) {
        let mut trash = Trash::new();
        let mut lines: Vec<Line> = Vec::with_capacity(WALK_STEP);
        for cell in &self.shards {
            let mut after = 0;
            let end = cell.lock().book.stamp();
            loop {
                let mut shard = cell.lock();
                lines.clear();
                if let Some(page) = shard.book.page(location) {
                    let ahead = page.lines_after(after);
                    lines.extend(
                        ahead
                            .iter()
                            .take(WALK_STEP)
                            .filter(|line| line.stamp <= end),
                    );
                }
                let Some(last) = lines.last() else { break };
                after = last.stamp;
                for line in &lines {
                    let live = shard
                        .entries
                        .get(line.index)
                        .is_some_and(|e| e.stamp == line.stamp);
                    if live {
                        visit(&mut shard, line.index, &mut trash);
                    }
                }
                drop(shard);
                trash.clear();
            }
        }
    }
}

impl Shard {
    fn move_to(&mut self, index: u32, to: LocationId) {
        let entry = self
            .entries
            .get_mut(index)
            .expect("an index found under the lock is in use");
        let (from, phase) = (entry.location, entry.phase());
        entry.location = to;
        self.book.leave(from, phase);
        self.book.enter(&mut self.entries, index);
    }
}
