//! watch: what the server tells while it works, line by line. It never waits for us: what it tells is taken at once, and what
//! our reader does not take waits in memory, or is left out and counted.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use super::super::{Failure, duration};
use super::explain::{explain, kind_failure};
use super::options::Shared;
use super::server::{Over, Server, Session};
use super::spool::Spool;
use super::stats::{fetch, matches};
use super::{Answer, Ask, Outcome};
use crate::applet::{Context, Error, Result, nearest_of};
use crate::net::Deadline;
use crate::output::{Safe, json, json::Object};
use crate::protocol::memcached::client::{Dialect, Error as Trouble, Heard};
use crate::protocol::memcached::text::number;
use crate::protocol::memcached::watch::{CLASSES, Event};
use crate::sys::signal::Caught;
use crate::sys::time::local;

/// Tell what the server does: gets, stores, evictions, connections
///
/// CLASS is fetchers (without one), mutations, evictions, connevents, deletions, sysevents, rawcmds, proxyreqs, proxyevents or
/// proxyuser. What the server had no time to tell is counted at the end. Status 1: nothing was to be told.
#[derive(clap::Parser)]
#[command(
    name = "memcached watch",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] watch [-w FIELD=PATTERN] [-n N] [--for TIME] [CLASS...]"
)]
pub struct Watch {
    #[command(flatten)]
    shared: Shared,
    /// Only where the field matches: key=user:*, status=not_found, type=conn_close; may be repeated, and then all must
    #[arg(short = 'w', long = "where", value_name = "FIELD=PATTERN")]
    filters: Vec<OsString>,
    /// End after so many lines
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// Also what is known to bring old servers down
    #[arg(long)]
    force: bool,
    #[arg(value_name = "CLASS", hide = true)]
    classes: Vec<OsString>,
}

/// As long as nothing happens.
const LONG: Duration = Duration::from_secs(86400);
/// How long a signal may have to wait where nothing happens.
const GLANCE: Duration = Duration::from_millis(200);
/// Between two tries to write what waits.
const PATIENCE: Duration = Duration::from_millis(50);

impl Ask for Watch {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        for class in &self.classes {
            if !CLASSES.iter().any(|known| known.as_bytes() == class.as_bytes()) {
                let hint = nearest_of(&mut CLASSES.iter().copied(), class.as_bytes());
                let hint = hint.map(|name| format!(", did you mean '{name}'?")).unwrap_or_default();
                return Err(Error::usage(format_args!("{}: no class of events{hint}", Safe::os(class))));
            }
        }
        let wrong = self.filters.iter().find(|filter| !filter.as_bytes().contains(&b'='));
        match wrong {
            Some(filter) => Err(Error::usage(format_args!("{}: not FIELD=PATTERN", Safe::os(filter)))),
            None => Ok(()),
        }
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        if server.among && self.time.is_none() && self.count.is_none() {
            return Err(Error::usage("several servers are told one after the other: needs --for or -n").into());
        }
        let classes = match self.classes.is_empty() {
            true => vec![&b"fetchers"[..]],
            false => self.classes.iter().map(|class| class.as_bytes()).collect(),
        };
        let (mut session, mut monitor) = open(cx, server, &self.shared, &classes, self.force)?;
        let before = dropped(server, &mut monitor, &self.shared);
        let mut lead = String::from("{\"server\":");
        json::bytes(&mut lead, &server.address());
        let mut told = Told { spool: Spool::new(&cx.io.out, true), shown: 0, events: 0, skipped: 0, left_out: 0 };
        let zone = cx.env.get("TZ").map(OsString::from);
        let started = Instant::now();
        let end = Deadline::after(self.time.unwrap_or(LONG * 365));
        let mut line = Vec::new();
        let caught = Caught::endings();
        while Caught::asked().is_none() && !end.left().is_zero() && self.count.is_none_or(|count| told.shown < count) {
            let pause = if told.spool.is_empty() { GLANCE } else { PATIENCE };
            session.client.stream().set_deadline(end.min(Deadline::after(pause)));
            let heard = session.client.hear(&mut |heard| {
                match heard {
                    Heard::Begin => {}
                    Heard::Skipped(count) => told.skipped = told.skipped.saturating_add(count),
                    Heard::Event(event) => {
                        told.events += 1;
                        if self.takes(event) && self.count.is_none_or(|count| told.shown < count) {
                            line.clear();
                            match self.shared.json {
                                true => machine(event, &lead, &mut line),
                                false => person(event, zone.as_deref(), &mut line),
                            }
                            told.line(&line);
                        }
                    }
                }
                Ok(true)
            });
            told.spool.pump(&mut cx.io.out)?;
            match heard {
                Ok(()) => {}
                Err(Trouble::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut => {}
                Err(trouble) => {
                    drop(session);
                    told.spool.finish(&mut cx.io.out)?;
                    return Err(failure(server, &trouble, &self.shared).into());
                }
            }
        }
        // What waits for a reader does not outlive a second signal.
        drop(caught);
        drop(session);
        let seconds = started.elapsed().as_secs_f64();
        told.spool.finish(&mut cx.io.out)?;
        let after = dropped(server, &mut monitor, &self.shared);
        let dropped = after.zip(before).and_then(|(after, before)| after.checked_sub(before));
        let address = server.address();
        for (count, what) in [
            (told.skipped, "were skipped by the server, because they were not read fast enough"),
            (dropped.unwrap_or(0), "were dropped by the server before they were told, to all who watch"),
            (told.left_out, "were left out here, because nobody read the output"),
        ] {
            if count > 0 {
                cx.note(format_args!("{}: {count} events {what}", Safe(&address)));
            }
        }
        let mut data = Object::new();
        data.strings("classes", classes)
            .float("seconds", Some((seconds * 1e3).round() / 1e3))
            .number("events", Some(told.events))
            .number("shown", Some(told.shown))
            .number("skipped", Some(told.skipped))
            .number("dropped", dropped)
            .number("left_out", Some(told.left_out));
        let status = Caught::asked().map_or(u8::from(told.shown == 0), |signal| 128 + signal as u8);
        Ok(Answer::new(status, data))
    }
}

