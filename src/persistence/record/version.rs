//! The version of the records' format.
//!
//! Whoever keeps records keeps [`RECORD_VERSION`] beside them, in the head of a file or of a message, and checks what is
//! read there by [`check_version`]. The version before the current one is to be translated here, record by record,
//! before anybody decodes it; so far there is none.

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
    }
}
