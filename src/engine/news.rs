//! What the poll, which has the lines, and everybody else tell each other of them.
//!
//! The poll publishes when it next has something to do with a line; for whoever looks for the engine's next
//! wake-up. Others leave word, for the next poll or the one that runs, of what opens or closes a line at a time
//! that no poll could know: another pace, room in a dispatch queue, the end of dispatch. Word that was left
//! makes a poll due at once, so that no driver has to know what a poll waited for.
//!
//! Word is left under the lock under which the poll publishes. So it comes before, and the poll sees it and
//! publishes that it is due at once; or after, and whoever left it does.

use hashbrown::HashSet;

use crate::ids::{LocationId, Timestamp};
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering};

/// Published while no line waits to open.
const NOTHING: u64 = u64::MAX;
/// Published where a poll is due whatever the clock shows.
const AT_ONCE: u64 = 0;

/// The letter box.
pub(super) struct LineNews {
    /// When a poll next has something to do with a line.
    next_event: AtomicU64,
    /// Whether there is word of dispatch: seen without the lock by the poll that runs.
    of_dispatch: AtomicBool,
    word: Mutex<Word>,
}

/// What was left since it was last taken.
#[derive(Default)]
struct Word {
    /// Locations whose pace was changed.
    paced: HashSet<LocationId>,
    /// Locations whose dispatch queue was full and has room again.
    roomy: Vec<LocationId>,
}

impl Default for LineNews {
    fn default() -> Self {
        Self {
            next_event: AtomicU64::new(NOTHING),
            of_dispatch: AtomicBool::new(false),
            word: Mutex::default(),
        }
    }
}

impl LineNews {
    /// A location has another pace: where anything stands in line, the next poll is due at once, to look at
    /// its line.
    pub(super) fn pace_changed(&self, location: LocationId) {
        let mut word = self.word.lock();
        word.paced.insert(location);
        if self.next_event.load(Ordering::SeqCst) != NOTHING {
            self.next_event.store(AT_ONCE, Ordering::SeqCst);
        }
    }

    /// A place came free in dispatch that a line waits for, in a location's own queue where it is named; or
    /// dispatch has ended. The next poll is due at once.
    pub(super) fn room_came(&self, location: Option<LocationId>) {
        let mut word = self.word.lock();
        word.roomy.extend(location);
        self.of_dispatch.store(true, Ordering::SeqCst);
        self.next_event.store(AT_ONCE, Ordering::SeqCst);
    }

    /// Gives the locations with another pace, in exchange for an empty set, whose memory is used from now on.
    pub(super) fn exchange_paced(&self, empty: HashSet<LocationId>) -> HashSet<LocationId> {
        debug_assert!(empty.is_empty());
        std::mem::replace(&mut self.word.lock().paced, empty)
    }

    /// The locations whose dispatch queue has room again. One atomic load where there is no word.
    pub(super) fn take_roomy(&self) -> Vec<LocationId> {
        if !self.of_dispatch.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut word = self.word.lock();
        self.of_dispatch.store(false, Ordering::SeqCst);
        std::mem::take(&mut word.roomy)
    }

    /// The poll ends, and this is when one next has something to do with a line.
    pub(super) fn publish(&self, next: Option<Timestamp>) {
        let word = self.word.lock();
        let next = match next {
            _ if self.of_dispatch.load(Ordering::SeqCst) => AT_ONCE,
            // A pace was changed while the poll ran.
            Some(_) if !word.paced.is_empty() => AT_ONCE,
            // At the end of time a moment earlier, which is as good.
            Some(next) => next.as_millis().min(NOTHING - 1),
            None => NOTHING,
        };
        self.next_event.store(next, Ordering::SeqCst);
    }

    pub(super) fn next_event(&self) -> Option<Timestamp> {
        let next = self.next_event.load(Ordering::SeqCst);
        (next != NOTHING).then(|| Timestamp::from_millis(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn room_makes_a_poll_due_whether_it_comes_before_the_poll_publishes_or_after() {
        let here = LocationId::from_index(3);
        let news = LineNews::default();
        news.room_came(Some(here));
        news.publish(Some(at(500)));
        assert_eq!(news.next_event(), Some(at(0)));
        assert_eq!(news.take_roomy(), [here]);
        news.publish(None);
        assert_eq!(news.next_event(), None);
        news.room_came(None);
        assert_eq!(news.next_event(), Some(at(0)));
        assert_eq!(news.take_roomy(), []);
    }

    #[test]
    fn a_pace_makes_a_poll_due_where_anything_stands_in_line() {
        let here = LocationId::from_index(3);
        let news = LineNews::default();
        news.pace_changed(here);
        assert_eq!(news.next_event(), None);
        news.publish(None);
        assert_eq!(news.next_event(), None, "nothing stands in line");
        news.publish(Some(at(500)));
        assert_eq!(news.next_event(), Some(at(0)));
        assert!(news.exchange_paced(HashSet::new()).contains(&here));
        news.publish(Some(at(500)));
        assert_eq!(news.next_event(), Some(at(500)));
    }
}
