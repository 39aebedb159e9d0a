//! What this process may do, as the kernel keeps it for capget(2), capset(2) and prctl(2). Sets are masks with a bit for
//! each capability (capabilities(7)).

use libc::{c_int, c_ulong};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{geteuid, getuid};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two words for each set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets of this process.
pub fn sets() -> nix::Result<Sets> {
    let mut header = Header { version: VERSION, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: version 3 writes two halves, and the array has two.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &mut header, halves.as_mut_ptr()) })?;
    let [low, high] = halves;
    let join = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

pub fn set(sets: Sets) -> nix::Result<()> {
    let mut header = Header { version: VERSION, pid: 0 };
    let half = |shift: u32| Half {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let halves = [half(0), half(32)];
    // SAFETY: version 3 reads two halves, and the array has two.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &mut header, halves.as_ptr()) }).map(drop)
}

fn control(option: c_int, first: c_ulong, second: c_ulong) -> nix::Result<c_int> {
    let none: c_ulong = 0;
    // SAFETY: the options below take numbers only.
    Errno::result(unsafe { libc::prctl(option, first, second, none, none) })
}

/// All that the kernel knows: those whose place in the bounding set it tells.
pub fn known() -> u64 {
    mask(|number| control(libc::PR_CAPBSET_READ, number, 0).map(|_| 1))
}

pub fn bounding() -> u64 {
    mask(|number| control(libc::PR_CAPBSET_READ, number, 0))
}

/// Takes a capability out of the bounding set, for good.
pub fn drop_bounding(number: u32) -> nix::Result<()> {
    control(libc::PR_CAPBSET_DROP, number.into(), 0).map(drop)
}

/// The ambient set; nothing on a kernel that has none.
pub fn ambient() -> u64 {
    mask(|number| control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as c_ulong, number))
}

pub fn set_ambient(number: u32, raised: bool) -> nix::Result<()> {
    let change = if raised { libc::PR_CAP_AMBIENT_RAISE } else { libc::PR_CAP_AMBIENT_LOWER };
    control(libc::PR_CAP_AMBIENT, change as c_ulong, number.into()).map(drop)
}

fn mask(has: impl Fn(c_ulong) -> nix::Result<c_int>) -> u64 {
    (0..64).filter(|number| has(*number) == Ok(1)).fold(0, |mask, number| mask | 1 << number)
}

/// The flags that say what being root means (capabilities(7), "The securebits flags").
pub fn secure_bits() -> nix::Result<u32> {
    control(libc::PR_GET_SECUREBITS, 0, 0).map(c_int::cast_unsigned)
}

pub fn set_secure_bits(bits: u32) -> nix::Result<()> {
    control(libc::PR_SET_SECUREBITS, bits.into(), 0).map(drop)
}

/// Root has no capabilities by being root.
const NOROOT: u32 = 1;

/// Does to this process what execve(2) of a file without capabilities would, so that a command of ours that runs without
/// it has no more rights than a program would have.
pub fn as_after_exec() -> nix::Result<()> {
    let now = sets()?;
    let (real, effective) = (getuid().is_root(), geteuid().is_root());
    let root = (real || effective) && secure_bits()? & NOROOT == 0;
    let after = exec(now, root, effective, bounding(), ambient());
    if after != now {
        set(after)?;
    }
    // It also forgets that a change of user had made the process a secret to its own user. An emulator that knows neither
    // has nothing to forget.
    let _ = prctl::set_keepcaps(false).and_then(|()| prctl::set_dumpable(true));
    Ok(())
}

/// `root`: it counts that the real or effective user is root. What is not permitted before cannot be taken here.
fn exec(now: Sets, root: bool, effective: bool, bounding: u64, ambient: u64) -> Sets {
    let permitted = if root { now.inheritable | bounding | ambient } else { ambient };
    let permitted = permitted & now.permitted;
    let effective = if root && effective { permitted } else { ambient & permitted };
    Sets { effective, permitted, inheritable: now.inheritable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_status_tells() {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let sets = sets().unwrap();
        assert_eq!(
            [sets.inheritable, sets.permitted, sets.effective, bounding(), ambient()],
            ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(line)
        );
        assert!(known() & 1 != 0 && known() | bounding() == known());
    }

    #[test]
    fn what_execve_leaves() {
        let all = Sets { effective: 0b111, permitted: 0b111, inheritable: 0b010 };
        let after = |root, effective, bounding, ambient| {
            let Sets { effective, permitted, .. } = exec(all, root, effective, bounding, ambient);
            (effective, permitted)
        };
        // Root, root by its real user only, and somebody else, who keeps what is ambient.
        assert_eq!(after(true, true, 0b101, 0), (0b111, 0b111));
        assert_eq!(after(true, true, 0b100, 0), (0b110, 0b110));
        assert_eq!(after(true, false, 0b101, 0), (0, 0b111));
        assert_eq!(after(false, false, 0b111, 0), (0, 0));
        assert_eq!(after(false, false, 0b111, 0b010), (0b010, 0b010));
        // What is not permitted cannot be taken.
        let none = Sets::default();
        assert_eq!(exec(none, true, true, 0b111, 0), none);
    }
}
