//! The tool that looks at a store and repairs it, `examples/journal_tool`, and the part of the library that it shows.

#[path = "../example/mod.rs"]
mod example;
mod folder;
mod interrupted;
mod losses;
mod repair;
mod show;
mod store;
mod tool;
