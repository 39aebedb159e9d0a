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
use crate::net::reason;
use crate::output::Safe;

pub static APPLET: Applet = Applet { names: &["probe"], usage, run, place: Place::Child, trouble: 2 };

fn usage() -> clap::Command {
    clap::Command::new("probe")
        .about("Ask a server how it is: memcached, etcd")
        .subcommands([memcached::usage(), etcd::usage()])
        .disable_help_subcommand(true)
        .override_usage("probe memcached [ADDRESS] [VERB ...]\n       probe etcd [ENDPOINT] [VERB ...]")
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

fn duration(text: &str) -> std::result::Result<Duration, &'static str> {
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err("a time is a number and ms, s, m, h or d"),
    };
    let seconds: f64 = digits.parse().map_err(|_| "a time is a number and ms, s, m, h or d")?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::{Captured, capture};

    #[test]
    fn times() {
        for (text, milliseconds) in
            [("2s", 2000), ("500ms", 500), ("1.5", 1500), ("1m", 60_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
        }
        for text in ["", "s", "0", "-1s", "1w", "NaN", "1e99s", "1s1"] {
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

    /// Nagios reads standard output, and would take status 2 for CRITICAL.
    #[test]
    fn wrong_uses_of_the_plugin() {
        let hint = "(see 'probe --help')";
        for (args, why) in [
            (&["h:x", "health"][..], "h:x: a port is a number from 1 to 65535"),
            (&["h", "health", "--nosuch"], "unexpected argument '--nosuch' found"),
            (
                &["-s", "h", "--min-uptime", "2w"],
                "invalid value '2w' for '--min-uptime <TIME>': a time is a number and ms, s, m, h or d",
            ),
            (&["h", "-u", "alice", "health"], "-u needs --password-file FILE, or MEMCACHED_PASSWORD"),
        ] {
            let said = capture(&APPLET, &[&["memcached"], args, &["--nagios"]].concat(), b"");
            assert_eq!(said, Captured { status: 3, out: format!("MEMCACHED UNKNOWN - {why}\n"), err: String::new() });
            let plain = capture(&APPLET, &[&["memcached"], args].concat(), b"");
            assert_eq!((plain.status, plain.err), (2, format!("probe: {why} {hint}\n")));
        }
    }

    #[test]
    fn help_of_all_and_of_each() {
        for (args, words) in
            [(&["--help"][..], "probe etcd [ENDPOINT] [VERB ...]"), (&["etcd", "--help"], "Usage: probe etcd")]
        {
            let help = capture(&APPLET, args, b"");
            assert_eq!((help.status, help.err.as_str()), (0, ""));
            assert!(help.out.contains(words), "{}", help.out);
        }
    }
}
