//! Where a script's text comes from.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::unistd::{Whence, lseek, read};

use crate::sys::image;

/// Why no more text came.
#[derive(Debug)]
pub enum Stop {
    /// Ctrl-C at a prompt: forget what was typed so far.
    Interrupted,
    /// Nobody typed for a time.
    Idle,
    Failed(io::Error),
}

/// Gives text piece by piece. `Ok(None)` is the end.
pub trait Source {
    /// The number of its first line.
    fn first_line(&self) -> u32 {
        1
    }

    /// Whether `set -v` shows it.
    fn is_input(&self) -> bool {
        true
    }

    /// `continued`: the text so far is not yet a whole command.
    fn more(&mut self, continued: bool) -> Result<Option<Vec<u8>>, Stop>;
}

/// `sh -c`, `eval`, traps: all at once.
pub struct Text {
    text: Option<Vec<u8>>,
    line: u32,
}

impl Text {
    pub fn new(text: Vec<u8>) -> Text {
        Text::at(1, text)
    }

    /// Text that is run in this line of a script, whose lines go on in it.
    pub fn at(line: u32, text: Vec<u8>) -> Text {
        Text { text: Some(text), line: line.max(1) }
    }
}

impl Source for Text {
    fn first_line(&self) -> u32 {
        self.line
    }

    fn is_input(&self) -> bool {
        false
    }

    fn more(&mut self, _: bool) -> Result<Option<Vec<u8>>, Stop> {
        Ok(self.text.take())
    }
}

/// A script file: in blocks, since nobody else reads its descriptor.
pub struct Script<F>(pub F);

impl<F: AsFd> Source for Script<F> {
    fn more(&mut self, _: bool) -> Result<Option<Vec<u8>>, Stop> {
        block(&self.0)
    }
}

/// A script on standard input, whose commands read on from exactly where it stands (POSIX.1-2024, sh, "STDIN"): never
/// a byte beyond the line.
pub struct Input<F>(pub F);

impl<F: AsFd> Source for Input<F> {
    fn more(&mut self, _: bool) -> Result<Option<Vec<u8>>, Stop> {
        line(&self.0, None)
    }
}

fn block(fd: impl AsFd) -> Result<Option<Vec<u8>>, Stop> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match read(fd.as_fd(), &mut buffer) {
            Ok(0) => return Ok(None),
            Ok(len) => {
                buffer.truncate(len);
                drop_nul(&mut buffer);
                return Ok(Some(buffer));
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(Stop::Failed(error.into())),
        }
    }
}

/// One line: a block and a seek back where the descriptor can seek, byte by byte where it cannot. `patience`: how long to
/// wait for each piece of it.
pub fn line(fd: impl AsFd, patience: Option<Duration>) -> Result<Option<Vec<u8>>, Stop> {
    let seekable = lseek(fd.as_fd(), 0, Whence::SeekCur).is_ok();
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    let size = if seekable { buffer.len() } else { 1 };
    if !seekable && !comes(&fd, Duration::ZERO) {
        image::give_back();
    }
    loop {
        if let Some(patience) = patience
            && !comes(&fd, patience)
        {
            return Err(Stop::Idle);
        }
        let len = match read(fd.as_fd(), &mut buffer[..size]) {
            // What is closed holds no commands.
            Ok(0) | Err(Errno::EBADF) => return Ok((!text.is_empty()).then_some(text)),
            Ok(len) => len,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(Stop::Failed(error.into())),
        };
        match memchr::memchr(b'\n', &buffer[..len]) {
            Some(end) => {
                text.extend_from_slice(&buffer[..=end]);
                let beyond = (len - end - 1) as i64;
                if beyond > 0 {
                    lseek(fd.as_fd(), -beyond, Whence::SeekCur).map_err(|error| Stop::Failed(error.into()))?;
                }
                drop_nul(&mut text);
                return Ok(Some(text));
            }
            None => text.extend_from_slice(&buffer[..len]),
        }
    }
}

/// Whether something can be read in time; where that cannot be asked, reading tells.
fn comes(fd: impl AsFd, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match ppoll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], Some(left.into()), None) {
            Ok(ready) => return ready > 0,
            Err(Errno::EINTR) => {}
            Err(_) => return true,
        }
    }
}

/// NUL bytes are not part of a script; other shells skip them too.
fn drop_nul(text: &mut Vec<u8>) {
    if memchr::memchr(0, text).is_some() {
        text.retain(|byte| *byte != 0);
    }
}
