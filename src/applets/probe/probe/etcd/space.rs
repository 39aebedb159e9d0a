//! space: where the bytes of the database are, and the exact steps that give them back.

use std::io::Write;
use std::time::Duration;

use super::verdict::{alarm_json, endpoints, members};
use super::{Asking, Outcome, size, top, whole};
use crate::applet::Exit;
use crate::inspect::etcd::cluster::Seen;
use crate::inspect::etcd::metrics::{Figure, Metrics};
use crate::net::{Address, Deadline};
use crate::output::json::Object;
use crate::output::table::{Cell, Column, fitted};
use crate::output::{Safe, units};
use crate::protocol::etcd::message::{AlarmMember, AlarmType, Member, StatusRequest};
use crate::protocol::etcd::{Client, http};

/// How long the keys are looked at.
const LOOK: Duration = Duration::from_secs(5);
const GROUPS: usize = 5;

/// What is judged.
struct Space {
    members: Vec<Seen>,
    alarms: Vec<AlarmMember>,
    /// What the target's settings say.
    quota: Option<i64>,
    revision: i64,
    /// Up to where the history is gone, if that is told.
    compacted: Option<u64>,
}

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let (list, own, alarms) = members(&mut asking.door.client)?;
    let quota = asking.door.settings.number("quota-backend-bytes");
    let mut space = Space { members: Vec::new(), alarms, quota, revision: 0, compacted: None };
    for member in list {
        let seen = ask(&asking.door.client, member, own);
        if let Ok(status) = &seen.status {
            space.revision = space.revision.max(status.header.map_or(0, |header| header.revision));
        }
        space.compacted = space.compacted.max(seen.metrics.as_ref().and_then(compacted));
        space.members.push(seen);
    }
    let keys = top::scan(asking, b"", 2, GROUPS, Some(Deadline::after(LOOK)));
    let steps = steps(&space, &Safe(&asking.door.address).to_string());
    // Without one answer or the other, that nothing is to be done is not known.
    let known = keys.is_ok() && space.members.iter().all(|seen| seen.status.is_ok());
    let exit = match (steps.is_empty(), known) {
        (false, _) => Exit(1),
        (true, true) => Exit(0),
        (true, false) => Exit(2),
    };
    if asking.options.json {
        let mut object = asking.door.object();
        object
            .objects("members", space.members.iter().map(|seen| member_json(seen, quota)))
            .objects("alarms", space.alarms.iter().map(alarm_json))
            .signed("revision", Some(space.revision))
            .number("compact_revision", space.compacted);
        match &keys {
            Ok(seen) => object
                .number("keys", Some(seen.all.keys))
                .number("bytes", Some(seen.all.bytes))
                .bool("complete", !seen.cut)
                .objects("groups", seen.groups().iter().map(top::group_json)),
            Err(failure) => object.text("keys_error", &failure.to_string()),
        };
        object.strings("steps", steps.iter().map(|(step, _)| step.as_bytes()));
        asking.print(object)?;
        return Ok(exit);
    }
    let out = &mut asking.cx.io.out;
    const COLUMNS: [Column; 6] = [
        Column::left("MEMBER", "member", 0),
        Column::right("DATABASE", "database", 0),
        Column::right("IN USE", "in_use", 0),
        Column::right("UNUSED", "unused", 0),
        Column::right("QUOTA", "quota", 0),
        Column::left("OF QUOTA", "share", 0),
    ];
    let row = |seen: &Seen| match &seen.status {
        Err(why) => {
            let mut cells = vec![Cell::Text(seen.name())];
            cells.extend((0..4).map(|_| Cell::Unknown));
            cells.push(Cell::Text(why.clone()));
            cells
        }
        Ok(status) => {
            let quota = seen.quota(quota).0;
            let unused = status.db_size.saturating_sub(status.db_size_in_use);
            let share = 100.0 * status.db_size as f64 / quota.max(1) as f64;
            let sizes = [status.db_size, status.db_size_in_use, unused, quota].map(|bytes| Cell::Text(size(bytes)));
            let share = Cell::Text(format!("{share:.1}%"));
            [vec![Cell::Text(seen.name())], sizes.to_vec(), vec![share]].concat()
        }
    };
    fitted(out, &COLUMNS, &space.members.iter().map(row).collect::<Vec<_>>())?;
    let history = match space.compacted {
        Some(from) => format!("revisions {from} to {} are kept", space.revision),
        None => format!("up to revision {}; from where on is not told", space.revision),
    };
    writeln!(out, "{:<12} {history}", "history")?;
    match &keys {
        Err(failure) => writeln!(out, "{:<12} {failure}", "keys")?,
        Ok(seen) => {
            let first = if seen.cut { "the first " } else { "" };
            let line = format!("{first}{}, {} with their values", seen.all.keys, units::bytes(seen.all.bytes));
            writeln!(out, "{:<12} {line}", "keys")?;
            let rows: Vec<Vec<Cell>> = seen.groups().iter().map(|group| top::cells(group, &seen.all)).collect();
            if !rows.is_empty() {
                fitted(out, &top::COLUMNS, &rows)?;
            }
        }
    }
    match steps.is_empty() {
        true => writeln!(out, "{:<12} {}", "steps", if known { "nothing to be done" } else { "not known" })?,
        false => {
            for (number, (step, why)) in steps.iter().enumerate() {
                let title = if number == 0 { "steps" } else { "" };
                writeln!(out, "{title:<12} {}. {step}   # {why}", number + 1)?;
            }
        }
    }
    Ok(exit)
}

