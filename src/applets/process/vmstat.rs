//! vmstat: what the machine does, in procps' columns, and beside it what the target's control group does: the memory, the
//! processor time, the faults and the storage that are its own and not only the host's.
//!
//! `vmstat [DELAY [COUNT]]`: the first line tells the averages since the machine was started, and since the target's
//! process was; each other line those of one interval. Of the target, `used` and `limit` are KiB (without a limit `-`),
//! `cpu` is percent of one processor, `thr` the share of its periods in which it waited for its quota, `flt` and `maj` page
//! faults a second, `bi` and `bo` KiB a second from and to storage, `pids` its processes and threads. What cannot be read is
//! `-`, and the reason is said once.
//!
//! Longer than most because every number has a column, a key and a line of `-s`.
//!
//! What deviates: `-a`, `-d`, `-f`, `-m`, `-p` and `-S` are missing; `-w` changes nothing.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::json::Object;
use crate::sys::terminal;
use crate::sys::time::local;
use crate::target::activity::{Machine, Usage, moment};
use crate::target::cgroup::Cgroups;
use crate::target::machine::{Clock, Memory};
use crate::target::{Reader, access, mounts};

pub static APPLET: Applet = Applet {
    names: &["vmstat"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Show what the machine and the target's control group do: memory, processor time, storage
#[derive(clap::Parser)]
struct Options {
    /// The titles once, not on each screen
    #[arg(short = 'n', long)]
    one_header: bool,
    /// The time of each line too
    #[arg(short, long)]
    timestamp: bool,
    /// Sums, one a line
    #[arg(short, long)]
    stats: bool,
    /// Nothing; lines are wide anyway
    #[arg(short = 'w', long = "wide", hide = true)]
    _wide: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Seconds between two lines
    #[arg(value_name = "DELAY")]
    delay: Option<OsString>,
    /// How many lines; without it no end
    #[arg(value_name = "COUNT")]
    count: Option<OsString>,
}

/// All that is read at one moment.
#[derive(Clone, Copy, Default)]
struct Sample {
    /// In seconds since boot.
    moment: f64,
    machine: Machine,
    memory: Memory,
    /// Nothing where there is no target.
    target: Option<Usage>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let delay = options.delay.as_ref().map(number).transpose()?;
    let count = match (&options.count, &options.delay) {
        (Some(count), _) => Some(number(count)?),
        (None, Some(_)) => None,
        (None, None) => Some(1),
    };
    let mut reader =
        Reader::open().map_err(|error| Error::message(format_args!("the list of processes: {}", reason(&error))))?;
    let target = match cx.files.target() {
        Ok(target) => Some(target.pid),
        Err(absent) => {
            cx.note(absent);
            None
        }
    };
    let own = reader.own_pid();
    let of = |reader: &Reader, pid: Option<i32>| pid.and_then(|pid| mounts::of(reader, pid).ok()).unwrap_or_default();
    let (theirs, ours) = (of(&reader, target), of(&reader, own));
    let cgroups = target.and_then(|pid| Cgroups::of(&mut reader, pid, cx.files, &theirs, &ours).ok());
    let first = read(&mut reader, cgroups.as_ref())?;
    if let (Some(pid), Some(usage)) = (target, first.target)
        && usage.is_unknown()
    {
        match access::allowed(&reader, pid) {
            Err(_) => cx.note(format_args!("the target's control group: {}", access::explain(pid, "control group"))),
            Ok(()) => cx.note("the files of the target's control group are not mounted, neither there nor here"),
        }
    }
    if options.stats {
        cx.io.out.write_all(sums(&first).as_bytes())?;
        return Ok(Exit(0));
    }
    // Before the first sample lies nothing: the machine's counts begin with it, the target's with its process.
    let age = target.and_then(|pid| Some(Clock::now().age(reader.stat(pid).ok()?.start)));
    let mut before = Sample {
        moment: 0.0,
        target: first.target.map(|usage| Usage { quota: usage.quota, ..zero() }),
        ..Sample::default()
    };
    let mut since_target = age.unwrap_or(first.moment);
    let mut sample = first;
    let lines =
        terminal::size(&cx.io.out.file).map(|(_, lines)| lines).filter(|_| cx.terminal() && !options.one_header);
    let page = lines.filter(|lines| *lines > 3).map(|lines| u64::try_from(lines - 3).unwrap_or(u64::MAX));
    let mut written = 0;
    loop {
        let rates = Rates { now: &sample, before: &before, since: sample.moment - before.moment, since_target };
        if options.json {
            writeln!(cx.io.out, "{}", rates.object().finish())?;
        } else {
            if written == 0 || page.is_some_and(|page| written % page == 0) {
                cx.io.out.write_all(heading(options.timestamp).as_bytes())?;
            }
            let mut line = rates.line();
            if options.timestamp
                && let Some(now) = local(Clock::now().now, cx.env.get("TZ"))
            {
                let (date, time) = ((now.year, now.month, now.day), (now.hour, now.minute, now.second));
                let _ = write!(
                    line,
                    " {:04}-{:02}-{:02} {:02}:{:02}:{:02}",
                    date.0, date.1, date.2, time.0, time.1, time.2
                );
            }
            writeln!(cx.io.out, "{line}")?;
        }
        written += 1;
        if count.is_some_and(|count| written >= count) {
            return Ok(Exit(0));
        }
        cx.io.out.flush()?;
        std::thread::sleep(Duration::from_secs(delay.unwrap_or(1).max(1)));
        before = sample;
        sample = read(&mut reader, cgroups.as_ref())?;
        since_target = sample.moment - before.moment;
    }
}

fn number(word: &OsString) -> Result<u64> {
    let number = word.to_str().and_then(|text| text.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| Error::usage(format_args!("{}: not a number", Safe(word.as_bytes()))))
}

fn read(reader: &mut Reader, cgroups: Option<&Cgroups<'_>>) -> Result<Sample> {
    let unreadable = |error| Error::message(format_args!("the machine's numbers: {}", reason(&error)));
    Ok(Sample {
        moment: moment(),
        machine: Machine::read(reader).map_err(unreadable)?,
        memory: Memory::read().map_err(unreadable)?,
        target: cgroups.map(Usage::of),
    })
}

/// Counts that have just begun.
fn zero() -> Usage {
    let none = Some(0);
    Usage {
        cpu: none,
        periods: none,
        throttled: none,
        throttled_time: none,
        faults: none,
        major_faults: none,
        read: none,
        written: none,
        ..Usage::default()
    }
}

fn heading(timestamp: bool) -> String {
    let time = if timestamp { " -----timestamp-----" } else { "" };
    format!(
        "procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu----- \
         ---------------------target-------------------------{time}\n\
         \u{20}r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st \
         \u{20}  used   limit  cpu thr   flt  maj    bi    bo pids\n"
    )
}

/// Two samples.
struct Rates<'a> {
    now: &'a Sample,
    before: &'a Sample,
    since: f64,
    since_target: f64,
}

impl Rates<'_> {
    /// A count's growth in a second.
    fn rate(&self, count: impl Fn(&Machine) -> u64) -> u64 {
        per_second(count(&self.now.machine), count(&self.before.machine), self.since)
    }

    fn target_rate(&self, count: impl Fn(&Usage) -> Option<u64>) -> Option<u64> {
        let (now, before) = (self.now.target.as_ref()?, self.before.target.as_ref()?);
        Some(per_second(count(now)?, count(before)?, self.since_target))
    }

    fn line(&self) -> String {
        let Sample { machine, memory, target, .. } = self.now;
        let kibibytes = |bytes: u64| bytes / 1024;
        let page = procfs::page_size().max(1) / 1024;
        // We are one of those that run.
        let mut line = format!(
            "{:>2} {:>2} {:>6} {:>6} {:>6} {:>6} {:>4} {:>4} {:>5} {:>5} {:>4} {:>4}",
            machine.running.saturating_sub(1),
            machine.blocked,
            kibibytes(memory.swap_total.saturating_sub(memory.swap_free)),
            kibibytes(memory.free),
            kibibytes(memory.buffers),
            kibibytes(memory.cache),
            self.rate(|it| it.paging.swapped_in) * page,
            self.rate(|it| it.paging.swapped_out) * page,
            self.rate(|it| it.paging.read),
            self.rate(|it| it.paging.written),
            self.rate(|it| it.interrupts),
            self.rate(|it| it.switches),
        );
        for share in self.shares() {
            let _ = write!(line, " {share:>2.0}");
        }
        let usage = target.unwrap_or_default();
        let cells = [
            (usage.memory.map(kibibytes), 7),
            (usage.memory_limit.map(kibibytes), 7),
            (self.cpu().map(|share| share.round() as u64), 4),
            (self.throttled().map(|share| share.round() as u64), 3),
            (self.target_rate(|it| it.faults), 5),
            (self.target_rate(|it| it.major_faults), 4),
            (self.target_rate(|it| it.read).map(kibibytes), 5),
            (self.target_rate(|it| it.written).map(kibibytes), 5),
            (usage.tasks, 4),
        ];
        for (value, width) in cells {
            let text = value.map_or_else(|| String::from("-"), |value| value.to_string());
            let _ = write!(line, " {text:>width$}");
        }
        line
    }

    /// User, system, idle, waiting, stolen, in percent.
    fn shares(&self) -> [f64; 5] {
        let [user, system, nice, idle, waiting, interrupt, soft, stolen] =
            self.now.machine.shares(&self.before.machine);
        [user + nice, system + interrupt + soft, idle, waiting, stolen]
    }

    fn cpu(&self) -> Option<f64> {
        self.now.target?.cpu_share(self.before.target.as_ref()?, self.since_target)
    }

    fn throttled(&self) -> Option<f64> {
        self.now.target?.throttled_share(self.before.target.as_ref()?)
    }

    fn object(&self) -> Object {
        let Sample { machine, memory, target, .. } = self.now;
        let tenth = |share: f64| (share * 10.0).round() / 10.0;
        let mut host = Object::new();
        host.number("running", Some(machine.running.saturating_sub(1))).number("blocked", Some(machine.blocked));
        host.number("swapped_bytes", Some(memory.swap_total.saturating_sub(memory.swap_free)));
        host.number("free_bytes", Some(memory.free)).number("buffer_bytes", Some(memory.buffers));
        host.number("cache_bytes", Some(memory.cache)).number("available_bytes", Some(memory.available));
        host.number("swapped_in_pages", Some(self.rate(|it| it.paging.swapped_in)));
        host.number("swapped_out_pages", Some(self.rate(|it| it.paging.swapped_out)));
        host.number("read_bytes", Some(self.rate(|it| it.paging.read).saturating_mul(1024)));
        host.number("written_bytes", Some(self.rate(|it| it.paging.written).saturating_mul(1024)));
        host.number("faults", Some(self.rate(|it| it.paging.faults)));
        host.number("major_faults", Some(self.rate(|it| it.paging.major_faults)));
        host.number("interrupts", Some(self.rate(|it| it.interrupts)));
        host.number("context_switches", Some(self.rate(|it| it.switches)));
        let keys = ["user_percent", "system_percent", "idle_percent", "waiting_percent", "stolen_percent"];
        for (key, share) in keys.into_iter().zip(self.shares()) {
            host.float(key, Some(tenth(share)));
        }
        let mut object = Object::new();
        object.float("seconds", Some((self.since * 1000.0).round() / 1000.0)).object("host", host);
        match target {
            None => object.null("target"),
            Some(usage) => {
                let mut group = Object::new();
                group.number("memory_bytes", usage.memory).number("memory_limit_bytes", usage.memory_limit);
                group.number("inactive_file_bytes", usage.inactive).float("cpu_percent", self.cpu().map(tenth));
                group.float("cpu_quota", usage.quota).float("throttled_percent", self.throttled().map(tenth));
                group.number("faults", self.target_rate(|it| it.faults));
                group.number("major_faults", self.target_rate(|it| it.major_faults));
                group.number("read_bytes", self.target_rate(|it| it.read));
                group.number("written_bytes", self.target_rate(|it| it.written));
                group.number("pids", usage.tasks).number("pids_limit", usage.tasks_limit);
                object.object("target", group)
            }
        };
        object
    }
}

