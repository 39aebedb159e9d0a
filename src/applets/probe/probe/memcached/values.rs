//! get, gets, gat, inspect: what a key holds. Longer than most, because a value is streamed and a key is looked at in full.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use super::explain::{explain, kind_failure};
use super::options::Shared;
use super::server::{Server, Session};
use super::store::Lifetime;
use super::{Answer, Ask, Outcome, check_key, note_key};
use crate::applet::{Context, Error, Result};
use crate::inspect::memcached::tables::classes;
use crate::output::json::{Object, base64};
use crate::output::{Safe, units};
use crate::protocol::memcached::client::{Dialect, Error as Trouble, Fetch, Item, Piece, collect};
use crate::protocol::memcached::text::{self, BadKey, Refusal};

/// As much of a value as a JSON object holds, unless more is asked for.
const MAX_VALUE: u64 = 1 << 20;
/// As much of a value as `inspect` shows.
const PREVIEW: u64 = 120;

fn size(text: &str) -> std::result::Result<u64, &'static str> {
    units::count(text.as_bytes()).ok_or("a size is a number, with K, M or G")
}

/// Print values: one key's raw in a pipe and escaped on a terminal, several with a line before each
///
/// gets also tells flags and cas numbers; gat gives the keys a new time to live.
#[derive(clap::Parser)]
#[command(name = "memcached get", override_usage = GETTING)]
struct What {
    #[command(flatten)]
    shared: Shared,
    /// With --json: the most of a value that is told
    #[arg(long, value_name = "SIZE", default_value_t = MAX_VALUE, value_parser = size)]
    max_value: u64,
    #[arg(value_name = "KEY", hide = true)]
    keys: Vec<OsString>,
}

const GETTING: &str = "probe memcached [OPTIONS] [ADDRESS] get|gets KEY...
       probe memcached [OPTIONS] [ADDRESS] gat TIME KEY...";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Getting {
    Get,
    Gets,
    Gat,
}

struct Get {
    what: What,
    how: Getting,
    lifetime: Option<Lifetime>,
}

pub fn getting(cx: &mut Context<'_>, how: Getting) -> Result<Box<dyn Ask>> {
    Ok(Box::new(Get { what: cx.parse()?, how, lifetime: None }))
}

impl Ask for Get {
    fn shared(&self) -> &Shared {
        &self.what.shared
    }

    fn check(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.how == Getting::Gat {
            if self.what.keys.is_empty() {
                return Err(Error::usage("gat needs TIME and KEY"));
            }
            self.lifetime = Some(Lifetime::parse(cx, &self.what.keys.remove(0))?);
        }
        keys(&self.what.keys, if self.how == Getting::Gets { "gets" } else { "get" })
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        fetch(cx, server, &self.what, self.how == Getting::Gets, self.lifetime)
    }
}

fn keys(keys: &[OsString], verb: &str) -> Result<()> {
    if keys.is_empty() {
        return Err(Error::usage(format_args!("{verb} needs a KEY")));
    }
    keys.iter().try_for_each(|key| check_key(key))
}

fn fetch(
    cx: &mut Context<'_>,
    server: &mut Server,
    what: &What,
    cas: bool,
    lifetime: Option<Lifetime>,
) -> Outcome<Answer> {
    let mut session = server.open(cx, &what.shared)?;
    let keys: Vec<&[u8]> = what.keys.iter().map(|key| key.as_bytes()).collect();
    let fetch = Fetch { keys: &keys, cas, touch: lifetime.map(|lifetime| lifetime.seconds) };
    let timeout = what.shared.timeout;
    if what.shared.json {
        let mut items = Vec::new();
        let most = usize::try_from(what.max_value).unwrap_or(usize::MAX);
        let fetched = session.client.fetch(&fetch, &mut collect(&mut items, most));
        fetched.map_err(|trouble| explain(server, &trouble, timeout))?;
        let missing = keys.iter().filter(|key| !items.iter().any(|item| item.key == **key)).count();
        let each = keys.iter().map(|key| describe(key, items.iter().find(|item| item.key == *key)));
        let mut data = Object::new();
        data.objects("values", each);
        return Ok(Answer::new(u8::from(missing > 0), data));
    }
    let heads = cas || keys.len() > 1;
    let terminal = cx.terminal();
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut pending: Vec<u8> = Vec::new();
    let out = &mut cx.io.out;
    let fetched = session.client.fetch(&fetch, &mut |piece| {
        let written = match piece {
            Piece::Value(value) => {
                found.push(value.key.to_vec());
                let cas = value.cas.map(|cas| format!(", cas {cas}")).unwrap_or_default();
                match heads {
                    true => {
                        writeln!(out, "{}: flags {}, {} bytes{cas}", Safe(value.key), value.flags, value.length)
                    }
                    false => Ok(()),
                }
            }
            Piece::Data(data) if terminal => escaped(out, &mut pending, data),
            Piece::Data(data) => out.write_all(data),
            Piece::End => {
                let rest = write!(out, "{}", Safe(&std::mem::take(&mut pending)));
                if terminal || heads { rest.and_then(|()| writeln!(out)) } else { rest }
            }
        };
        written.map_err(Trouble::Output)
    });
    match fetched {
        Err(Trouble::Output(error)) => return Err(error.into()),
        Err(trouble) => return Err(explain(server, &trouble, timeout).into()),
        Ok(()) => {}
    }
    let mut status = 0;
    for key in keys.iter().filter(|key| !found.iter().any(|known| known == *key)) {
        note_key(cx, server, key, "not found");
        status = 1;
    }
    Ok(Answer::new(status, Object::new()))
}

