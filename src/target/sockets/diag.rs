//! Sockets of our own network namespace as the kernel lists them (sock_diag(7)): faster than its tables, exact where a
//! path holds a newline, and with what no table has: the backlog of a listener, the other side of a Unix socket, the
//! state of a TCP connection. The parsers take bytes; who asks is in our namespace (include/uapi/linux/inet_diag.h,
//! unix_diag.h and tcp.h).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::sys::socket::SockProtocol;

use super::{Protocol, SS_CONNECTED, SS_UNCONNECTED, Socket, State, Timer, UnixSocket};
use crate::target::netlink::{Attributes, Dump, array, u32_at, u64_at};

const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// Every state, but not that of sockets which are only bound.
const ALL_STATES: u32 = 0xfff;

/// struct inet_diag_msg and unix_diag_msg.
const INTERNET: usize = 72;
const UNIX: usize = 16;

const INFO: u16 = 2;
const CONGESTION: u16 = 4;
const MEMORY: u16 = 7;
const SHUTDOWN: u16 = 8;

/// Where the drops stand in the answer about a socket's memory (SK_MEMINFO_DROPS).
const DROPS: usize = 8;

/// What only `ss` shows of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub cookie: u64,
    /// The number of the interface that it is bound to.
    pub interface: u32,
    /// The name of the congestion control.
    pub congestion: Vec<u8>,
    /// Bytes received, its limit, sent, its limit, and more, in the kernel's order (SK_MEMINFO_VARS).
    pub memory: Option<[u32; 9]>,
    /// The directions that are shut: 1 receiving, 2 sending.
    pub shutdown: u8,
    pub information: Option<Information>,
}

/// The start of the kernel's struct tcp_info, as much of it as this kernel has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Information(Vec<u8>);

impl Information {
    pub fn new(bytes: &[u8]) -> Information {
        Information(bytes.to_vec())
    }

