//! The program as a user runs it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{file, hang, number, row, run, run_on, served, summary};

#[test]
fn a_working_day_is_generated_where_no_file_is_named() {
    let output = run(&[]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "deferrable requests",
        "lifted ahead",
        "lateness",
        "AA0101",
        "a second",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }

    let summary = summary(&run(&["--json"]));
    assert!((1_500..2_500).contains(&number(&summary, "records")));
    for class in [
        "agent",
        "abandoned_before_queue",
        "callback_requests",
        "abandoned_in_queue",
        "phantom",
    ] {
        assert!(number(&summary, class) > 0, "{class}");
    }
    assert_eq!(number(&summary, "skipped"), 0);
    assert_eq!(summary["lateness_ms"]["max_ms"], 0);
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let day = |seed: &str| {
        let mut summary = summary(&run(&["--json", "--seed", seed]));
        let fields = summary.as_object_mut().unwrap();
        // What depends on the machine.
        fields.remove("elapsed_s").unwrap();
        fields.remove("events_per_s").unwrap();
        summary
    };
    assert_eq!(day("7"), day("7"));
    assert_ne!(day("7"), day("8"));
}

#[test]
fn every_record_falls_into_one_class() {
    let hung_up = |changes: &[(&str, &str)]| hang("9:09:00", "9:09:10", "9:10:00", changes);
    let text = file(&[
        served("9:00:00", "60"),
        served("12:00:00", "60"),
        hung_up(&[]),
        hung_up(&[("q_time", "0")]),
        // Whatever became of the call in which the message was left.
        hung_up(&[("type", "TT")]),
        hung_up(&[("type", "TT"), ("q_time", "0")]),
        row(&[("type", "TT")]),
        hung_up(&[("type", "TT"), ("outcome", "PHANTOM")]),
        hung_up(&[("outcome", "PHANTOM")]),
        // No code of this centre; its outcome decides.
        hung_up(&[("type", "ZZ")]),
        row(&[("type", "")]),
    ]);
    let summary = summary(&run_on(text, &["--json"]));
    assert_eq!(number(&summary, "records"), 11);
    assert_eq!(number(&summary, "agent"), 3);
    assert_eq!(number(&summary, "abandoned_before_queue"), 1);
    assert_eq!(number(&summary, "callback_requests"), 3);
    assert_eq!(number(&summary, "abandoned_in_queue"), 2);
    assert_eq!(number(&summary, "phantom"), 2);
    assert_eq!(number(&summary, "skipped"), 0);
    assert_eq!(summary["deferrable_outcomes"]["served"], 5);
}

#[test]
fn who_waits_for_nobody_ends_as_unserved() {
    let text = file(&[
        served("9:00:00", "60"),
        served("11:00:00", "60"),
        // Called back in time.
        hang("9:09:00", "9:09:10", "9:10:00", &[]),
        // Asked again and again until an hour has passed; then routed, but DORIT left at one minute past eleven.
        row(&[
            ("type", "TT"),
            ("vru_entry", "11:30:00"),
            ("server", "NO_SERVER"),
        ]),
        // Called back on Tuesday, for which no agent is on record.
        hang("23:49:00", "23:49:10", "23:50:00", &[]),
        // Comes when the last agent has left.
        row(&[("vru_entry", "15:00:00"), ("server", "NO_SERVER")]),
    ]);
    let summary = summary(&run_on(text, &["--json"]));
    let outcomes = json!({"served": 1, "unserved": 2, "expired": 0, "cancelled": 0, "rejected": 0,
        "dead_lettered": 0});
    assert_eq!(summary["deferrable_outcomes"], outcomes);
    assert_eq!(
        summary["agent_outcomes"],
        json!({"served": 2, "unserved": 1})
    );
}

#[test]
fn a_request_is_lifted_past_who_called_before() {
    let text = file(&[
        // One agent, busy until eleven, gone at twenty to twelve.
        served("9:00:00", "7200"),
        served("11:30:00", "600"),
        row(&[
            ("vru_entry", "9:30:00"),
            ("server", "NO_SERVER"),
            ("priority", "2"),
        ]),
        // Due at 9:25, when the wait is 95 minutes; released at 10:25, when it is more than two.
        hang("9:09:00", "9:09:10", "9:10:00", &[]),
    ]);
    let summary = summary(&run_on(text, &["--json"]));
    assert_eq!(summary["lifted_ahead"], 1);
    assert_eq!(summary["wait_s"]["scheduled"]["max"], 2100.0);
    assert!(summary["wait_s"]["non_scheduled"]["max"].as_f64().unwrap() > 5400.0);
    assert_eq!(summary["response_media"], json!({"voice": 1}));
}

