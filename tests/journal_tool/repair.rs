//! `repair`, as a process.

use duewheel::StoreInspector;
use serde_json::Value;

use crate::store;
use crate::tool::run;

#[test]
fn a_repair_writes_nothing_until_it_is_told_to() {
    let folder = store::without_snapshot();
    let first = folder.names("journal-")[0].clone();
    folder.flip(&first, 1024 + 2 * 512 + 20);
    let before = folder.files();
    let plan = run(&["repair", folder.text()]);
    assert_eq!(plan.code, 1);
    assert!(plan.out.contains("lost: record"), "{}", plan.out);
    assert!(plan.out.contains("unreadable in journal-"), "{}", plan.out);
    assert_eq!(folder.files(), before);

    let done = run(&["repair", folder.text(), "--write"]);
    assert_eq!(done.code, 0, "{} {}", done.out, done.error);
    assert!(done.out.starts_with(&plan.out), "{}", done.out);
    let kept = format!("damaged-{first}");
    assert_eq!(folder.files()[&kept], before[&first]);
    store::open(&folder).check_invariants();
    assert_eq!(folder.files()[&kept], before[&first]);
}

#[test]
fn of_a_whole_store_there_is_nothing_to_repair() {
    let folder = store::with_two_snapshots();
    let before = folder.files();
    for arguments in [
        &["repair", folder.text()][..],
        &["repair", folder.text(), "--write"],
    ] {
        let said = run(arguments);
        assert_eq!(said.code, 0, "{}", said.error);
        assert_eq!(said.out, "the store is whole: there is nothing to do\n");
        assert_eq!(folder.files(), before);
    }
}

#[test]
fn a_store_in_use_is_refused() {
    let folder = store::without_snapshot();
    let engine = store::open(&folder);
    for command in ["verify", "dump", "stats", "repair"] {
        let said = run(&[command, folder.text()]);
        assert_eq!(said.code, 1);
        assert!(said.error.contains("in use by process"), "{}", said.error);
        assert_eq!(said.out, "");
    }
    drop(engine);
    assert_eq!(run(&["verify", folder.text()]).code, 0);
}

#[test]
fn a_store_without_its_key_is_not_repaired() {
    let folder = store::without_snapshot();
    folder.flip("STORE", 50);
    let before = folder.files();
    let said = run(&["repair", folder.text(), "--write"]);
    assert_eq!(said.code, 1);
    assert!(
        said.error.contains("STORE is damaged at byte 48"),
        "{}",
        said.error
    );
    assert!(
        said.error.contains("put STORE back from a copy"),
        "{}",
        said.error
    );
    assert_eq!(folder.files(), before);
}

#[test]
fn a_journal_that_begins_behind_what_snapshots_know_is_not_repaired() {
    let folder = store::with_two_snapshots();
    for manifest in folder.names("manifest-") {
        folder.flip(&manifest, 60);
    }
    let before = folder.files();
    let said = run(&["repair", folder.text(), "--json"]);
    let plan: Value = serde_json::from_str(&said.out).unwrap();
    let obstacle = plan["obstacle"].as_str().unwrap();
    assert!(
        obstacle.contains("the journal begins behind record"),
        "{obstacle}"
    );
    let said = run(&["repair", folder.text(), "--write"]);
    assert_eq!(said.code, 1);
    assert_eq!(folder.files(), before);
}

#[test]
fn a_plan_of_another_moment_is_refused() {
    let folder = store::without_snapshot();
    let first = folder.names("journal-")[0].clone();
    folder.flip(&first, 1024 + 20);
    let inspector = StoreInspector::open(folder.path()).unwrap();
    let plan = inspector.repair_plan().unwrap();
    assert!(plan.is_loss());
    folder.flip(&first, 1024 + 20);
    let error = inspector.repair(&plan).unwrap_err().to_string();
    assert!(error.contains("of another moment"), "{error}");
}

#[test]
fn a_second_repair_keeps_the_files_of_the_first() {
    let folder = store::without_snapshot();
    for round in 1..4 {
        let last = folder.names("journal-")[0].clone();
        folder.flip(&last, 1024 + 512 + 20);
        let said = run(&["repair", folder.text(), "--write"]);
        assert_eq!(said.code, 0, "{round}: {} {}", said.out, said.error);
        assert!(folder.names("damaged-").len() >= round);
        store::open(&folder).check_invariants();
    }
}
