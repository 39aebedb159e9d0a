//! lsof: what processes have open, the target's and ours, with the options of lsof that people type and its columns.
//!
//! What deviates:
//!
//! - A column WHOSE stands before NAME; names of users are the target's own for its processes.
//! - Numbers of hosts and ports are never turned into names, so `-n` and `-P` change nothing. `-b`, `-w` and `-Q` neither.
//! - A process whose files may not be read has no rows: such processes are counted, and the reason is said once.
//! - Of the devices of local sockets the kernel tells their number only, and of their other end nothing.
//! - We ourselves have rows only where `-p` names us.
//! - `--count` has one row for each process: how many descriptors it has, and how many it may have.
//! - Names are escaped, and a command's is not cut.
//!
//! Rows are written as they are read: 100,000 descriptors take no more memory than ten. `selection` has which rows, `internet`
//! what `-i` selects.
//!
//! Status: 0 something was found, 1 nothing, or not all that was asked for; 2 a wrong use.
//!
//! Longer than most because half of it is options and the many kinds of files.

mod internet;
mod selection;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use nix::sys::stat::{FileStat, major, minor};

use crate::applet::{Applet, Context, Error, Exit, Place, Result, os, reason};
use crate::output::json::Object;
use crate::output::table::{self, Cell, Column};
use crate::output::{Safe, mode};
use crate::target::endpoints::{Endpoint, Endpoints};
use crate::target::limits::Limits;
use crate::target::open::{self, Descriptors, Open};
use crate::target::process::{Stat, gone};
use crate::target::sockets::{Protocol, State};
use crate::target::{Kinship, Reader, Users, Whose, access};

use selection::Selection;

