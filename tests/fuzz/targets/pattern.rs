//! A text, and behind the first NUL byte a pattern. Whatever a text holds, its quoted form matches it.
#![no_main]

use sidebox::shell::fuzz;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (text, pattern) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    for encoding in [fuzz::Encoding::Byte, fuzz::Encoding::Utf8] {
        fuzz::matches(pattern, text, encoding);
        assert!(fuzz::matches(&fuzz::quoted(text), text, encoding));
    }
});
