//! What the threads of the target's first process are doing, by name, and where in the kernel they wait.

use std::collections::HashMap;

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::json::Object;
use crate::output::{Safe, order};
use crate::target::threads;

/// Names that people see.
const SHOWN: usize = 6;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("threads");
    let pid = scene.pid();
    let (seen, count) = threads::look(&mut scene.reader, pid).unwrap_or_else(|error| {
        section.unread("count", &error);
        (Vec::new(), 0)
    });
    let (mut states, mut names, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for thread in seen {
        states.push(vec![thread.place.state]);
        // The state is one byte, and what follows it the channel.
        places.push([&[thread.place.state], thread.place.channel.as_deref().unwrap_or_default()].concat());
        names.push(thread.name);
    }
    let (states, names, places) = (tally(states), tally(names), tally(places));
    let shown: Vec<String> = states.iter().map(|(state, count)| format!("{count} {}", word(state[0]))).collect();
    section.fact("count", format_args!("{count} ({})", shown.join(", ")));
    if names.len() > 1 {
        section.fact("names", listed(&names));
    }
    let channels = places.iter().filter(|(place, _)| place.len() > 1);
    let channels: Vec<(Vec<u8>, u64)> = channels.map(|(place, count)| (place[1..].to_vec(), *count)).collect();
    // Who may not know gets the same answer as for a thread that runs.
    match channels.is_empty() {
        false => section.fact("waiting in", listed(&channels)),
        true => {
            let why = scene.why_not("the kernel names no function for any of them");
            section.finding(Level::Unknown, "waiting in", why, "");
        }
    }
    section.object.number("count", u64::try_from(count).ok());
    section.object.objects("states", rows(&states, |row, state| _ = row.text("state", word(state[0]))));
    section.object.objects("names", rows(&names, |row, name| _ = row.bytes("name", name)));
    let place = |row: &mut Object, place: &[u8]| {
        row.text("state", word(place[0]));
        match &place[1..] {
            [] => row.null("wait_channel"),
            channel => row.bytes("wait_channel", channel),
        };
    };
    section.object.objects("waiting", rows(&places, place));
    section
}

/// How often each is there, the most frequent first.
fn tally(keys: Vec<Vec<u8>>) -> Vec<(Vec<u8>, u64)> {
    let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    let mut counts: Vec<(Vec<u8>, u64)> = counts.into_iter().collect();
    order::sort_by(&mut counts, |(a, one), (b, other)| (other, a).cmp(&(one, b)));
    counts
}

fn listed(counts: &[(Vec<u8>, u64)]) -> String {
    let shown = counts.iter().take(SHOWN).map(|(name, count)| format!("{} ×{count}", Safe(name)));
    shown.collect::<Vec<_>>().join(", ")
}

fn rows(counts: &[(Vec<u8>, u64)], key: fn(&mut Object, &[u8])) -> Vec<Object> {
    let row = |(name, count): &(Vec<u8>, u64)| {
        let mut row = Object::new();
        key(&mut row, name);
        row.number("count", Some(*count));
        row
    };
    counts.iter().take(SHOWN * 10).map(row).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_first() {
        let keys = ["b", "a", "b", "c\x1b"].map(|key| key.as_bytes().to_vec()).to_vec();
        assert_eq!(listed(&tally(keys)), "b ×2, a ×1, c\\x1b ×1");
    }
}
