//! ss: the sockets of the target's network namespace, after iproute2.
//!
//! Shares what reads sockets with `netstat`; options, words and columns are iproute2's. What deviates:
//!
//! - The network is the target's. Where it is not ours, the kernel does not answer questions about it: the tables in
//!   /proc do, which have no backlog (`-` in Send-Q), no other side of Unix sockets, and nothing for -i and -m.
//! - Numbers only, as with -n; -r takes names from the target's /etc/hosts and asks no name server.
//! - Address and port are one column, IPv6 stands in brackets. Rows are written as they are found, with the columns
//!   as wide as they usually are.
//! - Only TCP, UDP, raw and Unix sockets; filters have digits only; nothing is ever killed.
//! - -s counts what is in the target's tables: "closed" and "orphaned" in /proc are those of the whole machine.
//! - What a person would miss in the table (sockets on the loopback only, full queues, leaks) is said on standard error,
//!   but not with --json or -H.
//!
//! Exits with 1 where the network cannot be read. Longer than most, because it has its own words for everything.

mod details;
mod filter;
mod states;
mod summary;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::inspect::sockets::Remarks;
use crate::output::Safe;
use crate::output::json::Object;
use crate::target::access;
use crate::target::network::Network;
use crate::target::sockets::{Holder, Owners, Protocol, Socket, State, UnixSocket};

use filter::Filter;
use states::States;

pub static APPLET: Applet =
    Applet { names: &["ss"], usage: <Options as clap::CommandFactory>::command, run, place: Place::Child, trouble: 1 };

/// List the target's sockets, with filters and details
#[derive(clap::Parser)]
#[command(name = "ss")]
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
    #[arg(short = '4', long = "ipv4")]
    four: bool,
    /// Only IPv6
    #[arg(short = '6', long = "ipv6")]
    six: bool,
    /// Only listening sockets
    #[arg(short, long)]
    listening: bool,
    /// Listening sockets and connections
    #[arg(short, long)]
    all: bool,
    /// Who holds each socket: every process and descriptor
    #[arg(short, long)]
    processes: bool,
    /// Also user, inode and timer
    #[arg(short, long)]
    extended: bool,
    /// Also what each connection waits for
    #[arg(short = 'o', long = "options")]
    timers: bool,
    /// Also the memory of each socket (in our own network)
    #[arg(short, long)]
    memory: bool,
    /// Also the state of each TCP connection (in our own network)
    #[arg(short, long)]
    info: bool,
    /// How many sockets there are
    #[arg(short, long)]
    summary: bool,
    /// No line of titles
    #[arg(short = 'H', long)]
    no_header: bool,
    /// Everything about a socket on one line
    #[arg(short = 'O', long)]
    oneline: bool,
    /// Names instead of addresses, from the target's /etc/hosts
    #[arg(short, long)]
    resolve: bool,
    /// Numbers instead of names of ports, which are always shown
    #[arg(short = 'n', long = "numeric")]
    _numeric: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// state NAME, exclude NAME; sport and dport with = != < > <= >= and :PORT; src and dst with ADDRESS[/PREFIX][:PORT];
    /// and, or, not, ( )
    #[arg(value_name = "FILTER")]
    filter: Vec<OsString>,
}

impl Options {
    fn any_kind(&self) -> bool {
        self.tcp || self.udp || self.raw || self.unix
    }

    fn wants(&self, protocol: Protocol) -> bool {
        let (kind, six) = match protocol {
            Protocol::Tcp => (self.tcp, false),
            Protocol::Tcp6 => (self.tcp, true),
            Protocol::Udp => (self.udp, false),
            Protocol::Udp6 => (self.udp, true),
            Protocol::Raw => (self.raw, false),
            Protocol::Raw6 => (self.raw, true),
        };
        (kind || !self.any_kind()) && (self.four == self.six || self.six == six)
    }

    fn wants_unix(&self, filter: &Filter) -> bool {
        !filter.has_test() && (self.unix || !self.any_kind() && !self.four && !self.six)
    }

    fn states(&self, filter: &Filter) -> States {
        match (filter.states, self.all, self.listening) {
            (Some(states), _, _) => states,
            (None, true, _) => States::ALL,
            (None, false, true) => States::WAITING,
            (None, false, false) => States::CONNECTED,
        }
    }

