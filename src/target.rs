//! The target: the container under inspection, as far as /proc shows it. Prints nothing, connects to
//! nothing, and writes only where a command's purpose is to write (`changes`). The one module that knows how /proc is laid out.

pub mod access;
pub mod accounts;
pub mod activity;
pub mod canonical;
pub mod capabilities;
pub mod cgroup;
pub mod changes;
pub mod credentials;
pub mod descriptors;
pub mod endpoints;
pub mod entering;
pub mod files;
pub mod kinship;
pub mod layers;
pub mod libraries;
pub mod limits;
pub mod machine;
pub mod maps;
pub mod mounts;
pub mod namespaces;
pub mod netlink;
pub mod network;
pub mod open;
pub mod partial;
pub mod place;
pub mod process;
pub mod program;
pub mod sockets;
pub mod threads;
pub mod users;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use crate::output::Safe;

pub use canonical::Missing;
pub use files::Files;
pub use kinship::{Kinship, Whose};
pub use process::Reader;
pub use users::Users;

/// Where the file system of processes is mounted.
pub const PROC: &str = "/proc";

/// The container under inspection, by the process that stands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub pid: i32,
    /// The kernel's name of the process, at most 15 bytes.
    pub comm: Vec<u8>,
}

/// Why there is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// /proc is not there, or is not procfs.
    NoProc,
    /// Only our own processes are visible.
    NotShared,
    /// Only our own processes are visible, but our /proc hides those of other users, with that value of hidepid.
    Hidden(Vec<u8>),
    /// Only a pause process is visible beside ours.
    OnlyPause,
    /// What `--target` or `SIDEBOX_TARGET` named is no process here.
    NoSuchProcess(Vec<u8>),
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::NoProc => f.write_str("no target: /proc is not mounted here (mount -t proc proc /proc)"),
            Absent::NotShared => f.write_str(
                "no target: the PID namespace is not shared with another container (start with --pid container:NAME)",
            ),
            Absent::Hidden(value) => write!(
                f,
                "no target: our /proc is mounted with hidepid={}, which hides processes of other users (start with the \
                 target's --user UID:GID)",
                Safe(value)
            ),
            Absent::OnlyPause => f.write_str("no target: the only other process is the pod's pause process"),
            Absent::NoSuchProcess(name) => write!(f, "no target: no process {} is visible here", Safe(name)),
        }
    }
}

impl Target {
    /// The target that was named by PID, or the first process that is neither ours nor a pause process.
    pub fn find(chosen: Option<&OsStr>) -> Result<Target, Absent> {
        let mut reader = Reader::open().map_err(|_| Absent::NoProc)?;
        let pids = reader.pids().map_err(|_| Absent::NoProc)?;
        if pids.is_empty() {
            return Err(Absent::NoProc);
        }
        if let Some(name) = chosen {
            let stat = process::number(name.as_bytes()).and_then(|pid| reader.stat(pid).ok());
            let found = stat.map(|stat| Target { pid: stat.pid, comm: stat.comm });
            return found.ok_or_else(|| Absent::NoSuchProcess(name.as_bytes().to_vec()));
        }
        let mut kinship = Kinship::new(&mut reader, None);
        let mut absent = Absent::NotShared;
        for pid in pids {
            let Ok(stat) = reader.stat(pid) else { continue };
            match kinship.find(&mut reader, &stat) {
                Whose::Target => return Ok(Target { pid, comm: stat.comm }),
                Whose::Pause => absent = Absent::OnlyPause,
                _ => {}
            }
        }
        if absent == Absent::NotShared
            && let Some(own) = reader.own_pid()
            && let (Some(value), _) = mounts::hidden(&mounts::of(&reader, own).unwrap_or_default())
        {
            absent = Absent::Hidden(value);
        }
        Err(absent)
    }
}
