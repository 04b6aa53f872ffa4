//! What happened in a world, to read and to compare.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use duewheel::Timestamp;

use crate::desk::{Heard, Inside, lock};

/// Shared, so that it is there when the world has come to a bad end.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<String>>);

impl Trace {
    pub(crate) fn line(&self, now: Timestamp, text: &str) {
        writeln!(lock(&self.0), "{now} {text}").unwrap();
    }

    pub(crate) fn heard(&self, heard: &Heard) {
        let mut text = lock(&self.0);
        match heard {
            Heard::Asked {
                asked,
                inside,
                answer,
            } => {
                let (id, location) = (asked.id, asked.location);
                writeln!(text, "    asked of {id} at L{location}: {answer:?}").unwrap();
                inside.iter().for_each(|inside| show(inside, &mut text));
            }
            Heard::Told {
                commands,
                inside,
                answers,
            } => {
                for (told, answer) in commands.iter().zip(answers) {
                    writeln!(
                        text,
                        "    told {} at L{}, due {}, redelivery {}, ahead {}: {answer:?}",
                        told.lease, told.location, told.due, told.redelivery, told.ahead
                    )
                    .unwrap();
                }
                inside.iter().for_each(|inside| show(inside, &mut text));
            }
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        lock(&self.0).hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn text(&self) -> String {
        lock(&self.0).clone()
    }
}

fn show(inside: &Inside, text: &mut String) {
    let made = &inside.made;
    writeln!(text, "      inside: {} -> {:?}", made.call, made.answer).unwrap();
}
