//! probe memcached: the text protocol. The meta commands, the binary protocol, SASL, TLS and UDP come later.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::{Failure, Manner, Probe, address};
use crate::applet::{Context, Error, Exit, Result};
use crate::inspect::memcached::{Facts, PORT, SERVICE, check};
use crate::inspect::{Finding, Level};
use crate::net::Connection;
use crate::output::{Safe, json::Object, units};
use crate::protocol::memcached::Error as Trouble;
use crate::protocol::memcached::client::{Client, Stats, Stored};
use crate::protocol::memcached::codec::{Malformed, check_key};

const VERBS: [&str; 3] = ["stats", "get", "set"];

const MORE: &str = "\
ADDRESS is HOST[:PORT], [V6]:PORT or a path (@/PATH in the target). Without one: where the target listens, else what
its command line says, else 127.0.0.1:11211.
Without a verb: a report and a verdict; exit 1 for a warning, 2 when it could not be asked.
stats [NAME] prints one NAME VALUE a line. get KEY prints the value, raw to a pipe; exit 1 for a miss.
set KEY VALUE stores without expiry; exit 1 when the server does not.";

/// Ask a memcached how it is, for its statistics or for a key
#[derive(clap::Parser)]
#[command(name = "memcached", after_help = MORE)]
#[command(override_usage = "probe memcached [OPTIONS] [ADDRESS] [stats [NAME] | get KEY | set KEY VALUE]")]
struct Options {
    #[command(flatten)]
    manner: Manner,
    #[arg(value_name = "WORD", hide = true)]
    words: Vec<OsString>,
}

pub fn usage() -> clap::Command {
    <Options as clap::CommandFactory>::command()
}

enum Verb<'a> {
    Report,
    Stats(Option<&'a [u8]>),
    Get(&'a [u8]),
    Set(&'a [u8], &'a [u8]),
}

impl Verb<'_> {
    fn parse(words: &[OsString]) -> Result<Verb<'_>> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let verb = match words.as_slice() {
            [] => Verb::Report,
            [b"stats"] => Verb::Stats(None),
            // Whatever has a line break in it would be a command of its own.
            [b"stats", name] if check_key(name).is_err() => {
                return Err(Error::message(format_args!("{}: not a name of statistics", Safe(name))));
            }
            [b"stats", name] => Verb::Stats(Some(name)),
            [b"get", key] => Verb::Get(key),
            [b"set", key, value] => Verb::Set(key, value),
            [b"stats", ..] => return Err(Error::usage("stats takes one NAME")),
            [b"get", ..] => return Err(Error::usage("get needs one KEY")),
            [b"set", ..] => return Err(Error::usage("set needs KEY and VALUE")),
            [word, ..] => {
                return Err(Error::usage(format_args!("{}: no such verb, but stats, get and set", Safe(word))));
            }
        };
        match verb {
            Verb::Get(key) | Verb::Set(key, _) => match check_key(key) {
                Err(why) => Err(Error::message(format_args!("{}: {why}", Safe(key)))),
                Ok(()) => Ok(verb),
            },
            verb => Ok(verb),
        }
    }
}

pub fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let mut options: Options = cx.parse()?;
    let named = address(&mut options.words, &VERBS, PORT)?;
    let verb = Verb::parse(&options.words)?;
    let probe = Probe::new(cx, &SERVICE, named, &options.manner);
    let answer = probe.connect(cx).and_then(|connection| {
        let answer = ask(&mut Client::new(connection), &verb);
        answer.map_err(|trouble| explain(&probe, &trouble))
    });
    match answer {
        Ok(Answer::Report(stats)) => report(cx, &probe, &stats),
        Ok(Answer::Stats(stats)) => list(cx, &probe, &stats),
        Ok(Answer::Value(key, value)) => show(cx, &probe, key, value),
        Ok(Answer::Stored(key, stored)) => confirm(cx, &probe, key, stored),
        Err(failure) => probe.fail(cx, failure),
    }
}

enum Answer<'a> {
    Report(Stats),
    Stats(Stats),
    Value(&'a [u8], Option<Vec<u8>>),
    Stored(&'a [u8], Stored),
}

fn ask<'a>(client: &mut Client<Connection>, verb: &Verb<'a>) -> std::result::Result<Answer<'a>, Trouble> {
    Ok(match *verb {
        Verb::Report => Answer::Report(client.stats(None)?),
        Verb::Stats(name) => Answer::Stats(client.stats(name)?),
        Verb::Get(key) => Answer::Value(key, client.get(key)?),
        Verb::Set(key, value) => Answer::Stored(key, client.set(key, value, 0)?),
    })
}

