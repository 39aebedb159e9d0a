//! The processor time and the number of processes that the target's control group may have, and what it transfers.

use super::{Scene, Section, fullness, percent};
use crate::inspect::Level;
use crate::output::units;
use crate::target::cgroup::{Cpu, Tasks, Transfers};

/// Of the periods in which it ran: throttled in more of them is felt.
const THROTTLED: u64 = 10;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("cgroup");
    let cpu = scene.group("cpu").map(|group| Cpu::of(&group));
    let has_cpu = cpu.is_some();
    let Cpu { quota, used_microseconds, periods, throttled, throttled_microseconds } = cpu.unwrap_or_default();
    let tasks = scene.group("pids").map(|group| Tasks::of(&group)).unwrap_or_default();
    // The controller has one name in each version.
    let io = scene.group("io").filter(|group| group.version == 2).and_then(|group| Transfers::of(&group));
    let io = io.or_else(|| scene.group("blkio").filter(|group| group.version == 1).and_then(|it| Transfers::of(&it)));
    section.object.float("cpu_quota", quota).number("cpu_periods", periods).number("cpu_throttled", throttled);
    section.object.number("cpu_throttled_microseconds", throttled_microseconds);
    section.object.number("cpu_used_microseconds", used_microseconds);
    let unread = scene.why_not("no files of this controller are mounted");
    match quota {
        _ if !has_cpu => section.finding(Level::Unknown, "cpu", unread, ""),
        None => section.fact("cpu", "no quota"),
        Some(quota) => {
            let share = percent(throttled.unwrap_or(0), periods.unwrap_or(0)).unwrap_or(0);
            let text = format!("{quota} CPUs, throttled in {share} % of its periods");
            match share {
                0..THROTTLED => section.fact("cpu", text),
                _ => section.finding(Level::Warn, "cpu", text, "it waits for its quota: raise it (--cpus)"),
            }
        }
    }
    let Tasks { used, limit: most, refused } = tasks;
    section.object.number("pids", used).number("pids_limit", most).number("pids_refused", refused);
    match (used, most) {
        (None, _) => section.finding(Level::Unknown, "pids", unread, ""),
        (Some(used), None) => section.fact("pids", format_args!("{used}, no limit")),
        (Some(used), Some(most)) => {
            let text = format!("{used} of {most}");
            match fullness(percent(used, most).unwrap_or(100)) {
                Level::Ok => section.fact("pids", text),
                level => section.finding(level, "pids", text, "raise the limit (--pids-limit)"),
            }
        }
    }
    if let Some(refused @ 1..) = refused {
        let text = format!("a new process or thread was refused {refused} times");
        section.finding(Level::Warn, "pids", text, "raise the limit (--pids-limit)");
    }
    let number = |of: fn(&Transfers) -> u64| io.as_ref().map(of);
    section.object.number("io_read_bytes", number(|io| io.read_bytes)).number("io_reads", number(|io| io.reads));
    section
        .object
        .number("io_written_bytes", number(|io| io.written_bytes))
        .number("io_writes", number(|io| io.writes));
    match io {
        Some(Transfers { read_bytes, written_bytes, reads, writes }) => section.fact(
            "io",
            format_args!(
                "{} in {reads} reads, {} in {writes} writes",
                units::bytes(read_bytes),
                units::bytes(written_bytes)
            ),
        ),
        None => section.finding(Level::Unknown, "io", unread, ""),
    }
    section
}
