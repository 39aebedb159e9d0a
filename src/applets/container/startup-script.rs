//! startup-script: runs a script once on the host, in place of the image `startup-script` that cilium and others start as a
//! privileged DaemonSet with `hostPID: true`. Its program is manage-startup-script.sh.
//!
//! As there: STARTUP_SCRIPT is run in the namespaces of process 1 (`nsenter -t 1 -m -u -i -n -p`), then CHECKPOINT_PATH is
//! made there, and while it exists the script is not run again. Without CHECKPOINT_PATH it is
//! /tmp/startup-script.kubernetes.io_ and the MD5 of the script and a newline. Every 30 seconds it looks again. A script
//! that fails ends it with status 1; the engine starts it anew.
//!
//! What is different: the host needs no shell. The bash that the script's `#!` line names runs it, if the host has that one,
//! else our own shell does. SIGTERM is passed to the script and its children, and ends the waiting at once.
//!
//! Exit status: 1 the script failed or could not be run, 2 a wrong use, 128 and N after signal N.

#[path = "startup-script/md5.rs"]
mod md5;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::pipe;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::launch::child::{Ended, Side, go_on_in_child};
use crate::launch::namespaces::{Namespaces, Process};
use crate::launch::{self, Found, command};
use crate::output::Safe;
use crate::sys::signal::{self, Disposition};
use crate::target::namespaces::Namespace;
use crate::target::process::number;
use crate::target::{Files, Reader};

pub static APPLET: Applet = Applet {
    names: &["startup-script"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Run STARTUP_SCRIPT on the host, once for each checkpoint
#[derive(clap::Parser)]
#[command(
    after_help = "Variables: STARTUP_SCRIPT; CHECKPOINT_PATH, on the host, if not /tmp/startup-script.kubernetes.io_MD5.\n\
                  Needs the host's PID namespace (hostPID: true) and privileged: true."
)]
struct Options {
    /// How often to look for the checkpoint
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    interval: OsString,
}

/// The host's first process.
const HOST: i32 = 1;

/// Where the script runs.
const ENTERED: [Namespace; 5] = [Namespace::Mount, Namespace::Uts, Namespace::Ipc, Namespace::Network, Namespace::Pid];

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    command::needs_process(cx)?;
    let options: Options = cx.parse()?;
    let interval = number::<u64>(options.interval.as_bytes()).filter(|seconds| *seconds > 0);
    let Some(interval) = interval.map(Duration::from_secs) else {
        return Err(Error::usage(format_args!("--interval: {}: not a number of seconds", Safe::os(&options.interval))));
    };
    let Some(script) = cx.env.get("STARTUP_SCRIPT").map(OsStr::to_os_string) else {
        return Err(Error::message("STARTUP_SCRIPT: not set"));
    };
    let checkpoint = checkpoint(cx.env.get("CHECKPOINT_PATH"), script.as_bytes());
    if Reader::open().is_ok_and(|reader| reader.own_pid() == Some(HOST)) {
        cx.note("process 1 is this one, so the script runs in this container: share the host's (hostPID: true)");
    }
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signal::set(signal, Disposition::Catch).map_err(|error| Error::message(error.desc()))?;
    }
    loop {
        match go_on_in_child(cx.io, false).map_err(|error| Error::message(reason(&error)))? {
            Side::Child => return on_host(cx, &script, Path::new(&checkpoint)),
            Side::Parent(Ended { signal: Some(signal), .. }) => return Ok(ended_by(signal)),
            Side::Parent(Ended { status: 0, .. }) => {}
            Side::Parent(Ended { status, .. }) => return Ok(Exit(status)),
        }
        if let Some(signal) = pause(interval).map_err(|error| Error::message(error.desc()))? {
            return Ok(ended_by(signal));
        }
    }
}

fn ended_by(signal: Signal) -> Exit {
    Exit(128 + signal as u8)
}

/// In the shell of the original an empty CHECKPOINT_PATH is none, and the MD5 is of a here-string, which ends in a newline.
fn checkpoint(chosen: Option<&OsStr>, script: &[u8]) -> OsString {
    match chosen {
        Some(path) if !path.is_empty() => path.to_os_string(),
        _ => {
            let digest = md5::hex(&[script, b"\n"].concat());
            OsString::from(format!("/tmp/startup-script.kubernetes.io_{digest}"))
        }
    }
}

