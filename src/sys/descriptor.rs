//! Descriptors by number, as a shell's script names them.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::errno::Errno;

/// The lowest number that the shell uses for itself: out of the way of what scripts choose.
const PRIVATE: RawFd = 100;

/// The same where so many are not allowed. POSIX.1-2024, XCU 2.7 leaves 0 to 9 to the script.
const LEAST_PRIVATE: RawFd = 10;

/// Makes `to` another name of `from`, not close-on-exec: dup2(2).
pub fn duplicate(from: impl AsFd, to: RawFd) -> nix::Result<()> {
    number(from.as_fd().as_raw_fd(), to)
}

/// The same for a descriptor that is only a number; EBADF where it is not open.
pub fn number(from: RawFd, to: RawFd) -> nix::Result<()> {
    // SAFETY: both calls only change the descriptor table.
    let result = unsafe { if from == to { libc::fcntl(from, libc::F_SETFD, 0) } else { libc::dup2(from, to) } };
    Errno::result(result).map(drop)
}

/// A private, close-on-exec copy; EBADF where `fd` is not open, EMFILE where no number is left for it.
pub fn save(fd: RawFd) -> nix::Result<RawFd> {
    // SAFETY: as above.
    let copy = |least: RawFd| Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) });
    match copy(PRIVATE) {
        // fcntl(2) so refuses a number above the limit.
        Err(Errno::EINVAL) => copy(LEAST_PRIVATE).map_err(|errno| match errno {
            Errno::EINVAL => Errno::EMFILE,
            errno => errno,
        }),
        result => result,
    }
}

/// Whether anybody else has opened the file to write it, as far as that can be known: its owner is refused a lease then, on
/// most file systems.
pub fn is_written_elsewhere(file: impl AsFd) -> bool {
    let lease = |kind: libc::c_int| {
        // SAFETY: neither a lease nor its end is about memory.
        Errno::result(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETLEASE, kind) })
    };
    let refused = lease(libc::F_WRLCK) == Err(Errno::EAGAIN);
    let _ = lease(libc::F_UNLCK);
    refused
}

/// A copy for the script, with a number that it has not chosen.
pub fn allocate(fd: RawFd) -> nix::Result<RawFd> {
    // SAFETY: as above.
    Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD, LEAST_PRIVATE) })
}

/// Whether a descriptor of the script is open for reading, and for writing; EBADF where it is not open or the shell's.
pub fn directions(fd: RawFd) -> nix::Result<(bool, bool)> {
    // SAFETY: as above.
    let (flags, status) = unsafe { (libc::fcntl(fd, libc::F_GETFD), libc::fcntl(fd, libc::F_GETFL)) };
    if Errno::result(flags)? & libc::FD_CLOEXEC != 0 {
        return Err(Errno::EBADF);
    }
    let mode = Errno::result(status)? & libc::O_ACCMODE;
    Ok((mode != libc::O_WRONLY, mode != libc::O_RDONLY))
}

/// close(2).
pub fn close(fd: RawFd) -> nix::Result<()> {
    // SAFETY: as above; whoever owns a `File` of that number gets EBADF from it.
    Errno::result(unsafe { libc::close(fd) }).map(drop)
}

/// Renames `from` to `to`, in a child that gives its pipes their places.
pub fn transfer(from: RawFd, to: RawFd) -> nix::Result<()> {
    number(from, to)?;
    if from == to { Ok(()) } else { close(from) }
}

/// Keeps what a command opens from becoming a standard stream that it was started without. Reading and writing still
/// give EBADF, and a program that is executed still finds the descriptor closed.
pub fn occupy_standard() {
    for fd in 0..3 {
        // SAFETY: as above.
        unsafe {
            if libc::fcntl(fd, libc::F_GETFD) < 0 {
                // The lowest free number, and so this one.
                libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_CLOEXEC);
            }
        }
    }
}
