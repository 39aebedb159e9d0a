//! The binary under test, and running a program so that the test ends whatever the program does.
//!
//! `SIDEBOX_BINARY` names the binary, else it is the one that cargo built for this test. `SIDEBOX_RUNNER` names an
//! emulator that takes `-0 NAME BINARY ARGS` (qemu-aarch64-static); then every name is a two-line script, because the
//! kernel would not know how to execute a link to a foreign binary.

use std::env;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A program may write this much before it is cut off.
const MOST_OUTPUT: u64 = 8 << 20;

/// sidebox with a directory that holds a link for every name.
pub struct Program {
    links: Directory,
}

impl Program {
    pub fn new() -> Program {
        let links = Directory::new("links");
        let runner = env::var_os("SIDEBOX_RUNNER").map(PathBuf::from);
        let binary = binary();
        match runner {
            None => {
                symlink(&binary, links.path().join("sidebox")).unwrap();
                let installed = Command::new(&binary).arg("--install").arg(links.path()).status().unwrap();
                assert!(installed.success(), "sidebox --install: {installed}");
            }
            Some(runner) => {
                let list = run(Command::new(&runner).arg(&binary).arg("--list"), Duration::from_secs(10));
                assert_eq!(list.status, 0, "{}", list.err);
                for name in list.out.lines().chain(["sidebox"]) {
                    let script = format!("#!/bin/sh\nexec {runner:?} -0 {name:?} {binary:?} \"$@\"\n");
                    let path = links.path().join(name);
                    fs::write(&path, script).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
        }
        Program { links }
    }

    /// The directory of the links.
    pub fn links(&self) -> &Path {
        self.links.path()
    }

    /// sidebox, called by a name.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.links().join(name));
        command.arg0(name).env_clear();
        command
    }

    /// `sidebox ARGS`.
    pub fn sidebox(&self, args: &[&str]) -> Outcome {
        run(self.command("sidebox").args(args), Duration::from_secs(10))
    }
}

/// The file under test.
pub fn binary() -> PathBuf {
    let binary = env::var_os("SIDEBOX_BINARY").map_or(PathBuf::from(env!("CARGO_BIN_EXE_sidebox")), PathBuf::from);
    fs::canonicalize(&binary).unwrap_or_else(|error| panic!("{}: {error}", binary.display()))
}

/// How a program ended.
#[derive(Debug)]
pub struct Outcome {
    /// The status as a shell has it: 128 and the signal for a process that a signal ended.
    pub status: i32,
    pub out: String,
    pub err: String,
    /// It had to be killed.
    pub late: bool,
}

/// Runs a program without standard input, as a process group of its own; kills the group when the program has ended or
/// the time is over, so that nothing it started in the background survives it.
pub fn run(command: &mut Command, limit: Duration) -> Outcome {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let group = Pid::from_raw(child.id() as i32);
    let out = collect(child.stdout.take().unwrap());
    let err = collect(child.stderr.take().unwrap());
    let (sender, ended) = channel();
    thread::spawn(move || sender.send(child.wait().unwrap()));
    let in_time = ended.recv_timeout(limit);
    let _ = killpg(group, Signal::SIGKILL);
    let late = in_time.is_err();
    let status = in_time.or_else(|_| ended.recv()).unwrap();
    // A process that left the group may still hold the pipes; what it writes does not belong to the outcome.
    let text = |stream: Receiver<Vec<u8>>| {
        let bytes =
            stream.recv_timeout(Duration::from_secs(2)).expect("something outside the process group still writes");
        String::from_utf8(bytes).unwrap_or_else(|error| format!("not UTF-8: {}", error.as_bytes().escape_ascii()))
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Outcome { status: code, out: text(out), err: text(err), late }
}

fn collect(stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.take(MOST_OUTPUT).read_to_end(&mut bytes);
        sender.send(bytes)
    });
    receiver
}

/// A temporary directory that removes itself.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(purpose: &str) -> Directory {
        let template = env::temp_dir().join(format!("sidebox-{purpose}-XXXXXX"));
        Directory(nix::unistd::mkdtemp(&template).unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Empties it.
    pub fn clear(&self) {
        for entry in fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            let removed =
                if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The top of the sources.
pub fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
