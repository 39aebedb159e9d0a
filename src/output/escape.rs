//! What a backslash means in the arguments of `echo` and `printf` and in the shell's `$'…'`: four dialects of one
//! notation (POSIX.1-2024 XBD chapter 5, XCU `echo`, `printf`, XCU 2.2.4).

/// Whose backslash it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `echo`'s operands: octal numbers begin with a zero, `\c` ends all output. Like dash, one without the zero, too.
    Echo,
    /// The arguments of `printf %b` and of `echo -e`: those of echo and `\xHH`, `\uHHHH`, `\UHHHHHHHH`.
    Argument,
    /// `printf`'s format: octal numbers of up to three digits, `\"`; a `\c` is no escape.
    Format,
    /// `$'…'`: `\cX` is a control character, quotes are escaped.
    Quote,
}

/// What an escape stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    Byte(u8),
    Char(char),
    /// `\c`: nothing more is written.
    Stop,
    /// No escape: the backslash stands for itself, and so does what follows it.
    Literal,
}

/// Reads what follows a backslash: its meaning, and how many bytes of `rest` it took.
pub fn read(rest: &[u8], dialect: Dialect) -> (Escape, usize) {
    let Some(first) = rest.first() else { return (Escape::Literal, 0) };
    let more = dialect != Dialect::Echo;
    let operand = matches!(dialect, Dialect::Echo | Dialect::Argument);
    match first {
        b'a' => (Escape::Byte(7), 1),
        b'b' => (Escape::Byte(8), 1),
        b'e' => (Escape::Byte(27), 1),
        b'f' => (Escape::Byte(12), 1),
        b'n' => (Escape::Byte(b'\n'), 1),
        b'r' => (Escape::Byte(b'\r'), 1),
        b't' => (Escape::Byte(b'\t'), 1),
        b'v' => (Escape::Byte(11), 1),
        b'\\' => (Escape::Byte(b'\\'), 1),
        b'E' if dialect == Dialect::Quote => (Escape::Byte(27), 1),
        b'"' if matches!(dialect, Dialect::Format | Dialect::Quote) => (Escape::Byte(b'"'), 1),
        b'\'' | b'?' if dialect == Dialect::Quote => (Escape::Byte(*first), 1),
        b'c' if operand => (Escape::Stop, 1),
        b'c' if dialect == Dialect::Quote => match rest.get(1) {
            Some(b'?') => (Escape::Byte(127), 2),
            // `\c\\` is how `$'…'` spells the control character of a backslash.
            Some(b'\\') => (Escape::Byte(28), if rest.get(2) == Some(&b'\\') { 3 } else { 2 }),
            Some(letter) => (Escape::Byte(letter.to_ascii_uppercase() & 31), 2),
            None => (Escape::Literal, 0),
        },
        b'0' if operand => number(rest, 1, 8, 3),
        b'0'..=b'7' => number(rest, 0, 8, 3),
        b'x' if more => number(rest, 1, 16, 2),
        b'u' if more => character(rest, 4),
        b'U' if more => character(rest, 8),
        _ => (Escape::Literal, 0),
    }
}

/// Appends `text` with its escapes replaced; false where a `\c` ended it.
pub fn expand(out: &mut Vec<u8>, text: &[u8], dialect: Dialect) -> bool {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let (escape, taken) = read(rest, dialect);
        match escape {
            Escape::Byte(byte) => out.push(byte),
            Escape::Char(char) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            Escape::Literal => out.push(b'\\'),
            Escape::Stop => return false,
        }
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    true
}

/// The digits from `start` on, as many as there are and at most `most`.
fn digits(rest: &[u8], start: usize, radix: u32, most: usize) -> (u32, usize) {
    let digit = |byte: &u8| char::from(*byte).to_digit(radix);
    let mut value = 0u32;
    let mut count = 0;
    for digit in rest[start..].iter().take(most).map_while(digit) {
        value = value.wrapping_mul(radix).wrapping_add(digit);
        count += 1;
    }
    (value, count)
}

/// A byte; what exceeds eight bits is cut off, as in C. `\0` alone is a NUL, `\x` alone is nothing.
fn number(rest: &[u8], start: usize, radix: u32, most: usize) -> (Escape, usize) {
    match digits(rest, start, radix, most) {
        (_, 0) if radix == 16 => (Escape::Literal, 0),
        (value, count) => (Escape::Byte((value & 0xff) as u8), start + count),
    }
}

fn character(rest: &[u8], most: usize) -> (Escape, usize) {
    match digits(rest, 1, 16, most) {
        (value, count) if count > 0 => match char::from_u32(value) {
            Some(char) => (Escape::Char(char), 1 + count),
            None => (Escape::Literal, 0),
        },
        _ => (Escape::Literal, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str, dialect: Dialect) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let whole = expand(&mut out, text.as_bytes(), dialect);
        (out, whole)
    }

    #[test]
    fn what_all_dialects_share() {
        for dialect in [Dialect::Echo, Dialect::Argument, Dialect::Format, Dialect::Quote] {
            assert_eq!(
                expanded(r"a\a\b\f\n\r\t\v\\z\q\", dialect),
                (b"a\x07\x08\x0c\n\r\t\x0b\\z\\q\\".to_vec(), true)
            );
        }
    }

    #[test]
    fn octal_numbers() {
        assert_eq!(expanded(r"\0101\101\08\0", Dialect::Echo).0, b"AA\08\0");
        assert_eq!(expanded(r"\0101\1018\0777", Dialect::Format).0, b"\x081A8\x3f7");
    }

    #[test]
    fn hexadecimal_numbers_and_characters() {
        assert_eq!(expanded(r"\x41", Dialect::Echo).0, br"\x41");
        assert_eq!(expanded(r"\x414\xz\u00e9\U1F600\ud800", Dialect::Argument).0, "A4\\xzé😀\\ud800".as_bytes());
    }

    #[test]
    fn c_stops_controls_or_is_literal() {
        assert_eq!(expanded(r"a\cb", Dialect::Echo), (b"a".to_vec(), false));
        assert_eq!(expanded(r"a\cb", Dialect::Format), (br"a\cb".to_vec(), true));
        assert_eq!(expanded(r"a\cb\c\\c\c", Dialect::Quote), (b"a\x02\x1cc\\c".to_vec(), true));
    }
}
