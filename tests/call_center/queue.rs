//! The agent pool, behind a real engine.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use duewheel::{
    Consultation, Directory, Disposition, DueRequest, Engine, InteractionRequest, LocationId,
    Priority, ProcessingCondition, RequestId, Router, RoutingCommand, ScheduleData, Timestamp,
};

use crate::calls::Call;
use crate::hours::OpeningHours;
use crate::pool::{End, Pool};
use crate::roster::{Roster, ServiceTimes};
use crate::support::{file, row};
use crate::zone::Zone;

/// The pool, and what it said when it was consulted.
struct Overheard {
    pool: Arc<Pool>,
    answers: Mutex<Vec<Consultation>>,
}

impl Router for Overheard {
    fn consult(&self, request: &DueRequest) -> Consultation {
        let answer = self.pool.consult(request);
        self.answers.lock().unwrap().push(answer);
        answer
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        self.pool.route(command)
    }
}

struct Centre {
    engine: Engine,
    router: Arc<Overheard>,
    location: LocationId,
}

/// A line on which `server` serves from `start`; its number in the file is the id whose service time it sets.
fn service(server: &str, start: &str, seconds: &str) -> String {
    row(&[
        ("vru_entry", start),
        ("ser_start", start),
        ("ser_time", seconds),
        ("server", server),
    ])
}

fn at(time: &str) -> Timestamp {
    format!("1999-02-01T{time}+02:00").parse().unwrap()
}

impl Centre {
    fn new(rows: &[String]) -> Self {
        let zone: Zone = "Asia/Jerusalem".parse().unwrap();
        let calls: Vec<Call> = crate::records::read(file(rows).as_bytes())
            .unwrap()
            .map(|record| Call::new(record.unwrap(), &zone).unwrap())
            .collect();
        let pool = Arc::new(Pool::new(
            Roster::of(&calls),
            ServiceTimes::of(&calls, 1),
            OpeningHours::new(zone.clone()),
            zone,
        ));
        let router = Arc::new(Overheard {
            pool,
            answers: Mutex::default(),
        });
        let directory = Arc::new(Directory::new());
        let location = directory.enter("AA0101").unwrap();
        let engine = Engine::builder()
            .directory(directory)
            .build(router.clone())
            .unwrap();
        Self {
            engine,
            router,
            location,
        }
    }

    /// Lets everything happen that happens by itself before `now` and at it, with these requests coming in then.
    fn at(&self, now: Timestamp, requests: Vec<InteractionRequest>) {
        let pool = &self.router.pool;
        while let Some(event) = pool.next_event().filter(|event| *event <= now) {
            pool.advance(event);
            if event < now {
                pool.connect();
            }
        }
        pool.advance(now);
        for request in requests {
            let _ = self.engine.schedule(request, now).unwrap();
        }
        while self.engine.poll(now, 1).unwrap().more {}
        pool.connect();
    }

    fn call(&self, id: u64) -> InteractionRequest {
        InteractionRequest::new(id.into(), self.location).with_payload(&b"PS"[..])
    }

    /// Due now; lifted where the wait is too long.
    fn due(&self, id: u64, now: Timestamp, threshold: Option<Duration>) -> InteractionRequest {
        let mut schedule = ScheduleData::builder().time(now);
        if let Some(threshold) = threshold {
            schedule = schedule.threshold_wait(threshold);
        }
        self.call(id).with_schedule(schedule.build().unwrap())
    }

    /// What the pool says at `now` to who asks.
    fn ask(&self, id: u64, now: Timestamp) -> Consultation {
        let never = ProcessingCondition::Any(Box::new([]));
        let schedule = ScheduleData::builder()
            .time_if(now, never)
            .time(Timestamp::from_millis(
                now.as_millis() + 400 * 24 * 3_600_000,
            ));
        self.at(
            now,
            vec![self.call(id).with_schedule(schedule.build().unwrap())],
        );
        self.router.answers.lock().unwrap().pop().unwrap()
    }

    fn ends(&self) -> Vec<End> {
        self.router.pool.finish().0
    }
}

