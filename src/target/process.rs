//! Processes as /proc shows them: pure parsers on bytes, and one reader that feeds them with few system calls.
//!
//! By hand, because a process chooses its own name (any 15 bytes but NUL: spaces, parentheses, a newline) and its
//! command line, and text in between would lose what is not UTF-8.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::str::FromStr;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstatat};

use crate::output::order;
use crate::sys::directory::Names;

/// The most that is read of a file at once: as much as one argument may have in Linux (MAX_ARG_STRLEN). What a longer
/// command line has beyond is not shown.
const LIMIT: usize = 128 * 1024;

/// A process that was forked inside the kernel and has no program (include/linux/sched.h, PF_KTHREAD).
const PF_KTHREAD: u32 = 0x0020_0000;

/// One line of /proc/PID/stat (proc_pid_stat(5)): what is known of a process without any permission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    /// The kernel's name of the process.
    pub comm: Vec<u8>,
    pub state: u8,
    /// 0 where the parent lies outside of the PID namespace.
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// The device number of the controlling terminal, 0 for none.
    pub terminal: u32,
    pub foreground: i32,
    pub flags: u32,
    /// Page faults that needed no disk, and those that did.
    pub minor_faults: u64,
    pub major_faults: u64,
    /// In user and kernel mode, in clock ticks.
    pub cpu_time: u64,
    pub priority: i64,
    pub nice: i64,
    pub threads: u64,
    /// In clock ticks since boot.
    pub start: u64,
    pub virtual_bytes: u64,
    pub resident_pages: u64,
    /// The processor that it ran on last.
    pub processor: u32,
    /// 0 for a process that is not scheduled in real time.
    pub realtime_priority: u32,
    /// The scheduling policy's number (sched(7)).
    pub policy: u32,
}

impl Stat {
    /// `None` for what is not such a line. The name ends at the last parenthesis: only numbers follow it.
    pub fn parse(line: &[u8]) -> Option<Stat> {
        let open = memchr::memchr(b'(', line)?;
        let close = memchr::memrchr(b')', line)?;
        let (state, rest) = line.get(close + 1..)?.trim_ascii_start().split_first()?;
        let mut fields = Numbers(rest);
        let mut stat = Stat {
            pid: number(line[..open].trim_ascii())?,
            comm: line.get(open + 1..close)?.to_vec(),
            state: *state,
            parent: fields.int()?,
            group: fields.int()?,
            session: fields.int()?,
            // Printed as signed, and with 20 bits of minor number it may come out negative.
            terminal: fields.int()?.cast_unsigned(),
            foreground: fields.int()?,
            flags: u32::try_from(fields.count()?).ok()?,
            ..Stat::default()
        };
        stat.minor_faults = fields.count()?;
        fields.count()?;
        stat.major_faults = fields.count()?;
        fields.count()?;
        stat.cpu_time = fields.count()?.saturating_add(fields.count()?);
        fields.pass(2)?;
        stat.priority = fields.int()?.into();
        stat.nice = fields.int()?.into();
        stat.threads = fields.count()?;
        fields.pass(1)?;
        stat.start = fields.count()?;
        stat.virtual_bytes = fields.count()?;
        stat.resident_pages = fields.signed()?.max(0).cast_unsigned();
        // Not in every line that was written for a test, and worth no process.
        let mut rest = || {
            fields.pass(14)?;
            let mut next = || u32::try_from(fields.count()?).ok();
            Some((next()?, next()?, next()?))
        };
        (stat.processor, stat.realtime_priority, stat.policy) = rest().unwrap_or_default();
        Some(stat)
    }

    pub fn is_kernel_thread(&self) -> bool {
        self.flags & PF_KTHREAD != 0
    }

    /// The name of the controlling terminal without `/dev/`; `None` without one, or for one of an unknown kind. By its
    /// device number (Documentation/admin-guide/devices.txt), packed as the kernel does for user space.
    pub fn terminal_name(&self) -> Option<String> {
        let (major, minor) = (self.terminal >> 8 & 0xfff, self.terminal & 0xff | self.terminal >> 12 & 0xfff00);
        Some(match major {
            4 if minor < 64 => format!("tty{minor}"),
            4 => format!("ttyS{}", minor - 64),
            136..=143 => format!("pts/{}", minor + (major - 136) * 256),
            204 if minor >= 64 => format!("ttyAMA{}", minor - 64),
            229 => format!("hvc{minor}"),
            _ => return None,
        })
    }

