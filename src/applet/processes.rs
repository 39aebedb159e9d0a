//! Processes as rows, for ps and top: the columns by their names in procps and POSIX, one value each for text and JSON.

pub mod order;

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;

use crate::output::table::{Cell, Column};
use crate::sys::time::local;
use crate::target::process::{Owner, Reader, Stat, Status};
use crate::target::users::Users;
use crate::target::{Whose, machine, program};

/// One column by all its names.
pub struct Field {
    pub names: &'static [&'static str],
    pub column: Column<'static>,
    pub value: fn(&mut Row) -> io::Result<Cell>,
}

/// Finds a column by any of its names.
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.names.contains(&name))
}

type Value = fn(&mut Row) -> io::Result<Cell>;

const fn left(
    names: &'static [&'static str],
    title: &'static str,
    key: &'static str,
    width: usize,
    value: Value,
) -> Field {
    Field { names, column: Column::left(title, key, width), value }
}

const fn right(
    names: &'static [&'static str],
    title: &'static str,
    key: &'static str,
    width: usize,
    value: Value,
) -> Field {
    Field { names, column: Column::right(title, key, width), value }
}

pub static FIELDS: &[Field] = &[
    right(&["pid", "tgid"], "PID", "pid", 5, |row| Ok(Cell::Signed(row.pid.into()))),
    right(&["spid", "tid", "lwp"], "SPID", "thread", 5, |row| Ok(Cell::Signed(row.stat.pid.into()))),
    right(&["ppid"], "PPID", "parent", 5, |row| Ok(Cell::Signed(row.stat.parent.into()))),
    right(&["pgid", "pgrp"], "PGID", "process_group", 5, |row| Ok(Cell::Signed(row.stat.group.into()))),
    right(&["sid", "sess", "session"], "SID", "session", 5, |row| Ok(Cell::Signed(row.stat.session.into()))),
    left(&["user", "euser", "uname"], "USER", "user", 8, |row| row.user()),
    right(&["uid", "euid"], "UID", "uid", 5, |row| Ok(Cell::Number(row.owner()?.user.into()))),
    left(&["group", "egroup"], "GROUP", "group", 8, |row| row.group()),
    right(&["gid", "egid"], "GID", "gid", 5, |row| Ok(Cell::Number(row.owner()?.group.into()))),
    left(&["whose"], "WHOSE", "whose", 7, |row| Ok(Cell::Text(String::from(row.whose.word())))),
    left(&["s", "state"], "S", "state", 1, |row| Ok(Cell::Bytes(vec![row.stat.state]))),
    left(&["stat"], "STAT", "stat", 4, |row| Ok(Cell::Bytes(row.stat.letters()))),
    left(&["tty", "tt", "tname", "tty8", "tty4", "longtname"], "TTY", "terminal", 7, |row| Ok(row.terminal())),
    right(&["pri"], "PRI", "priority", 3, |row| Ok(Cell::Signed(39 - row.stat.priority))),
    right(&["priority"], "PRI", "kernel_priority", 3, |row| Ok(Cell::Signed(row.stat.priority))),
    right(&["cls", "class", "policy"], "CLS", "class", 3, |row| Ok(row.class())),
    right(&["sched"], "SCH", "policy", 3, |row| Ok(Cell::Number(row.stat.policy.into()))),
    right(&["rtprio"], "RTPRIO", "realtime_priority", 6, |row| {
        Ok(match row.stat.realtime_priority {
            0 => Cell::Unknown,
            priority => Cell::Number(priority.into()),
        })
    }),
    right(&["ni", "nice"], "NI", "nice", 3, |row| Ok(Cell::Signed(row.stat.nice))),
    right(&["nlwp", "thcount"], "NLWP", "threads", 4, |row| Ok(Cell::Number(row.stat.threads))),
    right(&["vsz", "vsize"], "VSZ", "virtual_bytes", 6, |row| Ok(kibibytes(row.stat.virtual_bytes))),
    right(&["rss", "rssize", "rsz"], "RSS", "resident_bytes", 5, |row| Ok(kibibytes(row.resident_bytes()))),
    right(&["trs"], "TRS", "text_bytes", 4, |row| Ok(row.pages(3)?.map_or(Cell::Unknown, kibibytes))),
    right(&["drs"], "DRS", "data_bytes", 6, |row| {
        let all = row.stat.virtual_bytes;
        Ok(row.pages(3)?.map_or(Cell::Unknown, |text| kibibytes(all.saturating_sub(text))))
    }),
    right(&["pss"], "PSS", "proportional_bytes", 6, |row| row.kibibytes("smaps_rollup", "Pss")),
    right(&["uss"], "USS", "private_bytes", 6, |row| {
        let clean = row.number_of("smaps_rollup", "Private_Clean")?;
        let dirty = row.number_of("smaps_rollup", "Private_Dirty")?;
        let both = clean.zip(dirty).map(|(clean, dirty)| clean.saturating_add(dirty));
        Ok(both.map_or(Cell::Unknown, |count| kibibytes(count.saturating_mul(1024))))
    }),
    right(&["swap"], "SWAP", "swapped_bytes", 5, |row| row.kibibytes("status", "VmSwap")),
    right(&["min_flt", "minflt"], "MINFLT", "minor_faults", 6, |row| Ok(Cell::Number(row.stat.minor_faults))),
    right(&["maj_flt", "majflt"], "MAJFLT", "major_faults", 6, |row| Ok(Cell::Number(row.stat.major_faults))),
    right(&["rbytes"], "RBYTES", "read_bytes", 8, |row| row.number("io", "read_bytes")),
    right(&["wbytes"], "WBYTES", "written_bytes", 8, |row| row.number("io", "write_bytes")),
    right(&["fds"], "FDS", "descriptors", 4, |row| Ok(Cell::Number(row.reader.descriptor_count(row.pid)?))),
    right(&["oom"], "OOM", "oom_score", 4, |row| row.word("oom_score")),
    right(&["oomadj"], "OOMADJ", "oom_adjustment", 5, |row| row.word("oom_score_adj")),
    left(&["label", "context"], "LABEL", "label", 31, |row| {
        // No security module: the file cannot be read.
        let label = row.reader.word(row.pid, "attr/current").unwrap_or_default();
        Ok(if label.is_empty() { Cell::Unknown } else { Cell::Bytes(label.to_vec()) })
    }),
    right(&["pending", "sig", "sig_pend"], "PENDING", "signals_pending", 16, |row| row.mask("ShdPnd")),
    right(&["blocked", "sigmask", "sig_block"], "BLOCKED", "signals_blocked", 16, |row| row.mask("SigBlk")),
    right(&["ignored", "sigignore"], "IGNORED", "signals_ignored", 16, |row| row.mask("SigIgn")),
    right(&["caught", "sigcatch"], "CAUGHT", "signals_caught", 16, |row| row.mask("SigCgt")),
    right(&["sz"], "SZ", "virtual_pages", 5, |row| Ok(Cell::Number(row.stat.virtual_bytes / row.clock.page))),
    right(&["%cpu", "pcpu"], "%CPU", "cpu_percent", 4, |row| Ok(Cell::Float(row.cpu_percent()))),
    right(&["c"], "C", "cpu_percent_whole", 2, |row| Ok(Cell::Number(row.cpu_percent() as u64))),
    right(&["%mem", "pmem"], "%MEM", "memory_percent", 4, |row| row.memory_percent()),
    right(&["time", "cputime"], "TIME", "cpu_seconds", 8, |row| Ok(shown(row.cpu_seconds(), long))),
    right(&["times", "cputimes"], "TIME", "cpu_seconds", 8, |row| Ok(Cell::Number(row.cpu_seconds()))),
    right(&["bsdtime"], "TIME", "cpu_seconds", 6, |row| Ok(shown(row.cpu_seconds(), minutes))),
    right(&["etime"], "ELAPSED", "elapsed_seconds", 11, |row| Ok(shown(row.elapsed() as u64, short))),
    right(&["etimes"], "ELAPSED", "elapsed_seconds", 7, |row| Ok(Cell::Number(row.elapsed() as u64))),
    left(&["stime", "start", "start_time", "bsdstart"], "START", "started", 5, |row| row.started()),
    left(&["lstart"], "STARTED", "started", 24, |row| row.started_in_full()),
    right(&["ruid"], "RUID", "real_uid", 5, |row| Ok(Cell::Number(row.status()?.users.real.into()))),
    left(&["ruser"], "RUSER", "real_user", 8, |row| {
        let id = row.status()?.users.real;
        Ok(named(id, row.users.user(id, row.whose)))
    }),
    right(&["rgid"], "RGID", "real_gid", 5, |row| Ok(Cell::Number(row.status()?.groups.real.into()))),
    left(&["rgroup"], "RGROUP", "real_group", 8, |row| {
        let id = row.status()?.groups.real;
        Ok(named(id, row.users.group(id, row.whose)))
    }),
    right(&["suid", "svuid"], "SUID", "saved_uid", 5, |row| Ok(Cell::Number(row.status()?.users.saved.into()))),
    left(&["suser", "svuser"], "SUSER", "saved_user", 8, |row| {
        let id = row.status()?.users.saved;
        Ok(named(id, row.users.user(id, row.whose)))
    }),
    right(&["sgid", "svgid"], "SGID", "saved_gid", 5, |row| Ok(Cell::Number(row.status()?.groups.saved.into()))),
    left(&["sgroup"], "SGROUP", "saved_group", 8, |row| {
        let id = row.status()?.groups.saved;
        Ok(named(id, row.users.group(id, row.whose)))
    }),
    right(&["fuid", "fsuid"], "FUID", "filesystem_uid", 5, |row| {
        Ok(Cell::Number(row.status()?.users.filesystem.into()))
    }),
    left(&["fuser"], "FUSER", "filesystem_user", 8, |row| {
        let id = row.status()?.users.filesystem;
        Ok(named(id, row.users.user(id, row.whose)))
    }),
    right(&["fgid", "fsgid"], "FGID", "filesystem_gid", 5, |row| {
        Ok(Cell::Number(row.status()?.groups.filesystem.into()))
    }),
    left(&["fgroup"], "FGROUP", "filesystem_group", 8, |row| {
        let id = row.status()?.groups.filesystem;
        Ok(named(id, row.users.group(id, row.whose)))
    }),
    left(&["supgid"], "SUPGID", "supplementary_gids", 20, |row| {
        let list = row.reader.line(row.pid, "status", "Groups")?;
        let ids: Vec<&[u8]> = list.split(u8::is_ascii_whitespace).filter(|id| !id.is_empty()).collect();
        Ok(if ids.is_empty() { Cell::Unknown } else { Cell::Bytes(ids.join(&b',')) })
    }),
    right(&["tpgid"], "TPGID", "foreground_group", 5, |row| Ok(Cell::Signed(row.stat.foreground.into()))),
    right(&["psr"], "PSR", "processor", 3, |row| Ok(Cell::Number(row.stat.processor.into()))),
    left(&["wchan", "nwchan", "wname"], "WCHAN", "wait_channel", 6, |row| {
        let name = row.reader.wait_channel(row.pid, row.stat.pid)?;
        Ok(name.map_or(Cell::Unknown, |name| Cell::Bytes(name.to_vec())))
    }),
    left(&["cgroup", "cgname"], "CGROUP", "cgroup", 27, |row| {
        let lines = row.reader.control_groups(row.pid)?.trim_ascii_end().split(|byte| *byte == b'\n');
        Ok(Cell::Bytes(lines.collect::<Vec<_>>().join(&b',')))
    }),
    left(&["exe"], "EXE", "exe", 27, |row| Ok(Cell::Bytes(row.reader.program(row.pid)?))),
    right(&["cgroupns"], "CGROUPNS", "cgroup_namespace", 10, |row| row.namespace("cgroup")),
    right(&["ipcns"], "IPCNS", "ipc_namespace", 10, |row| row.namespace("ipc")),
    right(&["mntns"], "MNTNS", "mount_namespace", 10, |row| row.namespace("mnt")),
    right(&["netns"], "NETNS", "network_namespace", 10, |row| row.namespace("net")),
    right(&["pidns"], "PIDNS", "pid_namespace", 10, |row| row.namespace("pid")),
    right(&["timens"], "TIMENS", "time_namespace", 10, |row| row.namespace("time")),
    right(&["userns"], "USERNS", "user_namespace", 10, |row| row.namespace("user")),
    right(&["utsns"], "UTSNS", "uts_namespace", 10, |row| row.namespace("uts")),
    right(&["f", "flag", "flags"], "F", "flags", 1, |row| {
        // What procps keeps of the kernel's flags: forked but did not exec (1), used super-user privileges (4).
        Ok(Cell::Number((row.stat.flags >> 6 & 7).into()))
    }),
    left(&["comm", "ucmd", "ucomm"], "COMMAND", "comm", 15, |row| {
        let name = Cell::Bytes(row.stat.comm.clone());
        Ok(row.branch(name))
    }),
    left(&["fname"], "COMMAND", "comm_start", 8, |row| {
        Ok(Cell::Bytes(row.stat.comm.iter().take(8).copied().collect()))
    }),
    left(&["environ"], "ENVIRONMENT", "environment", 27, |row| {
        let strings = program::environment(row.reader, row.pid)?;
        Ok(Cell::Strings(
            strings.iter().flat_map(|pair| pair.iter().chain(b"\0")).copied().collect(),
            strings.join(&b' '),
        ))
    }),
    left(&["args", "command"], "COMMAND", "args", 27, |row| row.arguments()),
    left(&["cmd"], "CMD", "args", 27, |row| row.arguments()),
];

