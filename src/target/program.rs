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
}

impl Elf {
    /// Reads the running program itself, not what is at its path by now.
    pub fn of(reader: &Reader, pid: i32) -> io::Result<Option<Elf>> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file = File::from(openat(reader.root(), format!("{pid}/exe").as_str(), flags, Mode::empty())?);
        Ok(Elf::parse(|buffer, offset| file.read_exact_at(buffer, offset).ok()))
    }

    /// `read` fills a buffer from an offset, or says that there is not so much. Only headers in this machine's byte
    /// order; nobody runs others.
    pub fn parse(read: impl Fn(&mut [u8], u64) -> Option<()>) -> Option<Elf> {
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
        let mut interpreter = None;
        for index in 0..count.min(HEADERS) {
            let mut entry = [0; 56];
            let used = if wide { 56 } else { 32 };
            read(&mut entry[..used], table.checked_add(u64::from(index) * u64::from(size))?)?;
            if word32(&entry, 0)? == PT_INTERP {
                let (offset, length) = match wide {
                    true => (word64(&entry, 8)?, word64(&entry, 32)?),
                    false => (u64::from(word32(&entry, 4)?), u64::from(word32(&entry, 16)?)),
                };
                let mut name = vec![0; usize::try_from(length.min(INTERPRETER)).ok()?];
                read(&mut name, offset)?;
                name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
                interpreter = Some(name);
            }
        }
        Some(Elf { bits: if wide { 64 } else { 32 }, machine: half(18), interpreter })
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
        assert_eq!(elf, Elf { bits: 64, machine: 62, interpreter: Some(b"/lib/ld.x".to_vec()) });
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
