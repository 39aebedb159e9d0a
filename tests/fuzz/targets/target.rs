//! What the kernel and the target write about processes, sockets and users.
#![no_main]

use sidebox::target::process::{Stat, Status, split_arguments};
use sidebox::target::sockets::{Socket, UnixSocket};
use sidebox::target::users::Names;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(stat) = Stat::parse(data) {
        assert!(stat.comm.len() < data.len() && !stat.letters().is_empty());
    }
    Status::parse(data);
    split_arguments(data).for_each(drop);
    Socket::parse(data);
    UnixSocket::parse(data);
    Names::parse(data).get(0);
});
