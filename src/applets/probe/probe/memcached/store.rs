//! set, add, replace, append, prepend, cas, incr, decr, touch, delete: changing what a key holds. Longer than most, for
//! these are ten verbs.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::explain::{explain, kind_failure};
use super::options::Shared;
use super::server::{Server, Session};
use super::stats::fetch;
use super::{Answer, Ask, Outcome, check_key, note_key};
use crate::applet::{Context, Error, Result};
use crate::net::reason;
use crate::output::{Safe, json::Object, units};
use crate::protocol::memcached::client::{MAX_VALUE, Mode, Store, Stored};
use crate::protocol::memcached::text::number;

/// What memcached takes for a number of seconds; more is a date.
const LONGEST: u64 = 30 * 86400;
/// Below this every server's `-I` is large enough.
const SURELY_FITS: u64 = 64 * 1024;
/// What an item takes besides its key and its value, with cas and flags.
const ITEM: u64 = 63;

/// A time to live as the server understands it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub seconds: u32,
}

impl Lifetime {
    /// `15m`, `60d`, `0` for ever. More than thirty days would be taken for a date, and so becomes one.
    pub fn parse(cx: &mut Context<'_>, text: &OsStr) -> Result<Lifetime> {
        let wrong = || Error::usage(format_args!("{}: a time to live is a number and s, m, h, d or w", Safe::os(text)));
        let seconds = lifetime(text.as_bytes()).ok_or_else(wrong)?;
        if seconds <= LONGEST {
            return Ok(Lifetime { seconds: seconds as u32 });
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        // The server takes it for a signed number: later is long ago.
        let Ok(date @ 0..) = i32::try_from(now.saturating_add(seconds)) else {
            return Err(Error::usage(format_args!("{}: ends after 2038; 0 is for ever", Safe::os(text))));
        };
        cx.note(format_args!("{}: more than 30 days, so sent as the date {date}", Safe::os(text)));
        Ok(Lifetime { seconds: date as u32 })
    }
}

pub fn lifetime(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    let factor = match unit {
        b"" | b"s" => 1,
        b"m" => 60,
        b"h" => 3600,
        b"d" => 86400,
        b"w" => 7 * 86400,
        _ => return None,
    };
    number(digits)?.checked_mul(factor)
}

/// Store a value; add: where nothing is; replace: where something is; append, prepend: at its end, its start
///
/// cas stores where nothing has come since 'gets' showed UNIQUE.
#[derive(clap::Parser)]
#[command(name = "memcached set", override_usage = STORING)]
struct What {
    #[command(flatten)]
    shared: Shared,
    /// Take the value from FILE; '-' is standard input, as it is without VALUE
    #[arg(short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Time to live: 90, 15m, 60d; 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "0")]
    ttl: OsString,
    /// Flags for the clients that read it
    #[arg(long, value_name = "N", default_value_t = 0)]
    flags: u32,
    /// Send it also if the server could not take it, which deletes what the key holds
    #[arg(long)]
    force: bool,
    #[arg(value_name = "WORD", hide = true)]
    words: Vec<OsString>,
    #[arg(skip)]
    parsed: Parsed,
}

/// What has been found out before a server is asked.
#[derive(Default)]
struct Parsed {
    key: Vec<u8>,
    unique: u64,
    seconds: u32,
    value: Value,
}

#[derive(Default)]
enum Value {
    #[default]
    None,
    Held(Vec<u8>),
    /// From where it stands, as long as it is.
    File(File, u64, u64),
}

impl What {
    fn check(&mut self, cx: &mut Context<'_>, mode: Mode) -> Result<()> {
        let name = mode.name();
        let mut words = std::mem::take(&mut self.words).into_iter();
        let key = words.next().ok_or_else(|| Error::usage(format_args!("{name} needs a KEY")))?;
        check_key(&key)?;
        if matches!(mode, Mode::Cas(_)) {
            let unique = words.next().ok_or_else(|| Error::usage("cas needs KEY and UNIQUE, which 'gets' shows"))?;
            let wrong = || Error::usage(format_args!("{}: UNIQUE is the number that 'gets' shows", Safe::os(&unique)));
            self.parsed.unique = number(unique.as_bytes()).ok_or_else(wrong)?;
        }
        let given = words.next();
        if let Some(word) = words.next() {
            return Err(Error::usage(format_args!(
                "{}: more than {name} takes; quote a value with blanks",
                Safe::os(&word)
            )));
        }
        self.parsed.key = key.as_bytes().to_vec();
        self.parsed.seconds = Lifetime::parse(cx, &self.ttl)?.seconds;
        self.parsed.value = match (given, &self.file) {
            (Some(_), Some(_)) => return Err(Error::usage(format_args!("{name} takes VALUE or -f FILE"))),
            (Some(value), None) => Value::Held(value.as_bytes().to_vec()),
            (None, Some(path)) if path.as_os_str() != "-" => {
                let wrong =
                    |error: &std::io::Error| Error::Status(2, format!("{}: {}", Safe::path(path), reason(error)));
                let file = cx.files.open(path).map_err(|error| wrong(&error))?;
                open(file).map_err(|error| wrong(&error))?
            }
            (None, _) if self.shared.takes_input() => {
                return Err(Error::usage("standard input is the password: the value is VALUE or -f FILE"));
            }
            (None, _) => {
                let wrong = |error: &std::io::Error| Error::Status(2, format!("standard input: {}", reason(error)));
                let input = cx.io.stdin.try_clone().map_err(|error| wrong(&error))?;
                open(input).map_err(|error| wrong(&error))?
            }
        };
        match self.parsed.length() > MAX_VALUE {
            true => Err(Error::Status(2, String::from("the value is larger than any server takes: 1 GiB"))),
            false => Ok(()),
        }
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server, mode: Mode) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        let Parsed { key, unique, seconds, value } = &self.parsed;
        let length = self.parsed.length();
        if !self.force {
            fits(server, &mut session, &self.shared, key.len() as u64 + length)?;
        }
        let mode = if let Mode::Cas(_) = mode { Mode::Cas(*unique) } else { mode };
        let store = Store { mode, key, flags: self.flags, seconds: *seconds, length };
        let stored = match value {
            Value::None => session.client.store(&store, &mut std::io::empty()),
            Value::Held(bytes) => session.client.store(&store, &mut bytes.as_slice()),
            Value::File(file, start, _) => {
                // Each server is sent it from the start; a descriptor of its own, because children share the position.
                let mut file = At { file, position: *start };
                session.client.store(&store, &mut file)
            }
        };
        let stored = stored.map_err(|trouble| explain(server, &trouble, self.shared.timeout))?;
        let (word, why) = match (stored, mode) {
            (Stored::Yes, _) => ("stored", ""),
            (Stored::No, Mode::Add) => ("not-stored", "it is there already"),
            (Stored::No, Mode::Append | Mode::Prepend) => ("not-stored", "there is none, or it would become too large"),
            (Stored::No, _) => ("not-stored", "there is none"),
            (Stored::Exists, _) => ("exists", "it has changed since"),
            (Stored::NotFound, _) => ("not-found", "there is none"),
        };
        let yes = stored == Stored::Yes;
        let mut data = Object::new();
        data.bytes("key", key)
            .bool("stored", yes)
            .text("result", word)
            .number("length", Some(length))
            .number("expires", Some((*seconds).into()));
        if !self.shared.json {
            match yes {
                true => writeln!(cx.io.out, "STORED")?,
                false => note_key(cx, server, key, &format!("not stored: {why}")),
            }
        }
        Ok(Answer::new(u8::from(!yes), data))
    }
}