/// A session that watches, and one that can be asked meanwhile.
pub fn open(
    cx: &Context<'_>,
    server: &mut Server,
    shared: &Shared,
    classes: &[&[u8]],
    force: bool,
) -> std::result::Result<(Session, Session), Failure> {
    let monitor = server.open(cx, shared)?;
    if server.over == Over::Datagrams || monitor.client.dialect() == Dialect::Binary {
        let text = "events are told in the text protocol over TCP or a Unix socket alone";
        return Err(kind_failure("not-sent", String::from(text)));
    }
    let has = |class: &str| classes.contains(&class.as_bytes());
    if has("mutations") && !force && monitor.numbers().is_none_or(|version| version < [1, 6, 42]) {
        let text = format!(
            "watch mutations ends a server before 1.6.42 when a value is too large for it (this is {}): not asked without \
             --force",
            Safe(&monitor.version)
        );
        return Err(kind_failure("not-sent", text));
    }
    let mut session = server.open(cx, shared)?;
    let request = [b"watch ", classes.join(&b' ').as_slice(), b"\r\n"].concat();
    session.client.send(&request).map_err(|trouble| explain(server, &trouble, shared.timeout))?;
    // What it refuses comes at once, what it tells perhaps never.
    let mut begun = false;
    while !begun {
        let heard = session.client.hear(&mut |heard| {
            begun |= heard == Heard::Begin;
            Ok(!begun)
        });
        heard.map_err(|trouble| failure(server, &trouble, shared))?;
    }
    Ok((session, monitor))
}

pub fn failure(server: &Server, trouble: &Trouble, shared: &Shared) -> Failure {
    use crate::protocol::memcached::text::Refusal;
    match trouble {
        Trouble::Refused(Refusal::Unknown(text)) if text.is_empty() => kind_failure(
            "refused-by-server",
            String::from(
                "ERROR: it does not know one of the classes (deletions came with 1.6.20, proxy... are a proxy's alone), or has \
                 20 watchers already",
            ),
        ),
        Trouble::Closed(_) => kind_failure("closed", String::from("closed: the server has ended, or it is a proxy")),
        trouble => explain(server, trouble, shared.timeout),
    }
}

/// How many events the server has dropped since its start.
pub fn dropped(server: &Server, monitor: &mut Session, shared: &Shared) -> Option<u64> {
    monitor.again(shared.timeout);
    let stats = fetch(server, monitor, None, shared.timeout).ok()?;
    stats.iter().find(|(name, _)| name == b"log_worker_dropped").and_then(|(_, value)| number(value))
}

struct Told {
    spool: Spool,
    shown: u64,
    events: u64,
    skipped: u64,
    left_out: u64,
}

impl Told {
    fn line(&mut self, line: &[u8]) {
        match self.spool.has_room() {
            true => {
                self.spool.push(line);
                self.shown += 1;
            }
            false => self.left_out += 1,
        }
    }
}

