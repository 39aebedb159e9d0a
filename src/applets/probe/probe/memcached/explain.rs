//! What a failed conversation means: one line with the cause and the option that helps, and an exit status by category.

use std::io;
use std::time::Duration;

use super::super::{Failure, elsewhere};
use super::server::{Over, Server};
use crate::applet::Context;
use crate::inspect::service::How;
use crate::net::tls;
use crate::output::Safe;
use crate::protocol::memcached::client::{Error as Trouble, Login};
use crate::protocol::memcached::text::{Malformed, Refusal};
use crate::protocol::memcached::wire::Partly;
use crate::target::process::Reader;

/// The exit status of a category.
fn status(kind: &str) -> u8 {
    match kind {
        "not-sent" | "not-confirmed" => 2,
        "timeout" => 4,
        "protocol" => 5,
        "refused-by-server" => 6,
        "login" => 7,
        "tls" => 8,
        _ => 3,
    }
}

pub fn kind_failure(kind: &'static str, message: String) -> Failure {
    Failure { kind, message, status: status(kind) }
}

/// No connection came about.
pub fn unconnected(cx: &Context<'_>, server: &Server, error: &io::Error, timeout: Duration) -> Failure {
    let Failure { kind, mut message, .. } = Failure::network(error, &format!(": no connection in {timeout:?}"));
    if server.place.is_elsewhere() || server.place.is_foreign() {
        message.push_str(&format!("; {}", elsewhere(cx)));
    } else if let How::Default(_) = server.place.how {
        message.push_str(&format!(" ({})", server.place.how));
    } else if kind == "timeout" {
        message.push_str(" (its limit of connections with no_maxconns_fast, a firewall, or a host that is down)");
    }
    kind_failure(kind, message)
}

pub fn closed(received: usize) -> Failure {
    match received {
        0 => kind_failure(
            "closed",
            String::from("closed without an answer (no memcached, a command that it does not take, or idle_timeout)"),
        ),
        _ => kind_failure("protocol", format!("closed in the middle of an answer, after {received} bytes")),
    }
}

/// Before the first byte of an answer.
pub fn reset() -> Failure {
    let text = "connection reset without an answer (no memcached, or something between that resets)";
    kind_failure("closed", String::from(text))
}

pub fn explain(server: &Server, trouble: &Trouble, timeout: Duration) -> Failure {
    match trouble {
        Trouble::Io(error) => interrupted(server, error, timeout),
        Trouble::Closed(received) => closed(*received),
        Trouble::Malformed(Malformed::TooLong) => {
            kind_failure("protocol", String::from("an answer longer than any memcached's"))
        }
        Trouble::Malformed(Malformed::Foreign(name, line)) => {
            let hint = match name {
                Some("memcached's binary protocol") => return kind_failure("protocol", binary_damage(line)),
                Some("memcached") => String::from(", but its text protocol: use --proto text"),
                Some("TLS") => return kind_failure("tls", String::from("it speaks TLS: use --tls")),
                Some(name) => format!(", this looks like {name}"),
                None => String::new(),
            };
            kind_failure("protocol", format!("not memcached{hint}: {}", Safe(line)))
        }
        Trouble::Unexpected => {
            kind_failure("protocol", String::from("an answer to another question: not memcached, or out of step"))
        }
        Trouble::Login(Login::Text) => kind_failure(
            "login",
            String::from("login required (memcached -Y): CLIENT_ERROR unauthenticated; use -u USER"),
        ),
        Trouble::Login(Login::Sasl) => {
            kind_failure("login", String::from("login required (memcached -S, SASL PLAIN): use -u USER"))
        }
        Trouble::Denied(text) => {
            let user = server.credentials.as_ref().map(|credentials| {
                let origin = credentials.origin.map(|origin| format!(" from {origin}")).unwrap_or_default();
                format!(" as {}{origin}", Safe(&credentials.user))
            });
            kind_failure("login", format!("login{} refused: {}", user.unwrap_or_default(), Safe(text)))
        }
        Trouble::Refused(refusal) => refused(refusal),
        Trouble::Output(error) => kind_failure("network", crate::net::reason(error)),
    }
}

