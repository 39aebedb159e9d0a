//! The TLS certificates that the target was told to use, in its arguments, its environment, or a configuration file that
//! these name: whose they are, and until when.
//!
//! Whatever looks like a path there is looked at, and what holds a certificate counts. Keys are not told from the rest,
//! because nothing but the certificates' fields leaves this file.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::time::{ClockId, clock_gettime};

use super::{Scene, Section, shortened};
use crate::inspect::Level;
use crate::inspect::service::in_target;
use crate::net::certificate::{self, Certificate};
use crate::output::json::Object;
use crate::output::{Safe, units};
use crate::target::process::split_arguments;
use crate::target::program::working_directory;

/// Files that are looked at, and the most that is read of each: a bundle of all authorities has a quarter of it.
const FILES: usize = 100;
const LIMIT: usize = 1 << 20;

/// The most that is read of a configuration file, and names that are taken from one.
const CONFIGURATION: usize = 256 * 1024;
const NAMES: usize = 50;

/// Entries of a directory that are looked at.
const ENTRIES: usize = 50;

/// Certificates that people see, and machines.
const SHOWN: usize = 6;
const LISTED: usize = 100;

/// A file or directory with more certificates than a chain has is a bundle of authorities, where an old one does no harm.
const CHAIN: usize = 6;

/// People see this much of a name.
const LENGTH: usize = 120;

/// It expires soon.
const SOON: i64 = 30 * 86400;

/// A certificate, and where it was found.
struct Found {
    /// In its root; empty for one that stands in the environment.
    path: Vec<u8>,
    source: &'static str,
    /// Its place in the file, and how many are there.
    index: usize,
    of: usize,
    /// It is one of many authorities.
    bundled: bool,
    certificate: Certificate,
}

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("certificates");
    if scene.denied.is_some() {
        section.finding(Level::Unknown, "found", scene.why_not(""), "");
        section.object.null("found");
        return section;
    }
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |time| time.tv_sec());
    let found = search(scene);
    if found.is_empty() {
        section.fact("found", "none in its arguments, environment and configuration");
    }
    describe(&mut section, &found, now);
    // Authorities are many and the same everywhere: the others come first.
    let ours = found.iter().filter(|one| !one.bundled).chain(found.iter().filter(|one| one.bundled));
    section.object.objects("found", ours.take(LISTED).map(|found| row(found, now)));
    section
}

/// What was looked at, and what is still to be.
struct Search<'s, 'f> {
    scene: &'s Scene<'f>,
    /// The directory that relative paths start from.
    directory: Vec<u8>,
    seen: HashSet<Vec<u8>>,
    found: Vec<Found>,
}

fn search(scene: &mut Scene<'_>) -> Vec<Found> {
    let line = scene.reader.arguments(scene.target.pid).unwrap_or_default();
    // The program itself is none of them.
    let arguments: Vec<Vec<u8>> = split_arguments(line).skip(1).map(<[u8]>::to_vec).collect();
    let directory = working_directory(&scene.reader, scene.target.pid).unwrap_or_else(|_| b"/".to_vec());
    let mut search = Search { scene, directory, seen: HashSet::new(), found: Vec::new() };
    let mut configurations = Vec::new();
    for path in arguments.iter().flat_map(|argument| paths(argument)) {
        configurations.extend(search.file(path, "argument"));
    }
    for pair in search.scene.environment.iter().flatten() {
        let value = pair.iter().position(|byte| *byte == b'=').map_or(&b""[..], |at| &pair[at + 1..]);
        match memchr::memmem::find(value, b"-----BEGIN ") {
            Some(_) => search.add(Vec::new(), "environment", certificate::all(value)),
            None => {
                for path in paths(value).filter(|path| path.starts_with(b"/")) {
                    configurations.extend(search.file(path, "environment"));
                }
            }
        }
    }
    for text in configurations {
        for path in named(&text).take(NAMES) {
            search.file(path, "configuration");
        }
    }
    search.found
}

