//! Capabilities by name (capabilities(7)).

use std::fmt;

pub const SETGID: u64 = 1 << 6;
pub const SETUID: u64 = 1 << 7;
/// May change the bounding set and the securebits flags.
pub const SETPCAP: u64 = 1 << 8;
pub const SYS_CHROOT: u64 = 1 << 18;
pub const SYS_ADMIN: u64 = 1 << 21;

/// May look into any process of its user namespace, whatever user, dumpable or not.
pub const SYS_PTRACE: u64 = 1 << 19;

/// What engines give to root in a container.
pub const USUAL: u64 = 0xa804_25fb;

/// A set, as the masks in /proc/PID/status have it. Shown are the first few.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
];

impl Capabilities {
    /// All names, by number; a number that is younger than this list stands for itself.
    pub fn names(self) -> impl Iterator<Item = String> {
        (0..64).filter(move |bit| self.0 >> bit & 1 != 0).map(|bit| match NAMES.get(bit) {
            Some(name) => format!("CAP_{name}"),
            None => bit.to_string(),
        })
    }

    /// The number of a capability: `CAP_CHOWN`, `chown`, `cap_0`.
    pub fn number(name: &str) -> Option<u32> {
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let known = NAMES.iter().position(|known| *known == name).and_then(|number| u32::try_from(number).ok());
        known.or_else(|| upper.strip_prefix("CAP_")?.parse().ok().filter(|number| *number < 64))
    }

    /// Whether the set has every capability that there is a name for, as on a host.
    pub fn is_full(self) -> bool {
        self.0.count_ones() as usize >= NAMES.len()
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let names: Vec<String> = self.names().take(SHOWN).collect();
        f.write_str(&names.join(", "))?;
        match (self.0.count_ones() as usize).saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let names = |mask| Capabilities(mask).names().collect::<Vec<_>>().join(" ");
        assert_eq!(names(SYS_PTRACE | 1 << 40 | 1 << 63), "CAP_SYS_PTRACE CAP_CHECKPOINT_RESTORE 63");
        assert_eq!(names(0), "");
        assert_eq!(Capabilities(USUAL).to_string(), "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER and 11 more");
        for (name, number) in [("CAP_CHOWN", 0), ("sys_admin", 21), ("cap_bpf", 39), ("cap_63", 63)] {
            assert_eq!(Capabilities::number(name), Some(number), "{name}");
        }
        for name in ["", "cap_", "CHOWNS", "21", "cap_64", "cap_-1"] {
            assert_eq!(Capabilities::number(name), None, "{name}");
        }
        assert!(Capabilities(u64::MAX).is_full() && !Capabilities(USUAL).is_full());
    }
}
