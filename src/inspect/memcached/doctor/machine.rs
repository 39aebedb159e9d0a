//! The server's process and its control group, where they are ours to see: memory, descriptors, threads, processor time.

use std::io;

use super::server::processor_time;
use super::{Diagnosis, Snapshot, percent, share};
use crate::inspect::Level;
use crate::output::{order, units};
use crate::target::cgroup::{Cgroups, Cpu, Memory};
use crate::target::limits::Limits;
use crate::target::{Files, Reader, mounts, threads};

/// Beside workers: the listener, and what keeps LRU, slabs and hash table in order; extstore has some more.
const SERVING: u64 = 12;

/// What one connection takes beside the items.
const CONNECTION: u64 = 4096;

/// The process at one moment.
#[derive(Clone, Debug, Default)]
pub struct Host {
    pub pid: i32,
    pub resident: u64,
    pub swapped: Option<u64>,
    pub memory: Memory,
    pub cpu: Cpu,
    pub threads: u64,
    pub open: Option<u64>,
    pub most_open: Option<u64>,
    /// Processors that it may run on.
    pub processors: Option<u64>,
    /// Nanoseconds that each thread has run.
    pub ran: Vec<(i32, u64)>,
    /// The same and the group's processor time at the first sample.
    pub ran_before: Vec<(i32, u64)>,
    pub cpu_before: Option<Cpu>,
}

impl Host {
    /// `told` is what the server says its number is: where it is another one, somebody else has answered.
    pub fn of(files: &Files, pid: i32, told: Option<u64>) -> io::Result<Option<Host>> {
        let mut reader = Reader::open()?;
        // Its numbers in all namespaces, ours first and its own last. Old kernels do not tell.
        let numbers = reader.line(pid, "status", "NSpid")?;
        let own = numbers.split(|byte| byte.is_ascii_whitespace()).next_back();
        let own = own.and_then(crate::protocol::memcached::text::number);
        if own.is_some() && told.is_some() && own != told {
            return Ok(None);
        }
        let stat = reader.stat(pid)?;
        let kilobytes = |text: &[u8]| {
            let digits = text.split(|byte| *byte == b' ').next()?;
            crate::protocol::memcached::text::number(digits)?.checked_mul(1024)
        };
        let swapped = reader.line(pid, "status", "VmSwap").ok().and_then(kilobytes);
        let ones = |text: &[u8]| {
            let digits = text.iter().filter_map(|digit| char::from(*digit).to_digit(16));
            u64::from(digits.map(u32::count_ones).sum::<u32>())
        };
        let processors = reader.line(pid, "status", "Cpus_allowed").ok().map(ones).filter(|count| *count > 0);
        let most_open = Limits::of(&mut reader, pid).ok().and_then(|limits| limits.files?.soft);
        let (seen, _) = threads::look(&mut reader, pid).unwrap_or_default();
        let ran = seen.iter().filter_map(|seen| Some((seen.thread, seen.scheduled?.ran))).collect();
        let theirs = mounts::of(&reader, pid).unwrap_or_default();
        let ours = reader.own_pid().and_then(|own| mounts::of(&reader, own).ok()).unwrap_or_default();
        let open = reader.descriptor_count(pid).ok();
        let groups = Cgroups::of(&mut reader, pid, files, &theirs, &ours)?;
        Ok(Some(Host {
            pid,
            resident: stat.resident_pages.saturating_mul(procfs::page_size().max(1)),
            swapped,
            memory: groups.group(b"memory").map(|group| Memory::of(&group)).unwrap_or_default(),
            cpu: groups.group(b"cpu").map(|group| Cpu::of(&group)).unwrap_or_default(),
            threads: stat.threads,
            open,
            most_open,
            processors,
            ran,
            ran_before: Vec::new(),
            cpu_before: None,
        }))
    }

    /// This is the second look, and `before` was the first.
    pub fn since(&mut self, before: Host) {
        self.ran_before = before.ran;
        self.cpu_before = Some(before.cpu);
    }
}

