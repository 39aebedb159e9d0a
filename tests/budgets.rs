//! What the shipped binary may cost (README.md, "Budgets"). It is the release build for musl that is measured, never
//! the one that cargo makes for a test: `tests/check budgets` builds it and names it in `SIDEBOX_BINARY`.
//!
//! Start-up is a ratio to a static busybox, both started in turn, the shortest of many runs of each: whatever else the
//! machine does only makes single runs longer. Instruction counts repeat better but miss what the time goes to, which
//! is the kernel's exec, mapping and page faults.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::pty::openpty;

use crate::program::{binary, sources};

const MOST_BYTES: u64 = 4 << 20;
const MOST_OF_BUSYBOX: f64 = 0.6;
const MOST_RESIDENT_KIB: u64 = 2 * 1024;
const MOST_PACKAGES: usize = 120;

const STARTS: usize = 1000;
/// A ratio over the limit is measured again this often, so that only a lasting one fails.
const ATTEMPTS: usize = 3;

#[test]
#[ignore = "measures the shipped binary: tests/check budgets"]
fn the_binary_is_small_and_static() {
    let file = fs::read(binary()).unwrap();
    println!("budget: size {:.2} MiB of {} MiB", file.len() as f64 / (1 << 20) as f64, MOST_BYTES >> 20);
    assert!(file.len() as u64 <= MOST_BYTES);
    assert!(!has_interpreter(&file), "the binary needs a dynamic loader");
}

/// Whether an ELF file for 64 bits has a PT_INTERP header (elf(5)).
fn has_interpreter(file: &[u8]) -> bool {
    let number = |at: usize, len: usize| file[at..at + len].iter().rev().fold(0, |sum, byte| sum << 8 | *byte as usize);
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

#[test]
#[ignore = "measures the shipped binary: tests/check budgets"]
fn it_starts_faster_than_busybox() {
    let sidebox = binary();
    let mut ratio = f64::MAX;
    for _ in 0..ATTEMPTS {
        let mut shortest = [Duration::MAX; 2];
        for _ in 0..STARTS {
            for (program, shortest) in [sidebox.as_path(), "/bin/busybox".as_ref()].iter().zip(&mut shortest) {
                let started = Instant::now();
                let status = Command::new(program).arg("true").env_clear().status().unwrap();
                *shortest = started.elapsed().min(*shortest);
                assert!(status.success());
            }
        }
        ratio = shortest[0].as_secs_f64() / shortest[1].as_secs_f64();
        let [ours, theirs] = shortest.map(|time| time.as_micros());
        println!("budget: start to exit of true {ours} µs, busybox {theirs} µs: {ratio:.2} of {MOST_OF_BUSYBOX}");
        if ratio <= MOST_OF_BUSYBOX {
            return;
        }
    }
    panic!("start to exit takes {ratio:.2} of busybox's");
}

#[test]
#[ignore = "measures the shipped binary: tests/check budgets"]
fn an_idle_shell_is_small() {
    let mut command = Command::new(binary());
    let mut child = command.arg("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"echo ready\n").unwrap();
    let mut answer = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
    let script = resident_when_idle(child.id());
    drop(input);
    child.wait().unwrap();

    let pty = openpty(None, None).unwrap();
    let side = || Stdio::from(pty.slave.as_fd().try_clone_to_owned().unwrap());
    let mut command = Command::new("/usr/bin/setsid");
    command.arg("--ctty").arg(binary()).arg("sh").env_clear().env("TERM", "xterm").env("PATH", "/usr/bin:/bin");
    let mut child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
    // No end of it may stay open here, or the terminal would not end with the shell.
    drop((command, pty.slave));
    let mut terminal = fs::File::from(pty.master);
    terminal.write_all(b"echo re''ady\n").unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("ready") {
        let mut bytes = [0; 4096];
        let count = terminal.read(&mut bytes).expect("the shell ended");
        seen.extend_from_slice(&bytes[..count]);
    }
    let interactive = resident_when_idle(child.id());
    terminal.write_all(b"exit\n").unwrap();
    // Whatever it still writes has to be read, or it could not end.
    let _ = terminal.read_to_end(&mut seen);
    child.wait().unwrap();

    println!("budget: an idle shell {script} KiB, interactive {interactive} KiB, of {MOST_RESIDENT_KIB} KiB");
    assert!(script.max(interactive) <= MOST_RESIDENT_KIB);
}

/// Soon after its answer it waits for the next line, and gives back what it does not need for that.
fn resident_when_idle(pid: u32) -> u64 {
    let started = Instant::now();
    loop {
        let found = resident(pid);
        if found <= MOST_RESIDENT_KIB || started.elapsed() > Duration::from_secs(2) {
            return found;
        }
    }
}

/// VmRSS in KiB (proc_pid_status(5)).
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn few_packages_are_locked() {
    let lock = fs::read_to_string(sources().join("Cargo.lock")).unwrap();
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    println!("budget: {packages} locked packages of {MOST_PACKAGES}");
    assert!(packages <= MOST_PACKAGES);
}
