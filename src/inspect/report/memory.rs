//! The memory of the target's control group: its limit, what is used of it, and whom the kernel has killed for it.

use super::{Scene, Section, percent};
use crate::inspect::Level;
use crate::output::units;
use crate::target::cgroup::Memory;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("memory");
    let resident: u64 = scene.family.iter().map(|stat| stat.resident_pages).sum();
    let resident = resident.saturating_mul(procfs::page_size().max(1));
    section.fact("resident", units::bytes(resident));
    section.object.number("resident_bytes", Some(resident));
    let memory = scene.group("memory").map(|group| Memory::of(&group)).unwrap_or_default();
    let Memory { version, limit, used, peak, inactive_file: cache, oom, oom_kill: killed, .. } = memory;
    let version = u64::from(version);
    section.object.number("cgroup_version", (version > 0).then_some(version));
    section.object.number("limit_bytes", limit).number("used_bytes", used).number("peak_bytes", peak);
    section.object.number("inactive_file_bytes", cache).number("oom", oom).number("oom_kill", killed);
    section.object.number("high_bytes", memory.high).number("swap_bytes", memory.swap);
    section.object.number("swap_limit_bytes", memory.swap_limit);
    let Some(used) = used else {
        let why = scene.why_not("no files of its memory controller are mounted");
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
    if let Some(high) = memory.high
        && used >= high
    {
        let text = format!("{} of {}", units::bytes(used), units::bytes(high));
        section.finding(Level::Warn, "high", text, "above memory.high the kernel slows it down");
    }
    if let Some(swap @ 1..) = memory.swap {
        let most = memory.swap_limit.map(|most| format!(" of {}", units::bytes(most))).unwrap_or_default();
        section.finding(Level::Note, "swap", format!("{}{most}", units::bytes(swap)), "");
    }
    if let (Some(met @ 1..), None | Some(0)) = (oom, killed) {
        section.finding(Level::Note, "oom", met, "the limit was met, and nobody was killed");
    }
    if let Some(killed @ 1..) = killed {
        section.finding(Level::Warn, "oom_kill", killed, "the kernel killed processes of it for want of memory");
    }
    section
}
