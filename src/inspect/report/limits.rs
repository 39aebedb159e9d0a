//! The target's limits against what it uses of them, and what becomes of it in a crash.

use super::{Scene, Section, fullness, percent};
use crate::inspect::Level;
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::target::limits::{Limit, Limits, Uses, core_pattern};

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("limits");
    let pid = scene.pid();
    let limits = match Limits::of(&mut scene.reader, pid) {
        Ok(limits) => limits,
        Err(error) => {
            section.unread("limits", &error);
            Limits::default()
        }
    };
    let open = scene.open.as_ref().ok().map(|open| open.count);
    used(&mut section, "files", open, limits.files, "--ulimit nofile=N:N");
    let threads = scene.family.iter().map(|stat| stat.threads).sum();
    used(&mut section, "processes", Some(threads), limits.processes, "--ulimit nproc=N:N");
    let uses = Uses::of(&mut scene.reader, pid).unwrap_or_default();
    for (name, used, limit, raise) in [
        ("stack", uses.stack, limits.stack, "--ulimit stack=BYTES:BYTES"),
        ("address_space", uses.address_space, limits.address_space, "it is set by what started it: ulimit -v"),
        ("locked_memory", uses.locked_memory, limits.locked_memory, "--ulimit memlock=BYTES:BYTES"),
    ] {
        section.object.object(name, object(used, limit));
        let share = used.zip(limit.and_then(|limit| limit.soft)).and_then(|(used, most)| percent(used, most));
        let most = shown(limit, units::bytes);
        let text = used.map_or_else(|| most.clone(), |used| format!("{} of {most}", units::bytes(used)));
        match share.map(fullness) {
            Some(level @ (Level::Warn | Level::Fail)) => section.finding(level, name, text, raise),
            // The other two are limited for few.
            _ if name == "stack" => section.fact(name, text),
            _ => {}
        }
    }
    let pattern = core_pattern(&mut scene.reader);
    let where_to = match &pattern {
        Some(pattern) if pattern.starts_with(b"|") => format!("to the machine's program {}", Safe(&pattern[1..])),
        Some(pattern) => format!("into {}", Safe(pattern)),
        None => String::from("unknown where"),
    };
    // A program behind the pattern gets the core whatever the limit.
    let piped = pattern.as_ref().is_some_and(|pattern| pattern.starts_with(b"|"));
    match limits.core.map(|core| core.soft) {
        Some(Some(0)) if !piped => section.finding(Level::Note, "core", "none is kept of a crash", "--ulimit core=-1"),
        _ => section.fact("core", format_args!("{}, {where_to}", shown(limits.core, units::bytes))),
    }
    section.object.object("core", object(None, limits.core));
    match &pattern {
        Some(pattern) => section.object.bytes("core_pattern", pattern),
        None => section.object.null("core_pattern"),
    };
    section
}

fn used(section: &mut Section, name: &'static str, used: Option<u64>, limit: Option<Limit>, raise: &str) {
    let most = shown(limit, |count| count.to_string());
    section.object.object(name, object(used, limit));
    let Some(count) = used else {
        section.finding(Level::Unknown, name, format_args!("unknown of {most}: denied, see access"), "");
        return;
    };
    let share = limit.and_then(|limit| percent(count, limit.soft?));
    match share.map(fullness) {
        Some(level @ (Level::Warn | Level::Fail)) => {
            section.finding(level, name, format_args!("{count} of {most}"), raise);
        }
        _ => section.fact(name, format_args!("{count} of {most}")),
    }
}

fn shown(limit: Option<Limit>, unit: fn(u64) -> String) -> String {
    match limit {
        Some(Limit { soft: Some(soft), .. }) => unit(soft),
        Some(Limit { soft: None, .. }) => String::from("unlimited"),
        None => String::from("unknown"),
    }
}

/// What is unlimited is `null`, as what is unknown; `unlimited` tells which.
fn object(used: Option<u64>, limit: Option<Limit>) -> Object {
    let mut object = Object::new();
    object.number("used", used).number("soft", limit.and_then(|limit| limit.soft));
    object.number("hard", limit.and_then(|limit| limit.hard));
    object.bool("unlimited", limit.is_some_and(|limit| limit.soft.is_none()));
    object
}
