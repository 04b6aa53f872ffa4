//! Round after round: what is sent, what is made of the answers, and when the process is killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use duewheel::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde_json::{Value, json};

use crate::bridge::Bridge;
use crate::folder::Folder;
use crate::ledger::Ledger;

/// 2026-01-05T07:00:00Z.
const BEGIN: u64 = 1_767_596_400_000;

/// Commands in a round, more than a process lives to read, mostly.
const COMMANDS: usize = 2_000;

/// Milliseconds from intake to the due time at most.
const AHEAD: u64 = 3_000;

/// Something that was sent.
#[derive(Clone, Debug)]
enum Sent {
    Schedule(u64),
    Cancel(u64),
    /// By the lease that a route was printed with.
    Complete(u64),
    Reschedule,
    Status(u64),
    Advance,
    Snapshot,
}

/// The rounds of one store.
pub(crate) struct Rounds {
    random: Pcg64Mcg,
    folder: Folder,
    durability: &'static str,
    /// Who says what became of a routing command: `auto` or `manual`.
    router: &'static str,
    ledger: Ledger,
    /// The latest time that was sent.
    now: u64,
    /// What the next process's clock starts at, or at what its store knows if that is later.
    start: u64,
    next_id: u64,
    /// What was sent and not answered: to be sent again, with the same words.
    unanswered: Vec<(Sent, String)>,
    round: u64,
    answers: u64,
}

impl Rounds {
    pub(crate) fn new(seed: u64, durability: &'static str, router: &'static str) -> Self {
        Self {
            random: Pcg64Mcg::seed_from_u64(seed),
            folder: Folder::new(&format!("{durability}-{router}")),
            durability,
            router,
            ledger: Ledger {
                is_sync: durability == "sync",
                is_manual: router == "manual",
                ..Ledger::default()
            },
            now: BEGIN,
            start: BEGIN,
            next_id: 1,
            unanswered: Vec::new(),
            round: 0,
            answers: 0,
        }
    }

    pub(crate) fn run(mut self, rounds: u64) {
        // How long a process takes here to read its store and to answer something.
        self.play(vec![(Sent::Advance, advance(self.now))], None);
        let begin = Instant::now();
        self.play(vec![(Sent::Advance, advance(self.now))], None);
        let step = begin.elapsed().max(Duration::from_millis(20));
        for _ in 0..rounds {
            self.start = self.start_time();
            let script = self.script();
            // Sometimes while it still starts, mostly while it works, sometimes when much is said.
            let life = self.random.random_range(0.0..3.0_f64);
            self.play(script, Some(step.mul_f64(life * life)));
        }
        // In the end it lives, and everything comes to its end.
        self.start = self.start_time();
        let mut script = std::mem::take(&mut self.unanswered);
        script.retain(|(sent, _)| !matches!(sent, Sent::Advance));
        self.now += 10 * AHEAD;
        script.push((Sent::Advance, advance(self.now)));
        for id in self.ledger.known() {
            script.push((
                Sent::Status(id),
                json!({"op": "status", "id": id}).to_string(),
            ));
        }
        self.play(script, None);
        assert!(self.unanswered.is_empty());
        self.ledger.close();
        assert!(self.answers > rounds / 2, "{} answers", self.answers);
        println!(
            "{}, {}: {rounds} kills, {} answers, {} routes, {} of them redeliveries",
            self.durability,
            self.router,
            self.answers,
            self.ledger.routes,
            self.ledger.redeliveries
        );
    }

    /// No clock goes back by a kill. Where everything that was polled is in the store, it may go by that.
    fn start_time(&mut self) -> u64 {
        let knows = self.ledger.is_sync && self.random.random_bool(0.5);
        if knows { BEGIN } else { self.now }
    }

    /// What is sent in a round: what was not answered, a look at some that are known, and new commands.
    fn script(&mut self) -> Vec<(Sent, String)> {
        let mut script = std::mem::take(&mut self.unanswered);
        // The clock may have been about to be moved.
        script.retain(|(sent, _)| {
            !matches!(
                sent,
                Sent::Advance | Sent::Snapshot | Sent::Status(_) | Sent::Complete(_)
            )
        });
        // Early, or a process that waits for its disk would not live to route anything.
        if self.random.random_bool(0.7) {
            self.now += self.random.random_range(1..AHEAD);
            script.push((Sent::Advance, advance(self.now)));
        }
        // Late, after the process that was told of them is gone.
        let mut leases = self.ledger.leases();
        leases.truncate(10);
        for (id, lease) in leases {
            if self.random.random_bool(0.3) {
                let command = json!({"op": "complete", "lease": lease, "outcome": "routed"});
                script.push((Sent::Complete(id), command.to_string()));
            }
        }
        for _ in 0..10.min(self.next_id - 1) {
            let id = self.random.random_range(1..self.next_id);
            script.push((
                Sent::Status(id),
                json!({"op": "status", "id": id}).to_string(),
            ));
        }
        for _ in 0..COMMANDS {
            let command = self.command();
            script.push(command);
        }
        script
    }

