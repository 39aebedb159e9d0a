//! `doctor` before servers that have what it looks for.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::flavours::{leave, names, occupy, own};
use super::hostile::scripted;
use super::{Server, fails, probe};
use crate::program::{Outcome, Program};

/// The findings as `LEVEL CHECK EVIDENCE`, without those that every fresh server of this version has.
fn findings(outcome: &Outcome) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = outcome.out.lines().filter(|line| ["CRIT", "WARN", "NOTE"].iter().any(|level| line.starts_with(level)));
    let everywhere = ["NOTE uptime started ", "NOTE version 1.6.18 is older than 1.6.45: "];
    found.map(line).filter(|line| !everywhere.iter().any(|start| line.starts_with(start))).collect()
}

#[track_caller]
fn found(outcome: &Outcome, status: i32, expected: &[&str]) {
    assert_eq!((outcome.status, outcome.err.as_str()), (status, ""), "{}", outcome.out);
    assert_eq!(findings(outcome), expected, "{}", outcome.out);
}

/// Stores values of a size under different keys; how that is answered does not matter.
fn store(server: &Server, count: usize, size: usize) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    for number in 0..count {
        let value = [format!("set s{number} 0 0 {size}\r\n").into_bytes(), vec![b'x'; size], b"\r\n".to_vec()].concat();
        stream.write_all(&value).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    }
}

#[test]
fn nothing_to_find() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    let outcome = server.probe(&program, &["doctor"]);
    found(&outcome, 0, &[]);
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert!(lines[0].starts_with("SERVER  memcached 1.6.18  up "), "{}", outcome.out);
    assert!(lines.contains(&"                      -> docker pull memcached:1.6.45 (or later)"), "{}", outcome.out);
    let unseen = "not looked at: killed, memory, throttling, files, swap, threads, workers (it is not the target's process, as \
                  far as we see)";
    assert_eq!(lines[lines.len() - 2..], [unseen, "2 notes, 29 checks found nothing"]);
    let health = server.probe(&program, &[]);
    assert!(health.out.ends_with("verdict      note ('probe memcached SERVER doctor' tells more)\n"), "{}", health.out);
}

#[test]
fn keys_for_machines() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1 -M");
    let outcome = server.probe(&program, &["doctor", "--json"]);
    assert_eq!((outcome.status, outcome.err.as_str()), (0, ""));
    let start = r#"{"server":"SERVER","found_by":"named","verb":"doctor","ok":true,"status":0,"data":{"version":"1.6.18","uptime_seconds":"#;
    assert!(outcome.out.starts_with(start), "{}", outcome.out);
    let finding = r#"{"check":"no-evictions","level":"note","evidence":"evictions are off (-M), and 0% of the memory are used","meaning":"when it is full, stores fail instead of evicting the oldest","next":"restart it without -M, or with a larger -m (now 64m)"}"#;
    assert!(outcome.out.contains(finding), "{}", outcome.out);
    let keys = "server found_by verb ok status data version uptime_seconds interval_seconds process critical warnings notes \
                unknown silent findings check level evidence meaning next";
    let mut found = names(&outcome.out);
    found.truncate(keys.split(' ').count());
    assert_eq!(found.join(" "), keys);
}

/// Large values took the pages, and are gone; small ones evict each other.
#[test]
fn calcified() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 16 -t 1 -o slab_automove=0,no_lru_crawler");
    store(&server, 18, 700_000);
    store(&server, 9000, 200);
    let outcome = server.probe(&program, &["doctor"]);
    assert!(outcome.out.contains("CRIT  slabs           class 6 evicts ("), "{}", outcome.out);
    assert!(!outcome.out.contains("  evictions  ") && !outcome.out.contains(" -m "), "{}", outcome.out);
    let health = server.probe(&program, &["health", "--nagios"]);
    let told = "% of the memory is free now: slabs out of balance, class 6 has no room | ";
    assert!(health.status == 1 && health.out.starts_with("MEMCACHED WARNING - "), "{}", health.out);
    assert!(health.out.contains(told), "{}", health.out);
}

