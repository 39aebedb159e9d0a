//! Where the target's server is, when nobody said: by its sockets, else by its command line, else where such a server
//! is by default.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;

use crate::net::Address;
use crate::net::address::numeric;
use crate::target::network::{Network, addresses};
use crate::target::process::{Reader, arguments};
use crate::target::sockets::{Listener, listeners, network_shared};
use crate::target::{Absent, Kinship, Target, Whose};

/// A kind of server.
pub struct Service {
    /// The kernel's name of its process.
    pub comm: &'static [u8],
    pub port: u16,
    /// What it was told to listen on, by its arguments.
    pub told: fn(&[Vec<u8>]) -> Option<Address>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub address: Address,
    pub how: How,
    /// Whether the target's network is ours, where that is known.
    pub shared: Option<bool>,
    /// The server's process, if it is known, whose command line anybody may read.
    pub process: Option<i32>,
}

/// How that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    Named,
    Listens(Option<i32>),
    CommandLine(i32),
    /// And why there is no target to look at.
    Default(Option<Absent>),
}

impl How {
    /// The process that it was found by.
    fn pid(&self) -> Option<i32> {
        match self {
            How::Listens(pid) => *pid,
            How::CommandLine(pid) => Some(*pid),
            How::Named | How::Default(_) => None,
        }
    }

    /// For machines.
    pub fn name(&self) -> &'static str {
        match self {
            How::Named => "named",
            How::Listens(_) => "socket",
            How::CommandLine(_) => "command-line",
            How::Default(_) => "default",
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            How::Named => f.write_str("as named"),
            How::Listens(Some(pid)) => write!(f, "process {pid} listens there"),
            How::Listens(None) => f.write_str("the target listens there"),
            How::CommandLine(pid) => write!(f, "by the command line of process {pid}"),
            How::Default(None) => f.write_str("the default address: the target has no such listener"),
            How::Default(Some(absent)) => write!(f, "the default address: {absent}"),
        }
    }
}

impl Place {
    pub fn named(address: Address, target: Result<&Target, &Absent>) -> Place {
        Place { address, how: How::Named, shared: target.ok().and_then(network_shared), process: None }
    }

    /// Looks at the target.
    pub fn find(service: &Service, target: Result<&Target, &Absent>) -> Place {
        let target = match target {
            Ok(target) => target,
            Err(absent) => {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, service.port)).into();
                return Place { address, how: How::Default(Some(absent.clone())), shared: None, process: None };
            }
        };
        let mut reader = Reader::open().ok();
        let server = reader.as_mut().and_then(|reader| server(reader, service, target));
        let mut is_service = |pid: i32| {
            let stat = reader.as_mut().and_then(|reader| reader.stat(pid).ok());
            stat.is_some_and(|stat| stat.comm == service.comm)
        };
        let listening = listeners(target).unwrap_or_default();
        let mut own = listening.clone();
        // Where it is known, others of its kind on the same machine are none of the target's.
        own.retain(|listener| match (listener.owner, server) {
            (Some(owner), Some(server)) => owner == server,
            (Some(owner), None) => is_service(owner),
            (None, _) => false,
        });
        let told = server.map(|pid| ((service.told)(&arguments(pid).unwrap_or_default()), pid));
        let (mut address, how) = choose(service, &own, &listening, told);
        let process = how.pid().or(server);
        let shared = network_shared(target);
        if shared == Some(false)
            && matches!(how, How::Listens(_))
            && let Address::Host(_, port) = address
            && listening
                .iter()
                .any(|listener| listener.address.port() == port && listener.address.ip().is_unspecified())
            && let Some(ip) = own_address(target)
        {
            address = SocketAddr::from((ip, port)).into();
        }
        Place { address, how, shared, process }
    }

    /// Whether it is in a network that is not ours: there may be no way to it.
    pub fn is_foreign(&self) -> bool {
        self.shared == Some(false) && self.how != How::Named && matches!(self.address, Address::Host(..))
    }

    /// Whether the place is in a network that is not ours, where no address that only the target has can be reached.
    pub fn is_elsewhere(&self) -> bool {
        let local = match &self.address {
            Address::Unix(_) => false,
            Address::Host(host, port) => match numeric(host, *port) {
                Some(address) => address.ip().is_loopback(),
                None => host.eq_ignore_ascii_case(b"localhost"),
            },
        };
        local && self.shared == Some(false)
    }
}

