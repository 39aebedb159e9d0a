//! events: a line for each change below a prefix, from now on or from a revision on. It goes on at another endpoint, behind
//! the last change, when its own is lost.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Asking, Outcome, Stop, size};
use crate::applet::Exit;
use crate::net::{Deadline, wait};
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::protocol::etcd::client::{Next, Stream, decode};
use crate::protocol::etcd::message::{Event, EventType, WATCH, WatchAction, WatchCreate, WatchRequest, WatchResponse};
use crate::protocol::etcd::range::prefix_end;
use crate::protocol::etcd::{Client, Failure};

/// Between attempts to reach a server that is gone.
const PAUSE: Duration = Duration::from_millis(500);

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let prefix = asking.words.first().map(|word| word.as_bytes().to_vec()).unwrap_or_default();
    let mut wanted = WatchCreate {
        range_end: prefix_end(&prefix),
        key: if prefix.is_empty() { vec![0] } else { prefix },
        start_revision: asking.options.rev.unwrap_or(0),
        ..WatchCreate::default()
    };
    let mut left = asking.options.limit;
    // What came before the watch has no time.
    let mut past = 0;
    let mut stream = start(&mut asking.door.client, &wanted)?;
    loop {
        let bytes = match asking.door.client.next(&mut stream, None, None) {
            Ok(Next::Message(bytes)) => bytes,
            Ok(Next::Other) => continue,
            Err(failure) if !is_gone(&failure) => return Err(failure.into()),
            // The server is gone.
            Ok(Next::End) | Err(_) => {
                stream = again(asking, &wanted)?;
                continue;
            }
        };
        let reply: WatchResponse = decode(&bytes)?;
        if reply.canceled {
            let text = match (reply.compact_revision, reply.cancel_reason.as_str()) {
                (oldest @ 1.., _) => format!("that revision is gone: the oldest that is kept is {oldest}"),
                (_, "") => String::from("the server ended it"),
                (_, why) => Safe(why.as_bytes()).to_string(),
            };
            return Err(Stop::new("cancelled", text));
        }
        if let Some(header) = reply.header.filter(|_| reply.created) {
            past = header.revision;
            if wanted.start_revision == 0 {
                wanted.start_revision = past.saturating_add(1);
            }
        }
        for event in &reply.events {
            if left == Some(0) {
                break;
            }
            left = left.map(|left| left - 1);
            tell(asking, event, past)?;
        }
        asking.cx.io.out.flush()?;
        if left == Some(0) {
            return Ok(Exit(0));
        }
        if let Some(pair) = reply.events.last().and_then(|event| event.kv.as_ref()) {
            wanted.start_revision = pair.mod_revision.saturating_add(1);
        }
    }
}

fn start(client: &mut Client<'_>, wanted: &WatchCreate) -> Result<Stream, Failure> {
    let mut stream = client.open(WATCH, true)?;
    let request = WatchRequest { action: Some(WatchAction::Create(wanted.clone())) };
    client.send(&mut stream, &request, false)?;
    Ok(stream)
}

/// The same watch at whichever endpoint is the first to answer again.
fn again(asking: &mut Asking<'_, '_>, wanted: &WatchCreate) -> Outcome<Stream> {
    let mut said = false;
    loop {
        asking.door.client.abandon();
        let _ = wait(&mut [], Deadline::after(PAUSE));
        match start(&mut asking.door.client, wanted) {
            Err(failure) if is_gone(&failure) => {
                if !said {
                    asking.cx.note(format_args!("{failure}: trying again"));
                    said = true;
                }
            }
            done => return Ok(done?),
        }
    }
}

/// Whether another member, or this one later, will do.
fn is_gone(failure: &Failure) -> bool {
    failure.is_transport() || failure.lacks_leader()
}

fn tell(asking: &mut Asking<'_, '_>, event: &Event, past: i64) -> Outcome<()> {
    let Some(pair) = &event.kv else { return Ok(()) };
    let what = match pair.version {
        _ if event.r#type == EventType::Delete as i32 => "delete",
        1 => "create",
        _ => "put",
    };
    if asking.options.json {
        let mut object = Object::new();
        object
            .text("type", what)
            .signed("revision", Some(pair.mod_revision))
            .bytes("key", &pair.key)
            .number("value_bytes", Some(pair.value.len() as u64))
            .signed("version", Some(pair.version))
            .signed("lease", Some(pair.lease));
        return asking.print(object);
    }
    let now = match pair.mod_revision > past {
        true => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
            units::utc(i64::try_from(now).unwrap_or(0))
        }
        false => String::from("-"),
    };
    let key = Safe(&pair.key);
    let more = if what == "delete" { String::new() } else { format!(" {}", size(pair.value.len() as i64)) };
    Ok(writeln!(asking.cx.io.out, "{now:<23} {} {what:<6} {key}{more}", pair.mod_revision)?)
}