    /// Whether the kernel is asked for more than is in a row.
    fn details(&self) -> bool {
        self.extended || self.memory || self.info || self.json
    }
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options = cx.parse::<Options>()?;
    let words: Vec<_> = options.filter.iter().map(|word| word.to_string_lossy()).collect();
    let filter = Filter::parse(&words.join(" ")).map_err(Error::usage)?;
    if let Err(absent) = cx.files.target() {
        cx.note(absent);
    }
    let Some(network) = Network::seen(cx.files) else { return Ok(Exit(1)) };
    let stopped = |error: io::Error| Error::message(format_args!("the network of {network}: {}", reason(&error)));
    if options.summary {
        summary::show(cx, &network, options.json).map_err(|error| match error {
            summary::Trouble::Read(error) => stopped(error),
            summary::Trouble::Write(error) => Error::Write(error),
        })?;
        return Ok(Exit(0));
    }
    let hosts = if options.resolve { Hosts::read(cx) } else { Hosts::default() };
    let owners = if options.processes { Owners::find(None).map_err(stopped)? } else { Owners::default() };
    let protocols: Vec<Protocol> = ORDER.into_iter().filter(|protocol| options.wants(*protocol)).collect();
    let unix = options.wants_unix(&filter);
    let kinds = ORDER.chunks(2).filter(|kind| kind.iter().any(|protocol| protocols.contains(protocol))).count();
    let mut rows = Rows {
        out: &mut cx.io.out,
        options: &options,
        network: &network,
        owners: &owners,
        hosts: &hosts,
        states: options.states(&filter),
        // Unix sockets are of several kinds by themselves.
        netid: unix || kinds > 1,
        orphans: 0,
        line: String::new(),
    };
    rows.heading()?;
    if unix {
        for socket in network.source().unix().map_err(stopped)? {
            rows.unix(&socket.map_err(stopped)?)?;
        }
    }
    let mut remarks = Remarks::default();
    for protocol in protocols {
        for socket in network.source().internet(protocol, options.details()).map_err(stopped)? {
            let socket = socket.map_err(stopped)?;
            if rows.states.contains(socket.state) && filter.takes(&socket) {
                rows.internet(protocol, &socket)?;
                remarks.see(protocol, &socket, &owners);
            }
        }
    }
    let orphans = rows.orphans;
    if let Some(why) = access::owners_unknown(orphans, &owners.denied, network.pid) {
        cx.note(why);
    }
    if options.json || options.no_header {
        return Ok(Exit(0));
    }
    if (options.memory || options.info) && !network.is_ours() {
        cx.note("memory and TCP state can only be asked for in our own network: --network container:NAME");
    }
    remarks.lines(network.shared, &owners).into_iter().for_each(|line| cx.note(line));
    Ok(Exit(0))
}

/// As iproute2 has it.
const ORDER: [Protocol; 6] =
    [Protocol::Raw, Protocol::Raw6, Protocol::Udp, Protocol::Udp6, Protocol::Tcp, Protocol::Tcp6];

/// The table, written as it is read.
struct Rows<'a> {
    out: &'a mut crate::applet::Out,
    options: &'a Options,
    network: &'a Network,
    owners: &'a Owners,
    hosts: &'a Hosts,
    states: States,
    /// Whether sockets of several kinds are shown.
    netid: bool,
    /// How many sockets have an owner that is not known.
    orphans: usize,
    line: String,
}

