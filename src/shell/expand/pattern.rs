//! Pattern matching (POSIX.1-2024, XCU 2.14.1): `*`, `?`, `[…]` and backslash.

use std::ops::Range;

use super::character::Encoding;

/// Whether `pattern` matches all of `text`.
pub fn matches(pattern: &[u8], text: &[u8], encoding: Encoding) -> bool {
    let items = Items::new(pattern, encoding);
    let (mut p, mut t) = (0, 0);
    // Behind the last star: where the pattern goes on, and up to where the star reaches. Going back to the last star
    // alone is enough, which bounds the work by the product of the lengths.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        if p == pattern.len() && t == text.len() {
            return true;
        }
        match (items.one(p, &text[t..]), star) {
            (Some((len, characters)), _) => {
                p += len;
                t += characters;
            }
            (None, Some((after, reached))) if reached < text.len() => {
                p = after;
                t = reached + encoding.len(&text[reached..]);
                star = Some((after, t));
            }
            (None, _) => return false,
        }
    }
}

/// What a pattern is made of, and how it is read.
struct Items<'a> {
    pattern: &'a [u8],
    encoding: Encoding,
    /// Behind the last `]`, where no bracket expression can begin. Else each `[` there would look for it in vain.
    closed: usize,
}

impl<'a> Items<'a> {
    fn new(pattern: &'a [u8], encoding: Encoding) -> Items<'a> {
        Items { pattern, encoding, closed: memchr::memrchr(b']', pattern).unwrap_or(0) }
    }

    /// Matches the start of a text against the item at `at`, which is no star; gives the lengths of both.
    fn one(&self, at: usize, text: &[u8]) -> Option<(usize, usize)> {
        let byte = *text.first()?;
        match *self.pattern.get(at)? {
            b'?' => Some((1, self.encoding.len(text))),
            b'\\' => match self.pattern.get(at + 1) {
                Some(quoted) => (*quoted == byte).then_some((2, 1)),
                None => (byte == b'\\').then_some((1, 1)),
            },
            b'[' if at < self.closed => {
                let (number, len) = self.encoding.first(text)?;
                match bracket(&self.pattern[at + 1..], number, self.encoding) {
                    Some((items, matched)) => matched.then_some((items + 1, len)),
                    None => (byte == b'[').then_some((1, 1)),
                }
            }
            plain => (plain == byte).then_some((1, 1)),
        }
    }
}

/// A class's name is at most that long, with the `:]` behind it.
const LONGEST_CLASS: usize = 16;

/// The expression behind a `[`: its length with the `]`, and whether it matches. `None` where it does not end.
fn bracket(pattern: &[u8], number: u32, encoding: Encoding) -> Option<(usize, bool)> {
    let negated = matches!(pattern.first()?, b'!' | b'^');
    let mut at = usize::from(negated);
    let first = at;
    let mut matched = false;
    loop {
        let item = *pattern.get(at)?;
        if item == b']' && at > first {
            return Some((at + 1, matched != negated));
        }
        if item == b'[' && pattern.get(at + 1) == Some(&b':') {
            let rest = &pattern[at + 2..];
            let rest = &rest[..rest.len().min(LONGEST_CLASS)];
            if let Some(end) = memchr::memmem::find(rest, b":]") {
                matched |= class(&rest[..end], number);
                at += end + 4;
                continue;
            }
        }
        let (low, len) = element(&pattern[at..], encoding)?;
        at += len;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|next| *next != b']') {
            let (high, len) = element(&pattern[at + 1..], encoding)?;
            at += len + 1;
            matched |= (low..=high).contains(&number);
        } else {
            matched |= low == number;
        }
    }
}

/// One end of a range: a character, `\c`, `[.c.]` or `[=c=]`, in which only single characters stand for themselves.
fn element(pattern: &[u8], encoding: Encoding) -> Option<(u32, usize)> {
    if let [b'[', kind @ (b'.' | b'='), rest @ ..] = pattern
        && let Some((number, len)) = encoding.first(rest)
        && rest[len..].starts_with(&[*kind, b']'])
    {
        return Some((number, len + 4));
    }
    match pattern {
        [b'\\', rest @ ..] if !rest.is_empty() => encoding.first(rest).map(|(number, len)| (number, len + 1)),
        _ => encoding.first(pattern),
    }
}

/// Character classes; what is not ASCII is in those that Unicode has an answer for.
fn class(name: &[u8], number: u32) -> bool {
    let Some(char) = char::from_u32(number) else { return false };
    let blank = char.is_whitespace() || char.is_control();
    match name {
        b"alnum" => char.is_alphanumeric(),
        b"alpha" => char.is_alphabetic(),
        b"blank" => matches!(char, ' ' | '\t'),
        b"cntrl" => char.is_control(),
        b"digit" => char.is_ascii_digit(),
        b"graph" => !blank,
        b"lower" => char.is_lowercase(),
        b"print" => char == ' ' || !blank,
        b"punct" => !blank && !char.is_alphanumeric(),
        b"space" => char.is_whitespace(),
        b"upper" => char.is_uppercase(),
        b"xdigit" => char.is_ascii_hexdigit(),
        _ => false,
    }
}

