//! sidebox beside the tools that it stands in for: whole processes, started in turn in one run, so that whatever else
//! the machine does hits all of them. `cargo bench [-- WORD]`; `SIDEBOX_BINARY` names the binary, which should be the
//! one that ships. A ratio below 1 is sidebox being faster.

// The lists in clippy.toml are the contract of a command. A benchmark starts programs, reads its environment and prints.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods)]

use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

#[path = "side_by_side/etcdctl.rs"]
mod etcdctl;
#[path = "side_by_side/etcdutl.rs"]
mod etcdutl;

const BUSYBOX: &str = "/bin/busybox";
const DASH: &str = "/bin/dash";
const BASH: &str = "/bin/bash";

/// How many processes `ps` has to show, beside those of the machine.
const PROCESSES: [usize; 2] = [2000, 10_000];

/// How many connections `netstat` and `ss` have to show, both ends of each, and how many processes hold them: one alone
/// may not have so many files.
const CONNECTIONS: usize = 10_000;
const HOLDERS: usize = 4;

/// The word by which this program starts itself to hold connections.
const HOLD: &str = "--hold-connections";

fn main() {
    if env::args().nth(1).as_deref() == Some(HOLD) {
        return hold();
    }
    let sidebox = env::var("SIDEBOX_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sidebox").to_string());
    if env::args().nth(1).is_some_and(|word| word == FLOOR) {
        return floor();
    }
    if env::args().nth(1).as_deref() == Some(PEAK) {
        return show_peak();
    }
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
        let mut sleepers = Sleepers(Vec::new());
        for count in PROCESSES {
            sleepers.grow(count);
            // Nobody is faster than the kernel makes up the files: `floor` only reads them, and busybox, which shows the
            // least, takes hardly more.
            let floor = env::current_exe().expect("it has a path");
            let floor: &[&str] = &[floor.to_str().expect("a readable path"), FLOOR];
            let others: &[(&str, &[&str])] =
                &[("busybox", &[BUSYBOX, "ps"]), ("procps", &["/usr/bin/ps", "-ef"]), ("floor", floor)];
            run(&format!("ps of {count}"), 20, &["ps", "-ef"], others);
        }
    }

    if ["netstat", "ss -tna", "ss -tnap"].iter().any(|what| what.contains(&wanted)) {
        let _holders = Holders::new();
        let (ss, netstat) = ("/usr/bin/ss", "/usr/bin/netstat");
        // Debian's busybox has no -p: its time is without owners.
        let others: [(&str, &[&str]); 3] = [
            ("iproute2", &[ss, "-tnap"]),
            ("nettools", &[netstat, "-tnap"]),
            ("busybox", &[BUSYBOX, "netstat", "-tna"]),
        ];
        run("netstat -tnap", 10, &["netstat", "-tnap"], &others);
        run("ss -tnap", 10, &["ss", "-tnap"], &others);
        run("ss -tna", 10, &["ss", "-tna"], &[("iproute2", &[ss, "-tna"]), others[2]]);
    }
    // No peer tells what it tells; ps reads as many processes.
    if "inspect".contains(&wanted) {
        let mut sleepers = Sleepers(Vec::new());
        sleepers.grow(PROCESSES[0]);
        let pid = sleepers.0[0].id().to_string();
        let ps = [&["/usr/bin/ps", "-ef"][..], &[sidebox.as_str(), "ps", "-ef"]];
        run("inspect", 20, &["--target", &pid, "inspect"], &[("procps ps", ps[0]), ("our ps", ps[1])]);
    }

    if "memcached bench".contains(&wanted) {
        memcached_bench(&sidebox);
    }
    if ["memcached ping", "memcached stats of 64"].iter().any(|what| what.contains(&wanted)) {
        let cache = Cache::new(0);
        let address = format!("127.0.0.1:{}", cache.port);
        let servers = format!("--servers={address}");
        // What the process alone takes, and libmemcached's clients.
        let others: &[(&str, &[&str])] = &[
            ("true", &[&sidebox, "true"]),
            ("memcping", &["/usr/bin/memcping", &servers]),
            ("memcstat", &["/usr/bin/memcstat", &servers]),
        ];
        run("memcached ping", 200, &["probe", "memcached", &address, "ping"], others);
        let mut all = vec!["probe", "memcached"];
        all.extend(["-s", &address].repeat(64));
        all.push("stats");
        let one: &[&str] = &[&sidebox, "probe", "memcached", &address, "stats"];
        run("memcached stats of 64", 50, &all, &[("of one", one)]);
    }

    let hole = Hole::new();
    let path = hole.0.to_str().expect("a temporary directory with a readable name");
    run("cat 1 GiB", 5, &["cat", path], &[("busybox", &[BUSYBOX, "cat", path]), ("GNU", &["/bin/cat", path])]);

    // nc only takes what comes.
    if "keys --summary".contains(&wanted) {
        let cache = Cache::new(KEYS);
        let drain = format!("printf 'lru_crawler metadump all\\r\\n' | {NC} -N 127.0.0.1 {} >/dev/null", cache.port);
        let address = format!("127.0.0.1:{}", cache.port);
        let nc: &[&str] = &["/bin/sh", "-c", &drain];
        for words in [&["--summary"][..], &["--summary", "--by-prefix"]] {
            let what = format!("keys {}", words.join(" "));
            run(&what, 5, &[&["probe", "memcached", &address, "keys"], words].concat(), &[("nc -N", nc)]);
        }
    }

    shell(&run);
    if etcdctl::ALL.iter().any(|what| what.contains(&wanted)) {
        etcdctl::measure(&sidebox, &wanted);
    }
    if ["snapshot status", "hashkv", "get all keys"].iter().any(|what| what.contains(&wanted)) {
        etcdutl::measure(&sidebox, &wanted, &run);
    }
}

