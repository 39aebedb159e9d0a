//! JSON values as text, without a tree in between. Bytes that are not UTF-8 become `{"bytes": "<base64>"}`.

use std::fmt::Write;

/// Appends `bytes` as a JSON string, or as an object with the base64 of it where it is not UTF-8.
pub fn bytes(out: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => string(out, text),
        Err(_) => {
            out.push_str("{\"bytes\":\"");
            base64(out, bytes);
            out.push_str("\"}");
        }
    }
}

/// Appends a JSON string (RFC 8259, section 7). Control characters and DEL are escaped, so that the line is safe to show.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(char));
            }
            _ => out.push(char),
        }
    }
    out.push('"');
}

/// Appends a finite number; JSON has no other, so the rest becomes `null`.
pub fn float(out: &mut String, value: f64) {
    if value.is_finite() {
        let _ = write!(out, "{value}");
    } else {
        out.push_str("null");
    }
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            if digit <= chunk.len() {
                out.push(char::from(DIGITS[(group >> (18 - 6 * digit)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn strings() {
        let mut out = String::new();
        super::bytes(&mut out, "a\"b\\c\n\u{1b}\u{9b}é".as_bytes());
        assert_eq!(out, "\"a\\\"b\\\\c\\n\\u001b\\u009bé\"");
    }

    #[test]
    fn bytes_that_are_not_text() {
        let mut out = String::new();
        super::bytes(&mut out, b"\xff\x00");
        assert_eq!(out, "{\"bytes\":\"/wA=\"}");
    }

    #[test]
    fn base64_of_each_length() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            let mut out = String::new();
            super::base64(&mut out, bytes.as_bytes());
            assert_eq!(out, text);
        }
    }
}
