//! What a memcached is asked over: TCP or a Unix socket, TLS over one, or datagrams that look like a stream.

use std::io::{self, Read, Write};

use super::udp::{Assembly, Outcome, request};
use crate::net::{Connection, Deadline, tls};

/// The largest datagram.
const MAX_DATAGRAM: usize = 64 * 1024;

pub enum Channel {
    Plain(Connection),
    Tls(Box<tls::Stream>),
    Datagrams(Datagrams),
}

impl Channel {
    pub fn set_deadline(&mut self, deadline: Deadline) {
        match self {
            Channel::Plain(stream) => stream.set_deadline(deadline),
            Channel::Tls(stream) => stream.set_deadline(deadline),
            Channel::Datagrams(datagrams) => datagrams.socket.set_deadline(deadline),
        }
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Channel::Plain(stream) => stream.read(buffer),
            Channel::Tls(stream) => stream.read(buffer),
            Channel::Datagrams(datagrams) => datagrams.read(buffer),
        }
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Channel::Plain(stream) => stream.write(bytes),
            Channel::Tls(stream) => stream.write(bytes),
            Channel::Datagrams(datagrams) => datagrams.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Channel::Plain(stream) => stream.flush(),
            Channel::Tls(stream) => stream.flush(),
            Channel::Datagrams(datagrams) => datagrams.flush(),
        }
    }
}

/// Each flush sends one request; what is read is its reply, put together.
pub struct Datagrams {
    socket: Connection,
    id: u16,
    request: Vec<u8>,
    assembly: Assembly,
    reply: Vec<u8>,
    given: usize,
}

impl Datagrams {
    pub fn new(socket: Connection) -> Datagrams {
        let (request, reply) = (Vec::new(), Vec::new());
        Datagrams { socket, id: 0, request, assembly: Assembly::default(), reply, given: 0 }
    }

    fn late(&self, error: io::Error) -> io::Error {
        match self.assembly.progress() {
            (_, 0) => error,
            (come, all) if error.kind() == io::ErrorKind::TimedOut => {
                io::Error::new(io::ErrorKind::TimedOut, format!("only {come} of {all} datagrams came"))
            }
            _ => error,
        }
    }
}

impl Read for Datagrams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.reply.len() {
            let mut datagram = vec![0; MAX_DATAGRAM];
            loop {
                let length = self.socket.read(&mut datagram).map_err(|error| self.late(error))?;
                if self.assembly.add(datagram.get(..length).unwrap_or_default()) == Outcome::Complete {
                    break;
                }
            }
            self.reply = self.assembly.take();
            self.given = 0;
        }
        let length = self.reply.get(self.given..).unwrap_or_default().read(buffer)?;
        self.given += length;
        Ok(length)
    }
}

impl Write for Datagrams {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.request.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.id = self.id.wrapping_add(1);
        self.assembly = Assembly::new(self.id);
        let datagram = request(self.id, &std::mem::take(&mut self.request));
        self.socket.write_all(&datagram)
    }
}
