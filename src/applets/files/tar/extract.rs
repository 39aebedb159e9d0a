//! Taking files out of an archive. Each is made by a descriptor of its directory, which is opened so that no way leads
//! out of the one that everything goes to.
//!
//! Longer than most because every kind of file is made in its own way, and something may be in its place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, makedev, umask};
use nix::unistd::geteuid;

use super::{Lines, Operand, Options, Wanted, from};
use crate::applet::{Context, Error, Exit, Result, os, reason};
use crate::archive::{Archive, Header, Kind};
use crate::output::{Safe, units};
use crate::target::files::Directory;

const BUFFER: usize = 128 * 1024;

pub fn run(cx: &mut Context<'_>, options: &Options) -> Result<Exit> {
    let mut base = PathBuf::new();
    for operand in &options.operands.0 {
        if let Operand::Directory(path) = operand {
            base = from(&base, path);
        }
    }
    let mut archive = options.open(cx)?;
    let mut wanted = Wanted::new(cx, options)?;
    let base = if base.as_os_str().is_empty() { PathBuf::from(".") } else { base };
    let failed = |error: io::Error| Error::message(format_args!("{}: {}", Safe::path(&base), reason(&error)));
    let directory = cx.files.directory(&base).map_err(failed)?;
    let mask = umask(Mode::empty());
    umask(mask);
    let root = geteuid().is_root();
    let exact = options.preserve_permissions || (root && !options.no_same_permissions);
    let mut extract = Extract {
        options,
        base: directory,
        parent: None,
        unfinished: Vec::new(),
        mask: if exact { 0 } else { mask.bits() | 0o7000 },
        owners: options.same_owner || (root && !options.no_same_owner),
        noted: false,
        buffer: vec![0; BUFFER],
    };
    let mut lines = Lines::new(cx, options);
    loop {
        match archive.member() {
            Ok(Some(header)) if options.excludes(&header.name) || !wanted.takes(&header.name) => {}
            Ok(Some(header)) => {
                if options.verbose {
                    let line = lines.line(&header);
                    match options.to_stdout {
                        true => {
                            let _ = cx.io.err.write_all(&line);
                        }
                        false => cx.io.out.write_all(&line)?,
                    }
                }
                match archive.sparse {
                    true => complain(cx, &header.name, "is sparse, which is not known here"),
                    false if options.to_stdout => print(cx, options, &mut archive, &header)?,
                    false => extract.member(cx, &mut archive, header)?,
                }
            }
            Ok(None) => break,
            Err(error) => {
                extract.finish(cx, b"");
                return Err(options.failed(&error));
            }
        }
    }
    extract.finish(cx, b"");
    wanted.finish(cx);
    Ok(Exit(0))
}

/// A file's data on standard output.
fn print(cx: &mut Context<'_>, options: &Options, archive: &mut Archive<'_>, header: &Header) -> Result<()> {
    if header.kind != Kind::File {
        return Ok(());
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        match archive.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => cx.io.out.write_all(&buffer[..length])?,
            Err(error) => return Err(options.failed(&error)),
        }
    }
}

fn complain(cx: &mut Context<'_>, name: &[u8], why: &str) {
    cx.warn(format_args!("{}: {why}", Safe(name)));
}

struct Extract<'a> {
    options: &'a Options,
    base: Directory,
    /// The directory of the last member.
    parent: Option<(PathBuf, Directory)>,
    /// Directories that are still filled: their modes may forbid that, and their times would change.
    unfinished: Vec<(PathBuf, Header)>,
    /// What is taken away from modes.
    mask: u32,
    owners: bool,
    noted: bool,
    buffer: Vec<u8>,
}

/// The names of a path without `.` and without what stands before the first one; nothing for a path that climbs.
fn names(path: &[u8]) -> Option<Vec<&[u8]>> {
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    (!names.contains(&&b".."[..]) && !path.contains(&0)).then_some(names)
}

fn joined(names: &[&[u8]]) -> PathBuf {
    names.iter().map(|name| OsStr::from_bytes(name)).collect()
}