/// An address of the target's by which its network may be reached from ours. What ours has as well is none: networks of
/// users without privileges are all alike.
fn own_address(target: &Target) -> Option<IpAddr> {
    let ours: Vec<IpAddr> = addresses::of(&Network::own()?).ok()?.iter().map(|address| address.ip).collect();
    let theirs = addresses::of(&Network::of(target)).ok()?;
    first_reachable(&theirs.iter().map(|address| address.ip).collect::<Vec<_>>(), &ours)
}

fn first_reachable(theirs: &[IpAddr], ours: &[IpAddr]) -> Option<IpAddr> {
    let usable = |ip: &&IpAddr| match ip {
        _ if ip.is_loopback() || ours.contains(ip) => false,
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let first = |v4| theirs.iter().filter(usable).find(|ip| ip.is_ipv4() == v4).copied();
    first(true).or_else(|| first(false))
}

/// The target's process that is such a server: itself, or one that it has started.
fn server(reader: &mut Reader, service: &Service, target: &Target) -> Option<i32> {
    if target.comm == service.comm {
        return Some(target.pid);
    }
    let mut kinship = Kinship::new(reader, Some(target.pid));
    reader.pids().ok()?.into_iter().find(|pid| {
        let Ok(stat) = reader.stat(*pid) else { return false };
        stat.comm == service.comm && kinship.whose(reader, &stat) == Whose::Target
    })
}

/// The further servers of its kind beside process `pid`: the target's, and with `all` those of other containers.
pub fn others(service: &Service, target: &Target, pid: i32, all: bool) -> Vec<i32> {
    let Ok(mut reader) = Reader::open() else { return Vec::new() };
    let mut kinship = Kinship::new(&mut reader, Some(target.pid));
    let mut pids = reader.pids().unwrap_or_default();
    pids.retain(|other| {
        let Ok(stat) = reader.stat(*other) else { return false };
        *other != pid
            && stat.comm == service.comm
            && stat.state != b'Z'
            && match kinship.whose(&mut reader, &stat) {
                Whose::Target => true,
                Whose::Other => all,
                _ => false,
            }
    });
    pids
}

/// `own`: the listeners of the server's processes. `told`: what the target was told, and its process, if it is such a server.
fn choose(
    service: &Service,
    own: &[Listener],
    all: &[Listener],
    told: Option<(Option<Address>, i32)>,
) -> (Address, How) {
    let port = match &told {
        Some((Some(Address::Host(_, port)), _)) => *port,
        _ => service.port,
    };
    let at_port = |listeners: &[Listener]| listeners.iter().find(|listener| listener.address.port() == port).cloned();
    if let Some(listener) = at_port(own).or_else(|| own.first().cloned()) {
        return (reachable(listener.address), How::Listens(listener.owner));
    }
    if let Some((Some(address), pid)) = told {
        return (address, How::CommandLine(pid));
    }
    if let Some(listener) = at_port(all) {
        return (reachable(listener.address), How::Listens(listener.owner));
    }
    (SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into(), How::Default(None))
}

/// What listens on every address is called at the local one. An IPv6 listener takes IPv4 too unless it was told not to,
/// and IPv6 may be off: the name stands for both.
fn reachable(address: SocketAddr) -> Address {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Address::Host(b"localhost".to_vec(), address.port()),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => SocketAddr::from((ip, address.port())).into(),
            None => address.into(),
        },
        _ => address.into(),
    }
}

