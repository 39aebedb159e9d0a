//! Network interfaces: /proc/PID/net/dev for names and counters, and for the rest the target's /sys, where its root may
//! be read and holds a sysfs of the same namespace. By rtnetlink(7) where the network is ours.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use nix::sys::socket::SockProtocol;
use nix::sys::statfs::{SYSFS_MAGIC, statfs};

use super::{Network, hex, lines};
use crate::output::order;
use crate::target::Files;
use crate::target::netlink::{Attributes, Dump, array, u16_at, u32_at, u64_at};
use crate::target::process::{Fields, number};

/// The flags of an interface (netdevice(7)).
pub const UP: u32 = 0x1;
pub const LOOPBACK: u32 = 0x8;
pub const RUNNING: u32 = 0x40;
pub const LOWER_UP: u32 = 0x1_0000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub index: Option<u32>,
    pub name: Vec<u8>,
    pub flags: Option<u32>,
    pub mtu: Option<u64>,
    /// RFC 2863, in the kernel's words.
    pub state: Option<&'static str>,
    /// The type of hardware (ARPHRD_*).
    pub hardware: Option<u16>,
    /// The hardware addresses, as they are written.
    pub address: Vec<u8>,
    pub broadcast: Vec<u8>,
    /// The length of the transmit queue, and its discipline.
    pub queue: Option<u64>,
    pub discipline: Vec<u8>,
    pub peer: Option<Peer>,
    /// The bridge or bond that it is a part of.
    pub master: Option<u32>,
    pub group: Option<u32>,
    /// IF_LINK_MODE_*: 0 is the usual one.
    pub mode: Option<u8>,
    pub counters: Counters,
}

/// The other end of a pair, or the interface below, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Here(u32),
    /// In another namespace, whose number here may be known; or perhaps here, which sysfs does not tell.
    Elsewhere(u32, Option<u32>),
}

/// In the order of /proc/PID/net/dev.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes, packets, errors, drops, overruns, frame errors, compressed, multicast.
    pub received: [u64; 8],
    /// Bytes, packets, errors, drops, overruns, collisions, carrier losses, compressed.
    pub sent: [u64; 8],
}

const STATES: [&str; 7] = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];

impl Link {
    /// A line of /proc/PID/net/dev. A name holds neither white space nor a colon.
    pub fn parse(line: &[u8]) -> Option<Link> {
        let colon = memchr::memchr(b':', line)?;
        let name = line[..colon].trim_ascii();
        let mut fields = Fields(&line[colon + 1..]);
        let mut counters = Counters::default();
        for counter in counters.received.iter_mut().chain(&mut counters.sent) {
            *counter = fields.number()?;
        }
        let plain = !name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..";
        plain.then(|| Link { name: name.to_vec(), counters, ..Link::default() })
    }

    /// Adds what sysfs says. An interface that is not there, or has another number, is one of another namespace.
    fn describe(&mut self, files: &Files, directory: &Path) {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let directory = directory.join(OsStr::from_bytes(&self.name));
        let read = |name: &str| {
            let text = files.text(&directory.join(name), 256).ok()?;
            Some(text.trim_ascii().to_vec())
        };
        let decimal = |name: &str| read(name).and_then(|text| number::<u64>(&text));
        let Some(index) = decimal("ifindex").and_then(|index| u32::try_from(index).ok()) else { return };
        if self.index.is_some_and(|known| known != index) {
            return;
        }
        self.index = Some(index);
        self.mtu = decimal("mtu");
        self.queue = decimal("tx_queue_len");
        self.hardware = decimal("type").and_then(|kind| u16::try_from(kind).ok());
        self.mode = decimal("link_mode").and_then(|mode| u8::try_from(mode).ok());
        self.address = read("address").unwrap_or_default();
        self.broadcast = read("broadcast").unwrap_or_default();
        let peer = decimal("iflink").and_then(|peer| u32::try_from(peer).ok());
        self.peer = peer.filter(|peer| *peer != index).map(|peer| Peer::Elsewhere(peer, None));
        let state = read("operstate").unwrap_or_default();
        self.state = STATES.into_iter().find(|name| state.eq_ignore_ascii_case(name.as_bytes()));
        let flags = read("flags").and_then(|text| crate::target::sockets::hexadecimal(text.strip_prefix(b"0x")?));
        // Whether there is a carrier stands in a file of its own, which cannot be read while the interface is down.
        let carrier = if decimal("carrier") == Some(1) { RUNNING | LOWER_UP } else { 0 };
        self.flags = flags.and_then(|flags| u32::try_from(flags).ok()).map(|flags| flags | carrier);
    }
}

