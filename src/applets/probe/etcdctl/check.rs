//! check perf: writes at a steady rate for a minute and judges how fast they are taken, by etcdctl's measures. check
//! datascale: writes many keys as fast as the server takes them and tells how much memory that took it. The calls overlap
//! on one connection, since a server writes many at once. No bar shows the progress.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::{Session, golang, status};
use crate::applet::{Error, Exit, Result};
use crate::net::Deadline;
use crate::protocol::etcd::client::{Next, Stream};
use crate::protocol::etcd::http::{metric, metrics};
use crate::protocol::etcd::message::{
    CompactionRequest, DefragmentRequest, DeleteRangeRequest, PutRequest, RangeRequest,
};
use crate::protocol::etcd::range::{self, prefix_end};
use crate::protocol::etcd::{Client, Failure};

/// What is written.
struct Plan {
    /// Between the starts of two calls.
    gap: Duration,
    /// How many calls may wait for their answers.
    most: usize,
    /// It ends with whichever comes first.
    time: Duration,
    count: u32,
    /// Bytes of a key behind the prefix, and of a value.
    key: usize,
    value: usize,
}

/// What was measured.
#[derive(Default)]
struct Report {
    seconds: Vec<f64>,
    failures: BTreeMap<String, usize>,
}

/// How many clients the loads stand for.
const CLIENTS: [usize; 4] = [50, 200, 500, 1000];
const RATES: [u32; 4] = [150, 1000, 8000, 15_000];
const COUNTS: [u32; 4] = [10_000, 100_000, 1_000_000, 3_000_000];

/// The place of `--load` in these.
fn load(session: &mut Session<'_, '_>) -> Result<usize> {
    match session.bytes("load") {
        b"s" | b"small" => Ok(0),
        b"m" | b"medium" => Ok(1),
        b"l" | b"large" => Ok(2),
        b"xl" | b"xLarge" => Ok(3),
        _ => {
            let load = session.text("load");
            Err(session.fail(status::BAD_FEATURE, format_args!("unknown load option {load}")))
        }
    }
}

/// A client, and the prefix, which has to be free. `quote` stands around the command that frees it.
fn prepare<'c>(session: &mut Session<'_, 'c>, quote: &str) -> Result<(Client<'c>, Vec<u8>)> {
    let prefix = session.bytes("prefix").to_vec();
    let mut client = session.client()?;
    let request =
        RangeRequest { key: prefix.clone(), range_end: prefix_end(&prefix), limit: 1, ..RangeRequest::default() };
    if !session.ask(&mut client, &request)?.kvs.is_empty() {
        let shown = crate::output::Safe(&prefix);
        let quoted = golang::quote(&prefix);
        let complaint =
            format!("prefix {quoted} has keys. Delete with {quote}etcdctl del --prefix {shown}{quote} first");
        return Err(session.fail(status::INVALID_INPUT, complaint));
    }
    Ok((client, prefix))
}

/// Deletes what was written, and what the flags ask for beyond that.
fn clean<'c>(session: &mut Session<'_, 'c>, client: &mut Client<'c>, prefix: Vec<u8>) -> Result<()> {
    client.settings.timeout = Some(Duration::from_secs(30));
    let range_end = prefix_end(&prefix);
    let request = DeleteRangeRequest { key: prefix, range_end, ..DeleteRangeRequest::default() };
    let deleted = range::delete(client, request, &mut 0).map_err(|failure| session.failed(&failure))?;
    if session.bool("auto-compact") {
        let revision = deleted.header.map_or(0, |header| header.revision);
        session.write(format!("Compacting with revision {revision}\n"))?;
        session.ask(client, &CompactionRequest { revision, physical: true })?;
        session.write(format!("Compacted with revision {revision}\n"))?;
    }
    if session.bool("auto-defrag") {
        for endpoint in client.endpoints().to_vec() {
            let name = golang::quote(&endpoint.text);
            session.write(format!("Defragmenting {name}\n"))?;
            session.ask(&mut client.only(&endpoint), &DefragmentRequest {})?;
            session.write(format!("Defragmented {name}\n"))?;
        }
    }
    Ok(())
}

pub fn perf(session: &mut Session<'_, '_>) -> Result<Exit> {
    let load = load(session)?;
    let (rate, most) = (RATES[load], CLIENTS[load]);
    let (mut client, prefix) = prepare(session, "'")?;
    let (gap, time) = (Duration::from_secs(1) / rate, Duration::from_secs(60));
    let plan = Plan { gap, most, time, count: u32::MAX, key: 256, value: 1024 };
    let start = Instant::now();
    let report = measure(&mut client, &prefix, &plan).map_err(|failure| session.failed(&failure))?;
    let took = start.elapsed().as_secs_f64();
    clean(session, &mut client, prefix)?;
    let (text, good) = judge(&report, rate, took);
    session.write(text)?;
    if good { Ok(Exit(0)) } else { Err(Error::Exit(Exit(status::ERROR))) }
}

pub fn datascale(session: &mut Session<'_, '_>) -> Result<Exit> {
    let load = load(session)?;
    let (count, most) = (COUNTS[load], CLIENTS[load]);
    let (mut client, prefix) = prepare(session, "")?;
    let (key, value) = (512, 512);
    let before = memory(session, &client, "before")?;
    session.write(format!(
        "Start data scale check for work load [{count} key-value pairs, {} bytes per key-value, {most} concurrent \
         clients].\n",
        key + value
    ))?;
    std::io::Write::flush(&mut session.cx.io.out)?;
    let plan = Plan { gap: Duration::ZERO, most, time: Duration::MAX, count, key, value };
    let report = measure(&mut client, &prefix, &plan).map_err(|failure| session.failed(&failure))?;
    let after = memory(session, &client, "after")?;
    clean(session, &mut client, prefix)?;
    if !report.failures.is_empty() {
        session.write(failures(&report))?;
        return Err(Error::Exit(Exit(status::ERROR)));
    }
    let used = (after - before) / 1_048_576.0;
    session.write(format!("PASS: Approximate system memory used : {used:.2} MB.\n"))?;
    Ok(Exit(0))
}

