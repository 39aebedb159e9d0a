//! System calls that nix lacks, or has only as `unsafe`: the one module where `unsafe` is allowed.
//!
//! Every function here is safe to call; each block says why.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use nix::unistd::{ForkResult, Pid};

pub mod capability;
pub mod descriptor;
pub mod directory;
pub mod heap;
pub mod image;
pub mod number;
pub mod process;
pub mod regex;
pub mod signal;
pub mod socket;
pub mod stack;
pub mod terminal;
pub mod time;
#[cfg(panic = "abort")]
mod unwind;

/// Descriptor `fd` as a file that will close it when dropped.
///
/// For the three standard descriptors, which nobody else in the process owns as a `File`.
pub fn file(fd: RawFd) -> File {
    // SAFETY: a descriptor number is not memory; a wrong one gives EBADF from every call.
    unsafe { File::from_raw_fd(fd) }
}

/// Takes over a descriptor that the caller got from the kernel as a bare number.
pub fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: as for `file`.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A descriptor number as something the checked calls accept, for the shell, whose descriptors are numbers that a
/// script chose: a wrong one gives EBADF.
pub fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    debug_assert!(fd >= 0);
    // SAFETY: the number is only handed to the kernel, which checks it.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// The arguments that the kernel gave, for a `main` that starts without Rust's runtime.
///
/// # Safety
/// `vector` holds `count` pointers to C strings.
pub unsafe fn arguments(count: c_int, vector: *const *const c_char) -> Vec<OsString> {
    (0..usize::try_from(count).unwrap_or(0))
        .map(|index| {
            // SAFETY: the caller promises it.
            let argument = unsafe { CStr::from_ptr(*vector.add(index)) };
            OsString::from_vec(argument.to_bytes().to_vec())
        })
        .collect()
}

/// fork(2), for `launch`. The caller has flushed its buffers; the child ends with [`exit`].
#[expect(clippy::disallowed_methods)]
pub fn fork() -> nix::Result<ForkResult> {
    // SAFETY: sidebox has one thread wherever it forks (the contract of `launch`), so that the child may allocate.
    unsafe { nix::unistd::fork() }
}

/// _exit(2): no destructors, no buffers written a second time.
pub fn exit(status: u8) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// The working directory as the kernel spells it: `(unreachable)/…` where it lies outside our root, which is how
/// a directory in the target's root shows itself. getcwd(3) hides that, getcwd(2) does not.
pub fn working_directory() -> io::Result<OsString> {
    let mut buffer = vec![0u8; libc::PATH_MAX as usize + 16];
    // SAFETY: the kernel writes at most `len` bytes into a buffer of `len` bytes.
    let len = unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) };
    let Ok(len) = usize::try_from(len) else {
        return Err(io::Error::last_os_error());
    };
    buffer.truncate(len.saturating_sub(1));
    Ok(OsString::from_vec(buffer))
}

/// Makes `fd` the terminal's foreground job's business: tcsetpgrp(3), called with SIGTTOU blocked by the caller.
pub fn foreground(fd: RawFd, group: Pid) -> nix::Result<()> {
    nix::unistd::tcsetpgrp(borrow(fd), group)
}

/// A NUL-terminated copy; what stands behind a NUL byte cannot reach the kernel and is refused.
pub fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}
