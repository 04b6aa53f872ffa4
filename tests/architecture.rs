//! Keeps the invariants of ARCHITECTURE.md that can be read off the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first. A module imports only from floors below its own.
const FLOORS: &[&[&str]] = &[
    &["sync", "wire"],
    &["wheel", "ids", "lifecycle"],
    &["clock", "directory", "telemetry"],
    &["schedule"],
    &["request"],
    &["router"],
    &["access", "report", "persistence"],
    &["engine"],
];

/// The sources below a folder, without those that are unit tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The module below `src` that a file belongs to.
fn module(file: &Path) -> String {
    let below = file.strip_prefix(src()).unwrap();
    let first = below
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The lines of a file that are code, up to its unit tests. A file that is for tests alone has none.
fn code(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let for_tests = ["#![cfg(test)]", "#![cfg(all(test,"];
    if text
        .lines()
        .any(|line| for_tests.iter().any(|mark| line.starts_with(mark)))
    {
        return Vec::new();
    }
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(str::to_owned)
        .collect()
}

fn floor(module: &str) -> usize {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&module))
        .unwrap_or_else(|| {
            panic!("module {module} has no floor: give it one here and in ARCHITECTURE.md")
        })
}

#[test]
fn modules_import_only_from_the_floors_below() {
    let mut imports = 0;
    for file in sources(&src()) {
        let own = module(&file);
        if own == "lib" {
            continue;
        }
        for line in code(&file) {
            for path in line.split("crate::").skip(1) {
                let other: String = path
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if other.is_empty() || other == own {
                    continue;
                }
                imports += 1;
                assert!(
                    floor(&other) < floor(&own),
                    "{}: {own} imports {other}, which is not on a floor below: {line}",
                    file.display()
                );
            }
        }
    }
    assert!(imports > 50, "the sources were read: {imports} imports");
}

/// The path below `src` of a file.
fn name(file: &Path) -> String {
    let below = file.strip_prefix(src()).unwrap();
    below.to_str().unwrap().to_owned()
}

/// Compiled for a model checker's tests alone, in which it drives the engine.
const MODELS: &str = "engine/models.rs";

#[test]
fn locks_atomics_and_threads_come_through_one_module() {
    let elsewhere = |file: &&PathBuf| module(file) != "sync" && name(file) != MODELS;
    for file in sources(&src()).iter().filter(elsewhere) {
        for line in code(file) {
            let direct = [
                "std::sync",
                "core::sync",
                "std::thread",
                "parking_lot",
                "crossbeam_channel",
                "loom::",
                "shuttle::",
            ];
            assert!(
                !direct.iter().any(|path| line.contains(path)),
                "{}: {line}",
                file.display()
            );
        }
    }
}

#[test]
fn only_the_clock_and_the_driver_know_real_time() {
    for file in sources(&src()) {
        let name = name(&file);
        // Threads drive by one of these, a runtime's tasks by the others.
        let drives = name == "engine/driver.rs" || name.starts_with("engine/run/");
        // Others name threads for all, or decide what a timeout does where there is no real time.
        if drives || ["clock.rs", "sync.rs", "sync/model.rs", MODELS].contains(&&*name) {
            continue;
        }
        for line in code(&file) {
            let real = ["SystemTime", "Instant", "thread::", "sleep("];
            // `wakeup.rs` has a `sleep` of its own, which waits on a condition variable.
            // A recovery shares its work out among threads, which end before it does.
            let real = match &*name {
                "engine/wakeup.rs" => &real[..3],
                name if name.starts_with("engine/recovery/") => &real[..2],
                _ => &real[..],
            };
            assert!(
                !real.iter().any(|word| line.contains(word)),
                "{name}: {line}"
            );
        }
    }
}

#[test]
fn the_wheel_knows_ticks_and_values_alone() {
    for file in sources(&src())
        .iter()
        .filter(|file| module(file) == "wheel")
    {
        for line in code(file) {
            for path in line.split("crate::").skip(1) {
                assert!(path.starts_with("wheel"), "{}: {line}", file.display());
            }
        }
    }
}

#[test]
fn the_public_map_stays_a_map() {
    let map = fs::read_to_string(src().join("lib.rs")).unwrap();
    assert!(map.lines().count() < 200);
    assert!(map.contains("#![forbid(unsafe_code)]"));
    assert!(
        !map.contains("pub mod"),
        "modules are private; lib.rs names what is public"
    );
}

#[test]
fn files_have_one_subject() {
    for file in sources(&src()) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(
            lines <= 600,
            "{} has {lines} lines: more than one subject?",
            file.display()
        );
    }
}
