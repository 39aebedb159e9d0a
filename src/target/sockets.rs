//! Sockets of a network namespace, from the tables in /proc/PID/net, which everyone may read, across namespaces too.
//! Their owners are found by inode in the descriptors of processes, which need the permission of [`super::access`].
//!
//! By hand on bytes: a socket's path is whatever its owner bound. A path with a newline in it breaks its line, and one
//! made for it can look like another line of the table; the kernel does not escape it, and there is no other place
//! to read the tables of a namespace that is not ours. What is shown is escaped, and rows come from well-formed lines.
//!
//! In our own namespace the kernel tells more and faster by sock_diag(7), see [`diag`]; [`Source`] chooses.

pub mod diag;
mod owners;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Target;
use super::access::Check;
use super::namespaces::Namespace;
use super::network::lines;
use super::process::{Fields, Reader};

pub use diag::{Details, Information};
pub use owners::{Holder, Owners};

/// The tables of sockets that have an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Tcp6,
    Udp,
    Udp6,
    Raw,
    Raw6,
}

impl Protocol {
    pub const ALL: [Protocol; 6] =
        [Protocol::Tcp, Protocol::Tcp6, Protocol::Udp, Protocol::Udp6, Protocol::Raw, Protocol::Raw6];

    /// The name of the table and of the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Tcp6 => "tcp6",
            Protocol::Udp => "udp",
            Protocol::Udp6 => "udp6",
            Protocol::Raw => "raw",
            Protocol::Raw6 => "raw6",
        }
    }
}

/// The state of a TCP socket (include/net/tcp_states.h); UDP and raw sockets are `Close` until they are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    Other,
}

impl State {
    fn from_number(number: u8) -> State {
        const STATES: [State; 11] = [
            State::Established,
            State::SynSent,
            State::SynReceived,
            State::FinWait1,
            State::FinWait2,
            State::TimeWait,
            State::Close,
            State::CloseWait,
            State::LastAck,
            State::Listen,
            State::Closing,
        ];
        match number {
            1..=11 => STATES[usize::from(number) - 1],
            // The kernel's name for a half-open connection of a listener.
            12 => State::SynReceived,
            _ => State::Other,
        }
    }

    /// The name in netstat(8).
    pub fn name(self) -> &'static str {
        match self {
            State::Established => "ESTABLISHED",
            State::SynSent => "SYN_SENT",
            State::SynReceived => "SYN_RECV",
            State::FinWait1 => "FIN_WAIT1",
            State::FinWait2 => "FIN_WAIT2",
            State::TimeWait => "TIME_WAIT",
            State::Close => "CLOSE",
            State::CloseWait => "CLOSE_WAIT",
            State::LastAck => "LAST_ACK",
            State::Listen => "LISTEN",
            State::Closing => "CLOSING",
            State::Other => "UNKNOWN",
        }
    }
}

/// A socket with addresses. All of it is in /proc/PID/net/{tcp,udp,raw}, or in their namesakes for IPv6
/// (proc_pid_net(5)), but for the backlog and the details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub state: State,
    /// Bytes that wait to be read; of a listener, connections that wait to be accepted.
    pub receive_queue: u64,
    /// Bytes that the other side has not acknowledged.
    pub send_queue: u64,
    /// How many connections may wait to be accepted (listen(2)).
    pub backlog: Option<u64>,
    pub timer: Timer,
    pub user: u32,
    /// 0 for a socket that no process holds any more.
    pub inode: u64,
    /// Datagrams that were thrown away because nobody read them.
    pub drops: Option<u64>,
    pub details: Option<Box<Details>>,
}

/// What a TCP socket waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    /// The kernel's number: 0 none, 1 retransmission, 2 keepalive, 3 the end of TIME_WAIT, 4 a window probe.
    pub kind: u8,
    pub milliseconds: u64,
    pub retransmits: u64,
    /// Of a keepalive, or of a window that is closed.
    pub probes: u64,
}

/// How many of the kernel's ticks it shows in a second (USER_HZ).
const TICK_MILLISECONDS: u64 = 10;

