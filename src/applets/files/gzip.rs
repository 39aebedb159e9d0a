//! gzip, gunzip, zcat: files packed by DEFLATE (RFC 1951, 1952), with the options of GNU's that people type; above all
//! `zcat @/var/log/app.log.1.gz`. A file that could not be written whole is removed again.
//!
//! What deviates: the original's name and time are not kept in what is packed, as with GNU's -n.
//!
//! Exit status: 0 done, 1 trouble, 2 something was left alone.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat};

use crate::applet::{Applet, Context, Error, Exit, Place, Result, os, reason};
use crate::archive::gzip::{Decoder, Encoder};
use crate::output::Safe;

pub static APPLET: Applet = Applet {
    names: &["gzip", "gunzip", "zcat"],
    usage: <Options as clap::CommandFactory>::command,
    run,
    place: Place::Child,
    trouble: 1,
};

const BUFFER: usize = 64 * 1024;

/// Pack and unpack files
#[derive(clap::Parser)]
#[command(
    after_help = "-1 packs fast, -9 small; -6 is the usual.\nStatus: 0 done, 1 trouble, 2 something was left alone."
)]
struct Options {
    /// Unpack (gunzip)
    #[arg(short, long, visible_alias = "uncompress")]
    decompress: bool,
    /// Write to standard output, and keep the file (zcat)
    #[arg(short = 'c', long, visible_alias = "to-stdout")]
    stdout: bool,
    /// Only see whether it can be unpacked
    #[arg(short, long)]
    test: bool,
    /// Keep the file
    #[arg(short, long)]
    keep: bool,
    /// Overwrite
    #[arg(short, long)]
    force: bool,
    /// No name and time in what is packed, as always
    #[arg(short = 'n', long)]
    _no_name: bool,
    /// - is standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    files: Vec<PathBuf>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let level = take_level(&mut cx.args);
    let mut options: Options = cx.parse()?;
    options.decompress |= cx.name != "gzip" || options.test;
    options.stdout |= cx.name == "zcat";
    let mut left = false;
    for path in &options.files {
        let standard = path.as_os_str() == "-";
        let done = match standard || options.stdout || options.test {
            true => to_standard(cx, &options, path, level)?,
            false => replaced(cx, &options, path, level),
        };
        let shown = if standard { Safe(b"standard input") } else { Safe::path(path) };
        match done {
            Ok(()) => {}
            Err(Trouble::Left(why)) => {
                left = true;
                cx.note(format_args!("{shown}: {why}, left alone"));
            }
            Err(Trouble::Failed(why)) => cx.warn(format_args!("{shown}: {why}")),
        }
    }
    // What went wrong counts more: 0 becomes 1.
    Ok(Exit(if left { 2 } else { 0 }))
}

/// -1 to -9, also among other letters: -9c.
fn take_level(args: &mut Vec<OsString>) -> u8 {
    let mut level = 6;
    args.retain_mut(|arg| {
        let letters = match arg.as_bytes() {
            [b'-', letters @ ..] if !letters.starts_with(b"-") => letters,
            _ => return true,
        };
        let Some(digit) = letters.iter().rfind(|letter| matches!(letter, b'1'..=b'9')) else { return true };
        level = digit - b'0';
        let rest: Vec<u8> = letters.iter().copied().filter(|letter| !matches!(letter, b'1'..=b'9')).collect();
        *arg = os(&[b"-", rest.as_slice()].concat());
        !rest.is_empty()
    });
    level
}

enum Trouble {
    /// Nothing was done, for a reason.
    Left(&'static str),
    Failed(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Failed(reason(&error))
    }
}

/// The outer error is that of standard output.
fn to_standard(
    cx: &mut Context<'_>,
    options: &Options,
    path: &Path,
    level: u8,
) -> Result<std::result::Result<(), Trouble>> {
    if !options.decompress && cx.terminal() && !options.force {
        return Err(Error::usage("what is packed is not written to a terminal: -f does"));
    }
    let opened = match path.as_os_str() == "-" {
        true => cx.io.stdin.try_clone(),
        false => cx.files.open(path),
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Ok(Err(error.into())),
    };
    let mut failed = None;
    let mut nothing = io::sink();
    let out: &mut dyn Write = if options.test { &mut nothing } else { &mut cx.io.out };
    let converted = convert(options, file, Output { out, failed: &mut failed }, level);
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(converted),
    }
}