/// What a failed conversation means, in one line.
fn explain(probe: &Probe, trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Io(error) => probe.interrupted(error),
        Trouble::Closed(received) => probe.closed(*received),
        Trouble::Malformed(Malformed::TooLong) => Failure::new("protocol", "an answer longer than any memcached's"),
        Trouble::Malformed(Malformed::Foreign(name, line)) => {
            let name = name.map(|name| format!(", this looks like {name}")).unwrap_or_default();
            Failure::new("protocol", format!("not memcached{name}: {}", Safe(line)))
        }
        Trouble::Unexpected => Failure::new("protocol", "an answer to another question: not memcached, or out of step"),
        Trouble::Login => Failure::new(
            "login",
            "login required (memcached -Y): CLIENT_ERROR unauthenticated; a later version logs in",
        ),
        // An answer, and no good one.
        Trouble::Refused(refusal) => Failure { kind: "refused-by-server", message: refusal.to_string(), status: 1 },
    }
}

fn report(cx: &mut Context<'_>, probe: &Probe, stats: &Stats) -> Result<Exit> {
    let facts = Facts::new(stats);
    let mut findings = check(&facts);
    if findings.is_empty() {
        findings.push(Finding::new(Level::Ok, "stats", "nothing to complain about"));
    }
    if probe.json {
        let mut object = probe.object();
        object
            .bytes("version", facts.version.as_deref().unwrap_or_default())
            .number("uptime_seconds", facts.uptime)
            .number("memory_bytes", facts.memory)
            .number("memory_limit_bytes", facts.memory_limit)
            .number("items", facts.items)
            .number("get_hits", facts.hits)
            .number("get_misses", facts.misses)
            .float("hit_ratio", facts.hit_ratio())
            .number("connections", facts.connections)
            .number("max_connections", facts.max_connections)
            .number("rejected_connections", facts.rejected)
            .number("evictions", facts.evictions);
        return probe.report_json(cx, object, &findings);
    }
    let count = |value: Option<u64>| value.map_or_else(|| String::from("unknown"), |value| value.to_string());
    let size = |value: Option<u64>| value.map_or_else(|| String::from("unknown"), units::bytes);
    let percent = |ratio: Option<f64>| ratio.map(|ratio| format!("{:.1}%", ratio * 100.0));
    let fill = percent(facts.fill()).map(|fill| format!(" ({fill})")).unwrap_or_default();
    let hits = match (percent(facts.hit_ratio()), facts.gets()) {
        (Some(ratio), Some(gets)) => format!("{ratio} of {gets} gets"),
        (None, Some(_)) => String::from("no gets yet"),
        _ => String::from("unknown"),
    };
    let lines = [
        ("version", facts.version.as_ref().map_or_else(|| String::from("unknown"), |text| Safe(text).to_string())),
        ("uptime", facts.uptime.map_or_else(|| String::from("unknown"), units::duration)),
        ("memory", format!("{} of {}{fill}", size(facts.memory), size(facts.memory_limit))),
        ("items", count(facts.items)),
        ("hit ratio", hits),
        (
            "connections",
            format!(
                "{} of {}, {} rejected",
                count(facts.connections),
                count(facts.max_connections),
                count(facts.rejected)
            ),
        ),
        ("evictions", count(facts.evictions)),
    ];
    probe.report(cx, &lines, &findings)
}

fn list(cx: &mut Context<'_>, probe: &Probe, stats: &Stats) -> Result<Exit> {
    if probe.json {
        // Names come from outside: as values they may be any bytes, as keys they could not.
        let each = stats.iter().map(|(name, value)| {
            let mut object = Object::new();
            object.bytes("name", name).bytes("value", value);
            object
        });
        let mut object = probe.object();
        object.objects("stats", each);
        probe.print(cx, object)?;
        return Ok(Exit(0));
    }
    for (name, value) in stats {
        writeln!(cx.io.out, "{} {}", Safe(name), Safe(value))?;
    }
    Ok(Exit(0))
}

fn show(cx: &mut Context<'_>, probe: &Probe, key: &[u8], value: Option<Vec<u8>>) -> Result<Exit> {
    let status = Exit(u8::from(value.is_none()));
    if probe.json {
        let mut object = probe.object();
        object.bytes("key", key).bool("found", value.is_some());
        if let Some(value) = value {
            object.bytes("value", &value);
        }
        probe.print(cx, object)?;
        return Ok(status);
    }
    match value {
        None => cx.note(format_args!("{}: not found", Safe(key))),
        Some(value) if cx.terminal() => writeln!(cx.io.out, "{}", Safe(&value))?,
        Some(value) => cx.io.out.write_all(&value)?,
    }
    Ok(status)
}

fn confirm(cx: &mut Context<'_>, probe: &Probe, key: &[u8], stored: Stored) -> Result<Exit> {
    let yes = stored == Stored::Yes;
    if probe.json {
        let mut object = probe.object();
        object.bytes("key", key).bool("stored", yes);
        probe.print(cx, object)?;
    } else if yes {
        writeln!(cx.io.out, "STORED")?;
    } else {
        cx.note(format_args!("{}: not stored", Safe(key)));
    }
    Ok(Exit(u8::from(!yes)))
}

