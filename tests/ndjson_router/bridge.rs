//! Drives the example as a process, and plays transcripts with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::example::program;

/// Longer than any step takes on a busy machine; a bridge that says nothing for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the example over a whole input.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = spawn(arguments);
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let feeder = thread::spawn(move || {
        // The bridge may be gone already, where the arguments are bad.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("the bridge runs");
    feeder.join().expect("the feeder does not panic");
    output
}

/// The events of a run that must end well.
pub(crate) fn events(arguments: &[&str], input: &[u8]) -> Vec<Value> {
    let output = run(arguments, input);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("events are UTF-8");
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "a line is cut off: {text}"
    );
    text.lines().map(event).collect()
}

fn event(line: &str) -> Value {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(event["event"].is_string(), "no event: {line}");
    if event["event"] != "route" {
        assert!(event["line"].is_u64(), "no line: {line}");
    }
    if event["event"] == "error" {
        assert!(
            event["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "no message: {line}"
        );
    }
    event
}

/// Starts the example with all three streams piped.
pub(crate) fn spawn(arguments: &[&str]) -> Child {
    let mut command = Command::new(program("ndjson_router"));
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the bridge starts")
}

/// A bridge to talk to.
pub(crate) struct Bridge {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    stderr: ChildStderr,
    line: u64,
}

impl Bridge {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = spawn(arguments);
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let stderr = child.stderr.take().expect("piped");
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines() {
                if sender
                    .send(event(&line.expect("events are UTF-8")))
                    .is_err()
                {
                    return;
                }
            }
        });
        Self {
            child,
            stdin,
            events,
            stderr,
            line: 0,
        }
    }

    /// Sends a line without waiting for anything.
    pub(crate) fn send(&mut self, line: &str) {
        self.line += 1;
        let stdin = self.stdin.as_mut().expect("the input is open");
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .expect("the bridge reads");
    }

    /// Sends a command and returns everything printed up to its reply, which comes last.
    pub(crate) fn ask(&mut self, command: &str) -> Vec<Value> {
        self.send(command);
        let mut events = Vec::new();
        loop {
            let event = self.event();
            let reply = event.get("line").map(|line| line == self.line);
            events.push(event);
            match reply {
                None => {}
                Some(true) => return events,
                Some(false) => panic!("not the reply to line {}: {events:?}", self.line),
            }
        }
    }

    /// The next event, whatever it is.
    pub(crate) fn event(&mut self) -> Value {
        self.events
            .recv_timeout(PATIENCE)
            .expect("the bridge prints an event")
    }

    /// Ends the input. Returns the events that were still to come, and what was said on standard error.
    pub(crate) fn finish(mut self) -> (Vec<Value>, String) {
        drop(self.stdin.take());
        let events = self.events.iter().collect();
        let mut stderr = String::new();
        self.stderr
            .read_to_string(&mut stderr)
            .expect("standard error is UTF-8");
        let status = self.child.wait().expect("the bridge ends");
        assert!(status.success(), "{status}: {stderr}");
        (events, stderr)
    }
}

/// Plays a transcript under virtual time from 06:00 and compares every event.
///
/// `> line` sends a line; `< event` expects the next event to have these fields, among others; `>
/// end` ends the input. There must be no event beside those expected. In strings, `@09:00` stands
/// for that time of Monday 2026-01-05 in UTC, `@06/09:00` for the sixth of January; `"$name"` in an
/// expected event keeps a value that is not known beforehand, for later lines.
#[track_caller]
pub(crate) fn transcript(arguments: &[&str], text: &str) -> String {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--virtual-time", "2026-01-05T06:00:00Z"]);
    let mut bridge = Some(Bridge::start(&arguments));
    let mut pending = std::collections::VecDeque::new();
    let mut names: Vec<(String, String)> = Vec::new();
    let mut stderr = String::new();
    for step in text
        .lines()
        .map(str::trim)
        .filter(|step| !step.is_empty() && !step.starts_with('#'))
    {
        if step == "> end" {
            assert!(pending.is_empty(), "before {step}: unexpected {pending:?}");
            let (events, said) = bridge.take().expect("one end").finish();
            pending.extend(events);
            stderr = said;
        } else if let Some(line) = step.strip_prefix('>') {
            assert!(pending.is_empty(), "before {step}: unexpected {pending:?}");
            let bridge = bridge.as_mut().expect("the input is open");
            let line = line.trim();
            if line.is_empty() {
                bridge.send("");
                continue;
            }
            let mut line = with_times(line);
            for (name, value) in &names {
                line = line.replace(&format!("\"{name}\""), &format!("\"{value}\""));
            }
            pending.extend(bridge.ask(&line));
        } else if let Some(expected) = step.strip_prefix('<') {
            let event = pending
                .pop_front()
                .unwrap_or_else(|| panic!("no event for {step}"));
            let expected: Value = serde_json::from_str(&with_times(expected))
                .unwrap_or_else(|error| panic!("{error}: {step}"));
            compare(&event, &expected, &mut names, step);
        } else {
            panic!("neither > nor <: {step}");
        }
    }
    assert!(pending.is_empty(), "at the end: unexpected {pending:?}");
    if let Some(bridge) = bridge {
        let (events, said) = bridge.finish();
        assert!(events.is_empty(), "after the end: unexpected {events:?}");
        stderr = said;
    }
    stderr
}

#[track_caller]
fn compare(event: &Value, expected: &Value, names: &mut Vec<(String, String)>, step: &str) {
    for (field, expected) in expected.as_object().expect("events are objects") {
        let found = event
            .get(field)
            .unwrap_or_else(|| panic!("{step}\nhas no {field}: {event}"));
        let named = expected.as_str().filter(|name| name.starts_with('$'));
        match named.map(|name| (name, names.iter().find(|(known, _)| known == name))) {
            Some((name, None)) => names.push((
                name.to_owned(),
                found.as_str().expect("a string").to_owned(),
            )),
            Some((_, Some((_, value)))) => assert_eq!(found, value, "{step}\n{event}"),
            None => assert_eq!(found, expected, "{step}\n{event}"),
        }
    }
}

/// Writes out `"@09:00"`, `"@09:00:30.5"` and `"@06/09:00"`.
fn with_times(line: &str) -> String {
    let mut parts = line.split("\"@");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (time, rest) = part.split_once('"').expect("a closed string");
        let (day, time) = time.split_once('/').unwrap_or(("05", time));
        let seconds = if time.len() == 5 { ":00" } else { "" };
        written += &format!("\"2026-01-{day}T{time}{seconds}Z\"{rest}");
    }
    written
}
