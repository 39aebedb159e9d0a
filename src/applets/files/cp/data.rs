//! The bytes of one file. Inside the kernel where it can (copy_file_range(2)); holes stay holes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use nix::errno::Errno;
use nix::fcntl::copy_file_range;
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{Whence, lseek};

const BUFFER: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Destination,
}

/// A copy that ended early.
pub struct Half {
    pub side: Side,
    pub error: io::Error,
    pub done: u64,
}

/// All of `from`, also where it has grown since `stat`.
pub fn copy(mut from: &File, mut to: &File, stat: &FileStat) -> Result<(), Half> {
    let regular = |stat: &FileStat| stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    let mut done = 0;
    if regular(stat) && fstat(to).is_ok_and(|to| regular(&to)) {
        if stat.st_blocks * 512 < stat.st_size {
            done = sparse(from, to, stat.st_size)?;
        } else {
            // What the kernel refuses, and the end, is for read(2) to judge: its errors tell which side they mean.
            while let Ok(moved @ 1..) = copy_file_range(from, None, to, None, 1 << 30) {
                done += moved as u64;
            }
        }
    }
    // Of a small file only the end is left to be seen.
    let most = usize::try_from(stat.st_size).unwrap_or(0).clamp(4096, BUFFER);
    let mut buffer = vec![0; if regular(stat) { most } else { BUFFER }];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => done = put(&mut to, &buffer[..length], done)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Half { side: Side::Source, error, done }),
        }
    }
}

fn put(to: &mut &File, mut bytes: &[u8], mut done: u64) -> Result<u64, Half> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(length) => {
                bytes = bytes.get(length..).unwrap_or_default();
                done += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Half { side: Side::Destination, error, done }),
        }
    }
    Ok(done)
}

/// The data between the holes of the first `size` bytes. Both files stand behind them afterwards.
fn sparse(mut from: &File, mut to: &File, size: i64) -> Result<u64, Half> {
    let mut at = 0;
    let mut buffer = vec![0; BUFFER];
    let half = |side, error, at: i64| Half { side, error, done: u64::try_from(at).unwrap_or(0) };
    while at < size {
        let (start, end) = match lseek(from, at, Whence::SeekData) {
            Ok(start) => (start, lseek(from, start, Whence::SeekHole).unwrap_or(size).min(size)),
            // Nothing but a hole up to the end.
            Err(Errno::ENXIO) => break,
            // The file system knows no holes.
            Err(_) => (at, size),
        };
        let position = |at: i64| SeekFrom::Start(u64::try_from(at).unwrap_or(0));
        from.seek(position(start)).map_err(|error| half(Side::Source, error, at))?;
        to.seek(position(start)).map_err(|error| half(Side::Destination, error, at))?;
        at = start;
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
            match from.read(&mut buffer[..most]) {
                // It was made shorter meanwhile.
                Ok(0) => return Ok(at as u64),
                Ok(length) => at = put(&mut to, &buffer[..length], at as u64)? as i64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(half(Side::Source, error, at)),
            }
        }
    }
    let end = u64::try_from(size).unwrap_or(0);
    to.set_len(end).and_then(|()| to.seek(SeekFrom::Start(end))).map_err(|error| half(Side::Destination, error, at))?;
    from.seek(SeekFrom::Start(end)).map_err(|error| half(Side::Source, error, size))?;
    Ok(end)
}
