//! Where an example's program is, for tests that run it. Shared by `#[path]`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program of the example that a test binary runs: always the same one. `cargo test` builds it beside the tests;
/// where only this test was asked for, and it is not there, it is built here.
pub(crate) fn program(name: &str) -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| find(name))
}

fn find(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test runs from a file");
    let profile = test.parent().and_then(Path::parent);
    let profile = profile.expect("it lies in target/<profile>/deps");
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    let program = profile.join("examples").join(file);
    if !program.exists() {
        let target = profile.parent().expect("target");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--example", name, "--target-dir"])
            .arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo runs");
        assert!(
            status.success() && program.exists(),
            "example {name} does not build"
        );
    }
    program
}
