//! events: a line for each change below a prefix, from now on or from a revision on. It goes on at another endpoint, behind
//! the last change, when its own is lost.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Asking, Outcome, Stop, size};
use crate::applet::Exit;
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::protocol::etcd::client::{Next, Stream, decode};
use crate::protocol::etcd::message::{Event, EventType, WATCH, WatchAction, WatchCreate, WatchRequest, WatchResponse};
use crate::protocol::etcd::range::prefix_end;
use crate::protocol::etcd::{Client, Failure};

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let prefix = asking.words.first().map(|word| word.as_bytes().to_vec()).unwrap_or_default();
    let mut wanted = WatchCreate {
        range_end: prefix_end(&prefix),
        key: if prefix.is_empty() { vec![0] } else { prefix },
        start_revision: asking.options.rev.unwrap_or(0),
        ..WatchCreate::default()
    };
    let mut left = asking.options.limit;
    let mut stream = start(&mut asking.door.client, &wanted)?;
    loop {
        let bytes = match asking.door.client.next(&mut stream, None, None) {
            Ok(Next::Message(bytes)) => bytes,
            Ok(Next::Other) => continue,
            Err(failure) if !failure.is_transport() => return Err(failure.into()),
            // The server is gone.
            Ok(Next::End) | Err(_) => {
                asking.door.client.abandon();
                stream = start(&mut asking.door.client, &wanted)?;
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
        for event in &reply.events {
            if left == Some(0) {
                break;
            }
            left = left.map(|left| left - 1);
            tell(asking, event)?;
        }
        asking.cx.io.out.flush()?;
        if left == Some(0) {
            return Ok(Exit(0));
        }
        if let Some(header) = reply.header.filter(|_| !reply.events.is_empty()) {
            wanted.start_revision = header.revision.saturating_add(1);
        }
    }
}

fn start(client: &mut Client<'_>, wanted: &WatchCreate) -> Result<Stream, Failure> {
    let mut stream = client.open(WATCH, true)?;
    let request = WatchRequest { action: Some(WatchAction::Create(wanted.clone())) };
    client.send(&mut stream, &request, false)?;
    Ok(stream)
}

fn tell(asking: &mut Asking<'_, '_>, event: &Event) -> Outcome<()> {
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = units::utc(i64::try_from(now).unwrap_or(0));
    let key = Safe(&pair.key);
    let more = if what == "delete" { String::new() } else { format!(" {}", size(pair.value.len() as i64)) };
    Ok(writeln!(asking.cx.io.out, "{now} {} {what:<6} {key}{more}", pair.mod_revision)?)
}
