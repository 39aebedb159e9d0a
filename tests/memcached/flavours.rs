//! Verbs and flavours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{LIMIT, Server, fails, is, probe};
use crate::program::{Program, run};

#[test]
fn a_session_of_verbs() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -c 256 -t 1");
    let ask = |words: &[&str]| server.probe(&program, words);
    is(&ask(&["version"]), 0, "1.6.18\n", "");
    is(&ask(&["set", "k", "hello", "--flags", "7"]), 0, "STORED\n", "");
    is(&ask(&["get", "k"]), 0, "hello", "");
    is(&ask(&["get", "none"]), 1, "", "probe: none: not found\n");
    is(&ask(&["get", "k", "none"]), 1, "k: flags 7, 5 bytes\nhello\n", "probe: none: not found\n");
    is(&ask(&["add", "k", "x"]), 1, "", "probe: k: not stored: it is there already\n");
    is(&ask(&["replace", "none", "x"]), 1, "", "probe: none: not stored: there is none\n");
    is(&ask(&["append", "k", " you"]), 0, "STORED\n", "");
    is(&ask(&["prepend", "k", "oh, "]), 0, "STORED\n", "");
    is(&ask(&["gat", "1h", "k"]), 0, "oh, hello you", "");
    is(&ask(&["cas", "k", "1", "x"]), 1, "", "probe: k: not stored: it has changed since\n");
    is(&ask(&["cas", "none", "1", "x"]), 1, "", "probe: none: not stored: there is none\n");
    is(&ask(&["set", "n", "10"]), 0, "STORED\n", "");
    is(&ask(&["incr", "n"]), 0, "11\n", "");
    is(&ask(&["decr", "n", "100"]), 0, "0\n", "");
    is(&ask(&["incr", "none"]), 1, "", "probe: none: not found\n");
    fails(&ask(&["incr", "k"]), 6, "CLIENT_ERROR cannot increment or decrement non-numeric value");
    is(&ask(&["touch", "k", "15m"]), 0, "TOUCHED\n", "");
    is(&ask(&["touch", "none", "0"]), 1, "", "probe: none: not found\n");
    is(&ask(&["delete", "k", "none"]), 1, "DELETED\n", "probe: none: not found\n");
    is(&ask(&["stats", "-g", "curr_items", "-g", "cmd_t?uch"]), 0, "cmd_touch 3\ncurr_items 1\n", "");
    fails(&ask(&["stats", "nonsense"]), 6, "ERROR");
}

