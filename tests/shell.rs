//! The shell from outside: without PATH, without its own file, and on a terminal. script(1) is the terminal, and types
//! what a test gives it.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{Directory, Outcome, Program, binary, run};

/// What is seen when these lines are typed, all at once, at `sh`.
fn session(program: &Program, typed: &str) -> Outcome {
    let directory = Directory::new("terminal");
    let keys = directory.path().join("keys");
    std::fs::write(&keys, typed).unwrap();
    let shell = format!("script -qec '{}/sh' /dev/null <'{}'", program.links().display(), keys.display());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &shell]).env("TERM", "xterm").env_remove("SIDEBOX_TARGET").stdin(Stdio::null());
    run(&mut command, Duration::from_secs(10))
}

#[test]
fn lines_typed_ahead_are_all_run() {
    let program = Program::new();
    let seen = session(&program, "echo fi\"\"rst\necho sec\"\"ond | cat\nexit 7\n");
    assert!(seen.out.contains("\nfirst\r\n") && seen.out.contains("\nsecond\r\n"), "{}", seen.out.escape_debug());
    assert_eq!(seen.status, 7, "{}", seen.out.escape_debug());
}

#[test]
fn the_prompt_says_that_there_is_no_target() {
    let program = Program::new();
    let seen = session(&program, "exit\n");
    assert_eq!(seen.status, 0);
    assert!(seen.out.contains("no target"), "{}", seen.out.escape_debug());
}

/// Commands are forked without exec, so they outlive the binary, and are found where there is no PATH.
#[test]
fn commands_need_neither_path_nor_file() {
    let directory = Directory::new("alone");
    let sh = directory.path().join("sh");
    // By a process of its own: a file that is open for writing here is so in what other tests fork, and cannot be run.
    assert!(Command::new("/bin/cp").arg(binary()).arg(&sh).status().unwrap().success());
    let mut command = Command::new(&sh);
    command.args(["-c", "/bin/rm \"$0\" && PATH= && echo alive | cat && ls / | grep -c proc"]).arg(&sh);
    let outcome = run(&mut command, Duration::from_secs(10));
    assert_eq!((outcome.status, outcome.out.as_str(), outcome.err.as_str()), (0, "alive\n1\n", ""));
    assert!(!sh.exists());
}

/// What a shell that is PID 1 of a namespace of its own does with a script.
fn as_init(program: &Program, script: &str) -> Outcome {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "--"]).arg(program.links().join("sh")).args(["-c", script]);
    command.env("PATH", format!("{}:/usr/bin:/bin", program.links().display())).stdin(Stdio::null());
    run(&mut command, Duration::from_secs(10))
}

/// The kernel gives PID 1 no default actions, so that `docker stop` waits in vain for other shells.
#[test]
fn as_pid_1_the_shell_ends_on_signals() {
    let program = Program::new();
    for script in [
        "kill -TERM $$; echo no",
        "(sleep 0.1; kill -TERM 1) & while :; do :; done",
        "(sleep 0.1; kill -TERM 1) & wait; sleep 1000; echo no",
        "(sleep 0.1; kill -TERM 1) & sleep 1000; echo no",
    ] {
        let outcome = as_init(&program, script);
        assert_eq!((outcome.status, outcome.out.as_str(), outcome.err.as_str()), (143, "", ""), "{script}");
    }
    let outcome = as_init(&program, "trap 'echo trapped; exit 5' TERM; (sleep 0.1; kill -TERM 1) & sleep 0.2 & wait");
    assert_eq!((outcome.status, outcome.out.as_str()), (5, "trapped\n"), "{}", outcome.err);
}

#[test]
fn as_pid_1_the_shell_asks_its_child_first() {
    let program = Program::new();
    let script = "(sleep 0.1; kill -TERM 1) & sh -c 'trap \"echo asked; exit\" TERM; while :; do :; done'; echo no";
    let outcome = as_init(&program, script);
    assert_eq!((outcome.status, outcome.out.as_str()), (143, "asked\n"), "{}", outcome.err);
}

#[test]
fn as_pid_1_the_shell_reaps_orphans() {
    let program = Program::new();
    // Each process leaves a child behind, which ends later.
    let script = "for i in 1 2 3; do sh -c 'sleep 0.1 & exit'; done; sleep 0.2; grep -l 'State:.Z' /proc/[0-9]*/status";
    let outcome = as_init(&program, script);
    assert_eq!((outcome.status, outcome.out.as_str()), (1, ""), "{}", outcome.err);
}
