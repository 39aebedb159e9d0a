//! The network namespace of a process: interfaces, addresses, routes, neighbours and counters, from the files in
//! /proc/PID/net, which everyone may read, across namespaces too; and by netlink, exactly, where the namespace is ours.
//!
//! What the files do not tell is `None`: which interface an IPv4 address belongs to unless a route says so, the flags
//! of an interface unless the target's /sys may be read, IPv6 neighbours, who made a route.

pub mod addresses;
pub mod counters;
pub mod links;
pub mod neighbours;
pub mod routes;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::process::{Fields, Reader};
use super::{Files, Target, sockets};
use crate::output::Safe;

/// The longest line that is looked at; the kernel's are at most 250 bytes long, but for those of its counters.
const LINE: u64 = 16 * 1024;

/// The network that is looked at: the target's, or ours where there is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub pid: i32,
    comm: Option<Vec<u8>>,
    /// Whether it is ours; `None` where that cannot be known.
    pub shared: Option<bool>,
}

impl Network {
    /// `None` where not even our own can be seen, because there is no /proc.
    pub fn seen(files: &Files) -> Option<Network> {
        files.target().map(Network::of).ok().or_else(Network::own)
    }

    pub fn of(target: &Target) -> Network {
        let shared = sockets::network_shared(target);
        Network { pid: target.pid, comm: Some(target.comm.clone()), shared }
    }

    /// Ours.
    pub fn own() -> Option<Network> {
        let pid = Reader::open().ok()?.own_pid()?;
        Some(Network { pid, comm: None, shared: Some(true) })
    }

    /// For machines.
    pub fn name(&self) -> &'static str {
        if self.comm.is_some() { "target" } else { "own" }
    }

    /// Whether the kernel may be asked about it.
    pub fn is_ours(&self) -> bool {
        self.shared == Some(true)
    }

    pub fn source(&self) -> sockets::Source {
        sockets::Source { pid: self.pid, shared: self.is_ours() }
    }

    /// Whose it is, as a heading goes on.
    pub fn sharing(&self) -> &'static str {
        match (&self.comm, self.shared) {
            (None, _) => "",
            (_, Some(true)) => ", shared with this container",
            (_, Some(false)) => ", not shared with this container",
            (_, None) => ", and it cannot be seen whether this container shares it",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.comm {
            None => f.write_str("this container"),
            Some(comm) => write!(f, "the target, process {} ({})", self.pid, Safe(comm)),
        }
    }
}

/// What `parse` makes of the lines of a file in /proc/PID/net, as they are read. A file that the kernel does not have
/// has none.
pub(super) fn lines<T>(
    pid: i32,
    name: &str,
    parse: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<impl Iterator<Item = io::Result<T>>> {
    Ok(rows(open(pid, name)?, parse))
}

fn open(pid: i32, name: &str) -> io::Result<Option<BufReader<File>>> {
    let reader = Reader::open()?;
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    match openat(reader.root(), format!("{pid}/net/{name}").as_str(), flags, Mode::empty()) {
        Ok(file) => Ok(Some(BufReader::with_capacity(32 * 1024, File::from(file)))),
        Err(Errno::ENOENT) if reader.owner(pid).is_ok() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn rows<T>(
    mut table: Option<impl BufRead>,
    mut parse: impl FnMut(&[u8]) -> Option<T>,
) -> impl Iterator<Item = io::Result<T>> {
    let mut line = Vec::new();
    std::iter::from_fn(move || {
        loop {
            line.clear();
            match table.as_mut()?.by_ref().take(LINE).read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) => match parse(line.strip_suffix(b"\n").unwrap_or(&line)) {
                    Some(row) => return Some(Ok(row)),
                    None => continue,
                },
                Err(error) => {
                    table = None;
                    return Some(Err(error));
                }
            }
        }
    })
}

/// Hexadecimal digits in the order of the bytes, as /proc has IPv6 addresses of interfaces and routes.
fn plain(text: &[u8]) -> Option<std::net::Ipv6Addr> {
    let digits = text.iter().all(u8::is_ascii_hexdigit) && text.len() == 32;
    let text = std::str::from_utf8(text).ok().filter(|_| digits)?;
    u128::from_str_radix(text, 16).ok().map(std::net::Ipv6Addr::from)
}

/// A field with a hexadecimal number.
fn hex(fields: &mut Fields) -> Option<u64> {
    sockets::hexadecimal(fields.next()?)
}
