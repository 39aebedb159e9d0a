//! The end of a session: Ctrl-D, `exit`, what stands in the way, and what is run.

use super::Session;

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