/// A piece of a value on a terminal. A character that is not whole yet waits for the next piece.
fn escaped(out: &mut impl Write, pending: &mut Vec<u8>, data: &[u8]) -> io::Result<()> {
    pending.extend_from_slice(data);
    let whole = match std::str::from_utf8(pending) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => pending.len(),
    };
    let rest = pending.split_off(whole);
    write!(out, "{}", Safe(pending))?;
    *pending = rest;
    Ok(())
}

fn describe(key: &[u8], item: Option<&Item>) -> Object {
    let mut object = Object::new();
    object.bytes("key", key).bool("found", item.is_some());
    if let Some(item) = item {
        object.number("flags", Some(item.flags.into())).number("length", Some(item.length));
        if let Some(cas) = item.cas {
            object.number("cas", Some(cas));
        }
        object.bytes("value", &item.data).bool("whole", item.data.len() as u64 == item.length);
    }
    object
}

/// Tell what the server knows of a key, and leave it as it is: it is no access
#[derive(clap::Parser)]
#[command(name = "memcached inspect", override_usage = "probe memcached [OPTIONS] [ADDRESS] inspect KEY...")]
pub struct Inspect {
    #[command(flatten)]
    shared: Shared,
    #[arg(value_name = "KEY", hide = true)]
    keys: Vec<OsString>,
}

/// What `mg` and `me` say of a key.
#[derive(Default)]
struct Known {
    length: Option<u64>,
    flags: Option<u64>,
    /// Seconds left, none for ever.
    left: Option<Option<u64>>,
    cas: Option<u64>,
    idle: Option<u64>,
    fetched: Option<bool>,
    stale: bool,
    won: bool,
    class: Option<u64>,
    item: Option<u64>,
    chunk: Option<u64>,
    debug: Vec<u8>,
    preview: Vec<u8>,
}

impl Ask for Inspect {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn check(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        if self.keys.is_empty() {
            return Err(Error::usage("inspect needs a KEY"));
        }
        for key in &self.keys {
            // Any byte can be sent as base64.
            match text::check_key(key.as_bytes()) {
                Err(BadKey::Forbidden) | Ok(()) => {}
                Err(why) => return Err(Error::Status(2, format!("{}: {why}", Safe::os(key)))),
            }
        }
        Ok(())
    }

    fn ask(&self, cx: &mut Context<'_>, server: &mut Server) -> Outcome<Answer> {
        let mut session = server.open(cx, &self.shared)?;
        if session.client.dialect() == Dialect::Binary {
            let text = "inspect needs the meta commands, which the binary protocol does not have";
            return Err(kind_failure("not-sent", String::from(text)).into());
        }
        let mut objects = Vec::new();
        let mut status = 0;
        for key in &self.keys {
            let known = self.look(server, &mut session, key.as_bytes())?;
            if !self.shared.json {
                match &known {
                    Some(known) => show(cx, key.as_bytes(), known)?,
                    None => note_key(cx, server, key.as_bytes(), "not found"),
                }
            }
            status |= u8::from(known.is_none());
            objects.push(machine(key.as_bytes(), known.as_ref()));
        }
        let mut data = Object::new();
        data.objects("keys", objects);
        Ok(Answer::new(status, data))
    }
}

