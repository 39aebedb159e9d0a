//! probe: asks a server how it is. No standard.
//!
//! The first word names the kind of server; each kind has its file below `probe/`, which this one only dispatches to:
//! they share a name, the options and the ways to fail.
//!
//! Exit status: 0 healthy; 1 a warning or an unhealthy answer; 2 it could not be asked. memcached has more of them, and tells
//! why there is no answer. With `--json` one object on standard output, also for a failure.

mod etcd;
mod memcached;

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::applet::{self, Applet, Context, Error, Exit, Place, Result};
use crate::inspect::relaunch::Relaunch;
use crate::inspect::service::{self, Service};
use crate::inspect::{Finding, verdict};
use crate::net::dial::{Connection, tcp, unix};
use crate::net::{Address, Deadline, Family, Resolver, reason};
use crate::output::Safe;
use crate::output::json::Object;

pub static APPLET: Applet = Applet { names: &["probe"], usage, run, place: Place::Child, trouble: 2 };

fn usage() -> clap::Command {
    clap::Command::new("probe")
        .about("Ask a server how it is: memcached, etcd")
        .subcommands([memcached::usage(), etcd::usage()])
        .disable_help_subcommand(true)
        .override_usage("probe memcached [ADDRESS] [VERB ...]\n       probe etcd [ENDPOINT]")
        .after_help(
            "With no address, the target's own listener is probed. 'probe SERVER --help' tells more.\n\
             Exit status: 0 healthy, 1 a warning or an unhealthy answer, 2 and above: it could not be asked.",
        )
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    match cx.args.first().map(|word| word.as_bytes()) {
        Some(b"memcached") => {
            cx.args.remove(0);
            memcached::run(cx)
        }
        Some(b"etcd") => {
            cx.args.remove(0);
            etcd::run(cx)
        }
        Some(word) if !word.starts_with(b"-") => {
            Err(Error::usage(format_args!("{}: no such kind of server, but memcached and etcd", Safe(word))))
        }
        Some(b"--help") => {
            cx.io.out.write_all(applet::help(&APPLET).as_bytes())?;
            Ok(Exit(0))
        }
        _ => Err(Error::usage("needs the kind of server first: memcached or etcd")),
    }
}

/// What every kind takes.
#[derive(clap::Args)]
struct Manner {
    /// Limit for everything together: 2s, 500ms, 1m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    timeout: Duration,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> std::result::Result<Duration, &'static str> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err("a time is a number and ms, s or m"),
    };
    let seconds: f64 = digits.parse().map_err(|_| "a time is a number and ms, s or m")?;
    Duration::try_from_secs_f64(seconds * unit).ok().filter(|time| !time.is_zero()).ok_or("a time is more than nothing")
}

/// A conversation that failed: what machines and people are told, and the exit status.
struct Failure {
    kind: &'static str,
    message: String,
    status: u8,
}

impl Failure {
    fn new(kind: &'static str, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into(), status: 2 }
    }

    /// What the network did, while `doing` something.
    fn network(error: &io::Error, doing: &str) -> Failure {
        let kind = match error.kind() {
            io::ErrorKind::TimedOut => "timeout",
            io::ErrorKind::ConnectionRefused => "refused",
            io::ErrorKind::NotFound => "not-found",
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "unreachable",
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "closed",
            io::ErrorKind::PermissionDenied => "denied",
            _ => "network",
        };
        let message = match error.kind() {
            io::ErrorKind::TimedOut => format!("{}{doing}", reason(error)),
            _ => reason(error),
        };
        Failure::new(kind, message)
    }
}

/// What is said of a server that is in another network: the line that starts a sidecar in that one.
fn elsewhere(cx: &Context<'_>) -> String {
    let relaunch = cx.files.target().map_or_else(|_| Relaunch::unknown(), Relaunch::of);
    let line = relaunch.beside("podman");
    format!("in the target's network, which is not ours: {line}; 'why net' tells more")
}

/// One server that is probed.
struct Probe {
    /// What it should be.
    kind: &'static [u8],
    place: service::Place,
    deadline: Deadline,
    timeout: Duration,
    json: bool,
}

impl Probe {
    /// The address that was named, or the target's own.
    fn new(cx: &Context<'_>, service: &Service, named: Option<Address>, manner: &Manner) -> Probe {
        let target = cx.files.target();
        let place = match named {
            Some(address) => service::Place::named(address, target),
            None => service::Place::find(service, target),
        };
        let deadline = Deadline::after(manner.timeout);
        Probe { kind: service.comm, place, deadline, timeout: manner.timeout, json: manner.json }
    }

    /// The address as text: untrusted bytes, if it came from a command line.
    fn address(&self) -> Vec<u8> {
        self.place.address.to_bytes()
    }

    fn connect(&self, cx: &Context<'_>) -> std::result::Result<Connection, Failure> {
        let found = self.place.how != service::How::Named;
        if found && self.place.is_elsewhere() {
            return Err(Failure::new("network-not-shared", elsewhere(cx)));
        }
        let connected = match &self.place.address {
            Address::Unix(path) => cx.files.reach(path).and_then(|reached| unix(reached.path(), self.deadline)),
            Address::Host(host, port) => Resolver::of_system()
                .lookup(host, *port, Family::Any, self.deadline)
                .and_then(|addresses| tcp(&addresses, 0, self.deadline)),
        };
        connected.map_err(|error| {
            let mut failure = Failure::network(&error, &format!(": no connection in {:?}", self.timeout));
            if self.place.is_elsewhere() || self.place.is_foreign() {
                failure.message.push_str(&format!("; {}", elsewhere(cx)));
            } else if let service::How::Default(_) = self.place.how {
                failure.message.push_str(&format!(" ({})", self.place.how));
            }
            failure
        })
    }

