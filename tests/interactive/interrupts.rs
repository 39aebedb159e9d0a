//! Ctrl-C, Ctrl-Z and Ctrl-\\: what they end, and what they leave.

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;

use super::Session;

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
fn ctrl_c_ends_loops_of_builtins() {
    let mut session = Session::start();
    for line in [
        "while :; do :; done",
        "until false; do x=1; done",
        "command eval 'while :; do :; done'",
        "eval 'while :; do :; done'",
        "f() { while :; do :; done; }; f",
        "x=$(while :; do :; done)",
        "(while :; do :; done)",
        "while :; do :; done | cat",
    ] {
        session.line(&format!("{line}; echo not$((6*7))"));
        session.until_a_command_runs();
        session.keys("\x03");
        let seen = session.see("ready> ");
        assert!(!seen.contains("not42"), "{line}: {seen:?}");
        session.run("echo status $?", "status 130");
    }
}

#[test]
fn ctrl_c_in_the_middle_of_a_command_drops_all_its_lines() {
    let mut session = Session::start();
    session.line("echo one &&");
    session.see("> ");
    session.line("echo 'two");
    session.see("> ");
    session.keys("\x03");
    session.see("ready> ");
    session.run("echo three$((1+1))", "three2");
}

#[test]
fn ctrl_z_does_nothing_to_a_loop_of_builtins() {
    let mut session = Session::start();
    session.line("while :; do :; done");
    session.until_a_command_runs();
    session.keys("\x1a");
    session.interrupt();
    session.run("jobs; echo status $?", "status 0");
}

#[test]
fn a_trap_of_int_takes_ctrl_c() {
    let mut session = Session::start();
    session.line(
        "trap 'x=1; echo caught$((1+1))' INT; x=; echo go$((1+1)); while [ -z \"$x\" ]; do :; done; echo over$((1+1))",
    );
    session.see("go2");
    session.keys("\x03");
    session.see("caught2");
    session.see("over2");
}

#[test]
fn a_script_handles_ctrl_c_itself() {
    let mut session = Session::start();
    session.line("sh -c 'trap \"exit 3\" INT; echo start$((1+1)); while :; do :; done'");
    session.see("start2");
    session.keys("\x03");
    session.see("ready> ");
    session.run("echo status $?", "status 3");
}

#[test]
fn without_job_control_ctrl_c_ends_a_command_too() {
    let mut session = Session::start();
    session.run("set +m; echo off$((1+1))", "off2");
    session.line("echo start$((1+1)); sleep 1000");
    session.see("start2");
    session.until_a_command_runs();
    session.interrupt();
    session.run("echo status $?", "status 130");
}

#[test]
fn an_interactive_shell_ignores_quit_and_term_and_ends_on_hup() {
    let mut session = Session::start();
    let pid = Pid::from_raw(i32::try_from(session.shell.id()).unwrap());
    for signal in [Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGTSTP] {
        kill(pid, signal).unwrap();
        session.run("echo alive $((6*7))", "alive 42");
    }
    session.keys("\x1c");
    session.see("ready> ");
    session.run("echo alive $((6*7))", "alive 42");
    kill(pid, Signal::SIGHUP).unwrap();
    assert_eq!(session.ends(), None);
}
