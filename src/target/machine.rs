//! What the kernel tells of the whole machine, the same in every container: clocks, load, memory.

use std::io;

use nix::time::{ClockId, clock_gettime};

use super::process::{Fields, Reader, malformed};

/// What turns the kernel's counts into time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds since the epoch.
    pub now: i64,
    pub since_boot: f64,
    /// A second's.
    pub ticks: u64,
}

impl Clock {
    pub fn now() -> Clock {
        let read = |clock| clock_gettime(clock).map_or((0, 0), |time| (time.tv_sec(), time.tv_nsec()));
        let (seconds, nanoseconds) = read(ClockId::CLOCK_BOOTTIME);
        Clock {
            now: read(ClockId::CLOCK_REALTIME).0,
            since_boot: seconds as f64 + nanoseconds as f64 / 1e9,
            ticks: procfs::ticks_per_second().max(1),
        }
    }

    /// How many seconds ago a process started, from its ticks since boot.
    pub fn age(&self, start: u64) -> f64 {
        (self.since_boot - start as f64 / self.ticks as f64).max(0.0)
    }
}

/// How far a time namespace has moved the clock that counts from the start of the machine, in seconds, which
/// moves what is told of ages and not the time of day (time_namespaces(7)); `None` where the kernel has none.
pub fn boot_offset(reader: &mut Reader, pid: i32) -> Option<i64> {
    boot_offset_in(reader.read(&format!("{pid}/timens_offsets")).ok()?)
}

fn boot_offset_in(text: &[u8]) -> Option<i64> {
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = Fields(line);
        // Older kernels have the number of the clock.
        matches!(fields.next()?, b"boottime" | b"7").then(|| fields.number()).flatten()
    })
}

/// The load of the last minute, five and fifteen minutes (proc_loadavg(5)).
pub fn load() -> io::Result<[f64; 3]> {
    let mut reader = Reader::open()?;
    let mut fields = Fields(reader.read("loadavg")?);
    let mut next = || fields.number().ok_or_else(malformed);
    Ok([next()?, next()?, next()?])
}

/// Bytes of /proc/meminfo (proc_meminfo(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
    /// What new processes could have without swapping.
    pub available: u64,
    pub shared: u64,
    pub buffers: u64,
    /// The page cache and what of the kernel's own can be given back.
    pub cache: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

impl Memory {
    pub fn read() -> io::Result<Memory> {
        Memory::parse(Reader::open()?.read("meminfo")?).ok_or_else(malformed)
    }

    /// `None` without a total. A line that is not there counts as nothing.
    pub fn parse(text: &[u8]) -> Option<Memory> {
        let value = |key: &[u8]| {
            let mut lines = text.split(|byte| *byte == b'\n');
            let rest = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b":"))?;
            Fields(rest).number::<u64>().map(|kibibytes| kibibytes.saturating_mul(1024))
        };
        let or_nothing = |key| value(key).unwrap_or(0);
        let free = or_nothing(b"MemFree");
        Some(Memory {
            total: value(b"MemTotal")?,
            free,
            // Older kernels than 3.14 do not tell it.
            available: value(b"MemAvailable").unwrap_or(free),
            shared: or_nothing(b"Shmem"),
            buffers: or_nothing(b"Buffers"),
            cache: or_nothing(b"Cached").saturating_add(or_nothing(b"SReclaimable")),
            swap_total: or_nothing(b"SwapTotal"),
            swap_free: or_nothing(b"SwapFree"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_bytes() {
        let text = b"MemTotal:  100 kB\nMemFree:    40 kB\nMemAvailable:  80 kB\nBuffers: 1 kB\nCached: 20 kB\nSwapCached: 9 kB\n\
            SReclaimable: 2 kB\nShmem: 3 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n";
        let expected = Memory {
            total: 102_400,
            free: 40_960,
            available: 81_920,
            shared: 3072,
            buffers: 1024,
            cache: 22_528,
            swap_total: 10_240,
            swap_free: 4096,
        };
        assert_eq!(Memory::parse(text), Some(expected));
        assert_eq!(Memory::parse(b"MemTotal: 1 kB\nMemFree: 1 kB\n").map(|memory| memory.available), Some(1024));
        assert_eq!(Memory::parse(b"MemFree: 1 kB\n"), None);
    }

    #[test]
    fn time_namespaces() {
        assert_eq!(boot_offset_in(b"monotonic           5         0\nboottime        -86400 0\n"), Some(-86400));
        assert_eq!(
            (boot_offset_in(b"7 3 0\n"), boot_offset_in(b""), boot_offset_in(b"boottime x\n")),
            (Some(3), None, None)
        );
    }

    #[test]
    fn the_machine_we_run_on() {
        assert!(Memory::read().unwrap().total > 0);
        assert!(load().unwrap().iter().all(|load| *load >= 0.0));
        assert!(Clock::now().since_boot > 0.0 && Clock::now().age(u64::MAX) == 0.0);
    }
}
