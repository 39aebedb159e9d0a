//! latency: how long each step takes, on connections that are made for it, one after the other, as a client without a pool
//! would. A connection that takes a second or three was not slow: the kernel sent the first packet (SYN) again, because
//! the first was lost, or the listener's backlog was full.
//!
//! Exit status: 1 where a round failed or a SYN was lost.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use super::super::{Failure, duration};
use super::explain::explain;
use super::histogram::Histogram;
use super::options::Shared;
use super::server::{Server, Session};
use super::{Answer, Ask, Outcome, Stop, own_key};
use crate::applet::{Context, Error, Result};
use crate::net::{Address, Deadline, wait};
use crate::output::table::{self, Cell, Column};
use crate::output::units::span;
use crate::output::{Safe, json::Object};
use crate::protocol::memcached::client::{Error as Trouble, Fetch, Mode, Store};

/// What is measured, in the order in which it happens.
const STEPS: [&str; 7] = ["resolve", "connect", "tls", "version", "set", "get", "delete"];

/// More rounds than anybody waits for.
const MOST_ROUNDS: u32 = 100_000;

/// Seconds that a key lives that could not be deleted.
const LIFE: u32 = 60;

/// Different reasons that are told.
const REASONS: usize = 8;

/// Measure each step: find the address, connect, agree on TLS, get the version, set, get, delete
///
/// Each round has a connection and a key of its own, which is deleted. --timeout is for each step, and 4s here, so that a
/// connection whose first packets were lost is seen to come about.
#[derive(clap::Parser)]
#[command(
    name = "memcached latency",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] latency [-c N] [-i TIME] [--for TIME]",
    mut_arg("timeout", |arg| arg.default_value("4s"))
)]
pub struct Latency {
    #[command(flatten)]
    shared: Shared,
    /// At most N rounds
    #[arg(short, value_name = "N", default_value_t = 100)]
    count: u32,
    /// Time from the end of a round to the next
    #[arg(short, value_name = "TIME", default_value = "10ms", value_parser = duration)]
    interval: Duration,
    /// No round begins after this time
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = duration)]
    span: Duration,
    /// Bytes of the value
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: u32,
    /// Neither set nor delete: get asks for a key that is not there
    #[arg(long)]
    read_only: bool,
}

/// What the rounds have shown.
struct Shown {
    steps: [Histogram; STEPS.len()],
    /// Connections by the second in which they came about, where it was not the first.
    lost: BTreeMap<u64, u64>,
    rounds: u64,
    failed: u64,
    reasons: BTreeMap<String, u64>,
}

impl Shown {
    fn add(&mut self, step: &str, time: Duration) {
        if let Some(at) = STEPS.iter().position(|known| *known == step) {
            self.steps[at].add(time, 1);
        }
    }

    fn connected(&mut self, time: Duration) {
        // A little before the second: timers of the kernel are no more exact than that.
        let seconds = (time + Duration::from_millis(20)).as_secs();
        if seconds > 0 {
            *self.lost.entry(seconds).or_insert(0) += 1;
        }
    }

    fn failure(&mut self, reason: String) {
        self.failed += 1;
        if self.reasons.len() < REASONS || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason).or_insert(0) += 1;
        }
    }
}

impl Ask for Latency {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        match self.count {
            0 | MOST_ROUNDS.. => Err(Error::usage(format_args!("-c is from 1 to {}", MOST_ROUNDS - 1))),
            _ if self.size > 1 << 20 => Err(Error::usage("--size is at most 1048576")),
            _ => Ok(()),
        }
    }

    fn has_heading(&self) -> bool {
        false
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut shown = Shown {
            steps: std::array::from_fn(|_| Histogram::new()),
            lost: BTreeMap::new(),
            rounds: 0,
            failed: 0,
            reasons: BTreeMap::new(),
        };
        let key = own_key("latency");
        let end = Deadline::after(self.span);
        let mut version = Vec::new();
        let mut last = None;
        while shown.rounds < u64::from(self.count) && (shown.rounds == 0 || !end.left().is_zero()) {
            if shown.rounds > 0 {
                // Nothing to wait for but the time.
                let _ = wait(&mut [], Deadline::after(self.interval));
            }
            shown.rounds += 1;
            match self.round(cx, server, &key, &mut shown) {
                Ok(found) => version = found,
                Err(failure) => {
                    shown.failure(failure.message.clone());
                    last = Some(failure);
                }
            }
        }
        if let Some(failure) = last.filter(|_| shown.failed == shown.rounds) {
            let all = format!("{} (all of {} rounds)", failure.message, shown.rounds);
            return Err(Stop::Failure(Failure { message: all, ..failure }));
        }
        if !self.shared.json {
            tell(cx, server, &version, &shown)?;
        }
        let status = u8::from(shown.failed > 0 || !shown.lost.is_empty());
        Ok(Answer::new(status, machine(&version, &shown)))
    }
}

