//! probe etcd: the verdict and the verbs, on servers of both versions.

use std::time::Duration;

use super::secure::{certificates, ends};
use super::server::{Client, Server, Told, debian, newer, ports};
use crate::program::{Outcome, Program, run};

/// `probe etcd` beside a target, as in its sidecar.
fn beside(server: &Server, words: &[&str]) -> Outcome {
    let program = Program::new();
    let mut command = program.command("probe");
    command.env("SIDEBOX_TARGET", server.pid().to_string()).arg("etcd").args(words);
    run(&mut command, Duration::from_secs(30))
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word}\n--- is not in\n{text}");
    }
}

#[test]
fn both_versions_are_well() {
    for (version, number) in [(debian(), " 3.4.23 "), (newer(), " 3.5.1 ")] {
        let server = Server::start(&version, &[]);
        let endpoint = server.endpoint();
        let client = Client::ours(&endpoint);
        let told = client.done(&format!("probe etcd {endpoint}"));
        has(&told, &[&format!("address      {endpoint} (as named)\nMEMBER "), "\nn1     leader", number, " 2.00 GiB "]);
        has(&told, &["\nok           health: all members answer, and a read that they agree on is served\n"]);
        assert!(told.ends_with("\nverdict      ok\n"), "{told}");
        // Of an endpoint that is gone and one that is not, the other.
        assert!(client.done(&format!("probe etcd 127.0.0.1:1,{endpoint}")).ends_with("\nverdict      ok\n"));
        let json = client.done(&format!("probe etcd {endpoint} health --interval 100ms --json"));
        has(
            &json,
            &["\"interval_seconds\":0.1,", "\"role\":\"leader\"", "\"leader_changes\":0,", "\"verdict\":\"ok\"}\n"],
        );
        assert_eq!(json.lines().count(), 1);
    }
}

#[test]
fn a_target_is_found_by_what_it_was_told() {
    for told in [Told::Flags, Told::Variables, Told::File] {
        let server = Server::told(&newer(), told, "http", &["--quota-backend-bytes", "1073741824"]);
        let done = beside(&server, &[]);
        let address = format!("address      {} (process {} listens there)\n", server.endpoint(), server.pid());
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{told:?}: {}", done.out);
        has(&done.out, &[&address, " 1.00 GiB ", "\nverdict      ok\n"]);
    }
}

#[test]
fn a_target_with_mutual_tls_is_asked_with_its_own_certificate() {
    let files = certificates();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_string();
    let (certificate, key, authority) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let tls = ["--cert-file", &certificate, "--key-file", &key, "--trusted-ca-file", &authority, "--client-cert-auth"];
    for told in [Told::Flags, Told::Variables, Told::File] {
        let server = Server::told(&newer(), told, "https", &tls);
        let done = beside(&server, &[]);
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{told:?}: {}", done.out);
        has(&done.out, &["\nn1     leader 3.5.1 "]);
        ends(&done.out, "\nnote         certificate: server of n1, CN=server: ");
        ends(&done.out, &format!("\nnote         certificate: authority @{authority}: "));
        let top = beside(&server, &["top"]);
        assert_eq!((top.status, top.out.as_str()), (1, "0 keys, 0 B at revision 1\n"));
    }
    let past = [["--cert-file", &path("past.crt"), "--key-file"], [&path("past.key"), "--trusted-ca-file", &authority]];
    let server = Server::told(&newer(), Told::Flags, "https", &past.concat());
    let done = beside(&server, &[]);
    assert_eq!((done.status, done.err.lines().count()), (2, 1), "{}", done.out);
    has(&done.err, &["the server's certificate ended "]);
    let done = beside(&server, &["--insecure", "--cert", &path("client.crt"), "--key", &path("client.key")]);
    assert_eq!(done.status, 1, "{}", done.err);
    has(&done.out, &["\nfail         certificate: server of n1, CN=past: ended ", "\nverdict      fail\n"]);
}

