//! etcdutl beside etcd's own 3.5.1, with a snapshot of a million keys, 192 MB: time, and how much memory at most.
//!
//! The server that made the snapshot runs on: `hashkv` and `get` of a file are nothing that 3.5.1 has, so that ours stand
//! beside what `etcdctl` takes to ask the server. The first run fills it, which takes a minute, and keeps it for the next
//! in cargo's directory for such things. `SIDEBOX_ETCD` names the directory of the programs, which `tests/check` fetches.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Run, peak};

const KEYS: usize = 1_000_000;
/// In one transaction.
const BATCH: usize = 4000;

pub fn measure(sidebox: &str, wanted: &str, run: &Run) {
    let Some(Filled { server, programs, file }) = Filled::new() else { return };
    let program = |name: &str| text(&programs.join(name)).to_string();
    let etcdctl = program("etcdctl");
    let etcdctl = [etcdctl.as_str(), "--command-timeout=60s", "--endpoints", &server.client];
    let (file, etcdutl) = (text(&file), program("etcdutl"));
    for (what, ours, name, theirs) in [
        ("snapshot status", &["snapshot", "status", file][..], "etcdutl", vec![&etcdutl, "snapshot", "status", file]),
        ("hashkv", &["hashkv", file], "etcdctl", [&etcdctl[..], &["endpoint", "hashkv"]].concat()),
        ("get all keys", &["get", file], "etcdctl", [&etcdctl[..], &["get", "", "--prefix"]].concat()),
    ] {
        if !what.contains(wanted) {
            continue;
        }
        let ours = [&["etcdutl"], ours].concat();
        run(what, 5, &ours, &[(name, &theirs)]);
        memory(what, name, &[&[sidebox], &ours[..]].concat(), &theirs);
    }
}

/// The most memory that each takes.
pub fn memory(what: &str, name: &str, ours: &[&str], theirs: &[&str]) {
    let (ours, theirs) = (peak(ours), peak(theirs));
    let ratio = ours as f64 / theirs as f64;
    println!("{what:<18} {name:<8} {ours:>17} KiB {theirs:>17} KiB  {ratio:.3} of the memory");
}

/// A server with all the keys, etcd's programs, and a snapshot.
pub struct Filled {
    pub server: Server,
    pub programs: PathBuf,
    pub file: PathBuf,
}

impl Filled {
    pub fn new() -> Option<Filled> {
        let programs = env::var_os("SIDEBOX_ETCD").map_or_else(|| built().join("../etcd-3.5.1"), PathBuf::from);
        let etcdctl = programs.join("etcdctl");
        if !etcdctl.exists() {
            println!("{} is not here; tests/check fetches it, or set SIDEBOX_ETCD", etcdctl.display());
            return None;
        }
        let top = built().join("sidebox-bench-etcd");
        fs::create_dir_all(&top).expect("cargo's directory can be written");
        let server = Server::start(text(&programs.join("etcd")), &top.join("data"));
        let etcdctl = [text(&etcdctl), "--command-timeout=60s", "--endpoints", &server.client];
        let file = top.join("snapshot.db");
        if !file.exists() {
            fill(&etcdctl);
            let mut command = Command::new(etcdctl[0]);
            let save = command.args(&etcdctl[1..]).args(["snapshot", "save", text(&file)]);
            let saved = save.stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(saved.is_ok_and(|status| status.success()), "snapshot save");
        }
        Some(Filled { server, programs, file })
    }
}

/// What cargo has for files of tests and benchmarks.
fn built() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

/// `/registry/bench/0000000` and so on, with values of 100 bytes.
fn fill(etcdctl: &[&str]) {
    println!("filling an etcd with a million keys, once");
    for start in (0..KEYS).step_by(BATCH) {
        let mut command = Command::new(etcdctl[0]);
        let txn = command.args(&etcdctl[1..]).arg("txn").stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = txn.spawn().expect("etcdctl starts");
        let puts: String = (start..start + BATCH)
            .map(|number| format!("put /registry/bench/{number:07} {number:07}-{}\n", "v".repeat(92)))
            .collect();
        let mut input = child.stdin.take().expect("it has a pipe");
        input.write_all(format!("\n{puts}\n\n").as_bytes()).expect("etcdctl reads it");
        drop(input);
        assert!(child.wait().is_ok_and(|status| status.success()), "txn");
    }
}

pub struct Server {
    child: Child,
    pub client: String,
}

impl Server {
    fn start(program: &str, data: &Path) -> Server {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let (client, peer) = (format!("127.0.0.1:{}", free()), format!("http://127.0.0.1:{}", free()));
        let mut command = Command::new(program);
        command.args(["--data-dir", text(data), "--logger", "zap", "--log-level", "info"]);
        command.args(["--max-txn-ops", "10000", "--quota-backend-bytes", "8589934592"]);
        let url = format!("http://{client}");
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("etcd starts");
        let mut log = BufReader::new(child.stderr.take().expect("it has a pipe")).lines().map_while(Result::ok);
        assert!(log.any(|line| line.contains("serving client traffic insecurely")), "etcd serves");
        std::thread::spawn(move || log.for_each(drop));
        Server { child, client }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