fn binary_damage(line: &[u8]) -> String {
    match line {
        b"lengths that contradict" => String::from("a damaged answer in the binary protocol: lengths that contradict"),
        _ => String::from("it answers in the binary protocol: use --proto binary"),
    }
}

/// An answer, and no good one.
fn refused(refusal: &Refusal) -> Failure {
    let hint = match refusal {
        Refusal::Unknown(text) if text.starts_with(b"Too many open connections") => {
            "; it is at its limit: more -c, or clients that leak connections ('netstat' beside it shows whose)"
        }
        Refusal::Server(text) if text.starts_with(b"object too large") => {
            "; -I is its limit, and what the key held before is deleted"
        }
        Refusal::Server(text) if text.starts_with(b"out of memory") => {
            "; -M, or no page for this size: 'slabs' shows which"
        }
        Refusal::Client(text) if text.starts_with(b"cannot increment") => "; the value is no number",
        Refusal::Unknown(text) | Refusal::Client(text) if ends(text, b"dump not allowed") => {
            "; it was started with -X, which hides the keys"
        }
        Refusal::Client(text) if ends(text, b"watch commands not allowed") => "; it was started with -W",
        Refusal::Client(text) if ends(text, b"flush_all not allowed") => "; it was started with -F",
        Refusal::Client(text) if ends(text, b"lru crawler disabled") => "; \"raw 'lru_crawler enable'\" changes that",
        Refusal::Busy(text) if ends(text, b"crawler request") => {
            "; somebody else lists keys, or expired items are collected"
        }
        Refusal::Unknown(text) if text.starts_with(b"locked") => "; its crawler is in use",
        Refusal::Unknown(text) if text.is_empty() => "; the server does not know this command",
        _ => "",
    };
    kind_failure("refused-by-server", format!("{refusal}{hint}"))
}

fn ends(text: &[u8], words: &[u8]) -> bool {
    text.ends_with(words)
}

/// What a network error in the middle of a conversation means.
fn interrupted(server: &Server, error: &io::Error, timeout: Duration) -> Failure {
    if tls::Failure::of(error).is_some() || (server.over == Over::Tls && error.kind() == io::ErrorKind::InvalidData) {
        return kind_failure("tls", error.to_string());
    }
    if let Some(partly) = Partly::of(error) {
        return match error.kind() {
            io::ErrorKind::TimedOut => {
                kind_failure("timeout", format!("stopped {partly}: no end of it in {timeout:?}"))
            }
            _ => kind_failure("protocol", format!("connection reset {partly}")),
        };
    }
    let Failure { kind, mut message, .. } = Failure::network(error, &format!(": no answer in {timeout:?}"));
    match (kind, server.over) {
        // How many came is the error's text.
        ("timeout", Over::Datagrams) if error.get_ref().is_some() => {
            message = format!("{error} in {timeout:?}: UDP sends none again; TCP (no udp://) loses none");
        }
        ("timeout", Over::Datagrams) => message.push_str(
            " (UDP drops without a word: is it on, -U? It takes only short requests, and lost datagrams are not sent again)",
        ),
        ("refused", Over::Datagrams) => message.push_str(" (nobody listens for UDP there; memcached does with -U PORT)"),
        ("closed", Over::Plain) if !server.answered => message.push_str(" (a TLS port? try --tls)"),
        ("closed", Over::Tls) => message.push_str(" (perhaps it wants a client certificate: --cert and --key)"),
        _ => {}
    }
    kind_failure(kind, message)
}

/// Whether a process is stopped by a signal.
pub fn stopped(pid: i32) -> bool {
    let stat = Reader::open().ok().and_then(|mut reader| reader.stat(pid).ok());
    stat.is_some_and(|stat| matches!(stat.state, b'T' | b't'))
}
