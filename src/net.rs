//! Addresses, names and connections. Nothing here waits without a deadline, prints, or needs a second thread.
//!
//! Failures are `io::Error`s whose kind tells what happened: `NotFound` (no such name, no such socket),
//! `ConnectionRefused`, `NetworkUnreachable`, `HostUnreachable`, `TimedOut`. [`reason`] says them in words.

pub mod address;
pub mod certificate;
pub mod dial;
pub mod dns;
pub mod pem;
mod provider;
pub mod resolve;
pub mod tls;

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollTimeout, poll};

pub use address::Address;
pub use dial::{Connection, dial};
pub use resolve::{Family, Resolver};

/// The moment by which something must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(time: Duration) -> Deadline {
        // A century stands for what the clock cannot hold.
        const LONG: Duration = Duration::from_secs(100 * 365 * 86400);
        Deadline(Instant::now() + time.min(LONG))
    }

    pub fn at(moment: Instant) -> Deadline {
        Deadline(moment)
    }

    /// What is left; zero when it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// For poll(2): rounded up, so that it does not spin through the last millisecond.
    pub fn timeout(self) -> PollTimeout {
        let milliseconds = self.left().as_micros().div_ceil(1000);
        PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
    }
}

/// Waits until a descriptor is ready. `TimedOut` when the deadline passes first.
pub fn wait(fds: &mut [PollFd<'_>], deadline: Deadline) -> io::Result<()> {
    loop {
        match poll(fds, deadline.timeout()) {
            Ok(0) if deadline.left().is_zero() => return Err(io::ErrorKind::TimedOut.into()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The reason in a network error, in lower case and without its number.
pub fn reason(error: &io::Error) -> String {
    let words = match error.kind() {
        _ if error.raw_os_error().is_none() && error.get_ref().is_some() => return error.to_string(),
        io::ErrorKind::TimedOut => "timed out",
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset by peer",
        io::ErrorKind::NetworkUnreachable => "network is unreachable",
        io::ErrorKind::HostUnreachable => "no route to host",
        _ => {
            let text = error.raw_os_error().map_or_else(|| error.to_string(), |n| Errno::from_raw(n).desc().into());
            let mut chars = text.chars();
            let first = chars.next().map(|first| first.to_ascii_lowercase());
            return first.into_iter().chain(chars).collect();
        }
    };
    String::from(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_lower_case() {
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::ECONNREFUSED)), "connection refused");
        assert_eq!(reason(&io::Error::from_raw_os_error(libc::EACCES)), "permission denied");
        assert_eq!(reason(&io::ErrorKind::TimedOut.into()), "timed out");
        assert_eq!(reason(&io::Error::new(io::ErrorKind::NotFound, "name not found")), "name not found");
    }

    #[test]
    fn deadlines_hold_any_time() {
        assert!(Deadline::after(Duration::MAX).left() > Duration::from_secs(1 << 30));
        assert_eq!(Deadline::after(Duration::ZERO).left(), Duration::ZERO);
        assert_eq!(wait(&mut [], Deadline::after(Duration::ZERO)).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
