//! The classic text protocol (doc/protocol.txt of memcached's source): bytes to the elements of a reply. Pure. A reply is
//! a sequence of elements, so that one which is long is read as it comes; the data of a value is none of them, because
//! it may be larger than memory.

use std::fmt;

use crate::output::Safe;
use crate::protocol::foreign;

/// More than any line of any reply; a longer one is no memcached's.
pub const MAX_LINE: usize = 64 * 1024;
/// memcached's own limit (KEY_MAX_LENGTH).
pub const MAX_KEY: usize = 250;

/// One line of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    Version(&'a [u8]),
    Stat {
        name: &'a [u8],
        value: &'a [u8],
    },
    /// The line before a value: `length` bytes and an end of line follow.
    Value(Value<'a>),
    /// What a counter has become.
    Number(u64),
    /// Of the meta commands: the code, and the rest of the line.
    Meta([u8; 2], &'a [u8]),
    End,
    Stored,
    NotStored,
    Exists,
    NotFound,
    Deleted,
    Touched,
    Ok,
    Reset,
    Refused(Refusal),
}

/// The line before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    pub key: &'a [u8],
    pub flags: u32,
    pub length: u64,
    pub cas: Option<u64>,
}

/// The server's no, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ERROR`: it does not know the command.
    Unknown(Vec<u8>),
    /// `CLIENT_ERROR`: what was sent is wrong.
    Client(Vec<u8>),
    /// `SERVER_ERROR`: it cannot.
    Server(Vec<u8>),
    Busy(Vec<u8>),
    /// In the binary protocol.
    Binary(Vec<u8>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match self {
            Refusal::Unknown(text) => ("ERROR", text),
            Refusal::Client(text) => ("CLIENT_ERROR", text),
            Refusal::Server(text) => ("SERVER_ERROR", text),
            Refusal::Busy(text) => ("BUSY", text),
            Refusal::Binary(text) => return Safe(text).fmt(f),
        };
        f.write_str(word)?;
        if text.is_empty() { Ok(()) } else { write!(f, " {}", Safe(text)) }
    }
}

/// Why bytes are no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Another protocol's, with its name where it is known, and the first line.
    Foreign(Option<&'static str>, Vec<u8>),
    /// A line, or a value, that is longer than allowed.
    TooLong,
}

/// Reads one element and says how many bytes it took; `None` where more bytes are needed.
pub fn element(bytes: &[u8]) -> Result<Option<(Element<'_>, usize)>, Malformed> {
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        // Some protocols begin with something that has no lines.
        return match foreign::recognise(bytes) {
            Some(name) if name != "memcached" => Err(Malformed::Foreign(Some(name), sample(bytes))),
            _ if bytes.len() >= MAX_LINE => Err(Malformed::TooLong),
            _ => Ok(None),
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let used = end + 1;
    let (word, rest) = match memchr::memchr(b' ', line) {
        Some(space) => (&line[..space], &line[space + 1..]),
        None => (line, &line[line.len()..]),
    };
    let element = match (word, rest) {
        (b"VERSION", version) => Element::Version(version),
        (b"STAT", rest) => {
            let space = memchr::memchr(b' ', rest).unwrap_or(rest.len());
            Element::Stat { name: &rest[..space], value: rest.get(space + 1..).unwrap_or_default() }
        }
        (b"VALUE", rest) => match value(rest) {
            Some(value) => Element::Value(value),
            None => return Err(Malformed::Foreign(None, sample(line))),
        },
        (b"END", b"") => Element::End,
        (b"STORED", b"") => Element::Stored,
        (b"NOT_STORED", b"") => Element::NotStored,
        (b"EXISTS", b"") => Element::Exists,
        (b"NOT_FOUND", b"") => Element::NotFound,
        (b"DELETED", b"") => Element::Deleted,
        (b"TOUCHED", b"") => Element::Touched,
        (b"OK", _) => Element::Ok,
        (b"RESET", b"") => Element::Reset,
        // Some versions put a colon behind the word.
        (b"ERROR" | b"ERROR:", text) => Element::Refused(Refusal::Unknown(text.to_vec())),
        (b"CLIENT_ERROR" | b"CLIENT_ERROR:", text) => Element::Refused(Refusal::Client(text.to_vec())),
        (b"SERVER_ERROR" | b"SERVER_ERROR:", text) => Element::Refused(Refusal::Server(text.to_vec())),
        (b"BUSY", text) => Element::Refused(Refusal::Busy(text.to_vec())),
        (b"HD" | b"VA" | b"EN" | b"NS" | b"EX" | b"NF" | b"MN" | b"ME", rest) => {
            Element::Meta([word[0], word[1]], rest)
        }
        // decr leaves blanks behind a number that has become shorter.
        (digits, _) if digits.first().is_some_and(u8::is_ascii_digit) && rest.iter().all(|byte| *byte == b' ') => {
            match number(digits) {
                Some(number) => Element::Number(number),
                None => return Err(Malformed::Foreign(None, sample(line))),
            }
        }
        _ => return Err(Malformed::Foreign(foreign::recognise(bytes), sample(line))),
    };
    Ok(Some((element, used)))
}

/// `VALUE <key> <flags> <length> [<cas>]`
fn value(rest: &[u8]) -> Option<Value<'_>> {
    let mut words = rest.split(|byte| *byte == b' ');
    let key = words.next().filter(|key| !key.is_empty() && key.len() <= MAX_KEY)?;
    let flags = words.next().and_then(number).and_then(|flags| u32::try_from(flags).ok())?;
    let length = words.next().and_then(number)?;
    let cas = words.next().map(|cas| number(cas).ok_or(())).transpose().ok()?;
    words.next().is_none().then_some(Value { key, flags, length, cas })
}

