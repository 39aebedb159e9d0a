//! What stands between us and the target: each check of the kernel's and of the engine's by itself, with what shows it.

pub mod meaning;
pub mod path;

use std::fmt;

use crate::output::Safe;
use crate::target::access::{self, Access, Check, Label};
use crate::target::capabilities::{Capabilities, SYS_PTRACE};
use crate::target::credentials::{Credentials, Seccomp};
use crate::target::mounts::{self, Mount};
use crate::target::namespaces::Namespace;
use crate::target::{Absent, Reader, Target, files};

/// What a check that fails is in the way of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// Its processes, command lines, sockets.
    Seeing,
    /// Its root (`@/`), open files, environment, memory map.
    Reading,
    /// A debugger or a tracer.
    Attaching,
    /// What listens on its loopback.
    Connecting,
    /// Its files by their own paths, without `@/`.
    Paths,
    Writing,
}

impl Concern {
    pub fn name(self) -> &'static str {
        match self {
            Concern::Seeing => "seeing",
            Concern::Reading => "reading",
            Concern::Attaching => "attaching",
            Concern::Connecting => "connecting",
            Concern::Paths => "paths",
            Concern::Writing => "writing",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub name: &'static str,
    pub outcome: Check,
    pub concern: Concern,
    pub evidence: String,
}

impl Checked {
    fn new(name: &'static str, outcome: Check, concern: Concern, evidence: impl Into<String>) -> Checked {
        Checked { name, outcome, concern, evidence: evidence.into() }
    }

    /// Whether it failed, and another start of the sidecar makes it pass.
    pub fn is_cured(&self) -> bool {
        let cured = matches!(self.concern, Concern::Seeing | Concern::Reading | Concern::Connecting);
        cured && self.outcome == Check::Failed
    }
}

/// The word for people and machines.
pub fn word(outcome: Check) -> &'static str {
    match outcome {
        Check::Passed => "passed",
        Check::Failed => "failed",
        Check::Unknown => "unknown",
    }
}

/// The names of all checks, in the order in which they are shown.
pub const NAMES: [&str; 13] = [
    "pid",
    "mount",
    "net",
    "user",
    "ids",
    "capabilities",
    "dumpable",
    "label",
    "reading",
    "yama",
    "hidepid",
    "seccomp",
    "read-only",
];

/// Everything that is known of the way to one process, and its checks.
pub struct Reach {
    pub access: Access,
    pub mounts: Vec<Mount>,
    pub checks: Vec<Checked>,
}

impl Reach {
    pub fn find(reader: &mut Reader, target: &Target) -> std::io::Result<Reach> {
        let pid = target.pid;
        let access = access::of(reader, pid)?;
        let theirs = mounts::of(reader, pid).unwrap_or_default();
        let seen = format!("process {pid} ({}) is visible", Safe(&target.comm));
        let mut checks = vec![Checked::new("pid", Check::Passed, Concern::Seeing, seen)];
        let allowed = access::allowed(reader, pid).is_ok();
        checks.extend(namespaces(reader, pid, allowed));
        checks.extend(permissions(&access));
        checks.push(attempt(allowed, &access));
        checks.extend(ours(reader));
        checks.push(read_only(&theirs));
        Ok(Reach { access, mounts: theirs, checks })
    }

    /// Whether the kernel lets us read its root and what is guarded like it.
    pub fn readable(&self) -> bool {
        self.checks.iter().any(|check| check.name == "reading" && check.outcome == Check::Passed)
    }
}

/// What can be checked where there is no target to compare with.
pub fn without_target(reader: &mut Reader, absent: &Absent) -> Vec<Checked> {
    let mut checks = vec![Checked::new("pid", Check::Failed, Concern::Seeing, absent.to_string())];
    checks.extend(ours(reader));
    checks
}

fn namespaces(reader: &mut Reader, pid: i32, allowed: bool) -> Vec<Checked> {
    let mut check = |name, namespace: Namespace, concern, apart: &str| {
        let outcome = namespace.shared(reader, pid);
        let below = namespace == Namespace::User && outcome == Check::Failed && allowed;
        let outcome = if below { Check::Passed } else { outcome };
        let evidence = match outcome {
            Check::Passed if below => String::from("another one, below ours: our capabilities count there"),
            Check::Passed => String::from("the same one"),
            Check::Failed => format!("another one than ours: {apart}"),
            Check::Unknown => format!("the namespaces of process {pid} may not be read, and nothing else tells"),
        };
        Checked::new(name, outcome, concern, evidence)
    };
    vec![
        check("mount", Namespace::Mount, Concern::Paths, "its files are below @/, not below /"),
        check(
            "net",
            Namespace::Network,
            Concern::Connecting,
            "its loopback is out of reach, its sockets can be listed",
        ),
        check("user", Namespace::User, Concern::Reading, "no capability of ours counts there"),
    ]
}

