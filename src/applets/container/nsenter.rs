//! nsenter: util-linux's, a command in the namespaces of another process.
//!
//! What is different: without -t it is the target's; a command of ours, and the shell without a command, run there although
//! its root holds none; with -r alone the working directory is the new root, and not one outside of it; short options may
//! stand together (-mun). As there, a process that enters a PID namespace is a child of the one that waits for it.
//!
//! Exit status: the command's; 126 it cannot run, 127 there is none, 1 the namespaces cannot be entered.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, os, reason};
use crate::launch::child::{Side, go_on_in_child};
use crate::launch::namespaces::{Namespaces, Process};
use crate::launch::{command, identity};
use crate::output::Safe;
use crate::target::namespaces::Namespace;
use crate::target::process::number;

pub static APPLET: Applet = Applet {
    names: &["nsenter"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Run a command in the namespaces of the target or of another process
#[derive(clap::Parser)]
#[command(
    after_help = "Without FILE a namespace is the process's. Commands of sidebox need not exist there; without COMMAND it \
                  is a shell."
)]
struct Options {
    /// The process, if it is not the target
    #[arg(short, long, value_name = "PID")]
    target: Option<OsString>,
    /// All namespaces that are not ours already
    #[arg(short, long)]
    all: bool,
    /// The mount namespace
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    mount: Option<OsString>,
    /// The host name's
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    uts: Option<OsString>,
    /// That of System V IPC and message queues
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    ipc: Option<OsString>,
    /// The network
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    net: Option<OsString>,
    /// The process ids, in a child
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pid: Option<OsString>,
    /// The control groups
    #[arg(short = 'C', long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    cgroup: Option<OsString>,
    /// The users, as its root
    #[arg(short = 'U', long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    user: Option<OsString>,
    /// The clocks, in a child
    #[arg(short = 'T', long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    time: Option<OsString>,
    /// The user to become
    #[arg(short = 'S', long, value_name = "UID")]
    setuid: Option<OsString>,
    /// The group to become, without supplementary ones
    #[arg(short = 'G', long, value_name = "GID")]
    setgid: Option<OsString>,
    /// Change neither user nor groups
    #[arg(long)]
    preserve_credentials: bool,
    /// The root directory: the process's, or DIR
    #[arg(short, long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    root: Option<OsString>,
    /// The working directory: the process's, or DIR
    #[arg(short, long = "wd", value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    wd: Option<OsString>,
    /// Start no child in the PID namespace
    #[arg(short = 'F', long)]
    no_fork: bool,
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    command: Vec<OsString>,
}

impl Options {
    /// In the order of [`Namespace::ENTERED`].
    fn namespaces(&self) -> [(Namespace, &Option<OsString>); 8] {
        [
            (Namespace::User, &self.user),
            (Namespace::Cgroup, &self.cgroup),
            (Namespace::Ipc, &self.ipc),
            (Namespace::Uts, &self.uts),
            (Namespace::Network, &self.net),
            (Namespace::Pid, &self.pid),
            (Namespace::Mount, &self.mount),
            (Namespace::Time, &self.time),
        ]
    }

    /// Whether something is to be that of the process.
    fn need_process(&self) -> bool {
        let directories = [&self.root, &self.wd];
        let mut wanted = self.namespaces().map(|(_, file)| file).into_iter().chain(directories).flatten();
        self.all || self.target.is_some() || wanted.any(|file| file.is_empty())
    }
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    command::needs_process(cx)?;
    cx.args = apart(std::mem::take(&mut cx.args));
    let options: Options = cx.parse()?;
    let user = id(&options.setuid, "-S")?;
    let group = id(&options.setgid, "-G")?;
    let process = match (&options.target, options.need_process()) {
        (_, false) => None,
        (None, true) => Some(Process::open(cx.target()?.pid)?),
        (Some(pid), true) => match number(pid.as_bytes()).filter(|pid| *pid > 0) {
            Some(pid) => Some(Process::open(pid)?),
            None => return Err(Error::usage(format_args!("{}: not a process id", Safe::os(pid)))),
        },
    };
    let mut namespaces = Namespaces::default();
    for (namespace, file) in options.namespaces() {
        match (file, &process) {
            (Some(path), _) if !path.is_empty() => namespaces.add_file(namespace, cx.files, Path::new(path))?,
            (Some(_), Some(process)) => namespaces.add(namespace, process)?,
            _ => {}
        }
    }
    let root = directory(cx, &options.root, process.as_ref(), "root")?;
    let wd = directory(cx, &options.wd, process.as_ref(), "cwd")?;
    if let Some(process) = &process {
        if options.all {
            namespaces.add_rest(process)?;
        }
        process.check()?;
    }
    drop(process);

    let (fork, users) = (namespaces.need_child() && !options.no_fork, namespaces.contain(Namespace::User));
    namespaces.enter()?;
    if let Some(root) = root {
        identity::set_root(root, "root")?;
    }
    if let Some(wd) = wd {
        nix::unistd::fchdir(wd).map_err(|error| Error::message(format_args!("working directory: {}", error.desc())))?;
    }
    if fork {
        match go_on_in_child(cx.io, false).map_err(|error| identity::denied("fork", error, 0))? {
            Side::Parent(ended) => return Ok(Exit(ended.status)),
            Side::Child => {}
        }
    }
    // In a user namespace of others we are nobody until we become somebody.
    let implied = (users && !options.preserve_credentials).then_some(0);
    let (user, group) = (user.or(implied), group.or(implied));
    identity::change(user, group, group.map(|_| &[][..]))?;
    identity::settle()?;
    match options.command.is_empty() {
        true => command::shell(cx, true, cx.env),
        false => command::replace(cx, &options.command, cx.env),
    }
}

