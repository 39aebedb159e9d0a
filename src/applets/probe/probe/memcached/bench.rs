//! bench: how many operations a second a server does, and in what time: within bounds, on keys of its own, which are
//! filled before and deleted after, and end by themselves a minute later where they could not be.
//!
//! Only in the text protocol and over plain streams. `bench/load.rs` has the loop. Longer than most, because what was
//! measured has a form for people and one for machines.

mod load;

use std::io::Write;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::super::{Failure, duration};
use super::explain::{explain, kind_failure};
use super::histogram::Histogram;
use super::options::Shared;
use super::server::{Over, Server, Session};
use super::stats::fetch;
use super::{Answer, Ask, Outcome, own_key};
use crate::applet::{Context, Error, Exit, Result};
use crate::net::{Connection, Deadline};
use crate::output::table::{self, Cell, Column};
use crate::output::units::{self, span};
use crate::output::{Safe, json::Object};
use crate::protocol::memcached::channel::Channel;
use crate::protocol::memcached::client::{Dialect, Error as Trouble};
use crate::protocol::memcached::text::number;
use crate::sys::signal::Caught;
use load::{Keys, Tally, Work, run};

const MOST_CONNECTIONS: u32 = 64;
const MOST_DEPTH: u32 = 256;
const MOST_KEYS: u32 = 100_000;
const MOST_SIZE: u32 = 1 << 20;
const LONGEST: Duration = Duration::from_secs(60);

/// What is sent at once on one connection, at most.
const MOST_SENT: u32 = 1 << 20;

/// So many bytes a millisecond are filled and deleted at the least.
const SLOWEST: u64 = 10_000;

/// What an item takes beside its value.
const ITEM: u64 = 100;

/// Measure operations a second, and how long they take
///
/// It loads the server: at most 64 connections, 60 s, 100000 keys. Its own keys are deleted afterwards.
#[derive(clap::Parser)]
#[command(
    name = "memcached bench",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] bench [-c N] [-d N] [--for TIME] [--size BYTES] [--ratio SETS:GETS] [--keys N]"
)]
pub struct Bench {
    #[command(flatten)]
    shared: Shared,
    /// Connections, at most 64
    #[arg(short, value_name = "N", default_value_t = 4)]
    connections: u32,
    /// Requests that are sent at once (pipelined), at most 256
    #[arg(short, value_name = "N", default_value_t = 1)]
    depth: u32,
    /// At most 60s
    #[arg(long = "for", value_name = "TIME", default_value = "5s", value_parser = duration)]
    span: Duration,
    /// Bytes of a value, at most 1048576
    #[arg(long, value_name = "BYTES", default_value_t = 32)]
    size: u32,
    /// How many sets for how many gets
    #[arg(long, value_name = "SETS:GETS", default_value = "1:9", value_parser = ratio)]
    ratio: (u32, u32),
    /// Different keys, at most 100000
    #[arg(long, value_name = "N", default_value_t = 1000)]
    keys: u32,
    /// Also where there is not enough free memory, so that others' values are evicted
    #[arg(long)]
    force: bool,
}

fn ratio(text: &str) -> std::result::Result<(u32, u32), &'static str> {
    const WRONG: &str = "two numbers, as 1:9, at most 1000";
    let (sets, gets) = text.split_once(':').ok_or(WRONG)?;
    let (sets, gets) = (sets.parse().map_err(|_| WRONG)?, gets.parse().map_err(|_| WRONG)?);
    if sets > 1000 || gets > 1000 || sets + gets == 0 { Err(WRONG) } else { Ok((sets, gets)) }
}