impl Extract<'_> {
    fn member(&mut self, cx: &mut Context<'_>, archive: &mut Archive<'_>, header: Header) -> Result<()> {
        let strip = self.options.strip_components;
        let Some(names) = names(&header.name) else {
            complain(cx, &header.name, "climbs by '..' out of the directory, not extracted");
            return Ok(());
        };
        if header.name.starts_with(b"/") && !std::mem::replace(&mut self.noted, true) {
            cx.note("removing leading '/' from member names");
        }
        if strip > 0 && names.len() <= strip {
            return Ok(());
        }
        let path = joined(names.get(strip..).unwrap_or_default());
        self.finish(cx, path.as_os_str().as_bytes());
        if header.kind == Kind::Directory {
            if let Err(error) = self.directory(&path, &header) {
                complain(cx, &header.name, &reason(&error));
            }
            return Ok(());
        }
        let (above, Some(name)) = (path.parent().unwrap_or(Path::new("")), path.file_name()) else {
            complain(cx, &header.name, "has no name, not extracted");
            return Ok(());
        };
        // Taken out while it is used, because what is made may be in the way of itself.
        let parent = match self.parent.take() {
            Some((path, directory)) if path == above => Ok(directory),
            _ => self.descend(above),
        };
        let parent = match parent {
            Ok(parent) => parent,
            Err(error) => {
                complain(cx, &header.name, &reason(&error));
                return Ok(());
            }
        };
        let (above, name) = (above.to_path_buf(), name.to_os_string());
        let made = match header.kind {
            Kind::File => return self.file(cx, archive, &header, parent, above, &name),
            Kind::Link => self.link(&header, &parent, &name),
            Kind::Symlink => {
                self.replacing(&parent, &name, || parent.make_symlink(&name, OsStr::from_bytes(&header.link)))
            }
            Kind::Fifo | Kind::Character | Kind::Block => {
                let mode = header.kind.mode() | header.mode & 0o777;
                let device = makedev(header.device.0, header.device.1);
                self.replacing(&parent, &name, || parent.make_node(&name, mode, device))
            }
            _ => Err(io::Error::other("is of an unknown kind, not extracted")),
        };
        let made = match (made, header.kind) {
            (Ok(()), Kind::Link) => Ok(()),
            (Ok(()), kind) => self.attributes(&parent, &name, &header, kind != Kind::Symlink),
            (failed, _) => failed,
        };
        if let Err(error) = made {
            complain(cx, &header.name, &reason(&error));
        }
        self.parent = Some((above, parent));
        Ok(())
    }

    /// Does it again without what is in its place.
    fn replacing<T>(&self, parent: &Directory, name: &OsStr, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match make() {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) && !self.options.keep_old_files => {
                parent.remove(name)?;
                make()
            }
            made => made,
        }
    }

    /// The directory of that path, made as far as it is not there.
    fn descend(&self, path: &Path) -> io::Result<Directory> {
        if path.as_os_str().is_empty() {
            return self.base.directory(OsStr::new("."));
        }
        match self.base.beneath(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                let above = self.descend(path.parent().unwrap_or(Path::new("")))?;
                let name = path.file_name().unwrap_or(OsStr::new("."));
                match above.make_directory(name, 0o777) {
                    // A symbolic link that leads nowhere.
                    Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                        Err(io::Error::from_raw_os_error(libc::ENOENT))
                    }
                    made => made.and_then(|()| above.directory(name)),
                }
            }
            opened => opened,
        }
    }

    fn directory(&mut self, path: &Path, header: &Header) -> io::Result<()> {
        if let Some(name) = path.file_name() {
            let above = self.descend(path.parent().unwrap_or(Path::new("")))?;
            match above.make_directory(name, header.mode & 0o777 & !self.mask | 0o700) {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                    let found = above.symlink_metadata(name)?.st_mode & libc::S_IFMT;
                    let is_link = found == libc::S_IFLNK;
                    // A link to a directory inside stands for it.
                    if found != libc::S_IFDIR && !(is_link && self.base.beneath(path).is_ok()) {
                        self.replacing(&above, name, || above.make_directory(name, 0o700))?;
                    }
                }
                made => made?,
            }
        }
        self.unfinished.push((path.to_path_buf(), header.clone()));
        Ok(())
    }

    /// Gives directories that `next` is not in what the archive says of them.
    fn finish(&mut self, cx: &mut Context<'_>, next: &[u8]) {
        let next = Path::new(OsStr::from_bytes(next));
        while let Some((path, _)) = self.unfinished.last() {
            if !next.as_os_str().is_empty() && next.starts_with(path) {
                return;
            }
            let Some((path, header)) = self.unfinished.pop() else { return };
            let opened = if path.as_os_str().is_empty() { self.descend(&path) } else { self.base.beneath(&path) };
            let here = OsStr::new(".");
            let set = opened.and_then(|directory| {
                if self.owners {
                    self.owner(&directory, here, &header)?;
                }
                directory.set_own_mode(header.mode & 0o7777 & !self.mask)?;
                if !self.options.touch {
                    directory.set_times(here, (header.time, 0), (header.time, 0))?;
                }
                Ok(())
            });
            match set {
                // A directory that was there before and belongs to somebody else stays as it is.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
                Err(error) => complain(cx, &header.name, &reason(&error)),
                Ok(()) => {}
            }
        }
    }

    fn owner(&self, directory: &Directory, name: &OsStr, header: &Header) -> io::Result<()> {
        let number = |value: u64| u32::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL));
        directory.set_owner(name, number(header.user)?, number(header.group)?)
    }

    /// The owner first: a change of it takes away set-user-ID.
    fn attributes(&self, parent: &Directory, name: &OsStr, header: &Header, mode: bool) -> io::Result<()> {
        if self.owners {
            self.owner(parent, name, header)?;
        }
        if mode {
            parent.set_mode(name, header.mode & 0o7777 & !self.mask)?;
        }
        if !self.options.touch {
            parent.set_times(name, (header.time, 0), (header.time, 0))?;
        }
        Ok(())
    }

    fn link(&self, header: &Header, parent: &Directory, name: &OsStr) -> io::Result<()> {
        let climbs = || io::Error::other("is a link to what is outside of the directory, not extracted");
        let to = names(&header.link).ok_or_else(climbs)?;
        let to = to.get(self.options.strip_components..).unwrap_or_default();
        let (entry, above) = to.split_last().ok_or_else(climbs)?;
        let above = joined(above);
        let (entry, other) =
            (os(entry), if above.as_os_str().is_empty() { self.descend(&above)? } else { self.base.beneath(&above)? });
        let first = other.symlink_metadata(&entry)?;
        if parent.symlink_metadata(name).is_ok_and(|own| (own.st_dev, own.st_ino) == (first.st_dev, first.st_ino)) {
            return Ok(());
        }
        self.replacing(parent, name, || parent.make_link(name, &other, &entry))
    }

    fn file(
        &mut self,
        cx: &mut Context<'_>,
        archive: &mut Archive<'_>,
        header: &Header,
        parent: Directory,
        above: PathBuf,
        name: &OsString,
    ) -> Result<()> {
        // Nobody may read a secret before it has its mode and its owner.
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let made = self.replacing(&parent, name, || parent.open(name, flags, header.mode & 0o700));
        let mut file: File = match made {
            Ok(file) => file,
            Err(error) => {
                complain(cx, &header.name, &reason(&error));
                return Ok(());
            }
        };
        let mut done = 0;
        loop {
            let length = match archive.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) => {
                    self.finish(cx, b"");
                    complain(
                        cx,
                        &header.name,
                        &format!("only {} of {}", units::bytes(done), units::bytes(header.size)),
                    );
                    return Err(self.options.failed(&error));
                }
            };
            if let Err(error) = file.write_all(&self.buffer[..length]) {
                let most = units::bytes(header.size);
                complain(cx, &header.name, &format!("{}; it is incomplete, {most} in the archive", reason(&error)));
                // Nothing that follows would find room.
                return match error.raw_os_error() {
                    Some(libc::ENOSPC | libc::EDQUOT) => Err(Error::Exit(Exit(2))),
                    _ => Ok(()),
                };
            }
            done += length as u64;
        }
        drop(file);
        if let Err(error) = self.attributes(&parent, name, header, true) {
            complain(cx, &header.name, &reason(&error));
        }
        self.parent = Some((above, parent));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_members() {
        let joined = |path: &str| names(path.as_bytes()).map(|names| joined(&names));
        assert_eq!(joined("/a//./b/"), Some(PathBuf::from("a/b")));
        assert_eq!(joined("./"), Some(PathBuf::new()));
        assert_eq!((joined("a/../b"), joined(".."), joined("a\0b")), (None, None, None));
        assert_eq!(joined("a..b/..c"), Some(PathBuf::from("a..b/..c")));
    }
}
