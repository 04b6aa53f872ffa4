//! What the machine itself takes for memory: reading and writing one random cache line.
//!
//! A structure of scattered timers cannot be cheaper than the lines it touches, and how much a line
//! costs depends on how much memory they are strewn over: caches and page tables are left behind.
//! What remains of a structure's growth beside this one is its own.

use std::hint::black_box;
use std::time::Instant;

/// As many bytes as one timer takes, about.
const BYTES_A_TIMER: usize = 48;

/// Accesses that are timed, after a quarter as many that are not; of those that do not wait for each
/// other four times as many.
const ACCESSES: u64 = 1 << 22;

/// Knuth's multiplier for 64 bits.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

#[derive(Clone)]
#[repr(align(64))]
struct Line([u64; 8]);

/// Bytes of memory that stand for so many timers.
pub(crate) fn bytes(timers: usize) -> usize {
    timers * BYTES_A_TIMER
}

/// Nanoseconds an access to the memory of so many timers, by name: when the address of each depends
/// on what the last one read, and when none does.
pub(crate) fn probe(timers: usize) -> [(&'static str, f64); 2] {
    let mut lines = vec![Line([0; 8]); bytes(timers) / size_of::<Line>()];
    [
        ("dependent", access::<true>(&mut lines)),
        ("independent", access::<false>(&mut lines)),
    ]
}

fn access<const DEPENDENT: bool>(lines: &mut [Line]) -> f64 {
    let accesses = if DEPENDENT { ACCESSES } else { 4 * ACCESSES };
    let state = run::<DEPENDENT>(lines, 1, accesses / 4);
    let start = Instant::now();
    black_box(run::<DEPENDENT>(lines, state, accesses));
    start.elapsed().as_nanos() as f64 / accesses as f64
}

/// Counts accesses in random lines; the state of the generator afterwards.
#[inline(never)]
fn run<const DEPENDENT: bool>(lines: &mut [Line], mut state: u64, accesses: u64) -> u64 {
    let count = lines.len() as u64;
    for _ in 0..accesses {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(1);
        let line = &mut lines[(((state >> 32) * count) >> 32) as usize].0;
        line[0] += 1;
        if DEPENDENT {
            // Multiplied, it changes all of the next address.
            state = state.wrapping_add(line[0]);
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether lines are drawn evenly: none left out, none far ahead of the others.
    fn assert_even<const DEPENDENT: bool>() {
        let mut lines = vec![Line([0; 8]); 1_000];
        run::<DEPENDENT>(&mut lines, 1, 100_000);
        for Line([accesses, ..]) in lines {
            assert!((50..200).contains(&accesses), "{accesses} rather than 100");
        }
    }

    #[test]
    fn all_lines_are_accessed() {
        assert_even::<true>();
        assert_even::<false>();
    }
}
