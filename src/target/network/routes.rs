//! Routes: /proc/PID/net/route and ipv6_route (proc_pid_net(5)), and by rtnetlink(7) where the network is ours.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::sys::socket::SockProtocol;

use super::links::Names;
use super::{Network, hex, lines, plain};
use crate::target::netlink::{Attributes, Dump, array, u16_at, u32_at};
use crate::target::process::Fields;
use crate::target::sockets::words;

/// The flags of a route (include/uapi/linux/route.h, ipv6_route.h).
pub const UP: u32 = 0x1;
pub const GATEWAY: u32 = 0x2;
pub const HOST: u32 = 0x4;
pub const DYNAMIC: u32 = 0x10;
pub const MODIFIED: u32 = 0x20;
pub const REJECT: u32 = 0x200;
pub const AUTOMATIC: u32 = 0x4_0000;
pub const NO_NEXT_HOP: u32 = 0x20_0000;
pub const CACHE: u32 = 0x100_0000;
const ANYCAST: u32 = 0x10_0000;
const LOCAL: u32 = 0x8000_0000;

/// The kinds of route that packets are not sent by (RTN_*).
const UNICAST: u8 = 1;
const MAIN: u32 = 254;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub destination: IpAddr,
    pub prefix: u8,
    pub gateway: Option<IpAddr>,
    pub device: Vec<u8>,
    pub metric: u32,
    /// As /proc has them.
    pub flags: u32,
    pub mtu: u64,
    pub window: u64,
    pub round_trip: u64,
    pub references: u64,
    pub uses: u64,
    /// What only netlink tells.
    pub exact: Option<Exact>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    /// unreachable, blackhole and others; nothing for the usual kind.
    pub kind: u8,
    pub protocol: u8,
    pub scope: u8,
    pub source: Option<IpAddr>,
    /// Of a router advertisement (RFC 4191); only IPv6 has one.
    pub preference: Option<u8>,
    /// More gateways for the same destination, each with its device.
    pub others: Vec<(Option<IpAddr>, Vec<u8>)>,
    pub link_down: bool,
}

impl Route {
    /// A line of /proc/PID/net/route.
    pub fn parse4(line: &[u8]) -> Option<Route> {
        let mut fields = Fields(line);
        let device = fields.next()?.to_vec();
        let (destination, gateway) = (words(fields.next()?)?, words(fields.next()?)?);
        let flags = u32::try_from(hex(&mut fields)?).ok()?;
        let (references, uses, metric) = (fields.number()?, fields.number()?, fields.number()?);
        let IpAddr::V4(mask) = words(fields.next()?)? else { return None };
        let (mtu, window, round_trip) = (fields.number()?, fields.number()?, fields.number()?);
        Some(Route {
            destination,
            prefix: u32::from(mask).leading_ones() as u8,
            gateway: (flags & GATEWAY != 0).then_some(gateway),
            device,
            metric,
            flags,
            mtu,
            window,
            round_trip,
            references,
            uses,
            exact: None,
        })
    }

    /// A line of /proc/PID/net/ipv6_route.
    pub fn parse6(line: &[u8]) -> Option<Route> {
        let mut fields = Fields(line);
        let destination = plain(fields.next()?)?;
        let prefix = u8::try_from(hex(&mut fields)?).ok().filter(|prefix| *prefix <= 128)?;
        fields.pass(2)?;
        let gateway = plain(fields.next()?)?;
        let metric = u32::try_from(hex(&mut fields)?).ok()?;
        let (references, uses) = (hex(&mut fields)?, hex(&mut fields)?);
        let flags = u32::try_from(hex(&mut fields)?).ok()?;
        let device = fields.next()?.to_vec();
        Some(Route {
            destination: IpAddr::V6(destination),
            prefix,
            gateway: (flags & GATEWAY != 0).then_some(IpAddr::V6(gateway)),
            device,
            metric,
            flags,
            mtu: 0,
            window: 0,
            round_trip: 0,
            references,
            uses,
            exact: None,
        })
    }

    /// Whether it is one that an administrator would know of, as `ip route` shows them, and none of the kernel's own for
    /// local addresses, multicast and what it remembers.
    pub fn is_main(&self) -> bool {
        let multicast = matches!(self.destination, IpAddr::V6(ip) if ip.is_multicast());
        let own = self.flags & (LOCAL | ANYCAST | CACHE) != 0 || self.metric == u32::MAX;
        self.exact.is_some() || !own && !multicast
    }