/// Operations in a second of the client's own processor time, beside libmemcached's client: how fast it is otherwise is
/// the server's affair, and that of what else runs.
fn memcached_bench(sidebox: &str) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let mut server = Command::new("/usr/bin/memcached");
    let mut server =
        server.args(["-u", "root", "-l", "127.0.0.1", "-p", &port.to_string()]).spawn().expect("memcached");
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    let address = format!("127.0.0.1:{port}");
    let ours = |depth: &str, ratio: &str| {
        let words = ["probe", "memcached", &address, "bench", "-c", "1", "-d", depth, "--ratio", ratio, "--json"];
        let output = Command::new(sidebox).args(words).output().expect("our bench");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, rest) = text.split_once("\"operations_per_cpu_second\":").expect("a measurement");
        rest.split([',', '}']).next().and_then(|number| number.parse::<f64>().ok()).expect("a number")
    };
    let before = children_time();
    let options = ["--test=get", "--concurrency=1", "--execute-number=100000", "--tcp-nodelay"];
    let output = Command::new("memcslap").arg(format!("--servers={address}")).args(options).output().expect("memcslap");
    let spent = children_time() - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "Time to set 100000 keys: ...", "Time to get ..."
    let counts = text.lines().filter(|line| line.contains(" keys ") || line.contains(" keys:"));
    let theirs: f64 = counts.filter_map(|line| line.split_whitespace().nth(3)?.parse::<f64>().ok()).sum();
    let theirs = theirs / spent;
    for (what, depth, ratio) in [("get", "1", "0:1"), ("set", "1", "1:0"), ("get by 16", "16", "0:1")] {
        let ours = ours(depth, ratio);
        println!(
            "memcached {what:<10} memcslap {ours:>10.0} {theirs:>9.0} operations per CPU second  {:.2}",
            theirs / ours
        );
    }
    let _ = server.kill();
    let _ = server.wait();
}

/// Seconds of processor time of all children that have ended.
fn children_time() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("our own");
    [usage.user_time(), usage.system_time()].iter().map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6).sum()
}

/// How many keys a cache has to list.
const KEYS: usize = 1_000_000;
const NC: &str = "/bin/nc.openbsd";