    fn command(&mut self) -> (Sent, String) {
        let known = self.next_id - 1;
        let recent = |random: &mut Pcg64Mcg| known - random.random_range(0..known.min(300));
        match self.random.random_range(0..100_u32) {
            12..22 if known > 0 => {
                let id = recent(&mut self.random);
                (
                    Sent::Cancel(id),
                    json!({"op": "cancel", "id": id}).to_string(),
                )
            }
            22..27 if known > 0 => {
                let id = recent(&mut self.random);
                let due = self.due();
                self.ledger.entry(id).dues.insert(due);
                let schedule = schedule(due);
                let command = json!({"op": "reschedule", "id": id, "schedule": schedule});
                (Sent::Reschedule, command.to_string())
            }
            27..39 => {
                self.now += self.random.random_range(1..1_000);
                (Sent::Advance, advance(self.now))
            }
            39 if self.random.random_bool(0.2) => {
                (Sent::Snapshot, json!({"op": "snapshot"}).to_string())
            }
            _ => {
                let id = self.next_id;
                self.next_id += 1;
                let due = self.due();
                self.ledger.entry(id).dues.insert(due);
                let request = json!({
                    "id": id,
                    "location": format!("L{}", id % 7),
                    "payload": "x".repeat(id as usize % 200),
                    "schedule": schedule(due),
                });
                let command = json!({"op": "schedule", "request": request});
                (Sent::Schedule(id), command.to_string())
            }
        }
    }

    fn due(&mut self) -> u64 {
        self.now + self.random.random_range(1..AHEAD)
    }

    /// Has a process read these commands, and kills it after some time, or when it has answered all of them.
    fn play(&mut self, script: Vec<(Sent, String)>, life: Option<Duration>) {
        self.round += 1;
        let commands = script.iter().map(|(_, command)| command.clone()).collect();
        let start = Timestamp::from_millis(self.start).to_string();
        let options = [
            ["--durability", self.durability],
            ["--router", self.router],
            ["--lease", "1000000"],
            ["--virtual-time", &start],
        ];
        let bridge = Bridge::start(self.folder.path(), options.as_flattened(), commands);
        let mut left: BTreeMap<u64, (Sent, String)> = (1..).zip(script).collect();
        bridge.listen(life, |event| {
            if event["event"] == "route" {
                self.ledger.route(event, self.round);
            } else {
                let line = event["line"].as_u64().unwrap();
                let (sent, _) = left.remove(&line).expect("one answer a line");
                self.answer(&sent, event);
            }
            left.is_empty()
        });
        self.unanswered = left.into_values().collect();
        for (sent, _) in &self.unanswered {
            if let Sent::Complete(id) = sent {
                self.ledger.maybe_completed(*id);
            }
        }
        if life.is_some() {
            // What never came to be read is as if it had not been sent, but for what it may be known by.
            let keep = self.unanswered.len().min(20);
            self.unanswered.truncate(keep);
        }
    }

    fn answer(&mut self, sent: &Sent, event: &Value) {
        self.answers += 1;
        let said = event["event"].as_str().unwrap();
        let reason = event["reason"].as_str().unwrap_or_default();
        match (sent, said, reason) {
            (Sent::Schedule(id), "accepted", _) => self.ledger.accepted(*id),
            (Sent::Cancel(id), "cancelled", _) => self.ledger.cancelled(*id),
            (Sent::Cancel(_), "error", "too_late") => {}
            (Sent::Complete(id), "completed", _) => self.ledger.completed(*id),
            (Sent::Complete(id), "error", "stale_lease" | "unknown") => {
                self.ledger.stale(*id, event);
            }
            // It may never have been taken in, or be forgotten where that is allowed.
            (Sent::Cancel(_) | Sent::Reschedule, "error", "unknown") => {}
            (Sent::Reschedule, "rescheduled", _) => {}
            (Sent::Reschedule, "error", "too_late") => {}
            (Sent::Status(id), "status", _) | (Sent::Status(id), "error", "unknown") => {
                self.ledger.status(*id, event);
            }
            (Sent::Advance, "advanced", _) => {}
            (Sent::Snapshot, "snapshot", _) => {}
            _ => panic!("{sent:?} was answered by {event}"),
        }
    }
}

fn schedule(due: u64) -> Value {
    json!({"times": [{"at": Timestamp::from_millis(due).to_string()}]})
}

fn advance(to: u64) -> String {
    json!({"op": "advance", "to": Timestamp::from_millis(to).to_string()}).to_string()
}
