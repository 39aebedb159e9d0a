//! health: every member asked at the same time, what they tell put side by side, and judged. Longer than most, because there
//! is a form of it for people and one for machines.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message;

use super::door::in_root;
use super::{Asking, Outcome, Stop, micros, size, span, told, whole};
use crate::applet::Exit;
use crate::inspect::etcd::cluster::{Agreed, Dated, Seen, Snapshot, check, milliseconds};
use crate::inspect::etcd::metrics::{FIGURES, Figure, Histogram, Metrics};
use crate::inspect::{Finding, Level, verdict};
use crate::launch::parallel;
use crate::net::certificate::{self, Certificate};
use crate::net::{Address, Deadline, wait};
use crate::output::Safe;
use crate::output::json::Object;
use crate::output::table::{Cell, Column, fitted};
use crate::protocol::etcd::grpc::code;
use crate::protocol::etcd::message::{
    AlarmMember, AlarmRequest, AlarmType, Member, MemberListRequest, RangeRequest, StatusRequest, StatusResponse,
};
use crate::protocol::etcd::{Client, Endpoint, Failure, http};
use crate::target::cgroup::{Cgroups, Memory};
use crate::target::mounts;
use crate::target::process::Reader;

/// The most that is read of a certificate.
const FILE: usize = 4 << 20;

/// What one process that asks tells the one that judges.
#[derive(Clone, PartialEq, Message)]
struct Told {
    #[prost(message, optional, tag = "1")]
    status: Option<StatusResponse>,
    #[prost(string, tag = "2")]
    error: String,
    /// The error is the server's own answer.
    #[prost(bool, tag = "3")]
    refused: bool,
    #[prost(uint64, tag = "4")]
    took: u64,
    #[prost(bytes = "vec", tag = "5")]
    metrics: Vec<u8>,
    /// The same at the start of the interval.
    #[prost(bytes = "vec", tag = "6")]
    before: Vec<u8>,
    /// When the certificate ends, and whose it is.
    #[prost(int64, optional, tag = "7")]
    end: Option<i64>,
    #[prost(bytes = "vec", tag = "8")]
    subject: Vec<u8>,
}

impl Told {
    fn failed(&mut self, failure: Failure) {
        self.refused = failure.status().is_some_and(is_refusal);
        self.error = told(failure).message;
    }
}

/// Whether it is about who we are.
fn is_refusal(status: &crate::protocol::etcd::grpc::Status) -> bool {
    const WORDS: [&str; 3] = ["permission denied", "user name is empty", "auth token"];
    status.code == code::UNAUTHENTICATED || WORDS.iter().any(|words| status.message.contains(words))
}

/// The members that a client's endpoint knows of, that endpoint's id, and the alarms.
pub fn members(client: &mut Client<'_>) -> Result<(Vec<Member>, u64, Vec<AlarmMember>), Failure> {
    // Also of a member that has lost the majority.
    let own = match client.ask(&MemberListRequest { linearizable: false }) {
        Ok(reply) => {
            let id = reply.header.map_or(0, |header| header.member_id);
            let alarms = client.ask(&AlarmRequest::default()).map_or_else(|_| Vec::new(), |reply| reply.alarms);
            return Ok((reply.members, id, alarms));
        }
        // Who may not see the list may see the one that answers.
        Err(failure) if failure.status().is_some_and(is_refusal) => client.ask(&StatusRequest {})?,
        Err(failure) => return Err(failure),
    };
    let id = own.header.map_or(0, |header| header.member_id);
    Ok((vec![Member { id, ..Member::default() }], id, Vec::new()))
}

