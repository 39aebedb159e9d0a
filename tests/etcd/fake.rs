//! Servers that are no etcd, or none that behaves: one line that names the layer, and never past the deadline.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::server::Client;

/// The frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Fields of a header block, each a literal.
fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    list.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

fn headers(flags: u8, list: &[(&str, &str)]) -> Vec<u8> {
    frame(1, END_HEADERS | flags, 1, &fields(list))
}

const GRPC: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];

/// Reads until a client has asked something: its preface, and frames up to the one with the fields of a request.
fn asked(peer: &mut TcpStream) {
    let mut exactly = |length: usize| {
        let mut bytes = vec![0; length];
        peer.read_exact(&mut bytes).map(|()| bytes)
    };
    let _ = exactly(24);
    while let Ok(head) = exactly(9) {
        let _ = exactly(usize::from(head[1]) << 8 | usize::from(head[2]));
        if head[3] == 1 {
            return;
        }
    }
}

/// A server that says this to whoever asks, and then does `rest`.
fn said_by(answer: Vec<u8>, rest: fn(&mut TcpStream)) -> (i32, String) {
    said_of("get a", answer, rest)
}

fn said_of(command: &str, answer: Vec<u8>, rest: fn(&mut TcpStream)) -> (i32, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        while let Ok((mut peer, _)) = listener.accept() {
            asked(&mut peer);
            let _ = peer.write_all(&answer);
            rest(&mut peer);
        }
    });
    let client = Client::ours(&endpoint);
    let start = Instant::now();
    let outcome = client.run(&format!("etcdctl --command-timeout=2s {command}"));
    assert!(start.elapsed() < Duration::from_secs(8) && !outcome.late, "{outcome:?}");
    assert_eq!(outcome.out, "");
    (outcome.status, outcome.err.replace(&endpoint, "ENDPOINT"))
}

fn hold(peer: &mut TcpStream) {
    let _ = peer.read_to_end(&mut Vec::new());
}

fn leave(_: &mut TcpStream) {}

#[track_caller]
fn line(answer: impl AsRef<[u8]>, rest: fn(&mut TcpStream), expected: &str) {
    let (status, err) = said_by(answer.as_ref().to_vec(), rest);
    assert_eq!((status, err.as_str()), (1, format!("Error: {expected}\n").as_str()));
}

#[test]
fn what_is_no_etcd() {
    line(
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        leave,
        "ENDPOINT: plain HTTP, not etcd's gRPC: the peer port, a metrics port, or not etcd",
    );
    line("-ERR unknown command\r\n", leave, "ENDPOINT: not etcd: this looks like Redis");
    line("hello, who are you?\r\n", leave, "ENDPOINT: not etcd: what answers is not HTTP/2");
    line(b"\x15\x03\x01\x00\x02\x02\x46", leave, "ENDPOINT: this is a TLS port: https://");
    line("", leave, "ENDPOINT: closed without an answer: a TLS port (https://), or not etcd");
    line("", hold, "ENDPOINT: no answer in time (context deadline exceeded)");
}

#[test]
fn a_watch_of_what_is_no_etcd_ends() {
    let (status, err) = said_of("watch a", b"SSH-2.0-x\r\n".to_vec(), leave);
    assert_eq!((status, err.lines().last()), (1, Some("Error: not etcd: this looks like SSH")), "{err}");
}

