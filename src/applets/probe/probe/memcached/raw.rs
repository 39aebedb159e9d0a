//! raw: bytes by hand. Longer than most, because what is sent is read before, and what comes back is explained.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use super::super::duration;
use super::explain::explain;
use super::options::{Proto, Shared};
use super::server::{Server, before};
use super::{Answer, Ask, Outcome};
use crate::applet::{Context, Error, Result};
use crate::net::Deadline;
use crate::output::{Safe, json::Object};
use crate::protocol::memcached::binary;
use crate::protocol::memcached::client::{Client, Dialect, Error as Trouble};
use crate::protocol::memcached::meta::meaning;
use crate::protocol::memcached::text::{Element, Malformed, element, number};
use crate::sys::regex::{Flags, Regex};

/// The most of a value, and of a raw answer, that is kept.
pub const MAX_ANSWER: u64 = 16 << 20;

/// Send bytes as they are, and show what comes back
///
/// Each TEXT is a line; \r \n \t \0 \\ and \xHH stand for bytes. On a terminal the answer is shown escaped and explained, in
/// a pipe as it is.
#[derive(clap::Parser)]
#[command(name = "memcached raw", override_usage = "probe memcached [OPTIONS] [ADDRESS] raw TEXT...")]
pub struct Raw {
    #[command(flatten)]
    shared: Shared,
    /// Send no line ends but those that are written
    #[arg(short = 'n')]
    bare: bool,
    /// Show both sides in hexadecimal, and what the elements of the answer are
    #[arg(long)]
    hex: bool,
    /// Exit 1 where no line of the answer is what this extended regular expression describes, whole
    #[arg(long, value_name = "REGEX", allow_hyphen_values = true)]
    expect: Option<OsString>,
    /// How long the answer may pause before it counts as complete
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = duration)]
    quiet: Duration,
    /// Also what is known to bring old servers down
    #[arg(long)]
    force: bool,
    #[arg(value_name = "TEXT", hide = true)]
    texts: Vec<OsString>,
    #[arg(skip)]
    bytes: Vec<u8>,
    #[arg(skip)]
    wanted: Option<RefCell<Regex>>,
}

/// What escapes stand for.
fn unescape(text: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (letter, more) = rest.split_first().ok_or("a backslash at the end")?;
        rest = more;
        bytes.push(match letter {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let (digits, more) = rest.split_at_checked(2).ok_or("\\x needs two digits")?;
                rest = more;
                let digits = std::str::from_utf8(digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
                digits.ok_or("\\x needs two digits")?
            }
            _ => return Err("an escape is one of \\r \\n \\t \\0 \\\\ \\xHH"),
        });
    }
    Ok(bytes)
}

/// What the text asks for that has brought servers down, or takes what others have stored.
fn dangerous(bytes: &[u8]) -> Option<&'static str> {
    for line in bytes.split(|byte| *byte == b'\n') {
        let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
        if let Some(b"flush_all" | b"shutdown" | b"cache_memlimit") = word {
            return Some("flush_all, shutdown and cache_memlimit concern everybody's data");
        }
    }
    let has = |words: &[u8]| memchr::memmem::find(bytes, words).is_some();
    if has(b"sizes_enable") {
        return Some("stats sizes_enable is not safe with threads");
    }
    if has(b"watch") && has(b"mutations") {
        return Some("watch mutations ends a server before 1.6.42 when a client's value is too large");
    }
    if has(b"metadump hash") {
        return Some("metadump hash can stop a server before 1.6.19");
    }
    None
}

/// How many answers the text asks for, where that can be told: every line one, but those with data.
fn answers(bytes: &[u8]) -> Option<usize> {
    let mut count = 0;
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest)?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        let mut words = line.split(|byte| *byte == b' ');
        let word = words.next().unwrap_or_default();
        let words: Vec<&[u8]> = words.collect();
        if words.iter().any(|word| matches!(*word, b"noreply" | b"q")) {
            return None;
        }
        let length = match word {
            b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => Some(number(words.get(3)?)?),
            b"ms" => Some(number(words.get(1)?)?),
            b"quit" | b"shutdown" | b"watch" => return None,
            _ => None,
        };
        if let Some(length) = length {
            rest = rest.get(usize::try_from(length).ok()?.checked_add(2)?..)?;
        }
        count += 1;
    }
    Some(count)
}

