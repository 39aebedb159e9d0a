//! A member's database or a snapshot. The checksums of the meta pages are made right first, because no fuzzer finds them;
//! whatever a walk accepts, it accepts again, and a copy has the same pairs.
#![no_main]

use sidebox::protocol::etcd::file::Error;
use sidebox::protocol::etcd::file::bolt::{Bolt, Pairs, Seen};
use sidebox::protocol::etcd::file::checksum::fnv1a;
use sidebox::protocol::etcd::file::sorted::Sorted;
use sidebox::protocol::etcd::file::store::Store;
use sidebox::protocol::etcd::file::trailer;

/// How many pairs each bucket has.
fn walk(bolt: &Bolt) -> Result<Vec<u64>, Error> {
    let seen = Seen::new(bolt);
    bolt.free(&seen)?;
    let mut counts = Vec::new();
    for bucket in bolt.buckets(&seen)? {
        let mut rows = bolt.rows(&bucket, &seen)?;
        let mut pairs = Pairs::new(bolt, &bucket);
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let place = row.place;
            let (key, value) = (row.key.to_vec(), row.value.to_vec());
            assert_eq!(pairs.read(place)?, (key.as_slice(), value.as_slice()));
            count += 1;
        }
        counts.push(count);
    }
    assert!(seen.count() <= bolt.meta.high_water);
    Ok(counts)
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    for page in [0, 1024] {
        if let Some(meta) = bytes.get_mut(page + 16..page + 80) {
            let sum = fnv1a(&meta[..56]);
            meta[56..].copy_from_slice(&sum.to_le_bytes());
        }
    }
    let source = bytes.as_slice();
    let _ = trailer::check(&source);
    let Ok(bolt) = Bolt::open(&source) else { return };
    if let Ok(counts) = walk(&bolt) {
        assert_eq!(walk(&bolt).ok(), Some(counts));
    }
    if let Ok(store) = Store::open(&bolt) {
        let _ = store.status(&Seen::new(&bolt));
        for revision in [None, Some(1), Some(5)] {
            let _ = store.hash(revision);
            let mut sorted = Sorted::new(&store, revision, &|_| true);
            let mut before = None;
            while let Ok(true) = sorted.read() {
                for (key, _) in sorted.batch() {
                    assert!(before.is_none_or(|before| before < key.to_vec()));
                    before = Some(key.to_vec());
                }
            }
        }
    }
});