impl Rows<'_> {
    fn heading(&mut self) -> Result<()> {
        if self.options.json || self.options.no_header {
            return Ok(());
        }
        self.columns("Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port");
        self.line.push_str(" Process");
        self.end()
    }

    fn columns(&mut self, netid: &str, state: &str, received: &str, sent: &str, local: &str, peer: &str) {
        self.line.clear();
        if self.netid {
            let _ = write!(self.line, "{netid:<5} ");
        }
        if !self.states.is_single() {
            let _ = write!(self.line, "{state:<10} ");
        }
        let _ = write!(self.line, "{received:<6} {sent:<6} {local:<23} {peer:<23}");
    }

    fn end(&mut self) -> Result<()> {
        let line = self.line.trim_end();
        self.out.write_all(line.as_bytes())?;
        Ok(self.out.write_all(b"\n")?)
    }

    fn internet(&mut self, protocol: Protocol, socket: &Socket) -> Result<()> {
        self.count(socket.inode);
        if self.options.json {
            let text = machine(self.network.name(), self.owners, protocol, socket);
            return Ok(self.out.write_all(text.as_bytes())?);
        }
        let sent = match socket.state {
            State::Listen => socket.backlog.map_or_else(|| String::from("-"), |backlog| backlog.to_string()),
            _ => socket.send_queue.to_string(),
        };
        let (local, peer) = (self.hosts.show(socket.local), self.hosts.show(socket.remote));
        let netid = protocol.name().trim_end_matches('6');
        self.columns(netid, state(socket.state), &socket.receive_queue.to_string(), &sent, &local, &peer);
        self.users(socket.inode);
        if self.options.timers || self.options.extended {
            details::timer(&mut self.line, socket.timer);
        }
        if self.options.extended {
            details::ids(&mut self.line, socket);
        }
        if let Some(more) = socket.details.as_ref().filter(|_| self.options.memory || self.options.info) {
            let mut text = String::new();
            if self.options.memory {
                details::memory(&mut text, more);
            }
            if self.options.info {
                details::information(&mut text, more);
            }
            if !text.is_empty() {
                if !self.options.oneline {
                    self.line.truncate(self.line.trim_end().len());
                    self.line.push_str("\n\t");
                }
                self.line.push_str(&text);
            }
        }
        self.end()
    }

    fn unix(&mut self, socket: &UnixSocket) -> Result<()> {
        let state = match (socket.listening, socket.connected()) {
            (true, _) => State::Listen,
            (_, true) => State::Established,
            _ => State::Close,
        };
        if !self.states.contains(state) {
            return Ok(());
        }
        self.count(socket.inode);
        let netid = match socket.kind {
            1 => "u_str",
            2 => "u_dgr",
            5 => "u_seq",
            _ => "unix",
        };
        if self.options.json {
            let text = unix_machine(self.network.name(), self.owners, netid, state, socket);
            return Ok(self.out.write_all(text.as_bytes())?);
        }
        let queue = |number: Option<u64>| number.map_or_else(|| String::from("-"), |number| number.to_string());
        let (received, sent) = socket.queues.unzip();
        let path = if socket.path.is_empty() { String::from("*") } else { Safe(&socket.path).to_string() };
        let local = format!("{path} {}", socket.inode);
        // The kernel that tells the queues tells the other side, too.
        let none = if socket.queues.is_some() { "0" } else { "*" };
        let peer = format!("* {}", socket.peer.map_or_else(|| String::from(none), |peer| peer.to_string()));
        self.columns(netid, self::state(state), &queue(received), &queue(sent), &local, &peer);
        self.users(socket.inode);
        self.end()
    }

    fn count(&mut self, inode: u64) {
        self.orphans += usize::from(self.options.processes && inode != 0 && self.owners.of(inode).is_none());
    }

    /// ` users:(("memcached",pid=1,fd=26))`
    fn users(&mut self, inode: u64) {
        let holders = self.owners.holders(inode);
        for (index, holder) in holders.iter().enumerate() {
            let start = if index == 0 { " users:(" } else { "," };
            let comm = Safe(self.owners.comm(holder.pid).unwrap_or_default());
            let _ = write!(self.line, "{start}(\"{comm}\",pid={},fd={})", holder.pid, holder.descriptor);
        }
        self.line.push_str(if holders.is_empty() { "" } else { ")" });
    }
}

/// The keys are a contract.
fn machine(network: &str, owners: &Owners, protocol: Protocol, socket: &Socket) -> String {
    let mut object = Object::new();
    object.text("network", network).text("protocol", protocol.name()).text("state", state(socket.state));
    object.number("receive_queue", Some(socket.receive_queue)).number("send_queue", Some(socket.send_queue));
    object.number("backlog", socket.backlog);
    object.text("local_address", &socket.local.ip().to_string());
    object.number("local_port", Some(socket.local.port().into()));
    object.text("remote_address", &socket.remote.ip().to_string());
    object.number("remote_port", Some(socket.remote.port().into()));
    object.number("uid", Some(socket.user.into())).number("inode", Some(socket.inode));
    holders(&mut object, owners, socket.inode);
    let timer = socket.timer;
    match details::timer_name(timer.kind) {
        Some(name) => object.text("timer", name),
        None => object.null("timer"),
    };
    object.number("timer_ms", (timer.kind != 0).then_some(timer.milliseconds));
    object.number("retransmits", Some(timer.retransmits)).number("probes", Some(timer.probes));
    object.number("drops", socket.drops);
    match &socket.details {
        Some(details) => details::machine(details, &mut object),
        None => {
            for key in ["cookie", "interface_index", "congestion", "memory", "tcp"] {
                object.null(key);
            }
        }
    }
    object.finish() + "\n"
}