    /// Whether that is its terminal: a name with or without `/dev/`, and `-` or `?` for none.
    pub fn is_on(&self, name: &[u8]) -> bool {
        match name.strip_prefix(b"/dev/").unwrap_or(name) {
            b"-" | b"?" => self.terminal == 0,
            name => self.terminal_name().is_some_and(|own| own.as_bytes() == name),
        }
    }

    /// The state as ps shows it in STAT: the letter, then `<` or `N` for a raised or lowered priority, `s` for a session
    /// leader, `l` for several threads, `+` for the terminal's foreground.
    pub fn letters(&self) -> Vec<u8> {
        let marks = [
            (self.nice < 0, b'<'),
            (self.nice > 0, b'N'),
            (self.session == self.pid, b's'),
            (self.threads > 1, b'l'),
            (self.foreground != -1 && self.foreground == self.group, b'+'),
        ];
        let marks = marks.iter().filter(|(set, _)| *set).map(|(_, mark)| *mark);
        std::iter::once(self.state).chain(marks).collect()
    }
}

/// The user, group and capabilities in /proc/PID/status (proc_pid_status(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub users: Ids,
    pub groups: Ids,
    pub permitted: u64,
    pub effective: u64,
}

/// Real, effective, saved and file system id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
    pub filesystem: u32,
}

impl Status {
    /// `None` where one of the lines is missing. A newline in the process's name is escaped there by the kernel, so that
    /// it cannot add lines.
    pub fn parse(text: &[u8]) -> Option<Status> {
        let value = |key: &[u8]| {
            let mut lines = text.split(|byte| *byte == b'\n');
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b":"))
        };
        let ids = |key| {
            let mut fields = Fields(value(key)?);
            let mut next = || fields.number();
            Some(Ids { real: next()?, effective: next()?, saved: next()?, filesystem: next()? })
        };
        let mask = |key| u64::from_str_radix(std::str::from_utf8(value(key)?.trim_ascii()).ok()?, 16).ok();
        Some(Status {
            users: ids(b"Uid")?,
            groups: ids(b"Gid")?,
            permitted: mask(b"CapPrm")?,
            effective: mask(b"CapEff")?,
        })
    }
}

/// The effective user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
}

/// The arguments of a process.
pub fn arguments(pid: i32) -> io::Result<Vec<Vec<u8>>> {
    Ok(split_arguments(Reader::open()?.arguments(pid)?).map(<[u8]>::to_vec).collect())
}

/// A command line as the kernel keeps it, every argument with a NUL at its end. A process that wrote over it may have
/// left that out.
pub fn split_arguments(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = line.strip_suffix(b"\0").map_or((!line.is_empty()).then_some(line), Some);
    line.into_iter().flat_map(|line| line.split(|byte| *byte == 0))
}

/// /proc, and one buffer for all that is read there.
pub struct Reader {
    root: OwnedFd,
    buffer: Vec<u8>,
}

impl Reader {
    pub fn open() -> io::Result<Reader> {
        Reader::at(Path::new(super::PROC))
    }