/// The interfaces, the most exact way, and why some of it cannot be seen.
pub fn of(network: &Network, files: &Files) -> io::Result<(Vec<Link>, Option<io::Error>)> {
    if network.is_ours()
        && let Ok(found) = asked()
    {
        return Ok((found, None));
    }
    let mut links: Vec<Link> = lines(network.pid, "dev", Link::parse)?.collect::<io::Result<_>>()?;
    let numbers = numbers(network.pid)?;
    let system = system(files);
    for link in &mut links {
        link.index = numbers.iter().find(|(name, _)| *name == link.name).map(|(_, index)| *index);
        if let Ok(directory) = &system {
            link.describe(files, directory);
        }
    }
    order::sort_by_key(&mut links, |link| link.index.unwrap_or(u32::MAX));
    let unseen = links.iter().any(|link| link.flags.is_none());
    let other = || io::Error::other("its /sys shows another network namespace");
    Ok((links, unseen.then(|| system.err().unwrap_or_else(other))))
}

/// The target's own view of its interfaces.
fn system(files: &Files) -> io::Result<PathBuf> {
    let path = PathBuf::from("@/sys/class/net");
    match statfs(files.reach(&path)?.path())?.filesystem_type() == SYSFS_MAGIC {
        true => Ok(path),
        false => Err(io::Error::other("there is no sysfs in its /sys")),
    }
}

/// The numbers of interfaces, as far as some file of /proc has them.
fn numbers(pid: i32) -> io::Result<Vec<(Vec<u8>, u32)>> {
    let multicast = |line: &[u8]| {
        let mut fields = Fields(line);
        let index = fields.number()?;
        Some((fields.next()?.to_vec(), index))
    };
    let inet6 = |line: &[u8]| {
        let mut fields = Fields(line);
        let index = u32::try_from(fields.pass(1).and_then(|()| hex(&mut fields))?).ok()?;
        Some((fields.nth(3)?.to_vec(), index))
    };
    // The first interface of every namespace.
    let mut found = vec![(b"lo".to_vec(), 1)];
    let mut add = |row: (Vec<u8>, u32)| {
        // One file has a line for each address.
        if found.last() != Some(&row) {
            found.push(row);
        }
    };
    lines(pid, "dev_mcast", multicast)?.try_for_each(|row| row.map(&mut add))?;
    lines(pid, "if_inet6", inet6)?.try_for_each(|row| row.map(&mut add))?;
    Ok(found)
}

fn asked() -> io::Result<Vec<Link>> {
    // struct ifinfomsg: any.
    let mut dump = Dump::start(SockProtocol::NetlinkRoute, libc::RTM_GETLINK, &[0; 16])?;
    std::iter::from_fn(|| dump.next(|message| answer(message.body))).collect()
}

/// Our own interfaces, for those who know their numbers.
pub(super) struct Names(Vec<Link>);

impl Names {
    pub fn read() -> io::Result<Names> {
        asked().map(Names)
    }

    pub fn get(&self, index: u32) -> Vec<u8> {
        let link = self.0.iter().find(|link| link.index == Some(index));
        link.map_or_else(|| format!("if{index}").into_bytes(), |link| link.name.clone())
    }
}

/// One answer (rtnetlink(7), struct ifinfomsg).
pub fn answer(body: &[u8]) -> Option<Link> {
    const FIXED: usize = 16;
    const ADDRESS: u16 = 1;
    const BROADCAST: u16 = 2;
    const NAME: u16 = 3;
    const MTU: u16 = 4;
    const LINK: u16 = 5;
    const DISCIPLINE: u16 = 6;
    const MASTER: u16 = 10;
    const QUEUE: u16 = 13;
    const STATE: u16 = 16;
    const MODE: u16 = 17;
    const COUNTERS: u16 = 23;
    const GROUP: u16 = 27;
    const NAMESPACE: u16 = 37;
    let mut link = Link {
        hardware: Some(u16_at(body, 2)?),
        index: Some(u32_at(body, 4)?),
        flags: Some(u32_at(body, 8)?),
        ..Link::default()
    };
    let (mut peer, mut namespace) = (None, None);
    let text = |value: &[u8]| value.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    for (kind, value) in Attributes(body.get(FIXED..)?) {
        match kind {
            ADDRESS => link.address = hardware(value),
            BROADCAST => link.broadcast = hardware(value),
            NAME => link.name = text(value),
            MTU => link.mtu = u32_at(value, 0).map(u64::from),
            LINK => peer = u32_at(value, 0).filter(|peer| Some(*peer) != link.index),
            DISCIPLINE => link.discipline = text(value),
            MASTER => link.master = u32_at(value, 0),
            QUEUE => link.queue = u32_at(value, 0).map(u64::from),
            STATE => link.state = value.first().and_then(|state| STATES.get(usize::from(*state)).copied()),
            MODE => link.mode = value.first().copied(),
            COUNTERS => link.counters = counters(value),
            GROUP => link.group = u32_at(value, 0),
            NAMESPACE => namespace = u32_at(value, 0),
            _ => {}
        }
    }
    link.peer = match namespace {
        None => peer.map(Peer::Here),
        Some(namespace) => peer.map(|peer| Peer::Elsewhere(peer, Some(namespace))),
    };
    (!link.name.is_empty()).then_some(link)
}