impl Socket {
    /// `None` for the heading and for what is not such a line.
    pub fn parse(line: &[u8]) -> Option<Socket> {
        let mut fields = Fields(line);
        fields.next()?.strip_suffix(b":")?;
        let (local, remote) = (address(fields.next()?)?, address(fields.next()?)?);
        let state = State::from_number(u8::try_from(hexadecimal(fields.next()?)?).ok()?);
        let (send_queue, receive_queue) = pair(fields.next()?)?;
        let (kind, when) = pair(fields.next()?)?;
        let retransmits = hexadecimal(fields.next()?)?;
        let user = fields.number()?;
        let probes = fields.number()?;
        let inode = fields.number()?;
        let (send_queue, receive_queue) = (hexadecimal(send_queue)?, hexadecimal(receive_queue)?);
        let kind = u8::try_from(hexadecimal(kind)?).ok()?;
        // A time that has just passed is printed as a huge one.
        let milliseconds = hexadecimal(when)?.cast_signed().max(0).cast_unsigned().saturating_mul(TICK_MILLISECONDS);
        let timer = Timer { kind, milliseconds: if kind == 0 { 0 } else { milliseconds }, retransmits, probes };
        // Behind the inode, UDP and raw sockets have references, a pointer and the drops; TCP has another number of fields.
        let drops = match (fields.next(), fields.next(), fields.number(), fields.next()) {
            (Some(_), Some(_), Some(drops), None) => Some(drops),
            _ => None,
        };
        let (backlog, details) = (None, None);
        Some(Socket { local, remote, state, receive_queue, send_queue, backlog, timer, user, inode, drops, details })
    }

    /// Whether it is one that waits for others: a TCP listener, or another socket that is not connected.
    pub fn waits(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp | Protocol::Tcp6 => self.state == State::Listen,
            _ => self.state == State::Close,
        }
    }
}

/// A line of /proc/PID/net/unix, or what sock_diag tells of such a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    pub references: u64,
    pub listening: bool,
    /// The number of the type (socket(2)).
    pub kind: u8,
    /// The kernel's own state (include/uapi/linux/net.h).
    state: u8,
    pub inode: u64,
    /// The path, or `@` and an abstract name; nothing for a socket that was not bound.
    pub path: Vec<u8>,
    /// The inode of the other side, bytes to be read and to be sent, or of a listener what waits and what may: only
    /// sock_diag tells.
    pub peer: Option<u64>,
    pub queues: Option<(u64, u64)>,
}

/// The socket accepts connections (include/uapi/linux/net.h, __SO_ACCEPTCON).
const ACCEPTS: u64 = 1 << 16;

const SS_UNCONNECTED: u8 = 1;
const SS_CONNECTED: u8 = 3;

impl UnixSocket {
    pub fn parse(line: &[u8]) -> Option<UnixSocket> {
        let mut fields = Fields(line);
        fields.next()?.strip_suffix(b":")?;
        let references = hexadecimal(fields.next()?)?;
        fields.pass(1)?;
        let flags = hexadecimal(fields.next()?)?;
        let kind = u8::try_from(hexadecimal(fields.next()?)?).ok()?;
        let state = u8::try_from(hexadecimal(fields.next()?)?).ok()?;
        let inode = fields.number()?;
        let path = fields.0.strip_prefix(b" ").unwrap_or_default().to_vec();
        let listening = flags & ACCEPTS != 0;
        Some(UnixSocket { references, listening, kind, state, inode, path, peer: None, queues: None })
    }

    pub fn connected(&self) -> bool {
        self.state == SS_CONNECTED
    }

    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            1 => "STREAM",
            2 => "DGRAM",
            3 => "RAW",
            5 => "SEQPACKET",
            _ => "UNKNOWN",
        }
    }

    /// The name in netstat(8), which has none for a datagram socket that was not connected.
    pub fn state_name(&self) -> &'static str {
        match self.state {
            0 => "FREE",
            1 if self.listening => "LISTENING",
            1 => "",
            2 => "CONNECTING",
            3 => "CONNECTED",
            4 => "DISCONNECTING",
            _ => "UNKNOWN",
        }
    }
}

