//! cp: POSIX.1-2024 XCU `cp`, with the options of GNU's and busybox's that people type. The main use is out of the target:
//! `cp @/var/log/app.log .`; into it only where the last operand is `@/…`. A deleted file that a process has open
//! is `cp /proc/PID/fd/N out`.
//!
//! What deviates: -p and -a keep mode, owner, times and hard links, but neither ACLs nor extended attributes. Holes stay
//! holes. What could not be written whole is named together with how much was.
//!
//! Longer than most because a copy has to care for each kind of file, on both sides.
//!
//! Exit status: 0 all was copied, 1 something was not.

mod data;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, fstat};
use nix::unistd::geteuid;

use self::data::{Half, Side};
use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::{Safe, units};
use crate::target::files::Directory;
use crate::target::place::Place as Source;

pub static APPLET: Applet =
    Applet { names: &["cp"], usage: <Options as clap::CommandFactory>::command, run, place: Place::Child, trouble: 1 };

/// How deep a tree may be: the kernel takes no longer path.
const DEPTH: usize = 2048;

/// Copy files, also out of the target: cp @/path .
#[derive(clap::Parser)]
#[command(override_usage = "cp [OPTIONS] SOURCE DESTINATION\n       cp [OPTIONS] SOURCE... DIRECTORY")]
struct Options {
    /// Keep all that can be kept: -dpR
    #[arg(short, long)]
    archive: bool,
    /// Copy directories with all that is in them
    #[arg(short = 'R', visible_short_alias = 'r', long)]
    recursive: bool,
    /// Keep mode, owner and times
    #[arg(short = 'p', long = "preserve", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    preserve: Option<OsString>,
    /// Remove a destination that cannot be opened, and try again
    #[arg(short, long)]
    force: bool,
    /// Ask before something is overwritten
    #[arg(short, long, overrides_with = "no_clobber")]
    interactive: bool,
    /// Overwrite nothing
    #[arg(short, long, overrides_with = "interactive")]
    no_clobber: bool,
    /// Follow all symbolic links in the sources
    #[arg(short = 'L', long, overrides_with_all = ["no_dereference", "operands", "links"])]
    dereference: bool,
    /// Follow none
    #[arg(short = 'P', long, overrides_with_all = ["dereference", "operands"])]
    no_dereference: bool,
    /// Follow those that are operands
    #[arg(short = 'H', overrides_with_all = ["dereference", "no_dereference"])]
    operands: bool,
    /// Follow none, and keep hard links
    #[arg(short = 'd', overrides_with = "dereference")]
    links: bool,
    /// Stay on the file system of each operand
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// Say what is copied
    #[arg(short, long)]
    verbose: bool,
    /// The directory to copy into
    #[arg(short, long, value_name = "DIRECTORY", conflicts_with = "no_target_directory")]
    target_directory: Option<PathBuf>,
    /// Take the destination as a file, or as the directory itself
    #[arg(short = 'T', long)]
    no_target_directory: bool,
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let mut options: Options = cx.parse()?;
    options.recursive |= options.archive;
    options.links |= options.archive;
    let mut sources = std::mem::take(&mut options.files);
    let destination = match options.target_directory.take() {
        Some(directory) => {
            require_directory(cx, &directory)?;
            (directory, true)
        }
        None => {
            let last = sources.pop().unwrap_or_default();
            if sources.is_empty() {
                return Err(Error::usage(format_args!("{}: where is it to be copied to?", Safe::path(&last))));
            }
            let into = !options.no_target_directory && is_directory(cx, &last);
            if sources.len() > 1 && options.no_target_directory {
                return Err(Error::usage("-T takes one source"));
            }
            if sources.len() > 1 && !into {
                require_directory(cx, &last)?;
            }
            (last, into)
        }
    };
    let follow = match &options {
        Options { dereference: true, .. } => Follow::All,
        Options { operands: true, .. } => Follow::Operands,
        Options { no_dereference: true, .. } | Options { links: true, .. } | Options { recursive: true, .. } => {
            Follow::None
        }
        _ => Follow::All,
    };
    let keep = options.archive || options.preserve.is_some();
    let mut copy = Copy { options, follow, keep, linked: HashMap::new(), above: Vec::new(), made: None, device: 0 };
    for source in sources {
        copy.operand(cx, &source, &destination.0, destination.1)?;
    }
    Ok(Exit(0))
}

