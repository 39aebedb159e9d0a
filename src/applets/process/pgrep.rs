//! pgrep, pkill: the processes that a pattern and lists of properties select, named or sent a signal. procps' options.
//!
//! What deviates:
//!
//! - User names are looked up in the target's own /etc/passwd for its processes, in ours for ours.
//! - `-N` selects the target's processes only.
//! - With `-f`, what has our own command line in our own session is ourselves: the shell that runs this has forked it
//!   without exec, and so `sh -c 'pkill -f server'` would end itself.
//! - Names are escaped where they are shown, also in a pipe.
//!
//! Longer than most because half of it is options.
//!
//! Status: 0 a process was selected (and got the signal), 1 none was, 2 a wrong use, 3 the processes cannot be read.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::sys::regex::{Flags, Regex};
use crate::sys::signal;
use crate::target::machine::Clock;
use crate::target::process::{Stat, split_arguments};
use crate::target::{Kinship, Reader, Users, Whose};

pub static APPLET: Applet = Applet {
    names: &["pgrep", "pkill"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 3,
};

/// Find processes by name and properties, or send them a signal (pkill)
#[derive(clap::Parser)]
#[command(after_help = "Status: 0 found, 1 nothing found, 2 a wrong use, 3 trouble.")]
struct Options {
    /// Show the name too
    #[arg(short, long)]
    list_name: bool,
    /// Show the command line too
    #[arg(short = 'a', long)]
    list_full: bool,
    /// What stands between process ids
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    delimiter: Option<OsString>,
    /// Only count
    #[arg(short, long)]
    count: bool,
    /// Say which process gets the signal (pkill)
    #[arg(short, long)]
    echo: bool,
    /// The signal, by name or number; pkill also takes -SIGNAL
    #[arg(long, value_name = "SIGNAL")]
    signal: Option<OsString>,
    /// Match the whole command line
    #[arg(short, long)]
    full: bool,
    /// Match all of the name, or of the command line
    #[arg(short = 'x', long)]
    exact: bool,
    /// Upper and lower case are the same
    #[arg(short, long)]
    ignore_case: bool,
    /// All processes but these (pgrep)
    #[arg(short = 'v', long, conflicts_with_all = ["newest", "oldest"])]
    inverse: bool,
    /// Only the one that started last
    #[arg(short, long, conflicts_with = "oldest")]
    newest: bool,
    /// Only the one that started first
    #[arg(short, long)]
    oldest: bool,
    /// Only children of these processes
    #[arg(short = 'P', long, value_name = "PID", value_delimiter = ',')]
    parent: Vec<i32>,
    /// Only these process groups; 0 is our own
    #[arg(short = 'g', long, value_name = "PGID", value_delimiter = ',')]
    pgroup: Vec<i32>,
    /// Only these sessions; 0 is our own
    #[arg(short, long, value_name = "SID", value_delimiter = ',')]
    session: Vec<i32>,
    /// Only on these terminals; - is none
    #[arg(short, long, value_name = "TTY", value_delimiter = ',', allow_hyphen_values = true)]
    terminal: Vec<OsString>,
    /// Only of these effective users, by name or number
    #[arg(short = 'u', long, value_name = "USER", value_delimiter = ',')]
    euid: Vec<OsString>,
    /// Only of these real users
    #[arg(short = 'U', long, value_name = "USER", value_delimiter = ',')]
    uid: Vec<OsString>,
    /// Only of these real groups, by name or number
    #[arg(short = 'G', long, value_name = "GROUP", value_delimiter = ',')]
    group: Vec<OsString>,
    /// Only those that started at least so many seconds ago
    #[arg(short = 'O', long, value_name = "SECONDS")]
    older: Option<u64>,
    /// Not the ancestors of this command, such as a script that runs it
    #[arg(short = 'A', long)]
    ignore_ancestors: bool,
    /// The ids of all their threads (pgrep)
    #[arg(short = 'w', long)]
    lightweight: bool,
    /// Only in these states: letters as in ps
    #[arg(short, long, value_name = "STATES")]
    runstates: Option<OsString>,
    /// Only the process whose id a file holds
    #[arg(short = 'F', long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Only the target's processes
    #[arg(short = 'N', long)]
    target_only: bool,
    /// An extended regular expression
    #[arg(value_name = "PATTERN")]
    pattern: Option<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let kills = cx.name == "pkill";
    let dashed = if kills { take_signal(&mut cx.args) } else { None };
    let options: Options = cx.parse()?;
    let named = options.signal.as_deref().map(|name| {
        let wrong = || Error::usage(format_args!("{}: no such signal", Safe::os(name)));
        signal::number(name.as_bytes()).ok_or_else(wrong)
    });
    let number = named.transpose()?.or(dashed).unwrap_or(libc::SIGTERM);
    if kills && (options.inverse || options.list_name || options.list_full || options.delimiter.is_some()) {
        return Err(Error::usage("-a, -d, -l and -v are for pgrep"));
    }
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(unreadable)?;
    let users = Users::new(cx.files);
    let mut criteria = Criteria::of(cx, &options, &mut reader, &users)?;
    let mut found = Vec::new();
    for pid in reader.pids().map_err(unreadable)? {
        // What ends while it is read is not there.
        let Ok(stat) = reader.stat(pid) else { continue };
        if let Some(takes) = criteria.take(&mut reader, &stat)
            && takes != options.inverse
        {
            found.push(stat);
        }
    }
    if options.lightweight && !kills {
        let threads = |stat: &Stat| {
            let ids = reader.threads(stat.pid).unwrap_or_default();
            ids.into_iter().map(|id| Stat { pid: id, ..stat.clone() }).collect::<Vec<_>>()
        };
        found = found.iter().flat_map(threads).collect();
    }
    let age = |stat: &Stat| (stat.start, stat.pid);
    if options.newest {
        found = found.into_iter().max_by_key(age).into_iter().collect();
    } else if options.oldest {
        found = found.into_iter().min_by_key(age).into_iter().collect();
    }
    if found.is_empty() && !options.full && options.pattern.as_ref().is_some_and(|pattern| pattern.len() > COMM) {
        cx.note("the kernel's names have at most 15 bytes; -f matches the command line");
    }
    if kills { kill(cx, &options, &criteria, &found, number) } else { show(cx, &options, &mut reader, &found) }
}

/// The most that the kernel keeps of a name (TASK_COMM_LEN, without its NUL).
const COMM: usize = 15;

/// Takes the first argument that is a signal after a dash out of the options, wherever it stands, as procps does.
fn take_signal(args: &mut Vec<OsString>) -> Option<i32> {
    let options = args.iter().take_while(|arg| *arg != "--").enumerate();
    let mut signals = options.filter_map(|(at, arg)| Some((at, signal::number(arg.as_bytes().strip_prefix(b"-")?)?)));
    let (at, number) = signals.next()?;
    args.remove(at);
    Some(number)
}

/// What a process has to be: of each list one.
struct Criteria<'a> {
    options: &'a Options,
    pattern: Option<Regex>,
    users: &'a Users<'a>,
    /// Where it matters whose a process is.
    kinship: Option<Kinship>,
    /// Of the file that -F names.
    pid: Option<i32>,
    ancestors: Vec<i32>,
    clock: Clock,
    own: Stat,
    own_line: Vec<u8>,
}

