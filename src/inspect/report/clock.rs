//! The time zone that the target shows its times in, and the clock. The time of day is the machine's in every container;
//! only what counts from the start of the machine may be moved, by a time namespace.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::Safe;
use crate::sys;
use crate::target::machine::boot_offset;

/// A file of a time zone is a few kilobytes long.
const LIMIT: usize = 64 * 1024;

const ZONES: &[u8] = b"/usr/share/zoneinfo/";

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("clock");
    zone(scene, &mut section);
    let now = clock_gettime(ClockId::CLOCK_REALTIME).ok().and_then(|time| u64::try_from(time.tv_sec()).ok());
    section.object.number("now_epoch", now);
    let synchronized = sys::time::is_synchronized();
    match synchronized {
        Some(true) => section.fact("clock", "the machine's, which follows a time server"),
        Some(false) => {
            let advice = "certificates and tokens may seem expired or not yet valid";
            section.finding(Level::Note, "clock", "the machine's, which follows no time server", advice);
        }
        None => section.fact("clock", "the machine's"),
    }
    match synchronized {
        Some(yes) => section.object.bool("synchronized", yes),
        None => section.object.null("synchronized"),
    };
    let moved = boot_offset(&mut scene.reader, scene.target.pid);
    if let Some(moved) = moved.filter(|moved| *moved != 0) {
        let text = format!("its clock since boot is moved by {moved} s (time namespace)");
        section.finding(Level::Note, "since boot", text, "ages are told by ours");
    }
    section.object.signed("boot_offset_seconds", moved);
    section
}

fn zone(scene: &mut Scene<'_>, section: &mut Section) {
    if let Err(error) = &scene.environment {
        section.unread("zone", error);
        section.object.null("zone").null("zone_from").null("zone_file").null("rule");
        return;
    }
    let variable = scene.variable(b"TZ").map(<[u8]>::to_vec);
    let link = scene.files.read_link(Path::new("@/etc/localtime")).ok();
    let chosen = choose(variable.as_deref(), link.as_ref().map(|link| link.as_bytes()));
    let found = scene.files.text(Path::new(OsStr::from_bytes(&[b"@", &chosen.file[..]].concat())), LIMIT).ok();
    // Without TZ and without the file it is UTC, as it should be.
    let rule = found.as_deref().and_then(rule);
    let name = Safe(&chosen.name);
    let shown = rule.as_ref().map(|rule| format!(", {}", Safe(rule))).unwrap_or_default();
    match (chosen.from, found.is_some()) {
        ("TZ", false) if !is_rule(&chosen.name) => {
            let text = format!("TZ is {name}, which has no file in its root");
            section.finding(Level::Warn, "zone", text, "it runs in UTC: add the tzdata package, or mount the file");
        }
        ("default", false) => section.fact("zone", "UTC: neither TZ nor /etc/localtime"),
        (from, _) => section.fact("zone", format_args!("{name}{shown} (by {from})")),
    }
    section.object.bytes("zone", &chosen.name).text("zone_from", chosen.from).bool("zone_file", found.is_some());
    match &rule {
        Some(rule) => section.object.bytes("rule", rule),
        None => section.object.null("rule"),
    };
}

/// What decides about the zone.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    name: Vec<u8>,
    from: &'static str,
    /// An absolute path in its root.
    file: Vec<u8>,
}

fn choose(variable: Option<&[u8]>, link: Option<&[u8]>) -> Chosen {
    let name_of = |path: &[u8]| match memchr::memmem::find(path, b"zoneinfo/") {
        Some(at) => path[at + 9..].to_vec(),
        None => path.to_vec(),
    };
    let local = b"/etc/localtime".to_vec();
    match (variable.map(|value| value.strip_prefix(b":").unwrap_or(value)), link) {
        // Empty, it means UTC.
        (Some(b""), _) => Chosen { name: b"UTC".to_vec(), from: "TZ", file: [ZONES, b"UTC"].concat() },
        (Some(path @ [b'/', ..]), _) => Chosen { name: name_of(path), from: "TZ", file: path.to_vec() },
        (Some(name), _) => Chosen { name: name.to_vec(), from: "TZ", file: [ZONES, name].concat() },
        (None, Some(link)) => Chosen { name: name_of(link), from: "/etc/localtime", file: local },
        (None, None) => Chosen { name: b"UTC".to_vec(), from: "default", file: local },
    }
}

/// A zone that is spelled out needs no file: `CET-1CEST,M3.5.0,M10.5.0/3`, `<+03>-3`; `UTC` and `GMT` are known to all.
fn is_rule(name: &[u8]) -> bool {
    let spelled = name.split(|byte| *byte == b',').next().unwrap_or_default();
    let has_offset = !spelled.contains(&b'/') && spelled.iter().any(u8::is_ascii_digit);
    has_offset || [&b"UTC"[..], b"GMT"].contains(&name)
}

/// The rule for the present, in the last line of a file of tzfile(5) since its second version.
fn rule(file: &[u8]) -> Option<Vec<u8>> {
    let text = file.strip_prefix(b"TZif")?.strip_suffix(b"\n")?;
    let start = memchr::memrchr(b'\n', text)? + 1;
    let line = &text[start..];
    (!line.is_empty() && line.len() < 100 && line.is_ascii()).then(|| line.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variable: Option<&str>, link: Option<&str>) -> (String, &'static str, String) {
        let found = choose(variable.map(str::as_bytes), link.map(str::as_bytes));
        (String::from_utf8(found.name).unwrap(), found.from, String::from_utf8(found.file).unwrap())
    }

    #[test]
    fn what_decides() {
        let of = |name: &str, from, file: &str| (String::from(name), from, String::from(file));
        let rome = "/usr/share/zoneinfo/Europe/Rome";
        assert_eq!(chosen(Some(":Europe/Rome"), Some("/x")), of("Europe/Rome", "TZ", rome));
        assert_eq!(chosen(Some(rome), None), of("Europe/Rome", "TZ", rome));
        assert_eq!(chosen(Some(""), None), of("UTC", "TZ", "/usr/share/zoneinfo/UTC"));
        let link = "../usr/share/zoneinfo/Etc/UTC";
        assert_eq!(chosen(None, Some(link)), of("Etc/UTC", "/etc/localtime", "/etc/localtime"));
        assert_eq!(chosen(None, None), of("UTC", "default", "/etc/localtime"));
    }

    #[test]
    fn zones_that_need_no_file() {
        for name in ["UTC", "GMT", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "EST5EDT"] {
            assert!(is_rule(name.as_bytes()), "{name}");
        }
        assert!(!is_rule(b"Europe/Rome") && !is_rule(b"Cuba"));
    }

    #[test]
    fn files_of_zones() {
        assert_eq!(
            rule(b"TZif2\0\xff\n\0TZif2..\nCET-1CEST,M3.5.0,M10.5.0/3\n"),
            Some(b"CET-1CEST,M3.5.0,M10.5.0/3".to_vec())
        );
        for bad in [&b""[..], b"TZif", b"TZif2\n", b"TZif2\n\n", b"TZif2\n\xff\n", b"x\nUTC0\n"] {
            assert_eq!(rule(bad), None);
        }
    }
}
