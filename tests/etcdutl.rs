//! etcdutl on the files of real servers, 3.4.23 and 3.5.1, with the servers' own tools as oracles. `SIDEBOX_ETCD` names
//! the directory of etcd, etcdctl and etcdutl 3.5.1, which tests/check fetches.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::Value;

use crate::program::{Directory, Outcome, Program, run};

const LIMIT: Duration = Duration::from_secs(60);

/// A program of etcd 3.5.1.
fn tool(name: &str) -> PathBuf {
    let directory = env::var_os("SIDEBOX_ETCD").map(PathBuf::from);
    let path = directory.unwrap_or_else(|| PathBuf::from("/usr/local/lib/etcd-3.5.1")).join(name);
    assert!(path.exists(), "{} is not here; tests/check fetches it, or set SIDEBOX_ETCD", path.display());
    path
}

/// Debian's, which is 3.4.23, and 3.5.1.
fn servers() -> [PathBuf; 2] {
    let debian = PathBuf::from("/usr/bin/etcd");
    assert!(debian.exists(), "/usr/bin/etcd is not here; tests/check installs it");
    [debian, tool("etcd")]
}

/// A server that is a member, alone or of several, stopped with the test.
struct Server {
    program: PathBuf,
    child: Child,
    log: Option<Lines<BufReader<ChildStderr>>>,
    client: u16,
    peer: u16,
}

impl Server {
    /// Alone, and ready.
    fn start(program: &Path, data: &Path, peer: u16) -> Server {
        Server::begin(program, data, "m1", peer, &format!("m1={}", url(peer))).ready()
    }