    /// Whether packets to this address go by it.
    pub fn covers(&self, ip: IpAddr) -> bool {
        let bits = |ip| match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
            IpAddr::V6(ip) => u128::from(ip),
        };
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        self.destination.is_ipv4() == ip.is_ipv4() && (bits(self.destination) ^ bits(ip)) & mask == 0
    }
}

/// The routes of one family as /proc lists them; those of the kernel for itself are among the IPv6 ones.
pub fn listed(pid: i32, six: bool) -> io::Result<impl Iterator<Item = io::Result<Route>>> {
    match six {
        false => lines(pid, "route", Route::parse4 as fn(&[u8]) -> Option<Route>),
        true => lines(pid, "ipv6_route", Route::parse6 as fn(&[u8]) -> Option<Route>),
    }
}

/// The routes that `ip route` shows, the most exact way.
pub fn main(network: &Network, six: bool) -> io::Result<Box<dyn Iterator<Item = io::Result<Route>>>> {
    if network.is_ours()
        && let Ok(rows) = asked(six)
    {
        return Ok(Box::new(rows));
    }
    let wanted = |row: &io::Result<Route>| row.as_ref().map_or(true, Route::is_main);
    Ok(Box::new(listed(network.pid, six)?.filter(wanted)))
}

fn asked(six: bool) -> io::Result<impl Iterator<Item = io::Result<Route>>> {
    let names = Names::read()?;
    let family = if six { libc::AF_INET6 } else { libc::AF_INET };
    // struct rtmsg
    let mut question = [0; 12];
    question[0] = family as u8;
    let mut dump = Dump::start(SockProtocol::NetlinkRoute, libc::RTM_GETROUTE, &question)?;
    Ok(std::iter::from_fn(move || dump.next(|message| answer(message.body, &|index| names.get(index)))))
}

