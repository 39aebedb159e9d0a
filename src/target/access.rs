//! Who may read what of a process (ptrace(2), "Ptrace access mode checking"), and what to say where it is denied.
//!
//! Behind that check lie root, cwd, exe, environ, maps, fd and ns of a process. What is compared here may be read by
//! everyone: /proc/PID/status of both sides, the owner of a file in /proc/PID, the maps of the user namespace. Yama
//! only restricts attaching, so it has no part in this.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{getegid, geteuid};

use crate::output::Safe;
use crate::sys::capability;

use super::capabilities::{Capabilities, SYS_PTRACE, USUAL};
use super::namespaces::Namespace;
use super::process::{Reader, Status, number};

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Passed,
    Failed,
    Unknown,
}

impl From<bool> for Check {
    fn from(passed: bool) -> Check {
        if passed { Check::Passed } else { Check::Failed }
    }
}

/// What the two statuses do not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// A process that changed its user after it started, or whose program may not be read, is root's business only.
    pub dumpable: Check,
    pub same_user_namespace: Check,
    pub label: Label,
}

/// The security module's names for both sides (AppArmor profile, SELinux context).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// The same, or none.
    Same,
    Different {
        ours: Vec<u8>,
        theirs: Vec<u8>,
    },
    Unknown,
}

/// The kernel's checks, each by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// CAP_SYS_PTRACE, which stands in for the three that follow it.
    pub privilege: Check,
    /// All user and group ids of the process equal ours.
    pub ids: Check,
    /// We hold all capabilities that the process may take.
    pub capabilities: Check,
    pub circumstances: Circumstances,
    ours: Status,
    theirs: Status,
}

/// Why a read is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Namespace,
    Ids,
    Capabilities,
    Dumpable,
    Label,
}

/// What to start the sidecar with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The process's own user, and no capabilities if it has none.
    User { user: u32, group: u32, bare: bool },
    /// Root with CAP_SYS_PTRACE.
    Privilege,
}

impl Access {
    /// The kernel's decision from what can be known. Files in /proc are checked with the file system ids and the
    /// effective capabilities of the reader (PTRACE_MODE_READ_FSCREDS).
    pub fn decide(ours: &Status, theirs: &Status, circumstances: Circumstances) -> Access {
        let all = |ids: super::process::Ids, own: u32| [ids.real, ids.effective, ids.saved] == [own; 3];
        let same = all(theirs.users, ours.users.filesystem) && all(theirs.groups, ours.groups.filesystem);
        Access {
            privilege: Check::from(ours.effective & SYS_PTRACE != 0),
            ids: Check::from(same),
            capabilities: Check::from(theirs.permitted & !ours.effective == 0),
            circumstances,
            ours: ours.clone(),
            theirs: theirs.clone(),
        }
    }

    /// The first check that fails for certain; `None` where all that can be known passes.
    pub fn cause(&self) -> Option<Cause> {
        let failed = |check| check == Check::Failed;
        let privileged = self.privilege == Check::Passed;
        let label = matches!(self.circumstances.label, Label::Different { .. });
        match () {
            // A capability counts in its own user namespace and those below; which of them this is cannot be seen.
            () if failed(self.circumstances.same_user_namespace) => Some(Cause::Namespace),
            () if !privileged && failed(self.ids) => Some(Cause::Ids),
            () if !privileged && failed(self.capabilities) => Some(Cause::Capabilities),
            () if !privileged && failed(self.circumstances.dumpable) => Some(Cause::Dumpable),
            () if label => Some(Cause::Label),
            () => None,
        }
    }

    /// One line: the check that failed and what to start the sidecar with, for `who` as in `process 1`.
    pub fn explain(&self, who: impl fmt::Display) -> String {
        match self.cause() {
            Some(Cause::Namespace) => format!(
                "{who} runs in another user namespace: start the sidecar in the same one (--userns container:NAME)"
            ),
            Some(Cause::Ids) => {
                let we = self.we();
                let without = if self.we_are_root() { " without CAP_SYS_PTRACE" } else { "" };
                format!("{who} runs as {} and we as {we}{without}: {}", self.they(), self.fix())
            }
            Some(Cause::Capabilities) => {
                let lacking = self.lacking();
                format!("{who} holds capabilities that we lack ({lacking}): {}", self.fix())
            }
            Some(Cause::Dumpable) => format!(
                "{who} is not dumpable (it changed its user or capabilities after it started, or asked for it): {}",
                self.fix()
            ),
            Some(Cause::Label) => self.label(&who),
            None => format!(
                "{who}: every check that can be seen from here passes, so it may be in another user namespace, not \
                 dumpable, or guarded by a security module"
            ),
        }
    }

