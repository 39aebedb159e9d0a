//! `latency` and `bench`: what they measure depends on the machine, what they leave behind does not.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::flavours::{names, occupy};
use super::hostile::{scripted, server as misbehaving};
use super::{Server, fails, is, probe};
use crate::program::Program;

fn items(server: &Server, program: &Program) {
    is(&server.probe(program, &["stats", "-g", "curr_items"]), 0, "curr_items 0\n", "");
}

#[test]
fn each_step_takes_its_time() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    let outcome = server.probe(&program, &["latency", "-c", "5", "-i", "1ms"]);
    assert_eq!((outcome.status, outcome.err.as_str()), (0, ""));
    let lines: Vec<&str> = outcome.out.lines().collect();
    assert_eq!(lines[0], "SERVER  memcached 1.6.18  5 rounds, each on a connection of its own");
    let steps: Vec<Vec<&str>> = lines[2..].iter().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(steps, ["connect", "version", "set", "get", "delete"].map(|step| vec![step, "5"]));
    items(&server, &program);
    let read = server.probe(&program, &["latency", "-c", "2", "--read-only"]);
    assert!(read.out.contains("\nget ") && !read.out.contains("\nset "), "{}", read.out);
    is(&server.probe(&program, &["stats", "-g", "cmd_set"]), 0, "cmd_set 5\n", "");
    let json = server.probe(&program, &["latency", "-c", "1", "--json"]);
    let keys = "server found_by verb ok status data version rounds failed steps step count p50_us p90_us p99_us max_us";
    assert!(names(&json.out).join(" ").starts_with(keys), "{}", json.out);
    assert!(json.out.ends_with("\"lost_syns\":[],\"failures\":[]}}\n"), "{}", json.out);
}

#[test]
fn rounds_that_fail() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -c 24 -t 1");
    let _held = occupy(&server, 22);
    let outcome = server.probe(&program, &["latency", "-c", "2", "-i", "1ms"]);
    fails(&outcome, 6, "ERROR Too many open connections; it is at its limit: ");
    assert!(outcome.err.ends_with("(all of 2 rounds)\n"), "{}", outcome.err);
    // The second of two.
    let address = misbehaving(|mut stream| {
        use std::io::{Read, Write};
        use std::sync::atomic::{AtomicUsize, Ordering};
        static CALLERS: AtomicUsize = AtomicUsize::new(0);
        let answers: &[&[u8]] = match CALLERS.fetch_add(1, Ordering::SeqCst) {
            0 => &[b"VERSION 1.6.18\r\n", b"END\r\n"],
            _ => &[b"VERSION 1.6.18\r\n", b"SERVER_ERROR backend failure\r\n"],
        };
        for answer in answers {
            if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) || stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    let outcome = probe(&program, &[&address, "latency", "-c", "2", "-i", "1ms", "--read-only"]);
    let last = "1 of 2 rounds failed: get: SERVER_ERROR backend failure";
    assert_eq!((outcome.status, outcome.out.lines().last()), (1, Some(last)), "{}", outcome.err);
}

/// Nobody accepts, and the kernel drops what would be one more.
#[test]
fn a_full_backlog() {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, socket};
    use std::os::fd::AsRawFd;
    let listener = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(listener.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let port = getsockname::<SockaddrIn>(listener.as_raw_fd()).unwrap().port();
    let soon = std::time::Duration::from_millis(300);
    let one = || std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), soon).ok();
    let _held: Vec<_> = std::iter::from_fn(one).collect();
    let program = Program::new();
    let outcome = probe(&program, &[&format!("127.0.0.1:{port}"), "latency", "-c", "1", "--timeout", "1500ms"]);
    fails(&outcome, 4, "; every SYN in 1 s was lost, or the backlog is full (all of 1 rounds)");
}

