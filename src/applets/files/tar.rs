//! tar: archives, as GNU tar and busybox have it: create, list, extract, so that files come out of the target
//! (`tar czf - @/var/log`), and `kubectl cp` works through the sidecar. Reads ustar, pax and GNU's form, packed with gzip
//! or not, by what it finds; writes GNU's form.
//!
//! What deviates:
//!
//! - Owners are the numbers in the archive; names only stand in lists.
//! - A member never lands outside of the directory, by `..` or by a symbolic link, wherever the link came from.
//! - Nothing is sparse; a member that is, is refused.
//!
//! Longer than most because of its options: their declarations are a third of the file.
//!
//! Exit status: 0 done, 1 a file changed or vanished while it was read, 2 trouble.

mod create;
mod extract;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, os, reason};
use crate::archive::{Archive, Header, Kind};
use crate::output::{Safe, mode, order, shown};
use crate::shell::expand::character::Encoding;
use crate::shell::expand::pattern;
use crate::sys::time;

pub static APPLET: Applet =
    Applet { names: &["tar"], usage: <Options as clap::CommandFactory>::command, run, place: Place::Child, trouble: 2 };

/// Create, list and extract archives
#[derive(clap::Parser)]
#[command(after_help = "The first word may be letters without a dash: tar xzf FILE.\n\
                        Status: 0 done, 1 a file changed while it was read, 2 trouble.")]
struct Options {
    /// Create an archive
    #[arg(short, long, conflicts_with_all = ["extract", "list"])]
    create: bool,
    /// Extract from one
    #[arg(short = 'x', long, visible_alias = "get", conflicts_with = "list")]
    extract: bool,
    /// List one
    #[arg(short = 't', long)]
    list: bool,
    /// The archive (-, the default, is standard input or output)
    #[arg(short, long, value_name = "ARCHIVE", default_value = "-", hide_default_value = true)]
    file: PathBuf,
    /// Pack with gzip; what is packed is recognized
    #[arg(short = 'z', long, visible_alias = "gunzip")]
    gzip: bool,
    /// Say what is put in or taken out; with -t more of each
    #[arg(short, long)]
    verbose: bool,
    /// Extract to standard output
    #[arg(short = 'O', long)]
    to_stdout: bool,
    /// Modes exactly as in the archive, as is usual for root
    #[arg(short = 'p', long, visible_alias = "same-permissions", overrides_with = "no_same_permissions")]
    preserve_permissions: bool,
    /// Modes without what the umask takes away
    #[arg(long)]
    no_same_permissions: bool,
    /// Owners as in the archive, as is usual for root
    #[arg(long, overrides_with = "no_same_owner")]
    same_owner: bool,
    /// We own what is extracted
    #[arg(short = 'o', long)]
    no_same_owner: bool,
    /// The time of a file is that of its extraction
    #[arg(short = 'm', long)]
    touch: bool,
    /// Replace nothing
    #[arg(short, long)]
    keep_old_files: bool,
    /// Put in what symbolic links lead to
    #[arg(short = 'h', long)]
    dereference: bool,
    /// Stay on the file system of each operand
    #[arg(long)]
    one_file_system: bool,
    /// Owners as numbers
    #[arg(long)]
    numeric_owner: bool,
    /// Leave out so many names at the start of each path
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    strip_components: usize,
    /// Leave out what matches a pattern
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<OsString>,
    /// Names of members, one a line, in a file
    #[arg(short = 'T', long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// The same with a NUL byte behind each
    #[arg(long)]
    null: bool,
    #[command(flatten)]
    operands: Operands,
}

/// Members, and between them the directories that those behind are in.
struct Operands(Vec<Operand>);

enum Operand {
    Directory(OsString),
    Member(OsString),
}

impl clap::Args for Operands {
    fn augment_args(command: clap::Command) -> clap::Command {
        let value = |name| Arg::new(name).action(ArgAction::Append).value_parser(value_parser!(OsString));
        let directory = value("directory").short('C').long("directory").value_name("DIRECTORY");
        let member = value("member").value_name("FILE").num_args(0..);
        command.arg(directory.help("Change into a directory first (@/… too)")).arg(member)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Operands::augment_args(command)
    }
}

