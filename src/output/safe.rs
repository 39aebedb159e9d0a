//! The only way from untrusted bytes to a terminal, a table or a message.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::{self, Display, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Bytes from a target, a socket or an argument, shown so that they cannot move a cursor, end a line, or look like
/// something else: C0, C1, DEL, a backslash that would be ambiguous, invalid UTF-8, bidirectional controls and
/// zero-width characters come out as `\n`, `\x1b`, `\u{202e}`.
#[derive(Clone, Copy, Debug)]
pub struct Safe<'a>(pub &'a [u8]);

impl<'a> Safe<'a> {
    pub fn os(text: &'a OsStr) -> Safe<'a> {
        Safe(text.as_bytes())
    }

    pub fn path(path: &'a Path) -> Safe<'a> {
        Safe(path.as_os_str().as_bytes())
    }

    /// The text itself, where nothing in it has to be escaped: of most names that is seen at a glance.
    fn plain(self) -> Option<&'a str> {
        let plain = self.0.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'\\');
        plain.then(|| std::str::from_utf8(self.0).ok()).flatten()
    }

    /// Appends it to a text.
    pub fn append(self, out: &mut String) {
        match self.plain() {
            Some(text) => out.push_str(text),
            None => {
                let _ = write!(out, "{self}");
            }
        }
    }
}

/// A name as a line of output: escaped on a terminal, as it is in a pipe, where programs read it.
pub fn shown(name: &[u8], terminal: bool) -> Cow<'_, [u8]> {
    if terminal { Cow::Owned(Safe(name).to_string().into_bytes()) } else { Cow::Borrowed(name) }
}

impl Display for Safe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() {
            let plain = Safe(self.0);
            return f.pad(&format!("{plain}"));
        }
        for chunk in self.0.utf8_chunks() {
            let text = chunk.valid();
            let mut plain = 0;
            for (at, char) in text.char_indices() {
                if is_plain(char) {
                    continue;
                }
                f.write_str(&text[plain..at])?;
                escape(f, char)?;
                plain = at + char.len_utf8();
            }
            f.write_str(&text[plain..])?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn is_plain(char: char) -> bool {
    match char {
        ' '..='~' => char != '\\',
        '\0'..='\u{9f}' => false,
        // Soft hyphen, combining grapheme joiner, Arabic letter mark, Hangul fillers, Mongolian separators.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => false,
        '\u{180b}'..='\u{180f}' | '\u{3164}' | '\u{ffa0}' => false,
        // Zero width and direction marks, line and paragraph separators, embeddings, overrides, isolates.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => false,
        _ => true,
    }
}

fn escape(f: &mut fmt::Formatter<'_>, char: char) -> fmt::Result {
    match char {
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\0'..='\x7f' => write!(f, "\\x{:02x}", u32::from(char)),
        _ => {
            f.write_str("\\u{")?;
            write!(f, "{:x}", u32::from(char))?;
            f.write_char('}')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Safe;

    fn safe(bytes: &[u8]) -> String {
        Safe(bytes).to_string()
    }

    #[test]
    fn plain_text_is_unchanged() {
        assert_eq!(safe(b"memcached -l 0.0.0.0"), "memcached -l 0.0.0.0");
        assert_eq!(safe("naïve 日本".as_bytes()), "naïve 日本");
        assert_eq!(safe(b""), "");
    }

    #[test]
    fn controls_are_escaped() {
        assert_eq!(safe(b"a\x1b[31mb"), "a\\x1b[31mb");
        assert_eq!(safe(b"a\nb\rc\td\0e\x7f"), "a\\nb\\rc\\td\\x00e\\x7f");
        assert_eq!(safe("\u{9b}31m".as_bytes()), "\\u{9b}31m");
        assert_eq!(safe(b"back\\slash"), "back\\\\slash");
    }

    #[test]
    fn invalid_utf8_and_invisible_characters_are_escaped() {
        assert_eq!(safe(b"\xff\xfea\xc3"), "\\xff\\xfea\\xc3");
        assert_eq!(safe("a\u{202e}b\u{200b}c\u{2066}".as_bytes()), "a\\u{202e}b\\u{200b}c\\u{2066}");
        assert_eq!(safe("\u{feff}x".as_bytes()), "\\u{feff}x");
    }

    #[test]
    fn width_counts_what_is_shown() {
        assert_eq!(format!("[{:>4}]", Safe(b"\n")), "[  \\n]");
    }
}
