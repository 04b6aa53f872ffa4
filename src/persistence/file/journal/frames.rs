//! [`Frames`]: the frames of one segment, one after the other, and what stands where they end.

use super::frame::{HEADER, Header, may_begin};
use super::sectors::{Marks, SECTOR, Seal, Written, is_blank, strip};
use super::segment::{BINDING, Binding, FRAMES, Link};
use super::window::Window;
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Frame, Lsn};

/// The frames of a segment, read one at a time.
pub(super) struct Frames {
    pub(super) window: Window,
    pub(super) seal: Seal,
    /// Where the next frame begins.
    pub(super) offset: u64,
    /// The number of its first record.
    pub(super) next: Lsn,
    /// What it follows on.
    pub(super) link: Link,
    /// Up to where the frames themselves say that the segment is durable.
    pub(super) proven: u64,
    epoch: u32,
    /// What the last frame has for itself: header and records.
    contents: Vec<u8>,
}

/// What stands where the next frame is expected.
#[derive(Debug)]
pub(super) enum Step {
    /// The frame.
    Frame(Header),
    /// No frame that can be read.
    Stop(Fault),
}

/// Why there is no frame that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The first sector of a frame was not written.
    Unwritten,
    /// Of a frame whose header can be read the sector at this offset was not written.
    Torn {
        /// The header.
        header: Header,
        /// The sector.
        sector: u64,
    },
    /// What stands there was written and has changed since.
    Changed(Change),
}

impl Fault {
    /// As a change, of a frame that is known to have been durable.
    pub(super) fn change(self, offset: u64, next: Lsn) -> Change {
        let (offset, found) = match self {
            Self::Changed(change) => return change,
            Self::Torn { sector, .. } => (sector, "a sector of a frame without the frame's mark"),
            Self::Unwritten => (offset, "a sector in which no frame begins"),
        };
        Change {
            offset,
            found: found.to_owned(),
            expected: format!("the frame that begins with record {next}"),
        }
    }
}

/// How something that was written has changed since: no crash does that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Where.
    pub(super) offset: u64,
    /// What was found, in words.
    pub(super) found: String,
    /// What was expected, in words.
    pub(super) expected: String,
}

impl Change {
    /// As an error.
    pub(super) fn error(self, place: &str) -> StoreError {
        StoreError::damaged(place, self.offset, self.found, self.expected)
    }
}

impl Frames {
    /// Those of a segment with this binding.
    pub(super) fn new(window: Window, seal: Seal, binding: &Binding) -> Self {
        Self {
            window,
            seal,
            offset: FRAMES,
            next: binding.next,
            link: binding.follows,
            proven: FRAMES,
            epoch: binding.epoch,
            contents: Vec::new(),
        }
    }

    /// Those of a segment of which nothing is known, to be begun with [`resume`](Self::resume).
    pub(super) fn unbound(window: Window, seal: Seal) -> Self {
        Self {
            window,
            seal,
            offset: BINDING,
            next: Lsn(0),
            link: Link::default(),
            proven: FRAMES,
            epoch: 0,
            contents: Vec::new(),
        }
    }

    /// Their writer's epoch.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The next frame. Where there is none, another call finds none either.
    pub(super) fn step(&mut self) -> Result<Step, StoreError> {
        let header = match self.header()? {
            Ok(header) => header,
            Err(fault) => return Ok(Step::Stop(fault)),
        };
        if let Some(fault) = self.records(&header)? {
            return Ok(Step::Stop(fault));
        }
        self.offset += header.bytes();
        self.next = header.next();
        self.link = header.link(self.link);
        self.proven = self.proven.max(header.synced_bytes.min(self.offset));
        Ok(Step::Frame(header))
    }

    /// The number of the last record of the frame expected here, where its header can be read though it cannot.
    pub(super) fn told(&mut self) -> Result<Option<Lsn>, StoreError> {
        let header = self.header()?.ok();
        Ok(header.map(|header| Lsn(header.next().0 - 1)))
    }

    /// Goes on with the next frame whose header can be read, whatever it follows on; says whether there is one.
    pub(super) fn resume(&mut self) -> Result<bool, StoreError> {
        let mut offset = self.offset + SECTOR as u64;
        loop {
            let sectors = self.window.sectors(offset)?;
            if sectors.is_empty() {
                return Ok(false);
            }
            if let Some(header) = headers(sectors, offset, self.seal).next() {
                self.offset = header.offset;
                self.next = header.base;
                self.epoch = header.epoch;
                self.link = Link {
                    last: Lsn(header.base.0 - 1),
                    frame: header.previous,
                };
                return Ok(true);
            }
            offset += sectors.len() as u64;
        }
    }

