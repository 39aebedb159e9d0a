//! The memory of a process, mapping by mapping: /proc/PID/maps and smaps (proc_pid_maps(5), proc_pid_smaps(5)), which need
//! the permission of [`super::access`].

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::process::{Fields, Reader, number};

/// The longest line: a path, escaped, and what stands before it. The rest of a longer one is no line of its own that
/// would be understood.
const LINE: u64 = 4 * 4096 + 128;

/// One mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    /// `rwxp`: what is not allowed is `-`, and what is shared has an `s` at the end.
    pub permissions: [u8; 4],
    pub offset: u64,
    pub device: (u32, u32),
    /// 0 where no file is behind it.
    pub inode: u64,
    /// A path, with ` (deleted)` behind it where the file has none any more; the kernel's own word in brackets: `[heap]`.
    pub path: Vec<u8>,
}

impl Mapping {
    /// `55d0-55e0 r-xp 0000 fe:00 247   /usr/bin/x`; nothing for other lines.
    pub fn parse(line: &[u8]) -> Option<Mapping> {
        let mut fields = Fields(line);
        let (start, end) = pair(fields.next()?, b'-')?;
        let permissions = fields.next()?.try_into().ok()?;
        let offset = hexadecimal(fields.next()?)?;
        let (major, minor) = pair(fields.next()?, b':')?;
        let device = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
        let inode = number(fields.next()?)?;
        let path = fields.0.trim_ascii_start().to_vec();
        (start <= end).then_some(Mapping { start, end, permissions, offset, device, inode, path })
    }

    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

fn pair(text: &[u8], between: u8) -> Option<(u64, u64)> {
    let at = memchr::memchr(between, text)?;
    Some((hexadecimal(&text[..at])?, hexadecimal(&text[at + 1..])?))
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_hexdigit);
    digits.then(|| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()).flatten()
}

/// What smaps tells of a mapping, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// `Rss:  188 kB`; pages and counts have no unit.
    Number(Vec<u8>, u64),
    /// The two letters of each flag.
    Flags(Vec<u8>),
}

impl Detail {
    pub fn parse(line: &[u8]) -> Option<Detail> {
        let colon = memchr::memchr(b':', line)?;
        let (key, rest) = (&line[..colon], &line[colon + 1..]);
        let named = !key.is_empty() && key.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        match key {
            _ if !named => None,
            b"VmFlags" => Some(Detail::Flags(rest.trim_ascii().to_vec())),
            key => Some(Detail::Number(key.to_vec(), Fields(rest).number()?)),
        }
    }
}

/// The most lines that are kept of one mapping; the kernel writes some thirty.
const DETAILS: usize = 64;

/// The mappings of a process, as they are read.
pub struct Mappings {
    text: BufReader<File>,
    line: Vec<u8>,
    /// One that was read while the details before it came to their end.
    next: Option<Mapping>,
}

impl Mappings {
    /// With `details` from smaps, for which the kernel looks at every page.
    pub fn of(reader: &Reader, pid: i32, details: bool) -> io::Result<Mappings> {
        let name = if details { "smaps" } else { "maps" };
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let file = openat(reader.root(), format!("{pid}/{name}").as_str(), flags, Mode::empty())?;
        Ok(Mappings { text: BufReader::with_capacity(32 * 1024, File::from(file)), line: Vec::new(), next: None })
    }

    /// The next mapping with what smaps tells of it.
    pub fn next(&mut self, details: &mut Vec<Detail>) -> io::Result<Option<Mapping>> {
        details.clear();
        let mut found = self.next.take();
        loop {
            self.line.clear();
            if self.text.by_ref().take(LINE).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(found);
            }
            let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
            if let Some(mapping) = Mapping::parse(line) {
                match found {
                    None => found = Some(mapping),
                    Some(_) => {
                        self.next = Some(mapping);
                        return Ok(found);
                    }
                }
            } else if found.is_some()
                && details.len() < DETAILS
                && let Some(detail) = Detail::parse(line)
            {
                details.push(detail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_maps() {
        let line = b"7f00-7f10 r-xp 00002000 fe:01 247003                     /usr/bin/a b (deleted)";
        let expected = Mapping {
            start: 0x7f00,
            end: 0x7f10,
            permissions: *b"r-xp",
            offset: 0x2000,
            device: (0xfe, 1),
            inode: 247_003,
            path: b"/usr/bin/a b (deleted)".to_vec(),
        };
        assert_eq!(Mapping::parse(line), Some(expected));
        let heap = Mapping::parse(b"0-ffffffffffffffff rw-s 0 00:00 0 [heap]").unwrap();
        assert_eq!((heap.bytes(), heap.path.as_slice()), (u64::MAX, &b"[heap]"[..]));
        for line in
            ["", "Rss: 4 kB", "2-1 r--p 0 0:0 0", "0-1 r--", "0-1 r--p 0 0:0", "x-1 r--p 0 0:0 0", "0-1 rwxps 0 0:0 0"]
        {
            assert_eq!(Mapping::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn lines_of_smaps() {
        assert_eq!(Detail::parse(b"Rss:       188 kB"), Some(Detail::Number(b"Rss".to_vec(), 188)));
        assert_eq!(Detail::parse(b"THPeligible:    0"), Some(Detail::Number(b"THPeligible".to_vec(), 0)));
        assert_eq!(Detail::parse(b"VmFlags: rd mr mw me "), Some(Detail::Flags(b"rd mr mw me".to_vec())));
        for line in ["", "Rss", ": 1", "a b: 1", "Rss: x", "Rss: 99999999999999999999 kB"] {
            assert_eq!(Detail::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn our_own_memory() {
        let reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        for with_details in [false, true] {
            let mut mappings = Mappings::of(&reader, own, with_details).unwrap();
            let (mut count, mut details) = (0, Vec::new());
            while let Some(mapping) = mappings.next(&mut details).unwrap() {
                count += usize::from(mapping.bytes() > 0);
                let resident = |detail: &Detail| matches!(detail, Detail::Number(key, _) if key == b"Rss");
                assert_eq!(details.iter().any(resident), with_details);
            }
            assert!(count > 3);
        }
    }
}
