//! Addresses of interfaces. IPv6 ones are in /proc/PID/net/if_inet6; of IPv4 ones there is only the trie of routes
//! (/proc/PID/net/fib_trie), which has no interfaces, and so a connected route to the same network tells which it is.
//! By rtnetlink(7) where the network is ours.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::sys::socket::SockProtocol;

use super::links::Names;
use super::routes::{self, Route};
use super::{Network, hex, lines, plain};
use crate::target::netlink::{Attributes, Dump, array, u32_at};
use crate::target::process::{Fields, number};

/// How many IPv4 addresses and connected routes are looked at.
const MOST: usize = 4096;

/// The flags of an address (IFA_F_*).
pub const PERMANENT: u32 = 0x80;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub ip: IpAddr,
    pub prefix: Option<u8>,
    /// `None` where no route tells.
    pub device: Option<Vec<u8>>,
    pub broadcast: Option<IpAddr>,
    /// The other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    pub scope: Option<&'static str>,
    pub flags: Option<u32>,
    /// The name that ifconfig shows an IPv4 address by.
    pub label: Vec<u8>,
    /// For how many seconds it is valid, and preferred; the highest number stands for ever.
    pub lifetimes: Option<(u32, u32)>,
}

impl Address {
    /// A line of /proc/PID/net/if_inet6.
    pub fn parse6(line: &[u8]) -> Option<Address> {
        let mut fields = Fields(line);
        let ip = IpAddr::V6(plain(fields.next()?)?);
        let (_index, prefix) = (hex(&mut fields)?, hex(&mut fields)?);
        let (scope, flags) = (hex(&mut fields)?, hex(&mut fields)?);
        let scope = match scope & 0xf0 {
            0x00 => "global",
            0x10 => "host",
            0x20 => "link",
            0x40 => "site",
            _ => "unknown",
        };
        Some(Address {
            ip,
            prefix: Some(u8::try_from(prefix).ok().filter(|prefix| *prefix <= 128)?),
            device: Some(fields.next()?.to_vec()),
            broadcast: None,
            peer: None,
            scope: Some(scope),
            flags: Some(u32::try_from(flags).ok()?),
            label: Vec::new(),
            lifetimes: None,
        })
    }
}

/// All addresses, the most exact way.
pub fn of(network: &Network) -> io::Result<Vec<Address>> {
    if network.is_ours()
        && let Ok(found) = asked()
    {
        return Ok(found);
    }
    let mut trie = Trie::default();
    for entry in lines(network.pid, "fib_trie", |line| trie.read(line))? {
        entry?;
    }
    let connected = |row: &io::Result<Route>| row.as_ref().map_or(true, |route| route.gateway.is_none());
    let routes: Vec<Route> =
        routes::listed(network.pid, false)?.filter(connected).take(MOST).collect::<Result<_, _>>()?;
    let mut found: Vec<Address> = trie.addresses.iter().map(|ip| trie.address(*ip, &routes)).collect();
    for row in lines(network.pid, "if_inet6", Address::parse6)? {
        found.push(row?);
    }
    Ok(found)
}

/// What /proc/PID/net/fib_trie says of local addresses. The same trie may be printed twice, for both tables.
#[derive(Debug, Default)]
pub struct Trie {
    leaf: Option<Ipv4Addr>,
    pub addresses: Vec<Ipv4Addr>,
    /// Whole networks that are local, as 127.0.0.0/8.
    networks: Vec<(Ipv4Addr, u8)>,
    broadcasts: Vec<Ipv4Addr>,
}

impl Trie {
    /// Takes a line: a leaf, or a route to it.
    pub fn read(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = Fields(line);
        let first = fields.next()?;
        if first == b"|--" {
            let address = std::str::from_utf8(fields.next()?).ok()?;
            self.leaf = address.parse().ok();
            return None;
        }
        let prefix: u8 = number(first.strip_prefix(b"/")?)?;
        let kind = fields.nth(1)?;
        let leaf = self.leaf?;
        match kind {
            b"LOCAL" if prefix == 32 => keep(&mut self.addresses, leaf),
            b"LOCAL" if prefix < 32 && self.networks.len() < MOST => self.networks.push((leaf, prefix)),
            b"BROADCAST" => keep(&mut self.broadcasts, leaf),
            _ => {}
        }
        None
    }