/// A memcached with keys as applications have them.
struct Cache {
    server: Child,
    port: u16,
}

impl Cache {
    fn new(keys: usize) -> Cache {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let text = port.to_string();
        let server = Command::new("/usr/bin/memcached")
            .args(["-u", "root", "-l", "127.0.0.1", "-m", "1024", "-p", &text])
            .spawn()
            .expect("memcached, which tests/check installs");
        let mut cache = Cache { server, port };
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                Err(_) => assert!(cache.server.try_wait().expect("our child").is_none(), "memcached has ended"),
            }
        };
        let mut text = Vec::new();
        for key in 0..keys {
            let (kind, life) =
                (["user", "page", "session", "cart"][key % 4], [0, 5000, 100_000, 2_000_000][key / 4 % 4]);
            let value = "x".repeat(key % 64 + 1);
            text.extend(format!("set {kind}:{key}:data 0 {life} {} noreply\r\n{value}\r\n", value.len()).bytes());
            if text.len() > 1 << 16 {
                stream.write_all(&text).expect("memcached takes it");
                text.clear();
            }
        }
        text.extend(b"version\r\n");
        stream.write_all(&text).expect("memcached takes it");
        stream.read_exact(&mut [0; 8]).expect("all has been stored");
        cache
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

const FLOOR: &str = "--floor";

/// What `ps -ef` has to ask the kernel for, and nothing else: stat, command line and owner of each process.
fn floor() {
    env::set_current_dir("/proc").expect("it is mounted");
    let mut block = vec![0; 64 * 1024];
    let mut read = |path: String| File::open(path).and_then(|mut file| file.read(&mut block)).unwrap_or(0);
    for entry in fs::read_dir(".").expect("it can be read").flatten() {
        if let Some(pid) = entry.file_name().to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            read(format!("{pid}/stat"));
            read(format!("{pid}/cmdline"));
            let _ = fs::metadata(pid);
        }
    }
}

/// What is measured, how often, our arguments, and the others by name.
type Run<'r> = dyn Fn(&str, usize, &[&str], &[(&str, &[&str])]) + 'r;

/// The shell beside dash, busybox's and bash.
fn shell(run: &Run) {
    let compare = |what: &str, rounds: usize, args: &[&str]| {
        let with = |shell: &[&'static str]| [shell, args].concat();
        let (dash, busybox, bash) = (with(&[DASH]), with(&[BUSYBOX, "sh"]), with(&[BASH, "--posix"]));
        run(what, rounds, &with(&["sh"]), &[("dash", &dash), ("busybox", &busybox), ("bash", &bash)]);
    };
    for (what, digits, setup, body) in [
        ("loop", 6, "", ":"),
        ("loop arithmetic", 6, "x=0", "x=$((x * 3 % 7 + 1))"),
        ("loop assignment", 6, "", "v=$d1.$d2; w=${v#*.}"),
        ("loop function", 6, "f() { :; }", "f \"$d1\" 2"),
        ("loop case", 6, "", "case $d1$d2 in 1*|?7) ;; [2-5]*) : ;; esac"),
        ("loop [", 6, "", "[ \"$d1\" -lt \"$d2\" ] || [ x = x ]"),
        ("loop append", 4, "s=", "s=$s$d1."),
        ("$(echo)", 4, "", "x=$(echo x)"),
        ("$(printf)", 4, "", "x=$(printf %03d $d1)"),
        ("pipeline", 4, "", "echo a b | read x y"),
        ("subshell", 4, "", "(x=$d1; [ $x = 5 ])"),
    ] {
        let script = format!("{setup}\n{}\n:", times(digits, body));
        compare(what, if digits > 4 { 5 } else { 3 }, &["-c", &script]);
    }

    // busybox starts its applets itself; dash finds busybox on PATH.
    let links = Links::new();
    for body in ["cat /dev/null", "ls /dev/null"] {
        compare(body, 5, &["-c", &format!("PATH={}\n{}", links.0.display(), times(3, body))]);
    }

    let text = Scratch::new("lines", &"a line of some words to read\n".repeat(100_000));
    compare("read from file", 5, &["-c", &format!("while read -r a b; do :; done <{}", text.path())]);
    let piped = format!("{BUSYBOX} cat {} | while read -r a b; do :; done", text.path());
    compare("read from pipe", 3, &["-c", &piped]);
    let script = Scratch::new("script", &SCRIPT.repeat((1 << 20) / SCRIPT.len() + 1));
    compare("parse 1 MiB", 10, &["-n", script.path()]);
}

/// What a script is made of.
const SCRIPT: &str = r#"# A function and what it needs.
check() {
    local name=$1 count=${2:-1}
    if [ "$count" -gt 10 ] && ! test -e "/tmp/$name"; then
        echo "$name: too many ($((count * 2)))" >&2
        return 1
    fi
    case $name in
        *.txt | *.md) printf '%s\n' "${name%.*}" ;;
        [a-z]*) cat <<EOF | sed -e 's/a/b/'
