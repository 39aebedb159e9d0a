//! A process by a descriptor, which unlike its number never comes to mean another one (pidfd_open(2)).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;

/// ENOSYS on a kernel before 5.3, EPERM where a seccomp filter does not know the call.
pub fn open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: two numbers that the kernel checks.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // pidfd_open has made it close-on-exec.
    Ok(super::owned(fd))
}

/// Whether it has not been waited for.
pub fn exists(process: impl AsFd) -> bool {
    let (fd, signal, none) = (process.as_fd().as_raw_fd(), 0, std::ptr::null::<libc::siginfo_t>());
    // SAFETY: signal 0 sends nothing, and no siginfo is given.
    let asked = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, none, 0) });
    asked != Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_exist() {
        assert!(exists(open(std::process::id().cast_signed()).unwrap()));
        assert_eq!(open(i32::MAX).unwrap_err(), Errno::ESRCH);
    }
}