fn per_second(now: u64, before: u64, seconds: f64) -> u64 {
    let passed = now.saturating_sub(before) as f64;
    if seconds > 0.0 { (passed / seconds).round() as u64 } else { 0 }
}

/// What was counted since the beginning.
fn sums(sample: &Sample) -> String {
    let Sample { machine, memory, target, .. } = sample;
    let mut text = String::new();
    let mut add = |value: Option<u64>, what: &str| {
        let value = value.map_or_else(|| String::from("-"), |value| value.to_string());
        let _ = writeln!(text, "{value:>13} {what}");
    };
    let kibibytes = |bytes: u64| Some(bytes / 1024);
    add(kibibytes(memory.total), "K total memory");
    add(kibibytes(memory.total.saturating_sub(memory.available)), "K used memory");
    add(kibibytes(memory.free), "K free memory");
    add(kibibytes(memory.buffers), "K buffer memory");
    add(kibibytes(memory.cache), "K page cache");
    add(kibibytes(memory.swap_total), "K total swap");
    add(kibibytes(memory.swap_total.saturating_sub(memory.swap_free)), "K used swap");
    let names = ["non-nice user", "system", "nice user", "idle", "IO-wait", "IRQ", "softirq", "stolen"];
    for (time, name) in machine.times().into_iter().zip(names) {
        add(Some(time), &format!("{name} cpu ticks"));
    }
    add(Some(machine.paging.read), "K paged in");
    add(Some(machine.paging.written), "K paged out");
    add(Some(machine.paging.swapped_in), "pages swapped in");
    add(Some(machine.paging.swapped_out), "pages swapped out");
    add(Some(machine.interrupts), "interrupts");
    add(Some(machine.switches), "CPU context switches");
    add(Some(machine.boot), "boot time");
    add(Some(machine.forks), "forks");
    if let Some(usage) = target {
        for (value, what) in [
            (usage.memory.and_then(kibibytes), "K target memory"),
            (usage.memory_limit.and_then(kibibytes), "K target memory limit"),
            (usage.inactive.and_then(kibibytes), "K target inactive file cache"),
            (usage.cpu, "target cpu microseconds"),
            (usage.periods, "target cpu periods"),
            (usage.throttled, "target cpu periods throttled"),
            (usage.throttled_time, "target cpu microseconds throttled"),
            (usage.faults, "target page faults"),
            (usage.major_faults, "target major page faults"),
            (usage.read.and_then(kibibytes), "K target read"),
            (usage.written.and_then(kibibytes), "K target written"),
            (usage.tasks, "target processes and threads"),
            (usage.tasks_limit, "target processes and threads at most"),
        ] {
            add(value, what);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;
    use crate::target::activity::Paging;

    fn samples() -> (Sample, Sample) {
        let machine = Machine { user: 100, idle: 100, switches: 1000, ..Machine::default() };
        let target = Usage { quota: Some(1.0), ..zero() };
        let before = Sample { moment: 10.0, machine, memory: Memory::default(), target: Some(target) };
        let paging = Paging { read: 20, swapped_in: 4, ..Paging::default() };
        let machine = Machine { user: 150, idle: 150, switches: 3000, running: 3, blocked: 1, paging, ..machine };
        let memory = Memory { total: 1 << 30, free: 1 << 20, cache: 2048, swap_total: 4096, ..Memory::default() };
        let usage = Usage {
            memory: Some(3 << 20),
            memory_limit: Some(8 << 20),
            cpu: Some(500_000),
            periods: Some(20),
            throttled: Some(5),
            faults: Some(30),
            read: Some(4096),
            written: None,
            tasks: Some(7),
            ..target
        };
        (before, Sample { moment: 12.0, machine, memory, target: Some(usage) })
    }

    #[test]
    fn a_line() {
        let (before, now) = samples();
        let rates = Rates { now: &now, before: &before, since: 2.0, since_target: 2.0 };
        assert_eq!(
            rates.line(),
            " 2  1      4   1024      0      2    8    0    10     0    0 1000 50  0 50  0  0    3072    8192   25  25 \
             \u{20}  15    0     2     -    7"
        );
        let nothing = Sample { target: None, ..now };
        let rates = Rates { now: &nothing, before: &before, since: 2.0, since_target: 2.0 };
        assert!(rates.line().ends_with("       -       -    -   -     -    -     -     -    -"), "{}", rates.line());
    }

    #[test]
    fn keys_of_json() {
        let (before, now) = samples();
        let rates = Rates { now: &now, before: &before, since: 2.0, since_target: 2.0 };
        assert_eq!(
            rates.object().finish(),
            "{\"seconds\":2,\"host\":{\"running\":2,\"blocked\":1,\"swapped_bytes\":4096,\"free_bytes\":1048576,\
             \"buffer_bytes\":0,\"cache_bytes\":2048,\"available_bytes\":0,\"swapped_in_pages\":2,\"swapped_out_pages\":0,\
             \"read_bytes\":10240,\"written_bytes\":0,\"faults\":0,\"major_faults\":0,\"interrupts\":0,\
             \"context_switches\":1000,\"user_percent\":50,\"system_percent\":0,\"idle_percent\":50,\
             \"waiting_percent\":0,\"stolen_percent\":0},\"target\":{\"memory_bytes\":3145728,\
             \"memory_limit_bytes\":8388608,\"inactive_file_bytes\":null,\"cpu_percent\":25,\"cpu_quota\":1,\
             \"throttled_percent\":25,\"faults\":15,\"major_faults\":0,\"read_bytes\":2048,\"written_bytes\":null,\
             \"pids\":7,\"pids_limit\":null}}"
        );
    }

    #[test]
    fn titles_stand_over_their_numbers() {
        let (before, now) = samples();
        let line = Rates { now: &now, before: &before, since: 2.0, since_target: 2.0 }.line();
        let heading = heading(false);
        let lengths: Vec<usize> = heading.lines().map(str::len).collect();
        assert_eq!(lengths, [line.len(), line.len()], "{heading}{line}");
    }

    #[test]
    fn lines_and_wrong_uses() {
        let done = capture(&APPLET, &[], b"");
        assert_eq!((done.status, done.out.lines().count()), (0, 3), "{done:?}");
        assert!(capture(&APPLET, &["-s"], b"").out.contains(" K total memory\n"));
        assert!(capture(&APPLET, &["--json"], b"").out.starts_with("{\"seconds\":"));
        let done = capture(&APPLET, &["x"], b"");
        assert_eq!((done.status, done.err.as_str()), (2, "vmstat: x: not a number (see 'vmstat --help')\n"));
    }
}
