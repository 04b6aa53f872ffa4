//! How long a thread worked: by the wall's clock, or by the processor's.
//!
//! On a machine that is busy with other things, `DUEWHEEL_BENCH_CPU_TIME=1` counts only the time that a thread was
//! running, by what Linux says of it (to a few milliseconds; an iteration is much longer). A thread that sleeps for a
//! lock is not running: figures of two threads are then those of two who never have to.

use std::sync::LazyLock;
use std::time::{Duration, Instant};
use std::{env, fs};

static BY_PROCESSOR: LazyLock<bool> =
    LazyLock::new(|| env::var("DUEWHEEL_BENCH_CPU_TIME").is_ok_and(|value| value == "1"));

/// When a thread began, and stopped.
pub(crate) struct Span {
    begin: Instant,
    end: Instant,
    processor: Option<Duration>,
}

impl Span {
    /// Times what this thread does.
    pub(crate) fn of<R>(work: impl FnOnce() -> R) -> (Self, R) {
        let before = BY_PROCESSOR.then(time_on_processor);
        let begin = Instant::now();
        let result = work();
        let end = Instant::now();
        let processor = before.map(|before| time_on_processor() - before);
        let span = Self {
            begin,
            end,
            processor,
        };
        (span, result)
    }

    /// From the first beginning to the last end of several threads; by the processor's clock, the longest.
    pub(crate) fn together(spans: impl Iterator<Item = Self>) -> Duration {
        let whole = spans.reduce(|one, other| Self {
            begin: one.begin.min(other.begin),
            end: one.end.max(other.end),
            processor: one.processor.max(other.processor),
        });
        let whole = whole.expect("at least one thread");
        whole.processor.unwrap_or(whole.end - whole.begin)
    }
}

/// How long this thread has been running.
fn time_on_processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux's statistics");
    let nanoseconds = text.split_whitespace().next().expect("three numbers");
    Duration::from_nanos(nanoseconds.parse().expect("a number"))
}
