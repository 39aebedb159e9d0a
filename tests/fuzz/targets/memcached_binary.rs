//! A memcached server's replies in the binary protocol, and the datagrams of UDP.
#![no_main]

use sidebox::protocol::memcached::binary::{header, reply};
use sidebox::protocol::memcached::udp::{Assembly, Outcome};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((found, used))) = reply(rest, 1 << 16) {
        assert_eq!(header(&rest[..used]), Ok(Some(found.header)));
        assert_eq!(reply(&rest[..used], 1 << 16), Ok(Some((found, used))));
        rest = &rest[used..];
    }
    let mut assembly = Assembly::new(u16::from_be_bytes([data.first().copied().unwrap_or(0), 0]));
    for datagram in data.chunks(11) {
        if assembly.add(datagram) == Outcome::Complete {
            assert!(assembly.take().len() <= data.len());
            break;
        }
    }
});