impl clap::FromArgMatches for Operands {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Operands, clap::Error> {
        let of = |name, operand: fn(OsString) -> Operand| {
            let values = matches.get_many::<OsString>(name).into_iter().flatten().cloned();
            let places = matches.indices_of(name).into_iter().flatten();
            places.zip(values.map(operand)).collect::<Vec<_>>()
        };
        let mut all = of("directory", Operand::Directory);
        all.extend(of("member", Operand::Member));
        order::sort_by_key(&mut all, |(place, _)| *place);
        Ok(Operands(all.into_iter().map(|(_, operand)| operand).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> std::result::Result<(), clap::Error> {
        *self = Operands::from_arg_matches(matches)?;
        Ok(())
    }
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    cx.args = with_dashes(std::mem::take(&mut cx.args));
    let options: Options = cx.parse()?;
    match &options {
        Options { create: true, .. } => create::run(cx, &options),
        Options { extract: true, .. } => extract::run(cx, &options),
        Options { list: true, .. } => list(cx, &options),
        _ => Err(Error::usage("one of -c, -x and -t has to say what is to be done")),
    }
}

/// `xfC ARCHIVE DIRECTORY` as `-x -f ARCHIVE -C DIRECTORY`.
fn with_dashes(args: Vec<OsString>) -> Vec<OsString> {
    let mut rest = args.into_iter().peekable();
    let letters = match rest.peek() {
        Some(first) if !first.is_empty() && !first.as_bytes().starts_with(b"-") => rest.next().unwrap_or_default(),
        _ => return rest.collect(),
    };
    let mut out = Vec::new();
    for letter in letters.as_bytes() {
        out.push(os(&[b'-', *letter]));
        if b"fCT".contains(letter) {
            out.extend(rest.next());
        }
    }
    out.extend(rest);
    out
}

/// A path from the directory that -C named.
fn from(base: &Path, path: &OsStr) -> PathBuf {
    if base.as_os_str().is_empty() || path.as_bytes().starts_with(b"@/") {
        return PathBuf::from(path);
    }
    base.join(path)
}

impl Options {
    fn excludes(&self, name: &[u8]) -> bool {
        let name = name.strip_suffix(b"/").unwrap_or(name);
        self.exclude.iter().any(|pattern| pattern::excludes(pattern.as_bytes(), name, Encoding::Utf8))
    }

    fn is_standard(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// What to call the archive.
    fn archive(&self) -> Safe<'_> {
        Safe(if self.is_standard() { b"standard input" } else { self.file.as_os_str().as_bytes() })
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::message(format_args!("{}: {}", self.archive(), reason(error)))
    }

    /// Opens the archive for reading.
    fn open(&self, cx: &Context<'_>) -> Result<Archive<'static>> {
        let file = match self.is_standard() {
            true if cx.io.stdin.is_terminal() => {
                return Err(Error::usage("an archive is not read from a terminal: -f names one"));
            }
            true => cx.io.stdin.try_clone(),
            false => cx.files.open(&self.file),
        };
        let file = file.map_err(|error| self.failed(&error))?;
        Archive::new(BufReader::with_capacity(64 * 1024, file), self.gzip).map_err(|error| self.failed(&error))
    }

    /// The names in the file of -T, to be read one by one.
    fn listed(&self, cx: &Context<'_>) -> Result<impl Iterator<Item = Result<OsString>> + use<>> {
        let (end, path) = (if self.null { 0 } else { b'\n' }, self.files_from.clone());
        let opened = path.as_deref().map(|path| match path.as_os_str() == "-" {
            true => cx.io.stdin.try_clone(),
            false => cx.files.open(path),
        });
        let shown = path.unwrap_or_default();
        let failed = move |error: io::Error| Error::message(format_args!("{}: {}", Safe::path(&shown), reason(&error)));
        let file: Option<File> = opened.transpose().map_err(&failed)?;
        let names = file.into_iter().flat_map(move |file| BufReader::new(file).split(end));
        let names = names.map(move |name| name.map(|name| os(&name)).map_err(&failed));
        Ok(names.filter(|name| !matches!(name, Ok(name) if name.is_empty())))
    }
}

/// The members that were named.
struct Wanted {
    names: Vec<(Vec<u8>, bool)>,
}

impl Wanted {
    fn new(cx: &Context<'_>, options: &Options) -> Result<Wanted> {
        let members = options.operands.0.iter().filter_map(|operand| match operand {
            Operand::Member(name) => Some(Ok(name.clone())),
            Operand::Directory(_) => None,
        });
        let mut names = Vec::new();
        for name in members.chain(options.listed(cx)?) {
            names.push((trimmed(name?.as_bytes()).to_vec(), false));
        }
        Ok(Wanted { names })
    }

    /// Whether a member is named, or a directory that it is in, or nothing at all.
    fn takes(&mut self, name: &[u8]) -> bool {
        let name = trimmed(name);
        let mut takes = self.names.is_empty();
        for (wanted, found) in &mut self.names {
            let below = name.strip_prefix(wanted.as_slice());
            if below.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) {
                *found = true;
                takes = true;
            }
        }
        takes
    }

    /// Complains of what was not there.
    fn finish(&self, cx: &mut Context<'_>) {
        for (name, _) in self.names.iter().filter(|(_, found)| !found) {
            cx.warn(format_args!("{}: not found in the archive", Safe(name)));
        }
    }
}

fn trimmed(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    &name[..end]
}

fn list(cx: &mut Context<'_>, options: &Options) -> Result<Exit> {
    let mut archive = options.open(cx)?;
    let mut wanted = Wanted::new(cx, options)?;
    let mut lines = Lines::new(cx, options);
    loop {
        match archive.member() {
            Ok(Some(header)) if options.excludes(&header.name) || !wanted.takes(&header.name) => {}
            Ok(Some(header)) => {
                let line = lines.line(&header);
                cx.io.out.write_all(&line)?;
            }
            Ok(None) => break,
            Err(error) => return Err(options.failed(&error)),
        }
    }
    wanted.finish(cx);
    Ok(Exit(0))
}

/// How members are shown.
struct Lines<'a> {
    terminal: bool,
    verbose: bool,
    numeric: bool,
    zone: Option<&'a OsStr>,
    /// Of owner and size together; it grows.
    width: usize,
}

impl<'a> Lines<'a> {
    fn new(cx: &Context<'a>, options: &Options) -> Lines<'a> {
        let (verbose, numeric) = (options.verbose && options.list, options.numeric_owner);
        Lines { terminal: cx.terminal(), verbose, numeric, zone: cx.env.get("TZ"), width: 18 }
    }

    fn line(&mut self, header: &Header) -> Vec<u8> {
        let name = shown(&header.name, self.terminal);
        if !self.verbose {
            return [&name, &b"\n"[..]].concat();
        }
        let owner = |name: &[u8], number: u64| match name.is_empty() || self.numeric {
            true => number.to_string(),
            false => Safe(name).to_string(),
        };
        let owner = format!("{}/{}", owner(&header.user_name, header.user), owner(&header.group_name, header.group));
        let size = match header.kind {
            Kind::Character | Kind::Block => format!("{},{}", header.device.0, header.device.1),
            _ => header.size.to_string(),
        };
        self.width = self.width.max(owner.len() + size.len());
        let modes = mode::string(header.kind.mode() | header.mode);
        // A hard link is no kind of file.
        let modes = if header.kind == Kind::Link { modes.replacen('-', "h", 1) } else { modes };
        let width = self.width - owner.len();
        let mut line = format!("{modes} {owner} {size:>width$} {} ", date(header.time, self.zone)).into_bytes();
        line.extend(&*name);
        let leads = match header.kind {
            Kind::Symlink => " -> ",
            Kind::Link => " link to ",
            _ => "",
        };
        if !leads.is_empty() {
            line.extend(leads.as_bytes());
            line.extend(&*shown(&header.link, self.terminal));
        }
        line.push(b'\n');
        line
    }
}

fn date(seconds: i64, zone: Option<&OsStr>) -> String {
    match time::local(seconds, zone) {
        Some(time) => {
            let time::Local { year, month, day, hour, minute, .. } = time;
            format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
        }
        None => seconds.to_string(),
    }
}

/// Opens the archive for writing.
fn output(cx: &mut Context<'_>, options: &Options) -> Result<File> {
    if !options.is_standard() {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        let file = cx.files.open_with(&options.file, flags, Mode::from_bits_truncate(0o666));
        return file.map_err(|error| options.failed(&error));
    }
    if cx.terminal() {
        return Err(Error::usage("an archive is not written to a terminal: -f names one"));
    }
    cx.io.out.flush()?;
    Ok(cx.io.out.file.try_clone()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn arguments(args: &[&str]) -> Vec<String> {
        let args = with_dashes(args.iter().map(OsString::from).collect());
        args.into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn letters_without_a_dash() {
        assert_eq!(arguments(&["xfC", "a", "d", "m"]), ["-x", "-f", "a", "-C", "d", "m"]);
        assert_eq!(arguments(&["cf", "-", "m"]), ["-c", "-f", "-", "m"]);
        assert_eq!(arguments(&["-xf", "a"]), ["-xf", "a"]);
        assert_eq!(arguments(&["f"]), ["-f"]);
    }

    #[test]
    fn paths_from_a_directory() {
        for (base, path, expected) in
            [("", "a", "a"), ("d", "a", "d/a"), ("d", "/a", "/a"), ("d", "@/a", "@/a"), ("@/d", "a", "@/d/a")]
        {
            assert_eq!(from(Path::new(base), OsStr::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn members_that_are_wanted() {
        let mut wanted = Wanted { names: vec![(b"a/b".to_vec(), false), (b"x".to_vec(), false)] };
        assert!(wanted.takes(b"a/b") && wanted.takes(b"a/b/c") && wanted.takes(b"a/b/"));
        assert!(!wanted.takes(b"a/bc") && !wanted.takes(b"a"));
        assert_eq!(wanted.names.iter().map(|(_, found)| *found).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_is_no_archive_is_one_line() {
        let done = capture(&APPLET, &["t"], b"hello");
        assert_eq!((done.status, done.err.as_str()), (2, "tar: standard input: this is no tar archive\n"));
        let done = capture(&APPLET, &["tf", "/none"], b"");
        assert_eq!((done.status, done.err.as_str()), (2, "tar: /none: No such file or directory\n"));
        assert_eq!(capture(&APPLET, &["f", "x"], b"").status, 2);
        assert_eq!(capture(&APPLET, &["cx"], b"").status, 2);
    }
}