/// Where a member is called: the one that was asked first by the address that was found, whatever it advertises.
pub fn endpoints(client: &Client<'_>, member: &Member, own: u64) -> Vec<Endpoint> {
    match client.endpoint() {
        Some(endpoint) if member.id == own => vec![endpoint.clone()],
        _ => member.client_urls.iter().filter_map(|url| Endpoint::parse(url.as_bytes()).ok()).collect(),
    }
}

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let mut shut = None;
    let (members, own, alarms) = match members(&mut asking.door.client) {
        Ok(found) => found,
        Err(failure) => {
            let failure = self::told(failure);
            // Whoever has no certificate may still read the metrics, where these have a port of their own.
            let measured = asking.door.settings.get("listen-metrics-urls").is_some();
            if !(measured && matches!(failure.kind, "tls" | "closed")) {
                return Err(Stop::Failure(failure));
            }
            shut = Some(failure);
            let name = String::from_utf8_lossy(&asking.door.address).into_owned();
            (vec![Member { name, ..Member::default() }], 0, Vec::new())
        }
    };
    let interval = asking.options.interval;
    let (door, now) = (&asking.door, SystemTime::now());
    let told = parallel(asking.cx.io, members.len() + 1, &mut |number| {
        let told = match number.checked_sub(1).and_then(|at| members.get(at)) {
            Some(member) => {
                let urls = door.settings.urls("listen-metrics-urls").filter(|_| member.id == own);
                let others: Vec<Endpoint> = urls.filter_map(|url| Endpoint::parse(url).ok()).collect();
                ask_member(&door.client, &endpoints(&door.client, member, own), &others, interval)
            }
            None => ask_all(&door.client),
        };
        told.encode_to_vec()
    });
    let mut told = told.iter().map(|bytes| Told::decode(bytes.as_slice()).unwrap_or_default());
    let read = match told.next().unwrap_or_default() {
        _ if shut.is_some() => Agreed::Unasked,
        Told { error, .. } if error.is_empty() => Agreed::Yes,
        Told { error, refused: true, .. } => Agreed::Refused(error),
        Told { error, .. } => Agreed::No(error),
    };
    let mut snapshot = Snapshot {
        members: Vec::new(),
        alarms,
        read,
        quota: door.settings.number("quota-backend-bytes"),
        certificates: Vec::new(),
        now: now.duration_since(UNIX_EPOCH).map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX)),
        memory: memory(asking),
        interval,
    };
    for (member, told) in members.into_iter().zip(told) {
        let metrics = Metrics::parse(&told.metrics);
        let metrics = if interval.is_some() { metrics.since(&Metrics::parse(&told.before)) } else { metrics };
        let seen = Seen {
            member,
            alive: told.status.is_some() || told.refused || shut.is_some(),
            status: told.status.ok_or(told.error),
            took: (told.took > 0).then(|| Duration::from_micros(told.took)),
            metrics: (!told.metrics.is_empty()).then_some(metrics),
        };
        if let Some(end) = told.end {
            let what = format!("server of {}, {}", seen.name(), Safe(&told.subject));
            snapshot.certificates.push(Dated { what, end });
        }
        snapshot.members.push(seen);
    }
    files(asking, &mut snapshot.certificates);
    let mut findings = check(&snapshot);
    if snapshot.members.iter().all(|seen| seen.metrics.is_none()) {
        if let Some(failure) = shut {
            return Err(Stop::Failure(failure));
        }
        let text = "no member shows its /metrics: nothing is known of disks, elections and peers";
        findings.push(Finding::new(Level::Unknown, "metrics", text));
    }
    if let Some(hint) = asking.door.hint.as_ref().filter(|_| shut.is_some()) {
        findings.push(Finding::new(Level::Unknown, "access", hint.as_str()));
    }
    if findings.iter().all(|finding| finding.level < Level::Unknown) {
        let text = "all members answer, and a read that they agree on is served";
        findings.push(Finding::new(Level::Ok, "health", text));
    }
    let report = if asking.options.json { report_json } else { report };
    match report(asking, &snapshot, &findings)? {
        // It could not be asked, whatever the metrics say.
        Exit(0) if shut.is_some() => Ok(Exit(2)),
        exit => Ok(exit),
    }
}

/// A read that the members have to agree on.
fn ask_all(client: &Client<'_>) -> Told {
    let mut told = Told::default();
    let mut own = same(client);
    let request = RangeRequest { key: b"health".to_vec(), keys_only: true, limit: 1, ..RangeRequest::default() };
    let ready = own.authenticate();
    let start = Instant::now();
    match ready.and_then(|()| own.ask(&request)) {
        Ok(_) => told.took = micros(start.elapsed()),
        Err(failure) => told.failed(failure),
    }
    told
}

/// The same client on a connection of its own, as it is needed in another process.
pub fn same<'c>(client: &Client<'c>) -> Client<'c> {
    match client.endpoint() {
        Some(endpoint) => client.only(endpoint),
        None => client.only(&Endpoint { text: Vec::new(), address: Address::Unix("".into()), tls: None }),
    }
}