#[test]
fn a_target_that_lets_nobody_in_shows_its_metrics() {
    let files = certificates();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_string();
    let (certificate, key, authority) = (path("server.crt"), path("server.key"), path("ca.crt"));
    let url = format!("http://127.0.0.1:{}", ports(1)[0]);
    let tls = ["--cert-file", &certificate, "--key-file", &key, "--trusted-ca-file", &authority, "--client-cert-auth"];
    let server = Server::secure(&newer(), &[&tls[..], &["--listen-metrics-urls", &url]].concat());
    // Believed, but without a certificate of a client.
    let done = beside(&server, &["--cacert", &authority, "--json", "--interval", "10ms"]);
    assert_eq!((done.status, done.err.as_str()), (2, ""), "{}", done.out);
    let why = "TLS: the server refuses (BadCertificate), perhaps for want of --cert and --key";
    has(
        &done.out,
        &[
            &format!("\"error\":\"{why}"),
            "\"leader_changes\":0,",
            &format!(
                "\"findings\":[{{\"level\":\"unknown\",\"subject\":\"member\",\"text\":\"{} tells us nothing",
                server.endpoint()
            ),
            "\"verdict\":\"unknown\"}\n",
        ],
    );
    has(&beside(&server, &["--cacert", &authority]).out, &[" ms ", "\nverdict      unknown\n"]);
    let server = Server::secure(&newer(), &tls);
    let done = beside(&server, &["--cacert", &authority]);
    assert_eq!((done.status, done.out.as_str()), (2, ""), "{}", done.err);
    has(&done.err, &[why]);
}

#[test]
fn users() {
    let server = Server::start(&newer(), &[]);
    let endpoint = server.endpoint();
    let client = Client::ours(&endpoint);
    client.done("etcdctl put /app/x 1 && etcdctl put /other/y 2");
    client.done("etcdctl user add root:rootpw && etcdctl role add root && etcdctl user grant-role root root");
    client.done("etcdctl user add alice:alicepw && etcdctl role add app && etcdctl user grant-role alice app");
    client.done("etcdctl role grant-permission app readwrite --prefix /app/ && etcdctl auth enable");
    let done = client.run(&format!("probe etcd {endpoint}"));
    assert_eq!((done.status, done.err.as_str()), (0, ""), "{}", done.out);
    has(
        &done.out,
        &["\nnote         login: it answers, but we may not read: etcdserver: user name is empty; --user NAME\n"],
    );
    let done = client.done(&format!("probe etcd {endpoint} --user root:rootpw"));
    assert!(done.ends_with("\nverdict      ok\n"), "{done}");
    let file = "printf 'alicepw\\n' >pw && probe etcd --user alice --password-file pw";
    has(&client.done(&format!("{file} {endpoint} top /app/")), &["1 keys, 7 B at revision 3\n"]);
    let denied = format!("probe: {endpoint}: etcdserver: permission denied\n");
    client.does(&format!("{file} {endpoint} top"), 2, "", &denied);
    let space = client.run(&format!("{file} {endpoint} space"));
    assert!(space.status == 2 && space.out.ends_with("\nsteps        not known\n"), "{}", space.out);
    let wrong = client.run(&format!("ETCDCTL_USER=alice ETCDCTL_PASSWORD=x probe etcd {endpoint} hash"));
    assert_eq!((wrong.status, wrong.out.as_str()), (2, ""));
    has(&wrong.err, &["authentication failed, invalid user ID or password"]);
}