#[test]
fn errors_in_place_of_evictions() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -M -m 8 -t 1");
    store(&server, 30, 400_000);
    let outcome = server.probe(&program, &["doctor"]);
    let found = findings(&outcome);
    assert!(outcome.status == 1 && found[0].starts_with("CRIT no-evictions evictions are off (-M), the memory is "));
    // Nothing is refused any more.
    let outcome = server.probe(&program, &["doctor", "--interval", "100ms"]);
    assert!(outcome.status == 0 && findings(&outcome)[0].starts_with("NOTE no-evictions "), "{}", outcome.out);
}

#[test]
fn a_working_set_that_is_too_large() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 8 -t 1");
    store(&server, 60, 400_000);
    let outcome = server.probe(&program, &["doctor"]);
    let found = findings(&outcome);
    let evicted = found.iter().find(|line| line.starts_with("WARN evictions evicted: ")).expect(&outcome.out);
    assert!(evicted.contains("; 100% never fetched, 0% in use; "), "{evicted}");
    let next = "-> restart it with -m 16, or store less: probe memcached SERVER keys --by-prefix";
    assert!(outcome.out.contains(next) && outcome.status == 1, "{}", outcome.out);
    // Nothing happens any more.
    let quiet = server.probe(&program, &["doctor", "--interval", "100ms"]);
    assert_eq!(findings(&quiet), [""; 0], "{}", quiet.out);
}

#[test]
fn values_that_are_too_large() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    store(&server, 3, 2_000_000);
    let outcome = server.probe(&program, &["doctor"]);
    let expected = "WARN too-large values larger than an item may be: 3 since the start; the largest is 1048517 bytes less the key";
    found(&outcome, 1, &[expected]);
    assert!(outcome.out.contains("-> restart it with -I 2m; or compress in the client\n"), "{}", outcome.out);
}

#[test]
fn at_the_limit_of_connections() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -c 24 -t 1");
    let conns = server.probe(&program, &["conns", "--json"]);
    let (_, rest) = conns.out.split_once("\"possible\":").unwrap();
    let possible: usize = rest.split(',').next().unwrap().parse().unwrap();
    let mut held = occupy(&server, possible - 1);
    let outcome = server.probe(&program, &["doctor"]);
    found(
        &outcome,
        1,
        &[&format!("CRIT connections {possible} of {possible} possible (-c 24) are open; {possible} from 127.0.0.1")],
    );
    let next = "-> probe memcached SERVER conns --by address; then restart it with -c 48\n";
    assert!(outcome.out.contains(next), "{}", outcome.out);
    held.extend(occupy(&server, 3));
    fails(&server.probe(&program, &["doctor"]), 6, "ERROR Too many open connections");
    leave(held);
    // They were rejected before, and are not now.
    let outcome = server.probe(&program, &["doctor"]);
    let rejected = findings(&outcome);
    assert!(outcome.status == 1 && rejected[0].contains("rejected: 3 since the start"), "{}", outcome.out);
    found(&server.probe(&program, &["doctor", "--interval", "100ms"]), 0, &[]);
}

#[test]
fn the_limit_without_a_word() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -c 24 -t 1 -o no_maxconns_fast");
    let _held = occupy(&server, 22);
    fails(&server.probe(&program, &["doctor", "--timeout", "1s"]), 4, "no_maxconns_fast");
}

