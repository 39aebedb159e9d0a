//! The bytes under HTTP/2: a socket that never blocks, as h2 wants it.
//!
//! It wakes nobody. Whoever waits for it does so in `Channel::drive`, with poll(2) on this one socket.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::certificate::Certificate;
use crate::net::{Connection, tls};

/// With or without TLS.
pub enum Socket {
    Plain(Connection),
    Tls(Box<tls::Stream>),
}

impl Socket {
    /// What the server showed of itself.
    pub fn certificate(&self) -> Option<Certificate> {
        match self {
            Socket::Plain(_) => None,
            Socket::Tls(socket) => socket.certificate(),
        }
    }

    fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(socket) => socket.try_read(buffer),
            Socket::Tls(socket) => socket.try_read(buffer),
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(socket) => socket.try_write(bytes),
            Socket::Tls(socket) => socket.try_write(bytes),
        }
    }

    /// Why nothing can be written any more: inside of TLS, a server that hangs up has said it before.
    fn why(&mut self, error: io::Error) -> io::Error {
        match self {
            Socket::Plain(_) => error,
            Socket::Tls(socket) => match socket.try_read(&mut [0; 1024]) {
                Err(better) if better.kind() == io::ErrorKind::InvalidData => better,
                _ => error,
            },
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Plain(_) => Ok(()),
            Socket::Tls(socket) => socket.try_flush(),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(socket) => socket.read(buffer),
            Socket::Tls(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Plain(socket) => socket.write(bytes),
            Socket::Tls(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Plain(socket) => socket.flush(),
            Socket::Tls(socket) => socket.flush(),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Plain(socket) => socket.as_fd(),
            Socket::Tls(socket) => socket.as_fd(),
        }
    }
}

/// What `Channel` and h2 share of a socket.
pub struct Wire {
    socket: RefCell<Socket>,
    pub fd: RawFd,
    pub plain: bool,
    /// The last write found no room.
    pub full: Cell<bool>,
    pub received: Cell<u64>,
    /// How many more reads before whoever drives this looks at the clock.
    pub reads: Cell<u32>,
    /// The server has finished.
    pub ended: Cell<bool>,
    /// The first bytes that came, for when they are no HTTP/2.
    pub start: RefCell<Vec<u8>>,
    pub error: RefCell<Option<io::Error>>,
}

const START: usize = 64;

/// See [`Wire::reads`].
pub const READS: u32 = 32;

impl Wire {
    pub fn new(socket: Socket) -> Rc<Wire> {
        let fd = socket.as_fd().as_raw_fd();
        Rc::new(Wire {
            plain: matches!(socket, Socket::Plain(_)),
            socket: RefCell::new(socket),
            fd,
            full: Cell::new(false),
            received: Cell::new(0),
            reads: Cell::new(READS),
            ended: Cell::new(false),
            start: RefCell::new(Vec::new()),
            error: RefCell::new(None),
        })
    }

    /// h2 keeps errors for itself in part; this one is kept for us.
    fn keep(&self, error: &io::Error) -> io::Error {
        let copy = match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        self.error.replace(Some(copy));
        error.kind().into()
    }
}

/// h2's end of it.
pub struct Io(pub Rc<Wire>);

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = &self.0;
        // A server that always has something to say would never let go.
        match wire.reads.get().checked_sub(1) {
            Some(left) => wire.reads.set(left),
            None => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let space = buffer.initialize_unfilled();
        loop {
            return match wire.socket.borrow_mut().try_read(space) {
                Ok(length) => {
                    if length == 0 {
                        wire.ended.set(true);
                    }
                    let mut start = wire.start.borrow_mut();
                    let missing = START.saturating_sub(start.len()).min(length);
                    start.extend_from_slice(space.get(..missing).unwrap_or_default());
                    wire.received.set(wire.received.get() + length as u64);
                    buffer.advance(length);
                    Poll::Ready(Ok(()))
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Poll::Ready(Err(wire.keep(&error))),
            };
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = &self.0;
        wire.full.set(false);
        loop {
            let mut socket = wire.socket.borrow_mut();
            return match socket.try_write(bytes) {
                Ok(length) => Poll::Ready(Ok(length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wire.full.set(true);
                    Poll::Pending
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Poll::Ready(Err(wire.keep(&socket.why(error)))),
            };
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = &self.0;
        let mut socket = wire.socket.borrow_mut();
        match socket.try_flush() {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                wire.full.set(true);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(wire.keep(&socket.why(error)))),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
