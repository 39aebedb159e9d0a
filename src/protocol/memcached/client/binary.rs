//! The binary protocol's half of the client.

use std::io::{Read, Write};

use super::{Client, Error, Fetch, Login, MAX_STATS, MAX_VALUE, Mode, Piece, Result, Sink, Stats, Store, Stored};
use crate::protocol::memcached::binary::{HEADER, Header, Reply, Status, header, opcode, refusal, reply, request};
use crate::protocol::memcached::text::{Malformed, Refusal, Value};

/// More than the body of any reply but a value.
const MAX_BODY: usize = 64 * 1024;
/// No item is made where none is.
const NEVER: u32 = u32::MAX;

impl<S: Read + Write> Client<S> {
    /// Reads one reply; whatever the server thinks of the request.
    pub(super) fn reply<T>(&mut self, take: impl FnOnce(Reply<'_>) -> Result<T>) -> Result<T> {
        loop {
            match reply(self.wire.held(), MAX_BODY).map_err(Error::Malformed)? {
                Some((reply, length)) => {
                    let taken = take(reply);
                    self.wire.used(length);
                    return taken;
                }
                None => self.wire.receive()?,
            }
        }
    }

    fn exchange(&mut self, code: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Result<(Status, Vec<u8>)> {
        let head = request(code, extras, key, value.len(), 0);
        self.ask(&[&head, value])?;
        self.reply(|reply| {
            expect(&reply.header, code)?;
            match reply.header.status {
                Status::OK | Status::NOT_FOUND | Status::EXISTS | Status::NOT_STORED => {
                    Ok((reply.header.status, reply.value.to_vec()))
                }
                status => Err(refused(status, &reply)),
            }
        })
    }

    pub(super) fn binary_version(&mut self) -> Result<Vec<u8>> {
        self.exchange(opcode::VERSION, &[], b"", b"").map(|(_, version)| version)
    }

    pub(super) fn binary_mechanisms(&mut self) -> Result<Vec<u8>> {
        self.exchange(opcode::SASL_LIST, &[], b"", b"").map(|(_, list)| list)
    }

    /// SASL PLAIN (RFC 4616).
    pub(super) fn binary_login(&mut self, user: &[u8], password: &[u8]) -> Result<()> {
        let value = [b"\0", user, b"\0", password].concat();
        match self.exchange(opcode::SASL_AUTH, &[], b"PLAIN", &value) {
            Ok((Status::OK, _)) => Ok(()),
            Ok((status, _)) => Err(Error::Denied(status.to_string().into_bytes())),
            Err(Error::Login(_)) => Err(Error::Denied(b"Auth failure".to_vec())),
            Err(error) => Err(error),
        }
    }

    pub(super) fn binary_stats(&mut self, name: Option<&[u8]>) -> Result<Stats> {
        self.ask(&[&request(opcode::STAT, &[], name.unwrap_or_default(), 0, 0)])?;
        let mut stats = Stats::new();
        loop {
            let stat = self.reply(|reply| {
                expect(&reply.header, opcode::STAT)?;
                match reply.header.status {
                    Status::OK => Ok((reply.key.to_vec(), reply.value.to_vec())),
                    status => Err(refused(status, &reply)),
                }
            })?;
            if stat.0.is_empty() {
                return Ok(stats);
            }
            stats.push(stat);
            if self.wire.received > MAX_STATS {
                return Err(Error::Malformed(Malformed::TooLong));
            }
        }
    }

    pub(super) fn binary_fetch(&mut self, fetch: &Fetch<'_>, sink: Sink<'_>) -> Result<()> {
        for key in fetch.keys {
            let (code, extras) = match fetch.touch {
                None => (opcode::GET, Vec::new()),
                Some(seconds) => (opcode::GAT, seconds.to_be_bytes().to_vec()),
            };
            self.ask(&[&request(code, &extras, key, 0, 0)])?;
            let header = loop {
                match header(self.wire.held()).map_err(Error::Malformed)? {
                    Some(header) => break header,
                    None => self.wire.receive()?,
                }
            };
            expect(&header, code)?;
            match header.status {
                Status::OK => {}
                Status::NOT_FOUND => {
                    self.reply(|_| Ok(()))?;
                    continue;
                }
                status => return self.reply(|reply| Err(refused(status, &reply))),
            }
            let length = (header.body - header.extras - header.key) as u64;
            if length > MAX_VALUE {
                return Err(Error::Malformed(Malformed::TooLong));
            }
            let before = HEADER + header.extras + header.key;
            while self.wire.held().len() < before {
                self.wire.receive()?;
            }
            let flags = self.wire.held().get(HEADER..HEADER + 4).and_then(|bytes| bytes.try_into().ok());
            let flags = if header.extras >= 4 { flags.map_or(0, u32::from_be_bytes) } else { 0 };
            self.wire.used(before);
            sink(Piece::Value(Value { key, flags, length, cas: fetch.cas.then_some(header.cas) }))?;
            self.wire.data(length, &mut |data| sink(Piece::Data(data)))?;
            sink(Piece::End)?;
        }
        Ok(())
    }

    pub(super) fn binary_store(&mut self, store: &Store<'_>, value: &mut dyn Read) -> Result<Stored> {
        let (code, cas) = match store.mode {
            Mode::Set => (opcode::SET, 0),
            Mode::Add => (opcode::ADD, 0),
            Mode::Replace => (opcode::REPLACE, 0),
            Mode::Append => (opcode::APPEND, 0),
            Mode::Prepend => (opcode::PREPEND, 0),
            Mode::Cas(unique) => (opcode::SET, unique),
        };
        let extras = match store.mode {
            Mode::Append | Mode::Prepend => Vec::new(),
            _ => [store.flags.to_be_bytes(), store.seconds.to_be_bytes()].concat(),
        };
        let head = request(code, &extras, store.key, usize::try_from(store.length).unwrap_or(usize::MAX), cas);
        self.wire.received = 0;
        let mut value = (&head[..]).chain(value);
        if let Err(error) = self.wire.send_value(&mut value, head.len() as u64 + store.length, b"") {
            return Err(self.interrupted(error));
        }
        let conditional = matches!(store.mode, Mode::Cas(_));
        self.reply(|reply| {
            expect(&reply.header, code)?;
            match reply.header.status {
                Status::OK => Ok(Stored::Yes),
                Status::EXISTS if conditional => Ok(Stored::Exists),
                Status::NOT_FOUND if conditional => Ok(Stored::NotFound),
                Status::EXISTS | Status::NOT_FOUND | Status::NOT_STORED => Ok(Stored::No),
                status => Err(refused(status, &reply)),
            }
        })
    }

    pub(super) fn binary_delete(&mut self, key: &[u8]) -> Result<bool> {
        self.exchange(opcode::DELETE, &[], key, b"").map(|(status, _)| status == Status::OK)
    }

    pub(super) fn binary_touch(&mut self, key: &[u8], seconds: u32) -> Result<bool> {
        self.exchange(opcode::TOUCH, &seconds.to_be_bytes(), key, b"").map(|(status, _)| status == Status::OK)
    }

    pub(super) fn binary_flush(&mut self, seconds: u32) -> Result<()> {
        self.exchange(opcode::FLUSH, &seconds.to_be_bytes(), b"", b"").map(|_| ())
    }

    pub(super) fn binary_count(&mut self, up: bool, key: &[u8], by: u64) -> Result<Option<u64>> {
        let code = if up { opcode::INCREMENT } else { opcode::DECREMENT };
        let extras = [&by.to_be_bytes()[..], &[0; 8], &NEVER.to_be_bytes()].concat();
        let (status, value) = self.exchange(code, &extras, key, b"")?;
        match (status, <[u8; 8]>::try_from(value)) {
            (Status::OK, Ok(number)) => Ok(Some(u64::from_be_bytes(number))),
            (Status::OK, Err(_)) => Err(Error::Unexpected),
            _ => Ok(None),
        }
    }
}

fn expect(header: &Header, code: u8) -> Result<()> {
    if header.opcode == code { Ok(()) } else { Err(Error::Unexpected) }
}

fn refused(status: Status, reply: &Reply<'_>) -> Error {
    match status {
        Status::LOGIN => Error::Login(Login::Sasl),
        _ => Error::Refused(Refusal::Binary(refusal(reply))),
    }
}
