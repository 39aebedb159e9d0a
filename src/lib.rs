//! sidebox: a debugging sidecar for containers that have no shell.
//!
//! The rooms, lowest first. A module uses only what stands above it here; `tests/layers.rs` reads the
//! sources and enforces it.

pub mod sys;

pub mod output;

pub mod archive;

pub mod net;

pub mod target;

pub mod protocol;

pub mod inspect;

pub mod applet;

pub mod launch;

pub mod shell;

pub mod applets;