#[test]
fn http2_that_is_no_grpc() {
    let html = [&SETTINGS[..], &headers(END_STREAM, &[(":status", "404"), ("content-type", "text/html")])].concat();
    line(html, hold, "ENDPOINT: HTTP/2, but not etcd: status 404, text/html");
    let away = [&SETTINGS[..], &frame(7, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])].concat();
    let (status, err) = said_by(away, hold);
    assert_eq!(status, 1);
    assert!(err.starts_with("Error: ENDPOINT: HTTP/2: ") && err.lines().count() == 1, "{err}");
    let reset = [&SETTINGS[..], &frame(3, 0, 1, &[0, 0, 0, 7])].concat();
    let (_, err) = said_by(reset, hold);
    assert!(err.starts_with("Error: ENDPOINT: HTTP/2: the server broke the call off: "), "{err}");
    // Longer than was agreed on.
    let (_, err) = said_by([&SETTINGS[..], &frame(0, 0, 1, &vec![0; 70_000])].concat(), hold);
    assert!(err.starts_with("Error: ENDPOINT: HTTP/2: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn grpc_that_misbehaves() {
    let trailers = |list: &[(&str, &str)]| {
        let all: Vec<(&str, &str)> = GRPC.iter().chain(list).copied().collect();
        [&SETTINGS[..], &headers(END_STREAM, &all)].concat()
    };
    line(trailers(&[("grpc-status", "7"), ("grpc-message", "etcdserver: no%0Away")]), hold, "etcdserver: no\\nway");
    line(trailers(&[("grpc-status", "12")]), hold, "the server does not know this call");
    line(trailers(&[("grpc-status", "0")]), hold, "ENDPOINT: gRPC: success without an answer");
    let data = |bytes: &[u8]| [&SETTINGS[..], &headers(0, &GRPC), &frame(0, 0, 1, bytes)].concat();
    line(data(b"\0\xff\xff\xff\xff"), hold, "ENDPOINT: gRPC: a message of 4294967295 bytes, more than is allowed");
    line(data(b"\x01\0\0\0\0"), hold, "ENDPOINT: gRPC: a compressed message, which was not asked for");
    line(data(b"\0\0\0\0\x05ab"), leave, "ENDPOINT: the server closed the connection");
    let cut = [data(b"\0\0\0\0\x05ab"), headers(END_STREAM, &[("grpc-status", "0")])].concat();
    line(cut, hold, "ENDPOINT: gRPC: ends in the middle of a message");
    let bare = [data(b"\0\0\0\0\0"), frame(0, END_STREAM, 1, b"")].concat();
    line(bare, hold, "ENDPOINT: gRPC: ends without a status");
    let odd = [data(b"\0\0\0\0\x01\xff"), headers(END_STREAM, &[("grpc-status", "0")])].concat();
    let (status, err) = said_by(odd, hold);
    assert_eq!(status, 1);
    assert!(err.starts_with("Error: gRPC: a message that is not etcd's: "), "{err}");
}

#[test]
fn an_answer_without_end() {
    fn endless(peer: &mut TcpStream) {
        let ping = frame(6, 1, 0, &[0; 8]);
        while peer.write_all(&ping).is_ok() {}
    }
    let start = [&SETTINGS[..], &headers(0, &GRPC)].concat();
    let (status, err) = said_by(start, endless);
    assert_eq!(status, 1);
    assert!(err.starts_with("Error: ENDPOINT: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn what_a_server_refuses_in_its_own_words() {
    let status = |code: &str, message: &str| {
        let all = [&GRPC[..], &[("grpc-status", code), ("grpc-message", message)]].concat();
        [&SETTINGS[..], &headers(END_STREAM, &all)].concat()
    };
    for (code, message) in [
        ("8", "etcdserver: too many requests"),
        ("7", "etcdserver: permission denied"),
        ("3", "etcdserver: user name is empty"),
        ("14", "etcdserver: not capable"),
    ] {
        line(status(code, message), hold, message);
    }
    // After a while, in which one could have been elected.
    line(status("14", "etcdserver: no leader"), hold, "ENDPOINT: etcdserver: no leader");
}

/// A snapshot in one message, and how the call ends.
fn snapshot(blob: &[u8], ends: bool) -> Vec<u8> {
    let length = u8::try_from(blob.len() >> 7).unwrap();
    let part = [&[0x1a, blob.len() as u8 & 0x7f | 0x80, length][..], blob].concat();
    let message = [&[0, 0, 0][..], &u16::try_from(part.len()).unwrap().to_be_bytes(), &part].concat();
    let end = if ends { headers(END_STREAM, &[("grpc-status", "0")]) } else { Vec::new() };
    [&SETTINGS[..], &headers(0, &GRPC), &frame(0, 0, 1, &message), &end].concat()
}

#[test]
fn snapshots_that_are_cut_damaged_or_stuck() {
    const PAGE: [u8; 512] = [7; 512];
    for (answer, rest, why) in [
        (snapshot(&[7; 600], true), hold as fn(&mut TcpStream), "snapshot is cut short: 600 bytes, without a checksum"),
        (snapshot(&PAGE, true), hold, "snapshot is cut short: 512 bytes, without a checksum"),
        (snapshot(&[7; 512 + 32], true), hold, "snapshot is damaged: its checksum is another"),
        (snapshot(&PAGE, false), leave, "the server closed the connection"),
        (snapshot(&PAGE, false), hold, "no answer in time (context deadline exceeded)"),
    ] {
        for (command, status, name) in [
            ("etcdctl --command-timeout=1s snapshot save s.db", 5, "Error"),
            ("probe etcd ENDPOINT --timeout 1s snapshot s.db", 2, "probe: ENDPOINT"),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = listener.local_addr().unwrap().to_string();
            let answer = answer.clone();
            std::thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                asked(&mut peer);
                let _ = peer.write_all(&answer);
                rest(&mut peer);
            });
            let client = Client::ours(&endpoint);
            client.done("echo before >s.db");
            let hide = |text: &str| text.replace("ENDPOINT", &endpoint);
            client.does(&hide(command), status, "", &hide(&format!("{name}: {why}\n")));
            client.does("ls; cat s.db", 0, "s.db\nbefore\n", "");
        }
    }
}