fn is_directory(cx: &Context<'_>, path: &Path) -> bool {
    cx.files.metadata(path).is_ok_and(|stat| kind(&stat) == libc::S_IFDIR)
}

fn require_directory(cx: &Context<'_>, path: &Path) -> Result<()> {
    let why = match cx.files.metadata(path) {
        Ok(stat) if kind(&stat) == libc::S_IFDIR => return Ok(()),
        Ok(_) => String::from("not a directory"),
        Err(error) => reason(&error),
    };
    Err(Error::message(format_args!("{}: {why}", Safe::path(path))))
}

fn kind(stat: &FileStat) -> u32 {
    stat.st_mode & libc::S_IFMT
}

fn identity(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Which symbolic links are followed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Follow {
    None,
    Operands,
    All,
}

/// Where it goes.
struct Spot<'a> {
    directory: &'a Directory,
    name: &'a OsStr,
    path: &'a Path,
}

struct Copy {
    options: Options,
    follow: Follow,
    /// Mode, owner and times.
    keep: bool,
    /// The copies of files that have several names.
    linked: HashMap<(u64, u64), PathBuf>,
    /// The directories that lead to the one being copied.
    above: Vec<(u64, u64)>,
    /// The first directory that was made for this operand, which is not to be copied into itself.
    made: Option<(u64, u64)>,
    /// Of the operand.
    device: u64,
}

impl Copy {
    fn operand(&mut self, cx: &mut Context<'_>, source: &Path, destination: &Path, into: bool) -> Result<()> {
        let path = match into {
            true => destination.join(last_name(source)),
            false => destination.to_path_buf(),
        };
        let (directory, name) = match cx.files.parent(&path) {
            Ok(parent) => parent,
            Err(error) => return complain(cx, &path, &error),
        };
        let spot = Spot { directory: &directory, name: &name, path: &path };
        let follow = self.follow != Follow::None;
        self.made = None;
        let source = Source { within: None, path: source, follow };
        if let Ok(stat) = source.stat(cx.files) {
            self.device = stat.st_dev;
        }
        self.entry(cx, &source, &spot)
    }

