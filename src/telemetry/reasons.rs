//! Reasons as one of finitely many names.

use crate::lifecycle::Outcome;

/// The reasons that the engine itself gives. What a router says is not among the labels, because there is no end
/// to it.
const REASONS: [&str; 7] = [
    "not_after",
    "missed",
    "exhausted",
    "busy",
    "lease_ran_out",
    "router_panicked",
    "location_cancelled",
];

/// The name of a reason among finitely many.
pub(crate) fn reason_kind(outcome: Outcome, why: Option<&str>) -> &'static str {
    let Some(why) = why else {
        return "none";
    };
    if outcome == Outcome::Rejected {
        return "router";
    }
    let known = REASONS.iter().find(|&&reason| reason == why);
    known.copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_router_says_is_no_kind_of_reason() {
        let kind = reason_kind(Outcome::Rejected, Some("Mrs Smith, 555-0100"));
        assert_eq!(kind, "router");
        assert_eq!(reason_kind(Outcome::Rejected, Some("busy")), "router");
        assert_eq!(reason_kind(Outcome::DeadLettered, Some("busy")), "busy");
        assert_eq!(reason_kind(Outcome::Expired, Some("of late")), "other");
        assert_eq!(reason_kind(Outcome::Routed, None), "none");
    }
}