    fn begin(program: &Path, data: &Path, name: &str, peer: u16, cluster: &str) -> Server {
        let client = port();
        let mut command = Command::new(program);
        command.args(["--name", name, "--logger", "zap", "--log-level", "info", "--initial-cluster-token", "tok"]);
        command.arg("--data-dir").arg(data);
        for option in ["--listen-client-urls", "--advertise-client-urls"] {
            command.arg(option).arg(url(client));
        }
        for option in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            command.arg(option).arg(url(peer));
        }
        command.arg("--initial-cluster").arg(cluster);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = child.stderr.take().map(|log| BufReader::new(log).lines());
        Server { program: program.to_path_buf(), child, log, client, peer }
    }

    /// Waits for the line that comes when clients are served; a server that cannot start ends, and with it its log.
    fn ready(mut self) -> Server {
        let mut log = self.log.take().unwrap();
        let mut said = Vec::new();
        let ready = log.by_ref().map_while(Result::ok).any(|line| {
            let found = line.contains("serving client traffic insecurely");
            said.push(line);
            found
        });
        assert!(ready, "{}:\n{}", self.program.display(), said.join("\n"));
        thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        self
    }

    fn ctl(&self, args: &[&str]) -> String {
        self.ctl_with(args, "")
    }

    fn ctl_with(&self, args: &[&str], input: &str) -> String {
        let mut command = Command::new(tool("etcdctl"));
        command.args(["--endpoints", &format!("127.0.0.1:{}", self.client)]).args(args).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "etcdctl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Puts and deletions enough for a tree with branches, compacted in the middle. The last revision is 24.
    fn fill(&self) {
        for batch in 0..10 {
            let puts: String =
                (0..100).map(|n| format!("put /registry/pods/{batch}{n:02} value-{batch}-{n:064}\n")).collect();
            self.ctl_with(&["txn"], &format!("\n{puts}\n\n"));
        }
        self.ctl(&["put", "/registry/big", &"b".repeat(20_000)]);
        self.ctl(&["put", "/registry/pods/000", "again"]);
        self.ctl(&["del", "--prefix", "/registry/pods/01"]);
        self.ctl(&["put", "plain", "1"]);
        self.ctl(&["compaction", "--physical", "13"]);
        self.ctl(&["put", "plain", "2"]);
        self.ctl(&["put", "/registry/pods/001", "late"]);
        self.ctl(&["del", "/registry/pods/002"]);
        self.ctl(&["put", "/registry/pods/002", "back"]);
        self.ctl(&["lease", "grant", "3600"]);
        for n in 0..5 {
            self.ctl(&["put", &format!("/events/{n}"), "event"]);
        }
    }

    fn hash(&self, revision: i64) -> Value {
        let text = self.ctl(&["endpoint", "hashkv", "-w", "json", "--rev", &revision.to_string()]);
        serde_json::from_str::<Value>(&text).unwrap()[0]["HashKV"].clone()
    }

    fn stop(mut self) -> u16 {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), nix::sys::signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
        self.peer
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A port that nobody has, below those that the kernel gives away by itself: nobody takes it meanwhile.
fn port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(101).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + (number % 10_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn ours(program: &Program, args: &[&str]) -> Outcome {
    run(program.command("etcdutl").args(args), LIMIT)
}

#[track_caller]
fn done(program: &Program, args: &[&str]) -> String {
    let outcome = ours(program, args);
    assert_eq!((outcome.status, outcome.err.as_str()), (0, ""), "etcdutl {args:?}");
    outcome.out
}

fn theirs(args: &[&str]) -> Outcome {
    run(Command::new(tool("etcdutl")).args(args).env_clear(), LIMIT)
}

/// The same words and the same status.
#[track_caller]
fn same(program: &Program, args: &[&str]) {
    let (ours, theirs) = (ours(program, args), theirs(args));
    assert_eq!((ours.status, ours.out), (theirs.status, theirs.out), "etcdutl {args:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_snapshot_and_a_members_file() {
    let program = Program::new();
    for binary in servers() {
        let directory = Directory::new("etcdutl");
        let at = |name: &str| directory.path().join(name);
        let (data, snapshot) = (at("data"), at("s.db"));
        let server = Server::start(&binary, &data, port());
        server.fill();
        server.ctl(&["snapshot", "save", text(&snapshot)]);
        let before = fs::read(&snapshot).unwrap();

        for format in ["simple", "json", "fields", "table"] {
            same(&program, &["snapshot", "status", text(&snapshot), "-w", format]);
        }
        same(&program, &["snapshot", "status", "--write-out=json", text(&snapshot)]);

        // The server's own hash, at each revision that it still has.
        for revision in [0, 14, 15, 16, 17, 18, 19, 22] {
            let live = server.hash(revision);
            let found = done(&program, &["hashkv", text(&snapshot), "-w=json", "--rev", &revision.to_string()]);
            let found: Value = serde_json::from_str(&found).unwrap();
            assert_eq!(found["hash"], live["hash"], "{} at {revision}", binary.display());
            assert_eq!(found["compactRevision"], live["compact_revision"]);
        }
        let compacted = ours(&program, &["hashkv", text(&snapshot), "--rev", "12"]);
        let why = "the revision is compacted; the first that is left is 13";
        assert_eq!((compacted.status, compacted.err), (1, format!("etcdutl: {}: {why}\n", text(&snapshot))));
        let future = ours(&program, &["hashkv", text(&snapshot), "--rev", "99"]);
        let why = "there is no such revision yet; the last is 24";
        assert_eq!((future.status, future.err), (1, format!("etcdutl: {}: {why}\n", text(&snapshot))));

        // The server's own answers.
        for args in [
            &["", "--prefix"][..],
            &["", "--prefix", "--rev", "13"],
            &["", "--prefix", "--rev", "17", "--keys-only"],
            &["/registry/pods/00", "/registry/pods/1"],
            &["/registry/pods/9", "--from-key", "--limit", "5"],
            &["plain", "--print-value-only"],
            &["nothing"],
        ] {
            let ours = done(&program, &[&["get", text(&snapshot)][..], args].concat());
            // With --keys-only, theirs still has the empty line of the value, as ours does.
            assert_eq!(ours, server.ctl(&[&["get"], args].concat()), "{args:?}");
        }
        let pair = done(&program, &["get", text(&snapshot), "plain", "--json"]);
        let expected = r#"{"key":"plain","create_revision":15,"mod_revision":16,"version":2,"lease":null,"value":"2"}"#;
        assert_eq!(pair, format!("{expected}\n"));

        // Of a thousand and one keys ten were deleted, one was changed, and one deleted and put again.
        let sums = done(&program, &["top", text(&snapshot), "--json", "--depth", "1"]);
        let sums: Vec<Value> = sums.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let counts: Vec<_> = sums.iter().map(|sum| (&sum["prefix"], &sum["keys"], &sum["revisions"])).collect();
        assert_eq!(
            serde_json::json!(counts),
            serde_json::json!([["/registry/", 991, 1014], ["/events/", 5, 5], ["", 1, 2]])
        );

        assert_eq!(verdict(&program, &snapshot), ("matches", String::from("sound"), Vec::new()));
        assert_eq!(before, fs::read(&snapshot).unwrap(), "a file that is read was written");

        // What a server uses is not taken from under it.
        let used = ours(&program, &["defrag", "--data-dir", text(&data)]);
        assert_eq!(used.status, 1);
        assert!(used.err.contains("in use"), "{}", used.err);
        let live = server.hash(0);
        let peer = server.stop();

        let wal = ours(&program, &["wal", "dump", text(&data), "--json"]);
        assert_eq!((wal.status, wal.err.as_str()), (0, ""));
        let entries: Vec<Value> = wal.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let what =
            |name: &str| entries.iter().filter(|entry| entry["what"].as_str().unwrap().starts_with(name)).count();
        assert_eq!(
            (what("txn"), what("put "), what("delete "), what("compaction"), what("lease grant")),
            (10, 11, 2, 1, 1)
        );

        let file = data.join("member/snap/db");
        assert_eq!(verdict(&program, &data), ("missing", String::from("sound"), Vec::new()));
        let status = |path: &Path| done(&program, &["snapshot", "status", text(path), "--json"]);
        let hashes = (done(&program, &["hashkv", text(&file)]), status(&file));
        let size = fs::metadata(&file).unwrap().len();
        // What it made beside the database is no obstacle.
        done(&program, &["defrag", text(&data)]);
        done(&program, &["defrag", "--data-dir", text(&data)]);
        assert!(fs::metadata(&file).unwrap().len() < size);
        assert_eq!(done(&program, &["hashkv", text(&file)]), hashes.0);
        let hash = |text: &str| serde_json::from_str::<Value>(text).unwrap()["hash"].clone();
        assert_eq!(hash(&status(&file)), hash(&hashes.1));
        same(&program, &["snapshot", "status", text(&file)]);
        let server = Server::start(&binary, &data, peer);
        assert_eq!(server.hash(0)["hash"], live["hash"]);
        server.ctl(&["put", "after", "defrag"]);
        server.ctl(&["del", "--prefix", "/registry/"]);
        server.stop();
        assert_eq!(verdict(&program, &file), ("missing", String::from("sound"), Vec::new()));
    }
}

fn verdict(program: &Program, path: &Path) -> (&'static str, String, Vec<String>) {
    let report: Value = serde_json::from_str(&ours(program, &["check", text(path), "--json"]).out).unwrap();
    let sum = ["matches", "missing", "differs"].into_iter().find(|word| report["sha256"] == *word).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let findings = findings.iter().map(|finding| finding.as_str().unwrap().to_string()).collect();
    (sum, report["verdict"].as_str().unwrap().to_string(), findings)
}

#[test]
fn damaged_snapshots() {
    let program = Program::new();
    let directory = Directory::new("etcdutl");
    let at = |name: &str| directory.path().join(name);
    let server = Server::start(&tool("etcd"), &at("data"), port());
    server.fill();
    server.ctl(&["snapshot", "save", text(&at("s.db"))]);
    let whole = fs::read(at("s.db")).unwrap();
    let damaged = at("damaged.db");

    let mut changed = whole.clone();
    let middle = whole.len() / 2;
    changed[middle] ^= 1;
    fs::write(&damaged, &changed).unwrap();
    let (sum, verdict_, findings) = verdict(&program, &damaged);
    assert_eq!((sum, verdict_.as_str()), ("differs", "damaged"));
    assert_eq!(findings[0], "the sha256 at the end is of other contents: the snapshot was changed or cut");

    fs::write(&damaged, &whole[..whole.len() - 32 - 4096]).unwrap();
    let (pages, needed) = (whole.len() - 32 - 4096, whole.len() - 32);
    let why = format!("truncated: {pages} bytes of {needed}");
    assert_eq!(
        verdict(&program, &damaged),
        ("missing", String::from("damaged"), vec![format!("{why}, and the sha256 is missing")])
    );
    for args in [&["snapshot", "status"][..], &["hashkv"], &["get"], &["top"], &["snapshot", "restore"], &["defrag"]] {
        let outcome = ours(&program, &[args, &[text(&damaged)]].concat());
        assert_eq!((outcome.status, outcome.out.as_str()), (1, ""), "{args:?}");
        assert!(args == ["snapshot", "restore"] || outcome.err.contains(&why), "{args:?}: {}", outcome.err);
    }
    assert!(!at("damaged.db.defrag").exists(), "half a file is left");

    fs::write(&damaged, "SQLite format 3\0").unwrap();
    let outcome = ours(&program, &["snapshot", "status", text(&damaged)]);
    let why = "not an etcd database: no valid meta page";
    assert_eq!((outcome.status, outcome.err), (1, format!("etcdutl: {}: {why}\n", text(&damaged))));

    // A log whose last write did not come to its end.
    server.stop();
    let wal = at("data/member/wal");
    let file = fs::read_dir(&wal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "wal"));
    let file = file.unwrap();
    let sound = done(&program, &["wal", "dump", text(&file), "--json"]);
    let last: Value = serde_json::from_str(sound.lines().last().unwrap()).unwrap();
    let mut log = fs::read(&file).unwrap();
    let end = last["offset"].as_u64().unwrap() as usize;
    log[end + 12] ^= 1;
    fs::write(&file, &log).unwrap();
    let outcome = ours(&program, &["wal", "dump", text(&file), "--json"]);
    assert_eq!((outcome.status, outcome.out.lines().count()), (1, sound.lines().count() - 1));
    assert!(outcome.err.contains(&format!("offset {end}: ")), "{}", outcome.err);
}

/// A snapshot of a server that is gone, and what that has told of what is in it.
struct Saved {
    snapshot: PathBuf,
    hash: Value,
    pairs: String,
}

impl Saved {
    fn new(binary: &Path, directory: &Directory) -> Saved {
        let snapshot = directory.path().join("s.db");
        let server = Server::start(binary, &directory.path().join("data"), port());
        server.fill();
        server.ctl(&["snapshot", "save", text(&snapshot)]);
        let (hash, pairs) = (server.hash(0), server.ctl(&["get", "", "--prefix"]));
        server.stop();
        Saved { snapshot, hash, pairs }
    }
}

#[test]
fn a_member_from_a_snapshot() {
    let program = Program::new();
    for binary in servers() {
        let directory = Directory::new("etcdutl");
        let at = |name: &str| directory.path().join(name);
        let Saved { snapshot, hash: live, pairs } = Saved::new(&binary, &directory);

        let peer = port();
        let urls = url(peer);
        let cluster = format!("m1={urls}");
        let restore = |to: &Path| {
            [
                vec!["snapshot", "restore", text(&snapshot), "--name", "m1", "--initial-cluster", &cluster],
                vec!["--initial-cluster-token=tok", "--initial-advertise-peer-urls", &urls],
            ]
            .concat()
            .into_iter()
            .map(String::from)
            .chain([String::from("--data-dir"), String::from(text(to))])
            .collect::<Vec<String>>()
        };
        let words = |args: &[String]| args.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let args = restore(&at("ours"));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        done(&program, &args);
        let again = ours(&program, &args);
        assert_eq!(again.err, format!("etcdutl: {}: is there and not empty\n", text(&at("ours"))));
        let oracle = restore(&at("theirs"));
        let outcome = theirs(&oracle.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(outcome.status, 0, "{}: {}", words(&oracle), outcome.err);

        // The log and the snapshot file are the same bytes.
        for file in ["wal/0000000000000000-0000000000000000.wal", "snap/0000000000000001-0000000000000001.snap"] {
            let read = |top: &str| fs::read(at(top).join("member").join(file)).unwrap();
            assert!(read("ours") == read("theirs"), "{file}");
        }
        // And so is what the database holds.
        same(&program, &["snapshot", "status", text(&at("ours/member/snap/db")), "--write-out", "simple"]);
        let hash = |top: &str| theirs(&["snapshot", "status", text(&at(top).join("member/snap/db"))]).out;
        let first = |text: String| text.split(',').next().unwrap().to_string();
        assert_eq!(first(hash("ours")), first(hash("theirs")));

        let server = Server::start(&binary, &at("ours"), peer);
        assert_eq!(server.hash(0)["hash"], live["hash"]);
        assert_eq!(server.ctl(&["get", "", "--prefix"]), pairs);
        assert!(server.ctl(&["member", "list"]).contains(&format!("started, m1, {urls}, ")));
        server.ctl(&["put", "new", "life"]);
        server.stop();
        assert_eq!(verdict(&program, &at("ours")), ("missing", String::from("sound"), Vec::new()));
    }
}

#[test]
fn a_restored_member_goes_on_far_ahead() {
    let program = Program::new();
    let directory = Directory::new("etcdutl");
    let at = |name: &str| directory.path().join(name);
    let server = Server::start(&tool("etcd"), &at("data"), port());
    server.fill();
    server.ctl(&["snapshot", "save", text(&at("s.db"))]);
    server.stop();
    let peer = port();
    let urls = url(peer);
    let cluster = format!("m1={urls}");
    let mut args =
        vec!["snapshot", "restore", "--bump-revision", "1000000", "--name", "m1", "--initial-cluster", &cluster];
    let (from, to, wal) = (at("s.db"), at("restored"), at("log"));
    args.extend(["--initial-cluster-token", "tok", "--initial-advertise-peer-urls", &urls, text(&from)]);
    args.extend(["--data-dir", text(&to)]);
    let alone = ours(&program, &args);
    let why = "--bump-revision and --mark-compacted go together (see 'etcdutl --help')";
    assert_eq!((alone.status, alone.err), (2, format!("etcdutl: {why}\n")));
    args.push("--mark-compacted");
    let out = done(&program, &args);
    assert!(out.ends_with(", revision 1000024\n"), "{out}");
    let server = Server::start(&tool("etcd"), &to, peer);
    assert!(server.ctl(&["put", "a", "b", "-w", "json"]).contains("\"revision\":1000025"));
    assert_eq!(server.ctl(&["get", "plain"]), "plain\n2\n");
    server.stop();

    // A member's own file has no sum, and a log may stand elsewhere.
    let member = at("data/member/snap/db");
    let other = at("other");
    let without = ours(&program, &["snapshot", "restore", text(&member), "--data-dir", text(&other)]);
    assert_eq!(without.status, 1);
    assert!(without.err.contains("--skip-hash-check takes it") && !other.exists(), "{}", without.err);
    done(
        &program,
        &[
            "snapshot",
            "restore",
            text(&member),
            "--data-dir",
            text(&other),
            "--wal-dir",
            text(&wal),
            "--skip-hash-check=true",
        ],
    );
    assert!(wal.join("0000000000000000-0000000000000000.wal").exists() && !other.join("member/wal").exists());
}

#[test]
fn three_members_from_a_snapshot() {
    let program = Program::new();
    for binary in servers() {
        let directory = Directory::new("etcdutl");
        let at = |name: &str| directory.path().join(name);
        let Saved { snapshot, hash: live, pairs } = Saved::new(&binary, &directory);

        let members: Vec<(String, u16)> = ["m1", "m2", "m3"].map(|name| (name.to_string(), port())).to_vec();
        let cluster: Vec<String> = members.iter().map(|(name, peer)| format!("{name}={}", url(*peer))).collect();
        let cluster = cluster.join(",");
        for (name, peer) in &members {
            let restore = |to: &Path| -> Vec<String> {
                let args = ["snapshot", "restore", text(&snapshot), "--initial-cluster", &cluster, "--name", name];
                let own = ["--initial-advertise-peer-urls", &url(*peer), "--data-dir", text(to)];
                [&args[..], &["--initial-cluster-token", "tok"], &own]
                    .concat()
                    .iter()
                    .map(ToString::to_string)
                    .collect()
            };
            let (ours, oracle) = (restore(&at(name)), restore(&at("theirs")));
            done(&program, &ours.iter().map(String::as_str).collect::<Vec<_>>());
            let outcome = theirs(&oracle.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(outcome.status, 0, "{}", outcome.err);
            for file in ["wal/0000000000000000-0000000000000000.wal", "snap/0000000000000001-0000000000000003.snap"] {
                let read = |top: &str| fs::read(at(top).join("member").join(file)).unwrap();
                assert!(read(name) == read("theirs"), "{name}: {file}");
            }
            fs::remove_dir_all(at("theirs")).unwrap();
        }

        // None serves before two of them have found each other.
        let servers: Vec<Server> =
            members.iter().map(|(name, peer)| Server::begin(&binary, &at(name), name, *peer, &cluster)).collect();
        let mut servers: Vec<Server> = servers.into_iter().map(Server::ready).collect();
        for server in &servers {
            assert_eq!(server.hash(0)["hash"], live["hash"]);
            assert_eq!(server.ctl(&["get", "", "--prefix"]), pairs);
        }
        let list = servers[0].ctl(&["member", "list"]);
        assert_eq!(list.lines().filter(|line| line.contains(", started, m")).count(), 3, "{list}");
        servers[0].ctl(&["put", "new", "life"]);
        // Two of three are enough.
        servers.remove(0).stop();
        assert_eq!(servers[1].ctl(&["get", "new"]), "new\nlife\n");
        servers[1].ctl(&["put", "after", "a member is gone"]);
        for server in servers {
            server.stop();
        }
        for (name, _) in &members {
            assert_eq!(verdict(&program, &at(name)), ("missing", String::from("sound"), Vec::new()));
        }
    }
}

#[test]
fn as_small_as_by_their_defrag() {
    let program = Program::new();
    let directory = Directory::new("etcdutl");
    let data = directory.path().join("data");
    let server = Server::start(&tool("etcd"), &data, port());
    server.fill();
    server.ctl(&["del", "--prefix", "/registry/pods/5"]);
    server.ctl(&["compaction", "--physical", "25"]);
    server.stop();
    let (db, ours) = (data.join("member/snap/db"), directory.path().join("ours"));
    done(&program, &["defrag", text(&db), "--output", text(&ours)]);
    let hash = done(&program, &["hashkv", text(&db)]);
    let before = fs::metadata(&db).unwrap().len();
    assert_eq!(theirs(&["defrag", "--data-dir", text(&data)]).status, 0);
    let (ours_, theirs) = (fs::metadata(&ours).unwrap().len(), fs::metadata(&db).unwrap().len());
    // Theirs leaves a tenth of each page free, and pages of its own past.
    assert!(ours_ <= theirs && theirs < before && ours_ * 2 > theirs, "{ours_} {theirs} {before}");
    assert_eq!(done(&program, &["hashkv", text(&ours)]), hash);
    assert_eq!(done(&program, &["hashkv", text(&db)]), hash);
}

#[test]
fn a_member_whose_database_is_written_anew() {
    let program = Program::new();
    let directory = Directory::new("etcdutl");
    let data = directory.path().join("data");
    let server = Server::start(&tool("etcd"), &data, port());
    server.fill();
    server.stop();
    let db = data.join("member/snap/db");
    let hash = done(&program, &["hashkv", text(&db)]);
    // What one left that was killed; a server removes it.
    let left = data.join("member/snap/db.tmp.0");
    fs::write(&left, "left").unwrap();
    // A server that waits until it may lock the file has it open, and would go on in it.
    let before = fs::read(&db).unwrap();
    let waits = fs::File::options().write(true).open(&db).unwrap();
    let refused = ours(&program, &["defrag", "--data-dir", text(&data)]);
    let why = "an etcd has opened it meanwhile, and waits: stop it; nothing was changed";
    assert_eq!((refused.status, refused.err), (1, format!("etcdutl: {}: {why}\n", db.display())));
    assert!(fs::read(&db).unwrap() == before);
    drop(waits);
    // Whose it is stays: root may do this for a server that is somebody else.
    fs::set_permissions(&db, fs::Permissions::from_mode(0o640)).unwrap();
    if geteuid().is_root() {
        chown(&db, Some(65532), Some(65533)).unwrap();
    }
    let owner = |about: fs::Metadata| (about.uid(), about.gid(), about.mode());
    let owned = owner(fs::metadata(&db).unwrap());
    done(&program, &["defrag", "--data-dir", text(&data)]);
    assert_eq!(owner(fs::metadata(&db).unwrap()), owned);
    assert!(fs::metadata(&db).unwrap().len() < before.len() as u64);
    assert_eq!(done(&program, &["hashkv", text(&db)]), hash);
    assert_eq!(
        (fs::read_dir(data.join("member/snap")).unwrap().count(), fs::read(&left).unwrap()),
        (2, b"left".to_vec())
    );
    let server = Server::start(&tool("etcd"), &data, port());
    assert!(!fs::exists(&left).unwrap());
    assert_eq!(server.ctl(&["get", "--prefix", "/registry/pods/", "--keys-only", "--limit", "1"]).lines().count(), 2);
    server.stop();
}

/// The files of a server, damaged and cut in many places: each command says one line at most, and ends.
#[test]
fn damage_in_many_places() {
    let program = Program::new();
    let directory = Directory::new("etcdutl");
    let at = |name: &str| directory.path().join(name);
    let server = Server::start(&tool("etcd"), &at("data"), port());
    server.fill();
    server.ctl(&["snapshot", "save", text(&at("s.db"))]);
    server.stop();
    let whole = fs::read(at("s.db")).unwrap();
    let damaged = at("damaged.db");
    let look = |bytes: &[u8], what: &str| {
        fs::write(&damaged, bytes).unwrap();
        for args in [&["snapshot", "status"][..], &["hashkv"], &["get"], &["top"], &["defrag", "--output"]] {
            let new = at("new");
            let outcome = match args {
                ["defrag", ..] => ours(&program, &[args, &[text(&new), text(&damaged)]].concat()),
                _ => ours(&program, &[args, &[text(&damaged)]].concat()),
            };
            let line = outcome.err.starts_with("etcdutl: ") && outcome.err.lines().count() == 1;
            let well = outcome.status == 0;
            let said = line || (well && outcome.err.is_empty());
            assert!(said && (well || outcome.status == 1), "{what}: {args:?}: {} {}", outcome.status, outcome.err);
            assert_eq!(new.exists(), well && args[0] == "defrag", "{what}: {args:?}");
            let _ = fs::remove_file(&new);
        }
        // What has a sum is never taken for sound, and nothing is made of it.
        let (_, verdict_, findings) = verdict(&program, &damaged);
        assert!(verdict_ == "damaged" && !findings.is_empty(), "{what}");
        let to = at("restored");
        let restored = ours(&program, &["snapshot", "restore", text(&damaged), "--data-dir", text(&to)]);
        assert!(restored.status == 1 && restored.err.lines().count() == 1, "{what}: {}", restored.err);
        assert!(!to.exists(), "{what}: half a member is left");
    };
    // In the header, the elements and the pairs of each third page.
    for page in (0..whole.len() / 4096).step_by(3) {
        for offset in [0, 8, 10, 12, 20, 26, 2000, 4090] {
            let mut bytes = whole.clone();
            bytes[page * 4096 + offset] ^= if page % 2 == 0 { 0xff } else { 0x04 };
            look(&bytes, &format!("page {page} at {offset}"));
        }
    }
    for length in (0..whole.len()).step_by(7919) {
        look(&whole[..length], &format!("cut at {length}"));
    }
}

#[test]
fn a_shell_completes_its_words() {
    let program = Program::new();
    for (name, words, expected) in [
        ("etcdutl", "''", "snapshot hashkv get top check wal defrag completion version --write-out --json --help"),
        ("etcdutl", "snapshot re", "restore"),
        ("etcdutl", "--json snapshot ''", "status restore --write-out --json --help"),
        ("etcdutl", "hashkv --r", "--rev"),
        ("etcdutl", "get /tmp/db --pre", "--prefix"),
        ("etcdctl", "m", "make-mirror member move-leader"),
        ("etcdctl", "-w=json lease ''", "grant keep-alive list revoke timetolive"),
        ("etcdctl", "role get --pre", ""),
        ("etcdctl", "get key --pre", "--prefix"),
    ] {
        let count = words.split(' ').count();
        let script = format!(
            "eval \"$({} completion bash)\"; COMP_WORDS=({name} {words}); COMP_CWORD={count}; _{name}; echo \"${{COMPREPLY[*]}}\"",
            program.links().join(name).display()
        );
        let outcome = run(Command::new("/bin/bash").args(["-c", &script]), LIMIT);
        assert_eq!((outcome.out.trim_end(), outcome.err.as_str()), (expected, ""), "{name} {words}");
    }
}
