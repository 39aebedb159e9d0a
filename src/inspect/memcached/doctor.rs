//! What is wrong with a memcached, and what to do about it: a table of checks over a snapshot, which somebody else has
//! made. Each looks at one thing, and says something only where there is something to say.
//!
//! With two samples a check judges what happened between them; with one, what happened since the server's start.

mod cache;
mod clients;
mod machine;
mod server;

use std::time::Duration;

pub use machine::Host;

use super::Flags;
use super::tables::Class;
use crate::inspect::Level;
use crate::output::{order, units};
use crate::protocol::memcached::client::Stats;
use crate::protocol::memcached::text::number;

/// A client's connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Its address without the port.
    pub host: Vec<u8>,
    /// Seconds since its last command.
    pub idle: u64,
}

/// What was seen of one server.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The command that asks this server again: `probe memcached 10.0.0.1`.
    pub probe: String,
    pub connect: Duration,
    pub answer: Duration,
    /// `stats`, and the same some seconds before.
    pub now: Stats,
    pub before: Option<Stats>,
    pub seconds: f64,
    pub settings: Stats,
    pub classes: Vec<Class>,
    pub classes_before: Vec<Class>,
    /// Connections of clients, and how many there can be; nothing where it was not asked.
    pub callers: Vec<Caller>,
    pub capacity: Option<u64>,
    /// Our clock when `stats` was answered, in seconds since the epoch.
    pub clock: Option<u64>,
    /// What it was, or should have been, started with.
    pub flags: Option<Flags>,
    /// When the certificates that it uses expire, in seconds since the epoch.
    pub expiries: Vec<i64>,
    /// Its process, where that is ours to see, or why it is not.
    pub host: Option<Host>,
    pub why_no_host: String,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    pub level: Level,
    /// Safe to print.
    pub evidence: String,
    pub meaning: &'static str,
    /// The next step: a command line, or what to change in the server's.
    pub next: String,
}

impl Diagnosis {
    fn new(
        level: Level,
        evidence: impl Into<String>,
        meaning: &'static str,
        next: impl Into<String>,
    ) -> Option<Diagnosis> {
        Some(Diagnosis { level, evidence: evidence.into(), meaning, next: next.into() })
    }

    /// What could not be looked at.
    fn unknown(why: &str) -> Option<Diagnosis> {
        Diagnosis::new(Level::Unknown, why, "", "")
    }
}

/// One row of the table.
pub struct Check {
    pub name: &'static str,
    pub judge: fn(&Snapshot) -> Option<Diagnosis>,
}

macro_rules! checks {
    ($($name:literal $judge:path,)*) => { &[$(Check { name: $name, judge: $judge },)*] };
}

/// In the order in which they are told where they are equally bad.
pub const CHECKS: &[Check] = checks! {
    "answer" server::answer,
    "statistics" server::statistics,
    "connections" clients::connections,
    "killed" machine::killed,
    "memory" machine::memory,
    "out-of-memory" cache::out_of_memory,
    "no-evictions" cache::no_evictions,
    "too-large" cache::too_large,
    "slabs" cache::slabs,
    "evictions" cache::evictions,
    "hits" cache::hits,
    "flushes" cache::flushes,
    "uptime" server::uptime,
    "ttl" cache::ttl,
    "unfetched" cache::unfetched,
    "never-expiring" cache::never_expiring,
    "leak" clients::leak,
    "churn" clients::churn,
    "yields" clients::yields,
    "conflicts" clients::conflicts,
    "logins" clients::logins,
    "buffers" clients::buffers,
    "throttling" machine::throttling,
    "files" machine::files,
    "swap" machine::swap,
    "threads" machine::threads,
    "workers" machine::workers,
    "processor" machine::processor,
    "hash" server::hash,
    "background" server::background,
    "extstore" server::extstore,
    "proxy" server::proxy,
    "log" server::log,
    "certificate" server::certificate,
    "flags" server::flags,
    "exposure" server::exposure,
    "clock" server::clock,
    "version" server::version,
};

/// A check that has spoken.
pub struct Finding {
    pub check: &'static str,
    pub diagnosis: Diagnosis,
}

