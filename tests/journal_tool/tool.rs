//! The example as a process.

use std::process::Command;

use crate::example::program;

/// What a run of it has said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) error: String,
}

pub(crate) fn run(arguments: &[&str]) -> Said {
    let output = Command::new(program("journal_tool"))
        .args(arguments)
        .output()
        .expect("the tool runs");
    Said {
        code: output.status.code().expect("it ends by itself"),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}
