//! netstat: the sockets of the target's network namespace, with the processes that hold them.
//!
//! After net-tools and busybox. What deviates:
//!
//! - The network is the target's, which in a sidecar is usually another one than ours; the heading says whose it is.
//! - Without any of -t -u -w -x -l -a, all TCP and UDP sockets are shown, the listeners too: that is what people come for.
//! - Owners are always looked for; one line at the end tells why some cannot be seen.
//! - Numbers only, as with -n: the names of ports and hosts would be ours, not the target's.
//! - IPv6 addresses stand in brackets.

use std::io::{self, Write};
use std::net::SocketAddr;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::table::{self, Cell, Column};
use crate::target::sockets::{self, Owners, Protocol, Socket, State, UnixSocket};
use crate::target::{Reader, access};

pub static APPLET: Applet = Applet {
    names: &["netstat"],
    usage: <Options as clap::CommandFactory>::command,
    run,
    place: Place::Child,
    trouble: 1,
};

/// List the target's sockets and who holds them
#[derive(clap::Parser)]
#[command(name = "netstat")]
struct Options {
    /// TCP
    #[arg(short, long)]
    tcp: bool,
    /// UDP
    #[arg(short, long)]
    udp: bool,
    /// Raw sockets
    #[arg(short = 'w', long)]
    raw: bool,
    /// Unix sockets
    #[arg(short = 'x', long)]
    unix: bool,
    /// Only IPv4
    #[arg(short = '4', long = "inet")]
    four: bool,
    /// Only IPv6
    #[arg(short = '6', long = "inet6")]
    six: bool,
    /// Only listening sockets
    #[arg(short, long)]
    listening: bool,
    /// Listening sockets and connections
    #[arg(short, long)]
    all: bool,
    /// Also the user and the inode of each socket
    #[arg(short, long)]
    extend: bool,
    /// The processes, which are always shown
    #[arg(short = 'p', long = "programs")]
    _programs: bool,
    /// Numbers instead of names, which are always shown
    #[arg(short = 'n', long = "numeric")]
    _numeric: bool,
    /// Do not cut addresses, which are never cut
    #[arg(short = 'W', long = "wide")]
    _wide: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

impl Options {
    fn any_family(&self) -> bool {
        self.tcp || self.udp || self.raw || self.unix
    }

    fn wants(&self, protocol: Protocol) -> bool {
        let every = !self.any_family();
        let (kind, six) = match protocol {
            Protocol::Tcp => (self.tcp || every, false),
            Protocol::Tcp6 => (self.tcp || every, true),
            Protocol::Udp => (self.udp || every, false),
            Protocol::Udp6 => (self.udp || every, true),
            Protocol::Raw => (self.raw || every && self.by_state(), false),
            Protocol::Raw6 => (self.raw || every && self.by_state(), true),
        };
        kind && (self.four == self.six || self.six == six)
    }

    fn wants_unix(&self) -> bool {
        self.unix || !self.any_family() && self.by_state() && !self.four && !self.six
    }

    fn by_state(&self) -> bool {
        self.listening || self.all
    }

    fn takes(&self, listening: bool) -> bool {
        match (self.all, self.listening) {
            (true, _) => true,
            (false, true) => listening,
            (false, false) => !listening || !self.any_family(),
        }
    }
}

/// Where a column is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Always,
    /// People want in one column what machines want in two.
    ByPeople,
    ByMachines,
    /// By people only with -e.
    Extended,
}

impl Seen {
    fn with(self, json: bool, extend: bool) -> bool {
        match self {
            Seen::Always => true,
            Seen::ByPeople => !json,
            Seen::ByMachines => json,
            Seen::Extended => json || extend,
        }
    }
}

struct Field<T> {
    seen: Seen,
    column: Column<'static>,
    value: fn(&T, &View) -> Cell,
}

const fn field<T>(seen: Seen, column: Column<'static>, value: fn(&T, &View) -> Cell) -> Field<T> {
    Field { seen, column, value }
}