pub static APPLET: Applet = Applet {
    names: &["lsof"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// List open files: paths, deleted files, sockets with both ends
#[derive(clap::Parser)]
#[command(after_help = "+L1 lists deleted files that are still open, +D DIRECTORY files below it, +d in it.")]
struct Options {
    /// All selections have to hold, not one of them
    #[arg(short = 'a')]
    and: bool,
    /// Only these processes; ^ before one leaves it out
    #[arg(short, value_name = "PIDS", value_delimiter = ',', allow_hyphen_values = true)]
    pids: Vec<OsString>,
    /// Only of these users, by name or number; ^ leaves one out
    #[arg(short, value_name = "USERS", value_delimiter = ',')]
    users: Vec<OsString>,
    /// Only commands whose names begin so; ^ leaves one out
    #[arg(short, value_name = "NAMES", value_delimiter = ',')]
    commands: Vec<OsString>,
    /// Only these process groups; ^ leaves one out
    #[arg(short, value_name = "PGIDS", value_delimiter = ',')]
    groups: Vec<OsString>,
    /// Only sockets of the Internet: [4|6][tcp|udp][@ADDRESS][:PORTS]
    #[arg(short, value_name = "SOCKETS", num_args = 0..=1)]
    internet: Option<Vec<OsString>>,
    /// Only local sockets
    #[arg(short = 'U')]
    unix: bool,
    /// Only these descriptors: numbers, ranges, cwd, rtd, txt, mem; ^ leaves one out
    #[arg(short, value_name = "FDS", value_delimiter = ',')]
    descriptors: Vec<OsString>,
    /// Only sockets in a state: TCP:LISTEN,ESTABLISHED
    #[arg(short, value_name = "STATES", num_args = 0..=1)]
    states: Option<Vec<OsString>>,
    /// Only files with fewer links, as +L1
    #[arg(long, value_name = "NUMBER", num_args = 0..=1)]
    links: Option<Option<u64>>,
    /// Only files in this directory, as +d
    #[arg(long, value_name = "DIRECTORY")]
    inside: Vec<OsString>,
    /// Only files below this directory, as +D
    #[arg(long, value_name = "DIRECTORY")]
    below: Vec<OsString>,
    /// Only the target's processes
    #[arg(short = 'N', long)]
    target_only: bool,
    /// Only process ids, a line each
    #[arg(short, long)]
    terse: bool,
    /// Numbers of users, not their names
    #[arg(short = 'l')]
    numeric: bool,
    /// The parent's process id too
    #[arg(short = 'R')]
    parent: bool,
    /// Where in its file a descriptor stands, not the size
    #[arg(short)]
    offset: bool,
    /// Numbers of hosts and ports, which is always so
    #[arg(short = 'n', visible_short_aliases = ['P', 'b', 'w', 'Q'])]
    _numbers: bool,
    /// Only how many descriptors each process has, and may have
    #[arg(long)]
    count: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Only these files; a mount point stands for its file system
    #[arg(value_name = "PATH")]
    paths: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    plus(&mut cx.args);
    let options: Options = cx.parse()?;
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(unreadable)?;
    let target = if options.target_only { Some(cx.target()?.pid) } else { cx.files.target().ok().map(|it| it.pid) };
    let users = Users::new(cx.files);
    let mut selection = Selection::of(cx, &options)?;
    let own = reader.own_pid();
    let mut kinship = Kinship::new(&mut reader, target);
    let mut list = List {
        options: &options,
        users: &users,
        columns: columns(&options),
        endpoints: Endpoints::default(),
        found: false,
        denied: Vec::new(),
        denials: 0,
    };
    if !options.json && !options.terse {
        table::heading(&mut cx.io.out, &list.columns)?;
    }
    for pid in reader.pids().map_err(unreadable)? {
        // What ends while it is read is not there.
        let Ok(stat) = reader.stat(pid) else { continue };
        let whose = kinship.whose(&mut reader, &stat);
        // What we inherited is what the shell has open, too.
        if Some(pid) == own && !selection.names(pid) {
            continue;
        }
        if options.target_only && whose != Whose::Target || options.count && stat.is_kernel_thread() {
            continue;
        }
        let Ok(owner) = reader.owner(pid) else { continue };
        let process = Process { stat, whose, user: owner.user };
        if !selection.considers(&process, &users) {
            continue;
        }
        let read = match options.count {
            true => list.count(cx, &mut reader, &process)?,
            false => list.process(cx, &mut reader, &process, &mut selection)?,
        };
        if let Err(error) = read
            && !gone(&error)
        {
            list.denials += 1;
            // One of the target's tells most.
            if list.denied.is_empty() || list.denied[0].1 != Whose::Target && whose == Whose::Target {
                list.denied = vec![(pid, whose)];
            }
        }
    }
    if let Some((pid, _)) = list.denied.first() {
        let processes = if list.denials == 1 { "1 process has" } else { &format!("{} processes have", list.denials) };
        let why = access::explain(*pid, "open files");
        cx.note(format_args!("{processes} files that are not shown: {why}"));
    }
    for path in selection.missed() {
        cx.note(format_args!("{}: nobody has it open", Safe(path)));
        list.found = false;
    }
    Ok(Exit(u8::from(!list.found)))
}

/// Turns what begins with a plus into options: `+L1`, `+L 1`, `+D PATH`, `+dPATH`.
fn plus(args: &mut [OsString]) {
    for arg in args.iter_mut().take_while(|arg| *arg != "--") {
        let (name, value) = match arg.as_bytes() {
            [b'+', b'L', value @ ..] => (&b"--links"[..], value),
            [b'+', b'D', value @ ..] => (&b"--below"[..], value),
            [b'+', b'd', value @ ..] => (&b"--inside"[..], value),
            _ => continue,
        };
        *arg = os(&if value.is_empty() { name.to_vec() } else { [name, b"=", value].concat() });
    }
}

/// A process as rows and selections need it.
struct Process {
    stat: Stat,
    whose: Whose,
    user: u32,
}

fn columns(options: &Options) -> Vec<Column<'static>> {
    let mut columns =
        vec![Column::left("COMMAND", "command", 9), Column::right("PID", "pid", 6), Column::left("USER", "user", 8)];
    if options.count {
        columns.extend([
            Column::left("WHOSE", "whose", 7),
            Column::right("OPEN", "open", 7),
            Column::right("LIMIT", "limit", 9),
            Column::right("USED", "used_percent", 5),
        ]);
        return columns;
    }
    if options.parent {
        columns.insert(2, Column::right("PPID", "parent", 6));
    }
    columns.extend([
        Column::right("FD", "fd", 4),
        Column::right("TYPE", "type", 6),
        Column::right("DEVICE", "device", 8),
        Column::right(if options.offset { "OFFSET" } else { "SIZE/OFF" }, "size", 9),
    ]);
    if options.links.is_some() {
        columns.push(Column::right("NLINK", "links", 5));
    }
    columns.extend([
        Column::right("NODE", "node", 8),
        Column::left("WHOSE", "whose", 7),
        Column::left("NAME", "name", 4),
    ]);
    columns
}

/// The output.
struct List<'a> {
    options: &'a Options,
    users: &'a Users<'a>,
    columns: Vec<Column<'static>>,
    endpoints: Endpoints,
    found: bool,
    /// One process whose files may not be read, and how many there are.
    denied: Vec<(i32, Whose)>,
    denials: usize,
}

