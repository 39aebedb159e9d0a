//! Bytes to characters (POSIX.1-2024, XBD 6): one each, or UTF-8, as the locale's variables say.

use super::super::Shell;

/// How bytes make characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Each byte is one, as in the locale `C`.
    Byte,
    /// A byte that is not part of any sequence counts as one.
    Utf8,
}

impl Encoding {
    /// The length of the first character; 0 where there is none.
    pub fn len(self, text: &[u8]) -> usize {
        let len = match text.first() {
            None => return 0,
            Some(0xc2..=0xdf) => 2,
            Some(0xe0..=0xef) => 3,
            Some(0xf0..=0xf4) => 4,
            Some(_) => 1,
        };
        let whole = |text: &[u8]| std::str::from_utf8(text).is_ok();
        if len > 1 && self == Encoding::Utf8 && text.get(..len).is_some_and(whole) { len } else { 1 }
    }

    /// The first character's number and length. A stray byte has a number that no character has.
    pub fn first(self, text: &[u8]) -> Option<(u32, usize)> {
        const STRAY: u32 = 0xdc00;
        let byte = u32::from(*text.first()?);
        let len = self.len(text);
        let char = std::str::from_utf8(&text[..len]).ok().and_then(|text| text.chars().next());
        Some((char.map_or(STRAY + byte, u32::from), len))
    }

    /// How many characters there are.
    pub fn count(self, text: &[u8]) -> usize {
        self.starts(text).count()
    }

    /// Where each character starts.
    pub fn starts(self, text: &[u8]) -> impl Iterator<Item = usize> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at;
            at += self.len(&text[start..]);
            (start < text.len()).then_some(start)
        })
    }

    /// Whether a character starts, or the text ends, at `at`.
    pub fn is_start(self, text: &[u8], at: usize) -> bool {
        let continued = text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        // No sequence is longer than four bytes.
        let spans = |back: &usize| at >= *back && self.len(&text[at - back..]) > *back;
        !(continued && self == Encoding::Utf8 && (1..4).any(|back| spans(&back)))
    }
}

impl Shell<'_> {
    /// The encoding for this text: what is all ASCII needs no look at the locale.
    pub(in crate::shell) fn encoding(&self, text: &[u8]) -> Encoding {
        if text.is_ascii() { Encoding::Byte } else { self.locale() }
    }

    /// What the first of the locale's variables that is not empty says.
    pub(in crate::shell) fn locale(&self) -> Encoding {
        let set = |name: &[u8]| self.variables.get(name).filter(|value| !value.is_empty());
        let locale = set(b"LC_ALL").or_else(|| set(b"LC_CTYPE")).or_else(|| set(b"LANG"));
        match locale {
            Some(b"C" | b"POSIX") => Encoding::Byte,
            _ => Encoding::Utf8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Byte, Utf8};

    #[test]
    fn characters_and_stray_bytes() {
        assert_eq!(Utf8.starts("aä€𝄞".as_bytes()).collect::<Vec<_>>(), [0, 1, 3, 6]);
        assert_eq!(Utf8.count(b"\xff\xc3\xa4\xc3"), 3);
        assert_eq!(Byte.count("ä".as_bytes()), 2);
        assert_eq!(Utf8.first("€x".as_bytes()), Some((0x20ac, 3)));
        assert_eq!(Utf8.first(b"\xe2\x82"), Some((0xdce2, 1)));
        assert_eq!(Byte.first(b"\xe2\x82"), Some((0xdce2, 1)));
        assert_eq!(Utf8.first(b""), None);
    }

    #[test]
    fn starts() {
        let text = "a€".as_bytes();
        let starts = |encoding: super::Encoding| (0..=4).filter(|at| encoding.is_start(text, *at)).collect::<Vec<_>>();
        assert_eq!(starts(Utf8), [0, 1, 4]);
        assert_eq!(starts(Byte), [0, 1, 2, 3, 4]);
        assert!(Utf8.is_start(b"\x80\x80", 1));
    }
}
