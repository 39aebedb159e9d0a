//! The report about the target: sections, each of them a file that looks at one thing and says what is wrong with it.
//!
//! A section has lines for people, with a level and an advice where something is wrong, and an object for machines whose
//! keys are a contract. What could not be read is a line too, and `null` in the object.

mod certificates;
mod cgroup;
mod clock;
pub mod diff;
mod dns;
mod environment;
mod identity;
mod image;
mod limits;
mod memory;
mod mounts;
mod namespaces;
mod network;
mod open;
mod pressure;
mod privileges;
mod processes;
mod program;
pub mod schema;
pub mod threads;

use std::fmt::Display;
use std::io;

use nix::errno::Errno;

use super::Level;
use crate::output::json::Object;
use crate::output::order;
use crate::target::access::PathDenied;
use crate::target::cgroup::{Cgroups, Group};
use crate::target::descriptors::Descriptors;
use crate::target::mounts::Mount;
use crate::target::process::Stat;
use crate::target::program::{Elf, environment};
use crate::target::{Files, Kinship, Reader, Target, Whose, access, mounts as table};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub level: Level,
    pub label: &'static str,
    /// Safe to print.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// One thing that was looked at.
pub struct Section {
    pub name: &'static str,
    pub facts: Vec<Fact>,
    pub object: Object,
}

impl Section {
    fn new(name: &'static str) -> Section {
        Section { name, facts: Vec::new(), object: Object::new() }
    }

    fn fact(&mut self, label: &'static str, text: impl Display) {
        self.add(Level::Ok, label, &text, "");
    }

    fn finding(&mut self, level: Level, label: &'static str, text: impl Display, advice: &str) {
        self.add(level, label, &text, advice);
    }

    /// Once for all kinds of text, which are many.
    #[inline(never)]
    fn add(&mut self, level: Level, label: &'static str, text: &dyn Display, advice: &str) {
        let advice = (!advice.is_empty()).then(|| String::from(advice));
        self.facts.push(Fact { level, label, text: text.to_string(), advice });
    }

    /// What could not be read. Why the target's root is denied, is told once, by the line `access`.
    fn unread(&mut self, label: &'static str, error: &io::Error) {
        let of_a_file = error.get_ref().is_some_and(|inner| inner.is::<PathDenied>());
        let text = match error.raw_os_error() {
            _ if error.kind() == io::ErrorKind::PermissionDenied && !of_a_file => String::from("denied, see access"),
            Some(number) => String::from(Errno::from_raw(number).desc()),
            None => error.to_string(),
        };
        self.finding(Level::Unknown, label, text, "");
    }
}

/// Who looks, and at what.
pub struct Scene<'a> {
    reader: Reader,
    files: &'a Files,
    target: &'a Target,
    theirs: Vec<Mount>,
    ours: Vec<Mount>,
    /// The target's processes, it itself first.
    family: Vec<Stat>,
    /// When the pod's pause process started, in ticks since boot.
    pause: Option<u64>,
    /// What several sections look at.
    open: io::Result<Descriptors>,
    environment: io::Result<Vec<Vec<u8>>>,
    elf: io::Result<Option<Elf>>,
    /// Why it may not be read in full.
    denied: Option<String>,
    /// Whether secrets are shown.
    secrets: bool,
}