impl Parsed {
    fn length(&self) -> u64 {
        match &self.value {
            Value::None => 0,
            Value::Held(bytes) => bytes.len() as u64,
            Value::File(_, _, length) => *length,
        }
    }
}

/// A file's value is sent as it is read, if its length is known before.
fn open(mut file: File) -> std::io::Result<Value> {
    let metadata = file.metadata()?;
    if metadata.is_file()
        && let Ok(start) = file.stream_position()
    {
        return Ok(Value::File(file, start, metadata.len().saturating_sub(start)));
    }
    let mut bytes = Vec::new();
    file.take(MAX_VALUE + 1).read_to_end(&mut bytes)?;
    Ok(Value::Held(bytes))
}

/// Reads at a position of its own.
struct At<'a> {
    file: &'a File,
    position: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}

/// A value that is too large is not only refused: what the key held is deleted. So it is not sent.
fn fits(server: &Server, session: &mut Session, shared: &Shared, size: u64) -> Outcome<()> {
    if size <= SURELY_FITS {
        return Ok(());
    }
    let Ok(settings) = fetch(server, session, Some(b"settings"), shared.timeout) else { return Ok(()) };
    let most = settings.iter().find(|(name, _)| name == b"item_size_max").and_then(|(_, value)| number(value));
    match most {
        Some(most) if size + ITEM > most => {
            let text = format!(
                "{} do not fit into an item of {} (-I), and would delete what the key holds: not sent (--force)",
                units::bytes(size),
                units::bytes(most)
            );
            Err(kind_failure("not-sent", text).into())
        }
        _ => Ok(()),
    }
}

const STORING: &str = "probe memcached [OPTIONS] [ADDRESS] set|add|replace|append|prepend KEY [VALUE]
       probe memcached [OPTIONS] [ADDRESS] cas KEY UNIQUE [VALUE]";

/// The verbs that store differ in a word.
struct Storing {
    what: What,
    mode: Mode,
}

pub fn storing(cx: &mut Context<'_>, mode: Mode) -> Result<Box<dyn Ask>> {
    Ok(Box::new(Storing { what: cx.parse()?, mode }))
}

