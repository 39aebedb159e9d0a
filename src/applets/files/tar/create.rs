//! Putting files into an archive.
//!
//! Longer than most because every kind of file is put in in its own way, and may change meanwhile.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat, major, minor};

use super::{Operand, Options, from, output};
use crate::applet::{Context, Error, Exit, Result, reason};
use crate::archive::gzip::Encoder;
use crate::archive::reader::padding;
use crate::archive::{BLOCK, Header, Kind};
use crate::output::{Safe, shown, units};
use crate::target::files::Directory;
use crate::target::place::Place;
use crate::target::{Users, Whose};

/// How deep a tree may be: the kernel takes no longer path.
const DEPTH: usize = 2048;

/// An archive is filled up to a multiple of this.
const RECORD: u64 = 10240;

const BUFFER: usize = 128 * 1024;

/// Of packing, as gzip has it: neither the fastest nor the smallest.
const LEVEL: u8 = 6;

/// As much as is read ahead of a file that looks empty, as those that the kernel makes up do.
const MADE_UP: u64 = 1 << 20;

pub fn run(cx: &mut Context<'_>, options: &Options) -> Result<Exit> {
    let operands = &options.operands.0;
    if options.files_from.is_none() && !operands.iter().any(|operand| matches!(operand, Operand::Member(_))) {
        return Err(Error::usage("an empty archive is not made: name files"));
    }
    let listed = options.listed(cx)?;
    let file = output(cx, options)?;
    let own = fstat(&file).ok().filter(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFREG);
    let buffered = BufWriter::with_capacity(BUFFER, file);
    let mut create = Create {
        options,
        sink: match options.gzip {
            true => Sink::Packed(Box::new(Encoder::new(buffered, LEVEL))),
            false => Sink::Plain(buffered),
        },
        written: 0,
        own: own.as_ref().map(identity),
        users: Users::new(cx.files),
        linked: HashMap::new(),
        above: Vec::new(),
        device: 0,
        noted: false,
        failed: false,
        changed: false,
        buffer: vec![0; BUFFER],
    };
    let mut base = PathBuf::new();
    for operand in operands {
        match operand {
            Operand::Directory(path) => {
                base = from(&base, path);
                if let Err(error) = cx.files.directory(&base) {
                    return Err(Error::message(format_args!("{}: {}", Safe::path(&base), reason(&error))));
                }
            }
            Operand::Member(name) => create.operand(cx, &base, name)?,
        }
    }
    for name in listed {
        create.operand(cx, &base, &name?)?;
    }
    let status = if create.failed { 2 } else { u8::from(create.changed) };
    create.finish()?;
    Ok(Exit(status))
}

fn identity(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

enum Sink {
    Plain(BufWriter<File>),
    Packed(Box<Encoder<BufWriter<File>>>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Plain(sink) => sink.write(bytes),
            Sink::Packed(sink) => sink.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Plain(sink) => sink.flush(),
            Sink::Packed(sink) => sink.flush(),
        }
    }
}

struct Create<'a> {
    options: &'a Options,
    sink: Sink,
    written: u64,
    /// The archive, which is not to be put into itself.
    own: Option<(u64, u64)>,
    users: Users<'a>,
    /// The members of files that have several names.
    linked: HashMap<(u64, u64), Vec<u8>>,
    /// The directories that lead to the one being read.
    above: Vec<(u64, u64)>,
    /// Of the operand.
    device: u64,
    /// It was said that names become relative.
    noted: bool,
    failed: bool,
    changed: bool,
    buffer: Vec<u8>,
}

