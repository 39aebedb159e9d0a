//! probe etcd: the verbs, and what they have in common: which cluster is asked, and how answers and failures are told to
//! people and to machines.
//!
//! Exit status: 0 yes, healthy, done; 1 a warning, an unhealthy answer, a meaningful no; 2 a wrong use, or no answer.
//! Longer than most, because the tables of verbs and options are.

mod bench;
mod defrag;
mod door;
mod events;
mod hash;
mod k8s;
mod snapshot;
mod space;
mod top;
mod verdict;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, duration};
use crate::applet::{Context, Error, Exit, Result, nearest_of};
use crate::inspect::etcd::cluster::size;
use crate::inspect::service::How;
use crate::output::json::Object;
use crate::output::{Safe, units::span};
use crate::protocol::etcd;
use door::Door;

/// Ask an etcd how its cluster is, what takes its space, and to look after itself
#[derive(clap::Parser)]
#[command(name = "etcd", override_usage = "probe etcd [OPTIONS] [ENDPOINT] [VERB [ARGUMENTS]]")]
struct Options {
    /// Limit for an answer; of 'defrag', none: 2s, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Write JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Believe servers that these authorities vouch for
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Show this certificate
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The certificate's key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Believe any server
    #[arg(long)]
    insecure: bool,
    /// Log in as this user
    #[arg(long, value_name = "NAME[:PASSWORD]")]
    user: Option<OsString>,
    /// File with the password, '-' for standard input; else ETCDCTL_PASSWORD
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The verdict: judge what happens in this time, not since the members' start
    #[arg(long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,
    /// top: how many levels of a key make its group
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// top: so many rows; events, latency: end after so many
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// top, k8s, hash: at this revision; events: from this one on
    #[arg(long, value_name = "N")]
    rev: Option<i64>,
    /// bench: so many at the same time, at most 64
    #[arg(long, value_name = "N")]
    streams: Option<usize>,
    /// bench: for this long, at most 60s
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    length: Option<Duration>,
    #[arg(hide = true)]
    words: Vec<OsString>,
}

impl Options {
    /// What an option was meant for, where it was given.
    fn given(&self) -> [(&'static str, bool); 6] {
        [
            ("--interval", self.interval.is_some()),
            ("--depth", self.depth.is_some()),
            ("--limit", self.limit.is_some()),
            ("--rev", self.rev.is_some()),
            ("--streams", self.streams.is_some()),
            ("--for", self.length.is_some()),
        ]
    }
}

/// One question, with all that it takes.
struct Asking<'a, 'c> {
    cx: &'a mut Context<'c>,
    options: Options,
    door: Door<'c>,
    words: Vec<OsString>,
}

/// Why a verb stopped.
enum Stop {
    Failure(Failure),
    Error(Error),
}

impl From<etcd::Failure> for Stop {
    fn from(failure: etcd::Failure) -> Stop {
        Stop::Failure(told(failure))
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// Of a write to standard output.
impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Error(error.into())
    }
}

impl Stop {
    fn new(kind: &'static str, message: impl Into<String>) -> Stop {
        Stop::Failure(Failure::new(kind, message))
    }
}

type Outcome<T> = std::result::Result<T, Stop>;

/// A row of the table of verbs.
struct Verb {
    name: &'static str,
    arguments: &'static str,
    about: &'static str,
    /// How many words it takes.
    least: usize,
    most: usize,
    /// Which of the options that are not for all.
    options: &'static [&'static str],
    run: fn(&mut Asking<'_, '_>) -> Outcome<Exit>,
}

const HEALTH: Verb = Verb {
    name: "health",
    arguments: "",
    about: "report with a verdict; the default",
    least: 0,
    most: 0,
    options: &["--interval"],
    run: verdict::run,
};

static VERBS: [Verb; 11] = [
    HEALTH,
    Verb {
        name: "space",
        arguments: "",
        about: "where the bytes are, and the steps that give them back",
        options: &[],
        run: space::run,
        ..HEALTH
    },
    Verb {
        name: "top",
        arguments: "[PREFIX]",
        about: "the largest groups of keys, and the largest keys",
        most: 1,
        options: &["--depth", "--limit", "--rev"],
        run: top::run,
        ..HEALTH
    },
    Verb {
        name: "k8s",
        arguments: "KEY",
        about: "what Kubernetes stored there, decoded",
        least: 1,
        most: 1,
        options: &["--rev"],
        run: k8s::run,
    },
    Verb {
        name: "hash",
        arguments: "",
        about: "whether all members hold the same",
        options: &["--rev"],
        run: hash::run,
        ..HEALTH
    },
    Verb {
        name: "events",
        arguments: "[PREFIX]",
        about: "a line for each change, until interrupted",
        most: 1,
        options: &["--limit", "--rev"],
        run: events::run,
        ..HEALTH
    },
    Verb {
        name: "latency",
        arguments: "",
        about: "how long reads take, of each kind",
        options: &["--limit"],
        run: bench::latency,
        ..HEALTH
    },
    Verb {
        name: "bench",
        arguments: "",
        about: "how many writes it takes; its keys go at the end, after ^C with their lease",
        options: &["--streams", "--for"],
        run: bench::run,
        ..HEALTH
    },
    Verb {
        name: "defrag",
        arguments: "",
        about: "give unused space back: members one by one, the leader last",
        options: &[],
        run: defrag::run,
        ..HEALTH
    },
    Verb {
        name: "snapshot",
        arguments: "FILE",
        about: "save all of it, checked on the way",
        least: 1,
        most: 1,
        options: &[],
        run: snapshot::run,
    },
    Verb { name: "status", about: "the same as health", ..HEALTH },
];