    fn at(root: &Path) -> io::Result<Reader> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Reader { root: openat(AT_FDCWD, root, flags, Mode::empty())?, buffer: vec![0; LIMIT] })
    }

    /// All process ids, lowest first; none where /proc is not procfs.
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        numbers_in(&self.root, ".")
    }

    /// The ids of a process's threads, lowest first.
    pub fn threads(&self, pid: i32) -> io::Result<Vec<i32>> {
        numbers_in(&self.root, &format!("{pid}/task"))
    }

    /// Ourselves, in the numbers of this /proc: it may have been mounted for another PID namespace than ours.
    pub fn own_pid(&self) -> Option<i32> {
        number(self.link("self").ok()?.as_slice())
    }

    pub fn stat(&mut self, pid: i32) -> io::Result<Stat> {
        Stat::parse(self.read(Name::of(pid, "/stat").text())?).ok_or_else(malformed)
    }

    pub fn thread_stat(&mut self, pid: i32, thread: i32) -> io::Result<Stat> {
        Stat::parse(self.read(&format!("{pid}/task/{thread}/stat"))?).ok_or_else(malformed)
    }

    pub fn status(&mut self, pid: i32) -> io::Result<Status> {
        Status::parse(self.read(&format!("{pid}/status"))?).ok_or_else(malformed)
    }

    /// From the directory itself, whose owner the kernel keeps to the effective ids; its files are root's where the
    /// process is not dumpable.
    pub fn owner(&self, pid: i32) -> io::Result<Owner> {
        self.owner_of(Name::of(pid, "").text())
    }

    pub(super) fn owner_of(&self, path: &str) -> io::Result<Owner> {
        let stat = fstatat(&self.root, path, AtFlags::empty())?;
        Ok(Owner { user: stat.st_uid, group: stat.st_gid })
    }

    /// The command line as the kernel keeps it; empty for kernel threads and zombies.
    pub fn arguments(&mut self, pid: i32) -> io::Result<&[u8]> {
        self.read(Name::of(pid, "/cmdline").text())
    }

    /// One of its files that hold a word or a number: `oom_score`, `attr/current`.
    pub fn word(&mut self, pid: i32, file: &str) -> io::Result<&[u8]> {
        Ok(self.read(&format!("{pid}/{file}"))?.trim_ascii_end())
    }

    /// The value of a line `Key: value` in one of its files: `status`, `io`, `smaps_rollup`. Nothing where there is no
    /// such line.
    pub fn line(&mut self, pid: i32, file: &str, key: &str) -> io::Result<&[u8]> {
        let mut lines = self.read(&format!("{pid}/{file}"))?.split(|byte| *byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b":"));
        Ok(value.unwrap_or_default().trim_ascii())
    }

    /// How many descriptors it has open; denied where its memory would be.
    pub fn descriptor_count(&self, pid: i32) -> io::Result<u64> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut names = Names::new(openat(&self.root, format!("{pid}/fd").as_str(), flags, Mode::empty())?);
        let mut count = 0;
        while let Some(name) = names.next() {
            count += u64::from(!matches!(name?, b"." | b".."));
        }
        Ok(count)
    }

    /// The function of the kernel in which it sleeps; `None` where it runs, or where that may not be known.
    pub fn wait_channel(&mut self, pid: i32, thread: i32) -> io::Result<Option<&[u8]>> {
        let name = self.read(&format!("{pid}/task/{thread}/wchan"))?.trim_ascii();
        Ok((!matches!(name, b"0" | b"")).then_some(name))
    }

    /// The control groups: lines of `HIERARCHY:CONTROLLERS:PATH` (cgroups(7)).
    pub fn control_groups(&mut self, pid: i32) -> io::Result<&[u8]> {
        self.read(&format!("{pid}/cgroup"))
    }

    /// The number of a namespace, by the kernel's name of its kind: `net`, `mnt`. Denied where its memory would be.
    pub fn namespace(&self, pid: i32, kind: &str) -> io::Result<u64> {
        let link = self.link(&format!("{pid}/ns/{kind}"))?;
        let digits = link.rsplit(|byte| *byte == b'[').next().and_then(|rest| rest.strip_suffix(b"]"));
        digits.and_then(number).ok_or_else(malformed)
    }

    /// Its `root` or `cwd`.
    pub fn directory(&self, pid: i32, which: &str) -> io::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(openat(&self.root, format!("{pid}/{which}").as_str(), flags, Mode::empty())?)
    }

    /// The path of the program, in the process's own root; denied where its memory would be.
    pub fn program(&self, pid: i32) -> io::Result<Vec<u8>> {
        self.link(&format!("{pid}/exe"))
    }

    /// The number of the first mount that a process sees, which is another one in every mount namespace, and unlike
    /// the link ns/mnt may be read by everyone.
    pub fn first_mount(&mut self, pid: i32) -> Option<u64> {
        // The kernel makes up no more lines than it is asked for.
        Fields(self.read_start(&format!("{pid}/mountinfo"), 32).ok()?).number()
    }

    /// The start of a file: one read(2), for which the kernel gives all of a file that it makes up in one piece.
    pub(super) fn read(&mut self, path: &str) -> io::Result<&[u8]> {
        self.read_start(path, LIMIT)
    }

    fn read_start(&mut self, path: &str, limit: usize) -> io::Result<&[u8]> {
        let file = openat(&self.root, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let len = nix::unistd::read(&file, &mut self.buffer[..limit])?;
        Ok(&self.buffer[..len])
    }

    /// A file that the kernel makes up line by line, and so gives in many pieces: at most `limit` bytes of it.
    pub(super) fn text(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        let file = openat(&self.root, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut text = Vec::new();
        File::from(file).take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut text)?;
        Ok(text)
    }

    pub(super) fn link(&self, path: &str) -> io::Result<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;
        Ok(readlinkat(&self.root, path)?.into_vec())
    }

    pub(super) fn root(&self) -> &impl AsFd {
        &self.root
    }
}

