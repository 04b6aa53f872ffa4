//! What a life costs: scheduled, released, routed. To be run without the features `tracing` and `metrics`, with
//! them, and at a commit before either was there.
//!
//! ```text
//! cargo bench --bench telemetry
//! cargo bench --bench telemetry --features tracing,metrics
//! ```
//!
//! Nobody subscribes or records, as in a build that has the features for another crate's sake.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use duewheel::{
    Consultation, Disposition, DueRequest, Engine, InteractionRequest, Router, RoutingCommand,
    ScheduleData, Timestamp,
};

/// Lives in one measurement, all due at one tick.
const LIVES: u64 = 1_000;

struct Desk;

impl Router for Desk {
    fn consult(&self, _: &DueRequest) -> Consultation {
        Consultation::default()
    }

    fn route(&self, command: RoutingCommand) -> Disposition {
        black_box(command);
        Disposition::Routed
    }
}

fn lives(criterion: &mut Criterion) {
    let features = match (cfg!(feature = "tracing"), cfg!(feature = "metrics")) {
        (false, false) => "off",
        (true, false) => "tracing",
        (false, true) => "metrics",
        (true, true) => "tracing and metrics",
    };
    let mut group = criterion.benchmark_group("telemetry");
    group.throughput(Throughput::Elements(LIVES));
    group.bench_function(format!("life/{features}"), |bencher| {
        let engine = Engine::builder()
            .remember(std::time::Duration::ZERO, 0)
            .build(std::sync::Arc::new(Desk))
            .expect("settings in range");
        let here = engine.directory().enter("AA0101").expect("a name");
        let mut now = 1_000_000_u64;
        let mut id = 0_u64;
        bencher.iter(|| {
            let due = Timestamp::from_millis(now + 1);
            for _ in 0..LIVES {
                id += 1;
                let request = InteractionRequest::new(id.into(), here);
                let request = request.with_schedule(ScheduleData::at(due));
                let taken = engine.schedule(request, Timestamp::from_millis(now));
                assert!(black_box(taken).is_ok());
            }
            now += 1;
            let poll = engine.poll(due, usize::MAX).expect("nobody else polls");
            assert_eq!(poll.released as u64, LIVES);
        });
    });
    group.finish();
}

criterion_group!(benches, lives);
criterion_main!(benches);