/// One process while it is looked at; more is read of it when a column asks.
pub struct Row<'a> {
    pub reader: &'a mut Reader,
    pub users: &'a Users<'a>,
    pub clock: &'a Clock<'a>,
    pub whose: Whose,
    pub pid: i32,
    /// The process's, or one thread's.
    pub stat: Stat,
    /// What draws the process's place in a tree.
    pub lines: &'a str,
    /// Whether the environment stands behind the arguments.
    pub environment: bool,
    /// The share of one processor in some interval, where one was measured, in percent.
    pub cpu: Option<f64>,
    owner: Option<Owner>,
    status: Option<Status>,
}

impl<'a> Row<'a> {
    pub fn new(
        reader: &'a mut Reader,
        users: &'a Users<'a>,
        clock: &'a Clock<'a>,
        whose: Whose,
        stat: Stat,
    ) -> Row<'a> {
        Row {
            reader,
            users,
            clock,
            whose,
            pid: stat.pid,
            stat,
            lines: "",
            environment: false,
            cpu: None,
            owner: None,
            status: None,
        }
    }

    fn branch(&self, cell: Cell) -> Cell {
        if self.lines.is_empty() { cell } else { Cell::Branch(String::from(self.lines), Box::new(cell)) }
    }

    fn namespace(&mut self, kind: &str) -> io::Result<Cell> {
        Ok(Cell::Number(self.reader.namespace(self.pid, kind)?))
    }

    /// Of the process, also for a thread.
    pub fn status(&mut self) -> io::Result<&Status> {
        if self.status.is_none() {
            self.status = Some(self.reader.status(self.pid)?);
        }
        Ok(self.status.get_or_insert_default())
    }

    pub fn owner(&mut self) -> io::Result<Owner> {
        let owner = match self.owner {
            Some(owner) => owner,
            None => self.reader.owner(self.pid)?,
        };
        self.owner = Some(owner);
        Ok(owner)
    }

    fn user(&mut self) -> io::Result<Cell> {
        let id = self.owner()?.user;
        Ok(named(id, self.users.user(id, self.whose)))
    }

    fn group(&mut self) -> io::Result<Cell> {
        let id = self.owner()?.group;
        Ok(named(id, self.users.group(id, self.whose)))
    }

    /// The arguments between spaces; the name in brackets where there are none, as in kernel threads and zombies.
    fn arguments(&mut self) -> io::Result<Cell> {
        let line = self.reader.arguments(self.pid)?.to_vec();
        let mut shown = line.strip_suffix(b"\0").unwrap_or(&line).to_vec();
        shown.iter_mut().filter(|byte| **byte == 0).for_each(|end| *end = b' ');
        if shown.iter().all(|byte| *byte == b' ') {
            shown = [b"[", self.stat.comm.as_slice(), b"]"].concat();
        }
        if self.stat.state == b'Z' {
            shown.extend_from_slice(b" <defunct>");
        }
        if self.environment {
            for pair in program::environment(self.reader, self.pid).unwrap_or_default() {
                shown.push(b' ');
                shown.extend_from_slice(&pair);
            }
        }
        Ok(self.branch(Cell::Strings(line, shown)))
    }

    /// A number of statm (proc_pid_statm(5)), in bytes.
    fn pages(&mut self, index: usize) -> io::Result<Option<u64>> {
        let page = self.clock.page;
        let pages = field_number(self.reader.word(self.pid, "statm")?.split(|byte| *byte == b' ').nth(index));
        Ok(pages.map(|pages| pages.saturating_mul(page)))
    }

    fn number_of(&mut self, file: &str, key: &str) -> io::Result<Option<u64>> {
        Ok(field_number(self.reader.line(self.pid, file, key)?.split(|byte| *byte == b' ').next()))
    }

    fn number(&mut self, file: &str, key: &str) -> io::Result<Cell> {
        Ok(self.number_of(file, key)?.map_or(Cell::Unknown, Cell::Number))
    }

    fn kibibytes(&mut self, file: &str, key: &str) -> io::Result<Cell> {
        let count = self.number_of(file, key)?;
        Ok(count.map_or(Cell::Unknown, |count| kibibytes(count.saturating_mul(1024))))
    }

    /// A mask of signals, as the kernel writes it.
    fn mask(&mut self, key: &str) -> io::Result<Cell> {
        let mask = self.reader.line(self.pid, "status", key)?;
        Ok(if mask.is_empty() { Cell::Unknown } else { Cell::Bytes(mask.to_vec()) })
    }

    /// A number in a file of its own, which may be negative.
    fn word(&mut self, file: &str) -> io::Result<Cell> {
        let text = std::str::from_utf8(self.reader.word(self.pid, file)?).ok();
        Ok(text.and_then(|text| text.parse().ok()).map_or(Cell::Unknown, Cell::Signed))
    }

    /// The scheduling class as procps abbreviates it (sched(7)).
    fn class(&self) -> Cell {
        const CLASSES: [&str; 7] = ["TS", "FF", "RR", "B", "ISO", "IDL", "DLN"];
        let name = usize::try_from(self.stat.policy).ok().and_then(|policy| CLASSES.get(policy));
        name.map_or(Cell::Unknown, |name| Cell::Text(String::from(*name)))
    }

    fn terminal(&self) -> Cell {
        self.stat.terminal_name().map_or_else(|| Cell::Null(String::from("?")), Cell::Text)
    }

    fn resident_bytes(&self) -> u64 {
        self.stat.resident_pages.saturating_mul(self.clock.page)
    }

    fn memory_percent(&mut self) -> io::Result<Cell> {
        Ok(match self.clock.memory {
            0 => Cell::Unknown,
            memory => Cell::Float(one_decimal(self.resident_bytes() as f64 * 100.0 / memory as f64)),
        })
    }

    fn cpu_seconds(&self) -> u64 {
        self.stat.cpu_time / self.clock.ticks
    }

    fn elapsed(&self) -> f64 {
        (self.clock.since_boot - self.stat.start as f64 / self.clock.ticks as f64).max(0.0)
    }

    /// Of one processor, over the life of the process where no interval was measured.
    fn cpu_percent(&self) -> f64 {
        if let Some(measured) = self.cpu {
            return one_decimal(measured);
        }
        let used = self.stat.cpu_time as f64 / self.clock.ticks as f64;
        one_decimal(if self.elapsed() > 0.0 { used * 100.0 / self.elapsed() } else { 0.0 })
    }

    /// The time of a start today, the day of an earlier one, the year of one in another year.
    fn started(&mut self) -> io::Result<Cell> {
        let clock = self.clock;
        let start = clock.now - self.elapsed() as i64;
        let text = clock.minute(start, || {
            let (then, today) = (local(start, clock.zone)?, local(clock.now, clock.zone)?);
            Some(match (then.year == today.year, (then.month, then.day) == (today.month, today.day)) {
                (false, _) => then.year.to_string(),
                (true, true) => format!("{:02}:{:02}", then.hour, then.minute),
                (true, false) => format!("{}{:02}", MONTHS[usize::from(then.month - 1) % 12], then.day),
            })
        });
        Ok(text.map_or(Cell::Unknown, |text| Cell::Shown(u64::try_from(start).unwrap_or(0), text)))
    }

    /// As ctime(3) writes it.
    fn started_in_full(&mut self) -> io::Result<Cell> {
        let start = self.clock.now - self.elapsed() as i64;
        let Some(then) = local(start, self.clock.zone) else { return Ok(Cell::Unknown) };
        let (weekday, month) = (WEEKDAYS[usize::from(then.weekday) % 7], MONTHS[usize::from(then.month - 1) % 12]);
        let time = format!("{:02}:{:02}:{:02}", then.hour, then.minute, then.second);
        let text = format!("{weekday} {month} {:>2} {time} {}", then.day, then.year);
        Ok(Cell::Shown(u64::try_from(start).unwrap_or(0), text))
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// What turns the kernel's counts into time and bytes.
pub struct Clock<'a> {
    /// Seconds since the epoch.
    pub now: i64,
    pub since_boot: f64,
    /// A second's.
    pub ticks: u64,
    /// Bytes in a page.
    pub page: u64,
    /// The machine's memory in bytes, 0 where that is unknown.
    pub memory: u64,
    /// TZ.
    pub zone: Option<&'a OsStr>,
    /// The minute that was shown last, and its text: many processes start in the same one.
    last: RefCell<Option<(i64, String)>>,
}