/// One thing that an answer consists of, for people.
fn elements(answer: &[u8]) -> (Vec<String>, usize) {
    let mut texts = Vec::new();
    let mut finished = 0;
    let mut rest = answer;
    while !rest.is_empty() {
        if rest.first() == Some(&0x81) {
            let Ok(Some((reply, used))) = binary::reply(rest, MAX_ANSWER as usize) else { break };
            let header = reply.header;
            texts.push(format!(
                "binary answer to {:#04x}: {}, key '{}', {} bytes, cas {}",
                header.opcode,
                header.status,
                Safe(reply.key),
                reply.value.len(),
                header.cas
            ));
            finished += 1;
            rest = &rest[used..];
            continue;
        }
        match element(rest) {
            Ok(Some((found, used))) => {
                let mut used = used;
                let (text, ends) = match &found {
                    Element::Value(value) => {
                        let Some(length) = usize::try_from(value.length).ok().and_then(|n| n.checked_add(2)) else {
                            break;
                        };
                        used += length;
                        (
                            format!("value of '{}': flags {}, {} bytes", Safe(value.key), value.flags, value.length),
                            false,
                        )
                    }
                    Element::Meta(code, line) => {
                        if code == b"VA" {
                            let words = line.split(|byte| *byte == b' ').next();
                            let Some(length) = words.and_then(number).and_then(|n| usize::try_from(n).ok()) else {
                                break;
                            };
                            used = used.saturating_add(length).saturating_add(2);
                        }
                        (format!("meta {}: {}", Safe(code), meaning(*code)), true)
                    }
                    Element::Stat { name, .. } => (format!("statistic {}", Safe(name)), false),
                    Element::Refused(refusal) => (format!("refused: {refusal}"), true),
                    Element::Version(version) => (format!("version {}", Safe(version)), true),
                    Element::Number(number) => (format!("number {number}"), true),
                    other => (format!("{other:?}").to_ascii_lowercase(), true),
                };
                if used > rest.len() {
                    break;
                }
                texts.push(text);
                finished += usize::from(ends);
                rest = &rest[used..];
            }
            Ok(None) => break,
            Err(Malformed::Foreign(name, line)) => {
                texts.push(format!(
                    "no answer of memcached's{}: {}",
                    name.map(|n| format!(" but {n}")).unwrap_or_default(),
                    Safe(&line)
                ));
                break;
            }
            Err(Malformed::TooLong) => break,
        }
    }
    (texts, finished)
}

