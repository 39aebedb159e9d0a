//! What its image is, as far as its root tells: the distribution, whether there is a shell or a package manager in it, and
//! which engine runs it. Labels, and where the entry point ends and its arguments begin, only the engine knows.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Scene, Section, shortened};
use crate::inspect::Level;
use crate::inspect::service::in_target;
use crate::output::Safe;
use crate::target::libraries::Loader;

/// The most that is read of a file of facts.
const LIMIT: usize = 16 * 1024;

/// People see this much of PATH.
const SHOWN: usize = 200;

const SHELLS: [&str; 8] =
    ["/bin/sh", "/bin/bash", "/bin/ash", "/bin/dash", "/bin/busybox", "/busybox/sh", "/usr/bin/sh", "/usr/bin/bash"];

const MANAGERS: [(&str, &str); 10] = [
    ("apk", "/sbin/apk"),
    ("apt", "/usr/bin/apt-get"),
    ("dpkg", "/usr/bin/dpkg"),
    ("dnf", "/usr/bin/dnf"),
    ("microdnf", "/usr/bin/microdnf"),
    ("yum", "/usr/bin/yum"),
    ("rpm", "/usr/bin/rpm"),
    ("zypper", "/usr/bin/zypper"),
    ("pacman", "/usr/bin/pacman"),
    ("opkg", "/bin/opkg"),
];

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("image");
    if scene.denied.is_some() {
        section.finding(Level::Unknown, "os", scene.why_not(""), "");
        section.object.null("os").null("shell").null("libc").null("package_manager");
    } else {
        contents(scene, &mut section);
    }
    engine(scene, &mut section);
    path(scene, &mut section);
    section
}

fn exists(scene: &Scene<'_>, path: &[u8]) -> bool {
    scene.files.metadata(Path::new(OsStr::from_bytes(&in_target(path)))).is_ok()
}

fn contents(scene: &Scene<'_>, section: &mut Section) {
    let read = |path: &str| scene.files.text(Path::new(path), LIMIT).ok();
    let text = read("@/etc/os-release").or_else(|| read("@/usr/lib/os-release")).unwrap_or_default();
    let os = value(&text, b"PRETTY_NAME").or_else(|| value(&text, b"NAME")).or_else(|| value(&text, b"ID"));
    match &os {
        Some(os) => section.fact("os", shortened(Safe(os).to_string(), SHOWN)),
        None => section.fact("os", "no os-release: from scratch, or next to it"),
    }
    let shell = SHELLS.iter().find(|path| exists(scene, path.as_bytes()));
    section.fact("shell", shell.map_or("none", |path| path));
    let manager = MANAGERS.iter().find(|(_, path)| exists(scene, path.as_bytes())).map(|(name, _)| *name);
    section.fact("packages", manager.map_or_else(|| String::from("no package manager"), |name| format!("by {name}")));
    let interpreter = scene.elf.as_ref().ok().and_then(|elf| elf.as_ref()?.interpreter.as_deref());
    let libc = match (interpreter.map(Loader::of), &scene.elf) {
        (Some(Loader::Musl), _) => Some("musl"),
        (Some(Loader::Glibc), _) => Some("glibc"),
        (None, Ok(Some(_))) => Some("static"),
        _ => None,
    };
    match libc {
        Some("static") => section.fact("libc", "none needed, the program is static"),
        Some(libc) => section.fact("libc", libc),
        None => section.finding(Level::Unknown, "libc", "the program is not ELF", ""),
    }
    for (key, value) in [("shell", shell.copied()), ("libc", libc), ("package_manager", manager)] {
        match value {
            Some(value) => section.object.text(key, value),
            None => section.object.null(key),
        };
    }
    match &os {
        Some(os) => section.object.bytes("os", os),
        None => section.object.null("os"),
    };
}

/// Who runs it, by what engines leave in a container.
fn engine(scene: &Scene<'_>, section: &mut Section) {
    let mounted = |point: &[u8]| scene.theirs.iter().any(|mount| mount.point == point);
    let named = |engine: &[u8]| {
        let files: [&[u8]; 3] = [b"/etc/hosts", b"/etc/hostname", b"/etc/resolv.conf"];
        let theirs = scene.theirs.iter().filter(|mount| files.contains(&mount.point.as_slice()));
        theirs.map(|mount| &mount.root).any(|root| memchr::memmem::find(root, engine).is_some())
    };
    let secrets: [&[u8]; 2] =
        [b"/var/run/secrets/kubernetes.io/serviceaccount", b"/run/secrets/kubernetes.io/serviceaccount"];
    let engine = match () {
        () if secrets.into_iter().any(mounted) || named(b"/kubelet/pods/") => Some("kubernetes"),
        () if mounted(b"/run/.containerenv") || named(b"/overlay-containers/") => Some("podman"),
        () if named(b"/docker/containers/") || exists(scene, b"/.dockerenv") => Some("docker"),
        () => None,
    };
    match engine {
        Some(engine) => section.fact("engine", engine),
        None => section.fact("engine", "cannot be told"),
    }
    match engine {
        Some(engine) => section.object.text("engine", engine),
        None => section.object.null("engine"),
    };
}

/// The PATH that its image gives it.
fn path(scene: &Scene<'_>, section: &mut Section) {
    match (&scene.environment, scene.variable(b"PATH")) {
        (Err(error), _) => {
            section.unread("path", error);
            section.object.null("path");
        }
        (Ok(_), None) => {
            section.fact("path", "no PATH in its environment");
            section.object.null("path");
        }
        (Ok(_), Some(path)) => {
            section.fact("path", shortened(Safe(path).to_string(), SHOWN));
            section.object.bytes("path", path);
        }
    }
}

/// The value of a line `KEY=value` or `KEY="value"` (os-release(5)).
fn value(text: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b"="))?;
    let quoted = |quote: &[u8]| value.strip_prefix(quote)?.strip_suffix(quote);
    let value = quoted(b"\"").or_else(|| quoted(b"'")).unwrap_or(value);
    (!value.is_empty()).then(|| value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_os_release() {
        let text = b"NAME=x\n# PRETTY_NAME=no\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nID='d'\nEMPTY=\"\"\nHALF=\"\n";
        assert_eq!(value(text, b"PRETTY_NAME"), Some(b"Debian GNU/Linux 12".to_vec()));
        assert_eq!(value(text, b"ID"), Some(b"d".to_vec()));
        assert_eq!(value(text, b"HALF"), Some(b"\"".to_vec()));
        assert_eq!((value(text, b"EMPTY"), value(text, b"NONE"), value(b"", b"ID")), (None, None, None));
    }
}