/// Whether an error says that the process has ended.
pub fn gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ESRCH))
}

pub(super) fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not in the form that the kernel's manual gives")
}

fn numbers_in(root: &OwnedFd, path: &str) -> io::Result<Vec<i32>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut names = Names::new(openat(root, path, flags, Mode::empty())?);
    let mut numbers = Vec::new();
    while let Some(name) = names.next() {
        numbers.extend(number::<i32>(name?));
    }
    order::sort(&mut numbers);
    Ok(numbers)
}

/// The path of a process's file below /proc, made without the heap and the formatter: there are several of every process.
struct Name {
    bytes: [u8; 32],
    start: usize,
}

impl Name {
    fn of(pid: i32, file: &'static str) -> Name {
        let mut bytes = [0; 32];
        let mut start = bytes.len() - file.len();
        bytes[start..].copy_from_slice(file.as_bytes());
        // A process id is not negative; what is, is nobody's.
        let mut rest = pid.unsigned_abs();
        loop {
            start -= 1;
            bytes[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if pid < 0 {
            start -= 1;
            bytes[start] = b'-';
        }
        Name { bytes, start }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.start..]).unwrap_or_default()
    }
}

/// A decimal number and nothing else.
pub fn number<T: FromStr>(text: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(text).ok()?;
    (!text.starts_with('+')).then(|| text.parse().ok()).flatten()
}

/// Numbers between white space, one pass over the bytes: a line of stat has fifty.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// The next number's sign and digits.
    fn next(&mut self) -> Option<(bool, u64)> {
        let mut rest = self.0.trim_ascii_start();
        let negative = rest.first() == Some(&b'-');
        if negative {
            rest = &rest[1..];
        }
        let mut value = 0u64;
        let mut digits = 0;
        while let Some(digit @ b'0'..=b'9') = rest.get(digits) {
            value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            digits += 1;
        }
        rest = rest.get(digits..)?;
        let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
        self.0 = rest;
        (digits > 0 && ends).then_some((negative, value))
    }

    fn count(&mut self) -> Option<u64> {
        self.next().and_then(|(negative, value)| (!negative).then_some(value))
    }

    fn signed(&mut self) -> Option<i64> {
        let (negative, value) = self.next()?;
        if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
    }

    fn int(&mut self) -> Option<i32> {
        i32::try_from(self.signed()?).ok()
    }

    /// Passes over `count` numbers, which have to be there.
    fn pass(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.next().map(|_| ()))
    }
}

