//! sidebox: a debugging sidecar for containers that have no shell.
//!
//! The engine, and on it the tools. Again the rooms, lowest first; a module uses only the engine and what stands above
//! it here.

pub use engine::{applet, launch, output, shell, sys, target};

pub mod archive;

pub mod net;

pub mod protocol;

pub mod inspect;

pub mod applets;