/// The checks of ptrace(2), section "Ptrace access mode checking". CAP_SYS_PTRACE stands in for the first three.
fn permissions(access: &Access) -> Vec<Checked> {
    let privileged = access.privilege == Check::Passed;
    let (we, they) = (access.we(), access.they());
    let check = |name, outcome, evidence: String| match (outcome, privileged) {
        (Check::Passed, _) => Checked::new(name, Check::Passed, Concern::Reading, evidence),
        (_, true) => Checked::new(name, Check::Passed, Concern::Reading, evidence + ", but we hold CAP_SYS_PTRACE"),
        (outcome, false) => Checked::new(name, outcome, Concern::Reading, evidence),
    };
    let ids = match access.ids {
        Check::Passed => format!("all ids are {we}, as ours"),
        _ => format!("it runs as {they} and we as {we}"),
    };
    let capabilities = match access.lacking() {
        Capabilities(0) => String::from("it holds none that we lack"),
        lacking => format!("it holds {lacking}, which we lack"),
    };
    let dumpable = match access.circumstances.dumpable {
        Check::Passed => String::from("its files in /proc are its own"),
        Check::Failed => String::from(
            "its files in /proc are root's: it changed its user or capabilities, runs an unreadable program, or asked for it",
        ),
        Check::Unknown => String::from("it is root, so the owner of its files in /proc does not tell"),
    };
    let (label, compared) = match &access.circumstances.label {
        Label::Same => (Check::Passed, String::from("the same, or there are none")),
        Label::Different { ours, theirs } => {
            (Check::Failed, format!("it is labelled {} and we {}", Safe(theirs), Safe(ours)))
        }
        Label::Unknown => (Check::Unknown, String::from("its label may not be read")),
    };
    vec![
        check("ids", access.ids, ids),
        check("capabilities", access.capabilities, capabilities),
        check("dumpable", access.circumstances.dumpable, dumpable),
        Checked::new("label", label, Concern::Reading, compared),
    ]
}

/// The kernel's answer, which is the sum of the checks above and of what cannot be seen.
fn attempt(allowed: bool, access: &Access) -> Checked {
    let evidence = match (allowed, access.cause()) {
        (true, _) => String::from("tried: its root, open files and environment can be read"),
        (false, Some(_)) => String::from("tried: denied, because of what failed above"),
        (false, None) => String::from(
            "tried: denied, though nothing failed above: what is unknown there, or a security module without labels",
        ),
    };
    Checked::new("reading", Check::from(allowed), Concern::Reading, evidence)
}

/// What concerns our side only.
fn ours(reader: &mut Reader) -> Vec<Checked> {
    let own = reader.own_pid();
    let credentials = own.and_then(|own| Credentials::of(reader, own).ok()).unwrap_or_default();
    let mounts = own.and_then(|own| mounts::of(reader, own).ok());
    let privileged = credentials.effective.is_some_and(|held| held.0 & SYS_PTRACE != 0);
    vec![
        yama(access::yama(reader), privileged),
        hidepid(mounts.as_deref(), &credentials, privileged),
        seccomp(&credentials),
    ]
}

fn yama(scope: Option<u8>, privileged: bool) -> Checked {
    let check =
        |outcome, evidence: fmt::Arguments| Checked::new("yama", outcome, Concern::Attaching, evidence.to_string());
    match (scope, privileged) {
        (None, _) => check(Check::Passed, format_args!("the kernel has no Yama, or hides it")),
        (Some(0), _) => check(Check::Passed, format_args!("ptrace_scope is 0")),
        (Some(scope @ (1 | 2)), true) => {
            check(Check::Passed, format_args!("ptrace_scope is {scope}, but we hold CAP_SYS_PTRACE"))
        }
        (Some(1), false) => {
            check(Check::Failed, format_args!("ptrace_scope is 1: only a process's parents may attach"))
        }
        (Some(2), false) => check(Check::Failed, format_args!("ptrace_scope is 2: attaching needs CAP_SYS_PTRACE")),
        (Some(scope), _) => check(Check::Failed, format_args!("ptrace_scope is {scope}: nobody may attach")),
    }
}