/// Sleeps, or until a signal asks us to end.
fn pause(length: Duration) -> nix::Result<Option<Signal>> {
    // What never becomes readable.
    let (silence, _open) = pipe()?;
    let deadline = Instant::now() + length;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match signal::wait_readable(std::os::fd::AsFd::as_fd(&silence), Some(left.into())) {
            Ok(_) => return Ok(None),
            Err(Errno::EINTR) => {
                let asks = |signal: &Signal| matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP);
                if let Some(signal) = signal::take().find(asks) {
                    return Ok(Some(signal));
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Looks for the checkpoint, and runs the script where there is none. In a process that moves to the host for it.
fn on_host(cx: &mut Context<'_>, script: &OsStr, checkpoint: &Path) -> Result<Exit> {
    let mut namespaces = Namespaces::default();
    let process = Process::open(HOST)?;
    for namespace in ENTERED {
        namespaces.add(namespace, &process)?;
    }
    drop(process);
    namespaces.enter()?;
    let files = Files::new(None);
    if files.metadata(checkpoint).is_ok() {
        return Ok(Exit(0));
    }
    match go_on_in_child(cx.io, true).map_err(|error| Error::message(reason(&error)))? {
        Side::Child => start(cx, script),
        Side::Parent(Ended { status: 0, .. }) => {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
            let made = files.open_with(checkpoint, flags, Mode::from_bits_truncate(0o666));
            made.map_err(|error| Error::message(format_args!("{}: {}", Safe::path(checkpoint), reason(&error))))?;
            say(cx, "!!! startup-script succeeded!");
            Ok(Exit(0))
        }
        Side::Parent(Ended { status, .. }) => {
            say(cx, &format!("!!! startup-script failed! exit code '{status}'"));
            Ok(Exit(1))
        }
    }
}

/// A line as others look for it, without our name.
fn say(cx: &mut Context<'_>, line: &str) {
    // Nobody is left to be told that it cannot be written.
    let _ = cx.io.err.write_all(format!("{line}\n").as_bytes());
}

/// Becomes the script.
fn start(cx: &mut Context<'_>, script: &OsStr) -> Result<Exit> {
    let args = |name: &OsStr| [name.to_os_string(), OsString::from("-c"), script.to_os_string()];
    if let Some(bash) = bash(script.as_bytes())
        && let Found::Program(path) = launch::search(bash, cx.env.get("PATH"))
    {
        let args = args(path.as_os_str());
        return command::replace(cx, &args, cx.env);
    }
    command::replace(cx, &args(OsStr::new(command::SHELL)), cx.env)
}

/// The bash that the script's first line names: `#!/bin/bash -e`, `#! /usr/bin/env bash`.
fn bash(script: &[u8]) -> Option<&OsStr> {
    let line = script.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let base = |word: &[u8]| word.rsplit(|byte| *byte == b'/').next() == Some(b"bash");
    let first = words.next()?;
    let program = match first.ends_with(b"/env") {
        true => words.find(|word| !word.starts_with(b"-"))?,
        false => first,
    };
    base(program).then(|| OsStr::from_bytes(program))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn the_name_of_the_checkpoint() {
        let of =
            |chosen: Option<&str>, script: &[u8]| checkpoint(chosen.map(OsStr::new), script).into_string().unwrap();
        // By `md5sum <<<"$STARTUP_SCRIPT"`.
        let default = "/tmp/startup-script.kubernetes.io_839457dcdaa782acb64404470d0fd548";
        assert_eq!(of(None, b"#! /bin/bash\necho done\n"), default);
        assert_eq!(of(Some(""), b"#! /bin/bash\necho done\n"), default);
        assert_eq!(of(Some("/run/done"), b""), "/run/done");
    }

    #[test]
    fn who_runs_it() {
        for (script, shell) in [
            ("#!/bin/bash\n", Some("/bin/bash")),
            ("#! /usr/local/bin/bash -e\r\nx", Some("/usr/local/bin/bash")),
            ("#!/usr/bin/env bash", Some("bash")),
            ("#!/usr/bin/env -S bash -e", Some("bash")),
            ("#!/bin/sh\nbash", None),
            ("#!/usr/bin/python3 bash\n", None),
            ("#!\n/bin/bash", None),
            ("echo #!/bin/bash", None),
            ("", None),
        ] {
            assert_eq!(bash(script.as_bytes()), shell.map(OsStr::new), "{script}");
        }
    }

    #[test]
    fn wrong_use() {
        let done = capture(&APPLET, &[], b"");
        assert_eq!((done.status, done.err.as_str()), (1, "startup-script: STARTUP_SCRIPT: not set\n"));
        let done = capture(&APPLET, &["--interval", "0"], b"");
        let err = "startup-script: --interval: 0: not a number of seconds (see 'startup-script --help')\n";
        assert_eq!((done.status, done.err.as_str()), (2, err));
    }
}
