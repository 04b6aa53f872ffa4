//! What a line means: instants, agents, service times.

use std::collections::HashMap;

use duewheel::Timestamp;

use crate::calls::{Call, Class};
use crate::generate::working_day;
use crate::records::Record;
use crate::roster::{Roster, ServiceTimes};
use crate::support::{file, hang, row};
use crate::zone::Zone;

fn zone() -> Zone {
    "Asia/Jerusalem".parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    format!("1999-02-{text}+02:00").parse().unwrap()
}

fn calls(rows: &[String]) -> Vec<Call> {
    crate::records::read(file(rows).as_bytes())
        .unwrap()
        .map(|record| Call::new(record.unwrap(), &zone()).unwrap())
        .collect()
}

fn call(row: String) -> Call {
    calls(&[row]).remove(0)
}

#[test]
fn leaving_the_queue_is_found_however_the_line_says_it() {
    for (entry, start, exit, changes, left) in [
        ("9:09:00", "9:09:10", "9:10:00", &[][..], "01T09:10:00"),
        // The duration counts, not the time of leaving.
        ("9:09:00", "9:09:10", "9:30:00", &[], "01T09:10:00"),
        // Over midnight.
        ("23:59:19", "23:59:29", "0:00:19", &[], "02T00:00:19"),
        // Midnight itself.
        ("23:59:00", "23:59:10", "0:00:00", &[], "02T00:00:00"),
        ("23:59:54", "0:00:00", "0:00:50", &[], "02T00:00:50"),
        // The voice unit's clock was ahead.
        (
            "9:09:00",
            "9:08:30",
            "9:09:20",
            &[("vru_time", "-30")],
            "01T09:09:20",
        ),
        // Never before arrival.
        (
            "9:09:00",
            "9:08:00",
            "9:08:50",
            &[("vru_time", "-60")],
            "01T09:09:00",
        ),
        // No times at all.
        ("9:09:00", "0:00:00", "0:00:00", &[], "01T09:10:00"),
        (
            "9:09:00",
            "0:00:00",
            "0:00:00",
            &[("vru_time", "-60")],
            "01T09:09:50",
        ),
        // Who left a message left then.
        (
            "9:09:00",
            "9:09:10",
            "9:10:00",
            &[("type", "TT")],
            "01T09:09:00",
        ),
    ] {
        let call = call(hang(entry, start, exit, changes));
        assert_eq!(call.left, at(left), "{entry} {start} {exit} {changes:?}");
    }
}

#[test]
fn a_service_is_found_however_the_line_says_it() {
    for (changes, start, end, day) in [
        (&[][..], "01T09:00:10", "01T09:01:10", "1999-02-01"),
        // The duration counts, not the end.
        (
            &[("ser_exit", "9:59:59")],
            "01T09:00:10",
            "01T09:01:10",
            "1999-02-01",
        ),
        // Nothing takes no time.
        (
            &[("ser_time", "0")],
            "01T09:00:10",
            "01T09:00:11",
            "1999-02-01",
        ),
        // It may start before the queue is left.
        (
            &[("ser_start", "8:59:59")],
            "01T08:59:59",
            "01T09:00:59",
            "1999-02-01",
        ),
        // A named server and no times: as soon as the voice unit was left.
        (
            &[
                ("ser_start", "0:00:00"),
                ("ser_exit", "0:00:00"),
                ("ser_time", "0"),
            ],
            "01T09:00:10",
            "01T09:00:11",
            "1999-02-01",
        ),
        // Midnight itself.
        (
            &[
                ("vru_entry", "23:59:50"),
                ("ser_start", "0:00:00"),
                ("ser_exit", "0:01:00"),
            ],
            "02T00:00:00",
            "02T00:01:00",
            "1999-02-01",
        ),
        // Until three it is the evening before.
        (
            &[("vru_entry", "2:59:00"), ("ser_start", "2:59:59")],
            "01T02:59:59",
            "01T03:00:59",
            "1999-01-31",
        ),
        (
            &[("vru_entry", "2:59:00"), ("ser_start", "3:00:00")],
            "01T03:00:00",
            "01T03:01:00",
            "1999-02-01",
        ),
    ] {
        let service = call(row(changes)).service.unwrap();
        assert_eq!(
            (service.start, service.end),
            (at(start), at(end)),
            "{changes:?}"
        );
        assert_eq!(service.day, day.parse().unwrap(), "{changes:?}");
    }
    for nobody in [
        row(&[("server", "NO_SERVER")]),
        row(&[("server", "")]),
        row(&[("outcome", "PHANTOM")]),
        hang("9:09:00", "9:09:10", "9:10:00", &[("server", "DORIT")]),
    ] {
        assert_eq!(call(nobody).service, None);
    }
}

