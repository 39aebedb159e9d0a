//! pidof: the ids of the processes that run a program, the highest first, as sysvinit, procps and busybox have it.
//!
//! A program's name is the kernel's name of the process, as in busybox, or the last part of its first argument; a name
//! with a slash is the path in `/proc/PID/exe`, where that may be read, or the first argument itself. `-N` takes the
//! target's processes only. What shares our own command line is the shell that runs this, or what it forked without
//! exec: for these the kernel's name alone counts.
//!
//! Status: 0 some were found, 1 none were.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::target::process::{Stat, split_arguments};
use crate::target::{Kinship, Reader, Whose};

pub static APPLET: Applet = Applet {
    names: &["pidof"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 2,
};

/// Print the ids of the processes that run a program
#[derive(clap::Parser)]
struct Options {
    /// Only one, the highest
    #[arg(short)]
    single: bool,
    /// Shells that run a script of that name too
    #[arg(short = 'x')]
    scripts: bool,
    /// Not these processes; %PPID is our parent
    #[arg(short = 'o', value_name = "PID", value_delimiter = ',')]
    omitted: Vec<OsString>,
    /// What stands between the ids
    #[arg(short = 'd', short_alias = 'S', value_name = "TEXT", default_value = " ", allow_hyphen_values = true)]
    separator: OsString,
    /// Print nothing, the status tells
    #[arg(short)]
    quiet: bool,
    /// Only the target's processes
    #[arg(short = 'N', long)]
    target_only: bool,
    #[arg(value_name = "PROGRAM", required = true)]
    names: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(unreadable)?;
    let target = if options.target_only { Some(cx.target()?.pid) } else { None };
    let mut kinship = target.map(|pid| Kinship::new(&mut reader, Some(pid)));
    let own = reader.own_pid().and_then(|pid| reader.stat(pid).ok()).unwrap_or_default();
    let own_line = reader.arguments(own.pid).unwrap_or_default().to_vec();
    let omitted = omitted(&options.omitted, &own)?;
    let mut found = Vec::new();
    for pid in reader.pids().map_err(unreadable)?.into_iter().rev() {
        if pid == own.pid || omitted.contains(&pid) {
            continue;
        }
        let Ok(stat) = reader.stat(pid) else { continue };
        if kinship.as_mut().is_some_and(|kinship| kinship.whose(&mut reader, &stat) != Whose::Target) {
            continue;
        }
        let line = reader.arguments(pid).unwrap_or_default();
        let shares = line == own_line && stat.session == own.session;
        let arguments: Vec<&[u8]> = if shares { Vec::new() } else { split_arguments(line).take(2).collect() };
        let by_name = options.names.iter().any(|name| runs(name.as_bytes(), &stat.comm, &arguments, options.scripts));
        let mut paths = options.names.iter().filter(|name| name.as_bytes().contains(&b'/')).peekable();
        if by_name
            || paths.peek().is_some() && reader.program(pid).is_ok_and(|path| paths.any(|name| path == name.as_bytes()))
        {
            found.push(pid.to_string());
            if options.single {
                break;
            }
        }
    }
    if !options.quiet && !found.is_empty() {
        let ids: Vec<&[u8]> = found.iter().map(String::as_bytes).collect();
        cx.io.out.write_all(&ids.join(options.separator.as_bytes()))?;
        writeln!(cx.io.out)?;
    }
    Ok(Exit(u8::from(found.is_empty())))
}

fn omitted(words: &[OsString], own: &Stat) -> Result<Vec<i32>> {
    let number = |word: &OsString| match word.as_bytes() {
        b"%PPID" => Ok(own.parent),
        word => {
            let pid = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
            pid.ok_or_else(|| Error::usage(format_args!("{}: not a process id", Safe(word))))
        }
    };
    words.iter().map(number).collect()
}

/// Whether a process of this name and these first two arguments runs the program. A login shell has a dash before its
/// name.
fn runs(name: &[u8], comm: &[u8], arguments: &[&[u8]], scripts: bool) -> bool {
    let is = |argument: &&[u8]| *argument == name || base(argument) == name;
    let first = arguments.first().map(|first| first.strip_prefix(b"-").unwrap_or(first));
    comm == name || first.is_some_and(|first| is(&first)) || scripts && arguments.get(1).is_some_and(is)
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn what_runs_a_program() {
        assert!(runs(b"memcached", b"memcached", &[], false));
        assert!(runs(b"memcached", b"other", &[b"/usr/bin/memcached", b"-v"], false));
        assert!(runs(b"/usr/bin/memcached", b"other", &[b"/usr/bin/memcached"], false));
        assert!(runs(b"sh", b"other", &[b"-sh"], false));
        assert!(!runs(b"bin", b"other", &[b"/usr/bin/memcached", b"bin"], false));
        assert!(!runs(b"job.sh", b"sh", &[b"/bin/sh", b"/etc/job.sh"], false));
        assert!(runs(b"job.sh", b"sh", &[b"/bin/sh", b"/etc/job.sh"], true));
    }

    #[test]
    fn the_parent_can_be_left_out() {
        let own = Stat { parent: 7, ..Stat::default() };
        assert_eq!(omitted(&[OsString::from("%PPID"), OsString::from("9")], &own).unwrap(), [7, 9]);
    }

    #[test]
    fn nothing_found_and_wrong_use() {
        let none = capture(&APPLET, &["no such program"], b"");
        assert_eq!((none.status, none.out.as_str(), none.err.as_str()), (1, "", ""));
        let wrong = capture(&APPLET, &["-o", "x", "init"], b"");
        assert_eq!((wrong.status, wrong.err.as_str()), (2, "pidof: x: not a process id (see 'pidof --help')\n"));
        assert_eq!(capture(&APPLET, &[], b"").status, 2);
    }
}
