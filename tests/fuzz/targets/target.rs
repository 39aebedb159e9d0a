//! What the kernel and the target write about processes, sockets, mounts, limits, groups and users.
#![no_main]

use sidebox::target::activity::{Machine, Paging, storage};
use sidebox::target::cgroup::{Membership, Pressure, Transfers};
use sidebox::target::credentials::Credentials;
use sidebox::target::limits::{Limits, Uses};
use sidebox::target::maps::{Detail, Mapping};
use sidebox::target::mounts::{self, covering, hidden};
use sidebox::target::netlink::{Attributes, Messages};
use sidebox::target::network::addresses::{self, Address, Trie};
use sidebox::target::network::counters::{Counter, Pairs};
use sidebox::target::network::links::{self, Link};
use sidebox::target::network::neighbours::{self, Neighbour};
use sidebox::target::network::routes::{self, Route};
use sidebox::target::process::{Stat, Status, split_arguments};
use sidebox::target::program::Elf;
use sidebox::target::sockets::{Socket, UnixSocket, diag};
use sidebox::target::threads::Scheduled;
use sidebox::target::users::Names;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(stat) = Stat::parse(data) {
        assert!(stat.comm.len() < data.len() && !stat.letters().is_empty());
    }
    Status::parse(data);
    Credentials::parse(data);
    Limits::parse(data);
    if let Some(mapping) = Mapping::parse(data) {
        assert!(mapping.bytes() == mapping.end - mapping.start);
    }
    Detail::parse(data);
    if let Some(machine) = Machine::parse(data) {
        assert!(machine.shares(&Machine::default()).iter().all(|share| (0.0..=100.1).contains(share)));
    }
    Paging::parse(data);
    storage(data);
    Uses::parse(data);
    Scheduled::parse(data);
    Transfers::parse(data);
    Transfers::parse_first(data, data);
    Membership::parse(data);
    Pressure::parse(data);
    let mounts = mounts::parse(data);
    covering(&mounts, b"/etc/hosts");
    hidden(&mounts);
    Elf::parse(|buffer, offset| {
        let start = usize::try_from(offset).ok()?;
        buffer.copy_from_slice(data.get(start..start.checked_add(buffer.len())?)?);
        Some(())
    });
    split_arguments(data).for_each(drop);
    Socket::parse(data);
    UnixSocket::parse(data);
    Names::parse(data).get(0);
    network(data);
    netlink(data);
});

/// Files in /proc/PID/net, line by line.
fn network(data: &[u8]) {
    let (mut trie, mut pairs) = (Trie::default(), Pairs::default());
    for line in data.split(|byte| *byte == b'\n') {
        trie.read(line);
        pairs.read(line);
        if let Some(link) = Link::parse(line) {
            assert!(!link.name.is_empty() && !link.name.contains(&b'/'));
        }
        if let Some(route) = Route::parse4(line).or_else(|| Route::parse6(line)) {
            assert!(route.covers(route.destination) && route.prefix <= 128);
        }
        Neighbour::parse(line);
        Address::parse6(line);
        Counter::parse6(line);
        Counter::parse_sockets(line);
    }
}

/// Answers of the kernel.
fn netlink(data: &[u8]) {
    let name = |index: u32| index.to_string().into_bytes();
    let bodies = Messages(data).map(|message| message.body).chain([data]);
    for body in bodies {
        Attributes(body).for_each(drop);
        if let Some(socket) = diag::parse(body, true) {
            assert_eq!(diag::parse(body, false).unwrap().local, socket.local);
        }
        diag::parse_unix(body);
        links::answer(body);
        addresses::answer(body, &name);
        routes::answer(body, &name);
        neighbours::answer(body, &name);
    }
}
