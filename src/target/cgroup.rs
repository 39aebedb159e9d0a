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

/// The memory of a group, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub version: u8,
    pub limit: Option<u64>,
    /// Above it the group is slowed down; version 2 only.
    pub high: Option<u64>,
    pub used: Option<u64>,
    pub peak: Option<u64>,
    /// Of it, pages of files that nobody used lately: dropped before anything is killed.
    pub inactive_file: Option<u64>,
    pub swap: Option<u64>,
    pub swap_limit: Option<u64>,
    /// How often the limit was met and nothing could be reclaimed; version 2 only.
    pub oom: Option<u64>,
    pub oom_kill: Option<u64>,
}

/// The processor time of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// CPUs' worth of time that it may use in each period; `None` without a limit.
    pub quota: Option<f64>,
    pub used_microseconds: Option<u64>,
    pub periods: Option<u64>,
    /// Periods in which it had to wait for the next.
    pub throttled: Option<u64>,
    pub throttled_microseconds: Option<u64>,
}

/// The processes and threads of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tasks {
    pub used: Option<u64>,
    pub limit: Option<u64>,
    /// How often a new one was refused.
    pub refused: Option<u64>,
}

/// What a group has read from and written to block devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfers {
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

impl Memory {
    pub fn of(group: &Group<'_>) -> Memory {
        match group.version {
            2 => Memory {
                version: 2,
                limit: group.number("memory.max"),
                high: group.number("memory.high"),
                used: group.number("memory.current"),
                peak: group.number("memory.peak"),
                inactive_file: group.value("memory.stat", "inactive_file"),
                swap: group.number("memory.swap.current"),
                swap_limit: group.number("memory.swap.max"),
                oom: group.value("memory.events", "oom"),
                oom_kill: group.value("memory.events", "oom_kill"),
            },
            _ => {
                let used = group.number("memory.usage_in_bytes");
                let limit = group.number("memory.limit_in_bytes");
                // Memory and swap are counted together, where swap is accounted at all.
                let both = group.number("memory.memsw.usage_in_bytes");
                let both_limit = group.number("memory.memsw.limit_in_bytes");
                Memory {
                    version: 1,
                    limit,
                    high: None,
                    used,
                    peak: group.number("memory.max_usage_in_bytes"),
                    inactive_file: group.value("memory.stat", "total_inactive_file"),
                    swap: both.zip(used).map(|(both, used)| both.saturating_sub(used)),
                    swap_limit: both_limit.zip(limit).map(|(both, limit)| both.saturating_sub(limit)),
                    // It counts how often the limit was met, which is another thing.
                    oom: None,
                    oom_kill: group.value("memory.oom_control", "oom_kill"),
                }
            }
        }
    }
}

impl Cpu {
    pub fn of(group: &Group<'_>) -> Cpu {
        let count = |key| group.value("cpu.stat", key);
        let microseconds = |nanoseconds: u64| nanoseconds / 1000;
        Cpu {
            quota: group.quota(),
            used_microseconds: match group.version {
                2 => count("usage_usec"),
                // The two controllers of version 1 are mounted together.
                _ => group.number("cpuacct.usage").map(microseconds),
            },
            periods: count("nr_periods"),
            throttled: count("nr_throttled"),
            throttled_microseconds: match group.version {
                2 => count("throttled_usec"),
                _ => count("throttled_time").map(microseconds),
            },
        }
    }
}

impl Tasks {
    pub fn of(group: &Group<'_>) -> Tasks {
        Tasks {
            used: group.number("pids.current"),
            limit: group.number("pids.max"),
            refused: group.value("pids.events", "max"),
        }
    }
}

impl Transfers {
    /// `None` where the kernel counts none for this group.
    pub fn of(group: &Group<'_>) -> Option<Transfers> {
        match group.version {
            2 => group.text("io.stat").map(|text| Transfers::parse(&text)),
            _ => {
                let bytes = group.text("blkio.throttle.io_service_bytes")?;
                let counts = group.text("blkio.throttle.io_serviced")?;
                Some(Transfers::parse_first(&bytes, &counts))
            }
        }
    }

    /// Lines of `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`, one for each device.
    pub fn parse(text: &[u8]) -> Transfers {
        let mut sum = Transfers::default();
        for field in text.split(|byte| byte.is_ascii_whitespace()) {
            let Some(at) = field.iter().position(|byte| *byte == b'=') else { continue };
            let Some(value) = number::<u64>(&field[at + 1..]) else { continue };
            let place = match &field[..at] {
                b"rbytes" => &mut sum.read_bytes,
                b"wbytes" => &mut sum.written_bytes,
                b"rios" => &mut sum.reads,
                b"wios" => &mut sum.writes,
                _ => continue,
            };
            *place = place.saturating_add(value);
        }
        sum
    }

