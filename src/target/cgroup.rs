//! The control groups of a process (cgroups(7)), version 1 and 2, also mixed.
//!
//! Which group it is stands in /proc/PID/cgroup; where the files of that group are depends on what is mounted. Both that
//! path and the root of a mount in mountinfo are told relative to our own cgroup namespace, so the directory is the mount
//! point with the rest of the path: in the target's own mounts, reached by `@/`, or else in ours.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::Files;
use super::mounts::Mount;
use super::process::{Fields, Reader, number};

/// The most that is read of one of its files.
const LIMIT: usize = 64 * 1024;

/// A line of /proc/PID/cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// None for version 2.
    controllers: Vec<Vec<u8>>,
    path: Vec<u8>,
}

impl Membership {
    /// `4:memory:/docker/1`, or `0::/` for version 2.
    pub fn parse(line: &[u8]) -> Option<Membership> {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        number::<u32>(fields.next()?)?;
        let controllers = fields.next()?;
        let path = fields.next()?.to_vec();
        let controllers = controllers.split(|byte| *byte == b',').filter(|name| !name.is_empty());
        path.starts_with(b"/").then(|| Membership { controllers: controllers.map(<[u8]>::to_vec).collect(), path })
    }

    fn is_second(&self) -> bool {
        self.controllers.is_empty()
    }
}

/// Where the numbers of one controller are.
pub struct Group<'a> {
    files: &'a Files,
    directory: PathBuf,
    pub version: u8,
}

/// Finds the files of a process's groups.
pub struct Cgroups<'a> {
    files: &'a Files,
    memberships: Vec<Membership>,
    theirs: &'a [Mount],
    ours: &'a [Mount],
}

impl<'a> Cgroups<'a> {
    pub fn of(
        reader: &mut Reader,
        pid: i32,
        files: &'a Files,
        theirs: &'a [Mount],
        ours: &'a [Mount],
    ) -> std::io::Result<Cgroups<'a>> {
        let text = reader.read(&format!("{pid}/cgroup"))?;
        let memberships = text.split(|byte| *byte == b'\n').filter_map(Membership::parse).collect();
        Ok(Cgroups { files, memberships, theirs, ours })
    }

    /// The controller's files: version 1 where it is mounted as that, else version 2.
    pub fn group(&self, controller: &[u8]) -> Option<Group<'a>> {
        let first = self.memberships.iter().find(|one| one.controllers.iter().any(|name| name == controller));
        let second = self.memberships.iter().find(|one| one.is_second());
        let membership = first.or(second)?;
        let version = if membership.is_second() { 2 } else { 1 };
        let probe = if membership.is_second() { "cgroup.procs" } else { "tasks" };
        let below_theirs =
            directory(self.theirs, membership, controller).map(|directory| [b"@", &directory[..]].concat());
        let candidates = [below_theirs, directory(self.ours, membership, controller)];
        candidates.into_iter().flatten().find_map(|directory| {
            let group = Group { files: self.files, directory: PathBuf::from(OsStr::from_bytes(&directory)), version };
            self.files.metadata(&group.directory.join(probe)).is_ok().then_some(group)
        })
    }
}

fn directory(mounts: &[Mount], membership: &Membership, controller: &[u8]) -> Option<Vec<u8>> {
    let of_it = |mount: &&Mount| match membership.is_second() {
        true => mount.filesystem == b"cgroup2",
        false => mount.filesystem == b"cgroup" && mount.option(controller).is_some(),
    };
    mounts.iter().filter(of_it).find_map(|mount| {
        let root = mount.root.strip_suffix(b"/").unwrap_or(&mount.root);
        let rest = membership.path.strip_prefix(root)?;
        (rest.is_empty() || rest[0] == b'/').then(|| [&mount.point, rest].concat())
    })
}

