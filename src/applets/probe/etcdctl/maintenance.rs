//! alarm, defrag, move-leader, downgrade, snapshot save, version. Longer than most: they are many, and small.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use prost::Message;

use super::show::{Json, Views};
use super::{Session, endpoint, golang, status};
use crate::applet::{Error, Exit, Result, reason};
use crate::net::Deadline;
use crate::output::Safe;
use crate::protocol::etcd::client::{Next, decode};
use crate::protocol::etcd::message::{
    AlarmAction, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DowngradeAction, DowngradeRequest,
    MoveLeaderRequest, SNAPSHOT, SnapshotRequest, SnapshotResponse, StatusRequest,
};
use crate::protocol::etcd::snapshot::Receiver;
use crate::protocol::etcd::{Client, Failure};
use crate::target::partial::Partial;

// --- alarms

pub fn alarm_list(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "alarm list command accepts no arguments")?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &AlarmRequest::default())?;
    show_alarms(session, &reply)
}

pub fn alarm_disarm(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.expect(session.given.words.is_empty(), "alarm disarm command accepts no arguments")?;
    let mut client = session.client()?;
    let active = session.ask(&mut client, &AlarmRequest::default())?;
    let mut done = AlarmResponse { header: None, alarms: Vec::new() };
    for alarm in active.alarms {
        let action = AlarmAction::Deactivate as i32;
        let request = AlarmRequest { action, member_id: alarm.member_id, alarm: alarm.alarm };
        let reply = session.ask(&mut client, &request)?;
        done.alarms.extend(reply.alarms);
    }
    show_alarms(session, &done)
}

