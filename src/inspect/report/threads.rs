//! What the threads of the target's first process are doing, by name.

use std::collections::BTreeMap;

use super::{Scene, Section};
use crate::output::Safe;
use crate::output::json::Object;

/// More threads than this are counted, not looked at.
const LIMIT: usize = 2000;

/// Names that people see.
const SHOWN: usize = 6;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("threads");
    let pid = scene.pid();
    let threads = match scene.reader.threads(pid) {
        Ok(threads) => threads,
        Err(error) => {
            section.unread("count", &error);
            Vec::new()
        }
    };
    let mut states: BTreeMap<u8, u64> = BTreeMap::new();
    let mut names: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for thread in threads.iter().take(LIMIT) {
        // It may have ended meanwhile.
        let Ok(stat) = scene.reader.thread_stat(pid, *thread) else { continue };
        *states.entry(stat.state).or_default() += 1;
        *names.entry(stat.comm).or_default() += 1;
    }
    let shown: Vec<String> = states.iter().map(|(state, count)| format!("{count} {}", word(*state))).collect();
    section.fact("count", format_args!("{} ({})", threads.len(), shown.join(", ")));
    let mut names: Vec<(Vec<u8>, u64)> = names.into_iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if names.len() > 1 {
        let shown: Vec<String> =
            names.iter().take(SHOWN).map(|(name, count)| format!("{} ×{count}", Safe(name))).collect();
        section.fact("names", shown.join(", "));
    }
    section.object.number("count", u64::try_from(threads.len()).ok());
    let rows = states.iter().map(|(state, count)| {
        let mut row = Object::new();
        row.text("state", word(*state)).number("count", Some(*count));
        row
    });
    section.object.objects("states", rows);
    let rows = names.iter().take(SHOWN * 10).map(|(name, count)| {
        let mut row = Object::new();
        row.bytes("name", name).number("count", Some(*count));
        row
    });
    section.object.objects("names", rows);
    section
}

/// The state as a word (proc_pid_stat(5)).
fn word(state: u8) -> &'static str {
    match state {
        b'R' => "running",
        b'S' => "sleeping",
        b'D' => "uninterruptible",
        b'Z' => "zombie",
        b'T' => "stopped",
        b't' => "traced",
        b'I' => "idle",
        b'X' => "dead",
        _ => "other",
    }
}
