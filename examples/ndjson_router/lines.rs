//! Lines of bounded length out of a reader.

use std::io::{self, BufRead, ErrorKind};

/// The longest line that is read, in bytes, newline apart. A payload of 64 KiB takes six times that
/// where every byte of it is written as an escape; the rest is room for schedule data.
pub(crate) const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// One line of the input.
pub(crate) enum Line<'a> {
    /// The line without its newline.
    Read(&'a [u8]),
    /// Longer than [`LINE_BYTES_MAX`]; it was skipped to its newline and nothing of it is kept.
    TooLong,
}

/// Reads lines one after the other, into one buffer that never outgrows [`LINE_BYTES_MAX`].
pub(crate) struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
        }
    }

    /// The next line, or `None` at the end of the input. A last line needs no newline.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let mut started = false;
        let mut too_long = false;
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            };
            if available.is_empty() {
                break;
            }
            started = true;
            let newline = available.iter().position(|&byte| byte == b'\n');
            let part = &available[..newline.unwrap_or(available.len())];
            too_long |= self.buffer.len() + part.len() > LINE_BYTES_MAX;
            if !too_long {
                self.buffer.extend_from_slice(part);
            }
            let used = part.len() + usize::from(newline.is_some());
            self.input.consume(used);
            if newline.is_some() {
                break;
            }
        }
        Ok(match (started, too_long) {
            (false, _) => None,
            (true, true) => Some(Line::TooLong),
            (true, false) => Some(Line::Read(&self.buffer)),
        })
    }
}