impl List<'_> {
    /// All that a process has open. The inner error is the process's.
    fn process(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        process: &Process,
        selection: &mut Selection,
    ) -> Result<io::Result<()>> {
        let pid = process.stat.pid;
        if self.options.terse && selection.takes_all(process, self.users) {
            self.found = true;
            writeln!(cx.io.out, "{pid}")?;
            return Ok(Ok(()));
        }
        let mut descriptors = match Descriptors::of(reader, pid) {
            Ok(descriptors) => descriptors,
            Err(error) => return Ok(Err(error)),
        };
        let mut program = None;
        if !selection.only_sockets() {
            for place in [open::Place::Directory, open::Place::Root, open::Place::Program] {
                match open::place(reader, pid, place) {
                    Ok(None) => {}
                    Ok(Some(open)) => {
                        if place == open::Place::Program {
                            program = open.stat.map(|stat| (stat.st_dev, stat.st_ino));
                        }
                        if self.file(cx, reader, process, selection, &open)? {
                            return Ok(Ok(()));
                        }
                    }
                    Err(error) => return Ok(Err(error)),
                }
            }
            // The process may end at any of these.
            for open in open::mapped(reader, pid).unwrap_or_default() {
                let is_program = open.stat.is_some_and(|stat| Some((stat.st_dev, stat.st_ino)) == program);
                if !is_program && self.file(cx, reader, process, selection, &open)? {
                    return Ok(Ok(()));
                }
            }
        }
        while let Some(open) = descriptors.next() {
            match open {
                Ok(open) => {
                    if self.file(cx, reader, process, selection, &open)? {
                        break;
                    }
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(()))
    }

    /// One file, if it is selected; true where no more are wanted of its process.
    fn file(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut Reader,
        process: &Process,
        selection: &mut Selection,
        open: &Open,
    ) -> Result<bool> {
        let pid = process.stat.pid;
        let endpoint = match open.socket() {
            // In a list of everything each socket is looked up, and for the others only where it matters.
            Some(inode) if !selection.no_sockets() => self.endpoints.of(reader, pid, inode),
            _ => None,
        };
        if !selection.takes(process, self.users, open, endpoint) {
            return Ok(false);
        }
        self.found = true;
        if self.options.terse {
            writeln!(cx.io.out, "{pid}")?;
            return Ok(true);
        }
        let position = match open.place {
            open::Place::Descriptor(descriptor) if self.options.offset || self.options.json => {
                open::position(reader, pid, descriptor)
            }
            _ => None,
        };
        let user = self.users.user(process.user, process.whose).filter(|_| !self.options.numeric);
        let file = File { process, user, open, endpoint, position };
        match self.options.json {
            true => writeln!(cx.io.out, "{}", file.object().finish())?,
            false => table::row(&mut cx.io.out, &self.columns, &file.cells(self.options))?,
        }
        Ok(false)
    }

    /// How many descriptors it has and may have.
    fn count(&mut self, cx: &mut Context<'_>, reader: &mut Reader, process: &Process) -> Result<io::Result<()>> {
        let pid = process.stat.pid;
        let count = match reader.descriptor_count(pid) {
            Ok(count) => count,
            Err(error) => return Ok(Err(error)),
        };
        self.found = true;
        let limit = Limits::of(reader, pid).ok().and_then(|limits| limits.files).and_then(|limit| limit.soft);
        let used = limit.filter(|limit| *limit > 0).map(|limit| count as f64 * 100.0 / limit as f64);
        let cells = [
            Cell::Bytes(process.stat.comm.clone()),
            Cell::Signed(pid.into()),
            user(self.users.user(process.user, process.whose).filter(|_| !self.options.numeric), process.user),
            Cell::Text(String::from(process.whose.word())),
            Cell::Number(count),
            limit.map_or(Cell::Unknown, Cell::Number),
            used.map_or(Cell::Unknown, Cell::Float),
        ];
        match self.options.json {
            true => table::json_row(&mut cx.io.out, &self.columns, &cells)?,
            false => table::row(&mut cx.io.out, &self.columns, &cells)?,
        }
        Ok(Ok(()))
    }
}

fn user(name: Option<&[u8]>, id: u32) -> Cell {
    name.map_or_else(|| Cell::Null(id.to_string()), |name| Cell::Bytes(name.to_vec()))
}

/// One row.
struct File<'a> {
    process: &'a Process,
    user: Option<&'a [u8]>,
    open: &'a Open,
    endpoint: Option<&'a Endpoint>,
    position: Option<u64>,
}