impl<'a> Criteria<'a> {
    fn of(cx: &Context<'_>, options: &'a Options, reader: &mut Reader, users: &'a Users<'a>) -> Result<Criteria<'a>> {
        let lists =
            [&options.terminal, &options.euid, &options.uid, &options.group].iter().any(|list| !list.is_empty());
        let numbers = [&options.parent, &options.pgroup, &options.session].iter().any(|list| !list.is_empty());
        let files = options.pidfile.is_some() || options.runstates.is_some() || options.older.is_some();
        if options.pattern.is_none() && !(lists || numbers || files || options.target_only) {
            return Err(Error::usage("needs a pattern or another criterion"));
        }
        for user in options.euid.iter().chain(&options.uid) {
            if !users.knows(user.as_bytes()) {
                return Err(Error::Status(2, format!("{}: no such user", Safe::os(user))));
            }
        }
        let target = if options.target_only { Some(cx.target()?.pid) } else { cx.files.target().ok().map(|it| it.pid) };
        let names = [&options.euid, &options.uid, &options.group];
        let matters = options.target_only || names.iter().any(|list| !list.is_empty());
        let own = reader.own_pid().and_then(|pid| reader.stat(pid).ok()).unwrap_or_default();
        let own_line = reader.arguments(own.pid).unwrap_or_default().to_vec();
        let mut ancestors = Vec::new();
        let mut above = own.parent;
        // A circle is none: ids may be used again while we read.
        while options.ignore_ancestors && above > 0 && !ancestors.contains(&above) {
            ancestors.push(above);
            above = reader.stat(above).map_or(0, |stat| stat.parent);
        }
        Ok(Criteria {
            ancestors,
            clock: Clock::now(),
            options,
            pattern: options.pattern.as_deref().map(|pattern| compile(options, pattern)).transpose()?,
            users,
            kinship: matters.then(|| Kinship::new(reader, target)),
            pid: options.pidfile.as_ref().map(|path| read_pid(cx, path)).transpose()?,
            own,
            own_line,
        })
    }

    /// Whether the process is one of them; `None` for ourselves, which nothing selects.
    fn take(&mut self, reader: &mut Reader, stat: &Stat) -> Option<bool> {
        let options = self.options;
        if stat.pid == self.own.pid || self.ancestors.contains(&stat.pid) {
            return None;
        }
        let line = if options.full { reader.arguments(stat.pid).unwrap_or_default() } else { b"" };
        if !line.is_empty() && line == self.own_line && stat.session == self.own.session {
            return None;
        }
        let text = if line.is_empty() { stat.comm.clone() } else { spaced(line) };
        let among = |list: &[i32], own, value| {
            list.is_empty() || list.iter().any(|item| if *item == 0 { own == value } else { *item == value })
        };
        let takes = self.pid.is_none_or(|pid| pid == stat.pid)
            && (options.parent.is_empty() || options.parent.contains(&stat.parent))
            && among(&options.pgroup, self.own.group, stat.group)
            && among(&options.session, self.own.session, stat.session)
            && options.older.is_none_or(|seconds| self.clock.age(stat.start) >= seconds as f64)
            && options.runstates.as_ref().is_none_or(|states| states.as_bytes().contains(&stat.state))
            && (options.terminal.is_empty() || options.terminal.iter().any(|name| stat.is_on(name.as_bytes())))
            && self.pattern.as_mut().is_none_or(|pattern| pattern.find(&text, 0, text.len()).is_some())
            && self.takes_owner(reader, stat);
        Some(takes)
    }

    fn takes_owner(&mut self, reader: &mut Reader, stat: &Stat) -> bool {
        let Some(kinship) = &mut self.kinship else { return true };
        let whose = kinship.whose(reader, stat);
        let among = |list: &[OsString], id| list.iter().any(|user| self.users.is(user.as_bytes(), id, whose));
        (!self.options.target_only || whose == Whose::Target)
            && (self.options.euid.is_empty()
                || reader.owner(stat.pid).is_ok_and(|owner| among(&self.options.euid, owner.user)))
            && (self.options.group.is_empty()
                || reader.status(stat.pid).is_ok_and(|status| {
                    let is = |group: &OsString| self.users.is_group(group.as_bytes(), status.groups.real, whose);
                    self.options.group.iter().any(is)
                }))
            && (self.options.uid.is_empty()
                || reader.status(stat.pid).is_ok_and(|status| among(&self.options.uid, status.users.real)))
    }
}

