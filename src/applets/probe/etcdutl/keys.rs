//! `get` and `top`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use super::{CHANGED, Input, bytes};
use crate::applet::{Context, Exit, Result};
use crate::output::json::Object;
use crate::output::table::{self, Cell, Column};
use crate::output::{order, shown, units};
use crate::protocol::etcd::file;
use crate::protocol::etcd::file::bolt::{Pairs, Seen};
use crate::protocol::etcd::file::sorted::Sorted;
use crate::protocol::etcd::file::store::{KeyValue, Keys, Store};

#[derive(clap::Args)]
pub struct Get {
    /// As it was at this revision; 0 is the last
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    rev: i64,
    /// All keys that begin with KEY
    #[arg(long, conflicts_with = "end")]
    prefix: bool,
    /// All keys from KEY on
    #[arg(long, conflicts_with_all = ["end", "prefix"])]
    from_key: bool,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Without the values
    #[arg(long)]
    keys_only: bool,
    /// Without the keys
    #[arg(long)]
    print_value_only: bool,
    /// Only how many
    #[arg(long)]
    count_only: bool,
    #[arg(value_name = "DB")]
    file: PathBuf,
    /// Without it, all keys
    #[arg(value_name = "KEY", allow_hyphen_values = true)]
    key: Option<OsString>,
    /// The first key behind those that are wanted
    #[arg(value_name = "END")]
    end: Option<OsString>,
}

impl Get {
    fn wants(&self, key: &[u8]) -> bool {
        let Some(first) = self.key.as_ref().map(bytes) else { return true };
        match &self.end {
            Some(end) => first <= key && key < bytes(end),
            None if self.prefix => key.starts_with(first),
            None if self.from_key => first <= key,
            None => first == key,
        }
    }
}

pub fn get(cx: &mut Context<'_>, options: &Get, json: bool) -> Result<Exit> {
    let input = Input::open(cx, &options.file)?;
    let bolt = input.bolt()?;
    let (store, revision) = input.store(&bolt, options.rev)?;
    let broken = |error| input.broken(&bolt, error);
    if options.count_only {
        let count = count(&store, revision, options).map_err(broken)?;
        input.is_whole(&bolt)?;
        input.note_sum(cx);
        writeln!(cx.io.out, "{count}")?;
        return Ok(Exit(0));
    }
    let mut left = options.limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let wants = |key: &[u8]| options.wants(key);
    let mut sorted = Sorted::new(&store, revision, &wants);
    let mut pairs = Pairs::new(&bolt, store.keys().map_err(broken)?);
    while left > 0 && sorted.read().map_err(broken)? {
        for (key, place) in sorted.batch().take(left) {
            let (_, message) = pairs.read(place).map_err(broken)?;
            match KeyValue::parse(message).filter(|pair| pair.key == key) {
                Some(pair) => show(cx, options, key, &pair, json)?,
                None => return Err(input.wrong(CHANGED)),
            }
            left -= 1;
        }
        input.is_whole(&bolt)?;
    }
    input.note_sum(cx);
    Ok(Exit(0))
}

/// How many keys are wanted, without collecting them.
fn count(store: &Store, revision: Option<i64>, options: &Get) -> std::result::Result<u64, file::Error> {
    let seen = Seen::new(store.bolt);
    let mut changes = store.changes(revision, &seen)?;
    let mut keys = Keys::new(store.compaction);
    while let Some(change) = changes.next()? {
        if options.wants(change.pair.key) {
            keys.take(change.revision, &change.pair);
        }
    }
    Ok(keys.count())
}

fn show(cx: &mut Context<'_>, options: &Get, key: &[u8], pair: &KeyValue, json: bool) -> Result<()> {
    let terminal = cx.terminal();
    let value = if options.keys_only { b"" } else { pair.value };
    let out = &mut cx.io.out;
    if json {
        let mut object = Object::new();
        object.bytes("key", key).number("create_revision", u64::try_from(pair.created).ok());
        object.number("mod_revision", u64::try_from(pair.modified).ok());
        object.number("version", u64::try_from(pair.version).ok());
        object.number("lease", Some(pair.lease as u64).filter(|lease| *lease != 0));
        if !options.keys_only {
            object.bytes("value", value);
        }
        return Ok(writeln!(out, "{}", object.finish())?);
    }
    for bytes in [key, value].iter().skip(options.print_value_only.into()) {
        out.write_all(&shown(bytes, terminal))?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[derive(clap::Args)]
pub struct Top {
    /// As it was at this revision; 0 is the last
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    rev: i64,
    /// Only keys that begin so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: OsString,
    /// How many parts between slashes make a prefix
    #[arg(long, value_name = "COUNT", default_value_t = 2, conflicts_with = "keys")]
    depth: usize,
    /// Each key by itself
    #[arg(long)]
    keys: bool,
    /// What counts: bytes, keys or revisions
    #[arg(long, value_name = "WHAT", default_value = "bytes", value_parser = order)]
    sort: Order,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    #[arg(value_name = "DB")]
    file: PathBuf,
}

#[derive(Clone, Copy)]
enum Order {
    Bytes,
    Keys,
    Revisions,
}

fn order(text: &str) -> std::result::Result<Order, &'static str> {
    match text {
        "bytes" => Ok(Order::Bytes),
        "keys" => Ok(Order::Keys),
        "revisions" => Ok(Order::Revisions),
        _ => Err("orders are bytes, keys and revisions"),
    }
}

/// What a prefix has: keys that are there, changes that are kept of them and of others, and the bytes of these.
#[derive(Clone, Copy, Default)]
struct Sum {
    keys: i64,
    revisions: u64,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.keys += other.keys;
        self.revisions += other.revisions;
        self.bytes += other.bytes;
    }

    fn by(&self, order: Order) -> u64 {
        match order {
            Order::Bytes => self.bytes,
            Order::Keys => u64::try_from(self.keys).unwrap_or(0),
            Order::Revisions => self.revisions,
        }
    }
}

