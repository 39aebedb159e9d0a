//! The columns that ps knows: names as in procps and POSIX, one value each for text and JSON. Longer than most because it
//! is the table of all of them.

use std::ffi::OsStr;
use std::io;

use crate::output::table::{Cell, Column};
use crate::sys::time::local;
use crate::target::process::{Owner, Reader, Stat, Status, split_arguments};
use crate::target::users::Users;
use crate::target::{Whose, machine};

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
    left(&["tty", "tt", "tname"], "TTY", "terminal", 7, |row| Ok(row.terminal())),
    right(&["pri"], "PRI", "priority", 3, |row| Ok(Cell::Signed(39 - row.stat.priority))),
    right(&["ni", "nice"], "NI", "nice", 3, |row| Ok(Cell::Signed(row.stat.nice))),
    right(&["nlwp", "thcount"], "NLWP", "threads", 4, |row| Ok(Cell::Number(row.stat.threads))),
    right(&["vsz", "vsize"], "VSZ", "virtual_bytes", 6, |row| Ok(kibibytes(row.stat.virtual_bytes))),
    right(&["rss", "rssize", "rsz"], "RSS", "resident_bytes", 5, |row| Ok(kibibytes(row.resident_bytes()))),
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
    right(&["tpgid"], "TPGID", "foreground_group", 5, |row| Ok(Cell::Signed(row.stat.foreground.into()))),
    right(&["psr"], "PSR", "processor", 3, |row| Ok(Cell::Number(row.stat.processor.into()))),
    left(&["wchan"], "WCHAN", "wait_channel", 6, |row| {
        let name = row.reader.wait_channel(row.pid, row.stat.pid)?;
        Ok(name.map_or(Cell::Unknown, |name| Cell::Bytes(name.to_vec())))
    }),
    left(&["cgroup"], "CGROUP", "cgroup", 27, |row| {
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
        Row { reader, users, clock, whose, pid: stat.pid, stat, lines: "", owner: None, status: None }
    }

    fn branch(&self, cell: Cell) -> Cell {
        if self.lines.is_empty() { cell } else { Cell::Branch(String::from(self.lines), Box::new(cell)) }
    }

    fn namespace(&mut self, kind: &str) -> io::Result<Cell> {
        Ok(Cell::Number(self.reader.namespace(self.pid, kind)?))
    }

    /// Of the process, also for a thread.
    fn status(&mut self) -> io::Result<&Status> {
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
        let line = self.reader.arguments(self.pid)?;
        let list: Vec<Vec<u8>> = split_arguments(line).map(<[u8]>::to_vec).collect();
        let mut shown = list.join(&b' ');
        if shown.iter().all(|byte| *byte == b' ') {
            shown = [b"[", self.stat.comm.as_slice(), b"]"].concat();
        }
        if self.stat.state == b'Z' {
            shown.extend_from_slice(b" <defunct>");
        }
        Ok(self.branch(Cell::Strings(list, shown)))
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

    /// Of one processor, over the life of the process.
    fn cpu_percent(&self) -> f64 {
        let used = self.stat.cpu_time as f64 / self.clock.ticks as f64;
        one_decimal(if self.elapsed() > 0.0 { used * 100.0 / self.elapsed() } else { 0.0 })
    }

    /// The time of a start today, the day of an earlier one, the year of one in another year.
    fn started(&mut self) -> io::Result<Cell> {
        let clock = self.clock;
        let start = clock.now - self.elapsed() as i64;
        let (Some(then), Some(today)) = (local(start, clock.zone), local(clock.now, clock.zone)) else {
            return Ok(Cell::Unknown);
        };
        let text = match (then.year == today.year, (then.month, then.day) == (today.month, today.day)) {
            (false, _) => then.year.to_string(),
            (true, true) => format!("{:02}:{:02}", then.hour, then.minute),
            (true, false) => format!("{}{:02}", MONTHS[usize::from(then.month - 1) % 12], then.day),
        };
        Ok(Cell::Shown(u64::try_from(start).unwrap_or(0), text))
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
}

impl Clock<'_> {
    pub fn now(zone: Option<&OsStr>) -> Clock<'_> {
        let machine::Clock { now, since_boot, ticks } = machine::Clock::now();
        Clock {
            now,
            since_boot,
            ticks,
            page: procfs::page_size().max(1),
            memory: nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total()),
            zone,
        }
    }
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
    let days = if days > 0 { format!("{days}-") } else { String::new() };
    format!("{days}{hours:02}:{minutes:02}:{:02}", seconds % 60)
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
        names.sort_unstable();
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
            processor: 1,
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
             \"state\":\"S\",\"stat\":\"Sl+\",\"terminal\":\"pts/0\",\"priority\":19,\"nice\":0,\"threads\":4,\
             \"virtual_bytes\":430030848,\"resident_bytes\":5279744,\"virtual_pages\":104988,\"cpu_percent\":2.6,\
             \"cpu_percent_whole\":2,\"memory_percent\":0.5,\"cpu_seconds\":25,\"cpu_seconds\":25,\"cpu_seconds\":25,\
             \"elapsed_seconds\":1000,\"elapsed_seconds\":1000,\"started\":1699999000,\"started\":1699999000,\
             \"foreground_group\":7,\"processor\":1,\"flags\":4,\
             \"comm\":{\"bytes\":\"eBtbMkoKKf8=\"}}\n"
        );
        assert!(row.owner().is_err());
        let Ok(Cell::Shown(_, full)) = row.started_in_full() else { panic!("no time") };
        assert_eq!(full, "Tue Nov 14 21:56:40 2023");
    }
}
