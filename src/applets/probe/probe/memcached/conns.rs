//! conns: who is connected, for how long without a word, and how many more could be.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::super::{Failure, duration};
use super::options::Shared;
use super::server::{Server, Session};
use super::stats::{fetch, optional};
use super::{Answer, Ask, Outcome};
use crate::applet::Context;
use crate::inspect::memcached::tables::{Row, rows};
use crate::inspect::memcached::{capacity, is_client};
use crate::output::table::{self, Cell, Column};
use crate::output::{json::Object, order, units};
use crate::protocol::memcached::client::Stats;
use crate::protocol::memcached::text::number;

/// Show the connections, and how many are possible
///
/// The server refuses by the number of the descriptor, so that fewer are possible than -c says.
#[derive(clap::Parser)]
#[command(
    name = "memcached conns",
    override_usage = "probe memcached [OPTIONS] [ADDRESS] conns [--by KEY] [--idle TIME]"
)]
pub struct Conns {
    #[command(flatten)]
    shared: Shared,
    /// Count them by address or by state
    #[arg(long, value_name = "KEY", value_parser = by)]
    by: Option<By>,
    /// Only those without a command for so long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Address,
    State,
}

fn by(text: &str) -> Result<By, &'static str> {
    match text {
        "address" | "ip" => Ok(By::Address),
        "state" => Ok(By::State),
        _ => Err("address or state"),
    }
}

/// One client's connection.
struct Client {
    descriptor: u64,
    address: Vec<u8>,
    state: Vec<u8>,
    idle: Option<u64>,
}

/// More connections than this are listed only on request: their list is megabytes.
const MOST_LISTED: u64 = 10_000;

/// Its sockets, by their descriptors, for who wants to know how many more there could be; none where they are too many, where
/// it does not tell, and before 1.5.17, whose list reads past the end of an address.
pub fn connections(
    server: &Server,
    session: &mut Session,
    open: Option<u64>,
    timeout: Duration,
) -> Result<BTreeMap<u64, Row>, Failure> {
    let safe = session.numbers().is_some_and(|version| version >= [1, 5, 17]);
    let stats = match safe && open.is_some_and(|open| open <= MOST_LISTED) {
        true => optional(server, session, "conns", timeout)?,
        false => Stats::new(),
    };
    Ok(rows(&stats, ""))
}

/// An address without its port, so that connections from one host count together.
pub fn host(address: &[u8]) -> Vec<u8> {
    let rest = [&b"tcp:"[..], b"tcp6:", b"udp:", b"udp6:"].iter().find_map(|kind| address.strip_prefix(*kind));
    let Some(rest) = rest else { return address.to_vec() };
    let end = memchr::memrchr(b':', rest).unwrap_or(rest.len());
    rest[..end].to_vec()
}

impl Ask for Conns {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let timeout = self.shared.timeout;
        let mut session = server.open(cx, &self.shared)?;
        let general = fetch(server, &mut session, None, timeout)?;
        let stats = fetch(server, &mut session, Some(b"conns"), timeout)?;
        let value = |name: &str| {
            general.iter().find(|(known, _)| known == name.as_bytes()).and_then(|(_, value)| number(value))
        };
        let most = value("max_connections");
        let rows = rows(&stats, "");
        let own = rows.values().filter(|row| !is_client(row)).count() as u64;
        // The server counts its own as open, but for one.
        let possible = most.and_then(|most| capacity(&rows, most)?.checked_sub(own.saturating_sub(1)));
        let mut clients = Vec::new();
        for (descriptor, row) in rows.into_iter().filter(|(_, row)| is_client(row)) {
            let state = row.text("state").unwrap_or_default();
            clients.push(Client {
                descriptor,
                address: row.text("addr").unwrap_or_default().to_vec(),
                state: state.strip_prefix(b"conn_").unwrap_or(state).to_vec(),
                idle: row.number("secs_since_last_cmd"),
            });
        }
        let open = clients.len() as u64;
        let least = self.idle.map_or(0, |idle| idle.as_secs());
        clients.retain(|client| least == 0 || client.idle.is_some_and(|idle| idle >= least));
        order::sort_by_key(&mut clients, |client| std::cmp::Reverse(client.idle));
        let mut data = Object::new();
        data.number("open", Some(open))
            .number("max_connections", most)
            .number("possible", possible)
            .number("rejected", value("rejected_connections"));
        match self.by {
            None => self.each(cx, &clients, &mut data)?,
            Some(by) => self.groups(cx, &clients, by, &mut data)?,
        }
        if !self.shared.json {
            let limit = most.map(|most| format!(" (-c {most})")).unwrap_or_default();
            let possible = possible.map(|possible| format!(" of {possible} possible{limit}")).unwrap_or(limit);
            let rejected = value("rejected_connections").unwrap_or(0);
            writeln!(cx.io.out, "{open} open{possible}, {rejected} rejected since the start")?;
        }
        Ok(Answer::new(0, data))
    }
}

