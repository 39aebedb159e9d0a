//! Redirections (POSIX.1-2024, XCU 2.7), and how they are undone.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt::Display;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;

use super::super::syntax::tree::{Descriptor, Part, Redirect, RedirectKind, Word};
use super::super::{Flow, Interrupt, Shell, Text};
use crate::applet::{os, reason};
use crate::output::Safe;
use crate::sys::descriptor;

/// What descriptors were before, innermost change last.
#[must_use = "a redirection is undone by `undo`, or kept by `keep`"]
#[derive(Default)]
pub struct Undo(Vec<(RawFd, Option<RawFd>)>);

/// A here-document of at most this size fits into any pipe: PIPE_BUF of POSIX is less, Linux's is this.
const PIPE_CAPACITY: usize = 4096;

/// What a descriptor becomes.
enum Source {
    File(OwnedFd),
    /// Standard output and standard error become it.
    Both(OwnedFd),
    Descriptor(RawFd),
    Closed,
}

/// A failed call and the descriptor that it was about.
type Changed = Result<(), (RawFd, Errno)>;

impl Shell<'_> {
    /// Applies redirections in their order. `None`: an error, with its status, has been reported, and what was done is undone.
    pub(in crate::shell) fn redirect(&mut self, redirects: &[Redirect]) -> Flow<Option<Undo>> {
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

    /// Makes `file` the descriptor `fd`, until it is undone.
    pub(in crate::shell) fn attach(&mut self, file: OwnedFd, fd: RawFd) -> std::io::Result<Undo> {
        let saved = match descriptor::save(fd) {
            Ok(saved) => Some(saved),
            Err(Errno::EBADF) => None,
            Err(errno) => return Err(errno.into()),
        };
        descriptor::transfer(file.into_raw_fd(), fd)?;
        Ok(Undo(vec![(fd, saved)]))
    }

    /// The redirections of a command that gets a process of its own, expanded in this one: what that assigns stays, and an
    /// error in it ends the script.
    pub(in crate::shell) fn expand_redirects<'r>(
        &mut self,
        redirects: &'r [Redirect],
    ) -> Flow<Option<Cow<'r, [Redirect]>>> {
        if redirects.iter().all(Redirect::is_constant) {
            return Ok(Some(Cow::Borrowed(redirects)));
        }
        let expanded = redirects.iter().map(|redirect| self.expand_redirect(redirect)).collect::<Flow<Option<_>>>()?;
        Ok(expanded.map(Cow::Owned))
    }

    fn expand_redirect(&mut self, redirect: &Redirect) -> Flow<Option<Redirect>> {
        let quoted = |text| Word { parts: vec![Part::Quoted(text)], assignment: false };
        let mut expanded = redirect.clone();
        match &mut expanded.kind {
            RedirectKind::Here(body) => {
                let Some(text) = self.expand_here(body)? else { return Ok(None) };
                *body = Rc::new(OnceCell::from(quoted(text)));
            }
            RedirectKind::Read(word)
            | RedirectKind::Write { target: word, .. }
            | RedirectKind::Append(word)
            | RedirectKind::ReadWrite(word)
            | RedirectKind::Copy { word, .. }
            | RedirectKind::Both { target: word, .. }
            | RedirectKind::HereString(word) => *word = quoted(self.expand_single(word)?),
        }
        Ok(Some(expanded))
    }

    /// The body of a here-document. As in other shells an error in it is no more than one of the redirection: `None`.
    fn expand_here(&mut self, body: &OnceCell<Word>) -> Flow<Option<Text>> {
        let parts = body.get().map(|word| word.parts.as_slice()).unwrap_or_default();
        match self.expand_parts(parts, true) {
            Err(Interrupt::Abort) => Ok(None),
            text => text.map(Some),
        }
    }

    pub(in crate::shell) fn undo(&mut self, undo: Undo) {
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
                Some(saved) => descriptor::number(saved, fd).and_then(|()| descriptor::close(saved)),
                None => descriptor::close(fd),
            };
        }
    }

    /// Reports why a redirection fails.
    fn refuse(&mut self, message: impl Display) {
        self.complain(message);
        self.status = 1;
    }

    /// `false`: it failed, and that was reported.
    fn apply(&mut self, redirect: &Redirect, undo: &mut Undo) -> Flow<bool> {
        let Some(source) = self.open(redirect)? else { return Ok(false) };
        let before = undo.0.len();
        let changed = match &redirect.fd {
            Descriptor::Number(fd) => undo.become_source(*fd, source),
            Descriptor::Named(name) => match self.allocate(name, source) {
                Ok(Some(fd)) => return self.assign(name, fd.to_string().into_bytes()).map(|()| true),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
        };
        for _ in undo.0[before..].iter().filter(|(fd, _)| *fd == 1) {
            self.io.out.mask_capture(true);
        }
        if let Err((fd, errno)) = changed {
            self.refuse(format_args!("{fd}: {}", reason(&errno.into())));
        }
        Ok(changed.is_ok())
    }

    /// `{name}>…`: a free descriptor, which stays when the command has ended. `{name}>&-` closes that of the value.
    fn allocate(&self, name: &[u8], source: Source) -> Result<Option<RawFd>, (RawFd, Errno)> {
        let from = match &source {
            Source::File(file) | Source::Both(file) => file.as_raw_fd(),
            Source::Descriptor(from) => *from,
            Source::Closed => {
                let fd = self.variables.get(name).and_then(number).ok_or((-1, Errno::EBADF))?;
                return descriptor::close(fd).map(|()| None).map_err(|errno| (fd, errno));
            }
        };
        descriptor::allocate(from).map(Some).map_err(|errno| (from, errno))
    }

    fn open(&mut self, redirect: &Redirect) -> Flow<Option<Source>> {
        let (word, flags) = match &redirect.kind {
            RedirectKind::Read(word) => (word, OFlag::O_RDONLY),
            RedirectKind::Write { target, clobber } => (target, self.create(*clobber)),
            RedirectKind::Append(word) => (word, APPEND),
            RedirectKind::ReadWrite(word) => (word, OFlag::O_RDWR | OFlag::O_CREAT),
            RedirectKind::Both { target, append } => {
                let name = self.expand_single(target)?;
                let flags = if *append { APPEND } else { self.create(false) };
                return Ok(self.open_file(&name, flags).map(Source::Both));
            }
            RedirectKind::Copy { word, input } => return self.copy(word, *input, &redirect.fd),
            RedirectKind::Here(body) => {
                let text = self.expand_here(body)?;
                return Ok(text.and_then(|text| self.open_text(&text)));
            }
            RedirectKind::HereString(word) => {
                let mut text = self.expand_single(word)?;
                text.push(b'\n');
                return Ok(self.open_text(&text));
            }
        };
        let name = self.expand_single(word)?;
        Ok(self.open_file(&name, flags).map(Source::File))
    }

    /// How `>` opens.
    fn create(&self, clobber: bool) -> OFlag {
        let keep = self.options.noclobber && !clobber;
        OFlag::O_WRONLY | OFlag::O_CREAT | if keep { OFlag::O_EXCL } else { OFlag::O_TRUNC }
    }

    /// `None`: it failed, and that was reported.
    pub(in crate::shell) fn open_file(&mut self, name: &[u8], flags: OFlag) -> Option<OwnedFd> {
        let path = os(name);
        let path = Path::new(&path);
        let mut opened = self.files.open_with(path, flags, Mode::from_bits_truncate(0o666));
        let is_regular = |mode| mode & libc::S_IFMT == libc::S_IFREG;
        if flags.contains(OFlag::O_EXCL)
            && opened.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EEXIST))
            && self.files.metadata(path).is_ok_and(|stat| !is_regular(stat.st_mode))
        {
            // noclobber protects regular files, not devices and pipes. What is opened may be another file than the one
            // that was looked at.
            opened = self.files.open_with(path, OFlag::O_WRONLY, Mode::empty());
            if opened.as_ref().is_ok_and(|file| nix::sys::stat::fstat(file).is_ok_and(|stat| is_regular(stat.st_mode)))
            {
                opened = Err(Errno::EEXIST.into());
            }
        }
        match opened {
            Ok(file) => Some(file.into()),
            Err(error) => {
                let verb = if flags.contains(OFlag::O_CREAT) { "cannot create" } else { "cannot open" };
                self.refuse(format_args!("{verb} {}: {}", Safe(name), reason(&error)));
                None
            }
        }
    }

    fn open_text(&mut self, text: &[u8]) -> Option<Source> {
        match here(text) {
            Ok(file) => Some(Source::File(file)),
            Err(error) => {
                self.refuse(format_args!("here-document: {}", reason(&error)));
                None
            }
        }
    }

    /// `<&` and `>&`: a descriptor that is open in that direction (XCU 2.7.5, 2.7.6), or `-`; like bash and busybox ash,
    /// `>&` with anything else is `&>`.
    fn copy(&mut self, word: &Word, input: bool, fd: &Descriptor) -> Flow<Option<Source>> {
        let text = self.expand_single(word)?;
        if text == b"-" {
            return Ok(Some(Source::Closed));
        }
        let Some(from) = number(&text) else {
            if !input && !text.is_empty() && *fd == Descriptor::Number(1) {
                let flags = self.create(false);
                return Ok(self.open_file(&text, flags).map(Source::Both));
            }
            self.refuse(format_args!("{}: bad file descriptor", Safe(&text)));
            return Ok(None);
        };
        let why = match descriptor::directions(from) {
            Ok((true, _)) if input => None,
            Ok((_, true)) if !input => None,
            Ok(_) if input => Some(String::from("not open for reading")),
            Ok(_) => Some(String::from("not open for writing")),
            Err(errno) => Some(reason(&errno.into())),
        };
        if let Some(why) = &why {
            self.refuse(format_args!("{from}: {why}"));
        }
        Ok(why.is_none().then_some(Source::Descriptor(from)))
    }
}