/// One answer (rtnetlink(7), struct rtmsg); `None` for another table than the main one.
pub fn answer(body: &[u8], name: &dyn Fn(u32) -> Vec<u8>) -> Option<Route> {
    const FIXED: usize = 12;
    let [family, prefix, _, _, table, protocol, scope, kind] = array(body, 0)?;
    let flags = u32_at(body, 8)?;
    let six = match i32::from(family) {
        libc::AF_INET => false,
        libc::AF_INET6 => true,
        _ => return None,
    };
    let unspecified = if six { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let mut route = Route {
        destination: unspecified,
        prefix,
        gateway: None,
        device: Vec::new(),
        metric: 0,
        flags: UP,
        mtu: 0,
        window: 0,
        round_trip: 0,
        references: 0,
        uses: 0,
        exact: None,
    };
    let mut exact = Exact {
        kind: if kind == UNICAST { 0 } else { kind },
        protocol,
        scope,
        source: None,
        preference: None,
        others: Vec::new(),
        link_down: flags & LINK_DOWN != 0,
    };
    let mut table = u32::from(table);
    for (kind, value) in Attributes(body.get(FIXED..)?) {
        match kind {
            libc::RTA_DST => route.destination = ip(value)?,
            libc::RTA_OIF => route.device = name(u32_at(value, 0)?),
            libc::RTA_GATEWAY => route.gateway = ip(value),
            RTA_VIA => route.gateway = via(value),
            libc::RTA_PRIORITY => route.metric = u32_at(value, 0)?,
            libc::RTA_PREFSRC => exact.source = ip(value),
            libc::RTA_TABLE => table = u32_at(value, 0)?,
            RTA_PREF => exact.preference = value.first().copied(),
            libc::RTA_MULTIPATH => exact.others = hops(value, name),
            _ => {}
        }
    }
    route.exact = Some(exact);
    (table == MAIN && flags & CLONED == 0).then_some(route)
}

const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;

/// RTM_F_CLONED: what the kernel remembers; RTNH_F_LINKDOWN.
const CLONED: u32 = 0x200;
const LINK_DOWN: u32 = 0x10;

fn ip(value: &[u8]) -> Option<IpAddr> {
    super::addresses::ip(value)
}

/// A gateway of the other family: struct rtvia.
fn via(value: &[u8]) -> Option<IpAddr> {
    ip(value.get(2..)?)
}

/// The gateways of a route that has several: struct rtnexthop.
fn hops(mut value: &[u8], name: &dyn Fn(u32) -> Vec<u8>) -> Vec<(Option<IpAddr>, Vec<u8>)> {
    const FIXED: usize = 8;
    let mut hops = Vec::new();
    while let (Some(length), Some(index)) = (u16_at(value, 0).map(usize::from), u32_at(value, 4)) {
        let Some(attributes) = value.get(FIXED..length) else { break };
        let gateway = Attributes(attributes).find_map(|(kind, value)| match kind {
            libc::RTA_GATEWAY => ip(value),
            RTA_VIA => via(value),
            _ => None,
        });
        hops.push((gateway, name(index)));
        value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn a_line_of_route() {
        let line = b"eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0     ";
        let route = Route::parse4(line).unwrap();
        assert_eq!((route.destination, route.prefix), ("0.0.0.0".parse().unwrap(), 0));
        assert_eq!((route.gateway, route.metric), ("192.0.2.1".parse().ok(), 100));
        let line = b"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t1500\t0\t0";
        let route = Route::parse4(line).unwrap();
        assert_eq!((route.destination, route.prefix, route.gateway), ("192.0.2.0".parse().unwrap(), 24, None));
        assert_eq!((route.device.as_slice(), route.mtu), (&b"eth0"[..], 1500));
        let covers = |text: &str| route.covers(text.parse().unwrap());
        assert!(covers("192.0.2.7") && !covers("192.0.3.7") && !covers("::c000:207"));
        assert_eq!(Route::parse4(b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU"), None);
    }

    #[test]
    fn lines_of_ipv6_route() {
        let parse = |line: &[u8]| Route::parse6(line).unwrap();
        let route = parse(
            b"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 \
            00000400 00000002 0000000a 00000003     eth0",
        );
        assert_eq!((route.destination, route.prefix), ("::".parse().unwrap(), 0));
        assert_eq!((route.gateway, route.metric, route.uses), ("fd00::1".parse().ok(), 1024, 10));
        assert!(route.is_main() && route.covers("2001:db8::1".parse().unwrap()));
        let local = parse(
            b"fd000000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 \
            00000000 00000003 00000000 80200001     eth0",
        );
        assert!(
            !local.is_main() && local.covers("fd00::2".parse().unwrap()) && !local.covers("fd00::3".parse().unwrap())
        );
        for line in [&b""[..], b"00 00", b"0 81 0 0 0 0 0 0 0 lo", &[b'f'; 200]] {
            assert_eq!(Route::parse6(line), None);
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_answer() {
        let name = |index: u32| format!("if{index}").into_bytes();
        let mut body = vec![2, 24, 0, 0, 254, 2, 253, 1, 0, 0, 0, 0];
        body.extend(b"\x08\0\x01\0\xc0\0\x02\0\x08\0\x07\0\xc0\0\x02\x02\x08\0\x04\0\x04\0\0\0\x08\0\x06\0\x64\0\0\0");
        let route = answer(&body, &name).unwrap();
        assert_eq!((route.destination, route.prefix), ("192.0.2.0".parse().unwrap(), 24));
        assert_eq!((route.device.as_slice(), route.metric, route.gateway), (&b"if4"[..], 100, None));
        let exact = route.exact.unwrap();
        assert_eq!((exact.kind, exact.protocol, exact.scope), (0, 2, 253));
        assert_eq!(exact.source, "192.0.2.2".parse().ok());
        // Another table.
        body[4] = 255;
        assert_eq!(answer(&body, &name), None);
        // Two gateways.
        let mut body = vec![2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        body.extend(
            b"\x24\0\x09\0\x10\0\0\0\x02\0\0\0\x08\0\x05\0\x0a\0\0\x01\x10\0\0\0\x03\0\0\0\x08\0\x05\0\x0a\0\0\x02",
        );
        let others = answer(&body, &name).unwrap().exact.unwrap().others;
        let expected = [("10.0.0.1".parse().ok(), b"if2".to_vec()), ("10.0.0.2".parse().ok(), b"if3".to_vec())];
        assert_eq!(others, expected);
        for len in 0..body.len() {
            answer(&body[..len], &name);
        }
    }
}