/// Standard output, whose errors are its own matter.
struct Output<'a> {
    out: &'a mut dyn Write,
    failed: &'a mut Option<io::Error>,
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|error| {
            let kind = error.kind();
            *self.failed = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn convert(options: &Options, file: File, mut out: impl Write, level: u8) -> std::result::Result<(), Trouble> {
    if !options.decompress {
        let mut encoder = Encoder::new(out, level);
        pour(file, &mut encoder)?;
        encoder.finish()?.flush()?;
        return Ok(());
    }
    let mut decoder = Decoder::new(file);
    pour(&mut decoder, &mut out)?;
    out.flush()?;
    match decoder.garbage {
        true => Err(Trouble::Left("what follows the last stream is no stream")),
        false => Ok(()),
    }
}

fn pour(mut input: impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => out.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The file is replaced by what it becomes.
fn replaced(cx: &Context<'_>, options: &Options, path: &Path, level: u8) -> std::result::Result<(), Trouble> {
    let (directory, name) = cx.files.parent(path)?;
    let new = match (options.decompress, name.as_bytes()) {
        (true, bytes) => match (bytes.strip_suffix(b".gz"), bytes.strip_suffix(b".tgz")) {
            (Some(stem @ [_, ..]), _) => os(stem),
            (_, Some(stem @ [_, ..])) => os(&[stem, b".tar"].concat()),
            _ => return Err(Trouble::Left("a name without .gz")),
        },
        (false, bytes) if bytes.ends_with(b".gz") && !options.force => return Err(Trouble::Left("has .gz already")),
        (false, bytes) => os(&[bytes, b".gz"].concat()),
    };
    let file = directory.open(&name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY, 0)?;
    let stat = fstat(&file).map_err(io::Error::from)?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Trouble::Left("no regular file"));
    }
    let create = || directory.open(&new, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, 0o600);
    let out = match create() {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => match options.force {
            true => directory.remove(&new).and_then(|()| create())?,
            false => return Err(Trouble::Left("what it would become is there already")),
        },
        out => out?,
    };
    let converted = convert(options, file, BufWriter::with_capacity(BUFFER, out), level);
    if let Err(Trouble::Failed(_)) = converted {
        let _ = directory.remove(&new);
        return converted;
    }
    attributes(&directory, &new, &stat)?;
    if !options.keep {
        directory.remove(&name)?;
    }
    converted
}

/// What it becomes has the mode, the owner as far as we may give it, and the times.
fn attributes(directory: &crate::target::files::Directory, name: &OsStr, stat: &FileStat) -> io::Result<()> {
    let owned = directory.set_owner(name, stat.st_uid, stat.st_gid);
    directory.set_mode(name, stat.st_mode & if owned.is_ok() { 0o7777 } else { 0o777 })?;
    directory.set_times(name, (stat.st_atime, stat.st_atime_nsec), (stat.st_mtime, stat.st_mtime_nsec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn levels() {
        let mut args = ["-c", "-9", "-8k", "x1", "--x1", "-", "-1"].map(OsString::from).to_vec();
        assert_eq!(take_level(&mut args), 1);
        assert_eq!(args, ["-c", "-k", "x1", "--x1", "-"]);
    }

    #[test]
    fn what_cannot_be_unpacked_is_one_line() {
        let done = capture(&APPLET, &["-d"], b"hello");
        assert_eq!((done.status, done.err.as_str()), (1, "gzip: standard input: is not in gzip format\n"));
        let done = capture(&APPLET, &["/none"], b"");
        assert_eq!((done.status, done.err.as_str()), (1, "gzip: /none: No such file or directory\n"));
    }
}