impl Inspect {
    fn look(&self, server: &Server, session: &mut Session, key: &[u8]) -> Outcome<Option<Known>> {
        let timeout = self.shared.timeout;
        let encoded = text::check_key(key).is_err();
        let mut sent = String::new();
        if encoded {
            base64(&mut sent, key);
        }
        let sent = if encoded { sent.as_bytes() } else { key };
        let base64 = if encoded { &b" b"[..] } else { b"" };
        // u: it is no use of it.
        let line = [b"mg ", sent, base64, b" s t f c h l u v"].concat();
        let (reply, preview) = match session.client.meta(&line, None, PREVIEW) {
            Err(Trouble::Refused(Refusal::Unknown(_))) => {
                let text = "it knows no meta commands, which came with 1.6; 'gets' would be an access";
                return Err(kind_failure("refused-by-server", String::from(text)).into());
            }
            reply => reply.map_err(|trouble| explain(server, &trouble, timeout))?,
        };
        if &reply.code == b"EN" {
            return Ok(None);
        }
        let mut known = Known {
            length: reply.number(b's'),
            flags: reply.number(b'f'),
            left: reply.flag(b't').map(text::number),
            cas: reply.number(b'c'),
            idle: reply.number(b'l'),
            fetched: reply.number(b'h').map(|hit| hit > 0),
            stale: reply.flag(b'X').is_some(),
            won: reply.flag(b'W').is_some() || reply.flag(b'Z').is_some(),
            preview,
            ..Known::default()
        };
        // Some versions do not find a base64 key by this one.
        let debug = session.client.meta(&[b"me ", sent, base64].concat(), None, 0);
        if let Ok((reply, _)) = debug
            && &reply.code == b"ME"
        {
            known.debug = reply.debug;
            let word = |name: &str| {
                let mut words = known.debug.split(|byte| *byte == b' ');
                words.find_map(|word| word.strip_prefix(name.as_bytes())).and_then(text::number)
            };
            (known.class, known.item) = (word("cls="), word("size="));
            if let (Some(class), Ok(slabs)) = (known.class, session.client.stats(Some(b"slabs"))) {
                let classes = classes(&slabs, &Vec::new());
                known.chunk = classes.iter().find(|each| each.class == class).and_then(|class| class.chunk);
            }
        }
        Ok(Some(known))
    }
}

fn show(cx: &mut Context<'_>, key: &[u8], known: &Known) -> Outcome<()> {
    let mut lines = vec![("key", Safe(key).to_string())];
    let mut add = |name, text: Option<String>| lines.extend(text.map(|text| (name, text)));
    add("size", known.length.map(|length| format!("{length} bytes")));
    add("flags", known.flags.map(|flags| format!("{flags} ({flags:#x})")));
    add(
        "lives",
        known.left.map(|left| match left {
            Some(seconds) => format!("{} more ({seconds} s)", units::duration(seconds)),
            None => String::from("for ever"),
        }),
    );
    add("accessed", known.idle.map(|idle| format!("{} ago", units::duration(idle))));
    add("fetched", known.fetched.map(|yes| String::from(if yes { "yes, since it was stored" } else { "never yet" })));
    add("cas", known.cas.map(|cas| cas.to_string()));
    add("stale", known.stale.then(|| String::from("yes")));
    add("recache", known.won.then(|| String::from("somebody has been told to renew it")));
    let waste = known.chunk.zip(known.item).and_then(|(chunk, item)| {
        let free = chunk.checked_sub(item)?;
        Some(format!(", {item} of {chunk} bytes of a chunk, {free} unused"))
    });
    add("class", known.class.map(|class| format!("{class}{}", waste.unwrap_or_default())));
    add("internals", (!known.debug.is_empty()).then(|| Safe(&known.debug).to_string()));
    let more = if known.length.is_some_and(|length| length > known.preview.len() as u64) { " ..." } else { "" };
    add("value", Some(format!("{}{more}", Safe(&known.preview))));
    for (name, text) in lines {
        writeln!(cx.io.out, "{name:<10} {text}")?;
    }
    Ok(())
}

fn machine(key: &[u8], known: Option<&Known>) -> Object {
    let mut object = Object::new();
    object.bytes("key", key).bool("found", known.is_some());
    let Some(known) = known else { return object };
    object
        .number("length", known.length)
        .number("flags", known.flags)
        .number("ttl_seconds", known.left.flatten())
        .bool("expires", known.left.flatten().is_some())
        .number("cas", known.cas)
        .number("idle_seconds", known.idle);
    match known.fetched {
        Some(fetched) => object.bool("fetched", fetched),
        None => object.null("fetched"),
    };
    object
        .bool("stale", known.stale)
        .bool("recache_won", known.won)
        .number("class", known.class)
        .number("item_bytes", known.item)
        .number("chunk_bytes", known.chunk)
        .bytes("internals", &known.debug)
        .bytes("preview", &known.preview);
    object
}