    /// What a network error in the middle of a conversation means.
    fn interrupted(&self, error: &io::Error) -> Failure {
        let mut failure = Failure::network(error, &format!(": no answer in {:?}", self.timeout));
        if failure.kind == "closed" {
            failure.message.push_str(&format!(" ({})", self.otherwise()));
        }
        failure
    }

    /// What a server is that hangs up on the first words.
    fn otherwise(&self) -> String {
        format!("not {}, or TLS, which a later version speaks", Safe(self.kind))
    }

    fn closed(&self, received: usize) -> Failure {
        Failure::new(
            "closed",
            match received {
                0 => format!("closed without an answer ({})", self.otherwise()),
                _ => format!("closed in the middle of an answer, after {received} bytes"),
            },
        )
    }

    /// An object that says which server it is about.
    fn object(&self) -> Object {
        let mut object = Object::new();
        object.bytes("address", &self.address()).text("found_by", self.place.how.name());
        object
    }

    fn print(&self, cx: &mut Context<'_>, object: Object) -> Result<()> {
        Ok(writeln!(cx.io.out, "{}", object.finish())?)
    }

    /// Ends the command with a failure, said once for people and once for machines.
    fn fail(&self, cx: &mut Context<'_>, failure: Failure) -> Result<Exit> {
        if self.json {
            let mut error = Object::new();
            error.text("kind", failure.kind).text("message", &failure.message);
            let mut object = self.object();
            object.object("error", error);
            self.print(cx, object)?;
        }
        cx.note(format_args!("{}: {}", Safe(&self.address()), failure.message));
        Ok(Exit(failure.status))
    }

    /// The lines of a report, its findings and the verdict.
    fn report(&self, cx: &mut Context<'_>, lines: &[(&str, String)], findings: &[Finding]) -> Result<Exit> {
        let verdict = verdict(findings);
        let out = &mut cx.io.out;
        writeln!(out, "{:<12} {} ({})", "address", Safe(&self.address()), self.place.how)?;
        for (name, value) in lines {
            writeln!(out, "{name:<12} {value}")?;
        }
        for finding in findings {
            writeln!(out, "{:<12} {}: {}", finding.level.name(), finding.subject, finding.text)?;
        }
        writeln!(out, "{:<12} {}", "verdict", verdict.name())?;
        Ok(Exit(verdict.status()))
    }

    /// The same for machines; `object` has the facts.
    fn report_json(&self, cx: &mut Context<'_>, mut object: Object, findings: &[Finding]) -> Result<Exit> {
        let verdict = verdict(findings);
        let each = findings.iter().map(|finding| {
            let mut object = Object::new();
            object.text("level", finding.level.name()).text("subject", finding.subject).text("text", &finding.text);
            object
        });
        object.objects("findings", each).text("verdict", verdict.name());
        self.print(cx, object)?;
        Ok(Exit(verdict.status()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    #[test]
    fn times() {
        for (text, milliseconds) in [("2s", 2000), ("500ms", 500), ("1.5", 1500), ("1m", 60_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in ["", "s", "0", "-1s", "1h", "NaN", "1e99s", "1s1"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    fn said(args: &[&str], status: u8, err: &str) {
        let expected = Captured { status, out: String::new(), err: format!("probe: {err}\n") };
        assert_eq!(capture(&APPLET, args, b""), expected);
    }

    #[test]
    fn wrong_uses() {
        let hint = "(see 'probe --help')";
        said(&[], 2, &format!("needs the kind of server first: memcached or etcd {hint}"));
        said(&["redis"], 2, &format!("redis: no such kind of server, but memcached and etcd {hint}"));
        said(&["memcached", "h:x"], 2, &format!("h:x: a port is a number from 1 to 65535 {hint}"));
        said(&["memcached", "h", "flush"], 2, &format!("flush: no such verb, did you mean 'flush_all'? {hint}"));
        said(&["memcached", "h", "sttas"], 2, &format!("sttas: no such verb, did you mean 'stats'? {hint}"));
        said(&["memcached", "get"], 2, &format!("get needs a KEY {hint}"));
        said(&["memcached", "set"], 2, &format!("set needs a KEY {hint}"));
        let password = format!("-u needs --password-file FILE, or MEMCACHED_PASSWORD {hint}");
        said(&["memcached", "h", "-u", "alice", "get", "k"], 2, &password);
        said(&["memcached", "stats", "a\r\nflush_all"], 2, "a\\r\\nflush_all: not a name of statistics");
        said(
            &["memcached", "stats", "sizes_enable"],
            2,
            "stats sizes_enable: is not safe with threads, and never asked",
        );
        said(&["memcached", "get", "a\nb"], 2, {
            "a\\nb: a key has no spaces and no control characters; 'meta' sends it as base64: flag b"
        });
    }

    #[test]
    fn help_of_all_and_of_each() {
        for (args, words) in [(&["--help"][..], "probe etcd [ENDPOINT]"), (&["etcd", "--help"], "Usage: probe etcd")] {
            let help = capture(&APPLET, args, b"");
            assert_eq!((help.status, help.err.as_str()), (0, ""));
            assert!(help.out.contains(words), "{}", help.out);
        }
    }
}
