//! Archives: tar headers and gzip streams, bytes to values and back. Opens nothing, prints nothing.

pub mod gzip;
pub mod header;
pub mod pax;
pub mod reader;

use std::io;

pub use header::{BLOCK, Header, Kind};
pub use reader::Archive;

/// What is wrong with the bytes, as an error of reading them.
fn corrupt(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}