    /// What to start the sidecar with: the process's own user where that is enough, else the privilege.
    pub fn remedy(&self) -> Remedy {
        let (users, groups) = (self.theirs.users, self.theirs.groups);
        let uniform = [users.real, users.saved, groups.real, groups.saved]
            == [users.effective, users.effective, groups.effective, groups.effective];
        // A container's root comes with the usual capabilities, any other user with none.
        let held = if users.effective == 0 { USUAL } else { 0 };
        let enough = self.theirs.permitted & !held == 0 && self.circumstances.dumpable != Check::Failed;
        match uniform && enough {
            true => Remedy::User { user: users.effective, group: groups.effective, bare: self.theirs.permitted == 0 },
            false => Remedy::Privilege,
        }
    }

    fn fix(&self) -> String {
        let user = match self.remedy() {
            Remedy::User { user, group, .. } if self.ids == Check::Failed => Some(Pair(user, group)),
            _ => None,
        };
        match (user, self.we_are_root()) {
            (Some(user), true) => format!("start the sidecar with --user {user} or add --cap-add SYS_PTRACE"),
            (Some(user), false) => format!("start the sidecar with --user {user}"),
            (None, true) => String::from("add --cap-add SYS_PTRACE"),
            // Engines give added capabilities to root only.
            (None, false) => String::from("start the sidecar with --user 0 --cap-add SYS_PTRACE"),
        }
    }

    fn label(&self, who: &dyn fmt::Display) -> String {
        let Label::Different { ours, theirs } = &self.circumstances.label else { return who.to_string() };
        let fix = self.security().unwrap_or_default();
        let (ours, theirs) = (Safe(ours), Safe(theirs));
        format!("{who} is labelled {theirs} and we {ours}: start the sidecar with --security-opt {fix}")
    }

    /// What `--security-opt` would make the labels equal.
    pub fn security(&self) -> Option<String> {
        let Label::Different { theirs, .. } = &self.circumstances.label else { return None };
        // user:role:type:level is SELinux; a profile's name has its mode behind it: `docker-default (enforce)`.
        if theirs.split(|byte| *byte == b':').count() >= 3 {
            return Some(String::from("label=disable"));
        }
        let profile = theirs.split(|byte| *byte == b' ').next().unwrap_or_default();
        Some(format!("apparmor={}", Safe(profile)))
    }

    /// Our user and group, those that files in /proc are checked with.
    pub fn we(&self) -> String {
        Pair(self.ours.users.filesystem, self.ours.groups.filesystem).to_string()
    }

    /// The capabilities that the process may take and we lack.
    pub fn lacking(&self) -> Capabilities {
        Capabilities(self.theirs.permitted & !self.ours.effective)
    }

    fn we_are_root(&self) -> bool {
        self.ours.users.effective == 0
    }

    /// Its user and group, with those that differ from them.
    pub fn they(&self) -> String {
        let (users, groups) = (self.theirs.users, self.theirs.groups);
        let mut they = Pair(users.effective, groups.effective).to_string();
        if (users.real, groups.real) != (users.effective, groups.effective) {
            they += &format!(" (real {})", Pair(users.real, groups.real));
        } else if (users.saved, groups.saved) != (users.effective, groups.effective) {
            they += &format!(" (saved {})", Pair(users.saved, groups.saved));
        }
        they
    }
}

/// Reads both sides and decides.
pub fn of(reader: &mut Reader, pid: i32) -> io::Result<Access> {
    let own = reader.own_pid().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let (ours, theirs) = (reader.status(own)?, reader.status(pid)?);
    let circumstances = Circumstances {
        dumpable: dumpable(reader, pid, &theirs),
        same_user_namespace: Namespace::User.shared(reader, pid),
        label: label(reader, own, pid),
    };
    Ok(Access::decide(&ours, &theirs, circumstances))
}

/// The kernel's own answer: whether the root, and so what else is guarded like it, may be read.
pub fn allowed(reader: &Reader, pid: i32) -> io::Result<()> {
    reader.link(&format!("{pid}/root")).map(|_| ())
}

/// The setting kernel.yama.ptrace_scope; `None` where the kernel has no Yama.
pub fn yama(reader: &mut Reader) -> Option<u8> {
    number(reader.read("sys/kernel/yama/ptrace_scope").ok()?.trim_ascii())
}

/// That we lack what the kernel asks for, and what to start the sidecar with. `None` where we hold it, so that something
/// else is the reason.
pub fn lacks(capabilities: u64) -> Option<String> {
    let held = capability::sets().map_or(0, |sets| sets.effective);
    let names: Vec<String> = Capabilities(capabilities & !held).names().collect();
    if names.is_empty() {
        return None;
    }
    let (we, root) = (Pair(geteuid().as_raw(), getegid().as_raw()), geteuid().is_root());
    let options = names.iter().filter_map(|name| name.strip_prefix("CAP_")).map(|name| format!("--cap-add {name}"));
    let options = std::iter::once(String::from("--user 0")).filter(|_| !root).chain(options);
    let options: Vec<String> = options.collect();
    let names = names.join(" and ");
    Some(format!("needs {names}, which we ({we}) lack: start the sidecar with {}", options.join(" ")))
}

