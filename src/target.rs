//! The target: the container under inspection, as far as /proc shows it. Reads only, prints nothing, connects to
//! nothing. The one module that knows how /proc is laid out.

pub mod access;
pub mod files;

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use crate::output::Safe;

pub use files::Files;

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
            Absent::OnlyPause => f.write_str("no target: the only other process is the pod's pause process"),
            Absent::NoSuchProcess(name) => write!(f, "no target: no process {} is visible here", Safe(name)),
        }
    }
}

/// Names of processes that hold a pod's namespaces or reap its children and are never what is being debugged.
const PAUSE: [&[u8]; 7] = [b"pause", b"catatonit", b"tini", b"dumb-init", b"docker-init", b"podman-init", b"s6-svscan"];

impl Target {
    /// The target that was named by PID, or the first process that is neither ours nor a pause process.
    pub fn find(chosen: Option<&OsStr>) -> Result<Target, Absent> {
        let pids = pids().ok_or(Absent::NoProc)?;
        if let Some(name) = chosen {
            let pid = name.to_str().and_then(|text| text.parse::<i32>().ok());
            let found = pid.and_then(|pid| Some(Target { pid, comm: ancestry(pid)?.comm }));
            return found.ok_or_else(|| Absent::NoSuchProcess(name.as_bytes().to_vec()));
        }
        let own = root_of(std::process::id() as i32);
        let mut absent = Absent::NotShared;
        for pid in pids {
            let Some(Ancestry { comm, .. }) = ancestry(pid) else { continue };
            if root_of(pid) == own {
                continue;
            }
            if PAUSE.contains(&comm.as_slice()) {
                absent = Absent::OnlyPause;
                continue;
            }
            return Ok(Target { pid, comm });
        }
        Err(absent)
    }
}

/// All process ids, lowest first; `None` where /proc is not procfs.
pub fn pids() -> Option<Vec<i32>> {
    let entries = fs::read_dir("/proc").ok()?;
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    (!pids.is_empty()).then_some(pids)
}

struct Ancestry {
    comm: Vec<u8>,
    parent: i32,
}

/// Name and parent from /proc/PID/stat (proc_pid_stat(5)); the name may itself hold spaces and parentheses.
fn ancestry(pid: i32) -> Option<Ancestry> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let open = memchr::memchr(b'(', &stat)?;
    let close = memchr::memrchr(b')', &stat)?;
    let mut rest = stat.get(close + 1..)?.split(|byte| *byte == b' ').skip(2);
    let parent = std::str::from_utf8(rest.next()?).ok()?.parse().ok()?;
    Some(Ancestry { comm: stat.get(open + 1..close)?.to_vec(), parent })
}

/// The process at the top of the tree that `pid` is in: the first one of its container, whose parent lies outside of
/// the PID namespace and so reads as 0.
fn root_of(pid: i32) -> Option<i32> {
    let mut pid = pid;
    // A loop that cannot end would need processes that change parents as we read; the bound costs nothing.
    for _ in 0..4096 {
        match ancestry(pid)?.parent {
            0 => return Some(pid),
            parent => pid = parent,
        }
    }
    None
}
