//! When nothing polled: what "missed" is judged on.
//!
//! A processing time is missed if no poll ran between it and its grace period's end. A poll that ran in
//! that span but had no budget left for the request still ran: waiting for a budget is not being missed.
//! So the spans without a poll are kept until every request that fell due in them was seen.

use std::time::Duration;

use crate::ids::Timestamp;

/// Gaps kept at most. They are dropped as soon as a poll has moved all that is due, so that more than
/// one is kept only while a backlog lasts; past the bound the oldest two become one, which can only call
/// a request missed that a short poll between them had just not reached.
const GAPS_MAX: usize = 64;

/// Spans without a poll, open at both ends, oldest first.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    last_poll: Option<Timestamp>,
    gaps: Vec<(Option<Timestamp>, Timestamp)>,
}

impl Gaps {
    /// Where the last poll was before the engine was recovered, as far as its store tells.
    pub(super) fn after(last_poll: Option<Timestamp>) -> Self {
        Self {
            last_poll,
            gaps: Vec::new(),
        }
    }

    /// A poll begins. Says whether the clock has stepped back since the last one. O(1).
    pub(super) fn polled(&mut self, now: Timestamp, grace: Duration) -> bool {
        let since = self.last_poll.replace(now);
        let stepped_back = since.is_some_and(|since| now < since);
        if stepped_back {
            // What was a gap by the clock as it was is none by the clock as it is.
            self.gaps.clear();
        }
        let wide = since.is_none_or(|since| now.saturating_duration_since(since) > grace);
        if wide {
            self.gaps.push((since, now));
        }
        if self.gaps.len() > GAPS_MAX {
            let (_, until) = self.gaps.remove(1);
            self.gaps[0].1 = self.gaps[0].1.max(until);
        }
        stepped_back
    }

    /// All that is due was seen: no gap so far matters any more.
    pub(super) fn caught_up(&mut self) {
        self.gaps.clear();
    }

    /// Whether no poll ran from `due` to `due` + `grace`, both included.
    pub(super) fn cover(&self, due: Timestamp, grace: Duration) -> bool {
        let graced = due.saturating_add(grace);
        self.gaps
            .iter()
            .any(|&(since, until)| since.is_none_or(|since| since < due) && graced < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_millis(60);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_gap_wider_than_the_grace_covers_what_fell_due_in_it() {
        let mut gaps = Gaps::default();
        gaps.polled(at(1_000), GRACE);
        gaps.caught_up();
        gaps.polled(at(1_060), GRACE);
        assert!(!gaps.cover(at(1_001), GRACE), "polled within the grace");
        gaps.polled(at(1_200), GRACE);
        assert!(!gaps.cover(at(1_060), GRACE), "polled right at the time");
        assert!(gaps.cover(at(1_061), GRACE));
        assert!(gaps.cover(at(1_139), GRACE));
        assert!(!gaps.cover(at(1_140), GRACE), "polled at the grace's end");
    }

    #[test]
    fn waiting_for_a_budget_is_not_being_missed() {
        let mut gaps = Gaps::default();
        for now in [1_000, 1_050, 1_100, 1_150, 1_200] {
            gaps.polled(at(now), GRACE);
        }
        assert!(!gaps.cover(at(1_010), GRACE));
    }

    #[test]
    fn the_first_poll_ends_a_gap_without_a_beginning() {
        let mut gaps = Gaps::default();
        gaps.polled(at(1_000), GRACE);
        assert!(gaps.cover(at(0), GRACE));
        assert!(!gaps.cover(at(999), GRACE));
    }

    #[test]
    fn a_step_back_forgets_the_gaps_of_the_former_clock() {
        let mut gaps = Gaps::default();
        assert!(!gaps.polled(at(5_000), GRACE));
        assert!(gaps.cover(at(1_000), GRACE));
        assert!(gaps.polled(at(4_000), GRACE));
        assert!(!gaps.cover(at(1_000), GRACE));
    }

    #[test]
    fn the_number_of_gaps_is_bounded() {
        let mut gaps = Gaps::default();
        for n in 0..1_000 {
            gaps.polled(at(n * 1_000), GRACE);
        }
        assert!(gaps.gaps.len() <= GAPS_MAX);
        assert!(gaps.cover(at(500), GRACE), "the oldest is merged, not lost");
    }
}
