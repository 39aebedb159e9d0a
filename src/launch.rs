//! Starting commands: an applet in a forked child without exec, or a program by execve. The only module that forks,
//! executes and waits.
//!
//! The process has one thread wherever this is used, so that a forked child is a complete process. Buffers are
//! flushed before any fork.

pub mod child;
pub mod command;
pub mod identity;
pub mod namespaces;
mod parallel;

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, ForkResult, Pid};

use crate::applet::{Environment, Streams};
use crate::sys;
use crate::sys::signal::{self, Blocked, Disposition};

pub use parallel::{Stream, drain, parallel};

/// Where to look for programs when PATH is not set (confstr(3), _CS_PATH, with the places of system programs).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The two sides of a fork.
pub enum Fork {
    Parent(Pid),
    Child,
}

/// Forks with empty buffers. In the child, the caller ends with [`sys::exit`].
pub fn fork(io: &mut Streams) -> io::Result<Fork> {
    // An error here shows again, and is reported, when the command that wrote flushes.
    io.out.flush()?;
    match sys::fork()? {
        ForkResult::Parent { child } => Ok(Fork::Parent(child)),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Replaces the process. Returns only when that failed.
#[expect(clippy::disallowed_methods)]
pub fn execute(program: &Path, args: &[OsString], env: &Environment) -> io::Error {
    let c_string = |text: &OsStr| sys::c_string(text.as_bytes());
    let program = match c_string(program.as_os_str()) {
        Ok(program) => program,
        Err(error) => return error,
    };
    let args: Result<Vec<CString>, io::Error> = args.iter().map(|arg| c_string(arg)).collect();
    match args {
        Ok(args) => {
            sys::stack::restore();
            let Err(errno) = nix::unistd::execve(&program, &args, &env.to_exec());
            sys::stack::raise();
            errno.into()
        }
        Err(error) => error,
    }
}

/// What a search for a program found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Program(PathBuf),
    /// A file of that name that cannot be executed: status 126.
    NotExecutable(PathBuf),
    Nothing,
}

/// Looks a name up in PATH; one with a slash stands for itself (POSIX.1-2024, XCU 2.9.1.4).
pub fn search(name: &OsStr, path: Option<&OsStr>) -> Found {
    if name.is_empty() {
        return Found::Nothing;
    }
    if name.as_bytes().contains(&b'/') {
        return match judge(Path::new(name)) {
            Judgement::Absent => Found::Nothing,
            Judgement::Unfit => Found::NotExecutable(PathBuf::from(name)),
            Judgement::Fit => Found::Program(PathBuf::from(name)),
        };
    }
    let mut unfit = None;
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH));
    for directory in path.as_bytes().split(|byte| *byte == b':') {
        let directory = if directory.is_empty() { b"." } else { directory };
        let candidate = Path::new(OsStr::from_bytes(directory)).join(name);
        match judge(&candidate) {
            Judgement::Fit => return Found::Program(candidate),
            Judgement::Unfit => unfit = unfit.or(Some(candidate)),
            Judgement::Absent => {}
        }
    }
    unfit.map_or(Found::Nothing, Found::NotExecutable)
}

enum Judgement {
    Fit,
    Unfit,
    Absent,
}

fn judge(path: &Path) -> Judgement {
    let Ok(stat) = nix::sys::stat::stat(path) else { return Judgement::Absent };
    let regular = stat.st_mode & libc::S_IFMT == libc::S_IFREG;
    match regular && nix::unistd::access(path, AccessFlags::X_OK).is_ok() {
        true => Judgement::Fit,
        false => Judgement::Unfit,
    }
}

/// What a wait reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Exited(Pid, u8),
    Killed(Pid, i32, bool),
    Stopped(Pid, i32),
    Continued(Pid),
}

impl Change {
    pub fn pid(self) -> Pid {
        match self {
            Change::Exited(pid, _) | Change::Killed(pid, ..) | Change::Stopped(pid, _) | Change::Continued(pid) => pid,
        }
    }

    /// The status that `$?` shows: 128 and the signal for a process that a signal ended or stopped.
    pub fn status(self) -> u8 {
        match self {
            Change::Exited(_, status) => status,
            Change::Killed(_, signal, _) | Change::Stopped(_, signal) => 128 + signal as u8,
            Change::Continued(_) => 0,
        }
    }
}

/// Waits for any child to change. `Ok(None)`: nothing yet (only without `block`). EINTR comes back as an error, so
/// that the caller can look at its signals; ECHILD says that there is no child.
#[expect(clippy::disallowed_methods)]
pub fn wait(block: bool, stopped: bool) -> nix::Result<Option<Change>> {
    let mut flags = WaitPidFlag::empty();
    flags.set(WaitPidFlag::WNOHANG, !block);
    flags.set(WaitPidFlag::WUNTRACED, stopped);
    Ok(match waitpid(None, Some(flags))? {
        WaitStatus::Exited(pid, status) => Some(Change::Exited(pid, status as u8)),
        WaitStatus::Signaled(pid, signal, core) => Some(Change::Killed(pid, signal as i32, core)),
        WaitStatus::Stopped(pid, signal) => Some(Change::Stopped(pid, signal as i32)),
        WaitStatus::Continued(pid) => Some(Change::Continued(pid)),
        _ => None,
    })
}

/// Waits for any child to change, or for a caught signal: EINTR. One that came just before the call counts too, which
/// waitpid(2) would sleep through.
pub fn wait_or_signal(stopped: bool) -> nix::Result<Option<Change>> {
    // A child's end must be able to end the sleep below.
    let before = signal::set(Signal::SIGCHLD, Disposition::Catch)?;
    let blocked = Blocked::all()?;
    let result = loop {
        if signal::pending() {
            break Err(Errno::EINTR);
        }
        match wait(false, stopped) {
            Ok(None) => blocked.suspend()?,
            result => break result,
        }
    };
    signal::set(Signal::SIGCHLD, before.unwrap_or(Disposition::Default))?;
    result
}

/// The reason for a failed start, and the shell's status for it: 127 where there is nothing, 126 where it cannot run.
pub fn start_status(error: &io::Error) -> u8 {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR) => 127,
        _ => 126,
    }
}
