//! The lines of `watch` (since 1.4.26), as the server's logger writes them. Pure.
//!
//! `ts=SECONDS.MICROS gid=N type=KIND NAME=VALUE…`, where MICROS is a number and no fraction: `.4123` are 4123 µs. Keys are
//! written with `%XX`. Words without a name belong to the value before them, and what clients of a proxy sent goes up to the
//! end of the line. Raw commands have no type: `<16 get foo`.

use super::dump::percent;
use super::text::{Element, Malformed, Refusal, element, number, sample};

/// More than any line; the server's own limit is 4096 bytes.
pub const MAX_LINE: usize = 8192;

/// What a server can be asked to tell.
pub const CLASSES: [&str; 10] = [
    "fetchers",
    "mutations",
    "evictions",
    "connevents",
    "deletions",
    "sysevents",
    "rawcmds",
    "proxyreqs",
    "proxyevents",
    "proxyuser",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// It tells from now on.
    Begin,
    Event(Event<'a>),
    /// So many lines were left out, because nobody read them.
    Skipped(u64),
    Refused(Refusal),
}

/// Something that has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Since 1970.
    pub seconds: u64,
    pub micros: u32,
    /// In the order of what happened, across threads.
    pub order: u64,
    /// `item_get`, `conn_new`; `raw` where the line has none.
    pub kind: &'a [u8],
    rest: &'a [u8],
}

/// Reads one line and says how many bytes it took; `None` where more bytes are needed.
pub fn line(bytes: &[u8]) -> Result<Option<(Line<'_>, usize)>, Malformed> {
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        return if bytes.len() >= MAX_LINE { Err(Malformed::TooLong) } else { Ok(None) };
    };
    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    if let Some(event) = event(text) {
        return Ok(Some((Line::Event(event), end + 1)));
    }
    if let Some(count) = text.strip_prefix(b"skipped=").and_then(number) {
        return Ok(Some((Line::Skipped(count), end + 1)));
    }
    match element(&bytes[..=end])? {
        Some((Element::Ok, _)) => Ok(Some((Line::Begin, end + 1))),
        Some((Element::Refused(refusal), _)) => Ok(Some((Line::Refused(refusal), end + 1))),
        _ => Err(Malformed::Foreign(None, sample(text))),
    }
}

fn event(text: &[u8]) -> Option<Event<'_>> {
    let rest = text.strip_prefix(b"ts=")?;
    let (moment, rest) = word(rest);
    let point = memchr::memchr(b'.', moment)?;
    let seconds = number(&moment[..point])?;
    let micros = number(&moment[point + 1..]).filter(|micros| *micros < 1_000_000)?;
    let (order, rest) = word(rest.strip_prefix(b"gid=")?);
    let (kind, rest) = match rest.strip_prefix(b"type=") {
        Some(rest) => word(rest),
        None => (&b"raw"[..], rest),
    };
    Some(Event { seconds, micros: u32::try_from(micros).ok()?, order: number(order)?, kind, rest })
}

/// The first word, and what stands behind it.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', text).unwrap_or(text.len());
    (&text[..end], text.get(end + 1..).unwrap_or_default())
}

impl<'a> Event<'a> {
    pub fn fields(&self) -> Fields<'a> {
        match self.kind {
            b"raw" => Fields { rest: self.rest, bare: true },
            _ => Fields { rest: self.rest, bare: false },
        }
    }

    pub fn field(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    pub fn number(&self, name: &[u8]) -> Option<u64> {
        self.field(name).and_then(number)
    }

    /// The key as it is, into a buffer; false where it has none.
    pub fn key(&self, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        let key = self.field(b"key");
        key.inspect(|key| percent(key, buffer)).is_some()
    }
}

/// Names and values in their order.
pub struct Fields<'a> {
    rest: &'a [u8],
    /// All of it is one value.
    bare: bool,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, value) = match name(self.rest) {
            Some(length) if !self.bare => (&self.rest[..length], &self.rest[length + 1..]),
            _ => (&b"text"[..], self.rest),
        };
        let mut end = value.len();
        if !self.bare && !matches!(name, b"req" | b"msg") {
            let blanks = memchr::memchr_iter(b' ', value);
            end = blanks.into_iter().find(|at| self::name(&value[at + 1..]).is_some()).unwrap_or(end);
        }
        self.rest = value.get(end + 1..).unwrap_or_default();
        Some((name, &value[..end]))
    }
}

