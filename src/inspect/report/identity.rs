//! What the target is: its program, arguments, user, age, and whether we may look further.

use nix::time::{ClockId, clock_gettime};

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::target::mounts::container;
use crate::target::process::split_arguments;
use crate::target::program::{executable, working_directory};
use crate::target::{Users, Whose};

/// A command line is as long as its process likes; people see this much of it.
const SHOWN: usize = 300;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("identity");
    let pid = scene.pid();
    section.object.number("pid", u64::try_from(pid).ok()).bytes("comm", &scene.target.comm);
    section.fact("process", format_args!("{pid} ({})", Safe(&scene.target.comm)));
    match &scene.denied {
        None => section.fact("access", "its root, files and environment can be read"),
        Some(why) => section.finding(Level::Unknown, "access", why, "'why' tells each check"),
    }
    section.object.bool("readable", scene.denied.is_none());
    for (label, found) in [("exe", executable(&scene.reader, pid)), ("cwd", working_directory(&scene.reader, pid))] {
        match &found {
            Ok(path) if label == "exe" && path.ends_with(b" (deleted)") => {
                section.finding(
                    Level::Warn,
                    label,
                    Safe(path),
                    "replaced since it was started: what runs is the old one",
                );
            }
            Ok(path) => section.fact(label, Safe(path)),
            Err(error) => section.unread(label, error),
        }
        match found {
            Ok(path) => section.object.bytes(label, &path),
            Err(_) => section.object.null(label),
        };
    }
    let line = scene.reader.arguments(pid).unwrap_or_default();
    let arguments: Vec<&[u8]> = split_arguments(line).collect();
    let shown = Safe(&arguments.join(&b' ')).to_string();
    let cut = shown.char_indices().nth(SHOWN).map(|(end, _)| format!("{}…", &shown[..end]));
    section.fact("args", cut.unwrap_or(shown));
    section.object.strings("args", arguments);
    user(scene, &mut section);
    age(scene, &mut section);
    let number = container(&mut scene.reader, pid, &scene.theirs);
    if let Some(number) = &number {
        section.fact("container", number.get(..12).unwrap_or(number));
    }
    match number {
        Some(number) => section.object.text("container", &number),
        None => section.object.null("container"),
    };
    section
}

fn user(scene: &mut Scene<'_>, section: &mut Section) {
    let pid = scene.pid();
    let Ok(status) = scene.reader.status(pid) else {
        section.object.null("user");
        return;
    };
    let (user, group) = (status.users.effective, status.groups.effective);
    let users = Users::new(scene.files);
    let name = users.user(user, Whose::Target);
    let named = name.map(|name| format!(" ({})", Safe(name))).unwrap_or_default();
    section.fact("user", format_args!("{user}:{group}{named}"));
    let mut object = Object::new();
    object.number("uid", Some(user.into())).number("gid", Some(group.into()));
    match name {
        Some(name) => object.bytes("name", name),
        None => object.null("name"),
    };
    section.object.object("user", object);
}

fn age(scene: &mut Scene<'_>, section: &mut Section) {
    let itself = scene.family.iter().find(|stat| stat.pid == scene.pid());
    let Some(start) = itself.map(|stat| stat.start) else {
        section.object.null("age_seconds").null("start_epoch");
        return;
    };
    let seconds = |clock| clock_gettime(clock).map_or(0, |time| u64::try_from(time.tv_sec()).unwrap_or(0));
    let age = seconds(ClockId::CLOCK_BOOTTIME).saturating_sub(start / procfs::ticks_per_second().max(1));
    let since = seconds(ClockId::CLOCK_REALTIME).saturating_sub(age);
    section.fact("age", units::duration(age));
    section.object.number("age_seconds", Some(age)).number("start_epoch", Some(since));
}
