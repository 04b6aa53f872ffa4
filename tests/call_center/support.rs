//! Runs the program; makes records.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::example;
use crate::records::COLUMNS;

/// The example's program.
pub(crate) fn program() -> &'static Path {
    example::program("call_center")
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Runs it on the text of a file.
pub(crate) fn run_on(text: impl AsRef<[u8]>, arguments: &[&str]) -> Output {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("call-center-{}-{number}.tsv", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).expect("the target directory is writable");
    let mut all = vec!["--records", path.to_str().expect("a UTF-8 path")];
    all.extend(arguments);
    let output = run(&all);
    std::fs::remove_file(&path).expect("the file was there");
    output
}

/// What `--json` printed: one object and nothing else.
#[track_caller]
pub(crate) fn summary(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = std::str::from_utf8(&output.stdout).expect("JSON is UTF-8");
    assert_eq!(text.lines().count(), 1);
    let summary: Value = serde_json::from_str(text).expect("exactly one JSON value");
    assert!(summary.is_object());
    check_sums(&summary);
    summary
}

/// Every sum the summary promises.
#[track_caller]
fn check_sums(summary: &Value) {
    let classes = [
        "agent",
        "abandoned_before_queue",
        "callback_requests",
        "abandoned_in_queue",
        "phantom",
        "skipped",
    ];
    let total: u64 = classes.iter().map(|class| number(summary, class)).sum();
    assert_eq!(number(summary, "records"), total);
    let deferrable = number(summary, "callback_requests") + number(summary, "abandoned_in_queue");
    assert_eq!(number(summary, "deferrable"), deferrable);
    assert_eq!(total_of(&summary["deferrable_outcomes"]), deferrable);
    assert_eq!(
        total_of(&summary["agent_outcomes"]),
        number(summary, "agent")
    );
    let locations = summary["locations"].as_array().expect("a list");
    let calls: u64 = locations.iter().map(|line| number(line, "calls")).sum();
    assert_eq!(calls, total - number(summary, "skipped"));
}

#[track_caller]
pub(crate) fn number(object: &Value, field: &str) -> u64 {
    object[field]
        .as_u64()
        .unwrap_or_else(|| panic!("{field} is a count"))
}

fn total_of(counts: &Value) -> u64 {
    let counts = counts.as_object().expect("an object of counts");
    counts
        .values()
        .map(|count| count.as_u64().expect("a count"))
        .sum()
}

/// A file's text, with the header.
pub(crate) fn file(rows: &[String]) -> String {
    let mut text = COLUMNS.join("\t") + "\n";
    for row in rows {
        text.push_str(row);
        text.push('\n');
    }
    text
}

/// A line: an ordinary call of Monday, 1 February 1999, served at nine for a minute, but for the columns named.
pub(crate) fn row(changes: &[(&str, &str)]) -> String {
    let mut values = [
        "AA0101", "100", "0", "0", "PS", "990201", "9:00:00", "9:00:10", "10", "0:00:00",
        "0:00:00", "0", "AGENT", "9:00:10", "9:01:10", "60", "DORIT",
    ];
    for (column, value) in changes {
        let index = COLUMNS.iter().position(|name| name == column);
        values[index.expect("a column of the format")] = value;
    }
    values.join("\t")
}

/// A caller who hung up at `left` after 50 s in the queue.
pub(crate) fn hang(entry: &str, start: &str, left: &str, changes: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("vru_entry", entry),
        ("q_start", start),
        ("q_exit", left),
        ("q_time", "50"),
        ("outcome", "HANG"),
        ("ser_start", "0:00:00"),
        ("ser_exit", "0:00:00"),
        ("ser_time", "0"),
        ("server", "NO_SERVER"),
    ];
    all.extend(changes);
    row(&all)
}

/// A service of DORIT.
pub(crate) fn served(at: &str, seconds: &str) -> String {
    row(&[
        ("vru_entry", at),
        ("ser_start", at),
        ("ser_exit", "23:59:59"),
        ("ser_time", seconds),
    ])
}
