//! What was said, and what must hold of it.
//!
//! | promise | what is checked |
//! |---|---|
//! | nothing lost | a request whose acceptance was read is known in every later round, and in the end was routed at least once, unless its cancel was acknowledged |
//! | one winner | a request whose cancel was acknowledged is never routed, before or after |
//! | never early | it is routed at a time that it was scheduled for, and not before |
//! | a late completion counts | one that is acknowledged, be it by the lease of a process that is gone, ends the request: it is never routed again |
//! | told again says so | a route after the first is marked as a redelivery, and has the same attempt's number |
//! | nothing invented | nothing is routed that was not sent |
//!
//! Under other durabilities than `sync` an acknowledgement may be forgotten; then only the last three hold, and that a
//! route after the first is marked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What is known of a request.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// All times that it may be due at, in milliseconds.
    pub(crate) dues: BTreeSet<u64>,
    pub(crate) accepted: bool,
    pub(crate) cancelled: bool,
    /// A completion was acknowledged.
    completed: bool,
    /// A completion was sent, and no answer read.
    maybe_completed: bool,
    /// Of its last route, until a completion was sent by it and answered.
    lease: Option<String>,
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    round: u64,
    attempt: u64,
    redelivery: bool,
}

/// All requests.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) entries: BTreeMap<u64, Entry>,
    /// Whether an acknowledgement is for good.
    pub(crate) is_sync: bool,
    /// Whether the bridge leaves it to others to say what became of a routing command.
    pub(crate) is_manual: bool,
    pub(crate) routes: u64,
    pub(crate) redeliveries: u64,
}

impl Ledger {
    pub(crate) fn entry(&mut self, id: u64) -> &mut Entry {
        self.entries.entry(id).or_default()
    }

    /// A routing command was printed.
    pub(crate) fn route(&mut self, event: &Value, round: u64) {
        let id: u64 = event["id"].as_str().unwrap().parse().unwrap();
        let due = millis(&event["due"]);
        let released = millis(&event["released"]);
        let route = Route {
            round,
            attempt: event["attempt"].as_u64().unwrap(),
            redelivery: event["redelivery"].as_bool().unwrap(),
        };
        let is_sync = self.is_sync;
        let entry = self.entries.get_mut(&id);
        let entry = entry.unwrap_or_else(|| panic!("{id} was never sent: {event}"));
        assert!(released >= due, "early: {event}");
        assert!(
            entry.dues.contains(&due),
            "{id} was not scheduled for that: {event} {entry:?}"
        );
        assert!(
            !(is_sync && entry.cancelled),
            "it was cancelled: {event} {entry:?}"
        );
        assert!(
            !(is_sync && entry.completed),
            "it was completed: {event} {entry:?}"
        );
        if let Some(former) = entry.routes.last() {
            assert!(
                route.redelivery,
                "routed again as if for the first time: {event} {entry:?}"
            );
            assert!(
                former.round < round,
                "routed twice by one process: {event} {entry:?}"
            );
            assert!(
                !is_sync || former.attempt == route.attempt,
                "another attempt: {event} {entry:?}"
            );
            self.redeliveries += 1;
        }
        self.routes += 1;
        entry.routes.push(route);
        entry.lease = event["lease"].as_str().map(str::to_owned);
    }

    /// The leases that nobody has completed, by request.
    pub(crate) fn leases(&self) -> Vec<(u64, String)> {
        let leases = self.entries.iter();
        let leases = leases.filter(|(_, entry)| !entry.completed);
        leases
            .filter_map(|(&id, entry)| Some((id, entry.lease.clone()?)))
            .collect()
    }

    /// Requests of which anything was acknowledged.
    pub(crate) fn known(&self) -> Vec<u64> {
        let known = self.entries.iter();
        let known = known.filter(|(_, entry)| entry.accepted || entry.cancelled);
        known.map(|(&id, _)| id).collect()
    }

    pub(crate) fn maybe_completed(&mut self, id: u64) {
        self.entry(id).maybe_completed = true;
    }

    pub(crate) fn completed(&mut self, id: u64) {
        self.entry(id).completed = true;
    }

    /// A completion came too late: another one, or the bridge's own answer, was first.
    pub(crate) fn stale(&mut self, id: u64, event: &Value) {
        let (is_sync, is_manual) = (self.is_sync, self.is_manual);
        let entry = self.entry(id);
        entry.lease = None;
        assert!(
            !(is_sync && is_manual) || entry.maybe_completed,
            "nobody else has completed it: {event} {entry:?}"
        );
    }

    pub(crate) fn accepted(&mut self, id: u64) {
        self.entry(id).accepted = true;
    }

    pub(crate) fn cancelled(&mut self, id: u64) {
        let is_sync = self.is_sync;
        let entry = self.entry(id);
        assert!(
            !is_sync || entry.routes.is_empty(),
            "{id} was routed and is cancelled: {entry:?}"
        );
        entry.cancelled = true;
    }

    /// What the bridge says where a request stands.
    pub(crate) fn status(&mut self, id: u64, event: &Value) {
        let is_sync = self.is_sync;
        let entry = self.entry(id);
        if event["event"] == "error" {
            assert!(
                !is_sync || !entry.accepted,
                "{id} was lost: {event} {entry:?}"
            );
            return;
        }
        let outcome = event["outcome"].as_str();
        if is_sync && entry.cancelled {
            assert_eq!(outcome, Some("cancelled"), "{id}: {event} {entry:?}");
        }
        if outcome == Some("routed") {
            assert!(
                !entry.routes.is_empty(),
                "{id} is routed, and nobody was told: {event} {entry:?}"
            );
        }
    }

    /// Everything has come to its end.
    pub(crate) fn close(&self) {
        for (id, entry) in &self.entries {
            if !self.is_sync || !entry.accepted {
                continue;
            }
            let routed = !entry.routes.is_empty();
            assert!(routed || entry.cancelled, "{id} was lost: {entry:?}");
        }
    }
}

/// A time as milliseconds since the epoch.
pub(crate) fn millis(time: &Value) -> u64 {
    let time: duewheel::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_millis()
}