/// A pattern's items before its first star, and the pattern behind that star.
fn split(pattern: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut at = 0;
    let mut closed = None;
    while let Some(byte) = pattern.get(at) {
        at += match byte {
            b'*' => return (&pattern[..at], Some(&pattern[at + 1..])),
            b'\\' => 2,
            b'[' if at < *closed.get_or_insert_with(|| memchr::memrchr(b']', pattern).unwrap_or(0)) => {
                // Stars are no stars in there. Which characters match does not matter, nor how they are encoded.
                1 + bracket(&pattern[at + 1..], 0, Encoding::Byte).map_or(0, |(len, _)| len)
            }
            _ => 1,
        };
    }
    (pattern, None)
}

/// Items without a star, which can only match one length at one place.
struct Run<'a>(Items<'a>);

impl<'a> Run<'a> {
    fn new(pattern: &'a [u8], encoding: Encoding) -> Run<'a> {
        Run(Items::new(pattern, encoding))
    }

    /// How much of the start of `text` it matches.
    fn at_start(&self, text: &[u8]) -> Option<usize> {
        let (mut p, mut t) = (0, 0);
        while p < self.0.pattern.len() {
            let (items, characters) = self.0.one(p, &text[t..])?;
            p += items;
            t += characters;
        }
        Some(t)
    }

    fn is_plain(&self) -> bool {
        !self.0.pattern.iter().copied().any(is_special)
    }

    /// The first place where it matches.
    fn first(&self, text: &[u8]) -> Option<Range<usize>> {
        if self.is_plain() {
            let start = memchr::memmem::find(text, self.0.pattern)?;
            return Some(start..start + self.0.pattern.len());
        }
        (0..=text.len()).find_map(|start| self.at(text, start))
    }

    /// The last place where it matches.
    fn last(&self, text: &[u8]) -> Option<Range<usize>> {
        if self.is_plain() {
            let start = memchr::memmem::rfind(text, self.0.pattern)?;
            return Some(start..start + self.0.pattern.len());
        }
        (0..=text.len()).rev().find_map(|start| self.at(text, start))
    }

    fn at(&self, text: &[u8], start: usize) -> Option<Range<usize>> {
        let len = self.at_start(&text[start..])?;
        self.0.encoding.is_start(text, start).then_some(start..start + len)
    }

    /// Where the end of `text` that it matches begins.
    fn at_end(&self, text: &[u8]) -> Option<usize> {
        if self.is_plain() {
            return text.strip_suffix(self.0.pattern).map(<[u8]>::len);
        }
        // An item is at least one byte, and matches at most four.
        let least = text.len().saturating_sub(self.0.pattern.len() * 4);
        (least..=text.len()).rev().find(|start| self.at(text, *start).is_some_and(|range| range.end == text.len()))
    }
}

/// Whether a pattern matches a path, or whole names at its end, or what stands before a slash in these: with `*.log`
/// or `cache` one leaves out such files and all that is below such directories.
pub fn excludes(pattern: &[u8], path: &[u8], encoding: Encoding) -> bool {
    let pattern = pattern.strip_suffix(b"/").unwrap_or(pattern);
    let below = [pattern, b"/*"].concat();
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    std::iter::once(0).chain(slashes.map(|(at, _)| at + 1)).any(|start| {
        let rest = path.get(start..).unwrap_or_default();
        matches(pattern, rest, encoding) || matches(&below, rest, encoding)
    })
}

/// The first place in `text` that the pattern matches, and the longest match there. What is missing behind the first
/// place for its first run is missing behind the later ones too.
pub fn find(pattern: &[u8], text: &[u8], encoding: Encoding) -> Option<Range<usize>> {
    let (items, _) = split(pattern);
    let start = Run::new(items, encoding).first(text)?.start;
    let len = prefix(pattern, &text[start..], true, encoding)?;
    Some(start..start + len)
}

/// How much of the start of `text` the pattern matches. Runs between stars are found one after the other: to go back
/// behind one that was found cannot help.
pub fn prefix(pattern: &[u8], text: &[u8], longest: bool, encoding: Encoding) -> Option<usize> {
    let (items, mut rest) = split(pattern);
    let mut reached = Run::new(items, encoding).at_start(text)?;
    while let Some(after) = rest {
        let (items, next) = split(after);
        let run = Run::new(items, encoding);
        let left = &text[reached..];
        let found = if longest && next.is_none() { run.last(left) } else { run.first(left) };
        reached += found?.end;
        rest = next;
    }
    Some(reached)
}

/// Where the part at the end of `text` that the pattern matches begins.
pub fn suffix(pattern: &[u8], text: &[u8], longest: bool, encoding: Encoding) -> Option<usize> {
    let (items, mut rest) = split(pattern);
    let mut before = Vec::new();
    let mut run = Run::new(items, encoding);
    while let Some(after) = rest {
        let (items, next) = split(after);
        before.push(std::mem::replace(&mut run, Run::new(items, encoding)));
        rest = next;
    }
    let mut reached = run.at_end(text)?;
    while let Some(run) = before.pop() {
        let left = &text[..reached];
        let found = if longest && before.is_empty() { run.first(left) } else { run.last(left) };
        reached = found?.start;
    }
    Some(reached)
}

/// Whether a byte can make a pattern of a text.
pub fn is_special(byte: u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

/// Appends `text` so that as a pattern it matches only itself.
pub fn quote(pattern: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        if !byte.is_ascii_alphanumeric() && *byte != b'/' && *byte < 0x80 {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
}

/// The text that a pattern without active characters stands for.
pub fn unquote(pattern: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(pattern.len());
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => text.push(*bytes.next().unwrap_or(byte)),
            _ => text.push(*byte),
        }
    }
    text
}

/// Whether anything in the pattern is active. A bracket that does not close is not, and so the command `[` is no glob.
pub fn is_active(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' => return true,
            b'[' if bytes.as_slice().contains(&b']') => return true,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Byte, Utf8};
    use super::*;

