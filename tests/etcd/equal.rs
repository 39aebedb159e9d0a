//! The same lines by the real etcdctl on one server and by ours on another that is at the same point: the same output,
//! messages and status, but for ids and times.

use super::server::{Client, Server, Version, debian, newer};

/// What every version writes alike. `LEASE` is the lease that was granted last.
const LINES: &str = r#"
etcdctl put foo bar
etcdctl put foo bar2 --prev-kv
etcdctl put foo bar3 --prev-kv -w json
etcdctl put foo bar4 --prev-kv -w fields
etcdctl put foo bar5 -w protobuf | tail -c 4 | od -c
etcdctl put foo1 '<a&b>' --ignore-lease=false
etcdctl put ignored key and more
etcdctl del ignored
printf 'a\001\n\303\251\377' | etcdctl put bin
printf '' | etcdctl put bin
etcdctl get bin
etcdctl get bin -w fields
etcdctl get bin --hex
etcdctl get bin -w json
etcdctl get bin --print-value-only | od -c
etcdctl get foo
etcdctl get foo -w json
etcdctl get foo -w fields
etcdctl get foo -w protobuf | tail -c 23 | od -c
etcdctl get foo -w table
etcdctl get --prefix=true --keys-only f
etcdctl -w json get foo --prefix
etcdctl get --prefix foo --limit 1 -w json
etcdctl get --prefix foo --limit 1 -w fields
etcdctl get --prefix foo --order=DESCEND
etcdctl get --prefix foo --order=ASCEND --sort-by=MODIFY
etcdctl get --prefix foo --sort-by=VALUE --order=descend
etcdctl get --prefix '' --sort-by=MODIFY --limit 2
etcdctl get --prefix '' --keys-only
etcdctl get --from-key foo1
etcdctl get foo foo1
etcdctl get foo --rev=2
etcdctl get foo --rev=9999
etcdctl get nosuch
etcdctl get nosuch -w json
etcdctl get nosuch -w fields
etcdctl get ''
etcdctl get
etcdctl get a b c --prefix
etcdctl get --prefix --from-key x
etcdctl get foo --consistency=x
etcdctl get foo --consistency=s
etcdctl get foo --order=x
etcdctl get foo --sort-by=x
etcdctl get foo -w bogus
etcdctl get -- foo
etcdctl put foo
etcdctl put
etcdctl put a b --lease=zz
etcdctl put a b --lease=1234
etcdctl put foo --ignore-value
etcdctl put nosuch --ignore-value
etcdctl put foo x --ignore-value
etcdctl del nosuch
etcdctl del nosuch -w json
etcdctl del nosuch -w fields
etcdctl del foo1 --prev-kv
etcdctl del
etcdctl del --prefix --from-key x
printf 'mod("foo") > "0"\n\nput foo "in"\nget foo\ndel nosuch\n\nget foo\n\n' | etcdctl txn
printf 'val("foo") = "zzz"\n\nput foo "in"\n\nget foo\nput k v --prev-kv\n\n' | etcdctl txn -w json
printf 'ver("foo") > "0"\ncreate("foo") > "0"\nval("foo") != "x"\n\nget foo\n\n\n' | etcdctl txn -i
printf '\nget foo\nget --prefix f --keys-only\n\n\n' | etcdctl txn -w fields
printf '\nput "sp ace" "new\\nline"\n\n\n' | etcdctl txn
etcdctl get 'sp ace'
printf 'foo\n\n\n\n' | etcdctl txn
printf 'val("a") = "b"\n' | etcdctl txn
printf 'size("a") = "b"\n\n\n\n' | etcdctl txn
printf 'mod("a") = "b"\n\n\n\n' | etcdctl txn
printf '\nbogus\n\n\n' | etcdctl txn
printf '\nbogus a b\n\n\n' | etcdctl txn
etcdctl txn x
etcdctl member list
etcdctl mem list -w json
etcdctl member list -w table | tr -s ' -'
etcdctl member add
etcdctl member add m2
etcdctl member remove
etcdctl member remove abcd
etcdctl member remove zz
etcdctl member promote abcd
etcdctl member update abcd
etcdctl alarm list
etcdctl alarm list -w json
etcdctl alarm list -w fields
etcdctl alarm disarm
etcdctl alarm disarm -w json
etcdctl move-leader
etcdctl move-leader 1234
etcdctl move-leader zz
etcdctl lease grant
etcdctl lease grant x
etcdctl lease list
etcdctl lease revoke
etcdctl lease revoke zz
etcdctl lease revoke 1234
etcdctl lease timetolive
etcdctl lease timetolive 1234
etcdctl lease timetolive 1234 -w json
etcdctl lease keep-alive --once 1234
etcdctl lease list -w json
LEASE
etcdctl put leased value --lease=LEASE
etcdctl lease timetolive LEASE --keys
etcdctl lease timetolive LEASE --keys -w json
etcdctl lease timetolive LEASE -w fields
etcdctl lease keep-alive --once LEASE
etcdctl lease keep-alive --once LEASE -w json
etcdctl lease list
etcdctl get leased -w json
etcdctl get leased -w fields
etcdctl lease revoke LEASE
etcdctl get leased
etcdctl compact 5
etcdctl compaction 5
etcdctl compaction 9999
etcdctl compaction x
etcdctl compaction
etcdctl get foo --rev=2
etcdctl user add root:pw
etcdctl user add alice:pw
etcdctl user add -w json bob:pw
echo secret | etcdctl user add carol --interactive=false
etcdctl user add
etcdctl user add :pw
etcdctl user add root:pw
etcdctl user list
etcdctl user list -w json
etcdctl user list -w fields
echo other | etcdctl user passwd carol --interactive=false
etcdctl user delete bob
etcdctl user delete bob
etcdctl role add root
etcdctl role add r1
etcdctl role add r1
etcdctl role grant-permission r1 readwrite --prefix=true /app/
etcdctl role grant-permission r1 read a z
etcdctl role grant-permission r1 write one
etcdctl role grant-permission r1 read --from-key zz
etcdctl role grant-permission r1 bogus a
etcdctl role grant-permission r1 read
etcdctl role get r1
etcdctl role get r1 -w json
etcdctl role get r1 -w fields
etcdctl role get root
etcdctl role get nosuch
etcdctl role list
etcdctl role list -w json
etcdctl role list -w fields
etcdctl role revoke-permission r1 one
etcdctl role revoke-permission r1 a z
etcdctl role revoke-permission r1 --from-key zz
etcdctl role revoke-permission r1 nosuch
etcdctl user grant-role root root
etcdctl user grant-role alice r1
etcdctl user grant-role alice nosuch
etcdctl user grant-role alice
etcdctl user get alice
etcdctl user get alice -w json
etcdctl user get alice --detail
etcdctl user get nosuch
etcdctl auth enable
etcdctl get foo
etcdctl --user root:pw get foo
etcdctl --user root --password pw get foo
etcdctl --user alice:pw get /app/x
etcdctl --user alice:pw put /app/x y
etcdctl --user alice:pw get /app/x
etcdctl --user alice:pw get foo
etcdctl --user alice:pw member list
etcdctl --user alice:pw user list
etcdctl --user root:pw user revoke-role alice r1
etcdctl --user alice:pw get /app/x
etcdctl --user root:pw role delete r1
etcdctl --user root:pw auth disable
etcdctl role delete root
etcdctl auth enable
etcdctl --user root:pw role list
etcdctl --user root:pw auth disable
etcdctl auth enable x
etcdctl watch
etcdctl watch a b --prefix
etcdctl snapshot save
etcdctl snapshot save a b
"#;

