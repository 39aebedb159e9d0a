//! Regular expressions of the C library: regcomp(3) and regexec(3). POSIX's leftmost-longest matches and
//! back-references, at no cost in size. The process never calls setlocale(3), so a character is a byte.

use std::ffi::{CStr, CString, c_int};
use std::mem::MaybeUninit;
use std::ops::Range;

/// A compiled pattern.
// Boxed, because a C library may keep pointers into its structure.
pub struct Regex(Box<libc::regex_t>);

/// How a pattern is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    pub extended: bool,
    pub ignore_case: bool,
    /// A newline in the text ends a line for `.`, `[^…]`, `^` and `$`.
    pub newline: bool,
}

/// Which ends of the text are no line's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub not_start: bool,
    pub not_end: bool,
}

impl Regex {
    /// Compiles, or gives the C library's words for what is wrong.
    pub fn new(pattern: &CStr, flags: Flags) -> Result<Regex, String> {
        let mut bits = 0;
        for (set, bit) in [
            (flags.extended, libc::REG_EXTENDED),
            (flags.ignore_case, libc::REG_ICASE),
            (flags.newline, libc::REG_NEWLINE),
        ] {
            if set {
                bits |= bit;
            }
        }
        let mut regex = Box::new(MaybeUninit::<libc::regex_t>::zeroed());
        // SAFETY: regcomp fills the structure, and reads the pattern up to its NUL.
        let error = unsafe { libc::regcomp(regex.as_mut_ptr(), pattern.as_ptr(), bits) };
        // SAFETY: all zeroes is a valid value of this plain structure, whatever regcomp wrote.
        let regex = unsafe { regex.assume_init() };
        if error != 0 {
            // What a failed regcomp leaves is undefined and must not reach regfree, which is called only by `drop`.
            return Err(words(error, &regex));
        }
        Ok(Regex(regex))
    }

    /// The leftmost of the longest matches.
    pub fn find(&self, text: &CStr, ends: Ends) -> Option<Range<usize>> {
        let [whole] = self.groups(text, ends)?;
        whole
    }

    /// The match and what its first groups matched.
    pub fn groups<const N: usize>(&self, text: &CStr, ends: Ends) -> Option<[Option<Range<usize>>; N]> {
        let mut bits: c_int = 0;
        if ends.not_start {
            bits |= libc::REG_NOTBOL;
        }
        if ends.not_end {
            bits |= libc::REG_NOTEOL;
        }
        let mut groups = [libc::regmatch_t { rm_so: -1, rm_eo: -1 }; N];
        // SAFETY: the pattern was compiled, the text ends with a NUL, and there is room for N groups.
        let found = unsafe { libc::regexec(&*self.0, text.as_ptr(), N, groups.as_mut_ptr(), bits) };
        let range =
            |group: libc::regmatch_t| Some(usize::try_from(group.rm_so).ok()?..usize::try_from(group.rm_eo).ok()?);
        (found == 0).then(|| groups.map(range))
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled by `new`, freed once.
        unsafe { libc::regfree(&mut *self.0) }
    }
}

fn words(error: c_int, regex: &libc::regex_t) -> String {
    let mut buffer = [0u8; 128];
    // SAFETY: regerror writes at most the buffer's length, with a NUL.
    unsafe { libc::regerror(error, regex, buffer.as_mut_ptr().cast(), buffer.len()) };
    CStr::from_bytes_until_nul(&buffer).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

/// Bytes as what [`Regex`] takes; `None` where they hold a NUL.
pub fn text(bytes: &[u8]) -> Option<CString> {
    CString::new(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pattern: &CStr, flags: Flags, text: &CStr) -> Option<Range<usize>> {
        Regex::new(pattern, flags).unwrap().find(text, Ends::default())
    }

    #[test]
    fn leftmost_longest_and_back_references() {
        let extended = Flags { extended: true, ..Flags::default() };
        assert_eq!(find(c"ab|abcd|abc", extended, c"xabcd"), Some(1..5));
        assert_eq!(find(c"\\(a*\\)b\\1c", Flags::default(), c"aabaac"), Some(0..6));
        assert_eq!(find(c"b", Flags::default(), c"aaa"), None);
    }

    #[test]
    fn groups_and_ends() {
        let regex = Regex::new(c"^(a)|(b)$", Flags { extended: true, ..Flags::default() }).unwrap();
        assert_eq!(regex.groups(c"ab", Ends::default()), Some([Some(0..1), Some(0..1), None]));
        let inner = Ends { not_start: true, not_end: true };
        assert_eq!(regex.groups::<3>(c"ab", inner), None);
    }

    #[test]
    fn a_wrong_pattern_has_a_reason() {
        assert!(!Regex::new(c"a\\(", Flags::default()).err().unwrap().is_empty());
    }
}
