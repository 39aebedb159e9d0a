//! The text protocol's half of the client.

use std::io::{Read, Write};

use super::{
    Client, Error, Fetch, Login, MAX_STATS, MAX_VALUE, MetaReply, Mode, Piece, Result, Sink, Stats, Store, Stored,
};
use crate::protocol::memcached::meta;
use crate::protocol::memcached::text::{Element, Malformed, Refusal, element};

impl<S: Read + Write> Client<S> {
    /// Reads one element. What the server refuses is an error whatever was asked.
    pub(super) fn element<T>(&mut self, take: impl FnOnce(Element<'_>) -> Result<T>) -> Result<T> {
        loop {
            match element(self.wire.held()).map_err(Error::Malformed)? {
                Some((Element::Refused(refusal), length)) => {
                    self.wire.used(length);
                    return Err(match refusal {
                        Refusal::Client(text) if text.starts_with(b"unauthenticated") => Error::Login(Login::Text),
                        refusal => Error::Refused(refusal),
                    });
                }
                Some((element, length)) => {
                    let taken = take(element);
                    self.wire.used(length);
                    return taken;
                }
                None => self.wire.receive()?,
            }
        }
    }

    pub(super) fn text_version(&mut self) -> Result<Vec<u8>> {
        self.ask(&[b"version\r\n"])?;
        self.text_hear_version()
    }

    pub(super) fn text_hear_version(&mut self) -> Result<Vec<u8>> {
        self.element(|element| match element {
            Element::Version(version) => Ok(version.to_vec()),
            _ => Err(Error::Unexpected),
        })
    }

    /// A `set` whose value is the login.
    pub(super) fn text_login(&mut self, user: &[u8], password: &[u8]) -> Result<()> {
        let length = (user.len() + 1 + password.len()).to_string();
        self.ask(&[b"set auth 0 0 ", length.as_bytes(), b"\r\n", user, b" ", password, b"\r\n"])?;
        let done = self.element(|element| if element == Element::Stored { Ok(()) } else { Err(Error::Unexpected) });
        match done {
            Err(Error::Refused(Refusal::Client(text))) => Err(Error::Denied(text)),
            Err(Error::Login(_)) => Err(Error::Denied(b"unauthenticated".to_vec())),
            done => done,
        }
    }

    pub(super) fn text_stats(&mut self, name: Option<&[u8]>) -> Result<Stats> {
        match name {
            None => self.ask(&[b"stats\r\n"])?,
            Some(name) => self.ask(&[b"stats ", name, b"\r\n"])?,
        }
        let mut stats = Stats::new();
        loop {
            let stat = self.element(|element| match element {
                Element::Stat { name, value } => Ok(Some((name.to_vec(), value.to_vec()))),
                Element::End | Element::Reset | Element::Ok => Ok(None),
                _ => Err(Error::Unexpected),
            })?;
            match stat {
                Some(stat) => stats.push(stat),
                None => return Ok(stats),
            }
            if self.wire.received > MAX_STATS {
                return Err(Error::Malformed(Malformed::TooLong));
            }
        }
    }

    pub(super) fn text_fetch(&mut self, fetch: &Fetch<'_>, sink: Sink<'_>) -> Result<()> {
        let word = match (fetch.touch, fetch.cas) {
            (None, false) => String::from("get"),
            (None, true) => String::from("gets"),
            (Some(seconds), false) => format!("gat {seconds}"),
            (Some(seconds), true) => format!("gats {seconds}"),
        };
        let keys: Vec<u8> = fetch.keys.iter().flat_map(|key| [b" ", *key].concat()).collect();
        self.ask(&[word.as_bytes(), &keys, b"\r\n"])?;
        loop {
            let length = self.element(|element| match element {
                Element::Value(value) if value.length > MAX_VALUE => Err(Error::Malformed(Malformed::TooLong)),
                Element::Value(value) if fetch.keys.contains(&value.key) => {
                    sink(Piece::Value(value)).map(|()| Some(value.length))
                }
                Element::End => Ok(None),
                _ => Err(Error::Unexpected),
            })?;
            let Some(length) = length else { return Ok(()) };
            self.value(length, sink)?;
        }
    }

    /// The data of a value, and its end of line.
    fn value(&mut self, length: u64, sink: Sink<'_>) -> Result<()> {
        self.wire.data(length, &mut |data| sink(Piece::Data(data)))?;
        while self.wire.held().len() < 2 {
            self.wire.receive()?;
        }
        if !self.wire.held().starts_with(b"\r\n") {
            return Err(Error::Malformed(Malformed::Foreign(None, b"a value without an end of line".to_vec())));
        }
        self.wire.used(2);
        sink(Piece::End)
    }

    pub(super) fn text_store(&mut self, store: &Store<'_>, value: &mut dyn Read) -> Result<Stored> {
        let Store { mode, key, flags, seconds, length } = *store;
        let cas = if let Mode::Cas(unique) = mode { format!(" {unique}") } else { String::new() };
        let head = format!(" {flags} {seconds} {length}{cas}\r\n");
        self.wire.received = 0;
        let head = [mode.name().as_bytes(), b" ", key, head.as_bytes()].concat();
        let mut value = (&head[..]).chain(value);
        if let Err(error) = self.wire.send_value(&mut value, head.len() as u64 + length, b"\r\n") {
            return Err(self.interrupted(error));
        }
        self.element(|element| match element {
            Element::Stored => Ok(Stored::Yes),
            Element::NotStored => Ok(Stored::No),
            Element::Exists => Ok(Stored::Exists),
            Element::NotFound => Ok(Stored::NotFound),
            _ => Err(Error::Unexpected),
        })
    }

    pub(super) fn text_delete(&mut self, key: &[u8]) -> Result<bool> {
        self.ask(&[b"delete ", key, b"\r\n"])?;
        self.was_there(&Element::Deleted)
    }

    pub(super) fn text_touch(&mut self, key: &[u8], seconds: u32) -> Result<bool> {
        self.ask(&[b"touch ", key, format!(" {seconds}\r\n").as_bytes()])?;
        self.was_there(&Element::Touched)
    }

    fn was_there(&mut self, yes: &Element<'_>) -> Result<bool> {
        self.element(|element| match element {
            Element::NotFound => Ok(false),
            element if element == *yes => Ok(true),
            _ => Err(Error::Unexpected),
        })
    }

    pub(super) fn text_count(&mut self, up: bool, key: &[u8], by: u64) -> Result<Option<u64>> {
        let word: &[u8] = if up { b"incr " } else { b"decr " };
        self.ask(&[word, key, format!(" {by}\r\n").as_bytes()])?;
        self.element(|element| match element {
            Element::Number(number) => Ok(Some(number)),
            Element::NotFound => Ok(None),
            _ => Err(Error::Unexpected),
        })
    }

    pub(super) fn text_flush(&mut self, seconds: u32) -> Result<()> {
        match seconds {
            0 => self.ask(&[b"flush_all\r\n"])?,
            _ => self.ask(&[format!("flush_all {seconds}\r\n").as_bytes()])?,
        }
        self.element(|element| if element == Element::Ok { Ok(()) } else { Err(Error::Unexpected) })
    }

    pub(super) fn text_meta(&mut self, line: &[u8], data: Option<&[u8]>, most: u64) -> Result<MetaReply> {
        match data {
            None => self.ask(&[line, b"\r\n"])?,
            Some(data) => self.ask(&[line, b"\r\n", data, b"\r\n"])?,
        }
        let reply = self.element(|element| match element {
            Element::Meta(code, rest) => meta::reply(code, rest).map_err(Error::Malformed),
            _ => Err(Error::Unexpected),
        })?;
        let mut value = Vec::new();
        if let Some(length) = reply.length {
            if length > MAX_VALUE {
                return Err(Error::Malformed(Malformed::TooLong));
            }
            self.value(length, &mut |piece| {
                if let Piece::Data(data) = piece {
                    let room = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(value.len());
                    value.extend_from_slice(&data[..room.min(data.len())]);
                }
                Ok(())
            })?;
        }
        Ok((reply, value))
    }
}