text with $name and $(echo "a command")
EOF
            ;;
        *) for each in one 'two three' "$@"; do shift; done ;;
    esac
    while read -r line; do echo "$line"; done <"$name" 2>/dev/null || :
}
"#;

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
    // 1 is a verdict of inspect's.
    assert!(status.code().is_some_and(|status| status < 2), "{command:?}: {status}");
    started.elapsed()
}

const PEAK: &str = "--peak";

/// The most memory that a command had, in KiB. It is the only child of this program, started again: the kernel tells the
/// peak of all children together.
fn peak(command: &[&str]) -> u64 {
    let own = env::current_exe().expect("it has a path");
    let output = Command::new(own).arg(PEAK).args(command).output().expect("it starts again");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

fn show_peak() {
    let command: Vec<String> = env::args().skip(2).collect();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    time(&command);
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel tells").max_rss());
}

/// Processes for `ps` to look at.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn grow(&mut self, count: usize) {
        let sleeper = |_| Command::new(BUSYBOX).args(["sleep", "3600"]).spawn().expect("busybox starts");
        self.0.extend((self.0.len()..count).map(sleeper));
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

/// Connections for `netstat` and `ss` to look at, on the loopback.
struct Holders(Vec<Child>);

impl Holders {
    fn new() -> Holders {
        let own = env::current_exe().expect("a program that runs");
        let holder = |_| {
            let mut command = Command::new(&own);
            let mut child =
                command.arg(HOLD).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts again");
            // It says a word when all of them are made.
            let mut word = [0; 1];
            child.stdout.as_mut().expect("it has a pipe").read_exact(&mut word).expect("connections on the loopback");
            child
        };
        Holders((0..HOLDERS).map(holder).collect())
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Makes a share of the connections and holds both ends of them until standard input ends.
fn hold() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("the soft limit may be raised");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let pair = |_| {
        let one = TcpStream::connect(address).expect("a connection");
        (one, listener.accept().expect("its other end"))
    };
    let _pairs: Vec<_> = (0..CONNECTIONS / HOLDERS).map(pair).collect();
    print!("!");
    std::io::stdout().flush().expect("a pipe");
    let _ = std::io::stdin().read(&mut [0; 1]);
}

/// A file with a text.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Scratch {
        let path = env::temp_dir().join(format!("sidebox-bench-{}-{name}", std::process::id()));
        fs::write(&path, text).expect("the temporary directory can be written");
        Scratch(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a temporary directory with a readable name")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A directory with links to busybox.
struct Links(PathBuf);

impl Links {
    fn new() -> Links {
        let path = env::temp_dir().join(format!("sidebox-bench-{}-links", std::process::id()));
        fs::create_dir(&path).expect("the temporary directory can be written");
        for name in ["cat", "ls"] {
            std::os::unix::fs::symlink(BUSYBOX, path.join(name)).expect("a new directory");
        }
        Links(path)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
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
