//! What the features `tracing` and `metrics` tell, and that telling stops nobody.

mod capture;
mod centre;
mod crowd;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use capture::{Ears, Told};
use centre::{
    BUSY, CANCELLED, CONDITIONAL, Centre, EXPIRED, LEASED, LOCATION_CANCELLED, MISSED, MOVED,
    NOT_CONSULTED, PACED, PANICKED, PARKED, REJECTED, ROUTED, SECRET, SENT_ON, TAKEN_BACK, at,
};
use duewheel::{DriverOptions, InteractionRequest, ManualClock, Outcome, ScheduleData, Shutdown};

/// The names as documented.
const NAMES: &str = include_str!("../../src/telemetry/names.md");

/// Runs `run` with this thread's events and metrics going to `ears`.
fn heard<R>(ears: &Ears, run: impl FnOnce() -> R) -> R {
    tracing::subscriber::with_default(ears.clone(), || metrics::with_local_recorder(ears, run))
}

/// Everything that may happen, told to ears that put a hold where the test of `taken_back` needs one.
fn everything() -> (Centre, Arc<Told>) {
    let ears = Ears::default();
    let centre = Centre::new();
    heard(&ears, || {
        centre.take_in();
        hold_when_released(&ears.0, &centre);
        centre.live();
    });
    (centre, ears.0)
}

/// At the second `released` after the last location was resumed, puts it on hold.
fn hold_when_released(told: &Arc<Told>, centre: &Centre) {
    let (engine, elsewhere) = (Arc::clone(&centre.engine), centre.elsewhere);
    let heard = Arc::clone(told);
    told.hook(move |name| {
        if name == "released"
            && heard
                .of(TAKEN_BACK)
                .last()
                .is_some_and(|line| line.starts_with("released"))
        {
            let _held = engine.hold(elsewhere, at(690)).unwrap();
        }
    });
}

/// The first column of the documented tables, with the whole row.
fn documented() -> Vec<(&'static str, &'static str)> {
    let rows = NAMES.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| (row.split('`').nth(1).unwrap(), row))
        .collect()
}

#[test]
fn a_lifes_events_come_in_order() {
    let (_centre, told) = everything();
    let due_ms = 1_000_100;
    let lives = [
        (
            ROUTED,
            vec![
                format!("accepted scheduled=true due_ms={due_ms}"),
                "duplicate state=scheduled".to_owned(),
                "refused reason=conflict".to_owned(),
                format!("fell_due due_ms={due_ms}"),
                format!("released attempt=1 ahead=false due_ms={due_ms} late_ms=0"),
                "answered attempt=1 disposition=routed".to_owned(),
                "completed outcome=routed reason=none attempts=1".to_owned(),
            ],
        ),
        (
            BUSY,
            vec![
                format!("accepted scheduled=true due_ms={due_ms}"),
                format!("fell_due due_ms={due_ms}"),
                format!("released attempt=1 ahead=false due_ms={due_ms} late_ms=0"),
                "answered attempt=1 disposition=busy".to_owned(),
                "retry attempt=1 reason=busy again_ms=1000120".to_owned(),
                format!("fell_due due_ms={due_ms}"),
                format!("released attempt=2 ahead=false due_ms={due_ms} late_ms=0"),
                "answered attempt=2 disposition=busy".to_owned(),
                "completed outcome=dead_lettered reason=busy attempts=2".to_owned(),
            ],
        ),
    ];
    for (id, life) in lives {
        assert_eq!(told.of(id), life);
    }
    let names = |id| -> Vec<String> {
        let lines = told.of(id);
        let name = |line: &String| line.split(' ').next().unwrap().to_owned();
        lines.iter().map(name).collect()
    };
    for (id, life) in [
        (
            LEASED,
            "accepted fell_due released answered lease_ran_out retry fell_due released completed",
        ),
        (REJECTED, "accepted fell_due released answered completed"),
        (
            PANICKED,
            "accepted fell_due released answered retry fell_due released answered completed",
        ),
        (
            SENT_ON,
            "accepted fell_due released answered rescheduled fell_due released answered completed",
        ),
        (
            CONDITIONAL,
            "accepted fell_due judged fell_due judged released answered completed",
        ),
        (NOT_CONSULTED, "accepted fell_due retry fell_due completed"),
        (EXPIRED, "accepted completed"),
        (MISSED, "accepted missed completed"),
        (CANCELLED, "accepted rescheduled completed"),
        (
            PARKED,
            "accepted fell_due parked fell_due released answered completed",
        ),
        (
            PACED[1],
            "accepted fell_due parked fell_due in_line released answered completed",
        ),
        (MOVED, "accepted completed"),
        (LOCATION_CANCELLED, "accepted completed"),
    ] {
        let told = names(id).join(" ");
        assert!(same_but_for_repeats(&told, life), "{id}: {told}");
    }
    let taken_back = names(TAKEN_BACK).join(" ");
    assert!(
        taken_back.starts_with("accepted fell_due released taken_back parked "),
        "{taken_back}"
    );
}

