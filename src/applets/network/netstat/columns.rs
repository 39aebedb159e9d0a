//! The columns of netstat, one declaration for people and machines.

use std::net::SocketAddr;

use crate::output::table::{Cell, Column};
use crate::target::sockets::{Owners, Protocol, Socket, State, UnixSocket};

/// Where a column is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Always,
    /// People want in one column what machines want in two.
    ByPeople,
    ByMachines,
    /// By people only with -e.
    Extended,
}

impl Seen {
    pub fn with(self, json: bool, extend: bool) -> bool {
        match self {
            Seen::Always => true,
            Seen::ByPeople => !json,
            Seen::ByMachines => json,
            Seen::Extended => json || extend,
        }
    }
}

pub struct Field<T> {
    pub seen: Seen,
    pub column: Column<'static>,
    pub value: fn(&T, &View) -> Cell,
}

const fn field<T>(seen: Seen, column: Column<'static>, value: fn(&T, &View) -> Cell) -> Field<T> {
    Field { seen, column, value }
}

const fn key(key: &'static str) -> Column<'static> {
    Column::left("", key, 0)
}

pub struct Internet {
    pub protocol: Protocol,
    pub socket: Socket,
}

pub static INTERNET: &[Field<Internet>] = &[
    field(Seen::ByMachines, key("network"), |_, view| text(view.network)),
    field(Seen::Always, Column::left("Proto", "protocol", 5), |it, _| text(it.protocol.name())),
    field(Seen::Always, Column::right("Recv-Q", "receive_queue", 6), |it, _| Cell::Number(it.socket.receive_queue)),
    field(Seen::Always, Column::right("Send-Q", "send_queue", 6), |it, _| Cell::Number(it.socket.send_queue)),
    field(Seen::ByPeople, Column::left("Local Address", "local", 23), |it, _| address(it.socket.local)),
    field(Seen::ByPeople, Column::left("Foreign Address", "remote", 23), |it, _| address(it.socket.remote)),
    field(Seen::ByMachines, key("local_address"), |it, _| text(&it.socket.local.ip().to_string())),
    field(Seen::ByMachines, key("local_port"), |it, _| Cell::Number(it.socket.local.port().into())),
    field(Seen::ByMachines, key("remote_address"), |it, _| text(&it.socket.remote.ip().to_string())),
    field(Seen::ByMachines, key("remote_port"), |it, _| Cell::Number(it.socket.remote.port().into())),
    field(Seen::Always, Column::left("State", "state", 11), |it, _| text(state(it))),
    field(Seen::Extended, Column::left("User", "uid", 6), |it, _| Cell::Number(it.socket.user.into())),
    field(Seen::Extended, Column::left("Inode", "inode", 8), |it, _| Cell::Number(it.socket.inode)),
    field(Seen::ByPeople, Column::left("PID/Program name", "owner", 0), |it, view| view.owner(it.socket.inode)),
    field(Seen::ByMachines, key("pid"), |it, view| view.pid(it.socket.inode)),
    field(Seen::ByMachines, key("program"), |it, view| view.program(it.socket.inode)),
];

pub static UNIX: &[Field<UnixSocket>] = &[
    field(Seen::ByMachines, key("network"), |_, view| text(view.network)),
    field(Seen::Always, Column::left("Proto", "protocol", 5), |_, _| text("unix")),
    field(Seen::Always, Column::left("RefCnt", "references", 6), |it, _| Cell::Number(it.references)),
    field(Seen::ByPeople, Column::left("Flags", "flags", 7), |it, _| {
        text(if it.listening { "[ ACC ]" } else { "[ ]" })
    }),
    field(Seen::ByMachines, key("listening"), |it, _| Cell::Bool(it.listening)),
    field(Seen::Always, Column::left("Type", "type", 9), |it, _| text(it.kind_name())),
    field(Seen::Always, Column::left("State", "state", 13), |it, _| text(it.state_name())),
    field(Seen::Always, Column::left("I-Node", "inode", 8), |it, _| Cell::Number(it.inode)),
    field(Seen::ByPeople, Column::left("PID/Program name", "owner", 20), |it, view| view.owner(it.inode)),
    field(Seen::ByMachines, key("pid"), |it, view| view.pid(it.inode)),
    field(Seen::ByMachines, key("program"), |it, view| view.program(it.inode)),
    field(Seen::Always, Column::left("Path", "path", 0), |it, _| Cell::Bytes(it.path.clone())),
];

/// What the rows have in common.
pub struct View {
    /// Whose network it is, for machines.
    pub network: &'static str,
    pub owners: Owners,
}

impl View {
    fn pid(&self, inode: u64) -> Cell {
        self.owners.of(inode).map_or(Cell::Unknown, |pid| Cell::Signed(pid.into()))
    }

    fn program(&self, inode: u64) -> Cell {
        let comm = self.owners.of(inode).and_then(|pid| self.owners.comm(pid));
        comm.map_or(Cell::Unknown, |comm| Cell::Bytes(comm.to_vec()))
    }

    fn owner(&self, inode: u64) -> Cell {
        let Some(pid) = self.owners.of(inode) else { return Cell::Unknown };
        let comm = self.owners.comm(pid).unwrap_or_default();
        Cell::Bytes([pid.to_string().as_bytes(), b"/", comm].concat())
    }
}

/// Text, where there is none nothing.
fn text(text: &str) -> Cell {
    let text = String::from(text);
    if text.is_empty() { Cell::Null(text) } else { Cell::Text(text) }
}

fn address(address: SocketAddr) -> Cell {
    let text = address.to_string();
    Cell::Text(text.strip_suffix(":0").map_or(text.clone(), |host| format!("{host}:*")))
}

/// A socket without connections has a state only in TCP.
fn state(it: &Internet) -> &'static str {
    match (it.protocol, it.socket.state) {
        (Protocol::Udp | Protocol::Udp6 | Protocol::Raw | Protocol::Raw6, State::Close) => "",
        (_, state) => state.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::table;

    /// The keys are a contract.
    #[test]
    fn rows_for_people_and_machines() {
        let view = View { network: "target", owners: Owners::default() };
        let socket = UnixSocket::parse(b"0: 00000002 00000000 00010000 0001 01 20250 @\x1b[2J\xff").unwrap();
        let render = |json: bool| {
            let fields = UNIX.iter().filter(|field| field.seen.with(json, false));
            let (columns, cells): (Vec<Column>, Vec<Cell>) =
                fields.map(|field| (field.column, (field.value)(&socket, &view))).unzip();
            let mut out = Vec::new();
            match json {
                true => table::json_row(&mut out, &columns, &cells).unwrap(),
                false => table::row(&mut out, &columns, &cells).unwrap(),
            }
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            render(false),
            "unix  2      [ ACC ] STREAM    LISTENING     20250    -                    @\\x1b[2J\\xff\n"
        );
        assert_eq!(
            render(true),
            "{\"network\":\"target\",\"protocol\":\"unix\",\"references\":2,\"listening\":true,\"type\":\"STREAM\",\
             \"state\":\"LISTENING\",\"inode\":20250,\"pid\":null,\"program\":null,\
             \"path\":{\"bytes\":\"QBtbMkr/\"}}\n"
        );
    }
}
