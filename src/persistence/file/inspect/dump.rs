//! Dump: every record of a store, in order, and what is damaged where it stands.

use serde::Serialize;

use super::{StoreInspector, as_damage};
use crate::persistence::error::{Damage, StoreError};
use crate::persistence::file::journal::inspect::{Event, inspect};
use crate::persistence::file::manifest;
use crate::persistence::file::names::FileName;
use crate::persistence::file::snapshots::manifest_numbers;
use crate::persistence::journal::{Lsn, TornTail};
use crate::persistence::record::RecordView;
use crate::persistence::snapshots::SnapshotStore;

/// One thing that a dump shows.
///
/// # Serde
/// A flat object: `from` says which of them it is, `snapshot`, `journal`, `damaged` or `torn`; then come its fields, and
/// for the first two those of [`RecordView`].
#[derive(Debug, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DumpItem<'a> {
    /// A record of the newest snapshot.
    Snapshot {
        /// The chunk.
        file: &'a str,
        /// The number of the stream's last record when this was seen.
        as_of: Lsn,
        /// The record.
        #[serde(flatten)]
        record: RecordView<'a>,
    },
    /// A record of the journal.
    Journal {
        /// The segment.
        file: &'a str,
        /// Where its frame begins.
        offset: u64,
        /// The epoch of its writer. (The record of an opening has one of its own.)
        #[serde(rename = "frame_epoch")]
        epoch: u32,
        /// The record.
        #[serde(flatten)]
        record: RecordView<'a>,
    },
    /// Something that is damaged; records may be missing here.
    Damaged(&'a Damage),
    /// What was written at the journal's end and never made durable.
    Torn(&'a TornTail),
}

impl StoreInspector {
    /// Shows every record: of the newest snapshot whose manifest can be read, where `snapshot` is set, and then of the
    /// journal, in order of their numbers. What is damaged is shown where it stands, but that what is wrong with a
    /// segment as a whole comes before its records.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be told what there is. What is wrong with a file is shown.
    pub fn dump(
        &self,
        snapshot: bool,
        visit: &mut dyn FnMut(&DumpItem<'_>),
    ) -> Result<(), StoreError> {
        if snapshot {
            self.dump_snapshot(visit)?;
        }
        inspect(&*self.disk, self.uuid, &mut |event| match event {
            Event::Bound { .. } => {}
            Event::Frame { at, frame, .. } => {
                let file = FileName::Journal(at.0).to_string();
                for record in frame.views() {
                    match record {
                        Ok(record) => visit(&DumpItem::Journal {
                            file: &file,
                            offset: at.1,
                            epoch: frame.epoch,
                            record,
                        }),
                        Err(error) => show(error, &file, visit),
                    }
                }
            }
            Event::Damage { damage, .. } => visit(&DumpItem::Damaged(damage)),
            Event::Torn { tail, .. } => visit(&DumpItem::Torn(tail)),
        })
        .map(drop)
    }

    fn dump_snapshot(&self, visit: &mut dyn FnMut(&DumpItem<'_>)) -> Result<(), StoreError> {
        let numbers = manifest_numbers(&*self.disk)?;
        for number in numbers {
            let manifest = match manifest::read(&*self.disk, self.uuid, number) {
                Ok(manifest) => manifest,
                Err(error) => {
                    show(error, &FileName::Manifest(number).to_string(), visit);
                    continue;
                }
            };
            for chunk in &manifest.chunks {
                let file = FileName::Chunk(chunk.number).to_string();
                let read = self.snapshots.read(chunk, &mut |block| {
                    for record in block.views() {
                        match record {
                            Ok(record) => visit(&DumpItem::Snapshot {
                                file: &file,
                                as_of: block.as_of,
                                record,
                            }),
                            Err(error) => show(error, &file, visit),
                        }
                    }
                    Ok(())
                });
                if let Err(error) = read {
                    show(error, &file, visit);
                }
            }
            break;
        }
        Ok(())
    }
}

/// Shows what is wrong with a file.
fn show(error: StoreError, file: &str, visit: &mut dyn FnMut(&DumpItem<'_>)) {
    let damage = match as_damage(error, file) {
        Ok((damage, _)) => damage,
        Err(error) => Damage {
            place: file.to_owned(),
            offset: 0,
            found: error.to_string(),
            expected: "what was written".to_owned(),
        },
    };
    visit(&DumpItem::Damaged(&damage));
}
