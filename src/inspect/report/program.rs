//! Whether the program can be started at all: static, or with its dynamic loader and its libraries in place; and for
//! which machine it was made.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::utsname::uname;

use super::{Scene, Section, shortened};
use crate::inspect::Level;
use crate::inspect::service::in_target;
use crate::output::Safe;
use crate::output::json::Object;
use crate::target::libraries::{self, Library};
use crate::target::program::{Elf, executable};

/// People see this much of a list of names.
const SHOWN: usize = 300;

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("program");
    let Ok(Some(elf)) = &scene.elf else {
        match &scene.elf {
            Err(error) => section.unread("kind", error),
            Ok(_) => section.finding(Level::Unknown, "kind", "not ELF", ""),
        }
        section.object.null("bits").null("machine").null("native").null("linkage").null("interpreter");
        section.object.null("interpreter_present").null("libraries").null("libraries_missing");
        return section;
    };
    machine(&mut section, elf);
    let Some(interpreter) = &elf.interpreter else {
        section.object.text("linkage", "static").null("interpreter").null("interpreter_present");
        section.object.objects("libraries", []).number("libraries_missing", Some(0));
        return section;
    };
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
            section.object.null("interpreter_present").null("libraries").null("libraries_missing");
            return section;
        }
    }
    let program = executable(&scene.reader, scene.pid()).unwrap_or_default();
    let found = libraries::of(scene.files, elf, &program, scene.variable(b"LD_LIBRARY_PATH"));
    describe(&mut section, &found);
    section
}

/// For which machine, and whether that is this one.
fn machine(section: &mut Section, elf: &Elf) {
    let machine = elf.machine_name().map_or_else(|| format!("machine {}", elf.machine), String::from);
    let linkage = if elf.interpreter.is_some() { "dynamic" } else { "static" };
    let text = format!("{}-bit {machine}, {linkage}", elf.bits);
    let here = uname().ok().map(|name| name.machine().as_encoded_bytes().to_vec());
    let native = here.as_ref().map(|here| is_native(here, &machine));
    match (native, &here) {
        (Some(false), Some(here)) => {
            let advice = "it is emulated, and slow: take the image for this architecture";
            section.finding(Level::Note, "kind", format_args!("{text}, on {}", Safe(here)), advice);
        }
        _ => section.fact("kind", text),
    }
    section.object.number("bits", Some(elf.bits.into())).text("machine", &machine);
    match native {
        Some(native) => section.object.bool("native", native),
        None => section.object.null("native"),
    };
}

/// A 64-bit machine runs its elder sister's programs, too.
fn is_native(here: &[u8], machine: &str) -> bool {
    here == machine.as_bytes()
        || matches!((here, machine), (b"x86_64", "i686") | (b"aarch64", "arm") | (b"ppc64le", "ppc64"))
        || here.starts_with(b"arm") && machine == "arm"
        || here.ends_with(b"86") && machine == "i686"
}

fn describe(section: &mut Section, found: &[Library]) {
    let missing: Vec<&Library> = found.iter().filter(|library| library.path.is_none()).collect();
    let names = |libraries: &mut dyn Iterator<Item = &Library>| {
        let names: Vec<String> = libraries.map(|library| Safe(&library.name).to_string()).collect();
        shortened(names.join(" "), SHOWN)
    };
    let present = found.len() - missing.len();
    let shown = names(&mut found.iter().filter(|library| library.path.is_some()));
    section.fact("libraries", format_args!("{present} are there: {shown}"));
    if !missing.is_empty() {
        let text = format!("{} missing: {}", missing.len(), names(&mut missing.iter().copied()));
        section.finding(Level::Warn, "libraries", text, "it could not be started again");
    }
    let rows = found.iter().map(|library| {
        let mut row = Object::new();
        row.bytes("name", &library.name);
        match &library.path {
            Some(path) => row.bytes("path", path),
            None => row.null("path"),
        };
        row
    });
    section.object.objects("libraries", rows).number("libraries_missing", u64::try_from(missing.len()).ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines() {
        assert!(is_native(b"x86_64", "x86_64") && is_native(b"x86_64", "i686") && is_native(b"armv7l", "arm"));
        assert!(is_native(b"i586", "i686"));
        assert!(!is_native(b"x86_64", "aarch64") && !is_native(b"aarch64", "x86_64") && !is_native(b"i686", "x86_64"));
    }

    #[test]
    fn what_is_missing_is_a_finding() {
        let library = |name: &str, path: Option<&str>| Library {
            name: name.as_bytes().to_vec(),
            path: path.map(|path| path.as_bytes().to_vec()),
        };
        let mut section = Section::new("program");
        describe(&mut section, &[library("a.so", Some("/lib/a.so")), library("b\x1b.so", None)]);
        let lines: Vec<(Level, &str)> = section.facts.iter().map(|fact| (fact.level, fact.text.as_str())).collect();
        assert_eq!(lines, [(Level::Ok, "1 are there: a.so"), (Level::Warn, "1 missing: b\\x1b.so")]);
        assert_eq!(
            section.object.finish(),
            r#"{"libraries":[{"name":"a.so","path":"/lib/a.so"},{"name":"b\u001b.so","path":null}],"libraries_missing":1}"#
        );
    }
}
