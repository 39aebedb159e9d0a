//! defrag: gives the unused space of the databases back. A member serves nobody meanwhile: so one at a time, the leader last,
//! only while all others answer, and on to the next when the last one is back.

use std::io::Write;
use std::time::{Duration, Instant};

use super::verdict::{endpoints, members};
use super::{Asking, Outcome, Stop, micros, size, span, whole};
use crate::applet::Exit;
use crate::inspect::etcd::cluster::name;
use crate::net::{Deadline, wait};
use crate::output::json::Object;
use crate::protocol::etcd::message::{DefragmentRequest, RangeRequest, StatusRequest, StatusResponse};
use crate::protocol::etcd::{Client, Endpoint};

/// How long a member may take to be back.
const BACK: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// A member that answers.
struct Ready {
    name: String,
    id: u64,
    endpoint: Endpoint,
    status: StatusResponse,
}

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let (list, own, _) = members(&mut asking.door.client)?;
    let mut ready = Vec::new();
    for member in &list {
        let who = name(member);
        let mut why = String::from("it has no client URL yet");
        let mut found = None;
        for endpoint in endpoints(&asking.door.client, member, own) {
            match asking.door.client.only(&endpoint).ask(&StatusRequest {}) {
                Ok(status) => found = Some((endpoint, status)),
                Err(failure) => why = super::told(failure).message,
            }
        }
        let Some((endpoint, status)) = found else {
            let text = format!("{who} does not answer, so that no other member may be away: {why}");
            return Err(unready(text));
        };
        if status.leader == 0 {
            return Err(unready(format!("{who} knows of no leader")));
        }
        ready.push(Ready { name: who, id: member.id, endpoint, status });
    }
    // The leader's absence is the one that all notice.
    let is_leader = |member: &Ready| member.status.leader == member.id;
    let (leaders, others): (Vec<Ready>, Vec<Ready>) = ready.into_iter().partition(is_leader);
    for member in others.iter().chain(&leaders) {
        let mut client = asking.door.client.only(&member.endpoint);
        let before = member.status.db_size;
        let unused = before.saturating_sub(member.status.db_size_in_use);
        // What a compaction has freed counts as used until the next write, which one that is full does not take: there is
        // no knowing, and with an alarm every page counts.
        if unused <= before / 10 && member.status.errors.is_empty() {
            let (unused, whole) = (size(unused), size(before));
            let line = format!("{}: left alone, {unused} of {whole} are unused", member.name);
            tell(asking, member, &line, None)?;
            continue;
        }
        let start = Instant::now();
        client.settings.timeout = asking.options.timeout;
        client.ask(&DefragmentRequest {})?;
        client.settings.timeout = asking.door.client.settings.timeout;
        let took = start.elapsed();
        let after = back(&mut client, &member.name)?;
        let line = format!("{}: {} to {} in {}", member.name, size(before), size(after), span(took));
        tell(asking, member, &line, Some((after, took)))?;
    }
    Ok(Exit(0))
}

fn unready(text: String) -> Stop {
    let mut stop = Stop::new("not-ready", text);
    if let Stop::Failure(failure) = &mut stop {
        failure.status = 1;
    }
    stop
}

/// Waits until the member serves again; the size that its database has then.
fn back(client: &mut Client<'_>, name: &str) -> Outcome<i64> {
    let deadline = Deadline::after(BACK);
    let read = RangeRequest { key: b"health".to_vec(), keys_only: true, limit: 1, ..RangeRequest::default() };
    loop {
        // A refusal is an answer that the members have agreed on, too.
        let serves = match client.ask(&read) {
            Ok(_) => true,
            Err(failure) => failure.status().is_some_and(|status| {
                status.message.contains("permission denied")
                    || status.message.contains("user name is empty")
                    || status.message.contains("not supported for learner")
            }),
        };
        if serves && let Ok(status) = client.ask(&StatusRequest {}) {
            return Ok(status.db_size);
        }
        if deadline.left().is_zero() {
            return Err(unready(format!("{name} is not back after {}: the others are left alone", span(BACK))));
        }
        // Nothing to wait for but the time.
        let _ = wait(&mut [], Deadline::after(PAUSE));
    }
}

fn tell(asking: &mut Asking<'_, '_>, member: &Ready, line: &str, done: Option<(i64, Duration)>) -> Outcome<()> {
    if asking.options.json {
        let mut object = Object::new();
        object
            .text("member", &member.name)
            .text("id", &format!("{:x}", member.id))
            .bool("leader", member.status.leader == member.id)
            .number("before_bytes", whole(member.status.db_size))
            .number("after_bytes", done.and_then(|(after, _)| whole(after)))
            .number("took_us", done.map(|(_, took)| micros(took)));
        asking.print(object)?;
    } else {
        writeln!(asking.cx.io.out, "{line}")?;
    }
    // The next one may take minutes.
    Ok(asking.cx.io.out.flush()?)
}
