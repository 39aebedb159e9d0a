//! The escapes of `$'…'` (POSIX.1-2024, XCU 2.2.4).

/// The text between the quotes, decoded. It ends at a NUL byte, which no argument can hold.
pub fn dollar(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let Some((&escape, after)) = rest.split_first().filter(|_| byte == b'\\') else {
            text.push(byte);
            continue;
        };
        rest = after;
        let value = match escape {
            b'a' => 7,
            b'b' => 8,
            b'e' | b'E' => 27,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'\\' | b'\'' | b'"' => escape,
            b'c' => {
                let Some((&control, after)) = rest.split_first() else { break };
                rest = after;
                control.to_ascii_uppercase() & 0x1f
            }
            b'x' => number(&mut rest, 16, 2, 0).map_or(b'x', |value| value as u8),
            b'0'..=b'7' => number(&mut rest, 8, 2, u32::from(escape - b'0')).unwrap_or_default() as u8,
            b'u' | b'U' => {
                let digits = if escape == b'u' { 4 } else { 8 };
                let char = number(&mut rest, 16, digits, 0).and_then(char::from_u32);
                text.extend_from_slice(char.unwrap_or('\u{fffd}').encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            _ => {
                text.push(b'\\');
                escape
            }
        };
        if value == 0 {
            break;
        }
        text.push(value);
    }
    text
}

/// Up to `most` further digits behind those already in `value`; `None` where there is no digit at all.
fn number(rest: &mut &[u8], base: u32, most: usize, value: u32) -> Option<u32> {
    let digits = |byte: &&u8| char::from(**byte).is_digit(base);
    let len = rest.iter().take(most).take_while(digits).count();
    if len == 0 && base == 16 {
        return None;
    }
    let (digits, after) = rest.split_at(len);
    *rest = after;
    Some(digits.iter().fold(value, |value, digit| value * base + char::from(*digit).to_digit(base).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::dollar;

    #[test]
    fn escapes() {
        assert_eq!(dollar(b"a\\tb\\n\\'\\\\"), b"a\tb\n'\\");
        assert_eq!(dollar(b"\\x41\\101\\u00e9\\e[m\\cA"), "AA\u{e9}\u{1b}[m\u{1}".as_bytes());
        assert_eq!(dollar(b"\\xzz\\q\\"), b"xzz\\q\\");
        assert_eq!(dollar(b"a\\0b"), b"a");
    }
}
