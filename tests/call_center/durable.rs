//! The centre killed and started again, on a directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;

use crate::support::{number, program, run, summary};

/// A directory that is not there, and is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("call-center-{}-{name}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("a UTF-8 path")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What became of everybody, without what depends on the machine and on how often it was begun.
fn outcome(mut summary: Value) -> Value {
    let fields = summary.as_object_mut().unwrap();
    for field in [
        "elapsed_s",
        "events_per_s",
        "events",
        "lateness_ms",
        "simulated",
    ] {
        fields.remove(field).unwrap();
    }
    summary
}

#[test]
fn a_day_that_is_kept_is_the_same_day() {
    let folder = Folder::new("kept");
    let options = ["--json", "--data", folder.text(), "--durability", "none"];
    let bare = outcome(summary(&run(&["--json"])));
    assert_eq!(outcome(summary(&run(&options))), bare);
    // All is known: nothing is routed again.
    let again = summary(&run(&options));
    assert_eq!(again["lateness_ms"]["count"], 0);
    assert_eq!(outcome(again), bare);
}

#[test]
fn a_day_that_is_killed_time_and_again_goes_on_and_adds_up() {
    for (durability, step_ms) in [("none", 15), ("interval:600000", 15), ("sync", 400)] {
        let folder = Folder::new(durability.split(':').next().unwrap());
        let options = [
            "--json",
            "--data",
            folder.text(),
            "--durability",
            durability,
        ];
        let mut life = Duration::from_millis(5);
        let mut kills = 0;
        let output = loop {
            let mut child = Command::new(program())
                .args(options)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program starts");
            let begin = Instant::now();
            while begin.elapsed() < life && child.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            if child.try_wait().unwrap().is_some() {
                break child.wait_with_output().unwrap();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            // Longer each time, so that it comes to its end on a machine that is busy, too.
            life += Duration::from_millis(step_ms * (1 + kills / 20));
        };
        let summary = summary(&output);
        assert!(kills > 0);
        assert_eq!(number(&summary, "skipped"), 0);
        let bare = crate::support::summary(&run(&["--json"]));
        for field in ["records", "agent", "deferrable", "agents"] {
            assert_eq!(summary[field], bare[field], "{durability}, {kills} kills");
        }
    }
}

#[test]
fn a_directory_of_somebody_elses_is_refused() {
    let folder = Folder::new("foreign");
    fs::create_dir(&folder.0).unwrap();
    fs::write(folder.0.join("letters.txt"), "dear").unwrap();
    let output = run(&["--data", folder.text()]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("letters.txt"), "{message}");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}
