//! A memcached's command line: what it was told, and what its settings should then be.

use crate::protocol::memcached::text::number;

/// The letters that take a value.
const VALUED: &[u8] = b"apsUmcluPfntDRbBIYeoN";

/// Those that take none, and have no long name.
const SHORT: &[u8] = b"V";

const LONG: [(&str, u8); 34] = [
    ("unix-mask", b'a'),
    ("enable-shutdown", b'A'),
    ("listen-backlog", b'b'),
    ("protocol", b'B'),
    ("conn-limit", b'c'),
    ("disable-cas", b'C'),
    ("daemon", b'd'),
    ("memory-file", b'e'),
    ("slab-growth-factor", b'f'),
    ("disable-flush-all", b'F'),
    ("help", b'h'),
    ("license", b'i'),
    ("max-item-size", b'I'),
    ("lock-memory", b'k'),
    ("listen", b'l'),
    ("enable-largepages", b'L'),
    ("memory-limit", b'm'),
    ("disable-evictions", b'M'),
    ("slab-min-size", b'n'),
    ("extended", b'o'),
    ("port", b'p'),
    ("pidfile", b'P'),
    ("enable-coredumps", b'r'),
    ("max-reqs-per-event", b'R'),
    ("unix-socket", b's'),
    ("enable-sasl", b'S'),
    ("threads", b't'),
    ("user", b'u'),
    ("udp-port", b'U'),
    ("verbose", b'v'),
    ("disable-watch", b'W'),
    ("disable-dumping", b'X'),
    ("auth-file", b'Y'),
    ("enable-ssl", b'Z'),
];

/// What a command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Letters, and the values of those that have one, in their order.
    pub options: Vec<(u8, Vec<u8>)>,
    /// What nobody knows.
    pub unknown: Vec<Vec<u8>>,
}

fn is_known(letter: u8) -> bool {
    VALUED.contains(&letter) || SHORT.contains(&letter) || LONG.iter().any(|(_, known)| *known == letter)
}

impl Flags {
    /// Reads a line that somebody typed, which may begin with the program's name.
    pub fn line(line: &[u8]) -> Flags {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).peekable();
        words.next_if(|word| !word.starts_with(b"-"));
        Flags::parse(words)
    }

    /// Reads the arguments without the program's name, as getopt_long(3) does.
    pub fn parse<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Flags {
        let mut flags = Flags::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            if let Some(long) = arg.strip_prefix(b"--") {
                let (name, value) = match memchr::memchr(b'=', long) {
                    Some(at) => (&long[..at], Some(&long[at + 1..])),
                    None => (long, None),
                };
                match LONG.iter().find(|(known, _)| known.as_bytes() == name) {
                    Some((_, letter)) if VALUED.contains(letter) => {
                        let value = value.or_else(|| args.next()).unwrap_or_default();
                        flags.options.push((*letter, value.to_vec()));
                    }
                    Some((_, letter)) => flags.options.push((*letter, Vec::new())),
                    None => flags.unknown.push(arg.to_vec()),
                }
            } else if let Some(mut letters) = arg.strip_prefix(b"-") {
                // Letters that take no value may come first: `-vvp 11212`.
                while let Some((letter, rest)) = letters.split_first() {
                    letters = rest;
                    if !is_known(*letter) {
                        flags.unknown.push(vec![b'-', *letter]);
                        continue;
                    }
                    if VALUED.contains(letter) {
                        let value = if rest.is_empty() { args.next().unwrap_or_default() } else { rest };
                        flags.options.push((*letter, value.to_vec()));
                        break;
                    }
                    flags.options.push((*letter, Vec::new()));
                }
            } else {
                flags.unknown.push(arg.to_vec());
            }
        }
        flags
    }

    pub fn has(&self, letter: u8) -> bool {
        self.options.iter().any(|(known, _)| *known == letter)
    }

    /// The last value of a letter.
    pub fn value(&self, letter: u8) -> Option<&[u8]> {
        self.options.iter().rev().find(|(known, _)| *known == letter).map(|(_, value)| value.as_slice())
    }

    /// What `-o` lists: names, and the values of those that have one.
    pub fn extended(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lists = self.options.iter().filter(|(letter, _)| *letter == b'o');
        let words = lists.flat_map(|(_, list)| list.split(|byte| *byte == b','));
        words.filter(|word| !word.is_empty()).map(|word| match memchr::memchr(b'=', word) {
            Some(at) => (&word[..at], &word[at + 1..]),
            None => (word, &b""[..]),
        })
    }

    pub fn extended_value(&self, name: &str) -> Option<&[u8]> {
        self.extended().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }

    /// Whether TLS is spoken on a port. A socket in the file system speaks it as well.
    pub fn speaks_tls(&self, port: u16) -> bool {
        let lists = self.options.iter().filter(|(letter, _)| *letter == b'l');
        let mut plain = lists.flat_map(|(_, list)| list.split(|byte| *byte == b',')).filter_map(|entry| {
            let address = entry.strip_prefix(b"notls:")?;
            let (_, digits) = address.split_at(memchr::memrchr(b':', address)? + 1);
            number(digits)
        });
        self.has(b'Z') && !plain.any(|each| each == u64::from(port))
    }

    /// The settings (`stats settings`) that should be what the flags ask for: the flag, the name, the value.
    pub fn settings(&self) -> Vec<(String, Vec<u8>, Vec<u8>)> {
        let mut settings = Vec::new();
        for (letter, value) in &self.options {
            let fixed = |text: &str| text.as_bytes().to_vec();
            let (name, wanted) = match letter {
                b'm' => ("maxbytes", megabytes(value)),
                b'I' => ("item_size_max", size(value)),
                b'M' => ("evictions", fixed("off")),
                b'c' => ("maxconns", value.clone()),
                b't' => ("num_threads", value.clone()),
                b'p' => ("tcpport", value.clone()),
                b'U' => ("udpport", value.clone()),
                b'l' => ("inter", value.clone()),
                b's' => ("domain_socket", value.clone()),
                b'f' => ("growth_factor", factor(value)),
                b'n' => ("chunk_size", value.clone()),
                b'b' => ("tcp_backlog", value.clone()),
                b'R' => ("reqs_per_event", value.clone()),
                b'C' => ("cas_enabled", fixed("no")),
                b'S' => ("auth_enabled_sasl", fixed("yes")),
                b'Y' => ("auth_enabled_ascii", value.clone()),
                b'Z' => ("ssl_enabled", fixed("yes")),
                b'F' => ("flush_enabled", fixed("no")),
                b'X' => ("dump_enabled", fixed("no")),
                b'W' => ("watch_enabled", fixed("no")),
                b'A' => ("shutdown_command", fixed("yes")),
                b'B' => {
                    let name = match value.as_slice() {
                        b"auto" => "auto-negotiate",
                        b"ascii" => "ascii",
                        _ => "binary",
                    };
                    ("binding_protocol", fixed(name))
                }
                _ => continue,
            };
            settings.push((format!("-{}", char::from(*letter)), name.as_bytes().to_vec(), wanted));
        }
        for (name, value) in self.extended() {
            let (name, value) = match name.strip_prefix(b"no_") {
                Some(name) => (name, &b"no"[..]),
                None if value.is_empty() => (name, &b"yes"[..]),
                None => (name, value),
            };
            settings.push((String::from("-o"), name.to_vec(), value.to_vec()));
        }
        settings
    }
}

