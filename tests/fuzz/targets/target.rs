//! What the kernel and the target write about processes, sockets, mounts, limits, groups and users.
#![no_main]

use sidebox::target::cgroup::{Membership, Pressure};
use sidebox::target::credentials::Credentials;
use sidebox::target::limits::Limits;
use sidebox::target::mounts::{self, covering, hidden};
use sidebox::target::process::{Stat, Status, split_arguments};
use sidebox::target::program::Elf;
use sidebox::target::sockets::{Socket, UnixSocket};
use sidebox::target::users::Names;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(stat) = Stat::parse(data) {
        assert!(stat.comm.len() < data.len() && !stat.letters().is_empty());
    }
    Status::parse(data);
    Credentials::parse(data);
    Limits::parse(data);
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
});