/// What it takes beside the items: the hash table and the buffers of connections.
fn beside_items(snapshot: &Snapshot) -> u64 {
    let parts = ["hash_bytes", "read_buf_bytes", "response_obj_bytes"].map(|name| snapshot.value(name).unwrap_or(0));
    let connections = snapshot.value("curr_connections").unwrap_or(0).saturating_mul(CONNECTION);
    parts.into_iter().fold(connections, u64::saturating_add)
}

fn unseen(snapshot: &Snapshot) -> Option<Diagnosis> {
    Diagnosis::unknown(&snapshot.why_no_host)
}

/// `-m` is for items alone; the container's limit is for all.
pub fn memory(snapshot: &Snapshot) -> Option<Diagnosis> {
    let Some(host) = &snapshot.host else { return unseen(snapshot) };
    let Some(limit) = host.memory.limit.filter(|limit| *limit > 0) else {
        return match host.memory.used {
            Some(_) => None,
            None => Diagnosis::unknown("the control group's files are not mounted"),
        };
    };
    let used = host.memory.used.unwrap_or(0).saturating_sub(host.memory.inactive_file.unwrap_or(0));
    let items = snapshot.value("limit_maxbytes").unwrap_or(0);
    let beside = beside_items(snapshot);
    let most = items.saturating_add(beside);
    let text = format!(
        "resident {}, container {} of {}; -m {} for items, and {} for the rest now",
        units::bytes(host.resident),
        units::bytes(used),
        units::bytes(limit),
        units::bytes(items),
        units::bytes(beside),
    );
    // As much as is left for the items, with a tenth for what is not counted.
    let fits = limit.saturating_sub(limit / 10).saturating_sub(beside) >> 20;
    let larger = most.saturating_add(most / 10).div_ceil(1 << 20);
    let next =
        format!("docker update --memory {larger}m --memory-swap {larger}m NAME, or restart it with -m {}", fits.max(8));
    if share(used, limit) >= 0.9 {
        return Diagnosis::new(Level::Fail, text, "the kernel is about to kill it for want of memory", next);
    }
    (most > limit)
        .then(|| Diagnosis::new(Level::Warn, text, "before its memory (-m) is full the kernel kills it", next))
        .flatten()
}

pub fn killed(snapshot: &Snapshot) -> Option<Diagnosis> {
    let Some(host) = &snapshot.host else { return unseen(snapshot) };
    let killed = host.memory.oom_kill.filter(|killed| *killed > 0)?;
    Diagnosis::new(
        Level::Fail,
        format!("the kernel has killed {killed} processes of this container for want of memory"),
        "the memory limit of the container is too small for -m and what comes on top",
        String::from("inspect shows the limit; restart it with a smaller -m, or raise the container's --memory"),
    )
}

pub fn swap(snapshot: &Snapshot) -> Option<Diagnosis> {
    let Some(host) = &snapshot.host else { return unseen(snapshot) };
    let swapped = host.swapped.filter(|swapped| *swapped > 0)?;
    Diagnosis::new(
        Level::Warn,
        format!("{} of it are swapped out", units::bytes(swapped)),
        "gets wait for a disk",
        "restart it with -k (locked memory), or a smaller -m; free shows who needs the memory",
    )
}

/// A connection each, and some for itself.
pub fn files(snapshot: &Snapshot) -> Option<Diagnosis> {
    let Some(host) = &snapshot.host else { return unseen(snapshot) };
    let (most, wanted) = (host.most_open?, snapshot.value("max_connections").unwrap_or(0));
    let open = host.open.unwrap_or(0);
    let near = share(open, most) >= 0.9;
    (near || most < wanted)
        .then(|| {
            Diagnosis::new(
                if near { Level::Fail } else { Level::Warn },
                format!("{open} of at most {most} descriptors are open, -c is {wanted}"),
                "accept fails before the limit of connections is met",
                format!("start the container with --ulimit nofile={0}:{0}", wanted.saturating_add(64).max(1024)),
            )
        })
        .flatten()
}

