//! What the kernel counts for a network namespace: /proc/PID/net/snmp, netstat, snmp6 and sockstat (proc_pid_net(5)).

use std::io;

use super::lines;
use crate::target::process::{Fields, number};

/// One counter: `Tcp`, `RetransSegs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    pub group: Vec<u8>,
    pub name: Vec<u8>,
    pub value: i64,
}

/// The counters of snmp and netstat, which stand in pairs of lines: names and values with the same word before them.
#[derive(Debug, Default)]
pub struct Pairs(Vec<u8>);

impl Pairs {
    /// Takes a line, and gives the counters when it is the second of a pair.
    pub fn read(&mut self, line: &[u8]) -> Option<Vec<Counter>> {
        let (mut names, mut values) = (Fields(&self.0), Fields(line));
        let group = values.next()?.strip_suffix(b":")?;
        if names.next().and_then(|first| first.strip_suffix(b":")) != Some(group) {
            self.0 = line.to_vec();
            return None;
        }
        let counter = |(name, value): (&[u8], &[u8])| {
            Some(Counter { group: group.to_vec(), name: name.to_vec(), value: number(value)? })
        };
        let found = names.zip(values).filter_map(counter).collect();
        self.0.clear();
        Some(found)
    }
}

impl Counter {
    /// A line of snmp6: `Udp6InErrors    0`.
    pub fn parse6(line: &[u8]) -> Option<Counter> {
        let mut fields = Fields(line);
        let word = fields.next()?;
        let value = fields.number()?;
        let six = memchr::memchr(b'6', word)?;
        let (group, name) = word.split_at_checked(six + 1)?;
        Some(Counter { group: group.to_vec(), name: name.to_vec(), value })
    }

    /// A line of sockstat: `TCP: inuse 3 orphan 0 tw 0 alloc 4 mem 1`.
    pub fn parse_sockets(line: &[u8]) -> Option<Vec<Counter>> {
        let mut fields = Fields(line);
        let group = fields.next()?.strip_suffix(b":")?;
        let mut found = Vec::new();
        while let Some(name) = fields.next() {
            found.push(Counter { group: group.to_vec(), name: name.to_vec(), value: fields.number()? });
        }
        Some(found)
    }
}

/// All counters, in the kernel's order; IPv6 last.
pub fn of(pid: i32) -> io::Result<Vec<Counter>> {
    let mut found = Vec::new();
    for name in ["snmp", "netstat"] {
        let mut pairs = Pairs::default();
        for counters in lines(pid, name, |line| pairs.read(line))? {
            found.extend(counters?);
        }
    }
    for counter in lines(pid, "snmp6", Counter::parse6)? {
        found.push(counter?);
    }
    Ok(found)
}

/// How many sockets of each protocol are in use.
pub fn sockets(pid: i32) -> io::Result<Vec<Counter>> {
    let mut found = Vec::new();
    for name in ["sockstat", "sockstat6"] {
        for counters in lines(pid, name, Counter::parse_sockets)? {
            found.extend(counters?);
        }
    }
    Ok(found)
}

/// The value of one of them.
pub fn value(counters: &[Counter], group: &str, name: &str) -> Option<u64> {
    let is = |counter: &&Counter| counter.group == group.as_bytes() && counter.name == name.as_bytes();
    counters.iter().find(is).and_then(|counter| u64::try_from(counter.value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(group: &str, name: &str, value: i64) -> Counter {
        Counter { group: group.into(), name: name.into(), value }
    }

    #[test]
    fn pairs_of_lines() {
        let text =
            b"Tcp: RtoMin MaxConn RetransSegs\nTcp: 200 -1 7\nUdp: InErrors\nIp: A B\nIp: 1\nX\n\nTcp:\nTcp: 1\n";
        let mut pairs = Pairs::default();
        let found: Vec<Counter> =
            text.split(|byte| *byte == b'\n').filter_map(|line| pairs.read(line)).flatten().collect();
        let expected = [("Tcp", "RtoMin", 200), ("Tcp", "MaxConn", -1), ("Tcp", "RetransSegs", 7), ("Ip", "A", 1)];
        assert_eq!(found, expected.map(|(group, name, value)| counter(group, name, value)));
        assert_eq!(value(&found, "Tcp", "RetransSegs"), Some(7));
        assert_eq!((value(&found, "Tcp", "MaxConn"), value(&found, "Udp", "InErrors")), (None, None));
    }

    #[test]
    fn lines_of_snmp6() {
        let parse = |line: &[u8]| Counter::parse6(line);
        assert_eq!(parse(b"Ip6InReceives                   \t34"), Some(counter("Ip6", "InReceives", 34)));
        assert_eq!(parse(b"UdpLite6InErrors 1"), Some(counter("UdpLite6", "InErrors", 1)));
        assert_eq!((parse(b""), parse(b"Ip 1"), parse(b"Ip6X"), parse(b"Ip6X y")), (None, None, None, None));
    }

    #[test]
    fn lines_of_sockstat() {
        let found = Counter::parse_sockets(b"TCP: inuse 3 orphan 0").unwrap();
        assert_eq!(found, [counter("TCP", "inuse", 3), counter("TCP", "orphan", 0)]);
        assert_eq!((Counter::parse_sockets(b"TCP"), Counter::parse_sockets(b"TCP: inuse x")), (None, None));
    }

    #[test]
    fn our_own() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(value(&of(pid).unwrap(), "Tcp", "ActiveOpens").is_some());
        assert!(value(&sockets(pid).unwrap(), "sockets", "used").is_some());
    }
}
