//! Typing: editing, history, completion, and commands of several lines.

use std::os::fd::AsRawFd;
use std::process::Command;

use super::Session;

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
fn tab_completes_what_the_shell_knows() {
    let mut session = Session::start();
    session.line("long_name=7; long_function() { echo function$((6*7)); }; alias long_alias='echo alias$((6*7))'");
    session.see("ready> ");
    session.keys("echo ${long_n\t:$((6*7))\r");
    session.see("7:42");
    session.keys("long_f\t\r");
    session.see("function42");
    session.keys("long_a\t\r");
    session.see("alias42");
    session.keys("echo localho\t:$((6*7))\r");
    session.see("localhost :42");
    session.run("sleep 1000 &", "[1] ");
    session.keys("kill %\t; wait $!; echo status $?\r");
    session.see("status 143");
    session.see("ready> ");
}

#[test]
fn tab_after_kill_completes_processes() {
    let mut session = Session::start();
    session.run("sleep 1000 &", "[1] ");
    session.line("echo \"pid $! end\"");
    session.see("pid ");
    let seen = session.see(" end");
    let pid = seen.trim_end_matches(" end").to_string();
    session.see("ready> ");
    session.keys(&format!("kill {}\t", &pid[..pid.len() - 1]));
    session.keys("\x03");
    session.see("ready> ");
    session.keys(&format!("kill -TERM {pid}\t; wait %1; echo status $?\r"));
    session.see("status 143");
}

#[test]
fn arrows_recall_commands_and_their_lines() {
    let mut session = Session::start();
    session.run("echo first$((1+1))", "first2");
    session.line("for i in 1 2");
    session.see("> ");
    session.run("do echo round$((i+1)); done", "round3");
    session.keys("\x1b[A\r");
    session.see("round2\r\nround3");
    session.see("ready> ");
    // The first two move to the recalled command and to its first line.
    session.keys("\x1b[A\x1b[A\x1b[A\r");
    session.see("first2");
}

#[test]
fn ctrl_r_finds_a_command() {
    let mut session = Session::start();
    session.run("echo needle$((1+1))", "needle2");
    session.run("echo other$((1+1))", "other2");
    session.keys("\x12need");
    session.see("need': echo needle");
    session.keys("\r");
    session.see("needle2");
}

#[test]
fn fc_repeats_and_lists() {
    let mut session = Session::start();
    session.run("echo one$((1+1))", "one2");
    session.run("fc -s one=three", "three2");
    session.run("fc -l | cat", "1\techo one$((1+1))\r\n2\techo three$((1+1))");
    session.run("history 2", "    3  fc -l | cat\r\n    4  history 2");
}

#[test]
fn vi_mode_is_on_at_once_and_off_again() {
    let mut session = Session::start();
    session.line("set -o vi");
    session.see("ready> ");
    session.keys("echo 6*7x\x1b");
    session.see("x\x1b[D");
    session.keys("x");
    session.see("\x1b[K");
    session.keys("\r");
    session.see("6*7\r\n");
    session.see("ready> ");
    session.line("set -o emacs; set -o | grep -c '^vi .*on'");
    session.see("\n0");
    session.see("ready> ");
    session.keys("$((6*7))\x01echo \r");
    session.see("\n42");
}

#[test]
fn a_paste_is_run_when_enter_is_pressed() {
    let mut session = Session::start();
    session.keys("\x1b[200~echo a$((1+1))\necho b$((1+1))\x1b[201~");
    session.see("echo b$((1+1))");
    session.keys("\r");
    session.see("a2\r\nb2");
}

#[test]
fn a_here_document_is_typed() {
    let mut session = Session::start();
    session.line("cat <<END");
    session.see("> ");
    session.line("text $((6*7))");
    session.see("> ");
    session.run("END", "text 42");
}

#[test]
fn an_alias_serves_from_the_next_line() {
    let mut session = Session::start();
    session.line("alias hello='echo hello$((1+1))'");
    session.see("ready> ");
    session.run("hello", "hello2");
    session.run("history 1 | cat; hello; history 2", "hello;");
}

#[test]
fn the_terminal_may_change_its_size() {
    let mut session = Session::start();
    session.keys("echo wide$((1+1))");
    session.see("wide");
    let path = std::fs::read_link(format!("/proc/self/fd/{}", session.terminal.as_raw_fd())).unwrap();
    let resized = Command::new("stty").arg("-F").arg(path).args(["rows", "10", "cols", "33"]).status();
    assert!(resized.unwrap().success());
    session.keys("\r");
    session.see("wide2");
    session.see("ready> ");
    session.run("stty size", "10 33");
}
