//! What the machine and a control group have done since they began, to be compared at two moments: processor time, memory,
//! page faults, bytes of storage.

use std::io;

use super::cgroup::{Cgroups, Group};
use super::machine::Clock;
use super::process::{Fields, Reader, malformed, number};

/// Processor time in clock ticks, and events of the whole machine: /proc/stat (proc_stat(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub user: u64,
    pub nice: u64,
    pub system: u64,
    pub idle: u64,
    pub waiting: u64,
    pub interrupt: u64,
    pub soft_interrupt: u64,
    pub stolen: u64,
    pub interrupts: u64,
    pub switches: u64,
    pub forks: u64,
    pub running: u64,
    pub blocked: u64,
    /// Seconds since the epoch.
    pub boot: u64,
    pub paging: Paging,
}

/// /proc/vmstat: in and out in KiB, swapped in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paging {
    pub read: u64,
    pub written: u64,
    pub swapped_in: u64,
    pub swapped_out: u64,
    pub faults: u64,
    pub major_faults: u64,
}

impl Machine {
    pub fn read(reader: &mut Reader) -> io::Result<Machine> {
        // With thousands of interrupts their line is long, and the lines that matter come behind it.
        let text = reader.text("stat", 1 << 20)?;
        let mut machine = Machine::parse(&text).ok_or_else(malformed)?;
        machine.paging = Paging::parse(&reader.text("vmstat", 1 << 18).unwrap_or_default());
        Ok(machine)
    }

    /// `None` without the line of all processors.
    pub fn parse(text: &[u8]) -> Option<Machine> {
        let line = |key: &[u8]| {
            let mut lines = text.split(|byte| *byte == b'\n');
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b" "))
        };
        let one = |key| line(key).and_then(|rest| Fields(rest).number()).unwrap_or(0);
        let mut fields = Fields(line(b"cpu")?);
        let mut next = || fields.number::<u64>();
        // The kernel learnt of the later ones one by one.
        let (user, nice, system, idle) = (next()?, next()?, next()?, next()?);
        let [waiting, interrupt, soft_interrupt, stolen] = [(); 4].map(|()| next().unwrap_or(0));
        Some(Machine {
            user,
            nice,
            system,
            idle,
            waiting,
            interrupt,
            soft_interrupt,
            stolen,
            interrupts: one(b"intr"),
            switches: one(b"ctxt"),
            forks: one(b"processes"),
            running: one(b"procs_running"),
            blocked: one(b"procs_blocked"),
            boot: one(b"btime"),
            paging: Paging::default(),
        })
    }

    /// In the order of top and vmstat: user, system, nice, idle, waiting, interrupts, soft interrupts, stolen.
    pub fn times(&self) -> [u64; 8] {
        let Machine { user, system, nice, idle, waiting, interrupt, soft_interrupt, stolen, .. } = *self;
        [user, system, nice, idle, waiting, interrupt, soft_interrupt, stolen]
    }

    /// Those since `before` in percent of all of them.
    pub fn shares(&self, before: &Machine) -> [f64; 8] {
        let (now, then) = (self.times(), before.times());
        let mut passed = [0.0; 8];
        for (passed, (now, then)) in passed.iter_mut().zip(now.iter().zip(then)) {
            *passed = now.saturating_sub(then) as f64;
        }
        let all: f64 = passed.iter().sum();
        passed.map(|one| if all > 0.0 { one * 100.0 / all } else { 0.0 })
    }
}

impl Paging {
    pub fn parse(text: &[u8]) -> Paging {
        let value = |key: &[u8]| {
            let mut lines = text.split(|byte| *byte == b'\n');
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b" "));
            value.and_then(number).unwrap_or(0)
        };
        Paging {
            read: value(b"pgpgin"),
            written: value(b"pgpgout"),
            swapped_in: value(b"pswpin"),
            swapped_out: value(b"pswpout"),
            faults: value(b"pgfault"),
            major_faults: value(b"pgmajfault"),
        }
    }
}