/// `-m`: a number of MiB, with a letter since 1.6.
fn megabytes(text: &[u8]) -> Vec<u8> {
    match number(text) {
        Some(count) => count.saturating_mul(1 << 20).to_string().into_bytes(),
        None => size(text),
    }
}

/// A number with `k`, `m` or `g`.
fn size(text: &[u8]) -> Vec<u8> {
    crate::output::units::count(text).map_or_else(|| text.to_vec(), |size| size.to_string().into_bytes())
}

/// The server shows two digits.
fn factor(text: &[u8]) -> Vec<u8> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    number.map_or_else(|| text.to_vec(), |number| format!("{number:.2}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        Flags::parse(line.split(' ').map(str::as_bytes))
    }

    #[test]
    fn every_way_to_write_it() {
        for line in ["-vvp 11212", "-vvp11212", "-v -v --port 11212", "-v -v --port=11212"] {
            let flags = flags(line);
            assert_eq!((flags.value(b'p'), flags.has(b'v'), flags.options.len()), (Some(&b"11212"[..]), true, 3));
        }
        assert_eq!(flags("-Y /f -p 1 x --what").unknown, [b"x".to_vec(), b"--what".to_vec()]);
        let line = Flags::line(b" memcached  -m 64 -vxK 3");
        assert_eq!(line.unknown, [b"-x".to_vec(), b"-K".to_vec(), b"3".to_vec()]);
        assert_eq!((line.value(b'm'), line.options.len()), (Some(&b"64"[..]), 2));
        assert_eq!(flags("-p").value(b'p'), Some(&b""[..]));
    }

    #[test]
    fn tls_by_listener() {
        let flags = flags("-Z -l 10.0.0.1,notls:127.0.0.1:11212,mtls:0.0.0.0:11213");
        assert_eq!([11211, 11212, 11213].map(|port| flags.speaks_tls(port)), [true, false, true]);
        assert!(!Flags::default().speaks_tls(11211));
    }

    #[test]
    fn extended_options() {
        let flags = flags("-o ssl_chain_cert=/c,modern -Z -o idle_timeout=2");
        assert_eq!(flags.extended_value("ssl_chain_cert"), Some(&b"/c"[..]));
        assert_eq!(flags.extended_value("modern"), Some(&b""[..]));
        assert_eq!(flags.extended_value("idle_timeout"), Some(&b"2"[..]));
        assert_eq!(flags.extended_value("idle"), None);
    }

    #[test]
    fn what_settings_should_be() {
        let settings: Vec<String> = flags("-m 256 -c 2048 -I 10m -M -f 1.5 -o idle_timeout=2,no_maxconns_fast")
            .settings()
            .iter()
            .map(|(flag, name, value)| {
                format!("{flag} {}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
            })
            .collect();
        assert_eq!(
            settings,
            [
                "-m maxbytes=268435456",
                "-c maxconns=2048",
                "-I item_size_max=10485760",
                "-M evictions=off",
                "-f growth_factor=1.50",
                "-o idle_timeout=2",
                "-o maxconns_fast=no",
            ]
        );
    }
}
