//! Output that never holds up the server: what the reader of our output does not take at once waits here, up to a limit.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;

use crate::applet::Out;

/// What waits at most.
const MOST: usize = 64 << 20;
/// A pipe that can be written to takes so much without waiting (PIPE_BUF).
const PIPE: usize = 4096;
/// The same of a terminal, or nearly so: its own limit is less than a line.
const TERMINAL: usize = 128;
/// What is collected before it is written to a file.
const BLOCK: usize = 64 * 1024;

/// How to write without waiting for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A file takes everything.
    At,
    /// So much at a time, when there is room.
    Pieces(usize),
    /// Only when nobody waits for us any more.
    Afterwards,
}

pub struct Spool {
    waiting: VecDeque<u8>,
    way: Way,
    live: bool,
}

impl Spool {
    /// `live`: what is written is to be seen while more comes, also on a terminal.
    pub fn new(out: &Out, live: bool) -> Spool {
        let kind = fstat(&out.file).map_or(0, |stat| stat.st_mode & libc::S_IFMT);
        let way = match kind {
            _ if out.is_captured() => Way::At,
            libc::S_IFREG | libc::S_IFBLK => Way::At,
            libc::S_IFIFO => Way::Pieces(PIPE),
            _ if live => Way::Pieces(TERMINAL),
            _ if out.file.is_terminal() || kind == libc::S_IFSOCK => Way::Afterwards,
            // /dev/null and its like.
            _ => Way::At,
        };
        Spool { waiting: VecDeque::new(), way, live }
    }

    /// Whether there is room for more.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < MOST
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend(bytes);
    }

    /// Writes what can be written without waiting.
    pub fn pump(&mut self, out: &mut Out) -> io::Result<()> {
        match self.way {
            Way::Afterwards => Ok(()),
            Way::At if !self.live && self.waiting.len() < BLOCK => Ok(()),
            Way::At => self.finish(out),
            Way::Pieces(most) => {
                out.flush()?;
                while !self.waiting.is_empty() && writable(out) {
                    let (piece, _) = self.waiting.as_slices();
                    let written = out.file.write(&piece[..piece.len().min(most)]);
                    self.take(written)?;
                }
                Ok(())
            }
        }
    }

    /// Writes what there is, whoever waits.
    pub fn finish(&mut self, out: &mut Out) -> io::Result<()> {
        let (first, second) = self.waiting.as_slices();
        out.write_all(first)?;
        out.write_all(second)?;
        self.waiting.clear();
        out.flush()
    }

    fn take(&mut self, written: io::Result<usize>) -> io::Result<()> {
        match written {
            Ok(length) => {
                self.waiting.drain(..length);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether there is room, or nobody any more who would read.
fn writable(out: &Out) -> bool {
    let mut fds = [PollFd::new(out.file.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::Streams;
    use std::fs::File;
    use std::io::Read;

    fn null() -> File {
        File::from(nix::sys::memfd::memfd_create(c"test", nix::sys::memfd::MFdFlags::empty()).unwrap())
    }

    #[test]
    fn a_reader_who_waits() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let mut streams = Streams::new(null(), File::from(write), null());
        let mut spool = Spool::new(&streams.out, false);
        assert_eq!(spool.way, Way::Pieces(PIPE));
        let text = vec![b'x'; 1 << 20];
        spool.push(&text);
        spool.pump(&mut streams.out).unwrap();
        // As much as a pipe holds is gone, and we are still here.
        assert!(!spool.is_empty() && spool.waiting.len() < text.len());
        // It reads again, and the rest follows.
        let mut read = File::from(read);
        let mut come = 0;
        while come < text.len() {
            come += read.read(&mut [0; 4096]).unwrap();
            spool.pump(&mut streams.out).unwrap();
        }
        assert!(spool.is_empty());
    }

    #[test]
    fn a_reader_who_has_gone() {
        let (read, write) = nix::unistd::pipe().unwrap();
        drop(read);
        let mut streams = Streams::new(null(), File::from(write), null());
        let mut spool = Spool::new(&streams.out, true);
        spool.push(b"x");
        assert_eq!(spool.pump(&mut streams.out).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn files_are_written_in_blocks() {
        let mut streams = Streams::new(null(), null(), null());
        let mut spool = Spool::new(&streams.out, false);
        spool.push(b"x");
        spool.pump(&mut streams.out).unwrap();
        assert!(!spool.is_empty());
        spool.push(&vec![b'x'; BLOCK]);
        spool.pump(&mut streams.out).unwrap();
        assert!(spool.is_empty() && streams.out.file.metadata().unwrap().len() == BLOCK as u64 + 1);
    }
}
