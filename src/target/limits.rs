//! The limits of a process: /proc/PID/limits, which everyone may read.

use std::io;

use super::process::{Fields, Reader, number};

/// One line; `None` is `unlimited`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

/// Those that services run into; `None` where the line is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub files: Option<Limit>,
    /// Threads of the same user, those of other containers included.
    pub processes: Option<Limit>,
    pub stack: Option<Limit>,
    pub core: Option<Limit>,
    pub address_space: Option<Limit>,
    pub locked_memory: Option<Limit>,
}

impl Limits {
    pub fn parse(table: &[u8]) -> Limits {
        let value = |field: &[u8]| match field {
            b"unlimited" => Some(None),
            digits => number(digits).map(Some),
        };
        let find = |name: &str| {
            let mut lines = table.split(|byte| *byte == b'\n');
            let mut fields = Fields(lines.find_map(|line| line.strip_prefix(name.as_bytes()))?);
            Some(Limit { soft: value(fields.next()?)?, hard: value(fields.next()?)? })
        };
        Limits {
            files: find("Max open files "),
            processes: find("Max processes "),
            stack: find("Max stack size "),
            core: find("Max core file size "),
            address_space: find("Max address space "),
            locked_memory: find("Max locked memory "),
        }
    }

    pub fn of(reader: &mut Reader, pid: i32) -> io::Result<Limits> {
        Ok(Limits::parse(reader.read(&format!("{pid}/limits"))?))
    }
}

/// What a process uses of some of its limits, in bytes: lines of /proc/PID/status. The stack is the first thread's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    pub stack: Option<u64>,
    pub address_space: Option<u64>,
    pub locked_memory: Option<u64>,
}

impl Uses {
    pub fn parse(status: &[u8]) -> Uses {
        let bytes = |key: &[u8]| {
            let mut lines = status.split(|byte| *byte == b'\n');
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b":"))?;
            Fields(value).number::<u64>()?.checked_mul(1024)
        };
        Uses { stack: bytes(b"VmStk"), address_space: bytes(b"VmSize"), locked_memory: bytes(b"VmLck") }
    }

    pub fn of(reader: &mut Reader, pid: i32) -> io::Result<Uses> {
        Ok(Uses::parse(reader.read(&format!("{pid}/status"))?))
    }
}

/// Where the kernel puts what is left of a crashed process: a file name, or a program behind `|`. It is the machine's.
pub fn core_pattern(reader: &mut Reader) -> Option<Vec<u8>> {
    Some(reader.read("sys/kernel/core_pattern").ok()?.trim_ascii_end().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let limits = Limits::parse(
            b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max stack size            8388608              unlimited            bytes     \n\
            Max core file size        0                    unlimited            bytes     \n\
            Max open files            1024                 524288               files     \nMax processes  x 1\n",
        );
        assert_eq!(limits.files, Some(Limit { soft: Some(1024), hard: Some(524_288) }));
        assert_eq!(limits.stack, Some(Limit { soft: Some(8 << 20), hard: None }));
        assert_eq!((limits.core.unwrap().soft, limits.processes, limits.locked_memory), (Some(0), None, None));
    }

    #[test]
    fn what_is_used() {
        let uses = Uses::parse(b"Name:\tVmStk: 9 kB\nVmSize:\t    2048 kB\nVmLck:\t       0 kB\nVmStk:\t     132 kB\n");
        let expected = Uses { stack: Some(135_168), address_space: Some(2 << 20), locked_memory: Some(0) };
        assert_eq!(uses, expected);
        assert_eq!(Uses::parse(b"VmSize: 99999999999999999999 kB\nVmStk: 18446744073709551615 kB\n"), Uses::default());
    }
}
