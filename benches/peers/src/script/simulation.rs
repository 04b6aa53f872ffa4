//! Follows a churn, to know which timers are alive, and writes its steps down.
//!
//! Everything it needs is allocated when it begins, so that what a peer allocates while pieces are
//! drawn and done in turns is the peer's alone.

use super::{Act, Step};

/// The place of no timer.
const NOWHERE: u32 = u32::MAX;

/// What is due at one tick.
#[derive(Clone, Copy)]
struct Due {
    /// The first in a list of places.
    first: u32,
    /// How many timers that have no place.
    forgotten: u32,
}

/// The timer whose handle is in a place.
#[derive(Clone, Copy)]
struct Place {
    /// Its due tick, and its neighbours in the list of those; no list holds what is due after the
    /// last tick.
    due: u32,
    previous: u32,
    next: u32,
    /// Where it stands among the live ones.
    position: u32,
}

pub(super) struct Simulation {
    /// Timers to fire, for each tick of the script.
    due: Vec<Due>,
    places: Vec<Place>,
    /// Places of the timers that are alive.
    live: Vec<u32>,
    /// Places of timers that fired.
    free: Vec<u32>,
    now: u32,
    pending: usize,
    peak: usize,
    fires: usize,
}

impl Simulation {
    /// Nothing pending, so many ticks to come, and room for so many handles.
    pub(super) fn new(ticks: usize, places: usize) -> Self {
        let none = Due {
            first: NOWHERE,
            forgotten: 0,
        };
        Self {
            due: vec![none; ticks + 1],
            places: Vec::with_capacity(places),
            live: Vec::with_capacity(places),
            free: Vec::with_capacity(places),
            now: 0,
            pending: 0,
            peak: 0,
            fires: 0,
        }
    }

    /// Places of the live timers that are not forgotten.
    pub(super) fn live(&self) -> &[u32] {
        &self.live
    }

    /// How many timers are pending, those forgotten included.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    /// The most timers that were ever pending at once.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// How many timers fired.
    pub(super) fn fires(&self) -> usize {
        self.fires
    }

    pub(super) fn schedule_forget(&mut self, delay: u32) -> Step {
        if let Some(due) = self.due.get_mut((self.now + delay) as usize) {
            due.forgotten += 1;
        }
        self.count_in();
        Step {
            delay,
            place: NOWHERE,
            act: Act::Forget,
        }
    }

    pub(super) fn schedule(&mut self, delay: u32) -> Step {
        let (place, act) = if let Some(place) = self.free.pop() {
            (place, Act::Reuse)
        } else {
            let place = self.places.len() as u32;
            self.places.push(Place {
                due: 0,
                previous: NOWHERE,
                next: NOWHERE,
                position: 0,
            });
            (place, Act::Keep)
        };
        self.places[place as usize].position = self.live.len() as u32;
        self.live.push(place);
        self.link(place, delay);
        self.count_in();
        Step { delay, place, act }
    }

    /// Cancels the timer of `place`, which is live, and schedules another in its place.
    pub(super) fn cancel_and_schedule(&mut self, place: u32, delay: u32) -> Step {
        self.unlink(place);
        self.link(place, delay);
        Step {
            delay,
            place,
            act: Act::Cancel,
        }
    }

    /// Lets a tick pass.
    pub(super) fn tick(&mut self) {
        self.now += 1;
        let Due {
            mut first,
            forgotten,
        } = self.due[self.now as usize];
        self.count_out(forgotten as usize);
        while first != NOWHERE {
            let Place { next, position, .. } = self.places[first as usize];
            self.live.swap_remove(position as usize);
            if let Some(&moved) = self.live.get(position as usize) {
                self.places[moved as usize].position = position;
            }
            self.free.push(first);
            self.count_out(1);
            first = next;
        }
    }

    fn count_in(&mut self) {
        self.pending += 1;
        self.peak = self.peak.max(self.pending);
    }

    fn count_out(&mut self, fired: usize) {
        self.pending -= fired;
        self.fires += fired;
    }

    fn link(&mut self, place: u32, delay: u32) {
        let due = self.now + delay;
        self.places[place as usize].due = due;
        let Some(Due { first, .. }) = self.due.get_mut(due as usize) else {
            return;
        };
        let next = std::mem::replace(first, place);
        self.places[place as usize].previous = NOWHERE;
        self.places[place as usize].next = next;
        if next != NOWHERE {
            self.places[next as usize].previous = place;
        }
    }

    fn unlink(&mut self, place: u32) {
        let Place {
            due,
            previous,
            next,
            ..
        } = self.places[place as usize];
        let Some(Due { first, .. }) = self.due.get_mut(due as usize) else {
            return;
        };
        if previous == NOWHERE {
            *first = next;
        } else {
            self.places[previous as usize].next = next;
        }
        if next != NOWHERE {
            self.places[next as usize].previous = previous;
        }
    }
}
