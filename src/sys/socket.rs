//! Options of sockets.

use std::ffi::c_int;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

/// A reader is woken, and poll(2) says that there is something to read, when so many bytes are there: SO_RCVLOWAT.
pub fn set_low_water(socket: impl AsFd, bytes: c_int) -> nix::Result<()> {
    let length = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one int, which lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            std::ptr::from_ref(&bytes).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}