#[cfg(test)]
mod tests {
    use super::super::APPLET;
    use crate::applet::{Captured, capture};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Probes a server that gives one answer to one request and closes.
    #[expect(clippy::disallowed_methods)]
    fn probe(answer: &'static [u8], words: &[&str]) -> Captured {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let mut peer = listener.accept().unwrap().0;
            let _ = peer.read(&mut [0; 1024]).unwrap();
            peer.write_all(answer).unwrap();
        });
        let done = capture(&APPLET, &[&["memcached", address.as_str()], words].concat(), b"");
        server.join().unwrap();
        let hide = |text: String| text.replace(&address, "ADDRESS");
        Captured { status: done.status, out: hide(done.out), err: hide(done.err) }
    }

    fn captured(status: u8, out: &str, err: &str) -> Captured {
        Captured { status, out: out.into(), err: err.into() }
    }

    const STATS: &[u8] =
        b"STAT uptime 7500\r\nSTAT version 1.6.18\r\nSTAT max_connections 1024\r\nSTAT curr_connections 2\r\n\
        STAT rejected_connections 3\r\nSTAT get_hits 9\r\nSTAT get_misses 1\r\nSTAT bytes 1048576\r\n\
        STAT limit_maxbytes 67108864\r\nSTAT curr_items 4\r\nSTAT evictions 0\r\nEND\r\n";

    #[test]
    fn a_report() {
        let out = "address      ADDRESS (as named)\nversion      1.6.18\nuptime       2h05m\n\
            memory       1.00 MiB of 64.0 MiB (1.6%)\nitems        4\nhit ratio    90.0% of 10 gets\n\
            connections  2 of 1024, 3 rejected\nevictions    0\n\
            warn         connections: 3 were rejected since the start: the limit (-c) was reached\nverdict      warn\n";
        assert_eq!(probe(STATS, &[]), captured(1, out, ""));
    }

    #[test]
    fn a_report_for_machines() {
        let out = r#"{"address":"ADDRESS","found_by":"named","version":"1.6.18","uptime_seconds":7500,"memory_bytes":1048576,"memory_limit_bytes":67108864,"items":4,"get_hits":9,"get_misses":1,"hit_ratio":0.9,"connections":2,"max_connections":1024,"rejected_connections":3,"evictions":0,"findings":[{"level":"warn","subject":"connections","text":"3 were rejected since the start: the limit (-c) was reached"}],"verdict":"warn"}"#;
        assert_eq!(probe(STATS, &["--json"]), captured(1, &format!("{out}\n"), ""));
    }

    #[test]
    fn verbs() {
        assert_eq!(probe(b"STAT a b c\r\nSTAT \x1b x\r\nEND\r\n", &["stats"]), captured(0, "a b c\n\\x1b x\n", ""));
        assert_eq!(probe(b"VALUE k 0 3\r\na\nb\r\nEND\r\n", &["get", "k"]), captured(0, "a\nb", ""));
        assert_eq!(probe(b"END\r\n", &["get", "k"]), captured(1, "", "probe: k: not found\n"));
        assert_eq!(probe(b"STORED\r\n", &["set", "k", "v"]), captured(0, "STORED\n", ""));
        assert_eq!(probe(b"NOT_STORED\r\n", &["set", "k", "v"]), captured(1, "", "probe: k: not stored\n"));
        let too_large = captured(1, "", "probe: ADDRESS: SERVER_ERROR object too large for cache\n");
        assert_eq!(probe(b"SERVER_ERROR object too large for cache\r\n", &["set", "k", "v"]), too_large);
        let json = "{\"address\":\"ADDRESS\",\"found_by\":\"named\",\"key\":\"k\",\"found\":false}\n";
        assert_eq!(probe(b"END\r\n", &["get", "k", "--json"]), captured(1, json, ""));
    }

    #[test]
    fn failures_are_one_line_each() {
        let line = |answer, line: &str| {
            assert_eq!(probe(answer, &[]), captured(2, "", &format!("probe: ADDRESS: {line}\n")));
        };
        line(b"", "closed without an answer (not memcached, or TLS, which a later version speaks)");
        line(b"STAT a", "closed in the middle of an answer, after 6 bytes");
        line(b"HTTP/1.1 400 Bad Request\r\n\r\n", "not memcached, this looks like HTTP: HTTP/1.1 400 Bad Request");
        line(b"\x1b[2Jhello\r\n", "not memcached: \\x1b[2Jhello");
        line(
            b"CLIENT_ERROR unauthenticated\r\n",
            "login required (memcached -Y): CLIENT_ERROR unauthenticated; a later version logs in",
        );
        line(b"STORED\r\n", "an answer to another question: not memcached, or out of step");
    }

    #[test]
    fn silence_and_refusal() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = capture(&APPLET, &["memcached", &address, "--timeout", "30ms"], b"");
        assert_eq!(silent, captured(2, "", &format!("probe: {address}: timed out: no answer in 30ms\n")));
        drop(listener);
        let refused = capture(&APPLET, &["memcached", &address], b"");
        assert_eq!(refused, captured(2, "", &format!("probe: {address}: connection refused\n")));
        let refused = capture(&APPLET, &["memcached", &address, "--json"], b"");
        let error = r#""error":{"kind":"refused","message":"connection refused"}}"#;
        assert_eq!(refused.out, format!("{{\"address\":\"{address}\",\"found_by\":\"named\",{error}\n"));
    }
}
