//! Sockets: connecting to an address and waiting for a caller, and a stream whose every read and write has a deadline.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    self, AddressFamily, Backlog, MsgFlags, Shutdown, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr,
    setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::{Address, Deadline, Family, Resolver, wait};
use crate::sys;

/// How long one address may be silent before the next one is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// A stream socket, or a connected datagram socket. Never blocks beyond its deadline, never raises SIGPIPE.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    /// Of the other side; none for a Unix socket.
    peer: Option<SocketAddr>,
    deadline: Deadline,
}

/// Looks the name up and connects, all before the deadline, which is then the connection's.
pub fn dial(address: &Address, family: Family, deadline: Deadline) -> io::Result<Connection> {
    match address {
        Address::Unix(path) => unix(path, deadline),
        Address::Host(host, port) => {
            let addresses = Resolver::of_system().lookup(host, *port, family, deadline)?;
            tcp(&addresses, 0, deadline)
        }
    }
}

/// Connects to the first of several addresses that answers. `source` is the local port, 0 for any.
pub fn tcp(addresses: &[SocketAddr], source: u16, deadline: Deadline) -> io::Result<Connection> {
    let mut untried = addresses.iter();
    let mut tries: Vec<(OwnedFd, SocketAddr)> = Vec::new();
    let mut failure = Failure(None);
    loop {
        match untried.next() {
            Some(address) => match start(*address, SockType::Stream, source) {
                Ok(socket) => tries.push((socket, *address)),
                Err(error) => {
                    failure.add(error);
                    continue;
                }
            },
            None if tries.is_empty() => return Err(failure.take()),
            None => {}
        }
        let until = if untried.len() > 0 { deadline.min(Deadline::after(STAGGER)) } else { deadline };
        let mut fds: Vec<PollFd> =
            tries.iter().map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLOUT)).collect();
        match wait(&mut fds, until) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && !deadline.left().is_zero() => continue,
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        for index in (0..ready.len()).rev().filter(|index| ready[*index]) {
            let (socket, address) = tries.swap_remove(index);
            match socket::getsockopt(&socket, sockopt::SocketError)? {
                0 => return Ok(Connection { socket, peer: Some(address), deadline }),
                number => failure.add(io::Error::from_raw_os_error(number)),
            }
        }
    }
}

/// A datagram socket that sends to one address and hears only that one.
pub fn udp(address: SocketAddr, source: u16, deadline: Deadline) -> io::Result<Connection> {
    let socket = start(address, SockType::Datagram, source)?;
    Ok(Connection { socket, peer: Some(address), deadline })
}

/// Connects to a Unix socket.
pub fn unix(path: &Path, deadline: Deadline) -> io::Result<Connection> {
    let socket = unix_socket(SockFlag::empty())?;
    // A full backlog makes a non-blocking connect fail at once; a blocking one waits as long as a send may.
    let left = deadline.left().as_micros().clamp(1, i64::MAX as u128 / 4) as i64;
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::microseconds(left))?;
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?).map_err(|error| match error {
        Errno::EAGAIN => io::Error::from(io::ErrorKind::TimedOut),
        error => error.into(),
    })?;
    Connection::new(socket, None, deadline)
}

/// Begins to connect.
fn start(address: SocketAddr, kind: SockType, source: u16) -> io::Result<OwnedFd> {
    let socket = open(address, kind)?;
    if kind == SockType::Stream {
        // Whoever writes little waits for an answer to it: the kernel must not wait for more, which takes 40 ms.
        setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    }
    if source != 0 {
        let mut local = unspecified(address);
        local.set_port(source);
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(local))?;
    }
    match socket::connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

fn open(address: SocketAddr, kind: SockType) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    Ok(socket::socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?)
}

fn unix_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket::socket(AddressFamily::Unix, SockType::Stream, flags | SockFlag::SOCK_CLOEXEC, None)?)
}

/// Any local address of the same family.
pub fn unspecified(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0u16; 8], 0)),
    }
}

/// Why no address could be connected to: the first reason, unless that one says only that a family has no route.
struct Failure(Option<io::Error>);

impl Failure {
    fn add(&mut self, error: io::Error) {
        use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable};
        let weak = |held: &io::Error| matches!(held.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable);
        if self.0.as_ref().is_none_or(weak) {
            self.0 = Some(error);
        }
    }

    fn take(self) -> io::Error {
        self.0.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "name has no address"))
    }
}