const fn key(key: &'static str) -> Column<'static> {
    Column::left("", key, 0)
}

struct Internet {
    protocol: Protocol,
    socket: Socket,
}

static INTERNET: &[Field<Internet>] = &[
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

static UNIX: &[Field<UnixSocket>] = &[
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
struct View {
    /// Whose network it is, for machines.
    network: &'static str,
    owners: Owners,
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

/// What `-l` asks for: TCP sockets that listen, and others that are not connected.
fn waits(it: &Internet) -> bool {
    match it.protocol {
        Protocol::Tcp | Protocol::Tcp6 => it.socket.state == State::Listen,
        _ => it.socket.state == State::Close,
    }
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options = cx.parse::<Options>()?;
    let target = match cx.files.target() {
        Ok(target) => Some(target),
        Err(absent) => {
            cx.note(absent);
            None
        }
    };
    let own = || Reader::open().ok().and_then(|reader| reader.own_pid());
    let Some(pid) = target.map(|target| target.pid).or_else(own) else { return Ok(Exit(1)) };
    let name = match target {
        None => String::from("this container"),
        Some(target) => format!("the target, process {pid} ({})", Safe(&target.comm)),
    };
    let shared = match target.map(sockets::network_shared) {
        None => "",
        Some(Some(true)) => ", shared with this container",
        Some(Some(false)) => ", not shared with this container",
        Some(None) => ", and it cannot be seen whether this container shares it",
    };
    let stopped = |error: io::Error| Error::message(format_args!("the network of {name}: {}", reason(&error)));
    let view =
        View { network: if target.is_some() { "target" } else { "own" }, owners: Owners::find(None).map_err(stopped)? };
    let mut orphans = 0;
    let protocols: Vec<Protocol> = Protocol::ALL.into_iter().filter(|protocol| options.wants(*protocol)).collect();
    if !protocols.is_empty() {
        let mut section = Section::begin(cx, &options, INTERNET, &view, format!("Network of {name}{shared}"))?;
        for protocol in protocols {
            for socket in sockets::table(pid, protocol).map_err(stopped)? {
                let row = Internet { protocol, socket: socket.map_err(stopped)? };
                if options.takes(waits(&row)) {
                    section.row(&row, row.socket.inode)?;
                }
            }
        }
        orphans += section.orphans;
    }
    if options.wants_unix() {
        let mut section = Section::begin(cx, &options, UNIX, &view, format!("Unix sockets of {name}{shared}"))?;
        for socket in sockets::unix_table(pid).map_err(stopped)? {
            let socket = socket.map_err(stopped)?;
            if options.takes(socket.listening) {
                section.row(&socket, socket.inode)?;
            }
        }
        orphans += section.orphans;
    }
    let denied = &view.owners.denied;
    if orphans > 0
        && let Some(first) = denied.iter().find(|denied| **denied == pid).or(denied.first())
    {
        let why = access::explain(*first, "descriptors");
        let owners = if orphans == 1 { "1 owner is" } else { &format!("{orphans} owners are") };
        cx.note(format_args!("{owners} not shown: {why}"));
    }
    Ok(Exit(0))
}

/// One table of the output, written as it is read.
struct Section<'a, T> {
    out: &'a mut crate::applet::Out,
    fields: Vec<&'a Field<T>>,
    columns: Vec<Column<'static>>,
    view: &'a View,
    json: bool,
    /// How many sockets have an owner that is not known.
    orphans: usize,
}

impl<'a, T> Section<'a, T> {
    fn begin(
        cx: &'a mut Context<'_>,
        options: &Options,
        fields: &'a [Field<T>],
        view: &'a View,
        heading: String,
    ) -> Result<Section<'a, T>> {
        let fields: Vec<&Field<T>> =
            fields.iter().filter(|field| field.seen.with(options.json, options.extend)).collect();
        let columns: Vec<Column> = fields.iter().map(|field| field.column).collect();
        let out = &mut cx.io.out;
        if !options.json {
            writeln!(out, "{heading}")?;
            table::heading(out, &columns)?;
        }
        Ok(Section { out, fields, columns, view, json: options.json, orphans: 0 })
    }

    fn row(&mut self, row: &T, inode: u64) -> Result<()> {
        let cells: Vec<Cell> = self.fields.iter().map(|field| (field.value)(row, self.view)).collect();
        self.orphans += usize::from(inode != 0 && self.view.owners.of(inode).is_none());
        match self.json {
            true => table::json_row(self.out, &self.columns, &cells)?,
            false => table::row(self.out, &self.columns, &cells)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn wanted(args: &[&str]) -> (Vec<&'static str>, bool) {
        let args = ["netstat"].iter().chain(args);
        let options = <Options as clap::Parser>::try_parse_from(args).unwrap();
        let names = Protocol::ALL.into_iter().filter(|protocol| options.wants(*protocol)).map(Protocol::name);
        (names.collect(), options.wants_unix())
    }

    #[test]
    fn families() {
        assert_eq!(wanted(&[]), (vec!["tcp", "tcp6", "udp", "udp6"], false));
        assert_eq!(wanted(&["-an"]), (vec!["tcp", "tcp6", "udp", "udp6", "raw", "raw6"], true));
        assert_eq!(wanted(&["-tlnp"]), (vec!["tcp", "tcp6"], false));
        assert_eq!(wanted(&["-tu4"]), (vec!["tcp", "udp"], false));
        assert_eq!(wanted(&["-6"]), (vec!["tcp6", "udp6"], false));
        assert_eq!(wanted(&["-xW"]), (vec![], true));
    }

    #[test]
    fn states() {
        let takes = |args: &[&str], listening| {
            let args = ["netstat"].iter().chain(args);
            <Options as clap::Parser>::try_parse_from(args).unwrap().takes(listening)
        };
        assert_eq!((takes(&[], true), takes(&[], false)), (true, true));
        assert_eq!((takes(&["-t"], true), takes(&["-t"], false)), (false, true));
        assert_eq!((takes(&["-l"], true), takes(&["-l"], false)), (true, false));
        assert_eq!((takes(&["-ta"], true), takes(&["-ta"], false)), (true, true));
        assert_eq!((takes(&["-la"], true), takes(&["-la"], false)), (true, true));
    }

    #[test]
    fn a_listener_of_ours() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pid = std::process::id();
        let text = capture(&APPLET, &["-ltn"], b"");
        let row = text.out.lines().find(|line| line.contains(&format!("127.0.0.1:{port} "))).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[..6], ["tcp", "0", "0", &format!("127.0.0.1:{port}"), "0.0.0.0:*", "LISTEN"]);
        assert!(words[6].starts_with(&format!("{pid}/")), "{row}");
        let json = capture(&APPLET, &["-lt", "--json"], b"");
        let row = json.out.lines().find(|line| line.contains(&format!("\"local_port\":{port},"))).unwrap();
        assert!(row.contains(&format!("\"state\":\"LISTEN\",\"uid\":{}", nix::unistd::geteuid())), "{row}");
        assert!(row.contains(&format!("\"pid\":{pid},\"program\":\"")), "{row}");
    }

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