/// Whether two lists of words are the same where a word, or a pair of them, may come several times in a row: a
/// recheck falls due and is judged as often as there was time for.
fn same_but_for_repeats(told: &str, life: &str) -> bool {
    let pressed = |text: &str| {
        let mut words: Vec<&str> = Vec::new();
        for word in text.split(' ') {
            words.push(word);
            if let [.., a, b, c, d] = words[..]
                && (a, b) == (c, d)
            {
                words.truncate(words.len() - 2);
            }
        }
        words.join(" ")
    };
    pressed(told) == pressed(life)
}

#[test]
fn every_documented_name_is_told_with_its_fields_and_no_other() {
    let (_centre, told) = everything();
    heard(&Ears(Arc::clone(&told)), crowd::run_here);
    let documented = documented();
    let row = |name: &str| {
        let found = documented.iter().find(|(known, _)| *known == name);
        found
            .unwrap_or_else(|| panic!("{name} is not documented"))
            .1
    };
    let mut names = BTreeSet::new();
    for line in told.lines.lock().unwrap().iter() {
        let mut words = line.split(' ');
        let name = words.next().unwrap().trim_start_matches(['+', '-']);
        names.insert(name.to_owned());
        for field in words {
            let (field, value) = field.split_once('=').unwrap();
            let common = ["request", "location"].contains(&field);
            let row = row(name);
            assert!(common || row.contains(&format!("`{field}`")), "{line}");
            if ["reason", "policy", "by", "disposition", "outcome", "gate"].contains(&field) {
                assert!(NAMES.contains(&format!("`{value}`")), "{line}");
            }
        }
    }
    for key in told.metrics.lock().unwrap().keys() {
        let mut words = key.split(' ');
        let name = words.next().unwrap();
        names.insert(name.to_owned());
        for label in words {
            let (label, value) = label.split_once('=').unwrap();
            assert!(row(name).contains(&format!("`{label}`")), "{key}");
            assert!(NAMES.contains(&format!("`{value}`")), "{key}");
        }
    }
    let known: BTreeSet<String> = documented
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(names, known);
}

#[test]
fn metrics_agree_with_the_report() {
    let (centre, told) = everything();
    let report = centre.engine.report(at(2_001));
    for outcome in Outcome::ALL {
        let metrics = told.metrics.lock().unwrap();
        let prefix = format!("duewheel_completed_total outcome={outcome} ");
        let counted = metrics.iter().filter(|(key, _)| key.starts_with(&prefix));
        let sum: f64 = counted.map(|(_, count)| count).sum();
        assert_eq!(sum, report.outcomes[&outcome] as f64, "{outcome}");
        assert!(sum > 0.0, "{outcome} came about");
    }
    let released = told.metric("duewheel_released_total ahead=false")
        + told.metric("duewheel_released_total ahead=true");
    assert_eq!(released, report.lateness.count as f64);
    assert_eq!(told.metric("duewheel_lateness_seconds"), released);
    let panics = told.metric("duewheel_router_panics_total call=consult")
        + told.metric("duewheel_router_panics_total call=route");
    assert_eq!(panics, report.router_panics as f64);
    assert_eq!(report.pending, 0);
}

#[test]
fn gauges_are_set_by_each_poll() {
    let ears = Ears::default();
    let centre = Centre::new();
    heard(&ears, || {
        centre.take_in();
        let pending = centre.engine.pending() as f64;
        centre.poll(0);
        assert_eq!(ears.0.metric("duewheel_pending"), pending);
        assert_eq!(ears.0.metric("duewheel_in_flight"), 0.0);
        centre.poll(100);
        assert_eq!(ears.0.metric("duewheel_in_flight"), 1.0, "its lease runs");
        assert_eq!(ears.0.metric("duewheel_polls_total"), 2.0);
    });
}