#[test]
fn a_session_for_machines() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -c 256 -t 1");
    let ask = |verb: &str, words: &[&str], data: &str, status: i32| {
        let outcome = server.probe(&program, &[&[verb], words, &["--json"]].concat());
        let head = format!(r#"{{"server":"SERVER","found_by":"named","verb":"{verb}","ok":true,"status":{status},"#);
        is(&outcome, status, &format!("{head}\"data\":{data}}}\n"), "");
    };
    ask("version", &[], r#"{"version":"1.6.18","major":1,"minor":6,"patch":18}"#, 0);
    ask("set", &["k", "a\nb"], r#"{"key":"k","stored":true,"result":"stored","length":3,"expires":0}"#, 0);
    ask("add", &["k", "x"], r#"{"key":"k","stored":false,"result":"not-stored","length":1,"expires":0}"#, 1);
    let values = r#"{"values":[{"key":"k","found":true,"flags":0,"length":3,"value":"a\nb","whole":true},{"key":"l","found":false}]}"#;
    ask("get", &["k", "l"], values, 1);
    ask(
        "set",
        &["n", "18446744073709551614"],
        r#"{"key":"n","stored":true,"result":"stored","length":20,"expires":0}"#,
        0,
    );
    ask("incr", &["n"], r#"{"key":"n","found":true,"number":18446744073709551615}"#, 0);
    ask("touch", &["n", "90"], r#"{"key":"n","found":true,"expires":90}"#, 0);
    ask("delete", &["k", "l"], r#"{"keys":[{"key":"k","deleted":true},{"key":"l","deleted":false}]}"#, 1);
    ask("stats", &["-g", "curr_items"], r#"{"name":"general","stats":{"curr_items":1}}"#, 0);
    let same = r#""flags":[{"flag":"-c","setting":"maxconns","wanted":"256","is":"256","same":true}],"same":true}"#;
    let outcome = server.probe(&program, &["settings", "--diff", "-c 256", "--json"]);
    assert!(outcome.status == 0 && outcome.out.ends_with(&format!("{same}}}\n")), "{}", outcome.out);
    let unknown = server.probe(&program, &["settings", "--diff", "memcached -m 64 -x"]);
    fails(&unknown, 2, "--diff: -x: no flag of memcached");
    let meta = r#"{"replies":[{"sent":"mg n s","code":"HD","meaning":"done","flags":[{"flag":"s","value":"20","meaning":"size of the value"}]}]}"#;
    ask("meta", &["mg n s"], meta, 0);
    let raw =
        r#"{"sent":"incr n 1\r\n","received":"0\r\n","ended":"complete","elements":["number 0"],"as_expected":true}"#;
    ask("raw", &["incr n 1"], raw, 0);
    let outcome = server.probe(&program, &["incr", "none x", "--json"]);
    fails(&outcome, 2, "a key has no spaces");
    let outcome = probe(&program, &["127.0.0.1:1", "ping", "--json"]);
    let error = r#"{"server":"127.0.0.1:1","found_by":"named","verb":"ping","ok":false,"status":3,"error":{"category":"refused","message":"connection refused"}}"#;
    is(&outcome, 3, &format!("{error}\n"), "probe: 127.0.0.1:1: connection refused\n");
}

/// The keys that machines rely on, of the verbs whose values differ from run to run.
#[test]
fn keys_for_machines() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    is(&server.probe(&program, &["set", "k", "value"]), 0, "STORED\n", "");
    for (words, keys) in [
        (
            &["ping"][..],
            "server found_by verb ok status data version protocol transport login connect_us tls_us answer_us certificate \
             sent answered answer_min_us answer_mean_us answer_max_us",
        ),
        (
            &["health"],
            "server found_by verb ok status data version uptime_seconds memory_bytes memory_limit_bytes items get_hits \
             get_misses hit_ratio connections max_connections possible_connections rejected_connections evictions \
             evictions_per_second findings level subject text verdict",
        ),
        (
            &["detect"],
            "server found_by verb ok status data text binary tls first_bytes version protocol transport login connect_us \
             tls_us answer_us certificate udp_port proxy",
        ),
        (
            &["slabs"],
            "server found_by verb ok status data pages allocated_bytes classes class chunk_bytes pages pages_ratio items \
             used_chunks total_chunks requested_bytes full_ratio waste_ratio age_seconds evicted evicted_per_second \
             evicted_idle_seconds \
             out_of_memory mark",
        ),
        (
            &["conns"],
            "server found_by verb ok status data open max_connections possible rejected connections fd address state \
             idle_seconds",
        ),
        (
            &["inspect", "k"],
            "server found_by verb ok status data keys key found length flags ttl_seconds expires cas idle_seconds fetched \
             stale recache_won class item_bytes chunk_bytes internals preview",
        ),
    ] {
        let outcome = server.probe(&program, &[words, &["--json"]].concat());
        assert_eq!((outcome.status, outcome.err.as_str()), (0, ""), "{words:?}");
        assert_eq!(names(&outcome.out).join(" "), keys, "{words:?}: {}", outcome.out);
    }
}

/// The keys of an object and of those in it, in their order: words in quotes before a colon.
pub fn names(json: &str) -> Vec<&str> {
    let parts: Vec<&str> = json.split('"').collect();
    (1..parts.len() - 1).step_by(2).filter(|at| parts[at + 1].starts_with(':')).map(|at| parts[at]).collect()
}

#[test]
fn inspection_is_no_access() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    is(&server.probe(&program, &["set", "k", "hello", "--flags", "3", "--ttl", "1h"]), 0, "STORED\n", "");
    for _ in 0..2 {
        let outcome = server.probe(&program, &["inspect", "k"]);
        assert_eq!((outcome.status, outcome.err.as_str()), (0, ""));
        for line in [
            "key        k\n",
            "size       5 bytes\n",
            "flags      3 (0x3)\n",
            "fetched    never yet\n",
            "value      hello\n",
        ] {
            assert!(outcome.out.contains(line), "{line}{}", outcome.out);
        }
    }
    is(&server.probe(&program, &["inspect", "a b"]), 1, "", "probe: a b: not found\n");
    let meta = "HD  done\n  s5           size of the value\n  f3           client flags\n";
    is(&server.probe(&program, &["meta", "mg k s f"]), 0, meta, "");
    is(&server.probe(&program, &["meta", "mg none v"]), 1, "EN  a miss\n", "");
    is(&server.probe(&program, &["meta", "ms m", "--data", "two words"]), 0, "HD  done\n", "");
    is(&server.probe(&program, &["get", "m"]), 0, "two words", "");
}

#[test]
fn raw_bytes() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    let ask = |words: &[&str]| server.probe(&program, &[&["raw"], words].concat());
    is(&ask(&["set k 0 0 2", "hi"]), 0, "STORED\r\n", "");
    is(&ask(&["get k", "version"]), 0, "VALUE k 0 2\r\nhi\r\nEND\r\nVERSION 1.6.18\r\n", "");
    is(&ask(&["version", "--expect", r"VERSION 1\.[0-9]+\.18"]), 0, "VERSION 1.6.18\r\n", "");
    is(&ask(&["get k", "--expect", "hi|ho"]), 0, "VALUE k 0 2\r\nhi\r\nEND\r\n", "");
    let err = "probe: no line of the answer is what was expected\n";
    is(&ask(&["version", "--expect", "1.6.18"]), 1, "VERSION 1.6.18\r\n", err);
    fails(&ask(&["version", "--expect", "("]), 2, "(: ");
    let hint = "probe: 2592001 s are more than 30 days: the server takes that for a date in the past\n";
    is(&ask(&["touch k 2592001"]), 0, "TOUCHED\r\n", hint);
    is(&ask(&[r"\x80\x0b", "-n", "--quiet", "1s", "--timeout", "1s", "--proto", "binary"]), 4, "", {
        "probe: SERVER: no answer in 1s, but to 'version' there is one: the request is not complete, or has none\n"
    });
    let hex = ask(&["-n", "--hex", r"version\r\n"]);
    assert!(hex.out.contains("00000000  76 65 72 73 69 6f 6e 0d 0a"), "{}", hex.out);
    fails(&ask(&["watch mutations"]), 2, "not sent without --force");
    fails(&ask(&["-n", "version", "--timeout", "1s"]), 4, "no answer in 1s, but to 'version' there is one");
    fails(&ask(&["quit"]), 3, "closed without an answer");
}

/// What is asked in the other protocol is met with silence.
#[test]
fn only_text() {
    let program = Program::new();
    let directory = crate::program::Directory::new("logins");
    std::fs::write(directory.path().join("logins"), "alice:top-secret\n").unwrap();
    let open = Server::start("-l 127.0.0.1 -p @PORT -B ascii -t 1");
    let locked = Server::start_in(directory, "-l 127.0.0.1 -p @PORT -Y @DIR/logins -t 1");
    let why = "it answers in the text protocol (-B ascii, -Y): use --proto text, and -u USER for a login";
    for server in [&open, &locked] {
        for words in [&["version", "--proto", "binary"][..], &["raw", "-n", r"\x80\x0b"]] {
            fails(&server.probe(&program, &[words, &["--timeout", "1s"]].concat()), 5, why);
        }
    }
}

#[test]
fn values_from_files_and_streams() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 256 -I 8m -t 1");
    let large: Vec<u8> = (0..5_000_000u32).flat_map(|n| [n as u8]).collect();
    std::fs::write(server.path("value"), &large).unwrap();
    let path = server.path("value");
    let path = path.to_str().unwrap();
    is(&server.probe(&program, &["set", "large", "-f", path, "--timeout", "10s"]), 0, "STORED\n", "");
    let mut command = program.command("probe");
    command.args(["memcached", &server.address(), "get", "large", "--timeout", "10s"]).stdout(Stdio::piped());
    let got = command.output().unwrap();
    assert!(got.status.success() && got.stdout == large);
    // The rest of standard input, from where it stands.
    let script = format!("{{ head -c 3 >/dev/null; probe memcached {} set part; }} <{path}", server.address());
    let mut shell = program.command("sh");
    let outcome = run(shell.args(["-c", &script]), LIMIT);
    assert_eq!((outcome.status, outcome.out.as_str(), outcome.err.as_str()), (0, "STORED\n", ""));
    let script = format!(
        "printf 'a\\0b' | probe memcached {0} set zero && probe memcached {0} get zero | od -An -c",
        server.address()
    );
    let outcome = run(program.command("sh").env("PATH", "/usr/bin:/bin").args(["-c", &script]), LIMIT);
    assert_eq!(outcome.out, "STORED\n   a  \\0   b\n", "{}", outcome.err);
    // Ten times the limit would delete what is there.
    std::fs::write(server.path("value"), vec![b'x'; 9 << 20]).unwrap();
    is(&server.probe(&program, &["set", "k", "old"]), 0, "STORED\n", "");
    fails(&server.probe(&program, &["set", "k", "-f", path]), 2, "do not fit into an item of 8.00 MiB");
    is(&server.probe(&program, &["get", "k"]), 0, "old", "");
    let forced = server.probe(&program, &["set", "k", "-f", path, "--force", "--timeout", "10s"]);
    fails(&forced, 6, "SERVER_ERROR object too large for cache; -I is its limit");
    is(&server.probe(&program, &["get", "k"]), 1, "", "probe: k: not found\n");
}

#[test]
fn a_unix_socket_and_udp() {
    let program = Program::new();
    let server = Server::start("-s @DIR/m.sock -a 777 -t 1");
    let path = server.path("m.sock");
    let path = path.to_str().unwrap();
    is(&probe(&program, &[path, "version"]), 0, "1.6.18\n", "");
    let outcome = probe(&program, &["-s", path, "ping"]);
    assert!(outcome.status == 0 && outcome.out.contains("text/unix socket, no login"), "{}", outcome.out);
    let server = Server::start("-l 127.0.0.1 -p @PORT -U @PORT -t 1");
    let udp = format!("udp://{}", server.address());
    is(&probe(&program, &[&udp, "version"]), 0, "1.6.18\n", "");
    // Two datagrams.
    let stats = probe(&program, &[&udp, "stats"]);
    assert!(stats.status == 0 && stats.out.starts_with("pid ") && stats.out.lines().count() > 80, "{}", stats.out);
    is(&server.probe(&program, &["set", "k", "over tcp"]), 0, "STORED\n", "");
    is(&probe(&program, &[&udp, "get", "k"]), 0, "over tcp", "");
    // More than a socket's buffer holds by default, in one burst.
    let value = "x".repeat(200_000);
    std::fs::write(server.path("value"), &value).unwrap();
    let path = server.path("value");
    is(&server.probe(&program, &["set", "k", "-f", path.to_str().unwrap()]), 0, "STORED\n", "");
    is(&probe(&program, &[&udp, "get", "k"]), 0, &value, "");
    let tcp_only = Server::start("-l 127.0.0.1 -p @PORT -t 1");
    let udp = format!("udp://{}", tcp_only.address());
    fails(&probe(&program, &[&udp, "version"]), 3, "nobody listens for UDP there; memcached does with -U PORT");
}

#[test]
fn only_binary() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -B binary -t 1");
    is(&server.probe(&program, &["version"]), 0, "1.6.18\n", "");
    let ask = |words: &[&str]| server.probe(&program, &[words, &["--proto", "binary"]].concat());
    is(&ask(&["set", "k", "hello", "--flags", "5"]), 0, "STORED\n", "");
    is(&ask(&["get", "k", "none"]), 1, "k: flags 5, 5 bytes\nhello\n", "probe: none: not found\n");
    is(&ask(&["add", "k", "x"]), 1, "", "probe: k: not stored: it is there already\n");
    is(&ask(&["append", "k", "!"]), 0, "STORED\n", "");
    is(&ask(&["gat", "60", "k"]), 0, "hello!", "");
    is(&ask(&["set", "n", "41"]), 0, "STORED\n", "");
    is(&ask(&["incr", "n"]), 0, "42\n", "");
    is(&ask(&["incr", "none"]), 1, "", "probe: none: not found\n");
    fails(&ask(&["incr", "k"]), 6, "Non-numeric server-side value for incr or decr");
    is(&ask(&["delete", "k"]), 0, "DELETED\n", "");
    is(&ask(&["touch", "k", "5"]), 1, "", "probe: k: not found\n");
    is(&ask(&["stats", "settings", "-g", "binding_protocol"]), 0, "binding_protocol binary\n", "");
    fails(&ask(&["inspect", "k"]), 2, "the binary protocol does not have");
    let raw = server.probe(&program, &["raw", "version", "--timeout", "1s"]);
    fails(&raw, 5, "it answers in the binary protocol: use --proto binary, and -u USER for a login");
    let detected = server.probe(&program, &["detect"]);
    assert!(detected.out.contains("text         no answer\nbinary       yes\nTLS          no\n"), "{}", detected.out);
}

#[test]
fn a_full_server() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -M -m 8 -t 1");
    std::fs::write(server.path("value"), vec![b'x'; 500_000]).unwrap();
    let path = server.path("value");
    let store = |number| server.probe(&program, &["set", &format!("k{number}"), "-f", path.to_str().unwrap()]);
    let refused = (0..40).map(store).find(|outcome| outcome.status != 0);
    fails(&refused.unwrap(), 6, "SERVER_ERROR out of memory storing object; -M, or no page for this size");
    let slabs = server.probe(&program, &["slabs"]);
    assert!(slabs.out.contains("< out of memory"), "{}", slabs.out);
    let health = server.probe(&program, &["health"]);
    assert!(health.status == 1 && health.out.contains("warn         stores: "), "{}", health.out);
}

/// Connections that stay open, as far as there can be so many.
pub fn occupy(server: &Server, count: usize) -> Vec<TcpStream> {
    let soon = Duration::from_millis(500);
    let open = |_| {
        let mut stream = TcpStream::connect_timeout(&server.address().parse().unwrap(), soon).ok()?;
        stream.set_read_timeout(Some(soon)).unwrap();
        // Each has to be accepted, so that their number is certain.
        stream.write_all(b"version\r\n").unwrap();
        let mut reply = [0; 16];
        let _ = stream.read(&mut reply);
        Some(stream)
    };
    (0..count).filter_map(open).collect()
}

/// Hangs up, and waits until the server has noticed, which its last connection tells.
pub fn leave(mut held: Vec<TcpStream>) {
    let mut last = held.remove(0);
    drop(held);
    let mut told = BufReader::new(last.try_clone().unwrap()).lines().map(Result::unwrap);
    let mut open = || {
        last.write_all(b"stats\r\n").unwrap();
        let stats: Vec<String> = told.by_ref().take_while(|line| line != "END").collect();
        let count = stats.iter().find_map(|line| line.strip_prefix("STAT curr_connections ")).unwrap();
        count.parse::<u32>().unwrap()
    };
    assert!((0..100_000).any(|_| open() <= 2), "it never notices");
}

#[test]
fn the_limit_of_connections() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -c 24 -t 1");
    // Descriptors are counted, and how many the server has besides depends on what it was started with.
    let conns = server.probe(&program, &["conns", "--json"]);
    let (_, rest) = conns.out.split_once("\"possible\":").unwrap();
    let possible: usize = rest.split(',').next().unwrap().parse().unwrap();
    assert!((2..22).contains(&possible), "{possible}");
    let mut held = occupy(&server, possible - 1);
    let health = server.probe(&program, &["health"]);
    let text = format!(
        "warn         connections: {possible} of {possible} possible (-c 24) are open: more -c, or clients that leak"
    );
    assert!(health.status == 1 && health.out.contains(&text), "{}{}", health.out, health.err);
    let critical = server.probe(&program, &["health", "--max-conn-pct", "80", "--nagios"]);
    assert!(
        critical.status == 2 && critical.out.starts_with("MEMCACHED CRITICAL - SERVER: connections: "),
        "{}",
        critical.out
    );
    let conns = server.probe(&program, &["conns", "--by", "address"]);
    let end = format!("{possible} open of {possible} possible (-c 24), 0 rejected since the start\n");
    assert!(conns.out.contains("127.0.0.1") && conns.out.ends_with(&end), "{}", conns.out);
    let line = format!("connections  {possible} of {possible} possible (-c 24), 0 rejected\n");
    assert!(health.out.contains(&line), "{}", health.out);
    held.extend(occupy(&server, 1));
    let refused = "ERROR Too many open connections; it is at its limit: more -c, or clients that leak connections";
    fails(&server.probe(&program, &["ping"]), 6, refused);
    fails(&server.probe(&program, &["set", "k", &"x".repeat(100_000)]), 6, refused);
}

