//! Asks a memcached over any stream, in the text or in the binary protocol. One request at a time; after an error the
//! connection is not used again, because what it still holds may belong to the old request.

mod binary;
mod lists;
mod text;

use std::io::{self, Read, Write};

use super::meta;
use super::text::{Malformed, Refusal, Value};
use super::wire::Wire;

pub use lists::Heard;

/// The longest answer to `stats`: each of its subcommands stays far below.
pub const MAX_STATS: usize = 4 * 1024 * 1024;
/// The largest value that a server can have (`-I` takes at most 1 GiB).
pub const MAX_VALUE: u64 = 1 << 30;
/// Keys in one request, so that neither side waits for the other with full hands.
pub const MAX_KEYS: usize = 100;

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
    /// It wants a login first: by `-Y`, or by SASL.
    Login(Login),
    /// It does not take this one; in its words.
    Denied(Vec<u8>),
    /// Who takes the data cannot.
    Output(io::Error),
}

/// The kinds of logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// In the text protocol: the server's `-Y`.
    Text,
    /// In the binary protocol: the server's `-S`.
    Sasl,
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Io(error)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// Names and values in the server's order.
pub type Stats = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Text,
    Binary,
}

/// How something was stored, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Yes,
    /// The condition did not hold: `add` of what is there, `replace` or `append` of what is not.
    No,
    /// It has changed since (cas).
    Exists,
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas(u64),
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Set => "set",
            Mode::Add => "add",
            Mode::Replace => "replace",
            Mode::Append => "append",
            Mode::Prepend => "prepend",
            Mode::Cas(_) => "cas",
        }
    }
}

/// What is stored, but for the value. The key has passed [`super::text::check_key`].
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    pub mode: Mode,
    pub key: &'a [u8],
    pub flags: u32,
    /// As the server understands it: up to thirty days from now, or since 1970.
    pub seconds: u32,
    pub length: u64,
}

/// What is asked for. The keys have passed [`super::text::check_key`].
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    pub keys: &'a [&'a [u8]],
    pub cas: bool,
    /// The new time to live (`gat`).
    pub touch: Option<u32>,
}

/// A part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Value(Value<'a>),
    Data(&'a [u8]),
    End,
}