/// The same for a Unix socket.
fn unix_machine(network: &str, owners: &Owners, netid: &str, state: State, socket: &UnixSocket) -> String {
    let (received, sent) = socket.queues.unzip();
    let mut object = Object::new();
    object.text("network", network).text("protocol", netid).text("state", self::state(state));
    object.number("receive_queue", received).number("send_queue", sent.filter(|_| !socket.listening));
    object.number("backlog", sent.filter(|_| socket.listening));
    object.bytes("path", &socket.path).number("inode", Some(socket.inode)).number("peer", socket.peer);
    holders(&mut object, owners, socket.inode);
    object.finish() + "\n"
}

/// `null` where they were not asked for or cannot be seen.
fn holders(object: &mut Object, owners: &Owners, inode: u64) {
    let holders = owners.holders(inode);
    if holders.is_empty() {
        object.null("owners");
        return;
    }
    let number = |number: i32| u64::try_from(number).ok();
    let owner = |holder: &Holder| {
        let mut owner = Object::new();
        owner.number("pid", number(holder.pid)).bytes("program", owners.comm(holder.pid).unwrap_or_default());
        owner.number("fd", number(holder.descriptor));
        owner
    };
    object.objects("owners", holders.iter().map(owner));
}

/// The name in ss(8).
fn state(state: State) -> &'static str {
    match state {
        State::Established => "ESTAB",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECV",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::TimeWait => "TIME-WAIT",
        State::Close => "UNCONN",
        State::CloseWait => "CLOSE-WAIT",
        State::LastAck => "LAST-ACK",
        State::Listen => "LISTEN",
        State::Closing => "CLOSING",
        State::Other => "UNKNOWN",
    }
}

/// Names by address (hosts(5)), sorted.
#[derive(Default)]
struct Hosts(Vec<(IpAddr, String)>);

impl Hosts {
    fn read(cx: &Context<'_>) -> Hosts {
        const LIMIT: usize = 128 * 1024;
        let path = if cx.files.target().is_ok() { "@/etc/hosts" } else { "/etc/hosts" };
        Hosts::parse(&cx.files.text(Path::new(path), LIMIT).unwrap_or_default())
    }