/// How much of it the first endpoint's server holds, by its own account.
fn memory(session: &mut Session<'_, '_>, client: &Client<'_>, when: &str) -> Result<f64> {
    let first = client.endpoints().first().map(|endpoint| client.only(endpoint));
    let told = first.and_then(|client| {
        let host = client.endpoint()?.host().to_vec();
        let text = metrics(&mut client.over_http().ok()?, &host).ok()?;
        metric(&text, "process_resident_memory_bytes").filter(|bytes| *bytes > 0.0)
    });
    match told {
        Some(bytes) => Ok(bytes),
        None => {
            session
                .write(format!("FAIL: Could not read process_resident_memory_bytes {when} the put operations.\n"))?;
            Err(Error::Exit(Exit(status::ERROR)))
        }
    }
}

/// Writes. A server that does not keep up is waited for.
fn measure(client: &mut Client<'_>, prefix: &[u8], plan: &Plan) -> std::result::Result<Report, Failure> {
    let start = Instant::now();
    let mut report = Report::default();
    let mut waiting: VecDeque<(Stream, Instant)> = VecDeque::new();
    let mut sent = 0u32;
    let mut key = prefix.to_vec();
    key.resize(prefix.len() + plan.key, 0);
    loop {
        let over = sent >= plan.count || start.elapsed() >= plan.time;
        if over && waiting.is_empty() {
            return Ok(report);
        }
        let due = start + plan.gap * sent;
        if !over && waiting.len() < plan.most && Instant::now() >= due {
            // Spread over the keys, as a hash would.
            let number = u64::from(sent).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            if let Some(place) = key.get_mut(prefix.len()..prefix.len() + number.len()) {
                place.copy_from_slice(&number);
            }
            let put = PutRequest { key: key.clone(), value: vec![0; plan.value], ..PutRequest::default() };
            waiting.push_back((client.start(&put)?, Instant::now()));
            sent += 1;
            continue;
        }
        // The oldest first; whoever was faster is seen right after it.
        let full = over || waiting.len() >= plan.most;
        let until = if full { Deadline::after(Duration::from_secs(5)) } else { Deadline::at(due) };
        let Some((stream, began)) = waiting.front_mut() else {
            let _ = crate::net::wait(&mut [], until);
            continue;
        };
        let began = *began;
        match client.next(stream, Some(until), None) {
            Ok(Next::Message(_)) => {
                report.seconds.push(began.elapsed().as_secs_f64());
                waiting.pop_front();
            }
            Err(Failure::Silent) if !full => {}
            Err(failure) if failure.is_transport() => return Err(failure),
            Err(failure) => {
                *report.failures.entry(failure.to_string()).or_default() += 1;
                waiting.pop_front();
            }
            Ok(_) => {
                waiting.pop_front();
            }
        }
    }
}

fn failures(report: &Report) -> String {
    let all = report.failures.iter().map(|(why, count)| format!("FAIL: ERROR({why}) -> {count}\n"));
    format!("FAIL: too many errors\n{}", all.collect::<String>())
}

/// etcdctl's verdict and its words.
fn judge(report: &Report, rate: u32, took: f64) -> (String, bool) {
    let count = report.seconds.len() as f64;
    let throughput = count / took;
    let slowest = report.seconds.iter().copied().fold(0.0, f64::max);
    let mean = report.seconds.iter().sum::<f64>() / count.max(1.0);
    let spread = report.seconds.iter().map(|each| (each - mean).powi(2)).sum::<f64>() / count.max(1.0);
    let spread = spread.sqrt();
    let mut text = String::new();
    let mut good = true;
    let mut line = |right: bool, yes: String, no: String| {
        good &= right;
        text.push_str(if right { &yes } else { &no });
    };
    if !report.failures.is_empty() {
        line(false, String::new(), failures(report));
    }
    let whole = throughput as u64 + 1;
    line(
        throughput / f64::from(rate) > 0.9,
        format!("PASS: Throughput is {whole} writes/s\n"),
        format!("FAIL: Throughput too low: {whole} writes/s\n"),
    );
    line(
        slowest <= 0.5,
        format!("PASS: Slowest request took {slowest:.6}s\n"),
        format!("Slowest request took too long: {slowest:.6}s\n"),
    );
    line(spread <= 0.1, format!("PASS: Stddev is {spread:.6}s\n"), format!("Stddev too high: {spread:.6}s\n"));
    text.push_str(if good { "PASS\n" } else { "FAIL\n" });
    (text, good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let good = Report { seconds: vec![0.01; 9000], failures: BTreeMap::new() };
        let said = "PASS: Throughput is 151 writes/s\nPASS: Slowest request took 0.010000s\n\
            PASS: Stddev is 0.000000s\nPASS\n";
        assert_eq!(judge(&good, 150, 60.0), (said.into(), true));
        let failures = BTreeMap::from([(String::from("etcdserver: too many requests"), 3)]);
        let bad = Report { seconds: vec![0.1, 0.9], failures };
        let said = "FAIL: too many errors\nFAIL: ERROR(etcdserver: too many requests) -> 3\n\
            FAIL: Throughput too low: 1 writes/s\nSlowest request took too long: 0.900000s\n\
            Stddev too high: 0.400000s\nFAIL\n";
        assert_eq!(judge(&bad, 150, 60.0), (said.into(), false));
    }
}