impl Search<'_, '_> {
    fn add(&mut self, path: Vec<u8>, source: &'static str, certificates: Vec<Certificate>) {
        let of = certificates.len();
        let bundled = of > CHAIN;
        self.found.extend(certificates.into_iter().enumerate().map(|(index, certificate)| Found {
            path: path.clone(),
            source,
            index,
            of,
            bundled,
            certificate,
        }));
    }

    /// Looks at a path; gives the text of what may be a configuration file.
    fn file(&mut self, path: &[u8], source: &'static str) -> Option<Vec<u8>> {
        let path = match path {
            [b'/', ..] => path.to_vec(),
            _ => [&self.directory, &b"/"[..], path].concat(),
        };
        if self.seen.len() >= FILES || !self.seen.insert(path.clone()) {
            return None;
        }
        let inner = in_target(&path);
        let place = Path::new(OsStr::from_bytes(&inner));
        let found = self.scene.files.metadata(place).ok()?;
        match found.st_mode & libc::S_IFMT {
            libc::S_IFREG => {
                let text = self.scene.files.text(place, LIMIT).ok()?;
                let certificates = certificate::all(&text);
                let text = (certificates.is_empty() && text.len() <= CONFIGURATION).then_some(text);
                self.add(path, source, certificates);
                text
            }
            libc::S_IFDIR if source != "configuration" => {
                let entries = self.scene.files.directory(place).and_then(|directory| directory.read()).ok()?;
                let names: Vec<Vec<u8>> = entries
                    .take(ENTRIES)
                    .filter_map(Result::ok)
                    .map(|entry| entry.name.as_bytes().to_vec())
                    .filter(|name| is_certificate(name))
                    .collect();
                let before = self.found.len();
                for name in names {
                    self.file(&[&path, &b"/"[..], &name].concat(), source);
                }
                if self.found.len() - before > CHAIN {
                    self.found[before..].iter_mut().for_each(|found| found.bundled = true);
                }
                None
            }
            _ => None,
        }
    }
}

/// Names by which certificates go.
fn is_certificate(path: &[u8]) -> bool {
    [&b".pem"[..], b".crt", b".cer", b".cert", b".der"].iter().any(|ending| path.ends_with(ending))
}

/// What of an argument or a value may be a path: `--cert=/x`, `ssl_chain_cert=/x,ssl_key=/y`, `/a:/b`, `dir/x.pem`.
fn paths(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = text.split(|byte| matches!(byte, b'=' | b',' | b':' | b';' | b'@' | b' '));
    parts.filter(|part| {
        part.len() > 1 && part.len() < 4096 && !part.starts_with(b"-") && part.contains(&b'/') || is_certificate(part)
    })
}

/// The paths in a configuration file that go by a certificate's name.
fn named(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = text.split(|byte| byte.is_ascii_whitespace() || b"\"'=,;:<>(){}[]".contains(byte));
    words.filter(|word| word.len() < 4096 && is_certificate(word))
}

fn describe(section: &mut Section, found: &[Found], now: i64) {
    let bundled: Vec<&Found> = found.iter().filter(|one| one.bundled).collect();
    if !bundled.is_empty() {
        let old = bundled.iter().filter(|one| one.certificate.not_after < now).count();
        section.fact("authorities", format_args!("{} in bundles, {old} of them expired", bundled.len()));
    }
    let mut shown = 0;
    for one in found.iter().filter(|one| !one.bundled) {
        let Found { path, index, of, certificate, .. } = one;
        let level = judge(one, now);
        shown += 1;
        if shown > SHOWN && level < Level::Warn {
            continue;
        }
        let place = if path.is_empty() { String::from("(environment)") } else { Safe(path).to_string() };
        let which = if *of > 1 { format!(" ({} of {of})", index + 1) } else { String::new() };
        let subject = shortened(Safe(&certificate.subject).to_string(), LENGTH);
        let text = format!("{subject} {}, {place}{which}", until(certificate, now));
        let advice = match level {
            Level::Fail => "who checks it refuses the connection: renew it",
            Level::Warn => "renew it",
            _ => "",
        };
        section.finding(level, "certificate", text, advice);
    }
    if shown > SHOWN {
        section.fact("certificate", format_args!("{shown} in all (--json)"));
    }
}

