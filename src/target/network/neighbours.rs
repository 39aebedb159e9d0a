//! Who is on the same link: /proc/PID/net/arp (arp(7)), which knows IPv4 only, and by rtnetlink(7) where the network is
//! ours.

use std::io;
use std::net::IpAddr;

use nix::sys::socket::SockProtocol;

use super::addresses::ip;
use super::links::{self, Names};
use super::{Network, lines};
use crate::target::netlink::{Attributes, Dump, u16_at, u32_at};
use crate::target::process::Fields;

/// An entry is complete, or was made by hand (include/uapi/linux/if_arp.h).
pub const COMPLETE: u64 = 0x2;
pub const PERMANENT: u64 = 0x4;
pub const PUBLISHED: u64 = 0x8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    pub ip: IpAddr,
    pub device: Vec<u8>,
    /// The hardware address, as it is written; nothing where it is not known.
    pub address: Vec<u8>,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// ATF_* of the table, and the type of hardware.
    Flags { flags: u64, hardware: u64 },
    /// NUD_* of the kernel.
    Kernel { state: u16, router: bool },
}

impl Neighbour {
    /// A line of /proc/PID/net/arp.
    pub fn parse(line: &[u8]) -> Option<Neighbour> {
        let mut fields = Fields(line);
        let ip = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let number = |field: &[u8]| crate::target::sockets::hexadecimal(field.strip_prefix(b"0x")?);
        let (hardware, flags) = (number(fields.next()?)?, number(fields.next()?)?);
        let address = fields.next()?;
        fields.pass(1)?;
        let device = fields.next()?.to_vec();
        let known = flags & (COMPLETE | PERMANENT) != 0;
        let address = if known { address.to_vec() } else { Vec::new() };
        Some(Neighbour { ip, device, address, state: State::Flags { flags, hardware } })
    }
}

/// The table.
pub fn listed(pid: i32) -> io::Result<impl Iterator<Item = io::Result<Neighbour>>> {
    lines(pid, "arp", Neighbour::parse)
}

/// The neighbours of one family, the most exact way; `None` where they cannot be seen, which are IPv6's in a network
/// that is not ours.
pub fn of(network: &Network, six: bool) -> io::Result<Option<Box<dyn Iterator<Item = io::Result<Neighbour>>>>> {
    if network.is_ours()
        && let Ok(rows) = asked(six)
    {
        return Ok(Some(Box::new(rows)));
    }
    match six {
        true => Ok(None),
        false => Ok(Some(Box::new(listed(network.pid)?))),
    }
}

fn asked(six: bool) -> io::Result<impl Iterator<Item = io::Result<Neighbour>>> {
    let names = Names::read()?;
    let family = if six { libc::AF_INET6 } else { libc::AF_INET };
    // struct ndmsg
    let mut question = [0; 12];
    question[0] = family as u8;
    let mut dump = Dump::start(SockProtocol::NetlinkRoute, libc::RTM_GETNEIGH, &question)?;
    Ok(std::iter::from_fn(move || dump.next(|message| answer(message.body, &|index| names.get(index)))))
}

/// One answer (rtnetlink(7), struct ndmsg); `None` for what needs no neighbour to be found.
pub fn answer(body: &[u8], name: &dyn Fn(u32) -> Vec<u8>) -> Option<Neighbour> {
    const FIXED: usize = 12;
    const NO_ARP: u16 = 0x40;
    const ROUTER: u8 = 0x80;
    let (index, state) = (u32_at(body, 4)?, u16_at(body, 8)?);
    let router = body.get(10)? & ROUTER != 0;
    let (mut found, mut address) = (None, Vec::new());
    for (kind, value) in Attributes(body.get(FIXED..)?) {
        match kind {
            libc::NDA_DST => found = ip(value),
            libc::NDA_LLADDR => address = links::hardware(value),
            _ => {}
        }
    }
    let state_known = State::Kernel { state, router };
    (state & !NO_ARP != 0).then_some(Neighbour { ip: found?, device: name(index), address, state: state_known })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_arp() {
        let line = b"192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0";
        let expected = Neighbour {
            ip: "192.0.2.1".parse().unwrap(),
            device: b"eth0".to_vec(),
            address: b"02:fc:00:00:00:05".to_vec(),
            state: State::Flags { flags: 2, hardware: 1 },
        };
        assert_eq!(Neighbour::parse(line), Some(expected));
        let line = b"192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0";
        assert_eq!(Neighbour::parse(line).unwrap().address, b"");
        for line in
            [&b"IP address       HW type     Flags       HW address            Mask     Device"[..], b"", b"1.2.3.4 1"]
        {
            assert_eq!(Neighbour::parse(line), None);
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn an_answer() {
        let name = |index: u32| format!("if{index}").into_bytes();
        let body = b"\x02\0\0\0\x04\0\0\0\x04\0\0\x01\x08\0\x01\0\xc0\0\x02\x01\x0a\0\x02\0\x02\xfc\0\0\0\x05\0\0";
        let expected = Neighbour {
            ip: "192.0.2.1".parse().unwrap(),
            device: b"if4".to_vec(),
            address: b"02:fc:00:00:00:05".to_vec(),
            state: State::Kernel { state: 4, router: false },
        };
        assert_eq!(answer(body, &name), Some(expected));
        for len in 0..20 {
            assert_eq!(answer(&body[..len], &name), None);
        }
    }
}
