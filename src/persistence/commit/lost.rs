//! [`Lost`]: what was not known to be durable when the journal failed.

use std::collections::HashSet;

use crate::ids::RequestId;
use crate::persistence::record::Records;

/// Records that will never be written, by the requests they are of.
#[derive(Default)]
pub(super) struct Lost {
    /// Not looked into yet.
    bytes: Vec<u8>,
    ids: HashSet<RequestId>,
}

impl Lost {
    /// Notes the records of a batch.
    pub(super) fn keep(&mut self, mut bytes: Vec<u8>) {
        if self.bytes.is_empty() {
            self.bytes = bytes;
        } else {
            self.bytes.append(&mut bytes);
        }
    }

    /// Whether one of the records is of this request.
    pub(super) fn holds(&mut self, id: RequestId) -> bool {
        let bytes = std::mem::take(&mut self.bytes);
        let records = Records::new(&bytes).map_while(Result::ok);
        self.ids.extend(records.filter_map(|record| record.id()));
        self.ids.contains(&id)
    }
}