/// Worst first. What could not be looked at comes last.
pub fn examine(snapshot: &Snapshot) -> Vec<Finding> {
    let judged = |check: &Check| Some(Finding { check: check.name, diagnosis: (check.judge)(snapshot)? });
    let mut findings: Vec<Finding> = CHECKS.iter().filter_map(judged).collect();
    order::sort_by_key(&mut findings, |finding| match finding.diagnosis.level {
        Level::Fail => 0,
        Level::Warn => 1,
        Level::Note | Level::Ok => 2,
        Level::Unknown => 3,
    });
    findings
}

fn find<'a>(stats: &'a Stats, name: &str) -> Option<&'a [u8]> {
    stats.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
}

/// A number with decimals.
fn decimal(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// `part` of `whole`, of 1; nothing of nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(part: u64, whole: u64) -> String {
    match share(part, whole) * 100.0 {
        all if all > 99.0 && part < whole => String::from("99%"),
        some if some > 0.0 && some < 1.0 => String::from("1%"),
        some => format!("{some:.0}%"),
    }
}

impl Snapshot {
    pub fn value(&self, name: &str) -> Option<u64> {
        find(&self.now, name).and_then(number)
    }

    pub fn setting(&self, name: &str) -> Option<&[u8]> {
        find(&self.settings, name)
    }

    /// What a counter rose by between the samples, or since the start. Nothing where the server does not have it, or was
    /// started anew in between.
    fn rise(&self, name: &str) -> u64 {
        let now = self.value(name);
        let before = match &self.before {
            Some(before) => find(before, name).and_then(number),
            None => Some(0),
        };
        now.zip(before).and_then(|(now, before)| now.checked_sub(before)).unwrap_or(0)
    }

    /// How long the counters of [`Snapshot::rise`] have been counting.
    fn span(&self) -> f64 {
        match self.before {
            Some(_) => self.seconds.max(0.001),
            None => self.value("uptime").unwrap_or(0).max(1) as f64,
        }
    }

    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.span()
    }

    /// A count with its span of time: `812/s`, `7 since the start`.
    fn counted(&self, count: u64) -> String {
        match &self.before {
            None => format!("{count} since the start"),
            Some(_) => match self.rate(count) {
                rate if rate < 10.0 => format!("{rate:.1}/s"),
                rate => format!("{rate:.0}/s"),
            },
        }
    }

    /// The same counter of a class that rose, found again in the first sample.
    fn class_rise(&self, class: &Class, of: fn(&Class) -> Option<u64>) -> u64 {
        let now = of(class).unwrap_or(0);
        match &self.before {
            None => now,
            Some(_) => {
                let before = self.classes_before.iter().find(|before| before.class == class.class);
                now.saturating_sub(before.and_then(of).unwrap_or(0))
            }
        }
    }

    /// Commands of clients.
    fn commands(&self) -> u64 {
        const COMMANDS: [&str; 10] = [
            "cmd_get",
            "cmd_set",
            "cmd_touch",
            "cmd_meta",
            "delete_hits",
            "delete_misses",
            "incr_hits",
            "incr_misses",
            "decr_hits",
            "decr_misses",
        ];
        COMMANDS.iter().map(|name| self.rise(name)).fold(0, u64::saturating_add)
    }

    /// Whether others than the processes beside it can reach it, and need no login. `false` where that is not known.
    fn is_exposed(&self) -> bool {
        let path = self.setting("domain_socket").is_some_and(|path| path != b"NULL");
        let login = self.setting("auth_enabled_sasl") == Some(b"yes")
            || self.setting("auth_enabled_ascii").is_some_and(|path| path != b"(null)" && path != b"no");
        let listens = |list: &[u8]| {
            list.split(|byte| *byte == b',').any(|one| {
                let local: [&[u8]; 4] = [b"127.", b"localhost", b"::1", b"[::1]"];
                !local.iter().any(|start| one.starts_with(start))
            })
        };
        !path && !login && self.setting("inter").is_some_and(listens)
    }

    /// `probe memcached 10.0.0.1 WORDS`
    fn ask(&self, words: &str) -> String {
        format!("{} {words}", self.probe)
    }
}

/// A size as the server's flags take it: `64m`.
fn flag_size(bytes: u64) -> String {
    const MEGABYTE: u64 = 1 << 20;
    match bytes {
        0..MEGABYTE => format!("{}k", bytes.div_ceil(1024)),
        _ => format!("{}m", bytes.div_ceil(MEGABYTE)),
    }
}

fn ago(seconds: u64) -> String {
    units::duration(seconds)
}

#[cfg(test)]
mod tests;