impl Connection {
    fn new(socket: OwnedFd, peer: Option<SocketAddr>, deadline: Deadline) -> io::Result<Connection> {
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Connection { socket, peer, deadline })
    }

    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Gives it another moment to be done by.
    pub fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    /// Reads what is there; `WouldBlock` where nothing is. For callers with a poll loop of their own.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(socket::recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty())?)
    }

    /// Writes what fits; `WouldBlock` where nothing does.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(socket::send(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL)?)
    }

    /// Tells the other side that nothing more will come.
    pub fn finish(&self) -> io::Result<()> {
        Ok(socket::shutdown(self.socket.as_raw_fd(), Shutdown::Write)?)
    }

    fn retry<T>(&self, events: PollFlags, mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            // Also for a side that always has something to say.
            if self.deadline.left().is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match step() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&mut [PollFd::new(self.as_fd(), events)], self.deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(PollFlags::POLLIN, || self.try_read(buffer))
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(PollFlags::POLLOUT, || self.try_write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket that waits for callers.
pub struct Listener {
    socket: OwnedFd,
    kind: SockType,
}

impl Listener {
    pub fn tcp(local: SocketAddr) -> io::Result<Listener> {
        Listener::bound(open(local, SockType::Stream)?, &SockaddrStorage::from(local), SockType::Stream)
    }

    pub fn udp(local: SocketAddr) -> io::Result<Listener> {
        Listener::bound(open(local, SockType::Datagram)?, &SockaddrStorage::from(local), SockType::Datagram)
    }

    pub fn unix(path: &Path) -> io::Result<Listener> {
        Listener::bound(unix_socket(SockFlag::SOCK_NONBLOCK)?, &UnixAddr::new(path)?, SockType::Stream)
    }

    fn bound(socket: OwnedFd, local: &dyn SockaddrLike, kind: SockType) -> io::Result<Listener> {
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        socket::bind(socket.as_raw_fd(), local)?;
        if kind == SockType::Stream {
            socket::listen(&socket, Backlog::new(8)?)?;
        }
        Ok(Listener { socket, kind })
    }

    /// The address that it is bound to, with the port that the kernel chose for port 0.
    pub fn local(&self) -> io::Result<Option<SocketAddr>> {
        Ok(internet(&socket::getsockname::<SockaddrStorage>(self.socket.as_raw_fd())?))
    }

    /// The next caller. For datagrams: the sender of the next one, whom the socket then belongs to.
    pub fn accept(&self, deadline: Deadline) -> io::Result<Connection> {
        loop {
            wait(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], deadline)?;
            match self.caller() {
                Ok((socket, peer)) => return Connection::new(socket, peer, deadline),
                // A caller who left again before we looked.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn caller(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        let own = self.socket.as_raw_fd();
        if self.kind == SockType::Stream {
            let socket = sys::owned(socket::accept4(own, SockFlag::SOCK_CLOEXEC)?);
            let peer = socket::getpeername::<SockaddrStorage>(socket.as_raw_fd()).ok();
            return Ok((socket, peer.as_ref().and_then(internet)));
        }
        let socket = UdpSocket::from(self.socket.try_clone()?);
        let (_, peer) = socket.peek_from(&mut [])?;
        socket.connect(peer)?;
        Ok((socket.into(), Some(peer)))
    }
}

fn internet(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(50))
    }

    fn later() -> Deadline {
        Deadline::after(Duration::from_secs(10))
    }

    /// An address where nothing listens.
    fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn the_first_address_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let connection = tcp(&[closed(), open], 0, later()).unwrap();
        assert_eq!(connection.peer(), Some(open));
    }

    #[test]
    fn refused_is_said() {
        assert_eq!(tcp(&[closed()], 0, later()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(tcp(&[], 0, later()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_silent_peer_times_out() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = tcp(&[listener.local_addr().unwrap()], 0, soon()).unwrap();
        assert_eq!(connection.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(connection.write_all(&[0; 1 << 24]).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_full_backlog_times_out() {
        let path = std::env::temp_dir().join(format!("sidebox-dial-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let _listener = UnixListener::bind(&path).unwrap();
        let mut held = Vec::new();
        let error = loop {
            match unix(&path, soon()) {
                Ok(connection) => held.push(connection),
                Err(error) => break error,
            }
        };
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(unix(&path, soon()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_caller_is_heard_and_answered() {
        for listener in [Listener::tcp, Listener::udp] {
            let listener = listener("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = listener.local().unwrap().unwrap();
            let mut caller = match listener.kind {
                SockType::Stream => tcp(&[address], 0, later()).unwrap(),
                _ => udp(address, 0, later()).unwrap(),
            };
            caller.write_all(b"ping").unwrap();
            let mut called = listener.accept(later()).unwrap();
            let mut buffer = [0; 8];
            assert_eq!(called.read(&mut buffer).unwrap(), 4);
            called.write_all(b"pong!").unwrap();
            assert_eq!(caller.read(&mut buffer).unwrap(), 5);
            assert_eq!(&buffer[..5], b"pong!");
        }
    }

    #[test]
    fn a_reset_is_an_error_and_no_signal() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = tcp(&[listener.local_addr().unwrap()], 0, later()).unwrap();
        connection.write_all(b"unread").unwrap();
        drop(listener.accept().unwrap());
        assert_eq!(connection.read(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(connection.write(b"more").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
