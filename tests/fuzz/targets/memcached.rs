//! A memcached server's replies, element by element. An element does not change when more bytes follow it.
#![no_main]

use sidebox::protocol::memcached::codec::element;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((found, used))) = element(rest, 1 << 20) {
        assert_eq!(element(&rest[..used], 1 << 20), Ok(Some((found, used))));
        rest = &rest[used..];
    }
});
