//! Certificates and keys in whatever files they are read from, or as a TLS server shows them; command lines of a
//! memcached, and saved reports.
#![no_main]

use sidebox::inspect::memcached::Flags;
use sidebox::inspect::report::diff;
use sidebox::net::certificate::{Certificate, all};
use sidebox::net::tls;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for found in all(data) {
        assert!(found.names.len() <= found.names_count);
    }
    Certificate::parse(data);
    let _ = tls::certificates(data);
    let _ = tls::private_key(data);
    let _ = Flags::parse(data.split(|byte| *byte == 0)).settings();
    if let Ok(report) = diff::parse(data) {
        assert_eq!(diff::changes(&report, &report), []);
    }
});
