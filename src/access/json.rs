//! [`JsonAccessPoint`]: one JSON object a request.

use super::{AccessError, AccessErrorKind, AccessPoint, Detection};
use crate::directory::Directory;
use crate::schedule::ScheduleData;
use crate::sync::Arc;

/// Upper bounds on what a [`JsonAccessPoint`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonLimits {
    /// Bytes of a whole message. Default 1 MiB.
    pub message_bytes_max: usize,
    /// Bytes of a payload, after decoding. Default 64 KiB.
    pub payload_bytes_max: usize,
    /// Processing times of a request. Default 64.
    pub times_max: usize,
    /// Media windows of a request. Default 64.
    pub windows_max: usize,
    /// Levels of one processing condition, 1 for one without others inside. Default 8; beyond
    /// [`ProcessingCondition::NESTING_MAX`](crate::ProcessingCondition::NESTING_MAX) without effect.
    pub nesting_max: usize,
    /// Conditions in one processing condition in all, itself included. Default 64.
    pub nodes_max: usize,
    /// Bytes of a customer. Default 256.
    pub customer_bytes_max: usize,
    /// Bytes of a location's name. Default 256; beyond [`Directory::NAME_BYTES_MAX`] without effect.
    pub location_bytes_max: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            payload_bytes_max: 64 << 10,
            times_max: 64,
            windows_max: 64,
            nesting_max: 8,
            nodes_max: 64,
            customer_bytes_max: 256,
            location_bytes_max: Directory::NAME_BYTES_MAX,
        }
    }
}

/// Reads requests from JSON, one object a message.
#[derive(Debug)]
pub struct JsonAccessPoint {
    directory: Arc<Directory>,
    limits: JsonLimits,
}

impl JsonAccessPoint {
    /// An access point that enters names of locations into `directory`, with the default limits.
    #[must_use]
    pub fn new(directory: Arc<Directory>) -> Self {
        Self::with_limits(directory, JsonLimits::default())
    }

    /// An access point with limits of its own.
    #[must_use]
    pub fn with_limits(directory: Arc<Directory>, limits: JsonLimits) -> Self {
        Self { directory, limits }
    }

    /// Reads a bare schedule object.
    ///
    /// # Errors
    /// As [`detect`](AccessPoint::detect); paths begin with `schedule`.
    pub fn schedule_data(&self, raw: &[u8]) -> Result<ScheduleData, AccessError> {
        let _ = (raw, &self.directory, &self.limits);
        Err(AccessError {
            kind: AccessErrorKind::Invalid,
            path: "schedule".into(),
            value: String::new(),
            expected: "".into(),
        })
    }
}

impl AccessPoint for JsonAccessPoint {
    type Error = AccessError;

    fn detect(&self, raw: &[u8]) -> Result<Detection, AccessError> {
        let _ = raw;
        Err(AccessError {
            kind: AccessErrorKind::Invalid,
            path: String::new(),
            value: String::new(),
            expected: "".into(),
        })
    }
}
