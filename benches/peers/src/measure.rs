//! Times one group of workloads in a fresh structure.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::alloc;
use crate::peer::{Kind, Peer};
use crate::script::{self, Act, Script, Step};
use crate::workload::{DAY, Figure, Group, Workload};

/// How many empty ticks W3e takes the mean of. No timer is due before.
const EMPTY_TICKS: u64 = 1 << 20;

/// Figures of one run: nanoseconds an operation, or bytes a timer.
pub(crate) type Figures = Vec<(Figure, f64)>;

/// Runs a group once.
///
/// # Panics
/// If the peer fires another number of timers than it should.
pub(crate) fn measure<P: Peer>(group: Group, timers: usize) -> Figures {
    match group {
        Group::Fill => fill::<P>(timers),
        Group::Ticks => vec![(Figure::Time(Workload::W3), expire::<P>(timers, 1..=DAY))],
        Group::Jump => vec![(
            Figure::Time(Workload::W3j),
            expire::<P>(timers, std::iter::once(DAY)),
        )],
        Group::Empty => vec![(Figure::Time(Workload::W3e), empty::<P>(timers))],
        Group::Churn => {
            let (time, _) = churn::<P>(Script::churn(timers));
            vec![(Figure::Time(Workload::W4), time)]
        }
        Group::Timeouts => {
            let (time, peak) = churn::<P>(Script::timeouts(timers));
            vec![
                (Figure::Time(Workload::W5), time),
                (Figure::BytesPeak, peak),
            ]
        }
    }
}

/// Nanoseconds for each of `operations`.
fn nanoseconds_each(time: Duration, operations: usize) -> f64 {
    time.as_nanos() as f64 / operations as f64
}

fn fill<P: Peer>(timers: usize) -> Figures {
    let dues = script::due_times(timers, 0);
    // Written to before anything is timed: the pages of the handles are not the peer's.
    let mut handles: Vec<Option<P::Handle>> = Vec::new();
    handles.resize_with(timers, || None);
    handles.clear();

    let before = alloc::live();
    let mut peer = P::new();
    let start = Instant::now();
    for (value, &due) in dues.iter().enumerate() {
        handles.push(Some(peer.schedule(due, value as u64)));
    }
    let schedule = nanoseconds_each(start.elapsed(), timers);
    let bytes = (alloc::live() - before) as f64 / timers as f64;

    let mut handles: Vec<P::Handle> = handles.into_iter().flatten().collect();
    script::shuffle(&mut handles);
    let start = Instant::now();
    for handle in handles.drain(..) {
        black_box(peer.cancel(handle));
    }
    let cancel = nanoseconds_each(start.elapsed(), timers);

    let start = Instant::now();
    for (value, &due) in dues.iter().enumerate() {
        handles.push(peer.schedule(due, value as u64));
    }
    let again = nanoseconds_each(start.elapsed(), timers);
    release_all(&mut peer, handles);
    vec![
        (Figure::Time(Workload::W1), schedule),
        (Figure::Time(Workload::W2), cancel),
        (Figure::Time(Workload::W1r), again),
        (Figure::BytesLive, bytes),
    ]
}

/// Lets all timers fire at these ticks; nanoseconds a timer.
fn expire<P: Peer>(timers: usize, ticks: impl Iterator<Item = u64>) -> f64 {
    let mut peer = P::new();
    for (value, due) in script::due_times(timers, 0).into_iter().enumerate() {
        peer.schedule_forget(due, value as u64);
    }
    let mut fired = 0;
    let start = Instant::now();
    for now in ticks {
        peer.advance(now, |value| {
            black_box(value);
            fired += 1;
        });
    }
    let time = nanoseconds_each(start.elapsed(), timers);
    assert_eq!(fired, timers, "{}: timers fired", P::NAME);
    time
}

/// Nanoseconds a tick at which nothing is due.
fn empty<P: Peer>(timers: usize) -> f64 {
    let mut peer = P::new();
    for (value, due) in script::due_times(timers, EMPTY_TICKS)
        .into_iter()
        .enumerate()
    {
        peer.schedule_forget(due, value as u64);
    }
    let mut fired = 0;
    let start = Instant::now();
    for now in 1..=EMPTY_TICKS {
        peer.advance(black_box(now), |_| fired += 1);
    }
    let time = nanoseconds_each(start.elapsed(), EMPTY_TICKS as usize);
    assert_eq!(fired, 0, "{}: timers fired early", P::NAME);
    time
}

/// Nanoseconds a step, and the peak of bytes for each of the most timers pending at once.
fn churn<P: Peer>(mut script: Script) -> (f64, f64) {
    let mut handles: Vec<P::Handle> = Vec::with_capacity(script.places());
    let mut steps = script.room();
    let before = alloc::live();
    alloc::reset_peak();
    let mut peer = P::new();
    let mut now = 0;
    let mut fired = 0;
    let mut time = Duration::ZERO;
    let mut steps_timed = 0;
    // The clock stands while a piece is drawn.
    while let Some(untimed) = script.draw(&mut steps) {
        let (untimed, timed) = steps.split_at(untimed);
        let steps_a_tick = script.steps_a_tick();
        fired += replay(&mut peer, &mut handles, untimed, steps_a_tick, &mut now);
        let start = Instant::now();
        fired += replay(&mut peer, &mut handles, timed, steps_a_tick, &mut now);
        time += start.elapsed();
        steps_timed += timed.len();
    }
    let time = nanoseconds_each(time, steps_timed);
    let peak = (alloc::peak() - before) as f64 / script.peak() as f64;
    if P::KIND != Kind::Floor {
        assert_eq!(fired, script.fires(), "{}: timers fired", P::NAME);
    }
    release_all(&mut peer, handles);
    (time, peak)
}

/// Does these steps, whole ticks, from tick `now` on; how many timers fired.
#[inline(never)]
fn replay<P: Peer>(
    peer: &mut P,
    handles: &mut Vec<P::Handle>,
    steps: &[Step],
    steps_a_tick: usize,
    now: &mut u64,
) -> usize {
    let mut fired = 0;
    for steps in steps.chunks_exact(steps_a_tick) {
        for &Step { delay, place, act } in steps {
            let due = *now + u64::from(delay);
            let value = u64::from(place);
            if act == Act::Forget {
                peer.schedule_forget(due, value);
                continue;
            }
            let handle = peer.schedule(due, value);
            if act == Act::Keep {
                handles.push(handle);
                continue;
            }
            let before = std::mem::replace(&mut handles[place as usize], handle);
            if act == Act::Cancel {
                black_box(peer.cancel(before));
            } else {
                peer.release(before);
            }
        }
        *now += 1;
        peer.advance(*now, |value| {
            black_box(value);
            fired += 1;
        });
    }
    fired
}

fn release_all<P: Peer>(peer: &mut P, handles: Vec<P::Handle>) {
    for handle in handles {
        peer.release(handle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers;

    /// Few enough for a build without optimisation; the number that fire is asserted in the churns.
    const TIMERS: usize = 10_000;

    #[test]
    fn churns_go_by_their_scripts() {
        for name in ["duewheel", "pi_cancel_timer", "radix-heap"] {
            let peer = peers::ALL.iter().find(|peer| peer.name == name);
            let measure = peer.expect("a peer").measure;
            for group in [Group::Churn, Group::Timeouts] {
                for (figure, value) in measure(group, TIMERS) {
                    assert!(value > 0.0, "{name}: {figure}");
                }
            }
        }
    }
}