const MORE: &str = "\
ENDPOINT is HOST[:PORT], http:// or https://HOST[:PORT], or a path (@/PATH in the target); several with commas between, the
first that answers is taken. Without one: ETCDCTL_ENDPOINTS, else what the target's command line, environment or
configuration file say, else where it listens, else 127.0.0.1:2379; with TLS by its own certificate, if it can be read.
--cacert, --cert, --key and --user may also be ETCDCTL_CACERT and so on.
Exit 1 when it or its cluster is not healthy, 2 when it could not be asked.";

pub fn usage() -> clap::Command {
    let line = |verb: &Verb| {
        let words = format!("{} {}", verb.name, verb.arguments);
        format!("  {:<14} {}\n", words.trim_end(), verb.about)
    };
    let verbs: String = VERBS.iter().take(VERBS.len() - 1).map(line).collect();
    <Options as clap::CommandFactory>::command().after_help(format!("Verbs:\n{verbs}\n{MORE}"))
}

pub fn run(cx: &mut Context<'_>) -> Result<Exit> {
    if cx.args.iter().any(|arg| arg == "--help") {
        let help = clap::Arg::new("help").long("help").action(clap::ArgAction::Help).help("Print this help");
        let text = usage().disable_help_flag(true).arg(help).render_help().to_string();
        writeln!(cx.io.out, "{}", text.trim_end())?;
        return Ok(Exit(0));
    }
    let mut options: Options = cx.parse()?;
    let mut words = std::mem::take(&mut options.words);
    let (named, verb) = split(&mut words)?;
    if words.len() < verb.least {
        return Err(Error::usage(format_args!("{} needs {}", verb.name, verb.arguments)));
    }
    if let Some(word) = words.get(verb.most) {
        return Err(Error::usage(format_args!("{}: {} takes no such word", Safe::os(word), verb.name)));
    }
    for (option, given) in options.given() {
        if given && !verb.options.contains(&option) {
            return Err(Error::usage(format_args!("{option} is not for {}", verb.name)));
        }
    }
    let door = door::open(cx, &options, named.as_deref())?;
    let mut asking = Asking { cx, options, door, words };
    if asking.door.place.how != How::Named && asking.door.place.is_elsewhere() {
        return asking.fail(Failure::new("network-not-shared", super::elsewhere(asking.cx)));
    }
    match (verb.run)(&mut asking) {
        Ok(exit) => Ok(exit),
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::Failure(failure)) => asking.fail(failure),
    }
}

/// Takes the endpoint and the verb out of the words.
fn split(words: &mut Vec<OsString>) -> Result<(Option<OsString>, &'static Verb)> {
    let verb_of = |word: &OsStr| VERBS.iter().find(|verb| verb.name.as_bytes() == word.as_bytes());
    let Some(first) = words.first() else { return Ok((None, &HEALTH)) };
    if let Some(verb) = verb_of(first) {
        words.remove(0);
        return Ok((None, verb));
    }
    let named = words.remove(0);
    let Some(word) = words.first() else { return Ok((Some(named), &HEALTH)) };
    let Some(verb) = verb_of(word) else {
        let hint = nearest_of(&mut VERBS.iter().map(|verb| verb.name), word.as_bytes());
        let hint = hint.map(|name| format!(", did you mean '{name}'?")).unwrap_or_default();
        return Err(Error::usage(format_args!("{}: no such verb{hint}", Safe::os(word))));
    };
    words.remove(0);
    Ok((Some(named), verb))
}

