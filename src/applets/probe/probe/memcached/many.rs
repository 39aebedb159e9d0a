//! One server in this process; several at the same time, each in a forked child whose output is told when its turn comes,
//! so that the whole takes as long as the slowest of them. Where no process can be had they are asked one after another.

use std::fs::File;
use std::io::{self, Write};

use nix::fcntl::OFlag;
use nix::unistd::{Pid, pipe2};

use super::server::Server;
use super::stats::grouped;
use super::{Answer, Ask, Stop, Table};
use crate::applet::{Context, Exit, Result};
use crate::launch::{self, Fork, Stream};
use crate::output::Safe;
use crate::output::json::Object;
use crate::output::table::{self, Cell, Column};
use crate::protocol::memcached::text::number;
use crate::sys;

/// What is kept of one server's output until its turn.
const MAX_OUTPUT: usize = 16 << 20;

pub fn ask(cx: &mut Context<'_>, ask: &dyn Ask, mut servers: Vec<Server>, verb: &str) -> Result<Exit> {
    if let [server] = servers.as_mut_slice() {
        return one(cx, ask, server, verb);
    }
    let mut children = Vec::new();
    let mut worst = 0;
    let plugin = matches!(ask.table(), Some(Table::Worst));
    // Critical is worse than unknown.
    let rank = |status: u8| if plugin && status == 2 { u8::MAX } else { status };
    let worse = |one: u8, other: u8| if rank(other) > rank(one) { other } else { one };
    for server in &mut servers {
        server.among = true;
        children.push(match start(cx, ask, server, verb) {
            Ok(child) => child,
            Err(error) => {
                cx.note(format_args!(
                    "{}: no process of its own: {}",
                    Safe(&server.address()),
                    crate::net::reason(&error)
                ));
                server.among = false;
                worst = worse(worst, one(cx, ask, server, verb)?.0);
                continue;
            }
        });
    }
    gather(&mut children);
    worst = children.iter().map(|child| child.status).fold(worst, worse);
    if plugin
        && !ask.shared().json
        && let Some(at) = children.iter().position(|child| child.status == worst)
    {
        children.swap(0, at);
    }
    let table = ask.table().filter(|_| !plugin && !ask.shared().json);
    for child in &children {
        cx.io.out.flush()?;
        let _ = cx.io.err.write_all(&child.err.bytes);
        if table.is_none() {
            cx.io.out.write_all(&child.out.bytes)?;
        }
        if child.out.bytes.len() >= MAX_OUTPUT {
            cx.note(format_args!("{}: the output is cut off", Safe(&child.address)));
        }
    }
    match table {
        None => {}
        Some(Table::Metrics) => {
            let mut samples = Vec::new();
            for child in &children {
                samples.extend_from_slice(&child.out.bytes);
            }
            cx.io.out.write_all(grouped(&String::from_utf8_lossy(&samples)).as_bytes())?;
        }
        Some(table) => side_by_side(cx, &children, table)?,
    }
    Ok(Exit(worst))
}

fn one(cx: &mut Context<'_>, ask: &dyn Ask, server: &mut Server, verb: &str) -> Result<Exit> {
    let json = ask.shared().json;
    if server.among && !json && ask.table().is_none() && ask.has_heading() {
        writeln!(cx.io.out, "== {}", Safe(&server.address()))?;
    }
    let mut object = Object::new();
    object.bytes("server", &server.address()).text("found_by", server.place.how.name()).text("verb", verb);
    let status = match ask.ask(cx, server) {
        Ok(Answer { status, data }) => {
            object.bool("ok", true).number("status", Some(status.into())).object("data", data);
            status
        }
        Err(Stop::Error(error)) => return Err(error),
        Err(Stop::Failure(failure)) => {
            let mut error = Object::new();
            error.text("category", failure.kind).text("message", &failure.message);
            object.bool("ok", false).number("status", Some(failure.status.into())).object("error", error);
            cx.note(format_args!("{}: {}", Safe(&server.address()), failure.message));
            failure.status
        }
    };
    if json {
        writeln!(cx.io.out, "{}", object.finish())?;
    }
    Ok(Exit(status))
}

struct Child {
    pid: Pid,
    address: Vec<u8>,
    out: Stream,
    err: Stream,
    status: u8,
}

