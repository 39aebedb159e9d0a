//! Whether the program can be started at all: static, or with its dynamic loader in place.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Scene, Section};
use crate::inspect::Level;
use crate::inspect::service::in_target;
use crate::output::Safe;
use crate::target::program::Elf;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("program");
    let elf = match Elf::of(&scene.reader, scene.pid()) {
        Ok(Some(elf)) => elf,
        unknown => {
            match unknown {
                Err(error) => section.unread("kind", &error),
                Ok(_) => section.finding(Level::Unknown, "kind", "not ELF", ""),
            }
            section.object.null("bits").null("machine").null("linkage").null("interpreter");
            section.object.null("interpreter_present");
            return section;
        }
    };
    let machine = elf.machine_name().map_or_else(|| format!("machine {}", elf.machine), String::from);
    section.object.number("bits", Some(elf.bits.into())).text("machine", &machine);
    let Some(interpreter) = &elf.interpreter else {
        section.fact("kind", format_args!("{}-bit {machine}, static", elf.bits));
        section.object.text("linkage", "static").null("interpreter").null("interpreter_present");
        return section;
    };
    section.fact("kind", format_args!("{}-bit {machine}, dynamic", elf.bits));
    let shown = Safe(interpreter);
    section.object.text("linkage", "dynamic").bytes("interpreter", interpreter);
    match scene.files.metadata(Path::new(OsStr::from_bytes(&in_target(interpreter)))) {
        Ok(_) => {
            section.fact("loader", format_args!("{shown} is there"));
            section.object.bool("interpreter_present", true);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            section.finding(Level::Warn, "loader", format_args!("{shown} is missing"), "it could not be started again");
            section.object.bool("interpreter_present", false);
        }
        Err(error) => {
            section.unread("loader", &error);
            section.object.null("interpreter_present");
        }
    }
    section
}