fn ask_member(client: &Client<'_>, urls: &[Endpoint], others: &[Endpoint], interval: Option<Duration>) -> Told {
    let mut told = Told { error: String::from("it has no client URL yet"), ..Told::default() };
    for endpoint in urls {
        let mut own = client.only(endpoint);
        let ready = own.authenticate();
        let start = Instant::now();
        match ready.and_then(|()| own.ask(&StatusRequest {})) {
            Ok(status) => told.status = Some(status),
            Err(failure) => told.failed(failure),
        }
        told.took = micros(start.elapsed());
        if told.status.is_some() || told.refused || !others.is_empty() {
            measure(&own, others, interval, &mut told);
            break;
        }
    }
    told
}

fn measure(client: &Client<'_>, others: &[Endpoint], interval: Option<Duration>, told: &mut Told) {
    for endpoint in client.endpoint().into_iter().chain(others) {
        let client = client.only(endpoint);
        let Some(text) = metrics(&client, told) else { continue };
        told.metrics = text;
        if let Some(interval) = interval {
            // Nothing to wait for but the time.
            let _ = wait(&mut [], Deadline::after(interval));
            if let Some(text) = metrics(&client, told) {
                told.before = std::mem::replace(&mut told.metrics, text);
            }
        }
        return;
    }
}

/// The metrics' text, and on the way when the certificate ends.
fn metrics(client: &Client<'_>, told: &mut Told) -> Option<Vec<u8>> {
    let mut socket = client.over_http().ok()?;
    if let Some(Certificate { not_after, subject, .. }) = socket.certificate() {
        (told.end, told.subject) = (Some(not_after), subject);
    }
    let host = match &client.endpoint()?.address {
        Address::Unix(_) => b"localhost".to_vec(),
        address => address.to_bytes(),
    };
    http::metrics(&mut socket, &host).ok()
}

/// The certificates that stand in files: what the target's members show each other, and what we show them.
fn files(asking: &Asking<'_, '_>, dated: &mut Vec<Dated>) {
    let mut add = |kind: &str, path: &Path| {
        let text = asking.cx.files.text(path, FILE).unwrap_or_default();
        // The first is the owner's; of authorities any may end.
        let all = certificate::all(&text);
        let count = if kind == "authority" { all.len() } else { 1 };
        if let Some(end) = all.iter().take(count).map(|one| one.not_after).min() {
            dated.push(Dated { what: format!("{kind} {}", Safe::path(path)), end });
        }
    };
    let (secrets, settings) = (&asking.door.secrets, &asking.door.settings);
    if let Some(pid) = asking.door.place.process {
        for (kind, flag) in [("peer", "peer-cert-file"), ("authority", "peer-trusted-ca-file")] {
            if let Some(path) = settings.get(flag) {
                add(kind, &in_root(path, pid));
            }
        }
    }
    if let Some(path) = &secrets.authority {
        add("authority", path);
    }
    // The server's own has been seen.
    if let Some(path) = secrets.certificate.as_ref().filter(|path| Some(*path) != secrets.own.as_ref()) {
        add("client", path);
    }
}

/// What the control group of the target's etcd uses, without what can be dropped, and its limit.
fn memory(asking: &Asking<'_, '_>) -> Option<(u64, u64)> {
    let pid = asking.door.place.process?;
    let mut reader = Reader::open().ok()?;
    let own = reader.own_pid()?;
    let theirs = mounts::of(&reader, pid).unwrap_or_default();
    let ours = mounts::of(&reader, own).unwrap_or_default();
    let cgroups = Cgroups::of(&mut reader, pid, asking.cx.files, &theirs, &ours).ok()?;
    let memory = Memory::of(&cgroups.group(b"memory")?);
    Some((memory.used?.saturating_sub(memory.inactive_file.unwrap_or(0)), memory.limit?))
}

const COLUMNS: [Column; 12] = [
    Column::left("MEMBER", "member", 0),
    Column::left("ROLE", "role", 0),
    Column::left("VERSION", "version", 0),
    Column::right("DATABASE", "database", 0),
    Column::right("IN USE", "in_use", 0),
    Column::right("QUOTA", "quota", 0),
    Column::right("TERM", "term", 0),
    Column::right("BEHIND", "behind", 0),
    Column::right("FSYNC P99", "fsync", 0),
    Column::right("COMMIT P99", "commit", 0),
    Column::right("ANSWER", "answer", 0),
    Column::left("WHERE", "where", 0),
];

