//! One node: the formats of 3.6, long ranges, watches, snapshots, a full database, users.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use super::cluster::{interrupt, observe};
use super::server::{Client, Server, debian, newer};
use crate::program::Program;

fn started() -> (Server, Client) {
    let server = Server::start(&newer(), &[]);
    let client = Client::ours(&server.endpoint());
    (server, client)
}

#[test]
fn what_3_6_writes_in_another_way() {
    let (server, client) = started();
    let endpoint = server.endpoint();
    let member = client.done("etcdctl member list").split(',').next().unwrap().to_string();
    let json = client.done("etcdctl member list -w json --hex");
    assert!(json.contains(&format!("\"member_id\":\"{member}\"")) && json.contains("\"clientURLs\":["), "{json}");
    assert!(!client.done("etcdctl member list -w fields").contains("\"Revision\""));

    let status = client.done("etcdctl endpoint status");
    let cells: Vec<&str> = status.trim_end().split(", ").collect();
    assert_eq!((cells[0], cells[1], cells[2]), (endpoint.as_str(), member.as_str(), "3.5.1"), "{status}");
    assert_eq!((cells.len(), &cells[7..10]), (16, &["0 B", "true", "false"][..]), "{status}");
    let table = client.done("etcdctl endpoint status -w table");
    // How wide they are depends on the port and on the id.
    let titles = "| ENDPOINT | ID | VERSION | STORAGE VERSION | DB SIZE | IN USE | PERCENTAGE NOT IN USE | QUOTA | IS LEADER | \
        IS LEARNER | RAFT TERM | RAFT INDEX | RAFT APPLIED INDEX | ERRORS | DOWNGRADE TARGET VERSION | DOWNGRADE ENABLED |";
    let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words.join(" "), titles);

    let health = client.done("etcdctl endpoint health");
    assert!(health.starts_with(&format!("{endpoint} is healthy: successfully committed proposal: took = ")));
    let json = client.done("etcdctl endpoint health -w json");
    assert!(json.starts_with(&format!("[{{\"endpoint\":\"{endpoint}\",\"health\":true,\"took\":\"")), "{json}");
    let hash = client.done("etcdctl endpoint hashkv -w json");
    assert!(hash.starts_with(&format!("[{{\"Endpoint\":\"{endpoint}\",\"HashKV\":{{\"header\":")), "{hash}");
    let defrag = client.done("etcdctl defrag");
    assert!(defrag.starts_with(&format!("Finished defragmenting etcd member[{endpoint}]. took ")), "{defrag}");
    client.does("etcdctl version", 0, "etcdctl version: 3.6.14\nAPI version: 3.6\n", "");
}

#[test]
fn a_flag_wins_over_its_variable() {
    let (server, client) = started();
    let line = format!("ETCDCTL_ENDPOINTS=127.0.0.1:1 etcdctl --endpoints={} put a b", server.endpoint());
    client.does(&line, 0, "OK\n", "etcdctl: --endpoints is used, and not the variable ETCDCTL_ENDPOINTS\n");
    let err = "etcdctl: ETCDCTL_ENDPOINT: no variable of etcdctl's (--help names them)\n";
    client.does("ETCDCTL_ENDPOINT=127.0.0.1:1 etcdctl get a", 0, "a\nb\n", err);
    client.does("ETCDCTL_WRITE_OUT=x etcdctl get a", 4, "", "Error: unsupported output format\n");
    client.does("ETCDCTL_HEX=true etcdctl get a", 0, "\\x61\n\\x62\n", "");
    let why = "time: invalid duration \"soon\"";
    let err = format!("Error: ETCDCTL_DIAL_TIMEOUT: invalid argument \"soon\" for \"--dial-timeout\" flag: {why}\n");
    client.does("ETCDCTL_DIAL_TIMEOUT=soon etcdctl get a", 1, "", &err);
}

