//! Logins.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::{LIMIT, Server, fails, is, readable, tool};
use crate::program::{Directory, Outcome, Program, run};

fn with_password(server: &Server, program: &Program, password: &str, words: &[&str]) -> Outcome {
    let mut command = program.command("probe");
    command.arg("memcached").arg(server.address()).args(words).env("MEMCACHED_PASSWORD", password);
    let mut outcome = run(&mut command, LIMIT);
    server.name(&mut outcome.out);
    server.name(&mut outcome.err);
    assert!(!outcome.err.contains(password) && !outcome.out.contains(password), "the password is shown");
    outcome
}

#[test]
fn logins_in_text() {
    let program = Program::new();
    let directory = Directory::new("logins");
    fs::write(directory.path().join("logins"), "alice:top-secret\n").unwrap();
    let server = Server::start_in(directory, "-l 127.0.0.1 -p @PORT -t 1 -Y @DIR/logins");
    fails(&server.probe(&program, &["ping"]), 7, "SERVER: login required (memcached -Y)");
    let ask = |password: &str, words: &[&str]| with_password(&server, &program, password, words);
    is(&ask("top-secret", &["set", "k", "v", "-u", "alice"]), 0, "STORED\n", "");
    is(&ask("top-secret", &["get", "k", "-u", "alice"]), 0, "v", "");
    fails(&ask("wrong-one", &["get", "k", "-u", "alice"]), 7, "login as alice refused: authentication failure");
    let file = server.path("password");
    fs::write(&file, "top-secret\n").unwrap();
    let words = ["get", "k", "-u", "alice", "--password-file", file.to_str().unwrap()];
    is(&server.probe(&program, &words), 0, "v", "");
    // One line cannot be both.
    fails(
        &server.probe(&program, &["set", "k", "-u", "alice", "--password-file", "-"]),
        2,
        "standard input is the password",
    );
    // The first line is the password, whether more comes or not.
    let mut command = program.command("probe");
    command.arg("memcached").arg(server.address()).args(["get", "k", "-u", "alice", "--password-file", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"top-secret\n").unwrap();
    let outcome = child.wait_with_output().unwrap();
    assert_eq!((outcome.status.code(), outcome.stdout.as_slice()), (Some(0), &b"v"[..]));
    drop(input);
    // Where no login is asked for, none is sent: it would be stored.
    let open = Server::start("-l 127.0.0.1 -p @PORT -t 1");
    is(&with_password(&open, &program, "top-secret", &["stats", "-g", "cmd_set", "-u", "alice"]), 0, "cmd_set 0\n", "");
}

#[test]
fn logins_in_sasl() {
    let program = Program::new();
    let directory = Directory::new("sasl");
    let path = directory.path().to_str().unwrap().to_string();
    fs::write(directory.path().join("memcached.conf"), format!("mech_list: plain\nsasldb_path: {path}/db\n")).unwrap();
    let script = format!("echo top-secret | /usr/sbin/saslpasswd2 -a memcached -c -p -f {path}/db alice");
    tool(Command::new("/bin/sh").args(["-c", &script]));
    readable(&directory.path().join("db"));
    let server = Server::start_in(directory, "-l 127.0.0.1 -p @PORT -t 1 -S -B binary");
    let pinged = server.probe(&program, &["ping"]);
    assert!(pinged.status == 0 && pinged.out.contains("binary/plain, login wanted (SASL: PLAIN)"), "{}", pinged.out);
    let text = server.probe(&program, &["ping", "--proto", "text", "--timeout", "1s"]);
    fails(&text, 5, "it answers in the binary protocol: use --proto binary");
    let raw = server.probe(&program, &["raw", "version", "--timeout", "1s"]);
    fails(&raw, 5, "it answers in the binary protocol: use --proto binary, and -u USER for a login");
    fails(&server.probe(&program, &["stats"]), 7, "SERVER: login required (memcached -S, SASL PLAIN): use -u USER");
    let ask = |password: &str, words: &[&str]| with_password(&server, &program, password, words);
    is(&ask("top-secret", &["set", "k", "v", "-u", "alice"]), 0, "STORED\n", "");
    is(&ask("top-secret", &["get", "k", "-u", "alice", "--proto", "binary"]), 0, "v", "");
    fails(&ask("wrong-one", &["get", "k", "-u", "alice"]), 7, "login as alice refused: ");
}
