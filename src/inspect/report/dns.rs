//! How the target looks names up: its resolv.conf, hosts and nsswitch.conf, by `@/`, and what its C library makes of them.

use std::path::Path;

use super::{Scene, Section, shortened};
use crate::inspect::Level;
use crate::net::resolve::Configuration;
use crate::output::Safe;
use crate::target::libraries::Loader;

/// The most that is read of each file.
const LIMIT: usize = 64 * 1024;

/// People see this much of a list.
const SHOWN: usize = 300;

/// The name that stands for all short ones.
const SHORT: &[u8] = b"NAME";

/// Names that machines see.
const LISTED: usize = 50;

/// The C library looks at this many servers (resolv.conf(5), MAXNS).
const SERVERS: usize = 3;

/// resolv.conf(5).
#[derive(Debug, Default, PartialEq, Eq)]
struct Resolver {
    servers: Vec<Vec<u8>>,
    search: Vec<Vec<u8>>,
    ndots: u64,
}

impl Resolver {
    fn parse(text: &[u8]) -> Resolver {
        let mut found = Resolver { ndots: 1, ..Resolver::default() };
        for line in text.split(|byte| *byte == b'\n') {
            let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            match words.next() {
                Some(b"nameserver") => found.servers.extend(words.next().map(<[u8]>::to_vec)),
                // The last of several lines counts.
                Some(b"search" | b"domain") => found.search = words.map(<[u8]>::to_vec).collect(),
                Some(b"options") => {
                    let value = words.filter_map(|word| word.strip_prefix(b"ndots:")).next_back();
                    let value = value.and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
                    found.ndots = value.map_or(found.ndots, |value| value.min(15));
                }
                _ => {}
            }
        }
        found
    }
}

