//! hash: whether all members hold the same, by the hash of their keys at one revision, and which one does not.

use std::io::Write;
use std::time::Duration;

use prost::Message;

use super::verdict::{endpoints, members};
use super::{Asking, Outcome, told};
use crate::applet::Exit;
use crate::inspect::etcd::cluster::name;
use crate::launch::parallel;
use crate::net::{Deadline, wait};
use crate::output::json::Object;
use crate::output::table::{Cell, Column, fitted};
use crate::protocol::etcd::message::{HashKvRequest, HashKvResponse, StatusRequest};

/// A member reads all it has for that.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A compaction between the answers makes them incomparable, and a member may be a moment behind.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// What a member said.
#[derive(Clone, PartialEq, Message)]
struct Told {
    #[prost(message, optional, tag = "1")]
    hash: Option<HashKvResponse>,
    #[prost(string, tag = "2")]
    error: String,
}

/// A member's part in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Same,
    Odd,
    Silent,
}

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let (members, own, _) = members(&mut asking.door.client)?;
    let timeout = asking.options.timeout.unwrap_or(TIMEOUT);
    let mut tries = 0;
    // Instead of one revision: where it is compacted itself, it cannot be asked for.
    let mut latest = false;
    let (revision, hashes) = loop {
        tries += 1;
        let revision = match asking.options.rev {
            Some(revision) => revision,
            None if latest => 0,
            None => asking.door.client.ask(&StatusRequest {})?.header.map_or(0, |header| header.revision),
        };
        let client = &asking.door.client;
        let all = parallel(asking.cx.io, members.len(), &mut |number| {
            let mut answer = Told { hash: None, error: String::from("it has no client URL yet") };
            let endpoints = members.get(number).map(|member| endpoints(client, member, own)).unwrap_or_default();
            for endpoint in endpoints {
                let mut client = client.only(&endpoint);
                client.settings.timeout = Some(timeout);
                match client.ask(&HashKvRequest { revision }) {
                    Ok(hash) => {
                        answer.hash = Some(hash);
                        break;
                    }
                    Err(failure) => answer.error = told(failure).message,
                }
            }
            answer.encode_to_vec()
        });
        let hashes: Vec<Told> = all.iter().map(|bytes| Told::decode(bytes.as_slice()).unwrap_or_default()).collect();
        if tries == TRIES || !is_restless(&hashes, latest) {
            break (revision, hashes);
        }
        latest |= hashes.iter().any(|told| told.error.contains("has been compacted"));
        // Nothing to wait for but the time.
        let _ = wait(&mut [], Deadline::after(PAUSE));
    };
    let (parts, verdict) = compare(&hashes, latest);
    let first = hashes.iter().find_map(|told| told.hash.as_ref()?.header);
    let revision = if revision == 0 { first.map_or(0, |header| header.revision) } else { revision };
    let word = |part| match part {
        Part::Same => "same",
        Part::Odd => "differs",
        Part::Silent => "unknown",
    };
    let exit = Exit(u8::from(verdict != Verdict::Same));
    let text = match verdict {
        Verdict::Same => "all members hold the same",
        Verdict::Odd => "not all members hold the same: replace those that differ (etcdctl member remove, member add)",
        Verdict::Split => "members hold different things, and no majority agrees: which is right cannot be told",
        Verdict::Incomparable => "compacted at different revisions, which cannot be compared: again, a little later",
        Verdict::Incomplete => "those that answer hold the same; not all do",
        Verdict::Silent => "no member answers",
    };
    if asking.options.json {
        let mut object = asking.door.object();
        object.signed("revision", Some(revision)).objects(
            "members",
            members.iter().zip(hashes.iter().zip(&parts)).map(|(member, (told, part))| {
                let mut object = Object::new();
                let hash = told.hash.as_ref();
                object
                    .text("name", &member.name)
                    .text("id", &format!("{:x}", member.id))
                    .number("hash", hash.map(|hash| u64::from(hash.hash)))
                    .signed("compact_revision", hash.map(|hash| hash.compact_revision))
                    .text("part", word(*part));
                match hash {
                    Some(_) => object.null("error"),
                    None => object.text("error", &told.error),
                };
                object
            }),
        );
        object.text("verdict", if exit.0 == 0 { "ok" } else { "fail" }).text("text", text);
        asking.print(object)?;
        return Ok(exit);
    }
    const COLUMNS: [Column; 4] = [
        Column::left("MEMBER", "member", 0),
        Column::right("HASH", "hash", 0),
        Column::right("COMPACTED", "compact_revision", 0),
        Column::left("", "part", 0),
    ];
    let rows = members.iter().zip(hashes.iter().zip(&parts)).map(|(member, (told, part))| match &told.hash {
        Some(hash) => vec![
            Cell::Text(name(member)),
            Cell::Text(format!("{:08x}", hash.hash)),
            Cell::Signed(hash.compact_revision),
            Cell::Text(word(*part).into()),
        ],
        None => vec![Cell::Text(name(member)), Cell::Unknown, Cell::Unknown, Cell::Text(told.error.clone())],
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    fitted(&mut asking.cx.io.out, &COLUMNS, &rows)?;
    writeln!(asking.cx.io.out, "at revision {revision}: {text}")?;
    Ok(exit)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Odd,
    Split,
    Incomparable,
    Incomplete,
    Silent,
}

/// Whether another look may tell more: a member is behind, or compacts.
fn is_restless(hashes: &[Told], latest: bool) -> bool {
    let behind = hashes.iter().any(|told| told.hash.is_none() && told.error.contains("revision"));
    behind || compare(hashes, latest).1 == Verdict::Incomparable
}

/// Who belongs to the largest group of those that hold the same. `latest`: each was asked at its own revision.
fn compare(hashes: &[Told], latest: bool) -> (Vec<Part>, Verdict) {
    let known = || hashes.iter().filter_map(|told| told.hash.as_ref());
    let count = |wanted: u32| known().filter(|hash| hash.hash == wanted).count();
    let best = known().map(|hash| hash.hash).max_by_key(|hash| count(*hash));
    let part = |told: &Told| match &told.hash {
        None => Part::Silent,
        Some(hash) if Some(hash.hash) == best => Part::Same,
        Some(_) => Part::Odd,
    };
    let parts = hashes.iter().map(part).collect();
    let all = known().count();
    let agreeing = best.map_or(0, count);
    let place =
        |hash: &HashKvResponse| (hash.compact_revision, hash.header.filter(|_| latest).map(|header| header.revision));
    let first = known().next().map(place);
    let verdict = match () {
        () if all == 0 => Verdict::Silent,
        () if agreeing == all && all == hashes.len() => Verdict::Same,
        () if agreeing == all => Verdict::Incomplete,
        () if known().any(|hash| Some(place(hash)) != first) => Verdict::Incomparable,
        () if agreeing * 2 > hashes.len() => Verdict::Odd,
        () => Verdict::Split,
    };
    (parts, verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(hashes: &[Option<(u32, i64)>]) -> (Vec<Part>, Verdict) {
        let told = |hash: &Option<(u32, i64)>| Told {
            hash: hash.map(|(hash, compact_revision)| HashKvResponse { hash, compact_revision, ..Default::default() }),
            error: String::from("refused"),
        };
        compare(&hashes.iter().map(told).collect::<Vec<_>>(), false)
    }

    #[test]
    fn the_odd_one() {
        use Part::{Odd, Same, Silent};
        let one = |hash| Some((hash, 5));
        assert_eq!(compared(&[one(1), one(1), one(1)]), (vec![Same; 3], Verdict::Same));
        assert_eq!(compared(&[one(1), one(2), one(1)]), (vec![Same, Odd, Same], Verdict::Odd));
        assert_eq!(compared(&[one(1), one(2)]).1, Verdict::Split);
        assert_eq!(compared(&[one(1), None, one(1)]), (vec![Same, Silent, Same], Verdict::Incomplete));
        assert_eq!(compared(&[one(1), Some((2, 6)), one(1)]).1, Verdict::Incomparable);
        assert_eq!(compared(&[None]).1, Verdict::Silent);
        assert_eq!(compared(&[one(1)]).1, Verdict::Same);
    }
}
