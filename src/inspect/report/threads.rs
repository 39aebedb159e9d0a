//! What the threads of the target's first process are doing, by name, and where in the kernel they wait.

use std::collections::BTreeMap;

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::Safe;
use crate::output::json::Object;
use crate::target::threads::{self, Place};

/// Names that people see.
const SHOWN: usize = 6;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("threads");
    let pid = scene.pid();
    let (seen, count) = threads::look(&mut scene.reader, pid).unwrap_or_else(|error| {
        section.unread("count", &error);
        (Vec::new(), 0)
    });
    let mut states: BTreeMap<u8, u64> = BTreeMap::new();
    let mut names: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let mut places: BTreeMap<Place, u64> = BTreeMap::new();
    for thread in seen {
        *states.entry(thread.place.state).or_default() += 1;
        *names.entry(thread.name).or_default() += 1;
        *places.entry(thread.place).or_default() += 1;
    }
    let shown: Vec<String> = states.iter().map(|(state, count)| format!("{count} {}", word(*state))).collect();
    section.fact("count", format_args!("{count} ({})", shown.join(", ")));
    let mut names: Vec<(Vec<u8>, u64)> = names.into_iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    if names.len() > 1 {
        let shown: Vec<String> =
            names.iter().take(SHOWN).map(|(name, count)| format!("{} ×{count}", Safe(name))).collect();
        section.fact("names", shown.join(", "));
    }
    let mut places: Vec<(Place, u64)> = places.into_iter().collect();
    places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let waiting: Vec<String> = places
        .iter()
        .filter_map(|(place, count)| Some(format!("{} ×{count}", Safe(place.channel.as_ref()?))))
        .take(SHOWN)
        .collect();
    // Who may not know gets the same answer as for a thread that runs.
    match waiting.is_empty() {
        false => section.fact("waiting in", waiting.join(", ")),
        true => {
            let why = scene.why_not("the kernel names no function for any of them");
            section.finding(Level::Unknown, "waiting in", why, "");
        }
    }
    section.object.number("count", u64::try_from(count).ok());
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
    let rows = places.iter().take(SHOWN * 10).map(|(place, count)| {
        let mut row = Object::new();
        row.text("state", word(place.state));
        match &place.channel {
            Some(channel) => row.bytes("wait_channel", channel),
            None => row.null("wait_channel"),
        };
        row.number("count", Some(*count));
        row
    });
    section.object.objects("waiting", rows);
    section
}

/// The state as a word (proc_pid_stat(5)).
pub fn word(state: u8) -> &'static str {
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
