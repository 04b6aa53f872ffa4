//! [`AccessError`]: what is wrong with a message, where, and what was expected.

use std::borrow::Cow;

/// What is wrong with a message: the field's path, its value, and what was expected.
///
/// Printed as `schedule.times[1].at: "2026-01-05T09:00:00Z": expected a time after ...`. The value is
/// quoted as it stands in the message, cut where it is long. Nothing of a customer or a payload is ever
/// repeated: of these, and of a field beside them that requests do not have, which may be one of them
/// misspelt, only the kind is said (`a string`). An unknown field inside the schedule is quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {value}: expected {expected}", if path.is_empty() { "message" } else { path.as_str() })]
pub struct AccessError {
    pub(super) kind: AccessErrorKind,
    pub(super) path: String,
    pub(super) value: String,
    pub(super) expected: Cow<'static, str>,
}

/// The two ways in which a message can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccessErrorKind {
    /// It is not in the access point's language at all: no UTF-8, no JSON, something behind the object,
    /// nested beyond reason.
    Syntax,
    /// It is, but says something that is no valid request.
    Invalid,
}

impl AccessError {
    /// The path of the field, such as `schedule.times[1].at`; empty for the whole message.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value found there: JSON text, cut where it is long, or its kind in words.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What was expected instead.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// In which way the message is wrong.
    #[must_use]
    pub fn kind(&self) -> AccessErrorKind {
        self.kind
    }
}