    /// The first name for an address counts.
    fn parse(text: &[u8]) -> Hosts {
        let mut names: Vec<(IpAddr, String)> = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let ip = words.next().and_then(|word| std::str::from_utf8(word).ok()).and_then(|word| word.parse().ok());
            if let (Some(ip), Some(name)) = (ip, words.next())
                && let Err(at) = names.binary_search_by_key(&ip, |(ip, _)| *ip)
            {
                names.insert(at, (ip, Safe(name).to_string()));
            }
        }
        Hosts(names)
    }

    fn show(&self, address: SocketAddr) -> String {
        let port = match address.port() {
            0 => String::from("*"),
            port => port.to_string(),
        };
        let at = self.0.binary_search_by_key(&address.ip(), |(ip, _)| *ip);
        match (at.ok().and_then(|at| self.0.get(at)), address.ip()) {
            (Some((_, name)), _) => format!("{name}:{port}"),
            (None, IpAddr::V4(ip)) => format!("{ip}:{port}"),
            (None, IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn options(args: &[&str]) -> Options {
        <Options as clap::Parser>::try_parse_from(["ss"].iter().chain(args)).unwrap()
    }

    #[test]
    fn what_is_shown() {
        let shown = |args: &[&str]| {
            let options = options(args);
            let words: Vec<_> = options.filter.iter().map(|word| word.to_string_lossy()).collect();
            let filter = Filter::parse(&words.join(" ")).unwrap();
            let names = ORDER.into_iter().filter(|protocol| options.wants(*protocol)).map(Protocol::name);
            let names = names.collect::<Vec<_>>().join(" ");
            let states = options.states(&filter);
            let states =
                [State::Listen, State::Established, State::TimeWait, State::Close].map(|it| states.contains(it));
            (names, options.wants_unix(&filter), states)
        };
        let all = String::from("raw raw6 udp udp6 tcp tcp6");
        assert_eq!(shown(&[]), (all.clone(), true, [false, true, false, false]));
        assert_eq!(shown(&["-tln"]), (String::from("tcp tcp6"), false, [true, false, false, true]));
        assert_eq!(shown(&["-uan4"]), (String::from("udp"), false, [true, true, true, true]));
        assert_eq!(shown(&["-x"]), (String::new(), true, [false, true, false, false]));
        let established = (String::from("tcp tcp6"), false, [false, true, false, false]);
        assert_eq!(shown(&["-t", "state", "established", "dport", "=", ":80"]), established);
        assert_eq!(shown(&["dst", "10.0.0.1"]), (all, false, [false, true, false, false]));
    }

    #[test]
    fn a_listener_of_ours() {
        use std::os::fd::AsRawFd;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (pid, fd) = (std::process::id(), listener.as_raw_fd());
        let text = capture(&APPLET, &["-Htlnp", "sport", "=", &format!(":{port}")], b"");
        let words: Vec<&str> = text.out.split_whitespace().collect();
        assert_eq!(
            (words[0], words[1], words[3], words[4]),
            ("LISTEN", "0", &*format!("127.0.0.1:{port}"), "0.0.0.0:*")
        );
        assert!(words[5..].join(" ").contains(&format!(",pid={pid},fd={fd})")), "{}", text.out);
        let json = capture(&APPLET, &["-tlp", "--json", &format!("sport = :{port}")], b"").out;
        let start = "\"protocol\":\"tcp\",\"state\":\"LISTEN\",\"receive_queue\":0,\"send_queue\":0,\"backlog\":";
        let end = format!(
            "\"local_address\":\"127.0.0.1\",\"local_port\":{port},\"remote_address\":\"0.0.0.0\",\"remote_port\":0,\"uid\":"
        );
        assert!(json.contains(start) && json.contains(&end) && json.contains(&format!("\"fd\":{fd}")), "{json}");
        assert_eq!(json.lines().count(), 1);
    }

    /// The keys are a contract.
    #[cfg(target_endian = "little")]
    #[test]
    fn rows_for_machines() {
        let owners = Owners::default();
        let line =
            b"1: 0200000A:2BCB 0300000A:C350 01 0000000A:00000100 02:00000269 00000000 65532 1 2025 2 0 20 4 30 10 -1";
        assert_eq!(
            machine("target", &owners, Protocol::Tcp, &Socket::parse(line).unwrap()),
            "{\"network\":\"target\",\"protocol\":\"tcp\",\"state\":\"ESTAB\",\"receive_queue\":256,\"send_queue\":10,\
             \"backlog\":null,\"local_address\":\"10.0.0.2\",\"local_port\":11211,\"remote_address\":\"10.0.0.3\",\
             \"remote_port\":50000,\"uid\":65532,\"inode\":2025,\"owners\":null,\"timer\":\"keepalive\",\"timer_ms\":6170,\
             \"retransmits\":0,\"probes\":1,\"drops\":null,\"cookie\":null,\"interface_index\":null,\"congestion\":null,\
             \"memory\":null,\"tcp\":null}\n"
        );
        let socket = UnixSocket::parse(b"0: 00000002 00000000 00010000 0001 01 20250 @\x1b[2J\xff").unwrap();
        assert_eq!(
            unix_machine("own", &owners, "u_str", State::Listen, &socket),
            "{\"network\":\"own\",\"protocol\":\"u_str\",\"state\":\"LISTEN\",\"receive_queue\":null,\"send_queue\":null,\
             \"backlog\":null,\"path\":{\"bytes\":\"QBtbMkr/\"},\"inode\":20250,\"peer\":null,\"owners\":null}\n"
        );
    }

    #[test]
    fn titles() {
        let none = ["sport = :1 and sport = :2"];
        let first = |args: &[&str]| {
            let args = [args, &none].concat();
            capture(&APPLET, &args, b"").out.split_whitespace().map(String::from).collect::<Vec<_>>().join(" ")
        };
        let rest = "Recv-Q Send-Q Local Address:Port Peer Address:Port Process";
        assert_eq!(first(&["-tu"]), format!("Netid State {rest}"));
        assert_eq!(first(&["-t"]), format!("State {rest}"));
        assert_eq!(first(&["-t", "state", "established"]), rest);
        assert_eq!(first(&["-tH"]), "");
    }

    #[test]
    fn wrong_filters() {
        let done = capture(&APPLET, &["state", "x"], b"");
        assert_eq!((done.status, done.err.as_str()), (2, "ss: x: no such state (see 'ss --help')\n"));
    }

    #[test]
    fn names_of_hosts() {
        let hosts =
            Hosts::parse(b"127.0.0.1 localhost lo # x\n::1\tip6\x1b\n\n# 10.0.0.1 no\n10.0.0.2\n127.0.0.1 second\n");
        let show = |text: &str| hosts.show(text.parse().unwrap());
        assert_eq!(show("127.0.0.1:80"), "localhost:80");
        assert_eq!(show("[::1]:0"), "ip6\\x1b:*");
        assert_eq!(show("10.0.0.2:1"), "10.0.0.2:1");
        assert_eq!(show("[fd00::1]:1"), "[fd00::1]:1");
    }
}