impl File<'_> {
    fn cells(&self, options: &Options) -> Vec<Cell> {
        let process = self.process;
        let text = |text: String| Cell::Text(text);
        let mut cells = vec![Cell::Bytes(process.stat.comm.clone()), Cell::Signed(process.stat.pid.into())];
        if options.parent {
            cells.push(Cell::Signed(process.stat.parent.into()));
        }
        cells.extend([user(self.user, process.user), text(self.descriptor()), text(self.kind())]);
        let stat = self.open.stat;
        let inode = stat.map(|stat| stat.st_ino).or(self.open.socket());
        cells.push(match self.endpoint {
            Some(Endpoint::Internet { .. }) => inode.map_or(Cell::Unknown, Cell::Number),
            _ => stat.map_or(Cell::Unknown, |stat| text(device(&stat))),
        });
        cells.push(match (self.size(), self.position) {
            (_, Some(position)) if options.offset => text(format!("0t{position}")),
            (Some(size), _) if !options.offset => Cell::Number(size),
            _ => text(String::from("0t0")),
        });
        if options.links.is_some() {
            cells.push(self.open.links().map_or(Cell::Unknown, Cell::Number));
        }
        cells.push(match self.endpoint {
            Some(Endpoint::Internet { protocol, .. }) => text(String::from(service(*protocol))),
            _ => inode.map_or(Cell::Unknown, Cell::Number),
        });
        cells.extend([text(String::from(process.whose.word())), self.name()]);
        cells
    }

    /// `cwd`, `txt`, `3u`.
    fn descriptor(&self) -> String {
        match self.open.place {
            open::Place::Directory => String::from("cwd"),
            open::Place::Root => String::from("rtd"),
            open::Place::Program => String::from("txt"),
            open::Place::Mapped if self.open.link.ends_with(b" (deleted)") => String::from("DEL"),
            open::Place::Mapped => String::from("mem"),
            open::Place::Descriptor(number) => match self.access() {
                Some(letter) => format!("{number}{letter}"),
                None => number.to_string(),
            },
        }
    }

    fn access(&self) -> Option<char> {
        match (self.open.reads, self.open.writes) {
            (true, true) => Some('u'),
            (true, false) => Some('r'),
            (false, true) => Some('w'),
            (false, false) => None,
        }
    }

    fn kind(&self) -> String {
        let kind = self.open.stat.map(|stat| mode::letter(stat.st_mode));
        String::from(match (self.endpoint, kind) {
            (Some(Endpoint::Internet { local, .. }), _) if local.is_ipv6() => "IPv6",
            (Some(Endpoint::Internet { .. }), _) => "IPv4",
            (Some(Endpoint::Unix { .. }), _) => "unix",
            _ if self.open.link.starts_with(b"anon_inode:") => "a_inode",
            (None, Some('d')) => "DIR",
            (None, Some('-')) => "REG",
            (None, Some('c')) => "CHR",
            (None, Some('b')) => "BLK",
            (None, Some('p')) => "FIFO",
            (None, Some('s')) => "sock",
            (None, Some('l')) => "LINK",
            _ => "unknown",
        })
    }

    /// Of what has one.
    fn size(&self) -> Option<u64> {
        let stat = self.open.stat?;
        let sized = matches!(mode::letter(stat.st_mode), '-' | 'd' | 'l');
        sized.then(|| u64::try_from(stat.st_size).ok()).flatten()
    }

    fn name(&self) -> Cell {
        match self.endpoint {
            None => Cell::Bytes(match &self.open.link {
                link if link.starts_with(b"anon_inode:") => link["anon_inode:".len()..].to_vec(),
                link if link.starts_with(b"pipe:[") => b"pipe".to_vec(),
                link => link.clone(),
            }),
            Some(endpoint) => Cell::Bytes(ends(endpoint)),
        }
    }

    fn object(&self) -> Object {
        let (process, open) = (self.process, self.open);
        let mut object = Object::new();
        object.bytes("command", &process.stat.comm).number("pid", u64::try_from(process.stat.pid).ok());
        object.number("parent", u64::try_from(process.stat.parent).ok());
        match self.user {
            Some(name) => object.bytes("user", name),
            None => object.null("user"),
        };
        object.number("uid", Some(process.user.into())).text("whose", process.whose.word());
        let descriptor = self.descriptor();
        object.text("fd", descriptor.trim_end_matches(['r', 'w', 'u']).trim_start_matches("DEL"));
        object.bool("reads", open.reads).bool("writes", open.writes).text("type", &self.kind());
        let stat = open.stat;
        match &stat {
            Some(stat) => object.text("device", &device(stat)),
            None => object.null("device"),
        };
        object.number("size", self.size()).number("offset", self.position);
        object.number("node", stat.map(|stat| stat.st_ino)).number("links", open.links());
        object.bool("deleted", open.is_deleted()).bytes("name", &open.link);
        if let Some(Endpoint::Internet { protocol, local, remote, state }) = self.endpoint {
            object.text("protocol", protocol.name()).text("local_address", &local.ip().to_string());
            object.number("local_port", Some(local.port().into()));
            object.text("remote_address", &remote.ip().to_string());
            object.number("remote_port", Some(remote.port().into())).text("state", state.name());
        }
        if let Some(Endpoint::Unix { path, kind, state }) = self.endpoint {
            object.text("protocol", "unix").bytes("path", path).text("socket_type", kind).text("state", state);
        }
        object
    }
}