/// Why we may not read `what` of process `pid`, what to do about it, and which command tells more.
pub fn explain(pid: i32, what: &str) -> String {
    let why = match Reader::open().and_then(|mut reader| of(&mut reader, pid)) {
        Ok(access) if access.cause().is_none() => {
            format!("{what} of {}", access.explain(format_args!("process {pid}")))
        }
        Ok(access) => access.explain(format_args!("process {pid}")),
        Err(_) => return format!("process {pid} has ended"),
    };
    format!("{why}; 'why {pid}' tells each check")
}

/// Why the owners of so many sockets are not known: the descriptors of these processes may not be read. The target's,
/// process `pid`, are what people want first.
pub fn owners_unknown(orphans: usize, denied: &[i32], pid: i32) -> Option<String> {
    let first = denied.iter().find(|denied| **denied == pid).or(denied.first()).filter(|_| orphans > 0)?;
    let why = explain(*first, "descriptors");
    let owners = if orphans == 1 { "1 owner is" } else { &format!("{orphans} owners are") };
    Some(format!("{owners} not shown: {why}"))
}

/// An error for `what` of process `pid` that names the check that failed and the line that fixes it.
pub fn denied(pid: i32, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("permission denied: {}", explain(pid, what)))
}

/// A file below the target's root that its own mode, or a directory's, denies: in the system's words, and with the
/// command that tells which.
#[derive(Debug)]
pub struct PathDenied {
    errno: Errno,
    /// Below the root, without a slash before it.
    path: Vec<u8>,
}

impl PathDenied {
    pub(super) fn error(inner: &Path, error: &io::Error) -> io::Error {
        let path = inner.as_os_str().as_bytes();
        let path = path.strip_prefix(b"/").unwrap_or(path).to_vec();
        let errno = error.raw_os_error().map_or(Errno::EACCES, Errno::from_raw);
        io::Error::new(io::ErrorKind::PermissionDenied, PathDenied { errno, path })
    }
}

impl fmt::Display for PathDenied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: 'why @/{}' tells more", self.errno.desc(), Safe(&self.path))
    }
}

impl std::error::Error for PathDenied {}

/// The files of a process that is not dumpable belong to root, whoever it runs as.
fn dumpable(reader: &Reader, pid: i32, theirs: &Status) -> Check {
    let Ok(owner) = reader.owner_of(&format!("{pid}/stat")) else { return Check::Unknown };
    match (theirs.users.effective, theirs.groups.effective) {
        (0, 0) => Check::Unknown,
        ids => Check::from((owner.user, owner.group) == ids),
    }
}

/// The security module's name for a process; `None` where there is none, or it may not be read.
pub fn label_of(reader: &mut Reader, pid: i32) -> Option<Vec<u8>> {
    let label = reader.read(&format!("{pid}/attr/current")).ok()?;
    let end = label.iter().rposition(|byte| !matches!(byte, 0 | b'\n')).map_or(0, |last| last + 1);
    Some(label[..end].to_vec())
}

fn label(reader: &mut Reader, own: i32, pid: i32) -> Label {
    match (label_of(reader, own), label_of(reader, pid)) {
        // No security module that has labels.
        (None, _) => Label::Same,
        (Some(ours), Some(theirs)) if ours == theirs || ours == b"unconfined" => Label::Same,
        (Some(ours), Some(theirs)) => Label::Different { ours, theirs },
        (Some(_), None) => Label::Unknown,
    }
}

