//! PEM (RFC 7468): certificates and keys in base64, between whatever else a file has.

/// Each label, and the text between its two lines. One that does not end is none.
pub fn blocks(file: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    const DASHES: &[u8] = b"-----";
    let mut rest = file;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = cut(rest, b"-----BEGIN ")?;
            let (label, body) = cut(after, DASHES)?;
            let end = memchr::memmem::find(body, DASHES)?;
            let (text, after) = body.split_at(end);
            rest = after;
            if after.starts_with(b"-----END ") {
                return Some((label, text));
            }
        }
    })
}

/// What stands before a word, and behind it.
fn cut<'a>(text: &'a [u8], word: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let (before, rest) = text.split_at(memchr::memmem::find(text, word)?);
    Some((before, rest.strip_prefix(word)?))
}

/// Base64 (RFC 4648, section 4), in which white space says nothing. `None` for what is something else.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.iter().take_while(|byte| **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ if byte.is_ascii_whitespace() => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_the_lines() {
        let found = |text: &'static [u8]| blocks(text).collect::<Vec<_>>();
        let two = b"x\n-----BEGIN A B-----\nQQ==\n-----END A B-----\n-----BEGIN C-----\n-----END C-----";
        assert_eq!(found(two), [(&b"A B"[..], &b"\nQQ==\n"[..]), (b"C", b"\n")]);
        // One that is cut off does not take the next one with it.
        let cut_off = b"-----BEGIN A-----\nQQ==\n-----BEGIN B-----\nQUI=\n-----END B-----\n";
        assert_eq!(found(cut_off), [(&b"B"[..], &b"\nQUI=\n"[..])]);
        for none in [&b""[..], b"-----BEGIN ", b"-----BEGIN A-----", b"-----BEGIN A-----\nQQ==\n----"] {
            assert_eq!(found(none), []);
        }
    }

    #[test]
    fn digits() {
        assert_eq!(decode(b" QU\r\nJD\tRA== ").as_deref(), Some(&b"ABCD"[..]));
        assert_eq!(decode(b"+/8=").as_deref(), Some(&[0xfb, 0xff][..]));
        assert_eq!([decode(b""), decode(b"Q"), decode(b"Q!")], [Some(Vec::new()), Some(Vec::new()), None]);
    }
}