/// `0100007F:2BCB`: each four bytes of the address as one number in the machine's order, and the port.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let (address, port) = pair(text)?;
    Some(SocketAddr::new(words(address)?, u16::try_from(hexadecimal(port)?).ok()?))
}

/// An address as one or four such numbers.
pub(super) fn words(text: &[u8]) -> Option<IpAddr> {
    let word = |digits: &[u8]| Some(u32::try_from(hexadecimal(digits)?).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(IpAddr::V4(Ipv4Addr::from(word(text)?))),
        32 => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.chunks_exact_mut(4).zip(text.chunks_exact(8)) {
                to.copy_from_slice(&word(from)?);
            }
            Some(IpAddr::V6(Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

fn pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', text)?;
    Some((&text[..colon], &text[colon + 1..]))
}

pub(super) fn hexadecimal(text: &[u8]) -> Option<u64> {
    if !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// The sockets of one protocol in the network namespace of `pid`, as they are read. A protocol that the kernel
/// does not have has none.
pub fn table(pid: i32, protocol: Protocol) -> io::Result<impl Iterator<Item = io::Result<Socket>>> {
    lines(pid, protocol.name(), Socket::parse)
}

/// The local sockets in the network namespace of `pid`.
pub fn unix_table(pid: i32) -> io::Result<impl Iterator<Item = io::Result<UnixSocket>>> {
    lines(pid, "unix", UnixSocket::parse)
}

/// Where the sockets of a namespace are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub pid: i32,
    /// The namespace is ours, so that the kernel can be asked.
    pub shared: bool,
}

type Rows<T> = Box<dyn Iterator<Item = io::Result<T>>>;

impl Source {
    /// Where the kernel does not answer (a filter, a module that is not there), its tables do.
    pub fn internet(self, protocol: Protocol, more: bool) -> io::Result<Rows<Socket>> {
        match self.shared.then(|| diag::internet(protocol, more)) {
            Some(Ok(rows)) => Ok(Box::new(rows)),
            _ => Ok(Box::new(table(self.pid, protocol)?)),
        }
    }

    pub fn unix(self) -> io::Result<Rows<UnixSocket>> {
        match self.shared.then(diag::unix) {
            Some(Ok(rows)) => Ok(Box::new(rows)),
            _ => Ok(Box::new(unix_table(self.pid)?)),
        }
    }
}

/// A TCP socket that accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub address: SocketAddr,
    pub inode: u64,
    /// The process that holds it, where that can be read.
    pub owner: Option<i32>,
}

/// Where connections are accepted in the target's network namespace, in the kernel's order, IPv4 first.
pub fn listeners(target: &Target) -> io::Result<Vec<Listener>> {
    listeners_of(target, &[])
}

/// The same by one who knows which processes are likely to be their owners.
pub fn listeners_of(target: &Target, likely: &[i32]) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Tcp6] {
        for socket in table(target.pid, protocol)? {
            let socket = socket?;
            if socket.state == State::Listen {
                listeners.push(Listener { address: socket.local, inode: socket.inode, owner: None });
            }
        }
    }
    let wanted = listeners.iter().map(|listener| listener.inode).collect();
    let owners = Owners::find_from(likely, Some(&wanted))?;
    for listener in &mut listeners {
        listener.owner = owners.of(listener.inode);
    }
    Ok(listeners)
}

