//! Asks a memcached over any stream. One request at a time; after an error the connection is not used again, because
//! what it still holds may belong to the old request.

use std::io::{self, Read, Write};

use super::codec::{Element, Malformed, Refusal, element};

/// The longest answer to `stats`: each of its subcommands stays far below.
pub const MAX_STATS: usize = 4 * 1024 * 1024;
/// More than a value can have (`-I` takes at most 1 GiB, and nobody wants that in memory here).
pub const MAX_VALUE: usize = 128 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub enum Error {
    Io(io::Error),
    /// The server closed the connection before the answer was complete; how much of it had come.
    Closed(usize),
    Malformed(Malformed),
    /// An answer to another question.
    Unexpected,
    Refused(Refusal),
    /// It wants a login first (`-Y`).
    Login,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Names and values in the server's order.
pub type Stats = Vec<(Vec<u8>, Vec<u8>)>;

/// How a `set` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Yes,
    No,
}

pub struct Client<S> {
    stream: S,
    /// What has been received and not used.
    buffer: Vec<u8>,
    used: usize,
    /// Of the answer that is being read.
    received: usize,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Client<S> {
        Client { stream, buffer: Vec::new(), used: 0, received: 0 }
    }

    pub fn version(&mut self) -> Result<Vec<u8>> {
        self.send(&[b"version\r\n"])?;
        self.next(|element| match element {
            Element::Version(version) => Ok(version.to_vec()),
            _ => Err(Error::Unexpected),
        })
    }

    /// `stats`, or `stats NAME`.
    pub fn stats(&mut self, name: Option<&[u8]>) -> Result<Stats> {
        match name {
            None => self.send(&[b"stats\r\n"])?,
            Some(name) => self.send(&[b"stats ", name, b"\r\n"])?,
        }
        let mut stats = Stats::new();
        loop {
            let stat = self.next(|element| match element {
                Element::Stat { name, value } => Ok(Some((name.to_vec(), value.to_vec()))),
                Element::End | Element::Reset | Element::Ok => Ok(None),
                _ => Err(Error::Unexpected),
            })?;
            match stat {
                Some(stat) => stats.push(stat),
                None => return Ok(stats),
            }
            if self.received > MAX_STATS {
                return Err(Error::Malformed(Malformed::TooLong));
            }
        }
    }