impl Create<'_> {
    fn operand(&mut self, cx: &mut Context<'_>, base: &Path, name: &OsStr) -> Result<()> {
        let path = from(base, name);
        let (left, inner) = relative(name.as_bytes());
        if !left.is_empty() && !std::mem::replace(&mut self.noted, true) {
            cx.note(format_args!("removing leading '{}' from member names", Safe(left)));
        }
        let place = Place { within: None, path: &path, follow: self.options.dereference };
        if let Ok(stat) = place.stat(cx.files) {
            self.device = stat.st_dev;
        }
        let whose = cx.files.whose(&path);
        self.entry(cx, &place, inner.to_vec(), whose)
    }

    fn warn(&mut self, cx: &mut Context<'_>, path: &Path, why: &str) {
        self.failed = true;
        cx.warn(format_args!("{}: {why}", Safe::path(path)));
    }

    /// A file that is not as it was a moment ago.
    fn note(&mut self, cx: &mut Context<'_>, path: &Path, why: &str) {
        self.changed = true;
        cx.note(format_args!("{}: {why}", Safe::path(path)));
    }

    fn unreadable(&mut self, cx: &mut Context<'_>, place: &Place<'_>, error: &io::Error) {
        match error.raw_os_error() {
            Some(libc::ENOENT) if place.within.is_some() => self.note(cx, place.path, "vanished before it was read"),
            _ => self.warn(cx, place.path, &reason(error)),
        }
    }

    fn entry(&mut self, cx: &mut Context<'_>, place: &Place<'_>, mut name: Vec<u8>, whose: Whose) -> Result<()> {
        if self.options.excludes(&name) {
            return Ok(());
        }
        let stat = match place.stat(cx.files) {
            Ok(stat) => stat,
            Err(error) => {
                self.unreadable(cx, place, &error);
                return Ok(());
            }
        };
        if self.own == Some(identity(&stat)) {
            cx.note(format_args!("{}: is the archive itself, left out", Safe::path(place.path)));
            return Ok(());
        }
        let mut header = self.header(&stat, whose);
        let again = (stat.st_nlink > 1 && header.kind != Kind::Directory).then(|| self.linked.get(&identity(&stat)));
        match again {
            Some(Some(first)) => {
                header = Header { kind: Kind::Link, link: first.clone(), size: 0, ..header };
            }
            Some(None) => {
                self.linked.insert(identity(&stat), name.clone());
            }
            None => {}
        }
        match header.kind {
            Kind::Directory => {
                let opened = place.directory(cx.files).and_then(|directory| Ok((directory.read()?, directory)));
                if !name.ends_with(b"/") {
                    name.push(b'/');
                }
                header.name = name.clone();
                // What cannot be read is there all the same.
                self.put(cx, &header)?;
                match opened {
                    Ok((entries, directory)) => self.below(cx, place.path, &directory, entries, &stat, &name, whose),
                    Err(error) => {
                        self.unreadable(cx, place, &error);
                        Ok(())
                    }
                }
            }
            Kind::File => {
                header.name = name;
                self.file(cx, place, header)
            }
            Kind::Symlink => match place.link(cx.files) {
                Ok(link) => {
                    header = Header { name, link: link.into_vec(), ..header };
                    self.put(cx, &header)
                }
                Err(error) => {
                    self.unreadable(cx, place, &error);
                    Ok(())
                }
            },
            Kind::Other(_) => {
                cx.note(format_args!("{}: a socket, left out", Safe::path(place.path)));
                Ok(())
            }
            _ => {
                header.name = name;
                self.put(cx, &header)
            }
        }
    }

    fn header(&self, stat: &FileStat, whose: Whose) -> Header {
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            libc::S_IFCHR => Kind::Character,
            libc::S_IFBLK => Kind::Block,
            libc::S_IFIFO => Kind::Fifo,
            _ => Kind::Other(0),
        };
        let named =
            |name: Option<&[u8]>| if self.options.numeric_owner { None } else { name }.unwrap_or_default().to_vec();
        Header {
            name: Vec::new(),
            kind,
            mode: stat.st_mode & 0o7777,
            user: u64::from(stat.st_uid),
            group: u64::from(stat.st_gid),
            size: if kind == Kind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 },
            time: stat.st_mtime,
            link: Vec::new(),
            user_name: named(self.users.user(stat.st_uid, whose)),
            group_name: named(self.users.group(stat.st_gid, whose)),
            device: (major(stat.st_rdev), minor(stat.st_rdev)),
        }
    }

    /// What is in a directory.
    #[expect(clippy::too_many_arguments, reason = "what the level above knows of it")]
    fn below(
        &mut self,
        cx: &mut Context<'_>,
        path: &Path,
        directory: &Directory,
        entries: impl Iterator<Item = io::Result<crate::target::files::Entry>>,
        stat: &FileStat,
        name: &[u8],
        whose: Whose,
    ) -> Result<()> {
        let own = identity(stat);
        if self.above.contains(&own) || self.above.len() == DEPTH {
            let why = if self.above.len() == DEPTH { "too deep" } else { "leads back to a directory above" };
            self.warn(cx, path, why);
            return Ok(());
        }
        self.above.push(own);
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry.name,
                Err(error) => {
                    self.warn(cx, path, &reason(&error));
                    break;
                }
            };
            let inner = path.join(&entry);
            let place = Place { within: Some((directory, &entry)), path: &inner, follow: self.options.dereference };
            if self.options.one_file_system && place.stat(cx.files).is_ok_and(|stat| stat.st_dev != self.device) {
                continue;
            }
            self.entry(cx, &place, [name, entry.as_bytes()].concat(), whose)?;
        }
        self.above.pop();
        Ok(())
    }

    /// A header says how long a file is before it is read, so that many bytes have to follow.
    fn file(&mut self, cx: &mut Context<'_>, place: &Place<'_>, mut header: Header) -> Result<()> {
        // What took the place of the file meanwhile is not waited for.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let opened = place.open(cx.files, flags).and_then(|file| Ok((fstat(&file)?, file)));
        let (stat, mut file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.unreadable(cx, place, &error);
                return Ok(());
            }
        };
        header.size = u64::try_from(stat.st_size).unwrap_or(0);
        if header.size == 0 {
            let mut text = Vec::new();
            if let Err(error) = (&file).take(MADE_UP).read_to_end(&mut text) {
                self.warn(cx, place.path, &reason(&error));
            }
            header.size = text.len() as u64;
            self.put(cx, &header)?;
            self.data(&text)?;
            return self.pad(padding(header.size));
        }
        self.put(cx, &header)?;
        let mut left = header.size;
        let mut buffer = std::mem::take(&mut self.buffer);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
            match file.read(&mut buffer[..most]) {
                Ok(0) => {
                    let why = format!("has become shorter: {} of it are zeroes in the archive", units::bytes(left));
                    self.note(cx, place.path, &why);
                    break;
                }
                Ok(length) => {
                    self.data(&buffer[..length])?;
                    left -= length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let why = format!("{}: {} of it are zeroes in the archive", reason(&error), units::bytes(left));
                    self.warn(cx, place.path, &why);
                    break;
                }
            }
        }
        self.buffer = buffer;
        self.pad(left)?;
        self.pad(padding(header.size))
    }

    fn put(&mut self, cx: &mut Context<'_>, header: &Header) -> Result<()> {
        if self.options.verbose {
            let line = [&*shown(&header.name, cx.terminal()), b"\n"].concat();
            match self.options.is_standard() {
                // Standard output is the archive.
                true => {
                    let _ = cx.io.err.write_all(&line);
                }
                false => cx.io.out.write_all(&line)?,
            }
        }
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        self.data(&bytes)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<()> {
        self.written += bytes.len() as u64;
        self.sink.write_all(bytes).map_err(|error| unwritten(self.options, error))
    }

    fn pad(&mut self, mut count: u64) -> Result<()> {
        let zeroes = [0; 8 * BLOCK];
        while count > 0 {
            let most = usize::try_from(count).unwrap_or(zeroes.len()).min(zeroes.len());
            self.data(&zeroes[..most])?;
            count -= most as u64;
        }
        Ok(())
    }

    /// Two empty blocks, and up to the end of the record.
    fn finish(mut self) -> Result<()> {
        let end = self.written + 2 * BLOCK as u64;
        self.pad(end.next_multiple_of(RECORD) - self.written)?;
        let options = self.options;
        let finished = match self.sink {
            Sink::Plain(mut sink) => sink.flush(),
            Sink::Packed(sink) => sink.finish().and_then(|mut sink| sink.flush()),
        };
        finished.map_err(|error| unwritten(options, error))
    }
}