/// The numbers of a control group, each where its controller is mounted and may be read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub memory: Option<u64>,
    /// What of it are files that the kernel would drop first.
    pub inactive: Option<u64>,
    pub memory_limit: Option<u64>,
    /// Microseconds of processor time.
    pub cpu: Option<u64>,
    /// Processors' worth of time that it may have.
    pub quota: Option<f64>,
    pub periods: Option<u64>,
    pub throttled: Option<u64>,
    pub throttled_time: Option<u64>,
    pub tasks: Option<u64>,
    pub tasks_limit: Option<u64>,
    pub faults: Option<u64>,
    pub major_faults: Option<u64>,
    /// Bytes from and to storage.
    pub read: Option<u64>,
    pub written: Option<u64>,
}

impl Usage {
    pub fn of(cgroups: &Cgroups<'_>) -> Usage {
        let mut usage = Usage::default();
        if let Some(group) = cgroups.group(b"memory") {
            usage.take_memory(&group);
        }
        if let Some(group) = cgroups.group(b"cpu") {
            usage.take_quota(&group);
        }
        let time = match cgroups.group(b"cpuacct") {
            Some(group) if group.version == 1 => group.number("cpuacct.usage").map(|nanoseconds| nanoseconds / 1000),
            Some(group) => group.value("cpu.stat", "usage_usec"),
            None => None,
        };
        usage.cpu = time;
        if let Some(group) = cgroups.group(b"pids") {
            usage.tasks = group.number("pids.current");
            usage.tasks_limit = group.number("pids.max");
        }
        let bytes = match cgroups.group(b"blkio") {
            Some(group) if group.version == 1 => {
                group.text("blkio.throttle.io_service_bytes_recursive").map(|text| storage(&text))
            }
            _ => None,
        };
        let bytes =
            bytes.or_else(|| cgroups.group(b"io").and_then(|group| group.text("io.stat")).map(|text| storage(&text)));
        (usage.read, usage.written) = bytes.unzip();
        usage
    }

    fn take_memory(&mut self, group: &Group<'_>) {
        let stat = |key| group.value("memory.stat", key);
        let names = match group.version {
            2 => ["memory.current", "memory.max", "inactive_file", "pgfault", "pgmajfault"],
            _ => {
                let keys = ["total_inactive_file", "total_pgfault", "total_pgmajfault"];
                ["memory.usage_in_bytes", "memory.limit_in_bytes", keys[0], keys[1], keys[2]]
            }
        };
        self.memory = group.number(names[0]);
        self.memory_limit = group.number(names[1]);
        self.inactive = stat(names[2]);
        self.faults = stat(names[3]);
        self.major_faults = stat(names[4]);
    }

    fn take_quota(&mut self, group: &Group<'_>) {
        let count = |key| group.value("cpu.stat", key);
        self.quota = group.quota();
        self.periods = count("nr_periods");
        self.throttled = count("nr_throttled");
        self.throttled_time = match group.version {
            2 => count("throttled_usec"),
            _ => count("throttled_time").map(|nanoseconds| nanoseconds / 1000),
        };
    }

    /// Nothing could be read.
    pub fn is_unknown(&self) -> bool {
        *self == Usage::default()
    }

    /// The processor time since `before` in percent of one processor.
    pub fn cpu_share(&self, before: &Usage, seconds: f64) -> Option<f64> {
        let passed = self.cpu?.saturating_sub(before.cpu?) as f64 / 1e6;
        (seconds > 0.0).then(|| passed * 100.0 / seconds)
    }

    /// In how many of the periods since `before` it was throttled, in percent; nothing without a quota.
    pub fn throttled_share(&self, before: &Usage) -> Option<f64> {
        self.quota?;
        let periods = self.periods?.saturating_sub(before.periods?);
        let throttled = self.throttled?.saturating_sub(before.throttled?);
        Some(if periods > 0 { throttled as f64 * 100.0 / periods as f64 } else { 0.0 })
    }
}

