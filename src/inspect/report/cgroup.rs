//! The processor time and the number of processes that the target's control group may have.

use super::{Scene, Section, fullness, percent};
use crate::inspect::Level;

/// Of the periods in which it ran: throttled in more of them is felt.
const THROTTLED: u64 = 10;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("cgroup");
    let numbers = scene.group("cpu").map(|group| {
        let count = |key| group.value("cpu.stat", key);
        let waited = match group.version {
            2 => count("throttled_usec"),
            _ => count("throttled_time").map(|nanoseconds| nanoseconds / 1000),
        };
        (group.quota(), count("nr_periods"), count("nr_throttled"), waited)
    });
    let (quota, periods, throttled, waited) = numbers.unwrap_or((None, None, None, None));
    let has_cpu = numbers.is_some();
    let tasks = scene.group("pids").map(|group| (group.number("pids.current"), group.number("pids.max")));
    section.object.float("cpu_quota", quota).number("cpu_periods", periods).number("cpu_throttled", throttled);
    section.object.number("cpu_throttled_microseconds", waited);
    let unread = if scene.denied.is_some() { "denied, see access" } else { "no files of this controller are mounted" };
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
    let (used, most) = tasks.unwrap_or((None, None));
    section.object.number("pids", used).number("pids_limit", most);
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
    section
}
