//! drift: what has changed in the target since it was started: the files of its live root against our own, which is a
//! fresh copy of its image where the sidecar was started from that (`recipe`). No standard.
//!
//! Compared are kinds, sizes, modes, owners, where links lead, and contents. Mounts are left out on both sides and
//! listed: they are no part of the image. In an overlay made of the same layers, what has the same inode and the same
//! time of its last change on both sides is the file in that layer, and below such a directory there is no change either:
//! what is written is copied up first, and gets the time of that. So only what was touched is read; `--thorough` reads
//! everything. One level of directories is in memory at a time.
//!
//! Longer than most because it tells what it could not compare, and why, as exactly as what it could.
//!
//! Exit status: 0 no drift, 1 drift, 2 trouble: there is nothing to compare with, or something could not be read and
//! nothing else has changed. With `--json` an object for each change, and a summary.

mod pristine;
mod row;

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::iter::Peekable;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::FileStat;

use self::pristine::Mounts;
use self::row::Report;
use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::archive::reader::fill;
use crate::output::{Safe, order};
use crate::shell::expand::character::Encoding;
use crate::shell::expand::pattern;
use crate::target::files::Directory;

pub static APPLET: Applet = Applet {
    names: &["drift"],
    usage: <Options as clap::CommandFactory>::command,
    run,
    place: Place::Child,
    trouble: 2,
};

/// How deep a tree may be: the kernel takes no longer path.
const DEPTH: usize = 2048;

const BUFFER: usize = 64 * 1024;

/// Show which files of the target are no longer those of its image
#[derive(clap::Parser)]
#[command(after_help = "Status: 0 no drift, 1 drift, 2 trouble.")]
struct Options {
    /// Write JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Only count
    #[arg(short, long)]
    summary: bool,
    /// Leave out what matches a pattern: a path, or names at its end
    #[arg(short = 'x', long, value_name = "PATTERN")]
    exclude: Vec<OsString>,
    /// Compare sizes and times, not contents
    #[arg(long)]
    no_content: bool,
    /// Read also what the layers of the image prove to be the same
    #[arg(long)]
    thorough: bool,
    /// Compare although our root is not the target's image
    #[arg(long)]
    anyway: bool,
    /// Only there (/etc or @/etc)
    #[arg(value_name = "PATH", default_value = "/", hide_default_value = true)]
    paths: Vec<PathBuf>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let paths = options.paths.iter().map(|path| absolute(path)).collect::<Result<Vec<PathBuf>>>()?;
    let pristine = pristine::find(cx, options.anyway)?;
    let report = Report::new(cx.files, options.json, options.summary);
    let proof = pristine.same_layers && !options.thorough;
    let mut walk = Walk { options, mounts: pristine.mounts, proof, report, depth: 0 };
    for path in &paths {
        walk.operand(cx, path)?;
    }
    let Walk { mut report, mounts, options, .. } = walk;
    let within = |point: &[u8]| paths.iter().any(|path| Path::new(OsStr::from_bytes(point)).starts_with(path));
    for mount in mounts.listed().filter(|mount| within(&mount.point) && !excluded(&options, &mount.point)) {
        report.skipped(cx, &mount)?;
    }
    report.finish(cx)?;
    Ok(Exit(u8::from(report.drifted())))
}

/// `@/a` and `/a`, which mean the same here; without `.` and `..`.
fn absolute(path: &Path) -> Result<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let bytes = bytes.strip_prefix(b"@").filter(|rest| rest.starts_with(b"/")).unwrap_or(bytes);
    let mut found = PathBuf::from("/");
    for name in bytes.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(found.pop()),
            name => found.push(OsStr::from_bytes(name)),
        }
    }
    match bytes.starts_with(b"/") {
        true => Ok(found),
        false => Err(Error::usage(format_args!("{}: not an absolute path, nor one in the target", Safe::path(path)))),
    }
}

/// The same path in the live root.
fn theirs(path: &Path) -> PathBuf {
    let mut live = OsString::from("@");
    live.push(path);
    PathBuf::from(live)
}

fn excluded(options: &Options, path: &[u8]) -> bool {
    options.exclude.iter().any(|pattern| pattern::excludes(pattern.as_bytes(), path, Encoding::Utf8))
}

fn is_directory(stat: &FileStat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFDIR
}

/// Where something was not read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

