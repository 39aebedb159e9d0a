//! Who may read what of a process (ptrace(2), "Ptrace access mode checking"), and what to say where it is denied.

use std::io;

/// An error for `what` of process `pid` that names the check that failed and the line that fixes it.
pub fn denied(pid: i32, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("permission denied: {what} of process {pid}"))
}
