//! sidebox beside the tools that it stands in for: whole processes, started in turn in one run, so that whatever else
//! the machine does hits all of them. `cargo bench [-- WORD]`; `SIDEBOX_BINARY` names the binary, which should be the
//! one that ships. A ratio below 1 is sidebox being faster.

// The lists in clippy.toml are the contract of a command. A benchmark starts programs, reads its environment and prints.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BUSYBOX: &str = "/bin/busybox";
const DASH: &str = "/bin/dash";

/// How many processes `ps` has to show, beside those of the machine.
const PROCESSES: usize = 2000;

fn main() {
    let sidebox = env::var("SIDEBOX_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sidebox").to_string());
    let wanted = env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let run = |what: &str, rounds: usize, ours: &[&str], others: &[(&str, &[&str])]| {
        if what.contains(&wanted) {
            compare(what, rounds, &[&[sidebox.as_str()], ours].concat(), others);
        }
    };
    println!("{:<18} {:<8} {:>21} {:>21}  ratio of both", "", "", "sidebox min, median", "other min, median");

    run("start true", 500, &["true"], &[("busybox", &[BUSYBOX, "true"])]);
    run("start sh", 500, &["sh", "-c", ":"], &[("busybox", &[BUSYBOX, "sh", "-c", ":"]), ("dash", &[DASH, "-c", ":"])]);
    run("ls /", 500, &["ls", "/"], &[("busybox", &[BUSYBOX, "ls", "/"]), ("GNU", &["/bin/ls", "/"])]);
    run(
        "ls -l /usr/bin",
        50,
        &["ls", "-l", "/usr/bin"],
        &[("busybox", &[BUSYBOX, "ls", "-l", "/usr/bin"]), ("GNU", &["/bin/ls", "-l", "/usr/bin"])],
    );

    if "ps".contains(&wanted) {
        let _sleepers = Sleepers::new();
        run("ps", 20, &["ps", "-ef"], &[("busybox", &[BUSYBOX, "ps"]), ("procps", &["/usr/bin/ps", "-ef"])]);
    }

    let hole = Hole::new();
    let path = hole.0.to_str().expect("a temporary directory with a readable name");
    run("cat 1 GiB", 5, &["cat", path], &[("busybox", &[BUSYBOX, "cat", path]), ("GNU", &["/bin/cat", path])]);

    for (what, digits, setup, body) in [
        ("loop", 5, "", ":"),
        ("loop arithmetic", 5, "x=0", "x=$((x * 3 % 7 + 1))"),
        ("loop function", 5, "f() { :; }", "f \"$d1\" 2"),
        ("loop case", 5, "", "case $d1$d2 in 1*|?7) ;; [2-5]*) : ;; esac"),
        ("loop [", 5, "", "[ \"$d1\" -lt \"$d2\" ] || [ x = x ]"),
        ("loop append", 4, "s=", "s=$s$d1."),
        ("loop $(echo)", 3, "", "x=$(echo x)"),
    ] {
        let script = format!("{setup}\n{}", times(digits, body));
        let others: [(&str, &[&str]); 2] =
            [("busybox", &[BUSYBOX, "sh", "-c", &script]), ("dash", &[DASH, "-c", &script])];
        run(what, 10, &["sh", "-c", &script], &others);
    }
}

/// A script that runs `body` ten times for each digit, without a command of its own.
fn times(digits: usize, body: &str) -> String {
    (1..=digits).fold(body.to_string(), |body, digit| format!("for d{digit} in 0 1 2 3 4 5 6 7 8 9; do\n{body}\ndone"))
}

fn compare(what: &str, rounds: usize, ours: &[&str], others: &[(&str, &[&str])]) {
    let commands: Vec<&[&str]> = std::iter::once(ours).chain(others.iter().map(|(_, command)| *command)).collect();
    let mut times = vec![Vec::with_capacity(rounds); commands.len()];
    // The first runs only warm up.
    for command in &commands {
        time(command);
    }
    for _ in 0..rounds {
        for (command, times) in commands.iter().zip(&mut times) {
            times.push(time(command));
        }
    }
    let mut found = times.into_iter().map(|mut times| {
        times.sort_unstable();
        [times[0], times[rounds / 2]]
    });
    let ours = found.next().expect("ours comes first");
    for ((name, _), theirs) in others.iter().zip(found) {
        let [min, median] = [0, 1].map(|which| ours[which].as_secs_f64() / theirs[which].as_secs_f64());
        println!("{what:<18} {name:<8} {} {}  {min:.2} {median:.2}", shown(ours), shown(theirs));
    }
}

fn shown(times: [Duration; 2]) -> String {
    let [min, median] = times.map(|time| time.as_secs_f64() * 1e3);
    format!("{min:>8.2} {median:>9.2} ms")
}

/// From the start to the end of the process, with all of its output read.
fn time(command: &[&str]) -> Duration {
    let started = Instant::now();
    let mut process = Command::new(command[0]);
    process.args(&command[1..]).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = process.spawn().unwrap_or_else(|error| panic!("{}: {error}", command[0]));
    let mut output = child.stdout.take().expect("it has a pipe");
    let mut block = vec![0; 64 * 1024];
    loop {
        match output.read(&mut block) {
            Ok(0) => break,
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{}: {error}", command[0]),
            _ => {}
        }
    }
    let status = child.wait().expect("it is our child");
    assert!(status.success(), "{command:?}: {status}");
    started.elapsed()
}

/// Processes for `ps` to look at.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn new() -> Sleepers {
        let sleeper = |_| Command::new(BUSYBOX).args(["sleep", "3600"]).spawn().expect("busybox starts");
        Sleepers((0..PROCESSES).map(sleeper).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A file of 1 GiB that takes no room.
struct Hole(PathBuf);

impl Hole {
    fn new() -> Hole {
        let path = env::temp_dir().join(format!("sidebox-bench-{}", std::process::id()));
        let file = File::create(&path).expect("the temporary directory can be written");
        file.set_len(1 << 30).expect("a sparse file");
        Hole(path)
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
