//! Pattern matching (POSIX.1-2024, XCU 2.14.1) on bytes: `*`, `?`, `[…]` and backslash.

/// Whether `pattern` matches all of `text`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
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
        let next = text.get(t).and_then(|byte| one(&pattern[p..], *byte));
        match (next, star) {
            (Some(len), _) => {
                p += len;
                t += 1;
            }
            (None, Some((after, reached))) if reached < text.len() => {
                p = after;
                t = reached + 1;
                star = Some((after, t));
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the first item of a pattern that is no star; gives the item's length.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'\\' => match pattern.get(1) {
            Some(quoted) => (*quoted == byte).then_some(2),
            None => (byte == b'\\').then_some(1),
        },
        b'[' => match bracket(&pattern[1..], byte) {
            Some((len, matched)) => matched.then_some(len + 1),
            None => (byte == b'[').then_some(1),
        },
        plain => (*plain == byte).then_some(1),
    }
}

/// The expression behind a `[`: its length with the `]`, and whether it matches. `None` where it does not end.
fn bracket(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
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
            if let Some(end) = memchr::memmem::find(rest, b":]") {
                matched |= class(&rest[..end], byte);
                at += end + 4;
                continue;
            }
        }
        let (low, len) = element(&pattern[at..])?;
        at += len;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|next| *next != b']') {
            let (high, len) = element(&pattern[at + 1..])?;
            at += len + 1;
            matched |= (low..=high).contains(&byte);
        } else {
            matched |= low == byte;
        }
    }
}

/// One end of a range: a byte, `\c`, `[.c.]` or `[=c=]`, in which only single bytes stand for themselves.
fn element(pattern: &[u8]) -> Option<(u8, usize)> {
    match pattern {
        [b'[', b'.', byte, b'.', b']', ..] | [b'[', b'=', byte, b'=', b']', ..] => Some((*byte, 5)),
        [b'\\', byte, ..] => Some((*byte, 2)),
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

fn class(name: &[u8], byte: u8) -> bool {
    match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 11,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

/// How much of the start of `text` the pattern matches.
pub fn prefix(pattern: &[u8], text: &[u8], longest: bool) -> Option<usize> {
    let mut lengths = 0..=text.len();
    let fits = |len: &usize| matches(pattern, &text[..*len]);
    if longest { lengths.rev().find(fits) } else { lengths.find(fits) }
}

/// Where the part at the end of `text` that the pattern matches begins.
pub fn suffix(pattern: &[u8], text: &[u8], longest: bool) -> Option<usize> {
    let mut starts = 0..=text.len();
    let fits = |start: &usize| matches(pattern, &text[*start..]);
    if longest { starts.find(fits) } else { starts.rev().find(fits) }
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
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
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
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn parts_of_a_text() {
        assert_eq!(prefix(b"*/", b"a/b/c", false), Some(2));
        assert_eq!(prefix(b"*/", b"a/b/c", true), Some(4));
        assert_eq!(suffix(b"/*", b"a/b/c", false), Some(3));
        assert_eq!(suffix(b"/*", b"a/b/c", true), Some(1));
        assert_eq!(prefix(b"x", b"abc", true), None);
    }
}
