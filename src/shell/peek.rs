//! Looking into a pipe: what stands behind the end of a line belongs to the next command and must not be taken.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, SpliceFFlags, tee};
use nix::unistd::{pipe2, read};

use crate::sys::{self, descriptor};

/// A pipe of the shell's own, empty but while a copy of another's bytes is looked at in it.
#[derive(Default)]
pub struct Peek(Option<(OwnedFd, OwnedFd)>);

impl Peek {
    /// How many of the first bytes in a pipe, at most those that fit into `bytes`, end with the delimiter or come before
    /// it. Waits for some; 0 at the end of the input.
    pub fn waiting(&mut self, pipe: BorrowedFd<'_>, bytes: &mut [u8], delimiter: Option<u8>) -> nix::Result<usize> {
        let (input, output) = match self.0.take() {
            Some(own) => own,
            None => private()?,
        };
        let copied = tee(pipe, &output, bytes.len(), SpliceFFlags::empty());
        let len = match copied {
            Ok(len) if len > 0 => read(&input, &mut bytes[..len])?,
            _ => 0,
        };
        self.0 = Some((input, output));
        copied?;
        let end = delimiter.and_then(|delimiter| memchr::memchr(delimiter, &bytes[..len]));
        Ok(end.map_or(len, |at| at + 1))
    }
}

/// A pipe with numbers that no script uses.
fn private() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (input, output) = pipe2(OFlag::O_CLOEXEC)?;
    let input = sys::owned(descriptor::save(input.as_raw_fd())?);
    Ok((input, sys::owned(descriptor::save(output.as_raw_fd())?)))
}
