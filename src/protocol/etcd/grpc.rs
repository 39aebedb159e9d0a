//! gRPC's frame (a byte that says whether it is compressed, four of length, the message) and its statuses.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::output::Safe;

/// A message in a frame.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + PREFIX);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

const PREFIX: usize = 5;

/// Takes frames apart that come in pieces. Holds no more than has come.
#[derive(Default)]
pub struct Decoder {
    held: BytesMut,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Compressed,
    /// Longer than allowed; how long.
    TooLong(usize),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Compressed => f.write_str("a compressed message, which was not asked for"),
            Malformed::TooLong(length) => write!(f, "a message of {length} bytes, more than is allowed"),
        }
    }
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next message, once it is complete.
    pub fn next(&mut self, limit: usize) -> Result<Option<Bytes>, Malformed> {
        let Some((prefix, rest)) = self.held.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let [compressed, length @ ..] = *prefix;
        if compressed != 0 {
            return Err(Malformed::Compressed);
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > limit {
            return Err(Malformed::TooLong(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let mut framed = self.held.split_to(PREFIX + length);
        Ok(Some(framed.split_off(PREFIX).freeze()))
    }

    /// Whether something is left that is no whole message.
    pub fn is_partial(&self) -> bool {
        !self.held.is_empty()
    }
}

/// gRPC's status codes that something here depends on.
pub mod code {
    pub const UNKNOWN: u32 = 2;
    pub const INVALID_ARGUMENT: u32 = 3;
    pub const UNIMPLEMENTED: u32 = 12;
    pub const UNAVAILABLE: u32 = 14;
    pub const UNAUTHENTICATED: u32 = 16;
}

/// What a call ended with, other than 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u32,
    pub message: String,
}

impl Status {
    /// From the two header fields; `None` for a status of 0.
    pub fn parse(code: &[u8], message: &[u8]) -> Option<Status> {
        let code = std::str::from_utf8(code).ok().and_then(|text| text.parse().ok()).unwrap_or(code::UNKNOWN);
        (code != 0).then(|| Status { code, message: String::from_utf8_lossy(&unescape(message)).into_owned() })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.message.as_str(), self.code) {
            ("", code::UNIMPLEMENTED) => f.write_str("the server does not know this call"),
            ("", code) => write!(f, "the server gives code {code} and no reason"),
            (message, _) => Safe(message.as_bytes()).fmt(f),
        }
    }
}

/// `%41` to `A`. What is no escape stays as it is.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        assert_eq!(&frame(b"ab")[..], b"\0\0\0\0\x02ab");
        let mut decoder = Decoder::default();
        for byte in b"\0\0\0\0\x02ab\0\0\0\0" {
            decoder.push(&[*byte]);
        }
        assert_eq!(decoder.next(2), Ok(Some(Bytes::from_static(b"ab"))));
        assert_eq!(decoder.next(2), Ok(None));
        assert!(decoder.is_partial());
        decoder.push(b"\0");
        assert_eq!(decoder.next(2), Ok(Some(Bytes::new())));
        assert!(!decoder.is_partial());
    }

    #[test]
    fn what_is_no_frame() {
        let mut decoder = Decoder::default();
        decoder.push(b"\0\xff\xff\xff\xff");
        assert_eq!(decoder.next(1 << 20), Err(Malformed::TooLong(0xffff_ffff)));
        let mut decoder = Decoder::default();
        decoder.push(b"\x01\0\0\0\0");
        assert_eq!(decoder.next(1 << 20), Err(Malformed::Compressed));
    }

    #[test]
    fn statuses() {
        assert_eq!(Status::parse(b"0", b""), None);
        let status = Status::parse(b"5", b"etcdserver: 100%25 %zz %e2%82%ac %").unwrap();
        assert_eq!((status.code, status.to_string().as_str()), (5, "etcdserver: 100% %zz \u{20ac} %"));
        assert_eq!(Status::parse(b"x", b"").unwrap().to_string(), "the server gives code 2 and no reason");
        assert_eq!(Status::parse(b"12", b"").unwrap().to_string(), "the server does not know this call");
    }
}
