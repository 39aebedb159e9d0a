//! Lists of keys, line by line: `lru_crawler metadump` (since 1.4.31), `lru_crawler mgdump` (since 1.6.19) and
//! `stats cachedump`, which every version has. Pure.
//!
//! A metadump has no end before 1.5.4, and begins with `OK` since 1.6.43, which also put `flags` and a blank at the end of
//! each line. Whatever a line lacks is not known; what nobody has heard of is passed over.

use super::text::{Element, MAX_KEY, Malformed, Refusal, element, number, sample};

/// More than any line: a key of 250 bytes, each as `%XX`, and a dozen numbers.
pub const MAX_LINE: usize = 4096;

/// Which command has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Meta,
    Mg,
    Cache,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The list begins.
    Begin,
    Item(Item<'a>),
    End,
    Refused(Refusal),
}

/// One item of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    sent: &'a [u8],
    coding: Coding,
    /// What is told of it, as it was sent.
    told: &'a [u8],
    form: Form,
}

/// What is told of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub expires: Expires,
    /// When it was last used, in seconds since 1970.
    pub used: Option<u64>,
    pub cas: Option<u64>,
    /// Whether it has been fetched since it was stored.
    pub fetched: Option<bool>,
    pub class: Option<u64>,
    /// All that it takes; in a cachedump the value alone.
    pub size: Option<u64>,
    pub flags: Option<u64>,
}

const NOTHING: Facts =
    Facts { expires: Expires::Unknown, used: None, cas: None, fetched: None, class: None, size: None, flags: None };

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Percent,
    Base64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    Unknown,
    Never,
    /// In seconds since 1970.
    At(u64),
}

impl Item<'_> {
    /// The key itself; `buffer` has it where it was written in other bytes.
    pub fn key<'b>(&'b self, buffer: &'b mut Vec<u8>) -> &'b [u8] {
        buffer.clear();
        match self.coding {
            Coding::Plain => return self.sent,
            Coding::Percent if memchr::memchr(b'%', self.sent).is_none() => return self.sent,
            Coding::Percent => percent(self.sent, buffer),
            Coding::Base64 => base64(self.sent, buffer),
        }
        buffer
    }

    pub fn facts(&self) -> Facts {
        match self.form {
            Form::Meta => meta(self.told),
            Form::Mg => NOTHING,
            Form::Cache => cache(self.told).unwrap_or(NOTHING),
        }
    }
}

/// Reads one line and says how many bytes it took; `None` where more bytes are needed.
pub fn line(form: Form, bytes: &[u8]) -> Result<Option<(Line<'_>, usize)>, Malformed> {
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        return if bytes.len() >= MAX_LINE { Err(Malformed::TooLong) } else { Ok(None) };
    };
    let text = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let split = match (form, text) {
        (Form::Meta, [b'k', b'e', b'y', b'=', rest @ ..]) => {
            let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
            Some((&rest[..end], Coding::Percent, &rest[end..]))
        }
        (Form::Mg, [b'm', b'g', b' ', rest @ ..]) => Some(match rest.strip_suffix(b" b") {
            Some(key) => (key, Coding::Base64, &rest[rest.len()..]),
            None => (rest, Coding::Plain, &rest[rest.len()..]),
        }),
        (Form::Cache, [b'I', b'T', b'E', b'M', b' ', rest @ ..]) => memchr::memmem::rfind(rest, b" [")
            .map(|open| (&rest[..open], Coding::Plain, &rest[open + 2..]))
            .filter(|(_, _, told)| cache(told).is_some()),
        _ => None,
    };
    let item = split.map(|(sent, coding, told)| Item { sent, coding, told, form });
    if let Some(item) = item {
        // No server has such a key.
        return match item.sent.is_empty() || item.sent.len() > 3 * MAX_KEY {
            true => Err(Malformed::Foreign(None, sample(text))),
            false => Ok(Some((Line::Item(item), end + 1))),
        };
    }
    let line = match element(&bytes[..=end])? {
        Some((Element::Ok, _)) => Line::Begin,
        // What was asked behind a list that has no end.
        Some((Element::End | Element::Version(_), _)) => Line::End,
        Some((Element::Meta(code, b""), _)) if &code == b"EN" => Line::End,
        Some((Element::Refused(refusal), _)) => Line::Refused(refusal),
        _ => return Err(Malformed::Foreign(None, sample(text))),
    };
    Ok(Some((line, end + 1)))
}

/// A name as a number.
const fn word(name: &[u8]) -> u64 {
    let mut word = 0;
    let mut at = 0;
    while at < name.len() {
        word = word << 8 | name[at] as u64;
        at += 1;
    }
    word
}

const EXP: u64 = word(b"exp");
const LA: u64 = word(b"la");
const CAS: u64 = word(b"cas");
const FETCH: u64 = word(b"fetch");
const CLS: u64 = word(b"cls");
const SIZE: u64 = word(b"size");
const FLAGS: u64 = word(b"flags");

