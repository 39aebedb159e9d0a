//! What is shown before commands: prompts, the greeting, and what is missing.

use super::Session;

#[test]
fn the_default_prompt_names_place_and_failed_status() {
    let mut session = Session::of(&["setsid", "--ctty"], &["-q"], &[]);
    session.see("# ");
    session.line("cd /etc; (exit 3)");
    session.see("/etc [3] # ");
    session.line("true");
    session.see("/etc # ");
}

#[test]
fn the_greeting_names_commands_that_there_are() {
    let mut session = Session::of(&["setsid", "--ctty"], &[], &[("PS1", "ready> ")]);
    let greeting = session.see("ready> ");
    let names = greeting.lines().next().unwrap().rsplit("see: ").next().unwrap().to_string();
    assert!(names.contains("help"), "{greeting:?}");
    for name in names.trim().split(", ") {
        session.run(&format!("command -v {name} >/dev/null && echo there$((1+1))"), "there2");
    }
}

#[test]
fn q_greets_with_nothing() {
    let mut session = Session::of(&["setsid", "--ctty"], &["-q"], &[("PS1", "ready> ")]);
    let seen = session.see("ready> ");
    assert!(!seen.contains("target"), "{seen:?}");
}

#[test]
fn escapes_and_parameters_in_prompts() {
    let mut session = Session::start();
    session.line("PS1='\\w $((1+1)) \\! \\$ <\\?>> '; cd /usr/bin");
    session.see("/usr/bin 2 2 # <>> ");
    session.line("false");
    session.see("/usr/bin 2 3 # < [1]>> ");
    session.line("PS1='\\W !! ! ${PWD}> '");
    session.see("bin ! 4 /usr/bin> ");
    session.line("PS1='\\[\\e[1m\\]\\u\\[\\e[0m\\]> '");
    session.see("\x1b[1mroot\x1b[0m> ");
}

#[test]
fn what_an_escape_stands_for_is_not_run() {
    let mut session = Session::start();
    session.line("cd /tmp; d='$(echo run)'; mkdir \"$d\"; cd \"$d\"; PS1='\\W> '; rmdir ../\"$d\"");
    session.see("$(echo run)> ");
}

#[test]
fn ps2_asks_for_more() {
    let mut session = Session::start();
    session.line("PS2='more$((1+1))> '");
    session.see("ready> ");
    session.line("while false");
    session.see("more2> ");
    session.run("do :; done; echo over$((1+1))", "over2");
}

#[test]
fn without_control_of_the_terminal_that_is_said_once() {
    // A session of its own without that terminal.
    let mut session = Session::of(&["setsid"], &["-q"], &[("PS1", "ready> ")]);
    session.see("no job control");
    session.see("ready> ");
    session.line("sleep 0 & wait; echo works $((6*7))");
    let seen = session.see("works 42");
    assert!(!seen.contains("job control"), "{seen:?}");
}

#[test]
fn a_dumb_terminal_is_enough() {
    let mut session = Session::with(&["-q"], &[("PS1", "ready> "), ("TERM", "dumb")]);
    session.run("echo works $((6*7))", "works 42");
    let mut session = Session::with(&["-q"], &[("PS1", "ready> "), ("TERM", "")]);
    session.run("echo works $((6*7))", "works 42");
}

#[test]
fn env_is_read_before_the_first_prompt() {
    let rc = crate::program::Directory::new("env");
    let file = rc.path().join("rc");
    std::fs::write(&file, "PS1='mine> '; alias hi='echo hi$((1+1))'\n").unwrap();
    let mut session = Session::with(&[], &[("ENV", file.to_str().unwrap())]);
    session.line("hi");
    session.see("hi2");
    session.see("mine> ");
}