fn compile(options: &Options, pattern: &OsStr) -> Result<Regex> {
    let whole = [b"^(", pattern.as_bytes(), b")$"].concat();
    let text = if options.exact { &whole } else { pattern.as_bytes() };
    let flags = Flags { extended: true, ignore_case: options.ignore_case };
    Regex::new(text, flags).map_err(|why| Error::Status(2, format!("{}: {why}", Safe::os(pattern))))
}

fn read_pid(cx: &Context<'_>, path: &Path) -> Result<i32> {
    let mut text = Vec::new();
    let read = cx.files.open(path).and_then(|file| file.take(64).read_to_end(&mut text));
    read.map_err(|error| Error::message(format_args!("{}: {}", Safe::path(path), reason(&error))))?;
    let first = text.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).unwrap_or_default();
    let pid = std::str::from_utf8(first).ok().and_then(|text| text.parse().ok()).filter(|pid| *pid > 0);
    pid.ok_or_else(|| Error::message(format_args!("{}: holds no process id", Safe::path(path))))
}

/// A command line with spaces between its arguments.
fn spaced(line: &[u8]) -> Vec<u8> {
    split_arguments(line).collect::<Vec<_>>().join(&b' ')
}

fn show(cx: &mut Context<'_>, options: &Options, reader: &mut Reader, found: &[Stat]) -> Result<Exit> {
    if options.count {
        writeln!(cx.io.out, "{}", found.len())?;
        return Ok(Exit(u8::from(found.is_empty())));
    }
    let delimiter = options.delimiter.as_deref().map_or(&b"\n"[..], OsStr::as_bytes);
    for (index, stat) in found.iter().enumerate() {
        cx.io.out.write_all(if index > 0 { delimiter } else { b"" })?;
        write!(cx.io.out, "{}", stat.pid)?;
        if options.list_full {
            let line = spaced(reader.arguments(stat.pid).unwrap_or_default());
            match line.is_empty() {
                true => write!(cx.io.out, " [{}]", Safe(&stat.comm))?,
                false => write!(cx.io.out, " {}", Safe(&line))?,
            }
        } else if options.list_name {
            write!(cx.io.out, " {}", Safe(&stat.comm))?;
        }
    }
    cx.io.out.write_all(if found.is_empty() { b"" } else { b"\n" })?;
    Ok(Exit(u8::from(found.is_empty())))
}

