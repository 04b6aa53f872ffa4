//! Operations on requests one by one, and intake by batches.

use std::hint::black_box;

use duewheel::{InteractionRequest, RequestId, ScheduleData, Timestamp};
use rand::RngExt;

use crate::centre::{Hand, Plan, Shared, Workload};

/// Requests are taken in, in place of others.
pub(crate) struct Schedule;

impl Workload for Schedule {
    type Script = Vec<InteractionRequest>;

    fn prepare(&self, hand: &mut Hand, shared: &Shared, plan: Plan) -> Self::Script {
        hand.cancel(shared, plan.operations);
        (0..plan.operations)
            .map(|_| hand.request(shared, 0))
            .collect()
    }

    fn run(&self, shared: &Shared, script: Self::Script) -> usize {
        let (now, operations) = (shared.now(), script.len());
        for request in script {
            let receipt = shared.engine.schedule(request, now);
            assert!(black_box(receipt).is_ok());
        }
        operations
    }
}

/// The same by batches of so many.
pub(crate) struct ScheduleBatch(pub(crate) usize);

impl Workload for ScheduleBatch {
    type Script = Vec<Vec<InteractionRequest>>;

    fn prepare(&self, hand: &mut Hand, shared: &Shared, plan: Plan) -> Self::Script {
        hand.cancel(shared, plan.operations);
        let batches = 0..plan.operations / self.0;
        batches
            .map(|_| (0..self.0).map(|_| hand.request(shared, 0)).collect())
            .collect()
    }

    fn run(&self, shared: &Shared, script: Self::Script) -> usize {
        let (now, operations) = (shared.now(), script.len() * self.0);
        for requests in script {
            let receipts = shared.engine.schedule_batch(requests, now);
            assert!(receipts.iter().all(Result::is_ok));
        }
        operations
    }
}

/// Random requests are cancelled.
pub(crate) struct Cancel;

impl Workload for Cancel {
    type Script = Vec<RequestId>;

    fn prepare(&self, hand: &mut Hand, _: &Shared, plan: Plan) -> Self::Script {
        (0..plan.operations).map(|_| hand.victim().id).collect()
    }

    fn run(&self, shared: &Shared, script: Self::Script) -> usize {
        let now = shared.now();
        for &id in &script {
            let cancelled = shared.engine.cancel(id, now);
            assert!(black_box(cancelled).is_ok());
        }
        script.len()
    }
}

/// Random requests get another time in the next 24 hours.
pub(crate) struct Reschedule;

impl Workload for Reschedule {
    type Script = Vec<(RequestId, ScheduleData)>;

    fn prepare(&self, hand: &mut Hand, shared: &Shared, plan: Plan) -> Self::Script {
        let script = (0..plan.operations).map(|_| {
            let place = hand.random.random_range(0..hand.pending.len());
            let due = hand.draw_due(shared, 0);
            hand.pending[place].due = due;
            let schedule = ScheduleData::at(Timestamp::from_millis(due));
            (hand.pending[place].id, schedule)
        });
        script.collect()
    }

    fn run(&self, shared: &Shared, script: Self::Script) -> usize {
        let (now, operations) = (shared.now(), script.len());
        for (id, schedule) in script {
            let receipt = shared.engine.reschedule(id, schedule, None, now);
            assert!(black_box(receipt).is_ok());
        }
        operations
    }
}

/// Random requests are asked after.
pub(crate) struct Status;

impl Workload for Status {
    type Script = Vec<RequestId>;

    fn prepare(&self, hand: &mut Hand, _: &Shared, plan: Plan) -> Self::Script {
        let script = (0..plan.operations).map(|_| {
            let place = hand.random.random_range(0..hand.pending.len());
            hand.pending[place].id
        });
        script.collect()
    }

    fn run(&self, shared: &Shared, script: Self::Script) -> usize {
        for &id in &script {
            let status = shared.engine.status(id);
            assert!(black_box(status).is_some());
        }
        script.len()
    }
}