#[test]
fn no_payload_customer_or_text_of_the_routers_is_told() {
    let (centre, told) = everything();
    let reasons = centre.engine.report(at(2_001)).reasons;
    let is_secret = |reason: &Option<Arc<str>>| reason.as_deref() == Some(SECRET);
    assert!(reasons.iter().any(|count| is_secret(&count.reason)));
    let lines = told.lines.lock().unwrap();
    assert!(lines.len() > 100, "{}", lines.len());
    assert!(lines.iter().all(|line| !line.contains(SECRET)));
    let metrics = told.metrics.lock().unwrap();
    assert!(metrics.keys().all(|key| !key.contains(SECRET)));
}

/// Where anything were told under a lock, this would hang: the calls take every lock there is.
#[test]
fn who_is_told_may_call_the_engine() {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let ears = Ears::default();
        let centre = Centre::new();
        let (engine, here) = (Arc::clone(&centre.engine), centre.here);
        let count = AtomicU64::new(0);
        ears.0.hook(move |_| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            for id in 101..120_u64 {
                let _status = engine.status(id.into());
            }
            let request = InteractionRequest::new((10_000 + number).into(), here);
            let schedule = ScheduleData::at(at(1_000_000));
            if engine
                .schedule(request.with_schedule(schedule), at(0))
                .is_ok()
            {
                let cancelled = engine.cancel((10_000 + number).into(), at(0));
                assert!(cancelled.is_ok());
            }
            let _held = engine.hold(here, at(0)).unwrap();
            let _resumed = engine.resume(here, None, at(0)).unwrap();
            let _report = engine.report(at(0));
            let _poll = engine.poll(at(0), 0);
        });
        heard(&ears, || {
            centre.take_in();
            centre.live();
        });
        done.send(ears.0.lines.lock().unwrap().len()).unwrap();
    });
    let calls = ended.recv_timeout(Duration::from_secs(120));
    assert!(calls.expect("nothing hangs") > 100);
}

/// The driver and the dispatch workers have no subscriber of their own, so this test takes the process's.
#[test]
fn the_driver_and_the_workers_tell_too() {
    let ears = Ears::default();
    tracing::subscriber::set_global_default(ears.clone()).unwrap();
    metrics::set_global_recorder(ears.clone()).unwrap();
    let centre = Centre::new();
    let engine = Arc::clone(&centre.engine);
    let ids = 1_000..1_100_u64;
    let asked = ids.clone();
    ears.0.hook(move |_| {
        for id in asked.clone() {
            let _status = engine.status(id.into());
        }
    });
    let clock = Arc::new(ManualClock::new(at(0)));
    let options = DriverOptions {
        workers: 2,
        ..DriverOptions::default()
    };
    let running = centre.engine.start(clock.clone(), options).unwrap();
    for id in ids.clone() {
        centre.schedule(id, centre.here, ScheduleData::at(at(100)));
    }
    clock.set(at(100));
    let left = running.shutdown(Shutdown::Drain, Duration::from_secs(120));
    assert_eq!((left.pending, left.timed_out), (0, false));
    for id in ids {
        let told = ears.0.of(id).join(" ");
        for name in [
            "accepted ",
            "fell_due ",
            "released ",
            "answered ",
            "completed ",
        ] {
            assert!(told.contains(name), "{id}: {told}");
        }
    }
    assert!(ears.0.metric("duewheel_polls_total") > 0.0);
}

#[test]
fn a_subscriber_that_panics_stops_nobody() {
    let ears = Ears::default();
    let centre = Centre::new();
    let told = Arc::clone(&ears.0);
    told.hook(|name| panic!("{name}"));
    heard(&ears, || {
        centre.take_in();
        centre.live();
    });
    assert_eq!(centre.engine.pending(), 0);
    let report = centre.engine.report(at(2_001));
    assert_eq!(report.router_panics, 3, "the router's own, and no more");
    centre.engine.check_invariants();
}

#[test]
fn descriptions_are_of_the_documented_metrics() {
    let ears = Ears::default();
    metrics::with_local_recorder(&ears, duewheel::describe_metrics);
    let described: BTreeSet<String> = ears
        .0
        .descriptions
        .lock()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let documented = documented().into_iter().map(|(name, _)| name.to_owned());
    let metrics = documented.filter(|name| name.starts_with("duewheel_"));
    assert_eq!(described, metrics.collect());
}
