//! Changing the root directory, the working directory and the user of this process, before it becomes a command.

use std::fmt::Display;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, chroot, fchdir, setgroups, setresgid, setresuid};

use crate::applet::{Error, Result, reason};
use crate::sys::capability;
use crate::target::access;
use crate::target::capabilities::{SETGID, SETUID, SYS_CHROOT};

/// An error that names the capability which the kernel asked for, where we lack it: `what: why: needs …`.
pub fn denied(what: impl Display, error: impl Into<io::Error>, capabilities: u64) -> Error {
    let error: io::Error = error.into();
    let refused = matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES));
    match access::lacks(capabilities).filter(|_| refused) {
        Some(why) => Error::message(format_args!("{what}: {}: {why}", reason(&error))),
        None => Error::message(format_args!("{what}: {}", reason(&error))),
    }
}

/// Makes an open directory the root and the working directory.
pub fn set_root(directory: impl AsFd, name: impl Display) -> Result<()> {
    fchdir(directory).and_then(|()| chroot(".")).map_err(|error| denied(name, error, SYS_CHROOT))
}

/// Changes all of the real, effective and saved ids. The groups come first, since they take what the user then lacks.
pub fn change(user: Option<u32>, group: Option<u32>, groups: Option<&[u32]>) -> Result<()> {
    // To the kernel it says that nothing is to be changed.
    if [user, group].contains(&Some(u32::MAX)) {
        return Err(Error::message(format_args!("{}: no number of a user or group", u32::MAX)));
    }
    if let Some(groups) = groups {
        let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
        setgroups(&groups).map_err(|error| denied("supplementary groups", error, SETGID))?;
    }
    if let Some(group) = group {
        let id = Gid::from_raw(group);
        setresgid(id, id, id).map_err(|error| unmapped("group", group, error, SETGID))?;
    }
    if let Some(user) = user {
        let id = Uid::from_raw(user);
        setresuid(id, id, id).map_err(|error| unmapped("user", user, error, SETUID))?;
    }
    Ok(())
}

fn unmapped(what: &str, id: u32, error: Errno, capability: u64) -> Error {
    match error {
        Errno::EINVAL => Error::message(format_args!("{what} {id}: not mapped in the user namespace")),
        error => denied(format_args!("{what} {id}"), error, capability),
    }
}

/// What execve(2) would do to the capabilities, for a command that may run without it.
pub fn settle() -> Result<()> {
    capability::as_after_exec().map_err(|error| denied("capabilities", error, 0))
}
