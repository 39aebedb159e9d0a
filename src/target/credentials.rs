//! What a process may do: the rest of /proc/PID/status that [`super::process::Status`] leaves out, for those who look
//! at one process and not at ten thousand.

use std::io;

use super::capabilities::Capabilities;
use super::process::{Fields, Reader, number};

/// Where a line is missing, because the kernel is older or built without it, the value is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    pub inheritable: Option<Capabilities>,
    pub permitted: Option<Capabilities>,
    pub effective: Option<Capabilities>,
    pub bounding: Option<Capabilities>,
    pub ambient: Option<Capabilities>,
    pub no_new_privileges: Option<bool>,
    pub seccomp: Option<Seccomp>,
    /// The number of filters that every system call passes.
    pub filters: Option<u64>,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    Off,
    /// read, write, exit, and nothing else.
    Strict,
    Filter,
}

impl Seccomp {
    pub fn name(self) -> &'static str {
        match self {
            Seccomp::Off => "off",
            Seccomp::Strict => "strict",
            Seccomp::Filter => "filter",
        }
    }
}

impl Credentials {
    pub fn parse(status: &[u8]) -> Credentials {
        let value = |key: &str| {
            let mut lines = status.split(|byte| *byte == b'\n');
            lines.find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b":"))
        };
        let mask = |key| {
            let text = std::str::from_utf8(value(key)?.trim_ascii()).ok()?;
            u64::from_str_radix(text, 16).ok().map(Capabilities)
        };
        let count = |key| number::<u64>(value(key)?.trim_ascii());
        Credentials {
            inheritable: mask("CapInh"),
            permitted: mask("CapPrm"),
            effective: mask("CapEff"),
            bounding: mask("CapBnd"),
            ambient: mask("CapAmb"),
            no_new_privileges: count("NoNewPrivs").map(|set| set != 0),
            seccomp: count("Seccomp").and_then(|mode| match mode {
                0 => Some(Seccomp::Off),
                1 => Some(Seccomp::Strict),
                2 => Some(Seccomp::Filter),
                _ => None,
            }),
            filters: count("Seccomp_filters"),
            groups: value("Groups").map(|text| Fields(text).map_while(number).collect()).unwrap_or_default(),
        }
    }

    pub fn of(reader: &mut Reader, pid: i32) -> io::Result<Credentials> {
        Ok(Credentials::parse(reader.read(&format!("{pid}/status"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_status() {
        let status = b"Name:\tx\nGroups:\t4 11211 \nNStgid:\t1\nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n\
            CapEff:\t0000000000000400\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n\
            Seccomp:\t2\nSeccomp_filters:\t3\n";
        let credentials = Credentials::parse(status);
        assert_eq!(credentials.groups, [4, 11211]);
        assert_eq!(credentials.effective, Some(Capabilities(0x400)));
        assert!(credentials.bounding.is_some_and(Capabilities::is_full));
        assert_eq!((credentials.no_new_privileges, credentials.filters), (Some(true), Some(3)));
        assert_eq!(credentials.seccomp.map(Seccomp::name), Some("filter"));
    }

    #[test]
    fn what_is_missing_is_unknown() {
        let text = b"Seccomp:\t9\nCapInh:\tzz\nCapPrm:\nNoNewPrivs:\t-1\nGroups:\tx 1\n";
        assert_eq!(Credentials::parse(text), Credentials::default());
        assert_eq!(Credentials::parse(b""), Credentials::default());
    }
}