fn id(word: &Option<OsString>, option: &str) -> Result<Option<u32>> {
    let Some(word) = word else { return Ok(None) };
    match number(word.as_bytes()).filter(|id| *id != u32::MAX) {
        Some(id) => Ok(Some(id)),
        None => Err(Error::usage(format_args!("{option}: {}: not a number of a user or group", Safe::os(word)))),
    }
}

/// What is opened before the namespaces change, in which it may have another path or none.
fn directory(
    cx: &Context<'_>,
    path: &Option<OsString>,
    process: Option<&Process>,
    which: &str,
) -> Result<Option<OwnedFd>> {
    match (path, process) {
        (None, _) => Ok(None),
        (Some(path), Some(process)) if path.is_empty() => process.directory(which).map(Some),
        (Some(path), _) => {
            let path = Path::new(path);
            let failed = |error| Error::message(format_args!("{}: {}", Safe::path(path), reason(&error)));
            cx.files.directory(path).map(|directory| Some(directory.into())).map_err(failed)
        }
    }
}

/// Sets a value apart that hangs on its letter, which clap does not know of an option whose value may be missing: `-n/path`
/// is `--net=/path`. What hangs there and is no path is more letters.
fn apart(args: Vec<OsString>) -> Vec<OsString> {
    let mut result = Vec::with_capacity(args.len());
    let mut args = args.into_iter();
    while let Some(word) = args.next() {
        let name = match word.as_bytes() {
            // The command's arguments are its own.
            b"--" => None,
            [b'-', letter, b'/' | b'.' | b'@', ..] => long(*letter),
            [b'-', _, ..] => Some(""),
            _ => None,
        };
        let valued = matches!(word.as_bytes(), b"-t" | b"-S" | b"-G" | b"--target" | b"--setuid" | b"--setgid");
        match name {
            None => {
                result.push(word);
                break;
            }
            Some("") => result.push(word),
            Some(name) => result.push(os(&[b"--", name.as_bytes(), b"=", &word.as_bytes()[2..]].concat())),
        }
        if valued {
            result.extend(args.next());
        }
    }
    result.extend(args);
    result
}

fn long(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'm' => "mount",
        b'u' => "uts",
        b'i' => "ipc",
        b'n' => "net",
        b'p' => "pid",
        b'C' => "cgroup",
        b'U' => "user",
        b'T' => "time",
        b'r' => "root",
        b'w' => "wd",
        _ => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;
    use clap::Parser;

    fn options(args: &[&str]) -> Options {
        let args = apart(args.iter().map(OsString::from).collect());
        Options::try_parse_from(std::iter::once(OsString::from("nsenter")).chain(args)).unwrap()
    }

    #[test]
    fn values_that_may_be_missing() {
        let read = options(&["-t", "1", "-mu", "-n/run/net", "--ipc=x", "-r", "-w@/etc", "ls", "-n/x", "-p"]);
        let text = |value: &Option<OsString>| value.as_ref().map(|value| value.to_str().unwrap().to_string());
        assert_eq!(text(&read.target).as_deref(), Some("1"));
        assert_eq!([&read.mount, &read.uts, &read.root].map(text), [(); 3].map(|()| Some(String::new())));
        assert_eq!([&read.net, &read.ipc].map(text), ["/run/net", "x"].map(|value| Some(value.to_string())));
        assert_eq!((text(&read.wd).as_deref(), &read.pid), (Some("@/etc"), &None));
        assert_eq!(read.command, ["ls", "-n/x", "-p"]);
        assert!(read.need_process() && !options(&["--net=/x", "true"]).need_process());
        assert_eq!(options(&["-m", "--", "-n/x"]).command, ["-n/x"]);
    }

    #[test]
    fn the_order_is_that_in_which_they_are_entered() {
        assert_eq!(options(&[]).namespaces().map(|(namespace, _)| namespace), Namespace::ENTERED);
    }

    #[track_caller]
    fn fails(args: &[&str], status: u8, err: &str) {
        let done = capture(&APPLET, args, b"");
        assert_eq!((done.status, done.err.as_str()), (status, err));
    }

    #[test]
    fn what_cannot_be_entered() {
        fails(&["-t", "x", "-n", "true"], 2, "nsenter: x: not a process id (see 'nsenter --help')\n");
        fails(&["-t", "0", "-n", "true"], 2, "nsenter: 0: not a process id (see 'nsenter --help')\n");
        fails(&["-t", "2147483647", "-n", "true"], 1, "nsenter: process 2147483647: No such process\n");
        fails(&["--net=/none/x", "true"], 1, "nsenter: /none/x: No such file or directory\n");
        fails(&["-n/none/x", "true"], 1, "nsenter: /none/x: No such file or directory\n");
        fails(&["-r/none", "true"], 1, "nsenter: /none: No such file or directory\n");
        let err = "nsenter: -S: 4294967295: not a number of a user or group (see 'nsenter --help')\n";
        fails(&["-S", "4294967295", "true"], 2, err);
    }
}
