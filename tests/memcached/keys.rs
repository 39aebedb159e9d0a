//! Lists of keys, what servers tell while they work, and who looks up what.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use super::hostile::{VERSION, scripted, server};
use super::{LIMIT, Server, fails, is, probe};
use crate::program::{Outcome, Program};

/// Stores values of so many bytes.
fn store(server: &Server, items: &[(&str, u32, usize)]) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    for (key, ttl, length) in items {
        write!(stream, "set {key} 0 {ttl} {length}\r\n{}\r\n", "x".repeat(*length)).unwrap();
        let mut reply = [0; 8];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"STORED\r\n");
    }
}

fn sorted(outcome: &Outcome) -> Vec<&str> {
    let mut lines: Vec<&str> = outcome.out.lines().collect();
    lines.sort_unstable();
    lines
}

/// Without the first line, which tells how long it took.
#[track_caller]
fn body(outcome: &Outcome, first: &str) -> String {
    let (head, rest) = outcome.out.split_once('\n').unwrap();
    assert!(outcome.status == 0 && outcome.err.is_empty(), "{}", outcome.err);
    assert!(head.starts_with(first), "{head}");
    rest.to_string()
}

const ITEMS: [(&str, u32, usize); 5] =
    [("user:1:name", 0, 1), ("user:2:name", 50, 10), ("page:1", 3000, 1000), ("page:2", 3000, 1000), ("x", 0, 200)];

/// An item that moves to another part of the LRU while they are listed comes twice, or not at all: here none moves.
const COLD: &str = "-l 127.0.0.1 -p @PORT -m 64 -t 1 -o no_lru_maintainer,lru_crawler";

#[test]
fn a_list_and_its_sums() {
    let program = Program::new();
    let server = Server::start(COLD);
    is(&server.probe(&program, &["keys"]), 0, "", "");
    is(&server.probe(&program, &["keys", "-p", "x"]), 1, "", "");
    store(&server, &ITEMS);
    is(&server.probe(&program, &["get", "x"]), 0, &"x".repeat(200), "");
    let ask = |words: &[&str]| server.probe(&program, &[&["keys"], words].concat());
    assert_eq!(sorted(&ask(&[])), ["page:1", "page:2", "user:1:name", "user:2:name", "x"]);
    assert_eq!(sorted(&ask(&["-p", "user:"])), ["user:1:name", "user:2:name"]);
    assert_eq!(sorted(&ask(&["-g", "*:2*", "-g", "?"])), ["page:2", "user:2:name", "x"]);
    assert_eq!(ask(&["-n", "2"]).out.lines().count(), 2);
    assert_eq!(sorted(&ask(&["--sample", "9"])).len(), 5);
    assert_eq!(ask(&["--sample", "2", "-p", "page:"]).out.lines().count(), 2);
    let long = ask(&["-l", "-p", "x"]);
    let words: Vec<Vec<&str>> = long.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["size", "ttl", "idle", "fetched", "cls", "key"]);
    // 56 bytes of an item, the key and a zero, the value and its end.
    assert_eq!((words[1][0], words[1][1], words[1][3], words[1][5]), ("260", "never", "yes", "x"), "{}", long.out);
    let summary = ask(&["--summary"]);
    let expected = "\
fetched since they were stored: 1 (20.0%)
size     items    % bytes    %
<128         2 40.0   151  5.9
<512         1 20.0   260 10.2
<2.0K        2 40.0  2.1K 83.8
ttl      items    % bytes    %
<1m          1 20.0    80  3.1
<1h          2 40.0  2.1K 83.8
never        2 40.0   331 13.0
";
    assert_eq!(body(&summary, "SERVER  5 items, 2.48 KiB, in 0."), expected);
    let prefixes = ask(&["--by-prefix", "--top", "2"]);
    let lines: Vec<String> = body(&prefixes, "SERVER  5 items")
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines[0], "items % bytes % mean ttl never fetched prefix");
    assert!(lines[1].starts_with("2 40.0 2.1K 83.8 1.1K ") && lines[1].ends_with("0.0 0.0 page:"), "{}", lines[1]);
    assert_eq!(lines[2], "1 20.0 260 10.2 260 - 100.0 100.0 (none)");
    assert!(lines[3].starts_with("2 40.0 151 5.9 75 ") && lines[3].ends_with("50.0 0.0 (others)"), "{}", lines[3]);
    let deep = ask(&["--by-prefix", "--depth", "2", "--delimiter", ":1", "-p", "user"]);
    assert!(deep.out.contains(" user:1\n") && deep.out.contains(" user:2:\n"), "{}", deep.out);
    // The old way, which knows less, and since 1.5 lists what is cold.
    let old = ask(&["--via", "cachedump", "-l", "-p", "x"]);
    assert!(old.out.lines().last().unwrap().starts_with("   200   never       - -         - x"), "{}", old.out);
    fails(
        &ask(&["--via", "hash"]),
        2,
        "metadump hash makes clients wait for whoever reads it before 1.6.19: not asked",
    );
    fails(&ask(&["--via", "mgdump"]), 2, "mgdump came with 1.6.19");
    fails(&ask(&["--depth", "0"]), 2, "--depth begins with 1");
    fails(&ask(&["--proto", "binary"]), 2, "keys are listed in the text protocol");
}

