//! The survey: which segments there are, what each says it follows on, and which of them are to be read.
//!
//! The *last* segment is the newest whose binding can be read; the one behind it was made ahead and holds nothing. It is
//! made when the last one was bound, and not before: so it is a witness of that, should the last one be lost.
//! From there the survey goes back, each segment following on the one before it, to the first whose binding says that
//! all records before it are in the snapshots: what stands before that is waiting to be dropped, and not looked at.

use std::collections::BTreeMap;

use super::sectors::{SECTOR, Seal};
use super::segment::{self, BINDING, Binding, FORMAT, FRAMES, Head, Header};
use super::window::Window;
use crate::persistence::disk::Disk;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Lsn, Positions};
use crate::persistence::record::check_version;

/// The segments of a journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// All of them, with their bytes.
    pub(super) sizes: BTreeMap<u64, u64>,
    /// Those to be read, in order; the last is the last that was ever written. Empty where none was.
    pub(super) bound: Vec<Bound>,
    /// The one behind, made ahead: nothing was written to it.
    pub(super) unused: Option<u64>,
}

/// A segment that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) number: u64,
    pub(super) binding: Binding,
}

/// What the directory says of one segment.
pub(super) struct Sight {
    pub(super) window: Window,
    pub(super) header: Head<Header>,
    pub(super) binding: Head<Binding>,
}

/// Looks at the segments of a store, for the records behind these positions.
pub(super) fn survey(disk: &dyn Disk, store: u128, from: &Positions) -> Result<Survey, StoreError> {
    let mut found = Survey::default();
    let numbers = numbers(disk)?;
    let floor = from.floor();
    for (place, number) in numbers.iter().copied().enumerate().rev() {
        let sight = sight(disk, store, number)?;
        found.sizes.insert(number, sight.window.size());
        let reached = found
            .bound
            .last()
            .is_some_and(|bound| bound.binding.follows.last <= floor);
        if reached {
            continue;
        }
        if let Some(behind) = numbers.get(place + 1)
            && number.checked_add(1) != Some(*behind)
        {
            return Err(missing(*behind, number.saturating_add(1)));
        }
        found.take(sight, store, number)?;
    }
    found.bound.reverse();
    found.check_begin(from)?;
    Ok(found)
}

/// The numbers of all segments, in order.
pub(super) fn numbers(disk: &dyn Disk) -> Result<Vec<u64>, StoreError> {
    let names = disk
        .list()
        .map_err(|error| StoreError::from_io(format!("list {}", disk.place()), error))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::number(name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Looks at the head of a segment.
pub(super) fn sight(disk: &dyn Disk, store: u128, number: u64) -> Result<Sight, StoreError> {
    let window = Window::open(disk, segment::name(number))?;
    let mut head = [0; FRAMES as usize];
    let read = window.head(&mut head)?;
    let (header, binding) = head[..read].split_at(read.min(SECTOR));
    Ok(Sight {
        header: Header::read(header),
        binding: Binding::read(binding, Seal::of(store, number)),
        window,
    })
}

impl Survey {
    /// Takes the segment in front of those taken so far.
    fn take(&mut self, sight: Sight, store: u128, number: u64) -> Result<(), StoreError> {
        let Sight {
            mut window,
            header,
            binding,
        } = sight;
        let place = segment::name(number);
        if let Head::Whole(header) = header {
            check_header(&header, store, number, &place)?;
        }
        let binding = match binding {
            Head::Whole(binding) => binding,
            _ if !self.bound.is_empty() || self.unused.is_some() => {
                return Err(unbound(&place, "there is another one behind it"));
            }
            // Made ahead, and perhaps torn at that: as long as nothing was ever written to it, all is well.
            _ => {
                if window.end_of_written(FRAMES)?.is_some() {
                    return Err(unbound(&place, "there are frames in it"));
                }
                self.unused = Some(number);
                return Ok(());
            }
        };
        if !matches!(header, Head::Whole(_)) {
            return Err(headless(&place));
        }
        let bytes = window.size();
        check_size(&binding, self.bound.last(), bytes, &place)?;
        if let Some(behind) = self.bound.last()
            && behind.binding.epoch < binding.epoch
        {
            let found = format!("epoch {}", binding.epoch);
            let expected = format!("at most that of the next segment, {}", behind.binding.epoch);
            return Err(StoreError::damaged(place, BINDING, found, expected));
        }
        self.bound.push(Bound { number, binding });
        Ok(())
    }

    /// Whether the records behind these positions are all there.
    fn check_begin(&self, from: &Positions) -> Result<(), StoreError> {
        let floor = from.floor();
        let Some(first) = self.bound.first() else {
            let known = from.0.iter().copied().max().unwrap_or_default();
            return match self.unused {
                Some(number) if number != 1 => Err(missing(number, 1)),
                _ if known > Lsn(0) => Err(StoreError::damaged(
                    segment::name(1),
                    0,
                    "no segment that was ever written to",
                    format!("the records up to {known}, of which snapshots know"),
                )),
                _ => Ok(()),
            };
        };
        let follows = first.binding.follows.last;
        if follows > floor {
            return Err(StoreError::damaged(
                segment::name(first.number),
                BINDING,
                format!("that the journal begins behind record {follows}"),
                format!("the records behind {floor}, up to which snapshots know all"),
            ));
        }
        Ok(())
    }
}

/// Whether the segment is this store's, of this number, and in a form known here.
pub(super) fn check_header(
    header: &Header,
    store: u128,
    number: u64,
    place: &str,
) -> Result<(), StoreError> {
    let mismatch = |what: &str, found: String, expected: String| {
        Err(StoreError::Mismatch {
            what: format!("{place}: {what}"),
            found,
            expected,
        })
    };
    if header.format != FORMAT {
        return mismatch(
            "format version",
            header.format.to_string(),
            FORMAT.to_string(),
        );
    }
    check_version(place, header.records)?;
    if header.store != store {
        return mismatch(
            "store",
            format!("{:032x}", header.store),
            format!("{store:032x}"),
        );
    }
    if header.number != number {
        return mismatch(
            "number of the segment",
            header.number.to_string(),
            number.to_string(),
        );
    }
    Ok(())
}

/// Whether the file is as long as it was when the segment was bound, or, where there is one behind it, as far as that
/// says that its frames go: what was set aside behind them may have been given back.
pub(super) fn check_size(
    binding: &Binding,
    behind: Option<&Bound>,
    bytes: u64,
    place: &str,
) -> Result<(), StoreError> {
    let least = behind.map_or(binding.bytes, |behind| behind.binding.end);
    if bytes >= least {
        return Ok(());
    }
    let found = format!("the end of the file, {bytes} bytes long");
    let expected = format!("at least {least} bytes");
    Err(StoreError::damaged(place, bytes, found, expected))
}

pub(super) fn headless(place: &str) -> StoreError {
    let found = "a header that does not match its checksum";
    StoreError::damaged(place, 0, found, "the segment's header")
}

pub(super) fn unbound(place: &str, though: &str) -> StoreError {
    StoreError::damaged(
        place,
        BINDING,
        format!("what the segment follows on cannot be read, though {though}"),
        "what it follows on",
    )
}

/// The segment of number `absent` is not there, though there is one behind it.
pub(super) fn missing(behind: u64, absent: u64) -> StoreError {
    StoreError::damaged(
        segment::name(behind),
        0,
        "a segment with none before it",
        format!("{} before it", segment::name(absent)),
    )
}