fn start(cx: &mut Context<'_>, ask: &dyn Ask, server: &mut Server, verb: &str) -> io::Result<Child> {
    let (out, out_end) = pipe2(OFlag::O_CLOEXEC)?;
    let (err, err_end) = pipe2(OFlag::O_CLOEXEC)?;
    match launch::fork(cx.io)? {
        Fork::Parent(pid) => {
            Ok(Child { pid, address: server.address(), out: Stream::new(out), err: Stream::new(err), status: 3 })
        }
        Fork::Child => {
            drop((out, err));
            cx.io.out.file = File::from(out_end);
            cx.io.err = File::from(err_end);
            let status = match one(cx, ask, server, verb) {
                Ok(Exit(status)) => status,
                Err(error) => {
                    if let crate::applet::Error::Message(text) | crate::applet::Error::Status(_, text) = &error {
                        cx.note(text);
                    }
                    2
                }
            };
            let _ = cx.io.out.flush();
            sys::exit(status)
        }
    }
}

/// Reads until all have closed their ends, and waits for them. Each has a deadline of its own.
fn gather(children: &mut [Child]) {
    launch::drain(children.iter_mut().flat_map(|child| [&mut child.out, &mut child.err]).collect(), MAX_OUTPUT);
    let mut missing = children.len();
    while missing > 0 {
        match launch::wait(true, false) {
            Ok(Some(change)) => {
                if let Some(child) = children.iter_mut().find(|child| child.pid == change.pid()) {
                    child.status = change.status();
                    missing -= 1;
                }
            }
            Err(nix::errno::Errno::EINTR) | Ok(None) => {}
            Err(_) => break,
        }
    }
}

/// What is no count, or one of the moment of the server's own: its sum says nothing.
const NO_SUMS: [&[u8]; 9] = [
    b"pid",
    b"uptime",
    b"time",
    b"pointer_size",
    b"hash_power_level",
    b"accepting_conns",
    b"hash_is_expanding",
    b"slab_reassign_running",
    b"time_since_server_cert_refresh",
];

/// A column for each server; then their sum, or a mark where they differ.
fn side_by_side(cx: &mut Context<'_>, children: &[Child], table: Table) -> Result<()> {
    let answered: Vec<(&Child, Pairs<'_>)> =
        children.iter().map(|child| (child, pairs(&child.out.bytes))).filter(|(_, pairs)| !pairs.is_empty()).collect();
    // Most tell the same in the same order, so that a name is looked for at its place first.
    let mut names: Vec<&[u8]> = Vec::new();
    for (at, (name, _)) in answered.iter().flat_map(|(_, pairs)| pairs.iter().enumerate()) {
        if names.get(at) != Some(name) && !names.contains(name) {
            names.push(name);
        }
    }
    let titles: Vec<String> = answered.iter().map(|(child, _)| Safe(&child.address).to_string()).collect();
    let last = match table {
        Table::Sums => "sum",
        _ => "differs",
    };
    let mut columns = vec![Column::left("name", "name", 0)];
    columns.extend(titles.iter().map(|title| Column::right(title, "value", 0)));
    columns.push(Column::right(last, "sum", 0));
    let mut rows = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        let is = |pair: &&(&[u8], &[u8])| pair.0 == name;
        let values: Vec<Option<&[u8]>> = answered
            .iter()
            .map(|(_, pairs)| pairs.get(at).filter(is).or_else(|| pairs.iter().find(is)).map(|(_, value)| *value))
            .collect();
        let numbers: Option<Vec<u64>> = values.iter().flatten().map(|value| number(value)).collect();
        let mut row = vec![Cell::Bytes(name.to_vec())];
        row.extend(values.iter().map(|value| value.map_or(Cell::Unknown, |value| Cell::Bytes(value.to_vec()))));
        row.push(match (table, numbers) {
            (Table::Sums, Some(numbers)) if !NO_SUMS.contains(&name) => numbers
                .iter()
                .try_fold(0u64, |sum, number| sum.checked_add(*number))
                .map_or(Cell::Unknown, Cell::Number),
            (Table::Differences, _) if values.iter().any(|value| value != &values[0]) => Cell::Text(String::from("!")),
            _ => Cell::Text(String::new()),
        });
        rows.push(row);
    }
    if !rows.is_empty() {
        table::fitted(&mut cx.io.out, &columns, &rows)?;
    }
    Ok(())
}

/// Names and values.
type Pairs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// `NAME VALUE` lines.
fn pairs(text: &[u8]) -> Pairs<'_> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| match memchr::memchr(b' ', line) {
            Some(space) => (&line[..space], &line[space + 1..]),
            None => (line, &b""[..]),
        })
        .collect()
}