impl Clock<'_> {
    /// The text for the minute of `seconds`.
    fn minute(&self, seconds: i64, text: impl FnOnce() -> Option<String>) -> Option<String> {
        let minute = seconds.div_euclid(60);
        if let Some((last, text)) = &*self.last.borrow()
            && *last == minute
        {
            return Some(text.clone());
        }
        let text = text()?;
        *self.last.borrow_mut() = Some((minute, text.clone()));
        Some(text)
    }

    pub fn now(zone: Option<&OsStr>) -> Clock<'_> {
        let machine::Clock { now, since_boot, ticks } = machine::Clock::now();
        Clock {
            now,
            since_boot,
            ticks,
            page: procfs::page_size().max(1),
            memory: nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total()),
            zone,
            last: RefCell::default(),
        }
    }
}

fn field_number(field: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(field?).ok()?.parse().ok()
}

fn named(id: u32, name: Option<&[u8]>) -> Cell {
    match name {
        Some(name) => Cell::Bytes(name.to_vec()),
        None => Cell::Null(id.to_string()),
    }
}

fn kibibytes(bytes: u64) -> Cell {
    Cell::Shown(bytes, (bytes / 1024).to_string())
}

fn one_decimal(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn shown(seconds: u64, form: fn(u64) -> String) -> Cell {
    Cell::Shown(seconds, form(seconds))
}

/// `[DD-]HH:MM:SS`
fn long(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let mut text = if days > 0 { format!("{days}-") } else { String::with_capacity(8) };
    // Without the formatter: every row has one.
    for (at, number) in [hours, minutes, seconds % 60].into_iter().enumerate() {
        text.push_str(if at > 0 { ":" } else { "" });
        text.extend([number / 10, number % 10].map(|digit| char::from(b'0' + digit as u8)));
    }
    text
}

/// `[[DD-]HH:]MM:SS`
fn short(seconds: u64) -> String {
    if seconds < 3600 { format!("{:02}:{:02}", seconds / 60, seconds % 60) } else { long(seconds) }
}

/// `M:SS`
fn minutes(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::table;
    use crate::target::Files;

    #[test]
    fn names_are_there_once() {
        let mut names: Vec<&str> = FIELDS.iter().flat_map(|field| field.names).copied().collect();
        let count = names.len();
        crate::output::order::sort(&mut names);
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn times() {
        assert_eq!((long(0), long(3661), long(90_061)), ("00:00:00".into(), "01:01:01".into(), "1-01:01:01".into()));
        assert_eq!((short(61), short(3661)), ("01:01".into(), "01:01:01".into()));
        assert_eq!((minutes(59), minutes(6001)), ("0:59".into(), "100:01".into()));
    }

    #[test]
    fn a_row_of_each_column() {
        let mut reader = Reader::open().unwrap();
        let files = Files::new(None);
        let users = Users::new(&files);
        let clock = Clock {
            now: 1_700_000_000,
            since_boot: 1100.0,
            ticks: 100,
            page: 4096,
            memory: 1 << 30,
            zone: Some(OsStr::new("UTC0")),
            last: RefCell::default(),
        };
        // No such process: only what its stat tells can be shown.
        let stat = Stat {
            pid: i32::MAX,
            comm: b"x\x1b[2J\n)\xff".to_vec(),
            state: b'S',
            parent: 1,
            group: 7,
            session: 7,
            terminal: 34816,
            foreground: 7,
            flags: 4_194_560,
            cpu_time: 2550,
            priority: 20,
            nice: 0,
            threads: 4,
            start: 10_000,
            virtual_bytes: 430_030_848,
            resident_pages: 1289,
            minor_faults: 1532,
            major_faults: 3,
            processor: 1,
            realtime_priority: 0,
            policy: 0,
        };
        let mut row = Row::new(&mut reader, &users, &clock, Whose::Target, stat);
        let (mut columns, mut cells) = (Vec::new(), Vec::new());
        for field in FIELDS {
            if let Ok(cell) = (field.value)(&mut row) {
                columns.push(field.column);
                cells.push(cell);
            }
        }
        let mut out = Vec::new();
        table::json_row(&mut out, &columns, &cells).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"pid\":2147483647,\"thread\":2147483647,\"parent\":1,\"process_group\":7,\"session\":7,\"whose\":\"target\",\
             \"state\":\"S\",\"stat\":\"Sl+\",\"terminal\":\"pts/0\",\"priority\":19,\"kernel_priority\":20,\
             \"class\":\"TS\",\"policy\":0,\"realtime_priority\":null,\"nice\":0,\"threads\":4,\
             \"virtual_bytes\":430030848,\"resident_bytes\":5279744,\"minor_faults\":1532,\"major_faults\":3,\
             \"label\":null,\"virtual_pages\":104988,\"cpu_percent\":2.6,\
             \"cpu_percent_whole\":2,\"memory_percent\":0.5,\"cpu_seconds\":25,\"cpu_seconds\":25,\"cpu_seconds\":25,\
             \"elapsed_seconds\":1000,\"elapsed_seconds\":1000,\"started\":1699999000,\"started\":1699999000,\
             \"foreground_group\":7,\"processor\":1,\"flags\":4,\
             \"comm\":{\"bytes\":\"eBtbMkoKKf8=\"},\"comm_start\":{\"bytes\":\"eBtbMkoKKf8=\"}}\n"
        );
        assert!(row.owner().is_err());
        let Ok(Cell::Shown(_, full)) = row.started_in_full() else { panic!("no time") };
        assert_eq!(full, "Tue Nov 14 21:56:40 2023");
    }
}
