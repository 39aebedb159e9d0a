//! What a process was started as: its executable, its environment, and what the executable needs to be started.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::process::Reader;

/// The most that is read of an environment.
const ENVIRONMENT: usize = 1 << 20;

/// The longest interpreter's name; Linux takes none that is longer (PATH_MAX).
const INTERPRETER: u64 = 4096;

/// More program headers than any linker writes.
const HEADERS: u16 = 128;

/// The most that is read of the table of what is loaded, in entries, and how many of the names in it count.
const ENTRIES: u64 = 4096;
const NEEDED: usize = 256;

/// The path of the executable as the process sees it; ` (deleted)` stands behind one that was replaced.
pub fn executable(reader: &Reader, pid: i32) -> io::Result<Vec<u8>> {
    reader.link(&format!("{pid}/exe"))
}

pub fn working_directory(reader: &Reader, pid: i32) -> io::Result<Vec<u8>> {
    reader.link(&format!("{pid}/cwd"))
}

/// As the process was started with; what it changed since then does not show here.
pub fn environment(reader: &Reader, pid: i32) -> io::Result<Vec<Vec<u8>>> {
    let text = reader.text(&format!("{pid}/environ"), ENVIRONMENT)?;
    Ok(text.split(|byte| *byte == 0).filter(|pair| !pair.is_empty()).map(<[u8]>::to_vec).collect())
}

/// An executable (elf(5)), as far as it tells what starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    pub bits: u8,
    pub machine: u16,
    /// The dynamic loader; nothing for a static program.
    pub interpreter: Option<Vec<u8>>,
    /// The libraries that it is loaded with (DT_NEEDED), which may need further ones.
    pub needed: Vec<Vec<u8>>,
    /// Where these are looked for before the environment's directories, by old linkers, and after them.
    pub rpath: Option<Vec<u8>>,
    pub runpath: Option<Vec<u8>>,
}

/// A part of the file that is mapped.
struct Segment {
    offset: u64,
    address: u64,
    length: u64,
}

impl Elf {
    /// Reads the running program itself, not what is at its path by now.
    pub fn of(reader: &Reader, pid: i32) -> io::Result<Option<Elf>> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = File::from(openat(reader.root(), format!("{pid}/exe").as_str(), flags, Mode::empty())?);
        Ok(Elf::in_file(&file))
    }

    pub fn in_file(file: &File) -> Option<Elf> {
        Elf::parse(|buffer, offset| file.read_exact_at(buffer, offset).ok())
    }

    /// `read` fills a buffer from an offset, or says that there is not so much. Only headers in this machine's byte
    /// order; nobody runs others.
    pub fn parse(read: impl Fn(&mut [u8], u64) -> Option<()>) -> Option<Elf> {
        const PT_LOAD: u32 = 1;
        const PT_DYNAMIC: u32 = 2;
        const PT_INTERP: u32 = 3;
        let mut header = [0; 64];
        read(&mut header[..52], 0)?;
        let order = if cfg!(target_endian = "little") { 1 } else { 2 };
        if &header[..4] != b"\x7fELF" || header[5] != order {
            return None;
        }
        let wide = match header[4] {
            1 => false,
            2 => true,
            _ => return None,
        };
        if wide {
            read(&mut header, 0)?;
        }
        let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
        let (table, size, count) = match wide {
            true => (word64(&header, 32)?, half(54), half(56)),
            false => (u64::from(word32(&header, 28)?), half(42), half(44)),
        };
        let mut elf = Elf {
            bits: if wide { 64 } else { 32 },
            machine: half(18),
            interpreter: None,
            needed: Vec::new(),
            rpath: None,
            runpath: None,
        };
        let (mut loaded, mut dynamic) = (Vec::new(), None);
        for index in 0..count.min(HEADERS) {
            let mut entry = [0; 56];
            let used = if wide { 56 } else { 32 };
            read(&mut entry[..used], table.checked_add(u64::from(index) * u64::from(size))?)?;
            let (offset, address, length) = match wide {
                true => (word64(&entry, 8)?, word64(&entry, 16)?, word64(&entry, 32)?),
                false => (u64::from(word32(&entry, 4)?), u64::from(word32(&entry, 8)?), u64::from(word32(&entry, 16)?)),
            };
            match word32(&entry, 0)? {
                PT_LOAD => loaded.push(Segment { offset, address, length }),
                PT_DYNAMIC => dynamic = Some((offset, length)),
                PT_INTERP => {
                    let mut name = vec![0; usize::try_from(length.min(INTERPRETER)).ok()?];
                    read(&mut name, offset)?;
                    name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                    elf.interpreter = Some(name);
                }
                _ => {}
            }
        }
        // A program that is stripped of it, or damaged there, still has its headers.
        if let Some((offset, length)) = dynamic {
            let _ = elf.names(wide, &loaded, offset, length, &read);
        }
        Some(elf)
    }

    /// The names in the table of PT_DYNAMIC, which stand in a table of strings that is known by its address.
    fn names(
        &mut self,
        wide: bool,
        loaded: &[Segment],
        offset: u64,
        length: u64,
        read: &impl Fn(&mut [u8], u64) -> Option<()>,
    ) -> Option<()> {
        const DT_NEEDED: u64 = 1;
        const DT_STRTAB: u64 = 5;
        const DT_RPATH: u64 = 15;
        const DT_RUNPATH: u64 = 29;
        let size: u64 = if wide { 16 } else { 8 };
        let mut entries = Vec::new();
        let mut strings = None;
        for index in 0..(length / size).min(ENTRIES) {
            let mut entry = [0; 16];
            read(&mut entry[..size as usize], offset.checked_add(index * size)?)?;
            let (tag, value) = match wide {
                true => (word64(&entry, 0)?, word64(&entry, 8)?),
                false => (u64::from(word32(&entry, 0)?), u64::from(word32(&entry, 4)?)),
            };
            match tag {
                0 => break,
                DT_STRTAB => strings = Some(value),
                DT_NEEDED | DT_RPATH | DT_RUNPATH if entries.len() < NEEDED => entries.push((tag, value)),
                _ => {}
            }
        }
        let address = strings?;
        let segment = loaded.iter().find(|it| address.checked_sub(it.address).is_some_and(|at| at < it.length))?;
        let start = segment.offset.checked_add(address - segment.address)?;
        for (tag, at) in entries {
            let name = string(start.checked_add(at)?, read)?;
            match tag {
                DT_NEEDED => self.needed.push(name),
                DT_RPATH => self.rpath = Some(name),
                _ => self.runpath = Some(name),
            }
        }
        Some(())
    }

    /// As uname(1) calls it.
    pub fn machine_name(&self) -> Option<&'static str> {
        Some(match (self.machine, self.bits) {
            (3, _) => "i686",
            (40, _) => "arm",
            (62, _) => "x86_64",
            (183, _) => "aarch64",
            (243, 64) => "riscv64",
            (21, _) => "ppc64",
            (22, _) => "s390x",
            (258, _) => "loongarch64",
            _ => return None,
        })
    }
}

