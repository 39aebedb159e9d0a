//! The columns of netstat, one declaration for people and machines.

use std::net::SocketAddr;

use crate::output::table::{Cell, Column};
use crate::target::sockets::{Owners, Protocol, Socket, State, Timer, UnixSocket};

/// Where a column is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Always,
    /// People want in one column what machines want in two.
    ByPeople,
    ByMachines,
    /// By people only with -e.
    Extended,
    /// By people only with -o.
    Timers,
}

impl Seen {
    pub fn with(self, json: bool, extend: bool, timers: bool) -> bool {
        match self {
            Seen::Always => true,
            Seen::ByPeople => !json,
            Seen::ByMachines => json,
            Seen::Extended => json || extend,
            Seen::Timers => !json && timers,
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
    field(Seen::ByPeople, Column::right("Send-Q", "send", 6), |it, _| send(&it.socket)),
    field(Seen::ByMachines, key("send_queue"), |it, _| Cell::Number(it.socket.send_queue)),
    field(Seen::ByMachines, key("backlog"), |it, _| known(it.socket.backlog)),
    field(Seen::ByPeople, Column::left("Local Address", "local", 23), |it, _| address(it.socket.local)),
    field(Seen::ByPeople, Column::left("Foreign Address", "remote", 23), |it, _| address(it.socket.remote)),
    field(Seen::ByMachines, key("local_address"), |it, _| text(&it.socket.local.ip().to_string())),
    field(Seen::ByMachines, key("local_port"), |it, _| Cell::Number(it.socket.local.port().into())),
    field(Seen::ByMachines, key("remote_address"), |it, _| text(&it.socket.remote.ip().to_string())),
    field(Seen::ByMachines, key("remote_port"), |it, _| Cell::Number(it.socket.remote.port().into())),
    field(Seen::Always, Column::left("State", "state", 11), |it, _| text(state(it))),
    field(Seen::Extended, Column::left("User", "uid", 6), |it, _| Cell::Number(it.socket.user.into())),
    field(Seen::Extended, Column::left("Inode", "inode", 8), |it, _| Cell::Number(it.socket.inode)),
    field(Seen::ByPeople, Column::left("PID/Program name", "owner", 20), |it, view| view.owner(it.socket.inode)),
    field(Seen::ByMachines, key("pid"), |it, view| view.pid(it.socket.inode)),
    field(Seen::ByMachines, key("program"), |it, view| view.program(it.socket.inode)),
    field(Seen::Timers, Column::left("Timer", "timers", 0), |it, _| text(&timers(it.socket.timer))),
    field(Seen::ByMachines, key("timer"), |it, _| text(timer(it.socket.timer.kind))),
    field(Seen::ByMachines, key("timer_ms"), |it, _| {
        if it.socket.timer.kind == 0 { Cell::Unknown } else { Cell::Number(it.socket.timer.milliseconds) }
    }),
    field(Seen::ByMachines, key("retransmits"), |it, _| Cell::Number(it.socket.timer.retransmits)),
    field(Seen::ByMachines, key("probes"), |it, _| Cell::Number(it.socket.timer.probes)),
    field(Seen::ByMachines, key("drops"), |it, _| known(it.socket.drops)),
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

fn known(number: Option<u64>) -> Cell {
    number.map_or(Cell::Unknown, Cell::Number)
}

/// What is to be sent; of a listener, how many connections may wait, which is not known in a network that is not ours.
fn send(socket: &Socket) -> Cell {
    match socket.state {
        State::Listen => known(socket.backlog),
        _ => Cell::Number(socket.send_queue),
    }
}

/// The name of what is waited for; none where nothing is.
fn timer(kind: u8) -> &'static str {
    match kind {
        0 => "",
        1 => "on",
        2 => "keepalive",
        3 => "timewait",
        4 => "probe",
        _ => "unknown",
    }
}

/// As net-tools has it: seconds, retransmissions, probes.
fn timers(it: Timer) -> String {
    let name = if it.kind == 0 { "off" } else { timer(it.kind) };
    let hundredths = it.milliseconds / 10;
    format!("{name} ({}.{:02}/{}/{})", hundredths / 100, hundredths % 100, it.retransmits, it.probes)
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

    fn render<T>(fields: &[Field<T>], row: &T, json: bool) -> String {
        let view = View { network: "target", owners: Owners::default() };
        let fields = fields.iter().filter(|field| field.seen.with(json, true, true));
        let (columns, cells): (Vec<Column>, Vec<Cell>) =
            fields.map(|field| (field.column, (field.value)(row, &view))).unzip();
        let mut out = Vec::new();
        match json {
            true => table::json_row(&mut out, &columns, &cells).unwrap(),
            false => table::row(&mut out, &columns, &cells).unwrap(),
        }
        String::from_utf8(out).unwrap()
    }

    /// The keys are a contract.
    #[test]
    fn rows_for_people_and_machines() {
        let socket = UnixSocket::parse(b"0: 00000002 00000000 00010000 0001 01 20250 @\x1b[2J\xff").unwrap();
        assert_eq!(
            render(UNIX, &socket, false),
            "unix  2      [ ACC ] STREAM    LISTENING     20250    -                    @\\x1b[2J\\xff\n"
        );
        assert_eq!(
            render(UNIX, &socket, true),
            "{\"network\":\"target\",\"protocol\":\"unix\",\"references\":2,\"listening\":true,\"type\":\"STREAM\",\
             \"state\":\"LISTENING\",\"inode\":20250,\"pid\":null,\"program\":null,\
             \"path\":{\"bytes\":\"QBtbMkr/\"}}\n"
        );
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn connections_for_people_and_machines() {
        let line =
            b"1: 0200000A:2BCB 0300000A:C350 01 0000000A:00000100 02:00000269 00000000 65532 1 2025 2 0 20 4 30 10 -1";
        let row = Internet { protocol: Protocol::Tcp, socket: Socket::parse(line).unwrap() };
        assert_eq!(
            render(INTERNET, &row, false),
            "tcp      256     10 10.0.0.2:11211          10.0.0.3:50000          ESTABLISHED 65532  2025     \
             -                    keepalive (6.17/0/1)\n"
        );
        assert_eq!(
            render(INTERNET, &row, true),
            "{\"network\":\"target\",\"protocol\":\"tcp\",\"receive_queue\":256,\"send_queue\":10,\"backlog\":null,\
             \"local_address\":\"10.0.0.2\",\"local_port\":11211,\"remote_address\":\"10.0.0.3\",\"remote_port\":50000,\
             \"state\":\"ESTABLISHED\",\"uid\":65532,\"inode\":2025,\"pid\":null,\"program\":null,\"timer\":\"keepalive\",\
             \"timer_ms\":6170,\"retransmits\":0,\"probes\":1,\"drops\":null}\n"
        );
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_listener_shows_its_backlog() {
        let line =
            b"0: 0100007F:2BCB 00000000:0000 0A 00000000:00000003 00:00000000 00000000 11211 0 2024 1 0 100 0 0 10 0";
        let mut row = Internet { protocol: Protocol::Tcp, socket: Socket::parse(line).unwrap() };
        assert!(render(INTERNET, &row, false).starts_with("tcp        3      - 127.0.0.1:11211         0.0.0.0:* "));
        row.socket.backlog = Some(128);
        let text = render(INTERNET, &row, false);
        assert!(text.starts_with("tcp        3    128 127.0.0.1:11211 ") && text.ends_with(" off (0.00/0/0)\n"));
        assert!(render(INTERNET, &row, true).contains("\"send_queue\":0,\"backlog\":128,"));
    }
}