    /// The frame of the header that the last step has returned, with its records.
    pub(super) fn frame(&self, header: &Header) -> Frame<'_> {
        let records = HEADER..HEADER + header.records_bytes as usize;
        header.frame(self.contents.get(records).unwrap_or_default())
    }

    fn header(&mut self) -> Result<Result<Header, Fault>, StoreError> {
        let (offset, seal) = (self.offset, self.seal);
        let mark = seal.mark(offset, self.next.0);
        let sector = self.window.sector(offset)?;
        if sector.len() < SECTOR {
            return Ok(Err(Fault::Unwritten));
        }
        if let Some(header) = Header::read(sector, seal) {
            return Ok(self.linked(header));
        }
        let found = match mark.is_on(sector) {
            Written::No => return Ok(Err(Fault::Unwritten)),
            // A frame's first sector holds more than a mark: this one was free.
            Written::Other if is_blank(&sector[..SECTOR - 4]) => return Ok(Err(Fault::Unwritten)),
            Written::Yes => "a frame whose header does not match its checksum",
            Written::Other => "a sector that is no part of the frame expected here",
        };
        Ok(Err(Fault::Changed(Change {
            offset,
            found: found.to_owned(),
            expected: format!("the frame that begins with record {}", self.next),
        })))
    }

    /// The header, where it is the one that comes next.
    fn linked(&self, header: Header) -> Result<Header, Fault> {
        let pairs = [
            ("at byte", header.offset, self.offset),
            ("that begins with record", header.base.0, self.next.0),
            ("of epoch", header.epoch.into(), self.epoch.into()),
            (
                "behind a frame of checksum",
                header.previous.into(),
                self.link.frame.into(),
            ),
        ];
        match pairs.iter().find(|(_, found, expected)| found != expected) {
            None => Ok(header),
            Some((what, found, expected)) => Err(Fault::Changed(Change {
                offset: self.offset,
                found: format!("a frame {what} {found}"),
                expected: format!("one {what} {expected}"),
            })),
        }
    }

    /// Reads the records of the frame that begins here; says why where they are not as written.
    fn records(&mut self, header: &Header) -> Result<Option<Fault>, StoreError> {
        let mark = header.mark(self.seal);
        let end = self.offset.saturating_add(header.bytes());
        let mut marks = Marks::default();
        self.contents.clear();
        // A length is believed as far as the file goes.
        if end > self.window.size() {
            marks.note(self.window.size(), Written::No);
        } else {
            self.contents
                .reserve(HEADER + header.records_bytes as usize);
        }
        let mut offset = self.offset;
        while offset < end {
            let sectors = self.window.sectors(offset)?;
            let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let sectors = &sectors[..sectors.len().min(wanted)];
            if sectors.is_empty() {
                marks.note(offset, Written::No);
                break;
            }
            strip(sectors, offset, mark, &mut marks, &mut self.contents);
            offset += sectors.len() as u64;
        }
        let records = HEADER..HEADER + header.records_bytes as usize;
        let whole = self
            .contents
            .get(records)
            .is_some_and(|records| self.seal.checksum(records) == header.records_checksum);
        if whole {
            return Ok(None);
        }
        // What was changed is damage even where another sector is missing.
        let expected = format!("{} records from number {} on", header.count, header.base);
        Ok(Some(match marks {
            Marks {
                foreign: Some(offset),
                ..
            } => Fault::Changed(Change {
                offset,
                found: "a sector that is no part of the frame it stands in".to_owned(),
                expected,
            }),
            Marks {
                unwritten: Some(sector),
                ..
            } => Fault::Torn {
                header: *header,
                sector,
            },
            Marks {
                foreign: None,
                unwritten: None,
            } => Fault::Changed(Change {
                offset: self.offset,
                found: "a frame whose records do not match their checksum".to_owned(),
                expected,
            }),
        }))
    }
}

/// The headers that can be read in these sectors, the first of which stands at `offset`. A copy of a header in another
/// place is none.
pub(super) fn headers(
    sectors: &[u8],
    offset: u64,
    seal: Seal,
) -> impl Iterator<Item = Header> + use<'_> {
    let places = (offset..).step_by(SECTOR);
    let sectors = sectors.chunks_exact(SECTOR).zip(places);
    sectors
        .filter(|(sector, _)| may_begin(sector))
        .filter_map(move |(sector, place)| {
            Header::read(sector, seal).filter(|header| header.offset == place)
        })
}