fn device(stat: &FileStat) -> String {
    let number = match mode::letter(stat.st_mode) {
        'c' | 'b' => stat.st_rdev,
        _ => stat.st_dev,
    };
    format!("{},{}", major(number), minor(number))
}

/// The protocol in lsof's NODE.
fn service(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp | Protocol::Tcp6 => "TCP",
        Protocol::Udp | Protocol::Udp6 => "UDP",
        _ => "RAW",
    }
}

/// `127.0.0.1:80->127.0.0.1:50000 (ESTABLISHED)`, `*:80 (LISTEN)`, `/run/x.sock type=STREAM (LISTENING)`.
fn ends(endpoint: &Endpoint) -> Vec<u8> {
    match endpoint {
        Endpoint::Internet { protocol, local, remote, state } => {
            let mut text = shown(*local);
            if remote.port() != 0 || !remote.ip().is_unspecified() {
                text += &format!("->{}", shown(*remote));
            }
            if matches!(protocol, Protocol::Tcp | Protocol::Tcp6) || *state == State::Established {
                text += &format!(" ({})", state.name());
            }
            text.into_bytes()
        }
        Endpoint::Unix { path, kind, state } => {
            let space = if path.is_empty() { "" } else { " " };
            let state = if state.is_empty() { String::new() } else { format!(" ({state})") };
            [path, format!("{space}type={kind}{state}").as_bytes()].concat()
        }
    }
}