pub type Sink<'a> = &'a mut dyn FnMut(Piece<'_>) -> Result<()>;

/// A reply to a meta command, and its data.
pub type MetaReply = (meta::Reply, Vec<u8>);

pub struct Client<S> {
    wire: Wire<S>,
    dialect: Dialect,
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S, dialect: Dialect) -> Client<S> {
        Client { wire: Wire::new(stream), dialect }
    }

    pub fn stream(&mut self) -> &mut S {
        &mut self.wire.stream
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub fn version(&mut self) -> Result<Vec<u8>> {
        match self.dialect {
            Dialect::Text => self.text_version(),
            Dialect::Binary => self.binary_version(),
        }
    }

    /// Waits on for the version that has been asked for in the text protocol, where time ran out the first time.
    pub fn hear_version(&mut self) -> Result<Vec<u8>> {
        self.text_hear_version()
    }

    /// Logs in, by the only way that the dialect has.
    pub fn login(&mut self, user: &[u8], password: &[u8]) -> Result<()> {
        match self.dialect {
            Dialect::Text => self.text_login(user, password),
            Dialect::Binary => self.binary_login(user, password),
        }
    }

    /// `stats`, or `stats NAME`.
    pub fn stats(&mut self, name: Option<&[u8]>) -> Result<Stats> {
        match self.dialect {
            Dialect::Text => self.text_stats(name),
            Dialect::Binary => self.binary_stats(name),
        }
    }

    /// The values that are there, as they come.
    pub fn fetch(&mut self, fetch: &Fetch<'_>, sink: Sink<'_>) -> Result<()> {
        for keys in fetch.keys.chunks(MAX_KEYS) {
            let fetch = Fetch { keys, ..*fetch };
            match self.dialect {
                Dialect::Text => self.text_fetch(&fetch, sink)?,
                Dialect::Binary => self.binary_fetch(&fetch, sink)?,
            }
        }
        Ok(())
    }

    pub fn store(&mut self, store: &Store<'_>, value: &mut dyn Read) -> Result<Stored> {
        match self.dialect {
            Dialect::Text => self.text_store(store, value),
            Dialect::Binary => self.binary_store(store, value),
        }
    }

    /// Whether there was something to delete.
    pub fn delete(&mut self, key: &[u8]) -> Result<bool> {
        match self.dialect {
            Dialect::Text => self.text_delete(key),
            Dialect::Binary => self.binary_delete(key),
        }
    }

    /// Whether there was something to touch.
    pub fn touch(&mut self, key: &[u8], seconds: u32) -> Result<bool> {
        match self.dialect {
            Dialect::Text => self.text_touch(key, seconds),
            Dialect::Binary => self.binary_touch(key, seconds),
        }
    }

    /// Counts up or down; the new number, if there was one.
    pub fn count(&mut self, up: bool, key: &[u8], by: u64) -> Result<Option<u64>> {
        match self.dialect {
            Dialect::Text => self.text_count(up, key, by),
            Dialect::Binary => self.binary_count(up, key, by),
        }
    }

    /// Makes everything that is stored invalid, now or after so many seconds.
    pub fn flush(&mut self, seconds: u32) -> Result<()> {
        match self.dialect {
            Dialect::Text => self.text_flush(seconds),
            Dialect::Binary => self.binary_flush(seconds),
        }
    }

    /// One meta command, without an end of line. Only the text protocol has them.
    pub fn meta(&mut self, line: &[u8], data: Option<&[u8]>, most: u64) -> Result<MetaReply> {
        self.text_meta(line, data, most)
    }

    /// The ways to log in that the server names. Only the binary protocol can ask.
    pub fn mechanisms(&mut self) -> Result<Vec<u8>> {
        self.binary_mechanisms()
    }

    /// Sends bytes as they are; [`Client::receive`] has what comes back.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.wire.send(&[bytes])?)
    }

    /// What has come and not been looked at, after at least one more byte.
    pub fn receive(&mut self) -> Result<&[u8]> {
        self.wire.receive()?;
        Ok(self.wire.held())
    }

    pub fn held(&self) -> &[u8] {
        self.wire.held()
    }

    /// Sends a request. A server at its limit of connections says so and hangs up without listening: where the writing
    /// fails, its words come first.
    fn ask(&mut self, parts: &[&[u8]]) -> Result<()> {
        match self.wire.send(parts) {
            Err(error) => Err(self.interrupted(error)),
            Ok(()) => Ok(()),
        }
    }

    fn interrupted(&mut self, error: io::Error) -> Error {
        if !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
            return Error::Io(error);
        }
        let said = match self.dialect {
            Dialect::Text => self.element(|_| Ok(())),
            Dialect::Binary => self.reply(|_| Ok(())),
        };
        match said {
            Err(Error::Io(_) | Error::Closed(_)) | Ok(()) => Error::Io(error),
            Err(said) => said,
        }
    }
}

/// A value that came whole, for callers who want it so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    pub key: Vec<u8>,
    pub flags: u32,
    pub cas: Option<u64>,
    pub length: u64,
    /// At most as much as was wanted.
    pub data: Vec<u8>,
}

