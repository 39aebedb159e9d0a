//! top at a terminal: keys, sizes, signals, and the terminal as it was afterwards.

use std::os::fd::AsRawFd;
use std::process::Command;

use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::tcgetpgrp;

use super::Session;

/// The alternate screen is entered and left.
const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?25h\x1b[?1049l";

/// top, with its first rows on the screen. The second look is far away, so that what is seen comes from keys.
fn top(session: &mut Session) {
    session.line("top -d 600");
    session.see(ENTERED);
    session.see("PID USER");
}

/// What follows at the prompt: the status, and a terminal that is no longer top's.
fn ends_with(session: &mut Session, status: &str) {
    session.see(LEFT);
    session.see("ready> ");
    session.run("echo status$?", &format!("status{status}"));
    session.line("/bin/sleep 600");
    session.until_a_command_runs();
    session.interrupt();
}

/// The size, as a terminal emulator would set it.
fn resize(session: &Session, columns: &str, rows: &str) {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", session.terminal.as_raw_fd())).unwrap();
    let status = Command::new("/usr/bin/stty").arg("-F").arg(path).args(["cols", columns, "rows", rows]).status();
    assert!(status.unwrap().success());
}

#[test]
fn keys_change_what_is_shown() {
    let mut session = Session::start();
    top(&mut session);
    let modes = tcgetattr(&session.terminal).unwrap();
    assert!(!modes.local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO));
    for (key, shown) in [
        ("M", "by %mem |"),
        ("T", "by time |"),
        ("N", "by pid |"),
        ("R", "by +pid |"),
        ("P", "by %cpu |"),
        ("t", ", target only"),
        ("t", "by %cpu |"),
        ("H", "by %cpu, threads"),
        ("i", ", no idle"),
    ] {
        session.keys(key);
        session.see(shown);
    }
    session.keys("q");
    ends_with(&mut session, "0");
}

#[test]
fn lines_fit_the_screen_and_follow_its_size() {
    let mut session = Session::start();
    resize(&session, "60", "12");
    top(&mut session);
    session.keys("M");
    session.see("by %mem");
    session.see("\x1b[J");
    for (columns, rows) in [(40, 10), (70, 14)] {
        resize(&session, &columns.to_string(), &rows.to_string());
        // One that was drawn before may still come first.
        loop {
            let screen = session.see("\x1b[J");
            let screen = screen.split("\x1b[H").last().unwrap().replace("\x1b[K", "").replace("\x1b[J", "");
            let lines: Vec<&str> = screen.split('\n').map(|line| line.trim_end_matches('\r')).collect();
            let widest = lines.iter().map(|line| line.chars().count()).max().unwrap();
            assert!(lines[0].starts_with("top - ") && lines.iter().any(|line| line.contains("PID USER")), "{lines:?}");
            if lines.len() == rows && widest == columns {
                break;
            }
        }
    }
    session.keys("q");
    ends_with(&mut session, "0");
}

#[test]
fn signals_give_the_terminal_back() {
    for (signal, status) in [(Signal::SIGTERM, "143"), (Signal::SIGHUP, "129")] {
        let mut session = Session::start();
        top(&mut session);
        killpg(tcgetpgrp(&session.master).unwrap(), signal).unwrap();
        ends_with(&mut session, status);
    }
}

#[test]
fn control_c_ends_it() {
    let mut session = Session::start();
    top(&mut session);
    session.keys("\x03");
    ends_with(&mut session, "130");
}

#[test]
fn control_z_stops_it_and_fg_brings_it_back() {
    let mut session = Session::start();
    top(&mut session);
    session.keys("\x1a");
    session.see(LEFT);
    session.see("ready> ");
    session.line("fg");
    session.see(ENTERED);
    session.see(" COMMAND");
    session.keys("q");
    ends_with(&mut session, "0");
}

#[test]
fn what_it_was_asked_for_is_counted() {
    let mut session = Session::start();
    session.line("top -n 1");
    session.see(ENTERED);
    session.see(" COMMAND");
    ends_with(&mut session, "0");
}

#[test]
fn what_a_memcached_is_asked_for() {
    let server = crate::memcached::Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    let mut session = Session::start();
    session.line(&format!("probe memcached {} top", server.address()));
    session.see("by key; q quit");
    session.keys("p");
    session.see("by prefix; q quit");
    session.keys("q");
    session.see("\x1b[?1049l");
    session.see("ready> ");
    session.run("echo $?", "0\r\n");
    session.line(&format!("probe memcached {} top -n 1", server.address()));
    session.see("0/s gets");
    session.see("\x1b[?1049l");
    session.see("ready> ");
}