    /// What is known of an address, by the longest route to its network that has no gateway.
    fn address(&self, ip: Ipv4Addr, connected: &[Route]) -> Address {
        let within = |network: &&(Ipv4Addr, u8)| mask(network.0, network.1) == mask(ip, network.1);
        let routes = connected.iter().filter(|route| route.covers(IpAddr::V4(ip)));
        let (device, prefix) = match self.networks.iter().find(within) {
            Some((_, prefix)) => (Some(b"lo".to_vec()), Some(*prefix)),
            None => routes.max_by_key(|route| route.prefix).map(|route| (route.device.clone(), route.prefix)).unzip(),
        };
        let last = prefix
            .map(|prefix| Ipv4Addr::from(u32::from(ip) | !u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)));
        let broadcast =
            last.filter(|last| device.as_deref() != Some(b"lo") && self.broadcasts.binary_search(last).is_ok());
        Address {
            ip: IpAddr::V4(ip),
            prefix,
            device,
            broadcast: broadcast.map(IpAddr::V4),
            peer: None,
            scope: None,
            flags: None,
            label: Vec::new(),
            lifetimes: None,
        }
    }
}

/// Adds it in its place, if it is not there yet.
fn keep(sorted: &mut Vec<Ipv4Addr>, ip: Ipv4Addr) {
    if let Err(at) = sorted.binary_search(&ip)
        && sorted.len() < MOST
    {
        sorted.insert(at, ip);
    }
}

fn mask(ip: Ipv4Addr, prefix: u8) -> u32 {
    u32::from(ip) & u32::MAX.checked_shl(32u32.saturating_sub(u32::from(prefix))).unwrap_or(0)
}

fn asked() -> io::Result<Vec<Address>> {
    let names = Names::read()?;
    // struct ifaddrmsg: any family.
    let mut dump = Dump::start(SockProtocol::NetlinkRoute, libc::RTM_GETADDR, &[0; 8])?;
    let mut rows = std::iter::from_fn(|| dump.next(|message| answer(message.body, &|index| names.get(index))));
    rows.by_ref().collect()
}

/// One answer (rtnetlink(7), struct ifaddrmsg).
pub fn answer(body: &[u8], name: &dyn Fn(u32) -> Vec<u8>) -> Option<Address> {
    const FIXED: usize = 8;
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const LABEL: u16 = 3;
    const BROADCAST: u16 = 4;
    const LIFETIMES: u16 = 6;
    const FLAGS: u16 = 8;
    let [_, prefix, flags, scope] = array(body, 0)?;
    let index = u32_at(body, 4)?;
    let (mut address, mut local, mut broadcast, mut label, mut lifetimes) = (None, None, None, Vec::new(), None);
    let mut flags = u32::from(flags);
    for (kind, value) in Attributes(body.get(FIXED..)?) {
        match kind {
            ADDRESS => address = ip(value),
            LOCAL => local = ip(value),
            LABEL => label = value.split(|byte| *byte == 0).next().unwrap_or_default().to_vec(),
            BROADCAST => broadcast = ip(value),
            LIFETIMES => lifetimes = u32_at(value, 4).zip(u32_at(value, 0)),
            FLAGS => flags = u32_at(value, 0)?,
            _ => {}
        }
    }
    let own = local.or(address)?;
    Some(Address {
        ip: own,
        prefix: Some(prefix),
        device: Some(name(index)),
        broadcast,
        peer: address.filter(|peer| *peer != own),
        scope: Some(scope_name(scope)),
        flags: Some(flags),
        label,
        lifetimes,
    })
}

/// RT_SCOPE_*.
pub fn scope_name(scope: u8) -> &'static str {
    match scope {
        0 => "global",
        200 => "site",
        253 => "link",
        254 => "host",
        255 => "nowhere",
        _ => "unknown",
    }
}

