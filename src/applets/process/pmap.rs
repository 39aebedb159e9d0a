//! pmap: the memory of processes, mapping by mapping, with procps' options, columns and totals; without an operand the
//! target's.
//!
//! What deviates:
//!
//! - `-X` and `-XX` write their lines as they are read, so a column is as wide as its title. `-XX` has all numbers that
//!   the kernel's smaps has, `-X` leaves out page sizes and the split into shared and private.
//! - Options for files with settings (`-c`, `-C`, `-n`, `-N`) are missing.
//! - Names are escaped.
//!
//! Longer than most because it has five forms of output.
//!
//! Status: 0 all shown, 1 the memory of one may not be read, 2 a wrong use, 42 a process is not there, as in procps.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use crate::applet::{Applet, Context, Error, Exit, Place, Result, reason};
use crate::output::Safe;
use crate::output::json::Object;
use crate::target::maps::{Detail, Mapping, Mappings};
use crate::target::process::{gone, split_arguments};
use crate::target::{Reader, access};

pub static APPLET: Applet = Applet {
    names: &["pmap"],
    usage: || <Options as clap::CommandFactory>::command(),
    run,
    place: Place::Child,
    trouble: 1,
};

/// Show the memory of processes, mapping by mapping
#[derive(clap::Parser)]
struct Options {
    /// With what is resident and dirty
    #[arg(short = 'x', long)]
    extended: bool,
    /// With what the kernel tells of each mapping; twice: with all of it
    #[arg(short = 'X', action = clap::ArgAction::Count)]
    kernel: u8,
    /// With offset and device
    #[arg(short, long)]
    device: bool,
    /// Whole paths
    #[arg(short = 'p', long)]
    show_path: bool,
    /// Neither heading nor totals
    #[arg(short, long)]
    quiet: bool,
    /// Only what lies between two addresses
    #[arg(short = 'A', long, value_name = "LOW[,HIGH]")]
    range: Option<OsString>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Process ids; the target without them
    #[arg(value_name = "PID")]
    pids: Vec<OsString>,
}

fn run(cx: &mut Context<'_>) -> Result<Exit> {
    let options: Options = cx.parse()?;
    let range = options.range.as_ref().map(|text| range(text.as_bytes())).transpose()?.unwrap_or((0, u64::MAX));
    let pids = match options.pids.is_empty() {
        true => vec![cx.target()?.pid],
        false => options.pids.iter().map(pid).collect::<Result<_>>()?,
    };
    let unreadable = |error| Error::message(format_args!("the list of processes: {}", reason(&error)));
    let mut reader = Reader::open().map_err(unreadable)?;
    let mut missing = false;
    for pid in pids {
        let mut report =
            Report { options: &options, range, pid, sums: [0; 5], columns: Vec::new(), details: Vec::new() };
        match report.write(&mut cx.io.out, &mut reader)? {
            Ok(()) => {}
            Err(error) if gone(&error) => {
                missing = true;
                cx.warn(format_args!("{pid}: no such process"));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                cx.warn(format_args!("{pid}: {}", access::explain(pid, "maps")));
            }
            Err(error) => cx.warn(format_args!("{pid}: {}", reason(&error))),
        }
    }
    Ok(Exit(if missing { 42 } else { 0 }))
}

fn pid(word: &OsString) -> Result<i32> {
    // procps takes /proc/PID, too.
    let bytes = word.as_bytes();
    let name = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
    let pid = std::str::from_utf8(name).ok().and_then(|text| text.parse().ok()).filter(|pid| *pid > 0);
    pid.ok_or_else(|| Error::usage(format_args!("{}: not a process id", Safe(bytes))))
}

fn range(text: &[u8]) -> Result<(u64, u64)> {
    let address = |part: &str| {
        let digits = part.strip_prefix("0x").unwrap_or(part);
        u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
    };
    let both = std::str::from_utf8(text).ok().and_then(|text| match text.split_once(',') {
        Some((low, "")) => Some((address(low)?, u64::MAX)),
        Some((low, high)) => Some((address(low)?, address(high)?)),
        None => Some((address(text)?, address(text)?)),
    });
    both.ok_or_else(|| Error::usage(format_args!("{}: not a range of addresses", Safe(text))))
}

/// The account of one process.
struct Report<'a> {
    options: &'a Options,
    range: (u64, u64),
    pid: i32,
    /// All, resident, dirty; writable and private, shared.
    sums: [u64; 5],
    /// Of -X: the names of the numbers, their widths and sums.
    columns: Vec<(Vec<u8>, usize, u64)>,
    details: Vec<Detail>,
}