fn kill(cx: &mut Context<'_>, options: &Options, criteria: &Criteria<'_>, found: &[Stat], number: i32) -> Result<Exit> {
    // The numbers would be those of other processes.
    if criteria.own.pid != nix::unistd::getpid().as_raw() {
        return Err(Error::message("the process ids that are seen here are those of another PID namespace"));
    }
    let mut reached = 0;
    for stat in found {
        match signal::send(stat.pid, number) {
            Ok(()) => {
                reached += 1;
                if options.echo {
                    writeln!(cx.io.out, "{} killed (pid {})", Safe(&stat.comm), stat.pid)?;
                }
            }
            // It ended by itself.
            Err(Errno::ESRCH) => {}
            Err(error) => cx.note(format_args!("{} ({}): {}", stat.pid, Safe(&stat.comm), error.desc())),
        }
    }
    if options.count {
        writeln!(cx.io.out, "{}", found.len())?;
    }
    Ok(Exit(u8::from(reached == 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn own_pid() -> String {
        std::process::id().to_string()
    }

    #[track_caller]
    fn wrong(args: &[&str], status: u8, err: &str) {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.status, done.out.as_str(), done.err.as_str()), (status, "", err));
    }

    #[test]
    fn never_ourselves() {
        let parent = nix::unistd::getppid().to_string();
        let children = capture(&APPLET, &["-P", &parent], b"").out;
        assert!(!children.lines().any(|pid| pid == own_pid()));
        assert!(!capture(&APPLET, &["-v", "no such process"], b"").out.lines().any(|pid| pid == own_pid()));
        assert!(!capture(&APPLET, &["-f", "."], b"").out.lines().any(|pid| pid == own_pid()));
    }

    #[test]
    fn groups_ages_threads_and_ancestors() {
        let parent = nix::unistd::getppid().to_string();
        let has = |args: &[&str]| capture(&APPLET, args, b"").out.lines().any(|line| line == parent);
        let group = nix::unistd::getgid().to_string();
        assert!(has(&["-G", &group]) && !has(&["-G", "4294967294"]));
        assert!(has(&["-O", "0"]) && !has(&["-O", "4000000000"]));
        assert!(has(&["-w", "."]) && !has(&["-A", "."]));
    }

    #[test]
    fn our_parent_by_its_properties() {
        let parent = nix::unistd::getppid().to_string();
        let stat = Reader::open().unwrap().stat(nix::unistd::getppid().as_raw()).unwrap();
        let has = |args: &[&str]| capture(&APPLET, args, b"").out.lines().any(|line| line == parent);
        let (group, session, user) =
            (stat.group.to_string(), stat.session.to_string(), nix::unistd::getuid().to_string());
        let above = stat.parent.to_string();
        assert!(has(&["."]) && has(&["-g", &group]) && has(&["-s", &session, "-P", &above]));
        assert!(has(&["-u", &user]) && has(&["-U", &format!("4294967294,{user}")]));
        assert!(!has(&["-u", "4294967294"]) && !has(&["-P", "2147483647"]) && !has(&["-v", "."]));
    }

    #[test]
    fn nothing_found() {
        wrong(&["no such process"], 1, "");
        assert_eq!(capture(&APPLET, &["-c", "no such process"], b"").out, "0\n");
        wrong(
            &["more than fifteen"],
            1,
            "pgrep: the kernel's names have at most 15 bytes; -f matches the command line\n",
        );
    }

    #[test]
    fn wrong_use() {
        wrong(&[], 2, "pgrep: needs a pattern or another criterion (see 'pgrep --help')\n");
        wrong(&["-u", "no\x1buser", "x"], 2, "pgrep: no\\x1buser: no such user\n");
        wrong(&["--signal", "FOO", "x"], 2, "pgrep: FOO: no such signal (see 'pgrep --help')\n");
        wrong(&["-F", "/nonexistent"], 3, "pgrep: /nonexistent: No such file or directory\n");
        wrong(&["-F", "/dev/null"], 3, "pgrep: /dev/null: holds no process id\n");
        for args in [&["a", "b"][..], &["("], &["-P", "x"], &["-n", "-o", "x"], &["-v", "-n", "x"]] {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.out.as_str(), done.err.lines().count()), (2, "", 1), "{args:?}");
        }
    }

    #[test]
    fn signals_among_the_arguments() {
        for (args, number, rest) in [
            (&["-9", "x"][..], Some(9), &["x"][..]),
            (&["-f", "-SIGHUP", "x"], Some(1), &["-f", "x"]),
            (&["-usr1"], Some(10), &[]),
            (&["-P", "1", "--", "-9"], None, &["-P", "1", "--", "-9"]),
            (&["-n", "-"], None, &["-n", "-"]),
        ] {
            let mut args: Vec<OsString> = args.iter().map(OsString::from).collect();
            assert_eq!(take_signal(&mut args), number);
            assert_eq!(args, rest);
        }
    }
}