/// Expired, or not valid yet: nobody connects. What comes behind the first one of a file is of its chain, and may not be
/// needed.
fn judge(found: &Found, now: i64) -> Level {
    let Certificate { not_before, not_after, .. } = found.certificate;
    match () {
        () if found.bundled => Level::Ok,
        () if now > not_after || now < not_before => {
            if found.index == 0 {
                Level::Fail
            } else {
                Level::Warn
            }
        }
        () if not_after - now < SOON => Level::Warn,
        () => Level::Ok,
    }
}

fn until(certificate: &Certificate, now: i64) -> String {
    let time = |seconds: i64| units::duration(seconds.unsigned_abs());
    let (before, after) = (certificate.not_before.saturating_sub(now), certificate.not_after.saturating_sub(now));
    match () {
        () if before > 0 => format!("is not valid for another {}", time(before)),
        () if after < 0 => format!("expired {} ago", time(after)),
        () => format!("expires in {}", time(after)),
    }
}

fn row(found: &Found, now: i64) -> Object {
    let Found { path, source, certificate, .. } = found;
    let mut row = Object::new();
    match path.is_empty() {
        true => row.null("path"),
        false => row.bytes("path", path),
    };
    row.text("source", source);
    certificate.describe(&mut row);
    row.signed("days_left", Some(certificate.not_after.saturating_sub(now).div_euclid(86400)));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(index: usize, of: usize, not_before: i64, not_after: i64) -> Found {
        let certificate = Certificate {
            subject: b"CN=\x1bx".to_vec(),
            issuer: b"CN=ca".to_vec(),
            names: vec![b"x".to_vec()],
            names_count: 1,
            not_before,
            not_after,
        };
        Found { path: b"/tls/x.pem".to_vec(), source: "argument", index, of, bundled: of > CHAIN, certificate }
    }

    #[test]
    fn when_it_is_wrong() {
        let now = 100 * 86400;
        let level = |index, of, before: i64, after: i64| judge(&found(index, of, now + before, now + after), now);
        assert_eq!(level(0, 1, -1, SOON), Level::Ok);
        assert_eq!([level(0, 1, -1, SOON - 1), level(1, 2, -9, -1)], [Level::Warn; 2]);
        assert_eq!([level(0, 1, -9, -1), level(0, 1, 1, 9)], [Level::Fail; 2]);
        assert_eq!(level(0, 100, -9, -1), Level::Ok);
    }

    #[test]
    fn lines() {
        let mut section = Section::new("certificates");
        let list = [found(0, 2, 0, 90_000), found(1, 2, 0, 5_184_000)];
        describe(&mut section, &list, 3600);
        let lines: Vec<(Level, &str)> = section.facts.iter().map(|fact| (fact.level, fact.text.as_str())).collect();
        assert_eq!(
            lines,
            [
                (Level::Warn, "CN=\\x1bx expires in 1d00h, /tls/x.pem (1 of 2)"),
                (Level::Ok, "CN=\\x1bx expires in 59d23h, /tls/x.pem (2 of 2)"),
            ]
        );
        assert_eq!(
            row(&list[0], 3600).finish(),
            r#"{"path":"/tls/x.pem","source":"argument","subject":"CN=\u001bx","issuer":"CN=ca","names":["x"],"not_before_epoch":0,"not_after_epoch":90000,"days_left":1}"#
        );
    }

    #[test]
    fn what_looks_like_a_path() {
        let of = |text: &str| {
            paths(text.as_bytes()).map(|path| String::from_utf8(path.to_vec()).unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("ssl_chain_cert=/c/x.pem,ssl_key=/c/k"), "/c/x.pem /c/k");
        assert_eq!(of("--cert=x.crt"), "x.crt");
        assert_eq!(of("-o"), "");
        assert_eq!(of("/a:/b"), "/a /b");
        let words = named(b"ssl_certificate \"/etc/x.crt\";\nkey: /etc/k.key\ncert=[a.pem]\n");
        assert_eq!(words.collect::<Vec<_>>(), [&b"/etc/x.crt"[..], b"a.pem"]);
    }
}
