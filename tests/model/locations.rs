//! The model's commands on whole locations.

use duewheel::{LocationChange, Outcome, Pace, RequestStatus, Timestamp};

use super::pace::Line;
use super::{Model, Place};

impl Model {
    fn at(&self, location: u32) -> Vec<u64> {
        let here = |id: &u64| self.requests[id].location == location;
        self.requests.keys().copied().filter(here).collect()
    }

    /// Answers how many commands are out.
    pub(crate) fn hold(&mut self, location: u32, now: Timestamp) -> usize {
        let held_since = &mut self.locations[location as usize].held_since;
        held_since.get_or_insert(now);
        self.log_rule(location);
        let out = self.at(location).into_iter();
        out.filter(|id| self.requests[id].is_released()).count()
    }

    /// Answers how many were parked.
    pub(crate) fn resume(&mut self, location: u32, pace: Option<Pace>, now: Timestamp) -> usize {
        let before = &mut self.locations[location as usize];
        let held_since = before.held_since;
        before.held_since = None;
        before.line = pace.map(|pace| Line::after(pace, before.line));
        self.log_rule(location);
        let mut parked = self.at(location);
        parked.retain(|id| self.requests[id].place == Place::Parked);
        let count = parked.len();
        self.unordered(|model| {
            for id in parked {
                model.sight(id, held_since, now);
            }
        });
        count
    }

    /// Ends what has expired of a location and counts what was released; the others are to be changed.
    fn changeable(&mut self, location: u32, now: Timestamp) -> (Vec<u64>, LocationChange) {
        let mut change = LocationChange::default();
        let mut changeable = Vec::new();
        for id in self.at(location) {
            let pending = &self.requests[&id];
            if pending.is_released() {
                change.too_late += 1;
            } else if pending.has_expired(now) {
                change.too_late += 1;
                self.expire(id, now);
            } else {
                changeable.push(id);
            }
        }
        change.changed = changeable.len();
        (changeable, change)
    }

    pub(crate) fn cancel_location(&mut self, location: u32, now: Timestamp) -> LocationChange {
        self.unordered(|model| {
            let (ids, change) = model.changeable(location, now);
            for id in ids {
                model.end(id, Outcome::Cancelled, Some("location_cancelled"), now);
            }
            change
        })
    }

    pub(crate) fn move_location(&mut self, from: u32, to: u32, now: Timestamp) -> LocationChange {
        if from == to {
            return LocationChange::default();
        }
        self.unordered(|model| {
            let (ids, change) = model.changeable(from, now);
            for id in ids {
                let pending = model.requests.get_mut(&id).unwrap();
                pending.location = to;
                if pending.place == Place::InLine {
                    pending.wait();
                }
                if pending.place == Place::Parked {
                    // The hold it leaves has no say any more.
                    model.sight(id, None, now);
                }
                if model.requests.contains_key(&id) {
                    model.log(id);
                }
            }
            change
        })
    }

    pub(crate) fn list(&self, location: u32) -> Vec<RequestStatus> {
        let here = self.at(location).into_iter();
        // A listing waits for nothing, and says of nothing that it is durable.
        here.map(|id| RequestStatus {
            durable: false,
            ..self.status(id).unwrap()
        })
        .collect()
    }
}
