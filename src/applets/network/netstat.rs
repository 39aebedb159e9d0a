//! netstat: the sockets of the target's network namespace, with the processes that hold them.
//!
//! After net-tools and busybox. What deviates:
//!
//! - The network is the target's, which in a sidecar is usually another one than ours; the heading says whose it is.
//! - Without any of -t -u -w -x -l -a, all TCP and UDP sockets are shown, the listeners too: that is what people come for.
//! - Owners are always looked for; one line at the end tells why some cannot be seen.
//! - Numbers only, as with -n: the names of ports and hosts would be ours, not the target's.
//! - IPv6 addresses stand in brackets.

mod columns;

use std::io::{self, Write};

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::table::{self, Cell, Column};
use crate::target::sockets::{self, Owners, Protocol, State};
use crate::target::{Reader, access};

use columns::{Field, INTERNET, Internet, UNIX, View};

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
}