/// ` exp=-1 la=1795805582 cas=3 fetch=no cls=1 size=77 flags=0`. One look at each byte: there may be millions of lines.
fn meta(told: &[u8]) -> Facts {
    let mut facts = NOTHING;
    let (mut name, mut value, mut first, mut in_name) = (0u64, Some(0u64), 0u8, true);
    let mut at = 0;
    while at <= told.len() {
        let byte = if at < told.len() { told[at] } else { b' ' };
        at += 1;
        match byte {
            b' ' => {
                let number = value.filter(|_| first.is_ascii_digit());
                match name {
                    EXP if first == b'-' => facts.expires = Expires::Never,
                    EXP => facts.expires = number.map_or(Expires::Unknown, Expires::At),
                    LA => facts.used = number,
                    CAS => facts.cas = number,
                    FETCH if first == b'y' => facts.fetched = Some(true),
                    FETCH if first == b'n' => facts.fetched = Some(false),
                    CLS => facts.class = number,
                    SIZE => facts.size = number,
                    FLAGS => facts.flags = number,
                    _ => {}
                }
                (name, value, first, in_name) = (0, Some(0), 0, true);
            }
            b'=' if in_name => in_name = false,
            byte if in_name => name = name << 8 | u64::from(byte),
            byte => {
                first = if first == 0 { byte } else { first };
                value = match (value, byte) {
                    (Some(value), b'0'..=b'9') => {
                        value.checked_mul(10).and_then(|n| n.checked_add(u64::from(byte - b'0')))
                    }
                    _ => None,
                };
            }
        }
    }
    facts
}

/// `3 b; 1795805682 s]`: the length of the value, and when it expires, 0 for never.
fn cache(told: &[u8]) -> Option<Facts> {
    let numbers = told.strip_suffix(b" s]")?;
    let middle = memchr::memmem::find(numbers, b" b; ")?;
    let size = Some(number(&numbers[..middle])?);
    let expires = match number(&numbers[middle + 4..])? {
        0 => Expires::Never,
        time => Expires::At(time),
    };
    Some(Facts { expires, size, ..NOTHING })
}