fn idle(seconds: Option<u64>) -> Cell {
    seconds.map_or(Cell::Unknown, |seconds| Cell::Shown(seconds, units::duration(seconds)))
}

impl Conns {
    fn each(&self, cx: &mut Context<'_>, clients: &[Client], data: &mut Object) -> Outcome<()> {
        let columns = [
            Column::right("fd", "fd", 0),
            Column::left("address", "address", 0),
            Column::left("state", "state", 0),
            Column::right("idle", "idle_seconds", 0),
        ];
        let object = |client: &Client| {
            let mut object = Object::new();
            object
                .number("fd", Some(client.descriptor))
                .bytes("address", &client.address)
                .bytes("state", &client.state)
                .number("idle_seconds", client.idle);
            object
        };
        data.objects("connections", clients.iter().map(object));
        if !self.shared.json {
            let row = |client: &Client| {
                vec![
                    Cell::Number(client.descriptor),
                    Cell::Bytes(client.address.clone()),
                    Cell::Bytes(client.state.clone()),
                    idle(client.idle),
                ]
            };
            table::fitted(&mut cx.io.out, &columns, &clients.iter().map(row).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    fn groups(&self, cx: &mut Context<'_>, clients: &[Client], by: By, data: &mut Object) -> Outcome<()> {
        let mut groups: BTreeMap<Vec<u8>, Vec<Option<u64>>> = BTreeMap::new();
        for client in clients {
            let key = match by {
                By::Address => host(&client.address),
                By::State => client.state.clone(),
            };
            groups.entry(key).or_default().push(client.idle);
        }
        let mut groups: Vec<(Vec<u8>, Vec<Option<u64>>)> = groups.into_iter().collect();
        order::sort_by_key(&mut groups, |(_, idle)| std::cmp::Reverse(idle.len()));
        let (title, key) = match by {
            By::Address => ("address", "address"),
            By::State => ("state", "state"),
        };
        let columns = [
            Column::left(title, key, 0),
            Column::right("count", "count", 0),
            Column::right("idle from", "idle_min_seconds", 0),
            Column::right("to", "idle_max_seconds", 0),
        ];
        let range = |idle: &[Option<u64>]| (idle.iter().flatten().min().copied(), idle.iter().flatten().max().copied());
        let objects = groups.iter().map(|(name, idle)| {
            let (least, most) = range(idle);
            let mut object = Object::new();
            object
                .bytes(key, name)
                .number("count", Some(idle.len() as u64))
                .number("idle_min_seconds", least)
                .number("idle_max_seconds", most);
            object
        });
        data.objects("groups", objects);
        if !self.shared.json {
            let row = |(name, all): &(Vec<u8>, Vec<Option<u64>>)| {
                let (least, most) = range(all);
                vec![Cell::Bytes(name.clone()), Cell::Number(all.len() as u64), idle(least), idle(most)]
            };
            table::fitted(&mut cx.io.out, &columns, &groups.iter().map(row).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_connections() {
        assert_eq!(host(b"tcp:10.0.0.1:4711"), b"10.0.0.1");
        assert_eq!(host(b"tcp6:[::1]:4711"), b"[::1]");
        assert_eq!(host(b"unix:/run/m.sock"), b"unix:/run/m.sock");
    }
}