    /// Copies whatever it is.
    fn entry(&mut self, cx: &mut Context<'_>, source: &Source<'_>, spot: &Spot<'_>) -> Result<()> {
        let stat = match source.stat(cx.files) {
            Ok(stat) => stat,
            Err(error) => return complain(cx, source.path, &error),
        };
        let existing = match spot.directory.symlink_metadata(spot.name) {
            Ok(stat) => Some(stat),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => None,
            Err(error) => return complain(cx, spot.path, &error),
        };
        let is_directory = kind(&stat) == libc::S_IFDIR;
        if is_directory && !self.options.recursive {
            cx.warn(format_args!("{}: is a directory, and there is no -r", Safe::path(source.path)));
            return Ok(());
        }
        if let Some(existing) = &existing {
            let through = cx.files.metadata(spot.path).ok();
            let same =
                [Some(existing), through.as_ref()].into_iter().flatten().any(|it| identity(it) == identity(&stat));
            let why = match (is_directory, kind(existing) == libc::S_IFDIR) {
                (true, false) => Some("a directory cannot replace what is none"),
                (false, true) => Some("a directory cannot be replaced by what is none"),
                (false, false) if same => Some("source and destination are the same file"),
                _ => None,
            };
            if let Some(why) = why {
                cx.warn(format_args!("{}: {why}", Safe::path(spot.path)));
                return Ok(());
            }
            if !is_directory && (self.options.no_clobber || (self.options.interactive && !ask(cx, spot.path))) {
                return Ok(());
            }
        }
        if self.options.verbose {
            writeln!(cx.io.out, "'{}' -> '{}'", Safe::path(source.path), Safe::path(spot.path))?;
        }
        match kind(&stat) {
            libc::S_IFDIR => self.directory(cx, source, spot, &stat, existing.is_none()),
            _ => {
                let copied = match kind(&stat) {
                    _ if self.link_again(cx, spot, &stat, existing.is_some()) => Ok(()),
                    libc::S_IFLNK => self.symlink(cx, source, spot, &stat, existing.is_some()),
                    libc::S_IFREG => self.file(cx, source, spot, &stat, existing.as_ref()),
                    _ if !self.options.recursive => self.file(cx, source, spot, &stat, existing.as_ref()),
                    libc::S_IFSOCK => Err(Failed::source(io::Error::other("a socket cannot be copied"))),
                    _ => self.node(spot, &stat, existing.is_some()),
                };
                match copied {
                    Ok(()) if self.options.links && stat.st_nlink > 1 => {
                        self.linked.entry(identity(&stat)).or_insert_with(|| spot.path.to_path_buf());
                    }
                    Ok(()) => {}
                    Err(Failed { side: Side::Source, why }) => {
                        cx.warn(format_args!("{}: {why}", Safe::path(source.path)));
                    }
                    Err(Failed { side: Side::Destination, why }) => {
                        cx.warn(format_args!("{}: {why}", Safe::path(spot.path)));
                    }
                }
                Ok(())
            }
        }
    }

    /// Another name of a file that was copied already.
    fn link_again(&self, cx: &Context<'_>, spot: &Spot<'_>, stat: &FileStat, exists: bool) -> bool {
        let Some(first) = self.linked.get(&identity(stat)).filter(|_| stat.st_nlink > 1) else { return false };
        let Ok((directory, name)) = cx.files.parent(first) else { return false };
        if exists && spot.directory.remove(spot.name).is_err() {
            return false;
        }
        spot.directory.make_link(spot.name, &directory, &name).is_ok()
    }

    fn file(
        &self,
        cx: &mut Context<'_>,
        source: &Source<'_>,
        spot: &Spot<'_>,
        stat: &FileStat,
        existing: Option<&FileStat>,
    ) -> std::result::Result<(), Failed> {
        // A FIFO that is named is waited for; what took the place of a file in a tree is not.
        let wait = if kind(stat) == libc::S_IFREG { OFlag::O_NONBLOCK } else { OFlag::empty() };
        let from = source.open(cx.files, OFlag::O_RDONLY | OFlag::O_NOCTTY | wait).map_err(Failed::source)?;
        let stat = fstat(&from).map_err(|error| Failed::source(error.into()))?;
        // Nobody may read a copy of a secret before it has its mode and its owner.
        let mode = stat.st_mode & if self.keep { 0o700 } else { 0o777 };
        let create = || spot.directory.open(spot.name, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, mode);
        let to = match existing {
            None => create(),
            Some(_) => {
                let flags = OFlag::O_WRONLY | OFlag::O_TRUNC | OFlag::O_NOCTTY;
                match cx.files.open_with(spot.path, flags, Mode::empty()) {
                    Err(_) if self.options.force => spot.directory.remove(spot.name).and_then(|()| create()),
                    opened => opened,
                }
            }
        };
        let to = to.map_err(Failed::destination)?;
        if let Err(Half { side, error, done }) = data::copy(&from, &to, &stat) {
            let whole = u64::try_from(stat.st_size).unwrap_or(0);
            let of = if whole > done { format!(" of {}", units::bytes(whole)) } else { String::new() };
            let why = format!("{}; only {}{of} copied", reason(&error), units::bytes(done));
            return Err(Failed { side, why });
        }
        if self.keep {
            self.keep(&to, &stat).map_err(Failed::destination)?;
        }
        Ok(())
    }

