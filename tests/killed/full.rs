//! A disk that fills up: a small file system in memory, where this process may mount one.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::bridge::Bridge;
use crate::folder::Folder;

/// A file system of so many MiB, unmounted in the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where it is not this process's to mount one.
    fn mount(path: &'a Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={mebibytes}m,mode=0700"),
                "tmpfs",
            ])
            .arg(path)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn schedule(id: u64) -> String {
    let schedule = json!({"times": [{"at": "2026-01-06T07:00:00Z"}]});
    let payload = "x".repeat(60_000);
    let request = json!({"id": id, "location": "AA0101", "payload": payload, "schedule": schedule});
    json!({"op": "schedule", "request": request}).to_string()
}

/// What a process answers to commands, one after the other.
fn answers(data: &Path, commands: Vec<String>) -> Vec<Value> {
    let options = [
        "--durability",
        "sync",
        "--virtual-time",
        "2026-01-05T07:00:00Z",
    ];
    let wanted = commands.len();
    let mut answers = Vec::new();
    Bridge::start(data, &options, commands).listen(None, |event| {
        if event["event"] != "route" {
            answers.push(event.clone());
        }
        answers.len() == wanted
    });
    answers
}

#[test]
fn a_disk_that_fills_up_refuses_intake_early_and_still_takes_the_ends() {
    let folder = Folder::new("full");
    let Some(disk) = SmallDisk::mount(folder.path(), 180) else {
        println!("skipped: no file system may be mounted here");
        return;
    };
    let data = disk.0.join("store");
    // Two segments of 64 MiB fit, and a third does not.
    let answered = answers(&data, (0..2_000).map(schedule).collect());
    let accepted: Vec<usize> = (0..answered.len())
        .filter(|&at| answered[at]["event"] == "accepted")
        .collect();
    let refused = answered.iter().find(|answer| answer["event"] == "error");
    let refused = refused.expect("the disk is full");
    assert_eq!(refused["reason"], "full", "{refused}");
    assert!(accepted.len() > 900, "{} accepted", accepted.len());

    // Killed, and begun again on the full disk: all is there, and can be ended.
    let ids = accepted.iter().map(|&at| at as u64);
    let cancels = ids.clone().step_by(2);
    let cancels = cancels.map(|id| json!({"op": "cancel", "id": id}).to_string());
    for answer in answers(&data, cancels.collect()) {
        assert_eq!(answer["event"], "cancelled", "{answer}");
    }
    let looks = ids.map(|id| json!({"op": "status", "id": id}).to_string());
    for (at, answer) in answers(&data, looks.collect()).iter().enumerate() {
        let state = if at % 2 == 0 {
            "completed"
        } else {
            "scheduled"
        };
        assert_eq!(answer["state"], state, "{answer}");
    }
    // A snapshot of what is left gives room.
    let mut commands = vec![json!({"op": "snapshot"}).to_string(); 2];
    commands.push(schedule(10_000));
    let last = answers(&data, commands);
    for snapshot in &last[..2] {
        assert_eq!(snapshot["event"], "snapshot", "{last:?}");
    }
    assert_eq!(last[2]["event"], "accepted", "{last:?}");
}
