//! Certificates in whatever file the target's arguments name, and saved reports.
#![no_main]

use sidebox::inspect::certificate::{Certificate, all};
use sidebox::inspect::report::diff;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for found in all(data) {
        assert!(found.names.len() <= found.names_count);
    }
    Certificate::parse(data);
    if let Ok(report) = diff::parse(data) {
        assert_eq!(diff::changes(&report, &report), []);
    }
});
