//! doctor: what is wrong, what it means, and what to do next. The judgements are `inspect::memcached::doctor`'s; here the
//! snapshot is made that they look at, and told what they said. Longer than most, because a snapshot has many sources.
//!
//! Exit status: 0 nothing, or only notes; 1 a warning, something critical, or no statistics to judge by; others as for
//! every verb.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::{Failure, duration};
use super::conns::{connections, host};
use super::explain::explain;
use super::options::Shared;
use super::server::{Over, Server, Session};
use super::stats::{optional, told_flags};
use super::{Answer, Ask, Outcome};
use crate::applet::Context;
use crate::inspect::Level;
use crate::inspect::memcached::doctor::{CHECKS, Caller, Finding, Host, Snapshot, examine};
use crate::inspect::memcached::tables::classes;
use crate::inspect::memcached::{Flags, SERVICE, capacity, is_client};
use crate::inspect::service::{How, Place, in_target};
use crate::net::address::numeric;
use crate::net::{Address, certificate, reason};
use crate::output::{Safe, json::Object, units};
use crate::target::machine::Clock;

/// The most of a file with certificates.
const MAX_CERTIFICATES: usize = 1 << 20;

/// Say what is wrong, what it means, and what to do next
///
/// Without --interval it judges what was counted since the server's start. Where the server is the target's process, its memory,
/// descriptors, threads and control group are looked at as well.
#[derive(clap::Parser)]
#[command(
    name = "memcached doctor",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] doctor [--interval TIME] [--diff FLAGS]"
)]
pub struct Doctor {
    #[command(flatten)]
    shared: Shared,
    /// Look twice, and judge what happened in between
    #[arg(long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,
    /// What it should run with: "-m 256 -c 2048"; else the command line of the target's process
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    diff: Option<OsString>,
}

impl Ask for Doctor {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn has_heading(&self) -> bool {
        false
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let flags = told_flags(self.diff.as_deref())?;
        let snapshot = self.look(cx, server, flags)?;
        let findings = examine(&snapshot);
        let count = |level| findings.iter().filter(|found| found.diagnosis.level == level).count();
        let counts = [count(Level::Fail), count(Level::Warn), count(Level::Note), count(Level::Unknown)];
        if !self.shared.json {
            self.tell(cx, server, &snapshot, &findings, counts)?;
        }
        // Who was told nothing has not found it well.
        let bad = counts[0] + counts[1] > 0 || findings.iter().any(|found| found.check == "statistics");
        Ok(Answer::new(u8::from(bad), self.machine(&snapshot, &findings, counts)))
    }
}

impl Doctor {
    fn look(&self, cx: &Context<'_>, server: &mut Server, flags: Option<Flags>) -> Result<Snapshot, Failure> {
        let timeout = self.shared.timeout;
        let mut session = server.open(cx, &self.shared)?;
        let mut snapshot =
            Snapshot { probe: again(server), connect: session.connect, answer: session.answer, ..Snapshot::default() };
        self.sample(cx, server, &mut session, &mut snapshot)?;
        if let Some(interval) = self.interval {
            let started = Instant::now();
            snapshot.before = Some(std::mem::take(&mut snapshot.now));
            snapshot.classes_before = std::mem::take(&mut snapshot.classes);
            let first = snapshot.host.take();
            session.look_again(cx, server, &self.shared, interval, &mut |server, session| {
                self.sample(cx, server, session, &mut snapshot)
            })?;
            snapshot.seconds = started.elapsed().as_secs_f64();
            if let (Some(host), Some(first)) = (&mut snapshot.host, first) {
                host.since(first);
            }
        }
        snapshot.settings = optional(server, &mut session, "settings", timeout)?;
        let conns = connections(server, &mut session, snapshot.value("curr_connections"), timeout)?;
        snapshot.capacity = snapshot.value("max_connections").and_then(|most| capacity(&conns, most));
        let clients = conns.into_values().filter(is_client);
        snapshot.callers = clients
            .map(|row| Caller {
                host: host(row.text("addr").unwrap_or_default()),
                idle: row.number("secs_since_last_cmd").unwrap_or(0),
            })
            .collect();
        snapshot.flags = flags.or_else(|| server.process.as_ref().map(|process| process.flags.clone()));
        snapshot.expiries = expiries(cx, &snapshot);
        let shown = session.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        snapshot.expiries.extend(shown.map(|certificate| certificate.not_after));
        Ok(snapshot)
    }

    fn sample(
        &self,
        cx: &Context<'_>,
        server: &Server,
        session: &mut Session,
        snapshot: &mut Snapshot,
    ) -> Result<(), Failure> {
        let timeout = self.shared.timeout;
        let general = session.client.stats(None).map_err(|trouble| explain(server, &trouble, timeout))?;
        snapshot.clock = u64::try_from(Clock::now().now).ok();
        let slabs = optional(server, session, "slabs", timeout)?;
        let items = optional(server, session, "items", timeout)?;
        snapshot.classes = classes(&slabs, &items);
        snapshot.now = general;
        let told = snapshot.value("pid");
        match process(cx, server, told) {
            Ok(host) => snapshot.host = Some(host),
            Err(why) => snapshot.why_no_host = why,
        }
        Ok(())
    }

