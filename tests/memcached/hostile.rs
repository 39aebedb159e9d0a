//! Servers that misbehave: each gets one line that names the cause, a status by category, and no more than its time.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{fails, probe};
use crate::program::{Outcome, Program};

/// A server in a thread that does the same to everyone; the threads end with the test.
pub fn server(behave: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let behave = Arc::new(behave);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behave = behave.clone();
            thread::spawn(move || behave(stream));
        }
    });
    address
}

/// One that answers each request with the next of some answers, and then hangs up.
pub fn scripted(answers: &[&[u8]]) -> String {
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
    server(move |mut stream| {
        for answer in &answers {
            let mut request = [0; 4096];
            if !matches!(stream.read(&mut request), Ok(1..)) || stream.write_all(answer).is_err() {
                return;
            }
        }
        // What is unread would turn the end into a reset.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// One that talks at once.
fn banner(text: &'static [u8]) -> String {
    server(move |mut stream| {
        let _ = stream.write_all(text);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

fn ask(program: &Program, address: &str, words: &[&str]) -> Outcome {
    let started = Instant::now();
    let outcome = probe(program, &[&[address], words, &["--timeout", "1s"]].concat());
    assert!(started.elapsed() < Duration::from_secs(8), "{words:?} took {:?}", started.elapsed());
    outcome
}

pub const VERSION: &[u8] = b"VERSION 1.6.18\r\n";

#[test]
fn closed_at_every_byte() {
    let program = Program::new();
    let reply = b"STAT pid 7\r\nSTAT a b\r\nEND\r\n";
    for length in 0..reply.len() {
        let outcome = ask(&program, &scripted(&[VERSION, &reply[..length]]), &["stats"]);
        match length {
            0 => fails(&outcome, 3, "closed without an answer"),
            _ => fails(&outcome, 5, &format!("closed in the middle of an answer, after {length} bytes")),
        }
    }
    let reply = b"VALUE k 0 5\r\nhello\r\nEND\r\n";
    for length in 1..reply.len() {
        let outcome = ask(&program, &scripted(&[VERSION, &reply[..length]]), &["get", "k"]);
        assert_eq!(outcome.status, 5, "{length}: {}", outcome.err);
        assert!(outcome.err.contains("closed in the middle of an answer"), "{}", outcome.err);
    }
}

/// What is sent by hand is shown as far as it comes, and that more should have come is said.
#[test]
fn half_an_answer_to_raw() {
    let program = Program::new();
    let half = scripted(&[b"VERS"]);
    let outcome = ask(&program, &half, &["raw", "version"]);
    let said = format!("probe: {half}: the answer breaks off, after 4 bytes\n");
    assert_eq!((outcome.status, outcome.out.as_str(), outcome.err), (5, "VERS", said));
    let endless = server(|mut stream| while stream.write_all(b"x").is_ok() {});
    let outcome = ask(&program, &endless, &["raw", "version"]);
    let said = [": it was still answering at the deadline, after ", ": it answers without an end: cut off, after "];
    assert!(said.iter().any(|text| outcome.err.contains(text)), "{}", outcome.err);
    assert!(matches!(outcome.status, 4 | 5) && outcome.out.starts_with("xxxx"), "{}", outcome.status);
}

#[test]
fn silence() {
    let program = Program::new();
    let silent = server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    fails(&ask(&program, &silent, &["ping"]), 4, "no answer in 1s, neither in text nor in binary nor in TLS");
    fails(&ask(&program, &silent, &["ping", "--proto", "text"]), 4, "no answer in 1s");
    fails(
        &ask(&program, &silent, &["ping", "--insecure"]),
        4,
        "no answer to the TLS handshake in 1s, nor in plain text",
    );
    for words in [&["raw", "version"][..], &["version", "--proto", "binary"]] {
        fails(&ask(&program, &silent, words), 4, "no answer in 1s, neither in text nor in binary nor in TLS");
    }
    // In the middle of one.
    let half = server(|mut stream| {
        for answer in [VERSION, b"VALUE k 0 100\r\nabc"] {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let outcome = ask(&program, &half, &["get", "k"]);
    assert_eq!((outcome.status, outcome.out.as_str()), (4, "abc"));
    assert!(outcome.err.contains("stopped in the middle of an answer, after 18 bytes: no end"), "{}", outcome.err);
    // After the first answer.
    let later = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(VERSION);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    fails(&ask(&program, &later, &["stats"]), 4, "timed out: no answer in 1s");
}

/// What is closed before all was read is reset.
#[test]
fn resets() {
    let program = Program::new();
    let early = server(|mut stream| {
        let _ = stream.read(&mut [0; 1]);
    });
    fails(&ask(&program, &early, &["ping"]), 3, "connection reset without an answer");
    fails(&ask(&program, &early, &["raw", "version"]), 3, "connection reset by peer (a TLS port? try --tls)");
    let late = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(VERSION);
        let _ = stream.read(&mut [0; 1]);
    });
    let outcome = ask(&program, &late, &["get", "k"]);
    fails(&outcome, 3, "connection reset by peer");
    assert!(!outcome.err.contains("TLS"), "{}", outcome.err);
}

#[test]
fn slow_and_endless() {
    let program = Program::new();
    // A byte at a time, for ever.
    let drip = server(|mut stream| {
        for byte in VERSION.iter().chain(b"STAT a b\r\n".iter().cycle()) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let outcome = ask(&program, &drip, &["stats"]);
    assert_eq!(outcome.status, 4, "{}", outcome.err);
    let endless = server(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {});
    fails(&ask(&program, &endless, &["ping"]), 5, "an answer longer than any memcached's");
    let stats = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(VERSION);
        while stream.write_all(&b"STAT name value\r\n".repeat(1000)).is_ok() {}
    });
    let outcome = ask(&program, &stats, &["stats", "--timeout", "5s"]);
    assert!([4, 5].contains(&outcome.status), "{}", outcome.err);
}

/// Two pieces of three come.
#[test]
fn lost_datagrams() {
    let program = Program::new();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = format!("udp://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut request = [0; 64];
        let (_, caller) = socket.recv_from(&mut request).unwrap();
        let [high, low, ..] = request;
        for (number, text) in [(0, "VERSION "), (2, "\r\n")] {
            let piece = [&[high, low, 0, number, 0, 3, 0, 0], text.as_bytes()].concat();
            socket.send_to(&piece, caller).unwrap();
        }
    });
    fails(
        &ask(&program, &udp, &["version"]),
        4,
        "only 2 of 3 datagrams came in 1s: UDP sends none again; TCP (no udp://)",
    );
}

#[test]
fn lengths_that_lie() {
    let program = Program::new();
    for (answer, words) in [
        (&b"VALUE k 0 3\r\nhello\r\nEND\r\n"[..], "a value without an end of line"),
        (b"VALUE k 0 18446744073709551615\r\n", "an answer longer than any memcached's"),
        (b"VALUE k 0 18446744073709551616\r\n", "not memcached: VALUE k 0 18446744073709551616"),
        (b"VALUE k 0 -1\r\n", "not memcached: VALUE k 0 -1"),
        (b"VALUE other 0 1\r\nx\r\nEND\r\n", "an answer to another question"),
        (b"END\r\nEND\r\n", ""),
    ] {
        let outcome = ask(&program, &scripted(&[VERSION, answer]), &["get", "k"]);
        match words {
            "" => assert_eq!((outcome.status, outcome.err.as_str()), (1, "probe: k: not found\n")),
            words => {
                assert_eq!(outcome.status, 5, "{}", outcome.err);
                assert!(outcome.err.contains(words), "{}", outcome.err);
            }
        }
    }
    let binary = b"\x81\x0b\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0";
    fails(&ask(&program, &scripted(&[binary]), &["version", "--proto", "binary"]), 5, "an answer longer");
}

#[test]
fn other_protocols() {
    let program = Program::new();
    for (text, status, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], 5, "not memcached, this looks like HTTP: HTTP/1.1 400 Bad Request"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", 5, "this looks like SSH"),
        (b"220 mail ESMTP\r\n", 5, "this looks like SMTP or FTP"),
        (b"-ERR unknown command 'version'\r\n", 5, "this looks like Redis"),
        (b"-NOAUTH Authentication required.\r\n", 5, "this looks like Redis"),
        (b"J\0\0\0\n8.0.36\0", 5, "this looks like MySQL"),
        (b"\x15\x03\x01\0\x02\x02\x46", 8, "it speaks TLS: use --tls"),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0", 5, "this looks like HTTP/2"),
        (b"\x1b[2Jhello\r\n", 5, "not memcached: \\x1b[2Jhello"),
        (b"OK\r\n", 5, "an answer to another question"),
        (b"END\r\nVERSION 1.6.18\r\n", 5, "an answer to another question"),
        (b"ERROR Too many open connections\r\n", 6, "it is at its limit"),
    ] {
        fails(&ask(&program, &banner(text), &["ping"]), status, words);
    }
    fails(&ask(&program, &banner(b""), &["ping"]), 3, "closed without an answer");
    // One that hangs up on what is not its own language.
    let web = server(|mut stream| {
        let mut request = [0; 64];
        if stream.read(&mut request).is_ok() && request.starts_with(b"GET ") {
            let _ = stream.write_all(b"HTTP/1.0 404 Not Found\r\n\r\n");
        }
    });
    fails(&ask(&program, &web, &["ping"]), 5, "not memcached: it speaks HTTP");
}

/// Side by side, whatever order each has.
#[test]
fn statistics_in_another_order() {
    let program = Program::new();
    let one = scripted(&[VERSION, b"STAT a 1\r\nSTAT b 2\r\nEND\r\n"]);
    let two = scripted(&[VERSION, b"STAT b 3\r\nSTAT c 4\r\nSTAT a 5\r\nEND\r\n"]);
    let outcome = probe(&program, &["-s", &one, "-s", &two, "stats"]);
    let rows: Vec<Vec<&str>> = outcome.out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["a", "1", "5", "6"], ["b", "2", "3", "5"], ["c", "-", "4", "4"]], "{}", outcome.err);
}

#[test]
fn ok_to_everything() {
    let program = Program::new();
    let agreeable = || scripted(&[VERSION, b"OK\r\n", b"OK\r\n", b"OK\r\n"]);
    for words in
        [&["get", "k"][..], &["set", "k", "v"], &["delete", "k"], &["touch", "k", "1"], &["incr", "k"], &["meta", "mn"]]
    {
        fails(&ask(&program, &agreeable(), words), 5, "an answer to another question");
    }
    // Some statistics are answered so.
    assert_eq!(ask(&program, &agreeable(), &["stats"]).status, 0);
}

/// Answers of servers that are not at hand, as they were seen.
#[test]
fn other_versions() {
    let program = Program::new();
    let reset = scripted(&[b"VERSION 1.6.45\r\n", b"CLIENT_ERROR bad command line format\r\n\r\n"]);
    fails(&ask(&program, &reset, &["get", "k"]), 6, "CLIENT_ERROR bad command line format");
    let proxy = scripted(&[b"VERSION 1.6.45\r\n", b"VALUE k 0 1\r\nx\r\nSERVER_ERROR backend failure\r\nEND\r\n"]);
    let outcome = ask(&program, &proxy, &["get", "k", "l"]);
    assert_eq!((outcome.status, outcome.out.as_str()), (6, "k: flags 0, 1 bytes\nx\n"));
    let old = scripted(&[b"VERSION 1.4.15\r\n", b"ERROR\r\n"]);
    fails(&ask(&program, &old, &["inspect", "k"]), 6, "it knows no meta commands, which came with 1.6");
    let sizes = scripted(&[b"VERSION 1.4.15\r\n"]);
    fails(&ask(&program, &sizes, &["stats", "sizes"]), 2, "stops the whole server before 1.4.27");
    let colon = scripted(&[b"VERSION 1.6.45\r\n", b"ERROR: not enabled\r\n"]);
    fails(&ask(&program, &colon, &["stats", "proxy"]), 6, "ERROR not enabled");
    let short = scripted(&[b"CLIENT_ERROR unauthenticated\r\n"]);
    fails(&ask(&program, &short, &["ping"]), 7, "login required (memcached -Y)");
}