#[test]
fn a_bench_leaves_nothing_behind() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    for words in [
        &["-c", "2", "-d", "16", "--keys", "100"][..],
        &["-c", "1", "--ratio", "1:0", "--size", "100000", "--keys", "20"],
        &["-c", "64", "-d", "256", "--size", "1"],
    ] {
        let outcome = server.probe(&program, &[&["bench", "--for", "200ms"], words].concat());
        assert_eq!((outcome.status, outcome.err.as_str()), (0, ""), "{words:?}");
        assert!(!outcome.out.contains("refused"), "{}", outcome.out);
        assert_eq!(outcome.out.contains("\nhits    100.0% of "), !words.contains(&"1:0"), "{}", outcome.out);
        items(&server, &program);
    }
    let json = server.probe(&program, &["bench", "--for", "100ms", "--json"]);
    let keys = "server found_by verb ok status data version connections depth keys value_bytes ratio_sets ratio_gets seconds \
                operations hits misses refused client_cpu_seconds operations_per_cpu_second refusal get count per_second p50_us \
                p90_us p99_us p999_us max_us set count per_second p50_us p90_us p99_us p999_us max_us";
    assert_eq!(names(&json.out).join(" "), keys, "{}", json.out);
}

#[test]
fn a_bench_has_bounds() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -M -m 8 -t 1");
    for (words, why) in [
        (&["-c", "65"][..], "-c is from 1 to 64"),
        (&["-d", "0"], "-d is from 1 to 256"),
        (&["--for", "61s"], "--for is at most 60s"),
        (&["--keys", "100001"], "--keys is from 1 to 100000"),
        (&["-d", "2", "--size", "1048576"], "-d times --size is from 1 to 1048576"),
        (&["--ratio", "0:0"], "two numbers, as 1:9, at most 1000"),
        (&["--keys", "1000", "--size", "10000"], "bench would store 9.63 MiB, and 8.00 MiB of 8.00 MiB are free: "),
    ] {
        fails(&server.probe(&program, &[&["bench"], words].concat()), 2, why);
    }
    // What finds no memory is counted, and what did is deleted.
    let forced = ["bench", "--force", "--keys", "1000", "--size", "10000", "--for", "200ms"];
    let outcome = server.probe(&program, &forced);
    let words = "the first with: SERVER_ERROR out of memory storing object\n";
    assert!(outcome.status == 1 && outcome.out.contains(words), "{}{}", outcome.out, outcome.err);
    items(&server, &program);
}

#[test]
fn a_bench_of_other_servers() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -t 1 -U @PORT");
    let udp = format!("udp://{}", server.address());
    fails(&probe(&program, &[&udp, "bench"]), 2, "bench goes over plain streams, not over TLS or UDP");
    fails(&server.probe(&program, &["bench", "--proto", "binary"]), 2, "bench speaks the text protocol");
    let stats = b"STAT limit_maxbytes 67108864\r\nSTAT bytes 0\r\nEND\r\n";
    for (answer, status, words) in [
        (&b"OK\r\n"[..], 5, "an answer to another question"),
        (b"SERV", 5, "closed in the middle of an answer, after 4 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n", 5, "this looks like HTTP"),
    ] {
        let address = scripted(&[b"VERSION 1.6.18\r\n", stats, answer]);
        fails(&probe(&program, &[&address, "bench", "-c", "1", "--keys", "1"]), status, words);
    }
}

/// A server that is stopped meanwhile: no more time than for any other answer, and as much for what it would be cleaned of.
#[test]
fn a_bench_of_a_server_that_stops() {
    use nix::sys::signal::{Signal, kill};
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    let mut command = program.command("probe");
    command.arg("memcached").arg(server.address()).args(["bench", "--for", "1s", "--timeout", "1s"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while server.probe(&program, &["stats", "-g", "curr_items"]).out == "curr_items 0\n" {}
    let started = Instant::now();
    kill(nix::unistd::Pid::from_raw(server.child.id() as i32), Signal::SIGSTOP).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no answer in 1s"));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn an_interrupted_bench_leaves_nothing() {
    use nix::sys::signal::{Signal, kill};
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    let mut command = program.command("probe");
    command.arg("memcached").arg(server.address()).args(["bench", "--for", "30s"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    while server.probe(&program, &["stats", "-g", "curr_items"]).out == "curr_items 0\n" {}
    kill(nix::unistd::Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    items(&server, &program);
}
