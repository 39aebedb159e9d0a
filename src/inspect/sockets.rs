//! What a person would miss in a table of sockets: seen row by row, said at its end.

use std::net::{IpAddr, SocketAddr};

use crate::output::Safe;
use crate::target::sockets::{Owners, Protocol, Socket, State};

/// As many connections that a process should close are a leak, not an accident.
pub const HALF_CLOSED: u64 = 100;

/// As many connections that wait to be accepted are worth a word where the backlog is not known.
const WAITING: u64 = 32;

/// How many sockets of one kind are named.
const NAMED: usize = 3;

#[derive(Debug, Default)]
pub struct Remarks {
    /// Ports that only the loopback listens on, and those that are open to others.
    loopback: Vec<(u16, IpAddr)>,
    open: Vec<u16>,
    full: Named,
    dropped: Named,
    /// By process, where it is known.
    half_closed: Vec<(Option<i32>, u64)>,
}

impl Remarks {
    pub fn see(&mut self, protocol: Protocol, socket: &Socket, owners: &Owners) {
        let (ip, port, waiting) = (socket.local.ip(), socket.local.port(), socket.receive_queue);
        match (protocol, socket.state) {
            (Protocol::Tcp | Protocol::Tcp6, State::Listen) => {
                if ip.to_canonical().is_loopback() {
                    if !self.loopback.iter().any(|(known, _)| *known == port) {
                        self.loopback.push((port, ip));
                    }
                } else if !self.open.contains(&port) {
                    self.open.push(port);
                }
                match socket.backlog {
                    // The kernel takes one more than it was told.
                    Some(backlog) if waiting > backlog => {
                        let local = socket.local;
                        self.full.add(|| format!("the backlog of {local} is full ({waiting} of {backlog})"));
                    }
                    None if waiting >= WAITING => {
                        self.full.add(|| format!("{waiting} connections to {} wait to be accepted", socket.local));
                    }
                    _ => {}
                }
            }
            (Protocol::Tcp | Protocol::Tcp6, State::CloseWait) => {
                let owner = owners.of(socket.inode);
                match self.half_closed.iter_mut().find(|(known, _)| *known == owner) {
                    Some((_, count)) => *count += 1,
                    None => self.half_closed.push((owner, 1)),
                }
            }
            (Protocol::Udp | Protocol::Udp6, _) => {
                if let Some(drops) = socket.drops.filter(|drops| *drops > 0) {
                    self.dropped
                        .add(|| format!("{} has lost {drops} datagrams that nobody read in time", socket.local));
                }
            }
            _ => {}
        }
    }

    /// One line for each. `shared` is whether the network is ours.
    pub fn lines(&self, shared: Option<bool>, owners: &Owners) -> Vec<String> {
        let mut lines = Vec::new();
        let alone = self.loopback.iter().filter(|(port, _)| !self.open.contains(port));
        let mut only = Named::default();
        alone.for_each(|(port, ip)| only.add(|| SocketAddr::new(*ip, *port).to_string()));
        if shared == Some(false) && only.count > 0 {
            let reach = "on the target's loopback only, which we reach with --network container:NAME";
            lines.push(format!("{}: {reach}", only.text()));
        }
        if self.full.count > 0 {
            lines.push(format!("{}: the process does not keep up, or hangs", self.full.text()));
        }
        if self.dropped.count > 0 {
            lines.push(self.dropped.text());
        }
        let count: u64 = self.half_closed.iter().map(|(_, count)| count).sum();
        if count >= HALF_CLOSED
            && let Some((owner, most)) = self.half_closed.iter().max_by_key(|(_, count)| *count)
        {
            let who = owner.map(|pid| format!(", {most} of {pid}/{}", Safe(owners.comm(pid).unwrap_or_default())));
            let who = who.unwrap_or_default();
            lines.push(format!("{count} in CLOSE_WAIT{who}: the peers have closed and the process has not"));
        }
        lines
    }
}

/// The first few of many.
#[derive(Debug, Default)]
struct Named {
    first: Vec<String>,
    count: usize,
}

impl Named {
    fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(text());
        }
    }

    fn text(&self) -> String {
        let shown = self.first.join(", ");
        let more = self.count - self.first.len();
        if more == 0 { shown } else { format!("{shown} and {more} more") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(address: &str, waiting: u64, backlog: Option<u64>) -> Socket {
        let line = b"0: 00000000:0000 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1 0 100 0 0 10 0";
        Socket { local: address.parse().unwrap(), receive_queue: waiting, backlog, ..Socket::parse(line).unwrap() }
    }

    fn lines(sockets: &[(Protocol, Socket)], shared: Option<bool>) -> Vec<String> {
        let mut remarks = Remarks::default();
        let owners = Owners::default();
        sockets.iter().for_each(|(protocol, socket)| remarks.see(*protocol, socket, &owners));
        remarks.lines(shared, &owners)
    }

    #[test]
    fn on_the_loopback_only() {
        let sockets = [
            (Protocol::Tcp, listener("127.0.0.1:80", 0, None)),
            (Protocol::Tcp, listener("127.0.0.1:11211", 0, None)),
            (Protocol::Tcp6, listener("[::]:80", 0, None)),
        ];
        let expected = ["127.0.0.1:11211: on the target's loopback only, which we reach with --network container:NAME"];
        assert_eq!(lines(&sockets, Some(false)), expected);
        assert!(lines(&sockets, Some(true)).is_empty() && lines(&sockets, None).is_empty());
    }

    #[test]
    fn queues_that_are_full() {
        let sockets = [
            (Protocol::Tcp, listener("0.0.0.0:80", 11, Some(10))),
            (Protocol::Tcp, listener("0.0.0.0:81", 10, Some(10))),
            (Protocol::Tcp, listener("0.0.0.0:82", 40, None)),
            (Protocol::Tcp, listener("0.0.0.0:83", 4, None)),
        ];
        let expected = "the backlog of 0.0.0.0:80 is full (11 of 10), 40 connections to 0.0.0.0:82 wait to be accepted: \
                        the process does not keep up, or hangs";
        assert_eq!(lines(&sockets, Some(true)), [expected]);
    }

    #[test]
    fn connections_that_leak_and_datagrams_that_are_lost() {
        let half = (Protocol::Tcp, Socket { state: State::CloseWait, ..listener("10.0.0.1:80", 0, None) });
        assert!(lines(&vec![half.clone(); 99], Some(true)).is_empty());
        let expected = "100 in CLOSE_WAIT: the peers have closed and the process has not";
        assert_eq!(lines(&vec![half; 100], Some(true)), [expected]);
        let lost = |port: u16| {
            let socket = listener(&format!("10.0.0.1:{port}"), 0, None);
            (Protocol::Udp, Socket { state: State::Close, drops: Some(7), ..socket })
        };
        let expected = "10.0.0.1:1 has lost 7 datagrams that nobody read in time, 10.0.0.1:2 has lost 7 datagrams that \
                        nobody read in time, 10.0.0.1:3 has lost 7 datagrams that nobody read in time and 2 more";
        assert_eq!(lines(&[lost(1), lost(2), lost(3), lost(4), lost(5)], None), [expected]);
    }
}