/// A line is one key, so that a list may be acted upon line by line.
#[test]
fn a_key_with_a_line_end() {
    let program = Program::new();
    let server = Server::start(COLD);
    // tmp:\nvictim
    is(&server.probe(&program, &["meta", "ms dG1wOgp2aWN0aW0= b", "--data", "x"]), 0, "HD  done\n", "");
    is(&server.probe(&program, &["keys", "-p", "tmp:"]), 0, "tmp:\\nvictim\n", "");
}

#[test]
fn keys_for_machines() {
    let program = Program::new();
    let server = Server::start(COLD);
    store(&server, &ITEMS[4..]);
    let outcome = server.probe(&program, &["keys", "--json"]);
    let (line, about) = outcome.out.split_once('\n').unwrap();
    // How long it took, and when it was stored.
    let without = |text: &str, name: &str| {
        let (before, rest) = text.split_once(name).unwrap();
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        format!("{before}{name}{rest}")
    };
    assert_eq!(
        without(line, "\"idle_seconds\":"),
        r#"{"server":"SERVER","key":"x","size_bytes":260,"expires":null,"never_expires":true,"ttl_seconds":null,"idle_seconds":,"cas":1,"fetched":false,"class":6,"flags":null}"#
    );
    let head = r#"{"server":"SERVER","found_by":"named","verb":"keys","ok":true,"status":0,"data":{"via":"metadump","complete":true,"reason":null,"seconds":,"listed":1,"items":1"#;
    assert_eq!(without(about, "\"seconds\":"), format!("{head}}}}}\n"));
    let outcome = server.probe(&program, &["keys", "--json", "--summary", "--by-prefix"]);
    let sums = r#","bytes":260,"fetched":0,"fetched_ratio":0,"never_expire":1,"mean_ttl_seconds":null,"sizes":[{"from_bytes":256,"to_bytes":511,"items":1,"bytes":260}],"ttl":[{"span":"never","items":1,"bytes":260}],"prefixes":[{"prefix":"","items":1,"bytes":260,"mean_ttl_seconds":null,"never_expire":1,"fetched":0}],"missing_bytes_at_most":0"#;
    assert_eq!(without(&outcome.out, "\"seconds\":"), format!("{head}{sums}}}}}\n"));
}

#[test]
fn servers_that_hide() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1 -X -W -F");
    store(&server, &ITEMS);
    fails(
        &server.probe(&program, &["keys"]),
        6,
        "ERROR metadump not allowed; it was started with -X, which hides the keys",
    );
    let cachedump = server.probe(&program, &["keys", "--via", "cachedump"]);
    fails(&cachedump, 6, "CLIENT_ERROR stats cachedump not allowed; it was started with -X");
    fails(&server.probe(&program, &["watch"]), 6, "CLIENT_ERROR watch commands not allowed; it was started with -W");
    fails(&server.probe(&program, &["top", "-b", "-n", "1"]), 6, "it was started with -W");
    fails(&server.probe(&program, &["flush_all"]), 2, "5 items, 2.48 KiB would be lost: not sent without --yes");
    let refused = "CLIENT_ERROR flush_all not allowed; it was started with -F";
    fails(&server.probe(&program, &["flush_all", "--yes"]), 6, refused);
    let lists_none = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1 -o no_lru_crawler");
    let disabled = lists_none.probe(&program, &["keys"]);
    fails(&disabled, 6, "CLIENT_ERROR lru crawler disabled; \"raw 'lru_crawler enable'\" changes that");
}