/// What is another thing on each server.
struct Names(Vec<(String, &'static str)>);

impl Names {
    fn of(client: &Client, server: &Server) -> Names {
        let fields = client.done("etcdctl member list -w fields");
        let value = |name: &str| {
            let line = fields.lines().find(|line| line.starts_with(&format!("\"{name}\""))).unwrap();
            line.split(" : ").nth(1).unwrap().parse::<u64>().unwrap()
        };
        let (cluster, member) = (value("ClusterID"), value("MemberID"));
        Names(vec![
            (cluster.to_string(), "CLUSTER"),
            (format!("{cluster:x}"), "CLUSTER"),
            (member.to_string(), "MEMBER"),
            (format!("{member:x}"), "MEMBER"),
            (server.endpoint(), "ENDPOINT"),
            (server.peer_endpoint(), "PEER"),
        ])
    }

    fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_string(), |text, (value, name)| text.replace(value.as_str(), name))
    }
}

/// One side: a client, its server, and what only it has.
struct Side {
    client: Client,
    names: Names,
    _server: Server,
    /// In hexadecimal and in decimal.
    lease: Option<(String, String)>,
}

impl Side {
    fn new(real: Option<&Version>, version: &Version) -> Side {
        let server = Server::start(version, &[]);
        let endpoint = server.endpoint();
        let client = real.map_or_else(|| Client::ours(&endpoint), |real| Client::real(real, &endpoint));
        let names = Names::of(&Client::ours(&endpoint), &server);
        Side { client, names, _server: server, lease: None }
    }

