//! The durable peers from end to end: every workload once, small, with processes that are killed.

use std::process::Command;

#[test]
fn every_workload_of_every_durable_peer_gives_its_figures() {
    let place = std::env::temp_dir();
    let output = Command::new(env!("CARGO_BIN_EXE_store"))
        .args(["--requests", "300", "--stored", "500", "--batches", "7"])
        .args(["--fill", "50", "--step", "3600000", "--runs", "1"])
        .arg("--place")
        .arg(&place)
        .output()
        .expect("the program runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| -"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let (heading, rows) = rows.split_first().expect("a table");
    assert_eq!(rows.len(), 13, "{text}");
    for row in rows {
        for (peer, cell) in heading.iter().zip(row).skip(3) {
            // The ratio names the peer beside its figure.
            if peer.is_empty() || peer.starts_with("**") || cell.parse::<f64>().is_ok() {
                continue;
            }
            let is_excused = *cell == "-" && row[1] == "S1n/7" && peer.starts_with("redb");
            assert!(is_excused, "{peer} in {}: {cell}\n{errors}", row[1]);
        }
    }
}
