//! The files of an etcd member, read and written without a server: the database and snapshots of it (`bolt`: bbolt's
//! pages; `store`: what etcd keeps in them), and the write-ahead log (`log`).
//!
//! All that is read is untrusted: no length, position or page number is believed before it is checked, every page of a
//! tree is visited at most once, and one page at each level is all that is in memory.

pub mod bolt;
pub mod checksum;
pub mod field;
pub mod log;
pub mod restore;
pub mod sorted;
pub mod store;
pub mod trailer;
pub mod writer;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes at any place: a file, or what a test has in memory.
pub trait Source {
    fn size(&self) -> io::Result<u64>;
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Source for &[u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let found = usize::try_from(offset).ok().and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Why a file cannot be understood.
#[derive(Debug)]
pub enum Error {
    Read(io::Error),
    /// It is another kind of file, or all of it is damaged.
    Not(&'static str),
    Truncated {
        size: u64,
        needed: u64,
    },
    /// A page, by its number.
    Page(u64, &'static str),
    /// What a pair should hold, and its bucket.
    Pair(&'static str, &'static str),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Read(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read(error) if error.kind() == io::ErrorKind::UnexpectedEof => f.write_str("ends too early"),
            Error::Read(error) => write!(f, "{}", crate::net::reason(error)),
            Error::Not(what) => f.write_str(what),
            Error::Truncated { size, needed } => write!(f, "truncated: {size} bytes of {needed}"),
            Error::Page(id, what) => write!(f, "page {id}: {what}"),
            Error::Pair(bucket, what) => write!(f, "bucket {bucket}: {what}"),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