fn show_alarms(session: &mut Session<'_, '_>, reply: &AlarmResponse) -> Result<Exit> {
    let name = |alarm: i32| match AlarmType::try_from(alarm) {
        Ok(AlarmType::None) => String::from("NONE"),
        Ok(AlarmType::Nospace) => String::from("NOSPACE"),
        Ok(AlarmType::Corrupt) => String::from("CORRUPT"),
        Err(_) => alarm.to_string(),
    };
    session.show(&Views {
        simple: &|_| {
            let line = |alarm: &crate::protocol::etcd::message::AlarmMember| {
                format!("memberID:{} alarm:{} \n", alarm.member_id, name(alarm.alarm))
            };
            reply.alarms.iter().map(line).collect::<String>().into_bytes()
        },
        fields: Some(&|fields| {
            fields.header(reply.header.as_ref());
            for alarm in &reply.alarms {
                fields.line("MemberID", alarm.member_id);
                fields.line("AlarmType", name(alarm.alarm));
                fields.out.push('\n');
            }
        }),
        json: &|| {
            let alarms = reply
                .alarms
                .iter()
                .map(|alarm| Json::new().number("memberID", alarm.member_id).number("alarm", alarm.alarm).finish());
            Json::headed(reply.header.as_ref()).list("alarms", alarms).finish()
        },
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

// --- members' databases

pub fn defrag(session: &mut Session<'_, '_>) -> Result<Exit> {
    let mut client = session.client()?;
    let timed = session.given.is_set("command-timeout");
    let mut failed = false;
    for endpoint in endpoint::endpoints(session, &mut client)? {
        let mut own = client.only(&endpoint);
        // A large database takes minutes, in which the member says nothing.
        if !timed {
            own.settings.timeout = None;
        }
        let name = Safe(&endpoint.text);
        let start = Instant::now();
        let done = own.ask(&DefragmentRequest {});
        let took = golang::duration(start.elapsed());
        match done {
            Ok(_) => {
                session.write(format!("Finished defragmenting etcd member[{name}]. took {took}\n"))?;
                session.cx.io.out.flush()?;
            }
            Err(failure) => {
                let line = format!("Failed to defragment etcd member[{name}]. took {took}. ({failure})\n");
                let _ = session.cx.io.err.write_all(line.as_bytes());
                failed = true;
            }
        }
    }
    Ok(Exit(if failed { status::ERROR } else { 0 }))
}

pub fn move_leader(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    session.expect(words.len() == 1, "move-leader command needs 1 argument")?;
    let text = words.first().map(Vec::as_slice).unwrap_or_default();
    let target = golang::parse_radix(text, 16, false).map_err(|why| session.fail(status::BAD_ARGS, why))?;
    let client = session.client()?;
    for endpoint in client.endpoints().to_vec() {
        let mut own = client.only(&endpoint);
        let reply = session.ask(&mut own, &StatusRequest {})?;
        if reply.header.is_none_or(|header| header.member_id != reply.leader) {
            continue;
        }
        let leader = reply.leader;
        let reply = session.ask(&mut own, &MoveLeaderRequest { target_id: target })?;
        let line = format!("Leadership transferred from {leader:x} to {target:x}\n");
        return session.show_header(reply.header.as_ref(), &line, false);
    }
    let names: Vec<String> = client.endpoints().iter().map(|each| Safe(&each.text).to_string()).collect();
    Err(session.fail(status::BAD_ARGS, format_args!("no leader endpoint given at [{}]", names.join(" "))))
}

pub fn downgrade_validate(session: &mut Session<'_, '_>) -> Result<Exit> {
    downgrade(session, DowngradeAction::Validate, "validate")
}

pub fn downgrade_enable(session: &mut Session<'_, '_>) -> Result<Exit> {
    downgrade(session, DowngradeAction::Enable, "enable")
}

pub fn downgrade_cancel(session: &mut Session<'_, '_>) -> Result<Exit> {
    downgrade(session, DowngradeAction::Cancel, "cancel")
}

fn downgrade(session: &mut Session<'_, '_>, action: DowngradeAction, what: &str) -> Result<Exit> {
    let words = session.texts()?;
    let version = match action {
        DowngradeAction::Cancel => String::new(),
        _ => {
            session.expect(!words.is_empty(), "TARGET_VERSION not provided")?;
            session.expect(words.len() == 1, "too many arguments")?;
            words.first().cloned().unwrap_or_default()
        }
    };
    session.expect(action == DowngradeAction::Cancel || !version.is_empty(), "target version not provided")?;
    let mut client = session.client()?;
    let reply = session.ask(&mut client, &DowngradeRequest { action: action as i32, version })?;
    session.show(&Views {
        simple: &|_| {
            let version = Safe(reply.version.as_bytes());
            format!("Downgrade {what} success, cluster version {version}\n").into_bytes()
        },
        fields: None,
        json: &|| Json::headed(reply.header.as_ref()).text("version", &reply.version).finish(),
        protobuf: Some(&|| reply.encode_to_vec()),
        table: None,
    })
}

// --- snapshot

pub fn snapshot_save(session: &mut Session<'_, '_>) -> Result<Exit> {
    let words = session.given.words.clone();
    session.expect(words.len() == 1, "snapshot save expects one argument")?;
    let path = words.first().cloned().unwrap_or_default();
    let client = session.client()?;
    if client.endpoints().len() != 1 {
        let names: Vec<String> = client.endpoints().iter().map(|each| Safe(&each.text).to_string()).collect();
        let complaint = format!("snapshot must be requested to one selected node, not multiple [{}]", names.join(" "));
        return Err(session.fail(status::INTERRUPTED, complaint));
    }
    let target = Path::new(OsStr::from_bytes(&path));
    let partial = Partial::create(session.cx.files, target).map_err(|error| trouble(session, &path, &error))?;
    let version = save(session, client, &partial.file, &path)?;
    partial.keep().map_err(|error| trouble(session, &path, &error))?;
    session.write([b"Snapshot saved at ", &path[..], b"\n"].concat())?;
    if !version.is_empty() {
        session.write(format!("Server version {}\n", Safe(version.as_bytes())))?;
    }
    Ok(Exit(0))
}

fn trouble(session: &mut Session<'_, '_>, path: &[u8], error: &std::io::Error) -> Error {
    session.fail(status::INTERRUPTED, format_args!("{}: {}", Safe(path), reason(error)))
}

/// Receives all of it; gives the server's version where it says it.
fn save(session: &mut Session<'_, '_>, mut client: Client<'_>, mut file: &File, path: &[u8]) -> Result<String> {
    let silence = session.duration("command-timeout");
    let mut stream = client.open(SNAPSHOT, false).map_err(|failure| broken(session, &failure))?;
    client.send(&mut stream, &SnapshotRequest {}, true).map_err(|failure| broken(session, &failure))?;
    let mut receiver = Receiver::new();
    let mut progress = Progress::new(session);
    loop {
        let bytes = match client.next(&mut stream, Some(Deadline::after(silence)), None) {
            Ok(Next::Message(bytes)) => bytes,
            Ok(Next::End | Next::Other) => break,
            Err(failure) => return Err(broken(session, &failure)),
        };
        let part: SnapshotResponse = decode(&bytes).map_err(|failure| broken(session, &failure))?;
        file.write_all(&receiver.take(part)).map_err(|error| trouble(session, path, &error))?;
        progress.show(session, receiver.total, receiver.left);
    }
    progress.end(session);
    let version = receiver.version.clone();
    receiver.finish().map_err(|why| session.fail(status::INTERRUPTED, why))?;
    Ok(version)
}

fn broken(session: &mut Session<'_, '_>, failure: &Failure) -> Error {
    session.fail(status::INTERRUPTED, failure)
}

/// A line that is written over, where somebody looks at it.
struct Progress {
    shown: bool,
    last: Instant,
    terminal: bool,
}

impl Progress {
    fn new(session: &Session<'_, '_>) -> Progress {
        let terminal = std::io::IsTerminal::is_terminal(&session.cx.io.err);
        Progress { shown: false, last: Instant::now(), terminal }
    }

    fn show(&mut self, session: &mut Session<'_, '_>, done: u64, left: u64) {
        if self.terminal && self.last.elapsed().as_millis() >= 200 {
            let line = format!("\r{} of {} \x1b[K", golang::size(done), golang::size(done.saturating_add(left)));
            let _ = session.cx.io.err.write_all(line.as_bytes());
            self.last = Instant::now();
            self.shown = true;
        }
    }

    fn end(&mut self, session: &mut Session<'_, '_>) {
        if self.shown {
            let _ = session.cx.io.err.write_all(b"\r\x1b[K");
        }
    }
}

/// The client that this one stands in for.
const VERSION: &str = "3.6.14";
const API_VERSION: &str = "3.6";

pub fn version(session: &mut Session<'_, '_>) -> Result<Exit> {
    session.write(format!("etcdctl version: {VERSION}\nAPI version: {API_VERSION}\n"))?;
    Ok(Exit(0))
}