fn shown(address: std::net::SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => String::from("*"),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    match address.port() {
        0 => format!("{host}:*"),
        port => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    #[test]
    fn ends_as_lsof_writes_them() {
        let tcp = |protocol, local: &str, remote: &str, state| {
            let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
            String::from_utf8(ends(&Endpoint::Internet { protocol, local, remote, state })).unwrap()
        };
        assert_eq!(tcp(Protocol::Tcp, "0.0.0.0:80", "0.0.0.0:0", State::Listen), "*:80 (LISTEN)");
        let both = tcp(Protocol::Tcp6, "[::1]:80", "[::1]:5000", State::CloseWait);
        assert_eq!(both, "[::1]:80->[::1]:5000 (CLOSE_WAIT)");
        assert_eq!(tcp(Protocol::Udp, "127.0.0.1:53", "0.0.0.0:0", State::Close), "127.0.0.1:53");
        assert_eq!(tcp(Protocol::Raw, "0.0.0.0:0", "0.0.0.0:0", State::Close), "*:*");
        let unix = |path: &[u8], state| ends(&Endpoint::Unix { path: path.to_vec(), kind: "STREAM", state });
        assert_eq!(unix(b"/run/x", "LISTENING"), b"/run/x type=STREAM (LISTENING)");
        assert_eq!(unix(b"", ""), b"type=STREAM");
    }

    #[test]
    fn a_plus_is_an_option() {
        let mut args: Vec<OsString> = ["+L1", "+L", "+D/x", "+d", "/x", "--", "+L1"].map(OsString::from).to_vec();
        plus(&mut args);
        assert_eq!(args, ["--links=1", "--links", "--below=/x", "--inside", "/x", "--", "+L1"]);
    }

    #[test]
    fn a_deleted_file_and_a_listener_of_ours() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let path = std::env::temp_dir().join(format!("sidebox-lsof-{}", std::process::id()));
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(b"12345").unwrap();
        let pid = std::process::id().to_string();
        let fd = file.as_raw_fd();
        let rows = |args: &[&str]| capture(&APPLET, args, b"");
        assert_eq!(rows(&["-atp", &pid, path.to_str().unwrap()]).out, format!("{pid}\n"));
        std::fs::remove_file(&path).unwrap();
        let deleted = rows(&["-a", "-p", &pid, "+L1"]);
        let row = deleted.out.lines().find(|row| row.contains(&format!(" {fd}w "))).unwrap();
        assert!(row.contains(" REG ") && row.contains(" 5 ") && row.ends_with("(deleted)"), "{row}");
        let json = rows(&["-a", "-p", &pid, "-d", &fd.to_string(), "--json"]).out;
        assert!(json.contains(&format!("\"fd\":\"{fd}\",\"reads\":false,\"writes\":true,\"type\":\"REG\"")), "{json}");
        assert!(json.contains("\"size\":5,\"offset\":5,") && json.contains("\"links\":0,\"deleted\":true"), "{json}");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let out = rows(&["-anPp", &pid, "-i", &format!("tcp@127.0.0.1:{port}")]).out;
        assert_eq!(out.lines().count(), 2, "{out}");
        assert!(out.ends_with(&format!(" 127.0.0.1:{port} (LISTEN)\n")) && out.contains(" TCP "), "{out}");
        assert_eq!(rows(&["-atp", &pid, &format!("-iTCP:{port}"), "-sTCP:LISTEN"]).out, format!("{pid}\n"));
        let none = rows(&["-atp", &pid, &format!("-iUDP:{port}")]);
        assert_eq!((none.status, none.out.as_str()), (1, ""));
        let count = rows(&["--count", "-p", &pid, "--json"]).out;
        assert!(count.contains("\"open\":") && count.contains("\"limit\":"), "{count}");
    }

    #[test]
    fn wrong_uses() {
        for (args, err) in [
            (&["-p", "x"][..], "lsof: x: not a process id (see 'lsof --help')\n"),
            (&["-i", "tcp:http"], "lsof: tcp:http: not [4|6][tcp|udp][@ADDRESS][:PORTS] (see 'lsof --help')\n"),
            (&["-d", "x"], "lsof: x: not a descriptor (see 'lsof --help')\n"),
            (&["-u", "no such user"], "lsof: no such user: no such user (see 'lsof --help')\n"),
        ] {
            let done = capture(&APPLET, args, b"");
            assert_eq!((done.status, done.err.as_str()), (2, err));
        }
    }
}
