//! The names of a store's files, all in one directory.
//!
//! | name | what it is |
//! |---|---|
//! | `STORE` | the store's identity |
//! | `LOCK` | who has the store; its lock is what counts |
//! | `journal-{number}` | a segment of the journal |
//! | `torn-{segment}-{offset}` | the end of a segment that was never made durable, saved |
//! | `chunk-{number}` | the image of one stream |
//! | `manifest-{number}` | which chunks make a snapshot |
//!
//! Numbers have sixteen hexadecimal digits, an offset as many as it needs. A file that is being made has `.tmp` behind
//! its name until all of it is durable.

use std::fmt;

use super::disk::LOCK;

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FileName {
    Store,
    Lock,
    Journal(u64),
    Torn { segment: u64, offset: u64 },
    Chunk(u64),
    Manifest(u64),
}

impl FileName {
    /// What has exactly this name; `None` where no file of a store's has it, nor one that is being made.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let parsed = match name.split_once('-') {
            None if name == "STORE" => Self::Store,
            None if name == LOCK => Self::Lock,
            None => return None,
            Some(("journal", number)) => Self::Journal(hexadecimal(number)?),
            Some(("chunk", number)) => Self::Chunk(hexadecimal(number)?),
            Some(("manifest", number)) => Self::Manifest(hexadecimal(number)?),
            Some(("torn", place)) => {
                let (segment, offset) = place.split_once('-')?;
                Self::Torn {
                    segment: hexadecimal(segment)?,
                    offset: hexadecimal(offset)?,
                }
            }
            Some(_) => return None,
        };
        // Capitals and missing zeros make another name.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// What is being made under this name.
    pub(super) fn parse_temporary(name: &str) -> Option<Self> {
        Self::parse(name.strip_suffix(".tmp")?)
    }

    /// Its name while it is being made.
    pub(super) fn temporary(self) -> String {
        format!("{self}.tmp")
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store => f.write_str("STORE"),
            Self::Lock => f.write_str(LOCK),
            Self::Journal(number) => write!(f, "journal-{number:016x}"),
            Self::Torn { segment, offset } => write!(f, "torn-{segment:016x}-{offset:x}"),
            Self::Chunk(number) => write!(f, "chunk-{number:016x}"),
            Self::Manifest(number) => write!(f, "manifest-{number:016x}"),
        }
    }
}

fn hexadecimal(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::FileName;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let names = [
            FileName::Store,
            FileName::Lock,
            FileName::Journal(1),
            FileName::Torn {
                segment: 0xabc,
                offset: 0x1200,
            },
            FileName::Chunk(u64::MAX),
            FileName::Manifest(0),
        ];
        for name in names {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
            assert_eq!(FileName::parse_temporary(&name.temporary()), Some(name));
            assert_eq!(FileName::parse(&name.temporary()), None);
        }
        assert_eq!(
            FileName::Torn {
                segment: 10,
                offset: 0x2000
            }
            .to_string(),
            "torn-000000000000000a-2000"
        );
    }

    #[test]
    fn what_is_almost_a_name_is_none() {
        for name in [
            "",
            "store",
            "STORE.tmp",
            "STORE-",
            "chunk-",
            "chunk-1",
            "chunk-000000000000000A",
            "chunk-+00000000000000a",
            "chunk-00000000000000001",
            "chunk-0000000000000001 ",
            "Chunk-0000000000000001",
            "torn-0000000000000001",
            "torn-0000000000000001-00",
            "journal-0000000000000001-1",
            "lost+found",
        ] {
            assert_eq!(FileName::parse(name), None, "{name:?}");
        }
    }
}