impl Watch {
    fn takes(&self, event: &Event<'_>) -> bool {
        self.filters.iter().all(|filter| {
            let mut parts = filter.as_bytes().splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(pattern)) = (parts.next(), parts.next()) else { return false };
            match name {
                b"type" => matches(pattern, event.kind),
                b"key" => {
                    let mut key = Vec::new();
                    event.key(&mut key) && matches(pattern, &key)
                }
                name => event.field(name).is_some_and(|value| matches(pattern, value)),
            }
        })
    }
}

/// `15:49:34.004123 item_get    user:1  status=found clsid=1 cfd=16 size=3`
fn person(event: &Event<'_>, zone: Option<&std::ffi::OsStr>, line: &mut Vec<u8>) {
    let seconds = i64::try_from(event.seconds).unwrap_or(i64::MAX);
    let time = local(seconds, zone)
        .map_or_else(|| seconds.to_string(), |time| format!("{:02}:{:02}:{:02}", time.hour, time.minute, time.second));
    let _ = write!(line, "{time}.{:06} {:<11}", event.micros, Safe(event.kind));
    let mut key = Vec::new();
    if event.key(&mut key) {
        let _ = write!(line, " {} ", Safe(&key));
    }
    for (name, value) in event.fields().filter(|(name, _)| *name != b"key") {
        let _ = match name {
            b"text" => write!(line, " {}", Safe(value)),
            name => write!(line, " {}={}", Safe(name), Safe(value)),
        };
    }
    line.push(b'\n');
}

/// What is text, even if it looks like a number.
const TEXTS: [&[u8]; 7] = [b"key", b"text", b"msg", b"req", b"detail", b"rip", b"be"];

fn machine(event: &Event<'_>, lead: &str, line: &mut Vec<u8>) {
    let mut object = Object::new();
    object.number("seconds", Some(event.seconds)).number("microseconds", Some(event.micros.into()));
    object.number("order", Some(event.order)).bytes("type", event.kind);
    for (name, value) in event.fields() {
        // A proxy's line has a second type.
        let shown = if name == b"type" { String::from("reply_type") } else { Safe(name).to_string() };
        match number(value).filter(|_| !TEXTS.contains(&name)) {
            Some(number) => object.number(&shown, Some(number)),
            None if name == b"key" => {
                let mut key = Vec::new();
                event.key(&mut key);
                object.bytes(&shown, &key)
            }
            None => object.bytes(&shown, value),
        };
    }
    line.extend_from_slice(lead.as_bytes());
    line.push(b',');
    line.extend_from_slice(object.finish().trim_start_matches('{').as_bytes());
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::memcached::watch::{Line, line};

    fn event(text: &[u8]) -> Event<'_> {
        match line(text) {
            Ok(Some((Line::Event(event), _))) => event,
            other => panic!("{other:?}"),
        }
    }

    const GET: &[u8] = b"ts=1795805583.2422 gid=16 type=item_get key=a%01%20b status=found clsid=1 cfd=16 size=3\n";

    #[test]
    fn lines_for_people_and_machines() {
        let mut text = Vec::new();
        person(&event(GET), Some("UTC".as_ref()), &mut text);
        let expected = "18:53:03.002422 item_get    a\\x01 b  status=found clsid=1 cfd=16 size=3\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let mut text = Vec::new();
        machine(&event(GET), "{\"server\":\"s\"", &mut text);
        let expected = "{\"server\":\"s\",\"seconds\":1795805583,\"microseconds\":2422,\"order\":16,\"type\":\"item_get\",\
            \"key\":\"a\\u0001 b\",\"status\":\"found\",\"clsid\":1,\"cfd\":16,\"size\":3}\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let mut text = Vec::new();
        machine(
            &event(b"ts=1.2 gid=9 type=proxy_req elapsed=112 type=105 be=1:2 detail= req=mg 7\n"),
            "{\"s\":1",
            &mut text,
        );
        let expected = "{\"s\":1,\"seconds\":1,\"microseconds\":2,\"order\":9,\"type\":\"proxy_req\",\"elapsed\":112,\
            \"reply_type\":105,\"be\":\"1:2\",\"detail\":\"\",\"req\":\"mg 7\"}\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn filters() {
        let takes = |filters: &[&str]| {
            let words = filters.iter().flat_map(|filter| ["-w", filter]);
            <Watch as clap::Parser>::parse_from(std::iter::once("watch").chain(words)).takes(&event(GET))
        };
        assert!(takes(&[]) && takes(&["key=a*b"]) && takes(&["status=found", "size=3", "type=item_*"]));
        assert!(!takes(&["status=found", "size=4"]) && !takes(&["none=*"]) && !takes(&["key=b"]));
    }
}