#[test]
fn flushing() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    // Before there is anything: what is flushed counts on until it is collected.
    let outcome = server.probe(&program, &["flush_all", "--yes", "--json", "--proto", "binary"]);
    let data = r#""ok":true,"status":0,"data":{"items":0,"bytes":0,"delay_seconds":0}}"#;
    assert!(outcome.out.ends_with(&format!("{data}\n")), "{}{}", outcome.out, outcome.err);
    store(&server, &ITEMS);
    fails(
        &server.probe(&program, &["flush_all"]),
        2,
        "SERVER: 5 items, 2.48 KiB would be lost: not sent without --yes",
    );
    assert_eq!(server.probe(&program, &["keys"]).out.lines().count(), 5);
    fails(&server.probe(&program, &["flush_all", "--yes", "31d"]), 2, "at most 30 days");
    is(&server.probe(&program, &["flush_all", "--yes", "1h"]), 0, "OK, 5 items, 2.48 KiB gone in 1h00m\n", "");
    is(&server.probe(&program, &["get", "x"]), 0, &"x".repeat(200), "");
    is(&server.probe(&program, &["flush_all", "--yes"]), 0, "OK, 5 items, 2.48 KiB gone\n", "");
    is(&server.probe(&program, &["get", "x"]), 1, "", "probe: x: not found\n");
}

const STATS: &[u8] = b"STAT time 1000\r\nSTAT curr_items 2\r\nEND\r\n";

/// Lists of servers that are not at hand, as they were seen.
#[test]
fn dialects() {
    let program = Program::new();
    let keys = |script: &[&[u8]], words: &[&str]| {
        probe(&program, &[&[scripted(script).as_str(), "keys", "--timeout", "1s"], words].concat())
    };
    let list = b"OK\r\nkey=a%20b exp=1060 la=990 cas=6 fetch=yes cls=1 size=63 flags=7 \n\
        key=c exp=-1 la=1000 cas=7 fetch=no cls=1 size=64 flags=0 \nEND\r\n";
    let new = b"VERSION 1.6.45\r\n";
    let expected = "  size     ttl    idle fetched cls key\n    63   1m00s     10s yes       1 a b\n    64   never      0s no        1 c\n";
    is(&keys(&[new, STATS, list], &["-l"]), 0, expected, "");
    is(&keys(&[new, STATS, list], &["--via", "hash"]), 0, "a b\nc\n", "");
    let mg = b"OK\r\nmg foo\r\nmg a2V5IHdpdGggc3A= b\r\nEN\r\n";
    is(&keys(&[new, STATS, mg], &["--via", "mgdump"]), 0, "foo\nkey with sp\n", "");
    // 1.4.31 has no end, and so something is asked behind it.
    let endless = b"key=a exp=-1 la=1 cas=1 fetch=no\nkey=b exp=-1 la=1 cas=1 fetch=no\nVERSION 1.4.31\r\n";
    is(&keys(&[b"VERSION 1.4.31\r\n", STATS, endless], &[]), 0, "a\nb\n", "");
    // Older ones know cachedump alone.
    let items = b"STAT items:1:number 2\r\nSTAT items:3:number 1\r\nEND\r\n";
    let one = b"ITEM a [1 b; 0 s]\r\nITEM b [2 b; 2000 s]\r\nEND\r\n";
    is(&keys(&[b"VERSION 1.4.15\r\n", STATS, items, one, b"END\r\n"], &[]), 0, "a\nb\n", "");
    let fewer = keys(&[b"VERSION 1.4.15\r\n", STATS, items, b"ITEM a [1 b; 0 s]\r\nEND\r\n", b"END\r\n"], &[]);
    assert_eq!((fewer.status, fewer.out.as_str()), (0, "a\n"));
    assert!(
        fewer.err.contains("1 of 2 items: 'stats cachedump' tells at most 2 MB of each slab class"),
        "{}",
        fewer.err
    );
    // One that does not tell its version.
    is(&keys(&[b"VERSION unknown\r\n", STATS, b"ERROR\r\n", items, one, b"END\r\n"], &[]), 0, "a\nb\n", "");
    fails(&keys(&[b"VERSION 1.4.15\r\n", STATS], &["--via", "metadump"]), 2, "metadump came with 1.4.31");
    // Somebody else's list is waited for.
    let busy = b"BUSY currently processing crawler request\r\n";
    is(&keys(&[new, STATS, busy, busy, list], &[]), 0, "a b\nc\n", "");
    // A proxy hangs up.
    fails(&keys(&[new, STATS], &[]), 3, "a proxy lists no keys (ask the servers behind it)");
}