/// A server counts its own sockets as connections, but for the first.
#[test]
fn the_limit_with_further_sockets() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1,127.0.0.2 -p @PORT -U @PORT -c 40 -t 2");
    let ask = |words: &[&str]| server.probe(&program, words);
    let number = |text: &str, before: &str| -> usize {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before}: {text}"));
        rest.split([',', ' ']).next().unwrap().parse().unwrap()
    };
    let conns = ask(&["conns", "--json"]);
    let possible = number(&conns.out, "\"possible\":");
    let own = number(&ask(&["stats", "-g", "curr_connections"]).out.replace('\n', " "), "curr_connections ") - 1;
    let _held = occupy(&server, possible - 1);
    let end = format!("{possible} open of {possible} possible (-c 40), 0 rejected since the start\n");
    assert!(ask(&["conns"]).out.ends_with(&end), "{possible}");
    let health = ask(&["health"]);
    let all = possible + own;
    let line = format!("connections  {all} of {all} possible (-c 40), 0 rejected\n");
    assert!(health.out.contains(&line), "{}", health.out);
    let _last = occupy(&server, 1);
    fails(&ask(&["ping"]), 6, "ERROR Too many open connections");
}

#[test]
fn the_limit_without_a_word() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -c 24 -t 1 -o no_maxconns_fast");
    // The last of them wait where nobody accepts them.
    let _held = occupy(&server, 22);
    let outcome = server.probe(&program, &["ping", "--timeout", "1s"]);
    fails(&outcome, 4, "no_maxconns_fast");
}