/// How long the name is that a text begins with.
fn name(text: &[u8]) -> Option<usize> {
    let length = text.iter().take_while(|byte| byte.is_ascii_lowercase() || **byte == b'_').count();
    (length > 0 && text.get(length) == Some(&b'=')).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Safe;

    fn shown(text: &[u8]) -> String {
        match line(text) {
            Ok(Some((Line::Event(event), used))) => {
                assert_eq!(used, text.len());
                let fields: Vec<String> =
                    event.fields().map(|(name, value)| format!("{}|{}", Safe(name), Safe(value))).collect();
                let Event { seconds, micros, order, kind, .. } = event;
                format!("{seconds} {micros} {order} {} {}", Safe(kind), fields.join(" "))
            }
            other => format!("{other:?}"),
        }
    }

    /// As 1.6.18 and the sources of 1.6.45 write them.
    #[test]
    fn events() {
        for (text, expected) in [
            (
                &b"ts=1795805583.2422 gid=16 type=item_get key=foo status=found clsid=1 cfd=16 size=3\n"[..],
                "1795805583 2422 16 item_get key|foo status|found clsid|1 cfd|16 size|3",
            ),
            (
                b"ts=1795805582.699752 gid=7 type=item_store key=a%01b%25c status=stored cmd=set ttl=100 clsid=1 cfd=16 size=3\n",
                "1795805582 699752 7 item_store key|a%01b%25c status|stored cmd|set ttl|100 clsid|1 cfd|16 size|3",
            ),
            (
                b"ts=1795805582.0 gid=3 type=conn_new rip=127.0.0.1 rport=49790 transport=tcp cfd=16\n",
                "1795805582 0 3 conn_new rip|127.0.0.1 rport|49790 transport|tcp cfd|16",
            ),
            (
                b"ts=1.2 gid=3 type=conn_close rip=unix rport=0 transport=local reason=idle_timeout cfd=16\n",
                "1 2 3 conn_close rip|unix rport|0 transport|local reason|idle_timeout cfd|16",
            ),
            (
                b"ts=1.2 gid=9 type=eviction key=k fetch=no ttl=-1 la=12 clsid=6 size=200\n",
                "1 2 9 eviction key|k fetch|no ttl|-1 la|12 clsid|6 size|200",
            ),
            (
                b"ts=1.2 gid=9 type=deleted key=k cmd=md clsid=6 size=200\n",
                "1 2 9 deleted key|k cmd|md clsid|6 size|200",
            ),
            (b"ts=1.2 gid=9 type=slab_move src=3 dst=0\n", "1 2 9 slab_move src|3 dst|0"),
            (b"ts=1.2 gid=9 <16 get a=b c\n", "1 2 9 raw text|<16 get a=b c"),
            (
                b"ts=1.2 gid=9 type=proxy_req elapsed=112 type=105 code=17 status=0 be=127.0.0.1:11511 detail=slow one req=mg foo v key=x\n",
                "1 2 9 proxy_req elapsed|112 type|105 code|17 status|0 be|127.0.0.1:11511 detail|slow one req|mg foo v key=x",
            ),
            (
                b"ts=1.2 gid=9 type=proxy_error msg=lua: x=1 failed\n",
                "1 2 9 proxy_error msg|lua: x=1 failed",
            ),
            (b"ts=1.2 gid=9 type=odd words first a=\n", "1 2 9 odd text|words first a|"),
            (b"ts=1.2 gid=9 type=\n", "1 2 9  "),
        ] {
            assert_eq!(shown(text), expected);
            for length in 0..text.len() {
                assert_eq!(line(&text[..length]), Ok(None), "cut at {length}");
            }
        }
    }

    #[test]
    fn fields_by_name() {
        let Ok(Some((Line::Event(event), _))) =
            line(b"ts=1.2 gid=9 type=item_get key=a%20b status=found clsid=1 cfd=16 size=18446744073709551615\n")
        else {
            panic!()
        };
        let mut key = Vec::new();
        assert!(event.key(&mut key) && key == b"a b");
        assert_eq!((event.number(b"size"), event.number(b"status")), (Some(u64::MAX), None));
        assert_eq!(event.field(b"none"), None);
    }

    #[test]
    fn other_lines() {
        assert_eq!(line(b"OK\r\n"), Ok(Some((Line::Begin, 4))));
        assert_eq!(line(b"skipped=1234\n"), Ok(Some((Line::Skipped(1234), 13))));
        let refused = line(b"CLIENT_ERROR watch commands not allowed\r\n");
        let expected = Refusal::Client(b"watch commands not allowed".to_vec());
        assert_eq!(refused, Ok(Some((Line::Refused(expected), 41))));
        for text in [
            &b"ts=1 gid=1 type=x\n"[..],
            b"ts=1.1000000 gid=1 type=x\n",
            b"ts=1.-1 gid=1 type=x\n",
            b"ts=1.1 type=x\n",
            b"ts=1.1 gid=x type=x\n",
            b"skipped=x\n",
            b"END\r\n",
            b"\n",
        ] {
            assert!(matches!(line(text), Err(Malformed::Foreign(..))), "{text:?}");
        }
        assert_eq!(line(&[b'x'; MAX_LINE]), Err(Malformed::TooLong));
    }
}
