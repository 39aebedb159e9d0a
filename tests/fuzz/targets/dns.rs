//! A name server's answer, to a question that is made of the same bytes, and the files that resolvers read.
#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use sidebox::net::address::Address;
use sidebox::net::dns::{Kind, answer, query};
use sidebox::net::resolve::{Configuration, in_hosts};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for kind in [Kind::A, Kind::Aaaa, Kind::Srv] {
        for name in [b"db.example".as_slice(), data] {
            if let Some(query) = query(7, name, kind) {
                answer(data, &query);
                answer(&[&query[..2], data].concat(), &query);
            }
        }
    }
    Configuration::parse(data).candidates(data);
    in_hosts(data, b"db");
    if data != b"unix"
        && let Ok(address) = Address::parse(OsStr::from_bytes(data), 53)
    {
        assert_eq!(Address::parse(OsStr::from_bytes(&address.to_bytes()), 1), Ok(address));
    }
});
