//! tar archives, with their extended headers, and gzip streams. What is written is read back as it was.
#![no_main]

use std::io::{Read, Write};

use sidebox::archive::gzip::{Decoder, Encoder};
use sidebox::archive::pax::{Extension, Records};
use sidebox::archive::{Archive, Header};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for record in Records(data) {
        record.is_some_and(|(key, value)| key.len() + value.len() > data.len()).then(|| panic!("longer than the whole"));
    }
    Extension::default().read(data);
    if let Ok(mut archive) = Archive::new(data, false) {
        while let Ok(Some(header)) = archive.member() {
            let mut content = Vec::new();
            let _ = archive.read_to_end(&mut content);
            again(&header);
        }
    }
    let mut packed = Encoder::new(Vec::new(), 1);
    packed.write_all(data).unwrap();
    let mut unpacked = Vec::new();
    Decoder::new(packed.finish().unwrap().as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, data);
    let _ = Decoder::new(data).take(1 << 24).read_to_end(&mut Vec::new());
});

/// A header that was read, written, is the same one, apart from what no header says in bytes that end with a NUL.
fn again(header: &Header) {
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    let read = Archive::new(bytes.as_slice(), false).and_then(|mut archive| archive.member());
    let Ok(Some(read)) = read else { return };
    let text = |name: &[u8]| name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    assert_eq!((read.name, read.link), (text(&header.name), text(&header.link)));
}