impl<'a> Scene<'a> {
    pub fn new(files: &'a Files, target: &'a Target, secrets: bool) -> io::Result<Scene<'a>> {
        let mut reader = Reader::open()?;
        let pid = target.pid;
        reader.stat(pid)?;
        let denied = access::allowed(&reader, pid).err().map(|_| access::explain(pid, "root"));
        let own = reader.own_pid();
        let theirs = table::of(&reader, pid).unwrap_or_default();
        let ours = own.and_then(|own| table::of(&reader, own).ok()).unwrap_or_default();
        let mut kinship = Kinship::new(&mut reader, Some(pid));
        let (mut family, mut pause) = (Vec::new(), None);
        for pid in reader.pids()? {
            // What has ended meanwhile is none of its processes.
            let Ok(stat) = reader.stat(pid) else { continue };
            match kinship.whose(&mut reader, &stat) {
                Whose::Target => family.push(stat),
                Whose::Pause => pause = pause.or(Some(stat.start)),
                _ => {}
            }
        }
        order::sort_by_key(&mut family, |stat| stat.pid != pid);
        let open = Descriptors::of(&reader, pid);
        let (environment, elf) = (environment(&reader, pid), Elf::of(&reader, pid));
        Ok(Scene { reader, files, target, theirs, ours, family, pause, open, environment, elf, denied, secrets })
    }

    /// The value of a variable in the target's environment.
    fn variable(&self, name: &[u8]) -> Option<&[u8]> {
        let mut pairs = self.environment.as_ref().ok()?.iter();
        pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
    }

    /// The words for what could not be looked at, where `else_why` is the reason unless it was denied.
    fn why_not<'w>(&self, else_why: &'w str) -> &'w str {
        if self.denied.is_some() { "denied, see access" } else { else_why }
    }

    fn pid(&self) -> i32 {
        self.target.pid
    }

    fn group(&mut self, controller: &str) -> Option<Group<'_>> {
        let cgroups = Cgroups::of(&mut self.reader, self.target.pid, self.files, &self.theirs, &self.ours);
        cgroups.ok()?.group(controller.as_bytes())
    }
}

type Look = fn(&mut Scene<'_>) -> Section;

/// In the order in which they are shown.
const LOOKS: [Look; 18] = [
    identity::look,
    image::look,
    program::look,
    processes::look,
    threads::look,
    network::look,
    namespaces::look,
    privileges::look,
    limits::look,
    memory::look,
    cgroup::look,
    pressure::look,
    mounts::look,
    dns::look,
    clock::look,
    certificates::look,
    open::look,
    environment::look,
];

/// All sections.
pub fn sections(scene: &mut Scene<'_>) -> Vec<Section> {
    LOOKS.iter().map(|look| look(scene)).collect()
}

/// The worst level of all lines.
pub fn verdict(sections: &[Section]) -> Level {
    let levels = sections.iter().flat_map(|section| &section.facts).map(|fact| fact.level);
    levels.max().unwrap_or(Level::Ok)
}

/// As much of a text as people see of it.
fn shortened(text: String, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// How much of a limit is used, in percent.
fn percent(used: u64, limit: u64) -> Option<u64> {
    (limit > 0).then(|| u64::try_from(u128::from(used) * 100 / u128::from(limit)).unwrap_or(u64::MAX))
}

/// Nearly used up is a warning, used up a failure.
fn fullness(percent: u64) -> Level {
    match percent {
        0..90 => Level::Ok,
        90..100 => Level::Warn,
        _ => Level::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_full() {
        assert_eq!((percent(1, 0), percent(9, 10), percent(u64::MAX, 1)), (None, Some(90), Some(u64::MAX)));
        assert_eq!([fullness(89), fullness(90), fullness(100)], [Level::Ok, Level::Warn, Level::Fail]);
    }

    #[test]
    fn what_could_not_be_read() {
        let mut section = Section::new("x");
        for error in [libc::EACCES, libc::EPERM, libc::EIO].map(io::Error::from_raw_os_error) {
            section.unread("y", &error);
        }
        section.unread("y", &access::denied(i32::MAX, "root"));
        let texts: Vec<&str> = section.facts.iter().map(|fact| fact.text.as_str()).collect();
        assert_eq!(texts, ["denied, see access", "denied, see access", "I/O error", "denied, see access"]);
    }

    #[test]
    fn every_section_has_another_name() {
        let mut reader = Reader::open().unwrap();
        let pid = reader.own_pid().unwrap();
        let target = Target { pid, comm: reader.stat(pid).unwrap().comm };
        let files = Files::new(Some(std::ffi::OsStr::new(&pid.to_string())));
        let mut scene = Scene::new(&files, &target, false).unwrap();
        let mut names: Vec<&str> = sections(&mut scene).iter().map(|section| section.name).collect();
        assert_eq!(names.len(), LOOKS.len());
        crate::output::order::sort(&mut names);
        names.dedup();
        assert_eq!(names.len(), LOOKS.len());
    }
}