fn ask(client: &Client<'_>, member: Member, own: u64) -> Seen {
    let mut seen =
        Seen { member, status: Err(String::from("it has no client URL yet")), alive: false, took: None, metrics: None };
    for endpoint in endpoints(client, &seen.member, own) {
        let mut client = client.only(&endpoint);
        seen.status = client.ask(&StatusRequest {}).map_err(|failure| super::told(failure).message);
        if seen.status.is_ok() {
            let host = match &endpoint.address {
                Address::Unix(_) => b"localhost".to_vec(),
                address => address.to_bytes(),
            };
            let text = client.over_http().ok().and_then(|mut socket| http::metrics(&mut socket, &host).ok());
            seen.metrics = text.map(|text| Metrics::parse(&text));
            break;
        }
    }
    seen
}

/// What was never compacted gives -1.
fn compacted(metrics: &Metrics) -> Option<u64> {
    metrics.get(Figure::Compacted).map(|revision| revision.max(0.0) as u64)
}

fn member_json(seen: &Seen, quota: Option<i64>) -> Object {
    let mut object = Object::new();
    object.text("name", &seen.member.name).text("id", &format!("{:x}", seen.member.id));
    let status = seen.status.as_ref();
    match status {
        Ok(_) => object.null("error"),
        Err(why) => object.text("error", why),
    };
    let status = status.ok();
    let number = |value: Option<i64>| value.and_then(whole);
    object
        .number("db_size_bytes", number(status.map(|status| status.db_size)))
        .number("db_size_in_use_bytes", number(status.map(|status| status.db_size_in_use)))
        .number("unused_bytes", number(status.map(|status| status.db_size.saturating_sub(status.db_size_in_use))))
        .number("quota_bytes", number(status.map(|_| seen.quota(quota).0)));
    object
}

