//! What a figure is worth without: processor, build, load.

use std::fs;

/// The load averages, as far as the system tells.
pub(crate) fn load() -> String {
    let Ok(text) = fs::read_to_string("/proc/loadavg") else {
        return "unknown".to_owned();
    };
    let averages: Vec<&str> = text.split_whitespace().take(3).collect();
    averages.join(" ")
}

/// Processor and build.
pub(crate) fn describe() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(": ")?.1.to_owned())
        })
        .unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let vectors = if cfg!(target_feature = "avx512f") {
        "AVX-512"
    } else if cfg!(target_feature = "avx2") {
        "AVX2"
    } else {
        "the architecture's baseline (not target-cpu=native)"
    };
    let build = if cfg!(debug_assertions) {
        "DEBUG BUILD, figures mean nothing"
    } else {
        "optimised build"
    };
    format!("{processor}, {cores} cores seen; {build}, {vectors}.")
}

/// Bytes of memory, as far as the system tells.
pub(crate) fn memory() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kibibytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Makes this process the one to be killed if memory runs out: neither the one that prints the
/// table nor anything else on the machine.
pub(crate) fn die_first() {
    // Where it cannot be said, the system chooses, and mostly the largest.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
}
