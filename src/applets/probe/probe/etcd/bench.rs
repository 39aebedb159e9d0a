//! latency and bench: how long reads take, and how many writes the cluster takes. Writes go below a prefix of our own, with a
//! lease that removes them should we not come to it, and are bounded in number, since each leaves a revision behind.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Asking, Outcome, Stop, micros, size, span};
use crate::applet::{Error, Exit};
use crate::net::Deadline;
use crate::output::json::Object;
use crate::output::order;
use crate::output::table::{Cell, Column, fitted};
use crate::protocol::etcd::client::{Next, Stream};
use crate::protocol::etcd::message::{LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, StatusRequest};
use crate::protocol::etcd::{Client, Failure};

const STREAMS: usize = 64;
const LONGEST: Duration = Duration::from_secs(60);
const LENGTH: Duration = Duration::from_secs(5);
/// Of all writes together, with some 20 MB of history.
const WRITES: usize = 50_000;
const KEYS: usize = 1000;
const VALUE: usize = 256;

const READS: usize = 100;
const MOST_READS: usize = 10_000;

/// Lengths of time, for their percentiles.
#[derive(Default)]
struct Times(Vec<u64>);

impl Times {
    fn add(&mut self, time: Duration) {
        self.0.push(micros(time));
    }

    fn sort(&mut self) {
        order::sort(&mut self.0);
    }

    /// Of sorted ones, what so many per cent are not above.
    fn percentile(&self, part: usize) -> Option<u64> {
        let last = self.0.len().checked_sub(1)?;
        self.0.get((self.0.len() * part).div_ceil(100).saturating_sub(1).min(last)).copied()
    }

    fn cells(&self) -> Vec<Cell> {
        let cell =
            |part| self.percentile(part).map_or(Cell::Unknown, |time| Cell::Text(span(Duration::from_micros(time))));
        [0, 50, 90, 99, 100].map(cell).to_vec()
    }

    fn json(&self, object: &mut Object) {
        object.number("count", Some(self.0.len() as u64));
        for (part, key) in [(0, "min_us"), (50, "p50_us"), (90, "p90_us"), (99, "p99_us"), (100, "max_us")] {
            object.number(key, self.percentile(part));
        }
    }
}

const COLUMNS: [Column; 6] = [
    Column::left("", "what", 0),
    Column::right("LEAST", "min_us", 0),
    Column::right("P50", "p50_us", 0),
    Column::right("P90", "p90_us", 0),
    Column::right("P99", "p99_us", 0),
    Column::right("MOST", "max_us", 0),
];

fn table(asking: &mut Asking<'_, '_>, rows: &[(&str, &str, Times)]) -> Outcome<()> {
    let rows = rows.iter().map(|(title, _, times)| [vec![Cell::Text((*title).into())], times.cells()].concat());
    Ok(fitted(&mut asking.cx.io.out, &COLUMNS, &rows.collect::<Vec<_>>())?)
}