/// A decimal number without sign.
pub fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
    text.parse().ok()
}

/// As much of a reply as a message shows.
pub fn sample(bytes: &[u8]) -> Vec<u8> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line[..line.len().min(60)].to_vec()
}

/// Why a key cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKey {
    Empty,
    Long,
    Forbidden,
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadKey::Empty => f.write_str("a key is empty"),
            BadKey::Long => write!(f, "a key has at most {MAX_KEY} bytes"),
            BadKey::Forbidden => f.write_str("a key has no spaces and no control characters"),
        }
    }
}

/// Checks a key before anything is sent: with a line break in it, it would be a command of its own.
pub fn check_key(key: &[u8]) -> Result<(), BadKey> {
    match key {
        [] => Err(BadKey::Empty),
        _ if key.len() > MAX_KEY => Err(BadKey::Long),
        _ if key.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) => Err(BadKey::Forbidden),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::element as one;

    #[test]
    fn lines() {
        for (bytes, expected) in [
            (&b"VERSION 1.6.18\r\n"[..], Element::Version(b"1.6.18")),
            (b"STAT pid 7\r\n", Element::Stat { name: b"pid", value: b"7" }),
            (b"STAT inter \r\n", Element::Stat { name: b"inter", value: b"" }),
            (b"STAT 1:chunk_size a b\r\n", Element::Stat { name: b"1:chunk_size", value: b"a b" }),
            (b"STAT odd\r\n", Element::Stat { name: b"odd", value: b"" }),
            (b"END\r\n", Element::End),
            (b"STORED\n", Element::Stored),
            (b"ERROR\r\n", Element::Refused(Refusal::Unknown(vec![]))),
            (b"ERROR: shutdown not enabled\r\n", Element::Refused(Refusal::Unknown(b"shutdown not enabled".to_vec()))),
            (b"CLIENT_ERROR bad\r\n", Element::Refused(Refusal::Client(b"bad".to_vec()))),
            (b"SERVER_ERROR no\r\n", Element::Refused(Refusal::Server(b"no".to_vec()))),
            (b"VALUE k 7 5\r\n", Element::Value(Value { key: b"k", flags: 7, length: 5, cas: None })),
            (b"VALUE \xff 0 18446744073709551615 18446744073709551615\r\n", {
                Element::Value(Value { key: b"\xff", flags: 0, length: u64::MAX, cas: Some(u64::MAX) })
            }),
            (b"18446744073709551615\r\n", Element::Number(u64::MAX)),
            (b"0   \r\n", Element::Number(0)),
            (b"HD\r\n", Element::Meta(*b"HD", b"")),
            (b"VA 2 t-1 s2\r\n", Element::Meta(*b"VA", b"2 t-1 s2")),
        ] {
            assert_eq!(one(bytes), Ok(Some((expected, bytes.len()))));
            for length in 0..bytes.len() {
                assert_eq!(one(&bytes[..length]), Ok(None), "cut at {length}");
            }
        }
    }

    #[test]
    fn values_that_lie() {
        for bytes in [
            &b"VALUE k 0 -1\r\n"[..],
            b"VALUE k\r\n",
            b"VALUE\r\n",
            b"VALUE k 0 18446744073709551616\r\n",
            b"VALUE k 4294967296 1\r\n",
            b"VALUE k 0 1 x\r\n",
            b"VALUE k 0 1 2 3\r\n",
            b"18446744073709551616\r\n",
        ] {
            assert!(matches!(one(bytes), Err(Malformed::Foreign(None, _))), "{bytes:?}");
        }
    }

    #[test]
    fn other_protocols() {
        let other = |bytes| match one(bytes) {
            Err(Malformed::Foreign(name, line)) => (name, String::from_utf8_lossy(&line).into_owned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(other(b"HTTP/1.1 400 Bad Request\r\nX"), (Some("HTTP"), "HTTP/1.1 400 Bad Request".into()));
        assert_eq!(other(b"\x15\x03\x01\x00\x02\x02\x46").0, Some("TLS"));
        assert_eq!(other(b"SSH-2.0-x").0, Some("SSH"));
        assert_eq!(other(b"hello\r\n"), (None, "hello".into()));
        assert_eq!(other(b"\r\n"), (None, String::new()));
    }

    #[test]
    fn a_line_without_an_end() {
        assert_eq!(one(&vec![b'x'; MAX_LINE - 1]), Ok(None));
        assert_eq!(one(&vec![b'x'; MAX_LINE]), Err(Malformed::TooLong));
    }

    #[test]
    fn keys() {
        assert_eq!(check_key("schlüssel".as_bytes()), Ok(()));
        assert_eq!(check_key(&[b'k'; 250]), Ok(()));
        assert_eq!(check_key(&[b'k'; 251]), Err(BadKey::Long));
        assert_eq!(check_key(b""), Err(BadKey::Empty));
        for key in [&b"a b"[..], b"a\r\nflush_all", b"\0", b"\x7f"] {
            assert_eq!(check_key(key), Err(BadKey::Forbidden));
        }
    }
}
