//! The shell as people type at it, in a pseudo terminal: keys go in, the screen comes back, signals come from keys.
//!
//! What a test waits for is never what it typed, since the terminal shows that too: `$((6*7))` is typed, `42` awaited.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
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
        let program = Program::new();
        let pair = openpty(None, None).unwrap();
        let side = || pair.slave.try_clone().unwrap();
        // util-linux: a session of its own, whose terminal is this one.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.links().join("sh"));
        command.env_clear().env("TERM", "xterm").env("PATH", program.links()).env("PS1", "ready> ");
        command.env("PATH", format!("{}:/usr/bin:/bin", program.links().display()));
        let shell = command.stdin(side()).stdout(side()).stderr(side()).spawn();
        let shell = shell.unwrap_or_else(|error| panic!("setsid: {error}; tests/check installs it"));
        let terminal = side();
        let mut session =
            Session { shell, master: pair.master.into(), terminal, screen: String::new(), _program: program };
        session.see("ready> ");
        session
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

    /// Waits until a foreground job has the terminal. Only the master tells a stranger to the session.
    fn until_a_job_runs(&self) {
        self.until("a job has the terminal", |session| {
            tcgetpgrp(&session.master).is_ok_and(|group| group.as_raw() as u32 != session.shell.id())
        });
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

#[test]
fn ctrl_c_ends_what_runs_and_leaves_the_shell() {
    let mut session = Session::start();
    session.line("while :; do echo looping$((1+1)); done");
    session.see("looping2");
    session.interrupt();
    session.run("echo status $?", "status 130");
    session.line("echo start$((1+1)); sleep 1000; echo not reached");
    session.see("start2");
    session.interrupt();
    session.run("echo status $?", "status 130");
    session.line("for i in 1 2 3; do echo round$((i+1)); sleep 1000; done");
    session.see("round2");
    session.interrupt();
    session.run("echo status $?", "status 130");
    session.line("sleep 1000 & echo start$((1+1)); wait");
    session.see("start2");
    session.interrupt();
    session.run("echo status $?; kill %1", "status 130");
    session.line("read line; echo not reached");
    session.until("the shell reads as a terminal does", |session| {
        tcgetattr(&session.terminal).is_ok_and(|modes| modes.local_flags.contains(LocalFlags::ICANON))
    });
    session.interrupt();
    session.run("echo status $?", "status 130");
}

#[test]
fn ctrl_c_at_the_prompt_drops_the_line() {
    let mut session = Session::start();
    session.keys("echo not run");
    session.see("not run");
    session.keys("\x03");
    session.see("ready> ");
    session.line("if true");
    session.see("> ");
    session.keys("\x03");
    session.see("ready> ");
    session.run("echo alive $((6*7))", "alive 42");
}

#[test]
fn ctrl_z_stops_a_job_that_goes_on_later() {
    let mut session = Session::start();
    session.line("cat; echo status $?");
    session.until_a_job_runs();
    session.keys("first\r");
    session.see("first\r\nfirst");
    session.keys("\x1a");
    session.see("Stopped");
    session.see("ready> ");
    session.run("echo status $?; jobs", "cat");
    session.line("fg");
    session.until_a_job_runs();
    session.keys("second\r");
    session.see("second\r\nsecond");
    session.keys("\x04");
    session.run("echo ended $?", "ended 0");
    session.line("sleep 1000");
    session.until_a_job_runs();
    session.keys("\x1a");
    session.see("Stopped");
    session.see("ready> ");
    session.run("bg; jobs", "Running");
    session.run("kill %1; wait %1; echo status $?", "status 143");
}

#[test]
fn a_killed_job_leaves_the_terminal_as_it_was() {
    let mut session = Session::start();
    session.line("sh -c 'stty raw -echo; kill -KILL $$'");
    session.see("Killed");
    session.see("ready> ");
    session.line("cat >/dev/null; echo over $((6*7))");
    session.until("lines and echo are back", |session| {
        let wanted = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
        tcgetattr(&session.terminal).is_ok_and(|modes| modes.local_flags.contains(wanted))
    });
    session.keys("\x04");
    session.see("over 42");
}

#[test]
fn errors_do_not_end_the_session() {
    let mut session = Session::start();
    session.run("echo )", "unexpected");
    session.run("readonly r=1; r=2", "read only");
    session.run(": ${unset?gone$((1+1))}", "gone2");
    session.run(": > /nonexistent/file", "cannot create");
    session.run("shift 99", "shift");
    session.run("exec /nonexistent/program", "not found");
    session.run("f() { f; }; f", "too deeply");
    session.run("netsta", "sh: netsta: not found, did you mean 'netstat'?");
    session.run("echo alive $((6*7))", "alive 42");
}

#[test]
fn tab_completes_commands_and_paths() {
    let mut session = Session::start();
    session.keys("readli\t /proc/self/ex\t\r");
    session.see("/sidebox");
    session.see("ready> ");
    session.line("long_name=7$((6*7))");
    session.see("ready> ");
    session.keys("echo $long_n\t:$((6*7))\r");
    session.see("742:42");
}

#[test]
fn ctrl_d_ends_the_session_with_the_last_status() {
    let mut session = Session::start();
    session.run("(exit 3); echo code$((1+1))", "code2");
    session.line("(exit 3)");
    session.see("ready> ");
    session.keys("\x04");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = session.shell.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the shell goes on");
    };
    assert_eq!(status.code(), Some(3));
}