    fn tell(
        &self,
        cx: &mut Context<'_>,
        server: &Server,
        snapshot: &Snapshot,
        findings: &[Finding],
        counts: [usize; 4],
    ) -> Outcome<()> {
        let out = &mut cx.io.out;
        let text = |name: &str| snapshot.now.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value);
        let version = Safe(text("version").map_or(&b"-"[..], Vec::as_slice)).to_string();
        let uptime = snapshot.value("uptime").map_or_else(|| String::from("-"), units::duration);
        let judged = match snapshot.before {
            Some(_) => format!("judged by {:.1} s", snapshot.seconds),
            None => String::from("judged by all since its start (--interval 5s: by now)"),
        };
        writeln!(out, "{}  memcached {version}  up {uptime}  {judged}", Safe(&server.address()))?;
        let mut unseen: Vec<(&str, Vec<&str>)> = Vec::new();
        for Finding { check, diagnosis } in findings {
            let word = match diagnosis.level {
                Level::Fail => "CRIT",
                Level::Warn => "WARN",
                Level::Note | Level::Ok => "NOTE",
                Level::Unknown => {
                    match unseen.iter_mut().find(|(why, _)| *why == diagnosis.evidence) {
                        Some((_, checks)) => checks.push(check),
                        None => unseen.push((&diagnosis.evidence, vec![check])),
                    }
                    continue;
                }
            };
            writeln!(out, "{word}  {check:<15} {}", diagnosis.evidence)?;
            writeln!(out, "{:22}{}", "", diagnosis.meaning)?;
            writeln!(out, "{:22}-> {}", "", diagnosis.next)?;
        }
        for (why, checks) in unseen {
            writeln!(out, "not looked at: {} ({why})", checks.join(", "))?;
        }
        let quiet = CHECKS.len() - findings.len();
        let mut named = String::new();
        for (count, one, more) in
            [(counts[0], "critical", "critical"), (counts[1], "warning", "warnings"), (counts[2], "note", "notes")]
        {
            match count {
                0 => {}
                1 => named += &format!("1 {one}, "),
                _ => named += &format!("{count} {more}, "),
            }
        }
        writeln!(out, "{named}{quiet} checks found nothing")?;
        Ok(())
    }

    fn machine(&self, snapshot: &Snapshot, findings: &[Finding], counts: [usize; 4]) -> Object {
        let mut data = Object::new();
        match snapshot.now.iter().find(|(name, _)| name == b"version") {
            Some((_, version)) => data.bytes("version", version),
            None => data.null("version"),
        };
        data.number("uptime_seconds", snapshot.value("uptime"))
            .float("interval_seconds", snapshot.before.as_ref().map(|_| snapshot.seconds))
            .number("process", snapshot.host.as_ref().and_then(|host| u64::try_from(host.pid).ok()));
        let names = ["critical", "warnings", "notes", "unknown"];
        for (name, count) in names.into_iter().zip(counts) {
            data.number(name, Some(count as u64));
        }
        data.number("silent", Some((CHECKS.len() - findings.len()) as u64));
        let each = findings.iter().map(|Finding { check, diagnosis }| {
            let mut object = Object::new();
            object
                .text("check", check)
                .text("level", diagnosis.level.name())
                .text("evidence", &diagnosis.evidence)
                .text("meaning", diagnosis.meaning)
                .text("next", &diagnosis.next);
            object
        });
        data.objects("findings", each);
        data
    }
}

/// The words that ask the same server again.
pub fn again(server: &Server) -> String {
    if server.place.how != How::Named {
        return String::from("probe memcached");
    }
    let address = server.address();
    let plain = address.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/@".contains(byte));
    let scheme = match server.over {
        Over::Plain => "",
        Over::Tls => "tls://",
        Over::Datagrams => "udp://",
    };
    let address = format!("{scheme}{}", Safe(&address));
    match plain {
        true => format!("probe memcached {address}"),
        false => format!("probe memcached '{}'", address.replace('\'', r"'\''")),
    }
}

/// The server's process, or why it is not looked at.
fn process(cx: &Context<'_>, server: &Server, told: Option<u64>) -> Result<Host, String> {
    let pid = match &server.process {
        Some(process) => process.pid,
        None => same_process(cx, server).ok_or("it is not the target's process, as far as we see")?,
    };
    match Host::of(cx.files, pid, told) {
        Ok(Some(host)) => Ok(host),
        Ok(None) => Err(format!("process {pid} is not the one that answered")),
        Err(error) => Err(format!("process {pid}: {}", reason(&error))),
    }
}

/// A server that was named may be the target's all the same: on a loopback that we share, at the port of its own.
fn same_process(cx: &Context<'_>, server: &Server) -> Option<i32> {
    let own = Place::find(&SERVICE, cx.files.target());
    let same = match (&server.place.address, &own.address) {
        (Address::Host(host, port), Address::Host(_, other)) => {
            let local = match numeric(host, *port) {
                Some(address) => address.ip().is_loopback(),
                None => host.eq_ignore_ascii_case(b"localhost"),
            };
            local && port == other && own.shared == Some(true)
        }
        (Address::Unix(path), Address::Unix(other)) => path == other,
        _ => false,
    };
    own.process.filter(|_| same)
}

/// Of the certificates in the files that its settings name, where they are ours to read.
fn expiries(cx: &Context<'_>, snapshot: &Snapshot) -> Vec<i64> {
    if snapshot.host.is_none() || snapshot.setting("ssl_enabled") != Some(b"yes") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for name in ["ssl_chain_cert", "ssl_ca_cert"] {
        let Some(path) = snapshot.setting(name).filter(|path| path.starts_with(b"/")) else { continue };
        let path = in_target(path);
        let file = cx.files.text(Path::new(OsStr::from_bytes(&path)), MAX_CERTIFICATES).unwrap_or_default();
        found.extend(certificate::all(&file).iter().map(|certificate| certificate.not_after));
    }
    found
}
