//! Checks a peer against a model before any of its figures count: a script of schedules, cancels
//! and advances, done to both.

use std::collections::{BTreeSet, HashMap};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::peer::{Cancelled, Kind, Order, Peer};
use crate::workload::DAY;

/// Steps of the script, each a schedule or a cancel; every so often with an advance.
const STEPS: u64 = 30_000;

/// Checks a peer.
///
/// # Panics
/// With the peer's name, where it differs from the model.
pub(crate) fn check<P: Peer>() {
    match (P::KIND, P::ORDER) {
        (Kind::Floor, _) => {}
        (_, Order::Coarse) => check_coarse::<P>(),
        _ => check_exact::<P>(),
    }
}

/// A peer and what it should hold.
struct Checked<P: Peer> {
    peer: P,
    /// Timers by due tick and value; values are numbers of intake.
    model: BTreeSet<(u64, u64)>,
    /// Handles of the timers in the model that were not forgotten.
    handles: HashMap<u64, P::Handle>,
    now: u64,
}

fn check_exact<P: Peer>() {
    let mut random = Pcg64Mcg::seed_from_u64(6);
    let mut checked = Checked::<P> {
        peer: P::new(),
        model: BTreeSet::new(),
        handles: HashMap::new(),
        now: 0,
    };
    for value in 0..STEPS {
        let delay = any_scale(&mut random, DAY);
        match random.random_range(0..10) {
            0..3 => checked.cancel_after(checked.now + delay),
            3 => checked.schedule_forget(checked.now + delay, value),
            _ => checked.schedule(checked.now + delay, value),
        }
        if random.random_range(0..10) == 0 {
            checked.advance(checked.now + any_scale(&mut random, 50_000));
        }
    }
    // Tick by tick and in jumps, to the end.
    for _ in 0..10_000 {
        checked.advance(checked.now + 1);
    }
    while !checked.model.is_empty() {
        checked.advance(checked.now + 10_000_000);
    }
    assert!(
        checked.handles.is_empty(),
        "{}: the check is wrong",
        P::NAME
    );
}

/// Log-uniform from 1 to `most`: ticks of every level of every wheel.
fn any_scale(random: &mut Pcg64Mcg, most: u64) -> u64 {
    let exponent = random.random_range(0.0..=(most as f64).ln());
    (exponent.exp() as u64).clamp(1, most)
}

impl<P: Peer> Checked<P> {
    fn schedule(&mut self, due: u64, value: u64) {
        let handle = self.peer.schedule(due, value);
        self.handles.insert(value, handle);
        self.model.insert((due, value));
    }

    fn schedule_forget(&mut self, due: u64, value: u64) {
        self.peer.schedule_forget(due, value);
        self.model.insert((due, value));
    }

    /// Cancels the first timer due at or after a tick, unless it was forgotten.
    fn cancel_after(&mut self, tick: u64) {
        let Some(&(due, value)) = self.model.range((tick, 0)..).next() else {
            return;
        };
        let Some(handle) = self.handles.remove(&value) else {
            return;
        };
        let expected = match P::KIND {
            Kind::Removing => Cancelled::Removed(value),
            Kind::Marking => Cancelled::Marked,
            Kind::Floor => Cancelled::Gone,
        };
        let cancelled = self.peer.cancel(handle);
        assert_eq!(
            cancelled,
            expected,
            "{}: cancel of the timer due at {due}, at {}",
            P::NAME,
            self.now
        );
        self.model.remove(&(due, value));
    }

    fn advance(&mut self, now: u64) {
        let mut fired = Vec::new();
        self.peer.advance(now, |value| fired.push(value));
        let later = self.model.split_off(&(now + 1, 0));
        let expected = std::mem::replace(&mut self.model, later);
        let due: HashMap<u64, u64> = expected.iter().map(|&(due, value)| (value, due)).collect();
        let mut expected: Vec<u64> = expected.into_iter().map(|(_, value)| value).collect();
        for value in &expected {
            if let Some(handle) = self.handles.remove(value) {
                self.peer.release(handle);
            }
        }
        match P::ORDER {
            Order::Intake => {}
            Order::Due => {
                assert!(
                    fired.is_sorted_by_key(|value| due.get(value)),
                    "{}: not in order of due tick, from {} to {now}",
                    P::NAME,
                    self.now
                );
                fired.sort_unstable();
                expected.sort_unstable();
            }
            Order::Any | Order::Coarse => {
                fired.sort_unstable();
                expected.sort_unstable();
            }
        }
        assert_eq!(
            fired,
            expected,
            "{}: fired from {} to {now}",
            P::NAME,
            self.now
        );
        self.now = now;
    }
}

/// What can be asked of a peer whose timers fire early or late: a cancel gives the value back, and
/// what was not cancelled fires once.
fn check_coarse<P: Peer>() {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let mut peer = P::new();
    let mut pending = Vec::new();
    for value in 0..STEPS {
        let handle = peer.schedule(random.random_range(30_000..=300_000), value);
        if value % 3 == 0 {
            assert_eq!(
                peer.cancel(handle),
                Cancelled::Removed(value),
                "{}: cancel",
                P::NAME
            );
        } else {
            peer.release(handle);
            pending.push(value);
        }
    }
    let mut fired = Vec::new();
    peer.advance(2_000_000, |value| fired.push(value));
    fired.sort_unstable();
    assert_eq!(fired, pending, "{}: fired", P::NAME);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does as told, but for one fault.
    struct Faulty<const FAULT: u8> {
        timers: BTreeSet<(u64, u64)>,
    }

    /// Timers at the tick of the advance wait for the next one.
    const LATE: u8 = 0;
    /// Cancels only say that they were done.
    const DEAF: u8 = 1;
    /// Nothing is wrong.
    const NONE: u8 = 2;

    impl<const FAULT: u8> Peer for Faulty<FAULT> {
        type Handle = (u64, u64);

        const NAME: &'static str = "faulty";
        const KIND: Kind = Kind::Removing;
        const ORDER: Order = Order::Intake;

        fn new() -> Self {
            Self {
                timers: BTreeSet::new(),
            }
        }

        fn schedule(&mut self, due: u64, value: u64) -> (u64, u64) {
            self.timers.insert((due, value));
            (due, value)
        }

        fn cancel(&mut self, handle: (u64, u64)) -> Cancelled {
            if FAULT != DEAF {
                self.timers.remove(&handle);
            }
            Cancelled::Removed(handle.1)
        }

        fn advance(&mut self, now: u64, mut fire: impl FnMut(u64)) {
            let end = if FAULT == LATE { now } else { now + 1 };
            let later = self.timers.split_off(&(end, 0));
            for (_, value) in std::mem::replace(&mut self.timers, later) {
                fire(value);
            }
        }
    }

    #[test]
    fn the_faultless_pass() {
        check::<Faulty<NONE>>();
    }

    #[test]
    #[should_panic(expected = "faulty: fired")]
    fn late_firing_is_found() {
        check::<Faulty<LATE>>();
    }

    #[test]
    #[should_panic(expected = "faulty: fired")]
    fn a_cancel_that_does_nothing_is_found() {
        check::<Faulty<DEAF>>();
    }
}
