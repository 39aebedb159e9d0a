//! Names that try to reach the terminal: a process, its arguments, a socket's owner and files called so that a raw
//! print would clear a screen, end a line or turn the text around.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::program::{Directory, Program, run};

/// An escape sequence, a line's end, a right-to-left override, a byte that is no UTF-8: 15 bytes, what a kernel keeps.
const NAME: &[u8] = b"\x1b[2Jx\n\xe2\x80\xae\xffyz";

/// A process of the test, ended with it.
struct Hostile {
    child: Child,
    _directory: Directory,
}

impl Hostile {
    /// A program under the hostile name. `arguments` are its own.
    fn start(program: &str, arguments: &[&[u8]]) -> Hostile {
        let directory = Directory::new("hostile");
        let path = directory.path().join(PathBuf::from(std::ffi::OsStr::from_bytes(NAME)));
        assert!(fs::exists(program).unwrap(), "{program} is not here; tests/check installs it");
        // A process is called by the link that it was started by.
        symlink(program, &path).unwrap();
        let mut command = Command::new(path);
        command.args(arguments.iter().map(|argument| std::ffi::OsStr::from_bytes(argument)));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Hostile { child, _directory: directory }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The output of a command, which may hold nothing that acts on a terminal.
fn harmless(program: &Program, target: &str, args: &[&str]) -> String {
    let mut command = program.command("sidebox");
    let outcome = run(command.env("SIDEBOX_TARGET", target).args(args), Duration::from_secs(10));
    let text = outcome.out + &outcome.err;
    let bad = text.chars().find(|char| (char.is_control() && *char != '\n') || *char == '\u{202e}');
    assert!(bad.is_none() && !text.starts_with("not UTF-8"), "{args:?}: {bad:?} in\n{}", text.escape_debug());
    text
}

#[test]
fn a_process_name_is_shown_harmless() {
    let program = Program::new();
    // cat waits for its standard input, which is open as long as the test.
    let hostile = Hostile::start("/bin/cat", &[b"-", b"\x1b]0;title\x07", b"two\nlines", b"\xff\xfe"]);
    let table = harmless(&program, &hostile.pid(), &["ps"]);
    let row = table.lines().find(|line| line.split_whitespace().any(|word| word == hostile.pid()));
    let row = row.unwrap_or_else(|| panic!("process {} is not in\n{table}", hostile.pid()));
    assert!(row.contains(r"\x1b[2Jx\n\u{202e}\xff") || row.contains(r"\x1b]0;title\x07"), "{row}");
}

#[test]
fn whatever_shows_processes_shows_names_harmless() {
    let program = Program::new();
    let hostile = Hostile::start("/bin/cat", &[b"-", b"\x1b]0;title\x07", b"two\nlines", b"\xff\xfe"]);
    let pid = hostile.pid();
    let commands: &[&[&str]] = &[
        &["ps", "-efww"],
        &["ps", "axfo", "pid,comm,fname,exe,args,environ"],
        &["ps", "--json"],
        &["top", "-b", "-n", "1", "-c"],
        &["top", "-H", "--json", "-n", "1"],
        &["pstree", "-ap"],
        &["pgrep", "-a", "."],
        &["lsof", "-p", &pid],
        &["lsof", "--json", "-p", &pid],
        &["lsof", "--count"],
        &["fuser", "-v", "/bin/cat"],
        &["pmap", "-Xp", &pid],
        &["pmap", "--json", &pid],
    ];
    for args in commands {
        let text = harmless(&program, &pid, args);
        assert!(text.contains(&pid), "{args:?}: {text}");
    }
}

#[test]
fn a_listeners_name_is_shown_harmless() {
    let program = Program::new();
    let mut hostile = Hostile::start("/bin/nc.openbsd", &[b"-v", b"-l", b"127.0.0.1", b"0"]);
    let mut line = String::new();
    BufReader::new(hostile.child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split_whitespace().next_back().unwrap().to_string();
    let table = harmless(&program, &hostile.pid(), &["netstat"]);
    let row = table.lines().find(|row| row.contains(&format!(":{port}")));
    let row = row.unwrap_or_else(|| panic!("port {port} ({line}) is not in\n{table}"));
    assert!(row.contains(r"\x1b[2Jx\n\u{202e}\xff"), "{row}");
    let table = harmless(&program, &hostile.pid(), &["ss", "-tlp", "sport", "=", &format!(":{port}")]);
    assert!(table.contains(r#"users:(("\x1b[2Jx\n\u{202e}\xff"#), "{table}");
}

#[test]
fn messages_are_harmless() {
    let program = Program::new();
    for name in ["cat", "ls", "head", "grep"] {
        let text = harmless(&program, "1", &[name, "\x1b[2J\n\u{202e}"]);
        // grep takes it as its pattern and has nothing to read.
        assert!(text.lines().count() <= 1, "{name}: {text}");
    }
    let text = harmless(&program, "\x1b[2J", &["ls", "@/"]);
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// `ls` escapes on a terminal and gives a pipe the bytes as they are.
#[test]
fn ls_escapes_on_a_terminal() {
    let program = Program::new();
    let directory = Directory::new("names");
    fs::write(directory.path().join(PathBuf::from(std::ffi::OsStr::from_bytes(NAME))), "").unwrap();
    let ls = format!("'{}/ls' '{}'", program.links().display(), directory.path().display());
    let outcome = run(Command::new("/usr/bin/script").args(["-qec", &ls, "/dev/null"]), Duration::from_secs(10));
    assert_eq!((outcome.status, outcome.out.trim_end()), (0, r"\x1b[2Jx\n\u{202e}\xffyz"));
    let outcome = run(Command::new("/bin/sh").args(["-c", &(ls + " | od -An -c")]), Duration::from_secs(10));
    let bytes: String = outcome.out.split_whitespace().collect();
    assert_eq!(bytes, r"033[2Jx\n342200256377yz\n");
}

/// Two mebibytes of arguments, which is all that the kernel takes with an ordinary stack: some of it is shown.
#[test]
fn a_command_line_of_two_mebibytes() {
    let program = Program::new();
    let long = b"\x1b[2J".repeat(32_000);
    let arguments: Vec<&[u8]> = std::iter::once(&b"-"[..]).chain(std::iter::repeat_n(&long[..], 15)).collect();
    let hostile = Hostile::start("/bin/cat", &arguments);
    for (args, most) in [(&["inspect"][..], 100_000), (&["inspect", "--json"], 1_000_000), (&["why"], 20_000)] {
        let text = harmless(&program, &hostile.pid(), args);
        assert!(!text.is_empty() && text.len() < most, "{args:?}: {} bytes", text.len());
    }
}

/// Processes that end and start while they are looked at are no error.
#[test]
fn a_proc_that_changes_under_the_reader() {
    let program = Program::new();
    let hostile = Hostile::start("/bin/dash", &[b"-c", b"while :; do /bin/true & /bin/true; done"]);
    for round in 0..20 {
        for args in [&["inspect"][..], &["ps"], &["why"]] {
            let mut command = program.command("sidebox");
            let outcome = run(command.env("SIDEBOX_TARGET", hostile.pid()).args(args), Duration::from_secs(10));
            assert!(outcome.status < 2, "round {round} of {args:?}: {}\n{}", outcome.status, outcome.err);
        }
    }
}

/// A root of its own with files that lead out of it, in circles, to FIFOs, or nowhere near an end, and with hundreds of
/// mounts.
#[test]
fn a_root_that_lies() {
    let program = Program::new();
    let directory = Directory::new("lies");
    let top = directory.path();
    let outside = top.join("outside");
    fs::write(&outside, "NAME=outside\nnameserver 6.6.6.6\nhosts: outside\n").unwrap();
    let root = top.join("root");
    for made in ["etc", "usr/lib", "mounts", "proc"] {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("busybox")).unwrap();
    fs::write(root.join("etc/resolv.conf"), "search a.b\nnameserver 10.0.0.1\n".repeat(320_000)).unwrap();
    symlink("hosts", root.join("etc/hosts")).unwrap();
    symlink(&outside, root.join("etc/nsswitch.conf")).unwrap();
    symlink("../../../../../../../../../../..".to_owned() + outside.to_str().unwrap(), root.join("usr/lib/os-release"))
        .unwrap();
    symlink("localtime", root.join("etc/localtime")).unwrap();
    symlink(&outside, root.join("etc/cert.pem")).unwrap();
    let fifo = root.join("etc/passwd");
    assert_eq!(run(Command::new("/usr/bin/mkfifo").arg(&fifo), Duration::from_secs(10)).status, 0);
    let script =
        "i=0; while [ $((i += 1)) -le 300 ]; do mkdir \"$0/mounts/$i\" && mount -t tmpfs none \"$0/mounts/$i\" || exit
        done; exec chroot \"$0\" /busybox sh -c 'echo ready; read line' sh /etc/cert.pem --cert=/etc/fifo /etc/passwd";
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c", script]).arg(&root);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("SSL_CERT_FILE", "/etc/hosts")
        .env("TZ", "../../x\x1b");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut hostile = Hostile { child, _directory: directory };
    let mut line = String::new();
    BufReader::new(hostile.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let text = harmless(&program, &hostile.pid(), &["inspect"]);
    assert!(!text.contains("outside") && !text.contains("6.6.6.6"), "{text}");
    for expected in ["more mounts are not looked at", " search ", "a.b", " zone ", "no file in its root"] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
    let text = harmless(&program, &hostile.pid(), &["inspect", "--json"]);
    assert_eq!(text.matches("\"total_inodes\"").count(), 100);
    let text =
        harmless(&program, &hostile.pid(), &["sh", "-c", "cat @/etc/hosts @/etc/nsswitch.conf @/usr/lib/os-release"]);
    assert_eq!(text.lines().filter(|line| line.starts_with("cat: @/")).count(), 3, "{text}");
}