impl Ask for Storing {
    fn shared(&self) -> &Shared {
        &self.what.shared
    }

    fn check(&mut self, cx: &mut Context<'_>) -> Result<()> {
        self.what.check(cx, self.mode)
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        self.what.ask(cx, server, self.mode)
    }
}

/// Count up, past 2^64 from 0 again, or down, not below 0
#[derive(clap::Parser)]
#[command(name = "memcached incr", override_usage = "probe memcached [OPTIONS] [ADDRESS] incr|decr KEY [BY]")]
struct Counted {
    #[command(flatten)]
    shared: Shared,
    #[arg(value_name = "KEY", hide = true)]
    key: OsString,
    #[arg(value_name = "BY", hide = true, default_value_t = 1)]
    by: u64,
}

struct Counting {
    what: Counted,
    up: bool,
}

pub fn counting(cx: &mut Context<'_>, up: bool) -> Result<Box<dyn Ask>> {
    Ok(Box::new(Counting { what: cx.parse()?, up }))
}

impl Ask for Counting {
    fn shared(&self) -> &Shared {
        &self.what.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        check_key(&self.what.key)
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let Counted { shared, key, by } = &self.what;
        let mut session = server.open(cx, shared)?;
        let key = key.as_bytes();
        let number = session.client.count(self.up, key, *by);
        let number = number.map_err(|trouble| explain(server, &trouble, shared.timeout))?;
        let mut data = Object::new();
        data.bytes("key", key).bool("found", number.is_some()).number("number", number);
        if !shared.json {
            match number {
                Some(number) => writeln!(cx.io.out, "{number}")?,
                None => note_key(cx, server, key, "not found"),
            }
        }
        Ok(Answer::new(u8::from(number.is_none()), data))
    }
}

/// Give a key a new time to live
#[derive(clap::Parser)]
#[command(name = "memcached touch", override_usage = "probe memcached [OPTIONS] [ADDRESS] touch KEY TIME")]
pub struct Touch {
    #[command(flatten)]
    shared: Shared,
    #[arg(value_name = "KEY", hide = true)]
    key: OsString,
    #[arg(value_name = "TIME", hide = true)]
    time: OsString,
    #[arg(skip)]
    seconds: u32,
}

impl Ask for Touch {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, cx: &mut Context<'_>) -> Result<()> {
        check_key(&self.key)?;
        self.seconds = Lifetime::parse(cx, &self.time)?.seconds;
        Ok(())
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        let key = self.key.as_bytes();
        let touched = session.client.touch(key, self.seconds);
        let touched = touched.map_err(|trouble| explain(server, &trouble, self.shared.timeout))?;
        let mut data = Object::new();
        data.bytes("key", key).bool("found", touched).number("expires", Some(self.seconds.into()));
        if !self.shared.json {
            match touched {
                true => writeln!(cx.io.out, "TOUCHED")?,
                false => note_key(cx, server, key, "not found"),
            }
        }
        Ok(Answer::new(u8::from(!touched), data))
    }
}

/// Delete keys
#[derive(clap::Parser)]
#[command(name = "memcached delete", override_usage = "probe memcached [OPTIONS] [ADDRESS] delete KEY...")]
pub struct Delete {
    #[command(flatten)]
    shared: Shared,
    #[arg(value_name = "KEY", hide = true)]
    keys: Vec<OsString>,
}

impl Ask for Delete {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.keys.is_empty() {
            return Err(Error::usage("delete needs a KEY"));
        }
        self.keys.iter().try_for_each(|key| check_key(key))
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        let mut objects = Vec::new();
        let mut status = 0;
        for key in &self.keys {
            let deleted = session.client.delete(key.as_bytes());
            let deleted = deleted.map_err(|trouble| explain(server, &trouble, self.shared.timeout))?;
            status |= u8::from(!deleted);
            let mut object = Object::new();
            object.bytes("key", key.as_bytes()).bool("deleted", deleted);
            objects.push(object);
            if !self.shared.json {
                match deleted {
                    true => writeln!(cx.io.out, "DELETED")?,
                    false => note_key(cx, server, key.as_bytes(), "not found"),
                }
            }
        }
        let mut data = Object::new();
        data.objects("keys", objects);
        Ok(Answer::new(status, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        let read: Vec<Option<u64>> = [
            "0",
            "90",
            "15m",
            "2h",
            "60d",
            "1w",
            "",
            "m",
            "-1",
            "1.5h",
            "1y",
            "99999999999999999999",
            "18446744073709551615w",
        ]
        .map(|text| lifetime(text.as_bytes()))
        .to_vec();
        let known = [Some(0), Some(90), Some(900), Some(7200), Some(5_184_000), Some(604_800)];
        assert_eq!(read, [&known[..], &[None; 7]].concat());
    }
}