    /// The owner first: a change of it takes away set-user-ID, which only its owner may give.
    fn keep(&self, to: &impl AsFd, stat: &FileStat) -> io::Result<()> {
        let owned = nix::unistd::fchown(to, Some(stat.st_uid.into()), Some(stat.st_gid.into()));
        let mode = if owned.is_ok() { stat.st_mode & 0o7777 } else { stat.st_mode & 0o777 };
        nix::sys::stat::fchmod(to, Mode::from_bits_truncate(mode))?;
        let (read, written) = times(stat);
        let spec = |(seconds, nanoseconds)| nix::sys::time::TimeSpec::new(seconds, nanoseconds);
        nix::sys::stat::futimens(to, &spec(read), &spec(written))?;
        forgive(owned.map_err(io::Error::from))
    }

    fn symlink(
        &self,
        cx: &Context<'_>,
        source: &Source<'_>,
        spot: &Spot<'_>,
        stat: &FileStat,
        exists: bool,
    ) -> std::result::Result<(), Failed> {
        let to = source.link(cx.files).map_err(Failed::source)?;
        let made = || {
            if exists {
                spot.directory.remove(spot.name)?;
            }
            spot.directory.make_symlink(spot.name, &to)?;
            if self.keep {
                forgive(spot.directory.set_owner(spot.name, stat.st_uid, stat.st_gid))?;
                let (read, written) = times(stat);
                spot.directory.set_times(spot.name, read, written)?;
            }
            Ok(())
        };
        made().map_err(Failed::destination)
    }

    /// A FIFO or a device.
    fn node(&self, spot: &Spot<'_>, stat: &FileStat, exists: bool) -> std::result::Result<(), Failed> {
        let made = || {
            if exists {
                spot.directory.remove(spot.name)?;
            }
            spot.directory.make_node(spot.name, stat.st_mode, stat.st_rdev)?;
            if self.keep {
                forgive(spot.directory.set_owner(spot.name, stat.st_uid, stat.st_gid))?;
                spot.directory.set_mode(spot.name, stat.st_mode)?;
                let (read, written) = times(stat);
                spot.directory.set_times(spot.name, read, written)?;
            }
            Ok(())
        };
        made().map_err(Failed::destination)
    }

    fn directory(
        &mut self,
        cx: &mut Context<'_>,
        source: &Source<'_>,
        spot: &Spot<'_>,
        stat: &FileStat,
        new: bool,
    ) -> Result<()> {
        let own = identity(stat);
        let why = match () {
            () if self.made == Some(own) => Some("cannot be copied into itself"),
            () if self.above.contains(&own) => Some("leads back to a directory above"),
            () if self.above.len() == DEPTH => Some("too deep"),
            () => None,
        };
        if let Some(why) = why {
            cx.warn(format_args!("{}: {why}", Safe::path(source.path)));
            return Ok(());
        }
        let opened = source.directory(cx.files).and_then(|directory| Ok((directory.read()?, directory)));
        let (entries, from) = match opened {
            Ok(opened) => opened,
            Err(error) => return complain(cx, source.path, &error),
        };
        // Something can be put in while it is being filled.
        let made = if new { spot.directory.make_directory(spot.name, stat.st_mode & 0o777 | 0o700) } else { Ok(()) };
        let opened = made.and_then(|()| spot.directory.directory(spot.name));
        let to = match opened.and_then(|directory| Ok((directory.own_metadata()?, directory))) {
            Ok((stat, directory)) => {
                self.made = self.made.or(Some(identity(&stat)));
                directory
            }
            Err(error) => return complain(cx, spot.path, &error),
        };
        self.above.push(own);
        for entry in entries {
            let name = match entry {
                Ok(entry) => entry.name,
                Err(error) => {
                    complain(cx, source.path, &error)?;
                    break;
                }
            };
            let (path, place) = (source.path.join(&name), spot.path.join(&name));
            let below = Source { within: Some((&from, &name)), path: &path, follow: self.follow == Follow::All };
            if self.options.one_file_system && below.stat(cx.files).is_ok_and(|stat| stat.st_dev != self.device) {
                continue;
            }
            self.entry(cx, &below, &Spot { directory: &to, name: &name, path: &place })?;
        }
        self.above.pop();
        let finished = match (self.keep, new && stat.st_mode & 0o700 != 0o700) {
            (true, _) => self.keep(&to, stat),
            (false, true) => to.own_metadata().and_then(|made| to.set_own_mode(made.st_mode & (stat.st_mode | !0o700))),
            (false, false) => Ok(()),
        };
        finished.or_else(|error| complain(cx, spot.path, &error))
    }
}