    fn run(&mut self, line: &str) -> (i32, String, String) {
        if line == "LEASE" {
            let granted = self.client.done("etcdctl lease grant 500");
            let id = granted.split(' ').nth(1).unwrap().to_string();
            let number = i64::from_str_radix(&id, 16).unwrap().to_string();
            let out = granted.replace(&id, "LEASE");
            self.lease = Some((id, number));
            return (0, out, String::new());
        }
        let lease = self.lease.clone().unwrap_or_default();
        let outcome = self.client.run(&line.replace("LEASE", &lease.0));
        let hide = |text: &str| {
            let text = self.names.hide(text);
            if lease.0.is_empty() { text } else { text.replace(&lease.0, "LEASE").replace(&lease.1, "LEASE") }
        };
        (outcome.status, hide(&outcome.out), hide(&outcome.err))
    }
}

/// Lines of a version whose etcdctl does it in its own way: fixed since, or not there yet.
fn compare(version: &Version, except: &[&str]) {
    let mut theirs = Side::new(Some(version), version);
    let mut ours = Side::new(None, version);
    let mut wrong = Vec::new();
    for line in LINES.lines().filter(|line| !line.is_empty()) {
        let (expected, found) = (theirs.run(line), ours.run(line));
        if expected != found && !except.contains(&line) {
            wrong.push(format!("{line}\n  real: {expected:?}\n  ours: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn as_3_4_23_writes_it() {
    let except = [
        // Its names of the answers in a transaction, a reason that is missing, and a crash.
        r#"printf 'val("foo") = "zzz"\n\nput foo "in"\n\nget foo\nput k v --prev-kv\n\n' | etcdctl txn -w json"#,
        r#"printf 'mod("a") = "b"\n\n\n\n' | etcdctl txn"#,
        "etcdctl alarm list -w fields",
        "etcdctl role get root",
    ];
    compare(&debian(), &except);
}

#[test]
fn as_3_5_1_writes_it() {
    // Reasons that are missing.
    let except =
        [r#"printf 'mod("a") = "b"\n\n\n\n' | etcdctl txn"#, "etcdctl move-leader 1234", "etcdctl role get root"];
    compare(&newer(), &except);
}

/// What is asked of one server by both, one after the other; NAME is another thing for each.
const PROTOBUF: &str = "
lease grant 500
lease list
lease timetolive 1234
lease timetolive LEASE --keys
lease keep-alive --once LEASE
lease keep-alive --once 1234
lease revoke 1234
get a
get a --rev 2
get nosuch
get --prefix '' --keys-only
get --prefix '' --limit 1
get a --count-only
del nosuch
txn
endpoint health
endpoint status
endpoint hashkv
alarm list
alarm disarm
member list
member add NAME
member update MEMBER --peer-urls=http://PEER
member remove MEMBER
move-leader zz
user add NAME:pw
user get NAME
user grant-role NAME r
user get NAME
user revoke-role NAME r
user delete NAME
user list
role add NAME
role grant-permission NAME read a
role grant-permission NAME readwrite --prefix b
role get NAME
role revoke-permission NAME a
role delete NAME
role list
auth status
watch a --rev 1
defrag
";

#[test]
fn protobuf_is_the_same_byte_for_byte() {
    let version = newer();
    let server = Server::start(&version, &[]);
    let (theirs, ours) = (Client::real(&version, &server.endpoint()), Client::ours(&server.endpoint()));
    ours.done("etcdctl put a 1 && etcdctl put a 2 && etcdctl put ab 3 && etcdctl compact 2; etcdctl role add r");
    let lease = ours.done("etcdctl lease grant 500 | cut -d ' ' -f 2");
    let member = ours.done("etcdctl member list | cut -d , -f 1");
    let run = |client: &Client, line: &str, name: &str| {
        let line = line.replace("LEASE", lease.trim()).replace("MEMBER", member.trim()).replace("NAME", name);
        let line = line.replace("PEER", &server.peer_endpoint());
        let input = r#"printf 'mod("a") > "0"\n\nget a\nget --prefix a --keys-only\n\n\n'"#;
        let line = format!("{input} | etcdctl {line} -w protobuf >out; status=$?; od -An -v -tx1 out; exit $status");
        let outcome = client.run(&line);
        // 3.6 tells how long it took.
        let err = outcome.err.replace(name, "NAME");
        (outcome.status, if line.contains("defrag") { String::new() } else { outcome.out }, err)
    };
    let mut wrong = Vec::new();
    for line in PROTOBUF.lines().filter(|line| !line.is_empty()) {
        let expected = run(&theirs, line, "bob");
        // A change of members that follows another one at once is dropped by raft without a word.
        if line.starts_with("member") {
            ours.done("etcdctl put z between");
        }
        let found = run(&ours, line, "eve");
        if expected != found {
            wrong.push(format!("{line}\n  real: {expected:?}\n  ours: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // There, what was done is followed by a complaint that it cannot be written.
    let revoke = format!("etcdctl lease revoke {} -w protobuf | od -An -N 1 -t x1", lease.trim());
    assert_eq!(ours.done(&revoke), " 0a\n");
}

#[test]
fn checks_are_told_in_the_same_way() {
    let version = newer();
    let server = Server::start(&version, &[]);
    let (theirs, ours) = (Client::real(&version, &server.endpoint()), Client::ours(&server.endpoint()));
    ours.done("etcdctl put taken/by me");
    // Without the bar, and whatever the figures are.
    let shape = |client: &Client, line: &str| {
        let outcome = client.run(line);
        let lines = outcome.out.lines().filter(|line| !line.contains('\r'));
        let plain =
            lines.map(|line| line.replace(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'), "")).collect();
        (outcome.status, plain, outcome.err)
    };
    for line in [
        "etcdctl check datascale --load=s",
        "etcdctl check datascale --auto-compact --auto-defrag",
        "etcdctl check datascale --prefix=taken/",
        "etcdctl check datascale --load=xs",
        "etcdctl check perf --prefix=taken/",
        "etcdctl check perf --load=xs",
    ] {
        let (expected, found): ((i32, Vec<String>, String), _) = (shape(&theirs, line), shape(&ours, line));
        assert_eq!(expected, found, "{line}");
    }
    ours.does("etcdctl get --prefix '' --keys-only", 0, "taken/by\n\n", "");
}
