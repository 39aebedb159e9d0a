//! Netlink (netlink(7)): questions to the kernel about our own network namespace, and its answers as bytes. Only
//! questions: what would change something is never sent.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// struct nlmsghdr.
const HEADER: usize = 16;
/// struct nlattr.
const ATTRIBUTE: usize = 4;

/// The largest datagram that the kernel makes for a dump.
const BUFFER: usize = 32 * 1024;

/// The kernel answers at once; nobody waits longer for it, whatever is wrong.
const SECONDS: i64 = 5;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u16,
    pub body: &'a [u8],
}

/// The messages of a datagram, as far as their lengths make sense.
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = u32_at(self.0, 0).and_then(|length| usize::try_from(length).ok())?;
        let message = Message { kind: u16_at(self.0, 4)?, body: self.0.get(HEADER..length)? };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes behind a message's fixed part: type and value. Nested ones are attributes again.
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(u16_at(self.0, 0)?);
        // The two highest bits are flags.
        let kind = u16_at(self.0, 2)? & 0x3fff;
        let value = self.0.get(ATTRIBUTE..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_ne_bytes)
}

/// What the kernel lists in answer to one question.
pub struct Dump {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// The part of the buffer that has not been looked at.
    rest: std::ops::Range<usize>,
    done: bool,
}

impl Dump {
    /// Asks, and waits for the start of the answer, so that a kernel that does not know the question says so here.
    pub fn start(protocol: SockProtocol, kind: u16, question: &[u8]) -> io::Result<Dump> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(SECONDS, 0))?;
        send(socket.as_raw_fd(), &request(kind, question), MsgFlags::empty())?;
        let mut dump = Dump { socket, buffer: vec![0; BUFFER], rest: 0..0, done: false };
        dump.receive()?;
        match Messages(&dump.buffer[dump.rest.clone()]).next() {
            Some(message) if message.kind == NLMSG_ERROR => Err(error(message.body)),
            _ => Ok(dump),
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let length = recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
        self.rest = 0..length.min(self.buffer.len());
        Ok(())
    }

    /// The next message that `parse` makes something of.
    pub fn next<T>(&mut self, mut parse: impl FnMut(&Message) -> Option<T>) -> Option<io::Result<T>> {
        while !self.done {
            let mut messages = Messages(&self.buffer[self.rest.clone()]);
            let Some(message) = messages.next() else {
                if let Err(error) = self.receive() {
                    self.done = true;
                    return Some(Err(error));
                }
                self.done = self.rest.is_empty();
                continue;
            };
            self.rest.start = self.rest.end - messages.0.len();
            match message.kind {
                NLMSG_DONE => self.done = true,
                NLMSG_ERROR => {
                    self.done = true;
                    return Some(Err(error(message.body)));
                }
                _ => match parse(&message) {
                    Some(row) => return Some(Ok(row)),
                    None => continue,
                },
            }
        }
        None
    }
}

/// A message that asks for a list: NLM_F_REQUEST and NLM_F_DUMP.
fn request(kind: u16, question: &[u8]) -> Vec<u8> {
    const FLAGS: u16 = 0x1 | 0x300;
    let length = u32::try_from(HEADER + question.len()).unwrap_or(u32::MAX);
    let sequence = 1u32;
    let sender = 0u32;
    [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &FLAGS.to_ne_bytes(),
        &sequence.to_ne_bytes(),
        &sender.to_ne_bytes(),
        question,
    ]
    .concat()
}

/// struct nlmsgerr: a negative number.
fn error(body: &[u8]) -> io::Error {
    let number = array(body, 0).map(i32::from_ne_bytes).unwrap_or(0);
    io::Error::from_raw_os_error(number.checked_neg().filter(|number| *number > 0).unwrap_or(libc::EPROTO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn messages_and_attributes() {
        let bytes = b"\x1a\0\0\0\x14\0\x02\0\x01\0\0\0\0\0\0\0\x05\0\x01\0x\0\0\0\x04\0\
            \0\0\x10\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\xff";
        let messages: Vec<Message> = Messages(bytes).collect();
        let first = b"\x05\0\x01\0x\0\0\0\x04\0";
        assert_eq!(messages, [Message { kind: 20, body: first }, Message { kind: NLMSG_DONE, body: b"" }]);
        assert_eq!(Attributes(b"\x05\0\x01\x80x\0\0\0\x04\0\x02\0").collect::<Vec<_>>(), [(1, &b"x"[..]), (2, b"")]);
    }

    #[test]
    fn lengths_that_make_no_sense_end_it() {
        for bytes in [&b""[..], b"\0\0\0\0", &[0; 64], &[0xff; 64], b"\x0f\0\0\0\x14\0\x02\0\x01\0\0\0\0\0\0\0"] {
            assert_eq!(Messages(bytes).next(), None);
        }
        for bytes in [&b""[..], b"\0\0\0", &[0; 8], b"\x03\0\x01\0", b"\x09\0\x01\0xxxx"] {
            assert_eq!(Attributes(bytes).next(), None);
        }
    }

    #[test]
    fn errors_have_their_numbers() {
        assert_eq!(error(&(-libc::ENOENT).to_ne_bytes()).raw_os_error(), Some(libc::ENOENT));
        for body in [&b""[..], &[0; 4], &[1, 0, 0, 0], &i32::MIN.to_ne_bytes()] {
            assert_eq!(error(body).raw_os_error(), Some(libc::EPROTO));
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_question() {
        assert_eq!(request(20, b"abcd"), b"\x14\0\0\0\x14\0\x01\x03\x01\0\0\0\0\0\0\0abcd");
    }
}
