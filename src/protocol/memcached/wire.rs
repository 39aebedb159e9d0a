//! A stream, and what has been received from it and not been used.

use std::io::{self, Read, Write};

use super::client::{Error, Result};

/// What is read at once.
const PIECE: usize = 16 * 1024;

pub struct Wire<S> {
    pub stream: S,
    buffer: Vec<u8>,
    used: usize,
    /// Of the answer that is being read.
    pub received: usize,
}

impl<S: Read + Write> Wire<S> {
    pub fn new(stream: S) -> Wire<S> {
        Wire { stream, buffer: Vec::new(), used: 0, received: 0 }
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
        let mut buffer = vec![0; 4 * PIECE];
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
        self.buffer.get(self.used..).unwrap_or_default()
    }

    pub fn used(&mut self, length: usize) {
        self.used = self.buffer.len().min(self.used + length);
    }

    /// Waits for more.
    pub fn receive(&mut self) -> Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + (held / 2).max(PIECE), 0);
        let read = loop {
            match self.stream.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(Error::Closed(self.received)),
            length => {
                self.received = self.received.saturating_add(length);
                Ok(())
            }
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