/// What the short form of -X leaves out.
const LEFT_OUT: [&[u8]; 8] = [
    b"KernelPageSize",
    b"MMUPageSize",
    b"Shared_Clean",
    b"Shared_Dirty",
    b"Private_Clean",
    b"Private_Dirty",
    b"AnonHugePages",
    b"ProtectionKey",
];

impl Report<'_> {
    /// The outer error is the output's, the inner one the process's.
    fn write(&mut self, out: &mut dyn Write, reader: &mut Reader) -> Result<io::Result<()>> {
        let detailed = self.options.extended || self.options.kernel > 0;
        let line = match reader.arguments(self.pid) {
            Ok(line) => split_arguments(line).collect::<Vec<_>>().join(&b' '),
            Err(error) => return Ok(Err(error)),
        };
        let mut mappings = match Mappings::of(reader, self.pid, detailed) {
            Ok(mappings) => mappings,
            Err(error) => return Ok(Err(error)),
        };
        // The permission is asked for with the first line, and what has no memory of its own has none.
        let mut next = match mappings.next(&mut self.details) {
            Ok(next) => next,
            Err(error) => return Ok(Err(error)),
        };
        if !self.options.json {
            let comm = reader.stat(self.pid).map(|stat| stat.comm).unwrap_or_default();
            let shown = if line.is_empty() { [b"[", &comm[..], b"]"].concat() } else { line };
            writeln!(out, "{}:   {}", self.pid, Safe(&shown))?;
            if !self.options.quiet {
                self.heading(out)?;
            }
        }
        while let Some(mapping) = next {
            if mapping.end > self.range.0 && mapping.start <= self.range.1 {
                self.mapping(out, &mapping)?;
            }
            next = match mappings.next(&mut self.details) {
                Ok(next) => next,
                Err(error) => return Ok(Err(error)),
            };
        }
        if !self.options.quiet && !self.options.json {
            self.totals(out)?;
        }
        Ok(Ok(()))
    }

    fn heading(&mut self, out: &mut dyn Write) -> io::Result<()> {
        match () {
            // Its columns are known with the first mapping.
            () if self.options.kernel > 0 => {}
            () if self.options.extended => writeln!(out, "Address           Kbytes     RSS   Dirty Mode  Mapping")?,
            () if self.options.device => {
                writeln!(out, "Address           Kbytes Mode  Offset           Device    Mapping")?
            }
            () => {}
        }
        Ok(())
    }

    fn mapping(&mut self, out: &mut dyn Write, mapping: &Mapping) -> io::Result<()> {
        let kibibytes = mapping.bytes() / 1024;
        let of = |key: &[u8]| {
            let found = self.details.iter().find_map(|detail| match detail {
                Detail::Number(name, number) if name == key => Some(*number),
                _ => None,
            });
            found.unwrap_or(0)
        };
        let resident = of(b"Rss");
        let dirty = of(b"Shared_Dirty").saturating_add(of(b"Private_Dirty"));
        let [_, write, _, share] = mapping.permissions;
        let private = if write == b'w' && share != b's' { kibibytes } else { 0 };
        let shared = if share == b's' { kibibytes } else { 0 };
        for (sum, value) in self.sums.iter_mut().zip([kibibytes, resident, dirty, private, shared]) {
            *sum = sum.saturating_add(value);
        }
        if self.options.json {
            return self.object(out, mapping);
        }
        let (start, mode, name) = (mapping.start, mode(mapping), self.name(mapping));
        let name = Safe(&name);
        match () {
            () if self.options.kernel > 0 => self.kernel(out, mapping),
            () if self.options.extended => {
                writeln!(out, "{start:016x} {kibibytes:>7} {resident:>7} {dirty:>7} {mode} {name}")
            }
            () if self.options.device => {
                let (major, minor) = mapping.device;
                let offset = mapping.offset;
                writeln!(out, "{start:016x} {kibibytes:>7} {mode} {offset:016x} {major:03x}:{minor:05x} {name}")
            }
            () => writeln!(out, "{start:016x} {:>7} {mode} {name}", format!("{kibibytes}K")),
        }
    }

    /// As procps calls it: the last part of a path, and for what has none whether it is the stack.
    fn name(&self, mapping: &Mapping) -> Vec<u8> {
        let path = &mapping.path;
        match () {
            () if path.starts_with(b"/") && !self.options.show_path => {
                path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec()
            }
            () if path.starts_with(b"/") => path.clone(),
            () if path.starts_with(b"[stack") => b"  [ stack ]".to_vec(),
            () => b"  [ anon ]".to_vec(),
        }
    }

    fn kernel(&mut self, out: &mut dyn Write, mapping: &Mapping) -> io::Result<()> {
        let all = self.options.kernel > 1;
        if self.columns.is_empty() {
            let mut heading = format!("{:>16} {} {:>8} {:>6} {:>8}", "Address", "Perm", "Offset", "Device", "Inode");
            for detail in &self.details {
                if let Detail::Number(name, _) = detail
                    && (all || !LEFT_OUT.contains(&name.as_slice()))
                {
                    let width = name.len().max(7);
                    self.columns.push((name.clone(), width, 0));
                    heading += &format!(" {:>width$}", Safe(name));
                }
            }
            if !self.options.quiet {
                writeln!(out, "{heading}{} Mapping", if all { " VmFlags" } else { "" })?;
            }
        }
        let (major, minor) = mapping.device;
        let permissions = Safe(&mapping.permissions);
        let mut line = format!(
            "{:>16x} {permissions} {:08x} {:>6} {:>8}",
            mapping.start,
            mapping.offset,
            format!("{major:02x}:{minor:02x}"),
            mapping.inode
        );
        let mut flags = &b""[..];
        for (name, width, sum) in &mut self.columns {
            let value = self.details.iter().find_map(|detail| match detail {
                Detail::Number(known, value) if known == name => Some(*value),
                _ => None,
            });
            *sum = sum.saturating_add(value.unwrap_or(0));
            line += &format!(" {:>width$}", value.unwrap_or(0), width = *width);
        }
        for detail in &self.details {
            if let Detail::Flags(letters) = detail {
                flags = letters;
            }
        }
        if all {
            line += &format!(" {}", Safe(flags));
        }
        // Here procps keeps the kernel's own words.
        let path = &mapping.path;
        let start =
            if self.options.show_path { 0 } else { path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1) };
        writeln!(out, "{line} {}", Safe(&path[start..]))
    }

    fn totals(&self, out: &mut dyn Write) -> io::Result<()> {
        let [all, resident, dirty, private, shared] = self.sums;
        match () {
            () if self.options.kernel > 0 => {
                let sums: Vec<String> = self.columns.iter().map(|(_, width, sum)| format!(" {sum:>width$}")).collect();
                writeln!(out, "{:>16} {:>4} {:>8} {:>6} {:>8}{} KB", "total", "", "", "", "", sums.concat())
            }
            () if self.options.extended => {
                writeln!(out, "---------------- ------- ------- ------- ")?;
                writeln!(out, "total kB {all:>15} {resident:>7} {dirty:>7}")
            }
            () if self.options.device => {
                writeln!(out, "mapped: {all}K    writeable/private: {private}K    shared: {shared}K")
            }
            () => writeln!(out, " total {:>17}", format!("{all}K")),
        }
    }

    fn object(&self, out: &mut dyn Write, mapping: &Mapping) -> io::Result<()> {
        let mut object = Object::new();
        object.number("pid", u64::try_from(self.pid).ok()).number("start", Some(mapping.start));
        object.number("end", Some(mapping.end)).number("bytes", Some(mapping.bytes()));
        object.bytes("permissions", &mapping.permissions).number("offset", Some(mapping.offset));
        object.number("device_major", Some(mapping.device.0.into()));
        object.number("device_minor", Some(mapping.device.1.into()));
        object.number("inode", Some(mapping.inode)).bytes("path", &mapping.path);
        for detail in &self.details {
            match detail {
                Detail::Number(name, value) => {
                    object.number(&String::from_utf8_lossy(name).to_ascii_lowercase(), Some(*value));
                }
                Detail::Flags(letters) => {
                    object.bytes("flags", letters);
                }
            }
        }
        writeln!(out, "{}", object.finish())
    }
}