struct Pair(u32, u32);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::process::Ids;

    fn status(user: u32, group: u32, capabilities: u64) -> Status {
        let ids = |id| Ids { real: id, effective: id, saved: id, filesystem: id };
        Status { users: ids(user), groups: ids(group), permitted: capabilities, effective: capabilities }
    }

    fn usual() -> Circumstances {
        Circumstances { dumpable: Check::Unknown, same_user_namespace: Check::Unknown, label: Label::Same }
    }

    fn decide(ours: Status, theirs: Status) -> Access {
        Access::decide(&ours, &theirs, usual())
    }

    #[test]
    fn the_same_user_without_capabilities_may() {
        let access = decide(status(65532, 65532, 0), status(65532, 65532, 0));
        assert_eq!((access.privilege, access.ids, access.capabilities), (Check::Failed, Check::Passed, Check::Passed));
        assert_eq!(access.cause(), None);
    }

    #[test]
    fn another_user_may_not() {
        let access = decide(status(1000, 1000, 0), status(65532, 65532, 0));
        assert_eq!(access.cause(), Some(Cause::Ids));
        assert_eq!(
            access.explain("process 1"),
            "process 1 runs as 65532:65532 and we as 1000:1000: start the sidecar with --user 65532:65532"
        );
        let same_user_other_group = decide(status(65532, 0, 0), status(65532, 65532, 0));
        assert_eq!(
            same_user_other_group.explain("process 1"),
            "process 1 runs as 65532:65532 and we as 65532:0: start the sidecar with --user 65532:65532"
        );
    }

    #[test]
    fn root_with_the_usual_capabilities_may_not() {
        let access = decide(status(0, 0, USUAL), status(65532, 65532, 0));
        assert_eq!(
            access.explain("process 1"),
            "process 1 runs as 65532:65532 and we as 0:0 without CAP_SYS_PTRACE: start the sidecar with --user \
             65532:65532 or add --cap-add SYS_PTRACE"
        );
        assert_eq!(decide(status(0, 0, USUAL | SYS_PTRACE), status(65532, 65532, 0)).cause(), None);
    }

    #[test]
    fn capabilities_count_too() {
        let access = decide(status(65532, 65532, 0), status(65532, 65532, 1 << 10));
        assert_eq!(access.cause(), Some(Cause::Capabilities));
        assert_eq!(
            access.explain("process 1"),
            "process 1 holds capabilities that we lack (CAP_NET_BIND_SERVICE): start the sidecar with --user 0 \
             --cap-add SYS_PTRACE"
        );
        let dropped = decide(status(0, 0, 0), status(0, 0, USUAL));
        assert_eq!(
            dropped.explain("process 1"),
            "process 1 holds capabilities that we lack (CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER and 11 more): add \
             --cap-add SYS_PTRACE"
        );
    }

    #[test]
    fn a_user_that_cannot_be_taken_needs_the_privilege() {
        let expected = "process 1 runs as 65532:65532 and we as 1000:1000: start the sidecar with --user 0 --cap-add \
                        SYS_PTRACE";
        let capable = decide(status(1000, 1000, 0), status(65532, 65532, 1 << 10));
        assert_eq!(capable.explain("process 1"), expected);
        let changed = Circumstances { dumpable: Check::Failed, ..usual() };
        let changed = Access::decide(&status(1000, 1000, 0), &status(65532, 65532, 0), changed);
        assert_eq!(changed.explain("process 1"), expected);
        let mut theirs = status(65532, 65532, 0);
        theirs.users.saved = 0;
        assert_eq!(
            decide(status(65532, 65532, 0), theirs).explain("process 1"),
            "process 1 runs as 65532:65532 (saved 0:65532) and we as 65532:65532: start the sidecar with \
             --user 0 --cap-add SYS_PTRACE"
        );
    }

    #[test]
    fn what_the_statuses_do_not_tell() {
        let with = |circumstances| {
            let access = Access::decide(&status(7, 7, 0), &status(7, 7, 0), circumstances);
            (access.cause(), access.explain("process 1"))
        };
        let (cause, text) = with(Circumstances { dumpable: Check::Failed, ..usual() });
        assert_eq!(cause, Some(Cause::Dumpable));
        assert_eq!(
            text,
            "process 1 is not dumpable (it changed its user or capabilities after it started, or asked for it): start \
             the sidecar with --user 0 --cap-add SYS_PTRACE"
        );
        let (cause, text) = with(Circumstances { same_user_namespace: Check::Failed, ..usual() });
        assert_eq!(cause, Some(Cause::Namespace));
        assert_eq!(
            text,
            "process 1 runs in another user namespace: start the sidecar in the same one (--userns container:NAME)"
        );
        let labels =
            Label::Different { ours: b"docker-default (enforce)".to_vec(), theirs: b"my-profile (enforce)".to_vec() };
        let (cause, text) = with(Circumstances { label: labels, ..usual() });
        assert_eq!(cause, Some(Cause::Label));
        assert_eq!(
            text,
            "process 1 is labelled my-profile (enforce) and we docker-default (enforce): start the sidecar with \
             --security-opt apparmor=my-profile"
        );
        let (cause, text) = with(usual());
        assert_eq!(cause, None);
        assert_eq!(
            text,
            "process 1: every check that can be seen from here passes, so it may be in another user namespace, not \
             dumpable, or guarded by a security module"
        );
    }

    #[test]
    fn we_may_read_ourselves() {
        let mut reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        let access = of(&mut reader, own).unwrap();
        assert_eq!((access.ids, access.circumstances.same_user_namespace), (Check::Passed, Check::Passed));
    }
}
