//! [`ScheduleDataError`]: which field of schedule data is wrong, and why.

use std::borrow::Cow;
use std::fmt;

/// What is wrong with schedule data: the field, its value, and what was expected.
///
/// Printed as `times[1].at: 2026-01-05T09:00:00Z: expected a time after times[0].at (2026-01-05T10:00:00Z)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {value}: expected {expected}")]
pub struct ScheduleDataError {
    path: Cow<'static, str>,
    value: String,
    expected: Cow<'static, str>,
}

impl ScheduleDataError {
    #[cold]
    pub(super) fn new(
        path: impl Into<Cow<'static, str>>,
        value: impl fmt::Display,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            path: path.into(),
            value: value.to_string(),
            expected: expected.into(),
        }
    }

    /// The field, by its place in the JSON form: `times[1].at`, `response_media[0].until`, `retry.max`, ...
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value at fault.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What was expected instead.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }
}