#[test]
fn an_idle_timeout() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -t 1 -o idle_timeout=1");
    // Each looks twice, and is hung up on in between.
    std::thread::scope(|scope| {
        for words in ["doctor", "stats", "slabs", "health --max-evict-rate 1"] {
            let words: Vec<&str> = words.split(' ').chain(["--interval", "4s"]).collect();
            let (server, program) = (&server, &program);
            scope.spawn(move || {
                let outcome = server.probe(program, &words);
                assert_eq!((outcome.status, outcome.err.as_str()), (0, ""), "{}", outcome.out);
            });
        }
    });
    // The server has counted them.
    let kicks = server.probe(&program, &["stats", "-g", "idle_kicks"]);
    assert_eq!((kicks.status, kicks.out.as_str()), (0, "idle_kicks 4\n"));
}

/// The target's own server, found by its process, and asked in the way that its command line wants.
pub fn own(program: &Program, server: &Server, words: &[&str]) -> crate::program::Outcome {
    let mut command = program.command("probe");
    command.arg("memcached").args(words).env("SIDEBOX_TARGET", server.child.id().to_string());
    let mut outcome = run(&mut command, LIMIT);
    server.name(&mut outcome.out);
    server.name(&mut outcome.err);
    outcome
}

#[test]
fn the_targets_own() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -t 1 -c 512");
    is(&own(&program, &server, &["set", "k", "v"]), 0, "STORED\n", "");
    is(&own(&program, &server, &["get", "k"]), 0, "v", "");
    let health = own(&program, &server, &[]);
    let line = format!("address      SERVER (process {} listens there)\n", server.child.id());
    assert!(health.status == 0 && health.out.starts_with(&line), "{}{}", health.out, health.err);
    let settings = own(&program, &server, &["settings", "--diff-own"]);
    assert!(settings.status == 0 && settings.out.contains("-c   maxconns"), "{}{}", settings.out, settings.err);
    // Only a socket in its file system.
    let server = Server::start("-s @DIR/m.sock -t 1");
    let pinged = own(&program, &server, &["ping"]);
    assert!(pinged.status == 0 && pinged.out.starts_with("@DIR/m.sock up"), "{}{}", pinged.out, pinged.err);
    // A login that stands in a file of its own.
    let directory = crate::program::Directory::new("logins");
    std::fs::write(directory.path().join("logins"), "alice:top-secret\n").unwrap();
    let server = Server::start_in(directory, "-l 127.0.0.1 -p @PORT -t 1 -Y @DIR/logins");
    let pinged = own(&program, &server, &["ping"]);
    assert!(pinged.status == 0 && pinged.out.ends_with("logged in (-Y)\n"), "{}{}", pinged.out, pinged.err);
    std::fs::write(server.path("logins"), "alice:another\n").unwrap();
    let refused = own(&program, &server, &["ping"]);
    fails(&refused, 7, "login as alice from the target's -Y file refused");
    // A process that is stopped.
    let server = Server::start("-l 127.0.0.1 -p @PORT -t 1");
    let pid = nix::unistd::Pid::from_raw(server.child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let stopped = own(&program, &server, &["ping", "--timeout", "1s"]);
    fails(&stopped, 4, &format!("no answer in 1s: process {pid} is stopped (kill -CONT {pid})"));
}

