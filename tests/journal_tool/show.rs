//! `verify`, `dump` and `stats`.

use serde_json::Value;

use crate::folder::Folder;
use crate::store::{self, SECRET};
use crate::tool::run;

#[test]
fn a_whole_store_is_said_to_be_whole() {
    let folder = store::with_snapshot();
    let said = run(&["verify", folder.text()]);
    assert_eq!(said.code, 0, "{} {}", said.out, said.error);
    assert!(
        said.out.contains("it can be recovered, from snapshot 1"),
        "{}",
        said.out
    );
    let said = run(&["verify", folder.text(), "--json"]);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["recovery"]["obstacle"], Value::Null);
    assert_eq!(report["snapshots"][0]["number"], 1);
    assert_eq!(report["store"].as_str().unwrap().len(), 32);
}

#[test]
fn a_damage_is_named_by_file_and_offset() {
    let folder = store::without_snapshot();
    let first = &folder.names("journal-")[0];
    folder.flip(first, 1024 + 512 + 20);
    let said = run(&["verify", folder.text()]);
    assert_eq!(said.code, 1);
    let line = format!("damaged: {first} is damaged at byte 1536");
    assert!(said.out.contains(&line), "{}", said.out);
    let refused = format!("it cannot be recovered: {first} is damaged at byte 1536");
    assert!(said.out.contains(&refused), "{}", said.out);
}

#[test]
fn a_dump_shows_every_record_in_order_and_damage_in_its_place() {
    let folder = store::without_snapshot();
    let lines = |said: &str| -> Vec<Value> {
        said.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let numbers = |lines: &[Value]| -> Vec<u64> {
        lines
            .iter()
            .filter_map(|line| line["lsn"].as_u64())
            .collect()
    };
    let whole = run(&["dump", folder.text()]);
    assert_eq!(whole.code, 0, "{}", whole.error);
    let whole = lines(&whole.out);
    let all = numbers(&whole);
    assert_eq!(all.len(), whole.len());
    assert!(all.is_sorted() && all[0] == 1, "{all:?}");
    let accepted = whole.iter().filter(|line| line["kind"] == "accepted");
    assert_eq!(accepted.count(), 119);
    let late = run(&["dump", folder.text(), "--from", "100"]);
    let late = numbers(&lines(&late.out));
    assert_eq!(late, all[all.partition_point(|lsn| *lsn < 100)..]);

    folder.flip(&folder.names("journal-")[0], 1024 + 2 * 512 + 20);
    let damaged = run(&["dump", folder.text()]);
    assert_eq!(damaged.code, 1);
    let damaged = lines(&damaged.out);
    let place = damaged.iter().position(|line| line["from"] == "damaged");
    let place = place.unwrap();
    assert_eq!(damaged[place]["offset"], 2048);
    let left = numbers(&damaged);
    assert!(left.len() < all.len() && left.last() == all.last());
    let before = damaged[place - 1]["lsn"].as_u64().unwrap();
    let after = damaged[place + 1]["lsn"].as_u64().unwrap();
    let missing: Vec<u64> = all
        .iter()
        .copied()
        .filter(|lsn| !left.contains(lsn))
        .collect();
    assert_eq!(missing, (before + 1..after).collect::<Vec<_>>());
}

#[test]
fn a_dump_of_a_snapshot_has_its_records_too() {
    let folder = store::with_snapshot();
    let said = run(&["dump", folder.text(), "--snapshot"]);
    assert_eq!(said.code, 0, "{}", said.error);
    let seen = said
        .out
        .lines()
        .filter(|line| line.contains(r#""kind":"seen""#));
    // 119 were taken in, 9 cancelled and 11 routed.
    assert_eq!(seen.count(), 99);
}

#[test]
fn stats_count_what_a_recovery_finds() {
    let folder = store::with_snapshot();
    let said = run(&["stats", folder.text(), "--json"]);
    assert_eq!(said.code, 0, "{}", said.error);
    let stats: Value = serde_json::from_str(&said.out).unwrap();
    let engine = store::open(&folder);
    let requests = store::requests(&engine);
    let ended = requests.values().filter(|is_ended| **is_ended).count();
    assert_eq!(stats["ended"], ended);
    assert_eq!(stats["pending"], requests.len() - ended);
    assert_eq!(stats["epochs"].as_array().unwrap().last().unwrap(), 3);
    let locations = stats["locations"].as_object().unwrap();
    let pending: u64 = locations
        .values()
        .map(|tally| tally["pending"].as_u64().unwrap())
        .sum();
    assert_eq!(pending as usize, requests.len() - ended);
}

#[test]
fn nothing_that_customers_gave_is_shown() {
    let whole = store::with_snapshot();
    let secret = |text: &[u8]| {
        text.windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes())
    };
    let holds: Vec<String> = whole
        .files()
        .into_iter()
        .filter(|(_, bytes)| secret(bytes))
        .map(|(name, _)| name)
        .collect();
    assert!(holds.len() >= 3, "{holds:?}");
    let mut folders = vec![whole.copy()];
    for name in &holds {
        // In the first text of a customer's, too.
        let bytes = &whole.files()[name];
        let at = bytes
            .windows(SECRET.len())
            .position(|window| window == SECRET.as_bytes())
            .unwrap();
        for offset in [at, 0, 520.min(bytes.len() - 1)] {
            let damaged = whole.copy();
            damaged.flip(name, offset);
            folders.push(damaged);
        }
    }
    for folder in &folders {
        let path = folder.text();
        for arguments in [
            &["verify", path][..],
            &["verify", path, "--json"],
            &["dump", path, "--snapshot"],
            &["stats", path],
            &["stats", path, "--json"],
            &["repair", path, "--json"],
            &["repair", path],
            &["repair", path, "--write"],
        ] {
            let said = run(arguments);
            assert!(!secret(said.out.as_bytes()), "{arguments:?}");
            assert!(!secret(said.error.as_bytes()), "{arguments:?}");
        }
    }
}

#[test]
fn what_is_no_store_and_what_makes_no_sense_are_told_apart() {
    let empty = Folder::new();
    let said = run(&["verify", empty.text()]);
    assert_eq!(said.code, 1);
    assert!(said.error.contains("STORE"), "{}", said.error);
    assert!(empty.files().is_empty());
    assert_eq!(run(&["verify"]).code, 2);
    assert_eq!(run(&["dump", empty.text(), "--from", "here"]).code, 2);
}