impl Ask for Raw {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.texts.is_empty() {
            return Err(Error::usage("raw needs a TEXT"));
        }
        for text in &self.texts {
            let bytes =
                unescape(text.as_bytes()).map_err(|why| Error::usage(format_args!("{}: {why}", Safe::os(text))))?;
            self.bytes.extend_from_slice(&bytes);
            if !self.bare && !bytes.ends_with(b"\n") && self.shared.proto != Proto::Binary {
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
        if let Some(expect) = &self.expect {
            let anchored = [b"^(", expect.as_bytes(), b")$"].concat();
            let regex = Regex::new(&anchored, Flags { extended: true, ignore_case: false });
            let regex = regex.map_err(|why| Error::usage(format_args!("{}: {why}", Safe::os(expect))))?;
            self.wanted = Some(RefCell::new(regex));
        }
        if let Some(why) = dangerous(&self.bytes).filter(|_| !self.force) {
            return Err(Error::Status(2, format!("{why}: not sent without --force")));
        }
        warn(cx, &self.bytes);
        Ok(())
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let timeout = self.shared.timeout;
        // Nothing is said before, unless a login has to be.
        let (mut client, deadline) = match server.credentials {
            Some(_) => {
                let session = server.open(cx, &self.shared)?;
                (session.client, session.deadline)
            }
            None => {
                let deadline = Deadline::after(timeout);
                (Client::new(server.line(cx, timeout, deadline)?.channel, Dialect::Text), deadline)
            }
        };
        let started = Instant::now();
        client.send(&self.bytes).map_err(|trouble| explain(server, &trouble, timeout))?;
        let wanted = answers(&self.bytes);
        let mut answer = Vec::new();
        let ended = loop {
            client.stream().set_deadline(match answer.is_empty() {
                true => before(deadline),
                false => deadline.min(Deadline::after(self.quiet)),
            });
            match client.receive() {
                Ok(held) => answer = held.to_vec(),
                Err(Trouble::Closed(_)) if !answer.is_empty() => break "closed",
                Err(Trouble::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut && !answer.is_empty() => {
                    break if deadline.left().is_zero() { "deadline" } else { "quiet" };
                }
                Err(Trouble::Io(error))
                    if error.kind() == std::io::ErrorKind::ConnectionReset && !answer.is_empty() =>
                {
                    break "closed";
                }
                Err(trouble) => {
                    let sent = if self.bytes.first() == Some(&0x80) { Dialect::Binary } else { Dialect::Text };
                    let cause = server.cause(cx, &trouble, sent, timeout, deadline);
                    return Err(cause.unwrap_or_else(|| explain(server, &trouble, timeout)).into());
                }
            }
            if wanted.is_some_and(|wanted| elements(&answer).1 >= wanted) {
                break "complete";
            }
            if answer.len() as u64 > MAX_ANSWER {
                break "cut";
            }
        };
        let as_expected = self.wanted.as_ref().is_none_or(|wanted| any_line(&mut wanted.borrow_mut(), &answer));
        let (texts, whole) = elements(&answer);
        let (status, broken) = match ended {
            "deadline" => (4, Some("it was still answering at the deadline")),
            "cut" => (5, Some("it answers without an end: cut off")),
            _ if wanted.is_some_and(|wanted| whole < wanted) => (5, Some("the answer breaks off")),
            _ => (u8::from(!as_expected), None),
        };
        let mut data = Object::new();
        data.bytes("sent", &self.bytes)
            .bytes("received", &answer)
            .text("ended", ended)
            .strings("elements", texts.iter().map(String::as_bytes))
            .bool("as_expected", as_expected);
        if !self.shared.json {
            self.show(cx, &answer, &texts)?;
            if self.hex || cx.terminal() {
                let took = started.elapsed();
                writeln!(cx.io.out, "{} bytes in {:.1} ms, {ended}", answer.len(), took.as_secs_f64() * 1e3)?;
            }
            if !as_expected {
                cx.note("no line of the answer is what was expected");
            }
        }
        if let Some(why) = broken {
            cx.note(format_args!("{}: {why}, after {} bytes", Safe(&server.address()), answer.len()));
        }
        Ok(Answer::new(status, data))
    }
}

impl Raw {
    fn show(&self, cx: &mut Context<'_>, answer: &[u8], texts: &[String]) -> Outcome<()> {
        let terminal = cx.terminal();
        let out = &mut cx.io.out;
        if self.hex {
            writeln!(out, "sent:")?;
            hexdump(out, &self.bytes)?;
            writeln!(out, "received:")?;
            hexdump(out, answer)?;
        } else if terminal {
            for line in answer.split_inclusive(|byte| *byte == b'\n') {
                writeln!(out, "{}", Safe(line))?;
            }
        } else {
            out.write_all(answer)?;
        }
        if self.hex {
            for text in texts {
                writeln!(out, "  {text}")?;
            }
        }
        Ok(())
    }
}

/// Whether a line is what was expected, without its end.
fn any_line(wanted: &mut Regex, answer: &[u8]) -> bool {
    answer.split(|byte| *byte == b'\n').any(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        wanted.find(line, 0, line.len()).is_some()
    })
}

/// As `hexdump -C` has it.
fn hexdump(out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    for (row, chunk) in bytes.chunks(16).enumerate() {
        let hex: String = chunk.iter().map(|byte| format!(" {byte:02x}")).collect();
        let text: String =
            chunk.iter().map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' }).collect();
        writeln!(out, "{:08x} {hex:<48}  |{text}|", row * 16)?;
    }
    Ok(())
}

/// A time to live that the server takes for a date long past.
fn warn(cx: &mut Context<'_>, bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let time = match words.as_slice() {
            [b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas", _, _, time, ..] => number(time),
            [b"touch", _, time, ..] | [b"gat" | b"gats", time, ..] => number(time),
            _ => None,
        };
        if let Some(time) = time.filter(|time| (2_592_001..1_000_000_000).contains(time)) {
            cx.note(format_args!("{time} s are more than 30 days: the server takes that for a date in the past"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(unescape(br"get k\r\n\x00\t\\\0").unwrap(), b"get k\r\n\0\t\\\0");
        for text in [&br"\"[..], br"\q", br"\x1", br"\xgg"] {
            assert!(unescape(text).is_err());
        }
    }

    #[test]
    fn how_many_answers() {
        assert_eq!(answers(b"version\r\nget a b\r\n"), Some(2));
        assert_eq!(answers(b"set k 0 0 3\r\n\n\n\n\r\nmg k v\r\n"), Some(2));
        for text in
            [&b"version"[..], b"set k 0 0 x\r\n", b"set k 0 0 9\r\nabc\r\n", b"delete k noreply\r\n", b"quit\r\n"]
        {
            assert_eq!(answers(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_an_answer_consists_of() {
        let (texts, finished) = elements(b"VALUE k 0 5\r\nEND\r\n\r\nEND\r\nSTORED\r\n7\r\nHD s1\r\nSTAT a");
        assert_eq!(texts, ["value of 'k': flags 0, 5 bytes", "end", "stored", "number 7", "meta HD: done"]);
        assert_eq!(finished, 4);
        assert_eq!(elements(b"VERSION 1.6.18\r\n"), (vec![String::from("version 1.6.18")], 1));
        assert_eq!(elements(b"VALUE k 0 18446744073709551615\r\n"), (vec![], 0));
        assert_eq!(elements(b"VA 18446744073709551615\r\n"), (vec![], 0));
    }

    #[test]
    fn a_dump_of_bytes() {
        let mut out = Vec::new();
        hexdump(&mut out, b"get k\r\n").unwrap();
        let expected = "00000000  67 65 74 20 6b 0d 0a                             |get k..|\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn lines_that_are_expected() {
        let is = |pattern: &[u8], answer: &[u8]| {
            let anchored = [b"^(", pattern, b")$"].concat();
            any_line(&mut Regex::new(&anchored, Flags { extended: true, ignore_case: false }).unwrap(), answer)
        };
        assert!(is(br"VERSION 1\.6\..*", b"VERSION 1.6.18\r\n") && is(b"a|END", b"VALUE k 0 1\r\nx\r\nEND\r\n"));
        assert!(!is(b"VERSION", b"VERSION 1.6.18\r\n") && !is(b"1.6.18", b"VERSION 1.6.18\r\n") && !is(b"x", b""));
    }

    #[test]
    fn what_brings_servers_down() {
        assert!(
            dangerous(b"stats sizes_enable\r\n").is_some() && dangerous(b"watch evictions mutations\r\n").is_some()
        );
        for text in [&b"flush_all\r\n"[..], b"version\r\n flush_all 5", b"shutdown", b"cache_memlimit 64\r\n"] {
            assert!(dangerous(text).is_some(), "{text:?}");
        }
        assert!(dangerous(b"watch fetchers\r\n").is_none() && dangerous(b"get flush_all\r\n").is_none());
    }
}
