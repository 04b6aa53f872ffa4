//! The processor's time that this process and its threads have used, where there is a `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Ticks a second in `/proc/self/stat`: `USER_HZ`, which is 100 wherever Linux runs.
const TICKS_A_SECOND: u64 = 100;

/// What has been used so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time of the whole process.
    pub(crate) process: Duration,
    /// By name, as far as the kernel keeps it (15 bytes); threads of one name are summed up.
    pub(crate) threads: BTreeMap<String, Thread>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thread {
    pub(crate) used: Duration,
    /// How often it went to sleep, and so was woken.
    pub(crate) sleeps: u64,
}

impl Usage {
    /// `None` where the system has no `/proc`.
    pub(crate) fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let mut threads = BTreeMap::<String, Thread>::new();
        for task in fs::read_dir("/proc/self/task").ok()?.flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).ok();
            // A thread may end while it is looked at.
            let (Some(name), Some(stat)) = (read("comm"), read("stat")) else {
                continue;
            };
            let thread = threads.entry(name.trim_end().to_owned()).or_default();
            thread.used += read("schedstat")
                .and_then(|text| nanoseconds(&text))
                .or_else(|| ticks(&stat))
                .unwrap_or_default();
            thread.sleeps += read("status")
                .and_then(|text| voluntary_switches(&text))
                .unwrap_or_default();
        }
        Some(Self {
            process: ticks(&stat)?,
            threads,
        })
    }

    /// What was used since an earlier time.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let threads = self.threads.iter().map(|(name, thread)| {
            let before = earlier.threads.get(name).copied().unwrap_or_default();
            let spent = Thread {
                used: thread.used.saturating_sub(before.used),
                sleeps: thread.sleeps.saturating_sub(before.sleeps),
            };
            (name.clone(), spent)
        });
        Self {
            process: self.process.saturating_sub(earlier.process),
            threads: threads.collect(),
        }
    }
}

/// User and system time: the 14th and 15th field, counted from the end of the name, which may hold anything.
fn ticks(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1_000 / TICKS_A_SECOND,
    ))
}

/// The time on a processor: the first field of `schedstat`.
fn nanoseconds(schedstat: &str) -> Option<Duration> {
    let used = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(used))
}

fn voluntary_switches(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}
