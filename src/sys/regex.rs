//! Regular expressions of the C library, regcomp(3) and regexec(3), on lines of any bytes. POSIX's leftmost-longest
//! matches and back-references, at no cost in size. The process never calls setlocale(3), so a character is a byte.
//!
//! The C library's texts end at a NUL byte. A line that holds one is searched piece by piece: a NUL is no character, so
//! that nothing matches it, and the ends of the line are only at its ends.

use std::ffi::{CStr, CString, c_int};
use std::mem::MaybeUninit;
use std::ops::Range;

/// A compiled pattern.
pub struct Regex {
    // Boxed, because a C library may keep pointers into its structure.
    compiled: Box<libc::regex_t>,
    /// Whether it begins with an assertion about the byte before a match, which a search from the middle of a line
    /// cannot see.
    looks_behind: bool,
    /// The text with its NUL.
    text: Vec<u8>,
}

/// How a pattern is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub extended: bool,
    pub ignore_case: bool,
}

impl Regex {
    /// Compiles, or gives the C library's words for what is wrong.
    pub fn new(pattern: &[u8], flags: Flags) -> Result<Regex, String> {
        let looks_behind = pattern.starts_with(b"\\<") || pattern.starts_with(b"\\b");
        // musl has back-references in basic expressions only, and these can say all that extended ones can.
        let basic = flags.extended && refers_back(pattern);
        let pattern = if basic { to_basic(pattern) } else { pattern.to_vec() };
        let pattern = CString::new(pattern).map_err(|_| String::from("a NUL byte in the pattern"))?;
        let mut bits = 0;
        for (set, bit) in [(flags.extended && !basic, libc::REG_EXTENDED), (flags.ignore_case, libc::REG_ICASE)] {
            if set {
                bits |= bit;
            }
        }
        let mut compiled = Box::new(MaybeUninit::<libc::regex_t>::zeroed());
        // SAFETY: regcomp fills the structure, and reads the pattern up to its NUL.
        let error = unsafe { libc::regcomp(compiled.as_mut_ptr(), pattern.as_ptr(), bits) };
        // SAFETY: all zeroes is a valid value of this plain structure, whatever regcomp wrote.
        let compiled = unsafe { compiled.assume_init() };
        if error != 0 {
            // What a failed regcomp leaves is undefined and must not reach regfree, which only `drop` calls.
            return Err(words(error, &compiled));
        }
        Ok(Regex { compiled, looks_behind, text: Vec::new() })
    }

    /// The leftmost of the longest matches in `line[..end]` that begins at `from` or later.
    pub fn find(&mut self, line: &[u8], from: usize, end: usize) -> Option<Range<usize>> {
        let [whole] = self.groups(line, from, end)?;
        whole
    }

    /// That match and what its first groups matched.
    pub fn groups<const N: usize>(
        &mut self,
        line: &[u8],
        from: usize,
        end: usize,
    ) -> Option<[Option<Range<usize>>; N]> {
        let mut start = from;
        while self.looks_behind && 0 < start && start < end && is_word(line[start - 1]) && is_word(line[start]) {
            start += 1;
        }
        loop {
            let stop = memchr::memchr(0, &line[start..end]).map_or(end, |at| start + at);
            if let Some(groups) = self.execute(&line[start..stop], start > 0, stop < line.len()) {
                return Some(groups.map(|group| group.map(|group| start + group.start..start + group.end)));
            }
            if stop == end {
                return None;
            }
            start = stop + 1;
        }
    }

    /// A search in what holds no NUL.
    fn execute<const N: usize>(
        &mut self,
        text: &[u8],
        inside: bool,
        goes_on: bool,
    ) -> Option<[Option<Range<usize>>; N]> {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.text.push(0);
        let text = CStr::from_bytes_with_nul(&self.text).ok()?;
        let mut bits: c_int = 0;
        for (set, bit) in [(inside, libc::REG_NOTBOL), (goes_on, libc::REG_NOTEOL)] {
            if set {
                bits |= bit;
            }
        }
        let mut groups = [libc::regmatch_t { rm_so: -1, rm_eo: -1 }; N];
        // SAFETY: the pattern was compiled, the text ends with a NUL, and there is room for N groups.
        let found = unsafe { libc::regexec(&*self.compiled, text.as_ptr(), N, groups.as_mut_ptr(), bits) };
        let range =
            |group: libc::regmatch_t| Some(usize::try_from(group.rm_so).ok()?..usize::try_from(group.rm_eo).ok()?);
        (found == 0).then(|| groups.map(range))
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled by `new`, freed once.
        unsafe { libc::regfree(&mut *self.compiled) }
    }
}