/// An address from a command line, as [`reachable`] has it; a path is in the target's root.
pub fn address_told(text: &[u8], port: u16) -> Option<Address> {
    match Address::parse(OsStr::from_bytes(text), port).ok()? {
        Address::Host(host, port) => match numeric(&host, port) {
            Some(address) => Some(reachable(address)),
            None => Some(Address::Host(host, port)),
        },
        Address::Unix(path) => Some(Address::Unix(OsStr::from_bytes(&in_target(path.as_os_str().as_bytes())).into())),
    }
}

/// A path of the target's, as our commands take it.
pub fn in_target(path: &[u8]) -> Vec<u8> {
    [b"@/", path.strip_prefix(b"/").unwrap_or(path)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Service = Service { comm: b"cached", port: 11211, told: |_| None };

    fn listener(address: &str, owner: Option<i32>) -> Listener {
        Listener { address: address.parse().unwrap(), inode: 1, owner }
    }

    fn chosen(own: &[&str], all: &[&str], told: Option<Option<&str>>) -> (String, How) {
        let listeners = |texts: &[&str], owner| texts.iter().map(|text| listener(text, owner)).collect::<Vec<_>>();
        let told = told.map(|told| (told.and_then(|text| address_told(text.as_bytes(), 11211)), 7));
        let (address, how) = choose(&SERVICE, &listeners(own, Some(7)), &listeners(all, None), told);
        (String::from_utf8(address.to_bytes()).unwrap(), how)
    }

    #[test]
    fn sockets_then_the_command_line_then_the_default() {
        let place = |address: &str, how| (String::from(address), how);
        let listens = How::Listens(Some(7));
        assert_eq!(chosen(&["0.0.0.0:9"], &["0.0.0.0:11211"], None), place("127.0.0.1:9", listens.clone()));
        assert_eq!(chosen(&["127.0.0.1:2", "10.0.0.1:3"], &[], Some(Some(":3"))), place("10.0.0.1:3", listens));
        assert_eq!(chosen(&[], &["[::]:11211"], None), place("localhost:11211", How::Listens(None)));
        assert_eq!(chosen(&[], &["[::]:1"], Some(Some("0.0.0.0:5"))), place("127.0.0.1:5", How::CommandLine(7)));
        assert_eq!(chosen(&[], &["[::]:1"], Some(None)), place("127.0.0.1:11211", How::Default(None)));
        assert_eq!(chosen(&[], &[], Some(Some("/run/c.sock"))), place("@/run/c.sock", How::CommandLine(7)));
    }

    #[test]
    fn addresses_of_another_network() {
        let first = |theirs: &[&str], ours: &[&str]| {
            let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
            first_reachable(&parse(theirs), &parse(ours)).map(|ip| ip.to_string()).unwrap_or_default()
        };
        assert_eq!(first(&["127.0.0.1", "::1", "fe80::1", "fd00::2", "10.88.0.5"], &["10.88.0.6"]), "10.88.0.5");
        assert_eq!(first(&["127.0.0.1", "169.254.0.3", "fe80::1", "fd00::2"], &[]), "fd00::2");
        assert_eq!(first(&["127.0.0.1", "10.0.2.100"], &["127.0.0.1", "10.0.2.100"]), "");
    }

    #[test]
    fn only_local_addresses_are_elsewhere() {
        let elsewhere = |address: &str, shared| {
            let address = Address::parse(OsStr::new(address), 1).unwrap();
            Place { address, how: How::Named, shared, process: None }.is_elsewhere()
        };
        assert!(elsewhere("127.0.0.1", Some(false)) && elsewhere("[::1]:2", Some(false)));
        assert!(elsewhere("localhost", Some(false)));
        assert!(!elsewhere("127.0.0.1", Some(true)) && !elsewhere("127.0.0.1", None));
        assert!(!elsewhere("10.0.0.1", Some(false)) && !elsewhere("@/x.sock", Some(false)));
    }
}
