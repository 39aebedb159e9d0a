//! The expression in `$((…))`. Behind NUL bytes stand variables, as `name=value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut texts = data.split(|byte| *byte == 0);
    let expression = texts.next().unwrap_or_default();
    sidebox::shell::fuzz::evaluate(expression, texts);
});