/// Two in one container: which of them is asked is said, and how the other one is.
#[test]
fn two_of_the_targets_own() {
    let program = Program::new();
    // Both ports are taken at the same time, so that they differ.
    let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = ports.map(|listener| listener.local_addr().unwrap().port().to_string());
    let script = "for port; do /usr/bin/memcached -u root -l 127.0.0.1 -p $port -t 1 & echo $!; done; wait";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, "sh", &ports[0], &ports[1]]).stdout(Stdio::piped()).process_group(0);
    let mut container = Group(command.spawn().unwrap());
    let deadline = Instant::now() + LIMIT;
    for port in &ports {
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            assert!(Instant::now() < deadline, "memcached does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    let mut pids = BufReader::new(container.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (one, two) = (pids.next().unwrap(), pids.next().unwrap());
    let ask = |target: &str, words: &[&str]| {
        run(program.command("probe").arg("memcached").args(words).env("SIDEBOX_TARGET", target), LIMIT)
    };
    let both = container.0.id().to_string();
    let note = format!(
        "probe: process {one} is asked, one of 2 memcacheds; the other: SIDEBOX_TARGET={two} probe memcached\n"
    );
    is(&ask(&both, &["version"]), 0, "1.6.18\n", &note);
    is(&ask(&both, &["stats", "-g", "pid"]), 0, &format!("pid {one}\n"), &note);
    is(&ask(&two, &["stats", "-g", "pid"]), 0, &format!("pid {two}\n"), "");
    let json = ask(&both, &["version", "--json"]);
    let start = format!(r#"{{"server":"127.0.0.1:{}","found_by":"socket","verb":"version","ok":true,"#, ports[0]);
    assert!(json.out.starts_with(&start) && json.err == note, "{}{}", json.out, json.err);
    is(&ask(&both, &[&format!("127.0.0.1:{}", ports[1]), "version"]), 0, "1.6.18\n", "");
}

/// A process that ends with this value, and all that it has started.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(self.0.id() as i32), nix::sys::signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn several_servers() {
    let program = Program::new();
    let (one, two) = (Server::start("-l 127.0.0.1 -p @PORT -t 1"), Server::start("-l 127.0.0.1 -p @PORT -t 2 -m 128"));
    let (first, second) = (one.address(), two.address());
    let ask = |words: &[&str]| {
        let mut outcome = probe(&program, &[&["-s", &first, "-s", &second], words].concat());
        outcome.out = outcome.out.replace(&first, "one").replace(&second, "two");
        outcome
    };
    is(&ask(&["version"]), 0, "one 1.6.18\ntwo 1.6.18\n", "");
    is(&ask(&["set", "k", "v"]), 0, "== one\nSTORED\n== two\nSTORED\n", "");
    let stats = ask(&["stats", "-g", "curr_items", "-g", "version", "-g", "pointer_size"]);
    let lines: Vec<Vec<&str>> = stats.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[1..],
        [vec!["version", "1.6.18", "1.6.18"], vec!["pointer_size", "64", "64"], vec!["curr_items", "1", "1", "2"]]
    );
    let settings = ask(&["settings"]);
    let differing: Vec<&str> =
        settings.out.lines().filter(|line| line.ends_with('!')).map(|line| line.split(' ').next().unwrap()).collect();
    assert!(differing.contains(&"maxbytes") && differing.contains(&"num_threads"), "{}", settings.out);
    let json = ask(&["version", "--json"]);
    assert_eq!(json.out.lines().count(), 2);
    // One that does not answer does not hold up the other.
    let outcome = probe(&program, &["-s", &first, "-s", "127.0.0.1:1", "version"]);
    is(&outcome, 3, &format!("{first} 1.6.18\n"), "probe: 127.0.0.1:1: connection refused\n");
    let ask = |words: &[&str]| probe(&program, &[&["-s", &first, "-s", "127.0.0.1:1"], words].concat());
    // A monitor shows the first line.
    let plugin = ask(&["health", "--nagios"]);
    let lines: Vec<&str> = plugin.out.lines().collect();
    assert_eq!((plugin.status, lines.len()), (2, 2), "{}", plugin.err);
    assert_eq!(lines[0], "MEMCACHED CRITICAL - 127.0.0.1:1: connection refused");
    assert!(lines[1].starts_with(&format!("MEMCACHED OK - {first}: ")) && !lines[1].contains('|'), "{}", lines[1]);
    let metrics = ask(&["stats", "--prom", "-g", "threads"]);
    let expected = format!(
        "# TYPE memcached_threads gauge\nmemcached_threads{{server=\"{first}\"}} 1\n# TYPE memcached_up gauge\n\
         memcached_up{{server=\"127.0.0.1:1\"}} 0\nmemcached_up{{server=\"{first}\"}} 1\n"
    );
    is(&metrics, 3, &expected, "probe: 127.0.0.1:1: connection refused\n");
    let mut command = program.command("probe");
    let outcome =
        run(command.args(["memcached", "version"]).env("MEMCACHED_SERVERS", format!("{first},{second}")), LIMIT);
    assert_eq!(outcome.out, format!("{first} 1.6.18\n{second} 1.6.18\n"));
}