/// Whether the target's network namespace is ours. `None` where that cannot be known.
pub fn network_shared(target: &Target) -> Option<bool> {
    match Namespace::Network.shared(&mut Reader::open().ok()?, target.pid) {
        Check::Passed => Some(true),
        Check::Failed => Some(false),
        Check::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::network::rows;

    const TCP: &[u8] = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:2BCB 00000000:0000 0A 00000000:00000003 00:00000000 00000000 11211        0 2024 1 0000000000000000 100 0 0 10 0\n   \
        1: 0200000A:2BCB 0300000A:C350 01 0000000A:00000100 01:00000014 00000002     0        0 2025 2 0000000000000000 20 4 30 10 -1\n";

    fn all<T>(table: &[u8], parse: fn(&[u8]) -> Option<T>) -> Vec<T> {
        rows(Some(table), parse).map(Result::unwrap).collect()
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn lines_of_tcp() {
        let expected = [
            Socket {
                local: "127.0.0.1:11211".parse().unwrap(),
                remote: "0.0.0.0:0".parse().unwrap(),
                state: State::Listen,
                receive_queue: 3,
                send_queue: 0,
                backlog: None,
                timer: Timer::default(),
                user: 11211,
                inode: 2024,
                drops: None,
                details: None,
            },
            Socket {
                local: "10.0.0.2:11211".parse().unwrap(),
                remote: "10.0.0.3:50000".parse().unwrap(),
                state: State::Established,
                receive_queue: 256,
                send_queue: 10,
                backlog: None,
                timer: Timer { kind: 1, milliseconds: 200, retransmits: 2, probes: 0 },
                user: 0,
                inode: 2025,
                drops: None,
                details: None,
            },
        ];
        assert_eq!(all(TCP, Socket::parse), expected);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_of_both_families() {
        let parse = |text: &str| address(text.as_bytes()).map(|address| address.to_string());
        assert_eq!(parse("0100007F:2BCB").as_deref(), Some("127.0.0.1:11211"));
        assert_eq!(parse("00000000000000000000000001000000:0016").as_deref(), Some("[::1]:22"));
        assert_eq!(parse("B80D0120000000000000000001000000:FFFF").as_deref(), Some("[2001:db8::1]:65535"));
        assert_eq!(parse("0000000000000000FFFF00000200000A:0050").as_deref(), Some("[::ffff:10.0.0.2]:80"));
        for bad in ["", ":", "0100007F", "0100007F:10000", "0100007:0016", "G100007F:0016", "+100007F:+016000"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn lines_of_unix() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 20250 /run/my app.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 20251\n\
            0000000000000000: 00000002 00000000 00000000 0002 01   252 @abstract@\xff\x1b[2J\n";
        let sockets = all(table, UnixSocket::parse);
        let shown = |socket: &UnixSocket| (socket.kind_name(), socket.state_name(), socket.inode, socket.references);
        assert_eq!(
            sockets.iter().map(shown).collect::<Vec<_>>(),
            [("STREAM", "LISTENING", 20250, 2), ("STREAM", "CONNECTED", 20251, 3), ("DGRAM", "", 252, 2),]
        );
        let paths: Vec<&[u8]> = sockets.iter().map(|socket| socket.path.as_slice()).collect();
        assert_eq!(paths, [&b"/run/my app.sock"[..], b"", b"@abstract@\xff\x1b[2J"]);
    }

    #[test]
    fn lines_that_are_not_rows_are_passed_over() {
        let table = b"\n\n0: \n0: 00:00\nx\n0: 0100007F:2BCB 00000000:0000 0A 0:0 00:0 0 0 0 99999999999999999999 1\n";
        assert_eq!(all(table, Socket::parse), []);
        assert_eq!(all(table, UnixSocket::parse), []);
        // A path with a newline: its socket keeps the part before it.
        let broken = b"0: 00000002 00000000 00010000 0001 01 20250 /a\nb: c\n";
        assert_eq!(all(broken, UnixSocket::parse).len(), 1);
        let long = vec![b'a'; 100_000];
        assert_eq!(all(&long, UnixSocket::parse), []);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_line_of_udp_has_its_drops() {
        let line =
            b" 1047: 3500007F:0035 00000000:0000 07 00000000:00000300 00:00000000 00000000   101        0 17251 2 \
            0000000000000000 12";
        let socket = Socket::parse(line).unwrap();
        assert_eq!((socket.receive_queue, socket.drops, socket.state), (768, Some(12), State::Close));
        assert!(socket.waits(Protocol::Udp) && !socket.waits(Protocol::Tcp));
    }

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let pid = Reader::open().unwrap().own_pid().unwrap();
        let we = Target { pid, comm: Vec::new() };
        let found = listeners(&we).unwrap();
        let ours = found.iter().find(|found| found.address == listener.local_addr().unwrap()).unwrap();
        assert_eq!(ours.owner, Some(pid));
        assert_eq!(network_shared(&we), Some(true));
    }
}
