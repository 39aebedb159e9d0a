//! What the target is: its program, arguments, user, age, and whether we may look further.

use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use super::{Scene, Section, shortened};
use crate::inspect::Level;
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::target::credentials::Credentials;
use crate::target::mounts::container;
use crate::target::process::split_arguments;
use crate::target::program::{executable, working_directory};
use crate::target::{Users, Whose};

/// A command line is as long as its process likes; people see this much of it.
const SHOWN: usize = 300;

/// Supplementary groups that people see.
const GROUPS: usize = 12;

/// A container whose process starts so many seconds after it was set up has had another one before, or an image to fetch.
const SOON: u64 = 300;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("identity");
    let pid = scene.pid();
    section.object.number("pid", u64::try_from(pid).ok()).bytes("comm", &scene.target.comm);
    section.fact("process", format_args!("{pid} ({})", Safe(&scene.target.comm)));
    match &scene.denied {
        None => section.fact("access", "its root, files and environment can be read"),
        Some(why) => section.finding(Level::Unknown, "access", why, ""),
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
    section.fact("args", shortened(Safe(&arguments.join(&b' ')).to_string(), SHOWN));
    section.object.strings("args", arguments);
    user(scene, &mut section);
    groups(scene, &mut section);
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

/// The supplementary groups, which open files that the user and group do not.
fn groups(scene: &mut Scene<'_>, section: &mut Section) {
    let pid = scene.pid();
    let groups = Credentials::of(&mut scene.reader, pid).unwrap_or_default().groups;
    let users = Users::new(scene.files);
    let named = |id: &u32| match users.group(*id, Whose::Target) {
        Some(name) => format!("{id} ({})", Safe(name)),
        None => id.to_string(),
    };
    let shown: Vec<String> = groups.iter().take(GROUPS).map(named).collect();
    match shown.is_empty() {
        true => section.fact("groups", "no supplementary ones"),
        false => section.fact("groups", shown.join(" ")),
    }
    section.object.numbers("groups", groups.iter().map(|group| u64::from(*group)));
}

fn age(scene: &mut Scene<'_>, section: &mut Section) {
    let itself = scene.family.iter().find(|stat| stat.pid == scene.pid());
    let Some(start) = itself.map(|stat| stat.start) else {
        section.object.null("age_seconds").null("start_epoch").null("set_up_epoch");
        return;
    };
    let seconds = |clock| clock_gettime(clock).map_or(0, |time| u64::try_from(time.tv_sec()).unwrap_or(0));
    let ticks = procfs::ticks_per_second().max(1);
    let (up, now) = (seconds(ClockId::CLOCK_BOOTTIME), seconds(ClockId::CLOCK_REALTIME));
    let since = |start: u64| now.saturating_sub(up.saturating_sub(start / ticks));
    let age = up.saturating_sub(start / ticks);
    let began = i64::try_from(since(start)).unwrap_or(i64::MAX);
    section.fact("age", format_args!("{}, started {}", units::duration(age), units::utc(began)));
    section.object.number("age_seconds", Some(age)).number("start_epoch", Some(since(start)));
    // Engines write the file when they set up a container or a pod, and mount it.
    let mounted = scene.theirs.iter().any(|mount| mount.point == b"/etc/hostname");
    let written = mounted.then(|| scene.files.metadata(Path::new("@/etc/hostname")).ok()).flatten();
    let written = written.and_then(|file| u64::try_from(file.st_mtime).ok());
    let set_up = [scene.pause.map(since), written].into_iter().flatten().min();
    section.object.number("set_up_epoch", set_up);
    match set_up.map(|set_up| since(start).saturating_sub(set_up)) {
        Some(later @ SOON..) => {
            let text = format!("started {} after its container or pod was set up", units::duration(later));
            section.finding(
                Level::Note,
                "restarts",
                text,
                "it was started again, or late; the engine counts how often",
            );
        }
        Some(_) => section.fact("restarts", "none since its container or pod was set up"),
        None => section.fact("restarts", "cannot be told from here; the engine counts them"),
    }
}
