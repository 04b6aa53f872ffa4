//! What is no call record, and how that is said.

use std::process::Output;

use crate::support::{file, number, row, run, run_on, summary};

/// One of each kind: the column, its value, and a part of what is expected of it.
const BAD_VALUES: [(&str, &str, &str); 22] = [
    ("date", "99021", "yymmdd"),
    ("date", "990230", "yymmdd"),
    ("date", "1999-02-01", "yymmdd"),
    ("date", "", "yymmdd"),
    ("date", "700101", "1970"),
    ("vru_entry", "7:2:47", "H:MM:SS"),
    ("vru_entry", "24:00:00", "H:MM:SS"),
    ("vru_exit", "7:60:00", "H:MM:SS"),
    ("q_start", "never", "H:MM:SS"),
    ("q_exit", "", "H:MM:SS"),
    ("ser_start", "1:00", "H:MM:SS"),
    ("ser_exit", "1:00:00:00", "H:MM:SS"),
    ("vru_time", "9.5", "whole seconds"),
    ("q_time", "-1", "whole seconds"),
    ("q_time", "", "whole seconds"),
    ("ser_time", "166s", "whole seconds"),
    ("priority", "high", "0 to 255"),
    ("priority", "256", "0 to 255"),
    ("priority", "-1", "0 to 255"),
    ("outcome", "BUSY", "AGENT, HANG or PHANTOM"),
    ("outcome", "", "AGENT, HANG or PHANTOM"),
    ("vru+line", "", "a name"),
];

/// A file whose third line is bad, but for the value the same as the good ones around it.
fn with_bad(column: &str, value: &str) -> String {
    // Early enough on the day for 1970-01-01 to begin before 1970 in UTC.
    let bad = row(&[("vru_entry", "0:30:00"), (column, value)]);
    file(&[row(&[]), bad, row(&[])])
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn a_bad_value_is_named_with_its_line_and_column() {
    for (column, value, expected) in BAD_VALUES {
        let output = run_on(with_bad(column, value), &["--json"]);
        let quoted = format!("{value:?}");
        refused(
            &output,
            &["line 3", &format!("column {column}:"), &quoted, expected],
        );
    }
}

#[test]
fn bad_lines_are_skipped_and_counted_on_request() {
    let mut rows = vec![row(&[])];
    for (column, value, _) in BAD_VALUES {
        rows.push(row(&[("vru_entry", "0:30:00"), (column, value)]));
        rows.push(row(&[]));
    }
    rows.push("short\tline".to_owned());
    rows.push(String::new());
    let output = run_on(file(&rows), &["--json", "--skip-bad"]);
    let summary = summary(&output);
    assert_eq!(number(&summary, "skipped"), 24);
    assert_eq!(number(&summary, "agent"), 23);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("skipped: line 3, column date"), "{told}");
    assert!(told.contains("skipped: 4 more"), "{told}");
}

#[test]
fn a_line_needs_seventeen_columns() {
    let good = row(&[]);
    let short = good.rsplit_once('\t').unwrap().0.to_owned();
    for (line, parts) in [
        (short, ["column server", "16 columns"]),
        (good.clone() + "\textra", ["column number 18", "18 columns"]),
        (String::new(), ["column call_id", "an empty line"]),
        (good.replace('\t', " "), ["column call_id", "1 column"]),
    ] {
        let output = run_on(file(&[good.clone(), line, good.clone()]), &[]);
        refused(&output, &["line 3", parts[0], parts[1], "17 columns"]);
    }
}

#[test]
fn the_header_is_never_passed_over() {
    let headless = row(&[]) + "\n";
    let renamed = file(&[row(&[])]).replace("customer_id", "customer");
    for text in [headless.as_str(), renamed.as_str(), "", "\n"] {
        refused(&run_on(text, &["--skip-bad"]), &["line 1", "expected"]);
    }
    refused(
        &run_on(renamed, &[]),
        &["column customer_id", "\"customer\""],
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let mut text = file(&[]).into_bytes();
    text.extend(
        row(&[("server", "@")])
            .bytes()
            .map(|byte| if byte == b'@' { 0xff } else { byte }),
    );
    refused(&run_on(&text, &[]), &["line 2", "column server", "UTF-8"]);
}

#[test]
fn a_long_value_is_cut_in_the_message() {
    let output = run_on(with_bad("priority", &"9".repeat(100_000)), &[]);
    refused(&output, &["line 3", "column priority", "..."]);
    assert!(output.stderr.len() < 1_000);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    refused(
        &run(&["--records", "no/such/file.tsv"]),
        &["no/such/file.tsv"],
    );
    refused(
        &run(&["--records", env!("CARGO_MANIFEST_DIR")]),
        &[env!("CARGO_MANIFEST_DIR")],
    );
}
