//! Backslashes in all dialects. No escape is shorter than what it stands for.
#![no_main]

use sidebox::output::escape::{Dialect, expand};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for dialect in [Dialect::Echo, Dialect::Argument, Dialect::Format, Dialect::Quote] {
        let mut text = Vec::new();
        expand(&mut text, data, dialect);
        assert!(text.len() <= data.len());
    }
});
