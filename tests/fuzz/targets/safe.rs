//! Hostile bytes made printable. What comes out has no controls, as text and as JSON, and the JSON reads back.
#![no_main]

use serde_json::Value;
use sidebox::output::{Safe, json};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = Safe(data).to_string();
    assert!(
        !text.contains(
            |char: char| char.is_control() || matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        )
    );
    let mut value = String::new();
    json::bytes(&mut value, data);
    assert!(!value.contains(char::is_control));
    match serde_json::from_str(&value).unwrap() {
        Value::String(text) => assert_eq!(text.as_bytes(), data),
        other => assert!(other["bytes"].is_string() && std::str::from_utf8(data).is_err()),
    }
});
