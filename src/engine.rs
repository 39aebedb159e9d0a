//! What runs all the time: the system, the target, the contract of a command, and the shell. It is a package of its
//! own, because it is compiled for size and speed, and what stands on it (`lib.rs`) for size alone.
//!
//! The rooms, lowest first. A module uses only what stands above it here; `tests/layers.rs` reads the
//! sources and enforces it.

pub mod sys;

pub mod output;

pub mod target;

pub mod applet;

pub mod launch;

pub mod shell;