impl Side {
    fn unread(self, error: &io::Error) -> String {
        let whose = if self == Side::Ours { "our side" } else { "the target's side" };
        format!("cannot be read on {whose}: {}", reason(error))
    }
}

struct Walk<'a> {
    options: Options,
    mounts: Mounts,
    /// What the layers prove is believed.
    proof: bool,
    report: Report<'a>,
    depth: usize,
}

impl Walk<'_> {
    fn operand(&mut self, cx: &mut Context<'_>, path: &Path) -> Result<()> {
        let bytes = path.as_os_str().as_bytes();
        if let Some(point) = self.mounts.around(bytes) {
            let why = format!("lies in the mount {}, which is no part of the image", Safe(point));
            return self.report.unread(cx, bytes, &why);
        }
        // Of the root the directory itself, of all else the entry in the directory that it is in.
        let above = path.parent().unwrap_or(path);
        let opened = (cx.files.directory(above), cx.files.directory(&theirs(above)));
        let (ours, theirs) = match opened {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(error), _) => return self.report.unread(cx, bytes, &Side::Ours.unread(&error)),
            (_, Err(error)) => return self.report.unread(cx, bytes, &Side::Theirs.unread(&error)),
        };
        match path.file_name() {
            None => self.directory(cx, b"", &ours, &theirs),
            Some(name) => {
                let found = [ours.symlink_metadata(name), theirs.symlink_metadata(name)];
                if let [Err(error), Err(_)] = &found {
                    return Err(Error::message(format_args!("{}: {}", Safe(bytes), reason(error))));
                }
                self.entry(cx, bytes, name, (&ours, true), (&theirs, true))
            }
        }
    }

    /// Compares what is in a directory: first all that is in it, then what is below.
    fn directory(&mut self, cx: &mut Context<'_>, path: &[u8], ours: &Directory, theirs: &Directory) -> Result<()> {
        let (left, right) = match (names(ours), names(theirs)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) => return self.report.unread(cx, path, &Side::Ours.unread(&error)),
            (_, Err(error)) => return self.report.unread(cx, path, &Side::Theirs.unread(&error)),
        };
        let mut below = Vec::new();
        for (name, here, there) in merged(left.into_iter().peekable(), right.into_iter().peekable()) {
            let inner = [path, b"/", name.as_bytes()].concat();
            if excluded(&self.options, &inner) || self.mounts.is_point(&inner) {
                continue;
            }
            if here && there && self.both_directories(ours, theirs, &name) {
                below.push(name);
                continue;
            }
            self.entry(cx, &inner, &name, (ours, here), (theirs, there))?;
        }
        for name in below {
            let inner = [path, b"/", name.as_bytes()].concat();
            self.entry(cx, &inner, &name, (ours, true), (theirs, true))?;
        }
        Ok(())
    }

    fn both_directories(&self, ours: &Directory, theirs: &Directory, name: &OsStr) -> bool {
        let directory = |side: &Directory| side.symlink_metadata(name).is_ok_and(|stat| is_directory(&stat));
        directory(ours) && directory(theirs)
    }

    /// One name, which was seen on these sides.
    fn entry(
        &mut self,
        cx: &mut Context<'_>,
        path: &[u8],
        name: &OsStr,
        (ours, here): (&Directory, bool),
        (theirs, there): (&Directory, bool),
    ) -> Result<()> {
        let stat = |side: &Directory, seen: bool| match seen.then(|| side.symlink_metadata(name)) {
            Some(Ok(stat)) => Ok(Some(stat)),
            // It has vanished since.
            Some(Err(error)) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        };
        let old = match stat(ours, here) {
            Ok(old) => old,
            Err(error) => return self.report.unread(cx, path, &Side::Ours.unread(&error)),
        };
        let new = match stat(theirs, there) {
            Ok(new) => new,
            Err(error) => return self.report.unread(cx, path, &Side::Theirs.unread(&error)),
        };
        match (old, new) {
            (Some(old), Some(new)) => self.pair(cx, path, name, (ours, &old), (theirs, &new)),
            (None, Some(new)) => self.alone(cx, path, name, theirs, &new, Side::Theirs),
            (Some(old), None) => self.alone(cx, path, name, ours, &old, Side::Ours),
            (None, None) => Ok(()),
        }
    }

    /// What is on one side only, with all that is below it.
    fn alone(
        &mut self,
        cx: &mut Context<'_>,
        path: &[u8],
        name: &OsStr,
        within: &Directory,
        stat: &FileStat,
        side: Side,
    ) -> Result<()> {
        // The way to a mount is made by the engine.
        if !is_directory(stat) || !self.mounts.is_way(path) {
            self.report.alone(cx, path, stat, side == Side::Theirs)?;
        }
        if !is_directory(stat) {
            return Ok(());
        }
        let opened = within.directory(name).and_then(|directory| Ok((names(&directory)?, directory)));
        let (names, directory) = match opened {
            Ok(opened) if self.depth < DEPTH => opened,
            Ok(_) => return self.report.unread(cx, path, "too deep"),
            Err(error) => return self.report.unread(cx, path, &side.unread(&error)),
        };
        self.depth += 1;
        for name in names {
            let inner = [path, b"/", name.as_bytes()].concat();
            if excluded(&self.options, &inner) || self.mounts.is_point(&inner) {
                continue;
            }
            match directory.symlink_metadata(&name) {
                Ok(stat) => self.alone(cx, &inner, &name, &directory, &stat, side)?,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => self.report.unread(cx, &inner, &side.unread(&error))?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// What is on both sides.
    fn pair(
        &mut self,
        cx: &mut Context<'_>,
        path: &[u8],
        name: &OsStr,
        (ours, old): (&Directory, &FileStat),
        (theirs, new): (&Directory, &FileStat),
    ) -> Result<()> {
        if self.same(old, new) {
            return Ok(());
        }
        let mut what = Vec::new();
        let kind = |stat: &FileStat| stat.st_mode & libc::S_IFMT;
        if kind(old) != kind(new) {
            what.push("kind");
        }
        if old.st_mode & 0o7777 != new.st_mode & 0o7777 && kind(new) != libc::S_IFLNK {
            what.push("mode");
        }
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
            what.push("owner");
        }
        match kind(new) {
            _ if kind(old) != kind(new) => {}
            libc::S_IFREG if old.st_size != new.st_size => what.push("content"),
            libc::S_IFREG if self.options.no_content => {
                let time = |stat: &FileStat| (stat.st_mtime, stat.st_mtime_nsec);
                what.extend((time(old) != time(new)).then_some("time"));
            }
            libc::S_IFREG => match content(ours, theirs, name) {
                Ok(true) => {}
                Ok(false) => what.push("content"),
                Err((side, error)) => self.report.unread(cx, path, &side.unread(&error))?,
            },
            libc::S_IFLNK if ours.read_link(name).ok() != theirs.read_link(name).ok() => what.push("link"),
            libc::S_IFCHR | libc::S_IFBLK if old.st_rdev != new.st_rdev => what.push("device"),
            _ => {}
        }
        if !what.is_empty() {
            self.report.changed(cx, path, old, new, &what)?;
        }
        match (is_directory(old), is_directory(new)) {
            (true, true) => {
                let (ours, theirs) = match (ours.directory(name), theirs.directory(name)) {
                    (Ok(ours), Ok(theirs)) if self.depth < DEPTH => (ours, theirs),
                    (Ok(_), Ok(_)) => return self.report.unread(cx, path, "too deep"),
                    (Err(error), _) => return self.report.unread(cx, path, &Side::Ours.unread(&error)),
                    (_, Err(error)) => return self.report.unread(cx, path, &Side::Theirs.unread(&error)),
                };
                self.depth += 1;
                let done = self.directory(cx, path, &ours, &theirs);
                self.depth -= 1;
                done
            }
            // What was in a directory that is none any more, and the reverse.
            (true, false) => self.contents(cx, path, name, ours, Side::Ours),
            (false, true) => self.contents(cx, path, name, theirs, Side::Theirs),
            (false, false) => Ok(()),
        }
    }

    fn contents(
        &mut self,
        cx: &mut Context<'_>,
        path: &[u8],
        name: &OsStr,
        within: &Directory,
        side: Side,
    ) -> Result<()> {
        let directory = match within.directory(name) {
            Ok(directory) => directory,
            Err(error) => return self.report.unread(cx, path, &side.unread(&error)),
        };
        for name in names(&directory).unwrap_or_default() {
            let inner = [path, b"/", name.as_bytes()].concat();
            if let Ok(stat) = directory.symlink_metadata(&name)
                && !excluded(&self.options, &inner)
                && !self.mounts.is_point(&inner)
            {
                self.alone(cx, &inner, &name, &directory, &stat, side)?;
            }
        }
        Ok(())
    }

    /// Whether it is the same file, or the same file of a layer that nothing was written over.
    fn same(&self, old: &FileStat, new: &FileStat) -> bool {
        let written = |stat: &FileStat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        let layer =
            self.proof && written(old) == written(new) && (old.st_mode, old.st_size) == (new.st_mode, new.st_size);
        old.st_ino == new.st_ino && (layer || (old.st_dev == new.st_dev && !is_directory(old)))
    }
}

/// The names in a directory, sorted.
fn names(directory: &Directory) -> io::Result<Vec<OsString>> {
    let names = directory.read()?.map(|entry| entry.map(|entry| entry.name));
    let mut names = names.collect::<io::Result<Vec<OsString>>>()?;
    order::sort(&mut names);
    Ok(names)
}

/// Each name once, and on which sides it is.
fn merged(
    mut left: Peekable<impl Iterator<Item = OsString>>,
    mut right: Peekable<impl Iterator<Item = OsString>>,
) -> impl Iterator<Item = (OsString, bool, bool)> {
    std::iter::from_fn(move || {
        let (here, there) = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) => (a <= b, a >= b),
            (a, b) => (a.is_some(), b.is_some()),
        };
        let name = here.then(|| left.next()).flatten();
        let other = there.then(|| right.next()).flatten();
        Some((name.or(other)?, here, there))
    })
}

