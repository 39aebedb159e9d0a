//! The end of a session: Ctrl-D, `exit`, what stands in the way, and what is run.

use std::io::Write;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::Session;
use crate::program::Program;

#[test]
fn ctrl_d_ends_the_session_with_the_last_status() {
    let mut session = Session::start();
    session.run("(exit 3); echo code$((1+1))", "code2");
    session.line("(exit 3)");
    session.see("ready> ");
    session.keys("\x04");
    assert_eq!(session.ends(), Some(3));
}

#[test]
fn stopped_jobs_are_mentioned_before_ctrl_d_ends_the_session() {
    let mut session = Session::start();
    session.line("sleep 1000");
    session.until_a_job_runs();
    session.stop_job("Stopped");
    session.keys("\x04");
    session.see("there are stopped jobs");
    session.see("ready> ");
    session.run("echo on$((1+1)); jobs", "on2");
    session.keys("\x04");
    session.see("there are stopped jobs");
    session.see("ready> ");
    session.keys("\x04");
    assert_eq!(session.ends(), Some(0));
}

#[test]
fn stopped_jobs_are_mentioned_before_exit_too() {
    let mut session = Session::start();
    session.line("sleep 1000");
    session.until_a_job_runs();
    session.stop_job("Stopped");
    session.run("exit 5", "there are stopped jobs");
    session.line("exit 5");
    assert_eq!(session.ends(), Some(5));
}

#[test]
fn ignoreeof_asks_for_exit() {
    let mut session = Session::start();
    session.line("set -o ignoreeof");
    session.see("ready> ");
    for _ in 0..3 {
        session.keys("\x04");
        session.see("Use 'exit'");
        session.see("ready> ");
    }
    session.line("exit 4");
    assert_eq!(session.ends(), Some(4));
}

#[test]
fn ctrl_d_in_the_middle_of_a_command_is_a_syntax_error() {
    let mut session = Session::start();
    session.line("if true");
    session.see("> ");
    session.keys("\x04");
    session.see("unexpected end of file");
    session.see("ready> ");
    session.run("echo alive $((6*7))", "alive 42");
}

#[test]
fn the_exit_trap_is_run() {
    let mut session = Session::start();
    session.line("trap 'echo bye$((1+1))' EXIT");
    session.see("ready> ");
    session.keys("\x04");
    session.see("bye2");
    assert_eq!(session.ends(), Some(0));
}

#[test]
fn nobody_types() {
    let mut session = Session::with(&["--idle", "1s"], &[("PS1", "ready> ")]);
    session.see("sh: no input for 1 s (TMOUT): the shell ends");
    assert_eq!(session.ends(), Some(0));
}

#[test]
fn nobody_types_on_in_the_middle_of_a_line_and_the_last_status_and_the_exit_trap_count() {
    let mut session = Session::with(&[], &[("PS1", "ready> "), ("TMOUT", "2")]);
    session.line("trap 'echo bye$((1+1))' EXIT; (exit 3)");
    session.see("ready> ");
    session.keys("echo half a li");
    session.see("half a li");
    session.see("no input for 2 s");
    session.see("bye2");
    assert_eq!(session.ends(), Some(3));
}

#[test]
fn a_key_starts_the_time_anew_and_a_command_may_take_longer() {
    let mut session = Session::with(&["--idle=3"], &[("PS1", "ready> ")]);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(4) {
        session.keys("a");
        session.see("a");
        session.keys("\x15");
    }
    session.run("echo b$((1+1))", "b2");
    session.run("sleep 4; echo slept$((1+1))", "slept2");
    session.line("exit 4");
    assert_eq!(session.ends(), Some(4));
}

#[test]
fn nobody_writes_where_there_is_no_terminal() {
    let program = Program::new();
    let mut command = program.command("sh");
    let shell = command.args(["-i", "-q", "--idle", "1"]).env("PS1", "").stdin(Stdio::piped());
    let shell = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Not closed, and half a line in it.
    let mut input = shell.stdin.as_ref().unwrap();
    input.write_all(b"echo a; (exit 7)\necho b").unwrap();
    let kept = input.as_fd().try_clone_to_owned().unwrap();
    let done = shell.wait_with_output().unwrap();
    drop(kept);
    assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(7), b"a\n".as_slice()));
    assert!(String::from_utf8_lossy(&done.stderr).ends_with("\nsh: no input for 1 s (TMOUT): the shell ends\n"));
}