    /// Version 1: two files with lines of `8:0 Read 1`.
    pub fn parse_first(bytes: &[u8], counts: &[u8]) -> Transfers {
        let sum = |text: &[u8], kind: &[u8]| {
            let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
                let mut fields = Fields(line);
                fields.pass(1)?;
                (fields.next()? == kind).then(|| fields.number::<u64>()).flatten()
            });
            lines.fold(0, u64::saturating_add)
        };
        Transfers {
            read_bytes: sum(bytes, b"Read"),
            written_bytes: sum(bytes, b"Write"),
            reads: sum(counts, b"Read"),
            writes: sum(counts, b"Write"),
        }
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

    /// A tree of files like that of a control group, mounted as `mount` says, with our own files.
    struct Tree {
        top: PathBuf,
        mounts: Vec<Mount>,
        files: Files,
    }

    impl Tree {
        fn new(name: &str, filesystem: &str, options: &str, contents: &[(&str, &str)]) -> Tree {
            let top = std::env::temp_dir().join(format!("sidebox-cgroup-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&top);
            std::fs::create_dir_all(top.join("app")).unwrap();
            for (file, text) in contents {
                std::fs::write(top.join("app").join(file), text).unwrap();
            }
            let line = format!("1 0 0:1 / {} rw - {filesystem} {filesystem} rw{options}\n", top.display());
            Tree { top, mounts: mounts::parse(line.as_bytes()), files: Files::new(None) }
        }

        fn groups(&self, line: &str) -> Cgroups<'_> {
            let memberships = line.split(' ').filter_map(|line| Membership::parse(line.as_bytes())).collect();
            Cgroups { files: &self.files, memberships, theirs: &[], ours: &self.mounts }
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.top).unwrap();
        }
    }

    #[test]
    fn the_second_version() {
        let tree = Tree::new(
            "2",
            "cgroup2",
            "",
            &[
                ("cgroup.procs", "1\n"),
                ("memory.max", "1048576\n"),
                ("memory.high", "max\n"),
                ("memory.current", "524288\n"),
                ("memory.peak", "600000\n"),
                ("memory.stat", "anon 1\ninactive_file 4096\n"),
                ("memory.swap.current", "0\n"),
                ("memory.swap.max", "max\n"),
                ("memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"),
                ("cpu.max", "50000 100000\n"),
                ("cpu.stat", "usage_usec 77\nnr_periods 10\nnr_throttled 4\nthrottled_usec 1234\n"),
                ("pids.current", "7\n"),
                ("pids.max", "max\n"),
                ("pids.events", "max 5\n"),
                ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=5 wbytes=x rios=1\n\n"),
                ("memory.pressure", "some avg10=2.00 avg60=0.00 avg300=0.00 total=5\n"),
            ],
        );
        let group = tree.groups("0::/app").group(b"memory").unwrap();
        let memory = Memory {
            version: 2,
            limit: Some(1 << 20),
            high: None,
            used: Some(1 << 19),
            peak: Some(600_000),
            inactive_file: Some(4096),
            swap: Some(0),
            swap_limit: None,
            oom: Some(3),
            oom_kill: Some(2),
        };
        assert_eq!(Memory::of(&group), memory);
        let cpu = Cpu {
            quota: Some(0.5),
            used_microseconds: Some(77),
            periods: Some(10),
            throttled: Some(4),
            throttled_microseconds: Some(1234),
        };
        assert_eq!(Cpu::of(&group), cpu);
        assert_eq!(Tasks::of(&group), Tasks { used: Some(7), limit: None, refused: Some(5) });
        let transfers = Transfers { read_bytes: 15, written_bytes: 20, reads: 2, writes: 2 };
        assert_eq!(Transfers::of(&group), Some(transfers));
        assert_eq!(Pressure::parse(&group.text("memory.pressure").unwrap()).map(|found| found.some), Some(2.0));
    }

    #[test]
    fn the_first_version() {
        let tree = Tree::new(
            "1",
            "cgroup",
            ",memory,cpu,cpuacct,pids,blkio",
            &[
                ("tasks", "1\n"),
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.usage_in_bytes", "524288\n"),
                ("memory.max_usage_in_bytes", "600000\n"),
                ("memory.stat", "inactive_file 1\ntotal_inactive_file 4096\n"),
                ("memory.memsw.usage_in_bytes", "524388\n"),
                ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 6\n"),
                ("cpu.cfs_quota_us", "-1\n"),
                ("cpu.cfs_period_us", "100000\n"),
                ("cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_time 5000\n"),
                ("cpuacct.usage", "9000\n"),
                ("pids.current", "7\n"),
                ("pids.max", "50\n"),
                ("blkio.throttle.io_service_bytes", "8:0 Read 10\n8:0 Write 20\n8:16 Read 5\nTotal 35\n"),
                ("blkio.throttle.io_serviced", "8:0 Read 1\n8:0 Write 2\nTotal 3\n"),
            ],
        );
        let groups = tree.groups("4:memory:/app 3:cpu,cpuacct:/app 2:pids:/app 1:blkio:/app 0::/");
        let group = groups.group(b"memory").unwrap();
        let memory = Memory {
            version: 1,
            used: Some(1 << 19),
            peak: Some(600_000),
            inactive_file: Some(4096),
            swap: Some(100),
            oom_kill: Some(6),
            ..Memory::default()
        };
        assert_eq!(Memory::of(&group), memory);
        let cpu = Cpu {
            quota: None,
            used_microseconds: Some(9),
            periods: Some(0),
            throttled: Some(0),
            throttled_microseconds: Some(5),
        };
        assert_eq!(Cpu::of(&groups.group(b"cpu").unwrap()), cpu);
        let tasks = Tasks { used: Some(7), limit: Some(50), refused: None };
        assert_eq!(Tasks::of(&groups.group(b"pids").unwrap()), tasks);
        let transfers = Transfers { read_bytes: 15, written_bytes: 20, reads: 1, writes: 2 };
        assert_eq!(Transfers::of(&groups.group(b"blkio").unwrap()), Some(transfers));
    }

    #[test]
    fn no_control_group_at_all() {
        let tree = Tree::new("none", "tmpfs", "", &[]);
        for line in ["", "0::/app", "4:memory:/app"] {
            assert!(tree.groups(line).group(b"memory").is_none(), "{line}");
        }
        // Mounted, but its files are not there.
        let tree = Tree::new("empty", "cgroup2", "", &[]);
        assert!(tree.groups("0::/app").group(b"memory").is_none());
    }
}