#[test]
fn a_long_range_is_one_answer() {
    let (server, client) = started();
    // More than one page of any size.
    let mut script = String::new();
    for block in 0..64 {
        script.push('\n');
        for key in 0..100 {
            script.push_str(&format!("put k{:05} {}\n", block * 100 + key, "v".repeat(700)));
        }
        script.push_str("\n\n");
    }
    for transaction in script.split_inclusive("\n\n\n") {
        let mut child = Program::new()
            .command("etcdctl")
            .env("ETCDCTL_ENDPOINTS", server.endpoint())
            .arg("txn")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(transaction.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let real = Client::real(&newer(), &server.endpoint());
    for line in [
        "etcdctl get --prefix k | cksum",
        "etcdctl get --prefix k -w json | cksum",
        "etcdctl get --prefix k -w protobuf | cksum",
        "etcdctl get --prefix k -w fields | cksum",
        "etcdctl get --prefix k --keys-only --limit 4321 -w json | cksum",
        "etcdctl get --from-key k01 --order=DESCEND | cksum",
        "etcdctl get k01 k03 --rev 40 | cksum",
    ] {
        client.does(line, 0, &real.done(line), "");
    }
    // More than one step.
    client.does("etcdctl del --prefix k", 0, "6400\n", "");
    client.does("etcdctl get --prefix k --keys-only", 0, "", "");
}

#[test]
fn events_as_they_come() {
    let (server, client) = started();
    let real = Client::real(&newer(), &server.endpoint());
    real.done("etcdctl put w/0 first; etcdctl put other x");
    let mut watch = Program::new()
        .command("etcdctl")
        .args(["--endpoints", &server.endpoint(), "watch", "--prefix", "w/", "--rev=1", "--prev-kv"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = |count: usize| (0..count).map(|_| lines.next().unwrap().unwrap() + "\n").collect::<String>();
    assert_eq!(next(3), "PUT\nw/0\nfirst\n");
    real.done("etcdctl put w/0 second");
    assert_eq!(next(5), "PUT\nw/0\nfirst\nw/0\nsecond\n");
    real.done("etcdctl del w/0");
    assert_eq!(next(5), "DELETE\nw/0\nsecond\nw/0\n\n");
    watch.kill().unwrap();
    watch.wait().unwrap();

    real.done("etcdctl compaction 4");
    let err = "watch was canceled (etcdserver: mvcc: required revision has been compacted)\n\
        Error: watch is canceled by the server\n";
    client.does("etcdctl watch w --rev 2", 5, "", err);
    // A command for each event, as both run it.
    let line =
        "etcdctl watch other --rev 3 -- sh -c 'echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE; exit 3'";
    real.done("etcdctl put other y");
    let line = line.replace("--rev 3", "--rev 6");
    let ours = client.run(&line);
    assert_eq!((ours.status, ours.out.as_str()), (1, "PUT\nother\ny\n\"PUT\" \"other\" \"y\"\n"), "{}", ours.err);
}

#[test]
fn watches_that_are_typed() {
    let (server, client) = started();
    client.done("etcdctl put a 1; etcdctl put b 2");
    let mut watch = Program::new()
        .command("etcdctl")
        .args(["--endpoints", &server.endpoint(), "watch", "-i"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = watch.stdin.take().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = |count: usize| (0..count).map(|_| lines.next().unwrap().unwrap() + "\n").collect::<String>();
    input.write_all(b"watch a --rev 1\n").unwrap();
    assert_eq!(next(3), "PUT\na\n1\n");
    input.write_all(b"bogus\nwatch b --rev 1 --prev-kv=false\n").unwrap();
    assert_eq!(next(3), "PUT\nb\n2\n");
    client.done("etcdctl put a 3");
    assert_eq!(next(3), "PUT\na\n3\n");
    drop(input);
    let ended = watch.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let err = "Invalid command bogus (only support watch)\nError: Error reading watch request line: EOF\n";
    assert_eq!(String::from_utf8_lossy(&ended.stderr), err);
}

#[test]
fn a_snapshot_that_the_real_one_reads() {
    let (server, client) = started();
    client.done("etcdctl put a 1; etcdctl put b 2; etcdctl del a");
    client.does("etcdctl snapshot save s.db; ls", 0, "Snapshot saved at s.db\ns.db\n", "");
    let real = newer();
    let status = format!("{}/etcdutl snapshot status s.db", real.directory.display());
    let found = client.done(&status);
    assert_eq!(found.split(", ").nth(1), Some("4"), "{found}");
    let restore =
        format!("{}/etcdutl snapshot restore s.db --data-dir restored 2>&1 | tail -n 1", real.directory.display());
    assert!(client.done(&restore).contains("restored snapshot"));
    client.does("etcdctl snapshot save no/such/s.db", 5, "", "Error: no/such/s.db: No such file or directory\n");
    let two = "etcdctl --endpoints=127.0.0.1:1,127.0.0.1:2 snapshot save x 2>&1 | tail -n 1; ls";
    let line = "Error: snapshot must be requested to one selected node, not multiple [127.0.0.1:1 127.0.0.1:2]\n";
    client.does(two, 0, &format!("{line}restored\ns.db\n"), "");
    let _ = server;
}

#[test]
fn locks_and_elections() {
    let (server, client) = started();
    let line = "etcdctl lock l -- sh -c 'echo ${ETCD_LOCK_KEY%/*} $ETCD_LOCK_REV; exit 3'";
    client.does(line, 3, "l 2\n", "Error: exit status 3\n");
    assert_eq!(client.done("etcdctl get --prefix l -w fields --count-only").lines().last(), Some("\"Count\" : 0"));
    client.does("etcdctl lock l nosuch", 127, "", "etcdctl: nosuch: no such command\n");
    let err = "Error: invalid txn request: put a \"b\n";
    client.does("printf '\\nput a \"b\\n\\n\\n' | etcdctl txn", 3, "", err);
    // One that waits for another.
    let mut holder = Program::new()
        .command("etcdctl")
        .args(["--endpoints", &server.endpoint(), "lock", "m"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("m/"));
    let endpoint = server.endpoint();
    let waiter = std::thread::spawn(move || Client::real(&newer(), &endpoint).done("etcdctl lock m echo mine"));
    let waits = "until etcdctl get --prefix m/ --keys-only -w fields | grep -q Count.*2; do :; done";
    client.done(waits);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(holder.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(holder.wait().unwrap().success());
    assert_eq!(waiter.join().unwrap(), "mine\n");

    let mut leader = Program::new()
        .command("etcdctl")
        .args(["--endpoints", &server.endpoint(), "elect", "e", "me"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(leader.stdout.take().unwrap()).lines();
    let key = lines.next().unwrap().unwrap();
    assert!(key.starts_with("e/"), "{key}");
    assert_eq!(lines.next().unwrap().unwrap(), "me");
    assert_eq!(client.done("etcdctl get --prefix e/"), format!("{key}\nme\n"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(leader.id() as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(leader.wait().unwrap().success());
    assert_eq!(client.done("etcdctl get --prefix e/"), "");
    client.does("etcdctl elect e", 128, "", "Error: no proposal argument but -l not set\n");
}

#[test]
fn a_lock_outlives_its_server() {
    let (mut server, client) = started();
    let program = Program::new();
    let start = |words: &[&str]| {
        let mut command = program.command("etcdctl");
        command.args(["--endpoints", &client.endpoints, "lock", "--ttl", "60"]).args(words);
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let first = |child: &mut std::process::Child| {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line
    };
    let mut holder = start(&["held"]);
    let mut runner = start(&["run", "--", "sh", "-c", "echo runs; read line; exit 3"]);
    let mut applet = start(&["applet", "cat"]);
    assert!(first(&mut holder).starts_with("held/"));
    assert_eq!(first(&mut runner), "runs\n");
    server.stop();
    server.again();
    client.done("etcdctl get --prefix held/ | grep -q held/ && etcdctl get --prefix run/ | grep -q run/");
    drop(runner.stdin.take());
    assert_eq!(runner.wait().unwrap().code(), Some(3));
    assert!(holder.try_wait().unwrap().is_none());
    let interrupt = |child: &std::process::Child| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT)
    };
    interrupt(&holder).unwrap();
    assert!(holder.wait().unwrap().success());
    client.does("etcdctl get --prefix '' --keys-only | grep -c -e held -e run", 1, "0\n", "");
    // An applet in its place ends by what the terminal sends to both.
    applet.stdin.as_mut().unwrap().write_all(b"here\n").unwrap();
    assert_eq!(first(&mut applet), "here\n");
    let group = nix::unistd::Pid::from_raw(applet.id() as i32);
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(applet.wait().unwrap().code(), Some(130));
}

#[test]
fn an_observer_outlives_its_server() {
    let (mut server, client) = started();
    let real = std::process::Command::new(newer().directory.join("etcdctl"));
    let mut all = [real, Program::new().command("etcdctl")].map(|program| observe(program, &client.endpoints));
    client.done("etcdctl put election/1 one");
    all.iter_mut().for_each(|(_, leader)| assert_eq!(leader(), "election/1 one "));
    server.stop();
    server.again();
    client.done("etcdctl put election/2 two && etcdctl del election/1");
    for (observer, leader) in &mut all {
        assert_eq!(leader(), "election/2 two ");
        interrupt(observer);
    }
    // It was never there.
    let err = "Error: 127.0.0.1:1: connection refused\n";
    Client::ours("127.0.0.1:1").does("etcdctl elect -l election", 1, "", err);
}

#[test]
fn a_mirror() {
    let (server, client) = started();
    let other = Server::start(&debian(), &[]);
    let copy = Client::ours(&other.endpoint());
    client.done("etcdctl put a/1 x; etcdctl put b y");
    let mut mirror = Program::new()
        .command("etcdctl")
        .args(["--endpoints", &server.endpoint(), "make-mirror", "--prefix", "a/", "--dest-prefix", "c/"])
        .arg(other.endpoint())
        .spawn()
        .unwrap();
    copy.done("until etcdctl get c/1 | grep -q x; do :; done");
    client.done("etcdctl put a/2 z; etcdctl del a/1");
    copy.done("until [ \"$(etcdctl get --prefix c/ | tr '\\n' ' ')\" = 'c/2 z ' ]; do :; done");
    mirror.kill().unwrap();
    mirror.wait().unwrap();
    assert_eq!(copy.done("etcdctl get --prefix '' --keys-only"), "c/2\n\n");
}

#[test]
fn a_full_database() {
    let server = Server::start(&newer(), &["--quota-backend-bytes", "8388608"]);
    let client = Client::ours(&server.endpoint());
    let fill = "i=0; while head -c 500000 /dev/zero | tr '\\0' x | etcdctl put big >/dev/null; do i=$((i+1)); \
        [ $i -lt 40 ] || break; done";
    let filled = client.run(fill);
    assert_eq!(filled.err, "Error: etcdserver: mvcc: database space exceeded\n");
    let alarms = client.done("etcdctl alarm list");
    assert!(alarms.starts_with("memberID:") && alarms.ends_with(" alarm:NOSPACE \n"), "{alarms}");
    let line = format!(
        "{} is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE \nError: unhealthy cluster\n",
        server.endpoint()
    );
    client.does("etcdctl endpoint health", 1, "", &line);
    assert!(client.done("etcdctl endpoint status").contains(", memberID:"));
    // The way out.
    let revision =
        client.done("etcdctl endpoint status -w fields").lines().nth(2).unwrap().replace("\"Revision\" : ", "");
    client.done(&format!("etcdctl compaction {revision} --physical; etcdctl defrag; etcdctl alarm disarm"));
    assert!(client.done("etcdctl endpoint health").contains("is healthy"));
    client.does("etcdctl put small v", 0, "OK\n", "");
}

#[test]
fn users_and_tokens() {
    let server = Server::start(&debian(), &["--auth-token-ttl", "1"]);
    let client = Client::ours(&server.endpoint());
    client.done(
        "etcdctl user add root:pw; etcdctl role add root; etcdctl user grant-role root root
        etcdctl user add alice:pw; etcdctl role add app; etcdctl role grant-permission app readwrite --prefix /app/
        etcdctl user grant-role alice app; etcdctl auth enable",
    );
    client.does("etcdctl get a", 1, "", "Error: etcdserver: user name is empty\n");
    let denied = "Error: etcdserver: permission denied\n";
    client.does("etcdctl --user alice:pw get a", 1, "", denied);
    client.does("etcdctl --user alice:pw put /app/a b", 0, "OK\n", "");
    client.does("ETCDCTL_USER=alice:pw etcdctl get /app/a", 0, "/app/a\nb\n", "");
    let wrong = "Error: etcdserver: authentication failed, invalid user ID or password\n";
    client.does("etcdctl --user alice:bad get a", 2, "", wrong);
    let asked = "Error: failed to ask password: standard input is no terminal\n";
    client.does("etcdctl --user alice get a", 128, "", asked);
    // Nobody is unhealthy for what a user may not read.
    assert!(client.done("etcdctl --user alice:pw endpoint health").contains("is healthy"));

    // A watch of a user, whose token ends after a second of nothing.
    let mut watch = Program::new()
        .command("etcdctl")
        .args(["--endpoints", &server.endpoint(), "--user", "alice:pw", "watch", "/app/a", "--rev", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "PUT");
    let _ = watch.kill();
    watch.wait().unwrap();
}
