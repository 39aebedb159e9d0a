//! The binary protocol (deprecated, and the only one that SASL works in): 24 bytes of header, and a body. Pure.

use std::fmt;

use super::text::{Malformed, sample};
use crate::output::Safe;
use crate::protocol::foreign;

pub const HEADER: usize = 24;

/// The commands that are used here.
pub mod opcode {
    pub const GET: u8 = 0x00;
    pub const SET: u8 = 0x01;
    pub const ADD: u8 = 0x02;
    pub const REPLACE: u8 = 0x03;
    pub const DELETE: u8 = 0x04;
    pub const INCREMENT: u8 = 0x05;
    pub const DECREMENT: u8 = 0x06;
    pub const FLUSH: u8 = 0x08;
    pub const VERSION: u8 = 0x0b;
    pub const APPEND: u8 = 0x0e;
    pub const PREPEND: u8 = 0x0f;
    pub const STAT: u8 = 0x10;
    pub const TOUCH: u8 = 0x1c;
    pub const GAT: u8 = 0x1d;
    pub const SASL_LIST: u8 = 0x20;
    pub const SASL_AUTH: u8 = 0x21;
}

/// How a server answers. The numbers are what servers send; the table in the protocol's document differs for logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    pub const OK: Status = Status(0);
    pub const NOT_FOUND: Status = Status(1);
    pub const EXISTS: Status = Status(2);
    pub const NOT_STORED: Status = Status(5);
    pub const LOGIN: Status = Status(0x20);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "done",
            1 => "not found",
            2 => "exists",
            3 => "too large",
            4 => "invalid arguments",
            5 => "not stored",
            6 => "not a number",
            0x20 => "login refused",
            0x21 => "login continues",
            0x81 => "unknown command",
            0x82 => "out of memory",
            0x83 => "not supported",
            0x84 => "internal error",
            0x85 => "busy",
            0x86 => "temporary failure",
            number => return write!(f, "status {number:#x}"),
        })
    }
}

/// The header of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub opcode: u8,
    pub status: Status,
    pub extras: usize,
    pub key: usize,
    /// Of extras, key and value together.
    pub body: usize,
    pub opaque: u32,
    pub cas: u64,
}

/// Reads a header; `None` where more bytes are needed.
pub fn header(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if bytes.first().is_some_and(|magic| *magic != 0x81) {
        let name = foreign::recognise(bytes);
        // Some names can only be told from more than one byte.
        return match name {
            None if bytes.len() < HEADER && !bytes.contains(&b'\n') => Ok(None),
            name => Err(Malformed::Foreign(name, sample(bytes))),
        };
    }
    let Some(bytes) = bytes.first_chunk::<HEADER>() else { return Ok(None) };
    let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let long = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let header = Header {
        opcode: bytes[1],
        status: Status(word(6)),
        extras: usize::from(bytes[4]),
        key: usize::from(word(2)),
        body: long(8) as usize,
        opaque: long(12),
        cas: u64::from(long(16)) << 32 | u64::from(long(20)),
    };
    match header.extras + header.key <= header.body {
        true => Ok(Some(header)),
        false => Err(Malformed::Foreign(Some("memcached's binary protocol"), b"lengths that contradict".to_vec())),
    }
}

/// A reply whose body has come whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    pub header: Header,
    pub extras: &'a [u8],
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// Reads a reply of at most `limit` bytes, and says how many it took.
pub fn reply(bytes: &[u8], limit: usize) -> Result<Option<(Reply<'_>, usize)>, Malformed> {
    let Some(header) = header(bytes)? else { return Ok(None) };
    if header.body > limit {
        return Err(Malformed::TooLong);
    }
    let Some(body) = bytes.get(HEADER..HEADER + header.body) else { return Ok(None) };
    let (extras, rest) = body.split_at(header.extras);
    let (key, value) = rest.split_at(header.key);
    Ok(Some((Reply { header, extras, key, value }, HEADER + header.body)))
}

/// The header, the extras and the key of a request; `length` bytes of a value follow.
pub fn request(opcode: u8, extras: &[u8], key: &[u8], length: usize, cas: u64) -> Vec<u8> {
    let body = extras.len() + key.len() + length;
    let mut bytes = vec![0x80, opcode];
    bytes.extend_from_slice(&(key.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&[extras.len() as u8, 0, 0, 0]);
    bytes.extend_from_slice(&(body as u32).to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&cas.to_be_bytes());
    bytes.extend_from_slice(extras);
    bytes.extend_from_slice(key);
    bytes
}

/// What the body of a refusal says, or else its status.
pub fn refusal(reply: &Reply<'_>) -> Vec<u8> {
    let text = reply.value;
    match text.is_empty() || text.len() > 200 {
        true => reply.header.status.to_string().into_bytes(),
        false => Safe(text).to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: &[u8] = b"\x81\x0b\0\0\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\0\0\0\0\x001.6.18";

    #[test]
    fn a_reply_at_every_length() {
        let (version, used) = reply(VERSION, 100).unwrap().unwrap();
        assert_eq!((version.value, version.key, used), (&b"1.6.18"[..], &b""[..], 30));
        assert_eq!((version.header.opcode, version.header.status), (opcode::VERSION, Status::OK));
        for length in 0..VERSION.len() {
            assert_eq!(reply(&VERSION[..length], 100), Ok(None), "cut at {length}");
        }
        assert_eq!(reply(VERSION, 5), Err(Malformed::TooLong));
    }

    #[test]
    fn lengths_that_lie() {
        let mut bytes = VERSION.to_vec();
        bytes[4] = 7;
        assert!(matches!(reply(&bytes, 100), Err(Malformed::Foreign(Some(_), _))));
        let mut bytes = VERSION.to_vec();
        bytes[8..12].fill(0xff);
        assert_eq!(reply(&bytes, 1 << 20), Err(Malformed::TooLong));
    }

    #[test]
    fn other_protocols() {
        assert!(matches!(reply(b"ERROR\r\n", 9), Err(Malformed::Foreign(Some("memcached"), _))));
        assert!(matches!(reply(b"hello\r\n", 9), Err(Malformed::Foreign(None, _))));
        assert_eq!(reply(b"HTT", 9), Ok(None));
    }

    #[test]
    fn requests() {
        let set = request(opcode::SET, &[1; 8], b"k", 2, 7);
        assert_eq!(set[..2], [0x80, 1]);
        assert_eq!(set[2..12], [0, 1, 8, 0, 0, 0, 0, 0, 0, 11]);
        assert_eq!(set[16..], *b"\0\0\0\0\0\0\0\x07\x01\x01\x01\x01\x01\x01\x01\x01k");
    }
}
