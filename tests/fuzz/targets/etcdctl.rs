//! What etcdctl reads: the command line, transactions and typed watches.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sidebox::applets::fuzz_etcdctl(data);
});
