//! One process: fed by a thread, read by another, killed when its time has come.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::example::program;

/// Longer than any step takes on a busy machine; a bridge that says nothing for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that reads commands and prints events.
pub(crate) struct Bridge {
    child: Child,
    lines: Receiver<String>,
}

impl Bridge {
    /// Starts it, and feeds it these commands, in order; its input stays open after them.
    pub(crate) fn start(data: &Path, options: &[&str], commands: Vec<String>) -> Self {
        let mut child = Command::new(program("ndjson_router"))
            .arg("--data")
            .arg(data)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the bridge starts");
        let mut stdin = child.stdin.take().expect("piped");
        let stdout = child.stdout.take().expect("piped");
        thread::spawn(move || {
            for command in commands {
                // It is killed while it is fed.
                if writeln!(stdin, "{command}").is_err() {
                    return;
                }
            }
            // Held open, so that the bridge does not take its end for the end of all commands.
            loop {
                thread::sleep(Duration::from_millis(50));
                if writeln!(stdin).is_err() {
                    return;
                }
            }
        });
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            // A last line that was cut off was not said.
            while stdout.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Passes on what it says, until so much time has gone by, or `enough` says that it is; then kills it, and passes on
    /// what it had said before.
    pub(crate) fn listen(mut self, span: Option<Duration>, mut hear: impl FnMut(&Value) -> bool) {
        let deadline = Instant::now() + span.unwrap_or(PATIENCE);
        let mut hear = |line: String| {
            let event = serde_json::from_str(&line);
            hear(&event.unwrap_or_else(|error| panic!("{error}: {line}")))
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if hear(line) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) if span.is_some() => break,
                Err(error) => {
                    let _ = self.child.kill();
                    let output = self.child.wait_with_output();
                    panic!("the bridge says nothing more ({error}): {output:?}")
                }
            }
        }
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it was killed");
        while let Ok(line) = self.lines.recv() {
            hear(line);
        }
    }
}