#[test]
fn a_full_database_is_emptied_by_the_steps() {
    let server = Server::start(&newer(), &["--quota-backend-bytes", "8388608"]);
    let endpoint = server.endpoint();
    let client = Client::ours(&endpoint);
    let value = "head -c 500000 /dev/zero | tr '\\0' x >value";
    client.done(&format!("{value}; while etcdctl put big <value 2>/dev/null; do :; done"));
    let told = client.run(&format!("probe etcd {endpoint}"));
    assert_eq!(told.status, 1, "{}", told.out);
    has(
        &told.out,
        &["\nfail         alarm: NOSPACE at n1: nothing can be written; 'probe etcd space' tells the steps"],
    );
    let space = client.run(&format!("probe etcd {endpoint} space"));
    assert_eq!(space.status, 1);
    let steps: Vec<&str> = space.out.lines().filter_map(|line| line.split_once(". ")?.1.split("   #").next()).collect();
    let revision = client.done("etcdctl get big -w fields | sed -n 's/\"Revision\" : //p'");
    let expected = [
        format!("etcdctl --endpoints={endpoint} compaction {} --physical", revision.trim()),
        format!("probe etcd {endpoint} defrag"),
        format!("etcdctl --endpoints={endpoint} alarm disarm"),
    ];
    assert_eq!(steps, expected, "{}", space.out);
    let json = client.run(&format!("probe etcd {endpoint} space --json")).out;
    has(&json, &["\"alarm\":\"nospace\"}],", "\"compact_revision\":0,", &format!("\"steps\":[\"{}\",", expected[0])]);
    for step in steps {
        client.done(step);
    }
    client.done("etcdctl put big small");
    let space = client.done(&format!("probe etcd {endpoint} space"));
    has(&space, &["steps        nothing to be done\n", &format!("revisions {} to ", revision.trim())]);
    assert!(client.done(&format!("probe etcd {endpoint}")).ends_with("\nverdict      ok\n"));
}

/// A ConfigMap in Kubernetes' envelope: its name, a label, and one field.
const CONFIG_MAP: &str = r"k8s\000\012\017\012\002v1\022\011ConfigMap\022\030\012\017\012\003cfg\132\010\012\003app\022\001x\022\005\012\001a\022\000";

