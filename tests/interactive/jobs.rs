//! Job control: stopping, going on, and who has the terminal.

use nix::sys::termios::{LocalFlags, tcgetattr};

use super::Session;

#[test]
fn ctrl_z_stops_a_job_that_goes_on_later() {
    let mut session = Session::start();
    session.line("cat; echo status $?");
    session.until_a_job_runs();
    session.keys("first\r");
    session.see("first\r\nfirst");
    session.stop_job("Stopped");
    session.run("echo status $?; jobs", "cat");
    session.line("fg");
    session.until_a_job_runs();
    session.keys("second\r");
    session.see("second\r\nsecond");
    session.keys("\x04");
    session.run("echo ended $?", "ended 0");
    session.line("sleep 1000");
    session.until_a_job_runs();
    session.stop_job("Stopped");
    session.run("bg; jobs", "Running");
    session.run("kill %1; wait %1; echo status $?", "status 143");
}

/// Waits until the terminal is as it was before a job changed it.
fn until_lines_and_echo(session: &Session) {
    session.until("lines and echo are back", |session| {
        let wanted = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
        tcgetattr(&session.terminal).is_ok_and(|modes| modes.local_flags.contains(wanted))
    });
}

#[test]
fn a_killed_job_leaves_the_terminal_as_it_was() {
    let mut session = Session::start();
    session.line("sh -c 'stty raw -echo; kill -KILL $$'");
    session.see("Killed");
    session.see("ready> ");
    session.line("cat >/dev/null; echo over $((6*7))");
    until_lines_and_echo(&session);
    session.keys("\x04");
    session.see("over 42");
}

#[test]
fn a_stopped_job_leaves_the_terminal_as_it_was() {
    let mut session = Session::start();
    session.line("sh -c 'stty raw -echo; kill -STOP $$'");
    session.see("Stopped (SIGSTOP)");
    session.see("ready> ");
    session.line("cat >/dev/null; echo over $((6*7))");
    until_lines_and_echo(&session);
    session.keys("\x04");
    session.see("over 42");
    session.run("kill -KILL %1; wait %1; echo status $?", "status 137");
}

#[test]
fn a_background_job_that_reads_is_stopped() {
    let mut session = Session::start();
    session.run("cat &", "[1] ");
    session.run("wait %1; echo status $?", "status 149");
    session.run("jobs", "[1] + Stopped (SIGTTIN)");
    session.line("fg");
    session.until_a_job_runs();
    session.keys("text\r");
    session.see("text\r\ntext");
    session.keys("\x04");
    session.run("echo ended $?", "ended 0");
}

#[test]
fn a_pipeline_is_one_job() {
    let mut session = Session::start();
    // The last one tells that all are there.
    session.line("sleep 1000 | { echo start$((1+1)) >&2; cat; }");
    session.see("start2");
    session.stop_job("[1] + Stopped (SIGTSTP)    sleep 1000 | {");
    session.run("bg; jobs", "[1] + Running              sleep 1000 | {");
    session.line("fg %sleep");
    session.until_a_job_runs();
    session.interrupt();
    session.run("echo status $?; jobs", "status 130");
}

#[test]
fn the_end_of_a_background_job_is_told_at_the_next_prompt() {
    let mut session = Session::start();
    // It may have ended before the first prompt already.
    session.line("(exit 3) &");
    session.prompts_until("[1] + Done(3)              (exit 3)");
    session.run("sleep 1000 &", "[1] ");
    session.line("kill %1");
    session.prompts_until("[1] + Terminated           sleep 1000");
}

#[test]
fn current_and_previous_job() {
    let mut session = Session::start();
    for _ in 0..2 {
        session.line("sleep 1000");
        session.until_a_job_runs();
        session.keys("\x1a");
        session.see("Stopped");
        session.see("ready> ");
    }
    session.run("jobs", "[1] - Stopped (SIGTSTP)    sleep 1000\r\n[2] + Stopped (SIGTSTP)    sleep 1000");
    session.run("kill -KILL %-; wait %-; echo status $?", "status 137");
    session.run("jobs", "[2] + Stopped");
    session.run("bg %%; kill %+; wait %+; echo status $?", "status 143");
}

#[test]
fn a_signal_of_the_foreground_job_is_named() {
    let mut session = Session::start();
    session.run("sh -c 'kill -SEGV $$'", "Segmentation fault");
    session.run("echo status $?", "status 139");
}