#[test]
fn within_the_last_hour_the_answer_is_a_message() {
    let text = file(&[
        served("22:00:00", "60"),
        served("23:50:00", "60"),
        hang("22:29:00", "22:29:10", "22:30:00", &[]),
        hang("22:49:00", "22:49:10", "22:50:00", &[]),
    ]);
    let summary = summary(&run_on(text, &["--json"]));
    assert_eq!(summary["response_media"], json!({"voice": 1, "sms": 1}));
    assert_eq!(summary["deferrable_outcomes"]["served"], 2);
}

#[test]
fn rough_data_is_not_bad_data() {
    let text = file(&[
        row(&[("customer_id", "3.26702E+11")]),
        row(&[("customer_id", "")]),
        row(&[("vru_time", "-192")]),
        row(&[("ser_start", "8:59:00")]),
        row(&[
            ("ser_start", "0:00:00"),
            ("ser_exit", "0:00:00"),
            ("ser_time", "0"),
        ]),
        row(&[
            ("vru_entry", "23:59:50"),
            ("ser_start", "0:00:07"),
            ("ser_exit", "0:02:13"),
        ]),
        row(&[("type", "Q9")]),
        row(&[("date", "990131")]),
        row(&[("vru_entry", "0:00:00")]),
        hang("23:59:19", "23:59:29", "0:00:19", &[]),
    ]);
    let whole = summary(&run_on(&text, &["--json"]));
    assert_eq!(number(&whole, "records"), 10);
    assert_eq!(number(&whole, "skipped"), 0);

    // The same in the line ends of another system, with a byte order mark and no last line end.
    let other = format!("\u{feff}{}", text.trim_end().replace('\n', "\r\n"));
    let other = summary(&run_on(other, &["--json"]));
    assert_eq!(other["deferrable_outcomes"], whole["deferrable_outcomes"]);
    assert_eq!(other["agent_outcomes"], whole["agent_outcomes"]);
}

#[test]
fn a_file_of_nothing_but_the_header_has_no_records() {
    let summary = summary(&run_on(file(&[]), &["--json"]));
    assert_eq!(number(&summary, "records"), 0);
    assert_eq!(summary["simulated"], Value::Null);
    assert!(run_on(file(&[]), &[]).status.success());
}

#[test]
fn speed_is_a_multiple_of_real_time() {
    // From the first call's arrival to its end: seventy seconds.
    let began = Instant::now();
    let text = file(&[row(&[])]);
    summary(&run_on(text, &["--json", "--speed", "350"]));
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn bad_arguments_are_refused() {
    for (arguments, value) in [
        (&["--zone", "Mars/Olympus"][..], "Mars/Olympus"),
        (&["--speed", "0"], "0"),
        (&["--speed", "NaN"], "NaN"),
        (&["--seed", "x"], "x"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains(value));
    }
}

#[test]
fn the_real_month() {
    let Some(path) = std::env::var_os("DUEWHEEL_RECORDS") else {
        eprintln!("skipped: DUEWHEEL_RECORDS does not name a file of real call records");
        return;
    };
    let path = Path::new(&path).to_str().unwrap();
    let began = Instant::now();
    let summary = summary(&run(&["--records", path, "--json"]));
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(number(&summary, "records"), 33_344);
    assert_eq!(number(&summary, "agent"), 26_178);
    assert_eq!(number(&summary, "abandoned_before_queue"), 1_965);
    assert_eq!(number(&summary, "callback_requests"), 1_047);
    assert_eq!(number(&summary, "abandoned_in_queue"), 3_876);
    assert_eq!(number(&summary, "phantom"), 278);
    assert_eq!(number(&summary, "skipped"), 0);
    assert_eq!(number(&summary, "agents"), 24);
    assert_eq!(summary["locations"].as_array().unwrap().len(), 27);
    // The last shifts' ends leave a few; the centre is not one that lets its callers down.
    let outcomes = &summary["deferrable_outcomes"];
    assert!(number(outcomes, "served") > 4_800);
    assert!(number(&summary, "lifted_ahead") > 0);
    assert_eq!(summary["lateness_ms"]["max_ms"], 0);
}