/// Collects pieces, `most` bytes of each value.
pub fn collect<'a>(items: &'a mut Vec<Item>, most: usize) -> impl FnMut(Piece<'_>) -> Result<()> + 'a {
    move |piece| {
        match (piece, items.last_mut()) {
            (Piece::Value(Value { key, flags, length, cas }), _) => {
                items.push(Item { key: key.to_vec(), flags, cas, length, data: Vec::new() });
            }
            (Piece::Data(data), Some(item)) => {
                let room = most.saturating_sub(item.data.len()).min(data.len());
                item.data.extend_from_slice(&data[..room]);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

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
            self.sent.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn client(replies: &[u8], piece: usize, dialect: Dialect) -> Client<Recorded> {
        Client::new(Recorded { replies: replies.iter().copied().collect(), piece, sent: Vec::new() }, dialect)
    }

    fn text(replies: &[u8]) -> Client<Recorded> {
        client(replies, 7, Dialect::Text)
    }

    fn get(client: &mut Client<Recorded>, keys: &[&[u8]], cas: bool) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        client.fetch(&Fetch { keys, cas, touch: None }, &mut collect(&mut items, 1 << 20))?;
        Ok(items)
    }

    fn set(client: &mut Client<Recorded>, mode: Mode, value: &[u8]) -> Result<Stored> {
        let store = Store { mode, key: b"k", flags: 7, seconds: 60, length: value.len() as u64 };
        client.store(&store, &mut &value[..])
    }

    const STATS: &[u8] = b"STAT pid 7\r\nSTAT version 1.6.18\r\nEND\r\n";
    const VALUES: &[u8] = b"VALUE k 9 8 42\r\na\r\nEND\r\n\r\nVALUE l 0 0\r\n\r\nEND\r\n";

    #[test]
    fn a_conversation_in_text() {
        let replies = [
            b"VERSION 1.6.18\r\n",
            STATS,
            VALUES,
            b"END\r\nSTORED\r\nNOT_STORED\r\nEXISTS\r\nNOT_FOUND\r\nDELETED\r\nNOT_FOUND\r\nTOUCHED\r\n9  \r\nNOT_FOUND\r\n",
        ]
        .concat();
        for piece in [1, 2, 3, 1000] {
            let mut client = client(&replies, piece, Dialect::Text);
            assert_eq!(client.version().unwrap(), b"1.6.18");
            let stats: Stats = vec![(b"pid".to_vec(), b"7".to_vec()), (b"version".to_vec(), b"1.6.18".to_vec())];
            assert_eq!(client.stats(Some(b"settings")).unwrap(), stats);
            let item = |key: &[u8], flags, cas, data: &[u8]| Item {
                key: key.to_vec(),
                flags,
                cas,
                length: data.len() as u64,
                data: data.to_vec(),
            };
            let values = get(&mut client, &[b"k", b"l"], true).unwrap();
            assert_eq!(values, [item(b"k", 9, Some(42), b"a\r\nEND\r\n"), item(b"l", 0, None, b"")]);
            assert_eq!(get(&mut client, &[b"k"], false).unwrap(), []);
            assert_eq!(set(&mut client, Mode::Set, b"a\r\nb").unwrap(), Stored::Yes);
            assert_eq!(set(&mut client, Mode::Add, b"").unwrap(), Stored::No);
            assert_eq!(set(&mut client, Mode::Cas(42), b"x").unwrap(), Stored::Exists);
            assert_eq!(set(&mut client, Mode::Cas(42), b"x").unwrap(), Stored::NotFound);
            assert!(client.delete(b"k").unwrap());
            assert!(!client.delete(b"k").unwrap());
            assert!(client.touch(b"k", 5).unwrap());
            assert_eq!(client.count(false, b"k", 3).unwrap(), Some(9));
            assert_eq!(client.count(true, b"k", 1).unwrap(), None);
            let sent = b"version\r\nstats settings\r\ngets k l\r\nget k\r\nset k 7 60 4\r\na\r\nb\r\nadd k 7 60 0\r\n\r\n\
                cas k 7 60 1 42\r\nx\r\ncas k 7 60 1 42\r\nx\r\ndelete k\r\ndelete k\r\ntouch k 5\r\ndecr k 3\r\nincr k 1\r\n";
            assert_eq!(client.stream().sent.as_slice(), sent);
        }
    }

    /// A reply in binary.
    fn reply(code: u8, status: u8, cas: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
        let body = (extras.len() + key.len() + value.len()) as u8;
        let head = [0x81, code, 0, key.len() as u8, extras.len() as u8, 0, 0, status, 0, 0, 0, body];
        [&head[..], &[0; 11], &[cas], extras, key, value].concat()
    }

    #[test]
    fn a_conversation_in_binary() {
        let replies = [
            reply(0x0b, 0, 0, b"", b"", b"1.6.18"),
            reply(0x20, 0, 0, b"", b"", b"PLAIN"),
            reply(0x21, 0, 0, b"", b"", b"Authenticated"),
            reply(0x10, 0, 0, b"", b"pid", b"7"),
            reply(0x10, 0, 0, b"", b"", b""),
            reply(0x00, 0, 42, b"\0\0\0\x09", b"", b"value"),
            reply(0x00, 1, 0, b"", b"", b"Not found"),
            reply(0x01, 0, 1, b"", b"", b""),
            reply(0x02, 2, 0, b"", b"", b"Data exists for key."),
            reply(0x04, 0, 0, b"", b"", b""),
            reply(0x1c, 1, 0, b"", b"", b"Not found"),
            reply(0x05, 0, 0, b"", b"", b"\0\0\0\0\0\0\0\x08"),
            reply(0x01, 3, 0, b"", b"", b"Too large."),
        ]
        .concat();
        for piece in [1, 5, 1000] {
            let mut client = client(&replies, piece, Dialect::Binary);
            assert_eq!(client.version().unwrap(), b"1.6.18");
            assert_eq!(client.mechanisms().unwrap(), b"PLAIN");
            client.login(b"alice", b"secret").unwrap();
            assert_eq!(client.stats(None).unwrap(), [(b"pid".to_vec(), b"7".to_vec())]);
            let values = get(&mut client, &[b"k", b"none"], true).unwrap();
            let value = Item { key: b"k".to_vec(), flags: 9, cas: Some(42), length: 5, data: b"value".to_vec() };
            assert_eq!(values, [value]);
            assert_eq!(set(&mut client, Mode::Set, b"x").unwrap(), Stored::Yes);
            assert_eq!(set(&mut client, Mode::Add, b"x").unwrap(), Stored::No);
            assert!(client.delete(b"k").unwrap());
            assert!(!client.touch(b"k", 1).unwrap());
            assert_eq!(client.count(true, b"k", 1).unwrap(), Some(8));
            let refused = set(&mut client, Mode::Set, b"x");
            assert!(matches!(refused, Err(Error::Refused(Refusal::Binary(text))) if text == b"Too large."));
        }
    }

    #[test]
    fn logins() {
        let mut open = text(b"STORED\r\n");
        open.login(b"alice", b"secret").unwrap();
        assert_eq!(open.stream().sent, b"set auth 0 0 12\r\nalice secret\r\n");
        let denied = text(b"CLIENT_ERROR authentication failure\r\n").login(b"alice", b"x");
        assert!(matches!(denied, Err(Error::Denied(text)) if text == b"authentication failure"));
        let denied = client(&reply(0x21, 0x20, 0, b"", b"", b"Auth failure"), 9, Dialect::Binary).login(b"alice", b"x");
        assert!(matches!(denied, Err(Error::Denied(_))));
        let wanted = client(&reply(0x10, 0x20, 0, b"", b"", b"Auth failure"), 9, Dialect::Binary).stats(None);
        assert!(matches!(wanted, Err(Error::Login(Login::Sasl))));
        assert!(matches!(text(b"CLIENT_ERROR unauthenticated\r\n").stats(None), Err(Error::Login(Login::Text))));
    }

    #[test]
    fn closed_at_every_byte() {
        for length in 0..STATS.len() {
            assert!(matches!(text(&STATS[..length]).stats(None), Err(Error::Closed(held)) if held == length));
        }
        for length in 0..VALUES.len() {
            let closed = get(&mut text(&VALUES[..length]), &[b"k", b"l"], true);
            assert!(matches!(closed, Err(Error::Closed(held)) if held == length), "{length}");
        }
        let value = reply(0x00, 0, 42, b"\0\0\0\x09", b"", b"value");
        for length in 0..value.len() {
            let closed = get(&mut client(&value[..length], 7, Dialect::Binary), &[b"k"], true);
            assert!(matches!(closed, Err(Error::Closed(held)) if held == length), "{length}");
        }
    }

    #[test]
    fn meta_replies() {
        let mut client = text(b"VA 2 s2 t-1\r\nhi\r\nHD\r\nEN\r\nME k exp=-1\r\n");
        let (value, data) = client.meta(b"mg k s t v", None, 100).unwrap();
        assert_eq!((value.code, value.number(b's'), data.as_slice()), (*b"VA", Some(2), &b"hi"[..]));
        assert_eq!(client.meta(b"ms k 2", Some(b"hi"), 100).unwrap().0.code, *b"HD");
        assert_eq!(client.meta(b"mg none", None, 100).unwrap().0.code, *b"EN");
        assert_eq!(client.meta(b"me k", None, 100).unwrap().0.debug, b"k exp=-1");
        assert_eq!(client.stream().sent, b"mg k s t v\r\nms k 2\r\nhi\r\nmg none\r\nme k\r\n");
    }

    #[test]
    fn refusals() {
        let refused = |reply: &[u8]| match text(reply).stats(None) {
            Err(Error::Refused(refusal)) => refusal.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"ERROR Too many open connections\r\n"), "ERROR Too many open connections");
        assert_eq!(refused(b"SERVER_ERROR out of \x1b[31m memory\r\n"), "SERVER_ERROR out of \\x1b[31m memory");
        assert_eq!(refused(b"STAT a b\r\nBUSY currently processing\r\n"), "BUSY currently processing");
        let proxy =
            get(&mut text(b"VALUE k 0 1\r\nx\r\nSERVER_ERROR backend failure\r\nEND\r\n"), &[b"k", b"l"], false);
        assert!(matches!(proxy, Err(Error::Refused(Refusal::Server(_)))));
    }

    #[test]
    fn wrong_answers() {
        assert!(matches!(text(b"STORED\r\n").version(), Err(Error::Unexpected)));
        let other = get(&mut text(b"VALUE other 0 1\r\nx\r\nEND\r\n"), &[b"k"], false);
        assert!(matches!(other, Err(Error::Unexpected)));
        let longer = get(&mut text(b"VALUE k 0 1\r\nabc\r\nEND\r\n"), &[b"k"], false);
        assert!(matches!(longer, Err(Error::Malformed(Malformed::Foreign(None, _)))));
        let endless = get(&mut text(b"VALUE k 0 18446744073709551615\r\n"), &[b"k"], false);
        assert!(matches!(endless, Err(Error::Malformed(Malformed::TooLong))));
        let http = text(b"HTTP/1.1 400 Bad Request\r\n\r\n").version();
        assert!(matches!(http, Err(Error::Malformed(Malformed::Foreign(Some("HTTP"), _)))));
        let other = client(&reply(0x0b, 0, 0, b"", b"", b"x"), 9, Dialect::Binary).stats(None);
        assert!(matches!(other, Err(Error::Unexpected)));
        let lies = b"\x81\x00\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0\0";
        let lies = get(&mut client(lies, 9, Dialect::Binary), &[b"k"], false);
        assert!(matches!(lies, Err(Error::Malformed(Malformed::TooLong))));
    }

    #[test]
    fn an_endless_answer_is_bounded() {
        let endless = b"STAT name value\r\n".repeat(MAX_STATS / 17 + 5000);
        let stats = client(&endless, 1 << 20, Dialect::Text).stats(None);
        assert!(matches!(stats, Err(Error::Malformed(Malformed::TooLong))));
        let line = vec![b'x'; 1 << 20];
        assert!(matches!(client(&line, 1 << 20, Dialect::Text).version(), Err(Error::Malformed(Malformed::TooLong))));
    }

    #[test]
    fn a_value_that_becomes_shorter() {
        let mut client = text(b"STORED\r\n");
        let store = Store { mode: Mode::Set, key: b"k", flags: 0, seconds: 0, length: 9 };
        assert!(matches!(client.store(&store, &mut &b"short"[..]), Err(Error::Io(_))));
    }
}
