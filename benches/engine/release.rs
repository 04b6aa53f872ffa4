//! Release: polls, and a router that takes what comes.

// Shared by benches of which not each uses all.
#![allow(dead_code)]

use crate::centre::{BUDGET, Hand, Plan, Shared, Workload};

/// Lives between two polls, of which half end by release: so many requests fall due by each poll as do in a tick where
/// 50 thousand do in a second.
pub(crate) const LIVES_A_POLL: usize = 100;

/// What falls due is released.
pub(crate) struct Release;

impl Workload for Release {
    type Script = usize;

    fn prepare(&self, _: &mut Hand, _: &Shared, plan: Plan) -> usize {
        plan.operations
    }

    fn run(&self, shared: &Shared, operations: usize) -> usize {
        let mut released = 0;
        while released < operations {
            let now = shared.pass(LIVES_A_POLL);
            let poll = shared.engine.poll(now, BUDGET).expect("nobody polls");
            released += poll.released;
        }
        released
    }
}