pub fn look(scene: &mut Scene<'_>) -> Section {
    let mut section = Section::new("dns");
    let read = |path: &str| scene.files.text(Path::new(path), LIMIT);
    let text = read("@/etc/resolv.conf");
    let resolver = match &text {
        Ok(text) => Some(Resolver::parse(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && scene.denied.is_none() => {
            let advice = "names are asked of 127.0.0.1 only";
            section.finding(Level::Warn, "servers", "there is no /etc/resolv.conf", advice);
            None
        }
        Err(error) => {
            section.unread("servers", error);
            None
        }
    };
    match &resolver {
        Some(found) => {
            describe(&mut section, found);
            section.object.strings("servers", found.servers.iter().take(LISTED).map(Vec::as_slice));
            section.object.strings("search", found.search.iter().take(LISTED).map(Vec::as_slice));
            section.object.number("ndots", Some(found.ndots))
        }
        None => section.object.null("servers").null("search").null("ndots"),
    };
    tries(&mut section, text.as_deref().ok());
    let hosts = read("@/etc/hosts").ok().map(|text| entries(&text));
    if let Some(count) = hosts {
        section.fact("hosts", format_args!("{count} addresses in /etc/hosts"));
    }
    section.object.number("hosts", hosts);
    let order = read("@/etc/nsswitch.conf").ok().and_then(|text| order(&text));
    sources(scene, &mut section, order.as_deref());
    match &order {
        Some(order) => section.object.bytes("order", order),
        None => section.object.null("order"),
    };
    section
}

/// What is asked for a name without a dot, and how long it takes to learn that nobody answers.
fn tries(section: &mut Section, text: Option<&[u8]>) {
    let Some(text) = text else {
        section.object.null("tries").null("timeout_seconds").null("attempts");
        return;
    };
    let found = Configuration::parse(text);
    let names = found.candidates(SHORT);
    let shown: Vec<String> = names.iter().map(|name| Safe(name).to_string()).collect();
    section.fact("tries", format_args!("{} in this order", shortened(shown.join(", "), SHOWN)));
    let seconds = found.timeout.as_secs();
    let worst = seconds
        .saturating_mul(u64::from(found.attempts))
        .saturating_mul(found.servers.len() as u64)
        .saturating_mul(names.len() as u64);
    section.fact(
        "silence",
        format_args!("{seconds} s, {} times, of each server for each name: up to {worst} s", found.attempts),
    );
    section.object.strings("tries", names.iter().take(LISTED).map(Vec::as_slice));
    section.object.number("timeout_seconds", Some(seconds)).number("attempts", Some(u64::from(found.attempts)));
}

/// Where the C library looks. musl has its own order; a static program may have any.
fn sources(scene: &Scene<'_>, section: &mut Section, order: Option<&[u8]>) {
    let interpreter =
        scene.elf.as_ref().ok().and_then(|elf| Some(elf.as_ref()?.interpreter.as_deref().map(Loader::of)));
    let note = match interpreter {
        Some(Some(Loader::Musl)) => "musl reads no nsswitch.conf: /etc/hosts, then all servers at once",
        Some(Some(Loader::Glibc)) => {
            match order {
                Some(order) => section.fact("order", shortened(Safe(order).to_string(), SHOWN)),
                None => section.fact("order", "files dns (glibc's own, there is no line for hosts in nsswitch.conf)"),
            }
            let missing: Vec<String> = modules(order.unwrap_or_default())
                .filter(|module| !has_module(scene, module))
                .map(|module| Safe(module).to_string())
                .collect();
            if !missing.is_empty() {
                let text = format!("{}: its libnss_*.so.2 is not there", shortened(missing.join(" "), SHOWN));
                section.finding(Level::Note, "order", text, "glibc passes it over");
            }
            return;
        }
        Some(None) => "a static program has its own resolver, which may not read nsswitch.conf",
        None => "which C library it has is unknown",
    };
    section.fact("order", note);
}

/// Sources beyond those that are built into glibc; what stands in brackets is what to do with their answers.
fn modules(order: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut depth = false;
    let words = order.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let outside = words.filter(move |word| {
        let inside = depth || word.starts_with(b"[");
        depth = inside && !word.ends_with(b"]");
        !inside
    });
    outside.filter(|word| !matches!(*word, b"files" | b"dns")).take(16)
}

fn has_module(scene: &Scene<'_>, module: &[u8]) -> bool {
    // A name that leads elsewhere is no module's.
    let plain = module.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let Some(name) = std::str::from_utf8(module).ok().filter(|_| plain) else { return false };
    let machine = std::env::consts::ARCH;
    let places = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"].map(String::from);
    let triples = [format!("/lib/{machine}-linux-gnu"), format!("/usr/lib/{machine}-linux-gnu")];
    let mut directories = places.iter().chain(&triples);
    directories.any(|place| scene.files.metadata(Path::new(&format!("@{place}/libnss_{name}.so.2"))).is_ok())
}

fn describe(section: &mut Section, found: &Resolver) {
    let joined = |words: &[Vec<u8>]| shortened(Safe(&words.join(&b' ')).to_string(), SHOWN);
    match found.servers.len() {
        0 => section.finding(Level::Warn, "servers", "none", "names are asked of 127.0.0.1 only"),
        1..=SERVERS => section.fact("servers", joined(&found.servers)),
        _ => {
            section.finding(Level::Note, "servers", joined(&found.servers), "the C library asks the first three only");
        }
    }
    if !found.search.is_empty() {
        let tries = found.search.len() + 1;
        let text = format!("{} (ndots {})", joined(&found.search), found.ndots);
        match found.ndots > 1 {
            true => {
                let advice = format!(
                    "a name with fewer than {} dots is tried in up to {tries} forms; one with a dot at its end only as it is",
                    found.ndots
                );
                section.finding(Level::Note, "search", text, &advice);
            }
            false => section.fact("search", text),
        }
    }
}

/// Lines of hosts(5) with an address.
fn entries(text: &[u8]) -> u64 {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    u64::try_from(lines.filter(|line| !line.is_empty() && line[0] != b'#').count()).unwrap_or(u64::MAX)
}

/// The line `hosts:` of nsswitch.conf(5).
fn order(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.find_map(|line| line.strip_prefix(b"hosts:")).map(|order| order.trim_ascii().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files() {
        let text = b"# x\nnameserver 10.0.0.1\nnameserver\n  nameserver 10.0.0.2 x\nsearch a b\nsearch c.d\n\
            options timeout:1 ndots:5\noptions ndots:x\n";
        let expected = Resolver {
            servers: vec![b"10.0.0.1".to_vec(), b"10.0.0.2".to_vec()],
            search: vec![b"c.d".to_vec()],
            ndots: 5,
        };
        assert_eq!(Resolver::parse(text), expected);
        assert_eq!(Resolver::parse(b"options ndots:999999999").ndots, 15);
        assert_eq!(Resolver::parse(b"\xff\0").ndots, 1);
        assert_eq!(entries(b"# x\n\n127.0.0.1 a\n ::1 a\n"), 2);
        assert_eq!(order(b"passwd: files\nhosts:  files dns\n"), Some(b"files dns".to_vec()));
    }

    #[test]
    fn modules_of_glibc() {
        let of =
            |order: &str| modules(order.as_bytes()).map(|word| Safe(word).to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(of("files mdns4_minimal [NOTFOUND=return] dns"), "mdns4_minimal");
        assert_eq!(of("resolve [!UNAVAIL=return SUCCESS=merge] files"), "resolve");
        assert_eq!(of("files [x"), "");
        assert_eq!(of(&"a ".repeat(1000)).len(), 31);
    }

    #[test]
    fn what_a_short_name_stands_for() {
        let mut section = Section::new("dns");
        tries(&mut section, Some(b"nameserver 10.0.0.1\nsearch a.local local\noptions ndots:5 timeout:2 attempts:3\n"));
        let lines: Vec<&str> = section.facts.iter().map(|fact| fact.text.as_str()).collect();
        assert_eq!(
            lines,
            ["NAME.a.local, NAME.local, NAME in this order", "2 s, 3 times, of each server for each name: up to 18 s"]
        );
        assert_eq!(
            section.object.finish(),
            r#"{"tries":["NAME.a.local","NAME.local","NAME"],"timeout_seconds":2,"attempts":3}"#
        );
    }

    /// As much as is read of a file of any size.
    #[test]
    fn a_huge_file() {
        let text = b"search a.b\noptions ndots:9\nnameserver 1.2.3.4\n".repeat(200_000);
        let text = &text[..LIMIT];
        let mut section = Section::new("dns");
        describe(&mut section, &Resolver::parse(text));
        tries(&mut section, Some(text));
        assert!(section.facts.iter().all(|fact| fact.text.chars().count() <= SHOWN + 40));
    }
}