fn report(asking: &mut Asking<'_, '_>, snapshot: &Snapshot, findings: &[Finding]) -> Outcome<Exit> {
    let verdict = verdict(findings);
    let how = asking.door.place.how.clone();
    let address = asking.door.address.clone();
    let out = &mut asking.cx.io.out;
    writeln!(out, "{:<12} {} ({how})", "address", Safe(&address))?;
    let front = snapshot.members.iter().filter_map(|seen| Some(seen.status.as_ref().ok()?.raft_index)).max();
    let text = Cell::Text;
    let mut rows = Vec::new();
    for seen in &snapshot.members {
        let urls = seen.member.client_urls.join(",");
        let high = |histogram: fn(&Metrics) -> &Histogram| {
            let high = seen.metrics.as_ref().and_then(|metrics| histogram(metrics).quantile(0.99));
            high.map_or(Cell::Unknown, |high| text(milliseconds(high)))
        };
        let took = seen.took.filter(|_| seen.alive).map_or(Cell::Unknown, |took| text(span(took)));
        let mut cells = vec![text(seen.name())];
        match &seen.status {
            Ok(status) => cells.extend([
                text(seen.role().unwrap_or_default().into()),
                text(status.version.clone()),
                text(size(status.db_size)),
                text(size(status.db_size_in_use)),
                text(size(seen.quota(snapshot.quota).0)),
                Cell::Number(status.raft_term),
                Cell::Number(front.unwrap_or(0).saturating_sub(status.raft_applied_index)),
            ]),
            Err(_) => cells.extend((0..7).map(|_| Cell::Unknown)),
        }
        let place = match &seen.status {
            Ok(_) => urls,
            Err(why) if urls.is_empty() => why.clone(),
            Err(why) => format!("{urls}: {why}"),
        };
        cells.extend([high(|metrics| &metrics.fsync), high(|metrics| &metrics.commit), took, text(place)]);
        rows.push(cells);
    }
    fitted(out, &COLUMNS, &rows)?;
    for finding in findings {
        writeln!(out, "{:<12} {}: {}", finding.level.name(), finding.subject, finding.text)?;
    }
    writeln!(out, "{:<12} {}", "verdict", verdict.name())?;
    Ok(Exit(verdict.status()))
}

fn report_json(asking: &mut Asking<'_, '_>, snapshot: &Snapshot, findings: &[Finding]) -> Outcome<Exit> {
    let verdict = verdict(findings);
    let mut object = asking.door.object();
    object.float("interval_seconds", snapshot.interval.map(|interval| interval.as_secs_f64()));
    object.objects("members", snapshot.members.iter().map(|seen| member_json(seen, snapshot)));
    object.objects("alarms", snapshot.alarms.iter().map(alarm_json));
    object.objects(
        "certificates",
        snapshot.certificates.iter().map(|dated| {
            let mut object = Object::new();
            object.text("of", &dated.what).signed("not_after_epoch", Some(dated.end));
            object
        }),
    );
    let (used, limit) = snapshot.memory.unzip();
    object.number("memory_used_bytes", used).number("memory_limit_bytes", limit);
    object.objects(
        "findings",
        findings.iter().map(|finding| {
            let mut object = Object::new();
            object.text("level", finding.level.name()).text("subject", finding.subject).text("text", &finding.text);
            object
        }),
    );
    object.text("verdict", verdict.name());
    asking.print(object)?;
    Ok(Exit(verdict.status()))
}

pub fn alarm_json(alarm: &AlarmMember) -> Object {
    let mut object = Object::new();
    let name = AlarmType::try_from(alarm.alarm).map_or("unknown", |alarm| match alarm {
        AlarmType::None => "none",
        AlarmType::Nospace => "nospace",
        AlarmType::Corrupt => "corrupt",
    });
    object.text("member_id", &format!("{:x}", alarm.member_id)).text("alarm", name);
    object
}

