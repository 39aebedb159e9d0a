//! The shell as people type at it, in a pseudo terminal: keys go in, the screen comes back, signals come from keys.
//!
//! What a test waits for is never what it typed, since the terminal shows that too: `$((6*7))` is typed, `42` awaited.

mod editing;
mod interrupts;
mod jobs;
mod leaving;
mod prompts;
mod top;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::tcgetpgrp;

use crate::program::Program;

const PATIENCE: Duration = Duration::from_secs(20);

/// A shell at a terminal.
struct Session {
    shell: Child,
    /// The keyboard and the screen.
    master: File,
    /// The shell's side, to look at the terminal's modes.
    terminal: OwnedFd,
    screen: String,
    _program: Program,
}

impl Session {
    fn start() -> Session {
        Session::with(&[], &[("PS1", "ready> ")])
    }

    /// A shell with these arguments and variables, at its first prompt, which ends in `> `.
    fn with(args: &[&str], variables: &[(&str, &str)]) -> Session {
        // util-linux: a session of its own, whose terminal is this one.
        let mut session = Session::of(&["setsid", "--ctty"], args, variables);
        session.see("> ");
        session
    }

    /// A shell started by a command.
    fn of(starter: &[&str], args: &[&str], variables: &[(&str, &str)]) -> Session {
        let program = Program::new();
        // Both sides are close-on-exec from the start: what other tests start at this moment must not get them.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname_r(&master).unwrap();
        let slave = File::options().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path).unwrap();
        let side = || OwnedFd::from(slave.try_clone().unwrap());
        let mut command = Command::new(starter[0]);
        command.args(&starter[1..]).arg(program.links().join("sh")).args(args);
        command.env_clear().env("TERM", "xterm").env("HOME", program.links());
        command.env("PATH", format!("{}:/usr/bin:/bin", program.links().display()));
        command.envs(variables.iter().copied());
        let shell = command.stdin(side()).stdout(side()).stderr(side()).spawn();
        let shell = shell.unwrap_or_else(|error| panic!("{}: {error}; tests/check installs it", starter[0]));
        let terminal = side();
        Session { shell, master: OwnedFd::from(master).into(), terminal, screen: String::new(), _program: program }
    }

    fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    fn line(&mut self, line: &str) {
        self.keys(line);
        self.keys("\r");
    }

    /// Ctrl-C, and the prompt that follows: what is typed before it could still be read by what is interrupted.
    fn interrupt(&mut self) {
        self.keys("\x03");
        self.see("ready> ");
    }

    /// Waits until the screen shows `text`, and takes everything up to there.
    fn see(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen.find(text) {
                return self.screen.drain(..at + text.len()).collect();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let ready =
                poll(&mut [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)], PollTimeout::try_from(left).unwrap());
            assert_ne!(ready, Ok(0), "no {text:?} within {PATIENCE:?}, but {:?}", self.screen);
            let mut bytes = [0; 4096];
            let len = self.master.read(&mut bytes).unwrap_or(0);
            assert!(len > 0, "the terminal was closed before {text:?}: {:?}", self.screen);
            self.screen.push_str(&String::from_utf8_lossy(&bytes[..len]));
        }
    }

    /// Types a command whose output ends in `text`, and waits for the prompt behind it.
    fn run(&mut self, line: &str, text: &str) {
        self.line(line);
        self.see(text);
        self.see("ready> ");
    }

    /// Asks for one prompt after the other until `text` comes before one.
    fn prompts_until(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        self.line("");
        while !self.see("ready> ").contains(text) {
            assert!(Instant::now() < deadline, "no {text:?} before a prompt");
            self.line("");
        }
    }

    /// Ctrl-Z, what is told of it, and the prompt.
    fn stop_job(&mut self, told: &str) {
        self.keys("\x1a");
        self.see(told);
        self.see("ready> ");
    }

    /// Waits until a foreground job has the terminal. Only the master tells a stranger to the session.
    fn until_a_job_runs(&self) {
        self.until("a job has the terminal", |session| {
            tcgetpgrp(&session.master).is_ok_and(|group| group.as_raw() as u32 != session.shell.id())
        });
    }

    /// Waits until the terminal is as for a command that reads from it, and not the editor's.
    fn until_a_command_runs(&self) {
        self.until("the terminal is a command's", |session| {
            tcgetattr(&session.terminal).is_ok_and(|modes| modes.local_flags.contains(LocalFlags::ICANON))
        });
    }

    /// Waits for the end of the shell: its status.
    fn ends(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.shell.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the shell goes on: {:?}", self.screen);
            std::thread::yield_now();
        }
    }

    /// Waits until something holds of the terminal.
    fn until(&self, what: &str, holds: impl Fn(&Session) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
