//! Scripts to trees. Behind NUL bytes stand aliases, as `name=value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut texts = data.split(|byte| *byte == 0);
    let script = texts.next().unwrap_or_default();
    sidebox::shell::fuzz::parse(script, texts);
});