fn hidepid(mounts: Option<&[Mount]>, credentials: &Credentials, privileged: bool) -> Checked {
    let check = |outcome, evidence: String| Checked::new("hidepid", outcome, Concern::Seeing, evidence);
    let Some(mounts) = mounts else { return check(Check::Unknown, String::from("our mounts may not be read")) };
    let (value, group) = mounts::hidden(mounts);
    let Some(value) = value else { return check(Check::Passed, String::from("our /proc hides no processes")) };
    let option = format!("our /proc is mounted with hidepid={}", Safe(&value));
    match group {
        _ if privileged => check(Check::Passed, option + ", but we hold CAP_SYS_PTRACE"),
        Some(group) if credentials.groups.contains(&group) => {
            check(Check::Passed, format!("{option}, but we are in its group {group}"))
        }
        _ => check(Check::Failed, option + ": processes of other users are hidden"),
    }
}

fn seccomp(credentials: &Credentials) -> Checked {
    let check = |outcome, evidence: String| Checked::new("seccomp", outcome, Concern::Attaching, evidence);
    match credentials.seccomp {
        Some(Seccomp::Off) => check(Check::Passed, String::from("no system call of ours is filtered")),
        Some(_) if files::openat2_refused() => check(
            Check::Failed,
            String::from("our system calls are filtered, openat2 is refused (@/ works without it)"),
        ),
        Some(_) => {
            let filters = credentials.filters.map_or(String::new(), |count| format!(" (filters: {count})"));
            check(
                Check::Unknown,
                format!("our system calls are filtered{filters}, and no one may read how; openat2 is allowed"),
            )
        }
        None => check(Check::Unknown, String::from("the kernel does not tell")),
    }
}

fn read_only(mounts: &[Mount]) -> Checked {
    let check = |outcome, evidence: String| Checked::new("read-only", outcome, Concern::Writing, evidence);
    match mounts::covering(mounts, b"/") {
        Some(root) => {
            let state = if root.read_only { "read-only" } else { "writable" };
            let evidence = format!("its root ({}) is {state}", Safe(&root.filesystem));
            check(Check::from(!root.read_only), evidence)
        }
        None => check(Check::Unknown, String::from("its mounts may not be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_in_reach() {
        let mut reader = Reader::open().unwrap();
        let target = Target { pid: reader.own_pid().unwrap(), comm: b"x\x1b".to_vec() };
        let reach = Reach::find(&mut reader, &target).unwrap();
        let names: Vec<&str> = reach.checks.iter().map(|check| check.name).collect();
        assert_eq!(names, NAMES);
        let find = |name| reach.checks.iter().find(|check| check.name == name).unwrap();
        assert!(find("pid").evidence.ends_with("(x\\x1b) is visible"));
        for name in ["mount", "net", "user", "ids", "capabilities", "reading"] {
            assert_eq!(find(name).outcome, Check::Passed, "{:?}", find(name));
        }
    }

    #[test]
    fn yamas_scopes() {
        let outcome = |scope, privileged| yama(scope, privileged).outcome;
        assert_eq!([outcome(None, false), outcome(Some(0), false), outcome(Some(2), true)], [Check::Passed; 3]);
        assert_eq!([outcome(Some(1), false), outcome(Some(2), false), outcome(Some(3), true)], [Check::Failed; 3]);
    }

    #[test]
    fn hidden_processes() {
        let mounts = mounts::parse(b"2 1 0:31 / /proc rw - proc proc rw,hidepid=2,gid=7\n");
        let of = |groups: &[u32], privileged| {
            let credentials = Credentials { groups: groups.to_vec(), ..Credentials::default() };
            hidepid(Some(&mounts), &credentials, privileged).outcome
        };
        assert_eq!((of(&[], false), of(&[7], false), of(&[], true)), (Check::Failed, Check::Passed, Check::Passed));
        assert_eq!(hidepid(None, &Credentials::default(), false).outcome, Check::Unknown);
    }

    #[test]
    fn a_read_only_root() {
        let root =
            |options: &str| read_only(&mounts::parse(format!("1 0 0:1 / / {options} - overlay o rw\n").as_bytes()));
        assert_eq!(
            (root("ro").outcome, root("rw").outcome, read_only(&[]).outcome),
            (Check::Failed, Check::Passed, Check::Unknown)
        );
        assert_eq!(root("ro,relatime").evidence, "its root (overlay) is read-only");
    }
}
