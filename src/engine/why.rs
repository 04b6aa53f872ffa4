//! Why a request ended, where there is more to say than its outcome.

use crate::sync::Arc;

/// A rule of the engine's own that ended a request or failed its attempt. The texts are part of what
/// [`status`](crate::Engine::status) and the report say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Rule {
    NotAfter,
    Missed,
    Exhausted,
    Busy,
    Lease,
    Panic,
    Location,
}

impl Rule {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NotAfter => "not_after",
            Self::Missed => "missed",
            Self::Exhausted => "exhausted",
            Self::Busy => "busy",
            Self::Lease => "lease_ran_out",
            Self::Panic => "router_panicked",
            Self::Location => "location_cancelled",
        }
    }
}

/// The reason of an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// The outcome says it all.
    Plain,
    /// A rule of the engine's.
    Rule(Rule),
    /// The router's words.
    Told(Arc<str>),
}

impl Why {
    /// One of finitely many names: what a router says is not among them.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Plain => "none",
            Self::Rule(rule) => rule.as_str(),
            Self::Told(_) => "router",
        }
    }

    /// The reason as the public forms have it. Allocates for a rule.
    pub(super) fn text(&self) -> Option<Arc<str>> {
        match self {
            Self::Plain => None,
            Self::Rule(rule) => Some(Arc::from(rule.as_str())),
            Self::Told(words) => Some(Arc::clone(words)),
        }
    }
}
