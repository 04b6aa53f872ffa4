//! The example as a process.

use std::path::PathBuf;
use std::process::Command;

/// What a run of it has said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) error: String,
}

/// The example, which `cargo test` builds beside the tests.
fn executable() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("tests lie in target/<profile>/deps");
    let path = profile
        .join("examples")
        .join(format!("journal_tool{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.exists(),
        "{} is missing: cargo build --example journal_tool",
        path.display()
    );
    path
}

pub(crate) fn run(arguments: &[&str]) -> Said {
    let output = Command::new(executable())
        .args(arguments)
        .output()
        .expect("the tool runs");
    Said {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}
