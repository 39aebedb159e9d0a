//! JSON values as text, without a tree in between. Bytes that are not UTF-8 become `{"bytes": "<base64>"}`.

use std::fmt::Write;

/// An object, written field by field. Its methods are called in hundreds of places, and so not repeated there.
pub struct Object(String);

impl Object {
    #[expect(clippy::new_without_default, reason = "an object is begun, not defaulted")]
    pub fn new() -> Object {
        Object(String::from("{"))
    }

    fn key(&mut self, key: &str) -> &mut String {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        string(&mut self.0, key);
        self.0.push(':');
        &mut self.0
    }

    #[inline(never)]
    pub fn text(&mut self, key: &str, value: &str) -> &mut Object {
        string(self.key(key), value);
        self
    }

    #[inline(never)]
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Object {
        bytes(self.key(key), value);
        self
    }

    #[inline(never)]
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Object {
        self.key(key).push_str(if value { "true" } else { "false" });
        self
    }

    /// A number, or `null` where it is not known.
    #[inline(never)]
    pub fn number(&mut self, key: &str, value: Option<u64>) -> &mut Object {
        let text = value.map_or_else(|| String::from("null"), |value| value.to_string());
        self.key(key).push_str(&text);
        self
    }

    /// A number that may be negative, or `null` where it is not known.
    #[inline(never)]
    pub fn signed(&mut self, key: &str, value: Option<i64>) -> &mut Object {
        let text = value.map_or_else(|| String::from("null"), |value| value.to_string());
        self.key(key).push_str(&text);
        self
    }

    #[inline(never)]
    pub fn float(&mut self, key: &str, value: Option<f64>) -> &mut Object {
        float(self.key(key), value.unwrap_or(f64::NAN));
        self
    }

    #[inline(never)]
    pub fn object(&mut self, key: &str, value: Object) -> &mut Object {
        self.key(key).push_str(&value.finish());
        self
    }

    pub fn objects(&mut self, key: &str, values: impl IntoIterator<Item = Object>) -> &mut Object {
        self.array(key, &values.into_iter().map(Object::finish).collect::<Vec<_>>())
    }

    /// A value that is JSON already.
    #[inline(never)]
    pub fn json(&mut self, key: &str, text: &str) -> &mut Object {
        self.key(key).push_str(text);
        self
    }

    /// Values that are JSON already.
    #[inline(never)]
    fn array(&mut self, key: &str, texts: &[String]) -> &mut Object {
        let out = self.key(key);
        out.push('[');
        out.push_str(&texts.join(","));
        out.push(']');
        self
    }

    /// What is not known.
    #[inline(never)]
    pub fn null(&mut self, key: &str) -> &mut Object {
        self.key(key).push_str("null");
        self
    }

    /// An array of texts.
    pub fn strings<'a>(&mut self, key: &str, values: impl IntoIterator<Item = &'a [u8]>) -> &mut Object {
        let out = self.key(key);
        out.push('[');
        for (index, value) in values.into_iter().enumerate() {
            out.push_str(if index > 0 { "," } else { "" });
            bytes(out, value);
        }
        out.push(']');
        self
    }

    /// An array of numbers.
    pub fn numbers(&mut self, key: &str, values: impl IntoIterator<Item = u64>) -> &mut Object {
        self.array(key, &values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>())
    }

    pub fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

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
    fn objects() {
        let mut inner = super::Object::new();
        inner.bool("a", true).number("b", None);
        let mut object = super::Object::new();
        object.text("t", "x\"").bytes("y", b"\xff").number("n", Some(7)).float("f", Some(0.5)).float("g", None);
        object.objects("o", [inner, super::Object::new()]).null("z").strings("s", [&b"a"[..], b"\xff"]);
        object.numbers("m", [1, 20]).signed("i", Some(-1)).json("j", "[]");
        let expected = r#"{"t":"x\"","y":{"bytes":"/w=="},"n":7,"f":0.5,"g":null,"o":[{"a":true,"b":null},{}],"z":null,"s":["a",{"bytes":"/w=="}],"m":[1,20],"i":-1,"j":[]}"#;
        assert_eq!(object.finish(), expected);
    }

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