impl Latency {
    fn round(
        &self,
        cx: &Context<'_>,
        server: &mut Server,
        key: &[u8],
        shown: &mut Shown,
    ) -> std::result::Result<Vec<u8>, Failure> {
        let started = Instant::now();
        let mut session = match server.open(cx, &self.shared) {
            Ok(session) => session,
            Err(mut failure) => {
                let over_tcp = matches!(server.place.address, Address::Host(..));
                if failure.kind == "timeout" && !server.connected && over_tcp {
                    let seconds = started.elapsed().as_secs();
                    failure.message += &format!("; every SYN in {seconds} s was lost, or the backlog is full");
                }
                return Err(failure);
            }
        };
        let resolved = server.resolved.unwrap_or_default();
        if server.resolved.is_some() {
            shown.add("resolve", resolved);
        }
        let connect = session.connect.saturating_sub(resolved);
        shown.add("connect", connect);
        if matches!(server.place.address, Address::Host(..)) {
            shown.connected(connect);
        }
        if let Some(handshake) = session.handshake {
            shown.add("tls", handshake);
        }
        shown.add("version", session.answer);
        let value = vec![b'x'; self.size as usize];
        let store = Store { mode: Mode::Set, key, flags: 0, seconds: LIFE, length: value.len() as u64 };
        let mut step = |name: &str, session: &mut Session, act: Act<'_>| {
            session.again(self.shared.timeout);
            let started = Instant::now();
            act(session).map_err(|trouble| {
                let failure = explain(server, &trouble, self.shared.timeout);
                Failure { message: format!("{name}: {}", failure.message), ..failure }
            })?;
            shown.add(name, started.elapsed());
            Ok::<(), Failure>(())
        };
        if !self.read_only {
            step("set", &mut session, &mut |session| session.client.store(&store, &mut &value[..]).map(drop))?;
        }
        let fetch = Fetch { keys: &[key], cas: false, touch: None };
        step("get", &mut session, &mut |session| session.client.fetch(&fetch, &mut |_| Ok(())))?;
        if !self.read_only {
            step("delete", &mut session, &mut |session| session.client.delete(key).map(drop))?;
        }
        Ok(session.version)
    }
}

type Act<'a> = &'a mut dyn FnMut(&mut Session) -> std::result::Result<(), Trouble>;

/// The parts of all that are told.
const PARTS: [(&str, &str, f64); 4] =
    [("p50", "p50_us", 0.5), ("p90", "p90_us", 0.9), ("p99", "p99_us", 0.99), ("max", "max_us", 1.0)];

fn tell(cx: &mut Context<'_>, server: &Server, version: &[u8], shown: &Shown) -> Outcome<()> {
    writeln!(
        cx.io.out,
        "{}  memcached {}  {} rounds, each on a connection of its own",
        Safe(&server.address()),
        Safe(version),
        shown.rounds
    )?;
    let mut columns = vec![Column::left("step", "step", 0), Column::right("times", "count", 0)];
    columns.extend(PARTS.map(|(title, key, _)| Column::right(title, key, 0)));
    let steps = STEPS.iter().zip(&shown.steps).filter(|(_, times)| times.count > 0);
    let row = |(step, times): (&&str, &Histogram)| {
        let mut row = vec![Cell::Text(String::from(*step)), Cell::Number(times.count)];
        row.extend(PARTS.map(|(.., part)| times.at(part).map_or(Cell::Unknown, |time| Cell::Text(span(time)))));
        row
    };
    table::fitted(&mut cx.io.out, &columns, &steps.map(row).collect::<Vec<_>>())?;
    for (second, count) in &shown.lost {
        writeln!(
            cx.io.out,
            "{count} connections took {second} s and more: a lost SYN was sent again (a full backlog, a firewall, the network)"
        )?;
    }
    for (reason, count) in &shown.reasons {
        writeln!(cx.io.out, "{count} of {} rounds failed: {reason}", shown.rounds)?;
    }
    Ok(())
}

fn machine(version: &[u8], shown: &Shown) -> Object {
    let mut data = Object::new();
    data.bytes("version", version).number("rounds", Some(shown.rounds)).number("failed", Some(shown.failed));
    let steps = STEPS.iter().zip(&shown.steps).filter(|(_, times)| times.count > 0).map(|(step, times)| {
        let mut object = Object::new();
        object.text("step", step).number("count", Some(times.count));
        for (_, key, part) in PARTS {
            object.number(key, times.at(part).and_then(|time| u64::try_from(time.as_micros()).ok()));
        }
        object
    });
    data.objects("steps", steps);
    let lost = shown.lost.iter().map(|(second, count)| {
        let mut object = Object::new();
        object.number("seconds", Some(*second)).number("count", Some(*count));
        object
    });
    data.objects("lost_syns", lost);
    let reasons = shown.reasons.iter().map(|(reason, count)| {
        let mut object = Object::new();
        object.text("message", reason).number("count", Some(*count));
        object
    });
    data.objects("failures", reasons);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_took_a_second_were_tried_again() {
        let mut shown = Shown {
            steps: std::array::from_fn(|_| Histogram::new()),
            lost: BTreeMap::new(),
            rounds: 0,
            failed: 0,
            reasons: BTreeMap::new(),
        };
        for milliseconds in [0, 400, 990, 1003, 1900, 3010, 7040] {
            shown.connected(Duration::from_millis(milliseconds));
        }
        assert_eq!(shown.lost.into_iter().collect::<Vec<_>>(), [(1, 3), (3, 1), (7, 1)]);
    }
}