#[test]
fn lists_that_break_off() {
    let program = Program::new();
    let keys = |list: &[u8]| probe(&program, &[&scripted(&[VERSION, STATS, list]), "keys", "--timeout", "1s"]);
    let list =
        b"key=a exp=-1 la=1 cas=1 fetch=no cls=1 size=63\nkey=b exp=-1 la=1 cas=2 fetch=no cls=1 size=63\nEND\r\n";
    for (length, status, out) in [
        (0, 3, ""),
        (1, 5, ""),
        (46, 5, ""),
        (47, 5, "a\n"),
        (93, 5, "a\n"),
        (94, 5, "a\nb\n"),
        (98, 5, "a\nb\n"),
        (99, 0, "a\nb\n"),
    ] {
        let outcome = keys(&list[..length]);
        assert_eq!((outcome.status, outcome.out.as_str()), (status, out), "{length}: {}", outcome.err);
        assert_eq!(outcome.err.lines().count(), usize::from(status > 0), "{}", outcome.err);
    }
    let locked = keys(&[&list[..94], b"ERROR locked try again later\r\n"].concat());
    assert_eq!((locked.status, locked.out.as_str()), (6, "a\nb\n"));
    assert!(locked.err.contains("ERROR locked try again later; its crawler is in use"), "{}", locked.err);
    let foreign = keys(b"key=a exp=-1\n<html>\n");
    assert_eq!((foreign.status, foreign.out.as_str()), (5, "a\n"), "{}", foreign.err);
    let endless = keys(&[b'x'; 5000]);
    fails(&endless, 5, "an answer longer than any memcached's");
    // Silence in the middle: it is hung up.
    let (sender, gone) = channel();
    let silent = server(move |mut stream| {
        for answer in [VERSION, STATS, b"key=a exp=-1 la=1 cas=1 fetch=no cls=1 size=63\n"] {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
        let _ = sender.send(stream.read(&mut [0; 1]).is_ok());
    });
    let outcome = probe(&program, &[&silent, "keys", "--json", "--timeout", "1s"]);
    let reason = r#""complete":false,"reason":"no more of the list for 1s (--timeout), after 1 keys: hung up""#;
    assert!(outcome.status == 4 && outcome.out.contains(reason), "{}{}", outcome.out, outcome.err);
    assert!(gone.recv_timeout(LIMIT).unwrap());
}

/// A server whose list never ends; tells when nobody takes it any more.
fn endless() -> (String, std::sync::mpsc::Receiver<()>) {
    let (sender, gone) = channel();
    let address = server(move |mut stream| {
        for answer in [VERSION, STATS] {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
        let _ = stream.read(&mut [0; 4096]);
        let line = format!("key={} exp=-1 la=1 cas=1 fetch=no cls=1 size=63\n", "k".repeat(240));
        let lines = line.repeat(200);
        while stream.write_all(lines.as_bytes()).is_ok() {}
        let _ = sender.send(());
    });
    (address, gone)
}

fn start(program: &Program, words: &[&str]) -> Child {
    let mut command = program.command("probe");
    command.arg("memcached").args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_list_that_nobody_reads() {
    let program = Program::new();
    let (address, gone) = endless();
    let mut child = start(&program, &[&address, "keys"]);
    // Nothing has been read of what it writes, and still the server is rid of it.
    gone.recv_timeout(LIMIT).unwrap();
    let mut out = child.stdout.take().unwrap();
    let lines = thread::spawn(move || BufReader::new(&mut out).lines().count());
    let done = child.wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert!(err.ends_with("nobody read the output: hung up, so that the server does not wait\n"), "{err}");
    assert_eq!(done.status.code(), Some(2));
    // As much as memory was to be used for: 64 MiB in lines of 241 bytes.
    assert!((278_000..290_000).contains(&lines.join().unwrap()));
}

#[test]
fn a_reader_who_leaves() {
    let program = Program::new();
    let (address, gone) = endless();
    let mut child = start(&program, &[&address, "keys"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    gone.recv_timeout(LIMIT).unwrap();
    let done = child.wait_with_output().unwrap();
    let status = done.status.code().or(done.status.signal().map(|signal| 128 + signal));
    assert_eq!((status, done.stderr.as_slice(), line.len()), (Some(141), &b""[..], 241));
}

/// Asks for a key until the end of a process.
fn looked_up(server: &Server, mut child: Child) -> Outcome {
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let text = thread::spawn(move || {
        let mut texts = (String::new(), String::new());
        out.read_to_string(&mut texts.0).unwrap();
        err.read_to_string(&mut texts.1).unwrap();
        texts
    });
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        stream.write_all(b"get user:1:name\r\nget none\r\n").unwrap();
        let mut reply = [0; 4096];
        let _ = stream.read(&mut reply).unwrap();
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it did not end");
    };
    let (out, err) = text.join().unwrap();
    let mut outcome = Outcome { status: status.code().unwrap_or(-1), out, err, late: false };
    server.name(&mut outcome.out);
    server.name(&mut outcome.err);
    outcome
}

#[test]
fn watching() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    store(&server, &ITEMS);
    let address = server.address();
    let watched = looked_up(&server, start(&program, &[&address, "watch", "-n", "3", "-w", "key=user:*"]));
    assert_eq!((watched.status, watched.out.lines().count()), (0, 3), "{}{}", watched.out, watched.err);
    for line in watched.out.lines() {
        let (_, event) = line.split_once(' ').unwrap();
        assert!(event.starts_with("item_get    user:1:name  status=found clsid=1 cfd="), "{line}");
        assert!(event.ends_with(" size=1"), "{line}");
    }
    let watched =
        looked_up(&server, start(&program, &[&address, "watch", "-n", "1", "--json", "-w", "status=not_found"]));
    let (line, about) = watched.out.split_once('\n').unwrap();
    let keys = "server seconds microseconds order type key status clsid cfd size";
    assert_eq!(super::flavours::names(line).join(" "), keys, "{line}");
    assert!(line.contains(r#""type":"item_get","key":"none","status":"not_found","clsid":0,"#), "{line}");
    let keys = "server found_by verb ok status data classes seconds events shown skipped dropped left_out";
    assert_eq!(super::flavours::names(about).join(" "), keys, "{about}");
    is(&server.probe(&program, &["watch", "evictions", "--for", "100ms"]), 1, "", "");
    let gate =
        "watch mutations ends a server before 1.6.42 when a value is too large for it (this is 1.6.18): not asked";
    fails(&server.probe(&program, &["watch", "fetchers", "mutations"]), 2, gate);
    fails(&server.probe(&program, &["watch", "fetcher"]), 2, "no class of events, did you mean 'fetchers'?");
    fails(&server.probe(&program, &["watch", "-w", "key"]), 2, "key: not FIELD=PATTERN");
    fails(&server.probe(&program, &["watch", "deletions"]), 6, "it does not know one of the classes");
    let forced = server.probe(&program, &["watch", "mutations", "--force", "--for", "100ms"]);
    is(&forced, 1, "", "");
}

#[test]
fn watching_other_versions() {
    let program = Program::new();
    let new = b"VERSION 1.6.45\r\n";
    let told = b"OK\r\nts=1795805582.699752 gid=7 type=deleted key=a%01b cmd=md clsid=1 size=3\nskipped=12\n\
        ts=1795805583.4 gid=9 type=proxy_req elapsed=112 type=105 code=17 status=0 be=h:1 detail= req=mg foo v\n";
    let watch = |words: &[&str]| {
        let address = scripted(&[new, told]);
        let outcome = probe(&program, &[&[address.as_str(), "watch"], words].concat());
        Outcome {
            out: outcome.out.replace(&address, "SERVER"),
            err: outcome.err.replace(&address, "SERVER"),
            ..outcome
        }
    };
    let outcome = watch(&["mutations", "deletions", "-n", "2"]);
    let out = "18:53:02.699752 deleted     a\\x01b  cmd=md clsid=1 size=3\n\
        18:53:03.000004 proxy_req   elapsed=112 type=105 code=17 status=0 be=h:1 detail= req=mg foo v\n";
    is(
        &outcome,
        0,
        out,
        "probe: SERVER: 12 events were skipped by the server, because they were not read fast enough\n",
    );
    // The end of the server.
    let outcome = watch(&["fetchers"]);
    assert_eq!((outcome.status, outcome.out.as_str()), (3, out));
    assert_eq!(outcome.err, "probe: SERVER: closed: the server has ended, or it is a proxy\n");
}

#[test]
fn looking_up() {
    let program = Program::new();
    let server = Server::start("-l 127.0.0.1 -p @PORT -m 64 -t 1");
    store(&server, &ITEMS);
    let address = server.address();
    let top = looked_up(&server, start(&program, &[&address, "top", "-b", "-n", "2", "-d", "1s"]));
    assert_eq!((top.status, top.err.as_str()), (0, ""), "{}", top.out);
    let lines: Vec<Vec<&str>> = top.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[2], ["/s", "%", "hit", "bytes/s", "size", "key"]);
    let row = |key: &str| lines.iter().rfind(|line| line.last() == Some(&key)).unwrap_or_else(|| panic!("{}", top.out));
    assert_eq!((row("user:1:name")[2], row("user:1:name")[4], row("none")[2]), ("100.0", "1", "0.0"));
    let top = looked_up(&server, start(&program, &[&address, "top", "--json", "-d", "1s", "--by", "prefix"]));
    let keys = "server found_by verb ok status data by seconds lookups hits bytes gets sets dropped skipped seen_ratio \
        missing_at_most rows prefix lookups per_second ratio hit_ratio bytes prefix lookups per_second ratio hit_ratio bytes";
    assert_eq!(super::flavours::names(&top.out).join(" "), keys, "{}", top.out);
    assert!(top.out.contains(r#""prefix":"user:","#) && top.out.contains(r#""prefix":"","#), "{}", top.out);
    let top = looked_up(&server, start(&program, &[&address, "top", "--by", "conn", "-d", "1s"]));
    assert_eq!(top.err, "probe: no terminal: one table, as -b -n 1 would\n");
    assert!(top.out.contains(" tcp:127.0.0.1:"), "{}", top.out);
}

#[test]
fn evictions_in_a_second() {
    let program = Program::new();
    let stats =
        |evictions: u32| format!("STAT bytes 1\r\nSTAT curr_connections 1\r\nSTAT evictions {evictions}\r\nEND\r\n");
    let (before, after) = (stats(5), stats(505));
    let health = |most: &str| {
        let address = scripted(&[VERSION, before.as_bytes(), after.as_bytes()]);
        probe(&program, &[&address, "health", "--max-evict-rate", most, "--interval", "100ms"])
    };
    let outcome = health("5");
    assert!(outcome.status == 9 && outcome.out.contains("in a second, at most 5 should be"), "{}", outcome.out);
    assert_eq!(health("1000000").status, 0);
    fails(&probe(&program, &["127.0.0.1:1", "health", "--max-evict-rate", "x"]), 2, "a rate is a number");
    fails(&probe(&program, &["127.0.0.1:1", "keys", "-n", "0"]), 2, "-n begins with 1");
    fails(&probe(&program, &["127.0.0.1:1", "ping", "-c", "0"]), 2, "-c begins with 1");
    fails(&probe(&program, &["127.0.0.1:1", "set", "k", "v", "--ttl", "5000d"]), 2, "5000d: ends after 2038");
    fails(&probe(&program, &["--tls", "udp://127.0.0.1:1", "get", "k"]), 2, "udp://127.0.0.1:1: UDP has no TLS");
    let slabs = b"STAT 1:chunk_size 96\r\nSTAT 1:total_pages 1\r\nEND\r\n";
    let items = |evicted: u32| format!("STAT items:1:number 9\r\nSTAT items:1:evicted {evicted}\r\nEND\r\n");
    let address = scripted(&[VERSION, slabs, items(7).as_bytes(), slabs, items(7).as_bytes()]);
    let outcome = probe(&program, &[&address, "slabs", "--interval", "100ms"]);
    let lines: Vec<Vec<&str>> = outcome.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((lines[0][8], lines[1][8], lines[1][9]), ("evict/s", "0.0", "7"), "{}", outcome.out);
}
