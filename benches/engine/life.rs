//! Full lives: requests come, and go by cancel or by release.

// Shared by benches of which not each uses all.
#![allow(dead_code)]

use duewheel::{Engine, InteractionRequest, RequestId, Timestamp};

use crate::centre::{BUDGET, Hand, Plan, Shared, Workload};
use crate::release::LIVES_A_POLL;

/// Requests in a batch.
const BATCH: usize = 256;

/// By batches: one is taken in, half as many are cancelled, and a poll releases what fell due meanwhile.
pub(crate) struct Batches {
    laden: bool,
}

impl Batches {
    /// Requests without payload and customer.
    pub(crate) const BARE: Self = Self { laden: false };

    /// With a payload and a customer of their own, made beforehand and dropped by who ends the request.
    pub(crate) const LADEN: Self = Self { laden: true };

    fn request(&self, hand: &mut Hand, shared: &Shared, lives: usize) -> InteractionRequest {
        let request = hand.request(shared, lives);
        if self.laden {
            let number = request.id.value() as u64;
            let customer = format!("{number:010}");
            request.with_payload([7; 128]).with_customer(customer)
        } else {
            request
        }
    }
}

/// Those who come, and those who are cancelled.
pub(crate) struct Coming {
    requests: Vec<InteractionRequest>,
    victims: Vec<RequestId>,
}

impl Workload for Batches {
    type Script = Vec<Coming>;

    fn prepare(&self, hand: &mut Hand, shared: &Shared, plan: Plan) -> Self::Script {
        let batches = (0..plan.operations).step_by(BATCH).map(|lives| {
            let lives = lives * plan.threads;
            Coming {
                // First, so that nobody is cancelled before it is taken in.
                victims: hand.victims(shared, BATCH / 2, lives),
                requests: (0..BATCH)
                    .map(|_| self.request(hand, shared, lives))
                    .collect(),
            }
        });
        batches.collect()
    }

    fn run(&self, shared: &Shared, script: Self::Script) -> usize {
        let engine = &shared.engine;
        let (mut begun, mut ended) = (0, 0);
        for Coming { requests, victims } in script {
            let now = shared.now();
            let receipts = engine.schedule_batch(requests, now);
            assert!(receipts.iter().all(Result::is_ok));
            begun += receipts.len();
            ended += cancel(engine, &victims, now);
            ended += release(shared, BATCH);
        }
        // Where there is a steady population on average, a few more may come than go, or the reverse.
        (begun + ended) / 2
    }
}

/// By single calls, and a poll now and then.
pub(crate) struct Singly;

impl Workload for Singly {
    type Script = Vec<Coming>;

    fn prepare(&self, hand: &mut Hand, shared: &Shared, plan: Plan) -> Self::Script {
        Batches::BARE.prepare(hand, shared, plan)
    }

    fn run(&self, shared: &Shared, script: Self::Script) -> usize {
        let engine = &shared.engine;
        let (mut begun, mut ended) = (0, 0);
        let mut since_poll = 0;
        for Coming { requests, victims } in script {
            let mut victims = victims.into_iter();
            for request in requests {
                let now = shared.now();
                let receipt = engine.schedule(request, now);
                assert!(receipt.is_ok());
                begun += 1;
                if begun % 2 == 0 {
                    let victim = victims.next().expect("half as many victims");
                    ended += usize::from(engine.cancel(victim, now).is_ok());
                }
                since_poll += 1;
                if since_poll == LIVES_A_POLL {
                    ended += release(shared, since_poll);
                    since_poll = 0;
                }
            }
        }
        ended += release(shared, since_poll);
        // Where there is a steady population on average, a few more may come than go, or the reverse.
        (begun + ended) / 2
    }
}

/// Cancels a batch, and says how many were still pending.
fn cancel(engine: &Engine, victims: &[RequestId], now: Timestamp) -> usize {
    let cancelled = engine.cancel_batch(victims, now);
    cancelled.iter().filter(|answer| answer.is_ok()).count()
}

/// Releases what falls due while so many lives go by. Who finds another polling leaves it to that one.
fn release(shared: &Shared, lives: usize) -> usize {
    let now = shared.pass(lives);
    shared
        .engine
        .poll(now, BUDGET)
        .map_or(0, |poll| poll.released)
}