impl Ask for Bench {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        let within = |name: &str, value: u32, most: u32| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::usage(format_args!("{name} is from 1 to {most}"))),
        };
        within("-c", self.connections, MOST_CONNECTIONS)?;
        within("-d", self.depth, MOST_DEPTH)?;
        within("--keys", self.keys, MOST_KEYS)?;
        within("--size", self.size, MOST_SIZE)?;
        within("-d times --size", self.depth * self.size, MOST_SENT)?;
        if self.span > LONGEST {
            return Err(Error::usage("--for is at most 60s"));
        }
        Ok(())
    }

    fn has_heading(&self) -> bool {
        false
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        if server.over != Over::Plain {
            return Err(
                kind_failure("not-sent", String::from("bench goes over plain streams, not over TLS or UDP")).into()
            );
        }
        let mut sessions = Vec::new();
        for _ in 0..self.connections {
            sessions.push(server.open(cx, &self.shared)?);
        }
        let mut version = Vec::new();
        if let Some(first) = sessions.first_mut() {
            if first.client.dialect() != Dialect::Text {
                let text = "bench speaks the text protocol, which this server does not take";
                return Err(kind_failure("not-sent", String::from(text)).into());
            }
            version.clone_from(&first.version);
            self.room(server, first)?;
        }
        let sockets: Vec<&Connection> = sessions.iter_mut().filter_map(socket).collect();
        let seconds = u32::try_from(self.span.as_secs()).unwrap_or(60) + 60;
        let keys = Keys::new(&own_key("bench"), self.keys, self.size, seconds);
        let timeout = self.shared.timeout;
        let failed = |trouble: &Trouble| explain(server, trouble, timeout);
        let _caught = Caught::endings();
        let measured = self.measure(&sockets, &keys);
        // Also after a failure or a signal, as far as that is possible.
        let mut cleaning = Work::each_once(load::Operation::Delete, self.keys);
        let patience = if measured.is_ok() { self.patience() } else { timeout };
        let cleaned = run(&sockets, &keys, &mut cleaning, self.bulk(), Deadline::after(patience));
        let (tally, seconds, processor) = measured.map_err(|trouble| failed(&trouble))?;
        cleaned.map_err(|trouble| failed(&trouble))?;
        if let Some(signal) = Caught::asked() {
            return Err(Error::Exit(Exit(128 + signal as u8)).into());
        }
        let found = Found { version, tally, seconds, processor };
        if !self.shared.json {
            self.tell(cx, server, &found)?;
        }
        let refused = found.tally.refused > 0;
        Ok(Answer::new(u8::from(refused), self.machine(&found)))
    }
}

fn socket(session: &mut Session) -> Option<&Connection> {
    match session.client.stream() {
        Channel::Plain(socket) => Some(socket),
        _ => None,
    }
}

/// What was measured.
struct Found {
    version: Vec<u8>,
    tally: Tally,
    seconds: f64,
    /// Our own seconds of processor time.
    processor: f64,
}

