//! Redirections (POSIX.1-2024, XCU 2.7), and how they are undone.

use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

use super::tree::{Redirect, RedirectKind, Word};
use super::{Flow, Shell};
use crate::applet::{os, reason};
use crate::output::Safe;
use crate::sys;

/// What descriptors were before, innermost change last.
#[must_use = "a redirection is undone by `undo`, or kept by `keep`"]
#[derive(Default)]
pub struct Undo(Vec<(RawFd, Option<RawFd>)>);

/// A here-document of at most this size fits into any pipe: PIPE_BUF of POSIX is less, Linux's is this.
const PIPE_CAPACITY: usize = 4096;

/// What a descriptor becomes.
enum Source {
    File(OwnedFd),
    Descriptor(RawFd),
    Closed,
}

impl Shell<'_> {
    /// Applies redirections in their order. An error has been reported and what was done is undone: status 1.
    pub(super) fn redirect(&mut self, redirects: &[Redirect]) -> Flow<Option<Undo>> {
        let mut undo = Undo::default();
        if redirects.is_empty() {
            return Ok(Some(undo));
        }
        // What was written before belongs to where it was going; an error shows when its command flushes.
        let _ = self.io.out.flush();
        for redirect in redirects {
            match self.apply(redirect, &mut undo) {
                Ok(true) => {}
                Ok(false) => {
                    self.undo(undo);
                    self.status = 1;
                    return Ok(None);
                }
                Err(interrupt) => {
                    self.undo(undo);
                    return Err(interrupt);
                }
            }
        }
        Ok(Some(undo))
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        if undo.0.is_empty() {
            return;
        }
        let _ = self.io.out.flush();
        for (fd, saved) in undo.0.into_iter().rev() {
            if fd == 1 {
                self.io.out.mask_capture(false);
            }
            // Nothing can be done about a descriptor that does not come back.
            let _ = match saved {
                Some(saved) => sys::descriptor::number(saved, fd).and_then(|()| sys::descriptor::close(saved)),
                None => sys::descriptor::close(fd),
            };
        }
    }

    /// `false`: it failed, and that was reported.
    fn apply(&mut self, redirect: &Redirect, undo: &mut Undo) -> Flow<bool> {
        let Some(source) = self.open(&redirect.kind)? else { return Ok(false) };
        let fd = redirect.fd;
        match sys::descriptor::save(fd) {
            Ok(saved) => undo.0.push((fd, Some(saved))),
            Err(Errno::EBADF) => undo.0.push((fd, None)),
            Err(errno) => {
                self.complain(format_args!("{fd}: {}", errno.desc()));
                return Ok(false);
            }
        }
        if fd == 1 {
            self.io.out.mask_capture(true);
        }
        let (name, result) = match source {
            // The same number where `fd` was closed: it must not be closed again with the `OwnedFd`.
            Source::File(file) if file.as_raw_fd() == fd => (fd, sys::descriptor::number(file.into_raw_fd(), fd)),
            Source::File(file) => (fd, sys::descriptor::duplicate(&file, fd)),
            Source::Descriptor(from) => (from, sys::descriptor::number(from, fd)),
            Source::Closed => {
                // Closing what is closed is no error.
                let _ = sys::descriptor::close(fd);
                (fd, Ok(()))
            }
        };
        if let Err(errno) = result {
            self.complain(format_args!("{name}: {}", errno.desc()));
        }
        Ok(result.is_ok())
    }

    fn open(&mut self, kind: &RedirectKind) -> Flow<Option<Source>> {
        let (word, flags) = match kind {
            RedirectKind::Read(word) => (word, OFlag::O_RDONLY),
            RedirectKind::Write { target, clobber } => {
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT;
                let keep = self.options.noclobber && !clobber;
                (target, flags | if keep { OFlag::O_EXCL } else { OFlag::O_TRUNC })
            }
            RedirectKind::Append(word) => (word, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND),
            RedirectKind::ReadWrite(word) => (word, OFlag::O_RDWR | OFlag::O_CREAT),
            RedirectKind::Duplicate(word) => return self.descriptor(word),
            RedirectKind::Here(body) => {
                let body = body.get().cloned().unwrap_or_default();
                let text = self.expand_parts(&body.parts, true)?;
                return Ok(match here(&text) {
                    Ok(file) => Some(Source::File(file)),
                    Err(error) => {
                        self.complain(format_args!("here-document: {}", reason(&error)));
                        None
                    }
                });
            }
        };
        let name = self.expand_single(word)?;
        let path = os(&name);
        let mode = Mode::from_bits_truncate(0o666);
        let mut opened = self.files.open_with(Path::new(&path), flags, mode);
        if flags.contains(OFlag::O_EXCL)
            && opened.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EEXIST))
            && self.files.metadata(Path::new(&path)).is_ok_and(|stat| stat.st_mode & libc::S_IFMT != libc::S_IFREG)
        {
            // noclobber protects regular files, not devices and pipes.
            opened = self.files.open_with(Path::new(&path), OFlag::O_WRONLY, Mode::empty());
        }
        match opened {
            Ok(file) => Ok(Some(Source::File(file.into()))),
            Err(error) => {
                let verb = if flags.contains(OFlag::O_CREAT) { "cannot create" } else { "cannot open" };
                self.complain(format_args!("{verb} {}: {}", Safe(&name), reason(&error)));
                Ok(None)
            }
        }
    }

    fn descriptor(&mut self, word: &Word) -> Flow<Option<Source>> {
        let text = self.expand_single(word)?;
        if text == b"-" {
            return Ok(Some(Source::Closed));
        }
        let number = std::str::from_utf8(&text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        match number.and_then(|text| text.parse().ok()) {
            Some(fd) => Ok(Some(Source::Descriptor(fd))),
            None => {
                self.complain(format_args!("{}: bad file descriptor", Safe(&text)));
                Ok(None)
            }
        }
    }
}

impl Undo {
    /// Lets the redirections stand (`exec >file`, a child that ends with them).
    pub(super) fn keep(self) {
        for saved in self.0.into_iter().filter_map(|(_, saved)| saved) {
            let _ = sys::descriptor::close(saved);
        }
    }
}

/// A descriptor that reads `text`: a pipe, or a memory file, never /tmp.
fn here(text: &[u8]) -> std::io::Result<OwnedFd> {
    if text.len() <= PIPE_CAPACITY {
        let (input, output) = pipe2(OFlag::O_CLOEXEC)?;
        std::fs::File::from(output).write_all(text)?;
        return Ok(input);
    }
    let mut file = std::fs::File::from(memfd_create(c"here-document", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text)?;
    file.rewind()?;
    Ok(file.into())
}
