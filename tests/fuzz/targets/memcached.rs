//! A memcached server's replies, element by element. An element does not change when more bytes follow it.
#![no_main]

use sidebox::protocol::memcached::meta;
use sidebox::protocol::memcached::text::{Element, element};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((found, used))) = element(rest) {
        assert_eq!(element(&rest[..used]), Ok(Some((found.clone(), used))));
        if let Element::Meta(code, line) = found {
            let _ = meta::reply(code, line);
        }
        rest = &rest[used..];
    }
    let _ = meta::only_looks(data);
});
