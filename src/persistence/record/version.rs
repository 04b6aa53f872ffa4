//! The version of the records' format, and the one place where an older one is read.
//!
//! Whoever keeps records keeps [`RECORD_VERSION`] beside them, in the head of a file or of a message, checks what is
//! read there by [`check_version`], and hands records on in their [`current_form`]. The engine sees no other.

use std::borrow::Cow;

use crate::persistence::error::StoreError;

/// The version that is written. It grows whenever bytes are to be read otherwise than before, and so also when a
/// default of schedule data changes, as a plain schedule is stored as its time alone.
pub(crate) const RECORD_VERSION: u16 = 1;

/// The oldest version that is read: the one before [`RECORD_VERSION`], once there is one.
const RECORD_VERSION_OLDEST: u16 = 1;

/// Whether records of this version are read; `what` has the version.
///
/// # Errors
/// [`StoreError::Mismatch`] where they are not.
pub(crate) fn check_version(what: impl Into<String>, version: u16) -> Result<(), StoreError> {
    if (RECORD_VERSION_OLDEST..=RECORD_VERSION).contains(&version) {
        return Ok(());
    }
    Err(StoreError::Mismatch {
        what: what.into(),
        found: format!("records of format {version}"),
        expected: match RECORD_VERSION {
            RECORD_VERSION_OLDEST => format!("format {RECORD_VERSION}"),
            _ => format!("format {RECORD_VERSION_OLDEST} or {RECORD_VERSION}"),
        },
    })
}

/// The records of a version that was checked, as today's. Nothing is copied where they are today's.
///
/// The version before this one is translated here, record by record: there is none before the first.
pub(crate) fn current_form(version: u16, records: &[u8]) -> Cow<'_, [u8]> {
    debug_assert!(check_version("records", version).is_ok());
    Cow::Borrowed(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_version_is_read_and_no_later_one() {
        assert!(check_version("a segment", RECORD_VERSION).is_ok());
        for version in [0, RECORD_VERSION + 1, u16::MAX] {
            let error = check_version("a segment", version).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("a segment: found records of format {version}: expected format 1")
            );
        }
        assert!(matches!(
            current_form(RECORD_VERSION, b"records"),
            Cow::Borrowed(b"records")
        ));
    }
}
