//! How the target looks names up: its resolv.conf, hosts and nsswitch.conf, by `@/`.

use std::path::Path;

use super::{Scene, Section};
use crate::inspect::Level;
use crate::output::Safe;

/// The most that is read of each file.
const LIMIT: usize = 64 * 1024;

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
    let resolver = match read("@/etc/resolv.conf") {
        Ok(text) => Some(Resolver::parse(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && scene.denied.is_none() => {
            let advice = "names are asked of 127.0.0.1 only";
            section.finding(Level::Warn, "servers", "there is no /etc/resolv.conf", advice);
            None
        }
        Err(error) => {
            section.unread("servers", &error);
            None
        }
    };
    match &resolver {
        Some(found) => {
            describe(&mut section, found);
            section.object.strings("servers", found.servers.iter().map(Vec::as_slice));
            section.object.strings("search", found.search.iter().map(Vec::as_slice));
            section.object.number("ndots", Some(found.ndots))
        }
        None => section.object.null("servers").null("search").null("ndots"),
    };
    let hosts = read("@/etc/hosts").ok().map(|text| entries(&text));
    if let Some(count) = hosts {
        section.fact("hosts", format_args!("{count} addresses in /etc/hosts"));
    }
    section.object.number("hosts", hosts);
    let order = read("@/etc/nsswitch.conf").ok().and_then(|text| order(&text));
    match &order {
        Some(order) => {
            section.fact("order", Safe(order));
            section.object.bytes("order", order);
        }
        None => {
            section.object.null("order");
        }
    }
    section
}

fn describe(section: &mut Section, found: &Resolver) {
    let joined = |words: &[Vec<u8>]| Safe(&words.join(&b' ')).to_string();
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
}
