//! Whose a process is: the target's, the sidecar's, a pod's pause process, or another container's.
//!
//! Containers that share a PID namespace are trees: the first process of each has its parent outside and so reads as
//! child of 0. Where the tree does not tell (an orphan moves to process 1, `exec` of an engine starts a second tree in
//! a container, with the host's PID namespace all is one tree), the mount namespace does.

use std::collections::HashMap;

use super::process::{Reader, Stat};

/// Names of processes that hold a pod's namespaces or reap its children and are never what is being debugged.
const PAUSE: [&[u8]; 7] = [b"pause", b"catatonit", b"tini", b"dumb-init", b"docker-init", b"podman-init", b"s6-svscan"];

/// How long a chain of parents may be. One that does not end would need processes that change parents as we read.
const DEPTH: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Target,
    /// The container that we run in.
    Sidecar,
    Pause,
    Other,
}

impl Whose {
    pub const ALL: [Whose; 4] = [Whose::Target, Whose::Sidecar, Whose::Pause, Whose::Other];

    pub fn word(self) -> &'static str {
        match self {
            Whose::Target => "target",
            Whose::Sidecar => "sidecar",
            Whose::Pause => "pause",
            Whose::Other => "other",
        }
    }
}

/// A container as one of its processes shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Container {
    pid: i32,
    /// The top of its tree.
    top: i32,
    /// When that started: nothing that is older belongs to the container.
    start: u64,
    first_mount: Option<u64>,
}

impl Container {
    fn of(reader: &mut Reader, pid: i32) -> Option<Container> {
        let mut stat = reader.stat(pid).ok()?;
        for _ in 0..DEPTH {
            if stat.parent == 0 {
                return Some(Container { pid, top: stat.pid, start: stat.start, first_mount: reader.first_mount(pid) });
            }
            stat = reader.stat(stat.parent).ok()?;
        }
        None
    }
}

/// What is known of the processes that were looked at.
pub struct Kinship {
    ours: Option<Container>,
    theirs: Option<Container>,
    known: HashMap<i32, Whose>,
}

impl Kinship {
    pub fn new(reader: &mut Reader, target: Option<i32>) -> Kinship {
        let ours = reader.own_pid().and_then(|pid| Container::of(reader, pid));
        let theirs = target.and_then(|pid| Container::of(reader, pid));
        Kinship { ours, theirs, known: HashMap::new() }
    }

    /// The same while there is no target yet: the first process that is neither ours nor a pause process nor the
    /// kernel's becomes it. Processes come by their ids, the lowest first.
    pub fn find(&mut self, reader: &mut Reader, stat: &Stat) -> Whose {
        let whose = self.whose(reader, stat);
        if self.theirs.is_some() || matches!(whose, Whose::Sidecar | Whose::Pause) || stat.is_kernel_thread() {
            return whose;
        }
        self.theirs = Container::of(reader, stat.pid);
        self.known.insert(stat.pid, Whose::Target);
        Whose::Target
    }

    /// Whose a process is.
    pub fn whose(&mut self, reader: &mut Reader, stat: &Stat) -> Whose {
        if let Some(elder) = self.known.get(&stat.parent).copied().filter(|_| stat.parent > 0) {
            return self.take(reader, stat, Some(elder));
        }
        // The ancestors that have not been judged yet, the oldest last. A parent that ended meanwhile ends the chain.
        let mut chain = vec![stat.clone()];
        let mut elder = None;
        while let Some(Stat { parent: parent @ 1.., .. }) = chain.last()
            && chain.len() < DEPTH
        {
            elder = self.known.get(parent).copied();
            match elder.is_none().then(|| reader.stat(*parent)) {
                Some(Ok(parent)) => chain.push(parent),
                _ => break,
            }
        }
        for stat in chain.iter().rev() {
            elder = Some(self.take(reader, stat, elder));
        }
        elder.unwrap_or(Whose::Other)
    }

    fn take(&mut self, reader: &mut Reader, stat: &Stat, elder: Option<Whose>) -> Whose {
        let whose = self.judge(stat, elder, |pid| reader.first_mount(pid));
        self.known.insert(stat.pid, whose);
        // A further tree of our container, which may be the older one.
        if let (Whose::Sidecar, 0, Some(ours)) = (whose, stat.parent, &mut self.ours) {
            ours.start = ours.start.min(stat.start);
        }
        whose
    }

    /// `elder` is whose the parent is.
    fn judge(&self, stat: &Stat, elder: Option<Whose>, first_mount: impl FnOnce(i32) -> Option<u64>) -> Whose {
        let top = |container: Option<Container>| container.map(|it| it.top);
        let (our_top, their_top) = (top(self.ours), top(self.theirs));
        let one_tree = our_top.is_some() && our_top == their_top;
        let is = |container: Option<Container>| container.is_some_and(|it| it.pid == stat.pid);
        match () {
            () if is(self.theirs) => return Whose::Target,
            () if is(self.ours) => return Whose::Sidecar,
            () if stat.is_kernel_thread() => return Whose::Other,
            // Before the names of pause processes: ours may have been started with an init.
            () if Some(stat.pid) == our_top && !one_tree => return Whose::Sidecar,
            () if stat.parent == 0 && PAUSE.contains(&stat.comm.as_slice()) => return Whose::Pause,
            () if Some(stat.pid) == their_top && !one_tree => return Whose::Target,
            () => {}
        }
        let possible = |container: Option<Container>| container.is_some_and(|it| it.start <= stat.start);
        let doubtful = match elder {
            _ if one_tree => true,
            Some(_) if stat.parent > 1 => false,
            Some(Whose::Target) => possible(self.ours),
            Some(Whose::Sidecar) => possible(self.theirs),
            _ => true,
        };
        if doubtful && let Some(whose) = self.by_mounts(first_mount(stat.pid), one_tree) {
            return whose;
        }
        match elder {
            Some(Whose::Pause) if their_top == Some(stat.parent) => Whose::Target,
            Some(Whose::Pause) | None => Whose::Other,
            Some(elder) => elder,
        }
    }