    /// The value of a key, which has passed [`super::codec::check_key`].
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.send(&[b"get ", key, b"\r\n"])?;
        let value = self.next(|element| match element {
            Element::Value { key: answered, data, .. } if answered == key => Ok(Some(data.to_vec())),
            Element::End => Ok(None),
            _ => Err(Error::Unexpected),
        })?;
        if value.is_some() {
            self.next(|element| if element == Element::End { Ok(()) } else { Err(Error::Unexpected) })?;
        }
        Ok(value)
    }

    /// Stores a value for `seconds`, 0 for ever.
    pub fn set(&mut self, key: &[u8], value: &[u8], seconds: u32) -> Result<Stored> {
        let header = format!(" 0 {seconds} {}\r\n", value.len());
        self.send(&[b"set ", key, header.as_bytes(), value, b"\r\n"])?;
        self.next(|element| match element {
            Element::Stored => Ok(Stored::Yes),
            Element::NotStored => Ok(Stored::No),
            _ => Err(Error::Unexpected),
        })
    }

    fn send(&mut self, parts: &[&[u8]]) -> Result<()> {
        self.received = 0;
        let sent = self.stream.write_all(&parts.concat()).and_then(|()| self.stream.flush());
        match sent {
            // A server at its limit of connections says so and hangs up without listening: its words come first.
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                match self.next(|_| Ok(())) {
                    Err(Error::Io(_) | Error::Closed(_)) => Err(Error::Io(error)),
                    Err(said) => Err(said),
                    Ok(()) => Err(Error::Io(error)),
                }
            }
            sent => Ok(sent?),
        }
    }

    /// Reads one element. What the server refuses is an error whatever was asked.
    fn next<T>(&mut self, take: impl FnOnce(Element<'_>) -> Result<T>) -> Result<T> {
        loop {
            match element(&self.buffer[self.used..], MAX_VALUE).map_err(Error::Malformed)? {
                Some((Element::Refused(Refusal::Client(text)), _)) if text.starts_with(b"unauthenticated") => {
                    return Err(Error::Login);
                }
                Some((Element::Refused(refusal), _)) => return Err(Error::Refused(refusal)),
                Some((element, length)) => {
                    self.used += length;
                    return take(element);
                }
                None => self.receive()?,
            }
        }
    }

    fn receive(&mut self) -> Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + (held / 2).max(16 * 1024), 0);
        let length = loop {
            match self.stream.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + *length.as_ref().unwrap_or(&0));
        match length? {
            0 => Err(Error::Closed(self.received)),
            length => {
                self.received += length;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Deadline, dial::Listener, dial::tcp};
    use std::collections::VecDeque;
    use std::time::Duration;

    /// A stream of recorded answers, given out in pieces of `piece` bytes.
    struct Recorded {
        replies: VecDeque<u8>,
        piece: usize,
        sent: Vec<u8>,
    }

    impl Read for Recorded {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.piece.min(buffer.len());
            self.replies.read(&mut buffer[..length])
        }
    }

    impl Write for Recorded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.sent.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn client(replies: &[u8], piece: usize) -> Client<Recorded> {
        Client::new(Recorded { replies: replies.iter().copied().collect(), piece, sent: Vec::new() })
    }

    const STATS: &[u8] = b"STAT pid 7\r\nSTAT version 1.6.18\r\nEND\r\n";
    const VALUE: &[u8] = b"VALUE k 0 7\r\na\r\nEND\r\r\nEND\r\n";

    #[test]
    fn answers_in_pieces_of_any_size() {
        for piece in 1..60 {
            let mut client =
                client(&[b"VERSION 1.6.18\r\n", STATS, VALUE, b"END\r\nSTORED\r\nNOT_STORED\r\n"].concat(), piece);
            assert_eq!(client.version().unwrap(), b"1.6.18");
            let stats = [(b"pid".to_vec(), b"7".to_vec()), (b"version".to_vec(), b"1.6.18".to_vec())];
            assert_eq!(client.stats(Some(b"settings")).unwrap(), stats);
            assert_eq!(client.get(b"k").unwrap().unwrap(), b"a\r\nEND\r");
            assert_eq!(client.get(b"k").unwrap(), None);
            assert_eq!(client.set(b"k", b"a\r\nb", 60).unwrap(), Stored::Yes);
            assert_eq!(client.set(b"k", b"", 0).unwrap(), Stored::No);
            let sent = b"version\r\nstats settings\r\nget k\r\nget k\r\nset k 0 60 4\r\na\r\nb\r\nset k 0 0 0\r\n\r\n";
            assert_eq!(client.stream.sent, sent);
        }
    }

    #[test]
    fn closed_at_every_byte() {
        for length in 0..STATS.len() {
            assert!(matches!(client(&STATS[..length], 7).stats(None), Err(Error::Closed(held)) if held == length));
        }
        for length in 0..VALUE.len() {
            assert!(matches!(client(&VALUE[..length], 7).get(b"k"), Err(Error::Closed(held)) if held == length));
        }
    }

    #[test]
    fn refusals() {
        let refused = |reply: &[u8]| match client(reply, 100).stats(None) {
            Err(Error::Refused(refusal)) => refusal.to_string(),
            Err(Error::Login) => String::from("login"),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"ERROR Too many open connections\r\n"), "ERROR Too many open connections");
        assert_eq!(refused(b"SERVER_ERROR out of \x1b[31m memory\r\n"), "SERVER_ERROR out of \\x1b[31m memory");
        assert_eq!(refused(b"CLIENT_ERROR unauthenticated\r\n"), "login");
        assert_eq!(refused(b"STAT a b\r\nBUSY currently processing\r\n"), "BUSY currently processing");
    }

    #[test]
    fn wrong_answers() {
        assert!(matches!(client(b"STORED\r\n", 9).version(), Err(Error::Unexpected)));
        assert!(matches!(client(b"VALUE other 0 1\r\nx\r\nEND\r\n", 99).get(b"k"), Err(Error::Unexpected)));
        let http = client(b"HTTP/1.1 400 Bad Request\r\n\r\n", 99).version();
        assert!(matches!(http, Err(Error::Malformed(Malformed::Foreign(Some("HTTP"), _)))));
    }

    #[test]
    fn an_endless_answer_is_bounded() {
        let endless = b"STAT name value\r\n".repeat(MAX_STATS / 17 + 5000);
        assert!(matches!(client(&endless, 1 << 20).stats(None), Err(Error::Malformed(Malformed::TooLong))));
        let line = vec![b'x'; 1 << 20];
        assert!(matches!(client(&line, 1 << 20).version(), Err(Error::Malformed(Malformed::TooLong))));
    }

    #[test]
    fn silence_ends_at_the_deadline() {
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local().unwrap().unwrap();
        let stream = tcp(&[address], 0, Deadline::after(Duration::from_millis(30))).unwrap();
        let silence = Client::new(stream).version();
        assert!(matches!(silence, Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut));
    }
}
