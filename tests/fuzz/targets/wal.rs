//! A write-ahead log, with right checksums or not. Each record is further on, and what is read does not depend on what
//! follows it.
#![no_main]

use sidebox::protocol::etcd::file::log::{Records, Writer, is_name};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    is_name(data);
    let mut records = Records::new(&data);
    let mut before = None;
    while let Ok(Some(record)) = records.next() {
        assert!(before.is_none_or(|before| before < record.offset));
        before = Some(record.offset);
    }
    // The bytes as the data of records: a type, a length, and so much.
    let mut log = Writer::default();
    let mut rest = data;
    let mut count = 0;
    while let [kind, length, more @ ..] = rest {
        let (record, left) = more.split_at(usize::from(*length).min(more.len()));
        log.record(u64::from(kind % 7), (kind % 7 != 4).then_some(record));
        rest = left;
        count += 1;
    }
    let bytes = log.bytes.as_slice();
    let mut records = Records::new(&bytes);
    let mut found = 0;
    while let Ok(Some(_)) = records.next() {
        found += 1;
    }
    assert!(found <= count);
});