#[test]
fn an_agent_works_from_the_first_service_to_the_last_of_a_day() {
    let served = |date, time, server| {
        row(&[
            ("date", date),
            ("vru_entry", time),
            ("ser_start", time),
            ("server", server),
        ])
    };
    let roster = Roster::of(&calls(&[
        served("990202", "0:30:00", "TOVA"),
        served("990201", "17:00:00", "TOVA"),
        served("990201", "9:30:00", "DORIT"),
        served("990201", "9:00:00", "DORIT"),
        served("990201", "9:10:00", "NO_SERVER"),
        served("990202", "8:00:00", "DORIT"),
    ]));
    assert_eq!(roster.names, ["DORIT", "TOVA"]);
    let shifts: Vec<_> = roster
        .shifts
        .iter()
        .map(|shift| (shift.agent, shift.start, shift.end, shift.day.day()))
        .collect();
    let expected = [
        (0, at("01T09:00:00"), at("01T09:31:00"), 1),
        (1, at("01T17:00:00"), at("02T00:31:00"), 1),
        (0, at("02T08:00:00"), at("02T08:01:00"), 2),
    ];
    assert_eq!(shifts, expected);
}

#[test]
fn a_call_back_takes_as_long_as_some_call_of_its_service() {
    let times = ServiceTimes::of(
        &calls(&[
            row(&[("type", "NE"), ("ser_time", "11")]),
            row(&[("type", "NE"), ("ser_time", "22")]),
            row(&[("type", "TT"), ("ser_time", "0")]),
            row(&[("type", "PS"), ("ser_time", "44"), ("outcome", "PHANTOM")]),
            hang("9:09:00", "9:09:10", "9:10:00", &[("type", "IN")]),
        ]),
        1,
    );
    assert_eq!(times.recorded(2).as_secs(), 11);
    let drawn = |service: &str| {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        for id in 0..1000 {
            let seconds = times.drawn(id, service);
            assert_eq!(seconds, times.drawn(id, service));
            *counts.entry(seconds.as_secs()).or_default() += 1;
        }
        let mut drawn: Vec<_> = counts.into_iter().collect();
        drawn.sort_unstable();
        drawn
    };
    assert!(matches!(drawn("NE")[..], [(11, 400..600), (22, 400..600)]));
    assert_eq!(drawn("TT"), [(1, 1000)]);
    // No served call of it on record: any.
    assert!(matches!(drawn("PS")[..], [(1, _), (11, _), (22, _)]));
    assert!(matches!(drawn("IN")[..], [(1, _), (11, _), (22, _)]));
    assert_eq!(ServiceTimes::default().drawn(1, "PS").as_secs(), 180);
}

#[test]
fn the_generated_day_looks_like_a_file() {
    for seed in [0, 1999, u64::MAX] {
        let day = working_day(seed);
        assert_eq!(day.first().map(|record: &Record| record.line), Some(2));
        let mut classes: HashMap<Class, usize> = HashMap::new();
        let mut services: HashMap<&str, usize> = HashMap::new();
        for record in &day {
            *classes.entry(Class::of(record)).or_default() += 1;
            *services.entry(&record.service).or_default() += 1;
            let call = Call::new(record.clone(), &zone()).unwrap();
            assert_eq!(call.service.is_some(), record.server.is_some());
        }
        assert_eq!(
            (classes.len(), services.len()),
            (5, 6),
            "{classes:?} {services:?}"
        );
        assert!(classes[&Class::Agent] > day.len() * 3 / 4);
        assert!(
            classes[&Class::AbandonedInQueue] > day.len() / 50,
            "{classes:?}"
        );
    }
}