pub fn throttling(snapshot: &Snapshot) -> Option<Diagnosis> {
    let Some(host) = &snapshot.host else { return unseen(snapshot) };
    let since = |now: Option<u64>, before: fn(&Cpu) -> Option<u64>| {
        let before = host.cpu_before.as_ref().and_then(before).unwrap_or(0);
        now.unwrap_or(0).saturating_sub(before)
    };
    let (periods, throttled) =
        (since(host.cpu.periods, |cpu| cpu.periods), since(host.cpu.throttled, |cpu| cpu.throttled));
    (periods >= 10 && share(throttled, periods) >= 0.1)
        .then(|| {
            let quota = host.cpu.quota.map(|quota| format!(" of {quota:.1} CPUs")).unwrap_or_default();
            let when = if host.cpu_before.is_some() { "" } else { " since the start" };
            Diagnosis::new(
                Level::Warn,
                format!("stopped for its quota{quota} in {} of the periods{when}", percent(throttled, periods)),
                "gets take up to a tenth of a second while it is stopped",
                "docker update --cpus N NAME with a larger N, or fewer threads (-t)",
            )
        })
        .flatten()
}

pub fn threads(snapshot: &Snapshot) -> Option<Diagnosis> {
    let Some(host) = &snapshot.host else { return unseen(snapshot) };
    let workers = snapshot.value("threads")?;
    let processors = host.processors?;
    let usable = host.cpu.quota.map_or(processors, |quota| processors.min(quota.ceil().max(1.0) as u64));
    // One more than processors costs little.
    let many = workers > usable.saturating_mul(2).max(4);
    let all = host.threads;
    (many || all > workers.saturating_add(SERVING).saturating_mul(2))
        .then(|| {
            Diagnosis::new(
                Level::Note,
                format!("{workers} worker threads, {all} in all, on {usable} CPUs"),
                "threads wait for each other: more of them than CPUs make nothing faster",
                format!("restart it with -t {}", usable.max(1)),
            )
        })
        .flatten()
}

/// Connections stay with the thread that they came to.
pub fn workers(snapshot: &Snapshot) -> Option<Diagnosis> {
    let Some(host) = &snapshot.host else { return unseen(snapshot) };
    let seconds = snapshot.before.as_ref().map(|_| snapshot.span())?;
    let mut busy: Vec<f64> = host
        .ran
        .iter()
        .filter_map(|(thread, now)| {
            let (_, before) = host.ran_before.iter().find(|(known, _)| known == thread)?;
            Some(now.saturating_sub(*before) as f64 / 1e9 / seconds)
        })
        .collect();
    order::sort_by(&mut busy, |a, b| b.total_cmp(a));
    let (first, second) = (*busy.first()?, busy.get(1).copied().unwrap_or(0.0));
    let workers = snapshot.value("threads")?;
    (workers > 1 && first >= 0.9 && second < first / 2.0)
        .then(|| {
            Diagnosis::new(
                Level::Warn,
                format!("one thread uses {:.0}% of a CPU, the next {:.0}%", first * 100.0, second * 100.0),
                "few busy connections share a thread: their requests wait while others are idle",
                "spread the load over more connections; top -H shows the threads",
            )
        })
        .flatten()
}

pub fn processor(snapshot: &Snapshot) -> Option<Diagnosis> {
    let before = processor_time(snapshot.before.as_ref()?)?;
    let cores = (processor_time(&snapshot.now)? - before) / snapshot.span();
    let threads = snapshot.value("threads").filter(|threads| *threads > 0)?;
    (cores >= threads as f64 * 0.9)
        .then(|| {
            Diagnosis::new(
                Level::Warn,
                format!("{cores:.1} CPUs used by {threads} threads"),
                "its threads have no time left: requests wait",
                format!("restart it with -t {}, or share the keys among more servers", threads.saturating_mul(2)),
            )
        })
        .flatten()
}
