//! Begin: the journal's end made fast, and a new segment after it.
//!
//! 1. What the last segment holds, up to its last good frame, is written once more where it is not known to be
//!    durable, and synced: what was read may have come from the operating system's memory after a sync that failed,
//!    and a second sync alone would not write it.
//! 2. What stands behind is saved to a file of its own, for whoever wants to know what was given up. Where there is no
//!    room for that, it is not: it stays where it is until its segment is dropped.
//! 3. A new segment names the last good frame, the new epoch and the next number. From here on, what stands behind
//!    that frame is void.
//! 4. The room behind it is given back: a process that is started again and again would else take a whole segment
//!    each time.

use super::replay::Found;
use super::segment::{self, BINDING, Binding, FRAMES, UNFINISHED};
use super::stock::{Closed, Made, Stock, following};
use super::window::Window;
use crate::persistence::disk::{DiskFile, OpenMode};
use crate::persistence::error::StoreError;
use crate::persistence::journal::{Lsn, TornTail};

use std::io;

/// Makes the journal's end fast and binds a new segment after it, to be written from record `next` on.
pub(super) fn begin(
    stock: &Stock,
    found: &Found,
    epoch: u32,
    next: Lsn,
) -> Result<(Made, Binding), StoreError> {
    remove_unfinished(stock)?;
    let last = found.survey.bound.last();
    if let Some(last) = last {
        settle(stock, last.number, found.end.proven, found.end.offset)?;
    }
    let mut is_saved = true;
    if let Some(torn) = &found.tail.torn {
        match save(stock, torn) {
            Err(StoreError::Full { .. }) => {
                is_saved = false;
                remove_unfinished(stock)?;
            }
            saved => saved?,
        }
    }
    // A segment is bound once and for all, also where nothing was written to it since: a binding that was cut short over
    // another one would be neither.
    let number = match last {
        None => 1,
        Some(last) => following(last.number)?,
    };
    let bytes = found.survey.sizes.values().sum();
    stock.fill(bytes, closed(found, number), number);
    // On a full disk too what is there is to be had, and to be ended; what is behind the last segment's frames is given
    // back below.
    let made = stock.take(0)?;
    let binding = Binding {
        follows: found.end.link,
        end: found.end.offset,
        next,
        epoch,
        bytes: made.bytes,
        polled_until: found.tail.polled_until,
    };
    stock.bind(&made, &binding)?;
    if let Some(last) = last
        && is_saved
    {
        stock.give_back(last.number, found.end.offset);
    }
    // With the room that was given back.
    stock.refill();
    Ok((made, binding))
}

/// The segments in front of the one that is to be written, each with a number that none of its records is above.
fn closed(found: &Found, current: u64) -> Vec<Closed> {
    let bound = &found.survey.bound;
    let last_of = |number: u64| {
        let behind = bound.iter().find(|bound| bound.number > number);
        behind.map_or(found.end.link.last, |behind| behind.binding.follows.last)
    };
    let sizes = found.survey.sizes.range(..current);
    sizes
        .map(|(number, bytes)| Closed {
            number: *number,
            bytes: *bytes,
            last: last_of(*number),
        })
        .collect()
}

/// Makes a segment durable up to where its frames end. Where none of them says that any of it is, its binding may not
/// be.
fn settle(stock: &Stock, number: u64, proven: u64, end: u64) -> Result<(), StoreError> {
    let name = segment::name(number);
    let mut window = Window::open(stock.disk(), name.clone())?;
    let file = stock.disk().open(&name, OpenMode::Write);
    let file = file.map_err(|error| stock.failed("open", &name, error))?;
    let from = if proven > FRAMES { proven } else { BINDING };
    copy(&mut window, from, end, &*file, 0).and_then(|()| {
        file.sync()
            .map_err(|error| stock.failed("sync", &name, error))
    })
}

/// Saves what stands at the end of a segment to a file of its own, and leaves it where it is.
fn save(stock: &Stock, torn: &TornTail) -> Result<(), StoreError> {
    let number = segment::number(&torn.place).unwrap_or_default();
    let name = segment::torn_name(number, torn.offset);
    let unfinished = format!("{name}{UNFINISHED}");
    let failed = |error| stock.failed("save", &name, error);
    let mut window = Window::open(stock.disk(), torn.place.clone())?;
    let file = stock
        .disk()
        .open(&unfinished, OpenMode::Create)
        .map_err(failed)?;
    let end = torn.offset.saturating_add(torn.bytes);
    copy(&mut window, torn.offset, end, &*file, torn.offset)?;
    file.sync()
        .and_then(|()| stock.disk().rename(&unfinished, &name))
        .and_then(|()| stock.disk().sync_directory())
        .map_err(failed)
}

/// Copies bytes of a file to another one, in which everything stands so much further to the front.
fn copy(
    window: &mut Window,
    from: u64,
    to: u64,
    file: &dyn DiskFile,
    shift: u64,
) -> Result<(), StoreError> {
    let name = window.name().to_owned();
    let mut offset = from;
    while offset < to {
        let sectors = window.sectors(offset)?;
        let wanted = usize::try_from(to - offset).unwrap_or(usize::MAX);
        let bytes = &sectors[..sectors.len().min(wanted)];
        let written = match bytes.len() {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => file.write_all_at(offset - shift, bytes),
        };
        written.map_err(|error| StoreError::from_io(format!("write the end of {name}"), error))?;
        offset += bytes.len() as u64;
    }
    Ok(())
}

/// Removes what a crash left of torn ends that were about to be saved.
fn remove_unfinished(stock: &Stock) -> Result<(), StoreError> {
    let names = stock.disk().list();
    let names = names.map_err(|error| stock.failed("list", "the segments", error))?;
    let unfinished = |name: &&String| {
        name.strip_suffix(UNFINISHED)
            .is_some_and(|name| segment::torn_number(name).is_some())
    };
    names.iter().filter(unfinished).try_for_each(|name| {
        let removed = stock.disk().remove(name);
        removed.map_err(|error| stock.failed("remove", name, error))
    })
}