    #[test]
    fn stars_and_marks() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*a*b*", "xxayybzz", true),
            ("?", "", false),
            ("??", "ab", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), Utf8), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn brackets() {
        for (pattern, text, expected) in [
            ("[abc]", "b", true),
            ("[!abc]", "b", false),
            ("[^a]", "b", true),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[a-c]", "b", true),
            ("[a-]", "-", true),
            ("[[:digit:]x]", "7", true),
            ("[[:digit:]x]", "x", true),
            ("[[:nothing:]]", "n", false),
            ("[", "[", true),
            ("[a", "[a", true),
            ("[\\]]", "]", true),
            ("[[.-.]]", "-", true),
            ("[\\!a]", "!", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), Utf8), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn characters() {
        for (pattern, text, bytes, characters) in [
            ("?", "ä", false, true),
            ("*ö?", "äöü", false, true),
            ("[ä-ü]", "ö", false, true),
            ("[[:alpha:]][[:upper:]]", "öÄ", false, true),
            ("[!a]", "ä", false, true),
            ("??", "ä", true, false),
            ("[[=ä=]]", "ä", false, true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), Byte), bytes, "{pattern} {text}");
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), Utf8), characters, "{pattern} {text}");
        }
    }

    #[test]
    fn parts_of_a_text() {
        // The shortest and longest prefix, and the lengths without the shortest and longest suffix.
        for (pattern, text, expected) in [
            ("*/", "a/b/c", [Some(2), Some(4), None, None]),
            ("/*", "a/b/c", [None, None, Some(3), Some(1)]),
            ("x", "abc", [None, None, None, None]),
            ("", "abc", [Some(0), Some(0), Some(3), Some(3)]),
            ("*", "abc", [Some(0), Some(3), Some(3), Some(0)]),
            ("a*b", "abab", [Some(2), Some(4), Some(2), Some(0)]),
            ("a*b*c", "abcxbcy", [Some(3), Some(6), None, None]),
            ("*[ab]?", "xaybz", [Some(3), Some(5), Some(3), Some(0)]),
            ("?", "äbö", [Some(2), Some(2), Some(3), Some(3)]),
            ("*?", "äö", [Some(2), Some(4), Some(2), Some(0)]),
            ("a\\*", "a*a*", [Some(2), Some(2), Some(2), Some(2)]),
            ("[*]*", "*a", [Some(1), Some(2), Some(0), Some(0)]),
            ("aa", "aaa", [Some(2), Some(2), Some(1), Some(1)]),
        ] {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            let prefixes = [false, true].map(|longest| prefix(pattern, text, longest, Utf8));
            let suffixes = [false, true].map(|longest| suffix(pattern, text, longest, Utf8));
            assert_eq!([prefixes, suffixes].concat(), expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn paths_that_are_left_out() {
        for (pattern, path, expected) in [
            ("*.log", "var/a.log", true),
            ("*.log", "a.log/below", true),
            ("var", "var/a.log", true),
            ("var/", "x/var", true),
            ("x/var", "a/x/var/b", true),
            ("ar", "var/a", false),
            ("var/*", "var", false),
            ("*.log", "a.logs", false),
        ] {
            assert_eq!(excludes(pattern.as_bytes(), path.as_bytes(), Encoding::Utf8), expected, "{pattern} {path}");
        }
    }
}
