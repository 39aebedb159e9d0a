//! top: which groups of keys take the space, and which keys. All keys are read in pages of one revision, and as they come in
//! their order, a group is over when the next one begins: no more is kept than what will be shown.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use super::snapshot::Progress;
use super::{Asking, Outcome, size, whole};
use crate::applet::Exit;
use crate::net::Deadline;
use crate::output::json::Object;
use crate::output::table::{Cell, Column, fitted};
use crate::output::units;
use crate::protocol::etcd::Failure;
use crate::protocol::etcd::message::{KeyValue, RangeRequest};
use crate::protocol::etcd::range::{Pages, prefix_end};

/// As many rows as one looks at, unless more are asked for.
const ROWS: usize = 10;
const MOST: usize = 10_000;
const DEPTH: usize = 2;

/// What keys take together, or a key alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub name: Vec<u8>,
    pub keys: u64,
    pub bytes: u64,
    /// Of one key.
    pub largest: u64,
    /// How often its keys were written since they were created.
    pub changes: u64,
    pub revision: i64,
}

impl Group {
    fn of(pair: &KeyValue, name: &[u8]) -> Group {
        let bytes = (pair.key.len() + pair.value.len()) as u64;
        let changes = whole(pair.version).unwrap_or(0);
        Group { name: name.to_vec(), keys: 1, bytes, largest: bytes, changes, revision: pair.mod_revision }
    }

    fn add(&mut self, other: &Group) {
        self.keys += other.keys;
        self.bytes += other.bytes;
        self.largest = self.largest.max(other.largest);
        self.changes = self.changes.saturating_add(other.changes);
        self.revision = self.revision.max(other.revision);
    }
}

/// The largest of many.
#[derive(Debug, Default)]
struct Largest {
    most: usize,
    all: Vec<Group>,
}

impl Largest {
    fn offer(&mut self, group: Group) {
        if self.most == 0
            || self.all.len() == self.most && self.all.last().is_some_and(|last| last.bytes >= group.bytes)
        {
            return;
        }
        let at = self.all.partition_point(|known| known.bytes >= group.bytes);
        self.all.insert(at, group);
        self.all.truncate(self.most);
    }
}

/// All that was seen.
#[derive(Default)]
pub struct Seen {
    pub revision: i64,
    pub all: Group,
    groups: Largest,
    keys: Largest,
    /// The group that is not over yet.
    open: Option<Group>,
    /// There were more keys, and no more time.
    pub cut: bool,
}

impl Seen {
    fn new(rows: usize) -> Seen {
        let largest = || Largest { most: rows, all: Vec::new() };
        Seen { groups: largest(), keys: largest(), ..Seen::default() }
    }

    fn take(&mut self, pair: &KeyValue, depth: usize) {
        let one = Group::of(pair, &[]);
        self.all.add(&one);
        let name = group_name(&pair.key, depth);
        match &mut self.open {
            Some(open) if open.name == name => open.add(&one),
            open => {
                if let Some(over) = open.replace(Group { name: name.to_vec(), ..one }) {
                    self.groups.offer(over);
                }
            }
        }
        self.keys.offer(Group::of(pair, &pair.key));
    }

    pub fn groups(&self) -> &[Group] {
        &self.groups.all
    }
}

/// The first levels of a key, with the slash behind them.
fn group_name(key: &[u8], depth: usize) -> &[u8] {
    // A slash at the start begins the first level.
    let slashes = memchr::memchr_iter(b'/', key).filter(|at| *at > 0);
    match slashes.take(depth).enumerate().last() {
        Some((count, at)) if count + 1 == depth => key.get(..=at).unwrap_or(key),
        _ => key,
    }
}

/// Reads all keys below a prefix, or as many as there is time for.
pub fn scan(
    asking: &mut Asking<'_, '_>,
    prefix: &[u8],
    depth: usize,
    rows: usize,
    end: Option<Deadline>,
) -> Result<Seen, Failure> {
    let request = RangeRequest {
        key: if prefix.is_empty() { vec![0] } else { prefix.to_vec() },
        range_end: prefix_end(prefix),
        revision: asking.options.rev.unwrap_or(0),
        ..RangeRequest::default()
    };
    let mut pages = Pages::new(request);
    let mut seen = Seen::new(rows);
    let mut progress = Progress::new(asking.cx);
    while let Some(pairs) = pages.next(&mut asking.door.client)? {
        pairs.iter().for_each(|pair| seen.take(pair, depth));
        progress.show(asking.cx, &|| format!("{} of {} keys", seen.all.keys, pages.count));
        if end.is_some_and(|end| end.left().is_zero()) {
            seen.cut = i64::try_from(seen.all.keys).is_ok_and(|keys| keys < pages.count);
            break;
        }
    }
    progress.end(asking.cx);
    seen.revision = match asking.options.rev {
        Some(revision) => revision,
        None => pages.header.map_or(0, |header| header.revision),
    };
    if let Some(over) = seen.open.take() {
        seen.groups.offer(over);
    }
    Ok(seen)
}

