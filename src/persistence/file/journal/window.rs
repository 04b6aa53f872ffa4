//! [`Window`]: a file, read in large pieces.

use super::sectors::{SECTOR, is_blank};
use crate::persistence::disk::{Disk, DiskFile, OpenMode};
use crate::persistence::error::StoreError;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// A file, and a piece of it in memory.
pub(super) struct Window {
    name: String,
    file: Box<dyn DiskFile>,
    size: u64,
    start: u64,
    piece: Vec<u8>,
}

impl Window {
    /// Opens a file of the directory.
    pub(super) fn open(disk: &dyn Disk, name: String) -> Result<Self, StoreError> {
        let failed = |error| StoreError::from_io(format!("read {name} in {}", disk.place()), error);
        let file = disk.open(&name, OpenMode::Read).map_err(failed)?;
        let size = file.size().map_err(failed)?;
        Ok(Self {
            name,
            file,
            size,
            start: 0,
            piece: Vec::new(),
        })
    }

    /// The file's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The file's bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Some whole sectors from this one on, as many as are at hand; nothing where the file has no whole sector there.
    /// Offsets are those of sectors.
    pub(super) fn sectors(&mut self, offset: u64) -> Result<&[u8], StoreError> {
        let held = self.start..self.start + self.piece.len() as u64;
        if !held.contains(&offset) {
            let left = self.size.saturating_sub(offset);
            let bytes = left.min(PIECE as u64) as usize / SECTOR * SECTOR;
            self.piece.resize(bytes, 0);
            self.start = offset;
            let read = self.file.read_all_at(offset, &mut self.piece);
            let read = read.map_err(|error| {
                self.piece.clear();
                StoreError::from_io(format!("read {} at byte {offset}", self.name), error)
            })?;
            self.piece.truncate(read / SECTOR * SECTOR);
        }
        Ok(&self.piece[(offset - self.start) as usize..])
    }

    /// The sector at this offset; shorter, and empty, where the file has ended.
    pub(super) fn sector(&mut self, offset: u64) -> Result<&[u8], StoreError> {
        let sectors = self.sectors(offset)?;
        Ok(&sectors[..sectors.len().min(SECTOR)])
    }

    /// The first sectors of the file alone, whatever their number, without a whole piece of it.
    pub(super) fn head(&self, into: &mut [u8]) -> Result<usize, StoreError> {
        self.file
            .read_all_at(0, into)
            .map_err(|error| StoreError::from_io(format!("read {}", self.name), error))
    }

    /// Where the last byte ends that is not zero; `None` where there is none from here on.
    pub(super) fn end_of_written(&mut self, from: u64) -> Result<Option<u64>, StoreError> {
        let mut end = None;
        let mut offset = from;
        loop {
            let sectors = self.sectors(offset)?;
            if sectors.is_empty() {
                return Ok(end);
            }
            // Nearly always there is nothing at all.
            if !is_blank(sectors) {
                let last = sectors.iter().rposition(|byte| *byte != 0);
                end = last.map(|last| offset + last as u64 + 1);
            }
            offset += sectors.len() as u64;
        }
    }
}