/// `r-x--`: read, write, execute, shared, and a place that is always empty.
fn mode(mapping: &Mapping) -> String {
    let [read, write, execute, share] = mapping.permissions;
    let share = if share == b's' { b's' } else { b'-' };
    Safe(&[read, write, execute, share, b'-']).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::applet::capture;

    fn written(options: &[&str], mappings: &[(&str, &[&str])]) -> String {
        let options = <Options as clap::Parser>::try_parse_from([&["pmap"], options].concat()).unwrap();
        let (range, columns, details) = ((0, u64::MAX), Vec::new(), Vec::new());
        let mut report = Report { options: &options, range, pid: 7, sums: [0; 5], columns, details };
        let mut out = Vec::new();
        for (line, details) in mappings {
            report.details = details.iter().map(|line| Detail::parse(line.as_bytes()).unwrap()).collect();
            report.mapping(&mut out, &Mapping::parse(line.as_bytes()).unwrap()).unwrap();
        }
        report.totals(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const BASH: &str = "559bf63d5000-559bf6404000 r-xp 0002f000 fe:00 247003     /usr/bin/bash";
    const STACK: &str = "7ffd3b3ed000-7ffd3b40e000 rw-p 00000000 00:00 0     [stack]";
    const SHARED: &str = "7f0000000000-7f0000001000 rw-s 00000000 00:01 5     /dev/shm/\u{1b}x (deleted)";

    #[test]
    fn lines_as_procps_has_them() {
        assert_eq!(
            written(&[], &[(BASH, &[]), (STACK, &[]), (SHARED, &[])]),
            "0000559bf63d5000    188K r-x-- bash\n00007ffd3b3ed000    132K rw---   [ stack ]\n\
             00007f0000000000      4K rw-s- \\x1bx (deleted)\n total              324K\n"
        );
        let details: &[&str] = &["Rss: 100 kB", "Shared_Dirty: 1 kB", "Private_Dirty: 7 kB"];
        assert_eq!(
            written(&["-xp"], &[(BASH, details)]),
            "0000559bf63d5000     188     100       8 r-x-- /usr/bin/bash\n\
             ---------------- ------- ------- ------- \ntotal kB             188     100       8\n"
        );
        assert_eq!(
            written(&["-d"], &[(BASH, &[]), (STACK, &[]), (SHARED, &[])]),
            "0000559bf63d5000     188 r-x-- 000000000002f000 0fe:00000 bash\n\
             00007ffd3b3ed000     132 rw--- 0000000000000000 000:00000   [ stack ]\n\
             00007f0000000000       4 rw-s- 0000000000000000 000:00001 \\x1bx (deleted)\n\
             mapped: 324K    writeable/private: 132K    shared: 4K\n"
        );
    }

    #[test]
    fn columns_of_the_kernel() {
        let details: &[&str] = &["Size: 188 kB", "KernelPageSize: 4 kB", "Rss: 100 kB", "VmFlags: rd ex"];
        assert_eq!(
            written(&["-X"], &[(BASH, details)]),
            "         Address Perm   Offset Device    Inode    Size     Rss Mapping\n    \
             559bf63d5000 r-xp 0002f000  fe:00   247003     188     100 bash\n           \
             total                                   188     100 KB\n"
        );
        let all = written(&["-XX"], &[(BASH, details)]);
        assert!(all.contains(" KernelPageSize ") && all.contains(" rd ex bash\n"), "{all}");
    }

    #[test]
    fn keys_of_json() {
        let lines = written(&["--json"], &[(BASH, &["Rss: 100 kB", "VmFlags: rd ex"])]);
        let expected = "{\"pid\":7,\"start\":94128339505152,\"end\":94128339697664,\"bytes\":192512,\"permissions\":\"r-xp\",\
            \"offset\":192512,\"device_major\":254,\"device_minor\":0,\"inode\":247003,\"path\":\"/usr/bin/bash\",\"rss\":100,\
            \"flags\":\"rd ex\"}";
        assert_eq!(lines.lines().next(), Some(expected));
    }

    #[test]
    fn ranges_and_wrong_uses() {
        assert_eq!(range(b"1f,2f").unwrap(), (0x1f, 0x2f));
        assert_eq!(range(b"0x1f,").unwrap(), (0x1f, u64::MAX));
        assert_eq!(range(b"1f").unwrap(), (0x1f, 0x1f));
        for text in ["", "x", "1,x", ",1", "+1"] {
            assert!(range(text.as_bytes()).is_err(), "{text}");
        }
        let done = capture(&APPLET, &["2147483647"], b"");
        assert_eq!((done.status, done.err.as_str()), (42, "pmap: 2147483647: no such process\n"));
        assert_eq!(capture(&APPLET, &["x"], b"").status, 2);
    }

    #[test]
    fn we_ourselves() {
        let done = capture(&APPLET, &["-x", &std::process::id().to_string()], b"");
        assert!(done.status == 0 && done.out.lines().last().unwrap().starts_with("total kB"), "{}", done.out);
    }
}