    /// Says nothing where the two cannot be told apart, nor of a process with mounts of its own below one of them.
    fn by_mounts(&self, first_mount: Option<u64>, one_tree: bool) -> Option<Whose> {
        let first_mount = first_mount?;
        let is = |container: Option<Container>| container.and_then(|it| it.first_mount) == Some(first_mount);
        match (is(self.ours), is(self.theirs)) {
            (true, false) => Some(Whose::Sidecar),
            (false, true) => Some(Whose::Target),
            (false, false) if one_tree => Some(Whose::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Container = Container { pid: 55, top: 50, start: 5000, first_mount: Some(500) };
    const THEIRS: Container = Container { pid: 1, top: 1, start: 10, first_mount: Some(100) };

    fn judge(ours: Container, theirs: Container, elder: Option<Whose>, pid: i32, parent: i32, mount: u64) -> Whose {
        let kinship = Kinship { ours: Some(ours), theirs: Some(theirs), known: HashMap::new() };
        let stat = Stat { pid, parent, comm: b"any".to_vec(), start: 6000, ..Stat::default() };
        kinship.judge(&stat, elder, |_| Some(mount))
    }

    #[test]
    fn trees_tell() {
        assert_eq!(judge(OURS, THEIRS, None, 1, 0, 9), Whose::Target);
        assert_eq!(judge(OURS, THEIRS, None, 50, 0, 9), Whose::Sidecar);
        assert_eq!(judge(OURS, THEIRS, Some(Whose::Target), 8, 7, 500), Whose::Target);
        assert_eq!(judge(OURS, THEIRS, Some(Whose::Sidecar), 51, 50, 9), Whose::Sidecar);
        assert_eq!(judge(OURS, THEIRS, None, 60, 0, 9), Whose::Other);
    }

    #[test]
    fn mounts_tell_orphans_and_second_trees() {
        assert_eq!(judge(OURS, THEIRS, Some(Whose::Target), 52, 1, 500), Whose::Sidecar);
        assert_eq!(judge(OURS, THEIRS, Some(Whose::Target), 9, 1, 100), Whose::Target);
        assert_eq!(judge(OURS, THEIRS, Some(Whose::Target), 9, 1, 7), Whose::Target);
        assert_eq!(judge(OURS, THEIRS, None, 60, 0, 500), Whose::Sidecar);
        assert_eq!(judge(OURS, THEIRS, None, 60, 0, 100), Whose::Target);
    }

    #[test]
    fn what_is_older_than_a_container_is_not_its_orphan() {
        let kinship = Kinship { ours: Some(OURS), theirs: Some(THEIRS), known: HashMap::new() };
        let worker = Stat { pid: 9, parent: 1, start: 11, ..Stat::default() };
        assert_eq!(kinship.judge(&worker, Some(Whose::Target), |_| panic!("not asked")), Whose::Target);
    }

    #[test]
    fn below_a_pause_process() {
        let behind_tini = Container { pid: 6, top: 1, start: 10, first_mount: Some(100) };
        assert_eq!(judge(OURS, behind_tini, Some(Whose::Pause), 7, 1, 3), Whose::Target);
        let in_pod = Container { pid: 7, top: 7, start: 10, first_mount: Some(100) };
        assert_eq!(judge(OURS, in_pod, Some(Whose::Pause), 9, 1, 100), Whose::Target);
        assert_eq!(judge(OURS, in_pod, Some(Whose::Pause), 9, 1, 3), Whose::Other);
        let kinship = Kinship { ours: None, theirs: None, known: HashMap::new() };
        let pause = Stat { pid: 1, comm: b"pause".to_vec(), ..Stat::default() };
        assert_eq!(kinship.judge(&pause, None, |_| None), Whose::Pause);
    }

    #[test]
    fn in_the_hosts_pid_namespace_only_mounts_tell() {
        let (ours, theirs) = (Container { top: 1, ..OURS }, Container { pid: 71, top: 1, ..THEIRS });
        assert_eq!(judge(ours, theirs, Some(Whose::Other), 70, 60, 500), Whose::Sidecar);
        assert_eq!(judge(ours, theirs, Some(Whose::Sidecar), 73, 60, 100), Whose::Target);
        assert_eq!(judge(ours, theirs, None, 1, 0, 9), Whose::Other);
        assert_eq!(judge(ours, theirs, Some(Whose::Target), 72, 71, 9), Whose::Other);
    }

    #[test]
    fn a_named_process_of_our_own_container_is_the_target_with_its_children() {
        let (ours, theirs) =
            (Container { top: 1, ..OURS }, Container { pid: 71, top: 1, start: 10, first_mount: Some(500) });
        assert_eq!(judge(ours, theirs, Some(Whose::Other), 71, 60, 500), Whose::Target);
        assert_eq!(judge(ours, theirs, Some(Whose::Target), 72, 71, 500), Whose::Target);
        assert_eq!(judge(ours, theirs, Some(Whose::Other), 55, 60, 500), Whose::Sidecar);
        assert_eq!(judge(ours, theirs, Some(Whose::Other), 80, 60, 500), Whose::Other);
    }
}
