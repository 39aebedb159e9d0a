//! `wal dump`.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Input, wrong};
use crate::applet::{Context, Exit, Result, reason};
use crate::output::table::{self, Cell, Column};
use crate::output::{Safe, order};
use crate::protocol::etcd::file::log::{Damage, Entry, Kind, Record, Records, is_name};

#[derive(clap::Args)]
pub struct Dump {
    /// A file NAME.wal, a directory of them, or a data directory
    #[arg(value_name = "WAL")]
    path: PathBuf,
}

const COLUMNS: [Column; 7] = [
    Column::left("FILE", "file", 37),
    Column::right("OFFSET", "offset", 9),
    Column::left("TYPE", "type", 8),
    Column::right("TERM", "term", 5),
    Column::right("INDEX", "index", 8),
    Column::right("BYTES", "bytes", 7),
    Column::left("WHAT", "what", 0),
];

pub fn dump(cx: &mut Context<'_>, options: &Dump, json: bool) -> Result<Exit> {
    let files = files(cx, &options.path)?;
    // Every row has the file for machines; people read it once.
    let columns = if json { &COLUMNS[..] } else { &COLUMNS[1..] };
    let mut before: Option<u32> = None;
    let mut sound = true;
    for (index, path) in files.iter().enumerate() {
        let input = Input::open(cx, path)?;
        let name = path.file_name().unwrap_or_default().as_bytes();
        if !json {
            writeln!(cx.io.out, "{}", Safe(name))?;
            table::heading(&mut cx.io.out, columns)?;
        }
        let mut records = Records::new(&input.file);
        let damage = loop {
            match records.next() {
                Ok(Some(record)) => {
                    let begins = match record.kind {
                        Kind::Sum(sum) if record.offset == 0 => Some(sum),
                        _ => None,
                    };
                    row(cx, columns, name, &record, json)?;
                    if let (Some(recorded), Some(computed)) = (begins, before)
                        && recorded != computed
                    {
                        break Some(Damage::Sum { recorded, computed });
                    }
                }
                Ok(None) => break None,
                Err(damage) => break Some(damage),
            }
        };
        before = Some(records.sum());
        if let Some(damage) = damage {
            sound = false;
            let last = index + 1 == files.len();
            cx.note(format_args!("{}: offset {}: {}", Safe(name), records.offset, explain(&damage, last)));
            break;
        }
    }
    Ok(Exit(u8::from(!sound)))
}

fn explain(damage: &Damage, last: bool) -> String {
    let dropped = if last { "; etcd drops it when it starts" } else { "" };
    match damage {
        Damage::Torn => format!("torn: the last write did not come to its end{dropped}"),
        Damage::Cut => format!("cut: the file ends within a record{dropped}"),
        Damage::Sum { recorded, computed } => {
            format!("damaged: the checksum is {computed:08x}, but {recorded:08x} is recorded")
        }
        Damage::Malformed => String::from("damaged: not a record"),
        Damage::File(error) => error.to_string(),
    }
}

/// The files of a log in order.
fn files(cx: &Context<'_>, path: &Path) -> Result<Vec<PathBuf>> {
    let input = Input::open_exactly(cx, path)?;
    if !input.file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(vec![path.to_path_buf()]);
    }
    for directory in [path.join("member/wal"), path.to_path_buf()] {
        let Ok(opened) = cx.files.directory(&directory) else { continue };
        let entries = opened.entries().map_err(|error| wrong(&directory, reason(&error)))?;
        let mut names: Vec<OsString> = entries.into_iter().map(|entry| entry.name).collect();
        names.retain(|name| is_name(name.as_bytes()));
        order::sort(&mut names);
        if !names.is_empty() {
            return Ok(names.iter().map(|name| directory.join(name)).collect());
        }
    }
    Err(input.wrong("no NAME.wal in it"))
}

fn row(cx: &mut Context<'_>, columns: &[Column], file: &[u8], record: &Record<'_>, json: bool) -> Result<()> {
    let (mut term, mut index) = (Cell::Unknown, Cell::Unknown);
    let (kind, what) = match &record.kind {
        Kind::Metadata { node, cluster } => {
            ("metadata", format!("member {node:x} of cluster {cluster:x}").into_bytes())
        }
        Kind::Entry { term: t, index: i, entry } => {
            (term, index) = (Cell::Number(*t), Cell::Number(*i));
            ("entry", summary(entry))
        }
        Kind::State { term: t, vote, commit } => {
            term = Cell::Number(*t);
            ("state", format!("vote {vote:x}, commit {commit}").into_bytes())
        }
        Kind::Sum(sum) => ("crc", format!("{sum:08x}").into_bytes()),
        Kind::Snapshot { term: t, index: i } => {
            (term, index) = (Cell::Number(*t), Cell::Number(*i));
            ("snapshot", Vec::new())
        }
        Kind::Unknown(kind) => ("unknown", format!("type {kind}").into_bytes()),
    };
    let (offset, size) = (Cell::Number(record.offset), Cell::Number(record.size as u64));
    let kind = Cell::Text(String::from(kind));
    let cells = [Cell::Bytes(file.to_vec()), offset, kind, term, index, size, Cell::Bytes(what)];
    let cells = &cells[cells.len() - columns.len()..];
    if json {
        table::json_row(&mut cx.io.out, columns, cells)?;
    } else {
        table::row(&mut cx.io.out, columns, cells)?;
    }
    Ok(())
}

/// What was agreed on, on one line.
fn summary(entry: &Entry<'_>) -> Vec<u8> {
    match entry {
        Entry::Empty => b"empty".to_vec(),
        Entry::Request(name, b"") => name.as_bytes().to_vec(),
        Entry::Request(name, about) => [name.as_bytes(), b" ", about].concat(),
        Entry::Member(change, member, context) => [format!("member {change} {member:x} ").as_bytes(), context].concat(),
        Entry::Unknown => b"unknown".to_vec(),
    }
}
