//! A stream, and what has been received from it and not been used.

use std::fmt;
use std::io::{self, Read, Write};

use super::client::{Error, Result};

/// What is read at once, if so much has come: lists of keys are long.
const PIECE: usize = 64 * 1024;

/// Inside an error of the network: so many bytes of the answer had come.
#[derive(Debug)]
pub struct Partly(pub usize);

impl Partly {
    pub fn of(error: &io::Error) -> Option<&Partly> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for Partly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in the middle of an answer, after {} bytes", self.0)
    }
}

impl std::error::Error for Partly {}

pub struct Wire<S> {
    pub stream: S,
    /// What has been received lies between the next two; the rest is room.
    buffer: Vec<u8>,
    used: usize,
    filled: usize,
    /// Of the answer that is being read.
    pub received: usize,
}

impl<S: Read + Write> Wire<S> {
    pub fn new(stream: S) -> Wire<S> {
        Wire { stream, buffer: Vec::new(), used: 0, filled: 0, received: 0 }
    }

    /// Sends a request, whose answer begins with what is received next.
    pub fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.received = 0;
        self.stream.write_all(&parts.concat())?;
        self.stream.flush()
    }

    /// Sends `length` bytes of a value, and the end of it.
    pub fn send_value(&mut self, value: &mut dyn Read, length: u64, end: &[u8]) -> io::Result<()> {
        let mut left = length;
        let mut buffer = vec![0; PIECE];
        while left > 0 {
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let read = match value.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "the value became shorter while it was sent"));
            }
            self.stream.write_all(&buffer[..read])?;
            left -= read as u64;
        }
        self.stream.write_all(end)?;
        self.stream.flush()
    }

    /// What has come and not been used.
    pub fn held(&self) -> &[u8] {
        self.buffer.get(self.used..self.filled).unwrap_or_default()
    }

    pub fn used(&mut self, length: usize) {
        self.used = self.filled.min(self.used + length);
    }

    /// Waits for more.
    pub fn receive(&mut self) -> Result<()> {
        self.buffer.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        if self.buffer.len() - self.filled < PIECE / 2 {
            // Zeroes come from the system, where they cost nothing before they are written over.
            let mut larger = vec![0; self.filled + PIECE.max(self.filled / 2)];
            larger[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = larger;
        }
        let read = loop {
            match self.stream.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read.map_err(|error| self.partly(error))? {
            0 => Err(Error::Closed(self.received)),
            length => {
                self.filled += length;
                self.received = self.received.saturating_add(length);
                Ok(())
            }
        }
    }

    /// What breaks off an answer that has begun.
    fn partly(&self, error: io::Error) -> io::Error {
        match error.kind() {
            kind @ (io::ErrorKind::TimedOut | io::ErrorKind::ConnectionReset)
                if self.received > 0 && error.get_ref().is_none() =>
            {
                io::Error::new(kind, Partly(self.received))
            }
            _ => error,
        }
    }

    /// Gives `length` bytes of data away as they come.
    pub fn data(&mut self, length: u64, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut left = length;
        while left > 0 {
            let held = self.held();
            let most = usize::try_from(left).map_or(held.len(), |left| left.min(held.len()));
            if most == 0 {
                self.receive()?;
                continue;
            }
            take(&held[..most])?;
            self.used(most);
            left -= most as u64;
        }
        Ok(())
    }
}
