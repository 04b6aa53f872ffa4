//! Why a request ended, where there is more to say than its outcome.

use crate::sync::Arc;

/// A rule of the engine's own that ended a request or failed its attempt. The texts are part of what
/// `Engine::status` and the report say; the numbers are part of what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Rule {
    NotAfter = 1,
    Missed = 2,
    Exhausted = 3,
    Busy = 4,
    Lease = 5,
    Panic = 6,
    Location = 7,
    /// Its lifespan ended while it was at the router and nobody could hear how that went.
    InDoubt = 8,
}

impl Rule {
    const ALL: [Self; 8] = [
        Self::NotAfter,
        Self::Missed,
        Self::Exhausted,
        Self::Busy,
        Self::Lease,
        Self::Panic,
        Self::Location,
        Self::InDoubt,
    ];

    /// The rule that is stored as this number.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&rule| rule as u8 == code)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotAfter => "not_after",
            Self::Missed => "missed",
            Self::Exhausted => "exhausted",
            Self::Busy => "busy",
            Self::Lease => "lease_ran_out",
            Self::Panic => "router_panicked",
            Self::Location => "location_cancelled",
            Self::InDoubt => "in_doubt",
        }
    }
}

/// The reason of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Why {
    /// The outcome says it all.
    Plain,
    /// A rule of the engine's.
    Rule(Rule),
    /// The router's words.
    Told(Arc<str>),
}

impl Why {
    /// One of finitely many names: what a router says is not among them.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Rule(rule) => rule.as_str(),
            Self::Told(_) => "router",
        }
    }

    /// The reason as the public forms have it. Allocates for a rule.
    pub(crate) fn text(&self) -> Option<Arc<str>> {
        match self {
            Self::Plain => None,
            Self::Rule(rule) => Some(Arc::from(rule.as_str())),
            Self::Told(words) => Some(Arc::clone(words)),
        }
    }
}
