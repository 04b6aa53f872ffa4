//! The bytes of a file, in sectors that versions of it share.

use std::sync::Arc;

/// What a device writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;

pub(crate) type Sector = [u8; SECTOR_BYTES];

/// One version of a file's bytes. Cloning it copies no bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    size: u64,
    /// None where nothing was ever written, which reads as zeros.
    sectors: Arc<Vec<Option<Arc<Sector>>>>,
}

impl Content {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.set_size(bytes.len() as u64);
        content.write(0, bytes);
        content
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn sectors(&self) -> usize {
        self.sectors.len()
    }

    pub(crate) fn sector(&self, index: usize) -> Option<&Arc<Sector>> {
        self.sectors.get(index)?.as_ref()
    }

    /// None makes it one that was never written.
    pub(crate) fn set_sector(&mut self, index: usize, sector: Option<Arc<Sector>>) {
        let sectors = Arc::make_mut(&mut self.sectors);
        if sectors.len() <= index {
            sectors.resize(index + 1, None);
        }
        sectors[index] = sector;
    }

    /// Leaves all sectors there, also those behind the end, which [`trim`](Self::trim) drops.
    pub(crate) fn set_size(&mut self, size: u64) {
        self.size = size;
    }

    /// Drops what lies behind the end, so that it reads as zeros if the file grows again.
    pub(crate) fn trim(&mut self) {
        let whole = usize::try_from(self.size.div_ceil(SECTOR_BYTES as u64)).unwrap();
        let in_last = usize::try_from(self.size % SECTOR_BYTES as u64).unwrap();
        if self.sectors.len() > whole {
            Arc::make_mut(&mut self.sectors).truncate(whole);
        }
        if in_last > 0
            && let Some(last) = self.sector(whole - 1)
            && last[in_last..].iter().any(|&byte| byte != 0)
        {
            let mut cut = **last;
            cut[in_last..].fill(0);
            self.set_sector(whole - 1, Some(Arc::new(cut)));
        }
    }

    /// Reads what is there of these bytes.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let left = self.size.saturating_sub(offset);
        let bytes = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        for (index, from, within) in pieces(offset, bytes) {
            let to = &mut into[within.clone()];
            match self.sector(index) {
                Some(sector) => to.copy_from_slice(&sector[from..from + within.len()]),
                None => to.fill(0),
            }
        }
        bytes
    }

    /// Writes these bytes, and makes the file larger where they end behind its end. Answers which sectors that
    /// changed.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Vec<usize> {
        let mut changed = Vec::new();
        for (index, from, within) in pieces(offset, bytes.len()) {
            let mut sector = self.sector(index).map_or([0; SECTOR_BYTES], |old| **old);
            sector[from..from + within.len()].copy_from_slice(&bytes[within]);
            self.set_sector(index, Some(Arc::new(sector)));
            changed.push(index);
        }
        self.size = self.size.max(offset + bytes.len() as u64);
        changed
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap()];
        self.read(0, &mut bytes);
        bytes
    }
}

/// Cuts a run of bytes at the ends of sectors: for each piece the sector, where in it the piece begins, and which
/// of the run's bytes it is.
fn pieces(
    offset: u64,
    bytes: usize,
) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = usize::try_from(offset).unwrap() + done;
        let from = at % SECTOR_BYTES;
        let begin = done;
        done = bytes.min(begin + SECTOR_BYTES - from);
        (begin < bytes).then_some((at / SECTOR_BYTES, from, begin..done))
    })
}