fn processor_time() -> f64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)
        .map_or(0.0, |time| time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

impl Bench {
    /// Refuses to push out what others have stored.
    fn room(&self, server: &Server, session: &mut Session) -> std::result::Result<(), Failure> {
        let stats = fetch(server, session, None, self.shared.timeout)?;
        let value = |name: &[u8]| stats.iter().find(|(known, _)| known == name).and_then(|(_, value)| number(value));
        let wanted = self.bytes();
        if let (Some(limit), Some(used)) = (value(b"limit_maxbytes"), value(b"bytes"))
            && wanted > limit.saturating_sub(used) / 2
            && !self.force
        {
            let text = format!(
                "bench would store {}, and {} of {} are free: fewer --keys, a smaller --size, or --force",
                units::bytes(wanted),
                units::bytes(limit.saturating_sub(used)),
                units::bytes(limit)
            );
            return Err(Failure { kind: "usage", message: text, status: 2 });
        }
        Ok(())
    }

    /// What it stores.
    fn bytes(&self) -> u64 {
        u64::from(self.keys) * (u64::from(self.size) + ITEM)
    }

    /// How long filling and deleting may take.
    fn patience(&self) -> Duration {
        self.shared.timeout.saturating_add(Duration::from_millis(self.bytes() / SLOWEST))
    }

    /// Requests at once where the time of each does not matter.
    fn bulk(&self) -> usize {
        ((MOST_SENT / 4 / self.size) as usize).clamp(1, 100)
    }

    fn measure(&self, sockets: &[&Connection], keys: &Keys) -> std::result::Result<(Tally, f64, f64), Trouble> {
        let mut filling = Work::each_once(load::Operation::Set, self.keys);
        run(sockets, keys, &mut filling, self.bulk(), Deadline::after(self.patience()))?;
        let started = std::time::Instant::now();
        let before = processor_time();
        let mut mixed = Work::mixed(self.ratio, self.keys, Deadline::after(self.span));
        let tally = run(
            sockets,
            keys,
            &mut mixed,
            self.depth as usize,
            Deadline::after(self.span.saturating_add(self.shared.timeout)),
        )?;
        Ok((tally, started.elapsed().as_secs_f64(), processor_time() - before))
    }

    fn tell(&self, cx: &mut Context<'_>, server: &Server, found: &Found) -> Outcome<()> {
        let Found { version, tally, seconds, processor } = found;
        writeln!(
            cx.io.out,
            "{}  memcached {}  {} connection{}, {} at once, {} keys of {}, {:.1} s",
            Safe(&server.address()),
            Safe(version),
            self.connections,
            if self.connections == 1 { "" } else { "s" },
            self.depth,
            self.keys,
            units::bytes(self.size.into()),
            seconds
        )?;
        let mut columns = vec![Column::left("", "operation", 0), Column::right("ops/s", "per_second", 0)];
        columns.extend(PARTS.map(|(title, key, _)| Column::right(title, key, 0)));
        let rows: Vec<Vec<Cell>> = tally
            .operations()
            .iter()
            .filter(|(_, times)| times.count > 0)
            .map(|(name, times)| {
                let mut row = vec![Cell::Text(String::from(*name)), Cell::Number(per_second(times, *seconds))];
                row.extend(PARTS.map(|(.., part)| times.at(part).map_or(Cell::Unknown, |time| Cell::Text(span(time)))));
                row
            })
            .collect();
        table::fitted(&mut cx.io.out, &columns, &rows)?;
        let all = tally.count();
        if tally.gets.count > 0 {
            let share = tally.hits as f64 * 100.0 / tally.gets.count as f64;
            writeln!(cx.io.out, "hits    {share:.1}% of {} gets", tally.gets.count)?;
        }
        if let Some(words) = &tally.refusal {
            writeln!(cx.io.out, "refused {} of {all}, the first with: {}", tally.refused, Safe(words))?;
        }
        writeln!(
            cx.io.out,
            "client  {:.2} CPUs, {:.0} operations in a second of its processor time",
            processor / seconds,
            all as f64 / processor.max(1e-6)
        )?;
        Ok(())
    }

    fn machine(&self, found: &Found) -> Object {
        let Found { version, tally, seconds, processor } = found;
        let mut data = Object::new();
        data.bytes("version", version)
            .number("connections", Some(self.connections.into()))
            .number("depth", Some(self.depth.into()))
            .number("keys", Some(self.keys.into()))
            .number("value_bytes", Some(self.size.into()))
            .number("ratio_sets", Some(self.ratio.0.into()))
            .number("ratio_gets", Some(self.ratio.1.into()))
            .float("seconds", Some(*seconds))
            .number("operations", Some(tally.count()))
            .number("hits", Some(tally.hits))
            .number("misses", Some(tally.gets.count.saturating_sub(tally.hits)))
            .number("refused", Some(tally.refused))
            .float("client_cpu_seconds", Some(*processor))
            .float("operations_per_cpu_second", Some(tally.count() as f64 / processor.max(1e-6)));
        match &tally.refusal {
            Some(words) => data.bytes("refusal", words),
            None => data.null("refusal"),
        };
        for (name, times) in tally.operations() {
            let mut object = Object::new();
            object.number("count", Some(times.count)).number("per_second", Some(per_second(times, *seconds)));
            for (_, key, part) in PARTS {
                object.float(key, times.at(part).map(|time| time.as_nanos() as f64 / 1e3));
            }
            data.object(name, object);
        }
        data
    }
}

fn per_second(times: &Histogram, seconds: f64) -> u64 {
    (times.count as f64 / seconds.max(1e-6)) as u64
}

/// The parts of all operations that are told.
const PARTS: [(&str, &str, f64); 5] = [
    ("p50", "p50_us", 0.5),
    ("p90", "p90_us", 0.9),
    ("p99", "p99_us", 0.99),
    ("p99.9", "p999_us", 0.999),
    ("max", "max_us", 1.0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios() {
        assert_eq!((ratio("1:9"), ratio("0:1"), ratio("1000:0")), (Ok((1, 9)), Ok((0, 1)), Ok((1000, 0))));
        for text in ["", "1", "0:0", "1:-1", "1:2:3", "1001:1", "a:b"] {
            assert!(ratio(text).is_err(), "{text}");
        }
    }
}