/// An address as it travels.
pub(super) fn ip(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => array::<4>(value, 0).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
        16 => array::<16>(value, 0).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &[u8] = b"Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     +-- 192.0.2.0/24 2 0 2
        +-- 192.0.2.0/30 2 0 2
           |-- 192.0.2.0
              /24 link UNICAST
           |-- 192.0.2.2
              /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
     |-- 198.51.100.7
        /32 host LOCAL
Local:
           |-- 192.0.2.2
              /32 host LOCAL
";

    #[cfg(target_endian = "little")]
    #[test]
    fn a_trie_and_the_routes() {
        let mut trie = Trie::default();
        for line in TRIE.split(|byte| *byte == b'\n') {
            trie.read(line);
        }
        let route = |line: &[u8]| Route::parse4(line).unwrap();
        let connected = [route(b"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0")];
        let seen = |ip: Ipv4Addr| {
            let address = trie.address(ip, &connected);
            let device = address.device.map(|device| String::from_utf8(device).unwrap());
            (ip.to_string(), address.prefix, device, address.broadcast.map(|ip| ip.to_string()))
        };
        let found: Vec<_> = trie.addresses.iter().map(|ip| seen(*ip)).collect();
        let some = |text: &str| Some(String::from(text));
        assert_eq!(
            found,
            [
                (String::from("127.0.0.1"), Some(8), some("lo"), None),
                (String::from("192.0.2.2"), Some(24), some("eth0"), some("192.0.2.255")),
                (String::from("198.51.100.7"), None, None, None),
            ]
        );
    }

    #[test]
    fn a_trie_that_makes_no_sense() {
        let mut trie = Trie::default();
        for line in
            [&b""[..], b"/32 host LOCAL", b"|--", b"|-- x", b"/32 host LOCAL", b"|-- 1.2.3.4", b"/33 host LOCAL", b"/"]
        {
            trie.read(line);
        }
        assert!(trie.addresses.is_empty());
        trie.read(b"/0 host LOCAL");
        assert_eq!(trie.address(Ipv4Addr::LOCALHOST, &[]).prefix, Some(0));
    }

    #[test]
    fn lines_of_if_inet6() {
        let line = b"fe8000000000000000fc00fffe000001 04 40 20 80     eth0";
        let expected = Address {
            ip: "fe80::fc:ff:fe00:1".parse().unwrap(),
            prefix: Some(64),
            device: Some(b"eth0".to_vec()),
            broadcast: None,
            peer: None,
            scope: Some("link"),
            flags: Some(0x80),
            label: Vec::new(),
            lifetimes: None,
        };
        assert_eq!(Address::parse6(line), Some(expected));
        for line in
            [&b""[..], b"fe80 04 40 20 80 eth0", b"fe8000000000000000fc00fffe000001 04 81 20 80 eth0", &[b'0'; 99]]
        {
            assert_eq!(Address::parse6(line), None);
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_answer() {
        let name = |index: u32| format!("if{index}").into_bytes();
        let body =
            b"\x02\x18\x80\0\x04\0\0\0\x08\0\x01\0\xc0\0\x02\x02\x08\0\x02\0\xc0\0\x02\x02\x08\0\x04\0\xc0\0\x02\xff\
            \x09\0\x03\0eth0\0\0\0\0\x08\0\x08\0\x80\0\0\0\x14\0\x06\0\xfe\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
        let expected = Address {
            ip: "192.0.2.2".parse().unwrap(),
            prefix: Some(24),
            device: Some(b"if4".to_vec()),
            broadcast: "192.0.2.255".parse().ok(),
            peer: None,
            scope: Some("global"),
            flags: Some(PERMANENT),
            label: b"eth0".to_vec(),
            lifetimes: Some((u32::MAX, u32::MAX - 1)),
        };
        assert_eq!(answer(body, &name), Some(expected));
        for len in 0..body.len() {
            answer(&body[..len], &name);
        }
    }

    #[test]
    fn our_own_loopback() {
        let pid = i32::try_from(std::process::id()).unwrap();
        for shared in [Some(true), Some(false)] {
            let found = of(&Network { pid, comm: None, shared }).unwrap();
            let loopback = found.iter().find(|address| address.ip == IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
            assert_eq!((loopback.prefix, loopback.device.as_deref()), (Some(8), Some(&b"lo"[..])), "{shared:?}");
        }
    }
}