impl Group<'_> {
    /// One of its files; `None` where it is not there or may not be read.
    pub fn text(&self, name: &str) -> Option<Vec<u8>> {
        self.files.text(&self.directory.join(name), LIMIT).ok()
    }

    /// A file with one number; `max` is no number, and so are the numbers by which version 1 means the same.
    pub fn number(&self, name: &str) -> Option<u64> {
        number(self.text(name)?.trim_ascii()).filter(|value| *value < NONE)
    }

    /// The value of a key in a file with lines of `key value`.
    pub fn value(&self, name: &str, key: &str) -> Option<u64> {
        keyed(&self.text(name)?, key.as_bytes())
    }

    /// The CPUs' worth of time that it may use, where that is limited.
    pub fn quota(&self) -> Option<f64> {
        let (quota, period): (u64, u64) = match self.version {
            2 => {
                let text = self.text("cpu.max")?;
                let mut fields = Fields(&text);
                (fields.number()?, fields.number()?)
            }
            _ => (self.number("cpu.cfs_quota_us")?, self.number("cpu.cfs_period_us")?),
        };
        (period > 0).then(|| quota as f64 / period as f64)
    }
}

/// Version 1 writes "no limit" as the largest number of pages, in bytes.
const NONE: u64 = 1 << 62;

fn keyed(text: &[u8], key: &[u8]) -> Option<u64> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = Fields(line);
        (fields.next()? == key).then(|| fields.number()).flatten()
    })
}

/// Pressure stall information: how much of the last 10 seconds something, or everything, waited, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pressure {
    pub some: f64,
    pub full: Option<f64>,
}

impl Pressure {
    pub fn parse(text: &[u8]) -> Option<Pressure> {
        let average = |kind: &[u8]| {
            let mut lines = text.split(|byte| *byte == b'\n');
            let mut fields = Fields(lines.find_map(|line| line.strip_prefix(kind))?);
            let value = fields.find_map(|field| field.strip_prefix(b"avg10="))?;
            number::<f64>(value).filter(|value| value.is_finite())
        };
        Some(Pressure { some: average(b"some")?, full: average(b"full") })
    }

    /// Of the whole machine.
    pub fn of_machine(reader: &mut Reader, what: &str) -> Option<Pressure> {
        Pressure::parse(reader.read(&format!("pressure/{what}")).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::mounts;

    #[test]
    fn memberships() {
        let parse = |line: &str| Membership::parse(line.as_bytes());
        let both = parse("3:cpu,cpuacct:/a:b").unwrap();
        assert_eq!((both.controllers.len(), both.path.as_slice()), (2, &b"/a:b"[..]));
        assert!(parse("0::/").unwrap().is_second());
        for bad in ["", "x::/", "0:", "0::", "0::relative"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn directories_of_both_versions() {
        let mounts = mounts::parse(
            b"1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            2 0 0:2 /docker/1 /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
            3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
        );
        let find = |line: &str, controller: &str| {
            let membership = Membership::parse(line.as_bytes()).unwrap();
            directory(&mounts, &membership, controller.as_bytes()).map(|path| String::from_utf8(path).unwrap())
        };
        assert_eq!(find("4:memory:/x/y", "memory").as_deref(), Some("/sys/fs/cgroup/memory/x/y"));
        assert_eq!(find("2:cpu,cpuacct:/docker/1", "cpu").as_deref(), Some("/sys/fs/cgroup/cpu"));
        assert_eq!(find("2:cpu,cpuacct:/docker/12", "cpu"), None);
        assert_eq!(find("0::/", "memory").as_deref(), Some("/sys/fs/cgroup/unified/"));
        assert_eq!(find("5:pids:/", "pids"), None);
    }

    #[test]
    fn keys_and_pressure() {
        assert_eq!(keyed(b"oom 1\noom_kill 3\n", b"oom_kill"), Some(3));
        assert_eq!(keyed(b"oom_kill_disable 0\n", b"oom_kill"), None);
        let text = b"some avg10=1.25 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!(Pressure::parse(text), Some(Pressure { some: 1.25, full: Some(0.5) }));
        assert_eq!(Pressure::parse(b"some avg10=inf\n"), None);
        assert_eq!(Pressure::parse(b""), None);
    }
}