/// What went wrong, and where.
struct Failed {
    side: Side,
    why: String,
}

impl Failed {
    fn source(error: io::Error) -> Failed {
        Failed { side: Side::Source, why: reason(&error) }
    }

    fn destination(error: io::Error) -> Failed {
        Failed { side: Side::Destination, why: reason(&error) }
    }
}

fn complain(cx: &mut Context<'_>, path: &Path, error: &io::Error) -> Result<()> {
    cx.warn(format_args!("{}: {}", Safe::path(path), reason(error)));
    Ok(())
}

/// Who is not root cannot give files away, and nobody expects it.
fn forgive(owned: io::Result<()>) -> io::Result<()> {
    match owned {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) && !geteuid().is_root() => Ok(()),
        owned => owned,
    }
}

/// Of the last read and the last write.
fn times(stat: &FileStat) -> ((i64, i64), (i64, i64)) {
    ((stat.st_atime, stat.st_atime_nsec), (stat.st_mtime, stat.st_mtime_nsec))
}

/// The name in the destination; nothing for a root and for `..`, whose content goes there itself.
fn last_name(source: &Path) -> &OsStr {
    let bytes = source.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let name = bytes[..end].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    match name {
        b"" | b".." => OsStr::new("."),
        _ if bytes == b"@/" => OsStr::new("."),
        name => OsStr::from_bytes(name),
    }
}

fn ask(cx: &mut Context<'_>, path: &Path) -> bool {
    let question = format!("{}: overwrite '{}'? ", cx.name, Safe::path(path));
    let _ = cx.io.out.flush().and_then(|()| cx.io.err.write_all(question.as_bytes()));
    let (mut answer, mut byte) = (None, [0]);
    while cx.io.stdin.read(&mut byte).is_ok_and(|read| read == 1) && byte != *b"\n" {
        answer = answer.or(Some(byte[0]));
    }
    matches!(answer, Some(b'y' | b'Y'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    #[test]
    fn names_in_the_destination() {
        for (source, name) in [
            ("a/b", "b"),
            ("a/b/", "b"),
            ("@/x", "x"),
            ("@/", "."),
            ("/", "."),
            ("..", "."),
            ("a/.", "."),
            ("a/..", "."),
        ] {
            assert_eq!(last_name(Path::new(source)), name, "{source}");
        }
    }

    #[test]
    fn wrong_uses() {
        let done = capture(&APPLET, &["a"], b"");
        let err = "cp: a: where is it to be copied to? (see 'cp --help')\n";
        assert_eq!(done, Captured { status: 2, out: String::new(), err: String::from(err) });
        assert_eq!(capture(&APPLET, &[], b"").status, 2);
        assert_eq!(capture(&APPLET, &["a", "b", "/none"], b"").err, "cp: /none: No such file or directory\n");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let done = capture(&APPLET, &["/none", "/dev/null"], b"");
        assert_eq!((done.status, done.err.as_str()), (1, "cp: /none: No such file or directory\n"));
    }
}