/// A closed pipe is nothing to talk about; a full disk is, and what is on it is no archive.
fn unwritten(options: &Options, error: io::Error) -> Error {
    match options.is_standard() {
        true => Error::Write(error),
        false => Error::message(format_args!("{}: {}; it is incomplete", options.archive(), reason(&error))),
    }
}

/// What is left out at the start of a name, and the rest: a member's name is relative and climbs nowhere.
fn relative(name: &[u8]) -> (&[u8], &[u8]) {
    let mut start = if name.starts_with(b"@/") { 2 } else { 0 };
    let mut at = 0;
    for part in name.split(|byte| *byte == b'/') {
        let end = (at + part.len() + 1).min(name.len());
        if part == b".." || (part.is_empty() && at == start) {
            start = start.max(end);
        }
        at = end;
    }
    let (left, rest) = name.split_at(start);
    (left, if rest.is_empty() { b"./" } else { rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_names() {
        for (name, left, rest) in [
            ("a/b", "", "a/b"),
            ("/a/b", "/", "a/b"),
            ("//a", "//", "a"),
            ("@/etc/x", "@/", "etc/x"),
            ("@/", "@/", "./"),
            ("/", "/", "./"),
            ("../a", "../", "a"),
            ("a/../b", "a/../", "b"),
            ("..", "..", "./"),
            ("./a", "", "./a"),
            (".", "", "."),
            ("a//b", "", "a//b"),
        ] {
            assert_eq!(relative(name.as_bytes()), (left.as_bytes(), rest.as_bytes()), "{name}");
        }
    }
}