/// So many sums are kept; beyond, the smaller half of them becomes one.
const MOST_SUMS: usize = 1 << 16;

const COLUMNS: [Column; 4] = [
    Column::right("BYTES", "bytes", 9),
    Column::right("KEYS", "keys", 8),
    Column::right("REVISIONS", "revisions", 9),
    Column::left("PREFIX", "prefix", 0),
];

pub fn top(cx: &mut Context<'_>, options: &Top, json: bool) -> Result<Exit> {
    let input = Input::open(cx, &options.file)?;
    let bolt = input.bolt()?;
    let (store, revision) = input.store(&bolt, options.rev)?;
    let broken = |error| input.broken(&bolt, error);
    let mut keys = Keys::new(store.compaction);
    let mut sums: HashMap<Box<[u8]>, Sum> = HashMap::new();
    let (mut all, mut others) = (Sum::default(), Sum::default());
    let mut merged = false;
    let seen = Seen::new(&bolt);
    let mut changes = store.changes(revision, &seen).map_err(broken)?;
    while let Some(change) = changes.next().map_err(broken)? {
        let difference = keys.take(change.revision, &change.pair);
        let key = change.pair.key;
        if !key.starts_with(bytes(&options.prefix)) {
            continue;
        }
        let one = Sum { keys: difference, revisions: 1, bytes: change.size };
        all.add(one);
        let group = if options.keys { key } else { prefix(key, options.depth) };
        if let Some(sum) = sums.get_mut(group) {
            sum.add(one);
            continue;
        }
        if sums.len() == MOST_SUMS {
            merged = true;
            merge(&mut sums, &mut others, options.sort);
        }
        sums.insert(group.into(), one);
    }
    input.is_whole(&bolt)?;
    input.note_sum(cx);
    let mut sums: Vec<(Box<[u8]>, Sum)> = sums.into_iter().filter(|(_, sum)| sum.revisions > 0).collect();
    order::sort_by(&mut sums, |(a, x), (b, y)| y.by(options.sort).cmp(&x.by(options.sort)).then_with(|| a.cmp(b)));
    if merged {
        cx.note(format_args!("more than {MOST_SUMS}: the smallest are counted together as others"));
    }
    for (_, sum) in sums.split_off(options.limit.min(sums.len())) {
        others.add(sum);
    }
    let mut rows: Vec<(Cell, Sum)> = sums.into_iter().map(|(group, sum)| (name(group.into(), json), sum)).collect();
    if others.revisions > 0 {
        rows.push((Cell::Null(String::from("(others)")), others));
    }
    let titles = if options.keys {
        COLUMNS.map(|column| if column.key == "prefix" { Column { title: "KEY", ..column } } else { column })
    } else {
        COLUMNS
    };
    if !json {
        table::heading(&mut cx.io.out, &titles)?;
        rows.push((Cell::Null(String::from("(all)")), all));
    }
    for (name, sum) in rows {
        let keys = u64::try_from(sum.keys).unwrap_or(0);
        let cells =
            [Cell::Shown(sum.bytes, units::bytes(sum.bytes)), Cell::Number(keys), Cell::Number(sum.revisions), name];
        if json {
            table::json_row(&mut cx.io.out, &titles, &cells)?;
        } else {
            table::row(&mut cx.io.out, &titles, &cells)?;
        }
    }
    Ok(Exit(0))
}

fn name(group: Vec<u8>, json: bool) -> Cell {
    if group.is_empty() && !json { Cell::Text(String::from("(without a slash)")) } else { Cell::Bytes(group) }
}

/// Makes room: the smaller half becomes a part of the others.
fn merge(sums: &mut HashMap<Box<[u8]>, Sum>, others: &mut Sum, order: Order) {
    let mut values: Vec<u64> = sums.values().map(|sum| sum.by(order)).collect();
    let middle = values.len() / 2;
    let (_, middle, _) = values.select_nth_unstable(middle);
    let (middle, half) = (*middle, sums.len() / 2);
    let mut gone = 0;
    sums.retain(|_, sum| {
        let stays = sum.by(order) > middle || gone > half;
        if !stays {
            gone += 1;
            others.add(*sum);
        }
        stays
    });
}

/// The first parts of a key, with the slash behind them: of `/a/b/c` two are `/a/b/`, and so many as there are.
fn prefix(key: &[u8], depth: usize) -> &[u8] {
    let wanted = depth + usize::from(key.starts_with(b"/"));
    let slashes = memchr::memchr_iter(b'/', key).take(wanted);
    slashes.last().map_or(&[], |slash| &key[..=slash])
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn prefixes() {
        for (key, depth, expected) in [
            ("/registry/pods/default/a", 2, "/registry/pods/"),
            ("/registry/pods/default/a", 1, "/registry/"),
            ("/registry/pods/default/a", 9, "/registry/pods/default/"),
            ("/registry/a", 2, "/registry/"),
            ("a/b/c", 1, "a/"),
            ("plain", 2, ""),
            ("/a", 0, "/"),
            ("a/b", 0, ""),
        ] {
            assert_eq!(prefix(key.as_bytes(), depth), expected.as_bytes(), "{key} {depth}");
        }
    }
}