/// How `>>` opens.
const APPEND: OFlag = OFlag::O_WRONLY.union(OFlag::O_CREAT).union(OFlag::O_APPEND);

/// A descriptor's number.
fn number(text: &[u8]) -> Option<RawFd> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl Undo {
    fn become_source(&mut self, fd: RawFd, source: Source) -> Changed {
        match source {
            Source::File(file) => self.become_file(fd, file),
            Source::Both(file) => {
                self.become_file(1, file)?;
                self.become_copy(2, 1)
            }
            Source::Descriptor(from) => self.become_copy(fd, from),
            Source::Closed => {
                self.save(fd)?;
                // Closing what is closed is no error.
                let _ = descriptor::close(fd);
                Ok(())
            }
        }
    }

    fn become_file(&mut self, fd: RawFd, file: OwnedFd) -> Changed {
        // Where `fd` was closed, the file may have got its number, and then it must not be closed with the file.
        if file.as_raw_fd() == fd {
            self.0.push((fd, None));
            return descriptor::number(file.into_raw_fd(), fd).map_err(|errno| (fd, errno));
        }
        self.become_copy(fd, file.as_raw_fd())
    }

    fn become_copy(&mut self, fd: RawFd, from: RawFd) -> Changed {
        self.save(fd)?;
        descriptor::number(from, fd).map_err(|errno| (fd, errno))
    }

    /// Notes what a descriptor is, so that it can be that again.
    fn save(&mut self, fd: RawFd) -> Changed {
        match descriptor::save(fd) {
            Ok(saved) => self.0.push((fd, Some(saved))),
            Err(Errno::EBADF) => self.0.push((fd, None)),
            Err(errno) => return Err((fd, errno)),
        }
        Ok(())
    }

    /// Lets the redirections stand (`exec >file`, a child that ends with them).
    pub(in crate::shell) fn keep(self) {
        for saved in self.0.into_iter().filter_map(|(_, saved)| saved) {
            let _ = descriptor::close(saved);
        }
    }
}

/// A descriptor that reads `text`: a pipe, or a memory file, never /tmp.
pub fn here(text: &[u8]) -> std::io::Result<OwnedFd> {
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