pub const COLUMNS: [Column; 6] = [
    Column::right("BYTES", "bytes", 0),
    Column::right("SHARE", "share", 0),
    Column::right("KEYS", "keys", 0),
    Column::right("LARGEST", "largest", 0),
    Column::right("WRITES", "writes", 0),
    Column::left("KEYS BELOW", "prefix", 0),
];

/// The cells of a group, which is a part of `all`.
pub fn cells(group: &Group, all: &Group) -> Vec<Cell> {
    let share = 100.0 * group.bytes as f64 / all.bytes.max(1) as f64;
    vec![
        Cell::Text(units::bytes(group.bytes)),
        Cell::Text(format!("{share:.1}%")),
        Cell::Number(group.keys),
        Cell::Text(units::bytes(group.largest)),
        Cell::Number(group.changes),
        Cell::Bytes(group.name.clone()),
    ]
}

pub fn group_json(group: &Group) -> Object {
    let mut object = Object::new();
    object
        .bytes("prefix", &group.name)
        .number("keys", Some(group.keys))
        .number("bytes", Some(group.bytes))
        .number("largest_bytes", Some(group.largest))
        .number("writes", Some(group.changes))
        .signed("mod_revision", Some(group.revision));
    object
}

pub fn run(asking: &mut Asking<'_, '_>) -> Outcome<Exit> {
    let prefix = asking.words.first().map(|word| word.as_bytes().to_vec()).unwrap_or_default();
    let rows = asking.options.limit.unwrap_or(ROWS).min(MOST);
    let depth = asking.options.depth.unwrap_or(DEPTH).max(1);
    let seen = scan(asking, &prefix, depth, rows, None)?;
    if asking.options.json {
        let mut object = asking.door.object();
        object
            .signed("revision", Some(seen.revision))
            .number("keys", Some(seen.all.keys))
            .number("bytes", Some(seen.all.bytes))
            .number("writes", Some(seen.all.changes))
            .objects("groups", seen.groups.all.iter().map(group_json))
            .objects(
                "largest",
                seen.keys.all.iter().map(|key| {
                    let mut object = Object::new();
                    object
                        .bytes("key", &key.name)
                        .number("bytes", Some(key.bytes))
                        .number("version", Some(key.changes))
                        .signed("mod_revision", Some(key.revision));
                    object
                }),
            );
        asking.print(object)?;
        return Ok(Exit(u8::from(seen.all.keys == 0)));
    }
    let out = &mut asking.cx.io.out;
    let (keys, bytes) = (seen.all.keys, size(i64::try_from(seen.all.bytes).unwrap_or(i64::MAX)));
    writeln!(out, "{keys} keys, {bytes} at revision {}", seen.revision)?;
    if keys == 0 {
        return Ok(Exit(1));
    }
    let groups: Vec<Vec<Cell>> = seen.groups.all.iter().map(|group| cells(group, &seen.all)).collect();
    fitted(out, &COLUMNS, &groups)?;
    writeln!(out)?;
    const KEYS: [Column; 4] = [
        Column::right("BYTES", "bytes", 0),
        Column::right("WRITES", "version", 0),
        Column::right("REVISION", "mod_revision", 0),
        Column::left("KEY", "key", 0),
    ];
    let keys: Vec<Vec<Cell>> = seen
        .keys
        .all
        .iter()
        .map(|key| {
            let bytes = Cell::Text(units::bytes(key.bytes));
            vec![bytes, Cell::Number(key.changes), Cell::Signed(key.revision), Cell::Bytes(key.name.clone())]
        })
        .collect();
    fitted(out, &KEYS, &keys)?;
    Ok(Exit(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn names_of_groups() {
        for (key, depth, name) in [
            (&b"/registry/pods/ns/x"[..], 2, &b"/registry/pods/"[..]),
            (b"/registry/pods/ns/x", 1, b"/registry/"),
            (b"/registry/pods", 2, b"/registry/pods"),
            (b"a/b/c", 1, b"a/"),
            (b"plain", 2, b"plain"),
            (b"", 2, b""),
            (b"//x", 1, b"//"),
        ] {
            assert_eq!(group_name(key, depth), name);
        }
    }

    #[test]
    fn the_largest_are_kept() {
        let mut seen = Seen::new(2);
        for (key, value, version) in [("a/1", 10, 1), ("a/2", 30, 2), ("b/1", 5, 1), ("c/1", 20, 7), ("d", 1, 1)] {
            let (key, value) = (Bytes::from(key), Bytes::from(vec![0; value]));
            seen.take(&KeyValue { key, value, version, mod_revision: version, ..KeyValue::default() }, 1);
        }
        let names = |all: &[Group]| all.iter().map(|one| (one.name.clone(), one.bytes)).collect::<Vec<_>>();
        assert_eq!(names(seen.groups()), [(b"a/".to_vec(), 46), (b"c/".to_vec(), 23)]);
        assert_eq!(names(&seen.keys.all), [(b"a/2".to_vec(), 33), (b"c/1".to_vec(), 23)]);
        let a = &seen.groups()[0];
        assert_eq!((a.keys, a.largest, a.changes, a.revision), (2, 33, 3, 2));
        assert_eq!((seen.all.keys, seen.all.bytes), (5, 79));
    }
}