#[test]
fn the_queue_is_by_lift_then_priority_then_arrival() {
    // One agent until the evening, busy with call 2 until ten.
    let centre = Centre::new(&[
        service("DORIT", "9:00:00", "3600"),
        service("DORIT", "20:00:00", "60"),
    ]);
    centre.at(at("09:00:00"), vec![centre.call(2)]);
    let now = at("09:30:00");
    let priority =
        |request: InteractionRequest, priority| request.with_priority(Priority(priority));
    centre.at(
        now,
        vec![
            centre.call(10),
            priority(centre.call(11), 2),
            centre.due(12, now, None),
            centre.due(13, now, Some(Duration::from_secs(120))),
            priority(centre.due(14, now, Some(Duration::from_secs(120))), 1),
            // Not lifted: the wait is no longer than this.
            centre.due(15, now, Some(Duration::from_secs(72_000))),
        ],
    );
    centre.at(at("20:00:00"), vec![]);
    let ends = centre.ends();
    let order: Vec<_> = ends.iter().map(|end| end.id).collect();
    let expected = [2, 14, 13, 11, 10, 12, 15].map(RequestId::from);
    assert_eq!(order, expected);
    let lifted: Vec<_> = ends
        .iter()
        .filter(|end| end.ahead)
        .map(|end| end.id)
        .collect();
    assert_eq!(lifted, [14, 13].map(RequestId::from));
}

#[test]
fn the_expected_wait_is_the_wait() {
    // Two agents; calls 2 to 5 take 100, 40, 50 and 30 s.
    let centre = Centre::new(&[
        service("DORIT", "9:00:00", "100"),
        service("TOVA", "9:00:00", "40"),
        service("DORIT", "9:30:00", "50"),
        service("TOVA", "9:30:00", "30"),
    ]);
    let ask = |id, time| centre.ask(id, at(time));
    // Nobody on shift yet.
    let early = ask(90, "08:00:00");
    assert_eq!(
        (early.expected_wait, early.agents_ready, early.open),
        (None, 0, true)
    );

    centre.at(at("09:00:00"), vec![]);
    assert_eq!(ask(91, "09:00:00").expected_wait, Some(Duration::ZERO));
    assert_eq!(ask(92, "09:00:00").agents_ready, 2);
    centre.at(
        at("09:00:00"),
        vec![
            centre.call(2),
            centre.call(3),
            centre.call(4),
            centre.call(5),
        ],
    );
    // TOVA: 40 s, then call 4 for 50 s; DORIT: 100 s. Call 5 is TOVA's at 90 s, DORIT is free again at 100 s.
    let full = ask(93, "09:00:10");
    assert_eq!(full.expected_wait, Some(Duration::from_secs(90)));
    assert_eq!((full.agents_ready, full.queue_length), (0, 2));
    // Who does join the queue's end then waits as long as was said.
    centre.at(at("09:00:10"), vec![centre.call(6)]);
    centre.at(at("09:20:00"), vec![]);
    let waits: Vec<_> = centre
        .ends()
        .iter()
        .map(|end| end.wait.unwrap().as_secs())
        .collect();
    assert_eq!(waits, [0, 0, 40, 90, 90]);
    // Everybody has left.
    assert_eq!(ask(94, "10:00:00").expected_wait, None);
    assert_eq!(ask(95, "23:59:59").good_for, Some(1));
}

#[test]
fn an_expected_wait_beyond_the_last_shift_is_unbounded() {
    // One agent until half past nine; call 2 takes until a quarter past, call 3 until a quarter to ten.
    let centre = Centre::new(&[
        service("DORIT", "9:00:00", "900"),
        row(&[
            ("vru_entry", "8:00:00"),
            ("ser_time", "1800"),
            ("server", "NO_SERVER"),
        ]),
        service("DORIT", "9:29:00", "60"),
    ]);
    centre.at(at("09:00:00"), vec![centre.call(2), centre.call(3)]);
    assert_eq!(centre.ask(90, at("09:01:00")).expected_wait, None);
    // And so it is: call 3 is finished after the shift, but who came after it is not served.
    centre.at(at("09:02:00"), vec![centre.call(4)]);
    centre.at(at("09:30:00"), vec![]);
    let ends = centre.ends();
    let waits: Vec<_> = ends
        .iter()
        .map(|end| end.wait.map(|wait| wait.as_secs()))
        .collect();
    assert_eq!(waits, [Some(0), Some(900), None]);
    assert!(!centre.router.pool.is_quiet());
    centre.at(at("09:45:00"), vec![]);
    assert!(centre.router.pool.is_quiet());
}

#[test]
fn the_queue_waits_for_who_still_comes_that_day() {
    let centre = Centre::new(&[
        service("DORIT", "9:00:00", "60"),
        service("TOVA", "11:00:00", "60"),
    ]);
    centre.at(at("10:00:00"), vec![centre.call(2)]);
    assert!(centre.ends().is_empty());
    centre.at(at("11:00:00"), vec![]);
    assert_eq!(centre.ends()[0].wait, Some(Duration::from_secs(3600)));
    // Nobody comes after her.
    centre.at(at("12:00:00"), vec![centre.call(3)]);
    assert_eq!(centre.ends()[0].wait, None);
}