pub fn latency(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let count = asking.options.limit.unwrap_or(READS).clamp(1, MOST_READS);
    // Finds the endpoint that answers.
    asking.door.client.ask(&StatusRequest {})?;
    let mut client = super::verdict::same(&asking.door.client);
    let start = Instant::now();
    client.ask(&StatusRequest {})?;
    let mut first = Times::default();
    first.add(start.elapsed());
    let read = |serializable| RangeRequest {
        key: b"health".to_vec(),
        keys_only: true,
        limit: 1,
        serializable,
        ..RangeRequest::default()
    };
    let mut member = Times::default();
    let mut local = Times::default();
    let mut agreed = Times::default();
    for _ in 0..count {
        let start = Instant::now();
        client.ask(&StatusRequest {})?;
        member.add(start.elapsed());
        for (times, request) in [(&mut local, read(true)), (&mut agreed, read(false))] {
            let start = Instant::now();
            client.ask(&request)?;
            times.add(start.elapsed());
        }
    }
    let mut rows = [
        ("connect, and a first answer", "connect", first),
        ("the member's status", "status", member),
        ("a read by the member alone", "serializable", local),
        ("a read that all agree on", "linearizable", agreed),
    ];
    rows.iter_mut().for_each(|(.., times)| times.sort());
    if asking.options.json {
        let mut object = asking.door.object();
        for (_, key, times) in &rows {
            let mut inner = Object::new();
            times.json(&mut inner);
            object.object(key, inner);
        }
        asking.print(object)?;
    } else {
        table(asking, &rows)?;
    }
    Ok(Exit(0))
}

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let streams = asking.options.streams.unwrap_or(1).max(1);
    let length = asking.options.length.unwrap_or(LENGTH);
    if streams > STREAMS {
        return Err(Error::usage(format_args!("--streams is at most {STREAMS}")).into());
    }
    if length > LONGEST {
        return Err(Error::usage(format_args!("--for is at most {}s", LONGEST.as_secs())).into());
    }
    let timeout = asking.door.timeout;
    let client = &mut asking.door.client;
    let ttl = i64::try_from((length + timeout).as_secs()).unwrap_or(60) + 60;
    let lease = client.ask(&LeaseGrantRequest { ttl, id: 0 })?.id;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos());
    let prefix = format!("sidebox-bench/{lease:x}-{now:x}/");
    let start = Instant::now();
    let done = write(client, &prefix, lease, streams, Deadline::after(length), timeout);
    let took = start.elapsed();
    // With the lease all its keys go, whatever has happened before.
    let removed = client.ask(&LeaseRevokeRequest { id: lease });
    let (mut times, failure) = done;
    if let Some(failure) = failure {
        if let Err(again) = removed {
            asking.cx.note(format_args!("{prefix}: not removed, but gone in {ttl}s by its lease: {again}"));
        }
        return Err(failure.into());
    }
    if let Err(failure) = removed {
        return Err(Stop::new("cleanup", format!("{prefix}: not removed, but gone in {ttl}s by its lease: {failure}")));
    }
    times.sort();
    let count = times.0.len();
    let rate = count as f64 / took.as_secs_f64().max(1e-6);
    if asking.options.json {
        let mut object = asking.door.object();
        object
            .number("streams", Some(streams as u64))
            .float("seconds", Some(took.as_secs_f64()))
            .number("value_bytes", Some(VALUE as u64))
            .float("writes_per_second", Some(rate));
        times.json(&mut object);
        asking.print(object)?;
    } else {
        let (took, value) = (span(took), size(VALUE as i64));
        writeln!(
            asking.cx.io.out,
            "{count} writes of {value} in {took}, {streams} at a time: {rate:.0} a second; removed, their history stays until the next compaction"
        )?;
        table(asking, &[("a write", "write", times)])?;
    }
    Ok(Exit(0))
}

/// Writes as fast as answers come, with so many on their way; the answers come in about the order of the questions.
fn write(
    client: &mut Client<'_>,
    prefix: &str,
    lease: i64,
    streams: usize,
    end: Deadline,
    timeout: Duration,
) -> (Times, Option<Failure>) {
    let mut times = Times::default();
    let mut open: VecDeque<(Stream, Instant)> = VecDeque::new();
    let mut sent = 0;
    loop {
        while open.len() < streams && sent < WRITES && !end.left().is_zero() {
            let key = format!("{prefix}{}", sent % KEYS).into_bytes();
            let put = PutRequest { key, value: vec![b'x'; VALUE], lease, ..PutRequest::default() };
            let start = Instant::now();
            match client.start(&put) {
                Ok(stream) => open.push_back((stream, start)),
                Err(failure) => return (times, Some(failure)),
            }
            sent += 1;
        }
        let Some((mut stream, start)) = open.pop_front() else { return (times, None) };
        loop {
            match client.next(&mut stream, Some(Deadline::after(timeout)), None) {
                Ok(Next::Message(_)) => times.add(start.elapsed()),
                Ok(Next::Other) => {}
                Ok(Next::End) => break,
                Err(failure) => return (times, Some(failure)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let mut times = Times((1..=200).rev().collect());
        times.sort();
        assert_eq!([0, 50, 99, 100].map(|part| times.percentile(part)), [Some(1), Some(100), Some(198), Some(200)]);
        assert_eq!(Times(vec![7]).percentile(50), Some(7));
        assert_eq!(Times::default().percentile(50), None);
    }
}