/// What a failed call means, for machines and for people.
fn told(failure: etcd::Failure) -> Failure {
    match failure {
        etcd::Failure::At(mut tried) if tried.len() == 1 => match tried.pop() {
            Some((_, failure)) => told(failure),
            None => Failure::new("network", "no endpoint"),
        },
        etcd::Failure::Dial(error) if crate::net::tls::Failure::of(&error).is_none() => {
            Failure::network(&error, ": no connection")
        }
        failure => {
            let kind = match &failure {
                etcd::Failure::Dial(_) => "tls",
                etcd::Failure::Silent => "timeout",
                etcd::Failure::Closed(_) | etcd::Failure::Lost(_) => "closed",
                etcd::Failure::Status(_) => "refused-by-server",
                etcd::Failure::Login(_) => "login",
                etcd::Failure::Interrupted => "interrupted",
                etcd::Failure::At(_) => "network",
                _ => "protocol",
            };
            Failure::new(kind, failure.to_string())
        }
    }
}

impl Asking<'_, '_> {
    /// Ends the command with a failure, said once for people and once for machines.
    fn fail(&mut self, mut failure: Failure) -> Result<Exit> {
        if matches!(failure.kind, "tls" | "closed" | "refused")
            && let Some(hint) = &self.door.hint
        {
            failure.message = format!("{} ({hint})", failure.message);
        }
        let place = &self.door.place;
        if (place.is_elsewhere() || place.is_foreign()) && matches!(failure.kind, "refused" | "timeout" | "unreachable")
        {
            failure.message = format!("{}; {}", failure.message, super::elsewhere(self.cx));
        }
        if self.options.json {
            let mut error = Object::new();
            error.text("kind", failure.kind).text("message", &failure.message);
            let mut object = self.door.object();
            object.object("error", error);
            writeln!(self.cx.io.out, "{}", object.finish())?;
        }
        self.cx.note(format_args!("{}: {}", Safe(&self.door.address), failure.message));
        Ok(Exit(failure.status))
    }

    fn print(&mut self, object: Object) -> Outcome<()> {
        Ok(writeln!(self.cx.io.out, "{}", object.finish())?)
    }
}

/// The number, where it is one.
fn whole(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::APPLET;
    use crate::applet::{Captured, capture};
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Probes a server that gives this answer to whoever connects.
    #[expect(clippy::disallowed_methods)]
    fn probe(answer: &'static [u8], words: &[&str]) -> Captured {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            while let Ok((mut peer, _)) = listener.accept() {
                let _ = peer.read(&mut [0; 1024]);
                let _ = peer.write_all(answer);
            }
        });
        let done = capture(&APPLET, &[&["etcd", address.as_str()], words].concat(), b"");
        let hide = |text: String| text.replace(&address, "ADDRESS");
        Captured { status: done.status, out: hide(done.out), err: hide(done.err) }
    }

    fn captured(status: u8, out: &str, err: &str) -> Captured {
        Captured { status, out: out.into(), err: err.into() }
    }

    #[test]
    fn failures_are_one_line_each() {
        let line = |answer, line: &str| {
            assert_eq!(probe(answer, &[]), captured(2, "", &format!("probe: ADDRESS: {line}\n")));
        };
        line(b"ERROR\r\n", "not etcd: this looks like memcached");
        line(b"\x15\x03\x01\x00\x02\x02\x46", "this is a TLS port: https://");
        line(
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            "plain HTTP, not etcd's gRPC: the peer port, a metrics port, or not etcd",
        );
        let message = "not etcd: this looks like memcached";
        let json = format!(
            "{{\"address\":\"ADDRESS\",\"found_by\":\"named\",\"error\":{{\"kind\":\"protocol\",\"message\":\"{message}\"}}}}\n"
        );
        assert_eq!(
            probe(b"ERROR\r\n", &["space", "--json"]),
            captured(2, &json, &format!("probe: ADDRESS: {message}\n"))
        );
    }

    #[test]
    fn wrong_uses() {
        let said = |args: &[&str]| capture(&APPLET, &[&["etcd"], args].concat(), b"").err;
        let hint = "(see 'probe --help')";
        for (args, line) in [
            (&["http://h:0/"][..], "http://h:0/: a port is a number from 1 to 65535"),
            (&["h", "tpo"], "tpo: no such verb, did you mean 'top'?"),
            (&["h", "k8s"], "k8s needs KEY"),
            (&["h", "hash", "x"], "x: hash takes no such word"),
            (&["h", "--depth", "2"], "--depth is not for health"),
            (&["h", "--user", "root"], "--user needs NAME:PASSWORD, --password-file FILE, or ETCDCTL_PASSWORD"),
            (&["h", "--cert", "x"], "--cert and --key go together"),
            (&["h", "bench", "--streams", "65"], "--streams is at most 64"),
            (&["h", "bench", "--for", "2m"], "--for is at most 60s"),
        ] {
            assert_eq!(said(args), format!("probe: {line} {hint}\n"));
        }
        assert_eq!(said(&["http://localhost:1"]), "probe: http://localhost:1: connection refused\n");
    }
}