/// Fields between white space.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn number<T: FromStr>(&mut self) -> Option<T> {
        number(self.next()?)
    }

    /// Passes over `count` fields, which have to be there.
    pub fn pass(&mut self, count: usize) -> Option<()> {
        self.nth(count.checked_sub(1)?).map(|_| ())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = &self.0[start..];
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (field, rest) = rest.split_at(end);
        self.0 = rest;
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMCACHED: &[u8] =
        b"1 (memcached) S 0 1 1 0 -1 4194560 1532 0 0 0 250 131 0 0 20 0 10 0 8231 430030848 1289 \
        18446744073709551615 1 1 0 0 0 0 0 4096 81987 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    fn named(comm: &[u8]) -> Vec<u8> {
        [b"7 (", comm, b") R 1 7 7 34817 7 4194304 0 0 0 0 1 2 0 0 39 19 1 0 5 4096 -1 0"].concat()
    }

    #[test]
    fn a_line_of_stat() {
        let stat = Stat::parse(MEMCACHED).unwrap();
        let expected = Stat {
            pid: 1,
            comm: b"memcached".to_vec(),
            state: b'S',
            parent: 0,
            group: 1,
            session: 1,
            terminal: 0,
            foreground: -1,
            flags: 4_194_560,
            cpu_time: 381,
            priority: 20,
            nice: 0,
            threads: 10,
            start: 8231,
            virtual_bytes: 430_030_848,
            resident_pages: 1289,
            minor_faults: 1532,
            major_faults: 0,
            processor: 1,
            realtime_priority: 0,
            policy: 0,
        };
        assert_eq!(stat, expected);
        assert_eq!(stat.letters(), b"Ssl");
        assert!(!stat.is_kernel_thread());
    }

    #[test]
    fn a_name_may_hold_any_byte() {
        for comm in [&b"a b"[..], b")", b"(", b") R 1 2", b"x\n1 (y) S 0", b"\x1b[2J", b"\xff\xfe", b""] {
            let stat = Stat::parse(&named(comm)).unwrap();
            assert_eq!((stat.pid, stat.comm.as_slice(), stat.parent), (7, comm, 1));
            assert_eq!(stat.letters(), b"RNs+");
            assert_eq!(stat.resident_pages, 0);
        }
    }

    #[test]
    fn what_is_no_stat() {
        for line in [&b""[..], b"1", b"1 (a", b"1 (a)", b"1 (a) S", b")(", b"x (a) S 0 1 1", b"1 (a) S 99999999999 1 1"]
        {
            assert_eq!(Stat::parse(line), None);
        }
        for len in 0..120 {
            assert_eq!(Stat::parse(&MEMCACHED[..len.min(80)]), None);
        }
    }

    #[test]
    fn paths_of_processes() {
        for (pid, path) in [(1, "1/stat"), (i32::MAX, "2147483647/stat"), (0, "0/stat"), (i32::MIN, "-2147483648/stat")]
        {
            assert_eq!(Name::of(pid, "/stat").text(), path);
        }
    }

    #[test]
    fn numbers_in_a_row() {
        let mut numbers = Numbers(b" 7 -1  18446744073709551615 -9223372036854775808 99999999999999999999");
        assert_eq!((numbers.count(), numbers.int(), numbers.count()), (Some(7), Some(-1), Some(u64::MAX)));
        assert_eq!((numbers.signed(), numbers.next()), (Some(i64::MIN), None));
        for text in ["", " ", "x", "-", "7x", "--7", "+7"] {
            assert_eq!(Numbers(text.as_bytes()).next(), None, "{text}");
        }
    }

    #[test]
    fn terminals() {
        for (terminal, name) in [
            (0, None),
            (34816, Some("pts/0")),
            (34817 + (1 << 20), Some("pts/257")),
            (1025, Some("tty1")),
            (1088, Some("ttyS0")),
            (58624, Some("hvc0")),
        ] {
            let stat = Stat { terminal, ..Stat::default() };
            assert_eq!(stat.terminal_name().as_deref(), name);
            assert!(stat.is_on(name.unwrap_or("-").as_bytes()) && !stat.is_on(b"/dev/pts/9"));
        }
        assert!(Stat { terminal: 34816, ..Stat::default() }.is_on(b"/dev/pts/0"));
    }

    #[test]
    fn ids_and_capabilities_of_status() {
        let text =
            b"Name:\ta\\nUid:\t1\t1\t1\t1\nUmask:\t0022\nState:\tS (sleeping)\nUid:\t65532\t65532\t65532\t65532\n\
            Gid:\t10\t11\t12\t13\nThreads:\t10\nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n\
            CapEff:\t0000000000000400\nCapBnd:\t00000000a80425fb\n";
        let expected = Status {
            users: Ids { real: 65532, effective: 65532, saved: 65532, filesystem: 65532 },
            groups: Ids { real: 10, effective: 11, saved: 12, filesystem: 13 },
            permitted: 0xa804_25fb,
            effective: 0x400,
        };
        assert_eq!(Status::parse(text), Some(expected));
        assert_eq!(Status::parse(b"Name:\ta\nUid:\t1\t1\t1\n"), None);
    }

    #[test]
    fn arguments_end_with_a_nul() {
        let split = |line: &'static [u8]| split_arguments(line).collect::<Vec<_>>();
        assert_eq!(split(b"memcached\0-m\x00256\0"), [&b"memcached"[..], b"-m", b"256"]);
        assert_eq!(split(b"a\0\0b\0"), [&b"a"[..], b"", b"b"]);
        assert_eq!(split(b"nginx: master process"), [&b"nginx: master process"[..]]);
        assert_eq!(split(b"\0"), [b""]);
        assert!(split(b"").is_empty());
    }

    #[test]
    fn we_ourselves() {
        let mut reader = Reader::open().unwrap();
        let pid = reader.own_pid().unwrap();
        assert!(reader.pids().unwrap().contains(&pid));
        assert!(reader.threads(pid).unwrap().contains(&pid));
        assert_eq!(reader.stat(pid).unwrap().pid, pid);
        assert_eq!(reader.owner(pid).unwrap().user, nix::unistd::geteuid().as_raw());
        assert_eq!(reader.status(pid).unwrap().users.effective, nix::unistd::geteuid().as_raw());
        assert!(reader.first_mount(pid).is_some());
        assert!(reader.namespace(pid, "mnt").unwrap() > 0);
        assert!(gone(&reader.stat(i32::MAX).unwrap_err()));
        assert!(!arguments(pid).unwrap().is_empty());
    }
}