/// Whether the same bytes are in both, read piece by piece up to the first difference.
fn content(ours: &Directory, theirs: &Directory, name: &OsStr) -> std::result::Result<bool, (Side, io::Error)> {
    // What took the place of the file meanwhile is not waited for.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let ours_failed = |error| (Side::Ours, error);
    let theirs_failed = |error| (Side::Theirs, error);
    let mut left = ours.open(name, flags, 0).map_err(ours_failed)?;
    let mut right = theirs.open(name, flags, 0).map_err(theirs_failed)?;
    same_bytes(&mut left, &mut right)
        .map_err(|(first, error)| if first { ours_failed(error) } else { theirs_failed(error) })
}

/// The error says whether it is the first one's.
fn same_bytes(left: &mut impl Read, right: &mut impl Read) -> std::result::Result<bool, (bool, io::Error)> {
    let (mut one, mut two) = (vec![0; BUFFER], vec![0; BUFFER]);
    loop {
        let length = fill(left, &mut one).map_err(|error| (true, error))?;
        let other = fill(right, &mut two).map_err(|error| (false, error))?;
        if one[..length] != two[..other] {
            return Ok(false);
        }
        if length < BUFFER {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_both_sides() {
        for (path, expected) in [("/", "/"), ("@/", "/"), ("@/etc/./x/..", "/etc"), ("/../a//b/", "/a/b")] {
            assert_eq!(absolute(Path::new(path)).unwrap(), Path::new(expected), "{path}");
        }
        assert!(absolute(Path::new("etc")).is_err() && absolute(Path::new("@")).is_err());
        assert_eq!(theirs(Path::new("/etc")), Path::new("@/etc"));
    }

    #[test]
    fn names_of_both_sides() {
        let list = |names: &[&str]| names.iter().map(OsString::from).collect::<Vec<_>>().into_iter().peekable();
        let all: Vec<_> = merged(list(&["a", "b", "d"]), list(&["b", "c"])).collect();
        let expected = [("a", true, false), ("b", true, true), ("c", false, true), ("d", true, false)];
        assert_eq!(all, expected.map(|(name, here, there)| (OsString::from(name), here, there)));
    }

    #[test]
    fn bytes() {
        let same = |a: &[u8], b: &[u8]| same_bytes(&mut &a[..], &mut &b[..]).unwrap();
        let long = vec![7; 3 * BUFFER];
        let mut other = long.clone();
        assert!(same(b"", b"") && same(b"a", b"a") && same(&long, &other));
        other[2 * BUFFER] = 8;
        assert!(!same(b"a", b"b") && !same(b"a", b"ab") && !same(&long, &other) && !same(&long, &long[..BUFFER]));
    }
}
