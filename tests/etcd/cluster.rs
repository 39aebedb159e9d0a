//! Three nodes, one of which is stopped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::server::{Client, Server, newer};
use crate::program::Program;

/// Observes an election: two lines for each leader.
pub fn observe(mut program: Command, endpoints: &str) -> (Child, impl FnMut() -> String) {
    program.env("ETCDCTL_API", "3").args(["--endpoints", endpoints, "elect", "-l", "election"]);
    let mut child = program.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, move || (0..2).map(|_| lines.next().unwrap().unwrap() + " ").collect())
}

/// Ends it in the way that is no failure.
pub fn interrupt(child: &mut Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_member_that_is_stopped() {
    let mut servers = Server::cluster(&newer(), 3);
    let all = servers.iter().map(Server::endpoint).collect::<Vec<_>>().join(",");
    let client = Client::ours(&all);
    client.done("etcdctl put a b");
    let leader = client
        .done("etcdctl endpoint status")
        .lines()
        .position(|line| line.split(", ").nth(8) == Some("true"))
        .unwrap();
    // Not the one that is stopped: how long an election takes depends on the machine.
    let other = if leader == 1 { 2 } else { 1 };
    let id = |index: usize| {
        let list = client.done("etcdctl member list");
        let name = format!(", n{}, ", index + 1);
        list.lines().find(|line| line.contains(&name)).unwrap().split(',').next().unwrap().to_string()
    };
    let line = format!("etcdctl move-leader {}", id(other));
    let moved = format!("Leadership transferred from {} to {}\n", id(leader), id(other));
    client.does(&line, 0, &moved, "");
    let one = Client::ours(&servers[leader].endpoint());
    assert_eq!(one.done("etcdctl endpoint health --cluster").lines().count(), 3);

    let mut watch = Program::new()
        .command("etcdctl")
        .args(["--endpoints", &all, "watch", "a", "--rev", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut event = || (0..3).map(|_| events.next().unwrap().unwrap() + " ").collect::<String>();
    assert_eq!(event(), "PUT a b ");
    let (mut observer, mut leader) = observe(Program::new().command("etcdctl"), &all);
    client.done("etcdctl put election/1 one");
    assert_eq!(leader(), "election/1 one ");

    // The first that is named is the one that is gone.
    servers[0].stop();
    let gone = servers[0].endpoint();
    client.does("etcdctl get a", 0, "a\nb\n", "");
    client.does("etcdctl put a c", 0, "OK\n", "");
    assert_eq!(event(), "PUT a c ", "the watch goes on at another member");
    watch.kill().unwrap();
    watch.wait().unwrap();
    client.done("etcdctl put election/1 two");
    assert_eq!(leader(), "election/1 two ", "whoever observes goes on at another member");
    interrupt(&mut observer);
    let health = client.run("etcdctl endpoint health");
    assert_eq!((health.status, health.out.lines().count()), (1, 2));
    let unhealthy =
        format!("{gone} is unhealthy: failed to commit proposal: connection refused\nError: unhealthy cluster\n");
    assert_eq!(health.err, unhealthy);
    let real = Client::real(&newer(), &all);
    for command in ["endpoint status", "endpoint hashkv"] {
        let line = format!("etcdctl --command-timeout=1s {command} >/dev/null");
        let (real, ours) = (real.run(&line), client.run(&line));
        let real = (real.status, real.err.replace("context deadline exceeded", "connection refused"));
        assert_eq!((ours.status, ours.err), real, "{command}");
    }
    let status = client.run("etcdctl endpoint status -w json");
    assert_eq!((status.status, status.out.matches("\"Endpoint\"").count()), (1, 2));
    assert_eq!(status.err, format!("Failed to get the status of endpoint {gone} (connection refused)\n"));

    let probe = client.run(&format!("probe etcd {} --json", servers[1].endpoint()));
    assert_eq!(probe.status, 1, "{}", probe.out);
    let warning = r#"{"level":"warn","subject":"quorum","text":"2 of 3 voting members answer: none more may be lost"}"#;
    assert!(probe.out.contains(warning) && probe.out.contains("\"error\":\"connection refused\""), "{}", probe.out);

    // No majority.
    servers[1].stop();
    let third = Client::ours(&servers[2].endpoint());
    // A leader that has lost the others finds it out by itself.
    third.done("until etcdctl --command-timeout=1s get a 2>&1 | grep -q 'no leader'; do :; done");
    let line = format!("Error: {}: etcdserver: no leader\n", servers[2].endpoint());
    for command in ["get a", "put a d", "member list", "user list"] {
        // At once, and not when the time for the call is over.
        third.does(&format!("etcdctl --command-timeout=60s {command}"), 1, "", &line);
    }
    third.does("etcdctl get a --consistency=s", 0, "a\nc\n", "");
    assert_eq!(third.done("etcdctl member list --consistency=s").lines().count(), 3);
    assert!(third.done("etcdctl endpoint status").contains(", etcdserver: no leader, "));
    let line = format!(
        "{} is unhealthy: failed to commit proposal: etcdserver: no leader\nError: unhealthy cluster\n",
        servers[2].endpoint()
    );
    third.does("etcdctl endpoint health", 1, "", &line);
}

#[test]
fn a_learner() {
    let server = Server::start(&newer(), &[]);
    let client = Client::ours(&server.endpoint());
    client.done("etcdctl put a b");
    let mut learner = server.companion("n2");
    let added = client.done(&format!("etcdctl member add n2 --learner --peer-urls=http://{}", learner.peer_endpoint()));
    assert!(added.starts_with("Member ") && added.contains(" added as learner to cluster "), "{added}");
    let initial = format!("n1=http://{},n2=http://{}", server.peer_endpoint(), learner.peer_endpoint());
    // By their ids, which are of no order.
    let mut told: Vec<&str> =
        added.split("ETCD_INITIAL_CLUSTER=\"").nth(1).unwrap().split('"').next().unwrap().split(',').collect();
    told.sort_unstable();
    assert_eq!(told.join(","), initial, "{added}");
    let unstarted = format!(", unstarted, , http://{}, , true\n", learner.peer_endpoint());
    assert!(client.done("etcdctl member list").contains(&unstarted));
    learner.join(&initial);
    let own = Client::ours(&learner.endpoint());
    own.does("etcdctl get a", 1, "", "Error: etcdserver: rpc not supported for learner\n");
    // Where others are, one of them does it.
    let both = format!("ETCDCTL_ENDPOINTS={},{}, etcdctl", learner.endpoint(), server.endpoint());
    client.does(&format!("{both} get a"), 0, "a\nb\n", "");
    let status = own.done("etcdctl endpoint status");
    assert_eq!(status.split(", ").nth(9), Some("true"), "{status}");
    let probe = client.done(&format!("probe etcd {}", server.endpoint()));
    assert!(probe.contains("n2 does not vote yet; etcdctl member promote"), "{probe}");
    let id = status.split(", ").nth(1).unwrap();
    client.done(&format!("until etcdctl member promote {id} 2>/dev/null; do :; done"));
    own.done("until etcdctl get a 2>/dev/null | grep -q b; do :; done");
    assert!(client.done("etcdctl member list").lines().all(|line| line.ends_with(", false")));
    assert_eq!(client.done("etcdctl endpoint health --cluster").lines().count(), 2);
}