/// Bytes read and written: lines of `8:0 rbytes=1 wbytes=2 …` (version 2) or `8:0 Read 1` (version 1).
pub fn storage(text: &[u8]) -> (u64, u64) {
    let (mut read, mut written) = (0u64, 0u64);
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = Fields(line);
        // The device, or the total of all.
        if fields.next().is_none_or(|device| !device.contains(&b':')) {
            continue;
        }
        let fields: Vec<&[u8]> = fields.take(16).collect();
        let keyed = |key: &[u8]| fields.iter().find_map(|field| number::<u64>(field.strip_prefix(key)?));
        match fields.as_slice() {
            [b"Read", bytes] => read = read.saturating_add(number(bytes).unwrap_or(0)),
            [b"Write", bytes] => written = written.saturating_add(number(bytes).unwrap_or(0)),
            _ => {
                read = read.saturating_add(keyed(b"rbytes=").unwrap_or(0));
                written = written.saturating_add(keyed(b"wbytes=").unwrap_or(0));
            }
        }
    }
    (read, written)
}

/// The moment of a sample, in seconds since boot.
pub fn moment() -> f64 {
    Clock::now().since_boot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_stat() {
        let text = b"cpu  100 1 20 300 4 5 6 7 0 0\ncpu0 1 1 1 1\nintr 55 0 0\nctxt 66\nbtime 77\nprocesses 88\n\
            procs_running 2\nprocs_blocked 1\n";
        let expected = Machine {
            user: 100,
            nice: 1,
            system: 20,
            idle: 300,
            waiting: 4,
            interrupt: 5,
            soft_interrupt: 6,
            stolen: 7,
            interrupts: 55,
            switches: 66,
            forks: 88,
            running: 2,
            blocked: 1,
            boot: 77,
            paging: Paging::default(),
        };
        assert_eq!(Machine::parse(text), Some(expected));
        assert_eq!(Machine::parse(b"cpu  1 2 3 4\n").map(|old| old.times()), Some([1, 3, 2, 4, 0, 0, 0, 0]));
        for text in ["", "cpu0 1 2 3 4", "cpu  1 2 3", "cpu  a b c d"] {
            assert_eq!(Machine::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn shares_of_an_interval() {
        let before = Machine { user: 100, idle: 100, ..Machine::default() };
        let after = Machine { user: 125, idle: 175, ..Machine::default() };
        assert_eq!(after.shares(&before), [25.0, 0.0, 0.0, 75.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(before.shares(&before), [0.0; 8]);
    }

    #[test]
    fn paging() {
        let text = b"nr_free_pages 1\npgpgin 10\npgpgout 20\npswpin 1\npswpout 2\npgfault 30\npgmajfault 3\n";
        let expected = Paging { read: 10, written: 20, swapped_in: 1, swapped_out: 2, faults: 30, major_faults: 3 };
        assert_eq!(Paging::parse(text), expected);
        assert_eq!(Paging::parse(b"pgpgin x\n"), Paging::default());
    }

    #[test]
    fn storage_of_both_versions() {
        assert_eq!(storage(b"8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n7:1 rbytes=1\n253:0\n"), (11, 20));
        let first = b"8:0 Read 10\n8:0 Write 20\n8:0 Sync 5\n8:0 Total 30\n8:16 Read 1\nTotal 31\n";
        assert_eq!(storage(first), (11, 20));
        assert_eq!(storage(b"8:0 Read 99999999999999999999\nx\n\n8:0 rbytes=-1\n"), (0, 0));
    }

    #[test]
    fn shares_of_a_group() {
        let before =
            Usage { cpu: Some(1_000_000), quota: Some(2.0), periods: Some(10), throttled: Some(1), ..Usage::default() };
        let after = Usage { cpu: Some(1_500_000), periods: Some(30), throttled: Some(6), ..before };
        assert_eq!(after.cpu_share(&before, 2.0), Some(25.0));
        assert_eq!(after.throttled_share(&before), Some(25.0));
        assert_eq!(before.throttled_share(&before), Some(0.0));
        assert_eq!(Usage { quota: None, ..after }.throttled_share(&before), None);
        assert!(Usage::default().is_unknown() && after.cpu_share(&before, 0.0).is_none());
    }

    #[test]
    fn the_machine_we_run_on() {
        let machine = Machine::read(&mut Reader::open().unwrap()).unwrap();
        assert!(machine.forks > 0 && machine.boot > 0 && machine.paging.faults > 0 && moment() > 0.0);
    }
}