/// struct rtnl_link_stats64, in the order of /proc and with what it sums up there.
fn counters(value: &[u8]) -> Counters {
    let at = |index: usize| u64_at(value, index * 8).unwrap_or(0);
    let sum = |indices: &[usize]| indices.iter().fold(0u64, |sum, index| sum.saturating_add(at(*index)));
    Counters {
        received: [at(2), at(0), at(4), sum(&[6, 15]), at(14), sum(&[10, 11, 12, 13]), at(21), at(8)],
        sent: [at(3), at(1), at(5), at(7), at(18), at(9), sum(&[16, 17, 19, 20]), at(22)],
    }
}

/// A hardware address as it is written. What tunnels have in its place is an address of the Internet.
pub(super) fn hardware(value: &[u8]) -> Vec<u8> {
    match (array::<4>(value, 0), array::<16>(value, 0), value.len()) {
        (Some(ip), _, 4) => Ipv4Addr::from(ip).to_string().into_bytes(),
        (_, Some(ip), 16) => Ipv6Addr::from(ip).to_string().into_bytes(),
        // The longest that the kernel has is 32 bytes.
        _ => value.iter().take(32).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_dev() {
        let link = Link::parse(b"  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16").unwrap();
        assert_eq!(link.name, b"eth0");
        assert_eq!(
            link.counters,
            Counters { received: [1, 2, 3, 4, 5, 6, 7, 8], sent: [9, 10, 11, 12, 13, 14, 15, 16] }
        );
        assert_eq!(link.mtu, None);
        for line in [
            &b"Inter-|   Receive                                                |  Transmit"[..],
            b"  eth0: 1 2 3",
            b" ..: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
            b" a/b: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
            b": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
            b"",
        ] {
            assert_eq!(Link::parse(line), None);
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_answer() {
        let body = b"\0\0\x01\0\x02\0\0\0\x43\x10\x01\0\0\0\0\0\x09\0\x03\0eth0\0\0\0\0\x08\0\x04\0\x78\x05\0\0\
            \x0a\0\x01\0\x02\xfc\0\0\0\x01\0\0\x05\0\x10\0\x06\0\0\0\x08\0\x05\0\x05\0\0\0\x0c\0\x06\0noqueue\0";
        let link = answer(body).unwrap();
        assert_eq!((link.index, link.name.as_slice(), link.mtu), (Some(2), &b"eth0"[..], Some(1400)));
        assert_eq!((link.flags, link.state, link.peer), (Some(0x11043), Some("UP"), Some(Peer::Here(5))));
        assert_eq!((link.address.as_slice(), link.discipline.as_slice()), (&b"02:fc:00:00:00:01"[..], &b"noqueue"[..]));
        for len in 0..body.len() {
            answer(&body[..len]);
        }
        assert_eq!(answer(&body[..16]), None);
    }

    #[test]
    fn addresses_of_hardware() {
        assert_eq!(hardware(b"\x02\xfc\0\0\0\x01"), b"02:fc:00:00:00:01");
        assert_eq!(hardware(&[0; 4]), b"0.0.0.0");
        assert_eq!(hardware(b""), b"");
        assert_eq!(hardware(&[0xff; 1000]).len(), 95);
    }

    #[test]
    fn our_own_loopback() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let files = Files::new(None);
        let (links, reason) = of(&Network { pid, comm: None, shared: Some(true) }, &files).unwrap();
        let exact = links.iter().find(|link| link.name == b"lo").unwrap();
        assert!(reason.is_none() && exact.index == Some(1) && exact.flags.unwrap() & LOOPBACK != 0);
        let (links, _) = of(&Network { pid, comm: None, shared: Some(false) }, &files).unwrap();
        let table = links.iter().find(|link| link.name == b"lo").unwrap();
        assert_eq!(table.index, Some(1));
    }
}