    /// Where it is in the struct, in bytes; nothing where the kernel is older.
    pub fn byte(&self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    pub fn short(&self, at: usize) -> Option<u64> {
        u32_at(&self.0, at).map(u64::from)
    }

    pub fn long(&self, at: usize) -> Option<u64> {
        u64_at(&self.0, at)
    }
}

/// The sockets of one protocol; `more` asks for their details.
pub(super) fn internet(protocol: Protocol, more: bool) -> io::Result<impl Iterator<Item = io::Result<Socket>>> {
    let (family, number) = match protocol {
        Protocol::Tcp => (libc::AF_INET, libc::IPPROTO_TCP),
        Protocol::Tcp6 => (libc::AF_INET6, libc::IPPROTO_TCP),
        Protocol::Udp => (libc::AF_INET, libc::IPPROTO_UDP),
        Protocol::Udp6 => (libc::AF_INET6, libc::IPPROTO_UDP),
        Protocol::Raw => (libc::AF_INET, libc::IPPROTO_RAW),
        Protocol::Raw6 => (libc::AF_INET6, libc::IPPROTO_RAW),
    };
    let connectionless = number != libc::IPPROTO_TCP;
    let asked = match (more, connectionless) {
        (true, _) => extensions(&[INFO, CONGESTION, MEMORY, SHUTDOWN]),
        (false, true) => extensions(&[MEMORY]),
        (false, false) => 0,
    };
    let mut question = vec![family as u8, number as u8, asked, 0];
    question.extend(ALL_STATES.to_ne_bytes());
    // Any socket: struct inet_diag_sockid.
    question.extend([0; 48]);
    let mut dump = Dump::start(SockProtocol::NetlinkSockDiag, SOCK_DIAG_BY_FAMILY, &question)?;
    Ok(std::iter::from_fn(move || dump.next(|message| parse(message.body, more))))
}

/// Bit N - 1 asks for attribute N.
fn extensions(wanted: &[u16]) -> u8 {
    wanted.iter().fold(0, |bits, attribute| bits | 1 << (attribute - 1))
}

/// The sockets between processes of this machine.
pub(super) fn unix() -> io::Result<impl Iterator<Item = io::Result<UnixSocket>>> {
    const SHOW: u32 = 0x1 | 0x4 | 0x10;
    let mut question = vec![libc::AF_UNIX as u8, 0, 0, 0];
    for number in [u32::MAX, 0, SHOW, u32::MAX, u32::MAX] {
        question.extend(number.to_ne_bytes());
    }
    let mut dump = Dump::start(SockProtocol::NetlinkSockDiag, SOCK_DIAG_BY_FAMILY, &question)?;
    Ok(std::iter::from_fn(move || dump.next(|message| parse_unix(message.body))))
}

/// One answer about an Internet socket.
pub fn parse(body: &[u8], more: bool) -> Option<Socket> {
    let [family, state, kind, tries] = array(body, 0)?;
    let address = |port: usize, ip: usize| {
        let port = u16::from_be_bytes(array(body, port)?);
        let ip = match i32::from(family) {
            libc::AF_INET => IpAddr::V4(Ipv4Addr::from(array::<4>(body, ip)?)),
            libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(array::<16>(body, ip)?)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    };
    let (local, remote) = (address(4, 8)?, address(6, 24)?);
    let number = |at| u32_at(body, at).map(u64::from);
    let state = State::from_number(state);
    // For both numbers of /proc there is one here: of the probes where it is these that are waited for.
    let tries = u64::from(tries);
    let (retransmits, probes) = if kind == 1 { (tries, 0) } else { (0, tries) };
    let timer = Timer { kind, milliseconds: if kind == 0 { 0 } else { number(52)? }, retransmits, probes };
    let (backlog, send_queue) = match state {
        State::Listen => (Some(number(60)?), 0),
        _ => (None, number(60)?),
    };
    let mut socket = Socket {
        local,
        remote,
        state,
        receive_queue: number(56)?,
        send_queue,
        backlog,
        timer,
        user: u32_at(body, 64)?,
        inode: number(68)?,
        drops: None,
        details: None,
    };
    let attributes = Attributes(body.get(INTERNET..)?);
    let mut details =
        Details { cookie: u64::from(u32_at(body, 44)?), interface: u32_at(body, 40)?, ..Details::default() };
    details.cookie |= u64::from(u32_at(body, 48)?) << 32;
    for (kind, value) in attributes {
        match kind {
            INFO if more => details.information = Some(Information::new(value)),
            CONGESTION if more => details.congestion = text(value).to_vec(),
            SHUTDOWN => details.shutdown = value.first().copied().unwrap_or(0),
            MEMORY => details.memory = memory(value),
            _ => {}
        }
    }
    socket.drops = details.memory.map(|memory| u64::from(memory[DROPS]));
    socket.details = more.then(|| Box::new(details));
    Some(socket)
}

/// Older kernels have fewer numbers.
fn memory(value: &[u8]) -> Option<[u32; 9]> {
    let mut numbers = [0; 9];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = u32_at(value, index * 4).or((index > 5).then_some(0))?;
    }
    Some(numbers)
}

/// Without what ends it.
fn text(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// One answer about a Unix socket.
pub fn parse_unix(body: &[u8]) -> Option<UnixSocket> {
    const NAME: u16 = 0;
    const PEER: u16 = 2;
    const QUEUES: u16 = 4;
    let [_, kind, state, _] = array(body, 0)?;
    let state = State::from_number(state);
    let mut socket = UnixSocket {
        references: 0,
        listening: state == State::Listen,
        kind,
        state: if state == State::Established { SS_CONNECTED } else { SS_UNCONNECTED },
        inode: u64::from(u32_at(body, 4)?),
        path: Vec::new(),
        peer: None,
        queues: None,
    };
    for (kind, value) in Attributes(body.get(UNIX..)?) {
        match kind {
            // An abstract name begins with a NUL, and may hold more of them; shown as in the kernel's own table.
            NAME if value.first() == Some(&0) => {
                socket.path = value.iter().map(|byte| if *byte == 0 { b'@' } else { *byte }).collect();
            }
            NAME => socket.path = text(value).to_vec(),
            PEER => socket.peer = u32_at(value, 0).map(u64::from),
            QUEUES => socket.queues = u32_at(value, 0).map(u64::from).zip(u32_at(value, 4).map(u64::from)),
            _ => {}
        }
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::sockets::table;

    /// An answer as a little-endian kernel gives it.
    fn answer(state: u8, timer: u8, queues: [u32; 2]) -> Vec<u8> {
        let mut body = vec![libc::AF_INET as u8, state, timer, 2, 0x2b, 0xcb, 0xc3, 0x50];
        body.extend([10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        body.extend([10, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for number in [3, 0x1234, 1, 4500, queues[0], queues[1], 11211, 2025] {
            body.extend(u32::to_le_bytes(number));
        }
        body
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_connection() {
        let mut body = answer(1, 2, [256, 16]);
        body.extend(b"\x08\0\x02\0abcd\x0a\0\x04\0cubic\0\0\0\x28\0\x07\0");
        (1..=9u32).for_each(|number| body.extend(number.to_le_bytes()));
        let expected = Socket {
            local: "10.0.0.2:11211".parse().unwrap(),
            remote: "10.0.0.3:50000".parse().unwrap(),
            state: State::Established,
            receive_queue: 256,
            send_queue: 16,
            backlog: None,
            timer: Timer { kind: 2, milliseconds: 4500, retransmits: 0, probes: 2 },
            user: 11211,
            inode: 2025,
            drops: Some(9),
            details: Some(Box::new(Details {
                cookie: 0x1_0000_1234,
                interface: 3,
                congestion: b"cubic".to_vec(),
                memory: Some([1, 2, 3, 4, 5, 6, 7, 8, 9]),
                shutdown: 0,
                information: Some(Information(b"abcd".to_vec())),
            })),
        };
        assert_eq!(parse(&body, true), Some(expected.clone()));
        assert_eq!(parse(&body, false), Some(Socket { details: None, ..expected }));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_listener_has_a_backlog() {
        let socket = parse(&answer(10, 0, [3, 128]), false).unwrap();
        assert_eq!((socket.receive_queue, socket.send_queue, socket.backlog), (3, 0, Some(128)));
        assert_eq!(socket.timer, Timer { kind: 0, milliseconds: 0, retransmits: 0, probes: 2 });
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_unix_socket() {
        let body = b"\x01\x01\x01\0\x64\0\0\0\0\0\0\0\0\0\0\0\
            \x0b\0\0\0/a\nb\x1b\0\0\0\x08\0\x02\0\x65\0\0\0\x0c\0\x04\0\x07\0\0\0\x09\0\0\0";
        let socket = parse_unix(body).unwrap();
        assert_eq!((socket.inode, socket.peer, socket.queues), (100, Some(101), Some((7, 9))));
        assert_eq!((socket.path.as_slice(), socket.connected(), socket.listening), (&b"/a\nb\x1b"[..], true, false));
        let body = b"\x01\x05\x0a\0\x64\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\0a\0b\xff\0\0\0";
        let socket = parse_unix(body).unwrap();
        assert_eq!((socket.path.as_slice(), socket.listening), (&b"@a@b\xff"[..], true));
        assert_eq!((socket.kind_name(), socket.state_name()), ("SEQPACKET", "LISTENING"));
    }

    #[test]
    fn what_is_cut_short_is_no_socket() {
        let body = answer(1, 0, [0, 0]);
        for len in 0..body.len() {
            assert_eq!(parse(&body[..len], true), None);
        }
        assert_eq!(parse(&[9; 72], true), None);
        for len in 0..16 {
            assert_eq!(parse_unix(&[1; 16][..len]), None);
        }
    }

    /// The kernel tells of a listener of ours what its table does.
    #[test]
    fn both_sources_agree() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let find = |rows: &mut dyn Iterator<Item = io::Result<Socket>>| {
            rows.map(Result::unwrap).find(|socket| socket.local == address).unwrap()
        };
        let pid = i32::try_from(std::process::id()).unwrap();
        let by_table = find(&mut table(pid, Protocol::Tcp).unwrap());
        let by_kernel = find(&mut internet(Protocol::Tcp, false).unwrap());
        assert!(by_kernel.backlog.is_some_and(|backlog| backlog >= 128));
        assert_eq!(Socket { backlog: None, ..by_kernel }, by_table);
    }

    #[test]
    fn both_sources_agree_on_unix_sockets() {
        let (one, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let stat = nix::sys::stat::fstat(&one).unwrap();
        let found = unix().unwrap().map(Result::unwrap).find(|socket| socket.inode == stat.st_ino).unwrap();
        assert!(found.peer.is_some() && found.connected() && found.kind_name() == "DGRAM");
    }
}
