//! netstat: the sockets of the target's network namespace, with the processes that hold them; its routes, interfaces and
//! counters.
//!
//! After net-tools and busybox. What deviates:
//!
//! - The network is the target's, which in a sidecar is usually another one than ours; the heading says whose it is.
//! - Without any of -t -u -w -x -l -a, all TCP and UDP sockets are shown, the listeners too: that is what people come for.
//! - Owners are always looked for; one line at the end tells why some cannot be seen.
//! - Numbers only, as with -n: the names of ports and hosts would be ours, not the target's.
//! - IPv6 addresses stand in brackets, and -r shows the routes of both families.
//! - Send-Q of a listener is its backlog, as the manual of net-tools has it; `-` where it cannot be known, which is in
//!   every network that is not ours.
//! - -s shows what matters and is not zero, with -e everything; what matters is worded, with the kernel's name behind it.
//! - What a person would miss in the table (sockets on the loopback only, full queues, leaks) is said on standard error,
//!   but not with --json.
//!
//! Exits with 1 where the network cannot be read.

mod columns;
mod counters;
mod tables;

use std::io::{self, Write};
use std::time::Duration;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::inspect::sockets::Remarks;
use crate::output::table::{self, Cell, Column};
use crate::target::access;
use crate::target::network::Network;
use crate::target::sockets::{self, Owners, Protocol};

use columns::{Field, INTERNET, Internet, UNIX, View};

pub static APPLET: Applet = Applet {
    names: &["netstat"],
    usage: <Options as clap::CommandFactory>::command,
    run,
    place: Place::Child,
    trouble: 1,
};

/// List the target's sockets and who holds them, its routes, interfaces and counters
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
    /// Listening sockets and connections; interfaces that are down, too
    #[arg(short, long)]
    all: bool,
    /// Also the user and the inode of each socket; more of routes; every counter
    #[arg(short, long)]
    extend: bool,
    /// Also what each connection waits for
    #[arg(short = 'o', long)]
    timers: bool,
    /// The routes
    #[arg(short, long, group = "table")]
    route: bool,
    /// The interfaces
    #[arg(short, long, group = "table")]
    interfaces: bool,
    /// The counters that matter: retransmissions, overflows, drops, errors, resets
    #[arg(short, long, group = "table")]
    statistics: bool,
    /// Again every second
    #[arg(short, long)]
    continuous: bool,
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
        kind && self.family(six)
    }

    fn wants_unix(&self) -> bool {
        self.unix || !self.any_family() && self.by_state() && !self.four && !self.six
    }

    fn by_state(&self) -> bool {
        self.listening || self.all
    }

    /// Whether a family of addresses is asked for.
    fn family(&self, six: bool) -> bool {
        self.four == self.six || self.six == six
    }

    fn takes(&self, listening: bool) -> bool {
        match (self.all, self.listening) {
            (true, _) => true,
            (false, true) => listening,
            (false, false) => !listening || !self.any_family(),
        }
    }
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options = cx.parse::<Options>()?;
    if let Err(absent) = cx.files.target() {
        cx.note(absent);
    }
    let Some(network) = Network::seen(cx.files) else { return Ok(Exit(1)) };
    loop {
        let shown = match () {
            () if options.route => tables::routes(cx, &options, &network),
            () if options.interfaces => tables::interfaces(cx, &options, &network),
            () if options.statistics => counters::show(cx, &options, &network),
            () => show(cx, &options, &network),
        };
        shown?;
        if !options.continuous {
            return Ok(Exit(0));
        }
        cx.io.out.flush()?;
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// What cannot be read of the network is the end.
fn stopped(network: &Network) -> impl Fn(io::Error) -> Error {
    move |error| Error::message(format_args!("the network of {network}: {}", reason(&error)))
}

fn show(cx: &mut Context<'_>, options: &Options, network: &Network) -> Result<()> {
    let stopped = stopped(network);
    let sharing = network.sharing();
    let view = View { network: network.name(), owners: Owners::find(None).map_err(&stopped)? };
    let (mut orphans, mut remarks) = (0, Remarks::default());
    let protocols: Vec<Protocol> = Protocol::ALL.into_iter().filter(|protocol| options.wants(*protocol)).collect();
    if !protocols.is_empty() {
        let mut section = Section::begin(cx, options, INTERNET, &view, format!("Network of {network}{sharing}"))?;
        for protocol in protocols {
            for socket in network.source().internet(protocol, false).map_err(&stopped)? {
                let row = Internet { protocol, socket: socket.map_err(&stopped)? };
                if options.takes(row.socket.waits(protocol)) {
                    section.row(&row, row.socket.inode)?;
                    remarks.see(protocol, &row.socket, &view.owners);
                }
            }
        }
        orphans += section.orphans;
    }
    if options.wants_unix() {
        let mut section = Section::begin(cx, options, UNIX, &view, format!("Unix sockets of {network}{sharing}"))?;
        // Only the table has the references.
        for socket in sockets::unix_table(network.pid).map_err(&stopped)? {
            let socket = socket.map_err(&stopped)?;
            if options.takes(socket.listening) {
                section.row(&socket, socket.inode)?;
            }
        }
        orphans += section.orphans;
    }
    if let Some(why) = access::owners_unknown(orphans, &view.owners.denied, network.pid) {
        cx.note(why);
    }
    if !options.json {
        remarks.lines(network.shared, &view.owners).into_iter().for_each(|line| cx.note(line));
    }
    Ok(())
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
            fields.iter().filter(|field| field.seen.with(options.json, options.extend, options.timers)).collect();
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
        assert_eq!((words[..2].concat(), words[2].parse::<u32>().is_ok()), (String::from("tcp0"), true));
        assert_eq!(words[3..6], [&format!("127.0.0.1:{port}"), "0.0.0.0:*", "LISTEN"]);
        assert!(words[6].starts_with(&format!("{pid}/")), "{row}");
        let json = capture(&APPLET, &["-lt", "--json"], b"");
        let row = json.out.lines().find(|line| line.contains(&format!("\"local_port\":{port},"))).unwrap();
        assert!(row.contains(&format!("\"state\":\"LISTEN\",\"uid\":{}", nix::unistd::geteuid())), "{row}");
        assert!(row.contains(&format!("\"pid\":{pid},\"program\":\"")), "{row}");
    }
}