/// The same keys for every member, also for one that does not answer.
fn member_json(seen: &Seen, snapshot: &Snapshot) -> Object {
    let mut object = Object::new();
    let status = seen.status.as_ref().ok();
    object
        .text("name", &seen.member.name)
        .text("id", &format!("{:x}", seen.member.id))
        .strings("client_urls", seen.member.client_urls.iter().map(String::as_bytes))
        .strings("peer_urls", seen.member.peer_urls.iter().map(String::as_bytes));
    match &seen.status {
        Err(why) => object.text("error", why).null("role").null("version"),
        Ok(status) => {
            object.null("error").text("role", seen.role().unwrap_or_default()).text("version", &status.version)
        }
    };
    let number = |field: fn(&StatusResponse) -> u64| status.map(field);
    object
        .number("db_size_bytes", status.and_then(|status| whole(status.db_size)))
        .number("db_size_in_use_bytes", status.and_then(|status| whole(status.db_size_in_use)))
        .number("quota_bytes", status.and_then(|_| whole(seen.quota(snapshot.quota).0)))
        .number("raft_term", number(|status| status.raft_term))
        .number("raft_index", number(|status| status.raft_index))
        .number("raft_applied_index", number(|status| status.raft_applied_index))
        .number("answer_us", seen.took.filter(|_| seen.alive).map(micros));
    let metrics = seen.metrics.as_ref();
    for (key, histogram) in
        [("fsync", metrics.map(|metrics| &metrics.fsync)), ("commit", metrics.map(|metrics| &metrics.commit))]
    {
        quantiles(&mut object, key, histogram);
    }
    object.objects(
        "peers",
        metrics.iter().flat_map(|metrics| &metrics.peers).map(|(id, trips)| {
            let mut object = Object::new();
            object.bytes("id", id);
            quantiles(&mut object, "round_trip", Some(trips));
            object
        }),
    );
    for (at, (_, key)) in FIGURES.iter().enumerate().filter(|(at, _)| *at != Figure::Quota as usize) {
        object.number(key, metrics.and_then(|metrics| metrics.at(at)));
    }
    object
}

fn quantiles(object: &mut Object, key: &str, histogram: Option<&Histogram>) {
    for (part, name) in [(0.5, "p50"), (0.99, "p99")] {
        object.float(&format!("{key}_{name}_seconds"), histogram.and_then(|histogram| histogram.quantile(part)));
    }
    object.number(&format!("{key}_count"), histogram.map(Histogram::count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_with_and_without_an_answer() {
        let snapshot = Snapshot {
            members: Vec::new(),
            alarms: Vec::new(),
            read: Agreed::Yes,
            quota: None,
            certificates: Vec::new(),
            now: 0,
            memory: None,
            interval: None,
        };
        let member =
            Member { id: 0xab, name: "n1".into(), client_urls: vec!["http://h:1".into()], ..Member::default() };
        let mut seen = Seen { member, status: Err("refused".into()), alive: false, took: None, metrics: None };
        let rest = r#""fsync_p50_seconds":null,"fsync_p99_seconds":null,"fsync_count":null,"commit_p50_seconds":null,"commit_p99_seconds":null,"commit_count":null,"peers":[],"leader_changes":null,"proposals_failed":null,"slow_applies":null,"slow_reads":null,"heartbeat_failures":null,"proposals_pending":null,"keys":null,"compact_revision":null,"watchers":null,"slow_watchers":null,"open_files":null,"most_files":null,"resident_bytes":null,"started_epoch":null}"#;
        let head = r#"{"name":"n1","id":"ab","client_urls":["http://h:1"],"peer_urls":[],"#;
        let gone = r#""error":"refused","role":null,"version":null,"db_size_bytes":null,"db_size_in_use_bytes":null,"quota_bytes":null,"raft_term":null,"raft_index":null,"raft_applied_index":null,"answer_us":null,"#;
        assert_eq!(member_json(&seen, &snapshot).finish(), format!("{head}{gone}{rest}"));
        seen.status = Ok(StatusResponse { version: "3.5.1".into(), leader: 0xab, ..StatusResponse::default() });
        let there = r#""error":null,"role":"leader","version":"3.5.1","db_size_bytes":0,"db_size_in_use_bytes":0,"quota_bytes":2147483648,"raft_term":0,"raft_index":0,"raft_applied_index":0,"answer_us":null,"#;
        assert_eq!(member_json(&seen, &snapshot).finish(), format!("{head}{there}{rest}"));
    }
}
