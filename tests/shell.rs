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

/// What scripts are given by people, engines and limits; each is answered by one line and a status.
#[test]
fn what_cannot_be_is_said_in_one_line() {
    let program = Program::new();
    let shell = program.links().join("sh");
    for (script, status, out, err) in [
        ("f() { f; }; f; echo no", 2, "", "sh: line 1: nested too deeply\n"),
        ("f() { eval 'f'; }; f; echo no", 2, "", "sh: line 1: nested too deeply\n"),
        ("echo x >/dev/full; echo $?", 0, "1\n", "sh: line 1: echo: write error: No space left on device\n"),
        ("export -p >/dev/full; echo $?", 0, "1\n", "sh: line 1: write error: No space left on device\n"),
        (
            "x=$(printf %0200000d 1); export x; /bin/true; echo $?",
            0,
            "126\n",
            "sh: line 1: /bin/true: Argument list too long\n",
        ),
        (
            "x=$(printf %0200000d 1); exec /bin/true $x; echo no",
            126,
            "",
            "sh: line 1: /bin/true: Argument list too long\n",
        ),
        ("ulimit -n 8; echo >/dev/null; echo $?", 0, "1\n", "sh: line 1: 1: Too many open files\n"),
        (
            "mkdir d; cd d; rmdir ../d; echo *; pwd -P; echo $?; cd ..; cat <<E\n$(echo back)\nE",
            0,
            "*\n1\nback\n",
            "sh: line 1: pwd: the working directory has been removed\n",
        ),
    ] {
        let directory = Directory::new("limits");
        let mut command = Command::new(&shell);
        command.args(["-c", script]).current_dir(directory.path()).stdin(Stdio::null());
        let outcome = run(&mut command, Duration::from_secs(10));
        assert_eq!((outcome.status, outcome.out.as_str(), outcome.err.as_str()), (status, out, err), "{script}");
    }
}

/// Whatever is closed: a command that does not need it does not notice, and nothing that is opened gets its number.
#[test]
fn closed_standard_streams_stay_closed() {
    let program = Program::new();
    let shell = program.links().join("sh");
    let script =
        "exec 3>kept; echo one >&3; x=$(echo two); echo $x | cat >&3; cat <<E >&3\nthree\nE\n(echo four >&3); exit 5";
    for closed in ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        let directory = Directory::new("closed");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("exec \"$0\" -c \"$1\" {closed}")]).arg(&shell).arg(script);
        let outcome = run(command.current_dir(directory.path()), Duration::from_secs(10));
        let kept = std::fs::read_to_string(directory.path().join("kept")).unwrap();
        assert_eq!((outcome.status, kept.as_str()), (5, "one\ntwo\nthree\nfour\n"), "{closed}: {}", outcome.err);
    }
}