/// What to do, in this order, and what for. Nothing where there is room.
fn steps(space: &Space, address: &str) -> Vec<(String, String)> {
    let answers = || space.members.iter().filter_map(|seen| Some((seen, seen.status.as_ref().ok()?)));
    let full = |seen: &Seen, part: i64| {
        let quota = seen.quota(space.quota).0;
        move |bytes: i64| bytes / 100 >= quota / 100 * part / 100
    };
    let nospace = space.alarms.iter().any(|alarm| alarm.alarm == AlarmType::Nospace as i32);
    let tight = answers().any(|(seen, status)| full(seen, 80)(status.db_size));
    let unused: i64 =
        answers().map(|(_, status)| status.db_size.saturating_sub(status.db_size_in_use)).max().unwrap_or(0);
    let wasteful = answers().any(|(_, status)| {
        let unused = status.db_size.saturating_sub(status.db_size_in_use);
        unused > status.db_size / 2 && unused > 100 << 20
    });
    let mut steps = Vec::new();
    if !(nospace || tight || wasteful) {
        return steps;
    }
    let mut add = |step: String, why: String| steps.push((step, why));
    let kept = space.compacted.and_then(|from| whole(space.revision)?.checked_sub(from));
    let compacts = (nospace || tight) && kept != Some(0);
    if compacts {
        let why = match kept {
            Some(kept) => format!("forgets what {kept} older revisions held"),
            None => String::from("forgets what older revisions held"),
        };
        add(format!("etcdctl --endpoints={address} compaction {} --physical", space.revision), why);
    }
    // A few free pages are no gain.
    let gains = compacts
        || answers().any(|(_, status)| status.db_size.saturating_sub(status.db_size_in_use) > status.db_size / 100);
    if gains {
        let gain = match (unused > 0, compacts) {
            (true, true) => format!("gives back {} and what the compaction frees", size(unused)),
            (true, false) => format!("gives back {}", size(unused)),
            (false, _) => String::from("gives back what the compaction frees"),
        };
        let away: Vec<String> = space.members.iter().filter(|seen| seen.status.is_err()).map(Seen::name).collect();
        let living = answers().filter_map(|(seen, _)| seen.member.client_urls.first().cloned());
        match away.is_empty() {
            true => add(format!("probe etcd {address} defrag"), gain),
            // Our own lets no further member be away.
            false => add(
                format!("etcdctl --endpoints={} defrag", Safe(living.collect::<Vec<_>>().join(",").as_bytes())),
                format!("{gain}, without {}", away.join(", ")),
            ),
        }
    }
    if nospace {
        add(format!("etcdctl --endpoints={address} alarm disarm"), String::from("lets it write again"));
    }
    // With its history, nobody can tell what is in use.
    let used = answers().any(|(seen, status)| full(seen, 80)(status.db_size_in_use)) || tight && !gains;
    if kept == Some(0) && used {
        let why = String::from("what is in use is near the quota: remove keys, or raise --quota-backend-bytes");
        add(format!("probe etcd {address} top"), why);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::etcd::message::StatusResponse;

    fn space(size: i64, in_use: i64, nospace: bool, compacted: Option<u64>) -> Space {
        let status = StatusResponse { db_size: size, db_size_in_use: in_use, ..StatusResponse::default() };
        let member = Member { id: 1, name: "a".into(), ..Member::default() };
        let seen = Seen { member, status: Ok(status), alive: true, took: None, metrics: None };
        let alarm = AlarmMember { member_id: 1, alarm: AlarmType::Nospace as i32 };
        let alarms = if nospace { vec![alarm] } else { Vec::new() };
        Space { members: vec![seen], alarms, quota: Some(1 << 30), revision: 5000, compacted }
    }

    fn told(space: &Space) -> Vec<String> {
        steps(space, "h:1").into_iter().map(|(step, why)| format!("{step} # {why}")).collect()
    }

    #[test]
    fn steps_by_need() {
        let mib = 1 << 20;
        assert_eq!(told(&space(500 * mib, 400 * mib, false, None)), [""; 0]);
        assert_eq!(told(&space(40 * mib, mib, false, None)), [""; 0]);
        assert_eq!(told(&space(500 * mib, 100 * mib, false, Some(1))), ["probe etcd h:1 defrag # gives back 400 MiB"]);
        assert_eq!(
            told(&space(1024 * mib, 100 * mib, true, Some(10))),
            [
                "etcdctl --endpoints=h:1 compaction 5000 --physical # forgets what 4990 older revisions held",
                "probe etcd h:1 defrag # gives back 924 MiB and what the compaction frees",
                "etcdctl --endpoints=h:1 alarm disarm # lets it write again",
            ]
        );
        let mut halved = space(500 * mib, 100 * mib, false, Some(1));
        halved.members[0].member.client_urls = vec![String::from("http://h:1"), String::from("http://h:3")];
        let member = Member { name: String::from("b"), ..Member::default() };
        let away = Seen { member, status: Err(String::from("refused")), alive: false, took: None, metrics: None };
        halved.members.push(away);
        assert_eq!(told(&halved), ["etcdctl --endpoints=http://h:1 defrag # gives back 400 MiB, without b"]);
        assert_eq!(
            told(&space(900 * mib, 900 * mib, false, Some(5000))),
            ["probe etcd h:1 top # what is in use is near the quota: remove keys, or raise --quota-backend-bytes"]
        );
        assert_eq!(
            told(&space(1024 * mib, 1023 * mib, true, Some(5000))),
            [
                "etcdctl --endpoints=h:1 alarm disarm # lets it write again",
                "probe etcd h:1 top # what is in use is near the quota: remove keys, or raise --quota-backend-bytes",
            ]
        );
    }
}
