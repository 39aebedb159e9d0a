//! The memory of the target's control group: its limit, what is used of it, and whom the kernel has killed for it.

use super::{Scene, Section, percent};
use crate::inspect::Level;
use crate::output::units;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("memory");
    let resident: u64 = scene.family.iter().map(|stat| stat.resident_pages).sum();
    let resident = resident.saturating_mul(procfs::page_size().max(1));
    section.fact("resident", units::bytes(resident));
    section.object.number("resident_bytes", Some(resident));
    let numbers = scene.group("memory").map(|group| match group.version {
        2 => (
            2,
            [
                group.number("memory.max"),
                group.number("memory.current"),
                group.number("memory.peak"),
                group.value("memory.stat", "inactive_file"),
                group.value("memory.events", "oom"),
                group.value("memory.events", "oom_kill"),
            ],
        ),
        _ => (
            1,
            [
                group.number("memory.limit_in_bytes"),
                group.number("memory.usage_in_bytes"),
                group.number("memory.max_usage_in_bytes"),
                group.value("memory.stat", "total_inactive_file"),
                // Version 1 counts how often the limit was met, which is another thing.
                None,
                group.value("memory.oom_control", "oom_kill"),
            ],
        ),
    });
    let (version, [limit, used, peak, cache, oom, killed]) = numbers.unwrap_or((0, [None; 6]));
    section.object.number("cgroup_version", (version > 0).then_some(version));
    section.object.number("limit_bytes", limit).number("used_bytes", used).number("peak_bytes", peak);
    section.object.number("inactive_file_bytes", cache).number("oom", oom).number("oom_kill", killed);
    let Some(used) = used else {
        let why =
            if scene.denied.is_some() { "denied, see access" } else { "no files of its memory controller are mounted" };
        section.finding(Level::Unknown, "cgroup", why, "");
        return section;
    };
    let peaked = peak.map(|peak| format!(", peak {}", units::bytes(peak))).unwrap_or_default();
    // What the kernel would drop before it kills.
    let held = used.saturating_sub(cache.unwrap_or(0));
    match limit {
        None => section.fact("used", format_args!("{}{peaked}, no limit", units::bytes(used))),
        Some(limit) => {
            let share = percent(held, limit).unwrap_or(100);
            let text = format!("{} of {} ({share} % without cache){peaked}", units::bytes(used), units::bytes(limit));
            match share {
                0..90 => section.fact("used", text),
                _ => section.finding(Level::Warn, "used", text, "raise the limit (--memory), or have it use less"),
            }
        }
    }
    if let Some(killed @ 1..) = killed {
        section.finding(Level::Warn, "oom_kill", killed, "the kernel killed processes of it for want of memory");
    }
    section
}