/// Appends what `%XX` stand for; a percent sign that begins none is itself.
pub fn percent(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let digits = rest.get(at + 1..at + 3).and_then(|two| Some((digit(two[0])?, digit(two[1])?)));
        rest = match digits {
            Some((high, low)) => {
                out.push(high << 4 | low);
                &rest[at + 3..]
            }
            None => {
                out.push(b'%');
                &rest[at + 1..]
            }
        };
    }
    out.extend_from_slice(rest);
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Appends what base64 stands for, up to what is none.
fn base64(text: &[u8], out: &mut Vec<u8>) {
    let mut bits = 0;
    let mut group = 0u32;
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return,
        };
        group = group << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((group >> bits) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything in it, and how it goes on: `None` where it breaks off.
    fn read(form: Form, bytes: &[u8]) -> (Vec<String>, Result<(), Malformed>) {
        let mut found = Vec::new();
        let mut rest = bytes;
        loop {
            match line(form, rest) {
                Ok(Some((line, used))) => {
                    found.push(match line {
                        Line::Begin => String::from("begin"),
                        Line::End => String::from("end"),
                        Line::Refused(refusal) => refusal.to_string(),
                        Line::Item(item) => {
                            let mut key = Vec::new();
                            let key = crate::output::Safe(item.key(&mut key)).to_string();
                            let number = |number: Option<u64>| number.map_or(String::from("?"), |n| n.to_string());
                            let facts = item.facts();
                            let expires = match facts.expires {
                                Expires::Unknown => String::from("?"),
                                Expires::Never => String::from("never"),
                                Expires::At(time) => time.to_string(),
                            };
                            let fetched = facts.fetched.map_or("?", |yes| if yes { "yes" } else { "no" });
                            format!(
                                "{key} {expires} {} {} {fetched} {} {} {}",
                                number(facts.used),
                                number(facts.cas),
                                number(facts.class),
                                number(facts.size),
                                number(facts.flags)
                            )
                        }
                    });
                    rest = &rest[used..];
                }
                Ok(None) => return (found, Ok(())),
                Err(malformed) => return (found, Err(malformed)),
            }
        }
    }

    /// As servers have sent them.
    #[test]
    fn forms_of_metadump() {
        let all = |bytes: &[u8]| {
            let (found, end) = read(Form::Meta, bytes);
            assert_eq!(end, Ok(()));
            found
        };
        // 1.6.18.
        assert_eq!(
            all(b"key=a%01b%25c exp=1795805682 la=1795805582 cas=2 fetch=no cls=1 size=67\n\
                key=user%3A1%3Aname exp=-1 la=1795805582 cas=3 fetch=yes cls=1 size=77\nEND\r\n"),
            ["a\\x01b%c 1795805682 1795805582 2 no 1 67 ?", "user:1:name never 1795805582 3 yes 1 77 ?", "end"]
        );
        // 1.6.45.
        assert_eq!(
            all(b"OK\r\nkey=foo exp=-1 la=1795805583 cas=6 fetch=no cls=1 size=63 flags=4294967295 \nEND\r\n"),
            ["begin", "foo never 1795805583 6 no 1 63 4294967295", "end"]
        );
        // 1.4.31: no end, and the answer to `version` behind it.
        assert_eq!(
            all(b"key=foo exp=1 la=2 cas=3 fetch=no\nkey=bar exp=-1 la=2 cas=3 fetch=no\nVERSION 1.4.31\r\n"),
            ["foo 1 2 3 no ? ? ?", "bar never 2 3 no ? ? ?", "end"]
        );
        assert_eq!(all(b"END\r\n"), ["end"]);
        for (refused, text) in [
            (&b"BUSY currently processing crawler request\r\n"[..], "BUSY currently processing crawler request"),
            (b"ERROR metadump not allowed\r\n", "ERROR metadump not allowed"),
            (b"CLIENT_ERROR lru crawler disabled\r\n", "CLIENT_ERROR lru crawler disabled"),
            (b"ERROR\r\n", "ERROR"),
        ] {
            assert_eq!(all(refused), [text]);
        }
        assert_eq!(
            all(b"key=k exp=-1 la=1 cas=1 fetch=no cls=1 size=63\nERROR locked try again later\r\n"),
            ["k never 1 1 no 1 63 ?", "ERROR locked try again later"]
        );
    }

    #[test]
    fn forms_of_mgdump_and_cachedump() {
        let mg = read(Form::Mg, b"OK\r\nmg foo\r\nmg a2V5IHdpdGggc3A= b\r\nmg b\r\nEN\r\n");
        assert_eq!(
            mg,
            (
                ["begin", "foo ? ? ? ? ? ? ?", "key with sp ? ? ? ? ? ? ?", "b ? ? ? ? ? ? ?", "end"]
                    .map(String::from)
                    .to_vec(),
                Ok(())
            )
        );
        let cache = read(
            Form::Cache,
            b"ITEM foo [1 b; 0 s]\r\nITEM a\x01[b [3 b; 1795805682 s]\r\nITEM x [1 b; 0 s] [2 b; 0 s]\r\nEND\r\n",
        );
        assert_eq!(
            cache,
            (
                ["foo never ? ? ? ? 1 ?", "a\\x01[b 1795805682 ? ? ? ? 3 ?", "x [1 b; 0 s] never ? ? ? ? 2 ?", "end"]
                    .map(String::from)
                    .to_vec(),
                Ok(())
            )
        );
    }

    #[test]
    fn cut_at_every_byte() {
        for (form, bytes) in [
            (Form::Meta, &b"key=foo exp=-1 la=1795805583 cas=6 fetch=no cls=1 size=63 flags=0 \n"[..]),
            (Form::Mg, b"mg foo b\r\n"),
            (Form::Cache, b"ITEM foo [1 b; 0 s]\r\n"),
            (Form::Meta, b"ERROR locked try again later\r\n"),
        ] {
            for length in 0..bytes.len() {
                assert_eq!(line(form, &bytes[..length]), Ok(None), "{length}");
            }
            assert!(matches!(line(form, bytes), Ok(Some((_, used))) if used == bytes.len()));
        }
    }

    #[test]
    fn lines_that_lie() {
        // Numbers that are none are not known; the key counts.
        let odd = b"key=k exp=x la=-1 cas=99999999999999999999 fetch=maybe cls= size=1e9 new=1 xxxxxxxxsize=5 =7\n";
        assert_eq!(read(Form::Meta, odd), (vec![String::from("k ? ? ? ? ? ? ?")], Ok(())));
        let long = [&b"key="[..], &[b'x'; 751], b"\n"].concat();
        for (form, bytes) in [
            (Form::Meta, &b"key= exp=-1\n"[..]),
            (Form::Meta, &long),
            (Form::Meta, b"STORED\r\n"),
            (Form::Meta, b"hello\r\n"),
            (Form::Mg, b"key=k exp=-1\n"),
            (Form::Mg, b"EN x\r\n"),
            (Form::Cache, b"ITEM k [1 b]\r\n"),
            (Form::Cache, b"ITEM k [-1 b; 0 s]\r\n"),
        ] {
            assert!(matches!(line(form, bytes), Err(Malformed::Foreign(..))), "{bytes:?}");
        }
        assert_eq!(line(Form::Meta, &[b'x'; MAX_LINE]), Err(Malformed::TooLong));
        assert_eq!(line(Form::Meta, &[b'x'; MAX_LINE - 1]), Ok(None));
    }

    #[test]
    fn codings() {
        let decoded = |text: &[u8]| {
            let mut out = Vec::new();
            percent(text, &mut out);
            out
        };
        assert_eq!(decoded(b"%41%zz%4%"), b"A%zz%4%");
        assert_eq!(decoded(b"%e2%82%ac%2f"), "€/".as_bytes());
        let decoded = |text: &[u8]| {
            let mut out = Vec::new();
            base64(text, &mut out);
            out
        };
        assert_eq!(decoded(b"Zm9v"), b"foo");
        assert_eq!(decoded(b"Zg=="), b"f");
        assert_eq!(decoded(b"Zm8=!"), b"fo");
        assert_eq!(decoded(b"+/8"), b"\xfb\xff");
    }
}
