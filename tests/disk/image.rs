//! What is on a medium when nobody uses it: taken from a disk, changed at will, and made a disk again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::content::{Content, SECTOR_BYTES};
use crate::dice::Dice;

/// The files of a disk. Cloning it copies no bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct DiskImage {
    files: BTreeMap<Arc<str>, Content>,
}

impl DiskImage {
    pub(super) fn of(files: BTreeMap<Arc<str>, Content>) -> Self {
        Self { files }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&Arc<str>, &Content)> {
        self.files.iter()
    }

    fn file(&mut self, name: &str) -> &mut Content {
        let file = self.files.get_mut(name);
        file.unwrap_or_else(|| panic!("there is no file {name}"))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|name| &**name)
    }

    /// Those that begin so.
    pub(crate) fn names_of(&self, kind: &str) -> Vec<String> {
        let of_kind = self.names().filter(|name| name.starts_with(kind));
        of_kind.map(str::to_owned).collect()
    }

    pub(crate) fn size(&self, name: &str) -> u64 {
        self.files[name].size()
    }

    /// Sectors of a file, the last perhaps a part of one.
    pub(crate) fn sectors(&self, name: &str) -> u64 {
        self.size(name).div_ceil(SECTOR_BYTES as u64)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        self.files[name].bytes()
    }

    pub(crate) fn set(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.into(), Content::of(bytes));
    }

    /// Inverts these bits of a byte.
    pub(crate) fn flip(&mut self, name: &str, offset: u64, bits: u8) {
        let file = self.file(name);
        assert!(offset < file.size(), "{name} has no byte {offset}");
        let mut byte = [0];
        file.read(offset, &mut byte);
        file.write(offset, &[byte[0] ^ bits]);
    }

    /// Flips one bit of one file somewhere, and says where. Nothing where all files are empty.
    pub(crate) fn flip_any(&mut self, dice: &mut Dice) -> Option<(String, u64)> {
        let filled = self.files.iter().filter(|(_, file)| file.size() > 0);
        let filled = filled.map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if filled.is_empty() {
            return None;
        }
        let name = &filled[usize::try_from(dice.below(filled.len() as u64)).unwrap()];
        let offset = dice.below(self.size(name));
        self.flip(name, offset, 1 << dice.below(8));
        Some((name.to_string(), offset))
    }

    pub(crate) fn zero_sector(&mut self, name: &str, index: u64) {
        let file = self.file(name);
        file.set_sector(usize::try_from(index).unwrap(), None);
    }

    /// Puts a copy of one sector in the place of another of the same file.
    pub(crate) fn copy_sector(&mut self, name: &str, from: u64, to: u64) {
        let file = self.file(name);
        let sector = file.sector(usize::try_from(from).unwrap()).cloned();
        file.set_sector(usize::try_from(to).unwrap(), sector);
        file.trim();
    }

    pub(crate) fn truncate(&mut self, name: &str, size: u64) {
        let file = self.file(name);
        assert!(size <= file.size(), "{name} is smaller than {size} bytes");
        file.set_size(size);
        file.trim();
    }

    pub(crate) fn remove(&mut self, name: &str) {
        let file = self.files.remove(name);
        assert!(file.is_some(), "there is no file {name}");
    }

    pub(crate) fn swap(&mut self, one: &str, other: &str) {
        let first = self.file(one).clone();
        let second = std::mem::replace(self.file(other), first);
        *self.file(one) = second;
    }
}
