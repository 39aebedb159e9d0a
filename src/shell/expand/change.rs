//! What ash, ksh and bash can make of a value beyond POSIX: parts, replacements, upper and lower case.

use std::borrow::Cow;
use std::ops::Range;

use super::super::syntax::tree::Place;
use super::character::Encoding;
use super::pattern;

/// Which of `len` things `:offset:length` means. A negative offset counts from the end, and a negative length says how
/// many to leave there.
pub fn range(offset: i64, length: Option<i64>, len: usize) -> Range<usize> {
    let len = len as i64;
    let start = if offset < 0 { offset.saturating_add(len) } else { offset };
    let end = match length {
        None => len,
        Some(length) if length < 0 => length.saturating_add(len),
        Some(length) => start.saturating_add(length).min(len),
    };
    // Both are positions where they are in order.
    if 0 <= start && start <= end { start as usize..end as usize } else { 0..0 }
}

/// `${x:offset:length}`
pub fn substring(text: &[u8], offset: i64, length: Option<i64>, encoding: Encoding) -> &[u8] {
    if encoding == Encoding::Byte {
        return &text[range(offset, length, text.len())];
    }
    let starts: Vec<usize> = encoding.starts(text).chain([text.len()]).collect();
    let range = range(offset, length, starts.len() - 1);
    &text[starts[range.start]..starts[range.end]]
}

/// `${x/pattern/replacement}` and its like: the longest match at each place.
pub fn replace<'t>(
    text: &'t [u8],
    pattern: &[u8],
    replacement: &[u8],
    place: Place,
    encoding: Encoding,
) -> Cow<'t, [u8]> {
    let found = match place {
        Place::Prefix => pattern::prefix(pattern, text, true, encoding).map(|end| 0..end),
        Place::Suffix => pattern::suffix(pattern, text, true, encoding).map(|start| start..text.len()),
        // Nothing is everywhere: that is not replaced.
        Place::First | Place::All if pattern.is_empty() => None,
        Place::First | Place::All => pattern::find(pattern, text, encoding),
    };
    let Some(mut found) = found else { return Cow::Borrowed(text) };
    let mut result = Vec::with_capacity(text.len() + replacement.len());
    let mut rest = text;
    loop {
        result.extend_from_slice(&rest[..found.start]);
        result.extend_from_slice(replacement);
        // An empty match takes its character along.
        let passed = if found.is_empty() { encoding.len(&rest[found.end..]) } else { 0 };
        result.extend_from_slice(&rest[found.end..found.end + passed]);
        rest = &rest[found.end + passed..];
        let next = if place == Place::All && !rest.is_empty() { pattern::find(pattern, rest, encoding) } else { None };
        match next {
            Some(next) => found = next,
            None => break,
        }
    }
    result.extend_from_slice(rest);
    Cow::Owned(result)
}

/// `${x^pattern}` and `${x,pattern}`, on the first character or on `all`; without a pattern on any.
pub fn case<'t>(text: &'t [u8], pattern: &[u8], upper: bool, all: bool, encoding: Encoding) -> Cow<'t, [u8]> {
    let mut result = Vec::with_capacity(text.len());
    for start in encoding.starts(text) {
        if start > 0 && !all {
            result.extend_from_slice(&text[start..]);
            break;
        }
        let character = &text[start..start + encoding.len(&text[start..])];
        let fits = pattern.is_empty() || pattern::matches(pattern, character, encoding);
        match std::str::from_utf8(character) {
            Ok(text) if fits && upper => result.extend_from_slice(text.to_uppercase().as_bytes()),
            Ok(text) if fits => result.extend_from_slice(text.to_lowercase().as_bytes()),
            _ => result.extend_from_slice(character),
        }
    }
    Cow::Owned(result)
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Byte, Utf8};
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range(1, None, 4), 1..4);
        assert_eq!(range(-2, None, 4), 2..4);
        assert_eq!(range(-5, None, 4), 0..0);
        assert_eq!(range(5, None, 4), 0..0);
        assert_eq!(range(1, Some(2), 4), 1..3);
        assert_eq!(range(1, Some(i64::MAX), 4), 1..4);
        assert_eq!(range(1, Some(-1), 4), 1..3);
        assert_eq!(range(1, Some(-4), 4), 0..0);
        assert_eq!(range(i64::MIN, Some(i64::MIN), 4), 0..0);
        assert_eq!(substring("aäö".as_bytes(), 1, Some(1), Utf8), "ä".as_bytes());
        assert_eq!(substring("aä".as_bytes(), -1, None, Byte), b"\xa4");
    }

    #[test]
    fn replacements() {
        for (text, pattern, place, expected) in [
            ("abab", "b", Place::First, "aXab"),
            ("abab", "b", Place::All, "aXaX"),
            ("abab", "a*b", Place::All, "X"),
            ("abab", "[ab]", Place::All, "XXXX"),
            ("abab", "ab", Place::Prefix, "Xab"),
            ("abab", "ab", Place::Suffix, "abX"),
            ("abab", "", Place::Prefix, "Xabab"),
            ("abab", "", Place::All, "abab"),
            ("abab", "c*", Place::All, "abab"),
            ("äbä", "?", Place::All, "XXX"),
            ("", "*", Place::First, "X"),
        ] {
            let result = replace(text.as_bytes(), pattern.as_bytes(), b"X", place, Utf8);
            assert_eq!(*result, *expected.as_bytes(), "{text} {pattern}");
        }
    }

    #[test]
    fn cases() {
        assert_eq!(*case("äbc".as_bytes(), b"", true, false, Utf8), *"Äbc".as_bytes());
        assert_eq!(*case("ÄBC".as_bytes(), b"[!B]", false, true, Utf8), *"äBc".as_bytes());
        assert_eq!(*case("ä".as_bytes(), b"", true, true, Byte), *"ä".as_bytes());
    }
}