/// Whether a byte is part of a word, as `\<` and `grep -w` see it.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A basic expression that matches `text` and nothing else.
pub fn literal(text: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::new();
    for byte in text {
        if b"\\.[]*^$".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

fn words(error: c_int, regex: &libc::regex_t) -> String {
    let mut buffer = [0u8; 128];
    // SAFETY: regerror writes at most the buffer's length, with a NUL.
    unsafe { libc::regerror(error, regex, buffer.as_mut_ptr().cast(), buffer.len()) };
    CStr::from_bytes_until_nul(&buffer).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

fn refers_back(pattern: &[u8]) -> bool {
    let mut escaped = false;
    pattern.iter().any(|byte| {
        let found = escaped && byte.is_ascii_digit();
        escaped = *byte == b'\\' && !escaped;
        found
    })
}

/// An extended expression as a basic one: operators get a backslash, escaped ones lose it, brackets stay.
fn to_basic(pattern: &[u8]) -> Vec<u8> {
    let mut basic = Vec::new();
    let mut rest = pattern;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'(' | b')' | b'{' | b'}' | b'|' | b'+' | b'?' => basic.extend([b'\\', *first]),
            b'\\' => {
                if let Some((escaped, after)) = rest.split_first() {
                    rest = after;
                    if !b"(){}|+?".contains(escaped) {
                        basic.push(b'\\');
                    }
                    basic.push(*escaped);
                } else {
                    basic.push(b'\\');
                }
            }
            b'[' => {
                let length = bracket(rest);
                basic.push(b'[');
                basic.extend(&rest[..length]);
                rest = &rest[length..];
            }
            other => basic.push(*other),
        }
    }
    basic
}

/// How much of `rest` belongs to the bracket expression that was opened.
fn bracket(rest: &[u8]) -> usize {
    let mut at = usize::from(rest.first() == Some(&b'^'));
    at += usize::from(rest.get(at) == Some(&b']'));
    while let Some(byte) = rest.get(at) {
        match (byte, rest.get(at + 1)) {
            (b']', _) => return at + 1,
            (b'[', Some(kind @ (b':' | b'.' | b'='))) => {
                let close = [*kind, b']'];
                at = memchr::memmem::find(&rest[at + 2..], &close).map_or(rest.len(), |found| at + found + 4);
            }
            _ => at += 1,
        }
    }
    rest.len().min(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENDED: Flags = Flags { extended: true, ignore_case: false };

    #[track_caller]
    fn find(pattern: &str, flags: Flags, line: &[u8], expected: Option<Range<usize>>) {
        let mut regex = Regex::new(pattern.as_bytes(), flags).unwrap();
        assert_eq!(regex.find(line, 0, line.len()), expected, "{pattern}");
    }

    #[test]
    fn leftmost_longest() {
        find("ab|abcd|abc", EXTENDED, b"xabcd", Some(1..5));
        find("b", Flags::default(), b"aaa", None);
        find("A.C", Flags { ignore_case: true, ..EXTENDED }, b"xabc", Some(1..4));
        find("", Flags::default(), b"a", Some(0..0));
        find("a.b", Flags::default(), b"a\xffb", Some(0..3));
    }

    #[test]
    fn back_references() {
        find("\\(a*\\)b\\1c", Flags::default(), b"aabaac", Some(0..6));
        find("(a|b)+-\\1", EXTENDED, b"xab-b", Some(1..5));
        find("([)|]\\{2})\\1", EXTENDED, b"", None);
        find("\\((.)\\1", EXTENDED, b"(aa", Some(0..3));
    }

    #[test]
    fn extended_as_basic() {
        assert_eq!(to_basic(b"(a|b)+\\+[)(\\]x{1}\\1"), b"\\(a\\|b\\)\\++[)(\\]x\\{1\\}\\1");
        assert_eq!(to_basic(b"[]+][^]+][[:alpha:]+](\\"), b"[]+][^]+][[:alpha:]+]\\(\\");
        assert_eq!(to_basic(b"[[:a"), b"[[:a");
    }

    #[test]
    fn groups_and_starts() {
        let mut regex = Regex::new(b"^(a)|(b)$", EXTENDED).unwrap();
        assert_eq!(regex.groups(b"ab", 0, 2), Some([Some(0..1), Some(0..1), None]));
        assert_eq!(regex.groups(b"ab", 1, 2), Some([Some(1..2), None, Some(1..2)]));
        assert_eq!(regex.find(b"abx", 1, 2), None);
        let mut regex = Regex::new(b"\\<a", Flags::default()).unwrap();
        assert_eq!(regex.find(b"aaa a", 1, 5), Some(4..5));
    }

    #[test]
    fn a_nul_is_no_character_and_no_end() {
        find("b$", Flags::default(), b"b\0ab", Some(3..4));
        find("^b", Flags::default(), b"a\0b", None);
        find("a.b", Flags::default(), b"a\0b", None);
        find("b", Flags::default(), b"a\0\0b\0", Some(3..4));
    }

    #[test]
    fn a_wrong_pattern_has_a_reason() {
        assert!(!Regex::new(b"a\\(", Flags::default()).err().unwrap().is_empty());
        assert!(Regex::new(b"a\0", Flags::default()).is_err());
    }

    #[test]
    fn literals() {
        assert_eq!(literal(b"a.b*[c]^$\\"), b"a\\.b\\*\\[c\\]\\^\\$\\\\");
    }
}