#[test]
fn the_targets_own_process() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1 -F -o no_lru_crawler,slab_automove=0");
    let outcome = own(&program, &server, &["doctor"]);
    found(&outcome, 0, &["NOTE background lru_crawler, slab_automove off"]);
    let json = own(&program, &server, &["doctor", "--interval", "100ms", "--json"]);
    assert!(json.out.contains(&format!(r#""process":{},"#, server.child.id())), "{}", json.out);
    // Against what it should have been started with.
    let outcome = server.probe(&program, &["doctor", "--diff", "-m 128 -t 1"]);
    let wrong = "WARN flags -m maxbytes: 67108864 and not 134217728";
    found(&outcome, 1, &[wrong, "NOTE background lru_crawler, slab_automove off"]);
}

#[test]
fn several_servers() {
    let program = Program::new();
    let (one, two) = (Server::start("-l 127.0.0.1 -p @PORT -t 1"), Server::start("-l 127.0.0.1 -p @PORT -t 1 -M"));
    let outcome = probe(&program, &["-s", &one.address(), "-s", &two.address(), "doctor"]);
    found(&outcome, 0, &["NOTE no-evictions evictions are off (-M), and 0% of the memory are used"]);
    let heads = outcome.out.lines().filter(|line| line.contains("memcached 1.6.18  up ")).count();
    assert_eq!(heads, 2, "{}", outcome.out);
}

/// Servers that do not tell what others do.
#[test]
fn servers_that_tell_little() {
    let program = Program::new();
    let version = b"VERSION 1.6.45\r\n";
    let proxy = b"STAT version 1.6.45\r\nSTAT proxy_backend_total 2\r\nSTAT proxy_backend_marked_bad 1\r\nEND\r\n";
    let address = scripted(&[version, proxy, b"ERROR\r\n", b"CLIENT_ERROR no\r\n", b"END\r\n"]);
    let outcome = probe(&program, &[&address, "doctor"]);
    found(&outcome, 1, &["CRIT proxy 1 of 2 servers behind the proxy are marked bad"]);
    let unseen = "not looked at: statistics (it does not tell of memory, connections or evictions (a proxy?))";
    assert!(outcome.out.lines().any(|line| line == unseen), "{}", outcome.out);
    let address =
        scripted(&[version, b"STAT version 1.6.45\r\nEND\r\n", b"ERROR\r\n", b"CLIENT_ERROR no\r\n", b"END\r\n"]);
    assert_eq!(probe(&program, &[&address, "doctor"]).status, 1);
    let address = scripted(&[version, b"STAT version 1.6.45\r\nEND\r\n"]);
    let outcome = probe(&program, &[&address, "health"]);
    assert!(outcome.status == 1 && outcome.out.contains("verdict      unknown"), "{}", outcome.out);
    // Numbers without measure.
    let most = u64::MAX;
    let stats = format!(
        "STAT version 9999999999.1.1\r\nSTAT uptime {most}\r\nSTAT time {most}\r\nSTAT bytes {most}\r\nSTAT limit_maxbytes {most}\r\n\
         STAT evictions {most}\r\nSTAT curr_connections {most}\r\nSTAT max_connections {most}\r\nSTAT hash_power_level {most}\r\n\
         STAT get_hits {most}\r\nSTAT get_misses {most}\r\nSTAT store_no_memory {most}\r\nSTAT cmd_set {most}\r\nEND\r\n"
    );
    let slabs = format!("STAT 1:total_pages {most}\r\nSTAT 1:used_chunks 0\r\nSTAT 2:total_pages {most}\r\nEND\r\n");
    let items = format!("STAT items:2:evicted {most}\r\nSTAT items:2:evicted_time {most}\r\nEND\r\n");
    let settings = format!("STAT item_size_max {most}\r\nEND\r\n");
    let address =
        scripted(&[version, stats.as_bytes(), slabs.as_bytes(), items.as_bytes(), settings.as_bytes(), b"END\r\n"]);
    let outcome = probe(&program, &[&address, "doctor"]);
    assert_eq!((outcome.status, outcome.err.as_str()), (1, ""), "{}", outcome.out);
    // It hangs up in the middle.
    let address = scripted(&[version, b"STAT version 1.6.45\r\nEND\r\n"]);
    fails(&probe(&program, &[&address, "doctor"]), 3, "closed");
}