#[test]
fn keys() {
    let server = Server::start(&newer(), &[]);
    let endpoint = server.endpoint();
    let client = Client::ours(&endpoint);
    client.done(
        "for i in 1 2 3; do etcdctl put /registry/pods/a/$i 12345; done; etcdctl put /registry/pods/a/3 1234567890",
    );
    client.done(&format!("printf '{CONFIG_MAP}' | etcdctl put /registry/configmaps/a/cfg"));
    client.done(r#"etcdctl put /registry/x.io/y '{"apiVersion":"x.io/v1","kind":"Y","metadata":{"name":"y"},"spec":{"n":[1]}}'"#);
    let probe = format!("probe etcd {endpoint}");
    client.does(
        &format!("{probe} top /registry/pods/ --depth 3 -n 1"),
        0,
        "3 keys, 74 B at revision 7\n\
         BYTES  SHARE KEYS LARGEST WRITES KEYS BELOW\n 74 B 100.0%    3    28 B      4 /registry/pods/a/\n\n\
         BYTES WRITES REVISION KEY\n 28 B      2        5 /registry/pods/a/3\n",
        "",
    );
    has(
        &client.done(&format!("{probe} top --rev 4 --json")),
        &[
            "\"revision\":4,\"keys\":3,\"bytes\":69,\"writes\":3,\"groups\":[{\"prefix\":\"/registry/pods/\",\"keys\":3,",
        ],
    );
    client.does(
        &format!("{probe} k8s /registry/configmaps/a/cfg"),
        0,
        "key          /registry/configmaps/a/cfg\nvalue        47 B at revision 6, written 1 times\n\
         kind         v1 ConfigMap\nname         cfg\nlabel        app=x\n2\n  1: a\n  2: \n",
        "",
    );
    has(
        &client.done(&format!("{probe} k8s /registry/x.io/y")),
        &["kind         x.io/v1 Y\nname         y\nspec\n  n\n    -: 1\n"],
    );
    has(
        &client.done(&format!("{probe} --json k8s /registry/configmaps/a/cfg")),
        &[
            "\"stored\":\"protobuf\",\"api_version\":\"v1\",\"kind\":\"ConfigMap\",\"name\":\"cfg\",",
            "\"complete\":true}",
        ],
    );
    let missing = format!("probe: {endpoint}: /no: no such key; 'probe etcd top' tells which are\n");
    client.does(&format!("{probe} k8s /no"), 1, "", &missing);
    let events =
        client.done(&format!("etcdctl del /registry/x.io/y >/dev/null; {probe} events /registry/ --rev 5 -n 4 --json"));
    let types: Vec<&str> = events.lines().map(|line| line.split('"').nth(3).unwrap()).collect();
    assert_eq!(types, ["put", "create", "create", "delete"], "{events}");
    client.done("etcdctl compaction 6");
    let gone = format!("probe: {endpoint}: that revision is gone: the oldest that is kept is 6\n");
    client.does(&format!("{probe} events --rev 2"), 2, "", &gone);
    has(&client.done(&format!("{probe} hash")), &["at revision 8: all members hold the same\n"]);
}

#[test]
fn snapshots_and_speed() {
    let server = Server::start(&newer(), &[]);
    let endpoint = server.endpoint();
    let client = Client::ours(&endpoint);
    client.done("etcdctl put a b");
    let probe = format!("probe etcd {endpoint}");
    let saved = client.done(&format!("{probe} snapshot s.db"));
    let sum =
        client.done("head -c -32 s.db | sha256sum | cut -d ' ' -f 1; tail -c 32 s.db | od -An -v -tx1 | tr -d ' \\n'");
    let sums: Vec<&str> = sum.lines().collect();
    assert_eq!(sums[0], sums[1]);
    assert!(saved.ends_with(&format!(" KiB, complete and right: sha256 {}\n", sums[0])), "{saved}");
    client.does(&format!("{probe} snapshot - >t.db && cmp s.db t.db; ls"), 0, "s.db\nt.db\n", "");
    client.does(
        &format!("{probe} snapshot no/t.db"),
        2,
        "",
        &format!("probe: {endpoint}: no/t.db: No such file or directory\n"),
    );
    let others = format!("probe etcd 127.0.0.1:1,{endpoint}");
    has(&client.done(&format!("{others} latency -n 3 --json")), &["\"linearizable\":{\"count\":3,\"min_us\":"]);
    has(&client.done(&format!("{probe} bench --for 50ms --streams 64 --json")), &["\"streams\":64,", "\"p99_us\":"]);
    client.does("etcdctl get --prefix '' --keys-only", 0, "a\n\n", "");
    client.does("etcdctl lease list", 0, "found 0 leases\n", "");
}

#[test]
fn three_members_are_looked_after() {
    let mut servers = Server::cluster(&newer(), 3);
    let client = Client::ours(&servers[0].endpoint());
    let probe = format!("probe etcd {}", servers[0].endpoint());
    client.done("head -c 1000000 /dev/zero | tr '\\0' x >value; for i in 1 2 3 4; do etcdctl put big <value; done");
    client.done("etcdctl compaction 5");
    has(&client.done(&format!("{probe} hash")), &[": all members hold the same\n"]);
    let done = client.done(&format!("{probe} defrag --json"));
    let leaders: Vec<bool> = done.lines().map(|line| line.contains("\"leader\":true")).collect();
    assert_eq!(leaders, [false, false, true], "{done}");
    servers[2].stop();
    let gone = format!(
        "probe: {}: n3 does not answer, so that no other member may be away: connection refused\n",
        servers[0].endpoint()
    );
    client.does(&format!("{probe} defrag"), 1, "", &gone);
    let told = client.run(&probe);
    assert_eq!(told.status, 1);
    let url = format!("http://{}: connection refused\n", servers[2].endpoint());
    has(&told.out, &["\nwarn         quorum: 2 of 3 voting members answer", "\nn3 ", &url, "\nverdict      warn\n"]);
    let hash = client.run(&format!("{probe} hash"));
    assert_eq!(hash.status, 1);
    has(&hash.out, &["those that answer hold the same; not all do\n"]);
    servers[1].stop();
    let told = client.run(&format!("{probe} --timeout 5s"));
    assert_eq!(told.status, 1, "{}", told.err);
    has(
        &told.out,
        &["\nfail         quorum: no majority: 1 of 3 voting members answer, 2 are needed\n", "\nverdict      fail\n"],
    );
}