/// A text that ends with a NUL, piece by piece, because the file may end behind it.
fn string(start: u64, read: &impl Fn(&mut [u8], u64) -> Option<()>) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut piece = [0; 64];
    let mut size = piece.len();
    while (text.len() as u64) < INTERPRETER {
        let at = start.checked_add(text.len() as u64)?;
        if read(&mut piece[..size], at).is_none() {
            size /= 2;
            if size == 0 {
                return None;
            }
            continue;
        }
        match memchr::memchr(0, &piece[..size]) {
            Some(end) => {
                text.extend_from_slice(&piece[..end]);
                return Some(text);
            }
            None => text.extend_from_slice(&piece[..size]),
        }
    }
    None
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(file: &[u8]) -> Option<Elf> {
        Elf::parse(|buffer, offset| {
            let start = usize::try_from(offset).ok()?;
            buffer.copy_from_slice(file.get(start..start.checked_add(buffer.len())?)?);
            Some(())
        })
    }

    /// 64 bits, little-endian, with one program header that names an interpreter.
    #[cfg(target_endian = "little")]
    fn dynamic() -> Vec<u8> {
        let mut file = vec![0; 120];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18] = 62;
        file[32] = 64;
        (file[54], file[56]) = (56, 1);
        (file[64], file[72], file[96]) = (3, 120, 9);
        file.extend(b"/lib/ld.x\0");
        file
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn headers() {
        let elf = parse(&dynamic()).unwrap();
        assert_eq!((elf.bits, elf.machine, &elf.interpreter), (64, 62, &Some(b"/lib/ld.x".to_vec())));
        assert!(elf.needed.is_empty());
        assert_eq!(elf.machine_name(), Some("x86_64"));
        let mut file = dynamic();
        file[64] = 1;
        assert_eq!(parse(&file).unwrap().interpreter, None);
        // A name that claims to be longer than the file, a table beyond its end.
        let mut file = dynamic();
        file[100] = 1;
        assert_eq!(parse(&file), None);
        let mut file = dynamic();
        file[32..40].fill(0xff);
        assert_eq!(parse(&file), None);
        for len in 0..120 {
            assert_eq!(parse(&dynamic()[..len]), None);
        }
        assert_eq!(parse(b"#!/bin/sh\n"), None);
    }

    /// The same with a mapped segment and a table that names two libraries and where they are.
    #[cfg(target_endian = "little")]
    fn linked() -> Vec<u8> {
        let mut file = vec![0; 64 + 2 * 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (file[18], file[32], file[54], file[56]) = (183, 64, 56, 2);
        // PT_LOAD: all of it, at 0x1000.
        (file[64], file[64 + 17]) = (1, 0x10);
        file[64 + 32..64 + 34].copy_from_slice(&[0, 2]);
        // PT_DYNAMIC: five entries at 176.
        (file[120], file[120 + 8], file[120 + 32]) = (2, 176, 80);
        for (tag, value) in [(1u64, 1u64), (5, 0x1000 + 256), (29, 11), (1, 6), (0, 0)] {
            file.extend(tag.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        file.extend(b"\0a.so\0b.so\0/x:/y\0");
        file
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn libraries() {
        let elf = parse(&linked()).unwrap();
        assert_eq!(elf.needed, [b"a.so".to_vec(), b"b.so".to_vec()]);
        assert_eq!((elf.runpath, elf.rpath), (Some(b"/x:/y".to_vec()), None));
        assert_eq!(elf.interpreter, None);
        // Strings that do not end, an address that is nowhere: the headers are left.
        let mut cut = linked();
        cut.truncate(cut.len() - 1);
        assert_eq!(parse(&cut).unwrap().runpath, None);
        let mut file = linked();
        file[176 + 16 + 8..176 + 32].fill(0xff);
        assert_eq!(parse(&file).unwrap().needed, [b""; 0]);
    }

    #[test]
    fn we_ourselves() {
        let reader = Reader::open().unwrap();
        let own = reader.own_pid().unwrap();
        let elf = Elf::of(&reader, own).unwrap().unwrap();
        assert_eq!(elf.machine_name(), Some(std::env::consts::ARCH));
        assert!(executable(&reader, own).unwrap().starts_with(b"/"));
        assert!(environment(&reader, own).unwrap().iter().any(|pair| pair.starts_with(b"PATH=")));
    }
}
